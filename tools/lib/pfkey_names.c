// SPDX-License-Identifier: GPL-2.0
/*
 * Names and key lengths of algorithms, and names of messages.  Of several names with one
 * number the first is what dumps print; the others are aliases that configurations use.
 */
#include <string.h>

#include "pfkey_client.h"

#define A	PFKEY_AUTH
#define E	PFKEY_ENCRYPT
#define C	PFKEY_COMP

static const struct pfkey_alg algs[] = {
	{ "none", A, SADB_AALG_NONE, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "null", A, SADB_X_AALG_NULL, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "hmac-md5", A, SADB_AALG_MD5HMAC, 0, 128, 128, 8 },
	{ "hmac-sha1", A, SADB_AALG_SHA1HMAC, 0, 160, 160, 8 },
	{ "hmac-sha256", A, SADB_X_AALG_SHA2_256HMAC, 0, 256, 256, 8 },
	{ "hmac-sha2-256", A, SADB_X_AALG_SHA2_256HMAC, 0, 256, 256, 8 },
	{ "hmac-sha384", A, SADB_X_AALG_SHA2_384HMAC, 0, 384, 384, 8 },
	{ "hmac-sha2-384", A, SADB_X_AALG_SHA2_384HMAC, 0, 384, 384, 8 },
	{ "hmac-sha512", A, SADB_X_AALG_SHA2_512HMAC, 0, 512, 512, 8 },
	{ "hmac-sha2-512", A, SADB_X_AALG_SHA2_512HMAC, 0, 512, 512, 8 },
	{ "hmac-ripemd160", A, SADB_X_AALG_RIPEMD160HMAC, 0, 160, 160, 8 },
	{ "aes-xcbc-mac", A, SADB_X_AALG_AES_XCBC_MAC, 0, 128, 128, 8 },
	{ "hmac-sm3", A, SADB_X_AALG_SM3_256HMAC, 0, 256, 256, 8 },
	{ "keyed-md5", A, SADB_X_AALG_MD5, 0, 128, 128, 8 },
	{ "keyed-sha1", A, SADB_X_AALG_SHA, 0, 160, 160, 8 },

	{ "none", E, SADB_EALG_NONE, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "null", E, SADB_EALG_NULL, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "simple", E, SADB_EALG_NULL,
		PFKEY_ALG_NOKEY | PFKEY_ALG_OBSOLETE, 0, 0, 0 },
	{ "des-cbc", E, SADB_EALG_DESCBC, 0, 64, 64, 8 },
	{ "des-deriv", E, SADB_EALG_DESCBC, PFKEY_ALG_DERIV, 64, 64, 8 },
	{ "des-32iv", E, SADB_EALG_DESCBC, PFKEY_ALG_IV4B, 64, 64, 8 },
	{ "3des-cbc", E, SADB_EALG_3DESCBC, 0, 192, 192, 8 },
	{ "cast128-cbc", E, SADB_X_EALG_CASTCBC, 0, 40, 128, 8 },
	{ "blowfish-cbc", E, SADB_X_EALG_BLOWFISHCBC, 0, 40, 448, 8 },
	{ "aes-cbc", E, SADB_X_EALG_AESCBC, 0, 128, 256, 64 },
	{ "rijndael-cbc", E, SADB_X_EALG_AESCBC, 0, 128, 256, 64 },
	{ "aes-ctr", E, SADB_X_EALG_AESCTR, 0, 160, 288, 64 },
	{ "camellia-cbc", E, SADB_X_EALG_CAMELLIACBC, 0, 128, 256, 64 },
	{ "serpent-cbc", E, SADB_X_EALG_SERPENTCBC, 0, 128, 256, 64 },
	{ "twofish-cbc", E, SADB_X_EALG_TWOFISHCBC, 0, 128, 256, 64 },
	{ "sm4-cbc", E, SADB_X_EALG_SM4CBC, 0, 128, 128, 8 },
	{ "aes-gcm-16", E, SADB_X_EALG_AES_GCM_ICV16, PFKEY_ALG_AEAD, 160, 288, 64 },
	{ "aes-gcm-12", E, SADB_X_EALG_AES_GCM_ICV12, PFKEY_ALG_AEAD, 160, 288, 64 },
	{ "aes-gcm-8", E, SADB_X_EALG_AES_GCM_ICV8, PFKEY_ALG_AEAD, 160, 288, 64 },
	{ "aes-ccm-16", E, SADB_X_EALG_AES_CCM_ICV16, PFKEY_ALG_AEAD, 152, 280, 64 },
	{ "aes-ccm-12", E, SADB_X_EALG_AES_CCM_ICV12, PFKEY_ALG_AEAD, 152, 280, 64 },
	{ "aes-ccm-8", E, SADB_X_EALG_AES_CCM_ICV8, PFKEY_ALG_AEAD, 152, 280, 64 },
	{ "aes-gmac", E, SADB_X_EALG_NULL_AES_GMAC, PFKEY_ALG_AEAD, 160, 288, 64 },
	{ "chacha20-poly1305", E, SADB_X_EALG_CHACHA20POLY1305, PFKEY_ALG_AEAD, 288, 288, 8 },

	{ "none", C, SADB_X_CALG_NONE, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "oui", C, SADB_X_CALG_OUI, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "deflate", C, SADB_X_CALG_DEFLATE, PFKEY_ALG_NOKEY, 0, 0, 0 },
	{ "lzs", C, SADB_X_CALG_LZS, PFKEY_ALG_NOKEY, 0, 0, 0 },
};

#define NALGS	(sizeof(algs) / sizeof(algs[0]))

const struct pfkey_alg *pfkey_alg_by_name(enum pfkey_alg_kind kind, const char *name)
{
	size_t i;

	/* "none" is what dumps say of a missing algorithm, not one that can be asked for */
	for (i = 0; i < NALGS; i++)
		if (algs[i].kind == kind && algs[i].id && !strcmp(algs[i].name, name))
			return &algs[i];
	return NULL;
}

const char *pfkey_alg_name(enum pfkey_alg_kind kind, uint8_t id)
{
	size_t i;

	for (i = 0; i < NALGS; i++)
		if (algs[i].kind == kind && algs[i].id == id)
			return algs[i].name;
	return NULL;
}

bool pfkey_alg_key_ok(const struct pfkey_alg *alg, unsigned int bits)
{
	if (alg->flags & PFKEY_ALG_NOKEY)
		return bits == 0;
	return bits >= alg->min && bits <= alg->max && (bits - alg->min) % alg->step == 0;
}

const char *pfkey_msg_name(int type)
{
	static const char * const names[SADB_MAX + 1] = {
		[SADB_GETSPI]		= "getspi",
		[SADB_UPDATE]		= "update",
		[SADB_ADD]		= "add",
		[SADB_DELETE]		= "delete",
		[SADB_GET]		= "get",
		[SADB_REGISTER]		= "register",
		[SADB_FLUSH]		= "flush",
		[SADB_DUMP]		= "dump",
		[SADB_X_PROMISC]	= "promisc",
		[SADB_X_SPDUPDATE]	= "spdupdate",
		[SADB_X_SPDADD]		= "spdadd",
		[SADB_X_SPDDELETE]	= "spddelete",
		[SADB_X_SPDGET]		= "spdget",
		[SADB_X_SPDDUMP]	= "spddump",
		[SADB_X_SPDFLUSH]	= "spdflush",
		[SADB_X_SPDSETIDX]	= "spdsetidx",
		[SADB_X_SPDDELETE2]	= "spddelete2",
	};

	return type >= 0 && type <= SADB_MAX && names[type] ? names[type] : "message";
}
