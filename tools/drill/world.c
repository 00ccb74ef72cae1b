/* The stack, the wire and the clock. */
#include <stdlib.h>
#include <string.h>

#include "tools/drill/world.h"

/* The stack's clock when the drill begins, ns: any but 0 will do, so that subtracting shows. */
#define ORIGIN INT64_C(1000000000000)
/* Calls in a row at one moment before we say that the stack spins. */
#define SPINS_MAX 100000

static uint64_t stack_time(int64_t now)
{
	return (uint64_t)(ORIGIN + now);
}

static void *allocate(void *context, size_t size, size_t align)
{
	struct drill *drill = context;
	void *ptr = NULL;
	if (posix_memalign(&ptr, align < sizeof(void *) ? sizeof(void *) : align, size) != 0)
		return NULL;
	drill->allocated += size;
	return ptr;
}

static void release(void *context, void *ptr, size_t size)
{
	struct drill *drill = context;
	drill->allocated -= ptr ? size : 0;
	free(ptr);
}

static int attach(struct drill *drill)
{
	struct tern_nif_opts opts = {.name = "drill", .mtu = drill->opts.mtu, .raw_ip = true};
	struct tern_addr any = tern_addr_v4(0, 0, 0, 0);
	drill->nif = tern_nif_add(drill->stack, &opts);
	if (drill->nif < 0)
		return drill->nif;
	int err = tern_nif_addr_add(drill->stack, drill->nif, &drill->opts.local, 16);
	return err ? err : tern_route_add(drill->stack, &any, 0, &any, drill->nif);
}

struct drill *tern_drill_open(const struct drill_opts *opts, const char **wrong)
{
	struct tern_config config;
	struct drill *drill = calloc(1, sizeof *drill);
	if (!drill)
		abort();
	drill->opts = *opts;
	drill->next_fd = 3;
	drill->sent_tail = &drill->sent;
	tern_config_init(&config);
	config.allocator = (struct tern_allocator){allocate, release, drill};
	memset(config.seed, 0x7e, sizeof config.seed);
	memcpy(config.seed, &opts->seed, sizeof opts->seed);
	drill->stack = tern_stack_new(&config, stack_time(0));
	int err = drill->stack ? attach(drill) : TERN_ENOMEM;
	/* Scripts see bursts, as on Linux without fq, and segments of one size however often they
	 * are sent again; one that wants the one or the other otherwise says so. */
	if (!err) {
		tern_set(drill->stack, "tcp_pacing", 0);
		tern_set(drill->stack, "tcp_mtu_probing", 0);
	}
	if (err) {
		*wrong = tern_err_text(err);
		tern_drill_close(drill);
		return NULL;
	}
	drill->room = tern_nif_frame_room(drill->stack, drill->nif);
	drill->buffer = malloc(drill->room);
	if (!drill->buffer)
		abort();
	tern_drill_pump(drill);
	return drill;
}

size_t tern_drill_close(struct drill *drill)
{
	for (int k = 0; k < DRILL_FDS; k++) {
		if (!drill->fd[k].open)
			continue;
		tern_drill_end(drill, &drill->fd[k]);
		if (drill->opts.close_fd)
			drill->opts.close_fd(k);
	}
	for (struct drill_frame *f; (f = tern_drill_take(drill));)
		free(f);
	if (drill->stack)
		tern_stack_free(drill->stack);
	free(drill->buffer);
	size_t leaked = drill->allocated;
	free(drill);
	return leaked;
}

const char *tern_drill_fault(const struct drill *drill)
{
	return drill->fault;
}

int64_t tern_drill_now(const struct drill *drill)
{
	return drill->now;
}

struct tern_stack *tern_drill_stack(struct drill *drill)
{
	return drill->stack;
}

static void see(struct drill *drill, const uint8_t *data, uint32_t len)
{
	if (drill->opts.see)
		drill->opts.see(drill->opts.context, drill->now, data, len);
}

static void keep(struct drill *drill, const struct tern_frame *frame)
{
	struct drill_frame *f = malloc(sizeof *f + frame->len);
	if (!f)
		abort();
	*f = (struct drill_frame){.time = drill->now, .len = frame->len};
	memcpy(f->data, frame->data, frame->len);
	*drill->sent_tail = f;
	drill->sent_tail = &f->next;
	see(drill, frame->data, frame->len);
}

const struct drill_frame *tern_drill_peek(const struct drill *drill)
{
	return drill->sent;
}

struct drill_frame *tern_drill_take(struct drill *drill)
{
	struct drill_frame *f = drill->sent;
	if (!f)
		return NULL;
	drill->sent = f->next;
	if (!drill->sent)
		drill->sent_tail = &drill->sent;
	return f;
}

static void pull(struct drill *drill)
{
	for (unsigned k = 0; k < SPINS_MAX; k++) {
		struct tern_frame frame = {.data = drill->buffer,
			.capacity = (uint32_t)drill->room};
		if (tern_output(drill->stack, drill->nif, &frame, 1, stack_time(drill->now)) == 0)
			return;
		tern_frame_finish_csum(&frame);
		keep(drill, &frame);
	}
	drill->fault = "tern_output never ends";
}

static void hear_events(struct drill *drill)
{
	struct tern_event event;
	while (tern_event_next(drill->stack, &event)) {
		struct fd *fd = event.user;
		if (fd && event.kind == TERN_EV_ACCEPT)
			fd->accept_edge = true;
		if (fd && event.kind == TERN_EV_WRITABLE)
			fd->send_edge = true;
	}
}

/* Tries each blocked call once; whether one went through. */
static bool retry(struct drill *drill)
{
	struct drill_call *call = drill->blocked;
	bool progress = false;
	drill->blocked = NULL;
	for (struct drill_call *next; call; call = next) {
		next = call->next;
		tern_drill_call(drill, call);
		progress |= call->finished;
	}
	return progress;
}

void tern_drill_pump(struct drill *drill)
{
	do {
		pull(drill);
		hear_events(drill);
	} while (!drill->fault && drill->blocked && retry(drill));
	const char *wrong = tern_stack_check(drill->stack);
	if (wrong && !drill->fault)
		drill->fault = wrong;
}

int64_t tern_drill_due(const struct drill *drill)
{
	uint64_t deadline = tern_deadline(drill->stack);
	int64_t due = deadline == TERN_NEVER ? INT64_MAX : (int64_t)(deadline - stack_time(0));
	for (const struct drill_call *call = drill->blocked; call; call = call->next)
		if (call->alarm < due)
			due = call->alarm;
	return due;
}

bool tern_drill_step(struct drill *drill, int64_t limit)
{
	int64_t due = tern_drill_due(drill);
	bool more = due <= limit;
	if (!more)
		due = limit;
	if (due > drill->now)
		drill->now = due;
	tern_input(drill->stack, drill->nif, NULL, 0, stack_time(drill->now));
	tern_drill_pump(drill);
	return more;
}

void tern_drill_advance(struct drill *drill, int64_t to)
{
	int64_t stood = drill->now;
	unsigned spins = 0;
	while (!drill->fault && tern_drill_step(drill, to)) {
		spins = drill->now == stood ? spins + 1 : 0;
		stood = drill->now;
		if (spins == SPINS_MAX)
			drill->fault = "tern_deadline stands still";
	}
}

void tern_drill_inject(struct drill *drill, const uint8_t *data, uint32_t len, uint16_t gso_size)
{
	uint8_t *copy = malloc(len ? len : 1); /* exactly so long, for ASan to see */
	if (!copy)
		abort();
	memcpy(copy, data, len);
	see(drill, copy, len);
	struct tern_frame frame = {.data = copy, .len = len, .gso_size = gso_size};
	tern_input(drill->stack, drill->nif, &frame, 1, stack_time(drill->now));
	free(copy);
	tern_drill_pump(drill);
}
