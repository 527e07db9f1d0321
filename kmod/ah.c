// SPDX-License-Identifier: GPL-2.0
/*
 * ah.c - the Authentication Header, RFC 4302 (floor 3). One file for both
 * families and both modes.
 *
 *	| IP, options or extensions | AH | ICV | its padding | payload |
 *	  ^ authenticated, as the receiver will see it ..............^
 *
 * What routers may change counts as zero, and so does the ICV itself. The
 * headers are masked in a copy, so that the packet stays as it is while a cipher
 * reads it; the payload is read, and the ICV written, where they are. With
 * extended sequence numbers the upper half, which is not sent, stands behind the
 * payload.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "../offload/choice.h"
#include "../offload/crypto.h"
#include "ah_mask.h"
#include "alg.h"
#include "packet.h"
#include "sequence.h"
#include "xform.h"

/**
 * struct kipsec_ah_sa - an SA's AH part
 * @cipher: keyed; all that it gets is associated data
 * @icvlen: bytes of ICV
 * @len: bytes of the header that we send
 */
struct kipsec_ah_sa {
	struct kipsec_cipher	cipher;
	u8			icvlen;
	u8			len;
};

#define AH_HEADER	sizeof(struct ip_auth_hdr)

/* Headers are counted in words of 4 bytes; IPv6 wants an even number of them. */
static unsigned int ah_align(const struct kipsec_sa *sa)
{
	return sa->id.family == AF_INET6 ? 8 : 4;
}

static unsigned int ah_len(const struct ip_auth_hdr *ah)
{
	return (ah->hdrlen + 2) * 4;
}

static int ah_init(struct kipsec_sa *sa)
{
	struct kipsec_ah_sa *ah;
	int err;

	if (!sa->auth || sa->enc ||
	    !kipsec_alg_key_ok(sa->auth->alg, sa->auth->bits))
		return -EINVAL;
	/* Nothing would vouch for the half that is not sent. */
	if (sa->esn && !sa->auth->icvlen)
		return -EINVAL;
	ah = kzalloc(sizeof(*ah), GFP_KERNEL);
	if (!ah)
		return -ENOMEM;
	ah->icvlen = sa->auth->icvlen;
	ah->len = ALIGN(AH_HEADER + ah->icvlen, ah_align(sa));
	/* authencesn() knows only ESP's order; ours is made here. */
	err = kipsec_choice_cipher(&ah->cipher, sa, NULL, sa->auth, false);
	if (err) {
		kfree(ah);
		return err;
	}
	sa->xf_data = ah;
	return 0;
}

static void ah_destroy(struct kipsec_sa *sa)
{
	struct kipsec_ah_sa *ah = sa->xf_data;

	kipsec_cipher_destroy(&ah->cipher);
	kfree(ah);
}

static const struct kipsec_cipher *ah_cipher(const struct kipsec_sa *sa)
{
	const struct kipsec_ah_sa *ah = sa->xf_data;

	return &ah->cipher;
}

static unsigned int ah_inner_max(const struct kipsec_sa *sa, bool tunnel,
				 unsigned int mtu)
{
	const struct kipsec_ah_sa *ah = sa->xf_data;
	unsigned int ip = kipsec_ip_header(sa->id.family);

	if (mtu <= ip + ah->len)
		return 0;
	/* In transport mode the IP header is the packet's own. */
	return mtu - ah->len - (tunnel ? ip : 0);
}

/* --- packets -------------------------------------------------------------- */

/*
 * Fill the job's scratch memory with the headers as the other end sees them,
 * @len bytes up to ours, and ours without its ICV. Padding behind the ICV counts.
 */
static bool ah_mask(struct kipsec_job *job, unsigned int len, unsigned int own,
		    bool out)
{
	const struct kipsec_ah_sa *ah = job->sa->xf_data;
	u8 *copy = job->scratch;

	memcpy(copy, skb_network_header(job->skb), len + own);
	memset(copy + len + AH_HEADER, 0, ah->icvlen);
	return kipsec_ah_mask(copy, len, out);
}

static int ah_crypt(struct kipsec_job *job, unsigned int len, unsigned int own,
		    bool out)
{
	struct kipsec_ah_sa *ah = job->sa->xf_data;
	u8 *head = skb_network_header(job->skb) + len, *payload = head + own;
	unsigned int plen = skb_tail_pointer(job->skb) - payload, n = 0;
	unsigned int assoc = len + own + plen;

	sg_set_buf(&job->sg[n++], job->scratch, len + own);
	if (plen)
		sg_set_buf(&job->sg[n++], payload, plen);
	if (job->sa->esn) {
		job->esn[0] = htonl(upper_32_bits(job->seq));
		sg_set_buf(&job->sg[n++], job->esn, sizeof(job->esn[0]));
		assoc += sizeof(job->esn[0]);
	}
	if (ah->icvlen)
		sg_set_buf(&job->sg[n++], head + AH_HEADER, ah->icvlen);
	return kipsec_crypt_sg(job, &ah->cipher, out, n, assoc,
			       out ? 0 : ah->icvlen);
}

static int ah_fail(struct kipsec_job *job, enum kipsec_reason reason)
{
	job->reason = reason;
	return -EINVAL;
}

/* Our header, and the length in IP's: it is authenticated, so it must be right. */
static void ah_set_header(struct kipsec_job *job, unsigned int own, u8 next)
{
	struct sk_buff *skb = job->skb;
	struct ip_auth_hdr *ah = (void *)skb_transport_header(skb);

	memset(ah, 0, own);
	ah->nexthdr = next;
	ah->hdrlen = own / 4 - 2;
	ah->spi = job->sa->id.spi;
	ah->seq_no = htonl((u32)job->seq);
	kipsec_finish_header(skb);
}

static int ah_output(struct kipsec_job *job)
{
	const struct kipsec_ah_sa *ah = job->sa->xf_data;
	int payload = kipsec_payload_len(job), err;
	unsigned int len;

	if (payload < 0)
		return payload;
	/* The headers that go before ours are at most the packet, or new. */
	len = job->skb->len - payload + kipsec_ip_header(job->sa->id.family);
	if (!kipsec_own_output(job, ah->len, 0, NULL) ||
	    !kipsec_job_scratch(job, len + ah->len)) {
		job->reason = KIPSEC_DROP_OUT_NOMEM;
		return -ENOMEM;
	}
	err = kipsec_seq_next(job, payload);
	if (err)
		return err;
	ah_set_header(job, ah->len, kipsec_push(job, ah->len));
	len = skb_network_header_len(job->skb);
	if (!ah_mask(job, len, ah->len, true))
		return ah_fail(job, KIPSEC_DROP_OUT_MALFORMED);
	return ah_crypt(job, len, ah->len, true);
}

static int ah_input(struct kipsec_job *job)
{
	const struct kipsec_ah_sa *ah = job->sa->xf_data;
	unsigned int len = -skb_network_offset(job->skb), own;
	struct ip_auth_hdr *hdr;
	int err;

	if (!pskb_may_pull(job->skb, AH_HEADER))
		return ah_fail(job, KIPSEC_DROP_IN_TRUNCATED);
	hdr = (struct ip_auth_hdr *)job->skb->data;
	own = ah_len(hdr);
	/* Some send more padding than they need. */
	if (own < ah->len || own % ah_align(job->sa) || own > job->skb->len)
		return ah_fail(job, KIPSEC_DROP_IN_TRUNCATED);
	err = kipsec_seq_check(job, hdr->seq_no);
	if (err)
		return err;
	if (!kipsec_own_input(job) || !kipsec_job_scratch(job, len + own))
		return ah_fail(job, KIPSEC_DROP_IN_NOMEM);
	if (!ah_mask(job, len, own, false))
		return ah_fail(job, KIPSEC_DROP_IN_TRUNCATED);
	return ah_crypt(job, len, own, false);
}

static int ah_input_done(struct kipsec_job *job)
{
	struct sk_buff *skb = job->skb;
	const struct ip_auth_hdr *hdr = (struct ip_auth_hdr *)skb->data;
	unsigned int own = ah_len(hdr);
	u8 next = hdr->nexthdr;
	int err;

	err = kipsec_seq_accept(job, skb->len - own);
	if (err)
		return err;
	skb->ip_summed = CHECKSUM_NONE;
	__skb_pull(skb, own);
	return next;
}

const struct kipsec_xform kipsec_ah = {
	.name		= "ah",
	.proto		= IPPROTO_AH,
	.init		= ah_init,
	.destroy	= ah_destroy,
	.cipher		= ah_cipher,
	.inner_max	= ah_inner_max,
	.output		= ah_output,
	.input		= ah_input,
	.input_done	= ah_input_done,
};
