/* What a stranger who cannot see the connection may not do (RFC 5961, 5927, 7323; THREATS.md). */
#include "peer.h"
#include "wire/icmpv4.h"

/* Windows that begin just before the numbers wrap, and just before 2^31. */
static const uint32_t starts[] = {1000, 0x7fffff00, 0xffffff00};
#define STARTS (sizeof starts / sizeof *starts)

static void open_at(struct peer *p, uint32_t iss)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, iss, NULL);
	peer_drain(p);
}

static void blind(struct peer *p, uint16_t flags, uint32_t at)
{
	struct tcp_segment s = {.seq = seq(at),
		.ack = seq(p->ack),
		.flags = flags,
		.window = 65535};
	peer_wait(p, SEC); /* past the pace of challenges */
	peer_send(p, &s);
}

static void only_the_exact_reset_resets(void **state)
{
	(void)state;
	for (size_t i = 0; i < STARTS; i++) {
		struct peer p;
		open_at(&p, starts[i]);
		struct tern_tcp_info info;
		tern_tcp_info(p.stack, p.conn, &info);
		/* Before the window and beyond it: silence. */
		blind(&p, TCP_RST, p.seq - 1);
		blind(&p, TCP_RST, p.seq + info.rcv_wnd + 1);
		assert_int_equal(peer_drain(&p), 0);
		/* In it, at both edges: a challenge. */
		blind(&p, TCP_RST, p.seq + 1);
		assert_int_equal(peer_drain(&p), 1);
		assert_int_equal(p.last.flags, TCP_ACK);
		blind(&p, TCP_RST, p.seq + info.rcv_wnd - 1);
		assert_int_equal(peer_drain(&p), 1);
		assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
		blind(&p, TCP_RST, p.seq);
		assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
		assert_int_equal(tern_tcp_read(p.stack, p.conn, &info, 1), TERN_ECONNRESET);
		peer_close(&p);
	}
}

static void a_syn_is_challenged_wherever_it_lands(void **state)
{
	(void)state;
	const uint32_t offsets[] = {0, 1, 1000, 0x40000000, UINT32_MAX};
	for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
		struct peer p;
		open_at(&p, 0xfffffff0);
		blind(&p, TCP_SYN, p.seq + offsets[i]);
		assert_int_equal(peer_drain(&p), 1);
		assert_int_equal(p.last.flags, TCP_ACK);
		assert_int_equal(p.last.ack.v, p.seq);
		assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
		peer_close(&p);
	}
}

static void an_ack_of_what_was_never_sent_brings_no_data_in(void **state)
{
	(void)state;
	struct peer p;
	char byte;
	open_at(&p, 5);
	p.ack += 100000;
	peer_say(&p, TCP_ACK, 0, "x", 1);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), TERN_EAGAIN);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_BAD_ACK), 1);
	p.ack -= 100000 + 70000; /* older than any window the peer ever offered */
	peer_say(&p, TCP_ACK, 0, "x", 1);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), TERN_EAGAIN);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_OLD_ACK), 1);
	peer_close(&p);
}

static void challenges_are_paced_per_connection(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 77);
	unsigned answered = 0;
	for (unsigned i = 0; i < 1000; i++) {
		struct tcp_segment s = {.seq = seq(p.seq + 5), .flags = TCP_RST};
		peer_send(&p, &s);
		answered += peer_drain(&p);
	}
	assert_int_equal(answered, 1);
	/* Another connection has a pace of its own: nothing is shared that could be observed. */
	struct tern_conn first = p.conn;
	p.port++;
	peer_connect(&p, 99, NULL);
	peer_drain(&p);
	struct tcp_segment s = {.seq = seq(p.seq + 5), .flags = TCP_RST};
	peer_send(&p, &s);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(tern_tcp_abort(p.stack, first), 0);
	peer_close(&p);
}

/* What a stranger sees on connections of his own, having guessed at someone else's: a hash of every
 * frame. The victim's port is 1; the guesses fall in its window, never on the exact number. */
static uint64_t strangers_view(bool victim)
{
	struct peer p;
	uint64_t seen = 0;
	const struct siphash_key key = {1, 2};
	open_at(&p, 50000); /* the stranger's own */
	uint16_t own = p.port;
	uint32_t own_seq = p.seq, own_ack = p.ack;
	if (victim) {
		p.port = 1;
		peer_connect(&p, 1000, NULL);
		peer_drain(&p);
	}
	for (uint32_t i = 0; i < 2000; i++) {
		static const uint16_t flags[] = {TCP_RST, TCP_SYN, TCP_ACK, TCP_RST | TCP_ACK};
		struct tcp_segment guess = {.seq = seq(1002 + i % 16),
			.ack = seq(own_ack + i * 1000003),
			.flags = flags[i % 4],
			.window = 1000};
		p.port = 1;
		peer_send(&p, &guess);
		/* His probes: in-window resets and old ACKs, answered at their own pace. */
		struct tcp_segment probe = {.seq = seq(own_seq + (i % 2 ? 5 : 0u - 1000)),
			.ack = seq(own_ack),
			.flags = i % 2 ? TCP_RST : TCP_ACK};
		p.port = own;
		peer_send(&p, &probe);
		peer_wait(&p, MSEC);
		while (peer_take(&p))
			if (p.last.dst_port == own)
				seen = seen * 31 +
				       tern_siphash13(&key, p.frame + 20, p.frame_len - 20);
	}
	assert_true(seen != 0);
	peer_close(&p);
	return seen;
}

/* CVE-2016-5696: whether a connection of others exists shows nowhere on one's own. */
static void anothers_connection_leaves_no_trace_on_ones_own(void **state)
{
	(void)state;
	assert_int_equal(strangers_view(false), strangers_view(true));
}

static void two_confused_peers_fall_silent(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 4);
	unsigned answers = 0;
	/* Each answer is answered with an ACK outside every window, as a desynchronised peer would.
	 */
	for (unsigned i = 0; i < 1000; i++) {
		struct tcp_segment s = {.seq = seq(p.seq - 1000),
			.ack = seq(p.ack + 1000),
			.flags = TCP_ACK};
		peer_send(&p, &s);
		answers += peer_drain(&p);
		p.now += MSEC;
	}
	assert_true(answers <= 3);
	peer_close(&p);
}

static void a_future_timestamp_out_of_order_poisons_nothing(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_TIMESTAMP, .tsval = 1000};
	char got[8];
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	p.tsval = 1000 + 0x40000000;
	peer_say(&p, TCP_ACK, 100, "zz", 2); /* beyond a hole: not Last.ACK.sent */
	p.tsval = 1001;
	peer_say(&p, TCP_ACK, 0, "ab", 2);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), 2);
	p.tsval = 999; /* older: an old duplicate */
	peer_say(&p, TCP_ACK, 2, "cd", 2);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), TERN_EAGAIN);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_PAWS), 1);
	peer_close(&p);
}

static void a_guessed_number_without_an_acknowledgement_poisons_no_timestamp(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_TIMESTAMP, .tsval = 1000};
	char got[8];
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	struct tcp_segment s = {.seq = seq(p.seq),
		.ack = seq(p.ack + 0x20000000), /* of what was never sent */
		.flags = TCP_ACK,
		.window = 65535,
		.options = {.has = TCP_OPT_TIMESTAMP, .tsval = 1000 + 0x40000000}};
	peer_send(&p, &s);
	p.tsval = 1001;
	peer_say(&p, TCP_ACK, 0, "ab", 2);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), 2);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_PAWS), 0);
	peer_close(&p);
}

static void an_old_timestamp_is_forgiven_after_24_days(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_TIMESTAMP, .tsval = 1000};
	char got[8];
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_wait(&p, 25 * 24 * 3600 * SEC);
	p.tsval = 900;
	peer_say(&p, TCP_ACK, 0, "ab", 2);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, sizeof got), 2);
	peer_close(&p);
}

/* Type x code x in or out of the window: an established connection survives all. */
static void icmp_ends_no_established_connection(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "data", 4), 4);
	assert_int_equal(peer_drain(&p), 1);
	for (unsigned type = 0; type < 20; type++)
		for (unsigned code = 0; code < 18; code++)
			for (int where = -1; where <= 1; where++)
				peer_icmp(&p, (uint8_t)type, (uint8_t)code, 1400,
					p.ack + (uint32_t)where * 2);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	peer_close(&p);
}

/* MUST-47: one about what is in flight is kept until it is asked for, or the peer is heard. */
static void a_soft_error_is_told_once(void **state)
{
	(void)state;
	struct peer p;
	open_at(&p, 1);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "data", 4), 4);
	assert_int_equal(peer_drain(&p), 1);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_NET, 0, p.ack - 1);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_NET, 0, p.ack + 4);
	assert_int_equal(tern_tcp_take_soft_error(p.stack, p.conn), 0);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_NET, 0, p.ack);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_PORT, 0, p.ack + 3);
	assert_int_equal(peer_info(&p).soft_error, TERN_ECONNREFUSED);
	assert_int_equal(tern_tcp_take_soft_error(p.stack, p.conn), TERN_ECONNREFUSED);
	assert_int_equal(tern_tcp_take_soft_error(p.stack, p.conn), 0);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_NET, 0, p.ack);
	assert_int_equal(peer_info(&p).soft_error, TERN_ENETUNREACH);
	p.ack += 2;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_info(&p).soft_error, 0);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	tern_tcp_abort(p.stack, p.conn);
	assert_int_equal(tern_tcp_take_soft_error(p.stack, p.conn), TERN_ESTALE);
	peer_close(&p);
}

static void a_smaller_path_is_believed_only_in_window_and_never_below_the_floor(void **state)
{
	(void)state;
	struct peer p;
	struct tern_tcp_info info;
	struct tcp_options o = {.has = TCP_OPT_MSS, .mss = 1460};
	static char data[4 * 960];
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	tern_tcp_write(p.stack, p.conn, data, sizeof data);
	assert_true(peer_drain(&p) >= 2);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, p.ack - 5000);
	tern_tcp_info(p.stack, p.conn, &info);
	assert_int_equal(info.mss, 1460);
	assert_int_equal(peer_drops(&p, TERN_DROP_ICMP_UNRELATED), 1);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 1000, p.ack);
	tern_tcp_info(p.stack, p.conn, &info);
	assert_int_equal(info.mss, 960);
	assert_true(peer_drain(&p) >= 1);
	assert_int_equal(p.last.data_len, 960);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_FRAG_NEEDED, 68, p.ack);
	tern_tcp_info(p.stack, p.conn, &info);
	assert_int_equal(info.mss, 552 - 40);
	peer_close(&p);
}

static void a_refused_open_is_told_only_by_an_acceptable_reset(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	assert_true(peer_take(&p));
	p.stack_port = p.last.src_port;
	uint32_t iss = p.last.seq.v;
	struct tcp_segment s = {.flags = TCP_RST};
	peer_send(&p, &s); /* no ACK */
	s = (struct tcp_segment){.flags = TCP_RST | TCP_ACK, .ack = seq(iss)};
	peer_send(&p, &s); /* acknowledges nothing */
	s.ack = seq(iss + 2);
	peer_send(&p, &s); /* acknowledges too much */
	assert_int_equal(peer_state(&p), TERN_TCP_SYN_SENT);
	s.ack = seq(iss + 1);
	peer_send(&p, &s);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, &s, 1), TERN_ECONNREFUSED);
	peer_close(&p);
}

/* Whoever sends in another's name makes us send him no more than so many resets, and costs others
 * none of theirs. */
static void resets_to_one_address_are_limited(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_out_rst_source", 10);
	for (unsigned second = 0; second < 3; second++) {
		unsigned resets = 0;
		for (unsigned i = 0; i < 100; i++) {
			struct tcp_segment s = {.seq = seq(i), .flags = TCP_SYN, .window = 1000};
			p.port = (uint16_t)(1000 + i);
			peer_send(&p, &s);
			resets += peer_drain(&p);
		}
		assert_int_equal(resets, 10);
		assert_int_equal(peer_drops(&p, TERN_DROP_TCP_RESET_RATE), 90 * (second + 1));
		peer_wait(&p, SEC);
	}
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets_to_one_address_are_limited),
		cmocka_unit_test(only_the_exact_reset_resets),
		cmocka_unit_test(a_syn_is_challenged_wherever_it_lands),
		cmocka_unit_test(an_ack_of_what_was_never_sent_brings_no_data_in),
		cmocka_unit_test(challenges_are_paced_per_connection),
		cmocka_unit_test(anothers_connection_leaves_no_trace_on_ones_own),
		cmocka_unit_test(two_confused_peers_fall_silent),
		cmocka_unit_test(a_future_timestamp_out_of_order_poisons_nothing),
		cmocka_unit_test(a_guessed_number_without_an_acknowledgement_poisons_no_timestamp),
		cmocka_unit_test(an_old_timestamp_is_forgiven_after_24_days),
		cmocka_unit_test(icmp_ends_no_established_connection),
		cmocka_unit_test(a_soft_error_is_told_once),
		cmocka_unit_test(
			a_smaller_path_is_believed_only_in_window_and_never_below_the_floor),
		cmocka_unit_test(a_refused_open_is_told_only_by_an_acceptable_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
