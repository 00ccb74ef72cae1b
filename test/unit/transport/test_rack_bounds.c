/* RACK-TLP (RFC 8985): the bounds of its times, and what must not count for them. */
#include "score.h"

/* One segment, acknowledged after that long. */
static void round_trip(struct peer *p, uint32_t *sent, uint64_t rtt)
{
	score_write(p, 1);
	assert_int_equal(peer_drain(p), 1);
	peer_wait(p, rtt);
	score_ack_only(p, ++*sent * MSS);
	peer_drain(p);
}

/* RFC8985-6.2-a: the smallest RTT is that of the last five minutes. */
static void the_smallest_rtt_is_forgotten_after_five_minutes(void **state)
{
	(void)state;
	struct peer p;
	uint32_t sent = 0;
	score_open(&p);
	round_trip(&p, &sent, RTT);
	uint64_t end = p.now + 299 * SEC;
	while (p.now < end)
		round_trip(&p, &sent, 2 * RTT);
	assert_int_equal(score_recovery(&p)->rack.min_rtt, RTT);
	for (unsigned i = 0; i < 10; i++)
		round_trip(&p, &sent, 2 * RTT);
	assert_int_equal(score_recovery(&p)->rack.min_rtt, 2 * RTT);
	peer_close(&p);
}

/* RFC8985-6.2-c: an echo from before the retransmission says that the ACK is for the first copy,
 * however long it took; one from after it, that it is not. */
static void an_echo_from_before_a_retransmission_proves_nothing(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		struct peer p;
		score_open_as(&p, &(struct peer_setup){0}, TCP_OPT_WSCALE | TCP_OPT_TIMESTAMP);
		score_write(&p, 10);
		assert_true(peer_take(&p));
		uint32_t first = p.last.options.tsval;
		peer_drain(&p);
		peer_wait(&p, RTT);
		p.timestamps = true;
		p.tsval = 200;
		p.tsecr = first;
		score_ack(&p, 0, BLOCKS({3 * MSS, 6 * MSS}));
		assert_true(peer_take(&p));
		assert_int_equal(score_at(&p), 0);
		uint64_t before = score_recovery(&p)->rack.xmit_at;
		uint32_t second = p.last.options.tsval;
		peer_wait(&p, RTT + MSEC);
		p.tsecr = after ? second : first;
		score_ack(&p, MSS, BLOCKS({3 * MSS, 6 * MSS}));
		assert_int_equal(score_recovery(&p)->rack.xmit_at > before, after);
		peer_close(&p);
	}
}

/* RFC8985-6.2-g: however often D-SACK has widened it, the window is at most SRTT. */
static void the_reordering_window_is_at_most_srtt(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 3);
	score_recovery(&p)->rack.multiplier = 9;
	score_ack(&p, 0, BLOCKS({MSS, 3 * MSS}));
	uint64_t srtt = peer_tcb(&p)->srtt * UINT64_C(1000);
	assert_int_equal(peer_ignore(&p, srtt - MSEC), 0);
	assert_true(peer_expect(&p, 2 * MSEC));
	assert_int_equal(score_at(&p), 0);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPTimeouts), 0);
	peer_close(&p);
}

/* RFC8985-6.2-j: it is for sixteen recoveries. */
static void sixteen_recoveries_later_the_window_is_narrow_again(void **state)
{
	(void)state;
	struct peer p;
	uint32_t at = 0;
	score_open(&p);
	tern_rack_widen(peer_tcb(&p));
	for (unsigned i = 1; i <= 16; i++) {
		peer_tcb(&p)->cwnd = 10 * MSS;
		score_write(&p, 5);
		peer_drain(&p);
		peer_wait(&p, RTT);
		score_ack(&p, at, BLOCKS({at + MSS, at + 4 * MSS}));
		assert_true(peer_info(&p).recovering);
		peer_drain(&p);
		peer_wait(&p, RTT);
		at = peer_info(&p).snd_nxt - p.ack;
		score_ack_only(&p, at);
		assert_false(peer_info(&p).recovering);
		assert_int_equal(score_recovery(&p)->rack.multiplier, i < 16);
	}
	peer_close(&p);
}

/* RFC8985-7.2-d: on a long path that is steady, two round trips are more than an RTO. */
static void a_probe_comes_no_later_than_the_rto(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->srtt = 2000000; /* us */
	peer_tcb(&p)->rttvar = 1000;
	score_write(&p, 3);
	peer_drain(&p);
	assert_int_equal(peer_ignore(&p, 2190 * MSEC), 0);
	assert_true(peer_expect(&p, 20 * MSEC));
	peer_close(&p);
}

/* RFC8985-7.2-c: nothing is known of the path, as its SYN was lost: after a second, and 200 ms for
 * the ACK of a lone segment. */
static void without_a_sample_a_probe_waits_for_a_second(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_tcb(&p)->srtt = 0;
	peer_tcb(&p)->rttvar = 3000000 / 4;
	score_write(&p, 1);
	peer_drain(&p);
	assert_int_equal(peer_ignore(&p, 1190 * MSEC), 0);
	assert_true(peer_expect(&p, 20 * MSEC));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossProbes), 1);
	peer_close(&p);
}

/* RFC8985-7.3-g: a probe that was sent again yields no sample; before there is one, no other goes,
 * though D-SACK has said that nothing was lost. */
static void no_second_probe_goes_before_a_sample(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 1);
	peer_drain(&p);
	assert_int_equal(peer_ignore(&p, 3 * RTT + 10 * MSEC), 1);
	score_ack(&p, MSS, BLOCKS({0, MSS}));
	score_write(&p, 1);
	peer_drain(&p);
	assert_true(peer_expect(&p, SEC));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossProbes), 1);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPTimeouts), 1);
	score_ack_only(&p, 2 * MSS);
	score_write(&p, 1);
	peer_drain(&p);
	peer_wait(&p, RTT);
	score_ack_only(&p, 3 * MSS); /* a sample */
	score_write(&p, 1);
	peer_drain(&p);
	assert_true(peer_expect(&p, SEC));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossProbes), 2);
	peer_close(&p);
}

/* RFC8985-6.2-i: duplicates widen it once in a round trip, and again in the next. */
static void the_window_is_widened_once_in_a_round_trip(void **state)
{
	(void)state;
	struct peer p;
	score_flight(&p, 4);
	struct tcb *tcb = peer_tcb(&p);
	tern_rack_widen(tcb);
	tern_rack_widen(tcb);
	assert_int_equal(score_recovery(&p)->rack.multiplier, 1);
	score_ack_only(&p, 4 * MSS);
	tern_rack_widen(tcb);
	assert_int_equal(score_recovery(&p)->rack.multiplier, 2);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_rtt_is_forgotten_after_five_minutes),
		cmocka_unit_test(an_echo_from_before_a_retransmission_proves_nothing),
		cmocka_unit_test(the_reordering_window_is_at_most_srtt),
		cmocka_unit_test(sixteen_recoveries_later_the_window_is_narrow_again),
		cmocka_unit_test(a_probe_comes_no_later_than_the_rto),
		cmocka_unit_test(without_a_sample_a_probe_waits_for_a_second),
		cmocka_unit_test(no_second_probe_goes_before_a_sample),
		cmocka_unit_test(the_window_is_widened_once_in_a_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
