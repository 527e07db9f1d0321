/* SPDX-License-Identifier: GPL-2.0 */
/*
 * proc.h - /proc/net/kipsec_stat (floor 5).
 */
#ifndef _KIPSEC_PROC_H
#define _KIPSEC_PROC_H

struct kipsec_net;

int kipsec_proc_init(struct kipsec_net *kn);
void kipsec_proc_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_PROC_H */
