/* IPv4 addresses between the wire's four bytes and the mapped form of struct tern_addr. */
#ifndef TERN_WIRE_ADDR_H
#define TERN_WIRE_ADDR_H

#include <tern/types.h>
#include "base/bytes.h"

static inline struct tern_addr load_addr_v4(const uint8_t *p)
{
	return (struct tern_addr){
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, p[0], p[1], p[2], p[3]}};
}

static inline void write_addr_v4(struct writer *w, const struct tern_addr *a)
{
	write_bytes(w, a->byte + 12, 4);
}

/* The four bytes of an IPv4 address as a number. */
static inline uint32_t addr_v4_bits(const struct tern_addr *a)
{
	return load_be32(a->byte + 12);
}

static inline bool addr_same(const struct tern_addr *a, const struct tern_addr *b)
{
	return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

static inline bool addr_is_mapped_v4(const struct tern_addr *a)
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->byte, prefix, sizeof prefix) == 0;
}

/* :: or 0.0.0.0 */
static inline bool addr_is_none(const struct tern_addr *a)
{
	static const struct tern_addr none;
	return addr_same(a, &none) || (addr_is_mapped_v4(a) && addr_v4_bits(a) == 0);
}

static inline uint32_t v4_mask(unsigned prefix_len)
{
	return prefix_len == 0 ? 0 : UINT32_MAX << (32 - prefix_len);
}

static inline bool v4_is_multicast(uint32_t bits)
{
	return bits >> 28 == 14;
}

static inline bool v4_is_loopback(uint32_t bits)
{
	return bits >> 24 == 127;
}

/* 240.0.0.0/4, the limited broadcast among them (RFC 1112 4). */
static inline bool v4_is_reserved(uint32_t bits)
{
	return bits >> 28 == 15;
}

/* "This network", 0.0.0.0/8 (RFC 1122 3.2.1.3). */
static inline bool v4_is_this_network(uint32_t bits)
{
	return bits >> 24 == 0;
}

#endif
