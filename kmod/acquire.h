/* SPDX-License-Identifier: GPL-2.0 */
/*
 * acquire.h - SAs that policies want and nobody has made yet (floor 2).
 *
 * A packet that finds no SA asks for one: key managers that have registered get
 * an ACQUIRE, once, and the packet waits. When the SA comes, what waited goes out
 * again from the routing decision on; when none comes in time, or the manager
 * says that it cannot have one, it is dropped.
 */
#ifndef _KIPSEC_ACQUIRE_H
#define _KIPSEC_ACQUIRE_H

#include <linux/skbuff.h>

#include "expire.h"
#include "sad.h"

/**
 * struct kipsec_acquire - one wanted SA
 * @in_list: of all in the namespace
 * @by_want: link in the table of @want
 * @deadline: when it is given up; @cfg
 * @want: what the policy's request asks for
 * @policy: number of the policy
 * @priority: its priority, which programs are told
 * @seq: number of the ACQUIRE; managers answer with it, if they care to
 * @told: key managers have been told; @cfg
 * @answered: the SA has come; @cfg
 * @refused: a manager said no; packets do not wait any more
 * @held: packets
 */
struct kipsec_acquire {
	struct list_head	in_list;
	struct hlist_node	by_want;
	struct kipsec_deadline	deadline;
	struct kipsec_sa_want	want;
	u32			policy;
	u32			priority;
	u32			seq;
	bool			told;
	bool			answered;
	bool			refused;
	struct sk_buff_head	held;
};

/**
 * kipsec_acquire_heard() - is there a key manager that would hear of it?
 * @kn: the namespace
 */
bool kipsec_acquire_heard(struct kipsec_net *kn);

/** kipsec_acquire_listener() - a socket registered (1, @cfg held), or is gone (-1) */
void kipsec_acquire_listener(struct kipsec_net *kn, int change);

/**
 * kipsec_acquire() - an SA is wanted
 * @kn: the namespace
 * @want: which; addresses behind the family's are zero
 * @policy: number of the policy that wants it
 * @priority: its priority
 * @skb: a routed packet to wait for it; NULL if none has to
 *
 * Context: BH off, RCU read side.
 * Return: 0, and @skb is taken; or a negative number, and it is still the
 * caller's: -EHOSTUNREACH refused, -ENOBUFS too many.
 */
int kipsec_acquire(struct kipsec_net *kn, const struct kipsec_sa_want *want,
		   u32 policy, u32 priority, struct sk_buff *skb);

/**
 * kipsec_acquire_done() - an SA has come
 * @kn: the namespace, @cfg held
 * @sa: the SA, in the data base and mature
 *
 * What waited for it goes out soon, which is to ask policies anew.
 */
void kipsec_acquire_done(struct kipsec_net *kn, const struct kipsec_sa *sa);

/**
 * kipsec_acquire_forget() - a policy goes, or all SAs have gone; @cfg held
 * @kn: the namespace
 * @policy: its number; 0: whatever the policy
 * @proto: of the SAs, IPPROTO_*; 0: whatever the protocol
 *
 * What waited is dropped: it was not to go in clear when it came, and nobody may
 * be negotiating any more.
 */
void kipsec_acquire_forget(struct kipsec_net *kn, u32 policy, u8 proto);

/** kipsec_acquire_refuse() - a manager cannot have the SA; @cfg held */
void kipsec_acquire_refuse(struct kipsec_net *kn, u32 seq);

/** kipsec_acquire_set_event() - call upward, set once: tell key managers; @cfg */
void kipsec_acquire_set_event(void (*wanted)(struct kipsec_net *kn,
					     const struct kipsec_acquire *acq));

int kipsec_acquire_init(struct kipsec_net *kn);

/**
 * kipsec_acquire_stop() - nothing that waits goes out any more
 * @kn: the namespace
 *
 * Before the hooks go: without them it would go in clear.
 */
void kipsec_acquire_stop(struct kipsec_net *kn);

/** kipsec_acquire_exit() - no packet comes any more; all that wait are dropped */
void kipsec_acquire_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_ACQUIRE_H */
