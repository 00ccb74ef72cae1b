/* Text in every order: what arrives first wins, and nothing a peer sends makes it slow or large. */
#include "peer.h"

#define STREAM 6000

static void open_plain(struct peer *p, uint32_t iss)
{
	struct tcp_options o = {.has = TCP_OPT_SACK_OK | TCP_OPT_MSS, .mss = 1460};
	peer_open(p);
	peer_listen(p);
	peer_connect(p, iss, &o);
	peer_drain(p);
}

/* Random overlapping pieces with differing contents, against an array that remembers which copy of
 * each byte came first. */
static void the_first_copy_of_a_byte_wins(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct test_rand r = {seed};
		struct peer p;
		uint8_t truth[STREAM], piece[600], got[STREAM];
		bool held[STREAM] = {false};
		open_plain(&p, (uint32_t)(0u - seed * 40));
		uint32_t complete = 0, reads = 0;
		while (complete < STREAM) {
			uint32_t n = 1 + test_rand_u32(&r) % sizeof piece;
			uint32_t base = complete > 300 ? complete - 300 : 0;
			uint32_t off = base + test_rand_u32(&r) % 2500;
			if (off >= STREAM)
				continue;
			if (n > STREAM - off)
				n = STREAM - off;
			for (uint32_t i = 0; i < n; i++) {
				piece[i] = (uint8_t)test_rand_u32(&r);
				if (!held[off + i])
					truth[off + i] = piece[i];
				held[off + i] = true;
			}
			peer_say(&p, TCP_ACK, off, piece, n);
			peer_drain(&p);
			while (complete < STREAM && held[complete])
				complete++;
			assert_int_equal(p.last.ack.v, p.seq + complete);
			if (test_rand_u32(&r) % 4 == 0) {
				ptrdiff_t k =
					tern_tcp_read(p.stack, p.conn, got + reads, STREAM - reads);
				reads += k > 0 ? (uint32_t)k : 0;
			}
		}
		if (reads < STREAM)
			assert_int_equal(tern_tcp_read(p.stack, p.conn, got + reads,
						 STREAM - reads),
				STREAM - reads);
		assert_memory_equal(got, truth, STREAM);
		peer_close(&p);
	}
}

static void sack_blocks_name_the_latest_range_first(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p, 0);
	static const uint32_t at[] = {100, 300, 500, 700, 900};
	for (unsigned i = 0; i < 5; i++) {
		peer_say(&p, TCP_ACK, at[i], "abcdefghij", 10);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.options.sack_count, i < 4 ? i + 1 : 4);
		assert_int_equal(p.last.options.sack[0].lo.v, p.seq + at[i]);
		assert_int_equal(p.last.options.sack[0].hi.v, p.seq + at[i] + 10);
	}
	assert_int_equal(p.last.options.sack[1].lo.v, p.seq + 700);
	peer_close(&p);
}

static void every_segment_beyond_a_hole_draws_its_own_ack(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p, 9);
	for (uint32_t i = 1; i <= 5; i++)
		peer_say(&p, TCP_ACK, i * 10, "0123456789", 10);
	assert_int_equal(peer_drain(&p), 5);
	assert_int_equal(p.last.ack.v, p.seq);
	peer_say(&p, TCP_ACK, 0, "0123456789", 10);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(p.last.ack.v, p.seq + 60);
	peer_close(&p);
}

static void holes_are_capped(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p, 9);
	tern_set(p.stack, "tcp_max_ranges", 64);
	for (uint32_t i = 0; i < 1000; i++) {
		peer_say(&p, TCP_ACK, 1 + i * 2, "x", 1);
		peer_drain(&p);
	}
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_RANGES_FULL), 1000 - 64);
	struct tern_tcp_info info;
	tern_tcp_info(p.stack, p.conn, &info);
	assert_int_equal(info.out_of_order, 64);
	peer_close(&p);
}

/* All pointers x boundary lengths: the stream is unharmed and the state tiny (URGENT/11). */
/* MUST-31. */
static void no_urgent_pointer_harms(void **state)
{
	(void)state;
	static const uint32_t lens[] = {1, 2, 535, 1460};
	static uint8_t data[1460];
	for (size_t k = 0; k < 4; k++) {
		struct peer p;
		uint32_t sent = 0;
		open_plain(&p, UINT32_MAX - 3000);
		for (uint32_t up = 0; up <= UINT16_MAX; up += up < 2000 || up > 65000 ? 1 : 61) {
			struct tcp_segment s = {
				.seq = seq(p.seq + sent),
				.ack = seq(p.ack),
				.flags = TCP_ACK | TCP_URG,
				.window = 65535,
				.urgent = (uint16_t)up,
				.data = data,
				.data_len = lens[k],
			};
			uint8_t got[1500];
			peer_send(&p, &s);
			assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), lens[k]);
			sent += lens[k];
			peer_drain(&p);
		}
		assert_null(tern_stack_check(p.stack));
		peer_close(&p);
	}
}

static void it_is_told_how_far_the_urgent_byte_is(void **state)
{
	(void)state;
	struct peer p;
	char got[8];
	open_plain(&p, 1);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 0);
	struct tcp_segment s = {.seq = seq(p.seq),
		.ack = seq(p.ack),
		.flags = TCP_ACK | TCP_URG,
		.window = 65535,
		.urgent = 6,
		.data = (const uint8_t *)"abcd",
		.data_len = 4};
	peer_send(&p, &s);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 6); /* ahead of its byte */
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 3), 3);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 3);
	peer_say(&p, TCP_ACK, 4, "e!g", 3);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 2), 2);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 1);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 1), 1);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 0);
	s.seq = seq(p.seq + 7);
	s.flags |= TCP_FIN;
	s.urgent = 4;
	peer_send(&p, &s);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 5);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 4), 4);
	assert_int_equal(tern_tcp_urgent(p.stack, p.conn), 1); /* the FIN is no byte */
	peer_close(&p);
}

static void an_early_fin_waits_for_its_text(void **state)
{
	(void)state;
	struct peer p;
	char got[8];
	open_plain(&p, 1);
	peer_say(&p, TCP_ACK | TCP_FIN, 4, "efgh", 4);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_say(&p, TCP_ACK, 0, "abcd", 4);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSE_WAIT);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 8);
	assert_memory_equal(got, "abcdefgh", 8);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 0);
	peer_drain(&p);
	assert_int_equal(p.last.ack.v, p.seq + 9);
	peer_close(&p);
}

static void the_window_closes_and_is_kept_to(void **state)
{
	(void)state;
	struct peer p;
	static uint8_t data[1460];
	uint32_t sent = 0;
	open_plain(&p, 1);
	tern_tcp_option_set(p.stack, p.conn, TERN_TCP_RCVBUF, 20000);
	struct tern_tcp_info info;
	for (unsigned i = 0; i < 200; i++) {
		tern_tcp_info(p.stack, p.conn, &info);
		uint32_t n = info.rcv_wnd < sizeof data ? info.rcv_wnd : sizeof data;
		if (n == 0)
			break;
		peer_say(&p, TCP_ACK, sent, data, n);
		sent += n;
		peer_drain(&p);
	}
	assert_int_equal(info.rcv_wnd, 0);
	peer_say(&p, TCP_ACK, sent, data, 1); /* a probe */
	assert_true(peer_drain(&p) >= 1);
	assert_int_equal(p.last.window, 0);
	assert_int_equal(p.last.ack.v, p.seq + sent);
	uint8_t got[65536];
	assert_true(tern_tcp_read(p.stack, p.conn, got, sizeof got) > 0);
	assert_true(peer_drain(&p) >= 1);
	assert_true(p.last.window >= 10000);
	peer_close(&p);
}

static void only_what_was_lent_can_be_committed(void **state)
{
	(void)state;
	struct peer p;
	struct tern_span span;
	open_plain(&p, 1);
	assert_int_equal(tern_tcp_commit(p.stack, p.conn, 1), TERN_EINVAL);
	assert_int_equal(tern_tcp_room(p.stack, p.conn, 60000, &span, 1), 1);
	assert_true(span.len < 60000);
	assert_int_equal(tern_tcp_commit(p.stack, p.conn, 60001), TERN_EINVAL);
	memset(span.data, 'x', span.len);
	assert_int_equal(tern_tcp_commit(p.stack, p.conn, span.len), 0);
	assert_true(peer_drain(&p) > 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_copy_of_a_byte_wins),
		cmocka_unit_test(sack_blocks_name_the_latest_range_first),
		cmocka_unit_test(every_segment_beyond_a_hole_draws_its_own_ack),
		cmocka_unit_test(holes_are_capped),
		cmocka_unit_test(no_urgent_pointer_harms),
		cmocka_unit_test(it_is_told_how_far_the_urgent_byte_is),
		cmocka_unit_test(an_early_fin_waits_for_its_text),
		cmocka_unit_test(the_window_closes_and_is_kept_to),
		cmocka_unit_test(only_what_was_lent_can_be_committed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
