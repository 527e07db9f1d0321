/* SPDX-License-Identifier: GPL-2.0 */
/*
 * engine.h - which driver of the crypto API serves an SA (floor 3).
 */
#ifndef _KIPSEC_ENGINE_H
#define _KIPSEC_ENGINE_H

#include <crypto/aead.h>

struct kipsec_key;
struct kipsec_sa;

/**
 * kipsec_engine_alloc() - the cipher of an SA, without its key
 * @enc: encryption or AEAD key, NULL for none
 * @auth: authentication key, NULL for none; unused with an AEAD
 * @esn: with extended sequence numbers
 * @driver: a driver's own name, as /proc/crypto has it; of a cipher, of a hash
 *	(the other half is then the best there is), or of both together. NULL: the
 *	one with the highest priority
 * @software: no card
 * @card: filled in with the module of the card's driver if it is one, else NULL
 *
 * Context: process; may load modules.
 * Return: the cipher; ERR_PTR(-ENOENT) no such algorithm here, or @driver does
 * not serve it; -ENOMEM.
 */
struct crypto_aead *kipsec_engine_alloc(const struct kipsec_key *enc,
					const struct kipsec_key *auth, bool esn,
					const char *driver, bool software,
					struct module **card);

/**
 * kipsec_engine_key() - set keys and length of the ICV
 * @tfm: from kipsec_engine_alloc()
 * @enc: as there
 * @auth: as there
 *
 * Context: process.
 * Return: 0, -EINVAL key or ICV refused, -ENOMEM.
 */
int kipsec_engine_key(struct crypto_aead *tfm, const struct kipsec_key *enc,
		      const struct kipsec_key *auth);

/**
 * struct kipsec_engine_stats - what an SA's engine has done
 * @driver: its name
 * @requests: packets that it was given and answered for
 * @bytes: of payload in them
 * @in_flight: that it has not answered for yet
 * @errors: answers of no use, and requests that never got one
 * @fallbacks: packets that software did in its stead
 * @out: it is out of service for this SA
 */
struct kipsec_engine_stats {
	const char	*driver;
	u64		requests;
	u64		bytes;
	u64		in_flight;
	u64		errors;
	u64		fallbacks;
	bool		out;
};

/**
 * kipsec_engine_stats() - for those who look on
 * @sa: not larval; kept from going by the caller
 * @st: filled in; @st->driver lives as long as @sa
 *
 * Return: false if the SA has no cipher (IPComp).
 */
bool kipsec_engine_stats(struct kipsec_sa *sa, struct kipsec_engine_stats *st);

#endif /* _KIPSEC_ENGINE_H */
