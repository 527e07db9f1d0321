// SPDX-License-Identifier: GPL-2.0
/*
 * classifier.c - tuple-space search (floor 1: no skb, no locks of its own).
 *
 * Rules with the same mask form a tuple. All rules stand in one hash table
 * under (masked key, tuple). A look-up goes through an array of tuples, masks
 * the flow, and asks the table; the array is sorted by the best rank
 * (priority, order) in each tuple, so it ends at the first tuple that cannot
 * beat what is found.
 *
 * Readers against the one writer:
 *
 *  - The array of tuples is never changed but replaced. An entry carries all
 *    that a look-up needs, so a reader follows no pointer to a tuple; it only
 *    compares it. Tuples are freed after a grace period, lest a new tuple at
 *    the same address be taken for the one in an array still being read.
 *
 *  - The rank in an entry is never worse than that of any rule in its tuple:
 *    the array goes first when a rule comes and last when one goes. An entry
 *    that promises too much costs time, not truth. Therefore a removal for
 *    which there is no memory may leave the old array, even an empty tuple;
 *    the next update drops it.
 *
 *  - Growing links all rules into the new table through the node that the old
 *    one does not use, publishes it, and waits for a grace period before
 *    anything else changes: readers of the old table lose nothing, and nobody
 *    uses the old nodes when they are needed again.
 *
 *  - Rules with equal key and tuple (they differ in host bits only) are
 *    sorted by rank in their chain, so the first is the right one.
 */
#ifdef __KERNEL__
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#endif

#include "classifier.h"
#include "hash.h"

#define PAIRS4		(KIPSEC_FLOW_WORDS4 / 2)
#define PAIRS6		(KIPSEC_FLOW_WORDS6 / 2)

#define FIRST_BUCKETS	64
#define GROWTH		4	/* each growth costs a grace period */

struct kipsec_tuple {
	struct kipsec_flow	mask;
	struct rb_root_cached	ranks;
	struct rcu_head		rcu;
};

/**
 * struct tuple_entry - what a look-up reads of a tuple
 * @order: of the best rule
 * @tuple: compared, never followed by readers
 * @priority: of the best rule
 * @mask: as many pairs of words as the classifier compares
 */
struct tuple_entry {
	u64			order;
	struct kipsec_tuple	*tuple;
	u32			priority;
	u64			mask[];
};

struct kipsec_tuples {
	struct rcu_head	rcu;
	unsigned int	count;
	u64		entry[];	/* @count of entry_size() bytes */
};

struct kipsec_rule_table {
	unsigned int		mask;
	unsigned int		gen;	/* which node its chains go through */
	struct hlist_head	bucket[];
};

static __always_inline size_t entry_size(unsigned int pairs)
{
	return sizeof(struct tuple_entry) + pairs * sizeof(u64);
}

static __always_inline const struct tuple_entry *
next_entry(const struct tuple_entry *e, unsigned int pairs)
{
	return (const void *)((const char *)e + entry_size(pairs));
}

static __always_inline const struct tuple_entry *
first_entry(const struct kipsec_tuples *tuples)
{
	return (const void *)tuples->entry;
}

static __always_inline const struct tuple_entry *
end_entry(const struct kipsec_tuples *tuples, unsigned int pairs)
{
	return (const void *)((const char *)tuples->entry +
			      tuples->count * entry_size(pairs));
}

static __always_inline struct kipsec_rule *rule_of(struct hlist_node *n,
						   unsigned int gen)
{
	return container_of(n - gen, struct kipsec_rule, node[0]);
}

static __always_inline bool rank_before(u32 prio_a, u64 order_a,
					u32 prio_b, u64 order_b)
{
	return prio_a != prio_b ? prio_a < prio_b : order_a < order_b;
}

static bool rule_before(const struct kipsec_rule *a,
			const struct kipsec_rule *b)
{
	return rank_before(a->priority, a->order, b->priority, b->order);
}

/*
 * Two pairs of words a step. The last round spreads what a seed with few bits
 * has left close together. The seed is secret, as peers have a say in policies.
 *
 * The tuple's address takes part, or else rules of different tuples that have
 * the same key (0.0.0.0/0 and 0.0.0.0/8) would share a bucket.
 */
static __always_inline u32 key_hash(const u64 *key, unsigned int pairs,
				    const struct kipsec_tuple *tuple, u64 seed)
{
	u64 hash;

	seed += (unsigned long)tuple;
	hash = kipsec_fold_mul(key[0] ^ seed, key[1] ^ GOLDEN_RATIO_64);
	if (pairs == PAIRS6) {
		hash = kipsec_fold_mul(key[2] ^ hash, key[3] ^ GOLDEN_RATIO_64);
		hash = kipsec_fold_mul(key[4] ^ hash, GOLDEN_RATIO_64);
	}
	return (hash * GOLDEN_RATIO_64) >> 32;
}

static __always_inline bool key_equal(const u64 *a, const u64 *b,
				      unsigned int pairs)
{
	u64 differ = (a[0] ^ b[0]) | (a[1] ^ b[1]);

	if (pairs == PAIRS6)
		differ |= (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]);
	return !differ;
}

static __always_inline void mask_flow(u64 *key, const u64 *flow,
				      const u64 *mask, unsigned int pairs)
{
	key[0] = flow[0] & mask[0];
	key[1] = flow[1] & mask[1];
	if (pairs == PAIRS6) {
		key[2] = flow[2] & mask[2];
		key[3] = flow[3] & mask[3];
		key[4] = flow[4] & mask[4];
	}
}

static __always_inline void
tuple_lookup(const struct kipsec_rule_table *table,
	     const struct tuple_entry *e, const u64 *flow, unsigned int pairs,
	     u64 seed, struct kipsec_rule *best[], unsigned int slots)
{
	u64 key[PAIRS6];
	struct kipsec_rule *rule, **b;
	struct hlist_node *n;
	u32 hash;

	mask_flow(key, flow, e->mask, pairs);
	hash = key_hash(key, pairs, e->tuple, seed);
	n = rcu_dereference(hlist_first_rcu(&table->bucket[hash & table->mask]));
	for (; n; n = rcu_dereference(hlist_next_rcu(n))) {
		rule = rule_of(n, table->gen);
		if (rule->tuple != e->tuple ||
		    !key_equal(rule->key.d, key, pairs))
			continue;
		b = slots == 1 ? best : &best[rule->slot];
		if (!*b || rule_before(rule, *b))
			*b = rule;
		if (slots == 1)
			return;		/* the chain is sorted */
	}
}

/* Can the tuple, and hence any behind it, not better what is found? */
static __always_inline bool all_found(struct kipsec_rule *best[],
				      unsigned int slots,
				      const struct tuple_entry *e)
{
	unsigned int i;

	for (i = 0; i < slots; i++)
		if (!best[i] || rank_before(e->priority, e->order,
					    best[i]->priority, best[i]->order))
			return false;
	return true;
}

static __always_inline void
lookup_pairs(const struct kipsec_classifier *c, const struct kipsec_flow *fl,
	     unsigned int pairs, struct kipsec_rule *best[], unsigned int slots)
{
	const struct kipsec_tuples *tuples = rcu_dereference(c->tuples);
	const struct kipsec_rule_table *table = rcu_dereference(c->table);
	const struct tuple_entry *e, *end;

	/* Who meets the first rule on its way in may see one without the other. */
	if (!tuples || !table)
		return;
	end = end_entry(tuples, pairs);
	for (e = first_entry(tuples); e != end; e = next_entry(e, pairs)) {
		if (all_found(best, slots, e))
			break;
		tuple_lookup(table, e, fl->d, pairs, c->seed, best, slots);
	}
}

struct kipsec_rule *kipsec_classifier_lookup4(const struct kipsec_classifier *c,
					      const struct kipsec_flow *fl)
{
	struct kipsec_rule *best = NULL;

	lookup_pairs(c, fl, PAIRS4, &best, 1);
	return best;
}

struct kipsec_rule *kipsec_classifier_lookup6(const struct kipsec_classifier *c,
					      const struct kipsec_flow *fl)
{
	struct kipsec_rule *best = NULL;

	lookup_pairs(c, fl, PAIRS6, &best, 1);
	return best;
}

void kipsec_classifier_slots4(const struct kipsec_classifier *c,
			      const struct kipsec_flow *fl,
			      struct kipsec_rule *found[KIPSEC_SLOTS])
{
	lookup_pairs(c, fl, PAIRS4, found, KIPSEC_SLOTS);
}

void kipsec_classifier_slots6(const struct kipsec_classifier *c,
			      const struct kipsec_flow *fl,
			      struct kipsec_rule *found[KIPSEC_SLOTS])
{
	lookup_pairs(c, fl, PAIRS6, found, KIPSEC_SLOTS);
}

/* What follows is the writer's. */

#define writer_dereference(p)	rcu_dereference_protected(p, 1)

static struct hlist_head *bucket_of(const struct kipsec_classifier *c,
				    struct kipsec_rule_table *table,
				    const struct kipsec_flow *key,
				    const struct kipsec_tuple *tuple)
{
	u32 hash = key_hash(key->d, c->pairs, tuple, c->seed);

	return &table->bucket[hash & table->mask];
}

static void table_link(const struct kipsec_classifier *c,
		       struct kipsec_rule_table *table,
		       struct kipsec_rule *rule)
{
	struct hlist_head *head = bucket_of(c, table, &rule->key, rule->tuple);
	struct hlist_node *new = &rule->node[table->gen];
	struct hlist_node *n, *after = NULL;
	struct kipsec_rule *other;

	for (n = head->first; n; n = n->next) {
		other = rule_of(n, table->gen);
		if (other->tuple != rule->tuple ||
		    !key_equal(other->key.d, rule->key.d, c->pairs))
			continue;
		if (rule_before(rule, other)) {
			hlist_add_before_rcu(new, n);
			return;
		}
		after = n;
	}
	if (after)
		hlist_add_behind_rcu(new, after);
	else
		hlist_add_head_rcu(new, head);
}

static struct kipsec_rule_table *table_alloc(unsigned int buckets,
					     unsigned int gen)
{
	struct kipsec_rule_table *table;

	table = kvzalloc(struct_size(table, bucket, buckets), GFP_KERNEL);
	if (table) {
		table->mask = buckets - 1;
		table->gen = gen;
	}
	return table;
}

/* Make room for one more rule; only the first table is indispensable. */
static int table_reserve(struct kipsec_classifier *c)
{
	struct kipsec_rule_table *old = writer_dereference(c->table);
	struct kipsec_rule_table *new;
	struct hlist_node *n;
	unsigned int i;

	if (!old) {
		new = table_alloc(FIRST_BUCKETS, 0);
		rcu_assign_pointer(c->table, new);
		return new ? 0 : -ENOMEM;
	}
	if (c->count <= old->mask)
		return 0;
	new = table_alloc((old->mask + 1) * GROWTH, !old->gen);
	if (!new)
		return 0;
	for (i = 0; i <= old->mask; i++)
		for (n = old->bucket[i].first; n; n = n->next)
			table_link(c, new, rule_of(n, old->gen));
	rcu_assign_pointer(c->table, new);
	synchronize_rcu();
	kvfree(old);
	return 0;
}

static struct kipsec_rule *tuple_best(const struct kipsec_tuple *tuple)
{
	struct rb_node *first = rb_first_cached(&tuple->ranks);

	return first ? rb_entry(first, struct kipsec_rule, rank) : NULL;
}

static struct kipsec_tuple *tuple_find(const struct kipsec_classifier *c,
				       const struct kipsec_flow *mask)
{
	const struct kipsec_tuples *tuples = writer_dereference(c->tuples);
	const struct tuple_entry *e, *end;

	if (!tuples)
		return NULL;
	end = end_entry(tuples, c->pairs);
	for (e = first_entry(tuples); e != end; e = next_entry(e, c->pairs))
		if (key_equal(e->mask, mask->d, c->pairs))
			return e->tuple;
	return NULL;
}

/* Append a tuple to an array that nobody sees yet. */
static void tuples_append(struct kipsec_tuples *tuples, unsigned int pairs,
			  struct kipsec_tuple *tuple, u32 priority, u64 order)
{
	struct tuple_entry *e = (void *)end_entry(tuples, pairs);

	e->order = order;
	e->tuple = tuple;
	e->priority = priority;
	memcpy(e->mask, tuple->mask.d, pairs * sizeof(u64));
	tuples->count++;
}

/* Publish @new in place of the present array, whose empty tuples go with it. */
static void tuples_publish(struct kipsec_classifier *c,
			   struct kipsec_tuples *new)
{
	struct kipsec_tuples *old = writer_dereference(c->tuples);
	const struct tuple_entry *e, *end;

	if (!new->count) {
		kvfree(new);
		new = NULL;
	}
	rcu_assign_pointer(c->tuples, new);
	if (!old)
		return;
	end = end_entry(old, c->pairs);
	for (e = first_entry(old); e != end; e = next_entry(e, c->pairs))
		if (!tuple_best(e->tuple))
			kfree_rcu(e->tuple, rcu);
	kvfree_rcu(old, rcu);
}

/* The best rule of @tuple has changed: give it its place, or none if empty. */
static int tuples_update(struct kipsec_classifier *c,
			 struct kipsec_tuple *tuple)
{
	struct kipsec_tuples *new, *old = writer_dereference(c->tuples);
	const struct kipsec_rule *best = tuple_best(tuple);
	const struct tuple_entry *e, *end;
	unsigned int count = old ? old->count : 0;

	new = kvmalloc(sizeof(*new) + (count + 1) * entry_size(c->pairs),
		       GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->count = 0;
	e = old ? first_entry(old) : NULL;
	end = old ? end_entry(old, c->pairs) : NULL;
	for (; e != end; e = next_entry(e, c->pairs)) {
		if (e->tuple == tuple || !tuple_best(e->tuple))
			continue;
		if (best && rank_before(best->priority, best->order,
					e->priority, e->order)) {
			tuples_append(new, c->pairs, tuple, best->priority,
				      best->order);
			best = NULL;
		}
		tuples_append(new, c->pairs, e->tuple, e->priority, e->order);
	}
	if (best)
		tuples_append(new, c->pairs, tuple, best->priority,
			      best->order);
	tuples_publish(c, new);
	return 0;
}

static struct kipsec_tuple *tuple_new(const struct kipsec_flow *mask)
{
	struct kipsec_tuple *tuple = kmalloc(sizeof(*tuple), GFP_KERNEL);

	if (tuple) {
		tuple->mask = *mask;
		tuple->ranks = RB_ROOT_CACHED;
	}
	return tuple;
}

static bool rank_less(struct rb_node *a, const struct rb_node *b)
{
	return rule_before(rb_entry(a, struct kipsec_rule, rank),
			   rb_entry(b, struct kipsec_rule, rank));
}

void kipsec_classifier_init(struct kipsec_classifier *c, u8 family, u64 seed)
{
	memset(c, 0, sizeof(*c));
	c->pairs = kipsec_flow_words(family) / 2;
	c->seed = seed;
}

void kipsec_classifier_destroy(struct kipsec_classifier *c)
{
	struct kipsec_tuples *tuples = writer_dereference(c->tuples);
	const struct tuple_entry *e, *end;

	WARN_ON(c->count);
	if (tuples) {
		/* what removals without memory have left */
		end = end_entry(tuples, c->pairs);
		for (e = first_entry(tuples); e != end;
		     e = next_entry(e, c->pairs))
			kfree(e->tuple);
		kvfree(tuples);
	}
	kvfree(writer_dereference(c->table));
	RCU_INIT_POINTER(c->tuples, NULL);
	RCU_INIT_POINTER(c->table, NULL);
}

int kipsec_classifier_insert(struct kipsec_classifier *c,
			     struct kipsec_rule *rule,
			     const struct kipsec_selector *sel)
{
	struct kipsec_tuple *tuple, *fresh = NULL;
	struct kipsec_flow mask;

	kipsec_selector_compile(sel, &rule->key, &mask);
	if (table_reserve(c))
		return -ENOMEM;
	tuple = tuple_find(c, &mask);
	if (!tuple) {
		fresh = tuple_new(&mask);
		if (!fresh)
			return -ENOMEM;
		tuple = fresh;
	}
	rule->tuple = tuple;
	if (rb_add_cached(&rule->rank, &tuple->ranks, rank_less) &&
	    tuples_update(c, tuple)) {
		rb_erase_cached(&rule->rank, &tuple->ranks);
		kfree(fresh);
		return -ENOMEM;
	}
	table_link(c, writer_dereference(c->table), rule);
	c->count++;
	return 0;
}

void kipsec_classifier_remove(struct kipsec_classifier *c,
			      struct kipsec_rule *rule)
{
	struct kipsec_rule_table *table = writer_dereference(c->table);
	struct kipsec_tuple *tuple = rule->tuple;
	bool was_best = tuple_best(tuple) == rule;
	const struct kipsec_rule *best;

	hlist_del_rcu(&rule->node[table->gen]);
	rb_erase_cached(&rule->rank, &tuple->ranks);
	c->count--;

	best = tuple_best(tuple);
	if (was_best && (!best || rule_before(rule, best)))
		tuples_update(c, tuple);
}

struct kipsec_rule *
kipsec_classifier_find(const struct kipsec_classifier *c,
		       const struct kipsec_selector *sel,
		       bool (*same)(const struct kipsec_rule *rule,
				    const void *data),
		       const void *data)
{
	struct kipsec_rule_table *table = writer_dereference(c->table);
	const struct kipsec_tuple *tuple;
	struct kipsec_flow key, mask;
	struct kipsec_rule *rule;
	struct hlist_node *n;

	kipsec_selector_compile(sel, &key, &mask);
	tuple = tuple_find(c, &mask);
	if (!tuple)
		return NULL;
	for (n = bucket_of(c, table, &key, tuple)->first; n; n = n->next) {
		rule = rule_of(n, table->gen);
		if (rule->tuple == tuple &&
		    key_equal(rule->key.d, key.d, c->pairs) &&
		    same(rule, data))
			return rule;
	}
	return NULL;
}
