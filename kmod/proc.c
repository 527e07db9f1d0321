// SPDX-License-Identifier: GPL-2.0
/*
 * proc.c - /proc/net/kipsec_stat: one "name value" a line (floor 5). Names and
 * meanings are the list in reason.h.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "proc.h"
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

int kipsec_proc_init(struct kipsec_net *kn)
{
	if (!proc_create_net_single("kipsec_stat", 0444, kn->net->proc_net,
				    stat_show, NULL))
		return -ENOMEM;
	return 0;
}

void kipsec_proc_exit(struct kipsec_net *kn)
{
	remove_proc_entry("kipsec_stat", kn->net->proc_net);
}
