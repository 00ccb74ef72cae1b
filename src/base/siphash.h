/*
 * SipHash (Aumasson and Bernstein 2012): a keyed hash that a stranger cannot aim.
 * 2-4 where the output is seen outside (ISNs, ports, timestamps), 1-3 inside hash tables.
 */
#ifndef TERN_BASE_SIPHASH_H
#define TERN_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t tern_siphash24(const struct siphash_key *key, const void *data, size_t len);
uint64_t tern_siphash13(const struct siphash_key *key, const void *data, size_t len);

#endif
