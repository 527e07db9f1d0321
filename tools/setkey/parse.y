%{
// SPDX-License-Identifier: GPL-2.0
/*
 * The grammar: statements that end with ';'.  Actions only fill the command at hand; what
 * their words mean is in fields.c, what a command does in command.c.
 *
 * A bad statement stops a file, because what follows may build on it.  Commands from standard
 * input go on after the next ';'.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "setkey.h"
#include "parse.h"

const char *token_text(void);
int yylex(void);
static void yyerror(bool interactive, const char *text);
static void take_oa(struct addrinfo *oa);

static struct command cmd = { .flags = SADB_X_EXT_CYCSEQ };
static struct request req;

/* A rule stands where its first word stands. */
#define YYLLOC_DEFAULT(Current, Rhs, N)	((Current) = YYRHSLOC(Rhs, (N) ? 1 : 0))

/* Where to point if what is done next finds a fault. */
#define AT(location)	(cmd.at = (location))

/* The statement is complete: check it, run it, forget it.  Nonzero: stop parsing. */
static int finish(bool interactive, struct place start)
{
	bool bad;

	cmd.start = start;
	if (!cmd.bad)
		command_check(&cmd);
	bad = cmd.bad;
	if (!bad)
		command_run(&cmd);
	command_clear(&cmd);
	if (interactive)
		fflush(stdout);
	return bad && !interactive;
}
%}

%define parse.error custom
%define parse.lac full
%locations
%define api.location.type {struct place}
%parse-param { bool interactive }

%code requires {
#include <netdb.h>
#include <stdbool.h>

#include "setkey.h"
}

%union {
	unsigned long long	num;
	char			*str;
	struct addrinfo		*addr;
}

%token EOT			"';'"
%token EXIT			"exit"
%token <num> ADD		"add"
%token <num> GETSPI		"getspi"
%token <num> GET		"get"
%token <num> DELETEALL		"deleteall"
%token <num> FLUSH		"flush"
%token <num> SPDADD		"spdadd"
%token <num> SPDFLUSH		"spdflush"
%token <num> PROTO		"a protocol"
%token <num> PROTO_OLD		"an old protocol"
%token <num> PROTO_UDP		"esp-udp"
%token <num> TCP		"tcp"
%token ANY			"any"
%token ME			"me"
%token TAGGED			"tagged"
%token <str> RESOLVE		"-4, -6, -n"
%token OPT_E			"-E"
%token OPT_A			"-A"
%token OPT_C			"-C"
%token OPT_R			"-R"
%token OPT_P			"-P"
%token OPT_M			"-m"
%token OPT_U			"-u"
%token OPT_REPLAY		"-r"
%token OPT_F			"-f"
%token OPT_O			"-o"
%token OPT_LH			"-lh"
%token OPT_LS			"-ls"
%token OPT_BH			"-bh"
%token OPT_BS			"-bs"
%token OPT_CTX			"-ctx"
%token OPT_ESN			"-esn"
%token OPT_SEQ			"-seq"
%token OPT_ICV			"-icv"
%token OPT_DIR			"-dir"
%token OPT_DRIVER		"-driver"
%token OPT_CPU			"-cpu"
%token OPT_NATT			"-natt"
%token OPT_NATT_MTU		"-natt_mtu"
%token OPT_HWIF			"-hwif"
%token <str> ALGORITHM_NAME	"an algorithm"
%token <num> NUMBER		"a number"
%token <str> HEX		"a hexadecimal number"
%token <str> QUOTED		"a quoted string"
%token <str> WORD		"a name or address"
%token SLASH			"'/'"
%token OPEN			"'['"
%token CLOSE			"']'"
%token MINUS			"'-'"
%token PLUS			"'+'"
%token <num> DIR		"a direction"
%token PRIORITY			"priority"
%token <num> BASE		"a base of priorities"
%token <num> ACTION		"discard, none or ipsec"
%token <num> MODE		"transport or tunnel"
%token <num> LEVEL		"a level"
%token <num> UNIQUE_ID		"unique:number"

%type <str> port host_port
%type <addr> end range_src range_dst
%type <num> base

%destructor { free($$); } <str>
%destructor { if ($$) freeaddrinfo($$); } <addr>

%%

statements
	: %empty
	| statements statement EOT		{ if (finish(interactive, @2)) YYABORT; }
	| statements EOT
	| statements EXIT EOT			{ YYACCEPT; }
	| statements error EOT
		{
			command_clear(&cmd);
			if (!interactive)
				YYABORT;
			memset(&req, 0, sizeof(req));
			yyerrok;
		}
	;

statement
	: ADD	{ cmd.type = $1; } resolve ends proto spi items
	| GETSPI { cmd.type = $1; } resolve ends proto spi items
	| GET	{ cmd.type = $1; } resolve ends proto spi items
	| DELETEALL { cmd.type = $1; cmd.all_spis = true; } resolve ends proto
	| FLUSH	{ cmd.type = $1; } proto_opt
	| SPDADD { cmd.type = $1; } resolve selector context policy
	| SPDADD TAGGED QUOTED policy
		{
			complain(@2, "policies by packet filter tag exist on BSD only");
			free($3);
			cmd.bad = true;
		}
	| SPDFLUSH { cmd.type = $1; }
	;

resolve
	: %empty
	| resolve RESOLVE
		{
			for (const char *p = $2; *p; p++) {
				if (*p == 'n')
					cmd.ai_flags |= AI_NUMERICHOST;
				else
					cmd.family = *p == '4' ? AF_INET : AF_INET6;
			}
			free($2);
		}
	;

ends
	: end end
		{
			cmd.src = $1;
			cmd.dst = $2;
			cmd.src_at = @1;
			cmd.dst_at = @2;
		}
	;

end
	: WORD port
		{
			AT(@1);
			$$ = resolve(&cmd, $1, $2);
			free($1);
			free($2);
		}
	;

port
	: %empty				{ $$ = NULL; }
	| OPEN host_port CLOSE			{ $$ = $2; }
	;

host_port
	: ANY					{ $$ = NULL; }
	| WORD
	| NUMBER
		{
			if (asprintf(&$$, "%llu", $1) < 0)
				$$ = NULL;
		}
	;

proto
	: PROTO					{ cmd.satype = $1; }
	| PROTO_OLD				{ cmd.satype = $1; cmd.flags |= SADB_X_EXT_OLD; }
	| PROTO_UDP				{ cmd.satype = $1; cmd.natt = true; }
	| PROTO_UDP end
		{
			cmd.satype = $1;
			cmd.natt = true;
			take_oa($2);
		}
	| TCP
		{
			complain(@1, "Linux sets TCP-MD5 keys by socket option, not here");
			cmd.bad = true;
		}
	;

proto_opt
	: %empty
	| proto
	;

spi
	: NUMBER
		{
			AT(cmd.spi_at = @1);
			set_number(&cmd, &cmd.spi, $1, "SPI");
		}
	| HEX
		{
			AT(cmd.spi_at = @1);
			set_spi_hex(&cmd, $1);
			free($1);
		}
	;

items
	: %empty
	| items item
	;

item
	: encrypt encrypt_key
	| auth auth_key
	| OPT_C ALGORITHM_NAME			{ AT(@2); set_compress(&cmd, $2); free($2); }
	| OPT_R					{ cmd.flags |= SADB_X_EXT_RAWCPI; }
	| OPT_M WORD				{ AT(@2); set_mode(&cmd, $2); free($2); }
	| OPT_M ANY				{ cmd.mode = IPSEC_MODE_ANY; }
	| OPT_U NUMBER
		{
			AT(@2);
			set_number(&cmd, &cmd.reqid, $2, "reqid");
		}
	| OPT_REPLAY NUMBER
		{
			AT(cmd.replay_at = @2);
			set_number(&cmd, &cmd.replay, $2, "replay window");
			cmd.replay_given = true;
		}
	| OPT_F WORD				{ AT(@2); set_flag(&cmd, $2); free($2); }
	| OPT_O end				{ take_oa($2); }
	| OPT_LH NUMBER				{ cmd.hard_time = $2; }
	| OPT_LS NUMBER				{ cmd.soft_time = $2; }
	| OPT_BH NUMBER				{ cmd.hard_bytes = $2; }
	| OPT_BS NUMBER				{ cmd.soft_bytes = $2; }
	| OPT_ESN				{ cmd.esn = true; cmd.esn_at = @1; }
	| OPT_SEQ NUMBER			{ cmd.seq = $2; cmd.seq_at = @2; }
	| OPT_ICV NUMBER			{ AT(@2); set_icv(&cmd, $2); }
	| OPT_DIR WORD				{ AT(@2); set_dir(&cmd, $2); free($2); }
	| OPT_DRIVER WORD			{ AT(@2); set_driver(&cmd, $2); free($2); }
	| OPT_CPU NUMBER
		{
			AT(@2);
			set_number(&cmd, &cmd.cpu, $2, "processor");
			cmd.cpu_given = true;
		}
	| OPT_NATT end end
		{
			cmd.natt = true;
			take_oa($2);
			if ($2)
				cmd.natt_sport = pfkey_sockaddr_port($2->ai_addr);
			if ($3) {
				cmd.natt_dport = pfkey_sockaddr_port($3->ai_addr);
				freeaddrinfo($3);
			}
		}
	| OPT_NATT_MTU NUMBER			/* FreeBSD's; what a path takes is learned */
	| OPT_HWIF WORD				{ free($2); /* FreeBSD's */ }
	| label
	;

encrypt
	: OPT_E ALGORITHM_NAME			{ AT(@2); set_encrypt(&cmd, $2); free($2); }
	;

encrypt_key
	: %empty
	| QUOTED
		{ AT(@1); set_key_text(&cmd, &cmd.encrypt_key, $1); free($1); }
	| HEX
		{ AT(@1); set_key_hex(&cmd, &cmd.encrypt_key, $1); free($1); }
	;

auth
	: OPT_A ALGORITHM_NAME			{ AT(@2); set_auth(&cmd, $2); free($2); }
	;

auth_key
	: %empty
	| QUOTED
		{ AT(@1); set_key_text(&cmd, &cmd.auth_key, $1); free($1); }
	| HEX
		{ AT(@1); set_key_hex(&cmd, &cmd.auth_key, $1); free($1); }
	;

label
	: OPT_CTX NUMBER NUMBER QUOTED
		{
			if ($2 > 255 || $3 > 255) {
				complain($2 > 255 ? @2 : @3, "numbers of a security label are 0 to 255");
				cmd.bad = true;
			}
			cmd.ctx_doi = $2;
			cmd.ctx_alg = $3;
			free(cmd.ctx_label);
			cmd.ctx_label = $4;
		}
	;

context
	: %empty
	| label
	;

selector
	: ranges upper
	;

ranges
	: range_src range_dst
		{
			cmd.src = $1;
			cmd.dst = $2;
			cmd.src_at = @1;
			cmd.dst_at = @2;
		}
	;

range_src
	: WORD { cmd.src_prefix = -1; } src_prefix port
		{
			AT(@1);
			$$ = resolve(&cmd, $1, $4);
			free($1);
			free($4);
		}
	;

range_dst
	: WORD { cmd.dst_prefix = -1; } dst_prefix port
		{
			AT(@1);
			$$ = resolve(&cmd, $1, $4);
			free($1);
			free($4);
		}
	;

src_prefix
	: %empty
	| SLASH NUMBER				{ AT(@2); set_prefix(&cmd, &cmd.src_prefix, $2); }
	;

dst_prefix
	: %empty
	| SLASH NUMBER				{ AT(@2); set_prefix(&cmd, &cmd.dst_prefix, $2); }
	;

upper
	: ANY					{ cmd.upper = IPSEC_ULPROTO_ANY; }
	| TCP					{ cmd.upper = $1; }
	| upper_word upper_detail
	;

upper_word
	: NUMBER
		{
			if ($1 > 255) {
				complain(@1, "protocol numbers are 0 to 255");
				cmd.bad = true;
			}
			cmd.upper = $1;
		}
	| PROTO
		{
			cmd.upper = $1 == SADB_SATYPE_AH ? IPPROTO_AH :
				    $1 == SADB_SATYPE_ESP ? IPPROTO_ESP : IPPROTO_COMP;
		}
	| WORD					{ AT(@1); set_upper(&cmd, $1); free($1); }
	;

upper_detail
	: %empty
	| WORD					{ AT(@1); set_upper_detail(&cmd, $1); free($1); }
	| NUMBER
		{
			char text[24];

			AT(@1);
			snprintf(text, sizeof(text), "%llu", $1);
			set_upper_detail(&cmd, text);
		}
	;

policy
	: OPT_P DIR				{ cmd.policy.dir = $2; cmd.policy.at = @2; }
	| OPT_P DIR priority ACTION
		{
			cmd.policy.dir = $2;
			cmd.policy.type = $4;
			cmd.policy.has_type = true;
		}
	  requests
	;

priority
	: %empty				{ set_priority(&cmd, PRIORITY_DEFAULT, 0); }
	| PRIORITY NUMBER			{ AT(@2); set_priority(&cmd, PRIORITY_DEFAULT, $2); }
	| PRIORITY MINUS NUMBER
		{ AT(@2); set_priority(&cmd, PRIORITY_DEFAULT, -(long long)$3); }
	| PRIORITY base				{ set_priority(&cmd, $2, 0); }
	| PRIORITY base PLUS NUMBER		{ AT(@4); set_priority(&cmd, $2, $4); }
	| PRIORITY base MINUS NUMBER		{ AT(@4); set_priority(&cmd, $2, -(long long)$4); }
	;

base
	: BASE
		{
			$$ = (int)$1 < 0 ? PRIORITY_LOW : $1 ? PRIORITY_HIGH : PRIORITY_DEFAULT;
		}
	;

requests
	: %empty
	| requests request
		{
			AT(@2);
			add_request(&cmd, &req);
			memset(&req, 0, sizeof(req));
		}
	;

request
	: PROTO SLASH MODE			{ req.proto = $1; req.mode = $3; } where
	;

where
	: %empty
	| SLASH
	| SLASH tunnel_ends
	| SLASH tunnel_ends SLASH
	| SLASH tunnel_ends SLASH level
	| SLASH SLASH
	| SLASH SLASH level
	;

tunnel_ends
	: tunnel_src src_port MINUS tunnel_dst dst_port
	| ME MINUS ANY
	| ANY MINUS ME
	;

tunnel_src
	: WORD
		{ AT(@1); set_request_end(&cmd, &req.src, $1, 0); free($1); }
	;

tunnel_dst
	: WORD
		{ AT(@1); set_request_end(&cmd, &req.dst, $1, 0); free($1); }
	;

src_port
	: %empty
	| OPEN NUMBER CLOSE			{ AT(@2); set_request_end(&cmd, &req.src, NULL, $2); }
	;

dst_port
	: %empty
	| OPEN NUMBER CLOSE			{ AT(@2); set_request_end(&cmd, &req.dst, NULL, $2); }
	;

level
	: LEVEL					{ req.level = $1; }
	| UNIQUE_ID
		{
			AT(@1);
			req.level = IPSEC_LEVEL_UNIQUE;
			set_number(&cmd, &req.reqid, $1, "reqid");
		}
	;

%%

static void take_oa(struct addrinfo *oa)
{
	if (cmd.natt_oa)
		freeaddrinfo(cmd.natt_oa);
	cmd.natt_oa = oa;
}

static void yyerror(bool interactive, const char *text)
{
	(void)interactive;
	complain(yylloc, "%s", text);
}

/* "syntax error at "foo": expected '/' or ';'" */
static int yyreport_syntax_error(const yypcontext_t *ctx, bool interactive)
{
	enum { MAX_EXPECTED = 6 };
	yysymbol_kind_t expected[MAX_EXPECTED];
	yysymbol_kind_t got = yypcontext_token(ctx);
	int n = yypcontext_expected_tokens(ctx, expected, MAX_EXPECTED);
	char text[512] = "";
	size_t len = 0;

	(void)interactive;
	for (int i = 0; i < n && len < sizeof(text); i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%s",
				i == 0 ? ": expected " : i == n - 1 ? " or " : ", ",
				yysymbol_name(expected[i]));
	if (got == YYSYMBOL_YYEOF)
		complain(*yypcontext_location(ctx), "syntax error at the end%s", text);
	else
		complain(*yypcontext_location(ctx), "syntax error at \"%s\"%s", token_text(), text);
	return 0;
}
