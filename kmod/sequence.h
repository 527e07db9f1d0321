/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sequence.h - sequence numbers, the replay window and what an SA counts
 * (floor 3).
 */
#ifndef _KIPSEC_SEQUENCE_H
#define _KIPSEC_SEQUENCE_H

#include "../offload/crypto.h"

/** kipsec_count_limit() - has an SA that has such limits come to one? */
int kipsec_count_limit(struct kipsec_job *job, u64 packets, u64 bytes);

/* The packet has its number, which counts it; its bytes are to be counted. */
static inline int kipsec_count_bytes(struct kipsec_job *job, unsigned int bytes)
{
	struct kipsec_sa *sa = job->sa;
	u64 total = atomic64_add_return(bytes, &sa->obytes);
	int err;

	if (unlikely(READ_ONCE(sa->counted))) {
		err = kipsec_count_limit(job, job->seq - sa->oseq_first, total);
		if (err)
			return err;
	}
	kipsec_sa_used(sa);
	return 0;
}

/** kipsec_replay_fail() - the window refuses the packet; an errno */
int kipsec_replay_fail(struct kipsec_job *job, enum kipsec_replay_verdict v);

/** kipsec_seq_end() - the last sequence number has been sent */
int kipsec_seq_end(struct kipsec_job *job);

/**
 * kipsec_count_out() - count a packet to be sent, for protocols without numbers
 * @job: @job->sa will send it
 * @bytes: of payload
 *
 * Return: 0, or an errno with @job->reason if a limit is reached.
 */
static inline int kipsec_count_out(struct kipsec_job *job, unsigned int bytes)
{
	job->seq = atomic64_inc_return(&job->sa->oseq);
	return kipsec_count_bytes(job, bytes);
}

/** kipsec_count_in() - the same for a packet that came and was good */
int kipsec_count_in(struct kipsec_job *job, unsigned int bytes);

/**
 * kipsec_seq_next() - take a sequence number for a packet to be sent
 * @job: @job->sa will send it; @job->seq is set
 * @bytes: of payload, to be counted
 *
 * To be called before any byte of the packet has changed or is elsewhere, for another
 * SA may get it then; and not too early: a number that is taken and not sent looks like
 * a loss to the peer.
 *
 * Return: 0, or an errno with @job->reason if a limit or the numbers are used up
 * (RFC 4303 section 3.3.3: no number is sent twice under one key).
 */
static inline int kipsec_seq_next(struct kipsec_job *job, unsigned int bytes)
{
	struct kipsec_sa *sa = job->sa;

	job->seq = atomic64_inc_return(&sa->oseq);
	if (unlikely(job->seq > U32_MAX && !sa->esn))
		return kipsec_seq_end(job);
	return kipsec_count_bytes(job, bytes);
}

/**
 * kipsec_seq_check() - is it worth while to verify a packet that came?
 * @job: @job->seq is set, to 64 bits with extended sequence numbers
 * @low: sequence number in the packet
 *
 * Return: 0, or an errno with @job->reason.
 */
static inline int kipsec_seq_check(struct kipsec_job *job, __be32 low)
{
	const struct kipsec_replay *replay = job->sa->replay;
	enum kipsec_replay_verdict v;

	job->seq = ntohl(low);
	if (unlikely(!replay))
		return 0;
	if (job->sa->esn)
		job->seq = kipsec_replay_extend(replay, job->seq);
	v = kipsec_replay_check(replay, job->seq);
	return likely(v == KIPSEC_REPLAY_OK) ? 0 : kipsec_replay_fail(job, v);
}

/**
 * kipsec_seq_accept() - the ICV was good: only now the window moves
 * @job: after kipsec_seq_check()
 * @bytes: of payload, to be counted
 *
 * Return: 0, or an errno with @job->reason if another packet with this number
 * was faster, or a limit is reached.
 */
int kipsec_seq_accept(struct kipsec_job *job, unsigned int bytes);

#endif /* _KIPSEC_SEQUENCE_H */
