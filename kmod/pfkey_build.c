// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_build.c - the one builder of PF_KEY messages (floor 1, pure).
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/string.h>
#else
#include "shim.h"
#endif

#include "pfkey_build.h"

#define UNIT		8
#define ROUND_UP(n)	(((n) + UNIT - 1) / UNIT * UNIT)

void kipsec_pfkey_out_init(struct kipsec_pfkey_out *out, void *mem,
			   unsigned int room, u8 type, u8 satype, u32 seq,
			   u32 pid)
{
	memset(mem, 0, room);
	out->hdr = mem;
	out->data = mem;
	out->room = room;
	out->len = sizeof(*out->hdr);
	out->overflow = false;
	out->hdr->sadb_msg_version = PF_KEY_V2;
	out->hdr->sadb_msg_type = type;
	out->hdr->sadb_msg_satype = satype;
	out->hdr->sadb_msg_seq = seq;
	out->hdr->sadb_msg_pid = pid;
}

int kipsec_pfkey_out_finish(struct kipsec_pfkey_out *out)
{
	if (out->overflow)
		return -EMSGSIZE;
	out->hdr->sadb_msg_len = out->len / UNIT;
	return out->len;
}

/* Room for an extension of @bytes, padded; NULL if there is none. */
static void *new_ext(struct kipsec_pfkey_out *out, u16 type, unsigned int bytes)
{
	unsigned int padded = ROUND_UP(bytes);
	struct sadb_ext *ext = (void *)(out->data + out->len);

	if (out->overflow || padded > out->room - out->len) {
		out->overflow = true;
		return NULL;
	}
	ext->sadb_ext_len = padded / UNIT;
	ext->sadb_ext_type = type;
	out->len += padded;
	return ext;
}

void kipsec_pfkey_put_sa(struct kipsec_pfkey_out *out, const struct sadb_sa *xs)
{
	struct sadb_sa *p = new_ext(out, SADB_EXT_SA, sizeof(*p));

	if (!p)
		return;
	p->sadb_sa_spi = xs->sadb_sa_spi;
	p->sadb_sa_replay = xs->sadb_sa_replay;
	p->sadb_sa_state = xs->sadb_sa_state;
	p->sadb_sa_auth = xs->sadb_sa_auth;
	p->sadb_sa_encrypt = xs->sadb_sa_encrypt;
	p->sadb_sa_flags = xs->sadb_sa_flags;
}

static void put_lifetime(struct kipsec_pfkey_out *out, u16 type,
			 const struct kipsec_limit *lim)
{
	struct sadb_lifetime *p = new_ext(out, type, sizeof(*p));

	if (!p)
		return;
	/* the field is too narrow: show a full counter, not a wrapped one */
	p->sadb_lifetime_allocations =
		lim->packets > 0xffffffffU ? 0xffffffffU : lim->packets;
	p->sadb_lifetime_bytes = lim->bytes;
	p->sadb_lifetime_addtime = lim->addtime;
	p->sadb_lifetime_usetime = lim->usetime;
}

void kipsec_pfkey_put_limit(struct kipsec_pfkey_out *out, bool hard,
			    const struct kipsec_limit *lim)
{
	put_lifetime(out, hard ? SADB_EXT_LIFETIME_HARD :
				 SADB_EXT_LIFETIME_SOFT, lim);
}

void kipsec_pfkey_put_current(struct kipsec_pfkey_out *out,
			      const struct kipsec_limit *use)
{
	put_lifetime(out, SADB_EXT_LIFETIME_CURRENT, use);
}

static unsigned int sockaddr_size(u8 family)
{
	return family == AF_INET6 ? sizeof(struct sockaddr_in6) :
				    sizeof(struct sockaddr_in);
}

/* Into zeroed memory of the size above, aligned or not. */
static void sockaddr_write(void *to, const union kipsec_addr *addr, u8 family,
			   __be16 port)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;

	if (family == AF_INET6) {
		memset(&sin6, 0, sizeof(sin6));
		sin6.sin6_family = AF_INET6;
		sin6.sin6_port = port;
		sin6.sin6_addr = addr->ip6;
		memcpy(to, &sin6, sizeof(sin6));
	} else {
		memset(&sin, 0, sizeof(sin));
		sin.sin_family = AF_INET;
		sin.sin_port = port;
		sin.sin_addr.s_addr = addr->ip;
		memcpy(to, &sin, sizeof(sin));
	}
}

void kipsec_pfkey_put_addr(struct kipsec_pfkey_out *out, u16 type,
			   const struct kipsec_pfkey_addr *addr)
{
	struct sadb_address *p;

	p = new_ext(out, type, sizeof(*p) + sockaddr_size(addr->family));
	if (!p)
		return;
	p->sadb_address_proto = addr->proto;
	p->sadb_address_prefixlen = addr->prefix;
	sockaddr_write(p + 1, &addr->addr, addr->family, addr->port);
}

void kipsec_pfkey_put_host(struct kipsec_pfkey_out *out, u16 type,
			   const union kipsec_addr *addr, u8 family)
{
	struct kipsec_pfkey_addr host = {
		.addr	= *addr,
		.family	= family,
		.prefix	= family == AF_INET6 ? 128 : 32,
	};

	kipsec_pfkey_put_addr(out, type, &host);
}

void kipsec_pfkey_put_key(struct kipsec_pfkey_out *out, bool auth,
			  const u8 *data, u16 bits)
{
	unsigned int bytes = ((unsigned int)bits + 7) / 8;
	struct sadb_key *p;

	p = new_ext(out, auth ? SADB_EXT_KEY_AUTH : SADB_EXT_KEY_ENCRYPT,
		    sizeof(*p) + bytes);
	if (!p)
		return;
	p->sadb_key_bits = bits;
	memcpy(p + 1, data, bytes);
}

void kipsec_pfkey_put_sa2(struct kipsec_pfkey_out *out, u8 mode, u32 seq,
			  u32 reqid)
{
	struct sadb_x_sa2 *p = new_ext(out, SADB_X_EXT_SA2, sizeof(*p));

	if (!p)
		return;
	p->sadb_x_sa2_mode = mode;
	p->sadb_x_sa2_sequence = seq;
	p->sadb_x_sa2_reqid = reqid;
}

void kipsec_pfkey_put_natt_port(struct kipsec_pfkey_out *out, u16 type,
				__be16 port)
{
	struct sadb_x_nat_t_port *p = new_ext(out, type, sizeof(*p));

	if (p)
		p->sadb_x_nat_t_port_port = port;
}

void kipsec_pfkey_put_natt(struct kipsec_pfkey_out *out, u8 type, __be16 sport,
			   __be16 dport)
{
	struct sadb_x_nat_t_type *p;

	p = new_ext(out, SADB_X_EXT_NAT_T_TYPE, sizeof(*p));
	if (p)
		p->sadb_x_nat_t_type_type = type;
	kipsec_pfkey_put_natt_port(out, SADB_X_EXT_NAT_T_SPORT, sport);
	kipsec_pfkey_put_natt_port(out, SADB_X_EXT_NAT_T_DPORT, dport);
}

void kipsec_pfkey_put_replay(struct kipsec_pfkey_out *out, u32 window, bool esn,
			     u64 last)
{
	struct sadb_x_kipsec_replay *p;

	p = new_ext(out, SADB_X_EXT_KIPSEC_REPLAY, sizeof(*p));
	if (!p)
		return;
	p->sadb_x_kipsec_replay_window = window;
	p->sadb_x_kipsec_replay_flags = esn ? SADB_X_KIPSEC_REPLAY_ESN : 0;
	p->sadb_x_kipsec_replay_last = last;
}

void kipsec_pfkey_put_kipsec_sa(struct kipsec_pfkey_out *out, u16 icv, u8 dir)
{
	struct sadb_x_kipsec_sa *p;

	p = new_ext(out, SADB_X_EXT_KIPSEC_SA, sizeof(*p));
	if (!p)
		return;
	p->sadb_x_kipsec_sa_icv = icv;
	p->sadb_x_kipsec_sa_dir = dir;
}

void kipsec_pfkey_put_cpu(struct kipsec_pfkey_out *out, u32 cpu)
{
	struct sadb_x_kipsec_cpu *p;

	p = new_ext(out, SADB_X_EXT_KIPSEC_CPU, sizeof(*p));
	if (p)
		p->sadb_x_kipsec_cpu_id = cpu;
}

void kipsec_pfkey_put_engine(struct kipsec_pfkey_out *out,
			     const struct sadb_x_kipsec_engine *xe,
			     const char *driver)
{
	struct sadb_x_kipsec_engine *p;
	size_t size = strlen(driver) + 1;

	p = new_ext(out, SADB_X_EXT_KIPSEC_ENGINE, sizeof(*p) + size);
	if (!p)
		return;
	p->sadb_x_kipsec_engine_inflight = xe->sadb_x_kipsec_engine_inflight;
	p->sadb_x_kipsec_engine_requests = xe->sadb_x_kipsec_engine_requests;
	p->sadb_x_kipsec_engine_bytes = xe->sadb_x_kipsec_engine_bytes;
	p->sadb_x_kipsec_engine_errors = xe->sadb_x_kipsec_engine_errors;
	p->sadb_x_kipsec_engine_fallbacks = xe->sadb_x_kipsec_engine_fallbacks;
	memcpy(p + 1, driver, size);
}

void kipsec_pfkey_put_proposal(struct kipsec_pfkey_out *out)
{
	struct sadb_prop *p = new_ext(out, SADB_EXT_PROPOSAL, sizeof(*p));

	if (p)
		p->sadb_prop_replay = 32;
}

/* Grow the extension that was put last; false if there is no room. */
static bool grow_ext(struct kipsec_pfkey_out *out, struct sadb_ext *ext,
		     unsigned int bytes)
{
	if (out->overflow || bytes > out->room - out->len) {
		out->overflow = true;
		return false;
	}
	ext->sadb_ext_len += bytes / UNIT;
	out->len += bytes;
	return true;
}

void kipsec_pfkey_put_supported(struct kipsec_pfkey_out *out, bool auth,
				bool (*usable)(const struct kipsec_alg *alg))
{
	const struct kipsec_alg *alg;
	struct sadb_supported *head;
	struct sadb_alg *p;
	unsigned int i;

	head = new_ext(out, auth ? SADB_EXT_SUPPORTED_AUTH :
				   SADB_EXT_SUPPORTED_ENCRYPT, sizeof(*head));
	if (!head)
		return;
	for (i = 0; (alg = kipsec_alg_each(auth, i)); i++) {
		if (usable && !usable(alg))
			continue;
		p = (void *)(out->data + out->len);
		if (!grow_ext(out, (void *)head, sizeof(*p)))
			return;
		p->sadb_alg_id = alg->id;
		p->sadb_alg_ivlen = alg->ivlen;
		p->sadb_alg_minbits = alg->minbits;
		p->sadb_alg_maxbits = alg->maxbits;
	}
}

/*
 * The length of a request counts bytes and must be exact: programs check that
 * the lengths add up to that of the extension. 16, 48 and 72 are multiples of
 * eight, so there is no padding to hide.
 */
static void put_request(struct kipsec_pfkey_out *out, struct sadb_ext *ext,
			const struct kipsec_pfkey_request *req)
{
	struct sadb_x_ipsecrequest *p = (void *)(out->data + out->len);
	unsigned int size = sizeof(*p);
	unsigned int one = 0;

	if (req->mode == IPSEC_MODE_TUNNEL) {
		one = sockaddr_size(req->family);
		size += 2 * one;
	}
	if (!grow_ext(out, ext, size))
		return;
	p->sadb_x_ipsecrequest_len = size;
	p->sadb_x_ipsecrequest_proto = req->proto;
	p->sadb_x_ipsecrequest_mode = req->mode;
	p->sadb_x_ipsecrequest_level = req->level;
	p->sadb_x_ipsecrequest_reqid = req->reqid;
	if (one) {
		sockaddr_write(p + 1, &req->src, req->family, 0);
		sockaddr_write((u8 *)(p + 1) + one, &req->dst, req->family, 0);
	}
}

void kipsec_pfkey_put_policy(struct kipsec_pfkey_out *out,
			     const struct kipsec_pfkey_policy *pol)
{
	struct sadb_x_policy *p = new_ext(out, SADB_X_EXT_POLICY, sizeof(*p));
	unsigned int i;

	if (!p)
		return;
	p->sadb_x_policy_type = pol->type;
	p->sadb_x_policy_dir = pol->dir;
	p->sadb_x_policy_id = pol->id;
	p->sadb_x_policy_priority = pol->priority;
	for (i = 0; i < pol->nreq; i++)
		put_request(out, (void *)p, &pol->req[i]);
}

void kipsec_pfkey_put_copy(struct kipsec_pfkey_out *out, const void *ext)
{
	const struct sadb_ext *from = ext;
	size_t size;
	void *to;

	if (!ext)
		return;
	size = (size_t)from->sadb_ext_len * UNIT;
	to = new_ext(out, from->sadb_ext_type, size);
	if (to)
		memcpy(to, ext, size);
}

void kipsec_pfkey_hide_keys(void *buf, size_t len)
{
	u8 *p = (u8 *)buf + sizeof(struct sadb_msg);
	size_t left = len - sizeof(struct sadb_msg);

	while (left >= sizeof(struct sadb_key)) {
		const struct sadb_ext *ext = (const void *)p;
		size_t size = (size_t)ext->sadb_ext_len * UNIT;

		if (!size || size > left)
			break;
		if (ext->sadb_ext_type == SADB_EXT_KEY_AUTH ||
		    ext->sadb_ext_type == SADB_EXT_KEY_ENCRYPT)
			memset(p + sizeof(struct sadb_key), 0,
			       size - sizeof(struct sadb_key));
		p += size;
		left -= size;
	}
	memset(p, 0, left);
}
