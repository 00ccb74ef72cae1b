#include "test/unit/support.h"

#include "base/mem.h"

static void a_budget_is_never_exceeded_and_refusals_are_counted(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_allocator allocator = test_heap_allocator(&heap);
	struct mem mem;
	tern_mem_init(&mem, &allocator, 100);
	void *a = tern_mem_alloc(&mem, 60, 8);
	assert_non_null(a);
	assert_null(tern_mem_alloc(&mem, 41, 8));
	assert_null(tern_mem_alloc(&mem, SIZE_MAX, 8));
	assert_int_equal(heap.asked, 1);
	assert_int_equal(mem.refused, 2);
	void *b = tern_mem_alloc(&mem, 40, 8);
	assert_non_null(b);
	assert_int_equal(mem.used, 100);
	assert_null(tern_mem_alloc(&mem, 1, 1));
	tern_mem_free(&mem, a, 60);
	tern_mem_free(&mem, b, 40);
	assert_int_equal(mem.used, 0);
	assert_int_equal(mem.peak, 100);
	test_heap_assert_empty(&heap);
}

static void a_refusal_of_the_allocator_charges_nothing(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_allocator allocator = test_heap_allocator(&heap);
	struct mem mem;
	tern_mem_init(&mem, &allocator, 1000);
	test_heap_fail_once(&heap, 1);
	assert_null(tern_mem_alloc(&mem, 10, 1));
	assert_int_equal(mem.refused, 1);
	assert_int_equal(mem.used, 0);
	assert_int_equal(mem.peak, 0);
	test_heap_assert_empty(&heap);
}

static void blocks_are_aligned_as_asked(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_allocator allocator = test_heap_allocator(&heap);
	struct mem mem;
	tern_mem_init(&mem, &allocator, 1 << 20);
	for (size_t align = 1; align <= 65536; align *= 2) {
		void *block = tern_mem_alloc(&mem, 3, align);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % align, 0);
		tern_mem_free(&mem, block, 3);
	}
	test_heap_assert_empty(&heap);
}

static void freeing_nothing_is_harmless(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_allocator allocator = test_heap_allocator(&heap);
	struct mem mem;
	tern_mem_init(&mem, &allocator, 10);
	tern_mem_free(&mem, NULL, 10);
	assert_int_equal(mem.used, 0);
}

static void the_ledger_agrees_with_the_heap_whatever_happens(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_allocator allocator = test_heap_allocator(&heap);
	struct test_rand r = {1};
	struct mem mem;
	void *block[32] = {0};
	size_t size[32];
	tern_mem_init(&mem, &allocator, 4000);
	for (int i = 0; i < 20000; i++) {
		const uint32_t k = test_rand_below(&r, 32);
		if (block[k]) {
			tern_mem_free(&mem, block[k], size[k]);
			block[k] = NULL;
		} else {
			if (test_rand_one_in(&r, 10))
				test_heap_fail_once(&heap, 1);
			size[k] = 1 + test_rand_below(&r, 500);
			const size_t used = mem.used;
			block[k] = tern_mem_alloc(&mem, size[k], 16);
			assert_int_equal(mem.used, block[k] ? used + size[k] : used);
		}
		assert_int_equal(mem.used, heap.bytes);
		assert_true(mem.used <= mem.budget && mem.peak >= mem.used);
	}
	assert_true(mem.refused > 0);
	for (int k = 0; k < 32; k++)
		tern_mem_free(&mem, block[k], block[k] ? size[k] : 0);
	assert_int_equal(mem.used, 0);
	test_heap_assert_empty(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_budget_is_never_exceeded_and_refusals_are_counted),
		cmocka_unit_test(a_refusal_of_the_allocator_charges_nothing),
		cmocka_unit_test(blocks_are_aligned_as_asked),
		cmocka_unit_test(freeing_nothing_is_harmless),
		cmocka_unit_test(the_ledger_agrees_with_the_heap_whatever_happens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
