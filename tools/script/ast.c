#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/script/ast.h"
#include "tools/script/names.h"

#include "grammar.tab.h"
#define YYSTYPE TERN_SCRIPT_YYSTYPE
#define YYLTYPE TERN_SCRIPT_YYLTYPE
#include "lexer.yy.h"

void *tern_script_alloc(struct script *script, size_t size)
{
	struct script_block *block = calloc(1, sizeof *block + size);
	if (!block) {
		fputs("script: out of memory\n", stderr);
		exit(2);
	}
	block->next = script->blocks;
	script->blocks = block;
	return block->bytes;
}

char *tern_script_copy(struct script *script, const char *text, size_t len)
{
	char *copy = tern_script_alloc(script, len + 1);
	memcpy(copy, text, len);
	return copy;
}

void tern_script_error(struct script *script, int line, const char *format, ...)
{
	if (script->error[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(script->error, sizeof script->error, format, args);
	va_end(args);
	script->error_line = line;
}

static int parse(struct script *script, const char *path, FILE *file, const char *text,
	const char *const *defines)
{
	*script = (struct script){.path = path, .line = 1, .defines = defines};
	script->events_tail = &script->events;
	yyscan_t scanner;
	if (tern_script_yylex_init_extra(script, &scanner) != 0) {
		tern_script_error(script, 0, "out of memory");
		return -1;
	}
	if (file)
		tern_script_yyset_in(file, scanner);
	else
		tern_script_yy_scan_string(text, scanner);
	if (tern_script_yyparse(script, scanner) != 0)
		tern_script_error(script, script->line, "cannot be read");
	tern_script_yylex_destroy(scanner);
	return script->error[0] ? -1 : 0;
}

int tern_script_parse(struct script *script, const char *path, FILE *file,
	const char *const *defines)
{
	return parse(script, path, file, NULL, defines);
}

int tern_script_parse_text(struct script *script, const char *path, const char *text)
{
	return parse(script, path, NULL, text, NULL);
}

void tern_script_free(struct script *script)
{
	while (script->blocks) {
		struct script_block *block = script->blocks;
		script->blocks = block->next;
		free(block);
	}
}

struct script_event *tern_script_add(struct script *script, enum script_event_kind kind, int line,
	struct script_time time)
{
	struct script_event *event = tern_script_alloc(script, sizeof *event);
	*event = (struct script_event){.kind = kind, .line = line, .time = time};
	*script->events_tail = event;
	script->events_tail = &event->next;
	if (time.kind == TIME_ANY && (kind != EVENT_PACKET || event->time.range))
		tern_script_error(script, line, "only a packet to be sent has the time *");
	return event;
}

const char *tern_script_defined(const struct script *script, const char *word)
{
	size_t len = strlen(word);
	for (const char *const *d = script->defines; d && *d; d++)
		if (strncmp(*d, word, len) == 0 && (*d)[len] == '=')
			return *d + len + 1;
	return NULL;
}

static const char *unquoted(struct script *script, const char *text)
{
	size_t len = strlen(text);
	if (len < 2 || *text != '"' || text[len - 1] != '"')
		return text;
	return tern_script_copy(script, text + 1, len - 2);
}

void tern_script_add_option(struct script *script, int line, const char *text)
{
	struct script_option_line *option = tern_script_alloc(script, sizeof *option);
	size_t len = strcspn(text, "=");
	option->name = tern_script_copy(script, text, len);
	option->value = text[len] ? unquoted(script, text + len + 1) : "";
	option->line = line;
	option->next = script->options;
	script->options = option;
	if (script->events)
		tern_script_error(script, line, "options come before the first event");
}

struct script_expr *tern_script_expr(struct script *script, enum script_expr_kind kind)
{
	struct script_expr *expr = tern_script_alloc(script, sizeof *expr);
	expr->kind = kind;
	return expr;
}

struct script_expr *tern_script_symbol(struct script *script, int line, const char *name)
{
	struct script_expr *expr = tern_script_expr(script, EXPR_INTEGER);
	if (!tern_script_constant(name, &expr->value))
		tern_script_error(script, line, "no such constant: %s", name);
	expr->text = name;
	return expr;
}

struct script_expr *tern_script_function(struct script *script, int line, const char *name,
	struct script_expr *arg)
{
	if (strcmp(name, "htons") == 0 && arg->kind == EXPR_INTEGER)
		return arg;
	if (strcmp(name, "inet_addr") == 0 && arg->kind == EXPR_STRING)
		return arg;
	tern_script_error(script, line, "%s() is not known here", name);
	return arg;
}

int64_t tern_script_seconds(const char *text)
{
	int64_t ns = 0, unit = SCRIPT_S / 10;
	for (; isdigit((unsigned char)*text) && ns < INT64_MAX / 10 / SCRIPT_S; text++)
		ns = ns * 10 + (*text - '0');
	ns *= SCRIPT_S;
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text); text++, unit /= 10)
			ns += (*text - '0') * unit;
	return ns;
}

struct script_time tern_script_time(struct script *script, int line, struct script_time from,
	struct script_time to)
{
	if (from.kind == TIME_ANY || to.kind == TIME_ANY)
		tern_script_error(script, line, "* is no end of a range");
	from.range = true;
	from.to = to.from;
	/* "0...+.1": so long after its start */
	if (from.kind == TIME_ABSOLUTE && to.kind == TIME_RELATIVE)
		from.to += from.from;
	if (from.to < from.from)
		tern_script_error(script, line, "the range ends before it begins");
	return from;
}

void tern_script_flags(struct script *script, int line, struct script_packet *p, const char *text)
{
	for (; *text; text++) {
		uint16_t flag = tern_script_flag(*text);
		if (!flag) {
			tern_script_error(script, line, "no such flag: %c", *text);
			return;
		}
		p->flags |= flag;
	}
}

void tern_script_mark(struct script *script, int line, struct script_packet *p, const char *word,
	const int64_t *value)
{
	static const char *const ecn[] = {"nonect", "ect1", "ect0", "ce"};
	if (value && strcmp(word, "ttl") == 0 && *value > 0 && *value <= UINT8_MAX) {
		p->ttl = (uint8_t)*value;
		return;
	}
	if (value && strcmp(word, "tos") == 0 && *value >= 0 && *value <= UINT8_MAX) {
		p->has_tos = true;
		p->tos = (uint8_t)*value;
		return;
	}
	if (value) {
		if (strcmp(word, "port") != 0 || *value < 1 || *value > UINT16_MAX)
			tern_script_error(script, line,
				"[%s %jd]: only [port 1..65535], [ttl 1..255] and [tos 0..255] are "
				"known",
				word, (intmax_t)*value);
		p->remote_port = (uint16_t)*value;
		return;
	}
	if (strcmp(word, "noecn") == 0)
		word = "nonect";
	for (int8_t k = 0; k < 4; k++)
		if (strcmp(word, ecn[k]) == 0) {
			p->ecn = k;
			return;
		}
	p->bad_checksum = p->inbound && strcmp(word, "badsum") == 0;
	if (!p->bad_checksum)
		tern_script_error(script, line, "[%s] is not known here", word);
}

void tern_script_ports(struct script *script, int line, struct script_packet *p, const char *from,
	const char *to)
{
	unsigned long source = strtoul(from, NULL, 10), target = strtoul(to, NULL, 10);
	if (source < 1 || source > UINT16_MAX || target < 1 || target > UINT16_MAX)
		tern_script_error(script, line, "%s>%s: ports are 1 to 65535", from, to);
	p->local_port = (uint16_t)(p->inbound ? target : source);
	p->remote_port = (uint16_t)(p->inbound ? source : target);
}

struct script_option *tern_script_add_tcp_option(struct script *script, int line, uint8_t kind)
{
	struct script_packet *p = script->packet;
	if (p->options == SCRIPT_OPTIONS_MAX) {
		tern_script_error(script, line, "more than %d options", SCRIPT_OPTIONS_MAX);
		p->options = 0;
	}
	struct script_option *option = &p->option[p->options++];
	option->kind = kind;
	return option;
}

#define FASTOPEN_MAGIC "f989" /* RFC 7413 4.1.1's experiment, in hex */

void tern_script_named_option(struct script *script, int line, const char *name, const char *hex)
{
	char with_magic[96];
	if (strcmp(name, "md5") == 0) {
		tern_script_raw(script, line, tern_script_add_tcp_option(script, line, OPTION_MD5),
			hex);
	} else if (strcmp(name, "FOEXP") == 0) {
		snprintf(with_magic, sizeof with_magic, FASTOPEN_MAGIC "%s", hex);
		tern_script_raw(script, line,
			tern_script_add_tcp_option(script, line, OPTION_EXPERIMENT), with_magic);
	} else {
		tern_script_error(script, line, "no such TCP option: %s", name);
	}
}

void tern_script_icmp(struct script *script, int line, struct script_packet *p, const char *type,
	const char *code)
{
	if (!tern_script_icmp_find(type, code, &p->icmp_type, &p->icmp_code))
		tern_script_error(script, line, "no such ICMP message: %s %s", type,
			code ? code : "");
}

void tern_script_raw(struct script *script, int line, struct script_option *option, const char *hex)
{
	size_t digits = strlen(hex);
	if (digits % 2 || digits / 2 > sizeof option->raw) {
		tern_script_error(script, line, "an even number of hex digits, at most 76");
		return;
	}
	for (size_t k = 0; k < digits; k += 2) {
		char pair[3] = {hex[k], hex[k + 1], 0};
		char *end;
		option->raw[k / 2] = (uint8_t)strtoul(pair, &end, 16);
		if (*end)
			tern_script_error(script, line, "not hex: %s (a name? -D gives it a value)",
				hex);
	}
	option->raw_len = (uint8_t)(digits / 2);
}

/* Bytes on the wire, before padding. */
static unsigned options_len(const struct script_packet *p)
{
	unsigned len = 0;
	for (unsigned k = 0; k < p->options; k++)
		len += tern_script_option_len(&p->option[k]);
	return len;
}

void tern_script_check(struct script *script, int line, struct script_packet *p)
{
	if (p->protocol == PROTOCOL_ICMP && p->inbound && !p->has_quote)
		p->quote_seq = 1; /* about the connection's first byte */
	if (p->protocol != PROTOCOL_TCP)
		return;
	if (p->has_quote)
		tern_script_error(script, line, "only an ICMP error quotes a packet");
	if (!p->inbound)
		return;
	p->has_ack |= p->flags & FLAG_ACK; /* without a number: 0 */
	if ((p->flags & FLAG_URG) && !p->has_urgent)
		tern_script_error(script, line, "the flag U goes with \"urg N\"");
	if (!p->has_window && !(p->flags & FLAG_RST))
		tern_script_error(script, line, "a packet to inject says its win");
	if (p->any_options)
		tern_script_error(script, line, "<...> is for packets to be sent");
	if (options_len(p) > 40)
		tern_script_error(script, line, "options take %u bytes, the header has 40",
			options_len(p));
}
