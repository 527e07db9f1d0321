/* SPDX-License-Identifier: GPL-2.0 */
/*
 * output.h - from a policy to protected packets (floor 4).
 */
#ifndef _KIPSEC_OUTPUT_H
#define _KIPSEC_OUTPUT_H

#include "spd.h"

struct sk_buff;

/**
 * struct kipsec_path - the SAs that a packet shall pass, innermost first
 * @sa: valid in the RCU section that filled it
 * @n: how many; 0: the packet may go in clear
 * @tunnel: bit i: @sa[i] works in tunnel mode
 */
struct kipsec_path {
	struct kipsec_sa	*sa[KIPSEC_MAX_REQUESTS];
	u8			n;
	u8			tunnel;
};

/** kipsec_sa_between() - are the ends of the SA those of the flow? */
static inline bool kipsec_sa_between(const struct kipsec_sa *sa,
				     const struct kipsec_flow *fl)
{
	const void *src = fl->addr, *dst = fl->addr +
					   kipsec_addr_words(fl->family);

	return sa->id.family == fl->family &&
	       kipsec_addr_equal(&sa->src, src, fl->family) &&
	       kipsec_addr_equal(&sa->id.dst, dst, fl->family);
}

/** kipsec_path_search() - kipsec_path_find() of SAs that are not remembered */
bool kipsec_path_search(struct kipsec_net *kn, struct kipsec_policy *pol,
			const struct kipsec_flow *fl, struct kipsec_path *path);

/**
 * kipsec_path_find() - find an SA for each request of a policy
 * @kn: namespace
 * @pol: a policy that protects
 * @fl: the packet's flow
 * @path: filled in
 *
 * Context: RCU read side, BH off.
 * Return: false if a required SA is missing.
 */
static inline bool kipsec_path_find(struct kipsec_net *kn,
				    struct kipsec_policy *pol,
				    const struct kipsec_flow *fl,
				    struct kipsec_path *path)
{
	struct kipsec_request *req = pol->req;
	struct kipsec_sa *sa;

	/* Most policies want one SA; of a tunnel the ends are not the packet's. */
	if (likely(pol->nreq == 1)) {
		sa = kipsec_sa_recall(kn, &req->cache);
		path->tunnel = req->mode == KIPSEC_MODE_TUNNEL;
		if (likely(sa && kipsec_sa_usable(sa) &&
			   (path->tunnel || kipsec_sa_between(sa, fl)))) {
			path->sa[0] = sa;
			path->n = 1;
			return true;
		}
	}
	return kipsec_path_search(kn, pol, fl, path);
}

/**
 * kipsec_path_ask() - ask key managers for the SAs that are missing
 * @kn: namespace
 * @pol: a policy that protects
 * @fl: the packet's flow
 * @skb: the packet, to wait for what it cannot do without; NULL if none waits
 *
 * Context: RCU read side, BH off.
 * Return: 0, and the packet is taken; else a negative number.
 */
int kipsec_path_ask(struct kipsec_net *kn, struct kipsec_policy *pol,
		    const struct kipsec_flow *fl, struct sk_buff *skb);

/**
 * kipsec_output() - protect a packet and send it
 * @kn: namespace
 * @skb: the packet, whole, data at its IP header; consumed
 * @pol: the policy that asked for it
 * @path: from kipsec_path_find(), not empty
 *
 * Context: RCU read side, BH off.
 * Return: 0 (also if a driver has yet to finish) or an errno for the sender.
 */
int kipsec_output(struct kipsec_net *kn, struct sk_buff *skb,
		  struct kipsec_policy *pol, const struct kipsec_path *path);

#endif /* _KIPSEC_OUTPUT_H */
