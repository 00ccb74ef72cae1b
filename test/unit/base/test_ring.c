#include "test/unit/support.h"

#include "base/ring.h"

#define MOST 100000 /* bytes the model can hold */

struct fixture {
	struct test_heap heap;
	struct mem mem;
	struct pool chunks;
	struct ring ring;
	struct test_rand rand;
	const struct csum_ops *csum;
	/* The model: what lies at each offset from the head, and whether anything was stored. */
	uint8_t byte[MOST];
	bool stored[MOST];
	uint32_t len;
};

static struct fixture *set_up(uint64_t seed)
{
	struct fixture *f = test_calloc(1, sizeof *f);
	struct tern_allocator allocator = test_heap_allocator(&f->heap);
	tern_mem_init(&f->mem, &allocator, 1 << 24);
	tern_pool_init(&f->chunks, &f->mem, RING_CHUNK, 16, UINT32_MAX);
	tern_ring_init(&f->ring);
	f->rand.state = seed;
	f->csum = tern_csum_pick();
	return f;
}

static void assert_owns_nothing(struct fixture *f)
{
	assert_int_equal(tern_ring_chunks(&f->ring), 0);
	assert_int_equal(f->ring.dir_log2, 0);
	assert_null(f->ring.chunk);
	assert_int_equal(f->chunks.live, 0);
}

static void tear_down(struct fixture *f)
{
	test_heap_relent(&f->heap);
	tern_ring_clear(&f->ring, &f->chunks);
	assert_owns_nothing(f);
	tern_pool_fini(&f->chunks);
	assert_int_equal(f->mem.used, 0);
	test_heap_assert_empty(&f->heap);
	test_free(f);
}

static void note_stored(struct fixture *f, uint32_t offset, const uint8_t *data, size_t n)
{
	memcpy(f->byte + offset, data, n);
	memset(f->stored + offset, true, n);
}

/* The sum as RFC 1071 defines it, folded. */
static uint16_t plain_sum(const uint8_t *data, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? data[i] : (uint64_t)data[i] << 8;
	return csum_fold(sum);
}

static void act_append(struct fixture *f, const uint8_t *data, size_t n)
{
	const bool may_fail = test_rand_one_in(&f->rand, 6);
	if (may_fail)
		test_heap_fail_once(&f->heap, 1 + test_rand_below(&f->rand, 3));
	if (n > MOST - f->len)
		n = MOST - f->len;
	const size_t took = tern_ring_append(&f->ring, &f->chunks, data, n);
	assert_true(took == n || (may_fail && took < n && test_heap_refused(&f->heap)));
	test_heap_relent(&f->heap);
	note_stored(f, f->len, data, took);
	f->len += (uint32_t)took;
}

static void act_store(struct fixture *f, const uint8_t *data, size_t n, bool summed)
{
	const bool may_fail = test_rand_one_in(&f->rand, 6);
	const uint32_t offset = f->len + test_rand_below(&f->rand, 20000);
	uint32_t sum = 1;
	bool ok;
	if (offset > MOST - n)
		return;
	if (may_fail)
		test_heap_fail_once(&f->heap, 1 + test_rand_below(&f->rand, 3));
	if (summed)
		ok = tern_ring_store_sum(&f->ring, &f->chunks, offset, data, n, f->csum, &sum);
	else
		ok = tern_ring_store(&f->ring, &f->chunks, offset, data, n);
	assert_true(ok || (may_fail && test_heap_refused(&f->heap)));
	test_heap_relent(&f->heap);
	if (!ok)
		return;
	note_stored(f, offset, data, n);
	if (summed)
		assert_int_equal(csum_fold(sum), plain_sum(data, n));
}

/* Writes through loans, then makes what was written readable. */
static void act_room(struct fixture *f, const uint8_t *data, size_t n)
{
	struct tern_span spans[8];
	size_t done = 0;
	const bool may_fail = test_rand_one_in(&f->rand, 6);
	const unsigned max = 1 + test_rand_below(&f->rand, 8);
	if (n > MOST - f->len)
		n = MOST - f->len;
	if (may_fail)
		test_heap_fail_once(&f->heap, 1 + test_rand_below(&f->rand, 3));
	const unsigned count = tern_ring_room(&f->ring, &f->chunks, f->len, n, spans, max);
	test_heap_relent(&f->heap);
	assert_true(count <= max);
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(spans[i].len, 1, n - done);
		memcpy(spans[i].data, data + done, spans[i].len);
		done += spans[i].len;
	}
	assert_true(done == n || count == max || may_fail);
	note_stored(f, f->len, data, done);
	tern_ring_extend(&f->ring, (uint32_t)done);
	f->len += (uint32_t)done;
}

static void act_extend(struct fixture *f)
{
	uint32_t end = f->len;
	while (end < MOST && f->stored[end])
		end++;
	if (end == f->len)
		return;
	const uint32_t n = 1 + test_rand_below(&f->rand, end - f->len);
	tern_ring_extend(&f->ring, n);
	f->len += n;
}

static void act_consume(struct fixture *f)
{
	uint32_t n = test_rand_below(&f->rand, f->len + 1);
	if (test_rand_one_in(&f->rand, 3))
		n = f->len;
	tern_ring_consume(&f->ring, &f->chunks, n);
	memmove(f->byte, f->byte + n, MOST - n);
	memmove(f->stored, f->stored + n, MOST - n);
	memset(f->stored + MOST - n, false, n);
	f->len -= n;
}

static void act_forget(struct fixture *f)
{
	const uint32_t offset = f->len + test_rand_below(&f->rand, 20000);
	tern_ring_forget(&f->ring, &f->chunks, offset);
	if (offset < MOST)
		memset(f->stored + offset, false, MOST - offset);
}

static void check_reading(struct fixture *f)
{
	static uint8_t copy[MOST];
	struct tern_span spans[4];
	const uint32_t offset = test_rand_below(&f->rand, f->len + 1);
	const uint32_t n = test_rand_below(&f->rand, f->len - offset + 1);
	tern_ring_copy(&f->ring, offset, copy, n);
	assert_memory_equal(copy, f->byte + offset, n);
	memset(copy, 0, n);
	const uint64_t sum = tern_ring_copy_sum(&f->ring, offset, copy, n, f->csum);
	assert_memory_equal(copy, f->byte + offset, n);
	assert_int_equal(csum_fold(sum), plain_sum(f->byte + offset, n));

	/* More than is there is asked for, sometimes. */
	const size_t wanted = n + test_rand_below(&f->rand, 3) * 5000;
	const size_t there = wanted < f->len - offset ? wanted : f->len - offset;
	const unsigned count = tern_ring_spans(&f->ring, offset, wanted, spans, 4);
	size_t done = 0;
	assert_true(count <= 4);
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(spans[i].len, 1, there - done);
		assert_memory_equal(spans[i].data, f->byte + offset + done, spans[i].len);
		done += spans[i].len;
	}
	assert_true(done == there || count == 4);
}

/* No more chunks than bytes stored can lie in, and what they lie in is held. */
static void check_holding(struct fixture *f)
{
	uint32_t end = 0, all = 0;
	for (uint32_t i = 0; i < MOST; i++) {
		all += f->stored[i];
		end = f->stored[i] ? i + 1 : end;
	}
	assert_int_equal(f->ring.len, f->len);
	assert_int_equal(tern_ring_chunks(&f->ring), f->chunks.live);
	assert_true((uint64_t)f->chunks.live * RING_CHUNK >= all);
	assert_true(f->ring.reach >= f->len);
	if (f->ring.reach == 0)
		assert_owns_nothing(f);
	if (end == f->len && f->ring.reach == f->len)
		assert_true(f->chunks.live <= (end + RING_CHUNK - 1) / RING_CHUNK + 1);
	if (f->ring.dir_log2 == 0)
		assert_true(f->chunks.live <= 1);
}

static void act(struct fixture *f)
{
	static uint8_t data[20000];
	const uint32_t most = test_rand_one_in(&f->rand, 4) ? sizeof data : 2000;
	const size_t n = test_rand_below(&f->rand, most + 1);
	test_rand_fill(&f->rand, data, n);
	switch (test_rand_below(&f->rand, 8)) {
	case 0:
		act_append(f, data, n);
		break;
	case 1:
		act_store(f, data, n, false);
		break;
	case 2:
		act_store(f, data, n, true);
		break;
	case 3:
		act_room(f, data, n);
		break;
	case 4:
		act_extend(f);
		break;
	case 5:
	case 6:
		act_consume(f);
		break;
	default:
		if (test_rand_one_in(&f->rand, 3))
			act_forget(f);
		break;
	}
}

static void any_series_of_calls_matches_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct fixture *f = set_up(seed);
		/* Half the time the positions wrap on the way. */
		if (seed % 2)
			f->ring.head = UINT32_MAX - 50000;
		for (int step = 0; step < 1500; step++) {
			act(f);
			check_reading(f);
			check_holding(f);
		}
		tear_down(f);
	}
}

static void an_empty_ring_owns_nothing(void **state)
{
	(void)state;
	struct fixture *f = set_up(0);
	struct tern_span span;
	assert_owns_nothing(f);
	assert_int_equal(tern_ring_spans(&f->ring, 0, 10, &span, 1), 0);
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, "", 0), 0);
	assert_owns_nothing(f);
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, "abc", 3), 3);
	assert_int_equal(tern_ring_chunks(&f->ring), 1);
	assert_int_equal(f->ring.dir_log2, 0);
	tern_ring_consume(&f->ring, &f->chunks, 3);
	assert_owns_nothing(f);
	tear_down(f);
}

static void consumed_chunks_go_back_at_once(void **state)
{
	(void)state;
	struct fixture *f = set_up(1);
	test_rand_fill(&f->rand, f->byte, 10 * RING_CHUNK);
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, f->byte, 10 * RING_CHUNK),
		10 * RING_CHUNK);
	assert_int_equal(tern_ring_chunks(&f->ring), 10);
	for (uint32_t left = 10; left > 0; left--) {
		tern_ring_consume(&f->ring, &f->chunks, RING_CHUNK - 1);
		assert_int_equal(tern_ring_chunks(&f->ring), left);
		tern_ring_consume(&f->ring, &f->chunks, 1);
		assert_int_equal(tern_ring_chunks(&f->ring), left - 1);
	}
	assert_owns_nothing(f);
	tear_down(f);
}

static void bytes_stored_early_outlive_an_empty_front(void **state)
{
	(void)state;
	struct fixture *f = set_up(2);
	uint8_t out[5];
	assert_true(tern_ring_store(&f->ring, &f->chunks, 50003, "later", 5));
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, "now", 3), 3);
	tern_ring_consume(&f->ring, &f->chunks, 3);
	memset(f->byte, 'x', 50000);
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, f->byte, 50000), 50000);
	tern_ring_extend(&f->ring, 5);
	tern_ring_consume(&f->ring, &f->chunks, 50000);
	tern_ring_copy(&f->ring, 0, out, 5);
	assert_memory_equal(out, "later", 5);
	tear_down(f);
}

static void a_store_that_is_refused_anywhere_changes_nothing(void **state)
{
	(void)state;
	const uint32_t n = 40 * RING_CHUNK;
	for (uint64_t k = 0;; k++) {
		struct fixture *f = set_up(3);
		uint8_t data[3 * RING_CHUNK], out[100];
		test_rand_fill(&f->rand, data, sizeof data);
		uint8_t *many = test_malloc(n);
		test_rand_fill(&f->rand, many, n);
		assert_int_equal(tern_ring_append(&f->ring, &f->chunks, data, 100), 100);
		const size_t used = f->chunks.live;
		test_heap_fail_after(&f->heap, k);
		const bool ok = tern_ring_store(&f->ring, &f->chunks, 5000, many, n);
		test_heap_relent(&f->heap);
		tern_ring_copy(&f->ring, 0, out, 100);
		assert_memory_equal(out, data, 100);
		if (!ok) {
			assert_int_equal(f->chunks.live, used);
			assert_int_equal(f->ring.dir_log2, 0);
		}
		test_free(many);
		tear_down(f);
		if (ok)
			break;
		assert_true(k < 20);
	}
}

static void an_append_takes_what_memory_allows(void **state)
{
	(void)state;
	for (uint64_t k = 0; k < 4; k++) {
		struct fixture *f = set_up(4);
		test_rand_fill(&f->rand, f->byte, MOST);
		test_heap_fail_after(&f->heap, k);
		const size_t took = tern_ring_append(&f->ring, &f->chunks, f->byte, MOST);
		assert_true(took < MOST);
		uint8_t *out = test_malloc(MOST);
		tern_ring_copy(&f->ring, 0, out, took);
		assert_memory_equal(out, f->byte, took);
		test_free(out);
		if (took == 0)
			assert_owns_nothing(f);
		tear_down(f);
	}
}

static void forgetting_gives_back_what_was_stored_early(void **state)
{
	(void)state;
	struct fixture *f = set_up(5);
	assert_int_equal(tern_ring_append(&f->ring, &f->chunks, "abc", 3), 3);
	for (uint32_t k = 1; k <= 8; k++)
		assert_true(tern_ring_store(&f->ring, &f->chunks, k * RING_CHUNK, "x", 1));
	assert_int_equal(tern_ring_chunks(&f->ring), 9);
	tern_ring_forget(&f->ring, &f->chunks, 5 * RING_CHUNK + 1);
	assert_int_equal(tern_ring_chunks(&f->ring), 6);
	tern_ring_forget(&f->ring, &f->chunks, 5 * RING_CHUNK);
	assert_int_equal(tern_ring_chunks(&f->ring), 5);
	tern_ring_forget(&f->ring, &f->chunks, 3);
	assert_int_equal(tern_ring_chunks(&f->ring), 1);
	assert_int_equal(f->ring.dir_log2, 0);
	tern_ring_consume(&f->ring, &f->chunks, 3);
	assert_owns_nothing(f);
	tear_down(f);
}

static void a_byte_far_ahead_costs_one_chunk_and_a_directory(void **state)
{
	(void)state;
	struct fixture *f = set_up(6);
	assert_true(tern_ring_store(&f->ring, &f->chunks, (1u << 30) - 1, "x", 1));
	assert_int_equal(tern_ring_chunks(&f->ring), 1);
	tern_ring_forget(&f->ring, &f->chunks, 0);
	assert_owns_nothing(f);
	tear_down(f);
}

static void sums_join_over_odd_chunk_borders(void **state)
{
	(void)state;
	struct fixture *f = set_up(7);
	uint8_t out[3 * RING_CHUNK];
	uint32_t sum;
	test_rand_fill(&f->rand, f->byte, sizeof out + 20);
	for (uint32_t lead = 0; lead < 17; lead++) {
		for (uint32_t cut = 0; cut < 5; cut++) {
			const size_t n = 2 * RING_CHUNK + cut;
			tern_ring_append(&f->ring, &f->chunks, f->byte, lead);
			assert_true(tern_ring_store_sum(&f->ring, &f->chunks, lead, f->byte + lead,
				n, f->csum, &sum));
			assert_int_equal(csum_fold(sum), plain_sum(f->byte + lead, n));
			tern_ring_extend(&f->ring, (uint32_t)n);
			const uint64_t again = tern_ring_copy_sum(&f->ring, lead, out, n, f->csum);
			assert_int_equal(csum_fold(again), plain_sum(f->byte + lead, n));
			assert_memory_equal(out, f->byte + lead, n);
			tern_ring_clear(&f->ring, &f->chunks);
		}
	}
	tear_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_series_of_calls_matches_a_plain_array),
		cmocka_unit_test(an_empty_ring_owns_nothing),
		cmocka_unit_test(consumed_chunks_go_back_at_once),
		cmocka_unit_test(bytes_stored_early_outlive_an_empty_front),
		cmocka_unit_test(a_store_that_is_refused_anywhere_changes_nothing),
		cmocka_unit_test(an_append_takes_what_memory_allows),
		cmocka_unit_test(forgetting_gives_back_what_was_stored_early),
		cmocka_unit_test(a_byte_far_ahead_costs_one_chunk_and_a_directory),
		cmocka_unit_test(sums_join_over_odd_chunk_borders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
