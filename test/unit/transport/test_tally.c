/* What TCP_INFO counts: both sides of a connection agree, and what becomes of it in idle times. */
#include "pair.h"

static void open_pair(struct pair *t)
{
	struct pair_setup setup = {.delay = 10 * MSEC};
	pair_open(t, &setup);
	pair_connect(t);
}

/* What one sent is what the other received, to the byte and the segment. */
static void two_sides_count_the_same(void **state)
{
	(void)state;
	static struct pair t;
	open_pair(&t);
	pair_write(&t, 100000);
	pair_run_reading(&t, SEC);
	struct tern_tcp_info from = pair_info(&t, 0), to = pair_info(&t, 1);
	assert_int_equal(from.bytes_sent, 100000);
	assert_int_equal(from.bytes_acked, 100001); /* and the SYN, as on Linux */
	assert_int_equal(to.bytes_received, 100000);
	assert_int_equal(from.text_segments_out, to.text_segments_in);
	/* The SYN-ACK went before there was a connection. */
	assert_int_equal(from.segments_in, to.segments_out + 1);
	assert_int_equal(from.bytes_resent, 0);
	assert_int_equal(to.beyond_holes, 0);
	assert_in_range(from.busy_us, 20000, 200000);
	pair_close(&t);
}

static void what_is_lost_is_sent_twice_and_comes_once(void **state)
{
	(void)state;
	static struct pair t;
	open_pair(&t);
	pair_write(&t, 10 * 1448);
	pair_collect(&t);
	assert_true(pair_drop(&t, 1));
	pair_run_reading(&t, SEC);
	struct tern_tcp_info from = pair_info(&t, 0), to = pair_info(&t, 1);
	assert_int_equal(from.bytes_resent, 1448);
	assert_int_equal(from.bytes_sent, 11 * 1448);
	assert_int_equal(from.retransmits, 1);
	assert_int_equal(to.bytes_received, 10 * 1448);
	assert_int_equal(to.beyond_holes, 9);
	assert_int_equal(to.text_segments_in, 10);
	pair_close(&t);
}

/* A window of 64 KiB in 20 ms; once, before there is more to send than that, the program's own
 * 1000. */
static void the_delivery_rate_is_a_window_in_a_round_trip(void **state)
{
	(void)state;
	static struct pair t;
	static uint8_t data[65536];
	open_pair(&t);
	tern_tcp_option_set(t.side[1].stack, t.side[1].conn, TERN_TCP_RCVBUF, 65536);
	assert_int_equal(pair_info(&t, 0).delivery_rate, 0);
	assert_true(pair_info(&t, 0).app_limited);
	pair_write(&t, 1000);
	pair_run_reading(&t, SEC);
	assert_int_equal(pair_info(&t, 0).delivery_rate, 1000 * 50);
	assert_true(pair_info(&t, 0).app_limited);
	for (unsigned i = 0; i < 100; i++) {
		while (tern_tcp_write(t.side[0].stack, t.side[0].conn, data, sizeof data) > 0)
			;
		pair_run_reading(&t, 20 * MSEC);
	}
	assert_in_range(pair_info(&t, 0).delivery_rate, 60000 * 50, 46 * 1448 * 50);
	assert_false(pair_info(&t, 0).app_limited);
	/* What the program then sends by ones is slower, and says nothing of the path. */
	pair_run_reading(&t, SEC);
	uint64_t path = pair_info(&t, 0).delivery_rate;
	pair_write(&t, 1000);
	pair_run_reading(&t, SEC);
	assert_int_equal(pair_info(&t, 0).delivery_rate, path);
	assert_false(pair_info(&t, 0).app_limited);
	pair_close(&t);
}

/* Ten segments, and an ACK for two of them at a time: all that came in that round trip, not only
 * what its first ACK told of. */
static void a_burst_is_measured_to_its_end(void **state)
{
	(void)state;
	static struct pair t;
	open_pair(&t);
	pair_write(&t, 10 * 1448);
	pair_run_reading(&t, SEC);
	assert_int_equal(pair_info(&t, 0).delivery_rate, 10 * 1448 * 50);
	assert_true(pair_info(&t, 0).app_limited);
	pair_close(&t);
}

/* A program that wants to write into a full buffer, all of which is under way. */
static void a_small_send_buffer_is_what_limits(void **state)
{
	(void)state;
	static struct pair t;
	static uint8_t data[65536];
	open_pair(&t);
	tern_tcp_option_set(t.side[0].stack, t.side[0].conn, TERN_TCP_SNDBUF, 4096);
	for (unsigned i = 0; i < 20; i++) {
		while (tern_tcp_write(t.side[0].stack, t.side[0].conn, data, sizeof data) > 0)
			;
		pair_run_reading(&t, 20 * MSEC);
	}
	struct tern_tcp_info info = pair_info(&t, 0);
	assert_int_equal(info.window_limited_us, 0);
	assert_in_range(info.buffer_limited_us, info.busy_us / 2, info.busy_us);
	pair_close(&t);
}

static void a_reader_who_does_not_read_is_what_limits(void **state)
{
	(void)state;
	static struct pair t;
	static uint8_t data[65536];
	open_pair(&t);
	for (unsigned i = 0; i < 10; i++) {
		tern_tcp_write(t.side[0].stack, t.side[0].conn, data, sizeof data);
		pair_run(&t, SEC);
	}
	struct tern_tcp_info info = pair_info(&t, 0);
	assert_true(info.snd_wnd < info.mss);
	assert_in_range(info.window_limited_us, 5000000, info.busy_us);
	pair_close(&t);
}

static uint64_t received_after_an_hour(bool keep)
{
	static struct pair t;
	open_pair(&t);
	pair_set(&t, "tcp_keep_tally", keep);
	pair_write(&t, 1000);
	pair_run_reading(&t, 3600 * SEC);
	uint64_t received = pair_info(&t, 1).bytes_received;
	pair_close(&t);
	return received;
}

/* An idle connection is 256 bytes: what it counted is not among them, unless it is asked for. */
static void an_idle_connection_keeps_its_tally_if_it_is_told_to(void **state)
{
	(void)state;
	assert_int_equal(received_after_an_hour(false), 0);
	assert_int_equal(received_after_an_hour(true), 1000);
}

/* Of what has no side block, nothing is known, and nothing made up. */
static void time_wait_does_not_know_when_it_sent(void **state)
{
	(void)state;
	static struct pair t;
	struct tern_tcp_info info;
	uint32_t cursor = 0, found = 0;
	open_pair(&t);
	tern_tcp_close(t.side[0].stack, t.side[0].conn);
	tern_tcp_close(t.side[1].stack, t.side[1].conn);
	pair_run(&t, SEC);
	while (tern_tcp_each(t.side[0].stack, &cursor, &info))
		if (info.state == TERN_TCP_TIME_WAIT) {
			assert_int_equal(info.sent_age, TERN_NEVER);
			assert_int_equal(info.text_age, TERN_NEVER);
			found++;
		}
	assert_int_equal(found, 1);
	pair_close(&t);
}

/* As on Linux: until the program closes it. */
static void a_dead_connection_tells_what_it_did(void **state)
{
	(void)state;
	static struct pair t;
	open_pair(&t);
	pair_set(&t, "tcp_keep_tally", true);
	pair_write(&t, 1000);
	pair_run_reading(&t, SEC);
	pair_write(&t, 500);
	uint64_t busy = pair_info(&t, 0).busy_us;
	tern_tcp_abort(t.side[1].stack, t.side[1].conn);
	pair_run(&t, SEC);
	struct tern_tcp_info info = pair_info(&t, 0);
	assert_int_equal(info.state, TERN_TCP_CLOSED);
	assert_int_equal(info.bytes_sent, 1500);
	assert_int_equal(info.bytes_acked, 1001);
	assert_in_range(info.busy_us, busy, busy + 20000); /* the RST took 10 ms */
	assert_int_equal(info.unacked, 0);
	pair_run(&t, 3600 * SEC);
	assert_int_equal(pair_info(&t, 0).bytes_sent, 1500);
	assert_int_equal(pair_info(&t, 0).busy_us, info.busy_us);
	pair_close(&t);
}

/* It keeps its side block, and has nothing to wait for all the same. */
static void what_is_read_of_a_dead_connection_sets_no_timer(void **state)
{
	(void)state;
	static struct pair t;
	uint8_t data[1000];
	open_pair(&t);
	pair_set(&t, "tcp_keep_tally", true);
	tern_tcp_write(t.side[1].stack, t.side[1].conn, data, sizeof data);
	tern_tcp_shutdown(t.side[1].stack, t.side[1].conn);
	pair_run(&t, SEC);
	tern_tcp_shutdown(t.side[0].stack, t.side[0].conn);
	pair_run(&t, 3600 * SEC);
	assert_int_equal(pair_info(&t, 0).state, TERN_TCP_CLOSED);
	assert_true(tern_deadline(t.side[0].stack) == TERN_NEVER);
	assert_int_equal(tern_tcp_read(t.side[0].stack, t.side[0].conn, data, sizeof data), 1000);
	assert_true(tern_deadline(t.side[0].stack) == TERN_NEVER);
	pair_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_sides_count_the_same),
		cmocka_unit_test(what_is_lost_is_sent_twice_and_comes_once),
		cmocka_unit_test(the_delivery_rate_is_a_window_in_a_round_trip),
		cmocka_unit_test(a_burst_is_measured_to_its_end),
		cmocka_unit_test(a_small_send_buffer_is_what_limits),
		cmocka_unit_test(a_reader_who_does_not_read_is_what_limits),
		cmocka_unit_test(time_wait_does_not_know_when_it_sent),
		cmocka_unit_test(an_idle_connection_keeps_its_tally_if_it_is_told_to),
		cmocka_unit_test(a_dead_connection_tells_what_it_did),
		cmocka_unit_test(what_is_read_of_a_dead_connection_sets_no_timer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
