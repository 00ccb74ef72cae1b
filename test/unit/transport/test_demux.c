/* Finding connections: by their pair exactly, and quickly whatever pairs a stranger chooses. */
#include "peer.h"

#define FLOOD 20000

static struct tcb *find(const struct tcp *tcp, const struct tern_addr *local, uint16_t local_port,
	const struct tern_addr *remote, uint16_t remote_port)
{
	struct tcp_pair pair = tern_pair(tcp, local, local_port, remote, remote_port);
	return tern_demux_find(tcp, &pair);
}

static void dial(struct peer *p, uint8_t host, uint16_t local, uint16_t remote)
{
	struct tern_connect_opts opts = {.local.port = local,
		.remote = {tern_addr_v4(10, 0, 0, host), remote}};
	int err = tern_tcp_connect(p->stack, &opts, &p->conn);
	assert_true(err == 0 || err == TERN_EADDRINUSE);
}

enum choice {
	RANDOM,
	PORTS_IN_ORDER,
	PORTS_BY_256,
	HOSTS_IN_ORDER,
	BOTH_PORTS_EQUAL,
	CHOICES
};

/* The longest run of the table that holds FLOOD pairs chosen so. */
static uint32_t longest(uint8_t seed, enum choice how)
{
	struct peer p;
	struct peer_setup setup = {.seed = seed};
	struct test_rand r = {seed};
	peer_open_as(&p, &setup);
	for (uint32_t i = 0; peer_connections(&p) < FLOOD; i++) {
		uint16_t k = (uint16_t)(1 + i);
		switch (how) {
		case RANDOM:
			dial(&p, (uint8_t)(2 + test_rand_below(&r, 250)),
				(uint16_t)(1 + test_rand_below(&r, 65535)),
				(uint16_t)(1 + test_rand_below(&r, 65535)));
			break;
		case PORTS_IN_ORDER:
			dial(&p, 2, 80, k);
			break;
		case PORTS_BY_256:
			dial(&p, (uint8_t)(2 + i / 25600), (uint16_t)(1 + i / 256 % 100),
				(uint16_t)(i % 256 * 256 + 1));
			break;
		case HOSTS_IN_ORDER:
			dial(&p, (uint8_t)(2 + i % 250), 80, (uint16_t)(1 + i / 250));
			break;
		case BOTH_PORTS_EQUAL:
			dial(&p, 2, k, k);
			break;
		case CHOICES:
			break;
		}
	}
	uint32_t run = tern_htab_longest_probe(&tern_stack_tcp_const(p.stack)->table);
	peer_close(&p);
	return run;
}

static double root(double x)
{
	double r = x > 1 ? x : 1;
	for (unsigned i = 0; i < 60; i++)
		r = (r + x / r) / 2;
	return r;
}

/* CVE-2023-1206: without the key, no choice of pairs does better than chance. */
static void no_choice_of_pairs_makes_longer_chains_than_chance(void **state)
{
	(void)state;
	double sum = 0, squares = 0;
	const unsigned runs = 12;
	for (unsigned i = 0; i < runs; i++) {
		double n = longest((uint8_t)(50 + i), RANDOM);
		sum += n;
		squares += n * n;
	}
	double mean = sum / runs, sigma = root(squares / runs - mean * mean);
	for (enum choice how = PORTS_IN_ORDER; how < CHOICES; how++)
		assert_true(longest(90, how) <= mean + 3 * sigma);
}

/* Every other pair, one bit away, is someone else. */
static void a_segment_reaches_only_its_very_pair(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, NULL);
	peer_drain(&p);
	const struct tcp *tcp = tern_stack_tcp_const(p.stack);
	struct tern_addr us = tern_addr_v4(10, 0, 0, 1), them = tern_addr_v4(10, 0, 0, 2);
	assert_ptr_equal(find(tcp, &us, STACK_PORT, &them, PEER_PORT), peer_tcb(&p));
	for (unsigned bit = 0; bit < 16; bit++) {
		uint16_t flip = (uint16_t)(1u << bit);
		assert_null(find(tcp, &us, STACK_PORT ^ flip, &them, PEER_PORT));
		assert_null(find(tcp, &us, STACK_PORT, &them, PEER_PORT ^ flip));
	}
	for (unsigned bit = 0; bit < 128; bit++) {
		struct tern_addr a = us, b = them;
		a.byte[bit / 8] ^= (uint8_t)(1u << bit % 8);
		b.byte[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_null(find(tcp, &a, STACK_PORT, &them, PEER_PORT));
		assert_null(find(tcp, &us, STACK_PORT, &b, PEER_PORT));
	}
	assert_null(find(tcp, &them, PEER_PORT, &us, STACK_PORT));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_choice_of_pairs_makes_longer_chains_than_chance),
		cmocka_unit_test(a_segment_reaches_only_its_very_pair),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
