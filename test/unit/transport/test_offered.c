/* What a listener's SYN-ACKs offered is not taken back when its buffer becomes smaller, and whoever
 * comes later is offered no more than there is. */
#include "peer.h"

static const uint8_t text[2000];

static void open_half(struct peer *p)
{
	peer_open(p);
	peer_listen(p);
	peer_half(p, 41000, NULL);
	assert_int_equal(p->last.window, 65535);
}

static void shrink(struct peer *p, int64_t bytes)
{
	assert_int_equal(tern_tcp_listen_option_set(p->stack, p->listener, TERN_TCP_RCVBUF, bytes),
		0);
}

static uint32_t accepted_window(struct peer *p)
{
	assert_int_equal(tern_tcp_accept(p->stack, p->listener, &p->conn), 0);
	return peer_info(p).rcv_wnd;
}

/* SHLD-14. */
static void what_was_offered_stays_open(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	shrink(&p, 2304);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(accepted_window(&p), 65535);
	peer_close(&p);
}

static void text_before_the_ack_is_taken(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	shrink(&p, 2304);
	peer_say(&p, TCP_ACK, 5000, text, 1000);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_OUT_OF_WINDOW), 0);
	assert_int_equal(accepted_window(&p), 65535);
	peer_close(&p);
}

static void who_comes_later_is_offered_what_there_is(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p); /* a stranger's, never completed */
	shrink(&p, 2304);
	p.port = 41001;
	peer_connect(&p, 9000, NULL);
	assert_int_equal(peer_info(&p).rcv_wnd, 2304);
	tern_tcp_write(p.stack, p.conn, "x", 1);
	while (peer_take(&p))
		assert_true(p.last.window <= 2304);
	peer_close(&p);
}

/* Each has what the other was told, which is more. */
static void made_smaller_twice(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	shrink(&p, 30000);
	peer_ignore(&p, 100 * SEC);
	peer_half(&p, 41001, NULL);
	assert_int_equal(p.last.window, 30000);
	shrink(&p, 2304);
	peer_ignore(&p, 29 * SEC);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_in_range(accepted_window(&p), 30000, 65535);
	peer_close(&p);
}

static void a_setting_may_make_it_smaller(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	peer_set(&p, "tcp_rmem_default", 4096);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(accepted_window(&p), 65535);
	peer_close(&p);
}

static void data_may_take_its_time(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	assert_int_equal(tern_tcp_listen_option_set(p.stack, p.listener, TERN_TCP_DEFER_ACCEPT,
				 600),
		0);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	shrink(&p, 2304);
	peer_ignore(&p, 200 * SEC);
	peer_say(&p, TCP_ACK, 0, text, 1460);
	assert_int_equal(accepted_window(&p), 65535 - 1460);
	peer_close(&p);
}

/* Once none is left that was told it, the larger window is forgotten. */
static void it_is_forgotten_with_the_last(void **state)
{
	(void)state;
	struct peer p;
	open_half(&p);
	shrink(&p, 30000);
	peer_ignore(&p, 300 * SEC);
	peer_half(&p, 41001, NULL);
	shrink(&p, 2304);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(accepted_window(&p), 30000);
	peer_close(&p);
}

static void a_cookie_does_not_take_it_back(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_set(&p, "tcp_syncookies", 2);
	peer_listen(&p);
	peer_half(&p, 41000, NULL);
	assert_int_equal(p.last.window, 65535);
	peer_set(&p, "tcp_rmem_default", 4096);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(accepted_window(&p), 65535);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_offered_stays_open),
		cmocka_unit_test(text_before_the_ack_is_taken),
		cmocka_unit_test(who_comes_later_is_offered_what_there_is),
		cmocka_unit_test(made_smaller_twice),
		cmocka_unit_test(a_setting_may_make_it_smaller),
		cmocka_unit_test(data_may_take_its_time),
		cmocka_unit_test(it_is_forgotten_with_the_last),
		cmocka_unit_test(a_cookie_does_not_take_it_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
