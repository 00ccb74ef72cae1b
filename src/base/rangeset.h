/*
 * A set of sequence numbers kept as disjoint, non-adjacent, half-open ranges in order. All members
 * lie within less than 2^31 of each other, so their order is total. Add, find and remove are
 * logarithmic in the number of ranges, whatever order a peer chooses, and the number of
 * ranges is capped: a flood of one-byte holes costs little and stores little.
 *
 * Adjacent ranges are merged.
 */
#ifndef TERN_BASE_RANGESET_H
#define TERN_BASE_RANGESET_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "base/seq.h"

struct range {
	tern_seq lo, hi; /* [lo, hi); lo before hi */
};

struct range_node;

struct rangeset {
	struct range_node *root;
	uint32_t count; /* ranges */
	uint32_t bytes; /* sequence numbers held */
};

/* What an object of the nodes' pool must measure. */
extern const uint32_t tern_range_node_size;

/* All zero bytes is a valid empty set. */
/*
 * Adds a range; returns 0, TERN_ENOSPC if that would make more than max ranges, or
 * TERN_ENOMEM; on failure the set is unchanged.
 */
int tern_rangeset_add(struct rangeset *set, struct pool *nodes, struct range r, uint32_t max);
/* Removes every member of r. Splitting a range may fail with TERN_ENOMEM, changing nothing. */
int tern_rangeset_remove(struct rangeset *set, struct pool *nodes, struct range r);
/* Removes every member before s. Never fails. */
void tern_rangeset_remove_below(struct rangeset *set, struct pool *nodes, tern_seq s);
/* Removes every member at or after s. Never fails. */
void tern_rangeset_remove_from(struct rangeset *set, struct pool *nodes, tern_seq s);
/* The lowest range, or false. */
bool tern_rangeset_first(const struct rangeset *set, struct range *out);
/* The highest range, or false. */
bool tern_rangeset_last(const struct rangeset *set, struct range *out);
/* The lowest range whose hi lies after s: the one holding s, else the next one up. */
bool tern_rangeset_after(const struct rangeset *set, tern_seq s, struct range *out);
bool tern_rangeset_contains(const struct rangeset *set, tern_seq s);
/* The first part of `within` that is not in the set, or false if all of it is. */
bool tern_rangeset_gap(const struct rangeset *set, struct range within, struct range *gap);
/* Gives every node back. */
void tern_rangeset_clear(struct rangeset *set, struct pool *nodes);

#endif
