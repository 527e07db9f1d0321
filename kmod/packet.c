// SPDX-License-Identifier: GPL-2.0
/*
 * packet.c - changing packets of both families (floor 3).
 *
 * Nothing here or above writes into memory that a packet does not own: a
 * transform works on a linear buffer that no clone shares, or on a fresh copy
 * of it. Pages in fragments (files that were spliced into a socket, a TCP
 * retransmit queue) are only ever read.
 */
#include <linux/udp.h>
#include <net/dsfield.h>
#include <net/inet_ecn.h>

#include "../uapi/pfkeyv2.h"
#include "packet.h"
#include "stats.h"

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
 * packet has plenty behind it, and TCP's segments have more before them than we
 * want. To move it costs less than any allocation.
 */
static inline void packet_shift(struct sk_buff *skb, int delta)
{
	unsigned int thoff = skb_transport_offset(skb);

	memmove(skb->data + delta, skb->data, skb->len);
	skb->data += delta;
	skb_set_tail_pointer(skb, skb->len);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, thoff);
}

static noinline bool output_copy(struct kipsec_job *job, unsigned int head,
				 unsigned int tail)
{
	kipsec_count(job->sa->net, KIPSEC_COUNT_OUT_COPIED);
	return packet_copy(job, head, tail);
}

/* Longer packets are not moved, if that can be helped, but for these bytes. */
#define MOVED_MAX	400
#define HEADERS_MAX	64

static bool job_spare(struct kipsec_job *job, unsigned int size)
{
	unsigned int shared = SKB_DATA_ALIGN(sizeof(struct skb_shared_info));

	if (likely(job->spare_size == size))
		return true;
	kfree(job->spare);
	job->spare = kmalloc(size + shared, GFP_ATOMIC | __GFP_NOWARN);
	job->spare_size = job->spare ? size : 0;
	return job->spare;
}

/* Is its memory like ours, and does nobody else have a part in it? */
static bool packet_plain(const struct sk_buff *skb)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);

	return !skb->head_frag && !skb->pp_recycle && !skb_pfmemalloc(skb) &&
	       !shared->flags && !shared->tx_flags && !skb_is_gso(skb);
}

/*
 * Room without moving a long packet: it changes its memory for some of the same size,
 * takes its headers along, and the cipher, which writes every byte of the rest
 * anyway, reads it where it was, perhaps with a block before it. What the packet has
 * left is for the next one.
 */
static bool packet_leave(struct kipsec_job *job, unsigned int head,
			 unsigned int tail)
{
	unsigned int size = skb_end_offset(job->skb);
	struct sk_buff *skb = job->skb;
	unsigned int thoff = skb_transport_offset(skb);
	struct skb_shared_info *shared;
	u8 *left = skb->head, *text;

	head = ALIGN(head, sizeof(u64));
	if (!packet_plain(skb) || skb_tailroom(skb) < (int)tail ||
	    skb_headroom(skb) < KIPSEC_MAX_IV ||
	    head + skb->len + tail > size || !job_spare(job, size))
		return false;
	text = skb->data;
	job->text = skb_tail_pointer(skb);
	skb->head = job->spare;
	skb->data = skb->head + head;
	job->spare = left;
	skb_set_tail_pointer(skb, skb->len);
	memcpy(skb->data, text, HEADERS_MAX);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, thoff);
	shared = skb_shinfo(skb);
	memset(shared, 0, offsetof(struct skb_shared_info, dataref));
	atomic_set(&shared->dataref, 1);
	return true;
}

/* How far to move it for @head bytes before it and @tail behind; 0 not at all. */
static int shift_for(const struct sk_buff *skb, int head, int tail)
{
	int head_lacks = head - (int)skb_headroom(skb);
	int tail_lacks = tail - skb_tailroom(skb);

	if (head_lacks > 0)
		return ALIGN(head_lacks, sizeof(u64));
	return tail_lacks > 0 ? -(int)ALIGN(tail_lacks, sizeof(u64)) : 0;
}

/* Are its headers among the bytes that it takes along? */
static bool headers_short(const struct kipsec_job *job)
{
	u8 *nexthdr;

	return kipsec_job_tunnel(job) ||
	       kipsec_next_header(job->skb, &nexthdr) <= HEADERS_MAX;
}

/* Can it be moved? */
static bool fits_moved(const struct sk_buff *skb, int head, int tail, int shift)
{
	return (int)skb_headroom(skb) + shift >= head &&
	       skb_tailroom(skb) - shift >= tail;
}

static noinline bool own_long(struct kipsec_job *job, unsigned int head,
			      unsigned int tail, int shift,
			      const struct kipsec_cipher *apart)
{
	if (apart && kipsec_crypt_apart(apart) && headers_short(job) &&
	    packet_leave(job, head, tail))
		return true;
	if (!fits_moved(job->skb, head, tail, shift))
		return output_copy(job, head, tail);
	packet_shift(job->skb, shift);
	return true;
}

bool kipsec_own_output(struct kipsec_job *job, unsigned int head,
		       unsigned int tail, const struct kipsec_cipher *apart)
{
	struct sk_buff *skb = job->skb;
	int shift;

	job->text = NULL;
	head += job->ll;
	if (kipsec_job_tunnel(job))
		head += kipsec_ip_header(job->sa->id.family);
	if (unlikely(skb_cloned(skb) || skb_is_nonlinear(skb)))
		return output_copy(job, head, tail);
	shift = shift_for(skb, head, tail);
	if (!shift)
		return true;
	if (skb->len > MOVED_MAX)
		return own_long(job, head, tail, shift, apart);
	if (!fits_moved(skb, head, tail, shift))
		return output_copy(job, head, tail);
	packet_shift(skb, shift);
	return true;
}

bool kipsec_own_copy(struct kipsec_job *job)
{
	kipsec_count(job->sa->net, KIPSEC_COUNT_IN_COPIED);
	return packet_copy(job, skb_headroom(job->skb), 0);
}

/* --- outgoing headers ---------------------------------------------------- */

int kipsec_payload_transport(struct kipsec_job *job)
{
	u8 *nexthdr;
	int head = kipsec_next_header(job->skb, &nexthdr);

	if (unlikely(head < 0)) {
		job->reason = KIPSEC_DROP_OUT_MALFORMED;
		return head;
	}
	return job->skb->len - head;
}

static __be16 outer_df(const struct kipsec_sa *sa, const struct sk_buff *skb,
		       const struct iphdr *inner)
{
	if (skb->ignore_df || sa->flags & SADB_SAFLAGS_NOPMTUDISC)
		return 0;
	switch (READ_ONCE(sa->net->knobs.df)) {
	case 0:
		return 0;
	case 1:
		return htons(IP_DF);
	default:
		/* IPv6 has no routers that fragment. */
		return inner->version == 6 ? htons(IP_DF) :
					     inner->frag_off & htons(IP_DF);
	}
}

/* Congestion marks cross a tunnel, unless the SA or the knob says that they do not. */
static bool sa_ecn(const struct kipsec_sa *sa)
{
	return !(sa->flags & SADB_SAFLAGS_NOECN) &&
	       READ_ONCE(sa->net->knobs.ecn);
}

static void put_outer4(const struct kipsec_sa *sa, struct sk_buff *skb, u8 tos,
		       __be16 df)
{
	struct iphdr *iph = ip_hdr(skb);

	iph->version = 4;
	iph->ihl = 5;
	iph->tos = tos;
	iph->tot_len = 0;	/* not yet: kipsec_finish_header() */
	iph->frag_off = df;
	iph->ttl = READ_ONCE(sa->net->net->ipv4.sysctl_ip_default_ttl);
	iph->protocol = sa->id.proto;
	iph->saddr = sa->src.ip;
	iph->daddr = sa->id.dst.ip;
	ip_select_ident(sa->net->net, skb, NULL);
}

static void put_outer6(const struct kipsec_sa *sa, struct sk_buff *skb, u8 tos)
{
	struct ipv6hdr *ip6 = ipv6_hdr(skb);

	ip6_flow_hdr(ip6, tos, 0);
	ip6->payload_len = 0;
	ip6->nexthdr = sa->id.proto;
	ip6->hop_limit = READ_ONCE(sa->net->net->ipv6.devconf_all->hop_limit);
	ip6->saddr = sa->src.ip6;
	ip6->daddr = sa->id.dst.ip6;
}

/* A new header in front of a whole packet. */
static u8 push_tunnel(struct kipsec_job *job, unsigned int head)
{
	const struct kipsec_sa *sa = job->sa;
	struct sk_buff *skb = job->skb;
	unsigned int outer = kipsec_ip_header(sa->id.family);
	__be16 df = outer_df(sa, skb, ip_hdr(skb));
	u8 next = kipsec_is_ip6(skb) ? IPPROTO_IPV6 : IPPROTO_IPIP;
	u8 tos = kipsec_tos(skb);

	/* RFC 6040 section 4.1: copy, congestion marks too, or none of them. */
	if (!sa_ecn(sa))
		tos &= ~INET_ECN_MASK;
	__skb_push(skb, outer + head);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, outer);
	if (sa->id.family == AF_INET6) {
		put_outer6(sa, skb, tos);
		skb->protocol = htons(ETH_P_IPV6);
	} else {
		put_outer4(sa, skb, tos, df);
		skb->protocol = htons(ETH_P_IP);
	}
	return next;
}

/* An IP header to another place, which may be partly the same. */
static __always_inline void move_header(void *to, const void *from, unsigned int len)
{
	struct iphdr plain KIPSEC_NOT_ZEROED;

	if (likely(len == sizeof(plain))) {
		memcpy(&plain, from, sizeof(plain));
		memcpy(to, &plain, sizeof(plain));
	} else {
		memmove(to, from, len);
	}
}

/* The packet's own header moves forward; its protocol goes into the trailer. */
static noinline u8 push_transport(struct kipsec_job *job, unsigned int head)
{
	struct sk_buff *skb = job->skb;
	u8 *nexthdr, next;
	int len = kipsec_next_header(skb, &nexthdr);

	next = *nexthdr;
	*nexthdr = job->sa->id.proto;
	__skb_push(skb, head);
	move_header(skb->data, skb->data + head, len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, len);
	return next;
}

u8 kipsec_push(struct kipsec_job *job, unsigned int head)
{
	return kipsec_job_tunnel(job) ? push_tunnel(job, head) :
					push_transport(job, head);
}

static __always_inline void set_checksum(struct iphdr *iph)
{
	iph->check = 0;
	iph->check = ip_fast_csum(iph, iph->ihl);
}

void kipsec_finish_header(struct sk_buff *skb)
{
	struct ipv6hdr *ip6 = ipv6_hdr(skb);
	struct iphdr *iph = ip_hdr(skb);
	__be16 len;

	if (kipsec_is_ip6(skb)) {
		len = htons(skb->len - sizeof(*ip6));
		if (ip6->payload_len != len)
			ip6->payload_len = len;
		return;
	}
	len = htons(skb->len);
	if (iph->tot_len == len)
		return;
	iph->tot_len = len;
	set_checksum(iph);
}

/* --- incoming headers ---------------------------------------------------- */

#define POP_FAIL(reason)	(-1 - KIPSEC_DROP_##reason)

/* Length of the inner packet if its IP header is sound, else 0. */
static unsigned int inner_len4(struct sk_buff *skb)
{
	const struct iphdr *iph;
	unsigned int len;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return 0;
	iph = (const struct iphdr *)skb->data;
	len = ntohs(iph->tot_len);
	if (iph->version != 4 || iph->ihl < 5 || len < iph->ihl * 4 ||
	    len > skb->len)
		return 0;
	return iph->ihl == 5 || pskb_may_pull(skb, iph->ihl * 4) ? len : 0;
}

static unsigned int inner_len6(struct sk_buff *skb)
{
	const struct ipv6hdr *ip6;
	unsigned int len;

	if (!pskb_may_pull(skb, sizeof(*ip6)))
		return 0;
	ip6 = (const struct ipv6hdr *)skb->data;
	len = sizeof(*ip6) + ntohs(ip6->payload_len);
	return ip6->version == 6 && len <= skb->len ? len : 0;
}

/* The inner packet gets the DSCP that the outer one arrived with. */
static void copy_dscp(struct sk_buff *skb, u8 outer_tos)
{
	if (kipsec_is_ip6(skb))
		ipv6_change_dsfield(ipv6_hdr(skb), INET_ECN_MASK,
				    outer_tos & ~INET_ECN_MASK);
	else
		ipv4_change_dsfield(ip_hdr(skb), INET_ECN_MASK,
				    outer_tos & ~INET_ECN_MASK);
}

/* The inner packet was there all along; the outer header goes. */
static int pop_tunnel(struct sk_buff *skb, u8 next, const struct kipsec_sa *sa)
{
	bool ip6 = next == IPPROTO_IPV6;
	u8 outer_tos = kipsec_tos(skb);
	unsigned int len;

	len = ip6 ? inner_len6(skb) : inner_len4(skb);
	if (!len)
		return POP_FAIL(IN_INNER);
	/* What follows the packet is padding of the peer's (RFC 4303, 2.7). */
	__skb_trim(skb, len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, kipsec_ip_header(ip6 ? AF_INET6 : AF_INET));
	skb->protocol = ip6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	/*
	 * RFC 6040 section 4.2. Above 1 is congestion that the inner header
	 * cannot tell of: the loss tells instead.
	 */
	if (outer_tos & INET_ECN_MASK && sa_ecn(sa) &&
	    INET_ECN_decapsulate(skb, outer_tos, kipsec_tos(skb)) > 1)
		return POP_FAIL(IN_ECN);
	if (unlikely(sa->flags & SADB_SAFLAGS_DECAP_DSCP))
		copy_dscp(skb, outer_tos);
	return 0;
}

/* The first @len bytes of the outer header stand before the payload. */
static __always_inline void *pull_header(struct sk_buff *skb, unsigned int len,
					 unsigned int transport)
{
	void *to = skb->data - len;

	move_header(to, skb_network_header(skb), len);
	__skb_push(skb, len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, transport);
	return to;
}

static noinline int pop_transport4(struct sk_buff *skb, u8 next)
{
	struct iphdr *iph = pull_header(skb, ip_hdrlen(skb), sizeof(*iph));

	iph->protocol = next;
	iph->tot_len = htons(skb->len);
	set_checksum(iph);
	return 0;
}

/* Extension headers up to the transform's belong to it. */
static noinline int pop_transport6(struct sk_buff *skb, u8 next)
{
	int len = skb_transport_header(skb) - skb_network_header(skb);
	struct ipv6hdr *ip6;

	if (skb_network_header(skb)[IP6CB(skb)->nhoff] == IPPROTO_UDP)
		len -= sizeof(struct udphdr);
	ip6 = pull_header(skb, len, sizeof(*ip6));
	((u8 *)ip6)[IP6CB(skb)->nhoff] = next;
	ip6->payload_len = htons(skb->len - sizeof(*ip6));
	return 0;
}

int kipsec_pop(struct sk_buff *skb, u8 next, const struct kipsec_sa *sa)
{
	bool inner = next == IPPROTO_IPIP ||
		     (IS_ENABLED(CONFIG_IPV6) && next == IPPROTO_IPV6);

	if (next == IPPROTO_NONE)
		return POP_FAIL(IN_DUMMY);
	if (sa->mode == KIPSEC_MODE_TUNNEL && !inner)
		return POP_FAIL(IN_NEXT_HEADER);
	/* An SA of no stated mode takes an inner IP header for a tunnel. */
	if (inner && sa->mode != KIPSEC_MODE_TRANSPORT)
		return pop_tunnel(skb, next, sa);
	/*
	 * The outer header becomes the packet's own again. There may have been a UDP
	 * header in between, which is forgotten.
	 */
	return kipsec_is_ip6(skb) ? pop_transport6(skb, next) :
				    pop_transport4(skb, next);
}
