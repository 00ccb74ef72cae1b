/*
 * Connections without a TCB: half-open ones (syncache.c) and those that wait out 2MSL (timewait.c).
 * Both answer segments as RFC 9293 3.10.7.4 says; what they share of its steps is here, over a
 * description of the connection that is made for the occasion.
 */
#include "transport/tcp/tcp.h"

#define CLOCK_MS   64u
#define CLOCK_MASK ((1u << STUB_CLOCK_BITS) - 1)

static uint32_t clock(const struct tcp *tcp)
{
	uint32_t now = now_ms(tcp) / CLOCK_MS & CLOCK_MASK;
	return now ? now : 1;
}

/* At most one reply in tcp_invalid_ratelimit to what draws no more than that, or two that are out
 * of step would answer each other for ever. */
bool tern_stub_may_reply(const struct tcp *tcp, struct stub *s, enum tern_counter skipped)
{
	uint32_t limit = (uint32_t)tcp->core->set.tcp_invalid_ratelimit, now = clock(tcp);
	uint32_t steps = (limit + CLOCK_MS - 1) / CLOCK_MS;
	if (s->replied && ((now - s->replied) & CLOCK_MASK) < steps) {
		core_count(tcp->core, skipped);
		return false;
	}
	s->replied = now;
	return true;
}

void tern_stub_send(struct tcp *tcp, const struct stub *s, uint16_t flags)
{
	const struct tern_trace_conn *c = &s->conn;
	struct tcp_segment seg = {
		.src_port = c->local.port,
		.dst_port = c->remote.port,
		.seq = seq(c->snd_nxt),
		.ack = seq(c->rcv_nxt),
		.flags = flags,
	};
	if (!(flags & TCP_RST))
		seg.window = s->window_field;
	if (s->timestamps && !(flags & TCP_RST)) {
		seg.options.has = TCP_OPT_TIMESTAMP;
		seg.options.tsval =
			now_ms(tcp) + tern_timestamp_offset(tcp, &c->local.addr, &c->remote.addr);
		seg.options.tsecr = s->ts_recent;
	}
	tern_trace_stub_segment(tcp, TERN_TRACE_SEGMENT_OUT, c, &seg, seg.window ? s->window : 0);
	tern_segment_alone(tcp, &c->local.addr, &c->remote.addr, &seg,
		(struct alone){.dscp = s->dscp});
}

/* RFC 5961 3.2: only the exact number resets. */
static struct verdict check_reset(const struct stub *s, const struct tcp_segment *seg)
{
	uint32_t ahead = seq_diff(seg->seq, seq(s->conn.rcv_nxt));
	if (ahead == 0)
		return CONTINUE;
	return ahead <= s->window ? verdict(VERDICT_CHALLENGE, TERN_DROP_TCP_RST_CHALLENGED)
				  : verdict(VERDICT_DROP, TERN_DROP_TCP_RST_OUT_OF_WINDOW);
}

/* RFC 7323 3.2 and 5.2 R1; ts_recent is not old enough to have expired. */
static struct verdict check_timestamps(struct tcp *tcp, const struct stub *s,
	const struct tcp_segment *seg)
{
	if (!s->timestamps)
		return CONTINUE;
	if (!(seg->options.has & TCP_OPT_TIMESTAMP))
		return verdict(VERDICT_DROP, TERN_DROP_TCP_NO_TIMESTAMP);
	if ((int32_t)(seg->options.tsval - s->ts_recent) >= 0)
		return CONTINUE;
	core_count(tcp->core, TERN_COUNT_TcpExtPAWSEstab);
	return verdict(seg->data_len ? VERDICT_ACK : VERDICT_ACK_PACED, TERN_DROP_TCP_PAWS);
}

/* RFC 9293 3.4, table 6, with the allowance of tern_window_step(). */
static struct verdict check_window(const struct stub *s, const struct tcp_segment *seg)
{
	tern_seq nxt = seq(s->conn.rcv_nxt), edge = seq_add(nxt, s->window);
	enum verdict_kind kind = seg->len ? VERDICT_ACK : VERDICT_ACK_PACED;
	if (seq_lt(seg->seq, nxt) && seq_leq(seq_add(seg->seq, seg->len), nxt))
		return verdict(kind, TERN_DROP_TCP_OLD_DUPLICATE);
	if (seq_gt(seg->seq, edge) || (seq_eq(seg->seq, edge) && seg->len && s->window))
		return verdict(kind, TERN_DROP_TCP_OUT_OF_WINDOW);
	return CONTINUE;
}

struct verdict tern_stub_check(struct tcp *tcp, const struct stub *s, const struct tcp_segment *seg)
{
	if (seg->flags & TCP_RST)
		return check_reset(s, seg);
	if (seg->flags & TCP_SYN) { /* RFC 5961 4.2, whatever its number */
		core_count(tcp->core, TERN_COUNT_TcpExtTCPSYNChallenge);
		return verdict(VERDICT_CHALLENGE, TERN_DROP_TCP_SYN_CHALLENGED);
	}
	struct verdict v = check_timestamps(tcp, s, seg);
	if (v.kind == VERDICT_CONTINUE)
		v = check_window(s, seg);
	if (v.kind == VERDICT_CONTINUE && !(seg->flags & TCP_ACK))
		v = verdict(VERDICT_DROP, TERN_DROP_TCP_NO_ACK_FLAG);
	return v;
}

void tern_stub_conclude(struct arrival *a, struct stub *s, struct verdict v)
{
	struct tcp *tcp = a->tcp;
	enum tern_counter skipped = v.why == TERN_DROP_TCP_PAWS ? TERN_COUNT_TcpExtTCPACKSkippedPAWS
								: TERN_COUNT_TcpExtTCPACKSkippedSeq;
	if (v.kind == VERDICT_CONTINUE)
		return;
	tern_stub_drop(tcp, &s->conn, v.why);
	switch (v.kind) {
	case VERDICT_CONTINUE:
	case VERDICT_DROP:
		break;
	case VERDICT_ACK:
		tern_stub_send(tcp, s, TCP_ACK);
		break;
	case VERDICT_ACK_PACED:
		if (tern_stub_may_reply(tcp, s, skipped))
			tern_stub_send(tcp, s, TCP_ACK);
		break;
	case VERDICT_CHALLENGE:
		if (!tern_stub_may_reply(tcp, s, TERN_COUNT_TcpExtTCPACKSkippedChallenge))
			break;
		core_count(tcp->core, TERN_COUNT_TcpExtTCPChallengeACK);
		tern_stub_send(tcp, s, TCP_ACK);
		break;
	case VERDICT_RESET:
		tern_reset_reply(tcp, a->in, a->seg);
		break;
	}
}
