#include "test/unit/support.h"

#include <tern/impair.h>

#define MS 1000000u

static struct tern_wire *wire_of(const char *text, uint64_t seed)
{
	struct tern_impair_spec spec;
	char err[128] = "";
	assert_int_equal(tern_impair_parse(text, &spec, err, sizeof err), 0);
	struct tern_wire *wire = tern_wire_new(&spec, seed);
	assert_non_null(wire);
	return wire;
}

/* A frame that carries its number in its first bytes. */
static void push_numbered(struct tern_wire *wire, uint32_t number, uint32_t len, uint64_t now)
{
	uint8_t data[2000] = {0};
	memcpy(data, &number, sizeof number);
	tern_wire_push(wire, &(struct tern_frame){.data = data, .len = len, .csum_valid = true},
		now);
}

static bool pop_number(struct tern_wire *wire, uint32_t *number, uint64_t now)
{
	struct tern_frame frame;
	if (!tern_wire_pop(wire, &frame, now))
		return false;
	memcpy(number, frame.data, sizeof *number);
	return true;
}

static struct tern_wire_stats stats_of(const struct tern_wire *wire)
{
	struct tern_wire_stats s;
	tern_wire_stats(wire, &s);
	return s;
}

#define MANY 100000

/* Sends MANY frames, a millisecond apart, draining as it goes; arrived[i] counts frame i. */
static void run(struct tern_wire *wire, uint8_t *arrived)
{
	uint32_t number;
	memset(arrived, 0, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		push_numbered(wire, i, 100, (uint64_t)i * MS);
		while (pop_number(wire, &number, (uint64_t)i * MS))
			arrived[number]++;
	}
	while (pop_number(wire, &number, TERN_NEVER - 1))
		arrived[number]++;
	assert_int_equal(tern_wire_in_flight(wire), 0);
}

static void a_wire_that_impairs_nothing_delivers_all_at_once_and_unchanged(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("", 1);
	struct tern_frame in = {.data = (uint8_t[]){1, 2, 3, 4, 5, 6},
				  .len = 6,
				  .csum_start = 1,
				  .csum_offset = 2,
				  .gso_size = 1000,
				  .header_len = 54,
				  .csum_valid = true},
			  out;
	tern_wire_push(wire, &in, 5);
	assert_int_equal(tern_wire_deadline(wire), 5);
	assert_true(tern_wire_pop(wire, &out, 5));
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, in.data, 6);
	assert_int_equal(out.csum_start, 1);
	assert_int_equal(out.csum_offset, 2);
	assert_int_equal(out.gso_size, 1000);
	assert_int_equal(out.header_len, 54);
	assert_true(out.csum_valid);
	assert_false(tern_wire_pop(wire, &out, 5));
	assert_int_equal(tern_wire_deadline(wire), TERN_NEVER);
	tern_wire_free(wire);
}

static void loss_takes_its_share(void **state)
{
	(void)state;
	static uint8_t arrived[MANY];
	struct tern_wire *wire = wire_of("loss=10%", 7);
	run(wire, arrived);
	struct tern_wire_stats s = stats_of(wire);
	/* A binomial's standard deviation is 95 here: five of them. */
	assert_in_range(s.lost, 10000 - 475, 10000 + 475);
	assert_int_equal(s.pushed, MANY);
	assert_int_equal(s.delivered, MANY - s.lost);
	tern_wire_free(wire);
}

static void certain_loss_takes_all_and_none_takes_none(void **state)
{
	(void)state;
	static uint8_t arrived[MANY];
	struct tern_wire *all = wire_of("loss=100%", 7), *none = wire_of("loss=0,delay=1ms", 7);
	run(all, arrived);
	run(none, arrived);
	assert_int_equal(stats_of(all).delivered, 0);
	assert_int_equal(stats_of(none).delivered, MANY);
	tern_wire_free(all);
	tern_wire_free(none);
}

static void bursts_have_the_length_and_the_share_of_their_model(void **state)
{
	(void)state;
	static uint8_t arrived[MANY];
	struct tern_wire *wire = wire_of("burst=1%/20%", 3);
	run(wire, arrived);
	uint32_t lost = 0, bursts = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		lost += !arrived[i];
		bursts += !arrived[i] && (i == 0 || arrived[i - 1]);
	}
	/* Stationary share of the bad state: 0.01 / 0.21 = 4.76%; mean stay: 1 / 0.2 = 5 frames. */
	assert_in_range(lost, 4300, 5250);
	assert_in_range(lost * 10 / bursts, 46, 54);
	tern_wire_free(wire);
}

static void the_same_seed_meets_the_same_fate_and_another_another(void **state)
{
	(void)state;
	static uint8_t a[MANY], b[MANY], c[MANY];
	const char *spec = "loss=5%,burst=1%/30%,duplicate=2%,delay=20ms,jitter=5ms,reorder=3%";
	struct tern_wire *one = wire_of(spec, 42), *two = wire_of(spec, 42),
			 *other = wire_of(spec, 43);
	run(one, a);
	run(two, b);
	run(other, c);
	assert_memory_equal(a, b, MANY);
	assert_true(memcmp(a, c, MANY) != 0);
	tern_wire_free(one);
	tern_wire_free(two);
	tern_wire_free(other);
}

static void jitter_does_not_change_which_frames_are_lost(void **state)
{
	(void)state;
	static uint8_t a[MANY], b[MANY];
	struct tern_wire *plain = wire_of("loss=5%", 9);
	struct tern_wire *more = wire_of("loss=5%,delay=20ms,jitter=10ms,reorder=5%", 9);
	run(plain, a);
	run(more, b);
	assert_memory_equal(a, b, MANY);
	tern_wire_free(plain);
	tern_wire_free(more);
}

static void delay_is_exact(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("delay=20ms", 1);
	uint32_t number;
	push_numbered(wire, 1, 100, 1000);
	assert_int_equal(tern_wire_deadline(wire), 1000 + 20 * MS);
	assert_false(pop_number(wire, &number, 999 + 20 * MS));
	assert_true(pop_number(wire, &number, 1000 + 20 * MS));
	tern_wire_free(wire);
}

static void jitter_stays_in_its_bounds_and_keeps_order(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("delay=20ms,jitter=10ms", 5);
	uint64_t soonest = TERN_NEVER, latest = 0;
	for (uint32_t i = 0; i < 10000; i++) /* far apart, so that order does not matter */
		push_numbered(wire, i, 100, (uint64_t)i * 100 * MS);
	for (uint32_t i = 0, number; i < 10000; i++) {
		uint64_t took = tern_wire_deadline(wire) - (uint64_t)i * 100 * MS;
		soonest = took < soonest ? took : soonest;
		latest = took > latest ? took : latest;
		assert_true(pop_number(wire, &number, tern_wire_deadline(wire)));
		assert_int_equal(number, i);
	}
	assert_in_range(soonest, 10 * MS, 10 * MS + MS / 50);
	assert_in_range(latest, 30 * MS - MS / 50, 30 * MS);
	for (uint32_t i = 0; i < 10000; i++) /* close together: jitter alone must not reorder */
		push_numbered(wire, i, 100, TERN_NEVER / 2 + i * 1000);
	for (uint32_t i = 0, number; i < 10000; i++) {
		assert_true(pop_number(wire, &number, tern_wire_deadline(wire)));
		assert_int_equal(number, i);
	}
	tern_wire_free(wire);
}

static void a_reordered_frame_overtakes_by_skipping_the_delay(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("delay=20ms,reorder=10%", 11);
	uint32_t number, overtakers = 0;
	for (uint32_t i = 0; i < 10000; i++) {
		push_numbered(wire, i, 100, (uint64_t)i * MS);
		while (pop_number(wire, &number, (uint64_t)i * MS))
			overtakers += number == i;
	}
	assert_int_equal(overtakers, stats_of(wire).reordered);
	assert_in_range(overtakers, 850, 1150);
	tern_wire_free(wire);
}

static void a_reordered_frame_is_held_back_by_the_gap(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("delay=20ms,reorder=100%/3ms", 11);
	uint32_t number;
	push_numbered(wire, 0, 100, 0);
	assert_int_equal(tern_wire_deadline(wire), 23 * MS);
	assert_true(pop_number(wire, &number, 23 * MS));
	tern_wire_free(wire);
}

static void a_duplicate_comes_right_behind_the_original(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("duplicate=100%,delay=1ms", 1);
	uint32_t number;
	push_numbered(wire, 8, 100, 0);
	push_numbered(wire, 9, 100, 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(pop_number(wire, &number, MS));
		assert_int_equal(number, 8 + i / 2);
	}
	assert_false(pop_number(wire, &number, TERN_NEVER - 1));
	assert_int_equal(stats_of(wire).duplicated, 2);
	assert_int_equal(stats_of(wire).delivered, 4);
	tern_wire_free(wire);
}

static void corruption_flips_one_bit_and_vouches_for_nothing(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("corrupt=100%", 77);
	static uint32_t hits[100];
	for (int i = 0; i < 10000; i++) {
		uint8_t data[100] = {0};
		struct tern_frame frame;
		tern_wire_push(wire,
			&(struct tern_frame){.data = data, .len = 100, .csum_valid = true}, 0);
		assert_true(tern_wire_pop(wire, &frame, 0));
		int bits = 0;
		for (uint32_t k = 0; k < frame.len; k++) {
			bits += __builtin_popcount(frame.data[k]);
			hits[k] += frame.data[k] != 0;
		}
		assert_int_equal(bits, 1);
		assert_false(frame.csum_valid);
	}
	for (int k = 0; k < 100; k++) /* every byte gets its turn: 100 each, +- 5 sigma */
		assert_in_range(hits[k], 50, 150);
	assert_int_equal(stats_of(wire).corrupted, 10000);
	tern_wire_free(wire);
}

static void an_unfinished_checksum_is_finished_before_the_damage(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("corrupt=100%", 78);
	for (int i = 0; i < 100; i++) {
		uint8_t data[40] = {[10] = 1, [20] = 0x12, [21] = 0x34, [39] = 5}, whole[40];
		struct tern_frame frame, finished;
		memcpy(whole, data, sizeof whole);
		finished = (struct tern_frame){.data = whole,
			.len = 40,
			.csum_start = 10,
			.csum_offset = 4};
		assert_true(tern_frame_finish_csum(&finished));
		tern_wire_push(wire,
			&(struct tern_frame){.data = data,
				.len = 40,
				.csum_start = 10,
				.csum_offset = 4,
				.csum_valid = true},
			0);
		assert_true(tern_wire_pop(wire, &frame, 0));
		assert_int_equal(frame.csum_start, 0);
		int bits = 0;
		for (int k = 0; k < 40; k++)
			bits += __builtin_popcount(frame.data[k] ^ whole[k]);
		assert_int_equal(bits, 1);
	}
	tern_wire_free(wire);
}

static void the_rate_spaces_frames_by_their_length(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("rate=10mbit,delay=5ms", 1);
	uint32_t number;
	for (uint32_t i = 0; i < 10; i++) /* 1250 bytes are 10,000 bits: 1 ms */
		push_numbered(wire, i, 1250, 0);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(tern_wire_deadline(wire), (i + 1 + 5) * MS);
		assert_true(pop_number(wire, &number, (i + 1 + 5) * MS));
		assert_int_equal(number, i);
	}
	push_numbered(wire, 10, 125, 100 * MS); /* the link was idle: nothing is owed */
	assert_int_equal(tern_wire_deadline(wire), 105 * MS + MS / 10);
	tern_wire_free(wire);
}

static void a_full_queue_drops_the_newest(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("rate=10mbit,queue=4", 1);
	uint32_t number;
	for (uint32_t i = 0; i < 8; i++) /* one is being sent, four wait, three are too many */
		push_numbered(wire, i, 1250, 0);
	assert_int_equal(stats_of(wire).overflowed, 3);
	push_numbered(wire, 8, 1250, 1 * MS); /* the first has left */
	assert_int_equal(stats_of(wire).overflowed, 3);
	push_numbered(wire, 9, 1250, 1 * MS);
	assert_int_equal(stats_of(wire).overflowed, 4);
	static const uint32_t survivors[] = {0, 1, 2, 3, 4, 8};
	for (unsigned i = 0; i < 6; i++) {
		assert_true(pop_number(wire, &number, TERN_NEVER - 1));
		assert_int_equal(number, survivors[i]);
	}
	assert_false(pop_number(wire, &number, TERN_NEVER - 1));
	tern_wire_free(wire);
}

static void what_a_lost_frame_took_of_the_rate_is_gone(void **state)
{
	(void)state;
	struct tern_wire *wire = wire_of("rate=10mbit,loss=50%", 1);
	for (uint32_t i = 0; i < 1000; i++)
		push_numbered(wire, i, 1250, 0);
	uint32_t number;
	while (pop_number(wire, &number, tern_wire_deadline(wire)))
		if (tern_wire_in_flight(wire) == 0)
			break;
	assert_in_range(number, 985, 999); /* the last survivor left in its own slot */
	tern_wire_free(wire);
}

static void the_first_frames_are_spared_from_chance_but_not_from_delay(void **state)
{
	(void)state;
	struct tern_wire *wire =
		wire_of("loss=100%,duplicate=100%,corrupt=100%,delay=1ms,after=3", 1);
	uint32_t number;
	for (uint32_t i = 0; i < 10; i++)
		push_numbered(wire, i, 100, 0);
	assert_false(pop_number(wire, &number, 0));
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(pop_number(wire, &number, MS));
		assert_int_equal(number, i);
	}
	assert_false(pop_number(wire, &number, TERN_NEVER - 1));
	assert_int_equal(stats_of(wire).lost, 7);
	tern_wire_free(wire);
}

static void no_frame_is_made_or_vanishes_uncounted(void **state)
{
	(void)state;
	struct tern_wire *wire =
		wire_of("loss=3%,burst=1%/30%/50%,duplicate=4%,corrupt=1%,delay=20ms,"
			"jitter=20ms,reorder=5%/2ms,rate=800kbit,queue=20",
			1234);
	uint64_t popped = 0, now = 0;
	struct tern_frame frame;
	struct test_rand rand = {5};
	for (uint32_t i = 0; i < MANY; i++) {
		now += test_rand_below(&rand, 2 * MS);
		push_numbered(wire, i, 60 + test_rand_below(&rand, 100), now);
		while (tern_wire_pop(wire, &frame, now))
			popped++;
		struct tern_wire_stats s = stats_of(wire);
		assert_int_equal(s.delivered, popped);
		assert_int_equal(s.pushed + s.duplicated,
			s.delivered + s.lost + s.overflowed + tern_wire_in_flight(wire));
	}
	assert_true(stats_of(wire).overflowed > 0);
	tern_wire_free(wire);
}

/* An IPv4 header with a good checksum and these ECN bits at `at`, and some bytes after it. */
static struct tern_frame packet(uint8_t *data, uint32_t at, uint8_t tos)
{
	static const uint8_t header[20] = {0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1,
		10, 0, 0, 2};
	memset(data, 0xee, at + 60);
	memcpy(data + at, header, sizeof header);
	if (at) {
		data[12] = 8;
		data[13] = 0;
	}
	data[at + 1] = tos;
	uint32_t sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)data[at + i] << 8 | data[at + i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	data[at + 10] = (uint8_t)(sum >> 8);
	data[at + 11] = (uint8_t)sum;
	return (struct tern_frame){.data = data, .len = at + 60, .csum_valid = true};
}

static bool summed_right(const uint8_t *ip)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

/* RFC 3168 5: ECT(0) and ECT(1) become CE; who is not ECN-capable is let alone. */
static void marks_are_for_ecn_capable_packets(void **state)
{
	(void)state;
	uint8_t data[80];
	struct tern_frame out;
	for (uint32_t at = 0; at <= 14; at += 14)
		for (uint8_t tos = 0; tos < 4; tos++) {
			struct tern_wire *wire = wire_of("ecn=100%", 1);
			struct tern_frame in = packet(data, at, 0xb8 | tos);
			tern_wire_push(wire, &in, 5);
			assert_true(tern_wire_pop(wire, &out, 5));
			assert_int_equal(out.data[at + 1], 0xb8 | (tos ? 3 : 0));
			assert_true(summed_right(out.data + at));
			assert_memory_equal(out.data + at + 12, data + at + 12, 48);
			assert_int_equal(stats_of(wire).marked, tos != 0);
			tern_wire_free(wire);
		}
	/* Neither is what only looks a little like a packet. */
	struct tern_wire *wire = wire_of("ecn=100%", 1);
	struct tern_frame in = packet(data, 0, 2);
	data[10] ^= 1;
	tern_wire_push(wire, &in, 5);
	in.len = 10;
	tern_wire_push(wire, &in, 5);
	assert_int_equal(stats_of(wire).marked, 0);
	tern_wire_free(wire);
}

static void a_long_queue_marks(void **state)
{
	(void)state;
	uint8_t data[80];
	struct tern_frame out;
	struct tern_wire *wire = wire_of("rate=1mbit,queue=10,ecn=4", 1);
	unsigned marked = 0;
	for (unsigned i = 0; i < 11; i++) {
		struct tern_frame in = packet(data, 14, 2);
		tern_wire_push(wire, &in, 0);
	}
	for (unsigned i = 0; tern_wire_pop(wire, &out, TERN_NEVER - 1); i++) {
		/* One is being sent, four may wait. */
		assert_int_equal(out.data[15], i >= 5 ? 3 : 2);
		marked += out.data[15] == 3;
	}
	assert_int_equal(marked, 6);
	assert_int_equal(stats_of(wire).overflowed, 0);
	tern_wire_free(wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wire_that_impairs_nothing_delivers_all_at_once_and_unchanged),
		cmocka_unit_test(loss_takes_its_share),
		cmocka_unit_test(certain_loss_takes_all_and_none_takes_none),
		cmocka_unit_test(bursts_have_the_length_and_the_share_of_their_model),
		cmocka_unit_test(the_same_seed_meets_the_same_fate_and_another_another),
		cmocka_unit_test(jitter_does_not_change_which_frames_are_lost),
		cmocka_unit_test(delay_is_exact),
		cmocka_unit_test(jitter_stays_in_its_bounds_and_keeps_order),
		cmocka_unit_test(a_reordered_frame_overtakes_by_skipping_the_delay),
		cmocka_unit_test(a_reordered_frame_is_held_back_by_the_gap),
		cmocka_unit_test(a_duplicate_comes_right_behind_the_original),
		cmocka_unit_test(corruption_flips_one_bit_and_vouches_for_nothing),
		cmocka_unit_test(an_unfinished_checksum_is_finished_before_the_damage),
		cmocka_unit_test(the_rate_spaces_frames_by_their_length),
		cmocka_unit_test(a_full_queue_drops_the_newest),
		cmocka_unit_test(what_a_lost_frame_took_of_the_rate_is_gone),
		cmocka_unit_test(the_first_frames_are_spared_from_chance_but_not_from_delay),
		cmocka_unit_test(no_frame_is_made_or_vanishes_uncounted),
		cmocka_unit_test(marks_are_for_ecn_capable_packets),
		cmocka_unit_test(a_long_queue_marks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
