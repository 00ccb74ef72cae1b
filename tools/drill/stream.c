/* Bytes in and out, as read, recv, recvmsg and their kin name them: all become a msghdr. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "tools/drill/world.h"

#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif
#define LENGTH_MAX ((size_t)64 << 20)

/* The message of a call, and its flags. */
static int as_message(const struct drill_call *call, struct msghdr *msg, struct iovec *one)
{
	*msg = (struct msghdr){.msg_iov = one, .msg_iovlen = 1};
	*one = (struct iovec){(void *)call->arg[1], (size_t)call->arg[2]};
	switch ((int)call->op) {
	case DRILL_READV:
	case DRILL_WRITEV:
		msg->msg_iov = (void *)call->arg[1];
		msg->msg_iovlen = (size_t)call->arg[2];
		return 0;
	case DRILL_RECVMSG:
	case DRILL_SENDMSG:
		*msg = *(struct msghdr *)call->arg[1];
		return (int)call->arg[2];
	case DRILL_SENDTO:
		msg->msg_name = (void *)call->arg[4];
		msg->msg_namelen = (socklen_t)call->arg[5];
		return (int)call->arg[3];
	case DRILL_RECV:
	case DRILL_RECVFROM:
	case DRILL_SEND:
		return (int)call->arg[3];
	default:
		return 0;
	}
}

static size_t total(const struct msghdr *msg)
{
	size_t len = 0;
	for (size_t k = 0; k < msg->msg_iovlen; k++)
		len += msg->msg_iov[k].iov_len;
	return len;
}

static uint8_t *room_for(size_t len)
{
	uint8_t *bytes = malloc(len ? len : 1);
	if (!bytes)
		abort();
	return bytes;
}

/* NULL, where bytes should be. */
static bool bad_address(const struct msghdr *msg)
{
	if (msg->msg_iovlen && !msg->msg_iov)
		return true;
	for (size_t k = 0; k < msg->msg_iovlen; k++)
		if (msg->msg_iov[k].iov_len && !msg->msg_iov[k].iov_base)
			return true;
	return false;
}

/* Puts bytes at a place of the message. */
static void scatter(const struct msghdr *msg, size_t place, const uint8_t *bytes, size_t len)
{
	for (size_t k = 0; k < msg->msg_iovlen && len; k++) {
		const struct iovec *v = &msg->msg_iov[k];
		if (place >= v->iov_len) {
			place -= v->iov_len;
			continue;
		}
		size_t n = v->iov_len - place < len ? v->iov_len - place : len;
		memcpy((uint8_t *)v->iov_base + place, bytes, n);
		bytes += n;
		len -= n;
		place = 0;
	}
}

/* Takes len bytes from a place of the message on. */
static void gather(const struct msghdr *msg, size_t place, uint8_t *bytes, size_t len)
{
	for (size_t k = 0; k < msg->msg_iovlen && len; k++) {
		const struct iovec *v = &msg->msg_iov[k];
		if (place >= v->iov_len) {
			place -= v->iov_len;
			continue;
		}
		size_t n = v->iov_len - place < len ? v->iov_len - place : len;
		memcpy(bytes, (const uint8_t *)v->iov_base + place, n);
		bytes += n;
		len -= n;
		place = 0;
	}
}

/* --- in ---------------------------------------------------------------------------------- */

static int64_t peek(struct drill *drill, struct fd *fd, uint8_t *bytes, size_t len)
{
	struct tern_span spans[64];
	struct tern_tcp_info info;
	size_t done = 0;
	int n = tern_tcp_peek(drill->stack, fd->conn, spans, 64);
	for (int k = 0; k < n; k++) {
		size_t part = spans[k].len < len - done ? spans[k].len : len - done;
		memcpy(bytes + done, spans[k].data, part);
		done += part;
	}
	if (n < 0 || done || tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return n < 0 ? n : (int64_t)done;
	if (info.error)
		return info.error;
	return info.peer_closed ? 0 : TERN_EAGAIN;
}

/* Before ESTABLISHED a blocking call waits, as Linux's does. */
static bool opening(struct drill *drill, const struct fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return false;
	return !info.error &&
	       (info.state == TERN_TCP_SYN_SENT || info.state == TERN_TCP_SYN_RECEIVED);
}

static int64_t read_once(struct drill *drill, struct drill_call *call, struct fd *fd,
	const struct msghdr *msg, int flags)
{
	size_t place = (size_t)call->done, len = total(msg) - place;
	uint8_t *bytes = room_for(len);
	int64_t n = flags & MSG_PEEK ? peek(drill, fd, bytes, len)
				     : tern_tcp_read(drill->stack, fd->conn, bytes, len);
	if (n > 0 && !(flags & MSG_TRUNC))
		scatter(msg, place, bytes, (size_t)n);
	free(bytes);
	return n == TERN_ENOTCONN && opening(drill, fd) ? TERN_EAGAIN : n;
}

static int64_t read_stream(struct drill *drill, struct drill_call *call, struct fd *fd,
	const struct msghdr *msg, int flags)
{
	if (flags & MSG_OOB)
		return -EINVAL; /* urgent data is in line: RFC 6093 */
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	int64_t n = read_once(drill, call, fd, msg, flags);
	if (n > 0 && flags & MSG_WAITALL) {
		call->done += n;
		return call->done == (int64_t)total(msg) ? call->done : BLOCKED;
	}
	if (n == TERN_EAGAIN && fd->read_shut)
		return 0;
	if (n == TERN_EAGAIN)
		return fd->nonblock || flags & MSG_DONTWAIT ? -EAGAIN : BLOCKED;
	if (n >= 0)
		return call->done + n;
	return tern_drill_result(tern_drill_take_error(fd, (int)n));
}

static int64_t read_datagram(struct drill *drill, struct fd *fd, struct msghdr *msg, int flags)
{
	size_t len = total(msg);
	struct tern_endpoint from = {0};
	uint8_t *bytes = room_for(len);
	int64_t n = tern_udp_recv(drill->stack, fd->udp, bytes, len, &from, NULL);
	if (n > (int64_t)len) {
		n = (int64_t)len;
		msg->msg_flags |= MSG_TRUNC;
	}
	if (n > 0)
		scatter(msg, 0, bytes, (size_t)n);
	free(bytes);
	if (n >= 0 && msg->msg_name)
		tern_drill_to_sockaddr(&from, (intptr_t)msg->msg_name, (intptr_t)&msg->msg_namelen);
	if (n == TERN_EAGAIN)
		return fd->nonblock || flags & MSG_DONTWAIT ? -EAGAIN : BLOCKED;
	return tern_drill_result(n);
}

/* TCP_INQ: how much more there is to read, the end counting as one. */
static void tell_inq(struct drill *drill, const struct fd *fd, struct msghdr *msg)
{
	struct tern_tcp_info info;
	size_t room = msg->msg_controllen;
	msg->msg_controllen = 0;
	if (!fd->tells_inq || tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return;
	if (!msg->msg_control || room < CMSG_SPACE(sizeof(int))) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	int left = (int)(info.unread ? info.unread : info.peer_closed);
	msg->msg_controllen = CMSG_SPACE(sizeof left);
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	*c = (struct cmsghdr){.cmsg_level = IPPROTO_TCP,
		.cmsg_type = TCP_CM_INQ,
		.cmsg_len = CMSG_LEN(sizeof left)};
	memcpy(CMSG_DATA(c), &left, sizeof left);
}

/* What recvfrom and recvmsg say besides the bytes. */
static void tell_message(struct drill *drill, const struct drill_call *call, const struct fd *fd,
	struct msghdr *msg)
{
	if (call->op == DRILL_RECVMSG) {
		if (fd->kind == FD_CONN)
			tell_inq(drill, fd, msg);
		else
			msg->msg_controllen = 0;
		*(struct msghdr *)call->arg[1] = *msg;
	} else if (call->op == DRILL_RECVFROM && call->arg[4] && call->arg[5]) {
		*(socklen_t *)call->arg[5] = msg->msg_namelen;
	}
}

int64_t tern_drill_read(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	struct msghdr msg;
	struct iovec one;
	int flags = as_message(call, &msg, &one);
	if (!fd)
		return -EBADF;
	if (fd->kind != FD_UDP && fd->kind != FD_CONN)
		return fd->kind >= FD_EPOLL ? -EINVAL : -ENOTCONN;
	if (call->op == DRILL_RECVFROM && call->arg[4] && call->arg[5]) {
		msg.msg_name = (void *)call->arg[4];
		msg.msg_namelen = *(socklen_t *)call->arg[5];
	}
	if (bad_address(&msg))
		return -EFAULT;
	if (total(&msg) > LENGTH_MAX)
		return -EINVAL;
	msg.msg_flags = 0;
	if (fd->kind == FD_CONN)
		msg.msg_namelen = 0;
	int64_t n = fd->kind == FD_UDP ? read_datagram(drill, fd, &msg, flags)
				       : read_stream(drill, call, fd, &msg, flags);
	if (n >= 0)
		tell_message(drill, call, fd, &msg);
	return n;
}

/* --- out --------------------------------------------------------------------------------- */

static int64_t write_once(struct drill *drill, struct drill_call *call, struct fd *fd,
	const struct msghdr *msg, int flags)
{
	size_t place = (size_t)call->done, len = total(msg) - place;
	uint8_t *bytes = room_for(len);
	gather(msg, place, bytes, len);
	unsigned how =
		(flags & MSG_EOR ? TERN_SEND_EOR : 0u) | (flags & MSG_MORE ? TERN_SEND_MORE : 0u);
	int64_t n = flags & MSG_OOB ? tern_tcp_write_urgent(drill->stack, fd->conn, bytes, len)
				    : tern_tcp_send(drill->stack, fd->conn, bytes, len, how);
	free(bytes);
	return n == TERN_ENOTCONN && opening(drill, fd) ? TERN_EAGAIN : n;
}

static int64_t write_stream(struct drill *drill, struct drill_call *call, struct fd *fd,
	const struct msghdr *msg, int flags)
{
	const int known = MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR;
	bool wait = !fd->nonblock && !(flags & MSG_DONTWAIT);
	int64_t len = (int64_t)total(msg);
	if (flags & ~known || (flags & MSG_OOB && flags & MSG_EOR))
		return -EOPNOTSUPP;
	int64_t n = write_once(drill, call, fd, msg, flags);
	if (n >= 0) {
		call->done += n;
		return call->done < len && wait ? BLOCKED : call->done;
	}
	if (n == TERN_EAGAIN && wait)
		return BLOCKED;
	if (call->done)
		return call->done;
	if (n == TERN_EAGAIN)
		return -EAGAIN;
	int err = tern_drill_take_error(fd, (int)n);
	return tern_drill_result(err ? err : TERN_EPIPE);
}

static int64_t write_datagram(struct drill *drill, struct fd *fd, const struct msghdr *msg)
{
	size_t len = total(msg);
	struct tern_endpoint to;
	bool named = tern_drill_from_sockaddr((intptr_t)msg->msg_name, msg->msg_namelen, &to);
	uint8_t *bytes = room_for(len);
	gather(msg, 0, bytes, len);
	if (named)
		fd->remote = to;
	int err = tern_udp_send(drill->stack, fd->udp, bytes, len, named ? &to : NULL);
	free(bytes);
	return err ? tern_drill_result(err) : (int64_t)len;
}

int64_t tern_drill_write(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	struct msghdr msg;
	struct iovec one;
	int flags = as_message(call, &msg, &one);
	if (!fd)
		return -EBADF;
	if (fd->kind >= FD_EPOLL)
		return -EINVAL;
	if (fd->kind != FD_UDP && fd->kind != FD_CONN)
		return -EPIPE;
	if (bad_address(&msg))
		return -EFAULT;
	if (total(&msg) > LENGTH_MAX)
		return -EINVAL;
	return fd->kind == FD_UDP ? write_datagram(drill, fd, &msg)
				  : write_stream(drill, call, fd, &msg, flags);
}
