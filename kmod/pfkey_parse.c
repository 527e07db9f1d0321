// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_parse.c - from the bytes of a PF_KEY message to checked values
 * (floor 1, pure).
 *
 * Every length is checked here and nowhere else, before the first byte behind
 * it is read. The test and the fuzzer in selftests/unit compile this file.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kernel.h>
#include <linux/socket.h>
#include <linux/string.h>
#else
#include "shim.h"
#endif

#include "alg.h"
#include "pfkey_parse.h"

#define UNIT	8	/* bytes to which a length field of PF_KEY counts */

/* The fixed part of each extension, in bytes. */
static const u8 fixed_part[KIPSEC_PFKEY_SLOTS] = {
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
	[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_REPLAY)] =
					  sizeof(struct sadb_x_kipsec_replay),
	[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_SA)] =
					  sizeof(struct sadb_x_kipsec_sa),
	[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_ENGINE)] =
					  sizeof(struct sadb_x_kipsec_engine),
	[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_CPU)] =
					  sizeof(struct sadb_x_kipsec_cpu),
};

static const struct {
	u8 satype;
	u8 proto;
} protos[] = {
	{ SADB_SATYPE_AH,	IPPROTO_AH },
	{ SADB_SATYPE_ESP,	IPPROTO_ESP },
	{ SADB_X_SATYPE_IPCOMP,	IPPROTO_COMP },
};

u8 kipsec_pfkey_proto(u8 satype)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(protos); i++) {
		if (protos[i].satype == satype)
			return protos[i].proto;
	}
	return 0;
}

u8 kipsec_pfkey_satype(u8 proto)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(protos); i++) {
		if (protos[i].proto == proto)
			return protos[i].satype;
	}
	return SADB_SATYPE_UNSPEC;
}

int kipsec_pfkey_check_base(const void *buf, size_t len)
{
	const struct sadb_msg *hdr = buf;

	if (len < sizeof(*hdr))
		return -EMSGSIZE;
	if (hdr->sadb_msg_version != PF_KEY_V2 || hdr->sadb_msg_reserved ||
	    hdr->sadb_msg_type == SADB_RESERVED ||
	    hdr->sadb_msg_type > SADB_MAX)
		return -EINVAL;
	if ((size_t)hdr->sadb_msg_len * UNIT != len)
		return -EMSGSIZE;
	return 0;
}

/* Bytes of a sockaddr of this family, 0 if it is none of ours. */
static size_t sockaddr_size(u16 family)
{
	switch (family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

/* The family of a sockaddr of which at least two bytes are there. */
static u16 sockaddr_family(const void *sa)
{
	u16 family;

	memcpy(&family, sa, sizeof(family));
	return family;
}

/* The whole sockaddr is there; scope and flow label mean nothing to an SA. */
static void sockaddr_read(const void *sa, u16 family, union kipsec_addr *addr,
			  __be16 *port)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;

	memset(addr, 0, sizeof(*addr));
	if (family == AF_INET) {
		memcpy(&sin, sa, sizeof(sin));
		addr->ip = sin.sin_addr.s_addr;
		*port = sin.sin_port;
	} else {
		memcpy(&sin6, sa, sizeof(sin6));
		addr->ip6 = sin6.sin6_addr;
		*port = sin6.sin6_port;
	}
}

static int check_address(const struct sadb_address *xa, size_t len,
			 bool check_prefix, struct kipsec_pfkey_addr *out)
{
	const void *sa = xa + 1;
	size_t size;
	u16 family;

	if (len < sizeof(*xa) + UNIT)
		return -EINVAL;
	family = sockaddr_family(sa);
	size = sockaddr_size(family);
	if (!size || len != (sizeof(*xa) + size + UNIT - 1) / UNIT * UNIT)
		return -EINVAL;
	if (check_prefix &&
	    xa->sadb_address_prefixlen > (family == AF_INET ? 32 : 128))
		return -EINVAL;
	out->family = family;
	out->prefix = xa->sadb_address_prefixlen;
	out->proto = xa->sadb_address_proto;
	sockaddr_read(sa, family, &out->addr, &out->port);
	return 0;
}

static int check_key(const struct sadb_key *key, size_t len)
{
	size_t bytes = ((size_t)key->sadb_key_bits + 7) / 8;

	return sizeof(*key) + bytes <= len ? 0 : -EINVAL;
}

/*
 * A security label narrows what a policy or an SA is for. Labels are not known
 * here, and to ignore one would widen it, so only the empty one passes. That is
 * also what the fragment size looks like that other systems send as number 24.
 */
static int check_label(const struct sadb_x_sec_ctx *ctx)
{
	return ctx->sadb_x_ctx_len ? -EINVAL : 0;
}

/* The name ends within the extension; there may be none. */
static int check_engine(const struct sadb_x_kipsec_engine *xe, size_t len)
{
	const char *name = (const char *)(xe + 1);

	if (len == sizeof(*xe))
		return 0;
	if (!memchr(name, '\0', len - sizeof(*xe)))
		return -EINVAL;
	return !*name || kipsec_driver_ok(name) ? 0 : -EINVAL;
}

/* What its type asks for beyond the fixed part. */
static int check_ext(struct kipsec_pfkey_msg *m, unsigned int slot,
		     const void *ext, size_t len)
{
	struct kipsec_pfkey_addr ignored;

	switch (slot) {
	case SADB_EXT_ADDRESS_SRC:
		return check_address(ext, len, true, &m->src);
	case SADB_EXT_ADDRESS_DST:
		return check_address(ext, len, true, &m->dst);
	case SADB_EXT_ADDRESS_PROXY:
		return check_address(ext, len, true, &ignored);
	case SADB_X_EXT_NAT_T_OA:
		/* libipsec writes nonsense into its prefix length */
		return check_address(ext, len, false, &ignored);
	case SADB_EXT_KEY_AUTH:
	case SADB_EXT_KEY_ENCRYPT:
		return check_key(ext, len);
	case SADB_X_EXT_SEC_CTX:
		return check_label(ext);
	case KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_ENGINE):
		return check_engine(ext, len);
	default:
		return 0;
	}
}

/* The slot of an extension, or 0 for those that are skipped. */
static unsigned int slot_of(u16 type)
{
	if (type <= SADB_EXT_MAX)
		return type;
	if (type < SADB_X_EXT_KIPSEC_MIN || type > SADB_X_EXT_KIPSEC_MAX)
		return 0;
	return KIPSEC_PFKEY_SLOT(type);
}

int kipsec_pfkey_parse(struct kipsec_pfkey_msg *m, const void *buf, size_t len)
{
	const u8 *p = (const u8 *)buf + sizeof(struct sadb_msg);
	size_t left = len - sizeof(struct sadb_msg);
	int err;

	memset(m, 0, sizeof(*m));
	m->hdr = buf;
	while (left) {
		const struct sadb_ext *ext = (const void *)p;
		unsigned int slot;
		size_t size;

		if (left < sizeof(*ext))
			return -EINVAL;
		size = (size_t)ext->sadb_ext_len * UNIT;
		if (!size || size > left ||
		    ext->sadb_ext_type == SADB_EXT_RESERVED)
			return -EINVAL;
		slot = slot_of(ext->sadb_ext_type);
		if (slot) {
			if (m->ext[slot] || size < fixed_part[slot])
				return -EINVAL;
			err = check_ext(m, slot, p, size);
			if (err)
				return err;
			m->ext[slot] = p;
		}
		p += size;
		left -= size;
	}
	return 0;
}

/*
 * Two sockaddrs without a gap. Their family need not be that of the selector
 * (IPv4 through an IPv6 tunnel), but it must be one and the same.
 */
static int parse_pair(struct kipsec_pfkey_request *req, const u8 *p, size_t len)
{
	__be16 port;
	size_t size;
	u16 family;

	if (len < sizeof(family))
		return -EINVAL;
	family = sockaddr_family(p);
	size = sockaddr_size(family);
	if (!size || len < 2 * size || sockaddr_family(p + size) != family)
		return -EINVAL;
	req->family = family;
	sockaddr_read(p, family, &req->src, &port);
	sockaddr_read(p + size, family, &req->dst, &port);
	return 0;
}

/*
 * Reserved fields are ignored: racoon fills them with rubbish. Transport mode
 * may come with addresses (setkey writes them if the user did); they say
 * nothing that the selector does not say, but for a MIGRATE, which has @ends.
 */
static int parse_request(struct kipsec_pfkey_request *req,
			 const struct sadb_x_ipsecrequest *xr, size_t len,
			 bool ends)
{
	memset(req, 0, sizeof(*req));
	if (xr->sadb_x_ipsecrequest_proto > 255 ||
	    !kipsec_pfkey_satype(xr->sadb_x_ipsecrequest_proto))
		return -EINVAL;
	if (xr->sadb_x_ipsecrequest_mode != IPSEC_MODE_TRANSPORT &&
	    xr->sadb_x_ipsecrequest_mode != IPSEC_MODE_TUNNEL)
		return -EINVAL;
	if (xr->sadb_x_ipsecrequest_level > IPSEC_LEVEL_UNIQUE)
		return -EINVAL;

	req->proto = xr->sadb_x_ipsecrequest_proto;
	req->mode = xr->sadb_x_ipsecrequest_mode;
	req->level = xr->sadb_x_ipsecrequest_level;
	if (req->level == IPSEC_LEVEL_DEFAULT)
		req->level = IPSEC_LEVEL_REQUIRE;
	/* only "unique" ties a request to a reqid, as everywhere since KAME */
	if (req->level == IPSEC_LEVEL_UNIQUE)
		req->reqid = xr->sadb_x_ipsecrequest_reqid;
	if (ends || req->mode == IPSEC_MODE_TUNNEL)
		return parse_pair(req, (const u8 *)(xr + 1), len - sizeof(*xr));
	return 0;
}

static int parse_requests(struct kipsec_pfkey_policy *pol,
			  const struct sadb_x_policy *xp, bool migrate)
{
	size_t left = (size_t)xp->sadb_x_policy_len * UNIT - sizeof(*xp);
	unsigned int max = KIPSEC_PFKEY_MAX_REQUESTS << migrate;
	const u8 *p = (const u8 *)(xp + 1);
	int err;

	/* fewer bytes than a request has are padding */
	while (left >= sizeof(struct sadb_x_ipsecrequest)) {
		const struct sadb_x_ipsecrequest *xr = (const void *)p;
		size_t len = xr->sadb_x_ipsecrequest_len;

		if (len < sizeof(*xr) || len > left)
			return -EINVAL;
		if (pol->nreq == max)
			return -ELOOP;
		err = parse_request(&pol->req[pol->nreq], xr, len,
				    migrate);
		if (err)
			return err;
		pol->nreq++;
		p += len;
		left -= len;
	}
	return 0;
}

static int parse_policy(struct kipsec_pfkey_policy *pol,
			const struct sadb_x_policy *xp, bool migrate)
{
	memset(pol, 0, sizeof(*pol));
	if (xp->sadb_x_policy_type > IPSEC_POLICY_IPSEC ||
	    xp->sadb_x_policy_dir == IPSEC_DIR_ANY ||
	    xp->sadb_x_policy_dir > IPSEC_DIR_FWD)
		return -EINVAL;
	pol->type = xp->sadb_x_policy_type;
	pol->dir = xp->sadb_x_policy_dir;
	pol->id = xp->sadb_x_policy_id;
	pol->priority = xp->sadb_x_policy_priority;
	if (pol->type != IPSEC_POLICY_IPSEC)
		return 0;
	return parse_requests(pol, xp, migrate);
}

int kipsec_pfkey_parse_policy(struct kipsec_pfkey_policy *pol,
			      const struct sadb_x_policy *xp)
{
	return parse_policy(pol, xp, false);
}

static bool same_ends(const struct kipsec_pfkey_request *a,
		      const struct kipsec_pfkey_request *b)
{
	return a->family == b->family &&
	       kipsec_addr_equal(&a->src, &b->src, a->family) &&
	       kipsec_addr_equal(&a->dst, &b->dst, a->family);
}

static bool same_transform(const struct kipsec_pfkey_request *a,
			   const struct kipsec_pfkey_request *b)
{
	return a->proto == b->proto && a->mode == b->mode &&
	       a->reqid == b->reqid;
}

/* As it was and as it is to be, and not what an earlier pair is about. */
static bool pair_ok(const struct kipsec_pfkey_request *req, unsigned int at)
{
	static const union kipsec_addr none;
	const struct kipsec_pfkey_request *was = &req[at], *will = was + 1;
	unsigned int i;

	if (!same_transform(was, will) || was->family != will->family ||
	    kipsec_addr_equal(&will->src, &none, will->family) ||
	    kipsec_addr_equal(&will->dst, &none, will->family))
		return false;
	for (i = 0; i < at; i += 2) {
		if (same_transform(&req[i], was) && same_ends(&req[i], was))
			return false;
	}
	return true;
}

int kipsec_pfkey_parse_migrate(struct kipsec_pfkey_policy *pol,
			       const struct sadb_x_policy *xp)
{
	unsigned int i;
	int err;

	err = parse_policy(pol, xp, true);
	if (err)
		return err;
	if (!pol->nreq || pol->nreq % 2)
		return -EINVAL;
	for (i = 0; i < pol->nreq; i += 2) {
		if (!pair_ok(pol->req, i))
			return -EINVAL;
	}
	return 0;
}
