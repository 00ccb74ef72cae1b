/* SYN cookies (RFC 4987 3.6): nothing is kept of a SYN, nothing is lost of what it agreed to, and
 * nobody who did not see the SYN-ACK gets in. */
#include "peer.h"

#define EPOCH (64 * SEC)

static const struct tcp_options everything = {
	.has = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP,
	.mss = 1400,
	.wscale = 7,
	.tsval = 5000,
};

static void begin(struct peer *p, int64_t mode, unsigned backlog)
{
	peer_open(p);
	peer_set(p, "tcp_syncookies", mode);
	peer_listen_backlog(p, backlog);
}

static uint64_t count(const struct peer *p, enum tern_counter which)
{
	return tern_counter(p->stack, which);
}

/* A SYN from a port of the peer's; the SYN-ACK is p->last. */
static bool syn(struct peer *p, uint16_t port, const struct tcp_options *options)
{
	struct tcp_segment s = {.seq = seq(7000), .flags = TCP_SYN, .window = 65535};
	if (options)
		s.options = *options;
	p->port = port;
	p->timestamps = options && options->has & TCP_OPT_TIMESTAMP;
	peer_send(p, &s);
	if (!peer_take(p))
		return false;
	assert_int_equal(p->last.flags, TCP_SYN | TCP_ACK);
	p->seq = 7001;
	p->ack = p->last.seq.v + 1;
	if (options) {
		p->tsval = options->tsval + 10;
		p->tsecr = p->last.options.tsval;
	}
	return true;
}

static void ack(struct peer *p)
{
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

static void accepted(struct peer *p)
{
	assert_int_equal(tern_tcp_accept(p->stack, p->listener, &p->conn), 0);
	assert_int_equal(peer_state(p), TERN_TCP_ESTABLISHED);
}

static struct tern_tcp_info listening(const struct peer *p)
{
	struct tern_tcp_info info = {0};
	for (uint32_t cursor = 0; tern_tcp_each(p->stack, &cursor, &info);)
		if (info.state == TERN_TCP_LISTEN)
			break;
	return info;
}

/* STATUS of a listener says what is half-open, and that cookies are out. */
static void a_listener_tells_of_its_door(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 1, 8);
	assert_int_equal(listening(&p).half_open_limit, 9);
	for (unsigned i = 0; i < 9; i++)
		assert_true(syn(&p, (uint16_t)(1000 + i), NULL));
	assert_int_equal(listening(&p).half_open, 9);
	assert_int_equal(listening(&p).cookies_left, 0);
	assert_true(syn(&p, 2000, NULL));
	assert_int_equal(listening(&p).half_open, 9);
	assert_in_range(listening(&p).cookies_left, 127, 129);
	peer_ignore(&p, 130 * SEC);
	assert_int_equal(listening(&p).half_open, 0);
	assert_int_equal(listening(&p).cookies_left, 0);
	peer_close(&p);
}

static void nothing_is_kept_of_a_syn(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 2, 5);
	struct tern_memory_info before, after;
	tern_memory_info(p.stack, &before);
	for (unsigned i = 0; i < 20000; i++)
		assert_true(syn(&p, (uint16_t)(1000 + i), &everything));
	tern_memory_info(p.stack, &after);
	assert_int_equal(after.connections, 0);
	assert_int_equal(after.used, before.used);
	assert_int_equal(tern_deadline(p.stack), TERN_NEVER);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesSent), 20000);
	peer_close(&p);
}

static void with_timestamps_nothing_is_lost(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 2, 5);
	for (unsigned wscale = 0; wscale <= 14; wscale++)
		for (unsigned sack = 0; sack < 2; sack++) {
			struct tcp_options o = everything;
			o.wscale = (uint8_t)wscale;
			if (!sack)
				o.has &= (uint8_t)~TCP_OPT_SACK_OK;
			assert_true(syn(&p, (uint16_t)(1000 + 2 * wscale + sack), &o));
			assert_int_equal(!!(p.last.options.has & TCP_OPT_SACK_OK), sack);
			assert_true(p.last.options.has & TCP_OPT_WSCALE);
			peer_wait(&p, 30 * MSEC);
			p.window = 1000;
			ack(&p);
			accepted(&p);
			struct tern_tcp_info info = peer_info(&p);
			assert_true(info.timestamps && info.wscale_ok);
			assert_int_equal(info.sack, sack);
			assert_int_equal(info.snd_wscale, wscale);
			assert_int_equal(info.snd_wnd, 1000u << wscale);
			assert_int_equal(info.mss, 1360 - 12);
			/* Later timestamps are higher, and the round trip is known to 64 ms. */
			assert_int_equal(tern_tcp_write(p.stack, p.conn, "x", 1), 1);
			assert_true(peer_take(&p));
			assert_true((int32_t)(p.last.options.tsval - p.tsecr) >= 0);
			assert_true(info.rtt_us >= 30000 && info.rtt_us < 100000);
			assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
			peer_drain(&p);
		}
	peer_close(&p);
}

/* As Linux's tcp_select_initial_window(): the connection has the scale that its SYN-ACK told. */
static void the_scale_is_that_of_the_listeners_buffer_and_clamp(void **state)
{
	(void)state;
	static const struct {
		uint32_t rcvbuf, clamp, scale;
	} rows[] = {{0, 0, 7}, {20000, 0, 0}, {200000, 0, 2}, {0, 100000, 1}, {200000, 100000, 1},
		{20000, 100000, 0}, {20000000, 0, 9}};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
		for (int64_t mode = 1; mode <= 2; mode++) { /* remembered, in a cookie */
			struct peer p;
			struct tern_listen_opts opts = {.local.port = STACK_PORT,
				.backlog = 5,
				.rcvbuf = rows[k].rcvbuf};
			peer_open(&p);
			peer_set(&p, "tcp_syncookies", mode);
			assert_int_equal(tern_tcp_listen(p.stack, &opts, &p.listener), 0);
			assert_int_equal(tern_tcp_listen_option_set(p.stack, p.listener,
						 TERN_TCP_WINDOW_CLAMP, rows[k].clamp),
				0);
			assert_true(syn(&p, 1000, &everything));
			assert_int_equal(p.last.options.wscale, rows[k].scale);
			ack(&p);
			accepted(&p);
			assert_int_equal(peer_info(&p).rcv_wscale, rows[k].scale);
			peer_close(&p);
		}
}

static void without_timestamps_it_still_works(void **state)
{
	(void)state;
	static const uint16_t mss[][2] = {{0, 536}, {600, 536}, {1219, 536}, {1220, 1220},
		{1399, 1360}, {1459, 1440}, {1460, 1460}, {9000, 1460}};
	struct peer p;
	char got[8];
	begin(&p, 2, 5);
	for (size_t i = 0; i < sizeof mss / sizeof *mss; i++) {
		struct tcp_options o = {.has = TCP_OPT_WSCALE | TCP_OPT_SACK_OK |
					       (mss[i][0] ? TCP_OPT_MSS : 0),
			.mss = mss[i][0],
			.wscale = 9};
		assert_true(syn(&p, (uint16_t)(1000 + i), &o));
		assert_int_equal(p.last.options.has, TCP_OPT_MSS);
		peer_say(&p, TCP_ACK | TCP_PSH, 0, "data", 4); /* the ACK brings some */
		accepted(&p);
		struct tern_tcp_info info = peer_info(&p);
		assert_false(info.timestamps || info.wscale_ok || info.sack);
		assert_int_equal(info.mss, mss[i][1]);
		assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), 4);
		assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
		peer_drain(&p);
	}
	peer_close(&p);
}

/* 1: only when the queue of half-open connections is full; they stay, and the honest get in. */
static void only_when_the_queue_is_full(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 1, 5);
	peer_set(&p, "tcp_max_syn_backlog", 8);
	for (unsigned i = 0; i < 8; i++)
		assert_true(syn(&p, (uint16_t)(1000 + i), NULL));
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesSent), 0);
	assert_int_equal(peer_connections(&p), 8);
	assert_true(syn(&p, 2000, &everything));
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesSent), 1);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtTCPReqQFullDoCookies), 1);
	assert_int_equal(peer_connections(&p), 8);
	ack(&p);
	accepted(&p);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesRecv), 1);
	assert_int_equal(peer_connections(&p), 9);
	peer_close(&p);
}

static void switched_off_the_syn_is_dropped(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 0, 5);
	peer_set(&p, "tcp_max_syn_backlog", 1);
	assert_true(syn(&p, 1000, NULL));
	assert_false(syn(&p, 1001, NULL));
	assert_int_equal(count(&p, TERN_COUNT_TcpExtTCPReqQFullDrop), 1);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_SYN_BACKLOG), 1);
	peer_close(&p);
}

/* Guesses: none gets in, each is reset (within the rate), none costs memory. */
static void a_guess_is_reset(void **state)
{
	(void)state;
	struct peer p;
	struct test_rand r = {4};
	begin(&p, 2, 5);
	assert_true(syn(&p, 1000, &everything)); /* cookies are out */
	uint32_t cookie = p.ack;
	struct tern_memory_info before, after;
	tern_memory_info(p.stack, &before);
	for (unsigned i = 0; i < 200000; i++) {
		/* Numbers near the true one, and any. */
		p.ack = i % 2 ? test_rand_u32(&r) : cookie ^ (1 + i % 256);
		ack(&p);
		peer_drain(&p);
	}
	tern_memory_info(p.stack, &after);
	assert_int_equal(after.connections, 0);
	assert_int_equal(after.used, before.used);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesFailed), 200000);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesRecv), 0);
	/* The right number from elsewhere, or with another number of the peer's, is a guess too. */
	p.ack = cookie;
	p.port = 1001;
	ack(&p);
	p.port = 1000;
	p.seq++;
	ack(&p);
	assert_int_equal(peer_connections(&p), 0);
	p.seq--;
	ack(&p);
	accepted(&p);
	peer_close(&p);
}

static void a_cookie_goes_stale(void **state)
{
	(void)state;
	static const struct {
		uint64_t age;
		bool good;
	} rows[] = {{0, true}, {63 * SEC, true}, {129 * SEC, false}, {32 * EPOCH, false},
		{33 * EPOCH, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer p;
		begin(&p, 2, 5);
		assert_true(syn(&p, 1000, &everything));
		struct peer old = p;
		for (uint64_t waited = 0; waited < rows[i].age; waited += 30 * SEC) {
			peer_wait(&p,
				rows[i].age - waited < 30 * SEC ? rows[i].age - waited : 30 * SEC);
			assert_true(syn(&p, 2000, NULL)); /* others keep coming */
		}
		p.port = old.port;
		p.ack = old.ack;
		p.timestamps = true;
		p.tsecr = old.tsecr;
		ack(&p);
		assert_int_equal(peer_connections(&p), rows[i].good);
		if (!rows[i].good)
			assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesFailed), 1);
		peer_close(&p);
	}
}

/* No ACK is believed to bring a cookie when none was sent lately. */
static void nobody_asks_when_none_were_sent(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 1, 5);
	for (unsigned i = 0; i < 100; i++) {
		p.port = (uint16_t)(1000 + i);
		ack(&p);
	}
	assert_int_equal(count(&p, TERN_COUNT_TcpExtSyncookiesFailed), 0);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_LISTEN_ACK), 100);
	peer_close(&p);
}

static void a_full_accept_queue_keeps_the_rules(void **state)
{
	(void)state;
	struct peer p;
	begin(&p, 2, 0);
	assert_true(syn(&p, 1000, &everything));
	struct peer first = p;
	assert_true(syn(&p, 1001, &everything));
	ack(&p);
	assert_int_equal(peer_connections(&p), 1);
	p.port = first.port;
	p.ack = first.ack;
	peer_say(&p, TCP_ACK, 0, "hi", 2);
	assert_int_equal(peer_drain(&p), 0); /* not reset: it may come again */
	assert_int_equal(peer_connections(&p), 1);
	assert_int_equal(count(&p, TERN_COUNT_TcpExtListenOverflows), 1);
	p.port = 1001;
	accepted(&p);
	p.port = first.port;
	peer_say(&p, TCP_ACK, 0, "hi", 2);
	accepted(&p);
	peer_close(&p);
}

/* What one instance sent, another with the same key and clock accepts: a fleet behind one address.
 */
static void instances_that_share_a_key_answer_for_each_other(void **state)
{
	(void)state;
	static const uint8_t key[16] = "a fleet's secret";
	for (unsigned shared = 0; shared < 2; shared++) {
		struct peer a, b;
		struct peer_setup later = {.now = 5000 * SEC, .seed = 9};
		begin(&a, 2, 5);
		peer_open_as(&b, &later);
		peer_set(&b, "tcp_syncookies", 2);
		peer_listen_backlog(&b, 5);
		if (shared) {
			assert_int_equal(tern_tcp_cookie_key(a.stack, key, 1000000 * SEC - a.now),
				0);
			assert_int_equal(tern_tcp_cookie_key(b.stack, key, 1000000 * SEC - b.now),
				0);
		}
		assert_true(syn(&a, 1000, NULL)); /* b has sent no cookie of its own */
		b.port = a.port;
		b.stack_port = a.stack_port;
		b.seq = a.seq;
		b.ack = a.ack;
		peer_say(&b, TCP_ACK, 0, NULL, 0);
		assert_int_equal(peer_connections(&b), shared);
		peer_close(&a);
		peer_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_tells_of_its_door),
		cmocka_unit_test(nothing_is_kept_of_a_syn),
		cmocka_unit_test(with_timestamps_nothing_is_lost),
		cmocka_unit_test(the_scale_is_that_of_the_listeners_buffer_and_clamp),
		cmocka_unit_test(without_timestamps_it_still_works),
		cmocka_unit_test(only_when_the_queue_is_full),
		cmocka_unit_test(switched_off_the_syn_is_dropped),
		cmocka_unit_test(a_guess_is_reset),
		cmocka_unit_test(a_cookie_goes_stale),
		cmocka_unit_test(nobody_asks_when_none_were_sent),
		cmocka_unit_test(a_full_accept_queue_keeps_the_rules),
		cmocka_unit_test(instances_that_share_a_key_answer_for_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
