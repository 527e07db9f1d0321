/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sysctl.h - net.kipsec.* (floor 5).
 */
#ifndef _KIPSEC_SYSCTL_H
#define _KIPSEC_SYSCTL_H

struct kipsec_net;

int kipsec_sysctl_init(struct kipsec_net *kn);
void kipsec_sysctl_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_SYSCTL_H */
