// SPDX-License-Identifier: GPL-2.0
/* test_lifetime.c - limits of packets, bytes and time, as tables. */
#include "ktap.h"
#include "lifetime.h"

#define NEVER	U64_MAX

static const char * const life_name[] = { "FRESH", "SOFT", "HARD" };

struct use_case {
	u64	hard_packets, hard_bytes, soft_packets, soft_bytes;
	u64	packets, bytes;
	enum kipsec_life life;
};

static const struct use_case use_cases[] = {
	/* no limits */
	{ 0, 0, 0, 0, 0, 0, KIPSEC_LIFE_FRESH },
	{ 0, 0, 0, 0, NEVER, NEVER, KIPSEC_LIFE_FRESH },
	/* ten packets may pass, the eleventh may not */
	{ 10, 0, 0, 0, 9, 999, KIPSEC_LIFE_FRESH },
	{ 10, 0, 0, 0, 10, 999, KIPSEC_LIFE_FRESH },
	{ 10, 0, 0, 0, 11, 999, KIPSEC_LIFE_HARD },
	/* bytes likewise */
	{ 0, 1000, 0, 0, 99, 1000, KIPSEC_LIFE_FRESH },
	{ 0, 1000, 0, 0, 99, 1001, KIPSEC_LIFE_HARD },
	/* soft before hard */
	{ 10, 0, 8, 0, 8, 0, KIPSEC_LIFE_FRESH },
	{ 10, 0, 8, 0, 9, 0, KIPSEC_LIFE_SOFT },
	{ 10, 0, 8, 0, 10, 0, KIPSEC_LIFE_SOFT },
	{ 10, 0, 8, 0, 11, 0, KIPSEC_LIFE_HARD },
	{ 0, 0, 0, 500, 1, 501, KIPSEC_LIFE_SOFT },
	/* hard wins over soft of the other kind, and when both are the same */
	{ 10, 0, 0, 500, 11, 501, KIPSEC_LIFE_HARD },
	{ 10, 0, 10, 0, 11, 0, KIPSEC_LIFE_HARD },
	/* the largest limit cannot be exceeded */
	{ NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, KIPSEC_LIFE_FRESH },
	{ 1, 0, 0, 0, 1, 0, KIPSEC_LIFE_FRESH },
	{ 1, 0, 0, 0, 2, 0, KIPSEC_LIFE_HARD },
};

static void by_use(void)
{
	const struct use_case *t = use_cases;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(use_cases); i++, t++) {
		struct kipsec_lifetime lt = {
			.hard = { t->hard_packets, t->hard_bytes, 1, 1 },
			.soft = { t->soft_packets, t->soft_bytes, 1, 1 },
		};
		enum kipsec_life got;

		got = kipsec_lifetime_by_use(&lt, t->packets, t->bytes);
		if (got != t->life)
			ktap_fail(__FILE__, __LINE__, "row %u: %s, not %s", i,
				  life_name[got], life_name[t->life]);
	}
}

struct time_case {
	u64	hard_add, hard_use, soft_add, soft_use;
	u64	created, used, now;
	bool	soft_done;
	enum kipsec_life life;
	u64	next;
};

static const struct time_case time_cases[] = {
	/* no limits: nothing will ever change */
	{ 0, 0, 0, 0, 100, 0, 100, false, KIPSEC_LIFE_FRESH, 0 },
	{ 0, 0, 0, 0, 100, 150, 99999, false, KIPSEC_LIFE_FRESH, 0 },
	/* hard addtime around its second */
	{ 60, 0, 0, 0, 100, 0, 100, false, KIPSEC_LIFE_FRESH, 160 },
	{ 60, 0, 0, 0, 100, 0, 159, false, KIPSEC_LIFE_FRESH, 160 },
	{ 60, 0, 0, 0, 100, 0, 160, false, KIPSEC_LIFE_HARD, 0 },
	{ 60, 0, 0, 0, 100, 0, 161, false, KIPSEC_LIFE_HARD, 0 },
	/* usetime starts with the first use */
	{ 0, 60, 0, 0, 100, 0, 500, false, KIPSEC_LIFE_FRESH, 0 },
	{ 0, 60, 0, 0, 100, 500, 559, false, KIPSEC_LIFE_FRESH, 560 },
	{ 0, 60, 0, 0, 100, 500, 560, false, KIPSEC_LIFE_HARD, 0 },
	/* whichever comes first */
	{ 100, 10, 0, 0, 100, 120, 125, false, KIPSEC_LIFE_FRESH, 130 },
	{ 100, 90, 0, 0, 100, 120, 125, false, KIPSEC_LIFE_FRESH, 200 },
	/* soft, then hard */
	{ 60, 0, 48, 0, 100, 0, 147, false, KIPSEC_LIFE_FRESH, 148 },
	{ 60, 0, 48, 0, 100, 0, 148, false, KIPSEC_LIFE_SOFT, 160 },
	{ 60, 0, 48, 0, 100, 0, 148, true, KIPSEC_LIFE_SOFT, 160 },
	{ 60, 0, 48, 0, 100, 0, 160, true, KIPSEC_LIFE_HARD, 0 },
	/* soft already reported (by packets): only hard is awaited */
	{ 60, 0, 48, 0, 100, 0, 120, true, KIPSEC_LIFE_FRESH, 160 },
	/* soft without hard */
	{ 0, 0, 48, 0, 100, 0, 120, false, KIPSEC_LIFE_FRESH, 148 },
	{ 0, 0, 48, 0, 100, 0, 148, false, KIPSEC_LIFE_SOFT, 0 },
	{ 0, 0, 48, 0, 100, 0, 120, true, KIPSEC_LIFE_FRESH, 0 },
	/* soft use after soft add has passed: SOFT once is enough */
	{ 0, 0, 48, 90, 100, 100, 150, true, KIPSEC_LIFE_SOFT, 0 },
	/* soft behind or at hard is never told */
	{ 60, 0, 60, 0, 100, 0, 159, false, KIPSEC_LIFE_FRESH, 160 },
	{ 60, 0, 60, 0, 100, 0, 160, false, KIPSEC_LIFE_HARD, 0 },
	{ 60, 0, 70, 0, 100, 0, 159, false, KIPSEC_LIFE_FRESH, 160 },
	/* sums that do not fit mean never */
	{ NEVER, 0, 0, 0, 100, 0, 1000, false, KIPSEC_LIFE_FRESH, 0 },
	{ NEVER - 100, 0, 0, 0, 100, 0, 1000, false, KIPSEC_LIFE_FRESH, 0 },
	{ NEVER - 101, 0, 0, 0, 100, 0, 1000, false, KIPSEC_LIFE_FRESH,
	  NEVER - 1 },
	{ 0, 0, NEVER, 0, 100, 0, 1000, false, KIPSEC_LIFE_FRESH, 0 },
	{ 60, NEVER, 0, 0, 100, 110, 120, false, KIPSEC_LIFE_FRESH, 160 },
	/* one second */
	{ 1, 0, 0, 0, 100, 0, 100, false, KIPSEC_LIFE_FRESH, 101 },
	{ 1, 0, 0, 0, 100, 0, 101, false, KIPSEC_LIFE_HARD, 0 },
};

static void by_time(void)
{
	const struct time_case *t = time_cases;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(time_cases); i++, t++) {
		struct kipsec_lifetime lt = {
			.hard = { 1, 1, t->hard_add, t->hard_use },
			.soft = { 1, 1, t->soft_add, t->soft_use },
		};
		enum kipsec_life got;
		u64 next = 4711;

		got = kipsec_lifetime_by_time(&lt, t->created, t->used, t->now,
					      t->soft_done, &next);
		if (got != t->life || next != t->next)
			ktap_fail(__FILE__, __LINE__,
				  "row %u: %s, next %llu; not %s, next %llu", i,
				  life_name[got], (unsigned long long)next,
				  life_name[t->life],
				  (unsigned long long)t->next);
	}
}

/* @next is truthful: up to it the answer stays, at it the answer changes */
static void next_is_exact(void)
{
	unsigned int i;

	for (i = 0; i < 20000; i++) {
		struct kipsec_lifetime lt = {
			.hard = { 0, 0, ktap_rand() % 20, ktap_rand() % 20 },
			.soft = { 0, 0, ktap_rand() % 20, ktap_rand() % 20 },
		};
		u64 created = 100, now = created + ktap_rand() % 20;
		u64 used = ktap_rand() % 2 ?
			   created + ktap_rand() % (now - created + 1) : 0;
		u64 next, then, t;
		enum kipsec_life a, b;

		a = kipsec_lifetime_by_time(&lt, created, used, now, false,
					    &next);
		for (t = now + 1; t < now + 50; t++) {
			b = kipsec_lifetime_by_time(&lt, created, used, t,
						    false, &then);
			if (next && t < next)
				EXPECT_EQ(a, b);
			else if (next && t == next)
				EXPECT(a < b);
			else if (!next)
				EXPECT_EQ(a, b);
		}
	}
}

static void counted(void)
{
	struct kipsec_lifetime lt = { .hard = { 0, 0, 1, 1 } };

	EXPECT(!kipsec_lifetime_counted(&lt));
	lt.soft.bytes = 1;
	EXPECT(kipsec_lifetime_counted(&lt));
	lt = (struct kipsec_lifetime) { .hard = { .packets = 1 } };
	EXPECT(kipsec_lifetime_counted(&lt));
}

static const struct ktap_case cases[] = {
	{ "packets and bytes", by_use },
	{ "time", by_time },
	{ "next moment is exact", next_is_exact },
	{ "counted", counted },
};

KTAP_MAIN(cases)
