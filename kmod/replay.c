// SPDX-License-Identifier: GPL-2.0
/*
 * replay.c - the anti-replay window (floor 1, pure).
 *
 * The ring of RFC 6479: sequence number n is bit n modulo the ring's size, so
 * that nothing is ever shifted. The ring is longer than the window by at least
 * one word; the words between the old top and the new one are therefore out of
 * the window as a whole and are cleared when the top moves over them.
 */
#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/string.h>
#endif

#include "replay.h"

static u32 window_of(u32 asked)
{
	return clamp_t(u32, asked, KIPSEC_REPLAY_MIN, KIPSEC_REPLAY_MAX);
}

static u32 words_of(u32 window)
{
	return roundup_pow_of_two(DIV_ROUND_UP(window, BITS_PER_LONG) + 1);
}

size_t kipsec_replay_size(u32 window)
{
	struct kipsec_replay *r;

	return struct_size(r, ring, words_of(window_of(window)));
}

void kipsec_replay_init(struct kipsec_replay *r, u32 window, u64 top)
{
	r->window = window_of(window);
	r->words = words_of(r->window);
	r->top = top;
	if (!top)
		return;
	memset(r->ring, 0xff, r->words * sizeof(r->ring[0]));
	/* but what comes after @top in its word has not been seen */
	r->ring[kipsec_replay_word(r, top)] = kipsec_replay_bit(top) | (kipsec_replay_bit(top) - 1);
}

/* Forget the words between the old top's and that of @seq, ahead of it. */
static void clear_words(struct kipsec_replay *r, u64 seq)
{
	u64 from = r->top / BITS_PER_LONG;
	u64 ahead = seq / BITS_PER_LONG - from;
	u32 i, n = min_t(u64, ahead, r->words);

	for (i = 1; i <= n; i++)
		WRITE_ONCE(r->ring[(u32)(from + i) & (r->words - 1)], 0);
}

enum kipsec_replay_verdict kipsec_replay_advance(struct kipsec_replay *r,
						 u64 seq)
{
	enum kipsec_replay_verdict v = kipsec_replay_check(r, seq);
	unsigned long *word = &r->ring[kipsec_replay_word(r, seq)];

	if (unlikely(v != KIPSEC_REPLAY_OK))
		return v;
	if (likely(seq > r->top)) {
		if ((seq ^ r->top) / BITS_PER_LONG)
			clear_words(r, seq);
		WRITE_ONCE(r->top, seq);
	}
	WRITE_ONCE(*word, *word | kipsec_replay_bit(seq));
	return KIPSEC_REPLAY_OK;
}

u64 kipsec_replay_extend(const struct kipsec_replay *r, u32 low)
{
	u64 top = READ_ONCE(r->top);
	u64 bottom = top >= r->window ? top - r->window + 1 : 0;

	return bottom + (u32)(low - (u32)bottom);
}
