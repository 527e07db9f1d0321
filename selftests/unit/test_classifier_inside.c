// SPDX-License-Identifier: GPL-2.0
/*
 * test_classifier_inside.c - what no look-up shows but its cost: rules as
 * people write them spread over the buckets as evenly as chance would have it,
 * and tuples stand in the order of what they really hold.
 */
#include "random_rules.h"

#include "../../kmod/classifier.c"

#define RULES	20000

static struct kipsec_classifier c;
static struct entry entries[RULES];

/*
 * How full chains are: the sum of squares of their lengths, as a percentage of
 * what a random function gives on the average.
 */
static unsigned int crowding(void)
{
	const struct kipsec_rule_table *table = c.table;
	u64 n, squares = 0, buckets = table->mask + 1ULL;
	struct hlist_node *node;
	unsigned int i;

	for (i = 0; i < buckets; i++) {
		n = 0;
		for (node = table->bucket[i].first; node; node = node->next)
			n++;
		squares += n * n;
	}
	n = c.count;
	return squares * 100 / (n + n * (n - 1) / buckets);
}

/* insert RULES rules as @make says, under several seeds */
static void spread(u8 family,
		   void (*make)(struct kipsec_selector *sel, unsigned int i))
{
	static const u64 seeds[] = { 0, 1, 0x8000000000000000, U64_MAX, 0, 0 };
	unsigned int s, i, percent;
	struct kipsec_selector *sel;

	for (s = 0; s < ARRAY_SIZE(seeds); s++) {
		kipsec_classifier_init(&c, family,
				       s < 4 ? seeds[s] : ktap_rand());
		for (i = 0; i < RULES; i++) {
			sel = &entries[i].sel;
			memset(sel, 0, sizeof(*sel));
			sel->family = family;
			sel->proto = KIPSEC_PROTO_ANY;
			make(sel, i);
			entries[i].rule.order = i + 1;
			EXPECT(!kipsec_classifier_insert(&c, &entries[i].rule,
							 sel));
		}
		percent = crowding();
		if (percent > 110)
			ktap_fail(__FILE__, __LINE__, "seed %u: %u%%", s,
				  percent);
		while (i--)
			kipsec_classifier_remove(&c, &entries[i].rule);
		rcu_barrier();
		kipsec_classifier_destroy(&c);
	}
}

static void one_to_many(struct kipsec_selector *sel, unsigned int i)
{
	sel->src.ip = htonl(0xc0000201);
	sel->dst.ip = htonl(0x0a000000 + i);
	sel->src_len = 32;
	sel->dst_len = 32;
}

static void many_to_one(struct kipsec_selector *sel, unsigned int i)
{
	one_to_many(sel, i);
	sel->dst.ip = htonl(0xc0000201);
	sel->src.ip = htonl(0x0a000000 + i);
}

static void equal_pairs(struct kipsec_selector *sel, unsigned int i)
{
	one_to_many(sel, i);
	sel->src.ip = sel->dst.ip;
}

static void subnets(struct kipsec_selector *sel, unsigned int i)
{
	sel->src.ip = htonl(0x0a000000 + ((i / 200) << 8));
	sel->dst.ip = htonl(0xac100000 + ((i % 200) << 8));
	sel->src_len = 24;
	sel->dst_len = 24;
}

static void ports(struct kipsec_selector *sel, unsigned int i)
{
	one_to_many(sel, 0);
	sel->proto = 6;
	sel->dport = htons(i + 1);
}

static void both_ports(struct kipsec_selector *sel, unsigned int i)
{
	ports(sel, i / 150);
	sel->sport = htons(i % 150 + 1);
}

static void defaults_of_many_masks(struct kipsec_selector *sel, unsigned int i)
{
	/* key 0 in up to 33 * 33 tuples, then subnets */
	sel->src.ip = i < 1089 ? 0 : htonl(i << 8);
	sel->src_len = i < 1089 ? i / 33 : 24;
	sel->dst_len = i < 1089 ? i % 33 : 24;
}

static void subnets6(struct kipsec_selector *sel, unsigned int i)
{
	sel->src.w[0] = htonl(0x20010db8);
	sel->dst.w[0] = htonl(0x20010db8);
	sel->dst.w[1] = htonl(i);
	sel->src_len = 48;
	sel->dst_len = 64;
}

static void hosts6(struct kipsec_selector *sel, unsigned int i)
{
	subnets6(sel, 0);
	sel->src.w[3] = htonl(i % 100);
	sel->dst.w[3] = htonl(i / 100);
	sel->src_len = 128;
	sel->dst_len = 128;
}

/* sorted, no tuple empty, each entry as good as the best rule and no better */
static void check_tuples(void)
{
	const struct kipsec_tuples *tuples = c.tuples;
	const struct tuple_entry *e, *end, *last = NULL;
	const struct kipsec_rule *best;

	if (!tuples)
		return;
	end = end_entry(tuples, c.pairs);
	for (e = first_entry(tuples); e != end; e = next_entry(e, c.pairs)) {
		best = tuple_best(e->tuple);
		EXPECT(best && best->priority == e->priority &&
		       best->order == e->order);
		EXPECT(!last || rank_before(last->priority, last->order,
					    e->priority, e->order));
		EXPECT(!memcmp(e->mask, e->tuple->mask.d,
			       c.pairs * sizeof(*e->mask)));
		last = e;
	}
}

static void tuples_are_exact(void)
{
	bool in[200] = { false };
	unsigned int round, i;
	u64 order = 0;

	kipsec_classifier_init(&c, AF_INET6, ktap_rand());
	for (round = 0; round < 5000; round++) {
		i = pick(ARRAY_SIZE(in));
		if (in[i]) {
			kipsec_classifier_remove(&c, &entries[i].rule);
		} else {
			random_selector(&entries[i].sel, AF_INET6);
			entries[i].sel.src_len &= 0x60;	/* few tuples */
			entries[i].sel.dst_len = 64;
			entries[i].rule.priority = random_priority();
			entries[i].rule.order = ++order;
			EXPECT(!kipsec_classifier_insert(&c, &entries[i].rule,
							 &entries[i].sel));
		}
		in[i] = !in[i];
		check_tuples();
	}
	for (i = 0; i < ARRAY_SIZE(in); i++)
		if (in[i])
			kipsec_classifier_remove(&c, &entries[i].rule);
	rcu_barrier();
	kipsec_classifier_destroy(&c);
	EXPECT_EQ(shim_live(), 0);
	memset(entries, 0, sizeof(entries));
}

#define SPREAD(name, family)		\
static void spread_##name(void)		\
{					\
	spread(family, name);		\
}

SPREAD(one_to_many, AF_INET)
SPREAD(many_to_one, AF_INET)
SPREAD(equal_pairs, AF_INET)
SPREAD(subnets, AF_INET)
SPREAD(ports, AF_INET)
SPREAD(both_ports, AF_INET)
SPREAD(defaults_of_many_masks, AF_INET)
SPREAD(subnets6, AF_INET6)
SPREAD(hosts6, AF_INET6)

static const struct ktap_case cases[] = {
	{ "array of tuples is exact", tuples_are_exact },
	{ "one host to many", spread_one_to_many },
	{ "many hosts to one", spread_many_to_one },
	{ "equal source and destination", spread_equal_pairs },
	{ "pairs of subnets", spread_subnets },
	{ "ports", spread_ports },
	{ "pairs of ports", spread_both_ports },
	{ "one key under many masks", spread_defaults_of_many_masks },
	{ "IPv6 subnets", spread_subnets6 },
	{ "IPv6 hosts", spread_hosts6 },
};

KTAP_MAIN(cases)
