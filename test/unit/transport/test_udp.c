#include "test/unit/network/fixture.h"

#include "transport/udp.h"
#include "wire/udp.h"

/* As much of a stack as UDP asks for. */
struct tern_stack {
	struct net net;
	struct udp udp;
};

struct udp *tern_stack_udp(struct tern_stack *stack)
{
	return &stack->udp;
}

const struct udp *tern_stack_udp_const(const struct tern_stack *stack)
{
	return &stack->udp;
}

static bool deliver(struct net *net, const struct ip_in *in)
{
	struct tern_stack *s = net->more;
	return in->protocol == IPPROTO_UDP_NUM && tern_udp_deliver(&s->udp, in);
}

static void error(struct net *net, const struct ip_error *e)
{
	struct tern_stack *s = net->more;
	tern_udp_error(&s->udp, e);
}

static struct tern_stack *begin(void)
{
	struct tern_stack *s = malloc(sizeof *s);
	assert_non_null(s);
	net_begin(&s->net);
	s->net.more = s;
	s->net.deliver = deliver;
	s->net.error = error;
	tern_udp_init(&s->udp, &s->net.core, &s->net.ip);
	return s;
}

static void end(struct tern_stack *s)
{
	tern_udp_fini(&s->udp);
	assert_null(s->net.core.notices);
	net_end(&s->net);
	free(s);
}

static struct tern_endpoint at(uint32_t addr, uint16_t port)
{
	return (struct tern_endpoint){v4(addr), port};
}

static struct tern_udp open_with(struct tern_stack *s, const struct tern_udp_opts *opts)
{
	struct tern_udp u;
	assert_int_equal(tern_udp_open(s, opts, &u), 0);
	return u;
}

static struct tern_udp open_on(struct tern_stack *s, uint32_t addr, uint16_t port)
{
	return open_with(s, &(struct tern_udp_opts){.local = at(addr, port)});
}

static struct tern_udp open_to(struct tern_stack *s, uint16_t local, uint32_t remote, uint16_t port)
{
	return open_with(s,
		&(struct tern_udp_opts){.local.port = local, .remote = at(remote, port)});
}

/* A datagram arrives. */
static void arrives(struct tern_stack *s, struct tern_endpoint from, struct tern_endpoint to,
	const void *data, uint32_t len)
{
	static uint8_t bytes[65535];
	struct udp_header h = {.src_port = from.port,
		.dst_port = to.port,
		.len = (uint16_t)(UDP_HEADER_LEN + len)};
	struct writer w = {bytes};
	tern_udp_emit(&w, &h, tern_pseudo_sum(&from.addr, &to.addr, IPPROTO_UDP_NUM, h.len),
		len ? tern_csum_portable()->sum(data, len) : 0);
	if (len > 0)
		memcpy(w.at, data, len);
	net_in(&s->net, &(struct net_packet){.src = addr_v4_bits(&from.addr),
				.dst = addr_v4_bits(&to.addr),
				.protocol = IPPROTO_UDP_NUM,
				.data = bytes,
				.len = h.len});
}

static ptrdiff_t receive(struct tern_stack *s, struct tern_udp u, struct tern_endpoint *from)
{
	return tern_udp_recv(s, u, s->net.data, sizeof s->net.data, from, NULL);
}

/* What the next event is about; NULL if there is none. */
static struct notice *next_notice(struct tern_stack *s)
{
	struct notice *n = s->net.core.notices;
	if (n)
		tern_notice_cancel(&s->net.core, n);
	return n;
}

static void a_datagram_goes_out_well_formed(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_on(s, 0, 5353);
	static uint8_t data[1472];
	struct test_rand rand = {4};
	struct tern_endpoint to = at(PEER, 53), local;
	test_rand_fill(&rand, data, sizeof data);
	for (uint32_t len = 0; len <= sizeof data; len += 23) {
		struct reader r;
		struct udp_header h;
		assert_int_equal(tern_udp_send(s, u, data, len, &to), 0);
		assert_true(net_pull(&s->net));
		struct ipv4_header ip = net_out_ip(&s->net, &r);
		uint64_t pseudo = tern_pseudo_sum(&ip.src, &ip.dst, 17, (uint32_t)reader_left(&r));
		assert_int_equal(tern_udp_parse(&r, tern_csum_portable(), &pseudo, &h),
			TERN_DROP_NONE);
		assert_true(h.has_checksum);
		assert_int_equal(h.src_port, 5353);
		assert_int_equal(h.dst_port, 53);
		assert_int_equal(reader_left(&r), len);
		assert_memory_equal(r.at, data, len);
	}
	assert_int_equal(tern_udp_endpoint(s, u, &local), 0);
	assert_int_equal(local.port, 5353);
	end(s);
}

static void datagrams_are_received_whole_in_order_and_from_whom(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_on(s, 0, 7);
	struct tern_endpoint from, to;
	char small[4];
	assert_int_equal(receive(s, u, NULL), TERN_EAGAIN);
	arrives(s, at(PEER, 1000), at(OURS, 7), "first", 5);
	arrives(s, at(FAR, 2000), at(OURS, 7), "", 0);
	arrives(s, at(PEER, 1000), at(OURS, 7), "third", 5);
	assert_int_equal(tern_udp_recv(s, u, s->net.data, 100, &from, &to), 5);
	assert_memory_equal(s->net.data, "first", 5);
	assert_int_equal(addr_v4_bits(&from.addr), PEER);
	assert_int_equal(from.port, 1000);
	assert_int_equal(addr_v4_bits(&to.addr), OURS);
	assert_int_equal(to.port, 7);
	assert_int_equal(receive(s, u, &from), 0);
	assert_int_equal(from.port, 2000);
	assert_int_equal(tern_udp_recv(s, u, small, sizeof small, NULL, NULL), 5); /* cut */
	assert_memory_equal(small, "thir", 4);
	assert_int_equal(receive(s, u, NULL), TERN_EAGAIN);
	end(s);
}

static void the_best_match_receives(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_addr second = v4(0x0a4d0005);
	assert_int_equal(tern_link_addr_add(&s->net.link, NET_NIF, &second, 24), 0);
	struct tern_udp bound = open_on(s, OURS, 7);
	struct tern_udp bound2 = open_on(s, 0x0a4d0005, 7);
	struct tern_udp connected = open_to(s, 7, PEER, 1000);
	arrives(s, at(PEER, 1000), at(OURS, 7), "connected", 9);
	arrives(s, at(PEER, 1001), at(OURS, 7), "one", 3);
	arrives(s, at(PEER, 1000), at(0x0a4d0005, 7), "other", 5);
	assert_int_equal(receive(s, connected, NULL), 9);
	assert_int_equal(receive(s, bound, NULL), 3);
	assert_int_equal(receive(s, bound2, NULL), 5);
	assert_int_equal(receive(s, connected, NULL), TERN_EAGAIN);
	assert_int_equal(receive(s, bound, NULL), TERN_EAGAIN);
	end(s);
}

static void a_local_endpoint_is_taken_once(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u, first = open_on(s, OURS, 7);
	struct tern_udp_opts opts = {.local = at(OURS, 7)};
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EADDRINUSE);
	opts.local = at(0, 7);
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EADDRINUSE);
	assert_int_equal(tern_udp_close(s, first), 0);
	first = open_on(s, 0, 7);
	opts.local = at(OURS, 7);
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EADDRINUSE);
	opts.local = at(PEER, 8);
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EADDRNOTAVAIL);
	open_to(s, 9, PEER, 1);
	opts = (struct tern_udp_opts){.local.port = 9, .remote = at(PEER, 1)};
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EADDRINUSE);
	opts.remote.port = 0;
	assert_int_equal(tern_udp_open(s, &opts, &u), TERN_EINVAL);
	end(s);
}

static void chosen_ports_are_in_the_range_differ_and_run_out(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	static bool seen[65536];
	struct tern_udp u[500];
	struct tern_endpoint local;
	unsigned ascending = 0;
	uint16_t last = 0;
	memset(seen, 0, sizeof seen);
	s->net.core.set.ip_local_port_min = 40000;
	s->net.core.set.ip_local_port_max = 40499;
	for (unsigned i = 0; i < 500; i++) {
		u[i] = open_on(s, 0, 0);
		assert_int_equal(tern_udp_endpoint(s, u[i], &local), 0);
		assert_in_range(local.port, 40000, 40499);
		assert_false(seen[local.port]);
		seen[local.port] = true;
		ascending += i < 100 && local.port > last;
		last = local.port;
	}
	assert_in_range(ascending, 20, 80); /* no order to guess from */
	struct tern_udp more;
	assert_int_equal(tern_udp_open(s, &(struct tern_udp_opts){.user = s}, &more),
		TERN_EADDRNOTAVAIL);
	assert_int_equal(tern_udp_close(s, u[123]), 0);
	assert_int_equal(tern_udp_open(s, &(struct tern_udp_opts){.user = s}, &more), 0);
	assert_int_equal(tern_udp_count(&s->udp), 500);
	end(s);
}

static void what_queues_is_bounded_and_charged(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_with(s, &(struct tern_udp_opts){.local.port = 7, .rcvbuf = 10000});
	static uint8_t data[1000];
	size_t idle = s->net.core.mem.used;
	for (unsigned i = 0; i < 1000; i++)
		arrives(s, at(PEER, 1), at(OURS, 7), data, sizeof data);
	assert_in_range(s->net.core.mem.used - idle, 9000, 10000);
	assert_int_equal(net_dropped(&s->net, TERN_DROP_UDP_QUEUE_FULL), 991);
	assert_int_equal(s->net.core.counter[TERN_COUNT_UdpRcvbufErrors], 991);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(receive(s, u, NULL), 1000);
	assert_int_equal(s->net.core.mem.used, idle);
	/* Empty ones are not free of charge. */
	for (unsigned i = 0; i < 10000; i++)
		arrives(s, at(PEER, 1), at(OURS, 7), NULL, 0);
	assert_in_range(s->net.core.mem.used - idle, 1000, 10000);
	end(s);
}

static void damaged_datagrams_are_dropped_by_name(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_on(s, 0, 7);
	static const uint8_t bad_sum[] = {0, 1, 0, 7, 0, 9, 1, 1, 'x'};
	static const uint8_t too_long[] = {0, 1, 0, 7, 0, 10, 0, 0, 'x'};
	static const uint8_t no_sum[] = {0, 1, 0, 7, 0, 9, 0, 0, 'x', 'p', 'a', 'd'};
	struct net_packet p = {.src = PEER, .dst = OURS, .protocol = 17};
	p.data = bad_sum;
	p.len = sizeof bad_sum;
	net_in(&s->net, &p);
	assert_int_equal(net_dropped(&s->net, TERN_DROP_UDP_CHECKSUM), 1);
	p.data = too_long;
	net_in(&s->net, &p);
	p.len = 7;
	net_in(&s->net, &p);
	assert_int_equal(net_dropped(&s->net, TERN_DROP_UDP_MALFORMED), 2);
	assert_int_equal(s->net.core.counter[TERN_COUNT_UdpInErrors], 3);
	assert_false(net_pull(&s->net)); /* and not answered */
	p.data = no_sum;
	p.len = sizeof no_sum;
	net_in(&s->net, &p);
	assert_int_equal(receive(s, u, NULL), 1);
	end(s);
}

static void a_closed_port_is_answered_unreachable_to_one_station_only(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct reader r;
	struct icmpv4_message m;
	arrives(s, at(PEER, 1), at(OURS, 7), "x", 1);
	assert_true(net_pull(&s->net));
	net_out_ip(&s->net, &r);
	assert_int_equal(tern_icmpv4_parse(&r, tern_csum_portable(), &m), TERN_DROP_NONE);
	assert_int_equal(m.type, ICMP_UNREACHABLE);
	assert_int_equal(m.code, ICMP_CODE_PORT);
	arrives(s, at(PEER, 1), at(0x0a4d00ff, 7), "x", 1);
	assert_false(net_pull(&s->net));
	assert_int_equal(net_dropped(&s->net, TERN_DROP_UDP_NO_PORT), 2);
	assert_int_equal(s->net.core.counter[TERN_COUNT_UdpNoPorts], 2);
	end(s);
}

static void unreachable(struct tern_stack *s, uint8_t code, uint16_t local, uint16_t remote)
{
	uint8_t body[28], bytes[64];
	struct ipv4_header h = {.src = v4(OURS),
		.dst = v4(PEER),
		.ttl = 60,
		.protocol = 17,
		.total_len = 40};
	struct udp_header u = {.src_port = local, .dst_port = remote, .len = 20};
	struct writer w = {body};
	tern_ipv4_emit(&w, &h);
	tern_udp_emit(&w, &u, 0, 0);
	struct icmpv4_message m = {.type = ICMP_UNREACHABLE,
		.code = code,
		.body = body,
		.body_len = sizeof body};
	w.at = bytes;
	tern_icmpv4_emit(&w, tern_csum_portable(), &m);
	net_in(&s->net, &(struct net_packet){.src = PEER,
				.dst = OURS,
				.protocol = 1,
				.data = bytes,
				.len = ICMP_HEADER_LEN + sizeof body});
}

static void a_connected_socket_is_refused_once(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_to(s, 4000, PEER, 7), listening = open_on(s, 0, 5000);
	unreachable(s, ICMP_CODE_HOST, 4000, 7); /* soft */
	unreachable(s, ICMP_CODE_PORT, 4000, 8); /* of another peer */
	unreachable(s, ICMP_CODE_PORT, 5000, 7); /* nobody's peer in particular */
	unreachable(s, ICMP_CODE_PORT, 4001, 7); /* nobody's */
	assert_null(next_notice(s));
	assert_int_equal(net_dropped(&s->net, TERN_DROP_ICMP_UNRELATED), 2);
	unreachable(s, ICMP_CODE_PORT, 4000, 7);
	assert_non_null(next_notice(s));
	assert_int_equal(receive(s, u, NULL), TERN_ECONNREFUSED);
	assert_int_equal(receive(s, u, NULL), TERN_EAGAIN);
	unreachable(s, ICMP_CODE_PORT, 4000, 7);
	assert_int_equal(tern_udp_send(s, u, "x", 1, NULL), TERN_ECONNREFUSED);
	assert_int_equal(tern_udp_send(s, u, "x", 1, NULL), 0);
	assert_int_equal(receive(s, listening, NULL), TERN_EAGAIN);
	end(s);
}

static void sending_is_refused_with_a_reason(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	static uint8_t data[65508];
	struct tern_udp u = open_on(s, 0, 0), c = open_to(s, 0, PEER, 7);
	struct tern_udp b = open_with(s, &(struct tern_udp_opts){.broadcast = true});
	struct tern_endpoint to = at(PEER, 7), nowhere = at(PEER, 0), all = at(UINT32_MAX, 7);
	assert_int_equal(tern_udp_send(s, u, data, 65508, &to), TERN_EMSGSIZE);
	assert_int_equal(tern_udp_send(s, u, data, 1, NULL), TERN_EINVAL);
	assert_int_equal(tern_udp_send(s, u, data, 1, &nowhere), TERN_EINVAL);
	assert_int_equal(tern_udp_send(s, c, data, 1, &to), TERN_EISCONN);
	assert_int_equal(tern_udp_send(s, u, data, 1, &all), TERN_EACCES);
	assert_int_equal(tern_udp_send(s, b, data, 1, &all), 0);
	assert_int_equal(tern_udp_send(s, u, data, 65507, &to), 0); /* in 45 fragments */
	assert_int_equal(net_drain(&s->net), 46);
	while (tern_udp_send(s, u, data, 1400, &to) == 0)
		assert_true(s->net.link.nif[NET_NIF].queued <= NIF_QUEUE_PACKETS);
	assert_int_equal(tern_udp_send(s, u, data, 1400, &to), TERN_EAGAIN);
	assert_int_equal(s->net.core.counter[TERN_COUNT_UdpSndbufErrors], 2);
	end(s);
}

static void a_broadcast_is_received_by_a_socket_on_any_address(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp any = open_on(s, 0, 67), one = open_on(s, OURS, 68);
	struct tern_endpoint to;
	arrives(s, at(PEER, 1), at(0x0a4d00ff, 67), "x", 1);
	arrives(s, at(PEER, 1), at(0x0a4d00ff, 68), "x", 1);
	assert_int_equal(tern_udp_recv(s, any, s->net.data, 9, NULL, &to), 1);
	assert_int_equal(addr_v4_bits(&to.addr), 0x0a4d00ff);
	assert_int_equal(receive(s, one, NULL), TERN_EAGAIN);
	end(s);
}

static void an_event_is_told_with_its_owner(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	int mine;
	struct tern_udp handle,
		u = open_with(s, &(struct tern_udp_opts){.local.port = 7, .user = &mine});
	void *user;
	arrives(s, at(PEER, 1), at(OURS, 7), "x", 1);
	arrives(s, at(PEER, 1), at(OURS, 7), "x", 1);
	struct notice *n = s->net.core.notices;
	assert_non_null(n);
	assert_int_equal(n->owner, NOTICE_UDP);
	assert_int_equal(n->pending, NOTICE(TERN_EV_UDP));
	tern_udp_notice_owner(&s->udp, n, &handle, &user);
	assert_ptr_equal(user, &mine);
	assert_int_equal(handle.slot, u.slot);
	assert_int_equal(handle.generation, u.generation);
	next_notice(s);
	assert_null(next_notice(s)); /* two datagrams, one event */
	arrives(s, at(PEER, 1), at(OURS, 7), "x", 1);
	assert_int_equal(tern_udp_close(s, u), 0);
	assert_null(next_notice(s)); /* none for the dead */
	end(s);
}

static void every_socket_is_listed_with_what_waits_in_it(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	int mine;
	struct tern_udp bound = open_with(s,
		&(struct tern_udp_opts){.local = at(0, 53), .rcvbuf = 5000, .user = &mine});
	struct tern_udp gone = open_on(s, 0, 54);
	struct tern_udp connected = open_to(s, 99, PEER, 7);
	struct tern_udp_info info;
	uint32_t cursor = 0;
	unsigned seen = 0;
	assert_int_equal(tern_udp_close(s, gone), 0);
	arrives(s, at(PEER, 7), at(OURS, 53), "abc", 3);
	for (; tern_udp_each(s, &cursor, &info); seen++) {
		bool is_bound = info.local.port == 53;
		assert_int_equal(info.local.port, is_bound ? 53 : 99);
		assert_int_equal(info.remote.port, is_bound ? 0 : 7);
		assert_true(is_bound ? info.queued > 3 : info.queued == 0);
		assert_ptr_equal(info.user, is_bound ? &mine : NULL);
		if (is_bound)
			assert_int_equal(info.rcvbuf, 5000);
	}
	assert_int_equal(seen, 2);
	assert_int_equal(tern_udp_close(s, bound), 0);
	assert_int_equal(tern_udp_close(s, connected), 0);
	cursor = 0;
	assert_false(tern_udp_each(s, &cursor, &info));
	end(s);
}

static void a_stale_handle_is_an_error(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp old = open_on(s, 0, 7), none = {0, 0};
	struct tern_endpoint ep;
	assert_int_equal(tern_udp_close(s, old), 0);
	struct tern_udp young = open_on(s, 0, 7);
	assert_int_equal(young.slot, old.slot);
	assert_int_equal(tern_udp_close(s, old), TERN_ESTALE);
	assert_int_equal(receive(s, old, NULL), TERN_ESTALE);
	assert_int_equal(tern_udp_send(s, old, "x", 1, NULL), TERN_ESTALE);
	assert_int_equal(tern_udp_endpoint(s, old, &ep), TERN_ESTALE);
	assert_int_equal(receive(s, none, NULL), TERN_ESTALE);
	end(s);
}

static void what_is_sent_to_ourselves_goes_over_the_loopback(void **state)
{
	(void)state;
	struct tern_stack *s = begin();
	struct tern_udp u = open_on(s, 0, 7), v = open_to(s, 0, 0x7f000001, 7);
	struct tern_endpoint from;
	static uint8_t data[60000];
	assert_int_equal(tern_udp_send(s, v, data, sizeof data, NULL), 0);
	assert_true(net_pull_from(&s->net, TERN_NIF_LOOPBACK));
	struct tern_frame frame = {.data = s->net.out, .len = s->net.out_len};
	tern_ip_input(&s->net.ip, 0, &frame, frame.data, frame.len, false);
	assert_int_equal(receive(s, u, &from), sizeof data);
	assert_int_equal(addr_v4_bits(&from.addr), 0x7f000001);
	end(s);
}

static void no_memory_is_a_refusal_and_leaks_nothing(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 12; k++) {
		struct tern_stack *s = begin();
		struct tern_udp u = {0, 0};
		struct tern_endpoint to = at(PEER, 1);
		test_heap_fail_after(&s->net.heap, k);
		int err = tern_udp_open(s, &(struct tern_udp_opts){.local.port = 7}, &u);
		assert_true(err == 0 || err == TERN_ENOMEM);
		if (err == 0) {
			arrives(s, at(PEER, 1), at(OURS, 7), "x", 1);
			err = tern_udp_send(s, u, "x", 1, &to);
			assert_true(err == 0 || err == TERN_ENOMEM);
		}
		test_heap_relent(&s->net.heap);
		end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_datagram_goes_out_well_formed),
		cmocka_unit_test(datagrams_are_received_whole_in_order_and_from_whom),
		cmocka_unit_test(the_best_match_receives),
		cmocka_unit_test(a_local_endpoint_is_taken_once),
		cmocka_unit_test(chosen_ports_are_in_the_range_differ_and_run_out),
		cmocka_unit_test(what_queues_is_bounded_and_charged),
		cmocka_unit_test(damaged_datagrams_are_dropped_by_name),
		cmocka_unit_test(a_closed_port_is_answered_unreachable_to_one_station_only),
		cmocka_unit_test(a_connected_socket_is_refused_once),
		cmocka_unit_test(sending_is_refused_with_a_reason),
		cmocka_unit_test(a_broadcast_is_received_by_a_socket_on_any_address),
		cmocka_unit_test(an_event_is_told_with_its_owner),
		cmocka_unit_test(every_socket_is_listed_with_what_waits_in_it),
		cmocka_unit_test(a_stale_handle_is_an_error),
		cmocka_unit_test(what_is_sent_to_ourselves_goes_over_the_loopback),
		cmocka_unit_test(no_memory_is_a_refusal_and_leaks_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
