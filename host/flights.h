/* Copies of frames under way on a wire, in the order they arrive. */
#ifndef HOST_FLIGHTS_H
#define HOST_FLIGHTS_H

#include <tern/frame.h>

struct flight {
	uint64_t at;    /* arrives, ns */
	uint64_t order; /* of two that arrive at once, the one that left first is first */
	struct tern_frame frame;
	uint8_t data[];
};

/* A binary heap by (at, order). */
struct flights {
	struct flight **heap;
	uint32_t count, size;
	uint64_t next_order;
	size_t bytes;
};

/* A flight with room for len bytes, not on the heap yet; NULL when memory is short. */
struct flight *tern_flight_new(uint32_t len);
/* Puts it on the heap, to arrive at `at`. False when memory is short. */
bool tern_flights_add(struct flights *flights, struct flight *flight, uint64_t at);
/* Takes the first off; the heap must not be empty. Free it with free(). */
struct flight *tern_flights_take(struct flights *flights);
void tern_flights_clear(struct flights *flights);

#endif
