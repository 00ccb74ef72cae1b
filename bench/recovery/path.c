#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "path.h"
#include "bench/heap.h"

#define PORT     7
#define TEXT_MIN 100 /* a frame longer than this carries text */
#define FRAME    1500

static void fail(const char *what, int err)
{
	fprintf(stderr, "tern-recovery: %s: %s\n", what, tern_err_text(err));
	exit(1);
}

static struct tern_stack *open_stack(struct path *p, const struct path_opts *opts, uint8_t host)
{
	struct tern_config cfg;
	tern_config_init(&cfg);
	cfg.allocator = BENCH_ALLOCATOR;
	cfg.budget = (size_t)1 << 30;
	memset(cfg.seed, (int)(host + 2 * opts->seed), sizeof cfg.seed);
	struct tern_stack *stack = tern_stack_new(&cfg, p->now);
	if (!stack)
		fail("a stack", TERN_ENOMEM);
	struct tern_nif_opts nif = {.name = "path",
		.mtu = FRAME,
		.raw_ip = true,
		.offload = TERN_OFFLOAD_TX_CSUM};
	p->nif = tern_nif_add(stack, &nif);
	struct tern_addr addr = tern_addr_v4(10, 0, 0, host);
	int err = p->nif < 0 ? p->nif : tern_nif_addr_add(stack, p->nif, &addr, 24);
	if (err != 0)
		fail("an interface", err);
	tern_set(stack, "tcp_wmem_max", 64 << 20);
	tern_set(stack, "tcp_max_ranges", 65536); /* holes: every other segment of so much */
	tern_set(stack, "tcp_rmem_max", 64 << 20);
	/* Segments are counted: one that goes again in two would count as sent for nothing. */
	tern_set(stack, "tcp_mtu_probing", 0);
	return stack;
}

uint32_t path_queue(uint64_t rate, uint64_t rtt, double depth, uint32_t least)
{
	double frames = (double)rate / 8 * ((double)rtt / SECOND) / FRAME * depth;
	return frames < least ? least : (uint32_t)frames;
}

static struct tern_wire *open_wire(const char *impair, const struct path_opts *opts, bool data)
{
	struct tern_impair_spec spec;
	char err[200];
	if (tern_impair_parse(impair, &spec, err, sizeof err) != 0) {
		fprintf(stderr, "tern-recovery: %s\n", err);
		exit(1);
	}
	spec.delay = opts->rtt / 2;
	spec.after = 8;
	if (data) {
		spec.rate = opts->rate;
		spec.queue = opts->queue;
	}
	struct tern_wire *wire = tern_wire_new(&spec, opts->seed);
	if (!wire)
		fail("a wire", TERN_ENOMEM);
	return wire;
}

static bool is_dropped(struct path *p, const struct tern_frame *f)
{
	if (!p->drop || f->len < TEXT_MIN)
		return false;
	bool drop = p->drop(p->segments++);
	p->dropped += drop;
	return drop;
}

static void collect(struct path *p, struct tern_stack *from, struct tern_wire *wire)
{
	for (unsigned n = PATH_BATCH; n == PATH_BATCH;) {
		for (unsigned i = 0; i < PATH_BATCH; i++)
			p->batch[i] = (struct tern_frame){.data = p->buffers + (size_t)i * p->room,
				.capacity = p->room};
		n = tern_output(from, p->nif, p->batch, PATH_BATCH, p->now);
		for (unsigned i = 0; i < n; i++)
			if (wire == p->acks || !is_dropped(p, &p->batch[i]))
				tern_wire_push(wire, &p->batch[i], p->now);
	}
}

static void deliver(struct path *p, struct tern_wire *wire, struct tern_stack *to)
{
	struct tern_frame f;
	while (tern_wire_pop(wire, &f, p->now)) {
		f.csum_valid = true;
		tern_input(to, p->nif, &f, 1, p->now);
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* To the next thing that happens, no later than `until`. */
static void step(struct path *p, uint64_t until)
{
	uint64_t at = sooner(tern_deadline(p->sender), tern_deadline(p->receiver));
	at = sooner(at, sooner(tern_wire_deadline(p->data), tern_wire_deadline(p->acks)));
	at = sooner(at, until);
	if (at > p->now)
		p->now = at;
	deliver(p, p->data, p->receiver);
	deliver(p, p->acks, p->sender);
	tern_input(p->sender, p->nif, NULL, 0, p->now);
	tern_input(p->receiver, p->nif, NULL, 0, p->now);
	collect(p, p->sender, p->data);
	collect(p, p->receiver, p->acks);
}

static void write_some(struct path *p, uint64_t bytes)
{
	struct tern_span spans[64];
	uint64_t left = bytes - p->written;
	size_t n = 0;
	if (left == 0)
		return;
	int count = tern_tcp_room(p->sender, p->from, left < 1 << 18 ? (size_t)left : 1 << 18,
		spans, 64);
	for (int i = 0; i < count; i++)
		n += spans[i].len;
	if (count > 0 && n)
		tern_tcp_commit(p->sender, p->from, n);
	p->written += n;
}

static void read_all(struct path *p)
{
	struct tern_span spans[64];
	for (int count; (count = tern_tcp_peek(p->receiver, p->to, spans, 64)) > 0;) {
		size_t n = 0;
		for (int i = 0; i < count; i++)
			n += spans[i].len;
		if (n == 0)
			return;
		tern_tcp_consume(p->receiver, p->to, n);
		p->taken += n;
	}
}

void path_run(struct path *p, uint64_t until, uint64_t bytes)
{
	struct tern_tcp_info info;
	while (p->now < until && p->taken < bytes) {
		write_some(p, bytes);
		collect(p, p->sender, p->data);
		step(p, until);
		read_all(p);
	}
	tern_tcp_info(p->sender, p->from, &info);
	if (info.error)
		fail("the connection", info.error);
}

void path_rest(struct path *p, uint64_t ns)
{
	for (uint64_t until = p->now + ns; p->now < until;)
		step(p, until);
}

void path_open(struct path *p, const struct path_opts *opts)
{
	struct tern_listener l;
	struct tern_listen_opts listen = {.local.port = PORT, .backlog = 1};
	struct tern_connect_opts to = {.remote = {tern_addr_v4(10, 0, 0, 2), PORT}};
	*p = (struct path){.now = SECOND};
	p->sender = open_stack(p, opts, 1);
	p->receiver = open_stack(p, opts, 2);
	if (opts->see.see)
		tern_trace_set(p->sender, &opts->see);
	if (opts->no_sack)
		tern_set(p->sender, "tcp_sack", 0);
	tern_set_text(p->sender, "tcp_congestion_control", opts->algorithm);
	p->data = open_wire(opts->impair, opts, true);
	p->acks = open_wire("", opts, false);
	p->room = (uint32_t)((tern_nif_frame_room(p->sender, p->nif) + 63) & ~(size_t)63);
	p->buffers = aligned_alloc(64, (size_t)p->room * PATH_BATCH);
	if (!p->buffers)
		fail("buffers", TERN_ENOMEM);
	int err = tern_tcp_listen(p->receiver, &listen, &l);
	if (err == 0)
		err = tern_tcp_connect(p->sender, &to, &p->from);
	if (err != 0)
		fail("a connection", err);
	err = TERN_EAGAIN;
	for (unsigned i = 0; i < 10000 && err == TERN_EAGAIN; i++) {
		collect(p, p->sender, p->data);
		step(p, TERN_NEVER);
		err = tern_tcp_accept(p->receiver, l, &p->to);
	}
	if (err != 0)
		fail("accept", err);
}

void path_close(struct path *p)
{
	tern_stack_free(p->sender);
	tern_stack_free(p->receiver);
	tern_wire_free(p->data);
	tern_wire_free(p->acks);
	free(p->buffers);
}

uint64_t path_counter(const struct path *p, const char *name)
{
	for (unsigned i = 0; i < TERN_COUNTERS; i++)
		if (strcmp(tern_counter_name((enum tern_counter)i), name) == 0)
			return tern_counter(p->sender, (enum tern_counter)i);
	return 0;
}

uint64_t path_lost(const struct path *p)
{
	struct tern_wire_stats s;
	tern_wire_stats(p->data, &s);
	return s.lost + s.overflowed;
}
