/*
 * A sender and a receiver joined by two impaired wires, in virtual time: what a table of loss
 * recovery is measured on. Data goes one way; ACKs come back over a wire that only delays.
 */
#ifndef BENCH_RECOVERY_PATH_H
#define BENCH_RECOVERY_PATH_H

#include <tern/impair.h>
#include <tern/tern.h>
#include <tern/trace.h>

#define PATH_BATCH 16
#define MS         UINT64_C(1000000)
#define SECOND     (1000 * MS)

struct path_opts {
	const char *impair; /* of the data's wire, but for rate, delay and queue */
	uint64_t rtt;       /* ns */
	uint64_t rate;      /* bit/s */
	uint64_t seed;
	uint32_t queue;                 /* frames that may wait for the rate */
	bool no_sack;                   /* the sender does not offer SACK */
	const char *algorithm;          /* the sender's congestion control */
	struct tern_trace_listener see; /* of the sender's events; may be empty */
};

struct path {
	struct tern_stack *sender, *receiver;
	struct tern_wire *data, *acks;
	int nif;
	uint64_t now;
	struct tern_conn from, to;
	uint64_t written, taken;
	uint32_t segments;             /* with text, sent since `drop` was set */
	bool (*drop)(uint32_t number); /* which of them the path loses besides; NULL: none */
	uint32_t dropped;
	uint8_t *buffers;
	uint32_t room;
	struct tern_frame batch[PATH_BATCH];
};

/* That many bandwidth-delay products, in frames, but no fewer than `least`. */
uint32_t path_queue(uint64_t rate, uint64_t rtt, double depth, uint32_t least);
/* Exits with a sentence on failure, as all of these do. The connection is open when it returns. */
void path_open(struct path *p, const struct path_opts *opts);
void path_close(struct path *p);
/* Lets time pass until `until` or until the receiver has taken `bytes`; the sender writes what is
 * left of them as it finds room. */
void path_run(struct path *p, uint64_t until, uint64_t bytes);
/* Lets that much time pass in which nothing is written. */
void path_rest(struct path *p, uint64_t ns);
/* A counter of the sender's by its name in counters.def; 0 if there is none of that name. */
uint64_t path_counter(const struct path *p, const char *name);
uint64_t path_lost(const struct path *p);

#endif
