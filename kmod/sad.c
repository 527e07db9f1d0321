// SPDX-License-Identifier: GPL-2.0
/*
 * sad.c - the security association data base (floor 2).
 *
 * Locking and life
 *
 * Writers. Everything that changes the data base (PF_KEY requests, the expiry
 * worker, namespace exit) holds kipsec_net.cfg, a mutex, in process context.
 * The data path never writes: when it finds that an SA crossed a limit it puts
 * the SA on a lock-free list (sad->events) and wakes the worker.
 *
 * Readers. Look-ups run under RCU and nothing else. Inbound, by_id finds an SA
 * by (destination, SPI, protocol). Outbound, groups holds for each combination
 * that a policy can ask for (addresses, protocol, mode, reqid) the list of its
 * SAs, newest first, so that 10,000 SAs of one pair cost what one costs. An SA
 * with a reqid stands in a second group that ignores reqids, for policies
 * without one.
 *
 * Remembered answers. A policy request remembers the SA it found, together with
 * kn->sa_gen. Every change that could alter an answer (an SA comes, goes, or
 * starts dying) raises it under cache_lock; an answer is written under the same
 * lock and only if gen still is what it was before the look-up. Hence a
 * remembered SA whose gen agrees was in the data base after the last removal,
 * and lives at least until the reader's RCU section ends. In the same way each
 * CPU remembers the SA that it found last by its id: a packet's SA is looked for
 * by the hook and again by the protocol's handler.
 *
 * Life. The data base holds one reference; whoever keeps an SA beyond an RCU
 * section (the events list, an event being sent) takes another; packets that a
 * cipher has not finished are counted apart, sa->inflight, so that the others
 * cost nothing. There is one way out, kipsec_sad_remove(): state DEAD, gone from
 * every table, gen raised, reference dropped. With the last reference the SA
 * waits for a grace period and for the packets in flight, and is freed on a work
 * queue of ours, since drivers may sleep when they free a key. sad->live counts
 * SAs that are not yet freed; a namespace waits for 0 before it goes.
 *
 * Counters of output are atomics on the cache line of the sequence number, which
 * the sender has to own anyway; those of input change under the SA's lock, which
 * the replay window needs anyway. Neither needs per-CPU memory.
 */
#include <linux/hash.h>
#include <linux/rcupdate_wait.h>
#include <linux/slab.h>
#include <net/dst.h>

#include "hash.h"
#include "sad_impl.h"

/*
 * A peer may have a say in all of its address, so both factors are secret. Out
 * of line, the product does not burden IPv4 with a larger stack frame.
 */
static noinline u32 ip6_hash(const union kipsec_addr *addr, u32 seed)
{
	const u32 *w = (__force const u32 *)addr->w;
	u64 secret = seed * GOLDEN_RATIO_64;

	return kipsec_fold_mul((w[0] | (u64)w[1] << 32) ^ secret,
			       (w[2] | (u64)w[3] << 32) ^ ~secret);
}

static u32 id_hash(const void *data, u32 len, u32 seed)
{
	const struct kipsec_sa_id *id = data;
	u32 dst = (__force u32)id->dst.w[0];

	if (id->family == AF_INET6)
		dst = ip6_hash(&id->dst, seed);
	/* SPIs are chosen by this host; one multiplication mixes enough. */
	return hash_64((u64)(dst ^ seed) << 32 |
		       ((__force u32)id->spi ^ id->proto), 32);
}

static u32 id_obj_hash(const void *obj, u32 len, u32 seed)
{
	const struct kipsec_sa *sa = obj;

	return id_hash(&sa->id, len, seed);
}

static bool id_equal(const struct kipsec_sa_id *a, const struct kipsec_sa_id *b)
{
	return a->spi == b->spi && a->proto == b->proto &&
	       a->family == b->family &&
	       kipsec_addr_equal(&a->dst, &b->dst, a->family);
}

static int id_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct kipsec_sa *sa = obj;

	return !id_equal(arg->key, &sa->id);
}

static const struct rhashtable_params id_params = {
	.head_offset	= offsetof(struct kipsec_sa, by_id),
	.key_len	= sizeof(struct kipsec_sa_id),
	.hashfn		= id_hash,
	.obj_hashfn	= id_obj_hash,
	.obj_cmpfn	= id_cmp,
	.automatic_shrinking = true,
};

static const struct rhashtable_params spi_params = {
	.head_offset	= offsetof(struct kipsec_sa, by_spi),
	.key_offset	= offsetof(struct kipsec_sa, id.spi),
	.key_len	= sizeof(__be32),
	.automatic_shrinking = true,
};

void kipsec_sad_changed(struct kipsec_net *kn)
{
	spin_lock_bh(&kn->sad->cache_lock);
	/* Who sees it sees the tables without what has left them. */
	smp_store_release(&kn->sa_gen, kn->sa_gen + 1);
	spin_unlock_bh(&kn->sad->cache_lock);
}

void kipsec_sa_remember(struct kipsec_net *kn, struct kipsec_sa_cache *cache,
			struct kipsec_sa *sa, unsigned long gen)
{
	struct kipsec_sad *sad = kn->sad;

	if (!spin_trylock(&sad->cache_lock))
		return;
	/* Of a packet that a cipher had for long it may have gone before. */
	if (kn->sa_gen == gen && kipsec_sa_usable(sa)) {
		rcu_assign_pointer(cache->sa, sa);
		/* Pairs with the acquire in kipsec_sa_recall(). */
		smp_store_release(&cache->gen, gen);
	}
	spin_unlock(&sad->cache_lock);
}

/* --- coming and going ---------------------------------------------------- */

static int sad_link(struct kipsec_sad *sad, struct kipsec_sa *sa)
{
	int err;

	sa->serial = ++sad->last_serial;
	err = xa_insert(&sad->by_serial, sa->serial, sa, GFP_KERNEL);
	if (err)
		return err;
	err = rhltable_insert(&sad->by_spi, &sa->by_spi, spi_params);
	if (err)
		goto no_spi;
	if (sa->state == KIPSEC_SA_LARVAL)
		list_add(&sa->in_group, &sad->larvals);
	else
		err = kipsec_sad_join(sad, sa);
	if (err)
		goto no_group;
	return 0;

no_group:
	rhltable_remove(&sad->by_spi, &sa->by_spi, spi_params);
no_spi:
	xa_erase(&sad->by_serial, sa->serial);
	return err;
}

static void sad_unlink(struct kipsec_sad *sad, struct kipsec_sa *sa)
{
	kipsec_sad_part(sad, sa);
	rhltable_remove(&sad->by_spi, &sa->by_spi, spi_params);
	xa_erase(&sad->by_serial, sa->serial);
}

/* It is in the tables: count it and start its clock. */
static void sad_enter(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	refcount_inc(&sa->refs);
	sa->listed = true;
	kn->sad->count++;
	kipsec_sad_changed(kn);
	/* It may have taken so long to make that a limit is behind already. */
	if (kipsec_sa_judge(kn, sa) != KIPSEC_LIFE_FRESH)
		kipsec_deadline_set(kn, &sa->deadline, kipsec_now());
}

/* It is out of the tables: no reader finds it any more. */
static void sad_leave(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	WRITE_ONCE(sa->state, KIPSEC_SA_DEAD);
	sa->listed = false;
	kn->sad->count--;
	kipsec_deadline_set(kn, &sa->deadline, 0);
	kipsec_sad_changed(kn);
	kipsec_sa_put(sa);
}

int kipsec_sad_insert(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	struct kipsec_sad *sad = kn->sad;
	int err;

	lockdep_assert_held(&kn->cfg);
	if (!sa->id.spi)
		return -EINVAL;
	if (kipsec_sad_find(kn, &sa->id))
		return -EEXIST;
	err = sad_link(sad, sa);
	if (err)
		return err;
	err = rhashtable_insert_fast(&sad->by_id, &sa->by_id, id_params);
	if (err) {
		sad_unlink(sad, sa);
		kipsec_sad_changed(kn);	/* senders may have found it */
		return err;
	}
	sad_enter(kn, sa);
	return 0;
}

int kipsec_sad_replace(struct kipsec_net *kn, struct kipsec_sa *old,
		       struct kipsec_sa *new)
{
	struct kipsec_sad *sad = kn->sad;
	int err;

	lockdep_assert_held(&kn->cfg);
	if (WARN_ON(!old->listed || !id_equal(&old->id, &new->id)))
		return -EINVAL;
	err = sad_link(sad, new);
	if (err)
		return err;
	err = rhashtable_replace_fast(&sad->by_id, &old->by_id, &new->by_id,
				      id_params);
	if (err) {
		sad_unlink(sad, new);
		kipsec_sad_changed(kn);
		return err;
	}
	sad_enter(kn, new);
	sad_unlink(sad, old);
	sad_leave(kn, old);
	return 0;
}

void kipsec_sad_remove(struct kipsec_net *kn, struct kipsec_sa *sa)
{
	struct kipsec_sad *sad = kn->sad;

	lockdep_assert_held(&kn->cfg);
	if (WARN_ON(!sa->listed))
		return;
	rhashtable_remove_fast(&sad->by_id, &sa->by_id, id_params);
	sad_unlink(sad, sa);
	sad_leave(kn, sa);
}

/* Nobody has the SA in hands any more, nor have ciphers packets of it. */
static void sa_settle(struct kipsec_sa *sa)
{
	synchronize_rcu();
	while (atomic_read(&sa->inflight) > 1)
		usleep_range(1000, 2000);
	synchronize_rcu();
}

/*
 * The SA stays the same, with its keys, its numbers and all that it has counted:
 * two SAs with the same key would use numbers twice. So it is taken out until nobody
 * works with it, and packets wait or are dropped as if it were not there.
 */
int kipsec_sad_move(struct kipsec_net *kn, struct kipsec_sa *sa,
		    const union kipsec_addr *src, const union kipsec_addr *dst,
		    const struct kipsec_natt *natt)
{
	struct kipsec_sad *sad = kn->sad;
	struct kipsec_sa_id id = sa->id;
	struct kipsec_sa *other;
	int err;

	lockdep_assert_held(&kn->cfg);
	id.dst = *dst;
	other = kipsec_sad_find(kn, &id);
	if (other && other != sa)
		return -EEXIST;
	rhashtable_remove_fast(&sad->by_id, &sa->by_id, id_params);
	kipsec_sad_part(sad, sa);
	kipsec_sad_changed(kn);
	sa_settle(sa);

	sa->id = id;
	sa->src = *src;
	sa->natt = *natt;
	kipsec_sa_forget_places(sa);
	err = kipsec_sad_join(sad, sa);
	if (err)
		goto lost;
	err = rhashtable_insert_fast(&sad->by_id, &sa->by_id, id_params);
	if (err) {
		kipsec_sad_part(sad, sa);
		goto lost;
	}
	kipsec_sad_changed(kn);
	return 0;

lost:
	rhltable_remove(&sad->by_spi, &sa->by_spi, spi_params);
	xa_erase(&sad->by_serial, sa->serial);
	sad_leave(kn, sa);
	return err;
}

unsigned int kipsec_sad_flush(struct kipsec_net *kn, u8 proto)
{
	unsigned int n = 0;
	unsigned long serial;
	struct kipsec_sa *sa;

	lockdep_assert_held(&kn->cfg);
	xa_for_each(&kn->sad->by_serial, serial, sa) {
		if (proto && sa->id.proto != proto)
			continue;
		kipsec_sad_remove(kn, sa);
		n++;
		cond_resched();
	}
	return n;
}

/* --- finding ------------------------------------------------------------- */

struct kipsec_sa *kipsec_sad_lookup(struct kipsec_net *kn,
				    const struct kipsec_sa_id *id)
{
	struct kipsec_sa_last *last = kipsec_sa_last(kn);
	/* Pairs with the release in kipsec_sad_changed(). */
	unsigned long gen = smp_load_acquire(&kn->sa_gen);
	struct kipsec_sa *sa;

	sa = rhashtable_lookup(&kn->sad->by_id, id, id_params);
	if (sa && last) {
		last->sa = sa;
		last->gen = gen;
	}
	return sa;
}

struct kipsec_sa *kipsec_sad_find(struct kipsec_net *kn,
				  const struct kipsec_sa_id *id)
{
	lockdep_assert_held(&kn->cfg);
	return rhashtable_lookup_fast(&kn->sad->by_id, id, id_params);
}

struct kipsec_sa *kipsec_sad_find_larval(struct kipsec_net *kn, u32 seq,
					 u8 proto, u8 family,
					 const union kipsec_addr *dst)
{
	struct kipsec_sa *sa;

	lockdep_assert_held(&kn->cfg);
	list_for_each_entry(sa, &kn->sad->larvals, in_group)
		if (sa->seq == seq && sa->id.proto == proto &&
		    sa->id.family == family &&
		    kipsec_addr_equal(&sa->id.dst, dst, family))
			return sa;
	return NULL;
}

unsigned int kipsec_sad_find_spi(struct kipsec_net *kn, u8 proto, __be32 spi,
				 struct kipsec_sa **last)
{
	struct rhlist_head *list, *pos;
	struct kipsec_sa *sa;
	unsigned int n = 0;

	lockdep_assert_held(&kn->cfg);
	rcu_read_lock();
	list = rhltable_lookup(&kn->sad->by_spi, &spi, spi_params);
	rhl_for_each_entry_rcu(sa, pos, list, by_spi) {
		if (sa->id.proto != proto)
			continue;
		*last = sa;
		n++;
	}
	rcu_read_unlock();
	return n;
}

struct kipsec_sa *kipsec_sad_next(struct kipsec_net *kn, unsigned long serial,
				  u8 proto)
{
	struct kipsec_sa *sa;

	lockdep_assert_held(&kn->cfg);
	do {
		sa = xa_find_after(&kn->sad->by_serial, &serial, ULONG_MAX,
				   XA_PRESENT);
	} while (sa && proto && sa->id.proto != proto);
	return sa;
}

unsigned int kipsec_sad_count(struct kipsec_net *kn)
{
	return READ_ONCE(kn->sad->count);
}

void kipsec_sad_forget_routes(struct kipsec_net *kn,
			      const struct net_device *dev)
{
	unsigned long serial;
	struct kipsec_sa *sa;

	rcu_read_lock();
	xa_for_each(&kn->sad->by_serial, serial, sa) {
		struct kipsec_way *way;
		struct dst_entry *dst;

		way = rcu_dereference(sa->way);
		if (way && way->dst->dev == dev)
			kipsec_way_free(unrcu_pointer(xchg(&sa->way, NULL)));
		dst = rcu_dereference(sa->dst);
		if (dst && dst->dev != dev)
			dst = NULL;
		/* The sender may be replacing it; then the old one is his. */
		if (dst && unrcu_pointer(cmpxchg(&sa->dst, RCU_INITIALIZER(dst),
						 NULL)) == dst)
			dst_release(dst);
		cond_resched_rcu();
	}
	rcu_read_unlock();
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_sad_init(struct kipsec_net *kn)
{
	struct kipsec_sad *sad = kzalloc(sizeof(*sad), GFP_KERNEL);
	int err;

	if (!sad)
		return -ENOMEM;
	kn->sa_last = alloc_percpu(struct kipsec_sa_last);
	if (!kn->sa_last) {
		kfree(sad);
		return -ENOMEM;
	}
	kn->sa_gen = 1;
	spin_lock_init(&sad->cache_lock);
	INIT_LIST_HEAD(&sad->larvals);
	init_llist_head(&sad->events);
	init_waitqueue_head(&sad->gone);
	xa_init(&sad->by_serial);
	err = rhashtable_init(&sad->by_id, &id_params);
	if (err)
		goto no_id;
	err = kipsec_sad_groups_init(sad);
	if (err)
		goto no_groups;
	err = rhltable_init(&sad->by_spi, &spi_params);
	if (err)
		goto no_spi;
	kn->sad = sad;
	kipsec_expire_set_poll(kn, kipsec_sad_poll);
	return 0;

no_spi:
	rhashtable_destroy(&sad->groups);
no_groups:
	rhashtable_destroy(&sad->by_id);
no_id:
	free_percpu(kn->sa_last);
	kfree(sad);
	return err;
}

void kipsec_sad_exit(struct kipsec_net *kn)
{
	struct kipsec_sad *sad = kn->sad;
	struct kipsec_sa *sa, *next;

	mutex_lock(&kn->cfg);
	kipsec_sad_flush(kn, 0);
	mutex_unlock(&kn->cfg);
	/* The worker has been stopped; nobody adds to its list any more. */
	synchronize_rcu();
	llist_for_each_entry_safe(sa, next, llist_del_all(&sad->events), event)
		kipsec_sa_put(sa);
	/* Requests in crypto drivers end; then the last SA is freed. */
	wait_event(sad->gone, !atomic_read(&sad->live));
	/*
	 * A sender that found an SA may still be about to wake the worker,
	 * which is stopped, or to write a remembered answer: let it pass.
	 */
	synchronize_rcu();
	rhltable_destroy(&sad->by_spi);
	rhashtable_destroy(&sad->groups);
	rhashtable_destroy(&sad->by_id);
	xa_destroy(&sad->by_serial);
	kn->sad = NULL;
	free_percpu(kn->sa_last);
	kfree(sad);
}
