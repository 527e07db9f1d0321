/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stats.h - counters of a namespace, and the one way in which a packet is
 * dropped (floor 2).
 */
#ifndef _KIPSEC_STATS_H
#define _KIPSEC_STATS_H

#include <linux/percpu.h>

#include "kipsec.h"
#include "reason.h"

struct kipsec_policy;
struct kipsec_sa;
struct sk_buff;

/** struct kipsec_stats - one CPU's share */
struct kipsec_stats {
	unsigned long	count[KIPSEC_STAT_MAX];
};

/** kipsec_count() - one more of @what; any context */
static inline void kipsec_count(struct kipsec_net *kn, unsigned int what)
{
	this_cpu_inc(kn->stats->count[what]);
}

/** kipsec_stats_name() - the name of a counter in /proc/net/kipsec_stat */
const char *kipsec_stats_name(unsigned int what);

/** kipsec_stats_sum() - a counter over all CPUs */
unsigned long kipsec_stats_sum(struct kipsec_net *kn, unsigned int what);

/**
 * kipsec_drop() - count, trace and free a packet that must not go on
 * @kn: namespace
 * @skb: the packet; freed
 * @reason: why
 * @sa: the SA at hand, or NULL; its error counter moves too
 * @pol: the policy at hand, or NULL
 *
 * Context: any; RCU read side if @sa or @pol is given without a reference.
 */
void kipsec_drop(struct kipsec_net *kn, struct sk_buff *skb,
		 enum kipsec_reason reason, struct kipsec_sa *sa,
		 const struct kipsec_policy *pol);

int kipsec_stats_init(struct kipsec_net *kn);
void kipsec_stats_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_STATS_H */
