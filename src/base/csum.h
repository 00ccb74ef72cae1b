/*
 * The Internet checksum (RFC 1071) over whole buffers, alone or while copying. Sums are
 * carried unfolded, as if their bytes began at an even offset; csum_join() puts a sum behind
 * another whose length may be odd. The widest code this CPU has is chosen once, by
 * tern_csum_pick(), and carried as a pointer: there is no global to initialise.
 */
#ifndef TERN_BASE_CSUM_H
#define TERN_BASE_CSUM_H

#include <stddef.h>
#include <stdint.h>

struct csum_ops {
	const char *name; /* "portable", "avx2" */
	/* Sum of len bytes at data, of any alignment. */
	uint32_t (*sum)(const void *data, size_t len);
	/* Copies len bytes, which do not overlap, and returns their sum. */
	uint32_t (*copy)(void *restrict dst, const void *restrict src, size_t len);
};

/* The fastest implementation on this CPU; the tables themselves, for tests and benches. */
const struct csum_ops *tern_csum_pick(void);
const struct csum_ops *tern_csum_portable(void);
/* NULL where the CPU (or the compiler's target) has no AVX2. */
const struct csum_ops *tern_csum_avx2(void);

/* Folds to 16 bits, not complemented. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What the header's checksum field takes, as a big-endian number. */
static inline uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/*
 * The sum of bytes A followed by bytes B, where A is len_a bytes long. Sums count each
 * big-endian 16-bit word of the data at its value, so b turns when A is odd.
 */
static inline uint64_t csum_join(uint64_t a, size_t len_a, uint32_t b)
{
	uint32_t s = csum_fold(b);
	return a + (len_a & 1 ? (s >> 8 | (s & 0xff) << 8) : s);
}

#endif
