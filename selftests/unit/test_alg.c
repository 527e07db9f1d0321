// SPDX-License-Identifier: GPL-2.0
/* test_alg.c - the table of algorithms is consistent and complete. */
#include "alg.h"
#include "ktap.h"
#include "../../uapi/pfkeyv2.h"

static unsigned int count(bool auth)
{
	unsigned int n = 0;

	while (kipsec_alg_each(auth, n))
		n++;
	return n;
}

static void each_is_found(void)
{
	const struct kipsec_alg *alg;
	unsigned int i;

	for (i = 0; (alg = kipsec_alg_each(true, i)); i++)
		EXPECT(kipsec_alg_auth(alg->id) == alg);
	for (i = 0; (alg = kipsec_alg_each(false, i)); i++)
		EXPECT(kipsec_alg_enc(alg->id) == alg);
	EXPECT_EQ(count(true), 9);
	EXPECT_EQ(count(false), 19);
	EXPECT(!kipsec_alg_each(true, 1000) && !kipsec_alg_each(false, 1000));
}

static void unknown_is_not_found(void)
{
	static const u8 no_auth[] = { 0, 1, 4, 11, 248, 249, 250, 252, 255 };
	static const u8 no_enc[] = { 0, 1, 4, 5, 8, 9, 10, 17, 21, 26, 251,
				     254, 255 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(no_auth); i++)
		EXPECT(!kipsec_alg_auth(no_auth[i]));
	for (i = 0; i < ARRAY_SIZE(no_enc); i++)
		EXPECT(!kipsec_alg_enc(no_enc[i]));
	for (i = 0; i < 256; i++)
		EXPECT(!kipsec_alg_comp(i) == (i != SADB_X_CALG_DEFLATE));
}

static void names_are_unique(void)
{
	const struct kipsec_alg *a, *b;
	unsigned int i, j, auth;

	for (auth = 0; auth < 2; auth++)
		for (i = 0; (a = kipsec_alg_each(auth, i)); i++) {
			EXPECT(a->name && *a->name && a->crypto && *a->crypto);
			for (j = 0; j < i; j++) {
				b = kipsec_alg_each(auth, j);
				EXPECT(strcmp(a->name, b->name));
				EXPECT(a->id != b->id);
				/* one cipher may serve with several ICVs */
				EXPECT(strcmp(a->crypto, b->crypto) ||
				       a->icvlen != b->icvlen);
			}
		}
}

static void members_fit_kind(void)
{
	const struct kipsec_alg *a;
	unsigned int i;

	for (i = 0; (a = kipsec_alg_each(true, i)); i++) {
		EXPECT_EQ(a->kind, KIPSEC_ALG_AUTH);
		EXPECT(!a->saltbytes && !a->ivlen && a->block == 1);
		EXPECT(a->minbits == a->maxbits);
		EXPECT(!a->icvlen == !a->minbits && a->icvlen % 4 == 0);
	}
	for (i = 0; (a = kipsec_alg_each(false, i)); i++) {
		EXPECT(a->stepbits && a->stepbits % 8 == 0);
		EXPECT(a->minbits <= a->maxbits);
		EXPECT_EQ((a->maxbits - a->minbits) % a->stepbits, 0);
		EXPECT(a->maxbits >= 8 * a->saltbytes);
		EXPECT(a->block && !(a->block & (a->block - 1)));
		switch (a->kind) {
		case KIPSEC_ALG_BLOCK:
			EXPECT(!a->saltbytes && !a->icvlen);
			EXPECT_EQ(a->ivlen, a->minbits ? a->block : 0);
			break;
		case KIPSEC_ALG_COUNTER:
			EXPECT(a->saltbytes == 4 && a->ivlen == 8);
			EXPECT(!a->icvlen && a->block == 1);
			break;
		case KIPSEC_ALG_AEAD:
			EXPECT(a->saltbytes >= 3 && a->ivlen == 8);
			EXPECT(a->icvlen >= 8 && a->block == 1);
			break;
		default:
			EXPECT(!"kind of an encryption algorithm");
		}
	}
}

static void keys_at_borders(void)
{
	const struct kipsec_alg *a;
	unsigned int auth, i, bits;

	for (auth = 0; auth < 2; auth++)
		for (i = 0; (a = kipsec_alg_each(auth, i)); i++) {
			for (bits = a->minbits; bits <= a->maxbits;
			     bits += a->stepbits)
				EXPECT(kipsec_alg_key_ok(a, bits));
			EXPECT(!kipsec_alg_key_ok(a, a->minbits - 8));
			EXPECT(!kipsec_alg_key_ok(a, a->maxbits + 8));
			EXPECT(!kipsec_alg_key_ok(a, a->minbits + 1));
			if (a->minbits != a->maxbits && a->stepbits > 8) {
				EXPECT(!kipsec_alg_key_ok(a, a->minbits + 8));
				EXPECT(!kipsec_alg_key_ok(a, a->maxbits - 8));
			}
			EXPECT(!kipsec_alg_key_ok(a, UINT_MAX));
		}
}

/* what peers count on, from the RFCs */
static const struct {
	bool	auth;
	u8	id;
	u16	minbits, maxbits;
	u8	salt, iv, icv;
	const char *rfc;
} facts[] = {
	{ true, SADB_AALG_MD5HMAC, 128, 128, 0, 0, 12, "RFC 2403" },
	{ true, SADB_AALG_SHA1HMAC, 160, 160, 0, 0, 12, "RFC 2404" },
	{ true, SADB_X_AALG_RIPEMD160HMAC, 160, 160, 0, 0, 12, "RFC 2857" },
	{ true, SADB_X_AALG_AES_XCBC_MAC, 128, 128, 0, 0, 12, "RFC 3566" },
	{ true, SADB_X_AALG_SHA2_256HMAC, 256, 256, 0, 0, 16, "RFC 4868" },
	{ true, SADB_X_AALG_SHA2_384HMAC, 384, 384, 0, 0, 24, "RFC 4868" },
	{ true, SADB_X_AALG_SHA2_512HMAC, 512, 512, 0, 0, 32, "RFC 4868" },
	{ false, SADB_EALG_DESCBC, 64, 64, 0, 8, 0, "RFC 2405" },
	{ false, SADB_EALG_3DESCBC, 192, 192, 0, 8, 0, "RFC 2451" },
	{ false, SADB_X_EALG_CASTCBC, 40, 128, 0, 8, 0, "RFC 2451" },
	{ false, SADB_X_EALG_BLOWFISHCBC, 40, 448, 0, 8, 0, "RFC 2451" },
	{ false, SADB_X_EALG_AESCBC, 128, 256, 0, 16, 0, "RFC 3602" },
	{ false, SADB_X_EALG_CAMELLIACBC, 128, 256, 0, 16, 0, "RFC 4312" },
	{ false, SADB_X_EALG_AESCTR, 160, 288, 4, 8, 0, "RFC 3686" },
	{ false, SADB_X_EALG_AES_CCM_ICV8, 152, 280, 3, 8, 8, "RFC 4309" },
	{ false, SADB_X_EALG_AES_CCM_ICV12, 152, 280, 3, 8, 12, "RFC 4309" },
	{ false, SADB_X_EALG_AES_CCM_ICV16, 152, 280, 3, 8, 16, "RFC 4309" },
	{ false, SADB_X_EALG_AES_GCM_ICV8, 160, 288, 4, 8, 8, "RFC 4106" },
	{ false, SADB_X_EALG_AES_GCM_ICV12, 160, 288, 4, 8, 12, "RFC 4106" },
	{ false, SADB_X_EALG_AES_GCM_ICV16, 160, 288, 4, 8, 16, "RFC 4106" },
	{ false, SADB_X_EALG_NULL_AES_GMAC, 160, 288, 4, 8, 16, "RFC 4543" },
	{ false, SADB_X_EALG_CHACHA20POLY1305, 288, 288, 4, 8, 16, "RFC 7634" },
	{ false, SADB_EALG_NULL, 0, 0, 0, 0, 0, "RFC 2410" },
};

static void agrees_with_rfcs(void)
{
	const struct kipsec_alg *a;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(facts); i++) {
		a = facts[i].auth ? kipsec_alg_auth(facts[i].id) :
				    kipsec_alg_enc(facts[i].id);
		if (!a || a->minbits != facts[i].minbits ||
		    a->maxbits != facts[i].maxbits ||
		    a->saltbytes != facts[i].salt || a->ivlen != facts[i].iv ||
		    a->icvlen != facts[i].icv)
			ktap_fail(__FILE__, __LINE__, "%s: number %u",
				  facts[i].rfc, facts[i].id);
	}
}

static void places_are_unique(void)
{
	bool seen[KIPSEC_ALGS] = { };
	const struct kipsec_alg *a;
	unsigned int i, auth, at;

	for (auth = 0; auth < 2; auth++)
		for (i = 0; (a = kipsec_alg_each(auth, i)); i++) {
			at = kipsec_alg_index(a);
			EXPECT(at < KIPSEC_ALGS && !seen[at]);
			seen[at] = true;
		}
}

static const struct ktap_case cases[] = {
	{ "each entry is found by its number", each_is_found },
	{ "unknown numbers are not found", unknown_is_not_found },
	{ "numbers and names are unique", names_are_unique },
	{ "members fit the kind", members_fit_kind },
	{ "each has a place of its own", places_are_unique },
	{ "key lengths at the borders", keys_at_borders },
	{ "lengths agree with the RFCs", agrees_with_rfcs },
};

KTAP_MAIN(cases)
