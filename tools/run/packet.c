#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/run/join.h"

union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(JOIN_FDS_MAX * sizeof(int))];
};

bool tern_join_send(int fd, const struct join_message *message, const int *fds, unsigned fd_count)
{
	struct join_message copy = *message;
	union rights rights = {0};
	struct iovec iov = {&copy, sizeof copy};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	copy.protocol = JOIN_PROTOCOL;
	if (fd_count > 0) {
		msg.msg_control = &rights;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		rights.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&rights.header), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof copy;
}

static void take_fds(struct msghdr *msg, int fds[JOIN_FDS_MAX])
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), bytes);
	}
}

bool tern_join_recv(int fd, struct join_message *message, int fds[JOIN_FDS_MAX])
{
	union rights rights;
	struct iovec iov = {message, sizeof *message};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof rights};
	ssize_t n;
	for (unsigned i = 0; i < JOIN_FDS_MAX; i++)
		fds[i] = -1;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		errno = n == 0 ? 0 : errno;
		return false;
	}
	take_fds(&msg, fds);
	if (n == (ssize_t)sizeof *message && !(msg.msg_flags & MSG_TRUNC) &&
		message->protocol == JOIN_PROTOCOL) {
		message->text[sizeof message->text - 1] = '\0';
		return true;
	}
	for (unsigned i = 0; i < JOIN_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	errno = EPROTO;
	return false;
}
