/* A kernel beyond an interface of its own, which goes by our address and leaves TCP to us. */
#include "fixture.h"

static int guest;

static void begin(struct net *net)
{
	struct tern_nif_opts opts = {.name = "guest", .mtu = 65535, .raw_ip = true, .guest = true};
	net_begin(net);
	guest = tern_link_nif_add(&net->link, &opts);
	assert_true(guest > NET_NIF);
}

static bool out_on(struct net *net, int nif, struct ipv4_header *h, struct reader *r)
{
	if (!net_pull_from(net, nif))
		return false;
	*h = net_out_ip(net, r);
	return true;
}

static void what_it_sends_goes_out_as_ours(void **state)
{
	(void)state;
	struct net net;
	struct ipv4_header h;
	struct reader r;
	begin(&net);
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = FAR,
			.protocol = 17,
			.ttl = 3,
			.data = "12345678x",
			.len = 9});
	assert_true(out_on(&net, NET_NIF, &h, &r));
	assert_int_equal(addr_v4_bits(&h.src), OURS);
	assert_int_equal(addr_v4_bits(&h.dst), FAR);
	assert_int_equal(h.ttl, 3);
	assert_int_equal(h.protocol, 17);
	assert_int_equal(reader_left(&r), 9);
	assert_memory_equal(r.at, "12345678x", 9);
	assert_int_equal(net.delivered, 0);
	net_end(&net);
}

/* Fragments of a large one are joined and cut anew. */
static void large_ones_too(void **state)
{
	(void)state;
	struct net net;
	struct ipv4_header h;
	struct reader r;
	static uint8_t data[2000];
	begin(&net);
	for (unsigned i = 0; i < 2; i++)
		net_in_on(&net, guest,
			&(struct net_packet){.src = OURS,
				.dst = PEER,
				.protocol = 17,
				.id = 5,
				.offset = (uint16_t)(i * 1000),
				.more = i == 0,
				.data = data + i * 1000,
				.len = 1000});
	uint32_t got = 0;
	while (out_on(&net, NET_NIF, &h, &r))
		got += (uint32_t)reader_left(&r);
	assert_int_equal(got, 2000);
	net_end(&net);
}

static void what_is_not_tcps_is_its_business(void **state)
{
	(void)state;
	static const uint8_t protocols[] = {17, 2, 47, 132};
	struct net net;
	struct ipv4_header h;
	struct reader r;
	begin(&net);
	for (size_t i = 0; i < sizeof protocols; i++) {
		net_in(&net, &(struct net_packet){.src = PEER,
				     .dst = OURS,
				     .protocol = protocols[i],
				     .ttl = 9,
				     .data = "abcdefgh",
				     .len = 8});
		assert_true(out_on(&net, guest, &h, &r));
		assert_int_equal(addr_v4_bits(&h.src), PEER);
		assert_int_equal(addr_v4_bits(&h.dst), OURS);
		assert_int_equal(h.ttl, 9);
		assert_memory_equal(r.at, "abcdefgh", 8);
	}
	assert_int_equal(net.delivered, 0);
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = OURS,
			     .protocol = 6,
			     .data = "abcdefgh",
			     .len = 8});
	assert_int_equal(net.delivered, 1);
	assert_false(net_pull_from(&net, guest));
	net_end(&net);
}

/* From a device that vouches for it, the checksum may be unfinished: the guest gets a whole one. */
static void what_a_device_vouches_for_is_made_whole(void **state)
{
	(void)state;
	struct net net;
	struct ipv4_header h;
	struct reader r;
	uint8_t bytes[IPV4_HEADER_LEN + 12] = {0}, *udp = bytes + IPV4_HEADER_LEN;
	struct writer w = {bytes};
	begin(&net);
	struct ipv4_header sent = {.src = v4(PEER),
		.dst = v4(OURS),
		.ttl = 64,
		.protocol = 17,
		.total_len = sizeof bytes};
	tern_ipv4_emit(&w, &sent);
	memcpy(udp,
		"\0\1\0\2\0\14\22\64"
		"data",
		12);
	struct tern_frame frame = {.data = bytes, .len = sizeof bytes, .csum_valid = true};
	tern_ip_input(&net.ip, NET_NIF, &frame, bytes, sizeof bytes, false);
	assert_true(out_on(&net, guest, &h, &r));
	assert_int_equal(reader_left(&r), 12);
	uint64_t sum = tern_pseudo_sum(&h.src, &h.dst, 17, 12);
	assert_int_equal(csum_fold(sum + tern_csum_portable()->sum(r.at, 12)), 0xffff);
	net_end(&net);
}

static void icmp_in(struct net *net, uint8_t type, uint8_t quoted_protocol)
{
	uint8_t body[28], bytes[40];
	struct ipv4_header q = {.src = v4(OURS),
		.dst = v4(FAR),
		.ttl = 1,
		.protocol = quoted_protocol,
		.total_len = 1500};
	struct writer b = {body}, w = {bytes};
	tern_ipv4_emit(&b, &q);
	write_u32(&b, 1);
	write_u32(&b, 2);
	struct icmpv4_message m = {.type = type, .code = 1, .body = body, .body_len = sizeof body};
	tern_icmpv4_emit(&w, tern_csum_portable(), &m);
	net_in(net, &(struct net_packet){.src = PEER,
			    .dst = OURS,
			    .protocol = IPPROTO_ICMP_NUM,
			    .data = bytes,
			    .len = (uint32_t)(w.at - bytes)});
}

static void errors_go_to_whom_they_concern(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	icmp_in(&net, ICMP_UNREACHABLE, 6);
	assert_int_equal(net.errors, 1);
	assert_false(net_pull_from(&net, guest));
	icmp_in(&net, ICMP_UNREACHABLE, 17);
	icmp_in(&net, ICMP_TIME_EXCEEDED, 1);
	icmp_in(&net, ICMP_ECHO_REQUEST, 6);
	icmp_in(&net, ICMP_ECHO_REPLY, 6);
	assert_int_equal(net.errors, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_true(net_pull_from(&net, guest));
	assert_false(net_pull(&net)); /* no answer of ours */
	net_end(&net);
}

static void tcp_from_it_is_dropped_and_so_is_what_it_forged(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = FAR,
			.protocol = 6,
			.data = "abcdefgh",
			.len = 8});
	assert_int_equal(net_dropped(&net, TERN_DROP_IP_GUEST_TCP), 1);
	net_in_on(&net, guest,
		&(struct net_packet){.src = FAR,
			.dst = PEER,
			.protocol = 17,
			.data = "abcdefgh",
			.len = 8});
	net_in_on(&net, guest,
		&(struct net_packet){.src = 0x7f000001,
			.dst = PEER,
			.protocol = 17,
			.data = "abcdefgh",
			.len = 8});
	assert_int_equal(net_dropped(&net, TERN_DROP_IP_MARTIAN_SRC), 2);
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = OURS,
			.protocol = 17,
			.data = "abcdefgh",
			.len = 8});
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = 0x7f000001,
			.protocol = 17,
			.data = "abcdefgh",
			.len = 8});
	assert_int_equal(net_dropped(&net, TERN_DROP_IP_MARTIAN_DST), 2);
	assert_int_equal(net.delivered, 0);
	assert_false(net_pull(&net));
	net_end(&net);
}

/* No route: it hears of it as from a router. */
static void it_hears_that_there_is_no_way(void **state)
{
	(void)state;
	struct net net;
	struct ipv4_header h;
	struct reader r;
	struct icmpv4_message m;
	net_begin_core(&net, 64u << 20);
	assert_int_equal(net_add_nif(&net, true, OURS, 24), NET_NIF);
	struct tern_nif_opts opts = {.name = "guest", .mtu = 65535, .raw_ip = true, .guest = true};
	guest = tern_link_nif_add(&net.link, &opts);
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = FAR,
			.protocol = 17,
			.data = "abcdefgh",
			.len = 8});
	assert_true(out_on(&net, guest, &h, &r));
	assert_int_equal(tern_icmpv4_parse(&r, tern_csum_portable(), &m), TERN_DROP_NONE);
	assert_int_equal(m.type, ICMP_UNREACHABLE);
	assert_int_equal(m.code, ICMP_CODE_NET);
	/* An error about an error is never sent. */
	net_in_on(&net, guest,
		&(struct net_packet){.src = OURS,
			.dst = FAR,
			.protocol = IPPROTO_ICMP_NUM,
			.data = "\3\0cdefgh",
			.len = 8});
	assert_false(net_pull_from(&net, guest));
	net_end(&net);
}

static void there_is_one_at_most_and_it_speaks_bare_ip(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	struct tern_nif_opts opts = {.name = "two", .raw_ip = true, .guest = true};
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_EINVAL);
	net_end(&net);
	net_begin(&net);
	opts.raw_ip = false;
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_EINVAL);
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_sends_goes_out_as_ours),
		cmocka_unit_test(large_ones_too),
		cmocka_unit_test(what_is_not_tcps_is_its_business),
		cmocka_unit_test(what_a_device_vouches_for_is_made_whole),
		cmocka_unit_test(errors_go_to_whom_they_concern),
		cmocka_unit_test(tcp_from_it_is_dropped_and_so_is_what_it_forged),
		cmocka_unit_test(it_hears_that_there_is_no_way),
		cmocka_unit_test(there_is_one_at_most_and_it_speaks_bare_ip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
