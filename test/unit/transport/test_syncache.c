/* Half-open connections as 64 bytes in a table (RFC 4987 3.4): no TCB before the third segment, and
 * yet all that RFC 9293 3.10.7.4 asks of SYN_RECEIVED. */
#include "peer.h"
#include "wire/icmpv4.h"

static void begin(struct peer *p, unsigned backlog)
{
	peer_open(p);
	peer_set(p, "tcp_syncookies", 0);
	peer_set(p, "tcp_max_syn_source", 65000);
	peer_listen_backlog(p, backlog);
}

static struct tern_memory_info memory(const struct peer *p)
{
	struct tern_memory_info info;
	tern_memory_info(p->stack, &info);
	return info;
}

static uint32_t tcbs(const struct peer *p)
{
	return tern_stack_tcp(p->stack)->tcbs.live;
}

static void a_syn_costs_no_tcb_and_the_table_does_not_grow(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 4095);
	size_t before = memory(&p).used;
	peer_half(&p, 999, &peer_everything);
	size_t used = memory(&p).used;
	assert_int_equal(used - before, 2 * 1024 * sizeof(struct syn)); /* twice what may be */
	for (unsigned i = 0; i < 1023; i++)
		peer_half(&p, (uint16_t)(1000 + i), &peer_everything);
	assert_int_equal(tcbs(&p), 0);
	assert_int_equal(memory(&p).half_open, 1024);
	assert_int_equal(memory(&p).used, used);
	assert_null(tern_stack_check(p.stack));
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	peer_drain(&p);
	assert_true(memory(&p).used <= before); /* and given back */
	peer_close(&p);
}

static void a_small_budget_means_a_small_table(void **state)
{
	(void)state;
	struct peer p;
	struct peer_setup setup = {.budget = (size_t)256 << 10};
	unsigned answered = 0;
	peer_open_as(&p, &setup);
	peer_set(&p, "tcp_syncookies", 0);
	peer_set(&p, "tcp_max_syn_backlog", 1048576);
	peer_set(&p, "tcp_max_syn_source", 65000);
	peer_listen_backlog(&p, 60000);
	for (unsigned i = 0; i < 5000; i++) {
		peer_syn(&p, (uint16_t)(1000 + i), NULL);
		answered += peer_drain(&p);
	}
	assert_int_equal(answered, (256 << 10) / 16 / sizeof(struct syn) / 2);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_SYN_BACKLOG), 5000 - answered);
	peer_close(&p);
}

static void the_backlog_bounds_what_is_half_open(void **state)
{
	(void)state;
	static const unsigned rows[][2] = {{0, 8}, {5, 8}, {7, 8}, {8, 9}, {100, 101}, {4000, 256}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer p;
		begin(&p, rows[i][0]);
		peer_set(&p, "tcp_max_syn_backlog", 256);
		for (unsigned k = 0; k < 300; k++)
			peer_syn(&p, (uint16_t)(1000 + k), NULL);
		assert_int_equal(memory(&p).half_open, rows[i][1]);
		peer_close(&p);
	}
}

/* 1, 2, 4, 8, 16 s, and 32 until it is given up. */
static void the_syn_ack_is_said_again_over_63_seconds(void **state)
{
	(void)state;
	static const unsigned at[] = {1, 3, 7, 15, 31};
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, &peer_everything);
	uint64_t start = p.now;
	for (unsigned i = 0; i < 5; i++) {
		uint32_t iss = p.last.seq.v, tsval = p.last.options.tsval;
		assert_true(peer_expect(&p, 40 * SEC));
		assert_int_equal((p.now - start) / MSEC, at[i] * 1000);
		assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
		assert_int_equal(p.last.seq.v, iss);
		assert_true(p.last.options.tsval > tsval);
	}
	assert_false(peer_expect(&p, 32 * SEC - MSEC));
	assert_int_equal(peer_connections(&p), 1);
	peer_wait(&p, 2 * MSEC);
	assert_int_equal(peer_connections(&p), 0);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPSynRetrans), 5);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpAttemptFails), 1);
	peer_close(&p);
}

/* Who repeats his SYN for ever gets an answer each time, and no longer life. */
static void a_repeated_syn_does_not_prolong_it(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, NULL);
	for (unsigned s = 0; s < 62; s++) {
		peer_ignore(&p, SEC);
		peer_half(&p, 1000, NULL);
	}
	peer_ignore(&p, 2 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* What was agreed on holds, whatever is set between SYN and ACK. */
static void what_was_agreed_on_holds(void **state)
{
	(void)state;
	static const char *const names[] = {"tcp_sack", "tcp_timestamps", "tcp_window_scaling"};
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, &peer_everything);
	unsigned scale = p.last.options.wscale;
	for (size_t i = 0; i < 3; i++)
		peer_set(&p, names[i], 0);
	peer_set(&p, "tcp_rmem_max", 65535);
	p.window = 1000;
	peer_say(&p, TCP_ACK, 0, "hello", 5);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	struct tern_tcp_info info = peer_info(&p);
	assert_true(info.sack && info.timestamps && info.wscale_ok);
	assert_int_equal(info.snd_wscale, 7);
	assert_int_equal(info.rcv_wscale, scale);
	assert_int_equal(info.snd_wnd, 1000 << 7);
	assert_int_equal(info.unread, 5);
	assert_int_equal(info.mss, 1400 - 12);
	peer_close(&p);
}

static void the_handshake_times_the_path(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, NULL);
	peer_wait(&p, 30 * MSEC);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_true(peer_info(&p).rtt_us >= 30000 && peer_info(&p).rtt_us <= 30001);
	/* Karn: not if it was said twice; and then slow start begins with one segment. */
	peer_half(&p, 1001, NULL);
	assert_true(peer_expect(&p, 2 * SEC));
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_int_equal(peer_info(&p).rtt_us, 0);
	assert_int_equal(peer_info(&p).cwnd, peer_info(&p).mss);
	peer_close(&p);
}

/* The third segment was lost: the data behind it says the same. */
static void data_beyond_a_hole_completes_the_handshake(void **state)
{
	(void)state;
	struct peer p;
	char got[8];
	begin(&p, 5);
	peer_half(&p, 1000, &peer_everything);
	peer_say(&p, TCP_ACK, 3, "lo", 2);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	peer_say(&p, TCP_ACK, 0, "hel", 3);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 5);
	assert_memory_equal(got, "hello", 5);
	peer_close(&p);
}

/* Table 6 of RFC 9293 and RFC 5961, for SYN_RECEIVED: what each segment draws, and whether it
 * stays. */
static void every_segment_is_answered_as_the_rfcs_say(void **state)
{
	(void)state;
	enum {
		NOTHING,
		ACKNOWLEDGED,
		RESET,
		AGAIN
	};
	static const struct {
		uint16_t flags;
		int32_t seq, ack; /* from what would be exact */
		int answer;
		bool stays;
	} rows[] = {
		{TCP_RST, 0, 0, NOTHING, false},
		{TCP_RST | TCP_ACK, 0, 0, NOTHING, false},
		{TCP_RST, 1, 0, ACKNOWLEDGED, true},
		{TCP_RST, 65535, 0, ACKNOWLEDGED, true},
		{TCP_RST, 65536, 0, NOTHING, true},
		{TCP_RST, -1, 0, NOTHING, true},
		{TCP_SYN, -1, 0, AGAIN, true},
		{TCP_SYN, 0, 0, ACKNOWLEDGED, true},
		{TCP_SYN, 5000, 0, ACKNOWLEDGED, true},
		{TCP_SYN | TCP_ACK, -1, 0, ACKNOWLEDGED, true},
		{TCP_ACK, 0, 1, RESET, true},
		{TCP_ACK, 0, -1, RESET, true},
		{TCP_ACK, -1, 0, ACKNOWLEDGED, true},
		{TCP_ACK, 70000, 0, ACKNOWLEDGED, true},
		{TCP_FIN, 0, 0, NOTHING, true},
		{0, 0, 0, NOTHING, true},
		{TCP_FIN | TCP_ACK, 0, 1, RESET, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer p;
		begin(&p, 5);
		peer_half(&p, 1000, NULL);
		uint32_t iss = p.last.seq.v;
		struct tcp_segment s = {.seq = seq(7001 + (uint32_t)rows[i].seq),
			.ack = seq(p.ack + (uint32_t)rows[i].ack),
			.flags = rows[i].flags,
			.window = 1000};
		peer_send(&p, &s);
		bool answered = peer_take(&p);
		assert_int_equal(answered, rows[i].answer != NOTHING);
		if (rows[i].answer == ACKNOWLEDGED || rows[i].answer == AGAIN) {
			bool again = rows[i].answer == AGAIN;
			assert_int_equal(p.last.flags, TCP_ACK | (again ? TCP_SYN : 0));
			assert_int_equal(p.last.seq.v, iss + !again);
			assert_int_equal(p.last.ack.v, 7001);
		} else if (answered) {
			assert_int_equal(p.last.flags, TCP_RST);
			assert_int_equal(p.last.seq.v, s.ack.v);
		}
		assert_false(peer_take(&p));
		assert_int_equal(peer_connections(&p), rows[i].stays);
		assert_int_equal(tcbs(&p), 0);
		peer_close(&p);
	}
}

static void an_old_timestamp_does_not_get_in(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, &peer_everything);
	p.tsval = 4999;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_PAWS), 1);
	p.timestamps = false;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_NO_TIMESTAMP), 1);
	assert_int_equal(tcbs(&p), 0);
	p.timestamps = true;
	p.tsval = 5000;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	peer_close(&p);
}

/* Two that are half-open to each other would else acknowledge each other for ever. */
static void replies_to_the_invalid_are_rationed(void **state)
{
	(void)state;
	struct peer p;
	unsigned replies = 0;
	begin(&p, 5);
	peer_half(&p, 1000, NULL);
	for (unsigned ms = 0; ms < 900; ms += 10) {
		struct tcp_segment s = {.seq = seq(1), .ack = seq(p.ack), .flags = TCP_ACK};
		peer_send(&p, &s);
		while (peer_take(&p))
			replies++;
		peer_wait(&p, 10 * MSEC);
	}
	assert_int_equal(replies, 2);
	peer_close(&p);
}

/* RFC 5927 5.2: only what quotes our SYN-ACK counts, and of that only the hard. */
static void icmp_ends_it_only_if_hard_and_about_our_syn_ack(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, NULL);
	uint32_t iss = p.last.seq.v;
	peer_icmp(&p, ICMP_UNREACHABLE, 1, 0, iss); /* host: it may pass */
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 600, iss);
	peer_icmp(&p, ICMP_UNREACHABLE, 3, 0, iss + 1);
	peer_icmp(&p, ICMP_UNREACHABLE, 3, 0, iss - 1);
	assert_int_equal(peer_connections(&p), 1);
	assert_int_equal(peer_drops(&p, TERN_DROP_ICMP_UNRELATED), 2);
	peer_icmp(&p, ICMP_UNREACHABLE, 3, 0, iss);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* The device's queue is shorter than what waits for it: nothing is lost, all are said in turn. */
static void syn_acks_wait_for_the_device(void **state)
{
	(void)state;
	struct peer p;
	bool said[1024] = {false};
	begin(&p, 4000);
	for (unsigned i = 0; i < 1024; i++)
		peer_syn(&p, (uint16_t)(1000 + i), NULL);
	peer_wait(&p, 10 * SEC); /* no clock runs before */
	unsigned n = 0;
	for (; n < 1024 && peer_take(&p); n++) {
		assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
		said[p.last.dst_port - 1000] = true;
	}
	for (unsigned i = 0; i < 1024; i++)
		assert_true(said[i]);
	assert_int_equal(peer_drops(&p, TERN_DROP_REPLY_RING_FULL), 0);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpRetransSegs), 0);
	peer_close(&p);
}

/* A pair is one connection, also when one end of it is only half there. */
static void a_pair_that_is_half_open_cannot_be_dialled(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 5);
	peer_half(&p, 1000, NULL);
	struct tern_connect_opts opts = {.local.port = STACK_PORT,
		.remote = {tern_addr_v4(10, 0, 0, 2), 1000}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), TERN_EADDRINUSE);
	peer_close(&p);
}

/* STATUS tells of it, and leads through all there is. */
static void status_tells_of_it(void **state)
{
	(void)state;
	struct peer p;
	struct tern_tcp_info info;
	unsigned half_open = 0, listening = 0;
	begin(&p, 50);
	for (uint16_t port = 1000; port < 1020; port++)
		peer_half(&p, port, &peer_everything);
	peer_ignore(&p, 4 * SEC);
	for (uint32_t cursor = 0; tern_tcp_each(p.stack, &cursor, &info);) {
		listening += info.state == TERN_TCP_LISTEN;
		if (info.state != TERN_TCP_SYN_RECEIVED)
			continue;
		half_open++;
		assert_string_equal(info.timer, "retransmit");
		assert_int_equal(info.backoff, 2);
		assert_int_equal(info.state_age, 4);
		assert_true(info.timer_left <= 3 * SEC && info.timer_left > 2 * SEC);
	}
	assert_int_equal(half_open, 20);
	assert_int_equal(listening, 1);
	peer_close(&p);
}

/* However they come and go, nothing is lost and everything is where it should be. */
static void a_thousand_come_and_go_in_any_order(void **state)
{
	(void)state;
	struct peer p;
	struct test_rand r = {3};
	begin(&p, 4000);
	peer_set(&p, "tcp_max_syn_backlog", 200);
	for (unsigned i = 0; i < 20000; i++) {
		uint16_t port = (uint16_t)(1000 + test_rand_below(&r, 400));
		struct tcp_segment s = {.seq = seq(7001), .flags = TCP_RST, .window = 1000};
		if (test_rand_one_in(&r, 3)) {
			p.port = port;
			peer_send(&p, &s);
		} else {
			peer_syn(&p, port, NULL);
		}
		if (test_rand_one_in(&r, 4))
			peer_ignore(&p, test_rand_below(&r, 500) * MSEC);
		if (i % 64 == 0)
			assert_null(tern_stack_check(p.stack));
	}
	peer_ignore(&p, 64 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_costs_no_tcb_and_the_table_does_not_grow),
		cmocka_unit_test(a_small_budget_means_a_small_table),
		cmocka_unit_test(the_backlog_bounds_what_is_half_open),
		cmocka_unit_test(the_syn_ack_is_said_again_over_63_seconds),
		cmocka_unit_test(a_repeated_syn_does_not_prolong_it),
		cmocka_unit_test(what_was_agreed_on_holds),
		cmocka_unit_test(the_handshake_times_the_path),
		cmocka_unit_test(data_beyond_a_hole_completes_the_handshake),
		cmocka_unit_test(every_segment_is_answered_as_the_rfcs_say),
		cmocka_unit_test(an_old_timestamp_does_not_get_in),
		cmocka_unit_test(replies_to_the_invalid_are_rationed),
		cmocka_unit_test(icmp_ends_it_only_if_hard_and_about_our_syn_ack),
		cmocka_unit_test(syn_acks_wait_for_the_device),
		cmocka_unit_test(a_pair_that_is_half_open_cannot_be_dialled),
		cmocka_unit_test(status_tells_of_it),
		cmocka_unit_test(a_thousand_come_and_go_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
