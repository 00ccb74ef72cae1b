/* The target that is built in: a drill of our own, without threads. */
#include <string.h>

#include "tools/script/run.h"

static void see(void *context, int64_t now, const uint8_t *data, uint32_t len)
{
	struct run *run = context;
	if (run->pcap)
		tern_script_pcap_write(run->pcap, now, data, len);
}

static bool open_drill(struct run *run)
{
	const char *wrong = NULL;
	struct drill_opts opts = {.local = run->set.local,
		.mtu = run->set.mtu,
		.seed = run->set.seed,
		.see = see,
		.context = run};
	run->drill = tern_drill_open(&opts, &wrong);
	if (!run->drill)
		tern_script_fail(run, "no stack: %s", wrong);
	return run->drill;
}

static void close_drill(struct run *run)
{
	size_t leaked = run->drill ? tern_drill_close(run->drill) : 0;
	if (leaked)
		tern_script_fail(run, "the stack leaked %zu bytes", leaked);
}

static int64_t now(struct run *run)
{
	return tern_drill_now(run->drill);
}

static void advance(struct run *run, int64_t to)
{
	tern_drill_advance(run->drill, to);
}

static struct drill_frame *receive(struct run *run, int64_t limit)
{
	while (!tern_drill_peek(run->drill) && !tern_drill_fault(run->drill) &&
		tern_drill_step(run->drill, limit))
		;
	return tern_drill_take(run->drill);
}

static const struct drill_frame *held(struct run *run)
{
	return tern_drill_peek(run->drill);
}

static void inject(struct run *run, const uint8_t *data, uint32_t len, uint16_t gso_size)
{
	tern_drill_inject(run->drill, data, len, gso_size);
}

/* What a call makes tern say is sent at once. */
static void call(struct run *run, struct script_pending *p)
{
	tern_drill_call(run->drill, &p->call);
	tern_drill_step(run->drill, tern_drill_now(run->drill));
}

/* Calls finish while the clock moves, never later. */
static void await(struct run *run, struct script_pending *p, int patience)
{
	(void)run;
	(void)p;
	(void)patience;
}

static int state(struct run *run, int live)
{
	return (int)tern_drill_state(run->drill, live);
}

static int set(struct run *run, const char *name, int64_t value)
{
	return tern_set(tern_drill_stack(run->drill), name, value);
}

static const char *fault(struct run *run)
{
	return tern_drill_fault(run->drill);
}

const struct script_target tern_script_builtin = {open_drill, close_drill, now, advance, receive,
	held, inject, call, await, state, set, fault};
