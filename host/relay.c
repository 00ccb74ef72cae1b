/*
 * A relay pumps each direction until its source is dry or its sink is full, and then waits for the
 * one event that ends that: the descriptor's edges from epoll, the connection's from the stack.
 *Both tell each edge once, so what is known is kept in fd_readable and fd_writable.
 *
 *	fd -> conn    OPEN, then ENDED (end of file: our FIN is queued)
 *	conn -> fd    OPEN, then ENDED (the peer's FIN: SHUT_WR) or BROKEN (nobody reads any more)
 *
 * With both over, the handle and the descriptor are closed; the stack sees the goodbye through.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <tern/relay.h>
#include <tern/tcp.h>
#include <unistd.h>

#include "host/host.h"

#define SPANS     64
#define CHUNK_MAX (128u << 10) /* bytes asked of the send buffer at a time */

enum direction {
	OPEN,
	ENDED,
	BROKEN,
};

struct tern_relay {
	struct tern_host *host;
	struct tern_relay *next, **link; /* of the host's relays */
	struct tern_conn conn;
	int fd;
	struct tern_watch *watch;
	struct tern_relay_opts opts;
	struct tern_relay_result result;
	enum direction from_fd, to_fd;
	bool fd_readable, fd_writable; /* until EAGAIN says otherwise */
	bool fd_ending;                /* epoll told of an end: read on, to find it */
	bool gone;                     /* the program has closed: what arrives is nobody's */
	bool eof;                      /* the peer's FIN was seen */
	bool over;                     /* finish: freed by whoever entered */
	bool ahead;                    /* keep_last: the first byte waiting was passed on already */
	bool reset_on_close;
};

static struct tern_stack *stack_of(struct tern_relay *r)
{
	return tern_host_stack(r->host);
}

/* A TCP socket that lingers 0 s is reset when closed; others only end. */
static void close_reset(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(fd);
}

/* Lets go of everything but the memory. error: 0, or why the connection ended. */
static void finish(struct tern_relay *r, int error, bool abort)
{
	if (r->over)
		return;
	r->over = true;
	r->result.error = error;
	if (r->opts.ending)
		r->opts.ending(r->opts.context);
	tern_host_claim(r->host, r->conn, NULL, NULL);
	if (abort)
		tern_tcp_abort(stack_of(r), r->conn);
	else
		tern_tcp_close(stack_of(r), r->conn);
	tern_host_unwatch(r->host, r->watch);
	if (error) {
		close_reset(r->fd);
		return;
	}
	if (r->opts.keep_last) {
		char last;
		ssize_t n = recv(r->fd, &last, 1, MSG_DONTWAIT);
		(void)n; /* nothing left unread: the other end sees an end of file */
	}
	close(r->fd);
}

static size_t lend(const struct tern_span *spans, int n, struct iovec *iov)
{
	size_t bytes = 0;
	for (int i = 0; i < n; i++) {
		iov[i] = (struct iovec){spans[i].data, spans[i].len};
		bytes += spans[i].len;
	}
	return bytes;
}

/* --- fd -> connection ---------------------------------------------------------------- */

static void fd_ended(struct tern_relay *r)
{
	r->from_fd = ENDED;
	if (r->to_fd != BROKEN) /* else close says it all */
		tern_tcp_shutdown(stack_of(r), r->conn);
}

size_t tern_relay_waiting(const struct tern_relay *r)
{
	int queued = 0;
	if (ioctl(r->fd, FIONREAD, &queued) != 0 || queued < r->ahead)
		return 0;
	return (size_t)queued - r->ahead;
}

/* Cuts the vectors at offset; returns where the byte there goes. */
static void *cut(struct iovec *iov, int n, size_t offset)
{
	void *at = NULL;
	for (int i = 0; i < n; i++) {
		if (offset < iov[i].iov_len) {
			at = at ? at : (char *)iov[i].iov_base + offset;
			iov[i].iov_len = offset;
		}
		offset -= iov[i].iov_len;
	}
	return at;
}

/* Whether the next byte was sent with MSG_OOB. Of several that wait, only the last is marked. */
static bool at_mark(const struct tern_relay *r)
{
	int mark = 0;
	return ioctl(r->fd, SIOCATMARK, &mark) == 0 && mark;
}

/* Reads at most want of the `fresh` bytes waiting into iov[1] and on, not past a mark; the last of
 * all is only looked at. */
static ssize_t read_but_last(struct tern_relay *r, struct iovec *iov, int n, size_t want,
	size_t fresh)
{
	char stale;
	size_t take = want == fresh ? want - 1 : want, off = take + r->ahead;
	iov[0] = (struct iovec){&stale, r->ahead};
	void *last = cut(iov, n, off);
	ssize_t got = off > 0 ? readv(r->fd, iov, n) : 0;
	if (got < (ssize_t)r->ahead)
		return -1;
	got -= r->ahead;
	r->ahead = false;
	if ((size_t)got < take || want < fresh || at_mark(r))
		return got;
	if (recv(r->fd, last, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		return -1;
	r->ahead = true;
	return got + 1;
}

/* Passes on the byte at the mark; the last of all stays. */
static bool read_urgent(struct tern_relay *r, bool last)
{
	char byte;
	if (recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
		finish(r, TERN_ECONNABORTED, true);
		return false;
	}
	if (tern_tcp_write_urgent(stack_of(r), r->conn, &byte, 1) != 1)
		return false; /* WRITABLE or ERROR follows */
	r->result.from_fd++;
	r->ahead = last || recv(r->fd, &byte, 1, MSG_DONTWAIT) != 1;
	return true;
}

/* As read_fd, for a descriptor whose last byte stays. */
static bool read_fd_keeping_last(struct tern_relay *r)
{
	struct tern_span spans[SPANS];
	struct iovec iov[SPANS + 1];
	size_t fresh = tern_relay_waiting(r);
	if (fresh == 0) {
		r->fd_readable = false;
		if (r->fd_ending)
			fd_ended(r);
		return false;
	}
	if (!r->ahead && at_mark(r))
		return read_urgent(r, fresh == 1);
	int n = tern_tcp_room(stack_of(r), r->conn, fresh < CHUNK_MAX ? fresh : CHUNK_MAX, spans,
		SPANS);
	if (n <= 0)
		return false; /* WRITABLE, CONNECTED or ERROR follows */
	size_t asked = lend(spans, n, iov + 1);
	size_t want = asked < fresh ? asked : fresh;
	ssize_t got = read_but_last(r, iov, n + 1, want, fresh);
	tern_tcp_commit(stack_of(r), r->conn, got > 0 ? (size_t)got : 0);
	if (got < 0) { /* nobody else reads here */
		finish(r, TERN_ECONNABORTED, true);
		return false;
	}
	r->result.from_fd += (uint64_t)got;
	return true;
}

/* Reads once, into the send ring. True to go on. */
static bool read_fd(struct tern_relay *r)
{
	if (r->opts.keep_last)
		return read_fd_keeping_last(r);
	struct tern_span spans[SPANS];
	struct iovec iov[SPANS];
	int n = tern_tcp_room(stack_of(r), r->conn, CHUNK_MAX, spans, SPANS);
	if (n <= 0)
		return false; /* WRITABLE, CONNECTED or ERROR follows */
	size_t asked = lend(spans, n, iov);
	ssize_t got = readv(r->fd, iov, n);
	tern_tcp_commit(stack_of(r), r->conn, got > 0 ? (size_t)got : 0);
	if (got > 0) {
		r->result.from_fd += (uint64_t)got;
		/* A short read has emptied it; what comes later is a new edge. */
		r->fd_readable = (size_t)got == asked || r->fd_ending;
		return r->fd_readable;
	}
	if (got == 0) {
		fd_ended(r);
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		r->fd_readable = false;
	} else if (errno != EINTR) {
		finish(r, TERN_ECONNABORTED,
			true); /* ECONNRESET: the program was reset, or left data unread */
	}
	return errno == EINTR && got < 0;
}

/* --- connection -> fd ---------------------------------------------------------------- */

/* Writes what was lent, at most as far as the peer's urgent byte, or that one byte. */
static ssize_t write_spans(struct tern_relay *r, struct iovec *iov, int n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	uint32_t urgent = r->opts.keep_last ? tern_tcp_urgent(stack_of(r), r->conn) : 0;
	if (urgent)
		cut(iov, n, urgent > 1 ? urgent - 1 : 1);
	if (urgent == 1) {
		ssize_t put = sendmsg(r->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_OOB);
		if (put >= 0 || errno != EOPNOTSUPP) /* a kernel without it: in line */
			return put;
	}
	return sendmsg(r->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool write_fd(struct tern_relay *r)
{
	struct tern_span spans[SPANS];
	struct iovec iov[SPANS];
	int n = tern_tcp_peek(stack_of(r), r->conn, spans, SPANS);
	if (n <= 0) {
		if (r->eof) {
			r->to_fd = ENDED;
			shutdown(r->fd, SHUT_WR);
		}
		return false;
	}
	lend(spans, n, iov);
	ssize_t put = write_spans(r, iov, n);
	if (put > 0) {
		r->result.to_fd += (uint64_t)put;
		tern_tcp_consume(stack_of(r), r->conn, (size_t)put);
		return true;
	}
	if (put < 0 && errno == EINTR)
		return true;
	if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		r->fd_writable = false;
	else
		r->to_fd =
			BROKEN; /* EPIPE, ECONNRESET: what the program still wrote goes out first */
	return false;
}

/* The program has stopped reading but goes on writing: swallow and keep acknowledging. */
static void discard(struct tern_relay *r)
{
	struct tern_span span;
	while (tern_tcp_peek(stack_of(r), r->conn, &span, 1) > 0)
		tern_tcp_consume(stack_of(r), r->conn, span.len);
}

/* --- both ---------------------------------------------------------------------------- */

/* RFC 1122 4.2.2.13: bytes that a program which has closed will never read mean a reset, whatever
 * of its own has still to go. */
static bool closed_on_unread(struct tern_relay *r)
{
	struct tern_span span;
	return r->gone && tern_tcp_peek(stack_of(r), r->conn, &span, 1) > 0;
}

/* Moves what can be moved; then ends what has ended. */
static void pump(struct tern_relay *r)
{
	if (!r->over && closed_on_unread(r))
		finish(r, TERN_ECONNABORTED, true);
	while (!r->over && r->to_fd == OPEN && r->fd_writable && write_fd(r))
		;
	while (!r->over && r->from_fd == OPEN && r->fd_readable && read_fd(r))
		;
	if (!r->over && r->to_fd == BROKEN && !r->gone && r->from_fd == OPEN)
		discard(r);
	if (!r->over && r->from_fd == ENDED && r->to_fd != OPEN)
		finish(r, 0, false);
}

/* Last act of every entry point: nothing may touch r afterwards. */
static void leave(struct tern_relay *r)
{
	if (!r->over)
		return;
	struct tern_relay_opts opts = r->opts;
	struct tern_relay_result result = r->result;
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	free(r);
	if (opts.done)
		opts.done(opts.context, &result);
}

static void fd_ready(void *context, uint32_t events)
{
	struct tern_relay *r = context;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		r->fd_readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		r->fd_writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		r->fd_ending = true;
	/* Only an end that closed with something unread, or was reset, has an error. */
	if (events & EPOLLHUP && r->to_fd != ENDED)
		r->result.gone = true;
	if (events & EPOLLERR && r->opts.keep_last)
		finish(r, TERN_ECONNABORTED, true);
	if (events & EPOLLHUP && r->reset_on_close)
		finish(r, TERN_ECONNABORTED, true);
	/* Hung up, and not by our own SHUT_WR: the program can neither read nor write any more. */
	if (events & EPOLLHUP && r->to_fd != ENDED) {
		r->to_fd = BROKEN;
		r->gone = true;
	}
	pump(r);
	leave(r);
}

static void dead(struct tern_relay *r, int error)
{
	if (r->to_fd == OPEN) /* bytes that came before it are still the program's */
		while (r->fd_writable && write_fd(r))
			;
	finish(r, error, true);
}

static void conn_event(void *context, const struct tern_event *event)
{
	struct tern_relay *r = context;
	switch (event->kind) {
	case TERN_EV_CONNECTED:
		r->result.connected = true;
		if (r->opts.connected)
			r->opts.connected(r->opts.context);
		break;
	case TERN_EV_EOF:
		r->eof = true;
		break;
	case TERN_EV_ERROR:
		dead(r, event->error);
		break;
	case TERN_EV_READABLE:
	case TERN_EV_WRITABLE:
	case TERN_EV_NONE:
	case TERN_EV_ACCEPT:
	case TERN_EV_URGENT:
	case TERN_EV_SENT:
	case TERN_EV_UDP:
		break;
	}
	pump(r);
	leave(r);
}

/* Bytes sent with MSG_OOB are read where they were sent. */
static void keep_in_line(int fd)
{
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

static void enlist(struct tern_relay *r)
{
	r->next = r->host->relays;
	r->link = &r->host->relays;
	if (r->next)
		r->next->link = &r->next;
	*r->link = r;
}

struct tern_relay *tern_relay_start(struct tern_host *host, struct tern_conn conn, int fd,
	const struct tern_relay_opts *opts)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(tern_host_stack(host), conn, &info) != 0 || info.state == TERN_TCP_CLOSED)
		return NULL;
	struct tern_relay *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->host = host;
	r->conn = conn;
	r->fd = fd;
	if (opts)
		r->opts = *opts;
	r->result.local = info.local;
	r->result.remote = info.remote;
	r->result.connected = info.state >= TERN_TCP_ESTABLISHED;
	r->eof = info.peer_closed;
	r->ahead = r->opts.keep_last;
	if (r->opts.keep_last)
		keep_in_line(fd);
	/* An edge-triggered watch reports at once what is already so: the first pump comes from
	 * there. */
	r->watch =
		tern_host_watch(host, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, fd_ready, r);
	if (r->watch && tern_host_claim(host, conn, conn_event, r) == 0) {
		enlist(r);
		return r;
	}
	if (r->watch)
		tern_host_unwatch(host, r->watch);
	free(r);
	return NULL;
}

void tern_relay_abort(struct tern_relay *r)
{
	finish(r, TERN_ECONNABORTED, true);
	leave(r);
}

void tern_relay_reset_on_close(struct tern_relay *r, bool reset)
{
	r->reset_on_close = reset;
}

bool tern_relay_flush(struct tern_relay *r)
{
	r->fd_readable = true;
	pump(r);
	bool lives = !r->over;
	leave(r);
	return lives;
}

void tern_relay_status(const struct tern_relay *r, struct tern_relay_result *out)
{
	*out = r->result;
}
