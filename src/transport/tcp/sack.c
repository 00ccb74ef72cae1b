/* Reporting what lies beyond a hole (RFC 2018 4): the range last touched first. */
#include "transport/tcp/tcp.h"

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

uint8_t tern_sack_blocks(struct tcb *tcb, struct tcp_sack_block *blocks, uint8_t max)
{
	const struct tcb_side *side = tcb->side;
	uint8_t n = 0;
	struct range r;
	if (!side || !side->ranges.count)
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
