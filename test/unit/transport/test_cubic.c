/* CUBIC's integers against the formulas of RFC 9438, in floating point. */
#include "../support.h"
#include "transport/tcp/tcp.h"

#define MSS  1000u
#define MSEC UINT64_C(1000000)
#define SEC  (1000 * MSEC)
#define C    0.4

/* A connection as far as a congestion control sees one: it sends all the window lets it. */
struct flow {
	struct tcb tcb;
	struct tcb_side side;
	uint64_t now, rtt;
};

static void begin(struct flow *f, uint32_t segments, uint64_t rtt)
{
	memset(f, 0, sizeof *f);
	f->tcb.side = &f->side;
	f->tcb.mss = MSS;
	f->tcb.cwnd = segments * MSS;
	f->tcb.ssthresh = segments * MSS;
	f->tcb.srtt = (uint32_t)(rtt / 1000);
	f->side.use.limited = true;
	f->rtt = rtt;
	f->now = 1000 * SEC;
}

static void lose(struct flow *f)
{
	f->tcb.ssthresh = tern_cc_reduced(&f->tcb, f->tcb.cwnd);
	f->tcb.cwnd = f->tcb.ssthresh;
}

static void ack(struct flow *f, uint32_t bytes)
{
	struct ack_info info = {.acked = bytes, .flight = f->tcb.cwnd, .now = f->now};
	tern_cc_cubic.acked(&f->tcb, &info);
}

/* The ACKs of one round trip, one for each segment, as evenly as they come. */
static void round_trip(struct flow *f)
{
	uint32_t acks = f->tcb.cwnd / MSS;
	for (uint32_t i = 0; i < acks; i++) {
		f->now += f->rtt / acks;
		ack(f, MSS);
	}
}

static double segments(const struct flow *f)
{
	return (double)f->tcb.cwnd / MSS;
}

static void near(double got, double want, double tolerance)
{
	if (got < want - tolerance || got > want + tolerance)
		fail_msg("%f is not %f by %f", got, want, tolerance);
}

/* RFC 9438 4.2: where the window is beyond what the cubic says, an ACK leaves it as it is. */
static void an_ack_never_shrinks_it(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, SEC / 10);
	lose(&f);
	round_trip(&f);
	f.tcb.cwnd += 100 * MSS; /* as after an undone reduction */
	f.side.cc.cubic.w_est = 0;
	uint32_t before = f.tcb.cwnd;
	ack(&f, MSS);
	assert_int_equal(f.tcb.cwnd, before);
}

/* Newton's cube root: the tests have no libm either. */
static double root3(double n)
{
	double x = n > 1 ? n / 3 : 1;
	for (int i = 0; i < 200; i++)
		x -= (x * x * x - n) / (3 * x * x);
	return x;
}

static double w_cubic(double w_max, double k, double t)
{
	return C * (t - k) * (t - k) * (t - k) + w_max;
}

static void a_loss_leaves_seven_tenths(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, 100 * MSEC);
	lose(&f);
	assert_int_equal(f.tcb.cwnd, 700 * MSS);
	assert_int_equal(f.side.cc.cubic.w_max, 1000 * MSS);
	begin(&f, 2, 100 * MSEC);
	lose(&f);
	assert_int_equal(f.tcb.cwnd, 2 * MSS);
}

/* RFC 9438 figures 1 and 2, over a path so long that Reno's share does not matter. */
static void the_window_follows_the_cubic(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {100, 1000, 10000, 100000};
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct flow f;
		double w_max = sizes[i], k = root3(0.3 * w_max / C);
		begin(&f, sizes[i], 200 * MSEC);
		lose(&f);
		uint64_t start = f.now;
		for (unsigned round = 0; (double)(f.now - start) < 2 * k * (double)SEC; round++) {
			round_trip(&f);
			double t = (double)(f.now - start) / (double)SEC;
			/* The epoch begins with its first ACK; W(t + RTT) is what the last round
			 * aimed at. */
			double want = w_cubic(w_max, k, t),
			       step = want - w_cubic(w_max, k, t - 0.2);
			near(segments(&f), want, step + 1 + w_max / 1000);
		}
		near((double)f.side.cc.cubic.k / 1000, k, 0.002);
	}
}

/* The plateau: where the loss was, there it lingers. */
static void near_the_old_window_it_lingers(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, 100 * MSEC);
	lose(&f);
	uint64_t start = f.now;
	double k = root3(750);
	unsigned lingering = 0;
	while ((double)(f.now - start) < 2 * k * (double)SEC) {
		round_trip(&f);
		lingering += segments(&f) > 990 && segments(&f) < 1010;
	}
	/* |C (t - K)^3| < 10 segments for 2 * cbrt(25) s. */
	near(lingering, 2 * 2.924 * 10, 3);
}

/* RFC 9438 4.3, over a short path. */
static void on_a_short_path_it_is_as_fast_as_reno(void **state)
{
	(void)state;
	struct flow f;
	double est = 70, prior = 100;
	begin(&f, 100, 1 * MSEC);
	lose(&f);
	for (unsigned round = 0; round < 200; round++) {
		uint32_t acks = f.tcb.cwnd / MSS;
		double cwnd = segments(&f);
		round_trip(&f);
		est += (est >= prior ? 1 : 9.0 / 17) * acks / cwnd;
		near(segments(&f), est, 1.5);
	}
	assert_true(segments(&f) > 200);
}

/* RFC 9438 4.7. */
static void who_has_less_than_last_time_makes_room(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, 100 * MSEC);
	lose(&f);
	round_trip(&f);
	uint32_t cwnd = f.tcb.cwnd;
	assert_true(cwnd < 1000 * MSS);
	lose(&f);
	assert_int_equal(f.side.cc.cubic.w_max, (uint64_t)cwnd * 17 / 20);
	/* And not when it had more. */
	begin(&f, 1000, 100 * MSEC);
	f.side.cc.cubic.w_max = 900 * MSS;
	lose(&f);
	assert_int_equal(f.side.cc.cubic.w_max, 1000 * MSS);
}

/* RFC 9438 4.2: at most half as much again in a round trip, however far away the curve is. */
static void it_grows_by_half_a_round_trip_at_most(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 100, 100 * MSEC);
	lose(&f);
	ack(&f, MSS);
	f.now += 1000 * SEC;
	uint32_t before = f.tcb.cwnd;
	f.side.cc.cubic.seen_at = f.now;
	round_trip(&f);
	assert_true(f.tcb.cwnd > before + before / 3);
	assert_true(f.tcb.cwnd <= before + before * 66 / 100); /* e^0.5, compounded */
}

/* RFC 9438 5.8. */
static void time_in_which_it_was_not_full_does_not_count(void **state)
{
	(void)state;
	struct flow f, g;
	begin(&f, 1000, 100 * MSEC);
	lose(&f);
	g = f;
	g.tcb.side = &g.side;
	for (unsigned i = 0; i < 20; i++)
		round_trip(&f), round_trip(&g);
	uint32_t cwnd = g.tcb.cwnd;
	g.side.use.limited = false;
	for (unsigned i = 0; i < 100; i++)
		round_trip(&g);
	assert_int_equal(g.tcb.cwnd, cwnd);
	tern_cc_cubic.resumed(&g.tcb, g.now += 5 * SEC);
	g.side.use.limited = true;
	for (unsigned i = 0; i < 20; i++)
		round_trip(&f), round_trip(&g);
	near(segments(&g), segments(&f), 2);
}

/* RFC 9438 4.8: K = 0, W_max = cwnd. */
static void after_a_timeout_it_begins_from_where_it_is(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, 100 * MSEC);
	lose(&f);
	tern_cc_cubic.timed_out(&f.tcb);
	f.tcb.cwnd = f.tcb.ssthresh = 500 * MSS;
	round_trip(&f);
	assert_int_equal(f.side.cc.cubic.k, 0);
	assert_int_equal(f.side.cc.cubic.origin, 500 * MSS);
	uint64_t start = f.now;
	for (unsigned i = 0; i < 50; i++)
		round_trip(&f);
	double t = (double)(f.now - start) / (double)SEC + 0.1;
	near(segments(&f), w_cubic(500, 0, t + 0.1), 5);
}

/* RFC 9438 4.9: as if it had not been. */
static void a_reduction_for_nothing_is_taken_back(void **state)
{
	(void)state;
	for (unsigned timed_out = 0; timed_out < 2; timed_out++) {
		struct flow f, g;
		begin(&f, 1000, 100 * MSEC);
		lose(&f);
		for (unsigned i = 0; i < 20; i++)
			round_trip(&f);
		g = f;
		g.tcb.side = &g.side;
		lose(&g);
		if (timed_out)
			tern_cc_cubic.timed_out(&g.tcb);
		g.tcb.cwnd = f.tcb.cwnd;
		g.tcb.ssthresh = f.tcb.ssthresh;
		tern_cc_cubic.undone(&g.tcb);
		for (unsigned i = 0; i < 100; i++) {
			round_trip(&f), round_trip(&g);
			assert_int_equal(f.tcb.cwnd, g.tcb.cwnd);
		}
		f.tcb.cwnd = g.tcb.cwnd = 900 * MSS; /* so that fast convergence compares */
		lose(&f), lose(&g);
		assert_int_equal(f.side.cc.cubic.w_max, g.side.cc.cubic.w_max);
		assert_int_equal(f.side.cc.cubic.prior, g.side.cc.cubic.prior);
	}
}

/* A byte a thousand ACKs: near the plateau growth is that slow. */
static void nothing_is_lost_in_rounding(void **state)
{
	(void)state;
	struct flow f;
	begin(&f, 1000, 200 * MSEC);
	struct cubic *c = &f.side.cc.cubic;
	*c = (struct cubic){.epoch = true,
		.epoch_at = f.now,
		.seen_at = f.now,
		.origin = f.tcb.cwnd + 500,
		.k = 200, /* when the next round trip is over */
		.prior = f.tcb.cwnd};
	for (unsigned i = 0; i < 1000; i++)
		ack(&f, MSS);
	/* 500 * (1 - 1/e), and no more than each ACK could add of it */
	assert_in_range(f.tcb.cwnd, 1000 * MSS + 310, 1000 * MSS + 500);
}

static void nothing_overflows(void **state)
{
	(void)state;
	struct test_rand r = {4};
	for (unsigned i = 0; i < 20000; i++) {
		struct flow f;
		begin(&f, 10, MSEC + test_rand_below(&r, 1000) * MSEC);
		f.tcb.mss = (uint16_t)(40 + test_rand_below(&r, 65000));
		f.tcb.cwnd =
			2 * f.tcb.mss + test_rand_below(&r, 1u << (10 + test_rand_below(&r, 20)));
		f.tcb.ssthresh = 2 * f.tcb.mss;
		f.side.cc.cubic.w_max = test_rand_below(&r, 1u << 30);
		for (unsigned k = 0; k < 20; k++) {
			uint32_t before = f.tcb.cwnd, bytes = 1 + test_rand_below(&r, before);
			f.now += test_rand_u64(&r) >> (20 + test_rand_below(&r, 40));
			ack(&f, bytes);
			assert_true(f.tcb.cwnd >= before && f.tcb.cwnd <= 1u << 30);
			assert_true(f.tcb.cwnd <= before + (uint64_t)bytes + f.tcb.mss);
			if (test_rand_one_in(&r, 8))
				lose(&f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loss_leaves_seven_tenths),
		cmocka_unit_test(the_window_follows_the_cubic),
		cmocka_unit_test(near_the_old_window_it_lingers),
		cmocka_unit_test(on_a_short_path_it_is_as_fast_as_reno),
		cmocka_unit_test(who_has_less_than_last_time_makes_room),
		cmocka_unit_test(it_grows_by_half_a_round_trip_at_most),
		cmocka_unit_test(time_in_which_it_was_not_full_does_not_count),
		cmocka_unit_test(after_a_timeout_it_begins_from_where_it_is),
		cmocka_unit_test(a_reduction_for_nothing_is_taken_back),
		cmocka_unit_test(nothing_is_lost_in_rounding),
		cmocka_unit_test(nothing_overflows),
		cmocka_unit_test(an_ack_never_shrinks_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
