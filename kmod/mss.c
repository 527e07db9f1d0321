// SPDX-License-Identifier: GPL-2.0
/*
 * mss.c - TCP segments that fit from the start (floor 4).
 *
 * With net.kipsec.mss_clamp the segment size that a SYN states is lowered to
 * what fits once it is protected. Hosts that no ICMP message reaches, since
 * somebody drops them all, then get along without path MTU discovery. One
 * gateway is enough: SYNs are changed both on their way out and in.
 */
#include <linux/tcp.h>
#include <net/checksum.h>
#include <net/tcp.h>

#include "header.h"
#include "mss.h"
#include "output.h"
#include "pmtu.h"
#include "route.h"

/* Where the TCP header of a SYN begins, 0 for all other packets. */
static unsigned int syn_offset(const struct sk_buff *skb)
{
	struct kipsec_upper up;
	const struct tcphdr *th;
	struct tcphdr copy;

	if (!kipsec_upper_get(skb, &up) || up.proto != IPPROTO_TCP || up.later)
		return 0;
	th = skb_header_pointer(skb, up.off, sizeof(copy), &copy);
	return th && th->syn ? up.off : 0;
}

/* Where the option stands, from the start of the TCP header; 0 if nowhere. */
static unsigned int mss_option(const struct tcphdr *th)
{
	const u8 *opt = (const u8 *)th;
	unsigned int i = sizeof(*th), end = __tcp_hdrlen(th);

	while (i + TCPOLEN_MSS <= end && opt[i] != TCPOPT_EOL) {
		if (opt[i] == TCPOPT_NOP) {
			i++;
			continue;
		}
		if (opt[i] == TCPOPT_MSS && opt[i + 1] == TCPOLEN_MSS)
			return i;
		if (opt[i + 1] < 2)
			break;
		i += opt[i + 1];
	}
	return 0;
}

/* @off: of the TCP header; @mtu: the longest packet, with its IP header */
static void lower(struct sk_buff *skb, unsigned int off, unsigned int mtu)
{
	struct tcphdr *th;
	unsigned int i;
	__be16 was, now;

	if (mtu < off + sizeof(*th) + TCP_MIN_MSS ||
	    !pskb_may_pull(skb, off + sizeof(*th)))
		return;
	th = (struct tcphdr *)(skb->data + off);
	if (skb_ensure_writable(skb, off + __tcp_hdrlen(th)))
		return;
	th = (struct tcphdr *)(skb->data + off);
	i = mss_option(th);
	if (!i)
		return;
	mtu -= off + sizeof(*th);
	was = get_unaligned((__be16 *)((u8 *)th + i + 2));
	if (ntohs(was) <= mtu)
		return;
	now = htons(mtu);
	put_unaligned(now, (__be16 *)((u8 *)th + i + 2));
	/* The sum is of words, and an option may begin anywhere. */
	if (i & 1) {
		was = (__force __be16)swab16((__force u16)was);
		now = (__force __be16)swab16((__force u16)now);
	}
	inet_proto_csum_replace2(&th->check, skb, was, now, false);
}

void kipsec_mss_out(struct sk_buff *skb, const struct kipsec_path *path,
		    const struct dst_entry *dst)
{
	unsigned int off = syn_offset(skb);

	if (off)
		lower(skb, off, kipsec_inner_max(path, dst));
}

static void flow_reverse(struct kipsec_flow *fl)
{
	unsigned int i, words = kipsec_addr_words(fl->family);

	swap(fl->sport, fl->dport);
	for (i = 0; i < words; i++)
		swap(fl->addr[i], fl->addr[words + i]);
}

void kipsec_mss_in(struct kipsec_net *kn, struct sk_buff *skb)
{
	struct kipsec_lead lead = {
		skb->mark, l3mdev_master_ifindex_rcu(skb->dev)
	};
	unsigned int off = syn_offset(skb);
	struct kipsec_policy *pol;
	struct kipsec_path path;
	struct dst_entry *dst;
	struct kipsec_flow fl;

	if (!off || !kipsec_flow_get(skb, &fl))
		return;
	flow_reverse(&fl);
	pol = kipsec_spd_lookup_out(kn, &fl);
	if (!pol || pol->action != KIPSEC_PROTECT ||
	    !kipsec_path_find(kn, pol, &fl, &path) || !path.n)
		return;
	dst = kipsec_route(path.sa[path.n - 1], lead);
	if (dst)
		lower(skb, off, kipsec_inner_max(&path, dst));
}
