/* SPDX-License-Identifier: GPL-2.0 */
/*
 * natt.h - ESP in UDP, for peers behind address translation (RFC 3948; floor 3).
 */
#ifndef _KIPSEC_NATT_H
#define _KIPSEC_NATT_H

#include <linux/udp.h>

#include "sa.h"

struct kipsec_job;
struct kipsec_upper;
struct sk_buff;

/** kipsec_natt_room() - bytes of UDP header that an SA's packets have */
static inline unsigned int kipsec_natt_room(const struct kipsec_sa *sa)
{
	return unlikely(sa->natt.type) ? sizeof(struct udphdr) : 0;
}

/**
 * kipsec_natt_push() - fill in the UDP header
 * @job: the packet, complete but for encryption; the transport header points to
 *	the room, and is behind it afterwards
 */
void kipsec_natt_push(struct kipsec_job *job);

/**
 * kipsec_natt_sum() - the UDP checksum, once the packet is encrypted
 * @job: the packet, of an SA with encapsulation
 *
 * IPv4 goes without (RFC 3948 section 2.1); IPv6 must not.
 */
void kipsec_natt_sum(struct kipsec_job *job);

/**
 * kipsec_natt_seen() - notice that the peer's address or port has changed
 * @sa: an SA with encapsulation
 * @skb: a packet that it has authenticated, still with all its headers
 *
 * Key managers are told, at most once a second. RCU read side, BH off.
 */
void kipsec_natt_seen(struct kipsec_sa *sa, const struct sk_buff *skb);

/**
 * kipsec_natt_is() - is this UDP packet ESP for an SA of ours?
 * @kn: the namespace
 * @skb: the packet
 * @up: its UDP header
 *
 * By the port, which is the key manager's, and the SPI. RCU read side.
 */
bool kipsec_natt_is(struct kipsec_net *kn, const struct sk_buff *skb,
		    const struct kipsec_upper *up);

#endif /* _KIPSEC_NATT_H */
