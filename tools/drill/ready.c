/* poll and epoll: what a descriptor is ready for. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/world.h"

#define MS INT64_C(1000000)

static short conn_ready(struct drill *drill, const struct fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return POLLHUP;
	short ready = 0;
	if (info.error)
		ready |= POLLIN | POLLOUT | POLLHUP | POLLRDHUP | (fd->error_taken ? 0 : POLLERR);
	if (info.unread || info.peer_closed || fd->read_shut)
		ready |= POLLIN | POLLRDNORM;
	if (info.peer_closed || fd->read_shut)
		ready |= POLLRDHUP;
	if ((info.peer_closed || fd->read_shut) && info.shut)
		ready |= POLLHUP;
	if (info.urgent_pending)
		ready |= POLLPRI;
	bool open = info.state != TERN_TCP_SYN_SENT && info.state != TERN_TCP_SYN_RECEIVED;
	if (open && (info.send_room || info.shut))
		ready |= POLLOUT | POLLWRNORM;
	return ready;
}

static short listener_ready(struct drill *drill, const struct fd *fd)
{
	struct tern_listen_info info;
	bool waits = tern_tcp_listen_info(drill->stack, fd->listener, &info) == 0 && info.queued;
	return waits ? POLLIN | POLLRDNORM : 0;
}

static bool set_ready(struct drill *drill, struct epoll_set *set);

short tern_drill_ready(struct drill *drill, int number)
{
	const struct fd *fd = tern_drill_fd(drill, number);
	if (!fd)
		return POLLNVAL;
	switch (fd->kind) {
	case FD_CONN:
		return conn_ready(drill, fd);
	case FD_LISTENER:
		return listener_ready(drill, fd);
	case FD_UDP:
		return POLLOUT | POLLWRNORM;
	case FD_EPOLL:
		return set_ready(drill, fd->epoll) ? POLLIN : 0;
	case FD_PIPE_READ:
		return (short)((fd->pipe->len ? POLLIN : 0) | (fd->pipe->no_writer ? POLLHUP : 0));
	case FD_PIPE_WRITE:
		return (short)((fd->pipe->len < PIPE_ROOM ? POLLOUT : 0) |
			       (fd->pipe->no_reader ? POLLERR : 0));
	case FD_FREE:
	case FD_SOCKET:
		break;
	}
	return POLLOUT | POLLHUP;
}

/* Sets the alarm of a call that may wait so many ms; whether it may wait now. */
static bool may_wait(const struct drill *drill, struct drill_call *call, int timeout)
{
	if (timeout > 0 && call->alarm == INT64_MAX)
		call->alarm = drill->now + timeout * MS;
	return timeout && drill->now < call->alarm;
}

int64_t tern_drill_poll(struct drill *drill, struct drill_call *call)
{
	struct pollfd *fds = (struct pollfd *)call->arg[0];
	size_t n = (size_t)call->arg[1];
	int64_t count = 0;
	for (size_t k = 0; k < n; k++) {
		int wanted = fds[k].events | POLLERR | POLLHUP | POLLNVAL;
		fds[k].revents =
			fds[k].fd < 0 ? 0 : (short)(tern_drill_ready(drill, fds[k].fd) & wanted);
		count += fds[k].revents != 0;
	}
	return !count && may_wait(drill, call, (int)call->arg[2]) ? BLOCKED : count;
}

int64_t tern_drill_epoll_create(struct drill *drill, struct drill_call *call)
{
	if (call->arg[0] <= 0)
		return -EINVAL;
	int number = tern_drill_new_fd(drill, FD_EPOLL);
	if (number < 0)
		return number;
	drill->fd[number].epoll = calloc(1, sizeof(struct epoll_set));
	if (!drill->fd[number].epoll)
		abort();
	return number;
}

static struct watch *find(struct epoll_set *set, int fd)
{
	for (unsigned k = 0; k < set->count; k++)
		if (set->watch[k].fd == fd)
			return &set->watch[k];
	return NULL;
}

int64_t tern_drill_epoll_ctl(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	int number = (int)call->arg[2];
	if (!fd || !tern_drill_fd(drill, number))
		return -EBADF;
	if (fd->kind != FD_EPOLL || number == (int)call->arg[0])
		return -EINVAL;
	struct epoll_set *set = fd->epoll;
	struct watch *watch = find(set, number);
	if (call->arg[1] == EPOLL_CTL_ADD && watch)
		return -EEXIST;
	if (call->arg[1] != EPOLL_CTL_ADD && !watch)
		return -ENOENT;
	if (call->arg[1] == EPOLL_CTL_DEL) {
		*watch = set->watch[--set->count];
		return 0;
	}
	if (!watch && set->count == WATCHES_MAX)
		return -ENOSPC;
	if (!watch)
		watch = &set->watch[set->count++];
	*watch = (struct watch){.fd = number, .edge = true};
	memcpy(&watch->event, (const void *)call->arg[3], sizeof watch->event);
	return 0;
}

/* Whether something happened to a descriptor since its edge-triggered watch was told. */
static bool look_for_edge(struct drill *drill, struct watch *watch)
{
	struct fd *fd = &drill->fd[watch->fd];
	struct tern_tcp_info info;
	if (fd->kind == FD_LISTENER) {
		bool news = fd->accept_edge;
		fd->accept_edge = false;
		return news;
	}
	if (fd->kind != FD_CONN || tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return true;
	bool end = info.peer_closed || info.error;
	bool news = info.rcv_nxt != watch->rcv_nxt || end != watch->told_end || fd->send_edge;
	watch->rcv_nxt = info.rcv_nxt;
	watch->told_end = end;
	fd->send_edge = false;
	return news;
}

static uint32_t watch_ready(struct drill *drill, struct watch *watch)
{
	uint32_t wanted = watch->event.events | EPOLLERR | EPOLLHUP;
	if (watch->spent || !tern_drill_fd(drill, watch->fd))
		return 0;
	if (watch->event.events & EPOLLET && look_for_edge(drill, watch))
		watch->edge = true;
	if (watch->event.events & EPOLLET && !watch->edge)
		return 0;
	return (uint32_t)(uint16_t)tern_drill_ready(drill, watch->fd) & wanted;
}

static bool set_ready(struct drill *drill, struct epoll_set *set)
{
	bool any = false;
	for (unsigned k = 0; k < set->count; k++)
		any |= watch_ready(drill, &set->watch[k]) != 0;
	return any;
}

int64_t tern_drill_epoll_wait(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	struct epoll_event *out = (struct epoll_event *)call->arg[1];
	int64_t max = call->arg[2], count = 0;
	if (!fd)
		return -EBADF;
	if (fd->kind != FD_EPOLL || max <= 0)
		return -EINVAL;
	for (unsigned k = 0; k < fd->epoll->count && count < max; k++) {
		struct watch *watch = &fd->epoll->watch[k];
		uint32_t ready = watch_ready(drill, watch);
		if (!ready)
			continue;
		out[count].events = ready;
		out[count++].data = watch->event.data;
		watch->edge = false;
		watch->spent = watch->event.events & EPOLLONESHOT;
	}
	return !count && may_wait(drill, call, (int)call->arg[3]) ? BLOCKED : count;
}
