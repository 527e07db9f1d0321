// SPDX-License-Identifier: GPL-2.0
/*
 * sysctl.c - net.kipsec.*, one set per namespace, with KAME's names where KAME
 * has them, and net.kipsec.engine.*, a driver for each algorithm (floor 5).
 */
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "../offload/choice.h"
#include "alg.h"
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

/* --- drivers -------------------------------------------------------------- */

/* A name that is longer than any is not cut to fit, but refused. */
static int engine_handler(kipsec_ctl_table *ctl, int write, void *buffer,
			  size_t *lenp, loff_t *ppos)
{
	unsigned int alg = (unsigned long)ctl->extra2;
	char name[KIPSEC_DRIVER_MAX + 1];
	struct ctl_table copy = *ctl;
	int err;

	kipsec_choice_get(ctl->extra1, alg, name);
	copy.data = name;
	copy.maxlen = sizeof(name);
	err = proc_dostring(&copy, write, buffer, lenp, ppos);
	if (err || !write)
		return err;
	return kipsec_choice_set(ctl->extra1, alg, strim(name));
}

static int engines_init(struct kipsec_net *kn)
{
	const struct kipsec_alg *alg;
	struct ctl_table *table, *t;
	unsigned int i, auth;

	table = kcalloc(KIPSEC_ALGS + 1, sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	t = table;
	for (auth = 0; auth < 2; auth++) {
		for (i = 0; (alg = kipsec_alg_each(auth, i)); i++) {
			if (!alg->maxbits)
				continue;	/* null */
			t->procname = alg->name;
			t->mode = 0644;
			t->maxlen = KIPSEC_DRIVER_MAX;
			t->proc_handler = engine_handler;
			t->extra1 = kn;
			t->extra2 = (void *)(unsigned long)kipsec_alg_index(alg);
			t++;
		}
	}
	kn->engines = kipsec_register_sysctl(kn->net, "net/kipsec/engine",
					     table, t - table);
	if (kn->engines)
		return 0;
	kfree(table);
	return -ENOMEM;
}

/* --- beginning and end ---------------------------------------------------- */

static void table_exit(struct ctl_table_header *header)
{
	const struct ctl_table *table = header->ctl_table_arg;

	unregister_net_sysctl_table(header);
	kfree(table);
}

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
	if (!engines_init(kn))
		return 0;
	table_exit(kn->sysctl);
	return -ENOMEM;
}

void kipsec_sysctl_exit(struct kipsec_net *kn)
{
	table_exit(kn->engines);
	table_exit(kn->sysctl);
}
