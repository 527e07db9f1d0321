/* SPDX-License-Identifier: GPL-2.0 */
/*
 * selector.h - addresses, flows and selectors (floor 1, pure).
 *
 * A flow is what a packet shows to the security policy data base (RFC 4301
 * section 4.4.1.1); a selector is what a policy asks for. Both are laid out as
 * 32-bit words, so that matching is "and" and "compare", and so that one loop
 * serves IPv4 (4 words) and IPv6 (10 words).
 */
#ifndef _KIPSEC_SELECTOR_H
#define _KIPSEC_SELECTOR_H

#ifdef __KERNEL__
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include "shim.h"
#endif

/**
 * union kipsec_addr - an address of either family; the family is kept outside
 * @ip: IPv4, in which case the other words are zero
 * @ip6: IPv6
 * @w: as words
 */
union kipsec_addr {
	__be32		ip;
	struct in6_addr	ip6;
	__be32		w[4];
};

#define KIPSEC_FLOW_WORDS4	4
#define KIPSEC_FLOW_WORDS6	10	/* both even: the classifier takes pairs */

/**
 * struct kipsec_flow - what the policy look-up sees of a packet
 * @sport: source port, or the ICMP type in network order; 0 where there is none
 * @dport: destination port, or the ICMP code
 * @proto: upper-layer protocol
 * @family: AF_INET or AF_INET6
 * @zero: keeps the words whole; always 0
 * @addr: IPv4: source, destination; IPv6: four words each
 * @w: the same as words, for masks
 * @d: the same as pairs of words, for hashes
 */
struct kipsec_flow {
	union {
		struct {
			__be16	sport;
			__be16	dport;
			u8	proto;
			u8	family;
			u16	zero;
			__be32	addr[8];
		};
		u32	w[KIPSEC_FLOW_WORDS6];
		u64	d[KIPSEC_FLOW_WORDS6 / 2];
	};
};

static inline unsigned int kipsec_flow_words(u8 family)
{
	return family == AF_INET6 ? KIPSEC_FLOW_WORDS6 : KIPSEC_FLOW_WORDS4;
}

/** kipsec_flow_src - where the words of the source address begin */
static inline __be32 *kipsec_flow_src(struct kipsec_flow *fl)
{
	return fl->addr;
}

/** kipsec_flow_dst - where the words of the destination address begin */
static inline __be32 *kipsec_flow_dst(struct kipsec_flow *fl)
{
	return fl->addr + (fl->family == AF_INET6 ? 4 : 1);
}

/** kipsec_addr_words - 32-bit words of an address of this family */
static inline unsigned int kipsec_addr_words(u8 family)
{
	return family == AF_INET6 ? 4 : 1;
}

static inline bool kipsec_addr_equal(const union kipsec_addr *a,
				     const union kipsec_addr *b, u8 family)
{
	return a->w[0] == b->w[0] &&
	       (family != AF_INET6 || !memcmp(a, b, sizeof(*a)));
}

#define KIPSEC_PROTO_ANY	255	/* IPSEC_ULPROTO_ANY of PF_KEY */

/**
 * struct kipsec_selector - what a policy asks for, as it was given
 * @src: source address with whatever host bits the user wrote
 * @dst: destination address
 * @src_len: source prefix length, 0 to 32 or 128
 * @dst_len: destination prefix length
 * @proto: upper-layer protocol or KIPSEC_PROTO_ANY
 * @family: AF_INET or AF_INET6
 * @sport: source port, or ICMP type + mask semantics of PF_KEY; 0 is any
 * @dport: destination port or ICMP code; 0 is any
 *
 * Two policies are the same policy when direction and all of this agree byte
 * for byte (the priority does not count).
 */
struct kipsec_selector {
	union kipsec_addr	src;
	union kipsec_addr	dst;
	u8			src_len;
	u8			dst_len;
	u8			proto;
	u8			family;
	__be16			sport;
	__be16			dport;
};

/**
 * kipsec_selector_compile() - turn a selector into key and mask
 * @sel: the selector; prefix lengths are in range
 * @key: filled with the words to compare, already masked
 * @mask: filled with the words to "and" a packet's flow with
 *
 * Port 0 and protocol 255 stand for any (PF_KEY); the family is always
 * compared.
 */
void kipsec_selector_compile(const struct kipsec_selector *sel,
			     struct kipsec_flow *key, struct kipsec_flow *mask);

/** kipsec_addr_in_prefix() - do the first @len bits of two addresses agree? */
bool kipsec_addr_in_prefix(const __be32 *addr, const union kipsec_addr *prefix,
			   unsigned int len);

/** kipsec_selector_match() - does @fl fall under @sel? (the plain definition) */
bool kipsec_selector_match(const struct kipsec_selector *sel,
			   const struct kipsec_flow *fl);

/** kipsec_selector_equal() - is it the same policy by PF_KEY's rule? */
bool kipsec_selector_equal(const struct kipsec_selector *a,
			   const struct kipsec_selector *b);

#endif /* _KIPSEC_SELECTOR_H */
