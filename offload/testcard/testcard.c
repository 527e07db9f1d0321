// SPDX-License-Identifier: GPL-2.0
/*
 * testcard.c - a card that misbehaves on command.
 *
 * A module of its own, for tests: it registers AES-GCM as IPsec uses it with
 * the crypto API, above all drivers there are, and gives the work to the next
 * best. By its parameters (/sys/module/testcard/parameters, at any time) it
 * answers late, as a card does, or with an error.
 */
#include <crypto/internal/aead.h>
#include <linux/module.h>
#include <linux/workqueue.h>

static unsigned int delay;
module_param(delay, uint, 0644);
MODULE_PARM_DESC(delay, "answer after so many milliseconds, 0 at once");

static unsigned int fail;
module_param(fail, uint, 0644);
MODULE_PARM_DESC(fail, "every n-th request fails with EIO, 0 none");

static bool late;
module_param(late, bool, 0644);
MODULE_PARM_DESC(late, "answer from another context even without a delay");

static atomic_t requests;
static struct workqueue_struct *card;

struct card_tfm {
	struct crypto_aead	*real;
};

/**
 * struct card_request - the driver's part of a request
 * @work: answers
 * @req: the request
 * @enc: its direction
 * @fails: what becomes of it
 * @real: for the driver that does the work; its own part follows
 */
struct card_request {
	struct delayed_work	work;
	struct aead_request	*req;
	bool			enc;
	bool			fails;
	struct aead_request	real;
};

static int card_run(struct card_request *cr)
{
	struct aead_request *req = cr->req;
	struct card_tfm *ctx = crypto_aead_ctx(crypto_aead_reqtfm(req));

	if (cr->fails)
		return -EIO;
	aead_request_set_tfm(&cr->real, ctx->real);
	aead_request_set_callback(&cr->real, 0, NULL, NULL);
	aead_request_set_crypt(&cr->real, req->src, req->dst, req->cryptlen,
			       req->iv);
	aead_request_set_ad(&cr->real, req->assoclen);
	return cr->enc ? crypto_aead_encrypt(&cr->real) :
			 crypto_aead_decrypt(&cr->real);
}

static void card_work(struct work_struct *work)
{
	struct card_request *cr = container_of(to_delayed_work(work),
					       struct card_request, work);
	struct aead_request *req = cr->req;

	aead_request_complete(req, card_run(cr));
}

static int card_crypt(struct aead_request *req, bool enc)
{
	unsigned int every = READ_ONCE(fail), wait = READ_ONCE(delay);
	struct card_request *cr = aead_request_ctx(req);

	cr->req = req;
	cr->enc = enc;
	cr->fails = every && atomic_inc_return(&requests) % every == 0;
	if (!wait && !READ_ONCE(late))
		return card_run(cr);
	INIT_DELAYED_WORK(&cr->work, card_work);
	queue_delayed_work(card, &cr->work, msecs_to_jiffies(wait));
	return -EINPROGRESS;
}

static int card_encrypt(struct aead_request *req)
{
	return card_crypt(req, true);
}

static int card_decrypt(struct aead_request *req)
{
	return card_crypt(req, false);
}

static int card_setkey(struct crypto_aead *tfm, const u8 *key, unsigned int len)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	return crypto_aead_setkey(ctx->real, key, len);
}

static int card_setauthsize(struct crypto_aead *tfm, unsigned int size)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	return crypto_aead_setauthsize(ctx->real, size);
}

/* The driver below must answer at once, and must not be this one. */
static int card_init(struct crypto_aead *tfm)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	ctx->real = crypto_alloc_aead("rfc4106(gcm(aes))", 0,
				      CRYPTO_ALG_ASYNC |
				      CRYPTO_ALG_NEED_FALLBACK);
	if (IS_ERR(ctx->real))
		return PTR_ERR(ctx->real);
	crypto_aead_set_reqsize(tfm, sizeof(struct card_request) +
				crypto_aead_reqsize(ctx->real));
	return 0;
}

static void card_exit(struct crypto_aead *tfm)
{
	struct card_tfm *ctx = crypto_aead_ctx(tfm);

	crypto_free_aead(ctx->real);
}

static struct aead_alg card_alg = {
	.base = {
		.cra_name		= "rfc4106(gcm(aes))",
		.cra_driver_name	= "rfc4106-gcm-aes-testcard",
		.cra_priority		= 10000,
		.cra_flags		= CRYPTO_ALG_ASYNC |
					  CRYPTO_ALG_ALLOCATES_MEMORY |
					  CRYPTO_ALG_NEED_FALLBACK,
		.cra_blocksize		= 1,
		.cra_ctxsize		= sizeof(struct card_tfm),
		.cra_module		= THIS_MODULE,
	},
	.ivsize		= 8,
	.maxauthsize	= 16,
	.init		= card_init,
	.exit		= card_exit,
	.setkey		= card_setkey,
	.setauthsize	= card_setauthsize,
	.encrypt	= card_encrypt,
	.decrypt	= card_decrypt,
};

static int __init card_start(void)
{
	int err;

	card = alloc_workqueue("testcard", WQ_UNBOUND, 0);
	if (!card)
		return -ENOMEM;
	err = crypto_register_aead(&card_alg);
	if (err)
		destroy_workqueue(card);
	return err;
}

static void __exit card_stop(void)
{
	crypto_unregister_aead(&card_alg);
	destroy_workqueue(card);
}

module_init(card_start);
module_exit(card_stop);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a crypto card that misbehaves on command, for tests");
