// SPDX-License-Identifier: GPL-2.0
/*
 * selector.c - compile, match and compare selectors (floor 1, pure).
 *
 * Matching is defined twice on purpose: kipsec_selector_match() says field by
 * field what a selector means, kipsec_selector_compile() turns it into words
 * for the classifier. The unit tests hold the two against each other.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#endif

#include "selector.h"

/* the mask of the first @len bits of a word */
static __be32 prefix_mask(unsigned int len)
{
	if (len >= 32)
		return htonl(~0U);
	return len ? htonl(~0U << (32 - len)) : 0;
}

static void compile_addr(__be32 *key, __be32 *mask,
			 const union kipsec_addr *addr, unsigned int len,
			 unsigned int words)
{
	unsigned int i;

	for (i = 0; i < words; i++) {
		mask[i] = prefix_mask(len);
		key[i] = addr->w[i] & mask[i];
		len -= min(len, 32U);
	}
}

void kipsec_selector_compile(const struct kipsec_selector *sel,
			     struct kipsec_flow *key, struct kipsec_flow *mask)
{
	unsigned int words = kipsec_addr_words(sel->family);

	memset(key, 0, sizeof(*key));
	memset(mask, 0, sizeof(*mask));

	key->family = sel->family;
	mask->family = 0xff;
	if (sel->proto != KIPSEC_PROTO_ANY) {
		key->proto = sel->proto;
		mask->proto = 0xff;
	}
	if (sel->sport) {
		key->sport = sel->sport;
		mask->sport = htons(0xffff);
	}
	if (sel->dport) {
		key->dport = sel->dport;
		mask->dport = htons(0xffff);
	}
	compile_addr(key->addr, mask->addr, &sel->src, sel->src_len, words);
	compile_addr(key->addr + words, mask->addr + words, &sel->dst,
		     sel->dst_len, words);
}

bool kipsec_addr_in_prefix(const __be32 *addr, const union kipsec_addr *prefix,
			   unsigned int len)
{
	unsigned int whole = len / 32;

	if (memcmp(addr, prefix->w, whole * sizeof(*addr)))
		return false;
	if (!(len % 32))
		return true;
	return !((addr[whole] ^ prefix->w[whole]) & prefix_mask(len % 32));
}

bool kipsec_selector_match(const struct kipsec_selector *sel,
			   const struct kipsec_flow *fl)
{
	const __be32 *src = fl->addr;
	const __be32 *dst = fl->addr + kipsec_addr_words(sel->family);

	return sel->family == fl->family &&
	       (sel->proto == KIPSEC_PROTO_ANY || sel->proto == fl->proto) &&
	       (!sel->sport || sel->sport == fl->sport) &&
	       (!sel->dport || sel->dport == fl->dport) &&
	       kipsec_addr_in_prefix(src, &sel->src, sel->src_len) &&
	       kipsec_addr_in_prefix(dst, &sel->dst, sel->dst_len);
}

bool kipsec_selector_equal(const struct kipsec_selector *a,
			   const struct kipsec_selector *b)
{
	return a->family == b->family && a->proto == b->proto &&
	       a->sport == b->sport && a->dport == b->dport &&
	       a->src_len == b->src_len && a->dst_len == b->dst_len &&
	       kipsec_addr_equal(&a->src, &b->src, a->family) &&
	       kipsec_addr_equal(&a->dst, &b->dst, a->family);
}
