/* socket, bind, listen, accept, connect, shutdown, close. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/world.h"

int64_t tern_drill_socket(struct drill *drill, struct drill_call *call)
{
	int type = (int)call->arg[1], kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	int protocol = (int)call->arg[2];
	if (call->arg[0] != AF_INET)
		return -EAFNOSUPPORT;
	if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol && protocol != (kind == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP))
		return -EPROTONOSUPPORT;
	int number = tern_drill_new_fd(drill, FD_SOCKET);
	if (number >= 0) {
		drill->fd[number].datagram = kind == SOCK_DGRAM;
		drill->fd[number].nonblock = type & SOCK_NONBLOCK;
	}
	return number;
}

static int open_datagram(struct drill *drill, struct fd *fd)
{
	if (fd->kind == FD_UDP)
		tern_udp_close(drill->stack, fd->udp);
	struct tern_udp_opts opts = {.local = fd->local, .remote = fd->remote};
	int err = tern_udp_open(drill->stack, &opts, &fd->udp);
	fd->kind = err ? FD_SOCKET : FD_UDP;
	return err ? err : tern_udp_endpoint(drill->stack, fd->udp, &fd->local);
}

int64_t tern_drill_bind(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	if (!fd)
		return -EBADF;
	if (fd->kind != FD_SOCKET || fd->bound)
		return -EINVAL;
	if (!tern_drill_from_sockaddr(call->arg[1], call->arg[2], &fd->local))
		return -EAFNOSUPPORT;
	fd->bound = true;
	return fd->datagram ? tern_drill_result(open_datagram(drill, fd)) : 0;
}

int64_t tern_drill_listen(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	if (!fd)
		return -EBADF;
	if (fd->kind == FD_LISTENER)
		return tern_drill_result(tern_tcp_listen_backlog(drill->stack, fd->listener,
			(uint32_t)call->arg[1]));
	if (fd->kind != FD_SOCKET || fd->datagram)
		return fd->datagram ? -EOPNOTSUPP : -EINVAL;
	struct tern_listen_opts opts = {.local = fd->local,
		.backlog = (unsigned)call->arg[1],
		.user = fd,
		.rcvbuf = fd->rcvbuf,
		.sndbuf = fd->sndbuf};
	int err = tern_tcp_listen(drill->stack, &opts, &fd->listener);
	if (!err) {
		fd->kind = FD_LISTENER;
		tern_drill_apply_to_listener(drill, fd);
	}
	return tern_drill_result(err);
}

static void remember_endpoints(struct drill *drill, struct fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return;
	fd->local = info.local;
	fd->remote = info.remote;
}

/* What a connection has of its listener. */
static void inherit(struct drill *drill, struct fd *fd, const struct fd *listener)
{
	fd->connect_reported = true;
	fd->tells_inq = listener->tells_inq;
	fd->cork = listener->cork;
	fd->rcvbuf = listener->rcvbuf;
	fd->sndbuf = listener->sndbuf;
	fd->linger_reset = listener->linger_reset;
	fd->options = listener->options;
	memcpy(fd->option, listener->option, sizeof fd->option);
	remember_endpoints(drill, fd);
	tern_tcp_set_user(drill->stack, fd->conn, fd);
	tern_drill_apply_options(drill, fd);
}

int64_t tern_drill_accept(struct drill *drill, struct drill_call *call)
{
	struct fd *listener = tern_drill_fd(drill, call->arg[0]);
	struct tern_conn conn;
	if (!listener)
		return -EBADF;
	if (listener->kind != FD_LISTENER)
		return -EINVAL;
	int err = tern_tcp_accept(drill->stack, listener->listener, &conn);
	if (err == TERN_EAGAIN)
		return listener->nonblock ? -EAGAIN : BLOCKED;
	if (err)
		return tern_drill_result(err);
	int number = tern_drill_new_fd(drill, FD_CONN);
	if (number < 0) {
		tern_tcp_abort(drill->stack, conn);
		return number;
	}
	struct fd *fd = &drill->fd[number];
	fd->conn = conn;
	fd->nonblock = call->arg[3] & SOCK_NONBLOCK;
	inherit(drill, fd, listener);
	tern_drill_to_sockaddr(&fd->remote, call->arg[1], call->arg[2]);
	return number;
}

static int start_connect(struct drill *drill, struct fd *fd)
{
	struct tern_connect_opts opts = {.remote = fd->remote,
		.user = fd,
		.rcvbuf = fd->rcvbuf,
		.sndbuf = fd->sndbuf};
	if (fd->bound)
		opts.local = fd->local;
	int err = tern_tcp_connect(drill->stack, &opts, &fd->conn);
	if (err)
		return err;
	fd->kind = FD_CONN;
	remember_endpoints(drill, fd);
	tern_drill_apply_options(drill, fd);
	return 0;
}

/* How an open that was begun stands. */
static int64_t check_connect(struct drill *drill, struct fd *fd, bool fresh)
{
	struct tern_tcp_info info;
	int err = tern_tcp_info(drill->stack, fd->conn, &info);
	if (err)
		return tern_drill_result(err);
	if (info.error && !fd->connect_reported) {
		fd->connect_reported = fd->error_taken = true;
		return tern_drill_result(info.error);
	}
	if (info.error)
		return -ECONNABORTED;
	if (info.state == TERN_TCP_SYN_SENT || info.state == TERN_TCP_SYN_RECEIVED) {
		if (fd->nonblock)
			return fresh ? -EINPROGRESS : -EALREADY;
		return BLOCKED;
	}
	if (fd->connect_reported)
		return -EISCONN;
	fd->connect_reported = true;
	return 0;
}

int64_t tern_drill_connect(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	if (!fd)
		return -EBADF;
	if (fd->kind == FD_LISTENER)
		return -EISCONN;
	if (fd->kind == FD_CONN)
		return check_connect(drill, fd, false);
	if (fd->kind != FD_SOCKET && fd->kind != FD_UDP)
		return -ENOTSOCK;
	if (!tern_drill_from_sockaddr(call->arg[1], call->arg[2], &fd->remote))
		return -EAFNOSUPPORT;
	if (fd->datagram)
		return tern_drill_result(open_datagram(drill, fd));
	int err = start_connect(drill, fd);
	return err ? tern_drill_result(err) : check_connect(drill, fd, true);
}

int64_t tern_drill_shutdown(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	int how = (int)call->arg[1];
	if (!fd)
		return -EBADF;
	if (fd->kind != FD_CONN)
		return -ENOTCONN;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (how != SHUT_WR)
		fd->read_shut = true;
	return how == SHUT_RD ? 0 : tern_drill_result(tern_tcp_shutdown(drill->stack, fd->conn));
}

static void end_pipe(struct fd *fd)
{
	fd->pipe->no_reader |= fd->kind == FD_PIPE_READ;
	fd->pipe->no_writer |= fd->kind == FD_PIPE_WRITE;
	if (--fd->pipe->ends == 0)
		free(fd->pipe);
}

/* The entry stays, for tern_drill_state() to ask about. */
int tern_drill_end(struct drill *drill, struct fd *fd)
{
	fd->open = false;
	switch (fd->kind) {
	case FD_LISTENER:
		return tern_tcp_listen_close(drill->stack, fd->listener);
	case FD_CONN:
		tern_tcp_set_user(drill->stack, fd->conn, NULL);
		if (fd->linger_reset)
			return tern_tcp_abort(drill->stack, fd->conn);
		return tern_tcp_close(drill->stack, fd->conn);
	case FD_UDP:
		return tern_udp_close(drill->stack, fd->udp);
	case FD_EPOLL:
		free(fd->epoll);
		return 0;
	case FD_PIPE_READ:
	case FD_PIPE_WRITE:
		end_pipe(fd);
		return 0;
	case FD_FREE:
	case FD_SOCKET:
		return 0;
	}
	return 0;
}

int64_t tern_drill_end_call(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	if (!fd)
		return -EBADF;
	int err = tern_drill_end(drill, fd);
	if (drill->opts.close_fd)
		drill->opts.close_fd((int)call->arg[0]);
	return tern_drill_result(err);
}
