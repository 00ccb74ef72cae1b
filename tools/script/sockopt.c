/* Options, flags, readiness: what a descriptor tells of itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tools/script/calls.h"

static bool find_option(int64_t level, int64_t name, enum tern_tcp_option *option)
{
	static const struct {
		int level, name;
		enum tern_tcp_option option;
	} known[] = {
		{IPPROTO_TCP, TCP_NODELAY, TERN_TCP_NODELAY},
		{IPPROTO_TCP, TCP_CORK, TERN_TCP_CORK},
		{IPPROTO_TCP, TCP_QUICKACK, TERN_TCP_QUICKACK},
		{IPPROTO_TCP, TCP_MAXSEG, TERN_TCP_MAXSEG},
		{IPPROTO_TCP, TCP_KEEPIDLE, TERN_TCP_KEEPIDLE},
		{IPPROTO_TCP, TCP_KEEPINTVL, TERN_TCP_KEEPINTVL},
		{IPPROTO_TCP, TCP_KEEPCNT, TERN_TCP_KEEPCNT},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, TERN_TCP_USER_TIMEOUT},
		{SOL_SOCKET, SO_KEEPALIVE, TERN_TCP_KEEPALIVE},
		{SOL_SOCKET, SO_RCVBUF, TERN_TCP_RCVBUF},
		{SOL_SOCKET, SO_SNDBUF, TERN_TCP_SNDBUF},
	};
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (known[k].level == level && known[k].name == name) {
			*option = known[k].option;
			return true;
		}
	return false;
}

void tern_script_apply_options(struct run *run, struct script_fd *fd)
{
	for (unsigned k = 0; k < fd->options; k++)
		(void)tern_tcp_option_set(run->stack, fd->conn, fd->option[k].option,
			fd->option[k].value);
}

static struct outcome set_option(struct run *run, struct script_fd *fd, enum tern_tcp_option option,
	int64_t value)
{
	if (fd->kind == FD_CONN)
		return outcome_of(tern_tcp_option_set(run->stack, fd->conn, option, value));
	if (option == TERN_TCP_RCVBUF) {
		fd->rcvbuf = (uint32_t)value;
	} else if (option == TERN_TCP_SNDBUF) {
		fd->sndbuf = (uint32_t)value;
	} else if (fd->options == FD_OPTIONS_MAX) {
		return refused(ENOBUFS);
	} else {
		fd->option[fd->options].option = option;
		fd->option[fd->options++].value = value;
	}
	return returned(0);
}

struct outcome tern_script_call_setsockopt(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	int64_t level = tern_script_arg_int(run, p, 1), name = tern_script_arg_int(run, p, 2);
	const struct script_expr *arg = tern_script_arg(p, 3);
	int64_t value = 0, linger = 0;
	enum tern_tcp_option option;
	if (!fd)
		return refused(EBADF);
	if (level == SOL_SOCKET && name == SO_LINGER) {
		tern_script_item(arg, "onoff", &value);
		tern_script_item(arg, "linger", &linger);
		fd->linger_reset = value && !linger;
		return value && linger ? refused(EOPNOTSUPP) : returned(0);
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION && arg->kind == EXPR_STRING) {
		value = tern_congestion_number(arg->text);
		return value < 0 ? refused(ENOENT)
				 : set_option(run, fd, TERN_TCP_CONGESTION, value);
	}
	if (!tern_script_item(arg, NULL, &value))
		return refused(EINVAL);
	/* Addresses in TIME_WAIT never hinder a listener here, and urgent data is always in line.
	 */
	if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_OOBINLINE))
		return returned(0);
	if (fd->datagram || !find_option(level, name, &option))
		return refused(ENOPROTOOPT);
	return set_option(run, fd, option, value);
}

static int64_t take_so_error(struct run *run, struct script_fd *fd)
{
	struct tern_tcp_info info;
	if (fd->kind != FD_CONN || tern_tcp_info(run->stack, fd->conn, &info) != 0 || !info.error)
		return 0;
	fd->connect_reported = true;
	return tern_errno_of(tern_script_take_error(fd, info.error));
}

static int get_option(struct run *run, struct script_fd *fd, enum tern_tcp_option option,
	int64_t *value)
{
	if (fd->kind == FD_CONN)
		return tern_tcp_option_get(run->stack, fd->conn, option, value);
	*value = option == TERN_TCP_RCVBUF   ? fd->rcvbuf
		 : option == TERN_TCP_SNDBUF ? fd->sndbuf
					     : 0;
	for (unsigned k = 0; k < fd->options; k++)
		if (fd->option[k].option == option)
			*value = fd->option[k].value;
	return 0;
}

/* Compares the value found with the script's [N]. */
static void check_value(struct run *run, const struct script_pending *p, unsigned arg, int64_t got)
{
	int64_t want;
	if (tern_script_item(tern_script_arg(p, arg), NULL, &want) && want != got)
		tern_script_fail(run, "%s() found another value\n    want  [%jd]\n    got   [%jd]",
			p->event->call->name, (intmax_t)want, (intmax_t)got);
}

struct outcome tern_script_call_getsockopt(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	int64_t level = tern_script_arg_int(run, p, 1), name = tern_script_arg_int(run, p, 2);
	int64_t value = 0;
	enum tern_tcp_option option;
	if (!fd)
		return refused(EBADF);
	if (level == SOL_SOCKET && name == SO_ERROR) {
		value = take_so_error(run, fd);
	} else {
		if (!find_option(level, name, &option))
			return refused(ENOPROTOOPT);
		int err = get_option(run, fd, option, &value);
		if (err)
			return outcome_of(err);
	}
	check_value(run, p, 3, value);
	return returned(0);
}

struct outcome tern_script_call_fcntl(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	int64_t command = tern_script_arg_int(run, p, 1);
	if (!fd)
		return refused(EBADF);
	if (command == F_GETFL)
		return returned(O_RDWR | (fd->nonblock ? O_NONBLOCK : 0));
	if (command != F_SETFL)
		return refused(EINVAL);
	fd->nonblock = tern_script_arg_int(run, p, 2) & O_NONBLOCK;
	return returned(0);
}

struct outcome tern_script_call_ioctl(struct run *run, struct script_pending *p)
{
	struct script_fd *fd = tern_script_fd(run, p);
	struct tern_tcp_info info;
	if (!fd)
		return refused(EBADF);
	if (fd->kind != FD_CONN || tern_tcp_info(run->stack, fd->conn, &info) != 0)
		return refused(EINVAL);
	switch (tern_script_arg_int(run, p, 1)) {
	case SIOCINQ: /* FIONREAD */
		check_value(run, p, 2, info.unread);
		return returned(0);
	case SIOCOUTQ:
		check_value(run, p, 2, (int64_t)info.unacked + info.unsent);
		return returned(0);
	case SIOCATMARK: /* the last urgent byte is next (Linux's reading, RFC 6093 3.1) */
		check_value(run, p, 2, info.urgent_pending && info.urgent_left == 1);
		return returned(0);
	default:
		return refused(ENOTTY);
	}
}

static short conn_ready(struct run *run, const struct script_fd *fd)
{
	struct tern_tcp_info info;
	if (tern_tcp_info(run->stack, fd->conn, &info) != 0)
		return POLLHUP;
	short ready = 0;
	if (info.error)
		ready |= POLLIN | POLLOUT | POLLHUP | POLLRDHUP | (fd->error_taken ? 0 : POLLERR);
	if (info.unread || info.peer_closed || fd->read_shut)
		ready |= POLLIN;
	if (info.peer_closed)
		ready |= POLLRDHUP;
	if (info.peer_closed && info.shut)
		ready |= POLLHUP;
	if (info.urgent_pending)
		ready |= POLLPRI;
	bool open = info.state != TERN_TCP_SYN_SENT && info.state != TERN_TCP_SYN_RECEIVED;
	if (open && (info.send_room || info.shut))
		ready |= POLLOUT;
	return ready;
}

static short ready(struct run *run, int64_t number)
{
	if (number < 0 || number >= FDS_MAX || !run->fd[number].open)
		return POLLNVAL;
	const struct script_fd *fd = &run->fd[number];
	switch (fd->kind) {
	case FD_CONN:
		return conn_ready(run, fd);
	case FD_LISTENER:
		return fd->accept_ready ? POLLIN : 0;
	case FD_UDP:
		return POLLOUT;
	case FD_FREE:
	case FD_SOCKET:
		break;
	}
	return POLLOUT | POLLHUP;
}

static int poll_one(struct run *run, const struct script_expr *item, bool compare)
{
	int64_t number = -1, events = 0, want = 0;
	tern_script_item(item, "fd", &number);
	tern_script_item(item, "events", &events);
	short got = ready(run, number) & (short)(events | POLLERR | POLLHUP | POLLNVAL);
	if (compare && tern_script_item(item, "revents", &want) && want != got)
		tern_script_fail(run,
			"poll() of %jd\n    want  revents=0x%jx\n    got   revents=0x%x",
			(intmax_t)number, (intmax_t)want, (unsigned)got);
	return got != 0;
}

struct outcome tern_script_call_poll(struct run *run, struct script_pending *p)
{
	const struct script_expr *list = tern_script_arg(p, 0);
	int64_t timeout = tern_script_arg_int(run, p, 2);
	int64_t count = 0;
	for (const struct script_expr *item = list->items; item; item = item->next)
		count += poll_one(run, item, false);
	if (timeout > 0 && p->alarm == INT64_MAX)
		p->alarm = p->from + timeout * SCRIPT_MS;
	if (!count && timeout && run->now < p->alarm)
		return blocked();
	for (const struct script_expr *item = list->items; item; item = item->next)
		poll_one(run, item, true);
	return returned(count);
}

/* Not packetdrill's: the state of a connection, of one closed too. */
struct outcome tern_script_call_state(struct run *run, struct script_pending *p)
{
	int64_t number = tern_script_arg_int(run, p, 0);
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	if (number < 0 || number >= FDS_MAX)
		return refused(EBADF);
	const struct script_fd *fd = &run->fd[number];
	while (tern_tcp_each(run->stack, &cursor, &info))
		if (info.local.port == fd->local.port && info.remote.port == fd->remote.port)
			return returned(info.state);
	return returned(TERN_TCP_CLOSED);
}
