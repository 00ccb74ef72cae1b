#include "test/unit/support.h"

#include <tern/setting.h>
#include <tern/stack.h>

/* What is said of a pair that is refused. */
static const char *why(const char *pair)
{
	static char text[TERN_SETTING_WHY];
	int err = tern_set_pair(NULL, pair);
	if (err == 0)
		fail_msg("%s is taken", pair);
	tern_setting_why(pair, err, text, sizeof text);
	return text;
}

static void a_value_out_of_range_is_told_the_range(void **state)
{
	(void)state;
	assert_string_equal(why("tcp_fin_timeout=999"), "value out of range: 1 to 120");
	assert_string_equal(why("net.ipv4.tcp_ecn=9"), "value out of range: 0 to 2");
	assert_string_equal(why("tcp_ecn=x"), "not a number from 0 to 2");
	assert_string_equal(why("tcp_ecn="), "not a number from 0 to 2");
	assert_string_equal(why("tcp_ecn"), "wants NAME=VALUE");
}

static void an_unknown_congestion_control_is_told_which_there_are(void **state)
{
	(void)state;
	assert_string_equal(why("tcp_congestion_control=bbr"), "there are cubic and reno");
	assert_string_equal(why("tcp_congestion_control=2"), "there are cubic and reno");
}

static void an_unknown_name_is_told_where_the_names_are(void **state)
{
	(void)state;
	assert_string_equal(why("nonsense=1"), "no such setting (`tern settings` lists all)");
	assert_string_equal(why("=1"), "no such setting (`tern settings` lists all)");
	char many[300];
	memset(many, 'x', sizeof many);
	memcpy(many + sizeof many - 3, "=1", 3);
	assert_string_equal(why(many), "no such setting (`tern settings` lists all)");
}

static void a_name_near_the_one_given_is_suggested(void **state)
{
	(void)state;
	assert_string_equal(why("tcp_fin_timout=9"),
		"no such setting; there is tcp_fin_timeout (`tern settings` lists all)");
	assert_string_equal(why("net.ipv4.tcp_enc=1"),
		"no such setting; there is tcp_ecn (`tern settings` lists all)");
}

static void settings_that_linux_has_as_one_are_named(void **state)
{
	(void)state;
	assert_string_equal(why("tcp_rmem=4096 131072 6291456"),
		"no such setting; there are tcp_rmem_default and tcp_rmem_max (`tern settings` "
		"lists all)");
	assert_string_equal(why("net.ipv4.ip_local_port_range=1 2"),
		"no such setting; there are ip_local_port_min and ip_local_port_max (`tern "
		"settings` lists all)");
}

static void linux_s_prefixes_may_stand_before_a_name(void **state)
{
	(void)state;
	assert_int_equal(tern_set_pair(NULL, "net.ipv4.tcp_ecn=1"), 0);
	assert_int_equal(tern_set_pair(NULL, "net.ipv4.tcp_congestion_control=reno"), 0);
	assert_int_equal(tern_set_pair(NULL, "net.core.somaxconn=128"), 0);
	assert_int_equal(tern_set_pair(NULL, "net.ipv4.=1"), TERN_ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_out_of_range_is_told_the_range),
		cmocka_unit_test(an_unknown_congestion_control_is_told_which_there_are),
		cmocka_unit_test(an_unknown_name_is_told_where_the_names_are),
		cmocka_unit_test(a_name_near_the_one_given_is_suggested),
		cmocka_unit_test(settings_that_linux_has_as_one_are_named),
		cmocka_unit_test(linux_s_prefixes_may_stand_before_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
