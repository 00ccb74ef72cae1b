#include <tern/ladder.h>

#include <stdlib.h>
#include <string.h>

#include "host/ladder_rows.h"
#include "host/ladder_set.h"

static bool same_endpoint(const struct tern_endpoint *a, const struct tern_endpoint *b)
{
	return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

/* Which side of the connection these endpoints speak for; -1: it is another connection. */
static int side_of(const struct ladder_conn *c, const struct tern_trace_conn *t)
{
	for (int s = 0; s < 2; s++)
		if (same_endpoint(&c->side[s].endpoint, &t->local) &&
			same_endpoint(&c->side[!s].endpoint, &t->remote))
			return s;
	return -1;
}

static bool side_gone(const struct side *side)
{
	return !side->known || side->state == TERN_TCP_CLOSED || side->state == TERN_TCP_TIME_WAIT;
}

/* The same endpoints begin anew: nothing of the old connection is left but TIME_WAIT. */
static bool reborn(const struct ladder_conn *c, const struct tern_trace *t, int local)
{
	if (!side_gone(&c->side[0]) || !side_gone(&c->side[1]) || !c->opened)
		return false;
	if (t->kind == TERN_TRACE_STATE)
		return t->state.to == TERN_TCP_SYN_SENT;
	if (t->kind != TERN_TRACE_SEGMENT_IN && t->kind != TERN_TRACE_SEGMENT_OUT)
		return false;
	int from = t->kind == TERN_TRACE_SEGMENT_OUT ? local : !local;
	return (t->segment.flags & (SYN | ACK | RST)) == SYN && c->side[from].syn &&
	       c->side[from].isn != t->segment.seq;
}

static bool fits(const struct tern_endpoint *wanted, const struct tern_endpoint *is)
{
	return (wanted->port == 0 || wanted->port == is->port) &&
	       (tern_addr_is_unspecified(&wanted->addr) ||
		       tern_addr_equal(&wanted->addr, &is->addr));
}

static bool wanted(const struct tern_ladder *l, const struct tern_trace_conn *t)
{
	const struct tern_endpoint *between = l->opts.between;
	return (fits(&between[0], &t->local) && fits(&between[1], &t->remote)) ||
	       (fits(&between[1], &t->local) && fits(&between[0], &t->remote));
}

/* Only what begins a connection, or belongs to one, begins a ladder. */
static bool begins(const struct tern_trace *t)
{
	if (t->conn.remote.port == 0)
		return false;
	if (t->kind == TERN_TRACE_STATE)
		return t->state.to == TERN_TCP_SYN_SENT;
	if (t->kind != TERN_TRACE_SEGMENT_IN && t->kind != TERN_TRACE_SEGMENT_OUT)
		return false;
	return t->has_conn || (t->segment.flags & (SYN | ACK | RST)) == SYN;
}

static struct ladder_conn *begin(struct tern_ladder *l, const struct tern_trace *t)
{
	if (l->count == l->opts.connections || !begins(t) || !wanted(l, &t->conn))
		return NULL;
	struct ladder_conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	bool outward = t->kind != TERN_TRACE_SEGMENT_IN;
	/* The SYN-ACK alone tells as well who the client is. */
	if (t->kind != TERN_TRACE_STATE && (t->segment.flags & (SYN | ACK)) == (SYN | ACK))
		outward = !outward;
	c->side[0].endpoint = outward ? t->conn.local : t->conn.remote;
	c->side[1].endpoint = outward ? t->conn.remote : t->conn.local;
	c->origin = c->rtt = TERN_NEVER;
	c->fold_over = l->opts.fold;
	c->limit = l->opts.rows;
	l->conn[l->count++] = c;
	return c;
}

/* The newest first: endpoints may have been used before. */
static struct ladder_conn *find(struct tern_ladder *l, const struct tern_trace *t, int *local)
{
	for (unsigned i = l->count; i-- > 0;) {
		*local = side_of(l->conn[i], &t->conn);
		if (*local < 0)
			continue;
		if (!reborn(l->conn[i], t, *local))
			return l->conn[i];
		break;
	}
	struct ladder_conn *c = begin(l, t);
	*local = c ? side_of(c, &t->conn) : -1;
	return c;
}

static void commit(struct ladder_conn *c)
{
	struct row *row = &c->current;
	if (!c->open)
		return;
	c->open = false;
	for (unsigned s = 0; s < 2; s++) {
		row->known[s] = c->side[s].known;
		row->state[s] = c->side[s].state;
	}
	if (c->arriving) {
		tern_ladder_arrive(c, row);
		return;
	}
	tern_ladder_name(c, row);
	tern_ladder_infer(c, row);
	tern_ladder_append(c, row);
}

/* A change of state that led to no segment becomes a row of its own. */
static void flush_move(struct ladder_conn *c, unsigned s)
{
	struct side *side = &c->side[s];
	if (!side->moved.set)
		return;
	side->moved.set = false;
	struct row row = {.kind = ROW_STATE,
		.from = (uint8_t)s,
		.moved = true,
		.was = side->moved.from,
		.cause = side->moved.cause,
		.at = {TERN_NEVER, TERN_NEVER}};
	row.at[s] = side->moved.at;
	for (unsigned i = 0; i < 2; i++) {
		row.known[i] = c->side[i].known;
		row.state[i] = c->side[i].state;
	}
	row.state[s] = side->moved.to;
	row.known[s] = true;
	tern_ladder_append(c, &row);
}

/* This segment is what the state was changed for. */
static bool leads_to(enum tern_tcp_state state, uint16_t flags)
{
	if (state == TERN_TCP_SYN_SENT || state == TERN_TCP_SYN_RECEIVED)
		return flags & SYN;
	if (state == TERN_TCP_FIN_WAIT_1 || state == TERN_TCP_LAST_ACK)
		return flags & FIN;
	return state == TERN_TCP_CLOSED && flags & RST;
}

static void take_reasons(struct ladder_conn *c, struct row *row, unsigned from)
{
	struct side *side = &c->side[from];
	if (side->moved.set && leads_to(side->moved.to, row->segment.flags)) {
		row->moved = true;
		row->cause = side->moved.cause;
		side->moved.set = false;
	}
	flush_move(c, from);
	if (side->resend.set && side->resend.seq == row->segment.seq) {
		row->resent = true;
		row->reason = side->resend.reason;
		row->count = side->resend.count;
	}
	row->probe = side->probe;
	side->resend.set = side->probe = false;
}

static void take_segment(struct tern_ladder *l, struct ladder_conn *c, unsigned local,
	const struct tern_trace *t)
{
	bool out = t->kind == TERN_TRACE_SEGMENT_OUT;
	unsigned from = out ? local : !local;
	struct row *row = &c->current;
	commit(c);
	c->side[local].seen = true;
	if (t->has_conn) {
		c->side[local].known = true;
		c->side[local].state = t->conn.state;
	}
	*row = (struct row){.kind = ROW_SEGMENT,
		.from = (uint8_t)from,
		.at = {TERN_NEVER, TERN_NEVER},
		.segment = t->segment};
	row->at[local] = t->now;
	if (c->origin == TERN_NEVER)
		c->origin = t->now;
	if (out)
		take_reasons(c, row, from);
	else
		flush_move(c, local);
	c->arriving = !out && c->side[from].seen;
	c->open = true;
	l->current = c;
}

static void take_state(struct tern_ladder *l, struct ladder_conn *c, unsigned local,
	const struct tern_trace *t)
{
	struct side *side = &c->side[local];
	/* A segment opened this row, and its frame is not done: it is the cause. */
	bool within = c->open && l->current == c && c->current.at[local] == t->now;
	if (!within) {
		commit(c);
		flush_move(c, local);
		side->moved.set = true;
		side->moved.at = t->now;
		side->moved.from = t->state.from;
		side->moved.to = t->state.to;
		side->moved.cause = t->state.cause;
	} else {
		c->current.moved = true;
		c->current.cause = t->state.cause;
	}
	side->seen = side->known = true;
	side->state = t->state.to;
}

static void take_rest(struct ladder_conn *c, unsigned local, const struct tern_trace *t)
{
	struct side *side = &c->side[local];
	if (t->kind == TERN_TRACE_RETRANSMIT) {
		side->resend.set = true;
		side->resend.seq = t->retransmit.seq;
		side->resend.count = t->retransmit.count;
		side->resend.reason = t->retransmit.reason;
	} else if (t->kind == TERN_TRACE_RTT) {
		if (t->rtt.sample && t->rtt.sample < c->rtt)
			c->rtt = t->rtt.sample;
	} else if (t->kind == TERN_TRACE_TIMER) {
		side->probe |= t->timer.fired && t->timer.which == TERN_TIMER_PERSIST;
	}
}

static void take_drop(struct tern_ladder *l, const struct tern_trace *t)
{
	struct ladder_conn *c = l->current;
	if (!l->receiving || !c || !c->open)
		return;
	c->current.dropped = true;
	c->current.drop = t->drop;
}

static void end_frame(struct tern_ladder *l)
{
	if (l->current)
		commit(l->current);
	l->current = NULL;
	l->receiving = false;
}

static void see(void *context, const struct tern_trace *t)
{
	struct tern_ladder *l = context;
	struct ladder_conn *c;
	int local;
	switch (t->kind) {
	case TERN_TRACE_FRAME_IN:
		end_frame(l);
		break;
	case TERN_TRACE_FRAME_DONE:
	case TERN_TRACE_FRAME_OUT:
		end_frame(l);
		break;
	case TERN_TRACE_DROP:
		take_drop(l, t);
		break;
	case TERN_TRACE_SEGMENT_IN:
	case TERN_TRACE_SEGMENT_OUT:
		end_frame(l);
		l->receiving = t->kind == TERN_TRACE_SEGMENT_IN;
		c = find(l, t, &local);
		if (c)
			take_segment(l, c, (unsigned)local, t);
		break;
	case TERN_TRACE_STATE:
		c = find(l, t, &local);
		if (c)
			take_state(l, c, (unsigned)local, t);
		break;
	case TERN_TRACE_RETRANSMIT:
	case TERN_TRACE_RTT:
	case TERN_TRACE_TIMER:
		c = t->has_conn ? find(l, t, &local) : NULL;
		if (c)
			take_rest(c, (unsigned)local, t);
		break;
	case TERN_TRACE_WINDOW:
	case TERN_TRACE_QUEUE:
	case TERN_TRACE_CONGESTION:
	case TERN_TRACE_SEGMENT_SIZE:
		break;
	}
}

void tern_ladder_settle(struct tern_ladder *l)
{
	end_frame(l);
	for (unsigned i = 0; i < l->count; i++) {
		commit(l->conn[i]);
		flush_move(l->conn[i], 0);
		flush_move(l->conn[i], 1);
	}
}

struct tern_ladder *tern_ladder_new(const struct tern_ladder_opts *opts)
{
	struct tern_ladder *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	if (opts)
		l->opts = *opts;
	if (l->opts.connections == 0)
		l->opts.connections = 1;
	if (l->opts.connections > LADDERS_MAX)
		l->opts.connections = LADDERS_MAX;
	if (l->opts.fold == 0)
		l->opts.fold = 6;
	if (l->opts.rows < 32)
		l->opts.rows = l->opts.rows ? 32 : 1000;
	return l;
}

void tern_ladder_free(struct tern_ladder *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->count; i++) {
		free(l->conn[i]->rows);
		free(l->conn[i]);
	}
	free(l);
}

struct tern_trace_listener tern_ladder_listener(struct tern_ladder *l)
{
	return (struct tern_trace_listener){see, l};
}
