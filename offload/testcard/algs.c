// SPDX-License-Identifier: GPL-2.0
/*
 * algs.c - the algorithms of the card, and their coming and going.
 *
 * The next best driver that answers at once does the work.
 *
 * The crypto API wants no algorithm to be unregistered while there are
 * transforms of it, and warns. So a card that is taken out is first only hidden
 * (nobody finds its algorithms any more), its transforms answer -ENODEV for ever,
 * also when the card is back; with the last of them the algorithms go.
 */
#include <crypto/internal/aead.h>
#include <crypto/internal/skcipher.h>
#include <crypto/scatterwalk.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "card.h"

static void card_reap(struct work_struct *work);

static DEFINE_MUTEX(presence);		/* the next two */
static bool present;
static bool registered;
static atomic_t transforms;
static DECLARE_DELAYED_WORK(reaper, card_reap);

/**
 * struct card_tfm - a transform
 * @aead: who does the work, or
 * @skcipher: who does the work
 * @generation: the card it belongs to
 */
struct card_tfm {
	union {
		struct crypto_aead	*aead;
		struct crypto_skcipher	*skcipher;
	};
	unsigned int			generation;
};

/* Nobody but the card itself may answer later, so this excludes it. */
#define SOFTWARE	CRYPTO_ALG_ASYNC

static int card_tfm_open(struct card_tfm *ctx)
{
	ctx->generation = card_generation();
	if (!card_present())
		return -ENODEV;
	atomic_inc(&transforms);
	return 0;
}

static void card_tfm_close(void)
{
	/* The API's own reference to the algorithm goes after us. */
	if (atomic_dec_and_test(&transforms))
		schedule_delayed_work(&reaper, 1);
}

/* Flip a byte of what a user will read; which one is no secret. */
static void flip(struct scatterlist *sg, unsigned int at)
{
	u8 byte;

	scatterwalk_map_and_copy(&byte, sg, at, 1, 0);
	byte ^= 0x10;
	scatterwalk_map_and_copy(&byte, sg, at, 1, 1);
}

/* --- AEADs --------------------------------------------------------------- */

static int aead_work(struct card_job *job)
{
	struct aead_request *user = job->aead, *real = job->real_aead;
	unsigned int text = job->bytes;
	int err;

	aead_request_set_callback(real, 0, NULL, NULL);
	aead_request_set_crypt(real, user->src, user->dst, user->cryptlen, user->iv);
	aead_request_set_ad(real, user->assoclen);
	err = job->enc ? crypto_aead_encrypt(real) : crypto_aead_decrypt(real);
	/* Without text, encryption still makes an ICV; decryption nothing. */
	if (!err && job->corrupt && (text || job->enc))
		flip(user->dst, user->assoclen + text / 2);
	return err;
}

static void aead_answer(struct card_job *job, int err)
{
	aead_request_complete(job->aead, err);
}

static void aead_free(struct card_job *job)
{
	aead_request_free(job->real_aead);
	kfree(job);
}

static int aead_crypt(struct aead_request *req, bool enc)
{
	struct crypto_aead *tfm = crypto_aead_reqtfm(req);
	struct card_tfm *ctx = crypto_aead_ctx(tfm);
	struct card_job *job = kzalloc(sizeof(*job), GFP_ATOMIC);

	if (!job)
		return -ENOMEM;
	job->real_aead = aead_request_alloc(ctx->aead, GFP_ATOMIC);
	if (!job->real_aead) {
		kfree(job);
		return -ENOMEM;
	}
	job->aead = req;
	job->enc = enc;
	job->bytes = req->cryptlen - (enc ? 0 : crypto_aead_authsize(tfm));
	job->generation = ctx->generation;
	job->work = aead_work;
	job->answer = aead_answer;
	job->free = aead_free;
	return card_submit(job, req->base.flags & CRYPTO_TFM_REQ_MAY_BACKLOG);
}

static int aead_encrypt(struct aead_request *req)
{
	return aead_crypt(req, true);
}

static int aead_decrypt(struct aead_request *req)
{
	return aead_crypt(req, false);
}

static int aead_setkey(struct crypto_aead *tfm, const u8 *key, unsigned int len)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	if (ctx->generation != card_generation())
		return -ENODEV;
	return crypto_aead_setkey(ctx->aead, key, len);
}

static int aead_setauthsize(struct crypto_aead *tfm, unsigned int size)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	return crypto_aead_setauthsize(ctx->aead, size);
}

static int aead_init(struct crypto_aead *tfm)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	ctx->aead = crypto_alloc_aead(crypto_tfm_alg_name(crypto_aead_tfm(tfm)),
				      0, SOFTWARE);
	if (IS_ERR(ctx->aead))
		return PTR_ERR(ctx->aead);
	if (card_tfm_open(ctx)) {
		crypto_free_aead(ctx->aead);
		return -ENODEV;
	}
	return 0;
}

static void aead_exit(struct crypto_aead *tfm)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	crypto_free_aead(ctx->aead);
	card_tfm_close();
}

/* --- ciphers ------------------------------------------------------------- */

static int skcipher_work(struct card_job *job)
{
	struct skcipher_request *user = job->skcipher, *real = job->real_skcipher;
	int err;

	skcipher_request_set_callback(real, 0, NULL, NULL);
	skcipher_request_set_crypt(real, user->src, user->dst, user->cryptlen,
				   user->iv);
	err = job->enc ? crypto_skcipher_encrypt(real) :
			 crypto_skcipher_decrypt(real);
	if (!err && job->corrupt && job->bytes)
		flip(user->dst, job->bytes / 2);
	return err;
}

static void skcipher_answer(struct card_job *job, int err)
{
	skcipher_request_complete(job->skcipher, err);
}

static void skcipher_free(struct card_job *job)
{
	skcipher_request_free(job->real_skcipher);
	kfree(job);
}

static int skcipher_crypt(struct skcipher_request *req, bool enc)
{
	struct crypto_skcipher *tfm = crypto_skcipher_reqtfm(req);
	struct card_tfm *ctx = crypto_skcipher_ctx(tfm);
	struct card_job *job = kzalloc(sizeof(*job), GFP_ATOMIC);

	if (!job)
		return -ENOMEM;
	job->real_skcipher = skcipher_request_alloc(ctx->skcipher, GFP_ATOMIC);
	if (!job->real_skcipher) {
		kfree(job);
		return -ENOMEM;
	}
	job->skcipher = req;
	job->enc = enc;
	job->bytes = req->cryptlen;
	job->generation = ctx->generation;
	job->work = skcipher_work;
	job->answer = skcipher_answer;
	job->free = skcipher_free;
	return card_submit(job, req->base.flags & CRYPTO_TFM_REQ_MAY_BACKLOG);
}

static int skcipher_encrypt(struct skcipher_request *req)
{
	return skcipher_crypt(req, true);
}

static int skcipher_decrypt(struct skcipher_request *req)
{
	return skcipher_crypt(req, false);
}

static int skcipher_setkey(struct crypto_skcipher *tfm, const u8 *key,
			   unsigned int len)
{
	struct card_tfm *ctx = crypto_skcipher_ctx(tfm);

	if (ctx->generation != card_generation())
		return -ENODEV;
	return crypto_skcipher_setkey(ctx->skcipher, key, len);
}

static int skcipher_init(struct crypto_skcipher *tfm)
{
	struct card_tfm *ctx = crypto_skcipher_ctx(tfm);

	ctx->skcipher = crypto_alloc_skcipher(crypto_tfm_alg_name(crypto_skcipher_tfm(tfm)),
					      0, SOFTWARE);
	if (IS_ERR(ctx->skcipher))
		return PTR_ERR(ctx->skcipher);
	if (card_tfm_open(ctx)) {
		crypto_free_skcipher(ctx->skcipher);
		return -ENODEV;
	}
	return 0;
}

static void skcipher_exit(struct crypto_skcipher *tfm)
{
	struct card_tfm *ctx = crypto_skcipher_ctx(tfm);

	crypto_free_skcipher(ctx->skcipher);
	card_tfm_close();
}

/* --- what the crypto API is told ----------------------------------------- */

#define CARD_BASE(name, driver, block)					\
	{								\
		.cra_name	 = name,				\
		.cra_driver_name = driver,				\
		.cra_flags	 = CRYPTO_ALG_ASYNC | CRYPTO_ALG_ALLOCATES_MEMORY, \
		.cra_blocksize	 = block,				\
		.cra_ctxsize	 = sizeof(struct card_tfm),		\
		.cra_module	 = THIS_MODULE,				\
	}

#define CARD_AEAD(name, driver, block, iv, icv)				\
	{								\
		.base		= CARD_BASE(name, driver, block),	\
		.ivsize		= iv,					\
		.maxauthsize	= icv,					\
		.init		= aead_init,				\
		.exit		= aead_exit,				\
		.setkey		= aead_setkey,				\
		.setauthsize	= aead_setauthsize,			\
		.encrypt	= aead_encrypt,				\
		.decrypt	= aead_decrypt,				\
	}

static struct aead_alg aeads[] = {
	CARD_AEAD("rfc4106(gcm(aes))", "testcard-gcm", 1, 8, 16),
	CARD_AEAD("authenc(hmac(sha1),cbc(aes))", "testcard-authenc", 16, 16, 20),
};

static struct skcipher_alg skciphers[] = {
	{
		.base		= CARD_BASE("cbc(aes)", "testcard-cbc", 16),
		.ivsize		= 16,
		.min_keysize	= 16,
		.max_keysize	= 32,
		.init		= skcipher_init,
		.exit		= skcipher_exit,
		.setkey		= skcipher_setkey,
		.encrypt	= skcipher_encrypt,
		.decrypt	= skcipher_decrypt,
	},
};

static struct crypto_alg *const bases[] = {
	&aeads[0].base, &aeads[1].base, &skciphers[0].base,
};

static int card_register(void)
{
	int err = crypto_register_aeads(aeads, ARRAY_SIZE(aeads));

	if (err)
		return err;
	err = crypto_register_skciphers(skciphers, ARRAY_SIZE(skciphers));
	if (err)
		crypto_unregister_aeads(aeads, ARRAY_SIZE(aeads));
	else
		registered = true;
	return err;
}

static void card_unregister(void)
{
	crypto_unregister_skciphers(skciphers, ARRAY_SIZE(skciphers));
	crypto_unregister_aeads(aeads, ARRAY_SIZE(aeads));
	registered = false;
}

/* --- taken out, and put in ----------------------------------------------- */

/* The API's look-ups pass by what is dying. */
static void card_hide(bool hide)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++)
		if (hide)
			bases[i]->cra_flags |= CRYPTO_ALG_DYING;
		else
			bases[i]->cra_flags &= ~CRYPTO_ALG_DYING;
}

static bool card_unused(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++)
		if (refcount_read(&bases[i]->cra_refcnt) != 1)
			return false;
	return true;
}

/* After the last transform of a card that was taken out. */
static void card_reap(struct work_struct *work)
{
	mutex_lock(&presence);
	if (!present && registered && !atomic_read(&transforms)) {
		if (card_unused())
			card_unregister();
		else
			schedule_delayed_work(&reaper, 1 + HZ / 50);
	}
	mutex_unlock(&presence);
}

int card_set_present(bool now)
{
	int err = 0;

	mutex_lock(&presence);
	if (present && !now) {
		WRITE_ONCE(present, false);
		card_hide(true);
		card_unplug();
		schedule_delayed_work(&reaper, 0);
	} else if (!present && now) {
		card_hide(false);
		WRITE_ONCE(present, true);
		if (!registered)
			err = card_register();
		if (err)
			WRITE_ONCE(present, false);
	}
	mutex_unlock(&presence);
	return err;
}

bool card_present(void)
{
	return READ_ONCE(present);
}

unsigned int card_transforms(void)
{
	return atomic_read(&transforms);
}

int card_algs_start(int priority, bool hardware)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		bases[i]->cra_priority = priority;
		if (!hardware)
			bases[i]->cra_flags &= ~CRYPTO_ALG_ALLOCATES_MEMORY;
	}
	return card_set_present(true);
}

void card_algs_stop(void)
{
	mutex_lock(&presence);
	WRITE_ONCE(present, false);
	if (registered)
		card_unregister();
	mutex_unlock(&presence);
	cancel_delayed_work_sync(&reaper);
}
