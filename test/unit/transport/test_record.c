/* Records: no segment goes on beyond the end of one (TERN_SEND_EOR, Linux's MSG_EOR). */
#include "pair.h"
#include "peer.h"

static uint8_t data[20000];

static void connected(struct peer *p)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 5000,
		&(struct tcp_options){.has = TCP_OPT_MSS | TCP_OPT_SACK_OK, .mss = 1000});
	peer_set(p, "tcp_pacing", 0);
}

static void record(struct peer *p, size_t n)
{
	assert_int_equal(tern_tcp_send(p->stack, p->conn, data, n, TERN_SEND_EOR), n);
}

static void corked(struct peer *p, int64_t on)
{
	assert_int_equal(tern_tcp_option_set(p->stack, p->conn, TERN_TCP_CORK, on), 0);
}

static void takes(struct peer *p, uint32_t len, bool push)
{
	assert_true(peer_take(p));
	assert_int_equal(p->last.data_len, len);
	assert_int_equal(!!(p->last.flags & TCP_PSH), push);
}

static void acknowledge(struct peer *p, uint32_t n)
{
	p->ack += n;
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

static void a_segment_ends_with_its_record(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	corked(&p, 1);
	for (unsigned i = 0; i < 3; i++) /* one byte each: neighbours */
		record(&p, 1);
	record(&p, 2500);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 10), 10);
	record(&p, 90);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 7), 7);
	for (unsigned i = 0; i < 3; i++)
		takes(&p, 1, true);
	takes(&p, 1000, false);
	takes(&p, 1000, false);
	takes(&p, 500, true);
	takes(&p, 100, true);
	assert_false(peer_take(&p)); /* the cork holds what is no record */
	acknowledge(&p, 2603);
	corked(&p, 0);
	takes(&p, 7, true);
	acknowledge(&p, 7);
	assert_int_equal(peer_tcb(&p)->side->records.count, 0);
	peer_ignore(&p, 5 * SEC);
	assert_null(peer_tcb(&p)->side);
	peer_close(&p);
}

static void what_goes_again_does_too(void **state)
{
	(void)state;
	for (unsigned sack = 0; sack < 2; sack++) {
		struct peer p;
		connected(&p);
		if (!sack)
			peer_tcb(&p)->flags &= ~TCB_SACK;
		assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_NODELAY, 1), 0);
		for (unsigned i = 0; i < 8; i++) {
			record(&p, 100);
			takes(&p, 100, true);
		}
		uint32_t lo = p.ack;
		for (unsigned i = 0; i < 60 && peer_expect(&p, 30 * SEC); i++) {
			assert_int_equal(p.last.data_len, 100);
			assert_int_equal((p.last.seq.v - lo) % 100, 0);
			if (i > 3 && p.last.seq.v == p.ack)
				acknowledge(&p, 100);
		}
		assert_int_equal(peer_info(&p).unacked, 0);
		peer_close(&p);
	}
}

static void what_does_not_fit_is_no_record_yet(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_SNDBUF, 4000), 0);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 5000, TERN_SEND_EOR), 4000);
	assert_true(!peer_tcb(&p)->side || peer_tcb(&p)->side->records.count == 0);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 1000, TERN_SEND_EOR), TERN_EAGAIN);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 0, TERN_SEND_EOR), 0);
	p.window = 65535;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		takes(&p, 1000, i == 3);
	acknowledge(&p, 4000);
	record(&p, 1000);
	takes(&p, 1000, true);
	peer_close(&p);
}

static void there_is_a_bound_of_them(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	peer_set(&p, "tcp_max_ranges", 4);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		record(&p, 10);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 10, TERN_SEND_EOR), TERN_EAGAIN);
	assert_int_equal(peer_info(&p).unsent, 40);
	p.window = 65535;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	/* Nagle's algorithm is not concerned with what has another behind it. */
	for (unsigned i = 0; i < 3; i++)
		takes(&p, 10, true);
	assert_false(peer_take(&p));
	acknowledge(&p, 30);
	takes(&p, 10, true);
	for (struct tern_event ev; tern_event_next(p.stack, &ev);)
		;
	acknowledge(&p, 10);
	record(&p, 10);
	takes(&p, 10, true);
	peer_close(&p);
}

/* A frame that the device cuts ends there, too: and the stream is whole. */
static void large_frames_end_with_their_record(void **state)
{
	(void)state;
	struct pair t;
	static uint8_t out[600000], in[600000];
	size_t sent = 0, got = 0;
	pair_open(&t, &(struct pair_setup){.delay = MSEC,
			      .offload = TERN_OFFLOAD_TSO | TERN_OFFLOAD_TX_CSUM});
	pair_connect(&t);
	for (size_t i = 0; i < sizeof out; i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	for (unsigned turn = 0; got < sizeof in && turn < 10000; turn++) {
		size_t n = 1 + (turn * 7919) % 9000;
		n = n < sizeof out - sent ? n : sizeof out - sent;
		ptrdiff_t done = n ? tern_tcp_send(t.side[0].stack, t.side[0].conn, out + sent, n,
					     TERN_SEND_EOR)
				   : 0;
		sent += done > 0 ? (size_t)done : 0;
		pair_run(&t, MSEC);
		done = tern_tcp_read(t.side[1].stack, t.side[1].conn, in + got, sizeof in - got);
		got += done > 0 ? (size_t)done : 0;
	}
	assert_int_equal(got, sizeof in);
	assert_memory_equal(in, out, sizeof in);
	pair_close(&t);
}

static void an_unknown_flag_is_refused(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 10, 4), TERN_EINVAL);
	assert_int_equal(tern_tcp_send(p.stack, p.conn, data, 10, 4 | TERN_SEND_EOR), TERN_EINVAL);
	assert_false(peer_take(&p));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_ends_with_its_record),
		cmocka_unit_test(what_goes_again_does_too),
		cmocka_unit_test(what_does_not_fit_is_no_record_yet),
		cmocka_unit_test(there_is_a_bound_of_them),
		cmocka_unit_test(large_frames_end_with_their_record),
		cmocka_unit_test(an_unknown_flag_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
