// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime.c - judge limits of packets, bytes and time (floor 1, pure).
 */
#ifdef __KERNEL__
#include <linux/limits.h>
#endif

#include "lifetime.h"

static bool beyond(u64 value, u64 limit)
{
	return limit && value > limit;
}

enum kipsec_life kipsec_lifetime_by_use(const struct kipsec_lifetime *lt,
					u64 packets, u64 bytes)
{
	if (beyond(packets, lt->hard.packets) || beyond(bytes, lt->hard.bytes))
		return KIPSEC_LIFE_HARD;
	if (beyond(packets, lt->soft.packets) || beyond(bytes, lt->soft.bytes))
		return KIPSEC_LIFE_SOFT;
	return KIPSEC_LIFE_FRESH;
}

/* the moment @limit seconds after @start; U64_MAX for never */
static u64 moment(u64 start, u64 limit)
{
	if (!limit || limit > U64_MAX - start)
		return U64_MAX;
	return start + limit;
}

/* the moment at which the first of both limits of time is reached */
static u64 first_moment(const struct kipsec_limit *l, u64 created, u64 used)
{
	u64 add = moment(created, l->addtime);
	u64 use = used ? moment(used, l->usetime) : U64_MAX;

	return add < use ? add : use;
}

enum kipsec_life kipsec_lifetime_by_time(const struct kipsec_lifetime *lt,
					 u64 created, u64 used, u64 now,
					 bool soft_done, u64 *next)
{
	u64 hard = first_moment(&lt->hard, created, used);
	u64 soft = first_moment(&lt->soft, created, used);
	u64 then = hard;

	*next = 0;
	if (hard <= now)
		return KIPSEC_LIFE_HARD;
	if (soft > now && soft < hard && !soft_done)
		then = soft;
	if (then != U64_MAX)
		*next = then;
	return soft <= now ? KIPSEC_LIFE_SOFT : KIPSEC_LIFE_FRESH;
}
