// SPDX-License-Identifier: GPL-2.0
/*
 * From words of the configuration to fields of a command.  Whoever complains marks the command
 * bad, so that it is parsed to its end but not sent.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "setkey.h"

#define bad(c, ...)				\
	do {					\
		complain((c)->at, __VA_ARGS__);	\
		(c)->bad = true;		\
	} while (0)

struct addrinfo *resolve(struct command *c, const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_family	= c->family,
		.ai_flags	= c->ai_flags,
		/* any type with ports: one result per address */
		.ai_socktype	= SOCK_DGRAM,
		.ai_protocol	= IPPROTO_UDP,
	};
	struct addrinfo *res = NULL;
	unsigned long number;
	char *end;
	int err;

	number = port ? strtoul(port, &end, 10) : 0;
	if (port && !*end && number > 65535) {
		bad(c, "ports are 0 to 65535, not %s", port);
		return NULL;
	}
	err = getaddrinfo(host, port ? port : "0", &hints, &res);
	if (err == EAI_SERVICE) {
		/* some services are known for TCP only */
		hints.ai_socktype = SOCK_STREAM;
		hints.ai_protocol = IPPROTO_TCP;
		err = getaddrinfo(host, port, &hints, &res);
	}
	if (err) {
		bad(c, "%s%s%s%s: %s", host, port ? "[" : "", port ? port : "", port ? "]" : "",
		    err == EAI_SERVICE ? "no such service" : gai_strerror(err));
		return NULL;
	}
	return res;
}

void set_encrypt(struct command *c, const char *name)
{
	const struct pfkey_alg *alg = pfkey_alg_by_name(PFKEY_ENCRYPT, name);

	if (!alg) {
		bad(c, "unsupported encryption algorithm \"%s\"", name);
		return;
	}
	if (alg->flags & PFKEY_ALG_OBSOLETE)
		warn_at(c->at, "\"%s\" is obsolete, write \"null\"", name);
	if (alg->flags & PFKEY_ALG_DERIV) {
		if (c->flags & SADB_X_EXT_OLD)
			bad(c, "%s is for esp, not for esp-old", name);
		c->flags |= SADB_X_EXT_DERIV;
	}
	if (alg->flags & PFKEY_ALG_IV4B) {
		if (!(c->flags & SADB_X_EXT_OLD))
			bad(c, "%s is for esp-old, not for esp", name);
		c->flags |= SADB_X_EXT_IV4B;
	}
	c->encrypt = alg;
	c->encrypt_key.at = c->encrypt_key.alg_at = c->at;
}

void set_auth(struct command *c, const char *name)
{
	c->auth = pfkey_alg_by_name(PFKEY_AUTH, name);
	c->auth_key.at = c->auth_key.alg_at = c->at;
	if (!c->auth && !strcmp(name, "tcp-md5"))
		bad(c, "Linux sets TCP-MD5 keys by socket option, not here");
	else if (!c->auth)
		bad(c, "unsupported authentication algorithm \"%s\"", name);
}

void set_compress(struct command *c, const char *name)
{
	c->encrypt = pfkey_alg_by_name(PFKEY_COMP, name);
	if (!c->encrypt)
		bad(c, "unsupported compression algorithm \"%s\"", name);
}

void set_key_text(struct command *c, struct key *k, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(k->bytes)) {
		bad(c, "key longer than %d bytes", MAX_KEY);
		return;
	}
	memcpy(k->bytes, text, len);
	k->len = len;
	k->given = true;
	k->at = c->at;
}

static uint8_t nibble(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* With an odd number of digits the first one is a byte of its own. */
void set_key_hex(struct command *c, struct key *k, const char *digits)
{
	size_t len = strlen(digits);
	size_t n = 0;

	if ((len + 1) / 2 > sizeof(k->bytes)) {
		bad(c, "key longer than %d bytes", MAX_KEY);
		return;
	}
	if (len % 2)
		k->bytes[n++] = nibble(*digits++);
	for (; *digits; digits += 2)
		k->bytes[n++] = nibble(digits[0]) << 4 | nibble(digits[1]);
	k->len = n;
	k->given = true;
	k->at = c->at;
}

void set_flag(struct command *c, const char *name)
{
	if (!strcmp(name, "random-pad"))
		c->flags |= SADB_X_EXT_PRAND;
	else if (!strcmp(name, "zero-pad"))
		c->flags |= SADB_X_EXT_PZERO;
	else if (!strcmp(name, "seq-pad"))
		c->flags |= SADB_X_EXT_PSEQ;
	else if (!strcmp(name, "cyclic-seq"))
		c->flags |= SADB_X_EXT_CYCSEQ;
	else if (!strcmp(name, "nocyclic-seq"))
		c->flags &= ~SADB_X_EXT_CYCSEQ;
	else
		bad(c, "-f takes zero-pad, random-pad, seq-pad, cyclic-seq or nocyclic-seq, "
		    "not \"%s\"", name);
}

void set_mode(struct command *c, const char *name)
{
	if (!strcmp(name, "transport"))
		c->mode = IPSEC_MODE_TRANSPORT;
	else if (!strcmp(name, "tunnel"))
		c->mode = IPSEC_MODE_TUNNEL;
	else
		bad(c, "-m takes transport, tunnel or any, not \"%s\"", name);
}

/* How long a hash is, and so what is too much, the kernel knows. */
void set_icv(struct command *c, unsigned long long bits)
{
	if (bits < SADB_X_KIPSEC_ICV_MIN || bits > UINT16_MAX || bits % 32)
		bad(c, "-icv takes a multiple of 32 bits, %d or more, not %llu",
		    SADB_X_KIPSEC_ICV_MIN, bits);
	c->icv = bits;
	c->icv_at = c->at;
}

/* Whether there is such a driver the kernel knows. */
void set_driver(struct command *c, const char *name)
{
	if (strlen(name) >= sizeof(c->driver)) {
		bad(c, "names of drivers have less than %zu characters", sizeof(c->driver));
		return;
	}
	strcpy(c->driver, name);
	c->driver_at = c->at;
}

void set_dir(struct command *c, const char *name)
{
	if (!strcmp(name, "in"))
		c->dir = IPSEC_DIR_INBOUND;
	else if (!strcmp(name, "out"))
		c->dir = IPSEC_DIR_OUTBOUND;
	else
		bad(c, "-dir takes in or out, not \"%s\"", name);
}

void set_number(struct command *c, uint32_t *field, unsigned long long value, const char *what)
{
	if (value > UINT32_MAX)
		bad(c, "%s too big: %llu", what, value);
	*field = value;
}

void set_spi_hex(struct command *c, const char *digits)
{
	while (*digits == '0' && digits[1])
		digits++;
	if (strlen(digits) > 8)
		bad(c, "SPI too big: 0x%s", digits);
	else
		c->spi = strtoul(digits, NULL, 16);
}

void set_upper(struct command *c, const char *name)
{
	struct protoent *ent = getprotobyname(name);

	/* names that not every list of protocols has */
	if (ent)
		c->upper = ent->p_proto;
	else if (!strcmp(name, "icmp6"))
		c->upper = IPPROTO_ICMPV6;
	else if (!strcmp(name, "ip4"))
		c->upper = IPPROTO_IPIP;
	else
		bad(c, "unknown upper layer protocol \"%s\"", name);
}

static void set_port(struct addrinfo *ai, uint16_t port)
{
	for (; ai; ai = ai->ai_next) {
		/* sin_port and sin6_port have the same place */
		((struct sockaddr_in *)ai->ai_addr)->sin_port = htons(port);
	}
}

/* Type and code of ICMP, the key of GRE: they travel where ports do. */
void set_upper_detail(struct command *c, const char *text)
{
	unsigned int a, b, d, e;
	unsigned long long key;
	char rest;

	switch (c->upper) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_MH:
		b = 0;
		if ((sscanf(text, "%u,%u%c", &a, &b, &rest) != 2 &&
		     sscanf(text, "%u%c", &a, &rest) != 1) || a > 255 || b > 255) {
			bad(c, "expected a type and a code such as \"135,0\", not \"%s\"", text);
			return;
		}
		break;
	case IPPROTO_GRE:
		if (sscanf(text, "%u.%u.%u.%u%c", &a, &b, &d, &e, &rest) == 4 &&
		    (a | b | d | e) < 256) {
			a = a << 8 | b;
			b = d << 8 | e;
		} else if (sscanf(text, "%llu%c", &key, &rest) == 1 && key <= UINT32_MAX) {
			a = key >> 16;
			b = key & 0xffff;
		} else {
			bad(c, "expected a GRE key such as \"1234\", not \"%s\"", text);
			return;
		}
		break;
	default:
		bad(c, "\"%s\" after a protocol other than ICMP, ICMPv6, MH and GRE", text);
		return;
	}
	set_port(c->src, a);
	set_port(c->dst, b);
}

void set_prefix(struct command *c, int *field, unsigned long long value)
{
	if (value > 128)
		bad(c, "prefix length %llu", value);
	else
		*field = value;
}

/* "prio high + 10": more important is the lower value. */
void set_priority(struct command *c, uint32_t base, long long more_important)
{
	bool from_middle = base == PRIORITY_DEFAULT;
	long long most = from_middle ? 0x80000000LL : 0x40000000LL;
	long long least = from_middle ? -0x7fffffffLL : -0x3fffffffLL;

	if (more_important > most || more_important < least)
		bad(c, "priority out of range: the offset here is %lld to %lld", least, most);
	else
		c->policy.priority = base - more_important;
}

void set_request_end(struct command *c, struct sockaddr_storage *ss, const char *host, int port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *res;

	if (!host) {
		if (port < 0 || port > 65535)
			bad(c, "ports are 0 to 65535");
		((struct sockaddr_in *)ss)->sin_port = htons(port);
		return;
	}
	if (getaddrinfo(host, NULL, &hints, &res)) {
		bad(c, "not a numeric address: \"%s\"", host);
		return;
	}
	memcpy(ss, res->ai_addr, res->ai_addrlen);
	freeaddrinfo(res);
}

void add_request(struct command *c, const struct request *r)
{
	if (c->policy.count == MAX_REQUESTS) {
		bad(c, "more than %d requests in one policy", MAX_REQUESTS);
		return;
	}
	if (c->policy.type != IPSEC_POLICY_IPSEC)
		bad(c, "only ipsec policies have requests");
	if (r->mode == IPSEC_MODE_TUNNEL && !r->src.ss_family)
		bad(c, "tunnel mode needs the end points: esp/tunnel/SRC-DST/require");
	if (r->src.ss_family != r->dst.ss_family)
		bad(c, "the end points are of different address families");
	c->policy.req[c->policy.count++] = *r;
}
