/* What must hold of every connection between calls: for tests and the virtual world. */
#include "transport/tcp/tcp.h"

static const char *check_sequence(const struct tcb *tcb)
{
	if (!seq_leq(tcb->snd.una, tcb->snd.nxt))
		return "SND.UNA is beyond SND.NXT";
	if (!tcb_in(tcb, STATE(CLOSED)) && !tcb_syn_unsent(tcb) &&
		!seq_leq(tcb->snd.nxt,
			seq_add(tcb_data_end(tcb), tcb->flags & TCB_FIN_SENT ? 1 : 0)))
		return "SND.NXT is beyond what was written";
	if (tcb->flags & TCB_FIN_SENT && !(tcb->flags & TCB_FIN_QUEUED))
		return "FIN was sent that nobody asked for";
	if (tcb->side && seq_lt(tcb->snd.nxt, tcb->side->recover) &&
		tcb->side->mode != RECOVERY_OPEN)
		return "recovery point is beyond SND.NXT";
	return NULL;
}

static const char *check_receiving(const struct tcb *tcb)
{
	struct range r;
	if (tcb->side && !!tcb->side->holes_link != !!tcb->side->ranges.count)
		return "text out of order, and not on the list of holes";
	if (!tcb->side || !tern_rangeset_first(&tcb->side->ranges, &r))
		return NULL;
	if (!seq_lt(tcb->rcv.nxt, r.lo))
		return "a range received out of order is not beyond RCV.NXT";
	tern_rangeset_last(&tcb->side->ranges, &r);
	if (seq_lt(tcb->rcv.adv, r.hi))
		return "bytes are held beyond the window offered";
	return NULL;
}

/* Records tile what is in flight, in order, and the sums are right. */
const char *tern_board_check(const struct tcb *tcb)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	uint32_t sacked = 0, lost = 0;
	if (b->count == 0)
		return b->block || b->sacked || b->lost ? "an empty scoreboard holds something"
							: NULL;
	if (!seq_eq(board_at_const(b, 0)->lo, tcb->snd.una) || !seq_eq(b->end, tcb->snd.nxt))
		return "the scoreboard does not cover what is in flight";
	for (uint32_t i = 0; i < b->count; i++) {
		const struct xmit *x = board_at_const(b, i);
		if (!seq_lt(x->lo, board_end(b, i)))
			return "a record of the scoreboard is empty";
		if (x->flags & XMIT_SACKED && x->flags & XMIT_LOST)
			return "what the peer holds counts as lost";
		sacked += x->flags & XMIT_SACKED ? seq_diff(board_end(b, i), x->lo) : 0;
		lost += x->flags & XMIT_LOST ? seq_diff(board_end(b, i), x->lo) : 0;
	}
	return sacked == b->sacked && lost == b->lost ? NULL : "the scoreboard's sums are wrong";
}

static const char *check_scoreboard(const struct tcb *tcb)
{
	bool live = tcb->side && tcb->state != TERN_TCP_CLOSED;
	return live ? tern_board_check(tcb) : NULL;
}

static const char *check_timers(const struct tcb *tcb)
{
	bool asleep = !tcb->send_link && tcb->rexmt_at == 0;
	bool unsent =
		tcb_in(tcb, SENDING) && !tcb_syn_unacked(tcb) &&
		(tcb->send.len || (tcb->flags & TCB_FIN_QUEUED && !(tcb->flags & TCB_FIN_SENT)));
	if (asleep && tcb_flight(tcb) && tcb->state != TERN_TCP_CLOSED)
		return "unacknowledged data without a timer";
	if (asleep && unsent)
		return "unsent data without a timer";
	if (tcb->state == TERN_TCP_TIME_WAIT && tcb->linger_at == 0)
		return "TIME_WAIT without a timer";
	if (tcb->flags & TCB_ACK_DELAYED && !tcb->send_link && tcb->delack_at == 0)
		return "delayed ACK without a timer";
	if ((tcb->rexmt_at || tcb->delack_at || tcb->linger_at) && !wheel_armed(&tcb->timer))
		return "a deadline without an entry in the wheel";
	return NULL;
}

static const char *check_idle(const struct tcb *tcb)
{
	if (tcb->state != TERN_TCP_CLOSED && !(tcb->flags & TCB_HASHED))
		return "a live connection cannot be found";
	if (tcb->state == TERN_TCP_CLOSED && (tcb->flags & TCB_HASHED || tcb->send_link))
		return "a dead connection is still reachable";
	if (tcb->send.len == 0 && tern_ring_chunks(&tcb->send))
		return "an empty send ring owns memory";
	if (tcb->receive.len == 0 && (!tcb->side || !tcb->side->ranges.count) &&
		tern_ring_chunks(&tcb->receive))
		return "an empty receive ring owns memory";
	return NULL;
}

static const char *check_tcb(const struct tcb *tcb)
{
	const char *(*const checks[])(const struct tcb *) = {
		check_sequence,
		check_receiving,
		check_scoreboard,
		check_timers,
		check_idle,
	};
	for (unsigned i = 0; i < sizeof checks / sizeof *checks; i++) {
		const char *wrong = checks[i](tcb);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static const char *check_half_open(const struct tcp *tcp)
{
	uint32_t claimed = 0, outdated = 0, slot = 0, place = 0;
	for (const struct listener *l; (l = tern_pool_next(&tcp->listeners, &slot)); slot++) {
		claimed += l->half_open;
		outdated += l->outdated;
	}
	for (const struct syn *e; (e = tern_syncache_next(tcp, &place)); place++)
		outdated -= e->link.outdated;
	if (outdated)
		return "half-open connections with an outdated offer are miscounted";
	return claimed == tcp->syns.count ? NULL : "a half-open connection without a listener";
}

const char *tern_tcp_check(const struct tcp *tcp)
{
	uint32_t hashed = 0, slot = 0;
	for (const struct tcb *tcb; (tcb = tern_pool_next(&tcp->tcbs, &slot)); slot++) {
		const char *wrong = check_tcb(tcb);
		if (wrong)
			return wrong;
		hashed += !!(tcb->flags & TCB_HASHED);
	}
	if (hashed != tern_htab_count(&tcp->table))
		return "the connection table does not hold what it should";
	const char *wrong = check_half_open(tcp);
	wrong = wrong ? wrong : tern_syncache_check(tcp);
	return wrong ? wrong : tern_timewait_check(tcp);
}
