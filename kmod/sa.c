// SPDX-License-Identifier: GPL-2.0
/*
 * sa.c - the life of one security association: birth, limits, death (floor 2).
 * Who may touch what is the essay at the top of sad.c.
 */
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/dst.h>
#include <net/xfrm.h>

#include "sad_impl.h"
#include "xform.h"

static struct workqueue_struct *free_wq;
static struct kmem_cache *sa_cache;	/* kmalloc() would add three fifths */
static const struct kipsec_sad_events *events;

/* --- birth and death ----------------------------------------------------- */

/* The tag outlives the SA in packets that are still about; it says nothing. */
static void tag_free(struct skb_ext *tag)
{
	struct sec_path *sp;

	if (!tag)
		return;
	sp = (void *)tag + (tag->offset[SKB_EXT_SEC_PATH] << 3);
	sp->xvec[0]->km.state = XFRM_STATE_DEAD;
	__skb_ext_put(tag);
}

void kipsec_way_free(struct kipsec_way *way)
{
	if (!way)
		return;
	dst_release(way->dst);	/* itself freed after a grace period */
	kfree_rcu(way, rcu);
}

/* Requests that ciphers have yet to finish may put a route back; so exchange. */
void kipsec_sa_forget_places(struct kipsec_sa *sa)
{
	tag_free(unrcu_pointer(xchg(&sa->tag, NULL)));
	dst_release(unrcu_pointer(xchg(&sa->dst, NULL)));
	dst_release(unrcu_pointer(xchg(&sa->in_dst, NULL)));
	kipsec_way_free(unrcu_pointer(xchg(&sa->way, NULL)));
	sa->route_mtu = 0;
	sa->pmtu = 0;
	sa->pmtu_until = 0;
}

static void sa_free(struct kipsec_sa *sa)
{
	struct kipsec_sad *sad = sa->net->sad;

	/*
	 * Nobody is left: it left every table before its last reference went,
	 * a grace period has passed since, and so have the requests that were
	 * in the ciphers' hands.
	 */
	if (sa->xf)
		sa->xf->destroy(sa);
	kipsec_sa_forget_places(sa);
	kfree(sa->replay);
	kfree_sensitive(sa->auth);
	kfree_sensitive(sa->enc);
	kfree(sa->driver);
	kmem_cache_free(sa_cache, sa);
	/* kipsec_sad_exit() waits for us before it frees @sad. */
	rcu_read_lock();
	if (atomic_dec_and_test(&sad->live))
		wake_up(&sad->gone);
	rcu_read_unlock();
}

static void sa_landed_work(struct work_struct *work)
{
	sa_free(container_of(to_rcu_work(work), struct kipsec_sa, free_work));
}

void kipsec_sa_land(struct kipsec_sa *sa)
{
	/* Can only be the last one after sa_free_work() has begun. */
	if (likely(!atomic_dec_and_test(&sa->inflight)))
		return;
	/* The packet that has just landed is still on its way, with us at hand. */
	INIT_RCU_WORK(&sa->free_work, sa_landed_work);
	queue_rcu_work(free_wq, &sa->free_work);
}

/*
 * A grace period after the last reference: who took off has done so by now. That
 * nobody is left does not say that nobody has landed in this moment.
 */
static void sa_free_work(struct work_struct *work)
{
	kipsec_sa_land(container_of(to_rcu_work(work), struct kipsec_sa,
				    free_work));
}

void kipsec_sa_put(struct kipsec_sa *sa)
{
	if (refcount_dec_and_test(&sa->refs))
		queue_rcu_work(free_wq, &sa->free_work);
}

static void sa_due(struct kipsec_net *kn, struct kipsec_deadline *d);

struct kipsec_sa *kipsec_sa_alloc(struct kipsec_net *kn)
{
	struct kipsec_sa *sa = kmem_cache_zalloc(sa_cache, GFP_KERNEL);

	if (!sa)
		return NULL;
	sa->net = kn;
	sa->cpu = -1;
	refcount_set(&sa->refs, 1);
	atomic_set(&sa->inflight, 1);
	spin_lock_init(&sa->lock);
	INIT_RCU_WORK(&sa->free_work, sa_free_work);
	INIT_LIST_HEAD(&sa->in_group);
	INIT_LIST_HEAD(&sa->in_any);
	kipsec_deadline_init(&sa->deadline, sa_due);
	sa->created = kipsec_now();
	sa->created_real = ktime_get_real_seconds();
	atomic_inc(&kn->sad->live);
	return sa;
}

/* --- limits -------------------------------------------------------------- */

enum kipsec_life kipsec_sa_judge(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	enum kipsec_life by_time, by_use;
	u64 packets, bytes, next;

	spin_lock_bh(&sa->lock);
	packets = sa->ipackets;
	bytes = sa->ibytes;
	spin_unlock_bh(&sa->lock);
	packets += kipsec_sa_sent(sa);
	bytes += atomic64_read(&sa->obytes);
	by_use = kipsec_lifetime_by_use(&sa->lifetime, packets, bytes);
	by_time = kipsec_lifetime_by_time(&sa->lifetime, sa->created,
					  READ_ONCE(sa->first_used_boot),
					  kipsec_now(), sa->soft_told, &next);
	kipsec_deadline_set(kn, &sa->deadline, next);
	return max(by_time, by_use);
}

/* Tell key managers where the peer is now, if they do not know. */
static void sa_tell_moved(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	struct kipsec_moved to;

	spin_lock_bh(&sa->lock);
	to = sa->moved;
	sa->moved.news = false;
	spin_unlock_bh(&sa->lock);
	if (to.news && events)
		events->moved(kn, sa, &to);
}

/* Act on what the limits say now. */
static void sa_review(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	enum kipsec_life life;

	lockdep_assert_held(&kn->cfg);
	if (!sa->listed)
		return;
	if (sa->natt.type)
		sa_tell_moved(kn, sa);
	life = kipsec_sa_judge(kn, sa);
	if (READ_ONCE(sa->state) == KIPSEC_SA_DEAD)
		life = KIPSEC_LIFE_HARD;	/* ended by the data path */
	if (life == KIPSEC_LIFE_HARD) {
		refcount_inc(&sa->refs);
		kipsec_sad_remove(kn, sa);
		if (events)
			events->expired(kn, sa, true);
		kipsec_sa_put(sa);
	} else if (life == KIPSEC_LIFE_SOFT && !sa->soft_told &&
		   sa->state != KIPSEC_SA_LARVAL) {
		sa->soft_told = true;
		WRITE_ONCE(sa->state, KIPSEC_SA_DYING);
		kipsec_sad_changed(kn);
		kipsec_sa_judge(kn, sa);	/* the hard limit is next */
		if (events)
			events->expired(kn, sa, false);
	}
}

static void sa_due(struct kipsec_net *kn, struct kipsec_deadline *d)
{
	sa_review(kn, container_of(d, struct kipsec_sa, deadline));
}

void kipsec_sad_poll(struct kipsec_net *kn)
{
	struct llist_node *list = llist_del_all(&kn->sad->events);
	struct kipsec_sa *sa, *next;

	llist_for_each_entry_safe(sa, next, list, event) {
		atomic_set_release(&sa->event_pending, 0);
		sa_review(kn, sa);
		kipsec_sa_put(sa);
	}
}

static void sa_event(struct kipsec_sa *sa)
{
	if (atomic_xchg(&sa->event_pending, 1))
		return;
	if (!kipsec_sa_hold_rcu(sa))
		return;		/* it is leaving; nothing to report */
	llist_add(&sa->event, &sa->net->sad->events);
	kipsec_expire_kick(sa->net);
}

void kipsec_sa_used_slow(struct kipsec_sa *sa)
{
	u64 now = ktime_get_real_seconds();

	WRITE_ONCE(sa->used_tick, (u32)jiffies);
	WRITE_ONCE(sa->last_used, now);
	if (READ_ONCE(sa->first_used))
		return;
	WRITE_ONCE(sa->first_used_boot, kipsec_now());
	WRITE_ONCE(sa->first_used, now);
	if (sa->lifetime.hard.usetime || sa->lifetime.soft.usetime)
		sa_event(sa);
}

void kipsec_sa_moved(struct kipsec_sa *sa, const union kipsec_addr *addr,
		     __be16 port)
{
	u64 now = kipsec_now();
	bool news;

	spin_lock(&sa->lock);
	news = sa->moved.when != now;
	if (news)
		sa->moved = (struct kipsec_moved){ *addr, port, true, now };
	spin_unlock(&sa->lock);
	if (news)
		sa_event(sa);
}

void kipsec_sa_crossed(struct kipsec_sa *sa, enum kipsec_life life)
{
	if (life == KIPSEC_LIFE_HARD)
		WRITE_ONCE(sa->state, KIPSEC_SA_DEAD);
	else if (READ_ONCE(sa->soft_told))
		return;
	sa_event(sa);
}

void kipsec_sa_set_lifetime(struct kipsec_sa *sa,
			    const struct kipsec_lifetime *lt)
{
	lockdep_assert_held(&sa->net->cfg);
	sa->lifetime = *lt;
	sa->soft_told = false;
	WRITE_ONCE(sa->counted, kipsec_lifetime_counted(lt));
	if (!sa->listed)
		return;
	if (sa->state == KIPSEC_SA_DYING) {
		WRITE_ONCE(sa->state, KIPSEC_SA_MATURE);
		kipsec_sad_changed(sa->net);
	}
	/*
	 * Limits that are already behind are acted upon by the worker, so that
	 * the answer to the request that set them comes before the expiry.
	 */
	kipsec_sa_judge(sa->net, sa);
	rcu_read_lock();
	sa_event(sa);
	rcu_read_unlock();
}

/* --- once per module load ------------------------------------------------- */

void kipsec_sad_set_events(const struct kipsec_sad_events *ev)
{
	events = ev;
}

int kipsec_sad_start(void)
{
	sa_cache = KMEM_CACHE(kipsec_sa, 0);
	if (!sa_cache)
		return -ENOMEM;
	free_wq = alloc_workqueue("kipsec", WQ_UNBOUND, 0);
	if (free_wq)
		return 0;
	kmem_cache_destroy(sa_cache);
	return -ENOMEM;
}

void kipsec_sad_stop(void)
{
	destroy_workqueue(free_wq);
	kmem_cache_destroy(sa_cache);
}
