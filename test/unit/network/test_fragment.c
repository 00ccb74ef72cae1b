#include "test/unit/network/fixture.h"

#define TEST_PROTOCOL 200

static void fragment(struct net *net, uint32_t src, uint16_t id, uint32_t offset, const void *data,
	uint32_t len, bool more)
{
	net_in(net, &(struct net_packet){.src = src,
			    .dst = OURS,
			    .protocol = TEST_PROTOCOL,
			    .id = id,
			    .offset = (uint16_t)offset,
			    .more = more,
			    .data = data,
			    .len = len});
}

/* --- every overlap, against a model that only knows lists */

#define BLOCK_COUNT 5

struct piece {
	uint32_t offset, len; /* bytes */
	bool more;
	uint8_t data[BLOCK_COUNT * 8];
};

struct model {
	struct piece piece[3];
	unsigned count;
	bool condemned;
	unsigned delivered;
	uint8_t data[BLOCK_COUNT * 8];
	uint32_t len;
};

static uint32_t end_of(const struct piece *p)
{
	return p->offset + p->len;
}

static bool same_piece(const struct piece *a, const struct piece *b)
{
	return a->offset == b->offset && a->len == b->len && a->more == b->more &&
	       memcmp(a->data, b->data, a->len) == 0;
}

static bool conflict(const struct piece *a, const struct piece *b)
{
	if (a->offset < end_of(b) && b->offset < end_of(a))
		return true;
	if (!a->more && (!b->more || end_of(b) > end_of(a)))
		return true;
	return !b->more && end_of(a) > end_of(b);
}

static void model_deliver(struct model *m)
{
	uint32_t total = 0, held = 0;
	for (unsigned i = 0; i < m->count; i++) {
		held += m->piece[i].len;
		if (!m->piece[i].more)
			total = end_of(&m->piece[i]);
	}
	if (total == 0 || held != total)
		return;
	for (unsigned i = 0; i < m->count; i++)
		memcpy(m->data + m->piece[i].offset, m->piece[i].data, m->piece[i].len);
	m->len = total;
	m->delivered++;
	m->count = 0; /* what comes now is another datagram */
}

static void model_add(struct model *m, const struct piece *p)
{
	if (m->condemned)
		return;
	for (unsigned i = 0; i < m->count; i++)
		if (same_piece(&m->piece[i], p))
			return;
	for (unsigned i = 0; i < m->count; i++)
		m->condemned |= conflict(&m->piece[i], p);
	if (m->condemned)
		return;
	m->piece[m->count++] = *p;
	model_deliver(m);
}

/* The k-th of all pieces: an interval of blocks, not last, last, or last and not full. */
#define PIECES (BLOCK_COUNT * (BLOCK_COUNT + 1) / 2 * 3)

static struct piece piece_at(unsigned k, unsigned turn)
{
	unsigned interval = k / 3, from = 0;
	while (interval >= BLOCK_COUNT - from)
		interval -= BLOCK_COUNT - from++;
	struct piece p = {.offset = from * 8, .len = (interval + 1) * 8, .more = k % 3 == 0};
	if (k % 3 == 2 && (p.offset > 0 || p.len > 8))
		p.len -= 3;
	for (uint32_t i = 0; i < p.len; i++)
		p.data[i] = (uint8_t)((p.offset + i) * 7 + turn * 101);
	return p;
}

/* distinct: no two fragments agree on a byte; else all do. */
static void try_all_triples(bool distinct)
{
	struct net net;
	uint16_t id = 0;
	uint64_t delivered = 0;
	net_begin(&net);
	for (unsigned n = 0; n < PIECES * PIECES * PIECES; n++) {
		unsigned k[3] = {n % PIECES, n / PIECES % PIECES, n / PIECES / PIECES};
		struct model m = {0};
		net.delivered = 0;
		id++;
		for (unsigned turn = 0; turn < 3; turn++) {
			struct piece p = piece_at(k[turn], distinct ? turn : 0);
			unsigned before = m.delivered;
			/* Not a fragment at all: it would go straight up. */
			if (p.offset == 0 && !p.more)
				break;
			model_add(&m, &p);
			fragment(&net, PEER, id, p.offset, p.data, p.len, p.more);
			assert_int_equal(net.delivered, m.delivered);
			if (m.delivered == before)
				continue;
			delivered++;
			assert_int_equal(net.in.len, m.len);
			assert_memory_equal(net.data, m.data, m.len);
		}
	}
	assert_true(delivered > 100);
	net_end(&net);
}

static void every_overlap_of_up_to_three_differing_fragments_is_refused(void **state)
{
	(void)state;
	try_all_triples(true);
}

static void every_overlap_of_up_to_three_agreeing_fragments_is_refused(void **state)
{
	(void)state;
	try_all_triples(false);
}

/* --- reassembly */

static void shuffle(struct test_rand *rand, unsigned *order, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; i > 1; i--) {
		unsigned k = test_rand_below(rand, i), t = order[i - 1];
		order[i - 1] = order[k];
		order[k] = t;
	}
}

static void fragments_in_any_order_and_twice_make_the_datagram(void **state)
{
	(void)state;
	struct net net;
	struct test_rand rand = {3};
	static uint8_t data[65515];
	net_begin(&net);
	test_rand_fill(&rand, data, sizeof data);
	for (uint16_t id = 0; id < 60; id++) {
		uint32_t len = 9 + test_rand_below(&rand, sizeof data - 8);
		uint32_t step = 8 * (1 + test_rand_below(&rand, 300));
		unsigned count = (len + step - 1) / step, order[8192];
		if (count < 2)
			continue;
		shuffle(&rand, order, count);
		net.delivered = 0;
		for (unsigned i = 0; i < count; i++) {
			uint32_t at = order[i] * step, n = len - at < step ? len - at : step;
			assert_int_equal(net.delivered, 0);
			fragment(&net, PEER, id, at, data + at, n, at + n < len);
			if (i + 1 < count && test_rand_one_in(&rand, 4))
				fragment(&net, PEER, id, at, data + at, n, at + n < len);
		}
		assert_int_equal(net.delivered, 1);
		assert_int_equal(net.in.len, len);
		assert_false(net.in.csum_valid);
		assert_memory_equal(net.data, data, len);
	}
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_OVERLAP), 0);
	net_end(&net);
}

static void fragments_of_different_datagrams_do_not_mix(void **state)
{
	(void)state;
	struct net net;
	uint8_t a[16], b[16];
	memset(a, 'a', 16);
	memset(b, 'b', 16);
	net_begin(&net);
	fragment(&net, PEER, 1, 0, a, 8, true);
	fragment(&net, FAR, 1, 8, b, 8, false);  /* another source */
	fragment(&net, PEER, 2, 8, b, 8, false); /* another identification */
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = OURS,
			     .protocol = 201,
			     .id = 1,
			     .offset = 8,
			     .data = b,
			     .len = 8});
	net_in(&net, &(struct net_packet){.src = PEER,
			     .dst = 0x0a4d00ff,
			     .protocol = TEST_PROTOCOL,
			     .id = 1,
			     .offset = 8,
			     .data = b,
			     .len = 8});
	assert_int_equal(net.delivered, 0);
	fragment(&net, PEER, 1, 8, a, 8, false);
	assert_int_equal(net.delivered, 1);
	assert_memory_equal(net.data, a, 16);
	net_end(&net);
}

/* RFC 3168 5.3: a mark on any fragment is one on the whole; but who is not ECN-capable is not told.
 */
static void a_mark_of_congestion_survives_reassembly(void **state)
{
	(void)state;
	static const uint8_t data[8] = {1};
	struct net net;
	net_begin(&net);
	for (uint8_t a = 0; a < 4; a++)
		for (uint8_t b = 0; b < 4; b++) {
			bool marked = a == ECN_CE || b == ECN_CE;
			bool dropped = marked && (a == ECN_NOT_ECT || b == ECN_NOT_ECT);
			net.delivered = 0;
			struct net_packet p = {.src = PEER,
				.dst = OURS,
				.protocol = TEST_PROTOCOL,
				.id = (uint16_t)(4 * a + b),
				.more = true,
				.tos = 0xb8 | a,
				.data = data,
				.len = 8};
			net_in(&net, &p);
			p.offset = 8;
			p.more = false;
			p.tos = 0xb8 | b;
			net_in(&net, &p);
			assert_int_equal(net.delivered, !dropped);
			if (!dropped)
				assert_int_equal(net.in.tos, 0xb8 | (marked ? ECN_CE : a));
		}
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_ECN), 2);
	net_end(&net);
}

static void malformed_fragments_are_dropped_by_name(void **state)
{
	(void)state;
	struct net net;
	static uint8_t data[2000];
	static const struct net_packet bad[] = {
		{.protocol = 6, .len = 16, .more = true},                /* no TCP flags */
		{.protocol = 6, .offset = 8, .len = 32, .more = true},   /* rewrites them */
		{.protocol = 6, .offset = 16, .len = 32},                /* and the checksum */
		{.protocol = 17, .len = 0, .more = true},                /* nothing */
		{.protocol = 17, .offset = 8, .len = 0},                 /* nothing at the end */
		{.protocol = 17, .offset = 800, .len = 9, .more = true}, /* not by eights */
		{.protocol = 17, .offset = 65512, .len = 4},             /* one byte too many */
		{.protocol = 17, .offset = 65528, .len = 1000},          /* the ping of death */
	};
	net_begin(&net);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct net_packet p = bad[i];
		p.src = PEER;
		p.dst = OURS;
		p.data = data;
		net_in(&net, &p);
		assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_MALFORMED), i + 1);
	}
	assert_int_equal(net.core.counter[TERN_COUNT_IpReasmFails], sizeof bad / sizeof bad[0]);
	assert_null(net.ip.reassembly);
	net_end(&net);
}

static void a_condemned_datagram_stays_so_until_its_time_is_over(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t a[32] = "aaaaaaaaaaaaaaa", b[32] = "bbbbbbbbbbbbbbb";
	net_begin(&net);
	fragment(&net, PEER, 9, 0, a, 16, true);
	fragment(&net, PEER, 9, 8, b, 16, true);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_OVERLAP), 1);
	fragment(&net, PEER, 9, 0, a, 16, true);
	fragment(&net, PEER, 9, 16, a, 16, false);
	assert_int_equal(net.delivered, 0);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_OVERLAP), 3);
	assert_int_equal(net.core.counter[TERN_COUNT_IpReasmFails], 1);
	assert_int_equal(net.core.chunks.live, 0);
	net_wait(&net, 30 * SECOND);
	assert_false(net_pull(&net));
	fragment(&net, PEER, 9, 0, a, 16, true);
	fragment(&net, PEER, 9, 16, a, 16, false);
	assert_int_equal(net.delivered, 1);
	net_end(&net);
}

/* --- time */

static void an_unfinished_datagram_is_given_up_after_thirty_seconds_and_said_so(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t data[64] = "first";
	net_begin(&net);
	assert_int_equal(tern_ip_deadline(&net.ip), TERN_NEVER);
	fragment(&net, PEER, 5, 16, data, 16, true);
	net.core.now += SECOND;
	fragment(&net, PEER, 5, 0, data, 16, true);
	assert_int_equal(tern_ip_deadline(&net.ip), 31 * SECOND);
	net_wait(&net, 29 * SECOND - 1);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_TIMEOUT), 0);
	net_wait(&net, 1);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_TIMEOUT), 1);
	assert_int_equal(net.core.counter[TERN_COUNT_IpReasmTimeout], 1);
	assert_int_equal(tern_ip_deadline(&net.ip), TERN_NEVER);
	assert_true(net_pull(&net));
	struct reader r, quoted;
	struct ipv4_header h = net_out_ip(&net, &r);
	struct icmpv4_message m;
	assert_int_equal(tern_icmpv4_parse(&r, tern_csum_portable(), &m), TERN_DROP_NONE);
	assert_int_equal(m.type, ICMP_TIME_EXCEEDED);
	assert_int_equal(m.code, ICMP_CODE_REASSEMBLY);
	assert_int_equal(tern_icmpv4_quoted(&m, &h, &quoted), TERN_DROP_NONE);
	assert_int_equal(h.id, 5);
	assert_memory_equal(quoted.at, data, 16);
	fragment(&net, PEER, 5, 32, data, 8, false);
	assert_int_equal(net.delivered, 0);
	net_end(&net);
}

static void without_the_first_fragment_nobody_is_told(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t data[64];
	net_begin(&net);
	fragment(&net, PEER, 5, 16, data, 16, true);
	net_wait(&net, 31 * SECOND);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_TIMEOUT), 1);
	assert_false(net_pull(&net));
	net_end(&net);
}

/* --- floods */

static void a_flood_from_one_source_holds_sixty_four_datagrams(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t data[8];
	net_begin(&net);
	for (unsigned i = 0; i < 50000; i++)
		fragment(&net, PEER, (uint16_t)i, 0, data, 8, true);
	assert_int_equal(net.core.chunks.live, 64);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_LIMIT), 50000 - 64);
	net_end(&net);
}

static void a_flood_from_everywhere_is_bounded_in_bytes_and_others_get_through(void **state)
{
	(void)state;
	struct net net;
	struct test_rand rand = {8};
	static uint8_t data[1480];
	unsigned whole = 0;
	net_begin(&net);
	for (unsigned i = 0; i < 60000; i++) {
		uint32_t src = 0x14000000 | test_rand_below(&rand, 1 << 24);
		fragment(&net, src, (uint16_t)test_rand_u32(&rand),
			8 * test_rand_below(&rand, 8000), data, 8, true);
		if (i % 100 != 0)
			continue;
		fragment(&net, PEER, (uint16_t)i, 0, data, 1480, true);
		fragment(&net, PEER, (uint16_t)i, 1480, data, 1000, false);
		whole++;
	}
	assert_int_equal(net.delivered, whole);
	/* The measure leaves out only what pools and tables add. */
	size_t limit = (size_t)net.core.set.ipfrag_high_thresh;
	assert_true(net.core.mem.peak < limit + limit / 4);
	assert_true(net.core.chunks.live > 100);
	net_wait(&net, 31 * SECOND);
	assert_int_equal(net.core.chunks.live, 0);
	net_end(&net);
}

static void one_datagram_in_crumbs_takes_no_more_than_its_bytes(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t data[8];
	net_begin(&net);
	for (uint32_t k = 0; k < 8189; k += 2)
		fragment(&net, PEER, 1, k * 8, data, 8, true);
	assert_int_equal(net.core.chunks.live, 16);
	assert_true(net.core.mem.used < 200000);
	net_end(&net);
}

static void with_no_bytes_allowed_nothing_is_reassembled(void **state)
{
	(void)state;
	struct net net;
	static const uint8_t data[8];
	net_begin(&net);
	net.core.set.ipfrag_high_thresh = 0;
	fragment(&net, PEER, 1, 0, data, 8, true);
	assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_LIMIT), 1);
	assert_int_equal(tern_ip_deadline(&net.ip), TERN_NEVER);
	net_end(&net);
}

static void no_memory_at_any_point_is_a_counted_drop(void **state)
{
	(void)state;
	static uint8_t data[8000];
	bool done = false;
	for (unsigned k = 0; !done; k++) {
		struct net net;
		net_begin(&net);
		test_heap_fail_after(&net.heap, k);
		fragment(&net, PEER, 1, 0, data, 4000, true);
		fragment(&net, PEER, 1, 4000, data, 4000, true);
		fragment(&net, PEER, 1, 8000, data, 4000, false);
		done = !test_heap_refused(&net.heap);
		assert_int_equal(net.delivered, done);
		assert_int_equal(net_dropped(&net, TERN_DROP_FRAG_LIMIT) > 0, !done);
		test_heap_relent(&net.heap);
		net_end(&net);
		assert_true(k < 30);
	}
}

/* --- there and back */

static void what_is_fragmented_going_out_is_whole_again_over_there(void **state)
{
	(void)state;
	struct net here, there;
	struct test_rand rand = {21};
	static uint8_t data[65515];
	net_begin(&here);
	net_begin_core(&there, 64u << 20);
	net_add_nif(&there, true, PEER, 24);
	test_rand_fill(&rand, data, sizeof data);
	static const uint32_t len[] = {1480, 1481, 2960, 2961, 3000, 9000, 65507, 65515};
	for (unsigned i = 0; i < sizeof len / sizeof len[0]; i++) {
		struct ip_datagram d = {.dst = v4(PEER),
			.out.protocol = TEST_PROTOCOL,
			.head = data,
			.head_len = 11,
			.body = data + 11,
			.body_len = len[i] - 11};
		unsigned packets = 0;
		assert_int_equal(tern_ip_send(&here.ip, &d), 0);
		while (net_pull(&here)) {
			struct tern_frame frame = {.data = here.out, .len = here.out_len};
			assert_in_range(here.out_len, 21, 1500);
			assert_int_equal(there.delivered, i);
			tern_ip_input(&there.ip, 1, &frame, here.out, here.out_len, false);
			packets++;
		}
		assert_int_equal(packets, (len[i] + 1479) / 1480);
		assert_int_equal(there.delivered, i + 1);
		assert_int_equal(there.in.len, len[i]);
		assert_memory_equal(there.data, data, len[i]);
	}
	assert_int_equal(here.core.counter[TERN_COUNT_IpFragOKs], 7);
	assert_int_equal(there.core.counter[TERN_COUNT_IpReasmOKs], 7);
	net_end(&here);
	net_end(&there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_overlap_of_up_to_three_differing_fragments_is_refused),
		cmocka_unit_test(every_overlap_of_up_to_three_agreeing_fragments_is_refused),
		cmocka_unit_test(fragments_in_any_order_and_twice_make_the_datagram),
		cmocka_unit_test(fragments_of_different_datagrams_do_not_mix),
		cmocka_unit_test(a_mark_of_congestion_survives_reassembly),
		cmocka_unit_test(malformed_fragments_are_dropped_by_name),
		cmocka_unit_test(a_condemned_datagram_stays_so_until_its_time_is_over),
		cmocka_unit_test(
			an_unfinished_datagram_is_given_up_after_thirty_seconds_and_said_so),
		cmocka_unit_test(without_the_first_fragment_nobody_is_told),
		cmocka_unit_test(a_flood_from_one_source_holds_sixty_four_datagrams),
		cmocka_unit_test(
			a_flood_from_everywhere_is_bounded_in_bytes_and_others_get_through),
		cmocka_unit_test(one_datagram_in_crumbs_takes_no_more_than_its_bytes),
		cmocka_unit_test(with_no_bytes_allowed_nothing_is_reassembled),
		cmocka_unit_test(no_memory_at_any_point_is_a_counted_drop),
		cmocka_unit_test(what_is_fragmented_going_out_is_whole_again_over_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
