/*
 * The one bounded reader and writer of packet bytes: big-endian, no overlays, no casts. An
 * access past the end sets `bad`, yields zero and moves nothing; callers check `bad` once.
 */
#ifndef TERN_BASE_BYTES_H
#define TERN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static inline struct reader reader(const uint8_t *data, size_t len)
{
	return (struct reader){data, data + len, false};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* Takes n bytes; NULL (and bad) when fewer are left. */
static inline const uint8_t *reader_take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;
	if (r->bad || reader_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);
	return p ? *p : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p ? load_be16(p) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);
	return p ? load_be32(p) : 0;
}

/* The writer counts on its caller for room: emitters state their longest output. */
struct writer {
	uint8_t *at;
};

static inline void write_u8(struct writer *w, uint8_t v)
{
	*w->at++ = v;
}

static inline void write_u16(struct writer *w, uint16_t v)
{
	store_be16(w->at, v);
	w->at += 2;
}

static inline void write_u32(struct writer *w, uint32_t v)
{
	store_be32(w->at, v);
	w->at += 4;
}

static inline void write_bytes(struct writer *w, const void *data, size_t n)
{
	memcpy(w->at, data, n);
	w->at += n;
}

#endif
