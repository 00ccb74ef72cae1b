/*
 * What a flood of one-byte holes costs (SegmentSmack, CVE-2018-5390): a stack, and a peer who sends
 * every other byte of its window. Run under callgrind, which counts what flood() executes.
 *
 *	holes N up|down|shuffled|again
 *
 * N packets arrive, at rising, falling or random places; "again" is those N random ones once more,
 * when all are held.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>
#include "base/csum.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

#define PORT 80

static struct tern_stack *stack;
static int nif;
static uint32_t next_ack;

static void *give(void *context, size_t size, size_t align)
{
	(void)context;
	return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void take(void *context, void *ptr, size_t size)
{
	(void)context;
	(void)size;
	free(ptr);
}

/* The packets are made beforehand: only the stack's own work is to be counted. */
struct packet {
	uint32_t len;
	uint8_t bytes[64];
};

static void make(struct packet *p, uint32_t at, uint16_t flags, const char *data)
{
	struct tern_addr src = tern_addr_v4(10, 0, 0, 2), dst = tern_addr_v4(10, 0, 0, 1);
	struct tcp_segment s = {.src_port = 4000,
		.dst_port = PORT,
		.seq = seq(at),
		.ack = seq(next_ack),
		.flags = flags,
		.window = 65535};
	struct writer w = {p->bytes};
	if (flags & TCP_SYN)
		s.options =
			(struct tcp_options){.has = TCP_OPT_SACK_OK | TCP_OPT_WSCALE, .wscale = 7};
	uint8_t segment[TCP_HEADER_LEN_MAX + 1];
	uint32_t len = tern_tcp_emit(segment, &s);
	if (data)
		segment[len++] = (uint8_t)*data;
	uint64_t sum = tern_pseudo_sum(&src, &dst, IPPROTO_TCP_NUM, len);
	store_be16(segment + 16, csum_finish(sum + tern_csum_portable()->sum(segment, len)));
	struct ipv4_header h = {.src = src,
		.dst = dst,
		.ttl = 64,
		.protocol = IPPROTO_TCP_NUM,
		.header_len = 20,
		.total_len = (uint16_t)(20 + len)};
	tern_ipv4_emit(&w, &h);
	write_bytes(&w, segment, len);
	p->len = 20 + len;
}

static unsigned arrive(struct packet *p)
{
	static uint8_t room[2048];
	static uint64_t now = 1000000;
	struct tern_frame in = {.data = p->bytes, .len = p->len};
	unsigned n = 0;
	now += 1000;
	tern_input(stack, nif, &in, 1, now);
	for (;; n++) {
		struct tern_frame out = {.data = room, .capacity = sizeof room};
		if (tern_output(stack, nif, &out, 1, now) == 0)
			return n;
		next_ack = load_be32(room + 24) + 1; /* of the SYN-ACK, the only time it matters */
	}
}

__attribute__((noinline)) void flood(struct packet *packets, uint32_t n);

void flood(struct packet *packets, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		arrive(&packets[i]);
}

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "holes: %s\n", why);
	exit(1);
}

static void open_stack(void)
{
	struct tern_config cfg;
	struct tern_nif_opts opts = {.name = "raw", .mtu = 1500, .raw_ip = true};
	struct tern_addr addr = tern_addr_v4(10, 0, 0, 1);
	struct tern_listen_opts listen = {.local.port = PORT, .backlog = 1, .rcvbuf = 1 << 20};
	struct tern_listener l;
	struct packet p;
	tern_config_init(&cfg);
	cfg.allocator = (struct tern_allocator){give, take, NULL};
	stack = tern_stack_new(&cfg, 0);
	nif = tern_nif_add(stack, &opts);
	if (tern_nif_addr_add(stack, nif, &addr, 24) != 0 ||
		tern_set(stack, "tcp_max_ranges", 65536) != 0 ||
		tern_tcp_listen(stack, &listen, &l) != 0)
		fail("no stack");
	make(&p, 0, TCP_SYN, NULL);
	if (arrive(&p) != 1)
		fail("the SYN is not answered");
	make(&p, 1, TCP_ACK, NULL);
	arrive(&p);
	struct tern_conn conn;
	if (tern_tcp_accept(stack, l, &conn) != 0)
		fail("not established");
}

/* Where the n bytes lie: every other one, from the third on. */
static void order(uint32_t *at, uint32_t n, const char *how)
{
	uint64_t r = 88172645463325252;
	for (uint32_t i = 0; i < n; i++)
		at[i] = 3 + 2 * (strcmp(how, "down") == 0 ? n - 1 - i : i);
	if (strcmp(how, "up") == 0 || strcmp(how, "down") == 0)
		return;
	for (uint32_t i = n - 1; i > 0; i--) {
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		uint32_t k = (uint32_t)(r % (i + 1)), keep = at[i];
		at[i] = at[k];
		at[k] = keep;
	}
}

static uint32_t held(void)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	return tern_tcp_each(stack, &cursor, &info) ? info.out_of_order : 0;
}

int main(int argc, char **argv)
{
	uint32_t n = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	if (n == 0 || n > 60000)
		fail("usage: holes N up|down|shuffled|again");
	struct packet *packets = calloc(n, sizeof *packets);
	uint32_t *at = calloc(n, sizeof *at);
	if (!packets || !at)
		fail("no memory");
	open_stack();
	order(at, n, argv[2]);
	for (uint32_t i = 0; i < n; i++)
		make(&packets[i], at[i], TCP_ACK, "x");
	if (strcmp(argv[2], "again") == 0)
		for (uint32_t i = 0; i < n; i++)
			arrive(&packets[i]);
	flood(packets, n);
	if (held() != n)
		fail("not every byte is held");
	tern_stack_free(stack);
	free(packets);
	free(at);
	return 0;
}
