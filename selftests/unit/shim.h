/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shim.h - what the pure files of kmod/ need of the kernel, for user space.
 *
 * Not a copy of the kernel's code but stand-ins with the same meaning, made to
 * find mistakes: allocations can be told to fail, RCU readers are checked and
 * frees wait for them, so that the address sanitizer sees a free that is early.
 * With SHIM_UNCHECKED (for counting instructions) they cost what they cost in
 * the kernel.
 */
#ifndef _SHIM_H
#define _SHIM_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define U8_MAX		UINT8_MAX
#define U16_MAX		UINT16_MAX
#define U32_MAX		UINT32_MAX
#define U64_MAX		UINT64_MAX

#define BITS_PER_LONG	((unsigned int)(8 * sizeof(long)))
#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, BITS_PER_LONG)

/* Attributes */

#ifndef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#endif
#define noinline	__attribute__((__noinline__))
#define __must_check	__attribute__((__warn_unused_result__))
#define __packed	__attribute__((__packed__))
#define __rcu
#define __force
#define fallthrough	__attribute__((__fallthrough__))
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* Memory access; atomics, so that the thread sanitizer knows what is meant */

#define READ_ONCE(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* Arithmetic and layout */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define ALIGN(x, a)	(((x) + ((a) - 1)) & ~((__typeof__(x))(a) - 1))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define struct_size(p, member, n) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))

#define min(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
		     _a < _b ? _a : _b; })
#define max(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); \
		     _a > _b ? _a : _b; })
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define clamp_t(t, v, lo, hi)	min_t(t, max_t(t, v, lo), hi)

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	unsigned long p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static inline void set_bit(unsigned long n, unsigned long *bits)
{
	__atomic_or_fetch(&bits[n / BITS_PER_LONG], 1UL << n % BITS_PER_LONG,
			  __ATOMIC_RELAXED);
}

static inline bool test_bit(unsigned long n, const unsigned long *bits)
{
	return READ_ONCE(bits[n / BITS_PER_LONG]) >> n % BITS_PER_LONG & 1;
}

/* Byte order */

#define cpu_to_be16(x)	htons(x)
#define cpu_to_be32(x)	htonl(x)
#define be16_to_cpu(x)	ntohs(x)
#define be32_to_cpu(x)	ntohl(x)

/* Complaints end the test */

#define WARN_ON(c) ({ bool _c = (c); if (_c) shim_warn(__FILE__, __LINE__, #c); \
		      _c; })
#define WARN_ON_ONCE(c)	WARN_ON(c)
#define BUILD_BUG_ON(c)	_Static_assert(!(c), #c)

void shim_warn(const char *file, int line, const char *what);

/* Allocation */

typedef unsigned int gfp_t;

#define GFP_KERNEL	0u
#define GFP_ATOMIC	1u

void *shim_alloc(size_t size, bool zero);
void shim_free(const void *p);

/* shim_fail_alloc() - let the @n-th allocation from now on fail; 0: none */
void shim_fail_alloc(unsigned int n);

/* shim_live() - allocations that are not freed */
unsigned long shim_live(void);

#define kmalloc(size, gfp)	((void)(gfp), shim_alloc(size, false))
#define kzalloc(size, gfp)	((void)(gfp), shim_alloc(size, true))
#define kvmalloc(size, gfp)	kmalloc(size, gfp)
#define kvzalloc(size, gfp)	kzalloc(size, gfp)
#define kcalloc(n, size, gfp)	kzalloc((size_t)(n) * (size), gfp)
#define kfree(p)		shim_free(p)
#define kvfree(p)		shim_free(p)
#define kfree_sensitive(p)	shim_free(p)
#define memzero_explicit(p, n)	explicit_bzero(p, n)

#include "shim_rcu.h"
#include "shim_list.h"
#include "shim_rbtree.h"
#include "shim_hash.h"

#endif /* _SHIM_H */
