// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_dump.c - DUMP and SPDDUMP (floor 5).
 *
 * A dump may be far larger than the reader's buffer. It goes on until two
 * thirds of the buffer are full and then waits; the receive that leaves one
 * third or less goes on with it, before it returns, for there are programs that
 * take an empty queue for the end. What a dump queues is never lost.
 *
 * Its last message is known by seq 0, and only the next step shows which one is
 * the last; so one message is held back, complete but for its seq. The cursors
 * are numbers, not pointers: entries may come and go while a dump waits.
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "pfkey.h"
#include "sad.h"
#include "spd.h"

static bool prefix_meant(const union kipsec_addr *addr, const u32 *want, u8 len)
{
	union kipsec_addr prefix;

	memcpy(&prefix, want, sizeof(prefix));
	return kipsec_addr_in_prefix(addr->w, &prefix, len);
}

static bool filter_match(const struct kipsec_pfkey_dump *d,
			 const struct kipsec_sa *sa)
{
	const struct sadb_x_filter *f = &d->filter;

	if (!d->filtered)
		return true;
	if ((f->sadb_x_filter_family == AF_INET ||
	     f->sadb_x_filter_family == AF_INET6) &&
	    f->sadb_x_filter_family != sa->id.family)
		return false;
	return prefix_meant(&sa->src, f->sadb_x_filter_saddr,
			    f->sadb_x_filter_splen) &&
	       prefix_meant(&sa->id.dst, f->sadb_x_filter_daddr,
			    f->sadb_x_filter_dplen);
}

static struct sk_buff *next_sa(struct kipsec_net *kn,
			       struct kipsec_pfkey_dump *d)
{
	struct kipsec_pfkey_out out;
	struct kipsec_sa *sa;

	do {
		cond_resched();
		sa = kipsec_sad_next(kn, d->serial, d->proto);
		if (!sa)
			return NULL;
		d->serial = sa->serial;
	} while (!filter_match(d, sa));

	kipsec_pfkey_begin(kn, &out, SADB_DUMP,
			   kipsec_pfkey_satype(sa->id.proto), 0, d->pid);
	kipsec_pfkey_put_sa_msg(&out, sa, true);
	if (d->engines)
		kipsec_pfkey_put_sa_engine(&out, sa);
	return kipsec_pfkey_skb(&out, true) ?: ERR_PTR(-ENOMEM);
}

static struct sk_buff *next_policy(struct kipsec_net *kn,
				   struct kipsec_pfkey_dump *d)
{
	struct kipsec_policy *pol = kipsec_spd_next(kn, &d->at);
	struct kipsec_pfkey_out out;

	if (!pol)
		return NULL;
	cond_resched();
	kipsec_pfkey_begin(kn, &out, SADB_X_SPDDUMP, SADB_SATYPE_UNSPEC, 0,
			   d->pid);
	kipsec_pfkey_put_policy_msg(&out, pol);
	return kipsec_pfkey_skb(&out, false) ?: ERR_PTR(-ENOMEM);
}

void kipsec_pfkey_dump_end(struct kipsec_pfkey_sock *ks)
{
	kipsec_pfkey_wipe(ks->dump.held);
	ks->dump.held = NULL;
	WRITE_ONCE(ks->dump.next, NULL);
}

static void hand_out(struct kipsec_pfkey_sock *ks, bool last)
{
	struct kipsec_pfkey_dump *d = &ks->dump;
	struct sadb_msg *hdr = (struct sadb_msg *)d->held->data;

	hdr->sadb_msg_seq = last ? 0 : ++d->count;
	kipsec_pfkey_send_secret(ks, d->held);
	d->held = NULL;
}

static bool has_room(const struct sock *sk)
{
	return 3ULL * atomic_read(&sk->sk_rmem_alloc) <=
	       2ULL * READ_ONCE(sk->sk_rcvbuf);
}

int kipsec_pfkey_dump_some(struct kipsec_net *kn, struct kipsec_pfkey_sock *ks)
{
	struct kipsec_pfkey_dump *d = &ks->dump;
	struct sk_buff *skb;

	lockdep_assert_held(&kn->cfg);
	while (d->next && has_room(&ks->sk)) {
		skb = d->next(kn, d);
		if (IS_ERR(skb)) {
			kipsec_pfkey_dump_end(ks);
			return PTR_ERR(skb);
		}
		hand_out(ks, !skb);
		d->held = skb;
		if (!skb)
			kipsec_pfkey_dump_end(ks);
	}
	return 0;
}

bool kipsec_pfkey_dump_wanted(const struct kipsec_pfkey_sock *ks)
{
	return READ_ONCE(ks->dump.next) &&
	       3ULL * atomic_read(&ks->sk.sk_rmem_alloc) <=
	       READ_ONCE(ks->sk.sk_rcvbuf);
}

/* The request's seq is not echoed: it might be 0, and mean the end. */
static int dump_start(struct kipsec_pfkey_req *rq,
		      const struct kipsec_pfkey_dump *what)
{
	struct kipsec_pfkey_sock *ks = rq->from;
	struct kipsec_pfkey_dump *d = &ks->dump;
	struct sk_buff *first;

	if (d->next)
		return -EBUSY;
	*d = *what;
	d->pid = rq->msg.hdr->sadb_msg_pid;
	first = d->next(rq->kn, d);
	if (IS_ERR_OR_NULL(first)) {
		kipsec_pfkey_dump_end(ks);
		return first ? PTR_ERR(first) : -ENOENT;
	}
	d->held = first;
	return kipsec_pfkey_dump_some(rq->kn, ks);
}

int kipsec_pfkey_dump(struct kipsec_pfkey_req *rq)
{
	const struct sadb_x_filter *filter = kipsec_pfkey_filter(&rq->msg);
	struct kipsec_pfkey_dump what = { .next = next_sa };

	if (rq->msg.hdr->sadb_msg_satype != SADB_SATYPE_UNSPEC) {
		what.proto = kipsec_pfkey_proto(rq->msg.hdr->sadb_msg_satype);
		if (!what.proto)
			return -EINVAL;
	}
	what.engines = kipsec_pfkey_engine(&rq->msg);
	if (filter) {
		if (filter->sadb_x_filter_splen > 128 ||
		    filter->sadb_x_filter_dplen > 128)
			return -EINVAL;
		what.filter = *filter;
		what.filtered = true;
	}
	return dump_start(rq, &what);
}

int kipsec_pfkey_spddump(struct kipsec_pfkey_req *rq)
{
	struct kipsec_pfkey_dump what = { .next = next_policy };

	return dump_start(rq, &what);
}
