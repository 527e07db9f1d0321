/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sad.h - the security association data base (RFC 4301 section 4.4.2; floor 2).
 * The rules of locking and life are the essay at the top of sad.c.
 */
#ifndef _KIPSEC_SAD_H
#define _KIPSEC_SAD_H

#include <linux/percpu.h>
#include <linux/preempt.h>

#include "sa.h"

struct net_device;

/**
 * kipsec_sad_insert() - put an SA into the data base
 * @kn: the namespace, @cfg held
 * @sa: state LARVAL or MATURE; the data base takes its own reference
 *
 * Return: 0; -EEXIST (dst, spi, proto) is taken; -ENOMEM; -EINVAL SPI 0 (which
 * is refused here, once for all).
 */
int kipsec_sad_insert(struct kipsec_net *kn, struct kipsec_sa *sa);

/**
 * kipsec_sad_replace() - let @new take the place of the larval @old
 * @kn: the namespace, @cfg held
 * @old: in the data base
 * @new: with the same id; the data base takes its own reference
 *
 * No reader finds both or neither; @old becomes DEAD and leaves.
 *
 * Return: 0 or -ENOMEM (nothing changed).
 */
int kipsec_sad_replace(struct kipsec_net *kn, struct kipsec_sa *old,
		       struct kipsec_sa *new);

/**
 * kipsec_sad_remove() - the one way out of the data base
 * @kn: the namespace, @cfg held
 * @sa: in the data base
 *
 * Marks it DEAD, unlinks it everywhere, drops the data base's reference. The
 * caller may go on reading @sa only with a reference of its own.
 */
void kipsec_sad_remove(struct kipsec_net *kn, struct kipsec_sa *sa);

/**
 * kipsec_sad_lookup() - by id, for packets
 * @kn: the namespace
 * @id: what a packet shows
 *
 * Context: RCU read side.
 * Return: the SA in whatever state, larval included, or NULL.
 */
struct kipsec_sa *kipsec_sad_lookup(struct kipsec_net *kn,
				    const struct kipsec_sa_id *id);

/**
 * struct kipsec_sa_last - the SA that a CPU found last by its id
 * @sa: the SA
 * @gen: it is still there as long as kipsec_net.sa_gen is this
 */
struct kipsec_sa_last {
	struct kipsec_sa	*sa;
	unsigned long		gen;
};

/*
 * This CPU's memory; none for a packet that a netfilter queue has given back, for
 * it comes in process context, and two may then write at once.
 */
static inline struct kipsec_sa_last *kipsec_sa_last(const struct kipsec_net *kn)
{
	return likely(softirq_count()) ? this_cpu_ptr(kn->sa_last) : NULL;
}

/**
 * kipsec_sad_last() - what kipsec_sad_lookup() found last on this CPU
 * @kn: the namespace
 *
 * Context: as above.
 * Return: an SA that is in the data base, or NULL.
 */
static inline struct kipsec_sa *kipsec_sad_last(const struct kipsec_net *kn)
{
	const struct kipsec_sa_last *last = kipsec_sa_last(kn);

	return last && last->gen == READ_ONCE(kn->sa_gen) ? last->sa : NULL;
}

/**
 * kipsec_sad_find() - by id, for requests
 * @kn: the namespace, @cfg held
 * @id: address, SPI, protocol
 *
 * Return: the SA in whatever state, larval included, or NULL.
 */
struct kipsec_sa *kipsec_sad_find(struct kipsec_net *kn,
				  const struct kipsec_sa_id *id);

/**
 * kipsec_sad_find_larval() - a larval SA by the seq of its GETSPI or ACQUIRE
 * @kn: the namespace, @cfg held
 * @seq: of the message that made it
 * @proto: IPPROTO_*; a daemon may ask for several protocols under one seq
 * @family: of @dst
 * @dst: destination
 *
 * Return: the SA or NULL.
 */
struct kipsec_sa *kipsec_sad_find_larval(struct kipsec_net *kn, u32 seq,
					 u8 proto, u8 family,
					 const union kipsec_addr *dst);

/**
 * kipsec_sad_find_spi() - SAs with an SPI, whatever the destination
 * @kn: the namespace, @cfg held
 * @proto: IPPROTO_*
 * @spi: to ask for
 * @last: one of them; untouched if there is none
 *
 * Linear only in SAs that share the SPI.
 *
 * Return: how many.
 */
unsigned int kipsec_sad_find_spi(struct kipsec_net *kn, u8 proto, __be32 spi,
				 struct kipsec_sa **last);

/**
 * kipsec_sad_next() - dumps: the SA with the lowest serial above @serial
 * @kn: the namespace, @cfg held
 * @serial: of the SA dumped last, 0 at the start
 * @proto: IPPROTO_*, 0 any
 *
 * Return: the SA or NULL.
 */
struct kipsec_sa *kipsec_sad_next(struct kipsec_net *kn, unsigned long serial,
				  u8 proto);

/**
 * kipsec_sad_move() - an end of an SA has another address
 * @kn: the namespace, @cfg held; sleeps for a grace period
 * @sa: in the data base and not larval
 * @src: its source from now on
 * @dst: its destination, of the same family as before
 * @natt: its UDP encapsulation
 *
 * Return: 0; -EEXIST another SA is there (nothing changed); -ENOMEM, and the SA
 * is gone.
 */
int kipsec_sad_move(struct kipsec_net *kn, struct kipsec_sa *sa,
		    const union kipsec_addr *src, const union kipsec_addr *dst,
		    const struct kipsec_natt *natt);

/**
 * kipsec_sad_flush() - remove all SAs of @proto (0: of every protocol)
 * @kn: the namespace, @cfg held
 * @proto: IPPROTO_* or 0
 *
 * Return: how many went.
 */
unsigned int kipsec_sad_flush(struct kipsec_net *kn, u8 proto);

/** kipsec_sad_count() - SAs in the data base */
unsigned int kipsec_sad_count(struct kipsec_net *kn);

/**
 * struct kipsec_sad_events - calls upward, set once by the PF_KEY floor
 * @expired: an SA reached its soft or hard limit; @cfg held; after @hard the
 *	SA is already DEAD and out of the data base
 * @moved: an SA's peer came from @to; @cfg held
 */
struct kipsec_sad_events {
	void (*expired)(struct kipsec_net *kn, struct kipsec_sa *sa, bool hard);
	void (*moved)(struct kipsec_net *kn, struct kipsec_sa *sa,
		      const struct kipsec_moved *to);
};

void kipsec_sad_set_events(const struct kipsec_sad_events *ev);

/**
 * struct kipsec_sa_want - what a policy request asks for on output
 * @src: SA source: tunnel endpoint, or the packet's source
 * @dst: SA destination
 * @reqid: 0 prefers SAs without one and then takes any
 * @proto: IPPROTO_*; IPPROTO_IPIP finds SAs of IPComp that are for input only
 * @mode: KIPSEC_MODE_TRANSPORT or _TUNNEL; SAs of mode ANY serve both
 * @family: of the addresses
 * @zero: 0; 1 marks the groups that ignore the reqid (sad.c)
 */
struct kipsec_sa_want {
	union kipsec_addr	src;
	union kipsec_addr	dst;
	u32			reqid;
	u8			proto;
	u8			mode;
	u8			family;
	u8			zero;
};

/**
 * struct kipsec_sa_cache - a request's remembered answer
 * @gen: generation of the data base for which @sa holds
 * @sa: the SA, or NULL
 */
struct kipsec_sa_cache {
	unsigned long		gen;
	struct kipsec_sa __rcu	*sa;
};

/**
 * kipsec_sa_recall() - what was remembered and still holds
 * @kn: the namespace
 * @cache: where
 *
 * Context: RCU read side.
 * Return: an SA that is in the data base, usable or not, or NULL.
 */
static inline struct kipsec_sa *
kipsec_sa_recall(const struct kipsec_net *kn, const struct kipsec_sa_cache *cache)
{
	/* Pairs with kipsec_sa_remember(): an SA as new as the generation. */
	if (unlikely(smp_load_acquire(&cache->gen) != READ_ONCE(kn->sa_gen)))
		return NULL;
	return rcu_dereference(cache->sa);
}

/**
 * kipsec_sa_remember() - keep an answer for the next packet
 * @kn: the namespace
 * @cache: where
 * @sa: the answer
 * @gen: kn->sa_gen as it was before @sa was looked for
 *
 * Nothing happens if the data base has changed, or somebody else is at it.
 *
 * Context: RCU read side, BH off.
 */
void kipsec_sa_remember(struct kipsec_net *kn, struct kipsec_sa_cache *cache,
			struct kipsec_sa *sa, unsigned long gen);

/**
 * kipsec_sad_choose() - the SA for output, newest mature first
 * @kn: the namespace
 * @want: what is asked for
 * @cache: of the policy request; used and refreshed
 *
 * Never walks the SAs of a pair: one hash look-up, none if the cache holds. But if
 * some of them are bound to processors they are walked for each packet, and
 * nothing is remembered.
 *
 * Context: RCU read side, BH off.
 * Return: a usable SA, valid in this RCU section, or NULL.
 */
struct kipsec_sa *kipsec_sad_choose(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want,
				    struct kipsec_sa_cache *cache);

/**
 * kipsec_sad_search() - the same without a memory: at most four hash look-ups
 * @kn: the namespace
 * @want: what is asked for
 *
 * Context and answer: as kipsec_sad_choose().
 */
struct kipsec_sa *kipsec_sad_search(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want);

/**
 * kipsec_sad_like() - an SA for output that serves as another one does
 * @sa: the other one, in the data base or not; does not find itself if not usable
 * @back: between the same ends the other way; of any reqid
 *
 * Context and answer: as kipsec_sad_choose().
 */
struct kipsec_sa *kipsec_sad_like(const struct kipsec_sa *sa, bool back);

/** kipsec_sad_forget_routes() - drop every SA's cached route; @cfg not needed */
void kipsec_sad_forget_routes(struct kipsec_net *kn, const struct net_device *dev);

/** kipsec_sad_start() - once per module load: the work queue that frees SAs */
int kipsec_sad_start(void);
/** kipsec_sad_stop() - after the last namespace: waits for the last free */
void kipsec_sad_stop(void);

int kipsec_sad_init(struct kipsec_net *kn);
void kipsec_sad_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_SAD_H */
