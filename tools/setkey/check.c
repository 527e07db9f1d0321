// SPDX-License-Identifier: GPL-2.0
/*
 * Algorithms and keys: what they take by themselves, and what this kernel has, which it says
 * in its answer to REGISTER.
 */
#include <string.h>

#include "setkey.h"

static struct pfkey_limits limits;
static bool have_limits;

/* Asked for once, and only if a command needs it; a dry run has nobody to ask. */
static bool get_limits(struct command *c)
{
	int err;

	if (have_limits || opt.dry)
		return have_limits;
	err = pfkey_get_limits(&limits);
	if (err) {
		complain(c->start, "register: %s", strerror(err));
		c->bad = true;
		return false;
	}
	have_limits = true;
	return true;
}

static void say_lengths(const struct pfkey_alg *alg, char *buf, size_t size)
{
	if (alg->min == alg->max)
		snprintf(buf, size, "%u", alg->min);
	else if (alg->step == 64)
		snprintf(buf, size, "%u, %u or %u", alg->min, alg->min + 64, alg->max);
	else
		snprintf(buf, size, "%u to %u", alg->min, alg->max);
}

static void check_key(struct command *c, const struct pfkey_alg *alg, const struct key *k,
		      const struct pfkey_limit *limit)
{
	unsigned int bits = k->len * 8;
	char lengths[64];

	if (alg->flags & PFKEY_ALG_NOKEY && k->given) {
		complain(k->at, "%s takes no key", alg->name);
		c->bad = true;
		return;
	}
	if (!pfkey_alg_key_ok(alg, bits)) {
		say_lengths(alg, lengths, sizeof(lengths));
		complain(k->at, "Invalid key length: %s takes %s bits, not %u", alg->name,
			 lengths, bits);
		c->bad = true;
		return;
	}
	if (!get_limits(c))
		return;
	limit += alg->id;
	if (!limit->listed) {
		complain(k->alg_at, "the kernel does not have the algorithm %s", alg->name);
		c->bad = true;
	} else if (bits < limit->min || bits > limit->max) {
		complain(k->at, "Invalid key length: %s takes %u to %u bits here, not %u",
			 alg->name, limit->min, limit->max, bits);
		c->bad = true;
	}
}

void check_algorithms(struct command *c)
{
	if (c->encrypt && c->encrypt->kind == PFKEY_ENCRYPT)
		check_key(c, c->encrypt, &c->encrypt_key, limits.encrypt);
	if (c->auth)
		check_key(c, c->auth, &c->auth_key, limits.auth);
}
