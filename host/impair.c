/*
 * One direction of an impaired link, in the order things happen to a frame: the queue and the rate
 * of the sender's interface; then the path, which loses, corrupts and duplicates; then the
 * delay, within which frames keep their order unless they are chosen to be reordered.
 *
 * Each kind of chance draws from its own stream, so that adding jitter to a spec does not change
 * which frames are lost.
 */
#include <stdlib.h>
#include <string.h>
#include <tern/impair.h>
#include <tern/stack.h>

#include "host/flights.h"
#include "host/mark.h"
#include "host/segment.h"

/* Whatever the delay, no more is kept; beyond it frames count as overflowed. */
#define IN_FLIGHT_BYTES_MAX (256u << 20)
#define QUEUE_DEFAULT       1000

enum chance {
	CHANCE_LOSS,
	CHANCE_BURST_STATE,
	CHANCE_BURST_LOSS,
	CHANCE_JITTER,
	CHANCE_REORDER,
	CHANCE_DUPLICATE,
	CHANCE_CORRUPT,
	CHANCE_BIT,
	CHANCE_MARK,
	CHANCES
};

struct tern_wire {
	struct tern_impair_spec spec;
	bool transparent;         /* the spec impairs nothing */
	bool bad;                 /* the Gilbert-Elliott state */
	uint64_t random[CHANCES]; /* a SplitMix64 state each */
	/* The rate: when each accepted frame has left; a ring, soonest first. */
	uint64_t *leaves;
	uint32_t leaves_first, leaves_count, leaves_size;
	uint64_t busy_until;
	uint64_t last_arrival; /* of frames in order */
	struct flights flights;
	struct flight *lent; /* what the last pop gave out */
	struct tern_wire_stats stats;
};

/* SplitMix64: a Weyl sequence through a 64-bit finaliser. */
static uint64_t draw(struct tern_wire *wire, enum chance which)
{
	uint64_t z = wire->random[which] += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static double draw_unit(struct tern_wire *wire, enum chance which)
{
	return (double)(draw(wire, which) >> 11) * 0x1p-53;
}

static bool hit(struct tern_wire *wire, enum chance which, double probability)
{
	return probability > 0 && draw_unit(wire, which) < probability;
}

struct tern_wire *tern_wire_new(const struct tern_impair_spec *spec, uint64_t seed)
{
	struct tern_wire *wire = calloc(1, sizeof *wire);
	if (!wire)
		return NULL;
	wire->spec = *spec;
	wire->random[0] = seed;
	for (unsigned i = 1; i < CHANCES; i++)
		wire->random[i] = seed + i * 0xd1342543de82ef95;
	for (unsigned i = 0; i < CHANCES; i++) /* near seeds, far streams */
		wire->random[i] = draw(wire, (enum chance)i);
	wire->transparent = !(spec->loss > 0 || spec->burst_enter > 0 || spec->delay ||
			      spec->jitter || spec->reorder > 0 || spec->duplicate > 0 ||
			      spec->corrupt > 0 || spec->mark > 0 || spec->rate);
	if (spec->rate == 0)
		return wire;
	/* The frame being sent does not wait. */
	wire->leaves_size = (spec->queue ? spec->queue : QUEUE_DEFAULT) + 1;
	wire->leaves = malloc(wire->leaves_size * sizeof *wire->leaves);
	if (!wire->leaves) {
		free(wire);
		return NULL;
	}
	return wire;
}

void tern_wire_free(struct tern_wire *wire)
{
	if (!wire)
		return;
	tern_flights_clear(&wire->flights);
	free(wire->lent);
	free(wire->leaves);
	free(wire);
}

/* Queues len bytes for the rate; false if the queue is full. *leave: when the last bit is out. */
static bool send_at_rate(struct tern_wire *wire, uint32_t len, uint64_t now, uint64_t *leave)
{
	*leave = now;
	if (wire->spec.rate == 0)
		return true;
	while (wire->leaves_count && wire->leaves[wire->leaves_first] <= now) {
		wire->leaves_first = (wire->leaves_first + 1) % wire->leaves_size;
		wire->leaves_count--;
	}
	if (wire->leaves_count == wire->leaves_size)
		return false;
	uint64_t start = wire->busy_until > now ? wire->busy_until : now;
	*leave = wire->busy_until = start + (uint64_t)len * 8 * 1000000000 / wire->spec.rate;
	wire->leaves[(wire->leaves_first + wire->leaves_count++) % wire->leaves_size] = *leave;
	return true;
}

/* Plain loss, and the two-state model of Gilbert and Elliott: the state moves once a frame. */
static bool lose(struct tern_wire *wire)
{
	const struct tern_impair_spec *s = &wire->spec;
	bool lost = hit(wire, CHANCE_LOSS, s->loss);
	if (s->burst_enter > 0) {
		if (hit(wire, CHANCE_BURST_STATE, wire->bad ? s->burst_leave : s->burst_enter))
			wire->bad = !wire->bad;
		lost |= wire->bad && hit(wire, CHANCE_BURST_LOSS, s->burst_loss);
	}
	return lost;
}

/* Flips a bit. An unfinished checksum is finished first, or it would vouch for the damage. */
static void corrupt(struct tern_wire *wire, struct tern_frame *frame)
{
	tern_frame_finish_csum(frame);
	uint64_t bit = draw(wire, CHANCE_BIT) % ((uint64_t)frame->len * 8);
	frame->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	frame->csum_valid = false;
	wire->stats.corrupted++;
}

static uint64_t arrival(struct tern_wire *wire, uint64_t leave, bool spared)
{
	const struct tern_impair_spec *s = &wire->spec;
	uint64_t at = leave + s->delay;
	if (s->jitter) {
		double swing = (2 * draw_unit(wire, CHANCE_JITTER) - 1) * (double)s->jitter;
		at = swing < -(double)s->delay ? leave : (uint64_t)((int64_t)at + (int64_t)swing);
	}
	if (!spared && hit(wire, CHANCE_REORDER, s->reorder)) {
		wire->stats.reordered++;
		return s->reorder_gap ? at + s->reorder_gap : leave;
	}
	if (at < wire->last_arrival)
		at = wire->last_arrival;
	wire->last_arrival = at;
	return at;
}

/* What becomes of a frame besides. */
struct fate {
	bool corrupted, marked;
};

/* Sends a frame on its way; false when there is no memory for it. */
static bool fly(struct tern_wire *wire, const struct tern_frame *frame, uint64_t at,
	struct fate fate)
{
	if (wire->flights.bytes > IN_FLIGHT_BYTES_MAX)
		return false;
	struct flight *flight = tern_flight_new(frame->len);
	if (!flight)
		return false;
	memcpy(flight->data, frame->data, frame->len);
	flight->frame.csum_start = frame->csum_start;
	flight->frame.csum_offset = frame->csum_offset;
	flight->frame.gso_size = frame->gso_size;
	flight->frame.header_len = frame->header_len;
	flight->frame.csum_valid = frame->csum_valid;
	if (fate.marked && tern_mark_ce(&flight->frame))
		wire->stats.marked++;
	if (fate.corrupted && frame->len)
		corrupt(wire, &flight->frame);
	if (tern_flights_add(&wire->flights, flight, at))
		return true;
	free(flight);
	return false;
}

/* A queue that is long says so, as an AQM would. */
static bool marks(struct tern_wire *wire)
{
	const struct tern_impair_spec *s = &wire->spec;
	/* The frame being sent does not wait. */
	bool long_queue = s->mark_above && wire->leaves_count > s->mark_above + 1;
	return hit(wire, CHANCE_MARK, s->mark) || long_queue;
}

static void carry(struct tern_wire *wire, const struct tern_frame *frame, uint64_t now)
{
	const struct tern_impair_spec *s = &wire->spec;
	bool spared = wire->stats.pushed++ < s->after;
	uint64_t leave;
	if (!send_at_rate(wire, frame->len, now, &leave)) {
		wire->stats.overflowed++;
		return;
	}
	if (!spared && lose(wire)) {
		wire->stats.lost++;
		return;
	}
	uint64_t at = arrival(wire, leave, spared);
	struct fate fate = {!spared && hit(wire, CHANCE_CORRUPT, s->corrupt),
		!spared && marks(wire)};
	if (!fly(wire, frame, at, fate))
		wire->stats.overflowed++;
	else if (!spared && hit(wire, CHANCE_DUPLICATE, s->duplicate) &&
		 fly(wire, frame, at, (struct fate){.marked = fate.marked}))
		wire->stats.duplicated++;
}

void tern_wire_push(struct tern_wire *wire, const struct tern_frame *frame, uint64_t now)
{
	struct tern_cut cut;
	if (wire->transparent || frame->gso_size == 0 || !tern_cut_begin(&cut, frame)) {
		carry(wire, frame, now);
		return;
	}
	uint8_t data[65600];
	while (tern_cut_next_len(&cut) != 0 && tern_cut_next_len(&cut) <= sizeof data) {
		struct tern_frame segment = {.data = data, .capacity = sizeof data};
		tern_cut_next(&cut, &segment);
		carry(wire, &segment, now);
	}
}

bool tern_wire_pop(struct tern_wire *wire, struct tern_frame *frame, uint64_t now)
{
	if (wire->flights.count == 0 || wire->flights.heap[0]->at > now)
		return false;
	free(wire->lent);
	wire->lent = tern_flights_take(&wire->flights);
	*frame = wire->lent->frame;
	wire->stats.delivered++;
	return true;
}

uint64_t tern_wire_deadline(const struct tern_wire *wire)
{
	return wire->flights.count ? wire->flights.heap[0]->at : TERN_NEVER;
}

uint32_t tern_wire_in_flight(const struct tern_wire *wire)
{
	return wire->flights.count;
}

void tern_wire_stats(const struct tern_wire *wire, struct tern_wire_stats *out)
{
	*out = wire->stats;
}
