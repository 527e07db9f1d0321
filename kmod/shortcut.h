/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shortcut.h - what a packet may leave out because nobody would see it (floor 4).
 *
 * A protected packet for this host goes a long way: it is routed, passes LOCAL_IN,
 * is given to raw sockets and to the handler of its protocol; decapsulated, it enters
 * the stack once more where devices deliver, passes packet sockets, traffic control
 * and PRE_ROUTING again. All that costs as much as the rest of its decapsulation, and
 * is there for others: firewalls, captures. The kernel does say whether there are
 * any. If there are none, the packet is decapsulated in the hook of PRE_ROUTING, and
 * goes on from there in clear, as the packet that came.
 *
 * In the same way the tag that tells of the SA (check.c) is left off if nobody can
 * ask for it: neither rules of a firewall, nor xfrm.
 *
 * All questions are asked for each packet. Whoever begins to look, sees the next one.
 */
#ifndef _KIPSEC_SHORTCUT_H
#define _KIPSEC_SHORTCUT_H

#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/raw.h>
#include <net/rawv6.h>
#include <net/route.h>

#include "compat/compat.h"
#include "header.h"

/*
 * Packet sockets, traffic control and others where @dev delivers; RPS spreads packets
 * in clear over processors. Packet sockets of all devices are those of the namespace:
 * the stack's list of them, which dev_nit_active() reads, is one for all.
 */
static inline bool kipsec_watched(const struct net *net,
				  const struct net_device *dev)
{
	return !hlist_empty(&net->packet.sklist) ||
	       !list_empty(&dev->ptype_all) || kipsec_ingress(dev) ||
	       rcu_access_pointer(dev->rx_handler) ||
	       rcu_access_pointer(dev->xdp_prog) ||
	       netif_is_l3_slave(dev) || netif_is_l3_master(dev) ||
	       kipsec_rps();
}

/* Raw sockets get a copy of what the handler gets; some others share their list. */
static inline bool kipsec_raw_sockets(const struct net *net, bool ip6, u8 proto)
{
	u32 hash = raw_hashfunc(net, proto);

#if IS_ENABLED(CONFIG_IPV6)
	if (ip6)
		return !hlist_empty(&raw_v6_hashinfo.ht[hash]);
#endif
	return !hlist_empty(&raw_v4_hashinfo.ht[hash]);
}

static inline const struct nf_hook_entries *
kipsec_chain(const struct net *net, bool ip6, unsigned int hook)
{
	return ip6 ? rcu_dereference(net->nf.hooks_ipv6[hook]) :
		     rcu_dereference(net->nf.hooks_ipv4[hook]);
}

/**
 * kipsec_shortcut_in() - may a packet be decapsulated in the hook of PRE_ROUTING?
 * @net: the namespace
 * @skb: came in, for this host
 * @sa: the SA that it names
 *
 * Context: RCU read side, in that hook.
 */
static inline bool kipsec_shortcut_in(const struct net *net,
				      const struct sk_buff *skb,
				      const struct kipsec_sa *sa)
{
	bool ip6 = kipsec_is_ip6(skb);

	const struct nf_hook_entries *chain;

	chain = kipsec_chain(net, ip6, NF_INET_PRE_ROUTING);
	return !skb->active_extensions && kipsec_plain_esp(skb) &&
	       !sa->natt.type && chain && chain->num_hook_entries == 1 &&
	       !kipsec_chain(net, ip6, NF_INET_LOCAL_IN) &&
	       !kipsec_raw_sockets(net, ip6, IPPROTO_ESP) &&
	       !kipsec_watched(net, skb->dev);
}

/**
 * kipsec_xfrm_idle() - has xfrm nothing to say about packets that come in or go on?
 * @net: the namespace
 *
 * It would find that out by a search for each packet with a secpath.
 */
static inline bool kipsec_xfrm_idle(const struct net *net)
{
	const struct netns_xfrm *xfrm = &net->xfrm;

	return !READ_ONCE(xfrm->policy_count[XFRM_POLICY_IN]) &&
	       !READ_ONCE(xfrm->policy_count[XFRM_POLICY_FWD]) &&
	       !READ_ONCE(xfrm->policy_count[XFRM_POLICY_OUT]) &&
	       xfrm->policy_default[XFRM_POLICY_IN] == XFRM_USERPOLICY_ACCEPT &&
	       xfrm->policy_default[XFRM_POLICY_FWD] == XFRM_USERPOLICY_ACCEPT;
}

/**
 * kipsec_calm_xfrm() - the packet has been checked by us: xfrm need not
 * @net: the namespace
 * @skb: came in; tagged
 *
 * IPv4 alone has a flag for this.
 */
static inline void kipsec_calm_xfrm(const struct net *net, struct sk_buff *skb)
{
	if (!kipsec_is_ip6(skb) && kipsec_xfrm_idle(net))
		IPCB(skb)->flags |= IPSKB_NOPOLICY;
}

/*
 * The two find the packet's way as the stack would, and tell whether the tag may go:
 * the stack knows by it whom not to tell of a shorter way (ICMP redirect), and whose
 * source need not lie where the packet came from. In IPv4 what it would tell can be
 * taken back; in IPv6 nothing is told if the way leads on to another device.
 */
static inline bool kipsec_untagged4(struct sk_buff *skb)
{
	struct in_device *in = __in_dev_get_rcu(skb->dev);

	if (!in || IN_DEV_RPFILTER(in) == 1 || kipsec_route_input(skb))
		return false;
	IPCB(skb)->flags &= ~IPSKB_DOREDIRECT;
	return true;
}

#if IS_ENABLED(CONFIG_IPV6)
/* Of errors the stack looks at the packet inside: theirs is another way. */
static inline bool kipsec_untagged6(struct net *net, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	struct flowi6 fl6 = {
		.flowi6_iif = skb->dev->ifindex,
		.flowi6_mark = skb->mark,
		.flowi6_proto = ip6->nexthdr,
		.daddr = ip6->daddr,
		.saddr = ip6->saddr,
		.flowlabel = ip6_flowinfo(ip6),
	};
	struct dst_entry *dst;
	struct flow_keys keys;

	if (ip6->nexthdr == IPPROTO_ICMPV6)
		return false;
	fib6_rules_early_flow_dissect(net, skb, &fl6, &keys);
	dst = ip6_route_input_lookup(net, skb->dev, &fl6, skb,
				     RT6_LOOKUP_F_HAS_SADDR |
				     RT6_LOOKUP_F_DST_NOREF);
	skb_dst_set_noref(skb, dst);
	return dst->dev != skb->dev;
}
#else
static inline bool kipsec_untagged6(struct net *net, struct sk_buff *skb)
{
	return false;
}
#endif

/**
 * kipsec_shortcut_tag() - will nobody ask how the packet came in?
 * @net: the namespace
 * @skb: in clear, no tag; may be routed on return
 *
 * Neither xfrm, nor rules (behind FORWARD none can), nor the stack itself.
 *
 * To be asked after kipsec_shortcut_in().
 *
 * Context: RCU read side.
 */
static inline bool kipsec_shortcut_tag(struct net *net, struct sk_buff *skb)
{
	bool ip6 = kipsec_is_ip6(skb);

	if (!kipsec_xfrm_idle(net) || kipsec_chain(net, ip6, NF_INET_FORWARD))
		return false;
	return ip6 ? kipsec_untagged6(net, skb) : kipsec_untagged4(skb);
}

#endif /* _KIPSEC_SHORTCUT_H */
