// SPDX-License-Identifier: GPL-2.0
/*
 * crypto.c - from algorithms and keys to a running cipher (floor 3).
 *
 * Every ESP cipher is one AEAD of the crypto API: a real one (GCM, CCM, GMAC,
 * ChaCha20-Poly1305), or authenc() of a hash and a cipher, either of which may
 * be null. It is asked for with mask 0: to insist on synchronous drivers costs
 * the fast ones on kernels before 6.18.
 *
 * The transforms hand over one linear buffer that the packet owns, so a single
 * scatterlist entry does, and the drivers take their short way. Only extended
 * sequence numbers, whose upper half is not in the packet, need a second entry.
 *
 * Jobs are kept one per CPU between packets. All jobs have room for the largest
 * request that any SA so far needs; a smaller job left over from before is
 * replaced when it is met.
 */
#include <crypto/authenc.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/dst.h>

#include "../kmod/alg.h"
#include "card.h"
#include "crew.h"
#include "crypto.h"

static DEFINE_PER_CPU(struct kipsec_job *, job_cache);
static unsigned int job_room;		/* only grows; under job_room_lock */
static DEFINE_SPINLOCK(job_room_lock);

/* --- ciphers ------------------------------------------------------------- */

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

/* Flags of drivers that stand for hardware: they have memory of their own. */
#define CARD_FLAGS	(CRYPTO_ALG_ALLOCATES_MEMORY | CRYPTO_ALG_KERN_DRIVER_ONLY)

static bool is_card(struct crypto_aead *tfm)
{
	u32 flags = crypto_aead_alg(tfm)->base.cra_flags;

	return (flags & CRYPTO_ALG_ASYNC) && (flags & CARD_FLAGS);
}

static struct crypto_aead *cipher_alloc(const struct kipsec_key *enc,
					const struct kipsec_key *auth, bool esn,
					u32 mask)
{
	char name[CRYPTO_MAX_ALG_NAME];

	if (enc && enc->alg->kind == KIPSEC_ALG_AEAD)
		return crypto_alloc_aead(enc->alg->crypto, 0, mask);
	snprintf(name, sizeof(name), "%s(%s,%s)", esn ? "authencesn" : "authenc",
		 auth ? auth->alg->crypto : "digest_null",
		 enc ? enc->alg->crypto : "ecb(cipher_null)");
	return crypto_alloc_aead(name, 0, mask);
}

static struct crypto_aead *cipher_keyed(const struct kipsec_key *enc,
					const struct kipsec_key *auth, bool esn,
					u32 mask)
{
	struct crypto_aead *tfm = cipher_alloc(enc, auth, esn, mask);
	unsigned int icvlen;
	int err;

	if (IS_ERR(tfm))
		return tfm;
	if (enc && enc->alg->kind == KIPSEC_ALG_AEAD) {
		icvlen = enc->icvlen;
		err = crypto_aead_setkey(tfm, enc->data, key_bytes(enc));
	} else {
		icvlen = auth ? auth->icvlen : 0;
		err = authenc_setkey(tfm, enc, auth);
	}
	if (!err)
		err = crypto_aead_setauthsize(tfm, icvlen);
	if (!err)
		return tfm;
	crypto_free_aead(tfm);
	return ERR_PTR(err);
}

static void job_room_grow(unsigned int reqsize)
{
	spin_lock_bh(&job_room_lock);
	if (reqsize > job_room)
		WRITE_ONCE(job_room, reqsize);
	spin_unlock_bh(&job_room_lock);
}

static int cipher_add_card(struct kipsec_cipher *c, struct crypto_aead *card)
{
	int err = -ENOMEM;

	c->lane = kipsec_lane_alloc(GFP_KERNEL);
	if (c->lane)
		err = kipsec_card_add(c->lane, card);
	if (err)
		kfree(c->lane);
	return err;
}

int kipsec_cipher_init(struct kipsec_cipher *c, const struct kipsec_key *enc,
		       const struct kipsec_key *auth, bool esn)
{
	struct crypto_aead *tfm = cipher_keyed(enc, auth, esn, 0), *card = NULL;
	int err;

	if (!IS_ERR(tfm) && is_card(tfm)) {
		card = tfm;
		tfm = cipher_keyed(enc, auth, esn, CARD_FLAGS);
	}
	err = PTR_ERR_OR_ZERO(tfm);
	if (!err && card)
		err = cipher_add_card(c, card);
	if (err) {
		if (!IS_ERR(tfm))
			crypto_free_aead(tfm);
		if (card)
			crypto_free_aead(card);
		return err;
	}
	c->tfm = tfm;
	c->esn = esn;
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

const char *kipsec_cipher_driver(const struct kipsec_cipher *c)
{
	if (c->lane && c->lane->card)
		return kipsec_card_driver(c->lane->card);
	return crypto_tfm_alg_driver_name(crypto_aead_tfm(c->tfm));
}

/* --- jobs ---------------------------------------------------------------- */

static void job_free(struct kipsec_job *job)
{
	if (job)
		kfree(job->scratch);
	kfree(job);
}

struct kipsec_job *kipsec_job_get(struct sk_buff *skb)
{
	unsigned int room = READ_ONCE(job_room);
	struct kipsec_job *job = this_cpu_read(job_cache);

	if (likely(job && job->room >= room)) {
		this_cpu_write(job_cache, NULL);
	} else {
		job = kmalloc(sizeof(*job) + room, GFP_ATOMIC | __GFP_NOWARN);
		if (!job)
			return NULL;
		job->room = room;
		job->scratch = NULL;
		job->scratch_len = 0;
		sg_init_table(job->sg, ARRAY_SIZE(job->sg));
	}
	job->skb = skb;
	job->parted = false;
	job->dst = NULL;
	job->dev = NULL;
	return job;
}

struct sk_buff *kipsec_job_put(struct kipsec_job *job)
{
	struct kipsec_job *old = this_cpu_read(job_cache);
	struct sk_buff *skb = job->skb;
	unsigned int i;

	if (unlikely(job->parted))
		for (i = 0; i < job->n; i++)
			kipsec_sa_land(job->path[i]);
	if (likely(!old)) {
		this_cpu_write(job_cache, job);
	} else if (old->room < job->room) {
		this_cpu_write(job_cache, job);
		job_free(old);
	} else {
		job_free(job);
	}
	return skb;
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
	else if (kipsec_crew_wanted(job->sa->net))
		kipsec_crew_give(job);
	else
		kipsec_lane_run(job);
	return -EINPROGRESS;
}

/* Is it up to others, or must it wait for packets that they have? */
static bool lane_wanted(const struct kipsec_job *job,
			const struct kipsec_cipher *c)
{
	const struct kipsec_lane *lane = READ_ONCE(c->lane);

	if (unlikely(lane) && (lane->card || READ_ONCE(lane->len)))
		return true;
	return kipsec_crew_wanted(job->sa->net);
}

static int crypt_run(struct kipsec_job *job, struct kipsec_cipher *c,
		     bool enc, unsigned int assoc, unsigned int len)
{
	struct aead_request *req = &job->req;
	int err;

	aead_request_set_tfm(req, c->tfm);
	aead_request_set_crypt(req, job->sg, job->sg, len, job->iv);
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

	for (i = 0; i < n - 1; i++)
		sg_unmark_end(&job->sg[i]);
	sg_mark_end(&job->sg[i]);
	return crypt_run(job, c, enc, assoc, len);
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

	if (enc)
		total += crypto_aead_authsize(c->tfm);
	if (unlikely(c->esn))
		return crypt_esn(job, c, enc, data, total, assoc, len);
	sg_set_buf(job->sg, data, total);
	sg_mark_end(job->sg);
	return crypt_run(job, c, enc, assoc, len);
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_crypto_start(void)
{
	int err = kipsec_card_start();

	if (err)
		return err;
	err = kipsec_crew_start();
	if (err)
		kipsec_card_stop();
	return err;
}

void kipsec_crypto_stop(void)
{
	int cpu;

	kipsec_crew_stop();
	kipsec_card_stop();
	for_each_possible_cpu(cpu) {
		job_free(per_cpu(job_cache, cpu));
		per_cpu(job_cache, cpu) = NULL;
	}
}
