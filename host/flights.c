#include "host/flights.h"

#include <stdlib.h>

struct flight *tern_flight_new(uint32_t len)
{
	struct flight *flight = malloc(sizeof *flight + len);
	if (flight)
		flight->frame =
			(struct tern_frame){.data = flight->data, .len = len, .capacity = len};
	return flight;
}

static bool before(const struct flight *a, const struct flight *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static bool grow(struct flights *flights)
{
	uint32_t size = flights->size ? flights->size * 2 : 64;
	struct flight **heap = realloc(flights->heap, size * sizeof *heap);
	if (!heap)
		return false;
	flights->heap = heap;
	flights->size = size;
	return true;
}

bool tern_flights_add(struct flights *flights, struct flight *flight, uint64_t at)
{
	if (flights->count == flights->size && !grow(flights))
		return false;
	flight->at = at;
	flight->order = flights->next_order++;
	uint32_t i = flights->count++;
	while (i > 0 && before(flight, flights->heap[(i - 1) / 2])) {
		flights->heap[i] = flights->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	flights->heap[i] = flight;
	flights->bytes += flight->frame.len;
	return true;
}

struct flight *tern_flights_take(struct flights *flights)
{
	struct flight **heap = flights->heap, *first = heap[0];
	struct flight *moved = heap[--flights->count];
	uint32_t i = 0, child;
	while ((child = 2 * i + 1) < flights->count) {
		if (child + 1 < flights->count && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], moved))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moved;
	flights->bytes -= first->frame.len;
	return first;
}

void tern_flights_clear(struct flights *flights)
{
	for (uint32_t i = 0; i < flights->count; i++)
		free(flights->heap[i]);
	free(flights->heap);
	*flights = (struct flights){0};
}
