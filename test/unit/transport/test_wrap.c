/* Sequence numbers wrap at 2^32 and change sign at 2^31 (picotcp #118, nuttx #3865). */
#include "pair.h"
#include "peer.h"

static struct pair t;

/* Long enough to pass both limits, whatever the initial numbers. */
#define STREAM ((UINT64_C(4) << 30) + (UINT64_C(100) << 20))
#define PRIME  999983u

static uint8_t pattern[PRIME];

static size_t send_pattern(uint64_t at)
{
	size_t from = at % PRIME, n = PRIME - from;
	if (n > STREAM - at)
		n = (size_t)(STREAM - at);
	ptrdiff_t k = tern_tcp_write(t.side[0].stack, t.side[0].conn, pattern + from, n);
	assert_true(k >= 0 || k == TERN_EAGAIN);
	return k > 0 ? (size_t)k : 0;
}

/* Compares what is there, in place. */
static size_t check_pattern(uint64_t at)
{
	struct tern_span spans[64];
	size_t total = 0;
	int n = tern_tcp_peek(t.side[1].stack, t.side[1].conn, spans, 64);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++)
		for (size_t done = 0; done < spans[i].len;) {
			size_t from = (at + total) % PRIME, k = spans[i].len - done;
			if (k > PRIME - from)
				k = PRIME - from;
			if (memcmp(spans[i].data + done, pattern + from, k) != 0)
				fail_msg("bytes differ near %llu",
					(unsigned long long)(at + total));
			done += k;
			total += k;
		}
	assert_int_equal(tern_tcp_consume(t.side[1].stack, t.side[1].conn, total), 0);
	return total;
}

static void more_than_4_gib_arrive_whole(void **state)
{
	(void)state;
	/* No checksums and frames of 64 KiB: it is the numbers that are on trial. */
	struct pair_setup setup = {.offload = TERN_OFFLOAD_TSO | TERN_OFFLOAD_TX_CSUM,
		.delay = 1000};
	uint64_t sent = 0, got = 0;
	struct test_rand r = {4};
	test_rand_fill(&r, pattern, sizeof pattern);
	pair_open(&t, &setup);
	pair_connect(&t);
	while (got < STREAM) {
		if (sent < STREAM)
			sent += send_pattern(sent);
		bool moved = pair_step(&t, t.now + SEC);
		size_t n = check_pattern(got);
		got += n;
		assert_true(moved || n);
	}
	struct tern_tcp_info info = pair_info(&t, 0);
	assert_int_equal(info.snd_nxt - info.iss - 1, (uint32_t)STREAM);
	assert_int_equal(info.retransmits, 0);
	pair_close(&t);
}

/* --- initial numbers near both limits, with loss
 * ---------------------------------------------------- */

#define SHORT 60000

/* When our clock must be for side 0's number to be that one: the clock is an argument. */
static uint64_t when(uint32_t iss)
{
	static uint32_t base;
	if (base == 0) {
		const struct pair_setup usual = {0};
		pair_open(&t, &usual);
		pair_connect(&t);
		base = pair_info(&t, 0).iss;
		pair_close(&t);
	}
	return 1000 * SEC + (uint64_t)(iss - base) * 4000;
}

static void lossy_transfer(struct test_rand *r)
{
	static uint8_t data[2][SHORT], got[SHORT];
	size_t sent[2] = {0}, read[2] = {0};
	test_rand_fill(r, data, sizeof data);
	while (read[0] < SHORT || read[1] < SHORT) {
		for (unsigned k = 0; k < 2; k++) {
			struct pair_side *s = &t.side[k];
			ptrdiff_t n = tern_tcp_write(s->stack, s->conn, data[k] + sent[k],
				SHORT - sent[k]);
			sent[k] += n > 0 ? (size_t)n : 0;
			n = tern_tcp_read(s->stack, s->conn, got, SHORT);
			if (n <= 0)
				continue;
			assert_memory_equal(got, data[!k] + read[k], (size_t)n);
			read[k] += (size_t)n;
		}
		if (test_rand_one_in(r, 12)) {
			pair_collect(&t);
			pair_drop(&t, test_rand_below(r, 2));
		}
		pair_step(&t, t.now + 200 * SEC);
		assert_null(tern_stack_check(t.side[0].stack));
	}
}

static void a_stream_begun_near_a_limit_survives_loss(void **state)
{
	(void)state;
	static const uint32_t limit[] = {0, 0x80000000};
	static const uint32_t before[] = {1, 2, 1000, 1448, 20000, 59999, 60000, 60001, 0};
	struct test_rand r = {6};
	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < sizeof before / sizeof *before; k++) {
			struct pair_setup setup = {.now = when(limit[i] - before[k]),
				.delay = MSEC};
			pair_open(&t, &setup);
			pair_connect(&t);
			/* The dialling itself takes no clock tick. */
			assert_int_equal(pair_info(&t, 0).iss, limit[i] - before[k]);
			lossy_transfer(&r);
			for (unsigned s = 0; s < 2; s++)
				tern_tcp_close(t.side[s].stack, t.side[s].conn);
			pair_run(&t, 200 * SEC);
			assert_int_equal(pair_connections(&t, 0), 0);
			assert_int_equal(pair_connections(&t, 1), 0);
			pair_close(&t);
		}
}

/* Open and close where SYN, data or FIN is the very number that wraps; the peer's numbers, too. */
static void handshake_and_close_step_over_every_limit(void **state)
{
	(void)state;
	static const uint32_t limit[] = {0, 0x80000000};
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t ours = 0; ours < 6; ours++)
			for (uint32_t theirs = 0; theirs < 6; theirs++) {
				struct peer p;
				struct peer_setup setup = {0};
				char got[4];
				peer_open(&p);
				peer_answer(&p, 1, NULL);
				setup.now =
					p.now + (uint64_t)(limit[i] - ours - (p.ack - 1)) * 4000;
				peer_close(&p);
				peer_open_as(&p, &setup);
				peer_answer(&p, limit[i] - theirs, NULL);
				assert_int_equal(p.ack - 1, limit[i] - ours);
				peer_say(&p, TCP_ACK, 0, "ab", 2);
				p.seq += 2;
				assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 4), 2);
				assert_int_equal(tern_tcp_write(p.stack, p.conn, "cd", 2), 2);
				assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
				peer_drain(&p);
				p.ack += 3;
				peer_say(&p, TCP_ACK, 0, NULL, 0);
				assert_int_equal(peer_state(&p), TERN_TCP_FIN_WAIT_2);
				peer_fin(&p);
				assert_int_equal(peer_state(&p), TERN_TCP_TIME_WAIT);
				assert_int_equal(peer_drain(&p), 1);
				assert_int_equal(p.last.ack.v, p.seq);
				peer_close(&p);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_and_close_step_over_every_limit),
		cmocka_unit_test(a_stream_begun_near_a_limit_survives_loss),
		cmocka_unit_test(more_than_4_gib_arrive_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
