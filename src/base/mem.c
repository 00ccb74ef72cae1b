#include "base/mem.h"

#include <assert.h>

void tern_mem_init(struct mem *mem, const struct tern_allocator *allocator, size_t budget)
{
	*mem = (struct mem){.allocator = *allocator, .budget = budget};
}

void *tern_mem_alloc(struct mem *mem, size_t size, size_t align)
{
	void *block = NULL;

	assert(size > 0 && align > 0 && (align & (align - 1)) == 0);
	if (size <= mem->budget - mem->used)
		block = mem->allocator.alloc(mem->allocator.context, size, align);
	if (!block) {
		mem->refused++;
		return NULL;
	}
	mem->used += size;
	if (mem->peak < mem->used)
		mem->peak = mem->used;
	return block;
}

void tern_mem_free(struct mem *mem, void *ptr, size_t size)
{
	if (!ptr)
		return;
	assert(mem->used >= size);
	mem->used -= size;
	mem->allocator.free(mem->allocator.context, ptr, size);
}
