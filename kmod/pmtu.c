// SPDX-License-Identifier: GPL-2.0
/*
 * pmtu.c - packets that do not fit (floor 4).
 */
#include <linux/icmp.h>
#include <net/esp.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/tcp.h>

#include "output.h"
#include "packet.h"
#include "pmtu.h"
#include "route.h"
#include "xform.h"

/* No transform adds more than this; most packets are judged by it alone. */
#define MAX_OVERHEAD	160

#define PMTU_LIFE	600	/* seconds until a learned value is forgotten */
#define PMTU_MIN	68	/* RFC 791 */

/* The longest packet that fits when all of @path has been applied to it. */
static unsigned int path_inner_max(const struct kipsec_path *path,
				   unsigned int mtu)
{
	int i;

	for (i = path->n - 1; i >= 0; i--)
		mtu = path->sa[i]->xf->inner_max(path->sa[i],
						 path->tunnel & BIT(i), mtu);
	return mtu;
}

/* Tell the sender, here or beyond the wire. */
static void tell_sender(struct sk_buff *skb, unsigned int mtu)
{
	if (IPCB(skb)->flags & IPSKB_FORWARDED)
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
			      htonl(mtu));
	else
		skb_dst_update_pmtu_no_confirm(skb, mtu);
}

static int fit_gso(struct sk_buff *skb, unsigned int mtu)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	unsigned int over;

	if (skb_gso_validate_network_len(skb, mtu))
		return 0;
	tell_sender(skb, mtu);
	over = skb_network_header_len(skb) + tcp_hdrlen(skb) +
	       shinfo->gso_size - mtu;
	if (!skb_is_gso_tcp(skb) || over + TCP_MIN_MSS > shinfo->gso_size)
		return -EMSGSIZE;
	if (skb_cloned(skb) && pskb_expand_head(skb, 0, 0, GFP_ATOMIC))
		return -EMSGSIZE;
	/* So that not even the burst under way is lost. */
	shinfo = skb_shinfo(skb);
	skb_decrease_gso_size(shinfo, over);
	shinfo->gso_type |= SKB_GSO_DODGY;
	shinfo->gso_segs = 0;
	return 0;
}

int kipsec_fit(struct sk_buff *skb, const struct kipsec_path *path,
	       const struct dst_entry *dst)
{
	unsigned int mtu = kipsec_route_mtu(path->sa[path->n - 1], dst);
	bool gso = skb_is_gso(skb);

	if (!gso && skb->len + path->n * MAX_OVERHEAD <= mtu)
		return 0;
	mtu = path_inner_max(path, mtu);
	if (gso)
		return fit_gso(skb, mtu);
	if (skb->len <= mtu)
		return 0;
	if (!(ip_hdr(skb)->frag_off & htons(IP_DF)) || skb->ignore_df)
		return 0;	/* the outer packet is fragmented */
	tell_sender(skb, mtu);
	return -EMSGSIZE;
}

int kipsec_pmtu_icmp4(struct sk_buff *skb, u32 mtu)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	const struct ip_esp_hdr *esph = (void *)(skb->data + iph->ihl * 4);
	struct kipsec_net *kn = kipsec_net(dev_net(skb->dev));
	struct kipsec_sa_id id = {
		.dst.ip	= iph->daddr,
		.spi	= esph->spi,
		.proto	= iph->protocol,
		.family	= AF_INET,
	};
	struct kipsec_sa *sa = kipsec_sad_lookup(kn, &id);

	if (!sa || sa->src.ip != iph->saddr)
		return -ENOENT;
	if (icmp_hdr(skb)->type == ICMP_DEST_UNREACH &&
	    icmp_hdr(skb)->code == ICMP_FRAG_NEEDED && mtu >= PMTU_MIN) {
		WRITE_ONCE(sa->pmtu_until, kipsec_now() + PMTU_LIFE);
		WRITE_ONCE(sa->pmtu, mtu);
	}
	return 0;
}
