// SPDX-License-Identifier: GPL-2.0
/*
 * alg.c - the one table of algorithms (floor 1, pure).
 *
 * Order is the order in which REGISTER lists them: what one should use first, what
 * remains for old peers last.
 */
#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/string.h>
#endif

#include "alg.h"
#include "../uapi/pfkeyv2.h"

/*
 * Rows: number, kind, name, crypto API; then bits of the shortest and longest
 * key and their step; then bytes of salt, IV, block, ICV.
 */

static const struct kipsec_alg auths[] = {
	{ SADB_X_AALG_SHA2_256HMAC, KIPSEC_ALG_AUTH, "hmac-sha256",
	  "hmac(sha256)", 256, 256, 8, 0, 0, 1, 16 },
	{ SADB_X_AALG_SHA2_384HMAC, KIPSEC_ALG_AUTH, "hmac-sha384",
	  "hmac(sha384)", 384, 384, 8, 0, 0, 1, 24 },
	{ SADB_X_AALG_SHA2_512HMAC, KIPSEC_ALG_AUTH, "hmac-sha512",
	  "hmac(sha512)", 512, 512, 8, 0, 0, 1, 32 },
	{ SADB_X_AALG_AES_XCBC_MAC, KIPSEC_ALG_AUTH, "aes-xcbc-mac",
	  "xcbc(aes)", 128, 128, 8, 0, 0, 1, 12 },
	{ SADB_X_AALG_SM3_256HMAC, KIPSEC_ALG_AUTH, "hmac-sm3",
	  "hmac(sm3)", 256, 256, 8, 0, 0, 1, 32 },
	{ SADB_AALG_SHA1HMAC, KIPSEC_ALG_AUTH, "hmac-sha1",
	  "hmac(sha1)", 160, 160, 8, 0, 0, 1, 12 },
	{ SADB_X_AALG_RIPEMD160HMAC, KIPSEC_ALG_AUTH, "hmac-ripemd160",
	  "hmac(rmd160)", 160, 160, 8, 0, 0, 1, 12 },
	{ SADB_AALG_MD5HMAC, KIPSEC_ALG_AUTH, "hmac-md5",
	  "hmac(md5)", 128, 128, 8, 0, 0, 1, 12 },
	{ SADB_X_AALG_NULL, KIPSEC_ALG_AUTH, "null",
	  "digest_null", 0, 0, 8, 0, 0, 1, 0 },
};

static const struct kipsec_alg encs[] = {
	{ SADB_X_EALG_AES_GCM_ICV16, KIPSEC_ALG_AEAD, "aes-gcm-16",
	  "rfc4106(gcm(aes))", 160, 288, 64, 4, 8, 1, 16 },
	{ SADB_X_EALG_AES_GCM_ICV12, KIPSEC_ALG_AEAD, "aes-gcm-12",
	  "rfc4106(gcm(aes))", 160, 288, 64, 4, 8, 1, 12 },
	{ SADB_X_EALG_AES_GCM_ICV8, KIPSEC_ALG_AEAD, "aes-gcm-8",
	  "rfc4106(gcm(aes))", 160, 288, 64, 4, 8, 1, 8 },
	{ SADB_X_EALG_CHACHA20POLY1305, KIPSEC_ALG_AEAD, "chacha20-poly1305",
	  "rfc7539esp(chacha20,poly1305)", 288, 288, 8, 4, 8, 1, 16 },
	{ SADB_X_EALG_AES_CCM_ICV16, KIPSEC_ALG_AEAD, "aes-ccm-16",
	  "rfc4309(ccm(aes))", 152, 280, 64, 3, 8, 1, 16 },
	{ SADB_X_EALG_AES_CCM_ICV12, KIPSEC_ALG_AEAD, "aes-ccm-12",
	  "rfc4309(ccm(aes))", 152, 280, 64, 3, 8, 1, 12 },
	{ SADB_X_EALG_AES_CCM_ICV8, KIPSEC_ALG_AEAD, "aes-ccm-8",
	  "rfc4309(ccm(aes))", 152, 280, 64, 3, 8, 1, 8 },
	{ SADB_X_EALG_NULL_AES_GMAC, KIPSEC_ALG_AEAD, "aes-gmac",
	  "rfc4543(gcm(aes))", 160, 288, 64, 4, 8, 1, 16 },
	{ SADB_X_EALG_AESCBC, KIPSEC_ALG_BLOCK, "aes-cbc",
	  "cbc(aes)", 128, 256, 64, 0, 16, 16, 0 },
	{ SADB_X_EALG_AESCTR, KIPSEC_ALG_COUNTER, "aes-ctr",
	  "rfc3686(ctr(aes))", 160, 288, 64, 4, 8, 1, 0 },
	{ SADB_X_EALG_CAMELLIACBC, KIPSEC_ALG_BLOCK, "camellia-cbc",
	  "cbc(camellia)", 128, 256, 64, 0, 16, 16, 0 },
	{ SADB_X_EALG_TWOFISHCBC, KIPSEC_ALG_BLOCK, "twofish-cbc",
	  "cbc(twofish)", 128, 256, 64, 0, 16, 16, 0 },
	{ SADB_X_EALG_SERPENTCBC, KIPSEC_ALG_BLOCK, "serpent-cbc",
	  "cbc(serpent)", 128, 256, 64, 0, 16, 16, 0 },
	{ SADB_X_EALG_SM4CBC, KIPSEC_ALG_BLOCK, "sm4-cbc",
	  "cbc(sm4)", 128, 128, 8, 0, 16, 16, 0 },
	{ SADB_EALG_3DESCBC, KIPSEC_ALG_BLOCK, "3des-cbc",
	  "cbc(des3_ede)", 192, 192, 8, 0, 8, 8, 0 },
	{ SADB_X_EALG_BLOWFISHCBC, KIPSEC_ALG_BLOCK, "blowfish-cbc",
	  "cbc(blowfish)", 40, 448, 8, 0, 8, 8, 0 },
	{ SADB_X_EALG_CASTCBC, KIPSEC_ALG_BLOCK, "cast128-cbc",
	  "cbc(cast5)", 40, 128, 8, 0, 8, 8, 0 },
	{ SADB_EALG_DESCBC, KIPSEC_ALG_BLOCK, "des-cbc",
	  "cbc(des)", 64, 64, 8, 0, 8, 8, 0 },
	{ SADB_EALG_NULL, KIPSEC_ALG_BLOCK, "null",
	  "ecb(cipher_null)", 0, 0, 8, 0, 0, 1, 0 },
};

static_assert(ARRAY_SIZE(auths) + ARRAY_SIZE(encs) == KIPSEC_ALGS);

static const struct kipsec_alg comps[] = {
	{ SADB_X_CALG_DEFLATE, KIPSEC_ALG_COMP, "deflate",
	  "deflate", 0, 0, 8, 0, 0, 1, 0 },
};

static const struct kipsec_alg *find(const struct kipsec_alg *alg,
				     unsigned int count, u8 id)
{
	for (; count; alg++, count--)
		if (alg->id == id)
			return alg;
	return NULL;
}

const struct kipsec_alg *kipsec_alg_auth(u8 id)
{
	return find(auths, ARRAY_SIZE(auths), id);
}

const struct kipsec_alg *kipsec_alg_enc(u8 id)
{
	return find(encs, ARRAY_SIZE(encs), id);
}

const struct kipsec_alg *kipsec_alg_comp(u8 id)
{
	return find(comps, ARRAY_SIZE(comps), id);
}

bool kipsec_alg_key_ok(const struct kipsec_alg *alg, unsigned int bits)
{
	return bits >= alg->minbits && bits <= alg->maxbits &&
	       !((bits - alg->minbits) % alg->stepbits);
}

unsigned int kipsec_alg_index(const struct kipsec_alg *alg)
{
	if (alg->kind == KIPSEC_ALG_AUTH)
		return alg - auths;
	return ARRAY_SIZE(auths) + (alg - encs);
}

/* Names of templates come with brackets: authenc(hmac(sha1-avx2),cbc-aes-aesni). */
bool kipsec_driver_ok(const char *name)
{
	unsigned int i;

	for (i = 0; name[i]; i++) {
		char c = name[i];

		if (i == KIPSEC_DRIVER_MAX - 1 ||
		    !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || strchr("-_(),", c)))
			return false;
	}
	return i;
}

const struct kipsec_alg *kipsec_alg_each(bool auth, unsigned int i)
{
	if (auth)
		return i < ARRAY_SIZE(auths) ? &auths[i] : NULL;
	return i < ARRAY_SIZE(encs) ? &encs[i] : NULL;
}
