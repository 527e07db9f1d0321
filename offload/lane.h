/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lane.h - the packets of one SA whose ciphers finish later, in order (floor 3).
 *
 * A packet whose cipher answers at once never comes here. Where a card or
 * another core does the work, the job enters the SA's lane before it is given
 * away, and leaves it by job->done() in the order in which it entered, however
 * the answers come. That happens on one processor, the one where the first job
 * entered: from two, packets would overtake each other in the queues behind us.
 * It moves to another only when there was nothing to do for a while. So the wire,
 * and the replay window, see no other order than they would with one core.
 */
#ifndef _KIPSEC_LANE_H
#define _KIPSEC_LANE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "crypto.h"

struct kipsec_card;

#define KIPSEC_LANE_MAX		1024	/* jobs at once; the next is dropped */

/**
 * struct kipsec_lane - one cipher's jobs
 * @lock: of all that follows; BH off. Jobs are run and released without it
 * @len: jobs that entered, until their done() has returned
 * @waiting: jobs in @todo
 * @releasing: somebody calls done(), or will soon; there is one at a time
 * @cost: nanoseconds that the cipher takes for a packet, averaged; not locked
 * @home: processor where it happens
 * @left: when the last job left, jiffies
 * @release: does it there, when a job is finished elsewhere or many are at once
 * @order: all jobs, oldest first, by their @order
 * @todo: jobs that nobody works on yet, oldest first, by their @todo
 * @turn: place in the crew's round, while jobs wait (crew.c)
 * @card: that does the work, or NULL; constant
 */
struct kipsec_lane {
	spinlock_t		lock;	/* of one SA's jobs */
	unsigned int		len;
	unsigned int		waiting;
	bool			releasing;
	u32			cost;
	int			home;
	unsigned long		left;
	struct work_struct	release;
	struct list_head	order;
	struct list_head	todo;
	struct list_head	turn;
	struct kipsec_card	*card;
};

/** kipsec_lane_alloc() - an empty lane, or NULL; kfree() it when no job is left */
struct kipsec_lane *kipsec_lane_alloc(gfp_t gfp);

/**
 * kipsec_lane_enter() - a job takes its place
 * @lane: the lane of its cipher
 * @job: its request set up, @enc told
 *
 * From here on the job is finished by kipsec_lane_done() only, which calls
 * job->done(), for failures too.
 *
 * Context: BH off, RCU read side.
 * Return: false if the lane is full; the job stays the caller's.
 */
bool kipsec_lane_enter(struct kipsec_lane *lane, struct kipsec_job *job);

/**
 * kipsec_lane_run() - do a job's work here and now
 * @job: entered
 *
 * Context: BH off, RCU read side.
 * Return: what the cipher says; the job may be gone.
 */
int kipsec_lane_run(struct kipsec_job *job);

/**
 * kipsec_lane_done() - the cipher has finished
 * @job: entered; not the caller's any more
 * @err: what the cipher says
 *
 * What is finished at the head of the lane is released, here or at its home.
 *
 * Context: BH off, RCU read side, which also keeps the lane until it ends.
 */
void kipsec_lane_done(struct kipsec_job *job, int err);

/** kipsec_lane_wait() - put a job off, behind others; @lock of its lane held */
void kipsec_lane_wait(struct kipsec_job *job);

/**
 * kipsec_lane_next() - the job that has waited longest waits no more
 * @lane: @lock held
 *
 * Return: the job, or NULL if none waits.
 */
struct kipsec_job *kipsec_lane_next(struct kipsec_lane *lane);

int kipsec_lane_start(void);
void kipsec_lane_stop(void);

#endif /* _KIPSEC_LANE_H */
