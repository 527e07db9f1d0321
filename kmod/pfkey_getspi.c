// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_getspi.c - SPIs for SAs that are being negotiated (floor 5).
 */
#include <linux/in.h>
#include <linux/limits.h>
#include <linux/random.h>

#include "pfkey.h"
#include "sad.h"

/* SPIs that are given out unless the requester names a range. */
#define SPI_MIN		0x100
#define SPI_MAX		0x0fffffff
#define SPI_TRIES	1000
#define CPI_MAX		0xffff	/* of IPComp, two bytes */

static int get_range(const struct kipsec_pfkey_req *rq, u8 proto, u32 *min,
		     u32 *max)
{
	const struct sadb_spirange *xr = kipsec_pfkey_spirange(&rq->msg);
	u32 limit = proto == IPPROTO_COMP ? CPI_MAX : U32_MAX;

	*min = SPI_MIN;
	*max = min_t(u32, SPI_MAX, limit);
	if (xr) {
		/* 0 is no SPI, so a range from 0 starts at 1 */
		*min = max_t(u32, xr->sadb_spirange_min, 1);
		*max = xr->sadb_spirange_max;
	}
	return *min > *max || *max > limit ? -EINVAL : 0;
}

/*
 * An SPI that is free whatever the destination, or 0. A small range is searched
 * through and through, a large one tried at random.
 */
static __be32 draw_spi(struct kipsec_net *kn, u8 proto, u32 min, u32 max)
{
	u32 last = max - min, i, n;
	struct kipsec_sa *taken;
	__be32 spi;

	n = get_random_u32();
	for (i = 0; i < SPI_TRIES && i <= last; i++) {
		if (last < SPI_TRIES)
			spi = htonl(min + (u32)(((u64)n + i) % (last + 1)));
		else
			spi = htonl(min + (u32)(get_random_u32() %
						((u64)last + 1)));
		if (!kipsec_sad_find_spi(kn, proto, spi, &taken))
			return spi;
	}
	return 0;
}

/*
 * The same request once more gets the same answer: an SA that still waits for
 * its keys, and differs in nothing but the SPI that was drawn for it.
 */
static struct kipsec_sa *repeated(const struct kipsec_pfkey_req *rq,
				  const struct kipsec_sa *want, u32 min,
				  u32 max)
{
	struct kipsec_sa *sa;
	u32 spi;

	if (!want->seq)
		return NULL;
	sa = kipsec_sad_find_larval(rq->kn, want->seq, want->id.proto,
				    want->id.family, &want->id.dst);
	if (!sa || sa->mode != want->mode || sa->reqid != want->reqid ||
	    !kipsec_addr_equal(&sa->src, &want->src, want->id.family))
		return NULL;
	spi = ntohl(sa->id.spi);
	return spi >= min && spi <= max ? sa : NULL;
}

/* Fill in a larval SA, draw an SPI for it, answer. */
static int reserve_spi(struct kipsec_pfkey_req *rq, struct kipsec_sa *sa)
{
	struct kipsec_lifetime lt = { };
	struct kipsec_sa *old;
	u32 min, max;
	int err;

	sa->id.dst = rq->msg.dst.addr;
	sa->id.family = rq->msg.dst.family;
	sa->id.proto = kipsec_pfkey_proto(rq->msg.hdr->sadb_msg_satype);
	sa->src = rq->msg.src.addr;
	sa->seq = rq->msg.hdr->sadb_msg_seq;
	if (!sa->id.proto)
		return -EINVAL;
	err = get_range(rq, sa->id.proto, &min, &max) ?:
	      kipsec_pfkey_get_mode(rq, &sa->mode, &sa->reqid);
	if (err)
		return err;
	old = repeated(rq, sa, min, max);
	if (old) {
		kipsec_pfkey_reply_sa(rq, old, KIPSEC_TO_ONE);
		return 0;
	}
	sa->id.spi = draw_spi(rq->kn, sa->id.proto, min, max);
	if (!sa->id.spi)
		return -ENOENT;
	lt.hard.addtime = READ_ONCE(rq->kn->knobs.larval_lifetime);
	kipsec_sa_set_lifetime(sa, &lt);
	err = kipsec_sad_insert(rq->kn, sa);
	if (!err)
		kipsec_pfkey_reply_sa(rq, sa, KIPSEC_TO_ONE);
	return err;
}

int kipsec_pfkey_getspi(struct kipsec_pfkey_req *rq)
{
	struct kipsec_sa *sa = kipsec_sa_alloc(rq->kn);
	int err;

	if (!sa)
		return -ENOMEM;
	err = reserve_spi(rq, sa);
	kipsec_sa_put(sa);
	return err;
}
