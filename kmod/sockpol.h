/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sockpol.h - policies of sockets (floor 4).
 *
 * Key managers ask that their own packets bypass all policies, by the socket
 * options IP_IPSEC_POLICY and IPV6_IPSEC_POLICY.
 */
#ifndef _KIPSEC_SOCKPOL_H
#define _KIPSEC_SOCKPOL_H

#include <net/inet_sock.h>
#include <net/xfrm.h>

struct kipsec_upper;

/** kipsec_sockpol_out() - does the socket that sends it bypass policies? */
static inline bool kipsec_sockpol_out(const struct sk_buff *skb)
{
	const struct sock *sk = skb_to_full_sk(skb);

	return sk && rcu_access_pointer(sk->sk_policy[XFRM_POLICY_OUT]);
}

/**
 * kipsec_sockpol_in() - is it for a socket that takes what is in clear?
 * @net: namespace
 * @skb: for this host, data at its IP header
 * @up: its UDP header
 *
 * Context: RCU read side.
 */
bool kipsec_sockpol_in(struct net *net, const struct sk_buff *skb,
		       const struct kipsec_upper *up);

/** kipsec_sockpol_start() - serve the socket options; once per load */
void kipsec_sockpol_start(void);
void kipsec_sockpol_stop(void);

#endif /* _KIPSEC_SOCKPOL_H */
