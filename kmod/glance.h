/* SPDX-License-Identifier: GPL-2.0 */
/*
 * glance.h - may any policy be for this packet? (floor 1, pure)
 *
 * Most packets of a gateway are no policy's. A table of bits says so after a look at
 * their addresses: before ports are read, fragments put together, or the classifier
 * asked. A bit is set for each policy, at the hash of those bits of the addresses
 * that all policies compare. A bit that is set promises nothing.
 */
#ifndef _KIPSEC_GLANCE_H
#define _KIPSEC_GLANCE_H

#ifdef __KERNEL__
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/types.h>
#else
#include "shim.h"
#endif

#include "selector.h"

/**
 * struct kipsec_ends - the addresses of a packet, or of a selector
 * @w: IPv4: source and destination; IPv6: the first half of the source, and of the
 *	destination
 */
struct kipsec_ends {
	u64	w[2];
};

/**
 * struct kipsec_glance - the bits
 * @common: bits of an address that all policies compare
 * @factor: of the hash: random and odd, for peers have a say in their addresses
 * @shift: that leaves the number of a bit
 * @room: policies for which it was made
 * @rcu: frees it
 * @bits: 2^(64 - @shift) of them
 */
struct kipsec_glance {
	struct kipsec_ends	common;
	u64			factor[2];
	u32			shift;
	u32			room;
	struct rcu_head		rcu;
	unsigned long		bits[];
};

#define KIPSEC_GLANCE_SPARSE	64	/* bits for each policy */

/** kipsec_glance_size() - how many bits there are with room for @room policies */
static inline u64 kipsec_glance_size(u32 room)
{
	return (u64)roundup_pow_of_two(max(room, 64U)) * KIPSEC_GLANCE_SPARSE;
}

/** kipsec_ends4() - of the two addresses of an IPv4 header */
static inline struct kipsec_ends kipsec_ends4(const __be32 *addr)
{
	struct kipsec_ends ends = { };

	memcpy(ends.w, addr, sizeof(u64));
	return ends;
}

/** kipsec_ends6() - of the two addresses of an IPv6 header */
static inline struct kipsec_ends kipsec_ends6(const __be32 *addr)
{
	struct kipsec_ends ends;

	memcpy(&ends.w[0], addr, sizeof(u64));
	memcpy(&ends.w[1], addr + 4, sizeof(u64));
	return ends;
}

/** kipsec_ends_of() - of a flow, or of a selector's key or mask */
static inline struct kipsec_ends kipsec_ends_of(const struct kipsec_flow *fl,
						u8 family)
{
	return family == AF_INET6 ? kipsec_ends6(fl->addr) :
				    kipsec_ends4(fl->addr);
}

static inline u64 kipsec_glance_bit(const struct kipsec_glance *g,
				    struct kipsec_ends ends)
{
	u64 hash = (ends.w[0] & g->common.w[0]) * g->factor[0];

	/* Known beforehand where a packet of IPv4 is asked about. */
	if (!__builtin_constant_p(ends.w[1]) || ends.w[1])
		hash += (ends.w[1] & g->common.w[1]) * g->factor[1];
	return hash >> g->shift;
}

/** kipsec_glance_set() - a policy is about to come that compares all of @common */
static inline void kipsec_glance_set(struct kipsec_glance *g,
				     struct kipsec_ends ends)
{
	set_bit(kipsec_glance_bit(g, ends), g->bits);
}

/** kipsec_glance_get() - false: no policy is for packets with these addresses */
static inline bool kipsec_glance_get(const struct kipsec_glance *g,
				     struct kipsec_ends ends)
{
	return test_bit(kipsec_glance_bit(g, ends), g->bits);
}

#endif /* _KIPSEC_GLANCE_H */
