/*
 * Text that a retransmission has overtaken. A retransmission that fills a hole takes TS.Recent with
 * it (RFC 7323 4.3 (2)), so what was sent before it and is still on its way looks old to PAWS when
 * it arrives: on a path that reorders, each retransmission costs whatever it overtook, which is
 * then lost, and sent again.
 *
 * DEVIATES: RFC 7323 5.3 R1 drops it. PAWS is there against numbers that have wrapped. What carries
 * a timestamp no older than TS.Recent was, when rcv.nxt was less than 2^30 bytes back, was sent
 * since, and cannot be of another lap. So, after text has come out of order, and until what was
 * then in flight has arrived, text is compared with TS.Recent as it was one such time before.
 */
#include "transport/tcp/tcp.h"

#define REACH_MAX (UINT32_C(1) << 28) /* of one such time: several are still far from a lap */

static bool good(const struct tcb *tcb)
{
	const struct late *l = &tcb->side->late;
	return l->on && seq_lt(tcb->rcv.nxt, l->until);
}

void tern_late_hole(struct tcb *tcb)
{
	struct late *l = &tcb->side->late;
	uint32_t reach = at_most(tcb_offered(tcb), REACH_MAX);
	if (!(tcb->flags & TCB_TIMESTAMPS) || good(tcb))
		return;
	/* One follows the other: what was late then may be so still. */
	bool follows = l->on && seq_diff(tcb->rcv.nxt, l->until) <= reach;
	l->floor = follows ? l->next : tcb->ts_recent;
	l->next = tcb->ts_recent;
	l->until = seq_add(tcb->rcv.nxt, reach);
	l->on = true;
}

bool tern_late_allowed(const struct tcb *tcb, uint32_t tsval)
{
	return tcb->side && good(tcb) && (int32_t)(tsval - tcb->side->late.floor) >= 0;
}
