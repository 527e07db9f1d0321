/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shortcut.h - what a packet may leave out because nobody would see it (floor 4).
 *
 * A protected packet for this host goes a long way: it is routed, passes LOCAL_IN,
 * is given to raw sockets and to the handler of its protocol; decapsulated, it enters
 * the stack once more where devices deliver, passes packet sockets, traffic control
 * and PRE_ROUTING again. All that costs as much as the rest of its decapsulation, and
 * is there for others: firewalls, captures. The kernel does say whether there are
 * any. If there are none, the packet is decapsulated in the hook of PRE_ROUTING, and
 * goes on from there in clear, as the packet that came.
 *
 * In the same way the tag that tells of the SA (check.c) is left off if nobody can
 * ask for it: neither rules of a firewall, nor xfrm.
 *
 * All questions are asked for each packet. Whoever begins to look, sees the next one.
 */
#ifndef _KIPSEC_SHORTCUT_H
#define _KIPSEC_SHORTCUT_H

#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/l3mdev.h>
#include <net/net_namespace.h>
#include <net/raw.h>
#include <net/rawv6.h>
#include <net/route.h>

#include "compat/compat.h"
#include "header.h"

/*
 * Packet sockets, traffic control and others where @dev delivers; RPS spreads packets
 * in clear over processors. Packet sockets of all devices are those of the namespace:
 * the stack's list of them, which dev_nit_active() reads, is one for all.
 */
static inline bool kipsec_watched(const struct net *net,
				  const struct net_device *dev)
{
	return !hlist_empty(&net->packet.sklist) ||
	       !list_empty(&dev->ptype_all) || kipsec_ingress(dev) ||
	       rcu_access_pointer(dev->rx_handler) ||
	       rcu_access_pointer(dev->xdp_prog) ||
	       netif_is_l3_slave(dev) || netif_is_l3_master(dev) ||
	       kipsec_rps();
}

/* Raw sockets get a copy of what the handler gets; some others share their list. */
static inline bool kipsec_raw_sockets(const struct net *net, bool ip6, u8 proto)
{
	u32 hash = raw_hashfunc(net, proto);

#if IS_ENABLED(CONFIG_IPV6)
	if (ip6)
		return !hlist_empty(&raw_v6_hashinfo.ht[hash]);
#endif
	return !hlist_empty(&raw_v4_hashinfo.ht[hash]);
}

static inline const struct nf_hook_entries *
kipsec_chain(const struct net *net, bool ip6, unsigned int hook)
{
	return ip6 ? rcu_dereference(net->nf.hooks_ipv6[hook]) :
		     rcu_dereference(net->nf.hooks_ipv4[hook]);
}

/**
 * kipsec_shortcut_in() - may a packet be decapsulated in the hook of PRE_ROUTING?
 * @net: the namespace
 * @skb: came in, for this host
 * @sa: the SA that it names
 *
 * Context: RCU read side, in that hook.
 */
static inline bool kipsec_shortcut_in(const struct net *net,
				      const struct sk_buff *skb,
				      const struct kipsec_sa *sa)
{
	bool ip6 = kipsec_is_ip6(skb);

	const struct nf_hook_entries *chain;

	chain = kipsec_chain(net, ip6, NF_INET_PRE_ROUTING);
	return !skb->active_extensions && kipsec_plain_esp(skb) &&
	       !sa->natt.type && chain->num_hook_entries == 1 &&
	       !kipsec_chain(net, ip6, NF_INET_LOCAL_IN) &&
	       !kipsec_raw_sockets(net, ip6, IPPROTO_ESP) &&
	       !kipsec_watched(net, skb->dev);
}

/**
 * kipsec_xfrm_idle() - has xfrm nothing to say about packets that come in?
 * @net: the namespace
 *
 * It would find that out by a search for each packet with a secpath.
 */
static inline bool kipsec_xfrm_idle(const struct net *net)
{
	const struct netns_xfrm *xfrm = &net->xfrm;

	return !READ_ONCE(xfrm->policy_count[XFRM_POLICY_IN]) &&
	       !READ_ONCE(xfrm->policy_count[XFRM_POLICY_FWD]) &&
	       xfrm->policy_default[XFRM_POLICY_IN] == XFRM_USERPOLICY_ACCEPT &&
	       xfrm->policy_default[XFRM_POLICY_FWD] == XFRM_USERPOLICY_ACCEPT;
}

/**
 * kipsec_calm_xfrm() - the packet has been checked by us: xfrm need not
 * @net: the namespace
 * @skb: came in; tagged
 *
 * IPv4 alone has a flag for this.
 */
static inline void kipsec_calm_xfrm(const struct net *net, struct sk_buff *skb)
{
	if (!kipsec_is_ip6(skb) && kipsec_xfrm_idle(net))
		IPCB(skb)->flags |= IPSKB_NOPOLICY;
}

/**
 * kipsec_shortcut_tag() - will nobody ask how the packet came in?
 * @net: the namespace
 * @skb: in clear
 *
 * Neither xfrm nor rules; behind FORWARD no rule can. But the stack does: by a tag it
 * knows whom not to tell of a shorter way (ICMP redirect), and whose source need not
 * lie where the packet came from. So IPv4 is routed here, and what it would tell is
 * taken back; for IPv6 that cannot be done, and only hosts leave the tag off.
 *
 * To be asked after kipsec_shortcut_in().
 *
 * Context: RCU read side.
 */
static inline bool kipsec_shortcut_tag(const struct net *net,
				       struct sk_buff *skb)
{
	bool ip6 = kipsec_is_ip6(skb);
	struct in_device *in;

	if (!kipsec_xfrm_idle(net) || kipsec_chain(net, ip6, NF_INET_FORWARD))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (ip6)
		return !READ_ONCE(net->ipv6.devconf_all->forwarding);
#endif
	in = __in_dev_get_rcu(skb->dev);
	if (!in || IN_DEV_RPFILTER(in) == 1 || kipsec_route_input(skb))
		return false;
	IPCB(skb)->flags &= ~IPSKB_DOREDIRECT;
	return true;
}

#endif /* _KIPSEC_SHORTCUT_H */
