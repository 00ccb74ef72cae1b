/* Memory refused at every point of a connection's life, and a budget too small for what is asked.
 */
#include "pair.h"
#include "peer.h"

#define STREAM 60000

static struct pair t;
static uint8_t data[2][STREAM];

/* --- refusals -------------------------------------------------------------------------------- */

/* What a script may end with, besides success: a call that said so. */
struct outcome {
	bool listened, dialled, accepted;
	bool done; /* both streams arrived whole, and both ends are closed */
};

static void start(struct outcome *o)
{
	struct tern_listen_opts listen = {.local.port = PAIR_PORT, .backlog = 4};
	struct tern_connect_opts connect = {.remote = {t.side[1].addr, PAIR_PORT}};
	int err = tern_tcp_listen(t.side[1].stack, &listen, &t.side[1].listener);
	assert_true(err == 0 || err == TERN_ENOMEM);
	o->listened = err == 0;
	err = tern_tcp_connect(t.side[0].stack, &connect, &t.side[0].conn);
	assert_true(err == 0 || err == TERN_ENOMEM);
	o->dialled = err == 0;
}

/* Records of any length, and writes of which more is to come. */
static ptrdiff_t write_some(struct pair_side *s, const uint8_t *from, size_t left)
{
	size_t most = 1 + left * 7 % 9001;
	return tern_tcp_send(s->stack, s->conn, from, left < most ? left : most, left % 4);
}

/* Writes and reads what can be; true once everything of side k's has been done. */
static bool work(unsigned k, size_t *sent, size_t *read)
{
	struct pair_side *s = &t.side[k];
	static uint8_t got[4096];
	if (*sent < STREAM) {
		ptrdiff_t n = write_some(s, data[k] + *sent, STREAM - *sent);
		assert_true(n > 0 || n == TERN_EAGAIN);
		*sent += n > 0 ? (size_t)n : 0;
		if (*sent == STREAM)
			assert_int_equal(tern_tcp_shutdown(s->stack, s->conn), 0);
	}
	ptrdiff_t n = tern_tcp_read(s->stack, s->conn, got, sizeof got);
	assert_true(n >= 0 || n == TERN_EAGAIN);
	if (n > 0) {
		assert_true(*read + (size_t)n <= STREAM);
		assert_memory_equal(got, data[!k] + *read, (size_t)n);
		*read += (size_t)n;
	}
	return n == 0;
}

/* A frame goes missing now and then, so that holes, SACK and retransmission allocate, too. */
static void move(unsigned *moved)
{
	for (unsigned i = 0; i < 8 && pair_step(&t, t.now + 200 * SEC); i++)
		if (++*moved % 23 == 0) {
			pair_collect(&t);
			pair_drop(&t, *moved % 2);
		}
}

static struct outcome live(void)
{
	struct outcome o = {0};
	size_t sent[2] = {0}, read[2] = {0};
	unsigned moved = 0;
	start(&o);
	if (!o.listened || !o.dialled)
		return o;
	/* A server stays there until its client comes. */
	for (unsigned i = 0; i < 100 && !o.accepted; i++) {
		move(&moved);
		o.accepted =
			tern_tcp_accept(t.side[1].stack, t.side[1].listener, &t.side[1].conn) == 0;
	}
	if (!o.accepted)
		return o;
	bool end[2] = {false};
	for (unsigned i = 0; i < 5000 && !(end[0] && end[1]); i++) {
		for (unsigned k = 0; k < 2; k++)
			end[k] = end[k] || work(k, &sent[k], &read[k]);
		move(&moved);
	}
	o.done = end[0] && end[1] && read[0] == STREAM && read[1] == STREAM;
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(tern_tcp_close(t.side[k].stack, t.side[k].conn), 0);
	pair_run(&t, 200 * SEC);
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(pair_connections(&t, k), 0);
	return o;
}

/* Each allocation of each side, refused once: the call that needed it says so, or nothing is lost.
 */
static void each_allocation_refused_once_loses_nothing(void **state)
{
	(void)state;
	struct test_rand r = {3};
	const struct pair_setup setup = {.delay = MSEC};
	unsigned tried = 0;
	test_rand_fill(&r, data, sizeof data);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned n = 1;; n++) {
			pair_open(&t, &setup);
			test_heap_fail_once(&t.side[k].heap, n);
			struct outcome o = live();
			bool refused = test_heap_refused(&t.side[k].heap);
			if (o.dialled && o.listened)
				assert_true(o.accepted && o.done);
			pair_close(&t);
			if (!refused)
				break;
			tried++;
		}
	assert_true(tried > 20);
}

/* From the nth allocation on there is no memory for a while: connections may fail, but say so, and
 * nothing is left behind. */
static void memory_that_ends_is_survived(void **state)
{
	(void)state;
	const struct pair_setup setup = {.delay = MSEC};
	for (unsigned k = 0; k < 2; k++)
		for (unsigned n = 0; n < 40; n++) {
			pair_open(&t, &setup);
			pair_connect(&t);
			test_heap_fail_after(&t.side[k].heap, n);
			for (unsigned i = 0; i < 30; i++) {
				for (unsigned s = 0; s < 2; s++) {
					struct pair_side *side = &t.side[s];
					static uint8_t got[5000];
					tern_tcp_send(side->stack, side->conn, data[s], 5000,
						i % 4);
					if (i % 3 == 0)
						tern_tcp_read(side->stack, side->conn, got, 5000);
				}
				unsigned moved = i * 7;
				move(&moved);
				assert_null(tern_stack_check(t.side[k].stack));
			}
			test_heap_relent(&t.side[k].heap);
			pair_run(&t, SEC);
			assert_null(tern_stack_check(t.side[k].stack));
			pair_close(&t);
		}
}

static void a_stack_that_cannot_be_made_leaks_nothing(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 100; n++) {
		struct test_heap heap = {0};
		struct tern_config cfg;
		tern_config_init(&cfg);
		cfg.allocator = test_heap_allocator(&heap);
		test_heap_fail_once(&heap, n);
		struct tern_stack *stack = tern_stack_new(&cfg, 0);
		if (stack) {
			struct tern_nif_opts nif = {.name = "x", .raw_ip = true};
			struct tern_addr addr = tern_addr_v4(10, 0, 0, 1);
			int k = tern_nif_add(stack, &nif);
			if (k > 0)
				tern_nif_addr_add(stack, k, &addr, 24);
		}
		tern_stack_free(stack);
		test_heap_assert_empty(&heap);
		if (!test_heap_refused(&heap))
			return;
	}
	fail();
}

static void a_budget_below_the_least_is_refused(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_config cfg;
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&heap);
	cfg.budget = (256 << 10) - 1;
	assert_null(tern_stack_new(&cfg, 0));
	cfg.budget++;
	struct tern_stack *stack = tern_stack_new(&cfg, 0);
	assert_non_null(stack);
	tern_stack_free(stack);
	test_heap_assert_empty(&heap);
}

/* --- pressure
 * ----------------------------------------------------------------------------------------- */

#define SMALL (512u << 10)

static void open_small(struct peer *p)
{
	struct peer_setup setup = {.budget = SMALL};
	struct tcp_options o = {.has = TCP_OPT_MSS | TCP_OPT_SACK_OK | TCP_OPT_WSCALE,
		.mss = 1460,
		.wscale = 7};
	peer_open_as(p, &setup);
	peer_set(p, "tcp_rmem_default", 4 << 20);
	peer_listen(p);
	peer_connect(p, (uint32_t)0 - 100000, &o);
	peer_drain(p);
	/* A program that reads nothing sees the window as large as it may become. */
	assert_int_equal(tern_tcp_option_set(p->stack, p->conn, TERN_TCP_RCVBUF, 4 << 20), 0);
	peer_drain(p);
}

static uint32_t received(const struct peer *p)
{
	return peer_info(p).rcv_nxt - p->seq;
}

static uint8_t nth_byte(uint32_t k)
{
	return (uint8_t)(k * 7 ^ k >> 8 ^ k >> 16);
}

static void say_at(struct peer *p, uint32_t at, uint32_t n)
{
	static uint8_t bytes[1460];
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = nth_byte(at + i);
	peer_say(p, TCP_ACK, at, bytes, n);
	peer_drain(p);
	struct tern_memory_info info;
	tern_memory_info(p->stack, &info);
	assert_true(info.used <= info.budget && p->heap.bytes == info.used);
}

static void read_all(struct peer *p, uint32_t from, uint32_t to)
{
	static uint8_t got[8192];
	while (from < to) {
		ptrdiff_t n = tern_tcp_read(p->stack, p->conn, got, sizeof got);
		assert_true(n > 0);
		for (uint32_t i = 0; i < (uint32_t)n; i++)
			assert_int_equal(got[i], nth_byte(from + i));
		from += (uint32_t)n;
	}
	assert_int_equal(from, to);
}

/* The windows of a small stack promise more than it holds: what was acknowledged is kept, what does
 * not fit is not acknowledged, and comes again. */
static void what_was_acknowledged_is_kept_when_the_budget_is_spent(void **state)
{
	(void)state;
	struct peer p;
	open_small(&p);
	for (unsigned i = 0; i < 1000 && peer_info(&p).rcv_wnd >= 1460; i++)
		say_at(&p, received(&p), 1460);
	uint32_t acked = received(&p);
	assert_true(p.last.ack.v - p.seq <= acked);
	assert_true(acked > SMALL / 4 && acked < SMALL);
	assert_true(peer_drops(&p, TERN_DROP_TCP_MEMORY) > 0);
	assert_null(tern_stack_check(p.stack));
	read_all(&p, 0, acked);
	/* With the memory back, the stream goes on where it was. */
	say_at(&p, acked, 1460);
	assert_int_equal(received(&p), acked + 1460);
	read_all(&p, acked, acked + 1460);
	peer_close(&p);
}

/* RFC 2018 8: bytes beyond a hole may be taken back, though they were reported; bytes before it
 * never. */
static void reneging_gives_up_only_what_lies_beyond_a_hole(void **state)
{
	(void)state;
	struct peer p;
	open_small(&p);
	/* Fill the memory beyond a hole, then send what is missing, from the front. */
	for (uint32_t at = 200000; peer_drops(&p, TERN_DROP_TCP_MEMORY) == 0; at += 1460) {
		assert_true(at < 3u << 20);
		say_at(&p, at, 1460);
	}
	uint32_t beyond = peer_info(&p).out_of_order;
	assert_true(beyond > SMALL / 4);
	for (uint32_t at = 0; at < 150000; at += 1000)
		say_at(&p, at, 1000);
	assert_int_equal(received(&p), 150000);
	assert_true(peer_info(&p).out_of_order < beyond);
	assert_true(tern_counter(p.stack, TERN_COUNT_TcpExtTCPRcvCollapsed) > 0);
	assert_null(tern_stack_check(p.stack));
	read_all(&p, 0, 150000);
	/* The sender, who must keep what is only SACKed, sends it all again. */
	uint32_t acked = 150000;
	for (uint32_t at = 150000; at < 400000; at += 1000) {
		say_at(&p, at, 1000);
		uint32_t now = received(&p);
		read_all(&p, acked, now);
		acked = now;
	}
	assert_true(acked >= 400000);
	peer_close(&p);
}

/* New connections are refused first, each with a reason, and come again later. */
static void connections_beyond_the_budget_are_refused_and_counted(void **state)
{
	(void)state;
	struct peer p;
	struct peer_setup setup = {.budget = SMALL};
	struct tern_memory_info info;
	unsigned refused = 0;
	peer_open_as(&p, &setup);
	peer_set(&p, "tcp_syncookies", 2);
	peer_listen_backlog(&p, 4096);
	for (unsigned i = 0; i < 4000; i++) {
		struct tcp_segment syn = {.seq = seq(i), .flags = TCP_SYN, .window = 1000};
		p.port = (uint16_t)(1000 + i);
		peer_send(&p, &syn);
		assert_true(peer_take(&p));
		p.seq = i + 1;
		p.ack = p.last.seq.v + 1;
		uint32_t before = peer_connections(&p);
		peer_say(&p, TCP_ACK, 0, NULL, 0);
		refused += peer_connections(&p) == before;
	}
	tern_memory_info(p.stack, &info);
	assert_true(refused > 0 && refused < 3800);
	assert_int_equal(info.connections, 4000 - refused);
	assert_int_equal(peer_drops(&p, TERN_DROP_TCP_MEMORY), refused);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), 80}};
	assert_int_equal(tern_tcp_connect(p.stack, &opts, &p.conn), TERN_ENOMEM);
	assert_int_equal(tern_tcp_listen_close(p.stack, p.listener), 0);
	peer_drain(&p);
	assert_int_equal(peer_connections(&p), 0);
	peer_listen(&p);
	p.port = 100;
	peer_connect(&p, 1, NULL);
	peer_close(&p);
}

static void connections_beyond_the_limit_are_refused(void **state)
{
	(void)state;
	struct test_heap heap = {0};
	struct tern_config cfg;
	struct tern_conn conn;
	struct tern_addr addr = tern_addr_v4(10, 0, 0, 1);
	struct tern_nif_opts nif = {.name = "x", .raw_ip = true};
	tern_config_init(&cfg);
	cfg.allocator = test_heap_allocator(&heap);
	cfg.max_connections = 3;
	struct tern_stack *stack = tern_stack_new(&cfg, 0);
	assert_int_equal(tern_nif_addr_add(stack, tern_nif_add(stack, &nif), &addr, 24), 0);
	struct tern_connect_opts opts = {.remote = {tern_addr_v4(10, 0, 0, 2), 80}};
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tern_tcp_connect(stack, &opts, &conn), 0);
	assert_int_equal(tern_tcp_connect(stack, &opts, &(struct tern_conn){0}), TERN_ENOMEM);
	assert_int_equal(tern_tcp_abort(stack, conn), 0);
	assert_int_equal(tern_tcp_connect(stack, &opts, &conn), 0);
	tern_stack_free(stack);
	test_heap_assert_empty(&heap);
}

/* An idle connection owns its block and nothing else. */
static void an_idle_connection_costs_its_block_only(void **state)
{
	(void)state;
	struct peer p;
	struct tern_memory_info before, after;
	peer_open(&p);
	peer_listen(&p);
	for (unsigned i = 0; i < 2000; i++) {
		p.port = (uint16_t)(1000 + i);
		peer_connect(&p, i, NULL);
		peer_say(&p, TCP_ACK, 0, "ping", 4);
		char got[8];
		assert_int_equal(tern_tcp_read(p.stack, p.conn, got, 8), 4);
		peer_drain(&p);
		if (i == 999) {
			peer_ignore(&p, 5 * SEC);
			tern_memory_info(p.stack, &before);
		}
	}
	peer_ignore(&p, 5 * SEC);
	tern_memory_info(p.stack, &after);
	assert_true(after.connection_bytes <= 256);
	assert_int_equal(after.chunks, 0);
	assert_int_equal(after.timers, 0);
	/* The table has doubled in between: 8 bytes a place. */
	assert_true(after.used - before.used < 1000 * (256 + 24));
	peer_close(&p);
}

/* The SYN's timeout must not be remembered for ever: that kept the side block, and a timer. */
static void an_idle_connection_whose_syn_was_lost_costs_no_more(void **state)
{
	(void)state;
	struct peer p;
	struct tern_memory_info info;
	peer_open(&p);
	peer_dial(&p);
	assert_true(peer_expect(&p, 2 * SEC));
	struct tcp_segment s = {.seq = seq(5),
		.ack = seq(p.ack),
		.flags = TCP_SYN | TCP_ACK,
		.window = 1000};
	peer_send(&p, &s);
	assert_true(peer_take(&p));
	peer_ignore(&p, 5 * SEC);
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	tern_memory_info(p.stack, &info);
	assert_int_equal(info.timers, 0);
	assert_null(peer_tcb(&p)->side);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_refused_once_loses_nothing),
		cmocka_unit_test(memory_that_ends_is_survived),
		cmocka_unit_test(a_stack_that_cannot_be_made_leaks_nothing),
		cmocka_unit_test(a_budget_below_the_least_is_refused),
		cmocka_unit_test(what_was_acknowledged_is_kept_when_the_budget_is_spent),
		cmocka_unit_test(reneging_gives_up_only_what_lies_beyond_a_hole),
		cmocka_unit_test(connections_beyond_the_budget_are_refused_and_counted),
		cmocka_unit_test(connections_beyond_the_limit_are_refused),
		cmocka_unit_test(an_idle_connection_costs_its_block_only),
		cmocka_unit_test(an_idle_connection_whose_syn_was_lost_costs_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
