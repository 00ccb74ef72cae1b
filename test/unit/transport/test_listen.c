/* LISTEN and its two queues: capacity, overflow, half-open connections that come to nothing. */
#include "peer.h"

/* One of many clients, told apart by port. */
struct client {
	uint16_t port;
	uint32_t seq, ack;
};

static void be(struct peer *p, const struct client *c)
{
	p->port = c->port;
	p->seq = c->seq;
	p->ack = c->ack;
}

static void send_syn(struct peer *p, uint16_t port)
{
	struct tcp_segment syn = {.seq = seq(port), .flags = TCP_SYN, .window = 65535};
	p->port = port;
	peer_send(p, &syn);
}

/* SYN and SYN-ACK; false if the SYN goes unanswered. */
static bool half(struct peer *p, struct client *c, uint16_t port)
{
	send_syn(p, port);
	if (!peer_take(p))
		return false;
	assert_int_equal(p->last.flags, TCP_SYN | TCP_ACK);
	*c = (struct client){port, port + 1u, p->last.seq.v + 1};
	return true;
}

static void finish(struct peer *p, const struct client *c, const char *data)
{
	be(p, c);
	peer_say(p, TCP_ACK, 0, data, data ? (uint32_t)strlen(data) : 0);
}

static bool established(struct peer *p, struct client *c, uint16_t port)
{
	if (!half(p, c, port))
		return false;
	finish(p, c, NULL);
	return true;
}

static unsigned accept_all(struct peer *p)
{
	unsigned n = 0;
	while (tern_tcp_accept(p->stack, p->listener, &p->conn) == 0) {
		assert_int_equal(tern_tcp_abort(p->stack, p->conn), 0);
		n++;
	}
	peer_drain(p);
	return n;
}

/* Linux's capacity; when it is full, a SYN is not answered and not remembered. */
static void the_accept_queue_holds_backlog_plus_one(void **state)
{
	(void)state;
	static const unsigned backlogs[] = {0, 1, 2, 5, 100};
	for (size_t i = 0; i < sizeof backlogs / sizeof *backlogs; i++) {
		struct peer p;
		struct client c;
		peer_open(&p);
		peer_listen_backlog(&p, backlogs[i]);
		for (unsigned k = 0; k < backlogs[i] + 1; k++)
			assert_true(established(&p, &c, (uint16_t)(1000 + k)));
		for (unsigned k = 0; k < 10; k++)
			assert_false(established(&p, &c, (uint16_t)(2000 + k)));
		assert_int_equal(peer_drops(&p, TERN_DROP_TCP_LISTEN_OVERFLOW), 10);
		assert_int_equal(peer_connections(&p), backlogs[i] + 1);
		/* Room again: each that is accepted makes room for one. */
		assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
		assert_int_equal(peer_info(&p).remote.port, 1000); /* the oldest first */
		assert_true(established(&p, &c, 3000));
		assert_false(established(&p, &c, 3001));
		assert_int_equal(accept_all(&p), backlogs[i] + 1);
		peer_close(&p);
	}
}

/* A second listen() says how many may wait from then on. */
static void the_backlog_may_change(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_listen_backlog(&p, 0);
	assert_true(established(&p, &c, 1000));
	assert_false(established(&p, &c, 2000));
	assert_int_equal(tern_tcp_listen_backlog(p.stack, p.listener, 2), 0);
	assert_true(established(&p, &c, 1001));
	assert_true(established(&p, &c, 1002));
	assert_false(established(&p, &c, 2001));
	assert_int_equal(tern_tcp_listen_backlog(p.stack, p.listener, 0), 0);
	assert_int_equal(accept_all(&p), 3); /* those that waited are not lost */
	assert_true(established(&p, &c, 1003));
	assert_false(established(&p, &c, 2002));
	peer_close(&p);
}

static void somaxconn_caps_the_backlog(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_set(&p, "somaxconn", 3);
	peer_listen_backlog(&p, 100);
	for (unsigned k = 0; k < 4; k++)
		assert_true(established(&p, &c, (uint16_t)(1000 + k)));
	assert_false(established(&p, &c, 2000));
	peer_close(&p);
}

/* The last ACK finds the queue full: the connection stays half-open, its SYN-ACK goes out again,
 * and once there is room it appears, with nothing lost (osv #283, gVisor #236, demikernel #1313).
 */
static void an_overflowing_connection_is_kept_until_there_is_room(void **state)
{
	(void)state;
	struct peer p;
	struct client first, late;
	char got[16];
	peer_open(&p);
	peer_listen_backlog(&p, 0);
	assert_true(half(&p, &first, 1000));
	assert_true(half(&p, &late, 1001));
	finish(&p, &first, NULL);
	finish(&p, &late, NULL);
	peer_say(&p, TCP_ACK, 0, "hello", 5); /* the client believes it is connected */
	assert_int_equal(peer_drain(&p), 0);
	assert_int_equal(peer_connections(&p), 2);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtListenOverflows), 2);
	/* Again and again while it is full; each time the client answers. */
	for (unsigned i = 0; i < 3; i++) {
		assert_true(peer_expect(&p, 20 * SEC));
		assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
		assert_int_equal(p.last.dst_port, 1001);
		finish(&p, &late, NULL);
		peer_say(&p, TCP_ACK, 0, "hello", 5);
		assert_int_equal(peer_drain(&p), 0);
	}
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), TERN_EAGAIN);
	finish(&p, &late, "hello"); /* the client's retransmission is all it takes */
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_int_equal(peer_info(&p).remote.port, 1001);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), 5);
	assert_memory_equal(got, "hello", 5);
	peer_close(&p);
}

/* The whole matrix: so many half-open, so many finished, so many accepted, in any order: each that
 * finished is accepted in the end if its client keeps at it. */
static void every_order_of_finishing_and_accepting_loses_nobody(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct test_rand r = {seed};
		struct peer p;
		struct client c[12];
		bool done[12] = {false};
		unsigned accepted = 0, clients = 0;
		peer_open(&p);
		peer_listen_backlog(&p, (unsigned)(seed % 4));
		for (unsigned i = 0; accepted < 12 && i < 3000; i++) {
			if (clients < 12 && test_rand_one_in(&r, 2))
				clients += half(&p, &c[clients], (uint16_t)(1000 + clients));
			if (clients) {
				unsigned k = test_rand_below(&r, clients);
				if (!done[k]) {
					finish(&p, &c[k], "data");
					peer_drain(&p);
				}
			}
			if (!test_rand_one_in(&r, 5))
				continue;
			if (tern_tcp_accept(p.stack, p.listener, &p.conn) == 0) {
				unsigned k = peer_info(&p).remote.port - 1000u;
				char got[8];
				assert_false(done[k]);
				done[k] = true;
				accepted++;
				assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 4);
			}
			peer_wait(&p, 10 * MSEC);
			peer_drain(&p);
		}
		assert_int_equal(accepted, 12);
		peer_close(&p);
	}
}

static void overflow_resets_if_asked_to(void **state)
{
	(void)state;
	struct peer p;
	struct client first, late;
	peer_open(&p);
	peer_set(&p, "tcp_abort_on_overflow", 1);
	peer_listen_backlog(&p, 0);
	assert_true(half(&p, &first, 1000));
	assert_true(half(&p, &late, 1001));
	finish(&p, &first, NULL);
	finish(&p, &late, NULL);
	assert_true(peer_take(&p));
	assert_true(p.last.flags & TCP_RST);
	assert_int_equal(p.last.dst_port, 1001);
	assert_int_equal(p.last.seq.v, late.ack);
	assert_int_equal(peer_connections(&p), 1);
	peer_close(&p);
}

static void a_client_that_leaves_the_queue_makes_room(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	struct tern_event ev;
	peer_open(&p);
	peer_listen_backlog(&p, 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(established(&p, &c, (uint16_t)(1000 + i)));
		assert_false(half(&p, &c, (uint16_t)(2000 + i)));
		be(&p, &(struct client){(uint16_t)(1000 + i), 1001 + i, p.last.seq.v + 1});
		peer_say(&p, TCP_RST | TCP_ACK, 0, NULL, 0);
		assert_int_equal(peer_connections(&p), 0);
	}
	/* And the application is not told of those that are gone. */
	assert_false(tern_event_next(p.stack, &ev));
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), TERN_EAGAIN);
	peer_close(&p);
}

/* gvisor-tap-vsock #127, picotcp #53. */
static void syn_then_reset_ten_thousand_times_leaves_no_slot(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_listen_backlog(&p, 5);
	peer_set(&p, "tcp_max_syn_backlog", 5);
	for (unsigned i = 0; i < 10000; i++) {
		assert_true(half(&p, &c, (uint16_t)(1000 + i)));
		be(&p, &c);
		peer_say(&p, TCP_RST, 0, NULL, 0);
	}
	assert_int_equal(peer_connections(&p), 0);
	assert_true(established(&p, &c, 30000));
	assert_int_equal(accept_all(&p), 1);
	peer_close(&p);
}

/* SYN-ACKs go out six times, over 63 s; then the slot is free. */
static void syn_then_silence_ten_thousand_times_leaves_no_slot(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	unsigned taken = 0, sent = 0;
	peer_open(&p);
	peer_set(&p, "tcp_max_syn_source", 1000);
	peer_listen_backlog(&p, 2000);
	for (unsigned i = 0; i < 10000; i++) {
		taken += half(&p, &c, (uint16_t)(1000 + i));
		if (i % 1000 == 999)
			sent += peer_ignore(&p, 64 * SEC);
	}
	assert_int_equal(taken, 10000);
	assert_int_equal(sent, 10000 * 5);
	assert_int_equal(peer_connections(&p), 0);
	assert_true(established(&p, &c, 30000));
	assert_int_equal(accept_all(&p), 1);
	peer_close(&p);
}

/* "Hell of a Handshake": a spoofed SYN, or anything else, draws a handful of small segments,
 * however it is put; more only from who sends more. */
static void a_spoofed_segment_draws_few_bytes(void **state)
{
	(void)state;
	static const uint16_t flags[] = {TCP_SYN, TCP_ACK, TCP_SYN | TCP_ACK, TCP_FIN | TCP_ACK,
		TCP_SYN | TCP_FIN, TCP_RST, TCP_PSH | TCP_ACK, 0};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		for (uint16_t port = STACK_PORT; port <= STACK_PORT + 1; port++) {
			struct peer p;
			struct tcp_segment s = {.seq = seq(1),
				.ack = seq(1),
				.flags = flags[i],
				.window = 65535};
			uint32_t out = 0;
			peer_open(&p);
			peer_listen_backlog(&p, 5);
			p.stack_port = port;
			peer_send(&p, &s); /* 40 bytes */
			while (peer_expect(&p, 3600 * SEC))
				out += p.frame_len;
			bool open = flags[i] == TCP_SYN && port == STACK_PORT;
			assert_true(out <= (open ? 7 : 1) * 40);
			peer_close(&p);
		}
}

static void half_open_connections_are_limited(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_set(&p, "tcp_max_syn_backlog", 64);
	peer_set(&p, "tcp_syncookies", 0);
	peer_listen_backlog(&p, 100);
	for (unsigned i = 0; i < 64; i++)
		assert_true(half(&p, &c, (uint16_t)(1000 + i)));
	for (unsigned i = 0; i < 100; i++)
		assert_false(half(&p, &c, (uint16_t)(2000 + i)));
	assert_int_equal(peer_connections(&p), 64);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_SYN_BACKLOG), 100);
	finish(&p, &c, NULL); /* the last of the 64 */
	assert_true(half(&p, &c, 3000));
	peer_close(&p);
}

/* Whoever sends SYNs in another's name makes us send there what he sent, and no more than so many
 * of them again: cookies are said once. */
static void syns_in_anothers_name_amplify_nothing(void **state)
{
	(void)state;
	for (int cookies = 0; cookies <= 2; cookies++) {
		struct peer p;
		uint32_t in = 0, out = 0, limit = 8, syns = 1000;
		peer_open(&p);
		peer_set(&p, "tcp_syncookies", cookies);
		peer_set(&p, "tcp_max_syn_source", limit);
		peer_listen_backlog(&p, 50);
		for (unsigned i = 0; i < syns; i++) {
			struct tcp_segment s = {.seq = seq(i), .flags = TCP_SYN, .window = 65535};
			p.port = (uint16_t)(1000 + i);
			peer_send(&p, &s);
			in += 40;
			while (peer_take(&p))
				out += p.frame_len;
		}
		assert_int_equal(peer_connections(&p), cookies == 2 ? 0 : limit);
		while (peer_expect(&p, 3600 * SEC))
			out += p.frame_len;
		/* 44 bytes: our SYN-ACK has an MSS option; six in all for those that were kept. */
		uint32_t kept = cookies == 2 ? 0 : limit;
		assert_int_equal(out, ((cookies ? syns : limit) + 5 * kept) * 44);
		assert_true(out <= in + in / 2);
		if (!cookies)
			assert_int_equal(peer_drops(&p, TERN_DROP_TCP_SYN_SOURCE), syns - limit);
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

/* Who finishes the handshake makes room for another. */
static void a_finished_handshake_counts_no_more_for_its_address(void **state)
{
	(void)state;
	struct peer p;
	struct client c, d;
	peer_open(&p);
	peer_set(&p, "tcp_syncookies", 0);
	peer_set(&p, "tcp_max_syn_source", 2);
	peer_listen_backlog(&p, 50);
	for (unsigned i = 0; i < 20; i++)
		assert_true(established(&p, &c, (uint16_t)(1000 + i)));
	assert_true(half(&p, &c, 2000));
	assert_true(half(&p, &d, 2001));
	assert_false(half(&p, &c, 2002));
	finish(&p, &d, NULL);
	assert_true(half(&p, &c, 2003));
	assert_int_equal(accept_all(&p), 21);
	peer_close(&p);
}

/* RFC 9293 3.10.4: LISTEN: what is not accepted goes, with a reset each. */
static void closing_a_listener_resets_its_children(void **state)
{
	(void)state;
	struct peer p;
	struct client half_open, queued, accepted;
	peer_open(&p);
	peer_listen_backlog(&p, 5);
	assert_true(established(&p, &accepted, 1000));
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_true(half(&p, &half_open, 1001));
	assert_true(established(&p, &queued, 1002));
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	bool reset[3] = {false};
	while (peer_take(&p)) {
		assert_true(p.last.flags & TCP_RST);
		reset[p.last.dst_port - 1000] = true;
	}
	assert_false(reset[0]);
	assert_true(reset[1] && reset[2]);
	assert_int_equal(peer_connections(&p), 1);
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), TERN_ESTALE);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &(struct tern_conn){0}), TERN_ESTALE);
	/* The accepted one lives on; the port refuses others, and can be taken again. */
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	send_syn(&p, 1003);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_RST | TCP_ACK);
	peer_listen_backlog(&p, 5);
	assert_true(established(&p, &queued, 1004));
	peer_close(&p);
}

/* RFC 9293 3.10.7.2, in its order. */
static void a_listener_answers_each_segment_as_the_rfc_says(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 0x40; flags++) {
		struct peer p;
		peer_open(&p);
		peer_listen_backlog(&p, 5);
		struct tcp_segment s = {.seq = seq(100),
			.ack = seq(777),
			.flags = (uint16_t)flags,
			.window = 1000};
		peer_send(&p, &s);
		bool answered = peer_take(&p);
		if (flags & TCP_RST) {
			assert_false(answered);
		} else if (flags & TCP_ACK) {
			assert_true(answered);
			assert_int_equal(p.last.flags, TCP_RST);
			assert_int_equal(p.last.seq.v, 777);
		} else if (flags & TCP_SYN && !(flags & TCP_FIN)) {
			assert_true(answered);
			assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
			assert_int_equal(p.last.ack.v, 101);
		} else {
			assert_false(answered);
		}
		assert_int_equal(peer_drain(&p), 0);
		peer_close(&p);
	}
}

/* RFC 9293 3.10.7.4 for SYN_RECEIVED: a wrong ACK is reset and the half-open one stays. */
static void a_wrong_ack_resets_itself_only(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_listen_backlog(&p, 5);
	assert_true(half(&p, &c, 1000));
	static const uint32_t off[] = {1, 1000, 0x40000000, (uint32_t)-1, (uint32_t)-1000};
	for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
		struct tcp_segment s = {.seq = seq(c.seq),
			.ack = seq(c.ack + off[i]),
			.flags = TCP_ACK,
			.window = 1000};
		peer_send(&p, &s);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.flags, TCP_RST);
		assert_int_equal(p.last.seq.v, c.ack + off[i]);
	}
	finish(&p, &c, NULL);
	assert_int_equal(accept_all(&p), 1);
	peer_close(&p);
}

/* The same while our SYN-ACK still waits for room on the device: nothing of ours can be
 * acknowledged, what lies half a number space away least of all. */
static void an_ack_before_the_syn_ack_is_out_is_reset(void **state)
{
	(void)state;
	static const uint32_t off[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0x80000001};
	for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
		struct peer p;
		uint32_t slot = 0;
		peer_open(&p);
		peer_listen_backlog(&p, 5);
		send_syn(&p, 1000);
		const struct syn *e = tern_syncache_next(tern_stack_tcp(p.stack), &slot);
		struct tcp_segment s = {.seq = seq(1001),
			.ack = seq_add(e->iss, off[i]),
			.flags = TCP_ACK,
			.window = 1000};
		peer_send(&p, &s);
		assert_int_equal(accept_all(&p), 0);
		assert_int_equal(peer_drops(&p, TERN_DROP_TCP_BAD_ACK), 1);
		peer_close(&p);
	}
}

static void a_syn_sent_again_is_answered_again(void **state)
{
	(void)state;
	struct peer p;
	struct client c;
	peer_open(&p);
	peer_listen_backlog(&p, 5);
	assert_true(half(&p, &c, 1000));
	for (unsigned i = 0; i < 5; i++) {
		struct client again;
		peer_ignore(&p, SEC);
		assert_true(half(&p, &again, 1000));
		assert_int_equal(again.ack, c.ack);
		assert_int_equal(peer_connections(&p), 1);
	}
	peer_close(&p);
}

static void an_exact_address_beats_the_wildcard_and_ports_are_taken_once(void **state)
{
	(void)state;
	struct peer p;
	struct tern_listener l;
	peer_open(&p);
	peer_listen_backlog(&p, 5);
	struct tern_listen_opts o = {.local = {tern_addr_v4(10, 0, 0, 1), STACK_PORT}};
	assert_int_equal(tern_tcp_listen(p.stack, &o, &l), TERN_EADDRINUSE);
	o.local.addr = tern_addr_v4(10, 0, 0, 9);
	assert_int_equal(tern_tcp_listen(p.stack, &o, &l), TERN_EADDRNOTAVAIL);
	o.local = (struct tern_endpoint){tern_addr_v4(10, 0, 0, 1), 81};
	assert_int_equal(tern_tcp_listen(p.stack, &o, &l), 0);
	o.local.addr = tern_addr_v4(127, 0, 0, 1);
	assert_int_equal(tern_tcp_listen(p.stack, &o, &l), 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_accept_queue_holds_backlog_plus_one),
		cmocka_unit_test(the_backlog_may_change),
		cmocka_unit_test(somaxconn_caps_the_backlog),
		cmocka_unit_test(an_overflowing_connection_is_kept_until_there_is_room),
		cmocka_unit_test(every_order_of_finishing_and_accepting_loses_nobody),
		cmocka_unit_test(overflow_resets_if_asked_to),
		cmocka_unit_test(a_client_that_leaves_the_queue_makes_room),
		cmocka_unit_test(syn_then_reset_ten_thousand_times_leaves_no_slot),
		cmocka_unit_test(syn_then_silence_ten_thousand_times_leaves_no_slot),
		cmocka_unit_test(a_spoofed_segment_draws_few_bytes),
		cmocka_unit_test(half_open_connections_are_limited),
		cmocka_unit_test(syns_in_anothers_name_amplify_nothing),
		cmocka_unit_test(a_finished_handshake_counts_no_more_for_its_address),
		cmocka_unit_test(closing_a_listener_resets_its_children),
		cmocka_unit_test(a_listener_answers_each_segment_as_the_rfc_says),
		cmocka_unit_test(a_wrong_ack_resets_itself_only),
		cmocka_unit_test(an_ack_before_the_syn_ack_is_out_is_reset),
		cmocka_unit_test(a_syn_sent_again_is_answered_again),
		cmocka_unit_test(an_exact_address_beats_the_wildcard_and_ports_are_taken_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
