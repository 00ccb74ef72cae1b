/* The door under pressure: of memory, of the device, of neighbours that are not known yet. */
#include "peer.h"

static void flood_open(struct peer *p)
{
	peer_open(p);
	peer_set(p, "tcp_syncookies", 0);
	peer_set(p, "tcp_max_syn_source", 65000);
	peer_set(p, "tcp_max_syn_backlog", 4000);
	peer_listen_backlog(p, 4000);
}

/* Peers that close and come again must not eat a small budget. */
static void time_wait_does_not_starve_a_small_stack(void **state)
{
	(void)state;
	struct peer p;
	struct peer_setup setup = {.budget = (size_t)256 << 10};
	struct tern_memory_info m;
	peer_open_as(&p, &setup);
	peer_listen_backlog(&p, 10);
	unsigned i;
	for (i = 0; i < 20000; i++) {
		peer_syn(&p, (uint16_t)(1000 + i), NULL);
		if (!peer_take(&p) || p.last.flags != (TCP_SYN | TCP_ACK)) {
			break;
		}
		p.seq = 7001;
		p.ack = p.last.seq.v + 1;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		if (tern_tcp_accept(p.stack, p.listener, &p.conn) != 0) {
			break;
		}
		tern_tcp_close(p.stack, p.conn);
		peer_drain(&p);
		p.ack++;
		peer_fin(&p);
		peer_drain(&p);
		peer_wait(&p, MSEC);
	}
	tern_memory_info(p.stack, &m);
	assert_int_equal(i, 20000);
	peer_close(&p);
}

/* The ACK that the full accept queue dropped is said again later: it times nothing. */
static void the_rtt_of_one_that_waited_for_the_accept_queue(void **state)
{
	(void)state;
	struct peer p;
	struct tern_conn first;
	peer_open(&p);
	peer_listen_backlog(&p, 0);
	for (uint16_t port = 1000; port < 1002; port++) {
		peer_syn(&p, port, NULL);
		assert_true(peer_take(&p));
	}
	uint32_t ack2 = p.last.seq.v + 1;
	(void)ack2;
	peer_close(&p);
	peer_open(&p);
	peer_listen_backlog(&p, 0);
	peer_syn(&p, 1000, NULL);
	assert_true(peer_take(&p));
	uint32_t a1 = p.last.seq.v + 1;
	peer_syn(&p, 1001, NULL);
	assert_true(peer_take(&p));
	uint32_t a2 = p.last.seq.v + 1;
	p.seq = 7001;
	p.ack = a1;
	p.port = 1000;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	p.port = 1001;
	p.ack = a2;
	peer_wait(&p, 10 * MSEC);
	peer_say(&p, TCP_ACK, 0, NULL, 0); /* overflows */
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &first), 0);
	peer_wait(&p, 900 * MSEC);
	peer_say(&p, TCP_ACK, 0, "x", 1); /* the client's data */
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_true(peer_info(&p).rtt_us < 100000);
	peer_close(&p);
}

/* Many behind one gateway whose address is not known yet: none is lost. */
static void syn_acks_behind_an_unknown_gateway(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_config cfg;
	struct tern_addr addr = tern_addr_v4(10, 0, 0, 1), any = tern_addr_v4(0, 0, 0, 0),
			 gw = tern_addr_v4(10, 0, 0, 254);
	struct tern_nif_opts opts = {.name = "eth", .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
	uint64_t now = 1000 * SEC;
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&heap);
	struct tern_stack *s = tern_stack_new(&cfg, now);
	int nif = tern_nif_add(s, &opts);
	assert_int_equal(tern_nif_addr_add(s, nif, &addr, 24), 0);
	assert_int_equal(tern_route_add(s, &any, 0, &gw, nif), 0);
	struct tern_listen_opts lo = {.local.port = 80, .backlog = 1000};
	struct tern_listener l;
	assert_int_equal(tern_tcp_listen(s, &lo, &l), 0);
	uint8_t buf[2000];
	struct tern_frame f = {.data = buf, .capacity = sizeof buf};
	unsigned arps = 0, acks = 0;
	for (unsigned i = 0; i < 100; i++) {
		uint8_t b[100];
		struct writer w = {b};
		struct eth_header e = {.dst = {{2, 0, 0, 0, 0, 1}},
			.src = {{2, 0, 0, 0, 0, 2}},
			.type = ETHERTYPE_IPV4};
		tern_eth_emit(&w, &e);
		struct tern_addr src = tern_addr_v4(20, 0, 0, (uint8_t)(1 + i));
		struct ipv4_header h = {.src = src,
			.dst = addr,
			.ttl = 64,
			.protocol = IPPROTO_TCP_NUM,
			.header_len = 20,
			.total_len = 40};
		tern_ipv4_emit(&w, &h);
		struct tcp_segment t = {.src_port = 1000,
			.dst_port = 80,
			.seq = seq(1),
			.flags = TCP_SYN,
			.window = 1000};
		uint32_t len = tern_tcp_emit(b + 34, &t);
		assert_int_equal(len, 20);
		uint64_t sum = tern_pseudo_sum(&src, &addr, IPPROTO_TCP_NUM, len);
		store_be16(b + 34 + 16, csum_finish(sum + tern_csum_portable()->sum(b + 34, len)));
		struct tern_frame in = {.data = b, .len = 54};
		tern_input(s, nif, &in, 1, now);
	}
	while (tern_output(s, nif, &f, 1, now))
		arps++;
	/* the gateway answers after 5 ms */
	now += 5 * MSEC;
	uint8_t arp[42] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0,
		0, 0, 0, 2, 10, 0, 0, 254, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
	struct tern_frame in = {.data = arp, .len = 42};
	tern_input(s, nif, &in, 1, now);
	while (tern_output(s, nif, &f, 1, now))
		acks++;
	tern_stack_free(s);
	assert_true(acks >= 100);
}

/* Repeated SYNs draw no more than one SYN-ACK in tcp_invalid_ratelimit. */
static void a_repeated_syn_is_paced(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_segment s = {.seq = seq(7000),
		.flags = TCP_SYN,
		.window = 65535,
		.options = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK |
				   TCP_OPT_TIMESTAMP,
			.mss = 1400}};
	unsigned n = 0;
	peer_open(&p);
	peer_listen(&p);
	p.port = 1000;
	peer_send(&p, &s);
	peer_drain(&p);
	s.options.has = 0;
	for (unsigned i = 0; i < 1000; i++) {
		peer_send(&p, &s);
		while (peer_take(&p))
			n++;
	}
	assert_int_equal(n, 1);
	peer_close(&p);
}

/* Connections and SYN-ACKs take turns on the device. */
static void data_does_not_wait_for_all_syn_acks(void **state)
{
	(void)state;
	struct peer p;
	flood_open(&p);
	peer_connect(&p, 100, NULL);
	peer_drain(&p);
	for (unsigned i = 0; i < 2000; i++)
		peer_syn(&p, (uint16_t)(1000 + i), NULL);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "x", 1), 1);
	unsigned n = 0;
	while (peer_take(&p) && p.last.data_len == 0)
		n++;
	/* and when SYNs go on coming, one a frame */
	p.port = PEER_PORT;
	p.ack++;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "y", 1), 1);
	for (n = 0; n < 1500; n++) {
		peer_syn(&p, (uint16_t)(10000 + n), NULL);
		if (peer_take(&p) && p.last.data_len)
			break;
	}
	assert_true(n < 1000);
	peer_close(&p);
}

/* Resets, ARP and echo replies share the queue with SYN-ACKs, and find room. */
static void other_replies_find_room_beside_syn_acks(void **state)
{
	(void)state;
	struct peer p;
	flood_open(&p);
	for (unsigned i = 0; i < 2000; i++)
		peer_syn(&p, (uint16_t)(1000 + i), NULL);
	assert_true(peer_take(&p));
	p.stack_port = 9999;
	for (unsigned i = 0; i < 10; i++)
		peer_syn(&p, (uint16_t)(5000 + i), NULL);
	unsigned resets = 0;
	while (peer_take(&p))
		resets += p.last.flags & TCP_RST ? 1 : 0;
	assert_int_equal(resets, 10);
	peer_close(&p);
}

/* A listener that comes after one with half-open connections starts clean. */
static void reopened(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_syn(&p, 1000, NULL);
	assert_true(peer_take(&p));
	uint32_t iss = p.last.seq.v;
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_RST | TCP_ACK);
	struct tern_listen_opts o = {.local = {tern_addr_v4(10, 0, 0, 1), STACK_PORT},
		.backlog = 1};
	assert_int_equal(tern_tcp_listen(p.stack, &o, &p.listener), 0);
	p.seq = 7001;
	p.ack = iss + 1;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_RST);
	peer_close(&p);
}

/* Memory refused a larger table while a SYN takes over a pair in TIME_WAIT: the old one serves, and
 * the new number lies beyond the old connection's. */
static void a_takeover_while_memory_is_short(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 5000, NULL);
	peer_drain(&p);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	assert_true(peer_take(&p));
	p.ack++;
	peer_fin(&p);
	peer_drain(&p);
	peer_set(&p, "tcp_max_syn_backlog", 4000);
	struct tcp_segment s = {.seq = seq(p.seq + 1000), .flags = TCP_SYN, .window = 65535};
	test_heap_fail_once(&p.heap, 1);
	peer_send(&p, &s);
	test_heap_relent(&p.heap);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
	assert_true(seq_gt(p.last.seq, seq(p.ack + UINT16_MAX)));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_takeover_while_memory_is_short),
		cmocka_unit_test(time_wait_does_not_starve_a_small_stack),
		cmocka_unit_test(the_rtt_of_one_that_waited_for_the_accept_queue),
		cmocka_unit_test(syn_acks_behind_an_unknown_gateway),
		cmocka_unit_test(a_repeated_syn_is_paced),
		cmocka_unit_test(data_does_not_wait_for_all_syn_acks),
		cmocka_unit_test(other_replies_find_room_beside_syn_acks),
		cmocka_unit_test(reopened),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
