/*
 * Selective acknowledgement, both ways: reporting what lies beyond a hole, the range last touched
 * first, and what came twice before that (RFC 2018 4, RFC 2883 4); and hearing what the peer holds.
 */
#include "transport/tcp/tcp.h"

#define HEAD_LEN   4 /* kind, length and padding */
#define BLOCK_LEN  8
#define TEXT_LEAST 4 /* what options leave of the smallest segment */

void tern_sack_touched(struct tcb_side *side, tern_seq at)
{
	uint8_t n = side->sack_recent_count;
	if (n < TCP_SACK_BLOCKS_MAX)
		side->sack_recent_count = ++n;
	for (uint8_t i = (uint8_t)(n - 1); i > 0; i--)
		side->sack_recent[i] = side->sack_recent[i - 1];
	side->sack_recent[0] = at;
}

static bool listed(const struct tcp_sack_block *blocks, uint8_t n, struct range r)
{
	for (uint8_t i = 0; i < n; i++)
		if (seq_eq(blocks[i].lo, r.lo))
			return true;
	return false;
}

static uint8_t add(struct tcp_sack_block *blocks, uint8_t n, struct range r)
{
	if (!listed(blocks, n, r))
		blocks[n++] = (struct tcp_sack_block){r.lo, r.hi};
	return n;
}

/* RFC 2883 4: one block of the next ACK says that this came again. */
void tern_sack_duplicate(struct tcp *tcp, struct tcb *tcb, struct range r)
{
	if (!(tcb->flags & TCB_SACK) || !tcp->core->set.tcp_dsack || !seq_lt(r.lo, r.hi) ||
		tcb->state == TERN_TCP_TIME_WAIT || !tern_tcb_side(tcp, tcb))
		return;
	tcb->side->dup_in = r;
	tcb->side->dup_in_due = true;
	tcb->flags |= TCB_ACK_NOW;
	tern_timer_busy(tcp, tcb);
	core_count(tcp->core, seq_leq(r.hi, tcb->rcv.nxt) ? TERN_COUNT_TcpExtTCPDSACKOldSent
							  : TERN_COUNT_TcpExtTCPDSACKOfoSent);
}

/* The smallest links have room for few. */
static uint8_t count(const struct tcb *tcb)
{
	uint32_t want = tcb->side ? tcb->side->ranges.count + tcb->side->dup_in_due : 0;
	if (want == 0 || !(tcb->flags & TCB_SACK))
		return 0;
	uint32_t taken = tcb_timestamp_len(tcb) + HEAD_LEN;
	uint32_t room = tcb->mss - TEXT_LEAST;
	if (room > TCP_OPTIONS_LEN_MAX)
		room = TCP_OPTIONS_LEN_MAX;
	uint32_t fit = room > taken ? (room - taken) / BLOCK_LEN : 0;
	return (uint8_t)at_most(want, fit);
}

uint32_t tern_sack_len(const struct tcb *tcb)
{
	uint32_t blocks = count(tcb);
	return blocks ? HEAD_LEN + BLOCK_LEN * blocks : 0;
}

static uint8_t add_recent(const struct tcb_side *side, struct tcp_sack_block *blocks, uint8_t n,
	uint8_t max)
{
	struct range r;
	for (uint8_t i = 0; i < side->sack_recent_count && n < max; i++) {
		tern_seq at = side->sack_recent[i];
		if (tern_rangeset_after(&side->ranges, at, &r) && seq_leq(r.lo, at))
			n = add(blocks, n, r);
	}
	return n;
}

uint8_t tern_sack_blocks(const struct tcb *tcb, struct tcp_sack_block *blocks)
{
	const struct tcb_side *side = tcb->side;
	uint8_t n = 0, max = count(tcb), dup;
	struct range r;
	if (max == 0)
		return 0;
	if (side->dup_in_due)
		blocks[n++] = (struct tcp_sack_block){side->dup_in.lo, side->dup_in.hi};
	dup = n;
	n = add_recent(side, blocks + dup, 0, max - dup) + dup;
	/* Room left: the lowest ranges, which the sender needs next. */
	tern_seq from = tcb->rcv.nxt;
	while (n < max && tern_rangeset_after(&side->ranges, from, &r)) {
		n = add(blocks + dup, n - dup, r) + dup;
		from = r.hi;
	}
	return n;
}

/* --- hearing ------------------------------------------------------------------------------- */

/* RFC 2883 4: the first block lies below the ACK, or within the second. */
static bool is_duplicate(const struct tcp_segment *seg)
{
	const struct tcp_sack_block *b = seg->options.sack;
	if (seq_lt(b[0].lo, seg->ack))
		return true;
	return seg->options.sack_count > 1 && seq_leq(b[1].lo, b[0].lo) &&
	       seq_leq(b[0].hi, b[1].hi);
}

/* Not older than the peer's window can have made it. */
static bool within_reach(const struct tcb *tcb, struct range r)
{
	uint32_t window = (uint32_t)tcb->max_wnd << tcb->snd_wscale;
	return seq_leq(seq_sub(tcb->snd.una, window), r.lo) && seq_leq(r.hi, tcb->snd.nxt);
}

/*
 * Believed only of what may have been sent twice, in a recovery not long past, or by a probe:
 * anything else says nothing about what we did.
 */
static void hear_duplicate(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	struct delivery *d)
{
	struct range r = {seg->options.sack[0].lo, seg->options.sack[0].hi};
	const struct tlp *t = &tcb->side->rec.tlp;
	bool probe = t->out && t->resent && seq_eq(r.hi, t->text_end);
	core_count(tcp->core, seq_leq(r.hi, seg->ack) ? TERN_COUNT_TcpExtTCPDSACKRecv
						      : TERN_COUNT_TcpExtTCPDSACKOfoRecv);
	/* Of a probe, it says nothing about the path (8985 7.4.2); no more than we sent again. */
	if (!probe && ++tcb->side->tally.duplicates <= tcb->side->tally.resent_segments &&
		within_reach(tcb, r))
		tern_rack_widen(tcb);
	d->dsack = tern_undo_duplicate(tcb, r) || probe;
	d->dsack_hi = r.hi;
	if (!d->dsack)
		core_count(tcp->core, tcb->side->rec.undo.on
					      ? TERN_COUNT_TcpExtTCPDSACKIgnoredOld
					      : TERN_COUNT_TcpExtTCPDSACKIgnoredNoUndo);
}

/* RFC 2018 3: what is not within what is outstanding says nothing, whoever sent it. */
static void hear_block(struct tcp *tcp, struct tcb *tcb, const struct tcp_sack_block *block,
	struct delivery *d)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	struct range r = {block->lo, block->hi};
	if (b->count == 0 || seq_leq(r.hi, tcb->snd.una))
		return;
	if (seq_gt(r.hi, tcb->snd.nxt) || seq_lt(r.lo, tcb->snd.una)) {
		core_count(tcp->core, TERN_COUNT_TcpExtTCPSACKDiscard);
		return;
	}
	tern_board_sack(tcp, tcb, r, d);
}

void tern_sack_hear(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	struct delivery *d)
{
	const struct tcp_options *o = &seg->options;
	if (!(o->has & TCP_OPT_SACK) || o->sack_count == 0)
		return;
	bool duplicate = is_duplicate(seg);
	if (duplicate)
		hear_duplicate(tcp, tcb, seg, d);
	for (unsigned i = duplicate; i < o->sack_count; i++)
		hear_block(tcp, tcb, &o->sack[i], d);
}
