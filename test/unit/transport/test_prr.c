/* Proportional rate reduction (RFC 9937), on top of the scoreboard. */
#include "score.h"

#define FLIGHT 20u /* segments */

/* So many in flight, nothing heard of them yet. */
static void send_flight(struct peer *p)
{
	score_open(p);
	peer_tcb(p)->cwnd = FLIGHT * MSS;
	peer_tcb(p)->ssthresh = FLIGHT * MSS;
	score_write(p, 10 * FLIGHT);
	assert_int_equal(peer_drain(p), FLIGHT);
	peer_wait(p, RTT);
}

/* Of a flight of which the first is lost, ACK by ACK: never more than half of what is delivered,
 * and a window of ssthresh when all of it has been heard of. */
static void the_window_shrinks_in_proportion_to_what_is_delivered(void **state)
{
	(void)state;
	struct peer p;
	send_flight(&p);
	for (uint32_t i = 1; i < 4; i++) {
		score_ack(&p, 0, BLOCKS({MSS, (i + 1) * MSS}));
		if (i < 3)
			assert_int_equal(peer_drain(&p), 1); /* limited transmit */
	}
	uint32_t sent = peer_drain(&p), ssthresh = peer_info(&p).ssthresh;
	assert_int_equal(ssthresh, FLIGHT / 2 * MSS);
	assert_true(sent >= 1);
	for (uint32_t i = 4; i < FLIGHT; i++) {
		score_ack(&p, 0, BLOCKS({MSS, (i + 1) * MSS}));
		sent += peer_drain(&p);
		/* 19 left when it began; what was delivered since is i - 2. */
		assert_true(sent * 19 <= (i - 2) * 10 + 19);
	}
	assert_int_equal(tern_recovery_pipe(peer_tcb(&p)) / MSS, FLIGHT / 2);
	peer_wait(&p, RTT);
	score_ack_only(&p, (FLIGHT + 2) * MSS);
	assert_false(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).cwnd, ssthresh);
	peer_close(&p);
}

/* When most is lost at once, as much is sent as is delivered, and one more when all goes well
 * (PRR-SSRB): never a burst. */
static void after_heavy_loss_it_is_rebuilt_one_segment_faster(void **state)
{
	(void)state;
	struct peer p;
	send_flight(&p);
	score_ack(&p, 0, BLOCKS({(FLIGHT - 3) * MSS, FLIGHT * MSS}));
	assert_int_equal(peer_info(&p).lost, (FLIGHT - 3) * MSS);
	assert_int_equal(peer_drain(&p), 3);
	for (uint32_t una = 1; una < 6; una++) {
		score_ack(&p, una * MSS, BLOCKS({(FLIGHT - 3) * MSS, FLIGHT * MSS}));
		assert_int_equal(peer_drain(&p), 2);
	}
	peer_close(&p);
}

/* The first is sent again at once, however full the path. */
static void the_first_retransmission_never_waits(void **state)
{
	(void)state;
	struct peer p;
	send_flight(&p);
	peer_tcb(&p)->cwnd = 3 * MSS; /* far more in flight than the window says */
	score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
	score_expect(&p, 0);
	score_silent(&p);
	peer_close(&p);
}

/* ACKs that deliver nothing let nothing out, however many (Savage et al. 1999). */
static void acks_that_deliver_nothing_let_nothing_out(void **state)
{
	(void)state;
	struct peer p;
	send_flight(&p);
	score_ack(&p, 0, BLOCKS({MSS, 10 * MSS}));
	peer_drain(&p);
	for (unsigned i = 0; i < 1000; i++) {
		score_ack(&p, 0, BLOCKS({MSS, 10 * MSS}));
		score_silent(&p);
	}
	peer_close(&p);
}

/* The same deliveries in crumbs gain nothing. */
static void reports_cut_in_pieces_gain_nothing(void **state)
{
	(void)state;
	unsigned sent[2];
	for (unsigned liar = 0; liar < 2; liar++) {
		struct peer p;
		send_flight(&p);
		score_ack(&p, 0, BLOCKS({MSS, 4 * MSS}));
		sent[liar] = peer_drain(&p);
		for (uint32_t hi = 4 * MSS; hi < FLIGHT * MSS;) {
			hi += liar ? 50 : MSS;
			score_ack(&p, 0, BLOCKS({MSS, hi}));
			sent[liar] += peer_drain(&p);
		}
		peer_close(&p);
	}
	assert_true(sent[1] <= sent[0] + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_shrinks_in_proportion_to_what_is_delivered),
		cmocka_unit_test(after_heavy_loss_it_is_rebuilt_one_segment_faster),
		cmocka_unit_test(the_first_retransmission_never_waits),
		cmocka_unit_test(acks_that_deliver_nothing_let_nothing_out),
		cmocka_unit_test(reports_cut_in_pieces_gain_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
