// SPDX-License-Identifier: GPL-2.0
/*
 * expire.c - one queue of deadlines per namespace (floor 2).
 *
 * The queue is a tree ordered by time, changed under kipsec_net.cfg only. One
 * delayed work sleeps until the first deadline, or until somebody kicks it.
 *
 * Arming: the data path kicks without @cfg, while the namespace may be on its
 * way out. Work queued behind kipsec_expire_stop() would run on freed memory,
 * so every arming is done under @lock, and none once @stopped is set; the
 * cancellation that follows is final. A kick is remembered in @kicked before
 * the work is queued, so that a re-arming for the next deadline, which moves
 * the work's timer, cannot put it off.
 *
 * Time is the boot clock, which goes on while the machine sleeps; timers do
 * not. The work therefore looks at the clock once a minute at least as long as
 * there is a deadline.
 */
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "expire.h"
#include "kipsec.h"

#define DUE_PER_PASS	512	/* then others may have kipsec_net.cfg */
#define LONGEST_NAP	60	/* seconds */

/**
 * struct kipsec_expire - a namespace's queue
 * @kn: the namespace
 * @queue: deadlines by time; under kipsec_net.cfg
 * @poll: called after a kick
 * @work: visits what is due
 * @kicked: bit 0: a kick waits for the work
 * @lock: orders arming against stopping
 * @stopped: under @lock: never arm again
 */
struct kipsec_expire {
	struct kipsec_net	*kn;
	struct rb_root_cached	queue;
	void			(*poll)(struct kipsec_net *kn);
	struct delayed_work	work;
	unsigned long		kicked;
	spinlock_t		lock;		/* see above */
	bool			stopped;
};

u64 kipsec_now(void)
{
	return ktime_get_boottime_seconds() ?: 1;
}

static struct kipsec_deadline *first_deadline(const struct kipsec_expire *ex)
{
	struct rb_node *node = rb_first_cached(&ex->queue);

	return node ? rb_entry(node, struct kipsec_deadline, node) : NULL;
}

/* how long the work may sleep if the first deadline is at second @when */
static unsigned long nap_until(u64 when)
{
	u64 now = ktime_get_boottime_ns();
	u64 then;

	if (when >= div_u64(now, NSEC_PER_SEC) + LONGEST_NAP)
		return LONGEST_NAP * HZ;
	then = when * NSEC_PER_SEC;
	/* one more jiffy, so that the deadline has passed when it ends */
	return then > now ? nsecs_to_jiffies(then - now) + 1 : 0;
}

static void arm(struct kipsec_expire *ex, unsigned long delay)
{
	unsigned long flags;

	spin_lock_irqsave(&ex->lock, flags);
	if (!ex->stopped)
		mod_delayed_work(system_power_efficient_wq, &ex->work,
				 test_bit(0, &ex->kicked) ? 0 : delay);
	spin_unlock_irqrestore(&ex->lock, flags);
}

static bool deadline_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct kipsec_deadline, node)->when <
	       rb_entry(b, struct kipsec_deadline, node)->when;
}

void kipsec_deadline_init(struct kipsec_deadline *d, kipsec_due_fn due)
{
	RB_CLEAR_NODE(&d->node);
	d->when = 0;
	d->due = due;
}

static void dequeue(struct kipsec_expire *ex, struct kipsec_deadline *d)
{
	rb_erase_cached(&d->node, &ex->queue);
	RB_CLEAR_NODE(&d->node);
	d->when = 0;
}

void kipsec_deadline_set(struct kipsec_net *kn, struct kipsec_deadline *d,
			 u64 when)
{
	struct kipsec_expire *ex = kn->expire;

	lockdep_assert_held(&kn->cfg);

	if (d->when == when)
		return;
	if (!RB_EMPTY_NODE(&d->node))
		dequeue(ex, d);
	if (!when)
		return;
	d->when = when;
	if (rb_add_cached(&d->node, &ex->queue, deadline_less))
		arm(ex, nap_until(when));
}

void kipsec_expire_kick(struct kipsec_net *kn)
{
	struct kipsec_expire *ex = kn->expire;

	if (!test_and_set_bit(0, &ex->kicked))
		arm(ex, 0);
}

void kipsec_expire_set_poll(struct kipsec_net *kn,
			    void (*poll)(struct kipsec_net *kn))
{
	WRITE_ONCE(kn->expire->poll, poll);
}

static void expire_work(struct work_struct *work)
{
	struct kipsec_expire *ex = container_of(work, struct kipsec_expire,
						work.work);
	struct kipsec_net *kn = ex->kn;
	struct kipsec_deadline *d;
	unsigned int left = DUE_PER_PASS;

	mutex_lock(&kn->cfg);
	/* cleared before the poll: what comes during it is a kick of its own */
	if (test_and_clear_bit(0, &ex->kicked) && ex->poll)
		ex->poll(kn);
	while ((d = first_deadline(ex)) && d->when <= kipsec_now() && left--) {
		dequeue(ex, d);
		d->due(kn, d);
	}
	d = first_deadline(ex);
	if (d)
		arm(ex, nap_until(d->when));
	mutex_unlock(&kn->cfg);
}

int kipsec_expire_init(struct kipsec_net *kn)
{
	struct kipsec_expire *ex = kzalloc(sizeof(*ex), GFP_KERNEL);

	if (!ex)
		return -ENOMEM;
	ex->kn = kn;
	ex->queue = RB_ROOT_CACHED;
	spin_lock_init(&ex->lock);
	INIT_DELAYED_WORK(&ex->work, expire_work);
	kn->expire = ex;
	return 0;
}

void kipsec_expire_stop(struct kipsec_net *kn)
{
	struct kipsec_expire *ex = kn->expire;

	spin_lock_irq(&ex->lock);
	ex->stopped = true;
	spin_unlock_irq(&ex->lock);
	cancel_delayed_work_sync(&ex->work);
}

/*
 * kipsec_expire_stop() has been here, so the work neither runs nor is queued;
 * SAD and SPD, the owners of all deadlines, have taken theirs out and are gone;
 * the data path, which kicks, went down before them.
 */
void kipsec_expire_exit(struct kipsec_net *kn)
{
	struct kipsec_expire *ex = kn->expire;

	WARN_ON(first_deadline(ex));
	kn->expire = NULL;
	kfree(ex);
}
