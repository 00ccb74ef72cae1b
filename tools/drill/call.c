/* A call is tried, finishes, or waits for the clock and the wire. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "tools/drill/world.h"
#include "tools/errnos.h"

int64_t tern_drill_result(int64_t value)
{
	return value < 0 ? -tern_errno_of((int)value) : value;
}

int tern_drill_take_error(struct fd *fd, int err)
{
	if (fd->error_taken)
		return 0;
	fd->error_taken = true;
	return err;
}

struct fd *tern_drill_fd(struct drill *drill, intptr_t number)
{
	if (number < 0 || number >= DRILL_FDS || !drill->fd[number].open)
		return NULL;
	return &drill->fd[number];
}

int tern_drill_new_fd(struct drill *drill, enum fd_kind kind)
{
	int number = drill->opts.open_fd ? drill->opts.open_fd() : drill->next_fd++;
	if (number < 0 || number >= DRILL_FDS) {
		if (number >= 0 && drill->opts.close_fd)
			drill->opts.close_fd(number);
		return -EMFILE;
	}
	struct fd *fd = &drill->fd[number];
	if (fd->open) /* the number was closed behind our back */
		tern_drill_end(drill, fd);
	*fd = (struct fd){.open = true, .kind = kind};
	return number;
}

bool tern_drill_from_sockaddr(intptr_t address, intptr_t len, struct tern_endpoint *out)
{
	struct sockaddr_in in;
	if (!address || len < (intptr_t)sizeof in)
		return false;
	memcpy(&in, (const void *)address, sizeof in);
	if (in.sin_family != AF_INET)
		return false;
	const uint8_t *byte = (const uint8_t *)&in.sin_addr;
	out->addr = tern_addr_v4(byte[0], byte[1], byte[2], byte[3]);
	out->port = ntohs(in.sin_port);
	return true;
}

void tern_drill_to_sockaddr(const struct tern_endpoint *ep, intptr_t address, intptr_t len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(ep->port)};
	socklen_t *room = (socklen_t *)len;
	if (!address || !room)
		return;
	memcpy(&in.sin_addr, ep->addr.byte + 12, 4);
	memcpy((void *)address, &in, *room < sizeof in ? *room : sizeof in);
	*room = sizeof in;
}

static int64_t (*const tries[DRILL_OPS])(struct drill *, struct drill_call *) = {
	[DRILL_SOCKET] = tern_drill_socket,
	[DRILL_BIND] = tern_drill_bind,
	[DRILL_LISTEN] = tern_drill_listen,
	[DRILL_ACCEPT] = tern_drill_accept,
	[DRILL_CONNECT] = tern_drill_connect,
	[DRILL_READ] = tern_drill_read,
	[DRILL_READV] = tern_drill_read,
	[DRILL_RECV] = tern_drill_read,
	[DRILL_RECVFROM] = tern_drill_read,
	[DRILL_RECVMSG] = tern_drill_read,
	[DRILL_WRITE] = tern_drill_write,
	[DRILL_WRITEV] = tern_drill_write,
	[DRILL_SEND] = tern_drill_write,
	[DRILL_SENDTO] = tern_drill_write,
	[DRILL_SENDMSG] = tern_drill_write,
	[DRILL_FCNTL] = tern_drill_fcntl,
	[DRILL_IOCTL] = tern_drill_ioctl,
	[DRILL_CLOSE] = tern_drill_end_call,
	[DRILL_SHUTDOWN] = tern_drill_shutdown,
	[DRILL_GETSOCKOPT] = tern_drill_getsockopt,
	[DRILL_SETSOCKOPT] = tern_drill_setsockopt,
	[DRILL_POLL] = tern_drill_poll,
	[DRILL_EPOLL_CREATE] = tern_drill_epoll_create,
	[DRILL_EPOLL_CTL] = tern_drill_epoll_ctl,
	[DRILL_EPOLL_WAIT] = tern_drill_epoll_wait,
	[DRILL_PIPE] = tern_drill_pipe,
	[DRILL_SPLICE] = tern_drill_splice,
};

static void wait_turn(struct drill *drill, struct drill_call *call)
{
	struct drill_call **tail = &drill->blocked;
	while (*tail)
		tail = &(*tail)->next;
	call->next = NULL;
	*tail = call;
}

/* Also tries a blocked call again: it keeps what it has done so far. */
void tern_drill_call(struct drill *drill, struct drill_call *call)
{
	if (!call->alarm)
		call->alarm = INT64_MAX;
	int64_t value = tries[call->op](drill, call);
	if (value == BLOCKED) {
		wait_turn(drill, call);
		return;
	}
	call->finished = true;
	call->time = drill->now;
	call->result = value < 0 ? -1 : value;
	call->error = value < 0 ? (int)-value : 0;
}

void tern_drill_interrupt(struct drill *drill, struct drill_call *call)
{
	for (struct drill_call **link = &drill->blocked; *link; link = &(*link)->next) {
		if (*link != call)
			continue;
		*link = call->next;
		call->finished = true;
		call->time = drill->now;
		call->result = -1;
		call->error = EINTR;
		return;
	}
}

enum tern_tcp_state tern_drill_state(const struct drill *drill, int number)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	if (number < 0 || number >= DRILL_FDS)
		return TERN_TCP_CLOSED;
	const struct fd *fd = &drill->fd[number];
	while (tern_tcp_each(drill->stack, &cursor, &info))
		if (info.local.port == fd->local.port && info.remote.port == fd->remote.port)
			return info.state;
	return TERN_TCP_CLOSED;
}

bool tern_drill_endpoints(const struct drill *drill, int number, struct tern_endpoint *local,
	struct tern_endpoint *remote)
{
	if (number < 0 || number >= DRILL_FDS || drill->fd[number].kind == FD_FREE)
		return false;
	*local = drill->fd[number].local;
	*remote = drill->fd[number].remote;
	return true;
}
