/* ECN (RFC 3168): who agrees to it, which packets carry ECT, and what a mark leads to. */
#include "peer.h"

#define MSS     1000u
#define BOTH    (TCP_ECE | TCP_CWR)
#define CONTROL (TCP_SYN | TCP_ACK | TCP_ECE | TCP_CWR)

static uint8_t data[200 * MSS];

static const struct tcp_options with_mss = {.has = TCP_OPT_MSS, .mss = MSS};

static void open_as(struct peer *p, int64_t ecn)
{
	peer_open(p);
	peer_set(p, "tcp_ecn", ecn);
	peer_set(p, "tcp_congestion_control", tern_congestion_number("reno"));
}

/* The peer opens with these flags beside SYN; returns those of the SYN-ACK. */
static uint16_t syn(struct peer *p, uint16_t flags)
{
	struct tcp_segment s = {.seq = seq(7000),
		.flags = TCP_SYN | flags,
		.window = UINT16_MAX,
		.options = with_mss};
	peer_send(p, &s);
	assert_true(peer_take(p));
	assert_int_equal(p->last_tos & ECN_MASK, ECN_NOT_ECT);
	p->seq = 7001;
	p->ack = p->last.seq.v + 1;
	return p->last.flags & CONTROL;
}

static void accept_it(struct peer *p)
{
	peer_say(p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(tern_tcp_accept(p->stack, p->listener, &p->conn), 0);
}

/* A connection with ECN, with so much written. */
static void open_sending(struct peer *p, uint32_t segments)
{
	open_as(p, 2);
	peer_listen(p);
	assert_int_equal(syn(p, BOTH), TCP_SYN | TCP_ACK | TCP_ECE);
	accept_it(p);
	tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, sizeof data);
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, segments * MSS), segments * MSS);
}

static void write_some(struct peer *p, uint32_t segments)
{
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, segments * MSS), segments * MSS);
	assert_int_equal(peer_drain(p), segments);
}

/* algorithm: by its number. */
static void open_with_sack_and(struct peer *p, int64_t algorithm)
{
	struct tcp_segment s = {.seq = seq(7000),
		.flags = TCP_SYN | BOTH,
		.window = UINT16_MAX,
		.options = with_mss};
	s.options.has |= TCP_OPT_SACK_OK;
	open_as(p, 2);
	peer_set(p, "tcp_congestion_control", algorithm);
	peer_listen(p);
	peer_send(p, &s);
	assert_true(peer_take(p));
	p->seq = 7001;
	p->ack = p->last.seq.v + 1;
	accept_it(p);
	tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, sizeof data);
}

static void open_with_sack(struct peer *p)
{
	open_with_sack_and(p, tern_congestion_number("reno"));
	assert_int_equal(tern_tcp_write(p->stack, p->conn, data, 60 * MSS), 60 * MSS);
}

/* Takes the next segment; its flags. */
static uint16_t take(struct peer *p)
{
	assert_true(peer_take(p));
	return p->last.flags & BOTH;
}

static uint8_t taken_ecn(const struct peer *p)
{
	return p->last_tos & ECN_MASK;
}

static void ack(struct peer *p, uint16_t flags, uint32_t segments)
{
	p->ack += segments * MSS;
	peer_say(p, TCP_ACK | flags, 0, NULL, 0);
}

/* RFC 3168 6.1.1: only an ECN-setup SYN is answered with an ECN-setup SYN-ACK. */
static void a_listener_agrees_to_what_it_may(void **state)
{
	(void)state;
	static const struct {
		int64_t set;
		uint16_t flags;
		bool agreed;
	} cases[] = {{0, BOTH, false}, {1, BOTH, true}, {2, BOTH, true}, {2, 0, false},
		{2, TCP_ECE, false}, {2, TCP_CWR, false}, {2, BOTH | TCP_AE, true}};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct peer p;
		open_as(&p, cases[i].set);
		peer_listen(&p);
		uint16_t flags = syn(&p, cases[i].flags);
		assert_int_equal(flags, TCP_SYN | TCP_ACK | (cases[i].agreed ? TCP_ECE : 0));
		accept_it(&p);
		assert_int_equal(peer_info(&p).ecn, cases[i].agreed);
		assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 1), 1);
		assert_int_equal(take(&p), 0);
		assert_int_equal(taken_ecn(&p), cases[i].agreed ? ECN_ECT0 : ECN_NOT_ECT);
		peer_close(&p);
	}
}

static void an_open_offers_it_if_asked_to(void **state)
{
	(void)state;
	static const struct {
		int64_t set;
		uint16_t offered, answer;
		bool agreed;
	} cases[] = {{2, 0, 0, false}, {0, 0, TCP_ECE, false}, {2, 0, TCP_ECE, false},
		{1, BOTH, TCP_ECE, true}, {1, BOTH, 0, false},
		{1, BOTH, BOTH, false}}; /* the last: who reflects the bits knows nothing of them */
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct peer p;
		struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
		open_as(&p, cases[i].set);
		assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.flags, TCP_SYN | cases[i].offered);
		assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
		p.stack_port = p.last.src_port;
		struct tcp_segment s = {.seq = seq(1),
			.ack = seq_add(p.last.seq, 1),
			.flags = TCP_SYN | TCP_ACK | cases[i].answer,
			.window = UINT16_MAX};
		peer_send(&p, &s);
		assert_int_equal(take(&p), 0);
		assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
		assert_int_equal(peer_info(&p).ecn, cases[i].agreed);
		peer_close(&p);
	}
}

/* RFC 3168 6.1.1.1: perhaps something on the way drops SYNs with these bits. */
static void a_syn_without_an_answer_goes_again_without(void **state)
{
	(void)state;
	struct peer p;
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
	open_as(&p, 1);
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), 0);
	assert_int_equal(take(&p), BOTH);
	assert_true(peer_expect(&p, 2 * SEC));
	assert_int_equal(p.last.flags, TCP_SYN);
	p.stack_port = p.last.src_port;
	struct tcp_segment s = {.seq = seq(1),
		.ack = seq_add(p.last.seq, 1),
		.flags = TCP_SYN | TCP_ACK | TCP_ECE,
		.window = UINT16_MAX};
	peer_send(&p, &s);
	assert_false(peer_info(&p).ecn);
	peer_close(&p);
}

/* And a listener that hears such a one after the first agrees no more. */
static void a_peer_that_thinks_again_is_heard(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, 2);
	peer_listen(&p);
	assert_int_equal(syn(&p, BOTH), TCP_SYN | TCP_ACK | TCP_ECE);
	assert_int_equal(syn(&p, 0), TCP_SYN | TCP_ACK);
	accept_it(&p);
	assert_false(peer_info(&p).ecn);
	peer_close(&p);
}

/* RFC 3168 6.1.4, 6.1.5. */
static void only_new_text_is_ecn_capable(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 4);
	for (unsigned i = 0; i < 4; i++) {
		take(&p);
		assert_int_equal(taken_ecn(&p), ECN_ECT0);
	}
	assert_true(peer_expect(&p, 2 * SEC)); /* again */
	assert_int_equal(p.last.data_len, MSS);
	assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
	ack(&p, 0, 4);
	peer_drain(&p);
	peer_say(&p, TCP_ACK, 0, data, 1);
	take(&p); /* an ACK */
	assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
	tern_tcp_shutdown(p.stack, p.conn);
	assert_true(peer_take(&p));
	assert_true(p.last.flags & TCP_FIN);
	assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
	peer_close(&p);
}

/* RFC 3168 6.1.3. */
static void a_mark_is_echoed_until_the_peer_has_reduced(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 0);
	uint32_t at = 0;
	p.tos = ECN_ECT0;
	peer_say(&p, TCP_ACK, at++, data, 1);
	assert_int_equal(take(&p), 0);
	p.tos = ECN_CE;
	peer_say(&p, TCP_ACK, at++, data, 1);
	assert_int_equal(take(&p), TCP_ECE);
	p.tos = ECN_ECT0;
	for (unsigned i = 0; i < 3; i++) {
		peer_say(&p, TCP_ACK, at++, data, 1);
		assert_int_equal(take(&p), TCP_ECE);
	}
	/* Text of ours acknowledges, too. */
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 1), 1);
	assert_int_equal(take(&p), TCP_ECE);
	/* An ACK alone, and what came before, answer nothing. */
	peer_say(&p, TCP_ACK | TCP_CWR, at, NULL, 0);
	peer_say(&p, TCP_ACK | TCP_CWR, at - 1, data, 1);
	assert_int_equal(take(&p), TCP_ECE);
	peer_say(&p, TCP_ACK | TCP_CWR, at++, data, 1);
	assert_int_equal(take(&p), 0);
	/* It has reduced, and still there is congestion. */
	p.tos = ECN_CE;
	peer_say(&p, TCP_ACK | TCP_CWR, at++, data, 1);
	assert_int_equal(take(&p), TCP_ECE);
	assert_int_equal(tern_counter(p.stack, TERN_COUNT_IpExtInCEPkts), 2);
	peer_close(&p);
}

static void without_agreement_marks_mean_nothing(void **state)
{
	(void)state;
	struct peer p;
	open_as(&p, 2);
	peer_listen(&p);
	syn(&p, 0);
	accept_it(&p);
	p.tos = ECN_CE;
	peer_say(&p, TCP_ACK, 0, data, 1);
	assert_int_equal(take(&p), 0);
	p.seq++;
	assert_int_equal(tern_tcp_write(p.stack, p.conn, data, 10 * MSS), 10 * MSS);
	peer_drain(&p);
	uint32_t cwnd = peer_info(&p).cwnd;
	ack(&p, TCP_ECE, 1);
	assert_true(peer_info(&p).cwnd >= cwnd);
	peer_close(&p);
}

/* RFC 3168 6.1.2: as for a loss, once for all that was in flight, and the first new text says so.
 */
static void an_echo_reduces_the_window_once(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 60);
	assert_int_equal(peer_drain(&p), 10);
	ack(&p, TCP_ECE, 1);
	struct tern_tcp_info info = peer_info(&p);
	assert_int_equal(info.ssthresh, 5 * MSS);
	assert_int_equal(info.cwnd, 5 * MSS);
	assert_int_equal(info.retransmits, 0);
	/* Nine in flight: nothing new yet, and the same echo changes nothing. */
	for (unsigned i = 0; i < 4; i++)
		ack(&p, TCP_ECE, 1);
	assert_int_equal(peer_info(&p).cwnd, 5 * MSS);
	assert_false(peer_take(&p));
	ack(&p, TCP_ECE, 1);
	assert_int_equal(take(&p), TCP_CWR);
	assert_int_equal(taken_ecn(&p), ECN_ECT0);
	ack(&p, TCP_ECE, 1);
	assert_int_equal(take(&p), 0);
	ack(&p, TCP_ECE, 3); /* all that was in flight then; the CWR is not there yet */
	assert_int_equal(peer_info(&p).cwnd, 5 * MSS);
	assert_int_equal(peer_drain(&p), 3);
	/* What was sent after that was marked, too. */
	ack(&p, TCP_ECE, 2);
	assert_true(peer_info(&p).cwnd < 5 * MSS);
	assert_int_equal(peer_info(&p).retransmits, 0);
	peer_close(&p);
}

/* With a scoreboard the window goes down as for a loss: in proportion to what is delivered (RFC
 * 9937), and is ssthresh when all that was in flight is acknowledged. */
static void with_sack_an_echo_lowers_the_window_step_by_step(void **state)
{
	(void)state;
	struct peer p;
	open_with_sack(&p);
	assert_int_equal(peer_drain(&p), 10);
	ack(&p, TCP_ECE, 1);
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_int_equal(peer_info(&p).recovery, TERN_TCP_RECOVERY_CWR);
	unsigned sent = peer_drain(&p);
	for (unsigned i = 2; i <= 10; i++) {
		ack(&p, 0, 1);
		sent += peer_drain(&p);
		assert_in_range(sent, (i - 1) / 2, i / 2 + 1); /* one for two */
	}
	assert_int_equal(peer_info(&p).unacked, 5 * MSS);
	ack(&p, 0, 1); /* it had CWR */
	assert_int_equal(peer_info(&p).recovery, TERN_TCP_RECOVERY_OPEN);
	assert_int_equal(peer_info(&p).cwnd, 5 * MSS);
	peer_close(&p);
}

/* The next window was marked, too: what is lowered again is the window, not what is in flight of
 * one that a program does not fill. */
static void a_second_echo_lowers_the_window_itself(void **state)
{
	(void)state;
	struct peer p;
	open_with_sack_and(&p, 0);
	write_some(&p, 10);
	ack(&p, 0, 10);
	assert_int_equal(peer_info(&p).cwnd, 20 * MSS);
	write_some(&p, 4);
	ack(&p, TCP_ECE, 1);
	uint32_t first = peer_info(&p).ssthresh;
	write_some(&p, 1);
	ack(&p, TCP_ECE, 4);
	assert_int_equal(peer_info(&p).ssthresh, first * 7 / 10);
	peer_close(&p);
}

/* What was marked was congestion, even if what was thought lost then was not. */
static void an_undo_does_not_take_an_echo_back(void **state)
{
	(void)state;
	struct peer p;
	open_with_sack(&p);
	peer_drain(&p);
	peer_wait(&p, 100 * MSEC);
	ack(&p, TCP_ECE, 1);
	peer_drain(&p);
	struct tcp_segment s = {.seq = seq(p.seq),
		.ack = seq(p.ack),
		.flags = TCP_ACK,
		.window = p.window,
		.options = {.has = TCP_OPT_SACK,
			.sack_count = 1,
			.sack = {{seq(p.ack + MSS), seq(p.ack + 4 * MSS)}}}};
	peer_send(&p, &s);
	assert_true(peer_info(&p).recovering);
	ack(&p, 0, 4); /* it was only late */
	assert_false(peer_info(&p).recovering);
	assert_true(peer_info(&p).cwnd < 6 * MSS);
	peer_close(&p);
}

/* A reply is all acknowledged at once, and marked: what comes next has a window of ssthresh. */
static void an_echo_at_the_end_leaves_ssthresh(void **state)
{
	(void)state;
	struct peer p;
	open_with_sack(&p);
	peer_drain(&p);
	tern_tcp_option_set(p.stack, p.conn, TERN_TCP_CORK, 1);
	for (unsigned i = 0; i < 60; i++) {
		ack(&p, i < 5 ? TCP_ECE : 0, peer_info(&p).unacked / MSS);
		peer_drain(&p);
	}
	assert_int_equal(peer_info(&p).unacked, 0);
	assert_int_equal(peer_info(&p).recovery, TERN_TCP_RECOVERY_OPEN);
	assert_true(peer_info(&p).cwnd >= 2 * MSS);
	assert_true(peer_info(&p).cwnd >= peer_info(&p).ssthresh);
	peer_close(&p);
}

static void growth_goes_on_a_window_later(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 100);
	peer_drain(&p);
	ack(&p, TCP_ECE, 5);
	for (unsigned i = 0; i < 5; i++) {
		ack(&p, 0, 1);
		peer_drain(&p);
		assert_int_equal(peer_info(&p).cwnd, 5 * MSS);
	}
	for (unsigned i = 0; i < 5; i++) {
		ack(&p, 0, 1);
		peer_drain(&p);
	}
	assert_int_equal(peer_info(&p).cwnd, 6 * MSS);
	peer_close(&p);
}

/* Mark and loss in one window are one congestion. */
static void a_loss_that_was_announced_counts_once(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 60);
	peer_drain(&p);
	ack(&p, TCP_ECE, 1);
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	/* Five in flight, and then the seventh of the first ten is missing. */
	ack(&p, 0, 5);
	assert_int_equal(peer_drain(&p), 1);
	for (unsigned i = 0; i < 3; i++)
		ack(&p, TCP_ECE, 0);
	assert_true(peer_info(&p).recovering);
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_true(peer_take(&p)); /* again: neither ECT nor CWR */
	assert_int_equal(p.last.flags & BOTH, 0);
	assert_int_equal(taken_ecn(&p), ECN_NOT_ECT);
	peer_close(&p);
}

/* RFC 3168 6.1.2: CWR after any reduction, or marks before it would be heard as new ones. */
static void a_loss_is_answered_for_too(void **state)
{
	(void)state;
	struct peer p;
	open_sending(&p, 60);
	peer_drain(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	assert_int_equal(p.last.flags & BOTH, 0);
	ack(&p, TCP_ECE, 10); /* all there after all, and marked */
	assert_int_equal(peer_info(&p).ssthresh, 5 * MSS);
	assert_int_equal(take(&p), TCP_CWR);
	peer_close(&p);
}

static void a_cookie_remembers_it(void **state)
{
	(void)state;
	for (unsigned agreed = 0; agreed < 2; agreed++) {
		struct peer p;
		open_as(&p, 2);
		peer_set(&p, "tcp_syncookies", 2);
		peer_listen(&p);
		struct tcp_segment s = {.seq = seq(7000),
			.flags = TCP_SYN | (agreed ? BOTH : 0),
			.window = UINT16_MAX,
			.options = {.has = TCP_OPT_MSS | TCP_OPT_TIMESTAMP,
				.mss = MSS,
				.tsval = 5}};
		peer_send(&p, &s);
		assert_true(peer_take(&p));
		assert_int_equal(p.last.flags & BOTH, agreed ? TCP_ECE : 0);
		p.seq = 7001;
		p.ack = p.last.seq.v + 1;
		p.timestamps = true;
		p.tsval = 10;
		p.tsecr = p.last.options.tsval;
		peer_wait(&p, 20 * MSEC);
		accept_it(&p);
		assert_int_equal(peer_info(&p).ecn, agreed);
		peer_close(&p);
	}
	/* Without timestamps there is no place for it, and it is not promised. */
	struct peer p;
	open_as(&p, 2);
	peer_set(&p, "tcp_syncookies", 2);
	peer_listen(&p);
	assert_int_equal(syn(&p, BOTH), TCP_SYN | TCP_ACK);
	accept_it(&p);
	assert_false(peer_info(&p).ecn);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_agrees_to_what_it_may),
		cmocka_unit_test(an_open_offers_it_if_asked_to),
		cmocka_unit_test(a_syn_without_an_answer_goes_again_without),
		cmocka_unit_test(a_peer_that_thinks_again_is_heard),
		cmocka_unit_test(only_new_text_is_ecn_capable),
		cmocka_unit_test(a_mark_is_echoed_until_the_peer_has_reduced),
		cmocka_unit_test(without_agreement_marks_mean_nothing),
		cmocka_unit_test(an_echo_reduces_the_window_once),
		cmocka_unit_test(with_sack_an_echo_lowers_the_window_step_by_step),
		cmocka_unit_test(a_second_echo_lowers_the_window_itself),
		cmocka_unit_test(an_undo_does_not_take_an_echo_back),
		cmocka_unit_test(an_echo_at_the_end_leaves_ssthresh),
		cmocka_unit_test(growth_goes_on_a_window_later),
		cmocka_unit_test(a_loss_that_was_announced_counts_once),
		cmocka_unit_test(a_loss_is_answered_for_too),
		cmocka_unit_test(a_cookie_remembers_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
