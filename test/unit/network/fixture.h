/*
 * A network layer of one interface (10.77.0.2/24, gateway 10.77.0.1), with a transport that
 * remembers what it is given, in virtual time:
 *
 *	struct net net;
 *	net_begin(&net);
 *	net_in(&net, &(struct net_packet){.src = PEER, .dst = OURS, ...});
 *	assert_int_equal(net.delivered, 1);
 *	net_end(&net);        asserts that nothing is leaked
 */
#ifndef TEST_UNIT_NETWORK_FIXTURE_H
#define TEST_UNIT_NETWORK_FIXTURE_H

#include "test/unit/support.h"

#include "base/ring.h"
#include "network/ip.h"
#include "wire/addr.h"
#include "wire/arp.h"
#include "wire/icmpv4.h"

#define OURS    0x0a4d0002u
#define PEER    0x0a4d0001u
#define FAR     0x08080808u
#define SECOND  1000000000ull
#define NET_NIF 1

static const uint8_t net_our_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t net_peer_mac[6] = {2, 0, 0, 0, 0, 1};

struct net {
	struct test_heap heap;
	struct core core;
	struct link link;
	struct ip ip;
	bool (*deliver)(struct net *net, const struct ip_in *in); /* NULL: take everything */
	void (*error)(struct net *net, const struct ip_error *error);
	unsigned delivered, errors, changed;
	bool refuse; /* deliver answers: nobody there */
	struct ip_in in;
	struct ip_error last_error;
	uint8_t data[65536]; /* of the last delivered */
	uint8_t out[70000];  /* the last frame pulled */
	uint32_t out_len;
	void *more; /* for the test */
};

static inline struct tern_addr v4(uint32_t bits)
{
	return tern_addr_v4((uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
		(uint8_t)bits);
}

static inline bool net_deliver(void *context, const struct ip_in *in)
{
	struct net *net = context;
	net->delivered++;
	net->in = *in;
	if (in->len > 0)
		memcpy(net->data, in->data, in->len);
	net->in.data = net->data;
	if (net->deliver)
		return net->deliver(net, in);
	return !net->refuse;
}

static inline void net_error(void *context, const struct ip_error *error)
{
	struct net *net = context;
	net->errors++;
	net->last_error = *error;
	net->last_error.data = NULL;
	if (net->error)
		net->error(net, error);
}

static inline void net_path_changed(void *context, int nif)
{
	struct net *net = context;
	assert_true(nif >= 0);
	net->changed++;
}

static inline void net_settings(struct settings *set)
{
#define TERN_SETTING(name, initial, min, max, text) set->name = initial;
#include <tern/settings.def>
#undef TERN_SETTING
}

/* The oldest frame waiting on an interface into net->out; false if there is none. */
static inline bool net_pull_from(struct net *net, int nif)
{
	struct tern_frame frame = {.data = net->out, .capacity = sizeof net->out};
	if (!tern_link_pull(&net->link, nif, &frame))
		return false;
	net->out_len = frame.len;
	return true;
}

static inline bool net_pull(struct net *net)
{
	return net_pull_from(net, NET_NIF);
}

static inline unsigned net_drain(struct net *net)
{
	unsigned n = 0;
	while (net_pull(net))
		n++;
	return n;
}

/* Core and link only, without an interface of our own. */
static inline void net_begin_core(struct net *net, size_t budget)
{
	static const struct ip_ops ops = {net_deliver, net_error, net_path_changed};
	static const uint8_t seed[32] = "test/unit/network";
	memset(net, 0, sizeof *net);
	struct tern_allocator allocator = test_heap_allocator(&net->heap);
	net->core.now = SECOND;
	net->core.notices_tail = &net->core.notices;
	net->core.csum = tern_csum_portable();
	net->core.nif = -1;
	net_settings(&net->core.set);
	tern_mem_init(&net->core.mem, &allocator, budget);
	tern_pool_init(&net->core.chunks, &net->core.mem, RING_CHUNK, 16, UINT32_MAX);
	tern_rng_init(&net->core.rng, seed);
	tern_link_init(&net->link, &net->core, &tern_ip_link_ops, &net->ip);
	tern_ip_init(&net->ip, &net->core, &net->link, &ops, net);
}

static inline int net_add_nif(struct net *net, bool raw, uint32_t addr, unsigned prefix_len)
{
	struct tern_nif_opts opts = {.name = "test0", .raw_ip = raw};
	memcpy(opts.mac, net_our_mac, 6);
	int nif = tern_link_nif_add(&net->link, &opts);
	assert_true(nif > 0);
	struct tern_addr a = v4(addr), none = {{0}};
	assert_int_equal(tern_link_addr_add(&net->link, nif, &a, prefix_len), 0);
	assert_int_equal(tern_ip_route_add(&net->ip, &a, prefix_len, &none, nif), 0);
	return nif;
}

static inline void net_begin_with(struct net *net, bool raw)
{
	net_begin_core(net, 64u << 20);
	assert_int_equal(net_add_nif(net, raw, OURS, 24), NET_NIF);
	struct tern_addr zero = v4(0), gateway = v4(PEER);
	assert_int_equal(tern_ip_route_add(&net->ip, &zero, 0, &gateway, NET_NIF), 0);
	net_drain(net);
}

/* Bare IP: no ARP gets in the way. */
static inline void net_begin(struct net *net)
{
	net_begin_with(net, true);
}

static inline void net_end(struct net *net)
{
	tern_ip_fini(&net->ip);
	tern_link_fini(&net->link);
	assert_int_equal(net->core.chunks.live, 0);
	tern_pool_fini(&net->core.chunks);
	assert_int_equal(net->link.wheel.armed, 0);
	assert_int_equal(net->core.mem.used, 0);
	test_heap_assert_empty(&net->heap);
}

/* Lets virtual time pass, firing all that falls due on the way. */
static inline void net_wait(struct net *net, uint64_t ns)
{
	uint64_t end = net->core.now + ns;
	for (unsigned turns = 0; turns < 100000; turns++) {
		uint64_t link = tern_link_deadline(&net->link);
		uint64_t ip = tern_ip_deadline(&net->ip);
		uint64_t next = link < ip ? link : ip;
		if (next > end)
			break;
		if (next > net->core.now)
			net->core.now = next;
		tern_link_advance(&net->link);
		tern_ip_advance(&net->ip);
	}
	net->core.now = end;
	tern_link_advance(&net->link);
	tern_ip_advance(&net->ip);
}

struct net_packet {
	uint32_t src, dst;
	uint8_t protocol;
	uint8_t ttl; /* 0: 64 */
	uint8_t tos;
	uint16_t id, offset;
	bool more, group;
	const void *data;
	uint32_t len;
};

/* A packet arrives on an interface, IP header first, in a buffer without a byte to spare. */
static inline void net_in_on(struct net *net, int nif, const struct net_packet *p)
{
	uint32_t len = IPV4_HEADER_LEN + p->len;
	uint8_t *bytes = malloc(len);
	assert_non_null(bytes);
	struct ipv4_header h = {
		.src = v4(p->src),
		.dst = v4(p->dst),
		.tos = p->tos,
		.ttl = p->ttl ? p->ttl : 64,
		.protocol = p->protocol,
		.total_len = (uint16_t)len,
		.id = p->id,
		.fragment_offset = p->offset,
		.more_fragments = p->more,
	};
	struct writer w = {bytes};
	tern_ipv4_emit(&w, &h);
	if (p->len > 0)
		memcpy(w.at, p->data, p->len);
	struct tern_frame frame = {.data = bytes, .len = len};
	tern_ip_input(&net->ip, nif, &frame, bytes, len, p->group);
	free(bytes);
}

static inline void net_in(struct net *net, const struct net_packet *p)
{
	net_in_on(net, NET_NIF, p);
}

/* Parses net->out, a bare IP packet; returns its header and, in r, its payload. */
static inline struct ipv4_header net_out_ip(struct net *net, struct reader *r)
{
	struct ipv4_header h;
	*r = reader(net->out, net->out_len);
	assert_int_equal(tern_ipv4_parse(r, tern_csum_portable(), &h), TERN_DROP_NONE);
	return h;
}

static inline uint64_t net_dropped(const struct net *net, enum tern_drop why)
{
	return net->core.drop[why];
}

#endif
