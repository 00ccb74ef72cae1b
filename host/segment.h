/* Cutting a TSO-sized frame into the segments a network card would make of it. */
#ifndef HOST_SEGMENT_H
#define HOST_SEGMENT_H

#include <tern/frame.h>

struct tern_cut {
	const struct tern_frame *frame;
	uint32_t ip, tcp, payload; /* offsets in the frame */
	uint32_t at;               /* payload bytes cut off so far */
	uint16_t index;            /* segments cut off so far */
};

/* Prepares to cut a frame; false if it is not IPv4 TCP with a gso_size, or too short for what it
 * says. */
bool tern_cut_begin(struct tern_cut *cut, const struct tern_frame *frame);
/* Bytes the next segment takes; 0 when none is left. */
uint32_t tern_cut_next_len(const struct tern_cut *cut);
/* Writes the next segment to out->data, which has that room. Its checksum is finished if the
 * frame's was, and otherwise left for the device in the same way. */
void tern_cut_next(struct tern_cut *cut, struct tern_frame *out);

#endif
