// SPDX-License-Identifier: GPL-2.0
/*
 * esp.c - the Encapsulating Security Payload, RFC 4303 (floor 3). One file for
 * both families and both modes: it works between an IP header that is already
 * in place and the payload, and never looks into either.
 *
 *	| IP | SPI | seq | IV | payload | padding | pad length | next | ICV |
 *	     ^ associated data ^ text ................................^
 *
 * With extended sequence numbers (RFC 4304) the upper half, which is not sent,
 * stands between SPI and seq in the associated data.
 *
 * The IV of counter modes and AEADs is the sequence number, mixed with a random
 * salt of the SA: it never repeats within an SA, and an operator who loads the
 * same manual keys again after a reboot does not start the same IVs again. That of
 * CBC must not be foreseen either. It is the same number, encrypted (NIST SP 800-38A,
 * appendix C): the cipher finds it where the IV belongs, as the first block of a text
 * whose IV is zero, and leaves the IV there.
 */
#include <linux/ip.h>
#include <linux/random.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/esp.h>

#include "../offload/choice.h"
#include "../offload/crypto.h"
#include "alg.h"
#include "natt.h"
#include "packet.h"
#include "sequence.h"
#include "xform.h"

/**
 * struct kipsec_esp_sa - an SA's ESP part
 * @cipher: keyed
 * @ivlen: bytes of IV in a packet
 * @icvlen: bytes of ICV
 * @block: padding goes up to a multiple of this, a power of two, at least 4
 * @counter_iv: the IV counts; else that number is encrypted
 * @salt: of the number, and what follows it in a longer block
 */
struct kipsec_esp_sa {
	struct kipsec_cipher	cipher;
	u8			ivlen;
	u8			icvlen;
	u8			block;
	bool			counter_iv;
	__be64			salt[2];
};

#define ESP_HEADER	sizeof(struct ip_esp_hdr)
#define ESP_TRAILER	2	/* pad length and next header */

static int key_check(const struct kipsec_key *key)
{
	if (!key)
		return 0;
	return kipsec_alg_key_ok(key->alg, key->bits) ? 0 : -EINVAL;
}

static int esp_init(struct kipsec_sa *sa)
{
	const struct kipsec_alg *alg = sa->enc ? sa->enc->alg : NULL;
	bool aead = alg && alg->kind == KIPSEC_ALG_AEAD;
	struct kipsec_esp_sa *esp;
	int err;

	if (key_check(sa->enc) || key_check(sa->auth))
		return -EINVAL;
	esp = kzalloc(sizeof(*esp), GFP_KERNEL);
	if (!esp)
		return -ENOMEM;
	esp->ivlen = alg ? alg->ivlen : 0;
	esp->block = max(4, alg ? alg->block : 1);
	esp->counter_iv = aead || (alg && alg->kind == KIPSEC_ALG_COUNTER);
	esp->icvlen = aead ? sa->enc->icvlen : sa->auth ? sa->auth->icvlen : 0;
	get_random_bytes(esp->salt, sizeof(esp->salt));
	/* Nothing would vouch for the half that is not sent. */
	err = sa->esn && !esp->icvlen ? -EINVAL :
	      kipsec_choice_cipher(&esp->cipher, sa, sa->enc, sa->auth, sa->esn);
	if (err) {
		kfree(esp);
		return err;
	}
	sa->xf_data = esp;
	return 0;
}

static void esp_destroy(struct kipsec_sa *sa)
{
	struct kipsec_esp_sa *esp = sa->xf_data;

	kipsec_cipher_destroy(&esp->cipher);
	kfree_sensitive(esp);
}

static const struct kipsec_cipher *esp_cipher(const struct kipsec_sa *sa)
{
	const struct kipsec_esp_sa *esp = sa->xf_data;

	return &esp->cipher;
}

static unsigned int esp_inner_max(const struct kipsec_sa *sa, bool tunnel,
				  unsigned int mtu)
{
	const struct kipsec_esp_sa *esp = sa->xf_data;
	unsigned int ip = kipsec_ip_header(sa->id.family);
	unsigned int fixed = ip + kipsec_natt_room(sa) + ESP_HEADER +
			     esp->ivlen + esp->icvlen;

	if (mtu < fixed + esp->block)
		return 0;
	/* In transport mode the IP header is the packet's own. */
	return round_down(mtu - fixed, esp->block) - ESP_TRAILER +
	       (tunnel ? 0 : ip);
}

/* The cipher finds the number, followed by salt, where the text begins. */
static noinline void esp_ask_iv(struct kipsec_job *job,
				const struct kipsec_esp_sa *esp, u8 *iv,
				__be64 number)
{
	__be64 block[] = { number, esp->salt[1] };

	if (unlikely(job->text)) {
		job->text -= esp->ivlen;
		iv = job->text;
	}
	memcpy(iv, block, esp->ivlen);
	memset(job->iv, 0, sizeof(job->iv));
}

/* How many bytes of it does the cipher make? */
static unsigned int esp_set_iv(struct kipsec_job *job,
			       const struct kipsec_esp_sa *esp, u8 *iv)
{
	__be64 number = cpu_to_be64(job->seq) ^ esp->salt[0];

	if (esp->counter_iv) {
		memcpy(iv, &number, sizeof(number));
		memcpy(job->iv, &number, sizeof(number));
		return 0;
	}
	if (esp->ivlen)
		esp_ask_iv(job, esp, iv, number);
	return esp->ivlen;
}

/*
 * Padding 1, 2, 3 ... (RFC 4303 section 2.4), pad length, next header. What is
 * written too much of a little padding is the ICV's place, which comes later.
 */
static void esp_set_trailer(u8 *tail, unsigned int len, unsigned int pad,
			    u8 next)
{
	unsigned int i;

	if (likely(pad <= sizeof(u32) && len >= sizeof(u32)))
		put_unaligned_le32(0x04030201, tail);
	else
		for (i = 0; i < pad; i++)
			tail[i] = i + 1;
	tail[pad] = pad;
	tail[pad + 1] = next;
}

static int esp_output(struct kipsec_job *job)
{
	struct kipsec_sa *sa = job->sa;
	struct kipsec_esp_sa *esp = sa->xf_data;
	unsigned int clen, pad, tail, head = ESP_HEADER + esp->ivlen;
	unsigned int made, udp = kipsec_natt_room(sa);
	struct ip_esp_hdr *esph;
	int payload = kipsec_payload_len(job), err;
	u8 next, *trailer;

	if (payload < 0)
		return payload;
	clen = ALIGN(payload + ESP_TRAILER, esp->block);
	pad = clen - payload - ESP_TRAILER;
	tail = pad + ESP_TRAILER + esp->icvlen;
	/* First, for who comes to his limit here leaves the packet to another SA. */
	err = kipsec_seq_next(job, payload);
	if (err)
		return err;
	if (!kipsec_own_output(job, udp + head, tail, &esp->cipher)) {
		job->reason = KIPSEC_DROP_OUT_NOMEM;
		return -ENOMEM;
	}
	next = kipsec_push(job, udp + head);
	trailer = __skb_put(job->skb, tail);
	if (unlikely(job->text)) {
		trailer = job->text;
		job->text -= payload;
	}
	esp_set_trailer(trailer, tail, pad, next);
	if (unlikely(udp))
		kipsec_natt_push(job);
	esph = (struct ip_esp_hdr *)skb_transport_header(job->skb);
	esph->spi = sa->id.spi;
	esph->seq_no = htonl((u32)job->seq);
	made = esp_set_iv(job, esp, esph->enc_data);
	return kipsec_crypt(job, &esp->cipher, true, (u8 *)esph, head - made,
			    clen + made);
}

static int in_fail(struct kipsec_job *job, enum kipsec_reason reason)
{
	job->reason = reason;
	return -EINVAL;
}

static int esp_input(struct kipsec_job *job)
{
	struct kipsec_esp_sa *esp = job->sa->xf_data;
	unsigned int head = ESP_HEADER + esp->ivlen;
	struct ip_esp_hdr *esph;
	int clen, err;

	clen = job->skb->len - head - esp->icvlen;
	if (clen <= 0 || clen & (esp->block - 1) || !pskb_may_pull(job->skb, head))
		return in_fail(job, KIPSEC_DROP_IN_TRUNCATED);
	err = kipsec_seq_check(job, ((struct ip_esp_hdr *)job->skb->data)->seq_no);
	if (err)
		return err;
	if (!kipsec_own_input(job))
		return in_fail(job, KIPSEC_DROP_IN_NOMEM);
	esph = (struct ip_esp_hdr *)job->skb->data;
	if (likely(esp->ivlen == sizeof(u64)))
		memcpy(job->iv, esph->enc_data, sizeof(u64));
	else
		memcpy(job->iv, esph->enc_data, esp->ivlen);
	return kipsec_crypt(job, &esp->cipher, false, job->skb->data, head,
			    clen + esp->icvlen);
}

static int esp_input_done(struct kipsec_job *job)
{
	struct kipsec_esp_sa *esp = job->sa->xf_data;
	unsigned int head = ESP_HEADER + esp->ivlen;
	struct sk_buff *skb = job->skb;
	int clen, pad, next, err;
	u8 *trailer;

	clen = skb->len - head - esp->icvlen;
	trailer = skb->data + head + clen - ESP_TRAILER;
	pad = trailer[0];
	next = trailer[1];
	err = kipsec_seq_accept(job, max(clen - ESP_TRAILER - pad, 0));
	if (err)
		return err;
	if (pad + ESP_TRAILER > clen)
		return in_fail(job, KIPSEC_DROP_IN_PADDING);
	skb->ip_summed = CHECKSUM_NONE;
	if (unlikely(job->sa->natt.type)) {
		kipsec_natt_seen(job->sa, skb);
		/* Made for other addresses (RFC 3948 section 3.1.2). */
		if (job->sa->mode != KIPSEC_MODE_TUNNEL)
			skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	__skb_trim(skb, skb->len - esp->icvlen - ESP_TRAILER - pad);
	__skb_pull(skb, head);
	return next;
}

const struct kipsec_xform kipsec_esp = {
	.name		= "esp",
	.proto		= IPPROTO_ESP,
	.init		= esp_init,
	.destroy	= esp_destroy,
	.cipher		= esp_cipher,
	.inner_max	= esp_inner_max,
	.output		= esp_output,
	.input		= esp_input,
	.input_done	= esp_input_done,
};
