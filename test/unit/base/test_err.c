#include "test/unit/support.h"

#include <tern/types.h>

static const int every_error[] = {
#define TERN_ERROR(name, value, text) name,
#include <tern/errors.def>
#undef TERN_ERROR
};

#define ERRORS (sizeof every_error / sizeof *every_error)

static void every_error_has_a_name_and_a_text_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < ERRORS; i++) {
		assert_true(every_error[i] < 0);
		assert_int_equal(strncmp(tern_err_name(every_error[i]), "TERN_E", 6), 0);
		assert_true(strlen(tern_err_text(every_error[i])) > 0);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(every_error[i], every_error[j]);
			assert_string_not_equal(tern_err_name(every_error[i]),
				tern_err_name(every_error[j]));
			assert_string_not_equal(tern_err_text(every_error[i]),
				tern_err_text(every_error[j]));
		}
	}
	assert_string_equal(tern_err_name(TERN_ECONNRESET), "TERN_ECONNRESET");
	assert_string_equal(tern_err_text(TERN_ECONNRESET), "connection reset by peer");
}

static void values_are_stable(void **state)
{
	(void)state;
	assert_int_equal(TERN_EINVAL, -1);
	assert_int_equal(TERN_ENOMEM, -3);
	assert_int_equal(TERN_ECONNRESET, -10);
	assert_int_equal(TERN_EPROTO, -23);
}

static void a_number_that_is_no_error_gets_an_answer_too(void **state)
{
	(void)state;
	static const int none[] = {1, 10, -1000, INT32_MAX, INT32_MIN};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		assert_string_equal(tern_err_name(none[i]), "TERN_E?");
		assert_non_null(tern_err_text(none[i]));
	}
	assert_non_null(tern_err_text(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_a_name_and_a_text_of_its_own),
		cmocka_unit_test(values_are_stable),
		cmocka_unit_test(a_number_that_is_no_error_gets_an_answer_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
