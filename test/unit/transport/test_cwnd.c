/* The congestion window that is not used (RFC 5681 4.1, RFC 7661), and which algorithm minds it. */
#include "pair.h"

static void open_pair(struct pair *t, int64_t algorithm)
{
	pair_open(t, &(struct pair_setup){.delay = 10 * MSEC});
	pair_set(t, "tcp_congestion_control", algorithm);
	pair_connect(t);
}

static uint32_t cwnd(const struct pair *t)
{
	return pair_info(t, 0).cwnd;
}

static void a_trickle_does_not_grow_it(void **state)
{
	(void)state;
	for (int64_t k = 0; tern_congestion_name((unsigned)k); k++) {
		struct pair t;
		open_pair(&t, k);
		uint32_t initial = cwnd(&t);
		for (unsigned i = 0; i < 100; i++) {
			pair_write(&t, 2000);
			pair_run_reading(&t, 25 * MSEC);
		}
		assert_int_equal(cwnd(&t), initial);
		pair_close(&t);
	}
}

static void a_full_window_does(void **state)
{
	(void)state;
	for (int64_t k = 0; tern_congestion_name((unsigned)k); k++) {
		struct pair t;
		open_pair(&t, k);
		pair_write(&t, 500000);
		pair_run_reading(&t, 900 * MSEC);
		assert_true(cwnd(&t) > 150000);
		pair_close(&t);
	}
}

/* RFC 5681 4.1: after more than an RTO it begins again with the initial window; but that there was
 * more is not forgotten. */
static void an_idle_time_ends_it(void **state)
{
	(void)state;
	struct pair t;
	for (unsigned wanted = 0; wanted < 2; wanted++) {
		for (uint64_t pause = 100; pause <= 5000; pause *= 7) {
			open_pair(&t, 0);
			pair_set(&t, "tcp_slow_start_after_idle", wanted);
			uint32_t initial = cwnd(&t);
			pair_write(&t, 500000);
			pair_run_acknowledged(&t);
			uint32_t grown = cwnd(&t);
			assert_true(grown > 3 * initial);
			pair_run_reading(&t, pause * MSEC);
			pair_write(&t, 1);
			pair_run_reading(&t, MSEC);
			assert_int_equal(cwnd(&t), wanted && pause > 200 ? initial : grown);
			pair_close(&t);
		}
	}
}

/* A loss sets ssthresh low; thereafter the window grows far beyond it. */
static void grow_after_a_loss(struct pair *t)
{
	pair_write(t, 100000);
	pair_collect(t);
	assert_true(pair_drop(t, 1));
	pair_run_acknowledged(t);
	for (unsigned i = 0; i < 100 && cwnd(t) < 2 * pair_info(t, 0).ssthresh; i++) {
		pair_write(t, 500000);
		pair_run_acknowledged(t);
	}
	assert_true(cwnd(t) >= 2 * pair_info(t, 0).ssthresh);
}

/* So slow start leads back to near where it was, not only to where the last loss was: after an idle
 * time, and where the window was used in part. RFC2861-3.2-d. */
static void three_quarters_of_it_are_remembered(void **state)
{
	(void)state;
	for (int64_t k = 0; tern_congestion_name((unsigned)k); k++)
		for (unsigned trickle = 0; trickle < 2; trickle++) {
			struct pair t;
			open_pair(&t, k);
			grow_after_a_loss(&t);
			uint32_t grown = cwnd(&t), before = pair_info(&t, 0).ssthresh;
			for (unsigned i = 0; trickle && i < 20 && cwnd(&t) == grown; i++) {
				pair_write(&t, 1000);
				pair_run_reading(&t, 50 * MSEC);
			}
			if (!trickle)
				pair_run_reading(&t, 5 * SEC);
			pair_write(&t, 1);
			pair_run_reading(&t, MSEC);
			assert_true(cwnd(&t) < grown);
			assert_true(before < grown / 4 * 3);
			assert_int_equal(pair_info(&t, 0).ssthresh, grown / 4 * 3);
			pair_close(&t);
		}
}

/* RFC 2861 3.2: what has not been needed for an RTO goes by halves, not at once. */
static void what_is_not_needed_goes_by_and_by(void **state)
{
	(void)state;
	struct pair t;
	open_pair(&t, 0);
	uint32_t initial = cwnd(&t);
	pair_write(&t, 500000);
	pair_run_acknowledged(&t);
	uint32_t grown = cwnd(&t), last = grown;
	for (unsigned i = 0; i < 100; i++) {
		pair_write(&t, 20000);
		pair_run_reading(&t, 50 * MSEC);
		/* Where half of it is in use, slow start grows it again. */
		assert_true(cwnd(&t) <= last || cwnd(&t) <= 3 * 20000);
		assert_true(cwnd(&t) >= last / 2);
		last = cwnd(&t);
	}
	assert_true(last < grown / 2);
	assert_true(last >= 20000 && last >= initial);
	assert_true(pair_info(&t, 0).ssthresh >= grown / 4 * 3);
	pair_close(&t);
}

static int64_t algorithm(const struct pair *t)
{
	int64_t value = -1;
	assert_int_equal(tern_tcp_option_get(t->side[0].stack, t->side[0].conn, TERN_TCP_CONGESTION,
				 &value),
		0);
	return value;
}

static int choose(const struct pair *t, int64_t value)
{
	return tern_tcp_option_set(t->side[0].stack, t->side[0].conn, TERN_TCP_CONGESTION, value);
}

static void algorithms_are_chosen_by_setting_and_by_option(void **state)
{
	(void)state;
	struct pair t;
	pair_open(&t, &(struct pair_setup){.delay = 10 * MSEC});
	pair_connect(&t);
	assert_string_equal(pair_info(&t, 0).congestion, "cubic");
	assert_int_equal(choose(&t, tern_congestion_number("reno")), 0);
	assert_string_equal(pair_info(&t, 0).congestion, "reno");
	assert_int_equal(algorithm(&t), tern_congestion_number("reno"));
	assert_int_equal(choose(&t, 2), TERN_ERANGE);
	/* In the middle of it, too. */
	pair_write(&t, 300000);
	for (unsigned i = 0; i < 40; i++) {
		pair_run_reading(&t, 7 * MSEC);
		assert_int_equal(choose(&t, i & 1), 0);
	}
	pair_run_reading(&t, SEC);
	assert_int_equal(pair_info(&t, 1).rcv_nxt - pair_info(&t, 1).irs - 1, 300000);
	pair_close(&t);
}

static void settings_are_taken_as_text(void **state)
{
	(void)state;
	struct pair t;
	pair_open(&t, &(struct pair_setup){0});
	struct tern_stack *s = t.side[0].stack;
	int64_t value;
	assert_int_equal(tern_set_text(s, "tcp_congestion_control", "reno"), 0);
	assert_int_equal(tern_get(s, "tcp_congestion_control", &value), 0);
	assert_int_equal(value, tern_congestion_number("reno"));
	assert_int_equal(tern_set_text(s, "tcp_congestion_control", "0"), 0);
	assert_int_equal(tern_set_text(s, "tcp_congestion_control", "bbr"), TERN_EINVAL);
	assert_int_equal(tern_set_text(s, "tcp_congestion_control", "2"), TERN_ERANGE);
	assert_int_equal(tern_set_text(s, "tcp_ecn", "reno"), TERN_EINVAL);
	assert_int_equal(tern_set_text(s, "tcp_ecn", "1"), 0);
	assert_int_equal(tern_set_text(s, "tcp_ecn", "-1"), TERN_EINVAL);
	assert_int_equal(tern_set_text(s, "tcp_ecn", "99999999999999999999"), TERN_ERANGE);
	assert_int_equal(tern_set_text(s, "tcp_ecn", ""), TERN_EINVAL);
	assert_int_equal(tern_set_text(s, "tcp_nonsense", "1"), TERN_ENOENT);
	assert_int_equal(tern_set_pair(s, "tcp_congestion_control=cubic"), 0);
	assert_int_equal(tern_set_pair(NULL, "tcp_congestion_control=reno"), 0);
	assert_int_equal(tern_get(s, "tcp_congestion_control", &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(tern_set_pair(NULL, "tcp_ecn=3"), TERN_ERANGE);
	assert_int_equal(tern_set_pair(NULL, "tcp_nonsense=1"), TERN_ENOENT);
	assert_int_equal(tern_set_pair(NULL, "tcp_ecn"), TERN_EINVAL);
	assert_int_equal(tern_congestion_number("vegas"), TERN_ENOENT);
	assert_null(tern_congestion_name(2));
	pair_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trickle_does_not_grow_it),
		cmocka_unit_test(a_full_window_does),
		cmocka_unit_test(an_idle_time_ends_it),
		cmocka_unit_test(three_quarters_of_it_are_remembered),
		cmocka_unit_test(what_is_not_needed_goes_by_and_by),
		cmocka_unit_test(algorithms_are_chosen_by_setting_and_by_option),
		cmocka_unit_test(settings_are_taken_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
