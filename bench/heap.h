/* The memory of stacks in benches: libc's. */
#ifndef BENCH_HEAP_H
#define BENCH_HEAP_H

#include <stdlib.h>

#include <tern/stack.h>

static inline void *bench_heap_alloc(void *context, size_t size, size_t align)
{
	(void)context;
	return aligned_alloc(align, (size + align - 1) / align * align);
}

static inline void bench_heap_free(void *context, void *ptr, size_t size)
{
	(void)context;
	(void)size;
	free(ptr);
}

#define BENCH_ALLOCATOR ((struct tern_allocator){bench_heap_alloc, bench_heap_free, NULL})

#endif
