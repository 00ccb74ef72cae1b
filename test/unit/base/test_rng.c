#include "test/unit/support.h"

#include "base/rng.h"

static struct rng seeded(uint8_t first)
{
	uint8_t seed[32] = {first};
	struct rng rng;
	tern_rng_init(&rng, seed);
	return rng;
}

static void the_same_seed_yields_the_same_numbers(void **state)
{
	(void)state;
	struct rng a = seeded(1), b = seeded(1);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(tern_rng_u64(&a), tern_rng_u64(&b));
		assert_int_equal(tern_rng_u32(&a), tern_rng_u32(&b));
		assert_int_equal(tern_rng_below(&a, 1000), tern_rng_below(&b, 1000));
		const struct siphash_key x = tern_rng_key(&a), y = tern_rng_key(&b);
		assert_int_equal(x.k0, y.k0);
		assert_int_equal(x.k1, y.k1);
		assert_int_not_equal(x.k0, x.k1);
	}
}

static void every_bit_of_the_seed_matters(void **state)
{
	(void)state;
	uint8_t seed[32] = {0};
	struct rng rng;
	tern_rng_init(&rng, seed);
	const uint64_t first = tern_rng_u64(&rng);
	for (unsigned bit = 0; bit < 256; bit++) {
		seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		tern_rng_init(&rng, seed);
		assert_int_not_equal(tern_rng_u64(&rng), first);
		seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void numbers_below_a_bound_are_uniform(void **state)
{
	(void)state;
	enum {
		EACH = 10000
	};
	static const uint32_t bounds[] = {1, 2, 3, 7, 10, 64};
	struct rng rng = seeded(7);
	for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++) {
		uint32_t count[64] = {0};
		for (uint32_t i = 0; i < bounds[k] * EACH; i++) {
			const uint32_t n = tern_rng_below(&rng, bounds[k]);
			assert_true(n < bounds[k]);
			count[n]++;
		}
		/* Five standard deviations. */
		for (uint32_t n = 0; n < bounds[k]; n++)
			assert_in_range(count[n], EACH - 500, EACH + 500);
	}
}

static void a_bound_that_does_not_divide_the_range_is_uniform_too(void **state)
{
	(void)state;
	struct rng rng = seeded(9);
	uint32_t low = 0;
	/* Without rejection two thirds of the draws would fall into the lower half. */
	for (int i = 0; i < 30000; i++)
		low += tern_rng_below(&rng, 0xc0000000) < 0x60000000;
	assert_in_range(low, 15000 - 450, 15000 + 450);
}

static void every_bit_of_the_numbers_is_fair(void **state)
{
	(void)state;
	enum {
		N = 20000
	};
	struct rng rng = seeded(2);
	uint32_t ones[64] = {0};
	for (int i = 0; i < N; i++) {
		const uint64_t v = tern_rng_u64(&rng);
		for (unsigned bit = 0; bit < 64; bit++)
			ones[bit] += (uint32_t)(v >> bit & 1);
	}
	for (unsigned bit = 0; bit < 64; bit++)
		assert_in_range(ones[bit], N / 2 - 360, N / 2 + 360);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_yields_the_same_numbers),
		cmocka_unit_test(every_bit_of_the_seed_matters),
		cmocka_unit_test(numbers_below_a_bound_are_uniform),
		cmocka_unit_test(a_bound_that_does_not_divide_the_range_is_uniform_too),
		cmocka_unit_test(every_bit_of_the_numbers_is_fair),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
