/* Streams so long that sequence numbers wrap: what was noted early must not come to mean something
 * else. */
#include "peer.h"

static uint8_t block[60000];

/* The stack sends `total` bytes and the peer acknowledges each segment. */
static void send_far(struct peer *p, uint64_t total)
{
	for (uint64_t sent = 0; sent < total;) {
		ptrdiff_t n = tern_tcp_write(p->stack, p->conn, block, sizeof block);
		assert_true(n > 0);
		sent += (uint64_t)n;
		for (ptrdiff_t left = n; left > 0;) {
			assert_true(peer_take(p));
			left -= (ptrdiff_t)p->last.data_len;
			p->ack = p->last.seq.v + p->last.data_len;
			peer_say(p, TCP_ACK, 0, NULL, 0);
		}
	}
}

static void loss_is_mended_fast_however_far_the_stream_has_come(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 7};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	send_far(&p, (UINT64_C(1) << 31) + (UINT64_C(1) << 29));
	assert_true(tern_tcp_write(p.stack, p.conn, block, 20 * 1448) > 0);
	assert_true(peer_drain(&p) >= 5);
	for (unsigned i = 0; i < 3; i++)
		peer_say(&p, TCP_ACK, 0, NULL, 0);
	bool again = false;
	while (peer_take(&p))
		again = again || p.last.seq.v == p.ack;
	assert_true(again);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_TcpExtTCPFastRetrans), 1);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_is_mended_fast_however_far_the_stream_has_come),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
