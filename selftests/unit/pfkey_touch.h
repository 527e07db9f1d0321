/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pfkey_touch.h - read all that a parsed message promises to hold, so that the
 * address sanitizer can object; shared by test and fuzzer.
 */
#ifndef _PFKEY_TOUCH_H
#define _PFKEY_TOUCH_H

#include "pfkey_build.h"
#include "pfkey_parse.h"

static inline unsigned int touch_bytes(const void *p, size_t n)
{
	const u8 *b = p;
	unsigned int sum = 0;

	while (n--)
		sum += *b++;
	return sum;
}

#define TOUCH(p) ((p) ? touch_bytes((p), sizeof(*(p))) : 0)

static inline unsigned int touch_key(const struct kipsec_pfkey_msg *m, bool auth)
{
	const struct sadb_key *key = kipsec_pfkey_key(m, auth);

	if (!key)
		return 0;
	return TOUCH(key) + touch_bytes(key + 1, (key->sadb_key_bits + 7) / 8);
}

/* pfkey_touch() - returns something, so that nothing is optimised away */
static inline unsigned int pfkey_touch(const struct kipsec_pfkey_msg *m)
{
	return TOUCH(m->hdr) + TOUCH(kipsec_pfkey_sa(m)) +
	       TOUCH(kipsec_pfkey_lifetime(m, true)) +
	       TOUCH(kipsec_pfkey_lifetime(m, false)) +
	       touch_key(m, true) + touch_key(m, false) +
	       TOUCH(kipsec_pfkey_spirange(m)) + TOUCH(kipsec_pfkey_sa2(m)) +
	       TOUCH(kipsec_pfkey_policy(m)) +
	       TOUCH(kipsec_pfkey_natt_type(m)) +
	       kipsec_pfkey_natt_port(m, true) +
	       kipsec_pfkey_natt_port(m, false) +
	       TOUCH(kipsec_pfkey_filter(m)) + TOUCH(kipsec_pfkey_replay(m));
}

/* A soft spot of parsers: what comes out must go in again and be the same. */
static inline bool pfkey_policy_survives(const struct kipsec_pfkey_policy *pol)
{
	struct kipsec_pfkey_policy again;
	struct kipsec_pfkey_out out;
	struct kipsec_pfkey_msg m;
	u8 mem[1024];
	int len;

	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_X_SPDADD, 0, 1, 2);
	kipsec_pfkey_put_policy(&out, pol);
	len = kipsec_pfkey_out_finish(&out);
	return len > 0 && !kipsec_pfkey_check_base(mem, len) &&
	       !kipsec_pfkey_parse(&m, mem, len) &&
	       !kipsec_pfkey_parse_policy(&again, kipsec_pfkey_policy(&m)) &&
	       !memcmp(pol, &again, sizeof(again));
}

#endif /* _PFKEY_TOUCH_H */
