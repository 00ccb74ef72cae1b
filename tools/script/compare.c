#include <stdarg.h>
#include <string.h>

#include "tools/script/packet.h"

struct diff {
	char *text;
	size_t len;
	unsigned fields;
};

__attribute__((format(printf, 2, 3))) static void differ(struct diff *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(d->text + d->len, SCRIPT_TEXT - d->len, format, args);
	va_end(args);
	if (n > 0)
		d->len += (size_t)n;
	if (d->len >= SCRIPT_TEXT)
		d->len = SCRIPT_TEXT - 1;
	d->fields++;
}

static void compare_number(struct diff *d, const char *name, uint32_t want, uint32_t got)
{
	if (want != got)
		differ(d, "%s: expected %u, got %u\n", name, want, got);
}

static void compare_stamp(struct diff *d, const struct script_option *want,
	const struct script_option *got, int64_t tick, int64_t tolerance)
{
	int64_t off = (int32_t)(got->value - want->value);
	if (!want->any_value && tick && (off < 0 ? -off : off) * tick > tolerance)
		differ(d, "TS val: expected %u, got %u\n", want->value, got->value);
	if (!want->any_ecr)
		compare_number(d, "TS ecr", want->ecr, got->ecr);
}

static void compare_sack(struct diff *d, const struct script_option *want,
	const struct script_option *got)
{
	compare_number(d, "SACK blocks", want->blocks, got->blocks);
	for (unsigned k = 0; k < want->blocks && k < got->blocks; k++)
		if (want->sack[k].lo != got->sack[k].lo || want->sack[k].hi != got->sack[k].hi)
			differ(d, "SACK block %u: expected %u:%u, got %u:%u\n", k + 1,
				want->sack[k].lo, want->sack[k].hi, got->sack[k].lo,
				got->sack[k].hi);
}

static void compare_option(struct diff *d, const struct script_option *want,
	const struct script_option *got, int64_t tick, int64_t tolerance)
{
	switch (want->kind) {
	case OPTION_TIMESTAMP:
		compare_stamp(d, want, got, tick, tolerance);
		break;
	case OPTION_SACK:
		compare_sack(d, want, got);
		break;
	case OPTION_MSS:
		compare_number(d, "mss", want->value, got->value);
		break;
	case OPTION_WSCALE:
		compare_number(d, "wscale", want->value, got->value);
		break;
	case OPTION_USER_TIMEOUT:
		compare_number(d, "uto", want->value, got->value);
		break;
	default:
		if (want->raw_len != got->raw_len || memcmp(want->raw, got->raw, got->raw_len) != 0)
			differ(d, "option kind %u: other bytes\n", want->kind);
	}
}

static void compare_options(struct diff *d, const struct script_packet *want,
	const struct script_packet *got, int64_t tick, int64_t tolerance)
{
	bool same = want->options == got->options;
	for (unsigned k = 0; same && k < want->options; k++)
		same = want->option[k].kind == got->option[k].kind;
	if (!same) {
		differ(d, "options: not these, or not in that order\n");
		return;
	}
	for (unsigned k = 0; k < want->options; k++)
		compare_option(d, &want->option[k], &got->option[k], tick, tolerance);
}

static void compare_tcp(struct diff *d, const struct script_packet *want,
	const struct script_packet *got, int64_t tick, int64_t tolerance)
{
	if (want->flags != got->flags)
		differ(d, "flags differ\n");
	compare_number(d, "seq", want->seq, got->seq);
	if (want->has_ack && got->has_ack)
		compare_number(d, "ack", want->ack, got->ack);
	if (want->has_window)
		compare_number(d, "win", want->window, got->window);
	if (want->has_urgent)
		compare_number(d, "urg", want->urgent, got->urgent);
	if (!want->any_options)
		compare_options(d, want, got, tick, tolerance);
}

unsigned tern_script_compare(const struct script_packet *want, const struct script_packet *got,
	int64_t tick, int64_t tolerance, char text[SCRIPT_TEXT])
{
	struct diff d = {.text = text};
	text[0] = 0;
	if (want->protocol != got->protocol) {
		differ(&d, "another protocol\n");
		return d.fields;
	}
	if (want->ecn >= 0 && want->ecn != got->ecn)
		differ(&d, "ECN bits: expected %d, got %d\n", want->ecn, got->ecn);
	if (want->has_tos && want->tos != got->tos)
		differ(&d, "TOS: expected 0x%02x, got 0x%02x\n", want->tos, got->tos);
	if (want->ttl)
		compare_number(&d, "TTL", want->ttl, got->ttl);
	if (want->remote_port)
		compare_number(&d, "port", want->remote_port, got->remote_port);
	if (want->protocol == PROTOCOL_ICMP) {
		compare_number(&d, "ICMP type", want->icmp_type, got->icmp_type);
		compare_number(&d, "ICMP code", want->icmp_code, got->icmp_code);
		if (want->has_mtu)
			compare_number(&d, "mtu", want->mtu, got->mtu);
		return d.fields;
	}
	compare_number(&d, "length", want->len, got->len);
	if (want->protocol == PROTOCOL_TCP)
		compare_tcp(&d, want, got, tick, tolerance);
	return d.fields;
}
