/* What connections carry: bytes that are a function of the stream and the offset. */
#include <string.h>

#include "test/world/world.h"

static uint64_t fold(uint64_t key, const struct tern_endpoint *e)
{
	uint64_t half[2];
	memcpy(half, e->addr.byte, sizeof half);
	key = rng_mix(key ^ half[0]);
	key = rng_mix(key ^ half[1]);
	return rng_mix(key + e->port);
}

uint64_t stream_key(const struct tern_endpoint *from, const struct tern_endpoint *to, uint32_t isn)
{
	return fold(fold(rng_mix(isn + UINT64_C(0x1234567)), from), to);
}

static uint64_t word(uint64_t key, uint64_t index)
{
	return rng_mix(key + index * 0x9e3779b97f4a7c15);
}

void stream_fill(uint64_t key, uint64_t offset, uint8_t *data, size_t n)
{
	while (n) {
		uint64_t w = word(key, offset / 8);
		size_t skip = offset % 8, take = 8 - skip;
		if (take > n)
			take = n;
		memcpy(data, (uint8_t *)&w + skip, take);
		data += take;
		offset += take;
		n -= take;
	}
}

size_t stream_verify(uint64_t key, uint64_t offset, const uint8_t *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		uint64_t w = word(key, (offset + at) / 8);
		size_t skip = (offset + at) % 8, take = 8 - skip;
		if (take > n - at)
			take = n - at;
		const uint8_t *want = (uint8_t *)&w + skip;
		if (memcmp(data + at, want, take) != 0) {
			while (data[at] == *want++)
				at++;
			return at;
		}
		at += take;
	}
	return n;
}

struct stream *stream_find(struct world *w, uint64_t key)
{
	uint64_t at = key;
	if (key == 0)
		key = 1;
	for (unsigned tries = 0; tries < STREAMS_MAX; tries++, at++) {
		struct stream *s = &w->streams[at & (STREAMS_MAX - 1)];
		if (s->key == key)
			return s;
		if (s->key == 0) {
			s->key = key;
			return s;
		}
	}
	return NULL;
}
