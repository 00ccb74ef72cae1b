/*
 * SYNs in other people's names, 200,000 a second of virtual time, at a server in memory, while
 * honest clients (a second stack) open a connection each, say a byte and are heard. With cookies
 * all of them must get in, no TCB may be made for a SYN, and memory must stay where it is; without,
 * hardly any gets in.
 *
 *	flood [SYNS]       10,000,000 by default
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>
#include "base/csum.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

#define PORT      80
#define EVERY     1000           /* SYNs, an honest client */
#define PACE      UINT64_C(5000) /* ns between two SYNs */
#define SETTLE    20 /* seconds, after the flood, for those that have to say their SYN again */
#define FRAME_MAX 1600
#define BATCH     8

struct world {
	struct tern_stack *server, *client;
	int server_nif, client_nif;
	uint64_t now, random;
	struct tern_listener listener;
	uint64_t answered; /* SYN-ACKs to people who never asked */
	unsigned dialled, connected, heard, failed;
};

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

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "flood: %s: %s\n", what, tern_err_text(rc));
	exit(1);
}

static struct tern_stack *stack_at(struct world *w, uint8_t last, int *nif)
{
	struct tern_config config;
	struct tern_nif_opts opts = {.mtu = 1500, .raw_ip = true};
	struct tern_addr addr = tern_addr_v4(10, 0, 0, last), any = {{0}};
	struct tern_addr other = tern_addr_v4(10, 0, 0, last ^ 3);
	tern_config_init(&config);
	config.allocator = (struct tern_allocator){give, take, NULL};
	config.seed[0] = last;
	struct tern_stack *stack = tern_stack_new(&config, w->now);
	must(stack ? 0 : TERN_ENOMEM, "a stack");
	must(*nif = tern_nif_add(stack, &opts), "an interface");
	must(tern_nif_addr_add(stack, *nif, &addr, 24), "an address");
	must(tern_route_add(stack, &any, 0, &other, *nif), "a route");
	return stack;
}

static uint32_t next_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 16);
}

/* A SYN from somewhere in 11.0.0.0/8. */
static void spoof(struct world *w)
{
	uint8_t bytes[IPV4_HEADER_LEN + TCP_HEADER_LEN_MAX];
	uint32_t r = next_random(w);
	struct tern_addr src = tern_addr_v4(11, (uint8_t)(r >> 16), (uint8_t)(r >> 8), (uint8_t)r);
	struct tern_addr dst = tern_addr_v4(10, 0, 0, 1);
	struct tcp_segment s = {.src_port = (uint16_t)(1024 + next_random(w) % 60000),
		.dst_port = PORT,
		.seq = seq(next_random(w)),
		.flags = TCP_SYN,
		.window = 64240,
		.options = {.has = TCP_OPT_MSS | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP |
				   TCP_OPT_WSCALE,
			.mss = 1460,
			.wscale = 7,
			.tsval = r}};
	uint8_t *tcp = bytes + IPV4_HEADER_LEN;
	uint32_t len = tern_tcp_emit(tcp, &s);
	uint64_t sum = tern_pseudo_sum(&src, &dst, IPPROTO_TCP_NUM, len);
	store_be16(tcp + 16, csum_finish(sum + tern_csum_portable()->sum(tcp, len)));
	struct ipv4_header ip = {.total_len = (uint16_t)(IPV4_HEADER_LEN + len),
		.ttl = 64,
		.protocol = IPPROTO_TCP_NUM,
		.src = src,
		.dst = dst};
	struct writer out = {bytes};
	tern_ipv4_emit(&out, &ip);
	struct tern_frame frame = {.data = bytes, .len = ip.total_len};
	tern_input(w->server, w->server_nif, &frame, 1, w->now);
}

/* --- what the two programs do ------------------------------------------------------------ */

static void client_events(struct world *w)
{
	struct tern_event ev;
	while (tern_event_next(w->client, &ev)) {
		if (ev.kind == TERN_EV_CONNECTED) {
			w->connected++;
			tern_tcp_write(w->client, ev.conn, "x", 1);
		} else if (ev.kind == TERN_EV_ERROR) {
			w->failed += ev.error != TERN_ECONNRESET; /* the server's goodbye */
			tern_tcp_close(w->client, ev.conn);
		}
	}
}

static void server_events(struct world *w)
{
	struct tern_event ev;
	struct tern_conn conn;
	char byte;
	while (tern_event_next(w->server, &ev)) {
		if (ev.kind == TERN_EV_ACCEPT)
			while (tern_tcp_accept(w->server, w->listener, &conn) == 0)
				if (tern_tcp_read(w->server, conn, &byte, 1) == 1) {
					w->heard++;
					tern_tcp_abort(w->server, conn);
				}
		if (ev.kind == TERN_EV_READABLE &&
			tern_tcp_read(w->server, ev.conn, &byte, 1) == 1) {
			w->heard++;
			tern_tcp_abort(w->server, ev.conn);
		}
	}
}

/* --- the wire ---------------------------------------------------------------------------- */

static uint8_t room[BATCH][FRAME_MAX];

static unsigned pull(struct tern_stack *stack, int nif, struct tern_frame frames[BATCH],
	uint64_t now)
{
	for (unsigned i = 0; i < BATCH; i++)
		frames[i] = (struct tern_frame){.data = room[i], .capacity = FRAME_MAX};
	return tern_output(stack, nif, frames, BATCH, now);
}

static bool move(struct world *w)
{
	struct tern_frame frames[BATCH];
	unsigned n = pull(w->server, w->server_nif, frames, w->now), moved = n;
	for (unsigned i = 0; i < n; i++) {
		if (frames[i].data[16] == 10)
			tern_input(w->client, w->client_nif, &frames[i], 1, w->now);
		else
			w->answered++;
	}
	n = pull(w->client, w->client_nif, frames, w->now);
	if (n)
		tern_input(w->server, w->server_nif, frames, n, w->now);
	if (moved + n == 0)
		return false;
	client_events(w);
	server_events(w);
	return true;
}

static void dial(struct world *w)
{
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 1), PORT}};
	struct tern_conn conn;
	must(tern_tcp_connect(w->client, &opts, &conn), "connect");
	w->dialled++;
}

static void pass(struct world *w, uint64_t seconds)
{
	for (uint64_t end = w->now + seconds * 1000000000u; w->now < end; w->now += 10000000) {
		tern_input(w->server, w->server_nif, NULL, 0, w->now);
		tern_input(w->client, w->client_nif, NULL, 0, w->now);
		while (move(w))
			;
	}
}

/* --- verdicts ------------------------------------------------------------------------------ */

static unsigned passed, failed;

static void verdict(bool ok, int cookies, const char *what)
{
	ok ? passed++ : failed++;
	printf("%s: tcp_syncookies=%d: %s\n", ok ? "ok" : "FAIL", cookies, what);
}

struct sample {
	size_t early, late; /* bytes at most: after a tenth of the flood, and at its end */
	uint32_t tcbs;      /* most that were seen at once */
};

static void flood(struct world *w, uint64_t syns, int cookies, struct sample *memory)
{
	struct tern_memory_info info;
	*w = (struct world){.now = 1000000000, .random = 88172645463325252u};
	w->server = stack_at(w, 1, &w->server_nif);
	w->client = stack_at(w, 2, &w->client_nif);
	must(tern_set(w->server, "tcp_syncookies", cookies), "tcp_syncookies");
	struct tern_listen_opts opts = {.local.port = PORT, .backlog = 511};
	must(tern_tcp_listen(w->server, &opts, &w->listener), "listen");
	for (uint64_t i = 0; i < syns; i++) {
		if (i % EVERY == 0)
			dial(w);
		spoof(w);
		while (move(w))
			;
		w->now += PACE;
		if (i % 10000 == 0) {
			tern_memory_info(w->server, &info);
			uint32_t tcbs = info.connections - info.half_open - info.time_waits;
			memory->tcbs = tcbs > memory->tcbs ? tcbs : memory->tcbs;
			memory->early = i <= syns / 10 ? info.peak : memory->early;
		}
		if (i % 1000000 == 999999)
			fprintf(stderr, "... %llu million SYNs, %u of %u clients heard\n",
				(unsigned long long)(i + 1) / 1000000, w->heard, w->dialled);
	}
	tern_memory_info(w->server, &info);
	memory->late = info.peak;
}

static void run(uint64_t syns, int cookies)
{
	struct world w;
	struct sample memory = {0};
	flood(&w, syns, cookies, &memory);
	unsigned meanwhile = w.heard;
	if (cookies)
		pass(&w, SETTLE);
	uint64_t opens = tern_counter(w.server, TERN_COUNT_TcpPassiveOpens);
	uint64_t sent = tern_counter(w.server, TERN_COUNT_TcpExtSyncookiesSent);
	printf("tcp_syncookies=%d: %llu SYNs, %llu answered, %llu cookies; %u clients, %u heard "
	       "(%u "
	       "during the flood); %llu passive opens, %u TCBs at most at once; memory at most "
	       "%zu bytes, %zu after a tenth\n",
		cookies, (unsigned long long)syns, (unsigned long long)w.answered,
		(unsigned long long)sent, w.dialled, w.heard, meanwhile, (unsigned long long)opens,
		memory.tcbs, memory.late, memory.early);
	verdict(memory.tcbs <= w.dialled / 10, cookies, "no SYN has a TCB");
	if (cookies) {
		verdict(w.heard == w.dialled && w.failed == 0, cookies, "every client was heard");
		verdict(memory.late == memory.early, cookies, "memory stays where it is");
	}
	if (cookies == 2) {
		verdict(opens == w.dialled, cookies, "nothing is kept of a SYN: only clients open");
		verdict(w.answered == syns && sent == syns + w.dialled, cookies,
			"each SYN was answered once");
	}
	if (!cookies)
		verdict(w.heard * 10 < w.dialled, cookies, "hardly any client gets in");
	verdict(!tern_stack_check(w.server), cookies, "the stack is in order");
	tern_stack_free(w.server);
	tern_stack_free(w.client);
}

int main(int argc, char **argv)
{
	uint64_t syns = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
	if (syns < 100 * EVERY) {
		fprintf(help ? stdout : stderr,
			"usage: flood [SYNS]     at least %d (10000000), then a tenth of them with "
			"tcp_syncookies=1 and 0\n",
			100 * EVERY);
		return help ? 0 : 2;
	}
	run(syns, 2);
	run(syns / 10, 1);
	run(syns / 10, 0);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
