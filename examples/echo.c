/*
 * A TCP echo server on tern: what a peer sends comes back, and a peer that does not read is not
 * read from either.
 *
 *	echo tap:tern0 10.77.0.2/24 [PORT]        then, on the kernel's side: nc 10.77.0.2 7
 */
#include <stdio.h>
#include <stdlib.h>
#include <tern/host.h>
#include <tern/tcp.h>

/*
 * Moves what was received into the send buffer, straight from the receive ring. What does not fit
 * stays unread: the window then closes, the peer stops, and TERN_EV_WRITABLE brings us back.
 */
static void echo(struct tern_stack *stack, struct tern_conn conn)
{
	struct tern_span span;
	char none;
	while (tern_tcp_peek(stack, conn, &span, 1) > 0) {
		ptrdiff_t n = tern_tcp_write(stack, conn, span.data, span.len);
		if (n <= 0)
			return;
		tern_tcp_consume(stack, conn, (size_t)n);
	}
	/* Nothing is left to read, so 0 can only be the end: what we queued still goes out. */
	if (tern_tcp_read(stack, conn, &none, 1) == 0)
		tern_tcp_close(stack, conn);
}

static void accept_all(struct tern_stack *stack, struct tern_listener listener)
{
	struct tern_conn conn;
	while (tern_tcp_accept(stack, listener, &conn) == 0)
		echo(stack, conn); /* it may have sent already */
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: echo DEVICE ADDRESS/PREFIX [PORT]\n");
		return 2;
	}
	struct tern_host *host = tern_host_open(argv[1], argv[2], NULL);
	if (!host) {
		fprintf(stderr, "echo: %s\n", tern_host_error());
		return 1;
	}
	struct tern_stack *stack = tern_host_stack(host);
	struct tern_listen_opts opts = {.backlog = 128};
	opts.local.port = (uint16_t)(argc > 3 ? atoi(argv[3]) : 7);
	struct tern_listener listener;
	int err = tern_tcp_listen(stack, &opts, &listener);
	if (err != 0) {
		fprintf(stderr, "echo: port %d: %s\n", opts.local.port, tern_err_text(err));
		return 1;
	}
	struct tern_event ev;
	while ((err = tern_host_next(host, &ev)) == 0) {
		switch (ev.kind) {
		case TERN_EV_ACCEPT:
			accept_all(stack, ev.listener);
			break;
		case TERN_EV_READABLE:
		case TERN_EV_WRITABLE:
		case TERN_EV_EOF:
			echo(stack, ev.conn);
			break;
		case TERN_EV_ERROR:
			tern_tcp_close(stack, ev.conn);
			break;
		case TERN_EV_NONE:
		case TERN_EV_CONNECTED:
		case TERN_EV_URGENT:
		case TERN_EV_SENT:
		case TERN_EV_UDP:
			break;
		}
	}
	fprintf(stderr, "echo: %s\n", tern_host_error());
	tern_host_close(host);
	return 1;
}
