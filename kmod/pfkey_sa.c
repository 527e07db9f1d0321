// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_sa.c - requests about security associations, but for GETSPI, dumps
 * and those that have to do with events (floor 5).
 *
 * Answers to ADD, UPDATE and DELETE go to every socket and carry no keys; only
 * GET shows them, to the one who asked.
 */
#include <linux/cpumask.h>
#include <linux/in.h>
#include <linux/limits.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "acquire.h"
#include "alg.h"
#include "early.h"
#include "hooks.h"
#include "pfkey.h"
#include "replay.h"
#include "sad.h"
#include "xform.h"

#define CPI_MAX	0xffff	/* of IPComp, two bytes */

/* Flags that ask for packet formats of RFC 1825 to 1829, or for DES of then. */
#define OLD_FORMAT	(SADB_X_EXT_OLD | SADB_X_EXT_IV4B | SADB_X_EXT_DERIV)

/* Bits of SHA-256's ICV in drafts of old, which Linux and KAME have kept. */
#define SHA256_OLD_ICV	96

static bool sha256_96;
module_param(sha256_96, bool, 0644);
MODULE_PARM_DESC(sha256_96, "new SAs cut SHA-256 to 96 bits, as Linux's af_key and KAME do");

static u8 proto_of(const struct kipsec_pfkey_req *rq)
{
	return kipsec_pfkey_proto(rq->msg.hdr->sadb_msg_satype);
}

/*
 * The key of an SA: destination, SPI, protocol. The source is no part of it,
 * nor are port, prefix length and protocol of the address.
 */
static int get_id(const struct kipsec_pfkey_req *rq, struct kipsec_sa_id *id)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);

	memset(id, 0, sizeof(*id));
	id->proto = proto_of(rq);
	if (!id->proto)
		return -EINVAL;
	id->dst = rq->msg.dst.addr;
	id->family = rq->msg.dst.family;
	id->spi = xs->sadb_sa_spi;
	return 0;
}

static int find(const struct kipsec_pfkey_req *rq, struct kipsec_sa **sa)
{
	struct kipsec_sa_id id;
	int err;

	err = get_id(rq, &id);
	if (err)
		return err;
	*sa = kipsec_sad_find(rq->kn, &id);
	return *sa ? 0 : -ESRCH;
}

void kipsec_pfkey_reply_sa(const struct kipsec_pfkey_req *rq,
			   struct kipsec_sa *sa, enum kipsec_pfkey_to to)
{
	struct kipsec_pfkey_out out;

	kipsec_pfkey_begin_reply(rq, &out, rq->msg.hdr->sadb_msg_type,
				 kipsec_pfkey_satype(sa->id.proto));
	kipsec_pfkey_put_sa_msg(&out, sa, false);
	kipsec_pfkey_reply(rq, &out, to);
}

/* --- what ADD and UPDATE say ---------------------------------------------- */

int kipsec_pfkey_get_mode(const struct kipsec_pfkey_req *rq, u8 *mode,
			  u32 *reqid)
{
	const struct sadb_x_sa2 *sa2 = kipsec_pfkey_sa2(&rq->msg);

	*mode = sa2 ? sa2->sadb_x_sa2_mode : KIPSEC_MODE_ANY;
	*reqid = sa2 ? sa2->sadb_x_sa2_reqid : 0;
	return *mode > KIPSEC_MODE_TUNNEL ? -EINVAL : 0;
}

/*
 * Programs ask for windows as small as 4, from the days when the unit was eight
 * packets; on today's networks that would lose packets. So what is enforced is
 * at least 32, while dumps show what was asked for.
 */
static int get_replay(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa,
		      u32 *window, u64 *last)
{
	const struct sadb_x_kipsec_replay *xr = kipsec_pfkey_replay(&rq->msg);

	*window = sa->replay_asked;
	*last = 0;
	if (xr) {
		if (xr->sadb_x_kipsec_replay_window > KIPSEC_REPLAY_MAX ||
		    xr->sadb_x_kipsec_replay_flags & ~SADB_X_KIPSEC_REPLAY_ESN)
			return -EINVAL;
		*window = xr->sadb_x_kipsec_replay_window;
		*last = xr->sadb_x_kipsec_replay_last;
		sa->esn = xr->sadb_x_kipsec_replay_flags;
		sa->replay_told = true;
		if (*last > (sa->esn ? SADB_X_KIPSEC_REPLAY_LAST : U32_MAX) ||
		    (sa->esn && !*window))
			return -EINVAL;
	}
	if (*window)
		*window = max_t(u32, *window, KIPSEC_REPLAY_MIN);
	return 0;
}

/* Encapsulation is ESP's; racoon sends it with the other SAs of a bundle too. */
static int get_natt(const struct kipsec_pfkey_req *rq, struct kipsec_natt *natt)
{
	const struct sadb_x_nat_t_type *xt = kipsec_pfkey_natt_type(&rq->msg);

	memset(natt, 0, sizeof(*natt));
	if (!xt || !xt->sadb_x_nat_t_type_type || proto_of(rq) != IPPROTO_ESP)
		return 0;
	if (xt->sadb_x_nat_t_type_type != 2)	/* RFC 3948 */
		return -EINVAL;
	natt->type = xt->sadb_x_nat_t_type_type;
	natt->sport = kipsec_pfkey_natt_port(&rq->msg, true);
	natt->dport = kipsec_pfkey_natt_port(&rq->msg, false);
	return 0;
}

/* The key for @alg, which may need none at all; the extension may be absent. */
static int get_key(const struct kipsec_pfkey_req *rq, bool auth,
		   const struct kipsec_alg *alg, struct kipsec_key **to)
{
	const struct sadb_key *xk = kipsec_pfkey_key(&rq->msg, auth);
	unsigned int bits = xk ? xk->sadb_key_bits : 0;
	unsigned int bytes = DIV_ROUND_UP(bits, 8);
	struct kipsec_key *key;

	if (!alg)
		return -ENOSYS;
	if (!kipsec_alg_key_ok(alg, bits))
		return -EINVAL;
	key = kzalloc(struct_size(key, data, bytes), GFP_KERNEL);
	if (!key)
		return -ENOMEM;
	key->alg = alg;
	key->bits = bits;
	key->icvlen = alg->icvlen;
	if (xk)
		memcpy(key->data, xk + 1, bytes);
	*to = key;
	return 0;
}

/*
 * How much of a hash goes with each packet. That it is not more than the hash has
 * is for the cipher to say.
 */
static int get_icv(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_x_kipsec_sa *xk = kipsec_pfkey_kipsec_sa(&rq->msg);
	unsigned int bits = xk ? xk->sadb_x_kipsec_sa_icv : 0;

	if (!bits && READ_ONCE(sha256_96) && sa->auth &&
	    sa->auth->alg->id == SADB_X_AALG_SHA2_256HMAC)
		bits = SHA256_OLD_ICV;
	if (!bits)
		return 0;
	if (!sa->auth || !sa->auth->icvlen || bits % 32 ||
	    bits < SADB_X_KIPSEC_ICV_MIN || bits / 8 > U8_MAX)
		return -EINVAL;
	sa->auth->icvlen = bits / 8;
	return 0;
}

static int get_own(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_x_kipsec_sa *xk = kipsec_pfkey_kipsec_sa(&rq->msg);
	const struct sadb_x_kipsec_cpu *xc = kipsec_pfkey_cpu(&rq->msg);
	const char *driver = kipsec_pfkey_driver(&rq->msg);

	if (xk) {
		if (xk->sadb_x_kipsec_sa_dir > IPSEC_DIR_OUTBOUND)
			return -EINVAL;
		sa->dir = xk->sadb_x_kipsec_sa_dir;
		sa->icv_asked = xk->sadb_x_kipsec_sa_icv;
	}
	if (xc) {
		if (xc->sadb_x_kipsec_cpu_id >= nr_cpu_ids ||
		    !cpu_possible(xc->sadb_x_kipsec_cpu_id))
			return -EINVAL;
		sa->cpu = xc->sadb_x_kipsec_cpu_id;
	}
	if (driver) {
		if (sa->id.proto == IPPROTO_COMP)
			return -EINVAL;
		sa->driver = kstrdup(driver, GFP_KERNEL);
		if (!sa->driver)
			return -ENOMEM;
	}
	return 0;
}

/* An AEAD cipher authenticates by itself; "null" beside it means the same. */
static int get_esp_keys(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);
	const struct kipsec_alg *enc = kipsec_alg_enc(xs->sadb_sa_encrypt);
	u8 auth = xs->sadb_sa_auth;
	int err;

	if (xs->sadb_sa_encrypt == SADB_EALG_NONE)
		return -EINVAL;
	if (enc && enc->kind == KIPSEC_ALG_AEAD) {
		if (auth != SADB_AALG_NONE && auth != SADB_X_AALG_NULL)
			return -EINVAL;
		auth = SADB_AALG_NONE;
	}
	err = get_key(rq, false, enc, &sa->enc);
	if (err || auth == SADB_AALG_NONE)
		return err;
	return get_key(rq, true, kipsec_alg_auth(auth), &sa->auth);
}

static int get_ah_keys(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);

	if (xs->sadb_sa_auth == SADB_AALG_NONE ||
	    (xs->sadb_sa_encrypt != SADB_EALG_NONE &&
	     xs->sadb_sa_encrypt != SADB_EALG_NULL))
		return -EINVAL;
	return get_key(rq, true, kipsec_alg_auth(xs->sadb_sa_auth), &sa->auth);
}

static int get_comp(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);

	if (ntohl(xs->sadb_sa_spi) > CPI_MAX)
		return -EINVAL;
	return get_key(rq, false, kipsec_alg_comp(xs->sadb_sa_encrypt),
		       &sa->enc);
}

static int get_algorithms(const struct kipsec_pfkey_req *rq,
			  struct kipsec_sa *sa)
{
	switch (sa->id.proto) {
	case IPPROTO_ESP:
		return get_esp_keys(rq, sa);
	case IPPROTO_AH:
		return get_ah_keys(rq, sa);
	default:
		return get_comp(rq, sa);
	}
}

static int fill_sa(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);
	struct kipsec_lifetime lt = { };
	u32 window;
	u64 last;
	int err;

	err = get_id(rq, &sa->id);
	if (err)
		return err;
	if (!sa->id.spi || xs->sadb_sa_flags & OLD_FORMAT)
		return -EINVAL;
	sa->src = rq->msg.src.addr;
	sa->seq = rq->msg.hdr->sadb_msg_seq;
	sa->flags = xs->sadb_sa_flags;
	sa->replay_asked = xs->sadb_sa_replay;
	err = kipsec_pfkey_get_mode(rq, &sa->mode, &sa->reqid);
	if (!err)
		err = get_replay(rq, sa, &window, &last);
	if (!err)
		err = get_natt(rq, &sa->natt);
	if (!err)
		err = get_own(rq, sa);
	if (!err)
		err = get_algorithms(rq, sa);
	if (!err)
		err = get_icv(rq, sa);
	if (err)
		return err;
	kipsec_pfkey_get_lifetime(rq, &lt);
	kipsec_sa_set_lifetime(sa, &lt);
	return kipsec_sa_init(sa, window, last);
}

/* A whole SA out of a message, not yet in the data base; mature. */
static struct kipsec_sa *make_sa(const struct kipsec_pfkey_req *rq)
{
	struct kipsec_sa *sa = kipsec_sa_alloc(rq->kn);
	int err;

	if (!sa)
		return ERR_PTR(-ENOMEM);
	err = fill_sa(rq, sa);
	if (err) {
		kipsec_sa_put(sa);
		return ERR_PTR(err);
	}
	sa->state = KIPSEC_SA_MATURE;
	return sa;
}

/* --- ADD and UPDATE ------------------------------------------------------- */

static void sa_made(const struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	if (sa->natt.type)
		kipsec_hooks_natt(rq->kn);
	kipsec_pfkey_reply_sa(rq, sa, KIPSEC_TO_ALL);
	kipsec_acquire_done(rq->kn, sa);
}

/*
 * Whatever has the same destination, SPI and protocol is in the way, larval SAs
 * too: programs that called GETSPI complete its SA with UPDATE, or delete it.
 */
int kipsec_pfkey_add(struct kipsec_pfkey_req *rq)
{
	struct kipsec_sa *sa;
	int err;

	err = find(rq, &sa);
	if (err != -ESRCH)
		return err ?: -EEXIST;
	sa = make_sa(rq);
	if (IS_ERR(sa))
		return PTR_ERR(sa);
	err = kipsec_sad_insert(rq->kn, sa);
	if (!err)
		sa_made(rq, sa);
	kipsec_sa_put(sa);
	return err;
}

/* Is there an SA that serves as @sa will? */
static bool has_predecessor(const struct kipsec_sa *sa)
{
	bool found;

	rcu_read_lock();
	local_bh_disable();
	found = kipsec_sad_like(sa, false);
	local_bh_enable();
	rcu_read_unlock();
	return found;
}

/* The message says all about the SA; nothing of the larval one remains. */
static int complete_larval(struct kipsec_pfkey_req *rq, struct kipsec_sa *larval)
{
	struct kipsec_sa *sa = make_sa(rq);
	bool successor;
	int err;

	if (IS_ERR(sa))
		return PTR_ERR(sa);
	successor = has_predecessor(sa);
	err = kipsec_sad_replace(rq->kn, larval, sa);
	if (!err) {
		sa_made(rq, sa);
		kipsec_early_ready(rq->kn, successor);
	}
	kipsec_sa_put(sa);
	return err;
}

/*
 * Neither algorithms nor keys: the SA is what it was, but an end of it is
 * elsewhere (RFC 4555). What the message says of encapsulation holds from then on.
 */
static bool says_moved(const struct kipsec_pfkey_req *rq)
{
	const struct sadb_sa *xs = kipsec_pfkey_sa(&rq->msg);

	return !xs->sadb_sa_auth && !xs->sadb_sa_encrypt &&
	       !kipsec_pfkey_key(&rq->msg, true) &&
	       !kipsec_pfkey_key(&rq->msg, false);
}

/* It stands there with its old destination; so by its SPI, if that is clear. */
static int find_moved(const struct kipsec_pfkey_req *rq, struct kipsec_sa **sa)
{
	if (!says_moved(rq) ||
	    kipsec_sad_find_spi(rq->kn, proto_of(rq),
				kipsec_pfkey_sa(&rq->msg)->sadb_sa_spi, sa) != 1 ||
	    (*sa)->id.family != rq->msg.dst.family ||
	    !kipsec_sa_usable(*sa))
		return -ESRCH;
	return 0;
}

static bool same_ends(const struct kipsec_pfkey_req *rq,
		      const struct kipsec_sa *sa)
{
	return kipsec_addr_equal(&rq->msg.src.addr, &sa->src, sa->id.family) &&
	       kipsec_addr_equal(&rq->msg.dst.addr, &sa->id.dst, sa->id.family);
}

/*
 * Of an SA in use only limits, the ports of its encapsulation and, see above, its
 * addresses change. Keys and algorithms are ignored: strongSwan sends those it
 * got from GET.
 */
static int change_sa(struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	bool moved = says_moved(rq) && !same_ends(rq, sa);
	struct kipsec_lifetime lt = sa->lifetime;
	struct kipsec_natt natt;
	int err;

	err = get_natt(rq, &natt);
	if (err)
		return err;
	if (moved) {
		err = kipsec_sad_move(rq->kn, sa, &rq->msg.src.addr,
				      &rq->msg.dst.addr, &natt);
		if (err)
			return err;
	} else if (natt.type != sa->natt.type) {
		return -EINVAL;
	} else if (natt.type) {
		WRITE_ONCE(sa->natt.sport, natt.sport);
		WRITE_ONCE(sa->natt.dport, natt.dport);
	}
	if (kipsec_pfkey_lifetime(&rq->msg, true) ||
	    kipsec_pfkey_lifetime(&rq->msg, false)) {
		kipsec_pfkey_get_lifetime(rq, &lt);
		kipsec_sa_set_lifetime(sa, &lt);
	}
	sa_made(rq, sa);
	return 0;
}

/* Neither seq nor pid need be those of the GETSPI: iked uses new ones. */
int kipsec_pfkey_update(struct kipsec_pfkey_req *rq)
{
	struct kipsec_sa *sa;
	int err;

	err = find(rq, &sa);
	if (err == -ESRCH)
		err = find_moved(rq, &sa);
	if (err)
		return err;
	if (READ_ONCE(sa->state) == KIPSEC_SA_LARVAL)
		return complete_larval(rq, sa);
	return change_sa(rq, sa);
}

/* --- DELETE, GET, FLUSH --------------------------------------------------- */

static void delete_one(struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	refcount_inc(&sa->refs);
	kipsec_sad_remove(rq->kn, sa);
	kipsec_pfkey_reply_sa(rq, sa, KIPSEC_TO_ALL);
	kipsec_sa_put(sa);
}

/* Every SA between two addresses, but for those still being negotiated. */
static int delete_all(struct kipsec_pfkey_req *rq)
{
	const struct kipsec_pfkey_msg *m = &rq->msg;
	u8 proto = proto_of(rq), family = m->dst.family;
	struct kipsec_pfkey_out out;
	unsigned long serial = 0;
	struct kipsec_sa *sa;

	if (!proto)
		return -EINVAL;
	while ((sa = kipsec_sad_next(rq->kn, serial, proto))) {
		cond_resched();
		serial = sa->serial;
		if (READ_ONCE(sa->state) != KIPSEC_SA_LARVAL &&
		    sa->id.family == family &&
		    kipsec_addr_equal(&sa->src, &m->src.addr, family) &&
		    kipsec_addr_equal(&sa->id.dst, &m->dst.addr, family))
			kipsec_sad_remove(rq->kn, sa);
	}
	kipsec_pfkey_begin_reply(rq, &out, SADB_DELETE,
				 m->hdr->sadb_msg_satype);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_SRC, &m->src.addr, family);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_DST, &m->dst.addr, family);
	kipsec_pfkey_reply(rq, &out, KIPSEC_TO_ALL);
	return 0;
}

int kipsec_pfkey_delete(struct kipsec_pfkey_req *rq)
{
	struct kipsec_sa *sa;
	int err;

	if (!kipsec_pfkey_sa(&rq->msg))
		return delete_all(rq);
	err = find(rq, &sa);
	if (!err)
		delete_one(rq, sa);
	return err;
}

int kipsec_pfkey_get(struct kipsec_pfkey_req *rq)
{
	struct kipsec_pfkey_out out;
	struct kipsec_sa *sa;
	struct sk_buff *skb;
	int err;

	err = find(rq, &sa);
	if (err)
		return err;
	kipsec_pfkey_begin_reply(rq, &out, SADB_GET,
				 rq->msg.hdr->sadb_msg_satype);
	kipsec_pfkey_put_sa_msg(&out, sa, true);
	if (kipsec_pfkey_engine(&rq->msg))
		kipsec_pfkey_put_sa_engine(&out, sa);
	skb = kipsec_pfkey_skb(&out, true);
	if (!skb)
		return -ENOBUFS;
	kipsec_pfkey_send_secret(rq->from, skb);
	return 0;
}

/* One answer, to everybody, whether or not there was an SA. */
int kipsec_pfkey_flush(struct kipsec_pfkey_req *rq)
{
	u8 satype = rq->msg.hdr->sadb_msg_satype;
	struct kipsec_pfkey_out out;

	if (satype != SADB_SATYPE_UNSPEC && !proto_of(rq))
		return -EINVAL;
	kipsec_sad_flush(rq->kn, proto_of(rq));
	kipsec_acquire_forget(rq->kn, 0, proto_of(rq));
	kipsec_pfkey_begin_reply(rq, &out, SADB_FLUSH, satype);
	kipsec_pfkey_reply(rq, &out, KIPSEC_TO_ALL);
	return 0;
}
