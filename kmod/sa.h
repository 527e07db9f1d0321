/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sa.h - one security association (RFC 4301 section 4.4.2; floor 2). The rules of
 * locking and life are the essay at the top of sad.c.
 */
#ifndef _KIPSEC_SA_H
#define _KIPSEC_SA_H

#include <linux/atomic.h>
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
struct dst_entry;
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
 * kipsec_sa_set_lifetime() - new limits; soft expiry is armed again
 * @sa: inside or outside of the data base; @cfg held
 * @lt: the limits
 */
void kipsec_sa_set_lifetime(struct kipsec_sa *sa,
			    const struct kipsec_lifetime *lt);

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

#endif /* _KIPSEC_SA_H */
