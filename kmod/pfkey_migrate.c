// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_migrate.c - MIGRATE: the ends of a tunnel are elsewhere (floor 5).
 *
 * The policy is replaced first, which may fail and then changes nothing; until
 * the SAs have followed, packets wait or are dropped as without SAs.
 */
#include <linux/slab.h>

#include "acquire.h"
#include "pfkey.h"
#include "sad.h"
#include "spd.h"

/* Has a policy's request what a pair begins with? */
static bool request_meant(const struct kipsec_request *req,
			  const struct kipsec_pfkey_request *was)
{
	if (req->proto != was->proto || req->mode != was->mode ||
	    (was->reqid && req->reqid != was->reqid))
		return false;
	return req->mode == KIPSEC_MODE_TRANSPORT ||
	       (req->family == was->family &&
		kipsec_addr_equal(&req->src, &was->src, was->family) &&
		kipsec_addr_equal(&req->dst, &was->dst, was->family));
}

static bool sa_meant(const struct kipsec_sa *sa,
		     const struct kipsec_pfkey_request *was)
{
	return kipsec_sa_usable(sa) && sa->id.proto == was->proto &&
	       (!sa->mode || sa->mode == was->mode) &&
	       (!was->reqid || sa->reqid == was->reqid) &&
	       sa->id.family == was->family &&
	       kipsec_addr_equal(&sa->src, &was->src, was->family) &&
	       kipsec_addr_equal(&sa->id.dst, &was->dst, was->family);
}

/* The policy as it will be, or an error: -ENODATA no pair is about it. */
static struct kipsec_policy *moved_policy(const struct kipsec_policy *pol,
					  const struct kipsec_pfkey_policy *xp)
{
	struct kipsec_policy *new = kipsec_policy_alloc(pol->nreq);
	unsigned int i, k, meant = 0;

	if (!new)
		return ERR_PTR(-ENOMEM);
	new->sel = pol->sel;
	new->dir = pol->dir;
	new->action = pol->action;
	new->rule.priority = pol->rule.priority;
	new->lifetime = pol->lifetime;
	new->created = pol->created;
	new->created_real = pol->created_real;
	new->last_used = READ_ONCE(pol->last_used);
	for (i = 0; i < pol->nreq; i++) {
		const struct kipsec_request *from = &pol->req[i];
		struct kipsec_request *to = &new->req[i];

		*to = *from;
		memset(&to->cache, 0, sizeof(to->cache));
		for (k = 0; k < xp->nreq; k += 2) {
			if (!request_meant(from, &xp->req[k]))
				continue;
			meant++;
			if (from->mode != KIPSEC_MODE_TUNNEL)
				continue;
			to->src = xp->req[k + 1].src;
			to->dst = xp->req[k + 1].dst;
		}
	}
	if (meant)
		return new;
	kfree(new);
	return ERR_PTR(-ENODATA);
}

/* With @move all SAs of a pair move; without, is there room for each? */
static int sas_follow(struct kipsec_net *kn,
		      const struct kipsec_pfkey_request *was, bool move)
{
	const struct kipsec_pfkey_request *will = was + 1;
	unsigned long serial = 0;
	struct kipsec_sa_id id;
	struct kipsec_sa *sa, *other;
	int err;

	while ((sa = kipsec_sad_next(kn, serial, was->proto))) {
		serial = sa->serial;
		cond_resched();
		if (!sa_meant(sa, was))
			continue;
		id = sa->id;
		id.dst = will->dst;
		other = kipsec_sad_find(kn, &id);
		if (other && other != sa)
			return -EEXIST;
		if (!move)
			continue;
		err = kipsec_sad_move(kn, sa, &will->src, &will->dst, &sa->natt);
		if (err)
			return err;
		kipsec_acquire_done(kn, sa);
	}
	return 0;
}

static int all_follow(struct kipsec_net *kn,
		      const struct kipsec_pfkey_policy *xp, bool move)
{
	unsigned int i;
	int err;

	for (i = 0; i < xp->nreq; i += 2) {
		err = sas_follow(kn, &xp->req[i], move);
		if (err)
			return err;
	}
	return 0;
}

/* Everybody hears of it as of something that happened: pid and seq are 0. */
static void tell_all(const struct kipsec_pfkey_req *rq)
{
	const struct kipsec_pfkey_msg *m = &rq->msg;
	struct kipsec_pfkey_out out;

	kipsec_pfkey_begin(rq->kn, &out, SADB_X_MIGRATE,
			   m->hdr->sadb_msg_satype, 0, 0);
	kipsec_pfkey_put_copy(&out, m->ext[SADB_X_EXT_KMADDRESS]);
	kipsec_pfkey_put_addr(&out, SADB_EXT_ADDRESS_SRC, &m->src);
	kipsec_pfkey_put_addr(&out, SADB_EXT_ADDRESS_DST, &m->dst);
	kipsec_pfkey_put_copy(&out, kipsec_pfkey_policy(m));
	kipsec_pfkey_send(rq->kn, &out, KIPSEC_TO_ALL, rq->from);
}

int kipsec_pfkey_migrate(struct kipsec_pfkey_req *rq)
{
	struct kipsec_pfkey_policy xp;
	struct kipsec_policy *pol, *new;
	struct kipsec_selector sel;
	int err;

	/* What is told to all is no longer than the request. */
	if (rq->msg.hdr->sadb_msg_len * 8 > KIPSEC_PFKEY_MAX)
		return -EMSGSIZE;
	err = kipsec_pfkey_parse_migrate(&xp, kipsec_pfkey_policy(&rq->msg));
	if (err)
		return err;
	kipsec_pfkey_get_selector(rq, &sel);
	pol = kipsec_spd_find(rq->kn, xp.dir - 1, &sel);
	if (!pol)
		return -ESRCH;
	err = all_follow(rq->kn, &xp, false);
	if (err)
		return err;
	new = moved_policy(pol, &xp);
	if (IS_ERR(new))
		return PTR_ERR(new);
	err = kipsec_spd_insert(rq->kn, new, true);
	if (err) {
		kfree(new);
		return err;
	}
	err = all_follow(rq->kn, &xp, true);
	if (!err)
		tell_all(rq);
	return err;
}
