/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sad.h - the security association data base (RFC 4301 section 4.4.2; floor 2).
 * The rules of locking and life are the essay at the top of sad.c.
 */
#ifndef _KIPSEC_SAD_H
#define _KIPSEC_SAD_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/llist.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "expire.h"
#include "kipsec.h"
#include "lifetime.h"
#include "replay.h"
#include "selector.h"

struct kipsec_alg;
struct kipsec_xform;
struct kipsec_policy;
struct dst_entry;
struct net_device;
struct skb_ext;

#define KIPSEC_MODE_ANY		0	/* IPSEC_MODE_ANY of PF_KEY */
#define KIPSEC_MODE_TRANSPORT	1
#define KIPSEC_MODE_TUNNEL	2

/** enum kipsec_sa_state - PF_KEY's states (SADB_SASTATE_*), same numbers */
enum kipsec_sa_state {
	KIPSEC_SA_LARVAL,	/* has an SPI, waits for its keys */
	KIPSEC_SA_MATURE,
	KIPSEC_SA_DYING,	/* soft limit reached; still usable */
	KIPSEC_SA_DEAD,		/* left, or about to leave, the data base */
};

/**
 * struct kipsec_sa_id - what an arriving packet shows of its SA
 * @dst: destination address
 * @spi: SPI in network order; IPComp: CPI in the low 16 bits
 * @proto: IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP
 * @family: of @dst
 * @zero: always 0
 */
struct kipsec_sa_id {
	union kipsec_addr	dst;
	__be32			spi;
	u8			proto;
	u8			family;
	u16			zero;
};

/**
 * struct kipsec_key - key material; freed with kfree_sensitive() only
 * @alg: the algorithm
 * @bits: length
 * @icvlen: bytes of ICV in each packet, the algorithm's own or others
 * @data: the bytes, salt or nonce last
 */
struct kipsec_key {
	const struct kipsec_alg	*alg;
	u16			bits;
	u8			icvlen;
	u8			data[];
};

/** struct kipsec_natt - UDP encapsulation of RFC 3948; type 0 is none */
struct kipsec_natt {
	u8	type;
	__be16	sport;
	__be16	dport;
};

/**
 * struct kipsec_moved - where a peer behind address translation is now
 * @addr: its address
 * @port: its UDP port
 * @news: key managers have not been told
 * @when: it was noticed, in seconds of the boot clock
 */
struct kipsec_moved {
	union kipsec_addr	addr;
	__be16			port;
	bool			news;
	u64			when;
};

struct kipsec_sa_group;

/**
 * struct kipsec_lead - what leads a packet on its way, besides addresses
 * @mark: its mark, of which routing rules may ask
 * @vrf: index of the VRF that it is in, 0 none
 */
struct kipsec_lead {
	u32	mark;
	int	vrf;
};

/**
 * struct kipsec_way - the route to the peer of packets with such a lead
 * @lead: which ones
 * @dst: the route, private as that of the SA
 * @cookie: what dst_check() wants to know of @dst
 * @mtu: that the route states, 0 none
 * @rcu: to free it
 */
struct kipsec_way {
	struct kipsec_lead	lead;
	struct dst_entry	*dst;
	u32			cookie;
	u32			mtu;
	struct rcu_head		rcu;
};

/** kipsec_way_free() - after a grace period; NULL is fine */
void kipsec_way_free(struct kipsec_way *way);

/**
 * struct kipsec_sa - one security association
 *
 * Tags: (c) constant once the SA is in the data base, (m) changed under
 * kipsec_net.cfg, (l) under @lock, (r) published by RCU, (a) atomic.
 *
 * @id: (c) the key of the inbound table; but for kipsec_sad_move()
 * @state: (m) enum kipsec_sa_state, read without a lock
 * @mode: (c) KIPSEC_MODE_*
 * @dir: (c) IPSEC_DIR_INBOUND, _OUTBOUND, or _ANY if nobody said
 * @counted: (m) @lifetime has limits by packets or bytes
 * @listed: (m) it stands in the data base
 * @esn: (c) sequence numbers have 64 bits (RFC 4304)
 * @replay_told: (c) a program of ours asked; dumps say all about the window
 * @flags: (c) SADB_SAFLAGS_* and SADB_X_EXT_* as given
 * @cpu: (c) processor that its output is bound to, -1 none
 * @xf: (c) the transform; NULL while larval
 * @xf_data: (c) the transform's own state, made by its init
 * @src: (c) source address; but for kipsec_sad_move()
 * @reqid: (c) what binds it to a policy request
 * @oseq: (a) last sequence number sent; without such numbers a mere count
 * @oseq_first: (c) what it was before the first packet
 * @obytes: (a) bytes of payload sent; shares the cache line of @oseq, which a
 *	sender owns anyway
 * @dst: (r) private copy of the route to the peer (route.c); NULL until needed
 * @way: (r) the same for packets with a mark or in a VRF, those of the last one
 * @dst_cookie: what dst_check() wants to know of @dst (route.c)
 * @in_cookie: the same of @in_dst
 * @route_mtu: MTU that the route states, 0 none (route.c)
 * @pmtu: path MTU learned for the outer packet, 0 unknown (pmtu.c)
 * @pmtu_until: when @pmtu is forgotten, boot clock
 * @in_ifindex: the device from which packets came by @in_dst
 * @in_dst: (r) route by which packets for this SA came in (route.c)
 * @tag: (r) what decapsulated packets carry as a sign of it (check.c)
 * @lock: of what arrives
 * @replay: (l) NULL if the window is off
 * @ipackets: (l) packets received
 * @ibytes: (l) bytes of payload received
 * @errors: (a) drops laid at this SA's door
 * @net: (c) its namespace
 * @refs: one for the data base, one for each holder outside RCU
 * @inflight: requests that ciphers have yet to finish, and one until @refs is 0
 * @serial: (c) order of creation, and place in dumps
 * @lifetime: (m) limits
 * @created: (c) seconds, boot clock
 * @created_real: (c) the same as wall-clock seconds, for messages
 * @first_used: first packet, wall clock; 0 never. Written once by the data path
 * @first_used_boot: the same on the boot clock
 * @last_used: last packet, wall clock
 * @used_tick: the tick in which that was noted
 * @replay_asked: (c) sadb_sa_replay as given, for dumps
 * @soft_told: (m) the soft EXPIRE was sent
 * @event: link of the list of SAs that the expiry worker shall look at
 * @event_pending: it stands in that list
 * @auth: (c) key and algorithm, or NULL
 * @enc: (c) key and algorithm, or NULL
 * @driver: (c) of the cipher, that was asked for; NULL as a rule
 * @natt: (m) UDP encapsulation
 * @moved: (l) the peer came from elsewhere
 * @icv_asked: (c) bits of ICV that were asked for, 0 none; for dumps
 * @seq: (c) sequence number of the PF_KEY message that made it
 * @deadline: (m) place in the expiry queue
 * @by_id: link of the inbound table
 * @by_spi: link of the table of SPIs in use
 * @in_group: (m) link of @group, newest first; of the list of larvals before
 * @in_any: (m) link of @any
 * @group: (m) SAs that are equal in the eyes of a policy request
 * @any: (m) the same with any reqid
 * @free_work: frees it in process context after a grace period
 */
struct kipsec_sa {
	struct kipsec_sa_id		id;
	u8				state;
	u8				mode;
	u8				dir;
	u8				counted;
	bool				listed;
	bool				esn;
	bool				replay_told;
	u32				flags;
	int				cpu;
	const struct kipsec_xform	*xf;
	void				*xf_data;
	union kipsec_addr		src;
	u32				reqid;
	u32				dst_cookie;
	u32				in_cookie;
	u32				route_mtu;
	u32				pmtu;
	u64				pmtu_until;
	int				in_ifindex;
	struct dst_entry __rcu		*dst;
	struct dst_entry __rcu		*in_dst;
	struct kipsec_way __rcu		*way;
	struct skb_ext __rcu		*tag;
	u64				first_used;
	u64				last_used;
	u32				used_tick;

	atomic64_t			oseq ____cacheline_aligned_in_smp;
	u64				oseq_first;
	atomic64_t			obytes;
	atomic64_t			errors;

	spinlock_t			lock;	/* of what arrives */
	struct kipsec_replay		*replay;
	u64				ipackets;
	u64				ibytes;

	struct kipsec_net		*net;
	refcount_t			refs;
	atomic_t			inflight;
	unsigned long			serial;
	struct kipsec_lifetime		lifetime;
	u64				created;
	u64				created_real;
	u64				first_used_boot;
	u32				replay_asked;
	u16				icv_asked;
	u32				seq;
	bool				soft_told;
	struct kipsec_natt		natt;
	struct kipsec_moved		moved;
	struct kipsec_key		*auth;
	struct kipsec_key		*enc;
	char				*driver;
	struct kipsec_deadline		deadline;
	struct llist_node		event;
	atomic_t			event_pending;
	struct rhash_head		by_id;
	struct rhlist_head		by_spi;
	struct list_head		in_group;
	struct list_head		in_any;
	struct kipsec_sa_group		*group;
	struct kipsec_sa_group		*any;
	struct rcu_work			free_work;
};

/** kipsec_sa_usable() - may packets use it? (mature or dying) */
static inline bool kipsec_sa_usable(const struct kipsec_sa *sa)
{
	u8 state = READ_ONCE(sa->state);

	return state == KIPSEC_SA_MATURE || state == KIPSEC_SA_DYING;
}

/** kipsec_sa_sent() - packets sent */
static inline u64 kipsec_sa_sent(const struct kipsec_sa *sa)
{
	return atomic64_read(&sa->oseq) - sa->oseq_first;
}

/**
 * kipsec_sa_alloc() - an SA outside the data base
 * @kn: the namespace
 *
 * The caller fills in the (c) members; @auth and @enc then belong to the SA.
 * Freed by kipsec_sa_put().
 *
 * Context: process.
 * Return: the SA with one reference, state LARVAL, or NULL.
 */
struct kipsec_sa *kipsec_sa_alloc(struct kipsec_net *kn);

/**
 * kipsec_sa_hold_rcu() - a reference for use outside the RCU section
 * @sa: found under RCU
 *
 * Return: false if the SA is already on its way out.
 */
static inline bool kipsec_sa_hold_rcu(struct kipsec_sa *sa)
{
	return refcount_inc_not_zero(&sa->refs);
}

/** kipsec_sa_put() - give a reference back; the last one frees; any context */
void kipsec_sa_put(struct kipsec_sa *sa);

/**
 * kipsec_sa_takeoff() - a request with this SA will be finished later
 * @sa: found in this RCU section, perhaps already removed
 *
 * Cheaper than a reference for every packet: only those whose cipher did not
 * answer at once count, and the SA waits for them before it is freed.
 */
static inline void kipsec_sa_takeoff(struct kipsec_sa *sa)
{
	atomic_inc(&sa->inflight);
}

/** kipsec_sa_land() - the request is finished; any context */
void kipsec_sa_land(struct kipsec_sa *sa);

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
 * kipsec_sa_set_lifetime() - new limits; soft expiry is armed again
 * @sa: inside or outside of the data base; @cfg held
 * @lt: the limits
 */
void kipsec_sa_set_lifetime(struct kipsec_sa *sa,
			    const struct kipsec_lifetime *lt);

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

/** kipsec_sa_used_slow() - kipsec_sa_used(), the first time in a tick */
void kipsec_sa_used_slow(struct kipsec_sa *sa);

/**
 * kipsec_sa_used() - the data path's report after a packet
 * @sa: the SA
 *
 * Notes first and last use, and wakes the expiry worker when a limit was
 * crossed. RCU read side or a reference; BH off.
 */
static inline void kipsec_sa_used(struct kipsec_sa *sa)
{
	if (unlikely(READ_ONCE(sa->used_tick) != (u32)jiffies))
		kipsec_sa_used_slow(sa);
}

/**
 * kipsec_sa_crossed() - the data path found a limit crossed
 * @sa: the SA
 * @life: KIPSEC_LIFE_HARD ends it here and now (also at the end of its sequence
 *	numbers); the worker then removes it and tells the key daemon
 *
 * Context: as kipsec_sa_used().
 */
void kipsec_sa_crossed(struct kipsec_sa *sa, enum kipsec_life life);

/**
 * kipsec_sa_moved() - the data path saw the peer at another address or port
 * @sa: an SA with UDP encapsulation; it goes on as it is
 * @addr: the new address
 * @port: the new port
 *
 * Context: as kipsec_sa_used().
 */
void kipsec_sa_moved(struct kipsec_sa *sa, const union kipsec_addr *addr,
		     __be16 port);

/** kipsec_sad_forget_routes() - drop every SA's cached route; @cfg not needed */
void kipsec_sad_forget_routes(struct kipsec_net *kn, const struct net_device *dev);

/** kipsec_sad_start() - once per module load: the work queue that frees SAs */
int kipsec_sad_start(void);
/** kipsec_sad_stop() - after the last namespace: waits for the last free */
void kipsec_sad_stop(void);

int kipsec_sad_init(struct kipsec_net *kn);
void kipsec_sad_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_SAD_H */
