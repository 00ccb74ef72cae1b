/* Congestion window validation (RFC 7661): a window that a program does not use. */
#include "pair.h"
#include "transport/tcp/tcp.h"

static void connected_with(struct pair *t, const char *algorithm, int64_t forget, uint64_t delay)
{
	pair_open(t, &(struct pair_setup){.delay = delay});
	pair_set(t, "tcp_slow_start_after_idle", forget);
	pair_set(t, "tcp_congestion_control", tern_congestion_number(algorithm));
	pair_connect(t);
}

static void connected(struct pair *t, int64_t forget, uint64_t delay)
{
	connected_with(t, "reno", forget, delay);
}

/* Writes so much; how long, in ms, until all of it is acknowledged. */
static uint64_t send(struct pair *t, size_t n)
{
	uint64_t began = t->now;
	pair_write(t, n);
	pair_run_acknowledged(t);
	return (t->now - began) / MSEC;
}

static uint32_t cwnd(const struct pair *t)
{
	return pair_info(t, 0).cwnd;
}

static struct tcb *tcb(const struct pair *t)
{
	return tern_tcb_of(tern_stack_tcp_const(t->side[0].stack), t->side[0].conn);
}

/* RFC 7661 4.4.3: half of it after five minutes, and again, down to the initial window. */
static void an_unused_window_is_kept_for_five_minutes(void **state)
{
	(void)state;
	struct pair t;
	connected(&t, 0, 10 * MSEC);
	uint32_t initial = cwnd(&t);
	send(&t, 500000);
	uint32_t grown = cwnd(&t), want = grown;
	assert_true(grown > 8 * initial);
	pair_run_reading(&t, 295 * SEC);
	send(&t, 1000);
	assert_int_equal(cwnd(&t), grown);
	for (unsigned i = 0; i < 8; i++) {
		pair_run_reading(&t, 300 * SEC);
		send(&t, 1000);
		want = want / 2 > initial ? want / 2 : initial;
		assert_int_equal(cwnd(&t), want);
	}
	assert_true(pair_info(&t, 0).ssthresh >= grown / 4 * 3);
	/* Then nothing need be remembered. */
	pair_run_reading(&t, 5 * SEC);
	assert_null(tcb(&t)->side);
	pair_close(&t);
	/* All at once, too. */
	connected(&t, 0, 10 * MSEC);
	send(&t, 500000);
	pair_run_reading(&t, 650 * SEC);
	send(&t, 1000);
	assert_int_equal(cwnd(&t), grown / 2 / 2);
	pair_close(&t);
}

static void by_default_it_is_gone_after_an_rto(void **state)
{
	(void)state;
	struct pair t;
	connected(&t, 1, 10 * MSEC);
	uint32_t initial = cwnd(&t);
	send(&t, 500000);
	pair_run_reading(&t, 5 * SEC);
	send(&t, 1000);
	assert_int_equal(cwnd(&t), initial);
	pair_close(&t);
}

static void slow_start_is_not_slower_for_it(void **state)
{
	(void)state;
	struct pair t;
	uint64_t took[2];
	for (unsigned forget = 0; forget < 2; forget++) {
		connected(&t, forget, 50 * MSEC);
		took[forget] = send(&t, 900000);
		pair_close(&t);
	}
	assert_int_equal(took[0], took[1]);
}

/* RFC 7661 4.4: less than half of it used, it does not grow; half of it, it does. */
static void only_a_validated_window_grows(void **state)
{
	(void)state;
	struct pair t;
	connected(&t, 0, 10 * MSEC);
	send(&t, 500000);
	pair_run_reading(&t, 2 * SEC);
	uint32_t grown = cwnd(&t);
	tcb(&t)->ssthresh = 2 * grown;
	for (unsigned i = 0; i < 20; i++) {
		send(&t, grown / 5 * 2);
		assert_true(tcb(&t)->side->use.pipe.unused);
	}
	assert_int_equal(cwnd(&t), grown);
	for (unsigned i = 0; i < 5; i++)
		send(&t, grown / 5 * 4);
	assert_true(cwnd(&t) > grown * 3 / 2);
	/* Until that is less than half of it again. */
	assert_true(cwnd(&t) < grown * 2);
	pair_close(&t);
}

/* Loses one segment of a burst; the window afterwards. */
static uint32_t after_a_loss(struct pair *t, size_t burst)
{
	pair_write(t, burst);
	for (unsigned i = 0; i < 3; i++)
		assert_true(pair_collect_side(t, 0));
	assert_true(pair_drop(t, 1));
	pair_run_acknowledged(t);
	assert_false(pair_info(t, 0).recovering);
	return cwnd(t);
}

/* RFC 7661 4.4.1: (max(pipeACK, FlightSize) - R) / 2. */
static void a_loss_out_of_an_unused_window_leaves_half_of_what_was_used(void **state)
{
	(void)state;
	static const char *const algorithms[] = {"reno", "cubic"};
	for (size_t k = 0; k < 2; k++) {
		struct pair t;
		connected_with(&t, algorithms[k], 0, 10 * MSEC);
		pair_set(&t, "tcp_pacing", 0);
		send(&t, 500000);
		pair_run_reading(&t, 2 * SEC);
		uint32_t grown = cwnd(&t), used = 30 * 1448;
		for (unsigned i = 0; i < 5; i++)
			send(&t, used);
		assert_int_equal(cwnd(&t), grown);
		/* Less than that is in flight when it happens. */
		uint32_t left = after_a_loss(&t, 20 * 1448);
		assert_in_range(left, (used - 4 * 1448) / 2, (used - 1448) / 2);
		pair_close(&t);
	}
}

static void pipe_ack_is_of_late(void **state)
{
	(void)state;
	struct pair t;
	connected(&t, 1, 10 * MSEC);
	send(&t, 14480);
	const struct pipe_ack *p = &tcb(&t)->side->use.pipe;
	assert_true(p->most[0] >= 14480 / 3 * 2 && p->most[0] <= 14480);
	for (unsigned i = 0; i < 30; i++) {
		pair_run_reading(&t, 50 * MSEC);
		send(&t, 100);
	}
	assert_true(p->most[0] <= 100 && p->most[1] <= 100);
	pair_close(&t);
}

/* A program that sends a piece of 400 KB every 4 s over 100 ms: what it is for. */
static void pieces_of_a_film_arrive_sooner(void **state)
{
	(void)state;
	struct pair t;
	uint64_t took[2] = {0};
	for (unsigned forget = 0; forget < 2; forget++) {
		connected(&t, forget, 50 * MSEC);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t ms = send(&t, 400000);
			took[forget] += i ? ms : 0;
			pair_run_reading(&t, 4000 * MSEC - ms * MSEC);
		}
		pair_close(&t);
	}
	printf("# a piece takes %ju ms kept, %ju ms begun anew\n", (uintmax_t)took[0] / 9,
		(uintmax_t)took[1] / 9);
	assert_true(took[0] * 2 < took[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_window_is_kept_for_five_minutes),
		cmocka_unit_test(by_default_it_is_gone_after_an_rto),
		cmocka_unit_test(slow_start_is_not_slower_for_it),
		cmocka_unit_test(only_a_validated_window_grows),
		cmocka_unit_test(a_loss_out_of_an_unused_window_leaves_half_of_what_was_used),
		cmocka_unit_test(pipe_ack_is_of_late),
		cmocka_unit_test(pieces_of_a_film_arrive_sooner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
