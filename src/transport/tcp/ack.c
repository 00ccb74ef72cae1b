/* Step five for synchronised states: what an acknowledgement does (RFC 9293 3.10.7.4). */
#include "transport/tcp/tcp.h"

/* How many bytes beyond a hole this segment reports as received (RFC 2018). */
static uint32_t reported_beyond(const struct arrival *a)
{
	const struct tcp_options *o = &a->seg->options;
	const struct tcb *tcb = a->tcb;
	uint32_t bytes = 0;
	if (!(o->has & TCP_OPT_SACK))
		return 0;
	for (unsigned i = 0; i < o->sack_count; i++)
		if (seq_gt(o->sack[i].lo, tcb->snd.una) && seq_leq(o->sack[i].hi, tcb->snd.nxt))
			bytes += seq_diff(o->sack[i].hi, o->sack[i].lo);
	return bytes;
}

/*
 * RFC 5681 2: same number, no data, same window, something outstanding. A peer that tunes its
 * buffer offers more with every ACK; then a SACK block beyond the hole is what tells (RFC 6675 2).
 */
static bool is_duplicate(const struct arrival *a)
{
	const struct tcb *tcb = a->tcb;
	return seq_eq(a->seg->ack, tcb->snd.una) && a->seg->data_len == 0 &&
	       !(a->seg->flags & (TCP_SYN | TCP_FIN)) && tcb_flight(tcb) > 0 &&
	       !tcb_syn_unacked(tcb) && !a->trimmed &&
	       (a->window == tcb->snd.wnd || reported_beyond(a));
}

/* Takes what is acknowledged out of the send ring and moves SND.UNA. */
static void advance(struct arrival *a, struct ack_info *info)
{
	struct tcb *tcb = a->tcb;
	tern_seq ack = a->seg->ack;
	info->acked = seq_diff(ack, tcb->snd.una);
	info->syn_acked = tcb_syn_unacked(tcb);
	info->fin_acked = tcb->flags & TCB_FIN_SENT && seq_eq(ack, tcb->snd.nxt);
	uint32_t bytes = info->acked - info->syn_acked - info->fin_acked;
	tern_ring_consume(&tcb->send, &a->tcp->core->chunks, bytes);
	tcb->snd.una = ack;
	tcb->flags = (tcb->flags & ~TCB_RETRANSMIT_DUE) | TCB_SYN_ACKED;
	if (tcb->side) {
		tcb->side->unmoved = 0;
		bool theirs = info->syn_acked && tcb->flags & TCB_PASSIVE;
		tcb->side->tally.acked += info->acked - theirs;
		tern_cc_advanced(tcb);
		tern_cwv_acked(a->tcp, tcb, bytes);
		if (tcb->side->records.count)
			tern_record_acked(a->tcp, tcb);
		if (tcb->side->mtu.full)
			tern_mtu_acked(a->tcp, tcb);
	}
	/* A SYN-ACK that is no longer needed still owes the peer's SYN its acknowledgement. */
	if (info->syn_acked && tcb->flags & TCB_SYN_DUE)
		tcb->flags = (tcb->flags & ~TCB_SYN_DUE) | TCB_ACK_NOW;
	if (tcb->flags & TCB_URGENT_OUT && tcb->side && seq_leq(tcb->side->snd_up, ack))
		tcb->flags &= ~TCB_URGENT_OUT;
}

/*
 * RFC 9293 3.10.7.4: SND.WND from segments not older than the last that set it.
 * DEVIATES: also from any that advances SND.UNA, which a data segment sent again does with an old
 * number. The window counts from SND.UNA: left as it was, it would reach beyond all the peer ever
 * offered.
 */
static bool update_window(struct arrival *a, bool advanced)
{
	struct tcb *tcb = a->tcb;
	const struct tcp_segment *seg = a->seg;
	if (seq_lt(seg->ack, tcb->snd.una))
		return false;
	if (!advanced && !seq_lt(tcb->snd.wl1, seg->seq) &&
		!(seq_eq(tcb->snd.wl1, seg->seq) && seq_leq(tcb->snd.wl2, seg->ack)))
		return false;
	bool changed = tcb->snd.wnd != a->window;
	tcb->snd.wnd = a->window;
	tcb->snd.wl1 = seg->seq;
	tcb->snd.wl2 = seg->ack;
	if (a->window >> tcb->snd_wscale > tcb->max_wnd)
		tcb->max_wnd = (uint16_t)(a->window >> tcb->snd_wscale);
	if (changed)
		tern_trace_window(a->tcp, tcb);
	return changed;
}

/* The sender's buffer follows the congestion window, so that it is never what limits. */
static void tune_send_buffer(const struct tcp *tcp, struct tcb *tcb)
{
	uint32_t want = 2 * tcb->cwnd, most = (uint32_t)tcp->core->set.tcp_wmem_max;
	if (tcb->flags & TCB_SNDBUF_FIXED || tcb->cwnd > most || core_pressed(tcp->core))
		return;
	if (want > most)
		want = most;
	if (want > tcb->sndbuf)
		tcb->sndbuf = want;
}

void tern_tell_room(struct tcp *tcp, struct tcb *tcb)
{
	if (!(tcb->flags & TCB_WANT_WRITE) || tcb->flags & TCB_FIN_QUEUED)
		return;
	/* A third free: waking for every segment would cost more than it gains. */
	if (tcb->send.len > tcb->sndbuf - tcb->sndbuf / 3 || !tern_lowat_reached(tcp, tcb))
		return;
	tcb->flags &= ~TCB_WANT_WRITE;
	tern_notice_raise(tcp->core, &tcb->notice, NOTICE(TERN_EV_WRITABLE));
}

/* The peer opened (or closed) its window. */
static void window_changed(struct tcp *tcp, struct tcb *tcb)
{
	bool waiting = tcb->send.len || tcb->flags & TCB_FIN_QUEUED;
	if (waiting && tcb->snd.wnd > 0 && tcb->flags & TCB_PERSIST) {
		tcb->flags &= ~(TCB_PERSIST | TCB_PROBE_DUE);
		tcb->rexmt_at = 0;
		tcb->backoff = 0;
		if (tcb_flight(tcb))
			tern_timer_data_sent(tcp, tcb);
	}
}

static bool fin_follows(const struct arrival *a)
{
	return a->seg->flags & TCP_FIN && a->seg->data_len == 0 &&
	       seq_eq(a->seg->seq, a->tcb->rcv.nxt);
}

/* FIN acknowledged: FIN_WAIT_1, CLOSING and LAST_ACK move on. */
static void fin_acked(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	if (!(tcb->flags & (TCB_SENT_TOLD | TCB_ORPHAN))) {
		tcb->flags |= TCB_SENT_TOLD;
		tern_notice_raise(a->tcp->core, &tcb->notice, NOTICE(TERN_EV_SENT));
	}
	switch ((enum tern_tcp_state)tcb->state) {
	case TERN_TCP_FIN_WAIT_1:
		/* A bare FIN in order that also acknowledges ours leads straight to TIME_WAIT, in
		 * step eight (RFC 9293 figure 5, note 2). */
		if (!fin_follows(a))
			tern_tcb_enter(a->tcp, tcb, TERN_TCP_FIN_WAIT_2, TERN_CAUSE_ACK);
		break;
	case TERN_TCP_CLOSING:
		tern_tcb_enter(a->tcp, tcb, TERN_TCP_TIME_WAIT, TERN_CAUSE_ACK);
		break;
	case TERN_TCP_LAST_ACK:
		tern_tcb_die(a->tcp, tcb, 0, TERN_CAUSE_ACK);
		a->tcb = NULL;
		break;
	case TERN_TCP_CLOSED:
	case TERN_TCP_LISTEN:
	case TERN_TCP_SYN_SENT:
	case TERN_TCP_SYN_RECEIVED:
	case TERN_TCP_ESTABLISHED:
	case TERN_TCP_FIN_WAIT_2:
	case TERN_TCP_CLOSE_WAIT:
	case TERN_TCP_TIME_WAIT:
		break;
	}
}

/* The handshake's ACK (RFC 9293 3.10.7.4, SYN-RECEIVED). */
static struct verdict syn_received(struct arrival *a)
{
	struct tcp *tcp = a->tcp;
	struct tcb *tcb = a->tcb;
	if (!seq_lt(tcb->snd.una, a->seg->ack) || !seq_leq(a->seg->ack, tcb->snd.nxt))
		return verdict(VERDICT_RESET, TERN_DROP_TCP_BAD_ACK);
	if (tcb->state != TERN_TCP_SYN_RECEIVED) /* closed meanwhile: FIN_WAIT_1 */
		return CONTINUE;
	if (tcb->flags & TCB_UNACCEPTED)
		tern_listen_established(tcp, tcb);
	tern_open_done(tcp, tcb, TERN_CAUSE_ACK);
	return CONTINUE;
}

static struct verdict check_range(const struct arrival *a)
{
	const struct tcb *tcb = a->tcb;
	/* MUST: something not yet sent: ACK and drop. */
	if (seq_gt(a->seg->ack, tcb->snd.nxt))
		return verdict(VERDICT_ACK_PACED, TERN_DROP_TCP_BAD_ACK);
	/* RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK. */
	uint32_t max_wnd = (uint32_t)tcb->max_wnd << tcb->snd_wscale;
	if (seq_lt(a->seg->ack, seq_sub(tcb->snd.una, max_wnd)))
		return verdict(VERDICT_CHALLENGE, TERN_DROP_TCP_OLD_ACK);
	return CONTINUE;
}

struct verdict tern_ack_step(struct arrival *a)
{
	struct tcp *tcp = a->tcp;
	struct tcb *tcb = a->tcb;
	if (!(a->seg->flags & TCP_ACK))
		return verdict(VERDICT_DROP, TERN_DROP_TCP_NO_ACK_FLAG);
	struct verdict v = tcb_syn_unacked(tcb) ? syn_received(a) : check_range(a);
	if (v.kind != VERDICT_CONTINUE || !a->tcb)
		return v;
	if (a->seg->len == 0)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPPureAcks);
	struct ack_info info = {.duplicate = is_duplicate(a), .now = tcp->core->now};
	info.flight = tcb->side ? tcb->side->flight_sent : 0;
	info.sacked = info.duplicate ? reported_beyond(a) : 0;
	if (seq_gt(a->seg->ack, tcb->snd.una)) {
		info.rtt = tern_rtt_sample(tcp, tcb, a->seg);
		info.echo_rtt = info.rtt ? 0 : tern_rtt_echo(tcp, tcb, a->seg);
		advance(a, &info);
		tern_path_confirm(tcp->ip, tcb->path);
	}
	if (tcb->side) {
		tcb->side->unanswered = 0;
		tcb->side->soft_error = 0;
		tcb->side->hold = false;
		tern_keepalive_heard(tcp, tcb->side);
	}
	info.window_changed = update_window(a, info.acked > 0);
	if (info.window_changed)
		window_changed(tcp, tcb);
	if (tcb->ecn && a->seg->flags & TCP_ECE)
		tern_ecn_echoed(tcp, tcb, &info);
	tern_recovery_ack(tcp, tcb, a->seg, &info);
	if (info.acked) {
		tune_send_buffer(tcp, tcb);
		tern_tell_room(tcp, tcb);
	}
	if (info.acked || info.window_changed || info.duplicate)
		tern_want_send(tcp, tcb);
	if (info.fin_acked)
		fin_acked(a);
	return CONTINUE;
}
