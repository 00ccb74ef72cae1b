/* Reductions that were for nothing (RFC 3522, 4015, 3708, 5682), and D-SACK (RFC 2883). */
#include "score.h"

/* Ten in flight, the first thought lost and sent again. */
static void lose_first(struct peer *p, bool timestamps)
{
	score_open_as(p, &(struct peer_setup){0},
		TCP_OPT_WSCALE | (timestamps ? TCP_OPT_TIMESTAMP : 0));
	score_write(p, 100);
	for (uint32_t i = 0; i < 10; i++)
		score_expect(p, i * MSS);
	p->tsecr = p->last.options.tsval;
	peer_wait(p, RTT);
	score_ack(p, 0, BLOCKS({MSS, 5 * MSS}));
	score_expect(p, 0);
	peer_drain(p);
}

static void assert_restored(const struct peer *p)
{
	struct tern_tcp_info info = peer_info(p);
	assert_true(info.cwnd >= 10 * MSS);
	assert_int_equal(info.ssthresh, UINT32_MAX);
	assert_int_equal(info.lost, 0);
	assert_false(info.recovering);
}

static void assert_halved(const struct peer *p)
{
	assert_int_equal(peer_info(p).ssthresh, 5 * MSS);
	assert_true(peer_info(p).cwnd <= 5 * MSS);
}

/* --- fast recovery
 * -------------------------------------------------------------------------------- */

static void an_echo_of_the_first_copy_ends_the_recovery(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, true);
	peer_wait(&p, 10 * MSEC);
	score_ack(&p, 5 * MSS, NULL, 0); /* echoes what was sent first */
	assert_restored(&p);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPPartialUndo), 1);
	peer_close(&p);
}

static void an_echo_of_the_second_copy_does_not(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, true);
	p.tsecr += RTT / MSEC;
	peer_wait(&p, 10 * MSEC);
	score_ack(&p, 5 * MSS, NULL, 0);
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	peer_close(&p);
}

/* ACKs that came in one batch: what the first makes seem lost, the next acknowledges. */
static void what_arrives_before_it_is_sent_again_was_not_lost(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	score_write(&p, 100);
	for (uint32_t i = 0; i < 10; i++)
		score_expect(&p, i * MSS);
	peer_wait(&p, RTT);
	score_ack(&p, 0, BLOCKS({MSS, 5 * MSS}));
	assert_true(peer_info(&p).recovering);
	score_ack_only(&p, 5 * MSS);
	assert_restored(&p);
	score_expect(&p, 10 * MSS);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_close(&p);
}

/* The end of the recovery, and the D-SACK with it. */
static void a_duplicate_at_the_end_restores_the_window(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, false);
	uint32_t end = peer_info(&p).snd_nxt - p.ack;
	score_ack(&p, end, BLOCKS({0, MSS}));
	assert_restored(&p);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPFullUndo), 1);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKRecv), 1);
	assert_int_equal(peer_info(&p).duplicates, 1);
	peer_close(&p);
}

static void a_duplicate_after_the_end_does_so_too(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, false);
	uint32_t end = peer_info(&p).snd_nxt - p.ack;
	score_ack_only(&p, end);
	assert_halved(&p);
	score_ack(&p, end, BLOCKS({0, MSS}));
	assert_restored(&p);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKUndo), 1);
	peer_close(&p);
}

/* Not for ever: what is reported two rounds later is about something else. */
static void a_duplicate_much_later_restores_nothing(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, false);
	uint32_t end = peer_info(&p).snd_nxt - p.ack;
	for (unsigned round = 0; round < 3; round++) {
		score_ack_only(&p, end);
		peer_drain(&p);
		end = peer_info(&p).snd_nxt - p.ack;
	}
	score_ack(&p, end, BLOCKS({0, MSS}));
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKIgnoredNoUndo), 1);
	peer_close(&p);
}

/* Half of what was sent again was for nothing: there was a loss all the same. */
static void a_duplicate_of_a_part_restores_nothing(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, false);
	uint32_t end = peer_info(&p).snd_nxt - p.ack;
	score_ack(&p, MSS, BLOCKS({MSS * 2, MSS * 5})); /* the second, too */
	peer_wait(&p, RTT);
	score_ack(&p, MSS, BLOCKS({MSS * 2, MSS * 10}));
	peer_drain(&p);
	assert_true(peer_info(&p).retransmits >= 2);
	score_ack(&p, end, BLOCKS({0, MSS}));
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	peer_close(&p);
}

/* Reports of what we did not send again do not move us (a peer that lies). */
static void duplicates_of_other_text_restore_nothing(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p, false);
	uint32_t end = peer_info(&p).snd_nxt - p.ack;
	score_ack(&p, MSS, BLOCKS({0x90000000u, 0x90000000u + 1000}));
	score_ack(&p, MSS, BLOCKS({(uint32_t)-5000, (uint32_t)-1000}));
	score_ack_only(&p, end);
	assert_halved(&p);
	assert_true(score_count(&p, TERN_COUNT_TcpExtTCPDSACKIgnoredOld) >= 1);
	peer_close(&p);
}

/* --- timeouts (RFC 5682)
 * --------------------------------------------------------------------------- */

/* Ten in flight, and a timeout. */
static void time_out(struct peer *p, bool timestamps)
{
	score_open_as(p, &(struct peer_setup){0},
		TCP_OPT_WSCALE | (timestamps ? TCP_OPT_TIMESTAMP : 0));
	peer_set(p, "tcp_early_retrans", 0);
	score_write(p, 100);
	for (uint32_t i = 0; i < 10; i++)
		score_expect(p, i * MSS);
	p->tsecr = p->last.options.tsval;
	assert_true(peer_expect(p, 2 * SEC));
	assert_int_equal(score_at(p), 0);
	assert_int_equal(peer_info(p).ssthresh, 5 * MSS);
}

static void frto_asks_with_new_data_and_believes_the_answer(void **state)
{
	(void)state;
	struct peer p;
	time_out(&p, false);
	score_ack_only(&p, MSS);
	score_expect(&p, 10 * MSS);
	score_expect(&p, 11 * MSS);
	score_silent(&p);
	score_ack_only(&p, 2 * MSS);
	assert_restored(&p);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSpuriousRTOs), 1);
	assert_int_equal(peer_info(&p).backoff, 0);
	peer_close(&p);
}

static void frto_believes_a_report_of_the_first_flight_too(void **state)
{
	(void)state;
	struct peer p;
	time_out(&p, false);
	score_ack(&p, 0, BLOCKS({2 * MSS, 3 * MSS}));
	assert_restored(&p);
	peer_close(&p);
}

static void frto_goes_on_when_only_new_data_arrives(void **state)
{
	(void)state;
	struct peer p;
	time_out(&p, false);
	score_ack_only(&p, MSS);
	peer_drain(&p);
	score_ack(&p, MSS, BLOCKS({10 * MSS, 11 * MSS}));
	score_expect(&p, MSS);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPSpuriousRTOs), 0);
	assert_true(peer_info(&p).recovering);
	peer_close(&p);
}

/* There is nothing new to ask with: no time is lost. */
static void frto_without_new_data_goes_on_at_once(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	score_write(&p, 10);
	peer_drain(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	score_ack_only(&p, MSS);
	score_expect(&p, MSS);
	score_expect(&p, 2 * MSS);
	peer_close(&p);
}

/* New data there is, but Nagle holds it back: the same. */
static void frto_whose_question_is_held_back_goes_on_at_once(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	score_write(&p, 9);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "tiny", 4), 4);
	peer_drain(&p);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "held", 4), 4); /* by Nagle */
	assert_int_equal(peer_drain(&p), 0);
	assert_true(peer_expect(&p, 2 * SEC));
	score_ack_only(&p, MSS);
	score_expect(&p, MSS);
	peer_close(&p);
}

static void frto_turned_off_asks_nothing(void **state)
{
	(void)state;
	struct peer p;
	score_open(&p);
	peer_set(&p, "tcp_early_retrans", 0);
	peer_set(&p, "tcp_frto", 0);
	score_write(&p, 100);
	peer_drain(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	score_ack_only(&p, MSS);
	score_expect(&p, MSS);
	peer_close(&p);
}

static void an_echo_of_the_first_copy_takes_a_timeout_back(void **state)
{
	(void)state;
	struct peer p;
	time_out(&p, true);
	score_ack_only(&p, MSS);
	assert_restored(&p);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPLossUndo), 1);
	peer_close(&p);
}

/* --- what came twice is reported (RFC 2883 4)
 * -------------------------------------------------------- */

static void expect_blocks(struct peer *p, const struct block *blocks, size_t n)
{
	assert_true(peer_take(p));
	assert_int_equal(p->last.options.sack_count, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(p->last.options.sack[i].lo.v - p->seq, blocks[i].lo);
		assert_int_equal(p->last.options.sack[i].hi.v - p->seq, blocks[i].hi);
	}
}

static void text_that_comes_twice_is_reported_once(void **state)
{
	(void)state;
	struct peer p;
	static const uint8_t text[5000];
	score_open(&p);
	peer_say(&p, TCP_ACK, 0, text, 1000);
	peer_drain(&p);
	peer_say(&p, TCP_ACK, 0, text, 1000);
	expect_blocks(&p, BLOCKS({0, 1000}));
	peer_say(&p, TCP_ACK, 2000, text, 2000);
	expect_blocks(&p, BLOCKS({2000, 4000}));
	peer_say(&p, TCP_ACK, 2500, text, 1000);
	expect_blocks(&p, BLOCKS({2500, 3500}, {2000, 4000}));
	peer_say(&p, TCP_ACK, 4500, text, 100);
	expect_blocks(&p, BLOCKS({4500, 4600}, {2000, 4000}));
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKOldSent), 1);
	assert_int_equal(score_count(&p, TERN_COUNT_TcpExtTCPDSACKOfoSent), 1);
	peer_close(&p);
}

static void what_overlaps_what_is_held_is_reported(void **state)
{
	(void)state;
	struct peer p;
	static const uint8_t text[5000];
	score_open(&p);
	peer_say(&p, TCP_ACK, 1000, text, 1000);
	peer_drain(&p);
	peer_say(&p, TCP_ACK, 0, text, 1500);
	expect_blocks(&p, BLOCKS({1000, 1500}));
	peer_say(&p, TCP_ACK, 1800, text, 1000); /* partly old */
	expect_blocks(&p, BLOCKS({1800, 2000}));
	peer_close(&p);
}

static void nothing_is_reported_where_that_is_turned_off(void **state)
{
	(void)state;
	struct peer p;
	static const uint8_t text[1000];
	score_open(&p);
	peer_set(&p, "tcp_dsack", 0);
	peer_say(&p, TCP_ACK, 0, text, 1000);
	peer_drain(&p);
	peer_say(&p, TCP_ACK, 0, text, 1000);
	expect_blocks(&p, NULL, 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_echo_of_the_first_copy_ends_the_recovery),
		cmocka_unit_test(an_echo_of_the_second_copy_does_not),
		cmocka_unit_test(what_arrives_before_it_is_sent_again_was_not_lost),
		cmocka_unit_test(a_duplicate_at_the_end_restores_the_window),
		cmocka_unit_test(a_duplicate_after_the_end_does_so_too),
		cmocka_unit_test(a_duplicate_much_later_restores_nothing),
		cmocka_unit_test(a_duplicate_of_a_part_restores_nothing),
		cmocka_unit_test(duplicates_of_other_text_restore_nothing),
		cmocka_unit_test(frto_asks_with_new_data_and_believes_the_answer),
		cmocka_unit_test(frto_believes_a_report_of_the_first_flight_too),
		cmocka_unit_test(frto_goes_on_when_only_new_data_arrives),
		cmocka_unit_test(frto_without_new_data_goes_on_at_once),
		cmocka_unit_test(frto_whose_question_is_held_back_goes_on_at_once),
		cmocka_unit_test(frto_turned_off_asks_nothing),
		cmocka_unit_test(an_echo_of_the_first_copy_takes_a_timeout_back),
		cmocka_unit_test(text_that_comes_twice_is_reported_once),
		cmocka_unit_test(what_overlaps_what_is_held_is_reported),
		cmocka_unit_test(nothing_is_reported_where_that_is_turned_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
