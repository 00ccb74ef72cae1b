/* Options that few set: kept in the side block, however quiet the connection; and those of a
 * listener. */
#include "peer.h"

static const struct tcp_options plain = {.has = TCP_OPT_MSS, .mss = 1000};

static void connected(struct peer *p)
{
	peer_open(p);
	peer_listen(p);
	peer_connect(p, 5000, &plain);
}

static int set(struct peer *p, enum tern_tcp_option option, int64_t value)
{
	return tern_tcp_option_set(p->stack, p->conn, option, value);
}

static int64_t get(struct peer *p, enum tern_tcp_option option)
{
	int64_t value = -2;
	assert_int_equal(tern_tcp_option_get(p->stack, p->conn, option, &value), 0);
	return value;
}

static void what_is_chosen_outlasts_the_quiet(void **state)
{
	(void)state;
	static const struct {
		enum tern_tcp_option option;
		int64_t value, otherwise;
	} rare[] = {{TERN_TCP_LINGER2, 7, 60}, {TERN_TCP_SYNCNT, 3, 6},
		{TERN_TCP_DEFER_ACCEPT, 7, 0}, {TERN_TCP_WINDOW_CLAMP, 5000, 0},
		{TERN_TCP_NOTSENT_LOWAT, 4000, 0}};
	for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
		struct peer p;
		connected(&p);
		assert_int_equal(get(&p, rare[i].option), rare[i].otherwise);
		assert_int_equal(set(&p, rare[i].option, rare[i].value), 0);
		peer_ignore(&p, 60 * SEC);
		assert_non_null(peer_tcb(&p)->side);
		assert_int_equal(get(&p, rare[i].option), rare[i].value);
		/* Nothing chosen any more, nothing is kept. */
		assert_int_equal(set(&p, rare[i].option, 0), 0);
		assert_int_equal(get(&p, rare[i].option), rare[i].otherwise);
		peer_ignore(&p, 60 * SEC);
		assert_null(peer_tcb(&p)->side);
		peer_close(&p);
	}
}

static void what_is_out_of_range_is_refused(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	assert_int_equal(set(&p, TERN_TCP_LINGER2, -2), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_LINGER2, 121), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_SYNCNT, 128), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_SYNCNT, -1), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_WINDOW_CLAMP, -1), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, -1), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, INT64_C(1) << 32), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_WINDOW_CLAMP, 1), 0);
	assert_int_equal(get(&p, TERN_TCP_WINDOW_CLAMP), 1152);
	peer_close(&p);
}

static int listen_set(struct peer *p, enum tern_tcp_option option, int64_t value)
{
	return tern_tcp_listen_option_set(p->stack, p->listener, option, value);
}

static int64_t listen_get(struct peer *p, enum tern_tcp_option option)
{
	int64_t value = -2;
	assert_int_equal(tern_tcp_listen_option_get(p->stack, p->listener, option, &value), 0);
	return value;
}

static void a_listener_has_options_of_its_own(void **state)
{
	(void)state;
	struct peer p;
	int64_t value;
	peer_open(&p);
	peer_listen(&p);
	assert_int_equal(listen_get(&p, TERN_TCP_SYNCNT), 5);
	assert_int_equal(listen_set(&p, TERN_TCP_SYNCNT, 2), 0);
	assert_int_equal(listen_get(&p, TERN_TCP_SYNCNT), 2);
	assert_int_equal(listen_set(&p, TERN_TCP_MAXSEG, 87), TERN_ERANGE);
	assert_int_equal(listen_set(&p, TERN_TCP_MAXSEG, 700), 0);
	assert_int_equal(listen_get(&p, TERN_TCP_MAXSEG), 700);
	assert_int_equal(listen_set(&p, TERN_TCP_WINDOW_CLAMP, 3000), 0);
	assert_int_equal(listen_get(&p, TERN_TCP_WINDOW_CLAMP), 3000);
	/* SYN-ACKs would be sent again after 1, 3, 7 ... s. */
	static const int64_t seconds[][2] = {{0, 0}, {1, 1}, {2, 3}, {3, 3}, {4, 7}, {8, 15}};
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		assert_int_equal(listen_set(&p, TERN_TCP_DEFER_ACCEPT, seconds[i][0]), 0);
		assert_int_equal(listen_get(&p, TERN_TCP_DEFER_ACCEPT), seconds[i][1]);
	}
	assert_int_equal(listen_set(&p, TERN_TCP_DEFER_ACCEPT, -1), TERN_ERANGE);
	assert_int_equal(listen_set(&p, TERN_TCP_NODELAY, 1), TERN_EINVAL);
	assert_int_equal(tern_tcp_listen_option_get(p.stack, p.listener, TERN_TCP_NODELAY, &value),
		TERN_EINVAL);
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	assert_int_equal(listen_set(&p, TERN_TCP_SYNCNT, 2), TERN_ESTALE);
	peer_close(&p);
}

/* MUST-48. */
static void a_connection_that_marks_its_packets_needs_no_side_block(void **state)
{
	(void)state;
	struct peer p;
	connected(&p);
	assert_int_equal(get(&p, TERN_TCP_TOS), 0);
	assert_int_equal(set(&p, TERN_TCP_TOS, 256), TERN_ERANGE);
	assert_int_equal(set(&p, TERN_TCP_TOS, 255), 0);
	assert_int_equal(get(&p, TERN_TCP_TOS), 252);
	peer_ignore(&p, 60 * SEC);
	assert_null(peer_tcb(&p)->side);
	assert_int_equal(get(&p, TERN_TCP_TOS), 252);
	peer_close(&p);
}

static void connections_mark_their_packets_as_their_listener(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	assert_int_equal(listen_set(&p, TERN_TCP_TOS, 256), TERN_ERANGE);
	assert_int_equal(listen_set(&p, TERN_TCP_TOS, 185), 0);
	assert_int_equal(listen_get(&p, TERN_TCP_TOS), 184);
	peer_connect(&p, 5000, &plain);
	assert_int_equal(get(&p, TERN_TCP_TOS), 184);
	peer_close(&p);
}

static unsigned count_events(struct peer *p, enum tern_event_kind kind)
{
	unsigned n = 0;
	for (struct tern_event ev; tern_event_next(p->stack, &ev);)
		n += ev.kind == kind;
	return n;
}

static void what_is_sent_makes_room_under_a_low_mark(void **state)
{
	(void)state;
	static char data[20000];
	struct peer p;
	connected(&p);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, 1), 0);
	count_events(&p, TERN_EV_WRITABLE);
	/* A whole segment may be filled, however low the mark. */
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 1000);
	assert_int_equal(peer_info(&p).send_room, 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), TERN_EAGAIN);
	struct tern_span span;
	assert_int_equal(tern_tcp_room(p.stack, p.conn, sizeof data, &span, 1), 0);
	assert_int_equal(count_events(&p, TERN_EV_WRITABLE), 0);
	assert_true(peer_take(&p));
	assert_int_equal(count_events(&p, TERN_EV_WRITABLE), 1);
	assert_int_equal(peer_info(&p).send_room, 1000);
	/* The mark removed, the buffer alone counts; so it does by the setting. */
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, 0), 0);
	assert_true(peer_info(&p).send_room > 20000);
	peer_set(&p, "tcp_notsent_lowat", 3000);
	assert_int_equal(peer_info(&p).send_room, 3000);
	peer_close(&p);
}

/* Unsigned, as in Linux: its largest value takes the setting's place and limits nothing. */
static void the_highest_mark_is_none(void **state)
{
	(void)state;
	static char data[20000];
	struct peer p;
	connected(&p);
	peer_set(&p, "tcp_notsent_lowat", 3000);
	uint32_t low = peer_info(&p).send_room;
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, UINT32_MAX), 0);
	assert_int_equal(get(&p, TERN_TCP_NOTSENT_LOWAT), UINT32_MAX);
	assert_true(peer_info(&p).send_room > low + sizeof data);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), sizeof data);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, INT64_C(1) << 31), 0);
	assert_int_equal(get(&p, TERN_TCP_NOTSENT_LOWAT), INT64_C(1) << 31);
	peer_close(&p);
}

static void a_mark_that_is_raised_makes_room_at_once(void **state)
{
	(void)state;
	static char data[20000];
	struct peer p;
	connected(&p);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, 2000), 0);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, sizeof data), 2000);
	count_events(&p, TERN_EV_WRITABLE);
	assert_int_equal(set(&p, TERN_TCP_NOTSENT_LOWAT, 10000), 0);
	assert_int_equal(count_events(&p, TERN_EV_WRITABLE), 1);
	peer_close(&p);
}

/* A SYN, its answer, and an ACK without data. */
static void shake(struct peer *p)
{
	struct tcp_segment syn = {.seq = seq(5000), .flags = TCP_SYN, .window = 65535};
	peer_send(p, &syn);
	assert_true(peer_take(p));
	p->seq = 5001;
	p->ack = p->last.seq.v + 1;
	peer_wait(p, 100 * MSEC);
	peer_say(p, TCP_ACK, 0, NULL, 0);
}

static void a_deferred_handshake_costs_no_connection(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	assert_int_equal(listen_set(&p, TERN_TCP_DEFER_ACCEPT, 5), 0);
	shake(&p);
	assert_int_equal(tern_stack_tcp(p.stack)->tcbs.live, 0);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_DEFER_ACCEPT), 1);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), TERN_EAGAIN);
	assert_null(tern_stack_check(p.stack));
	assert_int_equal(peer_drain(&p), 0);
	peer_wait(&p, 3 * SEC);
	assert_int_equal(peer_drain(&p), 0); /* and no SYN-ACK again */
	peer_say(&p, TCP_ACK | TCP_PSH, 0, "hello", 5);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	/* The wait for data says nothing about the path. */
	assert_int_equal(peer_info(&p).rtt_us, 0);
	char data[8];
	assert_int_equal(tern_tcp_read(p.stack, p.conn, data, sizeof data), 5);
	peer_close(&p);
}

static void deferred_handshakes_end_with_their_listener(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	assert_int_equal(listen_set(&p, TERN_TCP_DEFER_ACCEPT, 100), 0);
	shake(&p);
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	assert_true(peer_take(&p));
	assert_true(peer_last_is(&p, TCP_RST | TCP_ACK));
	peer_close(&p);
}

static void a_fin_alone_is_not_waited_beyond(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_listen(&p);
	assert_int_equal(listen_set(&p, TERN_TCP_DEFER_ACCEPT, 5), 0);
	shake(&p);
	peer_fin(&p);
	assert_int_equal(tern_tcp_accept(p.stack, p.listener, &p.conn), 0);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSE_WAIT);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_chosen_outlasts_the_quiet),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(a_listener_has_options_of_its_own),
		cmocka_unit_test(a_connection_that_marks_its_packets_needs_no_side_block),
		cmocka_unit_test(connections_mark_their_packets_as_their_listener),
		cmocka_unit_test(what_is_sent_makes_room_under_a_low_mark),
		cmocka_unit_test(the_highest_mark_is_none),
		cmocka_unit_test(a_mark_that_is_raised_makes_room_at_once),
		cmocka_unit_test(a_deferred_handshake_costs_no_connection),
		cmocka_unit_test(deferred_handshakes_end_with_their_listener),
		cmocka_unit_test(a_fin_alone_is_not_waited_beyond),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
