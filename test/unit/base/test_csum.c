#include "test/unit/support.h"

#include "base/csum.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define LONGEST    300
#define ALIGNMENTS 32

/* RFC 1071 as it is written: big-endian words one by one, a zero behind an odd byte. */
static uint16_t oracle(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* 0 and 0xffff are the same number; sums of nothing but zeroes are the only true 0. */
static void assert_same_sum(uint64_t sum, uint16_t expected)
{
	assert_int_equal(csum_fold(sum), expected);
}

static unsigned implementations(const struct csum_ops *ops[2])
{
	unsigned n = 0;
	ops[n++] = tern_csum_portable();
	if (tern_csum_avx2())
		ops[n++] = tern_csum_avx2();
	return n;
}

typedef void (*check_fn)(const struct csum_ops *csum, uint8_t *data, size_t len);

/* Each length at each alignment of a buffer without a byte to spare behind it. */
static void each_length_and_alignment(check_fn check, uint64_t seed)
{
	const struct csum_ops *ops[2];
	struct test_rand r = {seed};
	for (unsigned k = implementations(ops); k-- > 0;)
		for (size_t len = 0; len <= LONGEST; len++)
			for (size_t at = 0; at < ALIGNMENTS; at++) {
				uint8_t *block = malloc(at + len + 1);
				assert_non_null(block);
				test_rand_fill(&r, block, at + len);
				uint8_t *exact = realloc(block, at + len ? at + len : 1);
				assert_non_null(exact);
				check(ops[k], exact + at, len);
				free(exact);
			}
}

static void check_sum(const struct csum_ops *csum, uint8_t *data, size_t len)
{
	assert_same_sum(csum->sum(data, len), oracle(data, len));
}

static void every_length_and_alignment_sums_like_the_oracle(void **state)
{
	(void)state;
	each_length_and_alignment(check_sum, 1);
}

static void check_copy(const struct csum_ops *csum, uint8_t *data, size_t len)
{
	for (size_t shift = 0; shift < 3; shift++) {
		uint8_t dst[LONGEST + 8];
		memset(dst, 0xee, sizeof dst);
		assert_same_sum(csum->copy(dst + 2 + shift, data, len), oracle(data, len));
		assert_memory_equal(dst + 2 + shift, data, len);
		assert_int_equal(dst[1 + shift], 0xee);
		assert_int_equal(dst[2 + shift + len], 0xee);
	}
}

static void a_copy_is_exact_and_sums_like_the_oracle(void **state)
{
	(void)state;
	each_length_and_alignment(check_copy, 2);
}

static void check_joins(const struct csum_ops *csum, uint8_t *data, size_t len)
{
	uint16_t whole = oracle(data, len);
	if (((uintptr_t)data & 7) > 2)
		return;
	for (size_t cut = 0; cut <= len; cut++) {
		uint64_t sum = csum->sum(data, cut);
		assert_same_sum(csum_join(sum, cut, csum->sum(data + cut, len - cut)), whole);
	}
}

static void a_sum_joins_behind_one_of_any_length(void **state)
{
	(void)state;
	each_length_and_alignment(check_joins, 3);
}

static void many_odd_pieces_join_to_the_whole(void **state)
{
	(void)state;
	const struct csum_ops *ops[2];
	struct test_rand r = {4};
	uint8_t data[4000];
	test_rand_fill(&r, data, sizeof data);
	for (unsigned k = implementations(ops); k-- > 0;)
		for (int round = 0; round < 200; round++) {
			uint64_t sum = 0;
			size_t at = 0;
			while (at < sizeof data) {
				size_t n = 1 + test_rand_below(&r, 700);
				n = n < sizeof data - at ? n : sizeof data - at;
				sum = csum_join(sum, at, ops[k]->sum(data + at, n));
				at += n;
			}
			assert_same_sum(sum, oracle(data, sizeof data));
		}
}

static void long_runs_of_ones_carry_round(void **state)
{
	(void)state;
	const struct csum_ops *ops[2];
	size_t len = 1 << 20;
	uint8_t *data = malloc(len);
	assert_non_null(data);
	memset(data, 0xff, len);
	for (unsigned k = implementations(ops); k-- > 0;) {
		assert_same_sum(ops[k]->sum(data, len), 0xffff);
		assert_same_sum(ops[k]->sum(data, 65535), oracle(data, 65535));
		assert_same_sum(ops[k]->sum(data, 65550), oracle(data, 65550));
	}
	free(data);
}

static void zeroes_sum_to_zero(void **state)
{
	(void)state;
	const struct csum_ops *ops[2];
	uint8_t data[1500] = {0};
	for (unsigned k = implementations(ops); k-- > 0;)
		assert_same_sum(ops[k]->sum(data, sizeof data), 0);
}

/* RFC 1071 section 3. */
static void the_example_of_the_rfc_sums_to_ddf2(void **state)
{
	(void)state;
	const struct csum_ops *ops[2];
	const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	for (unsigned k = implementations(ops); k-- > 0;) {
		assert_same_sum(ops[k]->sum(data, sizeof data), 0xddf2);
		assert_int_equal(csum_finish(ops[k]->sum(data, sizeof data)), 0x220d);
	}
}

static void folding_keeps_the_value_modulo_65535(void **state)
{
	(void)state;
	struct test_rand r = {5};
	const uint64_t edges[] = {0, 0xffff, 0x10000, 0xffffffff, 0x100000000, UINT64_MAX};
	for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
		assert_int_equal(csum_fold(edges[i]) % 65535, edges[i] % 65535);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = test_rand_u64(&r) >> test_rand_below(&r, 64);
		assert_int_equal(csum_fold(v) % 65535, v % 65535);
		assert_int_equal(csum_fold(v) == 0, v == 0);
	}
}

#if defined(__x86_64__)
/* Straight from the CPU; XCR0 bits 1 and 2 say that the kernel saves the wide registers. */
static bool cpu_and_kernel_have_avx2(void)
{
	unsigned a, b, c, d, low, high;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return false;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	(void)high;
	return (low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
#else
static bool cpu_and_kernel_have_avx2(void)
{
	return false;
}
#endif

static void the_pick_is_one_of_the_implementations(void **state)
{
	(void)state;
	const struct csum_ops *pick = tern_csum_pick();
	assert_non_null(tern_csum_portable());
	assert_ptr_equal(pick, tern_csum_avx2() ? tern_csum_avx2() : tern_csum_portable());
	assert_int_equal(tern_csum_avx2() != NULL, cpu_and_kernel_have_avx2());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment_sums_like_the_oracle),
		cmocka_unit_test(a_copy_is_exact_and_sums_like_the_oracle),
		cmocka_unit_test(a_sum_joins_behind_one_of_any_length),
		cmocka_unit_test(many_odd_pieces_join_to_the_whole),
		cmocka_unit_test(long_runs_of_ones_carry_round),
		cmocka_unit_test(zeroes_sum_to_zero),
		cmocka_unit_test(the_example_of_the_rfc_sums_to_ddf2),
		cmocka_unit_test(folding_keeps_the_value_modulo_65535),
		cmocka_unit_test(the_pick_is_one_of_the_implementations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
