/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mss.h - TCP segments that fit from the start (floor 4).
 */
#ifndef _KIPSEC_MSS_H
#define _KIPSEC_MSS_H

struct dst_entry;
struct kipsec_net;
struct kipsec_path;
struct sk_buff;

/**
 * kipsec_mss_out() - lower what a SYN states that is about to be protected
 * @skb: any packet, data at its IP header; what is no SYN is left alone
 * @path: the SAs to pass
 * @dst: route of the outermost
 *
 * Context: RCU read side.
 */
void kipsec_mss_out(struct sk_buff *skb, const struct kipsec_path *path,
		    const struct dst_entry *dst);

/**
 * kipsec_mss_in() - lower what a SYN states that came in protected
 * @kn: namespace
 * @skb: any decapsulated packet, data at its IP header
 *
 * Its answers are what has to fit, so the SAs are those that they will take.
 *
 * Context: RCU read side, BH off.
 */
void kipsec_mss_in(struct kipsec_net *kn, struct sk_buff *skb);

#endif /* _KIPSEC_MSS_H */
