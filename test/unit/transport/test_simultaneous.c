/*
 * Simultaneous open and close (RFC 9293 figures 8 and 14) in every order that frames can be sent
 * and delivered in, and the handshakes of Beardsley and Qian that come in other pieces. A schedule
 * is a number in base 4: its digits say, step by step, which side sends or receives one frame.
 */
#include "pair.h"
#include "peer.h"

#define STEPS     6
#define SCHEDULES (1u << 2 * STEPS)

static struct pair t;

static void step(unsigned digit)
{
	if (digit < 2)
		pair_collect_side(&t, digit);
	else
		pair_deliver(&t, digit - 2);
}

static void play(uint32_t schedule)
{
	for (unsigned i = 0; i < STEPS; i++)
		step(schedule >> 2 * i & 3);
}

static void dial(unsigned k)
{
	struct tern_connect_opts opts = {
		.local = {t.side[k].addr, (uint16_t)(1000 + k)},
		.remote = {t.side[!k].addr, (uint16_t)(1000 + !k)},
	};
	assert_int_equal(tern_tcp_connect(t.side[k].stack, &opts, &t.side[k].conn), 0);
}

static void both_dial(void)
{
	const struct pair_setup usual = {0};
	pair_open(&t, &usual);
	dial(0);
	dial(1);
}

/* Text both ways, whole. */
static void talk(void)
{
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(tern_tcp_write(t.side[k].stack, t.side[k].conn, k ? "one" : "zero",
					 4 - k),
			4 - k);
	pair_run(&t, SEC);
	for (unsigned k = 0; k < 2; k++) {
		char got[8];
		assert_int_equal(tern_tcp_read(t.side[k].stack, t.side[k].conn, got, 8), 3 + k);
		assert_memory_equal(got, k ? "zero" : "one", 3 + k);
	}
}

/* Our SYN has waited so long for its device that there is no side block any more. */
static void a_syn_meets_one_that_was_never_pulled(void **state)
{
	(void)state;
	const struct pair_setup usual = {0};
	pair_open(&t, &usual);
	dial(0);
	tern_tcp_option_set(t.side[0].stack, t.side[0].conn, TERN_TCP_NOTSENT_LOWAT, 0);
	for (unsigned i = 0; i < 10; i++) {
		t.now += 60 * SEC;
		tern_input(t.side[0].stack, t.side[0].nif, NULL, 0, t.now);
	}
	dial(1);
	assert_true(pair_collect_side(&t, 1));
	assert_true(pair_deliver(&t, 0));
	pair_run(&t, SEC);
	assert_int_equal(pair_state(&t, 0), TERN_TCP_ESTABLISHED);
	pair_close(&t);
}

static void the_same_connection(void)
{
	struct tern_tcp_info a = pair_info(&t, 0), b = pair_info(&t, 1);
	assert_int_equal(a.state, TERN_TCP_ESTABLISHED);
	assert_int_equal(b.state, TERN_TCP_ESTABLISHED);
	assert_int_equal(a.iss, b.irs);
	assert_int_equal(b.iss, a.irs);
	assert_int_equal(pair_connections(&t, 0), 1);
	assert_int_equal(pair_connections(&t, 1), 1);
	assert_int_equal(a.timestamps && b.timestamps, true);
	assert_int_equal(a.snd_wscale, b.rcv_wscale);
	assert_int_equal(b.snd_wscale, a.rcv_wscale);
}

/* MUST-10. */
static void every_interleaving_of_two_opens_makes_one_connection(void **state)
{
	(void)state;
	for (uint32_t schedule = 0; schedule < SCHEDULES; schedule++) {
		both_dial();
		play(schedule);
		pair_run(&t, SEC / 2); /* before any timeout: nothing was lost */
		the_same_connection();
		assert_int_equal(tern_counter(t.side[0].stack, TERN_COUNT_TcpOutRsts), 0);
		assert_int_equal(tern_counter(t.side[1].stack, TERN_COUNT_TcpOutRsts), 0);
		if (schedule % 16 == 0)
			talk();
		pair_close(&t);
	}
}

/* The same with one frame lost, whichever it is: sending again mends it. */
static void a_frame_lost_in_the_middle_of_two_opens_costs_time_only(void **state)
{
	(void)state;
	for (uint32_t schedule = 0; schedule < SCHEDULES; schedule += 3) {
		both_dial();
		play(schedule);
		pair_collect(&t);
		pair_drop(&t, schedule % 2);
		pair_run(&t, 20 * SEC);
		the_same_connection();
		talk();
		pair_close(&t);
	}
}

static void both_are_gone(unsigned k, unsigned *waiting)
{
	enum tern_tcp_state s = pair_state(&t, k);
	assert_true(s == TERN_TCP_CLOSED || s == TERN_TCP_TIME_WAIT);
	*waiting += s == TERN_TCP_TIME_WAIT;
	assert_int_equal(pair_info(&t, k).error, 0);
}

static void every_interleaving_of_two_closes_ends_in_good_order(void **state)
{
	(void)state;
	unsigned closing = 0;
	for (uint32_t schedule = 0; schedule < SCHEDULES; schedule++) {
		unsigned waiting = 0;
		const struct pair_setup usual = {0};
		pair_open(&t, &usual);
		pair_connect(&t);
		/* Text goes along every other time. */
		for (unsigned k = 0; k < 2 && schedule & 4; k++)
			tern_tcp_write(t.side[k].stack, t.side[k].conn, "bye", 3);
		for (unsigned k = 0; k < 2; k++)
			assert_int_equal(tern_tcp_shutdown(t.side[k].stack, t.side[k].conn), 0);
		play(schedule);
		pair_run(&t, SEC / 10);
		both_are_gone(0, &waiting);
		both_are_gone(1, &waiting);
		assert_true(waiting >= 1);
		closing += waiting == 2;
		pair_run(&t, 100 * SEC);
		for (unsigned k = 0; k < 2; k++) {
			char got[8];
			assert_int_equal(pair_state(&t, k), TERN_TCP_CLOSED);
			assert_int_equal(tern_tcp_read(t.side[k].stack, t.side[k].conn, got, 8),
				schedule & 4 ? 3 : 0);
			assert_int_equal(tern_tcp_read(t.side[k].stack, t.side[k].conn, got, 8), 0);
		}
		pair_close(&t);
	}
	assert_true(closing > SCHEDULES / 4);
}

static void a_frame_lost_in_the_middle_of_two_closes_costs_time_only(void **state)
{
	(void)state;
	for (uint32_t schedule = 0; schedule < SCHEDULES; schedule += 3) {
		unsigned waiting = 0;
		const struct pair_setup usual = {0};
		pair_open(&t, &usual);
		pair_connect(&t);
		tern_tcp_shutdown(t.side[0].stack, t.side[0].conn);
		tern_tcp_shutdown(t.side[1].stack, t.side[1].conn);
		play(schedule);
		pair_collect(&t);
		pair_drop(&t, schedule % 2);
		pair_run(&t, 20 * SEC);
		both_are_gone(0, &waiting);
		both_are_gone(1, &waiting);
		pair_close(&t);
	}
}

/* --- other handshakes
 * ------------------------------------------------------------------------------ */

static void say(struct peer *p, uint16_t flags, uint32_t at)
{
	struct tcp_segment s = {.seq = seq(at), .flags = flags, .window = 65535};
	if (flags & TCP_ACK)
		s.ack = seq(p->ack);
	peer_send(p, &s);
}

static void is_established(struct peer *p)
{
	assert_int_equal(peer_state(p), TERN_TCP_ESTABLISHED);
	struct tern_tcp_info info = peer_info(p);
	assert_int_equal(info.irs, 7000);
	assert_int_equal(info.iss, p->ack - 1);
	assert_int_equal(info.snd_una, p->ack);
	assert_int_equal(info.rcv_nxt, 7001);
	p->seq = 7001;
	peer_drain(p);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, "hello", 5), 5);
	assert_int_equal(peer_drain(p), 1);
	assert_memory_equal(p->last.data, "hello", 5);
	peer_say(p, TCP_ACK, 0, "world", 5);
	char got[8];
	assert_int_equal(tern_tcp_read(p->stack, p->conn, got, 8), 5);
	peer_close(p);
}

/* Four pieces: the peer answers our SYN with a SYN of its own. */
static void a_syn_answered_by_a_syn_opens(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	say(&p, TCP_SYN, 7000);
	assert_int_equal(peer_state(&p), TERN_TCP_SYN_RECEIVED);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(p.last.seq.v, p.ack - 1);
	assert_int_equal(p.last.ack.v, 7001);
	say(&p, TCP_ACK, 7001);
	is_established(&p);
}

/* Five pieces, the split handshake: a bare ACK first, then a SYN. */
static void a_syn_answered_by_an_ack_and_then_a_syn_opens(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	say(&p, TCP_ACK, 6999);
	assert_int_equal(peer_state(&p), TERN_TCP_SYN_SENT);
	assert_int_equal(peer_drain(&p), 0);
	say(&p, TCP_SYN, 7000);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.flags, TCP_SYN | TCP_ACK);
	say(&p, TCP_ACK, 7001);
	is_established(&p);
}

/* As in figure 8: our SYN-ACK is answered by the peer's. */
static void a_syn_and_then_a_syn_ack_open(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_dial(&p);
	say(&p, TCP_SYN, 7000);
	assert_true(peer_take(&p));
	say(&p, TCP_SYN | TCP_ACK, 7000);
	is_established(&p);
}

/* All pieces, each up to twice, in every order: once all have come, the state is the same. */
static void handshakes_in_any_pieces_end_alike(void **state)
{
	(void)state;
	for (uint32_t order = 0; order < 4096; order++) {
		struct peer p;
		bool syn = false, acked = false;
		peer_open(&p);
		peer_dial(&p);
		for (unsigned i = 0; i < 6; i++) {
			switch (order >> 2 * i & 3) {
			case 0:
				say(&p, TCP_SYN, 7000);
				syn = true;
				break;
			case 1: /* counts only once the SYN is here */
				say(&p, TCP_ACK, 7001);
				acked = acked || syn;
				break;
			case 2:
				say(&p, TCP_SYN | TCP_ACK, 7000);
				syn = acked = true;
				break;
			case 3:
				peer_drain(&p);
				break;
			}
			/* From SYN_SENT an ACK beyond what was sent would reset; ours never was. */
			while (peer_take(&p))
				assert_false(p.last.flags & TCP_RST);
		}
		enum tern_tcp_state want = acked ? TERN_TCP_ESTABLISHED
					   : syn ? TERN_TCP_SYN_RECEIVED
						 : TERN_TCP_SYN_SENT;
		assert_int_equal(peer_state(&p), want);
		if (!syn)
			say(&p, TCP_SYN, 7000);
		if (!acked)
			say(&p, TCP_ACK, 7001);
		is_established(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_meets_one_that_was_never_pulled),
		cmocka_unit_test(every_interleaving_of_two_opens_makes_one_connection),
		cmocka_unit_test(a_frame_lost_in_the_middle_of_two_opens_costs_time_only),
		cmocka_unit_test(every_interleaving_of_two_closes_ends_in_good_order),
		cmocka_unit_test(a_frame_lost_in_the_middle_of_two_closes_costs_time_only),
		cmocka_unit_test(a_syn_answered_by_a_syn_opens),
		cmocka_unit_test(a_syn_answered_by_an_ack_and_then_a_syn_opens),
		cmocka_unit_test(a_syn_and_then_a_syn_ack_open),
		cmocka_unit_test(handshakes_in_any_pieces_end_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
