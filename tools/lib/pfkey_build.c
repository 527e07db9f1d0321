// SPDX-License-Identifier: GPL-2.0
/*
 * Building PF_KEY messages in zeroed memory.  Every length is computed from what was written,
 * never from what was meant to be written.
 */
#include <arpa/inet.h>
#include <string.h>

#include "pfkey_client.h"

#define ALIGN8(n)	(((n) + 7) & ~(size_t)7)

void pfkey_start(struct pfkey_buf *b, int type, int satype, uint32_t seq, uint32_t pid)
{
	memset(b, 0, sizeof(*b));
	b->hdr.sadb_msg_version = PF_KEY_V2;
	b->hdr.sadb_msg_type = type;
	b->hdr.sadb_msg_satype = satype;
	b->hdr.sadb_msg_seq = seq;
	b->hdr.sadb_msg_pid = pid;
	b->len = sizeof(b->hdr);
}

/* The message's length in bytes, or 0 if something did not fit. */
size_t pfkey_finish(struct pfkey_buf *b)
{
	if (b->full)
		return 0;
	b->hdr.sadb_msg_len = b->len / 8;
	return b->len;
}

/* Append an extension of SIZE bytes and padding; NULL if there is no room. */
void *pfkey_put(struct pfkey_buf *b, int exttype, size_t size)
{
	struct sadb_ext *ext;
	size_t padded = ALIGN8(size);

	if (b->full || padded > sizeof(b->bytes) - b->len) {
		b->full = true;
		return NULL;
	}
	ext = (struct sadb_ext *)(b->bytes + b->len);
	ext->sadb_ext_len = padded / 8;
	ext->sadb_ext_type = exttype;
	b->len += padded;
	b->policy = NULL;
	return ext;
}

void pfkey_put_sa(struct pfkey_buf *b, uint32_t spi, uint8_t replay, uint8_t auth,
		  uint8_t encrypt, uint32_t flags)
{
	struct sadb_sa *sa = pfkey_put(b, SADB_EXT_SA, sizeof(*sa));

	if (!sa)
		return;
	sa->sadb_sa_spi = htonl(spi);
	sa->sadb_sa_replay = replay;
	sa->sadb_sa_state = SADB_SASTATE_LARVAL;
	sa->sadb_sa_auth = auth;
	sa->sadb_sa_encrypt = encrypt;
	sa->sadb_sa_flags = flags;
}

void pfkey_put_sa2(struct pfkey_buf *b, uint8_t mode, uint32_t reqid)
{
	struct sadb_x_sa2 *sa2 = pfkey_put(b, SADB_X_EXT_SA2, sizeof(*sa2));

	if (!sa2)
		return;
	sa2->sadb_x_sa2_mode = mode;
	sa2->sadb_x_sa2_reqid = reqid;
}

void pfkey_put_lifetime(struct pfkey_buf *b, int exttype, uint64_t bytes, uint64_t addtime)
{
	struct sadb_lifetime *lt = pfkey_put(b, exttype, sizeof(*lt));

	if (!lt)
		return;
	lt->sadb_lifetime_bytes = bytes;
	lt->sadb_lifetime_addtime = addtime;
}

void pfkey_put_address(struct pfkey_buf *b, int exttype, const struct sockaddr *sa,
		       uint8_t proto, uint8_t prefixlen)
{
	size_t salen = pfkey_sockaddr_len(sa);
	struct sadb_address *addr = pfkey_put(b, exttype, sizeof(*addr) + salen);

	if (!addr)
		return;
	addr->sadb_address_proto = proto;
	addr->sadb_address_prefixlen = prefixlen;
	memcpy(addr + 1, sa, salen);
}

void pfkey_put_key(struct pfkey_buf *b, int exttype, const void *key, size_t bytes)
{
	struct sadb_key *k = pfkey_put(b, exttype, sizeof(*k) + bytes);

	if (!k)
		return;
	k->sadb_key_bits = bytes * 8;
	if (bytes)
		memcpy(k + 1, key, bytes);
}

void pfkey_put_spirange(struct pfkey_buf *b, uint32_t min, uint32_t max)
{
	struct sadb_spirange *r = pfkey_put(b, SADB_EXT_SPIRANGE, sizeof(*r));

	if (!r)
		return;
	r->sadb_spirange_min = min;
	r->sadb_spirange_max = max;
}

void pfkey_put_natt_type(struct pfkey_buf *b, uint8_t type)
{
	struct sadb_x_nat_t_type *t = pfkey_put(b, SADB_X_EXT_NAT_T_TYPE, sizeof(*t));

	if (t)
		t->sadb_x_nat_t_type_type = type;
}

void pfkey_put_natt_port(struct pfkey_buf *b, int exttype, uint16_t port)
{
	struct sadb_x_nat_t_port *p = pfkey_put(b, exttype, sizeof(*p));

	if (p)
		p->sadb_x_nat_t_port_port = htons(port);
}

void pfkey_put_sec_ctx(struct pfkey_buf *b, uint8_t doi, uint8_t alg, const char *label)
{
	size_t len = strlen(label) + 1;
	struct sadb_x_sec_ctx *ctx = pfkey_put(b, SADB_X_EXT_SEC_CTX, sizeof(*ctx) + len);

	if (!ctx)
		return;
	ctx->sadb_x_ctx_doi = doi;
	ctx->sadb_x_ctx_alg = alg;
	ctx->sadb_x_ctx_len = len;
	memcpy(ctx + 1, label, len);
}

void pfkey_put_replay(struct pfkey_buf *b, uint32_t window, bool esn, uint64_t last)
{
	struct sadb_x_kipsec_replay *r = pfkey_put(b, SADB_X_EXT_KIPSEC_REPLAY, sizeof(*r));

	if (!r)
		return;
	r->sadb_x_kipsec_replay_window = window;
	r->sadb_x_kipsec_replay_flags = esn ? SADB_X_KIPSEC_REPLAY_ESN : 0;
	r->sadb_x_kipsec_replay_last = last;
}

void pfkey_put_kipsec_sa(struct pfkey_buf *b, uint16_t icv, uint8_t dir)
{
	struct sadb_x_kipsec_sa *sa = pfkey_put(b, SADB_X_EXT_KIPSEC_SA, sizeof(*sa));

	if (!sa)
		return;
	sa->sadb_x_kipsec_sa_icv = icv;
	sa->sadb_x_kipsec_sa_dir = dir;
}

void pfkey_put_kipsec_engine(struct pfkey_buf *b, const char *driver)
{
	size_t len = *driver ? strlen(driver) + 1 : 0;
	struct sadb_x_kipsec_engine *e;

	e = pfkey_put(b, SADB_X_EXT_KIPSEC_ENGINE, sizeof(*e) + len);
	if (e)
		memcpy(e + 1, driver, len);
}

void pfkey_put_kipsec_cpu(struct pfkey_buf *b, uint32_t cpu)
{
	struct sadb_x_kipsec_cpu *c = pfkey_put(b, SADB_X_EXT_KIPSEC_CPU, sizeof(*c));

	if (c)
		c->sadb_x_kipsec_cpu_id = cpu;
}

void pfkey_put_policy(struct pfkey_buf *b, uint16_t type, uint8_t dir, uint32_t id,
		      uint32_t priority)
{
	struct sadb_x_policy *pol = pfkey_put(b, SADB_X_EXT_POLICY, sizeof(*pol));

	if (!pol)
		return;
	pol->sadb_x_policy_type = type;
	pol->sadb_x_policy_dir = dir;
	pol->sadb_x_policy_id = id;
	pol->sadb_x_policy_priority = priority;
	b->policy = (struct sadb_ext *)pol;
}

/*
 * Append a request to the policy put last.  Request lengths are 16, 48 or 72 bytes, all
 * multiples of eight, so the extension grows without padding.
 */
void pfkey_put_request(struct pfkey_buf *b, uint16_t proto, uint8_t mode, uint8_t level,
		       uint32_t reqid, const struct sockaddr *src, const struct sockaddr *dst)
{
	struct sadb_x_ipsecrequest *r;
	size_t slen = src ? pfkey_sockaddr_len(src) : 0;
	size_t dlen = dst ? pfkey_sockaddr_len(dst) : 0;
	size_t size = sizeof(*r) + slen + dlen;

	if (b->full || !b->policy || size % 8 || size > sizeof(b->bytes) - b->len) {
		b->full = true;
		return;
	}
	r = (struct sadb_x_ipsecrequest *)(b->bytes + b->len);
	r->sadb_x_ipsecrequest_len = size;
	r->sadb_x_ipsecrequest_proto = proto;
	r->sadb_x_ipsecrequest_mode = mode;
	r->sadb_x_ipsecrequest_level = level;
	r->sadb_x_ipsecrequest_reqid = reqid;
	if (slen)
		memcpy(r + 1, src, slen);
	if (dlen)
		memcpy((uint8_t *)(r + 1) + slen, dst, dlen);
	b->len += size;
	b->policy->sadb_ext_len += size / 8;
}
