/* SPDX-License-Identifier: GPL-2.0 */
/*
 * crew.h - one SA on many cores (floor 3).
 */
#ifndef _KIPSEC_CREW_H
#define _KIPSEC_CREW_H

#include <linux/jump_label.h>

#include "lane.h"

DECLARE_STATIC_KEY_FALSE(kipsec_crew_key);

bool __kipsec_crew_wanted(const struct kipsec_net *kn,
			  const struct kipsec_lane *lane);

/**
 * kipsec_crew_wanted() - shall the crew have a look at the next packet?
 * @job: the packet; its namespace's knob decides, or the load of this core
 * @lane: of the cipher, or NULL as long as it has none
 *
 * On a machine with one processor this is no code at all.
 *
 * Context: BH off.
 */
static inline bool kipsec_crew_wanted(const struct kipsec_job *job,
				      const struct kipsec_lane *lane)
{
	return static_branch_unlikely(&kipsec_crew_key) &&
	       __kipsec_crew_wanted(job->sa->net, lane);
}

/**
 * kipsec_crew_give() - let the crew do a job, if that helps
 * @job: entered in a lane without a card
 *
 * If it does not, or too many wait already, the work is done here and now.
 *
 * Context: BH off, RCU read side. The job may be gone afterwards.
 */
void kipsec_crew_give(struct kipsec_job *job);

int kipsec_crew_start(void);
void kipsec_crew_stop(void);

#endif /* _KIPSEC_CREW_H */
