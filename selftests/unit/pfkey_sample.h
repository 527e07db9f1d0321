/* SPDX-License-Identifier: GPL-2.0 */
/* pfkey_sample.h - a message about an SA, with all that belongs to one. */
#ifndef _PFKEY_SAMPLE_H
#define _PFKEY_SAMPLE_H

#include "pfkey_build.h"

static const union kipsec_addr host4 = { .ip = 0x0100000a };
static const union kipsec_addr host6 = {
	.w = { 0x1234, 0x5678, 0x9abc, 0xdef0 }
};

static int build_sa(u8 *mem, unsigned int room, u8 family)
{
	static const u8 key[32] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, [31] = 32 };
	const union kipsec_addr *host = family == AF_INET ? &host4 : &host6;
	const struct kipsec_limit lim = { 1, 2, 3, 4 };
	const struct sadb_sa xs = {
		.sadb_sa_spi = 0x78563412, .sadb_sa_replay = 32,
		.sadb_sa_flags = 0x40,
	};
	struct kipsec_pfkey_out out;

	kipsec_pfkey_out_init(&out, mem, room, SADB_GET, SADB_SATYPE_ESP, 5, 6);
	kipsec_pfkey_put_sa(&out, &xs);
	kipsec_pfkey_put_limit(&out, true, &lim);
	kipsec_pfkey_put_limit(&out, false, &lim);
	kipsec_pfkey_put_current(&out, &lim);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_SRC, host, family);
	kipsec_pfkey_put_host(&out, SADB_EXT_ADDRESS_DST, host, family);
	kipsec_pfkey_put_key(&out, true, key, 160);
	kipsec_pfkey_put_key(&out, false, key, 256);
	kipsec_pfkey_put_sa2(&out, 2, 3, 4);
	kipsec_pfkey_put_natt(&out, 2, 0x9411, 0x9411);
	return kipsec_pfkey_out_finish(&out);
}

#endif /* _PFKEY_SAMPLE_H */
