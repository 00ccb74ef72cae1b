/* Reporting what lies beyond a hole (RFC 2018 4): the range last touched first. */
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

/* The smallest links have room for few. */
static uint8_t count(const struct tcb *tcb)
{
	if (!tcb->side || !tcb->side->ranges.count || !(tcb->flags & TCB_SACK))
		return 0;
	uint32_t taken = tcb_timestamp_len(tcb) + HEAD_LEN;
	uint32_t room = tcb->mss - TEXT_LEAST;
	if (room > TCP_OPTIONS_LEN_MAX)
		room = TCP_OPTIONS_LEN_MAX;
	uint32_t fit = room > taken ? (room - taken) / BLOCK_LEN : 0;
	return (uint8_t)(tcb->side->ranges.count < fit ? tcb->side->ranges.count : fit);
}

uint32_t tern_sack_len(const struct tcb *tcb)
{
	uint32_t blocks = count(tcb);
	return blocks ? HEAD_LEN + BLOCK_LEN * blocks : 0;
}

uint8_t tern_sack_blocks(const struct tcb *tcb, struct tcp_sack_block *blocks)
{
	const struct tcb_side *side = tcb->side;
	uint8_t n = 0, max = count(tcb);
	struct range r;
	if (max == 0)
		return 0;
	for (uint8_t i = 0; i < side->sack_recent_count && n < max; i++) {
		tern_seq at = side->sack_recent[i];
		if (tern_rangeset_after(&side->ranges, at, &r) && seq_leq(r.lo, at))
			n = add(blocks, n, r);
	}
	/* Room left: the lowest ranges, which the sender needs next. */
	tern_seq from = tcb->rcv.nxt;
	while (n < max && tern_rangeset_after(&side->ranges, from, &r)) {
		n = add(blocks, n, r);
		from = r.hi;
	}
	return n;
}
