/*
 * Frames, as devices lend them to tern_input and tern_output.
 *
 * A frame may carry an unfinished checksum (virtio calls it NEEDS_CSUM): the 16-bit field at
 * csum_start + csum_offset holds the pseudo-header's sum, and the sum over the bytes from
 * csum_start to the end is still to be put there. It may also be larger than the MTU: then
 * gso_size says how many payload bytes each segment made of it will carry.
 */
#ifndef TERN_FRAME_H
#define TERN_FRAME_H

#include <tern/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_frame {
	uint8_t *data;       /* input: only read */
	uint32_t len;        /* bytes in the frame */
	uint32_t capacity;   /* output: room at data */
	uint16_t csum_start; /* 0: checksum complete; else where the sum starts (see above) */
	uint16_t csum_offset;
	uint16_t gso_size;   /* 0: an ordinary frame */
	uint16_t header_len; /* with gso_size: link, IP and TCP headers */
	bool csum_valid;     /* input: the device has verified the transport checksum, or the
			      * frame never left this machine and carries an unfinished one */
};

/* Finishes an unfinished checksum in software. Bounds are checked; a frame whose csum_start or
 * csum_offset points outside is left alone and false returned. */
bool tern_frame_finish_csum(struct tern_frame *frame);

#ifdef __cplusplus
}
#endif
#endif
