/*
 * The ledger: every byte the stack holds was asked for here, is charged to one budget, and
 * comes from the allocator the embedder lent. Refusals are counted and ordinary.
 */
#ifndef TERN_BASE_MEM_H
#define TERN_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <tern/stack.h>

struct mem {
	struct tern_allocator allocator;
	size_t budget; /* bytes that may be held at once */
	size_t used;   /* bytes held now; <= budget */
	size_t peak;
	uint64_t refused; /* requests turned down, for budget or by the allocator */
};

void tern_mem_init(struct mem *mem, const struct tern_allocator *allocator, size_t budget);
/*
 * size bytes aligned to align (a power of two), contents undefined; NULL when over budget or
 * the allocator has none.
 */
void *tern_mem_alloc(struct mem *mem, size_t size, size_t align);
/* Gives back what tern_mem_alloc gave for the same size. ptr may be NULL. */
void tern_mem_free(struct mem *mem, void *ptr, size_t size);

#endif
