#include "packets.h"
#include "wire/addr.h"
#include "wire/arp.h"

static void a_packet_survives_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {2};
	for (int i = 0; i < 1000; i++) {
		uint8_t a[8];
		test_rand_fill(&c, a, sizeof a);
		struct arp_packet in = {.op = i % 2 ? ARP_REQUEST : ARP_REPLY,
			.sender = load_addr_v4(a),
			.target = load_addr_v4(a + 4)};
		test_rand_fill(&c, &in.sender_mac, 6);
		test_rand_fill(&c, &in.target_mac, 6);
		uint8_t buf[ARP_LEN];
		struct writer w = {buf};
		tern_arp_emit(&w, &in);
		assert_ptr_equal(w.at, buf + ARP_LEN);

		struct arp_packet out;
		struct reader r = reader(buf, sizeof buf);
		assert_int_equal(tern_arp_parse(&r, &out), TERN_DROP_NONE);
		assert_int_equal(in.op, out.op);
		assert_true(mac_equal(&in.sender_mac, &out.sender_mac));
		assert_true(mac_equal(&in.target_mac, &out.target_mac));
		assert_memory_equal(&in.sender, &out.sender, sizeof in.sender);
		assert_memory_equal(&in.target, &out.target, sizeof in.target);
	}
}

static void a_reply_of_linux_is_read_and_written_alike(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_ARP_REPLY, ETH);
	struct reader r = reader(b.data, b.len);
	struct arp_packet p;
	assert_int_equal(tern_arp_parse(&r, &p), TERN_DROP_NONE);
	assert_int_equal(p.op, ARP_REPLY);
	const uint8_t sender[16] = {[10] = 0xff, 0xff, 10, 77, 0, 2};
	assert_memory_equal(p.sender.byte, sender, 16);
	uint8_t buf[ARP_LEN];
	struct writer w = {buf};
	tern_arp_emit(&w, &p);
	assert_memory_equal(buf, b.data, ARP_LEN);
	bytes_free(&b);
}

static void every_truncated_packet_is_refused(void **state)
{
	(void)state;
	struct bytes whole = bytes_hex(REAL_ARP_REPLY, ETH);
	for (size_t len = 0; len < ARP_LEN; len++) {
		struct bytes b = bytes_of(whole.data, len);
		struct reader r = reader(b.data, b.len);
		struct arp_packet p;
		assert_int_equal(tern_arp_parse(&r, &p), TERN_DROP_ARP_MALFORMED);
		bytes_free(&b);
	}
	bytes_free(&whole);
}

static void only_ethernet_ipv4_and_operations_1_and_2_are_spoken(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_ARP_REPLY, ETH);
	for (size_t at = 0; at < 8; at++) {
		uint8_t good = b.data[at];
		for (unsigned v = 0; v < 256; v++) {
			b.data[at] = (uint8_t)v;
			struct reader r = reader(b.data, b.len);
			struct arp_packet p;
			bool fine = v == good || (at == 7 && v == ARP_REQUEST);
			assert_int_equal(tern_arp_parse(&r, &p),
				fine ? TERN_DROP_NONE : TERN_DROP_ARP_MALFORMED);
		}
		b.data[at] = good;
	}
	bytes_free(&b);
}

static void padding_behind_the_packet_is_ignored(void **state)
{
	(void)state;
	struct bytes real = bytes_hex(REAL_ARP_REPLY, ETH);
	uint8_t padded[46] = {0};
	memcpy(padded, real.data, ARP_LEN);
	struct reader r = reader(padded, sizeof padded);
	struct arp_packet p;
	assert_int_equal(tern_arp_parse(&r, &p), TERN_DROP_NONE);
	bytes_free(&real);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_survives_emit_and_parse),
		cmocka_unit_test(a_reply_of_linux_is_read_and_written_alike),
		cmocka_unit_test(every_truncated_packet_is_refused),
		cmocka_unit_test(only_ethernet_ipv4_and_operations_1_and_2_are_spoken),
		cmocka_unit_test(padding_behind_the_packet_is_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
