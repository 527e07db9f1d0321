// SPDX-License-Identifier: GPL-2.0
/*
 * setkey: manage security associations and policies by hand, over PF_KEY.  This file is the
 * command line and the one place that speaks of errors.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "setkey.h"

#define VERSION	"kipsec"

struct options opt;
struct pfkey_sock sock = { .fd = -1 };
const struct place nowhere;

static const char *source;	/* what is being parsed, or NULL */
static unsigned int errors;

/* Of the configuration in the form of compilers, which editors know how to follow. */
static void say(struct place at, const char *fmt, va_list ap)
{
	/* what was printed before belongs before the message, wherever the two go */
	fflush(stdout);
	if (source && at.line)
		fprintf(stderr, "%s:%u:%u: ", source, at.line, at.column);
	else
		fprintf(stderr, "setkey: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
}

void complain(struct place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(at, fmt, ap);
	va_end(ap);
	errors++;
}

void warn_at(struct place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(at, fmt, ap);
	va_end(ap);
}

void show_message(const void *data, size_t len)
{
	if (opt.verbose) {
		pfkey_print_trace(stdout, data, len);
		printf("\n");
	}
	if (opt.hex)
		pfkey_print_hex(stdout, data, len);
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: setkey [-Hknrv] -c\n"
		"       setkey [-Hknrv] -f file\n"
		"       setkey [-Hknrv] -e commands\n"
		"       setkey [-aHlpv] -D\n"
		"       setkey [-gHNptv] -DP\n"
		"       setkey [-Pv] -F\n"
		"       setkey [-Hh] -x\n"
		"       setkey [-ap] file ...\n"
		"       setkey -h | -V\n");
}

enum mode { NONE, PARSE, DUMP_ALL, FLUSH_ALL, MONITOR };

struct invocation {
	enum mode	mode;
	const char	*file;	/* NULL: standard input, interactive */
	const char	*text;	/* instead of a file */
	bool		help;
	bool		policies;
};

/* Options that change how things are done, not what is done; false if it is none of them. */
static bool modifier(int c)
{
	switch (c) {
	case 'a':
		opt.all = true;
		break;
	case 'g':
		opt.policies = HIDE_SOCKET;
		break;
	case 'H':
		opt.hex = true;
		break;
	case 'k':
		opt.kernel = true;
		break;
	case 'l':
		opt.forever = true;
		break;
	case 'n':
		opt.dry = true;
		break;
	case 'N':
		opt.policies = HIDE_AND_COUNT;
		break;
	case 'p':
		opt.ports = true;
		break;
	case 'r':
		opt.kernel = false;
		break;
	case 't':
		opt.policies = SHOW_VIRTUAL;
		break;
	case 'v':
		opt.verbose = true;
		break;
	default:
		return false;
	}
	return true;
}

static void parse_options(int argc, char **argv, struct invocation *inv)
{
	int c;

	while ((c = getopt(argc, argv, "acDe:f:FgHhklnNPprtvVx")) != -1) {
		if (modifier(c))
			continue;
		switch (c) {
		case 'c':
			inv->mode = PARSE;
			inv->file = inv->text = NULL;
			break;
		case 'e':
			inv->mode = PARSE;
			inv->text = optarg;
			break;
		case 'f':
			inv->mode = PARSE;
			inv->file = optarg;
			inv->text = NULL;
			break;
		case 'D':
			inv->mode = DUMP_ALL;
			break;
		case 'F':
			inv->mode = FLUSH_ALL;
			break;
		case 'P':
			inv->policies = true;
			break;
		case 'x':
			inv->mode = MONITOR;
			opt.monitor++;
			break;
		case 'h':
			inv->help = true;
			break;
		case 'V':
			printf("setkey (%s)\n", VERSION);
			exit(0);
		default:
			usage(stderr);
			exit(1);
		}
	}
	/* in hexadecimal, as the BSDs have it, if there is something to show; else help */
	if (inv->help && inv->mode == MONITOR)
		opt.hex = true;
	else if (inv->help) {
		usage(stdout);
		exit(0);
	}
}

/* Where the commands are, and what that is called; NULL with errno. */
static FILE *open_source(const struct invocation *inv)
{
	source = inv->file;
	if (inv->text) {
		source = "<argument>";
		/* with nothing in it, there is nothing to open */
		return *inv->text ? fmemopen((void *)inv->text, strlen(inv->text), "r") :
				    fopen("/dev/null", "r");
	}
	if (inv->file && strcmp(inv->file, "-"))
		return fopen(inv->file, "r");
	source = "<stdin>";
	return stdin;
}

static void run_parse(const struct invocation *inv)
{
	bool interactive = !inv->file && !inv->text;
	FILE *fp = open_source(inv);

	if (!fp) {
		complain(nowhere, "%s: %s", source, strerror(errno));
		return;
	}
	if (parse_config(fp, interactive))
		warn_at(nowhere, "%s: stopped here, what follows has not been done", source);
	if (fp != stdin)
		fclose(fp);
}

static void run_flush(bool policies)
{
	struct command c = { .type = policies ? SADB_X_SPDFLUSH : SADB_FLUSH };

	command_run(&c);
}

static void run(const struct invocation *inv)
{
	switch (inv->mode) {
	case PARSE:
		run_parse(inv);
		break;
	case DUMP_ALL:
		dump(inv->policies ? SADB_X_SPDDUMP : SADB_DUMP, SADB_SATYPE_UNSPEC,
		     nowhere);
		break;
	case FLUSH_ALL:
		run_flush(inv->policies);
		break;
	case MONITOR:
		monitor();
		break;
	case NONE:
		break;
	}
}

int main(int argc, char **argv)
{
	struct invocation inv = { .mode = NONE };
	int err;

	parse_options(argc, argv, &inv);
	if (inv.mode == NONE && optind < argc) {
		for (; optind < argc; optind++)
			show_file(argv[optind]);
		return errors ? 1 : 0;
	}
	if (inv.mode == NONE || optind < argc) {
		usage(stderr);
		return 1;
	}
	if (!opt.dry || inv.mode == MONITOR) {
		err = pfkey_open(&sock);
		if (err) {
			complain(nowhere, "cannot open a PF_KEY socket: %s%s", strerror(err),
				 err == EAFNOSUPPORT ? ": is the module loaded?" : "");
			return 1;
		}
		if (opt.verbose || opt.hex)
			sock.trace = show_message;
	}
	run(&inv);
	pfkey_close(&sock);
	if (fflush(stdout) || ferror(stdout))
		complain(nowhere, "standard output: %s", strerror(errno));
	return errors ? 1 : 0;
}
