// SPDX-License-Identifier: GPL-2.0
/*
 * sequence.c - sequence numbers, the replay window and what an SA counts
 * (floor 3): the same for every protocol that has sequence numbers.
 */
#include "sequence.h"

int kipsec_count_limit(struct kipsec_job *job, u64 packets, u64 bytes)
{
	struct kipsec_sa *sa = job->sa;
	enum kipsec_life life;

	life = kipsec_lifetime_by_use(&sa->lifetime, packets, bytes);
	if (life != KIPSEC_LIFE_FRESH)
		kipsec_sa_crossed(sa, life);
	if (life != KIPSEC_LIFE_HARD)
		return 0;
	job->reason = KIPSEC_DROP_OUT_EXPIRED;
	return -EKEYEXPIRED;
}

int kipsec_seq_end(struct kipsec_job *job)
{
	/* Never send the same number twice under one key. */
	kipsec_sa_crossed(job->sa, KIPSEC_LIFE_HARD);
	job->reason = KIPSEC_DROP_OUT_SEQ;
	return -EOVERFLOW;
}

int kipsec_replay_fail(struct kipsec_job *job, enum kipsec_replay_verdict v)
{
	static const enum kipsec_reason reason[] = {
		[KIPSEC_REPLAY_ZERO]	= KIPSEC_DROP_IN_SEQ_ZERO,
		[KIPSEC_REPLAY_OLD]	= KIPSEC_DROP_IN_REPLAY_OLD,
		[KIPSEC_REPLAY_DUP]	= KIPSEC_DROP_IN_REPLAY_DUP,
	};

	job->reason = reason[v];
	return -EINVAL;
}

/* One more packet, with @sa->lock held. */
static enum kipsec_life count_in(struct kipsec_sa *sa, unsigned int bytes)
{
	sa->ipackets++;
	sa->ibytes += bytes;
	if (likely(!READ_ONCE(sa->counted)))
		return KIPSEC_LIFE_FRESH;
	return kipsec_lifetime_by_use(&sa->lifetime, sa->ipackets, sa->ibytes);
}

static int counted_in(struct kipsec_job *job, enum kipsec_life life)
{
	if (unlikely(life != KIPSEC_LIFE_FRESH))
		kipsec_sa_crossed(job->sa, life);
	if (life == KIPSEC_LIFE_HARD) {
		job->reason = KIPSEC_DROP_IN_EXPIRED;
		return -EKEYEXPIRED;
	}
	kipsec_sa_used(job->sa);
	return 0;
}

int kipsec_count_in(struct kipsec_job *job, unsigned int bytes)
{
	enum kipsec_life life;

	spin_lock(&job->sa->lock);
	life = count_in(job->sa, bytes);
	spin_unlock(&job->sa->lock);
	return counted_in(job, life);
}

int kipsec_seq_accept(struct kipsec_job *job, unsigned int bytes)
{
	enum kipsec_replay_verdict v = KIPSEC_REPLAY_OK;
	enum kipsec_life life = KIPSEC_LIFE_FRESH;
	struct kipsec_sa *sa = job->sa;

	spin_lock(&sa->lock);
	if (sa->replay)
		v = kipsec_replay_advance(sa->replay, job->seq);
	if (v == KIPSEC_REPLAY_OK)
		life = count_in(sa, bytes);
	spin_unlock(&sa->lock);
	if (v != KIPSEC_REPLAY_OK)
		return kipsec_replay_fail(job, v);
	return counted_in(job, life);
}
