// SPDX-License-Identifier: GPL-2.0
/*
 * Printing SAs in the form that setkey has had since KAME, down to tabs and blanks at the end
 * of lines: scripts parse it.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <string.h>
#include <time.h>

#include "pfkey_client.h"

static const char * const satype_names[] = {
	"unspec", "unknown", "ah", "esp", "unknown", "rsvp", "ospfv2", "ripv2", "mip", "ipcomp",
};

static const char * const mode_names[] = { "any", "transport", "tunnel" };
static const char * const state_names[] = { "larval", "mature", "dying", "dead" };

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* The word for VALUE, or its number, and a blank. */
static void print_word(FILE *out, const char * const *names, size_t count, unsigned int value)
{
	if (value < count)
		fprintf(out, "%s ", names[value]);
	else
		fprintf(out, "%u ", value);
}

static void print_alg(FILE *out, enum pfkey_alg_kind kind, uint8_t id)
{
	const char *name = pfkey_alg_name(kind, id);

	if (name)
		fprintf(out, "%s ", name);
	else
		fprintf(out, "%u ", id);
}

void pfkey_print_bytes(FILE *out, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		fprintf(out, "%s%s%02x", i && i % 32 == 0 ? "\n" : "", i % 4 == 0 ? " " : "", p[i]);
}

/* The address in numbers; an IPv6 scope is part of it. */
const char *pfkey_host(const struct sockaddr *sa, char *buf, size_t size)
{
	if (getnameinfo(sa, pfkey_sockaddr_len(sa), buf, size, NULL, 0, NI_NUMERICHOST))
		snprintf(buf, size, "?");
	return buf;
}

/* "Nov 20 23:24:30 2026", in local time; as many blanks for never. */
void pfkey_print_time(FILE *out, uint64_t t)
{
	time_t when = t;
	char buf[64];
	char *text = t ? ctime_r(&when, buf) : NULL;

	if (!t)
		fprintf(out, "%20s", "");
	else
		fprintf(out, "%.20s", text ? text + 4 : "????????????????????");
}

void pfkey_print_sec_ctx(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_sec_ctx *ctx = PFKEY_EXT(m, SADB_X_EXT_SEC_CTX, sadb_x_sec_ctx);

	if (!ctx)
		return;
	fprintf(out, "\tsecurity context doi: %u\n", ctx->sadb_x_ctx_doi);
	fprintf(out, "\tsecurity context algorithm: %u\n", ctx->sadb_x_ctx_alg);
	fprintf(out, "\tsecurity context length: %u\n", ctx->sadb_x_ctx_len);
	fprintf(out, "\tsecurity context: %.*s\n", ctx->sadb_x_ctx_len, (const char *)(ctx + 1));
}

/* The UDP port of one side if the SA is encapsulated, else -1. */
static int natt_port(const struct pfkey_msg *m, int exttype)
{
	const struct sadb_x_nat_t_type *type =
		PFKEY_EXT(m, SADB_X_EXT_NAT_T_TYPE, sadb_x_nat_t_type);
	const struct sadb_x_nat_t_port *port = PFKEY_EXT(m, exttype, sadb_x_nat_t_port);

	if (!type || !type->sadb_x_nat_t_type_type || !port)
		return -1;
	return ntohs(port->sadb_x_nat_t_port_port);
}

static void print_end(FILE *out, const struct sockaddr *sa, bool ports, int natt)
{
	char host[NI_MAXHOST];

	fprintf(out, "%s", pfkey_host(sa, host, sizeof(host)));
	if (ports)
		fprintf(out, "[%u]", pfkey_sockaddr_port(sa));
	if (natt >= 0)
		fprintf(out, "[%d]", natt);
	fprintf(out, " ");
}

static void print_key(FILE *out, const char *tag, enum pfkey_alg_kind kind, uint8_t alg,
		      const struct sadb_key *key)
{
	fprintf(out, "\t%s: ", tag);
	print_alg(out, kind, alg);
	pfkey_print_bytes(out, key + 1, key->sadb_key_bits / 8);
	fprintf(out, "\n");
}

/* Protocol, mode, SPI and reqid. */
static void print_ident(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_nat_t_type *natt =
		PFKEY_EXT(m, SADB_X_EXT_NAT_T_TYPE, sadb_x_nat_t_type);
	const struct sadb_x_sa2 *sa2 = PFKEY_EXT(m, SADB_X_EXT_SA2, sadb_x_sa2);
	const struct sockaddr *oa = pfkey_address(m, SADB_X_EXT_NAT_T_OA);
	uint32_t spi = ntohl(PFKEY_EXT(m, SADB_EXT_SA, sadb_sa)->sadb_sa_spi);
	bool encap = natt && natt->sadb_x_nat_t_type_type;
	char host[NI_MAXHOST];

	fprintf(out, "\n\t");
	if (encap && m->hdr->sadb_msg_satype == SADB_SATYPE_ESP) {
		fprintf(out, "esp-udp ");
	} else {
		fprintf(out, "%s", encap ? "natt+" : "");
		print_word(out, satype_names, ARRAY_SIZE(satype_names), m->hdr->sadb_msg_satype);
	}
	fprintf(out, "mode=");
	print_word(out, mode_names, ARRAY_SIZE(mode_names), sa2->sadb_x_sa2_mode);
	fprintf(out, "spi=%u(0x%08x) reqid=%u(0x%08x)\n", spi, spi,
		sa2->sadb_x_sa2_reqid, sa2->sadb_x_sa2_reqid);
	if (encap && oa)
		fprintf(out, "\tNAT OA=%s\n", pfkey_host(oa, host, sizeof(host)));
}

static void print_algs(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_key *auth = PFKEY_EXT(m, SADB_EXT_KEY_AUTH, sadb_key);
	const struct sadb_key *enc = PFKEY_EXT(m, SADB_EXT_KEY_ENCRYPT, sadb_key);
	const struct sadb_sa *sa = PFKEY_EXT(m, SADB_EXT_SA, sadb_sa);

	if (m->hdr->sadb_msg_satype == SADB_X_SATYPE_IPCOMP) {
		/* the line goes on with "seq=": it always has */
		fprintf(out, "\tC: ");
		print_alg(out, PFKEY_COMP, sa->sadb_sa_encrypt);
	} else if (m->hdr->sadb_msg_satype == SADB_SATYPE_ESP && enc) {
		print_key(out, "E", PFKEY_ENCRYPT, sa->sadb_sa_encrypt, enc);
	}
	if (auth)
		print_key(out, "A", PFKEY_AUTH, sa->sadb_sa_auth, auth);
}

static void print_replay(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_kipsec_replay *r =
		PFKEY_EXT(m, SADB_X_EXT_KIPSEC_REPLAY, sadb_x_kipsec_replay);
	const struct sadb_x_sa2 *sa2 = PFKEY_EXT(m, SADB_X_EXT_SA2, sadb_x_sa2);
	const struct sadb_sa *sa = PFKEY_EXT(m, SADB_EXT_SA, sadb_sa);

	fprintf(out, "\tseq=0x%08x replay=%u flags=0x%08x state=", sa2->sadb_x_sa2_sequence,
		r ? r->sadb_x_kipsec_replay_window : sa->sadb_sa_replay, sa->sadb_sa_flags);
	print_word(out, state_names, ARRAY_SIZE(state_names), sa->sadb_sa_state);
	fprintf(out, "\n");
	if (r && r->sadb_x_kipsec_replay_flags & SADB_X_KIPSEC_REPLAY_ESN)
		fprintf(out, "\tesn\n");
}

/* "driver=NAME" and its counters: what was asked for with "-v". */
static void print_engine(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_kipsec_engine *e =
		PFKEY_EXT(m, SADB_X_EXT_KIPSEC_ENGINE, sadb_x_kipsec_engine);

	if (!e)
		return;
	fprintf(out, "\tdriver=%s\n\trequests=%" PRIu64 " bytes=%" PRIu64
		" inflight=%u errors=%" PRIu64 " fallbacks=%" PRIu64 "\n", pfkey_driver(e),
		(uint64_t)e->sadb_x_kipsec_engine_requests,
		(uint64_t)e->sadb_x_kipsec_engine_bytes, e->sadb_x_kipsec_engine_inflight,
		(uint64_t)e->sadb_x_kipsec_engine_errors,
		(uint64_t)e->sadb_x_kipsec_engine_fallbacks);
}

static void print_cpu(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_kipsec_cpu *c =
		PFKEY_EXT(m, SADB_X_EXT_KIPSEC_CPU, sadb_x_kipsec_cpu);

	if (c)
		fprintf(out, "\tcpu=%u\n", c->sadb_x_kipsec_cpu_id);
}

/* What is not 0 of "icv=96 dir=in". */
static void print_kipsec_sa(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_x_kipsec_sa *sa =
		PFKEY_EXT(m, SADB_X_EXT_KIPSEC_SA, sadb_x_kipsec_sa);
	unsigned int icv = sa ? sa->sadb_x_kipsec_sa_icv : 0;
	unsigned int dir = sa ? sa->sadb_x_kipsec_sa_dir : 0;

	if (!icv && !dir)
		return;
	fprintf(out, "\t");
	if (icv)
		fprintf(out, "icv=%u%s", icv, dir ? " " : "");
	if (dir == IPSEC_DIR_INBOUND || dir == IPSEC_DIR_OUTBOUND)
		fprintf(out, "dir=%s", dir == IPSEC_DIR_INBOUND ? "in" : "out");
	else if (dir)
		fprintf(out, "dir=%u", dir);
	fprintf(out, "\n");
}

#define LIMIT(lt, field)	((uint64_t)((lt) ? (lt)->sadb_lifetime_##field : 0))

static void print_lifetime(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_lifetime *cur = PFKEY_EXT(m, SADB_EXT_LIFETIME_CURRENT, sadb_lifetime);
	const struct sadb_lifetime *hard = PFKEY_EXT(m, SADB_EXT_LIFETIME_HARD, sadb_lifetime);
	const struct sadb_lifetime *soft = PFKEY_EXT(m, SADB_EXT_LIFETIME_SOFT, sadb_lifetime);
	uint64_t now = time(NULL);
	uint64_t made;

	if (!cur)
		return;
	made = cur->sadb_lifetime_addtime;
	fprintf(out, "\tcreated: ");
	pfkey_print_time(out, made);
	fprintf(out, "\tcurrent: ");
	pfkey_print_time(out, now);
	fprintf(out, "\n\tdiff: %" PRIu64 "(s)\thard: %" PRIu64 "(s)\tsoft: %" PRIu64 "(s)\n",
		made ? now - made : 0, LIMIT(hard, addtime), LIMIT(soft, addtime));
	fprintf(out, "\tlast: ");
	pfkey_print_time(out, cur->sadb_lifetime_usetime);
	fprintf(out, "\thard: %" PRIu64 "(s)\tsoft: %" PRIu64 "(s)\n",
		LIMIT(hard, usetime), LIMIT(soft, usetime));
	fprintf(out, "\tcurrent: %" PRIu64 "(bytes)\thard: %" PRIu64 "(bytes)\tsoft: %" PRIu64
		"(bytes)\n", LIMIT(cur, bytes), LIMIT(hard, bytes), LIMIT(soft, bytes));
	fprintf(out, "\tallocated: %" PRIu64 "\thard: %" PRIu64 "\tsoft: %" PRIu64 "\n",
		LIMIT(cur, allocations), LIMIT(hard, allocations), LIMIT(soft, allocations));
}

void pfkey_print_sa(FILE *out, const struct pfkey_msg *m, bool ports)
{
	const struct sockaddr *src = pfkey_address(m, SADB_EXT_ADDRESS_SRC);
	const struct sockaddr *dst = pfkey_address(m, SADB_EXT_ADDRESS_DST);

	if (!src) {
		fprintf(out, "no ADDRESS_SRC extension.\n");
		return;
	}
	print_end(out, src, ports, natt_port(m, SADB_X_EXT_NAT_T_SPORT));
	if (!dst) {
		fprintf(out, " no ADDRESS_DST extension.\n");
		return;
	}
	print_end(out, dst, ports, natt_port(m, SADB_X_EXT_NAT_T_DPORT));
	if (!m->ext[SADB_EXT_SA]) {
		fprintf(out, "no SA extension.\n");
		return;
	}
	if (!m->ext[SADB_X_EXT_SA2]) {
		fprintf(out, "no SA2 extension.\n");
		return;
	}
	print_ident(out, m);
	print_algs(out, m);
	print_replay(out, m);
	print_kipsec_sa(out, m);
	print_cpu(out, m);
	print_engine(out, m);
	print_lifetime(out, m);
	pfkey_print_sec_ctx(out, m);
	fprintf(out, "\tsadb_seq=%u pid=%u refcnt=%u\n", m->hdr->sadb_msg_seq,
		m->hdr->sadb_msg_pid, m->hdr->sadb_msg_reserved);
}

/* Three columns at most: " age/limit". */
static void print_age(FILE *out, const struct pfkey_msg *m, uint64_t now)
{
	const struct sadb_lifetime *cur = PFKEY_EXT(m, SADB_EXT_LIFETIME_CURRENT, sadb_lifetime);
	const struct sadb_lifetime *hard = PFKEY_EXT(m, SADB_EXT_LIFETIME_HARD, sadb_lifetime);
	uint64_t age;

	if (!cur || !hard || !m->ext[SADB_EXT_LIFETIME_SOFT]) {
		fprintf(out, " %s/%s", "???", "???");
		return;
	}
	age = cur->sadb_lifetime_addtime ? now - cur->sadb_lifetime_addtime : 0;
	if (age >= 1000)
		fprintf(out, " big/");
	else
		fprintf(out, " %3" PRIu64 "/", age);
	if (hard->sadb_lifetime_addtime >= 1000)
		fprintf(out, "big");
	else
		fprintf(out, "%-3" PRIu64, (uint64_t)hard->sadb_lifetime_addtime);
}

static void print_short_end(FILE *out, const struct pfkey_msg *m, int exttype)
{
	const struct sadb_address *addr = PFKEY_EXT(m, exttype, sadb_address);
	const struct sockaddr *sa = pfkey_address(m, exttype);
	char host[NI_MAXHOST];

	if (!sa) {
		fprintf(out, "?");
		return;
	}
	if (addr->sadb_address_proto)
		fprintf(out, "#%u ", addr->sadb_address_proto);
	fprintf(out, "%s", pfkey_host(sa, host, sizeof(host)));
	if (pfkey_sockaddr_port(sa))
		fprintf(out, "[%u]", pfkey_sockaddr_port(sa));
}

/* One line: minute and second, protocol, state, SPI, age and limit, addresses. */
void pfkey_print_sa_short(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_sa *sa = PFKEY_EXT(m, SADB_EXT_SA, sadb_sa);
	uint8_t satype = m->hdr->sadb_msg_satype;
	uint64_t now = time(NULL);

	fprintf(out, "%02u%02u", (unsigned int)(now % 3600) / 60, (unsigned int)(now % 60));
	if (satype == SADB_SATYPE_AH || satype == SADB_SATYPE_ESP)
		fprintf(out, " %-3s", satype_names[satype]);
	else
		fprintf(out, " #%-2u", satype);
	if (sa && sa->sadb_sa_state <= SADB_SASTATE_MAX)
		fprintf(out, " %c %08x", "LMDd"[sa->sadb_sa_state], ntohl(sa->sadb_sa_spi));
	else
		fprintf(out, " ? %-8s", "?");
	print_age(out, m, now);
	fprintf(out, " ");
	print_short_end(out, m, SADB_EXT_ADDRESS_SRC);
	fprintf(out, " -> ");
	print_short_end(out, m, SADB_EXT_ADDRESS_DST);
	fprintf(out, "\n");
}
