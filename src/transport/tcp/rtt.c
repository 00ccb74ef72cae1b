/* Round-trip time and retransmission timeout (RFC 6298), timed per Karn's rule. */
#include "transport/tcp/tcp.h"

void tern_rtt_start(struct tcp *tcp, struct tcb *tcb, tern_seq end)
{
	if (!tcb->side || tcb->side->timing)
		return;
	tcb->side->timing = true;
	tcb->side->timed_end = end;
	tcb->side->timed_at = tcp->core->now;
}

/* RFC 6298 3: no sample may come from a segment that was sent twice. */
void tern_rtt_cancel(struct tcb *tcb)
{
	if (tcb->side)
		tcb->side->timing = false;
}

/* RFC 6298 2.2 and 2.3, in us; alpha 1/8, beta 1/4. */
static void update(struct tcb *tcb, uint64_t sample)
{
	uint32_t r = sample / 1000 > 1 ? (uint32_t)(sample / 1000) : 1;
	if (tcb->srtt == 0) {
		tcb->srtt = r;
		tcb->rttvar = r / 2;
		return;
	}
	uint32_t err = r > tcb->srtt ? r - tcb->srtt : tcb->srtt - r;
	tcb->rttvar = (uint32_t)((3 * (uint64_t)tcb->rttvar + err) / 4);
	tcb->srtt = (uint32_t)((7 * (uint64_t)tcb->srtt + r) / 8);
	if (tcb->srtt == 0)
		tcb->srtt = 1;
}

uint32_t tern_rtt_echo(const struct tcp *tcp, const struct tcb *tcb, const struct tcp_segment *seg)
{
	bool echo = seg->options.has & TCP_OPT_TIMESTAMP && tcb->flags & TCB_TIMESTAMPS;
	if (!echo || seg->options.tsecr == 0)
		return 0;
	uint32_t ms = tern_timestamp_now(tcp, tcb) - seg->options.tsecr;
	return ms < 1u << 20 ? ms * 1000 + 500 : 0;
}

/* The sample from a timed segment, else from an echoed timestamp (RFC 7323 4), which is safe
 * also when the segment was sent more than once. */
static uint64_t sample_of(const struct tcp *tcp, const struct tcb *tcb,
	const struct tcp_segment *seg)
{
	const struct tcb_side *side = tcb->side;
	if (side && side->timing && seq_leq(side->timed_end, seg->ack))
		return tcp->core->now - side->timed_at;
	return side && side->timing ? 0 : (uint64_t)tern_rtt_echo(tcp, tcb, seg) * 1000;
}

uint64_t tern_rtt_sample(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg)
{
	uint64_t sample = sample_of(tcp, tcb, seg);
	if (sample == 0) {
		/* In no time: nothing is timed any more. */
		if (tcb->side && tcb->side->timing && seq_leq(tcb->side->timed_end, seg->ack))
			tern_rtt_cancel(tcb);
		return 0;
	}
	tern_rtt_cancel(tcb);
	tern_rtt_take(tcp, tcb, sample);
	return sample;
}

/* RFC 6298 5: the backed-off value is kept until a sample comes. */
void tern_rtt_heard(struct tcb *tcb)
{
	if (tcb->side)
		tcb->side->rec.tlp.untimed = false;
	tcb->backoff = 0;
}

void tern_rtt_take(struct tcp *tcp, struct tcb *tcb, uint64_t sample)
{
	update(tcb, sample);
	tern_rtt_heard(tcb);
	tern_trace_rtt(tcp, tcb, sample);
}

/*
 * DEVIATES: RFC 6298 2.4 rounds up to a second; Linux, and so everyone's peers, wait at
 * least tcp_rto_min_ms (200) beyond the smoothed RTT.
 */
uint64_t tern_rto(const struct tcp *tcp, const struct tcb *tcb)
{
	uint64_t floor = (uint64_t)tcp->core->set.tcp_rto_min_ms * MS;
	uint64_t margin = 4000 * (uint64_t)tcb->rttvar;
	if (tcb->srtt == 0 && margin == 0)
		margin = RTO_INITIAL; /* see tern_open_done() for the other case */
	return (uint64_t)tcb->srtt * 1000 + (margin > floor ? margin : floor);
}

uint64_t tern_rto_after(const struct tcp *tcp, const struct tcb *tcb, unsigned tries)
{
	uint64_t most = (uint64_t)tcp->core->set.tcp_rto_max_ms * MS;
	uint64_t rto = tern_rto(tcp, tcb);
	for (unsigned i = 0; i < tries && rto < most; i++)
		rto *= 2;
	return rto < most ? rto : most;
}

uint64_t tern_rto_backed_off(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_rto_after(tcp, tcb, tcb->backoff);
}

uint64_t tern_rto_left(const struct tcp *tcp, const struct tcb *tcb)
{
	uint64_t rto = tern_rto_backed_off(tcp, tcb);
	const struct xmit *first = board_at_const(&tcb->side->rec.board, 0);
	uint64_t gone = first->flags & XMIT_LOST ? 0 : tcp->core->now - first->at;
	return gone < rto ? rto - gone : 0;
}
