/* socket, bind, listen, accept, connect, shutdown, close. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/script/calls.h"

/* The number a new descriptor has is the one the script says it gets. */
static struct script_fd *new_fd(struct run *run, const struct script_pending *p, int64_t *number)
{
	const struct script_expr *result = p->event->call->result;
	*number = result->kind == EXPR_INTEGER ? result->value : -1;
	if (*number < 0 || *number >= FDS_MAX || run->fd[*number].open) {
		tern_script_fail(run,
			"%s() succeeded; the script gives no free descriptor below %d for it",
			p->event->call->name, FDS_MAX);
		return NULL;
	}
	run->fd[*number] = (struct script_fd){.open = true};
	return &run->fd[*number];
}

struct outcome tern_script_call_socket(struct run *run, struct script_pending *p)
{
	int64_t type = tern_script_arg_int(run, p, 1), number;
	int64_t family = tern_script_arg_int(run, p, 0);
	if (tern_script_arg(p, 0)->kind == EXPR_INTEGER && family != AF_INET)
		return refused(EAFNOSUPPORT);
	bool datagram = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM;
	struct script_fd *fd = new_fd(run, p, &number);
	if (!fd)
		return refused(EMFILE);
	fd->kind = FD_SOCKET;
	fd->datagram = datagram;
	fd->nonblock = type & SOCK_NONBLOCK;
	return returned(number);
}

static int open_datagram(struct run *run, struct script_fd *fd)
{
	if (fd->kind == FD_UDP)
		tern_udp_close(run->stack, fd->udp);
	struct tern_udp_opts opts = {.local = fd->local, .remote = fd->remote};
	int err = tern_udp_open(run->stack, &opts, &fd->udp);
	fd->kind = err ? FD_SOCKET : FD_UDP;
	if (!err)
		err = tern_udp_endpoint(run->stack, fd->udp, &fd->local);
	return err;
}

struct outcome tern_script_call_bind(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	if (fd->kind != FD_SOCKET || fd->bound)
		return refused(EINVAL);
	fd->bound = true;
	fd->local = (struct tern_endpoint){run->set.local, run->set.bind_port};
	tern_script_endpoint(run, tern_script_arg(p, 1), &fd->local);
	return fd->datagram ? outcome_of(open_datagram(run, fd)) : returned(0);
}

struct outcome tern_script_call_listen(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	if (fd->kind != FD_SOCKET || fd->datagram)
		return refused(fd->datagram ? EOPNOTSUPP : EINVAL);
	struct tern_listen_opts opts = {.local = fd->local,
		.backlog = (unsigned)tern_script_arg_int(run, p, 1),
		.user = fd,
		.rcvbuf = fd->rcvbuf,
		.sndbuf = fd->sndbuf};
	int err = tern_tcp_listen(run->stack, &opts, &fd->listener);
	if (!err)
		fd->kind = FD_LISTENER;
	return outcome_of(err);
}

static void remember_endpoints(struct run *run, struct script_fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(run->stack, fd->conn, &info) != 0)
		return;
	fd->local = info.local;
	fd->remote = info.remote;
}

struct outcome tern_script_call_accept(struct run *run, struct script_pending *p)
{
	struct script_fd *listener = tern_script_fd(run, p);
	struct tern_conn conn;
	int64_t number;
	if (!listener)
		return refused(EBADF);
	if (listener->kind != FD_LISTENER)
		return refused(EINVAL);
	int err = tern_tcp_accept(run->stack, listener->listener, &conn);
	if (err == TERN_EAGAIN) {
		listener->accept_ready = false;
		return listener->nonblock ? refused(EAGAIN) : blocked();
	}
	struct script_fd *fd = err ? NULL : new_fd(run, p, &number);
	if (!fd)
		return outcome_of(err ? err : TERN_ENOMEM);
	fd->kind = FD_CONN;
	fd->conn = conn;
	fd->connect_reported = true;
	/* accept4's flags */
	fd->nonblock = tern_script_arg_int(run, p, 3) & SOCK_NONBLOCK;
	fd->options = listener->options;
	memcpy(fd->option, listener->option, sizeof fd->option);
	remember_endpoints(run, fd);
	tern_script_apply_options(run, fd);
	return returned(number);
}

static int start_connect(struct run *run, struct script_fd *fd)
{
	struct tern_connect_opts opts = {.remote = fd->remote,
		.user = fd,
		.rcvbuf = fd->rcvbuf,
		.sndbuf = fd->sndbuf};
	if (fd->bound)
		opts.local = fd->local;
	int err = tern_tcp_connect(run->stack, &opts, &fd->conn);
	if (err)
		return err;
	fd->kind = FD_CONN;
	remember_endpoints(run, fd);
	tern_script_apply_options(run, fd);
	tern_script_flow(run, fd->local.port, fd->remote.port)->renumbers = true;
	return 0;
}

static struct outcome connect_datagram(struct run *run, struct script_fd *fd)
{
	int err = open_datagram(run, fd);
	if (!err)
		tern_script_flow(run, fd->local.port, fd->remote.port);
	return outcome_of(err);
}

/* How an open that was begun stands. */
static struct outcome check_connect(struct run *run, struct script_fd *fd, bool fresh)
{
	struct tern_tcp_info info;
	int err = tern_tcp_info(run->stack, fd->conn, &info);
	if (err)
		return outcome_of(err);
	if (info.error && !fd->connect_reported) {
		fd->connect_reported = fd->error_taken = true;
		return outcome_of(info.error);
	}
	if (info.error)
		return refused(ECONNABORTED);
	if (info.state == TERN_TCP_SYN_SENT || info.state == TERN_TCP_SYN_RECEIVED) {
		if (fd->nonblock)
			return refused(fresh ? EINPROGRESS : EALREADY);
		return blocked();
	}
	if (fd->connect_reported)
		return refused(EISCONN);
	fd->connect_reported = true;
	return returned(0);
}

struct outcome tern_script_call_connect(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	if (fd->kind == FD_LISTENER)
		return refused(EISCONN);
	if (fd->kind == FD_CONN)
		return check_connect(run, fd, false);
	fd->remote = (struct tern_endpoint){run->set.remote, run->set.connect_port};
	tern_script_endpoint(run, tern_script_arg(p, 1), &fd->remote);
	if (fd->datagram)
		return connect_datagram(run, fd);
	int err = start_connect(run, fd);
	return err ? outcome_of(err) : check_connect(run, fd, true);
}

struct outcome tern_script_call_shutdown(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	int64_t how = tern_script_arg_int(run, p, 1);
	if (!fd)
		return refused(EBADF);
	if (fd->kind != FD_CONN)
		return refused(ENOTCONN);
	if (how != SHUT_WR)
		fd->read_shut = true;
	return how == SHUT_RD ? returned(0) : outcome_of(tern_tcp_shutdown(run->stack, fd->conn));
}

static int close_fd(struct run *run, struct script_fd *fd)
{
	switch (fd->kind) {
	case FD_LISTENER:
		return tern_tcp_listen_close(run->stack, fd->listener);
	case FD_CONN:
		if (fd->linger_reset)
			return tern_tcp_abort(run->stack, fd->conn);
		return tern_tcp_close(run->stack, fd->conn);
	case FD_UDP:
		return tern_udp_close(run->stack, fd->udp);
	case FD_FREE:
	case FD_SOCKET:
		return 0;
	}
	return 0;
}

/* The entry stays, for tern_state() to ask about. */
struct outcome tern_script_call_close(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	fd->open = false;
	return outcome_of(close_fd(run, fd));
}

void tern_script_events(struct run *run)
{
	struct tern_event event;
	while (tern_event_next(run->stack, &event))
		if (event.kind == TERN_EV_ACCEPT && event.user)
			((struct script_fd *)event.user)->accept_ready = true;
}
