/* Results of many worlds, added up. */
#ifndef WORLD_TALLY_H
#define WORLD_TALLY_H

#include "test/world/world.h"

/* The least times every legal edge must be seen in EDGE_SEEDS worlds. */
#define EDGE_COUNT 100
#define EDGE_SEEDS 10000
/* The median world must be no smaller than this. */
#define SEGMENTS_MEDIAN 200

struct tally {
	uint64_t worlds, failed;
	uint64_t segments, frames, bytes_sent, bytes_read, connections, completed;
	uint64_t virtual_s;
	uint64_t edges[TERN_TCP_STATES][TERN_TCP_STATES];
	uint64_t events[EVENT_KINDS], errors[ERRORS_MAX], drops[TERN_DROPS],
		resent[TERN_RTX_REASONS];
};

void tally_add(struct tally *t, const struct result *r);
void tally_merge(struct tally *t, const struct tally *other);
/* Prints the tables. median: of segments in a world. */
void tally_print(const struct tally *t, uint32_t median);
/* Prints which legal edges were seen too rarely; returns how many. */
unsigned tally_rare_edges(const struct tally *t);

#endif
