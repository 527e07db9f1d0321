// SPDX-License-Identifier: GPL-2.0
/*
 * spd_glance.c - keeps the tables of glance.h in step with the policies (floor 2).
 *
 * Writers hold kipsec_net.cfg. A bit is set before its policy can be found. A policy
 * that goes leaves its bit, as others may have it, too. So a table is made anew when
 * it is full, when a policy compares less than it hashes, and after as many changes as
 * there are policies: to add or to remove one costs the same however many there are.
 * Where a table would be of no use, or could not be had, there is none, and packets
 * go to the classifier.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "spd.h"

#define FEW	256	/* policies: a new table at once, whenever one is wanted */

static bool at_output(const struct kipsec_policy *pol)
{
	return pol->dir == KIPSEC_DIR_OUT;
}

static u64 far_end(const struct kipsec_policy *pol)
{
	const union kipsec_addr *addr = at_output(pol) ? &pol->sel.dst :
							 &pol->sel.src;

	return kipsec_glance_end(addr->w, pol->sel.family == AF_INET6);
}

static u64 far_prefix(const struct kipsec_policy *pol)
{
	return kipsec_glance_prefix(at_output(pol) ? pol->sel.dst_len :
						     pol->sel.src_len,
				    pol->sel.family == AF_INET6);
}

static bool same_table(const struct kipsec_policy *a,
		       const struct kipsec_policy *b)
{
	return a->sel.family == b->sel.family && at_output(a) == at_output(b);
}

static struct kipsec_spd_view *view_of(struct kipsec_net *kn,
				       const struct kipsec_policy *pol)
{
	return &kn->spd->view[at_output(pol)][pol->sel.family == AF_INET6];
}

static unsigned int policies_of(struct kipsec_net *kn,
				const struct kipsec_policy *pol)
{
	return kn->spd->class[at_output(pol)][pol->sel.family == AF_INET6].count;
}

/* An empty table for policies that all compare @common. */
static struct kipsec_glance *glance_alloc(u64 common, u32 room)
{
	u32 words = kipsec_glance_words(room);
	struct kipsec_glance *g;

	g = kvzalloc(struct_size(g, bits, words), GFP_KERNEL);
	if (!g)
		return NULL;
	g->common = common;
	g->factor = get_random_u64() | 1;
	g->shift = 64 - ilog2(words) - ilog2(64);
	g->room = room;
	return g;
}

#define for_each_of_table(pol, node, kn, like)				\
	for (node = rb_first(&(kn)->spd->in_order); node; node = rb_next(node)) \
		if (pol = rb_entry(node, struct kipsec_policy, in_order), \
		    same_table(pol, like))

/* With @coming, which is in no table yet, if it is not NULL. */
static struct kipsec_glance *glance_make(struct kipsec_net *kn,
					 const struct kipsec_policy *like,
					 const struct kipsec_policy *coming)
{
	u64 common = coming ? far_prefix(coming) : ~0ULL;
	struct kipsec_glance *g = NULL;
	struct kipsec_policy *pol;
	struct rb_node *node;

	for_each_of_table(pol, node, kn, like)
		common &= far_prefix(pol);
	if (common)
		g = glance_alloc(common, 2 * policies_of(kn, like) + 1);
	if (!g)
		return NULL;
	for_each_of_table(pol, node, kn, like)
		kipsec_glance_set(g, far_end(pol));
	if (coming)
		kipsec_glance_set(g, far_end(coming));
	return g;
}

static void glance_replace(struct kipsec_spd_view *view,
			   struct kipsec_glance *new)
{
	struct kipsec_glance *old = rcu_dereference_protected(view->glance, true);

	rcu_assign_pointer(view->glance, new);
	if (old)
		kvfree_rcu(old, rcu);
}

void kipsec_spd_glance_come(struct kipsec_net *kn,
			    const struct kipsec_policy *pol)
{
	struct kipsec_spd_view *view = view_of(kn, pol);
	struct kipsec_glance *g = rcu_dereference_protected(view->glance, true);
	unsigned int n = policies_of(kn, pol);
	u64 prefix = far_prefix(pol);

	lockdep_assert_held(&kn->cfg);
	view->changes++;
	if (g && (prefix & g->common) == g->common && n < g->room) {
		kipsec_glance_set(g, far_end(pol));
	} else if (prefix && (n < FEW || view->changes > n / 4)) {
		view->changes = 0;
		glance_replace(view, glance_make(kn, pol, pol));
	} else {
		glance_replace(view, NULL);
	}
}

void kipsec_spd_glance_gone(struct kipsec_net *kn,
			    const struct kipsec_policy *pol)
{
	struct kipsec_spd_view *view = view_of(kn, pol);
	unsigned int n = policies_of(kn, pol);

	lockdep_assert_held(&kn->cfg);
	if (++view->changes <= n)
		return;
	view->changes = 0;
	glance_replace(view, n ? glance_make(kn, pol, NULL) : NULL);
}
