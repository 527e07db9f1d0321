// SPDX-License-Identifier: GPL-2.0
/*
 * acquire.c - SAs that policies want and nobody has made yet (floor 2).
 *
 * Locking: the list, the queues and @refused are under @lock, which the data path
 * takes; only holders of kipsec_net.cfg take entries out, so these may look at an
 * entry without it. The data path only adds; the worker tells key managers, and
 * sends what waited.
 *
 * Everything is bounded: entries in a namespace, packets of an entry, the memory of
 * all that wait. A packet that is held keeps its socket's memory, so a sender who fills
 * a queue is slowed down as if by a device.
 */
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/dst.h>

#include "acquire.h"
#include "lifetime.h"
#include "spd.h"
#include "stats.h"

#define MAX_ENTRIES	1024
#define MAX_HELD	16	/* packets of an entry */
#define MAX_BYTES	SZ_4M	/* of memory in a namespace: they may be long */
#define WANT_BITS	7	/* of a table */

/**
 * struct kipsec_acquires - of a namespace
 * @kn: the namespace
 * @lock: see above
 * @list: entries, oldest first
 * @by_want: the same by what they want
 * @seed: of its hash, for senders have a say in addresses
 * @n: how many
 * @bytes: of memory that waiting packets take
 * @last_seq: of ACQUIREs
 * @listeners: sockets that have registered
 * @stopped: no more work is queued
 * @work: tell, and send
 */
struct kipsec_acquires {
	struct kipsec_net	*kn;
	spinlock_t		lock;	/* of the list and what is in it */
	struct list_head	list;
	DECLARE_HASHTABLE(by_want, WANT_BITS);
	u32			seed;
	unsigned int		n;
	unsigned int		bytes;
	u32			last_seq;
	atomic_t		listeners;
	bool			stopped;
	struct work_struct	work;
};

/* With @lock held, so that no work is queued once it has been stopped. */
static void kick(struct kipsec_acquires *acqs)
{
	lockdep_assert_held(&acqs->lock);
	if (!acqs->stopped)
		schedule_work(&acqs->work);
}

static void (*tell)(struct kipsec_net *kn, const struct kipsec_acquire *acq);

void kipsec_acquire_set_event(void (*wanted)(struct kipsec_net *kn,
					     const struct kipsec_acquire *acq))
{
	tell = wanted;
}

bool kipsec_acquire_heard(struct kipsec_net *kn)
{
	return atomic_read(&kn->acquires->listeners);
}

/* A manager that was killed and comes again does not know what it was asked. */
static void tell_again(struct kipsec_acquires *acqs)
{
	struct kipsec_acquire *acq;

	lockdep_assert_held(&acqs->kn->cfg);
	spin_lock_bh(&acqs->lock);
	list_for_each_entry(acq, &acqs->list, in_list)
		acq->told = false;
	kick(acqs);
	spin_unlock_bh(&acqs->lock);
}

void kipsec_acquire_listener(struct kipsec_net *kn, int change)
{
	if (atomic_add_return(change, &kn->acquires->listeners) == 1 &&
	    change > 0)
		tell_again(kn->acquires);
}

/* --- packets that wait --------------------------------------------------- */

static void drop_all(struct kipsec_net *kn, struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(queue)))
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_ACQUIRE, NULL, NULL);
}

/*
 * Once more from the routing decision on, and from the device that brought them, if it
 * still is there. With @cfg held no policy goes while they are under way: without it
 * they would go in clear.
 */
static void send_all(struct kipsec_net *kn, struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	lockdep_assert_held(&kn->cfg);
	while ((skb = __skb_dequeue(queue))) {
		rcu_read_lock();
		local_bh_disable();
		skb->dev = skb->skb_iif ?
			dev_get_by_index_rcu(kn->net, skb->skb_iif) : NULL;
		dst_output(kn->net, skb->sk, skb);
		local_bh_enable();
		rcu_read_unlock();
		cond_resched();
	}
}

/* --- entries ------------------------------------------------------------- */

/* What waits for an entry waits no more: to @queue. */
static void take_held(struct kipsec_acquires *acqs, struct kipsec_acquire *acq,
		      struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	lockdep_assert_held(&acqs->lock);
	skb_queue_walk(&acq->held, skb)
		acqs->bytes -= skb->truesize;
	skb_queue_splice_tail_init(&acq->held, queue);
}

/* An entry ends: out of the list, with all that waits moved to @queue. */
static void end_waiting(struct kipsec_acquires *acqs, struct kipsec_acquire *acq,
			struct sk_buff_head *queue)
{
	lockdep_assert_held(&acqs->kn->cfg);
	lockdep_assert_held(&acqs->lock);
	kipsec_deadline_set(acqs->kn, &acq->deadline, 0);
	list_del(&acq->in_list);
	hash_del(&acq->by_want);
	acqs->n--;
	take_held(acqs, acq, queue);
	kfree(acq);
}

/* Nobody made the SA in time. The next packet asks again. */
static void overdue(struct kipsec_net *kn, struct kipsec_deadline *d)
{
	struct kipsec_acquire *acq = container_of(d, struct kipsec_acquire,
						  deadline);
	struct kipsec_acquires *acqs = kn->acquires;
	struct sk_buff_head held;

	__skb_queue_head_init(&held);
	spin_lock_bh(&acqs->lock);
	end_waiting(acqs, acq, &held);
	spin_unlock_bh(&acqs->lock);
	drop_all(kn, &held);
}

static u32 want_hash(const struct kipsec_acquires *acqs,
		     const struct kipsec_sa_want *want)
{
	return jhash(want, sizeof(*want), acqs->seed);
}

static struct kipsec_acquire *find(struct kipsec_acquires *acqs,
				   const struct kipsec_sa_want *want)
{
	struct kipsec_acquire *acq;

	hash_for_each_possible(acqs->by_want, acq, by_want, want_hash(acqs, want)) {
		if (!memcmp(&acq->want, want, sizeof(*want)))
			return acq;
	}
	return NULL;
}

static struct kipsec_acquire *add(struct kipsec_acquires *acqs,
				  const struct kipsec_sa_want *want,
				  u32 policy, u32 priority)
{
	struct kipsec_acquire *acq;

	if (acqs->n >= MAX_ENTRIES)
		return NULL;
	acq = kzalloc(sizeof(*acq), GFP_ATOMIC | __GFP_NOWARN);
	if (!acq)
		return NULL;
	kipsec_deadline_init(&acq->deadline, overdue);
	__skb_queue_head_init(&acq->held);
	acq->want = *want;
	acq->policy = policy;
	acq->priority = priority;
	/* programs number their own requests from 1 on: far from there */
	acq->seq = ++acqs->last_seq | 0x80000000;
	list_add_tail(&acq->in_list, &acqs->list);
	hash_add(acqs->by_want, &acq->by_want, want_hash(acqs, want));
	acqs->n++;
	kick(acqs);
	return acq;
}

static int hold(struct kipsec_acquires *acqs, struct kipsec_acquire *acq,
		struct sk_buff *skb)
{
	if (acq->refused)
		return -EHOSTUNREACH;
	if (!skb)
		return 0;
	if (skb_queue_len(&acq->held) >= MAX_HELD ||
	    acqs->bytes + skb->truesize > MAX_BYTES || !skb_dst_force(skb))
		return -ENOBUFS;
	acqs->bytes += skb->truesize;
	__skb_queue_tail(&acq->held, skb);
	return 0;
}

int kipsec_acquire(struct kipsec_net *kn, const struct kipsec_sa_want *want,
		   u32 policy, u32 priority, struct sk_buff *skb)
{
	struct kipsec_acquires *acqs = kn->acquires;
	struct kipsec_acquire *acq;
	int err = -ENOBUFS;

	spin_lock(&acqs->lock);
	acq = find(acqs, want) ?: add(acqs, want, policy, priority);
	if (acq)
		err = hold(acqs, acq, skb);
	spin_unlock(&acqs->lock);
	return err;
}

/* --- answers ------------------------------------------------------------- */

static bool answers(const struct kipsec_acquire *acq, const struct kipsec_sa *sa)
{
	const struct kipsec_sa_want *want = &acq->want;

	if (want->proto != sa->id.proto || want->family != sa->id.family ||
	    !kipsec_addr_equal(&want->dst, &sa->id.dst, want->family))
		return false;
	if (sa->seq == acq->seq)
		return true;
	return (!sa->mode || sa->mode == want->mode) &&
	       (!want->reqid || want->reqid == sa->reqid) &&
	       kipsec_addr_equal(&want->src, &sa->src, want->family);
}

void kipsec_acquire_done(struct kipsec_net *kn, const struct kipsec_sa *sa)
{
	struct kipsec_acquires *acqs = kn->acquires;
	struct kipsec_acquire *acq;

	lockdep_assert_held(&kn->cfg);
	spin_lock_bh(&acqs->lock);
	list_for_each_entry(acq, &acqs->list, in_list) {
		if (!answers(acq, sa))
			continue;
		acq->answered = true;
		kick(acqs);
	}
	spin_unlock_bh(&acqs->lock);
}

void kipsec_acquire_forget(struct kipsec_net *kn, u32 policy, u8 proto)
{
	struct kipsec_acquires *acqs = kn->acquires;
	struct kipsec_acquire *acq, *next;
	struct sk_buff_head held;

	__skb_queue_head_init(&held);
	spin_lock_bh(&acqs->lock);
	list_for_each_entry_safe(acq, next, &acqs->list, in_list) {
		if ((!policy || acq->policy == policy) &&
		    (!proto || acq->want.proto == proto))
			end_waiting(acqs, acq, &held);
	}
	spin_unlock_bh(&acqs->lock);
	drop_all(kn, &held);
}

void kipsec_acquire_refuse(struct kipsec_net *kn, u32 seq)
{
	struct kipsec_acquires *acqs = kn->acquires;
	struct kipsec_acquire *acq;
	struct sk_buff_head held;

	lockdep_assert_held(&kn->cfg);
	__skb_queue_head_init(&held);
	spin_lock_bh(&acqs->lock);
	list_for_each_entry(acq, &acqs->list, in_list) {
		if (acq->seq != seq)
			continue;
		acq->refused = true;
		take_held(acqs, acq, &held);
		break;
	}
	spin_unlock_bh(&acqs->lock);
	drop_all(kn, &held);
}

/* --- the worker ---------------------------------------------------------- */

static struct kipsec_acquire *first_to_do(struct kipsec_acquires *acqs)
{
	struct kipsec_acquire *acq, *found = NULL;

	spin_lock_bh(&acqs->lock);
	list_for_each_entry(acq, &acqs->list, in_list) {
		if (!acq->told || acq->answered) {
			found = acq;
			break;
		}
	}
	spin_unlock_bh(&acqs->lock);
	return found;
}

/* Has the SA come between the packet's search and its question? Then all is well. */
static bool come_meanwhile(struct kipsec_net *kn, const struct kipsec_acquire *acq)
{
	bool come;

	rcu_read_lock();
	come = kipsec_sad_search(kn, &acq->want);
	rcu_read_unlock();
	return come;
}

/* Gives whoever waited, whose SA has come. */
static void answer(struct kipsec_acquires *acqs, struct kipsec_acquire *acq,
		   struct sk_buff_head *held)
{
	spin_lock_bh(&acqs->lock);
	end_waiting(acqs, acq, held);
	spin_unlock_bh(&acqs->lock);
}

static void ask(struct kipsec_net *kn, struct kipsec_acquire *acq)
{
	acq->told = true;
	kipsec_deadline_set(kn, &acq->deadline, kipsec_now() +
			    READ_ONCE(kn->knobs.larval_lifetime));
	tell(kn, acq);
}

/* What has lost its policy meanwhile goes nowhere: it would go in clear. */
static void acquire_work(struct work_struct *work)
{
	struct kipsec_acquires *acqs = container_of(work, struct kipsec_acquires,
						    work);
	struct kipsec_net *kn = acqs->kn;
	struct sk_buff_head ready, lost;
	struct kipsec_acquire *acq;

	__skb_queue_head_init(&ready);
	__skb_queue_head_init(&lost);
	mutex_lock(&kn->cfg);
	while ((acq = first_to_do(acqs))) {
		if (!acq->answered && !come_meanwhile(kn, acq))
			ask(kn, acq);
		else if (kipsec_spd_find_id(kn, acq->policy))
			answer(acqs, acq, &ready);
		else
			answer(acqs, acq, &lost);
	}
	drop_all(kn, &lost);
	send_all(kn, &ready);
	mutex_unlock(&kn->cfg);
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_acquire_init(struct kipsec_net *kn)
{
	struct kipsec_acquires *acqs = kzalloc(sizeof(*acqs), GFP_KERNEL);

	if (!acqs)
		return -ENOMEM;
	acqs->kn = kn;
	spin_lock_init(&acqs->lock);
	INIT_LIST_HEAD(&acqs->list);
	hash_init(acqs->by_want);
	acqs->seed = get_random_u32();
	acqs->last_seq = get_random_u32();
	INIT_WORK(&acqs->work, acquire_work);
	kn->acquires = acqs;
	return 0;
}

void kipsec_acquire_stop(struct kipsec_net *kn)
{
	struct kipsec_acquires *acqs = kn->acquires;

	spin_lock_bh(&acqs->lock);
	acqs->stopped = true;
	spin_unlock_bh(&acqs->lock);
	cancel_work_sync(&acqs->work);
}

void kipsec_acquire_exit(struct kipsec_net *kn)
{
	struct kipsec_acquires *acqs = kn->acquires;

	mutex_lock(&kn->cfg);
	kipsec_acquire_forget(kn, 0, 0);
	mutex_unlock(&kn->cfg);
	kn->acquires = NULL;
	kfree(acqs);
}
