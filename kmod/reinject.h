/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reinject.h - the decapsulated packet's way back into the stack (floor 4).
 */
#ifndef _KIPSEC_REINJECT_H
#define _KIPSEC_REINJECT_H

#include <linux/netdevice.h>

#include "header.h"

/**
 * kipsec_reinject() - hand a decapsulated packet to the stack; consumes it
 * @skb: data at its IP header, MAC header before it, device set
 *
 * Context: BH off, RCU read side.
 */
void kipsec_reinject(struct sk_buff *skb);

/**
 * kipsec_reinject_flush() - wait until nothing reinjected before is under way
 *
 * For a device, or a namespace, that no longer brings packets and is about to go.
 * Context: may sleep.
 */
void kipsec_reinject_flush(void);

int kipsec_reinject_start(void);
/** kipsec_reinject_stop() - no packet is under way any more */
void kipsec_reinject_stop(void);

/** kipsec_reinject_joins() - would kipsec_reinject() join it with others? (GRO) */
static inline bool kipsec_reinject_joins(const struct sk_buff *skb)
{
	u8 proto = kipsec_is_ip6(skb) ? ipv6_hdr(skb)->nexthdr :
					ip_hdr(skb)->protocol;

	return proto == IPPROTO_TCP &&
	       (KIPSEC_NO_NAMESPACE || skb->dev->features & NETIF_F_GRO);
}

#endif /* _KIPSEC_REINJECT_H */
