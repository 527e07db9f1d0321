// SPDX-License-Identifier: GPL-2.0
/*
 * natt.c - ESP in UDP, for peers behind address translation (RFC 3948; floor 3).
 *
 * The key manager's own socket receives: the kernel strips UDP from what is ESP
 * and hands it to the ESP handlers, us among them (input.c). What is left to do
 * is the header of packets that we send, and to notice when the peer's address
 * or port changes.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/ip6_checksum.h>

#include "../offload/crypto.h"
#include "header.h"
#include "natt.h"

void kipsec_natt_push(struct kipsec_job *job)
{
	const struct kipsec_natt *natt = &job->sa->natt;
	struct sk_buff *skb = job->skb;
	struct udphdr *uh = udp_hdr(skb);
	u8 *nexthdr;

	uh->source = natt->sport;
	uh->dest = natt->dport;
	uh->len = htons(skb->len - skb_transport_offset(skb));
	uh->check = 0;
	kipsec_next_header(skb, &nexthdr);
	*nexthdr = IPPROTO_UDP;
	skb->transport_header += sizeof(*uh);
}

void kipsec_natt_sum(struct kipsec_job *job)
{
	struct sk_buff *skb = job->skb;
	int off = skb_transport_offset(skb) - (int)sizeof(struct udphdr);
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	struct udphdr *uh = (void *)skb->data + off;

	if (!kipsec_is_ip6(skb))
		return;
	uh->check = csum_ipv6_magic(&ip6->saddr, &ip6->daddr, skb->len - off,
				    IPPROTO_UDP,
				    skb_checksum(skb, off, skb->len - off, 0));
	if (!uh->check)
		uh->check = CSUM_MANGLED_0;
}

void kipsec_natt_seen(struct kipsec_sa *sa, const struct sk_buff *skb)
{
	const struct udphdr *uh = (const struct udphdr *)
				  (skb_transport_header(skb) - sizeof(*uh));
	union kipsec_addr addr = kipsec_source(skb_network_header(skb));

	if (likely(uh->source == sa->natt.sport &&
		   kipsec_addr_equal(&addr, &sa->src, sa->id.family)))
		return;
	kipsec_sa_moved(sa, &addr, uh->source);
}

bool kipsec_natt_is(struct kipsec_net *kn, const struct sk_buff *skb,
		    const struct kipsec_upper *up)
{
	const struct kipsec_sa *sa;
	struct kipsec_sa_id id;
	struct udphdr buf;
	const struct udphdr *uh;

	uh = skb_header_pointer(skb, up->off, sizeof(buf), &buf);
	if (!uh || !kipsec_id_get(skb, ip_hdr(skb), up->off + sizeof(*uh),
				  IPPROTO_ESP, &id))
		return false;
	sa = kipsec_sad_lookup(kn, &id);
	return sa && sa->natt.type && sa->natt.dport == uh->dest;
}
