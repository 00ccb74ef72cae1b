/*
 * Pacing: new data leaves at a rate in proportion to cwnd / RTT, not a window at once, so that
 * short queues need not hold what ACKs let out together. As Linux: twice that rate while the window
 * may double in a round trip, 1.2 times after.
 *
 * What goes out together is a burst: about a ms' worth, at least two segments. A burst takes as
 * long as the rate says; the next may begin when that time is over. Then the timer lists the
 * connection, and the device pulls.
 */
#include "transport/tcp/tcp.h"

#define BURST_US     1000
#define SEGMENTS_MIN 2

static bool doubling(const struct tcb *tcb)
{
	return tcb->cwnd < tcb->ssthresh / 2;
}

/* ns that so many bytes take: n / (f * cwnd / srtt). */
static uint64_t time_of(const struct tcb *tcb, uint32_t n)
{
	uint64_t at_cwnd = (uint64_t)n * tcb->srtt * 500 / tcb->cwnd;
	return doubling(tcb) ? at_cwnd : at_cwnd * 5 / 3;
}

/* Bytes that may go in so many us. */
static uint64_t bytes_in(const struct tcb *tcb, uint64_t us)
{
	uint64_t n = 2 * us * tcb->cwnd / tcb->srtt;
	return doubling(tcb) ? n : n * 3 / 5;
}

uint64_t tern_pacing_rate(const struct tcp *tcp, const struct tcb *tcb)
{
	bool paced = tcp->core->set.tcp_pacing && tcb->srtt >= PACING_RTT_MIN;
	return paced ? bytes_in(tcb, 1000000) : 0;
}

static uint32_t burst(const struct tcb *tcb)
{
	uint64_t n = bytes_in(tcb, BURST_US);
	uint32_t mss = tern_tcb_effective_mss(tcb);
	n -= n % mss;
	if (n < SEGMENTS_MIN * mss)
		n = SEGMENTS_MIN * mss;
	return n < tcb->cwnd ? (uint32_t)n : tcb->cwnd;
}

/*
 * A timer that was late does not slow it down: the bursts that should have begun meanwhile are made
 * up for, up to a window. A busy machine, or a driver with a coarse clock, is late by many.
 */
static void begin_burst(const struct tcb *tcb, struct pacing *p, uint64_t now)
{
	uint32_t n = burst(tcb);
	uint64_t takes = time_of(tcb, n), late = p->waited ? now - p->next : 0;
	uint64_t missed = takes ? late / takes : 0, most = tcb->cwnd / n;
	p->left = n * (uint32_t)(missed < most ? 1 + missed : most);
	p->next = now + takes - (takes ? late % takes : 0);
	p->waited = false;
}

/* Of the burst, less is left than a segment takes. */
static bool spent(const struct tcb *tcb, uint32_t want)
{
	return tcb->side->pacing.left < at_most(want, tern_tcb_effective_mss(tcb));
}

bool tern_pacing_waits(const struct tcp *tcp, const struct tcb *tcb, uint32_t want)
{
	return tcp->core->set.tcp_pacing && tcb->side && tcb->srtt >= PACING_RTT_MIN &&
	       tcp->core->now < tcb->side->pacing.next && spent(tcb, want);
}

uint32_t tern_pacing_allowance(struct tcp *tcp, struct tcb *tcb, uint32_t want)
{
	struct pacing *p = &tcb->side->pacing;
	uint64_t now = tcp->core->now;
	if (!tcp->core->set.tcp_pacing)
		return want;
	if (want == 0) { /* from now on it is the window that is waited for */
		p->waited = false;
		return 0;
	}
	/* What a burst has left when its time is over is no credit: it may have been one of a
	 * window that was larger. */
	if (now >= p->next)
		begin_burst(tcb, p, now);
	if (spent(tcb, want)) {
		p->waited = true;
		tern_timer_paced(tcp, tcb);
		return 0;
	}
	return at_most(want, p->left);
}

void tern_pacing_sent(struct tcb *tcb, uint32_t n)
{
	struct pacing *p = &tcb->side->pacing;
	p->left -= at_most(n, p->left);
}

/* RFC 6928: so much may go at once into a path that is empty. */
void tern_pacing_resume(const struct tcp *tcp, struct tcb *tcb)
{
	struct pacing *p = &tcb->side->pacing;
	if (tcb->srtt < PACING_RTT_MIN || !tcp->core->set.tcp_pacing)
		return;
	uint32_t initial = (uint32_t)tcp->core->set.tcp_init_cwnd * tern_tcb_effective_mss(tcb);
	p->left = at_most(initial, tcb->cwnd);
	p->next = tcp->core->now + time_of(tcb, p->left);
}
