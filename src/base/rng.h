/*
 * Unpredictable numbers from the seed the host gave: SipHash-2-4 over a counter. The same
 * seed yields the same numbers, so a run can be replayed; without the seed nothing can be
 * foretold.
 */
#ifndef TERN_BASE_RNG_H
#define TERN_BASE_RNG_H

#include <stdint.h>
#include "base/siphash.h"

struct rng {
	struct siphash_key key;
	uint64_t counter;
};

void tern_rng_init(struct rng *rng, const uint8_t seed[32]);
uint64_t tern_rng_u64(struct rng *rng);
uint32_t tern_rng_u32(struct rng *rng);
/* Uniform in [0, bound); bound > 0. */
uint32_t tern_rng_below(struct rng *rng, uint32_t bound);
/* A fresh key, for a hash that needs one of its own. */
struct siphash_key tern_rng_key(struct rng *rng);

#endif
