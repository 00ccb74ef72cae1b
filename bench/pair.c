#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pair.h"
#include "heap.h"

#define STEP 5000 /* ns a frame takes from side to side */

void bench_fail(const char *what, int err)
{
	fprintf(stderr, "tern-bench: %s: %s\n", what, tern_err_text(err));
	exit(1);
}

static struct tern_stack *open_stack(struct pair *p, const struct pair_opts *opts, uint8_t host)
{
	struct tern_config cfg;
	tern_config_init(&cfg);
	cfg.allocator = BENCH_ALLOCATOR;
	cfg.budget = opts->budget ? opts->budget : (size_t)1 << 30;
	memset(cfg.seed, host, sizeof cfg.seed);
	struct tern_stack *stack = tern_stack_new(&cfg, p->now);
	if (!stack)
		bench_fail("a stack", TERN_ENOMEM);
	struct tern_nif_opts nif = {.name = "pair", .mtu = opts->mtu, .raw_ip = true};
	nif.offload = opts->checksums ? 0 : TERN_OFFLOAD_TX_CSUM;
	if (opts->tso)
		nif.offload |= TERN_OFFLOAD_TSO;
	p->nif = tern_nif_add(stack, &nif);
	struct tern_addr addr = tern_addr_v4(10, 0, 0, host);
	int err = p->nif < 0 ? p->nif : tern_nif_addr_add(stack, p->nif, &addr, 24);
	if (err != 0)
		bench_fail("an interface", err);
	tern_set(stack, "ip_local_port_min", 1024);
	tern_set(stack, "ip_local_port_max", 65535);
	tern_set(stack, "tcp_max_syn_backlog", 65536);
	return stack;
}

static struct tern_recorder *record(struct pair *p, struct tern_stack *stack)
{
	struct tern_recorder *recorder = tern_recorder_new(NULL);
	struct tern_nif_opts nif;
	if (!recorder || tern_nif_info(stack, p->nif, &nif) != 0)
		bench_fail("a recorder", TERN_ENOMEM);
	tern_recorder_interface(recorder, p->nif, &nif);
	struct tern_trace_listener listener = tern_recorder_listener(recorder);
	tern_trace_set(stack, &listener);
	return recorder;
}

static void empty_frames(struct pair *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p->batch[i] = (struct tern_frame){.data = p->buffers + (size_t)i * p->room,
			.capacity = p->room};
}

void pair_open(struct pair *p, const struct pair_opts *opts)
{
	*p = (struct pair){.now = 1000000000, .mtu = opts->mtu, .checksums = opts->checksums};
	p->client = open_stack(p, opts, 1);
	p->server = open_stack(p, opts, 2);
	if (opts->recorded) {
		p->recorder[0] = record(p, p->client);
		p->recorder[1] = record(p, p->server);
	}
	p->room = (uint32_t)((tern_nif_frame_room(p->client, p->nif) + 63) & ~(size_t)63);
	p->buffers = aligned_alloc(64, (size_t)p->room * PAIR_BATCH);
	if (!p->buffers)
		bench_fail("buffers", TERN_ENOMEM);
	empty_frames(p, PAIR_BATCH);
}

void pair_close(struct pair *p)
{
	tern_stack_free(p->client);
	tern_stack_free(p->server);
	tern_recorder_free(p->recorder[0]);
	tern_recorder_free(p->recorder[1]);
	free(p->buffers);
}

static unsigned hand_over(struct pair *p, struct tern_stack *from, struct tern_stack *to)
{
	unsigned n = tern_output(from, p->nif, p->batch, PAIR_BATCH, p->now);
	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		p->batch[i].csum_valid = !p->checksums;
	p->now += STEP;
	tern_input(to, p->nif, p->batch, n, p->now);
	empty_frames(p, n);
	p->frames += n;
	return n;
}

void pair_run(struct pair *p, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		if (hand_over(p, p->client, p->server) + hand_over(p, p->server, p->client) == 0)
			return;
}

void pair_wait(struct pair *p, uint64_t ns)
{
	p->now += ns;
	tern_input(p->client, p->nif, NULL, 0, p->now);
	tern_input(p->server, p->nif, NULL, 0, p->now);
}

struct tern_listener pair_listen(struct pair *p, uint16_t port)
{
	struct tern_listener l;
	struct tern_listen_opts opts = {.local.port = port, .backlog = 4096};
	int err = tern_tcp_listen(p->server, &opts, &l);
	if (err != 0)
		bench_fail("listen", err);
	return l;
}

void pair_connect(struct pair *p, struct tern_listener l, uint16_t port, struct tern_conn *client,
	struct tern_conn *server)
{
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), port}};
	struct tern_event ev;
	int err = tern_tcp_connect(p->client, &opts, client);
	if (err != 0)
		bench_fail("connect", err);
	pair_run(p, 8);
	err = tern_tcp_accept(p->server, l, server);
	if (err != 0)
		bench_fail("accept", err);
	while (tern_event_next(p->client, &ev) || tern_event_next(p->server, &ev))
		;
}
