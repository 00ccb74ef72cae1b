#include <errno.h>

#include "tools/run/run.h"

static struct verdict tell(const struct call *call, const struct tern_endpoint *at)
{
	int error = tern_run_write_addr(call->tid, at, call->arg[1], call->arg[2]);
	return error ? refuse(error) : returns(0);
}

struct verdict tern_run_getsockname(struct call *call)
{
	static const struct tern_endpoint none;
	const struct sock *sock = call->sock;
	return tell(call, sock->local.port ? &sock->local : &none);
}

struct verdict tern_run_getpeername(struct call *call)
{
	const struct sock *sock = call->sock;
	struct tern_tcp_info past;
	if (sock->state != SOCK_CONNECTED)
		return refuse(ENOTCONN);
	if (!sock->relay && tern_run_connection(sock, &past) && past.state == TERN_TCP_CLOSED)
		return refuse(ENOTCONN);
	return tell(call, &sock->remote);
}
