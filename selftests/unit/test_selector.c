// SPDX-License-Identifier: GPL-2.0
/* test_selector.c - what selectors match, and when two are the same. */
#include "ktap.h"
#include "selector.h"

static union kipsec_addr addr(u8 family, const char *text)
{
	union kipsec_addr a = {};

	if (inet_pton(family, text, &a) != 1)
		ktap_fail(__FILE__, __LINE__, "bad address %s", text);
	return a;
}

static struct kipsec_flow flow(u8 family, const char *src, const char *dst,
			       u8 proto, u16 sport, u16 dport)
{
	struct kipsec_flow fl = {
		.sport = htons(sport), .dport = htons(dport),
		.proto = proto, .family = family,
	};
	union kipsec_addr s = addr(family, src), d = addr(family, dst);
	size_t n = kipsec_addr_words(family) * sizeof(__be32);

	memcpy(kipsec_flow_src(&fl), &s, n);
	memcpy(kipsec_flow_dst(&fl), &d, n);
	return fl;
}

static struct kipsec_selector selector(u8 family, const char *src, u8 src_len,
				       const char *dst, u8 dst_len, u8 proto,
				       u16 sport, u16 dport)
{
	return (struct kipsec_selector) {
		.src = addr(family, src), .dst = addr(family, dst),
		.src_len = src_len, .dst_len = dst_len,
		.proto = proto, .family = family,
		.sport = htons(sport), .dport = htons(dport),
	};
}

/* match by definition and by words; they must agree */
static bool match(const struct kipsec_selector *sel,
		  const struct kipsec_flow *fl)
{
	struct kipsec_flow key, mask;
	bool by_words = true;
	unsigned int i;

	kipsec_selector_compile(sel, &key, &mask);
	for (i = 0; i < kipsec_flow_words(sel->family); i++) {
		EXPECT(!(key.w[i] & ~mask.w[i]));
		if ((fl->w[i] & mask.w[i]) != key.w[i])
			by_words = false;
	}
	EXPECT(kipsec_selector_match(sel, fl) == by_words);
	return by_words;
}

#define ANY	KIPSEC_PROTO_ANY
#define V4	AF_INET
#define V6	AF_INET6

static const struct {
	u8	family;
	const char *src, *dst;
	u8	src_len, dst_len, proto;
	u16	sport, dport;
	const char *fsrc, *fdst;
	u8	fproto;
	u16	fsport, fdport;
	bool	match;
} rows[] = {
	/* everything */
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, ANY, 0, 0,
	  "10.1.2.3", "255.255.255.255", 6, 1, 2, true },
	{ V6, "::", "::", 0, 0, ANY, 0, 0, "2001:db8::1", "ff02::1", 58, 135, 0,
	  true },
	/* one pair of hosts */
	{ V4, "10.0.0.1", "10.0.0.2", 32, 32, ANY, 0, 0,
	  "10.0.0.1", "10.0.0.2", 17, 5, 6, true },
	{ V4, "10.0.0.1", "10.0.0.2", 32, 32, ANY, 0, 0,
	  "10.0.0.2", "10.0.0.1", 17, 5, 6, false },
	{ V4, "10.0.0.1", "10.0.0.2", 32, 32, ANY, 0, 0,
	  "10.0.0.1", "10.0.0.3", 17, 5, 6, false },
	{ V6, "2001:db8::1", "2001:db8::2", 128, 128, ANY, 0, 0,
	  "2001:db8::1", "2001:db8::2", 17, 5, 6, true },
	{ V6, "2001:db8::1", "2001:db8::2", 128, 128, ANY, 0, 0,
	  "2001:db8::1", "2001:db8::3", 17, 5, 6, false },
	{ V6, "2001:db8::1", "2001:db8::2", 128, 128, ANY, 0, 0,
	  "2001:db9::1", "2001:db8::2", 17, 5, 6, false },
	/* nets, with host bits that do not count */
	{ V4, "10.1.2.3", "10.2.0.0", 16, 16, ANY, 0, 0,
	  "10.1.255.255", "10.2.0.0", 6, 1, 1, true },
	{ V4, "10.1.2.3", "10.2.0.0", 16, 16, ANY, 0, 0,
	  "10.0.255.255", "10.2.0.0", 6, 1, 1, false },
	{ V4, "10.1.2.3", "10.2.0.0", 31, 1, ANY, 0, 0,
	  "10.1.2.2", "127.2.0.0", 6, 1, 1, true },
	{ V4, "10.1.2.3", "10.2.0.0", 31, 1, ANY, 0, 0,
	  "10.1.2.2", "128.2.0.0", 6, 1, 1, false },
	/* IPv6 prefixes inside, at and across a word */
	{ V6, "2001:db8:1234:5678::9", "::", 47, 0, ANY, 0, 0,
	  "2001:db8:1235::1", "::1", 6, 1, 1, true },
	{ V6, "2001:db8:1234:5678::9", "::", 48, 0, ANY, 0, 0,
	  "2001:db8:1235::1", "::1", 6, 1, 1, false },
	{ V6, "2001:db8::", "::", 32, 0, ANY, 0, 0,
	  "2001:db8:ffff::", "::1", 6, 1, 1, true },
	{ V6, "2001:db8::", "::", 33, 0, ANY, 0, 0,
	  "2001:db8:8000::", "::1", 6, 1, 1, false },
	{ V6, "::", "fe80::1:2:3:4", 0, 127, ANY, 0, 0,
	  "::1", "fe80::1:2:3:5", 6, 1, 1, true },
	{ V6, "::", "fe80::1:2:3:4", 0, 127, ANY, 0, 0,
	  "::1", "fe80::1:2:3:6", 6, 1, 1, false },
	/* protocol */
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 6, 0, 0,
	  "1.1.1.1", "2.2.2.2", 6, 7, 8, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 6, 0, 0,
	  "1.1.1.1", "2.2.2.2", 17, 7, 8, false },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 0, 0, 0,
	  "1.1.1.1", "2.2.2.2", 6, 7, 8, false },
	{ V6, "::", "::", 0, 0, 0, 0, 0, "::1", "::2", 0, 0, 0, true },
	/* ports: each alone, and with any protocol */
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 17, 500, 0,
	  "1.1.1.1", "2.2.2.2", 17, 500, 9, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 17, 500, 0,
	  "1.1.1.1", "2.2.2.2", 17, 501, 9, false },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 17, 0, 500,
	  "1.1.1.1", "2.2.2.2", 17, 501, 500, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 17, 0, 500,
	  "1.1.1.1", "2.2.2.2", 17, 500, 501, false },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, ANY, 65535, 1,
	  "1.1.1.1", "2.2.2.2", 132, 65535, 1, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, ANY, 65535, 1,
	  "1.1.1.1", "2.2.2.2", 50, 0, 0, false },
	/* ICMP: type in the place of the source port, code of the other */
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 1, 8, 0,
	  "1.1.1.1", "2.2.2.2", 1, 8, 0, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 1, 8, 0,
	  "1.1.1.1", "2.2.2.2", 1, 0, 0, false },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 1, 3, 4,
	  "1.1.1.1", "2.2.2.2", 1, 3, 4, true },
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 1, 3, 4,
	  "1.1.1.1", "2.2.2.2", 1, 3, 1, false },
	{ V6, "::", "::", 0, 0, 58, 135, 0, "fe80::1", "ff02::1", 58, 135, 0,
	  true },
	{ V6, "::", "::", 0, 0, 58, 135, 0, "fe80::1", "ff02::1", 58, 136, 0,
	  false },
	/* type 0 cannot be asked for: it is any, as in PF_KEY */
	{ V4, "0.0.0.0", "0.0.0.0", 0, 0, 1, 0, 0,
	  "1.1.1.1", "2.2.2.2", 1, 8, 0, true },
};

static void table(void)
{
	struct kipsec_selector sel;
	struct kipsec_flow fl;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		sel = selector(rows[i].family, rows[i].src, rows[i].src_len,
			       rows[i].dst, rows[i].dst_len, rows[i].proto,
			       rows[i].sport, rows[i].dport);
		fl = flow(rows[i].family, rows[i].fsrc, rows[i].fdst,
			  rows[i].fproto, rows[i].fsport, rows[i].fdport);
		if (match(&sel, &fl) != rows[i].match)
			ktap_fail(__FILE__, __LINE__, "row %u", i);
	}
}

static void families_differ(void)
{
	struct kipsec_selector any4, any6;
	struct kipsec_flow fl4, fl6;

	any4 = selector(V4, "0.0.0.0", 0, "0.0.0.0", 0, ANY, 0, 0);
	any6 = selector(V6, "::", 0, "::", 0, ANY, 0, 0);
	fl4 = flow(V4, "1.2.3.4", "5.6.7.8", 6, 1, 2);
	fl6 = flow(V6, "::1", "::2", 6, 1, 2);
	EXPECT(match(&any4, &fl4) && match(&any6, &fl6));
	EXPECT(!match(&any4, &fl6) && !match(&any6, &fl4));
}

/* each prefix length against the bit that decides, and the one that does not */
static void each_prefix(u8 family, unsigned int bits)
{
	struct kipsec_selector sel = { .family = family, .proto = ANY };
	struct kipsec_flow fl, other;
	unsigned int len, bit, i;
	u8 *raw;

	for (len = 0; len <= bits; len++) {
		memset(&fl, 0, sizeof(fl));
		fl.family = family;
		for (i = 0; i < 8; i++)
			fl.addr[i] = family == V6 || i < 2 ? ktap_rand() : 0;
		memcpy(&sel.src, kipsec_flow_src(&fl), bits / 8);
		memcpy(&sel.dst, kipsec_flow_dst(&fl), bits / 8);
		sel.src_len = len;
		sel.dst_len = bits - len;
		EXPECT(match(&sel, &fl));
		for (bit = 0; bit < bits; bit++) {
			other = fl;
			raw = (u8 *)kipsec_flow_src(&other);
			raw[bit / 8] ^= 0x80 >> bit % 8;
			EXPECT(match(&sel, &other) == (bit >= sel.src_len));
			other = fl;
			raw = (u8 *)kipsec_flow_dst(&other);
			raw[bit / 8] ^= 0x80 >> bit % 8;
			EXPECT(match(&sel, &other) == (bit >= sel.dst_len));
		}
	}
}

static void prefixes4(void)
{
	each_prefix(V4, 32);
}

static void prefixes6(void)
{
	each_prefix(V6, 128);
}

static void equality(void)
{
	struct kipsec_selector a, b;

	a = selector(V6, "2001:db8::1", 64, "2001:db8:1::", 64, 6, 1, 2);
	b = a;
	EXPECT(kipsec_selector_equal(&a, &b));
#define DIFFERS(change) do {			\
	b = a;					\
	(change);				\
	EXPECT(!kipsec_selector_equal(&a, &b));	\
	EXPECT(!kipsec_selector_equal(&b, &a));	\
} while (0)
	DIFFERS(b.src.w[0] ^= htonl(1));
	DIFFERS(b.src.w[3] ^= htonl(1));	/* host bits count */
	DIFFERS(b.dst.w[3] ^= htonl(1));
	DIFFERS(b.src_len = 65);
	DIFFERS(b.dst_len = 63);
	DIFFERS(b.proto = ANY);
	DIFFERS(b.sport = 0);
	DIFFERS(b.dport = 0);
	DIFFERS(b.family = V4);
	a = selector(V4, "10.0.0.1", 8, "10.0.0.2", 8, ANY, 0, 0);
	DIFFERS(b.src = addr(V4, "10.0.0.0"));
	DIFFERS(b.dst = addr(V4, "10.0.0.0"));
#undef DIFFERS
	b = selector(V4, "10.0.0.1", 8, "10.0.0.2", 8, ANY, 0, 0);
	EXPECT(kipsec_selector_equal(&a, &b));
}

/* host bits do not reach the key */
static void host_bits_are_masked(void)
{
	struct kipsec_flow key[2], mask[2];
	struct kipsec_selector a, b;

	a = selector(V4, "10.1.2.3", 8, "192.168.1.77", 24, ANY, 0, 0);
	b = selector(V4, "10.0.0.0", 8, "192.168.1.0", 24, ANY, 0, 0);
	kipsec_selector_compile(&a, &key[0], &mask[0]);
	kipsec_selector_compile(&b, &key[1], &mask[1]);
	EXPECT(!memcmp(&key[0], &key[1], sizeof(key[0])));
	EXPECT(!memcmp(&mask[0], &mask[1], sizeof(mask[0])));
}

static const struct ktap_case cases[] = {
	{ "table", table },
	{ "families differ", families_differ },
	{ "each IPv4 prefix length", prefixes4 },
	{ "each IPv6 prefix length", prefixes6 },
	{ "equality", equality },
	{ "host bits are masked", host_bits_are_masked },
};

KTAP_MAIN(cases)
