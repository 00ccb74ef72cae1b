/* Windows: the right edge, silly windows, probes of a closed one, scaling, auto-tuning. */
#include "pair.h"
#include "peer.h"

static void open_with(struct peer *p, const struct tcp_options *o)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 1, o);
	peer_drain(p);
}

static const struct tcp_options plain = {.has = TCP_OPT_MSS, .mss = 1000};
static const struct tcp_options scaled = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE,
	.mss = 1000,
	.wscale = 7};

/* --- ours ----------------------------------------------------------------------------------- */

/* Linux's tcp_select_initial_window(): what a buffer of that size could ever offer. */
static void a_buffer_fixed_before_the_syn_sets_the_scale(void **state)
{
	(void)state;
	static const struct {
		uint32_t rcvbuf, scale;
	} rows[] = {{0, 7}, {1, 0}, {65535, 0}, {65536, 1}, {131072, 2}, {6291456, 7},
		{1 << 30, 14}};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
		for (unsigned later = 0; later < 2; later++) {
			struct peer p;
			struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), 7},
				.rcvbuf = later ? 0 : rows[k].rcvbuf};
			peer_open(&p);
			assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
			if (later && rows[k].rcvbuf)
				assert_int_equal(tern_tcp_option_set(p.stack, p.conn,
							 TERN_TCP_RCVBUF, rows[k].rcvbuf),
					0);
			assert_true(peer_take(&p));
			assert_int_equal(p.last.options.wscale, rows[k].scale);
			peer_close(&p);
		}
}

/* Random text, in order and beyond holes, random reads: ACK + window never goes back, by more than
 * a unit of scaling (RFC 7323 2.4) that is taken all the same. */
static void the_right_edge_never_retracts(void **state)
{
	(void)state;
	static uint8_t data[3000], got[70000];
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct test_rand r = {seed};
		struct peer p;
		uint32_t next = 0;
		open_with(&p, seed % 2 ? &plain : &scaled);
		uint32_t unit = 1u << peer_info(&p).rcv_wscale;
		assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF,
					 3000 + test_rand_below(&r, 60000)),
			0);
		tern_seq edge = seq_add(seq(p.seq), peer_info(&p).rcv_wnd);
		for (unsigned i = 0; i < 400; i++) {
			uint32_t n = 1 + test_rand_below(&r, sizeof data), hole = 0;
			uint32_t room = seq_diff(edge, seq(p.seq + next));
			if (test_rand_one_in(&r, 4))
				hole = test_rand_below(&r, 5000);
			if (n + hole <= room) {
				peer_say(&p, TCP_ACK, next + hole, data, n);
				next += hole ? 0 : n;
			}
			if (test_rand_one_in(&r, 3))
				tern_tcp_read(p.stack, p.conn, got,
					1 + test_rand_below(&r, sizeof got));
			while (peer_take(&p)) {
				next = p.last.ack.v - p.seq;
				tern_seq offer =
					seq_add(p.last.ack, (uint32_t)p.last.window * unit);
				assert_true(seq_geq(offer, seq_sub(edge, unit - 1)));
				edge = seq_max(edge, offer);
			}
			assert_int_equal(peer_info(&p).rcv_nxt + peer_info(&p).rcv_wnd, edge.v);
		}
		assert_int_equal(peer_drops(&p, TERN_DROP_TCP_OUT_OF_WINDOW), 0);
		peer_close(&p);
	}
}

/* A smaller buffer takes nothing back either: the window shrinks only as text fills it. */
static void a_smaller_buffer_takes_no_offer_back(void **state)
{
	(void)state;
	struct peer p;
	static uint8_t data[1000];
	open_with(&p, &plain);
	uint32_t offered = peer_info(&p).rcv_wnd;
	assert_int_equal(offered, 65535);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF, 3000), 0);
	for (uint32_t i = 0; i < 65; i++) {
		peer_say(&p, TCP_ACK, i * 1000, data, 1000);
		peer_drain(&p);
		assert_int_equal(peer_info(&p).rcv_wnd, offered - (i + 1) * 1000);
	}
	assert_int_equal(peer_info(&p).unread, 65000);
	peer_close(&p);
}

static uint32_t fill(struct peer *p)
{
	static uint8_t data[1000];
	uint32_t sent = 0;
	for (uint32_t room; (room = peer_info(p).rcv_wnd) > 0;) {
		uint32_t n = room < sizeof data ? room : (uint32_t)sizeof data;
		peer_say(p, TCP_ACK, sent, data, n);
		peer_drain(p);
		sent += n;
	}
	peer_ignore(p, SEC);
	return sent;
}

/* RFC 9293 3.8.6.2.2: a reader of single bytes opens the window by a segment or half the buffer,
 * never by a byte. */
/* MUST-39. */
static void a_slow_reader_offers_no_silly_window(void **state)
{
	(void)state;
	struct peer p;
	uint8_t byte;
	open_with(&p, &plain);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF, 20000), 0);
	uint32_t sent = fill(&p);
	/* What is over the buffer's size must be read first. */
	static uint8_t over[65536];
	assert_true(sent >= 20000);
	tern_tcp_read(p.stack, p.conn, over, sent - 20000);
	assert_int_equal(peer_drain(&p), 0);
	uint32_t read = 0, told = 0, step = peer_info(&p).advertised_mss;
	for (; read < 10000; read++) {
		assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), 1);
		while (peer_take(&p)) {
			assert_true(p.last.window >= told + step);
			told = p.last.window;
		}
	}
	assert_true(told >= 2 * step);
	peer_close(&p);
}

static void the_scale_is_the_smallest_that_reaches_the_largest_buffer(void **state)
{
	(void)state;
	static const struct {
		int64_t most;
		uint8_t scale;
	} rows[] = {{4096, 0}, {65535, 0}, {65536, 1}, {131070, 1}, {131072, 2}, {262144, 3},
		{6291456, 7}, {8388480, 7}, {8388608, 8}, {1073725440, 14}, {1073741824, 14}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer p;
		peer_open(&p);
		peer_set(&p, "tcp_rmem_max", rows[i].most);
		peer_dial(&p);
		assert_true(p.last.options.has & TCP_OPT_WSCALE);
		assert_int_equal(p.last.options.wscale, rows[i].scale);
		peer_close(&p);
	}
}

/* RFC 7323 2.2: the window in a SYN is not scaled; what follows is, rounded so that nothing offered
 * is taken back when room allows. */
static void windows_are_scaled_from_the_first_ack_on(void **state)
{
	(void)state;
	struct peer p;
	static uint8_t data[1000];
	peer_open(&p);
	peer_set(&p, "tcp_rmem_default", 200000);
	peer_listen(&p);
	struct tcp_segment syn = {.seq = seq(99),
		.flags = TCP_SYN,
		.window = 65535,
		.options = scaled};
	peer_send(&p, &syn);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.window, 65535);
	assert_int_equal(p.last.options.wscale, 7);
	p.seq = 100;
	p.ack = p.last.seq.v + 1;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	peer_say(&p, TCP_ACK, 0, data, 1000);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.window, (200000 - 1000) >> 7);
	/* The peer's are read the same way: 65535 in its SYN, then 511 << 7. */
	p.window = 511;
	peer_say(&p, TCP_ACK, 1000, NULL, 0);
	assert_int_equal(peer_info(&p).snd_wnd, 511 << 7);
	peer_close(&p);
}

/* --- the peer's ----------------------------------------------------------------------------------
 */

/* RFC 9293 3.8.6.2.1: into a window of little slivers goes no little segment, unless a timer says
 * that nothing better comes. */
/* MUST-38. */
static void slivers_of_window_are_left_alone_for_a_while(void **state)
{
	(void)state;
	struct peer p;
	static char data[5000];
	open_with(&p, &plain);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 5000);
	peer_drain(&p);
	p.ack += 5000;
	p.window = 100; /* it once offered 65535: less than half of that */
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 5000);
	assert_int_equal(peer_drain(&p), 0);
	uint64_t from = p.now;
	assert_true(peer_expect(&p, 10 * SEC));
	assert_int_equal(p.last.data_len, 100);
	assert_true(p.now - from >= 200 * MSEC);
	/* A window of a segment is no sliver. */
	p.ack += 100;
	p.window = 1000;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(p.last.data_len, 1000);
	peer_close(&p);
}

/* MUST-34. */
static void nothing_is_sent_beyond_the_window(void **state)
{
	(void)state;
	static char data[20000];
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct test_rand r = {seed};
		struct peer p;
		open_with(&p, &plain);
		uint32_t acked = 0, high = 0, edge = 65535;
		for (unsigned i = 0; i < 200; i++) {
			tern_tcp_write(p.stack, p.conn, data, test_rand_below(&r, sizeof data));
			while (peer_take(&p)) {
				uint32_t end = p.last.seq.v - p.ack + p.last.data_len;
				assert_true(end <= edge);
				high = end > high ? end : high;
			}
			peer_wait(&p, test_rand_below(&r, 300) * MSEC);
			acked += test_rand_below(&r, high - acked + 1);
			/* An honest peer does not take back what it offered. */
			uint32_t window = test_rand_below(&r, 30000);
			if (acked + window < edge)
				window = edge - acked;
			edge = acked + window;
			p.window = (uint16_t)window;
			uint32_t start = p.ack;
			p.ack += acked;
			peer_say(&p, TCP_ACK, 0, NULL, 0);
			p.ack = start;
		}
		peer_close(&p);
	}
}

static void close_window(struct peer *p)
{
	p->window = 0;
	peer_say(p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, "data", 4), 4);
	assert_int_equal(peer_drain(p), 0);
}

/* RFC 9293 3.8.6.1, RFC 6429: the probes back off to two minutes, and as long as they are answered
 * they go on: here for a day. */
/* MUST-36, MUST-37. */
static void a_closed_window_is_probed_with_backoff_and_never_given_up(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	close_window(&p);
	uint64_t last = p.now, wait = SEC, end = p.now + 24 * 3600 * SEC;
	while (p.now < end) {
		assert_true(peer_expect(&p, 200 * SEC));
		assert_int_equal(p.last.data_len, 0);
		assert_int_equal(p.last.seq.v, p.ack - 1); /* draws an answer */
		assert_in_range(p.now - last, wait, wait + MSEC);
		last = p.now;
		wait = wait * 2 < 120 * SEC ? wait * 2 : 120 * SEC;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	p.window = 1000;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.data_len, 4);
	p.ack += 4;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_ignore(&p, 3600 * SEC), 0);
	peer_close(&p);
}

/* MUST-20. */
static void unanswered_probes_end_the_connection(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	close_window(&p);
	unsigned probes = 0;
	while (peer_expect(&p, 200 * SEC) && !(p.last.flags & TCP_RST))
		probes++;
	assert_int_equal(probes, 15); /* tcp_retries2 */
	assert_int_equal(peer_info(&p).error, TERN_ETIMEDOUT);
	peer_close(&p);
}

/* One answer among many probes begins the count again. */
static void an_answer_now_and_then_is_enough(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	close_window(&p);
	for (unsigned i = 1; i <= 200; i++) {
		assert_true(peer_expect(&p, 200 * SEC));
		if (i % 14 == 0)
			peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* A window that closes on data in flight: it was in the window, so it is retransmitted, and the
 * answers keep the connection alive. */
static void data_in_flight_when_the_window_closes_is_not_given_up(void **state)
{
	(void)state;
	struct peer p;
	static char data[3000];
	open_with(&p, &plain);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 3000);
	assert_int_equal(peer_drain(&p), 3);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(peer_expect(&p, 200 * SEC));
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* MUST-66: our own closed window does not keep the peer's ACKs out. */
static void acks_are_heard_while_our_window_is_closed(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	uint32_t sent = fill(&p);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "data", 4), 4);
	assert_int_equal(peer_drain(&p), 1);
	p.ack += 4;
	peer_say(&p, TCP_ACK, sent, "more", 4); /* beyond our window */
	assert_int_equal(peer_info(&p).unacked, 0);
	assert_int_equal(peer_info(&p).unread, sent);
	peer_close(&p);
}

/* --- auto-tuning
 * ------------------------------------------------------------------------------------ */

/* A stream from side 0 to side 1, which reads at once; returns the time it took, ns. */
static uint64_t transfer(struct pair *t, size_t bytes)
{
	static uint8_t data[65536];
	uint64_t from = t->now;
	size_t sent = 0, got = 0;
	while (got < bytes) {
		ptrdiff_t n;
		size_t left = bytes - sent;
		n = tern_tcp_write(t->side[0].stack, t->side[0].conn, data,
			left < sizeof data ? left : sizeof data);
		sent += n > 0 ? (size_t)n : 0;
		n = tern_tcp_read(t->side[1].stack, t->side[1].conn, data, sizeof data);
		got += n > 0 ? (size_t)n : 0;
		assert_true(pair_step(t, t->now + 10 * SEC) || got == bytes);
	}
	return t->now - from;
}

/* 32 MiB over a path of 20 ms: 64 KiB a round trip would take 10 s. */
static void a_20_ms_path_is_not_held_to_64_kib(void **state)
{
	(void)state;
	static struct pair t;
	struct pair_setup setup = {.delay = 10 * MSEC};
	pair_open(&t, &setup);
	pair_connect(&t);
	uint64_t took = transfer(&t, 32u << 20);
	assert_true(took < SEC);
	assert_true(pair_info(&t, 1).rcvbuf > 1u << 20);
	assert_true(pair_info(&t, 0).sndbuf > 1u << 20);
	assert_int_equal(pair_info(&t, 0).retransmits, 0);
	pair_close(&t);
}

/* While the sender doubles, what is offered now is what it may have under way a round trip on: by
 * then twice what this round brought, and by the end of the next four times. */
static void slow_start_is_not_held_back_by_the_window(void **state)
{
	(void)state;
	static struct pair t;
	static uint8_t data[65536];
	struct pair_setup setup = {.delay = 100 * MSEC};
	struct tern_tcp_info info;
	pair_open(&t, &setup);
	pair_connect(&t);
	uint64_t begin = t.now;
	do {
		while (tern_tcp_write(t.side[0].stack, t.side[0].conn, data, sizeof data) > 0)
			;
		while (tern_tcp_read(t.side[1].stack, t.side[1].conn, data, sizeof data) > 0)
			;
		assert_true(pair_step(&t, t.now + SEC));
		info = pair_info(&t, 0);
		assert_true(info.unacked + info.mss <= info.snd_wnd ||
			    info.unacked + info.mss > info.cwnd);
	} while (info.cwnd < 1u << 20);
	assert_in_range(t.now - begin, 0, 1500 * MSEC); /* 14,600 bytes doubled seven times */
	pair_close(&t);
}

static void a_buffer_the_program_fixed_is_not_tuned(void **state)
{
	(void)state;
	static struct pair t;
	struct pair_setup setup = {.delay = 10 * MSEC};
	pair_open(&t, &setup);
	pair_connect(&t);
	tern_tcp_option_set(t.side[1].stack, t.side[1].conn, TERN_TCP_RCVBUF, 65536);
	tern_tcp_option_set(t.side[0].stack, t.side[0].conn, TERN_TCP_SNDBUF, 32768);
	uint64_t took = transfer(&t, 1u << 20);
	assert_true(took > 500 * MSEC); /* 32 KiB a round trip */
	assert_int_equal(pair_info(&t, 1).rcvbuf, 65536);
	assert_int_equal(pair_info(&t, 0).sndbuf, 32768);
	pair_close(&t);
}

static void a_reader_who_does_not_read_is_given_no_larger_buffer(void **state)
{
	(void)state;
	static struct pair t;
	struct pair_setup setup = {.delay = 10 * MSEC};
	static uint8_t data[65536];
	pair_open(&t, &setup);
	pair_connect(&t);
	for (unsigned i = 0; i < 50; i++) {
		tern_tcp_write(t.side[0].stack, t.side[0].conn, data, sizeof data);
		pair_run(&t, 100 * MSEC);
	}
	assert_int_equal(pair_info(&t, 1).rcvbuf, 131072);
	assert_true(pair_info(&t, 1).unread <= 131072);
	pair_close(&t);
}

/* Text of the peer's, the first byte of which is missing. */
static void say_beyond_a_hole(struct peer *p, uint32_t from, uint32_t to)
{
	static const char text[1000];
	for (uint32_t off = from; off < to; off += sizeof text)
		peer_say(p, TCP_ACK, 1 + off, text, sizeof text);
	peer_drain(p);
}

/* So much comes, from byte `from` on, and is read; a round is over. */
static void read_a_round(struct peer *p, uint32_t from, uint32_t bytes)
{
	static char text[1000];
	peer_wait(p, 100 * MSEC);
	for (uint32_t off = from; off < from + bytes; off += sizeof text) {
		peer_say(p, TCP_ACK, off, text, sizeof text);
		assert_int_equal(tern_tcp_read(p->stack, p->conn, text, sizeof text), sizeof text);
	}
	peer_drain(p);
}

/* What the next round brings twice of is twice that by the end of it, and half as much may lie
 * beyond holes: six times what a round brought that was twice the one before. */
static void while_rounds_double_six_times_are_held(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	peer_tcb(&p)->srtt = 100000;
	read_a_round(&p, 0, 30000);
	read_a_round(&p, 30000, 60000);
	read_a_round(&p, 90000, 1000);
	assert_in_range(peer_info(&p).rcvbuf, 6 * 60000, 7 * 60000);
	read_a_round(&p, 91000, 60000);
	read_a_round(&p, 151000, 60000);
	assert_in_range(peer_info(&p).rcvbuf, 6 * 60000, 7 * 60000);
	peer_close(&p);
}

/* What the program cannot read for a hole was brought all the same: while one is mended, or where
 * the path reorders and there always is one, the window goes on growing. */
static void what_lies_beyond_a_hole_makes_the_buffer_grow(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	peer_tcb(&p)->srtt = 100000;
	uint32_t before = peer_info(&p).rcvbuf;
	read_a_round(&p, 0, 1000);
	say_beyond_a_hole(&p, 1000, 50000);
	peer_wait(&p, 100 * MSEC);
	say_beyond_a_hole(&p, 50000, 51000);
	assert_true(peer_info(&p).rcvbuf > before);
	assert_true(peer_info(&p).rcvbuf >= 3 * 50000); /* twice, and what is held */
	peer_close(&p);
}

/* What came while memory was short would have made the buffer grow, and does when as much comes
 * again. */
static void a_shortage_of_memory_is_forgotten(void **state)
{
	(void)state;
	struct peer p;
	open_with(&p, &plain);
	peer_tcb(&p)->srtt = 100000;
	uint32_t before = peer_info(&p).rcvbuf;
	struct core *core = tern_stack_tcp(p.stack)->core;
	size_t budget = core->mem.budget;
	core->mem.budget = 2 * core->mem.used - 1; /* core_pressed() */
	for (uint32_t round = 0; round < 4; round++)
		read_a_round(&p, round * 60000, 60000);
	assert_int_equal(peer_info(&p).rcvbuf, before);
	core->mem.budget = budget;
	for (uint32_t round = 4; round < 7; round++)
		read_a_round(&p, round * 60000, 60000);
	assert_true(peer_info(&p).rcvbuf > before);
	peer_close(&p);
}

/* A peer that makes a hole itself does not make a program's buffer grow that reads nothing. */
static void a_hole_does_not_grow_the_buffer_of_who_does_not_read(void **state)
{
	(void)state;
	struct peer p;
	static const char text[1000];
	open_with(&p, &plain);
	peer_tcb(&p)->srtt = 100000;
	uint32_t before = peer_info(&p).rcvbuf;
	for (uint32_t round = 0; round < 3; round++) {
		say_beyond_a_hole(&p, round * 20000, round * 20000 + 20000);
		peer_wait(&p, 100 * MSEC);
	}
	peer_say(&p, TCP_ACK, 0, text, 1);
	assert_int_equal(peer_info(&p).unread, 60001);
	assert_int_equal(peer_info(&p).rcvbuf, before);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_fixed_before_the_syn_sets_the_scale),
		cmocka_unit_test(the_right_edge_never_retracts),
		cmocka_unit_test(a_smaller_buffer_takes_no_offer_back),
		cmocka_unit_test(a_slow_reader_offers_no_silly_window),
		cmocka_unit_test(the_scale_is_the_smallest_that_reaches_the_largest_buffer),
		cmocka_unit_test(windows_are_scaled_from_the_first_ack_on),
		cmocka_unit_test(slivers_of_window_are_left_alone_for_a_while),
		cmocka_unit_test(nothing_is_sent_beyond_the_window),
		cmocka_unit_test(a_closed_window_is_probed_with_backoff_and_never_given_up),
		cmocka_unit_test(unanswered_probes_end_the_connection),
		cmocka_unit_test(an_answer_now_and_then_is_enough),
		cmocka_unit_test(data_in_flight_when_the_window_closes_is_not_given_up),
		cmocka_unit_test(acks_are_heard_while_our_window_is_closed),
		cmocka_unit_test(a_20_ms_path_is_not_held_to_64_kib),
		cmocka_unit_test(slow_start_is_not_held_back_by_the_window),
		cmocka_unit_test(a_buffer_the_program_fixed_is_not_tuned),
		cmocka_unit_test(a_reader_who_does_not_read_is_given_no_larger_buffer),
		cmocka_unit_test(while_rounds_double_six_times_are_held),
		cmocka_unit_test(what_lies_beyond_a_hole_makes_the_buffer_grow),
		cmocka_unit_test(a_shortage_of_memory_is_forgotten),
		cmocka_unit_test(a_hole_does_not_grow_the_buffer_of_who_does_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
