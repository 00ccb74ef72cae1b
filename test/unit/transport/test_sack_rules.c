/* What reports of a peer may and may not do (RFC 2883, RFC 3042). */
#include "score.h"

/* RFC2883-4.3-a: ACKs overtake each other: a block is held against the ACK it came with. */
static void a_late_report_of_what_is_acknowledged_since_is_no_duplicate(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack_only(&p, 5 * MSS);
	peer_drain(&p);
	score_ack(&p, 0, BLOCKS({2 * MSS, 3 * MSS}));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKRecv), 0);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKOfoRecv), 0);
	score_ack(&p, 5 * MSS, BLOCKS({2 * MSS, 3 * MSS}));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKRecv), 1);
	peer_close(&p);
}

/* RFC2883-5-a: nor is a first block beyond the ACK, unless the second holds it. */
static void a_first_block_within_the_second_is_a_duplicate(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({4 * MSS, 5 * MSS}, {2 * MSS, 3 * MSS}));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKOfoRecv), 0);
	score_ack(&p, 0, BLOCKS({4 * MSS, 5 * MSS}, {4 * MSS, 6 * MSS}));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKOfoRecv), 1);
	peer_close(&p);
}

/* RFC3042-2-d: a cheat's duplicate ACKs, which report nothing, draw nothing. */
static void acks_that_report_nothing_let_nothing_out(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 40);
	assert_int_equal(peer_drain(&p), 10);
	peer_wait(&p, RTT);
	for (unsigned i = 0; i < 5; i++) {
		score_ack_only(&p, 0);
		score_silent(&p);
	}
	score_ack(&p, 0, BLOCKS({MSS, 2 * MSS}));
	assert_int_equal(peer_drain(&p), 1);
	peer_close(&p);
}

/* RFC6675-5-f: what is held beyond RecoveryPoint is still held when recovery is over. */
static void what_is_held_beyond_the_recovery_point_stays_held(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 40);
	assert_int_equal(peer_drain(&p), 10);
	peer_wait(&p, RTT);
	score_ack(&p, 0, BLOCKS({MSS, 10 * MSS}));
	assert_true(peer_drain(&p) > 3); /* the first again, and new ones */
	peer_wait(&p, RTT);
	score_ack(&p, 10 * MSS, BLOCKS({11 * MSS, 12 * MSS}));
	assert_int_equal(peer_info(&p).sacked, MSS);
	peer_close(&p);
}

/* RFC6675-5-b, RFC6675-5-e: recovery lasts until exactly what was in flight when it began is
 * acknowledged. */
static void recovery_ends_at_what_was_in_flight_when_it_began(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
	score_expect(&p, 0);
	peer_wait(&p, RTT);
	score_ack_only(&p, 9 * MSS);
	assert_true(peer_info(&p).recovering);
	score_ack_only(&p, 10 * MSS);
	assert_false(peer_info(&p).recovering);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSackRecovery), 1);
	peer_close(&p);
}

/* RFC9937-6.2-i, RFC5681-4.3-a: it leaves the window at ssthresh, wherever it was. */
static void recovery_leaves_the_window_at_ssthresh(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 10);
	score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
	score_expect(&p, 0);
	assert_true(peer_info(&p).cwnd > 5 * MSS);
	peer_wait(&p, RTT);
	score_ack_only(&p, 10 * MSS);
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_int_equal(peer_info(&p).cwnd, 5 * MSS);
	peer_close(&p);
}

/* RFC6675-5-h: without SACK, two duplicate ACKs, an ACK that advances, and two more are not three.
 */
static void an_ack_that_advances_begins_the_count_of_duplicates_anew(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options options = {.has = TCP_OPT_MSS, .mss = MSS};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &options);
	peer_drain(&p);
	score_write(&p, 20);
	peer_drain(&p);
	peer_wait(&p, MSEC);
	for (uint32_t una = 0; una < 3; una++) {
		score_ack_only(&p, una * MSS);
		score_ack_only(&p, una * MSS);
		peer_drain(&p);
		if (una == 0) /* the others began with an ACK that advanced */
			continue;
		score_ack_only(&p, una * MSS);
		peer_drain(&p);
		assert_int_equal(peer_info(&p).retransmits, 0);
	}
	score_ack_only(&p, 2 * MSS);
	assert_int_equal(peer_drain(&p) > 0, true);
	assert_int_equal(peer_info(&p).retransmits, 1);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_report_of_what_is_acknowledged_since_is_no_duplicate),
		cmocka_unit_test(a_first_block_within_the_second_is_a_duplicate),
		cmocka_unit_test(acks_that_report_nothing_let_nothing_out),
		cmocka_unit_test(what_is_held_beyond_the_recovery_point_stays_held),
		cmocka_unit_test(recovery_ends_at_what_was_in_flight_when_it_began),
		cmocka_unit_test(recovery_leaves_the_window_at_ssthresh),
		cmocka_unit_test(an_ack_that_advances_begins_the_count_of_duplicates_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
