/*
 * The impaired wire: one direction of a link that loses, delays, reorders, duplicates,
 * corrupts, limits and queues frames, by a seed. No clock, no I/O: give it time, like the stack.
 *
 *	struct tern_impair_spec spec;
 *	tern_impair_parse("loss=1%,delay=20ms,rate=100mbit,queue=100", &spec, err, sizeof err);
 *	struct tern_wire *wire = tern_wire_new(&spec, seed);
 *	tern_wire_push(wire, &frame, now);
 *	while (tern_wire_pop(wire, &frame, now))
 *		deliver(&frame);
 *	wait_until(tern_wire_deadline(wire));
 */
#ifndef TERN_IMPAIR_H
#define TERN_IMPAIR_H

#include <tern/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_impair_spec {
	double loss; /* 0..1, each frame on its own */
	double burst_enter, burst_leave,
		burst_loss;     /* Gilbert-Elliott: chance to enter and leave the bad
				 * state per frame, and the loss in it */
	uint64_t delay, jitter; /* ns; uniform in delay +- jitter; jitter alone keeps order */
	double reorder; /* chance that a frame overtakes: sent with no delay, or by reorder_gap */
	uint64_t reorder_gap; /* ns a reordered frame is held back; 0: it skips the delay instead */
	double duplicate, corrupt; /* 0..1; corrupt flips one random bit */
	uint64_t rate;             /* bits a second; 0: unlimited */
	uint32_t queue;            /* frames that may wait for the rate, tail drop; 0: 1000 */
	uint64_t after;            /* frames let through untouched first */
	double mark;               /* 0..1: ECN-capable packets are marked CE (RFC 3168) */
	uint32_t
		mark_above; /* and always while more frames than that wait for the rate; 0: never */
};

/* The syntax, a line per key, for --help. */
extern const char tern_impair_help[];
/* Parses "key=value,...": keys loss, burst=ENTER/LEAVE[/LOSS], delay, jitter, reorder[=P[/GAP]],
 * duplicate, corrupt, rate, queue, ecn=P or N, after, and the empty string. Returns 0, or
 * TERN_EINVAL with a sentence in err. */
int tern_impair_parse(const char *text, struct tern_impair_spec *out, char *err, size_t err_size);

struct tern_wire;

struct tern_wire_stats {
	uint64_t pushed, delivered, lost, overflowed, duplicated, corrupted, reordered, marked;
};

/* NULL when memory is short. */
struct tern_wire *tern_wire_new(const struct tern_impair_spec *spec, uint64_t seed);
void tern_wire_free(struct tern_wire *wire);
/* Takes a copy of a frame (data, checksum and gso marks) at time now, ns. A gso frame is cut into
 * its segments first when the spec impairs anything, so that loss hits segments. */
void tern_wire_push(struct tern_wire *wire, const struct tern_frame *frame, uint64_t now);
/* The next frame that has arrived by now; its data is valid until the next call on this wire. */
bool tern_wire_pop(struct tern_wire *wire, struct tern_frame *frame, uint64_t now);
/* When the next frame arrives, or TERN_NEVER. */
uint64_t tern_wire_deadline(const struct tern_wire *wire);
uint32_t tern_wire_in_flight(const struct tern_wire *wire);
void tern_wire_stats(const struct tern_wire *wire, struct tern_wire_stats *out);

#ifdef __cplusplus
}
#endif
#endif
