/* Options, flags, ioctls: what a descriptor is told, and tells of itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tools/drill/world.h"
#include "tools/tcpinfo.h"
#include "tools/tcpoption.h"

#define SNDBUF_MIN     4608
#define RCVBUF_MIN     2304
#define CONGESTION_MAX 16 /* Linux's TCP_CA_NAME_MAX */

static const struct known {
	int level, name;
	enum tern_tcp_option option;
	int64_t min, max;    /* what a program may ask for, elsewhere EINVAL; both 0: a flag */
	const char *setting; /* what is in force without it, or with 0; NULL: `otherwise` */
	int64_t otherwise;
} known[] = {
	{IPPROTO_TCP, TCP_NODELAY, TERN_TCP_NODELAY, 0, 0, NULL, 0},
	{IPPROTO_TCP, TCP_QUICKACK, TERN_TCP_QUICKACK, 0, 0, NULL, 1},
	{IPPROTO_TCP, TCP_MAXSEG, TERN_TCP_MAXSEG, 88, 32767, "tcp_default_mss", 0},
	{IPPROTO_TCP, TCP_KEEPIDLE, TERN_TCP_KEEPIDLE, 1, 32767, "tcp_keepalive_time", 0},
	{IPPROTO_TCP, TCP_KEEPINTVL, TERN_TCP_KEEPINTVL, 1, 32767, "tcp_keepalive_intvl", 0},
	{IPPROTO_TCP, TCP_KEEPCNT, TERN_TCP_KEEPCNT, 1, 127, "tcp_keepalive_probes", 0},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, TERN_TCP_USER_TIMEOUT, 0, INT32_MAX, NULL, 0},
	{IPPROTO_TCP, TCP_LINGER2, TERN_TCP_LINGER2, INT32_MIN, INT32_MAX, "tcp_fin_timeout", 0},
	{IPPROTO_TCP, TCP_SYNCNT, TERN_TCP_SYNCNT, 1, 127, "tcp_syn_retries", 0},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, TERN_TCP_WINDOW_CLAMP, INT32_MIN, INT32_MAX, NULL, 0},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, TERN_TCP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, NULL, 0},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, TERN_TCP_DEFER_ACCEPT, INT32_MIN, INT32_MAX, NULL, 0},
	{SOL_SOCKET, SO_KEEPALIVE, TERN_TCP_KEEPALIVE, 0, 0, NULL, 0},
	{IPPROTO_IP, IP_TOS, TERN_TCP_TOS, INT32_MIN, INT32_MAX, NULL, 0},
};

static const struct known *find(int level, int name)
{
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (known[k].level == level && known[k].name == name)
			return &known[k];
	return NULL;
}

void tern_drill_apply_options(struct drill *drill, struct fd *fd)
{
	for (unsigned k = 0; k < fd->options; k++)
		(void)tern_tcp_option_set(drill->stack, fd->conn, fd->option[k].option,
			fd->option[k].value);
	tern_drill_cork(drill, fd);
}

void tern_drill_apply_to_listener(struct drill *drill, const struct fd *fd)
{
	for (unsigned k = 0; k < fd->options; k++)
		(void)tern_tcp_listen_option_set(drill->stack, fd->listener, fd->option[k].option,
			fd->option[k].value);
}

void tern_drill_cork(struct drill *drill, struct fd *fd)
{
	int64_t now = 0, wanted = fd->cork;
	if (fd->kind == FD_CONN &&
		tern_tcp_option_get(drill->stack, fd->conn, TERN_TCP_CORK, &now) == 0 &&
		now != wanted)
		(void)tern_tcp_option_set(drill->stack, fd->conn, TERN_TCP_CORK, wanted);
}

/* Remembers it, for connections yet to be. */
static int64_t wish(struct fd *fd, enum tern_tcp_option option, int64_t value)
{
	unsigned k = 0;
	while (k < fd->options && fd->option[k].option != option)
		k++;
	if (k == FD_OPTIONS_MAX)
		return -ENOBUFS;
	if (k == fd->options)
		fd->options++;
	fd->option[k].option = option;
	fd->option[k].value = value;
	return 0;
}

static int64_t set_known(struct drill *drill, struct fd *fd, const struct known *k, int64_t value)
{
	if (k->name == TCP_MAXSEG && k->level == IPPROTO_TCP && value == 0)
		return 0; /* as if it had not been set */
	bool flag = k->min == 0 && k->max == 0;
	if (!flag && (value < k->min || value > k->max))
		return -EINVAL;
	if (k->level == IPPROTO_TCP && !flag) {
		int number = (int)value;
		int error = tern_linux_option_value(k->name, fd->kind != FD_SOCKET, &number);
		if (error)
			return -error;
		value = tern_linux_option_number(k->option, number);
	}
	if (flag)
		value = value != 0;
	int64_t result = wish(fd, k->option, value);
	if (result)
		return result;
	if (fd->kind == FD_LISTENER)
		tern_drill_apply_to_listener(drill, fd);
	if (fd->kind != FD_CONN || k->option == TERN_TCP_MAXSEG)
		return 0;
	return tern_drill_result(tern_tcp_option_set(drill->stack, fd->conn, k->option, value));
}

/* Linux doubles what is asked for its own bookkeeping, and tells so; the bytes are what was asked.
 */
static int64_t set_buffer(struct drill *drill, struct fd *fd, enum tern_tcp_option option,
	int value)
{
	uint32_t *buffer = option == TERN_TCP_SNDBUF ? &fd->sndbuf : &fd->rcvbuf;
	int64_t min = (option == TERN_TCP_SNDBUF ? SNDBUF_MIN : RCVBUF_MIN) / 2, most;
	tern_get(drill->stack, option == TERN_TCP_SNDBUF ? "tcp_wmem_max" : "tcp_rmem_max", &most);
	int64_t bytes = value < 0 || value > most ? most : value < min ? min : value;
	*buffer = (uint32_t)bytes;
	if (fd->kind == FD_LISTENER)
		return tern_drill_result(
			tern_tcp_listen_option_set(drill->stack, fd->listener, option, bytes));
	if (fd->kind != FD_CONN)
		return 0;
	return tern_drill_result(tern_tcp_option_set(drill->stack, fd->conn, option, bytes));
}

static int64_t set_linger(struct fd *fd, const void *value, intptr_t len)
{
	struct linger linger;
	if (len < (intptr_t)sizeof linger)
		return -EINVAL;
	memcpy(&linger, value, sizeof linger);
	fd->linger_reset = linger.l_onoff && !linger.l_linger;
	return 0;
}

static int64_t set_socket(struct drill *drill, struct fd *fd, int name, int value)
{
	switch (name) {
	case SO_REUSEADDR: /* nothing to change */
	case SO_REUSEPORT:
	case SO_OOBINLINE:
		return 0;
	case SO_SNDBUF:
		return set_buffer(drill, fd, TERN_TCP_SNDBUF, value);
	case SO_RCVBUF:
		return set_buffer(drill, fd, TERN_TCP_RCVBUF, value);
	default:
		return -ENOPROTOOPT;
	}
}

static int64_t set_tcp(struct drill *drill, struct fd *fd, int name, int value)
{
	switch (name) {
	case TCP_CORK:
		fd->cork = value;
		tern_drill_cork(drill, fd);
		return 0;
	case TCP_INQ:
		if (value < 0 || value > 1)
			return -EINVAL;
		fd->tells_inq = value;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int64_t set_congestion(struct drill *drill, struct fd *fd, const void *value, intptr_t len)
{
	char name[CONGESTION_MAX] = "";
	if (len < 1)
		return -EINVAL;
	memcpy(name, value, (size_t)len < sizeof name - 1 ? (size_t)len : sizeof name - 1);
	int number = tern_congestion_number(name);
	int64_t result = number < 0 ? -ENOENT : wish(fd, TERN_TCP_CONGESTION, number);
	if (result || fd->kind != FD_CONN)
		return result;
	return tern_drill_result(
		tern_tcp_option_set(drill->stack, fd->conn, TERN_TCP_CONGESTION, number));
}

static int64_t set_ip(struct drill *drill, struct fd *fd, int name, const void *value, intptr_t len)
{
	const struct known *k = find(IPPROTO_IP, name);
	if (!k || fd->datagram)
		return -ENOPROTOOPT;
	if (len < 0)
		return -EINVAL;
	return set_known(drill, fd, k, tern_linux_tos(tern_linux_ip_value(value, (size_t)len)));
}

int64_t tern_drill_setsockopt(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	int level = (int)call->arg[1], name = (int)call->arg[2], value;
	const void *from = (const void *)call->arg[3];
	const struct known *k = find(level, name);
	if (!fd)
		return -EBADF;
	if (!from)
		return -EFAULT;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(fd, from, call->arg[4]);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(drill, fd, from, call->arg[4]);
	if (level == IPPROTO_IP)
		return set_ip(drill, fd, name, from, call->arg[4]);
	if (call->arg[4] < (intptr_t)sizeof value)
		return -EINVAL;
	memcpy(&value, from, sizeof value);
	if (k)
		return set_known(drill, fd, k, value);
	if (level == SOL_SOCKET)
		return set_socket(drill, fd, name, value);
	return level == IPPROTO_TCP ? set_tcp(drill, fd, name, value) : -ENOPROTOOPT;
}

/* --- getting ----------------------------------------------------------------------------- */

static int64_t give(const struct drill_call *call, const void *value, size_t size)
{
	socklen_t *len = (socklen_t *)call->arg[4];
	if (!len || !call->arg[3])
		return -EFAULT;
	if (*len > size)
		*len = (socklen_t)size;
	memcpy((void *)call->arg[3], value, *len);
	return 0;
}

static int64_t give_int(const struct drill_call *call, int64_t value)
{
	int number = (int)value;
	return give(call, &number, sizeof number);
}

static int take_so_error(struct drill *drill, struct fd *fd)
{
	struct tern_tcp_info info;
	if (fd->kind != FD_CONN || tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return 0;
	if (!info.error)
		return (int)-tern_drill_result(tern_tcp_take_soft_error(drill->stack, fd->conn));
	fd->connect_reported = true;
	return (int)-tern_drill_result(tern_drill_take_error(fd, info.error));
}

static int64_t buffer_of(struct drill *drill, const struct fd *fd, enum tern_tcp_option option)
{
	bool send = option == TERN_TCP_SNDBUF;
	int64_t value = send ? fd->sndbuf : fd->rcvbuf;
	if (value)
		return 2 * value;
	if (fd->kind != FD_CONN || tern_tcp_option_get(drill->stack, fd->conn, option, &value) != 0)
		tern_get(drill->stack, send ? "tcp_wmem_default" : "tcp_rmem_default", &value);
	return value;
}

static int64_t give_info(struct drill *drill, const struct fd *fd, const struct drill_call *call)
{
	struct tern_tcp_info info;
	struct tern_listen_info listening;
	struct tcp_info out;
	if (fd->kind == FD_LISTENER &&
		tern_tcp_listen_info(drill->stack, fd->listener, &listening) == 0)
		tern_linux_listen_info(&listening, &out);
	else if (fd->kind == FD_CONN && tern_tcp_info(drill->stack, fd->conn, &info) == 0)
		tern_linux_tcp_info(&info, &out);
	else
		tern_linux_no_tcp_info(&out);
	return give(call, &out, sizeof out);
}

static int64_t give_memory(struct drill *drill, const struct fd *fd, const struct drill_call *call)
{
	struct tern_tcp_info info = {0};
	uint32_t out[SK_MEMINFO_VARS] = {0};
	if (fd->kind == FD_CONN)
		(void)tern_tcp_info(drill->stack, fd->conn, &info);
	out[SK_MEMINFO_RMEM_ALLOC] = info.unread + info.out_of_order;
	out[SK_MEMINFO_RCVBUF] = (uint32_t)buffer_of(drill, fd, TERN_TCP_RCVBUF);
	out[SK_MEMINFO_WMEM_ALLOC] = info.unacked;
	out[SK_MEMINFO_SNDBUF] = (uint32_t)buffer_of(drill, fd, TERN_TCP_SNDBUF);
	out[SK_MEMINFO_WMEM_QUEUED] = info.unacked + info.unsent;
	return give(call, out, sizeof out);
}

static int64_t get_socket(struct drill *drill, struct fd *fd, int name,
	const struct drill_call *call)
{
	switch (name) {
	case SO_ERROR:
		return give_int(call, take_so_error(drill, fd));
	case SO_SNDBUF:
		return give_int(call, buffer_of(drill, fd, TERN_TCP_SNDBUF));
	case SO_RCVBUF:
		return give_int(call, buffer_of(drill, fd, TERN_TCP_RCVBUF));
	case SO_TYPE:
		return give_int(call, fd->datagram ? SOCK_DGRAM : SOCK_STREAM);
	case SO_ACCEPTCONN:
		return give_int(call, fd->kind == FD_LISTENER);
	case SO_MEMINFO:
		return give_memory(drill, fd, call);
	default:
		return -ENOPROTOOPT;
	}
}

static int64_t give_congestion(struct drill *drill, const struct fd *fd,
	const struct drill_call *call)
{
	char name[CONGESTION_MAX] = "";
	int64_t number;
	if (fd->kind != FD_CONN ||
		tern_tcp_option_get(drill->stack, fd->conn, TERN_TCP_CONGESTION, &number) != 0)
		tern_get(drill->stack, "tcp_congestion_control", &number);
	for (unsigned n = 0; fd->kind != FD_CONN && n < fd->options; n++)
		if (fd->option[n].option == TERN_TCP_CONGESTION)
			number = fd->option[n].value;
	strcpy(name, tern_congestion_name((unsigned)number));
	return give(call, name, sizeof name);
}

static int64_t get_tcp(struct drill *drill, struct fd *fd, int name, const struct drill_call *call)
{
	switch (name) {
	case TCP_CORK:
		return give_int(call, fd->cork);
	case TCP_INQ:
		return give_int(call, fd->tells_inq);
	case TCP_INFO:
		return give_info(drill, fd, call);
	case TCP_CONGESTION:
		return give_congestion(drill, fd, call);
	case TCP_CC_INFO: /* neither has anything to tell */
		return give(call, "", 0);
	default:
		return -ENOPROTOOPT;
	}
}

static int64_t value_of(struct drill *drill, const struct fd *fd, const struct known *k)
{
	int64_t value = k->otherwise;
	if (fd->kind == FD_CONN &&
		tern_tcp_option_get(drill->stack, fd->conn, k->option, &value) == 0)
		return value;
	if (k->setting)
		tern_get(drill->stack, k->setting, &value);
	for (unsigned n = 0; n < fd->options; n++)
		if (fd->option[n].option == k->option && (fd->option[n].value || !k->setting))
			value = fd->option[n].value;
	return value;
}

static int64_t get_ip(struct drill *drill, const struct fd *fd, const struct known *k,
	const struct drill_call *call)
{
	socklen_t *len = (socklen_t *)call->arg[4];
	int value = (int)value_of(drill, fd, k);
	return give(call, &value, len ? tern_linux_ip_size(value, *len) : 0);
}

int64_t tern_drill_getsockopt(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	int level = (int)call->arg[1], name = (int)call->arg[2];
	const struct known *k = find(level, name);
	if (!fd)
		return -EBADF;
	if (k && level == IPPROTO_IP)
		return fd->datagram ? -ENOPROTOOPT : get_ip(drill, fd, k, call);
	if (k)
		return give_int(call, value_of(drill, fd, k));
	if (level == SOL_SOCKET)
		return get_socket(drill, fd, name, call);
	return level == IPPROTO_TCP ? get_tcp(drill, fd, name, call) : -ENOPROTOOPT;
}

/* --- fcntl and ioctl --------------------------------------------------------------------- */

int64_t tern_drill_fcntl(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	if (!fd)
		return -EBADF;
	switch (call->arg[1]) {
	case F_GETFL:
		return O_RDWR | (fd->nonblock ? O_NONBLOCK : 0);
	case F_SETFL:
		fd->nonblock = call->arg[2] & O_NONBLOCK;
		return 0;
	case F_GETFD:
	case F_SETFD:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t tern_drill_ioctl(struct drill *drill, struct drill_call *call)
{
	struct fd *fd = tern_drill_fd(drill, call->arg[0]);
	struct tern_tcp_info info;
	int *value = (int *)call->arg[2];
	if (!fd)
		return -EBADF;
	if (!value)
		return -EFAULT;
	if (call->arg[1] == FIONBIO) {
		fd->nonblock = *value;
		return 0;
	}
	if (fd->kind != FD_CONN || tern_tcp_info(drill->stack, fd->conn, &info) != 0)
		return -EINVAL;
	switch (call->arg[1]) {
	case SIOCINQ: /* FIONREAD */
		*value = (int)info.unread;
		return 0;
	case SIOCOUTQ:
		*value = (int)(info.unacked + info.unsent);
		return 0;
	case SIOCOUTQNSD:
		*value = (int)info.unsent;
		return 0;
	case SIOCATMARK: /* the last urgent byte is next (Linux's reading, RFC 6093 3.1) */
		*value = info.urgent_pending && info.urgent_left == 1;
		return 0;
	default:
		return -ENOTTY;
	}
}
