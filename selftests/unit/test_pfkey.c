// SPDX-License-Identifier: GPL-2.0
/* test_pfkey.c - PF_KEY messages: what is accepted and what refused. */
#include "ktap.h"
#include "pfkey_sample.h"
#include "pfkey_touch.h"

/*
 * A message under test lies at the end of memory of exactly its length, and at
 * an odd address if that is asked for: reading one byte too many is caught, and
 * so is reading a word where it need not be aligned.
 */
struct raw {
	u8	bytes[4096];
	size_t	len;
};

static void raw_init(struct raw *r, u8 type)
{
	struct sadb_msg hdr = {
		.sadb_msg_version = PF_KEY_V2, .sadb_msg_type = type,
		.sadb_msg_seq = 7, .sadb_msg_pid = 8,
	};

	memset(r, 0, sizeof(*r));
	memcpy(r->bytes, &hdr, sizeof(hdr));
	r->len = sizeof(hdr);
}

/* Append @len bytes as an extension that claims @units. */
static void raw_ext(struct raw *r, u16 type, u16 units, const void *body,
		    size_t len)
{
	struct sadb_ext ext = { .sadb_ext_len = units, .sadb_ext_type = type };

	memcpy(r->bytes + r->len, body, len);
	memcpy(r->bytes + r->len, &ext, len < sizeof(ext) ? len : sizeof(ext));
	r->len += len;
}

static void set_len(struct raw *r)
{
	((struct sadb_msg *)r->bytes)->sadb_msg_len = r->len / 8;
}

static int parse_at(const struct raw *r, size_t shift, unsigned int *sum)
{
	u8 *mem = malloc(r->len + shift), *buf = mem + shift;
	struct kipsec_pfkey_policy pol;
	struct kipsec_pfkey_msg m;
	int err;

	memcpy(buf, r->bytes, r->len);
	err = kipsec_pfkey_check_base(buf, r->len) ?:
	      kipsec_pfkey_parse(&m, buf, r->len);
	if (!err) {
		*sum = pfkey_touch(&m);
		if (kipsec_pfkey_policy(&m))
			err = kipsec_pfkey_parse_policy(&pol,
							kipsec_pfkey_policy(&m));
		if (kipsec_pfkey_policy(&m) && !err)
			EXPECT(pfkey_policy_survives(&pol));
	}
	kipsec_pfkey_hide_keys(buf, r->len);
	free(mem);
	return err;
}

static int parse(struct raw *r)
{
	unsigned int a = 0, b = 0;
	int err;

	set_len(r);
	err = parse_at(r, 0, &a);
	EXPECT(parse_at(r, 1, &b) == err && a == b);
	return err;
}

static void base_header(void)
{
	static const struct {
		u8	version, type;
		u16	len, reserved;
		size_t	size;
		int	err;
	} rows[] = {
		{ 2, SADB_FLUSH, 2, 0, 16, 0 },
		{ 2, SADB_X_MIGRATE, 2, 0, 16, 0 },
		{ 2, SADB_FLUSH, 2, 0, 15, -EMSGSIZE },
		{ 2, SADB_FLUSH, 2, 0, 0, -EMSGSIZE },
		{ 2, SADB_FLUSH, 2, 0, 17, -EMSGSIZE },
		{ 2, SADB_FLUSH, 2, 0, 24, -EMSGSIZE },
		{ 2, SADB_FLUSH, 3, 0, 16, -EMSGSIZE },
		{ 2, SADB_FLUSH, 0, 0, 16, -EMSGSIZE },
		{ 1, SADB_FLUSH, 2, 0, 16, -EINVAL },
		{ 3, SADB_FLUSH, 2, 0, 16, -EINVAL },
		{ 2, 0, 2, 0, 16, -EINVAL },
		{ 2, 25, 2, 0, 16, -EINVAL },
		{ 2, 255, 2, 0, 16, -EINVAL },
		{ 2, SADB_FLUSH, 2, 1, 16, -EINVAL },
		{ 2, SADB_FLUSH, 2, 0x100, 16, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sadb_msg hdr = {
			.sadb_msg_version = rows[i].version,
			.sadb_msg_type = rows[i].type,
			.sadb_msg_len = rows[i].len,
			.sadb_msg_reserved = rows[i].reserved,
		};
		u8 *buf = malloc(rows[i].size);
		size_t n = min_t(size_t, rows[i].size, sizeof(hdr));

		memset(buf, 0, rows[i].size);
		memcpy(buf, &hdr, n);
		if (kipsec_pfkey_check_base(buf, rows[i].size) != rows[i].err)
			ktap_fail(__FILE__, __LINE__, "row %u", i);
		free(buf);
	}
}

/* One extension of zeros and the length at hand, for each type. */
static int one_ext(u16 type, u16 units, size_t len)
{
	static const u8 zeros[4096];
	struct raw r;

	raw_init(&r, SADB_FLUSH);
	raw_ext(&r, type, units, zeros, len);
	return parse(&r);
}

static void fixed_parts(void)
{
	/* bytes of each type; 0: not checked here */
	static const u8 size[] = {
		[1] = 16, [2] = 32, [3] = 32, [4] = 32, [8] = 8, [9] = 8,
		[10] = 16, [11] = 16, [12] = 16, [13] = 8, [14] = 8, [15] = 8,
		[16] = 16, [17] = 8, [19] = 16, [20] = 8, [21] = 8,
		[22] = 8, [24] = 8, [25] = 8, [26] = 40, [64] = 24,
		[65] = 8, [66] = 40, [67] = 8,
	};
	unsigned int type;

	for (type = 1; type < ARRAY_SIZE(size); type++) {
		if (!size[type])
			continue;
		EXPECT_EQ(one_ext(type, size[type] / 8, size[type]), 0);
		EXPECT_EQ(one_ext(type, size[type] / 8 + 1, size[type] + 8), 0);
		if (size[type] > 8)
			EXPECT(one_ext(type, size[type] / 8 - 1, size[type] - 8) == -EINVAL);
	}
}

static void lengths(void)
{
	static const u8 zeros[64];
	struct raw r;

	EXPECT(one_ext(SADB_EXT_SA, 0, 16) == -EINVAL);
	EXPECT(one_ext(SADB_EXT_SA, 3, 16) == -EINVAL);
	EXPECT(one_ext(SADB_EXT_SA, 0xffff, 16) == -EINVAL);
	EXPECT(one_ext(0, 2, 16) == -EINVAL);

	/* twice the same, known and ours */
	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_EXT_SA, 2, zeros, 16);
	raw_ext(&r, SADB_EXT_SA, 2, zeros, 16);
	EXPECT(parse(&r) == -EINVAL);
	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_X_EXT_KIPSEC_REPLAY, 3, zeros, 24);
	raw_ext(&r, SADB_X_EXT_KIPSEC_REPLAY, 3, zeros, 24);
	EXPECT(parse(&r) == -EINVAL);

	/* unknown ones are skipped, but have to be sound */
	raw_init(&r, SADB_ADD);
	raw_ext(&r, 27, 1, zeros, 8);
	raw_ext(&r, 27, 2, zeros, 16);
	raw_ext(&r, 0xffff, 1, zeros, 8);
	raw_ext(&r, SADB_EXT_SA, 2, zeros, 16);
	EXPECT_EQ(parse(&r), 0);
	EXPECT(one_ext(27, 2, 8) == -EINVAL);
	EXPECT(one_ext(27, 0, 8) == -EINVAL);
}

/* What parse says of a driver's name of @len bytes, and of bytes behind it. */
static int one_engine(const char *name, size_t len)
{
	size_t size = (sizeof(struct sadb_x_kipsec_engine) + len + 7) / 8 * 8;
	u8 body[256] = { };
	struct raw r;

	memcpy(body + sizeof(struct sadb_x_kipsec_engine), name, len);
	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_X_EXT_KIPSEC_ENGINE, size / 8, body, size);
	return parse(&r);
}

static void engines(void)
{
	char name[136];

	memset(name, 'x', sizeof(name));
	EXPECT_EQ(one_engine("", 0), 0);
	EXPECT_EQ(one_engine("", 1), 0);
	EXPECT_EQ(one_engine("cbc-aes-aesni", 14), 0);
	EXPECT_EQ(one_engine("authenc(hmac(sha1-avx2),cbc(aes-generic))", 42), 0);
	EXPECT_EQ(one_engine("abc\0not looked at", 18), 0);
	EXPECT(one_engine("abcdefgh", 8) == -EINVAL);	/* no end */
	EXPECT(one_engine("../aes", 7) == -EINVAL);
	EXPECT(one_engine("cbc aes", 8) == -EINVAL);
	EXPECT(one_engine("\xff", 2) == -EINVAL);
	name[127] = 0;
	EXPECT_EQ(one_engine(name, 128), 0);
	name[127] = 'x';
	name[128] = 0;
	EXPECT(one_engine(name, 129) == -EINVAL);
}

static int one_address(u16 type, u16 family, u8 prefix, u16 units, size_t len)
{
	struct sadb_address xa = { .sadb_address_prefixlen = prefix };
	u8 body[64] = { };
	struct raw r;

	memcpy(body, &xa, sizeof(xa));
	memcpy(body + sizeof(xa), &family, sizeof(family));
	raw_init(&r, SADB_GET);
	raw_ext(&r, type, units, body, len);
	return parse(&r);
}

static void addresses(void)
{
	static const u16 types[] = {
		SADB_EXT_ADDRESS_SRC, SADB_EXT_ADDRESS_DST,
		SADB_EXT_ADDRESS_PROXY, SADB_X_EXT_NAT_T_OA,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		u16 t = types[i];
		int over = t == SADB_X_EXT_NAT_T_OA ? 0 : -EINVAL;

		EXPECT_EQ(one_address(t, AF_INET, 0, 3, 24), 0);
		EXPECT_EQ(one_address(t, AF_INET, 32, 3, 24), 0);
		EXPECT(one_address(t, AF_INET, 33, 3, 24) == over);
		EXPECT_EQ(one_address(t, AF_INET6, 128, 5, 40), 0);
		EXPECT(one_address(t, AF_INET6, 129, 5, 40) == over);
		EXPECT(one_address(t, AF_INET, 0, 2, 16) == -EINVAL);
		EXPECT(one_address(t, AF_INET, 0, 1, 8) == -EINVAL);
		EXPECT(one_address(t, AF_INET, 0, 4, 32) == -EINVAL);
		EXPECT(one_address(t, AF_INET6, 0, 3, 24) == -EINVAL);
		EXPECT(one_address(t, AF_INET6, 0, 4, 32) == -EINVAL);
		EXPECT(one_address(t, AF_INET6, 0, 6, 48) == -EINVAL);
		EXPECT(one_address(t, 0, 0, 3, 24) == -EINVAL);
		EXPECT(one_address(t, 0x0200, 0, 3, 24) == -EINVAL);
	}
}

static int one_key(u16 bits, u16 units, size_t len)
{
	struct sadb_key key = { .sadb_key_bits = bits };
	u8 body[1024] = { };
	struct raw r;

	memcpy(body, &key, sizeof(key));
	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_EXT_KEY_ENCRYPT, units, body, len);
	return parse(&r);
}

static void keys(void)
{
	EXPECT_EQ(one_key(0, 1, 8), 0);
	EXPECT(one_key(1, 1, 8) == -EINVAL);
	EXPECT_EQ(one_key(1, 2, 16), 0);
	EXPECT_EQ(one_key(64, 2, 16), 0);
	EXPECT(one_key(65, 2, 16) == -EINVAL);
	EXPECT_EQ(one_key(160, 4, 32), 0);
	EXPECT(one_key(160, 3, 24) == -EINVAL);
	EXPECT(one_key(0xffff, 128, 1024) == -EINVAL);
}

static void labels(void)
{
	static const u8 label[16] = { [4] = 1, [5] = 1, [6] = 5 };
	static const u8 fragment[8] = { [4] = 0x28, [5] = 0x02 };
	struct raw r;

	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_X_EXT_SEC_CTX, 2, label, 16);
	EXPECT(parse(&r) == -EINVAL);
	raw_init(&r, SADB_ADD);
	raw_ext(&r, SADB_X_EXT_SEC_CTX, 1, fragment, 8);
	EXPECT_EQ(parse(&r), 0);
}

/* --- policies --- */

struct req_row {
	u16	len, proto;
	u8	mode, level;
	u16	family[2];
	size_t	size;		/* bytes there are */
	int	err;
};

static const struct req_row req_rows[] = {
	{ 16, 50, 1, 2, { 0, 0 }, 16, 0 },
	{ 16, 51, 1, 0, { 0, 0 }, 16, 0 },
	{ 16, 108, 1, 3, { 0, 0 }, 16, 0 },
	{ 48, 50, 2, 2, { AF_INET, AF_INET }, 48, 0 },
	{ 72, 50, 2, 1, { AF_INET6, AF_INET6 }, 72, 0 },
	/* transport with addresses, whatever they are */
	{ 48, 50, 1, 2, { AF_INET, AF_INET }, 48, 0 },
	{ 48, 50, 1, 2, { 99, 7 }, 48, 0 },
	/* padding behind is not a request */
	{ 16, 50, 1, 2, { 0, 0 }, 24, 0 },
	/* length */
	{ 0, 50, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 15, 50, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 17, 50, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 0xffff, 50, 1, 2, { 0, 0 }, 16, -EINVAL },
	/* tunnel: no addresses, one, a torn one, two families, none of ours */
	{ 16, 50, 2, 2, { 0, 0 }, 16, -EINVAL },
	{ 32, 50, 2, 2, { AF_INET, 0 }, 32, -EINVAL },
	{ 40, 50, 2, 2, { AF_INET, AF_INET }, 40, -EINVAL },
	{ 47, 50, 2, 2, { AF_INET, AF_INET }, 48, -EINVAL },
	{ 48, 50, 2, 2, { AF_INET6, AF_INET6 }, 48, -EINVAL },
	{ 48, 50, 2, 2, { AF_INET, AF_INET6 }, 48, -EINVAL },
	{ 72, 50, 2, 2, { AF_INET6, AF_INET }, 72, -EINVAL },
	{ 48, 50, 2, 2, { 0, 0 }, 48, -EINVAL },
	/* protocol, mode, level */
	{ 16, 0, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 6, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 50 + 256, 1, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 50, 0, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 50, 3, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 50, 255, 2, { 0, 0 }, 16, -EINVAL },
	{ 16, 50, 1, 4, { 0, 0 }, 16, -EINVAL },
	{ 16, 50, 1, 255, { 0, 0 }, 16, -EINVAL },
};

/* 0xcd where nothing belongs, as racoon sends it */
static size_t put_row(u8 *to, const struct req_row *row)
{
	struct sadb_x_ipsecrequest xr;
	size_t one = row->family[0] == AF_INET6 ? 28 : 16;

	memset(&xr, 0xcd, sizeof(xr));
	xr.sadb_x_ipsecrequest_len = row->len;
	xr.sadb_x_ipsecrequest_proto = row->proto;
	xr.sadb_x_ipsecrequest_mode = row->mode;
	xr.sadb_x_ipsecrequest_level = row->level;
	xr.sadb_x_ipsecrequest_reqid = 7;
	memset(to, 0xcd, row->size);
	memcpy(to, &xr, sizeof(xr));
	if (row->size >= 18)
		memcpy(to + 16, &row->family[0], 2);
	if (row->size >= 18 + one)
		memcpy(to + 16 + one, &row->family[1], 2);
	return row->size;
}

static int one_policy(u16 type, u8 dir, const u8 *reqs, size_t len)
{
	struct sadb_x_policy xp = {
		.sadb_x_policy_type = type, .sadb_x_policy_dir = dir,
		.sadb_x_policy_reserved = 0xcd, .sadb_x_policy_id = 9,
		.sadb_x_policy_priority = 0x80000000,
	};
	u8 body[1024] = { };
	struct raw r;

	memcpy(body, &xp, sizeof(xp));
	if (len)
		memcpy(body + sizeof(xp), reqs, len);
	raw_init(&r, SADB_X_SPDADD);
	raw_ext(&r, SADB_X_EXT_POLICY, (sizeof(xp) + len) / 8, body,
		sizeof(xp) + len);
	return parse(&r);
}

static void requests(void)
{
	u8 buf[128] = { };
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(req_rows); i++) {
		len = put_row(buf, &req_rows[i]);
		if (req_rows[i].size > req_rows[i].len &&
		    req_rows[i].size - req_rows[i].len >= 8)
			memset(buf + req_rows[i].len, 0, 8);
		if (one_policy(IPSEC_POLICY_IPSEC, 1, buf, len) !=
		    req_rows[i].err)
			ktap_fail(__FILE__, __LINE__, "row %u", i);
		/* other policies have no requests, whatever follows */
		EXPECT_EQ(one_policy(IPSEC_POLICY_NONE, 1, buf, len), 0);
		EXPECT_EQ(one_policy(IPSEC_POLICY_DISCARD, 1, buf, len), 0);
	}
}

static void many_requests(void)
{
	u8 buf[16 * 8];
	unsigned int n;

	for (n = 0; n <= 8; n++) {
		if (n)
			put_row(buf + 16 * (n - 1), &req_rows[0]);
		EXPECT(one_policy(IPSEC_POLICY_IPSEC, 2, buf, 16 * n) ==
		       (n <= 6 ? 0 : -ELOOP));
	}
}

static void policy_fields(void)
{
	unsigned int i;

	for (i = 0; i < 256; i++) {
		EXPECT(one_policy(0, i, NULL, 0) ==
		       (i >= 1 && i <= 3 ? 0 : -EINVAL));
		EXPECT(one_policy(i, 1, NULL, 0) == (i <= 2 ? 0 : -EINVAL));
		EXPECT(one_policy(i << 8, 1, NULL, 0) == (i ? -EINVAL : 0));
	}
}

/* What the levels turn into, and that transport mode drops its addresses. */
static void policy_values(void)
{
	u8 buf[sizeof(struct sadb_x_policy) + 48 + 48 + 16] = { };
	struct sadb_x_policy *xp = (void *)buf;
	struct kipsec_pfkey_policy pol;

	xp->sadb_x_policy_len = sizeof(buf) / 8;
	xp->sadb_x_policy_type = IPSEC_POLICY_IPSEC;
	xp->sadb_x_policy_dir = IPSEC_DIR_FWD;
	xp->sadb_x_policy_priority = 5;
	put_row(buf + 16, &req_rows[5]);	/* transport with addresses */
	put_row(buf + 64, &req_rows[3]);	/* tunnel */
	put_row(buf + 112, &req_rows[2]);	/* unique */
	EXPECT_EQ(kipsec_pfkey_parse_policy(&pol, xp), 0);
	EXPECT_EQ(pol.nreq, 3);
	EXPECT_EQ(pol.dir, IPSEC_DIR_FWD);
	EXPECT_EQ(pol.priority, 5);
	EXPECT_EQ(pol.req[0].family, 0);
	EXPECT_EQ(pol.req[0].src.w[0], 0);
	EXPECT_EQ(pol.req[0].reqid, 0);
	EXPECT_EQ(pol.req[1].family, AF_INET);
	EXPECT_EQ(pol.req[1].src.w[0], 0xcdcdcdcd);
	EXPECT_EQ(pol.req[1].src.w[1], 0);
	EXPECT_EQ(pol.req[2].proto, IPPROTO_COMP);
	EXPECT_EQ(pol.req[2].level, IPSEC_LEVEL_UNIQUE);
	EXPECT_EQ(pol.req[2].reqid, 7);
	put_row(buf + 112, &req_rows[1]);	/* default */
	EXPECT_EQ(kipsec_pfkey_parse_policy(&pol, xp), 0);
	EXPECT_EQ(pol.req[2].level, IPSEC_LEVEL_REQUIRE);
	EXPECT_EQ(pol.req[2].reqid, 0);
}

static void satypes(void)
{
	unsigned int i;

	EXPECT_EQ(kipsec_pfkey_proto(SADB_SATYPE_ESP), 50);
	EXPECT_EQ(kipsec_pfkey_proto(SADB_SATYPE_AH), 51);
	EXPECT_EQ(kipsec_pfkey_proto(SADB_X_SATYPE_IPCOMP), 108);
	for (i = 0; i < 256; i++) {
		if (i != 2 && i != 3 && i != 9)
			EXPECT_EQ(kipsec_pfkey_proto(i), 0);
		if (i != 50 && i != 51 && i != 108)
			EXPECT_EQ(kipsec_pfkey_satype(i), 0);
	}
}

/* Good messages with bytes changed, cut and stretched; see fuzz_pfkey too. */
static void hostile(void)
{
	unsigned int i, n;
	struct raw r;

	for (i = 0; i < 100000; i++) {
		raw_init(&r, SADB_ADD);
		r.len = build_sa(r.bytes, sizeof(r.bytes), i & 1 ? AF_INET : AF_INET6);
		raw_ext(&r, SADB_X_EXT_POLICY, 11, (u8[88]) { [4] = 2, [6] = 1, [16] = 72,
			[18] = 50, [20] = 2, [21] = 1, [32] = 10, [60] = 10 }, 88);
		for (n = ktap_rand() % 8; n; n--)
			r.bytes[16 + ktap_rand() % (r.len - 16)] =
				ktap_rand() % 4 ? ktap_rand() % 32 : ktap_rand();
		if (!(ktap_rand() % 4))
			r.len = 16 + ktap_rand() % (r.len - 16) / 8 * 8;
		parse(&r);
	}
}

static const struct ktap_case cases[] = {
	{ "base header: each fault and its error", base_header },
	{ "fixed part of each extension", fixed_parts },
	{ "extension lengths, twice the same, unknown ones", lengths },
	{ "names of drivers: end, length, characters", engines },
	{ "addresses: family, length, prefix", addresses },
	{ "keys: as many bytes as bits ask for", keys },
	{ "security labels are refused, other systems' number 24 is not", labels },
	{ "policy requests, one of each kind and fault", requests },
	{ "six requests and no more", many_requests },
	{ "policy type and direction", policy_fields },
	{ "policy values", policy_values },
	{ "satype and protocol", satypes },
	{ "100,000 spoiled messages", hostile },
};

KTAP_MAIN(cases)
