/*
 * Two stacks and the wire between them, which a test may hold up, frame by frame, or give a delay.
 * Side 0 is 10.0.0.1, side 1 is 10.0.0.2; each has its own heap.
 *
 *	pair_open(&t, &(struct pair_setup){.delay = 10 * MSEC});
 *	pair_connect(&t);
 *	pair_run(&t, SEC);
 *	pair_close(&t);
 */
#ifndef TEST_TRANSPORT_PAIR_H
#define TEST_TRANSPORT_PAIR_H

#include "../support.h"
#include <tern/tern.h>

#ifndef MSEC
#define MSEC UINT64_C(1000000)
#define SEC  UINT64_C(1000000000)
#endif

#define PAIR_PORT     7
#define PAIR_TEXT_MAX ((size_t)1 << 20)

struct pair_frame;

struct pair_side {
	struct test_heap heap;
	struct tern_stack *stack;
	int nif;
	struct tern_addr addr;
	struct tern_listener listener;
	struct tern_conn conn;
	/* On their way to this side, oldest first. */
	struct pair_frame *first, **last;
	unsigned waiting;
};

struct pair {
	struct pair_side side[2];
	uint64_t now;
	uint64_t delay; /* each way, ns */
	bool cut;       /* frames vanish */
	uint32_t hole;  /* larger ones do, bytes; 0: none */
	uint8_t buffer[65600];
};

struct pair_setup {
	uint64_t now, delay;
	uint32_t offload; /* both sides'; a frame's checksum then counts as verified on arrival */
	uint8_t seed;     /* side 1 has the next one */
	size_t budget;
};

void pair_open(struct pair *t, const struct pair_setup *setup);
/* Checks and frees both; asserts that neither leaked. */
void pair_close(struct pair *t);
/* Side 1 listens, side 0 connects, side 1 accepts; both handles are set. */
void pair_connect(struct pair *t);
/* Takes what both have to send onto the wire; returns how many frames. */
unsigned pair_collect(struct pair *t);
/* The same, one frame of one side only. */
bool pair_collect_side(struct pair *t, unsigned from);
/* Loses the oldest frame on its way to a side; false if there is none. */
bool pair_drop(struct pair *t, unsigned to);
/* Delivers the oldest frame on its way to a side, due or not; false if there is none. */
bool pair_deliver(struct pair *t, unsigned to);
/* Everything moves until both are silent and ns have passed. */
void pair_run(struct pair *t, uint64_t ns);
/* The same for ns, while side 1 reads whatever comes. */
void pair_run_reading(struct pair *t, uint64_t ns);
/* ... until side 1 has acknowledged all that side 0 wrote. */
void pair_run_acknowledged(struct pair *t);
/* Side 0 writes n bytes, at most PAIR_TEXT_MAX, of which all find room. */
void pair_write(struct pair *t, size_t n);
/* A setting of both stacks. */
void pair_set(struct pair *t, const char *name, int64_t value);
/* The next thing that is due, no later than end, happens; false when nothing is left until then. */
bool pair_step(struct pair *t, uint64_t end);
struct tern_tcp_info pair_info(const struct pair *t, unsigned side);
enum tern_tcp_state pair_state(const struct pair *t, unsigned side);
uint32_t pair_connections(const struct pair *t, unsigned side);

#endif
