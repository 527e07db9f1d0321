/* SPDX-License-Identifier: GPL-2.0 */
/*
 * glance.h - may any policy be for this packet? (floor 1, pure)
 *
 * Most packets of a gateway are no policy's. A table of bits says so after a look at
 * one address, the far end's (the source of what comes in, the destination of what
 * goes out): before ports are read, fragments put together, or the classifier asked.
 * A bit is set for each policy, at the hash of that part of its far prefix which the
 * far prefixes of all policies have. A bit that is set promises nothing.
 */
#ifndef _KIPSEC_GLANCE_H
#define _KIPSEC_GLANCE_H

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/log2.h>
#include <linux/types.h>
#else
#include "shim.h"
#endif

#include "selector.h"

/**
 * struct kipsec_glance - the bits
 * @common: bits of an end that all policies compare; with IPv6, of its first half
 * @factor: of the hash: random and odd, for peers have a say in their addresses
 * @shift: that leaves the number of a bit
 * @room: policies for which it was made
 * @rcu: frees it
 * @bits: 2^(64 - @shift)
 */
struct kipsec_glance {
	u64		common;
	u64		factor;
	u32		shift;
	u32		room;
	struct rcu_head	rcu;
	u64		bits[];
};

#define KIPSEC_GLANCE_SPARSE	16	/* bits for each policy */

/** kipsec_glance_words() - length of @bits with room for @room policies */
static inline u32 kipsec_glance_words(u32 room)
{
	return roundup_pow_of_two(max(room, 64U)) * KIPSEC_GLANCE_SPARSE / 64;
}

/** kipsec_glance_end() - an address as it is hashed */
static inline u64 kipsec_glance_end(const __be32 *addr, bool ip6)
{
	return ip6 ? (u64)(__force u32)addr[1] << 32 | (__force u32)addr[0] :
		     (__force u32)addr[0];
}

/** kipsec_glance_prefix() - which bits of that a prefix compares */
static inline u64 kipsec_glance_prefix(unsigned int len, bool ip6)
{
	__be32 mask[2] = { 0, 0 };

	if (len)
		mask[0] = htonl(~0U << (32 - min(len, 32U)));
	if (len > 32)
		mask[1] = htonl(~0U << (64 - min(len, 64U)));
	return kipsec_glance_end(mask, ip6);
}

static inline u64 kipsec_glance_bit(const struct kipsec_glance *g, u64 end)
{
	return ((end & g->common) * g->factor) >> g->shift;
}

/** kipsec_glance_set() - a policy is about to come, whose prefix has all of @common */
static inline void kipsec_glance_set(struct kipsec_glance *g, u64 end)
{
	u64 bit = kipsec_glance_bit(g, end);

	WRITE_ONCE(g->bits[bit / 64], g->bits[bit / 64] | 1ULL << bit % 64);
}

/** kipsec_glance_get() - false: no policy is for packets with this far end */
static inline bool kipsec_glance_get(const struct kipsec_glance *g, u64 end)
{
	u64 bit = kipsec_glance_bit(g, end);

	return READ_ONCE(g->bits[bit / 64]) >> bit % 64 & 1;
}

#endif /* _KIPSEC_GLANCE_H */
