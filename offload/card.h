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
 * @tfm: without a key; belongs to the card afterwards
 * @owner: module of its driver
 * @enc: its keys, as for kipsec_engine_alloc()
 * @auth: as above
 *
 * Context: process.
 * Return: 0, or an error and @tfm stays the caller's: -ENODEV the card is being
 * taken out of the machine; -ENOMEM; what kipsec_engine_key() says.
 */
int kipsec_card_add(struct kipsec_lane *lane, struct crypto_aead *tfm,
		    struct module *owner, const struct kipsec_key *enc,
		    const struct kipsec_key *auth);

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
 * @dev: the device, or its parent: what kipsec_card_departed() will be told
 * @owner: the driver's module
 *
 * Its transforms would point to what is not there any more, so all of them are
 * given back while the device still works: what it has is answered or given up,
 * and the SAs go on in software, where new ones begin.
 *
 * Context: process; sleeps until that is done, card_timeout at most.
 */
void kipsec_card_depart(const void *dev, const struct module *owner);

/**
 * kipsec_card_departed() - the device is gone
 * @dev: as above; NULL: all of them
 *
 * If its driver serves another, that one may have SAs again.
 *
 * Context: process.
 */
void kipsec_card_departed(const void *dev);

int kipsec_card_start(void);
void kipsec_card_stop(void);

#endif /* _KIPSEC_CARD_H */
