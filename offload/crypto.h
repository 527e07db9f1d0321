/* SPDX-License-Identifier: GPL-2.0 */
/*
 * crypto.h - packets through a cipher (floor 3).
 *
 * The transforms have one call, kipsec_crypt(), which may finish at once or
 * later, on any CPU. What a packet needs meanwhile is its job.
 */
#ifndef _KIPSEC_CRYPTO_H
#define _KIPSEC_CRYPTO_H

#include <crypto/aead.h>
#include <linux/percpu.h>
#include <linux/scatterlist.h>

#include "../kmod/reason.h"
#include "../kmod/sad.h"
#include "../kmod/spd.h"

#define KIPSEC_MAX_IV	16
#define KIPSEC_MAX_SG	4

struct kipsec_lane;

/**
 * struct kipsec_cipher - one SA's cipher, keyed
 * @tfm: from the crypto API: software; NULL if it has nothing to do
 * @lane: order of the packets that a card or other cores work on; NULL until
 *	there are such
 * @esn: the upper half of the sequence number is authenticated too
 */
struct kipsec_cipher {
	struct crypto_aead	*tfm;
	struct kipsec_lane	*lane;
	bool			esn;
};

/**
 * struct kipsec_job - one packet on its way through the transforms
 * @skb: the packet; the job owns it between get and put
 * @sa: the SA at work, @path[@i]
 * @done: where an asynchronous answer goes; BH off, RCU read side held
 * @reason: set by whoever fails
 * @n: SAs in @path
 * @i: the one at work
 * @tunnel: bit i: @path[i] works in tunnel mode
 * @vrf: output: the packet's, for another look at the routes
 * @ll: room that the link layer of the outer route wants
 * @parted: a cipher finishes it later: it left the RCU section it was made in,
 *	@path is held until kipsec_job_put(), @dst is forgotten
 * @err: of a cipher that finished before the submitter could part
 * @meet: where submitter and completion of a parting job meet
 * @dst: output: the outer route, or NULL to look again
 * @seq: sequence number of the packet
 * @dev: input: the device it came from; a parted job brings a reference, which
 *	@done has to give back
 * @path: SAs to pass, innermost first on output
 * @text: output: the text, if it is in @spare still, and not in the packet
 * @spare: memory that a packet has left (packet.c), read by the cipher until the job
 *	is finished; it stays when the job is kept
 * @spare_size: up to where a packet's shared info begins in it
 * @scratch: of kipsec_job_scratch(); it stays when the job is kept
 * @scratch_len: bytes that it has
 * @room: bytes of request behind the job
 * @sg: the one linear buffer, as a rule
 * @iv: of the cipher
 * @esn: SPI and both halves of the sequence number
 * @lane: what it entered, with the next four (lane.c)
 * @order: place in the lane
 * @todo: place among those that nobody works on yet
 * @finished: the cipher has, with @err; waits for those before it
 * @enc: encrypt, or decrypt
 * @req: of the cipher; its private part follows the job
 */
struct kipsec_job {
	struct sk_buff		*skb;
	struct kipsec_sa	*sa;
	void			(*done)(struct kipsec_job *job, int err);
	enum kipsec_reason	reason;
	u8			n;
	u8			i;
	u8			tunnel;
	bool			parted;
	u16			ll;
	int			vrf;
	u64			seq;
	int			err;
	atomic_t		meet;
	struct dst_entry	*dst;
	struct net_device	*dev;
	struct kipsec_sa	*path[KIPSEC_MAX_REQUESTS];
	u8			*text;
	void			*spare;
	unsigned int		spare_size;
	unsigned int		scratch_len;
	void			*scratch;
	unsigned int		room;
	struct scatterlist	sg[KIPSEC_MAX_SG];
	u8			iv[KIPSEC_MAX_IV] __aligned(16);
	__be32			esn[3];
	struct kipsec_lane	*lane;
	struct list_head	order;
	struct list_head	todo;
	bool			finished;
	bool			enc;
	struct aead_request	req;
};

/**
 * kipsec_cipher_init() - key a cipher for ESP
 * @c: filled in
 * @enc: encryption or AEAD key, NULL for none
 * @auth: authentication key, NULL for none; unused with an AEAD
 * @esn: with extended sequence numbers
 * @driver: that shall serve it, NULL for the best
 *
 * Context: process; may load modules.
 * Return: 0 or an errno of kipsec_engine_alloc().
 */
int kipsec_cipher_init(struct kipsec_cipher *c, const struct kipsec_key *enc,
		       const struct kipsec_key *auth, bool esn,
		       const char *driver);

/** kipsec_cipher_destroy() - and wipe the key; process context */
void kipsec_cipher_destroy(struct kipsec_cipher *c);

/* One job of each processor between packets, and the room that it shall have. */
DECLARE_PER_CPU(struct kipsec_job *, kipsec_job_cache);
extern unsigned int kipsec_job_room;

/** kipsec_job_alloc() - a job with @room bytes for a request, or NULL; BH off */
struct kipsec_job *kipsec_job_alloc(unsigned int room);

/** kipsec_job_put_slow() - kipsec_job_put() of one that parted, or is not wanted */
void kipsec_job_put_slow(struct kipsec_job *job);

/**
 * kipsec_job_get() - a job for a packet
 * @skb: the packet
 *
 * From this CPU's cache, as a rule without an allocation. BH off.
 *
 * Return: the job, which now owns @skb, or NULL (the skb stays the caller's).
 */
static inline struct kipsec_job *kipsec_job_get(struct sk_buff *skb)
{
	struct kipsec_job *job = this_cpu_read(kipsec_job_cache);
	unsigned int room;

	/* Room was made for the packet's SAs before they could be found. */
	smp_rmb();
	room = READ_ONCE(kipsec_job_room);
	if (likely(job && job->room >= room))
		this_cpu_write(kipsec_job_cache, NULL);
	else
		job = kipsec_job_alloc(room);
	if (likely(job)) {
		job->skb = skb;
		job->parted = false;
		job->dst = NULL;
		job->dev = NULL;
	}
	return job;
}

/**
 * kipsec_job_put() - the job is over; BH off
 * @job: the job
 *
 * Return: the skb, which is the caller's again.
 */
static inline struct sk_buff *kipsec_job_put(struct kipsec_job *job)
{
	struct sk_buff *skb = job->skb;

	if (likely(!job->parted && !this_cpu_read(kipsec_job_cache)))
		this_cpu_write(kipsec_job_cache, job);
	else
		kipsec_job_put_slow(job);
	return skb;
}

/**
 * kipsec_job_scratch() - memory for a transform, to the end of the job
 * @job: what it had before is forgotten
 * @len: bytes that @job->scratch shall have
 *
 * Return: false without memory.
 */
bool kipsec_job_scratch(struct kipsec_job *job, unsigned int len);

/**
 * kipsec_job_part() - the job leaves the RCU section that it was made in
 * @job: its cipher will finish later
 *
 * Holds what it needs until then. BH off, RCU read side.
 */
void kipsec_job_part(struct kipsec_job *job);

/** kipsec_crypt_reason() - why a packet is dropped when its cipher says @err */
static inline enum kipsec_reason kipsec_crypt_reason(bool enc, int err)
{
	if (err == -ENOBUFS)
		return enc ? KIPSEC_DROP_OUT_QUEUE : KIPSEC_DROP_IN_QUEUE;
	if (enc)
		return KIPSEC_DROP_OUT_CRYPTO;
	return err == -EBADMSG ? KIPSEC_DROP_IN_ICV : KIPSEC_DROP_IN_CRYPTO;
}

/**
 * kipsec_crypt_apart() - can kipsec_crypt() read the text outside of the packet?
 * @c: the cipher
 *
 * Cards take what is in one place, and upper halves of sequence numbers want a place
 * of their own.
 */
static inline bool kipsec_crypt_apart(const struct kipsec_cipher *c)
{
	return c->tfm && !c->esn && !READ_ONCE(c->lane);
}

/** kipsec_crypt_fits() - has the job room for the cipher's request? */
static inline bool kipsec_crypt_fits(const struct kipsec_job *job,
				     const struct kipsec_cipher *c)
{
	return !c->tfm || crypto_aead_reqsize(c->tfm) <= job->room;
}

/**
 * kipsec_crypt() - run an SA's cipher over a linear buffer, in place
 * @job: with @iv set, and @seq with ESN
 * @c: the cipher of @job->sa
 * @enc: encrypt (the ICV is appended behind) or decrypt and verify
 * @data: associated data (SPI, sequence number, perhaps an IV), then text; on
 *	decryption followed by the ICV
 * @assoc: bytes of associated data
 * @len: bytes of text; on decryption ICV included
 *
 * With @job->text the text is there before, and in the buffer after encryption.
 *
 * If it answers -EINPROGRESS, @job->done is called later, or has been already: the
 * job is not the caller's any more, not even to write @reason, which is set here.
 *
 * Context: BH off, RCU read side.
 * Return: 0, -EINPROGRESS, -EBADMSG bad ICV, or another errno of the driver.
 */
int kipsec_crypt(struct kipsec_job *job, struct kipsec_cipher *c,
		 bool enc, u8 *data, unsigned int assoc, unsigned int len);

/**
 * kipsec_crypt_sg() - the same over pieces of memory
 * @job: with @iv, and the first @n of @sg set by sg_set_buf(); their memory lives
 *	until the job is finished
 * @c: the cipher
 * @enc: encrypt or decrypt
 * @n: pieces, 1 to KIPSEC_MAX_SG
 * @assoc: bytes of associated data
 * @len: bytes of text; on decryption ICV included; 0, or the ICV's, where all is
 *	associated data
 *
 * Context and answers: as kipsec_crypt().
 */
int kipsec_crypt_sg(struct kipsec_job *job, struct kipsec_cipher *c,
		    bool enc, unsigned int n, unsigned int assoc,
		    unsigned int len);

int kipsec_crypto_start(void);

/** kipsec_crypto_stop() - after the last job */
void kipsec_crypto_stop(void);

#endif /* _KIPSEC_CRYPTO_H */
