/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reinject.h - the decapsulated packet's way back into the stack (floor 4).
 */
#ifndef _KIPSEC_REINJECT_H
#define _KIPSEC_REINJECT_H

struct sk_buff;

/**
 * kipsec_reinject() - hand a decapsulated packet to the stack; consumes it
 * @skb: data at its IP header, MAC header before it, device set
 *
 * Context: BH off, RCU read side.
 */
void kipsec_reinject(struct sk_buff *skb);

/**
 * kipsec_reinject_flush() - wait until nothing reinjected before is under way
 *
 * For a device that no longer brings packets and is about to go. Context: may
 * sleep.
 */
void kipsec_reinject_flush(void);

int kipsec_reinject_start(void);
/** kipsec_reinject_stop() - no packet is under way any more */
void kipsec_reinject_stop(void);

#endif /* _KIPSEC_REINJECT_H */
