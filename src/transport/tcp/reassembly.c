/*
 * Steps seven and eight: text and FIN (RFC 9293 3.10.7.4). Text goes straight to its final place in
 * the receive ring, in order or not, and only into bytes not held yet: the first copy of a byte
 * wins, always. The range set says what lies beyond rcv.nxt.
 */
#include "transport/tcp/tcp.h"

#define RECEIVING (STATE(ESTABLISHED) | STATE(FIN_WAIT_1) | STATE(FIN_WAIT_2))

static uint32_t offset_of(const struct tcb *tcb, tern_seq s)
{
	return tcb->receive.len + seq_diff(s, tcb->rcv.nxt);
}

/* Keeps tcp.holes: who holds text out of order, in the order they began to. */
void tern_holes_changed(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	bool listed = side->holes_link, holds = side->ranges.count;
	if (holds && !listed) {
		side->holes_next = NULL;
		side->holes_link = tcp->holes.tail;
		*tcp->holes.tail = tcb;
		tcp->holes.tail = &side->holes_next;
	}
	if (!holds && listed) {
		*side->holes_link = side->holes_next;
		if (side->holes_next)
			side->holes_next->side->holes_link = side->holes_link;
		else
			tcp->holes.tail = side->holes_link;
		side->holes_link = NULL;
	}
}

static void forget_out_of_order(struct tcp *tcp, struct tcb *tcb)
{
	core_add(tcp->core, TERN_COUNT_TcpExtOfoPruned, tcb->side->ranges.count);
	tern_rangeset_clear(&tcb->side->ranges, &tcp->range_nodes);
	tern_ring_forget(&tcb->receive, &tcp->core->chunks, tcb->receive.len);
	tern_holes_changed(tcp, tcb);
}

/*
 * Memory is short: bytes beyond a hole may go, though SACK reported them (RFC 2018 8). First those
 * that have waited longest for their hole to be filled, whosever they are: nobody may keep others
 * from being heard by holding bytes that nobody can read. False if there are none but `spare`'s.
 */
static bool renege(struct tcp *tcp, const struct tcb *spare)
{
	struct tcb *tcb = tcp->holes.head;
	if (tcb == spare && tcb)
		tcb = tcb->side->holes_next;
	if (!tcb)
		return false;
	forget_out_of_order(tcp, tcb);
	core_count(tcp->core, TERN_COUNT_TcpExtTCPRcvCollapsed);
	return true;
}

/* Stores the parts of r not held yet; returns where it had to stop (r.hi when whole). */
static tern_seq store_gaps(struct tcp *tcp, struct tcb *tcb, struct range r, const uint8_t *data)
{
	struct range rest = r, gap;
	while (seq_lt(rest.lo, rest.hi) && tern_rangeset_gap(&tcb->side->ranges, rest, &gap)) {
		uint32_t n = seq_diff(gap.hi, gap.lo);
		if (!tern_ring_store(&tcb->receive, &tcp->core->chunks, offset_of(tcb, gap.lo),
			    data + seq_diff(gap.lo, r.lo), n))
			return gap.lo;
		rest.lo = gap.hi;
	}
	return r.hi;
}

/* Where the stream is complete up to, given that it is up to `end`. Ranges do not touch, so
 * the one that reaches beyond end, if it begins by end, is the last that counts. */
static tern_seq complete_to(const struct rangeset *ranges, tern_seq end)
{
	struct range r;
	if (tern_rangeset_after(ranges, end, &r) && seq_leq(r.lo, end))
		return r.hi;
	return end;
}

static uint32_t take_in_order(struct tcp *tcp, struct tcb *tcb, struct range r, const uint8_t *data)
{
	struct rangeset *ranges = &tcb->side->ranges;
	if (!ranges->count)
		return (uint32_t)tern_ring_append(&tcb->receive, &tcp->core->chunks, data,
			seq_diff(r.hi, r.lo));
	tern_seq stop = store_gaps(tcp, tcb, r, data);
	if (seq_eq(stop, r.hi))
		stop = complete_to(ranges, r.hi);
	uint32_t n = seq_diff(stop, r.lo);
	tern_ring_extend(&tcb->receive, n);
	tern_rangeset_remove_below(ranges, &tcp->range_nodes, stop);
	tern_holes_changed(tcp, tcb);
	return n;
}

static void tell_readable(struct tcp *tcp, struct tcb *tcb)
{
	if (!(tcb->flags & TCB_WANT_READ) || tcb->flags & TCB_ORPHAN)
		return;
	tcb->flags &= ~TCB_WANT_READ;
	tern_notice_raise(tcp->core, &tcb->notice, NOTICE(TERN_EV_READABLE));
}

static void note_size(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	uint32_t size = a->in->gso_size ? a->in->gso_size : a->seg->data_len;
	if (a->in->gso_size)
		core_count(a->tcp->core, TERN_COUNT_TcpExtTCPRcvCoalesce);
	if (size > tcb->rcv_mss)
		tcb->rcv_mss = (uint16_t)(size < tcb->adv_mss ? size : tcb->adv_mss);
}

/* When to acknowledge text in order (RFC 1122 4.2.3.2, RFC 5681 4.2). */
static void acknowledge(struct tcp *tcp, struct tcb *tcb, bool at_once)
{
	if (tcb->quickacks) {
		tcb->quickacks--;
		at_once = true;
	}
	if (at_once || tcb->flags & TCB_QUICKACK ||
		seq_diff(tcb->rcv.nxt, tcb->rcv.acked) >= 2u * tcb->rcv_mss) {
		tcb->flags |= TCB_ACK_NOW;
		return;
	}
	tcb->flags |= TCB_ACK_DELAYED;
	tern_timer_data_received(tcp, tcb);
}

/* Text in order of which a part was held already, beyond a hole (RFC 2883 4). */
static void report_overlap(struct tcp *tcp, struct tcb *tcb, struct range r)
{
	struct range held;
	if (tern_rangeset_after(&tcb->side->ranges, r.lo, &held) && seq_lt(held.lo, r.hi))
		tern_sack_duplicate(tcp, tcb, (struct range){held.lo, seq_min(held.hi, r.hi)});
}

static void note_received(const struct tcp *tcp, struct tcb *tcb, uint32_t n)
{
	tcb->side->tally.received += n;
	tcb->side->tally.text_at = tcp->core->now;
}

static struct verdict in_order(struct arrival *a, struct range r)
{
	struct tcp *tcp = a->tcp;
	struct tcb *tcb = a->tcb;
	bool fills_hole = tcb->side->ranges.count;
	if (fills_hole)
		report_overlap(tcp, tcb, r);
	uint32_t n = take_in_order(tcp, tcb, r, a->seg->data);
	while (n < a->seg->data_len && renege(tcp, NULL)) {
		struct range rest = {seq_add(r.lo, n), r.hi};
		tcb->rcv.nxt = rest.lo;
		n += take_in_order(tcp, tcb, rest, a->seg->data + n);
	}
	note_received(tcp, tcb, n);
	tcb->rcv.nxt = seq_add(r.lo, n);
	if (n)
		tell_readable(tcp, tcb);
	acknowledge(tcp, tcb, fills_hole || n < a->seg->data_len);
	if (n >= a->seg->data_len)
		return CONTINUE;
	core_count(tcp->core, TERN_COUNT_TcpExtRcvPruned);
	tern_tcp_drop(tcp, tcb, TERN_DROP_TCP_MEMORY);
	return CONTINUE;
}

/* Drops room beyond what the ranges account for. */
static void forget_unaccounted(struct tcp *tcp, struct tcb *tcb)
{
	struct range last;
	uint32_t from = tcb->receive.len;
	if (tern_rangeset_last(&tcb->side->ranges, &last))
		from = offset_of(tcb, last.hi);
	tern_ring_forget(&tcb->receive, &tcp->core->chunks, from);
}

static struct verdict out_of_order(struct arrival *a, struct range r)
{
	struct tcp *tcp = a->tcp;
	struct tcb *tcb = a->tcb;
	struct tcb_side *side = tcb->side;
	/* RFC 5681 4.2: a duplicate ACK at once, one for each such segment. */
	tcb->flags |= TCB_ACK_NOW;
	if (tcb->acks_owed < UINT8_MAX)
		tcb->acks_owed++;
	uint32_t max = (uint32_t)tcp->core->set.tcp_max_ranges;
	if (core_pressed(tcp->core))
		renege(tcp, tcb);
	uint32_t before = side->ranges.bytes;
	tern_seq stop = store_gaps(tcp, tcb, r, a->seg->data);
	struct range held = {r.lo, stop};
	int err = seq_lt(held.lo, held.hi)
			  ? tern_rangeset_add(&side->ranges, &tcp->range_nodes, held, max)
			  : TERN_ENOMEM;
	if (err != 0) {
		forget_unaccounted(tcp, tcb);
		core_count(tcp->core, TERN_COUNT_TcpExtTCPOFODrop);
		return verdict(VERDICT_ACK,
			err == TERN_ENOSPC ? TERN_DROP_TCP_RANGES_FULL : TERN_DROP_TCP_MEMORY);
	}
	core_count(tcp->core, TERN_COUNT_TcpExtTCPOFOQueue);
	side->tally.beyond_holes++;
	if (side->ranges.bytes == before)
		tern_sack_duplicate(tcp, tcb, r);
	tern_holes_changed(tcp, tcb);
	tern_sack_touched(side, r.lo);
	tern_late_hole(tcb);
	tern_window_held(tcp, tcb);
	tern_timer_busy(tcp, tcb);
	return CONTINUE;
}

/* Text for a program that has gone is lost: the peer must know (RFC 1122 4.2.2.13). What it has
 * acknowledged is where it expects a reset (RFC 5961 3.2): our FIN may be on its way. */
static struct verdict after_close(struct arrival *a)
{
	core_count(a->tcp->core, TERN_COUNT_TcpExtTCPAbortOnClose);
	tern_tcp_drop(a->tcp, a->tcb, TERN_DROP_TCP_AFTER_CLOSE);
	tern_reset_reply(a->tcp, a->in, a->seg);
	tern_tcb_die(a->tcp, a->tcb, TERN_ECONNRESET, TERN_CAUSE_DATA_AFTER_CLOSE);
	a->tcb = NULL;
	return CONTINUE;
}

struct verdict tern_text_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	struct tcp_segment *seg = a->seg;
	if (seg->data_len == 0)
		return CONTINUE;
	if (!tcb_in(tcb, RECEIVING)) {
		tern_tcp_drop(a->tcp, tcb, TERN_DROP_TCP_AFTER_FIN);
		return CONTINUE;
	}
	if (tcb->flags & TCB_ORPHAN)
		return after_close(a);
	if (!tern_tcb_side(a->tcp, tcb))
		return verdict(VERDICT_DROP, TERN_DROP_TCP_MEMORY);
	tern_timer_busy(a->tcp, tcb);
	if (tcb->receive.len == 0)
		tcb->side->unread_at = a->tcp->core->now;
	note_size(a);
	if (tcb->ecn)
		tern_ecn_text(tcb, seg->flags, a->in->tos);
	tern_window_measure_rtt(a->tcp, tcb, seg);
	struct range r = {seg->seq, seq_add(seg->seq, seg->data_len)};
	return seq_eq(seg->seq, tcb->rcv.nxt) ? in_order(a, r) : out_of_order(a, r);
}

/* Everything up to the peer's FIN is here. */
static void take_fin(struct arrival *a)
{
	struct tcp *tcp = a->tcp;
	struct tcb *tcb = a->tcb;
	tcb->rcv.nxt = seq_add(tcb->rcv.nxt, 1);
	if (tcb->side)
		tcb->side->tally.received++;
	tcb->flags |= TCB_FIN_RECEIVED | TCB_ACK_NOW;
	if (!(tcb->flags & TCB_ORPHAN))
		tern_notice_raise(tcp->core, &tcb->notice, NOTICE(TERN_EV_EOF));
	switch ((enum tern_tcp_state)tcb->state) {
	case TERN_TCP_ESTABLISHED:
		tern_tcb_enter(tcp, tcb, TERN_TCP_CLOSE_WAIT, TERN_CAUSE_FIN);
		break;
	case TERN_TCP_FIN_WAIT_1:
		if (tcb->flags & TCB_FIN_SENT && tcb_flight(tcb) == 0)
			tern_tcb_enter(tcp, tcb, TERN_TCP_TIME_WAIT, TERN_CAUSE_FIN_ACK);
		else
			tern_tcb_enter(tcp, tcb, TERN_TCP_CLOSING, TERN_CAUSE_FIN);
		break;
	case TERN_TCP_FIN_WAIT_2:
		tern_tcb_enter(tcp, tcb, TERN_TCP_TIME_WAIT, TERN_CAUSE_FIN);
		break;
	case TERN_TCP_CLOSED:
	case TERN_TCP_LISTEN:
	case TERN_TCP_SYN_SENT:
	case TERN_TCP_SYN_RECEIVED:
	case TERN_TCP_CLOSE_WAIT:
	case TERN_TCP_CLOSING:
	case TERN_TCP_LAST_ACK:
	case TERN_TCP_TIME_WAIT:
		break;
	}
}

struct verdict tern_fin_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	const struct tcp_segment *seg = a->seg;
	if (!tcb_in(tcb, RECEIVING) || tcb->flags & TCB_FIN_RECEIVED)
		return CONTINUE;
	tern_seq at = seq_add(seg->seq, seg->data_len);
	bool here = seg->flags & TCP_FIN;
	if (here && !seq_eq(at, tcb->rcv.nxt)) { /* text is missing before it */
		struct tcb_side *side = tern_tcb_side(a->tcp, tcb);
		if (side) {
			side->fin_early = true;
			side->fin_seq = at;
		}
		tcb->flags |= TCB_ACK_NOW;
		return CONTINUE;
	}
	if (!here) /* perhaps this text filled the last hole before an early FIN */
		here = tcb->side && tcb->side->fin_early &&
		       seq_eq(tcb->side->fin_seq, tcb->rcv.nxt);
	if (!here)
		return CONTINUE;
	if (tcb->side) {
		tcb->side->fin_early = false;
		if (tcb->side->ranges.count) { /* said to lie beyond the end */
			forget_out_of_order(a->tcp, tcb);
			tern_tcp_drop(a->tcp, tcb, TERN_DROP_TCP_AFTER_FIN);
		}
	}
	take_fin(a);
	return CONTINUE;
}
