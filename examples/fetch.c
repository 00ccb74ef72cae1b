/*
 * A plain HTTP GET on tern; the whole answer, headers included, goes to stdout.
 *
 *	fetch tap:tern0 10.77.0.2/24 10.77.0.1:80 /index.html
 */
#include <stdio.h>
#include <string.h>
#include <tern/host.h>
#include <tern/tcp.h>

/* Prints what has arrived. Returns 1 at the end of the stream, 0 to go on, or an error. */
static int print(struct tern_stack *stack, struct tern_conn conn)
{
	static char buf[65536];
	ptrdiff_t n;
	while ((n = tern_tcp_read(stack, conn, buf, sizeof buf)) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return TERN_EPIPE;
	if (n == 0)
		return 1;
	return n == TERN_EAGAIN ? 0 : (int)n;
}

/* Runs until the answer is here. Returns 1, or the error that ended it. */
static int run(struct tern_host *host, struct tern_conn conn, const char *request)
{
	struct tern_stack *stack = tern_host_stack(host);
	struct tern_event ev;
	int err = 0;
	while (err == 0 && (err = tern_host_next(host, &ev)) == 0) {
		switch (ev.kind) {
		case TERN_EV_CONNECTED: /* the send buffer is empty, so this fits in whole */
			tern_tcp_write(stack, conn, request, strlen(request));
			break;
		case TERN_EV_READABLE:
		case TERN_EV_EOF:
			err = print(stack, conn);
			break;
		case TERN_EV_ERROR:
			err = ev.error;
			break;
		case TERN_EV_NONE:
		case TERN_EV_ACCEPT:
		case TERN_EV_WRITABLE:
		case TERN_EV_URGENT:
		case TERN_EV_SENT:
		case TERN_EV_UDP:
			break;
		}
	}
	return err;
}

int main(int argc, char **argv)
{
	struct tern_connect_opts opts = {0};
	if (argc != 5 || tern_endpoint_parse(argv[3], &opts.remote) != 0) {
		fprintf(stderr, "usage: fetch DEVICE ADDRESS/PREFIX SERVER:PORT PATH\n");
		return 2;
	}
	struct tern_host *host = tern_host_open(argv[1], argv[2], NULL);
	if (!host) {
		fprintf(stderr, "fetch: %s\n", tern_host_error());
		return 1;
	}
	char request[2048];
	int len = snprintf(request, sizeof request,
		"GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[4], argv[3]);
	struct tern_conn conn;
	int err = len < (int)sizeof request ? 0 : TERN_EMSGSIZE;
	if (err == 0)
		err = tern_tcp_connect(tern_host_stack(host), &opts, &conn);
	if (err == 0)
		err = run(host, conn, request);
	if (err == 1) { /* say goodbye properly: our FIN, and its acknowledgement */
		tern_tcp_close(tern_host_stack(host), conn);
		tern_host_settle(host, 1000);
	} else {
		fprintf(stderr, "fetch: %s\n", tern_err_text(err));
	}
	tern_host_close(host);
	return err == 1 && fflush(stdout) == 0 ? 0 : 1;
}
