// SPDX-License-Identifier: GPL-2.0
/*
 * spd_flow.c - the classifier is asked about a flow, and what it says is remembered
 * (floor 2). Readers only; see spd.c for the rules, spd_flow.h for the memory.
 */
#include <linux/rcupdate.h>

#include "spd.h"

static const struct kipsec_classifier *class_of(const struct kipsec_spd *spd,
						enum kipsec_side side,
						const struct kipsec_flow *fl)
{
	return &spd->class[side][fl->family == AF_INET6];
}

/* @f is to say, under @gen, what was found for @fl and stands there already. */
static void remember(struct kipsec_spd *spd, enum kipsec_side side,
		     const struct kipsec_flow *fl, struct kipsec_spd_flow *f,
		     unsigned long gen)
{
	bool ip6 = fl->family == AF_INET6;
	struct kipsec_flow key;

	/* Pairs with compare_also(): bits of all policies that were met. */
	smp_rmb();
	kipsec_spd_flow_key(&key, fl, &spd->view[side][ip6].any, ip6);
	memcpy(f->key, key.d, kipsec_flow_words(fl->family) * sizeof(u32));
	f->gen = gen;
}

struct kipsec_policy *kipsec_spd_ask_out(struct kipsec_net *kn,
					 const struct kipsec_flow *fl,
					 struct kipsec_spd_flow *f)
{
	/* Pairs with the release in spd_changed(). */
	unsigned long gen = smp_load_acquire(&kn->spd->gen);
	struct kipsec_policy *pol;
	struct kipsec_rule *rule;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),
			 "SPD look-up outside of an RCU section");

	rule = kipsec_classifier_lookup(class_of(kn->spd, KIPSEC_SIDE_OUT, fl),
					fl);
	pol = kipsec_policy_of(rule);
	if (f) {
		f->found[0] = pol;
		remember(kn->spd, KIPSEC_SIDE_OUT, fl, f, gen);
	}
	return pol;
}

void kipsec_spd_ask_in(struct kipsec_net *kn, const struct kipsec_flow *fl,
		       struct kipsec_spd_flow *f,
		       struct kipsec_policy *found[KIPSEC_SLOTS])
{
	/* Pairs with the release in spd_changed(). */
	unsigned long gen = smp_load_acquire(&kn->spd->gen);
	struct kipsec_rule *rule[KIPSEC_SLOTS];
	unsigned int i;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),
			 "SPD look-up outside of an RCU section");

	kipsec_classifier_lookup_slots(class_of(kn->spd, KIPSEC_SIDE_IN, fl),
				       fl, rule);
	for (i = 0; i < KIPSEC_SLOTS; i++)
		found[i] = kipsec_policy_of(rule[i]);
	if (f) {
		memcpy(f->found, found, sizeof(f->found));
		remember(kn->spd, KIPSEC_SIDE_IN, fl, f, gen);
	}
}
