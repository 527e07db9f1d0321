/* SPDX-License-Identifier: GPL-2.0 */
/*
 * card.h - a driver that stands for hardware, and may misbehave (floor 3).
 */
#ifndef _KIPSEC_CARD_H
#define _KIPSEC_CARD_H

#include "engine.h"
#include "lane.h"

/**
 * kipsec_card_add() - let a card do the work of a lane
 * @lane: new and empty
 * @tfm: keyed; belongs to the card afterwards
 * @owner: module of its driver
 *
 * Context: process. Return: 0 or -ENOMEM (@tfm stays the caller's).
 */
int kipsec_card_add(struct kipsec_lane *lane, struct crypto_aead *tfm,
		    struct module *owner);

/**
 * kipsec_card_remove() - the lane has no jobs any more
 * @lane: its card forgets it, and goes with the last request that it keeps
 *
 * Context: process.
 */
void kipsec_card_remove(struct kipsec_lane *lane);

/** kipsec_card_stats() - what it has done so far for this SA */
void kipsec_card_stats(struct kipsec_card *card,
		       struct kipsec_engine_stats *stats);

/**
 * kipsec_card_submit() - the card's turn, or software's if it cannot
 * @job: entered in a lane with a card
 *
 * Context: BH off, RCU read side. The job may be gone afterwards.
 */
void kipsec_card_submit(struct kipsec_job *job);

/**
 * kipsec_card_depart() - a driver is about to lose a device
 * @owner: the driver's module
 *
 * Its transforms would point to what is not there any more, so all of them are
 * given back while the device still works: what it has is answered or given up,
 * and the SAs go on in software.
 *
 * Context: process; sleeps until that is done, card_timeout at most.
 */
void kipsec_card_depart(const struct module *owner);

int kipsec_card_start(void);
void kipsec_card_stop(void);

#endif /* _KIPSEC_CARD_H */
