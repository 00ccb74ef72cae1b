/*
 * A relay against a peer that is a connection of the same stack, over its loopback: what the
 * program at the descriptor sees must be what a kernel socket would show it.
 */
#include "test/unit/support.h"

#include <errno.h>
#include <sys/socket.h>
#include <tern/relay.h>
#include <tern/tcp.h>
#include <unistd.h>

#define BULK (3u << 20)

static bool keep_last; /* the whole group runs without and with */

struct world {
	struct tern_host *host;
	struct tern_stack *stack;
	struct tern_listener listener;
	struct tern_conn peer; /* the far end, driven by hand */
	int program;           /* the program's end of the pair */
	struct tern_relay *relay;
	bool connected;
	int done;
	struct tern_relay_result result;
	uint8_t *sent, *got;
	size_t got_len;
	bool peer_eof;
	int peer_error;
};

static void on_connected(void *context)
{
	((struct world *)context)->connected = true;
}

static void on_done(void *context, const struct tern_relay_result *result)
{
	struct world *w = context;
	w->done++;
	w->result = *result;
	w->relay = NULL;
}

/* Runs the loop for a while; the peer's events are looked at by hand, but for its error. */
static void spin(struct world *w, unsigned ms)
{
	struct tern_event ev;
	uint64_t until = tern_host_now() + ms * 1000000ull;
	/* On a busy machine the time may be over before anything was done. */
	for (unsigned turns = 0; turns < ms || tern_host_now() < until; turns++)
		if (tern_host_wait(w->host, &ev, 1000000) == 0 && ev.kind == TERN_EV_ERROR)
			w->peer_error = ev.error;
}

static void open_world(struct world *w, uint16_t port)
{
	int ends[2];
	struct tern_conn conn;
	memset(w, 0, sizeof *w);
	w->host = tern_host_open(NULL, NULL, NULL);
	assert_non_null(w->host);
	w->stack = tern_host_stack(w->host);
	struct tern_listen_opts listen_opts = {.local.port = 7, .backlog = 4};
	assert_int_equal(tern_tcp_listen(w->stack, &listen_opts, &w->listener), 0);
	struct tern_connect_opts to = {.remote = {tern_addr_v4(127, 0, 0, 1), port}};
	assert_int_equal(tern_tcp_connect(w->stack, &to, &conn), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	w->program = ends[1];
	struct tern_relay_opts opts = {.connected = on_connected,
		.done = on_done,
		.context = w,
		.keep_last = keep_last};
	if (keep_last)
		assert_int_equal(write(ends[1], "x", 1), 1);
	w->relay = tern_relay_start(w->host, conn, ends[0], &opts);
	assert_non_null(w->relay);
}

static void begin(struct world *w)
{
	open_world(w, 7);
	for (int i = 0; i < 100 && !w->connected; i++)
		spin(w, 1);
	assert_true(w->connected);
	assert_int_equal(tern_tcp_accept(w->stack, w->listener, &w->peer), 0);
	struct test_rand rand = {99};
	w->sent = malloc(BULK);
	w->got = malloc(BULK + 1);
	test_rand_fill(&rand, w->sent, BULK);
}

static void end(struct world *w)
{
	if (w->program >= 0)
		close(w->program);
	tern_host_close(w->host);
	assert_int_equal(w->done, 1);
	free(w->sent);
	free(w->got);
}

static void close_program(struct world *w)
{
	close(w->program);
	w->program = -1;
}

/* The peer reads what there is. */
static void peer_read(struct world *w)
{
	ptrdiff_t n;
	while ((n = tern_tcp_read(w->stack, w->peer, w->got + w->got_len, BULK + 1 - w->got_len)) >
		0)
		w->got_len += (size_t)n;
	if (n == 0)
		w->peer_eof = true;
	else if (n != TERN_EAGAIN)
		w->peer_error = (int)n;
}

static void program_read(struct world *w, bool *eof)
{
	ssize_t n;
	while ((n = read(w->program, w->got + w->got_len, BULK + 1 - w->got_len)) > 0)
		w->got_len += (size_t)n;
	*eof = n == 0;
}

static void bytes_from_the_program_reach_the_peer_whole_and_its_end_becomes_a_fin(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	size_t put = 0;
	for (int i = 0; i < 5000 && !w.peer_eof; i++) {
		ssize_t n = put < BULK ? write(w.program, w.sent + put, BULK - put) : 0;
		put += n > 0 ? (size_t)n : 0;
		if (put == BULK)
			shutdown(w.program, SHUT_WR);
		spin(&w, 1);
		peer_read(&w);
	}
	assert_true(w.peer_eof);
	assert_int_equal(w.got_len, BULK);
	assert_memory_equal(w.got, w.sent, BULK);
	assert_int_equal(w.done, 0); /* half-closed: the other way is still open */
	assert_int_equal(tern_tcp_write(w.stack, w.peer, "still", 5), 5);
	tern_tcp_close(w.stack, w.peer);
	spin(&w, 20);
	char text[8];
	assert_int_equal(read(w.program, text, sizeof text), 5);
	assert_int_equal(read(w.program, text, sizeof text), 0);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, 0);
	assert_int_equal(w.result.from_fd, BULK);
	assert_int_equal(w.result.to_fd, 5);
	end(&w);
}

static void bytes_from_the_peer_reach_the_program_whole_and_its_fin_is_its_end(void **state)
{
	(void)state;
	struct world w;
	bool eof = false;
	begin(&w);
	size_t put = 0;
	for (int i = 0; i < 5000 && !eof; i++) {
		ptrdiff_t n =
			put < BULK ? tern_tcp_write(w.stack, w.peer, w.sent + put, BULK - put) : 0;
		put += n > 0 ? (size_t)n : 0;
		if (put == BULK)
			tern_tcp_shutdown(w.stack, w.peer);
		spin(&w, 1);
		program_read(&w, &eof);
	}
	assert_true(eof);
	assert_int_equal(w.got_len, BULK);
	assert_memory_equal(w.got, w.sent, BULK);
	assert_int_equal(w.done, 0);
	w.got_len = 0;
	assert_int_equal(write(w.program, "reply", 5), 5);
	close_program(&w);
	spin(&w, 20);
	peer_read(&w);
	assert_true(w.peer_eof);
	assert_int_equal(w.got_len, 5);
	assert_memory_equal(w.got, "reply", 5);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, 0);
	end(&w);
}

static void a_program_that_does_not_read_stops_the_peer(void **state)
{
	(void)state;
	struct world w;
	struct tern_tcp_info info;
	begin(&w);
	uint64_t put = 0;
	for (int i = 0; i < 400; i++) {
		ptrdiff_t n = tern_tcp_write(w.stack, w.peer, w.sent, BULK);
		put += n > 0 ? (uint64_t)n : 0;
		spin(&w, 1);
	}
	assert_int_equal(tern_tcp_info(w.stack, w.peer, &info), 0);
	assert_int_equal(info.send_room, 0);
	uint64_t before = put;
	assert_int_equal(tern_tcp_write(w.stack, w.peer, w.sent, 1), TERN_EAGAIN);
	bool eof;
	for (int i = 0; i < 10; i++) { /* it reads: the peer may go on */
		w.got_len = 0;
		program_read(&w, &eof);
		spin(&w, 2);
	}
	ptrdiff_t n = tern_tcp_write(w.stack, w.peer, w.sent, BULK);
	assert_true(n > 0 && before > 0);
	close_program(&w);
	spin(&w, 5);
	end(&w);
}

static void a_peer_that_does_not_read_stops_the_program(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	int idle = 0;
	for (int i = 0; i < 2000 && idle < 50; i++) {
		ssize_t n = write(w.program, w.sent, BULK);
		idle = n > 0 ? 0 : idle + 1;
		spin(&w, 1);
	}
	assert_int_equal(idle, 50);
	tern_tcp_abort(w.stack, w.peer);
	spin(&w, 20);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, TERN_ECONNRESET);
	end(&w);
}

static void a_reset_by_the_peer_ends_it_with_that_error(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	tern_tcp_abort(w.stack, w.peer);
	spin(&w, 20);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, TERN_ECONNRESET);
	assert_int_equal(read(w.program, w.got, 1), keep_last ? -1 : 0);
	end(&w);
}

/* Whatever the program has read and said before, a reset must not look like the peer's FIN. */
static void a_reset_is_never_an_end_of_file(void **state)
{
	(void)state;
	if (!keep_last)
		return;
	for (unsigned how = 0; how < 8; how++) {
		struct world w;
		char byte;
		begin(&w);
		if (how & 1)
			assert_int_equal(write(w.program, "hello", 5), 5);
		if (how & 2)
			assert_int_equal(tern_tcp_write(w.stack, w.peer, "hello", 5), 5);
		if (how & 4)
			assert_int_equal(shutdown(w.program, SHUT_WR), 0);
		spin(&w, 5);
		peer_read(&w);
		for (int i = 0; how & 2 && i < 5; i++)
			assert_int_equal(read(w.program, &byte, 1), 1);
		assert_int_equal(tern_tcp_abort(w.stack, w.peer), 0);
		spin(&w, 5);
		assert_int_equal(w.done, 1);
		assert_int_equal(read(w.program, &byte, 1), -1);
		assert_int_equal(errno, ECONNRESET);
		end(&w);
	}
}

/* A program that has closed reads nothing any more: what comes for it resets, though bytes of its
 * own still wait for the peer to read. */
static void what_comes_after_the_close_resets(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	assert_int_equal(shutdown(w.program, SHUT_RD), 0);
	for (int quiet = 0; quiet < 5;) {
		quiet = write(w.program, w.sent, BULK) > 0 ? 0 : quiet + 1;
		spin(&w, 5);
	}
	close_program(&w);
	spin(&w, 20);
	assert_int_equal(w.done, 0); /* not all of it can go */
	assert_int_equal(tern_tcp_write(w.stack, w.peer, "x", 1), 1);
	spin(&w, 20);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.peer_error, TERN_ECONNRESET);
	end(&w);
}

/* And the peer's FIN, once both sides have ended, not like a reset. */
static void an_end_of_file_is_never_a_reset(void **state)
{
	(void)state;
	struct world w;
	char bytes[8];
	begin(&w);
	assert_int_equal(write(w.program, "hello", 5), 5);
	assert_int_equal(tern_tcp_write(w.stack, w.peer, "world", 5), 5);
	assert_int_equal(tern_tcp_shutdown(w.stack, w.peer), 0);
	assert_int_equal(shutdown(w.program, SHUT_WR), 0);
	spin(&w, 10);
	peer_read(&w);
	assert_true(w.peer_eof);
	assert_int_equal(w.got_len, 5);
	assert_int_equal(read(w.program, bytes, sizeof bytes), 5);
	assert_int_equal(read(w.program, bytes, sizeof bytes), 0);
	end(&w);
}

static void lingering_for_no_time_resets(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	tern_relay_reset_on_close(w.relay, true);
	close_program(&w);
	spin(&w, 5);
	peer_read(&w);
	assert_int_equal(w.peer_error, TERN_ECONNRESET);
	end(&w);
}

static void a_flush_passes_on_what_was_written(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	spin(&w, 2);
	assert_int_equal(write(w.program, "hello", 5), 5);
	if (keep_last)
		assert_int_equal(tern_relay_waiting(w.relay), 5);
	assert_true(tern_relay_flush(w.relay));
	assert_int_equal(tern_relay_waiting(w.relay), 0);
	struct tern_relay_result result;
	tern_relay_status(w.relay, &result);
	assert_int_equal(result.from_fd, 5);
	end(&w);
}

static void the_peer_has_urgent(struct world *w, uint32_t left, const char *text)
{
	spin(w, 20);
	assert_int_equal(tern_tcp_urgent(w->stack, w->peer), left);
	w->got_len = 0;
	peer_read(w);
	assert_int_equal(w->got_len, strlen(text));
	assert_memory_equal(w->got, text, strlen(text));
	assert_int_equal(tern_tcp_urgent(w->stack, w->peer), 0);
}

/* The byte that stays unread may be such a one. */
static void bytes_out_of_band_are_urgent_to_the_peer(void **state)
{
	(void)state;
	struct world w;
	if (!keep_last)
		return;
	begin(&w);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(w.program, "ab!", 3, MSG_OOB), 3);
		the_peer_has_urgent(&w, 3, "ab!");
		assert_int_equal(send(w.program, "?", 1, MSG_OOB), 1);
		assert_int_equal(send(w.program, "cd", 2, 0), 2);
		the_peer_has_urgent(&w, 1, "?cd");
		assert_int_equal(send(w.program, "efg", 3, 0), 3);
		the_peer_has_urgent(&w, 0, "efg");
	}
	assert_int_equal(send(w.program, "last!", 5, MSG_OOB), 5);
	shutdown(w.program, SHUT_WR);
	the_peer_has_urgent(&w, 5, "last!");
	assert_true(w.peer_eof);
	tern_tcp_close(w.stack, w.peer);
	spin(&w, 20);
	end(&w);
}

static void the_program_gets(struct world *w, int flags, const char *text)
{
	char got[16];
	ssize_t n = recv(w->program, got, sizeof got, flags);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void urgent_bytes_are_out_of_band_to_the_program(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	tern_tcp_write(w.stack, w.peer, "before", 6);
	tern_tcp_write_urgent(w.stack, w.peer, "!", 1);
	tern_tcp_write(w.stack, w.peer, "after", 5);
	spin(&w, 20);
	if (keep_last) {
		the_program_gets(&w, 0, "before");
		the_program_gets(&w, MSG_OOB, "!");
		the_program_gets(&w, 0, "after");
	} else {
		the_program_gets(&w, 0, "before!after");
	}
	tern_tcp_close(w.stack, w.peer);
	close_program(&w);
	spin(&w, 20);
	end(&w);
}

static void a_program_that_leaves_bytes_unread_resets_the_peer(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	assert_int_equal(tern_tcp_write(w.stack, w.peer, "unread", 6), 6);
	spin(&w, 20);
	close_program(&w);
	spin(&w, 20);
	peer_read(&w);
	assert_int_equal(w.peer_error, TERN_ECONNRESET);
	assert_int_equal(w.done, 1);
	end(&w);
}

static void a_program_that_has_gone_resets_a_peer_that_still_sends(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	close_program(&w);
	spin(&w, 20);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, 0);
	peer_read(&w);
	assert_true(w.peer_eof); /* so far a polite end */
	tern_tcp_write(w.stack, w.peer, "late", 4);
	spin(&w, 20);
	peer_read(&w);
	assert_true(w.peer_error == TERN_ECONNRESET || w.peer_error == TERN_EPIPE);
	end(&w);
}

static void what_arrives_after_the_program_stopped_reading_is_swallowed(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	shutdown(w.program, SHUT_RD);
	uint64_t put = 0;
	for (int i = 0; i < 2000 && put < 2 * BULK; i++) {
		ptrdiff_t n = tern_tcp_write(w.stack, w.peer, w.sent, BULK);
		put += n > 0 ? (uint64_t)n : 0;
		spin(&w, 1);
	}
	assert_true(put >= 2 * BULK); /* the window kept opening */
	assert_int_equal(write(w.program, "alive", 5), 5);
	spin(&w, 20);
	peer_read(&w);
	assert_int_equal(w.got_len, 5);
	assert_int_equal(w.peer_error, 0);
	close_program(&w);
	spin(&w, 20);
	end(&w);
}

static void a_refused_open_is_told_as_such(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 8);
	spin(&w, 20);
	assert_int_equal(w.done, 1);
	assert_false(w.connected);
	assert_false(w.result.connected);
	assert_int_equal(w.result.error, TERN_ECONNREFUSED);
	end(&w);
}

static void an_abort_resets_the_peer_and_closes_the_descriptor(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	tern_relay_abort(w.relay);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.error, TERN_ECONNABORTED);
	assert_int_equal(read(w.program, w.got, 1), keep_last ? -1 : 0);
	spin(&w, 20);
	peer_read(&w);
	assert_int_equal(w.peer_error, TERN_ECONNRESET);
	end(&w);
}

static void closing_the_host_ends_its_relays(void **state)
{
	(void)state;
	struct world w;
	begin(&w);
	end(&w); /* asserts that done was called once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			bytes_from_the_program_reach_the_peer_whole_and_its_end_becomes_a_fin),
		cmocka_unit_test(
			bytes_from_the_peer_reach_the_program_whole_and_its_fin_is_its_end),
		cmocka_unit_test(a_program_that_does_not_read_stops_the_peer),
		cmocka_unit_test(a_peer_that_does_not_read_stops_the_program),
		cmocka_unit_test(a_reset_by_the_peer_ends_it_with_that_error),
		cmocka_unit_test(a_reset_is_never_an_end_of_file),
		cmocka_unit_test(what_comes_after_the_close_resets),
		cmocka_unit_test(an_end_of_file_is_never_a_reset),
		cmocka_unit_test(lingering_for_no_time_resets),
		cmocka_unit_test(a_flush_passes_on_what_was_written),
		cmocka_unit_test(bytes_out_of_band_are_urgent_to_the_peer),
		cmocka_unit_test(urgent_bytes_are_out_of_band_to_the_program),
		cmocka_unit_test(a_program_that_leaves_bytes_unread_resets_the_peer),
		cmocka_unit_test(a_program_that_has_gone_resets_a_peer_that_still_sends),
		cmocka_unit_test(what_arrives_after_the_program_stopped_reading_is_swallowed),
		cmocka_unit_test(a_refused_open_is_told_as_such),
		cmocka_unit_test(an_abort_resets_the_peer_and_closes_the_descriptor),
		cmocka_unit_test(closing_the_host_ends_its_relays),
	};
	int failed = cmocka_run_group_tests_name("as it is", tests, NULL, NULL);
	keep_last = true;
	return failed + cmocka_run_group_tests_name("keeping the last byte", tests, NULL, NULL);
}
