/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reason.h - why a packet was dropped, and what else is counted (floor 1).
 *
 * One list: each line is an enum value, a counter in /proc/net/kipsec_stat, the
 * reason in the kipsec_drop trace event, and a row of the manual.
 */
#ifndef _KIPSEC_REASON_H
#define _KIPSEC_REASON_H

/* X(symbol, name in /proc, what it means) */
#define KIPSEC_REASONS(X)						       \
	X(IN_TRUNCATED,	"InTruncated",	"too short for its SA, or not a whole number of blocks") \
	X(IN_SA_STATE,	"InSaState",	"the SA is not, or no longer, usable")		\
	X(IN_EXPIRED,	"InSaExpired",	"the SA reached its hard limit of bytes or packets") \
	X(IN_SEQ_ZERO,	"InSeqZero",	"sequence number 0, which is never sent")	\
	X(IN_REPLAY_OLD, "InReplayOld",	"sequence number left of the replay window")	\
	X(IN_REPLAY_DUP, "InReplayDup",	"sequence number seen before")			\
	X(IN_ICV,	"InIcv",	"integrity check failed: wrong key, or changed on the way") \
	X(IN_CRYPTO,	"InCrypto",	"the cipher's driver refused or failed")	\
	X(IN_PADDING,	"InPadding",	"padding longer than the payload")		\
	X(IN_NEXT_HEADER, "InNextHeader", "next header does not fit the SA's mode")	\
	X(IN_DUMMY,	"InDummy",	"dummy packet (next header 59) of the peer's traffic padding") \
	X(IN_INNER,	"InInnerHeader", "inner IP header malformed")			\
	X(IN_POLICY,	"InPolicy",	"decapsulated, but policy wants other protection") \
	X(IN_CLEAR,	"InClear",	"in clear, though policy wants it protected")	\
	X(IN_DISCARD,	"InDiscard",	"a discard policy matched on input")		\
	X(IN_NOMEM,	"InNoMemory",	"no memory on input")				\
	X(OUT_MALFORMED, "OutMalformed", "header cannot be read, so no policy can be found") \
	X(OUT_DISCARD,	"OutDiscard",	"a discard policy matched on output")		\
	X(OUT_NO_SA,	"OutNoSa",	"policy wants protection and there is no SA")	\
	X(OUT_NO_ROUTE,	"OutNoRoute",	"no route to the outer destination")		\
	X(OUT_SEQ,	"OutSeqOverflow", "sequence numbers used up; the SA must be replaced") \
	X(OUT_EXPIRED,	"OutSaExpired",	"the SA reached its hard limit of bytes or packets") \
	X(OUT_TOO_BIG,	"OutTooBig",	"would not fit the path and must not be fragmented") \
	X(OUT_CRYPTO,	"OutCrypto",	"the cipher's driver refused or failed")	\
	X(OUT_NOMEM,	"OutNoMemory",	"no memory on output")

/* Y(symbol, name in /proc, what it means): events that are no drops */
#define KIPSEC_COUNTERS(Y)						       \
	Y(IN_PROTECTED,	"InProtected",	"packets decapsulated and accepted")		\
	Y(OUT_PROTECTED, "OutProtected", "packets encapsulated and sent")		\
	Y(IN_UNKNOWN_SPI, "InUnknownSpi", "ESP for no SA of ours, left to other handlers") \
	Y(OUT_CLEAR,	"OutClear",	"sent in clear because a policy says none, or use without an SA") \
	Y(OUT_COPIED,	"OutCopied",	"packets copied into memory of our own before encryption") \
	Y(IN_COPIED,	"InCopied",	"packets copied into memory of our own before decryption") \
	Y(PFKEY_LOST,	"PfkeyLost",	"messages lost because a PF_KEY socket's buffer was full")

enum kipsec_reason {
#define X(sym, name, text) KIPSEC_DROP_##sym,
	KIPSEC_REASONS(X)
#undef X
	KIPSEC_REASON_MAX
};

enum kipsec_counter {
	KIPSEC_COUNT_FIRST = KIPSEC_REASON_MAX - 1,
#define Y(sym, name, text) KIPSEC_COUNT_##sym,
	KIPSEC_COUNTERS(Y)
#undef Y
	KIPSEC_STAT_MAX
};

#endif /* _KIPSEC_REASON_H */
