/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pfkey_parse.h - from the bytes of a PF_KEY message to checked values
 * (floor 1, pure).
 *
 * Nothing here trusts its input: whoever gets a pointer out of a parsed message
 * may read the whole fixed part of that extension, and for keys, addresses and
 * policies all that their own length fields promise. The structures of the
 * interface are packed, so no alignment is assumed either.
 */
#ifndef _KIPSEC_PFKEY_PARSE_H
#define _KIPSEC_PFKEY_PARSE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

#include "../uapi/pfkeyv2.h"
#include "selector.h"

#define KIPSEC_PFKEY_MAX_REQUESTS	6

/* Slots of extensions: their own numbers, and behind them the ones of kipsec. */
#define KIPSEC_PFKEY_SLOT(type)		((type) - SADB_X_EXT_KIPSEC_MIN + \
					 SADB_EXT_MAX + 1)
#define KIPSEC_PFKEY_SLOTS		\
	(KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_MAX) + 1)

/**
 * struct kipsec_pfkey_addr - an address extension, taken apart
 * @addr: the address
 * @port: in network order
 * @family: AF_INET or AF_INET6; 0 if the message has no such extension
 * @prefix: prefix length, in range for the family
 * @proto: upper-layer protocol as given
 */
struct kipsec_pfkey_addr {
	union kipsec_addr	addr;
	__be16			port;
	u8			family;
	u8			prefix;
	u8			proto;
};

/**
 * struct kipsec_pfkey_msg - a request whose extensions are known to be sound
 * @hdr: base header
 * @src: SADB_EXT_ADDRESS_SRC
 * @dst: SADB_EXT_ADDRESS_DST
 * @ext: the extensions by slot, NULL where there is none; use the accessors
 *
 * Points into the buffer that was parsed.
 */
struct kipsec_pfkey_msg {
	const struct sadb_msg		*hdr;
	struct kipsec_pfkey_addr	src;
	struct kipsec_pfkey_addr	dst;
	const void			*ext[KIPSEC_PFKEY_SLOTS];
};

/**
 * struct kipsec_pfkey_request - one transform that a policy asks for
 * @src: tunnel mode: outer source
 * @dst: tunnel mode: outer destination
 * @reqid: 0 if none, or if the kernel is to choose
 * @proto: IPPROTO_ESP, IPPROTO_AH or IPPROTO_COMP
 * @mode: IPSEC_MODE_TRANSPORT or IPSEC_MODE_TUNNEL
 * @level: IPSEC_LEVEL_USE, _REQUIRE or _UNIQUE
 * @family: of @src and @dst; 0 in transport mode
 */
struct kipsec_pfkey_request {
	union kipsec_addr	src;
	union kipsec_addr	dst;
	u32			reqid;
	u8			proto;
	u8			mode;
	u8			level;
	u8			family;
};

/**
 * struct kipsec_pfkey_policy - a policy extension, taken apart
 * @type: IPSEC_POLICY_DISCARD, _NONE or _IPSEC
 * @dir: IPSEC_DIR_INBOUND, _OUTBOUND or _FWD
 * @nreq: number of @req
 * @id: the kernel's number of the policy
 * @priority: the lower value wins
 * @req: in the order of application to outgoing packets; of a MIGRATE in pairs,
 *	as it was and as it is to be
 */
struct kipsec_pfkey_policy {
	u8				type;
	u8				dir;
	u8				nreq;
	u32				id;
	u32				priority;
	struct kipsec_pfkey_request	req[2 * KIPSEC_PFKEY_MAX_REQUESTS];
};

static inline const struct sadb_sa *
kipsec_pfkey_sa(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_EXT_SA];
}

static inline const struct sadb_lifetime *
kipsec_pfkey_lifetime(const struct kipsec_pfkey_msg *m, bool hard)
{
	return m->ext[hard ? SADB_EXT_LIFETIME_HARD : SADB_EXT_LIFETIME_SOFT];
}

/* The key's bytes follow the structure; all that its bits ask for are there. */
static inline const struct sadb_key *
kipsec_pfkey_key(const struct kipsec_pfkey_msg *m, bool auth)
{
	return m->ext[auth ? SADB_EXT_KEY_AUTH : SADB_EXT_KEY_ENCRYPT];
}

static inline const struct sadb_spirange *
kipsec_pfkey_spirange(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_EXT_SPIRANGE];
}

static inline const struct sadb_x_policy *
kipsec_pfkey_policy(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_X_EXT_POLICY];
}

static inline const struct sadb_x_sa2 *
kipsec_pfkey_sa2(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_X_EXT_SA2];
}

static inline const struct sadb_x_nat_t_type *
kipsec_pfkey_natt_type(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_X_EXT_NAT_T_TYPE];
}

/* UDP port of packets on the SA, 0 if the message does not say. */
static inline __be16
kipsec_pfkey_natt_port(const struct kipsec_pfkey_msg *m, bool src)
{
	const struct sadb_x_nat_t_port *p =
		m->ext[src ? SADB_X_EXT_NAT_T_SPORT : SADB_X_EXT_NAT_T_DPORT];

	return p ? p->sadb_x_nat_t_port_port : 0;
}

static inline const struct sadb_x_filter *
kipsec_pfkey_filter(const struct kipsec_pfkey_msg *m)
{
	return m->ext[SADB_X_EXT_FILTER];
}

static inline const struct sadb_x_kipsec_replay *
kipsec_pfkey_replay(const struct kipsec_pfkey_msg *m)
{
	return m->ext[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_REPLAY)];
}

static inline const struct sadb_x_kipsec_sa *
kipsec_pfkey_kipsec_sa(const struct kipsec_pfkey_msg *m)
{
	return m->ext[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_SA)];
}

static inline const struct sadb_x_kipsec_cpu *
kipsec_pfkey_cpu(const struct kipsec_pfkey_msg *m)
{
	return m->ext[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_CPU)];
}

static inline const struct sadb_x_kipsec_engine *
kipsec_pfkey_engine(const struct kipsec_pfkey_msg *m)
{
	return m->ext[KIPSEC_PFKEY_SLOT(SADB_X_EXT_KIPSEC_ENGINE)];
}

/* The driver that is asked for; NULL if none is. */
static inline const char *kipsec_pfkey_driver(const struct kipsec_pfkey_msg *m)
{
	const struct sadb_x_kipsec_engine *xe = kipsec_pfkey_engine(m);
	const char *name = (const char *)(xe + 1);

	if (!xe || xe->sadb_x_kipsec_engine_len * 8 == sizeof(*xe) || !*name)
		return NULL;
	return name;
}

/**
 * kipsec_pfkey_check_base() - is this the beginning of a message at all?
 * @buf: the datagram
 * @len: its length
 *
 * Return: 0; -EMSGSIZE too short, or not as long as it says; -EINVAL version,
 * type or reserved field.
 */
int kipsec_pfkey_check_base(const void *buf, size_t len);

/**
 * kipsec_pfkey_parse() - check every extension
 * @m: filled in; points into @buf
 * @buf: a datagram that kipsec_pfkey_check_base() accepted
 * @len: its length
 *
 * Extensions may come in any order, each at most once. Those with numbers that
 * nobody here knows are skipped.
 *
 * Return: 0 or -EINVAL.
 */
int kipsec_pfkey_parse(struct kipsec_pfkey_msg *m, const void *buf, size_t len);

/**
 * kipsec_pfkey_parse_policy() - take a policy extension apart
 * @pol: filled in
 * @xp: the extension, out of a parsed message
 *
 * Return: 0; -EINVAL; -ELOOP more requests than a policy may have.
 */
int kipsec_pfkey_parse_policy(struct kipsec_pfkey_policy *pol,
			      const struct sadb_x_policy *xp);

/**
 * kipsec_pfkey_parse_migrate() - take the policy extension of a MIGRATE apart
 * @pol: filled in
 * @xp: the extension, out of a parsed message
 *
 * Return: 0; -EINVAL also if there are no pairs, if what makes a pair differs in
 * more than addresses, or if two pairs begin alike; -ELOOP.
 */
int kipsec_pfkey_parse_migrate(struct kipsec_pfkey_policy *pol,
			       const struct sadb_x_policy *xp);

/** kipsec_pfkey_proto() - IPPROTO_* of a SADB_SATYPE_*; 0 if it has none */
u8 kipsec_pfkey_proto(u8 satype);

/** kipsec_pfkey_satype() - SADB_SATYPE_* of an IPPROTO_*; 0 if it has none */
u8 kipsec_pfkey_satype(u8 proto);

#endif /* _KIPSEC_PFKEY_PARSE_H */
