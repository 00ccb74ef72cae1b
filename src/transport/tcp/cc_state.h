/*
 * What congestion control remembers of a busy connection, in its side block. All zero is the
 * state of one that has seen nothing: what an idle time takes away is at worst learnt again.
 */
#ifndef TERN_TCP_CC_STATE_H
#define TERN_TCP_CC_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/seq.h"

/* The first slow start (RFC 9406): RTTs in us, 0 meaning none. */
struct hystart {
	tern_seq round_end;           /* windowEnd: an ACK of this number ends the round */
	uint32_t last_min, round_min; /* lastRoundMinRTT, currentRoundMinRTT */
	uint32_t baseline;            /* cssBaselineMinRtt; 0: not in CSS */
	uint8_t samples, css_rounds;  /* in this round; rounds that CSS has begun */
	bool begun;
};

/* RFC 9438; windows in bytes. */
struct cubic {
	uint64_t epoch_at;  /* ns: when this congestion avoidance began, idle time taken out */
	uint64_t seen_at;   /* ns: the last ACK that it knows of */
	uint64_t w_est;     /* the window Reno would have, in 1/256 bytes */
	uint32_t w_max;     /* before the last reduction; 0: none */
	uint32_t origin;    /* W_max of this epoch: the plateau */
	uint32_t k;         /* ms from the epoch to the plateau */
	uint32_t prior;     /* cwnd_prior: up to which Reno's share grows slower */
	uint32_t remainder; /* of growth, in bytes * cwnd */
	bool epoch;         /* the above are of an epoch under way */
	bool had_epoch;     /* before the last reduction, and: */
	uint32_t had_w_max, had_prior;
	struct hystart hystart;
};

struct newreno {
	uint32_t acked; /* bytes toward the next segment of growth */
};

/* What is acknowledged in a round trip (cwv.c); bytes. */
struct pipe_ack {
	tern_seq end;      /* an ACK of this ends the sample */
	uint32_t bytes;    /* of it so far */
	uint32_t window;   /* cwnd when it began */
	uint32_t most[2];  /* the largest sample in this half of the period, and in the last */
	uint32_t half_at;  /* ms: when this half began */
	uint32_t valid_at; /* ms: cwnd was validated last */
	bool measuring;    /* a sample is being taken */
	bool known;        /* there has been a sample */
	bool unused;       /* the non-validated phase */
	bool strict;       /* RFC 7661 decides, not RFC 2861 */
	bool lost;         /* the recovery under way began in the non-validated phase */
};

/* How much of the window is used (RFC 7661), and ECN's part (RFC 3168 6.1.2). */
struct cwnd_use {
	tern_seq round;   /* a send after this number is acknowledged begins a new round */
	tern_seq reduced; /* snd.nxt at the last reduction */
	uint32_t used;    /* most in flight since the window was last full */
	uint32_t full_at; /* ms: when that was */
	uint32_t sent_at; /* ms: data was last sent */
	bool limited;     /* in this round the window stood in the way */
	struct pipe_ack pipe;
	bool reducing; /* snd.una has not passed `reduced` */
};

/* Pacing (pacing.c). */
struct pacing {
	uint64_t next; /* ns: the next burst may begin */
	uint32_t left; /* bytes of this one */
	uint32_t wake; /* deadline, as the TCB's are: a burst is waited for */
	bool waited;   /* the next burst has been waited for */
};

union cc_state {
	struct cubic cubic;
	struct newreno newreno;
};

#endif
