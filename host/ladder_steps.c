#include "host/ladder_rows.h"

static bool plain_syn(const struct tern_segment *s)
{
	return (s->flags & (SYN | ACK | RST)) == SYN;
}

static enum step name_syn(struct ladder_conn *c, const struct tern_segment *s, unsigned from)
{
	struct side *side = &c->side[from];
	const struct side *other = &c->side[!from];
	/* A SYN out of place (RFC 5961 4) opens nothing. */
	if (side->based && side->isn != s->seq && (c->established || !c->opened))
		return STEP_NONE;
	side->isn = side->high = s->seq;
	side->based = c->opened = true;
	if (plain_syn(s)) {
		side->syn = true;
		c->crossed_open |= other->syn && !other->syn_ack && !side->syn_ack;
		return c->crossed_open && from == 1 ? STEP_SYN_CROSSED : STEP_SYN;
	}
	side->syn_ack = true;
	c->established = c->crossed_open; /* else this one waits for its third handshake, too */
	return c->crossed_open ? STEP_SYN_ACK_CROSSED : STEP_SYN_ACK;
}

static enum step name_fin(struct ladder_conn *c, const struct tern_segment *s, unsigned from)
{
	struct side *side = &c->side[from];
	struct side *other = &c->side[!from];
	bool acks = other->fin && ladder_acks(s, other->fin_end);
	bool first = !side->fin;
	side->fin = true;
	side->fin_acked = false; /* sent again: so is its acknowledgement, and named again */
	side->fin_end = s->seq + s->len + 1;
	if (!other->fin || (!first && c->closer == from)) {
		c->closer = (uint8_t)from;
		return STEP_FIN;
	}
	bool both = acks && !other->fin_acked;
	other->fin_acked |= acks;
	c->crossed_close |= first && !acks;
	if (c->crossed_close)
		return STEP_FIN_CROSSED;
	return both ? STEP_FIN_ACK : STEP_FIN_TOO;
}

static enum step name_ack(struct ladder_conn *c, const struct row *row)
{
	const struct tern_segment *s = &row->segment;
	unsigned from = row->from;
	const struct side *side = &c->side[from];
	struct side *other = &c->side[!from];
	if (!(s->flags & ACK))
		return STEP_NONE;
	if (!row->dropped && other->fin && !other->fin_acked && ladder_acks(s, other->fin_end)) {
		other->fin_acked = true;
		if (c->crossed_close)
			return STEP_FIN_CROSSED_ACKED;
		return c->closer == from ? STEP_LAST_ACK : STEP_FIN_ACKED;
	}
	if (!c->established && side->syn && other->syn_ack && ladder_acks(s, other->isn + 1)) {
		c->established = true;
		return STEP_ACK;
	}
	return STEP_NONE;
}

static enum step name_reset(const struct ladder_conn *c, unsigned from)
{
	const struct side *other = &c->side[!from];
	return other->syn && !c->side[from].syn && !c->side[from].syn_ack ? STEP_REFUSED
									  : STEP_RESET;
}

/* Relative numbers count from the SYN; where it was not seen, as if it had come just before. */
static void base(struct ladder_conn *c, const struct row *row)
{
	const struct tern_segment *s = &row->segment;
	struct side *side = &c->side[row->from], *other = &c->side[!row->from];
	if (!side->based) {
		side->based = true;
		side->isn = s->seq - 1;
		side->high = s->seq;
	}
	if (!other->based && s->flags & ACK) {
		other->based = true;
		other->isn = s->ack - 1;
		other->high = s->ack;
	}
}

/* How much of the segment's data the sender had not sent before. */
static void measure(struct ladder_conn *c, struct row *row)
{
	const struct tern_segment *s = &row->segment;
	struct side *side = &c->side[row->from];
	uint32_t end = s->seq + s->len + (s->flags & SYN ? 1u : 0u);
	uint32_t past = end + (s->flags & FIN ? 1u : 0u);
	if (s->flags & RST)
		return;
	base(c, row);
	row->again = s->flags & SYN ? row->repeated
				    : past != s->seq && ladder_ahead(s->seq, side->high) < 0;
	/* A hole before it counts as well: what fills it later is not new then. */
	if (s->len && ladder_ahead(end, side->high) > 0)
		row->fresh = end - side->high - (s->flags & SYN ? 1u : 0u);
	if (ladder_ahead(past, side->high) > 0)
		side->high = past;
}

/* The shortest round trip, from a handshake in which nothing was sent twice. */
static void time_handshake(struct ladder_conn *c, const struct row *row)
{
	enum step before = row->step == STEP_SYN_ACK ? STEP_SYN : STEP_SYN_ACK;
	if ((row->step != STEP_SYN_ACK && row->step != STEP_ACK) || row->repeated || !c->count)
		return;
	const struct row *last = &c->rows[c->count - 1];
	unsigned at = row->at[0] == TERN_NEVER;
	if (last->kind != ROW_SEGMENT || last->step != before || last->repeated ||
		!c->side[at].seen || c->side[!at].seen || row->from == at)
		return;
	uint64_t rtt = row->at[at] - last->at[at];
	if (rtt < c->rtt)
		c->rtt = rtt;
}

void tern_ladder_name(struct ladder_conn *c, struct row *row)
{
	const struct tern_segment *s = &row->segment;
	if (s->flags & RST)
		row->step = name_reset(c, row->from);
	else if (s->flags & SYN)
		row->step = name_syn(c, s, row->from);
	else if (s->flags & FIN)
		row->step = name_fin(c, s, row->from);
	else
		row->step = name_ack(c, row);
	/* The accept queue was full, say: the next one is the third handshake again. */
	if (row->step == STEP_ACK && row->dropped)
		c->established = false;
	row->repeated = c->taken[row->from] >> row->step & 1;
	if (row->step != STEP_NONE && !(row->dropped && s->flags & RST))
		c->taken[row->from] |= 1u << row->step;
	if (row->step == STEP_FIN_ACK) /* which repeats as one or the other */
		c->taken[row->from] |= 1u << STEP_FIN_ACKED | 1u << STEP_FIN_TOO;
	measure(c, row);
	time_handshake(c, row);
}

/* What a peer's own segment shows of its state as it sends it. */
static enum tern_tcp_state shown_by(const struct ladder_conn *c, const struct row *row)
{
	const struct tern_segment *s = &row->segment;
	const struct side *peer = &c->side[row->from], *us = &c->side[!row->from];
	enum tern_tcp_state state = peer->known ? peer->state : TERN_TCP_ESTABLISHED;
	if (s->flags & RST)
		return row->dropped ? state : TERN_TCP_CLOSED;
	if (s->flags & SYN && c->established && !c->crossed_open)
		return state; /* an old duplicate, or a forgery */
	if (s->flags & SYN)
		return s->flags & ACK ? TERN_TCP_SYN_RECEIVED : TERN_TCP_SYN_SENT;
	if (state == TERN_TCP_LISTEN || state == TERN_TCP_SYN_SENT ||
		state == TERN_TCP_SYN_RECEIVED)
		state = TERN_TCP_ESTABLISHED;
	if (us->fin && ladder_acks(s, us->fin_end)) {
		if (state == TERN_TCP_ESTABLISHED)
			state = TERN_TCP_CLOSE_WAIT;
		else if (state == TERN_TCP_FIN_WAIT_1 || row->step == STEP_FIN_CROSSED_ACKED)
			state = TERN_TCP_CLOSING;
		else if (state == TERN_TCP_FIN_WAIT_2)
			state = TERN_TCP_TIME_WAIT;
	}
	if (s->flags & FIN) {
		if (state == TERN_TCP_ESTABLISHED)
			state = TERN_TCP_FIN_WAIT_1;
		else if (state == TERN_TCP_CLOSE_WAIT || state == TERN_TCP_CLOSED)
			state = TERN_TCP_LAST_ACK; /* CLOSED: so our last ACK was lost */
	}
	return state;
}

/* What our segment does to a peer, where nothing of its will tell: taken as delivered. */
static enum tern_tcp_state caused_by(const struct ladder_conn *c, const struct row *row)
{
	const struct tern_segment *s = &row->segment;
	const struct side *peer = &c->side[!row->from];
	if (s->flags & RST)
		return TERN_TCP_CLOSED;
	if (c->crossed_open && peer->state == TERN_TCP_SYN_SENT && s->flags & ACK)
		return TERN_TCP_ESTABLISHED; /* by way of SYN_RECEIVED: our SYN came first */
	if (peer->state == TERN_TCP_SYN_RECEIVED && ladder_acks(s, peer->isn + 1))
		return TERN_TCP_ESTABLISHED;
	if (!peer->fin || !ladder_acks(s, peer->fin_end))
		return peer->state;
	if (peer->state == TERN_TCP_FIN_WAIT_1)
		return c->crossed_close ? TERN_TCP_TIME_WAIT : TERN_TCP_FIN_WAIT_2;
	if (peer->state == TERN_TCP_CLOSING)
		return TERN_TCP_TIME_WAIT;
	return peer->state == TERN_TCP_LAST_ACK ? TERN_TCP_CLOSED : peer->state;
}

/* The peer's first segment tells what it was before. */
static void look_back(struct ladder_conn *c, unsigned peer, const struct tern_segment *s)
{
	enum tern_tcp_state state = TERN_TCP_ESTABLISHED;
	if (s->flags & RST)
		state = TERN_TCP_CLOSED;
	else if (s->flags & SYN)
		state = s->flags & ACK ? TERN_TCP_LISTEN : TERN_TCP_SYN_SENT;
	for (uint32_t i = 0; i < c->count; i++) {
		c->rows[i].known[peer] = true;
		c->rows[i].state[peer] = state;
	}
}

/* Our state towards a segment that met no connection of ours. */
static void judge_ours(struct row *row, unsigned us)
{
	if (row->known[us] || !row->dropped)
		return;
	switch ((int)row->drop) {
	case TERN_DROP_TCP_NO_CONNECTION:
		row->state[us] = TERN_TCP_CLOSED;
		break;
	case TERN_DROP_TCP_LISTEN_RST:
	case TERN_DROP_TCP_LISTEN_ACK:
	case TERN_DROP_TCP_LISTEN_NO_SYN:
	case TERN_DROP_TCP_LISTEN_OVERFLOW:
	case TERN_DROP_TCP_SYN_BACKLOG:
	case TERN_DROP_TCP_SYN_SOURCE:
		row->state[us] = TERN_TCP_LISTEN;
		break;
	default:
		return;
	}
	row->known[us] = true;
}

/* What we sent meanwhile has taken the peer further than it was when it sent this. */
static bool overtaken(const struct side *peer, enum step step)
{
	return (step == STEP_SYN_ACK_CROSSED && peer->state == TERN_TCP_ESTABLISHED) ||
	       (step == STEP_FIN_CROSSED_ACKED && peer->state == TERN_TCP_TIME_WAIT);
}

void tern_ladder_infer(struct ladder_conn *c, struct row *row)
{
	bool inward = !c->side[row->from].seen; /* a peer's segment that came to us */
	unsigned peer = inward ? row->from : !row->from;
	struct side *side = &c->side[peer];
	if (inward)
		judge_ours(row, !peer);
	if (side->seen)
		return;
	if (inward) {
		enum tern_tcp_state state = shown_by(c, row);
		if (!side->known)
			look_back(c, peer, &row->segment);
		row->known[peer] = true;
		row->state[peer] = state;
		if (overtaken(side, row->step))
			return;
		side->state = state;
		side->known = true;
	} else if (side->known) {
		side->state = caused_by(c, row);
	}
	row->known[peer] = side->known;
	row->state[peer] = side->state;
}
