// SPDX-License-Identifier: GPL-2.0
/*
 * cost_lookup.c - what "make cost" counts: one kind of look-up, over and over.
 *
 *	cost_lookup FAMILY RULES MASKS hit|miss
 *
 * RULES rules in MASKS tuples, each of a priority of its own. A miss visits all
 * of them; a hit is in the one that is visited first.
 */
#include "random_rules.h"

#define LOOKUPS	1000

static struct kipsec_classifier c;

static void add_rule(unsigned int i, unsigned int masks, u8 family)
{
	struct entry *e = kzalloc(sizeof(*e), GFP_KERNEL);
	unsigned int words = kipsec_addr_words(family);

	e->sel.family = family;
	e->sel.proto = KIPSEC_PROTO_ANY;
	e->sel.src_len = words * 32 - i % masks % 8;
	e->sel.dst_len = words * 32 - i % masks / 8;
	e->sel.src.w[0] = htonl(0x0a000000 | i << 8);
	e->sel.dst.w[0] = htonl(0x0b000000 | i << 8);
	e->rule.priority = i % masks;
	e->rule.order = i + 1;
	assert(!kipsec_classifier_insert(&c, &e->rule, &e->sel));
}

int main(int argc, char **argv)
{
	u8 family = argc == 5 && atoi(argv[1]) == 6 ? AF_INET6 : AF_INET;
	unsigned int rules, masks, i, found = 0;
	struct kipsec_flow fl = { .proto = 6, .family = family };

	assert(argc == 5);
	rules = atoi(argv[2]);
	masks = atoi(argv[3]);
	kipsec_classifier_init(&c, family, 0x12345678);
	for (i = 0; i < rules; i++)
		add_rule(i, masks, family);
	for (i = 0; i < LOOKUPS; i++) {
		*kipsec_flow_src(&fl) = htonl(0x0a000000 |
					      (i * masks % (rules ?: 1)) << 8);
		*kipsec_flow_dst(&fl) = *kipsec_flow_src(&fl) ^
					htonl(strcmp(argv[4], "hit") ?
					      0x02000000 : 0x01000000);
		found += !!kipsec_classifier_lookup(&c, &fl);
	}
	printf("%u lookups, %u found\n", LOOKUPS, found);
	return 0;
}
