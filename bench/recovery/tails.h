/* A reply of ten segments into an empty path, of which the path loses some: how late is its end? */
#ifndef BENCH_RECOVERY_TAILS_H
#define BENCH_RECOVERY_TAILS_H

#include "path.h"

#define TAILS 6
extern const char *const tail_names[TAILS]; /* the first: nothing is lost */

/* ns until all of it has been read. */
uint64_t tail_run(unsigned tail, uint64_t rtt, const char *algorithm, bool no_sack);

#endif
