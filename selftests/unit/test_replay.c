// SPDX-License-Identifier: GPL-2.0
/*
 * test_replay.c - the ring against a model that remembers everything.
 */
#include "ktap.h"
#include "replay.h"

static const u32 windows[] = { 32, 33, 63, 64, 65, 100, 1024, 4096, 8192 };

static const char * const verdict_name[] = { "OK", "ZERO", "OLD", "DUP" };

static struct kipsec_replay *window_from(u32 window, u64 top)
{
	struct kipsec_replay *r = kzalloc(kipsec_replay_size(window),
					  GFP_KERNEL);

	kipsec_replay_init(r, window, top);
	return r;
}

static struct kipsec_replay *window_new(u32 window)
{
	return window_from(window, 0);
}

/* The model: one flag for each of 2^20 numbers from @base on. */

#define SPAN	(1u << 20)

struct model {
	u64	base;
	u64	top;
	u32	window;
	u8	seen[SPAN];
};

static struct model model;

static enum kipsec_replay_verdict model_advance(u64 seq)
{
	u8 *seen = &model.seen[(u32)(seq - model.base) % SPAN];

	if (!seq)
		return KIPSEC_REPLAY_ZERO;
	if (seq <= model.top && model.top - seq >= model.window)
		return KIPSEC_REPLAY_OLD;
	if (seq <= model.top && *seen)
		return KIPSEC_REPLAY_DUP;
	*seen = 1;
	if (seq > model.top)
		model.top = seq;
	return KIPSEC_REPLAY_OK;
}

static void both(struct kipsec_replay *r, u64 seq)
{
	enum kipsec_replay_verdict hint = kipsec_replay_check(r, seq);
	enum kipsec_replay_verdict again = kipsec_replay_check(r, seq);
	enum kipsec_replay_verdict got = kipsec_replay_advance(r, seq);
	enum kipsec_replay_verdict want = model_advance(seq);

	if (got != want || hint != want || again != want || r->top != model.top)
		ktap_fail(__FILE__, __LINE__,
			  "window %u, top %#llx, seq %#llx: check %s, advance %s, not %s",
			  model.window, (unsigned long long)model.top,
			  (unsigned long long)seq, verdict_name[hint],
			  verdict_name[got], verdict_name[want]);
}

/* a number that is likely to be wrong about: at edges of window and ring */
static u64 adversary(const struct kipsec_replay *r)
{
	const u64 ring = (u64)r->words * BITS_PER_LONG;
	const u64 steps[] = { 0, 1, 2, r->window - 1, r->window, r->window + 1,
			      ring - 1, ring, ring + 1, BITS_PER_LONG,
			      ring - BITS_PER_LONG, 2 * ring };
	u64 step = steps[ktap_rand() % ARRAY_SIZE(steps)];

	switch (ktap_rand() % 8) {
	case 0:
		return model.top + ktap_rand() % 4;
	case 1:
	case 2:
		return model.top - ktap_rand() % (2 * (u64)r->window);
	case 3:
		return model.top - ktap_rand() % r->window;
	case 4:
		/* from the beginning of a word, to hit whole words */
		return model.top / BITS_PER_LONG * BITS_PER_LONG - step;
	case 5:
		return ktap_rand() % 16 ? model.top + 1 : model.top + step;
	case 6:
		return ktap_rand() % 64 ? model.top - step : 0;
	default:
		return model.top - step;
	}
}

static void against_model(u64 base)
{
	struct kipsec_replay *r;
	unsigned int w, i;
	u64 seq, last;

	for (w = 0; w < ARRAY_SIZE(windows); w++) {
		r = window_new(windows[w]);
		memset(&model, 0, sizeof(model));
		model.base = base;
		model.window = windows[w];
		if (base)
			both(r, base + 3 * 8192);
		last = base + SPAN - 1;
		for (i = 0; i < 60000; i++) {
			seq = adversary(r);
			/* the model's span; wraps around 0 and 2^64 included */
			if (seq && (seq < base || seq > last))
				continue;
			both(r, seq);
		}
		kfree(r);
	}
}

static void from_the_start(void)
{
	against_model(0);
}

static void around_2_32(void)
{
	against_model((1ULL << 32) - SPAN / 32);
}

static void around_2_63(void)
{
	against_model((1ULL << 63) - SPAN / 32);
}

static void up_to_2_64(void)
{
	against_model(U64_MAX - SPAN + 1);
}

/* the last 100,000 numbers there are, so that the end is really reached */
static void last_numbers(void)
{
	struct kipsec_replay *r;
	unsigned int w, i;

	for (w = 0; w < ARRAY_SIZE(windows); w++) {
		r = window_new(windows[w]);
		memset(&model, 0, sizeof(model));
		model.base = U64_MAX - SPAN + 1;
		model.window = windows[w];
		for (i = 3 * windows[w]; i; i -= ktap_rand() % i ? 1 : i)
			both(r, U64_MAX - i + 1 - (ktap_rand() % 5 ? 0 : 9));
		both(r, U64_MAX);
		both(r, U64_MAX);
		both(r, U64_MAX - windows[w] + 1);
		both(r, U64_MAX - windows[w]);
		both(r, U64_MAX - windows[w] + 1);
		both(r, 0);
		both(r, 1);
		kfree(r);
	}
}

/* all up to a number given at birth counts as seen, and nothing behind it */
static void taken_over(void)
{
	struct kipsec_replay *r;
	unsigned int w, i, j;
	u64 seq;

	for (w = 0; w < ARRAY_SIZE(windows); w++) {
		for (i = 0; i < 200; i++) {
			memset(&model, 0, sizeof(model));
			model.window = windows[w];
			model.top = 3 * 8192 + i;
			memset(model.seen, 1, model.top + 1);
			r = window_from(windows[w], model.top);
			for (j = 0; j < 100; j++) {
				seq = adversary(r);
				if (seq < SPAN)
					both(r, seq);
			}
			kfree(r);
		}
	}
}

/* in order, without loss: the common case */
static void in_order(void)
{
	struct kipsec_replay *r = window_new(64);
	u64 seq;

	for (seq = 1; seq < 100000; seq++) {
		EXPECT_EQ(kipsec_replay_advance(r, seq), KIPSEC_REPLAY_OK);
		EXPECT_EQ(kipsec_replay_advance(r, seq), KIPSEC_REPLAY_DUP);
	}
	kfree(r);
}

/* every number of the window from the oldest up, then from the newest down */
static void whole_window(void)
{
	struct kipsec_replay *r;
	unsigned int w;
	u64 i, top;

	for (w = 0; w < ARRAY_SIZE(windows); w++) {
		r = window_new(windows[w]);
		top = 123456789;
		EXPECT_EQ(kipsec_replay_advance(r, top), KIPSEC_REPLAY_OK);
		for (i = top - windows[w] + 1; i < top; i++)
			EXPECT_EQ(kipsec_replay_advance(r, i),
				  KIPSEC_REPLAY_OK);
		for (i = top; i > top - windows[w]; i--)
			EXPECT_EQ(kipsec_replay_advance(r, i),
				  KIPSEC_REPLAY_DUP);
		EXPECT_EQ(kipsec_replay_advance(r, top - windows[w]),
			  KIPSEC_REPLAY_OLD);
		kfree(r);
	}
}

/* Case by case, as a reader's description of a window of 64. */

#define H32	(1ULL << 32)

static const struct {
	u64	seq;
	enum kipsec_replay_verdict verdict;
} numbered[] = {
	{ 0, KIPSEC_REPLAY_ZERO },		/* 0: never sent */
	{ 1, KIPSEC_REPLAY_OK },
	{ 1, KIPSEC_REPLAY_DUP },
	{ 9, KIPSEC_REPLAY_OK },		/* 3: a gap ... */
	{ 8, KIPSEC_REPLAY_OK },		/* ... filled from behind */
	{ 7, KIPSEC_REPLAY_OK },
	{ 7, KIPSEC_REPLAY_DUP },
	{ 64, KIPSEC_REPLAY_OK },
	{ 63, KIPSEC_REPLAY_OK },		/* 8 */
	{ 1, KIPSEC_REPLAY_DUP },		/* leftmost place, taken */
	{ 65, KIPSEC_REPLAY_OK },
	{ 1, KIPSEC_REPLAY_OLD },		/* 11: one further */
	{ 2, KIPSEC_REPLAY_OK },		/* leftmost place, free */
	{ 2, KIPSEC_REPLAY_DUP },
	{ 64 + 65, KIPSEC_REPLAY_OK },		/* 14: by a whole window */
	{ 65, KIPSEC_REPLAY_OLD },
	{ 66, KIPSEC_REPLAY_OK },
	{ 0, KIPSEC_REPLAY_ZERO },		/* 17: still */
	{ 128, KIPSEC_REPLAY_OK },
	{ 1000000, KIPSEC_REPLAY_OK },		/* 19: far ahead */
	{ 1000000 - 63, KIPSEC_REPLAY_OK },
	{ 1000000 - 64, KIPSEC_REPLAY_OLD },
	{ 129, KIPSEC_REPLAY_OLD },
	{ H32 - 1, KIPSEC_REPLAY_OK },		/* 23: over 2^32 */
	{ H32, KIPSEC_REPLAY_OK },
	{ H32 + 1, KIPSEC_REPLAY_OK },
	{ H32 - 1, KIPSEC_REPLAY_DUP },
	{ H32 - 2, KIPSEC_REPLAY_OK },
	{ H32 - 62, KIPSEC_REPLAY_OK },		/* 28 */
	{ H32 - 63, KIPSEC_REPLAY_OLD },
	{ 1, KIPSEC_REPLAY_OLD },
	{ 2 * H32, KIPSEC_REPLAY_OK },		/* 31: by 2^32: ring all zero */
	{ 2 * H32 - 1, KIPSEC_REPLAY_OK },
	{ 2 * H32 - 63, KIPSEC_REPLAY_OK },
	{ 2 * H32 - 64, KIPSEC_REPLAY_OLD },
	{ U64_MAX, KIPSEC_REPLAY_OK },		/* 35: the last */
	{ U64_MAX, KIPSEC_REPLAY_DUP },
	{ U64_MAX - 63, KIPSEC_REPLAY_OK },
	{ U64_MAX - 64, KIPSEC_REPLAY_OLD },
	{ 0, KIPSEC_REPLAY_ZERO },		/* 39 */
	{ 1, KIPSEC_REPLAY_OLD },
};

static void numbered_cases(void)
{
	struct kipsec_replay *r = window_new(64);
	enum kipsec_replay_verdict got;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbered); i++) {
		got = kipsec_replay_advance(r, numbered[i].seq);
		if (got != numbered[i].verdict)
			ktap_fail(__FILE__, __LINE__, "case %u: %s, not %s", i,
				  verdict_name[got],
				  verdict_name[numbered[i].verdict]);
	}
	kfree(r);
}

static void sizes(void)
{
	struct kipsec_replay *r;
	u32 w;

	for (w = 1; w <= 9000; w++) {
		r = window_new(w);
		EXPECT_EQ(r->window, clamp_t(u32, w, 32, 8192));
		EXPECT(!(r->words & (r->words - 1)));
		EXPECT(r->words * BITS_PER_LONG >= r->window + BITS_PER_LONG);
		EXPECT(r->words * BITS_PER_LONG <
		       2 * (r->window + 2 * BITS_PER_LONG));
		/* the last word is inside, as the sanitizer will tell */
		r->ring[r->words - 1] = 0;
		kfree(r);
	}
}

/* a refused number leaves no trace */
static void refusal_changes_nothing(void)
{
	size_t size = kipsec_replay_size(100);
	struct kipsec_replay *r = window_new(100);
	struct kipsec_replay *copy = window_new(100);
	static const u64 bad[] = { 0, 1, 5000, 4900, 4800, 4901 };
	unsigned int i;

	kipsec_replay_advance(r, 5000);
	kipsec_replay_advance(r, 4901);
	memcpy(copy, r, size);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT(kipsec_replay_advance(r, bad[i]) != KIPSEC_REPLAY_OK);
		EXPECT(!memcmp(r, copy, size));
	}
	EXPECT_EQ(kipsec_replay_check(r, 6000), KIPSEC_REPLAY_OK);
	EXPECT(!memcmp(r, copy, size));
	kfree(r);
	kfree(copy);
}

/* RFC 4304 appendix A: whatever is in reach is recognised by its low half */
static void extended(void)
{
	struct kipsec_replay *r;
	unsigned int i;
	u64 seq, bottom;

	for (i = 0; i < 200000; i++) {
		r = window_new(windows[ktap_rand() % ARRAY_SIZE(windows)]);
		r->top = ktap_rand() >> (1 + ktap_rand() % 40);
		if (ktap_rand() % 2)	/* near a multiple of 2^32 */
			r->top = (r->top & ~(H32 - 1)) + ktap_rand() % 20000;
		bottom = r->top >= r->window ? r->top - r->window + 1 : 0;
		switch (ktap_rand() % 4) {
		case 0:
			seq = bottom;
			break;
		case 1:
			seq = bottom + H32 - 1;
			break;
		case 2:
			seq = bottom + ktap_rand() % (2 * r->window);
			break;
		default:
			seq = bottom + ktap_rand() % H32;
		}
		EXPECT_EQ(kipsec_replay_extend(r, (u32)seq), seq);
		kfree(r);
	}
}

static void extended_at_the_end(void)
{
	struct kipsec_replay *r = window_new(64);

	EXPECT_EQ(kipsec_replay_extend(r, 1), 1);
	EXPECT_EQ(kipsec_replay_extend(r, U32_MAX), U32_MAX);
	r->top = U64_MAX;
	EXPECT_EQ(kipsec_replay_extend(r, U32_MAX - 63), U64_MAX - 63);
	/* there is nothing behind 2^64: what comes out is old, never new */
	EXPECT(kipsec_replay_check(r, kipsec_replay_extend(r, 5)) !=
	       KIPSEC_REPLAY_OK);
	EXPECT(kipsec_replay_check(r, kipsec_replay_extend(r, 0)) !=
	       KIPSEC_REPLAY_OK);
	kfree(r);
}

static const struct ktap_case cases[] = {
	{ "numbered cases", numbered_cases },
	{ "sizes", sizes },
	{ "in order", in_order },
	{ "whole window", whole_window },
	{ "model, from the start", from_the_start },
	{ "model, around 2^32", around_2_32 },
	{ "model, around 2^63", around_2_63 },
	{ "model, up to 2^64", up_to_2_64 },
	{ "model, the last numbers", last_numbers },
	{ "model, taken over from another gateway", taken_over },
	{ "a refusal changes nothing", refusal_changes_nothing },
	{ "extended numbers", extended },
	{ "extended numbers at the end", extended_at_the_end },
};

KTAP_MAIN(cases)
