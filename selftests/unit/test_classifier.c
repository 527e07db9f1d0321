// SPDX-License-Identifier: GPL-2.0
/* test_classifier.c - tuple-space search against the linear scan. */
#include "random_rules.h"

#define MANY	20000

/* the classifier under test, and the same rules in a plain array */
static struct kipsec_classifier c;
static struct entry *live[MANY + 1];
static unsigned int nlive;
static u64 last_order;
static unsigned long live_before;
static u8 family;

static void begin(u8 af)
{
	live_before = shim_live();
	family = af;
	nlive = 0;
	last_order = 0;
	kipsec_classifier_init(&c, af, ktap_rand());
}

static bool is_entry(const struct kipsec_rule *rule, const void *data)
{
	return rule == data;
}

/* insert what @e says; false: no memory */
static bool insert(struct entry *e)
{
	if (kipsec_classifier_insert(&c, &e->rule, &e->sel))
		return false;
	live[nlive++] = e;
	return true;
}

static struct entry *entry_new(u32 priority)
{
	struct entry *e = kzalloc(sizeof(*e), GFP_KERNEL);

	random_selector(&e->sel, family);
	e->rule.priority = priority;
	e->rule.order = ++last_order;
	e->rule.slot = pick(KIPSEC_SLOTS);
	return e;
}

static struct entry *insert_random(void)
{
	struct entry *e = entry_new(random_priority());

	EXPECT(insert(e));
	return e;
}

static void remove_at(unsigned int i)
{
	struct entry *e = live[i];

	kipsec_classifier_remove(&c, &e->rule);
	live[i] = live[--nlive];
	kfree_rcu(e, rcu);
}

/* empty it; nothing may be left behind */
static void end(void)
{
	while (nlive)
		remove_at(pick(nlive));
	EXPECT_EQ(c.count, 0);
	EXPECT(!rcu_access_pointer(c.tuples));
	kipsec_classifier_destroy(&c);
	rcu_barrier();
	EXPECT_EQ(shim_live(), live_before);
}

/* The definition, for the rules of one slot. */
static struct kipsec_rule *scan_slot(unsigned int slot,
				     const struct kipsec_flow *fl)
{
	struct entry *best = NULL;
	unsigned int i;

	for (i = 0; i < nlive; i++)
		if (live[i]->rule.slot == slot &&
		    kipsec_selector_match(&live[i]->sel, fl) &&
		    (!best || entry_before(live[i], best)))
			best = live[i];
	return best ? &best->rule : NULL;
}

static void compare_slots(const struct kipsec_flow *fl)
{
	struct kipsec_rule *found[KIPSEC_SLOTS];
	unsigned int i;

	rcu_read_lock();
	kipsec_classifier_lookup_slots(&c, fl, found);
	rcu_read_unlock();
	for (i = 0; i < KIPSEC_SLOTS; i++)
		EXPECT(found[i] == scan_slot(i, fl));
}

static void compare(unsigned int flows)
{
	struct entry *want, *got;
	struct kipsec_flow fl;

	EXPECT_EQ(c.count, nlive);
	while (flows--) {
		random_flow(&fl, family);
		want = linear_scan(live, nlive, &fl);
		got = lookup(&c, &fl);
		compare_slots(&fl);
		if (want != got)
			ktap_fail(__FILE__, __LINE__,
				  "%u rules: found order %lld, not %lld", nlive,
				  got ? (long long)got->rule.order : -1,
				  want ? (long long)want->rule.order : -1);
	}
}

static struct entry *find(struct entry *e)
{
	struct kipsec_rule *rule;

	rule = kipsec_classifier_find(&c, &e->sel, is_entry, &e->rule);
	return rule ? container_of(rule, struct entry, rule) : NULL;
}

static void empty(u8 af)
{
	struct kipsec_flow fl;
	struct entry *e;

	begin(af);
	e = entry_new(0);
	random_flow(&fl, af);
	EXPECT(!lookup(&c, &fl));
	EXPECT(!find(e));
	kfree(e);
	end();
}

static void empty4(void)
{
	empty(AF_INET);
}

static void empty6(void)
{
	empty(AF_INET6);
}

/* come and go at random; the number of rules swings between 0 and 400 */
static void come_and_go(u8 af)
{
	unsigned int round, target = 0;
	struct entry *e;

	begin(af);
	for (round = 0; round < 6000; round++) {
		if (round % 300 == 0)
			target = round % 600 ? 5 : pick(400);
		if (!nlive || (nlive < target) == !!pick(8)) {
			e = insert_random();
			EXPECT(find(e) == e);
		} else {
			remove_at(pick(nlive));
		}
		if (round % 50 == 0)
			rcu_barrier();
		compare(8);
	}
	end();
}

static void come_and_go4(void)
{
	come_and_go(AF_INET);
}

static void come_and_go6(void)
{
	come_and_go(AF_INET6);
}

/* few rules, each step compared on many flows: order of tuples, early end */
static void few_rules(void)
{
	unsigned int round;

	for (round = 0; round < 400; round++) {
		begin(round % 2 ? AF_INET6 : AF_INET);
		while (nlive < 1 + round % 12) {
			insert_random();
			compare(40);
		}
		while (nlive) {
			remove_at(pick(nlive));
			compare(40);
		}
		end();
	}
}

static void growth(u8 af)
{
	unsigned int i;

	begin(af);
	for (i = 1; i <= MANY; i++) {
		insert_random();
		/* right before and after the table has grown, and in between */
		if ((i & (i - 1)) == 0 || ((i - 1) & (i - 2)) == 0 ||
		    i % 1000 == 0)
			compare(30);
	}
	for (i = 0; i < nlive; i += 7)
		EXPECT(find(live[i]) == live[i]);
	for (i = 1; nlive; i++) {
		remove_at(pick(nlive));
		if (i % 1000 == 0 || nlive < 20)
			compare(30);
	}
	end();
}

static void growth4(void)
{
	growth(AF_INET);
}

static void growth6(void)
{
	growth(AF_INET6);
}

/* same key and mask, so one chain: host bits differ, ranks decide */
static void same_key(void)
{
	struct kipsec_flow fl = { .proto = 6, .family = AF_INET };
	struct entry *e;
	unsigned int i;

	begin(AF_INET);
	fl.addr[0] = htonl(0x0a010203);
	fl.addr[1] = htonl(0x0a020304);
	for (i = 0; i < 200; i++) {
		e = entry_new(pick(10));
		memset(&e->sel, 0, sizeof(e->sel));
		e->sel.family = AF_INET;
		e->sel.proto = KIPSEC_PROTO_ANY;
		e->sel.src.ip = htonl(0x0a010000 | i);
		e->sel.src_len = 16;
		EXPECT(insert(e));
		EXPECT(find(e) == e);
		EXPECT(lookup(&c, &fl) == linear_scan(live, nlive, &fl));
	}
	while (nlive) {
		remove_at(pick(nlive));
		EXPECT(lookup(&c, &fl) == linear_scan(live, nlive, &fl));
	}
	end();
}

/* a replacement may have the rank of what it replaces; one is always found */
static void replacement(void)
{
	struct kipsec_flow fl;
	struct entry *old, *new;
	unsigned int i;

	begin(AF_INET6);
	for (i = 0; i < 30; i++)
		insert_random();
	for (i = 0; i < 2000; i++) {
		old = live[pick(nlive)];
		new = entry_new(pick(3) ? old->rule.priority :
				random_priority());
		if (new->rule.priority == old->rule.priority)
			new->rule.order = old->rule.order;
		new->sel = old->sel;
		fl = old->rule.key;	/* a flow that matches both */
		EXPECT(insert(new));
		EXPECT(lookup(&c, &fl));
		EXPECT(find(old) == old && find(new) == new);
		for (nlive--; live[nlive] != new; nlive--)
			;
		for (unsigned int j = 0; j < nlive; j++)
			if (live[j] == old)
				live[j] = new;
		kipsec_classifier_remove(&c, &old->rule);
		EXPECT(!find(old) && find(new) == new);
		kfree_rcu(old, rcu);
		compare(4);
	}
	end();
}

/* an insertion that fails changes nothing; a removal never fails */
static void no_memory(void)
{
	unsigned int round, n, before;
	struct entry *e;

	begin(AF_INET);
	for (round = 0; round < 3000; round++) {
		n = 1 + pick(4);
		before = nlive;
		e = entry_new(random_priority());
		shim_fail_alloc(n);
		if (!insert(e)) {
			EXPECT_EQ(nlive, before);
			EXPECT(!find(e));
			kfree(e);
		}
		shim_fail_alloc(0);
		compare(4);
		if (nlive && (nlive > 150 || pick(3) == 0)) {
			shim_fail_alloc(pick(3));
			remove_at(pick(nlive));
			shim_fail_alloc(0);
			compare(4);
		}
		if (round % 500 == 499)		/* everything, without memory */
			while (nlive) {
				shim_fail_alloc(1);
				remove_at(pick(nlive));
				shim_fail_alloc(0);
				compare(2);
			}
		rcu_barrier();
	}
	while (nlive)
		remove_at(0);
	/* one good update sweeps out what the bad ones left */
	insert_random();
	end();
}

/* what is left of removals without memory goes with the classifier */
static void destroy_leftovers(void)
{
	unsigned int i;

	begin(AF_INET6);
	for (i = 0; i < 50; i++)
		insert_random();
	while (nlive) {
		shim_fail_alloc(1);
		remove_at(0);
		shim_fail_alloc(0);
	}
	kipsec_classifier_destroy(&c);
	rcu_barrier();
	EXPECT_EQ(shim_live(), live_before);
}

/* a reader's answer stays readable until he leaves; nothing is freed before */
static void answer_stays(void)
{
	struct kipsec_rule *rule;
	unsigned long before;
	struct kipsec_flow fl;
	struct entry *e;

	begin(AF_INET);
	e = insert_random();
	fl = e->rule.key;
	rcu_read_lock();
	rule = kipsec_classifier_lookup(&c, &fl);
	EXPECT(rule == &e->rule);
	before = shim_live();
	remove_at(0);
	EXPECT_EQ(shim_live(), before);
	EXPECT_EQ(rule->order, e->rule.order);
	EXPECT(!kipsec_classifier_lookup(&c, &fl));
	rcu_read_unlock();
	end();
}

static const struct ktap_case cases[] = {
	{ "empty, IPv4", empty4 },
	{ "empty, IPv6", empty6 },
	{ "few rules", few_rules },
	{ "come and go, IPv4", come_and_go4 },
	{ "come and go, IPv6", come_and_go6 },
	{ "20000 rules, IPv4", growth4 },
	{ "20000 rules, IPv6", growth6 },
	{ "rules of the same key", same_key },
	{ "replacement", replacement },
	{ "no memory", no_memory },
	{ "destroy after no memory", destroy_leftovers },
	{ "answer stays readable", answer_stays },
};

KTAP_MAIN(cases)
