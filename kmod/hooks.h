/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hooks.h - where packets meet policies (floor 4).
 */
#ifndef _KIPSEC_HOOKS_H
#define _KIPSEC_HOOKS_H

struct kipsec_net;

/** kipsec_hooks_start() - once per module load: follow the policies */
void kipsec_hooks_start(void);

/**
 * kipsec_hooks_natt() - an SA sends ESP in UDP
 * @kn: the namespace, @cfg held
 *
 * It learns path MTUs in the hooks of input. If there is no memory for them, it
 * does not.
 */
void kipsec_hooks_natt(struct kipsec_net *kn);

int kipsec_hooks_init(struct kipsec_net *kn);
void kipsec_hooks_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_HOOKS_H */
