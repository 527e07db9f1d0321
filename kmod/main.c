// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - the init ladder (floor 6). Each rung is undone in reverse.
 */
#include <linux/module.h>
#include <linux/socket.h>

#include "../offload/choice.h"
#include "../offload/crypto.h"
#include "acquire.h"
#include "early.h"
#include "expire.h"
#include "hooks.h"
#include "input.h"
#include "ipip.h"
#include "kipsec.h"
#include "pfkey.h"
#include "proc.h"
#include "reinject.h"
#include "route.h"
#include "sad.h"
#include "sockpol.h"
#include "spd.h"
#include "stats.h"
#include "sysctl.h"

unsigned int kipsec_net_id;

static int __net_init net_up(struct net *net)
{
	struct kipsec_net *kn = kipsec_net(net);
	int err;

	kn->net = net;
	mutex_init(&kn->cfg);
	err = kipsec_stats_init(kn);
	if (err)
		return err;
	err = kipsec_expire_init(kn);
	if (err)
		goto no_expire;
	err = kipsec_spd_init(kn);
	if (err)
		goto no_spd;
	err = kipsec_early_init(kn);
	if (err)
		goto no_early;
	err = kipsec_sad_init(kn);
	if (err)
		goto no_sad;
	err = kipsec_choice_init(kn);
	if (err)
		goto no_choice;
	err = kipsec_acquire_init(kn);
	if (err)
		goto no_acquire;
	err = kipsec_hooks_init(kn);
	if (err)
		goto no_hooks;
	err = kipsec_sysctl_init(kn);
	if (err)
		goto no_sysctl;
	err = kipsec_proc_init(kn);
	if (err)
		goto no_proc;
	err = kipsec_pfkey_init(kn);
	if (err)
		goto no_pfkey;
	return 0;

no_pfkey:
	kipsec_proc_exit(kn);
no_proc:
	kipsec_sysctl_exit(kn);
no_sysctl:
	kipsec_hooks_exit(kn);
no_hooks:
	kipsec_acquire_exit(kn);
no_acquire:
	kipsec_choice_exit(kn);
no_choice:
	kipsec_sad_exit(kn);
no_sad:
	kipsec_early_exit(kn);
no_early:
	kipsec_spd_exit(kn);
no_spd:
	kipsec_expire_stop(kn);
	kipsec_expire_exit(kn);
no_expire:
	kipsec_stats_exit(kn);
	return err;
}

/*
 * First nothing new comes in (no deadline, no hook), then the SAs go, and wait
 * for the packets that are still in a cipher's hands. Those ask for policies
 * when they come out, which therefore go last.
 */
static void __net_exit net_down(struct net *net)
{
	struct kipsec_net *kn = kipsec_net(net);

	kipsec_expire_stop(kn);
	kipsec_pfkey_exit(kn);
	kipsec_proc_exit(kn);
	kipsec_sysctl_exit(kn);
	kipsec_acquire_stop(kn);
	kipsec_hooks_exit(kn);
	kipsec_acquire_exit(kn);
	kipsec_early_stop(kn);
	kipsec_sad_exit(kn);
	kipsec_choice_exit(kn);
	kipsec_early_exit(kn);
	kipsec_spd_exit(kn);
	kipsec_expire_exit(kn);
	/* What is being joined names the namespace. */
	kipsec_reinject_flush();
	kipsec_stats_exit(kn);
}

static struct pernet_operations net_ops = {
	.init	= net_up,
	.exit	= net_down,
	.id	= &kipsec_net_id,
	.size	= sizeof(struct kipsec_net),
};

static int __init kipsec_start(void)
{
	int err;

	err = kipsec_sad_start();
	if (err)
		return err;
	err = kipsec_crypto_start();
	if (err)
		goto no_crypto;
	err = kipsec_reinject_start();
	if (err)
		goto no_reinject;
	kipsec_hooks_start();
	err = register_pernet_subsys(&net_ops);
	if (err)
		goto no_net;
	err = kipsec_route_start();
	if (err)
		goto no_route;
	err = kipsec_input_start();
	if (err)
		goto no_input;
	err = kipsec_ipip_start();
	if (err)
		goto no_ipip;
	err = kipsec_pfkey_register();
	if (err)
		goto no_pfkey;
	kipsec_sockpol_start();
	return 0;

no_pfkey:
	kipsec_ipip_stop();
no_ipip:
	kipsec_input_stop();
no_input:
	kipsec_route_stop();
no_route:
	unregister_pernet_subsys(&net_ops);
no_net:
	kipsec_reinject_stop();
no_reinject:
	kipsec_crypto_stop();
no_crypto:
	kipsec_sad_stop();
	return err;
}

static void __exit kipsec_stop(void)
{
	kipsec_sockpol_stop();
	kipsec_pfkey_unregister();
	kipsec_ipip_stop();
	kipsec_input_stop();
	kipsec_route_stop();
	unregister_pernet_subsys(&net_ops);
	kipsec_reinject_stop();
	kipsec_sad_stop();
	kipsec_crypto_stop();
	rcu_barrier();		/* callbacks that point into this module */
}

module_init(kipsec_start);
module_exit(kipsec_stop);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("IPsec in the KAME tradition, driven by PF_KEY");
MODULE_ALIAS_NETPROTO(PF_KEY);
