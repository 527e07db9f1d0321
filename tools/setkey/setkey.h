/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of setkey share: the options, and a command between the parser, which fills
 * it, and command.c, which carries it out.
 */
#ifndef SETKEY_H
#define SETKEY_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "pfkey_client.h"

#define NATT_PORT		4500
#define MAX_KEY			512	/* bytes */
#define MAX_REQUESTS		16

/* Priorities of policies: lower values win, but "+" in the configuration means earlier. */
#define PRIORITY_LOW		0xc0000000u
#define PRIORITY_DEFAULT	0x80000000u
#define PRIORITY_HIGH		0x40000000u

enum socket_policies { SHOW_ALL, HIDE_SOCKET, HIDE_AND_COUNT, SHOW_VIRTUAL };

struct options {
	bool			all;		/* -a: dead SAs, too */
	bool			dry;		/* -n: send nothing */
	bool			forever;	/* -l */
	bool			hex;		/* -H */
	bool			kernel;		/* -k: no FWD copy of IN policies */
	bool			ports;		/* -p */
	bool			verbose;	/* -v */
	int			monitor;	/* -x, -xx */
	enum socket_policies	policies;	/* -g, -N, -t */
};

extern struct options opt;

/* Where a word stands in the configuration, both from 1, the column in bytes. */
struct place {
	unsigned int		line;	/* 0: nowhere */
	unsigned int		column;
};

extern const struct place nowhere;

struct key {
	struct place		alg_at;	/* the name of its algorithm */
	struct place		at;	/* the key, or if there is none that name */
	bool			given;
	size_t			len;
	uint8_t			bytes[MAX_KEY];
};

struct request {
	uint16_t		proto;
	uint8_t			mode;
	uint8_t			level;
	uint32_t		reqid;
	struct sockaddr_storage	src;	/* ss_family 0: none */
	struct sockaddr_storage	dst;
};

struct policy {
	uint16_t		type;
	uint8_t			dir;
	bool			has_type;
	struct place		at;	/* its direction */
	uint32_t		priority;
	unsigned int		count;
	struct request		req[MAX_REQUESTS];
};

struct command {
	int			type;		/* SADB_*; with all_spis, every SA of the pair */
	bool			all_spis;
	bool			bad;		/* has been complained about, must not run */
	struct place		start;
	struct place		at;		/* the word that is being understood */
	int			satype;
	uint32_t		spi;
	struct place		spi_at;

	/* how names are resolved */
	int			family;
	int			ai_flags;
	struct addrinfo		*src;
	struct addrinfo		*dst;
	struct place		src_at;
	struct place		dst_at;

	/* SAs */
	uint32_t		flags;
	uint8_t			mode;
	uint32_t		reqid;
	uint32_t		replay;
	bool			replay_given;
	struct place		replay_at;
	bool			esn;
	struct place		esn_at;
	uint64_t		seq;		/* the last one used before */
	struct place		seq_at;
	uint16_t		icv;		/* bits; 0: as its RFC has it */
	struct place		icv_at;
	uint8_t			dir;		/* IPSEC_DIR_*; _ANY: both */
	char			driver[SADB_X_KIPSEC_DRIVER_MAX];
	struct place		driver_at;
	uint32_t		cpu;
	bool			cpu_given;
	const struct pfkey_alg	*encrypt;	/* or compression */
	const struct pfkey_alg	*auth;
	struct key		encrypt_key;
	struct key		auth_key;
	uint64_t		hard_time, soft_time;
	uint64_t		hard_bytes, soft_bytes;
	bool			natt;
	uint16_t		natt_sport, natt_dport;	/* 0: those of the addresses */
	struct addrinfo		*natt_oa;
	uint8_t			ctx_doi, ctx_alg;
	char			*ctx_label;

	/* policies */
	int			src_prefix;	/* -1: a host */
	int			dst_prefix;
	uint8_t			upper;
	struct policy		policy;
};

/* setkey.c */
extern struct pfkey_sock sock;
__attribute__((format(printf, 2, 3)))
void complain(struct place at, const char *fmt, ...);
__attribute__((format(printf, 2, 3)))
void warn_at(struct place at, const char *fmt, ...);
void show_message(const void *data, size_t len);

/* parse.y, token.l: 0, or -1 if parsing stopped at an error */
int parse_config(FILE *fp, bool interactive);

/* fields.c: fill fields of a command from words, complaining about bad ones */
struct addrinfo *resolve(struct command *c, const char *host, const char *port);
void set_encrypt(struct command *c, const char *name);
void set_auth(struct command *c, const char *name);
void set_compress(struct command *c, const char *name);
void set_key_text(struct command *c, struct key *k, const char *text);
void set_key_hex(struct command *c, struct key *k, const char *digits);
void set_flag(struct command *c, const char *name);
void set_mode(struct command *c, const char *name);
void set_driver(struct command *c, const char *name);
void set_icv(struct command *c, unsigned long long bits);
void set_dir(struct command *c, const char *name);
void set_number(struct command *c, uint32_t *field, unsigned long long value, const char *what);
void set_spi_hex(struct command *c, const char *digits);
void set_upper(struct command *c, const char *name);
void set_upper_detail(struct command *c, const char *text);
void set_prefix(struct command *c, int *field, unsigned long long value);
void set_priority(struct command *c, uint32_t base, long long more_important);
void add_request(struct command *c, const struct request *r);
void set_request_end(struct command *c, struct sockaddr_storage *ss, const char *host, int port);

/* command.c */
void command_check(struct command *c);
void command_run(struct command *c);
void command_clear(struct command *c);

/* check.c: what the kernel takes, from REGISTER */
void check_algorithms(struct command *c);

/* dump.c */
void dump(int type, int satype, struct place at);
void show_sa(const struct pfkey_msg *m, void *arg);
int show_file(const char *name);

/* monitor.c */
int monitor(void);

#endif /* SETKEY_H */
