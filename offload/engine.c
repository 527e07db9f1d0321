// SPDX-License-Identifier: GPL-2.0
/*
 * engine.c - which driver of the crypto API serves an SA (floor 3).
 *
 * Every cipher is one AEAD: a real one (GCM, CCM, GMAC, ChaCha20-Poly1305), or
 * authenc() of a hash and a cipher, either of which may be null. It is asked for
 * without CRYPTO_ALG_ASYNC in the mask: to insist on synchronous drivers costs
 * the fast ones on kernels before 6.18.
 *
 * The crypto API takes names of algorithms and of drivers in the same place, and
 * what it once made for a name stays and serves others. So:
 *
 * - authenc() is built of two drivers' names. By the algorithms' names one would
 *   get whatever authenc() somebody had made before, be it of the slowest
 *   drivers; and half a driver's and half an algorithm's name is not found, but
 *   what was made in search of it stays.
 * - What has the highest priority is looked up before a driver's own name. With
 *   a slow one alone in place no module would be loaded for the fast one.
 * - Wrappers (pcrypt, cryptd) rank above what they wrap once somebody has made
 *   them. They serve those who ask for them by name and nobody else.
 */
#include <crypto/authenc.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "../kmod/alg.h"
#include "../kmod/xform.h"
#include "card.h"
#include "crypto.h"
#include "engine.h"

#define NAME	CRYPTO_MAX_ALG_NAME

/* Cards have one of these, as a rule both; what is built of one inherits the first. */
#define CARD	(CRYPTO_ALG_ALLOCATES_MEMORY | CRYPTO_ALG_KERN_DRIVER_ONLY)

/* --- names ---------------------------------------------------------------- */

static bool begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* "pcrypt(x)" becomes "x", as often as it takes; true if it took. */
static bool unwrap(char *name)
{
	const size_t head = sizeof("pcrypt(") - 1;
	bool wrapped = false;
	size_t len;

	while (begins(name, "pcrypt(") || begins(name, "cryptd(")) {
		len = strlen(name) - head;
		memmove(name, name + head, len + 1);
		if (len && name[len - 1] == ')')
			name[len - 1] = '\0';
		wrapped = true;
	}
	return wrapped;
}

/* Its own name, and not that of an algorithm that found it? */
static int check_tfm(struct crypto_tfm *tfm, const char *alg, const char *driver)
{
	if (strcmp(crypto_tfm_alg_name(tfm), alg) ||
	    strcmp(crypto_tfm_alg_driver_name(tfm), driver))
		return -ENOENT;
	return 0;
}

static bool is_authenc(const char *driver)
{
	return begins(driver, "authenc(") || begins(driver, "authencesn(");
}

/* --- one half of authenc() ------------------------------------------------ */

/*
 * struct half - a hash or a cipher
 * @alg: its name
 * @hash: which of them
 * @mask: what its driver must not be
 * @owner: module of that driver, if it is a card's
 * @driver: found for it
 */
struct half {
	const char	*alg;
	bool		hash;
	u32		mask;
	struct module	*owner;
	char		driver[NAME];
};

static struct module *card_owner(const struct crypto_alg *alg)
{
	return alg->cra_flags & CARD ? alg->cra_module : NULL;
}

/* Note who serves; if it has to be the driver of that @own name, is it? */
static int half_found(struct half *h, struct crypto_tfm *tfm, const char *own)
{
	h->owner = card_owner(tfm->__crt_alg);
	strscpy(h->driver, crypto_tfm_alg_driver_name(tfm), NAME);
	return own ? check_tfm(tfm, h->alg, own) : 0;
}

static int cipher_probe(struct half *h, const char *name, const char *own)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(name, 0, h->mask);
	int err;

	if (IS_ERR(tfm))
		return -ENOENT;
	err = half_found(h, crypto_skcipher_tfm(tfm), own);
	crypto_free_skcipher(tfm);
	return err;
}

static int hash_probe(struct half *h, const char *name, const char *own)
{
	struct crypto_ahash *tfm = crypto_alloc_ahash(name, 0, h->mask);
	int err;

	if (IS_ERR(tfm))
		return -ENOENT;
	err = half_found(h, crypto_ahash_tfm(tfm), own);
	crypto_free_ahash(tfm);
	return err;
}

/* Look for @name; if it is a driver's @own it must be just that. */
static int probe(struct half *h, const char *name, bool own)
{
	const char *wanted = own ? name : NULL;

	return h->hash ? hash_probe(h, name, wanted) :
			 cipher_probe(h, name, wanted);
}

static int half_best(struct half *h)
{
	int err = probe(h, h->alg, false);

	unwrap(h->driver);
	return err;
}

/* The best has been looked up before. What a wrapper wraps goes before it. */
static int half_named(struct half *h, const char *driver)
{
	char inner[NAME];
	int err;

	strscpy(inner, driver, NAME);
	if (unwrap(inner)) {
		err = probe(h, inner, true);
		if (err)
			return err;
	}
	return probe(h, driver, true);
}

/* --- real AEADs, and all of authenc() --------------------------------------- */

static struct crypto_aead *aead_best(const char *alg, u32 mask)
{
	struct crypto_aead *tfm = crypto_alloc_aead(alg, 0, mask);
	char driver[NAME];

	if (IS_ERR(tfm))
		return tfm;
	strscpy(driver, crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)), NAME);
	if (likely(!unwrap(driver)))
		return tfm;
	crypto_free_aead(tfm);
	return crypto_alloc_aead(driver, 0, mask);
}

static struct crypto_aead *aead_own(const char *alg, const char *driver,
				    u32 mask)
{
	struct crypto_aead *tfm = crypto_alloc_aead(driver, 0, mask);

	if (IS_ERR(tfm))
		return ERR_PTR(-ENOENT);
	if (check_tfm(crypto_aead_tfm(tfm), alg, driver)) {
		crypto_free_aead(tfm);
		return ERR_PTR(-ENOENT);
	}
	return tfm;
}

static struct crypto_aead *aead_named(const char *alg, const char *driver,
				      u32 mask)
{
	struct crypto_aead *tfm;
	char inner[NAME];

	strscpy(inner, driver, NAME);
	if (unwrap(inner)) {
		tfm = aead_own(alg, inner, mask);
		if (IS_ERR(tfm))
			return tfm;
		crypto_free_aead(tfm);
	}
	return aead_own(alg, driver, mask);
}

static struct crypto_aead *aead_find(const char *alg, const char *driver,
				     u32 mask)
{
	struct crypto_aead *tfm = aead_best(alg, mask);

	if (IS_ERR(tfm) || !driver)
		return tfm;
	crypto_free_aead(tfm);
	return aead_named(alg, driver, mask);
}

/* --- authenc() ------------------------------------------------------------ */

/*
 * struct pair - both halves
 * @type: "authenc" or "authencesn"
 * @hash: one of them
 * @cipher: the other
 * @alg: the name of it all
 * @mask: what its drivers must not be
 */
struct pair {
	const char	*type;
	struct half	hash;
	struct half	cipher;
	char		alg[NAME];
	u32		mask;
};

static int pair_name(char *name, const char *type, const char *hash,
		     const char *cipher)
{
	int len = snprintf(name, NAME, "%s(%s,%s)", type, hash, cipher);

	return len < NAME ? 0 : -ENAMETOOLONG;
}

static struct crypto_aead *pair_alloc(const struct pair *p)
{
	char driver[NAME];
	int err;

	err = pair_name(driver, p->type, p->hash.driver, p->cipher.driver);
	if (err)
		return ERR_PTR(err);
	return crypto_alloc_aead(driver, 0, p->mask);
}

/* A card may do both halves in one go; else it is the best of each. */
static struct crypto_aead *pair_best(struct pair *p)
{
	struct crypto_aead *tfm = aead_best(p->alg, p->mask);
	char driver[NAME];
	int err;

	if (IS_ERR(tfm))
		return tfm;
	strscpy(driver, crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)), NAME);
	if (!is_authenc(driver))
		return tfm;
	crypto_free_aead(tfm);
	err = half_best(&p->hash);
	if (!err)
		err = half_best(&p->cipher);
	return err ? ERR_PTR(err) : pair_alloc(p);
}

/* "authenc(hash,cipher)": both have to be drivers' names of what is wanted. */
static int pair_check(struct pair *p, char *whole)
{
	char *hash = strchr(whole, '(') + 1, *end = whole + strlen(whole) - 1, *c;
	int depth = 0, err;

	for (c = hash; c < end && (*c != ',' || depth); c++)
		depth += (*c == '(') - (*c == ')');
	if (c == end || *end != ')')
		return -ENOENT;
	*c = '\0';
	*end = '\0';
	err = half_named(&p->hash, hash);
	return err ?: half_named(&p->cipher, c + 1);
}

/* By the driver of one half, of both, or of a card that does both in one go. */
static struct crypto_aead *pair_named(struct pair *p, const char *driver)
{
	char inner[NAME];
	int err;

	strscpy(inner, driver, NAME);
	unwrap(inner);
	if (is_authenc(inner)) {
		err = pair_check(p, inner);
		return err ? ERR_PTR(err) : aead_named(p->alg, driver, p->mask);
	}
	err = half_named(&p->cipher, driver);
	if (!err)
		err = half_best(&p->hash);
	if (err) {
		err = half_named(&p->hash, driver);
		if (!err)
			err = half_best(&p->cipher);
	}
	if (!err)
		return pair_alloc(p);
	return strchr(driver, '(') ? ERR_PTR(err) :
				     aead_own(p->alg, driver, p->mask);
}

static struct crypto_aead *pair_find(const struct kipsec_key *enc,
				     const struct kipsec_key *auth, bool esn,
				     const char *driver, u32 mask,
				     struct module **owner)
{
	struct crypto_aead *tfm;
	struct pair *p;
	int err;

	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->type = esn ? "authencesn" : "authenc";
	p->hash.alg = auth ? auth->alg->crypto : "digest_null";
	p->hash.hash = true;
	p->cipher.alg = enc ? enc->alg->crypto : "ecb(cipher_null)";
	p->hash.mask = mask;
	p->cipher.mask = mask;
	p->mask = mask;
	err = pair_name(p->alg, p->type, p->hash.alg, p->cipher.alg);
	tfm = err ? ERR_PTR(err) : pair_best(p);
	if (!IS_ERR(tfm) && driver) {
		crypto_free_aead(tfm);
		tfm = pair_named(p, driver);
	}
	*owner = p->cipher.owner ?: p->hash.owner;
	kfree(p);
	return tfm;
}

/* --- keys ----------------------------------------------------------------- */

static unsigned int key_bytes(const struct kipsec_key *key)
{
	return key ? DIV_ROUND_UP(key->bits, 8) : 0;
}

/* authenc() takes both keys in one blob: header, hash key, cipher key. */
static int authenc_setkey(struct crypto_aead *tfm, const struct kipsec_key *enc,
			  const struct kipsec_key *auth)
{
	unsigned int elen = key_bytes(enc), alen = key_bytes(auth);
	unsigned int len = RTA_SPACE(sizeof(struct crypto_authenc_key_param));
	struct crypto_authenc_key_param *param;
	struct rtattr *rta;
	u8 *blob;
	int err;

	blob = kzalloc(len + alen + elen, GFP_KERNEL);
	if (!blob)
		return -ENOMEM;
	rta = (struct rtattr *)blob;
	rta->rta_type = CRYPTO_AUTHENC_KEYA_PARAM;
	rta->rta_len = RTA_LENGTH(sizeof(*param));
	param = RTA_DATA(rta);
	param->enckeylen = cpu_to_be32(elen);
	if (alen)
		memcpy(blob + len, auth->data, alen);
	if (elen)
		memcpy(blob + len + alen, enc->data, elen);
	err = crypto_aead_setkey(tfm, blob, len + alen + elen);
	kfree_sensitive(blob);
	return err;
}

/* The module of the card that serves it, or NULL; @half: of a part of authenc(). */
static struct module *card_of(struct crypto_aead *tfm, struct module *half)
{
	const struct crypto_alg *alg = &crypto_aead_alg(tfm)->base;

	if (!(alg->cra_flags & CRYPTO_ALG_ASYNC) || !(alg->cra_flags & CARD))
		return NULL;
	return is_authenc(alg->cra_driver_name) ? half : alg->cra_module;
}

static bool combined(const struct kipsec_key *enc)
{
	return enc && enc->alg->kind == KIPSEC_ALG_AEAD;
}

struct crypto_aead *kipsec_engine_alloc(const struct kipsec_key *enc,
					const struct kipsec_key *auth, bool esn,
					const char *driver, bool software,
					struct module **card)
{
	u32 mask = software ? CARD : 0;
	struct module *half = NULL;
	struct crypto_aead *tfm;

	tfm = combined(enc) ? aead_find(enc->alg->crypto, driver, mask) :
			      pair_find(enc, auth, esn, driver, mask, &half);
	if (!IS_ERR(tfm))
		*card = card_of(tfm, half);
	return tfm;
}

int kipsec_engine_key(struct crypto_aead *tfm, const struct kipsec_key *enc,
		      const struct kipsec_key *auth)
{
	int err;

	if (combined(enc)) {
		err = crypto_aead_setkey(tfm, enc->data, key_bytes(enc));
		return err ?: crypto_aead_setauthsize(tfm, enc->icvlen);
	}
	err = authenc_setkey(tfm, enc, auth);
	return err ?: crypto_aead_setauthsize(tfm, auth ? auth->icvlen : 0);
}

/* --- looking on ------------------------------------------------------------- */

bool kipsec_engine_stats(struct kipsec_sa *sa, struct kipsec_engine_stats *st)
{
	const struct kipsec_cipher *c;
	const struct kipsec_lane *lane;

	if (!sa->xf || !sa->xf->cipher)
		return false;
	c = sa->xf->cipher(sa);
	lane = READ_ONCE(c->lane);
	if (lane && lane->card) {
		kipsec_card_stats(lane->card, st);
		return true;
	}
	memset(st, 0, sizeof(*st));
	st->in_flight = lane ? READ_ONCE(lane->len) : 0;
	st->driver = c->tfm ?
		     crypto_tfm_alg_driver_name(crypto_aead_tfm(c->tfm)) : "null";
	spin_lock_bh(&sa->lock);
	st->requests = sa->ipackets;
	st->bytes = sa->ibytes;
	spin_unlock_bh(&sa->lock);
	st->requests += kipsec_sa_sent(sa);
	st->bytes += atomic64_read(&sa->obytes);
	st->in_flight = max(atomic_read(&sa->inflight) - 1, 0);
	return true;
}
