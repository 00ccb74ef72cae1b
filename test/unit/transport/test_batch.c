/* ACKs that arrive in one batch, before the device asks for frames again, count as they would
 * alone. */
#include "peer.h"

#define MSS 1000

static uint8_t data[200000];

static void open_sending(struct peer *p)
{
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = MSS, .wscale = 7};
	peer_open(p);
	peer_set(p, "tcp_congestion_control", tern_congestion_number("reno"));
	peer_listen(p);
	peer_connect(p, 1, &o);
	peer_drain(p);
	tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, sizeof data);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, sizeof data), sizeof data);
	assert_int_equal(peer_drain(p), 10);
}

static void acknowledge(struct peer *p, uint32_t segments)
{
	for (uint32_t i = 0; i < segments; i++) {
		p->ack += MSS;
		peer_say(p, TCP_ACK, 0, NULL, 0);
	}
}

static struct tern_tcp_info info_of(const struct peer *p)
{
	struct tern_tcp_info info;
	assert_int_equal(tern_tcp_info(p->stack, p->conn, &info), 0);
	return info;
}

static void slow_start_doubles(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p);
	acknowledge(&p, 10);
	assert_int_equal(info_of(&p).cwnd, 20 * MSS);
	assert_int_equal(peer_drain(&p), 20);
	peer_close(&p);
}

static void avoidance_adds_a_segment_a_window(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p);
	acknowledge(&p, 2);
	for (unsigned i = 0; i < 3; i++)
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	peer_drain(&p);
	p.ack += 8 * MSS; /* full: cwnd is ssthresh, half of what was in flight */
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	uint32_t cwnd = info_of(&p).cwnd;
	assert_int_equal(cwnd, 5 * MSS);
	peer_drain(&p);
	acknowledge(&p, 2); /* what limited transmit and recovery added, if anything, and on */
	peer_drain(&p);
	acknowledge(&p, cwnd / MSS);
	assert_true(info_of(&p).cwnd >= cwnd + MSS);
	peer_close(&p);
}

static void a_loss_halves_what_was_in_flight_not_what_a_batch_left(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p);
	acknowledge(&p, 7);
	for (unsigned i = 0; i < 3; i++)
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	/* Ten segments were in flight when we last sent; three are left now. */
	assert_int_equal(info_of(&p).ssthresh, 5 * MSS);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start_doubles),
		cmocka_unit_test(avoidance_adds_a_segment_a_window),
		cmocka_unit_test(a_loss_halves_what_was_in_flight_not_what_a_batch_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
