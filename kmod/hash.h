/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hash.h - mixing words (floor 1, pure).
 */
#ifndef _KIPSEC_HASH_H
#define _KIPSEC_HASH_H

#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/types.h>
#else
#include "shim.h"
#endif

/**
 * kipsec_fold_mul() - both halves of a product
 * @a: a word mixed with a secret, or with something constant
 * @b: another
 *
 * As in wyhash: a third of jhash's instructions.
 */
static __always_inline u64 kipsec_fold_mul(u64 a, u64 b)
{
#ifdef __SIZEOF_INT128__
	__uint128_t product = (__uint128_t)a * b;

	return (u64)product ^ (u64)(product >> 64);
#else
	return (a * b) ^ mul_u64_u64_shr(a, b, 64);
#endif
}

#endif /* _KIPSEC_HASH_H */
