/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small PF_KEYv2 client: build messages, exchange them with the kernel, check and print what
 * comes back.  No allocation.  For programs of one thread: receiving and printing have static
 * buffers.
 */
#ifndef PFKEY_CLIENT_H
#define PFKEY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "pfkeyv2.h"

/* Key managers read into 4096 bytes, so neither side sends more. */
#define PFKEY_BUF_SIZE	4096

/* Enough for anything a kernel might say. */
#define PFKEY_RECV_SIZE	65536

/* ---- building (pfkey_build.c) ---- */

/*
 * A message under construction.  The put functions append; when one does not fit, the buffer
 * is marked and pfkey_finish() fails, so that callers check once, at the end.
 */
struct pfkey_buf {
	size_t			len;	/* bytes written so far */
	bool			full;
	struct sadb_ext		*policy;	/* the open policy extension */
	union {
		struct sadb_msg	hdr;
		uint64_t	align;
		uint8_t		bytes[PFKEY_BUF_SIZE];
	};
};

void pfkey_start(struct pfkey_buf *b, int type, int satype, uint32_t seq, uint32_t pid);
size_t pfkey_finish(struct pfkey_buf *b);

void *pfkey_put(struct pfkey_buf *b, int exttype, size_t size);
void pfkey_put_sa(struct pfkey_buf *b, uint32_t spi, uint8_t replay, uint8_t auth,
		  uint8_t encrypt, uint32_t flags);
void pfkey_put_sa2(struct pfkey_buf *b, uint8_t mode, uint32_t reqid);
void pfkey_put_lifetime(struct pfkey_buf *b, int exttype, uint64_t bytes, uint64_t addtime);
void pfkey_put_address(struct pfkey_buf *b, int exttype, const struct sockaddr *sa,
		       uint8_t proto, uint8_t prefixlen);
void pfkey_put_key(struct pfkey_buf *b, int exttype, const void *key, size_t bytes);
void pfkey_put_spirange(struct pfkey_buf *b, uint32_t min, uint32_t max);
void pfkey_put_natt_type(struct pfkey_buf *b, uint8_t type);
void pfkey_put_natt_port(struct pfkey_buf *b, int exttype, uint16_t port);
void pfkey_put_sec_ctx(struct pfkey_buf *b, uint8_t doi, uint8_t alg, const char *label);
void pfkey_put_replay(struct pfkey_buf *b, uint32_t window, bool esn, uint64_t last);
void pfkey_put_kipsec_sa(struct pfkey_buf *b, uint16_t icv, uint8_t dir);
void pfkey_put_kipsec_engine(struct pfkey_buf *b, const char *driver);
void pfkey_put_kipsec_cpu(struct pfkey_buf *b, uint32_t cpu);

/* Requests may follow the policy as long as no other extension has been put. */
void pfkey_put_policy(struct pfkey_buf *b, uint16_t type, uint8_t dir, uint32_t id,
		      uint32_t priority);
void pfkey_put_request(struct pfkey_buf *b, uint16_t proto, uint8_t mode, uint8_t level,
		       uint32_t reqid, const struct sockaddr *src, const struct sockaddr *dst);

/* ---- reading (pfkey_parse.c) ---- */

/* A checked message: ext[] points into the buffer it was parsed from. */
struct pfkey_msg {
	const struct sadb_msg	*hdr;
	const struct sadb_ext	*ext[SADB_X_EXT_KIPSEC_MAX + 1];
};

/* The extension with its own type, or NULL. */
#define PFKEY_EXT(m, num, type)	((const struct type *)(m)->ext[num])

/*
 * Split LEN bytes into extensions; all lengths inside are good afterwards.  0, or -1 with
 * *WHY saying what is wrong.  Extensions with numbers we do not know are skipped.
 */
int pfkey_parse(struct pfkey_msg *m, const void *data, size_t len, const char **why);

/* The sockaddr of an address extension that pfkey_parse() has accepted. */
const char *pfkey_driver(const struct sadb_x_kipsec_engine *e);
const struct sockaddr *pfkey_address(const struct pfkey_msg *m, int exttype);

/* Bytes of a sockaddr by its family, 0 for families other than IPv4 and IPv6. */
size_t pfkey_sockaddr_len(const struct sockaddr *sa);
uint16_t pfkey_sockaddr_port(const struct sockaddr *sa);
int pfkey_max_prefix(const struct sockaddr *sa);
bool pfkey_same_host(const struct sockaddr *a, const struct sockaddr *b);

/* ---- talking (pfkey_client.c) ---- */

struct pfkey_sock {
	int		fd;
	uint32_t	pid;
	/* shown each message that is sent or taken as an answer; may be NULL */
	void		(*trace)(const void *data, size_t len);
};

typedef void (*pfkey_handler)(const struct pfkey_msg *m, void *arg);

/* 0, or an errno value. */
int pfkey_open(struct pfkey_sock *s);
void pfkey_close(struct pfkey_sock *s);

/*
 * Send one request and wait for its answer.  A dump calls HANDLER once per entry, other
 * requests once.  0, or an errno value: of the system call, of the answer (sadb_msg_errno),
 * ETIMEDOUT (no answer) or EBADMSG (an answer that does not parse).
 */
int pfkey_request(struct pfkey_sock *s, struct pfkey_buf *b, pfkey_handler handler, void *arg);

/* The next message of whatever kind; its length, or -errno. */
ssize_t pfkey_receive(struct pfkey_sock *s, void *data, size_t size);

/* Key lengths the kernel accepts, by algorithm number; bits 0..0 with listed = true is null. */
struct pfkey_limit {
	bool		listed;
	uint16_t	min;
	uint16_t	max;
};

struct pfkey_limits {
	struct pfkey_limit	auth[256];
	struct pfkey_limit	encrypt[256];
};

/* Ask on a socket of its own: a registered socket would be sent every ACQUIRE from now on. */
int pfkey_get_limits(struct pfkey_limits *l);

/* ---- names (pfkey_names.c) ---- */

enum pfkey_alg_kind { PFKEY_AUTH, PFKEY_ENCRYPT, PFKEY_COMP };

#define PFKEY_ALG_NOKEY		0x01	/* takes no key */
#define PFKEY_ALG_AEAD		0x02	/* authenticates as well, so no second algorithm */
#define PFKEY_ALG_DERIV		0x04	/* wants SADB_X_EXT_DERIV */
#define PFKEY_ALG_IV4B		0x08	/* wants SADB_X_EXT_IV4B */
#define PFKEY_ALG_OBSOLETE	0x10	/* accepted with a warning */

struct pfkey_alg {
	const char	*name;
	uint8_t		kind;
	uint8_t		id;
	uint8_t		flags;
	uint16_t	min;		/* key bits, salt included */
	uint16_t	max;
	uint16_t	step;
};

const struct pfkey_alg *pfkey_alg_by_name(enum pfkey_alg_kind kind, const char *name);

/* The name dumps use, or NULL. */
const char *pfkey_alg_name(enum pfkey_alg_kind kind, uint8_t id);
bool pfkey_alg_key_ok(const struct pfkey_alg *alg, unsigned int bits);

const char *pfkey_msg_name(int type);

/* ---- printing ---- */

/* pfkey_print_sa.c: one SA or policy in the form of "setkey -D" and "setkey -DP". */
void pfkey_print_sa(FILE *out, const struct pfkey_msg *m, bool ports);
void pfkey_print_sa_short(FILE *out, const struct pfkey_msg *m);

/* pfkey_print_sp.c */
bool pfkey_is_socket_policy(const struct pfkey_msg *m);
void pfkey_print_sp(FILE *out, const struct pfkey_msg *m, bool ports);

/* pfkey_trace.c: every field of a message, as "setkey -x" shows it; for broken ones, too. */
void pfkey_print_trace(FILE *out, const void *data, size_t len);
void pfkey_print_hex(FILE *out, const void *data, size_t len);

/* Shared by the three: " 01234567 89abcdef", a new line after 32 bytes; numeric address. */
void pfkey_print_bytes(FILE *out, const void *data, size_t len);
const char *pfkey_host(const struct sockaddr *sa, char *buf, size_t size);
void pfkey_print_time(FILE *out, uint64_t t);
void pfkey_print_sec_ctx(FILE *out, const struct pfkey_msg *m);

#endif /* PFKEY_CLIENT_H */
