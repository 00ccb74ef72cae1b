/*
 * The receive window: what is offered (RFC 9293 3.8.6.2.2), and how large the buffer behind it
 * should be. Invariant: rcv.adv, the right edge, never goes back, and every byte before it has a
 * place in the buffer.
 */
#include "transport/tcp/tcp.h"

/* The most that is ever offered: TCP_WINDOW_CLAMP. */
static uint32_t offer_max(const struct tcb *tcb)
{
	uint32_t clamp = tcb->side ? tcb->side->choice.window_clamp : 0;
	return clamp ? at_most(clamp, tcb->rcvbuf) : tcb->rcvbuf;
}

static uint32_t space(const struct tcb *tcb)
{
	uint32_t room = tcb->rcvbuf > tcb->receive.len ? tcb->rcvbuf - tcb->receive.len : 0;
	return at_most(room, offer_max(tcb));
}

/* As Linux's tcp_select_initial_window(): with a clamp no more need ever be said. */
uint8_t tern_window_scale(const struct tcp *tcp, uint32_t fixed, uint32_t clamp)
{
	uint32_t most = fixed ? fixed : (uint32_t)tcp->core->set.tcp_rmem_max;
	if (clamp)
		most = at_most(most, clamp);
	uint8_t scale = 0;
	while (scale < TCP_WSCALE_MAX && most >> scale > UINT16_MAX)
		scale++;
	return scale;
}

void tern_window_rescale(const struct tcp *tcp, struct tcb *tcb)
{
	uint32_t fixed = tcb->flags & TCB_RCVBUF_FIXED ? tcb->rcvbuf : 0;
	uint32_t clamp = tcb->side ? tcb->side->choice.window_clamp : 0;
	if (tcb->flags & TCB_WSCALE)
		tcb->rcv_wscale = tern_window_scale(tcp, fixed, clamp) & 0xfu;
}

uint32_t tern_window_in_syn(const struct tcb *tcb)
{
	return at_most(offer_max(tcb), UINT16_MAX);
}

static void count_edges(struct tcp *tcp, uint32_t before, uint16_t field)
{
	if (before && field == 0)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPToZeroWindowAdv);
	if (before == 0 && field)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPFromZeroWindowAdv);
}

/* The silly-window rule: move the edge only by a segment or half the buffer. */
static uint32_t worth_offering(const struct tcb *tcb)
{
	uint32_t offered = tcb_offered(tcb), room = space(tcb);
	uint32_t step = at_most(offer_max(tcb) / 2, tcb->adv_mss);
	return room >= offered + step ? room : offered;
}

/*
 * Scaling rounds: down, unless that would take back what was offered and the buffer has room to
 * round up. Where it has not, the field may seem to retract by less than one unit, as RFC 7323
 * 2.4 foresees; rcv.adv does not move, and data up to it is still taken.
 */
uint16_t tern_window_field(struct tcp *tcp, struct tcb *tcb, bool syn)
{
	if (syn && tcb->state == TERN_TCP_SYN_SENT)
		return (uint16_t)tern_window_in_syn(tcb);
	unsigned shift = syn ? 0 : tcb->rcv_wscale;
	uint32_t offered = tcb_offered(tcb), want = worth_offering(tcb);
	uint32_t field = at_most(want >> shift, UINT16_MAX);
	uint32_t up = (field + 1) << shift;
	if (field << shift < offered && up <= space(tcb) && field < UINT16_MAX)
		field++;
	tern_seq edge = seq_add(tcb->rcv.nxt, field << shift);
	if (!syn) /* the first offer opens nothing that was shut */
		count_edges(tcp, offered, (uint16_t)field);
	if (seq_gt(edge, tcb->rcv.adv))
		tcb->rcv.adv = edge;
	return (uint16_t)field;
}

/* Whether an ACK now would move the right edge enough to be worth sending. */
static bool worth_update(const struct tcb *tcb)
{
	/* More than the field can say is nothing to tell. */
	uint32_t sayable = (uint32_t)UINT16_MAX << tcb->rcv_wscale;
	uint32_t offered = tcb_offered(tcb), room = at_most(space(tcb), sayable);
	if (!tcb_in(tcb, STATE(ESTABLISHED) | STATE(FIN_WAIT_1) | STATE(FIN_WAIT_2)) ||
		room <= offered)
		return false;
	uint32_t gain = room - offered;
	if (offered < 2u * tcb->adv_mss && gain >= at_most(offer_max(tcb) / 2, tcb->adv_mss))
		return true;
	return gain >= offer_max(tcb) / 4;
}

/* The receiver's own RTT: from the echo of the timestamp on our last ACK. */
void tern_window_measure_rtt(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg)
{
	struct tcb_side *side = tcb->side;
	if (!(tcb->flags & TCB_TIMESTAMPS) || seg->options.tsecr == 0)
		return;
	uint32_t ms = tern_timestamp_now(tcp, tcb) - seg->options.tsecr;
	if (ms > 60000)
		return;
	uint32_t us = ms ? ms * 1000 : 500;
	if (side->drs_rtt == 0 || us < side->drs_rtt)
		side->drs_rtt = us;
	else
		side->drs_rtt += (us - side->drs_rtt) / 8;
}

/* What a round brought that the application has read, or cannot read yet. What it leaves unread
 * when a hole is filled counts once more when it is read: too much, as what is read late always
 * does. */
static uint32_t brought(const struct tcb_side *side)
{
	uint32_t now = side->drs_taken + side->ranges.bytes;
	return now > side->drs_held ? now - side->drs_held : 0;
}

/*
 * What a round brings says what the path can carry in one RTT: hold twice that. What is offered now
 * is used a round trip on, when a sender that doubles has twice as much under way, and doubles
 * again; on a path that reorders as much may lie beyond holes, which is no longer under way and in
 * the window all the same. While rounds bring more and more, hold up to six times, as Linux.
 */
static uint32_t worth_holding(const struct tcb *tcb, uint32_t most)
{
	const struct tcb_side *side = tcb->side;
	uint64_t now = brought(side), more = 2 * (now - side->drs_copied);
	uint64_t want = 2 * now + 4 * (more < now ? more : now);
	want += 16u * tcb->adv_mss + side->ranges.bytes;
	return want < most ? (uint32_t)want : most;
}

static void end_round(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	uint32_t most = (uint32_t)tcp->core->set.tcp_rmem_max;
	bool tune = tcp->core->set.tcp_moderate_rcvbuf && !(tcb->flags & TCB_RCVBUF_FIXED);
	/* While memory is short nothing is learnt: as much will come again. */
	if (brought(side) > side->drs_copied && !core_pressed(tcp->core)) {
		uint32_t want = tune ? worth_holding(tcb, most) : 0;
		if (want > tcb->rcvbuf)
			tcb->rcvbuf = want;
		side->drs_copied = brought(side);
	}
	side->drs_taken = 0;
	side->drs_held = side->ranges.bytes;
	side->drs_at = tcp->core->now;
}

static void tune(struct tcp *tcp, struct tcb *tcb, uint32_t n)
{
	struct tcb_side *side = tcb->side;
	if (!side)
		return;
	side->drs_taken += n;
	uint64_t rtt = side->drs_rtt ? side->drs_rtt : tcb->srtt;
	if (rtt && tcp->core->now - side->drs_at >= rtt * 1000)
		end_round(tcp, tcb);
}

/* Of a program that does not read what it could, no hole says anything. */
void tern_window_held(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->side->drs_copied && tcb->receive.len == 0)
		tune(tcp, tcb, 0);
}

void tern_window_taken(struct tcp *tcp, struct tcb *tcb, uint32_t n)
{
	tune(tcp, tcb, n);
	if (tcb->side && n)
		tcb->side->unread_at = tcp->core->now;
	if (tcb->linger_at == 0) /* it may have stood still */
		tern_timer_busy(tcp, tcb);
	if (!worth_update(tcb))
		return;
	tcb->flags |= TCB_ACK_NOW;
	tern_want_send(tcp, tcb);
}
