/*
 * A deadline belongs to the first tick that begins at or after it. An entry lies at the level of
 * the highest base-64 digit in which its tick differs from the wheel's own, in the slot of that
 * digit. So all ticks of a level's entries agree with the wheel's in the digits above, every slot
 * taken is ahead of the wheel's digit, and the first busy slot of a level is its soonest. When the
 * wheel's tick reaches the first tick of a slot above level 0, the slot's entries are dealt out
 * anew, lower (the cascade). It never passes a busy slot.
 */
#include "base/wheel.h"

#include <assert.h>
#include <stddef.h>

#include <tern/types.h>

#define DIGIT        (WHEEL_SLOTS - 1)
#define LAST_TICK    (((uint64_t)1 << (WHEEL_LEVELS * WHEEL_SLOT_LOG2)) - 1)
#define CASCADE_MOST 64 /* entries moved a call */

static unsigned digit(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> level * WHEEL_SLOT_LOG2) & DIGIT;
}

static uint64_t tick_of(uint64_t deadline)
{
	uint64_t tick = deadline >> WHEEL_TICK_LOG2;
	tick += (deadline & (((uint64_t)1 << WHEEL_TICK_LOG2) - 1)) != 0;
	return tick < LAST_TICK ? tick : LAST_TICK;
}

static void push(struct wheel_entry **list, struct wheel_entry *entry)
{
	entry->next = *list;
	entry->link = list;
	if (entry->next)
		entry->next->link = &entry->next;
	*list = entry;
}

/* Puts the entry where its deadline says, as seen from the wheel's tick. */
static void place(struct wheel *wheel, struct wheel_entry *entry)
{
	uint64_t tick = tick_of(entry->deadline);
	uint64_t differ = tick ^ wheel->tick;
	if (tick < wheel->tick) {
		push(&wheel->due, entry);
		return;
	}
	unsigned level = (63 - (unsigned)__builtin_clzll(differ | 1)) / WHEEL_SLOT_LOG2;
	unsigned slot = digit(tick, level);
	push(&wheel->slot[level][slot], entry);
	wheel->busy[level] |= (uint64_t)1 << slot;
}

/* An entry without a next whose link is a slot was that slot's last. */
static void take(struct wheel *wheel, struct wheel_entry *entry)
{
	struct wheel_entry **link = entry->link;
	*link = entry->next;
	entry->link = NULL;
	if (entry->next) {
		entry->next->link = link;
		return;
	}
	uintptr_t offset = (uintptr_t)link - (uintptr_t)wheel->slot;
	if (offset < sizeof wheel->slot) {
		size_t index = offset / sizeof wheel->slot[0][0];
		wheel->busy[index / WHEEL_SLOTS] &= ~((uint64_t)1 << index % WHEEL_SLOTS);
	}
}

void tern_wheel_init(struct wheel *wheel, uint64_t now)
{
	*wheel = (struct wheel){.tick = now >> WHEEL_TICK_LOG2};
}

void tern_wheel_arm(struct wheel *wheel, struct wheel_entry *entry, uint64_t deadline)
{
	if (entry->link) {
		uint64_t tick = tick_of(deadline);
		uint64_t before = entry->deadline;
		entry->deadline = deadline;
		/* The common case: pushed back by less than a tick. */
		if (tick == tick_of(before) && tick >= wheel->tick)
			return;
		take(wheel, entry);
	} else {
		entry->deadline = deadline;
		wheel->armed++;
	}
	place(wheel, entry);
}

void tern_wheel_disarm(struct wheel *wheel, struct wheel_entry *entry)
{
	if (!entry->link)
		return;
	take(wheel, entry);
	wheel->armed--;
}

/* Where the wheel has to stop next: a slot and the first tick that belongs to it. */
struct stop {
	uint64_t tick;
	unsigned level, slot;
};

/* Of slots that begin at the same tick the highest is first: its entries may be just as soon. */
static bool next_stop(const struct wheel *wheel, struct stop *stop)
{
	stop->tick = UINT64_MAX;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		if (!wheel->busy[level])
			continue;
		unsigned shift = level * WHEEL_SLOT_LOG2;
		unsigned slot = (unsigned)__builtin_ctzll(wheel->busy[level]);
		uint64_t above = wheel->tick >> shift & ~(uint64_t)DIGIT;
		uint64_t tick = (above | slot) << shift;
		if (tick <= stop->tick)
			*stop = (struct stop){tick, level, slot};
	}
	return stop->tick != UINT64_MAX;
}

/* Deals out up to `most` entries of a slot whose first tick is the wheel's; returns how many. */
static unsigned cascade(struct wheel *wheel, const struct stop *stop, unsigned most)
{
	struct wheel_entry **list = &wheel->slot[stop->level][stop->slot];
	unsigned moved = 0;
	for (; *list && moved < most; moved++) {
		struct wheel_entry *entry = *list;
		take(wheel, entry);
		place(wheel, entry);
	}
	return moved;
}

/* Makes a slot of level 0 due, in one step however many it holds. */
static void expire_slot(struct wheel *wheel, unsigned slot)
{
	assert(!wheel->due);
	wheel->due = wheel->slot[0][slot];
	wheel->due->link = &wheel->due;
	wheel->slot[0][slot] = NULL;
	wheel->busy[0] &= ~((uint64_t)1 << slot);
	wheel->tick++;
}

static struct wheel_entry *pop_due(struct wheel *wheel)
{
	struct wheel_entry *entry = wheel->due;
	take(wheel, entry);
	wheel->armed--;
	return entry;
}

struct wheel_entry *tern_wheel_expire(struct wheel *wheel, uint64_t now, bool *more)
{
	uint64_t present = now >> WHEEL_TICK_LOG2;
	unsigned left = CASCADE_MOST;
	struct stop stop;
	*more = true;
	while (!wheel->due) {
		if (wheel->tick > present) {
			*more = false;
			return NULL;
		}
		if (!next_stop(wheel, &stop) || stop.tick > present) {
			wheel->tick = present + 1;
			continue;
		}
		wheel->tick = stop.tick;
		if (stop.level == 0)
			expire_slot(wheel, stop.slot);
		else if ((left -= cascade(wheel, &stop, left)) == 0)
			return NULL;
	}
	return pop_due(wheel);
}

uint64_t tern_wheel_next(const struct wheel *wheel)
{
	struct stop stop;
	if (wheel->due)
		return 0;
	if (!next_stop(wheel, &stop))
		return TERN_NEVER;
	return stop.tick << WHEEL_TICK_LOG2;
}
