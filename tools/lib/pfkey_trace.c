// SPDX-License-Identifier: GPL-2.0
/*
 * Printing every field of a message, the form of "setkey -x" and "-v".  This is for looking at
 * what went wrong, so it takes nothing for granted and prints as far as lengths make sense.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

#include "pfkey_client.h"

void pfkey_print_hex(FILE *out, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		if (i % 16 == 0)
			fprintf(out, "%08zx: ", i);
		fprintf(out, "%02x ", p[i]);
		if (i % 16 == 15)
			fprintf(out, "\n");
	}
	if (len % 16)
		fprintf(out, "\n");
}

/* Returns the bytes taken, 0 if there is no whole IPv4 or IPv6 sockaddr. */
static size_t print_sockaddr(FILE *out, const uint8_t *p, size_t len)
{
	const struct sockaddr_in6 *sin6 = (const void *)p;
	const struct sockaddr_in *sin = (const void *)p;
	const struct sockaddr *sa = (const void *)p;
	size_t salen = len >= sizeof(*sa) ? pfkey_sockaddr_len(sa) : 0;

	if (!salen || salen > len) {
		fprintf(out, "sockaddr{ len=%zu, not an address }\n", len);
		return 0;
	}
	fprintf(out, "sockaddr{ len=%zu family=%u port=%u\n", salen, sa->sa_family,
		pfkey_sockaddr_port(sa));
	if (sa->sa_family == AF_INET) {
		pfkey_print_bytes(out, &sin->sin_addr, sizeof(sin->sin_addr));
	} else {
		fprintf(out, "  flowinfo=0x%08x, scope_id=0x%08x\n", sin6->sin6_flowinfo,
			sin6->sin6_scope_id);
		pfkey_print_bytes(out, &sin6->sin6_addr, sizeof(sin6->sin6_addr));
	}
	fprintf(out, "  }\n");
	return salen;
}

static void print_sa(FILE *out, const void *ext, size_t len)
{
	const struct sadb_sa *sa = ext;

	(void)len;
	fprintf(out, "sadb_sa{ spi=%u replay=%u state=%u\n", ntohl(sa->sadb_sa_spi),
		sa->sadb_sa_replay, sa->sadb_sa_state);
	fprintf(out, "  auth=%u encrypt=%u flags=0x%08x }\n", sa->sadb_sa_auth,
		sa->sadb_sa_encrypt, sa->sadb_sa_flags);
}

static void print_lifetime(FILE *out, const void *ext, size_t len)
{
	const struct sadb_lifetime *lt = ext;

	(void)len;
	fprintf(out, "sadb_lifetime{ alloc=%u, bytes=%u\n", lt->sadb_lifetime_allocations,
		(uint32_t)lt->sadb_lifetime_bytes);
	fprintf(out, "  addtime=%u, usetime=%u }\n", (uint32_t)lt->sadb_lifetime_addtime,
		(uint32_t)lt->sadb_lifetime_usetime);
}

static void print_address(FILE *out, const void *ext, size_t len)
{
	const struct sadb_address *a = ext;
	const uint8_t *reserved = (const uint8_t *)&a->sadb_address_reserved;

	fprintf(out, "sadb_address{ proto=%u prefixlen=%u reserved=0x%02x%02x }\n",
		a->sadb_address_proto, a->sadb_address_prefixlen, reserved[0], reserved[1]);
	print_sockaddr(out, (const uint8_t *)(a + 1), len - sizeof(*a));
}

static void print_key(FILE *out, const void *ext, size_t len)
{
	const struct sadb_key *key = ext;
	size_t bytes = key->sadb_key_bits / 8;

	if (bytes > len - sizeof(*key))
		bytes = len - sizeof(*key);
	fprintf(out, "sadb_key{ bits=%u reserved=%u\n", key->sadb_key_bits, key->sadb_key_reserved);
	fprintf(out, "  key=");
	pfkey_print_bytes(out, key + 1, bytes);
	fprintf(out, " }\n");
}

static void print_ident(FILE *out, const void *ext, size_t len)
{
	const struct sadb_ident *id = ext;
	const uint8_t *p = (const uint8_t *)(id + 1);
	const uint8_t *end = (const uint8_t *)ext + len;

	fprintf(out, "sadb_ident_%s{ type=%d id=%llu",
		id->sadb_ident_exttype == SADB_EXT_IDENTITY_SRC ? "src" : "dst",
		id->sadb_ident_type, (unsigned long long)id->sadb_ident_id);
	if (p < end) {
		fprintf(out, "\n  str=\"");
		for (; p < end && *p; p++) {
			if (isprint(*p))
				fprintf(out, "%c", *p);
			else
				fprintf(out, "\\%03o", *p);
		}
		fprintf(out, "\"");
	}
	fprintf(out, " }\n");
}

static void print_comb(FILE *out, const struct sadb_comb *c)
{
	fprintf(out, "sadb_comb{ auth=%u encrypt=%u flags=0x%04x reserved=0x%08x\n",
		c->sadb_comb_auth, c->sadb_comb_encrypt, c->sadb_comb_flags,
		c->sadb_comb_reserved);
	fprintf(out, "  auth_minbits=%u auth_maxbits=%u encrypt_minbits=%u encrypt_maxbits=%u\n",
		c->sadb_comb_auth_minbits, c->sadb_comb_auth_maxbits,
		c->sadb_comb_encrypt_minbits, c->sadb_comb_encrypt_maxbits);
	fprintf(out, "  soft_alloc=%u hard_alloc=%u soft_bytes=%llu hard_bytes=%llu\n",
		c->sadb_comb_soft_allocations, c->sadb_comb_hard_allocations,
		(unsigned long long)c->sadb_comb_soft_bytes,
		(unsigned long long)c->sadb_comb_hard_bytes);
	/* the labels repeat those of the line above: the form is an old one */
	fprintf(out, "  soft_alloc=%llu hard_alloc=%llu soft_bytes=%llu hard_bytes=%llu }\n",
		(unsigned long long)c->sadb_comb_soft_addtime,
		(unsigned long long)c->sadb_comb_hard_addtime,
		(unsigned long long)c->sadb_comb_soft_usetime,
		(unsigned long long)c->sadb_comb_hard_usetime);
}

static void print_prop(FILE *out, const void *ext, size_t len)
{
	const struct sadb_prop *prop = ext;
	const struct sadb_comb *comb = (const void *)(prop + 1);
	size_t count = (len - sizeof(*prop)) / sizeof(*comb);

	fprintf(out, "sadb_prop{ replay=%u\n", prop->sadb_prop_replay);
	while (count--)
		print_comb(out, comb++);
	fprintf(out, "}\n");
}

static void print_supported(FILE *out, const void *ext, size_t len)
{
	const struct sadb_supported *sup = ext;
	const struct sadb_alg *alg = (const void *)(sup + 1);
	size_t count = (len - sizeof(*sup)) / sizeof(*alg);

	fprintf(out, "sadb_sup{\n");
	for (; count--; alg++)
		fprintf(out, "  { id=%d ivlen=%d min=%d max=%d }\n", alg->sadb_alg_id,
			alg->sadb_alg_ivlen, alg->sadb_alg_minbits, alg->sadb_alg_maxbits);
	fprintf(out, "}\n");
}

static void print_spirange(FILE *out, const void *ext, size_t len)
{
	const struct sadb_spirange *r = ext;

	(void)len;
	fprintf(out, "sadb_spirange{ min=%u max=%u }\n", r->sadb_spirange_min,
		r->sadb_spirange_max);
}

static void print_sa2(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_sa2 *sa2 = ext;

	(void)len;
	fprintf(out, "sadb_x_sa2{ mode=%u reqid=%u\n", sa2->sadb_x_sa2_mode, sa2->sadb_x_sa2_reqid);
	fprintf(out, "  reserved1=%u reserved2=%u sequence=%u }\n", sa2->sadb_x_sa2_reserved1,
		sa2->sadb_x_sa2_reserved2, sa2->sadb_x_sa2_sequence);
}

static void print_request(FILE *out, const struct sadb_x_ipsecrequest *r, size_t len)
{
	const uint8_t *p = (const uint8_t *)(r + 1);
	size_t left = len - sizeof(*r);
	size_t salen;

	fprintf(out, " { len=%u proto=%u mode=%u level=%u reqid=%u\n", r->sadb_x_ipsecrequest_len,
		r->sadb_x_ipsecrequest_proto, r->sadb_x_ipsecrequest_mode,
		r->sadb_x_ipsecrequest_level, r->sadb_x_ipsecrequest_reqid);
	if (left) {
		salen = print_sockaddr(out, p, left);
		if (salen)
			print_sockaddr(out, p + salen, left - salen);
	}
	fprintf(out, " }\n");
}

static void print_policy(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_policy *pol = ext;
	const uint8_t *p = (const uint8_t *)(pol + 1);
	size_t left = len - sizeof(*pol);

	fprintf(out, "sadb_x_policy{ type=%u dir=%u id=%x priority=%u }\n",
		pol->sadb_x_policy_type, pol->sadb_x_policy_dir, pol->sadb_x_policy_id,
		pol->sadb_x_policy_priority);
	if (pol->sadb_x_policy_type != IPSEC_POLICY_IPSEC)
		return;
	while (left) {
		const struct sadb_x_ipsecrequest *r = (const void *)p;

		if (left < sizeof(*r) || r->sadb_x_ipsecrequest_len < sizeof(*r) ||
		    r->sadb_x_ipsecrequest_len > left) {
			fprintf(out, "invalid ipsec policy length\n");
			return;
		}
		print_request(out, r, r->sadb_x_ipsecrequest_len);
		left -= r->sadb_x_ipsecrequest_len;
		p += r->sadb_x_ipsecrequest_len;
	}
}

static void print_natt_type(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_nat_t_type *t = ext;

	(void)len;
	fprintf(out, "sadb_x_nat_t_type{ type=%u }\n", t->sadb_x_nat_t_type_type);
}

static void print_natt_port(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_nat_t_port *p = ext;

	(void)len;
	fprintf(out, "sadb_x_nat_t_port{ port=%u }\n", ntohs(p->sadb_x_nat_t_port_port));
}

/* The label may hold any bytes, so only its length is shown. */
static void print_sec_ctx(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_sec_ctx *ctx = ext;

	(void)len;
	fprintf(out, "sadb_x_sec_ctx{ alg=%u doi=%u len=%u }\n", ctx->sadb_x_ctx_alg,
		ctx->sadb_x_ctx_doi, ctx->sadb_x_ctx_len);
}

static void print_kmaddress(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_kmaddress *kma = ext;
	const uint8_t *r = (const uint8_t *)&kma->sadb_x_kmaddress_reserved;
	const uint8_t *p = (const uint8_t *)(kma + 1);
	size_t salen;

	fprintf(out, "sadb_x_kmaddress{ reserved=0x%02x%02x%02x%02x }\n", r[0], r[1], r[2], r[3]);
	len -= sizeof(*kma);
	salen = print_sockaddr(out, p, len);
	if (salen)
		print_sockaddr(out, p + salen, len - salen);
}

static void print_replay(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_kipsec_replay *r = ext;

	(void)len;
	fprintf(out, "sadb_x_kipsec_replay{ window=%u flags=0x%08x last=%llu }\n",
		r->sadb_x_kipsec_replay_window, r->sadb_x_kipsec_replay_flags,
		(unsigned long long)r->sadb_x_kipsec_replay_last);
}

static void print_kipsec_sa(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_kipsec_sa *sa = ext;

	(void)len;
	fprintf(out, "sadb_x_kipsec_sa{ icv=%u dir=%u }\n", sa->sadb_x_kipsec_sa_icv,
		sa->sadb_x_kipsec_sa_dir);
}

static void print_engine(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_kipsec_engine *e = ext;

	len -= sizeof(*e);
	fprintf(out, "sadb_x_kipsec_engine{ inflight=%u requests=%llu bytes=%llu\n",
		e->sadb_x_kipsec_engine_inflight,
		(unsigned long long)e->sadb_x_kipsec_engine_requests,
		(unsigned long long)e->sadb_x_kipsec_engine_bytes);
	fprintf(out, "  errors=%llu fallbacks=%llu driver=%.*s }\n",
		(unsigned long long)e->sadb_x_kipsec_engine_errors,
		(unsigned long long)e->sadb_x_kipsec_engine_fallbacks, (int)len,
		len ? (const char *)(e + 1) : "");
}

static void print_cpu(FILE *out, const void *ext, size_t len)
{
	const struct sadb_x_kipsec_cpu *c = ext;

	(void)len;
	fprintf(out, "sadb_x_kipsec_cpu{ id=%u }\n", c->sadb_x_kipsec_cpu_id);
}

static const struct {
	uint8_t	min;
	void	(*print)(FILE *out, const void *ext, size_t len);
} printers[SADB_X_EXT_KIPSEC_MAX + 1] = {
	[SADB_EXT_SA] = { sizeof(struct sadb_sa), print_sa },
	[SADB_EXT_LIFETIME_CURRENT] = { sizeof(struct sadb_lifetime), print_lifetime },
	[SADB_EXT_LIFETIME_HARD] = { sizeof(struct sadb_lifetime), print_lifetime },
	[SADB_EXT_LIFETIME_SOFT] = { sizeof(struct sadb_lifetime), print_lifetime },
	[SADB_EXT_ADDRESS_SRC] = { sizeof(struct sadb_address), print_address },
	[SADB_EXT_ADDRESS_DST] = { sizeof(struct sadb_address), print_address },
	[SADB_EXT_ADDRESS_PROXY] = { sizeof(struct sadb_address), print_address },
	[SADB_EXT_KEY_AUTH] = { sizeof(struct sadb_key), print_key },
	[SADB_EXT_KEY_ENCRYPT] = { sizeof(struct sadb_key), print_key },
	[SADB_EXT_IDENTITY_SRC] = { sizeof(struct sadb_ident), print_ident },
	[SADB_EXT_IDENTITY_DST] = { sizeof(struct sadb_ident), print_ident },
	[SADB_EXT_PROPOSAL] = { sizeof(struct sadb_prop), print_prop },
	[SADB_EXT_SUPPORTED_AUTH] = { sizeof(struct sadb_supported), print_supported },
	[SADB_EXT_SUPPORTED_ENCRYPT] = { sizeof(struct sadb_supported), print_supported },
	[SADB_EXT_SPIRANGE] = { sizeof(struct sadb_spirange), print_spirange },
	[SADB_X_EXT_POLICY] = { sizeof(struct sadb_x_policy), print_policy },
	[SADB_X_EXT_SA2] = { sizeof(struct sadb_x_sa2), print_sa2 },
	[SADB_X_EXT_NAT_T_TYPE] = { sizeof(struct sadb_x_nat_t_type), print_natt_type },
	[SADB_X_EXT_NAT_T_SPORT] = { sizeof(struct sadb_x_nat_t_port), print_natt_port },
	[SADB_X_EXT_NAT_T_DPORT] = { sizeof(struct sadb_x_nat_t_port), print_natt_port },
	[SADB_X_EXT_NAT_T_OA] = { sizeof(struct sadb_address), print_address },
	[SADB_X_EXT_SEC_CTX] = { sizeof(struct sadb_x_sec_ctx), print_sec_ctx },
	[SADB_X_EXT_KMADDRESS] = { sizeof(struct sadb_x_kmaddress), print_kmaddress },
	[SADB_X_EXT_KIPSEC_REPLAY] = { sizeof(struct sadb_x_kipsec_replay), print_replay },
	[SADB_X_EXT_KIPSEC_SA] = { sizeof(struct sadb_x_kipsec_sa), print_kipsec_sa },
	[SADB_X_EXT_KIPSEC_ENGINE] = { sizeof(struct sadb_x_kipsec_engine), print_engine },
	[SADB_X_EXT_KIPSEC_CPU] = { sizeof(struct sadb_x_kipsec_cpu), print_cpu },
};

void pfkey_print_trace(FILE *out, const void *data, size_t len)
{
	const struct sadb_msg *hdr = data;
	const uint8_t *p = (const uint8_t *)(hdr + 1);
	const uint8_t *end = (const uint8_t *)data + len;

	if (len < sizeof(*hdr)) {
		fprintf(out, "sadb_msg{ cut short after %zu bytes }\n", len);
		return;
	}
	fprintf(out, "sadb_msg{ version=%u type=%u errno=%u satype=%u\n", hdr->sadb_msg_version,
		hdr->sadb_msg_type, hdr->sadb_msg_errno, hdr->sadb_msg_satype);
	fprintf(out, "  len=%u reserved=%u seq=%u pid=%u\n", hdr->sadb_msg_len,
		hdr->sadb_msg_reserved, hdr->sadb_msg_seq, hdr->sadb_msg_pid);
	while (end - p >= (ptrdiff_t)sizeof(struct sadb_ext)) {
		const struct sadb_ext *ext = (const void *)p;
		size_t size = ext->sadb_ext_len * 8u;
		unsigned int type = ext->sadb_ext_type;

		fprintf(out, "sadb_ext{ len=%u type=%u }\n", ext->sadb_ext_len, type);
		if (!size || size > (size_t)(end - p)) {
			fprintf(out, "invalid ext_len=%u\n", ext->sadb_ext_len);
			return;
		}
		if (type <= SADB_X_EXT_KIPSEC_MAX && printers[type].print &&
		    size >= printers[type].min)
			printers[type].print(out, ext, size);
		p += size;
	}
}
