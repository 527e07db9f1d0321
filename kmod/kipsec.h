/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kipsec.h - the root of a network namespace, and nothing else (floor 0).
 *
 * Everything that kipsec knows about a namespace hangs off struct kipsec_net.
 * Each member belongs to one file, which allocates it in its _init() and frees
 * it in its _exit(); kmod/main.c calls those as a ladder, floor by floor.
 */
#ifndef _KIPSEC_H
#define _KIPSEC_H

#include <linux/mutex.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "compat/compat.h"

struct kipsec_spd;
struct kipsec_sad;
struct kipsec_sa_last;
struct kipsec_expire;
struct kipsec_acquires;
struct kipsec_choice;
struct kipsec_early;
struct kipsec_stats;
struct kipsec_pfkey;
struct kipsec_hooks;
struct ctl_table_header;

/**
 * struct kipsec_knobs - what a namespace's administrator may turn
 * @prefer_old_sa: take the oldest usable SA for output, not the newest (KAME's
 *	net.key.prefered_oldsa)
 * @df: outer DF bit of tunnels: 0 clear, 1 set, 2 copy from the inner header
 *	(KAME's net.inet.ipsec.dfbit)
 * @ecn: carry congestion marks between the headers of a tunnel (RFC 6040)
 * @frag_before: what does not fit a tunnel is fragmented before it goes in, not
 *	after
 * @mss_clamp: lower the segment size of TCP that goes through SAs
 * @pipeline: leave ciphers to other cores: KIPSEC_PIPELINE_*
 * @larval_lifetime: seconds until an SA from GETSPI that nobody completes dies
 */
struct kipsec_knobs {
	u8	prefer_old_sa;
	u8	df;
	u8	ecn;
	u8	frag_before;
	u8	mss_clamp;
	u8	pipeline;
	u32	larval_lifetime;
};

#define KIPSEC_PIPELINE_ON	1	/* 0: never */
#define KIPSEC_PIPELINE_AUTO	2	/* when this one has too much to do */

/**
 * struct kipsec_net - the per-namespace root
 * @net: the namespace; it outlives this object
 * @cfg: serialises every change to the data bases (see sad.c and spd.c); all
 *	PF_KEY requests and the expiry worker run under it, the data path never
 *	takes it
 * @spd: policies (spd.c)
 * @sad: security associations (sad.c)
 * @sa_gen: generation of the answers that @sad has given (sad.c)
 * @sa_last: the last of them of each CPU (sad.c)
 * @expire: deadlines of both (expire.c)
 * @acquires: SAs that policies want (acquire.c)
 * @early: packets that wait for a larval SA (early.c)
 * @choice: drivers that serve SAs (choice.c)
 * @stats: per-CPU counters (stats.c)
 * @hooks: netfilter hooks, registered while there are policies (hooks.c)
 * @pfkey: PF_KEY sockets (pfkey_sock.c)
 * @sysctl: net.kipsec.* of this namespace (sysctl.c)
 * @engines: net.kipsec.engine.* (sysctl.c)
 * @knobs: the values behind @sysctl; read without a lock
 */
struct kipsec_net {
	struct net			*net;
	struct mutex			cfg;	/* of every change */
	struct kipsec_spd		*spd;
	struct kipsec_sad		*sad;
	unsigned long			sa_gen;
	struct kipsec_sa_last __percpu	*sa_last;
	struct kipsec_expire		*expire;
	struct kipsec_acquires		*acquires;
	struct kipsec_early		*early;
	struct kipsec_choice		*choice;
	struct kipsec_stats __percpu	*stats;
	struct kipsec_hooks		*hooks;
	struct kipsec_pfkey		*pfkey;
	struct ctl_table_header		*sysctl;
	struct ctl_table_header		*engines;
	struct kipsec_knobs		knobs;
};

extern unsigned int kipsec_net_id;

static inline struct kipsec_net *kipsec_net(const struct net *net)
{
	return net_generic(net, kipsec_net_id);
}

#endif /* _KIPSEC_H */
