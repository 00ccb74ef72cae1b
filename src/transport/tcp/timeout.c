/*
 * What happens at a deadline that timer.c has set (RFC 9293 3.10.8): something is sent again, asked
 * or acknowledged, or the connection is given up or is over.
 */
#include "transport/tcp/tcp.h"

#define EXPIRE_MAX 1024 /* connections a call */

/* --- giving up ------------------------------------------------------------------------------ */

/*
 * While the peer's window is closed but it still answers, we never give up (RFC 6429, MUST-37). An
 * orphan is another matter: nobody would miss it, and it must end, however its window is opened
 * and closed again, as long as nothing is taken; but not before the probes would be as rare as
 * they get (as Linux), or a small RTO would cut a slow reader off.
 */
static uint32_t tries_at_closed_window(const struct tcp *tcp, const struct tcb *tcb)
{
	uint64_t rarest = (uint64_t)tcp->core->set.tcp_rto_max_ms * MS;
	if (!tcb->side)
		return 0;
	if (tcb->flags & TCB_ORPHAN && tern_rto_after(tcp, tcb, tcb->side->unmoved) >= rarest)
		return tcb->side->unmoved;
	return tcb->side->unanswered;
}

/* Linux's own default is 0, and means 8. */
static int32_t orphan_retries(const struct settings *s)
{
	return s->tcp_orphan_retries ? s->tcp_orphan_retries : 8;
}

/*
 * R2 of RFC 9293 3.8.3: how often we try before giving up.
 * DEVIATES: MUST-23 wants three minutes for a SYN; tcp_syn_retries has Linux's default, 127 s, and
 * 7 gives 255 s.
 */
uint32_t tern_timeout_retries_max(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct settings *s = &tcp->core->set;
	int32_t limit = s->tcp_retries2;
	if (tcb->state == TERN_TCP_SYN_SENT)
		limit = tcb->side && tcb->side->choice.syn_retries ? tcb->side->choice.syn_retries
								   : s->tcp_syn_retries;
	else if (tcb_syn_unacked(tcb)) /* both opened at once */
		limit = s->tcp_synack_retries;
	else if (tcb->flags & TCB_ORPHAN && orphan_retries(s) < limit)
		limit = orphan_retries(s);
	return (uint32_t)limit;
}

static bool out_of_tries(const struct tcp *tcp, const struct tcb *tcb)
{
	uint32_t tries = tcb->backoff;
	uint64_t left = tern_user_timeout_left(tcp, tcb);
	if (left != TERN_NEVER)
		return left == 0;
	if (!tcb_syn_unacked(tcb) && tcb->snd.wnd == 0)
		tries = tries_at_closed_window(tcp, tcb);
	return tries >= tern_timeout_retries_max(tcp, tcb);
}

static void back_off(const struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->backoff == 0 && !(tcb->side && tcb->side->rec.tlp.out))
		tern_user_timeout_begin(tcp, tcb, tern_timer_patience(tcp, tcb));
	if (tcb->backoff < 64)
		tcb->backoff++;
	if (tcb->side && tcb->side->unanswered < UINT8_MAX)
		tcb->side->unanswered++;
	if (tcb->side && tcb->side->unmoved < UINT8_MAX)
		tcb->side->unmoved++;
}

void tern_timeout_give_up(struct tcp *tcp, struct tcb *tcb)
{
	int soft = tcb->side ? tcb->side->soft_error : 0;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPAbortOnTimeout);
	/* Tell the peer too, in case it is only we who are not heard. */
	if (tcb_in(tcb, SYNCHRONIZED))
		tern_reset_send(tcp, tcb);
	tern_tcb_die(tcp, tcb, soft ? soft : TERN_ETIMEDOUT, TERN_CAUSE_TIMEOUT);
}

/* --- what expires --------------------------------------------------------------------------- */

/* RFC 8985 6.2 step 5. */
static void reorder_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_REORDERING, true, tcp->core->now);
	tern_recovery_reorder_expired(tcp, tcb);
	tern_timer_losses_marked(tcp, tcb);
}

/* RFC 8985 7.3. */
static void probe_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_LOSS_PROBE, true, tcp->core->now);
	if (!tern_tlp_expired(tcp, tcb)) {
		tern_timer_probe_dropped(tcp, tcb);
		return;
	}
	tern_user_timeout_begin(tcp, tcb,
		tcp->core->now - board_at_const(&tcb->side->rec.board, 0)->at);
	tern_timer_probe_due(tcp, tcb);
}

/* RFC 6298 5.4 to 5.6. Returns false when the connection is gone. */
static bool retransmit_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_RETRANSMIT, true, tcp->core->now);
	if (out_of_tries(tcp, tcb)) {
		tern_timeout_give_up(tcp, tcb);
		return false;
	}
	if (tcb_syn_unacked(tcb)) {
		tcb->flags |= TCB_SYN_DUE;
		tern_rtt_cancel(tcb);
	} else if (tern_tcb_side(tcp, tcb)) {
		tern_recovery_timeout(tcp, tcb);
	}
	back_off(tcp, tcb);
	/* R1 of RFC 9293 3.8.3 (MUST-20). */
	if (!tcb_syn_unacked(tcb) && tcb->backoff >= tcp->core->set.tcp_retries1) {
		tern_path_doubt(tcp->ip, tcb->path);
		if (tcb->side)
			tern_mtu_doubt(tcp, tcb);
	}
	tern_timer_backed_off(tcp, tcb);
	tern_want_send(tcp, tcb);
	return true;
}

/* What rexmt_at stood for. Returns false when the connection is gone. */
static bool loss_timer_expired(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = 0;
	switch (tcb->side ? (enum loss_timer)tcb->side->rec.timer : LOSS_TIMER_RTO) {
	case LOSS_TIMER_REORDER:
		reorder_expired(tcp, tcb);
		return true;
	case LOSS_TIMER_PROBE:
		probe_expired(tcp, tcb);
		return true;
	case LOSS_TIMER_RTO:
		break;
	}
	return retransmit_expired(tcp, tcb);
}

static bool persist_expired(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = 0;
	tcb->flags &= ~TCB_PERSIST;
	tern_trace_timer(tcp, tcb, TERN_TIMER_PERSIST, true, tcp->core->now);
	bool waiting = tcb->send.len || tcb->flags & TCB_FIN_QUEUED;
	if (tcb_syn_unacked(tcb) || !waiting) { /* starved */
		tern_tell_room(tcp, tcb);
		return true;
	}
	if (!tern_tcb_side(tcp, tcb)) { /* memory is short: look again later */
		tern_timer_blocked(tcp, tcb, 0);
		return true;
	}
	bool closed = tcb->snd.wnd == 0;
	/* A window that stays shut, and a force that found no way to the peer: both must end. */
	if (closed || tcb->flags & TCB_FORCE) {
		if (out_of_tries(tcp, tcb)) {
			tern_timeout_give_up(tcp, tcb);
			return false;
		}
		back_off(tcp, tcb);
	}
	tcb->flags |= closed ? TCB_PROBE_DUE : TCB_FORCE;
	if (!closed && tcb->side)
		tcb->side->more = false; /* nothing more came */
	if (closed)
		tern_timer_blocked(tcp, tcb, 0);
	tern_want_send(tcp, tcb);
	return true;
}

static void delayed_ack_expired(struct tcp *tcp, struct tcb *tcb)
{
	tcb->delack_at = 0;
	if (!(tcb->flags & TCB_ACK_DELAYED))
		return;
	tern_trace_timer(tcp, tcb, TERN_TIMER_DELAYED_ACK, true, tcp->core->now);
	core_count(tcp->core, TERN_COUNT_TcpExtDelayedACKs);
	tcb->flags |= TCB_ACK_NOW;
	tern_want_send(tcp, tcb);
}

static bool linger_expired(struct tcp *tcp, struct tcb *tcb)
{
	tcb->linger_at = 0;
	if (tcb->state == TERN_TCP_TIME_WAIT) {
		tern_trace_timer(tcp, tcb, TERN_TIMER_TIME_WAIT, true, tcp->core->now);
		tern_tcb_die(tcp, tcb, 0, TERN_CAUSE_2MSL);
		return false;
	}
	if (tcb_linger_is_close(tcb)) {
		tern_trace_timer(tcp, tcb, TERN_TIMER_FIN_WAIT_2, true, tcp->core->now);
		tern_tcb_die(tcp, tcb, 0, TERN_CAUSE_FIN_TIMEOUT);
		return false;
	}
	tern_tcb_side_release(tcp, tcb);
	if (!tcb->side)
		return true;
	uint64_t wait = tern_keepalive_turn(tcp, tcb);
	if (tcb->state == TERN_TCP_CLOSED)
		return false;
	if (wait)
		tern_timer_keepalive(tcp, tcb, wait);
	else if (!tern_tcb_side_kept(tcp, tcb) && !tcb_stands_still(tcb))
		tern_timer_busy(tcp, tcb);
	return true;
}

static void burst_due(struct tcp *tcp, struct tcb *tcb)
{
	tcb->side->pacing.wake = 0;
	tern_want_send(tcp, tcb);
}

static void expire(struct tcp *tcp, struct tcb *tcb)
{
	bool retransmit = tern_timer_due(tcp, tcb, tcb->rexmt_at);
	bool ack = tern_timer_due(tcp, tcb, tcb->delack_at);
	bool linger = tern_timer_due(tcp, tcb, tcb->linger_at);
	if (tcb->side && tern_timer_due(tcp, tcb, tcb->side->pacing.wake))
		burst_due(tcp, tcb);
	if (retransmit) {
		bool alive = tcb->flags & TCB_PERSIST ? persist_expired(tcp, tcb)
						      : loss_timer_expired(tcp, tcb);
		if (!alive)
			return;
	}
	if (ack)
		delayed_ack_expired(tcp, tcb);
	if (linger && !linger_expired(tcp, tcb))
		return;
	tern_timer_rearm(tcp, tcb);
}

/* --- for stack.c ---------------------------------------------------------------------------- */

void tern_tcp_time(struct tcp *tcp)
{
	uint64_t gone = tcp->core->now - tcp->moved_at;
	if (gone > PAUSE_MAX)
		tcp->skipped += (gone - PAUSE_MAX) / 1000 * 1000;
	tcp->moved_at = tcp->core->now;
}

static void advance_wheel(struct tcp *tcp)
{
	bool more = false;
	for (unsigned i = 0; i < EXPIRE_MAX; i++) {
		struct wheel_entry *entry = tern_wheel_expire(&tcp->wheel, tcp->core->now, &more);
		if (entry)
			expire(tcp, tcb_of_timer(entry));
		else if (!more)
			return;
	}
}

void tern_tcp_advance(struct tcp *tcp)
{
	advance_wheel(tcp);
	if (tcp->syns.count)
		tern_syncache_advance(tcp);
	if (tcp->waits.pool.live)
		tern_timewait_advance(tcp);
}

uint64_t tern_tcp_deadline(const struct tcp *tcp)
{
	uint64_t at = tern_wheel_next(&tcp->wheel);
	uint64_t syns = tcp->syns.count ? tern_syncache_deadline(tcp) : TERN_NEVER;
	uint64_t waits = tcp->waits.pool.live ? tern_timewait_deadline(tcp) : TERN_NEVER;
	at = syns < at ? syns : at;
	return waits < at ? waits : at;
}
