#include "packets.h"
#include "wire/icmpv4.h"

#define IP_OF_REAL (ETH + IPV4_HEADER_LEN) /* bytes before the ICMP header */

static enum tern_drop parse(const struct bytes *b, struct icmpv4_message *m)
{
	struct reader r = reader(b->data, b->len);
	return tern_icmpv4_parse(&r, tern_csum_portable(), m);
}

static void check_round_trip(const struct icmpv4_message *in)
{
	struct bytes b = bytes_of((uint8_t[200]){0}, ICMP_HEADER_LEN + in->body_len);
	struct writer w = {b.data};
	tern_icmpv4_emit(&w, tern_csum_portable(), in);
	assert_ptr_equal(w.at, b.data + b.len);

	struct icmpv4_message out;
	assert_int_equal(parse(&b, &out), TERN_DROP_NONE);
	assert_int_equal(in->type, out.type);
	assert_int_equal(in->code, out.code);
	assert_int_equal(in->id, out.id);
	assert_int_equal(in->sequence, out.sequence);
	assert_int_equal(in->mtu, out.mtu);
	assert_int_equal(in->body_len, out.body_len);
	assert_memory_equal(in->body, out.body, in->body_len);
	bytes_free(&b);
}

static void echoes_and_errors_survive_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {5};
	uint8_t body[150];
	for (int i = 0; i < 3000; i++) {
		test_rand_fill(&c, body, sizeof body);
		struct icmpv4_message m = {.body = body,
			.body_len = test_rand_u32(&c) % sizeof body};
		switch (i % 3) {
		case 0:
			m.type = i % 2 ? ICMP_ECHO_REQUEST : ICMP_ECHO_REPLY;
			m.id = (uint16_t)test_rand_u32(&c);
			m.sequence = (uint16_t)test_rand_u32(&c);
			break;
		case 1:
			m.type = ICMP_UNREACHABLE;
			m.code = ICMP_CODE_FRAG_NEEDED;
			m.mtu = (uint16_t)test_rand_u32(&c);
			break;
		case 2:
			m.type = ICMP_TIME_EXCEEDED;
			m.code = ICMP_CODE_REASSEMBLY;
			break;
		}
		check_round_trip(&m);
	}
}

static void messages_of_linux_are_read_and_written_alike(void **state)
{
	(void)state;
	const char *real[] = {REAL_ECHO, REAL_UNREACHABLE};
	for (size_t i = 0; i < 2; i++) {
		struct bytes b = bytes_hex(real[i], IP_OF_REAL);
		struct icmpv4_message m;
		assert_int_equal(parse(&b, &m), TERN_DROP_NONE);
		uint8_t buf[100];
		struct writer w = {buf};
		tern_icmpv4_emit(&w, tern_csum_portable(), &m);
		assert_int_equal(w.at - buf, b.len);
		assert_memory_equal(buf, b.data, b.len);
		bytes_free(&b);
	}
}

static void an_echo_request_of_linux_shows_its_number(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_ECHO, IP_OF_REAL);
	struct icmpv4_message m;
	assert_int_equal(parse(&b, &m), TERN_DROP_NONE);
	assert_int_equal(m.type, ICMP_ECHO_REQUEST);
	assert_int_equal(m.id, 0x21fc);
	assert_int_equal(m.sequence, 1);
	assert_int_equal(m.body_len, 16);
	bytes_free(&b);
}

static void every_truncated_message_is_refused(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_UNREACHABLE, IP_OF_REAL);
	for (size_t len = 0; len < whole.len; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct icmpv4_message m;
		enum tern_drop drop = parse(&b, &m);
		assert_int_equal(drop,
			len < ICMP_HEADER_LEN ? TERN_DROP_ICMP_MALFORMED : TERN_DROP_ICMP_CHECKSUM);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void every_flipped_bit_is_caught(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_ECHO, IP_OF_REAL);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct icmpv4_message m;
		assert_int_equal(parse(&b, &m), TERN_DROP_ICMP_CHECKSUM);
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes_free(&b);
}

static void the_quoted_packet_leads_to_its_ports(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UNREACHABLE, IP_OF_REAL);
	struct icmpv4_message m;
	assert_int_equal(parse(&b, &m), TERN_DROP_NONE);
	struct ipv4_header h;
	struct reader transport;
	assert_int_equal(tern_icmpv4_quoted(&m, &h, &transport), TERN_DROP_NONE);
	assert_int_equal(h.protocol, IPPROTO_UDP_NUM);
	assert_int_equal(h.total_len, 33);
	assert_int_equal(reader_left(&transport), 13);
	assert_int_equal(reader_u16(&transport), 0xbaba);
	assert_int_equal(reader_u16(&transport), 9999);
	bytes_free(&b);
}

static void a_quotation_cut_within_its_ip_header_is_refused_and_later_is_not(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_UDP, ETH);
	for (size_t len = 0; len <= whole.len; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct icmpv4_message m = {.type = ICMP_UNREACHABLE,
			.body = b.data,
			.body_len = (uint32_t)len};
		struct ipv4_header h;
		struct reader transport;
		bool fine = len >= IPV4_HEADER_LEN;
		assert_int_equal(tern_icmpv4_quoted(&m, &h, &transport),
			fine ? TERN_DROP_NONE : TERN_DROP_ICMP_MALFORMED);
		if (fine)
			assert_int_equal(reader_left(&transport), len - IPV4_HEADER_LEN);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void every_first_byte_and_total_length_of_a_quotation_stays_within_it(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_UDP, ETH);
	struct icmpv4_message m = {.type = ICMP_UNREACHABLE,
		.body = b.data,
		.body_len = (uint32_t)b.len};
	for (unsigned first = 0; first < 256; first++)
		for (unsigned total = 0; total < 100; total++) {
			b.data[0] = (uint8_t)first;
			store_be16(b.data + 2, (uint16_t)total);
			unsigned header_len = first % 16 * 4;
			bool fine = first / 16 == 4 && header_len >= 20 && header_len <= b.len &&
				    total >= header_len;
			struct ipv4_header h;
			struct reader t;
			assert_int_equal(tern_icmpv4_quoted(&m, &h, &t),
				fine ? TERN_DROP_NONE : TERN_DROP_ICMP_MALFORMED);
			if (!fine)
				continue;
			size_t end = total < b.len ? total : b.len;
			assert_ptr_equal(t.at, b.data + header_len);
			assert_ptr_equal(t.end, b.data + end);
		}
	bytes_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_and_errors_survive_emit_and_parse),
		cmocka_unit_test(messages_of_linux_are_read_and_written_alike),
		cmocka_unit_test(an_echo_request_of_linux_shows_its_number),
		cmocka_unit_test(every_truncated_message_is_refused),
		cmocka_unit_test(every_flipped_bit_is_caught),
		cmocka_unit_test(the_quoted_packet_leads_to_its_ports),
		cmocka_unit_test(a_quotation_cut_within_its_ip_header_is_refused_and_later_is_not),
		cmocka_unit_test(every_first_byte_and_total_length_of_a_quotation_stays_within_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
