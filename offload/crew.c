// SPDX-License-Identifier: GPL-2.0
/*
 * crew.c - one SA on many cores (floor 3).
 *
 * A core that has more than it can do leaves ciphers to the crew: a worker on
 * each processor, all of which take from one round of lanes. A lane (the jobs of
 * one SA) that has work stands in the round; who takes from it takes a few jobs
 * and puts it back at the end, so that no SA waits for more than a few packets of
 * each other one. As there is one round for all, a processor that is slow, busy
 * or gone keeps nobody waiting, and the submitter's own helps when it has time.
 * Order is the lane's business (lane.c).
 *
 * Nothing is dropped here: where too many jobs of an SA wait, the submitter does
 * the next itself, as it would have without a crew, and is slowed down by that.
 *
 * The knob "pipeline" is off, on, or (as it comes) automatic: a core counts its
 * packets, and looks ten times a second how much of its time was idle. If it was
 * busy all the time, it has helpers from then on, until for a second they have
 * had nothing to do. But they help only an SA whose cipher takes at least half of
 * the time that the core has for a packet: to hand a packet over costs something,
 * and where the rest of its way is most of the work nothing would be gained. What
 * a cipher takes is learnt from every 16th packet while the core is busy.
 *
 * Locks: crew.lock for the round, then a lane's, never the other way round.
 */
#include <linux/cpumask.h>
#include <linux/kernel_stat.h>
#include <linux/workqueue.h>

#include "../kmod/stats.h"
#include "crew.h"

#define CREW_BATCH	4	/* jobs taken at once */
#define CREW_QUEUE	256	/* jobs of an SA that wait for hands */
#define CREW_WINDOW	(HZ / 10)	/* between looks at the load */
#define CREW_PACKETS	32	/* in a window: less is little traffic */
#define CREW_BUSY	90	/* per cent of a window */
#define CREW_STAY	HZ	/* after somebody was seen waiting */
#define CREW_SAMPLE	16	/* one packet of so many is timed */

DEFINE_STATIC_KEY_FALSE(kipsec_crew_key);

/**
 * struct crew_hand - one processor's part
 * @work: takes jobs from the round
 * @cpu: whose it is
 * @since: start of the window, jiffies
 * @until: it has helpers until then, jiffies
 * @packets: in the window
 * @each: nanoseconds that a packet had of the last window
 * @busy: nanoseconds that it had worked at @since
 */
struct crew_hand {
	struct work_struct	work;
	int			cpu;
	unsigned long		since;
	unsigned long		until;
	unsigned int		packets;
	unsigned int		each;
	u64			busy;
};

static struct {
	spinlock_t		lock;	/* of the round */
	struct list_head	round;	/* lanes with work, by their @turn */
	struct cpumask		idle;	/* workers that have to be woken */
	struct workqueue_struct	*wq;
} crew = {
	.lock	= __SPIN_LOCK_UNLOCKED(crew.lock),
	.round	= LIST_HEAD_INIT(crew.round),
};

static DEFINE_PER_CPU(struct crew_hand, hands);

/* --- is there need? -------------------------------------------------------- */

/* Nanoseconds that a processor was not idle, as the ticks have counted. */
static u64 busy_time(int cpu)
{
	const u64 *t = kcpustat_cpu(cpu).cpustat;

	return t[CPUTIME_USER] + t[CPUTIME_NICE] + t[CPUTIME_SYSTEM] +
	       t[CPUTIME_SOFTIRQ] + t[CPUTIME_IRQ];
}

static void load_look(struct crew_hand *hand, unsigned long elapsed)
{
	u64 window = jiffies_to_nsecs(elapsed);
	u64 busy = busy_time(smp_processor_id());

	/* After a pause the window says nothing. */
	if (elapsed < 3 * CREW_WINDOW && hand->packets >= CREW_PACKETS &&
	    (busy - hand->busy) * 100 >= window * CREW_BUSY) {
		hand->until = jiffies + CREW_STAY;
		hand->each = div_u64(window, hand->packets);
	}
	hand->busy = busy;
	hand->packets = 0;
	hand->since = jiffies;
}

/* Is this core busy, and the cipher a good part of what it does? */
static bool crew_helps(const struct crew_hand *hand,
		       const struct kipsec_net *kn,
		       const struct kipsec_lane *lane)
{
	u8 knob = READ_ONCE(kn->knobs.pipeline);

	if (knob != KIPSEC_PIPELINE_AUTO)
		return knob;
	return time_before(jiffies, hand->until) && lane &&
	       READ_ONCE(lane->cost) >= hand->each / 2;
}

bool __kipsec_crew_wanted(const struct kipsec_net *kn,
			  const struct kipsec_lane *lane)
{
	struct crew_hand *hand = this_cpu_ptr(&hands);
	unsigned long elapsed = jiffies - hand->since;

	if (!READ_ONCE(kn->knobs.pipeline) || num_online_cpus() == 1)
		return false;
	hand->packets++;
	if (unlikely(elapsed >= CREW_WINDOW))
		load_look(hand, elapsed);
	return crew_helps(hand, kn, lane) ||
	       (hand->packets % CREW_SAMPLE == 0 &&
		time_before(jiffies, hand->until));
}

/* --- work ------------------------------------------------------------------- */

/* A few jobs of the lane whose turn it is. */
static unsigned int crew_take(struct kipsec_job *batch[CREW_BATCH])
{
	struct kipsec_lane *lane;
	unsigned int n = 0;

	spin_lock(&crew.lock);
	lane = list_first_entry_or_null(&crew.round, struct kipsec_lane, turn);
	if (lane) {
		spin_lock(&lane->lock);
		while (n < CREW_BATCH && lane->waiting)
			batch[n++] = kipsec_lane_next(lane);
		if (lane->waiting)
			list_move_tail(&lane->turn, &crew.round);
		else
			list_del(&lane->turn);
		spin_unlock(&lane->lock);
	}
	spin_unlock(&crew.lock);
	return n;
}

/* BH off, RCU read side. */
static bool crew_work(void)
{
	struct kipsec_job *batch[CREW_BATCH];
	unsigned int n = crew_take(batch), i;

	for (i = 0; i < n; i++)
		kipsec_lane_run(batch[i]);
	return n;
}

static void crew_worker(struct work_struct *work)
{
	int cpu = container_of(work, struct crew_hand, work)->cpu;
	bool more;

	do {
		/* What became pending meanwhile is done between two batches. */
		local_bh_disable();
		rcu_read_lock();
		more = crew_work();
		rcu_read_unlock();
		local_bh_enable();
		cond_resched();
		if (more)
			continue;
		/* Who added to the round just before this did not wake us. */
		cpumask_set_cpu(cpu, &crew.idle);
		smp_mb__after_atomic();	/* pairs with that of crew_wake() */
		more = !list_empty_careful(&crew.round) &&
		       cpumask_test_and_clear_cpu(cpu, &crew.idle);
	} while (more);
}

/* One more pair of hands, if some are idle; our own last. */
static void crew_wake(void)
{
	unsigned int cpu;

	smp_mb();	/* pairs with that of crew_worker() */
	cpu = cpumask_next_and(smp_processor_id(), &crew.idle, cpu_online_mask);
	if (cpu >= nr_cpu_ids)
		cpu = cpumask_first_and(&crew.idle, cpu_online_mask);
	if (cpu < nr_cpu_ids && cpumask_test_and_clear_cpu(cpu, &crew.idle))
		queue_work_on(cpu, crew.wq, &per_cpu_ptr(&hands, cpu)->work);
}

/* Into the round, unless too many of its SA's wait already. */
static bool crew_add(struct kipsec_lane *lane, struct kipsec_job *job)
{
	unsigned int waiting;

	spin_lock(&crew.lock);
	spin_lock(&lane->lock);
	waiting = lane->waiting;
	if (waiting < CREW_QUEUE) {
		kipsec_lane_wait(job);
		if (!waiting)
			list_add_tail(&lane->turn, &crew.round);
	}
	spin_unlock(&lane->lock);
	spin_unlock(&crew.lock);
	/* Helpers that keep somebody waiting are needed. */
	if (waiting)
		this_cpu_write(hands.until, jiffies + CREW_STAY);
	return waiting < CREW_QUEUE;
}

void kipsec_crew_give(struct kipsec_job *job)
{
	struct kipsec_net *kn = job->sa->net;

	if (crew_helps(this_cpu_ptr(&hands), kn, job->lane) &&
	    crew_add(job->lane, job)) {
		kipsec_count(kn, KIPSEC_COUNT_SPREAD);
		crew_wake();
	} else {
		kipsec_lane_run(job);
	}
}

/* --- beginning and end ------------------------------------------------------ */

int kipsec_crew_start(void)
{
	int cpu;

	if (num_possible_cpus() == 1)
		return 0;
	crew.wq = alloc_workqueue("kipsec_crew", KIPSEC_WQ_PERCPU |
				  WQ_CPU_INTENSIVE | WQ_MEM_RECLAIM, 0);
	if (!crew.wq)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct crew_hand *hand = per_cpu_ptr(&hands, cpu);

		INIT_WORK(&hand->work, crew_worker);
		hand->cpu = cpu;
		hand->since = jiffies;
		hand->until = jiffies;
	}
	cpumask_copy(&crew.idle, cpu_possible_mask);
	static_branch_enable(&kipsec_crew_key);
	return 0;
}

void kipsec_crew_stop(void)
{
	if (!crew.wq)
		return;
	static_branch_disable(&kipsec_crew_key);
	destroy_workqueue(crew.wq);
}
