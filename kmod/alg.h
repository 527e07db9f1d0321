/* SPDX-License-Identifier: GPL-2.0 */
/*
 * alg.h - the one table of algorithms (floor 1, pure).
 *
 * REGISTER lists it, ADD checks against it, setkey's manual and the tests read
 * it. Numbers are PF_KEY's (uapi/pfkeyv2.h), truncations are RFC 4868's.
 */
#ifndef _KIPSEC_ALG_H
#define _KIPSEC_ALG_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

#define KIPSEC_ALGS		28	/* auth and enc; IPComp's not */
#define KIPSEC_DRIVER_MAX	128	/* bytes of a driver's name and a zero */

/** enum kipsec_alg_kind - how an algorithm is used by ESP */
enum kipsec_alg_kind {
	KIPSEC_ALG_AUTH,	/* a hash that makes an ICV */
	KIPSEC_ALG_BLOCK,	/* a block cipher (CBC), or null */
	KIPSEC_ALG_COUNTER,	/* a counter mode: key ends in a nonce, IV counts */
	KIPSEC_ALG_AEAD,	/* both at once; key ends in a salt, IV counts */
	KIPSEC_ALG_COMP,	/* IPComp */
};

/**
 * struct kipsec_alg - one algorithm
 * @id: number in PF_KEY (auth, encrypt and comp numbers are separate spaces)
 * @kind: see above
 * @name: name as setkey writes it
 * @crypto: name in the kernel's crypto API
 * @minbits: shortest key in bits, salt or nonce included
 * @maxbits: longest key
 * @stepbits: key lengths go from @minbits to @maxbits in these steps; never 0
 * @saltbytes: of the key's end that are salt or nonce
 * @ivlen: bytes of IV in each packet
 * @block: cipher block in bytes, 1 for stream ciphers
 * @icvlen: bytes of ICV in each packet (auth and AEAD)
 */
struct kipsec_alg {
	u8			id;
	enum kipsec_alg_kind	kind;
	const char		*name;
	const char		*crypto;
	u16			minbits;
	u16			maxbits;
	u16			stepbits;
	u8			saltbytes;
	u8			ivlen;
	u8			block;
	u8			icvlen;
};

/** kipsec_alg_auth() - SADB_AALG_* number to entry, or NULL */
const struct kipsec_alg *kipsec_alg_auth(u8 id);

/** kipsec_alg_enc() - SADB_EALG_* number to entry, or NULL */
const struct kipsec_alg *kipsec_alg_enc(u8 id);

/** kipsec_alg_comp() - SADB_X_CALG_* number to entry, or NULL */
const struct kipsec_alg *kipsec_alg_comp(u8 id);

/** kipsec_alg_index() - place in the table, below KIPSEC_ALGS; auth or enc */
unsigned int kipsec_alg_index(const struct kipsec_alg *alg);

/** kipsec_driver_ok() - may a driver of the crypto API have this name? */
bool kipsec_driver_ok(const char *name);

/** kipsec_alg_key_ok() - may this algorithm have a key of @bits? */
bool kipsec_alg_key_ok(const struct kipsec_alg *alg, unsigned int bits);

/**
 * kipsec_alg_each() - walk the table
 * @auth: authentication algorithms, else encryption
 * @i: 0, 1, 2 ...
 *
 * Return: the entry, or NULL behind the last.
 */
const struct kipsec_alg *kipsec_alg_each(bool auth, unsigned int i);

#endif /* _KIPSEC_ALG_H */
