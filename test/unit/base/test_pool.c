#include "test/unit/support.h"

#include "base/pool.h"

struct fixture {
	struct test_heap heap;
	struct mem mem;
	struct pool pool;
};

static void set_up(struct fixture *f, size_t object_size, unsigned slab_log2, uint32_t max_live)
{
	*f = (struct fixture){0};
	struct tern_allocator allocator = test_heap_allocator(&f->heap);
	tern_mem_init(&f->mem, &allocator, 1 << 26);
	tern_pool_init(&f->pool, &f->mem, object_size, slab_log2, max_live);
}

static void tear_down(struct fixture *f)
{
	tern_pool_fini(&f->pool);
	assert_int_equal(f->mem.used, 0);
	test_heap_assert_empty(&f->heap);
}

static void a_pool_owns_nothing_until_asked(void **state)
{
	(void)state;
	struct fixture f;
	uint32_t slot = 0;
	set_up(&f, 256, 14, UINT32_MAX);
	assert_int_equal(f.mem.used, 0);
	assert_null(tern_pool_at(&f.pool, 0));
	assert_null(tern_pool_at(&f.pool, UINT32_MAX));
	assert_null(tern_pool_next(&f.pool, &slot));
	tern_pool_trim(&f.pool);
	tear_down(&f);
}

static void objects_are_aligned_and_do_not_overlap(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 16, 24, 32, 48, 64, 100, 128, 256, 1000, 4096};
	enum {
		N = 300
	};
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		struct fixture f;
		uint8_t *object[N];
		set_up(&f, sizes[k], 14, UINT32_MAX);
		for (int i = 0; i < N; i++) {
			object[i] = tern_pool_get(&f.pool);
			assert_non_null(object[i]);
			assert_int_equal((uintptr_t)object[i] % (sizes[k] % 64 ? 16 : 64), 0);
			memset(object[i], i, sizes[k]);
		}
		for (int i = 0; i < N; i++) {
			for (size_t b = 0; b < sizes[k]; b++)
				assert_int_equal(object[i][b], (uint8_t)i);
			tern_pool_put(&f.pool, object[i]);
		}
		tear_down(&f);
	}
}

static void a_slab_of_two_works(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 64, 8, UINT32_MAX);
	assert_in_range(f.pool.per_slab, 2, 3);
	void *object[10];
	for (int i = 0; i < 10; i++)
		object[i] = tern_pool_get(&f.pool);
	for (int i = 9; i >= 0; i--)
		tern_pool_put(&f.pool, object[i]);
	tear_down(&f);
}

static void no_more_than_max_live_are_handed_out(void **state)
{
	(void)state;
	struct fixture f;
	void *object[5];
	set_up(&f, 64, 12, 5);
	for (int i = 0; i < 5; i++)
		assert_non_null(object[i] = tern_pool_get(&f.pool));
	assert_null(tern_pool_get(&f.pool));
	tern_pool_put(&f.pool, object[2]);
	assert_non_null(object[2] = tern_pool_get(&f.pool));
	assert_null(tern_pool_get(&f.pool));
	for (int i = 0; i < 5; i++)
		tern_pool_put(&f.pool, object[i]);
	tear_down(&f);
}

static void one_empty_slab_is_kept_and_the_others_are_given_back(void **state)
{
	(void)state;
	struct fixture f;
	void *object[1000];
	set_up(&f, 256, 12, UINT32_MAX);
	for (int i = 0; i < 1000; i++)
		assert_non_null(object[i] = tern_pool_get(&f.pool));
	for (int i = 0; i < 1000; i++)
		tern_pool_put(&f.pool, object[i]);
	/* The spare slab, and the directory. */
	assert_int_equal(f.heap.blocks, 2);
	const uint64_t asked = f.heap.asked;
	for (int i = 0; i < 100; i++)
		tern_pool_put(&f.pool, tern_pool_get(&f.pool));
	assert_int_equal(f.heap.asked, asked);
	tern_pool_trim(&f.pool);
	assert_int_equal(f.mem.used, 0);
	/* And it can begin again. */
	void *again = tern_pool_get(&f.pool);
	assert_non_null(again);
	tern_pool_put(&f.pool, again);
	tear_down(&f);
}

static void generations_count_up_and_skip_zero(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 64, 12, UINT32_MAX);
	assert_int_equal(tern_pool_generation(&f.pool), 1);
	assert_int_equal(tern_pool_generation(&f.pool), 2);
	f.pool.last_generation = UINT32_MAX - 1;
	assert_int_equal(tern_pool_generation(&f.pool), UINT32_MAX);
	assert_int_equal(tern_pool_generation(&f.pool), 1);
	tear_down(&f);
}

static void a_slot_names_its_object_while_that_lives(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 128, 12, UINT32_MAX);
	void *a = tern_pool_get(&f.pool), *b = tern_pool_get(&f.pool);
	const uint32_t slot_a = tern_pool_slot(&f.pool, a), slot_b = tern_pool_slot(&f.pool, b);
	assert_int_not_equal(slot_a, slot_b);
	assert_ptr_equal(tern_pool_at(&f.pool, slot_a), a);
	assert_ptr_equal(tern_pool_at(&f.pool, slot_b), b);
	tern_pool_put(&f.pool, a);
	assert_null(tern_pool_at(&f.pool, slot_a));
	assert_ptr_equal(tern_pool_at(&f.pool, slot_b), b);
	tern_pool_put(&f.pool, b);
	assert_null(tern_pool_at(&f.pool, slot_b));
	tern_pool_trim(&f.pool);
	assert_null(tern_pool_at(&f.pool, slot_b));
	tear_down(&f);
}

static void a_refused_slab_or_directory_leaves_the_pool_as_it_was(void **state)
{
	(void)state;
	for (uint64_t k = 1; k < 60; k++) {
		struct fixture f;
		void *object[400];
		unsigned refused = 0;
		set_up(&f, 512, 12, UINT32_MAX);
		test_heap_fail_once(&f.heap, k);
		for (int i = 0; i < 400; i++) {
			const size_t used = f.mem.used;
			object[i] = tern_pool_get(&f.pool);
			if (object[i])
				continue;
			refused++;
			assert_int_equal(f.pool.live, i);
			assert_true(f.mem.used >= used);
			assert_non_null(object[i] = tern_pool_get(&f.pool));
		}
		assert_int_equal(refused, 1);
		assert_int_equal(f.mem.refused, 1);
		for (int i = 0; i < 400; i++)
			tern_pool_put(&f.pool, object[i]);
		tear_down(&f);
	}
}

static void a_first_object_that_is_refused_leaves_no_memory_held(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 512, 12, UINT32_MAX);
	for (uint64_t allowed = 0; allowed < 2; allowed++) {
		test_heap_fail_after(&f.heap, allowed);
		assert_null(tern_pool_get(&f.pool));
		assert_int_equal(f.mem.used, 0);
	}
	tear_down(&f);
}

/* Against plain arrays: what lives in which slot, and what it was filled with. */
static void play(uint64_t seed, size_t object_size, unsigned slab_log2, int steps)
{
	enum {
		MOST = 900
	};
	struct fixture f;
	struct test_rand r = {seed};
	struct {
		uint8_t *object;
		uint32_t slot;
		uint8_t fill;
	} live[MOST];
	uint32_t n = 0;
	bool growing = true;

	set_up(&f, object_size, slab_log2, MOST);
	for (int step = 0; step < steps; step++) {
		if (n == 0 || n == MOST || test_rand_one_in(&r, 500))
			growing = n == 0 || (n < MOST && !growing);
		if (test_rand_one_in(&r, 200))
			tern_pool_trim(&f.pool);
		if (test_rand_below(&r, 4) < (growing ? 3u : 1u) && n < MOST) {
			if (test_rand_one_in(&r, 8))
				test_heap_fail_once(&f.heap, 1);
			uint8_t *object = tern_pool_get(&f.pool);
			test_heap_relent(&f.heap);
			if (!object)
				continue;
			live[n].object = object;
			live[n].slot = tern_pool_slot(&f.pool, object);
			live[n].fill = (uint8_t)step;
			memset(object, step, object_size);
			n++;
		} else if (n > 0) {
			const uint32_t k = test_rand_below(&r, n);
			assert_int_equal(live[k].object[0], live[k].fill);
			assert_int_equal(live[k].object[object_size - 1], live[k].fill);
			assert_ptr_equal(tern_pool_at(&f.pool, live[k].slot), live[k].object);
			tern_pool_put(&f.pool, live[k].object);
			assert_null(tern_pool_at(&f.pool, live[k].slot));
			live[k] = live[--n];
		}
		assert_int_equal(f.pool.live, n);
		if (!test_rand_one_in(&r, 100))
			continue;
		uint32_t slot = 0, seen = 0;
		for (const void *object; (object = tern_pool_next(&f.pool, &slot)); slot++) {
			assert_int_equal(tern_pool_slot(&f.pool, object), slot);
			seen++;
		}
		assert_int_equal(seen, n);
	}
	while (n > 0)
		tern_pool_put(&f.pool, live[--n].object);
	tear_down(&f);
}

static void it_agrees_with_plain_arrays_whatever_comes_and_goes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		play(seed, 16, 11, 30000);
		play(seed, 64, 8, 30000);
		play(seed, 256, 14, 30000);
		play(seed, 4096, 15, 5000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_owns_nothing_until_asked),
		cmocka_unit_test(objects_are_aligned_and_do_not_overlap),
		cmocka_unit_test(a_slab_of_two_works),
		cmocka_unit_test(no_more_than_max_live_are_handed_out),
		cmocka_unit_test(one_empty_slab_is_kept_and_the_others_are_given_back),
		cmocka_unit_test(generations_count_up_and_skip_zero),
		cmocka_unit_test(a_slot_names_its_object_while_that_lives),
		cmocka_unit_test(a_refused_slab_or_directory_leaves_the_pool_as_it_was),
		cmocka_unit_test(a_first_object_that_is_refused_leaves_no_memory_held),
		cmocka_unit_test(it_agrees_with_plain_arrays_whatever_comes_and_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
