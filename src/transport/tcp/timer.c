/*
 * When things happen that nobody sends: deadlines, named by what set them. One wheel entry a
 * connection, at the soonest; an entry that turns out early is moved on, so moving a deadline
 * back costs nothing.
 */
#include "transport/tcp/tcp.h"

#define SECOND       (1000 * MS)
#define STARVED_TIME (50 * MS)  /* between two looks for memory */
#define QUIET_TIME   SECOND     /* after which the side block goes */
#define DELACK_MAX   (200 * MS) /* Linux's TCP_DELACK_MAX */
#define LAST_WORD    (10 * MS)  /* for an ACK to go out, where there may be no TIME_WAIT */

/* Ticks round up: never early. 0 means none. */
static uint32_t deadline_in(const struct tcp *tcp, uint64_t wait)
{
	uint32_t at = ticks(tcp->core->now + wait + (1u << WHEEL_TICK_LOG2) - 1);
	return at ? at : 1;
}

/* Deadlines lie at or after that of the wheel's entry, by less than 39 hours; how long ago that
 * was matters not. */
static bool due(const struct tcp *tcp, const struct tcb *tcb, uint32_t at)
{
	uint64_t entry = tcb->timer.deadline >> WHEEL_TICK_LOG2;
	uint64_t deadline = entry + (uint64_t)(int64_t)(int32_t)(at - (uint32_t)entry);
	return at && deadline <= tcp->core->now >> WHEEL_TICK_LOG2;
}

static uint64_t to_ns(const struct tcp *tcp, uint32_t at)
{
	int32_t ahead = (int32_t)(at - ticks(tcp->core->now));
	uint64_t base = tcp->core->now >> WHEEL_TICK_LOG2;
	if (ahead < 0)
		ahead = 0;
	return (base + (uint32_t)ahead) << WHEEL_TICK_LOG2;
}

static uint32_t sooner(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a ? a : b;
	return (int32_t)(a - b) < 0 ? a : b;
}

/* Puts the wheel's entry at the soonest deadline. */
static void rearm(struct tcp *tcp, struct tcb *tcb)
{
	uint32_t at = sooner(sooner(tcb->rexmt_at, tcb->delack_at), tcb->linger_at);
	if (tcb->side)
		at = sooner(at, tcb->side->pacing.wake);
	if (at == 0) {
		tern_wheel_disarm(&tcp->wheel, &tcb->timer);
		return;
	}
	uint64_t deadline = to_ns(tcp, at);
	if (!wheel_armed(&tcb->timer) || deadline < tcb->timer.deadline)
		tern_wheel_arm(&tcp->wheel, &tcb->timer, deadline);
}

static void set(struct tcp *tcp, struct tcb *tcb, uint32_t *which, uint64_t wait)
{
	*which = deadline_in(tcp, wait);
	rearm(tcp, tcb);
}

void tern_timer_stop_all(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = tcb->delack_at = tcb->linger_at = 0;
	if (tcb->side)
		tcb->side->pacing.wake = 0;
	tcb->flags &= ~(TCB_ACK_DELAYED | TCB_PERSIST);
	tern_wheel_disarm(&tcp->wheel, &tcb->timer);
}

/* The timeout in force, but no later than the user's patience ends. */
static uint64_t patience(const struct tcp *tcp, const struct tcb *tcb)
{
	uint64_t rto = tern_rto_backed_off(tcp, tcb), left = tern_user_timeout_left(tcp, tcb);
	return rto < left ? rto : left;
}

static const enum tern_timer shown[] = {
	[LOSS_TIMER_RTO] = TERN_TIMER_RETRANSMIT,
	[LOSS_TIMER_REORDER] = TERN_TIMER_REORDERING,
	[LOSS_TIMER_PROBE] = TERN_TIMER_LOSS_PROBE,
};

/* One deadline for the three: the others follow from it (RFC 8985 7.2, 8.1). */
static void arm_loss(struct tcp *tcp, struct tcb *tcb, enum loss_timer which, uint64_t wait)
{
	uint64_t most = patience(tcp, tcb);
	tcb->flags &= ~TCB_PERSIST;
	if (tcb->side)
		tcb->side->rec.timer = (uint8_t)which;
	if (which == LOSS_TIMER_PROBE &&
		wait >= most / 2) /* no later than the RTO (RFC 8985 7.2) */
		most = tern_rto_left(tcp, tcb);
	set(tcp, tcb, &tcb->rexmt_at, wait < most ? wait : most);
	tern_trace_timer(tcp, tcb, shown[which], false, to_ns(tcp, tcb->rexmt_at));
}

/* Whether something may be found lost, or a probe is to be sent, before an RTO is over. */
static bool arm_sooner(struct tcp *tcp, struct tcb *tcb)
{
	uint64_t now = tcp->core->now, wait;
	if (tcb->side && tcb->side->rec.rack.due) {
		uint64_t due = tcb->side->rec.rack.due;
		wait = due > now ? due - now : 0;
		/* A patience that ends before has the RTO's expiry to end it. */
		bool ends = tcb->backoff && tern_user_timeout_left(tcp, tcb) < wait;
		arm_loss(tcp, tcb, ends ? LOSS_TIMER_RTO : LOSS_TIMER_REORDER, wait);
		return true;
	}
	if (!tern_tlp_wait(tcp, tcb, &wait))
		return false;
	arm_loss(tcp, tcb, LOSS_TIMER_PROBE, wait);
	return true;
}

/* RFC 7765: with too little in flight for a fast retransmit, the RTO counts from when the first of
 * it was sent, not from the last ACK. */
static bool restarts_early(const struct tcb *tcb)
{
	return tcb->side && tcb->side->rec.board.count && tcb_flight(tcb) < 4u * tcb->mss &&
	       seq_leq(tcb_data_end(tcb), tcb->snd.nxt);
}

static void arm_retransmit(struct tcp *tcp, struct tcb *tcb)
{
	if (!arm_sooner(tcp, tcb))
		arm_loss(tcp, tcb, LOSS_TIMER_RTO, TERN_NEVER);
}

/* RFC 6298 5.1: start it if it is not running; RFC 8985 7.2: a probe's counts from the last. */
void tern_timer_data_sent(struct tcp *tcp, struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (tcb->rexmt_at == 0 || tcb->flags & TCB_PERSIST)
		arm_retransmit(tcp, tcb);
	else if (side && side->rec.timer == LOSS_TIMER_PROBE &&
		 (side->rec.probe_set_at != tcp->core->now || tcb_flight(tcb) <= 2u * tcb->mss))
		arm_retransmit(tcp, tcb);
}

/* RFC 6298 5.3. */
void tern_timer_ack_advanced(struct tcp *tcp, struct tcb *tcb)
{
	if (arm_sooner(tcp, tcb))
		return;
	uint64_t left = restarts_early(tcb) ? tern_rto_left(tcp, tcb) : 0;
	arm_loss(tcp, tcb, LOSS_TIMER_RTO, left ? left : TERN_NEVER);
}

void tern_timer_first_resent(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->side->rec.board.count)
		arm_retransmit(tcp, tcb);
	else
		tern_timer_data_sent(tcp, tcb);
}

/* The RTO as if it had run all along. */
static void arm_rest(struct tcp *tcp, struct tcb *tcb)
{
	bool scored = tcb->side && tcb->side->rec.board.count;
	arm_loss(tcp, tcb, LOSS_TIMER_RTO, scored ? tern_rto_left(tcp, tcb) : TERN_NEVER);
}

void tern_timer_reordering(struct tcp *tcp, struct tcb *tcb)
{
	const struct recovery *rec = &tcb->side->rec;
	if (tcb->flags & TCB_PERSIST || tcb_flight(tcb) == 0)
		return;
	if (rec->rack.due)
		arm_sooner(tcp, tcb);
	else if (rec->timer == LOSS_TIMER_REORDER)
		arm_rest(tcp, tcb);
}

#define RENEGED_MIN (10 * MS) /* Linux's patience with a peer whose ACKs are odd */

void tern_timer_reneged(struct tcp *tcp, struct tcb *tcb)
{
	uint64_t wait = (uint64_t)tcb->srtt * 1000 / 2;
	arm_loss(tcp, tcb, LOSS_TIMER_RTO, wait > RENEGED_MIN ? wait : RENEGED_MIN);
}

/* RFC 6298 5.2. */
void tern_timer_nothing_in_flight(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = 0;
	tcb->flags &= ~TCB_PERSIST;
	tern_timer_busy(tcp, tcb);
}

/* RFC 9293 3.8.6.1 and the sender's silly-window override of 3.8.6.2.1. */
void tern_timer_blocked(struct tcp *tcp, struct tcb *tcb, uint64_t wait)
{
	if (tcb->rexmt_at)
		return;
	tcb->flags |= TCB_PERSIST;
	set(tcp, tcb, &tcb->rexmt_at, wait ? wait : patience(tcp, tcb));
	tern_trace_timer(tcp, tcb, TERN_TIMER_PERSIST, false, to_ns(tcp, tcb->rexmt_at));
}

void tern_timer_starved(struct tcp *tcp, struct tcb *tcb)
{
	tern_timer_blocked(tcp, tcb, STARVED_TIME);
}

void tern_timer_data_received(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->delack_at == 0)
		set(tcp, tcb, &tcb->delack_at, (uint64_t)tcp->core->set.tcp_delack_min_ms * MS);
}

void tern_timer_ack_waits(struct tcp *tcp, struct tcb *tcb)
{
	set(tcp, tcb, &tcb->delack_at, DELACK_MAX);
}

void tern_timer_ack_sent(struct tcb *tcb)
{
	tcb->delack_at = 0;
}

uint64_t tern_timer_wait_2msl(const struct tcp *tcp)
{
	uint64_t wait = 2 * (uint64_t)tcp->core->set.tcp_msl * SECOND;
	return tern_timewait_overflow(tcp) ? LAST_WORD : wait;
}

void tern_timer_paced(struct tcp *tcp, struct tcb *tcb)
{
	struct pacing *p = &tcb->side->pacing;
	if (p->wake == 0)
		set(tcp, tcb, &p->wake, p->next - tcp->core->now);
}

void tern_timer_time_wait(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = tcb->delack_at = 0;
	set(tcp, tcb, &tcb->linger_at, tern_timer_wait_2msl(tcp));
	tern_trace_timer(tcp, tcb, TERN_TIMER_TIME_WAIT, false, to_ns(tcp, tcb->linger_at));
}

/* As Linux: long enough for a lost ACK to be noticed, whatever was asked for. */
static uint64_t fin_wait_2_time(const struct tcp *tcp, const struct tcb *tcb)
{
	int32_t chosen = tcb->side ? tcb->side->choice.linger2 : 0;
	uint64_t least = tern_rto_backed_off(tcp, tcb) * 7 / 2;
	uint64_t wait = (uint64_t)(chosen ? chosen : tcp->core->set.tcp_fin_timeout) * SECOND;
	if (chosen < 0)
		return 0;
	return wait > least ? wait : least;
}

/* Only a connection that nobody can read from is given up (Linux's tcp_fin_timeout). */
void tern_timer_fin_wait_2(struct tcp *tcp, struct tcb *tcb)
{
	if (!(tcb->flags & TCB_ORPHAN) || tcb->state != TERN_TCP_FIN_WAIT_2)
		return;
	set(tcp, tcb, &tcb->linger_at, fin_wait_2_time(tcp, tcb));
	tern_trace_timer(tcp, tcb, TERN_TIMER_FIN_WAIT_2, false, to_ns(tcp, tcb->linger_at));
}

uint64_t tern_timer_linger_left(const struct tcp *tcp, const struct tcb *tcb)
{
	uint64_t at = tcb->linger_at ? to_ns(tcp, tcb->linger_at) : 0;
	return at > tcp->core->now ? at - tcp->core->now : 0;
}

static bool linger_is_close(const struct tcb *tcb)
{
	return tcb->state == TERN_TCP_TIME_WAIT ||
	       (tcb->state == TERN_TCP_FIN_WAIT_2 && tcb->flags & TCB_ORPHAN);
}

const char *tern_timer_next(const struct tcp *tcp, const struct tcb *tcb, uint64_t *left)
{
	uint64_t keepalive = tern_keepalive_left(tcp, tcb), at = 0;
	const char *what = NULL;
	if (tcb->rexmt_at) {
		what = tcb->flags & TCB_PERSIST ? "persist" : "retransmit"; /* or sooner, a probe */
		at = to_ns(tcp, tcb->rexmt_at);
	} else if (tcb->linger_at && linger_is_close(tcb)) {
		what = tcb->state == TERN_TCP_TIME_WAIT ? "time-wait" : "fin-wait-2";
		at = to_ns(tcp, tcb->linger_at);
	} else if (keepalive != TERN_NEVER) {
		what = "keepalive";
		at = tcp->core->now + keepalive;
	}
	*left = at > tcp->core->now ? at - tcp->core->now : 0;
	return what;
}

void tern_timer_busy(struct tcp *tcp, struct tcb *tcb)
{
	if (!linger_is_close(tcb) && tcb->side)
		set(tcp, tcb, &tcb->linger_at, QUIET_TIME);
}

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
uint32_t tern_timer_retries_max(const struct tcp *tcp, const struct tcb *tcb)
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
	return tries >= tern_timer_retries_max(tcp, tcb);
}

static void back_off(const struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->backoff == 0 && !(tcb->side && tcb->side->rec.tlp.out))
		tern_user_timeout_begin(tcp, tcb, patience(tcp, tcb));
	if (tcb->backoff < 64)
		tcb->backoff++;
	if (tcb->side && tcb->side->unanswered < UINT8_MAX)
		tcb->side->unanswered++;
	if (tcb->side && tcb->side->unmoved < UINT8_MAX)
		tcb->side->unmoved++;
}

static void give_up(struct tcp *tcp, struct tcb *tcb)
{
	core_count(tcp->core, TERN_COUNT_TcpExtTCPAbortOnTimeout);
	/* Tell the peer too, in case it is only we who are not heard. */
	if (tcb_in(tcb, SYNCHRONIZED))
		tern_reset_send(tcp, tcb);
	tern_tcb_die(tcp, tcb, TERN_ETIMEDOUT, TERN_CAUSE_TIMEOUT);
}

/* RFC 8985 6.2 step 5. */
static void reorder_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_REORDERING, true, tcp->core->now);
	tern_recovery_reorder_expired(tcp, tcb);
	if (!arm_sooner(tcp, tcb))
		arm_rest(tcp, tcb);
}

/* RFC 8985 7.3. */
static void probe_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_LOSS_PROBE, true, tcp->core->now);
	if (!tern_tlp_expired(tcp, tcb)) {
		arm_rest(tcp, tcb);
		return;
	}
	tern_user_timeout_begin(tcp, tcb,
		tcp->core->now - board_at_const(&tcb->side->rec.board, 0)->at);
	arm_loss(tcp, tcb, LOSS_TIMER_RTO, TERN_NEVER);
}

/* RFC 6298 5.4 to 5.6. Returns false when the connection is gone. */
static bool retransmit_expired(struct tcp *tcp, struct tcb *tcb)
{
	tern_trace_timer(tcp, tcb, TERN_TIMER_RETRANSMIT, true, tcp->core->now);
	if (out_of_tries(tcp, tcb)) {
		give_up(tcp, tcb);
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
	arm_retransmit(tcp, tcb);
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
			give_up(tcp, tcb);
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
	if (linger_is_close(tcb)) {
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
		set(tcp, tcb, &tcb->linger_at, wait);
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
	bool retransmit = due(tcp, tcb, tcb->rexmt_at), ack = due(tcp, tcb, tcb->delack_at);
	bool linger = due(tcp, tcb, tcb->linger_at);
	if (tcb->side && due(tcp, tcb, tcb->side->pacing.wake))
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
	rearm(tcp, tcb);
}

void tern_tcp_time(struct tcp *tcp)
{
	uint64_t gone = tcp->core->now - tcp->moved_at;
	if (gone > PAUSE_MAX)
		tcp->skipped += (gone - PAUSE_MAX) / 1000 * 1000;
	tcp->moved_at = tcp->core->now;
}

#define EXPIRE_MAX 1024 /* connections a call */

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
