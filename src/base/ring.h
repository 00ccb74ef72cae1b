/*
 * A byte ring made of chunks from a pool: a window of a stream, of which [head, head + len)
 * is readable and bytes further on may be stored early. An empty ring owns no chunk; a ring
 * of one chunk owns no directory. Positions are offsets from the head.
 *
 * The ring does not know which early bytes are there: its owner does (a range set).
 */
#ifndef TERN_BASE_RING_H
#define TERN_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tern/types.h>
#include "base/csum.h"
#include "base/pool.h"

#define RING_CHUNK_LOG2 12
#define RING_CHUNK      (1u << RING_CHUNK_LOG2)

struct ring {
	union {
		uint8_t *chunk;      /* dir_log2 == 0: the only chunk, or NULL */
		uint8_t **directory; /* else 2^dir_log2 chunk pointers, NULL for holes */
	};
	uint32_t head;    /* position of the first readable byte, mod 2^32; 0 again when empty */
	uint32_t len;     /* readable bytes */
	uint32_t reach;   /* >= len: no byte at or after this offset was stored */
	uint8_t dir_log2; /* chunk k of the stream lives at directory[k mod 2^dir_log2] */
};

/* All zero bytes is a valid empty ring, too. The pool's objects must be RING_CHUNK bytes. */
void tern_ring_init(struct ring *ring);
/* Gives every chunk and the directory back; the ring is empty. */
void tern_ring_clear(struct ring *ring, struct pool *chunks);

/* Appends up to n bytes behind the readable ones; returns how many memory allowed. */
size_t tern_ring_append(struct ring *ring, struct pool *chunks, const void *data, size_t n);
/*
 * Stores n bytes at offset >= len without making them readable, whole or not at all.
 * offset + n <= 2^30.
 */
bool tern_ring_store(struct ring *ring, struct pool *chunks, uint32_t offset, const void *data,
	size_t n);
/* As tern_ring_store, summing on the way; *sum is set to the sum of data. */
bool tern_ring_store_sum(struct ring *ring, struct pool *chunks, uint32_t offset, const void *data,
	size_t n, const struct csum_ops *csum, uint32_t *sum);
/* Makes n stored bytes readable. */
void tern_ring_extend(struct ring *ring, uint32_t n);
/*
 * Lends writable room for up to n bytes at offset >= len, as at most max spans; returns how many.
 * Fewer bytes than asked when memory is short. Store by writing, then tern_ring_extend. The loan
 * ends with the next call that consumes or forgets.
 */
unsigned tern_ring_room(struct ring *ring, struct pool *chunks, uint32_t offset, size_t n,
	struct tern_span *spans, unsigned max);

/* Lends up to n readable bytes from offset <= len, as at most max spans; returns how many. */
unsigned tern_ring_spans(const struct ring *ring, uint32_t offset, size_t n,
	struct tern_span *spans, unsigned max);
/* Copies n bytes from offset; offset + n <= len. */
void tern_ring_copy(const struct ring *ring, uint32_t offset, void *dst, size_t n);
/* As tern_ring_copy, returning the sum of the bytes (unfolded, see csum.h). */
uint64_t tern_ring_copy_sum(const struct ring *ring, uint32_t offset, void *dst, size_t n,
	const struct csum_ops *csum);

/* Drops n <= len bytes from the head, giving back chunks that lie wholly before it. */
void tern_ring_consume(struct ring *ring, struct pool *chunks, uint32_t n);
/* Gives back every chunk that lies wholly at or after offset, an offset >= len. */
void tern_ring_forget(struct ring *ring, struct pool *chunks, uint32_t offset);
/* How many bytes behind the readable ones have room in chunks held: what tern_ring_room lent, or
 * more. */
uint32_t tern_ring_lent(const struct ring *ring);
/* Chunks held now, for the ledger's checks. O(directory). */
uint32_t tern_ring_chunks(const struct ring *ring);

#endif
