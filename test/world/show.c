/* The event stream as text, for a person after a failure: numbers relative, a line an event. */
#include <stdio.h>

#include "test/world/world.h"

static void head(const struct host *h, const struct tern_trace *t)
{
	uint64_t since = t->now - h->world->start;
	printf("%10.6f  h%u ", (double)since / 1e9, h->index);
	if (t->has_conn || t->conn.local.port)
		printf("%u>%u:%u", t->conn.local.port, t->conn.remote.addr.byte[15],
			t->conn.remote.port);
	if (t->has_conn)
		printf(" #%u.%u %s", t->conn.handle.slot, t->conn.handle.generation,
			tern_tcp_state_name(t->conn.state));
}

static void show_segment(const struct tern_trace *t, bool out)
{
	const struct tern_segment *g = &t->segment;
	static const char letters[] = "FSRPAUEC";
	uint32_t seq0 = out ? t->conn.iss : t->conn.irs, ack0 = out ? t->conn.irs : t->conn.iss;
	printf("  %s ", out ? "-->" : "<--");
	for (unsigned i = 0; i < 8; i++)
		if (g->flags >> i & 1)
			putchar(letters[i]);
	printf(" %u+%u ack %u win %u", g->seq - seq0, g->len, g->ack - ack0, g->window);
	if (g->flags & 2)
		printf(" mss %u ws %d sack %d ts %d (seq %u)", g->mss, g->wscale, g->sack_ok,
			g->timestamps, g->seq);
	if (g->timestamps)
		printf(" ts %u/%u", g->tsval, g->tsecr);
	for (unsigned i = 0; i < g->sack_count; i++)
		printf(" [%u,%u)", g->sack[i].lo - ack0, g->sack[i].hi - ack0);
	printf(" | una %u nxt %u rcv %u\n", t->conn.snd_una - t->conn.iss,
		t->conn.snd_nxt - t->conn.iss, t->conn.rcv_nxt - t->conn.irs);
}

static void show_rest(const struct tern_trace *t)
{
	switch (t->kind) {
	case TERN_TRACE_STATE:
		printf("  ** %s -> %s: %s\n", tern_tcp_state_name(t->state.from),
			tern_tcp_state_name(t->state.to), tern_cause_text(t->state.cause));
		break;
	case TERN_TRACE_RETRANSMIT:
		printf("  again %u+%u: %s, %u in a row, rto %.3f\n",
			t->retransmit.seq - t->conn.iss, t->retransmit.len,
			tern_retransmit_text(t->retransmit.reason), t->retransmit.count,
			(double)t->retransmit.rto / 1e9);
		break;
	case TERN_TRACE_WINDOW:
		printf("  windows: peer %u ours %u\n", t->window.peer, t->window.ours);
		break;
	case TERN_TRACE_QUEUE:
		printf("  queue %u/%u half-open %u/%u\n", t->queue.length, t->queue.limit,
			t->queue.half_open, t->queue.half_open_limit);
		break;
	case TERN_TRACE_DROP:
		printf("  drop: %s\n", tern_drop_text(t->drop));
		break;
	case TERN_TRACE_RTT:
		printf("  rtt %.6f srtt %.6f rto %.6f\n", (double)t->rtt.sample / 1e9,
			(double)t->rtt.srtt / 1e9, (double)t->rtt.rto / 1e9);
		break;
	case TERN_TRACE_CONGESTION:
		printf("  cwnd %u ssthresh %u flight %u: %s\n", t->congestion.cwnd,
			t->congestion.ssthresh, t->congestion.in_flight, t->congestion.why);
		break;
	case TERN_TRACE_SEGMENT_SIZE:
		printf("  segment size %u, was %u: %s\n", t->segment_size.to, t->segment_size.from,
			t->segment_size.why);
		break;
	case TERN_TRACE_TIMER:
		printf("  timer %s %s, %+.6f\n", tern_timer_text(t->timer.which),
			t->timer.fired ? "fired" : "armed",
			((double)t->timer.deadline - (double)t->now) / 1e9);
		break;
	case TERN_TRACE_FRAME_IN:
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
		break;
	}
}

void show_trace(const struct host *h, const struct tern_trace *t)
{
	if (t->kind == TERN_TRACE_FRAME_IN || t->kind == TERN_TRACE_FRAME_OUT ||
		t->kind == TERN_TRACE_FRAME_DONE)
		return;
	head(h, t);
	if (t->kind == TERN_TRACE_SEGMENT_IN || t->kind == TERN_TRACE_SEGMENT_OUT)
		show_segment(t, t->kind == TERN_TRACE_SEGMENT_OUT);
	else
		show_rest(t);
}
