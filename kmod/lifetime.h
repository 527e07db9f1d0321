/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lifetime.h - limits of SAs and policies (RFC 2367 section 2.3.2; floor 1,
 * pure). Zero means no limit, as on the wire of PF_KEY.
 */
#ifndef _KIPSEC_LIFETIME_H
#define _KIPSEC_LIFETIME_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

/**
 * struct kipsec_limit - one set of limits (hard or soft)
 * @packets: allocations
 * @bytes: of protected payload
 * @addtime: seconds since creation
 * @usetime: seconds since first use
 */
struct kipsec_limit {
	u64	packets;
	u64	bytes;
	u64	addtime;
	u64	usetime;
};

/** struct kipsec_lifetime - hard and soft limits of one object */
struct kipsec_lifetime {
	struct kipsec_limit	hard;
	struct kipsec_limit	soft;
};

/** enum kipsec_life - how far an object has come */
enum kipsec_life {
	KIPSEC_LIFE_FRESH,
	KIPSEC_LIFE_SOFT,	/* soft limit reached */
	KIPSEC_LIFE_HARD,	/* hard limit reached */
};

/** kipsec_lifetime_counted() - is there any limit by packets or bytes? */
static inline bool kipsec_lifetime_counted(const struct kipsec_lifetime *lt)
{
	return lt->hard.packets || lt->hard.bytes ||
	       lt->soft.packets || lt->soft.bytes;
}

/**
 * kipsec_lifetime_by_use() - judge packets and bytes
 * @lt: the limits
 * @packets: counted so far, the present one included
 * @bytes: likewise
 *
 * A limit of n packets lets n packets pass: the first one beyond it is HARD (or
 * SOFT). The same holds for bytes.
 */
enum kipsec_life kipsec_lifetime_by_use(const struct kipsec_lifetime *lt,
					u64 packets, u64 bytes);

/**
 * kipsec_lifetime_by_time() - judge time
 * @lt: the limits
 * @created: seconds on a clock that never jumps
 * @used: first use on the same clock, 0 if never
 * @now: on the same clock
 * @next: set to the next moment at which the answer may change, or 0 if none
 * @soft_done: the soft limit was already reported, so it is no next moment
 *
 * A limit of n seconds is reached n seconds after its start, not later.
 */
enum kipsec_life kipsec_lifetime_by_time(const struct kipsec_lifetime *lt,
					 u64 created, u64 used, u64 now,
					 bool soft_done, u64 *next);

#endif /* _KIPSEC_LIFETIME_H */
