#include "test/unit/support.h"

#include "base/wheel.h"

#define TICK    ((uint64_t)1 << WHEEL_TICK_LOG2)
#define SECOND  UINT64_C(1000000000)
#define HOUR    (3600 * SECOND)
#define STARTS  5
#define ENTRIES 300

/* Ends of every level, and a time with all digits at work. */
static const uint64_t starts[STARTS] = {
	0,
	63 * TICK,
	(UINT64_C(1) << 40) - 1,
	1234567 * SECOND + 891,
	(UINT64_C(1) << 58) - TICK,
};

/* Pops one, with as many calls as that takes. */
static struct wheel_entry *pop(struct wheel *wheel, uint64_t now)
{
	bool more = true;
	struct wheel_entry *entry = NULL;
	while (!entry && more)
		entry = tern_wheel_expire(wheel, now, &more);
	return entry;
}

static void an_idle_wheel_never_asks_to_be_called(void **state)
{
	(void)state;
	struct wheel wheel;
	bool more;
	tern_wheel_init(&wheel, 5 * SECOND);
	assert_int_equal(tern_wheel_next(&wheel), TERN_NEVER);
	assert_null(tern_wheel_expire(&wheel, HOUR, &more));
	assert_false(more);
	assert_int_equal(tern_wheel_next(&wheel), TERN_NEVER);
}

static void a_timer_fires_once_never_early_and_within_a_tick(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STARTS; s++)
		for (unsigned bit = 0; bit < 57; bit++) {
			struct wheel wheel;
			struct wheel_entry entry = {.link = NULL};
			uint64_t deadline = starts[s] + (UINT64_C(1) << bit);
			tern_wheel_init(&wheel, starts[s]);
			tern_wheel_arm(&wheel, &entry, deadline);
			assert_int_equal(wheel.armed, 1);
			assert_null(pop(&wheel, deadline - 1));
			assert_true(wheel_armed(&entry));
			assert_ptr_equal(pop(&wheel, deadline + TICK - 1), &entry);
			assert_false(wheel_armed(&entry));
			assert_int_equal(wheel.armed, 0);
			assert_null(pop(&wheel, deadline + 2 * TICK));
			assert_int_equal(tern_wheel_next(&wheel), TERN_NEVER);
		}
}

static void a_deadline_in_the_past_fires_at_the_next_expiry(void **state)
{
	(void)state;
	struct wheel wheel;
	struct wheel_entry entry = {.link = NULL};
	tern_wheel_init(&wheel, 0);
	assert_null(pop(&wheel, HOUR));
	tern_wheel_arm(&wheel, &entry, SECOND);
	assert_true(tern_wheel_next(&wheel) <= HOUR);
	assert_ptr_equal(pop(&wheel, HOUR), &entry);
	tern_wheel_arm(&wheel, &entry, 0);
	assert_ptr_equal(pop(&wheel, HOUR), &entry);
}

static void a_deadline_at_the_end_of_time_is_kept(void **state)
{
	(void)state;
	struct wheel wheel;
	struct wheel_entry entry = {.link = NULL};
	tern_wheel_init(&wheel, 0);
	tern_wheel_arm(&wheel, &entry, UINT64_MAX);
	assert_null(pop(&wheel, 1000 * HOUR));
	assert_true(wheel_armed(&entry));
	tern_wheel_disarm(&wheel, &entry);
	assert_int_equal(tern_wheel_next(&wheel), TERN_NEVER);
}

static void disarming_a_disarmed_entry_is_harmless(void **state)
{
	(void)state;
	struct wheel wheel;
	struct wheel_entry entry = {.link = NULL};
	tern_wheel_init(&wheel, 0);
	tern_wheel_disarm(&wheel, &entry);
	tern_wheel_arm(&wheel, &entry, SECOND);
	tern_wheel_disarm(&wheel, &entry);
	tern_wheel_disarm(&wheel, &entry);
	assert_int_equal(wheel.armed, 0);
	assert_null(pop(&wheel, HOUR));
}

static void a_due_entry_may_still_be_disarmed_or_put_off(void **state)
{
	(void)state;
	struct wheel wheel;
	struct wheel_entry entry[4] = {{.link = NULL}};
	tern_wheel_init(&wheel, 0);
	for (int i = 0; i < 4; i++)
		tern_wheel_arm(&wheel, &entry[i], SECOND);
	assert_non_null(pop(&wheel, 2 * SECOND));
	unsigned put_off = 0;
	for (int i = 0; i < 4; i++) {
		if (wheel_armed(&entry[i]) && put_off++ == 0)
			tern_wheel_arm(&wheel, &entry[i], 3 * SECOND);
		else
			tern_wheel_disarm(&wheel, &entry[i]);
	}
	assert_null(pop(&wheel, 2 * SECOND));
	assert_int_equal(wheel.armed, 1);
	assert_non_null(pop(&wheel, 4 * SECOND));
	assert_int_equal(wheel.armed, 0);
}

/* --- against a list -------------------------------------------------------------------- */

struct world {
	struct wheel wheel;
	struct wheel_entry entry[ENTRIES];
	uint64_t deadline[ENTRIES]; /* TERN_NEVER while disarmed */
	uint64_t now;
	struct test_rand rand;
};

/* From a fraction of a tick to hours, all magnitudes alike. */
static uint64_t some_delay(struct test_rand *r)
{
	uint64_t longest = UINT64_C(1) << (8 + test_rand_below(r, 37));
	return test_rand_u64(r) % longest;
}

static void arm_or_disarm(struct world *w)
{
	unsigned k = test_rand_below(&w->rand, ENTRIES);
	if (test_rand_one_in(&w->rand, 4)) {
		tern_wheel_disarm(&w->wheel, &w->entry[k]);
		w->deadline[k] = TERN_NEVER;
		return;
	}
	uint64_t delay = some_delay(&w->rand);
	bool past = test_rand_one_in(&w->rand, 20);
	w->deadline[k] = !past ? w->now + delay : w->now > delay ? w->now - delay : 0;
	tern_wheel_arm(&w->wheel, &w->entry[k], w->deadline[k]);
}

static uint64_t tick_after(uint64_t deadline)
{
	return deadline / TICK + (deadline % TICK != 0);
}

/* Fires what the wheel gives; then nothing may be left that is due. */
static void drain(struct world *w)
{
	uint32_t armed = 0;
	for (struct wheel_entry *e; (e = pop(&w->wheel, w->now));) {
		size_t k = (size_t)(e - w->entry);
		assert_true(w->deadline[k] != TERN_NEVER && w->deadline[k] <= w->now);
		w->deadline[k] = TERN_NEVER;
	}
	for (unsigned k = 0; k < ENTRIES; k++) {
		armed += w->deadline[k] != TERN_NEVER;
		assert_int_equal(wheel_armed(&w->entry[k]), w->deadline[k] != TERN_NEVER);
		assert_true(tick_after(w->deadline[k]) > w->now / TICK);
	}
	assert_int_equal(w->wheel.armed, armed);
}

static uint64_t soonest(const struct world *w)
{
	uint64_t best = TERN_NEVER;
	for (unsigned k = 0; k < ENTRIES; k++)
		if (w->deadline[k] < best)
			best = w->deadline[k];
	return best;
}

static void check_next(const struct world *w)
{
	uint64_t best = soonest(w), next = tern_wheel_next(&w->wheel);
	if (best == TERN_NEVER)
		assert_int_equal(next, TERN_NEVER);
	else
		assert_true(next <= tick_after(best) * TICK);
}

static void open_world(struct world *w, unsigned seed)
{
	memset(w, 0, sizeof *w);
	w->now = starts[seed % STARTS];
	w->rand.state = seed;
	for (unsigned k = 0; k < ENTRIES; k++)
		w->deadline[k] = TERN_NEVER;
	tern_wheel_init(&w->wheel, w->now);
}

static void close_world(struct world *w)
{
	for (unsigned k = 0; k < ENTRIES; k++)
		tern_wheel_disarm(&w->wheel, &w->entry[k]);
	assert_int_equal(w->wheel.armed, 0);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		assert_int_equal(w->wheel.busy[level], 0);
}

static void any_series_of_calls_matches_a_list_over_hours(void **state)
{
	(void)state;
	static struct world w;
	for (unsigned seed = 0; seed < 10; seed++) {
		open_world(&w, seed);
		uint64_t begun = w.now;
		for (int i = 0; i < 4000; i++) {
			for (unsigned n = test_rand_below(&w.rand, 12); n > 0; n--)
				arm_or_disarm(&w);
			check_next(&w);
			w.now += some_delay(&w.rand);
			drain(&w);
			check_next(&w);
		}
		assert_true(w.now - begun > 3 * HOUR);
		close_world(&w);
	}
}

static void a_driver_that_sleeps_until_next_misses_nothing_and_wakes_seldom(void **state)
{
	(void)state;
	static struct world w;
	uint64_t wakes = 0, armed = 0;
	open_world(&w, 77);
	for (int i = 0; i < 30000; i++) {
		if (test_rand_one_in(&w.rand, 2) || soonest(&w) == TERN_NEVER) {
			arm_or_disarm(&w);
			armed++;
		}
		uint64_t next = tern_wheel_next(&w.wheel);
		if (next == TERN_NEVER)
			continue;
		if (next > w.now)
			w.now = next;
		wakes++;
		drain(&w);
	}
	assert_true(wakes <= armed * WHEEL_LEVELS);
	close_world(&w);
}

static void timers_of_different_ticks_fire_in_order(void **state)
{
	(void)state;
	static struct world w;
	open_world(&w, 5);
	for (unsigned k = 0; k < ENTRIES; k++) {
		w.deadline[k] = w.now + TICK + some_delay(&w.rand);
		tern_wheel_arm(&w.wheel, &w.entry[k], w.deadline[k]);
	}
	uint64_t last = 0;
	unsigned fired = 0;
	for (struct wheel_entry *e; (e = pop(&w.wheel, w.now + 100 * HOUR)); fired++) {
		assert_true(tick_after(e->deadline) >= last);
		last = tick_after(e->deadline);
	}
	assert_int_equal(fired, ENTRIES);
	close_world(&w);
}

/* --- many on one tick ------------------------------------------------------------------- */

#define CROWD 1000000u

static void a_million_timers_on_one_tick_take_bounded_work_a_call(void **state)
{
	(void)state;
	struct wheel wheel;
	struct wheel_entry *crowd = calloc(CROWD, sizeof *crowd);
	uint64_t due = 2 * HOUR + 12345;
	uint32_t fired = 0, calls = 0;
	bool more = true;
	assert_non_null(crowd);
	tern_wheel_init(&wheel, 0);
	for (uint32_t i = 0; i < CROWD; i++)
		tern_wheel_arm(&wheel, &crowd[i], due);
	assert_int_equal(wheel.armed, CROWD);
	while (more) {
		struct wheel_entry *e = tern_wheel_expire(&wheel, due + TICK, &more);
		fired += e != NULL;
		calls++;
		/* A driver is asked back at once while work is left. */
		if (more && !e)
			assert_true(tern_wheel_next(&wheel) <= due + TICK);
	}
	assert_int_equal(fired, CROWD);
	/* 2 hours are 27 bits of ticks: level 4, so every entry is moved down four times at
	 * most, 64 of them a call; a call that did more would show as fewer calls. */
	assert_true(calls >= CROWD + CROWD / 64);
	assert_true(calls <= CROWD + 4 * (CROWD / 64 + 1) + 8);
	free(crowd);
}

static void arming_between_the_calls_of_a_cascade_loses_no_order(void **state)
{
	(void)state;
	struct wheel wheel;
	static struct wheel_entry crowd[1000], later;
	uint64_t block = WHEEL_SLOTS * TICK;
	unsigned fired = 0;
	bool more;
	tern_wheel_init(&wheel, 0);
	for (unsigned i = 0; i < 1000; i++)
		tern_wheel_arm(&wheel, &crowd[i], block + 5 * TICK);
	assert_null(tern_wheel_expire(&wheel, block, &more));
	assert_true(more);
	tern_wheel_arm(&wheel, &later, block + 9 * TICK);
	for (struct wheel_entry *e; (e = pop(&wheel, 2 * block)) != &later; fired++)
		assert_non_null(e);
	assert_int_equal(fired, 1000);
	assert_int_equal(wheel.armed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_wheel_never_asks_to_be_called),
		cmocka_unit_test(a_timer_fires_once_never_early_and_within_a_tick),
		cmocka_unit_test(a_deadline_in_the_past_fires_at_the_next_expiry),
		cmocka_unit_test(a_deadline_at_the_end_of_time_is_kept),
		cmocka_unit_test(disarming_a_disarmed_entry_is_harmless),
		cmocka_unit_test(a_due_entry_may_still_be_disarmed_or_put_off),
		cmocka_unit_test(any_series_of_calls_matches_a_list_over_hours),
		cmocka_unit_test(a_driver_that_sleeps_until_next_misses_nothing_and_wakes_seldom),
		cmocka_unit_test(timers_of_different_ticks_fire_in_order),
		cmocka_unit_test(a_million_timers_on_one_tick_take_bounded_work_a_call),
		cmocka_unit_test(arming_between_the_calls_of_a_cascade_loses_no_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
