// SPDX-License-Identifier: GPL-2.0
/*
 * ipcomp.c - IP Payload Compression, RFC 3173, with DEFLATE, RFC 2394 (floor 3).
 * One file for both families and both modes, as esp.c.
 *
 *	| IP | next | flags 0 | CPI | compressed payload |
 *
 * What would not become smaller is sent as it is, without this header (RFC 3173
 * section 2.2); in tunnel mode that is plain IP in IP. Such packets say nothing
 * of the SA, so neither side counts them for it.
 *
 * A stream is raw deflate, whole in its packet. We look back 2 KiB, which any
 * receiver can follow, and follow the 32 KiB that the format allows. Packets
 * are read where they lie and come out in a buffer of the CPU; memory is only
 * asked for when the size is known, and no stream gives more than a packet.
 *
 * zlib wants tens of kilobytes to work in: one set for each CPU serves all SAs,
 * is there from the first to the last of them, and is used with BH off.
 */
#include <linux/ip.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>
#include <linux/zlib.h>

#include "packet.h"
#include "sequence.h"
#include "xform.h"

#define HEADER		sizeof(struct ip_comp_hdr)
#define WORTH_WHILE	90	/* shorter payload is not tried */
#define WINDOW_OUT	(-11)	/* bits; negative: raw, without zlib's header */
#define WINDOW_IN	(-15)
#define MEMORY		5	/* 4096 hash chains: more than packets fill */

/**
 * struct kipsec_zip - what a CPU works with
 * @deflate: ready to be reset
 * @inflate: likewise
 * @out: of either
 */
struct kipsec_zip {
	struct z_stream_s	deflate;
	struct z_stream_s	inflate;
	u8			out[U16_MAX];
};

static DEFINE_PER_CPU(struct kipsec_zip *, zips);
static DEFINE_MUTEX(zip_lock);
static unsigned int zip_users;		/* SAs; under zip_lock */

/* --- memory -------------------------------------------------------------- */

static void zip_free(void)
{
	struct kipsec_zip *zip;
	int cpu;

	for_each_possible_cpu(cpu) {
		zip = per_cpu(zips, cpu);
		per_cpu(zips, cpu) = NULL;
		if (!zip)
			continue;
		vfree(zip->deflate.workspace);
		vfree(zip->inflate.workspace);
		vfree(zip);
	}
}

static int zip_alloc_cpu(int cpu)
{
	int node = cpu_to_node(cpu);
	struct kipsec_zip *zip = vzalloc_node(sizeof(*zip), node);

	if (!zip)
		return -ENOMEM;
	per_cpu(zips, cpu) = zip;
	zip->deflate.workspace =
		vzalloc_node(zlib_deflate_workspacesize(WINDOW_OUT, MEMORY),
			     node);
	zip->inflate.workspace =
		vzalloc_node(zlib_inflate_workspacesize(), node);
	if (!zip->deflate.workspace || !zip->inflate.workspace)
		return -ENOMEM;
	if (zlib_deflateInit2(&zip->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
			      WINDOW_OUT, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK ||
	    zlib_inflateInit2(&zip->inflate, WINDOW_IN) != Z_OK)
		return -EINVAL;
	return 0;
}

static int zip_get(void)
{
	int cpu, err = 0;

	mutex_lock(&zip_lock);
	if (!zip_users) {
		for_each_possible_cpu(cpu) {
			err = zip_alloc_cpu(cpu);
			if (err)
				break;
		}
	}
	if (err)
		zip_free();
	else
		zip_users++;
	mutex_unlock(&zip_lock);
	return err;
}

/* An SA goes only after the last packet that it carried. */
static void zip_put(void)
{
	mutex_lock(&zip_lock);
	if (!--zip_users)
		zip_free();
	mutex_unlock(&zip_lock);
}

static int ipcomp_init(struct kipsec_sa *sa)
{
	if (sa->esn)
		return -EINVAL;
	/* There are no sequence numbers, whatever window was asked for. */
	kfree(sa->replay);
	sa->replay = NULL;
	return zip_get();
}

static void ipcomp_destroy(struct kipsec_sa *sa)
{
	zip_put();
}

/* --- streams ------------------------------------------------------------- */

/*
 * Compress @skb from @from to its end into @zip->out.
 * Return: bytes, or 0 if it would take more than @max.
 */
static unsigned int zip_deflate(struct kipsec_zip *zip, struct sk_buff *skb,
				unsigned int from, unsigned int max)
{
	unsigned int at = 0, len = skb->len - from;
	struct z_stream_s *s = &zip->deflate;
	struct skb_seq_state seq;
	int err;

	err = zlib_deflateReset(s);
	s->next_out = zip->out;
	s->avail_out = max;
	skb_prepare_seq_read(skb, from, skb->len, &seq);
	s->avail_in = 0;
	/* Input that is left over means that there is no more room. */
	while (err == Z_OK && !s->avail_in && at < len) {
		s->avail_in = skb_seq_read(at, &s->next_in, &seq);
		at += s->avail_in;
		err = zlib_deflate(s, at == len ? Z_FINISH : Z_NO_FLUSH);
	}
	skb_abort_seq_read(&seq);
	return err == Z_STREAM_END ? s->total_out : 0;
}

/*
 * Expand @skb from @from to its end into @zip->out. What follows the end of the
 * stream is padding.
 * Return: bytes, or -EINVAL if the stream is malformed, or has no end within
 * the packet, or would give more than @max.
 */
static int zip_inflate(struct kipsec_zip *zip, struct sk_buff *skb,
		       unsigned int from, unsigned int max)
{
	struct z_stream_s *s = &zip->inflate;
	struct skb_seq_state seq;
	unsigned int at = 0;
	int err;

	err = zlib_inflateReset(s);
	s->next_out = zip->out;
	s->avail_out = max;
	skb_prepare_seq_read(skb, from, skb->len, &seq);
	while (err == Z_OK) {
		s->avail_in = skb_seq_read(at, &s->next_in, &seq);
		if (!s->avail_in)
			break;
		at += s->avail_in;
		err = zlib_inflate(s, Z_SYNC_FLUSH);
	}
	skb_abort_seq_read(&seq);
	return err == Z_STREAM_END ? s->total_out : -EINVAL;
}

/* --- output -------------------------------------------------------------- */

/* At worst a packet goes as it is. */
static unsigned int ipcomp_inner_max(const struct kipsec_sa *sa, bool tunnel,
				     unsigned int mtu)
{
	unsigned int outer = tunnel ? kipsec_ip_header(sa->id.family) : 0;

	return mtu > outer ? mtu - outer : 0;
}

static int out_nomem(struct kipsec_job *job)
{
	job->reason = KIPSEC_DROP_OUT_NOMEM;
	return -ENOMEM;
}

/* Not compressed: nothing at all, or IP in IP. */
static int output_plain(struct kipsec_job *job)
{
	u8 next;

	if (!kipsec_job_tunnel(job))
		return 0;
	if (!kipsec_own_output(job, 0, 0, NULL))
		return out_nomem(job);
	next = kipsec_push(job, 0);
	if (job->sa->id.family == AF_INET6)
		ipv6_hdr(job->skb)->nexthdr = next;
	else
		ip_hdr(job->skb)->protocol = next;
	return 0;
}

static int ipcomp_output(struct kipsec_job *job)
{
	struct kipsec_zip *zip = this_cpu_read(zips);
	int payload = kipsec_payload_len(job), err;
	struct ip_comp_hdr *head;
	unsigned int n;
	u8 next;

	if (payload < 0)
		return payload;
	if (payload < WORTH_WHILE)
		return output_plain(job);
	n = zip_deflate(zip, job->skb, job->skb->len - payload,
			min_t(unsigned int, payload - HEADER - 1, U16_MAX));
	if (!n)
		return output_plain(job);
	if (!kipsec_own_output(job, HEADER, 0, NULL))
		return out_nomem(job);
	err = kipsec_count_out(job, payload);
	if (err)
		return err;
	/* Headers are made from what the payload still shows. */
	next = kipsec_push(job, HEADER);
	head = (struct ip_comp_hdr *)skb_transport_header(job->skb);
	head->nexthdr = next;
	head->flags = 0;
	head->cpi = htons(ntohl(job->sa->id.spi));
	memcpy(head + 1, zip->out, n);
	__skb_trim(job->skb, skb_transport_offset(job->skb) + HEADER + n);
	return 0;
}

/* --- input --------------------------------------------------------------- */

static int in_fail(struct kipsec_job *job, enum kipsec_reason reason)
{
	job->reason = reason;
	return -EINVAL;
}

/* What a payload may have: with the headers before it, it is a packet. */
static unsigned int payload_max(const struct kipsec_job *job, u8 next)
{
	bool inner = next == IPPROTO_IPIP ||
		     (IS_ENABLED(CONFIG_IPV6) && next == IPPROTO_IPV6);

	if (inner && job->sa->mode != KIPSEC_MODE_TRANSPORT)
		return U16_MAX;
	return U16_MAX + skb_network_offset(job->skb);	/* which is negative */
}

/* The payload in @from takes the place of what follows our header. */
static bool replace_payload(struct sk_buff *skb, const u8 *from, int len)
{
	if (pskb_trim(skb, HEADER))
		return false;
	if ((skb_cloned(skb) || skb_tailroom(skb) < len) &&
	    pskb_expand_head(skb, 0, len, GFP_ATOMIC | __GFP_NOWARN))
		return false;
	skb_put_data(skb, from, len);
	skb->ip_summed = CHECKSUM_NONE;
	return true;
}

static int ipcomp_input(struct kipsec_job *job)
{
	struct kipsec_zip *zip = this_cpu_read(zips);
	const struct ip_comp_hdr *head;
	int n;

	/* The shortest stream has two bytes. */
	if (job->skb->len < HEADER + 2 || !pskb_may_pull(job->skb, HEADER))
		return in_fail(job, KIPSEC_DROP_IN_TRUNCATED);
	head = (const struct ip_comp_hdr *)job->skb->data;
	n = zip_inflate(zip, job->skb, HEADER, payload_max(job, head->nexthdr));
	if (n < 0)
		return in_fail(job, KIPSEC_DROP_IN_DECOMPRESS);
	if (!replace_payload(job->skb, zip->out, n))
		return in_fail(job, KIPSEC_DROP_IN_NOMEM);
	return 0;
}

static int ipcomp_input_done(struct kipsec_job *job)
{
	struct sk_buff *skb = job->skb;
	u8 next = ((const struct ip_comp_hdr *)skb->data)->nexthdr;
	int err;

	err = kipsec_count_in(job, skb->len - HEADER);
	if (err)
		return err;
	__skb_pull(skb, HEADER);
	return next;
}

const struct kipsec_xform kipsec_ipcomp = {
	.name		= "ipcomp",
	.proto		= IPPROTO_COMP,
	.init		= ipcomp_init,
	.destroy	= ipcomp_destroy,
	.inner_max	= ipcomp_inner_max,
	.output		= ipcomp_output,
	.input		= ipcomp_input,
	.input_done	= ipcomp_input_done,
};
