/* The scoreboard: what it knows, what it costs, and peers that lie to it (RFC 2018, 6675). */
#include "score.h"

/* --- what it costs ------------------------------------------------------------------- */

static void what_is_sent_at_once_shares_a_record(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 10);
	assert_int_equal(peer_drain(&p), 10);
	assert_int_equal(score_board(&p)->count, 1);
	assert_null(score_board(&p)->block);
	score_ack_only(&p, 10 * MSS);
	assert_int_equal(score_board(&p)->count, 0);
	peer_close(&p);
}

/* What was sent an RTT/64 later or more is known apart. */
static void what_is_sent_later_has_a_record_of_its_own(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	for (unsigned i = 0; i < 3; i++) {
		score_write(&p, 1);
		assert_int_equal(peer_drain(&p), 1);
		peer_wait(&p, RTT / 32);
	}
	assert_int_equal(score_board(&p)->count, 3);
	peer_close(&p);
}

/* What is sent again splits what is sent before and after it, however close: else its arrival would
 * count the later as lost, which is still under way. */
static void what_is_sent_after_a_retransmission_is_not_lost_with_its_arrival(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->cwnd = 100 * MSS;
	score_write(&p, 10);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_write(&p, 1);
	score_expect(&p, 10 * MSS);
	peer_wait(&p, MSEC / 2);
	score_ack(&p, 0, BLOCKS({MSS, 5 * MSS}, {6 * MSS, 10 * MSS}));
	score_expect(&p, 0);
	score_expect(&p, 5 * MSS);
	peer_wait(&p, MSEC / 2);
	peer_tcb(&p)->cwnd = 100 * MSS;
	score_write(&p, 1);
	score_expect(&p, 11 * MSS);
	peer_wait(&p, RTT - MSEC / 2);
	score_ack(&p, 5 * MSS, BLOCKS({6 * MSS, 11 * MSS}));
	assert_int_equal(score_board(&p)->lost, 0);
	peer_close(&p);
}

static void what_is_held_side_by_side_shares_a_record(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->cwnd = 100 * MSS;
	score_write(&p, 60);
	peer_drain(&p);
	for (uint32_t i = 1; i < 50; i++) {
		score_ack(&p, 0, BLOCKS({i * MSS, (i + 1) * MSS}));
		assert_int_equal(score_board(&p)->count, 3);
	}
	peer_close(&p);
}

/* A block from the pool only while there is something to know; then all of it is back. */
static void nothing_in_flight_owns_no_block(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->cwnd = 100 * MSS;
	score_write(&p, 60);
	peer_drain(&p);
	for (uint32_t i = 1; i < 60; i += 2)
		score_ack(&p, 0, BLOCKS({i * MSS, (i + 1) * MSS}));
	assert_non_null(score_board(&p)->block);
	assert_int_equal(tern_stack_tcp(p.stack)->boards[0].live +
				 tern_stack_tcp(p.stack)->boards[1].live,
		1);
	score_ack_only(&p, 60 * MSS);
	assert_null(score_board(&p)->block);
	assert_int_equal(tern_stack_tcp(p.stack)->boards[0].live +
				 tern_stack_tcp(p.stack)->boards[1].live,
		0);
	peer_close(&p);
}

/* --- what it knows ------------------------------------------------------------------- */

#define ORACLE 100u /* segments */

/* Random reports, against a flag a byte. */
static void it_knows_what_a_byte_array_knows(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct peer p;
		struct test_rand r = {seed};
		static uint8_t held[ORACLE * MSS];
		uint32_t una = 0, sacked;
		memset(held, 0, sizeof held);
		score_open(&p);
		peer_tcb(&p)->cwnd = 2 * ORACLE * MSS;
		score_write(&p, ORACLE);
		peer_drain(&p);
		for (unsigned i = 0; i < 100; i++) {
			struct block b[3];
			size_t n = 1 + test_rand_below(&r, 3);
			if (test_rand_one_in(&r, 5))
				una += test_rand_below(&r, 3 * MSS);
			if (una + 10 > ORACLE * MSS)
				break;
			for (size_t k = 0; k < n; k++) {
				uint32_t room = ORACLE * MSS - una - 1;
				b[k].lo = una + 1 + test_rand_below(&r, room - 1);
				b[k].hi = b[k].lo + 1 + test_rand_below(&r, ORACLE * MSS - b[k].lo);
				if (test_rand_one_in(&r, 2) && b[k].hi - b[k].lo > 500)
					b[k].hi = b[k].lo + 1 + test_rand_below(&r, 500);
				/* The second holding the first would make that a D-SACK. */
				if (k == 1 && b[1].lo <= b[0].lo && b[0].hi <= b[1].hi)
					b[1] = b[0], b[0].hi = b[0].lo + 1, n = 1;
			}
			for (size_t k = 0; k < n; k++)
				memset(held + b[k].lo, 1, b[k].hi - b[k].lo);
			score_ack(&p, una, b, n);
			sacked = 0;
			for (uint32_t at = una; at < ORACLE * MSS; at++)
				sacked += held[at];
			assert_int_equal(score_board(&p)->sacked, sacked);
		}
		peer_close(&p);
	}
}

static void old_beyond_inverted_and_straddling_blocks_say_nothing(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 10);
	peer_drain(&p);
	score_ack_only(&p, 2 * MSS);
	score_ack(&p, 2 * MSS, BLOCKS({5 * MSS, 10 * MSS + 1}));
	score_ack(&p, 2 * MSS, BLOCKS({50 * MSS, 60 * MSS}));
	score_ack(&p, 2 * MSS, BLOCKS({5 * MSS, 4 * MSS}));
	score_ack(&p, 2 * MSS, BLOCKS({5 * MSS, 5 * MSS}));
	score_ack(&p, 2 * MSS, BLOCKS({3 * MSS, 4 * MSS}, {0, 6 * MSS}));
	score_ack(&p, 2 * MSS, BLOCKS({0x80000000u, 0x80000001u}));
	assert_int_equal(score_board(&p)->sacked, 0);
	assert_true(score_count(&p, TERN_COUNT_TcpExtTCPSACKDiscard) >= 2);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_close(&p);
}

/* --- bounds
 * --------------------------------------------------------------------------------------- */

/* One-byte blocks in every other place: no more records than a flight of that size is worth, and
 * the stream still arrives. */
static void a_storm_of_tiny_blocks_is_bounded(void **state)
{
	(void)state;
	struct peer p;
	struct test_rand r = {7};
	score_open(&p);
	peer_tcb(&p)->cwnd = 500 * MSS;
	score_write(&p, 400);
	peer_drain(&p);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t lo = 2 + 2 * test_rand_below(&r, 199000);
		score_ack(&p, 0, BLOCKS({lo, lo + 1}));
		assert_true(score_board(&p)->count <= 2 * 400);
		if (i % 100 == 0)
			peer_drain(&p);
	}
	assert_true(score_board(&p)->count > 300);
	peer_ignore(&p, 100 * MSEC);
	score_ack_only(&p, 400 * MSS);
	assert_int_equal(peer_info(&p).unacked, 0);
	peer_close(&p);
}

/* More sends than records: those closest in time are joined, none is forgotten. */
static void a_full_scoreboard_still_covers_all(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->cwnd = 3000 * MSS;
	peer_tcb(&p)->srtt = 64; /* so that each send is apart from the next */
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_NODELAY, 1), 0);
	for (unsigned i = 0; i < 1500; i++) {
		assert_int_equal(tern_tcp_write(p.stack, p.conn, "0123456789", 10), 10);
		peer_drain(&p);
		p.now += 10000;
		score_check(&p);
	}
	uint32_t count = score_board(&p)->count;
	assert_true(count <= 768);
	assert_true(count >= 500);
	/* The latest are known apart, as what was sent just now is from what may be lost. */
	const struct xmit *last = board_at_const(score_board(&p), count - 1);
	assert_int_equal(score_board(&p)->end.v - last->lo.v, 10);
	peer_close(&p);
}

/* A queue that overflows at the end of slow start: what is held of a large window is all known. */
static void every_other_segment_of_a_large_window_is_sent_again_and_no_more(void **state)
{
	(void)state;
	struct peer p;
	const uint32_t segments = 3000;
	score_open(&p);
	p.window = 60000; /* scaled: 7.7 MB */
	peer_tcb(&p)->cwnd = segments * MSS;
	score_ack_only(&p, 0);
	score_write(&p, segments);
	assert_int_equal(peer_drain(&p), segments);
	peer_wait(&p, RTT);
	for (uint32_t i = 1; i < segments; i += 2)
		score_ack(&p, 0, BLOCKS({i * MSS, (i + 1) * MSS}));
	assert_int_equal(score_board(&p)->sacked, segments / 2 * MSS);
	assert_true(score_board(&p)->lost >= (segments / 2 - 10) * MSS);
	peer_drain(&p);
	score_ack_only(&p, segments * MSS);
	assert_null(score_board(&p)->block);
	peer_close(&p);
}

/* --- memory
 * ---------------------------------------------------------------------------------------- */

/* Without room to grow, duplicate ACKs still do (RFC 5681), and it is counted. */
static void without_memory_duplicate_acks_take_over(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	for (unsigned i = 0; i < 4; i++) {
		score_write(&p, 2);
		peer_drain(&p);
		peer_wait(&p, RTT / 32);
	}
	score_write(&p, 2);
	test_heap_fail_after(&p.heap, 0);
	peer_drain(&p);
	test_heap_relent(&p.heap);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSackNoMemory), 1);
	assert_int_equal(score_board(&p)->count, 0);
	for (unsigned i = 0; i < 3; i++)
		score_ack(&p, 0, BLOCKS({MSS, (2 + i) * MSS}));
	score_expect(&p, 0);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPRenoRecovery), 1);
	/* The next flight has a scoreboard again. */
	score_ack_only(&p, 10 * MSS);
	score_write(&p, 4);
	peer_drain(&p);
	assert_int_equal(score_board(&p)->count, 1);
	peer_close(&p);
}

/* In the middle of a recovery: all is sent again, as after a timeout, but for the window. */
static void without_memory_a_recovery_goes_back(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
	score_expect(&p, 0);
	test_heap_fail_after(&p.heap, 0);
	score_ack(&p, 0, BLOCKS({6 * MSS, 7 * MSS}, {8 * MSS, 9 * MSS}));
	test_heap_relent(&p.heap);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSackNoMemory), 1);
	score_expect(&p, 0);
	score_ack_only(&p, 10 * MSS);
	assert_false(peer_info(&p).recovering);
	peer_close(&p);
}

/* --- reneging (RFC 2018 8)
 * ------------------------------------------------------------------------- */

static void what_a_peer_goes_back_on_is_sent_again(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({MSS, 10 * MSS}));
	score_expect(&p, 0);
	peer_drain(&p);
	score_ack_only(&p, MSS); /* and not the rest */
	peer_drain(&p);
	assert_true(peer_expect(&p, RTT / 2 + 2 * MSEC));
	assert_int_equal(score_at(&p), MSS);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSACKReneging), 1);
	assert_int_equal(score_board(&p)->sacked, 0);
	peer_close(&p);
}

/* An honest timeout keeps what is held (RFC 6675 5.1): it is not sent again. */
static void a_timeout_keeps_what_is_held(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({4 * MSS, 10 * MSS}));
	peer_drain(&p);
	assert_true(peer_expect(&p, 10 * SEC)); /* the retransmissions were lost */
	assert_int_equal(peer_info(&p).backoff, 1);
	assert_int_equal(score_board(&p)->sacked, 6 * MSS);
	score_ack(&p, MSS, BLOCKS({4 * MSS, 10 * MSS}));
	score_expect(&p, MSS);
	score_expect(&p, 2 * MSS);
	score_ack(&p, 3 * MSS, BLOCKS({4 * MSS, 10 * MSS}));
	score_expect(&p, 3 * MSS);
	score_silent(&p);
	score_ack_only(&p, 10 * MSS);
	assert_false(peer_info(&p).recovering);
	peer_close(&p);
}

/* --- what the user sees
 * ------------------------------------------------------------------------------ */

/* A window taken back is the peer's right: what lies beyond it waits. */
static void what_is_lost_beyond_the_window_waits(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	p.window = 15; /* 1920 bytes */
	score_ack(&p, 0, BLOCKS({7 * MSS, 10 * MSS}));
	score_expect(&p, 0);
	score_expect(&p, MSS);
	score_silent(&p);
	p.window = 60000;
	score_ack_only(&p, 0);
	score_expect(&p, 2 * MSS);
	peer_close(&p);
}

static void status_tells_what_is_held_lost_and_sent_again(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({2 * MSS, 7 * MSS}));
	struct tern_tcp_info info = peer_info(&p);
	assert_int_equal(info.sacked, 5 * MSS);
	assert_int_equal(info.lost, 2 * MSS);
	assert_int_equal(info.resending, 0);
	assert_true(info.recovering);
	score_expect(&p, 0);
	info = peer_info(&p);
	assert_int_equal(info.lost, MSS);
	assert_int_equal(info.resending, MSS);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_at_once_shares_a_record),
		cmocka_unit_test(what_is_sent_later_has_a_record_of_its_own),
		cmocka_unit_test(what_is_sent_after_a_retransmission_is_not_lost_with_its_arrival),
		cmocka_unit_test(what_is_held_side_by_side_shares_a_record),
		cmocka_unit_test(nothing_in_flight_owns_no_block),
		cmocka_unit_test(it_knows_what_a_byte_array_knows),
		cmocka_unit_test(old_beyond_inverted_and_straddling_blocks_say_nothing),
		cmocka_unit_test(a_storm_of_tiny_blocks_is_bounded),
		cmocka_unit_test(a_full_scoreboard_still_covers_all),
		cmocka_unit_test(every_other_segment_of_a_large_window_is_sent_again_and_no_more),
		cmocka_unit_test(without_memory_duplicate_acks_take_over),
		cmocka_unit_test(without_memory_a_recovery_goes_back),
		cmocka_unit_test(what_a_peer_goes_back_on_is_sent_again),
		cmocka_unit_test(a_timeout_keeps_what_is_held),
		cmocka_unit_test(what_is_lost_beyond_the_window_waits),
		cmocka_unit_test(status_tells_what_is_held_lost_and_sent_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
