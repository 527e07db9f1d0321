// SPDX-License-Identifier: GPL-2.0
/*
 * Checking received PF_KEY messages: after pfkey_parse() every length inside a message can be
 * trusted, so that the code which prints or compares it needs no checks of its own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "pfkey_client.h"

size_t pfkey_sockaddr_len(const struct sockaddr *sa)
{
	switch (sa->sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

uint16_t pfkey_sockaddr_port(const struct sockaddr *sa)
{
	/* sin_port and sin6_port have the same place */
	return ntohs(((const struct sockaddr_in *)sa)->sin_port);
}

int pfkey_max_prefix(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET ? 32 : 128;
}

/* Ports do not count. */
bool pfkey_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr, 4);
	return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, 16);
}

const struct sockaddr *pfkey_address(const struct pfkey_msg *m, int exttype)
{
	const struct sadb_address *a = PFKEY_EXT(m, exttype, sadb_address);

	return a ? (const struct sockaddr *)(a + 1) : NULL;
}

/* The fixed part of each extension; 0: a number we do not know. */
static const uint8_t min_size[SADB_X_EXT_KIPSEC_MAX + 1] = {
	[SADB_EXT_SA]			= sizeof(struct sadb_sa),
	[SADB_EXT_LIFETIME_CURRENT]	= sizeof(struct sadb_lifetime),
	[SADB_EXT_LIFETIME_HARD]	= sizeof(struct sadb_lifetime),
	[SADB_EXT_LIFETIME_SOFT]	= sizeof(struct sadb_lifetime),
	[SADB_EXT_ADDRESS_SRC]		= sizeof(struct sadb_address),
	[SADB_EXT_ADDRESS_DST]		= sizeof(struct sadb_address),
	[SADB_EXT_ADDRESS_PROXY]	= sizeof(struct sadb_address),
	[SADB_EXT_KEY_AUTH]		= sizeof(struct sadb_key),
	[SADB_EXT_KEY_ENCRYPT]		= sizeof(struct sadb_key),
	[SADB_EXT_IDENTITY_SRC]		= sizeof(struct sadb_ident),
	[SADB_EXT_IDENTITY_DST]		= sizeof(struct sadb_ident),
	[SADB_EXT_SENSITIVITY]		= sizeof(struct sadb_sens),
	[SADB_EXT_PROPOSAL]		= sizeof(struct sadb_prop),
	[SADB_EXT_SUPPORTED_AUTH]	= sizeof(struct sadb_supported),
	[SADB_EXT_SUPPORTED_ENCRYPT]	= sizeof(struct sadb_supported),
	[SADB_EXT_SPIRANGE]		= sizeof(struct sadb_spirange),
	[SADB_X_EXT_KMPRIVATE]		= sizeof(struct sadb_x_kmprivate),
	[SADB_X_EXT_POLICY]		= sizeof(struct sadb_x_policy),
	[SADB_X_EXT_SA2]		= sizeof(struct sadb_x_sa2),
	[SADB_X_EXT_NAT_T_TYPE]		= sizeof(struct sadb_x_nat_t_type),
	[SADB_X_EXT_NAT_T_SPORT]	= sizeof(struct sadb_x_nat_t_port),
	[SADB_X_EXT_NAT_T_DPORT]	= sizeof(struct sadb_x_nat_t_port),
	[SADB_X_EXT_NAT_T_OA]		= sizeof(struct sadb_address),
	[SADB_X_EXT_SEC_CTX]		= sizeof(struct sadb_x_sec_ctx),
	[SADB_X_EXT_KMADDRESS]		= sizeof(struct sadb_x_kmaddress),
	[SADB_X_EXT_FILTER]		= sizeof(struct sadb_x_filter),
	[SADB_X_EXT_KIPSEC_REPLAY]	= sizeof(struct sadb_x_kipsec_replay),
	[SADB_X_EXT_KIPSEC_SA]		= sizeof(struct sadb_x_kipsec_sa),
	[SADB_X_EXT_KIPSEC_ENGINE]	= sizeof(struct sadb_x_kipsec_engine),
	[SADB_X_EXT_KIPSEC_CPU]		= sizeof(struct sadb_x_kipsec_cpu),
};

/* LEN bytes at P start with a whole sockaddr: its length, else 0. */
static size_t check_sockaddr(const uint8_t *p, size_t len)
{
	size_t salen;

	if (len < sizeof(struct sockaddr))
		return 0;
	salen = pfkey_sockaddr_len((const struct sockaddr *)p);
	return salen <= len ? salen : 0;
}

static const char *check_policy(const struct sadb_x_policy *pol, size_t len)
{
	const uint8_t *p = (const uint8_t *)(pol + 1);
	size_t left = len - sizeof(*pol);

	/* with other types whatever follows is left-over memory of the sender */
	if (pol->sadb_x_policy_type != IPSEC_POLICY_IPSEC)
		return NULL;
	while (left) {
		const struct sadb_x_ipsecrequest *r = (const void *)p;
		size_t rlen, slen, dlen;

		if (left < sizeof(*r))
			return "policy request cut short";
		rlen = r->sadb_x_ipsecrequest_len;
		if (rlen < sizeof(*r) || rlen > left)
			return "bad length of a policy request";
		if (rlen > sizeof(*r)) {
			slen = check_sockaddr(p + sizeof(*r), rlen - sizeof(*r));
			if (!slen)
				return "bad source address in a policy request";
			dlen = check_sockaddr(p + sizeof(*r) + slen, rlen - sizeof(*r) - slen);
			if (!dlen || sizeof(*r) + slen + dlen != rlen)
				return "bad destination address in a policy request";
		}
		p += rlen;
		left -= rlen;
	}
	return NULL;
}

/* Lengths inside the extension, beyond its fixed part. */
static const char *check_ext(const struct sadb_ext *ext, size_t len)
{
	const uint8_t *body = (const uint8_t *)ext;

	switch (ext->sadb_ext_type) {
	case SADB_EXT_ADDRESS_SRC:
	case SADB_EXT_ADDRESS_DST:
	case SADB_EXT_ADDRESS_PROXY:
	case SADB_X_EXT_NAT_T_OA:
		if (!check_sockaddr(body + sizeof(struct sadb_address),
				    len - sizeof(struct sadb_address)))
			return "bad address";
		break;
	case SADB_EXT_KEY_AUTH:
	case SADB_EXT_KEY_ENCRYPT:
		if ((((const struct sadb_key *)ext)->sadb_key_bits + 7u) / 8 >
		    len - sizeof(struct sadb_key))
			return "key longer than its extension";
		break;
	case SADB_X_EXT_SEC_CTX:
		if (((const struct sadb_x_sec_ctx *)ext)->sadb_x_ctx_len >
		    len - sizeof(struct sadb_x_sec_ctx))
			return "security label longer than its extension";
		break;
	case SADB_X_EXT_KIPSEC_ENGINE:
		len -= sizeof(struct sadb_x_kipsec_engine);
		if (len && !memchr(body + sizeof(struct sadb_x_kipsec_engine), '\0', len))
			return "name of a driver longer than its extension";
		break;
	case SADB_X_EXT_POLICY:
		return check_policy((const struct sadb_x_policy *)ext, len);
	}
	return NULL;
}

int pfkey_parse(struct pfkey_msg *m, const void *data, size_t len, const char **why)
{
	const uint8_t *p = data;
	const uint8_t *end = p + len;

	memset(m, 0, sizeof(*m));
	m->hdr = data;
	*why = "message cut short";
	if (len < sizeof(*m->hdr))
		return -1;
	*why = "message length does not agree with its header";
	if (m->hdr->sadb_msg_len * 8u != len)
		return -1;
	*why = "not PF_KEY version 2";
	if (m->hdr->sadb_msg_version != PF_KEY_V2)
		return -1;

	for (p += sizeof(*m->hdr); p < end; ) {
		const struct sadb_ext *ext = (const void *)p;
		size_t size = ext->sadb_ext_len * 8u;
		unsigned int type = ext->sadb_ext_type;

		*why = "bad length of an extension";
		if (!size || size > (size_t)(end - p))
			return -1;
		p += size;
		if (type > SADB_X_EXT_KIPSEC_MAX || !min_size[type])
			continue;
		if (size < min_size[type])
			return -1;
		*why = "two extensions of one type";
		if (m->ext[type])
			return -1;
		*why = check_ext(ext, size);
		if (*why)
			return -1;
		m->ext[type] = ext;
	}
	*why = NULL;
	return 0;
}

/* The name behind an engine's counters, "" if there is none. */
const char *pfkey_driver(const struct sadb_x_kipsec_engine *e)
{
	return e->sadb_x_kipsec_engine_len * 8u > sizeof(*e) ? (const char *)(e + 1) : "";
}
