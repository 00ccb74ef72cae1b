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

void peer_open(struct peer *p)
{
	struct tern_config cfg;
	struct tern_addr addr = stack_addr();
	struct tern_nif_opts opts = {.name = "raw", .mtu = 1500, .raw_ip = true};
	memset(p, 0, sizeof *p);
	p->now = 1000 * SEC;
	p->port = PEER_PORT;
	p->stack_port = STACK_PORT;
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&p->heap);
	memset(cfg.seed, 7, sizeof cfg.seed);
	p->stack = tern_stack_new(&cfg, p->now);
	assert_non_null(p->stack);
	p->nif = tern_nif_add(p->stack, &opts);
	assert_true(p->nif > 0);
	assert_int_equal(tern_nif_addr_add(p->stack, p->nif, &addr, 24), 0);
}

void peer_close(struct peer *p)
{
	assert_null(tern_stack_check(p->stack));
	tern_stack_free(p->stack);
	test_heap_assert_empty(&p->heap);
}

static void send_packet(struct peer *p, uint8_t protocol, const uint8_t *data, uint32_t len)
{
	uint8_t packet[65535];
	struct writer w = {packet};
	struct ipv4_header h = {
		.src = peer_addr(),
		.dst = stack_addr(),
		.ttl = 64,
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
	struct tern_addr src = peer_addr(), dst = stack_addr();
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
		.window = 65535,
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
	struct reader r = reader(frame.data, frame.len);
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &h), TERN_DROP_NONE);
	if (h.protocol != IPPROTO_TCP_NUM)
		return peer_take(p);
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

void peer_listen(struct peer *p)
{
	struct tern_listen_opts opts = {.local.port = STACK_PORT, .backlog = 1024};
	assert_int_equal(tern_tcp_listen(p->stack, &opts, &p->listener), 0);
}

void peer_connect(struct peer *p, uint32_t iss, const struct tcp_options *options)
{
	struct tcp_segment syn = {.seq = seq(iss), .flags = TCP_SYN, .window = 65535};
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
	struct icmpv4_message m = {
		.type = type, .code = code, .mtu = mtu, .body = quoted, .body_len = 28};
	tern_icmpv4_emit(&w, tern_csum_portable(), &m);
	send_packet(p, IPPROTO_ICMP_NUM, bytes, 36);
}

enum tern_tcp_state peer_state(const struct peer *p)
{
	struct tern_tcp_info info;
	assert_int_equal(tern_tcp_info(p->stack, p->conn, &info), 0);
	return info.state;
}

uint64_t peer_drops(const struct peer *p, enum tern_drop why)
{
	return tern_drop_count(p->stack, why);
}
