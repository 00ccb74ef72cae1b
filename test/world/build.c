/* Makes what a plan asks for: stacks with their settings, wires and listeners. */
#include <stdlib.h>
#include <string.h>

#include "test/world/world.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

static void set(struct world *w, struct host *h, const char *name, uint64_t value)
{
	int err = tern_set(h->stack, name, (int64_t)value);
	if (err)
		world_fail(w, "tern_set %s %lu: %s", name, value, tern_err_text(err));
}

/* One in so many hosts has it otherwise. */
static void vary(struct world *w, struct rng *r, struct host *h, unsigned percent, const char *name,
	uint64_t lo, uint64_t hi)
{
	bool does = rng_percent(r, percent);
	uint64_t value = lo == 0 ? rng_between(r, lo, hi) : rng_spread(r, lo, hi);
	if (does)
		set(w, h, name, value);
}

static void draw_settings(struct world *w, struct rng *r, struct host *h)
{
	vary(w, r, h, 25, "tcp_timestamps", 0, 0);
	vary(w, r, h, 25, "tcp_sack", 0, 0);
	vary(w, r, h, 25, "tcp_window_scaling", 0, 0);
	vary(w, r, h, 20, "tcp_moderate_rcvbuf", 0, 0);
	vary(w, r, h, 10, "tcp_rfc1337", 0, 0);
	vary(w, r, h, 60, "tcp_msl", 5, 30);
	vary(w, r, h, 50, "tcp_fin_timeout", 5, 60);
	vary(w, r, h, 20, "tcp_rmem_default", 4096, 256 * KIB);
	vary(w, r, h, 15, "tcp_rmem_max", 4096, 4 * MIB);
	vary(w, r, h, 20, "tcp_wmem_default", 4096, 256 * KIB);
	vary(w, r, h, 15, "tcp_wmem_max", 4096, 4 * MIB);
	vary(w, r, h, 15, "tcp_notsent_lowat", 1, 64 * KIB);
	vary(w, r, h, 20, "tcp_delack_min_ms", 1, 500);
	vary(w, r, h, 20, "tcp_rto_min_ms", 20, 1000);
	vary(w, r, h, 20, "tcp_init_cwnd", 1, 50);
	vary(w, r, h, 10, "tcp_max_ranges", 4, 64);
	vary(w, r, h, 30, "tcp_congestion_control", 1, 1);
	vary(w, r, h, 30, "tcp_pacing", 0, 0);
	vary(w, r, h, 50, "tcp_ecn", 1, 1);
	vary(w, r, h, 20, "tcp_slow_start_after_idle", 0, 0);
	vary(w, r, h, 10, "tcp_invalid_ratelimit", 0, 500);
	if (w->theme == THEME_STORM) {
		vary(w, r, h, 50, "tcp_max_syn_backlog", 1, 64);
		vary(w, r, h, 40, "tcp_syncookies", 0, 2);
	}
	if (w->gentle)
		return;
	vary(w, r, h, 20, "tcp_abort_on_overflow", 1, 1);
	vary(w, r, h, 30, "tcp_syn_retries", 1, 6);
	vary(w, r, h, 30, "tcp_synack_retries", 0, 5);
	vary(w, r, h, 40, "tcp_retries2", 2, 15);
	vary(w, r, h, 40, "tcp_orphan_retries", 0, 8);
	vary(w, r, h, 20, "tcp_rto_max_ms", 1000, 120000);
}

static void draw_config(struct world *w, struct rng *r, struct host *h)
{
	tern_config_init(&h->config);
	h->config.allocator = heap_allocator(&h->heap);
	h->heap.rng.state = rng_draw(r);
	for (unsigned i = 0; i < sizeof h->config.seed; i++)
		h->config.seed[i] = (uint8_t)rng_draw(r);
	h->config.budget = 16 * MIB;
	if (w->gentle)
		return;
	if (rng_percent(r, 20))
		h->config.budget = (size_t)rng_spread(r, 256 * KIB, 2 * MIB);
	if (rng_percent(r, 5))
		h->config.max_connections = (uint32_t)rng_spread(r, 2, 64);
}

static bool make_stack(struct world *w, struct host *h)
{
	h->stack = tern_stack_new(&h->config, w->now);
	if (!h->stack) {
		world_fail(w, "host %u: no stack with a budget of %zu", h->index, h->config.budget);
		return false;
	}
	h->watcher = (struct tern_trace_listener){watch_see, h};
	h->nif = tern_nif_add(h->stack, &h->opts);
	if (h->nif < 0 || tern_nif_addr_add(h->stack, h->nif, &h->addr, 24) != 0) {
		world_fail(w, "host %u: no interface", h->index);
		return false;
	}
	return true;
}

/* --- sequence numbers that wrap ------------------------------------------------------ */

static void postpone(uint64_t *at, uint64_t by)
{
	if (*at != TERN_NEVER)
		*at += by;
}

/* The whole plan happens so much later. */
static void shift(struct world *w, uint64_t by)
{
	w->start += by;
	for (unsigned i = 0; i < w->opening_count; i++)
		postpone(&w->openings[i].at, by);
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		postpone(&h->cut_from, by);
		postpone(&h->cut_to, by);
		postpone(&h->refuse_from, by);
		postpone(&h->refuse_to, by);
		for (unsigned k = 0; k < h->listeners; k++)
			postpone(&h->listening[k].close_at, by);
	}
}

/*
 * ISNs grow with time (RFC 6528), a number every 4 us, so the first connection from a chosen port
 * can be made to start just before 2^31 or 2^32: ask once what it would be, and begin later.
 */
static void aim(struct world *w, struct rng *r)
{
	struct opening *o = &w->openings[0];
	struct host *h = &w->host[o->from];
	struct tern_conn conn;
	struct tern_tcp_info info;
	bool wanted = rng_percent(r, 35);
	uint32_t wrap = rng_percent(r, 50) ? UINT32_C(1) << 31 : 0;
	uint32_t target = wrap - (uint32_t)rng_spread(r, 1, 128 * KIB);
	if (!wanted || !w->opening_count || o->simultaneous)
		return;
	if (o->local_port == 0)
		o->local_port = 24999;
	w->now = o->at;
	struct tern_connect_opts opts = {.local.port = o->local_port,
		.remote = {w->host[o->to].addr, o->remote_port}};
	if (make_stack(w, h) && tern_tcp_connect(h->stack, &opts, &conn) == 0 &&
		tern_tcp_info(h->stack, conn, &info) == 0)
		shift(w, (uint64_t)(uint32_t)(target - info.iss) * 4 * US);
	if (h->stack)
		tern_stack_free(h->stack);
	h->stack = NULL;
	w->now = w->start;
}

/* --- all together -------------------------------------------------------------------- */

static void listen_on(struct world *w, struct rng *r, struct host *h)
{
	for (unsigned i = 0; i < h->listeners; i++) {
		struct listening *l = &h->listening[i];
		struct tern_listen_opts opts = {.local.port = l->port,
			.backlog = l->backlog,
			.user = l};
		if (rng_percent(r, 15))
			opts.rcvbuf = (uint32_t)rng_spread(r, 4096, 256 * KIB);
		if (rng_percent(r, 15))
			opts.sndbuf = (uint32_t)rng_spread(r, 4096, 256 * KIB);
		int err = tern_tcp_listen(h->stack, &opts, &l->handle);
		if (err)
			world_fail(w, "host %u cannot listen: %s", h->index, tern_err_text(err));
		l->open = err == 0;
	}
}

static void build_host(struct world *w, struct rng *r, struct host *h, bool captured)
{
	if (!make_stack(w, h))
		return;
	tern_nif_info(h->stack, h->nif, &h->opts);
	if (captured) {
		tern_pcapng_interface(w->pcap, h->nif, &h->opts);
		h->capture = tern_pcapng_listener(w->pcap);
	}
	tern_trace_set(h->stack, &h->watcher);
	draw_settings(w, r, h);
	listen_on(w, r, h);
	struct tern_memory_info mem;
	tern_memory_info(h->stack, &mem);
	h->baseline = mem.used;
	h->wire = tern_wire_new(&h->spec, rng_draw(r));
	h->room = tern_nif_frame_room(h->stack, h->nif);
	h->out_data = malloc(h->room * FRAMES_MAX);
}

void build_world(struct world *w, const struct world_opts *opts)
{
	struct rng r = {rng_mix(w->seed + UINT64_C(0x5eed))};
	w->conns = calloc(CONNS_MAX, sizeof *w->conns);
	w->streams = calloc(STREAMS_MAX, sizeof *w->streams);
	w->buffer = malloc(BUFFER);
	if (opts->pcap)
		w->pcap = tern_pcapng_open(opts->pcap, NULL);
	for (unsigned i = 0; i < w->hosts; i++) {
		w->host[i].heap.skew = opts->skew;
		draw_config(w, &r, &w->host[i]);
	}
	aim(w, &r);
	for (unsigned i = 0; i < w->hosts && !w->result.failed; i++)
		build_host(w, &r, &w->host[i], w->pcap && i == 0);
}

void build_free(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		if (h->stack)
			tern_stack_free(h->stack);
		if (h->heap.blocks || h->heap.bytes)
			world_fail(w,
				"host %u: the stack is freed, but %lu blocks of %zu bytes are not",
				i, h->heap.blocks, h->heap.bytes);
		tern_wire_free(h->wire);
		for (unsigned k = 0; k < FRAMES_MAX; k++)
			free(h->inbox.data[k]);
		free(h->out_data);
		free(h->sights);
		free(h->without);
	}
	if (w->pcap)
		tern_pcapng_close(w->pcap);
	free(w->conns);
	free(w->streams);
	free(w->buffer);
}
