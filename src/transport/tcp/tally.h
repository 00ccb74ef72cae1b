/*
 * What a connection has done: part of the side block, told by TCP_INFO. It goes with the side
 * block, when nothing has happened for a while, unless the setting tcp_keep_tally says otherwise.
 */
#ifndef TERN_TCP_TALLY_H
#define TERN_TCP_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/seq.h"

/* What a connection that sends does with its time; the last two are what Linux, too, tells apart.
 */
enum standing {
	STANDING_IDLE,   /* there is nothing to send, and all is acknowledged */
	STANDING_BUSY,   /* sending, or waiting for ACKs */
	STANDING_WINDOW, /* the peer's window holds back what is written */
	STANDING_BUFFER, /* the send buffer is full, and all in it has been sent */
	STANDINGS
};

/* The segment that is followed, and how things stood when it went; ns. */
struct followed {
	bool on, app_limited;
	tern_seq end;
	uint64_t at, delivered;     /* when it went; bytes */
	uint64_t heard_at, sent_at; /* the latest delivered was heard of, and was sent */
};

/* How fast the peer gets what is sent: rate.c. */
struct delivery_rate {
	uint64_t bytes_per_s; /* by the last sample; 0: none yet */
	bool app_limited;     /* and that the program had no more to give */
	bool drained;         /* all that the program gave has been sent, and cwnd has room; ... */
	tern_seq drained_end; /* ... until more than this has come */
	uint64_t delivered;   /* bytes, so far, ... */
	uint64_t heard_at;    /* ... and when the latest of them were heard of, ns */
	uint64_t begun_at;    /* ns: what is under way was begun when nothing was */
	struct followed followed;
};

struct tally {
	uint64_t acked, received; /* bytes; a FIN counts as one, and the SYN of an open of ours */
	uint64_t sent, resent;    /* bytes of text; `sent` has what was sent again as well */
	uint64_t spent[STANDINGS], since; /* ns in each, and when the present one began */
	uint64_t text_at, sent_at; /* ns: text came in order, new text went; or it was opened */
	uint32_t segments_in, segments_out;
	uint32_t text_segments_in, text_segments_out; /* of those, with text */
	uint32_t beyond_holes;                        /* that came out of order */
	uint32_t marked;     /* segments the peer says came marked (RFC 3168) */
	uint32_t duplicates; /* D-SACKs heard */
	uint32_t resent_segments, resent_text_segments; /* sent again; of those, with text */
	uint8_t standing;                               /* enum standing */
	struct delivery_rate rate;
};

#endif
