/* The options the commands share: what is taken, and what is refused. */
#include "../support.h"
#include <unistd.h>

#include "tools/options.h"

static int take_key(struct options *o, const char *text)
{
	char path[] = "/tmp/tern-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	int rc = tern_options_take(o, OPTION_COOKIE_KEY, path);
	unlink(path);
	return rc;
}

static void a_cookie_key_is_32_hexadecimal_digits(void **state)
{
	(void)state;
	static const uint8_t key[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
		0xaa, 0xbb, 0xcc, 0xdd, 0xEE, 0xff};
	struct options o;
	tern_options_init(&o, "test");
	assert_int_equal(take_key(&o, "00112233445566778899aabbccddEEff\n"), 1);
	assert_true(o.cookie_shared);
	assert_memory_equal(o.cookie_key, key, sizeof key);
	assert_int_equal(take_key(&o, "  00112233445566778899aabbccddeeff"), 1);
}

static void anything_else_is_no_cookie_key(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "\n", "00112233445566778899aabbccddeef",
		"00112233445566778899aabbccddeeff0", "00112233445566778899aabbccddeeff more",
		"0x112233445566778899aabbccddeeff", "a key, but not in hexadecimal digits",
		"00112233445566778899aabbccddeeff                                                  "
		"  "
		"                                  "};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct options o;
		tern_options_init(&o, "test");
		assert_int_equal(take_key(&o, bad[i]), -1);
		assert_false(o.cookie_shared);
	}
	struct options o;
	tern_options_init(&o, "test");
	assert_int_equal(tern_options_take(&o, OPTION_COOKIE_KEY, "/nonexistent"), -1);
	assert_int_equal(tern_options_take(&o, OPTION_COOKIE_KEY, "/"), -1);
}

static void a_recorder_has_a_size_or_is_none(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"65536", 65536}, {"64K", 65536}, {"4M", 4 << 20}, {"1G", 1 << 30}};
	static const char *const bad[] = {"", "K", "-1", "+1M", "1", "65535", "63K", "2G",
		"1048577K", "4m", "4MM", "4 M", "0x100000", "18446744073709551616",
		"18014398509481984K"};
	struct options o;
	tern_options_init(&o, "test");
	assert_int_equal(o.recorder_bytes, 4 << 20);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(tern_options_take(&o, OPTION_RECORDER, good[i].text), 1);
		assert_int_equal(o.recorder_bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(tern_options_take(&o, OPTION_RECORDER, bad[i]), -1);
}

/* Before anything is opened, so that every command can answer EXIT_USAGE. */
static void what_cannot_be_is_told_at_once(void **state)
{
	(void)state;
	static const struct {
		int option;
		const char *good, *bad[4];
	} told[] = {
		{OPTION_ADDR, "10.0.0.1/24",
			{"10.0.0.1/x", "10.0.0.1", "10.0.0/24", "10.0.0.1/33"}},
		{OPTION_KERNEL_ADDR, "10.0.0.1/8", {"10.0.0.1/", "x", "", "/8"}},
		{OPTION_GATEWAY, "10.0.0.1", {"10.0.0.1/24", "nowhere", "", "10.0.0.256"}},
		{OPTION_SET, "tcp_sack=0", {"nosuch=1", "tcp_sack=2", "tcp_sack=x", "tcp_sack"}},
		{OPTION_NAME, "web-1.a_b", {"", ".web", "a/b", "a b"}},
	};
	for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
		struct options o;
		tern_options_init(&o, "test");
		assert_int_equal(tern_options_take(&o, told[i].option, told[i].good), 1);
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(tern_options_take(&o, told[i].option, told[i].bad[k]), -1);
	}
}

static void a_capture_of_the_dead_needs_a_recorder(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		struct options o;
		tern_options_init(&o, "test");
		assert_int_equal(first ? tern_options_take(&o, OPTION_RECORD, "dir")
				       : tern_options_take(&o, OPTION_RECORDER, "0"),
			1);
		assert_int_equal(first ? tern_options_take(&o, OPTION_RECORDER, "0")
				       : tern_options_take(&o, OPTION_RECORD, "dir"),
			-1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_key_is_32_hexadecimal_digits),
		cmocka_unit_test(anything_else_is_no_cookie_key),
		cmocka_unit_test(a_recorder_has_a_size_or_is_none),
		cmocka_unit_test(what_cannot_be_is_told_at_once),
		cmocka_unit_test(a_capture_of_the_dead_needs_a_recorder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
