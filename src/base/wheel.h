/*
 * A hierarchical timer wheel (Varghese and Lauck, scheme 7): eight levels of 64 slots, one tick of
 * 2^16 ns (65.5 us) at the lowest. Arming, disarming and re-arming are O(1); an entry moves
 * down at most seven times. A timer never fires early, and at most one tick late.
 *
 * Entries are embedded in what they time. All zero bytes is a valid disarmed entry.
 */
#ifndef TERN_BASE_WHEEL_H
#define TERN_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_LOG2 16
#define WHEEL_LEVELS    8
#define WHEEL_SLOT_LOG2 6
#define WHEEL_SLOTS     (1u << WHEEL_SLOT_LOG2)

struct wheel_entry {
	struct wheel_entry *next, **link; /* link is NULL while disarmed */
	uint64_t deadline;                /* ns */
};

struct wheel {
	uint64_t tick;               /* every tick before this one has been expired */
	uint64_t busy[WHEEL_LEVELS]; /* bit s set: slot s of that level is not empty */
	struct wheel_entry *slot[WHEEL_LEVELS][WHEEL_SLOTS];
	struct wheel_entry *due; /* expired, not yet popped */
	uint32_t armed;          /* entries armed, those in `due` included */
};

void tern_wheel_init(struct wheel *wheel, uint64_t now);
/* Arms the entry, or moves it. A deadline in the past fires at the next expiry. */
void tern_wheel_arm(struct wheel *wheel, struct wheel_entry *entry, uint64_t deadline);
/* Harmless on a disarmed entry. */
void tern_wheel_disarm(struct wheel *wheel, struct wheel_entry *entry);
/*
 * Advances to now and pops one expired entry, disarmed, or NULL if none is left. Bounded
 * work a call however many ticks have passed (empty stretches are skipped by bitmap) and however
 * many entries share a slot: a cascade moves at most 64 entries per call, so a call may
 * return NULL with *more set, meaning: call again.
 */
struct wheel_entry *tern_wheel_expire(struct wheel *wheel, uint64_t now, bool *more);
/* When to call tern_wheel_expire next: never later than the soonest deadline's tick has
 * passed, possibly sooner (a cascade is due); 0 if some are due already, TERN_NEVER if nothing is
 * armed. O(levels). */
uint64_t tern_wheel_next(const struct wheel *wheel);

static inline bool wheel_armed(const struct wheel_entry *entry)
{
	return entry->link != 0;
}

#endif
