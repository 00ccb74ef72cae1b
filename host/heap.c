/*
 * A bulk flow moves through its rings at a slab every few dozen segments, each taken and given
 * back. libc maps a block of that size and alignment anew each time and unmaps it again: sixteen
 * page faults, and an interrupt to every CPU that the process has a thread on. They cost several
 * times what all else does that is done with a segment, so slabs are kept for the next.
 */
#include "host/heap.h"

#include <stdlib.h>

static bool is_slab(size_t size)
{
	return size == HEAP_SLAB;
}

static void *heap_alloc(void *context, size_t size, size_t align)
{
	struct heap *heap = context;
	if (is_slab(size) && align <= HEAP_SLAB) {
		if (heap->kept_count)
			return heap->kept[--heap->kept_count];
		return aligned_alloc(HEAP_SLAB, HEAP_SLAB);
	}
	if (align <= _Alignof(max_align_t))
		return malloc(size);
	return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void heap_free(void *context, void *ptr, size_t size)
{
	struct heap *heap = context;
	if (ptr && is_slab(size) && heap->kept_count < HEAP_KEPT_MAX)
		heap->kept[heap->kept_count++] = ptr;
	else
		free(ptr);
}

struct tern_allocator tern_heap_allocator(struct heap *heap)
{
	return (struct tern_allocator){heap_alloc, heap_free, heap};
}

void tern_heap_fini(struct heap *heap)
{
	while (heap->kept_count)
		free(heap->kept[--heap->kept_count]);
}
