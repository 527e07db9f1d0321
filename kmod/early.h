/* SPDX-License-Identifier: GPL-2.0 */
/*
 * early.h - packets that come before their SA is ready (floor 4).
 *
 * A peer uses an SA as soon as it has it, while the key manager here still reads
 * the last message of the negotiation: the SA is larval. Such packets, the first
 * of a connection, wait, and come in once the SA is complete.
 */
#ifndef _KIPSEC_EARLY_H
#define _KIPSEC_EARLY_H

#include <linux/types.h>

struct kipsec_net;
struct kipsec_sa;
struct sk_buff;

/**
 * kipsec_early_hold() - a packet for a larval SA
 * @kn: the namespace
 * @sa: the SA
 * @skb: as the stack gave it to us, @skb->dev set
 * @encap: type of its encapsulation, 0 none
 *
 * Context: BH off, RCU read side.
 * Return: true, and it is taken; false if too many wait.
 */
bool kipsec_early_hold(struct kipsec_net *kn, const struct kipsec_sa *sa,
		       struct sk_buff *skb, int encap);

/**
 * kipsec_early_ready() - a larval SA has been completed
 * @kn: the namespace
 * @successor: another one serves these ends already
 *
 * Without one, what waits comes in a moment later: the manager has yet to add the
 * SA back, and policies perhaps, for what the packets are answered with. Packets
 * that arrive meanwhile overtake them.
 */
void kipsec_early_ready(struct kipsec_net *kn, bool successor);

int kipsec_early_init(struct kipsec_net *kn);

/** kipsec_early_stop() - what waits is dropped, and nothing waits any more */
void kipsec_early_stop(struct kipsec_net *kn);

/** kipsec_early_exit() - after the SAs: no packet comes any more */
void kipsec_early_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_EARLY_H */
