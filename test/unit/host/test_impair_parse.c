#include "test/unit/support.h"

#include <tern/impair.h>

static struct tern_impair_spec parsed(const char *text)
{
	struct tern_impair_spec spec;
	char err[160] = "";
	if (tern_impair_parse(text, &spec, err, sizeof err) != 0)
		fail_msg("%s: %s", text, err);
	return spec;
}

static void the_empty_text_impairs_nothing(void **state)
{
	(void)state;
	struct tern_impair_spec spec = parsed(""), zero = {0};
	assert_memory_equal(&spec, &zero, sizeof spec);
}

static void every_key_reaches_its_field(void **state)
{
	(void)state;
	struct tern_impair_spec s = parsed(
		"loss=1%,burst=2%/30%/90%,delay=20ms,jitter=500us,reorder=25%/3ms,duplicate=0.125,"
		"corrupt=0.5,rate=100mbit,queue=50,after=7,ecn=20");
	assert_true(s.loss == 0.01);
	assert_true(s.burst_enter == 0.02 && s.burst_leave == 0.3 && s.burst_loss == 0.9);
	assert_int_equal(s.delay, 20000000);
	assert_int_equal(s.jitter, 500000);
	assert_true(s.reorder == 0.25);
	assert_int_equal(s.reorder_gap, 3000000);
	assert_true(s.duplicate == 0.125 && s.corrupt == 0.5);
	assert_int_equal(s.rate, 100000000);
	assert_int_equal(s.queue, 50);
	assert_int_equal(s.after, 7);
	assert_int_equal(s.mark_above, 20);
	assert_true(parsed("ecn=25%").mark == 0.25);
	assert_true(parsed("ecn=0.5").mark == 0.5);
}

static void defaults_are_as_the_help_says(void **state)
{
	(void)state;
	assert_true(parsed("burst=1%/30%").burst_loss == 1);
	assert_true(parsed("reorder").reorder == 0.05);
	assert_int_equal(parsed("reorder").reorder_gap, 1000000);
	assert_int_equal(parsed("reorder,delay=20ms").reorder_gap, 0);
}

static void units_scale(void **state)
{
	(void)state;
	assert_int_equal(parsed("delay=1s").delay, 1000000000);
	assert_int_equal(parsed("delay=1.5ms").delay, 1500000);
	assert_int_equal(parsed("delay=7ns").delay, 7);
	assert_int_equal(parsed("rate=1gbit").rate, 1000000000);
	assert_int_equal(parsed("rate=64kbit").rate, 64000);
	assert_int_equal(parsed("rate=9600bit").rate, 9600);
}

static void nonsense_is_refused_with_a_sentence_and_changes_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = {"loss", "loss=", "loss=2", "loss=101%", "loss=-1%",
		"loss=1%%", "loss=nan", "loss=inf", "loss=0x1", "loss=1e-3x", "losss=1%",
		"loss=1%,", ",", "loss=1%,,delay=1ms", "delay=20", "delay=20 ms", "delay=ms",
		"delay=-1ms", "delay=1001s", "jitter=1ms", "delay=1ms,jitter=2ms", "burst=1%",
		"burst=1%/2%/3%/4%", "reorder=", "reorder=5%/", "rate=0mbit", "rate=10",
		"rate=10Mbit/s", "queue=10", "rate=1mbit,queue=0", "rate=1mbit,queue=1000001",
		"rate=1mbit,queue=1.5", "after=-1", "ecn", "ecn=5", "rate=1mbit,ecn=0", "ecn=101%",
		"rate=1mbit,ecn=-1", "after=x", "loss=1%,loss=2%", " loss=1%", "loss =1%"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct tern_impair_spec spec, before;
		char err[160] = "";
		memset(&spec, 0x5a, sizeof spec);
		before = spec;
		if (tern_impair_parse(bad[i], &spec, err, sizeof err) != TERN_EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_true(strlen(err) > 5);
		assert_memory_equal(&spec, &before, sizeof spec);
	}
}

static void an_overlong_text_is_refused(void **state)
{
	(void)state;
	char text[2000], err[64];
	struct tern_impair_spec spec;
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	assert_int_equal(tern_impair_parse(text, &spec, err, sizeof err), TERN_EINVAL);
}

static void a_sentence_that_does_not_fit_is_cut(void **state)
{
	(void)state;
	char err[8];
	struct tern_impair_spec spec;
	memset(err, 'x', sizeof err);
	assert_int_equal(tern_impair_parse("nothing=1", &spec, err, sizeof err), TERN_EINVAL);
	assert_int_equal(strlen(err), sizeof err - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_empty_text_impairs_nothing),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(defaults_are_as_the_help_says),
		cmocka_unit_test(units_scale),
		cmocka_unit_test(nonsense_is_refused_with_a_sentence_and_changes_nothing),
		cmocka_unit_test(an_overlong_text_is_refused),
		cmocka_unit_test(a_sentence_that_does_not_fit_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
