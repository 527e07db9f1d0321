// SPDX-License-Identifier: GPL-2.0
/*
 * proc.c - what people look at in /proc/net (floor 5).
 *
 * kipsec_stat has one "name value" a line; names and meanings are the list in
 * reasons.inc. kipsec_pmtu has the path MTU of each SA that learned one, and
 * kipsec_engines what serves each SA.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "../offload/engine.h"
#include "proc.h"
#include "sad.h"
#include "stats.h"

static int stat_show(struct seq_file *seq, void *v)
{
	struct kipsec_net *kn = kipsec_net(seq_file_single_net(seq));
	unsigned int i;

	for (i = 0; i < KIPSEC_STAT_MAX; i++)
		seq_printf(seq, "%-24s\t%lu\n", kipsec_stats_name(i),
			   kipsec_stats_sum(kn, i));
	return 0;
}

/* Source, destination, protocol, SPI. */
static void show_sa(struct seq_file *seq, const struct kipsec_sa *sa)
{
	if (sa->id.family == AF_INET6)
		seq_printf(seq, "%pI6c %pI6c", &sa->src, &sa->id.dst);
	else
		seq_printf(seq, "%pI4 %pI4", &sa->src, &sa->id.dst);
	seq_printf(seq, " %s 0x%08x",
		   sa->id.proto == IPPROTO_ESP ? "esp" :
		   sa->id.proto == IPPROTO_AH ? "ah" : "ipcomp",
		   ntohl(sa->id.spi));
}

static void show_pmtu(struct seq_file *seq, const struct kipsec_sa *sa)
{
	u64 now = kipsec_now(), until = READ_ONCE(sa->pmtu_until);
	unsigned int mtu = READ_ONCE(sa->pmtu);

	if (!mtu || now >= until)
		return;
	show_sa(seq, sa);
	seq_printf(seq, " %u %llu\n", mtu, until - now);
}

/* The SA, MTU, seconds until it is forgotten. */
static int pmtu_show(struct seq_file *seq, void *v)
{
	struct kipsec_net *kn = kipsec_net(seq_file_single_net(seq));
	const struct kipsec_sa *sa = NULL;

	mutex_lock(&kn->cfg);
	while ((sa = kipsec_sad_next(kn, sa ? sa->serial : 0, 0)))
		show_pmtu(seq, sa);
	mutex_unlock(&kn->cfg);
	return 0;
}

/* The SA, driver, requests, bytes, in flight, errors, fallbacks. */
static void show_engine(struct seq_file *seq, struct kipsec_sa *sa)
{
	struct kipsec_engine_stats st;

	if (!kipsec_engine_stats(sa, &st))
		return;
	show_sa(seq, sa);
	seq_printf(seq, " %s %llu %llu %llu %llu %llu\n", st.driver,
		   st.requests, st.bytes, st.in_flight, st.errors,
		   st.fallbacks);
}

static int engines_show(struct seq_file *seq, void *v)
{
	struct kipsec_net *kn = kipsec_net(seq_file_single_net(seq));
	struct kipsec_sa *sa = NULL;

	mutex_lock(&kn->cfg);
	while ((sa = kipsec_sad_next(kn, sa ? sa->serial : 0, 0)))
		show_engine(seq, sa);
	mutex_unlock(&kn->cfg);
	return 0;
}

int kipsec_proc_init(struct kipsec_net *kn)
{
	struct proc_dir_entry *dir = kn->net->proc_net;

	if (proc_create_net_single("kipsec_stat", 0444, dir, stat_show, NULL) &&
	    proc_create_net_single("kipsec_pmtu", 0400, dir, pmtu_show, NULL) &&
	    proc_create_net_single("kipsec_engines", 0400, dir, engines_show,
				   NULL))
		return 0;
	kipsec_proc_exit(kn);
	return -ENOMEM;
}

void kipsec_proc_exit(struct kipsec_net *kn)
{
	/* As against remove_proc_entry(), no complaint about what is missing. */
	remove_proc_subtree("kipsec_stat", kn->net->proc_net);
	remove_proc_subtree("kipsec_pmtu", kn->net->proc_net);
	remove_proc_subtree("kipsec_engines", kn->net->proc_net);
}
