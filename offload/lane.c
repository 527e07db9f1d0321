// SPDX-License-Identifier: GPL-2.0
/*
 * lane.c - the packets of one SA whose ciphers finish later, in order (floor 3).
 */
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "lane.h"

#define HOME_STAY	(HZ / 20)
#define RELEASE_BATCH	16	/* jobs released at once */

static struct workqueue_struct *wq;

static void lane_release_work(struct work_struct *work);

struct kipsec_lane *kipsec_lane_alloc(gfp_t gfp)
{
	struct kipsec_lane *lane = kzalloc(sizeof(*lane), gfp);

	if (!lane)
		return NULL;
	spin_lock_init(&lane->lock);
	lane->left = jiffies - HOME_STAY - 1;
	INIT_LIST_HEAD(&lane->order);
	INIT_LIST_HEAD(&lane->todo);
	INIT_LIST_HEAD(&lane->turn);
	INIT_WORK(&lane->release, lane_release_work);
	return lane;
}

bool kipsec_lane_enter(struct kipsec_lane *lane, struct kipsec_job *job)
{
	bool room;

	job->lane = lane;
	job->finished = false;
	spin_lock(&lane->lock);
	room = lane->len < KIPSEC_LANE_MAX;
	if (room) {
		kipsec_job_part(job);
		/* What went a moment ago may still be in a queue there. */
		if (!lane->len && time_after(jiffies, lane->left + HOME_STAY))
			lane->home = smp_processor_id();
		list_add_tail(&job->order, &lane->order);
		/* Not under the lock: readers that skip the lane if it is empty. */
		WRITE_ONCE(lane->len, lane->len + 1);
	}
	spin_unlock(&lane->lock);
	return room;
}

static bool lane_ready(struct kipsec_lane *lane)
{
	struct kipsec_job *job;

	job = list_first_entry_or_null(&lane->order, struct kipsec_job, order);
	return job && job->finished;
}

/*
 * A few jobs; for more we queue up again, behind other lanes, and let those work
 * whom we keep from it. BH off, RCU read side. The lane may go when its last job
 * has.
 */
static void lane_release(struct kipsec_lane *lane)
{
	struct kipsec_job *job;
	unsigned int n = 0;

	spin_lock(&lane->lock);
	while (n++ < RELEASE_BATCH && lane_ready(lane)) {
		job = list_first_entry(&lane->order, struct kipsec_job, order);
		list_del(&job->order);
		spin_unlock(&lane->lock);
		job->done(job, job->err);
		spin_lock(&lane->lock);
		/* Only now: who finds the lane empty must not overtake it. */
		WRITE_ONCE(lane->len, lane->len - 1);
		lane->left = jiffies;
	}
	lane->releasing = lane_ready(lane);
	if (lane->releasing)
		queue_work_on(lane->home, wq, &lane->release);
	spin_unlock(&lane->lock);
}

/* It is pending only while there is a job to release. */
static void lane_release_work(struct work_struct *work)
{
	local_bh_disable();
	rcu_read_lock();
	lane_release(container_of(work, struct kipsec_lane, release));
	rcu_read_unlock();
	local_bh_enable();
}

void kipsec_lane_done(struct kipsec_job *job, int err)
{
	struct kipsec_lane *lane = job->lane;
	bool mine;

	spin_lock(&lane->lock);
	job->err = err;
	job->finished = true;
	mine = !lane->releasing && lane_ready(lane);
	if (mine)
		lane->releasing = true;
	spin_unlock(&lane->lock);
	if (!mine)
		return;
	if (lane->home == smp_processor_id())
		lane_release(lane);
	else
		queue_work_on(lane->home, wq, &lane->release);
}

static void lane_crypt_done(kipsec_crypto_arg arg, int err)
{
	struct kipsec_job *job = kipsec_crypto_data(arg);

	/* A backlogged request that has begun; its end is still to come. */
	if (err == -EINPROGRESS)
		return;
	local_bh_disable();
	rcu_read_lock();
	kipsec_lane_done(job, err);
	rcu_read_unlock();
	local_bh_enable();
}

/*
 * One packet that took very long, for the processor was taken away meanwhile,
 * does not count more than four. Several may do this at once, and who is
 * overtaken is forgotten.
 */
static void lane_learn(struct kipsec_lane *lane, u64 ns)
{
	u32 old = READ_ONCE(lane->cost);
	u32 new = min_t(u64, ns, old ? old * 4ULL : ns);

	WRITE_ONCE(lane->cost, old ? (old * 7ULL + new) / 8 : new);
}

int kipsec_lane_run(struct kipsec_job *job)
{
	struct aead_request *req = &job->req;
	u64 began = local_clock();
	int err;

	/* Also those that answer at once now and then answer later. */
	aead_request_set_callback(req, 0, lane_crypt_done, job);
	err = job->enc ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	if (err == -EINPROGRESS)
		return err;
	lane_learn(job->lane, local_clock() - began);
	kipsec_lane_done(job, err);
	return err;
}

void kipsec_lane_wait(struct kipsec_job *job)
{
	struct kipsec_lane *lane = job->lane;

	lockdep_assert_held(&lane->lock);
	list_add_tail(&job->todo, &lane->todo);
	WRITE_ONCE(lane->waiting, lane->waiting + 1);
}

struct kipsec_job *kipsec_lane_next(struct kipsec_lane *lane)
{
	struct kipsec_job *job;

	lockdep_assert_held(&lane->lock);
	job = list_first_entry_or_null(&lane->todo, struct kipsec_job, todo);
	if (job) {
		list_del(&job->todo);
		WRITE_ONCE(lane->waiting, lane->waiting - 1);
	}
	return job;
}

int kipsec_lane_start(void)
{
	wq = alloc_workqueue("kipsec_lane", KIPSEC_WQ_PERCPU |
			     WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return wq ? 0 : -ENOMEM;
}

void kipsec_lane_stop(void)
{
	destroy_workqueue(wq);
}
