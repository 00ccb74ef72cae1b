/* What Nagle's algorithm costs a request: Minshall's variant (see output.c), over 20 ms of RTT. */
#include "pair.h"

#define DELAY     (10 * MSEC)
#define ALLOWANCE (2 * MSEC) /* pacing, and ticks of the wheel */

static void put(struct pair *t, unsigned side, size_t n)
{
	static char data[20000];
	assert_int_equal(tern_tcp_write(t->side[side].stack, t->side[side].conn, data, n), n);
}

static size_t take(struct pair *t, unsigned side)
{
	static char data[20000];
	ptrdiff_t n = tern_tcp_read(t->side[side].stack, t->side[side].conn, data, sizeof data);
	return n > 0 ? (size_t)n : 0;
}

/* How long the answer to a request of two writes takes, ns; the server reads all before it answers.
 * Of several, the last: ACKs are not delayed at a connection's start. */
static uint64_t answer_after(size_t first, size_t second)
{
	struct pair t;
	uint64_t began = 0;
	pair_open(&t, &(struct pair_setup){.delay = DELAY});
	pair_connect(&t);
	for (unsigned i = 0; i < 20; i++) {
		size_t left = first + second;
		pair_run(&t, SEC);
		began = t.now;
		put(&t, 0, first);
		pair_collect(&t); /* or both would be one */
		if (second)
			put(&t, 0, second);
		while (left && pair_step(&t, began + SEC))
			left -= take(&t, 1);
		assert_int_equal(left, 0);
		put(&t, 1, 1);
		while (take(&t, 0) == 0)
			assert_true(pair_step(&t, began + SEC));
	}
	uint64_t took = t.now - began;
	pair_close(&t);
	return took;
}

static void a_request_whose_end_fills_no_segment_takes_a_round_trip(void **state)
{
	(void)state;
	assert_true(answer_after(100, 0) <= 2 * DELAY + ALLOWANCE);
	assert_true(answer_after(4000, 0) <= 2 * DELAY + ALLOWANCE);
}

static void a_full_segment_does_not_hold_back_what_follows(void **state)
{
	(void)state;
	assert_true(answer_after(1448, 100) <= 2 * DELAY + ALLOWANCE);
}

static void the_second_of_two_small_writes_waits_for_the_first(void **state)
{
	(void)state;
	assert_true(answer_after(100, 100) >= 4 * DELAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_whose_end_fills_no_segment_takes_a_round_trip),
		cmocka_unit_test(a_full_segment_does_not_hold_back_what_follows),
		cmocka_unit_test(the_second_of_two_small_writes_waits_for_the_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
