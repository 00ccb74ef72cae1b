/* A sender with a scoreboard, and a peer that says by hand what it holds. */
#ifndef TEST_TRANSPORT_SCORE_H
#define TEST_TRANSPORT_SCORE_H

#include "peer.h"

#define MSS 1000u
#define RTT (100 * MSEC)

/* Offsets count from the first byte of the stack's stream, which p->ack stands for. */
struct block {
	uint32_t lo, hi;
};

#define BLOCKS(...)                                                                                \
	(const struct block[]){__VA_ARGS__},                                                       \
		sizeof((const struct block[]){__VA_ARGS__}) / sizeof(struct block)

/* Open, MSS as above, a round trip of RTT known, and an initial window of ten segments. */
void score_open(struct peer *p);
void score_open_as(struct peer *p, const struct peer_setup *setup, uint32_t extra_options);
void score_write(struct peer *p, uint32_t segments);
/* Opened, so many written and in flight, and a round trip has passed. */
void score_flight(struct peer *p, uint32_t segments);
/* The peer acknowledges up to off, and says that it holds the blocks. */
void score_ack(struct peer *p, uint32_t off, const struct block *blocks, size_t n);
void score_ack_only(struct peer *p, uint32_t off);
/* Takes one segment, which must begin at off and be full. */
void score_expect(struct peer *p, uint32_t off);
/* Nothing more is to be sent now. */
void score_silent(struct peer *p);
/* Where the last taken begins. */
uint32_t score_at(const struct peer *p);
struct scoreboard *score_board(const struct peer *p);
struct recovery *score_recovery(const struct peer *p);
uint64_t score_count(const struct peer *p, enum tern_counter which);
/* The stack's own invariants hold. */
void score_check(const struct peer *p);

#endif
