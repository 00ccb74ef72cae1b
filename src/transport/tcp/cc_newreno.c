/* Congestion avoidance as RFC 5681 3.1 has it, counting bytes (RFC 3465). */
#include "transport/tcp/cc.h"

static void acked(struct tcb *tcb, const struct ack_info *ack)
{
	uint32_t *count = &tcb->side->cc.newreno.acked;
	uint32_t bytes = ack->acked;
	if (!tern_cwnd_may_grow(tcb, ack))
		return;
	if (tcb->cwnd < tcb->ssthresh)
		bytes = tern_slow_start(tcb, ack);
	if (bytes == 0)
		return;
	*count += bytes;
	while (*count >= tcb->cwnd) {
		*count -= tcb->cwnd;
		tcb->cwnd += tcb->mss;
	}
}

/* RFC 5681 equation (4). */
static uint32_t ssthresh(struct tcb *tcb, uint32_t flight)
{
	uint32_t half = flight / 2, two = 2u * tcb->mss;
	return half > two ? half : two;
}

static void timed_out(struct tcb *tcb)
{
	tcb->side->cc.newreno.acked = 0;
}

const struct congestion_control tern_cc_newreno = {
	.name = "reno",
	.acked = acked,
	.ssthresh = ssthresh,
	.timed_out = timed_out,
};
