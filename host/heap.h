/* The memory of a host's stack: libc's, but that the slabs of rings are kept when given back. */
#ifndef HOST_HEAP_H
#define HOST_HEAP_H

#include <stddef.h>
#include <tern/stack.h>

#define HEAP_SLAB     ((size_t)64 << 10) /* bytes, and aligned to as many */
#define HEAP_KEPT_MAX 256                /* 16 MiB */

/* Zeroed, it is ready. What it has given out must have come back before tern_heap_fini. */
struct heap {
	void *kept[HEAP_KEPT_MAX]; /* slabs that nobody has, the last used last */
	unsigned kept_count;
};

/* An allocator that borrows the heap. */
struct tern_allocator tern_heap_allocator(struct heap *heap);
/* Gives what is kept back to libc. */
void tern_heap_fini(struct heap *heap);

#endif
