/*
 * Records (Linux's MSG_EOR): where a program says that one ends, a segment ends, too, whether it
 * is sent for the first time or again. The last byte of each that is not acknowledged is kept.
 */
#include "transport/tcp/tcp.h"

/* The last byte of n from `begin` on. */
static struct range last_of(tern_seq begin, size_t n)
{
	tern_seq end = seq_add(begin, (uint32_t)n);
	return (struct range){seq_sub(end, 1), end};
}

bool tern_record_mark(struct tcp *tcp, struct tcb *tcb, size_t n)
{
	uint32_t most = (uint32_t)tcp->core->set.tcp_max_ranges;
	struct tcb_side *side = tern_tcb_side(tcp, tcb);
	return side && tern_rangeset_add(&side->records, &tcp->range_nodes,
			       last_of(tcb_data_end(tcb), n), most) == 0;
}

void tern_record_unmark(struct tcp *tcp, struct tcb *tcb, tern_seq begin, size_t n)
{
	tern_rangeset_remove_from(&tcb->side->records, &tcp->range_nodes, last_of(begin, n).lo);
}

uint32_t tern_record_limit(const struct tcb *tcb, tern_seq from, uint32_t n)
{
	struct range r;
	if (n == 0 || !tcb->side || tcb->side->records.count == 0 ||
		!tern_rangeset_after(&tcb->side->records, from, &r))
		return n;
	/* Records of one byte each make one range. */
	return at_most(n, seq_diff(seq_max(r.lo, from), from) + 1);
}

bool tern_record_ends(const struct tcb *tcb, tern_seq end)
{
	return tcb->side && tcb->side->records.count &&
	       tern_rangeset_contains(&tcb->side->records, seq_sub(end, 1));
}

void tern_record_acked(struct tcp *tcp, struct tcb *tcb)
{
	tern_rangeset_remove_below(&tcb->side->records, &tcp->range_nodes, tcb->snd.una);
}
