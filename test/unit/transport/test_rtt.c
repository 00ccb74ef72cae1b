/* Round-trip times and the retransmission timeout (RFC 6298), and Karn's rule. */
#include "peer.h"

#define TICK 131072 /* ns: a timer may be a tick late, and its deadline is rounded up to one */

static void open_plain(struct peer *p)
{
	struct tcp_options o = {.has = TCP_OPT_MSS, .mss = 1000};
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 1, &o);
	peer_drain(p);
	assert_int_equal(tern_tcp_option_set(p->stack, p->conn, TERN_TCP_NODELAY, 1), 0);
}

static void write_byte(struct peer *p)
{
	assert_int_equal(tern_tcp_write(p->stack, p->conn, "x", 1), 1);
	assert_int_equal(peer_drain(p), 1);
	assert_int_equal(p->last.data_len, 1);
}

static void acknowledge(struct peer *p, uint32_t n)
{
	p->ack += n;
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

/* One byte there and its ACK back, us later. */
static void round_trip(struct peer *p, uint32_t us)
{
	write_byte(p);
	peer_wait(p, us * UINT64_C(1000));
	acknowledge(p, 1);
}

static void within(uint64_t got, double want, double slack)
{
	if ((double)got < want - slack || (double)got > want + slack)
		fail_msg("%llu, expected %.0f +- %.0f", (unsigned long long)got, want, slack);
}

/* 2.1 to 2.3 in real numbers, beside the integers. The RTT is a few us of rounding off. */
static void the_arithmetic_is_the_rfcs(void **state)
{
	(void)state;
	static const uint32_t samples[] = {80000, 80000, 120000, 40000, 40000, 40000, 300000, 90000,
		90000, 90000, 1000, 1, 50, 700000, 700000, 700000, 20000};
	struct peer p;
	double srtt = 0, rttvar = 0;
	open_plain(&p);
	assert_int_equal(peer_info(&p).rto_us, 1000000); /* 2.1 */
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		uint32_t us = samples[i], most = peer_info(&p).rto_us - 1000;
		if (us > most) /* or it would be sent again */
			us = most;
		double r = us;
		round_trip(&p, us);
		if (i == 0) {
			srtt = r;
			rttvar = r / 2;
		} else {
			double err = r > srtt ? r - srtt : srtt - r;
			rttvar = 0.75 * rttvar + 0.25 * err;
			srtt = 0.875 * srtt + 0.125 * r;
		}
		struct tern_tcp_info info = peer_info(&p);
		within(info.rtt_us, srtt, 10);
		within(info.rttvar_us, rttvar, 10);
		double margin = 4 * rttvar > 200000 ? 4 * rttvar : 200000;
		within(info.rto_us, srtt + margin, 60);
	}
	peer_close(&p);
}

/* 5.4 to 5.7 and RFC 9293 3.8.3: doubled each time, up to two minutes; then R2 ends it. */
static void timeouts_double_to_two_minutes_and_then_end(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p);
	write_byte(&p);
	uint64_t last = p.now, rto = SEC;
	for (unsigned i = 0; i < 15; i++) {
		assert_true(peer_expect(&p, 200 * SEC));
		assert_int_equal(p.last.data_len, 1);
		assert_in_range(p.now - last, rto, rto + 2 * TICK);
		last = p.now;
		rto = rto * 2 < 120 * SEC ? rto * 2 : 120 * SEC;
		assert_int_equal(peer_info(&p).backoff, i + 1);
	}
	assert_true(peer_expect(&p, 200 * SEC));
	assert_true(p.last.flags & TCP_RST);
	assert_in_range(p.now - last, rto, rto + 2 * TICK);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	assert_int_equal(peer_info(&p).error, TERN_ETIMEDOUT);
	assert_int_equal(peer_ignore(&p, 3600 * SEC), 0);
	peer_close(&p);
}

/* 3: an ACK after a retransmission proves nothing; 5.5, 5.7: the doubled timeout holds until
 * something sent once is acknowledged. */
static void backoff_is_kept_until_a_sample(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p);
	round_trip(&p, 100000);
	struct tern_tcp_info before = peer_info(&p);
	write_byte(&p);
	assert_true(peer_expect(&p, SEC));
	peer_wait(&p, 100 * MSEC);
	acknowledge(&p, 1); /* of which of the two? */
	assert_int_equal(peer_info(&p).rtt_us, before.rtt_us);
	assert_int_equal(peer_info(&p).rttvar_us, before.rttvar_us);
	assert_int_equal(peer_info(&p).rto_us, 2 * before.rto_us);
	/* The next byte, lost too, waits for the doubled time. */
	write_byte(&p);
	uint64_t sent = p.now;
	assert_true(peer_expect(&p, 10 * SEC));
	assert_in_range(p.now - sent, 2000ull * before.rto_us, 2000ull * before.rto_us + 2 * TICK);
	acknowledge(&p, 1);
	assert_int_equal(peer_info(&p).backoff, 2);
	/* A byte sent once and acknowledged: a sample. */
	round_trip(&p, 100000);
	assert_int_equal(peer_info(&p).backoff, 0);
	assert_in_range(peer_info(&p).rto_us, 300000, 350000);
	peer_close(&p);
}

/* RFC 7323 4: the echoed timestamp says which of the two was acknowledged. */
static void a_timestamp_samples_even_what_was_sent_twice(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_TIMESTAMP, .mss = 1000, .tsval = 77};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	write_byte(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	assert_int_equal(peer_info(&p).backoff, 1);
	p.tsecr = p.last.options.tsval;
	peer_wait(&p, 60 * MSEC);
	acknowledge(&p, 1);
	assert_in_range(peer_info(&p).rtt_us, 55000, 65000);
	assert_int_equal(peer_info(&p).backoff, 0);
	peer_close(&p);
}

/* RFC 7323 3: an echo of zero, or one from the future or the far past, is no sample. */
static void an_absurd_echo_is_no_sample(void **state)
{
	(void)state;
	/* ms after what was really said */
	static const uint32_t echoes[] = {0, 100000, 0x7fffffff, 0x80000000, 0u - (2u << 20)};
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_TIMESTAMP, .mss = 1000, .tsval = 77};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	uint32_t rto = peer_info(&p).rto_us;
	for (size_t i = 0; i < sizeof echoes / sizeof *echoes; i++) {
		write_byte(&p);
		peer_ignore(&p, 1100 * MSEC << i); /* a timeout: the timed segment says nothing */
		p.tsecr = i ? p.last.options.tsval + echoes[i] : 0;
		uint32_t before = peer_info(&p).rtt_us;
		acknowledge(&p, 1);
		assert_int_equal(peer_info(&p).rtt_us, before);
	}
	assert_true(peer_info(&p).rto_us >= rto);
	peer_close(&p);
}

/* 5.3: only an ACK of new data restarts the timer. Whatever else the peer says meanwhile, the
 * timeout comes when it was due (smoltcp #62, vpp #696). */
static void unrelated_acks_do_not_put_the_timeout_off(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p);
	round_trip(&p, 100000);
	uint64_t rto = peer_info(&p).rto_us * UINT64_C(1000);
	write_byte(&p);
	uint64_t sent = p.now;
	uint32_t said = 0;
	for (unsigned i = 0; p.now + 10 * MSEC < sent + rto; i++) {
		peer_wait(&p, 10 * MSEC);
		switch (i % 4) {
		case 0: /* a window update */
			p.window = (uint16_t)(60000 + i);
			peer_say(&p, TCP_ACK, said, NULL, 0);
			break;
		case 1: /* text */
			peer_say(&p, TCP_ACK, said, "text", 4);
			said += 4;
			break;
		case 2: /* text beyond a hole */
			peer_say(&p, TCP_ACK, said + 100, "text", 4);
			break;
		case 3: /* an old acknowledgement */
			p.ack--;
			peer_say(&p, TCP_ACK, said, NULL, 0);
			p.ack++;
			break;
		}
		while (peer_take(&p))
			assert_int_equal(p.last.data_len, 0);
	}
	while (peer_expect(&p, SEC) && p.last.data_len == 0)
		;
	assert_int_equal(p.last.data_len, 1);
	assert_in_range(p.now - sent, rto, rto + 2 * TICK);
	peer_close(&p);
}

static void every_partial_ack_restarts_the_timer_from_itself(void **state)
{
	(void)state;
	struct peer p;
	static char data[5000];
	open_plain(&p);
	round_trip(&p, 100000);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 5000);
	assert_int_equal(peer_drain(&p), 5);
	for (unsigned i = 0; i < 4; i++) {
		peer_wait(&p, 250 * MSEC); /* less than the timeout of some 300 ms */
		acknowledge(&p, 1000);
		assert_int_equal(peer_drain(&p), 0);
	}
	uint64_t from = p.now, rto = peer_info(&p).rto_us * UINT64_C(1000);
	assert_true(peer_expect(&p, 10 * SEC));
	assert_int_equal(p.last.data_len, 1000);
	assert_int_equal(p.last.seq.v, p.ack);
	assert_in_range(p.now - from, rto, rto + 2 * TICK);
	/* 5.2: nothing in flight, nothing running. */
	acknowledge(&p, 1000);
	assert_int_equal(peer_ignore(&p, 3600 * SEC), 0);
	peer_close(&p);
}

/* 5.7 and RFC 9293 3.8.1: SYN and SYN-ACK wait 1, 2, 4, ... s. */
static void syns_are_sent_again_after_1_2_4_seconds(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	uint64_t last = p.now, rto = SEC;
	for (unsigned i = 0; i < 6; i++, rto *= 2) {
		assert_true(peer_expect(&p, 100 * SEC));
		assert_int_equal(p.last.flags, TCP_SYN);
		assert_int_equal(p.last.seq.v, p.ack - 1);
		assert_in_range(p.now - last, rto, rto + 2 * TICK);
		last = p.now;
	}
	assert_false(peer_expect(&p, 100 * SEC));
	assert_int_equal(peer_info(&p).error, TERN_ETIMEDOUT);
	peer_close(&p);
}

/* 5.7: after a lost SYN and without a sample, the timeout for data begins at 3 s. */
static void a_lost_syn_makes_the_first_timeout_three_seconds(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535};
	p.seq = 2;
	peer_send(&p, &s);
	peer_drain(&p);
	assert_int_equal(peer_info(&p).rto_us, 3000000);
	assert_int_equal(peer_info(&p).cwnd, peer_info(&p).mss);
	peer_close(&p);
}

/* RFC 9293 3.8.3 (MUST-20): after R1 retransmissions the next hop is doubted, not before. */
static void at_r1_the_path_is_doubted(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, NULL);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "x", 1), 1);
	const struct path *path = peer_tcb(&p)->path;
	assert_true(path->confirmed_at > 0);
	while (peer_info(&p).backoff < 3) {
		assert_true(path->confirmed_at > 0);
		assert_true(peer_expect(&p, 10 * SEC));
	}
	assert_int_equal(path->confirmed_at, 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_r1_the_path_is_doubted),
		cmocka_unit_test(the_arithmetic_is_the_rfcs),
		cmocka_unit_test(timeouts_double_to_two_minutes_and_then_end),
		cmocka_unit_test(backoff_is_kept_until_a_sample),
		cmocka_unit_test(a_timestamp_samples_even_what_was_sent_twice),
		cmocka_unit_test(an_absurd_echo_is_no_sample),
		cmocka_unit_test(unrelated_acks_do_not_put_the_timeout_off),
		cmocka_unit_test(every_partial_ack_restarts_the_timer_from_itself),
		cmocka_unit_test(syns_are_sent_again_after_1_2_4_seconds),
		cmocka_unit_test(a_lost_syn_makes_the_first_timeout_three_seconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
