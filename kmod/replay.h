/* SPDX-License-Identifier: GPL-2.0 */
/*
 * replay.h - the anti-replay window of RFC 4303 section 3.4.3, kept as the
 * ring of words of RFC 6479 (floor 1, pure).
 */
#ifndef _KIPSEC_REPLAY_H
#define _KIPSEC_REPLAY_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

#define KIPSEC_REPLAY_MIN	32
#define KIPSEC_REPLAY_MAX	8192

/** enum kipsec_replay_verdict - what the window says of a sequence number */
enum kipsec_replay_verdict {
	KIPSEC_REPLAY_OK,	/* never seen, not too old */
	KIPSEC_REPLAY_ZERO,	/* 0 is never sent (RFC 4303 section 3.3.3) */
	KIPSEC_REPLAY_OLD,	/* left of the window */
	KIPSEC_REPLAY_DUP,	/* seen before */
};

/**
 * struct kipsec_replay - one SA's window
 * @window: how many numbers, @top included, are still accepted once
 * @words: ring size in unsigned longs, a power of two; it holds @window plus
 *	one word, so that advancing clears whole words only (RFC 6479)
 * @top: highest sequence number accepted so far (64 bit: ESN)
 * @ring: the bits; bit n of the ring is sequence number n modulo the ring size
 */
struct kipsec_replay {
	u32		window;
	u32		words;
	u64		top;
	unsigned long	ring[];
};

/**
 * kipsec_replay_size() - bytes that a struct kipsec_replay takes
 * @window: in packets
 *
 * A @window outside of KIPSEC_REPLAY_MIN to KIPSEC_REPLAY_MAX is brought there.
 */
size_t kipsec_replay_size(u32 window);

/**
 * kipsec_replay_init() - a window in zeroed memory of the size above
 * @r: the memory
 * @window: in packets
 * @top: all numbers up to here count as seen; 0 for a new SA
 */
void kipsec_replay_init(struct kipsec_replay *r, u32 window, u64 top);

/** kipsec_replay_word() - the word of the ring that holds @seq */
static inline u32 kipsec_replay_word(const struct kipsec_replay *r, u64 seq)
{
	return (u32)(seq / BITS_PER_LONG) & (r->words - 1);
}

/** kipsec_replay_bit() - and the bit in it */
static inline unsigned long kipsec_replay_bit(u64 seq)
{
	return 1UL << (seq % BITS_PER_LONG);
}

/**
 * kipsec_replay_check() - would @seq be accepted?
 * @r: the window
 * @seq: 64-bit sequence number
 *
 * A hint before the expensive ICV: safe without the lock, but only
 * kipsec_replay_advance() decides.
 */
static inline enum kipsec_replay_verdict
kipsec_replay_check(const struct kipsec_replay *r, u64 seq)
{
	u64 top = READ_ONCE(r->top);

	if (likely(seq > top))
		return KIPSEC_REPLAY_OK;
	if (!seq)
		return KIPSEC_REPLAY_ZERO;
	if (top - seq >= r->window)
		return KIPSEC_REPLAY_OLD;
	if (READ_ONCE(r->ring[kipsec_replay_word(r, seq)]) &
	    kipsec_replay_bit(seq))
		return KIPSEC_REPLAY_DUP;
	return KIPSEC_REPLAY_OK;
}

/**
 * kipsec_replay_advance() - decide on @seq, and remember it if it is accepted
 * @r: the window
 * @seq: 64-bit sequence number
 *
 * Only after the ICV proved good; the caller holds the SA's lock.
 */
enum kipsec_replay_verdict kipsec_replay_advance(struct kipsec_replay *r,
						 u64 seq);

/**
 * kipsec_replay_extend() - the 64-bit number behind the 32 bits in a packet
 * @r: window of an SA with extended sequence numbers
 * @low: sequence number in the packet
 *
 * RFC 4304 appendix A: of all numbers that end in @low, the one in the 2^32
 * that begin at the left edge of the window. A guess that only the ICV, which
 * covers the high half, confirms; safe without the lock.
 *
 * Return: the number, to be given to check and advance.
 */
u64 kipsec_replay_extend(const struct kipsec_replay *r, u32 low);

#endif /* _KIPSEC_REPLAY_H */
