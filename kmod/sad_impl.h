/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sad_impl.h - what sad.c (the tables) and sa.c (the life of one SA) share and
 * nobody else sees (floor 2).
 */
#ifndef _KIPSEC_SAD_IMPL_H
#define _KIPSEC_SAD_IMPL_H

#include <linux/rhashtable.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "sad.h"

/**
 * struct kipsec_sad - the data base of a namespace
 * @by_id: inbound look-up
 * @groups: outbound look-up, struct kipsec_sa_group
 * @by_spi: which SPIs are in use, whatever the destination
 * @by_serial: all SAs in order of creation, for dumps
 * @last_serial: the newest
 * @count: SAs in the data base
 * @cache_lock: of remembered answers
 * @larvals: SAs that wait for their keys
 * @events: SAs that crossed a limit
 * @live: SAs not yet freed
 * @gone: woken when @live reaches 0
 */
struct kipsec_sad {
	struct rhashtable	by_id;
	struct rhashtable	groups;
	struct rhltable		by_spi;
	struct xarray		by_serial;
	unsigned long		last_serial;
	unsigned int		count;
	spinlock_t		cache_lock;	/* of kipsec_net.sa_gen and what it guards */
	struct list_head	larvals;
	struct llist_head	events;
	atomic_t		live;
	wait_queue_head_t	gone;
};

/** kipsec_sad_changed() - whatever was remembered is to be looked up again */
void kipsec_sad_changed(struct kipsec_net *kn);

int kipsec_sad_groups_init(struct kipsec_sad *sad);

/**
 * kipsec_sad_join() - from now on policies' requests find an SA
 * @sad: the data base
 * @sa: not larval, in no group; @cfg held; one for input joins none
 *
 * Return: 0 or -ENOMEM.
 */
int kipsec_sad_join(struct kipsec_sad *sad, struct kipsec_sa *sa);

/** kipsec_sad_part() - none finds it any more, but for readers under way; @cfg */
void kipsec_sad_part(struct kipsec_sad *sad, struct kipsec_sa *sa);

/**
 * kipsec_sa_judge() - how far has an SA come, by time and by use?
 * @kn: the namespace
 * @sa: the SA
 *
 * Sets its next deadline; @cfg held.
 */
enum kipsec_life kipsec_sa_judge(struct kipsec_net *kn, struct kipsec_sa *sa);

/** kipsec_sa_forget_places() - what an SA knows of its ends; without readers */
void kipsec_sa_forget_places(struct kipsec_sa *sa);

/** kipsec_sad_poll() - visit the SAs that the data path reported; @cfg held */
void kipsec_sad_poll(struct kipsec_net *kn);

#endif /* _KIPSEC_SAD_IMPL_H */
