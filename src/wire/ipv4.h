/* IPv4 headers (RFC 791). */
#ifndef TERN_WIRE_IPV4_H
#define TERN_WIRE_IPV4_H

#include <tern/trace.h>
#include <tern/types.h>
#include "base/bytes.h"
#include "base/csum.h"

#define IPV4_HEADER_LEN     20 /* without options */
#define IPV4_HEADER_LEN_MAX 60
#define IPPROTO_ICMP_NUM    1
#define IPPROTO_TCP_NUM     6
#define IPPROTO_UDP_NUM     17

/* The two lowest bits of the TOS field (RFC 3168 5). */
#define ECN_MASK    3u
#define ECN_NOT_ECT 0u
#define ECN_ECT0    2u
#define ECN_CE      3u

/* The other six, and a TOS of them that says nothing of congestion (RFC 2474 3). */
static inline uint8_t dscp_of(int64_t tos)
{
	return (uint8_t)(tos >> 2 & 0x3f);
}

static inline uint8_t tos_of(unsigned dscp)
{
	return (uint8_t)(dscp << 2);
}

struct ipv4_header {
	struct tern_addr src, dst;
	uint8_t tos; /* DSCP and ECN */
	uint8_t ttl;
	uint8_t protocol;
	uint8_t header_len; /* bytes, 20..60 */
	uint16_t total_len; /* bytes, header included */
	uint16_t id;
	uint16_t fragment_offset; /* bytes, a multiple of 8 */
	bool dont_fragment, more_fragments;
	bool router_alert; /* informative (RFC 2113) */
};

/*
 * Parses and checks: version, header length, total length (<= what r holds), header checksum
 *, options well formed (a zero or overlong length, or a source route, is
 * IP_OPTIONS). On success r is cut to exactly the payload: trailing link padding is gone.
 */
enum tern_drop tern_ipv4_parse(struct reader *r, const struct csum_ops *csum,
	struct ipv4_header *out);
/*
 * The same for a packet quoted by ICMP: neither its checksum nor its options are looked at, and
 * its total length may exceed what r holds.
 */
enum tern_drop tern_ipv4_parse_quoted(struct reader *r, struct ipv4_header *out);
/* Writes 20 bytes with their checksum; header_len is taken as 20. */
void tern_ipv4_emit(struct writer *w, const struct ipv4_header *h);
/*
 * The sum of the pseudo-header for a transport checksum, of either family: addresses,
 * protocol and length (RFC 9293 3.1, RFC 8200 8.1).
 */
uint64_t tern_pseudo_sum(const struct tern_addr *src, const struct tern_addr *dst, uint8_t protocol,
	uint32_t len);

#endif
