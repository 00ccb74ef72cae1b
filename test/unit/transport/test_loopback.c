/* Connections of a stack with itself, over 127.0.0.1 and over its own address. */
#include "peer.h"

#define STREAM 200000

struct ends {
	struct tern_conn client, server;
};

static void run(struct peer *p)
{
	/* Each call moves a bounded batch; nothing of it may show outside. */
	do {
		peer_wait(p, MSEC);
		assert_int_equal(peer_drain(p), 0);
	} while (tern_deadline(p->stack) <= p->now);
}

static void join(struct peer *p, struct tern_addr at, struct ends *e)
{
	struct tern_connect_opts opts = {.remote = {at, STACK_PORT}};
	assert_int_equal(tern_tcp_connect(p->stack, &opts, &e->client), 0);
	run(p);
	assert_int_equal(tern_tcp_accept(p->stack, p->listener, &e->server), 0);
	p->conn = e->client;
	assert_int_equal(peer_state(p), TERN_TCP_ESTABLISHED);
}

static const struct tern_addr *address(unsigned k)
{
	static struct tern_addr addr[3];
	addr[0] = tern_addr_v4(127, 0, 0, 1);
	addr[1] = tern_addr_v4(10, 0, 0, 1);
	addr[2] = tern_addr_v4(127, 1, 2, 3);
	return &addr[k];
}

static void a_stream_both_ways_arrives_whole(void **state)
{
	(void)state;
	static uint8_t data[2][STREAM], got[2][STREAM];
	struct test_rand r = {1};
	test_rand_fill(&r, data, sizeof data);
	for (unsigned k = 0; k < 2; k++) {
		struct peer p;
		struct ends e;
		size_t sent[2] = {0}, read[2] = {0};
		peer_open(&p);
		peer_listen(&p);
		join(&p, *address(k), &e);
		struct tern_conn conn[2] = {e.client, e.server};
		for (unsigned i = 0; i < 1000 && read[0] + read[1] < 2 * STREAM; i++) {
			for (unsigned s = 0; s < 2; s++) {
				ptrdiff_t n = tern_tcp_write(p.stack, conn[s], data[s] + sent[s],
					STREAM - sent[s]);
				sent[s] += n > 0 ? (size_t)n : 0;
				n = tern_tcp_read(p.stack, conn[s], got[s] + read[s],
					STREAM - read[s]);
				read[s] += n > 0 ? (size_t)n : 0;
			}
			run(&p);
		}
		assert_int_equal(read[0], STREAM);
		assert_int_equal(read[1], STREAM);
		assert_memory_equal(got[0], data[1], STREAM);
		assert_memory_equal(got[1], data[0], STREAM);
		assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpRetransSegs), 0);
		peer_close(&p);
	}
}

static void both_ends_know_each_other_by_the_same_address(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct peer p;
		struct ends e;
		struct tern_tcp_info c, s;
		peer_open(&p);
		peer_listen(&p);
		join(&p, *address(k), &e);
		assert_int_equal(tern_tcp_info(p.stack, e.client, &c), 0);
		assert_int_equal(tern_tcp_info(p.stack, e.server, &s), 0);
		assert_true(tern_addr_equal(&c.remote.addr, address(k)));
		assert_true(tern_addr_equal(&c.local.addr, address(k)));
		assert_true(tern_addr_equal(&s.remote.addr, &c.local.addr));
		assert_int_equal(s.remote.port, c.local.port);
		assert_int_equal(c.remote.port, STACK_PORT);
		peer_close(&p);
	}
}

static void closing_goes_through_all_its_states(void **state)
{
	(void)state;
	struct peer p;
	struct ends e;
	char byte;
	peer_open(&p);
	peer_listen(&p);
	join(&p, *address(0), &e);
	assert_int_equal(tern_tcp_shutdown(p.stack, e.client), 0);
	run(&p);
	assert_int_equal(peer_state(&p), TERN_TCP_FIN_WAIT_2);
	p.conn = e.server;
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSE_WAIT);
	assert_int_equal(tern_tcp_read(p.stack, e.server, &byte, 1), 0);
	assert_int_equal(tern_tcp_close(p.stack, e.server), 0);
	run(&p);
	p.conn = e.client;
	assert_int_equal(peer_state(&p), TERN_TCP_TIME_WAIT);
	assert_int_equal(peer_connections(&p), 1);
	peer_wait(&p, 61 * SEC);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	peer_close(&p);
}

static void nobody_listening_refuses(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct peer p;
		char byte;
		peer_open(&p);
		struct tern_connect_opts opts = {.remote = {*address(k), STACK_PORT}};
		assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
		run(&p);
		assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), TERN_ECONNREFUSED);
		peer_close(&p);
	}
}

static void an_abort_is_seen_at_the_other_end(void **state)
{
	(void)state;
	struct peer p;
	struct ends e;
	char byte;
	peer_open(&p);
	peer_listen(&p);
	join(&p, *address(1), &e);
	assert_int_equal(tern_tcp_abort(p.stack, e.client), 0);
	run(&p);
	assert_int_equal(tern_tcp_read(p.stack, e.server, &byte, 1), TERN_ECONNRESET);
	peer_close(&p);
}

/* A thousand at once, whole lives. */
static void many_connections_live_side_by_side(void **state)
{
	(void)state;
	struct peer p;
	static struct ends e[1000];
	peer_open(&p);
	peer_listen(&p);
	for (unsigned i = 0; i < 1000; i++)
		join(&p, *address(i % 2), &e[i]);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(tern_tcp_write(p.stack, e[i].client, &i, sizeof i), sizeof i);
	run(&p);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned got;
		assert_int_equal(tern_tcp_read(p.stack, e[i].server, &got, sizeof got), sizeof got);
		assert_int_equal(got, i);
		assert_int_equal(tern_tcp_close(p.stack, e[i].server), 0);
		assert_int_equal(tern_tcp_close(p.stack, e[i].client), 0);
	}
	run(&p);
	peer_wait(&p, 61 * SEC);
	run(&p);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* LAND (CVE-1999-0016), from the inside: a port that connects to itself opens simultaneously with
 * itself, as on Linux, or is refused; either way the stack stays well. */
static void a_port_that_calls_itself_does_no_harm(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct peer p;
		peer_open(&p);
		struct tern_connect_opts opts = {.local = {*address(k), 5000},
			.remote = {*address(k), 5000}};
		int err = tern_tcp_connect(p.stack, &opts, &p.conn);
		run(&p);
		if (err == 0) {
			char got[4];
			assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
			assert_int_equal(tern_tcp_write(p.stack, p.conn, "echo", 4), 4);
			run(&p);
			assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 4), 4);
			assert_memory_equal(got, "echo", 4);
			assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
			run(&p);
			peer_wait(&p, 61 * SEC);
			assert_int_equal(peer_connections(&p), 0);
		}
		peer_close(&p);
	}
}

/* The other addresses of 127/8 are ours, too, or there is no way to them; none leads outside. */
static void no_loopback_address_leads_outside(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	struct tern_connect_opts opts = {.remote = {*address(2), STACK_PORT}};
	tern_tcp_connect(p.stack, &opts, &p.conn);
	assert_int_equal(peer_ignore(&p, 10 * SEC), 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_both_ways_arrives_whole),
		cmocka_unit_test(both_ends_know_each_other_by_the_same_address),
		cmocka_unit_test(closing_goes_through_all_its_states),
		cmocka_unit_test(nobody_listening_refuses),
		cmocka_unit_test(an_abort_is_seen_at_the_other_end),
		cmocka_unit_test(many_connections_live_side_by_side),
		cmocka_unit_test(a_port_that_calls_itself_does_no_harm),
		cmocka_unit_test(no_loopback_address_leads_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
