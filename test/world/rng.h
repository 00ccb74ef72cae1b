/* Chance from a seed: the same numbers on every run. */
#ifndef WORLD_RNG_H
#define WORLD_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* The finaliser of SplitMix64: near numbers in, far numbers out. */
static inline uint64_t rng_mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint64_t rng_draw(struct rng *r)
{
	return rng_mix(r->state += 0x9e3779b97f4a7c15);
}

/* In [0, n); n > 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_draw(r) % n;
}

/* In [lo, hi]. */
static inline uint64_t rng_between(struct rng *r, uint64_t lo, uint64_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

/* In [lo, hi], each doubling as likely as the next; lo > 0. */
static inline uint64_t rng_spread(struct rng *r, uint64_t lo, uint64_t hi)
{
	unsigned doublings = 0;
	while (lo << (doublings + 1) <= hi)
		doublings++;
	uint64_t base = lo << rng_below(r, doublings + 1);
	uint64_t v = base + rng_below(r, base);
	return v < hi ? v : hi;
}

static inline bool rng_percent(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

/* In [0, 1). */
static inline double rng_unit(struct rng *r)
{
	return (double)(rng_draw(r) >> 11) * 0x1p-53;
}

#endif
