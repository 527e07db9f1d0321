// SPDX-License-Identifier: GPL-2.0
/*
 * Showing SAs and policies: -D, -DP, "dump", "spddump", and files of saved messages.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "setkey.h"

void show_sa(const struct pfkey_msg *m, void *arg)
{
	(void)arg;
	pfkey_print_sa(stdout, m, opt.ports);
}

static void show_sa_entry(const struct pfkey_msg *m, void *arg)
{
	const struct sadb_sa *sa = PFKEY_EXT(m, SADB_EXT_SA, sadb_sa);

	(void)arg;
	if (sa && sa->sadb_sa_state == SADB_SASTATE_DEAD && !opt.all)
		return;
	if (opt.forever)
		pfkey_print_sa_short(stdout, m);
	else
		pfkey_print_sa(stdout, m, opt.ports);
}

/* *ARG counts policies of sockets that are not shown. */
static void show_sp_entry(const struct pfkey_msg *m, void *arg)
{
	unsigned long *hidden = arg;
	bool of_socket = pfkey_is_socket_policy(m);

	/* policies that belong to an interface are known on BSD only */
	if (opt.policies == SHOW_VIRTUAL)
		return;
	if (of_socket && opt.policies != SHOW_ALL) {
		++*hidden;
		return;
	}
	pfkey_print_sp(stdout, m, opt.ports);
}

static void dump_once(int type, int satype, struct place at)
{
	unsigned long hidden = 0;
	struct pfkey_buf b;
	int err;

	pfkey_start(&b, type, satype, 0, opt.dry ? 0 : sock.pid);
	/* an empty one asks what serves each SA */
	if (type == SADB_DUMP && opt.verbose)
		pfkey_put_kipsec_engine(&b, "");
	if (opt.dry) {
		if (opt.verbose || opt.hex)
			show_message(b.bytes, pfkey_finish(&b));
		return;
	}
	err = pfkey_request(&sock, &b, type == SADB_DUMP ? show_sa_entry : show_sp_entry, &hidden);
	if (err == ENOENT)
		printf("No %s entries.\n", type == SADB_DUMP ? "SAD" : "SPD");
	else if (err)
		complain(at, "%s: %s", pfkey_msg_name(type), strerror(err));
	if (hidden && opt.policies == HIDE_AND_COUNT)
		printf("%lu per-socket %s not shown (filtered by -N)\n", hidden,
		       hidden == 1 ? "policy" : "policies");
	fflush(stdout);
}

void dump(int type, int satype, struct place at)
{
	if (opt.forever)
		printf("%-4s %-3s %-1s %-8s %-7s %s -> %s\n", "time", "p", "s", "spi", "ltime",
		       "src", "dst");
	dump_once(type, satype, at);
	while (opt.forever && !opt.dry) {
		sleep(1);
		dump_once(type, satype, at);
	}
}

static void show_saved(const struct pfkey_msg *m)
{
	unsigned long hidden = 0;

	switch (m->hdr->sadb_msg_type) {
	case SADB_GET:
		show_sa(m, NULL);
		break;
	case SADB_DUMP:
		show_sa_entry(m, NULL);
		break;
	case SADB_X_SPDGET:
	case SADB_X_SPDDUMP:
		show_sp_entry(m, &hidden);
		break;
	}
}

/* A file of messages one after another, as they come from a socket. */
int show_file(const char *name)
{
	static _Alignas(8) uint8_t data[PFKEY_RECV_SIZE];
	const struct sadb_msg *hdr = (const void *)data;
	struct pfkey_msg m;
	const char *why = NULL;
	size_t len;
	FILE *fp = fopen(name, "r");

	if (!fp) {
		complain(nowhere, "%s: %s", name, strerror(errno));
		return -1;
	}
	while (!why && fread(data, sizeof(*hdr), 1, fp) == 1) {
		len = hdr->sadb_msg_len * 8u;
		if (len < sizeof(*hdr) || len > sizeof(data) ||
		    fread(data + sizeof(*hdr), 1, len - sizeof(*hdr), fp) != len - sizeof(*hdr))
			why = "message cut short";
		else if (!pfkey_parse(&m, data, len, &why))
			show_saved(&m);
	}
	fclose(fp);
	if (why)
		complain(nowhere, "%s: %s", name, why);
	return why ? -1 : 0;
}
