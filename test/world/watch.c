/*
 * The observer: keeps its own account of every connection from the segments a stack says it sends
 * and receives, and holds the stack to the rules of RFC 9293 with it.
 */
#include <stdlib.h>
#include <string.h>

#include "test/world/world.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static bool same_pair(const struct sight *s, const struct tern_trace_conn *conn)
{
	return memcmp(&s->local, &conn->local, sizeof s->local) == 0 &&
	       memcmp(&s->remote, &conn->remote, sizeof s->remote) == 0;
}

/* What is half-open, or has shrunk to an entry in TIME_WAIT, has no handle: it is known by its
 * endpoints. */
static struct sight *find_without(struct host *h, const struct tern_trace_conn *conn)
{
	for (uint32_t i = 0; i < h->without_size; i++)
		if (h->without[i].generation && same_pair(&h->without[i], conn))
			return &h->without[i];
	return NULL;
}

static struct sight *vacant_without(struct host *h)
{
	for (uint32_t i = 0; i < h->without_size; i++)
		if (!h->without[i].generation)
			return &h->without[i];
	uint32_t was = h->without_size;
	h->without_size = was ? 2 * was : 16;
	h->without = realloc(h->without, h->without_size * sizeof *h->without);
	memset(h->without + was, 0, (h->without_size - was) * sizeof *h->without);
	return &h->without[was];
}

/* The TCB that it was, if it was one: in TIME_WAIT, with these endpoints. */
static struct sight *sight_without(struct host *h, const struct tern_trace_conn *conn)
{
	struct sight *s = find_without(h, conn);
	if (s)
		return s;
	s = vacant_without(h);
	*s = (struct sight){.state = TERN_TCP_STATES, .local = conn->local, .remote = conn->remote};
	for (uint32_t i = 0; i < h->sights_size; i++)
		if (h->sights[i].state == TERN_TCP_TIME_WAIT && same_pair(&h->sights[i], conn)) {
			*s = h->sights[i];
			h->sights[i].state = TERN_TCP_CLOSED;
			break;
		}
	s->generation = 1;
	return s;
}

static struct sight *sight_of_handle(struct host *h, const struct tern_conn *handle)
{
	uint32_t slot = handle->slot;
	if (slot >= h->sights_size) {
		uint32_t size = h->sights_size ? h->sights_size : 64;
		while (size <= slot)
			size *= 2;
		if (size > 1u << 22) {
			world_fail(h->world, "host %u gave a connection slot %u", h->index, slot);
			return &h->sights[0];
		}
		h->sights = realloc(h->sights, size * sizeof *h->sights);
		memset(h->sights + h->sights_size, 0, (size - h->sights_size) * sizeof *h->sights);
		h->sights_size = size;
	}
	struct sight *s = &h->sights[slot];
	if (s->generation != handle->generation)
		*s = (struct sight){.generation = handle->generation, .state = TERN_TCP_STATES};
	return s;
}

/* The first that is heard of a handle may be what was half-open until then. */
static struct sight *sight_of(struct host *h, const struct tern_trace_conn *conn)
{
	if (conn->handle.slot == UINT32_MAX)
		return sight_without(h, conn);
	struct sight *s = sight_of_handle(h, &conn->handle), *was = NULL;
	if (s->state == TERN_TCP_STATES)
		was = find_without(h, conn);
	if (was) {
		*s = *was;
		s->generation = conn->handle.generation;
		was->generation = 0;
	}
	s->local = conn->local;
	s->remote = conn->remote;
	return s;
}

static void fail(struct host *h, const struct tern_trace *t, const char *what)
{
	char local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT];
	const struct tern_segment *g = &t->segment;
	world_fail(h->world,
		"host %u %s %s %s: %s (seq %u len %u flags %03x ack %u win %u; una %u nxt %u rcv "
		"%u)",
		h->index, tern_endpoint_format(&t->conn.local, local),
		tern_endpoint_format(&t->conn.remote, remote), tern_tcp_state_name(t->conn.state),
		what, g->seq - t->conn.iss, g->len, g->flags, g->ack - t->conn.irs, g->window,
		t->conn.snd_una - t->conn.iss, t->conn.snd_nxt - t->conn.iss,
		t->conn.rcv_nxt - t->conn.irs);
}

/* --- states ------------------------------------------------------------------------------ */

static void see_state(struct host *h, const struct tern_trace *t)
{
	enum tern_tcp_state from = t->state.from, to = t->state.to;
	if (from >= TERN_TCP_STATES || to >= TERN_TCP_STATES) {
		world_fail(h->world, "host %u: a state out of range", h->index);
		return;
	}
	h->world->result.edges[from][to]++;
	if (!tern_tcp_edge_legal(from, to))
		world_fail(h->world, "host %u: illegal edge %s to %s", h->index,
			tern_tcp_state_name(from), tern_tcp_state_name(to));
	if (!t->has_conn)
		return;
	struct sight *s = sight_of(h, &t->conn);
	if (s->state != TERN_TCP_STATES && s->state != from)
		world_fail(h->world, "host %u: edge %s to %s, but it was in %s", h->index,
			tern_tcp_state_name(from), tern_tcp_state_name(to),
			tern_tcp_state_name(s->state));
	if (s->state == TERN_TCP_STATES && from != TERN_TCP_CLOSED && from != TERN_TCP_LISTEN)
		world_fail(h->world, "host %u: a connection was born in %s", h->index,
			tern_tcp_state_name(from));
	s->state = to;
	if (t->conn.handle.slot == UINT32_MAX && to == TERN_TCP_CLOSED)
		s->generation = 0;
	if (t->state.cause == TERN_CAUSE_COOKIE) { /* its SYN-ACK went out before it was */
		s->sent = true;
		s->snd_max = t->conn.iss + 1;
		s->slack = (1u << 14) - 1;
		s->peer_edge = h->stray.ack + h->stray.window_field; /* or scaled: see_window */
		s->by_cookie = true;
		s->edged = true;
	}
	if (s->app && s->app->like.ends_in == to && to != TERN_TCP_CLOSED && !s->app->state_seen) {
		s->app->state_seen = true;
		s->app->wake = h->world->now;
	}
}

/* --- segments ----------------------------------------------------------------------------- */

static void see_in(struct host *h, const struct tern_trace *t)
{
	const struct tern_segment *g = &t->segment;
	if (!t->has_conn)
		h->stray = *g;
	if (!t->has_conn || g->flags & RST)
		return;
	struct sight *s = sight_of(h, &t->conn);
	uint32_t edge = g->ack + g->window;
	s->by_cookie = false;
	if (!(g->flags & ACK))
		edge = t->conn.iss + 1 + g->window; /* SYN without ACK: RFC 9293 3.10.7.3 */
	else if (s->sent && before(s->snd_max, g->ack))
		return; /* nothing of ours: no promise to us */
	if (!s->edged || before(s->peer_edge, edge))
		s->peer_edge = edge;
	s->edged = true;
}

/* The segment that brought a cookie back came for nobody: only the stack can say how it scaled that
 * window. */
static void see_window(struct host *h, const struct tern_trace *t)
{
	struct sight *s = t->has_conn ? sight_of(h, &t->conn) : NULL;
	if (s && s->by_cookie)
		s->peer_edge = t->conn.snd_una + t->window.peer;
}

static void check_numbers(struct host *h, const struct tern_trace *t, struct sight *s)
{
	const struct tern_segment *g = &t->segment;
	uint32_t end = g->seq + g->len + (g->flags & FIN ? 1 : 0);
	bool new = before(s->snd_max, end);
	if (before(s->snd_max, g->seq))
		fail(h, t, "sends beyond what it has sent");
	if (before(g->seq, t->conn.snd_una - 1) || (g->len && before(g->seq, t->conn.snd_una)))
		fail(h, t, "sends what is acknowledged already");
	if (new && s->fin_sent)
		fail(h, t, "sends after its FIN");
	if (g->flags & FIN && s->fin_sent && s->fin_at != end)
		fail(h, t, "sends a second FIN elsewhere");
	if (new && (!s->edged || before(s->peer_edge, end)))
		fail(h, t, "sends beyond the peer's window");
	if (g->flags & FIN) {
		s->fin_sent = true;
		s->fin_at = end;
	}
	if (new)
		s->snd_max = end;
}

static void check_offer(struct host *h, const struct tern_trace *t, struct sight *s)
{
	const struct tern_segment *g = &t->segment;
	uint32_t edge = g->ack + g->window;
	if (g->ack != t->conn.rcv_nxt)
		fail(h, t, "acknowledges something else than RCV.NXT");
	if (s->offered && before(g->ack, s->last_ack))
		fail(h, t, "takes an acknowledgement back");
	/* A SYN cannot say more than 65,535 (RFC 7323 2.2), whatever an ACK said meanwhile. */
	if (s->offered && !(g->flags & SYN) && before(edge + s->slack, s->our_edge))
		fail(h, t, "takes window back");
	if (!s->offered || before(s->our_edge, edge))
		s->our_edge = edge;
	s->offered = true;
	s->last_ack = g->ack;
}

static void see_out(struct host *h, const struct tern_trace *t)
{
	const struct tern_segment *g = &t->segment;
	h->world->result.segments++;
	h->world->result.bytes_sent += g->len;
	if (!t->has_conn || g->flags & RST)
		return;
	struct sight *s = sight_of(h, &t->conn);
	if (g->flags & SYN) {
		if (g->flags & FIN || g->len)
			fail(h, t, "sends a strange SYN");
		if (s->sent && g->seq != s->snd_max - 1 && g->seq != t->conn.iss)
			fail(h, t, "sends its SYN with another number");
		if (!s->sent)
			s->snd_max = g->seq + 1;
		if (g->wscale > 0)
			s->slack = (1u << g->wscale) - 1;
		s->sent = true;
	} else {
		if (!(g->flags & ACK))
			fail(h, t, "sends a segment without ACK");
		if (!s->sent)
			fail(h, t, "sends before its SYN");
		check_numbers(h, t, s);
	}
	if (g->flags & ACK)
		check_offer(h, t, s);
}

/* --- retransmissions and timers -------------------------------------------------------------- */

static void see_retransmit(struct host *h, const struct tern_trace *t)
{
	uint32_t seq = t->retransmit.seq, una = t->conn.snd_una;
	enum tern_retransmit_reason why = t->retransmit.reason;
	if (why >= TERN_RTX_REASONS)
		return;
	h->world->result.resent[why]++;
	if (why == TERN_RTX_SYN || why == TERN_RTX_SYN_ACK || why == TERN_RTX_PMTU)
		return;
	bool first = why == TERN_RTX_TIMEOUT || why == TERN_RTX_PARTIAL_ACK;
	if (first ? seq != una : before(seq, una) || !before(seq, t->conn.snd_nxt))
		world_fail(h->world,
			"host %u sends number %u again (%s), but %u is the first missing", h->index,
			seq - t->conn.iss, tern_retransmit_text(why), una - t->conn.iss);
	if ((why == TERN_RTX_TIMEOUT) != (t->retransmit.count > 0) && why != TERN_RTX_AFTER_TIMEOUT)
		world_fail(h->world, "host %u sends again (%s) after %u timeouts", h->index,
			tern_retransmit_text(why), t->retransmit.count);
}

/* A timer is as late as a tick of the wheel and the device's slowness make it, no later. */
static void see_timer(struct host *h, const struct tern_trace *t)
{
	if (!t->has_conn || t->timer.which >= TERN_TIMERS)
		return;
	uint64_t *at = &sight_of(h, &t->conn)->timer[t->timer.which];
	if (!t->timer.fired) {
		*at = t->timer.deadline;
		return;
	}
	if (*at && (t->now < *at || t->now - *at > 2 * MS))
		world_fail(h->world, "host %u: timer %s was due at %.6f s", h->index,
			tern_timer_text(t->timer.which), (double)(*at - h->world->start) / 1e9);
	*at = 0;
}

void watch_see(void *context, const struct tern_trace *t)
{
	struct host *h = context;
	if (h->world->verbose > 1)
		show_trace(h, t);
	if (h->capture.see)
		h->capture.see(h->capture.context, t);
	if (t->now != h->world->now)
		world_fail(h->world, "host %u: an event of another time", h->index);
	switch (t->kind) {
	case TERN_TRACE_STATE:
		see_state(h, t);
		break;
	case TERN_TRACE_SEGMENT_IN:
		see_in(h, t);
		break;
	case TERN_TRACE_WINDOW:
		see_window(h, t);
		break;
	case TERN_TRACE_SEGMENT_OUT:
		see_out(h, t);
		break;
	case TERN_TRACE_RETRANSMIT:
		see_retransmit(h, t);
		break;
	case TERN_TRACE_TIMER:
		see_timer(h, t);
		break;
	case TERN_TRACE_FRAME_IN:
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
	case TERN_TRACE_QUEUE:
	case TERN_TRACE_DROP:
	case TERN_TRACE_RTT:
	case TERN_TRACE_CONGESTION:
	case TERN_TRACE_SEGMENT_SIZE:
		break;
	}
}

void watch_adopt(struct host *h, struct conn *c)
{
	struct sight *s = sight_of_handle(h, &c->handle);
	if (s->app)
		world_fail(h->world, "host %u gave one connection twice", h->index);
	s->app = c;
	if (s->state == c->like.ends_in && s->state != TERN_TCP_CLOSED)
		c->state_seen = true;
}

void watch_forget(struct host *h, struct conn *c)
{
	if (c->handle.slot < h->sights_size &&
		h->sights[c->handle.slot].generation == c->handle.generation)
		h->sights[c->handle.slot].app = NULL;
}
