// SPDX-License-Identifier: GPL-2.0
/*
 * natt.c - ESP in UDP, for peers behind address translation (RFC 3948; floor 3).
 *
 * The key manager's own socket receives: the kernel strips UDP from what is ESP
 * and hands it to the ESP handlers, us among them (input.c). What is left to do
 * is the header of packets that we send, and to notice when the peer's address
 * or port changes. IPv4 only: over IPv6 the UDP checksum would have to be made
 * after encryption.
 */
#include <linux/ip.h>
#include <linux/skbuff.h>

#include "../offload/crypto.h"
#include "header.h"
#include "natt.h"

void kipsec_natt_push(struct kipsec_job *job)
{
	const struct kipsec_natt *natt = &job->sa->natt;
	struct sk_buff *skb = job->skb;
	struct udphdr *uh = udp_hdr(skb);

	uh->source = natt->sport;
	uh->dest = natt->dport;
	uh->len = htons(skb->len - skb_transport_offset(skb));
	uh->check = 0;		/* RFC 3948 section 2.1 */
	ip_hdr(skb)->protocol = IPPROTO_UDP;
	skb->transport_header += sizeof(*uh);
}

void kipsec_natt_seen(struct kipsec_sa *sa, const struct sk_buff *skb)
{
	const struct udphdr *uh = (const struct udphdr *)
				  (skb_transport_header(skb) - sizeof(*uh));
	__be32 addr = ip_hdr(skb)->saddr;

	if (likely(uh->source == sa->natt.sport && addr == sa->src.ip))
		return;
	kipsec_sa_moved(sa, addr, uh->source);
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
