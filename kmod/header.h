/* SPDX-License-Identifier: GPL-2.0 */
/*
 * header.h - reading IP headers of both families (floor 3). What a packet is,
 * skb->protocol says; nothing here writes.
 */
#ifndef _KIPSEC_HEADER_H
#define _KIPSEC_HEADER_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "sa.h"
#include "selector.h"

/** kipsec_is_ip6() - is it an IPv6 packet? */
static inline bool kipsec_is_ip6(const struct sk_buff *skb)
{
	return IS_ENABLED(CONFIG_IPV6) && skb->protocol == htons(ETH_P_IPV6);
}

/** kipsec_ip_header() - bytes of an IP header without options */
static inline unsigned int kipsec_ip_header(u8 family)
{
	return family == AF_INET6 ? sizeof(struct ipv6hdr) :
				    sizeof(struct iphdr);
}

/** kipsec_tos() - type of service or traffic class, with congestion marks */
static inline u8 kipsec_tos(const struct sk_buff *skb)
{
	return ip_hdr(skb)->version == 6 ? ipv6_get_dsfield(ipv6_hdr(skb)) :
					   ip_hdr(skb)->tos;
}

/** kipsec_is_ipsec() - is it one of the protocols that SAs have? */
static inline bool kipsec_is_ipsec(u8 proto)
{
	return proto == IPPROTO_ESP || proto == IPPROTO_AH ||
	       proto == IPPROTO_COMP;
}

/** kipsec_is_ipip() - is there nothing but another IP packet inside? */
static inline bool kipsec_is_ipip(const struct sk_buff *skb)
{
	u8 proto = kipsec_is_ip6(skb) ? ipv6_hdr(skb)->nexthdr :
					ip_hdr(skb)->protocol;

	return proto == IPPROTO_IPIP || proto == IPPROTO_IPV6;
}

/** kipsec_is_extension() - does another header follow this one of IPv6? */
static inline bool kipsec_is_extension(u8 proto)
{
	return proto == NEXTHDR_HOP || proto == NEXTHDR_ROUTING ||
	       proto == NEXTHDR_FRAGMENT || proto == NEXTHDR_DEST;
}

/** kipsec_leads_to_ipsec() - is that IPsec's number, or may it have IPsec behind? */
static __always_inline bool kipsec_leads_to_ipsec(u8 proto, bool ip6)
{
	return kipsec_is_ipsec(proto) || (ip6 && kipsec_is_extension(proto));
}

/** kipsec_maybe_ipsec() - a glance: false if no IPsec header can be found */
static inline bool kipsec_maybe_ipsec(const struct sk_buff *skb)
{
	if (likely(!kipsec_is_ip6(skb)))
		return kipsec_leads_to_ipsec(ip_hdr(skb)->protocol, false);
	return kipsec_leads_to_ipsec(ipv6_hdr(skb)->nexthdr, true);
}

/** kipsec_plain_esp() - is it ESP right behind an IP header without options? */
static inline bool kipsec_plain_esp(const struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (kipsec_is_ip6(skb))
		return ipv6_hdr(skb)->nexthdr == IPPROTO_ESP;
	return iph->protocol == IPPROTO_ESP && iph->ihl == 5;
}

/**
 * struct kipsec_upper - what comes behind the IP header and its extensions
 * @off: where, from the start of the data
 * @proto: its protocol
 * @fragment: a fragment, complete only with others
 * @later: of a fragment not the first: @off is not a header
 */
struct kipsec_upper {
	int	off;
	u8	proto;
	bool	fragment;
	bool	later;
};

/**
 * kipsec_upper_get() - find the upper-layer header
 * @skb: network header set
 * @up: filled in
 *
 * IPsec's own headers count as upper layer, AH too.
 *
 * Return: false if the headers cannot be read.
 */
bool kipsec_upper_get(const struct sk_buff *skb, struct kipsec_upper *up);

/** kipsec_flow_get_slow() - the same for any packet */
bool kipsec_flow_get_slow(const struct sk_buff *skb, struct kipsec_flow *fl);

/**
 * kipsec_flow_get() - what the policy look-up sees of a packet
 * @skb: whole (kipsec_whole()), with the network header set; not changed
 * @fl: filled in
 *
 * Return: false if the headers cannot be read.
 */
static __always_inline bool kipsec_flow_get(const struct sk_buff *skb,
					    struct kipsec_flow *fl)
{
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	const struct iphdr *iph = ip_hdr(skb);
	bool is_ip6 = kipsec_is_ip6(skb);
	const u8 *upper = is_ip6 ? (const u8 *)(ip6 + 1) :
				   (const u8 *)iph + iph->ihl * 4;
	u8 proto = is_ip6 ? ip6->nexthdr : iph->protocol;

	/* Most are TCP or UDP with the ports at hand. */
	if (unlikely((proto != IPPROTO_UDP && proto != IPPROTO_TCP) ||
		     upper + sizeof(u32) > skb_tail_pointer(skb)))
		return kipsec_flow_get_slow(skb, fl);
	fl->w[0] = *(const u32 *)upper;
	fl->w[1] = 0;
	fl->family = is_ip6 ? AF_INET6 : AF_INET;
	fl->proto = proto;
	if (is_ip6) {
		memcpy(&fl->addr[0], &ip6->saddr, sizeof(ip6->saddr));
		memcpy(&fl->addr[4], &ip6->daddr, sizeof(ip6->daddr));
	} else {
		fl->addr[0] = iph->saddr;
		fl->addr[1] = iph->daddr;
	}
	return true;
}

/** kipsec_source() - of an IP header of either family; words behind it are zero */
static inline union kipsec_addr kipsec_source(const void *nh)
{
	const struct ipv6hdr *ip6 = nh;
	const struct iphdr *iph = nh;
	union kipsec_addr src = { };

	if (iph->version == 6)
		src.ip6 = ip6->saddr;
	else
		src.ip = iph->saddr;
	return src;
}

/**
 * kipsec_id_shown() - is it ESP for this SA, seen at a glance?
 * @skb: the packet, network header set
 * @off: of the IPsec header from the start of the data
 * @proto: which one it is
 * @id: of the SA
 *
 * Return: true if so; false if not, or if kipsec_id_get() has to tell.
 */
static inline bool kipsec_id_shown(const struct sk_buff *skb, int off, u8 proto,
				   const struct kipsec_sa_id *id)
{
	if (proto != IPPROTO_ESP || id->proto != IPPROTO_ESP ||
	    off + sizeof(id->spi) > skb_headlen(skb) ||
	    *(const __be32 *)(skb->data + off) != id->spi)
		return false;
	if (kipsec_is_ip6(skb))
		return id->family == AF_INET6 &&
		       ipv6_addr_equal(&id->dst.ip6, &ipv6_hdr(skb)->daddr);
	return id->family == AF_INET && id->dst.ip == ip_hdr(skb)->daddr;
}

/**
 * kipsec_id_get() - the SA for which a packet claims to be
 * @skb: the packet
 * @nh: its IP header, of either family
 * @off: of the IPsec header from the start of the data
 * @proto: which one it is
 * @id: filled in
 *
 * Return: false if the packet is too short.
 */
bool kipsec_id_get(const struct sk_buff *skb, const void *nh, int off, u8 proto,
		   struct kipsec_sa_id *id);

/**
 * kipsec_for_us() - is the packet for this host, or to be forwarded?
 * @net: the namespace
 * @skb: the packet; broadcasts and multicasts count as for us
 */
bool kipsec_for_us(struct net *net, const struct sk_buff *skb);

/*
 * Who reassembles, for kipsec_whole(): fragments of different numbers never
 * meet. The kernel's own numbers are small.
 */
#define KIPSEC_DEFRAG_IN	0x4b000000	/* in clear, on input */
#define KIPSEC_DEFRAG_OUT	0x4b000001	/* of a raw socket */
#define KIPSEC_DEFRAG_SA	0x80000000	/* and up: out of one SA */

/** kipsec_whole_slow() - kipsec_whole() of what is, or may be, a fragment */
bool kipsec_whole_slow(struct net *net, struct sk_buff *skb, u32 user);

/**
 * kipsec_whole() - a fragment has no ports, so policies see whole packets only
 * @net: the namespace
 * @skb: the packet
 * @user: one of the above
 *
 * Return: true if it was whole, or is now, with this fragment; false if it was
 * kept until the others come, or is malformed and gone.
 */
static inline bool kipsec_whole(struct net *net, struct sk_buff *skb, u32 user)
{
	if (kipsec_is_ip6(skb)) {
		/* An extension header in front? Then it may be a fragment. */
		if (likely(!kipsec_is_extension(ipv6_hdr(skb)->nexthdr)))
			return true;
	} else if (likely(!ip_is_fragment(ip_hdr(skb)))) {
		return true;
	}
	return kipsec_whole_slow(net, skb, user);
}

/** kipsec_next_header6() - kipsec_next_header() of IPv6 */
int kipsec_next_header6(struct sk_buff *skb, u8 **nexthdr);

/**
 * kipsec_next_header() - where a transport-mode header goes
 * @skb: starts at its IP header
 * @nexthdr: set to the byte that says what comes there
 *
 * Behind the IPv4 header, or behind those IPv6 extension headers that routers
 * on the way look at (RFC 4303 section 3.1.1).
 *
 * Return: bytes from the start of the data, or a negative errno.
 */
static inline int kipsec_next_header(struct sk_buff *skb, u8 **nexthdr)
{
	if (kipsec_is_ip6(skb))
		return kipsec_next_header6(skb, nexthdr);
	*nexthdr = &ip_hdr(skb)->protocol;
	return ip_hdrlen(skb);
}

#endif /* _KIPSEC_HEADER_H */
