/*
 * When things happen that nobody sends: deadlines, set by calls that are named by what happened
 * (timeout.c has what happens when one is there). One wheel entry a connection, at the soonest; an
 * entry that turns out early is moved on, so moving a deadline back costs nothing.
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
bool tern_timer_due(const struct tcp *tcp, const struct tcb *tcb, uint32_t at)
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

void tern_timer_rearm(struct tcp *tcp, struct tcb *tcb)
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
	tern_timer_rearm(tcp, tcb);
}

void tern_timer_stop_all(struct tcp *tcp, struct tcb *tcb)
{
	tcb->rexmt_at = tcb->delack_at = tcb->linger_at = 0;
	if (tcb->side)
		tcb->side->pacing.wake = 0;
	tcb->flags &= ~(TCB_ACK_DELAYED | TCB_PERSIST);
	tern_wheel_disarm(&tcp->wheel, &tcb->timer);
}

uint64_t tern_timer_patience(const struct tcp *tcp, const struct tcb *tcb)
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
	uint64_t most = tern_timer_patience(tcp, tcb);
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

/* RFC 6298 5.6. */
void tern_timer_backed_off(struct tcp *tcp, struct tcb *tcb)
{
	arm_retransmit(tcp, tcb);
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

void tern_timer_losses_marked(struct tcp *tcp, struct tcb *tcb)
{
	if (!arm_sooner(tcp, tcb))
		arm_rest(tcp, tcb);
}

void tern_timer_probe_due(struct tcp *tcp, struct tcb *tcb)
{
	arm_loss(tcp, tcb, LOSS_TIMER_RTO, TERN_NEVER);
}

void tern_timer_probe_dropped(struct tcp *tcp, struct tcb *tcb)
{
	arm_rest(tcp, tcb);
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
	set(tcp, tcb, &tcb->rexmt_at, wait ? wait : tern_timer_patience(tcp, tcb));
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

const char *tern_timer_next(const struct tcp *tcp, const struct tcb *tcb, uint64_t *left)
{
	uint64_t keepalive = tern_keepalive_left(tcp, tcb), at = 0;
	const char *what = NULL;
	if (tcb->rexmt_at) {
		what = tcb->flags & TCB_PERSIST ? "persist" : "retransmit"; /* or sooner, a probe */
		at = to_ns(tcp, tcb->rexmt_at);
	} else if (tcb->linger_at && tcb_linger_is_close(tcb)) {
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
	if (!tcb_linger_is_close(tcb) && tcb->side && tcb->state != TERN_TCP_CLOSED)
		set(tcp, tcb, &tcb->linger_at, QUIET_TIME);
}

void tern_timer_keepalive(struct tcp *tcp, struct tcb *tcb, uint64_t wait)
{
	set(tcp, tcb, &tcb->linger_at, wait);
}
