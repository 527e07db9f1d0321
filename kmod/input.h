/* SPDX-License-Identifier: GPL-2.0 */
/*
 * input.h - from protected packets back to the stack (floor 4).
 */
#ifndef _KIPSEC_INPUT_H
#define _KIPSEC_INPUT_H

/** kipsec_input_start() - take ESP from the stack; once per module load */
int kipsec_input_start(void);

/** kipsec_input_stop() - no packet enters after this */
void kipsec_input_stop(void);

#endif /* _KIPSEC_INPUT_H */
