#include "test/unit/support.h"

#include "base/seq.h"

static const uint32_t at[] = {0, 1, 2, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe,
	0xffffffff};

#define AT (sizeof at / sizeof *at)

/* RFC 9293 3.4: order holds across the wrap, as far as 2^31 - 1. */
static void order_wraps(void **state)
{
	(void)state;
	for (size_t i = 0; i < AT; i++) {
		tern_seq a = seq(at[i]);
		static const uint32_t ahead[] = {1, 2, 0x3fffffff, 0x7fffffff};
		for (size_t j = 0; j < sizeof ahead / sizeof *ahead; j++) {
			tern_seq b = seq_add(a, ahead[j]);
			assert_true(seq_lt(a, b) && seq_leq(a, b));
			assert_true(seq_gt(b, a) && seq_geq(b, a));
			assert_false(seq_lt(b, a) || seq_leq(b, a));
			assert_int_equal(seq_diff(b, a), ahead[j]);
			assert_true(seq_eq(seq_max(a, b), b) && seq_eq(seq_max(b, a), b));
			assert_true(seq_eq(seq_min(a, b), a) && seq_eq(seq_min(b, a), a));
			assert_true(seq_eq(seq_sub(b, ahead[j]), a));
		}
		assert_true(seq_leq(a, a) && seq_geq(a, a));
		assert_false(seq_lt(a, a) || seq_gt(a, a));
	}
}

/* At 2^31, where RFC 1982 3.2 leaves the order open, a number a stranger picked must not be on
 * both sides of ours at once: nothing is in (a, b] when a is b. */
static void just_half_way_round_is_inside_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < AT; i++) {
		tern_seq a = seq(at[i]), far = seq_add(a, 0x80000000);
		assert_false(seq_lt(a, far) && seq_leq(far, a));
		assert_false(seq_leq(a, far) && seq_lt(far, a));
		assert_false(seq_leq(a, far) && seq_leq(far, a));
	}
}

static void not_less_is_greater_or_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < AT; i++)
		for (size_t j = 0; j < AT; j++) {
			tern_seq a = seq(at[i]), b = seq(at[j]);
			assert_int_equal(seq_leq(a, b), !seq_gt(a, b));
			assert_int_equal(seq_geq(a, b), !seq_lt(a, b));
		}
}

static void a_window_wraps_and_ends_before_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < AT; i++) {
		tern_seq lo = seq(at[i]);
		assert_true(seq_in_window(lo, lo, 1));
		assert_true(seq_in_window(seq_add(lo, 9), lo, 10));
		assert_false(seq_in_window(seq_add(lo, 10), lo, 10));
		assert_false(seq_in_window(seq_sub(lo, 1), lo, 10));
		assert_false(seq_in_window(lo, lo, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_wraps),
		cmocka_unit_test(just_half_way_round_is_inside_nothing),
		cmocka_unit_test(not_less_is_greater_or_equal),
		cmocka_unit_test(a_window_wraps_and_ends_before_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
