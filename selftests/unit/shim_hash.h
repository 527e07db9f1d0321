/* SPDX-License-Identifier: GPL-2.0 */
/* shim_hash.h - what hashes are made of. */
#ifndef _SHIM_HASH_H
#define _SHIM_HASH_H

#define GOLDEN_RATIO_64	0x61c8864680b583ebull

static inline u64 mul_u64_u64_shr(u64 a, u64 b, unsigned int shift)
{
	return (unsigned __int128)a * b >> shift;
}

#endif /* _SHIM_HASH_H */
