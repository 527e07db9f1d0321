/* SPDX-License-Identifier: GPL-2.0 */
/*
 * check.h - may this packet come in? (floor 4)
 */
#ifndef _KIPSEC_CHECK_H
#define _KIPSEC_CHECK_H

#include <linux/types.h>

struct kipsec_net;
struct kipsec_policy;
struct kipsec_sa;
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

#endif /* _KIPSEC_CHECK_H */
