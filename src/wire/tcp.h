/*
 * TCP segments (RFC 9293 3.1): the header and every option, between bytes and a struct in
 * host order. Everything is validated here; what follows never touches an offset.
 */
#ifndef TERN_WIRE_TCP_H
#define TERN_WIRE_TCP_H

#include <tern/trace.h>
#include <tern/types.h>
#include "base/bytes.h"
#include "base/seq.h"

#define TCP_HEADER_LEN      20
#define TCP_HEADER_LEN_MAX  60
#define TCP_OPTIONS_LEN_MAX 40
#define TCP_SACK_BLOCKS_MAX 4
#define TCP_WSCALE_MAX      14 /* RFC 7323 2.3: larger is read as 14 */

/* The flags byte, and the NS/AE bit above it (RFC 9293 3.1; AE: RFC 9768). */
#define TCP_FIN 0x001
#define TCP_SYN 0x002
#define TCP_RST 0x004
#define TCP_PSH 0x008
#define TCP_ACK 0x010
#define TCP_URG 0x020
#define TCP_ECE 0x040
#define TCP_CWR 0x080
#define TCP_AE  0x100

/* Which options a segment carries: bits of tcp_options.has. */
#define TCP_OPT_MSS          0x01
#define TCP_OPT_WSCALE       0x02
#define TCP_OPT_SACK_OK      0x04
#define TCP_OPT_SACK         0x08
#define TCP_OPT_TIMESTAMP    0x10
#define TCP_OPT_FASTOPEN     0x20 /* a cookie, or a request for one when it is empty (RFC 7413) */
#define TCP_OPT_USER_TIMEOUT 0x40 /* RFC 5482 */
#define TCP_OPT_UNKNOWN      0x80 /* at least one option of another kind, skipped */

struct tcp_sack_block {
	tern_seq lo, hi; /* [lo, hi) */
};

struct tcp_options {
	uint8_t has;
	uint8_t wscale; /* 0..14 */
	uint8_t sack_count;
	uint8_t fastopen_len; /* 0, or 4..16 and even */
	uint16_t mss;
	uint16_t user_timeout; /* G bit on top, as on the wire */
	uint32_t tsval, tsecr;
	struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX];
	uint8_t fastopen[16];
};

struct tcp_segment {
	uint16_t src_port, dst_port;
	tern_seq seq, ack;
	uint16_t flags;
	uint16_t window; /* as on the wire, unscaled */
	uint16_t urgent;
	uint32_t len; /* sequence space: data plus one each for SYN and FIN */
	uint32_t data_len;
	const uint8_t *data; /* lent by the frame */
	struct tcp_options options;
};

/*
 * Parses a whole segment: r spans exactly the IP payload. No checksum is verified here (the caller
 * does it first). Options end at END or at the header's end; a length under 2 or past the end
 * is TCP_OPTIONS. An option of a known kind with a wrong length is skipped as unknown. A repeated
 * option: the last wins (as Linux). MSS, window scale, SACK-permitted and fast open count only
 * with SYN; a SACK block whose hi is not after lo is left out.
 */
enum tern_drop tern_tcp_parse(struct reader *r, struct tcp_segment *out);

/* The bytes the options take, padded to a multiple of four; at most 40. Asserts they fit. */
uint32_t tern_tcp_options_len(const struct tcp_options *o, uint16_t flags);
/*
 * Writes header and options, not the data; the checksum field is zero. Options go in the order
 * Linux uses: on SYN: MSS, SACK-permitted, timestamps, NOP, window scale; otherwise NOP NOP
 * timestamps, NOP NOP SACK. As many SACK blocks as fit are written. Returns the header's length.
 */
uint32_t tern_tcp_emit(uint8_t *buf, const struct tcp_segment *s);

#endif
