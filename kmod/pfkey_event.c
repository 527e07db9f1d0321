// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_event.c - what the kernel tells key managers unasked, and how they
 * ask to be told (floor 5).
 *
 * Such messages have pid 0; strongSwan discards all others. Only sockets that
 * have registered get them.
 */
#include <linux/bitmap.h>
#include <linux/crypto.h>
#include <linux/jiffies.h>

#include "acquire.h"
#include "alg.h"
#include "pfkey.h"
#include "sad.h"
#include "spd.h"

#define FOUND_LIFE	(30 * HZ)

/* Algorithms by their numbers, encryption and authentication: is there one? */
static DECLARE_BITMAP(present[2], 256);

static unsigned long *present_of(const struct kipsec_alg *alg)
{
	return present[alg->kind == KIPSEC_ALG_AUTH];
}

/*
 * Loads modules, so that the list is the same before and after first use. For
 * each algorithm that the kernel lacks modprobe is started, and setkey registers
 * with every run: the answer is good for a while.
 */
void kipsec_pfkey_find_algorithms(void)
{
	static unsigned long found;	/* jiffies, 0 not yet */
	const struct kipsec_alg *alg;
	unsigned int auth, i;

	if (READ_ONCE(found) &&
	    time_before(jiffies, READ_ONCE(found) + FOUND_LIFE))
		return;
	for (auth = 0; auth < 2; auth++) {
		for (i = 0; (alg = kipsec_alg_each(auth, i)); i++) {
			if (crypto_has_alg(alg->crypto, 0, 0))
				set_bit(alg->id, present_of(alg));
			else
				clear_bit(alg->id, present_of(alg));
		}
	}
	WRITE_ONCE(found, jiffies | 1);
}

static bool usable(const struct kipsec_alg *alg)
{
	return test_bit(alg->id, present_of(alg));
}

/*
 * Type 0 asks for the list of algorithms only. The others all get the same list
 * and the same events; programs that want several register for each.
 */
int kipsec_pfkey_sadb_register(struct kipsec_pfkey_req *rq)
{
	u8 satype = rq->msg.hdr->sadb_msg_satype;
	struct kipsec_pfkey_out out;

	if (satype > SADB_SATYPE_MAX)
		return -EINVAL;
	if (satype != SADB_SATYPE_UNSPEC) {
		if (rq->from->registered & BIT(satype))
			return -EEXIST;
		if (!rq->from->registered)
			kipsec_acquire_listener(rq->kn, 1);
		WRITE_ONCE(rq->from->registered,
			   rq->from->registered | BIT(satype));
	}
	kipsec_pfkey_begin_reply(rq, &out, SADB_REGISTER, satype);
	kipsec_pfkey_put_supported(&out, true, usable);
	kipsec_pfkey_put_supported(&out, false, usable);
	kipsec_pfkey_reply(rq, &out, KIPSEC_TO_REGISTERED);
	return 0;
}

/* A key manager's "cannot have it" is a header and nothing else. */
int kipsec_pfkey_acquire(struct kipsec_pfkey_req *rq)
{
	if (rq->msg.hdr->sadb_msg_len != sizeof(struct sadb_msg) / sizeof(u64))
		return -EOPNOTSUPP;
	if (rq->msg.hdr->sadb_msg_errno)
		kipsec_acquire_refuse(rq->kn, rq->msg.hdr->sadb_msg_seq);
	return 0;
}

/* Without an SA2: strongSwan, which asks for one, would believe its reqid. */
static void sa_wanted(struct kipsec_net *kn, const struct kipsec_acquire *acq)
{
	const struct kipsec_sa_want *want = &acq->want;
	struct kipsec_pfkey_policy pol = {
		.type		= IPSEC_POLICY_IPSEC,
		.dir		= IPSEC_DIR_OUTBOUND,
		.id		= acq->policy,
		.priority	= acq->priority,
	};
	struct kipsec_pfkey_out out;

	lockdep_assert_held(&kn->cfg);
	if (!kn->pfkey)
		return;
	kipsec_pfkey_begin(kn, &out, SADB_ACQUIRE,
			   kipsec_pfkey_satype(want->proto), acq->seq, 0);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_SRC, &want->src,
			      want->family);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_DST, &want->dst,
			      want->family);
	kipsec_pfkey_put_policy(&out, &pol);
	if (want->proto != IPPROTO_COMP)
		kipsec_pfkey_put_proposal(&out);
	kipsec_pfkey_send(kn, &out, KIPSEC_TO_REGISTERED, NULL);
}

/*
 * Every SA that comes here has an SPI. That matters: racoon takes an EXPIRE
 * with SPI 0 to mean any negotiation under way, and aborts it.
 */
static void sa_expired(struct kipsec_net *kn, struct kipsec_sa *sa, bool hard)
{
	struct kipsec_pfkey_out out;

	lockdep_assert_held(&kn->cfg);
	if (!kn->pfkey || !sa->id.spi)
		return;
	kipsec_pfkey_begin(kn, &out, SADB_EXPIRE,
			   kipsec_pfkey_satype(sa->id.proto), 0, 0);
	kipsec_pfkey_put_expire(&out, sa, hard);
	kipsec_pfkey_send(kn, &out, KIPSEC_TO_REGISTERED, NULL);
}

/* racoon keeps a copy of the policies, so it must hear of those that end. */
static void policy_expired(struct kipsec_net *kn, struct kipsec_policy *pol)
{
	struct kipsec_pfkey_out out;

	lockdep_assert_held(&kn->cfg);
	if (!kn->pfkey)
		return;
	kipsec_acquire_forget(kn, pol->id, 0);
	kipsec_pfkey_begin(kn, &out, SADB_X_SPDEXPIRE, SADB_SATYPE_UNSPEC, 0,
			   0);
	kipsec_pfkey_put_spdexpire(&out, pol);
	kipsec_pfkey_send(kn, &out, KIPSEC_TO_REGISTERED, NULL);
}

/*
 * Where the peer is now. Without an SA2: strongSwan, which asks for one, would
 * then take the port in the wrong byte order.
 */
static void sa_moved(struct kipsec_net *kn, struct kipsec_sa *sa,
		     const struct kipsec_moved *to)
{
	struct kipsec_pfkey_out out;

	lockdep_assert_held(&kn->cfg);
	if (!kn->pfkey)
		return;
	kipsec_pfkey_begin(kn, &out, SADB_X_NAT_T_NEW_MAPPING,
			   kipsec_pfkey_satype(sa->id.proto), sa->seq, 0);
	kipsec_pfkey_put_moved(&out, sa, to);
	kipsec_pfkey_send(kn, &out, KIPSEC_TO_REGISTERED, NULL);
}

static const struct kipsec_sad_events events = {
	.expired	= sa_expired,
	.moved		= sa_moved,
};

void kipsec_pfkey_events_start(void)
{
	kipsec_sad_set_events(&events);
	kipsec_spd_set_expired(policy_expired);
	kipsec_acquire_set_event(sa_wanted);
}
