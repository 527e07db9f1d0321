/* SPDX-License-Identifier: GPL-2.0 */
/*
 * check.h - may this packet come in? (floor 4)
 */
#ifndef _KIPSEC_CHECK_H
#define _KIPSEC_CHECK_H

#include "sad.h"
#include "spd.h"

struct sk_buff;

/** kipsec_tagged() - did our input let this packet in? (then it was checked) */
bool kipsec_tagged(const struct sk_buff *skb);

/**
 * kipsec_tag() - note on a packet that it came through @sa
 * @skb: decapsulated
 * @sa: the SA
 *
 * In the form of a secpath entry, so that "-m policy", nft's "meta secpath" and
 * strict reverse path filters see it. BH off, RCU read side.
 *
 * Return: false without memory.
 */
bool kipsec_tag(struct sk_buff *skb, struct kipsec_sa *sa);

/**
 * kipsec_check() - the inbound policy check, RFC 4301 section 5.2 step 4
 * @kn: namespace
 * @skb: network header set, whole; tagged or clear
 * @in: the policy of kipsec_spd_lookup_in() if it is for this host
 * @fwd: the one if it is to be forwarded
 * @pol: set to the policy that decided, or NULL
 *
 * Context: RCU read side.
 * Return: KIPSEC_REASON_MAX if it may pass, else the reason to drop it.
 */
unsigned int kipsec_check(struct kipsec_net *kn, struct sk_buff *skb,
			  struct kipsec_policy *in, struct kipsec_policy *fwd,
			  struct kipsec_policy **pol);

/**
 * kipsec_check_recall() - is it known that a policy accepts what an SA brings?
 * @kn: namespace
 * @pol: a policy for input, or NULL, which accepts all
 * @sa: the one SA that a packet passed
 *
 * Context: RCU read side.
 */
static inline bool kipsec_check_recall(const struct kipsec_net *kn,
				       const struct kipsec_policy *pol,
				       const struct kipsec_sa *sa)
{
	return !pol || (pol->nreq == 1 &&
			kipsec_sa_recall(kn, &pol->req[0].cache) == sa);
}

/**
 * kipsec_check_remember() - for kipsec_check_recall(), after kipsec_check()
 * @kn: namespace
 * @skb: was accepted
 * @sa: the SA that it passed last
 * @gen: kn->sa_gen before the check
 * @found: policies that may have accepted it
 *
 * Only what is true of all packets of the SA is remembered.
 *
 * Context: RCU read side, BH off.
 */
void kipsec_check_remember(struct kipsec_net *kn, const struct sk_buff *skb,
			   struct kipsec_sa *sa, unsigned long gen,
			   struct kipsec_policy *found[KIPSEC_SLOTS]);

#endif /* _KIPSEC_CHECK_H */
