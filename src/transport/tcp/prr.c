/*
 * Proportional rate reduction (RFC 9937): during fast recovery, and when congestion was echoed (as
 * Linux), so much is sent for what is delivered that the window has shrunk to ssthresh when all
 * that was in flight has been heard of.
 */
#include "transport/tcp/tcp.h"

/* 6.2, at the beginning; `delivered` is by the ACK that began it. */
void tern_prr_begin(struct tcb *tcb, uint32_t delivered)
{
	tcb->side->rec.prr = (struct prr){
		.flight = tcb_flight(tcb) - tcb->side->rec.board.sacked + delivered,
	};
}

/* While too much is in flight: ssthresh for RecoverFS. */
static uint32_t proportional(const struct prr *p, uint32_t ssthresh)
{
	uint64_t fs = p->flight ? p->flight : 1;
	uint64_t due = ((uint64_t)p->delivered * ssthresh + fs - 1) / fs;
	return due > p->out ? (uint32_t)(due - p->out) : 0;
}

/* Else back up to it: by what is delivered, or one segment faster when all goes well. */
static uint32_t catching_up(const struct tcb *tcb, uint32_t delivered, bool safe, uint32_t pipe)
{
	const struct prr *p = &tcb->side->rec.prr;
	uint32_t due = p->delivered > p->out ? p->delivered - p->out : 0;
	if (due < delivered)
		due = delivered;
	if (safe) /* PRR-SSRB */
		due += tcb->mss;
	return at_most(tcb->ssthresh - pipe, due);
}

/* 6.2, on every ACK but the last. `safe`: SND.UNA advances and nothing more is found lost. */
void tern_prr_ack(struct tcb *tcb, uint32_t delivered, bool safe)
{
	struct prr *p = &tcb->side->rec.prr;
	uint32_t pipe = tern_recovery_pipe(tcb), due;
	if (delivered == 0 && p->out)
		return;
	p->delivered += delivered;
	due = pipe > tcb->ssthresh ? proportional(p, tcb->ssthresh)
				   : catching_up(tcb, delivered, safe, pipe);
	if (p->out == 0 && due < tcb->mss) /* the first is sent again at once */
		due = tcb->mss;
	tcb->cwnd = pipe + due;
	if (tcb->cwnd < tcb->mss)
		tcb->cwnd = tcb->mss;
}

void tern_prr_sent(struct tcb *tcb, uint32_t bytes)
{
	struct prr *p = &tcb->side->rec.prr;
	if (tcb->side->mode == RECOVERY_FAST || p->cwr)
		p->out += bytes;
}
