/* Half-open connections and TIME_WAIT under odd clocks, settings and numbers: what attackers found.
 */
#include "peer.h"

static void waiting(struct peer *p, uint16_t port, const struct tcp_options *o)
{
	p->port = port;
	p->timestamps = false;
	peer_connect(p, 5000, o);
	peer_drain(p);
	assert_int_equal(tern_tcp_close(p->stack, p->conn), 0);
	assert_true(peer_take(p));
	p->ack++;
	peer_fin(p);
	peer_drain(p);
}

/* A laptop slept: what was half-open is over, not due for another half an hour. */
static void half_open_ends_after_a_pause_of_40_minutes(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_half(&p, 1000, NULL);
	peer_wait(&p, 40 * 60 * SEC); /* stopped, suspended */
	peer_ignore(&p, 64 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

static void time_wait_ends_after_a_pause_of_40_minutes(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	waiting(&p, 1000, NULL);
	assert_int_equal(peer_connections(&p), 1);
	peer_wait(&p, 40 * 60 * SEC);
	peer_wait(&p, SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* STATUS before the SYN-ACK is out. */
static void status_of_an_unsent_syn_ack(void **state)
{
	(void)state;
	struct peer p;
	struct tern_tcp_info info;
	struct peer_setup setup = {.now = 3000 * SEC};
	peer_open_as(&p, &setup);
	peer_listen(&p);
	peer_syn(&p, 1000, NULL);
	for (uint32_t cursor = 0; tern_tcp_each(p.stack, &cursor, &info);) {
		if (info.state != TERN_TCP_SYN_RECEIVED)
			continue;
		assert_int_equal(info.state_age, 0);
		assert_true(info.timer_left <= SEC);
	}
	peer_close(&p);
}

/* With tcp_max_tw_buckets reached, a FIN again prolongs nothing. */
static void a_fin_again_does_not_get_round_max_tw_buckets(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_max_tw_buckets", 0);
	peer_listen(&p);
	waiting(&p, 1000, NULL);
	p.seq--;
	peer_fin(&p);
	peer_drain(&p);
	peer_wait(&p, SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

static void fins_again_do_not_get_round_max_tw_buckets(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_max_tw_buckets", 10);
	peer_listen(&p);
	for (unsigned i = 0; i < 1000; i++) {
		waiting(&p, (uint16_t)(1000 + i), NULL);
		p.seq--;
		peer_fin(&p);
		peer_drain(&p);
	}
	peer_wait(&p, SEC);
	assert_true(peer_connections(&p) <= 10);
	peer_close(&p);
}

/* TcpOutSegs does not count what is said again (RFC 4022). */
static void a_syn_ack_again_is_not_an_out_seg(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_half(&p, 1000, NULL);
	assert_true(peer_expect(&p, 2 * SEC));
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpRetransSegs), 1);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpOutSegs), 1);
	peer_close(&p);
}

/* An ACK at the same moment times nothing, and the next one not instead of it. */
static void an_ack_in_no_time_is_a_short_rtt(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_half(&p, 1000, NULL);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	peer_drain(&p);
	peer_wait(&p, 900 * MSEC);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "x", 1), 1);
	assert_true(peer_take(&p));
	p.ack++;
	peer_wait(&p, MSEC);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_true(peer_info(&p).rtt_us < 100000);
	peer_close(&p);
}

static void loopback_rtt(void **state)
{
	(void)state;
	struct peer p;
	struct tern_conn client, server;
	peer_open(&p);
	peer_listen(&p);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(127, 0, 0, 1), STACK_PORT}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &client), 0);
	peer_wait(&p, MSEC);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &server), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(tern_tcp_write(p.stack, server, "x", 1), 1);
		assert_int_equal(tern_tcp_write(p.stack, client, "x", 1), 1);
		peer_wait(&p, 900 * MSEC);
		peer_wait(&p, MSEC);
	}
	struct tern_conn both[] = {client, server};
	for (unsigned i = 0; i < 2; i++) {
		p.conn = both[i];
	}
	assert_true(peer_info(&p).rtt_us < 100000);
	peer_close(&p);
}

/* A larger table is refused by memory: the old one serves. */
static void a_larger_table_that_cannot_be_had(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_half(&p, 1000, NULL);
	peer_say(&p, TCP_RST, 0, NULL, 0);
	assert_int_equal(peer_connections(&p), 0);
	peer_set(&p, "tcp_max_syn_backlog", 65536);
	test_heap_fail_once(&p.heap, 1);
	peer_syn(&p, 1001, NULL);
	test_heap_relent(&p.heap);
	assert_true(peer_take(&p));
	peer_close(&p);
}

/* Who raises tcp_max_syn_backlog in a flood gets more at once. */
static void raising_the_backlog_during_a_flood_helps(void **state)
{
	(void)state;
	struct peer p;
	uint16_t port = 1000;
	peer_open(&p);
	peer_set(&p, "tcp_syncookies", 0);
	peer_set(&p, "tcp_max_syn_source", 65000);
	peer_set(&p, "tcp_max_syn_backlog", 256);
	peer_listen_backlog(&p, 4000);
	for (unsigned s = 0; s < 600; s++) { /* ten SYNs a second, for ten minutes */
		if (s == 60)
			peer_set(&p, "tcp_max_syn_backlog", 4096);
		for (unsigned i = 0; i < 10; i++)
			peer_syn(&p, port++, NULL);
		peer_ignore(&p, SEC);
	}
	struct tern_listen_info info;
	assert_int_equal(tern_tcp_listen_info(p.stack, p.listener, &info), 0);
	assert_true(info.half_open > 600);
	peer_close(&p);
}

/* Only an acknowledgement of all we sent moves TS.Recent in TIME_WAIT (RFC 5961 5). */
static void an_ack_out_of_range_does_not_move_ts_recent(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = peer_everything;
	peer_open(&p);
	peer_listen(&p);
	waiting(&p, 1000, &o);
	assert_int_equal(peer_connections(&p), 1);
	struct tcp_segment s = {.seq = seq(p.seq),
		.ack = seq(p.ack - 0x40000000),
		.flags = TCP_ACK,
		.options = {.has = TCP_OPT_TIMESTAMP, .tsval = 5000u + 0x7fffffffu}};
	peer_send(&p, &s);
	peer_drain(&p);
	peer_wait(&p, SEC);
	/* the successor */
	struct tcp_segment t = {.seq = seq(p.seq + 100),
		.flags = TCP_SYN,
		.window = 65535,
		.options = {.has = TCP_OPT_TIMESTAMP, .tsval = 6000}};
	peer_send(&p, &t);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_open_ends_after_a_pause_of_40_minutes),
		cmocka_unit_test(time_wait_ends_after_a_pause_of_40_minutes),
		cmocka_unit_test(status_of_an_unsent_syn_ack),
		cmocka_unit_test(a_fin_again_does_not_get_round_max_tw_buckets),
		cmocka_unit_test(fins_again_do_not_get_round_max_tw_buckets),
		cmocka_unit_test(a_syn_ack_again_is_not_an_out_seg),
		cmocka_unit_test(an_ack_in_no_time_is_a_short_rtt),
		cmocka_unit_test(loopback_rtt),
		cmocka_unit_test(a_larger_table_that_cannot_be_had),
		cmocka_unit_test(raising_the_backlog_during_a_flood_helps),
		cmocka_unit_test(an_ack_out_of_range_does_not_move_ts_recent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
