// SPDX-License-Identifier: GPL-2.0
/* ktap.c - see ktap.h */
#include <stdarg.h>
#include <stdio.h>

#include "ktap.h"

#define LOUD_FAILURES	8	/* lines per case; the rest is only counted */

static unsigned int failures;
static const char *skipped;
static uint64_t rand_state = 0x9e3779b97f4a7c15;

void ktap_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	if (failures++ >= LOUD_FAILURES)
		return;
	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void ktap_skip(const char *why)
{
	skipped = why;
}

/* splitmix64 by Sebastiano Vigna, public domain */
uint64_t ktap_rand(void)
{
	uint64_t z = rand_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

int ktap_run(const struct ktap_case *cases, unsigned int count)
{
	unsigned int i, pass = 0, fail = 0, skip = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%u\n", count);
	for (i = 0; i < count; i++) {
		failures = 0;
		skipped = NULL;
		cases[i].run();
		if (failures > LOUD_FAILURES)
			printf("# %u expectations failed\n", failures);
		if (failures) {
			printf("not ok %u %s\n", i + 1, cases[i].name);
			fail++;
		} else if (skipped) {
			printf("ok %u %s # SKIP %s\n", i + 1, cases[i].name,
			       skipped);
			skip++;
		} else {
			printf("ok %u %s\n", i + 1, cases[i].name);
			pass++;
		}
	}
	printf("%u passed, %u failed, %u skipped\n", pass, fail, skip);
	return fail ? 1 : 0;
}
