// SPDX-License-Identifier: GPL-2.0
/*
 * ah_mask.c - what AH can vouch for in the headers before it (floor 1, pure):
 * RFC 4302 section 3.3.3 and appendix A. The test in selftests/unit compiles
 * this file.
 */
#ifdef __KERNEL__
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/string.h>
#else
#include <linux/ip.h>
#include <linux/ipv6.h>
#endif

#include "ah_mask.h"

/* --- IPv4 ----------------------------------------------------------------- */

/* Options that arrive as they were sent; the table of appendix A1. */
static bool option4_fixed(u8 type)
{
	switch (type) {
	case IPOPT_SEC:
	case IPOPT_CIPSO:
	case IPOPT_RA:
	case IPOPT_COPY | 5:	/* extended security, RFC 1108 */
	case IPOPT_COPY | 21:	/* selective directed broadcast, RFC 1770 */
		return true;
	default:
		return false;
	}
}

/* A source route not yet used up: the last stop is where the ICV is checked. */
static void route4_end(struct iphdr *iph, const u8 *opt, unsigned int len)
{
	bool route = opt[0] == IPOPT_LSRR || opt[0] == IPOPT_SSRR;

	if (route && len >= 7 && opt[2] <= len - 3)
		memcpy(&iph->daddr, opt + len - 4, sizeof(iph->daddr));
}

static bool mask4(u8 *buf, unsigned int len, bool out)
{
	struct iphdr *iph = (struct iphdr *)buf;
	u8 *opt = buf + sizeof(*iph), *end = buf + len;

	iph->tos = 0;
	iph->frag_off = 0;
	iph->ttl = 0;
	iph->check = 0;
	while (opt < end && *opt != IPOPT_END) {
		if (*opt == IPOPT_NOOP) {
			opt++;
			continue;
		}
		if (end - opt < 2 || opt[1] < 2 || opt[1] > end - opt)
			return false;
		len = opt[1];
		if (out)
			route4_end(iph, opt, len);
		if (!option4_fixed(*opt))
			memset(opt, 0, len);
		opt += len;
	}
	return true;
}

/* --- IPv6 ----------------------------------------------------------------- */

/* Hop-by-hop and destination options: a bit of the type says "may change". */
static bool mask_options6(u8 *opt, u8 *end)
{
	opt += 2;
	while (opt < end) {
		if (*opt == IPV6_TLV_PAD1) {
			opt++;
			continue;
		}
		if (end - opt < 2 || opt[1] > end - opt - 2)
			return false;
		if (*opt & 0x20)
			memset(opt + 2, 0, opt[1]);
		opt += 2 + opt[1];
	}
	return true;
}

/*
 * Types 0 and 2 arrive used up: each stop has put its address in the place of
 * the next one's, and the last one is the destination.
 */
static bool route6_end(struct ipv6hdr *ip6, struct rt0_hdr *rt)
{
	unsigned int left = rt->rt_hdr.segments_left, n = rt->rt_hdr.hdrlen / 2;
	struct in6_addr *stop, last;

	if (!left)
		return true;
	if ((rt->rt_hdr.type != IPV6_SRCRT_TYPE_0 &&
	     rt->rt_hdr.type != IPV6_SRCRT_TYPE_2) || left > n)
		return false;
	stop = rt->addr + n - left;
	last = rt->addr[n - 1];
	memmove(stop + 1, stop, (left - 1) * sizeof(*stop));
	*stop = ip6->daddr;
	ip6->daddr = last;
	rt->rt_hdr.segments_left = 0;
	return true;
}

static bool mask6(u8 *buf, unsigned int len, bool out)
{
	struct ipv6hdr *ip6 = (struct ipv6hdr *)buf;
	u8 *ext = buf + sizeof(*ip6), *end = buf + len;
	u8 next = ip6->nexthdr;
	unsigned int n;

	*(__be32 *)ip6 = htonl(6 << 28);	/* traffic class, flow label */
	ip6->hop_limit = 0;
	for (; ext < end; next = ext[0], ext += n) {
		n = end - ext;
		if (n < 8 || n < (ext[1] + 1u) * 8)
			return false;
		n = (ext[1] + 1u) * 8;
		if (next == IPPROTO_ROUTING) {
			if (out && !route6_end(ip6, (struct rt0_hdr *)ext))
				return false;
		} else if ((next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS) ||
			   !mask_options6(ext, ext + n)) {
			return false;
		}
	}
	return true;
}

bool kipsec_ah_mask(u8 *head, unsigned int len, bool out)
{
	return *head >> 4 == 6 ? mask6(head, len, out) : mask4(head, len, out);
}
