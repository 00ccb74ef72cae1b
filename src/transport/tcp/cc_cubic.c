/*
 * CUBIC (RFC 9438). After a reduction the window approaches the size at which it had happened along
 * a cubic function of time, stays near it, and then probes beyond: growth depends on time and not
 * on how often ACKs come. Where Reno would be faster, it goes at Reno's pace.
 *
 * All in integers: windows in bytes, times in ms (ns between ACKs), the cube exact. The RFC's
 * constants: C = 0.4 segments/s^3, beta = 0.7, so alpha = 9/17.
 */
#include "transport/tcp/cc.h"

#define WINDOW_MAX ((uint64_t)1 << 30) /* what a send ring holds */
#define TIME_MAX   (1u << 20)          /* ms: a cube of it is below 2^60 */
#define MS3_PER_S3 UINT64_C(1000000000)
#define EST_SHIFT  8

/* C * mss * x^3 in bytes, x in ms; at most WINDOW_MAX. */
static uint64_t cubed(uint32_t mss, uint64_t x)
{
	if (x > TIME_MAX)
		x = TIME_MAX;
	uint64_t cube = x * x * x, scale = 2 * (uint64_t)mss;
	if (cube >= WINDOW_MAX * 5 * MS3_PER_S3 / scale)
		return WINDOW_MAX;
	return scale * cube / (5 * MS3_PER_S3);
}

/* The largest x with x^3 <= n, bit by bit. */
static uint32_t cube_root(uint64_t n)
{
	uint64_t x = 0;
	for (uint64_t bit = (uint64_t)1 << 20; bit; bit >>= 1) {
		uint64_t y = x | bit;
		if (y * y * y <= n)
			x = y;
	}
	return (uint32_t)x;
}

/* RFC 9438 figure 2: K = cbrt((W_max - cwnd_epoch) / C), in ms. */
static uint32_t time_to(uint32_t mss, uint64_t bytes)
{
	if (bytes > WINDOW_MAX)
		bytes = WINDOW_MAX;
	return cube_root(bytes * 5 * MS3_PER_S3 / (2 * (uint64_t)mss));
}

/* RFC 9438 figure 1: W_cubic(t), t in ms since the epoch. */
static uint64_t w_cubic(const struct cubic *c, uint32_t mss, uint64_t t)
{
	if (t >= c->k)
		return c->origin + cubed(mss, t - c->k);
	uint64_t below = cubed(mss, c->k - t);
	return c->origin > below ? c->origin - below : 0;
}

/* RFC 9438 4.2, 4.10: after a reduction; with no W_max, or one that was passed, from here. */
static void begin(struct tcb *tcb, struct cubic *c, uint64_t now)
{
	bool below = tcb->cwnd < c->w_max;
	c->epoch = true;
	c->epoch_at = c->seen_at = now;
	c->origin = below ? c->w_max : tcb->cwnd;
	c->k = below ? time_to(tcb->mss, c->w_max - tcb->cwnd) : 0;
	c->w_est = (uint64_t)tcb->cwnd << EST_SHIFT;
	c->remainder = 0;
	if (c->prior == 0)
		c->prior = tcb->cwnd;
}

/* RFC 9438 4.3: what Reno with this beta would have; alpha is 1 once it has caught up. */
static uint64_t reno_share(struct tcb *tcb, struct cubic *c, uint32_t acked)
{
	bool caught_up = c->w_est >> EST_SHIFT >= c->prior;
	uint64_t alpha = caught_up ? 17 : 9;
	c->w_est += ((alpha * tcb->mss * acked) << EST_SHIFT) / (17 * (uint64_t)tcb->cwnd);
	return c->w_est >> EST_SHIFT;
}

/* RFC 9438 4.4, 4.5: (target - cwnd)/cwnd for each byte acknowledged. */
static void approach(struct tcb *tcb, struct cubic *c, uint64_t target, uint32_t acked)
{
	uint64_t most = tcb->cwnd + (uint64_t)tcb->cwnd / 2;
	if (target > most)
		target = most;
	if (target <= tcb->cwnd)
		return;
	uint64_t product = (target - tcb->cwnd) * acked + c->remainder;
	c->remainder = (uint32_t)(product % tcb->cwnd);
	tcb->cwnd += (uint32_t)(product / tcb->cwnd);
}

/* RFC 9438 4.3: cwnd is to be W_est; but after the window was not used, no faster than slow start
 * would be. */
static void follow(struct tcb *tcb, uint64_t reno, uint32_t acked)
{
	if (reno > tcb->cwnd)
		tcb->cwnd += at_most((uint32_t)(reno - tcb->cwnd), acked);
}

static void avoid_congestion(struct tcb *tcb, const struct ack_info *ack, uint32_t acked)
{
	struct cubic *c = &tcb->side->cc.cubic;
	if (!c->epoch)
		begin(tcb, c, ack->now);
	c->seen_at = ack->now;
	uint64_t t = (ack->now - c->epoch_at) / MS;
	uint64_t reno = reno_share(tcb, c, acked);
	if (w_cubic(c, tcb->mss, t) < reno)
		follow(tcb, reno, acked);
	else
		approach(tcb, c, w_cubic(c, tcb->mss, t + tcb->srtt / 1000), acked);
	if (tcb->cwnd > WINDOW_MAX)
		tcb->cwnd = (uint32_t)WINDOW_MAX;
}

/* RFC 9438 5.8: time in which the window was not used does not count. */
static void leave_out(struct cubic *c, uint64_t now)
{
	c->epoch_at += now - c->seen_at;
	c->seen_at = now;
}

static void acked(struct tcb *tcb, const struct ack_info *ack)
{
	struct cubic *c = &tcb->side->cc.cubic;
	uint32_t bytes = ack->acked;
	if (!tern_cwnd_may_grow(tcb, ack)) {
		leave_out(c, ack->now);
		return;
	}
	if (tcb->cwnd < tcb->ssthresh) {
		/* RFC 9406 4.3: the first slow start only. */
		struct ack_info slower = *ack;
		c->epoch = false;
		if (tcb->ssthresh == UINT32_MAX)
			slower.acked /= tern_hystart_acked(tcb, &c->hystart, ack);
		bytes = tcb->cwnd < tcb->ssthresh ? tern_slow_start(tcb, &slower) : 0;
	}
	if (bytes)
		avoid_congestion(tcb, ack, bytes);
}

/*
 * RFC 9438 4.6, 4.7. Of cwnd, as Linux: what a program that sent little had in flight says less
 * about the path, and a window that is not used has not grown (cc.c).
 */
static uint32_t ssthresh(struct tcb *tcb, uint32_t flight)
{
	(void)flight;
	struct cubic *c = &tcb->side->cc.cubic;
	uint32_t two = 2u * tcb->mss, less = (uint32_t)((uint64_t)tcb->cwnd * 7 / 10);
	c->had_epoch = c->epoch;
	c->had_w_max = c->w_max;
	c->had_prior = c->prior;
	/* Fast convergence: who has less than last time makes room for others. */
	bool shrinks = tcb->cwnd < c->w_max;
	c->w_max = shrinks ? (uint32_t)((uint64_t)tcb->cwnd * 17 / 20) : tcb->cwnd;
	c->prior = tcb->cwnd;
	c->epoch = false;
	return less > two ? less : two;
}

/* RFC 9438 4.8: K is 0 and W_max the window at which congestion avoidance begins; cwnd_prior is
 * what it was before (4.1.2), up to which Reno's share goes slower. */
static void timed_out(struct tcb *tcb)
{
	struct cubic *c = &tcb->side->cc.cubic;
	c->w_max = 0;
	c->epoch = false;
}

/* RFC 9438 4.9: the epoch goes on, unless another has begun. */
static void undone(struct tcb *tcb)
{
	struct cubic *c = &tcb->side->cc.cubic;
	c->epoch |= c->had_epoch;
	c->w_max = c->had_w_max;
	c->prior = c->had_prior;
}

static uint32_t slowed(const struct tcb *tcb)
{
	bool first = tcb->ssthresh == UINT32_MAX;
	return first ? tern_hystart_divisor(&tcb->side->cc.cubic.hystart) : 1;
}

static void resumed(struct tcb *tcb, uint64_t now)
{
	leave_out(&tcb->side->cc.cubic, now);
}

const struct congestion_control tern_cc_cubic = {
	.name = "cubic",
	.acked = acked,
	.ssthresh = ssthresh,
	.timed_out = timed_out,
	.undone = undone,
	.slowed = slowed,
	.resumed = resumed,
};
