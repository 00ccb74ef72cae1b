#include "score.h"

void score_open_as(struct peer *p, const struct peer_setup *setup, uint32_t extra_options)
{
	struct tcp_options options = {
		.has = (uint8_t)(TCP_OPT_MSS | TCP_OPT_SACK_OK | extra_options),
		.mss = MSS + (extra_options & TCP_OPT_TIMESTAMP ? 12 : 0),
		.wscale = 7,
		.tsval = 1,
	};
	peer_open_as(p, setup);
	peer_set(p, "tcp_congestion_control", 1); /* its halves are easily told */
	peer_set(p, "tcp_pacing", 0);
	peer_listen(p);
	peer_connect(p, 1, &options);
	peer_drain(p);
	if (extra_options & TCP_OPT_WSCALE)
		p->window = 60000;
	struct tcb *tcb = peer_tcb(p);
	tcb->srtt = RTT / 1000;
	tcb->rttvar = RTT / 2000;
	assert_int_equal(tern_tcp_option_set(p->stack, p->conn, TERN_TCP_SNDBUF, 4000000), 0);
}

void score_open(struct peer *p)
{
	score_open_as(p, &(struct peer_setup){0}, TCP_OPT_WSCALE);
}

void score_write(struct peer *p, uint32_t segments)
{
	static char data[MSS];
	for (uint32_t i = 0; i < segments; i++)
		assert_int_equal(tern_tcp_write(p->stack, p->conn, data, MSS), MSS);
}

void score_flight(struct peer *p, uint32_t segments)
{
	score_open(p);
	score_write(p, segments);
	peer_drain(p);
	peer_wait(p, RTT);
}

void score_ack(struct peer *p, uint32_t off, const struct block *blocks, size_t n)
{
	struct tcp_segment s = {
		.seq = seq(p->seq),
		.ack = seq(p->ack + off),
		.flags = TCP_ACK,
		.window = p->window,
	};
	if (p->timestamps) {
		s.options.has |= TCP_OPT_TIMESTAMP;
		s.options.tsval = p->tsval;
		s.options.tsecr = p->tsecr;
	}
	if (n)
		s.options.has |= TCP_OPT_SACK;
	s.options.sack_count = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		s.options.sack[i] = (struct tcp_sack_block){seq(p->ack + blocks[i].lo),
			seq(p->ack + blocks[i].hi)};
	peer_send(p, &s);
	score_check(p);
}

void score_ack_only(struct peer *p, uint32_t off)
{
	score_ack(p, off, NULL, 0);
}

uint32_t score_at(const struct peer *p)
{
	return p->last.seq.v - p->ack;
}

void score_expect(struct peer *p, uint32_t off)
{
	assert_true(peer_take(p));
	assert_int_equal(score_at(p), off);
	assert_int_equal(p->last.data_len, MSS);
	score_check(p);
}

void score_silent(struct peer *p)
{
	assert_int_equal(peer_drain(p), 0);
}

struct recovery *score_recovery(const struct peer *p)
{
	struct tcb_side *side = peer_tcb(p)->side;
	assert_non_null(side);
	return &side->rec;
}

struct scoreboard *score_board(const struct peer *p)
{
	return &score_recovery(p)->board;
}

uint64_t score_count(const struct peer *p, enum tern_counter which)
{
	return tern_counter(p->stack, which);
}

void score_check(const struct peer *p)
{
	const char *wrong = tern_tcp_check(tern_stack_tcp_const(p->stack));
	if (wrong)
		fail_msg("%s", wrong);
}
