// SPDX-License-Identifier: GPL-2.0
/*
 * Printing policies in the form that setkey has had since KAME: see pfkey_print_sa.c.
 */
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "pfkey_client.h"

static const char * const dir_names[] = {
	"any", "in", "out", "fwd", "in(socket)", "out(socket)",
};

static const char * const type_names[] = { "discard", "none", "ipsec", "entrust", "bypass" };
static const char * const mode_names[] = { "any", "transport", "tunnel" };
static const char * const level_names[] = { "default", "use", "require", "unique" };

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Policy ids say their direction in three bits; those of sockets use the higher values. */
bool pfkey_is_socket_policy(const struct pfkey_msg *m)
{
	const struct sadb_x_policy *pol = PFKEY_EXT(m, SADB_X_EXT_POLICY, sadb_x_policy);

	return (pol && (pol->sadb_x_policy_id & 7) >= 3) ||
	       !m->ext[SADB_EXT_ADDRESS_SRC] || !m->ext[SADB_EXT_ADDRESS_DST];
}

/* Protocols whose ports hold something else are shown without them. */
static bool has_ports(uint8_t proto)
{
	return proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6 &&
	       proto != IPPROTO_MH && proto != IPPROTO_GRE;
}

static void print_end(FILE *out, const struct sadb_address *addr, uint8_t proto)
{
	const struct sockaddr *sa = (const struct sockaddr *)(addr + 1);
	uint16_t port = pfkey_sockaddr_port(sa);
	char host[NI_MAXHOST];

	fprintf(out, "%s", pfkey_host(sa, host, sizeof(host)));
	if (addr->sadb_address_prefixlen != pfkey_max_prefix(sa))
		fprintf(out, "/%u", addr->sadb_address_prefixlen);
	if (has_ports(proto)) {
		if (port)
			fprintf(out, "[%u]", port);
		else
			fprintf(out, "[any]");
	}
	fprintf(out, " ");
}

/*
 * The name of a protocol, or its number.  The last answer is kept, because each question reads
 * a file and most policies of a table have the same protocol.
 */
static const char *upper_name(uint8_t proto)
{
	static char name[64];
	static int last = -1;
	struct protoent *ent;

	if (proto == last)
		return name;
	ent = getprotobynumber(proto);
	if (ent)
		snprintf(name, sizeof(name), "%s", ent->p_name);
	else
		snprintf(name, sizeof(name), "%u", proto);
	last = proto;
	return name;
}

static void print_upper(FILE *out, uint8_t proto, uint16_t sport, uint16_t dport)
{
	fprintf(out, "%s", upper_name(proto));
	if (!sport && !dport)
		return;
	if (proto == IPPROTO_GRE)
		fprintf(out, " %u", ((uint32_t)sport << 16) + dport);
	else if (!has_ports(proto))
		fprintf(out, " %u,%u", sport, dport);
}

static bool print_selector(FILE *out, const struct pfkey_msg *m)
{
	const struct sadb_address *src = PFKEY_EXT(m, SADB_EXT_ADDRESS_SRC, sadb_address);
	const struct sadb_address *dst = PFKEY_EXT(m, SADB_EXT_ADDRESS_DST, sadb_address);
	uint8_t proto;

	if (pfkey_is_socket_policy(m)) {
		fprintf(out, "(per-socket policy) ");
		return true;
	}
	proto = src->sadb_address_proto;
	print_end(out, src, proto);
	print_end(out, dst, proto);
	if (proto != dst->sadb_address_proto) {
		fprintf(out, "upper layer protocol mismatched.\n");
		return false;
	}
	print_upper(out, proto, pfkey_sockaddr_port((const struct sockaddr *)(src + 1)),
		    pfkey_sockaddr_port((const struct sockaddr *)(dst + 1)));
	return true;
}

/*
 * Priorities are shown as they are entered: a distance from the nearest of three bases, where
 * more means earlier.  0, what other key managers use, is not shown at all.
 */
static void print_priority(FILE *out, uint32_t priority)
{
	const char *base = "low";
	int64_t offset = 0xc0000000LL;

	if (!priority)
		return;
	if (priority < 0x60000000) {
		base = "high";
		offset = 0x40000000LL;
	} else if (priority < 0xa0000000) {
		base = "def";
		offset = 0x80000000LL;
	}
	offset -= priority;
	fprintf(out, "prio %s ", base);
	if (offset)
		fprintf(out, "%c %" PRId64 " ", offset < 0 ? '-' : '+',
			offset < 0 ? -offset : offset);
}

static const char *proto_name(uint16_t proto)
{
	switch (proto) {
	case IPPROTO_ESP:
		return "esp";
	case IPPROTO_AH:
		return "ah";
	case IPPROTO_COMP:
		return "ipcomp";
	default:
		return NULL;
	}
}

static void print_tunnel_end(FILE *out, const struct sockaddr *sa, bool ports)
{
	char host[NI_MAXHOST];

	fprintf(out, "%s", pfkey_host(sa, host, sizeof(host)));
	if (ports)
		fprintf(out, "[%u]", pfkey_sockaddr_port(sa));
}

static void print_request(FILE *out, const struct sadb_x_ipsecrequest *r, bool ports)
{
	const char *proto = proto_name(r->sadb_x_ipsecrequest_proto);
	uint32_t reqid = r->sadb_x_ipsecrequest_reqid;

	if (proto)
		fprintf(out, "\n\t%s/", proto);
	else
		fprintf(out, "\n\t%u/", r->sadb_x_ipsecrequest_proto);
	if (r->sadb_x_ipsecrequest_mode < ARRAY_SIZE(mode_names))
		fprintf(out, "%s/", mode_names[r->sadb_x_ipsecrequest_mode]);
	else
		fprintf(out, "%u/", r->sadb_x_ipsecrequest_mode);
	if (r->sadb_x_ipsecrequest_len > sizeof(*r)) {
		const struct sockaddr *src = (const struct sockaddr *)(r + 1);

		print_tunnel_end(out, src, ports);
		fprintf(out, "-");
		print_tunnel_end(out, (const void *)((const char *)src + pfkey_sockaddr_len(src)),
				 ports);
	}
	if (r->sadb_x_ipsecrequest_level < ARRAY_SIZE(level_names))
		fprintf(out, "/%s", level_names[r->sadb_x_ipsecrequest_level]);
	else
		fprintf(out, "/%u", r->sadb_x_ipsecrequest_level);
	/* ':' is a number of the administrator's, '#' one the kernel has chosen */
	if (reqid)
		fprintf(out, "%c%u", reqid > IPSEC_MANUAL_REQID_MAX ? '#' : ':', reqid);
}

static void print_policy(FILE *out, const struct sadb_x_policy *pol, bool ports)
{
	const char *p = (const char *)(pol + 1);
	const char *end = (const char *)pol + pol->sadb_x_policy_len * 8;

	if (pol->sadb_x_policy_dir >= ARRAY_SIZE(dir_names)) {
		fprintf(out, "\n\tPolicy:[Invalid direction]\n");
		return;
	}
	if (pol->sadb_x_policy_type >= ARRAY_SIZE(type_names)) {
		fprintf(out, "\n\tPolicy:[Invalid security policy]\n");
		return;
	}
	fprintf(out, "\n\t%s ", dir_names[pol->sadb_x_policy_dir]);
	print_priority(out, pol->sadb_x_policy_priority);
	fprintf(out, "%s", type_names[pol->sadb_x_policy_type]);
	if (pol->sadb_x_policy_type == IPSEC_POLICY_IPSEC) {
		while (p < end) {
			const struct sadb_x_ipsecrequest *r = (const void *)p;

			print_request(out, r, ports);
			p += r->sadb_x_ipsecrequest_len;
		}
	}
	fprintf(out, "\n");
}

void pfkey_print_sp(FILE *out, const struct pfkey_msg *m, bool ports)
{
	const struct sadb_x_policy *pol = PFKEY_EXT(m, SADB_X_EXT_POLICY, sadb_x_policy);
	const struct sadb_lifetime *cur = PFKEY_EXT(m, SADB_EXT_LIFETIME_CURRENT, sadb_lifetime);
	const struct sadb_lifetime *hard = PFKEY_EXT(m, SADB_EXT_LIFETIME_HARD, sadb_lifetime);

	if (!print_selector(out, m))
		return;
	if (!pol) {
		fprintf(out, "no X_POLICY extension.\n");
		return;
	}
	print_policy(out, pol, ports);
	if (cur) {
		fprintf(out, "\tcreated: ");
		pfkey_print_time(out, cur->sadb_lifetime_addtime);
		fprintf(out, "  lastused: ");
		pfkey_print_time(out, cur->sadb_lifetime_usetime);
		fprintf(out, "\n");
	}
	if (hard)
		fprintf(out, "\tlifetime: %" PRIu64 "(s) validtime: %" PRIu64 "(s)\n",
			(uint64_t)hard->sadb_lifetime_addtime,
			(uint64_t)hard->sadb_lifetime_usetime);
	pfkey_print_sec_ctx(out, m);
	fprintf(out, "\tspid=%u seq=%u pid=%u\n", pol->sadb_x_policy_id, m->hdr->sadb_msg_seq,
		m->hdr->sadb_msg_pid);
	fprintf(out, "\trefcnt=%u\n", m->hdr->sadb_msg_reserved);
}
