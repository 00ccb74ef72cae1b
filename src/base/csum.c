#include "base/csum.h"

#include <string.h>

/*
 * RFC 1071 section 2: the sum may be taken in any width and in the machine's own byte order, and
 * the result turned once at the end. Four 64-bit sums, each with its carry brought round, keep
 * the additions from waiting on one another.
 */
static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline void add_carry(uint64_t *sum, uint64_t v)
{
	*sum += v;
	*sum += *sum < v;
}

/* Sum of a native-order accumulator, folded and as big-endian words count. */
static inline uint32_t finish(uint64_t sum)
{
	uint16_t folded = csum_fold(sum);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	folded = __builtin_bswap16(folded);
#endif
	return folded;
}

/* The last 0 to 7 bytes, zeroes behind them, in their places of a native word. */
static inline uint64_t tail(const uint8_t *p, size_t len)
{
	uint8_t word[8] = {0};
	memcpy(word, p, len);
	return load64(word);
}

static uint32_t sum_portable(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0, d = 0;
	if (len == 0)
		return 0;
	for (; len >= 32; len -= 32, p += 32) {
		add_carry(&a, load64(p));
		add_carry(&b, load64(p + 8));
		add_carry(&c, load64(p + 16));
		add_carry(&d, load64(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		add_carry(&a, load64(p));
	if (len > 0)
		add_carry(&b, tail(p, len));
	add_carry(&a, b);
	add_carry(&c, d);
	add_carry(&a, c);
	return finish(a);
}

static inline void move64(uint8_t *to, const uint8_t *from, uint64_t *sum)
{
	uint64_t v = load64(from);
	memcpy(to, &v, sizeof v);
	add_carry(sum, v);
}

static uint32_t copy_portable(void *restrict dst, const void *restrict src, size_t len)
{
	const uint8_t *p = src;
	uint8_t *q = dst;
	uint64_t a = 0, b = 0, c = 0, d = 0;
	if (len == 0)
		return 0;
	for (; len >= 32; len -= 32, p += 32, q += 32) {
		move64(q, p, &a);
		move64(q + 8, p + 8, &b);
		move64(q + 16, p + 16, &c);
		move64(q + 24, p + 24, &d);
	}
	for (; len >= 8; len -= 8, p += 8, q += 8)
		move64(q, p, &a);
	if (len > 0) {
		memcpy(q, p, len);
		add_carry(&b, tail(p, len));
	}
	add_carry(&a, b);
	add_carry(&c, d);
	add_carry(&a, c);
	return finish(a);
}

static const struct csum_ops portable = {"portable", sum_portable, copy_portable};

const struct csum_ops *tern_csum_portable(void)
{
	return &portable;
}

const struct csum_ops *tern_csum_pick(void)
{
	const struct csum_ops *avx2 = tern_csum_avx2();
	return avx2 ? avx2 : &portable;
}
