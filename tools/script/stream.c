/* Bytes in and out. What is in them is given by their place in the stream. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tools/script/calls.h"

#define LENGTH_MAX (64 << 20)

static uint8_t *buffer(struct run *run, int64_t len)
{
	if (len < 0 || len > LENGTH_MAX) {
		tern_script_fail(run, "a length of %jd", (intmax_t)len);
		len = 0;
	}
	uint8_t *bytes = malloc((size_t)len + 1);
	if (!bytes)
		abort();
	return bytes;
}

static void check_bytes(struct run *run, const uint8_t *bytes, int64_t len, uint32_t place)
{
	for (int64_t k = 0; k < len; k++) {
		uint8_t want = tern_script_byte(true, place + (uint32_t)k);
		if (bytes[k] == want)
			continue;
		tern_script_fail(run,
			"byte %jd read is 0x%02x; that place of the stream has 0x%02x", (intmax_t)k,
			bytes[k], want);
		return;
	}
}

static int64_t peek(struct run *run, struct script_fd *fd, uint8_t *bytes, int64_t len)
{
	struct tern_span spans[64];
	struct tern_tcp_info info;
	int64_t done = 0;
	int n = tern_tcp_peek(run->stack, fd->conn, spans, 64);
	for (int k = 0; k < n; k++)
		for (size_t b = 0; b < spans[k].len && done < len; b++)
			bytes[done++] = spans[k].data[b];
	if (n < 0 || done || tern_tcp_info(run->stack, fd->conn, &info) != 0)
		return n < 0 ? n : done;
	if (info.error)
		return info.error;
	return info.peer_closed ? 0 : TERN_EAGAIN;
}

/* Before ESTABLISHED a blocking call waits, as Linux's does. */
static bool opening(struct run *run, const struct script_fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(run->stack, fd->conn, &info) != 0)
		return false;
	return !info.error &&
	       (info.state == TERN_TCP_SYN_SENT || info.state == TERN_TCP_SYN_RECEIVED);
}

static int64_t read_once(struct run *run, struct script_fd *fd, int64_t len, int64_t flags)
{
	uint8_t *bytes = buffer(run, len);
	int64_t n;
	if (flags & MSG_PEEK)
		n = peek(run, fd, bytes, len);
	else
		n = tern_tcp_read(run->stack, fd->conn, bytes, (size_t)len);
	check_bytes(run, bytes, n, fd->read);
	if (n > 0 && !(flags & MSG_PEEK))
		fd->read += (uint32_t)n;
	free(bytes);
	if (n == TERN_ENOTCONN && opening(run, fd))
		n = TERN_EAGAIN;
	return n;
}

static struct outcome read_stream(struct run *run, struct script_pending *p, struct script_fd *fd)
{
	int64_t len = tern_script_arg_int(run, p, 2), flags = tern_script_arg_int(run, p, 3);
	if (flags & MSG_OOB)
		return refused(EINVAL); /* urgent data is in line: RFC 6093 */
	if (fd->read_shut)
		return returned(0);
	int64_t n = read_once(run, fd, len - p->done, flags);
	if (n > 0 && flags & MSG_WAITALL) {
		p->done += n;
		return p->done == len ? returned(len) : blocked();
	}
	if (n == TERN_EAGAIN)
		return fd->nonblock || flags & MSG_DONTWAIT ? refused(EAGAIN) : blocked();
	if (n >= 0)
		return returned(p->done + n);
	return outcome_of(tern_script_take_error(fd, (int)n));
}

static struct outcome read_datagram(struct run *run, struct script_pending *p, struct script_fd *fd)
{
	int64_t len = tern_script_arg_int(run, p, 2);
	struct tern_endpoint from;
	uint8_t *bytes = buffer(run, len);
	ptrdiff_t n = tern_udp_recv(run->stack, fd->udp, bytes, (size_t)len, &from, NULL);
	if (n > len)
		n = len;
	check_bytes(run, bytes, n, 0);
	free(bytes);
	if (n == TERN_EAGAIN)
		return fd->nonblock || tern_script_arg_int(run, p, 3) & MSG_DONTWAIT
			       ? refused(EAGAIN)
			       : blocked();
	return n < 0 ? outcome_of((int)n) : returned(n);
}

struct outcome tern_script_call_read(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	if (fd->kind == FD_UDP)
		return read_datagram(run, p, fd);
	return fd->kind == FD_CONN ? read_stream(run, p, fd) : refused(ENOTCONN);
}

static uint8_t *fill(struct run *run, int64_t len, uint32_t place)
{
	uint8_t *bytes = buffer(run, len);
	for (int64_t k = 0; k < len; k++)
		bytes[k] = tern_script_byte(false, place + (uint32_t)k);
	return bytes;
}

static int64_t write_once(struct run *run, struct script_fd *fd, int64_t len, int64_t flags)
{
	uint8_t *bytes = fill(run, len, fd->written);
	int64_t n;
	if (flags & MSG_OOB)
		n = tern_tcp_write_urgent(run->stack, fd->conn, bytes, (size_t)len);
	else
		n = tern_tcp_write(run->stack, fd->conn, bytes, (size_t)len);
	free(bytes);
	if (n > 0)
		fd->written += (uint32_t)n;
	if (n == TERN_ENOTCONN && opening(run, fd))
		n = TERN_EAGAIN;
	return n;
}

static struct outcome write_stream(struct run *run, struct script_pending *p, struct script_fd *fd)
{
	int64_t len = tern_script_arg_int(run, p, 2), flags = tern_script_arg_int(run, p, 3);
	bool wait = !fd->nonblock && !(flags & MSG_DONTWAIT);
	if (flags & ~(MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL))
		return refused(EOPNOTSUPP);
	int64_t n = write_once(run, fd, len - p->done, flags);
	if (n >= 0) {
		p->done += n;
		return p->done < len && wait ? blocked() : returned(p->done);
	}
	if (p->done && !wait)
		return returned(p->done);
	if (n == TERN_EAGAIN)
		return wait ? blocked() : refused(EAGAIN);
	int err = tern_script_take_error(fd, (int)n);
	return outcome_of(err ? err : TERN_EPIPE);
}

static struct outcome write_datagram(struct run *run, struct script_pending *p,
	struct script_fd *fd)
{
	int64_t len = tern_script_arg_int(run, p, 2);
	const struct script_expr *address = tern_script_arg(p, 4);
	struct tern_endpoint to = {run->set.remote, run->set.connect_port};
	tern_script_endpoint(run, address, &to);
	uint8_t *bytes = fill(run, len, 0);
	int err = tern_udp_send(run->stack, fd->udp, bytes, (size_t)len, address ? &to : NULL);
	free(bytes);
	if (!err && address)
		tern_script_flow(run, fd->local.port, to.port);
	return err ? outcome_of(err) : returned(len);
}

struct outcome tern_script_call_write(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	if (!fd)
		return refused(EBADF);
	if (fd->kind == FD_UDP)
		return write_datagram(run, p, fd);
	return fd->kind == FD_CONN ? write_stream(run, p, fd) : refused(EPIPE);
}
