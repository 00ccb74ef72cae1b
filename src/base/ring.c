/*
 * Positions of the stream are cut into chunks; chunk 0 of the ring is the one that holds the head,
 * and while there is no directory it is the only one there can be. Chunks are found at their
 * number in the stream, modulo the directory's size, so consuming moves none. `reach` bounds what
 * was stored early: when nothing lies beyond the head the ring gives all its memory back, and when
 * all lies in chunk 0 it needs no directory.
 */
#include "base/ring.h"

#include <assert.h>
#include <string.h>

#define IN_CHUNK     (RING_CHUNK - 1)
#define FURTHEST     ((size_t)1 << 30) /* end of any stored byte */
#define SMALLEST_DIR 2                 /* log2: a directory is hardly worth less */

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The ring's chunk in which the byte at offset lies. */
static uint32_t chunk_of(const struct ring *ring, size_t offset)
{
	return (uint32_t)(((ring->head & IN_CHUNK) + offset) >> RING_CHUNK_LOG2);
}

/* The byte's place in its chunk. */
static uint32_t place_of(const struct ring *ring, size_t offset)
{
	return (uint32_t)(ring->head + offset) & IN_CHUNK;
}

static uint32_t capacity(const struct ring *ring)
{
	return (uint32_t)1 << ring->dir_log2;
}

static uint8_t **slot_in(uint8_t **directory, unsigned dir_log2, uint32_t head, uint32_t k)
{
	uint32_t mask = ((uint32_t)1 << dir_log2) - 1;
	return &directory[((head >> RING_CHUNK_LOG2) + k) & mask];
}

static uint8_t **slot(struct ring *ring, uint32_t k)
{
	if (ring->dir_log2 == 0)
		return &ring->chunk;
	return slot_in(ring->directory, ring->dir_log2, ring->head, k);
}

/* A byte that is readable, or was stored. */
static uint8_t *byte_at(const struct ring *ring, size_t offset)
{
	uint8_t *chunk = ring->chunk;
	if (ring->dir_log2 > 0)
		chunk = *slot_in(ring->directory, ring->dir_log2, ring->head,
			chunk_of(ring, offset));
	assert(chunk);
	return chunk + place_of(ring, offset);
}

/* How many of n bytes from offset lie in its chunk. */
static size_t piece(const struct ring *ring, size_t offset, size_t n)
{
	size_t room = RING_CHUNK - place_of(ring, offset);
	return n < room ? n : room;
}

static size_t dir_bytes(unsigned dir_log2)
{
	return sizeof(uint8_t *) << dir_log2;
}

static void release(struct pool *chunks, uint8_t **at)
{
	if (*at)
		tern_pool_put(chunks, *at);
	*at = NULL;
}

/* Gives chunks k and up back. */
static void release_from(struct ring *ring, struct pool *chunks, uint32_t k)
{
	for (; k < capacity(ring); k++)
		release(chunks, slot(ring, k));
}

/* Gives back what the bytes below reach do not need: all, or all but chunk 0. */
static void settle(struct ring *ring, struct pool *chunks)
{
	if (ring->reach > 0 && (ring->head & IN_CHUNK) + ring->reach > RING_CHUNK)
		return;
	release_from(ring, chunks, ring->reach > 0);
	if (ring->dir_log2 > 0) {
		uint8_t *only = *slot(ring, 0);
		tern_mem_free(chunks->mem, ring->directory, dir_bytes(ring->dir_log2));
		ring->chunk = only;
		ring->dir_log2 = 0;
	}
	/* From the start of a chunk, most of what is sent at once fits into one. */
	if (ring->reach == 0)
		ring->head = 0;
}

/* Makes the directory large enough for `wanted` chunks, or returns false. */
static bool grow(struct ring *ring, struct pool *chunks, uint32_t wanted)
{
	unsigned log2 = SMALLEST_DIR;
	if (wanted <= capacity(ring))
		return true;
	while ((uint32_t)1 << log2 < wanted)
		log2++;
	uint8_t **directory = tern_mem_alloc(chunks->mem, dir_bytes(log2), _Alignof(uint8_t *));
	if (!directory)
		return false;
	memset(directory, 0, dir_bytes(log2));
	for (uint32_t k = 0; k < capacity(ring); k++)
		*slot_in(directory, log2, ring->head, k) = *slot(ring, k);
	if (ring->dir_log2 > 0)
		tern_mem_free(chunks->mem, ring->directory, dir_bytes(ring->dir_log2));
	ring->directory = directory;
	ring->dir_log2 = (uint8_t)log2;
	return true;
}

/* Chunk k, made if need be; NULL when memory is short. */
static uint8_t *make(struct ring *ring, struct pool *chunks, uint32_t k)
{
	if (k >= capacity(ring) && !grow(ring, chunks, k + 1))
		return NULL;
	uint8_t **at = slot(ring, k);
	if (!*at)
		*at = tern_pool_get(chunks);
	return *at;
}

/*
 * Makes chunks first to last, all of them or none. New ones are collected first, each holding the
 * pointer to the one before, so that they can go back if there are not enough.
 */
static bool make_all(struct ring *ring, struct pool *chunks, uint32_t first, uint32_t last)
{
	uint8_t *spare = NULL, *next;
	if (!grow(ring, chunks, last + 1))
		return false;
	for (uint32_t k = first; k <= last; k++) {
		if (*slot(ring, k))
			continue;
		next = tern_pool_get(chunks);
		if (!next)
			goto refused;
		memcpy(next, &spare, sizeof(uint8_t *));
		spare = next;
	}
	for (uint32_t k = first; spare; k++) {
		if (*slot(ring, k))
			continue;
		memcpy(&next, spare, sizeof(uint8_t *));
		*slot(ring, k) = spare;
		spare = next;
	}
	return true;
refused:
	while (spare) {
		memcpy(&next, spare, sizeof(uint8_t *));
		tern_pool_put(chunks, spare);
		spare = next;
	}
	return false;
}

void tern_ring_init(struct ring *ring)
{
	*ring = (struct ring){.chunk = NULL};
}

void tern_ring_clear(struct ring *ring, struct pool *chunks)
{
	ring->len = 0;
	ring->reach = 0;
	settle(ring, chunks);
}

size_t tern_ring_append(struct ring *ring, struct pool *chunks, const void *data, size_t n)
{
	const uint8_t *from = data;
	size_t left = n;
	if (left > FURTHEST - ring->len)
		left = FURTHEST - ring->len;
	while (left > 0) {
		uint8_t *chunk = make(ring, chunks, chunk_of(ring, ring->len));
		if (!chunk)
			break;
		size_t part = piece(ring, ring->len, left);
		memcpy(chunk + place_of(ring, ring->len), from, part);
		tern_ring_extend(ring, (uint32_t)part);
		from += part;
		left -= part;
	}
	if (left > 0)
		settle(ring, chunks);
	return (size_t)(from - (const uint8_t *)data);
}

/* Whether n > 0 bytes at offset have their chunks now. */
static bool prepare(struct ring *ring, struct pool *chunks, uint32_t offset, size_t n)
{
	assert(offset >= ring->len && n <= FURTHEST && offset <= FURTHEST - n);
	uint32_t first = chunk_of(ring, offset), last = chunk_of(ring, offset + n - 1);
	bool ok = first == last ? make(ring, chunks, first) != NULL
				: make_all(ring, chunks, first, last);
	if (!ok) {
		settle(ring, chunks);
		return false;
	}
	if (ring->reach < offset + n)
		ring->reach = (uint32_t)(offset + n);
	return true;
}

bool tern_ring_store(struct ring *ring, struct pool *chunks, uint32_t offset, const void *data,
	size_t n)
{
	const uint8_t *from = data;
	if (n == 0)
		return true;
	if (!prepare(ring, chunks, offset, n))
		return false;
	for (size_t done = 0, part; done < n; done += part) {
		part = piece(ring, offset + done, n - done);
		memcpy(byte_at(ring, offset + done), from + done, part);
	}
	return true;
}

bool tern_ring_store_sum(struct ring *ring, struct pool *chunks, uint32_t offset, const void *data,
	size_t n, const struct csum_ops *csum, uint32_t *sum)
{
	const uint8_t *from = data;
	uint64_t total = 0;
	*sum = 0;
	if (n == 0)
		return true;
	if (!prepare(ring, chunks, offset, n))
		return false;
	for (size_t done = 0, part; done < n; done += part) {
		part = piece(ring, offset + done, n - done);
		uint32_t s = csum->copy(byte_at(ring, offset + done), from + done, part);
		total = csum_join(total, done, s);
	}
	*sum = csum_fold(total);
	return true;
}

void tern_ring_extend(struct ring *ring, uint32_t n)
{
	assert(n <= FURTHEST - ring->len);
	ring->len += n;
	if (ring->reach < ring->len)
		ring->reach = ring->len;
}

unsigned tern_ring_room(struct ring *ring, struct pool *chunks, uint32_t offset, size_t n,
	struct tern_span *spans, unsigned max)
{
	assert(offset >= ring->len && n <= FURTHEST && offset <= FURTHEST - n);
	size_t done = 0;
	unsigned count = 0;
	for (; done < n && count < max; count++) {
		uint8_t *chunk = make(ring, chunks, chunk_of(ring, offset + done));
		if (!chunk)
			break;
		size_t part = piece(ring, offset + done, n - done);
		spans[count] = (struct tern_span){chunk + place_of(ring, offset + done), part};
		done += part;
	}
	/* What is lent beyond a hole counts as stored; behind the readable bytes, extending does.
	 */
	if (offset > ring->len && done > 0 && ring->reach < offset + done)
		ring->reach = (uint32_t)(offset + done);
	if (count == 0)
		settle(ring, chunks);
	return count;
}

unsigned tern_ring_spans(const struct ring *ring, uint32_t offset, size_t n,
	struct tern_span *spans, unsigned max)
{
	assert(offset <= ring->len);
	size_t left = n < ring->len - offset ? n : ring->len - offset;
	unsigned count = 0;
	for (size_t at = offset; left > 0 && count < max; count++) {
		size_t part = piece(ring, at, left);
		spans[count] = (struct tern_span){byte_at(ring, at), part};
		at += part;
		left -= part;
	}
	return count;
}

void tern_ring_copy(const struct ring *ring, uint32_t offset, void *dst, size_t n)
{
	uint8_t *to = dst;
	assert(offset <= ring->len && n <= ring->len - offset);
	for (size_t done = 0, part; done < n; done += part) {
		part = piece(ring, offset + done, n - done);
		memcpy(to + done, byte_at(ring, offset + done), part);
	}
}

uint64_t tern_ring_copy_sum(const struct ring *ring, uint32_t offset, void *dst, size_t n,
	const struct csum_ops *csum)
{
	uint8_t *to = dst;
	uint64_t sum = 0;
	assert(offset <= ring->len && n <= ring->len - offset);
	for (size_t done = 0, part; done < n; done += part) {
		part = piece(ring, offset + done, n - done);
		uint32_t s = csum->copy(to + done, byte_at(ring, offset + done), part);
		sum = csum_join(sum, done, s);
	}
	return sum;
}

void tern_ring_consume(struct ring *ring, struct pool *chunks, uint32_t n)
{
	assert(n <= ring->len);
	/* Chunk 0 may end just at the last byte stored, and be the only one there is room for. */
	uint32_t gone = min32(chunk_of(ring, n), capacity(ring));
	for (uint32_t k = 0; k < gone; k++)
		release(chunks, slot(ring, k));
	ring->head += n;
	ring->len -= n;
	ring->reach -= n;
	settle(ring, chunks);
}

void tern_ring_forget(struct ring *ring, struct pool *chunks, uint32_t offset)
{
	assert(offset >= ring->len);
	if (ring->reach > offset)
		ring->reach = offset;
	if (offset <= FURTHEST)
		release_from(ring, chunks, chunk_of(ring, (size_t)offset + IN_CHUNK));
	settle(ring, chunks);
}

uint32_t tern_ring_chunks(const struct ring *ring)
{
	uint32_t count = 0;
	if (ring->dir_log2 == 0)
		return ring->chunk != NULL;
	for (uint32_t k = 0; k < capacity(ring); k++)
		count += ring->directory[k] != NULL;
	return count;
}

uint32_t tern_ring_lent(const struct ring *ring)
{
	struct ring copy = *ring; /* slot() lends a place to write to */
	uint32_t n = 0;
	for (uint32_t k = chunk_of(ring, ring->len); k < capacity(ring) && *slot(&copy, k); k++)
		n += RING_CHUNK - place_of(ring, ring->len + n);
	return n;
}
