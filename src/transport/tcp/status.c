/* STATUS (RFC 9293 3.10.6). */
#include "transport/tcp/tcp.h"

static enum tern_tcp_recovery recovery_of(const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (side->mode == RECOVERY_FAST)
		return TERN_TCP_RECOVERY_FAST;
	if (side->mode == RECOVERY_TIMEOUT)
		return TERN_TCP_RECOVERY_LOSS;
	if (side->use.reducing)
		return TERN_TCP_RECOVERY_CWR;
	bool hole = side->rec.board.sacked || tcb->dupacks;
	return hole ? TERN_TCP_RECOVERY_DISORDER : TERN_TCP_RECOVERY_OPEN;
}

static void describe_recovery(const struct tcb_side *side, struct tern_tcp_info *out)
{
	const struct recovery *rec = &side->rec;
	out->sacked = rec->board.sacked;
	out->lost = rec->board.lost;
	out->resending = tern_board_resending(&rec->board);
	if (rec->rack.distance > out->reordering)
		out->reordering = rec->rack.distance;
	out->reordered = rec->rack.seen;
	out->min_rtt_us = (uint32_t)(rec->rack.min_rtt / 1000);
	out->recovering = side->mode != RECOVERY_OPEN;
}

static void describe_sending(const struct tcp *tcp, const struct tcb *tcb,
	struct tern_tcp_info *out)
{
	bool live = tcb->state != TERN_TCP_CLOSED;
	out->iss = tcb->snd.iss.v;
	out->snd_una = tcb->snd.una.v;
	out->snd_nxt = tcb->snd.nxt.v;
	out->snd_wnd = tcb->snd.wnd;
	out->unacked = live ? tcb_flight(tcb) : 0;
	out->unsent = live ? tcb_unsent(tcb) : 0;
	out->sndbuf = tcb->sndbuf;
	out->send_room = tern_send_room(tcp, tcb);
	out->mss = tern_tcb_effective_mss(tcb);
	out->path_mtu = tern_path_mtu(tcp->ip, tcb->path);
	if (tcb->side && tcb->side->mtu.full)
		out->mss_before = out->mss + (tcb->side->mtu.full - tcb->mss);
	out->snd_wscale = tcb->snd_wscale;
	out->shut = tcb->flags & TCB_FIN_QUEUED;
	out->cwnd = tcb->cwnd;
	out->ssthresh = tcb->ssthresh;
	out->congestion = tern_cc_of(tcb)->name;
	out->reordering = DUPACK_THRESHOLD;
	if (tcb->side) {
		describe_recovery(tcb->side, out);
		tern_tally_describe(tcp, tcb, out);
		out->pacing_rate = tern_pacing_rate(tcp, tcb);
		out->recovery = recovery_of(tcb);
	}
	out->backoff = tcb->backoff;
}

static uint32_t urgent_left(const struct tcb *tcb)
{
	if (!(tcb->flags & TCB_URGENT_IN) || !tcb->side)
		return 0;
	return seq_diff(tcb->side->rcv_up, tcb_read_next(tcb));
}

uint32_t tern_tcp_urgent(const struct tern_stack *stack, struct tern_conn conn)
{
	const struct tcb *tcb = tern_tcb_of(tern_stack_tcp_const(stack), conn);
	return tcb ? urgent_left(tcb) : 0;
}

/* The other end's signs of life: without a side block, the last timestamp tells. */
static uint64_t heard_age(const struct tcp *tcp, const struct tcb *tcb)
{
	if (tcb->side)
		return tcp->core->now - tcb->side->heard_at;
	if (tcb->flags & TCB_TIMESTAMPS)
		return (now_ms(tcp) - tcb->ts_recent_at) * MS;
	return TERN_NEVER;
}

static void describe_standstill(const struct tcp *tcp, const struct tcb *tcb,
	struct tern_tcp_info *out)
{
	const struct tcb_side *side = tcb->side;
	out->orphan = tcb->flags & TCB_ORPHAN;
	out->unaccepted = tcb->flags & TCB_UNACCEPTED;
	out->nodelay = tcb->flags & TCB_NODELAY;
	out->cork = tcb->flags & TCB_CORK;
	out->heard_age = heard_age(tcp, tcb);
	if (tcb->receive.len)
		out->unread_age = side ? tcp->core->now - side->unread_at : TERN_NEVER;
	if (tcb->state == TERN_TCP_CLOSED)
		return;
	out->held_by = tern_output_held_by(tcp, tcb);
	out->retries_max = tern_timeout_retries_max(tcp, tcb);
	out->stalled_age = tern_stalled_age(tcp, tcb);
	if (!side)
		return;
	out->unanswered = side->unanswered;
	out->soft_error = side->soft_error;
	out->keepalive_probes = side->keep_probes;
	if (side->keepalive)
		out->keepalive_probes_max = tern_keepalive_probes_max(tcp, side);
}

static void describe_receiving(const struct tcb *tcb, struct tern_tcp_info *out)
{
	out->irs = tcb->rcv.irs.v;
	out->rcv_nxt = tcb->rcv.nxt.v;
	out->rcv_wnd = tcb_offered(tcb);
	out->unread = tcb->receive.len;
	out->rcvbuf = tcb->rcvbuf;
	out->advertised_mss = tcb->adv_mss;
	out->rcv_mss = tcb->rcv_mss;
	out->rcv_wscale = tcb->rcv_wscale;
	out->peer_closed = tcb->flags & TCB_FIN_RECEIVED;
	out->rcv_space = at_most(10u * tcb->adv_mss, tcb->rcvbuf);
	if (!tcb->side)
		return;
	out->rcv_rtt_us = tcb->side->drs_rtt;
	if (tcb->side->drs_copied > out->rcv_space)
		out->rcv_space = tcb->side->drs_copied;
	out->out_of_order = tcb->side->ranges.bytes;
	out->urgent_left = urgent_left(tcb);
	out->urgent_pending = out->urgent_left > 0;
}

static void describe(const struct tcp *tcp, const struct tcb *tcb, struct tern_tcp_info *out)
{
	*out = (struct tern_tcp_info){
		.state = tcb->state,
		.state_age = now_s(tcp) - tcb->state_at,
		.error = tcb->error,
		.local = {tcb->path->src, tcb->local_port},
		.remote = {tcb->path->dst, tcb->remote_port},
		.wscale_ok = tcb->flags & TCB_WSCALE,
		.timestamps = tcb->flags & TCB_TIMESTAMPS,
		.sack = tcb->flags & TCB_SACK,
		.ecn = tcb->ecn,
		.sent_age = TERN_NEVER,
		.text_age = TERN_NEVER,
		.rtt_us = tcb->srtt,
		.rttvar_us = tcb->rttvar,
		.rto_us = (uint32_t)(tern_rto_backed_off(tcp, tcb) / 1000),
		.user = tcb->user,
	};
	if (tcb->state != TERN_TCP_CLOSED)
		out->timer = tern_timer_next(tcp, tcb, &out->timer_left);
	describe_sending(tcp, tcb, out);
	describe_receiving(tcb, out);
	describe_standstill(tcp, tcb, out);
}

static uint32_t age_of(const struct tcp *tcp, const struct notice *waiting)
{
	return now_s(tcp) - tcb_of_notice(waiting)->state_at;
}

_Static_assert(offsetof(struct notice, next) == 0, "a queue's tail leads to its last");

/* A full queue is full since its last came. */
static void describe_queue(const struct tcp *tcp, const struct listener *l,
	struct tern_tcp_info *out)
{
	if (!l->queue)
		return;
	const struct notice *last = (const struct notice *)l->queue_tail;
	out->queue_age = age_of(tcp, l->queue);
	if (l->queued > l->backlog)
		out->state_age = age_of(tcp, last);
}

int tern_tcp_info(const struct tern_stack *stack, struct tern_conn conn, struct tern_tcp_info *out)
{
	const struct tcp *tcp = tern_stack_tcp_const(stack);
	const struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	describe(tcp, tcb, out);
	return 0;
}

/* What a connection without a TCB has to tell. */
static void describe_stub(const struct stub *s, struct tern_tcp_info *out)
{
	const struct tern_trace_conn *c = &s->conn;
	*out = (struct tern_tcp_info){
		.state = c->state,
		.local = c->local,
		.remote = c->remote,
		.timestamps = s->timestamps,
		.iss = c->iss,
		.irs = c->irs,
		.snd_una = c->snd_una,
		.snd_nxt = c->snd_nxt,
		.rcv_nxt = c->rcv_nxt,
		.rcv_wnd = s->window,
		.unacked = c->snd_nxt - c->snd_una,
		.heard_age = TERN_NEVER,
		.sent_age = TERN_NEVER,
		.text_age = TERN_NEVER,
	};
}

static void describe_half_open(const struct tcp *tcp, const struct syn *e,
	struct tern_tcp_info *out)
{
	struct stub s = tern_half_open_stub(tcp, tern_half_open_listener(tcp, e), e);
	describe_stub(&s, out);
	out->sack = e->sack;
	out->wscale_ok = e->link.snd_wscale != SYN_NO_WSCALE;
	out->ecn = e->ecn;
	out->snd_wscale = out->wscale_ok ? e->link.snd_wscale : 0;
	out->rcv_wscale = e->link.rcv_wscale;
	out->mss = e->mss;
	out->unaccepted = true;
	out->backoff = out->unanswered = e->link.tries;
	out->retries_max = tern_half_open_retries(tcp, tern_half_open_listener(tcp, e));
	out->retransmits = e->link.tries;
	out->rto_us = tern_syncache_wait(tcp, e->link.tries);
	out->timer = "retransmit";
	out->timer_left = e->sent ? tern_syncache_left(tcp, e) : 0;
	uint64_t wait = (uint64_t)out->rto_us * 1000;
	uint64_t age = e->sent && wait > out->timer_left ? wait - out->timer_left : 0;
	for (unsigned i = 0; i < e->link.tries; i++)
		age += (uint64_t)tern_syncache_wait(tcp, i) * 1000;
	out->state_age = (uint32_t)(age / (1000 * MS));
}

static void describe_time_wait(const struct tcp *tcp, const struct time_wait *w,
	struct tern_tcp_info *out)
{
	struct stub s = tern_timewait_stub(w);
	describe_stub(&s, out);
	out->peer_closed = out->shut = out->orphan = true;
	out->timer = "time-wait";
	out->timer_left = tern_timewait_left(tcp, w);
	uint64_t whole = 2 * (uint64_t)tcp->core->set.tcp_msl * 1000 * MS;
	out->state_age =
		out->timer_left < whole ? (uint32_t)((whole - out->timer_left) / (1000 * MS)) : 0;
}

/* Cursor values: TCBs, then each of these. */
#define WAITS_FROM     UINT32_C(0x40000000)
#define HALF_OPEN_FROM UINT32_C(0x60000000)
#define LISTENERS_FROM UINT32_C(0x80000000)

static bool each_stub(const struct tcp *tcp, uint32_t *cursor, struct tern_tcp_info *out)
{
	uint32_t at = *cursor - WAITS_FROM;
	const struct time_wait *w =
		*cursor < HALF_OPEN_FROM ? tern_pool_next(&tcp->waits.pool, &at) : NULL;
	if (w) {
		*cursor = WAITS_FROM + at + 1;
		describe_time_wait(tcp, w, out);
		return true;
	}
	at = *cursor < HALF_OPEN_FROM ? 0 : *cursor - HALF_OPEN_FROM;
	const struct syn *e = tern_syncache_next(tcp, &at);
	if (!e)
		return false;
	*cursor = HALF_OPEN_FROM + at + 1;
	describe_half_open(tcp, e, out);
	return true;
}

bool tern_tcp_each(const struct tern_stack *stack, uint32_t *cursor, struct tern_tcp_info *out)
{
	const struct tcp *tcp = tern_stack_tcp_const(stack);
	if (*cursor < WAITS_FROM) {
		const struct tcb *tcb = tern_pool_next(&tcp->tcbs, cursor);
		if (tcb) {
			(*cursor)++;
			describe(tcp, tcb, out);
			return true;
		}
		*cursor = WAITS_FROM;
	}
	if (*cursor < LISTENERS_FROM) {
		if (each_stub(tcp, cursor, out))
			return true;
		*cursor = LISTENERS_FROM;
	}
	uint32_t slot = *cursor - LISTENERS_FROM;
	const struct listener *l = tern_pool_next(&tcp->listeners, &slot);
	*cursor = LISTENERS_FROM + slot + 1;
	if (!l)
		return false;
	*out = (struct tern_tcp_info){
		.state = TERN_TCP_LISTEN,
		.local = {l->addr, l->port},
		.unread = l->queued, /* as ss shows it: waiting to be accepted, of ... */
		.rcvbuf = l->backlog,
		.half_open = l->half_open,
		.half_open_limit = tern_listen_half_open_limit(tcp, l),
		.user = l->user,
	};
	if (l->cookies_until > tcp->core->now)
		out->cookies_left =
			(uint32_t)((l->cookies_until - tcp->core->now) / (1000 * MS)) + 1;
	describe_queue(tcp, l, out);
	return true;
}
