// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_send.c - messages out, to one socket or to many (floor 5).
 *
 * Messages with keys go to one socket, are never cloned, and are wiped when the
 * reader lets go of them. What a promiscuous socket sees has zeros in place of
 * keys.
 */
#include <linux/skbuff.h>
#include <linux/string.h>

#include "pfkey.h"
#include "stats.h"

static struct kipsec_pfkey_sock *to_ks(struct sock *sk)
{
	return container_of(sk, struct kipsec_pfkey_sock, sk);
}

void kipsec_pfkey_begin(struct kipsec_net *kn, struct kipsec_pfkey_out *out,
			u8 type, u8 satype, u32 seq, u32 pid)
{
	lockdep_assert_held(&kn->cfg);
	kipsec_pfkey_out_init(out, kn->pfkey->scratch,
			      sizeof(kn->pfkey->scratch), type, satype, seq,
			      pid);
}

struct sk_buff *kipsec_pfkey_skb(struct kipsec_pfkey_out *out, bool secret)
{
	int len = kipsec_pfkey_out_finish(out);
	struct sk_buff *skb = NULL;

	if (!WARN_ON_ONCE(len < 0))
		skb = alloc_skb(len, GFP_KERNEL);
	if (skb)
		skb_put_data(skb, out->data, len);
	if (secret)
		memzero_explicit(out->data, out->len);
	return skb;
}

void kipsec_pfkey_wipe(struct sk_buff *skb)
{
	if (!skb)
		return;
	memzero_explicit(skb->data, skb->len);
	kfree_skb(skb);
}

/* The reader, the last one, lets go of a packet with keys. */
static void wipe_and_release(struct sk_buff *skb)
{
	memzero_explicit(skb->data, skb->len);
	sock_rfree(skb);
}

static void enqueue(struct sock *sk, struct sk_buff *skb, bool secret)
{
	skb_set_owner_r(skb, sk);
	if (secret)
		skb->destructor = wipe_and_release;
	skb_queue_tail(&sk->sk_receive_queue, skb);
	sk->sk_data_ready(sk);
}

/* One message may overshoot the limit. */
static bool takes_more(const struct sock *sk)
{
	return atomic_read(&sk->sk_rmem_alloc) <= READ_ONCE(sk->sk_rcvbuf);
}

/*
 * Consumes @skb. Who does not read loses messages, and is not told: that is how
 * programs know it.
 */
static void deliver(struct kipsec_net *kn, struct sock *sk, struct sk_buff *skb)
{
	if (skb && takes_more(sk)) {
		enqueue(sk, skb, false);
		return;
	}
	kfree_skb(skb);
	kipsec_count(kn, KIPSEC_COUNT_PFKEY_LOST);
}

static bool wanted(const struct kipsec_pfkey_sock *ks, enum kipsec_pfkey_to to)
{
	return to == KIPSEC_TO_ALL ||
	       (to == KIPSEC_TO_REGISTERED && READ_ONCE(ks->registered));
}

/*
 * Copies for everybody but @one. A promiscuous socket gets one more of what it
 * gets anyway, and it gets what is meant for @one.
 */
static void spread(struct kipsec_net *kn, struct sk_buff *skb,
		   enum kipsec_pfkey_to to, const struct kipsec_pfkey_sock *one)
{
	struct kipsec_pfkey *kp = kn->pfkey;
	struct sock *sk;

	spin_lock_bh(&kp->lock);
	sk_for_each(sk, &kp->socks) {
		const struct kipsec_pfkey_sock *ks = to_ks(sk);

		if (READ_ONCE(ks->promisc))
			deliver(kn, sk, skb_clone(skb, GFP_ATOMIC));
		if (ks != one && wanted(ks, to))
			deliver(kn, sk, skb_clone(skb, GFP_ATOMIC));
	}
	spin_unlock_bh(&kp->lock);
}

static int send_skb(struct kipsec_net *kn, struct sk_buff *skb,
		    enum kipsec_pfkey_to to, struct kipsec_pfkey_sock *one)
{
	if (!skb) {
		kipsec_count(kn, KIPSEC_COUNT_PFKEY_LOST);
		return -ENOBUFS;
	}
	spread(kn, skb, to, one);
	if (one)
		deliver(kn, &one->sk, skb);
	else
		kfree_skb(skb);
	return 0;
}

int kipsec_pfkey_send(struct kipsec_net *kn, struct kipsec_pfkey_out *out,
		      enum kipsec_pfkey_to to, struct kipsec_pfkey_sock *one)
{
	return send_skb(kn, kipsec_pfkey_skb(out, false), to, one);
}

void kipsec_pfkey_show(struct kipsec_net *kn, const void *data, size_t len)
{
	struct sk_buff *skb;

	if (!READ_ONCE(kn->pfkey->promisc))
		return;
	skb = alloc_skb(len, GFP_KERNEL | __GFP_NOWARN);
	if (!skb) {
		kipsec_count(kn, KIPSEC_COUNT_PFKEY_LOST);
		return;
	}
	skb_put_data(skb, data, len);
	kipsec_pfkey_hide_keys(skb->data, len);
	spread(kn, skb, KIPSEC_TO_ONE, NULL);
	kfree_skb(skb);
}

void kipsec_pfkey_send_secret(struct kipsec_pfkey_sock *ks, struct sk_buff *skb)
{
	struct kipsec_net *kn = kipsec_net(sock_net(&ks->sk));
	struct sock *sk = &ks->sk;

	kipsec_pfkey_show(kn, skb->data, skb->len);
	if (takes_more(sk)) {
		enqueue(sk, skb, true);
		return;
	}
	kipsec_pfkey_wipe(skb);
	kipsec_count(kn, KIPSEC_COUNT_PFKEY_LOST);
}
