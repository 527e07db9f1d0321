/* SPDX-License-Identifier: GPL-2.0 */
/*
 * spd.h - the security policy data base (RFC 4301 section 4.4.1; floor 2).
 * The rules of locking and life are the essay at the top of spd.c.
 */
#ifndef _KIPSEC_SPD_H
#define _KIPSEC_SPD_H

#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>

#include "classifier.h"
#include "expire.h"
#include "glance.h"
#include "kipsec.h"
#include "lifetime.h"
#include "sad.h"
#include "selector.h"
#include "spd_flow.h"

#define KIPSEC_MAX_REQUESTS	6	/* of one policy, as in PF_KEY */

/** enum kipsec_dir - PF_KEY's IPSEC_DIR_* less one, so that id & 7 == dir */
enum kipsec_dir {
	KIPSEC_DIR_IN,
	KIPSEC_DIR_OUT,
	KIPSEC_DIR_FWD,
	KIPSEC_DIR_MAX
};

/** enum kipsec_side - policies that are looked for together */
enum kipsec_side {
	KIPSEC_SIDE_IN,		/* of KIPSEC_DIR_IN and _FWD */
	KIPSEC_SIDE_OUT,
	KIPSEC_SIDES
};

/** enum kipsec_action - PF_KEY's IPSEC_POLICY_*, same numbers */
enum kipsec_action {
	KIPSEC_DISCARD,
	KIPSEC_NONE,
	KIPSEC_PROTECT,
};

/** enum kipsec_level - PF_KEY's IPSEC_LEVEL_*, same numbers */
enum kipsec_level {
	KIPSEC_LEVEL_DEFAULT,	/* as require */
	KIPSEC_LEVEL_USE,	/* protect if there is an SA */
	KIPSEC_LEVEL_REQUIRE,
	KIPSEC_LEVEL_UNIQUE,	/* require, and only an SA with this reqid */
};

/**
 * struct kipsec_request - one transform that a policy asks for
 * @proto: IPPROTO_*
 * @mode: KIPSEC_MODE_TRANSPORT or _TUNNEL
 * @level: enum kipsec_level
 * @family: of the tunnel endpoints; 0 in transport mode
 * @reqid: 0 none
 * @src: tunnel: outer source
 * @dst: tunnel: outer destination
 * @cache: the SA found last (output), or that is known to do (input)
 */
struct kipsec_request {
	u8			proto;
	u8			mode;
	u8			level;
	u8			family;
	u32			reqid;
	union kipsec_addr	src;
	union kipsec_addr	dst;
	struct kipsec_sa_cache	cache;
};

/**
 * struct kipsec_policy - one policy
 *
 * Tags: (c) constant once in the data base, (m) changed under kipsec_net.cfg.
 *
 * @rule: (c) its place in the classifier; holds the priority
 * @sel: (c) selector as given
 * @dir: (c) enum kipsec_dir
 * @action: (c) enum kipsec_action
 * @nreq: (c) number of @req; 0 with PROTECT means: let pass
 * @id: (c) unique, id & 7 == dir
 * @last_used: kipsec_now() of the last match, or 0
 * @used_tick: the tick in which that was noted
 * @in_order: (m) place in the tree of (dir, priority, order), for dumps
 * @by_id: (m) link of the table by id
 * @deadline: (m) place in the expiry queue
 * @lifetime: (c) of it only hard.addtime (since creation) and hard.usetime
 *	(since the last match, or creation before the first) are honoured
 * @created: (c) boot clock
 * @created_real: (c) wall clock
 * @rcu: frees it
 * @req: (c) in order of application on output: the first is innermost
 */
struct kipsec_policy {
	struct kipsec_rule	rule;
	struct kipsec_selector	sel;
	u8			dir;
	u8			action;
	u8			nreq;
	u32			id;
	u64			last_used;
	u32			used_tick;
	struct rb_node		in_order;
	struct rhash_head	by_id;
	struct kipsec_deadline	deadline;
	struct kipsec_lifetime	lifetime;
	u64			created;
	u64			created_real;
	struct rcu_head		rcu;
	struct kipsec_request	req[];
};

/** kipsec_policy_of() - whose rule this is; NULL of NULL */
static inline struct kipsec_policy *kipsec_policy_of(struct kipsec_rule *rule)
{
	return rule ? container_of(rule, struct kipsec_policy, rule) : NULL;
}

/**
 * struct kipsec_spd_view - of one side and family
 * @kn: the namespace
 * @glance: (r) which addresses any policy may be for
 * @any: bits that policies compare, see spd_flow.h
 * @changes: since @glance was made anew
 */
struct kipsec_spd_view {
	struct kipsec_net		*kn;
	struct kipsec_glance __rcu	*glance;
	struct kipsec_flow		any;
	unsigned int			changes;
};

/**
 * struct kipsec_spd - a namespace's policies; see spd.c for the rules
 * @class: by side and family (IPv4, IPv6); of input, "in" and "fwd" are
 *	the slots, since a packet asks for both
 * @view: tables that spare most packets the classifier (spd_glance.c)
 * @flows: what was found for flows seen before (spd_flow.h)
 * @gen: generation of such answers
 * @in_order: by direction, priority and order
 * @by_id: by id
 * @count: policies
 * @last_order: given to a policy; starts at 1, never comes round
 * @last_id: given to a policy, without the direction; comes round
 * @last_reqid: given to a UNIQUE request; comes round
 * @reqids_reused: it came round once, so a number may be in use
 */
struct kipsec_spd {
	struct kipsec_classifier	class[KIPSEC_SIDES][2];
	struct kipsec_spd_view		view[KIPSEC_SIDES][2];
	struct kipsec_spd_flows __percpu *flows;
	unsigned long			gen;
	struct rb_root			in_order;
	struct rhashtable		by_id;
	unsigned int			count;
	u64				last_order;
	u32				last_id;
	u32				last_reqid;
	bool				reqids_reused;
};

/**
 * kipsec_spd_glance() - may there be a policy for packets with these addresses?
 * @view: of a side and family
 * @addr: source and destination
 * @ip6: the family
 *
 * Context: RCU read side. Return: false: certainly not.
 */
static __always_inline bool
kipsec_spd_glance(const struct kipsec_spd_view *view, const __be32 *addr, bool ip6)
{
	return kipsec_glance_get(rcu_dereference(view->glance),
				 ip6 ? kipsec_ends6(addr) : kipsec_ends4(addr));
}

/** kipsec_spd_view_init() - of a namespace that has no policies yet */
void kipsec_spd_view_init(struct kipsec_spd_view *view, struct kipsec_net *kn);

/** kipsec_spd_glance_come() - a policy is about to be linked; @cfg held */
void kipsec_spd_glance_come(struct kipsec_net *kn,
			    const struct kipsec_policy *pol);

/** kipsec_spd_glance_gone() - a policy has been unlinked; @cfg held */
void kipsec_spd_glance_gone(struct kipsec_net *kn,
			    const struct kipsec_policy *pol);

/** kipsec_spd_glance_exit() - no reader is left; of a first policy that failed */
void kipsec_spd_glance_exit(struct kipsec_spd *spd);

/** kipsec_policy_meant_slow() - the same, for addresses that may be special */
bool kipsec_policy_meant_slow(const struct kipsec_policy *pol,
			      const struct kipsec_flow *fl);

/**
 * kipsec_policy_meant() - does a policy that matches mean this flow?
 * @pol: the policy
 * @fl: the flow
 *
 * A policy for all addresses does not mean what no key exchange could ever
 * protect: multicast, broadcast, addresses of the link, neighbour discovery. A
 * policy that names them does.
 */
static inline bool kipsec_policy_meant(const struct kipsec_policy *pol,
				       const struct kipsec_flow *fl)
{
	if (likely(pol->sel.src_len && pol->sel.dst_len &&
		   fl->proto != IPPROTO_ICMPV6))
		return true;
	return kipsec_policy_meant_slow(pol, fl);
}

/** kipsec_spd_ask_out() - kipsec_spd_lookup_out() of a flow that is not remembered */
struct kipsec_policy *kipsec_spd_ask_out(struct kipsec_net *kn,
					 const struct kipsec_flow *fl,
					 struct kipsec_spd_flow *f);

/** kipsec_spd_ask_in() - kipsec_spd_lookup_in() of a flow that is not remembered */
void kipsec_spd_ask_in(struct kipsec_net *kn, const struct kipsec_flow *fl,
		       struct kipsec_spd_flow *f,
		       struct kipsec_policy *found[KIPSEC_SLOTS]);

/* What is remembered of a flow, or NULL; @f is where it is to stand, if anywhere. */
static __always_inline struct kipsec_spd_flow *
kipsec_spd_recall(const struct kipsec_spd *spd, enum kipsec_side side,
		  const struct kipsec_flow *fl, struct kipsec_spd_flow **f,
		  bool ip6)
{
	struct kipsec_flow key KIPSEC_NOT_ZEROED;

	kipsec_spd_flow_key(&key, fl, &spd->view[side][ip6].any, ip6);
	/* Pairs with compare_nothing(): fewer bits, then another generation. */
	smp_rmb();
	*f = kipsec_spd_flow(READ_ONCE(spd->flows), side, &key, ip6);
	return likely(*f && (*f)->gen == READ_ONCE(spd->gen) &&
		      kipsec_spd_flow_is(*f, &key, ip6)) ? *f : NULL;
}

/**
 * kipsec_spd_lookup_out() - the policy that applies to a flow on output
 * @kn: the namespace
 * @fl: what the packet shows, unused words zero
 *
 * Context: RCU read side, any context; cheaper with BH off. Return: the policy,
 * valid in this RCU section, or NULL if none applies.
 */
static __always_inline struct kipsec_policy *
kipsec_spd_lookup_out(struct kipsec_net *kn, const struct kipsec_flow *fl)
{
	struct kipsec_spd_flow *f, *known;

	known = fl->family == AF_INET6 ?
		kipsec_spd_recall(kn->spd, KIPSEC_SIDE_OUT, fl, &f, true) :
		kipsec_spd_recall(kn->spd, KIPSEC_SIDE_OUT, fl, &f, false);
	return known ? known->found[0] : kipsec_spd_ask_out(kn, fl, f);
}

/**
 * kipsec_spd_lookup_in() - the policies that apply to a flow on input
 * @kn: the namespace
 * @fl: what the packet shows, unused words zero
 * @found: first the one if the packet is for this host, then the one if it is to
 *	be forwarded; or NULL
 *
 * Context: as above.
 */
static __always_inline void
kipsec_spd_lookup_in(struct kipsec_net *kn, const struct kipsec_flow *fl,
		     struct kipsec_policy *found[KIPSEC_SLOTS])
{
	struct kipsec_spd_flow *f, *known;

	known = fl->family == AF_INET6 ?
		kipsec_spd_recall(kn->spd, KIPSEC_SIDE_IN, fl, &f, true) :
		kipsec_spd_recall(kn->spd, KIPSEC_SIDE_IN, fl, &f, false);
	if (unlikely(!known)) {
		kipsec_spd_ask_in(kn, fl, f, found);
		return;
	}
	found[0] = known->found[0];
	found[1] = known->found[1];
}

/** kipsec_policy_used() - the data path applied @pol to a packet; RCU */
static inline void kipsec_policy_used(struct kipsec_policy *pol)
{
	u32 tick = jiffies;

	if (likely(READ_ONCE(pol->used_tick) == tick))
		return;
	WRITE_ONCE(pol->used_tick, tick);
	WRITE_ONCE(pol->last_used, kipsec_now());
}

/** kipsec_policy_alloc() - zeroed, for @nreq requests; kfree() before insertion */
struct kipsec_policy *kipsec_policy_alloc(unsigned int nreq);

/**
 * kipsec_spd_insert() - put a policy into the data base
 * @kn: the namespace, @cfg held; may sleep
 * @pol: @sel, @dir, @action, @rule.priority, @lifetime, @req filled in; belongs
 *	to the data base on success
 * @replace: a policy with the same selector and direction is replaced: readers
 *	find the old or the new one at every moment, and the id is kept; so is
 *	the place among policies of equal priority, if the priority is the same
 *
 * Assigns @id, times and, for UNIQUE requests with reqid 0 or above
 * KIPSEC_REQID_MAX, a fresh reqid; but if @created is set, as in a copy of what is
 * in the data base, times and reqids stay.
 *
 * Return: 0; -EEXIST the selector is taken and @replace is false; -ENOMEM;
 * -ENOBUFS no reqid left.
 */
int kipsec_spd_insert(struct kipsec_net *kn, struct kipsec_policy *pol,
		      bool replace);

#define KIPSEC_REQID_MAX	0x3fff	/* the highest that a user may choose */

/** kipsec_spd_find() - by selector and direction, @cfg held */
struct kipsec_policy *kipsec_spd_find(struct kipsec_net *kn,
				      enum kipsec_dir dir,
				      const struct kipsec_selector *sel);

/** kipsec_spd_find_id() - by id, @cfg held */
struct kipsec_policy *kipsec_spd_find_id(struct kipsec_net *kn, u32 id);

/** kipsec_spd_remove() - take out and free after a grace period; @cfg held */
void kipsec_spd_remove(struct kipsec_net *kn, struct kipsec_policy *pol);

/** struct kipsec_spd_cursor - where a dump stands */
struct kipsec_spd_cursor {
	u8	dir;
	u32	priority;
	u64	order;
};

/**
 * kipsec_spd_next() - dumps: the next policy in matching order per direction
 * @kn: the namespace, @cfg held
 * @cur: zeroed at the start (no policy has order 0); moved on
 *
 * Directions come in, out, fwd; within one, in the order in which policies are
 * tried. Nothing is lost or doubled when policies come and go between calls.
 *
 * Return: the policy or NULL behind the last.
 */
struct kipsec_policy *kipsec_spd_next(struct kipsec_net *kn,
				      struct kipsec_spd_cursor *cur);

/** kipsec_spd_flush() - remove all; @cfg held; returns how many went */
unsigned int kipsec_spd_flush(struct kipsec_net *kn);

/** kipsec_spd_count() - policies in the data base */
unsigned int kipsec_spd_count(struct kipsec_net *kn);

/**
 * kipsec_spd_set_expired() - set, once, what to call when a policy expires
 * @fn: the function
 *
 * @fn is called with @cfg held; the policy is already unlinked and is freed
 * after the call.
 */
void kipsec_spd_set_expired(void (*fn)(struct kipsec_net *kn,
				       struct kipsec_policy *pol));

/**
 * kipsec_spd_set_populated() - set, once, what to call when policies come and go
 * @fn: the function
 *
 * @fn is called with @cfg held when the first policy of a side is about to come
 * (@on), and after the last has gone. The hooks go up and down with it; a non-zero
 * answer refuses the policy.
 */
void kipsec_spd_set_populated(int (*fn)(struct kipsec_net *kn,
					enum kipsec_side side, bool on));

int kipsec_spd_init(struct kipsec_net *kn);

/**
 * kipsec_spd_exit() - free everything
 * @kn: the namespace, @cfg not held; hooks down, kipsec_expire_stop() called
 *
 * Policies that are still there go without a callback: whoever wants his hooks
 * taken down by it calls kipsec_spd_flush() first.
 */
void kipsec_spd_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_SPD_H */
