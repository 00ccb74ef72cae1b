/* RACK-TLP (RFC 8985), and the RTO's restart (RFC 7765). */
#include "score.h"

static void send_ten(struct peer *p)
{
	score_open(p);
	score_write(p, 40);
	for (uint32_t i = 0; i < 10; i++)
		score_expect(p, i * MSS);
	score_silent(p);
	peer_wait(p, RTT);
}

/* The last overtakes the others; a flight of twice as many follows, and a round trip. */
static void overtake(struct peer *p)
{
	send_ten(p);
	score_ack(p, 0, BLOCKS({9 * MSS, 10 * MSS}));
	score_ack_only(p, 10 * MSS);
	peer_drain(p);
	peer_wait(p, RTT);
}

/* --- what is lost -------------------------------------------------------------------- */

/* 6.2 step 4: without a sign of reordering, three segments held are enough at once. */
static void three_segments_beyond_a_hole_are_enough(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({MSS, 3 * MSS}));
	assert_false(peer_info(&p).recovering);
	score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
	assert_true(peer_info(&p).recovering);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSackRecovery), 1);
	peer_close(&p);
}

/* Step 5: fewer are enough a quarter of the RTT later, and no sooner. */
static void fewer_are_enough_after_the_reordering_window(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 3);
	score_ack(&p, 0, BLOCKS({MSS, 3 * MSS}));
	assert_int_equal(peer_ignore(&p, RTT / 4 - MSEC), 0);
	assert_true(peer_expect(&p, 2 * MSEC));
	assert_int_equal(score_at(&p), 0);
	peer_close(&p);
}

/* Step 3: once something overtakes, three segments are enough no more. */
static void a_path_that_reorders_is_given_time(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({MSS, 2 * MSS}));
	score_ack_only(&p, 2 * MSS); /* the first was only late */
	peer_drain(&p);
	assert_true(score_recovery(&p)->rack.reordered);
	assert_int_equal(peer_info(&p).reordering, 3);
	score_ack(&p, 2 * MSS, BLOCKS({3 * MSS, 10 * MSS}));
	assert_false(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_ignore(&p, RTT / 4 + MSEC);
	assert_int_equal(peer_info(&p).retransmits, 1);
	peer_close(&p);
}

static void how_far_things_overtake_is_told(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({MSS, 2 * MSS}));
	score_ack(&p, 0, BLOCKS({9 * MSS, 10 * MSS}));
	score_ack(&p, MSS, BLOCKS({9 * MSS, 10 * MSS}));
	assert_int_equal(peer_info(&p).reordering, 10);
	peer_close(&p);
}

/* RFC 5681 3.1 grows on what is acknowledged; where a hole is nearly always open, few ACKs do. */
static void what_overtakes_opens_the_window_once_the_path_reorders(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	uint32_t cwnd = peer_info(&p).cwnd;
	score_ack(&p, 0, BLOCKS({9 * MSS, 10 * MSS}));
	assert_int_equal(peer_info(&p).cwnd, cwnd); /* no sign of it yet */
	score_ack(&p, MSS, BLOCKS({9 * MSS, 10 * MSS}));
	cwnd = peer_info(&p).cwnd;
	score_ack(&p, MSS, BLOCKS({5 * MSS, 7 * MSS}, {9 * MSS, 10 * MSS}));
	assert_int_equal(peer_info(&p).cwnd, cwnd + 2 * MSS);
	score_ack(&p, MSS, BLOCKS({5 * MSS, 7 * MSS}, {9 * MSS, 10 * MSS}));
	assert_int_equal(peer_info(&p).cwnd, cwnd + 2 * MSS); /* nothing new */
	peer_close(&p);
}

/* While a loss waits for the reordering window slow start goes on; when it is known, half of what
 * was in flight before that is what is left. */
static void what_slow_start_added_while_a_loss_waited_is_taken_back(void **state)
{
	(void)state;
	struct peer p;
	overtake(&p);
	uint32_t before = peer_info(&p).cwnd;
	score_ack(&p, 10 * MSS, BLOCKS({11 * MSS, 21 * MSS}));
	assert_false(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).cwnd, before + 10 * MSS);
	peer_ignore(&p, RTT / 2);
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).ssthresh, before / 2);
	peer_close(&p);
}

/* What was added before another loss, and taken back or not, is of no concern. */
static void what_is_taken_back_is_of_this_loss_alone(void **state)
{
	(void)state;
	struct peer p;
	overtake(&p);
	score_ack(&p, 10 * MSS, BLOCKS({11 * MSS, 21 * MSS}));
	peer_ignore(&p, RTT / 2);
	score_ack_only(&p, 40 * MSS);
	peer_drain(&p);
	score_ack(&p, 40 * MSS, BLOCKS({10 * MSS, 11 * MSS})); /* D-SACK: it was for nothing */
	assert_int_equal(peer_info(&p).ssthresh, UINT32_MAX);
	score_write(&p, 40);
	peer_drain(&p);
	peer_wait(&p, RTT);
	uint32_t before = peer_info(&p).cwnd;
	score_ack(&p, 40 * MSS, BLOCKS({41 * MSS, 51 * MSS}));
	peer_ignore(&p, 2 * RTT / 3);
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).ssthresh, before / 2);
	peer_close(&p);
}

/* A window that was not half used does not grow, and there is nothing to take back. */
static void what_slow_start_did_not_add_is_not_taken_back(void **state)
{
	(void)state;
	struct peer p;
	overtake(&p);
	tern_tcp_option_set(p.stack, p.conn, TERN_TCP_CONGESTION, tern_congestion_number("cubic"));
	score_ack_only(&p, 29 * MSS);
	peer_drain(&p); /* the last eleven of forty */
	peer_wait(&p, RTT);
	uint32_t before = peer_info(&p).cwnd;
	score_ack(&p, 29 * MSS, BLOCKS({30 * MSS, 40 * MSS}));
	assert_int_equal(peer_info(&p).cwnd, before);
	peer_ignore(&p, RTT);
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).ssthresh, before / 10 * 7);
	peer_close(&p);
}

/* Most of what arrives in a recovery was sent again; what was not, and overtook it, is no measure.
 */
static void what_overtakes_a_recovery_is_not_timed(void **state)
{
	(void)state;
	struct peer p;
	overtake(&p);
	score_ack(&p, 10 * MSS, BLOCKS({15 * MSS, 18 * MSS}));
	peer_ignore(&p, RTT / 2);
	assert_true(peer_info(&p).recovering);
	score_write(&p, 10);
	score_ack(&p, 10 * MSS, BLOCKS({15 * MSS, 20 * MSS}));
	peer_drain(&p);
	uint32_t rtt = peer_info(&p).rtt_us;
	peer_wait(&p, RTT / 2);
	uint32_t last = peer_info(&p).snd_nxt - p.ack;
	score_ack(&p, 10 * MSS, BLOCKS({15 * MSS, 20 * MSS}, {last - MSS, last}));
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).rtt_us, rtt);
	peer_close(&p);
}

/* Step 4: a D-SACK a round trip widens the window, up to the smoothed RTT. */
static void duplicates_widen_the_reordering_window_once_a_round(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({3 * MSS, 6 * MSS}));
	score_expect(&p, 0);
	peer_drain(&p);
	struct rack *rack = &score_recovery(&p)->rack;
	for (unsigned i = 0; i < 3; i++)
		score_ack(&p, 2 * MSS, BLOCKS({0, MSS}));
	assert_int_equal(rack->multiplier, 1); /* once a round */
	assert_int_equal(rack->persist, 16);
	score_ack_only(&p, peer_info(&p).snd_nxt - p.ack);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_ack(&p, peer_info(&p).snd_una - p.ack, BLOCKS({MSS, 2 * MSS}));
	/* More duplicates than we sent again are made up. */
	assert_int_equal(rack->multiplier, 1);
	peer_close(&p);
}

/* A retransmission that is lost, too, is found by what was sent after it. */
static void a_lost_retransmission_is_found_without_a_timeout(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({MSS, 10 * MSS}));
	score_expect(&p, 0);
	assert_true(peer_take(&p)); /* new data follows */
	assert_int_equal(score_at(&p), 10 * MSS);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_ack(&p, 0, BLOCKS({MSS, 11 * MSS}));
	score_expect(&p, 0);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLostRetransmit), 1);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPTimeouts), 0);
	peer_close(&p);
}

/* Step 2: an ACK of something sent twice that comes too soon is for its first copy. */
static void an_ack_too_soon_for_a_retransmission_proves_nothing(void **state)
{
	(void)state;
	struct peer p;
	send_ten(&p);
	score_ack(&p, 0, BLOCKS({3 * MSS, 6 * MSS}));
	score_expect(&p, 0);
	uint64_t before = score_recovery(&p)->rack.xmit_at;
	peer_wait(&p, RTT / 10);
	score_ack(&p, MSS, BLOCKS({3 * MSS, 6 * MSS}));
	assert_int_equal(score_recovery(&p)->rack.xmit_at, before);
	peer_close(&p);
}

/* 6.3: what was sent just before a timeout is not lost by it. */
static void a_timeout_spares_what_was_sent_of_late(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	score_write(&p, 1);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_ack_only(&p, MSS); /* an RTT for RACK */
	score_write(&p, 2);
	peer_drain(&p);
	uint64_t rto = peer_info(&p).timer_left;
	peer_wait(&p, rto - 10 * MSEC);
	score_write(&p, 2);
	peer_drain(&p);
	assert_true(peer_expect(&p, 20 * MSEC));
	assert_int_equal(score_at(&p), MSS);
	assert_int_equal(peer_info(&p).lost, MSS);
	peer_close(&p);
}

/* --- probes -------------------------------------------------------------------------- */

/* 7.2: two round trips after the last segment, not the first. */
static void a_probe_comes_two_rtts_after_the_last_segment(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 2);
	peer_drain(&p);
	peer_wait(&p, RTT / 2);
	score_write(&p, 2);
	peer_drain(&p);
	assert_int_equal(peer_ignore(&p, 2 * RTT - MSEC), 0);
	assert_true(peer_expect(&p, 2 * MSEC));
	assert_int_equal(score_at(&p), 3 * MSS);
	assert_int_equal(peer_info(&p).backoff, 0);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossProbes), 1);
	/* One only; then the RTO. */
	assert_true(peer_expect(&p, SEC));
	assert_int_equal(score_at(&p), 0);
	assert_int_equal(peer_info(&p).backoff, 1);
	peer_close(&p);
}

/* A lone segment's ACK may be delayed; no probe comes later than the RTO would. */
static void a_lone_segment_is_given_the_delay_of_its_ack(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->srtt = 10000;
	peer_tcb(&p)->rttvar = 60000; /* RTO 250 ms */
	score_write(&p, 1);
	peer_drain(&p);
	assert_int_equal(peer_ignore(&p, 219 * MSEC), 0);
	assert_true(peer_expect(&p, 2 * MSEC));
	peer_close(&p);
}

static void no_probe_where_they_are_turned_off(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	score_write(&p, 2);
	peer_drain(&p);
	assert_true(peer_expect(&p, SEC));
	assert_int_equal(score_at(&p), 0);
	assert_int_equal(peer_info(&p).backoff, 1);
	peer_close(&p);
}

/* 7.3: new data, even beyond the congestion window; never beyond the peer's. */
static void a_probe_is_new_data_within_the_peers_window(void **state)
{
	(void)state;
	struct peer p;
	score_open_as(&p, &(struct peer_setup){0}, 0);
	p.window = 10500;
	score_ack_only(&p, 0);
	score_write(&p, 12);
	assert_int_equal(peer_drain(&p), 10);
	assert_true(peer_expect(&p, 3 * RTT));
	assert_int_equal(score_at(&p), 10 * MSS);
	assert_int_equal(p.last.data_len, 500);
	peer_close(&p);
}

/* 7.4.2: what the probe mended was a loss, and is treated as one. */
static void a_loss_that_a_probe_mended_lowers_the_window(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 4);
	peer_drain(&p);
	assert_true(peer_expect(&p, 3 * RTT));
	peer_wait(&p, RTT);
	uint32_t cwnd = peer_info(&p).cwnd;
	score_ack_only(&p, 4 * MSS);
	assert_int_equal(peer_info(&p).ssthresh, UINT32_MAX);
	score_write(&p, 1);
	peer_drain(&p);
	score_ack_only(&p, 5 * MSS);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossProbeRecovery), 1);
	assert_true(peer_info(&p).ssthresh <= cwnd / 2 + 4 * MSS);
	assert_true(peer_info(&p).cwnd <= peer_info(&p).ssthresh + MSS);
	peer_close(&p);
}

/* First and third case: D-SACK, or a bare duplicate, says that both copies arrived. */
static void a_probe_for_nothing_costs_nothing(void **state)
{
	(void)state;
	for (unsigned dsack = 0; dsack < 2; dsack++) {
		struct peer p;
		score_open(&p);
		score_write(&p, 4);
		peer_drain(&p);
		assert_true(peer_expect(&p, 3 * RTT));
		score_ack_only(&p, 4 * MSS);
		if (dsack)
			score_ack(&p, 4 * MSS, BLOCKS({3 * MSS, 4 * MSS}));
		else
			score_ack_only(&p, 4 * MSS);
		assert_false(score_recovery(&p)->tlp.out);
		score_write(&p, 1);
		peer_drain(&p);
		score_ack_only(&p, 5 * MSS);
		assert_int_equal(peer_info(&p).ssthresh, UINT32_MAX);
		peer_close(&p);
	}
}

/* RFC 7765: with little in flight, the RTO counts from when the first of it was sent. */
static void the_rto_restarts_from_the_first_in_flight(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	score_write(&p, 3);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_ack_only(&p, MSS);
	struct tern_tcp_info info = peer_info(&p);
	assert_true(info.timer_left + RTT <= info.rto_us * UINT64_C(1000) + MSEC);
	/* With more in flight it restarts whole. */
	score_write(&p, 9);
	peer_drain(&p);
	peer_wait(&p, RTT / 2);
	score_ack_only(&p, 2 * MSS);
	info = peer_info(&p);
	assert_true(info.timer_left + MSEC >= info.rto_us * UINT64_C(1000));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_segments_beyond_a_hole_are_enough),
		cmocka_unit_test(fewer_are_enough_after_the_reordering_window),
		cmocka_unit_test(a_path_that_reorders_is_given_time),
		cmocka_unit_test(how_far_things_overtake_is_told),
		cmocka_unit_test(what_overtakes_opens_the_window_once_the_path_reorders),
		cmocka_unit_test(what_slow_start_added_while_a_loss_waited_is_taken_back),
		cmocka_unit_test(what_is_taken_back_is_of_this_loss_alone),
		cmocka_unit_test(what_slow_start_did_not_add_is_not_taken_back),
		cmocka_unit_test(what_overtakes_a_recovery_is_not_timed),
		cmocka_unit_test(duplicates_widen_the_reordering_window_once_a_round),
		cmocka_unit_test(a_lost_retransmission_is_found_without_a_timeout),
		cmocka_unit_test(an_ack_too_soon_for_a_retransmission_proves_nothing),
		cmocka_unit_test(a_timeout_spares_what_was_sent_of_late),
		cmocka_unit_test(a_probe_comes_two_rtts_after_the_last_segment),
		cmocka_unit_test(a_lone_segment_is_given_the_delay_of_its_ack),
		cmocka_unit_test(no_probe_where_they_are_turned_off),
		cmocka_unit_test(a_probe_is_new_data_within_the_peers_window),
		cmocka_unit_test(a_loss_that_a_probe_mended_lowers_the_window),
		cmocka_unit_test(a_probe_for_nothing_costs_nothing),
		cmocka_unit_test(the_rto_restarts_from_the_first_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
