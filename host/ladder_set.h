/* The ladder as a whole: the connections it keeps. */
#ifndef HOST_LADDER_SET_H
#define HOST_LADDER_SET_H

#include "host/ladder_rows.h"

#define LADDERS_MAX 1024

struct tern_ladder {
	struct tern_ladder_opts opts;
	struct ladder_conn *current; /* its row is open; NULL outside of frames */
	bool receiving;              /* a received segment is under way */
	unsigned count;
	struct ladder_conn *conn[LADDERS_MAX]; /* oldest first */
};

/* Makes rows of what still waits for its segment. */
void tern_ladder_settle(struct tern_ladder *ladder);

#endif
