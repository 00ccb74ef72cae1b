#include "test/unit/support.h"

#include "base/rangeset.h"

#define UNLIMITED UINT32_MAX
#define SPAN      400 /* sequence numbers the oracle keeps */

struct fixture {
	struct test_heap heap;
	struct mem mem;
	struct pool nodes;
	struct rangeset set;
};

static void open_fixture(struct fixture *f)
{
	*f = (struct fixture){.heap = {0}};
	struct tern_allocator allocator = test_heap_allocator(&f->heap);
	tern_mem_init(&f->mem, &allocator, SIZE_MAX);
	tern_pool_init(&f->nodes, &f->mem, tern_range_node_size, 12, UINT32_MAX);
}

static void close_fixture(struct fixture *f)
{
	tern_rangeset_clear(&f->set, &f->nodes);
	assert_int_equal(f->set.count, 0);
	assert_int_equal(f->set.bytes, 0);
	tern_pool_fini(&f->nodes);
	assert_int_equal(f->mem.used, 0);
	test_heap_assert_empty(&f->heap);
}

static struct range range(uint32_t lo, uint32_t hi)
{
	return (struct range){seq(lo), seq(hi)};
}

static int add(struct fixture *f, uint32_t lo, uint32_t hi)
{
	return tern_rangeset_add(&f->set, &f->nodes, range(lo, hi), UNLIMITED);
}

/* The set must be these n ranges, as pairs of numbers. */
static void assert_ranges(const struct fixture *f, const uint32_t (*expected)[2], uint32_t n)
{
	struct range r;
	uint32_t bytes = 0;
	assert_int_equal(f->set.count, n);
	assert_int_equal(f->nodes.live, n);
	bool more = tern_rangeset_first(&f->set, &r);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(more);
		assert_int_equal(r.lo.v, expected[i][0]);
		assert_int_equal(r.hi.v, expected[i][1]);
		bytes += expected[i][1] - expected[i][0];
		more = tern_rangeset_after(&f->set, r.hi, &r);
	}
	assert_false(more);
	assert_int_equal(f->set.bytes, bytes);
}

#define ASSERT_RANGES(f, ...)                                                                      \
	assert_ranges(f, (const uint32_t[][2]){__VA_ARGS__},                                       \
		sizeof((const uint32_t[][2]){__VA_ARGS__}) / sizeof(uint32_t[2]))

static void an_empty_set_holds_nothing(void **state)
{
	(void)state;
	struct fixture f;
	struct range r;
	open_fixture(&f);
	assert_false(tern_rangeset_first(&f.set, &r));
	assert_false(tern_rangeset_last(&f.set, &r));
	assert_false(tern_rangeset_after(&f.set, seq(0), &r));
	assert_false(tern_rangeset_contains(&f.set, seq(0)));
	assert_true(tern_rangeset_gap(&f.set, range(3, 9), &r));
	assert_int_equal(r.lo.v, 3);
	assert_int_equal(r.hi.v, 9);
	assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes, range(0, 9)), 0);
	tern_rangeset_remove_below(&f.set, &f.nodes, seq(5));
	tern_rangeset_remove_from(&f.set, &f.nodes, seq(5));
	assert_int_equal(f.mem.used, 0);
	close_fixture(&f);
}

static void an_empty_range_changes_nothing(void **state)
{
	(void)state;
	struct fixture f;
	struct range r;
	open_fixture(&f);
	assert_int_equal(add(&f, 5, 5), 0);
	assert_int_equal(add(&f, 10, 20), 0);
	assert_int_equal(add(&f, 15, 15), 0);
	assert_int_equal(add(&f, 25, 25), 0);
	assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes, range(15, 15)), 0);
	ASSERT_RANGES(&f, {10, 20});
	assert_false(tern_rangeset_gap(&f.set, range(3, 3), &r));
	close_fixture(&f);
}

static void a_range_set_merges_neighbours(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	assert_int_equal(add(&f, 10, 20), 0);
	assert_int_equal(add(&f, 30, 40), 0);
	ASSERT_RANGES(&f, {10, 20}, {30, 40});
	assert_int_equal(add(&f, 20, 25), 0);
	ASSERT_RANGES(&f, {10, 25}, {30, 40});
	assert_int_equal(add(&f, 28, 30), 0);
	ASSERT_RANGES(&f, {10, 25}, {28, 40});
	assert_int_equal(add(&f, 25, 28), 0);
	ASSERT_RANGES(&f, {10, 40});
	close_fixture(&f);
}

static void one_range_swallows_many(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(add(&f, 10 * i, 10 * i + 5), 0);
	assert_int_equal(add(&f, 12, 9987), 0);
	ASSERT_RANGES(&f, {0, 5}, {10, 9987}, {9990, 9995});
	close_fixture(&f);
}

static void ranges_may_cross_the_wrap(void **state)
{
	(void)state;
	struct fixture f;
	struct range r;
	open_fixture(&f);
	assert_int_equal(add(&f, 5, 10), 0);
	assert_int_equal(add(&f, 0xfffffff0, 0xfffffff8), 0);
	ASSERT_RANGES(&f, {0xfffffff0, 0xfffffff8}, {5, 10});
	assert_int_equal(add(&f, 0xfffffffc, 2), 0);
	ASSERT_RANGES(&f, {0xfffffff0, 0xfffffff8}, {0xfffffffc, 2}, {5, 10});
	assert_true(tern_rangeset_contains(&f.set, seq(0)));
	assert_true(tern_rangeset_contains(&f.set, seq(0xffffffff)));
	assert_false(tern_rangeset_contains(&f.set, seq(2)));
	assert_true(tern_rangeset_gap(&f.set, range(0xfffffffe, 7), &r));
	assert_int_equal(r.lo.v, 2);
	assert_int_equal(r.hi.v, 5);
	assert_int_equal(add(&f, 0xfffffff8, 5), 0);
	ASSERT_RANGES(&f, {0xfffffff0, 10});
	assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes, range(0xfffffffe, 1)), 0);
	ASSERT_RANGES(&f, {0xfffffff0, 0xfffffffe}, {1, 10});
	tern_rangeset_remove_below(&f.set, &f.nodes, seq(3));
	ASSERT_RANGES(&f, {3, 10});
	close_fixture(&f);
}

static void a_full_set_still_merges_but_takes_no_new_range(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(tern_rangeset_add(&f.set, &f.nodes, range(10 * i, 10 * i + 5), 4),
			0);
	assert_int_equal(tern_rangeset_add(&f.set, &f.nodes, range(100, 101), 4), TERN_ENOSPC);
	ASSERT_RANGES(&f, {0, 5}, {10, 15}, {20, 25}, {30, 35});
	assert_int_equal(tern_rangeset_add(&f.set, &f.nodes, range(5, 12), 4), 0);
	ASSERT_RANGES(&f, {0, 15}, {20, 25}, {30, 35});
	close_fixture(&f);
}

static void a_refused_node_leaves_the_set_as_it_was(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	assert_int_equal(add(&f, 10, 20), 0);
	f.nodes.max_live = 1;
	assert_int_equal(add(&f, 30, 40), TERN_ENOMEM);
	assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes, range(13, 16)), TERN_ENOMEM);
	ASSERT_RANGES(&f, {10, 20});
	assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes, range(0, 16)), 0);
	ASSERT_RANGES(&f, {16, 20});
	close_fixture(&f);
}

static void a_refusing_heap_leaves_the_set_as_it_was(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	for (uint64_t k = 1; k <= 2; k++) {
		test_heap_fail_once(&f.heap, k);
		assert_int_equal(add(&f, 30, 40), TERN_ENOMEM);
		assert_int_equal(f.set.count, 0);
		assert_int_equal(f.set.bytes, 0);
		tern_pool_trim(&f.nodes);
	}
	test_heap_relent(&f.heap);
	assert_int_equal(add(&f, 30, 40), 0);
	ASSERT_RANGES(&f, {30, 40});
	close_fixture(&f);
}

/* --- against an array of bools ------------------------------------------------------- */

struct oracle {
	bool held[SPAN];
	uint32_t base;
};

static uint32_t oracle_ranges(const struct oracle *o, uint32_t (*out)[2])
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < SPAN; i++) {
		if (!o->held[i])
			continue;
		if (i == 0 || !o->held[i - 1])
			out[n++][0] = o->base + i;
		out[n - 1][1] = o->base + i + 1;
	}
	return n;
}

static void oracle_fill(struct oracle *o, uint32_t lo, uint32_t hi, bool value)
{
	for (uint32_t i = lo; i < hi; i++)
		o->held[i] = value;
}

static void check_lookups(const struct fixture *f, const struct oracle *o, struct test_rand *r)
{
	uint32_t lo = test_rand_below(r, SPAN), hi = lo + test_rand_below(r, SPAN - lo + 1);
	uint32_t from = lo, to;
	struct range gap;
	assert_int_equal(tern_rangeset_contains(&f->set, seq(o->base + lo)), o->held[lo]);
	while (from < hi && o->held[from])
		from++;
	for (to = from; to < hi && !o->held[to];)
		to++;
	bool found = tern_rangeset_gap(&f->set, range(o->base + lo, o->base + hi), &gap);
	assert_int_equal(found, from < hi);
	if (!found)
		return;
	assert_int_equal(gap.lo.v, o->base + from);
	assert_int_equal(gap.hi.v, o->base + to);
}

static void check_all(const struct fixture *f, const struct oracle *o)
{
	uint32_t expected[SPAN][2];
	struct range r;
	uint32_t n = oracle_ranges(o, expected);
	assert_ranges(f, (const uint32_t(*)[2])expected, n);
	assert_int_equal(tern_rangeset_last(&f->set, &r), n > 0);
	if (n > 0)
		assert_int_equal(r.hi.v, expected[n - 1][1]);
}

static void step(struct fixture *f, struct oracle *o, struct test_rand *r)
{
	uint32_t longest = test_rand_one_in(r, 8) ? SPAN : 6;
	uint32_t lo = test_rand_below(r, SPAN);
	uint32_t hi = lo + test_rand_below(r, longest);
	hi = hi < SPAN ? hi : SPAN;
	struct range x = range(o->base + lo, o->base + hi);
	switch (test_rand_below(r, 40)) {
	case 0:
		tern_rangeset_remove_below(&f->set, &f->nodes, x.lo);
		oracle_fill(o, 0, lo, false);
		break;
	case 1:
		tern_rangeset_remove_from(&f->set, &f->nodes, x.hi);
		oracle_fill(o, hi, SPAN, false);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		assert_int_equal(tern_rangeset_remove(&f->set, &f->nodes, x), 0);
		oracle_fill(o, lo, hi, false);
		break;
	default:
		assert_int_equal(tern_rangeset_add(&f->set, &f->nodes, x, UNLIMITED), 0);
		oracle_fill(o, lo, hi, true);
	}
	check_lookups(f, o, r);
	check_all(f, o);
}

static void any_series_of_calls_matches_an_array_of_flags(void **state)
{
	(void)state;
	const uint32_t bases[] = {0, 1000, 0xffffffff - SPAN / 2, 0x80000000 - SPAN / 2};
	for (unsigned b = 0; b < 4; b++) {
		struct fixture f;
		struct oracle o = {.base = bases[b]};
		struct test_rand r = {b + 1};
		open_fixture(&f);
		for (int i = 0; i < 10000; i++)
			step(&f, &o, &r);
		close_fixture(&f);
	}
}

/* --- many ranges ---------------------------------------------------------------------- */

#define MANY 100000u

/* A tree that leans would take MANY squared steps: minutes instead of milliseconds. */
static void fill_in_order(uint32_t (*nth)(uint32_t))
{
	struct fixture f;
	struct range r;
	open_fixture(&f);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(add(&f, 0xffff0000 + 2 * nth(i), 0xffff0001 + 2 * nth(i)), 0);
	assert_int_equal(f.set.count, MANY);
	assert_int_equal(f.set.bytes, MANY);
	assert_true(tern_rangeset_last(&f.set, &r));
	assert_int_equal(r.lo.v, 0xffff0000 + 2 * (MANY - 1));
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(tern_rangeset_remove(&f.set, &f.nodes,
					 range(0xffff0000 + 2 * nth(i), 0xffff0001 + 2 * nth(i))),
			0);
	assert_int_equal(f.set.count, 0);
	close_fixture(&f);
}

static uint32_t rising(uint32_t i)
{
	return i;
}

static uint32_t falling(uint32_t i)
{
	return MANY - 1 - i;
}

static uint32_t from_both_ends(uint32_t i)
{
	return i & 1 ? MANY - 1 - i / 2 : i / 2;
}

static uint32_t scattered(uint32_t i)
{
	return (uint32_t)((uint64_t)i * 61813 % MANY); /* coprime to MANY */
}

static void a_flood_of_holes_costs_little_in_any_order(void **state)
{
	(void)state;
	fill_in_order(rising);
	fill_in_order(falling);
	fill_in_order(from_both_ends);
	fill_in_order(scattered);
}

static void one_segment_closes_all_holes(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(add(&f, 2 * i, 2 * i + 1), 0);
	assert_int_equal(add(&f, 0, 2 * MANY), 0);
	ASSERT_RANGES(&f, {0, 2 * MANY});
	close_fixture(&f);
}

static void clearing_a_large_set_gives_every_node_back(void **state)
{
	(void)state;
	struct fixture f;
	open_fixture(&f);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(add(&f, 2 * i, 2 * i + 1), 0);
	tern_rangeset_clear(&f.set, &f.nodes);
	assert_int_equal(f.nodes.live, 0);
	close_fixture(&f);
}

/* --- seq.h ---------------------------------------------------------------------------- */

static void sequence_numbers_compare_across_the_wrap(void **state)
{
	(void)state;
	const uint32_t starts[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	const uint32_t steps[] = {1, 2, 0x7ffffffe, 0x7fffffff};
	for (unsigned i = 0; i < 6; i++) {
		tern_seq a = seq(starts[i]);
		assert_true(seq_eq(a, a) && seq_leq(a, a) && seq_geq(a, a));
		assert_false(seq_lt(a, a) || seq_gt(a, a));
		for (unsigned k = 0; k < 4; k++) {
			tern_seq b = seq_add(a, steps[k]);
			assert_true(seq_lt(a, b) && seq_leq(a, b));
			assert_true(seq_gt(b, a) && seq_geq(b, a));
			assert_false(seq_lt(b, a) || seq_gt(a, b) || seq_eq(a, b));
			assert_int_equal(seq_diff(b, a), steps[k]);
			assert_true(seq_eq(seq_sub(b, steps[k]), a));
			assert_true(seq_eq(seq_max(a, b), b) && seq_eq(seq_min(a, b), a));
			assert_true(seq_eq(seq_max(b, a), b) && seq_eq(seq_min(b, a), a));
		}
	}
}

static void a_window_is_half_open(void **state)
{
	(void)state;
	const uint32_t starts[] = {0, 100, 0x7ffffff0, 0xfffffff0};
	for (unsigned i = 0; i < 4; i++) {
		tern_seq lo = seq(starts[i]);
		assert_false(seq_in_window(lo, lo, 0));
		assert_true(seq_in_window(lo, lo, 1));
		assert_false(seq_in_window(seq_add(lo, 1), lo, 1));
		assert_true(seq_in_window(seq_add(lo, 99), lo, 100));
		assert_false(seq_in_window(seq_add(lo, 100), lo, 100));
		assert_false(seq_in_window(seq_sub(lo, 1), lo, 100));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_holds_nothing),
		cmocka_unit_test(an_empty_range_changes_nothing),
		cmocka_unit_test(a_range_set_merges_neighbours),
		cmocka_unit_test(one_range_swallows_many),
		cmocka_unit_test(ranges_may_cross_the_wrap),
		cmocka_unit_test(a_full_set_still_merges_but_takes_no_new_range),
		cmocka_unit_test(a_refused_node_leaves_the_set_as_it_was),
		cmocka_unit_test(a_refusing_heap_leaves_the_set_as_it_was),
		cmocka_unit_test(any_series_of_calls_matches_an_array_of_flags),
		cmocka_unit_test(a_flood_of_holes_costs_little_in_any_order),
		cmocka_unit_test(one_segment_closes_all_holes),
		cmocka_unit_test(clearing_a_large_set_gives_every_node_back),
		cmocka_unit_test(sequence_numbers_compare_across_the_wrap),
		cmocka_unit_test(a_window_is_half_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
