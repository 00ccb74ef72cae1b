/*
 * What loss recovery knows of a busy connection: struct recovery is part of the side block.
 * Theory of operation in recovery.c.
 */
#ifndef TERN_TCP_RECOVERY_H
#define TERN_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/seq.h"

#define DUPACK_THRESHOLD 3

/* xmit.flags; none of the first two: in flight, as far as we know */
#define XMIT_SACKED (1u << 0) /* the peer says it holds it */
#define XMIT_LOST   (1u << 1) /* believed lost, and not sent again since */
#define XMIT_RESENT (1u << 2) /* sent more than once */

/* Consecutive numbers sent at about the same time and of the same fate, up to the next one's lo. */
struct xmit {
	tern_seq lo;
	uint32_t flags;
	uint64_t at; /* ns: last sent */
};

#define BOARD_INLINE 4 /* records that need no block */
#define BOARD_TIERS  5 /* sizes of blocks, the largest being the bound */

/*
 * The scoreboard (RFC 2018, 6675, 8985 5.2): records that tile all that is in flight, in order.
 * Empty when nothing is, or when memory for it ran out (`off`).
 */
struct scoreboard {
	struct xmit few[BOARD_INLINE];
	struct xmit *block;    /* NULL: few */
	uint16_t first, count; /* records in use */
	uint8_t tier;          /* of block */
	bool off;              /* memory was short: NewReno until nothing is in flight */
	bool closed;           /* something was sent again since the last record was begun */
	uint32_t sacked, lost; /* bytes so marked */
	tern_seq end;          /* of the last record */
	tern_seq high;         /* beyond the highest number delivered (RFC 8985: RACK.fack) */
};

static inline struct xmit *board_at(struct scoreboard *b, uint32_t i)
{
	return (b->block ? b->block : b->few) + b->first + i;
}

static inline const struct xmit *board_at_const(const struct scoreboard *b, uint32_t i)
{
	return (b->block ? b->block : b->few) + b->first + i;
}

static inline tern_seq board_end(const struct scoreboard *b, uint32_t i)
{
	return i + 1u < b->count ? board_at_const(b, i + 1)->lo : b->end;
}

/* RFC 8985 5.3. */
struct rack {
	uint64_t xmit_at; /* ns: when what was sent last, of all that is delivered, was sent */
	tern_seq end;     /* and its end */
	uint64_t rtt;     /* ns: its RTT; 0 none */
	uint64_t min_rtt, min_rtt_at; /* ns: the smallest of late (0 none), and when that was */
	uint64_t due;         /* ns: when what is missing will be found lost; 0: nothing is */
	bool reordered;       /* the path was seen to reorder */
	bool in_round;        /* dsack_round is valid */
	uint8_t multiplier;   /* of the reordering window, less one */
	uint8_t persist;      /* recoveries for which that lasts */
	tern_seq dsack_round; /* no other D-SACK widens it before this is acknowledged */
	uint16_t distance;    /* segments: the farthest reordering seen */
	uint16_t seen;        /* ACKs that showed reordering */
};

/* RFC 8985 7.1. */
struct tlp {
	bool due;          /* to be sent at the next pull */
	bool out;          /* a probe is on its way, not accounted for */
	bool resent;       /* it is a retransmission */
	bool untimed;      /* no round trip has been timed since it was sent */
	tern_seq end;      /* snd.nxt after it */
	tern_seq text_end; /* the end of its own text, which a D-SACK would report */
	uint32_t len;      /* bytes of that */
};

/* RFC 9937 6.2. */
struct prr {
	uint32_t flight;         /* bytes: RecoverFS */
	uint32_t delivered, out; /* bytes since it began: prr_delivered, prr_out */
	bool cwr;                /* it is no recovery: congestion was echoed (RFC 3168) */
};

/* To take a reduction back that was for nothing (RFC 3522, 4015, 3708). */
struct undo {
	bool on;
	bool left;     /* the recovery is over; on is good until `until` is acknowledged */
	bool any;      /* something was sent again */
	bool stamped;  /* stamp is valid */
	tern_seq from; /* snd.una when the recovery began */
	tern_seq until;
	uint32_t resent;         /* bytes sent again and not reported as duplicates (D-SACK) */
	uint32_t stamp;          /* timestamp of the first retransmission */
	uint32_t cwnd, ssthresh; /* bytes, before the reduction */
};

enum frto {
	FRTO_OFF,
	FRTO_WATCH, /* a timeout: what will its first ACK say? */
	FRTO_NEW,   /* new data is sent before anything is sent again */
};

/* What the one deadline for losses, rexmt_at, stands for. */
enum loss_timer {
	LOSS_TIMER_RTO,
	LOSS_TIMER_REORDER,
	LOSS_TIMER_PROBE,
};

struct recovery {
	struct scoreboard board;
	struct rack rack;
	struct tlp tlp;
	struct prr prr;
	struct undo undo;
	uint8_t frto;          /* enum frto */
	uint8_t timer;         /* enum loss_timer */
	uint32_t grown;        /* bytes by which cwnd has since an ACK last did not open it */
	tern_seq tail;         /* where the last segment of new data began */
	uint64_t probe_set_at; /* ns: when the probe timer was set */
};

/* What one ACK delivered, from the scoreboard's point of view. */
struct delivery {
	uint32_t bytes;    /* newly acknowledged or reported: DeliveredData */
	uint32_t sacked;   /* of these, reported */
	bool acknowledged; /* what is being looked at is not only reported */
	bool original;     /* some were never sent again and sent before `recover` */
	bool reordered;    /* some were never sent again and lay below the highest delivered */
	bool nothing;      /* a duplicate ACK that reports nothing either */
	bool dsack;        /* a duplicate was reported, that ends at dsack_hi (RFC 2883) */
	tern_seq dsack_hi;
	tern_seq lowest; /* reordered: where the lowest of it began */
	bool echoed;     /* tsecr is valid */
	uint32_t tsecr;
	uint64_t rtt;  /* ns, of the latest never sent again; 0: none */
	tern_seq high; /* board.high before the ACK */
};

#endif
