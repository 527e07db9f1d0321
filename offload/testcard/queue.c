// SPDX-License-Identifier: GPL-2.0
/*
 * queue.c - what the card does with a request, and what it should not do.
 *
 * Requests wait in order of arrival. A worker answers what is due, with BH off,
 * as a driver does from its tasklet; to encrypt and decrypt is part of the answer,
 * so memory of the request is written when it is answered and not before.
 */
#include <linux/bottom_half.h>
#include <linux/prandom.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "card.h"

static void card_run(struct work_struct *work);

static DEFINE_SPINLOCK(lock);		/* all below; BH off */
static LIST_HEAD(jobs);
static struct card_counters counters;
static unsigned long number;		/* of the last request */
static unsigned int generation;

static struct workqueue_struct *queue;
static DECLARE_DELAYED_WORK(runner, card_run);

/* --- a request comes ----------------------------------------------------- */

static bool every(u32 n, unsigned long nr)
{
	return n && nr % n == 0;
}

static bool full(unsigned long nr)
{
	u32 depth = READ_ONCE(card_knobs.depth);

	return (depth && counters.in_flight >= depth) ||
		every(READ_ONCE(card_knobs.refuse), nr);
}

static void decide(struct card_job *job)
{
	job->nr = number;
	job->due = jiffies + msecs_to_jiffies(READ_ONCE(card_knobs.delay));
	if (every(READ_ONCE(card_knobs.fail), number))
		job->error = -(int)READ_ONCE(card_knobs.fail_errno);
	else if (every(READ_ONCE(card_knobs.badmsg), number) && job->aead && !job->enc)
		job->error = -EBADMSG;
	job->corrupt = every(READ_ONCE(card_knobs.corrupt), number);
}

static int take(struct card_job *job, bool patient)
{
	lockdep_assert_held(&lock);
	number++;
	counters.requests++;
	counters.bytes += job->bytes;
	if (job->generation != generation) {
		counters.refused++;
		return -ENODEV;
	}
	if (!patient && full(number)) {
		counters.refused++;
		return -(int)READ_ONCE(card_knobs.refuse_errno);
	}
	decide(job);
	counters.in_flight++;
	if (READ_ONCE(card_knobs.at_once))
		return 0;
	list_add_tail(&job->list, &jobs);
	return -EINPROGRESS;
}

/* --- and is answered ----------------------------------------------------- */

static int outcome(struct card_job *job)
{
	int err = job->error ?: job->work(job);

	spin_lock_bh(&lock);
	counters.in_flight--;
	counters.answers++;
	if (job->error)
		counters.errors++;
	else if (!err && job->corrupt)
		counters.corrupted++;
	spin_unlock_bh(&lock);
	return err;
}

static void answer_all(struct list_head *ready)
{
	struct card_job *job, *next;

	list_for_each_entry_safe(job, next, ready, list) {
		local_bh_disable();
		job->answer(job, outcome(job));
		job->free(job);
		local_bh_enable();
	}
}

int card_submit(struct card_job *job, bool patient)
{
	int err;

	spin_lock_bh(&lock);
	err = take(job, patient);
	spin_unlock_bh(&lock);
	if (err == -EINPROGRESS) {
		card_kick();
		return err;
	}
	if (!err)
		err = outcome(job);
	job->free(job);
	return err;
}

/* --- when and in which order --------------------------------------------- */

/* Those due at the head of the queue; @wait: ticks until the next one is. */
static unsigned int count_due(unsigned long *wait)
{
	struct card_job *job;
	unsigned int n = 0;

	*wait = 0;
	list_for_each_entry(job, &jobs, list) {
		if (time_before(jiffies, job->due)) {
			*wait = max_t(long, job->due - jiffies, 1);
			break;
		}
		n++;
	}
	return n;
}

static void move_shuffled(struct list_head *ready, unsigned int n, u32 seed)
{
	struct rnd_state random;
	struct card_job *job;
	unsigned int i;

	job = list_first_entry(&jobs, struct card_job, list);
	prandom_seed_state(&random, seed + job->nr);
	for (; n; n--) {
		i = prandom_u32_state(&random) % n;
		list_for_each_entry(job, &jobs, list)
			if (!i--)
				break;
		list_move_tail(&job->list, ready);
	}
}

static void move_first(struct list_head *ready, unsigned int n)
{
	u32 seed = READ_ONCE(card_knobs.shuffle);

	if (seed) {
		move_shuffled(ready, n, seed);
		return;
	}
	while (n--)
		list_move_tail(jobs.next, ready);
}

/*
 * collect() - what can be answered now
 *
 * Return: ticks until there will be more, 0 for never by itself.
 */
static unsigned long collect(struct list_head *ready)
{
	u32 batch = max(READ_ONCE(card_knobs.batch), 1U);
	unsigned long wait, end;
	struct card_job *first;
	unsigned int n;

	if (READ_ONCE(card_knobs.stall))
		return 0;
	for (n = count_due(&wait); n >= batch; n -= batch)
		move_first(ready, batch);
	if (!n)
		return wait;
	first = list_first_entry(&jobs, struct card_job, list);
	end = first->due + msecs_to_jiffies(READ_ONCE(card_knobs.batch_wait));
	if (!time_before(jiffies, end)) {
		move_first(ready, n);
		return wait;
	}
	end = max_t(long, end - jiffies, 1);
	return wait ? min(wait, end) : end;
}

static void card_run(struct work_struct *work)
{
	unsigned long wait;
	LIST_HEAD(ready);

	spin_lock_bh(&lock);
	wait = collect(&ready);
	spin_unlock_bh(&lock);
	answer_all(&ready);
	if (wait)
		queue_delayed_work(queue, &runner, wait);
}

void card_kick(void)
{
	mod_delayed_work(queue, &runner, 0);
}

/* --- by command ---------------------------------------------------------- */

void card_release(int err)
{
	struct card_job *job;
	LIST_HEAD(ready);

	spin_lock_bh(&lock);
	list_splice_init(&jobs, &ready);
	spin_unlock_bh(&lock);
	if (err)
		list_for_each_entry(job, &ready, list)
			job->error = err;
	answer_all(&ready);
}

void card_unplug(void)
{
	spin_lock_bh(&lock);
	WRITE_ONCE(generation, generation + 1);
	spin_unlock_bh(&lock);
	card_release(-ENODEV);
}

unsigned int card_generation(void)
{
	return READ_ONCE(generation);
}

struct card_counters card_count(bool reset)
{
	struct card_counters now;

	spin_lock_bh(&lock);
	now = counters;
	if (reset) {
		memset(&counters, 0, sizeof(counters));
		counters.requests = now.in_flight;
		counters.in_flight = now.in_flight;
		number = 0;
	}
	spin_unlock_bh(&lock);
	return now;
}

int card_queue_start(void)
{
	queue = alloc_workqueue("testcard", WQ_UNBOUND, 1);
	return queue ? 0 : -ENOMEM;
}

/* Nobody has a transform any more, so the queue is empty. */
void card_queue_stop(void)
{
	cancel_delayed_work_sync(&runner);
	destroy_workqueue(queue);
}
