/* UDP datagrams (RFC 768). */
#ifndef TERN_WIRE_UDP_H
#define TERN_WIRE_UDP_H

#include "wire/ipv4.h"

#define UDP_HEADER_LEN 8

struct udp_header {
	uint16_t src_port, dst_port;
	uint16_t len; /* header and data */
	bool has_checksum;
};

/*
 * Parses and, when pseudo is given, verifies the checksum; a zero checksum is "none" in IPv4.
 * *pseudo is the sum of the pseudo-header with all that r holds as its length; the datagram's
 * own length is put in its place. r is cut to the data (RFC 768: len may be under the IP
 * payload's).
 */
enum tern_drop tern_udp_parse(struct reader *r, const struct csum_ops *csum, const uint64_t *pseudo,
	struct udp_header *out);
/*
 * Writes the 8-byte header of a datagram whose data has sum data_sum; a computed checksum of
 * zero is sent as all ones.
 */
void tern_udp_emit(struct writer *w, const struct udp_header *h, uint64_t pseudo,
	uint64_t data_sum);

#endif
