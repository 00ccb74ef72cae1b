#include "host/ladder_rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add_line(struct lines *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add_word(struct words *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_line(struct lines *out, const char *format, ...)
{
	va_list args;
	if (out->count == sizeof out->text / sizeof out->text[0])
		return;
	va_start(args, format);
	vsnprintf(out->text[out->count++], sizeof out->text[0], format, args);
	va_end(args);
}

static void add_word(struct words *out, const char *format, ...)
{
	va_list args;
	if (out->count == sizeof out->text / sizeof out->text[0])
		return;
	va_start(args, format);
	vsnprintf(out->text[out->count++], sizeof out->text[0], format, args);
	va_end(args);
}

char *tern_ladder_number(uint64_t n, char text[32])
{
	char plain[24];
	int len = snprintf(plain, sizeof plain, "%llu", (unsigned long long)n);
	char *at = text;
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = plain[i];
	}
	*at = '\0';
	return text;
}

static const char *say_bytes(uint64_t n, char text[32])
{
	char digits[32];
	if (n < 10240)
		snprintf(text, 32, "%s byte%s", tern_ladder_number(n, digits), n == 1 ? "" : "s");
	else if (n < 1u << 20)
		snprintf(text, 32, "%.1f KiB", (double)n / 1024);
	else if (n % (1u << 20) == 0)
		snprintf(text, 32, "%s MiB", tern_ladder_number(n >> 20, digits));
	else if (n < 1u << 30)
		snprintf(text, 32, "%.2f MiB", (double)n / (1 << 20));
	else
		snprintf(text, 32, "%.2f GiB", (double)n / (1 << 30));
	return text;
}

static const char *say_duration(uint64_t ns, char text[32])
{
	if (ns < 1000000)
		snprintf(text, 32, "%.0f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, 32, "%.3f ms", (double)ns / 1e6);
	else
		snprintf(text, 32, "%.3f s", (double)ns / 1e9);
	return text;
}

const char *tern_ladder_role(const struct ladder_conn *c, unsigned side)
{
	if (c->opened)
		return side == 0 ? "client" : "server";
	if (c->side[0].seen && c->side[1].seen)
		return side == 0 ? "left" : "right";
	return c->side[side].seen ? "tern" : "peer";
}

bool tern_ladder_lost(const struct ladder_conn *c, const struct row *row)
{
	return row->kind == ROW_SEGMENT && !row->stray && c->side[0].seen && c->side[1].seen &&
	       row->at[!row->from] == TERN_NEVER && !(c->split && row->segment.len);
}

/*
 * F and T stand for who sends the segment and who gets it, > for an arrow. The names are those of
 * the textbooks; in each, the states are those of RFC 9293.
 */
static const char *const step_text[STEPS] = {
	[STEP_SYN] = "1st handshake: F > SYN_SENT",
	[STEP_SYN_ACK] = "2nd handshake: F > SYN_RECEIVED",
	[STEP_ACK] = "3rd handshake: F, then T > ESTABLISHED",
	[STEP_SYN_CROSSED] = "simultaneous open: F > SYN_SENT as well",
	[STEP_SYN_ACK_CROSSED] = "simultaneous open: F > SYN_RECEIVED, T > ESTABLISHED",
	[STEP_FIN] = "1st close: F > FIN_WAIT_1",
	[STEP_FIN_ACKED] = "2nd close: F > CLOSE_WAIT, T > FIN_WAIT_2",
	[STEP_FIN_TOO] = "3rd close: F > LAST_ACK",
	[STEP_FIN_ACK] = "2nd and 3rd close in one: F > CLOSE_WAIT > LAST_ACK",
	[STEP_LAST_ACK] = "4th close: F > TIME_WAIT, T > CLOSED",
	[STEP_FIN_CROSSED] = "simultaneous close: F > FIN_WAIT_1 as well",
	[STEP_FIN_CROSSED_ACKED] = "simultaneous close: F > CLOSING, T > TIME_WAIT",
	[STEP_REFUSED] = "connection refused: T > CLOSED",
	[STEP_RESET] = "reset: F and T > CLOSED",
};

static const char *step_template(const struct ladder_conn *c, const struct row *row)
{
	if (row->step == STEP_ACK && row->dropped)
		return "3rd handshake: F > ESTABLISHED";
	if (row->step == STEP_FIN_ACKED && row->repeated)
		return "2nd close: T > FIN_WAIT_2";
	if (row->step == STEP_SYN && row->dropped)
		return "1st handshake: F > SYN_SENT, and T does not accept";
	if ((row->step == STEP_REFUSED || row->step == STEP_RESET) && row->dropped)
		return "reset, not accepted by T";
	if (row->step == STEP_RESET && !c->side[row->from].syn && !c->side[row->from].syn_ack &&
		c->opened)
		return "reset: T > CLOSED";
	return step_text[row->step];
}

void tern_ladder_say_step(const struct speech *speech, const struct row *row, struct lines *out)
{
	const struct ladder_conn *c = speech->conn;
	const char *form = step_template(c, row);
	char text[256];
	size_t n = 0;
	if (!form || row->stray)
		return;
	for (; *form && n + 16 < sizeof text; form++) {
		const char *word = NULL;
		/* F and T stand alone; those inside of state names do not. */
		bool alone = form[1] < 'A' || form[1] > 'Z';
		if (n && text[n - 1] == ' ' && alone && *form == 'F')
			word = tern_ladder_role(c, row->from);
		else if (n && text[n - 1] == ' ' && alone && *form == 'T')
			word = tern_ladder_role(c, !row->from);
		else if (*form == '>')
			word = speech->utf8 ? "→" : "->";
		else if (*form == ':' && row->repeated)
			word = " again:";
		if (word) {
			memcpy(text + n, word, strlen(word));
			n += strlen(word);
		} else {
			text[n++] = *form;
		}
	}
	text[n] = '\0';
	add_line(out, "%s", text);
}

static void say_flags(const struct tern_segment *s, char text[64])
{
	static const struct {
		uint16_t bit;
		const char *name;
	} names[] = {{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {PSH, "PSH"}, {ACK, "ACK"},
		{URG, "URG"}, {0x40, "ECE"}, {0x80, "CWR"}, {0x100, "AE"}};
	int n = snprintf(text, 64, "[");
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (s->flags & names[i].bit)
			n += snprintf(text + n, 64 - (size_t)n, "%s%s", n > 1 ? ", " : "",
				names[i].name);
	snprintf(text + n, 64 - (size_t)n, "]");
}

static void say_options(const struct tern_segment *s, uint32_t isn, struct words *out)
{
	char lo[32], hi[32];
	if (s->mss)
		add_word(out, "mss %u", s->mss);
	if (s->sack_ok)
		add_word(out, "SACK ok");
	if (s->timestamps)
		add_word(out, "TS %u/%u", s->tsval, s->tsecr);
	if (s->wscale >= 0)
		add_word(out, "wscale %d", s->wscale);
	for (unsigned i = 0; i < s->sack_count && i < 4; i++)
		add_word(out, "SACK %s-%s", tern_ladder_number(s->sack[i].lo - isn, lo),
			tern_ladder_number(s->sack[i].hi - isn, hi));
	if (s->flags & URG)
		add_word(out, "urgent +%u", s->urgent);
}

void tern_ladder_say_segment(const struct speech *speech, const struct row *row, struct words *head,
	struct words *below)
{
	const struct tern_segment *s = &row->segment;
	const struct ladder_conn *c = speech->conn;
	uint32_t isn = c->side[row->from].isn, other_isn = c->side[!row->from].isn;
	char flags[64], n[32];
	/* A reset need not fit the numbering: one for no connection has sequence number 0. */
	bool bare = s->flags & RST && (!c->side[row->from].based || (s->seq == 0 && isn != 0));
	say_flags(s, flags);
	add_word(head, "%s", flags);
	add_word(head, "seq %s", tern_ladder_number(bare ? 0 : s->seq - isn, n));
	if (s->flags & ACK)
		add_word(head, "ack %s", tern_ladder_number(s->ack - other_isn, n));
	add_word(head, "win %s", tern_ladder_number(s->window, n));
	add_word(head, "len %s", tern_ladder_number(s->len, n));
	if (s->flags & ACK)
		add_word(below, "absolute seq %u ack %u", s->seq, s->ack);
	else
		add_word(below, "absolute seq %u", s->seq);
	say_options(s, other_isn, below);
}

void tern_ladder_say_notes(const struct speech *speech, const struct row *row, struct lines *out)
{
	const struct ladder_conn *c = speech->conn;
	const char *again = speech->utf8 ? "↻" : "!", *cross = speech->utf8 ? "✗" : "x";
	if (row->resent && row->count > 1)
		add_line(out, "%s retransmission: %s, %u in a row", again,
			tern_retransmit_text(row->reason), row->count);
	else if (row->resent)
		add_line(out, "%s retransmission: %s", again, tern_retransmit_text(row->reason));
	else if (row->probe)
		add_line(out, "%s zero-window probe", again);
	else if (row->stray)
		add_line(out, "%s arrives out of the blue: a duplicate, or folded above", again);
	else if (row->again && c->side[row->from].seen)
		add_line(out, "%s sent before", again);
	else if (row->again && row->segment.len)
		add_line(out, "%s late or sent again", again);
	else if (row->again)
		add_line(out, "%s sent again", again);
	if (tern_ladder_lost(c, row))
		add_line(out, "%s did not arrive", cross);
	if (row->dropped)
		add_line(out, "%s dropped: %s", cross, tern_drop_text(row->drop));
	if (row->segment.window == 0 && !(row->segment.flags & RST))
		add_line(out, "%s offers no window", tern_ladder_role(c, row->from));
}

void tern_ladder_say_move(const struct speech *speech, const struct row *row, struct lines *out)
{
	const char *was = row->kind == ROW_STATE ? tern_tcp_state_name(row->was) : "";
	add_line(out, "%s: %s %s%s%s %s", tern_cause_text(row->cause),
		tern_ladder_role(speech->conn, row->from), was, *was ? " " : "",
		speech->utf8 ? "→" : "->", tern_tcp_state_name(row->state[row->from]));
}

static void say_direction(const struct speech *speech, const struct fold *f, unsigned from,
	bool first, struct lines *out)
{
	static const char *const arrows[2][2] = {{"->", "<-"}, {"→", "←"}};
	char count[32], bytes[32], time[32], rate[64] = "";
	uint64_t ns = f->to - f->from;
	if (ns && f->bytes[from] >= 65536)
		snprintf(rate, sizeof rate, " (%.1f Mb/s)",
			(double)f->bytes[from] * 8e3 / (double)ns);
	if (f->segments[from] == 0)
		return;
	if (first)
		add_line(out, "... %s segment%s %s %s%s%s%s",
			tern_ladder_number(f->segments[from], count),
			f->segments[from] == 1 ? "" : "s", arrows[speech->utf8][from],
			say_bytes(f->bytes[from], bytes), ns ? " in " : "",
			ns ? say_duration(ns, time) : "", rate);
	else
		add_line(out, "%s segment%s %s %s", tern_ladder_number(f->segments[from], count),
			f->segments[from] == 1 ? "" : "s", arrows[speech->utf8][from],
			f->bytes[from] ? say_bytes(f->bytes[from], bytes) : "no data");
}

static void say_trouble(const struct speech *speech, const struct fold *f, struct lines *out)
{
	char text[256], number[32];
	uint32_t all = 0;
	int n = 0;
	for (unsigned i = 0; i < TERN_RTX_REASONS; i++) {
		all += f->resent[i];
		if (f->resent[i])
			n += snprintf(text + n, sizeof text - (size_t)n, "%s%u x %s", n ? ", " : "",
				f->resent[i], tern_retransmit_text((enum tern_retransmit_reason)i));
	}
	if (all)
		add_line(out, "%s retransmitted (%s)", tern_ladder_number(all, number), text);
	for (unsigned s = 0; s < 2; s++)
		if (f->again[s])
			add_line(out, "%s of the %s's late or sent again",
				tern_ladder_number(f->again[s], number),
				tern_ladder_role(speech->conn, s));
	if (f->dropped)
		add_line(out, "%s dropped, the last: %s", tern_ladder_number(f->dropped, number),
			tern_drop_text(f->drop));
}

static void say_windows(const struct speech *speech, const struct fold *f, struct lines *out)
{
	char text[128], lo[32], hi[32];
	int n = 0;
	for (unsigned s = 0; s < 2; s++) {
		if (!f->window_known[s])
			continue;
		n += snprintf(text + n, sizeof text - (size_t)n, "%s%s's %s", n ? ", " : "",
			tern_ladder_role(speech->conn, s), tern_ladder_number(f->window[s][0], lo));
		if (f->window[s][0] != f->window[s][1])
			n += snprintf(text + n, sizeof text - (size_t)n, "..%s",
				tern_ladder_number(f->window[s][1], hi));
	}
	add_line(out, "window%s: %s", f->window_known[0] && f->window_known[1] ? "s" : "", text);
}

void tern_ladder_say_fold(const struct speech *speech, const struct row *row, struct lines *out)
{
	const struct fold *f = &row->fold;
	unsigned more = f->bytes[1] > f->bytes[0] || (f->bytes[0] == 0 && f->segments[0] == 0);
	say_direction(speech, f, more, true, out);
	say_direction(speech, f, !more, false, out);
	say_trouble(speech, f, out);
	say_windows(speech, f, out);
}
