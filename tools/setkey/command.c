// SPDX-License-Identifier: GPL-2.0
/*
 * Carrying out a command: check that it makes sense, build its messages, send them, and say
 * what the kernel objected to.
 *
 * Messages have seq 0, as those of other key managers' requests of this kind: another number
 * could be taken for the answer to a pending ACQUIRE.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "setkey.h"

#define UDP_ENCAP_ESPINUDP	2

static void reject_at(struct command *c, struct place at, const char *why)
{
	complain(at, "%s: %s", pfkey_msg_name(c->type), why);
	c->bad = true;
}

static void reject(struct command *c, const char *why)
{
	reject_at(c, c->start, why);
}

static void check_icv(struct command *c)
{
	if (!c->icv)
		return;
	if (c->encrypt && c->encrypt->flags & PFKEY_ALG_AEAD)
		reject_at(c, c->icv_at, "this cipher's ICV has one length only: leave out -icv");
	else if (!c->auth || c->auth->flags & PFKEY_ALG_NOKEY)
		reject_at(c, c->icv_at, "-icv needs a hash: -A");
}

static void check_sa(struct command *c)
{
	if (c->type != SADB_ADD && c->type != SADB_UPDATE)
		return;
	if (!c->spi)
		reject_at(c, c->spi_at, "SPI 0 is not the number of an SA");
	if (c->replay_given && c->flags & SADB_X_EXT_OLD)
		reject_at(c, c->replay_at, "ah-old and esp-old have no replay protection: leave out -r");
	if (c->replay > SADB_X_KIPSEC_REPLAY_MAX)
		reject_at(c, c->replay_at, "replay window larger than 8192 packets");
	if (c->esn && !c->replay)
		reject_at(c, c->esn_at, "-esn needs a replay window: -r");
	if (c->seq > (c->esn ? SADB_X_KIPSEC_REPLAY_LAST : UINT32_MAX))
		reject_at(c, c->seq_at, "no such sequence number: -seq");
	check_icv(c);
	if (*c->driver && c->satype == SADB_X_SATYPE_IPCOMP)
		reject_at(c, c->driver_at, "ipcomp has no drivers: leave out -driver");
	/* an update without keys tells of a peer's new address or of new lifetimes */
	if (c->type == SADB_UPDATE && !c->encrypt && !c->auth)
		return;
	switch (c->satype) {
	case SADB_SATYPE_AH:
		if (!c->auth || c->encrypt)
			reject(c, "ah takes -A and nothing else");
		break;
	case SADB_SATYPE_ESP:
		if (!c->encrypt || c->encrypt->kind != PFKEY_ENCRYPT)
			reject(c, "esp needs -E; without encryption: -E null");
		else if (c->encrypt->flags & PFKEY_ALG_AEAD && c->auth)
			reject_at(c, c->auth_key.alg_at, "this cipher authenticates by itself: leave out -A");
		break;
	default:
		if (!c->encrypt || c->encrypt->kind != PFKEY_COMP || c->auth)
			reject(c, "ipcomp takes -C and nothing else");
	}
	check_algorithms(c);
}

static void check_policy(struct command *c)
{
	switch (c->type) {
	case SADB_X_SPDADD:
	case SADB_X_SPDUPDATE:
	case SADB_X_SPDSETIDX:
		if (!c->policy.has_type)
			reject_at(c, c->policy.at, "after the direction comes discard, none or ipsec");
		break;
	case SADB_X_SPDDELETE:
		break;
	default:
		return;
	}
	if (c->src->ai_next || c->dst->ai_next)
		reject_at(c, c->src->ai_next ? c->src_at : c->dst_at,
			  "multiple address specified: this name has several");
	if (c->src_prefix > pfkey_max_prefix(c->src->ai_addr))
		reject_at(c, c->src_at, "prefix longer than the address");
	if (c->dst_prefix > pfkey_max_prefix(c->dst->ai_addr))
		reject_at(c, c->dst_at, "prefix longer than the address");
}

static bool same_family(const struct command *c)
{
	const struct addrinfo *s, *d;

	for (s = c->src; s; s = s->ai_next)
		for (d = c->dst; d; d = d->ai_next)
			if (s->ai_family == d->ai_family)
				return true;
	return false;
}

/* What one field cannot show: whether they go together. */
void command_check(struct command *c)
{
	if (c->src && !same_family(c))
		reject_at(c, c->dst_at, "source and destination are of different address families");
	if (c->bad)
		return;
	check_sa(c);
	check_policy(c);
}

void command_clear(struct command *c)
{
	if (c->src)
		freeaddrinfo(c->src);
	if (c->dst)
		freeaddrinfo(c->dst);
	if (c->natt_oa)
		freeaddrinfo(c->natt_oa);
	free(c->ctx_label);
	memset(c, 0, sizeof(*c));
	/* what setkey has always sent unless told "nocyclic-seq" */
	c->flags = SADB_X_EXT_CYCSEQ;
}

/* What to do about it, where the text of an errno does not say. */
static const char *hint(const struct command *c, int type, int err)
{
	bool sp = type >= SADB_X_SPDUPDATE;

	switch (err) {
	case EEXIST:
		return sp ? ": there is a policy with this selector, spdupdate replaces it" :
			    ": the destination has an SA with this protocol and SPI";
	case ESRCH:
		return ": there is no such SA";
	case ENOENT:
		if (type == SADB_ADD || type == SADB_UPDATE)
			return *c->driver ?
			       ": no such driver, or it does not serve these algorithms" :
			       ": the kernel cannot load the cipher";
		return type == SADB_GETSPI ? ": this SPI is taken" : "";
	case ENOSYS:
		return ": the kernel does not have the algorithm";
	case EAFNOSUPPORT:
		return ": the kernel does no IPsec for these addresses";
	case EPROTONOSUPPORT:
		return ": the kernel does not have this protocol";
	case ETIMEDOUT:
		return ": the kernel has not answered";
	}
	return "";
}

static void report(const struct command *c, int type, int err)
{
	const char *text = strerror(err);

	if (err == ENOENT && (type == SADB_DELETE || type == SADB_GET ||
			      type == SADB_X_SPDDELETE))
		text = "No entry";
	complain(c->start, "%s: %s%s", pfkey_msg_name(type), text, hint(c, type, err));
}

/* A kernel that forgets priorities would apply policies in an order nobody meant. */
static void check_priority(const struct pfkey_msg *m, void *arg)
{
	const struct sadb_x_policy *pol = PFKEY_EXT(m, SADB_X_EXT_POLICY, sadb_x_policy);
	const struct command *c = arg;
	static bool warned;

	if (warned || !pol || pol->sadb_x_policy_priority == c->policy.priority)
		return;
	warned = true;
	printf("WARNING: Kernel does not support policy priorities\n");
}

static void send_request(struct command *c, struct pfkey_buf *b)
{
	int type = b->hdr.sadb_msg_type;
	pfkey_handler handler = NULL;
	size_t len = pfkey_finish(b);
	int err;

	if (!len) {
		complain(c->start, "%s: longer than the %d bytes of a message",
			 pfkey_msg_name(type), PFKEY_BUF_SIZE);
		return;
	}
	if (opt.dry) {
		if (opt.verbose || opt.hex)
			show_message(b->bytes, len);
		return;
	}
	if (type == SADB_GET)
		handler = show_sa;
	else if (type == SADB_X_SPDADD)
		handler = check_priority;
	err = pfkey_request(&sock, b, handler, c);
	if (err)
		report(c, type, err);
}

static void start(struct command *c, struct pfkey_buf *b)
{
	/* the pid is that of a socket; without one the message is the same on each run */
	pfkey_start(b, c->type, c->satype, 0, opt.dry ? 0 : sock.pid);
}

static void put_keys(struct command *c, struct pfkey_buf *b)
{
	if (c->encrypt && c->encrypt->kind == PFKEY_ENCRYPT)
		pfkey_put_key(b, SADB_EXT_KEY_ENCRYPT, c->encrypt_key.bytes, c->encrypt_key.len);
	/* of null authentication only AH has to be told */
	if (c->auth && (c->auth_key.len || c->satype == SADB_SATYPE_AH))
		pfkey_put_key(b, SADB_EXT_KEY_AUTH, c->auth_key.bytes, c->auth_key.len);
}

/* Some kernels take both lifetimes or none, so one brings the other, with no limit in it. */
static void put_lifetimes(struct command *c, struct pfkey_buf *b)
{
	if (!c->hard_time && !c->hard_bytes && !c->soft_time && !c->soft_bytes)
		return;
	pfkey_put_lifetime(b, SADB_EXT_LIFETIME_HARD, c->hard_bytes, c->hard_time);
	pfkey_put_lifetime(b, SADB_EXT_LIFETIME_SOFT, c->soft_bytes, c->soft_time);
}

static void put_natt(struct command *c, struct pfkey_buf *b)
{
	const struct sockaddr *oa = c->natt_oa ? c->natt_oa->ai_addr : NULL;

	if (!c->natt)
		return;
	pfkey_put_natt_type(b, UDP_ENCAP_ESPINUDP);
	if (oa)
		pfkey_put_address(b, SADB_X_EXT_NAT_T_OA, oa, IPSEC_ULPROTO_ANY,
				  pfkey_max_prefix(oa));
}

static uint16_t udp_port(uint16_t given, const struct sockaddr *sa)
{
	if (!given)
		given = pfkey_sockaddr_port(sa);
	return given ? given : NATT_PORT;
}

static void put_sa_ends(struct command *c, struct pfkey_buf *b, const struct sockaddr *src,
			const struct sockaddr *dst)
{
	pfkey_put_address(b, SADB_EXT_ADDRESS_SRC, src, IPSEC_ULPROTO_ANY, pfkey_max_prefix(src));
	pfkey_put_address(b, SADB_EXT_ADDRESS_DST, dst, IPSEC_ULPROTO_ANY, pfkey_max_prefix(dst));
	if (c->natt && c->type != SADB_DELETE && c->type != SADB_GET) {
		pfkey_put_natt_port(b, SADB_X_EXT_NAT_T_SPORT, udp_port(c->natt_sport, src));
		pfkey_put_natt_port(b, SADB_X_EXT_NAT_T_DPORT, udp_port(c->natt_dport, dst));
	}
}

static void put_sa(struct command *c, struct pfkey_buf *b)
{
	bool wide = c->replay > UINT8_MAX || c->esn || c->seq;

	pfkey_put_sa(b, c->spi, c->replay > UINT8_MAX ? UINT8_MAX : c->replay,
		     c->auth ? c->auth->id : 0, c->encrypt ? c->encrypt->id : 0, c->flags);
	pfkey_put_sa2(b, c->mode, c->reqid);
	if (wide)
		pfkey_put_replay(b, c->replay, c->esn, c->seq);
	if (c->icv || c->dir)
		pfkey_put_kipsec_sa(b, c->icv, c->dir);
	if (c->cpu_given)
		pfkey_put_kipsec_cpu(b, c->cpu);
	/* in a GET it asks what serves the SA */
	if (*c->driver || (c->type == SADB_GET && opt.verbose))
		pfkey_put_kipsec_engine(b, c->driver);
}

static void run_sa_pair(struct command *c, const struct sockaddr *src,
			const struct sockaddr *dst)
{
	struct pfkey_buf b;

	start(c, &b);
	if (c->type != SADB_DELETE && c->type != SADB_GET) {
		put_keys(c, &b);
		put_lifetimes(c, &b);
		if (c->ctx_label)
			pfkey_put_sec_ctx(&b, c->ctx_doi, c->ctx_alg, c->ctx_label);
		if (c->type == SADB_GETSPI && c->spi)
			pfkey_put_spirange(&b, c->spi, c->spi);
	}
	put_sa(c, &b);
	if (c->type != SADB_DELETE && c->type != SADB_GET)
		put_natt(c, &b);
	put_sa_ends(c, &b, src, dst);
	send_request(c, &b);
}

/* A name with several addresses means each pair of one family. */
static void run_sa(struct command *c)
{
	const struct addrinfo *s, *d;

	for (s = c->src; s; s = s->ai_next)
		for (d = c->dst; d; d = d->ai_next)
			if (s->ai_family == d->ai_family)
				run_sa_pair(c, s->ai_addr, d->ai_addr);
}

struct spi_list {
	const struct command	*c;
	uint32_t		*spi;
	size_t			count;
	size_t			room;
	bool			failed;
};

static bool among(const struct addrinfo *list, const struct sockaddr *sa)
{
	for (; list; list = list->ai_next)
		if (pfkey_same_host(list->ai_addr, sa))
			return true;
	return false;
}

static void collect_spi(const struct pfkey_msg *m, void *arg)
{
	const struct sadb_sa *sa = PFKEY_EXT(m, SADB_EXT_SA, sadb_sa);
	const struct sockaddr *src = pfkey_address(m, SADB_EXT_ADDRESS_SRC);
	const struct sockaddr *dst = pfkey_address(m, SADB_EXT_ADDRESS_DST);
	struct spi_list *l = arg;

	if (!sa || !src || !dst || m->hdr->sadb_msg_satype != l->c->satype ||
	    !among(l->c->src, src) || !among(l->c->dst, dst))
		return;
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		uint32_t *spi = realloc(l->spi, room * sizeof(*spi));

		if (!spi) {
			l->failed = true;
			return;
		}
		l->spi = spi;
		l->room = room;
	}
	l->spi[l->count++] = ntohl(sa->sadb_sa_spi);
}

/*
 * Not every kernel takes a DELETE without SPI, so look up the SPIs first.  The deletions come
 * after the dump: a socket has one request under way at a time.
 */
static void run_delete_all(struct command *c)
{
	struct spi_list l = { .c = c };
	struct pfkey_buf b;
	size_t i;
	int err;

	pfkey_start(&b, SADB_DUMP, c->satype, 0, opt.dry ? 0 : sock.pid);
	if (opt.dry) {
		send_request(c, &b);
		return;
	}
	err = pfkey_request(&sock, &b, collect_spi, &l);
	if (l.failed)
		err = ENOMEM;
	if (err && err != ENOENT)
		report(c, SADB_DUMP, err);
	for (i = 0; i < l.count && !err; i++) {
		c->spi = l.spi[i];
		run_sa(c);
	}
	free(l.spi);
}

static const struct sockaddr *end_or_null(const struct sockaddr_storage *ss)
{
	return ss->ss_family ? (const struct sockaddr *)ss : NULL;
}

static void put_policy(const struct policy *p, struct pfkey_buf *b)
{
	const struct request *r;

	pfkey_put_policy(b, p->type, p->dir, 0, p->priority);
	for (r = p->req; r < p->req + p->count; r++)
		pfkey_put_request(b, r->proto, r->mode, r->level, r->reqid,
				  end_or_null(&r->src), end_or_null(&r->dst));
}

static void send_policy(struct command *c, const struct policy *p)
{
	const struct sockaddr *src = c->src->ai_addr;
	const struct sockaddr *dst = c->dst->ai_addr;
	int splen = c->src_prefix >= 0 ? c->src_prefix : pfkey_max_prefix(src);
	int dplen = c->dst_prefix >= 0 ? c->dst_prefix : pfkey_max_prefix(dst);
	struct pfkey_buf b;

	start(c, &b);
	put_policy(p, &b);
	pfkey_put_address(&b, SADB_EXT_ADDRESS_SRC, src, c->upper, splen);
	pfkey_put_address(&b, SADB_EXT_ADDRESS_DST, dst, c->upper, dplen);
	if (c->ctx_label)
		pfkey_put_sec_ctx(&b, c->ctx_doi, c->ctx_alg, c->ctx_label);
	send_request(c, &b);
}

/*
 * RFC 4301 knows no third direction: an IN policy covers packets that will be forwarded.
 * Linux looks at FWD policies for those, so one is made of each IN policy.  It cannot be
 * bound to the IN policy's SA: a forwarded packet may have come through any that fits.
 */
static void run_policy(struct command *c)
{
	struct policy fwd = c->policy;
	struct request *r;

	send_policy(c, &c->policy);
	if (opt.kernel || c->policy.dir != IPSEC_DIR_INBOUND)
		return;
	fwd.dir = IPSEC_DIR_FWD;
	for (r = fwd.req; r < fwd.req + fwd.count; r++) {
		if (r->level == IPSEC_LEVEL_UNIQUE) {
			r->level = IPSEC_LEVEL_REQUIRE;
			r->reqid = 0;
		}
	}
	send_policy(c, &fwd);
}

void command_run(struct command *c)
{
	struct pfkey_buf b;

	switch (c->type) {
	case SADB_DUMP:
	case SADB_X_SPDDUMP:
		dump(c->type, c->satype, c->start);
		break;
	case SADB_FLUSH:
	case SADB_X_SPDFLUSH:
		start(c, &b);
		send_request(c, &b);
		break;
	case SADB_X_SPDADD:
	case SADB_X_SPDUPDATE:
	case SADB_X_SPDSETIDX:
	case SADB_X_SPDDELETE:
		run_policy(c);
		break;
	default:
		if (c->all_spis)
			run_delete_all(c);
		else
			run_sa(c);
	}
}
