/* A pipe, and splice between it and a connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/world.h"

int64_t tern_drill_pipe(struct drill *drill, struct drill_call *call)
{
	int *pair = (int *)call->arg[0];
	if (!pair)
		return -EFAULT;
	pair[0] = tern_drill_new_fd(drill, FD_PIPE_READ);
	if (pair[0] < 0)
		return pair[0];
	struct pipe_buffer *pipe = calloc(1, sizeof *pipe);
	if (!pipe)
		abort();
	pipe->ends = 1;
	drill->fd[pair[0]].pipe = pipe;
	pair[1] = tern_drill_new_fd(drill, FD_PIPE_WRITE);
	if (pair[1] < 0) {
		struct drill_call undo = {.op = DRILL_CLOSE, .arg = {pair[0]}};
		tern_drill_end_call(drill, &undo);
		return pair[1];
	}
	pipe->ends = 2;
	drill->fd[pair[1]].pipe = pipe;
	return 0;
}

static int64_t into_pipe(struct drill *drill, struct fd *conn, struct pipe_buffer *pipe, size_t len,
	bool wait)
{
	size_t room = PIPE_ROOM - pipe->len;
	if (pipe->no_reader)
		return -EPIPE;
	if (room == 0)
		return wait ? BLOCKED : -EAGAIN;
	int64_t n = tern_tcp_read(drill->stack, conn->conn, pipe->data + pipe->len,
		len < room ? len : room);
	if (n == TERN_EAGAIN)
		return wait && !conn->nonblock ? BLOCKED : -EAGAIN;
	if (n > 0)
		pipe->len += (uint32_t)n;
	return tern_drill_result(n);
}

static int64_t out_of_pipe(struct drill *drill, struct pipe_buffer *pipe, struct fd *conn,
	size_t len, bool wait)
{
	if (pipe->len == 0 && pipe->no_writer)
		return 0;
	if (pipe->len == 0)
		return wait ? BLOCKED : -EAGAIN;
	int64_t n = tern_tcp_write(drill->stack, conn->conn, pipe->data,
		len < pipe->len ? len : pipe->len);
	if (n == TERN_EAGAIN)
		return wait && !conn->nonblock ? BLOCKED : -EAGAIN;
	if (n > 0) {
		pipe->len -= (uint32_t)n;
		memmove(pipe->data, pipe->data + n, pipe->len);
	}
	return tern_drill_result(n);
}

int64_t tern_drill_splice(struct drill *drill, struct drill_call *call)
{
	struct fd *in = tern_drill_fd(drill, call->arg[0]);
	struct fd *out = tern_drill_fd(drill, call->arg[2]);
	size_t len = (size_t)call->arg[4];
	bool wait = !(call->arg[5] & 2); /* SPLICE_F_NONBLOCK */
	if (!in || !out)
		return -EBADF;
	if (in->kind == FD_CONN && out->kind == FD_PIPE_WRITE)
		return into_pipe(drill, in, out->pipe, len, wait);
	if (in->kind == FD_PIPE_READ && out->kind == FD_CONN)
		return out_of_pipe(drill, in->pipe, out, len, wait);
	return -EINVAL;
}
