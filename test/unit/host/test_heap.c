#include "test/unit/support.h"

#include <stdint.h>

#include "host/heap.h"

static void a_slab_given_back_is_the_next_one_handed_out(void **state)
{
	(void)state;
	struct heap heap = {0};
	struct tern_allocator a = tern_heap_allocator(&heap);
	void *slab = a.alloc(a.context, HEAP_SLAB, HEAP_SLAB);
	assert_non_null(slab);
	assert_int_equal((uintptr_t)slab % HEAP_SLAB, 0);
	a.free(a.context, slab, HEAP_SLAB);
	assert_ptr_equal(a.alloc(a.context, HEAP_SLAB, HEAP_SLAB), slab);
	a.free(a.context, slab, HEAP_SLAB);
	tern_heap_fini(&heap);
}

static void what_was_asked_for_with_less_alignment_serves_as_a_slab(void **state)
{
	(void)state;
	struct heap heap = {0};
	struct tern_allocator a = tern_heap_allocator(&heap);
	a.free(a.context, a.alloc(a.context, HEAP_SLAB, 16), HEAP_SLAB);
	void *slab = a.alloc(a.context, HEAP_SLAB, HEAP_SLAB);
	assert_int_equal((uintptr_t)slab % HEAP_SLAB, 0);
	a.free(a.context, slab, HEAP_SLAB);
	tern_heap_fini(&heap);
}

static void no_more_than_the_most_are_kept(void **state)
{
	(void)state;
	struct heap heap = {0};
	struct tern_allocator a = tern_heap_allocator(&heap);
	void *slab[HEAP_KEPT_MAX + 3];
	for (unsigned i = 0; i < HEAP_KEPT_MAX + 3; i++)
		assert_non_null(slab[i] = a.alloc(a.context, HEAP_SLAB, HEAP_SLAB));
	for (unsigned i = 0; i < HEAP_KEPT_MAX + 3; i++)
		a.free(a.context, slab[i], HEAP_SLAB);
	assert_int_equal(heap.kept_count, HEAP_KEPT_MAX);
	tern_heap_fini(&heap);
	assert_int_equal(heap.kept_count, 0);
}

static void blocks_of_other_sizes_are_aligned_and_not_kept(void **state)
{
	(void)state;
	static const size_t sizes[][2] = {{1, 1}, {100, 8}, {16384, 16384}, {131072, 131072}};
	struct heap heap = {0};
	struct tern_allocator a = tern_heap_allocator(&heap);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		void *block = a.alloc(a.context, sizes[i][0], sizes[i][1]);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % sizes[i][1], 0);
		a.free(a.context, block, sizes[i][0]);
	}
	a.free(a.context, NULL, HEAP_SLAB);
	assert_int_equal(heap.kept_count, 0);
	tern_heap_fini(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slab_given_back_is_the_next_one_handed_out),
		cmocka_unit_test(what_was_asked_for_with_less_alignment_serves_as_a_slab),
		cmocka_unit_test(no_more_than_the_most_are_kept),
		cmocka_unit_test(blocks_of_other_sizes_are_aligned_and_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
