// SPDX-License-Identifier: GPL-2.0
/*
 * plugin.c - a TCG plugin that counts instructions exactly.
 *
 * Each translated block gets a counter that is raised in line when it runs. At
 * a begin mark (mark.h) all counters are noted, at an end mark the differences
 * are written down:
 *
 *	DIR/counts	a line per region: its number, instructions in the
 *			kernel, in user space; with "processors=yes" also of
 *			each processor
 *	DIR/blocks.N	region N: address, instructions and runs of each block
 *
 * With more than one processor only the counts of each are right, unless they take
 * turns, as -icount has it. An idle processor runs no block and so costs nothing. Of
 * a REP string instruction each turn counts, as it does for -icount.
 *
 * The declarations below are the part of version 1 of QEMU's plugin interface
 * (QEMU 4.2 to 8.2) that is used; distributions do not package its header.
 *
 * Use: qemu-system-x86_64 -icount shift=0 -plugin plugin.so,dir=DIR
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

#define INLINE_ADD_U64	0
#define CB_NO_REGS	0

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*fn)(qemu_plugin_id_t id,
						      struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op,
					      void *ptr, uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*fn)(unsigned int cpu, void *data),
					    int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*fn)(unsigned int cpu, void *data),
					  int flags, void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

#define PUBLIC	__attribute__((visibility("default")))

PUBLIC int qemu_plugin_version = 1;

/**
 * struct block - a translated block; never freed, as code may still refer to it
 * @runs: raised by the translated code
 * @before: @runs at the begin mark
 * @addr: where it begins in the guest
 * @insns: how long it is
 * @chain: next in the hash bucket
 * @older: next in the list of all
 */
struct block {
	uint64_t	runs;
	uint64_t	before;
	uint64_t	addr;
	uint32_t	insns;
	struct block	*chain;
	struct block	*older;
};

#define BUCKETS		(1u << 16)

static struct block *bucket[BUCKETS];
static struct block *newest;
static const char *dir = ".";
static unsigned int region;

#define PROCESSORS	8

static bool processors;
static uint64_t ran[PROCESSORS], ran_before[PROCESSORS];

static FILE *open_file(const char *name, const char *mode)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, mode);
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

/* The same code is translated again now and then; it stays one block. */
static struct block *block_get(uint64_t addr, uint32_t insns)
{
	uint64_t hash = (addr ^ (uint64_t)insns << 56) * 0x9e3779b97f4a7c15ull;
	struct block **head = &bucket[hash >> 48], *b;

	for (b = *head; b; b = b->chain)
		if (b->addr == addr && b->insns == insns)
			return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->addr = addr;
	b->insns = insns;
	b->chain = *head;
	*head = b;
	b->older = newest;
	newest = b;
	return b;
}

static void region_begin(unsigned int cpu, void *data)
{
	struct block *b;

	(void)cpu;
	(void)data;
	for (b = newest; b; b = b->older)
		b->before = b->runs;
	memcpy(ran_before, ran, sizeof(ran));
}

static void region_end(unsigned int cpu, void *data)
{
	unsigned long long kernel = 0, user = 0, runs;
	struct block *b;
	unsigned int i;
	char name[32];
	FILE *f;

	(void)cpu;
	(void)data;
	snprintf(name, sizeof(name), "blocks.%u", region);
	f = open_file(name, "w");
	for (b = newest; b; b = b->older) {
		runs = b->runs - b->before;
		if (!runs)
			continue;
		if (b->addr >> 63)
			kernel += runs * b->insns;
		else
			user += runs * b->insns;
		fprintf(f, "%llx %u %llu\n", (unsigned long long)b->addr,
			b->insns, runs);
	}
	fclose(f);
	f = open_file("counts", "a");
	fprintf(f, "%u %llu %llu", region, kernel, user);
	for (i = 0; processors && i < PROCESSORS; i++)
		fprintf(f, " %llu", (unsigned long long)(ran[i] - ran_before[i]));
	fputc('\n', f);
	fclose(f);
	region++;
}

/* A call for each block, which takes longer than to count in line. */
static void block_runs(unsigned int cpu, void *data)
{
	struct block *b = data;

	if (cpu < PROCESSORS)
		ran[cpu] += b->insns;
}

static void watch_mark(struct qemu_plugin_insn *insn)
{
	static const uint8_t nop[] = { MARK_BYTES };
	const uint8_t *p = qemu_plugin_insn_data(insn);
	uint32_t which;

	if (qemu_plugin_insn_size(insn) != sizeof(nop) + sizeof(which) ||
	    memcmp(p, nop, sizeof(nop)))
		return;
	memcpy(&which, p + sizeof(nop), sizeof(which));
	if (which == MARK_BEGIN)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, region_begin,
						       CB_NO_REGS, NULL);
	else if (which == MARK_END)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, region_end,
						       CB_NO_REGS, NULL);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *b = block_get(qemu_plugin_tb_vaddr(tb), n);

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &b->runs, 1);
	if (processors)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, CB_NO_REGS, b);
	for (i = 0; i < n; i++)
		watch_mark(qemu_plugin_tb_get_insn(tb, i));
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
			       int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "dir=", 4))
			dir = strdup(argv[i] + 4);
		/* QEMU may have made "yes" of what was said. */
		if (!strncmp(argv[i], "processors=", 11))
			processors = true;
	}
	fclose(open_file("counts", "w"));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
