/* SPDX-License-Identifier: GPL-2.0 */
/*
 * random_rules.h - random selectors and flows from a world so small that they
 * meet, and the linear scan that the classifier must agree with.
 */
#ifndef _RANDOM_RULES_H
#define _RANDOM_RULES_H

#include "classifier.h"
#include "ktap.h"

struct entry {
	struct kipsec_rule	rule;
	struct kipsec_selector	sel;
	struct rcu_head		rcu;
};

static inline unsigned int pick(unsigned int n)
{
	return ktap_rand() % n;
}

/* few values in each byte; in IPv6 bytes all over the address vary */
static inline void random_addr(__be32 *w, u8 family)
{
	unsigned int i;

	for (i = 0; i < kipsec_addr_words(family); i++)
		w[i] = htonl(0x0a000000 | pick(2) << 16 | pick(3) << 8 |
			     pick(4));
}

static inline u8 random_len(u8 family)
{
	static const u8 len4[] = { 0, 8, 15, 16, 23, 24, 30, 31, 32 };
	static const u8 len6[] = { 0, 16, 32, 47, 48, 64, 96, 127, 128 };

	return family == AF_INET6 ? len6[pick(ARRAY_SIZE(len6))] :
				    len4[pick(ARRAY_SIZE(len4))];
}

static inline __be16 random_port(void)
{
	static const u16 ports[] = { 0, 0, 1, 80, 443, 65535 };

	return htons(ports[pick(ARRAY_SIZE(ports))]);
}

static inline u32 random_priority(void)
{
	static const u32 prios[] = { 0, 1, 1000, 1000, 1000, 1001, 1u << 31,
				     U32_MAX };

	return prios[pick(ARRAY_SIZE(prios))];
}

static inline void random_selector(struct kipsec_selector *sel, u8 family)
{
	static const u8 protos[] = { KIPSEC_PROTO_ANY, KIPSEC_PROTO_ANY, 0, 6,
				     17, 1 };

	memset(sel, 0, sizeof(*sel));
	sel->family = family;
	random_addr(sel->src.w, family);
	random_addr(sel->dst.w, family);
	sel->src_len = random_len(family);
	sel->dst_len = random_len(family);
	sel->proto = protos[pick(ARRAY_SIZE(protos))];
	sel->sport = random_port();
	sel->dport = random_port();
}

static inline void random_flow(struct kipsec_flow *fl, u8 family)
{
	static const u8 protos[] = { 0, 6, 6, 17, 1, 50 };

	memset(fl, 0, sizeof(*fl));
	fl->family = family;
	random_addr(kipsec_flow_src(fl), family);
	random_addr(kipsec_flow_dst(fl), family);
	fl->proto = protos[pick(ARRAY_SIZE(protos))];
	fl->sport = random_port();
	fl->dport = random_port();
}

static inline bool entry_before(const struct entry *a, const struct entry *b)
{
	if (a->rule.priority != b->rule.priority)
		return a->rule.priority < b->rule.priority;
	return a->rule.order < b->rule.order;
}

/* the definition of a look-up */
static inline struct entry *linear_scan(struct entry **live, unsigned int n,
					const struct kipsec_flow *fl)
{
	struct entry *best = NULL;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (kipsec_selector_match(&live[i]->sel, fl) &&
		    (!best || entry_before(live[i], best)))
			best = live[i];
	return best;
}

static inline struct entry *lookup(const struct kipsec_classifier *c,
				   const struct kipsec_flow *fl)
{
	struct kipsec_rule *rule;

	rcu_read_lock();
	rule = kipsec_classifier_lookup(c, fl);
	rcu_read_unlock();
	return rule ? container_of(rule, struct entry, rule) : NULL;
}

#endif /* _RANDOM_RULES_H */
