/* Ephemeral ports (RFC 6056): spread, unpredictable from one peer to the next, never in use. */
#include "peer.h"

#define PICKS 1000000
#define BINS  256

static struct tern_endpoint remote_nth(uint32_t k)
{
	uint32_t host = k % 200;
	return (struct tern_endpoint){tern_addr_v4(10, 0, 0, (uint8_t)(2 + host)),
		(uint16_t)(1 + k / 200 % 60000)};
}

static uint16_t pick(struct peer *p, uint32_t k)
{
	struct tern_endpoint remote = remote_nth(k);
	struct tern_addr local = tern_addr_v4(10, 0, 0, 1);
	return tern_port_pick(tern_stack_tcp(p->stack), &local, &remote);
}

/* As in test_isn.c: 400 is past six deviations for 256 bins. */
static double chi_squared(const uint32_t *count, uint32_t n)
{
	double expected = (double)n / BINS, sum = 0;
	for (uint32_t i = 0; i < BINS; i++)
		sum += (count[i] - expected) * (count[i] - expected) / expected;
	return sum;
}

static void ports_are_spread_evenly_over_their_range(void **state)
{
	(void)state;
	struct peer p;
	static uint32_t bin[BINS];
	peer_open(&p);
	/* 28,160 ports: bins of 110 each. */
	peer_set(&p, "ip_local_port_min", 30000);
	peer_set(&p, "ip_local_port_max", 30000 + 110 * BINS - 1);
	for (uint32_t k = 0; k < PICKS; k++) {
		uint16_t port = pick(&p, k);
		assert_in_range(port, 30000, 30000 + 110 * BINS - 1);
		bin[(port - 30000) / 110]++;
	}
	assert_true(chi_squared(bin, PICKS) < 400);
	peer_close(&p);
}

/* Somebody who sees our ports toward his own host learns nothing about those toward another:
 * the distance between the two is as good as random. */
static void one_peers_ports_tell_nothing_about_anothers(void **state)
{
	(void)state;
	struct peer p;
	static uint32_t bin[BINS];
	uint32_t next_one = 0;
	peer_open(&p);
	peer_set(&p, "ip_local_port_min", 30000);
	peer_set(&p, "ip_local_port_max", 30000 + 110 * BINS - 1);
	for (uint32_t k = 0; k < PICKS; k += 2) {
		uint16_t seen = pick(&p, k), hidden = pick(&p, k + 1);
		uint32_t apart = ((uint32_t)hidden + 110 * BINS - seen) % (110 * BINS);
		bin[apart / 110]++;
		next_one += apart == 1;
	}
	assert_true(chi_squared(bin, PICKS / 2) < 400);
	assert_true(next_one < 60); /* 18 by chance */
	peer_close(&p);
}

static void another_secret_gives_other_ports(void **state)
{
	(void)state;
	struct peer a, b;
	struct peer_setup other = {.seed = 9};
	uint32_t same = 0;
	peer_open(&a);
	peer_open_as(&b, &other);
	for (uint32_t k = 0; k < 100000; k++)
		same += pick(&a, k) == pick(&b, k);
	assert_true(same < 30); /* 3.5 by chance */
	peer_close(&a);
	peer_close(&b);
}

/* Connects come and go; what a connect uses next lies far from what it used last. */
static void a_hundred_thousand_connects_each_get_a_port(void **state)
{
	(void)state;
	struct peer p;
	static uint32_t used[65536];
	uint32_t distinct = 0;
	peer_open(&p);
	for (uint32_t k = 0; k < 100000; k++) {
		struct tern_connect_opts opts = {.remote = remote_nth(k)};
		assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
		uint16_t port = peer_info(&p).local.port;
		assert_in_range(port, 32768, 60999);
		distinct += used[port]++ == 0;
		assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
	}
	/* 28,232 * (1 - e^-3.54) = 27,414 of them. */
	assert_true(distinct > 27000);
	peer_close(&p);
}

static int dial(struct peer *p, uint8_t host, struct tern_conn *conn)
{
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, host), 80}};
	return tern_tcp_connect(p->stack, &opts, conn);
}

static void a_live_pair_is_never_picked_and_the_last_port_is_found(void **state)
{
	(void)state;
	struct peer p;
	static struct tern_conn conn[1000];
	bool used[1000] = {false};
	peer_open(&p);
	peer_set(&p, "ip_local_port_min", 40000);
	peer_set(&p, "ip_local_port_max", 40999);
	for (unsigned k = 0; k < 1000; k++) {
		assert_int_equal(dial(&p, 2, &conn[k]), 0);
		p.conn = conn[k];
		uint16_t port = peer_info(&p).local.port;
		assert_in_range(port, 40000, 40999);
		assert_false(used[port - 40000]);
		used[port - 40000] = true;
	}
	assert_int_equal(dial(&p, 2, &p.conn), TERN_EADDRNOTAVAIL);
	assert_int_equal(peer_connections(&p), 1000);
	/* Another remote end is another pair. */
	assert_int_equal(dial(&p, 3, &p.conn), 0);
	/* One goes: its port, and only its, is found. */
	p.conn = conn[567];
	uint16_t freed = peer_info(&p).local.port;
	assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
	assert_int_equal(dial(&p, 2, &p.conn), 0);
	assert_int_equal(peer_info(&p).local.port, freed);
	assert_int_equal(dial(&p, 2, &p.conn), TERN_EADDRNOTAVAIL);
	peer_close(&p);
}

static void a_pair_asked_for_twice_is_refused(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	struct tern_connect_opts opts = {.local.port = 5555,
		.remote = {tern_addr_v4(10, 0, 0, 2), 80}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), TERN_EADDRINUSE);
	opts.remote.port = 81;
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	peer_close(&p);
}

static void a_listeners_port_is_not_picked(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "ip_local_port_min", 50000);
	peer_set(&p, "ip_local_port_max", 50001);
	struct tern_listen_opts opts = {.local.port = 50000};
	assert_int_equal(tern_tcp_listen(p.stack, &opts, &p.listener), 0);
	assert_int_equal(dial(&p, 2, &p.conn), 0);
	assert_int_equal(peer_info(&p).local.port, 50001);
	assert_int_equal(dial(&p, 2, &p.conn), TERN_EADDRNOTAVAIL);
	/* The same for listeners that ask for any port. */
	opts.local.port = 0;
	struct tern_listener second, third;
	struct tern_endpoint at;
	assert_int_equal(tern_tcp_listen(p.stack, &opts, &second), 0);
	assert_int_equal(tern_tcp_listen_endpoint(p.stack, second, &at), 0);
	assert_int_equal(at.port, 50001);
	assert_int_equal(tern_tcp_listen(p.stack, &opts, &third), TERN_EADDRNOTAVAIL);
	peer_close(&p);
}

static void a_range_turned_around_holds_no_port(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "ip_local_port_min", 50001);
	peer_set(&p, "ip_local_port_max", 50000);
	assert_int_equal(dial(&p, 2, &p.conn), TERN_EADDRNOTAVAIL);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_spread_evenly_over_their_range),
		cmocka_unit_test(one_peers_ports_tell_nothing_about_anothers),
		cmocka_unit_test(another_secret_gives_other_ports),
		cmocka_unit_test(a_hundred_thousand_connects_each_get_a_port),
		cmocka_unit_test(a_live_pair_is_never_picked_and_the_last_port_is_found),
		cmocka_unit_test(a_pair_asked_for_twice_is_refused),
		cmocka_unit_test(a_listeners_port_is_not_picked),
		cmocka_unit_test(a_range_turned_around_holds_no_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
