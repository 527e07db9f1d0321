// SPDX-License-Identifier: GPL-2.0
/*
 * test_glance.c - a table of bits never hides a policy, and seldom promises one.
 */
#include "ktap.h"
#include "glance.h"

#define RULES	200
#define PACKETS	20000

static struct kipsec_glance *make(struct kipsec_ends common)
{
	u64 bits = kipsec_glance_size(RULES);
	struct kipsec_glance *g = kzalloc(struct_size(g, bits, BITS_TO_LONGS(bits)), GFP_KERNEL);

	g->common = common;
	g->factor[0] = ktap_rand() | 1;
	g->factor[1] = ktap_rand() | 1;
	g->shift = 64 - __builtin_ctzll(bits);
	g->room = RULES;
	return g;
}

static void random_selector(struct kipsec_selector *sel, u8 family)
{
	unsigned int i, words = kipsec_addr_words(family);

	memset(sel, 0, sizeof(*sel));
	sel->family = family;
	sel->proto = KIPSEC_PROTO_ANY;
	sel->src_len = words * 32 - ktap_rand() % 9;
	sel->dst_len = words == 1 ? 8 + ktap_rand() % 25 : 40 + ktap_rand() % 89;
	for (i = 0; i < words; i++) {
		sel->src.w[i] = ktap_rand();
		sel->dst.w[i] = ktap_rand();
	}
}

/* A flow that the selector matches, with host bits of its own. */
static void flow_under(struct kipsec_flow *fl, const struct kipsec_flow *key,
		       const struct kipsec_flow *mask, u8 family)
{
	unsigned int i;

	for (i = 0; i < kipsec_flow_words(family); i++)
		fl->w[i] = key->w[i] | ((u32)ktap_rand() & ~mask->w[i]);
	fl->family = family;
}

static void check_family(u8 family)
{
	struct kipsec_flow key[RULES], mask[RULES], fl = { };
	struct kipsec_ends common = { { U64_MAX, U64_MAX } }, ends;
	struct kipsec_glance *g;
	struct kipsec_selector sel;
	unsigned int i, seen = 0;

	for (i = 0; i < RULES; i++) {
		random_selector(&sel, family);
		kipsec_selector_compile(&sel, &key[i], &mask[i]);
		ends = kipsec_ends_of(&mask[i], family);
		common.w[0] &= ends.w[0];
		common.w[1] &= ends.w[1];
	}
	g = make(common);
	for (i = 0; i < RULES; i++)
		kipsec_glance_set(g, kipsec_ends_of(&key[i], family));
	for (i = 0; i < PACKETS; i++) {
		flow_under(&fl, &key[i % RULES], &mask[i % RULES], family);
		EXPECT(kipsec_glance_get(g, kipsec_ends_of(&fl, family)));
	}
	for (i = 0; i < PACKETS; i++) {
		for (unsigned int w = 2; w < kipsec_flow_words(family); w++)
			fl.w[w] = ktap_rand();
		seen += kipsec_glance_get(g, kipsec_ends_of(&fl, family));
	}
	/* One bit in 64 is set at most, and a hash is not perfect. */
	EXPECT(seen < PACKETS / 24);
	kfree(g);
}

static void never_hides4(void)
{
	check_family(AF_INET);
}

static void never_hides6(void)
{
	check_family(AF_INET6);
}

static void same_ends(void)
{
	__be32 v4[2] = { htonl(0x0a010002), htonl(0x0a030002) };
	struct kipsec_flow fl = { .family = AF_INET };

	fl.addr[0] = v4[0];
	fl.addr[1] = v4[1];
	EXPECT(kipsec_ends4(v4).w[0] == kipsec_ends_of(&fl, AF_INET).w[0]);
	EXPECT(!kipsec_ends4(v4).w[1]);
}

static const struct ktap_case cases[] = {
	{ "IPv4: no policy is hidden, few are promised", never_hides4 },
	{ "IPv6: no policy is hidden, few are promised", never_hides6 },
	{ "a header and a selector have the same ends", same_ends },
};

KTAP_MAIN(cases)
