/* What an attacking reader of loss recovery, congestion control and pacing tried: peers that say
 * anything at all about what they hold, when it came and what it met on the way. */
#include <stdio.h>
#include <stdlib.h>

#include "peer.h"

#define HOUR       (3600 * SEC)
#define SNDBUF     (256u << 10)
#define STEPS      400
#define WALKS      200
#define TURNS_MAX  200 /* that a stack may ask for without time going on */
#define LAST_STEPS 20000

struct walk {
	struct peer p;
	uint64_t random;
	uint32_t mss, mtu;
	bool ecn, crumbs; /* crumbs: holes beside single bytes, in what is much */
};

static uint32_t dice(struct walk *w, uint32_t n)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(w->random >> 33) % n;
}

static const struct tcb *tcb_of(const struct walk *w)
{
	return peer_tcb(&w->p);
}

static bool alive(const struct walk *w)
{
	enum tern_tcp_state state = peer_state(&w->p);
	return state == TERN_TCP_ESTABLISHED || state == TERN_TCP_FIN_WAIT_1;
}

/* A number at or near an edge that the stack knows. */
static uint32_t number(struct walk *w)
{
	const struct tcb *tcb = tcb_of(w);
	const struct tcb_side *side = tcb->side;
	uint32_t flight = tcb_flight(tcb);
	const uint32_t edges[] = {tcb->snd.una.v, tcb->snd.nxt.v,
		tcb->snd.una.v + dice(w, flight + 1), tcb->snd.una.v + flight / 2,
		side ? side->recover.v : tcb->snd.una.v,
		side ? side->rec.tlp.end.v : tcb->snd.nxt.v,
		side && side->rec.board.count
			? board_at_const(&side->rec.board, dice(w, side->rec.board.count))->lo.v
			: tcb->snd.una.v};
	static const int32_t near[] = {0, 0, 0, 0, 1, -1, 2, 48, -48, 1000, -1000, -70000};
	return edges[dice(w, 7)] + (uint32_t)near[dice(w, 12)];
}

static void say_anything(struct walk *w)
{
	struct peer *p = &w->p;
	const struct tcb *tcb = tcb_of(w);
	static const uint16_t windows[] = {0, 1, 47, 1000, 20000, UINT16_MAX, UINT16_MAX,
		UINT16_MAX};
	struct tcp_segment s = {.seq = tcb->rcv.nxt,
		.ack = seq(dice(w, w->crumbs ? 30 : 3) ? tcb->snd.una.v : number(w)),
		.flags = TCP_ACK,
		.window = windows[dice(w, 8)]};
	if (w->ecn && dice(w, 4) == 0)
		s.flags |= TCP_ECE;
	if (w->ecn && dice(w, 4) == 0)
		s.flags |= TCP_CWR;
	if (p->timestamps) {
		s.options.has |= TCP_OPT_TIMESTAMP;
		s.options.tsval = p->tsval += dice(w, 3);
		uint32_t now = tern_timestamp_now(tern_stack_tcp(p->stack), tcb);
		s.options.tsecr = now - (dice(w, 4) ? dice(w, 300) : dice(w, 1u << 30));
	}
	unsigned blocks = dice(w, p->timestamps ? 4 : 5);
	if (blocks)
		s.options.has |= TCP_OPT_SACK;
	for (unsigned i = 0; i < blocks; i++) {
		uint32_t lo = number(w);
		uint32_t hi = dice(w, 3) ? number(w) : lo + 1 + dice(w, 3 * w->mss);
		if (tcb_flight(tcb) && (w->crumbs || dice(w, 3) == 0)) {
			lo = tcb->snd.una.v + dice(w, tcb_flight(tcb));
			hi = lo + 1 + dice(w, w->crumbs ? 2 : 10);
		}
		s.options.sack[s.options.sack_count++] = (struct tcp_sack_block){seq(lo), seq(hi)};
	}
	static const uint8_t text[3];
	if (dice(w, 10) == 0) {
		s.data = text;
		s.data_len = 1 + dice(w, 3);
		s.seq = seq_add(tcb->rcv.nxt, dice(w, 20));
	}
	peer_send(p, &s);
}

/* Whatever the stack has to say, at most n frames. */
static void take(struct walk *w, unsigned n)
{
	const struct tcp_segment *s = &w->p.last;
	while (n-- && peer_take(&w->p)) {
		assert_in_range(w->p.frame_len, 40, w->mtu);
		if (s->data_len && alive(w))
			assert_int_equal(tern_record_limit(tcb_of(w), s->seq, s->data_len),
				s->data_len);
	}
}

/* RFC 9937: whatever is reported, no more is in flight than was, or than is to be in the end. */
static void check_reduction(const struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (!side || side->mode != RECOVERY_FAST || !side->rec.board.count)
		return;
	uint32_t flight = side->rec.prr.flight, few = 4u * tcb->mss;
	uint32_t most = (flight > tcb->ssthresh ? flight : tcb->ssthresh) + few;
	assert_in_range(tern_recovery_pipe(tcb), 0, most);
	assert_in_range(tcb->cwnd, 1, most);
}

/* Of black holes: what was the size is no less than what is; what is tried is in flight. */
static void check_size(const struct tcb *tcb)
{
	const struct tcb_mtu *m = tcb->side ? &tcb->side->mtu : NULL;
	if (!m || m->full == 0)
		return;
	assert_true(m->full >= tcb->mss);
	if (m->out)
		assert_true(
			seq_leq(m->trial.hi, tcb->snd.nxt) && seq_gt(m->trial.hi, tcb->snd.una));
}

/* Ends of records lie within what is not acknowledged. */
static void check_records(const struct tcb *tcb)
{
	struct range first, last;
	if (!tcb->side || !tern_rangeset_first(&tcb->side->records, &first))
		return;
	tern_rangeset_last(&tcb->side->records, &last);
	assert_true(seq_geq(first.lo, tcb->snd.una) && seq_leq(last.hi, tcb_data_end(tcb)));
}

static void check(const struct walk *w)
{
	const char *wrong = tern_stack_check(w->p.stack);
	if (wrong)
		fail_msg("%s", wrong);
	const struct tcb *tcb = tcb_of(w);
	assert_true(tcb->cwnd > 0);
	check_size(tcb);
	check_records(tcb);
	check_reduction(tcb);
	/* Only what is used grows. */
	assert_in_range(tcb->cwnd, 1, 4 * SNDBUF);
}

/* Time passes as a driver lets it, who calls when asked to, and pulls. */
static void pass(struct walk *w, uint64_t ns)
{
	struct peer *p = &w->p;
	uint64_t end = p->now + ns;
	unsigned turns = 0;
	while (alive(w)) {
		uint64_t at = tern_deadline(p->stack);
		if (at > end)
			break;
		turns = at > p->now ? 0 : turns + 1;
		assert_true(turns < TURNS_MAX);
		if (at > p->now)
			p->now = at;
		peer_wait(p, 0);
		if (alive(w))
			take(w, 100);
	}
	peer_wait(p, end - p->now);
	if (alive(w))
		take(w, 100);
}

static void write_some(struct walk *w, uint32_t n)
{
	static uint8_t data[SNDBUF];
	if (dice(w, 8) == 0)
		tern_tcp_write_urgent(w->p.stack, w->p.conn, data, n);
	else
		tern_tcp_send(w->p.stack, w->p.conn, data, n, dice(w, 4));
}

static void write_records(struct walk *w)
{
	static const uint8_t data[8];
	for (uint32_t n = dice(w, 200); n; n--)
		tern_tcp_send(w->p.stack, w->p.conn, data, 1 + dice(w, dice(w, 2) ? 8 : 1),
			TERN_SEND_EOR);
}

/* A router, or who says to be one; and a path of which that is forgotten. */
static void path_changes(struct walk *w)
{
	struct tcb *tcb = peer_tcb(&w->p);
	if (dice(w, 3) == 0)
		tcb->path->mtu_expires = w->p.now;
	else
		peer_icmp(&w->p, 3, 4,
			(uint16_t)(dice(w, 4) ? 500 + dice(w, 1000) : dice(w, 1 << 16)),
			tcb->snd.una.v + dice(w, tcb_flight(tcb) + 1));
}

static void step(struct walk *w)
{
	switch (dice(w, 15)) {
	case 12:
		write_records(w);
		break;
	case 13:
		if (dice(w, 4) == 0)
			path_changes(w);
		break;
	case 14:
		if (dice(w, 4) == 0) /* nobody is heard for some timeouts */
			pass(w, dice(w, 20) * SEC);
		else if (dice(w, 20) == 0) /* the machine slept */
			peer_wait(&w->p, dice(w, 3) * HOUR + dice(w, 1000) * MSEC);
		else if (dice(w, 50) == 0)
			tern_tcp_shutdown(w->p.stack, w->p.conn);
		break;
	case 0:
		write_some(w, 1 + dice(w, 3 * w->mss));
		break;
	case 1:
		write_some(w, SNDBUF);
		break;
	case 2:
		pass(w, dice(w, 50) * MSEC);
		break;
	case 3:
		pass(w, dice(w, 3) ? dice(w, 1000) * 1000 : dice(w, 5) * SEC);
		break;
	case 4:
		take(w, 1 + dice(w, 40));
		break;
	default:
		say_anything(w);
		break;
	}
}

/* Then it is honest: all that was written arrives, and is acknowledged. */
static void end_honestly(struct walk *w)
{
	struct peer *p = &w->p;
	for (unsigned i = 0; alive(w) && i < LAST_STEPS; i++) {
		const struct tcb *tcb = tcb_of(w);
		if (tcb_flight(tcb) == 0 && tcb->send.len == 0)
			return;
		p->seq = seq_max(tcb->rcv.nxt, tcb->snd.wl1).v;
		p->ack = tcb->snd.nxt.v;
		p->window = UINT16_MAX;
		p->tsecr = tern_timestamp_now(tern_stack_tcp(p->stack), tcb);
		peer_say(p, TCP_ACK, 0, NULL, 0);
		pass(w, 20 * MSEC);
		check(w);
	}
	if (alive(w))
		fail_msg("%u bytes never came", tcb_of(w)->send.len);
}

/* The stack's numbers are about to wrap. */
static void near_the_end(struct walk *w)
{
	struct tcb *tcb = peer_tcb(&w->p);
	tern_seq at = seq(UINT32_MAX - dice(w, 2 * SNDBUF));
	tcb->snd.iss = seq_sub(at, 1);
	tcb->snd.una = tcb->snd.nxt = tcb->snd.wl2 = at;
	tern_tcb_side_release(tern_stack_tcp(w->p.stack), tcb);
	assert_null(tcb->side);
	w->p.ack = at.v;
}

static void open_walk(struct walk *w, unsigned number)
{
	static const uint16_t sizes[] = {48, 60, 88, 536, 1000, 1460, 1460, 8960};
	*w = (struct walk){.random = number * UINT64_C(0x9e3779b97f4a7c15) + 1};
	w->mss = sizes[dice(w, 8)];
	w->mtu = w->mss > 1460 ? 9000 : 1500;
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_SACK_OK,
		.mss = (uint16_t)w->mss,
		.wscale = 7,
		.tsval = 1};
	o.has |= dice(w, 2) ? TCP_OPT_WSCALE : 0;
	o.has |= dice(w, 2) ? TCP_OPT_TIMESTAMP : 0;
	struct peer_setup setup = {.seed = (uint8_t)(number + 1),
		.budget = dice(w, 4) ? 0 : 400000,
		.mtu = w->mtu,
		.now = dice(w, 2) ? 0
				  : ((uint64_t)UINT32_MAX + 1) * (dice(w, 2) ? MSEC : 1024 * 64)};
	peer_open_as(&w->p, &setup);
	peer_set(&w->p, "tcp_congestion_control", dice(w, 2));
	peer_set(&w->p, "tcp_pacing", dice(w, 3) != 0);
	peer_set(&w->p, "tcp_min_snd_mss", 48);
	peer_set(&w->p, "tcp_retries1", 1 + dice(w, 3));
	peer_set(&w->p, "tcp_probe_interval", 1);
	peer_set(&w->p, "tcp_slow_start_after_idle", dice(w, 2));
	peer_set(&w->p, "tcp_max_ranges", dice(w, 2) ? 4096 : 4);
	peer_listen(&w->p);
	peer_connect(&w->p, dice(w, 2) ? 1 : UINT32_MAX - 5, &o);
	take(w, 10);
	if (dice(w, 2))
		near_the_end(w);
	/* As if agreed upon. */
	w->ecn = dice(w, 2);
	peer_tcb(&w->p)->ecn = w->ecn;
	tern_tcp_option_set(w->p.stack, w->p.conn, TERN_TCP_SNDBUF, SNDBUF);
	if (dice(w, 4) == 0)
		tern_tcp_option_set(w->p.stack, w->p.conn, TERN_TCP_USER_TIMEOUT,
			1 + dice(w, 3000));
	if (dice(w, 2))
		tern_tcp_option_set(w->p.stack, w->p.conn, TERN_TCP_NODELAY, 1);
	w->crumbs = dice(w, 4) == 0;
	if (w->crumbs)
		peer_tcb(&w->p)->cwnd = SNDBUF;
}

static void peers_that_say_anything(void **state)
{
	(void)state;
	const char *only = getenv("WALK"), *walks = getenv("WALKS");
	unsigned from = only ? (unsigned)atoi(only) : 0;
	unsigned to = only ? from + 1 : walks ? (unsigned)atoi(walks) : WALKS;
	for (unsigned i = from; i < to; i++) {
		struct walk w;
		open_walk(&w, i);
		for (unsigned n = 0; n < (w.crumbs ? 4 : 1) * STEPS && alive(&w); n++) {
			step(&w);
			check(&w);
		}
		end_honestly(&w);
		peer_close(&w.p);
	}
}

/* The user's patience ends while what is missing may still be only late. */
static void patience_that_ends_before_the_reordering_window(void **state)
{
	(void)state;
	struct walk w = {.mss = 1000, .mtu = 1500};
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_SACK_OK, .mss = 1000};
	static const uint8_t text[6000];
	peer_open(&w.p);
	peer_set(&w.p, "tcp_early_retrans", 0);
	peer_listen(&w.p);
	peer_connect(&w.p, 1, &o);
	peer_drain(&w.p);
	struct tcb *tcb = peer_tcb(&w.p);
	tcb->srtt = 2000000;
	tcb->rttvar = 0;
	tern_tcp_option_set(w.p.stack, w.p.conn, TERN_TCP_USER_TIMEOUT, 4500);
	assert_int_equal(tern_tcp_write(w.p.stack, w.p.conn, text, sizeof text), sizeof text);
	peer_drain(&w.p);
	/* After a timeout and an ACK two are on their way again; what comes of the second leaves
	 * the timeout backed off (Karn), and the first may be late. */
	pass(&w, 2300 * MSEC);
	assert_int_equal(tcb->backoff, 1);
	struct tcp_segment s = {.seq = seq(w.p.seq),
		.ack = seq_add(tcb->snd.una, 1000),
		.flags = TCP_ACK,
		.window = w.p.window};
	peer_send(&w.p, &s);
	assert_int_equal(peer_drain(&w.p), 2);
	pass(&w, 2100 * MSEC);
	tcb->side->rec.rack.reordered = true;
	s.options = (struct tcp_options){.has = TCP_OPT_SACK,
		.sack_count = 1,
		.sack = {{seq_add(tcb->snd.una, 1000), seq_add(tcb->snd.una, 2000)}}};
	peer_send(&w.p, &s);
	assert_true(tcb->side->rec.rack.due >
		    w.p.now + tern_user_timeout_left(tern_stack_tcp(w.p.stack), tcb));
	pass(&w, 60 * SEC);
	assert_int_equal(peer_state(&w.p), TERN_TCP_CLOSED);
	peer_close(&w.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patience_that_ends_before_the_reordering_window),
		cmocka_unit_test(peers_that_say_anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
