/*
 * Connections drawn as ladders: a column for each side with its times and states, an arrow for
 * each segment, every step of the handshake and of the close named.
 *
 *	struct tern_ladder *ladder = tern_ladder_new(NULL);
 *	struct tern_trace_listener listener = tern_ladder_listener(ladder);
 *	tern_trace_set(stack, &listener);
 *	...
 *	tern_ladder_print(ladder, stdout, NULL);
 *	tern_ladder_free(ladder);
 *
 *	client 10.77.0.2:49152                                         server 10.77.0.1:80
 *	             | 1st handshake: client -> SYN_SENT                    |
 *	       0.000 |-- [SYN]  seq 0  win 64,240  len 0 ------------------>| (0.026)
 *	    SYN_SENT |   absolute seq 3735928559  mss 1460                  | (LISTEN)
 *
 * The stack at one end tells its own states. Those of a peer that is somewhere else are
 * inferred from its segments and put in parentheses, as are its times: half the shortest round
 * trip away.
 * When both ends are in the stream (the loopback, or two stacks given the same listener), both
 * tell. A row shows the sender at sending and the receiver at arrival.
 */
#ifndef TERN_LADDER_H
#define TERN_LADDER_H

#include <stdio.h>

#include <tern/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_ladder;

#define TERN_LADDER_FULL UINT32_MAX

/* Zero means the default everywhere. */
struct tern_ladder_opts {
	uint32_t connections; /* how many to keep, the first ones; default 1, at most 1024 */
	/* Only connections between these two, in either order; zero parts match anything. */
	struct tern_endpoint between[2];
	/* Longest exchange of data shown segment by segment; of a longer one the first half as many
	 * are shown and the rest is folded into one line. Default 6; TERN_LADDER_FULL: none is. */
	uint32_t fold;
	uint32_t rows; /* most rows kept of a connection; default 1000 */
};

/* NULL if memory is short. opts may be NULL. */
struct tern_ladder *tern_ladder_new(const struct tern_ladder_opts *opts);
void tern_ladder_free(struct tern_ladder *ladder);
/* What to give to tern_trace_set; valid until the ladder is freed. */
struct tern_trace_listener tern_ladder_listener(struct tern_ladder *ladder);

enum tern_ladder_choice {
	TERN_LADDER_AUTO,
	TERN_LADDER_YES,
	TERN_LADDER_NO,
};

struct tern_ladder_style {
	unsigned width;                 /* columns, 80..200; 0: the terminal's, else 100 */
	enum tern_ladder_choice utf8;   /* auto: if the locale's environment says UTF-8 */
	enum tern_ladder_choice colour; /* auto: if out is a terminal and NO_COLOR is not set */
	/* Called before each row is printed, with the time at which it was complete, in ns of the
	 * stack's clock; may be NULL. */
	void (*pace)(void *context, uint64_t at);
	void *pace_context;
};

/* Prints what was kept so far, oldest connection first. Returns how many connections that were;
 * style may be NULL. Collecting may go on afterwards. */
unsigned tern_ladder_print(struct tern_ladder *ladder, FILE *out,
	const struct tern_ladder_style *style);

#ifdef __cplusplus
}
#endif
#endif
