// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_pfkey.c - hostile PF_KEY messages for the parser, with libFuzzer:
 *
 *	make fuzz [SECONDS=600]
 *
 * The base header is put right, for its faults are few and tested elsewhere;
 * the copy has exactly the message's length, so that each byte read beyond it
 * is caught. Besides not crashing, a policy that was understood must survive
 * being built and parsed again, and hidden keys must be gone.
 */
#include "shim.h"
#include "pfkey_touch.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* kipsec_pfkey_hide_keys() on a message that parses leaves zeros for keys. */
static void check_hidden(const u8 *data, size_t len)
{
	u8 *copy = malloc(len);
	struct kipsec_pfkey_msg m;
	int auth;

	memcpy(copy, data, len);
	kipsec_pfkey_hide_keys(copy, len);
	if (!kipsec_pfkey_parse(&m, copy, len)) {
		for (auth = 0; auth < 2; auth++) {
			const struct sadb_key *key = kipsec_pfkey_key(&m, auth);

			if (key && touch_bytes(key + 1, (key->sadb_key_bits + 7) / 8))
				abort();
		}
	}
	free(copy);
}

static void check_message(const u8 *buf, size_t len)
{
	const struct sadb_x_policy *xp;
	struct kipsec_pfkey_policy pol;
	struct kipsec_pfkey_msg m;

	if (kipsec_pfkey_check_base(buf, len))
		return;
	check_hidden(buf, len);
	if (kipsec_pfkey_parse(&m, buf, len))
		return;
	/* keep the compiler from seeing that nobody wants the sum */
	__asm__ volatile("" : : "r" (pfkey_touch(&m)));
	xp = kipsec_pfkey_policy(&m);
	if (xp && !kipsec_pfkey_parse_policy(&pol, xp) &&
	    !pfkey_policy_survives(&pol))
		abort();
	if (xp && !kipsec_pfkey_parse_migrate(&pol, xp) && pol.nreq % 2)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct sadb_msg *hdr;
	u8 *buf;

	size &= ~(size_t)7;
	if (size < sizeof(*hdr) || size > 0xffff * 8)
		return 0;
	buf = malloc(size);
	memcpy(buf, data, size);
	hdr = (void *)buf;
	hdr->sadb_msg_version = PF_KEY_V2;
	hdr->sadb_msg_type = hdr->sadb_msg_type % SADB_MAX + 1;
	hdr->sadb_msg_len = size / 8;
	hdr->sadb_msg_reserved = 0;
	check_message(buf, size);
	free(buf);
	return 0;
}
