/* What both SYNs agree on: every combination of our settings and the peer's options; sizes. */
#include "peer.h"

#define KINDS (TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP)

static struct tcp_options options_of(uint8_t has)
{
	return (struct tcp_options){.has = has, .mss = 1200, .wscale = 3, .tsval = 5000};
}

static uint8_t settings_of(struct peer *p, unsigned bits)
{
	peer_set(p, "tcp_window_scaling", bits & 1);
	peer_set(p, "tcp_timestamps", bits >> 1 & 1);
	peer_set(p, "tcp_sack", bits >> 2 & 1);
	return (uint8_t)(TCP_OPT_MSS | (bits & 1 ? TCP_OPT_WSCALE : 0) |
			 (bits & 2 ? TCP_OPT_TIMESTAMP : 0) | (bits & 4 ? TCP_OPT_SACK_OK : 0));
}

/* A connection whose SYNs carried `ours` and `theirs`: what is in force, in STATUS and on the wire.
 */
static void examine(struct peer *p, uint8_t ours, uint8_t theirs)
{
	static char data[3000];
	struct tern_tcp_info info = peer_info(p);
	uint8_t both = ours & theirs;
	assert_int_equal(info.wscale_ok, !!(both & TCP_OPT_WSCALE));
	assert_int_equal(info.snd_wscale, both & TCP_OPT_WSCALE ? 3 : 0);
	assert_int_equal(info.rcv_wscale, both & TCP_OPT_WSCALE ? 7 : 0);
	assert_int_equal(info.timestamps, !!(both & TCP_OPT_TIMESTAMP));
	assert_int_equal(info.sack, !!(both & TCP_OPT_SACK_OK));
	uint32_t mss = theirs & TCP_OPT_MSS ? 1200 : 536;
	assert_int_equal(info.mss, mss - (info.timestamps ? 12 : 0));
	p->timestamps = info.timestamps;
	p->tsval++;
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, sizeof data), 3000);
	assert_true(peer_take(p));
	assert_int_equal(p->last.data_len, info.mss);
	assert_int_equal(!!(p->last.options.has & TCP_OPT_TIMESTAMP), info.timestamps);
	if (info.timestamps)
		assert_int_equal(p->last.options.tsecr, 5000);
	peer_drain(p);
	/* Text beyond a hole is reported where that was agreed, and nowhere else. */
	peer_say(p, TCP_ACK, 100, "x", 1);
	while (peer_take(p))
		;
	assert_int_equal(p->last.options.sack_count, info.sack ? 1 : 0);
	p->window = 100;
	peer_say(p, TCP_ACK, 101, NULL, 0);
	assert_int_equal(peer_info(p).snd_wnd, both & TCP_OPT_WSCALE ? 800 : 100);
}

static void every_combination_is_agreed_on_when_the_peer_opens(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++)
		for (unsigned theirs = 0; theirs <= KINDS; theirs++) {
			struct peer p;
			if ((theirs | KINDS) != KINDS)
				continue;
			struct tcp_options o = options_of((uint8_t)theirs);
			peer_open(&p);
			uint8_t ours = settings_of(&p, bits);
			peer_listen(&p);
			struct tcp_segment syn = {.seq = seq(0),
				.flags = TCP_SYN,
				.window = 65535,
				.options = o};
			peer_send(&p, &syn);
			assert_true(peer_take(&p));
			/* A SYN-ACK offers only what the SYN did (RFC 7323 2.2, 3.2; RFC 2018 2).
			 */
			assert_int_equal(p.last.options.has, TCP_OPT_MSS | (ours & theirs));
			assert_int_equal(p.last.options.mss, 1460);
			p.seq = 1;
			p.ack = p.last.seq.v + 1;
			p.timestamps = ours & theirs & TCP_OPT_TIMESTAMP;
			p.tsval = 5000;
			p.tsecr = p.last.options.tsval;
			peer_say(&p, TCP_ACK, 0, NULL, 0);
			assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
			examine(&p, ours, (uint8_t)theirs);
			peer_close(&p);
		}
}

static void every_combination_is_agreed_on_when_we_open(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++)
		for (unsigned theirs = 0; theirs <= KINDS; theirs++) {
			struct peer p;
			if ((theirs | KINDS) != KINDS)
				continue;
			/* A peer that offers what we did not is ignored in that. */
			struct tcp_options o = options_of((uint8_t)theirs);
			peer_open(&p);
			uint8_t ours = settings_of(&p, bits);
			peer_answer(&p, 0, &o);
			peer_drain(&p);
			examine(&p, ours, (uint8_t)theirs);
			peer_close(&p);
		}
}

static void a_syn_of_ours_offers_what_the_settings_say(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		struct peer p;
		peer_open(&p);
		uint8_t ours = settings_of(&p, bits);
		peer_dial(&p);
		assert_int_equal(p.last.options.has, ours);
		assert_int_equal(p.last.options.mss, 1460);
		assert_int_equal(p.last.ack.v, 0);
		peer_close(&p);
	}
}

/* RFC 9293 3.7.1 (MUST-15, SHLD-6): 536 when the SYN names none; never more than the link takes. */
/* MUST-16, MUST-67. */
static void the_segment_size_is_the_least_of_what_both_and_the_link_say(void **state)
{
	(void)state;
	static const struct {
		uint32_t mtu;
		uint16_t option; /* 0: none */
		uint32_t mss;
	} rows[] = {{1500, 0, 536}, {1500, 1460, 1460}, {1500, 1461, 1460}, {1500, 65535, 1460},
		{1500, 1000, 1000}, {576, 0, 536}, {576, 1460, 536}, {400, 0, 360},
		{9000, 8960, 8960}, {9000, 0, 536}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct peer p;
		struct peer_setup setup = {.mtu = rows[i].mtu};
		struct tcp_options o = {.has = rows[i].option ? TCP_OPT_MSS : 0,
			.mss = rows[i].option};
		peer_open_as(&p, &setup);
		peer_listen(&p);
		peer_connect(&p, 1, &o);
		assert_int_equal(peer_info(&p).mss, rows[i].mss);
		assert_int_equal(peer_info(&p).advertised_mss, rows[i].mtu - 40);
		peer_close(&p);
	}
}

/* On the smallest link IPv4 allows, options leave room for text: what cannot be reported waits. */
static void reports_of_holes_leave_room_for_text(void **state)
{
	(void)state;
	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		struct peer p;
		struct peer_setup setup = {.mtu = 68};
		struct tcp_options o = {.has = TCP_OPT_SACK_OK |
					       (timestamps ? TCP_OPT_TIMESTAMP : 0),
			.tsval = 1};
		uint32_t got = 0;
		peer_open_as(&p, &setup);
		peer_listen(&p);
		peer_connect(&p, 1, &o);
		for (uint32_t off = 10; off < 100; off += 20)
			peer_say(&p, TCP_ACK, off, "x", 1);
		peer_drain(&p);
		assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_NODELAY, 1), 0);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, "0123456789", 10), 10);
		while (peer_take(&p)) {
			assert_true(p.frame_len <= 68);
			assert_true(p.last.data_len > 0);
			assert_true(p.last.options.sack_count > 0);
			got += p.last.data_len;
		}
		assert_int_equal(got, 10);
		peer_close(&p);
	}
}

static void a_program_may_ask_for_smaller_segments_before_the_syn(void **state)
{
	(void)state;
	struct peer p;
	static char data[3000];
	peer_open(&p);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_MAXSEG, 87), TERN_ERANGE);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_MAXSEG, 700), 0);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.options.mss, 700);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_MAXSEG, 600), TERN_EISCONN);
	p.stack_port = p.last.src_port;
	p.ack = p.last.seq.v + 1;
	struct tcp_segment s = {.seq = seq(0),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535,
		.options = {.has = TCP_OPT_MSS, .mss = 1460}};
	peer_send(&p, &s);
	peer_drain(&p);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 3000);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.data_len, 700);
	peer_close(&p);
}

/* --- SACK Panic and its family (CVE-2019-11477, -11478, -11479)
 * ----------------------------------- */

static void random_sack(struct test_rand *r, const struct peer *p, struct tcp_segment *s)
{
	s->options.has |= TCP_OPT_SACK;
	s->options.sack_count = (uint8_t)(1 + test_rand_below(r, p->timestamps ? 3 : 4));
	for (uint8_t i = 0; i < s->options.sack_count; i++) {
		uint32_t lo = p->ack + test_rand_below(r, 200000) - 50000;
		if (test_rand_one_in(r, 8))
			lo = test_rand_u32(r);
		s->options.sack[i].lo = seq(lo);
		s->options.sack[i].hi = seq(lo + 1 + test_rand_below(r, 70000));
	}
}

/* Takes what the stack sends: no tiny segment unless it is the stream's last, or what is left to be
 * sent again of all that was sent. Returns how far that goes. */
static uint32_t take_all(struct peer *p, uint32_t total, uint32_t high)
{
	while (peer_take(p)) {
		uint32_t end = p->last.seq.v - p->ack + p->last.data_len;
		if (p->last.data_len && end != total && end != high)
			assert_true(p->last.data_len >= 48);
		high = end > high ? end : high;
	}
	return high;
}

static void tiny_sizes_and_wild_sacks_make_no_tiny_segments(void **state)
{
	(void)state;
	static char data[40000];
	for (uint16_t mss = 1; mss <= 88; mss++) {
		struct test_rand r = {mss};
		struct peer p;
		struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_SACK_OK, .mss = mss};
		o.has |= mss % 2 ? TCP_OPT_TIMESTAMP : 0;
		peer_open(&p);
		peer_listen(&p);
		peer_connect(&p, (uint32_t)0 - 100, &o);
		peer_drain(&p);
		ptrdiff_t total = tern_tcp_write(p.stack, p.conn, data, sizeof data);
		assert_int_equal(total, 40000);
		uint32_t acked = 0, high = 0, start = p.ack;
		for (unsigned i = 0; i < 300; i++) {
			p.ack = start;
			high = take_all(&p, (uint32_t)total, high);
			if (test_rand_one_in(&r, 3) && high > acked)
				acked += test_rand_below(&r, high - acked + 1);
			p.ack = start + acked;
			struct tcp_segment s = {.seq = seq(p.seq),
				.ack = seq(p.ack),
				.flags = TCP_ACK,
				.window = 65535};
			if (p.timestamps) {
				s.options = (struct tcp_options){.has = TCP_OPT_TIMESTAMP,
					.tsval = p.tsval,
					.tsecr = p.tsecr};
			}
			random_sack(&r, &p, &s);
			peer_send(&p, &s);
			/* Our own holes take room for options from our segments, too. */
			if (test_rand_one_in(&r, 4))
				peer_say(&p, TCP_ACK, 2 + 3 * test_rand_below(&r, 50), "h", 1);
			peer_wait(&p, test_rand_below(&r, 400) * MSEC);
		}
		assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
		assert_null(tern_stack_check(p.stack));
		peer_close(&p);
	}
}

/* A lower floor is the administrator's own decision, and even then something fits. */
static void the_floor_under_the_segment_size_can_be_moved(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_TIMESTAMP | TCP_OPT_SACK_OK,
		.mss = 1,
		.tsval = 1};
	peer_open(&p);
	peer_set(&p, "tcp_min_snd_mss", 500);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	assert_true(peer_info(&p).mss >= 500);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_agreed_on_when_the_peer_opens),
		cmocka_unit_test(every_combination_is_agreed_on_when_we_open),
		cmocka_unit_test(a_syn_of_ours_offers_what_the_settings_say),
		cmocka_unit_test(the_segment_size_is_the_least_of_what_both_and_the_link_say),
		cmocka_unit_test(reports_of_holes_leave_room_for_text),
		cmocka_unit_test(a_program_may_ask_for_smaller_segments_before_the_syn),
		cmocka_unit_test(tiny_sizes_and_wild_sacks_make_no_tiny_segments),
		cmocka_unit_test(the_floor_under_the_segment_size_can_be_moved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
