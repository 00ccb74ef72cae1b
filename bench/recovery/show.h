/* The table, for people, and for programs such as scripts/recovery. */
#ifndef BENCH_RECOVERY_SHOW_H
#define BENCH_RECOVERY_SHOW_H

#include "cells.h"
#include "tails.h"

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
};

#define TAIL_RTTS 4
static const uint64_t tail_rtts[TAIL_RTTS] = {1 * MS, 10 * MS, 100 * MS, 1000 * MS};

/* "reno, 40 ms, 100 Mb/s, deep, 5% late" */
void cell_name(const struct cell *cell, char *out, size_t size);
/* Cells in the order of their fields, a result each. */
void show_transfers(enum format format, const struct cell *cells, const struct result *results,
	size_t count, unsigned seeds);
/* took: ns, of each kind of tail. */
void show_tails(enum format format, const char *algorithm, uint64_t rtt,
	const uint64_t took[TAILS]);

#endif
