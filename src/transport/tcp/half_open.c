/* The life of a half-open connection: SYN_RECEIVED of RFC 9293 3.10.7.4, without a TCB. */
#include "transport/tcp/tcp.h"

#define PACKET_ROOM 256u /* memory that a SYN-ACK takes in the device's queue, at most */

struct listener *tern_half_open_listener(const struct tcp *tcp, const struct syn *e)
{
	return tern_demux_listener(tcp, &e->local, e->local_port);
}

struct stub tern_half_open_stub(const struct tcp *tcp, const struct listener *l,
	const struct syn *e)
{
	uint32_t window = tern_listen_told(tcp, l, e);
	return (struct stub){
		.conn = {.handle = TERN_NO_CONN,
			.local = {e->local, e->local_port},
			.remote = {e->remote, e->remote_port},
			.state = TERN_TCP_SYN_RECEIVED,
			.iss = e->iss.v,
			.irs = e->irs.v,
			.snd_una = e->iss.v,
			.snd_nxt = e->iss.v + e->sent,
			.rcv_nxt = e->irs.v + 1},
		.window = window,
		.window_field = (uint16_t)(window >> e->link.rcv_wscale),
		.timestamps = e->timestamps,
		.dscp = l->dscp,
		.ts_recent = e->ts_recent,
		.replied = e->replied,
	};
}

/* --- its beginning -------------------------------------------------------------------------- */

/* What the SYN offers and our settings agree to. */
static void agree(const struct tcp *tcp, const struct listener *l, struct syn *e,
	const struct tcp_segment *syn)
{
	const struct settings *set = &tcp->core->set;
	const struct tcp_options *o = &syn->options;
	bool scaled = set->tcp_window_scaling && o->has & TCP_OPT_WSCALE;
	e->mss = o->has & TCP_OPT_MSS ? o->mss : 0;
	e->link.snd_wscale = scaled ? o->wscale & 0xfu : SYN_NO_WSCALE;
	e->link.rcv_wscale = scaled ? tern_listen_scale(tcp, l) & 0xfu : 0;
	e->sack = set->tcp_sack && o->has & TCP_OPT_SACK_OK;
	e->timestamps = set->tcp_timestamps && o->has & TCP_OPT_TIMESTAMP;
	e->ts_recent = o->tsval;
	e->ecn = set->tcp_ecn && tern_ecn_setup(syn->flags);
}

bool tern_half_open_begin(const struct arrival *a, struct listener *l, uint32_t iss_floor)
{
	struct tcp *tcp = a->tcp;
	struct syn *e = tern_syncache_add(tcp, &a->pair);
	if (!e)
		return false;
	tern_seq isn = tern_isn(tcp, &e->local, e->local_port, &e->remote, e->remote_port);
	e->iss = iss_floor && seq_lt(isn, seq(iss_floor)) ? seq(iss_floor) : isn;
	e->irs = a->seg->seq;
	agree(tcp, l, e, a->seg);
	tern_listen_half_open(tcp, l, &e->remote, 1);
	struct stub s = tern_half_open_stub(tcp, l, e);
	tern_state_stub(tcp, &s.conn, TERN_TCP_LISTEN, TERN_CAUSE_SYN);
	tern_trace_queue(tcp, l);
	return true;
}

void tern_half_open_syn(const struct syn *e, struct tcp_segment *syn)
{
	bool scaled = e->link.snd_wscale != SYN_NO_WSCALE;
	*syn = (struct tcp_segment){.src_port = e->remote_port,
		.dst_port = e->local_port,
		.seq = e->irs,
		.flags = (uint16_t)(TCP_SYN | (e->ecn ? TCP_ECE | TCP_CWR : 0))};
	struct tcp_options *o = &syn->options;
	o->has = (uint8_t)((e->mss ? TCP_OPT_MSS : 0) | (scaled ? TCP_OPT_WSCALE : 0) |
			   (e->sack ? TCP_OPT_SACK_OK : 0) |
			   (e->timestamps ? TCP_OPT_TIMESTAMP : 0));
	o->mss = e->mss;
	o->wscale = scaled ? (uint8_t)e->link.snd_wscale : 0;
	o->tsval = e->ts_recent;
}

/* --- its SYN-ACK ---------------------------------------------------------------------------- */

static void count_again(struct tcp *tcp, const struct syn *e, const struct stub *s)
{
	core_count(tcp->core, TERN_COUNT_TcpExtTCPSynRetrans);
	tern_trace_stub_retransmit(tcp, &s->conn, e->link.tries,
		(uint64_t)tern_syncache_wait(tcp, e->link.tries) * 1000);
}

/* Says it, on that interface. 0, or why it is lost. */
static int syn_ack(struct tcp *tcp, const struct syn *e, int nif)
{
	struct listener *l = tern_half_open_listener(tcp, e);
	tern_listen_settle_window(tcp, l);
	struct stub s = tern_half_open_stub(tcp, l, e);
	struct tcp_segment syn, answer;
	uint32_t now = now_ms(tcp) + tern_timestamp_offset(tcp, &e->local, &e->remote);
	tern_half_open_syn(e, &syn);
	tern_listen_answer(tcp, l, nif, &syn, now, e->link.rcv_wscale, &answer);
	answer.seq = e->iss;
	answer.window = (uint16_t)s.window;
	if (e->sent)
		count_again(tcp, e, &s);
	s.conn.snd_nxt = e->iss.v + 1;
	tern_trace_stub_segment(tcp, TERN_TRACE_SEGMENT_OUT, &s.conn, &answer, answer.window);
	return tern_segment_alone(tcp, &e->local, &e->remote, &answer,
		(struct alone){.dscp = l->dscp, .again = e->sent});
}

static bool device_has_room(const struct tcp *tcp, int nif)
{
	return tern_link_room(tcp->ip->link, nif, 1, PACKET_ROOM);
}

int tern_half_open_send(struct tcp *tcp, const struct syn *e, int nif)
{
	return device_has_room(tcp, nif) ? syn_ack(tcp, e, nif) : TERN_EAGAIN;
}

/* --- its time ------------------------------------------------------------------------------- */

uint32_t tern_half_open_retries(const struct tcp *tcp, const struct listener *l)
{
	return l->syn_retries ? l->syn_retries : (uint32_t)tcp->core->set.tcp_synack_retries;
}

/* TCP_DEFER_ACCEPT as Linux has it: with an ACK here nothing is said again until the time is almost
 * up; then once more, to draw another, which is enough. */
bool tern_half_open_over(const struct tcp *tcp, const struct syn *e)
{
	const struct listener *l = tern_half_open_listener(tcp, e);
	return e->link.tries >= tern_half_open_retries(tcp, l) &&
	       (!e->link.acked || e->link.tries >= l->defer);
}

bool tern_half_open_repeats(const struct tcp *tcp, const struct syn *e)
{
	const struct listener *l = tern_half_open_listener(tcp, e);
	return !e->link.acked || e->link.tries + 1u >= l->defer;
}

/* --- its end -------------------------------------------------------------------------------- */

static void forget(struct tcp *tcp, struct listener *l, struct syn *e)
{
	l->outdated -= e->link.outdated;
	tern_listen_half_open(tcp, l, &e->remote, -1);
	tern_syncache_remove(tcp, e);
}

void tern_half_open_end(struct tcp *tcp, struct listener *l, struct syn *e, enum tern_cause cause)
{
	struct stub s = tern_half_open_stub(tcp, l, e);
	s.conn.state = TERN_TCP_CLOSED;
	forget(tcp, l, e);
	tern_state_stub(tcp, &s.conn, TERN_TCP_SYN_RECEIVED, cause);
	tern_trace_queue(tcp, l);
}

void tern_half_open_reset(struct tcp *tcp, struct listener *l, struct syn *e)
{
	struct stub s = tern_half_open_stub(tcp, l, e);
	tern_stub_send(tcp, &s, TCP_RST | TCP_ACK);
	tern_half_open_end(tcp, l, e, TERN_CAUSE_ABORT);
}

/* RFC 5927 5.2, as Linux: that nobody there speaks TCP, or not on that port, ends it; that nobody
 * can be reached may pass. */
bool tern_half_open_icmp(struct tcp *tcp, const struct tcp_pair *pair, tern_seq quoted, bool hard)
{
	struct syn *e = tern_syncache_find(tcp, pair);
	if (!e || !e->sent || !seq_eq(quoted, e->iss))
		return false;
	if (hard)
		tern_half_open_end(tcp, tern_half_open_listener(tcp, e), e, TERN_CAUSE_UNREACHABLE);
	return true;
}

/* --- a segment for it ------------------------------------------------------------------------ */

/* The peer's SYN again: our SYN-ACK was lost. The clock does not start anew, or who repeats a SYN
 * for ever would stay for ever. */
static void again(struct tcp *tcp, struct syn *e, struct stub *s, const struct tcp_segment *syn)
{
	/* RFC 3168 6.1.1.1: it has given that up. */
	e->ecn &= tern_ecn_setup(syn->flags);
	int nif = tern_ip_nif(tcp->ip, &e->remote);
	if (!e->sent || nif < 0 ||
		!tern_stub_may_reply(tcp, s, TERN_COUNT_TcpExtTCPACKSkippedSynRecv))
		return;
	e->replied = s->replied & ((1u << STUB_CLOCK_BITS) - 1);
	if (tern_half_open_send(tcp, e, nif) == 0)
		e->resent = true;
}

/* TCP_DEFER_ACCEPT: the handshake is complete, but nobody is told before there is data. */
static bool deferred(struct tcp *tcp, const struct listener *l, struct syn *e,
	const struct tcp_segment *seg, const struct stub *s)
{
	if (e->link.tries >= l->defer || seg->len > 0)
		return false;
	e->link.acked = true;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPDeferAcceptDrop);
	tern_stub_drop(tcp, &s->conn, TERN_DROP_TCP_DEFER_ACCEPT);
	return true;
}

/* The third segment of the handshake: a connection, if the accept queue has room. */
static struct tcb *third(struct arrival *a, struct listener *l, struct syn *e, const struct stub *s)
{
	struct tcp *tcp = a->tcp;
	if (tern_listen_overflows(tcp, l)) { /* it will be said again */
		e->resent = true;            /* what comes later times nothing */
		tern_stub_drop(tcp, &s->conn, TERN_DROP_TCP_LISTEN_OVERFLOW);
		if (tcp->core->set.tcp_abort_on_overflow)
			tern_half_open_reset(tcp, l, e);
		return NULL;
	}
	struct tcb *tcb = tern_listen_promote(tcp, l, e, a);
	if (!tcb)
		return NULL;
	forget(tcp, l, e);
	return tcb;
}

struct tcb *tern_half_open_input(struct arrival *a, struct syn *e)
{
	struct tcp *tcp = a->tcp;
	const struct tcp_segment *seg = a->seg;
	struct listener *l = tern_half_open_listener(tcp, e);
	tern_listen_settle_window(tcp, l);
	struct stub s = tern_half_open_stub(tcp, l, e);
	bool scaled = !(seg->flags & TCP_SYN) && e->link.snd_wscale != SYN_NO_WSCALE;
	tern_trace_stub_segment(tcp, TERN_TRACE_SEGMENT_IN, &s.conn, seg,
		(uint32_t)seg->window << (scaled ? e->link.snd_wscale : 0));
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && seq_eq(seg->seq, e->irs)) {
		tern_stub_drop(tcp, &s.conn, TERN_DROP_TCP_OLD_DUPLICATE);
		again(tcp, e, &s, seg);
		return NULL;
	}
	struct verdict v = tern_stub_check(tcp, &s, seg);
	if (v.kind == VERDICT_CONTINUE && seg->flags & TCP_RST) {
		tern_half_open_end(tcp, l, e, TERN_CAUSE_RST);
		return NULL;
	}
	/* Fifth: what acknowledges nothing of ours is reset, and the rest goes on. */
	if (v.kind == VERDICT_CONTINUE && (!e->sent || !seq_eq(seg->ack, seq_add(e->iss, 1))))
		v = verdict(VERDICT_RESET, TERN_DROP_TCP_BAD_ACK);
	tern_stub_conclude(a, &s, v);
	e->replied = s.replied & ((1u << STUB_CLOCK_BITS) - 1);
	if (v.kind != VERDICT_CONTINUE || deferred(tcp, l, e, seg, &s))
		return NULL;
	return third(a, l, e, &s);
}
