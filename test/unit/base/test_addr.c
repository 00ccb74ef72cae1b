#include "test/unit/support.h"

#include <arpa/inet.h>

#include <tern/types.h>

struct written {
	const char *text, *canonical;
};

static void assert_refused(const char *text)
{
	struct tern_addr addr, before;
	memset(&addr, 0x5a, sizeof addr);
	before = addr;
	if (tern_addr_parse(text, &addr) != TERN_EINVAL)
		fail_msg("\"%s\" was taken for an address", text);
	assert_memory_equal(&addr, &before, sizeof addr);
}

static void ipv4_addresses_are_held_mapped(void **state)
{
	(void)state;
	const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 77, 0, 1};
	struct tern_addr addr = tern_addr_v4(10, 77, 0, 1), parsed;
	assert_memory_equal(addr.byte, mapped, 16);
	assert_int_equal(tern_addr_parse("10.77.0.1", &parsed), 0);
	assert_true(tern_addr_equal(&addr, &parsed));
	assert_true(tern_addr_is_v4(&addr));
	assert_false(tern_addr_is_unspecified(&addr));
	assert_int_equal(tern_addr_parse("::ffff:10.77.0.1", &parsed), 0);
	assert_true(tern_addr_equal(&addr, &parsed));
	assert_int_equal(tern_addr_parse("::ffff:a4d:1", &parsed), 0);
	assert_true(tern_addr_equal(&addr, &parsed));
	assert_int_equal(tern_addr_parse("::1", &parsed), 0);
	assert_false(tern_addr_is_v4(&parsed));
	assert_false(tern_addr_equal(&addr, &parsed));
}

static void the_unspecified_address_is_known_in_both_families(void **state)
{
	(void)state;
	struct tern_addr none = {{0}}, v4 = tern_addr_v4(0, 0, 0, 0), v6;
	assert_true(tern_addr_is_unspecified(&none));
	assert_true(tern_addr_is_unspecified(&v4));
	assert_true(tern_addr_is_v4(&v4));
	assert_false(tern_addr_is_v4(&none));
	assert_int_equal(tern_addr_parse("::", &v6), 0);
	assert_true(tern_addr_equal(&none, &v6));
	assert_int_equal(tern_addr_parse("0.0.0.1", &v4), 0);
	assert_false(tern_addr_is_unspecified(&v4));
}

static void addresses_are_written_as_rfc_5952_has_them(void **state)
{
	(void)state;
	static const struct written cases[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"192.0.2.100", "192.0.2.100"},
		{"::", "::"},
		{"0:0:0:0:0:0:0:0", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"},
		{"2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF",
			"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"1:0:0:4:5:6:0:0", "1::4:5:6:0:0"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
		{"::1.2.3.4", "::102:304"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tern_addr addr;
		char text[TERN_ADDR_TEXT];
		assert_int_equal(tern_addr_parse(cases[i].text, &addr), 0);
		assert_ptr_equal(tern_addr_format(&addr, text), text);
		assert_string_equal(text, cases[i].canonical);
	}
}

static void text_that_is_no_address_is_refused_and_nothing_written(void **state)
{
	(void)state;
	static const char *const cases[] = {"", " ", ".", ":", ":::", "1", "1.2.3", "1.2.3.",
		"1.2.3.4.", "1.2.3.4.5", "1.2.3.256", "1.2.3.1000", "1.2.3.99999999999", "01.2.3.4",
		"1.2.3.00", "1..2.3", ".1.2.3.4", "-1.2.3.4", "+1.2.3.4", "1.2.3.4 ", " 1.2.3.4",
		"0x1.2.3.4", "1.2.3.a", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", ":1", "1:", "1::2::3",
		"::1::", "12345::", "::12345", "::g", "g::", "1:2:3:4:5:6:7::8",
		"::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7:1.2.3.4",
		"1.2.3.4::", "1.2.3.4:5::", "::1.2.3.4:5", "::1.2.3", "::1.2.3.256", "::1.2.3.4.5",
		"1:2:3:4:5:1.2.3.4", "fe80::1%eth0", "[::1]", "::1 ", "::1/64", "1.2.3.4/8",
		"1.2.3.4:80", ":::1", "1:::2", "::-1", "::+1", "::0x1"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_refused(cases[i]);
}

static void random_addresses_survive_and_look_as_the_c_library_writes_them(void **state)
{
	(void)state;
	struct test_rand r = {5};
	for (int i = 0; i < 50000; i++) {
		struct tern_addr addr, parsed;
		char text[TERN_ADDR_TEXT], expected[INET6_ADDRSTRLEN];
		test_rand_fill(&r, addr.byte, 16);
		for (int group = 0; group < 8; group++) {
			if (test_rand_below(&r, 2))
				addr.byte[2 * group] = 0;
			if (test_rand_below(&r, 3))
				addr.byte[2 * group] = addr.byte[2 * group + 1] = 0;
		}
		if (test_rand_one_in(&r, 4))
			addr = tern_addr_v4((uint8_t)test_rand_u32(&r), 0,
				(uint8_t)test_rand_below(&r, 12), (uint8_t)test_rand_u32(&r));
		tern_addr_format(&addr, text);
		assert_int_equal(tern_addr_parse(text, &parsed), 0);
		assert_memory_equal(&addr, &parsed, sizeof addr);
		if (tern_addr_is_v4(&addr))
			inet_ntop(AF_INET, addr.byte + 12, expected, sizeof expected);
		else
			inet_ntop(AF_INET6, addr.byte, expected, sizeof expected);
		/* The library writes ::a.b.c.d, which RFC 4291 2.5.5.1 has deprecated. */
		if (tern_addr_is_v4(&addr) || !strchr(expected, '.'))
			assert_string_equal(text, expected);
	}
}

static void garbled_text_is_taken_or_refused_as_by_the_c_library(void **state)
{
	(void)state;
	static const char alphabet[] = "0123456789abfFgx:.:.::/ ";
	static const char *const seeds[] = {"10.77.0.1", "fd00::1", "1:2:3:4:5:6:7:8",
		"::ffff:1.2.3.4", "2001:db8::8:800:200c:417a", "1::2:3"};
	struct test_rand r = {6};
	int taken = 0, refused = 0;
	for (int i = 0; i < 200000; i++) {
		char text[64];
		strcpy(text, seeds[test_rand_below(&r, 6)]);
		for (uint32_t n = 1 + test_rand_below(&r, 3); n > 0; n--) {
			const size_t len = strlen(text),
				     at = test_rand_below(&r, (uint32_t)len + 1);
			const char c = alphabet[test_rand_below(&r, sizeof alphabet - 1)];
			if (test_rand_below(&r, 2)) {
				memmove(text + at + 1, text + at, len - at + 1);
				text[at] = c;
			} else if (at < len) {
				memmove(text + at, text + at + 1, len - at);
			}
		}
		struct tern_addr addr, expected = tern_addr_v4(0, 0, 0, 0);
		const bool valid = inet_pton(AF_INET, text, expected.byte + 12) == 1 ||
				   inet_pton(AF_INET6, text, expected.byte) == 1;
		const int result = tern_addr_parse(text, &addr);
		if ((result == 0) != valid)
			fail_msg("\"%s\": %d", text, result);
		if (valid)
			assert_memory_equal(&addr, &expected, sizeof addr);
		*(valid ? &taken : &refused) += 1;
	}
	assert_true(taken > 1000 && refused > 1000);
}

static void endpoints_are_written_and_read(void **state)
{
	(void)state;
	static const char *const cases[] = {"10.77.0.1:80", "0.0.0.0:0", "255.255.255.255:65535",
		"[fd00::1]:80", "[::]:0", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tern_endpoint ep;
		char text[TERN_ENDPOINT_TEXT];
		assert_int_equal(tern_endpoint_parse(cases[i], &ep), 0);
		assert_ptr_equal(tern_endpoint_format(&ep, text), text);
		assert_string_equal(text, cases[i]);
	}
	struct tern_endpoint ep;
	assert_int_equal(tern_endpoint_parse("10.77.0.1:8080", &ep), 0);
	assert_int_equal(ep.port, 8080);
	assert_int_equal(ep.addr.byte[12], 10);
}

static void text_that_is_no_endpoint_is_refused_and_nothing_written(void **state)
{
	(void)state;
	static const char *const cases[] = {"", ":", ":80", "10.77.0.1",
		"10.77.0.1:", "10.77.0.1:65536", "10.77.0.1:4294967376", "10.77.0.1:080",
		"10.77.0.1:-1", "10.77.0.1:8 ", "10.77.0.1:8x", "fd00::1", "fd00::1:80",
		"[fd00::1]", "[fd00::1]:", "[fd00::1:80", "fd00::1]:80", "[10.77.0.1]:80", "[]:80",
		"[[::1]]:80", "[::1]80"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tern_endpoint ep, before;
		memset(&ep, 0x5a, sizeof ep);
		memcpy(&before, &ep, sizeof ep);
		if (tern_endpoint_parse(cases[i], &ep) != TERN_EINVAL)
			fail_msg("\"%s\" was taken for an endpoint", cases[i]);
		assert_memory_equal(&ep, &before, sizeof ep);
	}
}

static void prefixes_are_read_within_the_familys_width(void **state)
{
	(void)state;
	struct tern_addr addr, expected = tern_addr_v4(10, 77, 0, 2);
	unsigned len;
	assert_int_equal(tern_cidr_parse("10.77.0.2/24", &addr, &len), 0);
	assert_true(tern_addr_equal(&addr, &expected));
	assert_int_equal(len, 24);
	assert_int_equal(tern_cidr_parse("0.0.0.0/0", &addr, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(tern_cidr_parse("10.77.0.2/32", &addr, &len), 0);
	assert_int_equal(len, 32);
	assert_int_equal(tern_cidr_parse("fd00::/128", &addr, &len), 0);
	assert_int_equal(len, 128);
	static const char *const cases[] = {"10.77.0.2", "10.77.0.2/", "10.77.0.2/33", "/24",
		"10.77.0.2/024", "10.77.0.2/24 ", "10.77.0.2/-1", "10.77.0/24", "fd00::/129",
		"fd00::", "10.77.0.2/4294967296"};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		addr = expected;
		len = 77;
		if (tern_cidr_parse(cases[i], &addr, &len) != TERN_EINVAL)
			fail_msg("\"%s\" was taken for a prefix", cases[i]);
		assert_true(tern_addr_equal(&addr, &expected));
		assert_int_equal(len, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_addresses_are_held_mapped),
		cmocka_unit_test(the_unspecified_address_is_known_in_both_families),
		cmocka_unit_test(addresses_are_written_as_rfc_5952_has_them),
		cmocka_unit_test(text_that_is_no_address_is_refused_and_nothing_written),
		cmocka_unit_test(random_addresses_survive_and_look_as_the_c_library_writes_them),
		cmocka_unit_test(garbled_text_is_taken_or_refused_as_by_the_c_library),
		cmocka_unit_test(endpoints_are_written_and_read),
		cmocka_unit_test(text_that_is_no_endpoint_is_refused_and_nothing_written),
		cmocka_unit_test(prefixes_are_read_within_the_familys_width),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
