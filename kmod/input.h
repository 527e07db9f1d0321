/* SPDX-License-Identifier: GPL-2.0 */
/*
 * input.h - from protected packets back to the stack (floor 4).
 */
#ifndef _KIPSEC_INPUT_H
#define _KIPSEC_INPUT_H

#include "header.h"
#include "sad.h"

/** kipsec_input_find() - kipsec_input_sa() if it is not the one found last */
struct kipsec_sa *kipsec_input_find(struct kipsec_net *kn,
				    const struct sk_buff *skb, int off, u8 proto);

/**
 * kipsec_input_sa() - the SA for which a packet claims to be
 * @kn: the namespace
 * @skb: network header set
 * @off: of the IPsec header from the start of the data
 * @proto: which one it is
 *
 * Context: RCU read side. Return: the SA or NULL.
 */
static inline struct kipsec_sa *kipsec_input_sa(struct kipsec_net *kn,
						const struct sk_buff *skb,
						int off, u8 proto)
{
	struct kipsec_sa *sa = kipsec_sad_last(kn);

	if (likely(sa && kipsec_id_shown(skb, off, proto, &sa->id)))
		return sa;
	return kipsec_input_find(kn, skb, off, proto);
}

/**
 * kipsec_input_clear() - a packet has come out of an SA
 * @kn: the namespace
 * @sa: the SA
 * @skb: after kipsec_pop(); consumed
 *
 * It gets the SA's tag; then, if no other header is inside, it has to be what a
 * policy allows, and goes back into the stack.
 *
 * Context: BH off, RCU read side.
 */
void kipsec_input_clear(struct kipsec_net *kn, struct kipsec_sa *sa,
			struct sk_buff *skb);

/**
 * kipsec_input_protected() - a packet for an SA comes in, or waits (early.c)
 * @kn: the namespace
 * @sa: the SA, in whatever state
 * @skb: the data start at the protocol's header; consumed
 * @encap: type of its encapsulation, 0 none
 *
 * Context: BH off, RCU read side.
 */
void kipsec_input_protected(struct kipsec_net *kn, struct kipsec_sa *sa,
			    struct sk_buff *skb, int encap);

/**
 * kipsec_input_short() - decapsulate a packet that is still in a hook
 * @kn: the namespace
 * @sa: the SA that it names
 * @skb: ESP right behind a header without options; kipsec_shortcut_in() allows it
 *
 * Context: BH off, RCU read side, in PRE_ROUTING.
 * Return: true if @skb goes on from there, in clear as a rule; false if it is
 * gone, or will come back later by the long way.
 */
bool kipsec_input_short(struct kipsec_net *kn, struct kipsec_sa *sa,
			struct sk_buff *skb);

/** kipsec_input_start() - take ESP, AH and IPComp from the stack; once per module load */
int kipsec_input_start(void);

/** kipsec_input_stop() - no packet enters after this */
void kipsec_input_stop(void);

#endif /* _KIPSEC_INPUT_H */
