/* Loss recovery (RFC 5681, 6582, 3042), and what peers that lie about arrivals gain by it. */
#include "peer.h"

#define MSS 1000u

static struct tcp_options with_mss = {.has = TCP_OPT_MSS, .mss = MSS};

static void open_plain(struct peer *p)
{
	peer_open(p);
	peer_set(p, "tcp_congestion_control", tern_congestion_number("reno"));
	peer_listen(p);
	peer_connect(p, 1, &with_mss);
	peer_drain(p);
	assert_int_equal(tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, 2000000), 0);
}

static void write_segments(struct peer *p, uint32_t n)
{
	static char data[100 * MSS];
	assert_true(n * MSS <= sizeof data);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, n * MSS), n * MSS);
}

/* Acknowledges up to off in the stack's stream, p->ack standing for its beginning. */
static void ack_at(struct peer *p, uint32_t off)
{
	uint32_t start = p->ack;
	p->ack = start + off;
	peer_say(p, TCP_ACK, 0, NULL, 0);
	p->ack = start;
}

static uint32_t at(const struct peer *p)
{
	return p->last.seq.v - p->ack;
}

/* Takes one segment, which must begin at off and be full. */
static void expect_at(struct peer *p, uint32_t off)
{
	assert_true(peer_take(p));
	assert_int_equal(at(p), off);
	assert_int_equal(p->last.data_len, MSS);
}

static void silent(struct peer *p)
{
	assert_int_equal(peer_drain(p), 0);
}

/* Ten segments sent, the first of them lost: three duplicate ACKs. */
static void lose_first(struct peer *p)
{
	open_plain(p);
	write_segments(p, 40);
	for (uint32_t i = 0; i < 10; i++)
		expect_at(p, i * MSS);
	silent(p);
}

static void the_third_duplicate_ack_retransmits_and_the_first_two_send_new_data(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	ack_at(&p, 0);
	expect_at(&p, 10 * MSS); /* RFC 3042 */
	silent(&p);
	ack_at(&p, 0);
	expect_at(&p, 11 * MSS);
	silent(&p);
	assert_false(peer_info(&p).recovering);
	ack_at(&p, 0);
	expect_at(&p, 0);
	silent(&p);
	struct tern_tcp_info info = peer_info(&p);
	assert_true(info.recovering);
	assert_int_equal(info.ssthresh, 5 * MSS); /* half of what was in flight before */
	assert_int_equal(info.retransmits, 1);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPFastRetrans), 1);
	peer_close(&p);
}

/* RFC 5681 2: what makes an ACK a duplicate. */
static void what_is_not_a_duplicate_ack_counts_for_nothing(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	for (unsigned i = 0; i < 10; i++) {
		p.window = (uint16_t)(60000 - i); /* a window update */
		ack_at(&p, 0);
		peer_say(&p, TCP_ACK, i, "x", 1); /* text */
	}
	while (peer_take(&p))
		assert_int_equal(p.last.data_len, 0);
	assert_false(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_close(&p);
}

/* RFC 6582 3.2: a hole after the first is filled on the partial ACK; the full ACK ends it. */
static void partial_acks_retransmit_hole_after_hole(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p); /* segments 0, 3 and 7 are gone */
	for (unsigned i = 0; i < 3; i++)
		ack_at(&p, 0);
	while (peer_take(&p) && at(&p) != 0)
		;
	uint32_t recover = peer_info(&p).snd_nxt - p.ack;
	ack_at(&p, 3 * MSS);
	expect_at(&p, 3 * MSS);
	peer_drain(&p);
	ack_at(&p, 7 * MSS);
	expect_at(&p, 7 * MSS);
	peer_drain(&p);
	assert_true(peer_info(&p).recovering);
	ack_at(&p, recover);
	struct tern_tcp_info info = peer_info(&p);
	assert_false(info.recovering);
	assert_int_equal(info.retransmits, 3);
	assert_true(info.cwnd <= info.ssthresh && info.cwnd >= MSS);
	peer_drain(&p);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPTimeouts), 0);
	peer_close(&p);
}

/* RFC 6582 3.2 step 1: duplicates caused by our own retransmissions start nothing again. */
static void duplicates_below_the_recovery_point_start_no_second_recovery(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	for (unsigned i = 0; i < 3; i++)
		ack_at(&p, 0);
	peer_drain(&p);
	uint32_t ssthresh = peer_info(&p).ssthresh;
	uint32_t recover = peer_info(&p).snd_nxt - p.ack;
	ack_at(&p, recover); /* full */
	write_segments(&p, 10);
	peer_drain(&p);
	for (unsigned i = 0; i < 5; i++)
		ack_at(&p, recover);
	assert_int_equal(peer_info(&p).ssthresh, ssthresh);
	assert_int_equal(peer_info(&p).retransmits, 1);
	peer_close(&p);
}

/* Takes the data that the stack has for us; returns the new bytes beyond *high, which moves. */
static uint32_t collect(struct peer *p, uint32_t *high)
{
	uint32_t new = 0;
	while (peer_take(p)) {
		uint32_t end = at(p) + p->last.data_len;
		if (p->last.data_len && end > *high) {
			new += end - *high;
			*high = end;
		}
	}
	return new;
}

static void a_timeout_begins_again_at_the_first_byte_in_slow_start(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	assert_int_equal(at(&p), 0);
	silent(&p);
	struct tern_tcp_info info = peer_info(&p);
	assert_int_equal(info.cwnd, MSS);
	assert_int_equal(info.ssthresh, 5 * MSS);
	ack_at(&p, 1 * MSS); /* everything else is lost, too: 1, 2, 3 */
	expect_at(&p, 1 * MSS);
	expect_at(&p, 2 * MSS);
	silent(&p);
	/* One ACK for two: one segment more, since after a timeout it may tell of what arrived long
	 * ago (RFC 3465 2.3). */
	ack_at(&p, 3 * MSS);
	for (uint32_t i = 3; i < 6; i++)
		expect_at(&p, i * MSS);
	silent(&p);
	/* The rest arrived long ago after all. */
	ack_at(&p, 10 * MSS);
	assert_true(peer_take(&p));
	assert_int_equal(at(&p), 10 * MSS);
	peer_drain(&p);
	assert_false(peer_info(&p).recovering);
	peer_close(&p);
}

/* RFC 5681 3.1: a second timeout for the same segment does not lower ssthresh again. */
static void ssthresh_is_halved_once_for_one_loss(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	peer_set(&p, "tcp_mtu_probing", 0); /* segments stay as they are */
	for (unsigned i = 0; i < 4; i++) {
		assert_true(peer_expect(&p, 20 * SEC));
		assert_int_equal(at(&p), 0);
		silent(&p);
	}
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_int_equal(peer_info(&p).cwnd, MSS);
	assert_int_equal(peer_info(&p).backoff, 4);
	peer_close(&p);
}

static void a_timeout_during_recovery_goes_back_too(void **state)
{
	(void)state;
	struct peer p;
	lose_first(&p);
	for (unsigned i = 0; i < 3; i++)
		ack_at(&p, 0);
	peer_drain(&p);
	assert_true(peer_expect(&p, 2 * SEC)); /* the retransmission was lost */
	assert_int_equal(at(&p), 0);
	silent(&p);
	assert_int_equal(peer_info(&p).cwnd, MSS);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPRenoFailures), 1);
	peer_close(&p);
}

/* --- liars (Savage et al. 1999) --------------------------------------------------------------- */

/* Acknowledges what is in flight in pieces of `step`; returns what the stack then sends. */
static uint32_t sent_for_acks_of(uint32_t step, bool avoidance)
{
	struct peer p;
	uint32_t high = 0, sent = 0;
	open_plain(&p);
	if (avoidance)
		peer_tcb(&p)->ssthresh = 10 * MSS;
	write_segments(&p, 100);
	collect(&p, &high);
	for (unsigned round = 0; round < 3; round++) {
		uint32_t end = high, off = peer_info(&p).snd_una - p.ack;
		while (off < end) {
			off = off + step < end ? off + step : end;
			ack_at(&p, off);
			sent += collect(&p, &high);
		}
	}
	peer_close(&p);
	return sent;
}

static void acks_cut_in_pieces_gain_nothing(void **state)
{
	(void)state;
	for (unsigned avoidance = 0; avoidance < 2; avoidance++) {
		uint32_t honest = sent_for_acks_of(2 * MSS, avoidance);
		static const uint32_t steps[] = {1, 7, 100, 999};
		for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
			assert_true(20 * sent_for_acks_of(steps[i], avoidance) <= 21 * honest);
	}
}

/* The first of ten segments is lost: the rest draw nine duplicates, a liar sends n. */
static uint32_t sent_for_duplicates(unsigned n)
{
	struct peer p;
	uint32_t high = 10 * MSS, sent = 0;
	lose_first(&p);
	for (unsigned i = 0; i < n; i++) {
		ack_at(&p, 0);
		sent += collect(&p, &high);
	}
	peer_close(&p);
	return sent;
}

static void duplicate_acks_out_of_nowhere_gain_nothing(void **state)
{
	(void)state;
	uint32_t honest = sent_for_duplicates(9);
	assert_true(honest > 0);
	assert_true(20 * sent_for_duplicates(40) <= 21 * honest);
	assert_true(20 * sent_for_duplicates(1000) <= 21 * honest);
}

/* The same within a recovery that goes on: each partial ACK allows what is in flight, no more. */
static void duplicate_acks_after_a_partial_ack_gain_nothing(void **state)
{
	(void)state;
	uint32_t sent[2];
	for (unsigned liar = 0; liar < 2; liar++) {
		struct peer p;
		uint32_t high = 10 * MSS;
		lose_first(&p); /* segments 0 and 5 */
		for (unsigned i = 0; i < 9; i++)
			ack_at(&p, 0);
		collect(&p, &high);
		ack_at(&p, 5 * MSS);
		sent[liar] = collect(&p, &high);
		unsigned in_flight = (high - 5 * MSS) / MSS;
		for (unsigned i = 0; i < (liar ? 1000 : in_flight - 1); i++) {
			ack_at(&p, 5 * MSS);
			sent[liar] += collect(&p, &high);
		}
		peer_close(&p);
	}
	assert_true(20 * sent[1] <= 21 * sent[0]);
}

/* Never accept beyond SND.NXT; what is acknowledged must have been sent. */
static void acks_of_the_unsent_gain_nothing(void **state)
{
	(void)state;
	struct peer p;
	uint32_t high = 0;
	open_plain(&p);
	write_segments(&p, 100);
	collect(&p, &high);
	struct tern_tcp_info before = peer_info(&p);
	for (uint32_t i = 1; i <= 1000; i++) {
		ack_at(&p, high + i * 17);
		assert_int_equal(collect(&p, &high), 0);
	}
	struct tern_tcp_info after = peer_info(&p);
	assert_int_equal(after.cwnd, before.cwnd);
	assert_int_equal(after.snd_una, before.snd_una);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_BAD_ACK), 1000);
	peer_close(&p);
}

/* RFC 7661 in spirit, RFC 5681 4.1: a window that was not used does not grow; after a rest the
 * initial one is in force again. */
static void a_window_not_used_does_not_grow_and_rests_away(void **state)
{
	(void)state;
	struct peer p;
	uint32_t high = 0;
	open_plain(&p);
	for (uint32_t i = 1; i <= 50; i++) {
		write_segments(&p, 1);
		collect(&p, &high);
		ack_at(&p, i * MSS);
	}
	assert_int_equal(peer_info(&p).cwnd, 10 * MSS);
	for (uint32_t i = 0; i < 3; i++) {
		write_segments(&p, 100);
		while (collect(&p, &high))
			ack_at(&p, high);
	}
	assert_true(peer_info(&p).cwnd > 20 * MSS);
	peer_ignore(&p, 10 * SEC);
	write_segments(&p, 100);
	assert_int_equal(collect(&p, &high), 10 * MSS);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_third_duplicate_ack_retransmits_and_the_first_two_send_new_data),
		cmocka_unit_test(what_is_not_a_duplicate_ack_counts_for_nothing),
		cmocka_unit_test(partial_acks_retransmit_hole_after_hole),
		cmocka_unit_test(duplicates_below_the_recovery_point_start_no_second_recovery),
		cmocka_unit_test(a_timeout_begins_again_at_the_first_byte_in_slow_start),
		cmocka_unit_test(ssthresh_is_halved_once_for_one_loss),
		cmocka_unit_test(a_timeout_during_recovery_goes_back_too),
		cmocka_unit_test(acks_cut_in_pieces_gain_nothing),
		cmocka_unit_test(duplicate_acks_out_of_nowhere_gain_nothing),
		cmocka_unit_test(duplicate_acks_after_a_partial_ack_gain_nothing),
		cmocka_unit_test(acks_of_the_unsent_gain_nothing),
		cmocka_unit_test(a_window_not_used_does_not_grow_and_rests_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
