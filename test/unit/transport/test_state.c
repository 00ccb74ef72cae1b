/* The state machine: its edges are those of RFC 9293 figure 5, and every one can be walked. */
#include "peer.h"

#define C  TERN_TCP_CLOSED
#define L  TERN_TCP_LISTEN
#define SS TERN_TCP_SYN_SENT
#define SR TERN_TCP_SYN_RECEIVED
#define E  TERN_TCP_ESTABLISHED
#define F1 TERN_TCP_FIN_WAIT_1
#define F2 TERN_TCP_FIN_WAIT_2
#define CW TERN_TCP_CLOSE_WAIT
#define CG TERN_TCP_CLOSING
#define LA TERN_TCP_LAST_ACK
#define TW TERN_TCP_TIME_WAIT

/* Figure 5 with its note 2, and the falls to CLOSED of 3.10.5 and 3.10.7. */
static const struct {
	enum tern_tcp_state from, to;
} legal[] = {
	{C, L},
	{C, SS},
	{L, SR},
	{SS, SR},
	{SS, E},
	{SR, E},
	{SR, F1},
	{E, F1},
	{E, CW},
	{F1, F2},
	{F1, CG},
	{F1, TW},
	{F2, TW},
	{CW, LA},
	{CG, TW},
	{L, C},
	{SS, C},
	{SR, C},
	{E, C},
	{F1, C},
	{F2, C},
	{CW, C},
	{CG, C},
	{LA, C},
	{TW, C},
};
#define LEGAL (sizeof legal / sizeof *legal)

static bool is_legal(enum tern_tcp_state from, enum tern_tcp_state to)
{
	for (size_t i = 0; i < LEGAL; i++)
		if (legal[i].from == from && legal[i].to == to)
			return true;
	return false;
}

static void the_legal_edges_are_figure_5_and_no_others(void **state)
{
	(void)state;
	for (unsigned from = 0; from < TERN_TCP_STATES; from++)
		for (unsigned to = 0; to < TERN_TCP_STATES; to++)
			assert_int_equal(tern_tcp_edge_legal(from, to), is_legal(from, to));
	assert_false(tern_tcp_edge_legal(TERN_TCP_STATES, C));
	assert_false(tern_tcp_edge_legal(C, TERN_TCP_STATES));
}

static void every_state_has_the_name_the_rfc_gives_it(void **state)
{
	(void)state;
	static const char *const names[] = {"CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED",
		"ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK",
		"TIME_WAIT"};
	for (unsigned s = 0; s < TERN_TCP_STATES; s++)
		assert_string_equal(tern_tcp_state_name(s), names[s]);
	assert_string_equal(tern_tcp_state_name(TERN_TCP_STATES), "?");
}

/* --- walking ----------------------------------------------------------------------------- */

struct walked {
	bool edge[TERN_TCP_STATES][TERN_TCP_STATES];
};

static void note(void *context, const struct tern_trace *t)
{
	struct walked *w = context;
	if (t->kind == TERN_TRACE_STATE)
		w->edge[t->state.from][t->state.to] = true;
}

static void start(struct peer *p, struct walked *w)
{
	struct tern_trace_listener l = {note, w};
	peer_open(p);
	tern_trace_set(p->stack, &l);
}

/* Into a state, and from there to CLOSED by abort. */
static void fall(struct walked *w, enum tern_tcp_state s)
{
	struct peer p;
	start(&p, w);
	peer_bring(&p, s);
	assert_int_equal(tern_tcp_abort(p.stack, p.conn), 0);
	assert_int_equal(peer_connections(&p), 0);
	if (p.listener.generation)
		assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	peer_close(&p);
}

/* Both sides close at once, and our FIN's ACK comes last. */
static void walk_closing(struct walked *w)
{
	struct peer p;
	start(&p, w);
	peer_bring(&p, CG);
	p.ack++;
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_state(&p), TW);
	peer_close(&p);
}

/* FIN_WAIT_1 straight to TIME_WAIT: the peer's FIN acknowledges ours. */
static void walk_three_way_close(struct walked *w)
{
	struct peer p;
	start(&p, w);
	peer_bring(&p, F1);
	p.ack++;
	peer_fin(&p);
	assert_int_equal(peer_state(&p), TW);
	peer_close(&p);
}

/* Simultaneous open; then, once more, with a close before it is complete. */
static void walk_syn_received(struct walked *w)
{
	struct peer p;
	start(&p, w);
	peer_bring(&p, SR);
	peer_say(&p, TCP_ACK, 0, NULL, 0);
	assert_int_equal(peer_state(&p), E);
	peer_close(&p);
	start(&p, w);
	peer_bring(&p, SR);
	assert_int_equal(tern_tcp_shutdown(p.stack, p.conn), 0);
	assert_int_equal(peer_state(&p), F1);
	peer_close(&p);
	start(&p, w);
	peer_answer(&p, 1, NULL);
	peer_close(&p);
}

static void every_legal_edge_can_be_walked(void **state)
{
	(void)state;
	struct walked w = {0};
	for (unsigned s = SS; s <= TW; s++)
		fall(&w, s);
	walk_closing(&w);
	walk_three_way_close(&w);
	walk_syn_received(&w);
	for (unsigned from = 0; from < TERN_TCP_STATES; from++)
		for (unsigned to = 0; to < TERN_TCP_STATES; to++)
			if (w.edge[from][to] != is_legal(from, to))
				fail_msg("%s -> %s: walked %d", tern_tcp_state_name(from),
					tern_tcp_state_name(to), w.edge[from][to]);
}

static void its_age_in_a_state_is_told(void **state)
{
	(void)state;
	struct peer p;
	peer_open(&p);
	peer_bring(&p, TERN_TCP_ESTABLISHED);
	peer_wait(&p, 30 * SEC);
	assert_int_equal(peer_info(&p).state_age, 30);
	peer_fin(&p);
	assert_int_equal(peer_state(&p), TERN_TCP_CLOSE_WAIT);
	assert_int_equal(peer_info(&p).state_age, 0);
	peer_wait(&p, 90000 * SEC);
	assert_int_equal(peer_info(&p).state_age, 90000);
	peer_close(&p);
}

/* RFC 9293 3.10.7.4, second: the exact reset ends any state at once; TIME_WAIT stands (RFC 1337).
 */
static void the_exact_reset_ends_every_state_but_time_wait(void **state)
{
	(void)state;
	for (unsigned s = SS; s <= TW; s++) {
		struct peer p;
		peer_open(&p);
		peer_bring(&p, s);
		struct tcp_segment rst = {.seq = seq(p.seq),
			.ack = seq(p.ack),
			.flags = TCP_RST | TCP_ACK};
		peer_send(&p, &rst);
		assert_int_equal(peer_state(&p), s == TW ? TW : C);
		assert_int_equal(peer_drain(&p), 0);
		peer_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_legal_edges_are_figure_5_and_no_others),
		cmocka_unit_test(every_state_has_the_name_the_rfc_gives_it),
		cmocka_unit_test(every_legal_edge_can_be_walked),
		cmocka_unit_test(its_age_in_a_state_is_told),
		cmocka_unit_test(the_exact_reset_ends_every_state_but_time_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
