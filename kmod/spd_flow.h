/* SPDX-License-Identifier: GPL-2.0 */
/*
 * spd_flow.h - what the policies said of flows seen before (floor 2).
 *
 * Packets come in runs of the same flows. Each processor remembers for some flows
 * which policies it found, in a table of fixed size that nobody has to clean up: a
 * flow has one place in it, and the last one that came there keeps it. An entry
 * counts under the generation of the data base (kipsec_spd.gen), which every change
 * raises after it is made, so one that counts names policies that no grace period has
 * yet been waited for.
 *
 * Flows that no policy tells apart are one: a key has only those bits that some
 * policy of its side and family has compared (kipsec_spd_view.any). Bits are added
 * before the policy can be found, and read once more after a search, so what was
 * found depends on no other bits than the key has. Keys made with fewer bits before
 * stay good, for more bits only tell more apart.
 *
 * It is read and written with softirqs off only, lest an entry be half of one flow
 * and half of another; whoever asks with softirqs on asks the classifier.
 */
#ifndef _KIPSEC_SPD_FLOW_H
#define _KIPSEC_SPD_FLOW_H

#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "classifier.h"
#include "selector.h"

#define KIPSEC_FLOWS_SHIFT	5	/* 32 a side */

struct kipsec_policy;

/**
 * struct kipsec_spd_flow - one flow, in one cache line
 * @key: of the flow
 * @gen: for which @found holds; 0 never does
 * @found: policies; of output there is one
 */
struct kipsec_spd_flow {
	u64			key[KIPSEC_FLOW_WORDS6 / 2];
	unsigned long		gen;
	struct kipsec_policy	*found[KIPSEC_SLOTS];
} ____cacheline_aligned_in_smp;

/** struct kipsec_spd_flows - of one processor, by side */
struct kipsec_spd_flows {
	struct kipsec_spd_flow	flow[2][1 << KIPSEC_FLOWS_SHIFT];
};

/*
 * The family is known where they are used, and told: so that the compiler makes one
 * straight way for each.
 */

/**
 * kipsec_spd_flow_key() - what policies can tell of a flow
 * @key: is filled in; a flow itself
 * @fl: the flow
 * @any: bits that policies compare; all of the family among them
 * @ip6: the family
 */
static __always_inline void kipsec_spd_flow_key(struct kipsec_flow *key,
						const struct kipsec_flow *fl,
						const struct kipsec_flow *any,
						bool ip6)
{
	unsigned int i, n = (ip6 ? KIPSEC_FLOW_WORDS6 : KIPSEC_FLOW_WORDS4) / 2;

	for (i = 0; i < n; i++)
		key->d[i] = fl->d[i] & READ_ONCE(any->d[i]);
}

/**
 * kipsec_spd_flow() - the place of a flow
 * @flows: of the namespace; NULL as long as it has no policies
 * @side: of the policies
 * @key: of the flow
 * @ip6: the family
 *
 * Return: the place, whatever stands in it, or NULL if there is none for us.
 */
static __always_inline struct kipsec_spd_flow *
kipsec_spd_flow(struct kipsec_spd_flows __percpu *flows, unsigned int side,
		const struct kipsec_flow *key, bool ip6)
{
	u64 mix = key->d[0] ^ rol64(key->d[1], 16);

	if (unlikely(!softirq_count() || !flows))
		return NULL;
	if (ip6)
		mix ^= key->d[2] ^ rol64(key->d[3], 16) ^ key->d[4];
	return &this_cpu_ptr(flows)->flow[side][hash_64(mix, KIPSEC_FLOWS_SHIFT)];
}

/** kipsec_spd_flow_is() - is it this flow that stands there? */
static __always_inline bool kipsec_spd_flow_is(const struct kipsec_spd_flow *f,
					       const struct kipsec_flow *key,
					       bool ip6)
{
	u64 differ = (f->key[0] ^ key->d[0]) | (f->key[1] ^ key->d[1]);

	if (ip6)
		differ |= (f->key[2] ^ key->d[2]) | (f->key[3] ^ key->d[3]) |
			  (f->key[4] ^ key->d[4]);
	return !differ;
}

#endif /* _KIPSEC_SPD_FLOW_H */
