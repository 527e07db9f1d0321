// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_sp.c - requests about security policies, but for dumps (floor 5).
 *
 * The satype of these messages is 0, whatever the request had: programs check
 * it.
 */
#include <linux/build_bug.h>
#include <linux/slab.h>

#include "acquire.h"
#include "pfkey.h"
#include "sa.h"
#include "spd.h"

static_assert(KIPSEC_PFKEY_MAX_REQUESTS == KIPSEC_MAX_REQUESTS);
static_assert((int)IPSEC_POLICY_IPSEC == (int)KIPSEC_PROTECT);
static_assert((int)IPSEC_LEVEL_UNIQUE == (int)KIPSEC_LEVEL_UNIQUE);
static_assert(IPSEC_MANUAL_REQID_MAX == KIPSEC_REQID_MAX);

/*
 * The protocol is that of the destination's extension; 0, which no packet has,
 * is another way to say any. Host bits behind the prefix stay, so that programs
 * get back what they sent.
 */
void kipsec_pfkey_get_selector(const struct kipsec_pfkey_req *rq,
			       struct kipsec_selector *sel)
{
	const struct kipsec_pfkey_addr *src = &rq->msg.src;
	const struct kipsec_pfkey_addr *dst = &rq->msg.dst;

	memset(sel, 0, sizeof(*sel));
	sel->src = src->addr;
	sel->dst = dst->addr;
	sel->src_len = src->prefix;
	sel->dst_len = dst->prefix;
	sel->sport = src->port;
	sel->dport = dst->port;
	sel->family = dst->family;
	sel->proto = dst->proto ?: KIPSEC_PROTO_ANY;
}

/*
 * A policy that wants protection, by nothing, protects nothing: strongSwan
 * sends such ones for forwarded packets. They are listed as what they are.
 */
static u8 action_of(const struct kipsec_pfkey_policy *xp)
{
	if (xp->type == IPSEC_POLICY_IPSEC && !xp->nreq)
		return KIPSEC_NONE;
	return xp->type;
}

static struct kipsec_policy *make_policy(const struct kipsec_pfkey_req *rq,
					 const struct kipsec_pfkey_policy *xp,
					 const struct kipsec_selector *sel)
{
	struct kipsec_policy *pol = kipsec_policy_alloc(xp->nreq);
	unsigned int i;

	if (!pol)
		return NULL;
	pol->sel = *sel;
	pol->dir = xp->dir - 1;
	pol->action = action_of(xp);
	pol->rule.priority = xp->priority;
	kipsec_pfkey_get_lifetime(rq, &pol->lifetime);
	for (i = 0; i < xp->nreq; i++) {
		const struct kipsec_pfkey_request *from = &xp->req[i];
		struct kipsec_request *to = &pol->req[i];

		to->src = from->src;
		to->dst = from->dst;
		to->reqid = from->reqid;
		to->proto = from->proto;
		to->mode = from->mode;
		to->level = from->level;
		to->family = from->family;
	}
	return pol;
}

/*
 * Everybody hears of it, with the number, priority and reqids that the policy
 * really has: racoon keeps its copy up to date by these messages.
 */
static void reply_policy(const struct kipsec_pfkey_req *rq, u8 type,
			 const struct kipsec_policy *pol,
			 enum kipsec_pfkey_to to)
{
	struct kipsec_pfkey_out out;

	kipsec_pfkey_begin_reply(rq, &out, type, SADB_SATYPE_UNSPEC);
	kipsec_pfkey_put_policy_msg(&out, pol);
	kipsec_pfkey_reply(rq, &out, to);
}

/* SPDADD; SPDSETIDX, which is the same and is answered as SPDADD; SPDUPDATE. */
int kipsec_pfkey_spdadd(struct kipsec_pfkey_req *rq)
{
	bool update = rq->msg.hdr->sadb_msg_type == SADB_X_SPDUPDATE;
	struct kipsec_pfkey_policy xp;
	struct kipsec_selector sel;
	struct kipsec_policy *pol;
	int err;

	err = kipsec_pfkey_parse_policy(&xp, kipsec_pfkey_policy(&rq->msg));
	if (err)
		return err;
	kipsec_pfkey_get_selector(rq, &sel);
	pol = make_policy(rq, &xp, &sel);
	if (!pol)
		return -ENOMEM;
	err = kipsec_spd_insert(rq->kn, pol, update);
	if (err) {
		kfree(pol);
		return err;
	}
	reply_policy(rq, update ? SADB_X_SPDUPDATE : SADB_X_SPDADD, pol,
		     KIPSEC_TO_ALL);
	return 0;
}

/* Found by selector and direction; the number in the message does not count. */
int kipsec_pfkey_spddelete(struct kipsec_pfkey_req *rq)
{
	const struct sadb_x_policy *xp = kipsec_pfkey_policy(&rq->msg);
	struct kipsec_selector sel;
	struct kipsec_policy *pol;

	if (xp->sadb_x_policy_dir == IPSEC_DIR_ANY ||
	    xp->sadb_x_policy_dir > IPSEC_DIR_FWD)
		return -EINVAL;
	kipsec_pfkey_get_selector(rq, &sel);
	pol = kipsec_spd_find(rq->kn, xp->sadb_x_policy_dir - 1, &sel);
	if (!pol)
		return -ENOENT;
	reply_policy(rq, SADB_X_SPDDELETE, pol, KIPSEC_TO_ALL);
	kipsec_acquire_forget(rq->kn, pol->id, 0);
	kipsec_spd_remove(rq->kn, pol);
	return 0;
}

/* SPDGET and SPDDELETE2: by number, of which the low bits are the direction. */
int kipsec_pfkey_spdget(struct kipsec_pfkey_req *rq)
{
	u32 id = kipsec_pfkey_policy(&rq->msg)->sadb_x_policy_id;
	u8 type = rq->msg.hdr->sadb_msg_type;
	struct kipsec_policy *pol;

	if ((id & 7) >= KIPSEC_DIR_MAX)
		return -EINVAL;
	pol = kipsec_spd_find_id(rq->kn, id);
	if (!pol)
		return -ENOENT;
	if (type == SADB_X_SPDGET) {
		reply_policy(rq, type, pol, KIPSEC_TO_ONE);
		return 0;
	}
	reply_policy(rq, type, pol, KIPSEC_TO_ALL);
	kipsec_acquire_forget(rq->kn, pol->id, 0);
	kipsec_spd_remove(rq->kn, pol);
	return 0;
}

/* One answer, to everybody, whether or not there was a policy. */
int kipsec_pfkey_spdflush(struct kipsec_pfkey_req *rq)
{
	struct kipsec_pfkey_out out;

	kipsec_acquire_forget(rq->kn, 0, 0);
	kipsec_spd_flush(rq->kn);
	kipsec_pfkey_begin_reply(rq, &out, SADB_X_SPDFLUSH,
				 SADB_SATYPE_UNSPEC);
	kipsec_pfkey_reply(rq, &out, KIPSEC_TO_ALL);
	return 0;
}
