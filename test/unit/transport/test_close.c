/* Closing: every path, what is still delivered, what is reset, and that all of it ends. */
#include "pair.h"
#include "peer.h"

static void open_plain(struct peer *p)
{
	struct tcp_options o = {.has = TCP_OPT_MSS, .mss = 1000};
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 0x7ffffff0, &o);
	peer_drain(p);
}

static void expect_last(struct peer *p, uint16_t flags)
{
	assert_int_equal(peer_drain(p), 1);
	assert_true(peer_last_is(p, flags));
}

/* --- the paths -------------------------------------------------------------------------------- */

/* RFC 9293 figure 12. */
static void we_close_first_and_the_peer_follows(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_FIN_WAIT_1);
	p.ack++;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_state(&p), TERN_TCP_FIN_WAIT_2);
	peer_fin(&p);
	assert_int_equal(peer_state(&p), TERN_TCP_TIME_WAIT);
	expect_last(&p, TCP_ACK);
	assert_int_equal(p.last.ack.v, p.seq);
	peer_wait(&p, 61 * SEC);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	assert_int_equal(peer_info(&p).error, 0);
	peer_close(&p);
}

static void the_peer_closes_first_and_we_follow(void **state)
{
	(void)state;
	struct peer p;
	char byte;
	open_plain(&p);
	peer_fin(&p);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSE_WAIT);
	expect_last(&p, TCP_ACK);
	assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), 0);
	/* CLOSE_WAIT stays until the program closes: here for an hour. */
	assert_int_equal(peer_ignore(&p, 3600 * SEC), 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "bye", 3), 3);
	expect_last(&p, TCP_ACK);
	assert_int_equal(p.last.data_len, 3);
	p.ack += 3;
	assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
	assert_int_equal(peer_state(&p), TERN_TCP_LAST_ACK);
	expect_last(&p, TCP_FIN | TCP_ACK);
	p.ack++;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	assert_int_equal(peer_info(&p).error, 0);
	peer_close(&p);
}

/* RFC 9293 figure 13. */
static void both_close_at_once(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_CLOSING);
	p.ack++;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_state(&p), TERN_TCP_TIME_WAIT);
	peer_wait(&p, 61 * SEC);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSED);
	peer_close(&p);
}

static void a_close_before_the_syn_is_answered_leaves_nothing(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_SYN_SENT);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	assert_int_equal(peer_connections(&p), 0);
	assert_int_equal(peer_ignore(&p, 600 * SEC), 0);
	/* A late SYN-ACK finds nobody. */
	peer_say(&p, TCP_SYN | TCP_ACK, 0, NULL, 0);
	expect_last(&p, TCP_RST);
	assert_int_equal(p.last.seq.v, p.ack);
	peer_close(&p);
}

/* RFC 9293 3.10.4, SYN-RECEIVED: the FIN follows the handshake, and what was written goes first. */
static void a_close_in_the_middle_of_an_open_still_opens(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_SYN_RECEIVED);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "hello", 5), 5);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	assert_int_equal(peer_drain(&p), 0);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	expect_last(&p, TCP_FIN | TCP_ACK);
	assert_int_equal(p.last.data_len, 5);
	assert_memory_equal(p.last.data, "hello", 5);
	p.ack += 6;
	peer_fin(&p);
	expect_last(&p, TCP_ACK);
	peer_wait(&p, 61 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* A lost FIN, in each state that has one in flight, is sent again; without any answer it ends. */
static void a_fin_that_is_lost_is_sent_again_until_it_ends(void **state)
{
	(void)state;
	static const enum tern_tcp_state states[] = {TERN_TCP_FIN_WAIT_1, TERN_TCP_CLOSING,
		TERN_TCP_LAST_ACK};
	for (size_t i = 0; i < 3; i++) {
		struct peer p;
		peer_open(&p);
		peer_bring(&p, states[i]);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		unsigned fins = 0;
		while (peer_expect(&p, 200 * SEC) && !(p.last.flags & TCP_RST)) {
			assert_true(peer_last_is(&p, TCP_FIN | TCP_ACK));
			assert_int_equal(p.last.seq.v, p.ack);
			fins++;
		}
		assert_int_equal(fins, 8); /* tcp_orphan_retries */
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

static void the_peers_fin_again_is_acknowledged_again(void **state)
{
	(void)state;
	static const enum tern_tcp_state states[] = {TERN_TCP_CLOSE_WAIT, TERN_TCP_CLOSING,
		TERN_TCP_LAST_ACK, TERN_TCP_TIME_WAIT};
	for (size_t i = 0; i < 4; i++) {
		struct peer p;
		peer_open(&p);
		peer_bring(&p, states[i]);
		p.seq--;
		peer_fin(&p);
		assert_true(peer_take(&p));
		assert_true(p.last.flags & TCP_ACK);
		assert_int_equal(p.last.ack.v, p.seq);
		assert_int_equal(peer_state(&p), states[i]);
		peer_close(&p);
	}
}

/* --- what is queued ------------------------------------------------------------------------------
 */

/* Takes what the stack sends into got, acknowledging it, as long as something comes. */
static uint32_t receive(struct peer *p, uint8_t *got, uint32_t have, bool *fin)
{
	uint32_t start = p->ack - have;
	while (peer_expect(p, 10 * SEC)) {
		uint32_t at = p->last.seq.v - start;
		memcpy(got + at, p->last.data, p->last.data_len);
		if (at == have)
			have += p->last.data_len;
		if (p->last.flags & TCP_FIN && at + p->last.data_len == have)
			*fin = true;
		p->ack = start + have + *fin;
		peer_say(p, TCP_ACK, 0, NULL, 0);
		if (*fin)
			break;
	}
	return have;
}

/* gVisor #13393, smoltcp #199: the window was closed when the program left. */
static void data_queued_at_zero_window_still_arrives_after_close(void **state)
{
	(void)state;
	static uint8_t data[30000], got[40000];
	static const uint64_t closed_for[] = {0, SEC, 10 * SEC, 100 * SEC};
	struct test_rand r = {5};
	test_rand_fill(&r, data, sizeof data);
	for (size_t i = 0; i < 4; i++) {
		struct peer p;
		bool fin = false;
		open_plain(&p);
		p.window = 0;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), sizeof data);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		uint64_t end = p.now + closed_for[i];
		while (p.now < end && peer_expect(&p, end - p.now)) {
			assert_int_equal(p.last.data_len, 0);
			peer_say(&p, TCP_ACK, 0, NULL, 0);
		}
		p.window = 65535;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		assert_int_equal(receive(&p, got, 0, &fin), sizeof data);
		assert_true(fin);
		assert_memory_equal(got, data, sizeof data);
		peer_fin(&p);
		peer_wait(&p, 61 * SEC);
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

/* The same without letting go: for a day (RFC 6429). */
static void data_queued_before_a_half_close_waits_for_ever(void **state)
{
	(void)state;
	struct peer p;
	uint8_t got[16];
	bool fin = false;
	open_plain(&p);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "patience", 8), 8);
	assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
	for (uint64_t end = p.now + 24 * 3600 * SEC; p.now < end;) {
		assert_true(peer_expect(&p, 200 * SEC));
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	p.window = 1000;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(receive(&p, got, 0, &fin), 8);
	assert_true(fin);
	assert_memory_equal(got, "patience", 8);
	peer_close(&p);
}

/* sockstress (CVE-2008-4609): a peer that answers probes for ever and never opens the window holds
 * no closed connection for ever. */
static void a_closed_connection_at_zero_window_ends(void **state)
{
	(void)state;
	struct peer p;
	open_plain(&p);
	p.window = 0;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "data", 4), 4);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	unsigned probes = 0;
	while (peer_connections(&p) && peer_expect(&p, 300 * SEC)) {
		probes++;
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	}
	assert_true(probes < 20);
	assert_true(p.last.flags & TCP_RST);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* RFC 1122 4.2.2.13, RFC 2525 2.17. */
static void a_close_with_unread_data_resets(void **state)
{
	(void)state;
	for (unsigned hole = 0; hole < 2; hole++) {
		struct peer p;
		open_plain(&p);
		peer_say(&p, TCP_ACK, hole ? 10 : 0, "unread", 6);
		peer_drain(&p);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, "lost", 4), 4);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		expect_last(&p, TCP_RST | TCP_ACK);
		assert_int_equal(p.last.seq.v, p.ack);
		assert_int_equal(peer_connections(&p), 0);
		assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPAbortOnData), 1);
		peer_close(&p);
	}
}

static void data_after_a_close_resets(void **state)
{
	(void)state;
	for (unsigned acked = 0; acked < 2; acked++) {
		struct peer p;
		open_plain(&p);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		expect_last(&p, TCP_FIN | TCP_ACK);
		p.ack += acked; /* FIN_WAIT_1, FIN_WAIT_2 */
		peer_say(&p, TCP_ACK, 0, "late", 4);
		/* Where the peer expects it, whether our FIN has arrived there or not. */
		expect_last(&p, TCP_RST);
		assert_int_equal(p.last.seq.v, p.ack);
		assert_int_equal(peer_connections(&p), 0);
		assert_int_equal(peer_drops(&p, TERN_DROP_TCP_AFTER_CLOSE), 1);
		peer_close(&p);
	}
}

/* After shutdown alone the program still reads. */
static void data_after_a_half_close_is_read(void **state)
{
	(void)state;
	static const enum tern_tcp_state states[] = {TERN_TCP_FIN_WAIT_1, TERN_TCP_FIN_WAIT_2};
	for (size_t i = 0; i < 2; i++) {
		struct peer p;
		char got[8];
		peer_open(&p);
		peer_bring(&p, states[i]);
		peer_say(&p, TCP_ACK, 0, "more", 4);
		p.seq += 4;
		assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 4);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, "no", 2), TERN_EPIPE);
		peer_fin(&p);
		assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 0);
		peer_close(&p);
	}
}

/* --- FIN_WAIT_2
 * ------------------------------------------------------------------------------------ */

static void a_let_go_connection_leaves_fin_wait_2_in_time(void **state)
{
	(void)state;
	for (unsigned early = 0; early < 2; early++) {
		struct peer p;
		peer_open(&p);
		peer_bring(&p, early ? TERN_TCP_FIN_WAIT_1 : TERN_TCP_FIN_WAIT_2);
		peer_wait(&p, 500 * MSEC);
		peer_drain(&p);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		if (early) {
			p.ack++;
			peer_say(&p, TCP_ACK, 0, NULL, 0);
		}
		peer_wait(&p, 59 * SEC);
		assert_int_equal(peer_connections(&p), 1);
		peer_wait(&p, 2 * SEC);
		assert_int_equal(peer_connections(&p), 0);
		/* The peer, should it still be there, is told. */
		peer_say(&p, TCP_ACK, 0, "late", 4);
		expect_last(&p, TCP_RST);
		peer_close(&p);
	}
}

static void a_program_that_still_reads_may_stay_in_fin_wait_2(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_FIN_WAIT_2);
	assert_int_equal(peer_ignore(&p, 24 * 3600 * SEC), 0);
	assert_int_equal(peer_state(&p), TERN_TCP_FIN_WAIT_2);
	peer_close(&p);
}

/* --- both directions are independent (badvpn #122, tun2socks #219)
 * --------------------------------- */

#define STREAM 300000

static ptrdiff_t write_some(struct pair *t, unsigned k, const uint8_t *data, size_t done)
{
	struct pair_side *s = &t->side[k];
	ptrdiff_t n = tern_tcp_write(s->stack, s->conn, data + done, STREAM - done);
	return n > 0 ? n : 0;
}

static void a_half_close_cuts_nothing_off_the_other_way(void **state)
{
	(void)state;
	static struct pair t;
	static uint8_t data[2][STREAM], got[2][STREAM + 1];
	struct test_rand r = {9};
	for (unsigned first = 0; first < 2; first++) {
		struct pair_setup setup = {.delay = 5 * MSEC};
		size_t sent[2] = {0}, read[2] = {0};
		bool eof[2] = {false};
		test_rand_fill(&r, data[0], STREAM);
		test_rand_fill(&r, data[1], STREAM);
		pair_open(&t, &setup);
		pair_connect(&t);
		/* One side sends all and shuts at once; the other begins when it has seen the end.
		 */
		while (!eof[0] || !eof[1]) {
			for (unsigned k = 0; k < 2; k++) {
				struct pair_side *s = &t.side[k];
				if (sent[k] < STREAM && (k == first || eof[k])) {
					sent[k] += (size_t)write_some(&t, k, data[k], sent[k]);
					if (sent[k] == STREAM)
						tern_tcp_shutdown(s->stack, s->conn);
				}
				ptrdiff_t n = tern_tcp_read(s->stack, s->conn, got[k] + read[k],
					STREAM + 1 - read[k]);
				read[k] += n > 0 ? (size_t)n : 0;
				eof[k] = eof[k] || n == 0;
			}
			assert_true(pair_step(&t, t.now + 100 * SEC) || (eof[0] && eof[1]));
		}
		assert_int_equal(read[0], STREAM);
		assert_int_equal(read[1], STREAM);
		assert_memory_equal(got[0], data[1], STREAM);
		assert_memory_equal(got[1], data[0], STREAM);
		pair_run(&t, 10 * SEC);
		assert_int_equal(pair_state(&t, first), TERN_TCP_TIME_WAIT);
		assert_int_equal(pair_state(&t, !first), TERN_TCP_CLOSED);
		pair_close(&t);
	}
}

/* --- handles
 * ---------------------------------------------------------------------------------------- */

static void all_are_stale(struct tern_stack *stack, struct tern_conn c)
{
	uint8_t byte;
	int64_t value;
	struct tern_span span;
	struct tern_tcp_info info;
	assert_int_equal(tern_tcp_read(stack, c, &byte, 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_write(stack, c, "x", 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_write_urgent(stack, c, "x", 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_urgent(stack, c), 0);
	assert_int_equal(tern_tcp_peek(stack, c, &span, 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_consume(stack, c, 0), TERN_ESTALE);
	assert_int_equal(tern_tcp_room(stack, c, 1, &span, 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_commit(stack, c, 0), TERN_ESTALE);
	assert_int_equal(tern_tcp_shutdown(stack, c), TERN_ESTALE);
	assert_int_equal(tern_tcp_close(stack, c), TERN_ESTALE);
	assert_int_equal(tern_tcp_abort(stack, c), TERN_ESTALE);
	assert_int_equal(tern_tcp_info(stack, c, &info), TERN_ESTALE);
	assert_int_equal(tern_tcp_option_set(stack, c, TERN_TCP_NODELAY, 1), TERN_ESTALE);
	assert_int_equal(tern_tcp_option_get(stack, c, TERN_TCP_NODELAY, &value), TERN_ESTALE);
	assert_int_equal(tern_tcp_set_user(stack, c, &byte), TERN_ESTALE);
}

/* Slots are used again at once; a handle from before never reaches the newcomer. */
static void a_handle_after_close_reaches_no_stranger(void **state)
{
	(void)state;
	struct peer p;
	static struct tern_conn old[200];
	bool reused = false;
	peer_open(&p);
	peer_listen(&p);
	for (unsigned i = 0; i < 200; i++) {
		p.port = (uint16_t)(1000 + i);
		peer_connect(&p, i, NULL);
		peer_drain(&p);
		for (unsigned k = 0; k < i; k++) {
			reused = reused || old[k].slot == p.conn.slot;
			all_are_stale(p.stack, old[k]);
		}
		assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
		assert_int_equal(peer_info(&p).unsent, 0);
		old[i] = p.conn;
		if (i % 2)
			tern_tcp_close(p.stack, p.conn); /* lingers in FIN_WAIT_1 */
		else
			tern_tcp_abort(p.stack, p.conn);
		peer_drain(&p);
	}
	assert_true(reused);
	all_are_stale(p.stack, (struct tern_conn){0});
	all_are_stale(p.stack, (struct tern_conn){UINT32_MAX, 1});
	peer_close(&p);
}

static void a_child_cannot_be_touched_before_it_is_accepted(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	struct tcp_segment syn = {.seq = seq(1), .flags = TCP_SYN, .window = 1000};
	peer_send(&p, &syn);
	for (uint32_t slot = 0; slot < 100; slot++)
		for (uint32_t generation = 0; generation < 5; generation++)
			all_are_stale(p.stack, (struct tern_conn){slot, generation});
	peer_close(&p);
}

/* No event is told about what the program has let go. */
static void no_event_follows_a_close(void **state)
{
	(void)state;
	for (unsigned s = TERN_TCP_SYN_SENT; s <= TERN_TCP_TIME_WAIT; s++) {
		struct peer p;
		struct tern_event ev;
		peer_open(&p);
		peer_bring(&p, s);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		assert_int_equal(peer_drain(&p) <= 1, 1);
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		p.ack++;
		peer_fin(&p);
		peer_ignore(&p, 1000 * SEC);
		while (tern_event_next(p.stack, &ev))
			assert_int_equal(ev.kind, TERN_EV_ACCEPT);
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

/* --- abort
 * -------------------------------------------------------------------------------------------- */

/* RFC 9293 3.10.5: who is reset, and with which number. */
static void an_abort_resets_whoever_may_still_send(void **state)
{
	(void)state;
	for (unsigned s = TERN_TCP_SYN_SENT; s <= TERN_TCP_TIME_WAIT; s++) {
		struct peer p;
		peer_open(&p);
		peer_bring(&p, s);
		uint32_t next = peer_info(&p).snd_nxt;
		assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
		bool quiet = s == TERN_TCP_SYN_SENT || s == TERN_TCP_CLOSING ||
			     s == TERN_TCP_LAST_ACK || s == TERN_TCP_TIME_WAIT;
		assert_int_equal(peer_take(&p), !quiet);
		if (!quiet) {
			assert_true(p.last.flags & TCP_RST);
			assert_int_equal(p.last.seq.v, next);
		}
		assert_int_equal(peer_drain(&p), 0);
		assert_int_equal(peer_connections(&p), 0);
		peer_close(&p);
	}
}

static void a_dead_connection_tells_why_until_it_is_closed(void **state)
{
	(void)state;
	struct peer p;
	struct tern_event ev;
	char byte;
	open_plain(&p);
	while (tern_event_next(p.stack, &ev))
		;
	peer_say(&p, TCP_ACK, 0, "unread", 6);
	p.seq += 6;
	peer_say(&p, TCP_RST | TCP_ACK, 0, NULL, 0);
	bool told = false;
	while (tern_event_next(p.stack, &ev))
		if (ev.kind == TERN_EV_ERROR)
			told = ev.error == TERN_ECONNRESET;
	assert_true(told);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tern_tcp_read(p.stack, p.conn, &byte, 1), TERN_ECONNRESET);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, "x", 1), TERN_ECONNRESET);
	}
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), TERN_ESTALE);
	assert_int_equal(peer_connections(&p), 0);
	peer_close(&p);
}

/* Closed and not finished: no more of those than tcp_max_orphans; the next is reset. */
static void orphans_are_limited(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options none = {0};
	peer_open(&p);
	peer_set(&p, "tcp_max_orphans", 2);
	peer_listen(&p);
	for (unsigned i = 0; i < 4; i++) {
		p.port = (uint16_t)(1000 + i);
		peer_connect(&p, 1, &none);
		peer_drain(&p);
		assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
		assert_true(peer_take(&p));
		assert_true(peer_last_is(&p, (i < 2 ? TCP_FIN : TCP_RST) | TCP_ACK));
	}
	assert_int_equal(peer_connections(&p), 2);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPAbortOnMemory), 2);
	/* When those have ended, others may. */
	peer_ignore(&p, 1000 * SEC);
	assert_int_equal(peer_connections(&p), 0);
	p.port = 2000;
	peer_connect(&p, 1, &none);
	peer_drain(&p);
	assert_int_equal(tern_tcp_close(p.stack, p.conn), 0);
	assert_true(peer_take(&p));
	assert_true(peer_last_is(&p, TCP_FIN | TCP_ACK));
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(we_close_first_and_the_peer_follows),
		cmocka_unit_test(the_peer_closes_first_and_we_follow),
		cmocka_unit_test(both_close_at_once),
		cmocka_unit_test(a_close_before_the_syn_is_answered_leaves_nothing),
		cmocka_unit_test(a_close_in_the_middle_of_an_open_still_opens),
		cmocka_unit_test(a_fin_that_is_lost_is_sent_again_until_it_ends),
		cmocka_unit_test(the_peers_fin_again_is_acknowledged_again),
		cmocka_unit_test(data_queued_at_zero_window_still_arrives_after_close),
		cmocka_unit_test(data_queued_before_a_half_close_waits_for_ever),
		cmocka_unit_test(a_closed_connection_at_zero_window_ends),
		cmocka_unit_test(a_close_with_unread_data_resets),
		cmocka_unit_test(data_after_a_close_resets),
		cmocka_unit_test(data_after_a_half_close_is_read),
		cmocka_unit_test(a_let_go_connection_leaves_fin_wait_2_in_time),
		cmocka_unit_test(a_program_that_still_reads_may_stay_in_fin_wait_2),
		cmocka_unit_test(a_half_close_cuts_nothing_off_the_other_way),
		cmocka_unit_test(a_handle_after_close_reaches_no_stranger),
		cmocka_unit_test(a_child_cannot_be_touched_before_it_is_accepted),
		cmocka_unit_test(no_event_follows_a_close),
		cmocka_unit_test(an_abort_resets_whoever_may_still_send),
		cmocka_unit_test(orphans_are_limited),
		cmocka_unit_test(a_dead_connection_tells_why_until_it_is_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
