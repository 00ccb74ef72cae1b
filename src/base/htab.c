/*
 * Changing size, in steps taken with each insertion and removal:
 *
 *  1. Load passes 5/8, or falls below 3/16: an array of twice or half the capacity C is
 *     asked for, as `next`, and made vacant, CLEAR_STEP places a step.
 *  2. When it all is, it becomes `now`, and what was now becomes `old`.
 *  3. `old` is drained, DRAIN_STEP places a step. Insertions go to `now`.
 *
 * Growing, clearing takes C/32 steps and draining C/16, so the load is at most 5/8 + 1/32
 * before the change, and after it at most (5/8 + 1/32 + 1/16) / 2 and at least
 * (5/8 - 1/32 - 1/16) / 2: within the bounds of no change. Shrinking, the load ends between
 * 2 (3/16 - 1/128 - 1/16) and 2 (3/16 + 1/128 + 1/16): so, too. Only when memory is refused
 * does the load come to 3/4, and insertions are refused.
 */
#include "base/htab.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define CAPACITY_MIN 16
#define CAPACITY_MAX (1u << 30)
#define CLEAR_STEP   64
#define DRAIN_STEP   16
#define VACANT       UINT32_MAX
#define CACHE_LINE   64

static uint32_t capacity(const struct htab_array *array)
{
	return array->entry ? array->mask + 1 : 0;
}

static bool vacant(const struct htab_array *array, uint32_t at)
{
	return array->entry[at].value == VACANT;
}

static bool reserve(struct htab *table, struct htab_array *array, uint32_t places)
{
	*array = (struct htab_array){.mask = places - 1};
	array->entry = tern_mem_alloc(table->mem, places * sizeof *array->entry, CACHE_LINE);
	return array->entry;
}

static void release(struct htab *table, struct htab_array *array)
{
	tern_mem_free(table->mem, array->entry, capacity(array) * sizeof *array->entry);
	*array = (struct htab_array){0};
}

static void make_vacant(struct htab_array *array, uint32_t from, uint32_t n)
{
	memset(array->entry + from, 0xff, n * sizeof *array->entry);
}

static void place(struct htab_array *array, struct htab_entry entry)
{
	uint32_t at = entry.hash & array->mask;
	while (!vacant(array, at))
		at = (at + 1) & array->mask;
	array->entry[at] = entry;
	array->count++;
}

/* Closes the gap at a place: moves back each entry behind it that may stand there, that is,
 * whose own place is not between the gap and itself. */
static void vacate(struct htab_array *array, uint32_t gap)
{
	const uint32_t mask = array->mask;
	for (uint32_t at = (gap + 1) & mask; !vacant(array, at); at = (at + 1) & mask) {
		const uint32_t strayed = at - (array->entry[at].hash & mask);
		if ((strayed & mask) < ((at - gap) & mask))
			continue;
		array->entry[gap] = array->entry[at];
		gap = at;
	}
	array->entry[gap].value = VACANT;
	array->count--;
}

static void step_clear(struct htab *table)
{
	const uint32_t left = capacity(&table->next) - table->done;
	const uint32_t n = left < CLEAR_STEP ? left : CLEAR_STEP;
	make_vacant(&table->next, table->done, n);
	table->done += n;
	if (n < left)
		return;
	table->old = table->now;
	table->now = table->next;
	table->next = (struct htab_array){0};
	table->done = 0;
	for (table->first = 0; !vacant(&table->old, table->first);)
		table->first++;
}

static void step_drain(struct htab *table)
{
	struct htab_array *old = &table->old;
	for (unsigned i = 0; i < DRAIN_STEP; i++) {
		const uint32_t at = (table->first + table->done++) & old->mask;
		if (!vacant(old, at)) {
			place(&table->now, old->entry[at]);
			old->entry[at].value = VACANT;
			old->count--;
		}
	}
	if (table->done == capacity(old))
		release(table, old);
}

static void plan(struct htab *table)
{
	const uint32_t places = capacity(&table->now), count = table->now.count;
	uint32_t wanted = places;
	if (count > places / 8 * 5 && places < CAPACITY_MAX)
		wanted = 2 * places;
	if (count < places / 16 * 3 && places > CAPACITY_MIN)
		wanted = places / 2;
	table->done = 0;
	if (wanted != places)
		reserve(table, &table->next, wanted);
}

static void step(struct htab *table)
{
	if (!table->old.entry && !table->next.entry)
		plan(table);
	if (table->next.entry)
		step_clear(table);
	else if (table->old.entry)
		step_drain(table);
}

void tern_htab_init(struct htab *table, struct mem *mem)
{
	*table = (struct htab){.mem = mem};
}

int tern_htab_insert(struct htab *table, uint32_t hash, uint32_t value)
{
	assert(value != VACANT);
	if (!table->now.entry) {
		if (!reserve(table, &table->now, CAPACITY_MIN))
			return TERN_ENOMEM;
		make_vacant(&table->now, 0, CAPACITY_MIN);
	}
	step(table);
	/* Memory was refused until now: there is no time left for small steps. */
	while (table->next.entry && table->now.count >= capacity(&table->now) / 4 * 3)
		step_clear(table);
	if (tern_htab_count(table) >= capacity(&table->now) / 4 * 3)
		return TERN_ENOMEM;
	place(&table->now, (struct htab_entry){hash, value});
	return 0;
}

/*
 * Where the search for a hash begins in old. Draining began at a vacant place, which no run
 * crosses; so an entry that is not drained, but whose own place is, stands in the unbroken
 * run that starts at the first place left.
 */
static uint32_t old_start(const struct htab *table, uint32_t hash)
{
	const uint32_t mask = table->old.mask;
	const uint32_t own = (hash - table->first) & mask;
	return (table->first + (own < table->done ? table->done : own)) & mask;
}

static bool remove_at(struct htab_array *array, uint32_t at, struct htab_entry entry)
{
	for (; !vacant(array, at); at = (at + 1) & array->mask) {
		const struct htab_entry *e = &array->entry[at];
		if (e->hash == entry.hash && e->value == entry.value) {
			vacate(array, at);
			return true;
		}
	}
	return false;
}

void tern_htab_remove(struct htab *table, uint32_t hash, uint32_t value)
{
	const struct htab_entry entry = {hash, value};
	assert(table->now.entry);
	bool found = remove_at(&table->now, hash & table->now.mask, entry);
	if (!found && table->old.entry)
		found = remove_at(&table->old, old_start(table, hash), entry);
	assert(found);
	if (tern_htab_count(table) == 0)
		tern_htab_fini(table);
	else
		step(table);
}

struct htab_probe tern_htab_probe(const struct htab *table, uint32_t hash)
{
	return (struct htab_probe){table, hash, hash & table->now.mask, false};
}

bool tern_htab_next(struct htab_probe *probe, uint32_t *value)
{
	const struct htab *table = probe->table;
	const struct htab_array *array = probe->in_old ? &table->old : &table->now;
	while (array->entry) {
		const struct htab_entry *e = &array->entry[probe->at];
		if (e->value != VACANT) {
			probe->at = (probe->at + 1) & array->mask;
			if (e->hash != probe->hash)
				continue;
			*value = e->value;
			return true;
		}
		if (probe->in_old || !table->old.entry)
			break;
		probe->in_old = true;
		probe->at = old_start(table, probe->hash);
		array = &table->old;
	}
	return false;
}

uint32_t tern_htab_count(const struct htab *table)
{
	return table->now.count + table->old.count;
}

/* Goes round twice, for the run that crosses the end. */
static uint32_t longest_run(const struct htab_array *array)
{
	uint32_t longest = 0, run = 0;
	for (uint64_t i = 0; i < 2ull * capacity(array); i++) {
		run = vacant(array, (uint32_t)i & array->mask) ? 0 : run + 1;
		if (run > longest)
			longest = run;
	}
	return longest;
}

uint32_t tern_htab_longest_probe(const struct htab *table)
{
	const uint32_t now = longest_run(&table->now), old = longest_run(&table->old);
	return now > old ? now : old;
}

void tern_htab_fini(struct htab *table)
{
	release(table, &table->now);
	release(table, &table->old);
	release(table, &table->next);
	table->done = 0;
}
