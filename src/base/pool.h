/*
 * Pools of equal objects. Objects come from slabs (aligned blocks of 2^slab_log2 bytes whose
 * first object's room holds the slab's header), so an object's slab is found by masking its
 * address. A slab with no live object is given back to the ledger, except one that is kept
 * against thrashing (tern_pool_trim gives that back too).
 *
 * Each object also has a slot number, stable while it lives, and each allocation a new
 * generation number (never 0): together they make handles.
 */
#ifndef TERN_BASE_POOL_H
#define TERN_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>
#include "base/mem.h"

struct slab;

struct pool {
	struct mem *mem;
	size_t object_size;
	uint32_t slab_log2;
	uint32_t per_slab;
	uint32_t live;     /* objects out */
	uint32_t max_live; /* refuse beyond; UINT32_MAX for no limit but the budget */
	uint32_t last_generation;
	struct slab *partial; /* slabs with room, most recently used first */
	struct slab *spare;   /* one empty slab kept */
	struct slab **slabs;  /* by slab index; NULL where given back */
	uint32_t slab_count, slab_cap;
	uint32_t free_index; /* lowest slab index that may be vacant */
};

/*
 * object_size is rounded up to 16 bytes; at least two objects must fit in a slab.
 * Objects are aligned to 64 bytes when object_size is a multiple of 64, else to 16.
 */
void tern_pool_init(struct pool *pool, struct mem *mem, size_t object_size, unsigned slab_log2,
	uint32_t max_live);
/* An object, contents undefined; NULL when refused. O(1). */
void *tern_pool_get(struct pool *pool);
/* Takes an object back. O(1). Asserts that it was live. */
void tern_pool_put(struct pool *pool, void *object);
uint32_t tern_pool_slot(const struct pool *pool, const void *object);
/* A generation for a new object: 1, 2, 3, ... skipping 0 when it wraps. */
uint32_t tern_pool_generation(struct pool *pool);
/* The live object in that slot, or NULL. */
void *tern_pool_at(const struct pool *pool, uint32_t slot);
/* The first live object at or after *slot, which is set to its slot; NULL at the end. */
void *tern_pool_next(const struct pool *pool, uint32_t *slot);
/* Gives the spare slab back. */
void tern_pool_trim(struct pool *pool);
/* Gives everything back; no object may be live. */
void tern_pool_fini(struct pool *pool);

#endif
