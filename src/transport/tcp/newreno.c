/*
 * Loss recovery without a scoreboard, for peers that do not say what they hold: fast retransmit and
 * NewReno (RFC 5681 3.2, RFC 6582), limited transmit (RFC 3042), and going back to snd.una in slow
 * start after a timeout.
 */
#include "transport/tcp/tcp.h"

static uint32_t less(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

static void resend_first(struct tcb *tcb, enum tern_retransmit_reason why)
{
	tcb->flags |= TCB_RETRANSMIT_DUE;
	tcb->side->rtx_reason = (uint8_t)why;
}

/* RFC 6582 3.2 step 2. */
static void enter_fast(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	/* RFC 5681 3.2 step 2: what limited transmit added does not count (MUST NOT). */
	tcb->ssthresh = tern_cc_reduced(tcb, side->dup_window);
	side->mode = RECOVERY_FAST;
	side->recover = tcb->snd.nxt;
	tcb->cwnd = tcb->ssthresh + DUPACK_THRESHOLD * (uint32_t)tcb->mss;
	/* All but the lost one, and the three counted already. */
	side->dup_room = less(side->dup_flight, (1u + DUPACK_THRESHOLD) * tcb->mss);
	resend_first(tcb, TERN_RTX_FAST);
	core_count(tcp->core, TERN_COUNT_TcpExtTCPRenoRecovery);
	tern_trace_congestion(tcp, tcb, "recovery");
}

/*
 * RFC 6582 3.2 step 1: not for duplicate ACKs that our own retransmissions caused. At exactly
 * `recover` the two are told apart by SACK: a hole beyond it means new loss.
 */
static bool loss_is_new(const struct tcb *tcb, const struct ack_info *ack)
{
	const struct tcb_side *side = tcb->side;
	return !side->recover_ahead || (seq_eq(tcb->snd.una, side->recover) && ack->sacked);
}

/* RFC 6675 4, IsLost: more than two segments beyond the hole say as much as three duplicate ACKs. A
 * receiver whose device joins segments sends fewer ACKs than that. */
static bool hole_is_loss(const struct tcb *tcb, const struct ack_info *ack)
{
	return tcb->dupacks >= DUPACK_THRESHOLD ||
	       ack->sacked > (DUPACK_THRESHOLD - 1) * (uint32_t)tcb->mss;
}

static void duplicate(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	if (tcb->dupacks < UINT8_MAX)
		tcb->dupacks++;
	if (tcb->dupacks == 1) {
		side->dup_flight = tcb_flight(tcb);
		side->dup_window = side->flight_sent;
	}
	switch ((enum recovery_mode)side->mode) {
	case RECOVERY_OPEN:
		if (hole_is_loss(tcb, ack) && loss_is_new(tcb, ack))
			enter_fast(tcp, tcb);
		break;
	case RECOVERY_FAST:
		/* Step 3: a segment has left the network; no more of them than were in it (RFC 5681
		 * 3.2, note on step 4: else made-up duplicates inflate the window without end). */
		if (side->dup_room >= tcb->mss) {
			side->dup_room -= tcb->mss;
			tcb->cwnd += tcb->mss;
		}
		break;
	case RECOVERY_TIMEOUT:
		break;
	}
}

/* RFC 6582 3.2 steps "full acknowledgment" and "partial acknowledgment". */
static void fast_progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	uint32_t flight = tcb_flight(tcb), mss = tcb->mss;
	if (seq_geq(tcb->snd.una, side->recover)) {
		/* The RFC's choice (2), as Linux: choice (1) leaves two segments when nothing is in
		 * flight, too few to mend the next loss without a timeout. */
		tcb->cwnd = tcb->ssthresh;
		tern_recovery_leave(tcp, tcb);
		return;
	}
	tcb->cwnd -= ack->acked < tcb->cwnd ? ack->acked : tcb->cwnd;
	if (ack->acked >= mss)
		tcb->cwnd += mss;
	if (tcb->cwnd < mss)
		tcb->cwnd = mss;
	side->dup_room = less(flight, mss);
	resend_first(tcb, TERN_RTX_PARTIAL_ACK);
}

static void open_progress(struct tcb *tcb, const struct ack_info *ack)
{
	/* What duplicate ACKs told of has let out new segments already (RFC 3042). */
	struct ack_info rest = *ack;
	rest.acked = less(ack->acked, tcb->dupacks * (uint32_t)tcb->mss);
	tcb->dupacks = 0;
	/* Noted when passed: 2^31 bytes on, a comparison would say it lies ahead again. */
	if (seq_gt(tcb->snd.una, tcb->side->recover))
		tcb->side->recover_ahead = false;
	tern_cc_of(tcb)->acked(tcb, &rest);
}

void tern_newreno_ack(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	if (ack->duplicate) {
		duplicate(tcp, tcb, ack);
		return;
	}
	if (ack->acked == 0)
		return;
	switch ((enum recovery_mode)side->mode) {
	case RECOVERY_OPEN:
		open_progress(tcb, ack);
		break;
	case RECOVERY_FAST:
		fast_progress(tcp, tcb, ack);
		break;
	case RECOVERY_TIMEOUT:
		side->rtx_next = seq_max(side->rtx_next, tcb->snd.una);
		tern_cc_of(tcb)->acked(tcb, ack);
		if (seq_geq(tcb->snd.una, side->recover))
			tern_recovery_leave(tcp, tcb);
		break;
	}
}

/* All that is in flight is to be sent again, from snd.una. */
void tern_newreno_go_back(struct tcb *tcb, enum tern_retransmit_reason why)
{
	struct tcb_side *side = tcb->side;
	tcb->dupacks = 0;
	tcb->flags &= ~TCB_RETRANSMIT_DUE;
	side->mode = RECOVERY_TIMEOUT;
	side->rtx_reason = (uint8_t)why;
	side->recover = tcb->snd.nxt;
	side->rtx_next = tcb->snd.una;
	tern_rtt_cancel(tcb);
}

/* RFC 5681 3.1 (7) and RFC 6582 4: on a timeout. */
void tern_newreno_timeout(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	if (side->mode == RECOVERY_FAST)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPRenoFailures);
	if (side->mode == RECOVERY_TIMEOUT)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPLossFailures);
	/* ssthresh is not lowered again for the same segment sent again. */
	if (tcb->backoff == 0)
		tcb->ssthresh = tern_cc_reduced(tcb, tcb_flight(tcb));
	tcb->cwnd = tcb->mss;
	tern_cc_of(tcb)->timed_out(tcb);
	tern_newreno_go_back(tcb, TERN_RTX_TIMEOUT);
}

uint32_t tern_newreno_allowance(const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	uint32_t flight = tcb_flight(tcb), window = tcb->cwnd;
	if (side->mode == RECOVERY_TIMEOUT && seq_lt(side->rtx_next, side->recover))
		return 0;
	/* RFC 3042: a new segment for each of the first two duplicate ACKs. */
	if (side->mode == RECOVERY_OPEN && tcb->dupacks > 0)
		window += (tcb->dupacks < DUPACK_THRESHOLD ? tcb->dupacks : DUPACK_THRESHOLD - 1) *
			  (uint32_t)tcb->mss;
	return window > flight ? window - flight : 0;
}
