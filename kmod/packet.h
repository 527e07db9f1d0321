/* SPDX-License-Identifier: GPL-2.0 */
/*
 * packet.h - work on packets that knows the address family (floor 3): flows,
 * ownership of memory, and the IP header in front of a transform's.
 */
#ifndef _KIPSEC_PACKET_H
#define _KIPSEC_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/ip.h>

#include "../offload/crypto.h"
#include "selector.h"

/** kipsec_ip_header() - bytes of an IP header without options */
static inline unsigned int kipsec_ip_header(u8 family)
{
	return family == AF_INET6 ? sizeof(struct ipv6hdr) :
				    sizeof(struct iphdr);
}

/** kipsec_job_tunnel() - does the SA at work add an IP header? */
static inline bool kipsec_job_tunnel(const struct kipsec_job *job)
{
	return job->tunnel & BIT(job->i);
}

/**
 * kipsec_payload_len() - bytes that the SA at work protects
 * @job: the packet
 *
 * @job->skb starts at its IP header: all of it in tunnel mode, what follows the
 * header in transport mode.
 */
static inline unsigned int kipsec_payload_len(const struct kipsec_job *job)
{
	if (kipsec_job_tunnel(job))
		return job->skb->len;
	return job->skb->len - ip_hdrlen(job->skb);
}

/**
 * kipsec_flow_get() - what the policy look-up sees of a packet
 * @skb: with the network header set; not changed
 * @fl: filled in
 *
 * A fragment other than the first has no ports.
 *
 * Return: false if the headers cannot be read.
 */
bool kipsec_flow_get(const struct sk_buff *skb, struct kipsec_flow *fl);

/*
 * Who reassembles, for kipsec_whole(): fragments of different numbers never
 * meet. The kernel's own numbers are small.
 */
#define KIPSEC_DEFRAG_IN	0x4b000000	/* in clear, on input */
#define KIPSEC_DEFRAG_OUT	0x4b000001	/* of a raw socket */
#define KIPSEC_DEFRAG_SA	0x80000000	/* and up: out of one SA */

/**
 * kipsec_whole() - a fragment has no ports, so policies see whole packets only
 * @net: the namespace
 * @skb: the packet
 * @user: one of the above
 *
 * Return: true if it was whole, or is now, with this fragment; false if it was
 * kept until the others come.
 */
static inline bool kipsec_whole(struct net *net, struct sk_buff *skb, u32 user)
{
	int err;

	if (likely(!ip_is_fragment(ip_hdr(skb))))
		return true;
	local_bh_disable();
	err = ip_defrag(net, skb, user);
	local_bh_enable();
	if (!err)
		skb->ignore_df = 1;	/* it did not come in one piece */
	return !err;
}

/**
 * kipsec_own_output() - make sure that we may write
 * @job: @job->skb starts at its IP header
 * @head: bytes that the transform adds behind the IP header
 * @tail: bytes that it appends
 *
 * Afterwards the skb is linear, nobody else sees its bytes, and there is room
 * for the transform, an outer IP header if in tunnel mode, and the link layer.
 * If it was not so, the packet is copied; the socket and its accounting move to
 * the copy, so that the sender's queue limits see one packet all along.
 *
 * Return: false without memory.
 */
bool kipsec_own_output(struct kipsec_job *job, unsigned int head,
		       unsigned int tail);

/** kipsec_own_input() - the same before decryption in place, without extra room */
bool kipsec_own_input(struct kipsec_job *job);

/**
 * kipsec_push() - open room for the transform's header, with IP before it
 * @job: after kipsec_own_output()
 * @head: bytes for the transform
 *
 * Tunnel mode: a new IP header goes in front (RFC 4301 section 5.1.2).
 * Transport mode: the packet's own moves forward. The network header is then
 * the outer IP header, the transport header the transform's. The length and
 * checksum of the IP header are left to kipsec_send().
 *
 * Return: the next header value that tells the peer what is inside.
 */
u8 kipsec_push(struct kipsec_job *job, unsigned int head);

/**
 * kipsec_pop() - what came out of a transform becomes a packet again
 * @skb: data at the payload; the network header is still the outer one
 * @next: next header value from the transform
 * @sa: for its mode
 * @ecn: carry a congestion mark of the outer header inward
 *
 * Return: 0 and the skb starts at its IP header, or the reason to drop it as a
 * negative number (-1 - reason).
 */
int kipsec_pop(struct sk_buff *skb, u8 next, const struct kipsec_sa *sa,
	       bool ecn);

#endif /* _KIPSEC_PACKET_H */
