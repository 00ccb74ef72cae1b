#include <tern/frame.h>

#include "base/bytes.h"
#include "base/csum.h"

#define UDP_CSUM_FIELD 6

/* The field holds the pseudo-header's sum, so summing across it counts that in. */
bool tern_frame_finish_csum(struct tern_frame *frame)
{
	uint32_t start = frame->csum_start;
	uint32_t field = start + frame->csum_offset;
	if (start == 0)
		return true;
	if (start >= frame->len || field + 2 > frame->len)
		return false;
	const struct csum_ops *csum = tern_csum_pick();
	uint16_t checksum = csum_finish(csum->sum(frame->data + start, frame->len - start));
	/* Zero means "none" in UDP (RFC 768); in TCP all ones, though equal, is a wrong spelling of
	 * it. */
	if (checksum == 0 && frame->csum_offset == UDP_CSUM_FIELD)
		checksum = 0xffff;
	store_be16(frame->data + field, checksum);
	frame->csum_start = 0;
	frame->csum_offset = 0;
	return true;
}
