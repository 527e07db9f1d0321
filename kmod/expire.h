/* SPDX-License-Identifier: GPL-2.0 */
/*
 * expire.h - one queue of deadlines per namespace (floor 2).
 *
 * SAs and policies end at a time. Rather than a timer each, they stand in one
 * tree ordered by time, and one delayed work visits those that are due, in
 * process context and under kipsec_net.cfg.
 */
#ifndef _KIPSEC_EXPIRE_H
#define _KIPSEC_EXPIRE_H

#include <linux/rbtree.h>
#include <linux/types.h>

struct kipsec_net;
struct kipsec_deadline;

/**
 * typedef kipsec_due_fn - called when a deadline is due
 * @kn: the namespace
 * @d: the deadline
 *
 * @cfg is held and the deadline is out of the queue; the function may set it
 * again or free the object.
 */
typedef void (*kipsec_due_fn)(struct kipsec_net *kn, struct kipsec_deadline *d);

/**
 * struct kipsec_deadline - embed it in the object that ends
 * @node: place in the queue; empty if not queued
 * @when: seconds on the boot clock
 * @due: what to do then
 */
struct kipsec_deadline {
	struct rb_node	node;
	u64		when;
	kipsec_due_fn	due;
};

/** kipsec_deadline_init() - before first use */
void kipsec_deadline_init(struct kipsec_deadline *d, kipsec_due_fn due);

/** kipsec_deadline_set() - queue or move; @when 0 takes it out; @cfg held */
void kipsec_deadline_set(struct kipsec_net *kn, struct kipsec_deadline *d,
			 u64 when);

/** kipsec_expire_kick() - run kipsec_expire_poll callbacks soon; any context */
void kipsec_expire_kick(struct kipsec_net *kn);

/**
 * kipsec_expire_set_poll() - what to call on a kick, before the due deadlines
 * @kn: the namespace
 * @poll: called with @cfg held
 *
 * For crossings that no clock foretells: bytes, packets, first use.
 */
void kipsec_expire_set_poll(struct kipsec_net *kn,
			    void (*poll)(struct kipsec_net *kn));

/** kipsec_now() - seconds on the boot clock, which never jumps; never 0 */
u64 kipsec_now(void);

int kipsec_expire_init(struct kipsec_net *kn);
/** kipsec_expire_stop() - no callback runs or will run after this */
void kipsec_expire_stop(struct kipsec_net *kn);
void kipsec_expire_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_EXPIRE_H */
