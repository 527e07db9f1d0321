// SPDX-License-Identifier: GPL-2.0
/*
 * crypto.c - packets through a cipher (floor 3); engine.c says which one.
 *
 * The transforms hand over one linear buffer that the packet owns, so a single
 * scatterlist entry does, and the drivers take their short way. Only extended
 * sequence numbers, whose upper half is not in the packet, need a second entry.
 *
 * Jobs are kept one per CPU between packets. All jobs have room for the largest
 * request that any SA so far needs; a smaller job left over from before is
 * replaced when it is met.
 */
#include <linux/slab.h>
#include <net/dst.h>

#include "../kmod/alg.h"
#include "card.h"
#include "crew.h"
#include "crypto.h"
#include "engine.h"
#include "unplug.h"

DEFINE_PER_CPU(struct kipsec_job *, kipsec_job_cache);
unsigned int kipsec_job_room;		/* only grows; under job_room_lock */
static DEFINE_SPINLOCK(job_room_lock);

/* --- ciphers ------------------------------------------------------------- */

static void job_room_grow(unsigned int reqsize)
{
	spin_lock_bh(&job_room_lock);
	if (reqsize > kipsec_job_room)
		WRITE_ONCE(kipsec_job_room, reqsize);
	spin_unlock_bh(&job_room_lock);
}

/* The card belongs to the lane then, or has gone. */
static int cipher_add_card(struct kipsec_cipher *c, struct crypto_aead *card,
			   struct module *owner, const struct kipsec_key *enc,
			   const struct kipsec_key *auth)
{
	int err = -ENOMEM;

	c->lane = kipsec_lane_alloc(GFP_KERNEL);
	if (c->lane)
		err = kipsec_card_add(c->lane, card, owner, enc, auth);
	if (!err)
		return 0;
	crypto_free_aead(card);
	kfree(c->lane);
	c->lane = NULL;
	return err == -ENODEV ? 0 : err;
}

/* Does nothing change, and nothing vouch for it? Then no AEAD is needed. */
static bool nothing_to_do(const struct kipsec_key *enc,
			  const struct kipsec_key *auth)
{
	return (!enc || (enc->alg->kind != KIPSEC_ALG_AEAD && !enc->bits)) &&
	       !(auth && auth->icvlen);
}

int kipsec_cipher_init(struct kipsec_cipher *c, const struct kipsec_key *enc,
		       const struct kipsec_key *auth, bool esn,
		       const char *driver)
{
	struct crypto_aead *tfm, *card = NULL;
	struct module *owner, *none;
	int err;

	c->esn = esn;
	c->tfm = NULL;
	if (!driver && nothing_to_do(enc, auth))
		return 0;
	tfm = kipsec_engine_alloc(enc, auth, esn, driver, false, &owner);
	if (!IS_ERR(tfm) && owner) {
		/* Software does what the card does not. */
		card = tfm;
		tfm = kipsec_engine_alloc(enc, auth, esn, NULL, true, &none);
	}
	err = PTR_ERR_OR_ZERO(tfm);
	if (!err)
		err = kipsec_engine_key(tfm, enc, auth);
	if (err)
		crypto_free_aead(card);
	else if (card)
		err = cipher_add_card(c, card, owner, enc, auth);
	if (err) {
		crypto_free_aead(tfm);
		return err;
	}
	c->tfm = tfm;
	job_room_grow(crypto_aead_reqsize(tfm));
	return 0;
}

void kipsec_cipher_destroy(struct kipsec_cipher *c)
{
	if (c->lane && c->lane->card)
		kipsec_card_remove(c->lane);
	kfree(c->lane);
	crypto_free_aead(c->tfm);
}

/* --- jobs ---------------------------------------------------------------- */

static void job_free(struct kipsec_job *job)
{
	if (job) {
		kfree(job->scratch);
		kfree(job->spare);
	}
	kfree(job);
}

struct kipsec_job *kipsec_job_alloc(unsigned int room)
{
	struct kipsec_job *job;

	job = kmalloc(sizeof(*job) + room, GFP_ATOMIC | __GFP_NOWARN);
	if (!job)
		return NULL;
	job->room = room;
	job->scratch = NULL;
	job->scratch_len = 0;
	job->spare = NULL;
	job->spare_size = 0;
	sg_init_table(job->sg, ARRAY_SIZE(job->sg));
	/* The same for all packets. */
	aead_request_set_crypt(&job->req, job->sg, job->sg, 0, job->iv);
	return job;
}

void kipsec_job_put_slow(struct kipsec_job *job)
{
	struct kipsec_job *old = this_cpu_read(kipsec_job_cache);
	unsigned int i;

	if (job->parted)
		for (i = 0; i < job->n; i++)
			kipsec_sa_land(job->path[i]);
	if (old && old->room >= job->room)
		swap(old, job);
	this_cpu_write(kipsec_job_cache, job);
	job_free(old);
}

bool kipsec_job_scratch(struct kipsec_job *job, unsigned int len)
{
	if (likely(len <= job->scratch_len))
		return true;
	kfree(job->scratch);
	job->scratch = kmalloc(len, GFP_ATOMIC | __GFP_NOWARN);
	job->scratch_len = job->scratch ? len : 0;
	return job->scratch;
}

/* Hold the SAs and the device. Most packets never come here. */
void kipsec_job_part(struct kipsec_job *job)
{
	unsigned int i;

	if (job->parted)
		return;
	for (i = 0; i < job->n; i++)
		kipsec_sa_takeoff(job->path[i]);
	dev_hold(job->dev);
	skb_dst_force(job->skb);
	job->dst = NULL;
	job->parted = true;
}

/*
 * A software driver that finishes later for once: it could not have the FPU.
 * Completion may be faster than we are; who comes second to @meet goes on.
 */
static int crypt_later(struct kipsec_job *job)
{
	kipsec_job_part(job);
	if (atomic_xchg(&job->meet, 1))
		job->done(job, job->err);
	return -EINPROGRESS;
}

static void crypt_done(kipsec_crypto_arg arg, int err)
{
	struct kipsec_job *job = kipsec_crypto_data(arg);

	/* A backlogged request that has begun; its end is still to come. */
	if (err == -EINPROGRESS)
		return;
	job->err = err;
	if (!atomic_xchg(&job->meet, 1))
		return;		/* crypt_later() goes on */
	local_bh_disable();
	rcu_read_lock();
	job->done(job, err);
	rcu_read_unlock();
	local_bh_enable();
}

/* Other hands do the work, and release the packets in order. */
static int crypt_in_lane(struct kipsec_job *job, struct kipsec_cipher *c,
			 bool enc)
{
	struct kipsec_lane *lane = READ_ONCE(c->lane), *old;

	if (!lane) {
		lane = kipsec_lane_alloc(GFP_ATOMIC | __GFP_NOWARN);
		old = lane ? cmpxchg(&c->lane, NULL, lane) : NULL;
		if (old) {
			kfree(lane);
			lane = old;
		}
	}
	job->enc = enc;
	if (!lane || !kipsec_lane_enter(lane, job)) {
		job->reason = kipsec_crypt_reason(enc, -ENOBUFS);
		return -ENOBUFS;
	}
	if (lane->card)
		kipsec_card_submit(job);
	else
		kipsec_crew_give(job);
	return -EINPROGRESS;
}

/* Is it up to others, or must it wait for packets that they have? */
static inline bool lane_wanted(const struct kipsec_job *job,
			       const struct kipsec_cipher *c)
{
	const struct kipsec_lane *lane = READ_ONCE(c->lane);

	if (unlikely(lane) && (lane->card || READ_ONCE(lane->len)))
		return true;
	return kipsec_crew_wanted(job, lane);
}

static __always_inline int
crypt_run(struct kipsec_job *job, struct kipsec_cipher *c, bool enc,
	  struct scatterlist *dst, unsigned int assoc, unsigned int len)
{
	struct aead_request *req = &job->req;
	int err;

	aead_request_set_tfm(req, c->tfm);
	req->dst = dst;
	req->cryptlen = len;
	aead_request_set_ad(req, assoc);
	if (unlikely(lane_wanted(job, c)))
		return crypt_in_lane(job, c, enc);
	aead_request_set_callback(req, 0, crypt_done, job);
	atomic_set(&job->meet, 0);
	err = enc ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	if (unlikely(err == -EINPROGRESS))
		return crypt_later(job);
	/* Not for the caller to write: a job that is under way may be gone. */
	if (unlikely(err))
		job->reason = kipsec_crypt_reason(enc, err);
	return err;
}

int kipsec_crypt_sg(struct kipsec_job *job, struct kipsec_cipher *c,
		    bool enc, unsigned int n, unsigned int assoc,
		    unsigned int len)
{
	unsigned int i;

	if (!c->tfm)
		return 0;
	for (i = 0; i < n - 1; i++)
		sg_unmark_end(&job->sg[i]);
	sg_mark_end(&job->sg[i]);
	return crypt_run(job, c, enc, job->sg, assoc, len);
}

/* Associated data are in the packet already, the text is still elsewhere. */
static int crypt_apart(struct kipsec_job *job, struct kipsec_cipher *c,
		       u8 *data, unsigned int total, unsigned int assoc,
		       unsigned int len)
{
	sg_set_buf(&job->sg[0], data, assoc);
	sg_unmark_end(&job->sg[0]);
	sg_set_buf(&job->sg[1], job->text, len);
	sg_mark_end(&job->sg[1]);
	sg_set_buf(&job->sg[2], data, total);
	sg_mark_end(&job->sg[2]);
	return crypt_run(job, c, true, &job->sg[2], assoc, len);
}

/*
 * SPI, upper and lower half of the sequence number, then the packet from the IV
 * on: the order that RFC 4303 has for the ICV of combined modes, and that
 * authencesn() asks for, which itself puts the upper half last.
 */
static int crypt_esn(struct kipsec_job *job, struct kipsec_cipher *c,
		     bool enc, const u8 *data, unsigned int total,
		     unsigned int assoc, unsigned int len)
{
	const __be32 *esph = (const __be32 *)data;

	job->esn[0] = esph[0];
	job->esn[1] = htonl(upper_32_bits(job->seq));
	job->esn[2] = esph[1];
	sg_set_buf(&job->sg[0], job->esn, sizeof(job->esn));
	sg_set_buf(&job->sg[1], data + 8, total - 8);
	return kipsec_crypt_sg(job, c, enc, 2, assoc + sizeof(__be32), len);
}

int kipsec_crypt(struct kipsec_job *job, struct kipsec_cipher *c,
		 bool enc, u8 *data, unsigned int assoc, unsigned int len)
{
	unsigned int total = assoc + len;

	if (!c->tfm)
		return 0;
	if (enc)
		total += crypto_aead_authsize(c->tfm);
	if (unlikely(c->esn))
		return crypt_esn(job, c, enc, data, total, assoc, len);
	if (enc && job->text)
		return crypt_apart(job, c, data, total, assoc, len);
	sg_set_buf(job->sg, data, total);
	sg_mark_end(job->sg);
	return crypt_run(job, c, enc, job->sg, assoc, len);
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_crypto_start(void)
{
	int err = kipsec_lane_start();

	if (err)
		return err;
	err = kipsec_card_start();
	if (err)
		goto no_card;
	err = kipsec_unplug_start();
	if (err)
		goto no_unplug;
	err = kipsec_crew_start();
	if (!err)
		return 0;
	kipsec_unplug_stop();
no_unplug:
	kipsec_card_stop();
no_card:
	kipsec_lane_stop();
	return err;
}

void kipsec_crypto_stop(void)
{
	int cpu;

	kipsec_crew_stop();
	kipsec_unplug_stop();
	kipsec_card_stop();
	kipsec_lane_stop();
	for_each_possible_cpu(cpu) {
		job_free(per_cpu(kipsec_job_cache, cpu));
		per_cpu(kipsec_job_cache, cpu) = NULL;
	}
}
