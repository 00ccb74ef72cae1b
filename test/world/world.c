/* Virtual time: from one due thing to the next, with every check after each step. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/world/world.h"

#define STEPS_MAX   3000000
#define STILL_MAX   20000 /* steps without time passing */
#define TIME_MAX    (24 * 3600 * SECOND)
#define CHECK_EVERY 32     /* steps between two tern_stack_check */
#define ROUNDS_MAX  20000  /* at one step: over the loopback a whole transfer takes no time */
#define EVENTS_MAX  100000 /* at one step */
/* What a stack may hold on to when all is over: a spare slab of each pool, tables that grew,
 * neighbours. */
#define KEEPSAKE (192 * 1024)

void world_fail(struct world *w, const char *format, ...)
{
	if (w->result.failed)
		return;
	w->result.failed = true;
	int n = snprintf(w->result.why, sizeof w->result.why,
		"at %.6f s: ", (double)(w->now - w->start) / 1e9);
	va_list args;
	va_start(args, format);
	vsnprintf(w->result.why + n, sizeof w->result.why - (size_t)n, format, args);
	va_end(args);
	if (w->verbose)
		printf("FAILED %s\n", w->result.why);
}

void world_say(const struct world *w, const char *format, ...)
{
	if (!w->verbose)
		return;
	printf("%10.6f  ", (double)(w->now - w->start) / 1e9);
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* --- a step --------------------------------------------------------------------------------- */

static uint64_t soonest(const struct world *w)
{
	uint64_t at = net_deadline(w), opens = open_deadline(w);
	if (opens < at)
		at = opens;
	for (unsigned i = 0; i < w->conn_count; i++)
		if (w->conns[i].open && w->conns[i].wake < at)
			at = w->conns[i].wake;
	for (unsigned i = 0; i < w->hosts; i++) {
		const struct host *h = &w->host[i];
		if (h->refuse_from > w->now && h->refuse_from < at)
			at = h->refuse_from;
	}
	return at;
}

static bool events(struct world *w)
{
	unsigned count = 0;
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		for (struct tern_event ev; !w->result.failed && tern_event_next(h->stack, &ev);) {
			if (count++ > EVENTS_MAX)
				world_fail(w, "host %u: events never end", i);
			else if (ev.kind == TERN_EV_NONE || (unsigned)ev.kind >= EVENT_KINDS)
				world_fail(w, "host %u: an event of no kind", i);
			else
				app_event(w, h, &ev);
		}
	}
	return count > 0;
}

static void wake_apps(struct world *w)
{
	for (unsigned i = 0; i < w->conn_count && !w->result.failed; i++)
		if (w->conns[i].open && w->conns[i].wake <= w->now)
			app_act(w, &w->conns[i]);
}

static void tell_time(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		bool refuses = w->now >= h->refuse_from && w->now < h->refuse_to;
		h->heap.refuse_one_in = refuses ? h->refuse_one_in : 0;
		tern_input(h->stack, h->nif, NULL, 0, w->now);
	}
}

static void check_memory(struct world *w, const struct host *h)
{
	struct tern_memory_info mem;
	tern_memory_info(h->stack, &mem);
	if (h->heap.broken)
		world_fail(w, "host %u: the stack %s", h->index, h->heap.broken);
	if (mem.used != h->heap.bytes)
		world_fail(w, "host %u: the ledger says %zu bytes, the allocator gave %zu",
			h->index, mem.used, h->heap.bytes);
	if (mem.used > mem.budget || mem.budget != h->config.budget)
		world_fail(w, "host %u: holds %zu bytes of %zu", h->index, mem.used, mem.budget);
}

static void check(struct world *w, bool thorough)
{
	for (unsigned i = 0; i < w->hosts && !w->result.failed; i++) {
		check_memory(w, &w->host[i]);
		const char *wrong = thorough ? tern_stack_check(w->host[i].stack) : NULL;
		if (wrong)
			world_fail(w, "host %u: tern_stack_check: %s", i, wrong);
	}
}

static void describe_stuck(struct world *w, const char *how)
{
	for (unsigned i = 0; i < w->conn_count; i++) {
		const struct conn *c = &w->conns[i];
		struct tern_tcp_info info;
		if (!c->open || tern_tcp_info(c->host->stack, c->handle, &info) != 0)
			continue;
		world_fail(w,
			"%s: connection %u of host %u in %s, wrote %lu of %u, read %lu, unacked "
			"%u, unread %u",
			how, c->id, c->host->index, tern_tcp_state_name(info.state), c->written,
			c->like.to_send, c->taken, info.unacked, info.unread);
	}
	for (unsigned i = 0; i < w->hosts; i++) {
		struct tern_tcp_info info;
		for (uint32_t cursor = 0; tern_tcp_each(w->host[i].stack, &cursor, &info);)
			if (info.state != TERN_TCP_LISTEN)
				world_fail(w, "%s: host %u keeps %u:%u in %s, unacked %u unsent %u",
					how, i, info.local.port, info.remote.port,
					tern_tcp_state_name(info.state), info.unacked, info.unsent);
	}
	world_fail(w, "%s", how);
}

static bool advance(struct world *w)
{
	uint64_t at = soonest(w);
	if (at == TERN_NEVER || at > w->start + TIME_MAX) {
		describe_stuck(w, at == TERN_NEVER ? "nothing will ever happen" : "it takes a day");
		return false;
	}
	w->still = at > w->now ? 0 : w->still + 1;
	if (w->still > STILL_MAX || w->steps > STEPS_MAX) {
		describe_stuck(w, w->still > STILL_MAX ? "time stands still" : "it never ends");
		return false;
	}
	if (at > w->now)
		w->now = at;
	return true;
}

static void step(struct world *w)
{
	if (!advance(w))
		return;
	w->steps++;
	tell_time(w);
	net_deliver(w);
	open_due(w);
	wake_apps(w);
	unsigned rounds = 0;
	do {
		events(w);
		net_collect(w);
		if (rounds++ > ROUNDS_MAX)
			world_fail(w, "events never end");
	} while (!w->result.failed && events(w));
	check(w, w->steps % CHECK_EVERY == 0);
}

/* --- the end --------------------------------------------------------------------------------- */

/* When applications are done: all listeners go, and the stacks are left to finish. */
static void wind_up(struct world *w)
{
	if (w->closing || w->conns_open || w->opening_next < w->opening_count)
		return;
	w->closing = true;
	tell_time(w);
	for (unsigned i = 0; i < w->hosts; i++)
		open_close_listeners(w, &w->host[i]);
	net_collect(w);
}

static bool over(const struct world *w)
{
	if (w->result.failed)
		return true;
	if (!w->closing || !net_idle(w))
		return false;
	for (unsigned i = 0; i < w->hosts; i++) {
		struct tern_memory_info mem;
		tern_memory_info(w->host[i].stack, &mem);
		if (mem.connections || tern_deadline(w->host[i].stack) <= w->now)
			return false;
	}
	return true;
}

static void check_end(struct world *w, const struct host *h)
{
	struct tern_memory_info mem;
	struct tern_event ev;
	uint32_t cursor = 0;
	struct tern_tcp_info info;
	tern_memory_info(h->stack, &mem);
	if (mem.timers || mem.chunks || mem.connections || mem.listeners)
		world_fail(w,
			"host %u at the end: %u connections, %u listeners, %u chunks, %u timers",
			h->index, mem.connections, mem.listeners, mem.chunks, mem.timers);
	if (mem.used > h->baseline + KEEPSAKE)
		world_fail(w, "host %u at the end: holds %zu bytes, %zu at the beginning", h->index,
			mem.used, h->baseline);
	if (tern_tcp_each(h->stack, &cursor, &info))
		world_fail(w, "host %u at the end: still a connection in %s", h->index,
			tern_tcp_state_name(info.state));
	if (tern_event_next(h->stack, &ev))
		world_fail(w, "host %u at the end: an event %d is left", h->index, ev.kind);
}

/* Nothing but a wire's damage can make a packet malformed. */
static void check_blame(struct world *w, const struct host *h)
{
	static const enum tern_drop blame[] = {TERN_DROP_ETH_SHORT, TERN_DROP_ETH_TYPE,
		TERN_DROP_ARP_MALFORMED, TERN_DROP_ARP_MARTIAN, TERN_DROP_ARP_CONFLICT,
		TERN_DROP_IP_SHORT, TERN_DROP_IP_VERSION, TERN_DROP_IP_HEADER_LEN,
		TERN_DROP_IP_TOTAL_LEN, TERN_DROP_IP_CHECKSUM, TERN_DROP_IP_OPTIONS,
		TERN_DROP_IP_MARTIAN_SRC, TERN_DROP_IP_MARTIAN_DST, TERN_DROP_IP_PROTOCOL,
		TERN_DROP_IP_NO_ROUTE, TERN_DROP_IP_TOO_BIG, TERN_DROP_FRAG_MALFORMED,
		TERN_DROP_FRAG_OVERLAP, TERN_DROP_ICMP_MALFORMED, TERN_DROP_ICMP_CHECKSUM,
		TERN_DROP_TCP_SHORT, TERN_DROP_TCP_HEADER_LEN, TERN_DROP_TCP_CHECKSUM,
		TERN_DROP_TCP_OPTIONS, TERN_DROP_TCP_FLAGS, TERN_DROP_TCP_NO_TIMESTAMP};
	for (unsigned i = 0; w->clean && i < sizeof blame / sizeof blame[0]; i++)
		if (tern_drop_count(h->stack, blame[i]))
			world_fail(w, "host %u dropped %lu packets: %s, but no wire corrupts",
				h->index, tern_drop_count(h->stack, blame[i]),
				tern_drop_text(blame[i]));
}

static void finish(struct world *w)
{
	check(w, true);
	for (unsigned i = 0; i < w->hosts; i++) {
		struct host *h = &w->host[i];
		if (!w->result.failed) {
			check_end(w, h);
			check_blame(w, h);
		}
		for (unsigned d = 0; h->stack && d < TERN_DROPS; d++)
			w->result.drops[d] += tern_drop_count(h->stack, (enum tern_drop)d);
	}
	w->result.virtual_ns = w->now - w->start;
}

void world_run(const struct world_opts *opts, struct result *result)
{
	struct world *w = calloc(1, sizeof *w);
	w->seed = opts->seed;
	w->verbose = opts->verbose;
	plan_world(w);
	build_world(w, opts);
	while (!over(w)) {
		step(w);
		wind_up(w);
	}
	if (!w->result.failed)
		finish(w);
	build_free(w);
	*result = w->result;
	free(w);
}
