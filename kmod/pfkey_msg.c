// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_msg.c - entries of the data bases as PF_KEY messages (floor 5). Used by
 * replies, dumps and events alike, so that all show the same picture.
 */
#include <linux/in.h>
#include <linux/timekeeping.h>

#include "../offload/engine.h"
#include "alg.h"
#include "pfkey.h"
#include "sa.h"
#include "spd.h"

/* IPComp has its algorithm where ESP has that of encryption. */
static void put_sa(struct kipsec_pfkey_out *out, const struct kipsec_sa *sa,
		   u8 state)
{
	struct sadb_sa xs = {
		.sadb_sa_spi		= sa->id.spi,
		.sadb_sa_replay		= min_t(u32, sa->replay_asked, U8_MAX),
		.sadb_sa_state		= state,
		.sadb_sa_auth		= sa->auth ? sa->auth->alg->id : 0,
		.sadb_sa_encrypt	= sa->enc ? sa->enc->alg->id : 0,
		.sadb_sa_flags		= sa->flags,
	};

	kipsec_pfkey_put_sa(out, &xs);
}

/* Both directions together: an SA is used in one of them. */
static void put_current(struct kipsec_pfkey_out *out, struct kipsec_sa *sa)
{
	struct kipsec_limit use = {
		.addtime	= sa->created_real,
		.usetime	= READ_ONCE(sa->first_used),
	};

	spin_lock_bh(&sa->lock);
	use.packets = sa->ipackets;
	use.bytes = sa->ibytes;
	spin_unlock_bh(&sa->lock);
	use.packets += kipsec_sa_sent(sa);
	use.bytes += atomic64_read(&sa->obytes);
	kipsec_pfkey_put_current(out, &use);
}

static void put_ends(struct kipsec_pfkey_out *out, const struct kipsec_sa *sa)
{
	kipsec_pfkey_put_host(out, SADB_EXT_ADDRESS_SRC, &sa->src,
			      sa->id.family);
	kipsec_pfkey_put_host(out, SADB_EXT_ADDRESS_DST, &sa->id.dst,
			      sa->id.family);
}

/*
 * The number sent last; of an SA that only receives, the highest that came. At
 * the end of 32 bits the counter stands beyond what was sent.
 */
static u64 last_seq(struct kipsec_sa *sa)
{
	u64 seq = atomic64_read(&sa->oseq);

	if (sa->id.proto == IPPROTO_COMP)
		return 0;	/* has none, only a count */
	spin_lock_bh(&sa->lock);
	if (sa->replay)
		seq = max(seq, sa->replay->top);
	spin_unlock_bh(&sa->lock);
	return sa->esn ? seq : min_t(u64, seq, U32_MAX);
}

static void put_sa2(struct kipsec_pfkey_out *out, struct kipsec_sa *sa)
{
	kipsec_pfkey_put_sa2(out, sa->mode, last_seq(sa), sa->reqid);
}

/* For those who know of them, and so only about SAs that had them when they came. */
static void put_own(struct kipsec_pfkey_out *out, struct kipsec_sa *sa)
{
	if (sa->replay_told)
		kipsec_pfkey_put_replay(out, sa->replay ? sa->replay->window : 0,
					sa->esn, last_seq(sa));
	if (sa->icv_asked || sa->dir)
		kipsec_pfkey_put_kipsec_sa(out, sa->icv_asked, sa->dir);
	if (sa->cpu >= 0)
		kipsec_pfkey_put_cpu(out, sa->cpu);
}

static void put_natt(struct kipsec_pfkey_out *out, const struct kipsec_sa *sa)
{
	if (sa->natt.type)
		kipsec_pfkey_put_natt(out, sa->natt.type, sa->natt.sport,
				      sa->natt.dport);
}

static void put_key(struct kipsec_pfkey_out *out, bool auth,
		    const struct kipsec_key *key)
{
	if (key && key->bits)
		kipsec_pfkey_put_key(out, auth, key->data, key->bits);
}

/* Both limits are there even if there are none: strongSwan relies on it. */
void kipsec_pfkey_put_sa_msg(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			     bool keys)
{
	put_sa(out, sa, READ_ONCE(sa->state));
	kipsec_pfkey_put_limit(out, true, &sa->lifetime.hard);
	kipsec_pfkey_put_limit(out, false, &sa->lifetime.soft);
	put_current(out, sa);
	put_ends(out, sa);
	if (keys) {
		put_key(out, true, sa->auth);
		put_key(out, false, sa->enc);
	}
	put_sa2(out, sa);
	put_natt(out, sa);
	if (keys)
		put_own(out, sa);
}

void kipsec_pfkey_put_sa_engine(struct kipsec_pfkey_out *out,
				struct kipsec_sa *sa)
{
	struct sadb_x_kipsec_engine xe = { };
	struct kipsec_engine_stats st;

	if (!kipsec_engine_stats(sa, &st))
		return;
	xe.sadb_x_kipsec_engine_inflight = st.in_flight;
	xe.sadb_x_kipsec_engine_requests = st.requests;
	xe.sadb_x_kipsec_engine_bytes = st.bytes;
	xe.sadb_x_kipsec_engine_errors = st.errors;
	xe.sadb_x_kipsec_engine_fallbacks = st.fallbacks;
	kipsec_pfkey_put_engine(out, &xe, st.driver);
}

/* One limit, never both: programs tell soft from hard by which one is there. */
void kipsec_pfkey_put_expire(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			     bool hard)
{
	put_sa(out, sa, hard ? SADB_SASTATE_DEAD : SADB_SASTATE_DYING);
	kipsec_pfkey_put_limit(out, hard, hard ? &sa->lifetime.hard :
						 &sa->lifetime.soft);
	put_current(out, sa);
	put_ends(out, sa);
	put_sa2(out, sa);
	put_natt(out, sa);
}

/* The old place as source, the new one as destination. */
void kipsec_pfkey_put_moved(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			    const struct kipsec_moved *to)
{
	put_sa(out, sa, READ_ONCE(sa->state));
	kipsec_pfkey_put_host(out, SADB_EXT_ADDRESS_SRC, &sa->src,
			      sa->id.family);
	kipsec_pfkey_put_natt_port(out, SADB_X_EXT_NAT_T_SPORT, sa->natt.sport);
	kipsec_pfkey_put_host(out, SADB_EXT_ADDRESS_DST, &to->addr,
			      sa->id.family);
	kipsec_pfkey_put_natt_port(out, SADB_X_EXT_NAT_T_DPORT, to->port);
}

static void put_selector(struct kipsec_pfkey_out *out,
			 const struct kipsec_selector *sel)
{
	struct kipsec_pfkey_addr addr = {
		.addr	= sel->src,
		.port	= sel->sport,
		.family	= sel->family,
		.prefix	= sel->src_len,
		.proto	= sel->proto,
	};

	kipsec_pfkey_put_addr(out, SADB_EXT_ADDRESS_SRC, &addr);
	addr.addr = sel->dst;
	addr.port = sel->dport;
	addr.prefix = sel->dst_len;
	kipsec_pfkey_put_addr(out, SADB_EXT_ADDRESS_DST, &addr);
}

/* Of a policy programs want to know when it was used last. */
static void put_policy_current(struct kipsec_pfkey_out *out,
			       const struct kipsec_policy *pol)
{
	u64 last = READ_ONCE(pol->last_used);
	struct kipsec_limit use = { .addtime = pol->created_real };

	if (last)
		use.usetime = ktime_get_real_seconds() - (kipsec_now() - last);
	kipsec_pfkey_put_current(out, &use);
}

static void put_policy(struct kipsec_pfkey_out *out,
		       const struct kipsec_policy *pol)
{
	struct kipsec_pfkey_policy xp = {
		.type		= pol->action,
		.dir		= pol->dir + 1,
		.id		= pol->id,
		.priority	= pol->rule.priority,
		.nreq		= pol->nreq,
	};
	unsigned int i;

	for (i = 0; i < pol->nreq; i++) {
		const struct kipsec_request *from = &pol->req[i];
		struct kipsec_pfkey_request *to = &xp.req[i];

		to->src = from->src;
		to->dst = from->dst;
		to->reqid = from->reqid;
		to->proto = from->proto;
		to->mode = from->mode;
		to->level = from->level;
		to->family = from->family;
	}
	kipsec_pfkey_put_policy(out, &xp);
}

/* Policies have no reference count; that of an idle one elsewhere is 1. */
void kipsec_pfkey_put_policy_msg(struct kipsec_pfkey_out *out,
				 const struct kipsec_policy *pol)
{
	out->hdr->sadb_msg_reserved = 1;
	put_selector(out, &pol->sel);
	kipsec_pfkey_put_limit(out, true, &pol->lifetime.hard);
	kipsec_pfkey_put_limit(out, false, &pol->lifetime.soft);
	put_policy_current(out, pol);
	put_policy(out, pol);
}

void kipsec_pfkey_put_spdexpire(struct kipsec_pfkey_out *out,
				const struct kipsec_policy *pol)
{
	out->hdr->sadb_msg_reserved = 1;
	put_selector(out, &pol->sel);
	put_policy_current(out, pol);
	kipsec_pfkey_put_limit(out, true, &pol->lifetime.hard);
	put_policy(out, pol);
}

static void get_limit(const struct sadb_lifetime *xl, struct kipsec_limit *lim)
{
	if (!xl)
		return;
	lim->packets = xl->sadb_lifetime_allocations;
	lim->bytes = xl->sadb_lifetime_bytes;
	lim->addtime = xl->sadb_lifetime_addtime;
	lim->usetime = xl->sadb_lifetime_usetime;
}

void kipsec_pfkey_get_lifetime(const struct kipsec_pfkey_req *rq,
			       struct kipsec_lifetime *lt)
{
	get_limit(kipsec_pfkey_lifetime(&rq->msg, true), &lt->hard);
	get_limit(kipsec_pfkey_lifetime(&rq->msg, false), &lt->soft);
}
