#include "dumbbell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/heap.h"

#define MTU  1500
#define PORT 7

struct end {
	struct tern_stack *stack;
	int nif;
	struct tern_conn conn;           /* a sender's */
	struct tern_wire *access, *back; /* a sender's: to the queue, and from the receiver */
	uint64_t begins;
	bool open;
};

struct flow {
	struct tern_conn conn;
	bool accepted;
	uint64_t taken;
};

struct dumbbell {
	const struct dumbbell_opts *opts;
	uint64_t now;
	struct end sender[FLOWS_MAX], receiver;
	struct flow flow[FLOWS_MAX];
	struct tern_listener listener;
	struct tern_wire *there;
	uint8_t buffer[MTU];
	bool counting;
	double waited; /* ns, of all frames pushed while counting */
	uint64_t frames;
};

static void give_up(const char *what, int err)
{
	fprintf(stderr, "tern-fairness: %s: %s\n", what, tern_err_text(err));
	exit(1);
}

static void set(struct tern_stack *stack, const char *setting)
{
	int err = tern_set_pair(stack, setting);
	if (err != 0)
		give_up(setting, err);
}

static void open_end(struct dumbbell *d, struct end *e, uint8_t last, const char *algorithm)
{
	struct tern_config cfg;
	struct tern_nif_opts nif = {.name = "wire", .mtu = MTU, .raw_ip = true};
	struct tern_addr addr = tern_addr_v4(10, 0, 0, last);
	tern_config_init(&cfg);
	cfg.allocator = BENCH_ALLOCATOR;
	cfg.budget = (size_t)1 << 30;
	memset(cfg.seed, (int)(last + d->opts->seed * 31), sizeof cfg.seed);
	e->stack = tern_stack_new(&cfg, d->now);
	e->nif = e->stack ? tern_nif_add(e->stack, &nif) : TERN_ENOMEM;
	int err = e->nif < 0 ? e->nif : tern_nif_addr_add(e->stack, e->nif, &addr, 24);
	if (err != 0)
		give_up("a stack", err);
	/* Neither end's buffers are to be what limits. */
	tern_set(e->stack, "tcp_rmem_max", 64 << 20);
	tern_set(e->stack, "tcp_wmem_max", 64 << 20);
	if (algorithm)
		tern_set_text(e->stack, "tcp_congestion_control", algorithm);
	for (const char *const *s = d->opts->settings; s && *s; s++)
		set(e->stack, *s);
}

static struct tern_wire *open_wire(const struct tern_impair_spec *spec, uint64_t seed)
{
	struct tern_wire *wire = tern_wire_new(spec, seed);
	if (!wire)
		give_up("a wire", TERN_ENOMEM);
	return wire;
}

static void open_all(struct dumbbell *d)
{
	const struct dumbbell_opts *o = d->opts;
	struct tern_listen_opts listen = {.local.port = PORT, .backlog = FLOWS_MAX};
	open_end(d, &d->receiver, 1, NULL);
	int err = tern_tcp_listen(d->receiver.stack, &listen, &d->listener);
	if (err != 0)
		give_up("listen", err);
	uint64_t half = (uint64_t)MTU * 8 * 1000000000 / o->rate / 2;
	d->there = open_wire(&(struct tern_impair_spec){.rate = o->rate,
				     .queue = o->queue,
				     .mark_above = o->ecn,
				     .loss = o->loss},
		o->seed);
	for (unsigned k = 0; k < o->flows; k++) {
		open_end(d, &d->sender[k], (uint8_t)(2 + k), o->algorithm[k]);
		d->sender[k].begins = d->now + k * o->start;
		d->sender[k].access =
			open_wire(&(struct tern_impair_spec){.delay = half, .jitter = half},
				o->seed * 100 + k);
		d->sender[k].back = open_wire(&(struct tern_impair_spec){.delay = o->rtt[k]}, k);
	}
}

static void close_all(struct dumbbell *d)
{
	tern_stack_free(d->receiver.stack);
	tern_wire_free(d->there);
	for (unsigned k = 0; k < d->opts->flows; k++) {
		tern_stack_free(d->sender[k].stack);
		tern_wire_free(d->sender[k].access);
		tern_wire_free(d->sender[k].back);
	}
}

/* --- what is done at one moment ------------------------------------------------------------- */

static void begin_flow(struct dumbbell *d, struct end *e)
{
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 1), PORT}};
	if (e->open || d->now < e->begins)
		return;
	int err = tern_tcp_connect(e->stack, &opts, &e->conn);
	if (err != 0)
		give_up("connect", err);
	e->open = true;
}

static void keep_full(struct end *e)
{
	static const uint8_t text[1 << 16];
	while (e->open && tern_tcp_write(e->stack, e->conn, text, sizeof text) > 0)
		;
}

/* By the sender's address: the last byte is its number and 2. */
static void take_in(struct dumbbell *d)
{
	struct tern_conn conn;
	struct tern_tcp_info info;
	while (tern_tcp_accept(d->receiver.stack, d->listener, &conn) == 0) {
		tern_tcp_info(d->receiver.stack, conn, &info);
		struct flow *f = &d->flow[info.remote.addr.byte[15] - 2];
		*f = (struct flow){.conn = conn, .accepted = true};
	}
	for (unsigned k = 0; k < d->opts->flows; k++) {
		struct tern_span spans[64];
		struct flow *f = &d->flow[k];
		size_t n = 0;
		int count = f->accepted ? tern_tcp_peek(d->receiver.stack, f->conn, spans, 64) : 0;
		for (int i = 0; i < count; i++)
			n += spans[i].len;
		if (n && tern_tcp_consume(d->receiver.stack, f->conn, n) == 0 && d->counting)
			f->taken += n;
	}
}

static bool pull(struct dumbbell *d, struct end *from, struct tern_frame *frame)
{
	*frame = (struct tern_frame){.data = d->buffer, .capacity = sizeof d->buffer};
	return tern_output(from->stack, from->nif, frame, 1, d->now) == 1;
}

static void push_out(struct dumbbell *d)
{
	struct tern_frame frame;
	for (bool more = true; more;) { /* in turn, as they would arrive */
		more = false;
		for (unsigned k = 0; k < d->opts->flows; k++) {
			if (!pull(d, &d->sender[k], &frame))
				continue;
			tern_wire_push(d->sender[k].access, &frame, d->now);
			more = true;
		}
	}
	while (pull(d, &d->receiver, &frame))
		tern_wire_push(d->sender[frame.data[19] - 2].back, &frame, d->now);
}

/* What has come to the queue, from all senders in the order it came. */
static void enqueue(struct dumbbell *d)
{
	struct tern_frame frame;
	for (unsigned k = 0; k < d->opts->flows; k++)
		while (tern_wire_pop(d->sender[k].access, &frame, d->now))
			tern_wire_push(d->there, &frame, d->now);
}

static void deliver(struct dumbbell *d, struct tern_wire *wire, struct end *to)
{
	struct tern_frame frame;
	while (tern_wire_pop(wire, &frame, d->now)) {
		frame.csum_valid = true;
		tern_input(to->stack, to->nif, &frame, 1, d->now);
	}
	if (tern_deadline(to->stack) <= d->now)
		tern_input(to->stack, to->nif, NULL, 0, d->now);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next(const struct dumbbell *d, uint64_t end)
{
	uint64_t at = sooner(end, tern_wire_deadline(d->there));
	at = sooner(at, tern_deadline(d->receiver.stack));
	for (unsigned k = 0; k < d->opts->flows; k++) {
		const struct end *e = &d->sender[k];
		at = sooner(at, sooner(tern_deadline(e->stack), tern_wire_deadline(e->back)));
		at = sooner(at, tern_wire_deadline(e->access));
		if (!e->open)
			at = sooner(at, e->begins);
	}
	return at;
}

static void run_until(struct dumbbell *d, uint64_t end)
{
	while (d->now < end) {
		enqueue(d);
		deliver(d, d->there, &d->receiver);
		take_in(d);
		for (unsigned k = 0; k < d->opts->flows; k++) {
			deliver(d, d->sender[k].back, &d->sender[k]);
			begin_flow(d, &d->sender[k]);
			keep_full(&d->sender[k]);
		}
		push_out(d);
		uint64_t at = next(d, end), passed = at > d->now ? at - d->now : 1;
		if (d->counting) /* Little's law, the wait being that of the average frame */
			d->waited += (double)passed * tern_wire_in_flight(d->there);
		d->now += passed;
	}
}

/* --- the figures ----------------------------------------------------------------------------- */

struct tally {
	uint64_t again, all, timeouts;
};

static struct tally tally(const struct dumbbell *d)
{
	struct tally t = {0};
	for (unsigned k = 0; k < d->opts->flows; k++) {
		const struct tern_stack *s = d->sender[k].stack;
		t.again += tern_counter(s, TERN_COUNT_TcpRetransSegs);
		t.all += tern_counter(s, TERN_COUNT_TcpExtTCPOrigDataSent);
		t.timeouts += tern_counter(s, TERN_COUNT_TcpExtTCPTimeouts);
	}
	return t;
}

static void judge(const struct dumbbell *d, double seconds, struct dumbbell_result *r)
{
	double sum = 0, squares = 0;
	for (unsigned k = 0; k < d->opts->flows; k++) {
		double x = r->share[k] = (double)d->flow[k].taken * 8 / seconds;
		sum += x;
		squares += x * x;
	}
	r->jain = squares > 0 ? sum * sum / (d->opts->flows * squares) : 0;
	r->used = sum * MTU / (MTU - 52) / (double)d->opts->rate;
}

struct dumbbell_result dumbbell_run(const struct dumbbell_opts *opts)
{
	struct dumbbell *d = calloc(1, sizeof *d);
	struct dumbbell_result r = {0};
	struct tern_wire_stats before, after;
	if (!d)
		give_up("memory", TERN_ENOMEM);
	d->opts = opts;
	d->now = 1000000000;
	uint64_t zero = d->now;
	open_all(d);
	run_until(d, zero + opts->warm_up);
	struct tally t0 = tally(d);
	tern_wire_stats(d->there, &before);
	d->counting = true;
	run_until(d, zero + opts->end);
	struct tally t1 = tally(d);
	tern_wire_stats(d->there, &after);
	judge(d, (double)(opts->end - opts->warm_up) / 1e9, &r);
	double sent = (double)(t1.all - t0.all + t1.again - t0.again);
	uint64_t through = after.delivered - before.delivered;
	r.again = sent > 0 ? (double)(t1.again - t0.again) / sent : 0;
	r.timeouts = t1.timeouts - t0.timeouts;
	r.queued = through ? d->waited / (double)through / 1e6 : 0;
	uint64_t pushed = after.pushed - before.pushed;
	r.dropped = pushed ? (double)(after.overflowed - before.overflowed) / (double)pushed : 0;
	r.marked = through ? (double)(after.marked - before.marked) / (double)through : 0;
	close_all(d);
	free(d);
	return r;
}
