/* A packet in the script's syntax, as messages show it. */
#include <stdarg.h>
#include <string.h>

#include "tools/script/ast.h"

struct out {
	char *text;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct out *o, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(o->text + o->len, SCRIPT_TEXT - o->len, format, args);
	va_end(args);
	if (n > 0)
		o->len += (size_t)n;
	if (o->len >= SCRIPT_TEXT)
		o->len = SCRIPT_TEXT - 1;
}

static void say_flags(struct out *o, uint16_t flags)
{
	static const struct {
		char letter;
		uint16_t flag;
	} letters[] = {{'S', FLAG_SYN}, {'F', FLAG_FIN}, {'R', FLAG_RST}, {'P', FLAG_PSH},
		{'U', FLAG_URG}, {'E', FLAG_ECE}, {'W', FLAG_CWR}, {'A', FLAG_AE}, {'.', FLAG_ACK}};
	if (!flags)
		say(o, "-");
	for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
		if (flags & letters[k].flag)
			say(o, "%c", letters[k].letter);
}

static void say_stamp(struct out *o, const char *word, uint32_t value, bool any)
{
	if (any)
		say(o, " %s ...", word);
	else
		say(o, " %s %u", word, value);
}

static void say_raw(struct out *o, const struct script_option *option)
{
	if (option->kind == OPTION_FASTOPEN)
		say(o, "FO ");
	else
		say(o, "kind %u ", option->kind);
	for (unsigned k = 0; k < option->raw_len; k++)
		say(o, "%02x", option->raw[k]);
}

static void say_option(struct out *o, const struct script_option *option)
{
	switch (option->kind) {
	case OPTION_EOL:
		say(o, "eol");
		break;
	case OPTION_NOP:
		say(o, "nop");
		break;
	case OPTION_MSS:
		say(o, "mss %u", option->value);
		break;
	case OPTION_WSCALE:
		say(o, "wscale %u", option->value);
		break;
	case OPTION_SACK_OK:
		say(o, "sackOK");
		break;
	case OPTION_USER_TIMEOUT:
		say(o, "uto %u", option->value);
		break;
	case OPTION_SACK:
		say(o, "sack");
		for (unsigned k = 0; k < option->blocks; k++)
			say(o, " %u:%u", option->sack[k].lo, option->sack[k].hi);
		break;
	case OPTION_TIMESTAMP:
		say(o, "TS");
		say_stamp(o, "val", option->value, option->any_value);
		say_stamp(o, "ecr", option->ecr, option->any_ecr);
		break;
	default:
		say_raw(o, option);
	}
}

static void say_options(struct out *o, const struct script_packet *p)
{
	if (p->any_options)
		say(o, " <...>");
	if (p->any_options || !p->options)
		return;
	for (unsigned k = 0; k < p->options; k++) {
		say(o, k ? "," : " <");
		say_option(o, &p->option[k]);
	}
	say(o, ">");
}

static void say_tcp(struct out *o, const struct script_packet *p)
{
	say_flags(o, p->flags);
	say(o, " %u:%u(%u)", p->seq, p->seq + p->len, p->len);
	if (p->has_ack)
		say(o, " ack %u", p->ack);
	if (p->has_window)
		say(o, " win %u", p->window);
	if (p->has_urgent)
		say(o, " urg %u", p->urgent);
	say_options(o, p);
}

static void say_icmp(struct out *o, const struct script_packet *p)
{
	const char *type = tern_script_icmp_type_name(p->icmp_type);
	const char *code = tern_script_icmp_code_name(p->icmp_type, p->icmp_code);
	if (type)
		say(o, "icmp %s", type);
	else
		say(o, "icmp type %u code %u", p->icmp_type, p->icmp_code);
	if (code)
		say(o, " %s", code);
	if (p->has_mtu)
		say(o, " mtu %u", p->mtu);
	if (p->has_quote)
		say(o, " [%u:%u(%u)]", p->quote_seq, p->quote_seq + p->quote_len, p->quote_len);
}

static void say_marks(struct out *o, const struct script_packet *p)
{
	static const char *const ecn[] = {"nonect", "ect1", "ect0", "ce"};
	if (p->ecn >= 0)
		say(o, "[%s] ", ecn[p->ecn]);
	if (p->has_tos)
		say(o, "[tos 0x%02x] ", p->tos);
	if (p->ttl)
		say(o, "[ttl %u] ", p->ttl);
	if (p->remote_port)
		say(o, "[port %u] ", p->remote_port);
	if (p->bad_checksum)
		say(o, "[badsum] ");
}

char *tern_script_packet_text(const struct script_packet *p, char text[SCRIPT_TEXT])
{
	struct out o = {.text = text};
	text[0] = 0;
	say(&o, "%c ", p->inbound ? '<' : '>');
	say_marks(&o, p);
	if (p->protocol == PROTOCOL_TCP)
		say_tcp(&o, p);
	else if (p->protocol == PROTOCOL_UDP)
		say(&o, "udp (%u)", p->len);
	else
		say_icmp(&o, p);
	return text;
}
