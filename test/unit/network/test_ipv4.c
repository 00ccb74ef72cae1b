#include "test/unit/network/fixture.h"

#define TEST_PROTOCOL 200

static enum tern_drop arrives(struct net *net, int nif, uint32_t src, uint32_t dst, bool group)
{
	uint64_t before[TERN_DROPS];
	unsigned delivered = net->delivered;
	memcpy(before, net->core.drop, sizeof before);
	net_in_on(net, nif,
		&(struct net_packet){.src = src,
			.dst = dst,
			.protocol = TEST_PROTOCOL,
			.group = group,
			.data = "hello",
			.len = 5});
	for (unsigned why = 1; why < TERN_DROPS; why++)
		if (net->core.drop[why] != before[why]) {
			assert_int_equal(net->delivered, delivered);
			return (enum tern_drop)why;
		}
	assert_int_equal(net->delivered, delivered + 1);
	return TERN_DROP_NONE;
}

struct class
{
	uint32_t addr;
	bool source_ok, dst_ok; /* from outside */
	bool lo_source_ok, lo_dst_ok;
	bool group;
};

/* Every class of address, as a source and as a destination, from outside and on the loopback. */
static const struct class classes[] = {
	{0x00000000, false, false, false, false, false}, /* unspecified */
	{0x00000001, false, false, false, false, false}, /* this network */
	{0x00ffffff, false, false, false, false, false},
	{0x7f000001, false, false, true, true, false}, /* loopback */
	{0x7f000000, false, false, true, false, false},
	{0x7fffffff, false, false, true, false, false},
	{OURS, false, true, true, true, false}, /* LAND, when a source */
	{PEER, true, false, false, false, false},
	{0x0a4d0000, false, true, false, false, true}, /* directed broadcast, old form */
	{0x0a4d00ff, false, true, false, false, true}, /* directed broadcast */
	{0x0a4e0005, true, false, false, false, false}, {FAR, true, false, false, false, false},
	{0xdfffffff, true, false, false, false, false}, /* the last unicast address */
	{0xe0000000, false, false, false, false, true}, /* multicast */
	{0xe0000001, false, true, false, true, true},   /* all hosts */
	{0xefffffff, false, false, false, false, true},
	{0xf0000001, false, false, false, false, false}, /* reserved */
	{0xfffffffe, false, false, false, false, false},
	{UINT32_MAX, false, true, false, false, true}, /* limited broadcast */
};
#define CLASSES (sizeof classes / sizeof classes[0])

/* MUST-63. */
static void every_pair_of_address_classes_from_outside_is_judged(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	for (unsigned s = 0; s < CLASSES; s++)
		for (unsigned d = 0; d < CLASSES; d++) {
			enum tern_drop why =
				arrives(&net, NET_NIF, classes[s].addr, classes[d].addr, false);
			bool ok = classes[s].source_ok && classes[d].dst_ok;
			assert_int_equal(why == TERN_DROP_NONE, ok);
			if (ok)
				assert_int_equal(net.in.group, classes[d].group);
			else if (classes[d].dst_ok)
				assert_int_equal(why, TERN_DROP_IP_MARTIAN_SRC);
			else
				assert_true(why == TERN_DROP_IP_MARTIAN_DST ||
					    why == TERN_DROP_IP_NOT_OURS);
		}
	assert_false(net_pull(&net)); /* nothing of it is answered */
	net_end(&net);
}

static void on_the_loopback_only_our_own_addresses_speak(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	for (unsigned s = 0; s < CLASSES; s++)
		for (unsigned d = 0; d < CLASSES; d++) {
			enum tern_drop why =
				arrives(&net, 0, classes[s].addr, classes[d].addr, false);
			bool ok = classes[s].lo_source_ok && classes[d].lo_dst_ok;
			assert_int_equal(why == TERN_DROP_NONE, ok);
		}
	net_end(&net);
}

/* MUST-63. */
static void land_is_dropped_as_a_martian(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	assert_int_equal(arrives(&net, NET_NIF, OURS, OURS, false), TERN_DROP_IP_MARTIAN_SRC);
	assert_int_equal(net.core.counter[TERN_COUNT_IpInAddrErrors], 1);
	net_end(&net);
}

static void a_link_broadcast_for_one_station_is_dropped(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	assert_int_equal(arrives(&net, NET_NIF, PEER, OURS, true), TERN_DROP_IP_MARTIAN_DST);
	assert_int_equal(arrives(&net, NET_NIF, PEER, 0x0a4d00ff, true), TERN_DROP_NONE);
	assert_true(net.in.group);
	net_end(&net);
}

static void another_interface_of_ours_has_its_own_broadcasts(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	int other = net_add_nif(&net, true, 0xc0a80102, 24);
	assert_int_equal(arrives(&net, NET_NIF, PEER, 0xc0a801ff, false), TERN_DROP_IP_NOT_OURS);
	assert_int_equal(arrives(&net, other, PEER, 0xc0a801ff, false), TERN_DROP_NONE);
	/* The weak host model: an address is ours on every interface. */
	assert_int_equal(arrives(&net, NET_NIF, PEER, 0xc0a80102, false), TERN_DROP_NONE);
	assert_false(net.in.group);
	assert_int_equal(arrives(&net, NET_NIF, 0xc0a80102, OURS, false), TERN_DROP_IP_MARTIAN_SRC);
	net_end(&net);
}

static void damaged_headers_are_dropped_by_name(void **state)
{
	(void)state;
	static const struct {
		unsigned at;
		uint8_t value;
		enum tern_drop why;
	} damage[] = {
		{0, 0x65, TERN_DROP_IP_VERSION},
		{0, 0x44, TERN_DROP_IP_HEADER_LEN},
		{3, 19, TERN_DROP_IP_TOTAL_LEN},
		{3, 200, TERN_DROP_IP_TOTAL_LEN},
		{8, 63, TERN_DROP_IP_CHECKSUM},
	};
	struct net net;
	net_begin(&net);
	for (unsigned i = 0; i < sizeof damage / sizeof damage[0]; i++) {
		uint8_t bytes[40] = {0};
		struct ipv4_header h = {.src = v4(PEER),
			.dst = v4(OURS),
			.ttl = 64,
			.protocol = TEST_PROTOCOL,
			.total_len = sizeof bytes};
		struct writer w = {bytes};
		tern_ipv4_emit(&w, &h);
		bytes[damage[i].at] = damage[i].value;
		struct tern_frame frame = {.data = bytes, .len = sizeof bytes};
		tern_ip_input(&net.ip, NET_NIF, &frame, bytes, sizeof bytes, false);
		assert_int_equal(net_dropped(&net, damage[i].why), i == 3 ? 2 : 1);
	}
	assert_int_equal(net.core.counter[TERN_COUNT_IpInHdrErrors], 5);
	assert_int_equal(net.delivered, 0);
	net_end(&net);
}

static void a_ttl_of_one_is_good_enough_to_arrive(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	net_in(&net, &(struct net_packet){.src = PEER, .dst = OURS, .ttl = 1, .protocol = 6});
	assert_int_equal(net.delivered, 1);
	assert_int_equal(net.in.ttl, 1);
	net_end(&net);
}

static void a_protocol_nobody_speaks_is_answered_unreachable(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	net.refuse = true;
	uint8_t data[40] = {7};
	net_in(&net, &(struct net_packet){.src = FAR,
			     .dst = OURS,
			     .protocol = TEST_PROTOCOL,
			     .id = 77,
			     .data = data,
			     .len = sizeof data});
	assert_int_equal(net_dropped(&net, TERN_DROP_IP_PROTOCOL), 1);
	assert_int_equal(net.core.counter[TERN_COUNT_IpInUnknownProtos], 1);
	assert_true(net_pull(&net));
	struct reader r, quoted;
	struct ipv4_header h = net_out_ip(&net, &r);
	struct icmpv4_message m;
	assert_int_equal(addr_v4_bits(&h.dst), FAR);
	assert_int_equal(tern_icmpv4_parse(&r, tern_csum_portable(), &m), TERN_DROP_NONE);
	assert_int_equal(m.type, ICMP_UNREACHABLE);
	assert_int_equal(m.code, ICMP_CODE_PROTOCOL);
	assert_int_equal(tern_icmpv4_quoted(&m, &h, &quoted), TERN_DROP_NONE);
	assert_int_equal(h.id, 77);
	assert_int_equal(reader_left(&quoted), sizeof data);
	net_end(&net);
}

static void a_datagram_is_sent_with_a_source_that_fits(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	struct ip_datagram d = {.dst = v4(FAR),
		.out = {.protocol = 200, .tos = 8, .ttl = 9},
		.head = "head",
		.head_len = 4,
		.body = "body",
		.body_len = 4};
	assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	assert_true(net_pull(&net));
	struct reader r;
	struct ipv4_header h = net_out_ip(&net, &r);
	assert_int_equal(addr_v4_bits(&h.src), OURS);
	assert_int_equal(h.tos, 8);
	assert_int_equal(h.ttl, 9);
	assert_memory_equal(reader_take(&r, 8), "headbody", 8);
	net_end(&net);
}

static void a_datagram_is_refused_with_a_reason(void **state)
{
	(void)state;
	struct net net;
	static uint8_t body[65536];
	net_begin(&net);
	struct ip_datagram d = {.dst = v4(FAR), .out.protocol = 200, .body = body};
	d.body_len = 65516;
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EMSGSIZE);
	d.body_len = 1481;
	d.out.dont_fragment = true;
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EMSGSIZE);
	assert_int_equal(net_dropped(&net, TERN_DROP_IP_TOO_BIG), 1);
	d.body_len = 1480;
	assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	d.src = v4(PEER);
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EADDRNOTAVAIL);
	d.src = v4(0x7f000001);
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EADDRNOTAVAIL);
	d.src = v4(0);
	static const uint32_t broadcasts[] = {UINT32_MAX, 0x0a4d00ff, 0x0a4d0000};
	for (unsigned i = 0; i < 3; i++) {
		d.dst = v4(broadcasts[i]);
		d.allow_broadcast = false;
		assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EACCES);
		d.allow_broadcast = true;
		assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	}
	d.dst = v4(0);
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_ENETUNREACH);
	net_end(&net);
}

static void a_full_queue_refuses_and_counts(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	struct ip_datagram d = {.dst = v4(FAR), .out.protocol = 200};
	for (unsigned i = 0; i < NIF_QUEUE_PACKETS; i++)
		assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	assert_int_equal(tern_ip_send(&net.ip, &d), TERN_EAGAIN);
	assert_int_equal(net_dropped(&net, TERN_DROP_REPLY_RING_FULL), 1);
	assert_true(net_pull(&net));
	assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	net_end(&net); /* with all of it still waiting */
}

static void queued_bytes_stay_within_a_share_of_the_budget(void **state)
{
	(void)state;
	struct net net;
	static uint8_t body[65000];
	net_begin_core(&net, 1u << 20);
	struct ip_datagram d = {.dst = v4(0x7f000001),
		.out.protocol = 200,
		.body = body,
		.body_len = sizeof body};
	unsigned sent = 0;
	while (tern_ip_send(&net.ip, &d) == 0)
		sent++;
	assert_in_range(sent, 1, 4);
	assert_true(net.core.mem.used < (1u << 20) / 3);
	net_end(&net);
}

static void no_memory_is_an_ordinary_refusal(void **state)
{
	(void)state;
	struct net net;
	static uint8_t body[20000];
	net_begin(&net);
	struct ip_datagram d = {.dst = v4(FAR),
		.out.protocol = 200,
		.body = body,
		.body_len = sizeof body};
	for (unsigned k = 0; k < 14; k++) {
		test_heap_fail_after(&net.heap, k);
		assert_int_equal(tern_ip_send(&net.ip, &d), TERN_ENOMEM);
		test_heap_relent(&net.heap);
		assert_false(net_pull(&net)); /* all fragments or none */
	}
	assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	assert_int_equal(net_drain(&net), 14);
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_address_classes_from_outside_is_judged),
		cmocka_unit_test(on_the_loopback_only_our_own_addresses_speak),
		cmocka_unit_test(land_is_dropped_as_a_martian),
		cmocka_unit_test(a_link_broadcast_for_one_station_is_dropped),
		cmocka_unit_test(another_interface_of_ours_has_its_own_broadcasts),
		cmocka_unit_test(damaged_headers_are_dropped_by_name),
		cmocka_unit_test(a_ttl_of_one_is_good_enough_to_arrive),
		cmocka_unit_test(a_protocol_nobody_speaks_is_answered_unreachable),
		cmocka_unit_test(a_datagram_is_sent_with_a_source_that_fits),
		cmocka_unit_test(a_datagram_is_refused_with_a_reason),
		cmocka_unit_test(a_full_queue_refuses_and_counts),
		cmocka_unit_test(queued_bytes_stay_within_a_share_of_the_budget),
		cmocka_unit_test(no_memory_is_an_ordinary_refusal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
