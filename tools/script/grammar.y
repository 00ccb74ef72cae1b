/* The packetdrill script language. A packet is built up in script->packet as it is read. */
%define api.pure full
%define api.prefix {tern_script_yy}
%define parse.error detailed
%locations
%expect 0
%parse-param {struct script *script} {void *scanner}
%lex-param {void *scanner}

%code requires {
#include "tools/script/ast.h"
}

%code {
#include <stdlib.h>
#include <string.h>

int tern_script_yylex(TERN_SCRIPT_YYSTYPE *value, TERN_SCRIPT_YYLTYPE *where, void *scanner);

static void tern_script_yyerror(
	TERN_SCRIPT_YYLTYPE *where, struct script *script, void *scanner, const char *text)
{
	(void)scanner;
	tern_script_error(script, where->first_line, "%s", text);
}

static void add_quote(struct script_packet *p, uint32_t seq, uint32_t len)
{
	p->has_quote = true;
	p->quote_seq = seq;
	p->quote_len = len;
}

static struct script_option *add_option(struct script *script, int line, uint8_t kind)
{
	return tern_script_add_tcp_option(script, line, kind);
}
}

%union {
	const char *text;
	int64_t integer;
	struct script_time time;
	struct script_expr *expr;
	struct {
		uint32_t seq, len;
	} bytes;
	struct {
		uint32_t value;
		bool any;
	} stamp;
}

%token <text> OPTION_LINE "option line" COMMAND "`command`" CODE "%{ code }%" WORD "word" STRING "string"
%token <text> FLOAT "decimal" INTEGER "number"
%token NOTE "note" ELLIPSIS "..."
%token ACK "ack" WIN "win" URG "urg" ICMP "icmp" MTU "mtu" UDP "udp"
%token MSS "mss" WSCALE "wscale" SACK_OK "sackOK" SACK "sack" NOP "nop" EOL "eol"
%token TIMESTAMP "TS" VAL "val" ECR "ecr" FASTOPEN "FO" USER_TIMEOUT "uto" KIND "kind"

%type <integer> integer unsigned
%type <text> hex errno icmp_code
%type <time> time point
%type <bytes> bytes
%type <stamp> stamp
%type <expr> expr term list exprs field fields

%%

script
	: %empty
	| script item
	;

item
	: OPTION_LINE		{ tern_script_add_option(script, @1.first_line, $1); }
	| COMMAND {
		struct script_time now = {.kind = TIME_RELATIVE};
		tern_script_add(script, EVENT_COMMAND, @1.first_line, now)->command = $1;
	}
	| time COMMAND {
		tern_script_add(script, EVENT_COMMAND, @1.first_line, $1)->command = $2;
	}
	| time CODE {
		tern_script_add(script, EVENT_CODE, @2.first_line, $1)->code = $2;
	}
	| time packet {
		tern_script_check(script, @2.first_line, script->packet);
		tern_script_add(script, EVENT_PACKET, @2.first_line, $1)->packet = script->packet;
	}
	| time WORD '(' list ')' '=' expr errno note {
		struct script_call *call = tern_script_alloc(script, sizeof *call);
		*call = (struct script_call){.name = $2, .args = $4, .result = $7};
		if ($8 && !(call->error = tern_script_errno($8)))
			tern_script_error(script, @8.first_line, "no such error: %s", $8);
		tern_script_add(script, EVENT_CALL, @2.first_line, $1)->call = call;
	}
	;

errno
	: %empty		{ $$ = NULL; }
	| WORD
	;

note
	: %empty
	| NOTE
	;

time
	: point
	| point ELLIPSIS point	{ $$ = tern_script_time(script, @1.first_line, $1, $3); }
	| point '~' point	{ $$ = tern_script_time(script, @1.first_line, $1, $3); }
	;

point
	: seconds		{ $$ = (struct script_time){TIME_ABSOLUTE, false, $<integer>1, $<integer>1}; }
	| '+' seconds		{ $$ = (struct script_time){TIME_RELATIVE, false, $<integer>2, $<integer>2}; }
	| '*'			{ $$ = (struct script_time){.kind = TIME_ANY}; }
	;

seconds
	: INTEGER		{ $<integer>$ = tern_script_seconds($1); }
	| FLOAT			{ $<integer>$ = tern_script_seconds($1); }
	;

integer
	: INTEGER		{ $$ = (int64_t)strtoull($1, NULL, 0); }
	;

unsigned
	: integer {
		$$ = $1;
		if ($1 < 0 || $1 > UINT32_MAX)
			tern_script_error(script, @1.first_line, "number beyond 32 bits");
	}
	;

packet
	: head tcp
	| head UDP '(' unsigned ')' {
		script->packet->protocol = PROTOCOL_UDP;
		script->packet->len = (uint32_t)$4;
	}
	| head icmp
	;

head
	: direction
	| head '[' marks ']'
	| head '[' bytes ']'	{ add_quote(script->packet, $3.seq, $3.len); }
	| head INTEGER '>' INTEGER {
		tern_script_ports(script, @2.first_line, script->packet, $2, $4);
	}
	;

direction
	: '<' {
		script->packet = tern_script_alloc(script, sizeof *script->packet);
		*script->packet = (struct script_packet){.protocol = PROTOCOL_TCP, .inbound = true, .ecn = -1};
	}
	| '>' {
		script->packet = tern_script_alloc(script, sizeof *script->packet);
		*script->packet = (struct script_packet){.protocol = PROTOCOL_TCP, .ecn = -1};
	}
	;

marks
	: mark
	| marks ',' mark
	;

mark
	: WORD			{ tern_script_mark(script, @1.first_line, script->packet, $1, NULL); }
	| WORD integer		{ tern_script_mark(script, @1.first_line, script->packet, $1, &$2); }
	;

tcp
	: flags bytes ack win urg options {
		script->packet->seq = $2.seq;
		script->packet->len = $2.len;
	}
	;

flags
	: WORD			{ tern_script_flags(script, @1.first_line, script->packet, $1); }
	| WORD '.' {
		tern_script_flags(script, @1.first_line, script->packet, $1);
		script->packet->flags |= FLAG_ACK;
	}
	| '.'			{ script->packet->flags = FLAG_ACK; }
	| '-'
	;

bytes
	: unsigned ':' unsigned '(' unsigned ')' {
		if ((uint32_t)($1 + $5) != (uint32_t)$3)
			tern_script_error(script, @1.first_line, "%u:%u(%u) does not add up",
				(unsigned)$1, (unsigned)$3, (unsigned)$5);
		$$.seq = (uint32_t)$1;
		$$.len = (uint32_t)$5;
	}
	;

ack
	: %empty
	| ACK unsigned {
		script->packet->has_ack = true;
		script->packet->ack = (uint32_t)$2;
	}
	;

win
	: %empty
	| WIN unsigned {
		script->packet->has_window = true;
		script->packet->window = (uint16_t)$2;
		if ($2 > UINT16_MAX)
			tern_script_error(script, @2.first_line, "win is the 16 bits of the header, unscaled");
	}
	;

urg
	: %empty
	| URG unsigned {
		script->packet->has_urgent = true;
		script->packet->urgent = (uint16_t)$2;
	}
	;

options
	: %empty
	| '<' '>'
	| '<' ELLIPSIS '>'	{ script->packet->any_options = true; }
	| '<' option_list '>'
	;

option_list
	: option
	| option_list ',' option
	;

option
	: NOP			{ add_option(script, @1.first_line, OPTION_NOP); }
	| EOL			{ add_option(script, @1.first_line, OPTION_EOL); }
	| SACK_OK		{ add_option(script, @1.first_line, OPTION_SACK_OK); }
	| MSS unsigned		{ add_option(script, @1.first_line, OPTION_MSS)->value = (uint32_t)$2; }
	| WSCALE unsigned	{ add_option(script, @1.first_line, OPTION_WSCALE)->value = (uint32_t)$2; }
	| USER_TIMEOUT unsigned	{
		add_option(script, @1.first_line, OPTION_USER_TIMEOUT)->value = (uint32_t)$2;
	}
	| TIMESTAMP VAL stamp ECR stamp {
		struct script_option *option = add_option(script, @1.first_line, OPTION_TIMESTAMP);
		option->value = $3.value;
		option->any_value = $3.any;
		option->ecr = $5.value;
		option->any_ecr = $5.any;
	}
	| SACK			{ add_option(script, @1.first_line, OPTION_SACK); } blocks
	| FASTOPEN hex {
		tern_script_raw(script, @1.first_line, add_option(script, @1.first_line, OPTION_FASTOPEN), $2);
	}
	| WORD hex		{ tern_script_named_option(script, @1.first_line, $1, $2); }
	| KIND unsigned hex {
		if ($2 < 2 || $2 > 255)
			tern_script_error(script, @2.first_line, "kind is 2 to 255");
		tern_script_raw(script, @1.first_line, add_option(script, @1.first_line, (uint8_t)$2), $3);
	}
	;

stamp
	: unsigned		{ $$.value = (uint32_t)$1; $$.any = false; }
	| ELLIPSIS		{ $$.value = 0; $$.any = true; }
	;

blocks
	: block
	| blocks block
	;

block
	: unsigned ':' unsigned {
		struct script_option *option = &script->packet->option[script->packet->options - 1];
		if (option->blocks == 4) {
			tern_script_error(script, @1.first_line, "more than four SACK blocks");
		} else {
			option->sack[option->blocks].lo = (uint32_t)$1;
			option->sack[option->blocks++].hi = (uint32_t)$3;
		}
	}
	;

hex
	: %empty		{ $$ = ""; }
	| WORD
	| INTEGER
	;

icmp
	: ICMP WORD icmp_code mtu quote {
		script->packet->protocol = PROTOCOL_ICMP;
		tern_script_icmp(script, @2.first_line, script->packet, $2, $3);
	}
	;

icmp_code
	: %empty		{ $$ = NULL; }
	| WORD
	;

mtu
	: %empty
	| MTU unsigned {
		script->packet->has_mtu = true;
		script->packet->mtu = (uint16_t)$2;
	}
	;

quote
	: %empty
	| '[' bytes ']'		{ add_quote(script->packet, $2.seq, $2.len); }
	| '[' UDP '(' unsigned ')' ']' {
		add_quote(script->packet, 0, (uint32_t)$4);
		script->packet->quotes_udp = true;
	}
	;

list
	: %empty		{ $$ = NULL; }
	| exprs
	;

exprs
	: expr
	| expr ',' exprs	{ $1->next = $3; $$ = $1; }
	;

expr
	: term
	| expr '|' term {
		if ($1->kind != EXPR_INTEGER || $3->kind != EXPR_INTEGER)
			tern_script_error(script, @1.first_line, "| joins numbers only");
		$$ = tern_script_expr(script, EXPR_INTEGER);
		$$->value = $1->value | $3->value;
	}
	;

term
	: integer {
		$$ = tern_script_expr(script, EXPR_INTEGER);
		$$->value = $1;
	}
	| '-' integer {
		$$ = tern_script_expr(script, EXPR_INTEGER);
		$$->value = -$2;
	}
	| WORD			{ $$ = tern_script_symbol(script, @1.first_line, $1); }
	| STRING {
		$$ = tern_script_expr(script, EXPR_STRING);
		$$->text = $1;
	}
	| ELLIPSIS		{ $$ = tern_script_expr(script, EXPR_ANY); }
	| WORD '(' expr ')'	{ $$ = tern_script_function(script, @1.first_line, $1, $3); }
	| '[' list ']' {
		$$ = tern_script_expr(script, EXPR_LIST);
		$$->items = $2;
	}
	| '{' fields '}' {
		$$ = tern_script_expr(script, EXPR_STRUCT);
		$$->items = $2;
	}
	;

fields
	: field
	| field ',' fields	{ $1->next = $3; $$ = $1; }
	;

field
	: expr
	| WORD '=' expr		{ $3->name = $1; $$ = $3; }
	| WORD '(' expr ')' '=' expr { $6->name = $1; $$ = $6; }
	;

%%
