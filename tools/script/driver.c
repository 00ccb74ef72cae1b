#include <stdlib.h>
#include <string.h>

#include "tools/script/run.h"

/* The stack's clock when the script begins, ns: any but 0 will do, so that subtracting shows. */
#define ORIGIN INT64_C(1000000000000)
/* Calls in a row at one moment before we say that the stack spins. */
#define SPINS_MAX 100000

static uint64_t stack_time(int64_t now)
{
	return (uint64_t)(ORIGIN + now);
}

static void *allocate(void *context, size_t size, size_t align)
{
	struct run *run = context;
	void *ptr = NULL;
	if (posix_memalign(&ptr, align < sizeof(void *) ? sizeof(void *) : align, size) != 0)
		return NULL;
	run->allocated += size;
	return ptr;
}

static void release(void *context, void *ptr, size_t size)
{
	struct run *run = context;
	run->allocated -= ptr ? size : 0;
	free(ptr);
}

static int attach(struct run *run)
{
	struct tern_nif_opts opts = {.name = "script", .mtu = run->set.mtu, .raw_ip = true};
	struct tern_addr any = tern_addr_v4(0, 0, 0, 0);
	run->nif = tern_nif_add(run->stack, &opts);
	if (run->nif < 0)
		return run->nif;
	int err = tern_nif_addr_add(run->stack, run->nif, &run->set.local, 16);
	return err ? err : tern_route_add(run->stack, &any, 0, &any, run->nif);
}

bool tern_script_open(struct run *run)
{
	struct tern_config config;
	tern_config_init(&config);
	config.allocator = (struct tern_allocator){allocate, release, run};
	memset(config.seed, 0x7e, sizeof config.seed);
	memcpy(config.seed, &run->set.seed, sizeof run->set.seed);
	run->stack = tern_stack_new(&config, stack_time(0));
	int err = run->stack ? attach(run) : TERN_ENOMEM;
	/* Scripts see bursts, as on Linux without fq; one that wants pacing says so. */
	if (!err)
		tern_set(run->stack, "tcp_pacing", 0);
	if (err)
		tern_script_fail(run, "no stack: %s", tern_err_text(err));
	/* Frames go by whole, so a 64 KiB one would only say that we asked for no TSO. */
	size_t room = err ? 0 : tern_nif_frame_room(run->stack, run->nif);
	run->buffer = malloc(room > SCRIPT_PACKET_MAX ? room : SCRIPT_PACKET_MAX);
	run->sent_tail = &run->sent;
	return !err && run->buffer;
}

void tern_script_close(struct run *run)
{
	for (struct script_frame *f; (f = tern_script_take(run));)
		free(f);
	if (run->stack)
		tern_stack_free(run->stack);
	if (run->allocated)
		tern_script_fail(run, "the stack leaked %zu bytes", run->allocated);
	free(run->buffer);
	if (run->pcap)
		fclose(run->pcap);
}

static void record(struct run *run, const uint8_t *data, uint32_t len)
{
	if (run->pcap)
		tern_script_pcap_write(run->pcap, run->now, data, len);
}

static void keep(struct run *run, const struct tern_frame *frame)
{
	struct script_frame *f = malloc(sizeof *f + frame->len);
	if (!f)
		abort();
	*f = (struct script_frame){.time = run->now, .len = frame->len};
	memcpy(f->data, frame->data, frame->len);
	*run->sent_tail = f;
	run->sent_tail = &f->next;
	record(run, frame->data, frame->len);
}

struct script_frame *tern_script_take(struct run *run)
{
	struct script_frame *f = run->sent;
	if (!f)
		return NULL;
	run->sent = f->next;
	if (!run->sent)
		run->sent_tail = &run->sent;
	return f;
}

static void check(struct run *run)
{
	const char *wrong = tern_stack_check(run->stack);
	if (wrong)
		tern_script_fail(run, "the stack finds fault with itself: %s", wrong);
}

static void pull(struct run *run)
{
	uint32_t room = (uint32_t)tern_nif_frame_room(run->stack, run->nif);
	for (unsigned k = 0; k < SPINS_MAX; k++) {
		struct tern_frame frame = {.data = run->buffer, .capacity = room};
		if (tern_output(run->stack, run->nif, &frame, 1, stack_time(run->now)) == 0)
			return;
		tern_frame_finish_csum(&frame);
		keep(run, &frame);
	}
	tern_script_fail(run, "tern_output never ends");
}

void tern_script_pump(struct run *run)
{
	do {
		pull(run);
		tern_script_events(run);
	} while (!run->failed && tern_script_retry(run));
	check(run);
}

static int64_t next_due(const struct run *run)
{
	uint64_t deadline = tern_deadline(run->stack);
	int64_t due = deadline == TERN_NEVER ? INT64_MAX : (int64_t)(deadline - stack_time(0));
	for (unsigned k = 0; k < run->calls; k++)
		if (run->pending[k].alarm < due)
			due = run->pending[k].alarm;
	return due;
}

bool tern_script_step(struct run *run, int64_t limit)
{
	int64_t due = next_due(run);
	bool more = due <= limit;
	if (!more)
		due = limit;
	if (due > run->now)
		run->now = due;
	tern_input(run->stack, run->nif, NULL, 0, stack_time(run->now));
	tern_script_pump(run);
	return more;
}

void tern_script_advance(struct run *run, int64_t to)
{
	int64_t stood = run->now;
	unsigned spins = 0;
	while (!run->failed && tern_script_step(run, to)) {
		spins = run->now == stood ? spins + 1 : 0;
		stood = run->now;
		if (spins == SPINS_MAX)
			tern_script_fail(run, "tern_deadline stands still");
	}
}

void tern_script_inject(struct run *run, const uint8_t *data, uint32_t len)
{
	uint8_t *copy = malloc(len); /* exactly so long, for ASan to see */
	if (!copy)
		abort();
	memcpy(copy, data, len);
	record(run, copy, len);
	struct tern_frame frame = {.data = copy, .len = len};
	tern_input(run->stack, run->nif, &frame, 1, stack_time(run->now));
	free(copy);
	tern_script_pump(run);
}
