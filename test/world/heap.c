/* The stack's memory: counted, filled with rubbish, and at times refused. */
#include <stdlib.h>
#include <string.h>

#include "test/world/world.h"

/* In front of each block; the block itself stays aligned. */
struct mark {
	size_t size;
	void *base;
};

static void *take(void *context, size_t size, size_t align)
{
	struct heap *heap = context;
	if (align == 0 || align & (align - 1)) {
		heap->broken = "asked for an alignment that is no power of two";
		return NULL;
	}
	if (heap->refuse_one_in && rng_below(&heap->rng, heap->refuse_one_in) == 0)
		return NULL;
	size_t room = sizeof(struct mark) + align + heap->skew;
	char *base = malloc(room + size);
	if (!base)
		return NULL;
	uintptr_t at = (uintptr_t)base + sizeof(struct mark) + heap->skew;
	uint8_t *block = (uint8_t *)((at + align - 1) & ~(uintptr_t)(align - 1));
	struct mark mark = {size, base};
	memcpy(block - sizeof mark, &mark, sizeof mark);
	memset(block, 0xa5, size);
	heap->bytes += size;
	heap->blocks++;
	return block;
}

static void give(void *context, void *ptr, size_t size)
{
	struct heap *heap = context;
	struct mark mark;
	if (!ptr)
		return;
	memcpy(&mark, (uint8_t *)ptr - sizeof mark, sizeof mark);
	if (mark.size != size) {
		heap->broken = "freed a block with another size than it was asked for";
		return;
	}
	memset(ptr, 0x5a, size);
	heap->bytes -= size;
	heap->blocks--;
	free(mark.base);
}

struct tern_allocator heap_allocator(struct heap *heap)
{
	return (struct tern_allocator){.alloc = take, .free = give, .context = heap};
}
