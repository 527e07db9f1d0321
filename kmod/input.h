/* SPDX-License-Identifier: GPL-2.0 */
/*
 * input.h - from protected packets back to the stack (floor 4).
 */
#ifndef _KIPSEC_INPUT_H
#define _KIPSEC_INPUT_H

#include <linux/types.h>

struct kipsec_net;
struct kipsec_sa;
struct sk_buff;

/**
 * kipsec_input_sa() - the SA for which a packet claims to be
 * @kn: the namespace
 * @skb: network header set
 * @off: of the IPsec header from the start of the data
 * @proto: which one it is
 *
 * Context: RCU read side. Return: the SA or NULL.
 */
struct kipsec_sa *kipsec_input_sa(struct kipsec_net *kn,
				  const struct sk_buff *skb, int off, u8 proto);

/** kipsec_input_start() - take ESP, AH and IPComp from the stack; once per module load */
int kipsec_input_start(void);

/** kipsec_input_stop() - no packet enters after this */
void kipsec_input_stop(void);

#endif /* _KIPSEC_INPUT_H */
