#include "packets.h"
#include "wire/addr.h"
#include "wire/udp.h"

#define IP_OF_REAL (ETH + IPV4_HEADER_LEN) /* bytes before the UDP header */

/* The sum that goes with the datagram of REAL_UDP when IP brought ip_payload bytes. */
static uint64_t pseudo_of_real(size_t ip_payload)
{
	struct tern_addr src = load_addr_v4((uint8_t[]){10, 77, 0, 1});
	struct tern_addr dst = load_addr_v4((uint8_t[]){10, 77, 0, 2});
	return tern_pseudo_sum(&src, &dst, IPPROTO_UDP_NUM, (uint32_t)ip_payload);
}

static enum tern_drop parse(const uint8_t *data, size_t len, struct reader *r, struct udp_header *h)
{
	uint64_t pseudo = pseudo_of_real(len);
	*r = reader(data, len);
	return tern_udp_parse(r, tern_csum_portable(), &pseudo, h);
}

static void a_datagram_survives_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {6};
	for (int i = 0; i < 5000; i++) {
		uint8_t buf[200];
		size_t data_len = test_rand_u32(&c) % 150;
		test_rand_fill(&c, buf + UDP_HEADER_LEN, data_len);
		struct udp_header in = {(uint16_t)test_rand_u32(&c), (uint16_t)test_rand_u32(&c),
			(uint16_t)(UDP_HEADER_LEN + data_len), true};
		struct writer w = {buf};
		tern_udp_emit(&w, &in, pseudo_of_real(in.len),
			tern_csum_portable()->sum(buf + UDP_HEADER_LEN, data_len));
		assert_ptr_equal(w.at, buf + UDP_HEADER_LEN);

		struct udp_header out;
		struct reader r;
		assert_int_equal(parse(buf, in.len, &r, &out), TERN_DROP_NONE);
		assert_int_equal(in.src_port, out.src_port);
		assert_int_equal(in.dst_port, out.dst_port);
		assert_int_equal(in.len, out.len);
		assert_true(out.has_checksum);
		assert_int_equal(reader_left(&r), data_len);
	}
}

static void a_datagram_of_linux_is_read_and_written_alike(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, IP_OF_REAL);
	struct reader r;
	struct udp_header h;
	assert_int_equal(parse(b.data, b.len, &r, &h), TERN_DROP_NONE);
	assert_int_equal(h.dst_port, 9999);
	assert_memory_equal(r.at, "hello", 5);
	uint8_t buf[UDP_HEADER_LEN];
	struct writer w = {buf};
	tern_udp_emit(&w, &h, pseudo_of_real(b.len),
		tern_csum_portable()->sum(r.at, reader_left(&r)));
	assert_memory_equal(buf, b.data, sizeof buf);
	bytes_free(&b);
}

static void every_truncated_datagram_is_refused(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_UDP, IP_OF_REAL);
	for (size_t len = 0; len < whole.len; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct reader r;
		struct udp_header h;
		assert_int_equal(parse(b.data, len, &r, &h), TERN_DROP_UDP_MALFORMED);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void a_length_that_lies_is_refused_or_obeyed(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, IP_OF_REAL);
	for (unsigned len = 0; len <= 0xffff; len++) {
		store_be16(b.data + 4, (uint16_t)len);
		struct reader r = reader(b.data, b.len);
		struct udp_header h;
		bool fine = len >= UDP_HEADER_LEN && len <= b.len;
		assert_int_equal(tern_udp_parse(&r, tern_csum_portable(), NULL, &h),
			fine ? TERN_DROP_NONE : TERN_DROP_UDP_MALFORMED);
		if (fine)
			assert_int_equal(reader_left(&r), len - UDP_HEADER_LEN);
	}
	bytes_free(&b);
}

static void bytes_behind_the_datagram_count_neither_as_data_nor_in_the_sum(void **state)
{
	(void)state;
	struct bytes real = bytes_hex(REAL_UDP, IP_OF_REAL);
	for (size_t extra = 1; extra < 20; extra++) {
		uint8_t longer[64];
		memset(longer, 0xa5, sizeof longer);
		memcpy(longer, real.data, real.len);
		struct bytes b = bytes_of(longer, real.len + extra);
		struct reader r;
		struct udp_header h;
		assert_int_equal(parse(b.data, b.len, &r, &h), TERN_DROP_NONE);
		assert_int_equal(reader_left(&r), 5);
		bytes_free(&b);
	}
	bytes_free(&real);
}

static void every_flipped_bit_but_in_the_length_is_caught_by_the_sum(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, IP_OF_REAL);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		bool in_length = bit / 8 == 4 || bit / 8 == 5;
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct reader r;
		struct udp_header h;
		enum tern_drop drop = parse(b.data, b.len, &r, &h);
		assert_true(drop == TERN_DROP_UDP_CHECKSUM ||
			    (in_length && drop == TERN_DROP_UDP_MALFORMED));
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes_free(&b);
}

static void a_zero_checksum_means_none_was_sent(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, IP_OF_REAL);
	store_be16(b.data + 6, 0);
	b.data[12] ^= 1;
	struct reader r;
	struct udp_header h;
	assert_int_equal(parse(b.data, b.len, &r, &h), TERN_DROP_NONE);
	assert_false(h.has_checksum);
	bytes_free(&b);
}

static void a_computed_checksum_of_zero_is_sent_as_all_ones(void **state)
{
	(void)state;
	uint8_t buf[UDP_HEADER_LEN + 2] = {0};
	struct udp_header h = {1, 2, sizeof buf, true};
	/* The two data bytes that bring everything before them to 0xffff. */
	uint64_t pseudo = pseudo_of_real(sizeof buf);
	uint16_t balance = csum_finish(pseudo + 1 + 2 + sizeof buf);
	store_be16(buf + UDP_HEADER_LEN, balance);
	struct writer w = {buf};
	tern_udp_emit(&w, &h, pseudo, balance);
	assert_int_equal(load_be16(buf + 6), 0xffff);
	struct reader r;
	assert_int_equal(parse(buf, sizeof buf, &r, &h), TERN_DROP_NONE);
	assert_true(h.has_checksum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_datagram_survives_emit_and_parse),
		cmocka_unit_test(a_datagram_of_linux_is_read_and_written_alike),
		cmocka_unit_test(every_truncated_datagram_is_refused),
		cmocka_unit_test(a_length_that_lies_is_refused_or_obeyed),
		cmocka_unit_test(bytes_behind_the_datagram_count_neither_as_data_nor_in_the_sum),
		cmocka_unit_test(every_flipped_bit_but_in_the_length_is_caught_by_the_sum),
		cmocka_unit_test(a_zero_checksum_means_none_was_sent),
		cmocka_unit_test(a_computed_checksum_of_zero_is_sent_as_all_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
