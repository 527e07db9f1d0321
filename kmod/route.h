/* SPDX-License-Identifier: GPL-2.0 */
/*
 * route.h - the way of the outer packet (floor 4).
 */
#ifndef _KIPSEC_ROUTE_H
#define _KIPSEC_ROUTE_H

#include <net/dst.h>
#include <net/l3mdev.h>
#include <net/route.h>

#include "sa.h"

/** kipsec_vrf() - index of the VRF that a routed packet goes out by, 0 none */
static inline int kipsec_vrf(const struct sk_buff *skb)
{
	const struct net_device *dev = skb_dst(skb)->dev;

	return unlikely(netif_is_l3_slave(dev)) ?
		l3mdev_master_ifindex_rcu(dev) : 0;
}

/* A remembered route of @sa's family: is it still what the table would give? */
static inline bool kipsec_dst_holds(const struct kipsec_sa *sa,
				    struct dst_entry *dst, u32 cookie)
{
	const struct rtable *rt = container_of(dst, struct rtable, dst);

	if (sa->id.family == AF_INET6)
		return dst_check(dst, cookie);
	return dst->obsolete == DST_OBSOLETE_FORCE_CHK &&
	       rt->rt_genid == rt_genid_ipv4(sa->net->net);
}

/** kipsec_route_slow() - kipsec_route() of what is not remembered, or has a lead */
struct dst_entry *kipsec_route_slow(struct kipsec_sa *sa,
				    struct kipsec_lead lead);

/**
 * kipsec_route() - the remembered route from an SA's source to its destination
 * @sa: the SA
 * @lead: of the packet that it is for
 *
 * A private copy, looked up again when routing has changed. Of routes with a
 * lead only that of the last one is remembered.
 *
 * Context: RCU read side; valid in it, no reference taken.
 * Return: the route or NULL.
 */
static inline struct dst_entry *kipsec_route(struct kipsec_sa *sa,
					     struct kipsec_lead lead)
{
	struct dst_entry *dst = rcu_dereference(sa->dst);

	if (likely(!lead.mark && !lead.vrf && dst &&
		   kipsec_dst_holds(sa, dst, READ_ONCE(sa->dst_cookie))))
		return dst;
	return kipsec_route_slow(sa, lead);
}

/**
 * kipsec_route_mtu() - what fits on the path of the outer packet, in bytes
 * @sa: the SA
 * @dst: from kipsec_route()
 */
static inline unsigned int kipsec_route_mtu(const struct kipsec_sa *sa,
					    const struct dst_entry *dst)
{
	const struct kipsec_way *way = rcu_dereference(sa->way);
	unsigned int mtu = READ_ONCE(sa->route_mtu);
	unsigned int learned = READ_ONCE(sa->pmtu);

	if (unlikely(way) && way->dst == dst)
		mtu = way->mtu;
	if (!mtu)
		mtu = READ_ONCE(dst->dev->mtu);
	if (unlikely(learned) && learned < mtu &&
	    kipsec_now() < READ_ONCE(sa->pmtu_until))
		mtu = learned;
	return mtu;
}

/**
 * kipsec_route_learn() - remember by which route packets for an SA come in
 * @sa: the SA for which @skb was, beyond doubt
 * @skb: with the route of the outer packet
 *
 * Context: RCU read side.
 */
void kipsec_route_learn(struct kipsec_sa *sa, const struct sk_buff *skb);

/**
 * kipsec_route_in() - the remembered route of packets for an SA
 * @sa: the SA for which it claims to be
 * @skb: has come in, and not been routed
 *
 * It may be set as the packet's own, as the stack does it for packets of connected
 * sockets (early demux).
 *
 * Context: RCU read side; valid in it, no reference taken.
 * Return: a route to this host, by which packets for @sa came from the same
 * device, or NULL.
 */
static inline struct dst_entry *kipsec_route_in(const struct kipsec_sa *sa,
						const struct sk_buff *skb)
{
	struct dst_entry *dst = rcu_dereference(sa->in_dst);

	if (!dst || READ_ONCE(sa->in_ifindex) != skb->skb_iif || skb_dst(skb) ||
	    !kipsec_dst_holds(sa, dst, READ_ONCE(sa->in_cookie)))
		return NULL;
	return dst;
}

/** kipsec_route_start() - watch for devices that go away; once per load */
int kipsec_route_start(void);
void kipsec_route_stop(void);

#endif /* _KIPSEC_ROUTE_H */
