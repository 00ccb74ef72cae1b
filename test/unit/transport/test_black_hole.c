/* Paths that drop large packets and do not say so (mtu.c; RFC 2923 2.1, RFC 4821 7.7). */
#include "pair.h"
#include "peer.h"
#include "transport/tcp/tcp.h"

#define WHOLE 1460 /* of a 1500-byte MTU; 12 of it are timestamps */

static uint8_t data[30000];

static void opened(struct pair *t, uint32_t offload)
{
	pair_open(t, &(struct pair_setup){.delay = 10 * MSEC, .offload = offload});
}

static void connected(struct pair *t)
{
	opened(t, 0);
	pair_connect(t);
}

static uint64_t received(const struct pair *t)
{
	struct tern_tcp_info info = pair_info(t, 1);
	return info.rcv_nxt - info.irs - 1;
}

/* Whether side 0 tries a larger segment. */
static bool trying(const struct pair *t, const struct tcb **tcb)
{
	*tcb = tern_tcb_of(tern_stack_tcp_const(t->side[0].stack), t->side[0].conn);
	return *tcb && (*tcb)->side && (*tcb)->side->mtu.out;
}

/* What is tried has room in the window (RFC 5681 3.1). */
static void run(struct pair *t, uint64_t ns)
{
	static uint8_t sink[1 << 16];
	const struct tcb *tcb;
	uint64_t end = t->now + ns;
	bool tried = trying(t, &tcb);
	while (pair_step(t, end)) {
		while (tern_tcp_read(t->side[1].stack, t->side[1].conn, sink, sizeof sink) > 0)
			;
		if (trying(t, &tcb) && !tried)
			assert_in_range(tern_recovery_pipe(tcb), 0, tcb->cwnd);
		tried = trying(t, &tcb);
	}
}

/* Until side 1 has that much, in ns. */
static uint64_t until(struct pair *t, uint64_t bytes)
{
	uint64_t began = t->now;
	while (received(t) < bytes && t->now < began + 300 * SEC)
		run(t, MSEC);
	return t->now - began;
}

static uint32_t mss(const struct pair *t)
{
	return pair_info(t, 0).mss;
}

static uint64_t counted(const struct pair *t, enum tern_counter which)
{
	return tern_counter(t->side[0].stack, which);
}

static uint64_t counted_by(const struct peer *p, enum tern_counter which)
{
	return tern_counter(p->stack, which);
}

static void a_stream_gets_through_in_smaller_segments(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct pair t;
		opened(&t, k & 2 ? TERN_OFFLOAD_TSO | TERN_OFFLOAD_TX_CSUM : 0);
		pair_set(&t, "tcp_sack", k & 1);
		pair_connect(&t);
		t.hole = 1400;
		pair_write(&t, 200000);
		assert_true(until(&t, 200000) < 10 * SEC);
		assert_int_equal(mss(&t), 1024);
		assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPBlackHole), 1);
		pair_close(&t);
	}
}

static void without_the_setting_it_does_not(void **state)
{
	(void)state;
	struct pair t;
	opened(&t, 0);
	pair_set(&t, "tcp_mtu_probing", 0);
	pair_connect(&t);
	t.hole = 1400;
	pair_write(&t, 20000);
	until(&t, 20000);
	assert_int_equal(received(&t), 0);
	assert_int_equal(mss(&t), WHOLE - 12);
	pair_close(&t);
}

static void narrower_paths_take_one_more_timeout_for_each_half(void **state)
{
	(void)state;
	static const struct {
		uint32_t hole, mss;
		uint64_t most;
	} path[] = {{1076, 1024, 4}, {1075, 512, 6}, {300, 128, 20}};
	for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
		struct pair t;
		connected(&t);
		t.hole = path[i].hole;
		pair_write(&t, 20000);
		assert_true(until(&t, 20000) < path[i].most * SEC);
		assert_int_equal(mss(&t), path[i].mss);
		pair_close(&t);
	}
}

static void never_smaller_than_a_peer_may_ask_for(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	t.hole = 60;
	pair_write(&t, 20000);
	run(&t, 200 * SEC);
	assert_int_equal(mss(&t), 48 + TCP_OPTIONS_LEN_MAX - 12);
	pair_close(&t);
}

static void a_peer_who_was_only_away_gets_whole_segments_soon(void **state)
{
	(void)state;
	struct pair t;
	for (uint64_t away = 2; away < 100; away *= 3) {
		connected(&t);
		pair_write(&t, 200000);
		run(&t, 15 * MSEC);
		t.cut = true;
		run(&t, away * SEC);
		assert_true(mss(&t) <= 1024);
		t.cut = false;
		until(&t, 200000);
		assert_int_equal(mss(&t), WHOLE - 12);
		assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 0);
		assert_null(tern_stack_check(t.side[0].stack));
		assert_int_equal(tern_path_black_hole_mtu(
					 tern_tcb_of(tern_stack_tcp_const(t.side[0].stack),
						 t.side[0].conn)
						 ->path),
			0);
		pair_close(&t);
	}
}

/* Less than would be in a smaller segment says nothing of the size. */
static void small_segments_that_vanish_change_nothing(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	t.cut = true;
	pair_write(&t, 900);
	run(&t, 5 * SEC);
	assert_true(pair_info(&t, 0).backoff > 3);
	assert_int_equal(mss(&t), WHOLE - 12);
	pair_close(&t);
}

static void a_hole_is_tried_again_once_in_the_interval(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	t.hole = 1400;
	pair_write(&t, 200000);
	until(&t, 200000);
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 2);
	for (unsigned i = 1; i <= 59; i++) {
		pair_write(&t, 20000);
		run(&t, 10 * SEC);
	}
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 2);
	for (unsigned i = 0; i < 3; i++) {
		pair_write(&t, 20000);
		run(&t, 10 * SEC);
	}
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 4);
	assert_int_equal(mss(&t), 1024);
	/* The path is mended. */
	t.hole = 0;
	for (unsigned i = 0; i < 62; i++) {
		pair_write(&t, 20000);
		run(&t, 10 * SEC);
	}
	assert_int_equal(mss(&t), WHOLE - 12);
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 4);
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPTimeouts), 3);
	pair_close(&t);
}

/* The next connection begins with what the path is known to carry; no smaller than 552 bytes. */
static void other_connections_of_the_path_are_spared(void **state)
{
	(void)state;
	static const uint32_t hole[][2] = {{1400, 1024}, {300, 500}};
	for (size_t i = 0; i < 2; i++) {
		struct pair t;
		connected(&t);
		t.hole = hole[i][0];
		pair_write(&t, 100000);
		until(&t, 100000);
		struct tern_conn first[2] = {t.side[0].conn, t.side[1].conn};
		struct tern_connect_opts opts = {.remote = {t.side[1].addr, PAIR_PORT}};
		assert_int_equal(tern_tcp_connect(t.side[0].stack, &opts, &t.side[0].conn), 0);
		run(&t, SEC);
		assert_int_equal(tern_tcp_accept(t.side[1].stack, t.side[1].listener,
					 &t.side[1].conn),
			0);
		assert_int_equal(mss(&t), hole[i][1]);
		uint64_t timeouts = counted(&t, TERN_COUNT_TcpExtTCPTimeouts);
		pair_write(&t, 100000);
		until(&t, 100000);
		assert_true(i || counted(&t, TERN_COUNT_TcpExtTCPTimeouts) == timeouts);
		tern_tcp_abort(t.side[0].stack, first[0]);
		tern_tcp_abort(t.side[1].stack, first[1]);
		pair_close(&t);
	}
}

/* Also when there was none for a while. */
static void the_path_is_remembered(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	t.hole = 1400;
	pair_write(&t, 100000);
	until(&t, 100000);
	assert_int_equal(tern_tcp_abort(t.side[0].stack, t.side[0].conn), 0);
	run(&t, 300 * SEC);
	assert_int_equal(tern_tcp_abort(t.side[1].stack, t.side[1].conn), 0);
	struct tern_connect_opts opts = {.remote = {t.side[1].addr, PAIR_PORT}};
	assert_int_equal(tern_tcp_connect(t.side[0].stack, &opts, &t.side[0].conn), 0);
	run(&t, SEC);
	assert_int_equal(mss(&t), 1024);
	pair_close(&t);
}

/* As many as BLACK_HOLES_MAX; then the oldest is forgotten. */
static void no_more_paths_are_kept_than_the_bound(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	struct tcp *tcp = tern_stack_tcp(t.side[0].stack);
	uint32_t before = tcp->ip->paths.live;
	for (unsigned i = 0; i < 3 * BLACK_HOLES_MAX; i++) {
		struct tern_addr dst = tern_addr_v4(10, 0, 0, (uint8_t)(20 + i));
		int err;
		struct path *path = tern_path_get(tcp->ip, &t.side[0].addr, &dst, &err);
		assert_non_null(path);
		tern_path_black_hole(tcp->ip, path, 1000, SEC);
		tern_path_black_hole(tcp->ip, path, 900, SEC);
		tern_path_put(tcp->ip, path);
	}
	assert_int_equal(tcp->ip->paths.live, before + BLACK_HOLES_MAX);
	pair_close(&t);
}

/* An error from a router is believed beside that. */
static void what_is_tried_is_never_more_than_the_path(void **state)
{
	(void)state;
	struct pair t;
	connected(&t);
	pair_set(&t, "tcp_probe_interval", 60);
	t.hole = 1200;
	pair_write(&t, 100000);
	until(&t, 100000);
	struct tcb *tcb = tern_tcb_of(tern_stack_tcp_const(t.side[0].stack), t.side[0].conn);
	tern_path_too_big(tern_stack_tcp(t.side[0].stack)->ip, tcb->path, 1000);
	for (unsigned i = 0; i < 100; i++) {
		pair_write(&t, 20000);
		run(&t, SEC);
	}
	assert_int_equal(counted(&t, TERN_COUNT_TcpExtTCPMTUPFail), 2);
	pair_close(&t);
}

/* --- against a peer played by hand ----------------------------------------------------------- */

#define SMALL 500

/* A connection with n small segments in flight, its window, whose path may carry larger ones. */
static struct tcb *narrowed(struct peer *p, unsigned n)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 5000,
		&(struct tcp_options){.has = TCP_OPT_MSS | TCP_OPT_SACK_OK, .mss = 1460});
	peer_set(p, "tcp_pacing", 0);
	struct tcb *tcb = peer_tcb(p);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, 30000), 30000);
	tcb->mss = SMALL;
	tcb->cwnd = tcb->ssthresh = n * SMALL;
	for (unsigned i = 0; i < n; i++) {
		assert_true(peer_take(p));
		assert_int_equal(p->last.data_len, SMALL);
	}
	assert_false(peer_take(p));
	peer_set(p, "tcp_base_mss", SMALL);
	tcb->side->mtu = (struct tcb_mtu){.full = 1460, .passed = true};
	return tcb;
}

static void acknowledges(struct peer *p, uint32_t n)
{
	p->now += 10 * MSEC;
	p->ack += n;
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

/* RFC 5681 3.1, RFC 4821 7.2: what is tried waits until the window has room for it. */
static void a_trial_is_no_more_than_the_window_has_left(void **state)
{
	(void)state;
	struct peer p;
	struct tcb *tcb = narrowed(&p, 10);
	unsigned acks = 0;
	do {
		assert_true(++acks < 10);
		acknowledges(&p, SMALL);
		while (!tcb->side->mtu.out && peer_take(&p))
			;
		assert_in_range(tcb_flight(tcb), 0, tcb->cwnd);
	} while (!tcb->side->mtu.out);
	assert_int_equal(p.last.data_len, 1460);
	assert_int_equal(acks, 3);
	peer_close(&p);
}

/* STATUS says of it what it says of any data that the window has no room for. */
static void a_trial_that_waits_is_held_by_cwnd(void **state)
{
	(void)state;
	struct peer p;
	struct tcb *tcb = narrowed(&p, 10);
	assert_string_equal(peer_info(&p).held_by, "cwnd");
	for (unsigned acks = 1; acks < 3; acks++) {
		acknowledges(&p, SMALL);
		assert_false(peer_take(&p));
		assert_string_equal(peer_info(&p).held_by, "cwnd");
	}
	acknowledges(&p, SMALL);
	assert_string_equal(peer_info(&p).held_by, "device");
	assert_true(peer_take(&p));
	assert_true(tcb->side->mtu.out);
	peer_close(&p);
}

static void nor_when_it_is_what_was_lost(void **state)
{
	(void)state;
	struct peer p;
	struct tcb *tcb = narrowed(&p, 30);
	peer_set(&p, "tcp_frto", 0);
	peer_set(&p, "tcp_mtu_probing", 0);
	while (tcb->side->mode != RECOVERY_TIMEOUT)
		assert_true(peer_expect(&p, 5 * SEC));
	while (!tcb->side->mtu.out) {
		acknowledges(&p, SMALL);
		while (!tcb->side->mtu.out && peer_take(&p))
			;
		assert_in_range(tern_recovery_pipe(tcb), 0, tcb->cwnd);
	}
	assert_int_equal(p.last.data_len, 1460);
	peer_close(&p);
}

/* RFC 9937: what is delivered lets out as much as that, and at once. */
static void nothing_is_tried_in_fast_recovery(void **state)
{
	(void)state;
	struct peer p;
	struct tcb *tcb = narrowed(&p, 10);
	unsigned sent = 0;
	for (unsigned i = 1; i < 10; i++) {
		struct tcp_segment s = {.seq = tcb->rcv.nxt,
			.ack = seq(p.ack),
			.flags = TCP_ACK,
			.window = p.window};
		s.options.has = TCP_OPT_SACK;
		s.options.sack_count = 1;
		s.options.sack[0] =
			(struct tcp_sack_block){seq(p.ack + SMALL), seq(p.ack + (i + 1) * SMALL)};
		p.now += MSEC;
		peer_send(&p, &s);
		while (peer_take(&p)) {
			assert_in_range(p.last.data_len, 1, SMALL);
			sent++;
		}
	}
	assert_int_equal(tcb->side->mode, RECOVERY_FAST);
	assert_in_range(sent, 4, 8);
	peer_close(&p);
}

/* While it is out the path turns out to carry more: that has not been tried. */
static void what_got_through_is_what_was_tried(void **state)
{
	(void)state;
	struct peer p;
	struct tcb *tcb = narrowed(&p, 10);
	tern_path_too_big(tern_stack_tcp(p.stack)->ip, tcb->path, 1040);
	acknowledges(&p, 10 * SMALL);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.data_len, 1000);
	assert_true(tcb->side->mtu.out);
	tcb->path->mtu_expires = p.now;
	acknowledges(&p, 1000);
	assert_int_equal(tcb->mss, 1000);
	assert_int_equal(tcb->side->mtu.full, 1460);
	peer_close(&p);
}

/* RFC 8985 6.3: what a timeout does not hold for lost stays in flight; yet the first goes again. */
static void a_timeout_that_doubts_sends_the_first_again(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 5000,
		&(struct tcp_options){.has = TCP_OPT_MSS | TCP_OPT_SACK_OK, .mss = 1460});
	peer_set(&p, "tcp_pacing", 0);
	peer_set(&p, "tcp_retries1", 1);
	struct tcb *tcb = peer_tcb(&p);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 20 * 1460), 20 * 1460);
	peer_drain(&p);
	/* The round trip was long, once: the loss probe is not held for lost soon. */
	tcb->side->rec.rack.rtt = 100 * SEC;
	while (counted_by(&p, TERN_COUNT_TcpExtTCPMTUPBlackHole) == 0)
		assert_true(peer_expect(&p, 10 * SEC));
	assert_int_equal(p.last.seq.v, p.ack);
	assert_int_equal(p.last.data_len, 1024);
	assert_int_equal(tcb->cwnd, 1460 + 1024);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_gets_through_in_smaller_segments),
		cmocka_unit_test(without_the_setting_it_does_not),
		cmocka_unit_test(narrower_paths_take_one_more_timeout_for_each_half),
		cmocka_unit_test(never_smaller_than_a_peer_may_ask_for),
		cmocka_unit_test(a_peer_who_was_only_away_gets_whole_segments_soon),
		cmocka_unit_test(small_segments_that_vanish_change_nothing),
		cmocka_unit_test(a_hole_is_tried_again_once_in_the_interval),
		cmocka_unit_test(other_connections_of_the_path_are_spared),
		cmocka_unit_test(the_path_is_remembered),
		cmocka_unit_test(no_more_paths_are_kept_than_the_bound),
		cmocka_unit_test(what_is_tried_is_never_more_than_the_path),
		cmocka_unit_test(a_trial_is_no_more_than_the_window_has_left),
		cmocka_unit_test(a_trial_that_waits_is_held_by_cwnd),
		cmocka_unit_test(nor_when_it_is_what_was_lost),
		cmocka_unit_test(nothing_is_tried_in_fast_recovery),
		cmocka_unit_test(what_got_through_is_what_was_tried),
		cmocka_unit_test(a_timeout_that_doubts_sends_the_first_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
