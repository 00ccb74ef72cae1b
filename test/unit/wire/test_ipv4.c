#include "packets.h"
#include "wire/addr.h"
#include "wire/ipv4.h"

static enum tern_drop parse(const uint8_t *data, size_t len, struct ipv4_header *h)
{
	struct reader r = reader(data, len);
	return tern_ipv4_parse(&r, tern_csum_portable(), h);
}

/* Makes the header's checksum good again after a test changed a byte. */
static void seal(uint8_t *p, size_t header_len)
{
	store_be16(p + 10, 0);
	store_be16(p + 10, csum_finish(tern_csum_portable()->sum(p, header_len)));
}

/* A packet whose header carries these options (a multiple of four bytes) and no payload. */
static enum tern_drop parse_with_options(const uint8_t *options, size_t len, struct ipv4_header *h)
{
	struct bytes real = bytes_hex(REAL_UDP, ETH);
	size_t header_len = IPV4_HEADER_LEN + len;
	uint8_t packet[IPV4_HEADER_LEN_MAX];
	memcpy(packet, real.data, IPV4_HEADER_LEN);
	memcpy(packet + IPV4_HEADER_LEN, options, len);
	packet[0] = (uint8_t)(0x40 | header_len / 4);
	store_be16(packet + 2, (uint16_t)header_len);
	seal(packet, header_len);
	struct bytes b = bytes_of(packet, header_len);
	enum tern_drop drop = parse(b.data, b.len, h);
	bytes_free(&b);
	bytes_free(&real);
	return drop;
}

static void a_header_survives_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {3};
	for (int i = 0; i < 5000; i++) {
		uint8_t a[8];
		test_rand_fill(&c, a, sizeof a);
		struct ipv4_header in = {.src = load_addr_v4(a),
			.dst = load_addr_v4(a + 4),
			.tos = (uint8_t)test_rand_u32(&c),
			.ttl = (uint8_t)test_rand_u32(&c),
			.protocol = (uint8_t)test_rand_u32(&c),
			.header_len = IPV4_HEADER_LEN,
			.total_len = (uint16_t)(IPV4_HEADER_LEN + test_rand_u32(&c) % 100),
			.id = (uint16_t)test_rand_u32(&c),
			.fragment_offset = (uint16_t)test_rand_u32(&c) & 0xfff8,
			.dont_fragment = test_rand_u32(&c) & 1,
			.more_fragments = test_rand_u32(&c) & 1};
		uint8_t buf[120] = {0};
		struct writer w = {buf};
		tern_ipv4_emit(&w, &in);
		assert_ptr_equal(w.at, buf + IPV4_HEADER_LEN);

		struct ipv4_header out;
		assert_int_equal(parse(buf, in.total_len, &out), TERN_DROP_NONE);
		assert_memory_equal(&in.src, &out.src, sizeof in.src);
		assert_memory_equal(&in.dst, &out.dst, sizeof in.dst);
		assert_int_equal(in.tos, out.tos);
		assert_int_equal(in.ttl, out.ttl);
		assert_int_equal(in.protocol, out.protocol);
		assert_int_equal(in.header_len, out.header_len);
		assert_int_equal(in.total_len, out.total_len);
		assert_int_equal(in.id, out.id);
		assert_int_equal(in.fragment_offset, out.fragment_offset);
		assert_int_equal(in.dont_fragment, out.dont_fragment);
		assert_int_equal(in.more_fragments, out.more_fragments);
		assert_false(out.router_alert);
	}
}

static void headers_of_linux_are_read_and_written_alike(void **state)
{
	(void)state;
	const char *real[] = {REAL_UDP, REAL_UNREACHABLE, REAL_ECHO, REAL_SYN, REAL_DATA};
	for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
		struct bytes b = bytes_hex(real[i], ETH);
		struct ipv4_header h;
		assert_int_equal(parse(b.data, b.len, &h), TERN_DROP_NONE);
		uint8_t buf[IPV4_HEADER_LEN];
		struct writer w = {buf};
		tern_ipv4_emit(&w, &h);
		assert_memory_equal(buf, b.data, sizeof buf);
		bytes_free(&b);
	}
}

static void every_truncated_packet_is_refused(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_DATA, ETH);
	for (size_t len = 0; len < whole.len; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct ipv4_header h;
		assert_int_equal(parse(b.data, len, &h),
			len < IPV4_HEADER_LEN ? TERN_DROP_IP_SHORT : TERN_DROP_IP_TOTAL_LEN);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void any_version_but_4_is_refused(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_DATA, ETH);
	for (unsigned version = 0; version < 16; version++) {
		b.data[0] = (uint8_t)(version << 4 | 5);
		struct ipv4_header h;
		assert_int_equal(parse(b.data, b.len, &h),
			version == 4 ? TERN_DROP_NONE : TERN_DROP_IP_VERSION);
	}
	bytes_free(&b);
}

static void a_header_length_under_20_or_past_the_end_is_refused(void **state)
{
	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		uint8_t p[40] = {0}; /* zeros are "end of options" */
		p[0] = (uint8_t)(0x40 | words);
		store_be16(p + 2, sizeof p);
		seal(p, words * 4 < sizeof p ? words * 4 : sizeof p);
		struct bytes b = bytes_of(p, sizeof p);
		struct ipv4_header h;
		enum tern_drop expected = words < 5    ? TERN_DROP_IP_HEADER_LEN
					  : words > 10 ? TERN_DROP_IP_SHORT
						       : TERN_DROP_NONE;
		assert_int_equal(parse(b.data, b.len, &h), expected);
		bytes_free(&b);
	}
}

static void a_total_length_that_lies_is_refused_or_obeyed(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_DATA, ETH);
	for (unsigned total = 0; total <= 0xffff; total++) {
		store_be16(b.data + 2, (uint16_t)total);
		seal(b.data, IPV4_HEADER_LEN);
		struct reader r = reader(b.data, b.len);
		struct ipv4_header h;
		bool fine = total >= IPV4_HEADER_LEN && total <= b.len;
		assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h),
			fine ? TERN_DROP_NONE : TERN_DROP_IP_TOTAL_LEN);
		if (fine)
			assert_int_equal(reader_left(&r), total - IPV4_HEADER_LEN);
	}
	bytes_free(&b);
}

static void trailing_padding_is_trimmed(void **state)
{
	(void)state;
	struct bytes real = bytes_hex(REAL_UDP, ETH);
	uint8_t padded[46] = {0};
	memcpy(padded, real.data, real.len);
	struct reader r = reader(padded, sizeof padded);
	struct ipv4_header h;
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
	assert_ptr_equal(r.at, padded + IPV4_HEADER_LEN);
	assert_ptr_equal(r.end, padded + real.len);
	bytes_free(&real);
}

static void every_flipped_header_bit_is_caught(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_DATA, ETH);
	for (size_t bit = 0; bit < IPV4_HEADER_LEN * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct ipv4_header h;
		assert_int_not_equal(parse(b.data, b.len, &h), TERN_DROP_NONE);
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes_free(&b);
}

/* MUST-50. */
static void every_option_length_is_judged_by_where_it_ends(void **state)
{
	(void)state;
	for (size_t room = 4; room <= 40; room += 4)
		for (unsigned type = 0; type < 256; type++)
			for (unsigned len = 0; len < 256; len++) {
				uint8_t options[40];
				memset(options, 1, sizeof options);
				options[0] = (uint8_t)type;
				options[1] = (uint8_t)len;
				if (type == 1 && len != 0 && len != 1)
					continue; /* the length would be an option of its own */
				struct ipv4_header h;
				bool fine = type < 2 ||
					    (len >= 2 && len <= room && type != 131 && type != 137);
				assert_int_equal(parse_with_options(options, room, &h),
					fine ? TERN_DROP_NONE : TERN_DROP_IP_OPTIONS);
			}
}

static void an_option_cut_off_after_its_type_is_refused(void **state)
{
	(void)state;
	const uint8_t options[4] = {1, 1, 1, 7};
	struct ipv4_header h;
	assert_int_equal(parse_with_options(options, 4, &h), TERN_DROP_IP_OPTIONS);
}

static void nothing_after_the_end_option_is_looked_at(void **state)
{
	(void)state;
	const uint8_t options[8] = {1, 0, 131, 0, 255, 255, 255, 255};
	struct ipv4_header h;
	assert_int_equal(parse_with_options(options, 8, &h), TERN_DROP_NONE);
	assert_int_equal(h.header_len, 28);
}

static void a_router_alert_is_noticed(void **state)
{
	(void)state;
	const uint8_t alert[4] = {148, 4, 0, 0};
	const uint8_t timestamp[4] = {68, 4, 5, 0};
	struct ipv4_header h;
	assert_int_equal(parse_with_options(alert, 4, &h), TERN_DROP_NONE);
	assert_true(h.router_alert);
	assert_int_equal(parse_with_options(timestamp, 4, &h), TERN_DROP_NONE);
	assert_false(h.router_alert);
}

static void the_pseudo_header_completes_real_tcp_and_udp_checksums(void **state)
{
	(void)state;
	const char *real[] = {REAL_UDP, REAL_SYN, REAL_DATA};
	for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
		struct bytes b = bytes_hex(real[i], ETH);
		struct ipv4_header h;
		struct reader r = reader(b.data, b.len);
		assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
		uint32_t len = (uint32_t)reader_left(&r);
		uint64_t sum = tern_pseudo_sum(&h.src, &h.dst, h.protocol, len);
		sum += tern_csum_portable()->sum(r.at, len);
		assert_int_equal(csum_finish(sum), 0);
		bytes_free(&b);
	}
}

static void the_pseudo_header_of_ipv6_counts_all_sixteen_bytes(void **state)
{
	(void)state;
	/* RFC 8200 8.1, laid out and summed byte by byte. */
	struct test_rand c = {4};
	for (int i = 0; i < 1000; i++) {
		uint8_t p[40] = {0};
		test_rand_fill(&c, p, 36);
		p[36] = p[37] = p[38] = 0;
		p[39] = IPPROTO_TCP_NUM;
		struct tern_addr src, dst;
		memcpy(src.byte, p, 16);
		memcpy(dst.byte, p + 16, 16);
		uint64_t expected = 0;
		for (size_t at = 0; at < sizeof p; at += 2)
			expected += load_be16(p + at);
		assert_int_equal(csum_fold(tern_pseudo_sum(&src, &dst, IPPROTO_TCP_NUM,
					 load_be32(p + 32))),
			csum_fold(expected));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_survives_emit_and_parse),
		cmocka_unit_test(headers_of_linux_are_read_and_written_alike),
		cmocka_unit_test(every_truncated_packet_is_refused),
		cmocka_unit_test(any_version_but_4_is_refused),
		cmocka_unit_test(a_header_length_under_20_or_past_the_end_is_refused),
		cmocka_unit_test(a_total_length_that_lies_is_refused_or_obeyed),
		cmocka_unit_test(trailing_padding_is_trimmed),
		cmocka_unit_test(every_flipped_header_bit_is_caught),
		cmocka_unit_test(every_option_length_is_judged_by_where_it_ends),
		cmocka_unit_test(an_option_cut_off_after_its_type_is_refused),
		cmocka_unit_test(nothing_after_the_end_option_is_looked_at),
		cmocka_unit_test(a_router_alert_is_noticed),
		cmocka_unit_test(the_pseudo_header_completes_real_tcp_and_udp_checksums),
		cmocka_unit_test(the_pseudo_header_of_ipv6_counts_all_sixteen_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
