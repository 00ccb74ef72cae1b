/*
 * The cells of the table: a congestion control, a path, the length of its queue, an impairment.
 * Each is a transfer a seed, in virtual time, and so exact.
 */
#ifndef BENCH_RECOVERY_CELLS_H
#define BENCH_RECOVERY_CELLS_H

#include "path.h"

#define SEEDS_MAX 25

enum impairment {
	IMPAIR_NONE,
	IMPAIR_LOSS_01,
	IMPAIR_LOSS_1,
	IMPAIR_LOSS_5,
	IMPAIR_LOSS_10,
	IMPAIR_BURSTS,
	IMPAIR_LATE,
	IMPAIR_EARLY,
	IMPAIRMENTS
};

enum depth {
	DEPTH_SHALLOW,
	DEPTH_DEEP,
	DEPTHS
};

enum algorithm {
	ALGORITHM_RENO,
	ALGORITHM_CUBIC,
	ALGORITHMS
};

struct cell {
	enum algorithm algorithm;
	enum depth depth;
	unsigned path; /* below CELL_PATHS */
	enum impairment impairment;
};

/* Of one transfer; segments, but for the goodput. */
struct transfer {
	double goodput;    /* bit/s of text read */
	uint64_t resent;   /* sent again */
	uint64_t lost;     /* by the path and its queue */
	uint64_t spurious; /* arrived a second time: sent again for nothing */
	uint64_t timeouts, probes, undone;
};

/* Of all seeds: medians, but for what should never be, and for the goodput of spread RTTs, a mean.
 */
struct result {
	double goodput, goodput_least, goodput_most;
	uint64_t resent, lost;
	uint64_t spurious, spurious_most;
	uint64_t timeouts, timeouts_most;
	uint64_t probes, undone;
};

struct cell_path {
	uint64_t rtt, rate; /* ns, bit/s */
	double seconds;     /* that a transfer lasts */
	bool slice;         /* also in the part that ./check repeats */
};

#define CELL_PATHS 15
extern const struct cell_path cell_paths[CELL_PATHS];
extern const char *const impairment_names[IMPAIRMENTS];
extern const char *const depth_names[DEPTHS];
extern const char *const algorithm_names[ALGORITHMS];

uint32_t cell_queue(const struct cell *cell); /* frames */
/* How a cell is run. */
struct cell_opts {
	unsigned seeds;                 /* 1 to so many */
	unsigned longer;                /* times the path's own duration */
	bool spread;                    /* the seeds' RTTs over an octave around the path's */
	bool no_sack;                   /* the sender does not offer SACK */
	struct tern_trace_listener see; /* may be empty */
};

struct result cell_run(const struct cell *cell, const struct cell_opts *opts);

#endif
