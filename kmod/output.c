// SPDX-License-Identifier: GPL-2.0
/*
 * output.c - from a policy to protected packets (floor 4).
 *
 *	hooks.c -> kipsec_path_find() -> kipsec_output() -> one job per segment
 *	  -> for each SA of the path: transform, crypto (now or later)
 *	  -> send_outer() -> ip_local_out()
 */
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/xfrm.h>

#include "acquire.h"
#include "mss.h"
#include "natt.h"
#include "output.h"
#include "packet.h"
#include "pmtu.h"
#include "route.h"
#include "shortcut.h"
#include "stats.h"
#include "xform.h"

/* --- which SAs ----------------------------------------------------------- */

static void want_addresses(struct kipsec_sa_want *want,
			   const struct kipsec_flow *fl)
{
	unsigned int words = kipsec_addr_words(fl->family);

	memcpy(want->src.w, fl->addr, words * sizeof(u32));
	memcpy(want->dst.w, fl->addr + words, words * sizeof(u32));
	want->family = fl->family;
}

/* A transport SA runs between the ends of what it protects. */
static void want_first(struct kipsec_sa_want *want,
		       const struct kipsec_policy *pol,
		       const struct kipsec_flow *fl)
{
	if (pol->nreq && pol->req[0].mode != KIPSEC_MODE_TUNNEL)
		want_addresses(want, fl);
}

static void want_next(struct kipsec_sa_want *want,
		      const struct kipsec_request *req)
{
	want->reqid = req->reqid;
	want->proto = req->proto;
	want->mode = req->mode;
	if (req->mode == KIPSEC_MODE_TUNNEL) {
		want->src = req->src;
		want->dst = req->dst;
		want->family = req->family;
	}
}

/*
 * Ask for each SA that is missing, for IPComp's last: some key managers do not
 * listen to that. The packet waits for the first that it cannot do without.
 */
int kipsec_path_ask(struct kipsec_net *kn, struct kipsec_policy *pol,
		    const struct kipsec_flow *fl, struct sk_buff *skb)
{
	int err = -ESRCH, one;
	unsigned int pass, i;

	if (!kipsec_acquire_heard(kn))
		return -ESRCH;
	for (pass = 0; pass < 2; pass++) {
		struct kipsec_sa_want want = { };

		want_first(&want, pol, fl);
		for (i = 0; i < pol->nreq; i++) {
			struct kipsec_request *req = &pol->req[i];
			bool wait = skb && req->level != KIPSEC_LEVEL_USE;
			bool comp;

			want_next(&want, req);
			comp = req->proto == IPPROTO_COMP;
			if (comp != pass ||
			    kipsec_sad_choose(kn, &want, &req->cache))
				continue;
			one = kipsec_acquire(kn, &want, pol->id,
					     pol->rule.priority,
					     wait ? skb : NULL);
			if (wait) {
				err = one;
				skb = one ? skb : NULL;
			}
		}
	}
	return err;
}

bool kipsec_path_search(struct kipsec_net *kn, struct kipsec_policy *pol,
			const struct kipsec_flow *fl, struct kipsec_path *path)
{
	struct kipsec_sa_want want = { };
	unsigned int i;

	path->n = 0;
	path->tunnel = 0;
	want_first(&want, pol, fl);
	for (i = 0; i < pol->nreq; i++) {
		struct kipsec_request *req = &pol->req[i];
		struct kipsec_sa *sa;

		want_next(&want, req);
		sa = kipsec_sad_choose(kn, &want, &req->cache);
		if (sa) {
			if (req->mode == KIPSEC_MODE_TUNNEL)
				path->tunnel |= BIT(path->n);
			path->sa[path->n++] = sa;
		} else if (req->level != KIPSEC_LEVEL_USE) {
			return false;
		}
	}
	return true;
}

/* --- sending ------------------------------------------------------------- */

static int local_out4(struct net *net, struct sk_buff *skb)
{
	*IPCB(skb) = (struct inet_skb_parm){ .flags = IPSKB_XFRM_TRANSFORMED };
	if (kipsec_chain(net, false, NF_INET_LOCAL_OUT) ||
	    netif_is_l3_slave(skb_dst(skb)->dev))
		return ip_local_out(net, skb->sk, skb);
	/* That is what is left of it where LOCAL_OUT is empty. */
	kipsec_finish_header(skb);
	return dst_output(net, skb->sk, skb);
}

#if IS_ENABLED(CONFIG_IPV6)
static int local_out6(struct kipsec_sa *sa, struct sk_buff *skb)
{
	const struct dst_entry *dst = skb_dst(skb);
	unsigned int mtu = kipsec_route_mtu(sa, dst);

	*IP6CB(skb) = (struct inet6_skb_parm){
		.flags = IP6SKB_XFRM_TRANSFORMED,
	};
	/* What may not be fragmented has been refused by kipsec_fit(). */
	skb->ignore_df = 1;
	/* No router makes them smaller; our copy of the route knows no MTU. */
	if (skb->len > mtu)
		IP6CB(skb)->frag_max_size = min(mtu, dst_mtu(dst));
	return ip6_local_out(sa->net->net, skb->sk, skb);
}
#else
static int local_out6(struct kipsec_sa *sa, struct sk_buff *skb)
{
	return local_out4(sa->net->net, skb);
}
#endif

/*
 * The outer packet is a packet of this host's: it has no part in the inner
 * one's connection tracking (NAT would mangle it) or secpath.
 */
static int send_outer(struct kipsec_sa *sa, struct sk_buff *skb,
		      struct dst_entry *dst, int vrf)
{
	struct kipsec_net *kn = sa->net;
	int err;

	if (unlikely(!dst)) {
		struct kipsec_lead lead = { skb->mark, vrf };

		dst = kipsec_route(sa, lead);
	}
	if (unlikely(!dst)) {
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NO_ROUTE, sa, NULL);
		return -EHOSTUNREACH;
	}
	skb_dst_set_noref(skb, dst);
	skb->dev = NULL;
	nf_reset_ct(skb);
	secpath_reset(skb);
	skb->ip_summed = CHECKSUM_NONE;
	skb->encapsulation = 0;
	kipsec_count(kn, KIPSEC_COUNT_OUT_PROTECTED);
	err = kipsec_is_ip6(skb) ? local_out6(sa, skb) :
				   local_out4(kn->net, skb);
	return net_xmit_eval(err) < 0 ? err : 0;
}

static int output_fail(struct kipsec_job *job, int err)
{
	enum kipsec_reason reason = job->reason;
	struct kipsec_sa *sa = job->sa;
	struct kipsec_net *kn = sa->net;

	kipsec_drop(kn, kipsec_job_put(job), reason, sa, NULL);
	return err;
}

/*
 * The SA at work came to its end with this packet, before anything was written.
 * Another may stand beside it; then that one is at work. Never of a parted job,
 * which holds the SAs of its path; and it may be so new that its cipher wants more
 * room than jobs had a moment ago.
 */
static bool output_other(struct kipsec_job *job)
{
	const struct kipsec_cipher *c;
	struct kipsec_sa *sa;

	if (job->parted)
		return false;
	/* Its state says that it is over, so this finds it no more. */
	sa = kipsec_sad_like(job->sa, false);
	if (!sa)
		return false;
	c = sa->xf->cipher ? sa->xf->cipher(sa) : NULL;
	if (c && !kipsec_crypt_fits(job, c))
		return false;
	job->path[job->i] = sa;
	return true;
}

/* One SA, or who stands in for it. */
static int output_pass(struct kipsec_job *job)
{
	int err;

	do {
		job->sa = job->path[job->i];
		err = job->sa->xf->output(job);
	} while (unlikely(err == -EKEYEXPIRED || err == -EOVERFLOW) &&
		 output_other(job));
	return err;
}

static void output_passed(struct kipsec_job *job)
{
	if (unlikely(job->sa->natt.type))
		kipsec_natt_sum(job);
	job->i++;
}

/* Pass the SAs that are left, then send. */
static int output_run(struct kipsec_job *job)
{
	struct kipsec_sa *outermost;
	struct dst_entry *dst;
	int err, vrf;

	for (; job->i < job->n; output_passed(job)) {
		if (job->i && kipsec_job_tunnel(job))
			kipsec_finish_header(job->skb);
		err = output_pass(job);
		if (err == -EINPROGRESS)
			return 0;	/* output_resume() goes on */
		if (unlikely(err))
			return output_fail(job, err);
	}
	/* What the job held is let go; RCU keeps the SA for this call. */
	outermost = job->path[job->n - 1];
	dst = job->dst;
	vrf = job->vrf;
	return send_outer(outermost, kipsec_job_put(job), dst, vrf);
}

static void output_resume(struct kipsec_job *job, int err)
{
	if (unlikely(err)) {
		job->reason = kipsec_crypt_reason(true, err);
		output_fail(job, err);
		return;
	}
	output_passed(job);
	output_run(job);
}

static __always_inline int
output_whole(struct kipsec_net *kn, struct sk_buff *skb,
	     struct kipsec_policy *pol, const struct kipsec_path *path,
	     struct dst_entry *dst, int vrf)
{
	struct kipsec_job *job;
	unsigned int i;

	if (skb->ip_summed == CHECKSUM_PARTIAL && skb_csum_hwoffload_help(skb, 0))
		goto drop;
	job = kipsec_job_get(skb);
	if (unlikely(!job))
		goto drop;
	job->vrf = vrf;
	skb_dst_drop(skb);
	for (i = 0; i < path->n; i++)
		job->path[i] = path->sa[i];
	job->n = path->n;
	job->tunnel = path->tunnel;
	job->i = 0;
	job->ll = LL_RESERVED_SPACE(dst->dev);
	job->dst = dst;
	job->done = output_resume;
	return output_run(job);
drop:
	kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NOMEM, NULL, pol);
	return -ENOBUFS;
}

/* One of the pieces of a packet. */
static noinline int output_piece(struct kipsec_net *kn, struct sk_buff *skb,
				 struct kipsec_policy *pol,
				 const struct kipsec_path *path,
				 struct dst_entry *dst)
{
	return output_whole(kn, skb, pol, path, dst, kipsec_vrf(skb));
}

/* A super-packet becomes final segments first: ESP must see what is sent. */
static noinline int output_gso(struct kipsec_net *kn, struct sk_buff *skb,
			       struct kipsec_policy *pol,
			       const struct kipsec_path *path,
			       struct dst_entry *dst)
{
	struct sk_buff *segs = skb_gso_segment(skb, 0), *seg, *next;
	int err = 0, e;

	if (IS_ERR_OR_NULL(segs)) {
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NOMEM, NULL, pol);
		return -ENOBUFS;
	}
	consume_skb(skb);
	skb_list_walk_safe(segs, seg, next) {
		skb_mark_not_on_list(seg);
		e = output_piece(kn, seg, pol, path, dst);
		if (!err)
			err = e;
	}
	return err;
}

/* Each fragment of the packet is protected by itself. */
static noinline int output_fragments(struct kipsec_net *kn, struct sk_buff *skb,
				     struct kipsec_policy *pol,
				     const struct kipsec_path *path,
				     struct dst_entry *dst, unsigned int mtu)
{
	unsigned int hlen = ip_hdrlen(skb);
	struct ip_frag_state state;
	struct sk_buff *frag;
	int err = 0;

	if (skb->ip_summed == CHECKSUM_PARTIAL && skb_csum_hwoffload_help(skb, 0))
		goto drop;
	ip_frag_init(skb, hlen, LL_RESERVED_SPACE(dst->dev), mtu - hlen, false,
		     &state);
	while (state.left > 0 && !err) {
		frag = ip_frag_next(skb, &state);
		if (IS_ERR(frag))
			goto drop;
		err = output_piece(kn, frag, pol, path, dst);
	}
	consume_skb(skb);
	return err;
drop:
	kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NOMEM, NULL, pol);
	return -ENOBUFS;
}

int kipsec_output(struct kipsec_net *kn, struct sk_buff *skb,
		  struct kipsec_policy *pol, const struct kipsec_path *path)
{
	struct kipsec_sa *outermost = path->sa[path->n - 1];
	struct kipsec_lead lead = { skb->mark, kipsec_vrf(skb) };
	struct dst_entry *dst = kipsec_route(outermost, lead);
	int err;

	if (unlikely(!dst)) {
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_NO_ROUTE, outermost, pol);
		return -EHOSTUNREACH;
	}
	if (unlikely(READ_ONCE(kn->knobs.mss_clamp)))
		kipsec_mss_out(skb, path, dst);
	err = kipsec_fit(skb, path, dst);
	if (unlikely(err < 0)) {
		kipsec_drop(kn, skb, KIPSEC_DROP_OUT_TOO_BIG, outermost, pol);
		return err;
	}
	if (unlikely(err))
		return output_fragments(kn, skb, pol, path, dst, err);
	if (skb_is_gso(skb))
		return output_gso(kn, skb, pol, path, dst);
	return output_whole(kn, skb, pol, path, dst, lead.vrf);
}
