/*
 * What to send, and when (RFC 9293 3.8.6, RFC 1122 4.2.3.4, RFC 5681). The device asks for a
 * frame; the next connection on the interface's ready queue (ready.c) decides at that moment.
 */
#include "transport/tcp/tcp.h"

static uint32_t never_sent(const struct tcb *tcb)
{
	return tcb->flags & TCB_FIN_SENT ? 0 : seq_diff(tcb_data_end(tcb), tcb->snd.nxt);
}

static bool fin_waits(const struct tcb *tcb)
{
	return tcb->flags & TCB_FIN_QUEUED && !(tcb->flags & TCB_FIN_SENT);
}

static uint32_t window_left(const struct tcb *tcb)
{
	tern_seq edge = seq_add(tcb->snd.una, tcb->snd.wnd);
	return seq_lt(tcb->snd.nxt, edge) ? seq_diff(edge, tcb->snd.nxt) : 0;
}

/* Whether data that ends before `after` is pushed (RFC 9293 3.9.1.2): with the last byte that is
 * queued, unless its writer said that more is to come, and with the last of a record. */
static bool pushes(const struct tcb *tcb, tern_seq after)
{
	if (seq_eq(after, tcb_data_end(tcb)))
		return !tcb->side->more;
	return tern_record_ends(tcb, after);
}

/* The flags of len bytes from `from` on, without FIN. */
static uint16_t flags_of(const struct tcb *tcb, tern_seq from, uint32_t len)
{
	bool push = len && pushes(tcb, seq_add(from, len));
	return push ? TCP_ACK | TCP_PSH : TCP_ACK;
}

/* --- retransmissions ------------------------------------------------------------------ */

/* A segment that begins at `from`, of what was sent before `end`: at most so many bytes of it. */
static void plan_up_to(const struct tcb *tcb, struct plan *plan, tern_seq from, tern_seq end,
	uint32_t most)
{
	tern_seq data_end = tcb->flags & TCB_FIN_SENT ? seq_sub(tcb->snd.nxt, 1) : tcb->snd.nxt;
	tern_seq stop = seq_min(end, data_end);
	uint32_t left = seq_lt(from, stop) ? seq_diff(stop, from) : 0;
	plan->seq = from;
	plan->len = tern_record_limit(tcb, from, at_most(left, most));
	plan->flags = flags_of(tcb, from, plan->len);
	plan->retransmit = true;
	if (tcb->flags & TCB_FIN_SENT && seq_eq(seq_add(from, plan->len), data_end))
		plan->flags |= TCP_FIN;
}

static void plan_again(const struct tcb *tcb, struct plan *plan, tern_seq from, tern_seq end)
{
	plan_up_to(tcb, plan, from, end, tern_tcb_effective_mss(tcb));
}

/* Why this is sent again: a timeout is the reason once; what an ACK calls for after it is going on.
 */
static uint8_t reason_now(const struct tcb *tcb, const struct plan *plan)
{
	struct tcb_side *side = tcb->side;
	uint8_t reason = side->rtx_reason;
	bool first = seq_eq(plan->seq, tcb->snd.una);
	if (reason == TERN_RTX_TIMEOUT && (!first || tcb->backoff == 0))
		reason = TERN_RTX_AFTER_TIMEOUT;
	if (reason == TERN_RTX_TIMEOUT || reason == TERN_RTX_AFTER_TIMEOUT)
		side->rtx_reason = TERN_RTX_AFTER_TIMEOUT;
	if (reason == TERN_RTX_FAST && side->rec.board.count)
		side->rtx_reason = TERN_RTX_RACK;
	return reason;
}

static uint32_t numbers_of(const struct plan *plan)
{
	return plan->len + !!(plan->flags & TCP_FIN);
}

/* In place of what is planned, of the range that is lost, a segment larger than mss. */
static void try_larger(struct tcp *tcp, struct tcb *tcb, struct plan *plan, struct range r)
{
	uint32_t left = tcb->side->rec.board.lost + at_most(never_sent(tcb), window_left(tcb));
	uint32_t size = tern_mtu_trial(tcp, tcb, seq_diff(r.hi, r.lo), left);
	if (size == 0 || tern_recovery_pipe(tcb) + size > tcb->cwnd)
		return;
	plan_up_to(tcb, plan, r.lo, r.hi, size);
	plan->trial = plan->len == size;
}

/* What the scoreboard says is lost, the lowest first (RFC 6675 5 (4.3) and NextSeg (1)). */
static bool plan_lost(struct tcp *tcp, struct tcb *tcb, struct plan *plan)
{
	const struct recovery *rec = &tcb->side->rec;
	uint32_t pipe = tern_recovery_pipe(tcb);
	tern_seq edge = seq_add(tcb->snd.una, tcb->snd.wnd);
	struct range r;
	if (rec->frto == FRTO_NEW || !tern_board_first_lost(&rec->board, &r))
		return false;
	/* A window that was taken back is the peer's right (RFC 9293 3.8.6); the first is for
	 * asking. */
	if (seq_geq(r.lo, edge) && !seq_eq(r.lo, tcb->snd.una))
		return false;
	/* Holes that a peer makes up must not make segments tiny (CVE-2019-11479). */
	tern_seq least = seq_add(r.lo, (uint32_t)tcp->core->set.tcp_min_snd_mss);
	plan_again(tcb, plan, r.lo, seq_max(r.hi, seq_min(least, tcb->snd.nxt)));
	if (pipe && pipe + numbers_of(plan) > tcb->cwnd) {
		*plan = (struct plan){0};
		return false;
	}
	if (tcb->side->mtu.full)
		try_larger(tcp, tcb, plan, r);
	plan->reason = reason_now(tcb, plan);
	return true;
}

/* Whether plan_retransmit() may find anything. */
static bool owes_again(const struct tcb *tcb)
{
	return tcb->side->rec.board.lost || tcb->side->mode == RECOVERY_TIMEOUT ||
	       tcb->flags & TCB_RETRANSMIT_DUE;
}

static bool plan_retransmit(struct tcp *tcp, struct tcb *tcb, struct plan *plan)
{
	struct tcb_side *side = tcb->side;
	if (tcb_flight(tcb) == 0)
		return false;
	if (side->rec.board.count)
		return plan_lost(tcp, tcb, plan);
	if (tcb->flags & TCB_RETRANSMIT_DUE) {
		tcb->flags &= ~TCB_RETRANSMIT_DUE;
		plan_again(tcb, plan, tcb->snd.una, tcb->snd.nxt);
		plan->reason = side->rtx_reason;
		return true;
	}
	if (side->mode != RECOVERY_TIMEOUT || !seq_lt(side->rtx_next, side->recover))
		return false;
	bool first = seq_eq(side->rtx_next, tcb->snd.una);
	uint32_t again = seq_diff(side->rtx_next, tcb->snd.una);
	if (!first && again + tcb->mss > tcb->cwnd)
		return false;
	plan_again(tcb, plan, side->rtx_next, side->recover);
	plan->reason = reason_now(tcb, plan);
	side->rtx_next = seq_add(side->rtx_next, numbers_of(plan));
	return true;
}

/* --- new data -------------------------------------------------------------------------- */

/* What stands in the way of new data, by value. */
struct outlook {
	uint32_t avail;  /* bytes never sent */
	uint32_t window; /* what the peer's window has left */
	uint32_t cwnd;   /* what congestion control has left */
	uint32_t mss;
	bool fin; /* our FIN is to follow them */
};

static struct outlook look(const struct tcb *tcb)
{
	struct outlook o;
	o.avail = never_sent(tcb);
	o.window = window_left(tcb);
	/* Without a side block nothing is in flight. */
	o.cwnd = tcb->side ? tern_recovery_allowance(tcb) : tcb->cwnd;
	o.mss = tern_tcb_effective_mss(tcb);
	o.fin = fin_waits(tcb);
	return o;
}

/*
 * Nagle's algorithm (RFC 9293 3.7.4) as Minshall amended it, and Linux has it: less than a segment
 * waits while another such is unacknowledged, not while anything is. So a reply whose end does not
 * fill a segment goes at once, and bytes written one by one still go once in a round trip.
 */
static bool small_unacked(const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side; /* NULL: nothing is in flight */
	return side && seq_gt(side->small_end, tcb->snd.una) &&
	       seq_leq(side->small_end, tcb->snd.nxt);
}

/* A short segment is to wait for more: TCP_CORK, or the last write's TERN_SEND_MORE. */
static bool corked(const struct tcb *tcb)
{
	return tcb->flags & TCB_CORK || (tcb->side && tcb->side->hold);
}

/* RFC 9293 3.8.6.2.1 (3): n bytes are all that the peer's window has room for, and at least half of
 * the largest that it ever offered. */
static bool fills_half_window(const struct tcb *tcb, const struct outlook *o, uint32_t n)
{
	uint32_t max_wnd = (uint32_t)tcb->max_wnd << tcb->snd_wscale;
	return n == o->window && n >= max_wnd / 2;
}

/* Whether the last of n bytes, which fill no segment, may go (RFC 9293 3.8.6.2.1, 3.7.4). */
static bool tail_may_go(const struct tcb *tcb, const struct outlook *o, uint32_t n)
{
	if (tcb->flags & TCB_FORCE)
		return true;
	if (n < o->avail) /* the end of a record, which what follows could not fill, or a window */
		return tern_record_ends(tcb, seq_add(tcb->snd.nxt, n)) ||
		       fills_half_window(tcb, o, n);
	if (o->fin)
		return true;
	return !corked(tcb) && (tcb->flags & TCB_NODELAY || !small_unacked(tcb));
}

/* Of n bytes, whole segments, and the tail if it may go. */
static uint32_t without_tail(const struct tcb *tcb, const struct outlook *o, uint32_t n)
{
	uint32_t tail = n % o->mss;
	return tail && !tail_may_go(tcb, o, n) ? n - tail : n;
}

/* Of the bytes never sent, those that windows and the end of a record let out. */
static uint32_t let_out(const struct tcb *tcb, const struct outlook *o)
{
	uint32_t n = at_most(o->avail, at_most(o->window, o->cwnd));
	return tern_record_limit(tcb, tcb->snd.nxt, n);
}

/* The most data one frame may take: a segment, or many where the device cuts them. */
static uint32_t frame_limit(const struct tcp *tcp, const struct tcb *tcb, const struct outlook *o,
	const struct tern_frame *frame)
{
	const struct nif *nif = &tcp->ip->link->nif[tcb->path->nif];
	if (!(nif->opts.offload & TERN_OFFLOAD_TSO))
		return o->mss;
	uint32_t room = at_most(frame->capacity, UINT16_MAX);
	uint32_t headers = tcb->path->header_len + TCP_HEADER_LEN_MAX;
	if (room < headers + o->mss)
		return o->mss;
	room -= headers;
	return room - room % o->mss;
}

/* Neither fast recovery (RFC 9937) nor limited transmit (RFC 3042) counts what goes out. */
static bool nothing_amiss(const struct tcb *tcb)
{
	return tcb->side->mode != RECOVERY_FAST && tcb->dupacks == 0;
}

/* New data for a segment larger than mss, if one may be tried at all (mtu.c), bytes. */
static uint32_t trial_run(const struct tcb *tcb, const struct outlook *o)
{
	const struct tcb_side *side = tcb->side;
	if (!side || !side->mtu.full || let_out(tcb, o) < o->mss || !nothing_amiss(tcb))
		return 0;
	return tern_record_limit(tcb, tcb->snd.nxt, at_most(o->avail, o->window));
}

/* How many bytes, of what may be sent, go in this frame. */
static uint32_t new_bytes(struct tcp *tcp, struct tcb *tcb, const struct outlook *o,
	const struct tern_frame *frame)
{
	uint32_t n = at_most(let_out(tcb, o), frame_limit(tcp, tcb, o, frame));
	if (tcb->srtt >= PACING_RTT_MIN)
		n = tern_pacing_allowance(tcp, tcb, n);
	return without_tail(tcb, o, n);
}

static bool plan_new(struct tcp *tcp, struct tcb *tcb, struct plan *plan,
	const struct tern_frame *frame)
{
	if (never_sent(tcb) == 0 && !fin_waits(tcb))
		return false;
	struct outlook o = look(tcb);
	uint32_t run = trial_run(tcb, &o);
	uint32_t trial = run ? tern_mtu_trial(tcp, tcb, run, run) : 0;
	if (trial > let_out(tcb, &o)) /* ACKs of what is in flight will make room for it */
		return false;
	uint32_t n = trial ? trial : new_bytes(tcp, tcb, &o, frame);
	bool fin = o.fin && n == o.avail && n < o.window;
	if (n == 0 && !fin)
		return false;
	tcb->flags &= ~TCB_FORCE;
	plan->seq = tcb->snd.nxt;
	plan->len = n;
	plan->trial = trial > 0;
	plan->flags = flags_of(tcb, plan->seq, n);
	if (fin)
		plan->flags |= TCP_FIN;
	return true;
}

/* As plan_new() would decide, but for the device's room. */
const char *tern_output_held_by(const struct tcp *tcp, const struct tcb *tcb)
{
	struct outlook o = look(tcb);
	if (tcb->flags & TCB_PARKED)
		return "neighbour";
	if (!tcb_in(tcb, SENDING) || (o.avail == 0 && !o.fin))
		return NULL;
	uint32_t run = trial_run(tcb, &o);
	if (run && tern_mtu_would_try(tcp, tcb, run, run) > let_out(tcb, &o))
		return "cwnd";
	uint32_t n = without_tail(tcb, &o, let_out(tcb, &o));
	if (n > 0 || (o.avail == 0 && o.window > 0))
		return tern_pacing_waits(tcp, tcb, n) ? "pacing" : "device";
	if (o.avail > at_most(o.window, o.cwnd) || o.window == 0)
		return o.window <= o.cwnd ? "window" : "cwnd";
	return corked(tcb) ? "cork" : "nagle";
}

/*
 * RFC 8985 7.3: one segment more than the window allows, new if there is any that the peer has room
 * for, else the last one again.
 */
static bool plan_tail_probe(struct tcp *tcp, struct tcb *tcb, struct plan *plan)
{
	struct tcb_side *side = tcb->side;
	if (!side->rec.tlp.due)
		return false;
	side->rec.tlp.due = false;
	if (tcb_flight(tcb) == 0)
		return false;
	uint32_t room = at_most(never_sent(tcb), window_left(tcb));
	uint32_t most = at_most(room, tern_tcb_effective_mss(tcb));
	plan->len = tern_record_limit(tcb, tcb->snd.nxt, most);
	if (plan->len) {
		plan->seq = tcb->snd.nxt;
		plan->flags = flags_of(tcb, plan->seq, plan->len);
	} else {
		tern_seq edge = seq_add(tcb->snd.una, tcb->snd.wnd);
		bool within = seq_lt(tcb->snd.una, side->rec.tail) && seq_lt(side->rec.tail, edge);
		plan_again(tcb, plan, within ? side->rec.tail : tcb->snd.una, tcb->snd.nxt);
		plan->reason = TERN_RTX_PROBE;
	}
	tern_tlp_sent(tcp, tcb, plan);
	return true;
}

/*
 * F-RTO's question (RFC 5682 3.1 step 2b), new data before anything is sent again, cannot be asked:
 * recovery goes on as if there were none.
 */
static bool plan_unasked(struct tcp *tcp, struct tcb *tcb, struct plan *plan)
{
	struct tcb_side *side = tcb->side;
	if (side->rec.frto != FRTO_NEW || !seq_eq(tcb->snd.nxt, side->recover))
		return false;
	side->rec.frto = FRTO_OFF;
	return plan_retransmit(tcp, tcb, plan);
}

/* Data waits, nothing is in flight whose ACK would wake us: a timer must. Of a cork tcp(7) says 200
 * ms; Linux, too, waits for an RTO, which is no less. */
static void wait_if_blocked(struct tcp *tcp, struct tcb *tcb)
{
	if (!tcb_in(tcb, SENDING) || tcb_flight(tcb))
		return;
	if (!tcb->send.len && !fin_waits(tcb))
		return;
	tern_timer_blocked(tcp, tcb, 0);
}

/* --- choosing ---------------------------------------------------------------------------- */

static bool plan_syn(struct tcb *tcb, struct plan *plan)
{
	if (!(tcb->flags & TCB_SYN_DUE))
		return false;
	tcb->flags &= ~TCB_SYN_DUE;
	bool ack = tcb->state != TERN_TCP_SYN_SENT;
	plan->seq = tcb->snd.iss;
	plan->retransmit = !tcb_syn_unsent(tcb);
	plan->flags = (uint16_t)(TCP_SYN | (ack ? TCP_ACK : 0));
	plan->flags = tern_ecn_syn_flags(tcb, plan->flags, plan->retransmit);
	plan->reason = (uint8_t)(ack ? TERN_RTX_SYN_ACK : TERN_RTX_SYN);
	return true;
}

/*
 * DEVIATES: RFC 9293 3.8.6.1 probes with an octet of data. A number already acknowledged draws the
 * same answer and leaves nothing in flight to keep account of; it is what Linux sends.
 */
static bool plan_probe(struct tcp *tcp, struct tcb *tcb, struct plan *plan)
{
	if (!(tcb->flags & TCB_PROBE_DUE))
		return false;
	tcb->flags &= ~TCB_PROBE_DUE;
	plan->seq = seq_sub(tcb->snd.una, 1);
	plan->flags = TCP_ACK;
	if (tcb->snd.wnd == 0)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPWinProbe);
	return true;
}

static bool plan_ack(struct tcb *tcb, struct plan *plan)
{
	if (!(tcb->flags & TCB_ACK_NOW) && tcb->acks_owed == 0)
		return false;
	if (tcb->acks_owed)
		tcb->acks_owed--;
	plan->seq = tcb->snd.nxt;
	plan->flags = TCP_ACK;
	return true;
}

static bool make_ready(struct tcp *tcp, struct tcb *tcb)
{
	bool may_go = tcb->send.len && window_left(tcb);
	if (tcb_flight(tcb) == 0 && (may_go || !tcb->side))
		tern_cwnd_resume(tcp, tcb);
	return tcb->side || tern_tcb_side(tcp, tcb);
}

static bool choose(struct tcp *tcp, struct tcb *tcb, struct plan *plan,
	const struct tern_frame *frame)
{
	*plan = (struct plan){0};
	if (tcb_syn_unacked(tcb) || tcb->state == TERN_TCP_SYN_SENT)
		return plan_syn(tcb, plan) ||
		       (tcb->state != TERN_TCP_SYN_SENT && plan_ack(tcb, plan));
	if (tcb->acks_owed && plan_ack(tcb, plan))
		return true;
	if (tcb_in(tcb, SENDING) && make_ready(tcp, tcb) &&
		(plan_tail_probe(tcp, tcb, plan) ||
			(owes_again(tcb) && plan_retransmit(tcp, tcb, plan)) ||
			plan_probe(tcp, tcb, plan) || plan_new(tcp, tcb, plan, frame) ||
			plan_unasked(tcp, tcb, plan)))
		return true;
	wait_if_blocked(tcp, tcb);
	return plan_ack(tcb, plan);
}

/* No way to the peer for now. An open fails; what waits to be sent waits for a timer, as after a
 * router's error; an ACK alone is forgotten: whoever needs it asks again. */
static void unreachable(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->state == TERN_TCP_SYN_SENT) {
		tern_tcb_die(tcp, tcb, TERN_EHOSTUNREACH, TERN_CAUSE_UNREACHABLE);
		return;
	}
	if (tcb_syn_unacked(tcb)) {
		tern_soft_error(tcp, tcb, TERN_EHOSTUNREACH);
		tern_timer_data_sent(tcp, tcb);
		return;
	}
	if (tcb_flight(tcb) || tcb->send.len || fin_waits(tcb)) {
		tern_soft_error(tcp, tcb, TERN_EHOSTUNREACH);
		tern_timer_blocked(tcp, tcb, 0);
		return;
	}
	tcb->flags &= ~(TCB_ACK_NOW | TCB_ACK_DELAYED);
	tcb->acks_owed = 0;
	tern_timer_ack_sent(tcb);
}

/* Nothing more may be sent now: why. The send buffer is the reason only where cwnd is not. */
static enum standing standing_of(const struct tcb *tcb)
{
	uint32_t unsent = never_sent(tcb), flight = tcb_flight(tcb);
	if (unsent && window_left(tcb) < at_most(unsent, tcb->mss))
		return STANDING_WINDOW;
	if ((unsent == 0 && flight == 0) || !tcb_in(tcb, SENDING))
		return STANDING_IDLE;
	bool waits = unsent == 0 && tcb->flags & TCB_WANT_WRITE;
	return waits && flight + tcb->mss <= tcb->cwnd ? STANDING_BUFFER : STANDING_BUSY;
}

static void stand(struct tcp *tcp, struct tcb *tcb)
{
	tern_tally_turn(tcp, tcb, standing_of(tcb));
	if (never_sent(tcb) == 0)
		tern_rate_drained(tcb);
}

static bool fill(struct tcp *tcp, struct tcb *tcb, int nif, struct tern_frame *frame)
{
	struct plan plan;
	switch (tern_path_ready(tcp->ip, tcb->path)) {
	case LINK_PENDING:
		tern_park(tcp, tcb);
		return false;
	case LINK_FAILED:
		unreachable(tcp, tcb);
		return false;
	case LINK_READY:
		break;
	}
	if (tcb->path->nif != nif) { /* routed elsewhere meanwhile */
		tern_want_send(tcp, tcb);
		return false;
	}
	if (!choose(tcp, tcb, &plan, frame)) {
		if (tcb->side)
			stand(tcp, tcb);
		tern_timewait_settle(tcp, tcb);
		return false;
	}
	tern_segment_build(tcp, tcb, &plan, frame);
	tern_want_send(tcp, tcb);
	return true;
}

bool tern_tcp_pull(struct tcp *tcp, int nif, struct tern_frame *frame)
{
	for (struct tcb *tcb; (tcb = tern_ready_next(tcp, nif)) != NULL;)
		if (fill(tcp, tcb, nif, frame))
			return true;
	return false;
}
