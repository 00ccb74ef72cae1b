/*
 * What a program says of a write's end: that a record ends there, which no segment may cross
 * (Linux's MSG_EOR), or that more is to come (MSG_MORE).
 */
#include "transport/tcp/tcp.h"

static uint32_t first_after(const struct records *r, tern_seq from)
{
	uint32_t i = 0;
	while (i < r->count && seq_leq(r->end[i], from))
		i++;
	return i;
}

uint32_t tern_record_limit(const struct tcb_side *side, tern_seq from, uint32_t len)
{
	const struct records *r = &side->records;
	uint32_t i = first_after(r, from);
	return i < r->count ? at_most(len, seq_diff(r->end[i], from)) : len;
}

bool tern_record_ends(const struct tcb_side *side, tern_seq at)
{
	const struct records *r = &side->records;
	for (uint32_t i = 0; i < r->count; i++)
		if (seq_eq(r->end[i], at))
			return true;
	return false;
}

void tern_record_acked(struct tcb *tcb)
{
	struct records *r = &tcb->side->records;
	uint32_t gone = first_after(r, tcb->snd.una);
	for (uint32_t i = gone; gone && i < r->count; i++)
		r->end[i - gone] = r->end[i];
	r->count = (uint8_t)(r->count - gone);
}

ptrdiff_t tern_tcp_send(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len, unsigned flags)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	struct tcb_side *side = tcb && flags ? tern_tcb_side(tcp, tcb) : NULL;
	if (tcb && flags && !side)
		return TERN_ENOMEM;
	if (flags & TERN_SEND_END && side && side->records.count == RECORDS_MAX) {
		tcb->flags |= TCB_WANT_WRITE;
		return TERN_EAGAIN;
	}
	ptrdiff_t n = tern_tcp_write(stack, conn, data, len);
	if (n <= 0 || !tcb->side)
		return n;
	tcb->side->more = tcb->side->hold = flags & TERN_SEND_MORE;
	if (flags & TERN_SEND_END && (size_t)n == len)
		side->records.end[side->records.count++] = tcb_data_end(tcb);
	return n;
}
