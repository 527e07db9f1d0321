// SPDX-License-Identifier: GPL-2.0
/*
 * xform.c - which transform serves an SA (floor 3).
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "sa.h"
#include "xform.h"

static const struct kipsec_xform * const xforms[] = {
	&kipsec_esp,
	&kipsec_ah,
	&kipsec_ipcomp,
};

static int sa_window(struct kipsec_sa *sa, u32 window, u64 last)
{
	if (!window)
		return 0;
	window = clamp_t(u32, window, KIPSEC_REPLAY_MIN, KIPSEC_REPLAY_MAX);
	sa->replay = kzalloc(kipsec_replay_size(window), GFP_KERNEL);
	if (!sa->replay)
		return -ENOMEM;
	kipsec_replay_init(sa->replay, window, last);
	return 0;
}

int kipsec_sa_init(struct kipsec_sa *sa, u32 window, u64 last)
{
	const struct kipsec_xform *xf = NULL;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(xforms); i++)
		if (xforms[i]->proto == sa->id.proto)
			xf = xforms[i];
	if (!xf)
		return -EPROTONOSUPPORT;
	sa->oseq_first = last;
	atomic64_set(&sa->oseq, last);
	err = sa_window(sa, window, last);
	if (err)
		return err;
	err = xf->init(sa);
	if (err)
		return err;	/* the window goes with the SA */
	sa->xf = xf;
	return 0;
}
