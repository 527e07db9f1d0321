/* SPDX-License-Identifier: GPL-2.0 */
/*
 * unplug.h - devices with ciphers that are taken out of the machine (floor 3).
 */
#ifndef _KIPSEC_UNPLUG_H
#define _KIPSEC_UNPLUG_H

int kipsec_unplug_start(void);
void kipsec_unplug_stop(void);

#endif /* _KIPSEC_UNPLUG_H */
