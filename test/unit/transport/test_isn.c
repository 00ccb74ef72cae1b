/* Initial sequence numbers: RFC 6528's clock and keyed offset, looked at as a stranger would. */
#include "peer.h"

#define TUPLES  1000000
#define BUCKETS 256

/* A connection block with nothing but its endpoints. */
struct tuple {
	struct path path;
	struct tcb tcb;
};

static void set_tuple(struct tuple *t, uint32_t remote, uint16_t local_port, uint16_t remote_port)
{
	t->path.src = tern_addr_v4(10, 0, 0, 1);
	t->path.dst = tern_addr_v4((uint8_t)(remote >> 24), (uint8_t)(remote >> 16),
		(uint8_t)(remote >> 8), (uint8_t)remote);
	t->tcb.path = &t->path;
	t->tcb.local_port = local_port;
	t->tcb.remote_port = remote_port;
}

/* The k-th tuple: neighbours differ in one port or in the last bits of the address. */
static void nth_tuple(struct tuple *t, uint32_t k)
{
	set_tuple(t, 0x0a000100 + k / 4096, (uint16_t)(80 + k % 4),
		(uint16_t)(1024 + k / 4 % 1024));
}

static uint32_t isn(const struct peer *p, const struct tuple *t)
{
	return tern_isn(tern_stack_tcp_const(p->stack), &t->path.src, t->tcb.local_port,
		&t->path.dst, t->tcb.remote_port)
		.v;
}

/* Chi squared of counts against a flat distribution. For 255 degrees of freedom the mean is 255 and
 * the deviation 22.6: 400 is past six of them. */
static double chi_squared(const uint32_t *count, uint32_t buckets, uint32_t n)
{
	double expected = (double)n / buckets, sum = 0;
	for (uint32_t i = 0; i < buckets; i++)
		sum += (count[i] - expected) * (count[i] - expected) / expected;
	return sum;
}

/* MUST-9. */
static void neighbouring_tuples_numbers_are_unrelated(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t;
	static uint32_t high[BUCKETS], low[BUCKETS], step[BUCKETS], step_low[BUCKETS];
	static uint32_t flipped[32];
	uint32_t last = 0;
	peer_open(&p);
	for (uint32_t k = 0; k < TUPLES; k++) {
		nth_tuple(&t, k);
		uint32_t v = isn(&p, &t);
		high[v >> 24]++;
		low[v & 0xff]++;
		step[(v - last) >> 24]++;
		step_low[(v - last) & 0xff]++;
		for (unsigned bit = 0; bit < 32; bit++)
			flipped[bit] += (v ^ last) >> bit & 1;
		last = v;
	}
	assert_true(chi_squared(high, BUCKETS, TUPLES) < 400);
	assert_true(chi_squared(low, BUCKETS, TUPLES) < 400);
	assert_true(chi_squared(step, BUCKETS, TUPLES) < 400);
	assert_true(chi_squared(step_low, BUCKETS, TUPLES) < 400);
	/* Each bit differs in half the pairs: the deviation is 500 in a million. */
	for (unsigned bit = 0; bit < 32; bit++)
		assert_in_range(flipped[bit], TUPLES / 2 - 3500, TUPLES / 2 + 3500);
	peer_close(&p);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Random numbers collide: n^2 / 2^33 = 116 times, give or take 11. Fewer would show structure as
 * surely as more. */
static void numbers_collide_as_often_as_random_ones(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t;
	static uint32_t all[TUPLES];
	peer_open(&p);
	for (uint32_t k = 0; k < TUPLES; k++) {
		nth_tuple(&t, k);
		all[k] = isn(&p, &t);
	}
	qsort(all, TUPLES, sizeof *all, ascending);
	uint32_t same = 0;
	for (uint32_t k = 1; k < TUPLES; k++)
		same += all[k] == all[k - 1];
	assert_in_range(same, 50, 190);
	peer_close(&p);
}

/* RFC 9293 3.4.1: the clock ticks every 4 us, for every tuple alike; a tuple's next number lies
 * beyond its last for as long as the clock takes to wrap. */
/* MUST-8. */
static void every_tuples_number_follows_the_4_us_clock(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t;
	static uint32_t before[10000];
	static const uint64_t steps[] = {4000, 1000000, SEC, 3600 * SEC, 8000 * SEC};
	peer_open(&p);
	for (uint32_t k = 0; k < 10000; k++) {
		nth_tuple(&t, k * 97);
		before[k] = isn(&p, &t);
	}
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		peer_wait(&p, steps[i]);
		for (uint32_t k = 0; k < 10000; k++) {
			nth_tuple(&t, k * 97);
			uint32_t v = isn(&p, &t);
			assert_int_equal(v - before[k], steps[i] / 4000);
			assert_true(seq_gt(seq(v), seq(before[k])));
			before[k] = v;
		}
	}
	peer_close(&p);
}

/* MUST-9, SHLD-1. */
static void another_secret_gives_other_numbers(void **state)
{
	(void)state;
	struct peer a, b;
	static struct tuple t;
	struct peer_setup other = {.seed = 8};
	uint32_t same = 0;
	static uint32_t apart[BUCKETS];
	peer_open(&a);
	peer_open_as(&b, &other);
	for (uint32_t k = 0; k < 100000; k++) {
		nth_tuple(&t, k);
		uint32_t d = isn(&a, &t) - isn(&b, &t);
		same += d == 0;
		apart[d >> 24]++;
	}
	assert_true(same <= 2);
	assert_true(chi_squared(apart, BUCKETS, 100000) < 400);
	peer_close(&a);
	peer_close(&b);
}

static void which_end_is_which_matters(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t, r;
	peer_open(&p);
	uint32_t same = 0;
	for (uint32_t k = 0; k < 10000; k++) {
		nth_tuple(&t, k);
		nth_tuple(&r, k);
		r.tcb.local_port = t.tcb.remote_port;
		r.tcb.remote_port = t.tcb.local_port;
		same += isn(&p, &t) == isn(&p, &r);
	}
	assert_int_equal(same, 0);
	peer_close(&p);
}

/* RFC 7323 5.4: no two peers see the same timestamp clock; one peer sees one. RFC6191-2-g. */
static void timestamps_are_offset_for_each_pair_of_hosts(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t;
	static uint32_t high[BUCKETS];
	peer_open(&p);
	const struct tcp *tcp = tern_stack_tcp_const(p.stack);
	for (uint32_t k = 0; k < 100000; k++) {
		set_tuple(&t, 0x0a000100 + k, 80, 1024);
		uint32_t v = tern_timestamp_offset(tcp, &t.tcb.path->src, &t.tcb.path->dst);
		high[v >> 24]++;
	}
	assert_true(chi_squared(high, BUCKETS, 100000) < 400);
	peer_close(&p);
}

/* What goes out on the wire is that number: opened by us, and by the peer. */
static void syn_and_syn_ack_carry_it(void **state)
{
	(void)state;
	struct peer p;
	static struct tuple t;
	peer_open(&p);
	peer_dial(&p);
	set_tuple(&t, 0x0a000002, p.stack_port, PEER_PORT);
	assert_int_equal(p.last.seq.v, isn(&p, &t));
	p.stack_port = STACK_PORT;
	peer_listen(&p);
	p.port++;
	peer_connect(&p, 1, NULL);
	set_tuple(&t, 0x0a000002, STACK_PORT, PEER_PORT + 1);
	assert_int_equal(p.ack - 1, isn(&p, &t));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbouring_tuples_numbers_are_unrelated),
		cmocka_unit_test(numbers_collide_as_often_as_random_ones),
		cmocka_unit_test(every_tuples_number_follows_the_4_us_clock),
		cmocka_unit_test(another_secret_gives_other_numbers),
		cmocka_unit_test(which_end_is_which_matters),
		cmocka_unit_test(timestamps_are_offset_for_each_pair_of_hosts),
		cmocka_unit_test(syn_and_syn_ack_carry_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
