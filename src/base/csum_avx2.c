#include "base/csum.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* Below this many bytes, setting vectors up costs more than it saves. */
#define WORTHWHILE 128

/* Each 64-bit lane takes 32-bit halves, so it has room for 2^32 of them: no carries to mind. */
struct lanes {
	__m256i low, high;
};

AVX2 static inline void add(struct lanes *sum, __m256i v)
{
	sum->low = _mm256_add_epi64(sum->low, _mm256_blend_epi32(v, _mm256_setzero_si256(), 0xaa));
	sum->high = _mm256_add_epi64(sum->high, _mm256_srli_epi64(v, 32));
}

/* Folded, and as big-endian words count. */
AVX2 static inline uint32_t gather(struct lanes a, struct lanes b)
{
	__m256i low = _mm256_add_epi64(a.low, b.low), high = _mm256_add_epi64(a.high, b.high);
	__m256i both = _mm256_add_epi64(low, high);
	__m128i half =
		_mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
	uint64_t x = (uint64_t)_mm_cvtsi128_si64(half);
	uint64_t y = (uint64_t)_mm_extract_epi64(half, 1);
	return __builtin_bswap16(csum_fold((uint64_t)csum_fold(x) + csum_fold(y)));
}

AVX2 static inline __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i_u *)p);
}

AVX2 static inline void store(uint8_t *p, __m256i v)
{
	_mm256_storeu_si256((__m256i_u *)p, v);
}

AVX2 static uint32_t sum_avx2(const void *data, size_t len)
{
	const uint8_t *p = data;
	if (len < WORTHWHILE)
		return tern_csum_portable()->sum(data, len);
	struct lanes a = {_mm256_setzero_si256(), _mm256_setzero_si256()}, b = a;
	for (; len >= 64; len -= 64, p += 64) {
		add(&a, load(p));
		add(&b, load(p + 32));
	}
	/* The stride is even, so the rest begins at an even offset. */
	return gather(a, b) + tern_csum_portable()->sum(p, len);
}

AVX2 static uint32_t copy_avx2(void *restrict dst, const void *restrict src, size_t len)
{
	const uint8_t *p = src;
	uint8_t *q = dst;
	if (len < WORTHWHILE)
		return tern_csum_portable()->copy(dst, src, len);
	struct lanes a = {_mm256_setzero_si256(), _mm256_setzero_si256()}, b = a;
	for (; len >= 64; len -= 64, p += 64, q += 64) {
		__m256i v = load(p), w = load(p + 32);
		store(q, v);
		store(q + 32, w);
		add(&a, v);
		add(&b, w);
	}
	return gather(a, b) + tern_csum_portable()->copy(q, p, len);
}

static const struct csum_ops avx2 = {"avx2", sum_avx2, copy_avx2};

/*
 * What the compiler's runtime found out before main(), the operating system's consent included.
 * Asking the CPU itself would be a trap of many microseconds in a virtual machine, too long for
 * those who pick anew for every frame.
 */
const struct csum_ops *tern_csum_avx2(void)
{
	return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
}

#else

const struct csum_ops *tern_csum_avx2(void)
{
	return NULL;
}

#endif
