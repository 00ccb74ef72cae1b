#include "test/unit/support.h"

#include "base/htab.h"

struct fixture {
	struct test_heap heap;
	struct mem mem;
	struct htab table;
};

static void set_up(struct fixture *f, size_t budget)
{
	*f = (struct fixture){0};
	struct tern_allocator allocator = test_heap_allocator(&f->heap);
	tern_mem_init(&f->mem, &allocator, budget);
	tern_htab_init(&f->table, &f->mem);
}

static void tear_down(struct fixture *f)
{
	tern_htab_fini(&f->table);
	assert_int_equal(f->mem.used, 0);
	test_heap_assert_empty(&f->heap);
}

/* How often the very pair is found, and how many values a look-up of the hash yields. */
static unsigned find(const struct htab *table, uint32_t hash, uint32_t value, unsigned *yield)
{
	unsigned found = 0;
	*yield = 0;
	struct htab_probe p = tern_htab_probe(table, hash);
	for (uint32_t v; tern_htab_next(&p, &v); ++*yield)
		found += v == value;
	return found;
}

static void assert_found(const struct htab *table, uint32_t hash, uint32_t value)
{
	unsigned yield;
	assert_int_equal(find(table, hash, value, &yield), 1);
}

static void assert_absent(const struct htab *table, uint32_t hash)
{
	unsigned yield;
	find(table, hash, 0, &yield);
	assert_int_equal(yield, 0);
}

/* Keyed hashes look like this: spread, and the same for the same value. */
static uint32_t hash_of(uint32_t value)
{
	struct test_rand r = {value};
	return test_rand_u32(&r);
}

static void an_empty_table_owns_no_memory_and_finds_nothing(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1 << 20);
	assert_absent(&f.table, 0);
	assert_absent(&f.table, 77);
	assert_int_equal(tern_htab_longest_probe(&f.table), 0);
	assert_int_equal(f.mem.used, 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(tern_htab_insert(&f.table, hash_of(i), i), 0);
	for (uint32_t i = 0; i < 1000; i++)
		tern_htab_remove(&f.table, hash_of(i), i);
	assert_int_equal(tern_htab_count(&f.table), 0);
	assert_int_equal(f.mem.used, 0);
	tear_down(&f);
}

static void every_entry_is_found_at_every_size_up_and_down(void **state)
{
	(void)state;
	enum {
		N = 1500
	};
	struct fixture f;
	set_up(&f, 1 << 24);
	for (uint32_t n = 0; n < N; n++) {
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), 0);
		for (uint32_t i = 0; i <= n; i++)
			assert_found(&f.table, hash_of(i), i);
	}
	for (uint32_t n = 0; n < N; n++) {
		tern_htab_remove(&f.table, hash_of(n), n);
		assert_absent(&f.table, hash_of(n));
		for (uint32_t i = n + 1; i < N; i++)
			assert_found(&f.table, hash_of(i), i);
	}
	tear_down(&f);
}

static void no_call_touches_more_than_a_few_entries(void **state)
{
	(void)state;
	struct fixture f;
	uint32_t live = 0, most = 0;
	set_up(&f, 1 << 26);
	for (; live < 300000; live++) {
		const uint32_t before = f.table.now.count;
		const void *entry = f.table.now.entry;
		assert_int_equal(tern_htab_insert(&f.table, hash_of(live), live), 0);
		if (entry == f.table.now.entry && f.table.now.count - before > most)
			most = f.table.now.count - before;
	}
	while (live-- > 1) {
		const uint32_t before = f.table.now.count;
		const void *entry = f.table.now.entry;
		tern_htab_remove(&f.table, hash_of(live), live);
		if (entry == f.table.now.entry && f.table.now.count > before &&
			f.table.now.count - before > most)
			most = f.table.now.count - before;
	}
	assert_in_range(most, 2, 17);
	tear_down(&f);
}

static void the_load_stays_at_most_three_quarters_and_memory_follows_the_count(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1 << 26);
	for (uint32_t n = 0; n < 100000; n++) {
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), 0);
		assert_true(
			4 * (uint64_t)f.table.now.count <= 3 * (uint64_t)(f.table.now.mask + 1));
	}
	/* 8 bytes an entry, half full at least, and the array before or after beside it. */
	assert_true(f.mem.used <= 100000 * 8 * 2 * 3);
	for (uint32_t n = 0; n < 99900; n++)
		tern_htab_remove(&f.table, hash_of(n), n);
	for (uint32_t n = 99900; n < 100000; n++)
		assert_found(&f.table, hash_of(n), n);
	assert_true(f.mem.used <= 100 * 8 * 40);
	tear_down(&f);
}

static void equal_hashes_are_all_yielded(void **state)
{
	(void)state;
	struct fixture f;
	unsigned yield;
	set_up(&f, 1 << 20);
	/* The last place: the run crosses the end of every array. */
	for (uint32_t v = 0; v < 200; v++)
		assert_int_equal(tern_htab_insert(&f.table, UINT32_MAX, v), 0);
	for (uint32_t v = 0; v < 200; v++)
		assert_int_equal(find(&f.table, UINT32_MAX, v, &yield), 1);
	assert_int_equal(yield, 200);
	assert_true(tern_htab_longest_probe(&f.table) >= 100);
	for (uint32_t v = 0; v < 200; v += 2)
		tern_htab_remove(&f.table, UINT32_MAX, v);
	for (uint32_t v = 0; v < 200; v++)
		assert_int_equal(find(&f.table, UINT32_MAX, v, &yield), v % 2);
	assert_int_equal(yield, 100);
	tear_down(&f);
}

/* The table against a plain array: hash i is hashes[i % spread], so that many collide. */
static void play(uint64_t seed, uint32_t spread, uint32_t most)
{
	enum {
		VALUES = 4096
	};
	static bool present[VALUES];
	struct test_rand r = {seed};
	struct fixture f;
	uint32_t count = 0;
	bool growing = true;

	set_up(&f, 1 << 24);
	memset(present, 0, sizeof present);
	for (int step = 0; step < 60000; step++) {
		const uint32_t v = test_rand_below(&r, VALUES);
		const uint32_t hash = hash_of(v % spread);
		const bool want = test_rand_below(&r, 8) < (growing ? 7u : 1u);
		unsigned yield;
		assert_int_equal(find(&f.table, hash, v, &yield), present[v]);
		if (want && !present[v]) {
			assert_int_equal(tern_htab_insert(&f.table, hash, v), 0);
			present[v] = true;
			count++;
		} else if (!want && present[v]) {
			tern_htab_remove(&f.table, hash, v);
			present[v] = false;
			count--;
		}
		assert_int_equal(find(&f.table, hash, v, &yield), present[v]);
		assert_int_equal(tern_htab_count(&f.table), count);
		if (count >= most || count == 0)
			growing = !growing;
		if (test_rand_one_in(&r, 4000))
			growing = !growing;
	}
	for (uint32_t v = 0; v < VALUES; v++) {
		unsigned yield;
		assert_int_equal(find(&f.table, hash_of(v % spread), v, &yield), present[v]);
	}
	tear_down(&f);
}

static void it_agrees_with_a_plain_array_while_it_grows_and_shrinks(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		play(seed, UINT32_MAX, 4000);
		play(seed, 700, 3000);
		play(seed, 50, 300);
		play(seed, UINT32_MAX, 40);
	}
}

static void a_refused_growth_loses_nothing_and_is_made_up_for_later(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1 << 24);
	for (uint64_t allowed = 0; allowed < 6; allowed++) {
		uint32_t n = 0;
		test_heap_fail_after(&f.heap, allowed);
		while (tern_htab_insert(&f.table, hash_of(n), n) == 0)
			n++;
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), TERN_ENOMEM);
		assert_int_equal(n, allowed ? 12u << (allowed - 1) : 0);
		assert_int_equal(tern_htab_count(&f.table), n);
		for (uint32_t i = 0; i < n; i++)
			assert_found(&f.table, hash_of(i), i);
		test_heap_relent(&f.heap);
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), 0);
		for (uint32_t i = 0; i <= n; i++) {
			assert_found(&f.table, hash_of(i), i);
			tern_htab_remove(&f.table, hash_of(i), i);
		}
		assert_int_equal(f.mem.used, 0);
	}
	tear_down(&f);
}

static void a_refused_shrinking_is_no_failure(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1 << 24);
	for (uint32_t n = 0; n < 10000; n++)
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), 0);
	test_heap_fail_after(&f.heap, 0);
	for (uint32_t n = 0; n < 10000; n++) {
		assert_found(&f.table, hash_of(n), n);
		tern_htab_remove(&f.table, hash_of(n), n);
	}
	assert_int_equal(f.mem.used, 0);
	tear_down(&f);
}

static void runs_stay_short_under_spread_hashes(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1 << 26);
	for (uint32_t n = 0; n < 200000; n++)
		assert_int_equal(tern_htab_insert(&f.table, hash_of(n), n), 0);
	assert_in_range(tern_htab_longest_probe(&f.table), 1, 300);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_owns_no_memory_and_finds_nothing),
		cmocka_unit_test(every_entry_is_found_at_every_size_up_and_down),
		cmocka_unit_test(no_call_touches_more_than_a_few_entries),
		cmocka_unit_test(
			the_load_stays_at_most_three_quarters_and_memory_follows_the_count),
		cmocka_unit_test(equal_hashes_are_all_yielded),
		cmocka_unit_test(it_agrees_with_a_plain_array_while_it_grows_and_shrinks),
		cmocka_unit_test(a_refused_growth_loses_nothing_and_is_made_up_for_later),
		cmocka_unit_test(a_refused_shrinking_is_no_failure),
		cmocka_unit_test(runs_stay_short_under_spread_hashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
