/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktap.h - test cases that report in KTAP, with a last line of sums.
 *
 *	static void my_case(void) { EXPECT(1 + 1 == 2); }
 *	static const struct ktap_case cases[] = { { "adds", my_case } };
 *	KTAP_MAIN(cases)
 *
 * A case fails if one of its expectations does; it goes on nevertheless.
 */
#ifndef _KTAP_H
#define _KTAP_H

#include <stdbool.h>
#include <stdint.h>

struct ktap_case {
	const char	*name;
	void		(*run)(void);
};

/* ktap_run() - run all; the exit code of the program */
int ktap_run(const struct ktap_case *cases, unsigned int count);

/* ktap_fail() - this case has failed; says where, the first few times */
void ktap_fail(const char *file, int line, const char *format, ...)
	__attribute__((__format__(__printf__, 3, 4)));

/* ktap_skip() - this case cannot be run, and why */
void ktap_skip(const char *why);

/* ktap_rand() - 64 random bits from a fixed seed, so that failures recur */
uint64_t ktap_rand(void);

#define EXPECT(c) ({							\
	bool _ok = (c);							\
	if (!_ok)							\
		ktap_fail(__FILE__, __LINE__, "%s", #c);		\
	_ok;								\
})

/* numbers: says both when they differ */
#define EXPECT_EQ(a, b) ({						\
	unsigned long long _a = (a), _b = (b);				\
	if (_a != _b)							\
		ktap_fail(__FILE__, __LINE__, "%s is %llu, not %llu",	\
			  #a, _a, _b);					\
	_a == _b;							\
})

#define KTAP_MAIN(cases)						\
int main(void)								\
{									\
	return ktap_run(cases, sizeof(cases) / sizeof((cases)[0]));	\
}

#endif /* _KTAP_H */
