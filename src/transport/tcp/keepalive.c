/*
 * Keepalive (RFC 1122 4.2.3.6, RFC 9293 3.8.4): off unless the user asks for it. After an idle
 * time, probes: a number already acknowledged, which draws an ACK from a peer that is there and a
 * reset from one that has started anew. And the user timeout (RFC 5482): how long data may stay
 * unacknowledged. What they need is in the side block, which a connection that uses them keeps.
 */
#include "transport/tcp/tcp.h"

#define SECOND (1000 * MS)

static uint64_t idle_time(const struct tcp *tcp, const struct tcb_side *side)
{
	int32_t s = side->keep_idle ? side->keep_idle : tcp->core->set.tcp_keepalive_time;
	return (uint64_t)s * SECOND;
}

static uint64_t interval(const struct tcp *tcp, const struct tcb_side *side)
{
	int32_t s = side->keep_interval ? side->keep_interval : tcp->core->set.tcp_keepalive_intvl;
	return (uint64_t)s * SECOND;
}

uint32_t tern_keepalive_probes_max(const struct tcp *tcp, const struct tcb_side *side)
{
	return side->keep_count ? side->keep_count : (uint32_t)tcp->core->set.tcp_keepalive_probes;
}

static uint64_t since(const struct tcp *tcp, uint64_t then)
{
	return tcp->core->now - then;
}

bool tern_keepalive_in_use(const struct tcb_side *side)
{
	return side->keepalive || side->keep_idle || side->keep_interval || side->keep_count ||
	       side->user_timeout;
}

void tern_keepalive_heard(const struct tcp *tcp, struct tcb_side *side)
{
	side->heard_at = tcp->core->now;
	side->keep_probes = 0;
}

/* Data on its way is watched over by the retransmission and persist timers. */
static bool idle(const struct tcb *tcb)
{
	return tcb_flight(tcb) == 0 && tcb->send.len == 0;
}

static bool over(const struct tcp *tcp, const struct tcb_side *side)
{
	if (side->keep_probes == 0)
		return false;
	if (side->user_timeout)
		return since(tcp, side->heard_at) >= side->user_timeout * MS;
	return side->keep_probes >= tern_keepalive_probes_max(tcp, side);
}

/* What must pass since it was heard, or asked. */
static uint64_t between(const struct tcp *tcp, const struct tcb_side *side)
{
	return side->keep_probes ? interval(tcp, side) : idle_time(tcp, side);
}

uint64_t tern_keepalive_left(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (!side || !side->keepalive || !tcb_in(tcb, SYNCHRONIZED) || !idle(tcb))
		return TERN_NEVER;
	uint64_t wait = between(tcp, side);
	uint64_t gone = since(tcp, side->keep_probes ? side->probed_at : side->heard_at);
	return gone < wait ? wait - gone : 0;
}

uint64_t tern_keepalive_turn(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	if (!side->keepalive || !tcb_in(tcb, SYNCHRONIZED))
		return 0;
	uint64_t left = tern_keepalive_left(tcp, tcb);
	if (left == TERN_NEVER)
		return between(tcp, side);
	if (left > 0)
		return left;
	if (over(tcp, side)) {
		tern_timeout_give_up(tcp, tcb);
		return 0;
	}
	side->keep_probes++;
	side->probed_at = tcp->core->now;
	tcb->flags |= TCB_PROBE_DUE;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPKeepAlive);
	tern_want_send(tcp, tcb);
	return interval(tcp, side);
}

/* --- the user timeout ------------------------------------------------------------------ */

void tern_user_timeout_begin(const struct tcp *tcp, struct tcb *tcb, uint64_t waited)
{
	if (tcb->side)
		tcb->side->stalled_at = tcp->core->now - waited;
}

uint64_t tern_stalled_age(const struct tcp *tcp, const struct tcb *tcb)
{
	return tcb->side && tcb->backoff && tcb->side->stalled_at
		       ? since(tcp, tcb->side->stalled_at)
		       : 0;
}

uint64_t tern_user_timeout_left(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (!side || !side->user_timeout || tcb_syn_unacked(tcb))
		return TERN_NEVER;
	uint64_t limit = side->user_timeout * MS;
	uint64_t gone = tcb->backoff ? since(tcp, side->stalled_at) : 0;
	return gone < limit ? limit - gone : 0;
}

/* --- options --------------------------------------------------------------------------- */

#define KEEP_SECONDS_MAX 32767
#define KEEP_COUNT_MAX   127

static int check(enum tern_tcp_option option, int64_t value)
{
	bool seconds = option == TERN_TCP_KEEPIDLE || option == TERN_TCP_KEEPINTVL;
	if (seconds && (value < 1 || value > KEEP_SECONDS_MAX))
		return TERN_ERANGE;
	if (option == TERN_TCP_KEEPCNT && (value < 1 || value > KEEP_COUNT_MAX))
		return TERN_ERANGE;
	return 0;
}

int tern_keepalive_set(struct tcp *tcp, struct tcb *tcb, enum tern_tcp_option option, int64_t value)
{
	int err = check(option, value);
	if (err != 0)
		return err;
	struct tcb_side *side = tern_tcb_side(tcp, tcb);
	if (!side)
		return TERN_ENOMEM;
	if (option == TERN_TCP_KEEPIDLE)
		side->keep_idle = (uint16_t)value;
	else if (option == TERN_TCP_KEEPINTVL)
		side->keep_interval = (uint16_t)value;
	else if (option == TERN_TCP_KEEPCNT)
		side->keep_count = (uint8_t)value;
	else if (option == TERN_TCP_USER_TIMEOUT)
		side->user_timeout = (uint32_t)value;
	else
		side->keepalive = value != 0;
	tern_keepalive_heard(tcp, side);
	tern_timer_busy(tcp, tcb);
	return 0;
}

int64_t tern_keepalive_get(const struct tcp *tcp, const struct tcb *tcb,
	enum tern_tcp_option option)
{
	static const struct tcb_side none;
	const struct tcb_side *side = tcb->side ? tcb->side : &none;
	if (option == TERN_TCP_KEEPIDLE)
		return (int64_t)(idle_time(tcp, side) / SECOND);
	if (option == TERN_TCP_KEEPINTVL)
		return (int64_t)(interval(tcp, side) / SECOND);
	if (option == TERN_TCP_KEEPCNT)
		return tern_keepalive_probes_max(tcp, side);
	return option == TERN_TCP_USER_TIMEOUT ? side->user_timeout : side->keepalive;
}
