/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pmtu.h - packets that do not fit (floor 4).
 */
#ifndef _KIPSEC_PMTU_H
#define _KIPSEC_PMTU_H

#include <linux/skbuff.h>

#include "output.h"
#include "route.h"

/**
 * kipsec_inner_max() - the longest packet that fits a path
 * @path: the SAs to pass
 * @dst: route of the outermost
 *
 * Return: bytes, with the packet's own IP header.
 */
unsigned int kipsec_inner_max(const struct kipsec_path *path,
			      const struct dst_entry *dst);

/* No transform adds more than this; most packets are judged by it alone. */
#define KIPSEC_MAX_OVERHEAD	160

/** kipsec_fit_slow() - kipsec_fit() of what may be too long */
int kipsec_fit_slow(struct sk_buff *skb, const struct kipsec_path *path,
		    const struct dst_entry *dst);

/**
 * kipsec_fit() - will a packet fit the path once it is protected?
 * @skb: the packet before protection, with its own route
 * @path: the SAs to pass
 * @dst: route of the outermost
 *
 * A TCP super-packet whose segments would be too long is told to make shorter
 * ones. Other packets that may not be fragmented are refused, and their sender
 * is told what would fit (RFC 4301 section 8.2.1).
 *
 * Return: 0; or, if the packet shall be fragmented first, how long a fragment
 * may be; or -EMSGSIZE. The skb stays the caller's.
 */
static inline int kipsec_fit(struct sk_buff *skb,
			     const struct kipsec_path *path,
			     const struct dst_entry *dst)
{
	unsigned int mtu = kipsec_route_mtu(path->sa[path->n - 1], dst);

	if (likely(!skb_is_gso(skb) &&
		   skb->len + path->n * KIPSEC_MAX_OVERHEAD <= mtu))
		return 0;
	return kipsec_fit_slow(skb, path, dst);
}

/**
 * kipsec_pmtu_icmp4() - an ICMP error came back for one of our packets
 * @skb: data at the IP header of the packet in question
 * @mtu: what the router on the way can carry
 *
 * Return: 0 if it was ours, -ENOENT if not.
 */
int kipsec_pmtu_icmp4(struct sk_buff *skb, u32 mtu);

/**
 * kipsec_pmtu_icmp6() - ICMPv6 about a packet that we may have sent
 * @skb: data at the IPv6 header that the message quotes
 * @proto: IPsec protocol of the quoted packet
 * @type: of the message
 * @off: of the IPsec header from the start of the data
 * @mtu: that the message states
 *
 * Context: RCU read side. Return: 0 if it was ours, else -ENOENT.
 */
int kipsec_pmtu_icmp6(struct sk_buff *skb, u8 proto, u8 type, int off, u32 mtu);

/**
 * kipsec_pmtu_hear() - ICMP came in; perhaps about packets of ours
 * @kn: namespace
 * @skb: any ICMP or ICMPv6 packet, data at its IP header
 *
 * About ESP in UDP the stack tells the key manager's socket only; and for want of
 * protection a policy may drop the message before the stack has seen it.
 *
 * Context: RCU read side.
 */
void kipsec_pmtu_hear(struct kipsec_net *kn, struct sk_buff *skb);

#endif /* _KIPSEC_PMTU_H */
