/*
 * socket, bind, connect, shutdown. The program's socket is connected to one of ours at once, its
 * send buffer made as small as can be and filled with a preamble; when tern's connection is
 * established, all of that but its last byte is taken out, and the buffer made wide. So the
 * program's poll and write say what they would say of TCP. To widen it takes a descriptor of the
 * program's: we keep none, for that would hide that the program closed its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "tools/errnos.h"
#include "tools/run/run.h"

#define RENDEZVOUS_BACKLOG 1024
#define BUFFER             212992 /* doubled by Linux, and what it lets anybody have */

int tern_run_open_begin(struct run *run)
{
	struct sockaddr_storage any = {.ss_family = AF_UNIX};
	run->rendezvous = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	run->diag = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	run->rendezvous_len = sizeof run->rendezvous_name;
	if (run->diag >= 0 && run->rendezvous >= 0 &&
		bind(run->rendezvous, (struct sockaddr *)&any, sizeof(sa_family_t)) == 0 &&
		listen(run->rendezvous, RENDEZVOUS_BACKLOG) == 0 &&
		getsockname(run->rendezvous, (struct sockaddr *)&run->rendezvous_name,
			&run->rendezvous_len) == 0 &&
		getrandom(run->nonce, sizeof run->nonce, 0) == sizeof run->nonce &&
		getrandom(&run->rng, sizeof run->rng, 0) == sizeof run->rng)
		return 0;
	fprintf(stderr, "%s: sockets of our own: %s\n", run->options.command, strerror(errno));
	return -1;
}

static void set_buffer(int fd, int size)
{
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void tern_run_widen(int fd)
{
	set_buffer(fd, BUFFER);
}

struct verdict tern_run_socket(struct call *call)
{
	int type = (int)call->arg[1], protocol = (int)call->arg[2];
	if (type & ~(0xf | SOCK_NONBLOCK | SOCK_CLOEXEC))
		return refuse(EINVAL);
	if (protocol == IPPROTO_MPTCP)
		return refuse(EPROTONOSUPPORT);
	if (protocol != 0 && protocol != IPPROTO_TCP)
		return leave_it(); /* SCTP: the kernel says what it knows of it */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (type & SOCK_NONBLOCK), 0);
	if (fd < 0)
		return refuse(errno);
	tern_run_widen(fd);
	struct sock *sock = tern_sock_new(call->sandbox, fd);
	if (!sock) {
		close(fd);
		return refuse(ENOMEM);
	}
	int error = tern_run_give(call->sandbox, call->id, fd, type & SOCK_CLOEXEC);
	close(fd);
	if (error)
		tern_sock_free(sock);
	return error && error != ENOENT ? refuse(error) : (struct verdict){ANSWER_DONE, 0};
}

struct verdict tern_run_bind(struct call *call)
{
	struct tern_endpoint at;
	struct sock *sock = call->sock;
	int error = tern_run_read_addr(call, call->arg[1], call->arg[2], &at);
	if (error)
		return refuse(error);
	if (sock->hold.held || sock->state != SOCK_FRESH)
		return refuse(EINVAL);
	error = tern_port_bind(sock, &at, call);
	return error ? refuse(error) : returns(0);
}

/* --- connect --------------------------------------------------------------------------- */

/* Connects the program's socket and finds our end of it. What else knocks there is not from us: it
 * does not know the nonce. */
static int meet(struct run *run, int fd)
{
	uint8_t nonce[sizeof run->nonce];
	if (connect(fd, (struct sockaddr *)&run->rendezvous_name, run->rendezvous_len) != 0 ||
		send(fd, run->nonce, sizeof run->nonce, MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)sizeof nonce)
		return -1;
	for (;;) {
		int end = accept4(run->rendezvous, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (end < 0)
			return -1;
		if (recv(end, nonce, sizeof nonce, MSG_DONTWAIT) == (ssize_t)sizeof nonce &&
			memcmp(nonce, run->nonce, sizeof nonce) == 0)
			return end;
		close(end);
	}
}

/* Fills the socket until nothing can be written to it: byte by byte, for the last one stays, and
 * would keep all that was sent with it. Each takes some hundred bytes of the smallest buffer. */
static uint32_t fill(int fd)
{
	uint32_t put = 0;
	while (send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		put++;
	return put;
}

/* Takes the preamble out again, all but its last byte. */
static void drain(struct sock *sock)
{
	char byte;
	for (uint32_t left = sock->preamble; left > 1; left--)
		if (recv(sock->end, &byte, 1, MSG_DONTWAIT) != 1)
			break;
}

static void answer_connects(struct sock *sock, struct verdict v)
{
	while (sock->parked) {
		if (tern_run_answer(sock->parked->sandbox, sock->parked->id, v)) {
			sock->told = true;
			sock->error = 0;
		}
		tern_sock_unpark(sock->parked);
	}
}

int tern_run_let_go_of_end(struct sock *sock)
{
	int end = sock->end;
	if (sock->end_watch)
		tern_host_unwatch(sock->run->host, sock->end_watch);
	sock->end_watch = NULL;
	sock->end = -1;
	if (sock->sought)
		HASH_DELETE(by_inode, sock->run->sought, sock);
	sock->sought = false;
	return end;
}

static void failed(struct sock *sock, int error)
{
	int end = tern_run_let_go_of_end(sock);
	tern_host_claim(sock->run->host, sock->conn, NULL, NULL);
	tern_tcp_close(run_stack(sock->run), sock->conn);
	sock->state = SOCK_FAILED;
	sock->error = error;
	/* What is unread in it makes this a reset: the program's poll reports an error. */
	close(end);
	answer_connects(sock, refuse(error));
}

/* What TCP_INFO will tell once the handle is gone. */
static void relay_ending(void *context)
{
	struct sock *sock = context;
	if (!sock->past)
		sock->past = calloc(1, sizeof *sock->past);
	if (sock->past)
		tern_tcp_info(run_stack(sock->run), sock->conn, sock->past);
}

static void relay_done(void *context, const struct tern_relay_result *result)
{
	struct sock *sock = context;
	sock->relay = NULL;
	if (result->error && result->error != TERN_ECONNABORTED)
		sock->error = tern_errno_of(result->error);
	if (result->gone && !(sock->shut == SHUT_BOTH && tern_sock_alive(sock)))
		tern_sock_free(sock);
}

/* One whose handle is closed, and which had not ended then and has not yet. */
static bool lives_on(const struct sock *sock, struct tern_tcp_info *out)
{
	uint32_t cursor = 0;
	while (sock->past->state != TERN_TCP_CLOSED &&
		tern_tcp_each(run_stack(sock->run), &cursor, out))
		if (out->iss == sock->past->iss && out->local.port == sock->past->local.port &&
			out->remote.port == sock->past->remote.port &&
			tern_addr_equal(&out->local.addr, &sock->past->local.addr) &&
			tern_addr_equal(&out->remote.addr, &sock->past->remote.addr))
			return out->state > TERN_TCP_LISTEN && out->state < TERN_TCP_TIME_WAIT;
	return false;
}

bool tern_run_connection(const struct sock *sock, struct tern_tcp_info *out)
{
	if (sock->relay || sock->state == SOCK_CONNECTING)
		return tern_tcp_info(run_stack(sock->run), sock->conn, out) == 0;
	if (!sock->past)
		return false;
	if (!lives_on(sock, out)) {
		*out = *sock->past;
		out->state = TERN_TCP_CLOSED;
	}
	return true;
}

int tern_run_join(struct sock *sock, int end)
{
	struct tern_relay_opts opts = {.ending = relay_ending,
		.done = relay_done,
		.context = sock,
		.keep_last = true};
	sock->state = SOCK_CONNECTED;
	sock->relay = tern_relay_start(sock->run->host, sock->conn, end, &opts);
	if (!sock->relay)
		return -1;
	tern_relay_reset_on_close(sock->relay, sock->wishes.linger_reset);
	return 0;
}

void tern_run_established(struct sock *sock, int fd)
{
	drain(sock);
	tern_run_widen(fd);
	int end = tern_run_let_go_of_end(sock);
	if (tern_run_join(sock, end) != 0) {
		tern_tcp_abort(run_stack(sock->run), sock->conn);
		close(end);
		answer_connects(sock, refuse(ENOBUFS));
		return;
	}
	answer_connects(sock, returns(0));
}

/* A copy of the program's descriptor, where it was last seen; -1. */
static int where_it_was(struct sock *sock)
{
	for (struct parked *p = sock->parked; p; p = p->next) {
		int fd = tern_run_find_copy(sock, p->tid, p->fd);
		if (fd >= 0)
			return fd;
	}
	return tern_run_find_copy(sock, sock->holder, sock->holder_fd);
}

/* Where it was given another number, or to another process, all are asked; where it is under way in
 * a message, they are asked again. */
static void established(struct sock *sock)
{
	int fd = where_it_was(sock);
	if (fd >= 0) {
		tern_run_established(sock, fd);
		close(fd);
		return;
	}
	HASH_ADD(by_inode, sock->run->sought, inode, sizeof sock->inode, sock);
	sock->sought = true;
	tern_run_seek(sock->run);
}

static void conn_event(void *context, const struct tern_event *event)
{
	struct sock *sock = context;
	if (event->kind == TERN_EV_CONNECTED)
		established(sock);
	else if (event->kind == TERN_EV_ERROR)
		failed(sock, tern_errno_of(event->error));
}

/* The program closed it while it was connecting. */
static void end_ready(void *context, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR))
		tern_sock_free(context);
}

static void read_local(struct sock *sock)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(run_stack(sock->run), sock->conn, &info) == 0)
		sock->local = info.local;
}

static int dial(struct sock *sock, const struct tern_endpoint *to)
{
	struct tern_connect_opts opts = {.remote = *to,
		.rcvbuf = tern_run_wish(sock, TERN_TCP_RCVBUF),
		.sndbuf = tern_run_wish(sock, TERN_TCP_SNDBUF)};
	if (sock->hold.held)
		opts.local = sock->local;
	int rc = tern_tcp_connect(run_stack(sock->run), &opts, &sock->conn);
	if (rc != 0)
		return tern_errno_of(rc);
	sock->remote = *to;
	read_local(sock);
	tern_run_apply_wishes(sock);
	return 0;
}

static int watch_end(struct sock *sock)
{
	sock->end_watch =
		tern_host_watch(sock->run->host, sock->end, EPOLLHUP | EPOLLET, end_ready, sock);
	if (sock->end_watch && tern_host_claim(sock->run->host, sock->conn, conn_event, sock) == 0)
		return 0;
	return ENOBUFS;
}

static int open_connection(struct call *call, const struct tern_endpoint *to)
{
	struct sock *sock = call->sock;
	int error = dial(sock, to);
	if (error)
		return error == EADDRINUSE && !sock->hold.held ? EADDRNOTAVAIL : error;
	set_buffer(call->fd, 0);
	sock->end = meet(sock->run, call->fd);
	if (sock->end < 0) {
		error = errno;
		tern_tcp_abort(run_stack(sock->run), sock->conn);
		sock->state = SOCK_FAILED;
		return error;
	}
	sock->state = SOCK_CONNECTING;
	sock->preamble = fill(call->fd);
	sock->holder = call->tid;
	sock->holder_fd = (int)call->arg[0];
	error = watch_end(sock);
	if (error)
		failed(sock, error);
	return error;
}

static struct verdict wait_for_it(struct call *call)
{
	struct sock *sock = call->sock;
	uint64_t timeout = tern_sock_timeout(call->fd, SO_SNDTIMEO);
	if (fcntl(call->fd, F_GETFL) & O_NONBLOCK)
		return refuse(EINPROGRESS);
	if (!tern_sock_park(sock, call, timeout))
		return refuse(ENOMEM);
	return (struct verdict){ANSWER_PARKED, 0};
}

/* connect() on a socket that has been there before: called again, or restarted after a signal. */
static struct verdict again(struct call *call)
{
	struct sock *sock = call->sock;
	int error = sock->error;
	switch (sock->state) {
	case SOCK_FRESH:
		break;
	case SOCK_LISTENING:
		return refuse(EISCONN);
	case SOCK_CONNECTING:
		if (fcntl(call->fd, F_GETFL) & O_NONBLOCK)
			return refuse(EALREADY);
		return wait_for_it(call);
	case SOCK_CONNECTED:
		if (sock->told)
			return refuse(EISCONN);
		sock->told = true;
		return returns(0);
	case SOCK_FAILED:
		sock->error = 0;
		sock->told = true;
		return refuse(error ? error : ECONNABORTED);
	}
	return leave_it();
}

static struct verdict connect_to(struct call *call, struct tern_endpoint *to)
{
	struct sock *sock = call->sock;
	struct tern_addr any = tern_addr_v4(0, 0, 0, 0);
	if (memcmp(&to->addr, &any, sizeof any) == 0) /* this host: RFC 1122 3.2.1.3, as Linux */
		to->addr = tern_addr_v4(127, 0, 0, 1);
	if (tern_run_is_local(sock->run, &to->addr))
		tern_run_check_listeners(sock->run, to->port);
	call->sandbox->connects++;
	int error = open_connection(call, to);
	return error ? refuse(error) : wait_for_it(call);
}

/* After a failed open, or when its connection was dissolved (to: NULL), Linux's socket is as good
 * as new. Ours is not: another takes its place. */
static struct verdict once_more(struct call *call, struct tern_endpoint *to)
{
	struct places *places = tern_run_places(call);
	int error = places ? tern_run_renew(call, places) : ENOMEM;
	struct verdict v = error ? refuse(error) : to ? connect_to(call, to) : returns(0);
	if (places)
		tern_run_places_end(places, error ? -1 : call->fd);
	return v;
}

/* connect() to an address of AF_UNSPEC dissolves what there is. */
static struct verdict disconnect(struct call *call)
{
	struct sock *sock = call->sock;
	if (sock->state == SOCK_FRESH)
		return returns(0);
	tern_run_listen_end(sock);
	if (sock->relay)
		tern_relay_abort(sock->relay);
	tern_sock_drop_open(sock);
	answer_connects(sock, refuse(ECONNABORTED));
	sock->state = SOCK_FAILED;
	sock->told = true;
	return once_more(call, NULL);
}

static bool names_no_family(const struct call *call)
{
	sa_family_t family;
	return (int)call->arg[2] >= (int)sizeof family &&
	       tern_run_read(call->tid, call->arg[1], &family, sizeof family) &&
	       family == AF_UNSPEC;
}

struct verdict tern_run_connect(struct call *call)
{
	struct sock *sock = call->sock;
	struct tern_endpoint to;
	if (names_no_family(call))
		return disconnect(call);
	int error = tern_run_read_addr(call, call->arg[1], call->arg[2], &to);
	if (error)
		return refuse(error);
	if (sock->state == SOCK_FAILED && sock->told)
		return once_more(call, &to);
	return sock->state == SOCK_FRESH ? connect_to(call, &to) : again(call);
}

/* --- shutdown -------------------------------------------------------------------------- */

struct verdict tern_run_shutdown(struct call *call)
{
	struct sock *sock = call->sock;
	int how = (int)call->arg[1];
	if (how < SHUT_RD || how > SHUT_RDWR)
		return refuse(EINVAL);
	if (sock->state == SOCK_LISTENING) {
		if (how != SHUT_WR)
			tern_run_listen_end(sock);
		return leave_it(); /* accept and poll see it */
	}
	if (sock->state != SOCK_CONNECTED && sock->state != SOCK_CONNECTING)
		return refuse(ENOTCONN);
	sock->shut |= (unsigned)how + 1; /* SHUT_RD, SHUT_WR, SHUT_RDWR: bits, as Linux has it */
	return leave_it();
}
