/* SPDX-License-Identifier: GPL-2.0 */
/*
 * route.h - the way of the outer packet (floor 4).
 */
#ifndef _KIPSEC_ROUTE_H
#define _KIPSEC_ROUTE_H

#include <net/dst.h>
#include <net/l3mdev.h>

#include "sad.h"

/** kipsec_vrf() - index of the VRF that a routed packet goes out by, 0 none */
static inline int kipsec_vrf(const struct sk_buff *skb)
{
	const struct net_device *dev = skb_dst(skb)->dev;

	return unlikely(netif_is_l3_slave(dev)) ?
		l3mdev_master_ifindex_rcu(dev) : 0;
}

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
struct dst_entry *kipsec_route(struct kipsec_sa *sa,
			       const struct kipsec_lead *lead);

/** kipsec_route_mtu() - what fits on the path of the outer packet, in bytes */
unsigned int kipsec_route_mtu(const struct kipsec_sa *sa,
			      const struct dst_entry *dst);

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
struct dst_entry *kipsec_route_in(const struct kipsec_sa *sa,
				  const struct sk_buff *skb);

/** kipsec_route_start() - watch for devices that go away; once per load */
int kipsec_route_start(void);
void kipsec_route_stop(void);

#endif /* _KIPSEC_ROUTE_H */
