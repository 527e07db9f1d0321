/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pfkey_build.h - the one builder of PF_KEY messages (floor 1, pure).
 *
 * A message grows in memory that was zeroed before, so no padding, tail of a
 * sockaddr or reserved field can carry old bytes, and its length is what was
 * written: nobody computes a size beforehand. What would not fit is left out
 * and remembered, and such a message is never sent.
 */
#ifndef _KIPSEC_PFKEY_BUILD_H
#define _KIPSEC_PFKEY_BUILD_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

#include "alg.h"
#include "lifetime.h"
#include "pfkey_parse.h"

/* No message is longer: programs receive into buffers of this size. */
#define KIPSEC_PFKEY_MAX	4096

/**
 * struct kipsec_pfkey_out - a message under construction
 * @hdr: its header; may be changed until the message is finished
 * @data: the memory
 * @room: size of the memory
 * @len: bytes written so far
 * @overflow: something did not fit
 */
struct kipsec_pfkey_out {
	struct sadb_msg	*hdr;
	u8		*data;
	unsigned int	room;
	unsigned int	len;
	bool		overflow;
};

/**
 * kipsec_pfkey_out_init() - begin a message
 * @out: the message
 * @mem: memory for it, at least a header; zeroed here
 * @room: size of @mem
 * @type: SADB_*
 * @satype: SADB_SATYPE_*
 * @seq: for the header
 * @pid: for the header
 */
void kipsec_pfkey_out_init(struct kipsec_pfkey_out *out, void *mem,
			   unsigned int room, u8 type, u8 satype, u32 seq,
			   u32 pid);

/**
 * kipsec_pfkey_out_finish() - write the length into the header
 * @out: the message
 *
 * Return: the length in bytes, or -EMSGSIZE if something did not fit.
 */
int kipsec_pfkey_out_finish(struct kipsec_pfkey_out *out);

/**
 * kipsec_pfkey_put_sa() - SADB_EXT_SA
 * @out: the message
 * @xs: all but length and type filled in
 */
void kipsec_pfkey_put_sa(struct kipsec_pfkey_out *out,
			 const struct sadb_sa *xs);

/** kipsec_pfkey_put_limit() - SADB_EXT_LIFETIME_HARD or _SOFT */
void kipsec_pfkey_put_limit(struct kipsec_pfkey_out *out, bool hard,
			    const struct kipsec_limit *lim);

/**
 * kipsec_pfkey_put_current() - SADB_EXT_LIFETIME_CURRENT
 * @out: the message
 * @use: what was used; the times are wall-clock moments here
 */
void kipsec_pfkey_put_current(struct kipsec_pfkey_out *out,
			      const struct kipsec_limit *use);

/** kipsec_pfkey_put_addr() - an address extension, SADB_EXT_ADDRESS_SRC ... */
void kipsec_pfkey_put_addr(struct kipsec_pfkey_out *out, u16 type,
			   const struct kipsec_pfkey_addr *addr);

/**
 * kipsec_pfkey_put_host() - the same for a host address without a port
 * @out: the message
 * @type: SADB_EXT_ADDRESS_SRC ...
 * @addr: the address
 * @family: its family
 */
void kipsec_pfkey_put_host(struct kipsec_pfkey_out *out, u16 type,
			   const union kipsec_addr *addr, u8 family);

/** kipsec_pfkey_put_key() - SADB_EXT_KEY_AUTH or _ENCRYPT */
void kipsec_pfkey_put_key(struct kipsec_pfkey_out *out, bool auth,
			  const u8 *data, u16 bits);

/** kipsec_pfkey_put_sa2() - SADB_X_EXT_SA2 */
void kipsec_pfkey_put_sa2(struct kipsec_pfkey_out *out, u8 mode, u32 seq,
			  u32 reqid);

/** kipsec_pfkey_put_replay() - SADB_X_EXT_KIPSEC_REPLAY */
void kipsec_pfkey_put_replay(struct kipsec_pfkey_out *out, u32 window, bool esn,
			     u64 last);

/** kipsec_pfkey_put_kipsec_sa() - SADB_X_EXT_KIPSEC_SA */
void kipsec_pfkey_put_kipsec_sa(struct kipsec_pfkey_out *out, u16 icv, u8 dir);

/** kipsec_pfkey_put_cpu() - SADB_X_EXT_KIPSEC_CPU */
void kipsec_pfkey_put_cpu(struct kipsec_pfkey_out *out, u32 cpu);

/**
 * kipsec_pfkey_put_engine() - SADB_X_EXT_KIPSEC_ENGINE
 * @out: the message
 * @xe: all but length and type filled in
 * @driver: the name behind it
 */
void kipsec_pfkey_put_engine(struct kipsec_pfkey_out *out,
			     const struct sadb_x_kipsec_engine *xe,
			     const char *driver);

/** kipsec_pfkey_put_natt_port() - SADB_X_EXT_NAT_T_SPORT or _DPORT */
void kipsec_pfkey_put_natt_port(struct kipsec_pfkey_out *out, u16 type,
				__be16 port);

/** kipsec_pfkey_put_natt() - SADB_X_EXT_NAT_T_TYPE, _SPORT and _DPORT */
void kipsec_pfkey_put_natt(struct kipsec_pfkey_out *out, u8 type, __be16 sport,
			   __be16 dport);

/**
 * kipsec_pfkey_put_supported() - SADB_EXT_SUPPORTED_AUTH or _ENCRYPT
 * @out: the message
 * @auth: which of them
 * @usable: asked for each algorithm of the table, or NULL to list all
 */
void kipsec_pfkey_put_supported(struct kipsec_pfkey_out *out, bool auth,
				bool (*usable)(const struct kipsec_alg *alg));

/** kipsec_pfkey_put_proposal() - SADB_EXT_PROPOSAL: any algorithms will do */
void kipsec_pfkey_put_proposal(struct kipsec_pfkey_out *out);

/** kipsec_pfkey_put_policy() - SADB_X_EXT_POLICY with its requests */
void kipsec_pfkey_put_policy(struct kipsec_pfkey_out *out,
			     const struct kipsec_pfkey_policy *pol);

/** kipsec_pfkey_put_copy() - an extension out of a parsed message; NULL is none */
void kipsec_pfkey_put_copy(struct kipsec_pfkey_out *out, const void *ext);

/**
 * kipsec_pfkey_hide_keys() - overwrite the keys in a message with zeros
 * @buf: the message, well formed or not
 * @len: its length, at least that of a header
 *
 * Everything from the first malformed extension on goes with them.
 */
void kipsec_pfkey_hide_keys(void *buf, size_t len);

#endif /* _KIPSEC_PFKEY_BUILD_H */
