/*
 * Congestion window validation (RFC 7661): how much of the window was used, by what was
 * acknowledged in a round trip (pipeACK). Theory of operation: a sample is what is acknowledged
 * until the ACK of what had been sent when it began; pipeACK is the largest of late. While it is
 * half of cwnd at least, cwnd is validated; else (the non-validated phase) it says what the path
 * carried once.
 *
 * Linux and RFC 7661 contradict each other in what becomes of such a window. By default it is Linux
 * that is followed (tcp_slow_start_after_idle=1; cc.c): after an RTO without sending it begins
 * anew, and by halves goes what has not been needed for an RTO (RFC 5681 4.1, RFC 2861), for that
 * is what users and scripts expect. With tcp_slow_start_after_idle=0, where Linux keeps it for ever
 * and grows and reduces it as if it were in use, it is kept as RFC 7661 has it: five minutes, then
 * half of it (4.4.3); it grows only while it is validated; and a loss in the non-validated phase
 * leaves half of what was used, less what was lost (4.4.1). Bursts out of such a window are paced
 * (pacing.c; 4.4.2).
 */
#include "transport/tcp/tcp.h"

#define PERIOD_MIN 1000            /* ms: samples count for three RTTs, but no less (4.5.1) */
#define NVP_MAX    (5 * 60 * 1000) /* ms (4.4.3) */

static bool keeps(const struct tcp *tcp)
{
	return !tcp->core->set.tcp_slow_start_after_idle;
}

/* Two buckets, each for half of the period. */
static void age(const struct tcp *tcp, const struct tcb *tcb, struct pipe_ack *p)
{
	uint32_t period = tcb->srtt / 1000 * 3, passed = now_ms(tcp) - p->half_at;
	if (period < PERIOD_MIN)
		period = PERIOD_MIN;
	if (passed < period / 2)
		return;
	p->most[1] = passed < period ? p->most[0] : 0;
	p->most[0] = 0;
	p->half_at = now_ms(tcp);
}

static uint32_t pipe_ack(const struct pipe_ack *p)
{
	return p->most[0] > p->most[1] ? p->most[0] : p->most[1];
}

/* By the window that the sample began with: slow start doubles it meanwhile. */
static void judge(const struct tcp *tcp, const struct tcb *tcb, struct pipe_ack *p)
{
	p->unused = p->known && pipe_ack(p) < at_most(p->window, tcb->cwnd) / 2;
	if (!p->unused)
		p->valid_at = now_ms(tcp);
}

/* RFC 7661 4.4.3, for as many times five minutes as have passed. */
static void end_phase(const struct tcp *tcp, struct tcb *tcb, struct pipe_ack *p)
{
	uint32_t least = tern_cwnd_restart(tcp, tcb);
	while (p->unused && now_ms(tcp) - p->valid_at >= NVP_MAX) {
		p->valid_at = tcb->cwnd > least ? p->valid_at + NVP_MAX : now_ms(tcp);
		if (tcb->cwnd <= least)
			return;
		uint32_t most = tcb->cwnd / 4 * 3;
		tcb->ssthresh = tcb->ssthresh > most ? tcb->ssthresh : most;
		tcb->cwnd = tcb->cwnd / 2 > least ? tcb->cwnd / 2 : least;
	}
}

void tern_cwv_resume(const struct tcp *tcp, struct tcb *tcb)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	p->measuring = false;
	age(tcp, tcb, p);
	if (!keeps(tcp))
		return;
	p->window = tcb->cwnd;
	judge(tcp, tcb, p);
	end_phase(tcp, tcb, p);
}

void tern_cwv_sent(const struct tcp *tcp, struct tcb *tcb)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	p->strict = keeps(tcp);
	if (p->strict)
		end_phase(tcp, tcb, p);
}

/* From an ACK to the ACK of all that was sent before it. */
static void begin(const struct tcb *tcb, struct pipe_ack *p)
{
	p->measuring = tcb_flight(tcb) > 0;
	p->end = tcb->snd.nxt;
	p->bytes = 0;
	p->window = tcb->cwnd;
}

void tern_cwv_acked(const struct tcp *tcp, struct tcb *tcb, uint32_t acked)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	p->bytes += acked;
	if (p->measuring && seq_lt(tcb->snd.una, p->end))
		return;
	if (p->measuring) {
		age(tcp, tcb, p);
		if (p->bytes > p->most[0])
			p->most[0] = p->bytes;
		p->known = true;
		judge(tcp, tcb, p);
	}
	begin(tcb, p);
}

void tern_cwv_timed_out(struct tcb *tcb)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	p->known = p->unused = p->lost = false;
	p->most[0] = p->most[1] = 0;
}

uint32_t tern_cwv_lost(struct tcb *tcb, uint32_t flight)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	uint32_t used = at_most(pipe_ack(p), tcb->cwnd);
	p->lost = p->strict && p->unused;
	return p->lost && used > flight ? used : flight;
}

void tern_cwv_recovered(struct tcb *tcb, uint32_t resent)
{
	struct pipe_ack *p = &tcb->side->use.pipe;
	uint32_t two = 2u * tcb->mss;
	if (!p->lost)
		return;
	p->lost = false;
	tcb->cwnd = tcb->cwnd > two + resent / 2 ? tcb->cwnd - resent / 2 : two;
}

bool tern_cwv_remembers(const struct tcp *tcp, const struct tcb *tcb)
{
	return keeps(tcp) && tcb->cwnd > tern_cwnd_restart(tcp, tcb);
}
