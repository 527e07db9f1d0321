/* SPDX-License-Identifier: GPL-2.0 */
/*
 * classifier.h - find the first matching rule without walking them all
 * (floor 1: no skb, no locks of its own; user space tests it too).
 *
 * Tuple-space search. Rules with the same mask share one "tuple"; inside it a
 * hash finds the rule. Tuples are visited in the order of the best rank that
 * they hold, and the search stops when nothing better can follow. The answer
 * is by definition that of a linear scan in order of (priority, order).
 */
#ifndef _KIPSEC_CLASSIFIER_H
#define _KIPSEC_CLASSIFIER_H

#ifdef __KERNEL__
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#endif

#include "selector.h"

struct kipsec_tuple;

/**
 * struct kipsec_rule - one rule; embed it in the object to be found
 * @node: links in the two generations of the hash table; private
 * @order: tie-break, lower (older) wins
 * @tuple: the tuple it stands in; private
 * @key: set by kipsec_classifier_insert()
 * @priority: lower wins
 * @slot: 0, or less than KIPSEC_SLOTS where kinds of rules are told apart
 * @rank: place in the tuple's tree of (priority, order); private
 *
 * The caller fills @priority, @order and @slot before insertion, leaves them alone
 * while the rule stands in a classifier, and frees the rule no sooner than an
 * RCU grace period after kipsec_classifier_remove(). (priority, order) is
 * unique in a classifier, except that a rule may come in beside the one that
 * it is about to replace; until that one is removed either may be found.
 *
 * What a look-up compares for IPv4 comes first and fits a cache line.
 */
struct kipsec_rule {
	struct hlist_node	node[2];
	u64			order;
	struct kipsec_tuple	*tuple;
	struct kipsec_flow	key;
	u32			priority;
	u8			slot;
	struct rb_node		rank;
};

#define KIPSEC_SLOTS	2

struct kipsec_tuples;
struct kipsec_rule_table;

/**
 * struct kipsec_classifier - rules of one direction and one family
 * @tuples: RCU array of tuples, best rank first; NULL when empty
 * @table: RCU hash table of all rules
 * @pairs: of words of a flow that count (2 or 5)
 * @count: rules
 * @seed: of the hash; random, or the hash can be attacked
 */
struct kipsec_classifier {
	struct kipsec_tuples __rcu	*tuples;
	struct kipsec_rule_table __rcu	*table;
	unsigned int			pairs;
	unsigned int			count;
	u64				seed;
};

/** kipsec_classifier_init() - empty classifier for @family with hash @seed */
void kipsec_classifier_init(struct kipsec_classifier *c, u8 family, u64 seed);

/**
 * kipsec_classifier_destroy() - free what an empty classifier still holds
 * @c: the classifier
 *
 * No reader may be left.
 */
void kipsec_classifier_destroy(struct kipsec_classifier *c);

/**
 * kipsec_classifier_insert() - add a rule
 * @c: the classifier; the caller is the only writer; may sleep
 * @rule: with @priority and @order filled in
 * @sel: what it matches
 *
 * Return: 0, or -ENOMEM, in which case nothing changed.
 */
int kipsec_classifier_insert(struct kipsec_classifier *c,
			     struct kipsec_rule *rule,
			     const struct kipsec_selector *sel);

/** kipsec_classifier_remove() - take a rule out; the only writer; never fails */
void kipsec_classifier_remove(struct kipsec_classifier *c,
			      struct kipsec_rule *rule);

/* The look-ups below for a family. */
struct kipsec_rule *kipsec_classifier_lookup4(const struct kipsec_classifier *c,
					      const struct kipsec_flow *fl);
struct kipsec_rule *kipsec_classifier_lookup6(const struct kipsec_classifier *c,
					      const struct kipsec_flow *fl);
void kipsec_classifier_slots4(const struct kipsec_classifier *c,
			      const struct kipsec_flow *fl,
			      struct kipsec_rule *found[KIPSEC_SLOTS]);
void kipsec_classifier_slots6(const struct kipsec_classifier *c,
			      const struct kipsec_flow *fl,
			      struct kipsec_rule *found[KIPSEC_SLOTS]);

/**
 * kipsec_classifier_lookup() - the rule that a linear scan would find first
 * @c: the classifier
 * @fl: the flow, with unused words zero
 *
 * Context: RCU read side, any context.
 * Return: the rule with the lowest (priority, order) that matches, or NULL.
 */
static inline struct kipsec_rule *
kipsec_classifier_lookup(const struct kipsec_classifier *c,
			 const struct kipsec_flow *fl)
{
	return fl->family == AF_INET6 ? kipsec_classifier_lookup6(c, fl) :
					kipsec_classifier_lookup4(c, fl);
}

/**
 * kipsec_classifier_lookup_slots() - the same for the rules of each slot
 * @c: the classifier
 * @fl: the flow, with unused words zero
 * @found: for each slot the first match among its rules, or NULL
 *
 * One pass for what would take two classifiers two.
 *
 * Context: RCU read side, any context.
 */
static inline void
kipsec_classifier_lookup_slots(const struct kipsec_classifier *c,
			       const struct kipsec_flow *fl,
			       struct kipsec_rule *found[KIPSEC_SLOTS])
{
	found[0] = NULL;
	found[1] = NULL;
	if (fl->family == AF_INET6)
		kipsec_classifier_slots6(c, fl, found);
	else
		kipsec_classifier_slots4(c, fl, found);
}

/**
 * kipsec_classifier_find() - the rule with exactly this selector's key and mask
 * @c: the classifier, under the writer's lock
 * @sel: the selector
 * @same: called for each rule whose masked key and mask agree; true ends it
 * @data: for @same
 *
 * Two selectors that differ only in host bits behind the prefix share key and
 * mask, so the caller has the last word.
 *
 * Return: the rule for which @same said true, or NULL.
 */
struct kipsec_rule *
kipsec_classifier_find(const struct kipsec_classifier *c,
		       const struct kipsec_selector *sel,
		       bool (*same)(const struct kipsec_rule *rule,
				    const void *data),
		       const void *data);

#endif /* _KIPSEC_CLASSIFIER_H */
