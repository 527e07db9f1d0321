// SPDX-License-Identifier: GPL-2.0
/*
 * sockpol.c - policies of sockets (floor 4).
 *
 * The kernel keeps such a policy in the socket, as one of xfrm's; those who can
 * read the option's format compile it. We offer to be one of them. All that key
 * managers ask for is to be left alone, so that is all there is: an xfrm policy
 * that allows, without a transform. xfrm heeds it too, which does no harm.
 */
#include <linux/in.h>
#include <linux/udp.h>
#include <net/sock.h>
#include <net/udp.h>
#include <net/xfrm.h>
#include <pfkeyv2.h>

#include "header.h"
#include "sockpol.h"

/* For IKE's sockets; the others would have to be obeyed packet by packet. */
static int check(const struct sock *sk, int opt, const struct sadb_x_policy *xp,
		 int len)
{
	if (opt != (sk->sk_family == AF_INET6 ? IPV6_IPSEC_POLICY :
						IP_IPSEC_POLICY))
		return -EOPNOTSUPP;
	if (len < (int)sizeof(*xp) ||
	    (xp->sadb_x_policy_dir != IPSEC_DIR_INBOUND &&
	     xp->sadb_x_policy_dir != IPSEC_DIR_OUTBOUND))
		return -EINVAL;
	if (xp->sadb_x_policy_type != IPSEC_POLICY_BYPASS &&
	    xp->sadb_x_policy_type != IPSEC_POLICY_NONE)
		return -EOPNOTSUPP;
	return 0;
}

static struct xfrm_policy *compile(struct sock *sk, int opt, u8 *data, int len,
				   int *dir)
{
	const struct sadb_x_policy *xp = (const void *)data;
	struct xfrm_policy *pol;

	*dir = check(sk, opt, xp, len);
	if (*dir)
		return NULL;
	*dir = -ENOBUFS;
	pol = xfrm_policy_alloc(sock_net(sk), GFP_ATOMIC);
	if (!pol)
		return NULL;
	pol->action = XFRM_POLICY_ALLOW;
	pol->family = sk->sk_family;
	pol->selector.family = sk->sk_family;
	pol->lft.soft_byte_limit = XFRM_INF;
	pol->lft.hard_byte_limit = XFRM_INF;
	pol->lft.soft_packet_limit = XFRM_INF;
	pol->lft.hard_packet_limit = XFRM_INF;
	*dir = xp->sadb_x_policy_dir - 1;
	return pol;
}

/* xfrm wants SAs: not of us. */
static int acquire(struct xfrm_state *x, struct xfrm_tmpl *tmpl,
		   struct xfrm_policy *pol)
{
	return -ESRCH;
}

static struct xfrm_mgr manager = {
	.acquire	= acquire,
	.compile_policy	= compile,
};

static struct sock *receiver(struct net *net, const struct sk_buff *skb,
			     const struct udphdr *uh)
{
	int dev = skb->dev->ifindex;

#if IS_ENABLED(CONFIG_IPV6)
	if (kipsec_is_ip6(skb))
		return udp6_lib_lookup(net, &ipv6_hdr(skb)->saddr, uh->source,
				       &ipv6_hdr(skb)->daddr, uh->dest, dev);
#endif
	return udp4_lib_lookup(net, ip_hdr(skb)->saddr, uh->source,
			       ip_hdr(skb)->daddr, uh->dest, dev);
}

bool kipsec_sockpol_in(struct net *net, const struct sk_buff *skb,
		       const struct kipsec_upper *up)
{
	const struct udphdr *uh;
	struct udphdr buf;
	struct sock *sk;
	bool takes;

	uh = skb_header_pointer(skb, up->off, sizeof(buf), &buf);
	sk = uh ? receiver(net, skb, uh) : NULL;
	if (!sk)
		return false;
	takes = rcu_access_pointer(sk->sk_policy[XFRM_POLICY_IN]);
	sock_put(sk);
	return takes;
}

void kipsec_sockpol_start(void)
{
	xfrm_register_km(&manager);
}

void kipsec_sockpol_stop(void)
{
	xfrm_unregister_km(&manager);
}
