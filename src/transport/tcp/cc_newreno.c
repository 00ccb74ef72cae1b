/* Slow start and congestion avoidance (RFC 5681 3.1), counting bytes (RFC 3465). */
#include "transport/tcp/cc.h"

static void init(struct tcb *tcb)
{
	if (tcb->side)
		tcb->side->ca_acked = 0;
}

/*
 * A window the application did not fill says nothing about the path: do not grow it
 * (RFC 7661 4.3 in spirit).
 */
static bool window_limited(const struct tcb *tcb, const struct ack_info *ack)
{
	if (tcb->cwnd < tcb->ssthresh)
		return ack->flight >= tcb->cwnd / 2;
	return ack->flight + tcb->mss >= tcb->cwnd;
}

static void acked(struct tcb *tcb, const struct ack_info *ack)
{
	uint32_t bytes = ack->acked;
	if (!window_limited(tcb, ack))
		return;
	if (tcb->cwnd < tcb->ssthresh) {
		/* DEVIATES: RFC 5681 grows by at most one segment an ACK. Devices that join
		 * segments make one ACK stand for many; counting what was acknowledged is as
		 * safe against ACK division and does not starve them. */
		uint32_t room = tcb->ssthresh - tcb->cwnd;
		uint32_t grow = bytes < room ? bytes : room;
		tcb->cwnd += grow;
		bytes -= grow;
	}
	if (bytes == 0 || !tcb->side)
		return;
	tcb->side->ca_acked += bytes;
	while (tcb->side->ca_acked >= tcb->cwnd) {
		tcb->side->ca_acked -= tcb->cwnd;
		tcb->cwnd += tcb->mss;
	}
}

/* RFC 5681 equation (4). */
static uint32_t ssthresh(struct tcb *tcb, uint32_t flight)
{
	uint32_t half = flight / 2, two = 2u * tcb->mss;
	return half > two ? half : two;
}

const struct congestion_control tern_cc_newreno = {
	.name = "newreno",
	.init = init,
	.acked = acked,
	.ssthresh = ssthresh,
};

static const struct congestion_control *const algorithms[] = {&tern_cc_newreno};

const struct congestion_control *tern_cc_of(const struct tcb *tcb)
{
	return algorithms[tcb->cc];
}
