/*
 * A slab begins with its header, in the room of its first object or objects; the rest of the
 * rooms are handed out. Rooms never used yet are counted, not listed, so a new slab costs
 * its header only; rooms given back are listed through their own first bytes.
 *
 * A slab is in exactly one of three places: in the list `partial` (it has live objects and
 * room), the pool's spare (it has no live object), or nowhere (it is full).
 */
#include "base/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define NONE UINT32_MAX

struct slab {
	struct slab *next, **link; /* in partial; link is NULL while not in it */
	uint32_t index;            /* pool->slabs[index] is this slab */
	uint32_t live;
	uint32_t fresh;     /* rooms from this one on were never handed out */
	uint32_t freed;     /* first room given back, or NONE */
	uint64_t is_live[]; /* a bit for each room */
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POISONING
#endif

/* So that AddressSanitizer sees a use of an object that is back in its pool. */
#ifdef POISONING
void __asan_poison_memory_region(const volatile void *start, size_t size);
void __asan_unpoison_memory_region(const volatile void *start, size_t size);
#define poison(start, size)   __asan_poison_memory_region(start, size)
#define unpoison(start, size) __asan_unpoison_memory_region(start, size)
#else
#define poison(start, size)   ((void)(start), (void)(size))
#define unpoison(start, size) ((void)(start), (void)(size))
#endif

static size_t slab_bytes(const struct pool *pool)
{
	return (size_t)1 << pool->slab_log2;
}

static size_t header_bytes(uint32_t rooms)
{
	return sizeof(struct slab) + (rooms + 63) / 64 * sizeof(uint64_t);
}

/* Rooms are counted from the end of the slab, so that the header needs no room number. */
static uint8_t *room_at(const struct pool *pool, const struct slab *slab, uint32_t room)
{
	const size_t skip = slab_bytes(pool) / pool->object_size - pool->per_slab;
	return (uint8_t *)slab + (skip + room) * pool->object_size;
}

static struct slab *slab_of(const struct pool *pool, const void *object)
{
	const uint8_t *at = object;
	const size_t offset = (uintptr_t)at & (slab_bytes(pool) - 1);
	return (struct slab *)(uintptr_t)(at - offset);
}

static uint32_t room_of(const struct pool *pool, const struct slab *slab, const void *object)
{
	const size_t offset = (size_t)((const uint8_t *)object - room_at(pool, slab, 0));
	assert(offset % pool->object_size == 0);
	return (uint32_t)(offset / pool->object_size);
}

static bool room_live(const struct slab *slab, uint32_t room)
{
	return slab->is_live[room / 64] >> room % 64 & 1;
}

static void list(struct pool *pool, struct slab *slab)
{
	slab->next = pool->partial;
	slab->link = &pool->partial;
	if (slab->next)
		slab->next->link = &slab->next;
	pool->partial = slab;
}

static void unlist(struct slab *slab)
{
	*slab->link = slab->next;
	if (slab->next)
		slab->next->link = slab->link;
	slab->link = NULL;
}

void tern_pool_init(struct pool *pool, struct mem *mem, size_t object_size, unsigned slab_log2,
	uint32_t max_live)
{
	*pool = (struct pool){
		.mem = mem,
		.object_size = (object_size + 15) & ~(size_t)15,
		.slab_log2 = slab_log2,
		.max_live = max_live,
	};
	assert(object_size > 0 && slab_log2 >= 6 && slab_log2 < 31);
	const uint32_t rooms = (uint32_t)(slab_bytes(pool) / pool->object_size);
	const size_t header = header_bytes(rooms);
	const uint32_t skip = (uint32_t)((header + pool->object_size - 1) / pool->object_size);
	assert(rooms >= skip + 2);
	pool->per_slab = rooms - skip;
}

/* Makes room for one more slab index; the directory doubles, so it costs little a slab. */
static bool grow_directory(struct pool *pool)
{
	const uint32_t cap = pool->slab_cap ? 2 * pool->slab_cap : 4;
	if (cap > NONE / pool->per_slab)
		return false;
	struct slab **slabs =
		tern_mem_alloc(pool->mem, cap * sizeof *slabs, _Alignof(struct slab *));
	if (!slabs)
		return false;
	if (pool->slab_count)
		memcpy(slabs, pool->slabs, pool->slab_count * sizeof *slabs);
	tern_mem_free(pool->mem, pool->slabs, pool->slab_cap * sizeof *slabs);
	pool->slabs = slabs;
	pool->slab_cap = cap;
	return true;
}

static void drop_directory(struct pool *pool)
{
	tern_mem_free(pool->mem, pool->slabs, pool->slab_cap * sizeof(struct slab *));
	pool->slabs = NULL;
	pool->slab_cap = 0;
}

/* A slab without objects, at the lowest vacant index and in no list. */
static struct slab *new_slab(struct pool *pool)
{
	while (pool->free_index < pool->slab_count && pool->slabs[pool->free_index])
		pool->free_index++;
	const uint32_t index = pool->free_index;
	if (index == pool->slab_cap && !grow_directory(pool))
		return NULL;
	struct slab *slab = tern_mem_alloc(pool->mem, slab_bytes(pool), slab_bytes(pool));
	if (!slab) {
		if (pool->slab_count == 0)
			drop_directory(pool);
		return NULL;
	}
	memset(slab, 0, header_bytes(pool->per_slab));
	slab->index = index;
	slab->freed = NONE;
	poison(room_at(pool, slab, 0), pool->per_slab * pool->object_size);
	pool->slabs[index] = slab;
	pool->free_index = index + 1;
	if (index == pool->slab_count)
		pool->slab_count++;
	return slab;
}

static void release_slab(struct pool *pool, struct slab *slab)
{
	const uint32_t index = slab->index;
	unpoison(slab, slab_bytes(pool));
	tern_mem_free(pool->mem, slab, slab_bytes(pool));
	pool->slabs[index] = NULL;
	if (index < pool->free_index)
		pool->free_index = index;
	while (pool->slab_count > 0 && !pool->slabs[pool->slab_count - 1])
		pool->slab_count--;
}

static bool slab_full(const struct pool *pool, const struct slab *slab)
{
	return slab->live == pool->per_slab;
}

static void *take_room(struct pool *pool, struct slab *slab)
{
	uint32_t room = slab->freed;
	if (room == NONE)
		room = slab->fresh++;
	uint8_t *object = room_at(pool, slab, room);
	unpoison(object, pool->object_size);
	if (room == slab->freed)
		memcpy(&slab->freed, object, sizeof slab->freed);
	slab->is_live[room / 64] |= 1ull << room % 64;
	slab->live++;
	return object;
}

void *tern_pool_get(struct pool *pool)
{
	if (pool->live >= pool->max_live)
		return NULL;
	struct slab *slab = pool->partial;
	if (!slab) {
		slab = pool->spare ? pool->spare : new_slab(pool);
		if (!slab)
			return NULL;
		pool->spare = NULL;
		list(pool, slab);
	}
	pool->live++;
	void *object = take_room(pool, slab);
	if (slab_full(pool, slab))
		unlist(slab);
	return object;
}

void tern_pool_put(struct pool *pool, void *object)
{
	struct slab *slab = slab_of(pool, object);
	const uint32_t room = room_of(pool, slab, object);
	assert(room < pool->per_slab && room_live(slab, room));
	slab->is_live[room / 64] &= ~(1ull << room % 64);
	memcpy(object, &slab->freed, sizeof slab->freed);
	poison(object, pool->object_size);
	slab->freed = room;
	if (slab_full(pool, slab))
		list(pool, slab);
	slab->live--;
	pool->live--;
	if (slab->live > 0)
		return;
	unlist(slab);
	if (pool->spare)
		release_slab(pool, slab);
	else
		pool->spare = slab;
}

uint32_t tern_pool_slot(const struct pool *pool, const void *object)
{
	const struct slab *slab = slab_of(pool, object);
	return slab->index * pool->per_slab + room_of(pool, slab, object);
}

uint32_t tern_pool_generation(struct pool *pool)
{
	if (++pool->last_generation == 0)
		pool->last_generation = 1;
	return pool->last_generation;
}

void *tern_pool_at(const struct pool *pool, uint32_t slot)
{
	const uint32_t index = slot / pool->per_slab;
	const uint32_t room = slot % pool->per_slab;
	if (index >= pool->slab_count || !pool->slabs[index])
		return NULL;
	const struct slab *slab = pool->slabs[index];
	return room_live(slab, room) ? room_at(pool, slab, room) : NULL;
}

/* The first live room at or after room, or per_slab. */
static uint32_t next_live(const struct pool *pool, const struct slab *slab, uint32_t room)
{
	if (!slab || !slab->live)
		return pool->per_slab;
	while (room < pool->per_slab) {
		const uint64_t bits = slab->is_live[room / 64] >> room % 64;
		if (bits)
			return room + (uint32_t)__builtin_ctzll(bits);
		room = (room | 63) + 1;
	}
	return pool->per_slab;
}

void *tern_pool_next(const struct pool *pool, uint32_t *slot)
{
	uint32_t index = *slot / pool->per_slab;
	uint32_t room = *slot % pool->per_slab;
	for (; index < pool->slab_count; index++, room = 0) {
		const struct slab *slab = pool->slabs[index];
		room = next_live(pool, slab, room);
		if (room == pool->per_slab)
			continue;
		*slot = index * pool->per_slab + room;
		return room_at(pool, slab, room);
	}
	return NULL;
}

void tern_pool_trim(struct pool *pool)
{
	if (pool->spare)
		release_slab(pool, pool->spare);
	pool->spare = NULL;
	if (pool->slab_count == 0)
		drop_directory(pool);
}

void tern_pool_fini(struct pool *pool)
{
	assert(pool->live == 0);
	tern_pool_trim(pool);
	assert(pool->slab_count == 0);
}
