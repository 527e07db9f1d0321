// SPDX-License-Identifier: GPL-2.0
/*
 * test_ah_mask.c - headers as AH authenticates them, against what RFC 4302
 * section 3.3.3 and appendix A say, byte by byte.
 */
#include "ah_mask.h"
#include "ktap.h"

/* Header @in, of @n bytes, becomes @want; NULL: it is refused. */
static void expect(const u8 *in, size_t n, bool out, const u8 *want, int line)
{
	u8 *copy = malloc(n);
	bool ok;

	memcpy(copy, in, n);
	ok = kipsec_ah_mask(copy, n, out);
	if (ok != !!want)
		ktap_fail(__FILE__, line, "it says %d", ok);
	else if (want && memcmp(copy, want, n))
		ktap_fail(__FILE__, line, "not what was expected");
	free(copy);
}

/* --- IPv4: bytes that are the same in all cases, then options ------------- */

#define IP4	0x45, 0xff, 0x01, 0x02, 0x12, 0x34, 0xff, 0xff, 0x40, 51,	\
		0xab, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2
#define MASKED4	0x45, 0, 0x01, 0x02, 0x12, 0x34, 0, 0, 0, 51, 0, 0,	\
		10, 0, 0, 1, 10, 0, 0, 2

#define BYTES(...)	((const u8[]){ __VA_ARGS__ })
#define SAME(out, from, to)						\
	expect(from, sizeof(from), out, to, __LINE__)
#define BAD(out, from)	expect(from, sizeof(from), out, NULL, __LINE__)
#define BOTH(from, to)	do { SAME(true, from, to); SAME(false, from, to); } while (0)
#define BOTH_BAD(from)	do { BAD(true, from); BAD(false, from); } while (0)

static void plain4(void)
{
	BOTH(BYTES(IP4), BYTES(MASKED4));
}

static void fixed4(void)
{
	BOTH(BYTES(IP4, 1, 1, 1, 1), BYTES(MASKED4, 1, 1, 1, 1));
	BOTH(BYTES(IP4, 130, 4, 5, 6), BYTES(MASKED4, 130, 4, 5, 6));
	BOTH(BYTES(IP4, 133, 3, 5, 0), BYTES(MASKED4, 133, 3, 5, 0));
	BOTH(BYTES(IP4, 134, 4, 5, 6), BYTES(MASKED4, 134, 4, 5, 6));
	BOTH(BYTES(IP4, 148, 4, 0, 9), BYTES(MASKED4, 148, 4, 0, 9));
	BOTH(BYTES(IP4, 149, 4, 5, 6), BYTES(MASKED4, 149, 4, 5, 6));
}

static void zeroed4(void)
{
	static const u8 kinds[] = { 7, 68, 82, 136, 142, 144, 145, 151, 30, 255 };
	u8 in[24] = { IP4, 0, 4, 5, 6 };
	unsigned int i;

	for (i = 0; i < sizeof(kinds); i++) {
		in[20] = kinds[i];
		BOTH(in, BYTES(MASKED4, 0, 0, 0, 0));
	}
	/* one of each in a row, and nothing behind the end is looked at */
	BOTH(BYTES(IP4, 148, 4, 0, 9, 7, 3, 4, 1, 68, 2, 134, 2, 0, 7, 7, 7),
	     BYTES(MASKED4, 148, 4, 0, 9, 0, 0, 0, 1, 0, 0, 134, 2, 0, 7, 7, 7));
}

static void malformed4(void)
{
	BOTH_BAD(BYTES(IP4, 7, 0, 0, 0));
	BOTH_BAD(BYTES(IP4, 7, 1, 0, 0));
	BOTH_BAD(BYTES(IP4, 7, 5, 0, 0));
	BOTH_BAD(BYTES(IP4, 1, 1, 1, 7));
	BOTH_BAD(BYTES(IP4, 148, 4, 0, 0, 1, 1, 7, 3));
}

#define ROUTED4(a, b, c, d)						\
		0x45, 0, 0x01, 0x02, 0x12, 0x34, 0, 0, 0, 51, 0, 0,	\
		10, 0, 0, 1, a, b, c, d

static void route4(void)
{
	static const u8 kinds[] = { 131, 137 };
	unsigned int i;

	for (i = 0; i < sizeof(kinds); i++) {
		u8 one[28] = { IP4, 0, 7, 4, 1, 2, 3, 4, 0 };
		u8 two[32] = { IP4, 0, 11, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1 };

		one[20] = kinds[i];
		two[20] = kinds[i];
		SAME(true, one, BYTES(ROUTED4(1, 2, 3, 4), 0, 0, 0, 0, 0, 0, 0, 0));
		SAME(false, one, BYTES(MASKED4, 0, 0, 0, 0, 0, 0, 0, 0));
		SAME(true, two, BYTES(ROUTED4(5, 6, 7, 8), 0, 0, 0, 0, 0, 0,
				      0, 0, 0, 0, 0, 1));
		one[22] = 8;	/* used up: this is its end */
		SAME(true, one, BYTES(MASKED4, 0, 0, 0, 0, 0, 0, 0, 0));
		SAME(true, BYTES(IP4, 131, 3, 0, 0), BYTES(MASKED4, 0, 0, 0, 0));
	}
}

/* --- IPv6 ----------------------------------------------------------------- */

#define A(n)	0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n
#define IP6(next, dst)	0x6f, 0xff, 0xff, 0xff, 1, 2, next, 0x40, A(1), A(dst)
#define MASKED6(next, dst)	0x60, 0, 0, 0, 1, 2, next, 0, A(1), A(dst)

static void plain6(void)
{
	BOTH(BYTES(IP6(51, 2)), BYTES(MASKED6(51, 2)));
}

/* Both kinds of options; type 0x3e may change, 0x1e and 0xc9 may not. */
static void options6(void)
{
	BOTH(BYTES(IP6(0, 2), 51, 0, 5, 2, 0, 9, 1, 0),
	     BYTES(MASKED6(0, 2), 51, 0, 5, 2, 0, 9, 1, 0));
	BOTH(BYTES(IP6(0, 2), 60, 1, 0, 0x3e, 3, 7, 7, 7, 0x1e, 1, 7, 1, 3, 9, 9, 9,
		   51, 0, 0xc9, 1, 7, 0x3e, 1, 7),
	     BYTES(MASKED6(0, 2), 60, 1, 0, 0x3e, 3, 0, 0, 0, 0x1e, 1, 7, 1, 3, 9, 9, 9,
		   51, 0, 0xc9, 1, 7, 0x3e, 1, 0));
}

static void malformed6(void)
{
	/* an option longer than its header, an option's type alone */
	BOTH_BAD(BYTES(IP6(0, 2), 51, 0, 5, 5, 0, 0, 0, 0));
	BOTH_BAD(BYTES(IP6(60, 2), 51, 0, 1, 3, 0, 0, 0, 5));
	/* a header longer than the packet, and one cut short */
	BOTH_BAD(BYTES(IP6(0, 2), 51, 1, 1, 4, 0, 0, 0, 0));
	BOTH_BAD(BYTES(IP6(0, 2), 51, 0, 1, 2, 0, 0));
	/* what does not belong there: a fragment header, TCP */
	BOTH_BAD(BYTES(IP6(44, 2), 51, 0, 0, 0, 0, 0, 0, 1));
	BOTH_BAD(BYTES(IP6(6, 2), 51, 0, 1, 4, 0, 0, 0, 0));
}

#define RH(type, left, ...)	51, 6, type, left, 0, 0, 0, 0, __VA_ARGS__

static void route6(void)
{
	/* through 2, 3, 4 to 5: at first, at the second stop, at the end */
	SAME(true, BYTES(IP6(43, 2), RH(0, 3, A(3), A(4), A(5))),
	     BYTES(MASKED6(43, 5), RH(0, 0, A(2), A(3), A(4))));
	SAME(true, BYTES(IP6(43, 3), RH(0, 2, A(2), A(4), A(5))),
	     BYTES(MASKED6(43, 5), RH(0, 0, A(2), A(3), A(4))));
	BOTH(BYTES(IP6(43, 5), RH(0, 0, A(2), A(3), A(4))),
	     BYTES(MASKED6(43, 5), RH(0, 0, A(2), A(3), A(4))));
	SAME(true, BYTES(IP6(43, 2), 51, 2, 2, 1, 0, 0, 0, 0, A(3)),
	     BYTES(MASKED6(43, 3), 51, 2, 2, 0, 0, 0, 0, 0, A(2)));
	/* more stops than addresses, and a kind that nobody can foretell */
	BAD(true, BYTES(IP6(43, 2), RH(0, 4, A(3), A(4), A(5))));
	BAD(true, BYTES(IP6(43, 2), 51, 0, 0, 1, 0, 0, 0, 0));
	BAD(true, BYTES(IP6(43, 2), RH(4, 1, A(3), A(4), A(5))));
	BOTH(BYTES(IP6(43, 2), RH(4, 0, A(3), A(4), A(5))),
	     BYTES(MASKED6(43, 2), RH(4, 0, A(3), A(4), A(5))));
}

/* --- anything ------------------------------------------------------------- */

/* Whatever comes: no byte outside is touched, and done twice is done once. */
static void anything(void)
{
	unsigned int i, k, n, good = 0;

	for (i = 0; i < 300000; i++) {
		bool six = i & 1, out = i & 2;
		static const u8 nexts[] = { 0, 43, 60, 51 };
		u8 *p, *again;

		n = six ? 40 + 8 * (ktap_rand() % 9) : 20 + 4 * (ktap_rand() % 11);
		p = malloc(n);
		again = malloc(n);
		for (k = 0; k < n; k++)
			p[k] = ktap_rand() & (k % 3 ? 7 : 0xff);
		p[0] = six ? 0x60 : 0x45;
		if (six) {
			p[6] = nexts[ktap_rand() % 4];
			for (k = 40; k < n; k += 8)
				p[k] = nexts[ktap_rand() % 4];
		}
		if (kipsec_ah_mask(p, n, out)) {
			good++;
			memcpy(again, p, n);
			EXPECT(kipsec_ah_mask(again, n, false));
			EXPECT(!memcmp(again, p, n));
		}
		free(p);
		free(again);
	}
	EXPECT(good > 1000);
}

static const struct ktap_case cases[] = {
	{ "IPv4: the plain header", plain4 },
	{ "IPv4: options that stay as they are", fixed4 },
	{ "IPv4: options that change, or are unknown", zeroed4 },
	{ "IPv4: options out of bounds", malformed4 },
	{ "IPv4: source routes", route4 },
	{ "IPv6: the plain header", plain6 },
	{ "IPv6: hop-by-hop and destination options", options6 },
	{ "IPv6: extension headers out of bounds or place", malformed6 },
	{ "IPv6: routing headers", route6 },
	{ "anything, of both families", anything },
};

KTAP_MAIN(cases)
