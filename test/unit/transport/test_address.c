/* A host with two addresses: whoever opens a connection may say which of them is its own. */
#include "peer.h"

static struct tern_addr first_addr(void)
{
	return tern_addr_v4(10, 0, 0, 1);
}

/* The one that is not taken unless it is asked for. */
static struct tern_addr second_addr(void)
{
	return tern_addr_v4(10, 0, 0, 9);
}

static void open_with_two(struct peer *p)
{
	struct tern_addr second = second_addr();
	peer_open(p);
	assert_int_equal(tern_nif_addr_add(p->stack, p->nif, &second, 24), 0);
}

static void assert_from(const struct peer *p, struct tern_addr addr)
{
	assert_memory_equal(&p->last_src, &addr, sizeof addr);
}

/* The stack opens from that address (unspecified: from whichever); its SYN is taken. */
static void dial_from(struct peer *p, struct tern_addr addr)
{
	struct tern_connect_opts opts = {.local.addr = addr,
		.remote = {tern_addr_v4(10, 0, 0, 2), p->port}};
	assert_int_equal(tern_tcp_connect(p->stack, &opts, &p->conn), 0);
	assert_true(peer_take(p));
	assert_int_equal(p->last.flags, TCP_SYN);
	p->stack_port = p->last.src_port;
	p->ack = p->last.seq.v + 1;
}

/* MUST-43: the SYN and all that follows it. */
static void an_open_goes_from_the_address_it_names(void **state)
{
	(void)state;
	struct peer p;
	open_with_two(&p);
	dial_from(&p, second_addr());
	assert_from(&p, second_addr());
	p.to = second_addr();
	p.seq = 5000;
	peer_say(&p, TCP_SYN | TCP_ACK, 0, NULL, 0);
	p.seq++;
	assert_true(peer_take(&p));
	assert_from(&p, second_addr());
	assert_int_equal(peer_state(&p), TERN_TCP_ESTABLISHED);
	assert_int_equal(tern_tcp_write(p.stack, p.conn, "hello", 5), 5);
	assert_true(peer_take(&p));
	assert_int_equal(p.last.data_len, 5);
	assert_from(&p, second_addr());
	struct tern_tcp_info info = peer_info(&p);
	assert_true(tern_addr_equal(&info.local.addr, &p.to));
	peer_close(&p);
}

static void an_open_that_names_none_goes_from_the_first(void **state)
{
	(void)state;
	struct peer p;
	open_with_two(&p);
	dial_from(&p, (struct tern_addr){{0}});
	assert_from(&p, first_addr());
	peer_close(&p);
}

static void an_address_that_is_not_ours_cannot_be_named(void **state)
{
	(void)state;
	struct peer p;
	struct tern_connect_opts connect = {.local.addr = tern_addr_v4(10, 0, 0, 10),
		.remote = {tern_addr_v4(10, 0, 0, 2), PEER_PORT}};
	struct tern_listen_opts listen = {.local = {connect.local.addr, STACK_PORT}};
	open_with_two(&p);
	assert_int_equal(tern_tcp_connect(p.stack, &connect, &p.conn), TERN_EADDRNOTAVAIL);
	assert_int_equal(tern_tcp_listen(p.stack, &listen, &p.listener), TERN_EADDRNOTAVAIL);
	peer_close(&p);
}

/* MUST-43: a passive open, too. */
static void a_listener_of_one_address_is_not_found_at_the_other(void **state)
{
	(void)state;
	struct peer p;
	struct tern_listen_opts opts = {.local = {second_addr(), STACK_PORT}, .backlog = 4};
	open_with_two(&p);
	assert_int_equal(tern_tcp_listen(p.stack, &opts, &p.listener), 0);
	p.to = first_addr();
	peer_syn(&p, PEER_PORT, NULL);
	assert_true(peer_take(&p));
	assert_true(peer_last_is(&p, TCP_RST | TCP_ACK));
	assert_from(&p, first_addr());
	p.to = second_addr();
	peer_connect(&p, 7000, NULL);
	assert_from(&p, second_addr());
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_goes_from_the_address_it_names),
		cmocka_unit_test(an_open_that_names_none_goes_from_the_first),
		cmocka_unit_test(an_address_that_is_not_ours_cannot_be_named),
		cmocka_unit_test(a_listener_of_one_address_is_not_found_at_the_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
