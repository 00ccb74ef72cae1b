#include "test/unit/network/fixture.h"

static const struct mac broadcast = {{255, 255, 255, 255, 255, 255}};
static const struct mac us = {{2, 0, 0, 0, 0, 2}};
static const struct mac peer = {{2, 0, 0, 0, 0, 1}};
static const struct mac other = {{2, 0, 0, 0, 0, 9}};

static void begin(struct net *net)
{
	net_begin_with(net, false);
	net_wait(net, 3 * SECOND); /* past the second announcement */
	net_drain(net);
}

static void arp_in(struct net *net, uint16_t op, struct mac to, struct mac sender_mac,
	uint32_t sender, uint32_t target)
{
	uint8_t bytes[ETH_HEADER_LEN + ARP_LEN];
	struct writer w = {bytes};
	struct eth_header eth = {.dst = to, .src = sender_mac, .type = ETHERTYPE_ARP};
	struct arp_packet arp = {.op = op,
		.sender_mac = sender_mac,
		.sender = v4(sender),
		.target = v4(target)};
	tern_eth_emit(&w, &eth);
	tern_arp_emit(&w, &arp);
	struct tern_frame frame = {.data = bytes, .len = sizeof bytes};
	tern_link_input(&net->link, NET_NIF, &frame);
}

static void peer_replies(struct net *net)
{
	arp_in(net, ARP_REPLY, us, peer, PEER, OURS);
}

struct sent {
	struct eth_header eth;
	struct arp_packet arp; /* if it is one */
	uint32_t dst;          /* else the IP destination */
	uint16_t id;
};

static bool pull(struct net *net, struct sent *s)
{
	if (!net_pull(net))
		return false;
	memset(s, 0, sizeof *s);
	struct reader r = reader(net->out, net->out_len);
	assert_int_equal(tern_eth_parse(&r, &s->eth), TERN_DROP_NONE);
	assert_true(mac_equal(&s->eth.src, &us));
	if (s->eth.type == ETHERTYPE_ARP) {
		assert_int_equal(tern_arp_parse(&r, &s->arp), TERN_DROP_NONE);
		assert_true(mac_equal(&s->arp.sender_mac, &us));
		return true;
	}
	struct ipv4_header h;
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
	s->dst = addr_v4_bits(&h.dst);
	s->id = load_be16(r.at);
	return true;
}

/* The next frame is a request for that address, to everybody or to one. */
static void assert_asks(struct net *net, uint32_t target, const struct mac *whom)
{
	struct sent s;
	assert_true(pull(net, &s));
	assert_int_equal(s.eth.type, ETHERTYPE_ARP);
	assert_int_equal(s.arp.op, ARP_REQUEST);
	assert_int_equal(addr_v4_bits(&s.arp.target), target);
	assert_int_equal(addr_v4_bits(&s.arp.sender), OURS);
	assert_true(mac_equal(&s.eth.dst, whom));
}

static int send_to(struct net *net, uint32_t dst, uint16_t id)
{
	uint8_t body[8];
	store_be16(body, id);
	struct ip_datagram d = {.dst = v4(dst),
		.out.protocol = 17,
		.body = body,
		.body_len = sizeof body};
	return tern_ip_send(&net->ip, &d);
}

static void assert_goes(struct net *net, uint32_t dst, uint16_t id, const struct mac *to)
{
	struct sent s;
	assert_true(pull(net, &s));
	assert_int_equal(s.eth.type, ETHERTYPE_IPV4);
	assert_int_equal(s.dst, dst);
	assert_int_equal(s.id, id);
	assert_true(mac_equal(&s.eth.dst, to));
}

static enum link_answer resolve(struct net *net, uint32_t addr, struct mac *mac)
{
	struct tern_addr a = v4(addr);
	return tern_link_resolve(&net->link, NET_NIF, &a, mac);
}

static void learn_peer(struct net *net)
{
	struct mac mac;
	assert_int_equal(resolve(net, PEER, &mac), LINK_PENDING);
	net_drain(net);
	peer_replies(net);
	assert_int_equal(resolve(net, PEER, &mac), LINK_READY);
	assert_true(mac_equal(&mac, &peer));
}

static void a_new_address_is_announced_twice(void **state)
{
	(void)state;
	struct net net;
	struct sent s;
	net_begin_core(&net, 1u << 20);
	net_add_nif(&net, false, OURS, 24);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(pull(&net, &s));
		assert_true(mac_equal(&s.eth.dst, &broadcast));
		assert_int_equal(s.arp.op, ARP_REQUEST);
		assert_int_equal(addr_v4_bits(&s.arp.sender), OURS);
		assert_int_equal(addr_v4_bits(&s.arp.target), OURS);
		assert_false(pull(&net, &s));
		net_wait(&net, 2 * SECOND + SECOND / 1000);
	}
	assert_false(pull(&net, &s));
	assert_int_equal(tern_link_deadline(&net.link), TERN_NEVER);
	net_end(&net);
}

static void an_unknown_neighbour_is_asked_for_each_second_and_then_given_up(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	assert_int_equal(send_to(&net, PEER, 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_asks(&net, PEER, &broadcast);
		assert_false(net_pull(&net));
		assert_int_equal(resolve(&net, PEER, &mac), LINK_PENDING);
		assert_int_equal(net.errors, 0);
		net_wait(&net, SECOND + SECOND / 1000);
	}
	assert_false(net_pull(&net));
	assert_int_equal(net.changed, 1);
	assert_int_equal(net_dropped(&net, TERN_DROP_NEIGH_UNREACHABLE), 1);
	assert_int_equal(net.errors, 1);
	assert_int_equal(net.last_error.err, TERN_EHOSTUNREACH);
	assert_int_equal(net.last_error.protocol, 17);
	assert_int_equal(addr_v4_bits(&net.last_error.src), OURS);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_FAILED);
	assert_int_equal(send_to(&net, PEER, 2), TERN_EHOSTUNREACH);
	net_wait(&net, SECOND + SECOND / 1000);
	assert_int_equal(net.link.neighbours.live, 0);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_PENDING);
	net_end(&net);
}

static void packets_that_waited_go_in_order_when_the_answer_comes(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	for (uint16_t i = 0; i < 10; i++)
		assert_int_equal(send_to(&net, FAR, i), 0); /* through the gateway, PEER */
	assert_asks(&net, PEER, &broadcast);
	assert_false(net_pull(&net));
	peer_replies(&net);
	assert_int_equal(net.changed, 1);
	for (uint16_t i = 0; i < 10; i++)
		assert_goes(&net, FAR, i, &peer);
	assert_int_equal(net.link.held_bytes, 0);
	net_end(&net);
}

static void behind_an_unknown_neighbour_the_newest_sixteen_wait(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	for (uint16_t i = 0; i < 100; i++)
		assert_int_equal(send_to(&net, PEER, i), 0);
	assert_int_equal(net_dropped(&net, TERN_DROP_NEIGH_QUEUE_FULL), 84);
	net_drain(&net);
	peer_replies(&net);
	for (uint16_t i = 84; i < 100; i++)
		assert_goes(&net, PEER, i, &peer);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void what_waits_behind_all_neighbours_is_bounded_in_bytes(void **state)
{
	(void)state;
	struct net net;
	static uint8_t body[1400];
	net_begin_core(&net, 1u << 20);
	net_add_nif(&net, false, OURS, 16);
	for (uint32_t i = 0; i < 3000; i++) {
		struct ip_datagram d = {.dst = v4(0x0a4d1000 + i % 1000),
			.out.protocol = 17,
			.body = body,
			.body_len = sizeof body};
		tern_ip_send(&net.ip, &d);
		net_drain(&net);
	}
	assert_in_range(net.link.held_bytes, 1, (1u << 20) / 4);
	assert_true(net_dropped(&net, TERN_DROP_NEIGH_QUEUE_FULL) > 1000);
	net_end(&net);
}

static void a_request_for_us_is_answered_and_its_sender_remembered(void **state)
{
	(void)state;
	struct net net;
	struct sent s;
	begin(&net);
	arp_in(&net, ARP_REQUEST, broadcast, peer, PEER, OURS);
	assert_true(pull(&net, &s));
	assert_int_equal(s.arp.op, ARP_REPLY);
	assert_true(mac_equal(&s.eth.dst, &peer));
	assert_true(mac_equal(&s.arp.target_mac, &peer));
	assert_int_equal(addr_v4_bits(&s.arp.sender), OURS);
	assert_int_equal(addr_v4_bits(&s.arp.target), PEER);
	assert_int_equal(send_to(&net, PEER, 5), 0);
	assert_goes(&net, PEER, 5, &peer);
	net_end(&net);
}

static void what_was_not_meant_for_us_teaches_us_nothing(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	arp_in(&net, ARP_REQUEST, broadcast, peer, PEER, 0x0a4d0063); /* for another */
	arp_in(&net, ARP_REPLY, us, peer, PEER, OURS);                /* not asked for */
	arp_in(&net, ARP_REPLY, broadcast, peer, PEER, OURS);
	arp_in(&net, ARP_REQUEST, broadcast, peer, PEER, PEER); /* an announcement */
	arp_in(&net, ARP_REPLY, broadcast, peer, PEER, PEER);
	assert_int_equal(net.link.neighbours.live, 0);
	assert_int_equal(net_dropped(&net, TERN_DROP_ARP_NOT_OURS), 3);
	arp_in(&net, ARP_REQUEST, broadcast, peer, FAR, OURS); /* from beyond the link */
	arp_in(&net, ARP_REQUEST, broadcast, peer, 0x0a4d00ff, OURS);
	assert_int_equal(net.link.neighbours.live, 0);
	net_end(&net);
}

static void a_later_answer_from_another_changes_nothing(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	learn_peer(&net);
	arp_in(&net, ARP_REPLY, us, other, PEER, OURS);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	assert_true(mac_equal(&mac, &peer));
	assert_int_equal(net_dropped(&net, TERN_DROP_ARP_NOT_OURS), 1);
	net_end(&net);
}

static void an_answer_to_everybody_does_not_count(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_PENDING);
	arp_in(&net, ARP_REPLY, broadcast, other, PEER, OURS);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_PENDING);
	net_end(&net);
}

static void an_announcement_of_another_mac_is_checked_with_the_old_one(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	learn_peer(&net);
	arp_in(&net, ARP_REQUEST, broadcast, other, PEER, PEER);
	assert_asks(&net, PEER, &peer); /* by unicast */
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	peer_replies(&net); /* it is still there: a lie */
	net_wait(&net, 5 * SECOND);
	assert_false(net_pull(&net));
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	assert_true(mac_equal(&mac, &peer));
	net_end(&net);
}

static void a_neighbour_that_moved_to_another_mac_is_found_again(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	learn_peer(&net);
	int err;
	struct tern_addr none = v4(0), dst = v4(PEER);
	struct path *path = tern_path_get(&net.ip, &none, &dst, &err);
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
	arp_in(&net, ARP_REQUEST, broadcast, other, PEER, PEER);
	for (unsigned i = 0; i < 3; i++) {
		assert_asks(&net, PEER, &peer);
		assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
		arp_in(&net, ARP_REPLY, us, other, PEER, OURS); /* not who was asked */
		net_wait(&net, SECOND + SECOND / 1000);
	}
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_PENDING);
	assert_asks(&net, PEER, &broadcast);
	arp_in(&net, ARP_REPLY, us, other, PEER, OURS);
	assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
	assert_true(mac_equal(&path->mac, &other));
	uint8_t bytes[64];
	struct tern_frame frame = {.data = bytes, .capacity = sizeof bytes};
	tern_path_emit(&net.ip, path, &frame, &(struct ip_out){.protocol = 6});
	assert_memory_equal(bytes, other.byte, 6);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	tern_path_put(&net.ip, path);
	net_end(&net);
}

static void a_stale_neighbour_that_asks_from_another_mac_is_believed(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	learn_peer(&net);
	net_wait(&net, 60 * SECOND);
	arp_in(&net, ARP_REQUEST, broadcast, other, PEER, OURS);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	assert_true(mac_equal(&mac, &other));
	net_end(&net);
}

static void a_neighbour_in_use_is_asked_again_by_unicast_one_that_idles_is_not(void **state)
{
	(void)state;
	struct net net;
	begin(&net);
	learn_peer(&net);
	net_wait(&net, 1000 * SECOND); /* idle */
	assert_false(net_pull(&net));
	assert_int_equal(tern_link_deadline(&net.link), TERN_NEVER);
	assert_int_equal(send_to(&net, PEER, 3), 0); /* used: five seconds' grace */
	assert_goes(&net, PEER, 3, &peer);
	net_wait(&net, 4 * SECOND);
	assert_false(net_pull(&net));
	net_wait(&net, SECOND + SECOND / 1000);
	assert_asks(&net, PEER, &peer);
	peer_replies(&net);
	net_wait(&net, 10 * SECOND);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void a_path_in_use_brings_its_neighbour_to_be_checked(void **state)
{
	(void)state;
	struct net net;
	int err;
	begin(&net);
	learn_peer(&net);
	struct tern_addr none = v4(0), dst = v4(PEER);
	struct path *path = tern_path_get(&net.ip, &none, &dst, &err);
	unsigned asked = 0;
	for (unsigned ms = 0; ms < 60000; ms += 100) {
		assert_int_equal(tern_path_ready(&net.ip, path), LINK_READY);
		net_wait(&net, SECOND / 10);
		while (net_pull(&net)) {
			asked++;
			peer_replies(&net);
		}
	}
	assert_in_range(asked, 1, 4);
	tern_path_put(&net.ip, path);
	net_end(&net);
}

static void a_neighbour_a_higher_layer_vouches_for_is_not_asked(void **state)
{
	(void)state;
	struct net net;
	struct tern_addr dst = v4(PEER);
	begin(&net);
	learn_peer(&net);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(send_to(&net, PEER, 3), 0);
		assert_goes(&net, PEER, 3, &peer);
		tern_link_confirm(&net.link, NET_NIF, &dst);
		net_wait(&net, SECOND);
	}
	assert_false(net_pull(&net));
	net_end(&net);
}

/* Negative advice (RFC 1122 4.2.3.5): the station itself is asked, and sending goes on meanwhile.
 */
static void a_neighbour_a_higher_layer_doubts_is_asked_itself(void **state)
{
	(void)state;
	struct net net;
	struct sent s;
	struct tern_addr dst = v4(PEER);
	begin(&net);
	learn_peer(&net);
	tern_link_doubt(&net.link, NET_NIF, &dst);
	tern_link_doubt(&net.link, NET_NIF, &dst); /* once is enough */
	assert_true(pull(&net, &s));
	assert_true(mac_equal(&s.eth.dst, &peer));
	assert_int_equal(s.arp.op, ARP_REQUEST);
	assert_false(net_pull(&net));
	assert_int_equal(send_to(&net, PEER, 3), 0);
	assert_goes(&net, PEER, 3, &peer);
	net_end(&net);
}

static void our_address_is_defended_once_in_ten_seconds(void **state)
{
	(void)state;
	struct net net;
	struct sent s;
	begin(&net);
	unsigned defended = 0;
	for (unsigned i = 0; i < 100; i++) { /* ten seconds */
		arp_in(&net, i % 2 ? ARP_REQUEST : ARP_REPLY, broadcast, other, OURS, OURS);
		while (pull(&net, &s)) {
			assert_true(mac_equal(&s.eth.dst, &broadcast));
			assert_int_equal(addr_v4_bits(&s.arp.sender), OURS);
			defended++;
		}
		net_wait(&net, SECOND / 10);
	}
	assert_int_equal(defended, 1);
	arp_in(&net, ARP_REQUEST, broadcast, other, OURS, PEER);
	assert_int_equal(net_drain(&net), 1);
	assert_int_equal(net_dropped(&net, TERN_DROP_ARP_CONFLICT), 101);
	assert_int_equal(net.link.neighbours.live, 0);
	net_end(&net);
}

static void a_probe_for_our_address_is_answered_and_not_remembered(void **state)
{
	(void)state;
	struct net net;
	struct sent s;
	begin(&net);
	arp_in(&net, ARP_REQUEST, broadcast, other, 0, OURS);
	assert_true(pull(&net, &s));
	assert_int_equal(s.arp.op, ARP_REPLY);
	assert_int_equal(net.link.neighbours.live, 0);
	net_end(&net);
}

static void impossible_senders_are_dropped(void **state)
{
	(void)state;
	struct net net;
	static const uint32_t senders[] = {1, 0x7f000001, 0xe0000001, 0xf0000001, UINT32_MAX};
	begin(&net);
	for (unsigned i = 0; i < 5; i++)
		arp_in(&net, ARP_REQUEST, broadcast, other, senders[i], OURS);
	arp_in(&net, ARP_REQUEST, broadcast, broadcast, PEER, OURS);
	arp_in(&net, ARP_REQUEST, broadcast, (struct mac){{1, 0, 0, 0, 0, 9}}, PEER, OURS);
	arp_in(&net, ARP_REQUEST, broadcast, (struct mac){{0}}, PEER, OURS);
	arp_in(&net, ARP_REPLY, us, other, 0, OURS);
	assert_int_equal(net_dropped(&net, TERN_DROP_ARP_MARTIAN), 9);
	assert_false(net_pull(&net));
	assert_int_equal(net.link.neighbours.live, 0);
	net_end(&net);
}

static void frames_for_others_and_of_other_kinds_are_dropped_by_name(void **state)
{
	(void)state;
	struct net net;
	uint8_t bytes[60] = {0};
	struct tern_frame frame = {.data = bytes, .len = 13};
	begin(&net);
	tern_link_input(&net.link, NET_NIF, &frame);
	assert_int_equal(net_dropped(&net, TERN_DROP_ETH_SHORT), 1);
	frame.len = 60;
	memcpy(bytes, other.byte, 6);
	tern_link_input(&net.link, NET_NIF, &frame);
	assert_int_equal(net_dropped(&net, TERN_DROP_ETH_NOT_OURS), 1);
	memcpy(bytes, us.byte, 6);
	store_be16(bytes + 12, ETHERTYPE_IPV6);
	tern_link_input(&net.link, NET_NIF, &frame);
	assert_int_equal(net_dropped(&net, TERN_DROP_ETH_TYPE), 1);
	store_be16(bytes + 12, ETHERTYPE_ARP);
	tern_link_input(&net.link, NET_NIF, &frame);
	assert_int_equal(net_dropped(&net, TERN_DROP_ARP_MALFORMED), 1);
	net_end(&net);
}

static void a_flood_of_requests_holds_a_thousand_neighbours_and_none_in_use_goes(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	net_begin_core(&net, 64u << 20);
	net_add_nif(&net, false, OURS, 8);
	learn_peer(&net);
	assert_int_equal(resolve(&net, 0x0a4d0063, &mac), LINK_PENDING);
	for (uint32_t i = 0; i < 100000; i++) {
		arp_in(&net, ARP_REQUEST, broadcast, other, 0x0a500000 + i, OURS);
		net_drain(&net);
	}
	assert_int_equal(net.link.neighbours.live, 1024);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	arp_in(&net, ARP_REPLY, us, other, 0x0a4d0063, OURS);
	assert_int_equal(resolve(&net, 0x0a4d0063, &mac), LINK_READY);
	assert_true(net.core.mem.peak < 1u << 19);
	net_end(&net);
}

static void a_flood_of_unknown_next_hops_holds_a_thousand_and_wakes_those_evicted(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	net_begin_core(&net, 64u << 20);
	net_add_nif(&net, false, OURS, 8);
	learn_peer(&net);
	net.changed = 0;
	for (uint32_t i = 0; i < 100000; i++) {
		assert_int_equal(send_to(&net, 0x0a500000 + i, 1), 0);
		net_drain(&net);
	}
	assert_int_equal(net.link.neighbours.live, 1024);
	assert_int_equal(net_dropped(&net, TERN_DROP_NEIGH_TABLE_FULL), 100000 - 1023);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_READY);
	assert_int_equal(net.changed, 0);
	net_wait(&net, SECOND + SECOND / 1000);
	assert_int_equal(net.changed, 1);
	net_wait(&net, 10 * SECOND);
	assert_int_equal(net.link.neighbours.live, 1);
	assert_int_equal(net.link.held_bytes, 0);
	net_end(&net);
}

static void when_all_are_known_the_one_longest_unheard_goes(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	net.core.set.neigh_gc_thresh = 8;
	for (uint32_t i = 0; i < 9; i++) {
		resolve(&net, 0x0a4d0064 + i, &mac);
		arp_in(&net, ARP_REPLY, us, other, 0x0a4d0064 + i, OURS);
	}
	assert_int_equal(net.link.neighbours.live, 8);
	for (uint32_t i = 1; i < 9; i++)
		assert_int_equal(resolve(&net, 0x0a4d0064 + i, &mac), LINK_READY);
	assert_int_equal(resolve(&net, 0x0a4d0064, &mac), LINK_PENDING);
	net_end(&net);
}

static void no_memory_for_a_neighbour_is_an_answer(void **state)
{
	(void)state;
	struct net net;
	struct mac mac;
	begin(&net);
	test_heap_fail_after(&net.heap, 0);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_FAILED);
	arp_in(&net, ARP_REQUEST, broadcast, peer, PEER, OURS);
	test_heap_relent(&net.heap);
	assert_int_equal(net.link.neighbours.live, 0);
	assert_int_equal(resolve(&net, PEER, &mac), LINK_PENDING);
	net_end(&net);
}

static void groups_need_no_asking(void **state)
{
	(void)state;
	static const struct mac group = {{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}};
	struct net net;
	struct mac mac;
	begin(&net);
	assert_int_equal(resolve(&net, 0xe0810203, &mac), LINK_READY);
	assert_true(mac_equal(&mac, &group));
	struct ip_datagram d = {.dst = v4(0x0a4d00ff),
		.out.protocol = 17,
		.allow_broadcast = true,
		.body = "xxxxxxxx",
		.body_len = 8};
	assert_int_equal(tern_ip_send(&net.ip, &d), 0);
	assert_goes(&net, 0x0a4d00ff, 0x7878, &broadcast);
	assert_false(net_pull(&net));
	net_end(&net);
}

static void interfaces_and_addresses_are_refused_when_they_make_no_sense(void **state)
{
	(void)state;
	struct net net;
	struct tern_nif_opts opts = {.mtu = 67};
	begin(&net);
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_EINVAL);
	opts.mtu = 65536;
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_EINVAL);
	opts.mtu = 0;
	opts.mac[0] = 1;
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_EINVAL);
	opts.mac[0] = 0;
	for (int i = 2; i < TERN_NIF_MAX; i++) {
		assert_int_equal(tern_link_nif_add(&net.link, &opts), i);
		assert_int_equal(net.link.nif[i].opts.mac[0] & 3, 2);
		assert_int_equal(net.link.nif[i].opts.mtu, 1500);
	}
	assert_int_equal(tern_link_nif_add(&net.link, &opts), TERN_ENOSPC);
	static const struct {
		uint32_t addr;
		unsigned len;
		int nif, err;
	} tries[] = {
		{OURS, 24, 2, TERN_EEXIST},
		{0x0a4d0003, 33, 1, TERN_EINVAL},
		{0, 24, 1, TERN_EINVAL},
		{0x7f000002, 8, 1, TERN_EINVAL},
		{0xe0000001, 24, 1, TERN_EINVAL},
		{UINT32_MAX, 24, 1, TERN_EINVAL},
		{0x0a4e00ff, 24, 1, TERN_EINVAL},
		{0x0a4e0000, 24, 1, TERN_EINVAL},
		{0x0a4e0003, 24, 9, TERN_EINVAL},
		{0x0a4e0000, 31, 1, 0},
		{0x0a4e0003, 32, 1, 0},
		{0x0a4e0004, 24, 1, 0},
		{0x0a4e0005, 24, 1, TERN_ENOSPC},
	};
	for (unsigned i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		struct tern_addr a = v4(tries[i].addr);
		assert_int_equal(tern_link_addr_add(&net.link, tries[i].nif, &a, tries[i].len),
			tries[i].err);
	}
	net_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_address_is_announced_twice),
		cmocka_unit_test(a_neighbour_a_higher_layer_doubts_is_asked_itself),
		cmocka_unit_test(an_unknown_neighbour_is_asked_for_each_second_and_then_given_up),
		cmocka_unit_test(packets_that_waited_go_in_order_when_the_answer_comes),
		cmocka_unit_test(behind_an_unknown_neighbour_the_newest_sixteen_wait),
		cmocka_unit_test(what_waits_behind_all_neighbours_is_bounded_in_bytes),
		cmocka_unit_test(a_request_for_us_is_answered_and_its_sender_remembered),
		cmocka_unit_test(what_was_not_meant_for_us_teaches_us_nothing),
		cmocka_unit_test(a_later_answer_from_another_changes_nothing),
		cmocka_unit_test(an_answer_to_everybody_does_not_count),
		cmocka_unit_test(an_announcement_of_another_mac_is_checked_with_the_old_one),
		cmocka_unit_test(a_neighbour_that_moved_to_another_mac_is_found_again),
		cmocka_unit_test(a_stale_neighbour_that_asks_from_another_mac_is_believed),
		cmocka_unit_test(
			a_neighbour_in_use_is_asked_again_by_unicast_one_that_idles_is_not),
		cmocka_unit_test(a_path_in_use_brings_its_neighbour_to_be_checked),
		cmocka_unit_test(a_neighbour_a_higher_layer_vouches_for_is_not_asked),
		cmocka_unit_test(our_address_is_defended_once_in_ten_seconds),
		cmocka_unit_test(a_probe_for_our_address_is_answered_and_not_remembered),
		cmocka_unit_test(impossible_senders_are_dropped),
		cmocka_unit_test(frames_for_others_and_of_other_kinds_are_dropped_by_name),
		cmocka_unit_test(
			a_flood_of_requests_holds_a_thousand_neighbours_and_none_in_use_goes),
		cmocka_unit_test(
			a_flood_of_unknown_next_hops_holds_a_thousand_and_wakes_those_evicted),
		cmocka_unit_test(when_all_are_known_the_one_longest_unheard_goes),
		cmocka_unit_test(no_memory_for_a_neighbour_is_an_answer),
		cmocka_unit_test(groups_need_no_asking),
		cmocka_unit_test(interfaces_and_addresses_are_refused_when_they_make_no_sense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
