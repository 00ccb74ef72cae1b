/* TIME_WAIT: how long, what it answers, and who may take the pair over (RFC 6191, RFC 1337). */
#include "peer.h"

#define OLD_TSVAL 5000u

/* The stack closed first and is in TIME_WAIT; p->seq and p->ack are the next numbers. */
static void open_waiting(struct peer *p, bool timestamps, bool listening)
{
	struct tcp_options o = {.has = timestamps ? TCP_OPT_TIMESTAMP : 0, .tsval = OLD_TSVAL};
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 0xfffffff0, &o);
	peer_drain(p);
	assert_int_equal(tern_tcp_close(p->stack, p->conn), 0);
	assert_true(peer_take(p));
	assert_true(peer_last_is(p, TCP_FIN | TCP_ACK));
	p->ack++;
	peer_say(p, TCP_ACK, 0, NULL, 0);
	peer_fin(p);
	assert_true(peer_take(p));
	assert_true(peer_last_is(p, TCP_ACK));
	assert_int_equal(p->last.ack.v, p->seq);
	assert_int_equal(peer_connections(p), 1);
	if (!listening)
		assert_int_equal(tern_tcp_listen_close(p->stack, p->listener), 0);
}

static void it_lasts_twice_the_segment_lifetime(void **state)
{
	(void)state;
	static const int msl[] = {1, 30, 120};
	for (size_t i = 0; i < sizeof msl / sizeof *msl; i++) {
		struct peer p;
		struct tcp_options none = {0};
		peer_open(&p);
		peer_set(&p, "tcp_msl", msl[i]);
		peer_listen(&p);
		peer_connect(&p, 1, &none);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		peer_drain(&p);
		peer_wait(&p, 2 * (uint64_t)msl[i] * SEC - MSEC);
		assert_int_equal(peer_connections(&p), 1);
		peer_wait(&p, 2 * MSEC);
		assert_int_equal(peer_connections(&p), 0);
		assert_int_equal(peer_drain(&p), 0);
		peer_close(&p);
	}
}

/* RFC 9293 3.10.7.4, eighth: TIME-WAIT: the ACK of the FIN was lost. */
static void a_fin_again_is_acknowledged_again_and_restarts_the_wait(void **state)
{
	(void)state;
	struct peer p;
	open_waiting(&p, false, true);
	for (unsigned i = 0; i < 5; i++) {
		peer_wait(&p, 50 * SEC);
		p.seq--;
		peer_fin(&p);
		assert_int_equal(peer_drain(&p), 1);
		assert_true(peer_last_is(&p, TCP_ACK));
		assert_int_equal(p.last.ack.v, p.seq);
		assert_int_equal(p.last.seq.v, p.ack);
	}
	peer_wait(&p, 59 * SEC);
	assert_int_equal(peer_connections(&p), 1);
	peer_wait(&p, 2 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

static void nothing_but_a_fin_restarts_it(void **state)
{
	(void)state;
	struct peer p;
	open_waiting(&p, false, true);
	for (unsigned i = 0; i < 5; i++) {
		peer_wait(&p, 10 * SEC);
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		peer_say(&p, TCP_ACK, (uint32_t)-5, "old", 3);
		peer_say(&p, TCP_ACK, 5, "new", 3);
		peer_drain(&p);
	}
	peer_wait(&p, 11 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* Sends the SYN and tells whether it was taken for a new connection. */
static bool taken(struct peer *p, uint32_t at, const uint32_t *tsval)
{
	uint32_t old_end = p->ack;
	struct tcp_segment syn = {.seq = seq(at), .flags = TCP_SYN, .window = 65535};
	if (tsval) {
		syn.options.has = TCP_OPT_TIMESTAMP;
		syn.options.tsval = *tsval;
	}
	peer_wait(p, SEC);
	peer_send(p, &syn);
	assert_int_equal(peer_connections(p), 1);
	if (!peer_take(p))
		return false;
	if (!peer_last_is(p, TCP_SYN | TCP_ACK)) {
		assert_true(peer_last_is(p, TCP_ACK)); /* a challenge: nothing is given away */
		assert_int_equal(p->last.ack.v, p->seq);
		assert_int_equal(p->last.seq.v, p->ack);
		return false;
	}
	assert_int_equal(p->last.ack.v, at + 1);
	/* The new connection's numbers lie beyond all of the old one's. */
	assert_true(seq_gt(p->last.seq, seq(old_end)));
	assert_int_equal(tern_counter(p->stack, TERN_COUNT_TcpExtTWRecycled), 1);
	return true;
}

/* The matrix of RFC 6191 2. Where the old connection had no timestamps, or the SYN has none, the
 * sequence number alone decides. */
static void the_pair_goes_to_a_newer_syn_only(void **state)
{
	(void)state;
	enum {
		NONE,
		OLDER,
		SAME,
		NEWER,
		MUCH_NEWER
	};
	static const uint32_t stamp[] = {0, OLD_TSVAL - 1, OLD_TSVAL, OLD_TSVAL + 1,
		OLD_TSVAL + 0x7fffffff};
	static const struct {
		bool stamped; /* the old connection */
		unsigned tsval;
		bool lower, higher; /* taken with a lower, with a higher sequence number */
	} rows[] = {
		{true, NONE, false, true},
		{true, OLDER, false, false},
		{true, SAME, false, true},
		{true, NEWER, true, true},
		{true, MUCH_NEWER, true, true},
		{false, NONE, false, true},
		{false, SAME, false, true},
		{false, NEWER, false, true},
	};
	static const uint32_t step[] = {1, 1000, 0x7ffffffe};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (unsigned higher = 0; higher < 2; higher++)
			for (unsigned k = 0; k < 3; k++) {
				struct peer p;
				open_waiting(&p, rows[i].stamped, true);
				uint32_t at = p.seq + (higher ? step[k] : 0u - step[k]);
				const uint32_t *ts =
					rows[i].tsval == NONE ? NULL : &stamp[rows[i].tsval];
				assert_int_equal(taken(&p, at, ts),
					higher ? rows[i].higher : rows[i].lower);
				peer_close(&p);
			}
}

static void without_a_listener_nobody_takes_the_pair(void **state)
{
	(void)state;
	struct peer p;
	uint32_t newer = OLD_TSVAL + 100;
	open_waiting(&p, true, false);
	assert_false(taken(&p, p.seq + 1000, &newer));
	assert_int_equal(peer_connections(&p), 1);
	peer_close(&p);
}

/* Only a bare SYN: with ACK, FIN or RST it is an old segment, or an attack. */
static void only_a_bare_syn_takes_the_pair(void **state)
{
	(void)state;
	static const uint16_t with[] = {TCP_ACK, TCP_FIN, TCP_RST, TCP_ACK | TCP_FIN};
	for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
		struct peer p;
		open_waiting(&p, false, true);
		struct tcp_segment s = {.seq = seq(p.seq + 1000),
			.ack = seq(p.ack),
			.flags = (uint16_t)(TCP_SYN | with[i]),
			.window = 1000};
		peer_send(&p, &s);
		while (peer_take(&p))
			assert_true(peer_last_is(&p, TCP_ACK));
		assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTWRecycled), 0);
		assert_int_equal(peer_connections(&p), 1);
		peer_close(&p);
	}
}

/* RFC6191-2-f. */
static void the_successor_works(void **state)
{
	(void)state;
	struct peer p;
	char got[8];
	open_waiting(&p, false, true);
	assert_true(taken(&p, p.seq + 5, NULL));
	p.seq = p.last.ack.v;
	p.ack = p.last.seq.v + 1;
	peer_say(&p, TCP_ACK, 0, "hello", 5);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 5);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* The peer acknowledges whatever the stack has to send. */
static void take_all(struct peer *p)
{
	while (peer_take(p)) {
		p->ack = p->last.seq.v + p->last.data_len;
		peer_say(p, TCP_ACK, 0, NULL, 0);
	}
}

/* The stack sends some seventy segments and closes first, all while its clock stands: numbers by
 * the clock alone would begin where the old ones did. The handle stays open, if asked for. */
static void wait_after_much(struct peer *p, bool held)
{
	static const uint8_t text[100000];
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 5000, NULL);
	for (size_t sent = 0; sent < sizeof text;) {
		ptrdiff_t n = tern_tcp_write(p->stack, p->conn, text, sizeof text - sent);
		assert_true(n > 0);
		sent += (size_t)n;
		take_all(p);
	}
	assert_int_equal(tern_tcp_shutdown(p->stack, p->conn), 0);
	peer_drain(p);
	p->ack++;
	peer_fin(p);
	if (!held)
		assert_int_equal(tern_tcp_close(p->stack, p->conn), 0);
	peer_drain(p);
}

/* RFC6191-2-f. */
static void the_successors_numbers_are_beyond_those_of_much_data(void **state)
{
	(void)state;
	for (unsigned held = 0; held < 2; held++) {
		struct peer p;
		wait_after_much(&p, held);
		uint32_t end = p.ack;
		struct tcp_segment syn = {.seq = seq(p.seq + 1),
			.flags = TCP_SYN,
			.window = UINT16_MAX};
		peer_send(&p, &syn);
		assert_true(peer_take(&p));
		assert_true(peer_last_is(&p, TCP_SYN | TCP_ACK));
		assert_true(seq_gt(p.last.seq, seq(end)));
		peer_close(&p);
	}
}

/* RFC 1337: a reset may be an old duplicate that ends the wait too soon. */
static void resets_do_not_assassinate_it_unless_allowed(void **state)
{
	(void)state;
	for (unsigned guarded = 0; guarded < 2; guarded++) {
		struct peer p;
		open_waiting(&p, false, true);
		peer_set(&p, "tcp_rfc1337", guarded);
		struct tcp_segment rst = {.seq = seq(p.seq + 1), .flags = TCP_RST};
		peer_send(&p, &rst); /* not exact: challenged, as everywhere */
		assert_int_equal(peer_connections(&p), 1);
		peer_drain(&p);
		rst.seq = seq(p.seq);
		peer_send(&p, &rst);
		assert_int_equal(peer_connections(&p), guarded);
		assert_int_equal(peer_drain(&p), 0);
		peer_close(&p);
	}
}

static void our_own_connect_does_not_reuse_the_pair(void **state)
{
	(void)state;
	struct peer p;
	struct tern_conn conn;
	open_waiting(&p, false, true);
	struct tern_connect_opts opts = {.local.port = STACK_PORT,
		.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &conn), TERN_EADDRINUSE);
	peer_wait(&p, 61 * SEC);
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &conn), 0);
	peer_close(&p);
}

/* A thousand of them: each answers for itself, and all are gone in time. */
static void many_wait_side_by_side(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	for (unsigned i = 0; i < 1000; i++) {
		p.port = (uint16_t)(1000 + i);
		peer_connect(&p, i * 77777, NULL);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		peer_drain(&p);
		peer_wait(&p, 10 * MSEC);
	}
	assert_int_equal(peer_connections(&p), 1000);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTW), 1000);
	peer_wait(&p, 51 * SEC);
	uint32_t left = peer_connections(&p);
	assert_in_range(left, 850, 950);
	peer_wait(&p, 9 * SEC);
	peer_wait(&p, SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* Beyond tcp_max_tw_buckets a connection says its last ACK and is gone; and as many as may, stay.
 */
static void there_are_no_more_than_the_setting_says(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options none = {0};
	peer_open(&p);
	peer_set(&p, "tcp_max_tw_buckets", 2);
	peer_listen(&p);
	for (unsigned i = 0; i < 5; i++) {
		p.port = (uint16_t)(1000 + i);
		peer_connect(&p, 1, &none);
		peer_drain(&p);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.ack.v, p.seq);
		peer_wait(&p, 20 * MSEC);
		assert_int_equal(peer_connections(&p), i < 2 ? i + 1 : 2);
	}
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPTimeWaitOverflow), 3);
	peer_wait(&p, 60 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* 48 bytes, once nobody holds it and its last ACK is out. */
static void it_needs_no_tcb(void **state)
{
	(void)state;
	struct peer p;
	struct tern_memory_info info;
	open_waiting(&p, true, true);
	peer_drain(&p);
	tern_memory_info(p.stack, &info);
	assert_int_equal(info.time_waits, 1);
	assert_int_equal(tern_stack_tcp(p.stack)->tcbs.live, 0);
	uint32_t cursor = 0;
	struct tern_tcp_info wait;
	assert_true(tern_tcp_each(p.stack, &cursor, &wait));
	assert_int_equal(wait.state, TERN_TCP_TIME_WAIT);
	assert_int_equal(wait.remote.port, p.port);
	assert_string_equal(wait.timer, "time-wait");
	assert_true(wait.timer_left > 59 * SEC);
	assert_true(tern_tcp_each(p.stack, &cursor, &wait) && wait.state == TERN_TCP_LISTEN);
	assert_false(tern_tcp_each(p.stack, &cursor, &wait));
	peer_close(&p);
}

/* Who keeps its handle keeps its TCB, and the wait is no longer for that. */
static void a_held_one_keeps_its_tcb_and_its_time(void **state)
{
	(void)state;
	static const unsigned held[] = {0, 1, 30, 59};
	for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
		struct peer p;
		struct tern_memory_info info;
		peer_open(&p);
		peer_listen(&p);
		peer_connect(&p, 1, NULL);
		struct tern_conn kept = p.conn;
		assert_int_equal(tern_tcp_shutdown(p.stack, kept), 0);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		peer_drain(&p);
		tern_memory_info(p.stack, &info);
		assert_int_equal(info.time_waits, 0);
		uint64_t since = p.now;
		peer_wait(&p, held[i] * SEC);
		/* Another begins to wait meanwhile, and is let go at once. */
		p.port++;
		peer_connect(&p, 1, NULL);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		peer_drain(&p);
		assert_int_equal(tern_tcp_close(p.stack, kept), 0);
		assert_int_equal(peer_connections(&p), 2);
		peer_wait(&p, since + 60 * SEC - p.now - 10 * MSEC);
		assert_int_equal(peer_connections(&p), 2);
		peer_wait(&p, 1010 * MSEC);
		assert_int_equal(peer_connections(&p), held[i] > 0);
		assert_null(tern_stack_check(p.stack));
		peer_wait(&p, 61 * SEC);
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_needs_no_tcb),
		cmocka_unit_test(a_held_one_keeps_its_tcb_and_its_time),
		cmocka_unit_test(there_are_no_more_than_the_setting_says),
		cmocka_unit_test(it_lasts_twice_the_segment_lifetime),
		cmocka_unit_test(a_fin_again_is_acknowledged_again_and_restarts_the_wait),
		cmocka_unit_test(nothing_but_a_fin_restarts_it),
		cmocka_unit_test(the_pair_goes_to_a_newer_syn_only),
		cmocka_unit_test(without_a_listener_nobody_takes_the_pair),
		cmocka_unit_test(only_a_bare_syn_takes_the_pair),
		cmocka_unit_test(the_successor_works),
		cmocka_unit_test(the_successors_numbers_are_beyond_those_of_much_data),
		cmocka_unit_test(resets_do_not_assassinate_it_unless_allowed),
		cmocka_unit_test(our_own_connect_does_not_reuse_the_pair),
		cmocka_unit_test(many_wait_side_by_side),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
