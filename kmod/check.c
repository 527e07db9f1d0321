// SPDX-License-Identifier: GPL-2.0
/*
 * check.c - may this packet come in? (floor 4)
 *
 * Every packet is judged once, by the addresses that really came: one that we
 * decapsulated right after that (input.c), before GRO, reassembly or NAT could
 * mix or change it; one that came in clear when it enters the stack (hooks.c).
 *
 * A decapsulated packet carries a secpath with one entry for each SA that it
 * passed: a mirror, an xfrm_state that stands for the SA and is in no table of
 * xfrm's. The core copies, holds and frees such entries wherever a packet goes.
 */
#include <net/xfrm.h>

#include "check.h"
#include "header.h"
#include "reason.h"
#include "spd.h"

/* Their addresses tell our mirrors from xfrm's, and the mode of the SA. */
static const char markers[KIPSEC_MODE_TUNNEL + 1];

/* --- the tag ------------------------------------------------------------- */

static bool is_mirror(const struct xfrm_state *x)
{
	const char *data = x->data;

	return data >= markers && data < markers + ARRAY_SIZE(markers);
}

bool kipsec_tagged(const struct sk_buff *skb)
{
	const struct sec_path *sp = skb_sec_path(skb);

	return sp && sp->len && is_mirror(sp->xvec[sp->len - 1]);
}

static struct xfrm_state *mirror_make(const struct kipsec_sa *sa)
{
	struct xfrm_state *x = xfrm_state_alloc(sa->net->net);

	if (!x)
		return NULL;
	x->id.spi = sa->id.spi;
	x->id.proto = sa->id.proto;
	memcpy(&x->id.daddr, &sa->id.dst, sizeof(x->id.daddr));
	memcpy(&x->props.saddr, &sa->src, sizeof(x->props.saddr));
	x->props.family = sa->id.family;
	x->props.reqid = sa->reqid;
	/* xfrm refuses other modes where it has no policy of its own. */
	x->props.mode = XFRM_MODE_TRANSPORT;
	x->data = (void *)&markers[sa->mode];
	x->km.state = XFRM_STATE_VALID;
	return x;
}

/* Append the SA's mirror to the secpath of @skb. */
static bool secpath_append(struct sk_buff *skb, struct xfrm_state *x)
{
	struct sec_path *sp = secpath_set(skb);

	if (!sp || sp->len == XFRM_MAX_DEPTH)
		return false;
	xfrm_state_hold(x);
	sp->xvec[sp->len++] = x;
	return true;
}

static struct xfrm_state *tag_mirror(struct skb_ext *tag)
{
	struct sec_path *sp = (void *)tag +
			      (tag->offset[SKB_EXT_SEC_PATH] << 3);

	return sp->xvec[0];
}

/*
 * The first packet of an SA makes its tag: a secpath with the mirror as its one
 * entry, which all packets that have no other extension share.
 */
static struct skb_ext *tag_make(struct kipsec_sa *sa)
{
	struct xfrm_state *x = mirror_make(sa);
	struct sk_buff *vessel = alloc_skb(0, GFP_ATOMIC | __GFP_NOWARN);
	struct skb_ext *tag = NULL, *was;

	if (x && vessel && secpath_append(vessel, x)) {
		tag = vessel->extensions;
		vessel->active_extensions = 0;
	}
	if (x && !tag)
		x->km.state = XFRM_STATE_DEAD;
	if (x)
		xfrm_state_put(x);	/* the secpath holds it */
	kfree_skb(vessel);
	if (!tag)
		return NULL;
	was = unrcu_pointer(cmpxchg(&sa->tag, NULL, RCU_INITIALIZER(tag)));
	if (!was)
		return tag;
	tag_mirror(tag)->km.state = XFRM_STATE_DEAD;
	__skb_ext_put(tag);
	return was;
}

bool kipsec_tag(struct sk_buff *skb, struct kipsec_sa *sa)
{
	struct skb_ext *tag = rcu_dereference(sa->tag);

	if (unlikely(!tag))
		tag = tag_make(sa);
	if (unlikely(!tag))
		return false;
	if (unlikely(skb->active_extensions))
		return secpath_append(skb, tag_mirror(tag));
	refcount_inc(&tag->refcnt);
	skb->extensions = tag;
	skb->active_extensions = 1 << SKB_EXT_SEC_PATH;
	skb->slow_gro = 1;	/* or GRO would not put it */
	return true;
}

/* --- the check ----------------------------------------------------------- */

/* Are they the packet's own addresses that the SA has? */
static bool same_ends(const struct xfrm_state *x, const struct sk_buff *skb)
{
	if (!kipsec_is_ip6(skb))
		return x->props.family == AF_INET &&
		       x->props.saddr.a4 == ip_hdr(skb)->saddr &&
		       x->id.daddr.a4 == ip_hdr(skb)->daddr;
	return x->props.family == AF_INET6 &&
	       ipv6_addr_equal(&x->props.saddr.in6, &ipv6_hdr(skb)->saddr) &&
	       ipv6_addr_equal(&x->id.daddr.in6, &ipv6_hdr(skb)->daddr);
}

/*
 * What came out of a tunnel may state any source, that of a neighbour with an
 * SA of its own too. An SA of no stated mode may have been a tunnel; that shows
 * in the innermost header.
 */
static bool transport_met(const struct xfrm_state *x, const struct sk_buff *skb,
			  bool innermost)
{
	const char *mode = x->data;

	if (mode == &markers[KIPSEC_MODE_ANY] && innermost)
		return same_ends(x, skb);
	return mode != &markers[KIPSEC_MODE_TUNNEL];
}

/* Is this the SA that the request asks for? */
static bool request_met(const struct kipsec_request *req,
			const struct xfrm_state *x, const struct sk_buff *skb,
			bool innermost)
{
	if (!is_mirror(x) || req->proto != x->id.proto)
		return false;
	if (req->reqid && req->reqid != x->props.reqid)
		return false;
	if (req->mode != KIPSEC_MODE_TUNNEL)
		return transport_met(x, skb, innermost);
	return req->family == x->props.family &&
	       kipsec_addr_equal(&req->src, (const void *)&x->props.saddr,
				 req->family) &&
	       kipsec_addr_equal(&req->dst, (const void *)&x->id.daddr,
				 req->family);
}

/*
 * May the sender have left it out? What does not shrink is sent without IPComp,
 * whatever policy says (RFC 3173 section 2.2); in tunnel mode it is still IP in
 * IP then, and has the tag (ipip.c).
 */
static bool request_optional(const struct kipsec_request *req)
{
	return req->level == KIPSEC_LEVEL_USE ||
	       (req->proto == IPPROTO_COMP &&
		req->mode != KIPSEC_MODE_TUNNEL);
}

/*
 * The first request is the innermost header, hence the last SA passed. SAs that
 * no request asks for are not accepted.
 */
static bool policy_met(const struct kipsec_policy *pol,
		       const struct sk_buff *skb)
{
	const struct sec_path *sp = skb_sec_path(skb);
	int left = sp ? sp->len : 0;
	unsigned int i;

	for (i = 0; i < pol->nreq; i++) {
		if (left && request_met(&pol->req[i], sp->xvec[left - 1], skb,
					left == sp->len))
			left--;
		else if (!request_optional(&pol->req[i]))
			return false;
	}
	return !left || !pol->nreq || !is_mirror(sp->xvec[left - 1]);
}

static unsigned int judge(struct kipsec_policy *pol, const struct sk_buff *skb)
{
	if (!pol || pol->action == KIPSEC_NONE)
		return KIPSEC_REASON_MAX;
	if (pol->action == KIPSEC_DISCARD)
		return KIPSEC_DROP_IN_DISCARD;
	if (likely(policy_met(pol, skb)))
		return KIPSEC_REASON_MAX;
	return kipsec_tagged(skb) ? KIPSEC_DROP_IN_POLICY :
				    KIPSEC_DROP_IN_CLEAR;
}

unsigned int kipsec_check(struct kipsec_net *kn, struct sk_buff *skb,
			  struct kipsec_policy *in, struct kipsec_policy *fwd,
			  struct kipsec_policy **pol)
{
	unsigned int vin, vfwd;
	bool forward;

	vin = judge(in, skb);
	vfwd = judge(fwd, skb);
	/* Whether it is for us matters only where the two differ. */
	forward = vin == vfwd ? !in : !kipsec_for_us(kn->net, skb);
	*pol = forward ? fwd : in;
	if (*pol)
		kipsec_policy_used(*pol);
	return forward ? vfwd : vin;
}

/*
 * One request, one SA: then it does not depend on the packet whether they fit,
 * unless nobody has said which mode the SA is of.
 */
void kipsec_check_remember(struct kipsec_net *kn, const struct sk_buff *skb,
			   struct kipsec_sa *sa, unsigned long gen,
			   struct kipsec_policy *found[KIPSEC_SLOTS])
{
	unsigned int i;

	if (skb_sec_path(skb)->len != 1 || sa->mode == KIPSEC_MODE_ANY)
		return;
	for (i = 0; i < KIPSEC_SLOTS; i++)
		if (found[i] && found[i]->nreq == 1 &&
		    judge(found[i], skb) == KIPSEC_REASON_MAX)
			kipsec_sa_remember(kn, &found[i]->req[0].cache, sa, gen);
}
