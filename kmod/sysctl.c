// SPDX-License-Identifier: GPL-2.0
/*
 * sysctl.c - net.kipsec.*, one set per namespace, with KAME's names where KAME
 * has them (floor 5).
 */
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "kipsec.h"
#include "sysctl.h"

static const struct kipsec_knobs defaults = {
	.prefer_old_sa		= 0,
	.df			= 2,
	.ecn			= 1,
	.frag_before		= 0,
	.mss_clamp		= 0,
	.pipeline		= KIPSEC_PIPELINE_AUTO,
	.larval_lifetime	= 30,
};

#define BYTE_KNOB(name, member, max) {					\
		.procname	= name,					\
		.data		= (void *)offsetof(struct kipsec_knobs, member), \
		.maxlen		= sizeof(u8),				\
		.mode		= 0644,					\
		.proc_handler	= proc_dou8vec_minmax,			\
		.extra1		= SYSCTL_ZERO,				\
		.extra2		= max,					\
	}

static const struct ctl_table template[] = {
	BYTE_KNOB("prefered_oldsa", prefer_old_sa, SYSCTL_ONE),
	BYTE_KNOB("dfbit", df, SYSCTL_TWO),
	BYTE_KNOB("ecn", ecn, SYSCTL_ONE),
	BYTE_KNOB("frag_before", frag_before, SYSCTL_ONE),
	BYTE_KNOB("mss_clamp", mss_clamp, SYSCTL_ONE),
	BYTE_KNOB("pipeline", pipeline, SYSCTL_TWO),
	{
		.procname	= "larval_lifetime",
		.data		= (void *)offsetof(struct kipsec_knobs,
						   larval_lifetime),
		.maxlen		= sizeof(u32),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ONE,
		.extra2		= SYSCTL_INT_MAX,
	},
	KIPSEC_SYSCTL_END
};

#define KNOBS	7

int kipsec_sysctl_init(struct kipsec_net *kn)
{
	struct ctl_table *table;
	unsigned int i;

	kn->knobs = defaults;
	table = kmemdup(template, sizeof(template), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < KNOBS; i++)
		table[i].data = (u8 *)&kn->knobs + (unsigned long)table[i].data;
	kn->sysctl = kipsec_register_sysctl(kn->net, "net/kipsec", table,
					    KNOBS);
	if (!kn->sysctl) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

void kipsec_sysctl_exit(struct kipsec_net *kn)
{
	const struct ctl_table *table = kn->sysctl->ctl_table_arg;

	unregister_net_sysctl_table(kn->sysctl);
	kfree(table);
}
