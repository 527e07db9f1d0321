// SPDX-License-Identifier: GPL-2.0
/* test_pfkey_build.c - PF_KEY messages: what is built, and hidden again. */
#include "ktap.h"
#include "pfkey_sample.h"
#include "pfkey_touch.h"

static void build_parses(void)
{
	static const u8 families[] = { AF_INET, AF_INET6 };
	struct kipsec_pfkey_msg m;
	unsigned int i;
	int len;

	for (i = 0; i < 2; i++) {
		bool v4 = families[i] == AF_INET;
		u8 mem[512];

		len = build_sa(mem, sizeof(mem), families[i]);
		EXPECT_EQ(len, 16 + 16 + 96 + (v4 ? 48 : 80) + 32 + 40 + 16 + 24);
		EXPECT_EQ(kipsec_pfkey_check_base(mem, len), 0);
		EXPECT_EQ(kipsec_pfkey_parse(&m, mem, len), 0);
		EXPECT_EQ(m.hdr->sadb_msg_seq, 5);
		EXPECT_EQ(m.hdr->sadb_msg_pid, 6);
		EXPECT_EQ(m.src.family, families[i]);
		EXPECT_EQ(m.dst.prefix, v4 ? 32 : 128);
		EXPECT(!memcmp(&m.dst.addr, v4 ? &host4 : &host6, 16));
		EXPECT_EQ(kipsec_pfkey_sa(&m)->sadb_sa_spi, 0x78563412);
		EXPECT_EQ(kipsec_pfkey_key(&m, true)->sadb_key_bits, 160);
		EXPECT_EQ(kipsec_pfkey_natt_port(&m, false), 0x9411);
		EXPECT_EQ(kipsec_pfkey_lifetime(&m, true)->sadb_lifetime_usetime, 4);
	}
}

/* With less room nothing is written beyond it, and the message is refused. */
static void build_overflow(void)
{
	int full = build_sa((u8[512]) { }, 512, AF_INET6), room;

	for (room = 16; room < full; room++) {
		u8 *mem = malloc(room);

		EXPECT(build_sa(mem, room, AF_INET6) == -EMSGSIZE);
		free(mem);
	}
	EXPECT_EQ(build_sa((u8[512]) { }, full, AF_INET6), full);
}

/* Old bytes never shine through: two memories, one message. */
static void build_is_clean(void)
{
	u8 a[512], b[512];
	int len;

	memset(a, 0xaa, sizeof(a));
	memset(b, 0x55, sizeof(b));
	len = build_sa(a, sizeof(a), AF_INET6);
	EXPECT_EQ(build_sa(b, sizeof(b), AF_INET6), len);
	EXPECT(!memcmp(a, b, len));
}

static void counter_saturates(void)
{
	const struct kipsec_limit use = { .packets = 0x100000001ULL };
	const struct sadb_lifetime *xl;
	struct kipsec_pfkey_out out;
	u8 mem[64];

	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_GET, 3, 0, 0);
	kipsec_pfkey_put_current(&out, &use);
	xl = (void *)(mem + 16);
	EXPECT_EQ(xl->sadb_lifetime_allocations, 0xffffffff);
}

static bool only_gcm(const struct kipsec_alg *alg)
{
	return alg->id == SADB_X_EALG_AES_GCM_ICV16;
}

static void supported(void)
{
	const struct sadb_supported *xs;
	const struct sadb_alg *xa;
	struct kipsec_pfkey_out out;
	u8 mem[1024];
	int len;

	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_REGISTER, 3, 0, 0);
	kipsec_pfkey_put_supported(&out, true, NULL);
	kipsec_pfkey_put_supported(&out, false, NULL);
	len = kipsec_pfkey_out_finish(&out);
	EXPECT(len > 0 && len < 400);
	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_REGISTER, 3, 0, 0);
	kipsec_pfkey_put_supported(&out, false, only_gcm);
	EXPECT_EQ(kipsec_pfkey_out_finish(&out), 32);
	xs = (void *)(mem + 16);
	xa = (void *)(xs + 1);
	EXPECT_EQ(xs->sadb_supported_len, 2);
	EXPECT_EQ(xa->sadb_alg_id, SADB_X_EALG_AES_GCM_ICV16);
	EXPECT_EQ(xa->sadb_alg_minbits, 160);
	EXPECT_EQ(xa->sadb_alg_maxbits, 288);
}

static void hides_keys(void)
{
	struct kipsec_pfkey_msg m;
	u8 mem[512], before[512];
	int len, cut;

	len = build_sa(mem, sizeof(mem), AF_INET);
	memcpy(before, mem, len);
	kipsec_pfkey_hide_keys(mem, len);
	EXPECT_EQ(kipsec_pfkey_parse(&m, mem, len), 0);
	EXPECT_EQ(touch_bytes(kipsec_pfkey_key(&m, true) + 1, 20), 0);
	EXPECT_EQ(touch_bytes(kipsec_pfkey_key(&m, false) + 1, 32), 0);
	EXPECT_EQ(kipsec_pfkey_key(&m, true)->sadb_key_bits, 160);
	EXPECT(!memcmp(mem, before, 176));	/* up to the keys */

	/* torn in the middle of a key: the rest goes too */
	for (cut = 176 + 8; cut < 176 + 32; cut++) {
		u8 *torn = malloc(cut);

		memcpy(torn, before, cut);
		kipsec_pfkey_hide_keys(torn, cut);
		EXPECT_EQ(touch_bytes(torn + 176, cut - 176), 0);
		free(torn);
	}
}

static void engine_names(void)
{
	const struct sadb_x_kipsec_engine xe = {
		.sadb_x_kipsec_engine_inflight = 1,
		.sadb_x_kipsec_engine_requests = 2,
		.sadb_x_kipsec_engine_bytes = 3,
		.sadb_x_kipsec_engine_errors = 4,
		.sadb_x_kipsec_engine_fallbacks = 5,
	};
	const struct sadb_x_kipsec_engine *got;
	struct kipsec_pfkey_out out;
	struct kipsec_pfkey_msg m;
	u8 mem[128];

	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_GET,
			      SADB_SATYPE_ESP, 5, 6);
	kipsec_pfkey_put_engine(&out, &xe, "cbc-aes-aesni");
	kipsec_pfkey_put_cpu(&out, 7);
	EXPECT_EQ(kipsec_pfkey_out_finish(&out), 16 + 40 + 16 + 8);
	EXPECT_EQ(kipsec_pfkey_parse(&m, mem, out.len), 0);
	got = kipsec_pfkey_engine(&m);
	EXPECT(!memcmp(&got->sadb_x_kipsec_engine_inflight,
		       &xe.sadb_x_kipsec_engine_inflight, 36));
	EXPECT(!strcmp(kipsec_pfkey_driver(&m), "cbc-aes-aesni"));
	EXPECT_EQ(kipsec_pfkey_cpu(&m)->sadb_x_kipsec_cpu_id, 7);
	kipsec_pfkey_out_init(&out, mem, sizeof(mem), SADB_GET,
			      SADB_SATYPE_ESP, 5, 6);
	kipsec_pfkey_put_engine(&out, &xe, "");
	EXPECT_EQ(kipsec_pfkey_parse(&m, mem, kipsec_pfkey_out_finish(&out)), 0);
	EXPECT(!kipsec_pfkey_driver(&m));
}

static const struct ktap_case cases[] = {
	{ "what is built is parsed", build_parses },
	{ "a message that does not fit is refused", build_overflow },
	{ "no old bytes in a message", build_is_clean },
	{ "a counter too large for its field is full", counter_saturates },
	{ "list of algorithms", supported },
	{ "keys are hidden, in torn messages too", hides_keys },
	{ "a driver, its counters and a processor, there and back", engine_names },
};

KTAP_MAIN(cases)
