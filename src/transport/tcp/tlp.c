/*
 * Tail loss probes (RFC 8985 7): when nothing has been heard for two round trips, one segment more,
 * new if there is any, else the last one again, makes the peer say what it holds.
 */
#include "transport/tcp/tcp.h"

#define UNKNOWN_RTT (1000 * MS)
/* What a receiver may keep the ACK of a lone segment back (7.2, Linux's tcp_rto_min). */
#define ACK_DELAY_MAX (200 * MS)

/*
 * 7.2, 7.3: not while a probe is out, nor before a round trip has been timed since the last, which
 * probes that are sent again prevent; and only while nothing else is known to be amiss.
 */
static bool allowed(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	return side->rec.board.count && side->mode == RECOVERY_OPEN && !side->rec.board.sacked &&
	       !side->rec.board.lost && !side->rec.tlp.out && !side->rec.tlp.untimed &&
	       tcb->backoff == 0 && tcp->core->set.tcp_early_retrans >= 3;
}

/* 7.2: the probe timeout. */
bool tern_tlp_wait(const struct tcp *tcp, struct tcb *tcb, uint64_t *wait)
{
	if (!tcb->side || !allowed(tcp, tcb))
		return false;
	tcb->side->rec.probe_set_at = tcp->core->now;
	*wait = tcb->srtt ? 2000 * (uint64_t)tcb->srtt : UNKNOWN_RTT;
	if (tcb_flight(tcb) <= tcb->mss)
		*wait += ACK_DELAY_MAX;
	return true;
}

/* 7.3: sent at the next pull. */
bool tern_tlp_expired(struct tcp *tcp, struct tcb *tcb)
{
	if (!allowed(tcp, tcb))
		return false;
	tcb->side->rec.tlp.due = true;
	tern_want_send(tcp, tcb);
	return true;
}

void tern_tlp_sent(struct tcp *tcp, struct tcb *tcb, const struct plan *plan)
{
	struct tlp *t = &tcb->side->rec.tlp;
	t->due = false;
	t->out = t->untimed = true;
	t->resent = plan->retransmit;
	t->len = plan->len;
	t->text_end = seq_add(plan->seq, plan->len);
	t->end = seq_max(tcb->snd.nxt, t->text_end);
	core_count(tcp->core, TERN_COUNT_TcpExtTCPLossProbes);
}

/* The probe was what mended a loss, of which nobody else has noticed anything. */
static void mended(struct tcp *tcp, struct tcb *tcb)
{
	core_count(tcp->core, TERN_COUNT_TcpExtTCPLossProbeRecovery);
	if (tcb->side->mode != RECOVERY_OPEN)
		return;
	tern_recovery_cwr_end(tcb);
	tern_undo_begin(tcb);
	tern_undo_leave(tcb);
	/* What is in flight now is what was sent after it: not what the loss was of. */
	tcb->ssthresh = tern_cc_reduced(tcb, tcb->cwnd);
	tcb->cwnd = tcb->ssthresh;
	tern_trace_congestion(tcp, tcb, "loss probe");
}

/* 7.4.2: TLP_process_ack(). */
void tern_tlp_ack(struct tcp *tcp, struct tcb *tcb, const struct delivery *d, tern_seq ack)
{
	struct tlp *t = &tcb->side->rec.tlp;
	if (!t->out || seq_lt(ack, t->end))
		return;
	if (t->resent && !(d->dsack && seq_eq(d->dsack_hi, t->text_end)) && !d->nothing) {
		if (seq_eq(ack, t->end)) /* the original or the probe: what comes next tells */
			return;
		mended(tcp, tcb);
	}
	t->out = false;
}
