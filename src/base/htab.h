/*
 * An open-addressing hash table of 32-bit values (slots of a pool) under 32-bit keyed
 * hashes. It stores no keys: a look-up walks the values whose hash matches and the caller
 * compares. It grows while in use, moving a few entries with each insertion and removal, so
 * no call pays for all. An empty table owns no memory. A probe is good until the table changes.
 *
 *	struct htab_probe p = tern_htab_probe(&table, hash);
 *	for (uint32_t v; tern_htab_next(&p, &v);)
 *		if (same(pool_at(v), key))
 *			return v;
 *
 * Linear probing with backward-shift deletion; load at most 3/4; the hash must come from a
 * keyed function, since its low bits choose the place.
 */
#ifndef TERN_BASE_HTAB_H
#define TERN_BASE_HTAB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/mem.h"

struct htab_entry {
	uint32_t hash;
	uint32_t value; /* UINT32_MAX marks a vacant place */
};

struct htab_array {
	struct htab_entry *entry;
	uint32_t mask; /* capacity - 1; entry is NULL when there is no array */
	uint32_t count;
};

struct htab {
	struct mem *mem;
	struct htab_array now, old; /* while growing or shrinking, old drains into now */
	struct htab_array next;     /* before that: what now will be, while it is made vacant */
	uint32_t done;              /* places of old emptied, or of next made vacant */
	uint32_t first;             /* the place of old that was emptied first */
};

struct htab_probe {
	const struct htab *table;
	uint32_t hash, at;
	bool in_old;
};

void tern_htab_init(struct htab *table, struct mem *mem);
/* Adds value under hash; duplicates are the caller's affair. 0 or TERN_ENOMEM. */
int tern_htab_insert(struct htab *table, uint32_t hash, uint32_t value);
/* Removes that very pair; asserts it is there. Shrinks in time. */
void tern_htab_remove(struct htab *table, uint32_t hash, uint32_t value);
struct htab_probe tern_htab_probe(const struct htab *table, uint32_t hash);
bool tern_htab_next(struct htab_probe *probe, uint32_t *value);
uint32_t tern_htab_count(const struct htab *table);
/* The longest run of occupied places, for tests against flooding. O(capacity). */
uint32_t tern_htab_longest_probe(const struct htab *table);
/* Gives the memory back. */
void tern_htab_fini(struct htab *table);

#endif
