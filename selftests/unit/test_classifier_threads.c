// SPDX-License-Identifier: GPL-2.0
/*
 * test_classifier_threads.c - readers beside a writer.
 *
 * Some rules stay for ever, one per flow that is asked for; others of worse
 * rank, and of better rank that do not match, come and go so that tuples are
 * re-sorted and the table grows. A reader must find the rule that stays, each
 * time. "Replaced" rules are exchanged for others of the same selector, of
 * which one must be found each time.
 */
#include <pthread.h>

#include "random_rules.h"

#define READERS		3
#define STAY		64
#define PASSERS		3000
#define ROUNDS		4

static struct kipsec_classifier c;
static struct entry *stay[STAY];
static struct kipsec_flow stay_flow[STAY];
static bool replaced[STAY];
static bool stop;
static unsigned long lookups;
static u64 last_order;
static u8 family;

/* 192.0.2.i to 198.51.100.i, in IPv6 in each word, with varied masks */
static struct entry *staying_rule(unsigned int i)
{
	struct entry *e = kzalloc(sizeof(*e), GFP_KERNEL);
	unsigned int j;

	e->sel.family = family;
	e->sel.proto = i % 2 ? 17 : KIPSEC_PROTO_ANY;
	e->sel.dport = i % 3 ? htons(i) : 0;
	for (j = 0; j < kipsec_addr_words(family); j++) {
		e->sel.src.w[j] = htonl(0xc0000200 | i);
		e->sel.dst.w[j] = htonl(0xc6336400 | i);
	}
	e->sel.src_len = kipsec_addr_words(family) * 32 - i % 2;
	e->sel.dst_len = kipsec_addr_words(family) * 32;
	e->rule.priority = 100 + i % 7;
	e->rule.order = ++last_order;
	return e;
}

static void flow_of(struct kipsec_flow *fl, const struct entry *e)
{
	size_t n = kipsec_addr_words(family) * sizeof(__be32);

	memset(fl, 0, sizeof(*fl));
	fl->family = family;
	fl->proto = 17;
	fl->dport = e->sel.dport;
	memcpy(kipsec_flow_src(fl), &e->sel.src, n);
	memcpy(kipsec_flow_dst(fl), &e->sel.dst, n);
}

static void *reader(void *arg)
{
	unsigned int i = (uintptr_t)arg, bad = 0;
	unsigned long n = 0;
	struct kipsec_rule *rule;
	bool ok;

	while (!READ_ONCE(stop)) {
		i = (i + 1) % STAY;
		rcu_read_lock();
		rule = kipsec_classifier_lookup(&c, &stay_flow[i]);
		if (replaced[i])
			ok = rule && rule->priority == 100 + i % 7;
		else
			ok = rule == &stay[i]->rule;
		rcu_read_unlock();
		bad += !ok;
		n++;
	}
	__atomic_add_fetch(&lookups, n, __ATOMIC_RELAXED);
	return (void *)(uintptr_t)bad;
}

static void replace_some(void)
{
	struct entry *new;
	unsigned int i;

	for (i = 0; i < STAY; i++) {
		if (!replaced[i])
			continue;
		new = staying_rule(i);
		if (i % 3)
			new->rule.order = stay[i]->rule.order;
		EXPECT(!kipsec_classifier_insert(&c, &new->rule, &new->sel));
		kipsec_classifier_remove(&c, &stay[i]->rule);
		kfree_rcu(stay[i], rcu);
		stay[i] = new;
	}
}

/* rules from 10/8 only, which the flows never match, or of the worst rank */
static struct entry *passing_rule(void)
{
	struct entry *e = kzalloc(sizeof(*e), GFP_KERNEL);

	random_selector(&e->sel, family);
	e->rule.priority = 10000;
	if (e->sel.src_len >= 8)
		e->rule.priority = pick(200);
	e->rule.order = ++last_order;
	return e;
}

static void passers(void)
{
	static struct entry *pass[PASSERS];
	unsigned int i;

	for (i = 0; i < PASSERS; i++) {
		pass[i] = passing_rule();
		EXPECT(!kipsec_classifier_insert(&c, &pass[i]->rule,
						 &pass[i]->sel));
		if (i % 256 == 0)
			replace_some();
	}
	for (i = 0; i < PASSERS; i++) {
		kipsec_classifier_remove(&c, &pass[i]->rule);
		kfree_rcu(pass[i], rcu);
		if (i % 256 == 0) {
			replace_some();
			synchronize_rcu();
		}
	}
}

static void one_world(void)
{
	pthread_t thread[READERS];
	unsigned int i, bad = 0;
	void *result;

	kipsec_classifier_init(&c, family, ktap_rand());
	for (i = 0; i < STAY; i++) {
		stay[i] = staying_rule(i);
		replaced[i] = i % 4 == 0;
		flow_of(&stay_flow[i], stay[i]);
		EXPECT(!kipsec_classifier_insert(&c, &stay[i]->rule,
						 &stay[i]->sel));
	}
	stop = false;
	for (i = 0; i < READERS; i++)
		EXPECT(!pthread_create(&thread[i], NULL, reader,
				       (void *)(uintptr_t)i));
	passers();
	WRITE_ONCE(stop, true);
	for (i = 0; i < READERS; i++) {
		pthread_join(thread[i], &result);
		bad += (uintptr_t)result;
	}
	EXPECT_EQ(bad, 0);
	for (i = 0; i < STAY; i++) {
		kipsec_classifier_remove(&c, &stay[i]->rule);
		kfree_rcu(stay[i], rcu);
	}
	synchronize_rcu();
	kipsec_classifier_destroy(&c);
	EXPECT_EQ(shim_live(), 0);
}

static void worlds(u8 af)
{
	unsigned int i;

	family = af;
	lookups = 0;
	for (i = 0; i < ROUNDS; i++)
		one_world();
	/* the readers have really been there */
	EXPECT(lookups > 1000);
}

static void threads4(void)
{
	worlds(AF_INET);
}

static void threads6(void)
{
	worlds(AF_INET6);
}

static const struct ktap_case cases[] = {
	{ "readers beside a writer, IPv4", threads4 },
	{ "readers beside a writer, IPv6", threads6 },
};

KTAP_MAIN(cases)
