// SPDX-License-Identifier: GPL-2.0
/*
 * spd_glance.c - keeps in step with the policies what spares packets a search: the
 * tables of glance.h, and by which bits spd_flow.h tells flows apart (floor 2).
 *
 * Writers hold kipsec_net.cfg. A bit is set before its policy can be found. A policy
 * that goes leaves its bit, as others may have it, too. So a table is made anew when
 * it is full, when a policy compares fewer bits than it hashes, and after as many
 * changes as there are policies: to add or to remove one costs the same however many
 * there are. Where a table would be of no use, or could not be had, one for anything
 * sends all packets to the classifier.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "spd.h"

#define FEW	256	/* policies: a new table at once, whenever one is wanted */

static bool at_output(const struct kipsec_policy *pol)
{
	return pol->dir == KIPSEC_DIR_OUT;
}

static struct kipsec_ends ends_of(const struct kipsec_policy *pol)
{
	struct kipsec_flow key, mask;

	kipsec_selector_compile(&pol->sel, &key, &mask);
	return kipsec_ends_of(&key, pol->sel.family);
}

/* Which bits of the addresses it compares. */
static struct kipsec_ends prefix_of(const struct kipsec_policy *pol)
{
	struct kipsec_flow key, mask;

	kipsec_selector_compile(&pol->sel, &key, &mask);
	return kipsec_ends_of(&mask, pol->sel.family);
}

static bool has_all(struct kipsec_ends prefix, struct kipsec_ends common)
{
	return !(common.w[0] & ~prefix.w[0]) && !(common.w[1] & ~prefix.w[1]);
}

static bool has_any(struct kipsec_ends ends)
{
	return ends.w[0] | ends.w[1];
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
static struct kipsec_glance *glance_alloc(struct kipsec_ends common, u32 room)
{
	u64 bits = kipsec_glance_size(room);
	struct kipsec_glance *g;

	g = kvzalloc(struct_size(g, bits, BITS_TO_LONGS(bits)), GFP_KERNEL);
	if (!g)
		return NULL;
	g->common = common;
	g->factor[0] = get_random_u64() | 1;
	g->factor[1] = get_random_u64() | 1;
	g->shift = 64 - ilog2(bits);
	g->room = room;
	return g;
}

/* From @node on, the first policy in the table of @like. */
static struct kipsec_policy *in_table(struct rb_node *node,
				      const struct kipsec_policy *like)
{
	struct kipsec_policy *pol;

	for (; node; node = rb_next(node)) {
		pol = rb_entry(node, struct kipsec_policy, in_order);
		if (same_table(pol, like))
			return pol;
	}
	return NULL;
}

static struct kipsec_policy *first_in_table(struct kipsec_net *kn,
					    const struct kipsec_policy *like)
{
	return in_table(rb_first(&kn->spd->in_order), like);
}

/* Of the policies in the table of @like, and of @like itself if it is @coming. */
static struct kipsec_glance *glance_make(struct kipsec_net *kn,
					 const struct kipsec_policy *like,
					 bool coming)
{
	struct kipsec_ends common = { { U64_MAX, U64_MAX } }, prefix;
	struct kipsec_glance *g = NULL;
	struct kipsec_policy *pol;

	if (coming)
		common = prefix_of(like);
	for (pol = first_in_table(kn, like); pol;
	     pol = in_table(rb_next(&pol->in_order), like)) {
		prefix = prefix_of(pol);
		common.w[0] &= prefix.w[0];
		common.w[1] &= prefix.w[1];
	}
	if (has_any(common))
		g = glance_alloc(common, 2 * policies_of(kn, like) + 1);
	if (!g)
		return NULL;
	for (pol = first_in_table(kn, like); pol;
	     pol = in_table(rb_next(&pol->in_order), like))
		kipsec_glance_set(g, ends_of(pol));
	if (coming)
		kipsec_glance_set(g, ends_of(like));
	return g;
}

/* Says of all addresses that there may be a policy. */
static struct kipsec_glance anything = { .shift = 63, .bits = { 1 } };

static struct kipsec_glance *glance_of(const struct kipsec_spd_view *view)
{
	return rcu_dereference_protected(view->glance, true);
}

/* By one that was made, or if there is none, by one for anything. */
static void glance_replace(struct kipsec_spd_view *view,
			   struct kipsec_glance *new)
{
	struct kipsec_glance *old = glance_of(view);

	rcu_assign_pointer(view->glance, new ?: &anything);
	if (old && old != &anything)
		kvfree_rcu(old, rcu);
}

/* No policy is left: none compares anything but the family. */
static void compare_nothing(struct kipsec_spd_view *view)
{
	const struct kipsec_flow family = { .family = 0xff };
	unsigned int i;

	/* Who sees it sees that no answer given to more bits counts any more. */
	smp_wmb();
	for (i = 0; i < ARRAY_SIZE(view->any.d); i++)
		WRITE_ONCE(view->any.d[i], family.d[i]);
}

void kipsec_spd_view_init(struct kipsec_spd_view *view, struct kipsec_net *kn)
{
	view->kn = kn;
	glance_replace(view, NULL);
	compare_nothing(view);
}

/* Flows are told apart by what @pol compares, too. */
static void compare_also(struct kipsec_spd_view *view,
			 const struct kipsec_policy *pol)
{
	struct kipsec_flow key, mask;
	unsigned int i;

	kipsec_selector_compile(&pol->sel, &key, &mask);
	for (i = 0; i < ARRAY_SIZE(mask.d); i++)
		WRITE_ONCE(view->any.d[i], view->any.d[i] | mask.d[i]);
	/* Who finds @pol sees them. */
	smp_wmb();
}

void kipsec_spd_glance_come(struct kipsec_net *kn,
			    const struct kipsec_policy *pol)
{
	struct kipsec_spd_view *view = view_of(kn, pol);
	struct kipsec_glance *g = glance_of(view);
	unsigned int n = policies_of(kn, pol);
	struct kipsec_ends prefix = prefix_of(pol);

	lockdep_assert_held(&kn->cfg);
	compare_also(view, pol);
	view->changes++;
	if (has_all(prefix, g->common) && n < g->room) {
		kipsec_glance_set(g, ends_of(pol));
	} else if (has_any(prefix) && (n < FEW || view->changes > n / 4)) {
		view->changes = 0;
		glance_replace(view, glance_make(kn, pol, true));
	} else {
		glance_replace(view, NULL);
	}
}

void kipsec_spd_glance_exit(struct kipsec_spd *spd)
{
	unsigned int side, ip6;

	for (side = 0; side < KIPSEC_SIDES; side++)
		for (ip6 = 0; ip6 < 2; ip6++)
			glance_replace(&spd->view[side][ip6], NULL);
}

void kipsec_spd_glance_gone(struct kipsec_net *kn,
			    const struct kipsec_policy *pol)
{
	struct kipsec_spd_view *view = view_of(kn, pol);
	unsigned int n = policies_of(kn, pol);

	lockdep_assert_held(&kn->cfg);
	if (++view->changes <= n &&
	    (n >= FEW || glance_of(view) != &anything))
		return;
	view->changes = 0;
	glance_replace(view, n ? glance_make(kn, pol, false) : NULL);
	if (!n)
		compare_nothing(view);
}
