/* How a segment is built in the device's own buffer, and what having sent it means. */
#include "transport/tcp/tcp.h"

#define CSUM_OFFSET 16 /* of the checksum in the TCP header */

static void add_options(struct tcp *tcp, struct tcb *tcb, struct tcp_segment *s)
{
	struct tcp_options *o = &s->options;
	bool syn = s->flags & TCP_SYN;
	if (tcb->flags & TCB_TIMESTAMPS) {
		o->has |= TCP_OPT_TIMESTAMP;
		o->tsval = tern_timestamp_now(tcp, tcb);
		o->tsecr = s->flags & TCP_ACK ? tcb->ts_recent : 0;
	}
	if (!syn) {
		o->sack_count = tern_sack_blocks(tcb, o->sack);
		o->has |= o->sack_count ? TCP_OPT_SACK : 0;
		return;
	}
	o->has |= TCP_OPT_MSS;
	o->mss = tcb->adv_mss;
	if (tcb->flags & TCB_WSCALE) {
		o->has |= TCP_OPT_WSCALE;
		o->wscale = tcb->rcv_wscale;
	}
	if (tcb->flags & TCB_SACK)
		o->has |= TCP_OPT_SACK_OK;
}

/* RFC 6093: the pointer is to the byte after the last urgent one. */
static void add_urgent(const struct tcb *tcb, struct tcp_segment *s)
{
	if (!(tcb->flags & TCB_URGENT_OUT) || !tcb->side || !seq_lt(s->seq, tcb->side->snd_up))
		return;
	uint32_t ahead = seq_diff(tcb->side->snd_up, s->seq);
	s->flags |= TCP_URG;
	s->urgent = (uint16_t)(ahead < UINT16_MAX ? ahead : UINT16_MAX);
}

/* Copies the text behind the header and finishes the checksum, or leaves that to the device. */
static void add_text(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *s,
	uint32_t header_len, struct tern_frame *frame)
{
	const struct csum_ops *csum = tcp->core->csum;
	uint32_t at = tcb->path->header_len, len = header_len + s->data_len;
	uint8_t *header = frame->data + at;
	uint32_t offset = s->data_len ? seq_diff(s->seq, tcb_data_start(tcb)) : 0;
	uint64_t sum = tern_pseudo_sum(&tcb->path->src, &tcb->path->dst, IPPROTO_TCP_NUM, len);
	if (tcp->ip->link->nif[tcb->path->nif].opts.offload & TERN_OFFLOAD_TX_CSUM) {
		if (s->data_len)
			tern_ring_copy(&tcb->send, offset, header + header_len, s->data_len);
		frame->csum_start = (uint16_t)at;
		frame->csum_offset = CSUM_OFFSET;
		store_be16(header + CSUM_OFFSET, csum_fold(sum));
		return;
	}
	sum += csum->sum(header, header_len);
	if (s->data_len)
		sum += csum_fold(tern_ring_copy_sum(&tcb->send, offset, header + header_len,
			s->data_len, csum));
	store_be16(header + CSUM_OFFSET, csum_finish(sum));
}

/* A frame the device cuts counts as the segments it becomes; Linux does the same. */
static void count(struct tcp *tcp, struct tcb *tcb, const struct plan *plan, uint32_t mss)
{
	struct core *core = tcp->core;
	if (tcb->side)
		tern_tally_sent(tcb, plan, mss);
	if (!plan->retransmit) {
		uint32_t segments = segments_of(plan->len, mss);
		core_add(core, TERN_COUNT_TcpOutSegs, segments);
		core_add(core, TERN_COUNT_TcpExtTCPOrigDataSent, plan->len ? segments : 0);
		return;
	}
	core_count(core, TERN_COUNT_TcpRetransSegs);
	if (plan->flags & TCP_SYN)
		core_count(core, TERN_COUNT_TcpExtTCPSynRetrans);
	else if (tern_retransmit_fast(plan->reason))
		core_count(core, TERN_COUNT_TcpExtTCPFastRetrans);
	else if (plan->reason == TERN_RTX_AFTER_TIMEOUT)
		core_count(core, TERN_COUNT_TcpExtTCPSlowStartRetrans);
}

/* An ACK is on its way: nothing more is owed for what it covers. */
static void ack_sent(struct tcb *tcb)
{
	tcb->flags &= ~(TCB_ACK_NOW | TCB_ACK_DELAYED);
	tcb->rcv.acked = tcb->rcv.nxt;
	if (tcb->side)
		tcb->side->dup_in_due = false;
	tern_timer_ack_sent(tcb);
}

static void new_numbers(struct tcp *tcp, struct tcb *tcb, const struct plan *plan, struct range r,
	uint32_t mss)
{
	struct tcb_side *side = tcb->side;
	tcb->snd.nxt = r.hi;
	if (plan->flags & TCP_FIN)
		tcb->flags |= TCB_FIN_SENT;
	tern_rtt_start(tcp, tcb, r.hi);
	if (!side)
		return;
	if (plan->len) {
		tern_rate_sent(tcp, tcb, r);
		tern_tally_turn(tcp, tcb, STANDING_BUSY);
		side->tally.sent_at = tcp->core->now;
	}
	if (plan->len % mss)
		side->small_end = r.hi;
	tern_lowat_sent(tcp, tcb);
	if (!(plan->flags & TCP_SYN))
		tern_recovery_sent(tcp, tcb, r, false);
	side->rec.tail = r.lo;
	if (plan->len > mss)
		side->rec.tail = seq_add(r.lo, (plan->len - 1) / mss * mss);
	side->flight_sent = tern_recovery_pipe(tcb);
	tern_cwnd_sent(tcp, tcb);
	if (side->pacing.left)
		tern_pacing_sent(tcb, plan->len);
}

/* Sequence numbers were used: the clock starts. */
static void numbers_sent(struct tcp *tcp, struct tcb *tcb, const struct plan *plan, uint32_t mss)
{
	uint32_t used = plan->len + !!(plan->flags & TCP_SYN) + !!(plan->flags & TCP_FIN);
	struct range r = {plan->seq, seq_add(plan->seq, used)};
	if (used == 0)
		return;
	if (seq_gt(r.hi, tcb->snd.nxt))
		new_numbers(tcp, tcb, plan, r, mss);
	else if (tcb->side && !(plan->flags & TCP_SYN))
		tern_recovery_sent(tcp, tcb, r, true);
	if (plan->retransmit && tcb->side && tcb->side->mtu.full)
		tern_mtu_resent(tcp, tcb, r);
	if (plan->trial)
		tern_mtu_trial_sent(tcb, r);
	if (plan->retransmit)
		tern_rtt_cancel(tcb);
	if (plan->retransmit && tcb->side && seq_eq(plan->seq, tcb->snd.una))
		tern_timer_first_resent(tcp, tcb);
	else
		tern_timer_data_sent(tcp, tcb);
}

void tern_segment_build(struct tcp *tcp, struct tcb *tcb, const struct plan *plan,
	struct tern_frame *frame)
{
	bool syn = plan->flags & TCP_SYN;
	struct tcp_segment s = {
		.src_port = tcb->local_port,
		.dst_port = tcb->remote_port,
		.seq = plan->seq,
		.ack = plan->flags & TCP_ACK ? tcb->rcv.nxt : seq(0),
		.flags = plan->flags,
		.window = tern_window_field(tcp, tcb, syn),
		.data_len = plan->len,
	};
	uint32_t mss = plan->trial ? plan->len : tern_tcb_effective_mss(tcb);
	add_options(tcp, tcb, &s);
	add_urgent(tcb, &s);
	uint8_t ecn = tcb->ecn ? tern_ecn_sent(tcb, &s, plan->retransmit) : 0;
	if (plan->retransmit)
		tern_trace_retransmit(tcp, tcb, plan);
	uint32_t header_len = tern_tcp_emit(frame->data + tcb->path->header_len, &s);
	add_text(tcp, tcb, &s, header_len, frame);
	if (plan->len > mss) {
		frame->gso_size = (uint16_t)mss;
		frame->header_len = (uint16_t)(tcb->path->header_len + header_len);
	}
	struct ip_out out = {.protocol = IPPROTO_TCP_NUM,
		.tos = tos_of(tcb->dscp) | ecn,
		.dont_fragment = true,
		.len = header_len + plan->len};
	tern_path_emit(tcp->ip, tcb->path, frame, &out);
	count(tcp, tcb, plan, mss);
	numbers_sent(tcp, tcb, plan, mss);
	if (plan->flags & TCP_ACK)
		ack_sent(tcb);
	tern_trace_segment(tcp, TERN_TRACE_SEGMENT_OUT, tcb, NULL, &s,
		(uint32_t)s.window << (syn ? 0 : tcb->rcv_wscale));
}
