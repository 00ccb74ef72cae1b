/* ICMPv4 messages (RFC 792, 1191, 1812). */
#ifndef TERN_WIRE_ICMPV4_H
#define TERN_WIRE_ICMPV4_H

#include "wire/ipv4.h"

#define ICMP_HEADER_LEN        8
#define ICMP_ECHO_REPLY        0
#define ICMP_UNREACHABLE       3
#define ICMP_SOURCE_QUENCH     4
#define ICMP_ECHO_REQUEST      8
#define ICMP_TIME_EXCEEDED     11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP_CODE_NET          0
#define ICMP_CODE_HOST         1
#define ICMP_CODE_PROTOCOL     2
#define ICMP_CODE_PORT         3
#define ICMP_CODE_FRAG_NEEDED  4
#define ICMP_CODE_SOURCE_ROUTE 5
#define ICMP_CODE_ADMIN        13
#define ICMP_CODE_TTL          0 /* of TIME_EXCEEDED */
#define ICMP_CODE_REASSEMBLY   1

struct icmpv4_message {
	uint8_t type, code;
	uint16_t id, sequence; /* echo */
	uint16_t mtu;          /* FRAG_NEEDED: next-hop MTU, 0 from an old router */
	const uint8_t *body;   /* after the 8-byte header: echo data, or the packet that failed */
	uint32_t body_len;
};

/* Parses the payload of an IPv4 packet, verifying the checksum. body points into r's bytes. */
enum tern_drop tern_icmpv4_parse(struct reader *r, const struct csum_ops *csum,
	struct icmpv4_message *out);
/* Writes 8 + body_len bytes with their checksum. */
void tern_icmpv4_emit(struct writer *w, const struct csum_ops *csum,
	const struct icmpv4_message *m);
/*
 * Reads the packet quoted in an error's body: its IPv4 header (checksum not checked, total
 * length may exceed what is quoted) and r is left at the quoted transport bytes.
 */
enum tern_drop tern_icmpv4_quoted(const struct icmpv4_message *m, struct ipv4_header *out,
	struct reader *transport);

#endif
