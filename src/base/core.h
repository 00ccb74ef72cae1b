/*
 * What every layer of one stack shares: time, the ledger, chance, settings, counters, the
 * trace listener and the queue of events for the application. stack.c owns the one instance.
 */
#ifndef TERN_BASE_CORE_H
#define TERN_BASE_CORE_H

#include <tern/stack.h>
#include <tern/trace.h>
#include "base/csum.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"

struct settings {
#define TERN_SETTING(name, initial, min, max, text) int32_t name;
#include <tern/settings.def>
#undef TERN_SETTING
};

/* Whose notice it is: how stack.c finds the handle behind it. */
enum notice_owner {
	NOTICE_CONN,
	NOTICE_LISTENER,
	NOTICE_UDP,
};

/*
 * Embedded in everything that has events for the application: a place in the queue and the
 * kinds that are pending. An object is in the queue while it has any.
 */
struct notice {
	struct notice *next, **link; /* link is NULL while not queued */
	uint16_t pending;            /* bit k: enum tern_event_kind k */
	uint8_t owner;
};

struct core {
	uint64_t now; /* ns; as given to the call under way */
	struct mem mem;
	struct pool chunks; /* of RING_CHUNK bytes, for rings */
	struct rng rng;
	const struct csum_ops *csum;
	struct settings set;
	struct notice *notices, **notices_tail;
	struct tern_trace_listener listener; /* see is NULL while nobody listens */
	int nif;                             /* interface of the frame under way, or -1 */
	uint64_t counter[TERN_COUNTERS];
	uint64_t drop[TERN_DROPS];
};

static inline bool core_traced(const struct core *core)
{
	return __builtin_expect(core->listener.see != NULL, 0);
}

static inline void core_count(struct core *core, enum tern_counter which)
{
	core->counter[which]++;
}

static inline void core_add(struct core *core, enum tern_counter which, uint64_t n)
{
	core->counter[which] += n;
}

/* Half the budget is spent: buffers stop growing by themselves. */
static inline bool core_pressed(const struct core *core)
{
	return core->mem.used > core->mem.budget / 2;
}

/* Sends an event to the listener; fills in kind's time. Only call when core_traced(). */
void tern_core_trace(struct core *core, struct tern_trace *trace);
/* Counts a drop and tells the listener, about no connection in particular. */
void tern_core_drop(struct core *core, enum tern_drop why);

/* Marks kinds of event as pending and queues the owner. */
void tern_notice_raise(struct core *core, struct notice *notice, unsigned kinds);
/* Takes the owner out of the queue, with all it had pending. */
void tern_notice_cancel(struct core *core, struct notice *notice);

#define NOTICE(kind) (1u << (kind))

/* settings.c: what tern_set and tern_get do. */
int tern_settings_set(struct settings *set, const char *name, int64_t value);
int tern_settings_get(const struct settings *set, const char *name, int64_t *value);

#endif
