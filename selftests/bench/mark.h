/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mark.h - where a measured region begins and ends.
 *
 * A mark is an eight-byte NOP with a number for its displacement. It costs one
 * instruction, a processor does not see it, and the plugin does.
 */
#ifndef _BENCH_MARK_H
#define _BENCH_MARK_H

#define MARK_BEGIN	0x6b697001
#define MARK_END	0x6b697002

#define MARK_BYTES	0x0f, 0x1f, 0x84, 0x00	/* nopl disp32(%rax,%rax,1) */

#define MARK_STR_(x)	#x
#define MARK_STR(x)	MARK_STR_(x)

/* A begin or end of the region, in a guest's program */
#define MARK(which)							\
	asm volatile(".byte 0x0f, 0x1f, 0x84, 0x00\n\t"			\
		     ".long " MARK_STR(which) ::: "memory")

#endif /* _BENCH_MARK_H */
