#include "host/pcapng_note.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static void say(struct note_text *note, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct note_text *note, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	uint32_t room = NOTE_TEXT - note->len;
	int n = vsnprintf(note->text + note->len, room, format, args);
	va_end(args);
	if (n > 0)
		note->len += (uint32_t)n < room ? (uint32_t)n : room - 1;
}

/* Begins another statement. */
static void and_then(struct note_text *note)
{
	if (note->len)
		say(note, "; ");
}

void tern_note_join(struct note_text *note, const struct note_text *more)
{
	if (!more->len)
		return;
	and_then(note);
	say(note, "%s", more->text);
}

static int32_t ahead(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static void name_segment(struct note_text *note, const struct tern_segment *s)
{
	if (s->flags & RST)
		say(note, "RST");
	else if (s->flags & SYN)
		say(note, s->flags & ACK ? "SYN-ACK" : "SYN");
	else if (s->flags & FIN)
		say(note, "FIN");
	else if (s->len == 0)
		say(note, "ACK");
	if (s->len && s->flags & (RST | SYN | FIN))
		say(note, " with ");
	if (s->len)
		say(note, "%u byte%s", s->len, s->len == 1 ? "" : "s");
}

static void judge_data(struct note_text *note, const struct tern_segment *s, uint32_t rcv_nxt)
{
	int32_t gap = ahead(s->seq, rcv_nxt);
	if (s->len == 0)
		return;
	and_then(note);
	if (gap > 0)
		say(note, "out of order, %d missing before it", gap);
	else if (ahead(s->seq + s->len, rcv_nxt) <= 0)
		say(note, "already received");
	else if (gap < 0)
		say(note, "the first %d bytes already received", -gap);
	else
		say(note, "in order");
}

static void judge_ack(struct note_text *note, const struct tern_segment *s,
	const struct tern_trace_conn *c)
{
	int32_t fresh = ahead(s->ack, c->snd_una);
	if (!(s->flags & ACK))
		return;
	if (fresh > 0 && ahead(s->ack, c->snd_nxt) <= 0) {
		and_then(note);
		say(note, "acknowledges %d", fresh);
	} else if (fresh == 0 && c->snd_una != c->snd_nxt && s->len == 0) {
		and_then(note);
		say(note, "acknowledges nothing new");
	}
}

static bool synchronised(enum tern_tcp_state state)
{
	return state >= TERN_TCP_ESTABLISHED && state < TERN_TCP_STATES;
}

void tern_note_received(const struct notes *notes, struct note_text *out)
{
	out->len = 0;
	if (notes->have_segment) {
		if (notes->had_conn)
			say(out, "in %s: ", tern_tcp_state_name(notes->before.state));
		name_segment(out, &notes->segment);
	}
	if (notes->drop != TERN_DROP_NONE)
		say(out, "%sdropped: %s", out->len ? ", " : "", tern_drop_text(notes->drop));
	else if (notes->moves.len)
		say(out, " acceptable");
	if (notes->moves.len)
		say(out, "%s", notes->moves.text);
	if (notes->have_segment && notes->had_conn && notes->drop == TERN_DROP_NONE &&
		synchronised(notes->before.state)) {
		judge_data(out, &notes->segment, notes->before.rcv_nxt);
		judge_ack(out, &notes->segment, &notes->before);
	}
	tern_note_join(out, &notes->facts);
}

static void begin_frame(struct notes *notes)
{
	notes->receiving = true;
	notes->have_segment = false;
	notes->drop = TERN_DROP_NONE;
	notes->moves.len = notes->facts.len = 0;
}

static void take_segment(struct notes *notes, const struct tern_trace *t)
{
	notes->have_segment = true;
	notes->segment = t->segment;
	notes->had_conn = t->has_conn;
	notes->before = t->conn;
}

/* Where the reasons of one connection wait; a stranger's are forgotten. */
static struct note_text *reason_of(struct notes *notes, const struct tern_trace_conn *c)
{
	uint32_t hash = c->local.port * 31u + c->remote.port;
	for (unsigned i = 12; i < 16; i++)
		hash = hash * 31 + c->remote.addr.byte[i];
	unsigned slot = hash % NOTE_REASONS;
	if (memcmp(&notes->reason[slot].local.addr, &c->local.addr, sizeof c->local.addr) != 0 ||
		memcmp(&notes->reason[slot].remote.addr, &c->remote.addr, sizeof c->remote.addr) !=
			0 ||
		notes->reason[slot].local.port != c->local.port ||
		notes->reason[slot].remote.port != c->remote.port) {
		notes->reason[slot].local = c->local;
		notes->reason[slot].remote = c->remote;
		notes->reason[slot].text.len = 0;
	}
	return &notes->reason[slot].text;
}

static void take_state(struct notes *notes, const struct tern_trace *t)
{
	const char *to = tern_tcp_state_name(t->state.to), *why = tern_cause_text(t->state.cause);
	if (notes->receiving) {
		/* A new connection comes out of its listener. */
		if (notes->moves.len == 0 && !notes->had_conn) {
			notes->had_conn = true;
			notes->before = t->conn;
			notes->before.state = t->state.from;
		}
		say(&notes->moves, " -> %s (%s)", to, why);
		return;
	}
	struct note_text *note = reason_of(notes, &t->conn);
	and_then(note);
	say(note, "%s -> %s (%s)", tern_tcp_state_name(t->state.from), to, why);
}

static void take_retransmit(struct notes *notes, const struct tern_trace *t)
{
	struct note_text *note = reason_of(notes, &t->conn);
	and_then(note);
	say(note, "retransmission: %s", tern_retransmit_text(t->retransmit.reason));
	if (t->retransmit.count)
		say(note, ", number %u, the next after %.1f ms", t->retransmit.count,
			(double)t->retransmit.rto / 1e6);
}

static void take_sent(struct notes *notes, const struct tern_trace *t)
{
	uint32_t slot = notes->sent_next++ % NOTE_SENT;
	struct note_text *note = &notes->sent[slot].text;
	note->len = 0;
	notes->sent[slot].key = (struct note_key){t->conn.local.port, t->conn.remote.port,
		t->segment.seq, t->segment.flags, true};
	if (t->has_conn) {
		struct note_text *reason = reason_of(notes, &t->conn);
		if (reason->len)
			say(note, "%s; ", reason->text);
		reason->len = 0;
		say(note, "sent in %s: ", tern_tcp_state_name(t->conn.state));
	} else {
		say(note, "sent for no connection: ");
	}
	name_segment(note, &t->segment);
	if (t->segment.window == 0 && !(t->segment.flags & RST))
		say(note, "; our window is closed");
}

static void take_fact(struct notes *notes, const struct tern_trace *t)
{
	struct note_text *note = notes->receiving ? &notes->facts : reason_of(notes, &t->conn);
	if (!notes->receiving && !t->has_conn)
		return;
	switch (t->kind) {
	case TERN_TRACE_WINDOW:
		and_then(note);
		say(note, "may send %u", t->window.peer);
		break;
	case TERN_TRACE_QUEUE:
		and_then(note);
		say(note, "accept queue %u of %u, half-open %u of %u", t->queue.length,
			t->queue.limit, t->queue.half_open, t->queue.half_open_limit);
		break;
	case TERN_TRACE_RTT:
		and_then(note);
		say(note, "RTT %.3f ms, RTO %.1f ms", (double)t->rtt.sample / 1e6,
			(double)t->rtt.rto / 1e6);
		break;
	case TERN_TRACE_CONGESTION:
		and_then(note);
		say(note, "congestion: %s, cwnd %u, ssthresh %u",
			t->congestion.why ? t->congestion.why : "?", t->congestion.cwnd,
			t->congestion.ssthresh);
		break;
	case TERN_TRACE_SEGMENT_SIZE:
		and_then(note);
		say(note, "segment size: %s, %u bytes, %u before", t->segment_size.why,
			t->segment_size.to, t->segment_size.from);
		break;
	case TERN_TRACE_TIMER:
		if (t->timer.fired) {
			and_then(note);
			say(note, "timer: %s", tern_timer_text(t->timer.which));
		}
		break;
	case TERN_TRACE_FRAME_IN:
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
	case TERN_TRACE_STATE:
	case TERN_TRACE_RETRANSMIT:
	case TERN_TRACE_DROP:
		break;
	}
}

void tern_note_see(struct notes *notes, const struct tern_trace *t)
{
	switch (t->kind) {
	case TERN_TRACE_FRAME_IN:
		begin_frame(notes);
		break;
	case TERN_TRACE_FRAME_DONE:
		notes->receiving = false;
		break;
	case TERN_TRACE_SEGMENT_IN:
		take_segment(notes, t);
		break;
	case TERN_TRACE_SEGMENT_OUT:
		take_sent(notes, t);
		break;
	case TERN_TRACE_STATE:
		take_state(notes, t);
		break;
	case TERN_TRACE_RETRANSMIT:
		take_retransmit(notes, t);
		break;
	case TERN_TRACE_DROP:
		if (notes->receiving)
			notes->drop = t->drop;
		break;
	case TERN_TRACE_WINDOW:
	case TERN_TRACE_QUEUE:
	case TERN_TRACE_RTT:
	case TERN_TRACE_CONGESTION:
	case TERN_TRACE_TIMER:
	case TERN_TRACE_SEGMENT_SIZE:
		take_fact(notes, t);
		break;
	case TERN_TRACE_FRAME_OUT:
		break;
	}
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Where the TCP header of an unfragmented IP packet begins; 0 if there is none. */
static uint32_t find_tcp(const uint8_t *data, uint32_t len, bool raw_ip)
{
	uint32_t ip = raw_ip ? 0 : 14, at;
	if (len < ip + 20)
		return 0;
	if (data[ip] >> 4 == 4) {
		if (data[ip + 9] != 6 || be16(data + ip + 6) & 0x1fff)
			return 0;
		at = ip + (data[ip] & 15u) * 4;
	} else if (data[ip] >> 4 == 6 && data[ip + 6] == 6) {
		at = ip + 40;
	} else {
		return 0;
	}
	return at + 20 <= len ? at : 0;
}

void tern_note_sent(struct notes *notes, const uint8_t *data, uint32_t len, bool raw_ip,
	struct note_text *out)
{
	out->len = 0;
	if (!raw_ip && (len < 14 || (be16(data + 12) != 0x0800 && be16(data + 12) != 0x86dd)))
		return;
	uint32_t at = find_tcp(data, len, raw_ip);
	if (!at)
		return;
	const uint8_t *tcp = data + at;
	uint32_t seq = be16(tcp + 4) << 16 | be16(tcp + 6);
	/* The newest first: what is sent again says why this time. */
	for (uint32_t i = 1; i <= NOTE_SENT; i++) {
		struct note_key *key = &notes->sent[(notes->sent_next - i) % NOTE_SENT].key;
		if (!key->used || key->local != be16(tcp) || key->remote != be16(tcp + 2) ||
			key->seq != seq || (key->flags & 0xff) != tcp[13])
			continue;
		key->used = false;
		*out = notes->sent[(notes->sent_next - i) % NOTE_SENT].text;
		return;
	}
}
