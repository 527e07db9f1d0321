// SPDX-License-Identifier: GPL-2.0
/*
 * packet.c - work on packets that knows the address family (floor 3).
 *
 * Nothing here or above writes into memory that a packet does not own: a
 * transform works on a linear buffer that no clone shares, or on a fresh copy
 * of it. Pages in fragments (files that were spliced into a socket, a TCP
 * retransmit queue) are only ever read.
 */
#include <linux/icmp.h>
#include <net/dsfield.h>
#include <net/inet_ecn.h>

#include "packet.h"
#include "stats.h"

/* --- flows --------------------------------------------------------------- */

/* Ports, or type and code of ICMP. False if the packet is too short for them. */
static noinline bool flow_upper(const struct sk_buff *skb,
				struct kipsec_flow *fl, int off)
{
	__be16 buf[2], *ports;
	u8 *icmp;

	switch (fl->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		ports = skb_header_pointer(skb, off, sizeof(buf), buf);
		if (!ports)
			return false;
		fl->sport = ports[0];
		fl->dport = ports[1];
		return true;
	case IPPROTO_ICMP:
		icmp = skb_header_pointer(skb, off, 2, buf);
		if (!icmp)
			return false;
		fl->sport = htons(icmp[0]);
		fl->dport = htons(icmp[1]);
		return true;
	default:
		return true;
	}
}

bool kipsec_flow_get(const struct sk_buff *skb, struct kipsec_flow *fl)
{
	const struct iphdr *iph = ip_hdr(skb);
	const u8 *upper = (const u8 *)iph + iph->ihl * 4;
	u8 proto = iph->protocol;

	fl->w[1] = 0;
	fl->family = AF_INET;
	fl->proto = proto;
	fl->addr[0] = iph->saddr;
	fl->addr[1] = iph->daddr;
	/* Most packets are whole, and TCP or UDP with the ports at hand. */
	if (likely((proto == IPPROTO_UDP || proto == IPPROTO_TCP) &&
		   !(iph->frag_off & htons(IP_OFFSET)) &&
		   upper + sizeof(u32) <= skb_tail_pointer(skb))) {
		fl->w[0] = *(const u32 *)upper;
		return true;
	}
	fl->w[0] = 0;
	if (iph->frag_off & htons(IP_OFFSET))
		return true;
	return flow_upper(skb, fl, upper - skb->data);
}

/* --- ownership ----------------------------------------------------------- */

/* A linear copy with this much room takes the packet's place. */
static bool packet_copy(struct kipsec_job *job, unsigned int head,
			unsigned int tail)
{
	struct sk_buff *skb = job->skb, *copy;

	copy = skb_copy_expand(skb, head, tail, GFP_ATOMIC | __GFP_NOWARN);
	if (!copy)
		return false;
	if (skb->sk) {
		/*
		 * The sender was charged skb->truesize, and that is what the
		 * destructor gives back: keep it, whatever the copy's size is.
		 */
		swap(copy->sk, skb->sk);
		swap(copy->destructor, skb->destructor);
		copy->truesize = skb->truesize;
	}
	consume_skb(skb);
	job->skb = copy;
	return true;
}

/*
 * The room is there, but on the wrong side: allocators round up, so a small
 * packet has plenty behind it. To move it costs less than any allocation.
 */
static void packet_shift(struct sk_buff *skb, int delta)
{
	unsigned int thoff = skb_transport_offset(skb);

	memmove(skb->data + delta, skb->data, skb->len);
	skb->data += delta;
	skb_set_tail_pointer(skb, skb->len);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, thoff);
}

bool kipsec_own_output(struct kipsec_job *job, unsigned int head,
		       unsigned int tail)
{
	int more;

	struct sk_buff *skb = job->skb;

	head += job->ll;
	if (kipsec_job_tunnel(job))
		head += kipsec_ip_header(job->sa->id.family);
	if (skb_cloned(skb) || skb_is_nonlinear(skb))
		goto copy;
	more = head - skb_headroom(skb);
	if (more > 0) {
		more = ALIGN(more, sizeof(u64));
		if (skb_tailroom(skb) < more + (int)tail)
			goto copy;
		packet_shift(skb, more);
	} else if (skb_tailroom(skb) < (int)tail) {
		goto copy;
	}
	return true;
copy:
	kipsec_count(job->sa->net, KIPSEC_COUNT_OUT_COPIED);
	return packet_copy(job, head, tail);
}

bool kipsec_own_input(struct kipsec_job *job)
{
	struct sk_buff *skb = job->skb;

	if (!skb_cloned(skb) && !skb_is_nonlinear(skb))
		return true;
	kipsec_count(job->sa->net, KIPSEC_COUNT_IN_COPIED);
	return packet_copy(job, skb_headroom(skb), 0);
}

/* --- headers ------------------------------------------------------------- */

static __be16 outer_df(const struct kipsec_knobs *knobs,
		       const struct sk_buff *skb, const struct iphdr *inner)
{
	if (skb->ignore_df)
		return 0;
	switch (READ_ONCE(knobs->df)) {
	case 0:
		return 0;
	case 1:
		return htons(IP_DF);
	default:
		return inner->frag_off & htons(IP_DF);
	}
}

/* A new header in front of a whole packet. */
static u8 push_tunnel(struct kipsec_job *job, unsigned int head)
{
	const struct kipsec_knobs *knobs = &job->sa->net->knobs;
	const struct kipsec_sa *sa = job->sa;
	struct sk_buff *skb = job->skb;
	const struct iphdr *inner = ip_hdr(skb);
	struct iphdr *iph;
	u8 tos;

	/* RFC 6040 section 4.1: copy, congestion marks too, or none of them. */
	tos = ipv4_get_dsfield(inner);
	if (!READ_ONCE(knobs->ecn))
		tos &= ~INET_ECN_MASK;
	__skb_push(skb, sizeof(*iph) + head);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, sizeof(*iph));
	iph = ip_hdr(skb);
	iph->version = 4;
	iph->ihl = 5;
	iph->tos = tos;
	iph->frag_off = outer_df(knobs, skb, inner);
	iph->ttl = READ_ONCE(sa->net->net->ipv4.sysctl_ip_default_ttl);
	iph->protocol = sa->id.proto;
	iph->saddr = sa->src.ip;
	iph->daddr = sa->id.dst.ip;
	ip_select_ident(sa->net->net, skb, NULL);
	return IPPROTO_IPIP;
}

/* The packet's own header moves forward; its protocol goes into the trailer. */
static u8 push_transport(struct kipsec_job *job, unsigned int head)
{
	struct sk_buff *skb = job->skb;
	unsigned int ihl = ip_hdrlen(skb);
	u8 next = ip_hdr(skb)->protocol;

	__skb_push(skb, head);
	memmove(skb->data, skb->data + head, ihl);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, ihl);
	ip_hdr(skb)->protocol = job->sa->id.proto;
	return next;
}

u8 kipsec_push(struct kipsec_job *job, unsigned int head)
{
	return kipsec_job_tunnel(job) ? push_tunnel(job, head) :
					push_transport(job, head);
}

#define POP_FAIL(reason)	(-1 - KIPSEC_DROP_##reason)

/* The inner packet was there all along; the outer header goes. */
static int pop_tunnel(struct sk_buff *skb, bool ecn)
{
	u8 outer_tos = ip_hdr(skb)->tos;
	struct iphdr *iph = (struct iphdr *)skb->data;
	unsigned int len;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return POP_FAIL(IN_INNER);
	iph = (struct iphdr *)skb->data;
	len = ntohs(iph->tot_len);
	if (iph->version != 4 || iph->ihl < 5 || len < iph->ihl * 4 ||
	    len > skb->len || !pskb_may_pull(skb, iph->ihl * 4))
		return POP_FAIL(IN_INNER);
	/* What follows the packet is padding of the peer's (RFC 4303, 2.7). */
	__skb_trim(skb, len);
	skb_reset_network_header(skb);
	if (ecn && INET_ECN_is_ce(outer_tos))
		IP_ECN_set_ce(ip_hdr(skb));
	return 0;
}

/* The outer header becomes the packet's own again. */
static int pop_transport(struct sk_buff *skb, u8 next)
{
	unsigned int ihl = ip_hdrlen(skb);
	struct iphdr *iph;

	memmove(skb->data - ihl, skb_network_header(skb), ihl);
	__skb_push(skb, ihl);
	skb_reset_network_header(skb);
	iph = ip_hdr(skb);
	iph->protocol = next;
	iph->tot_len = htons(skb->len);
	ip_send_check(iph);
	return 0;
}

int kipsec_pop(struct sk_buff *skb, u8 next, const struct kipsec_sa *sa,
	       bool ecn)
{
	int err;

	if (next == IPPROTO_NONE)
		return POP_FAIL(IN_DUMMY);
	if (sa->mode == KIPSEC_MODE_TUNNEL && next != IPPROTO_IPIP)
		return POP_FAIL(IN_NEXT_HEADER);
	/* An SA of no stated mode takes an inner IP header for a tunnel. */
	if (next == IPPROTO_IPIP && sa->mode != KIPSEC_MODE_TRANSPORT)
		err = pop_tunnel(skb, ecn);
	else
		err = pop_transport(skb, next);
	if (err)
		return err;
	skb_set_transport_header(skb, ip_hdrlen(skb));
	skb_mac_header_rebuild(skb);
	skb->protocol = htons(ETH_P_IP);
	return 0;
}
