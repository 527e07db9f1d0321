/* SPDX-License-Identifier: GPL-2.0 */
/*
 * route.h - the way of the outer packet (floor 4).
 */
#ifndef _KIPSEC_ROUTE_H
#define _KIPSEC_ROUTE_H

#include <net/dst.h>

struct kipsec_sa;
struct sk_buff;

/**
 * kipsec_route() - the remembered route from an SA's source to its destination
 * @sa: the SA
 *
 * A private copy, looked up again when routing has changed.
 *
 * Context: RCU read side; valid in it, no reference taken.
 * Return: the route or NULL.
 */
struct dst_entry *kipsec_route(struct kipsec_sa *sa);

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
 * kipsec_route_early() - spare a packet the look-up of its way in
 * @sa: the SA for which it claims to be
 * @skb: without a route; gets the remembered one if it came from the same device
 *
 * As the stack does it for packets of connected sockets (early demux).
 *
 * Context: RCU read side.
 */
void kipsec_route_early(const struct kipsec_sa *sa, struct sk_buff *skb);

/** kipsec_route_start() - watch for devices that go away; once per load */
int kipsec_route_start(void);
void kipsec_route_stop(void);

#endif /* _KIPSEC_ROUTE_H */
