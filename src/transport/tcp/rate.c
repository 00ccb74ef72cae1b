/*
 * How fast the peer gets what is sent (draft-cheng-iccrg-delivery-rate-estimation). Theory of
 * operation: a segment is followed, from when it goes to when it, or something sent after it, is
 * known to have come. What was delivered meanwhile was sent in one time and acknowledged in
 * another, and the longer one is how long the path took for it: ACKs that come in a bunch shorten
 * the second, a burst the first. Linux follows each segment and has a sample with every ACK; here
 * it is one at a time, a sample a round trip: the last that goes before anything is heard, so that
 * what is delivered until then is all that went with it.
 *
 * What went while the program had nothing more to give says how fast the program is; it replaces
 * only what was slower still.
 */
#include "transport/tcp/tcp.h"

#define SECOND UINT64_C(1000000000)
#define LEAST  1000 /* ns */

static uint64_t delivered(const struct tcb *tcb)
{
	return tcb->side->tally.acked + tcb->side->rec.board.sacked;
}

static bool has_come(const struct tcb *tcb, tern_seq end)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	return seq_geq(tcb->snd.una, end) || (b->count && seq_geq(b->high, end));
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The program had no more to give, and all it gave has come: so it is with what begins a flight,
 * unless the peer's window was shut. */
static void begin_flight(const struct tcp *tcp, struct tcb *tcb, struct delivery_rate *d)
{
	d->delivered = delivered(tcb);
	d->heard_at = d->begun_at = tcp->core->now;
	d->drained |= tcb->side->tally.standing == STANDING_IDLE;
	d->drained_end = tcb->snd.una;
}

void tern_rate_sent(const struct tcp *tcp, struct tcb *tcb, struct range r)
{
	struct delivery_rate *d = &tcb->side->tally.rate;
	struct followed *f = &d->followed;
	if (seq_eq(r.lo, tcb->snd.una)) /* nothing else is under way */
		begin_flight(tcp, tcb, d);
	if (f->on && f->delivered == d->delivered) {
		f->end = r.hi;
		f->at = tcp->core->now;
	}
	if (f->on)
		return;
	*f = (struct followed){
		.on = true,
		.app_limited = d->drained,
		.end = r.hi,
		.at = tcp->core->now,
		.delivered = d->delivered,
		.heard_at = d->heard_at,
		.sent_at = larger(d->begun_at, tcb->side->rec.rack.xmit_at),
	};
}

/* No path is faster than its smallest RTT: what looks so tells of clocks, and of loopbacks. */
static void take(const struct tcb *tcb, struct delivery_rate *d, const struct followed *f)
{
	uint64_t bytes = d->delivered - f->delivered; /* two windows at most */
	uint64_t ns = larger(f->at - f->sent_at, d->heard_at - f->heard_at);
	uint64_t rate = bytes * SECOND / larger(ns, larger(tcb->side->rec.rack.min_rtt, LEAST));
	if (f->app_limited && rate < d->bytes_per_s)
		return;
	d->bytes_per_s = rate;
	d->app_limited = f->app_limited;
}

void tern_rate_heard(const struct tcp *tcp, struct tcb *tcb)
{
	struct delivery_rate *d = &tcb->side->tally.rate;
	struct followed *f = &d->followed;
	if (delivered(tcb) <= d->delivered)
		return;
	d->delivered = delivered(tcb);
	d->heard_at = tcp->core->now;
	if (d->drained && has_come(tcb, seq_add(d->drained_end, 1)))
		d->drained = false;
	if (!f->on || !has_come(tcb, f->end))
		return;
	take(tcb, d, f);
	f->on = false;
}

void tern_rate_drained(struct tcb *tcb)
{
	struct delivery_rate *d = &tcb->side->tally.rate;
	if (tern_recovery_pipe(tcb) + tcb->mss > tcb->cwnd)
		return;
	d->drained = true;
	d->drained_end = tcb->snd.nxt;
}
