#include "pair.h"

struct pair_frame {
	struct pair_frame *next;
	uint64_t due;
	struct tern_frame frame;
	uint8_t data[];
};

static void open_side(struct pair *t, unsigned k, const struct pair_setup *setup)
{
	struct pair_side *s = &t->side[k];
	struct tern_config cfg;
	struct tern_nif_opts opts = {.name = "wire",
		.mtu = 1500,
		.raw_ip = true,
		.offload = setup->offload};
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&s->heap);
	memset(cfg.seed, (setup->seed ? setup->seed : 40) + (int)k, sizeof cfg.seed);
	if (setup->budget)
		cfg.budget = setup->budget;
	s->addr = tern_addr_v4(10, 0, 0, (uint8_t)(k + 1));
	s->last = &s->first;
	s->stack = tern_stack_new(&cfg, t->now);
	assert_non_null(s->stack);
	s->nif = tern_nif_add(s->stack, &opts);
	assert_true(s->nif > 0);
	assert_int_equal(tern_nif_addr_add(s->stack, s->nif, &s->addr, 24), 0);
}

void pair_open(struct pair *t, const struct pair_setup *setup)
{
	memset(t, 0, sizeof *t);
	t->now = setup->now ? setup->now : 1000 * SEC;
	t->delay = setup->delay;
	for (unsigned k = 0; k < 2; k++)
		open_side(t, k, setup);
}

static struct pair_frame *shift(struct pair_side *s)
{
	struct pair_frame *f = s->first;
	if (!f)
		return NULL;
	s->first = f->next;
	if (!s->first)
		s->last = &s->first;
	s->waiting--;
	return f;
}

void pair_close(struct pair *t)
{
	for (unsigned k = 0; k < 2; k++) {
		struct pair_side *s = &t->side[k];
		for (struct pair_frame *f; (f = shift(s));)
			free(f);
		assert_null(tern_stack_check(s->stack));
		tern_stack_free(s->stack);
		test_heap_assert_empty(&s->heap);
	}
}

static void put(struct pair *t, struct pair_side *to, const struct tern_frame *frame)
{
	struct pair_frame *f = malloc(sizeof *f + frame->len);
	assert_non_null(f);
	memcpy(f->data, frame->data, frame->len);
	f->next = NULL;
	f->due = t->now + t->delay;
	f->frame = *frame;
	f->frame.data = f->data;
	f->frame.csum_valid = frame->csum_start != 0;
	*to->last = f;
	to->last = &f->next;
	to->waiting++;
}

bool pair_collect_side(struct pair *t, unsigned from)
{
	struct pair_side *s = &t->side[from];
	struct tern_frame frame = {.data = t->buffer, .capacity = sizeof t->buffer};
	if (tern_output(s->stack, s->nif, &frame, 1, t->now) == 0)
		return false;
	uint32_t largest = frame.gso_size ? frame.header_len + frame.gso_size : frame.len;
	if (!t->cut && (t->hole == 0 || largest <= t->hole))
		put(t, &t->side[!from], &frame);
	return true;
}

unsigned pair_collect(struct pair *t)
{
	unsigned n = 0;
	for (unsigned k = 0; k < 2; k++)
		while (pair_collect_side(t, k))
			n++;
	return n;
}

bool pair_drop(struct pair *t, unsigned to)
{
	struct pair_frame *f = shift(&t->side[to]);
	if (!f)
		return false;
	free(f);
	return true;
}

bool pair_deliver(struct pair *t, unsigned to)
{
	struct pair_side *s = &t->side[to];
	struct pair_frame *f = shift(s);
	if (!f)
		return false;
	if (f->due > t->now)
		t->now = f->due;
	tern_input(s->stack, s->nif, &f->frame, 1, t->now);
	free(f);
	return true;
}

static uint64_t due(const struct pair_side *s)
{
	uint64_t at = tern_deadline(s->stack);
	return s->first && s->first->due < at ? s->first->due : at;
}

bool pair_step(struct pair *t, uint64_t end)
{
	pair_collect(t);
	for (unsigned k = 0; k < 2; k++)
		if (t->side[k].first && t->side[k].first->due <= t->now)
			return pair_deliver(t, k);
	uint64_t a = due(&t->side[0]), b = due(&t->side[1]), at = a < b ? a : b;
	if (at > end) {
		t->now = end > t->now ? end : t->now;
		return false;
	}
	if (at > t->now)
		t->now = at;
	for (unsigned k = 0; k < 2; k++)
		tern_input(t->side[k].stack, t->side[k].nif, NULL, 0, t->now);
	return true;
}

void pair_run(struct pair *t, uint64_t ns)
{
	uint64_t end = t->now + ns;
	while (pair_step(t, end))
		;
}

void pair_connect(struct pair *t)
{
	struct tern_listen_opts listen = {.local.port = PAIR_PORT, .backlog = 16};
	struct tern_connect_opts connect = {.remote = {t->side[1].addr, PAIR_PORT}};
	if (!t->side[1].listener.generation)
		assert_int_equal(tern_tcp_listen(t->side[1].stack, &listen, &t->side[1].listener),
			0);
	assert_int_equal(tern_tcp_connect(t->side[0].stack, &connect, &t->side[0].conn), 0);
	pair_run(t, 4 * t->delay + 1);
	assert_int_equal(tern_tcp_accept(t->side[1].stack, t->side[1].listener, &t->side[1].conn),
		0);
	assert_int_equal(pair_state(t, 0), TERN_TCP_ESTABLISHED);
}

struct tern_tcp_info pair_info(const struct pair *t, unsigned side)
{
	struct tern_tcp_info info;
	assert_int_equal(tern_tcp_info(t->side[side].stack, t->side[side].conn, &info), 0);
	return info;
}

enum tern_tcp_state pair_state(const struct pair *t, unsigned side)
{
	return pair_info(t, side).state;
}

uint32_t pair_connections(const struct pair *t, unsigned side)
{
	struct tern_memory_info info;
	tern_memory_info(t->side[side].stack, &info);
	return info.connections;
}

void pair_run_reading(struct pair *t, uint64_t ns)
{
	static uint8_t sink[1 << 16];
	uint64_t end = t->now + ns;
	while (pair_step(t, end))
		while (tern_tcp_read(t->side[1].stack, t->side[1].conn, sink, sizeof sink) > 0)
			;
}

void pair_run_acknowledged(struct pair *t)
{
	pair_run_reading(t, MSEC);
	while (pair_info(t, 0).unacked || pair_info(t, 0).unsent)
		pair_run_reading(t, MSEC);
}

void pair_write(struct pair *t, size_t n)
{
	static const uint8_t text[PAIR_TEXT_MAX];
	const struct pair_side *s = &t->side[0];
	assert_true(n <= sizeof text);
	assert_int_equal(tern_tcp_option_set(s->stack, s->conn, TERN_TCP_SNDBUF, sizeof text), 0);
	assert_int_equal(tern_tcp_write(s->stack, s->conn, text, n), n);
}

void pair_set(struct pair *t, const char *name, int64_t value)
{
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(tern_set(t->side[k].stack, name, value), 0);
}
