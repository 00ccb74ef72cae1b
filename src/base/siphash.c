#include "base/siphash.h"

/* The four lanes of the state, as the paper names them. */
struct lanes {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static uint64_t load_le64(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void rounds(struct lanes *s, unsigned n)
{
	while (n--) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 = rotl(s->v2, 32);
	}
}

static inline void compress(struct lanes *s, uint64_t word, unsigned n)
{
	s->v3 ^= word;
	rounds(s, n);
	s->v0 ^= word;
}

/* Inlined into both callers, so that the round counts are constants. */
static inline uint64_t siphash(const struct siphash_key *key, const uint8_t *data, size_t len,
	unsigned per_word, unsigned at_end)
{
	struct lanes s = {
		key->k0 ^ 0x736f6d6570736575, /* "somepseudorandomlygeneratedbytes" */
		key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261,
		key->k1 ^ 0x7465646279746573,
	};
	const uint64_t top = (uint64_t)len << 56;
	for (; len >= 8; data += 8, len -= 8)
		compress(&s, load_le64(data, 8), per_word);
	compress(&s, top | load_le64(data, len), per_word);
	s.v2 ^= 0xff;
	rounds(&s, at_end);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t tern_siphash24(const struct siphash_key *key, const void *data, size_t len)
{
	return siphash(key, data, len, 2, 4);
}

uint64_t tern_siphash13(const struct siphash_key *key, const void *data, size_t len)
{
	return siphash(key, data, len, 1, 3);
}
