/*
 * What a connection has done: part of the side block, told by TCP_INFO. It goes with the side
 * block, when nothing has happened for a while, unless the setting tcp_keep_tally says otherwise.
 */
#ifndef TERN_TCP_TALLY_H
#define TERN_TCP_TALLY_H

#include <stdint.h>

/* What a connection that sends does with its time; the last two are what Linux, too, tells apart.
 */
enum standing {
	STANDING_IDLE,   /* there is nothing to send, and all is acknowledged */
	STANDING_BUSY,   /* sending, or waiting for ACKs */
	STANDING_WINDOW, /* the peer's window holds back what is written */
	STANDING_BUFFER, /* the send buffer is full, and all in it has been sent */
	STANDINGS
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
};

#endif
