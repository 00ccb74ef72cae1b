/*
 * After a retransmission timeout, with a scoreboard: slow start through what is lost, keeping what
 * SACK said unless the peer has gone back on it (RFC 2018 8, RFC 6675 5.1); and F-RTO (RFC 5682 3,
 * the SACK variant), which asks first whether the timeout was spurious.
 */
#include "transport/tcp/tcp.h"

static void count_failure(struct tcp *tcp, const struct tcb *tcb)
{
	if (tcb->side->mode == RECOVERY_FAST)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPSackFailures);
	if (tcb->side->mode == RECOVERY_TIMEOUT)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPLossFailures);
}

/* What is held from snd.una on would have been acknowledged: it is not held any more. */
static void forget_if_reneged(struct tcp *tcp, struct scoreboard *b)
{
	if (!(board_at(b, 0)->flags & XMIT_SACKED))
		return;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPSACKReneging);
	tern_board_forget_sacks(b);
}

static void begin(struct tcb *tcb, enum tern_retransmit_reason why)
{
	struct tcb_side *side = tcb->side;
	side->mode = RECOVERY_TIMEOUT;
	side->rtx_reason = (uint8_t)why;
	side->recover = tcb->snd.nxt;
	side->rec.tlp.out = side->rec.tlp.due = false;
	tern_rtt_cancel(tcb);
}

/* RFC 5681 3.1 (7), RFC 8985 6.3. ssthresh is lowered once for one loss. */
void tern_loss_timeout(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	struct scoreboard *b = &side->rec.board;
	bool first = side->mode == RECOVERY_OPEN ||
		     (side->mode == RECOVERY_TIMEOUT && tcb->backoff == 0);
	bool ask = side->mode == RECOVERY_OPEN || tcb->backoff;
	count_failure(tcp, tcb);
	tern_recovery_cwr_end(tcb);
	forget_if_reneged(tcp, b);
	if (first) {
		tern_undo_begin(tcb);
		tcb->ssthresh = tern_recovery_ssthresh(tcb);
	}
	tern_rack_timeout(tcp, tcb);
	begin(tcb, TERN_RTX_TIMEOUT);
	tern_cc_of(tcb)->timed_out(tcb);
	side->rec.frto = ask && tcp->core->set.tcp_frto ? FRTO_WATCH : FRTO_OFF;
	tcb->cwnd = tern_recovery_pipe(tcb) + tcb->mss;
}

/* All in flight was too large for the path: it is gone, and congestion had no part in it. */
void tern_loss_too_big(struct tcp *tcp, struct tcb *tcb)
{
	struct scoreboard *b = &tcb->side->rec.board;
	tern_recovery_cwr_end(tcb);
	tern_board_lose_all(tcp, b);
	begin(tcb, TERN_RTX_PMTU);
	tcb->side->rec.frto = FRTO_OFF;
	tcb->side->rec.undo.on = false;
	tcb->side->rec.rack.due = 0;
}

/* --- an ACK -------------------------------------------------------------------------- */

static bool has_new_data(const struct tcb *tcb)
{
	tern_seq edge = seq_add(tcb->snd.una, tcb->snd.wnd);
	return !(tcb->flags & TCB_FIN_SENT) && seq_gt(tcb_data_end(tcb), tcb->snd.nxt) &&
	       seq_gt(edge, tcb->snd.nxt);
}

/*
 * RFC 5682 3.1. True: what was sent before the timeout, and not again, arrives: it was spurious
 * (step 3b).
 */
static bool frto_says_spurious(struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d)
{
	struct recovery *rec = &tcb->side->rec;
	if (rec->frto == FRTO_OFF)
		return false;
	if (d->original)
		return true;
	if (seq_gt(tcb->snd.nxt, tcb->side->recover)) {
		if (d->sacked ||
			d->nothing) /* step 3a: what is new arrives, what is old does not */
			rec->frto = FRTO_OFF;
	} else if (ack->acked) { /* step 2b: ask with new data */
		rec->frto = has_new_data(tcb) ? FRTO_NEW : FRTO_OFF;
	}
	return false;
}

static void take_back(struct tcp *tcp, struct tcb *tcb, enum tern_counter why)
{
	core_count(tcp->core, why);
	tcb->side->rec.frto = FRTO_OFF;
	tern_undo(tcp, tcb, "undone");
	tern_recovery_leave(tcp, tcb);
}

void tern_loss_progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d)
{
	struct tcb_side *side = tcb->side;
	if (ack->acked && (tern_undo_by_echo(tcb, d) || tern_undo_by_duplicates(tcb))) {
		take_back(tcp, tcb, TERN_COUNT_TcpExtTCPLossUndo);
		return;
	}
	if (side->rec.undo.on && frto_says_spurious(tcb, ack, d)) {
		take_back(tcp, tcb, TERN_COUNT_TcpExtTCPSpuriousRTOs);
		return;
	}
	tern_recovery_grow(tcb, ack, d);
	if (seq_lt(tcb->snd.una, side->recover))
		return;
	side->rec.frto = FRTO_OFF;
	tern_undo_leave(tcb);
	tern_rack_recovered(tcb);
	tern_recovery_leave(tcp, tcb);
}
