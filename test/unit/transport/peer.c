#include "peer.h"
#include "base/csum.h"
#include "wire/icmpv4.h"

static struct tern_addr stack_addr(void)
{
	return tern_addr_v4(10, 0, 0, 1);
}

static struct tern_addr peer_addr(void)
{
	return tern_addr_v4(10, 0, 0, 2);
}

void peer_open_as(struct peer *p, const struct peer_setup *setup)
{
	struct tern_config cfg;
	struct tern_addr addr = stack_addr();
	struct tern_nif_opts opts = {.name = "raw", .mtu = 1500, .raw_ip = true};
	memset(p, 0, sizeof *p);
	p->now = setup->now ? setup->now : 1000 * SEC;
	p->port = PEER_PORT;
	p->stack_port = STACK_PORT;
	p->window = UINT16_MAX;
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&p->heap);
	if (setup->budget)
		cfg.budget = setup->budget;
	if (setup->mtu)
		opts.mtu = setup->mtu;
	memset(cfg.seed, setup->seed ? setup->seed : 7, sizeof cfg.seed);
	p->stack = tern_stack_new(&cfg, p->now);
	assert_non_null(p->stack);
	p->nif = tern_nif_add(p->stack, &opts);
	assert_true(p->nif > 0);
	assert_int_equal(tern_nif_addr_add(p->stack, p->nif, &addr, 24), 0);
}

void peer_open(struct peer *p)
{
	const struct peer_setup usual = {0};
	peer_open_as(p, &usual);
}

void peer_set(struct peer *p, const char *name, int64_t value)
{
	assert_int_equal(tern_set(p->stack, name, value), 0);
}

void peer_close(struct peer *p)
{
	assert_null(tern_stack_check(p->stack));
	tern_stack_free(p->stack);
	test_heap_assert_empty(&p->heap);
}

/* Where the peer's segments go. */
static struct tern_addr target(const struct peer *p)
{
	return tern_addr_is_unspecified(&p->to) ? stack_addr() : p->to;
}

static void send_packet(struct peer *p, uint8_t protocol, const uint8_t *data, uint32_t len)
{
	uint8_t packet[65535];
	struct writer w = {packet};
	struct ipv4_header h = {
		.src = peer_addr(),
		.dst = target(p),
		.ttl = 64,
		.tos = p->tos,
		.protocol = protocol,
		.header_len = 20,
		.total_len = (uint16_t)(20 + len),
	};
	tern_ipv4_emit(&w, &h);
	write_bytes(&w, data, len);
	struct tern_frame frame = {.data = packet, .len = 20 + len};
	tern_input(p->stack, p->nif, &frame, 1, p->now);
}

void peer_send(struct peer *p, const struct tcp_segment *s)
{
	uint8_t bytes[65535];
	struct tcp_segment copy = *s;
	struct tern_addr src = peer_addr(), dst = target(p);
	copy.src_port = p->port;
	copy.dst_port = p->stack_port;
	uint32_t len = tern_tcp_emit(bytes, &copy);
	if (s->data_len)
		memcpy(bytes + len, s->data, s->data_len);
	len += s->data_len;
	uint64_t sum = tern_pseudo_sum(&src, &dst, IPPROTO_TCP_NUM, len);
	store_be16(bytes + 16, csum_finish(sum + tern_csum_portable()->sum(bytes, len)));
	send_packet(p, IPPROTO_TCP_NUM, bytes, len);
}

void peer_say(struct peer *p, uint16_t flags, uint32_t off, const void *data, uint32_t n)
{
	struct tcp_segment s = {
		.seq = seq(p->seq + off),
		.ack = seq(p->ack),
		.flags = flags,
		.window = p->window,
		.data = data,
		.data_len = n,
	};
	if (p->timestamps) {
		s.options.has = TCP_OPT_TIMESTAMP;
		s.options.tsval = p->tsval;
		s.options.tsecr = p->tsecr;
	}
	peer_send(p, &s);
}

bool peer_take(struct peer *p)
{
	struct tern_frame frame = {.data = p->frame, .capacity = sizeof p->frame};
	struct ipv4_header h;
	if (tern_output(p->stack, p->nif, &frame, 1, p->now) == 0)
		return false;
	p->frame_len = frame.len;
	struct reader r = reader(frame.data, frame.len);
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
	if (h.protocol != IPPROTO_TCP_NUM)
		return peer_take(p);
	p->last_tos = h.tos;
	p->last_src = h.src;
	uint64_t sum = tern_pseudo_sum(&h.src, &h.dst, IPPROTO_TCP_NUM, (uint32_t)reader_left(&r));
	assert_int_equal(csum_fold(sum + tern_csum_portable()->sum(r.at, reader_left(&r))), 0xffff);
	assert_int_equal(tern_tcp_parse(&r, &p->last), TERN_DROP_NONE);
	return true;
}

unsigned peer_drain(struct peer *p)
{
	unsigned n = 0;
	while (peer_take(p))
		n++;
	return n;
}

void peer_wait(struct peer *p, uint64_t ns)
{
	p->now += ns;
	tern_input(p->stack, p->nif, NULL, 0, p->now);
}

bool peer_expect(struct peer *p, uint64_t ns)
{
	uint64_t end = p->now + ns;
	while (!peer_take(p)) {
		uint64_t next = tern_deadline(p->stack);
		if (next > end) {
			peer_wait(p, end - p->now);
			return peer_take(p);
		}
		peer_wait(p, next > p->now ? next - p->now : 0);
	}
	return true;
}

unsigned peer_ignore(struct peer *p, uint64_t ns)
{
	uint64_t end = p->now + ns;
	unsigned n = 0;
	while (peer_expect(p, end - p->now))
		n++;
	return n;
}

void peer_listen_backlog(struct peer *p, unsigned backlog)
{
	struct tern_listen_opts opts = {.local.port = STACK_PORT, .backlog = backlog};
	assert_int_equal(tern_tcp_listen(p->stack, &opts, &p->listener), 0);
}

void peer_listen(struct peer *p)
{
	peer_listen_backlog(p, 1024);
}

void peer_dial(struct peer *p)
{
	struct tern_connect_opts opts = {.remote = {peer_addr(), p->port}};
	assert_int_equal(tern_tcp_connect(p->stack, &opts, &p->conn), 0);
	assert_true(peer_take(p));
	assert_int_equal(p->last.flags, TCP_SYN);
	p->stack_port = p->last.src_port;
	p->ack = p->last.seq.v + 1;
}

void peer_answer(struct peer *p, uint32_t iss, const struct tcp_options *options)
{
	peer_dial(p);
	struct tcp_segment s = {
		.seq = seq(iss),
		.ack = seq(p->ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = p->window,
	};
	if (options)
		s.options = *options;
	p->iss = iss;
	p->seq = iss + 1;
	p->tsecr = p->last.options.tsval;
	if (options && options->has & TCP_OPT_TIMESTAMP) {
		p->timestamps = true;
		p->tsval = options->tsval;
		s.options.tsecr = p->tsecr;
	}
	peer_send(p, &s);
	assert_true(peer_take(p));
	assert_true(peer_last_is(p, TCP_ACK));
	assert_int_equal(peer_state(p), TERN_TCP_ESTABLISHED);
}

void peer_fin(struct peer *p)
{
	peer_say(p, TCP_FIN | TCP_ACK, 0, NULL, 0);
	p->seq++;
}

bool peer_last_is(const struct peer *p, uint16_t flags)
{
	return (p->last.flags & ~(TCP_PSH | TCP_URG)) == flags;
}

/* The stack's FIN goes out, and is taken. */
static void shut(struct peer *p)
{
	assert_int_equal(tern_tcp_shutdown(p->stack, p->conn), 0);
	assert_int_equal(peer_drain(p), 1);
	assert_true(peer_last_is(p, TCP_FIN | TCP_ACK));
}

static void bring_closing(struct peer *p, enum tern_tcp_state state)
{
	if (state == TERN_TCP_CLOSE_WAIT || state == TERN_TCP_LAST_ACK)
		peer_fin(p);
	peer_drain(p);
	if (state != TERN_TCP_CLOSE_WAIT)
		shut(p);
	if (state == TERN_TCP_CLOSING)
		peer_fin(p);
	if (state == TERN_TCP_FIN_WAIT_2 || state == TERN_TCP_TIME_WAIT) {
		p->ack++;
		peer_say(p, TCP_ACK, 0, NULL, 0);
	}
	if (state == TERN_TCP_TIME_WAIT)
		peer_fin(p);
}

void peer_bring(struct peer *p, enum tern_tcp_state state)
{
	if (state == TERN_TCP_SYN_SENT || state == TERN_TCP_SYN_RECEIVED) {
		peer_dial(p);
		p->iss = p->seq = 5000;
		if (state == TERN_TCP_SYN_RECEIVED) {
			peer_say(p, TCP_SYN, 0, NULL, 0);
			p->seq++;
		}
	} else {
		peer_listen(p);
		peer_connect(p, 5000, NULL);
		if (state != TERN_TCP_ESTABLISHED)
			bring_closing(p, state);
	}
	peer_drain(p);
	assert_int_equal(peer_state(p), state);
}

void peer_connect(struct peer *p, uint32_t iss, const struct tcp_options *options)
{
	struct tcp_segment syn = {.seq = seq(iss), .flags = TCP_SYN, .window = p->window};
	if (options)
		syn.options = *options;
	p->iss = iss;
	peer_send(p, &syn);
	assert_true(peer_take(p));
	assert_int_equal(p->last.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(p->last.ack.v, iss + 1);
	p->seq = iss + 1;
	p->ack = p->last.seq.v + 1;
	if (options && options->has & TCP_OPT_TIMESTAMP) {
		p->timestamps = true;
		p->tsval = options->tsval;
		p->tsecr = p->last.options.tsval;
	}
	peer_say(p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p->stack, p->listener, &p->conn), 0);
	assert_int_equal(peer_state(p), TERN_TCP_ESTABLISHED);
}

void peer_icmp(struct peer *p, uint8_t type, uint8_t code, uint16_t mtu, uint32_t at)
{
	uint8_t quoted[28], bytes[64];
	struct writer q = {quoted}, w = {bytes};
	struct ipv4_header h = {
		.src = stack_addr(),
		.dst = peer_addr(),
		.ttl = 60,
		.protocol = IPPROTO_TCP_NUM,
		.header_len = 20,
		.total_len = 1500,
	};
	tern_ipv4_emit(&q, &h);
	write_u16(&q, p->stack_port);
	write_u16(&q, p->port);
	write_u32(&q, at);
	struct icmpv4_message m = {.type = type,
		.code = code,
		.mtu = mtu,
		.body = quoted,
		.body_len = 28};
	tern_icmpv4_emit(&w, tern_csum_portable(), &m);
	send_packet(p, IPPROTO_ICMP_NUM, bytes, 36);
}

struct tern_tcp_info peer_info(const struct peer *p)
{
	struct tern_tcp_info info;
	assert_int_equal(tern_tcp_info(p->stack, p->conn, &info), 0);
	return info;
}

enum tern_tcp_state peer_state(const struct peer *p)
{
	return peer_info(p).state;
}

struct tcb *peer_tcb(const struct peer *p)
{
	struct tcb *tcb = tern_tcb_of(tern_stack_tcp_const(p->stack), p->conn);
	assert_non_null(tcb);
	return tcb;
}

uint32_t peer_connections(const struct peer *p)
{
	struct tern_memory_info info;
	tern_memory_info(p->stack, &info);
	return info.connections;
}

uint64_t peer_drops(const struct peer *p, enum tern_drop why)
{
	return tern_drop_count(p->stack, why);
}

const struct tcp_options peer_everything = {
	.has = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP,
	.mss = 1400,
	.wscale = 7,
	.tsval = 5000,
};

void peer_syn(struct peer *p, uint16_t port, const struct tcp_options *options)
{
	struct tcp_segment s = {.seq = seq(7000), .flags = TCP_SYN, .window = 65535};
	if (options)
		s.options = *options;
	p->port = port;
	p->timestamps = options && options->has & TCP_OPT_TIMESTAMP;
	p->tsval = s.options.tsval;
	peer_send(p, &s);
}

void peer_half(struct peer *p, uint16_t port, const struct tcp_options *options)
{
	peer_syn(p, port, options);
	assert_true(peer_take(p));
	assert_int_equal(p->last.flags, TCP_SYN | TCP_ACK);
	p->seq = 7001;
	p->ack = p->last.seq.v + 1;
	p->tsecr = p->last.options.tsval;
}
