/* The stream comes round: SND.UNA meets ISS again after 2^32 - 1 bytes. */
#include "peer.h"

static uint8_t block[60000];

static uint8_t text(uint64_t at)
{
	return (uint8_t)(at % 251);
}

static void a_stream_that_comes_round_is_whole(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 7};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	uint32_t iss = p.ack - 1;
	uint64_t got = 0, written = 0;
	bool done = false;
	while (!done) {
		for (size_t i = 0; i < sizeof block; i++)
			block[i] = text(written + i);
		ptrdiff_t n = tern_tcp_write(p.stack, p.conn, block, sizeof block);
		assert_true(n > 0);
		written += (uint64_t)n;
		while (got < written && !done) {
			assert_true(peer_expect(&p, 10 * SEC));
			got += p.last.data_len;
			p.ack = p.last.seq.v + p.last.data_len;
			if ((int32_t)(p.ack - iss) > -100000 && (int32_t)(p.ack - iss) < 0)
				tern_tcp_option_set(p.stack, p.conn, TERN_TCP_NODELAY, 1);
			if (got > UINT32_MAX - 3000u && (int32_t)(p.ack - iss) >= 0) {
				/* the peer has it all, and acknowledges in two steps: at ISS, then
				 * the rest */
				uint32_t all = p.ack;
				p.ack = iss;
				peer_say(&p, TCP_ACK, 0, NULL, 0);
				p.ack = all;
				done = true;
			}
			peer_say(&p, TCP_ACK, 0, NULL, 0);
		}
	}
	peer_drain(&p);
	/* what comes next must be the right bytes */
	for (unsigned k = 0; k < 20 && peer_expect(&p, 5 * SEC); k++) {
		if (p.last.flags & TCP_SYN)
			print_message("a SYN in ESTABLISHED, seq %u = ISS\n", p.last.seq.v);
	}
	for (unsigned i = 0; i < 3000; i++)
		block[i] = text(written + i);
	struct tern_tcp_info info = peer_info(&p);
	const char *wrong = tern_stack_check(p.stack);
	print_message("una-iss %d nxt-iss %d unacked/unsent %u/%u written %llu got %llu check: "
		      "%s\n",
		(int)(peer_tcb(&p)->snd.una.v - iss), (int)(peer_tcb(&p)->snd.nxt.v - iss),
		info.unsent, peer_tcb(&p)->send.len, (unsigned long long)written,
		(unsigned long long)got, wrong ? wrong : "well");
	assert_true(tern_tcp_write(p.stack, p.conn, block, 1000) == 1000);
	bool heard = false;
	for (unsigned k = 0; k < 20 && peer_expect(&p, 5 * SEC); k++)
		if (p.last.data_len) {
			heard = true;
			uint64_t at = (UINT64_C(1) << 32) + (p.last.seq.v - (iss + 1));
			print_message("stream offset %llu: got byte %u, should be %u\n",
				(unsigned long long)at, p.last.data[0], text(at));
			assert_int_equal(p.last.data[0], text(at));
			break;
		}
	assert_true(heard);
	peer_close(&p);
}

/* All of it acknowledged, at ISS: what is written next must go out. */
static void a_stream_that_pauses_at_its_beginning_goes_on(void **state)
{
	(void)state;
	struct peer p;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_WSCALE, .mss = 1460, .wscale = 7};
	peer_open(&p);
	peer_listen(&p);
	peer_connect(&p, 1, &o);
	peer_drain(&p);
	uint64_t total = UINT32_MAX, got = 0, written = 0;
	while (got < total) {
		uint64_t want = total - written < sizeof block ? total - written : sizeof block;
		ptrdiff_t n = tern_tcp_write(p.stack, p.conn, block, (size_t)want);
		assert_true(n >= 0);
		written += (uint64_t)n;
		while (got < written) {
			assert_true(peer_expect(&p, 10 * SEC));
			got += p.last.data_len;
			p.ack = p.last.seq.v + p.last.data_len;
			peer_say(&p, TCP_ACK, 0, NULL, 0);
		}
	}
	peer_drain(&p);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, block, 1000), 1000);
	bool sent = peer_expect(&p, 3600 * SEC);
	const char *wrong = tern_stack_check(p.stack);
	print_message("an hour later: %s; check: %s\n", sent ? "sent" : "nothing sent",
		wrong ? wrong : "well");
	assert_true(sent);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_stream_that_comes_round_is_whole),
		cmocka_unit_test(a_stream_that_pauses_at_its_beginning_goes_on)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
