/* SPDX-License-Identifier: GPL-2.0 */
/*
 * packet.h - changing packets of both families (floor 3): ownership of memory,
 * and the IP header in front of a transform's.
 */
#ifndef _KIPSEC_PACKET_H
#define _KIPSEC_PACKET_H

#include "../offload/crypto.h"
#include "header.h"

/** kipsec_job_tunnel() - does the SA at work add an IP header? */
static inline bool kipsec_job_tunnel(const struct kipsec_job *job)
{
	return job->tunnel & BIT(job->i);
}

/** kipsec_payload_transport() - kipsec_payload_len() in transport mode */
int kipsec_payload_transport(struct kipsec_job *job);

/**
 * kipsec_payload_len() - bytes that the SA at work protects
 * @job: the packet; @job->skb starts at its IP header
 *
 * All of it in tunnel mode, what follows the header in transport mode; with IPv6
 * a part of the extension headers belongs to the header.
 *
 * Return: bytes, or a negative errno with @job->reason.
 */
static inline int kipsec_payload_len(struct kipsec_job *job)
{
	return kipsec_job_tunnel(job) ? (int)job->skb->len :
					kipsec_payload_transport(job);
}

/**
 * kipsec_own_output() - make sure that we may write
 * @job: @job->skb starts at its IP header
 * @head: bytes that the transform adds behind the IP header
 * @tail: bytes that it appends
 * @apart: the cipher, if it may read the payload outside of the packet, or NULL
 *
 * Afterwards the skb is linear, nobody else sees its bytes, and there is room
 * for the transform, an outer IP header if in tunnel mode, and the link layer.
 * If it was not so, the packet is copied; the socket and its accounting move to
 * the copy, so that the sender's queue limits see one packet all along.
 *
 * With @apart a long packet that is not where it should be may be left where it is,
 * but for its headers, until the job is finished: then @job->text is the end of it,
 * with @tail writable bytes behind.
 *
 * Return: false without memory.
 */
bool kipsec_own_output(struct kipsec_job *job, unsigned int head,
		       unsigned int tail, const struct kipsec_cipher *apart);

/** kipsec_own_copy() - take a copy that nobody else sees, before decryption */
bool kipsec_own_copy(struct kipsec_job *job);

/** kipsec_own_input() - the same before decryption in place, without extra room */
static inline bool kipsec_own_input(struct kipsec_job *job)
{
	const struct sk_buff *skb = job->skb;

	return likely(!skb_cloned(skb) && !skb_is_nonlinear(skb)) ||
	       kipsec_own_copy(job);
}

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
 * kipsec_finish_header() - length and checksum of the header that SAs have made
 * @skb: passed SAs already; data at its IP header
 *
 * Before another tunnel wraps the packet, and before it is sent. What passed
 * unchanged (IPComp that did not shrink it) may be shared, and is not written to.
 */
void kipsec_finish_header(struct sk_buff *skb);

/**
 * kipsec_pop() - what came out of a transform becomes a packet again
 * @skb: data at the payload; the network header is still the outer one
 * @next: next header value from the transform
 * @sa: for its mode, and what its flags say of the outer header
 *
 * Return: 0 and the skb starts at its IP header, or the reason to drop it as a
 * negative number (-1 - reason).
 */
int kipsec_pop(struct sk_buff *skb, u8 next, const struct kipsec_sa *sa);

#endif /* _KIPSEC_PACKET_H */
