#include "test/unit/network/fixture.h"

static void icmp_in(struct net *net, uint32_t src, uint32_t dst, const struct icmpv4_message *m)
{
	static uint8_t bytes[65536];
	struct writer w = {bytes};
	tern_icmpv4_emit(&w, tern_csum_portable(), m);
	net_in(net, &(struct net_packet){.src = src,
			    .dst = dst,
			    .protocol = IPPROTO_ICMP_NUM,
			    .data = bytes,
			    .len = ICMP_HEADER_LEN + m->body_len});
}

static void ping(struct net *net, uint32_t src, uint32_t dst, const void *body, uint32_t len)
{
	icmp_in(net, src, dst,
		&(struct icmpv4_message){.type = ICMP_ECHO_REQUEST,
			.id = 0x1234,
			.sequence = 7,
			.body = body,
			.body_len = len});
}

/* A packet of ours, as an error quotes it: 20 bytes of IP and len of transport. */
static uint32_t quoted(uint8_t *to, uint32_t src, uint32_t dst, uint16_t offset, uint32_t len)
{
	struct ipv4_header h = {.src = v4(src),
		.dst = v4(dst),
		.ttl = 60,
		.protocol = 6,
		.total_len = 1500,
		.fragment_offset = offset,
		.dont_fragment = true};
	struct writer w = {to};
	tern_ipv4_emit(&w, &h);
	for (uint32_t i = 0; i < len; i++)
		write_u8(&w, (uint8_t)(i + 1));
	return IPV4_HEADER_LEN + len;
}

static void error_in(struct net *net, uint8_t type, uint8_t code, uint16_t mtu, const uint8_t *body,
	uint32_t len)
{
	icmp_in(net, FAR, OURS,
		&(struct icmpv4_message){.type = type,
			.code = code,
			.mtu = mtu,
			.body = body,
			.body_len = len});
}

static struct icmpv4_message out_icmp(struct net *net, struct ipv4_header *h)
{
	struct reader r;
	struct icmpv4_message m;
	assert_true(net_pull(net));
	*h = net_out_ip(net, &r);
	assert_int_equal(h->protocol, IPPROTO_ICMP_NUM);
	assert_int_equal(tern_icmpv4_parse(&r, tern_csum_portable(), &m), TERN_DROP_NONE);
	return m;
}

static void an_echo_comes_back_with_all_its_bytes(void **state)
{
	(void)state;
	struct net net;
	struct ipv4_header h;
	static uint8_t data[1472];
	struct test_rand rand = {1};
	test_rand_fill(&rand, data, sizeof data);
	net_begin(&net);
	for (uint32_t len = 0; len <= sizeof data; len += len < 64 ? 1 : 88) {
		ping(&net, PEER, OURS, data, len);
		struct icmpv4_message m = out_icmp(&net, &h);
		assert_int_equal(m.type, ICMP_ECHO_REPLY);
		assert_int_equal(m.id, 0x1234);
		assert_int_equal(m.sequence, 7);
		assert_int_equal(m.body_len, len);
		assert_memory_equal(m.body, data, len);
		assert_int_equal(addr_v4_bits(&h.src), OURS);
		assert_int_equal(addr_v4_bits(&h.dst), PEER);
	}
	net_end(&net);
}

static void a_fragmented_echo_of_sixty_kilobytes_comes_back_in_fragments(void **state)
{
	(void)state;
	struct net net, there;
	static uint8_t bytes[60008];
	struct test_rand rand = {2};
	net_begin(&net);
	net_begin_core(&there, 64u << 20);
	net_add_nif(&there, true, PEER, 24);
	test_rand_fill(&rand, bytes, sizeof bytes);
	bytes[0] = ICMP_ECHO_REQUEST;
	bytes[1] = 0;
	store_be16(bytes + 2, 0);
	store_be16(bytes + 2, csum_finish(tern_csum_portable()->sum(bytes, sizeof bytes)));
	for (uint32_t at = 0; at < sizeof bytes; at += 1480) {
		uint32_t n = sizeof bytes - at < 1480 ? (uint32_t)sizeof bytes - at : 1480;
		net_in(&net, &(struct net_packet){.src = PEER,
				     .dst = OURS,
				     .protocol = 1,
				     .id = 4,
				     .offset = (uint16_t)at,
				     .more = at + n < sizeof bytes,
				     .data = bytes + at,
				     .len = n});
	}
	assert_int_equal(net.core.counter[TERN_COUNT_IcmpOutEchoReps], 1);
	while (net_pull(&net)) {
		struct tern_frame frame = {.data = net.out, .len = net.out_len};
		tern_ip_input(&there.ip, 1, &frame, net.out, net.out_len, false);
	}
	assert_int_equal(there.core.counter[TERN_COUNT_IpReasmOKs], 1);
	assert_int_equal(there.core.counter[TERN_COUNT_IcmpInEchoReps], 1);
	assert_int_equal(there.core.counter[TERN_COUNT_IcmpInErrors], 0);
	net_end(&net);
	net_end(&there);
}

static void an_echo_to_everybody_is_not_answered(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	ping(&net, PEER, 0x0a4d00ff, "x", 1);
	ping(&net, PEER, UINT32_MAX, "x", 1);
	ping(&net, PEER, 0xe0000001, "x", 1);
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_BROADCAST), 3);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void pings_may_be_switched_off(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	net.core.set.icmp_echo_ignore_all = 1;
	ping(&net, PEER, OURS, "x", 1);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void damaged_and_unknown_messages_are_dropped_by_name(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	static const uint8_t bad_sum[8] = {8, 0, 1, 1, 0, 0, 0, 0};
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = OURS,
			     .protocol = 1,
			     .data = bad_sum,
			     .len = 8});
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_CHECKSUM), 1);
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = OURS,
			     .protocol = 1,
			     .data = bad_sum,
			     .len = 7});
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_MALFORMED), 1);
	static const uint8_t types[] = {0, 1, 4, 5, 9, 10, 13, 15, 17, 30, 255};
	for (unsigned i = 0; i < sizeof types; i++)
		icmp_in(&net, PEER, OURS, &(struct icmpv4_message){.type = types[i]});
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_TYPE), sizeof types);
	assert_int_equal(net.errors, 0);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void an_error_about_a_packet_of_ours_goes_up_judged(void **state)
{
	(void)state;
	static const struct {
		uint8_t type, code;
		int err;
		bool hard;
	} kinds[] = {
		{3, 0, TERN_ENETUNREACH, false},
		{3, 1, TERN_EHOSTUNREACH, false},
		{3, 2, TERN_ENOPROTOOPT, true},
		{3, 3, TERN_ECONNREFUSED, true},
		{3, 4, TERN_EMSGSIZE, false},
		{3, 11, TERN_ENETUNREACH, false},
		{3, 13, TERN_EHOSTUNREACH, false},
		{11, 0, TERN_EHOSTUNREACH, false},
		{11, 1, TERN_EHOSTUNREACH, false},
		{12, 0, TERN_EPROTO, false},
	};
	struct net net;
	uint8_t body[64];
	uint32_t len = quoted(body, OURS, PEER, 0, 8);
	net_begin(&net);
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		error_in(&net, kinds[i].type, kinds[i].code, 1400, body, len);
		const struct ip_error *e = &net.last_error;
		assert_int_equal(net.errors, i + 1);
		assert_int_equal(e->err, kinds[i].err);
		assert_int_equal(e->hard, kinds[i].hard);
		assert_int_equal(e->protocol, 6);
		assert_int_equal(e->len, 8);
		assert_int_equal(addr_v4_bits(&e->src), OURS);
		assert_int_equal(addr_v4_bits(&e->dst), PEER);
		assert_int_equal(addr_v4_bits(&e->from), FAR);
		assert_int_equal(e->mtu, kinds[i].err == TERN_EMSGSIZE ? 1400 : 0);
	}
	error_in(&net, 3, 4, 0, body, len); /* an old router: the plateau below 1500 */
	assert_int_equal(net.last_error.mtu, 1492);
	net_end(&net);
}

static void an_error_about_what_we_never_sent_stops_here(void **state)
{
	(void)state;
	struct net net;
	uint8_t body[64];
	net_begin(&net);
	error_in(&net, 3, 3, 0, body, quoted(body, FAR, PEER, 0, 8));
	error_in(&net, 3, 3, 0, body, quoted(body, 0x7f000001, PEER, 0, 8));
	error_in(&net, 3, 3, 0, body, quoted(body, OURS, PEER, 8, 8));
	error_in(&net, 3, 3, 0, body, quoted(body, OURS, 0x0a4d00ff, 0, 8));
	error_in(&net, 3, 3, 0, body, quoted(body, OURS, 0xe0000001, 0, 8));
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_UNRELATED), 5);
	for (uint32_t len = 0; len < 28; len++) {
		quoted(body, OURS, PEER, 0, 8);
		error_in(&net, 3, 3, 0, body, len);
		assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_MALFORMED), len + 1);
	}
	assert_int_equal(net.errors, 0);
	net_end(&net);
}

/* Asks for an unreachable by what nobody takes. */
static bool is_answered(struct net *net, const struct net_packet *p)
{
	net->refuse = true;
	net_in(net, p);
	return net_drain(net) > 0;
}

static void no_error_is_sent_about_what_must_not_be_answered(void **state)
{
	(void)state;
	struct net net;
	uint8_t data[64] = {0};
	net_begin(&net);
	struct net_packet p = {.src = PEER,
		.dst = OURS,
		.protocol = 17,
		.data = data,
		.len = sizeof data};
	assert_true(is_answered(&net, &p));
	p.dst = 0x0a4d00ff;
	assert_false(is_answered(&net, &p));
	p.dst = UINT32_MAX;
	assert_false(is_answered(&net, &p));
	p.dst = 0xe0000001;
	assert_false(is_answered(&net, &p));
	p.dst = OURS;
	static const uint32_t bad_sources[] = {0, 0x7f000001, OURS, 0x0a4d00ff, 0xe0000001,
		UINT32_MAX};
	for (unsigned i = 0; i < 6; i++) {
		p.src = bad_sources[i];
		assert_false(is_answered(&net, &p));
	}
	/* An error about an error: a time-out of one's fragments. */
	uint8_t error[64] = {ICMP_UNREACHABLE, ICMP_CODE_PORT};
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = OURS,
			     .protocol = 1,
			     .more = true,
			     .data = error,
			     .len = sizeof error});
	net_wait(&net, 31 * SECOND);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_TIMEOUT), 1);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void an_error_is_never_larger_than_576_bytes(void **state)
{
	(void)state;
	struct net net;
	static uint8_t data[1480];
	struct ipv4_header h;
	net_begin(&net);
	net.refuse = true;
	for (uint32_t len = 0; len <= sizeof data; len += 37) {
		net_in(&net, &(struct net_packet){.src = PEER,
				     .dst = OURS,
				     .protocol = 17,
				     .data = data,
				     .len = len});
		struct icmpv4_message m = out_icmp(&net, &h);
		assert_int_equal(m.code, ICMP_CODE_PORT);
		assert_int_equal(h.total_len, 20 + 8 + (20 + len < 548 ? 20 + len : 548));
		net.core.now += SECOND;
	}
	net_end(&net);
}

static unsigned flood_for(struct net *net, uint64_t ns, unsigned packets)
{
	unsigned answers = 0;
	uint64_t start = net->core.now;
	for (unsigned i = 0; i < packets; i++) {
		net->core.now = start + ns * i / packets;
		answers += is_answered(net, &(struct net_packet){.src = 0x14000000 + i,
						    .dst = OURS,
						    .protocol = 17,
						    .data = "x",
						    .len = 1});
	}
	net->core.now = start + ns;
	return answers;
}

static void errors_keep_to_their_rate(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	unsigned first = flood_for(&net, 10 * SECOND, 100000);
	assert_in_range(first, 9900, 10050); /* 1000 a second, and a burst of 50 */
	assert_int_equal(net.core.counter[TERN_COUNT_IcmpOutRateLimitGlobal], 100000 - first);
	assert_int_equal(net_dropped(&net, TERN_DROP_ICMP_RATE), 100000 - first);
	net.core.set.icmp_msgs_per_sec = 7;
	net.core.now += 10 * SECOND;
	assert_in_range(flood_for(&net, 10 * SECOND, 10000), 69, 71);
	net.core.set.icmp_msgs_per_sec = 0;
	assert_int_equal(flood_for(&net, 10 * SECOND, 1000), 0);
	net_end(&net);
}

static void after_a_pause_a_burst_is_still_small_and_its_size_uncertain(void **state)
{
	(void)state;
	struct net net;
	unsigned seen[64] = {0}, kinds = 0;
	net_begin(&net);
	for (unsigned i = 0; i < 40; i++) {
		net.core.now += 60 * SECOND;
		unsigned burst = flood_for(&net, 0, 200);
		assert_in_range(burst, 46, 50);
		kinds += seen[burst]++ == 0;
	}
	assert_true(kinds > 1);
	net_end(&net);
}

static void pings_are_not_counted_as_errors(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	for (unsigned i = 0; i < 5000; i++) {
		ping(&net, PEER, OURS, "x", 1);
		assert_int_equal(net_drain(&net), 1);
	}
	net_end(&net);
}

static void no_memory_for_an_answer_is_no_harm(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	test_heap_fail_after(&net.heap, 0);
	ping(&net, PEER, OURS, "x", 1);
	assert_false(is_answered(&net, &(struct net_packet){.src = PEER,
					       .dst = OURS,
					       .protocol = 17,
					       .data = "",
					       .len = 1}));
	test_heap_relent(&net.heap);
	assert_int_equal(net.core.counter[TERN_COUNT_IcmpOutMsgs], 0);
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_echo_comes_back_with_all_its_bytes),
		cmocka_unit_test(a_fragmented_echo_of_sixty_kilobytes_comes_back_in_fragments),
		cmocka_unit_test(an_echo_to_everybody_is_not_answered),
		cmocka_unit_test(pings_may_be_switched_off),
		cmocka_unit_test(damaged_and_unknown_messages_are_dropped_by_name),
		cmocka_unit_test(an_error_about_a_packet_of_ours_goes_up_judged),
		cmocka_unit_test(an_error_about_what_we_never_sent_stops_here),
		cmocka_unit_test(no_error_is_sent_about_what_must_not_be_answered),
		cmocka_unit_test(an_error_is_never_larger_than_576_bytes),
		cmocka_unit_test(errors_keep_to_their_rate),
		cmocka_unit_test(after_a_pause_a_burst_is_still_small_and_its_size_uncertain),
		cmocka_unit_test(pings_are_not_counted_as_errors),
		cmocka_unit_test(no_memory_for_an_answer_is_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
