// SPDX-License-Identifier: GPL-2.0
/*
 * header.c - reading IP headers of both families (floor 3).
 */
#include <linux/icmp.h>
#include <linux/if_tunnel.h>
#include <linux/inetdevice.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>
#include <net/addrconf.h>

#include "header.h"
#include "stats.h"

#define MAX_EXTENSIONS	8	/* in front of an upper-layer header */

/* --- the upper layer ----------------------------------------------------- */

/* One extension header: step over it. False if it cannot be read. */
static bool step_over(const struct sk_buff *skb, struct kipsec_upper *up)
{
	struct frag_hdr buf;
	const struct frag_hdr *fh;
	const struct ipv6_opt_hdr *opt;

	if (up->proto != NEXTHDR_FRAGMENT) {
		opt = skb_header_pointer(skb, up->off, sizeof(*opt), &buf);
		if (!opt)
			return false;
		up->proto = opt->nexthdr;
		up->off += ipv6_optlen(opt);
		return true;
	}
	fh = skb_header_pointer(skb, up->off, sizeof(*fh), &buf);
	if (!fh)
		return false;
	up->proto = fh->nexthdr;
	up->off += sizeof(*fh);
	up->fragment = fh->frag_off & htons(IP6_OFFSET | IP6_MF);
	up->later = fh->frag_off & htons(IP6_OFFSET);
	return true;
}

static bool upper_get6(const struct sk_buff *skb, struct kipsec_upper *up)
{
	unsigned int i;

	up->proto = ipv6_hdr(skb)->nexthdr;
	up->off = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	up->fragment = false;
	up->later = false;
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (up->later || !kipsec_is_extension(up->proto))
			return true;
		if (!step_over(skb, up))
			return false;
	}
	return false;
}

bool kipsec_upper_get(const struct sk_buff *skb, struct kipsec_upper *up)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (kipsec_is_ip6(skb))
		return upper_get6(skb, up);
	up->proto = iph->protocol;
	up->off = skb_network_offset(skb) + iph->ihl * 4;
	up->fragment = ip_is_fragment(iph);
	up->later = iph->frag_off & htons(IP_OFFSET);
	return true;
}

/* --- flows --------------------------------------------------------------- */

/* The key of GRE is selected by as if it were two ports; without one they are 0. */
static bool flow_gre(const struct sk_buff *skb, struct kipsec_flow *fl, int off)
{
	__be16 flagsbuf, keybuf[2];
	const __be16 *flags, *key;

	flags = skb_header_pointer(skb, off, sizeof(flagsbuf), &flagsbuf);
	if (!flags)
		return false;
	if (!(*flags & GRE_KEY))
		return true;
	off += *flags & GRE_CSUM ? 8 : 4;
	key = skb_header_pointer(skb, off, sizeof(keybuf), keybuf);
	if (!key)
		return false;
	fl->sport = key[0];
	fl->dport = key[1];
	return true;
}

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
	case IPPROTO_ICMPV6:
		icmp = skb_header_pointer(skb, off, 2, buf);
		if (!icmp)
			return false;
		fl->sport = htons(icmp[0]);
		fl->dport = htons(icmp[1]);
		return true;
	case IPPROTO_MH:
		icmp = skb_header_pointer(skb, off, 3, buf);
		if (!icmp)
			return false;
		fl->sport = htons(icmp[2]);	/* type of the message */
		return true;
	case IPPROTO_GRE:
		return flow_gre(skb, fl, off);
	default:
		return true;
	}
}

static noinline bool flow_get6(const struct sk_buff *skb, struct kipsec_flow *fl)
{
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);
	struct kipsec_upper up;

	if (!upper_get6(skb, &up))
		return false;
	fl->w[0] = 0;
	fl->w[1] = 0;
	fl->family = AF_INET6;
	fl->proto = up.proto;
	memcpy(&fl->addr[0], &ip6->saddr, sizeof(ip6->saddr));
	memcpy(&fl->addr[4], &ip6->daddr, sizeof(ip6->daddr));
	return flow_upper(skb, fl, up.off);
}

bool kipsec_flow_get_slow(const struct sk_buff *skb, struct kipsec_flow *fl)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (kipsec_is_ip6(skb))
		return flow_get6(skb, fl);
	fl->w[0] = 0;
	fl->w[1] = 0;
	fl->family = AF_INET;
	fl->proto = iph->protocol;
	fl->addr[0] = iph->saddr;
	fl->addr[1] = iph->daddr;
	return flow_upper(skb, fl, skb_network_offset(skb) + iph->ihl * 4);
}

/* --- SAs ----------------------------------------------------------------- */

/* Where each protocol has its SPI; IPComp's has 16 bits (RFC 3173). */
static bool spi_get(const struct sk_buff *skb, int off, u8 proto, __be32 *spi)
{
	const __be32 *p;
	__be16 buf;
	const __be16 *cpi;

	if (proto == IPPROTO_COMP) {
		cpi = skb_header_pointer(skb, off + 2, sizeof(buf), &buf);
		if (cpi)
			*spi = htonl(ntohs(*cpi));
		return cpi;
	}
	if (proto == IPPROTO_AH)
		off += offsetof(struct ip_auth_hdr, spi);
	p = skb_header_pointer(skb, off, sizeof(*spi), spi);
	if (p)
		*spi = *p;
	return p;
}

bool kipsec_id_get(const struct sk_buff *skb, const void *nh, int off, u8 proto,
		   struct kipsec_sa_id *id)
{
	const struct iphdr *iph = nh;

	*id = (struct kipsec_sa_id){ .proto = proto };
	if (iph->version == 6) {
		id->family = AF_INET6;
		id->dst.ip6 = ((const struct ipv6hdr *)nh)->daddr;
	} else {
		id->family = AF_INET;
		id->dst.ip = iph->daddr;
	}
	return spi_get(skb, off, proto, &id->spi);
}

bool kipsec_for_us(struct net *net, const struct sk_buff *skb)
{
	const struct in6_addr *dst = &ipv6_hdr(skb)->daddr;

	if (!kipsec_is_ip6(skb))
		return inet_addr_type_dev_table(net, skb->dev,
						ip_hdr(skb)->daddr) != RTN_UNICAST;
#if IS_ENABLED(CONFIG_IPV6)
	return ipv6_addr_is_multicast(dst) ||
	       ipv6_chk_addr(net, dst, NULL, 0);
#endif
}

/* --- fragments ----------------------------------------------------------- */

static bool whole6(struct net *net, struct sk_buff *skb, u32 user)
{
	struct kipsec_upper up;
	int err;

	if (!upper_get6(skb, &up) || !up.fragment)
		return true;	/* and who reads the headers next, complains */
	local_bh_disable();
	err = nf_ct_frag6_gather(net, skb, user);
	local_bh_enable();
	if (err && err != -EINPROGRESS)
		kipsec_drop(kipsec_net(net), skb, KIPSEC_DROP_IN_INNER, NULL,
			    NULL);
	return !err;
}

bool kipsec_whole_slow(struct net *net, struct sk_buff *skb, u32 user)
{
	int err;

	if (kipsec_is_ip6(skb))
		return whole6(net, skb, user);
	local_bh_disable();
	err = ip_defrag(net, skb, user);
	local_bh_enable();
	if (!err)
		skb->ignore_df = 1;	/* it did not come in one piece */
	return !err;
}

/* --- transport mode ------------------------------------------------------ */

/*
 * Options for the destination are for routers only if a routing header follows;
 * else they are part of what is to be protected.
 */
int kipsec_next_header6(struct sk_buff *skb, u8 **nexthdr)
{
	unsigned int off = sizeof(struct ipv6hdr);
	struct ipv6_opt_hdr *opt;

	*nexthdr = &ipv6_hdr(skb)->nexthdr;
	while (**nexthdr == NEXTHDR_HOP || **nexthdr == NEXTHDR_ROUTING ||
	       **nexthdr == NEXTHDR_DEST) {
		if (off + sizeof(*opt) > skb_headlen(skb))
			return -EINVAL;
		opt = (struct ipv6_opt_hdr *)(skb->data + off);
		if (**nexthdr == NEXTHDR_DEST &&
		    opt->nexthdr != NEXTHDR_ROUTING)
			break;
		off += ipv6_optlen(opt);
		*nexthdr = &opt->nexthdr;
	}
	return off <= skb_headlen(skb) ? off : -EINVAL;
}
