/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reason.h - numbers of the reasons and counters in reasons.inc (floor 1).
 */
#ifndef _KIPSEC_REASON_H
#define _KIPSEC_REASON_H

/** enum kipsec_reason - why a packet was dropped */
enum kipsec_reason {
#define REASON(sym, name, text) KIPSEC_DROP_##sym,
#define COUNTER(sym, name, text)
#include "reasons.inc"
	KIPSEC_REASON_MAX
};

/** enum kipsec_counter - what else is counted; numbered behind the reasons */
enum kipsec_counter {
	KIPSEC_COUNT_FIRST = KIPSEC_REASON_MAX - 1,
#define REASON(sym, name, text)
#define COUNTER(sym, name, text) KIPSEC_COUNT_##sym,
#include "reasons.inc"
	KIPSEC_STAT_MAX
};

#endif /* _KIPSEC_REASON_H */
