/* SPDX-License-Identifier: GPL-2.0 */
/*
 * xform.h - what the data path asks of a transform (floor 3). The core never
 * asks which protocol it has before it.
 */
#ifndef _KIPSEC_XFORM_H
#define _KIPSEC_XFORM_H

#include <linux/types.h>

struct kipsec_cipher;
struct kipsec_job;
struct kipsec_sa;

/**
 * struct kipsec_xform - one protocol
 * @name: as /proc and messages show it
 * @proto: IPPROTO_*
 * @init: keys and algorithms of the SA are set; make @sa->xf_data. Process
 *	context. 0, -ENOSYS, -EINVAL, -ENOENT, -ENOMEM
 * @destroy: undo @init; process context
 * @cipher: that of an SA, for those who look on; NULL where there are none
 * @inner_max: the longest inner packet (transport: with its IP header) whose
 *	protected form fits in @mtu bytes; 0 if none does
 * @output: protect @job->skb for @job->sa: header, payload, crypto. The skb
 *	starts at its IP header, which is also the network header. 0 if done,
 *	-EINPROGRESS if @job->done will be called, else an errno with
 *	@job->reason set; the skb stays with the job
 * @input: check and decrypt @job->skb, whose data start at the protocol's
 *	header; answers as @output
 * @input_done: crypto was good: strip header and trailer, so that the data start
 *	at the payload; returns the next header, or an errno with @job->reason
 */
struct kipsec_xform {
	const char	*name;
	u8		proto;
	int		(*init)(struct kipsec_sa *sa);
	void		(*destroy)(struct kipsec_sa *sa);
	const struct kipsec_cipher *(*cipher)(const struct kipsec_sa *sa);
	unsigned int	(*inner_max)(const struct kipsec_sa *sa,
				     bool tunnel, unsigned int mtu);
	int		(*output)(struct kipsec_job *job);
	int		(*input)(struct kipsec_job *job);
	int		(*input_done)(struct kipsec_job *job);
};

extern const struct kipsec_xform kipsec_esp;
extern const struct kipsec_xform kipsec_ah;
extern const struct kipsec_xform kipsec_ipcomp;

/**
 * kipsec_sa_init() - make an SA able to carry packets: transform, cipher, window
 * @sa: filled in; not in the data base
 * @window: replay window in packets, 0 off
 * @last: sequence numbers up to here count as sent and seen
 *
 * Context: process, may sleep (loads crypto modules).
 * Return: 0; -EPROTONOSUPPORT no such transform; -ENOSYS algorithm unknown;
 * -EINVAL key length; -ENOENT the kernel has no such cipher; -ENOMEM.
 */
int kipsec_sa_init(struct kipsec_sa *sa, u32 window, u64 last);

#endif /* _KIPSEC_XFORM_H */
