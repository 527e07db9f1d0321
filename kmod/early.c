// SPDX-License-Identifier: GPL-2.0
/*
 * early.c - packets that come before their SA is ready (floor 4).
 *
 * Each packet says itself which SA it is for. So the worker just sends all that
 * wait the way that they came: those whose SA is still larval are held again, those
 * whose SA has gone are dropped. It does so when an SA was completed, and now and
 * then, for larval SAs end in many ways.
 *
 * Managers complete the SA by which they receive first. What comes in before they
 * add the SA back, too, is answered by asking for one more pair of SAs; so it waits
 * for that also, but not for long, as it may never come.
 *
 * Who has overheard an SPI can fill the queue, which is short; packets are believed
 * no earlier than others, when their ICV was checked.
 *
 * Locking: the queue's own lock, which the data path takes for such packets only.
 */
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "early.h"
#include "input.h"
#include "sad.h"
#include "stats.h"

#define MAX_HELD	256	/* packets of a namespace */
#define MAX_OF_SA	16	/* of them, of one SA */
#define LOOK_AGAIN	(HZ / 4)
#define A_MOMENT	(HZ / 50)
#define LONG		(2 * HZ)

/**
 * struct kipsec_early - of a namespace
 * @kn: the namespace
 * @held: packets, in the order in which they came
 * @stopped: no more are held; under the lock of @held
 * @work: sends them on
 * @latest: when, in jiffies, though SA after SA is completed; under the lock of @held
 */
struct kipsec_early {
	struct kipsec_net	*kn;
	struct sk_buff_head	held;
	bool			stopped;
	struct delayed_work	work;
	unsigned long		latest;
};

/**
 * struct early_cb - what a packet that waits remembers
 * @header: what the stack knows of its IP header, for us later
 * @since: when it came, in jiffies
 * @ifindex: the device that brought it, which may go meanwhile
 * @spi: of its SA
 * @proto: IPPROTO_*
 * @encap: type of its encapsulation, 0 none
 */
struct early_cb {
	union {
		struct inet_skb_parm	ip4;
		struct inet6_skb_parm	ip6;
	} header;
	unsigned long			since;
	int				ifindex;
	__be32				spi;
	u8				proto;
	u8				encap;
};

static struct early_cb *early_cb(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct early_cb) > sizeof(skb->cb));
	return (struct early_cb *)skb->cb;
}

static bool room(const struct sk_buff_head *held, __be32 spi)
{
	const struct sk_buff *skb;
	unsigned int n = 0;

	if (skb_queue_len(held) >= MAX_HELD)
		return false;
	skb_queue_walk(held, skb)
		n += early_cb(skb)->spi == spi;
	return n < MAX_OF_SA;
}

static void look_again(struct kipsec_early *early)
{
	if (schedule_delayed_work(&early->work, LOOK_AGAIN))
		early->latest = jiffies + LOOK_AGAIN;
}

bool kipsec_early_hold(struct kipsec_net *kn, const struct kipsec_sa *sa,
		       struct sk_buff *skb, int encap)
{
	struct kipsec_early *early = kn->early;
	bool taken;

	/* Nothing that others wait for, or that is valid for now only. */
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	early_cb(skb)->since = jiffies;
	early_cb(skb)->ifindex = skb->dev->ifindex;
	early_cb(skb)->spi = sa->id.spi;
	early_cb(skb)->proto = sa->id.proto;
	early_cb(skb)->encap = encap;
	spin_lock(&early->held.lock);
	taken = !early->stopped && room(&early->held, sa->id.spi);
	if (taken) {
		skb->dev = NULL;
		__skb_queue_tail(&early->held, skb);
		look_again(early);
	}
	spin_unlock(&early->held.lock);
	if (taken)
		kipsec_count(kn, KIPSEC_COUNT_IN_EARLY);
	return taken;
}

void kipsec_early_ready(struct kipsec_net *kn, bool successor)
{
	struct kipsec_early *early = kn->early;
	unsigned long delay = successor ? 0 : A_MOMENT;

	spin_lock_bh(&early->held.lock);
	if (!early->stopped && !skb_queue_empty(&early->held) &&
	    time_before(jiffies + delay, early->latest))
		mod_delayed_work(system_wq, &early->work, delay);
	spin_unlock_bh(&early->held.lock);
}

static bool too_early(const struct kipsec_sa *sa, const struct sk_buff *skb)
{
	if (READ_ONCE(sa->state) == KIPSEC_SA_LARVAL)
		return true;
	/* Is there an SA back? */
	return time_before(jiffies, early_cb(skb)->since + LONG) &&
	       !kipsec_sad_like(sa, true);
}

/* False: it has to wait on. */
static bool come_in(struct kipsec_net *kn, struct sk_buff *skb)
{
	const struct early_cb *cb = early_cb(skb);
	struct kipsec_sa *sa = kipsec_input_sa(kn, skb, 0, cb->proto);

	if (sa && too_early(sa, skb))
		return false;
	skb->dev = dev_get_by_index_rcu(kn->net, cb->ifindex);
	if (sa && skb->dev)
		kipsec_input_protected(kn, sa, skb, cb->encap);
	else
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_SA_STATE, NULL, NULL);
	return true;
}

/* In front of what came meanwhile. */
static void put_back(struct kipsec_early *early, struct sk_buff_head *queue)
{
	if (skb_queue_empty(queue))
		return;
	spin_lock_bh(&early->held.lock);
	skb_queue_splice_init(queue, &early->held);
	if (!early->stopped)
		look_again(early);
	spin_unlock_bh(&early->held.lock);
}

static void early_work(struct work_struct *work)
{
	struct kipsec_early *early = container_of(to_delayed_work(work),
						  struct kipsec_early, work);
	struct sk_buff_head all, again;
	struct sk_buff *skb;

	__skb_queue_head_init(&all);
	__skb_queue_head_init(&again);
	spin_lock_bh(&early->held.lock);
	skb_queue_splice_tail_init(&early->held, &all);
	spin_unlock_bh(&early->held.lock);
	while ((skb = __skb_dequeue(&all))) {
		rcu_read_lock();
		local_bh_disable();
		if (!come_in(early->kn, skb))
			__skb_queue_tail(&again, skb);
		local_bh_enable();
		rcu_read_unlock();
		cond_resched();
	}
	put_back(early, &again);
}

int kipsec_early_init(struct kipsec_net *kn)
{
	struct kipsec_early *early = kzalloc(sizeof(*early), GFP_KERNEL);

	if (!early)
		return -ENOMEM;
	early->kn = kn;
	skb_queue_head_init(&early->held);
	INIT_DELAYED_WORK(&early->work, early_work);
	kn->early = early;
	return 0;
}

void kipsec_early_stop(struct kipsec_net *kn)
{
	struct kipsec_early *early = kn->early;
	struct sk_buff *skb;

	spin_lock_bh(&early->held.lock);
	early->stopped = true;
	spin_unlock_bh(&early->held.lock);
	cancel_delayed_work_sync(&early->work);
	while ((skb = skb_dequeue(&early->held)))
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_SA_STATE, NULL, NULL);
}

void kipsec_early_exit(struct kipsec_net *kn)
{
	kfree(kn->early);
	kn->early = NULL;
}
