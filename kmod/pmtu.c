// SPDX-License-Identifier: GPL-2.0
/*
 * pmtu.c - packets that do not fit (floor 4).
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/udp.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/tcp.h>

#include "header.h"
#include "output.h"
#include "pmtu.h"
#include "route.h"
#include "xform.h"

#define PMTU_MIN	68	/* RFC 791 */

/* The longest packet that all SAs of a path make one of at most @mtu bytes of. */
static unsigned int inner_max(const struct kipsec_path *path, unsigned int mtu)
{
	int i;

	for (i = path->n - 1; i >= 0; i--)
		mtu = path->sa[i]->xf->inner_max(path->sa[i],
						 path->tunnel & BIT(i), mtu);
	return mtu;
}

unsigned int kipsec_inner_max(const struct kipsec_path *path,
			      const struct dst_entry *dst)
{
	return inner_max(path, kipsec_route_mtu(path->sa[path->n - 1], dst));
}

/* The same of whole packets, whatever fragments they go in. */
static unsigned int inner_max_whole(const struct kipsec_path *path)
{
	bool ip6 = path->sa[path->n - 1]->id.family == AF_INET6;

	return inner_max(path, U16_MAX + (ip6 ? sizeof(struct ipv6hdr) : 0));
}

/* IPv6 has such a flag as well, but sets it for multicast only. */
static bool forwarded(const struct sk_buff *skb)
{
	return kipsec_is_ip6(skb) ? skb->skb_iif :
				    IPCB(skb)->flags & IPSKB_FORWARDED;
}

/* Tell the sender, here or beyond the wire. */
static void tell_sender(struct sk_buff *skb, unsigned int mtu)
{
	if (!forwarded(skb))
		skb_dst_update_pmtu_no_confirm(skb, mtu);
	else if (kipsec_is_ip6(skb))
		icmpv6_ndo_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
	else
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
			      htonl(mtu));
}

/* Bytes of a segment up to the data, with tunnels that are not ours. */
static unsigned int segment_headers(const struct sk_buff *skb)
{
	unsigned int len = skb_network_header_len(skb);

	if (!skb->encapsulation)
		return len + tcp_hdrlen(skb);
	return len + skb_inner_transport_header(skb) -
	       skb_transport_header(skb) + inner_tcp_hdrlen(skb);
}

static int fit_gso(struct sk_buff *skb, unsigned int mtu)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	unsigned int over;

	if (skb_gso_validate_network_len(skb, mtu))
		return 0;
	tell_sender(skb, mtu);
	over = segment_headers(skb) + shinfo->gso_size - mtu;
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

/*
 * A packet that does not fit: may its protected form be fragmented? An IPv6
 * packet must not, unless it is so short that no link may refuse it.
 */
static bool may_fragment(const struct sk_buff *skb, unsigned int *mtu)
{
	if (skb->ignore_df)
		return true;
	if (!kipsec_is_ip6(skb))
		return !(ip_hdr(skb)->frag_off & htons(IP_DF));
	*mtu = max_t(unsigned int, *mtu, IPV6_MIN_MTU);
	return skb->len <= *mtu;
}

/*
 * The administrator may want fragments of what goes into a tunnel, rather than
 * of the tunnel's packets. IPv6 leaves no choice: only the source fragments.
 */
static bool frag_before(const struct sk_buff *skb,
			const struct kipsec_path *path, unsigned int mtu)
{
	return READ_ONCE(path->sa[0]->net->knobs.frag_before) &&
	       path->tunnel & 1 && !kipsec_is_ip6(skb) &&
	       mtu >= ip_hdrlen(skb) + 8;
}

int kipsec_fit_slow(struct sk_buff *skb, const struct kipsec_path *path,
		    const struct dst_entry *dst)
{
	unsigned int mtu = kipsec_inner_max(path, dst);

	if (skb_is_gso(skb))
		return fit_gso(skb, mtu);
	if (skb->len <= mtu)
		return 0;
	if (may_fragment(skb, &mtu)) {
		if (frag_before(skb, path, mtu))
			return mtu;
		if (skb->len > inner_max_whole(path))
			return -EMSGSIZE;
		skb->ignore_df = 1;	/* of the outer packet */
		return 0;
	}
	tell_sender(skb, mtu);
	return -EMSGSIZE;
}

/*
 * RFC 4301 section 8.2: only what names an SA of ours, both ends of it. @ip: the IP
 * header that an ICMP quotes; @off: of what follows it, from the start of the data.
 */
static struct kipsec_sa *quoted_sa(struct kipsec_net *kn, const struct sk_buff *skb,
				   const void *ip, int off, u8 proto)
{
	union kipsec_addr src = kipsec_source(ip);
	struct kipsec_sa_id id;
	struct kipsec_sa *sa;

	if (!kipsec_id_get(skb, ip, off, proto, &id))
		return NULL;
	sa = kipsec_sad_lookup(kn, &id);
	return sa && kipsec_addr_equal(&sa->src, &src, id.family) ? sa : NULL;
}

/* For handlers of the stack, where it is what the data begin with. */
static struct kipsec_sa *icmp_sa(const struct sk_buff *skb, int off, u8 proto)
{
	return quoted_sa(kipsec_net(dev_net(skb->dev)), skb, skb->data, off, proto);
}

/* Seconds until a learned value is forgotten: what the system's own live. */
static unsigned int pmtu_life(const struct kipsec_sa *sa)
{
	const struct net *net = sa->net->net;
	int life = READ_ONCE(net->ipv4.ip_rt_mtu_expires);

#if IS_ENABLED(CONFIG_IPV6)
	if (sa->id.family == AF_INET6)
		life = READ_ONCE(net->ipv6.sysctl.ip6_rt_mtu_expires);
#endif
	return life / HZ;
}

/* Only time lets a value grow again, never a message (RFC 1191 section 3). */
static void learn(struct kipsec_sa *sa, u32 mtu)
{
	u64 now = kipsec_now();

	/* Routes of the system's own learn no less either. */
	if (sa->id.family == AF_INET)
		mtu = max_t(u32, mtu, READ_ONCE(sa->net->net->ipv4.ip_rt_min_pmtu));
	if (mtu > READ_ONCE(sa->pmtu) && now < READ_ONCE(sa->pmtu_until))
		return;
	WRITE_ONCE(sa->pmtu_until, now + pmtu_life(sa));
	WRITE_ONCE(sa->pmtu, mtu);
}

int kipsec_pmtu_icmp4(struct sk_buff *skb, u32 mtu)
{
	const struct iphdr *iph = (const struct iphdr *)skb->data;
	struct kipsec_sa *sa = icmp_sa(skb, iph->ihl * 4, iph->protocol);

	if (!sa)
		return -ENOENT;
	if (icmp_hdr(skb)->type == ICMP_DEST_UNREACH &&
	    icmp_hdr(skb)->code == ICMP_FRAG_NEEDED && mtu >= PMTU_MIN)
		learn(sa, mtu);
	return 0;
}

int kipsec_pmtu_icmp6(struct sk_buff *skb, u8 proto, u8 type, int off, u32 mtu)
{
	struct kipsec_sa *sa = icmp_sa(skb, off, proto);

	if (!sa)
		return -ENOENT;
	if (type == ICMPV6_PKT_TOOBIG && mtu >= IPV6_MIN_MTU)
		learn(sa, mtu);
	return 0;
}

/* Does an SA send what begins with this header, if any, of UDP? */
static bool in_udp(const struct kipsec_sa *sa, const struct udphdr *uh)
{
	if (!uh || !sa->natt.type)
		return !uh && !sa->natt.type;
	return sa->natt.sport == uh->source && sa->natt.dport == uh->dest;
}

/* See quoted_sa(); ESP may be in UDP. */
static void learn_quoted(struct kipsec_net *kn, struct sk_buff *skb,
			 const void *ip, int off, u8 proto, u32 mtu)
{
	const struct udphdr *uh = NULL;
	struct kipsec_sa *sa;
	struct udphdr buf;

	if (proto == IPPROTO_UDP) {
		uh = skb_header_pointer(skb, off, sizeof(buf), &buf);
		if (!uh)
			return;
		off += sizeof(*uh);
		proto = IPPROTO_ESP;
	}
	if (!kipsec_is_ipsec(proto))
		return;
	sa = quoted_sa(kn, skb, ip, off, proto);
	if (sa && in_udp(sa, uh))
		learn(sa, mtu);
}

static void hear_icmp4(struct kipsec_net *kn, struct sk_buff *skb)
{
	int off = skb_network_offset(skb) + ip_hdrlen(skb);
	struct { struct icmphdr icmp; struct iphdr ip; } buf;
	const typeof(buf) *said;
	u32 mtu;

	said = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!said || said->icmp.type != ICMP_DEST_UNREACH ||
	    said->icmp.code != ICMP_FRAG_NEEDED || said->ip.ihl < 5 ||
	    nf_ip_checksum(skb, NF_INET_PRE_ROUTING, off, IPPROTO_ICMP))
		return;
	mtu = ntohs(said->icmp.un.frag.mtu);
	if (mtu >= PMTU_MIN)
		learn_quoted(kn, skb, &said->ip, off + sizeof(said->icmp) +
			     said->ip.ihl * 4, said->ip.protocol, mtu);
}

static void hear_icmp6(struct kipsec_net *kn, struct sk_buff *skb)
{
	int off = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	struct { struct icmp6hdr icmp; struct ipv6hdr ip; } buf;
	const typeof(buf) *said;
	u32 mtu;

	/* Neither has extension headers: routers send none, and nor do we. */
	said = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!said || ipv6_hdr(skb)->nexthdr != IPPROTO_ICMPV6 ||
	    said->icmp.icmp6_type != ICMPV6_PKT_TOOBIG ||
	    nf_ip6_checksum(skb, NF_INET_PRE_ROUTING, off, IPPROTO_ICMPV6))
		return;
	mtu = ntohl(said->icmp.icmp6_mtu);
	if (mtu >= IPV6_MIN_MTU)
		learn_quoted(kn, skb, &said->ip, off + sizeof(*said),
			     said->ip.nexthdr, mtu);
}

void kipsec_pmtu_hear(struct kipsec_net *kn, struct sk_buff *skb)
{
	if (kipsec_is_ip6(skb))
		hear_icmp6(kn, skb);
	else
		hear_icmp4(kn, skb);
}
