// SPDX-License-Identifier: GPL-2.0
/*
 * route.c - the way of the outer packet (floor 4).
 *
 * Each SA remembers one route, for all CPUs: under RCU it can be used without a
 * reference count. It is a private copy of what the routing table gave. The
 * table's own entry is shared with inner packets to the same address (transport
 * mode, tunnels between hosts), and the path MTU that we tell their senders
 * would come back as the path MTU of the outer packet, smaller each time.
 * Packets with a mark, and those in a VRF, may go another way: theirs is
 * remembered apart, that of the last one.
 *
 * The look-up names no protocol, so that xfrm policies of the host do not wrap
 * our packets once more.
 */
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/lwtunnel.h>
#include <net/route.h>

#include "reinject.h"
#include "route.h"
#include "sad.h"

/* What the route does to packets; some wrap them in something of their own. */
static void copy_output(struct dst_entry *own, const struct dst_entry *dst)
{
	own->output = dst->output;
	own->lwtstate = lwtstate_get(dst->lwtstate);
}

/* --- IPv4 ---------------------------------------------------------------- */

static struct dst_entry *lookup4(const struct kipsec_sa *sa,
				 const struct kipsec_lead *lead)
{
	struct flowi4 fl4 = {
		.flowi4_oif = lead->vrf,
		.flowi4_mark = lead->mark,
		.saddr = sa->src.ip,
		.daddr = sa->id.dst.ip,
	};
	struct rtable *rt = ip_route_output_key(sa->net->net, &fl4);

	return IS_ERR(rt) ? NULL : &rt->dst;
}

/* A copy that shares nothing with the routing table but the device. */
static struct dst_entry *copy4(const struct dst_entry *dst)
{
	const struct rtable *rt = container_of(dst, struct rtable, dst);
	struct rtable *own;

	own = rt_dst_alloc(dst->dev, rt->rt_flags, rt->rt_type, true);
	if (!own)
		return NULL;
	own->rt_iif = rt->rt_iif;
	own->rt_uses_gateway = rt->rt_uses_gateway;
	own->rt_gw_family = rt->rt_gw_family;
	if (rt->rt_gw_family == AF_INET)
		own->rt_gw4 = rt->rt_gw4;
	else if (rt->rt_gw_family == AF_INET6)
		own->rt_gw6 = rt->rt_gw6;
	copy_output(&own->dst, dst);
	return &own->dst;
}

/* --- IPv6 ---------------------------------------------------------------- */

#if IS_ENABLED(CONFIG_IPV6)
static struct dst_entry *lookup6(const struct kipsec_sa *sa,
				 const struct kipsec_lead *lead)
{
	struct flowi6 fl6 = {
		.flowi6_oif = lead->vrf,
		.flowi6_mark = lead->mark,
		.saddr = sa->src.ip6,
		.daddr = sa->id.dst.ip6,
	};
	struct dst_entry *dst;

	/* "ipv6.disable=1" leaves nothing to ask. */
	if (!ipv6_mod_enabled())
		return NULL;
	dst = ip6_route_output(sa->net->net, NULL, &fl6);
	if (!dst->error)
		return dst;
	dst_release(dst);
	return NULL;
}

static const struct rt6_info *rt6_of(const struct dst_entry *dst)
{
	return container_of(dst, struct rt6_info, dst);
}

/* It keeps the table's entry, by whose cookie one sees that routes changed. */
static struct dst_entry *copy6(const struct dst_entry *dst)
{
	const struct rt6_info *rt = rt6_of(dst);
	struct fib6_info *from;
	struct rt6_info *own;

	own = ip6_dst_alloc(dev_net(dst->dev), dst->dev, 0);
	if (!own)
		return NULL;
	own->rt6i_idev = in6_dev_get(dst->dev);
	own->rt6i_flags = rt->rt6i_flags & ~(RTF_CACHE | RTF_PCPU);
	own->rt6i_gateway = rt->rt6i_gateway;
	own->rt6i_dst = rt->rt6i_dst;
	own->dst.input = dst_discard;
	copy_output(&own->dst, dst);
	rcu_read_lock();
	from = rcu_dereference(rt->from);
	if (from && fib6_info_hold_safe(from))
		rcu_assign_pointer(own->from, from);
	rcu_read_unlock();
	return &own->dst;
}

static u32 dst_cookie(const struct dst_entry *dst)
{
	return dst->ops->family == AF_INET6 ? rt6_get_cookie(rt6_of(dst)) : 0;
}

/*
 * The MTU that an operator gave the route. A path MTU that the stack learned
 * is a metric of IPv6 routes too, and may be one that we told the senders of
 * inner packets: see above.
 */
static u32 stated_mtu6(const struct dst_entry *own)
{
	const struct fib6_info *from;
	u32 mtu;

	rcu_read_lock();
	from = rcu_dereference(rt6_of(own)->from);
	mtu = from ? from->fib6_pmtu : 0;
	rcu_read_unlock();
	return mtu;
}
#else
static struct dst_entry *lookup6(const struct kipsec_sa *sa,
				 const struct kipsec_lead *lead)
{
	return NULL;
}

static struct dst_entry *copy6(const struct dst_entry *dst)
{
	return NULL;
}

static u32 dst_cookie(const struct dst_entry *dst)
{
	return 0;
}

static u32 stated_mtu6(const struct dst_entry *own)
{
	return 0;
}
#endif

/* --- either -------------------------------------------------------------- */

static struct dst_entry *look_up(const struct kipsec_sa *sa,
				 const struct kipsec_lead *lead, u32 *mtu)
{
	bool ip6 = sa->id.family == AF_INET6;
	struct dst_entry *dst = ip6 ? lookup6(sa, lead) : lookup4(sa, lead);
	struct dst_entry *own;

	if (!dst)
		return NULL;
	own = ip6 ? copy6(dst) : copy4(dst);
	if (own)
		*mtu = ip6 ? stated_mtu6(own) : dst_metric_raw(dst, RTAX_MTU);
	dst_release(dst);
	return own;
}

static struct dst_entry *route_refresh(struct kipsec_sa *sa,
				       const struct kipsec_lead *lead,
				       struct dst_entry *old)
{
	struct dst_entry *own, *was;
	u32 mtu;

	own = look_up(sa, lead, &mtu);
	if (!own)
		return NULL;
	WRITE_ONCE(sa->route_mtu, mtu);
	/* before the route itself: a mixture only looks out of date */
	WRITE_ONCE(sa->dst_cookie, dst_cookie(own));
	was = unrcu_pointer(cmpxchg(&sa->dst, RCU_INITIALIZER(old),
				    RCU_INITIALIZER(own)));
	if (was != old) {
		/* Another CPU was faster; its answer is as good. */
		dst_release(own);
		return was;
	}
	dst_release(old);	/* freed after a grace period */
	return own;
}

/*
 * As in xfrm, the outer packet goes by the inner one's mark and VRF: rules that
 * ask of them would not bring it to the peer otherwise.
 */
static struct dst_entry *route_led(struct kipsec_sa *sa,
				   const struct kipsec_lead *lead)
{
	struct kipsec_way *way = rcu_dereference(sa->way);

	if (way && way->lead.mark == lead->mark && way->lead.vrf == lead->vrf &&
	    dst_check(way->dst, way->cookie))
		return way->dst;
	way = kmalloc(sizeof(*way), GFP_ATOMIC | __GFP_NOWARN);
	if (!way)
		return NULL;
	way->dst = look_up(sa, lead, &way->mtu);
	if (!way->dst) {
		kfree(way);
		return NULL;
	}
	way->lead = *lead;
	way->cookie = dst_cookie(way->dst);
	kipsec_way_free(unrcu_pointer(xchg(&sa->way, RCU_INITIALIZER(way))));
	return way->dst;
}

/* Without rules no mark leads anywhere else. */
static bool mark_matters(const struct kipsec_sa *sa)
{
	const struct net *net = sa->net->net;

#if IS_ENABLED(CONFIG_IPV6_MULTIPLE_TABLES)
	if (sa->id.family == AF_INET6)
		return net->ipv6.fib6_has_custom_rules;
#endif
#ifdef CONFIG_IP_MULTIPLE_TABLES
	if (sa->id.family == AF_INET)
		return net->ipv4.fib_has_custom_rules;
#endif
	return false;
}

struct dst_entry *kipsec_route_slow(struct kipsec_sa *sa,
				    struct kipsec_lead lead)
{
	if (lead.mark && !mark_matters(sa)) {
		lead.mark = 0;
		return kipsec_route(sa, lead);
	}
	if (lead.mark || lead.vrf)
		return route_led(sa, &lead);
	return route_refresh(sa, &lead, rcu_dereference(sa->dst));
}

/* Is it a route by which packets came that were for us? */
static bool dst_is_local(const struct dst_entry *dst)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (dst->ops->family == AF_INET6)
		return rt6_of(dst)->rt6i_flags & RTF_LOCAL;
#endif
	return container_of(dst, struct rtable, dst)->rt_type == RTN_LOCAL;
}

void kipsec_route_learn(struct kipsec_sa *sa, const struct sk_buff *skb)
{
	struct dst_entry *dst = skb_dst(skb);
	struct dst_entry *old = rcu_dereference(sa->in_dst);

	if (likely(dst == old && READ_ONCE(sa->in_ifindex) == skb->skb_iif))
		return;
	if (!dst || !dst_is_local(dst) || !dst_hold_safe(dst))
		return;
	WRITE_ONCE(sa->in_cookie, dst_cookie(dst));
	if (cmpxchg(&sa->in_dst, RCU_INITIALIZER(old), RCU_INITIALIZER(dst)) ==
	    RCU_INITIALIZER(old))
		dst_release(old);	/* freed after a grace period */
	else
		dst_release(dst);
	WRITE_ONCE(sa->in_ifindex, skb->skb_iif);
}

/*
 * A device that goes must not be held by a route that nobody uses, and packets
 * that name it must be gone before it.
 */
static int route_netdev_event(struct notifier_block *nb, unsigned long event,
			      void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct kipsec_net *kn = kipsec_net(dev_net(dev));

	if (event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;
	/* Else they name its number. */
	if (!KIPSEC_NO_NAMESPACE)
		kipsec_reinject_flush();
	if (kn && kn->sad)
		kipsec_sad_forget_routes(kn, dev);
	return NOTIFY_DONE;
}

static struct notifier_block route_netdev = {
	.notifier_call = route_netdev_event,
};

int kipsec_route_start(void)
{
	return register_netdevice_notifier(&route_netdev);
}

void kipsec_route_stop(void)
{
	unregister_netdevice_notifier(&route_netdev);
}
