/* SPDX-License-Identifier: GPL-2.0 */
/*
 * card.h - a card that misbehaves on command; for tests.
 *
 *	algs.c		what it has to offer to the crypto API	card_submit() ->
 *	queue.c		what it does with a request	-> job->work, job->answer
 *	testcard.c	what it is told by debugfs
 */
#ifndef _TESTCARD_CARD_H
#define _TESTCARD_CARD_H

#include <crypto/aead.h>
#include <crypto/skcipher.h>
#include <linux/list.h>

/**
 * struct card_knobs - how it misbehaves; 0 is "not at all"
 * @delay: ms from a request to its answer
 * @at_once: answer in the caller's context, as software does
 * @batch: answers come so many at a time
 * @batch_wait: ms until what waits for its batch is answered without it
 * @shuffle: seed of the order within a batch, 0 for the order of arrival
 * @fail: every n-th request fails
 * @fail_errno: with this
 * @depth: requests that may be in flight; more are refused
 * @refuse: every n-th request is refused
 * @refuse_errno: with this; so are those of @depth
 * @corrupt: every n-th answer is good, with a byte of the output flipped
 * @badmsg: every n-th answer, if it opens an AEAD, says that the ICV is bad
 * @stall: keep all requests until told to let go of them
 *
 * Whether a request is an n-th one is decided when it comes.
 */
struct card_knobs {
	u32	delay;
	u32	at_once;
	u32	batch;
	u32	batch_wait;
	u32	shuffle;
	u32	fail;
	u32	fail_errno;
	u32	depth;
	u32	refuse;
	u32	refuse_errno;
	u32	corrupt;
	u32	badmsg;
	u32	stall;
};

extern struct card_knobs card_knobs;

/**
 * struct card_counters - @requests = @refused + @answers + @in_flight
 * @requests: all that came
 * @bytes: of text in them
 * @refused: of them, not taken: the card was full, or gone
 * @answers: of them, answered
 * @errors: of the answers, errors that the work did not have
 * @corrupted: of the answers, spoiled ones that pretend to be good
 * @in_flight: taken and not yet answered
 */
struct card_counters {
	u64	requests;
	u64	bytes;
	u64	refused;
	u64	answers;
	u64	errors;
	u64	corrupted;
	u64	in_flight;
};

/**
 * struct card_job - a request in the card
 * @list: in order of arrival
 * @work: encrypts or decrypts in software
 * @answer: tells the user
 * @free: the job
 * @due: when to answer (jiffies)
 * @nr: number of the request
 * @generation: of its transform
 * @bytes: of text
 * @error: to be answered in place of the work
 * @enc: encrypts
 * @corrupt: flip a byte of the output
 * @aead: the user's, or NULL
 * @real_aead: the same for the software
 * @skcipher: the user's, or NULL
 * @real_skcipher: the same for the software
 *
 * It lies in the card's own memory, and is the card's until it is answered,
 * whatever the user may think of it meanwhile.
 */
struct card_job {
	struct list_head	list;
	int			(*work)(struct card_job *job);
	void			(*answer)(struct card_job *job, int err);
	void			(*free)(struct card_job *job);
	unsigned long		due;
	unsigned long		nr;
	unsigned int		generation;
	unsigned int		bytes;
	int			error;
	bool			enc;
	bool			corrupt;
	struct aead_request	*aead;
	struct aead_request	*real_aead;
	struct skcipher_request	*skcipher;
	struct skcipher_request	*real_skcipher;
};

/**
 * card_submit() - a request comes
 * @job: the request; the card's from now on
 * @patient: the user allows that it waits (CRYPTO_TFM_REQ_MAY_BACKLOG)
 *
 * Context: process or softirq.
 * Return: -EINPROGRESS, @job->answer will be called with BH off; or what the
 *	request came to, at once.
 */
int card_submit(struct card_job *job, bool patient);

/** card_release() - answer all requests now: with @err, or as they come out */
void card_release(int err);

/** card_unplug() - -ENODEV for all requests, and all more of this generation */
void card_unplug(void);

/** card_generation() - how often it was unplugged */
unsigned int card_generation(void);

/** card_kick() - a knob was turned */
void card_kick(void);

/** card_count() - the counters as they are now, and from 0 on if @reset */
struct card_counters card_count(bool reset);

int card_queue_start(void);
void card_queue_stop(void);

/** card_set_present() - the card is taken out, or put in */
int card_set_present(bool present);

/** card_present() - is it there? */
bool card_present(void);

/** card_transforms() - how many are in use */
unsigned int card_transforms(void);

int card_algs_start(int priority, bool hardware);
void card_algs_stop(void);

#endif /* _TESTCARD_CARD_H */
