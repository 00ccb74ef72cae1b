/* Work in pieces that share nothing, on all processors. */
#ifndef BENCH_WORKERS_H
#define BENCH_WORKERS_H

#include <stddef.h>

#define WORKERS_MAX 256

/*
 * Calls work(context, i, results + i * size) for each i below count, in `jobs` processes, and
 * returns the results in memory that lives as long as the process. Exits with a sentence when a
 * process fails.
 */
void *workers_run(unsigned jobs, size_t count, size_t size,
	void (*work)(void *context, size_t i, void *result), void *context);
/* One a processor; 1 where that is not known, or more than WORKERS_MAX. */
unsigned workers_default(void);

#endif
