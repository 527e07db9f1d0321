// SPDX-License-Identifier: GPL-2.0
/*
 * stats.c - counters of a namespace, and the one way in which a packet is
 * dropped (floor 2).
 */
#include <linux/skbuff.h>

#include "sa.h"
#include "spd.h"
#include "stats.h"
#include "trace.h"

static const char * const names[KIPSEC_STAT_MAX] = {
#define REASON(sym, name, text)		name,
#define COUNTER(sym, name, text)	name,
#include "reasons.inc"
};

const char *kipsec_stats_name(unsigned int what)
{
	return names[what];
}

unsigned long kipsec_stats_sum(struct kipsec_net *kn, unsigned int what)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(kn->stats, cpu)->count[what]);
	return sum;
}

void kipsec_drop(struct kipsec_net *kn, struct sk_buff *skb,
		 enum kipsec_reason reason, struct kipsec_sa *sa,
		 const struct kipsec_policy *pol)
{
	kipsec_count(kn, reason);
	if (sa)
		atomic64_inc(&sa->errors);
	trace_kipsec_drop(skb, reason, sa, pol);
	kfree_skb(skb);
}

int kipsec_stats_init(struct kipsec_net *kn)
{
	kn->stats = alloc_percpu(struct kipsec_stats);
	return kn->stats ? 0 : -ENOMEM;
}

void kipsec_stats_exit(struct kipsec_net *kn)
{
	free_percpu(kn->stats);
}
