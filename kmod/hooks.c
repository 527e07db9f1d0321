// SPDX-License-Identifier: GPL-2.0
/*
 * hooks.c - where packets meet policies (floor 4).
 *
 * Output: POST_ROUTING, last but one. All packets pass, local and forwarded,
 * with the addresses that will really be on the wire (after SNAT), whole, and
 * not yet segmented. Only connection tracking's confirmation comes later, and a
 * packet that we take must still get it: we run the rest of the chain ourselves
 * and then keep the packet.
 *
 * Input: PRE_ROUTING, before NAT, for packets in clear. Fragments are put
 * together here if nobody did before, since policies may name ports.
 *
 * Those of output are up only while a namespace has policies for output, those of
 * input while it has some for input; a module without policies costs a packet
 * nothing.
 */
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/slab.h>
#include <net/ip.h>
#include <net/xfrm.h>

#include "check.h"
#include "header.h"
#include "hooks.h"
#include "input.h"
#include "natt.h"
#include "output.h"
#include "pmtu.h"
#include "route.h"
#include "shortcut.h"
#include "sockpol.h"
#include "stats.h"

#define PRI_OUT		(INT_MAX - 1)
#define PRI_IN		(-350)	/* conntrack reassembles at -400, NAT is -100 */

#define FAMILIES	2

/**
 * struct kipsec_hooks - the hooks of a namespace; but for @ops under
 *	kipsec_net.cfg
 * @ops: of input and of output, each for IPv4 and IPv6
 * @wanted: there are policies for it
 * @up: registered
 * @natt: SAs have been there that send ESP in UDP
 */
struct kipsec_hooks {
	struct nf_hook_ops	ops[KIPSEC_SIDES][FAMILIES];
	bool			wanted[KIPSEC_SIDES];
	bool			up[KIPSEC_SIDES];
	bool			natt;
};

static unsigned int stolen(int err)
{
	return NF_STOLEN | ((unsigned int)-err << NF_VERDICT_QBITS);
}

static unsigned int hook_out4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);
static unsigned int hook_out6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);

/* Hooks get packets whose data are at the IP header. */
static __always_inline const __be32 *addresses(const struct sk_buff *skb, bool ip6)
{
	if (ip6)
		return (__be32 *)&((const struct ipv6hdr *)skb->data)->addrs;
	return (__be32 *)&((const struct iphdr *)skb->data)->addrs;
}

/* --- the rest of the chain ----------------------------------------------- */

/* A later hook queued the packet and now gives it back: look again. */
static int requeued(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	struct kipsec_net *kn = kipsec_net(net);
	struct kipsec_policy *pol;
	struct kipsec_path path;
	struct kipsec_flow fl;
	int err = -EHOSTUNREACH;

	rcu_read_lock();
	local_bh_disable();
	pol = kipsec_flow_get(skb, &fl) ?
		kipsec_spd_lookup_out(kn, &fl) : NULL;
	if (pol && pol->action == KIPSEC_PROTECT &&
	    kipsec_path_find(kn, pol, &fl, &path) && path.n)
		err = kipsec_output(kn, skb, pol, &path);
	else
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NO_SA, NULL, pol);
	local_bh_enable();
	rcu_read_unlock();
	return err;
}

static bool is_ours(const struct nf_hook_entry *e)
{
	return e->hook == hook_out4 || e->hook == hook_out6;
}

static noinline bool run_rest(struct sk_buff *skb,
			      const struct nf_hook_state *state,
			      const struct nf_hook_entries *e)
{
	struct nf_hook_state st = *state;
	unsigned int i;

	for (i = 0; i < e->num_hook_entries; i++)
		if (is_ours(&e->hooks[i]))
			break;
	st.okfn = requeued;
	return nf_hook_slow(skb, &st, e, i + 1) == 1;
}

/*
 * Run the hooks behind ours. True: the packet is still here, and ours.
 */
static bool rest_of_chain(struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct nf_hook_entries *e;

	e = kipsec_chain(state->net, state->pf == NFPROTO_IPV6,
			 NF_INET_POST_ROUTING);
	return !e || is_ours(&e->hooks[e->num_hook_entries - 1]) ||
	       run_rest(skb, state, e);
}

/* --- bridges ------------------------------------------------------------- */

/*
 * br_netfilter shows us frames that only pass through a bridge, which is no
 * business of IPsec's. A packet that was routed after it had come through a
 * bridge looks nearly the same, but no port has been chosen for it.
 */
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
static bool bridged_out(const struct sk_buff *skb)
{
	const struct nf_bridge_info *info = nf_bridge_info_get(skb);

	return info && info->physoutdev;
}

/* Not sent to the bridge's own address: our IP stack will not take it. */
static bool bridged_in(const struct sk_buff *skb)
{
	const struct nf_bridge_info *info = nf_bridge_info_get(skb);

	return info && info->in_prerouting && info->pkt_otherhost;
}
#else
static bool bridged_out(const struct sk_buff *skb)
{
	return false;
}

static bool bridged_in(const struct sk_buff *skb)
{
	return false;
}
#endif

/* --- output -------------------------------------------------------------- */

/* Packets that no policy is asked about. */
static bool out_exempt(const struct sk_buff *skb,
		       const struct nf_hook_state *state)
{
	const struct net_device *out = state->out;
	bool done = kipsec_is_ip6(skb) ?
		    IP6CB(skb)->flags & IP6SKB_XFRM_TRANSFORMED :
		    IPCB(skb)->flags & IPSKB_XFRM_TRANSFORMED;

	return done || (out->flags & IFF_LOOPBACK) ||
	       netif_is_l3_master(out) ||	/* a VRF; comes again */
	       skb_dst(skb)->xfrm ||		/* xfrm's, and it has decided */
	       bridged_out(skb);
}

/*
 * IPv4 makes a copy of a broadcast, or of a multicast that is listened to here,
 * for this host itself, and shows us both. Nobody owns the copy, which comes
 * first, and its header is still the original's. No other packet has its header
 * in common with one: it has only just been written.
 */
static inline bool out_own_copy(const struct sk_buff *skb)
{
	return skb_header_cloned(skb) && !skb->sk && !kipsec_is_ip6(skb) &&
	       skb_rtable(skb)->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST);
}

static __always_inline unsigned int
out_protect(struct kipsec_net *kn, struct sk_buff *skb,
	    const struct nf_hook_state *state, struct kipsec_policy *pol,
	    const struct kipsec_flow *fl)
{
	struct kipsec_path path KIPSEC_NOT_ZEROED;
	int err;

	if (unlikely(!kipsec_path_find(kn, pol, fl, &path))) {
		bool copy = out_own_copy(skb);

		err = kipsec_path_ask(kn, pol, fl, copy ? NULL : skb);
		if (!err && !copy)
			return NF_STOLEN;	/* it waits */
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NO_SA, NULL, pol);
		return stolen(-EHOSTUNREACH);
	}
	/* Of use to the next packets: this one does not wait. */
	if (unlikely(path.n < pol->nreq))
		kipsec_path_ask(kn, pol, fl, NULL);
	if (!path.n) {
		kipsec_count(kn, KIPSEC_COUNT_OUT_CLEAR);
		return NF_ACCEPT;
	}
	err = 0;
	if (unlikely(out_own_copy(skb)))
		consume_skb(skb);	/* or it would go out twice */
	else if (rest_of_chain(skb, state))
		err = kipsec_output(kn, skb, pol, &path);
	return stolen(err);
}

static __always_inline unsigned int
out_judge(struct kipsec_net *kn, struct sk_buff *skb,
	  const struct nf_hook_state *state, const struct kipsec_flow *fl)
{
	struct kipsec_policy *pol = kipsec_spd_lookup_out(kn, fl);

	if (!pol || !kipsec_policy_meant(pol, fl) || kipsec_sockpol_out(skb))
		return NF_ACCEPT;
	kipsec_policy_used(pol);
	switch (pol->action) {
	case KIPSEC_PROTECT:
		return out_protect(kn, skb, state, pol, fl);
	case KIPSEC_NONE:
		kipsec_count(kn, KIPSEC_COUNT_OUT_CLEAR);
		return NF_ACCEPT;
	default:
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_DISCARD, NULL, pol);
		return stolen(-EPERM);
	}
}

/* Something that may be a policy's. */
static noinline unsigned int out_look(struct kipsec_net *kn,
				      struct sk_buff *skb,
				      const struct nf_hook_state *state)
{
	struct kipsec_flow fl KIPSEC_NOT_ZEROED;
	unsigned int verdict;
	bool local;

	if (!kipsec_whole(state->net, skb, KIPSEC_DEFRAG_OUT))
		return NF_STOLEN;
	if (unlikely(!kipsec_flow_get(skb, &fl))) {
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_MALFORMED, NULL, NULL);
		return stolen(-EINVAL);
	}
	/* What is forwarded has them off already. */
	local = !softirq_count();
	if (local)
		local_bh_disable();
	verdict = out_judge(kn, skb, state, &fl);
	if (local)
		local_bh_enable();
	return verdict;
}

/* Not of what most packets pass: they would save registers for it. */
static noinline unsigned int out_ask(const struct kipsec_spd_view *view,
				     struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	return out_exempt(skb, state) ? NF_ACCEPT : out_look(view->kn, skb, state);
}

/* Each hook has a view of the policies of its side and family. */
static __always_inline unsigned int
hook_out(const struct kipsec_spd_view *view, struct sk_buff *skb,
	 const struct nf_hook_state *state, bool ip6)
{
	if (!kipsec_spd_glance(view, addresses(skb, ip6), ip6))
		return NF_ACCEPT;
	return out_ask(view, skb, state);
}

static unsigned int hook_out4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return hook_out(priv, skb, state, false);
}

static unsigned int hook_out6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return hook_out(priv, skb, state, true);
}

/* --- input in clear ------------------------------------------------------ */

/*
 * IPsec for this host is no clear text, whoever's handler takes it; and key
 * managers negotiate in clear.
 */
static bool in_exempt(struct kipsec_net *kn, const struct sk_buff *skb)
{
	struct kipsec_upper up;

	if (!kipsec_upper_get(skb, &up) || !kipsec_for_us(kn->net, skb))
		return false;
	return kipsec_is_ipsec(up.proto) ||
	       (up.proto == IPPROTO_UDP && (kipsec_natt_is(kn, skb, &up) ||
					    kipsec_sockpol_in(kn->net, skb, &up)));
}

static noinline unsigned int in_judge(struct kipsec_net *kn,
				      struct sk_buff *skb,
				      const struct kipsec_flow *fl,
				      struct kipsec_policy *in,
				      struct kipsec_policy *fwd)
{
	struct kipsec_policy *pol;
	unsigned int reason;

	if (in && !kipsec_policy_meant(in, fl))
		in = NULL;
	if (fwd && !kipsec_policy_meant(fwd, fl))
		fwd = NULL;
	reason = kipsec_check(kn, skb, in, fwd, &pol);
	if (likely(reason == KIPSEC_REASON_MAX) || in_exempt(kn, skb))
		return NF_ACCEPT;
	kipsec_drop(kn, skb, reason, NULL, pol);
	return NF_STOLEN;
}

static noinline unsigned int in_clear(struct kipsec_net *kn, struct sk_buff *skb)
{
	struct kipsec_policy *found[KIPSEC_SLOTS] KIPSEC_NOT_ZEROED;
	struct kipsec_flow fl KIPSEC_NOT_ZEROED;

	if (unlikely(!kipsec_flow_get(skb, &fl))) {
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_INNER, NULL, NULL);
		return NF_STOLEN;
	}
	if (unlikely(fl.proto == (kipsec_is_ip6(skb) ? IPPROTO_ICMPV6 :
						       IPPROTO_ICMP)))
		kipsec_pmtu_hear(kn, skb);
	kipsec_spd_lookup_in(kn, &fl, found);
	if (!found[0] && !found[1])
		return NF_ACCEPT;
	return in_judge(kn, skb, &fl, found[0], found[1]);
}

/*
 * A packet for an SA by which others came that were for this host, from the same
 * device: it need not be routed, perhaps not even leave this hook.
 */
static unsigned int in_protected(struct kipsec_net *kn, struct sk_buff *skb,
				 struct kipsec_sa *sa)
{
	struct dst_entry *dst = kipsec_route_in(sa, skb);

	if (!dst)
		return in_clear(kn, skb);
	if (kipsec_shortcut_in(kn->net, skb, sa))
		return kipsec_input_short(kn, sa, skb) ? NF_ACCEPT : NF_STOLEN;
	skb_dst_set_noref(skb, dst);
	return NF_ACCEPT;
}

/* Passing a bridge, or one that we have let in. */
static bool in_marked(const struct kipsec_net *kn, struct sk_buff *skb)
{
	if (bridged_in(skb))
		return true;
	if (!secpath_exists(skb) || !kipsec_tagged(skb))
		return false;
	kipsec_calm_xfrm(kn->net, skb);
	return true;
}

/* Something that may be ours, or any policy's. */
static noinline unsigned int in_look(const struct kipsec_spd_view *view,
				     struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	struct kipsec_net *kn = view->kn;
	struct kipsec_sa *sa = NULL;
	struct kipsec_upper up;

	if (unlikely(skb->active_extensions) && in_marked(kn, skb))
		return NF_ACCEPT;
	if (!kipsec_whole(state->net, skb, KIPSEC_DEFRAG_IN))
		return NF_STOLEN;
	if (likely(kipsec_plain_esp(skb)))
		sa = kipsec_input_sa(kn, skb, kipsec_is_ip6(skb) ? sizeof(struct ipv6hdr) :
							 sizeof(struct iphdr),
				     IPPROTO_ESP);
	else if (kipsec_maybe_ipsec(skb) && kipsec_upper_get(skb, &up) &&
		 kipsec_is_ipsec(up.proto))
		sa = kipsec_input_sa(kn, skb, up.off, up.proto);
	return sa ? in_protected(kn, skb, sa) : in_clear(kn, skb);
}

/* What may be IPsec, and ICMP, which may be about it. */
static __always_inline bool in_special(u8 proto, bool ip6)
{
	if (likely(proto == IPPROTO_UDP || proto == IPPROTO_TCP))
		return false;
	return kipsec_leads_to_ipsec(proto, ip6) ||
	       proto == (ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* None of these, nor any policy's; and nobody has marked it. */
static __always_inline bool in_passes(const struct kipsec_spd_view *view,
				      const struct sk_buff *skb, bool ip6)
{
	const struct ipv6hdr *h6 = (const struct ipv6hdr *)skb->data;
	const struct iphdr *h4 = (const struct iphdr *)skb->data;

	return !skb->active_extensions &&
	       !in_special(ip6 ? h6->nexthdr : h4->protocol, ip6) &&
	       !kipsec_spd_glance(view, addresses(skb, ip6), ip6);
}

static __always_inline unsigned int
hook_in(const struct kipsec_spd_view *view, struct sk_buff *skb,
	const struct nf_hook_state *state, bool ip6)
{
	if (in_passes(view, skb, ip6) || (state->in->flags & IFF_LOOPBACK))
		return NF_ACCEPT;
	return in_look(view, skb, state);
}

static unsigned int hook_in4(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	return hook_in(priv, skb, state, false);
}

static unsigned int hook_in6(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	return hook_in(priv, skb, state, true);
}

/* --- up and down --------------------------------------------------------- */

#define HOOK(function, family, number, order) {	\
	.hook		= (function),			\
	.pf		= (family),			\
	.hooknum	= (number),			\
	.priority	= (order),			\
}

static const struct nf_hook_ops hook_ops[KIPSEC_SIDES][FAMILIES] = {
	[KIPSEC_SIDE_IN] = {
		HOOK(hook_in4, NFPROTO_IPV4, NF_INET_PRE_ROUTING, PRI_IN),
		HOOK(hook_in6, NFPROTO_IPV6, NF_INET_PRE_ROUTING, PRI_IN),
	},
	[KIPSEC_SIDE_OUT] = {
		HOOK(hook_out4, NFPROTO_IPV4, NF_INET_POST_ROUTING, PRI_OUT),
		HOOK(hook_out6, NFPROTO_IPV6, NF_INET_POST_ROUTING, PRI_OUT),
	},
};

static int side_set(struct kipsec_net *kn, enum kipsec_side side, bool on)
{
	struct kipsec_hooks *h = kn->hooks;
	int err;

	if (on == h->up[side])
		return 0;
	if (on) {
		err = nf_register_net_hooks(kn->net, h->ops[side], FAMILIES);
		if (err)
			return err;
	} else {
		nf_unregister_net_hooks(kn->net, h->ops[side], FAMILIES);
	}
	h->up[side] = on;
	return 0;
}

/*
 * Input without policies is of no interest, but for ICMP about the size of our
 * own UDP packets, of which the stack tells nobody else.
 */
static int hooks_update(struct kipsec_net *kn)
{
	struct kipsec_hooks *h = kn->hooks;
	bool out = h->wanted[KIPSEC_SIDE_OUT];
	bool in = h->wanted[KIPSEC_SIDE_IN] || (out && h->natt);
	int err = side_set(kn, KIPSEC_SIDE_OUT, out);

	return err ?: side_set(kn, KIPSEC_SIDE_IN, in);
}

/* The first policy is about to come, or the last has gone; @cfg is held. */
static int hooks_follow(struct kipsec_net *kn, enum kipsec_side side, bool on)
{
	struct kipsec_hooks *h = kn->hooks;
	int err;

	lockdep_assert_held(&kn->cfg);
	h->wanted[side] = on;
	err = hooks_update(kn);
	if (err) {
		h->wanted[side] = false;
		hooks_update(kn);
	}
	return err;
}

void kipsec_hooks_natt(struct kipsec_net *kn)
{
	lockdep_assert_held(&kn->cfg);
	kn->hooks->natt = true;
	hooks_update(kn);
}

void kipsec_hooks_start(void)
{
	kipsec_spd_set_populated(hooks_follow);
}

int kipsec_hooks_init(struct kipsec_net *kn)
{
	struct kipsec_hooks *h = kzalloc(sizeof(*h), GFP_KERNEL);
	unsigned int side, i;

	if (!h)
		return -ENOMEM;
	for (side = 0; side < KIPSEC_SIDES; side++)
		for (i = 0; i < FAMILIES; i++) {
			h->ops[side][i] = hook_ops[side][i];
			h->ops[side][i].priv = &kn->spd->view[side][i];
		}
	kn->hooks = h;
	return 0;
}

void kipsec_hooks_exit(struct kipsec_net *kn)
{
	side_set(kn, KIPSEC_SIDE_IN, false);
	side_set(kn, KIPSEC_SIDE_OUT, false);
	/* A packet in a hook may still look at us. */
	synchronize_net();
	kfree(kn->hooks);
}
