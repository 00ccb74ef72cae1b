/* What an attacking reader of the core once found, each seen failing: peers that bend a rule just
 * so, and lengths of time and of buffers at the edge of a type. */
#include "peer.h"
#include "wire/icmpv4.h"

#define HOUR (3600 * SEC)
static uint8_t block[60000];

static void open_at(struct peer *p, uint32_t iss, const struct tcp_options *o)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, iss, o);
	peer_drain(p);
}

/* An inexact RST padded with data must not reset (RFC 5961 3.2). */
static void rst_with_text_before_the_window(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	/* 1459 numbers off, ACK number not even known */
	struct tcp_segment s = {.seq = seq(p.seq - 1459),
		.flags = TCP_RST,
		.data = block,
		.data_len = 1460};
	peer_send(&p, &s);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* How many numbers one packet covers. */
static void rst_with_64k_of_text(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 0x10000000, NULL);
	struct tcp_segment s = {.seq = seq(p.seq - 59999),
		.flags = TCP_RST,
		.data = block,
		.data_len = 60000};
	peer_send(&p, &s);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* PMTU of two connections to one peer. */
static void pmtu_of_the_second_connection(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS, .mss = 1460};
	open_at(&p, 1000, &o);
	struct tern_conn first = p.conn;
	uint32_t first_ack = p.ack, first_seq = p.seq;
	p.port++;
	peer_connect(&p, 9000, &o);
	peer_drain(&p);
	/* the first learns */
	struct tern_conn second = p.conn;
	uint32_t second_ack = p.ack;
	p.conn = first;
	p.port--;
	p.ack = first_ack;
	assert_int_equal(tern_tcp_write(p.stack, first, block, 1460), 1460);
	assert_int_equal(peer_drain(&p), 1);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, first_ack);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.data_len, 960);
	/* the second must learn too */
	p.conn = second;
	p.port++;
	p.ack = second_ack;
	assert_int_equal(tern_tcp_write(p.stack, second, block, 1460), 1460);
	while (peer_take(&p) && p.last.dst_port != p.port)
		;
	print_message("second connection's first segment after the path shrank: %u bytes\n",
		p.last.data_len);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, second_ack);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, first_ack);
	bool fits = false;
	unsigned big = 0;
	uint64_t from = p.now;
	while (!fits && peer_expect(&p, 600 * SEC)) {
		if (p.last.dst_port != p.port || !p.last.data_len)
			continue;
		if (p.last.data_len <= 960)
			fits = true;
		else {
			big++;
			peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, second_ack);
		}
	}
	(void)first_seq;
	print_message("sent too big again %u times, ICMP each time, for %llu s\n", big,
		(unsigned long long)((p.now - from) / SEC));
	assert_true(fits && p.now - from < 10 * SEC);
	peer_close(&p);
}

/* Sizes of buffers. */
static void a_send_buffer_beyond_1_gib(void **state)
{
	(void)state;
	struct peer p;
	struct tern_span spans[4];
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_SNDBUF, INT32_MAX), 0);
	assert_true(tern_tcp_room(p.stack, p.conn, SIZE_MAX, spans, 4) > 0);
	assert_int_equal(tern_tcp_commit(p.stack, p.conn, 0), 0);
	peer_close(&p);
}

static void a_receive_buffer_beyond_1_gib(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 7};
	peer_open(&p);
	peer_set(&p, "tcp_rmem_max", 1073741824);
	peer_listen(&p);
	peer_connect(&p, 1000, &o);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF, INT32_MAX), 0);
	peer_drain(&p);
	for (unsigned i = 0; i < 20; i++) {
		peer_say(&p, TCP_ACK, 0, block, 1460);
		p.seq += 1460;
	}
	peer_drain(&p);
	struct tern_tcp_info info = peer_info(&p);
	print_message("unread %u, offered %u\n", info.unread, info.rcv_wnd);
	peer_say(&p, TCP_ACK, info.rcv_wnd - 1000, block, 1000);
	peer_close(&p);
}

/* Text on a SYN-ACK beyond the window the SYN offered. */
static void syn_ack_text_beyond_the_window(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), p.port},
		.rcvbuf = 2304};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	assert_true(peer_take(&p));
	uint32_t offered = p.last.window;
	p.stack_port = p.last.src_port;
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq(p.last.seq.v + 1),
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535,
		.data = block,
		.data_len = 60000};
	peer_send(&p, &s);
	print_message("offered %u, took %u\n", offered, peer_info(&p).unread);
	assert_true(peer_info(&p).unread <= offered);
	peer_close(&p);
}

/* A jump of time of more than 2^31 ticks. */
static void time_jumps_two_days(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, block, 100), 100);
	assert_int_equal(peer_drain(&p), 1);
	peer_wait(&p, 40 * HOUR);
	uint64_t from = p.now;
	assert_true(peer_expect(&p, 200 * HOUR));
	print_message("retransmitted %llu s after the jump\n",
		(unsigned long long)((p.now - from) / SEC));
	assert_true(p.now - from <= 120 * SEC);
	peer_close(&p);
}

/* User timeout of four days. */
static void a_user_timeout_of_four_days(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_USER_TIMEOUT,
				 4 * 24 * 3600 * 1000),
		0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, block, 100), 100);
	peer_ignore(&p, 12 * 24 * HOUR);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	peer_close(&p);
}

/* TIME_WAIT reuse by a cookie: ISN must lie beyond the old connection's numbers. */
static void cookie_isn_after_time_wait(void **state)
{
	(void)state;
	unsigned wrong = 0;
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct peer p;
		const struct peer_setup setup = {.seed = (uint8_t)seed};
		peer_open_as(&p, &setup);
		peer_listen(&p);
		peer_connect(&p, 5000, NULL);
		peer_drain(&p);
		assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
		peer_drain(&p);
		p.ack++;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		peer_fin(&p);
		peer_drain(&p);
		assert_int_equal(peer_state(&p), TERN_TCP_TIME_WAIT);
		peer_set(&p, "tcp_syncookies", 2);
		struct tcp_segment syn = {.seq = seq(p.seq + 100000),
			.flags = TCP_SYN,
			.window = 65535};
		peer_send(&p, &syn);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
		wrong += (int32_t)(p.last.seq.v - p.ack) <= 0;
		peer_close(&p);
	}
	print_message("ISN not beyond the old connection's: %u of 20\n", wrong);
	assert_int_equal(wrong, 0);
}

/* SYN with text straddling rcv.nxt is to be challenged. */
static void a_syn_just_before_the_window_with_text(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	peer_wait(&p, SEC);
	struct tcp_segment s = {.seq = seq(p.seq - 1),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535,
		.data = block,
		.data_len = 5};
	peer_send(&p, &s);
	print_message("unread: %u\n", peer_info(&p).unread);
	assert_int_equal(peer_info(&p).unread, 0);
	peer_close(&p);
}

/* An orphan whose peer toggles its window, never taking a byte. */
static void an_orphan_pinned_by_a_toggled_window(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, block, 1000), 1000);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	peer_drain(&p);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	uint64_t end = p.now + 30 * 24 * HOUR;
	unsigned sent = 0;
	while (p.now < end && peer_connections(&p)) {
		uint64_t turn = p.now + 60 * SEC;
		while (p.now < turn && peer_expect(&p, turn - p.now)) /* answers every probe */
			peer_say(&p, TCP_ACK, 0, NULL, 0), sent++;
		p.window = 1;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		p.window = 0;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		sent += 2;
	}
	print_message("after %llu h, %u segments: %u connections\n",
		(unsigned long long)((p.now - (end - 30 * 24 * HOUR)) / HOUR), sent,
		peer_connections(&p));
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* One byte out of order every chunk, on some connections: what others get. */
static void holes_of_some_starve_the_others(void **state)
{
	(void)state;
	struct peer p;
	const struct peer_setup setup = {.budget = 4 << 20};
	peer_open_as(&p, &setup);
	peer_listen(&p);
	peer_connect(&p, 1000, NULL); /* the victim */
	struct peer victim = p;
	unsigned conns = 0, segments = 0;
	struct tern_memory_info m;
	for (; conns < 200; conns++) {
		p.port++;
		struct tcp_segment syn = {.seq = seq(1), .flags = TCP_SYN, .window = 65535};
		peer_send(&p, &syn);
		if (!peer_take(&p))
			break;
		p.seq = 2;
		p.ack = p.last.seq.v + 1;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		for (uint32_t at = 1; at < 65535; at += 4096, segments++)
			peer_say(&p, TCP_ACK, at, "x", 1);
		peer_drain(&p);
	}
	tern_memory_info(p.stack, &m);
	print_message("%u hostile connections, %u bytes of text; used %zu of %zu\n", conns,
		segments, m.used, m.budget);
	victim.now = p.now;
	p.conn = victim.conn;
	p.port = victim.port;
	p.seq = victim.seq;
	p.ack = victim.ack;
	for (unsigned i = 0; i < 3; i++) {
		peer_wait(&p, 600 * SEC);
		peer_say(&p, TCP_ACK, 0, block, 1000);
		peer_drain(&p);
	}
	print_message("victim got %u of 1000 bytes\n", peer_info(&p).unread);
	bool heard = peer_info(&p).unread == 1000;
	assert_true(heard);
	peer_close(&p);
}

/* Window scale of the SYN and of what is advertised later. */
static void rmem_max_changes_during_the_handshake(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 7};
	peer_open(&p);
	peer_dial(&p);
	unsigned said = p.last.options.wscale;
	peer_set(&p, "tcp_rmem_max", 65535);
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535,
		.options = o};
	peer_send(&p, &s);
	assert_true(peer_take(&p));
	uint32_t meant = peer_info(&p).rcv_wnd, read = (uint32_t)p.last.window << said;
	print_message("we offer %u, the peer reads %u\n", meant, read);
	assert_true(read <= meant + (1u << said));
	peer_close(&p);
}

/* An invalid segment's reply pace beyond a second. */
static void replies_paced_at_a_minute(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	peer_set(&p, "tcp_invalid_ratelimit", 60000);
	unsigned replies = 0;
	for (unsigned i = 0; i < 50; i++) {
		peer_wait(&p, 1100 * MSEC);
		peer_say(&p, TCP_SYN, 5000, NULL, 0);
		replies += peer_drain(&p);
	}
	print_message("%u replies in 55 s\n", replies);
	assert_true(replies <= 1);
	peer_close(&p);
}

/* TIME_WAIT prolonged by FINs from anywhere, blind. */
static void time_wait_and_blind_fins(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_TIME_WAIT);
	for (unsigned i = 0; i < 10; i++) {
		peer_wait(&p, 50 * SEC);
		struct tcp_segment s = {.seq = seq(p.seq + 0x50000000u + i),
			.ack = seq(12345),
			.flags = TCP_FIN};
		peer_send(&p, &s);
		peer_drain(&p);
	}
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	peer_close(&p);
}

/* SYNs at a closed window: paced? */
static void syns_at_a_closed_window(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF, 2304), 0);
	while (peer_info(&p).rcv_wnd) {
		uint32_t n = peer_info(&p).rcv_wnd < 1000 ? peer_info(&p).rcv_wnd : 1000;
		peer_say(&p, TCP_ACK, 0, block, n);
		p.seq += n;
		peer_drain(&p);
	}
	unsigned replies = 0;
	for (unsigned i = 0; i < 100; i++) {
		struct tcp_segment s = {.seq = seq(p.seq), .flags = TCP_SYN};
		peer_send(&p, &s);
		replies += peer_drain(&p);
	}
	print_message("%u replies to 100 SYNs\n", replies);
	assert_true(replies <= 1);
	peer_close(&p);
}

/* A connection of a port with itself. */
static void a_port_that_meets_itself(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	struct tern_endpoint self = {tern_addr_v4(127, 0, 0, 1), 7000};
	struct tern_connect_opts opts = {.local = self, .remote = self};
	int err = tern_tcp_connect(p.stack, &opts, &p.conn);
	print_message("connect: %d\n", err);
	if (err == 0) {
		for (unsigned i = 0; i < 10; i++)
			peer_wait(&p, SEC);
		print_message("state %d\n", peer_state(&p));
		assert_null(tern_stack_check(p.stack));
		if (peer_state(&p) == TERN_TCP_ESTABLISHED) {
			tern_tcp_write(p.stack, p.conn, "abc", 3);
			for (unsigned i = 0; i < 10; i++)
				peer_wait(&p, SEC);
			print_message("unread %u\n", peer_info(&p).unread);
			assert_int_equal(tern_tcp_read(p.stack, p.conn, block, 10), 3);
			tern_tcp_shutdown(p.stack, p.conn);
			for (unsigned i = 0; i < 10; i++)
				peer_wait(&p, SEC);
			print_message("state %d, segments %llu\n", peer_state(&p),
				(unsigned long long)tern_counter(p.stack, TERN_COUNT_TcpInSegs));
			uint64_t before = tern_counter(p.stack, TERN_COUNT_TcpInSegs);
			for (unsigned i = 0; i < 10; i++)
				peer_wait(&p, SEC);
			assert_true(tern_counter(p.stack, TERN_COUNT_TcpInSegs) - before < 10);
		}
	}
	peer_close(&p);
}

/* A larger send buffer is room, and who waits for room is told. */
static void a_larger_send_buffer_wakes_the_writer(void **state)
{
	(void)state;
	struct peer p;
	struct tern_event ev;
	open_at(&p, 1000, NULL);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_SNDBUF, 4096), 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, block, sizeof block), 4096);
	while (tern_event_next(p.stack, &ev))
		assert_int_not_equal(ev.kind, TERN_EV_WRITABLE);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_SNDBUF, 65536), 0);
	assert_true(tern_event_next(p.stack, &ev));
	assert_int_equal(ev.kind, TERN_EV_WRITABLE);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rst_with_text_before_the_window),
		cmocka_unit_test(rst_with_64k_of_text),
		cmocka_unit_test(pmtu_of_the_second_connection),
		cmocka_unit_test(syn_ack_text_beyond_the_window),
		cmocka_unit_test(time_jumps_two_days),
		cmocka_unit_test(a_user_timeout_of_four_days),
		cmocka_unit_test(cookie_isn_after_time_wait),
		cmocka_unit_test(a_syn_just_before_the_window_with_text),
		cmocka_unit_test(an_orphan_pinned_by_a_toggled_window),
		cmocka_unit_test(holes_of_some_starve_the_others),
		cmocka_unit_test(rmem_max_changes_during_the_handshake),
		cmocka_unit_test(replies_paced_at_a_minute),
		cmocka_unit_test(time_wait_and_blind_fins),
		cmocka_unit_test(syns_at_a_closed_window),
		cmocka_unit_test(a_port_that_meets_itself),
		cmocka_unit_test(a_send_buffer_beyond_1_gib),
		cmocka_unit_test(a_receive_buffer_beyond_1_gib),
		cmocka_unit_test(a_larger_send_buffer_wakes_the_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
