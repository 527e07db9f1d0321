/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shim_jhash.h - Bob Jenkins's lookup3 hash of words (public domain, 2006), with
 * the results and the cost of the kernel's.
 */
#ifndef _SHIM_JHASH_H
#define _SHIM_JHASH_H

static inline u32 shim_rol(u32 x, unsigned int n)
{
	return x << n | x >> (32 - n);
}

#define SHIM_MIX(p, q, r, n)	((p) -= (r), (p) ^= shim_rol(r, n), (r) += (q))
#define SHIM_FINAL(p, q, n)	((p) ^= (q), (p) -= shim_rol(q, n))

static inline u32 shim_final(u32 a, u32 b, u32 c)
{
	SHIM_FINAL(c, b, 14);
	SHIM_FINAL(a, c, 11);
	SHIM_FINAL(b, a, 25);
	SHIM_FINAL(c, b, 16);
	SHIM_FINAL(a, c, 4);
	SHIM_FINAL(b, a, 14);
	SHIM_FINAL(c, b, 24);
	return c;
}

static inline u32 jhash_3words(u32 a, u32 b, u32 c, u32 seed)
{
	seed += 0xdeadbeef + (3 << 2);
	return shim_final(a + seed, b + seed, c + seed);
}

static inline u32 jhash2(const u32 *k, u32 n, u32 seed)
{
	u32 a, b, c;

	a = b = c = 0xdeadbeef + (n << 2) + seed;
	for (; n > 3; n -= 3, k += 3) {
		a += k[0];
		b += k[1];
		c += k[2];
		SHIM_MIX(a, b, c, 4);
		SHIM_MIX(b, c, a, 6);
		SHIM_MIX(c, a, b, 8);
		SHIM_MIX(a, b, c, 16);
		SHIM_MIX(b, c, a, 19);
		SHIM_MIX(c, a, b, 4);
	}
	if (!n)
		return c;
	if (n == 3)
		c += k[2];
	if (n >= 2)
		b += k[1];
	return shim_final(a + k[0], b, c);
}

#endif /* _SHIM_JHASH_H */
