/*
 * What unit tests share: cmocka with what it needs before it, a heap that counts, refuses on
 * demand and notices leaks, and numbers that are the same on every run.
 *
 *	struct test_heap heap = {0};
 *	struct tern_allocator allocator = test_heap_allocator(&heap);
 *	...
 *	test_heap_fail_once(&heap, 3);     the third allocation from now is refused
 *	test_heap_fail_after(&heap, 10);   ten more succeed, then none
 *	test_heap_relent(&heap);
 *	...
 *	test_heap_assert_empty(&heap);
 */
#ifndef TEST_UNIT_SUPPORT_H
#define TEST_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <malloc.h>

#include <cmocka.h>

#include <tern/stack.h>

/* TERN_TEST names the one test to run (scripts/conformance-mutants). */
__attribute__((constructor)) static void choose_test(void)
{
	const char *name = getenv("TERN_TEST");
	if (name && *name)
		cmocka_set_test_filter(name);
}

struct test_heap {
	uint64_t asked;      /* allocations asked for, the refused ones included */
	uint64_t blocks;     /* blocks out now */
	size_t bytes;        /* bytes out now */
	uint64_t fail_first; /* refuse when fail_first <= asked < fail_end */
	uint64_t fail_end;
};

static inline void *test_heap_alloc(void *context, size_t size, size_t align)
{
	struct test_heap *heap = context;
	void *block;
	heap->asked++;
	if (heap->asked >= heap->fail_first && heap->asked < heap->fail_end)
		return NULL;
	assert_true(align > 0 && (align & (align - 1)) == 0);
	if (posix_memalign(&block, align < sizeof(void *) ? sizeof(void *) : align, size))
		return NULL;
	/* Nobody may count on zeroes. */
	memset(block, 0xa5, size);
	heap->blocks++;
	heap->bytes += size;
	return block;
}

static inline void test_heap_free(void *context, void *block, size_t size)
{
	struct test_heap *heap = context;
	if (!block)
		return;
	assert_true(heap->blocks > 0 && heap->bytes >= size);
	assert_true(malloc_usable_size(block) >= size);
	heap->blocks--;
	heap->bytes -= size;
	free(block);
}

static inline struct tern_allocator test_heap_allocator(struct test_heap *heap)
{
	return (struct tern_allocator){test_heap_alloc, test_heap_free, heap};
}

/* Refuses only the k-th allocation from now; k = 1 is the next. */
static inline void test_heap_fail_once(struct test_heap *heap, uint64_t k)
{
	heap->fail_first = heap->asked + k;
	heap->fail_end = heap->fail_first + 1;
}

/* Lets k more allocations succeed and refuses all after them. */
static inline void test_heap_fail_after(struct test_heap *heap, uint64_t k)
{
	heap->fail_first = heap->asked + k + 1;
	heap->fail_end = UINT64_MAX;
}

static inline void test_heap_relent(struct test_heap *heap)
{
	heap->fail_first = 0;
	heap->fail_end = 0;
}

/* Whether an allocation has been refused since the last fail_once or fail_after. */
static inline bool test_heap_refused(const struct test_heap *heap)
{
	return heap->fail_end > 0 && heap->asked >= heap->fail_first;
}

static inline void test_heap_assert_empty(const struct test_heap *heap)
{
	assert_int_equal(heap->blocks, 0);
	assert_int_equal(heap->bytes, 0);
}

/* splitmix64; any seed will do. */
struct test_rand {
	uint64_t state;
};

static inline uint64_t test_rand_u64(struct test_rand *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint32_t test_rand_u32(struct test_rand *r)
{
	return (uint32_t)(test_rand_u64(r) >> 32);
}

/* In [0, bound); bound > 0. */
static inline uint32_t test_rand_below(struct test_rand *r, uint32_t bound)
{
	return (uint32_t)((uint64_t)test_rand_u32(r) * bound >> 32);
}

/* True once in n calls, on average. */
static inline bool test_rand_one_in(struct test_rand *r, uint32_t n)
{
	return test_rand_below(r, n) == 0;
}

static inline void test_rand_fill(struct test_rand *r, void *data, size_t len)
{
	uint8_t *p = data;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)test_rand_u64(r);
}

#endif
