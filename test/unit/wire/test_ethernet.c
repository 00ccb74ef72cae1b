#include "packets.h"
#include "wire/ethernet.h"

static void a_header_survives_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {1};
	for (int i = 0; i < 1000; i++) {
		struct eth_header in, out;
		test_rand_fill(&c, &in.dst, 6);
		test_rand_fill(&c, &in.src, 6);
		in.type = (uint16_t)test_rand_u32(&c);
		uint8_t buf[ETH_HEADER_LEN];
		struct writer w = {buf};
		tern_eth_emit(&w, &in);
		assert_ptr_equal(w.at, buf + ETH_HEADER_LEN);
		struct reader r = reader(buf, sizeof buf);
		assert_int_equal(tern_eth_parse(&r, &out), TERN_DROP_NONE);
		assert_true(mac_equal(&in.dst, &out.dst));
		assert_true(mac_equal(&in.src, &out.src));
		assert_int_equal(in.type, out.type);
	}
}

static void parsing_leaves_the_reader_at_the_payload(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, 0);
	struct reader r = reader(b.data, b.len);
	struct eth_header h;
	assert_int_equal(tern_eth_parse(&r, &h), TERN_DROP_NONE);
	assert_int_equal(h.type, ETHERTYPE_IPV4);
	assert_int_equal(h.dst.byte[0], 0xe2);
	assert_int_equal(h.src.byte[5], 0x80);
	assert_ptr_equal(r.at, b.data + ETH_HEADER_LEN);
	assert_int_equal(reader_left(&r), b.len - ETH_HEADER_LEN);
	bytes_free(&b);
}

static void every_frame_shorter_than_a_header_is_refused(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_UDP, 0);
	for (size_t len = 0; len < ETH_HEADER_LEN; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct reader r = reader(b.data, b.len);
		struct eth_header h;
		assert_int_equal(tern_eth_parse(&r, &h), TERN_DROP_ETH_SHORT);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void broadcast_is_a_group_and_a_station_is_neither(void **state)
{
	(void)state;
	struct mac all = {{255, 255, 255, 255, 255, 255}};
	struct mac group = {{0x01, 0, 0x5e, 0, 0, 1}};
	struct mac station = {{0x02, 0, 0, 0, 0, 1}};
	assert_true(mac_is_broadcast(&all) && mac_is_group(&all));
	assert_true(mac_is_group(&group) && !mac_is_broadcast(&group));
	assert_false(mac_is_group(&station) || mac_is_broadcast(&station));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_survives_emit_and_parse),
		cmocka_unit_test(parsing_leaves_the_reader_at_the_payload),
		cmocka_unit_test(every_frame_shorter_than_a_header_is_refused),
		cmocka_unit_test(broadcast_is_a_group_and_a_station_is_neither),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
