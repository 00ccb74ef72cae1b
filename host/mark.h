/* Congestion told instead of loss: the mark that a router puts on a packet (RFC 3168 5). */
#ifndef HOST_MARK_H
#define HOST_MARK_H

#include <tern/frame.h>

/* Sets CE on the IPv4 packet in the frame, with or without an Ethernet header, if it says that it
 * is ECN-capable; false if it is not. */
bool tern_mark_ce(struct tern_frame *frame);

#endif
