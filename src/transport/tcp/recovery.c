/*
 * Loss recovery. Theory of operation: what a peer with SACK holds, and when we sent what it does
 * not hold, is on the scoreboard (scoreboard.c, filled by sack.c). From that RACK (rack.c) says
 * what is lost; a probe (tlp.c) makes the peer speak when the tail of a flight may be. This file
 * decides what follows: fast recovery, whose sending PRR (prr.c) paces, and a congestion that was
 * only echoed (ecn.c), which lowers the window the same way; after a timeout, slow start (loss.c);
 * and back to normal, with the windows as they were if it was all for nothing (undo.c). Without
 * SACK, or memory for a scoreboard, newreno.c counts duplicate ACKs instead.
 *
 * The congestion control only says how far to go down (ssthresh) and how to grow.
 */
#include "transport/tcp/tcp.h"

static bool scored(const struct tcb *tcb)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	return tcb->flags & TCB_SACK && !b->off && (b->count || tcb_flight(tcb) == 0);
}

/* RFC 6675 4, pipe: what is neither held nor lost. */
uint32_t tern_recovery_pipe(const struct tcb *tcb)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	return tcb_flight(tcb) - b->sacked - b->lost;
}

/* RFC 5681 (4): of what the window let out. A probe, or new data for what is held, may be more. */
uint32_t tern_recovery_ssthresh(struct tcb *tcb)
{
	return tern_cc_reduced(tcb, at_most(tcb->cwnd, tcb->side->flight_sent));
}

/* --- fast recovery by the scoreboard ------------------------------------------------------ */

/* Bytes sent after the first that is lost and delivered before it. */
static uint32_t delivered_since(const struct scoreboard *b)
{
	uint32_t i = 0, bytes = 0;
	while (i < b->count && !(board_at_const(b, i)->flags & XMIT_LOST))
		i++;
	if (i == b->count)
		return 0;
	for (uint64_t at = board_at_const(b, i)->at; i < b->count; i++) {
		const struct xmit *x = board_at_const(b, i);
		if (x->flags & XMIT_SACKED && x->at >= at)
			bytes += seq_diff(board_end(b, i), x->lo);
	}
	return bytes;
}

/*
 * Where the path reorders, a loss is known for one only after the reordering window. What slow
 * start has added meanwhile it would not have added had it known: what the path carried is less.
 * DEVIATES: so ssthresh may be less than RFC 5681 (4) allows it to be.
 */
static void take_back_growth(struct tcb *tcb)
{
	if (tcb->cwnd >= tcb->ssthresh || !tern_rack_reorders(tcb))
		return;
	uint32_t added = delivered_since(&tcb->side->rec.board) / tern_cc_slowed(tcb);
	added = at_most(added, tcb->side->rec.grown);
	tcb->cwnd -= at_most(added, tcb->cwnd / 2);
}

/* RFC 6675 5 (4), RFC 9937 6.2. */
static void enter(struct tcp *tcp, struct tcb *tcb, const struct delivery *d)
{
	struct tcb_side *side = tcb->side;
	bool counted = !side->rec.rack.reordered && tern_rack_threshold(tcb);
	tern_recovery_cwr_end(tcb);
	tern_undo_begin(tcb);
	take_back_growth(tcb);
	tcb->ssthresh = tern_recovery_ssthresh(tcb);
	side->mode = RECOVERY_FAST;
	side->recover = tcb->snd.nxt;
	side->rtx_reason = counted ? TERN_RTX_FAST : TERN_RTX_RACK;
	side->rec.tlp.due = false;
	tern_prr_begin(tcb, d->bytes);
	core_count(tcp->core, TERN_COUNT_TcpExtTCPSackRecovery);
	tern_trace_congestion(tcp, tcb, "recovery");
}

void tern_recovery_leave(struct tcp *tcp, struct tcb *tcb)
{
	tcb->side->mode = RECOVERY_OPEN;
	tcb->side->recover_ahead = !seq_gt(tcb->snd.una, tcb->side->recover);
	tcb->dupacks = 0;
	tern_trace_congestion(tcp, tcb, "recovered");
}

/* A fast recovery was for nothing: what was thought lost was only late. */
static void take_back(struct tcp *tcp, struct tcb *tcb, enum tern_counter why)
{
	core_count(tcp->core, why);
	tern_rack_reordered(tcb, tcb->side->rec.undo.from);
	/* D-SACK would say so, or has; but not of copies that came too late for PAWS. */
	if (!tern_undo_by_duplicates(tcb))
		tern_rack_widen(tcb);
	tern_undo(tcp, tcb, "undone");
}

static bool undone(const struct tcb *tcb, const struct delivery *d)
{
	return tern_undo_by_echo(tcb, d) || tern_undo_by_duplicates(tcb) ||
	       tern_undo_by_arrival(tcb);
}

/* RFC 9937 6.2, at the end, however far PRR has come. */
static void settle(struct tcb *tcb)
{
	tcb->cwnd = tcb->ssthresh;
}

/* `recover` is acknowledged: the windows are ssthresh, or what they were. */
static void finish(struct tcp *tcp, struct tcb *tcb, const struct delivery *d)
{
	if (undone(tcb, d)) {
		take_back(tcp, tcb, TERN_COUNT_TcpExtTCPFullUndo);
	} else {
		settle(tcb);
		tern_cwv_recovered(tcb, tcb->side->rec.undo.resent);
		tern_undo_leave(tcb);
		tern_rack_recovered(tcb);
	}
	tern_recovery_leave(tcp, tcb);
}

static void fast_progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d, bool more)
{
	if (seq_geq(tcb->snd.una, tcb->side->recover)) {
		finish(tcp, tcb, d);
		return;
	}
	/* The first hole was filled by what was sent first: late, not lost. So are the others, or
	 * RACK finds them again. */
	if ((ack->acked && tern_undo_by_echo(tcb, d)) || tern_undo_by_arrival(tcb)) {
		take_back(tcp, tcb, TERN_COUNT_TcpExtTCPPartialUndo);
		tern_recovery_leave(tcp, tcb);
		return;
	}
	tern_prr_ack(tcb, d->bytes, ack->acked && !more);
}

void tern_recovery_cwr(struct tcb *tcb, uint32_t delivered)
{
	tcb->cwnd = at_most(tcb->cwnd, tcb->ssthresh);
	if (!scored(tcb) || tcb_flight(tcb) == 0)
		return;
	tern_prr_begin(tcb, delivered);
	tcb->side->rec.prr.cwr = true;
}

void tern_recovery_cwr_end(struct tcb *tcb)
{
	if (tcb->side->rec.prr.cwr)
		settle(tcb);
	tcb->side->rec.prr.cwr = false;
}

/* Until all that was in flight when the echo came is acknowledged, and with it the CWR. */
static void cwr_progress(struct tcb *tcb, const struct delivery *d)
{
	if (!tcb->side->use.reducing || tcb_flight(tcb) == 0)
		tern_recovery_cwr_end(tcb);
	else
		tern_prr_ack(tcb, d->bytes, false);
}

/* D-SACK says after the fact that it was for nothing. */
static void open_progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d)
{
	tern_undo_expire(tcb);
	if (d->dsack && tern_undo_by_duplicates(tcb))
		take_back(tcp, tcb, TERN_COUNT_TcpExtTCPDSACKUndo);
	if (tcb->side->rec.prr.cwr)
		cwr_progress(tcb, d);
	tern_recovery_grow(tcb, ack, d);
}

/*
 * RFC 5681 grows on what arrives in order. Where the path reorders there is nearly always a hole,
 * and what opens the window is that anything arrives, as in Linux.
 */
void tern_recovery_grow(struct tcb *tcb, const struct ack_info *ack, const struct delivery *d)
{
	struct ack_info info = *ack;
	if (!ack->acked && !(d->bytes && tern_rack_reorders(tcb)))
		return;
	info.acked = d->bytes;
	if (info.rtt == 0)
		info.rtt = d->rtt;
	uint32_t before = tcb->cwnd;
	tern_cc_of(tcb)->acked(tcb, &info);
	bool grew = tcb->cwnd > before;
	tcb->side->rec.grown = grew ? tcb->side->rec.grown + (tcb->cwnd - before) : 0;
}

/* --- an ACK -------------------------------------------------------------------------- */

static struct delivery hear(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	const struct ack_info *ack)
{
	struct scoreboard *b = &tcb->side->rec.board;
	struct delivery d = {
		.high = b->high,
		.echoed = tcb->flags & TCB_TIMESTAMPS && seg->options.has & TCP_OPT_TIMESTAMP,
		.tsecr = seg->options.tsecr,
	};
	if (ack->acked)
		tern_board_acked(tcp, tcb, &d);
	tern_sack_hear(tcp, tcb, seg, &d);
	if (d.reordered)
		tern_rack_reordered(tcb, d.lowest);
	d.nothing = d.bytes == 0 && !ack->window_changed && seg->data_len == 0;
	return d;
}

/* RFC 2018 8: what it said it holds it does not acknowledge. A timeout will settle it, soon. */
static void look_for_reneging(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	if (ack->acked && b->count && board_at_const(b, 0)->flags & XMIT_SACKED)
		tern_timer_reneged(tcp, tcb);
}

static void progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d)
{
	struct tcb_side *side = tcb->side;
	bool more = tern_rack_detect(tcp, tcb);
	switch ((enum recovery_mode)side->mode) {
	case RECOVERY_OPEN:
		open_progress(tcp, tcb, ack, d);
		break;
	case RECOVERY_FAST:
		fast_progress(tcp, tcb, ack, d, more);
		break;
	case RECOVERY_TIMEOUT:
		tern_loss_progress(tcp, tcb, ack, d);
		break;
	}
	if (side->mode == RECOVERY_OPEN && side->rec.board.lost) {
		enter(tcp, tcb, d);
		tern_prr_ack(tcb, d->bytes, false);
	}
}

/*
 * DEVIATES: RFC 6298 3 takes a sample a round trip. In a recovery most of what arrives has been
 * sent again and cannot be timed; on a path that reorders, what can is what overtook it: too fast.
 * That the path carries something ends a backoff all the same.
 */
static void take_sample(struct tcp *tcp, struct tcb *tcb, uint64_t rtt)
{
	if (tcb->side->mode == RECOVERY_FAST && tcb->side->rec.rack.reordered)
		tern_rtt_heard(tcb);
	else
		tern_rtt_take(tcp, tcb, rtt);
}

static void scored_ack(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	struct delivery d = hear(tcp, tcb, seg, ack);
	if (side->rec.board.off) {
		tern_recovery_blind(tcb);
		return;
	}
	if (ack->acked)
		side->rec.tlp.due = false;
	tern_tlp_ack(tcp, tcb, &d, seg->ack);
	if (d.rtt && !ack->rtt)
		take_sample(tcp, tcb, d.rtt);
	progress(tcp, tcb, ack, &d);
	if (!ack->acked)
		tern_timer_reordering(tcp, tcb);
	if (d.bytes || d.dsack || side->rec.board.lost)
		tern_want_send(tcp, tcb);
}

/* As every segment of a peer's bulk transfer: nothing of ours is under way, or was until now. */
static bool says_nothing(const struct tcb *tcb, const struct tcp_segment *seg,
	const struct ack_info *ack)
{
	return ack->acked == 0 && tcb_flight(tcb) == 0 && !(seg->options.has & TCP_OPT_SACK) &&
	       !tcb->side->rec.tlp.out;
}

void tern_recovery_ack(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	if (!side || says_nothing(tcb, seg, ack))
		return;
	if (scored(tcb))
		scored_ack(tcp, tcb, seg, ack);
	else
		tern_newreno_ack(tcp, tcb, ack);
	tern_rate_heard(tcp, tcb);
	if (ack->acked && tcb_flight(tcb))
		tern_timer_ack_advanced(tcp, tcb);
	else if (ack->acked)
		tern_timer_nothing_in_flight(tcp, tcb);
	if (tcb_flight(tcb) == 0)
		side->rec.board.off = false;
	look_for_reneging(tcp, tcb, ack);
}

/* --- other events -------------------------------------------------------------------- */

/* RFC 8985 6.2 step 5: enough time has passed without a sign of what is missing. */
void tern_recovery_reorder_expired(struct tcp *tcp, struct tcb *tcb)
{
	static const struct delivery nothing_new;
	if (tcb->side->rec.board.count == 0)
		return;
	bool more = tern_rack_detect(tcp, tcb);
	if (more && tcb->side->mode == RECOVERY_OPEN)
		enter(tcp, tcb, &nothing_new);
	if (more && tcb->side->mode == RECOVERY_FAST)
		tern_prr_ack(tcb, 0, false);
	tern_want_send(tcp, tcb);
}

void tern_recovery_timeout(struct tcp *tcp, struct tcb *tcb)
{
	core_count(tcp->core, TERN_COUNT_TcpExtTCPTimeouts);
	if (tcb->side->rec.board.count)
		tern_loss_timeout(tcp, tcb);
	else
		tern_newreno_timeout(tcp, tcb);
	tern_cwv_timed_out(tcb);
	tern_trace_congestion(tcp, tcb, "timeout");
}

void tern_recovery_too_big(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->side->rec.board.count)
		tern_loss_too_big(tcp, tcb);
	else
		tern_newreno_go_back(tcb, TERN_RTX_PMTU);
}

/* There was no memory for the scoreboard to grow: what it knew is lost. */
void tern_recovery_blind(struct tcb *tcb)
{
	struct recovery *rec = &tcb->side->rec;
	tern_recovery_cwr_end(tcb);
	rec->rack.due = 0;
	rec->tlp.out = rec->tlp.due = false;
	rec->undo.on = false;
	rec->frto = FRTO_OFF;
	if (tcb->side->mode != RECOVERY_OPEN)
		tern_newreno_go_back(tcb, TERN_RTX_AFTER_TIMEOUT);
}

void tern_recovery_sent(struct tcp *tcp, struct tcb *tcb, struct range r, bool again)
{
	struct tcb_side *side = tcb->side;
	if (!(tcb->flags & TCB_SACK))
		return;
	bool was_off = side->rec.board.off;
	bool ok = again ? tern_board_resent(tcp, tcb, r) : tern_board_sent(tcp, tcb, r);
	if (!ok && !was_off)
		tern_recovery_blind(tcb);
	if (again)
		tern_undo_resent(tcp, tcb, seq_diff(r.hi, r.lo));
	tern_prr_sent(tcb, seq_diff(r.hi, r.lo));
}

uint32_t tern_recovery_allowance(const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (!side->rec.board.count)
		return tern_newreno_allowance(tcb);
	/* What is lost comes first, but for F-RTO's question. RFC 3042 follows from pipe: what is
	 * held is not in flight. */
	if (side->rec.board.lost && side->rec.frto != FRTO_NEW)
		return 0;
	uint32_t pipe = tern_recovery_pipe(tcb);
	return tcb->cwnd > pipe ? tcb->cwnd - pipe : 0;
}
