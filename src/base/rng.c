#include "base/rng.h"

#include "base/bytes.h"

static uint64_t load_be64(const uint8_t *p)
{
	return (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
}

/* Both halves of the seed reach both words of the key: hosts may fill either well. */
void tern_rng_init(struct rng *rng, const uint8_t seed[32])
{
	const struct siphash_key half[2] = {
		{load_be64(seed), load_be64(seed + 8)},
		{load_be64(seed + 16), load_be64(seed + 24)},
	};
	rng->key.k0 = tern_siphash24(&half[0], seed, 32) ^ half[1].k0;
	rng->key.k1 = tern_siphash24(&half[1], seed, 32) ^ half[0].k1;
	rng->counter = 0;
}

uint64_t tern_rng_u64(struct rng *rng)
{
	uint8_t block[8];
	const uint64_t n = rng->counter++;
	store_be32(block, (uint32_t)(n >> 32));
	store_be32(block + 4, (uint32_t)n);
	return tern_siphash24(&rng->key, block, sizeof block);
}

uint32_t tern_rng_u32(struct rng *rng)
{
	return (uint32_t)tern_rng_u64(rng);
}

/* The product's low half shows where in its bucket a draw fell; the few draws that would make
 * some buckets larger than others are drawn again (Lemire 2019). */
uint32_t tern_rng_below(struct rng *rng, uint32_t bound)
{
	const uint32_t uneven = -bound % bound;
	uint64_t product;
	do
		product = (uint64_t)tern_rng_u32(rng) * bound;
	while ((uint32_t)product < uneven);
	return (uint32_t)(product >> 32);
}

struct siphash_key tern_rng_key(struct rng *rng)
{
	struct siphash_key key;
	key.k0 = tern_rng_u64(rng);
	key.k1 = tern_rng_u64(rng);
	return key;
}
