/*
 * What tern why says: each situation is brought about on a real stack, in virtual time, and goes
 * through the row that the control socket would give.
 */
#include "../transport/peer.h"

#include <stdio.h>

#include "tools/base64.h"
#include "tools/control_rows.h"
#include "tools/why.h"
#include "wire/icmpv4.h"

static struct why_facts facts;

static void explain_info(const struct tern_tcp_info *info, const struct tern_tcp_info *listener)
{
	json_t *row = tern_control_row(info), *other = listener ? tern_control_row(listener) : NULL;
	tern_why_explain(row, other, &facts);
	for (unsigned i = 0; i < facts.count; i++) {
		const struct why_fact *f = &facts.fact[i];
		assert_non_null(tern_why_name(f->cause));
		assert_non_null(f->evidence[0]);
		assert_null(f->evidence[WHY_EVIDENCE - 1]);
	}
	json_decref(row);
	json_decref(other);
}

/* The listener, if that is asked for; else the first other. */
static struct tern_tcp_info find(const struct peer *p, enum tern_tcp_state state)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	while (tern_tcp_each(p->stack, &cursor, &info))
		if (info.state == state)
			return info;
	fail_msg("nothing in %s", tern_tcp_state_name(state));
	return info;
}

static void explain_as(const struct peer *p, enum tern_tcp_state state)
{
	struct tern_tcp_info info = find(p, state);
	explain_info(&info, NULL);
}

static void explain(const struct peer *p)
{
	struct tern_tcp_info info = peer_info(p);
	explain_info(&info, NULL);
}

/* The k-th fact. */
static void expect_fact(unsigned k, enum why_cause cause, bool stuck, const char *says)
{
	assert_true(facts.count > k);
	if (!strstr(facts.fact[k].says, says))
		assert_string_equal(facts.fact[k].says, says);
	assert_int_equal(facts.fact[k].cause, cause);
	assert_int_equal(facts.fact[k].stuck, stuck);
}

static void expect(enum why_cause cause, bool stuck, const char *says)
{
	expect_fact(0, cause, stuck, says);
}

static void open_as(struct peer *p, const struct tcp_options *options)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 5000, options);
	peer_drain(p);
}

static const struct tcp_options mss_1000 = {.has = TCP_OPT_MSS, .mss = 1000};

static void write_bytes_of(struct peer *p, uint32_t n)
{
	static const uint8_t data[100000];
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, n), n);
}

static void acknowledge(struct peer *p, uint32_t n)
{
	p->ack += n;
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

/* --- opening
 * -------------------------------------------------------------------------------------- */

static void a_syn_is_unanswered(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	explain(&p);
	expect(WHY_SYN, false, "SYN unanswered for less than a second: retry 1 of 6 in 1 s.");
	assert_int_equal(peer_ignore(&p, 3500 * MSEC), 2);
	explain(&p);
	expect(WHY_SYN, true, "SYN unanswered for 3 s: retry 3 of 6 in 3.5 s.");
	assert_int_equal(peer_ignore(&p, 60 * SEC), 4);
	explain(&p);
	expect(WHY_SYN, true, "SYN unanswered for 63 s: all 6 retries are done, given up in 64 s.");
	peer_ignore(&p, 70 * SEC);
	explain(&p);
	expect(WHY_DEAD, true, "It has been dead for 6 s (connection timed out), and the program");
	peer_close(&p);
}

static void a_syn_ack_is_unanswered(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_segment syn = {.seq = seq(5000), .flags = TCP_SYN, .window = 1000};
	peer_open(&p);
	peer_listen(&p);
	peer_send(&p, &syn);
	peer_ignore(&p, 3500 * MSEC);
	explain_as(&p, TERN_TCP_SYN_RECEIVED);
	expect(WHY_SYN_ACK, true, "SYN-ACK unanswered for 3 s: retry 3 of 5 in 3.5 s.");
	assert_int_equal(facts.count, 1);
	peer_close(&p);
}

static void connect_from(struct peer *p, uint16_t port)
{
	struct tcp_segment syn = {.seq = seq(5000), .flags = TCP_SYN, .window = 1000};
	p->port = port;
	peer_send(p, &syn);
	peer_drain(p);
	p->seq = 5001;
	p->ack = p->last.seq.v + 1;
}

static void an_accept_queue_fills(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen_backlog(&p, 1);
	explain_as(&p, TERN_TCP_LISTEN);
	expect(WHY_LISTENING, false, "It listens, and nobody waits to be accepted.");
	connect_from(&p, 4001);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	peer_ignore(&p, 2 * SEC);
	explain_as(&p, TERN_TCP_LISTEN);
	expect(WHY_QUEUE_WAITS, true,
		"1 connection waits for the program to call accept, the first for 2 s; there is "
		"room for 1 more.");
	explain_as(&p, TERN_TCP_ESTABLISHED);
	expect(WHY_UNACCEPTED, true, "has waited in its listener's accept queue for 2 s");
	connect_from(&p, 4003);
	struct peer late = p;
	connect_from(&p, 4002);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	peer_say(&late, TCP_ACK, 0, NULL, 0); /* there is no room */
	peer_ignore(&p, 8 * SEC);
	explain_as(&p, TERN_TCP_LISTEN);
	expect(WHY_QUEUE_FULL, true,
		"The accept queue has been full for 8 s: 2 connections wait (backlog 1), the first "
		"for "
		"10 s. Who knocks now is not let in until the program calls accept.");
	struct tern_tcp_info half = find(&p, TERN_TCP_SYN_RECEIVED);
	struct tern_tcp_info listener = find(&p, TERN_TCP_LISTEN);
	explain_info(&half, &listener);
	expect(WHY_SYN_ACK, true, "SYN-ACK unanswered for 8 s: retry 4 of 5");
	expect_fact(1, WHY_HANDSHAKE, true, "accept queue is full (2 wait, backlog 1)");
	peer_close(&p);
}

/* --- sending
 * -------------------------------------------------------------------------------------- */

static void a_peers_window_is_closed(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	write_bytes_of(&p, 65536);
	peer_drain(&p);
	explain(&p);
	expect(WHY_PEER_WINDOW, false,
		"The peer's window is closed: its program does not read. 64 KiB wait to be sent; "
		"the "
		"first probe in ");
	unsigned probes = peer_ignore(&p, 12 * SEC);
	explain(&p);
	char wanted[200];
	snprintf(wanted, sizeof wanted,
		"The peer's window has been closed for 12 s: its program does not read. 64 KiB "
		"wait to "
		"be "
		"sent; %u probes unanswered, the next in ",
		probes);
	expect(WHY_PEER_WINDOW, true, wanted);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	explain(&p);
	expect(WHY_PEER_WINDOW, true, "its TCP answers our probes (3 so far), the next in");
	/* For how long, is known however long it takes. */
	for (unsigned i = 0; i < 20; i++)
		if (peer_expect(&p, 200 * SEC))
			peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_ignore(&p, 5 * SEC), 0);
	explain(&p);
	assert_true(facts.fact[0].age_us > INT64_C(600000000));
	p.window = 65535;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	peer_drain(&p);
	explain(&p);
	assert_int_equal(facts.fact[0].cause, WHY_IN_CWND);
	assert_int_equal(peer_info(&p).stalled_age, 0);
	peer_close(&p);
}

static void data_is_unacknowledged(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	write_bytes_of(&p, 500);
	peer_drain(&p);
	explain(&p);
	expect(WHY_IN_FLIGHT, false, "500 bytes in flight and not acknowledged yet");
	peer_ignore(&p, 12 * SEC);
	assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
	explain(&p);
	expect(WHY_RETRANSMIT, true,
		"500 bytes, our FIN counted, unacknowledged for 12 s: sent again ");
	assert_non_null(strstr(facts.fact[0].says, " times in a row in vain, retry "));
	assert_non_null(strstr(facts.fact[0].says, " of 15 in "));
	assert_non_null(strstr(facts.fact[0].says, "last heard 12 s ago."));
	assert_null(strstr(facts.fact[0].says, "The network says"));
	assert_int_equal(facts.fact[1].cause, WHY_FIN_UNACKED);
	peer_icmp(&p, ICMP_UNREACHABLE, ICMP_CODE_HOST, 0, p.ack);
	explain(&p);
	assert_non_null(strstr(facts.fact[0].says, " ago. The network says: no route to host."));
	peer_close(&p);
}

static void windows_are_full(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	write_bytes_of(&p, 60000);
	peer_drain(&p);
	explain(&p);
	expect(WHY_IN_CWND, false,
		"The congestion window (10,000 bytes) is all in flight: 48.8 KiB wait for "
		"acknowledgements.");
	p.window = 4000;
	acknowledge(&p, 10000);
	peer_drain(&p);
	explain(&p);
	expect(WHY_IN_WINDOW, false,
		"All of the peer's window is in flight (4,000 bytes of 4,000 bytes): ");
	p.window = 100;
	acknowledge(&p, 4000);
	peer_drain(&p);
	explain(&p);
	expect(WHY_SMALL_WINDOW, false,
		"The peer offers 100 bytes only, which is not worth a segment");
	peer_close(&p);
}

static void nagle_and_cork_hold_back(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	write_bytes_of(&p, 10);
	peer_drain(&p);
	write_bytes_of(&p, 20);
	peer_drain(&p);
	explain(&p);
	expect(WHY_NAGLE, false,
		"Nagle's algorithm holds 20 bytes back, less than a segment (1,000 bytes), until "
		"the "
		"10 bytes in flight are acknowledged");
	acknowledge(&p, 10);
	peer_drain(&p);
	acknowledge(&p, 20);
	explain(&p);
	assert_int_equal(facts.fact[0].cause, WHY_IDLE);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_CORK, 1), 0);
	write_bytes_of(&p, 30);
	peer_drain(&p);
	explain(&p);
	expect(WHY_CORK, false, "TCP_CORK holds 30 bytes back: for a full segment (1,000 bytes)");
	peer_close(&p);
}

static void pacing_spreads_a_window(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_pacing", 1);
	peer_listen(&p);
	peer_connect(&p, 5000, &mss_1000);
	peer_drain(&p);
	write_bytes_of(&p, 60000);
	peer_drain(&p);
	peer_wait(&p, 40 * MSEC);
	acknowledge(&p, 5000);
	peer_drain(&p);
	explain(&p);
	expect(WHY_PACING, false, " over a round trip (");
	assert_string_equal(peer_info(&p).held_by, "pacing");
	peer_close(&p);
}

static void keepalive_probes_are_unanswered(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_KEEPIDLE, 60), 0);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_KEEPINTVL, 10), 0);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_KEEPCNT, 4), 0);
	assert_int_equal(tern_tcp_option_set(p.stack, p.conn, TERN_TCP_KEEPALIVE, 1), 0);
	assert_int_equal(peer_ignore(&p, 85 * SEC), 3);
	explain(&p);
	expect(WHY_KEEPALIVE, true,
		"3 of 4 keepalive probes unanswered: the peer was last heard 85 s ago. The next "
		"goes in "
		"5 s.");
	assert_int_equal(peer_ignore(&p, 7 * SEC), 1);
	explain(&p);
	expect(WHY_KEEPALIVE, true, "It is given up in 8 s.");
	peer_close(&p);
}

/* --- receiving
 * ------------------------------------------------------------------------------------ */

static void the_program_does_not_read(void **state)
{
	(void)state;
	static uint8_t data[1000], got[70000];
	struct peer p;
	open_as(&p, &mss_1000);
	peer_say(&p, TCP_ACK, 0, data, 1000);
	p.seq += 1000;
	peer_ignore(&p, 5 * SEC);
	explain(&p);
	expect(WHY_UNREAD, true,
		"The program has not read 1,000 bytes for 5 s; our window is open still (");
	while (peer_info(&p).rcv_wnd >= 1000) {
		peer_say(&p, TCP_ACK, 0, data, 1000);
		p.seq += 1000;
		peer_drain(&p);
	}
	peer_ignore(&p, 7 * SEC);
	explain(&p);
	expect(WHY_NOT_READ, true, "for 12 s: the receive buffer is full and our window closed (");
	/* It reads a little: then it is that since when it does not. */
	assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 10), 10);
	peer_ignore(&p, 3600 * SEC);
	explain(&p);
	expect(WHY_NOT_READ, true, "for 60 min 0 s: ");
	while (tern_tcp_read(p.stack, p.conn, got, sizeof got) > 0)
		;
	peer_drain(&p);
	explain(&p);
	expect(WHY_IDLE, false, "Nothing to send and nothing to read: the peer was last heard ");
	/* And when all was read, what it was known from is given back. */
	peer_ignore(&p, 3 * SEC);
	assert_null(peer_tcb(&p)->side);
	explain(&p);
	expect(WHY_IDLE, false, "nothing has come for more than a second");
	peer_close(&p);
}

static void a_segment_is_missing(void **state)
{
	(void)state;
	static uint8_t data[1000];
	struct peer p;
	open_as(&p, &mss_1000);
	peer_say(&p, TCP_ACK, 1000, data, 1000);
	peer_ignore(&p, 5 * SEC);
	explain(&p);
	expect(WHY_HOLE, true,
		"A segment is missing: 1,000 bytes that came after it wait until the peer sends it "
		"again. It was last heard 5 s ago.");
	peer_close(&p);
}

/* --- closing
 * -------------------------------------------------------------------------------------- */

static void the_program_forgets_close(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_CLOSE_WAIT);
	peer_ignore(&p, 92 * SEC);
	explain(&p);
	expect(WHY_CLOSE_WAIT, true,
		"The peer has closed (its FIN came 92 s ago) and the program has not: it has not "
		"called "
		"close.");
	assert_int_equal(facts.count, 1);
	peer_close(&p);
}

static void the_peer_does_not_close(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_FIN_WAIT_2);
	peer_ignore(&p, 12 * SEC);
	explain(&p);
	expect(WHY_FIN_WAIT_2, true, "The program has shut down its side and the peer");
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	peer_ignore(&p, 12 * SEC);
	explain_as(&p, TERN_TCP_FIN_WAIT_2);
	expect(WHY_FIN_WAIT_2, true, "but for 24 s has not closed its own side: given up in 48 s.");
	peer_close(&p);
}

static void both_sides_have_closed(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_TIME_WAIT);
	peer_ignore(&p, 13 * SEC);
	explain(&p);
	expect(WHY_TIME_WAIT, false, "stays out of use for 47 s more (2 MSL)");
	peer_close(&p);
	peer_open(&p);
	peer_bring(&p, TERN_TCP_LAST_ACK);
	explain(&p);
	assert_int_equal(facts.count, 2);
	expect(WHY_FIN_UNACKED, false, "Both sides have closed, ours less than a second ago");
	peer_close(&p);
}

static void a_reset_kills(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &mss_1000);
	peer_say(&p, TCP_RST | TCP_ACK, 0, NULL, 0);
	peer_ignore(&p, 2 * SEC);
	explain(&p);
	expect(WHY_DEAD, true, "It has been dead for 2 s (");
	peer_close(&p);
}

/* --- many
 * ------------------------------------------------------------------------------------------ */

static void many_are_one_sentence(void **state)
{
	(void)state;
	char says[WHY_TEXT];
	struct why_case c = {
		.row = json_pack("{s:s, s:s, s:s, s:i}", "state", "CLOSE_WAIT", "local",
			"10.0.0.1:80", "remote", "10.0.0.2:4", "state_s", 92)};
	c.owners = json_pack("[{s:s, s:i}]", "program", "python3", "pid", 4242);
	tern_why_explain(c.row, NULL, &c.facts);
	tern_why_many(&c, 1834, 0, says);
	assert_string_equal(says, "1,834 connections in CLOSE_WAIT held by pid 4242 (python3), the "
				  "oldest for 92 s: they "
				  "got the peer's FIN and the program has not called close.");
	struct why_case other = {.row = c.row, .facts = c.facts};
	assert_true(tern_why_alike(&c, &c));
	assert_false(tern_why_alike(&c, &other));
	json_decref(c.owners);
	c.owners = json_pack("[{s:s, s:i}, {s:s, s:i}, {s:s, s:i}]", "program", "nginx", "pid", 7,
		"program", "nginx", "pid", 8, "program", "nginx", "pid", 7);
	tern_why_many(&c, 5, 70000, says);
	assert_non_null(strstr(says, "held by pids 7, 8 (nginx)"));
	assert_non_null(strstr(says, "68.4 KiB in all"));
	json_decref(c.owners);
	json_decref(c.row);
}

static void words_are_those_one_would_use(void **state)
{
	(void)state;
	char text[WHY_WORD];
	assert_string_equal(tern_why_time(-1, text), "some time");
	assert_string_equal(tern_why_time(250000, text), "250 ms");
	assert_string_equal(tern_why_time(1500000, text), "1.5 s");
	assert_string_equal(tern_why_time(4000000, text), "4 s");
	assert_string_equal(tern_why_time(40, text), "40 us");
	assert_string_equal(tern_why_time(3960000, text), "4 s");
	assert_string_equal(tern_why_time(11980000, text), "12 s");
	assert_string_equal(tern_why_time(119400000, text), "119 s");
	assert_string_equal(tern_why_time(120000000, text), "2 min 0 s");
	assert_string_equal(tern_why_time(INT64_C(7260000000), text), "2 h 1 min");
	assert_string_equal(tern_why_count(1834, text), "1,834");
	assert_string_equal(tern_why_count(1234567, text), "1,234,567");
	assert_string_equal(tern_why_bytes(1, text), "1 byte");
	assert_string_equal(tern_why_bytes(5000, text), "5,000 bytes");
	assert_string_equal(tern_why_bytes(65536, text), "64 KiB");
	assert_string_equal(tern_why_bytes(3 << 20, text), "3.0 MiB");
}

static void base64_comes_back(void **state)
{
	(void)state;
	uint8_t data[300], *back;
	char text[BASE64_ROOM(sizeof data)];
	size_t n;
	for (size_t len = 0; len < sizeof data; len++) {
		data[len] = (uint8_t)(len * 37);
		tern_base64_encode(data, len, text);
		assert_int_equal(strlen(text) + 1, BASE64_ROOM(len));
		back = tern_base64_decode(text, &n);
		assert_non_null(back);
		assert_int_equal(n, len);
		assert_memory_equal(back, data, len);
		free(back);
	}
	tern_base64_encode((const uint8_t *)"light work", 10, text);
	assert_string_equal(text, "bGlnaHQgd29yaw==");
	static const char *const bad[] = {"a", "abc", "a===", "====", "ab=c", "ab c", "abcd=bcd",
		"abc\x80"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(tern_base64_decode(bad[i], &n));
}

static void larger_segments_vanish(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, &(struct tcp_options){.has = TCP_OPT_MSS, .mss = 1460});
	write_bytes_of(&p, 5000);
	peer_ignore(&p, 8 * SEC);
	explain(&p);
	expect_fact(1, WHY_BLACK_HOLE, false,
		"Segments are 1,024 bytes, not 1,460 bytes any more: larger ones went unanswered, "
		"and no router on the path (MTU 1,500) has said why.");
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_is_unanswered),
		cmocka_unit_test(a_syn_ack_is_unanswered),
		cmocka_unit_test(an_accept_queue_fills),
		cmocka_unit_test(a_peers_window_is_closed),
		cmocka_unit_test(data_is_unacknowledged),
		cmocka_unit_test(windows_are_full),
		cmocka_unit_test(nagle_and_cork_hold_back),
		cmocka_unit_test(pacing_spreads_a_window),
		cmocka_unit_test(keepalive_probes_are_unanswered),
		cmocka_unit_test(the_program_does_not_read),
		cmocka_unit_test(a_segment_is_missing),
		cmocka_unit_test(the_program_forgets_close),
		cmocka_unit_test(the_peer_does_not_close),
		cmocka_unit_test(both_sides_have_closed),
		cmocka_unit_test(a_reset_kills),
		cmocka_unit_test(many_are_one_sentence),
		cmocka_unit_test(words_are_those_one_would_use),
		cmocka_unit_test(base64_comes_back),
		cmocka_unit_test(larger_segments_vanish),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
