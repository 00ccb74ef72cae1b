/* Pacing: new data leaves at a rate in proportion to cwnd / RTT, in small bursts. */
#include "peer.h"

#define MSS  1000u
#define USEC UINT64_C(1000)
#define TICK (UINT64_C(1) << WHEEL_TICK_LOG2)

static uint8_t data[400 * MSS];

static const struct tcp_options with_mss = {
	.has = TCP_OPT_MSS | TCP_OPT_WSCALE,
	.mss = MSS,
	.wscale = 7,
};

/* The stack's connection, over a round trip of that long, with much to send. */
static void open_sending(struct peer *p, uint64_t rtt, int64_t pacing)
{
	peer_open(p);
	peer_set(p, "tcp_pacing", pacing);
	peer_dial(p);
	peer_wait(p, rtt);
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq(p->ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = p->window,
		.options = with_mss};
	p->seq = 2;
	peer_send(p, &s);
	peer_drain(p);
	tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, sizeof data);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, sizeof data), sizeof data);
}

static void ack(struct peer *p, uint32_t segments)
{
	p->ack += segments * MSS;
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

/* The k-th of the next n segments leaves no sooner than (k - burst) * gap from now, and not much
 * later than k * gap. */
static void expect_evenly(struct peer *p, unsigned n, unsigned burst, uint64_t gap)
{
	uint64_t begin = p->now;
	for (unsigned k = 0; k < n; k++) {
		assert_true(peer_expect(p, 200 * MSEC));
		assert_int_equal(p->last.data_len, MSS);
		uint64_t at = p->now - begin;
		assert_true(at + burst * gap >= k * gap);
		assert_true(at <= k * gap + 2 * TICK);
	}
	assert_false(peer_take(p));
}

static void the_first_window_goes_at_once(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	assert_int_equal(peer_drain(&p), 10);
	assert_null(tern_stack_check(p.stack));
	peer_close(&p);
}

/* An ACK for nine: the window is 19, and in slow start 2 * 19 leave in 40 ms. */
static void what_an_ack_lets_out_is_spread(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	peer_wait(&p, 40 * MSEC);
	ack(&p, 9);
	assert_int_equal(peer_info(&p).cwnd, 19 * MSS);
	struct tern_memory_info info;
	expect_evenly(&p, 18, 2, 40 * MSEC / 38);
	tern_memory_info(p.stack, &info);
	assert_int_equal(info.timers, 1);
	peer_close(&p);
}

/* ACKs while a burst is waited for do not hurry it. */
static void acks_do_not_hurry_it(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	peer_wait(&p, 40 * MSEC);
	ack(&p, 5);
	assert_int_equal(peer_drain(&p), 2);
	ack(&p, 1);
	ack(&p, 1);
	ack(&p, 1);
	assert_int_equal(peer_drain(&p), 0);
	assert_int_equal(peer_info(&p).unacked, 4 * MSS);
	peer_close(&p);
}

static void into_an_empty_path_an_initial_window_goes_at_once(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	peer_wait(&p, 40 * MSEC);
	ack(&p, 10);
	assert_int_equal(peer_info(&p).cwnd, 20 * MSS);
	assert_int_equal(peer_drain(&p), 10);
	uint64_t begin = p.now;
	assert_true(peer_expect(&p, 200 * MSEC));
	/* When that would have been over at the rate of 40 in 40 ms. */
	assert_in_range(p.now - begin, 10 * MSEC, 10 * MSEC + 2 * TICK);
	peer_close(&p);
}

/* In congestion avoidance 1.2 times the window in a round trip. */
static void after_slow_start_it_is_slower(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	peer_wait(&p, 40 * MSEC);
	struct tcb *tcb = peer_tcb(&p);
	tcb->cwnd = tcb->ssthresh = 30 * MSS;
	ack(&p, 9);
	expect_evenly(&p, 29, 2, 40 * MSEC * 10 / (12 * 30));
	peer_close(&p);
}

/* Sent in 20 ms at 9 segments a ms by a driver that wakes once a turn, whenever it was due; no more
 * than `most` of them at once. */
static unsigned sent_by_turns(uint64_t turn, unsigned most)
{
	struct peer p;
	unsigned sent = 0;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	struct tcb *tcb = peer_tcb(&p);
	tcb->cwnd = tcb->ssthresh = 300 * MSS;
	peer_wait(&p, 40 * MSEC);
	ack(&p, 9);
	for (uint64_t at = 0; at < 20 * MSEC; at += turn) {
		unsigned n = peer_drain(&p);
		assert_true(n <= most);
		sent += n;
		peer_wait(&p, turn);
	}
	peer_close(&p);
	return sent;
}

static void a_late_timer_costs_nothing(void **state)
{
	(void)state;
	for (uint64_t turn = 600 * USEC; turn <= MSEC; turn += 100 * USEC)
		assert_in_range(sent_by_turns(turn, 18), 9 * 20 - 18, 9 * 20 + 18);
}

/* A busy machine, or a driver with a coarse clock: what was due by now is made up for. */
static void a_timer_late_by_many_bursts_costs_nothing_either(void **state)
{
	(void)state;
	assert_in_range(sent_by_turns(4 * MSEC, 9 * 5), 9 * 16 - 9, 9 * 20 + 9);
	assert_in_range(sent_by_turns(5 * MSEC, 9 * 6), 9 * 15 - 9, 9 * 20 + 9);
}

/* However late: no more than the window, which all that is in flight counts against. */
static void no_more_than_a_window_is_made_up_for(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	peer_drain(&p);
	struct tcb *tcb = peer_tcb(&p);
	tcb->cwnd = tcb->ssthresh = 30 * MSS;
	peer_wait(&p, 40 * MSEC);
	ack(&p, 9);
	assert_int_equal(peer_drain(&p), 2);
	peer_wait(&p, 75 * MSEC);
	assert_int_equal(peer_drain(&p), 30 - 3);
	assert_true(tcb->side->pacing.left <= tcb->cwnd);
	assert_null(tern_stack_check(p.stack));
	peer_close(&p);
}

static void short_paths_and_who_asks_not_to_are_not_paced(void **state)
{
	(void)state;
	static const struct {
		uint64_t rtt;
		int64_t pacing;
	} cases[] = {{MSEC, 1}, {40 * MSEC, 0}};
	for (unsigned i = 0; i < 2; i++) {
		struct peer p;
		open_sending(&p, cases[i].rtt, cases[i].pacing);
		peer_drain(&p);
		peer_wait(&p, cases[i].rtt);
		ack(&p, 9);
		assert_int_equal(peer_drain(&p), 18);
		peer_close(&p);
	}
}

/* The end of the stream does not wait behind an empty burst, nor is it lost in one. */
static void everything_arrives_with_its_fin(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
	uint32_t first = p.ack, last = 0;
	for (unsigned turn = 0; turn < 1000 && last != sizeof data + 1; turn++) {
		while (peer_expect(&p, 20 * MSEC)) {
			uint32_t end = p.last.seq.v - first + p.last.len;
			if (end > last)
				last = end;
		}
		p.ack = first + last;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	assert_int_equal(last, sizeof data + 1);
	assert_int_equal(peer_state(&p), TERN_TCP_FIN_WAIT_2);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_close(&p);
}

/* Seed 7802 of the world: an initial window of one segment, which timestamps make smaller than the
 * MSS, and a device that takes two at once. What was left of a burst was then never enough. */
static void a_window_of_one_small_segment_is_a_burst(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_init_cwnd", 1);
	peer_dial(&p);
	peer_wait(&p, 40 * MSEC);
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = p.window,
		.options = {.has = TCP_OPT_MSS | TCP_OPT_TIMESTAMP,
			.mss = MSS,
			.tsval = 1,
			.tsecr = p.last.options.tsval}};
	p.seq = 2;
	peer_send(&p, &s);
	peer_drain(&p);
	struct tcp *tcp = tern_stack_tcp(p.stack);
	struct tcb *tcb = peer_tcb(&p);
	uint32_t mss = tern_tcb_effective_mss(tcb);
	assert_true(mss < tcb->mss && tcb->srtt >= PACING_RTT_MIN);
	tcb->cwnd = 2 * mss;
	tern_pacing_resume(tcp, tcb);
	assert_int_equal(tern_pacing_allowance(tcp, tcb, 2 * mss), mss);
	peer_close(&p);
}

/* Else a slow start that ended in a loss is followed by as much as its last burst had not sent. */
static void what_a_burst_has_left_over_is_no_credit(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	assert_int_equal(peer_drain(&p), 10);
	peer_wait(&p, 40 * MSEC);
	ack(&p, 5);
	struct pacing *pacing = &peer_tcb(&p)->side->pacing;
	assert_int_equal(peer_drain(&p), 2);
	pacing->left = 20 * MSS;
	pacing->waited = false;
	peer_wait(&p, 10 * MSEC); /* its time is over */
	pacing->wake = 0;
	assert_int_equal(peer_drain(&p), 2);
	peer_close(&p);
}

/* Nor is time in which the window was in the way: a timer that was late makes up for one burst. */
static void time_in_which_the_window_was_full_is_no_credit(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 40 * MSEC, 1);
	assert_int_equal(peer_drain(&p), 10);
	struct pacing *pacing = &peer_tcb(&p)->side->pacing;
	pacing->waited = true;
	peer_wait(&p, 40 * MSEC);
	tern_want_send(tern_stack_tcp(p.stack), peer_tcb(&p));
	assert_false(peer_take(&p)); /* ten are in flight */
	ack(&p, 5);
	assert_int_equal(peer_drain(&p), 2);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_window_goes_at_once),
		cmocka_unit_test(what_an_ack_lets_out_is_spread),
		cmocka_unit_test(acks_do_not_hurry_it),
		cmocka_unit_test(into_an_empty_path_an_initial_window_goes_at_once),
		cmocka_unit_test(after_slow_start_it_is_slower),
		cmocka_unit_test(a_late_timer_costs_nothing),
		cmocka_unit_test(a_timer_late_by_many_bursts_costs_nothing_either),
		cmocka_unit_test(no_more_than_a_window_is_made_up_for),
		cmocka_unit_test(short_paths_and_who_asks_not_to_are_not_paced),
		cmocka_unit_test(everything_arrives_with_its_fin),
		cmocka_unit_test(a_window_of_one_small_segment_is_a_burst),
		cmocka_unit_test(what_a_burst_has_left_over_is_no_credit),
		cmocka_unit_test(time_in_which_the_window_was_full_is_no_credit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
