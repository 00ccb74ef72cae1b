#include "test/unit/network/fixture.h"

static struct tern_addr none;

static void add(struct net *net, uint32_t prefix, unsigned len, uint32_t gateway, int nif)
{
	struct tern_addr p = v4(prefix), g = v4(gateway);
	assert_int_equal(tern_ip_route_add(&net->ip, &p, len, &g, nif), 0);
}

static uint32_t next_hop(struct net *net, uint32_t dst, int *nif)
{
	int err;
	struct tern_addr to = v4(dst);
	struct path *path = tern_path_get(&net->ip, &none, &to, &err);
	if (!path)
		return 0;
	*nif = path->nif;
	uint32_t hop = addr_v4_bits(&path->next_hop);
	tern_path_put(&net->ip, path);
	return hop;
}

static void the_longest_prefix_wins_whatever_the_order(void **state)
{
	(void)state;
	static const struct {
		uint32_t prefix;
		unsigned len;
		uint32_t gateway;
	} route[] = {
		{0x08000000, 8, 0x0a4d0008},
		{0x08080800, 24, 0x0a4d0018},
		{0x08080000, 16, 0x0a4d0010},
		{0x08080808, 32, 0x0a4d0020},
	};
	for (unsigned rotation = 0; rotation < 4; rotation++) {
		struct net net;
		net_begin(&net);
		for (unsigned i = 0; i < 4; i++) {
			unsigned k = (i + rotation) % 4;
			add(&net, route[k].prefix, route[k].len, route[k].gateway, NET_NIF);
		}
		int nif;
		assert_int_equal(next_hop(&net, 0x08080808, &nif), 0x0a4d0020);
		assert_int_equal(next_hop(&net, 0x08080809, &nif), 0x0a4d0018);
		assert_int_equal(next_hop(&net, 0x08080908, &nif), 0x0a4d0010);
		assert_int_equal(next_hop(&net, 0x08090908, &nif), 0x0a4d0008);
		assert_int_equal(next_hop(&net, 0x09090908, &nif), PEER);
		assert_int_equal(next_hop(&net, 0x0a4d0063, &nif), 0x0a4d0063);
		net_end(&net);
	}
}

/* Against a search that knows nothing of order. */
static void lookups_agree_with_a_plain_search(void **state)
{
	(void)state;
	struct net net;
	struct test_rand rand = {11};
	uint32_t prefix[60];
	unsigned len[60];
	net_begin(&net);
	for (unsigned i = 0; i < 60; i++) {
		do {
			len[i] = 1 + test_rand_below(&rand, 32);
			prefix[i] = (0x20000000u | test_rand_below(&rand, 1 << 12) << 12) &
				    v4_mask(len[i]);
			struct tern_addr p = v4(prefix[i]), g = v4(0x0a4d0003 + i);
			if (tern_ip_route_add(&net.ip, &p, len[i], &g, NET_NIF) == 0)
				break;
		} while (true);
	}
	for (unsigned n = 0; n < 20000; n++) {
		uint32_t dst = 0x20000000u | test_rand_below(&rand, 1 << 25), best = PEER;
		unsigned best_len = 0;
		int nif;
		for (unsigned i = 0; i < 60; i++)
			if (((dst ^ prefix[i]) & v4_mask(len[i])) == 0 && len[i] > best_len) {
				best = 0x0a4d0003 + i;
				best_len = len[i];
			}
		assert_int_equal(next_hop(&net, dst, &nif), best);
	}
	net_end(&net);
}

static void a_route_is_refused_when_it_makes_no_sense(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	struct tern_addr p = v4(0x08000000), peer = v4(PEER), us = v4(OURS), all = v4(UINT32_MAX);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 33, &peer, 1), TERN_EINVAL);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &peer, 2), TERN_EINVAL);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &peer, 0), TERN_EINVAL);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &us, 1), TERN_EINVAL);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &all, 1), TERN_EINVAL);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &peer, 1), 0);
	assert_int_equal(tern_ip_route_add(&net.ip, &p, 8, &none, 1), TERN_EEXIST);
	net_end(&net);
}

static void the_table_holds_sixty_four_routes(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net); /* two are there */
	struct tern_addr g = v4(PEER);
	for (unsigned i = 2; i <= ROUTES_MAX; i++) {
		struct tern_addr p = v4(0x14000000 + (i << 8));
		assert_int_equal(tern_ip_route_add(&net.ip, &p, 24, &g, 1),
			i < ROUTES_MAX ? 0 : TERN_ENOSPC);
	}
	net_end(&net);
}

static void the_source_shares_a_network_with_the_next_hop(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	struct tern_addr second = v4(0xc0a80105), dst = v4(0xc0a80163), src;
	assert_int_equal(tern_link_addr_add(&net.link, NET_NIF, &second, 24), 0);
	assert_int_equal(tern_ip_route_add(&net.ip, &second, 24, &none, NET_NIF), 0);
	assert_int_equal(tern_ip_source(&net.ip, &dst, &src), 0);
	assert_int_equal(addr_v4_bits(&src), 0xc0a80105);
	dst = v4(FAR);
	assert_int_equal(tern_ip_source(&net.ip, &dst, &src), 0);
	assert_int_equal(addr_v4_bits(&src), OURS);
	net_end(&net);
}

static void paths_of_a_pair_are_one_and_go_with_the_last_user(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	int err;
	struct tern_addr dst = v4(FAR), us = v4(OURS);
	struct path *a = tern_path_get(&net.ip, &none, &dst, &err);
	struct path *b = tern_path_get(&net.ip, &us, &dst, &err);
	assert_non_null(a);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 2);
	assert_int_equal(tern_path_ready(&net.ip, a), LINK_READY);
	tern_path_put(&net.ip, a);
	assert_int_equal(net.ip.paths.live, 1);
	tern_path_put(&net.ip, b);
	assert_int_equal(net.ip.paths.live, 0);
	net_end(&net);
}

static void a_path_is_refused_with_a_reason(void **state)
{
	(void)state;
	struct net net;
	int err;
	net_begin_core(&net, 1u << 20);
	net_add_nif(&net, true, OURS, 24);
	struct tern_addr far = v4(FAR), peer = v4(PEER), stranger = v4(0x0a4d0009);
	struct tern_addr loopback = v4(0x7f000001), all = v4(UINT32_MAX), net_all = v4(0x0a4d00ff);
	assert_null(tern_path_get(&net.ip, &none, &far, &err));
	assert_int_equal(err, TERN_ENETUNREACH);
	assert_null(tern_path_get(&net.ip, &stranger, &peer, &err));
	assert_int_equal(err, TERN_EADDRNOTAVAIL);
	assert_null(tern_path_get(&net.ip, &loopback, &peer, &err));
	assert_int_equal(err, TERN_EADDRNOTAVAIL);
	assert_null(tern_path_get(&net.ip, &none, &all, &err));
	assert_int_equal(err, TERN_ENETUNREACH);
	assert_null(tern_path_get(&net.ip, &none, &net_all, &err));
	assert_int_equal(err, TERN_ENETUNREACH);
	test_heap_fail_after(&net.heap, 0);
	assert_null(tern_path_get(&net.ip, &none, &peer, &err));
	assert_int_equal(err, TERN_ENOMEM);
	test_heap_relent(&net.heap);
	net_end(&net);
}

static void our_own_addresses_are_reached_through_the_loopback(void **state)
{
	(void)state;
	struct net net;
	int err;
	net_begin_with(&net, false);
	static const uint32_t dst[] = {OURS, 0x7f000001, 0x7f010203};
	static const uint32_t src[] = {OURS, 0x7f000001, 0x7f000001};
	for (unsigned i = 0; i < 3; i++) {
		struct tern_addr to = v4(dst[i]);
		struct path *path = tern_path_get(&net.ip, &none, &to, &err);
		assert_non_null(path);
		assert_true(path->loopback);
		assert_int_equal(path->nif, TERN_NIF_LOOPBACK);
		assert_int_equal(path->header_len, IPV4_HEADER_LEN);
		assert_int_equal(path->mtu, 65535);
		assert_int_equal(addr_v4_bits(&path->src), src[i]);
		assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
		tern_path_put(&net.ip, path);
	}
	net_end(&net);
}

static void a_path_follows_a_route_that_is_added_later(void **state)
{
	(void)state;
	struct net net;
	int err;
	net_begin(&net);
	struct tern_addr dst = v4(FAR);
	struct path *path = tern_path_get(&net.ip, &none, &dst, &err);
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
	assert_int_equal(addr_v4_bits(&path->next_hop), PEER);
	add(&net, 0x08000000, 8, 0x0a4d0007, NET_NIF);
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
	assert_int_equal(addr_v4_bits(&path->next_hop), 0x0a4d0007);
	tern_path_put(&net.ip, path);
	net_end(&net);
}

static void a_learnt_mtu_has_a_floor_only_shrinks_and_is_forgotten_in_ten_minutes(void **state)
{
	(void)state;
	struct net net;
	int err;
	net_begin(&net);
	struct tern_addr dst = v4(FAR);
	struct path *path = tern_path_get(&net.ip, &none, &dst, &err);
	assert_int_equal(tern_path_mtu(&net.ip, path), 1500);
	tern_path_too_big(&net.ip, path, 1400);
	assert_int_equal(tern_path_mtu(&net.ip, path), 1400);
	tern_path_too_big(&net.ip, path, 1450);
	assert_int_equal(tern_path_mtu(&net.ip, path), 1400);
	net.core.now += 599 * SECOND;
	assert_int_equal(tern_path_mtu(&net.ip, path), 1400);
	net.core.now += SECOND;
	assert_int_equal(tern_path_mtu(&net.ip, path), 1500);
	tern_path_too_big(&net.ip, path, 68);
	assert_int_equal(tern_path_mtu(&net.ip, path), IP_PMTU_MIN);
	add(&net, 0x14000000, 8, 0x0a4d0007, NET_NIF); /* a new look-up keeps it */
	assert_int_equal(tern_path_mtu(&net.ip, path), IP_PMTU_MIN);
	tern_path_put(&net.ip, path);
	net_end(&net);
}

static void emitted_headers_are_what_the_codec_would_write(void **state)
{
	(void)state;
	struct net net;
	struct test_rand rand = {5};
	int err;
	net_begin(&net);
	struct tern_addr dst = v4(FAR);
	struct path *path = tern_path_get(&net.ip, &none, &dst, &err);
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
	for (unsigned i = 0; i < 2000; i++) {
		struct ip_out out = {
			.protocol = (uint8_t)test_rand_u32(&rand),
			.tos = (uint8_t)test_rand_u32(&rand),
			.ttl = (uint8_t)test_rand_u32(&rand),
			.dont_fragment = test_rand_one_in(&rand, 2),
			.len = test_rand_below(&rand, 65516),
		};
		uint8_t bytes[64] = {0};
		struct tern_frame frame = {.data = bytes, .capacity = sizeof bytes};
		tern_path_emit(&net.ip, path, &frame, &out);
		assert_int_equal(frame.len, IPV4_HEADER_LEN + out.len);
		struct ipv4_header h = {.src = path->src,
			.dst = dst,
			.tos = out.tos,
			.ttl = out.ttl ? out.ttl : 64,
			.protocol = out.protocol,
			.total_len = (uint16_t)frame.len,
			.id = load_be16(bytes + 4),
			.dont_fragment = out.dont_fragment};
		uint8_t expected[IPV4_HEADER_LEN];
		struct writer w = {expected};
		tern_ipv4_emit(&w, &h);
		assert_memory_equal(bytes, expected, IPV4_HEADER_LEN);
		assert_true(!out.dont_fragment || h.id == 0);
	}
	assert_int_equal(net.core.counter[TERN_COUNT_IpOutRequests], 2000);
	tern_path_put(&net.ip, path);
	net_end(&net);
}

static void identifications_count_up_for_one_destination_and_tell_nothing_of_another(void **state)
{
	(void)state;
	struct net net;
	net_begin(&net);
	uint16_t id[3][2];
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 2; k++) {
			struct ip_datagram d = {.dst = v4(FAR + k), .out.protocol = 200};
			struct reader r;
			assert_int_equal(tern_ip_send(&net.ip, &d), 0);
			assert_true(net_pull(&net));
			id[i][k] = net_out_ip(&net, &r).id;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal((uint16_t)(id[i + 1][0] - id[i][0]), 1);
		assert_int_equal((uint16_t)(id[i + 1][1] - id[i][1]), 1);
	}
	assert_true(abs(id[0][0] - id[0][1]) > 16);
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_wins_whatever_the_order),
		cmocka_unit_test(lookups_agree_with_a_plain_search),
		cmocka_unit_test(a_route_is_refused_when_it_makes_no_sense),
		cmocka_unit_test(the_table_holds_sixty_four_routes),
		cmocka_unit_test(the_source_shares_a_network_with_the_next_hop),
		cmocka_unit_test(paths_of_a_pair_are_one_and_go_with_the_last_user),
		cmocka_unit_test(a_path_is_refused_with_a_reason),
		cmocka_unit_test(our_own_addresses_are_reached_through_the_loopback),
		cmocka_unit_test(a_path_follows_a_route_that_is_added_later),
		cmocka_unit_test(
			a_learnt_mtu_has_a_floor_only_shrinks_and_is_forgotten_in_ten_minutes),
		cmocka_unit_test(emitted_headers_are_what_the_codec_would_write),
		cmocka_unit_test(
			identifications_count_up_for_one_destination_and_tell_nothing_of_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
