/* TCP's part of the event stream. */
#include "transport/tcp/tcp.h"

static struct tern_trace_conn describe(const struct tcp *tcp, const struct tcb *tcb)
{
	return (struct tern_trace_conn){
		.handle = {tern_pool_slot(&tcp->tcbs, tcb), tcb->generation},
		.local = {tcb->path->src, tcb->local_port},
		.remote = {tcb->path->dst, tcb->remote_port},
		.state = tcb->state,
		.iss = tcb->snd.iss.v,
		.irs = tcb->rcv.irs.v,
		.snd_una = tcb->snd.una.v,
		.snd_nxt = tcb->snd.nxt.v,
		.rcv_nxt = tcb->rcv.nxt.v,
	};
}

static struct tern_trace about_conn(const struct tern_trace_conn *conn, enum tern_trace_kind kind)
{
	return (struct tern_trace){.kind = kind, .nif = -1, .has_conn = true, .conn = *conn};
}

static struct tern_trace about(const struct tcp *tcp, const struct tcb *tcb,
	enum tern_trace_kind kind)
{
	struct tern_trace_conn conn = describe(tcp, tcb);
	return about_conn(&conn, kind);
}

void tern_stub_drop(struct tcp *tcp, const struct tern_trace_conn *conn, enum tern_drop why)
{
	tcp->core->drop[why]++;
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about_conn(conn, TERN_TRACE_DROP);
	t.nif = tcp->core->nif;
	t.drop = why;
	tern_core_trace(tcp->core, &t);
}

void tern_tcp_drop(struct tcp *tcp, const struct tcb *tcb, enum tern_drop why)
{
	if (!tcb || !core_traced(tcp->core)) {
		tern_core_drop(tcp->core, why);
		return;
	}
	struct tern_trace_conn conn = describe(tcp, tcb);
	tern_stub_drop(tcp, &conn, why);
}

static void describe_options(struct tern_segment *out, const struct tcp_options *o)
{
	out->wscale = o->has & TCP_OPT_WSCALE ? (int8_t)o->wscale : -1;
	out->mss = o->has & TCP_OPT_MSS ? o->mss : 0;
	out->sack_ok = o->has & TCP_OPT_SACK_OK;
	out->timestamps = o->has & TCP_OPT_TIMESTAMP;
	if (out->timestamps) {
		out->tsval = o->tsval;
		out->tsecr = o->tsecr;
	}
	out->sack_count = o->has & TCP_OPT_SACK ? o->sack_count : 0;
	for (unsigned i = 0; i < out->sack_count; i++) {
		out->sack[i].lo = o->sack[i].lo.v;
		out->sack[i].hi = o->sack[i].hi.v;
	}
}

static void trace_segment(struct tcp *tcp, struct tern_trace *t, const struct tcp_segment *seg,
	uint32_t window)
{
	t->segment = (struct tern_segment){
		.seq = seg->seq.v,
		.ack = seg->ack.v,
		.len = seg->data_len,
		.window = window,
		.flags = seg->flags,
		.window_field = seg->window,
		.urgent = seg->urgent,
	};
	describe_options(&t->segment, &seg->options);
	tern_core_trace(tcp->core, t);
}

void tern_trace_segment(struct tcp *tcp, enum tern_trace_kind kind, const struct tcb *tcb,
	const struct ip_in *in, const struct tcp_segment *seg, uint32_t window)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = {.kind = kind, .nif = tcp->core->nif};
	if (tcb) {
		t.has_conn = true;
		t.conn = describe(tcp, tcb);
		t.nif = tcb->path->nif;
	} else if (in) {
		bool out = kind == TERN_TRACE_SEGMENT_OUT;
		t.conn.local = (struct tern_endpoint){in->dst, out ? seg->src_port : seg->dst_port};
		t.conn.remote =
			(struct tern_endpoint){in->src, out ? seg->dst_port : seg->src_port};
	}
	trace_segment(tcp, &t, seg, window);
}

void tern_trace_stub_segment(struct tcp *tcp, enum tern_trace_kind kind,
	const struct tern_trace_conn *conn, const struct tcp_segment *seg, uint32_t window)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about_conn(conn, kind);
	t.nif = tcp->core->nif;
	trace_segment(tcp, &t, seg, window);
}

void tern_trace_state(struct tcp *tcp, const struct tcb *tcb, enum tern_tcp_state from,
	enum tern_cause cause)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace_conn conn = describe(tcp, tcb);
	tern_trace_stub_state(tcp, &conn, from, cause);
}

void tern_trace_stub_state(struct tcp *tcp, const struct tern_trace_conn *conn,
	enum tern_tcp_state from, enum tern_cause cause)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about_conn(conn, TERN_TRACE_STATE);
	t.state.from = from;
	t.state.to = conn->state;
	t.state.cause = cause;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_listener_state(struct tcp *tcp, const struct listener *l, enum tern_tcp_state from,
	enum tern_tcp_state to, enum tern_cause cause)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = {.kind = TERN_TRACE_STATE, .nif = -1};
	t.conn.local = (struct tern_endpoint){l->addr, l->port};
	t.conn.state = to;
	t.state.from = from;
	t.state.to = to;
	t.state.cause = cause;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_retransmit(struct tcp *tcp, const struct tcb *tcb, const struct plan *plan)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about(tcp, tcb, TERN_TRACE_RETRANSMIT);
	t.retransmit.reason = plan->reason;
	t.retransmit.seq = plan->seq.v;
	t.retransmit.len = plan->len;
	bool timeless = tern_retransmit_fast(plan->reason) || plan->reason == TERN_RTX_PROBE;
	t.retransmit.count = timeless ? 0 : tcb->backoff;
	t.retransmit.rto = tern_rto_backed_off(tcp, tcb);
	tern_core_trace(tcp->core, &t);
}

void tern_trace_stub_retransmit(struct tcp *tcp, const struct tern_trace_conn *conn, uint32_t count,
	uint64_t rto)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about_conn(conn, TERN_TRACE_RETRANSMIT);
	t.retransmit.reason = TERN_RTX_SYN_ACK;
	t.retransmit.seq = conn->iss;
	t.retransmit.count = count;
	t.retransmit.rto = rto;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_window(struct tcp *tcp, const struct tcb *tcb)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about(tcp, tcb, TERN_TRACE_WINDOW);
	t.window.peer = tcb->snd.wnd;
	t.window.ours = tcb_offered(tcb);
	tern_core_trace(tcp->core, &t);
}

void tern_trace_queue(struct tcp *tcp, const struct listener *l)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = {.kind = TERN_TRACE_QUEUE, .nif = -1};
	t.conn.local = (struct tern_endpoint){l->addr, l->port};
	t.conn.state = TERN_TCP_LISTEN;
	t.queue.length = l->queued;
	t.queue.limit = l->backlog + 1;
	t.queue.half_open = l->half_open;
	t.queue.half_open_limit = tern_listen_half_open_limit(tcp, l);
	tern_core_trace(tcp->core, &t);
}

void tern_trace_rtt(struct tcp *tcp, const struct tcb *tcb, uint64_t sample)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about(tcp, tcb, TERN_TRACE_RTT);
	t.rtt.sample = sample;
	t.rtt.srtt = (uint64_t)tcb->srtt * 1000;
	t.rtt.rttvar = (uint64_t)tcb->rttvar * 1000;
	t.rtt.rto = tern_rto(tcp, tcb);
	tern_core_trace(tcp->core, &t);
}

void tern_trace_congestion(struct tcp *tcp, const struct tcb *tcb, const char *why)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about(tcp, tcb, TERN_TRACE_CONGESTION);
	t.congestion.cwnd = tcb->cwnd;
	t.congestion.ssthresh = tcb->ssthresh;
	t.congestion.in_flight = tcb_flight(tcb);
	t.congestion.why = why;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_segment_size(struct tcp *tcp, const struct tcb *tcb, uint32_t from, const char *why)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about(tcp, tcb, TERN_TRACE_SEGMENT_SIZE);
	t.segment_size.from = from;
	t.segment_size.to = tcb->mss;
	t.segment_size.why = why;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_stub_timer(struct tcp *tcp, const struct tern_trace_conn *conn,
	enum tern_timer which, bool fired, uint64_t deadline)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace t = about_conn(conn, TERN_TRACE_TIMER);
	t.timer.which = which;
	t.timer.fired = fired;
	t.timer.deadline = deadline;
	tern_core_trace(tcp->core, &t);
}

void tern_trace_timer(struct tcp *tcp, const struct tcb *tcb, enum tern_timer which, bool fired,
	uint64_t deadline)
{
	if (!core_traced(tcp->core))
		return;
	struct tern_trace_conn conn = describe(tcp, tcb);
	tern_trace_stub_timer(tcp, &conn, which, fired, deadline);
}
