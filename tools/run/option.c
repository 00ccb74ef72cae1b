/*
 * Options and ioctls: those of TCP are tern's, and IP_TOS; of SOL_SOCKET, those that say what the
 * socket is, and those that concern the connection and not the program's end of the pair. What tern
 * has not is refused with ENOPROTOOPT.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tools/errnos.h"
#include "tools/run/run.h"
#include "tools/tcpinfo.h"
#include "tools/tcpoption.h"

#define CONGESTION_MAX 16 /* Linux's TCP_CA_NAME_MAX */
#define SNDBUF_MIN     4608
#define RCVBUF_MIN     2304

/* TCP's options of one number. */
static const struct tcp_option {
	int name;
	enum tern_tcp_option option;
	int min, max;        /* both 0: a flag, of any value */
	const char *setting; /* what is in force without it, or with 0; NULL: `otherwise` */
	int otherwise;
} tcp_options[] = {
	{TCP_NODELAY, TERN_TCP_NODELAY, 0, 0, NULL, 0},
	{TCP_CORK, TERN_TCP_CORK, 0, 0, NULL, 0},
	{TCP_QUICKACK, TERN_TCP_QUICKACK, 0, 0, NULL, 1},
	{TCP_MAXSEG, TERN_TCP_MAXSEG, 88, 32767, "tcp_default_mss", 0},
	{TCP_KEEPIDLE, TERN_TCP_KEEPIDLE, 1, 32767, "tcp_keepalive_time", 0},
	{TCP_KEEPINTVL, TERN_TCP_KEEPINTVL, 1, 32767, "tcp_keepalive_intvl", 0},
	{TCP_KEEPCNT, TERN_TCP_KEEPCNT, 1, 127, "tcp_keepalive_probes", 0},
	{TCP_USER_TIMEOUT, TERN_TCP_USER_TIMEOUT, 0, INT32_MAX, NULL, 0},
	{TCP_LINGER2, TERN_TCP_LINGER2, INT32_MIN, INT32_MAX, "tcp_fin_timeout", 0},
	{TCP_SYNCNT, TERN_TCP_SYNCNT, 1, 127, "tcp_syn_retries", 0},
	{TCP_WINDOW_CLAMP, TERN_TCP_WINDOW_CLAMP, INT32_MIN, INT32_MAX, NULL, 0},
	{TCP_NOTSENT_LOWAT, TERN_TCP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, NULL, 0},
	{TCP_DEFER_ACCEPT, TERN_TCP_DEFER_ACCEPT, INT32_MIN, INT32_MAX, NULL, 0},
};

static const struct tcp_option *find(int name)
{
	for (size_t i = 0; i < sizeof tcp_options / sizeof *tcp_options; i++)
		if (tcp_options[i].name == name)
			return &tcp_options[i];
	return NULL;
}

static int limit_of(const char *path)
{
	FILE *file = fopen(path, "re");
	int value = 0;
	bool read = file && fscanf(file, "%d", &value) == 1 && value > 0;
	if (file)
		fclose(file);
	return read ? value : 212992; /* Linux's default; hidden from other namespaces */
}

void tern_run_options_begin(struct run *run)
{
	run->rmem_max = limit_of("/proc/sys/net/core/rmem_max");
	run->wmem_max = limit_of("/proc/sys/net/core/wmem_max");
}

/* --- setting --------------------------------------------------------------------------- */

static bool open_now(const struct sock *sock)
{
	return sock->relay || sock->state == SOCK_CONNECTING;
}

uint32_t tern_run_wish(const struct sock *sock, enum tern_tcp_option option)
{
	return (uint32_t)sock->wishes.value[option];
}

/* Remembers it, and sets it if there is a connection: an errno. */
static int wish(struct sock *sock, enum tern_tcp_option option, int value)
{
	int64_t number = tern_linux_option_number(option, value);
	sock->wishes.set |= 1u << option;
	sock->wishes.value[option] = value;
	if (sock->group) /* for connections to come; what is not a listener's is theirs later */
		(void)tern_tcp_listen_option_set(run_stack(sock->run), sock->group->listener,
			option, number);
	if (!open_now(sock) || option == TERN_TCP_MAXSEG)
		return 0;
	return tern_errno_of(tern_tcp_option_set(run_stack(sock->run), sock->conn, option, number));
}

static int64_t number_of(const struct sock *sock, enum tern_tcp_option option)
{
	return tern_linux_option_number(option, sock->wishes.value[option]);
}

void tern_run_apply_wishes(struct sock *sock)
{
	for (unsigned i = 0; i < TERN_TCP_OPTIONS; i++)
		if (sock->wishes.set & 1u << i)
			(void)tern_tcp_option_set(run_stack(sock->run), sock->conn,
				(enum tern_tcp_option)i, number_of(sock, (enum tern_tcp_option)i));
}

void tern_run_apply_to_listener(const struct sock *sock)
{
	for (unsigned i = 0; i < TERN_TCP_OPTIONS; i++)
		if (sock->wishes.set & 1u << i)
			(void)tern_tcp_listen_option_set(run_stack(sock->run),
				sock->group->listener, (enum tern_tcp_option)i,
				number_of(sock, (enum tern_tcp_option)i));
}

void tern_run_apply_to_end(const struct sock *sock, int fd)
{
	int in_line = sock->wishes.oob_inline;
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line);
}

static int set_congestion(const struct call *call)
{
	char name[CONGESTION_MAX] = "";
	size_t len =
		(size_t)call->arg[4] < sizeof name - 1 ? (size_t)call->arg[4] : sizeof name - 1;
	if ((int)call->arg[4] < 1)
		return EINVAL;
	if (!tern_run_read(call->tid, call->arg[3], name, len))
		return EFAULT;
	int number = tern_congestion_number(name);
	return number >= 0 ? wish(call->sock, TERN_TCP_CONGESTION, number) : ENOENT;
}

static int set_tcp(struct sock *sock, int name, int value)
{
	const struct tcp_option *o = find(name);
	if (!o)
		return ENOPROTOOPT;
	if (name == TCP_MAXSEG && value == 0)
		return 0; /* as if it had not been set */
	bool flag = o->min == 0 && o->max == 0;
	if (!flag && (value < o->min || value > o->max))
		return EINVAL;
	int error = tern_linux_option_value(name, sock->state != SOCK_FRESH, &value);
	if (error)
		return error;
	if (flag)
		value = value != 0;
	/* What was written before the cork is pulled belongs to what it held back. */
	if (name == TCP_CORK && !value && sock->relay && !tern_relay_flush(sock->relay))
		return 0;
	return wish(sock, o->option, value);
}

/* Of IP's there is IP_TOS. */
static int set_ip(const struct call *call, int name, int len)
{
	char value[sizeof(int)] = "";
	if (name != IP_TOS)
		return ENOPROTOOPT;
	if (len < 0)
		return EINVAL;
	size_t size = (size_t)len < sizeof value ? (size_t)len : sizeof value;
	if (size && !tern_run_read(call->tid, call->arg[3], value, size))
		return EFAULT;
	return wish(call->sock, TERN_TCP_TOS, tern_linux_tos(tern_linux_ip_value(value, size)));
}

/* Linux doubles what is asked, for its own bookkeeping, and tells so. */
static int set_buffer(struct sock *sock, enum tern_tcp_option option, int value)
{
	bool send = option == TERN_TCP_SNDBUF;
	int min = send ? SNDBUF_MIN : RCVBUF_MIN;
	int max = send ? sock->run->wmem_max : sock->run->rmem_max;
	if (value < 0 || value > max)
		value = max;
	if (value > INT32_MAX / 2)
		value = INT32_MAX / 2;
	return wish(sock, option, value * 2 > min ? value * 2 : min);
}

static struct verdict set_linger(struct call *call)
{
	struct linger linger;
	if (call->arg[4] < sizeof linger)
		return refuse(EINVAL);
	if (!tern_run_read(call->tid, call->arg[3], &linger, sizeof linger))
		return refuse(EFAULT);
	bool reset = linger.l_onoff && linger.l_linger == 0;
	call->sock->wishes.linger_reset = reset;
	if (call->sock->relay)
		tern_relay_reset_on_close(call->sock->relay, reset);
	setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	return returns(0);
}

static int set_socket(const struct call *call, int name, int value)
{
	struct sock *sock = call->sock;
	switch (name) {
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		return set_buffer(sock, TERN_TCP_RCVBUF, value);
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		return set_buffer(sock, TERN_TCP_SNDBUF, value);
	case SO_REUSEPORT:
		sock->wishes.reuse_port = value;
		return 0;
	case SO_KEEPALIVE:
		return wish(sock, TERN_TCP_KEEPALIVE, value != 0);
	case SO_OOBINLINE:
		sock->wishes.oob_inline = value;
		tern_run_apply_to_end(sock, call->fd);
		return 0;
	default:
		return ENOPROTOOPT;
	}
}

struct verdict tern_run_setsockopt(struct call *call)
{
	int level = (int)call->arg[1], name = (int)call->arg[2], len = (int)call->arg[4];
	int value = 0;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(call);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
		int error = set_congestion(call);
		return error ? refuse(error) : returns(0);
	}
	if (level == IPPROTO_IP) {
		int error = set_ip(call, name, len);
		return error ? refuse(error) : returns(0);
	}
	if (level != SOL_SOCKET && level != IPPROTO_TCP)
		return refuse(ENOPROTOOPT);
	if (len < (int)sizeof value)
		return refuse(EINVAL);
	if (!tern_run_read(call->tid, call->arg[3], &value, sizeof value))
		return refuse(EFAULT);
	int error = level == SOL_SOCKET ? set_socket(call, name, value)
					: set_tcp(call->sock, name, value);
	return error ? refuse(error) : returns(0);
}

/* --- getting --------------------------------------------------------------------------- */

static struct verdict give(const struct call *call, const void *value, size_t size)
{
	int len;
	if (!tern_run_read(call->tid, call->arg[4], &len, sizeof len))
		return refuse(EFAULT);
	if (len < 0)
		return refuse(EINVAL);
	if ((size_t)len > size)
		len = (int)size;
	if (!tern_run_write(call->tid, call->arg[3], value, (size_t)len) ||
		!tern_run_write(call->tid, call->arg[4], &len, sizeof len))
		return refuse(EFAULT);
	return returns(0);
}

static struct verdict give_int(const struct call *call, int value)
{
	return give(call, &value, sizeof value);
}

static int soft_error(const struct sock *sock)
{
	int err = open_now(sock) ? tern_tcp_take_soft_error(run_stack(sock->run), sock->conn) : 0;
	return err == TERN_ESTALE ? 0 : tern_errno_of(err);
}

/* The kernel's end knows that there was an error; tern knows which. */
static struct verdict give_error(struct call *call)
{
	struct sock *sock = call->sock;
	int native = 0, error = 0;
	socklen_t len = sizeof native;
	getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &native, &len);
	if (native || sock->state == SOCK_FAILED) {
		error = sock->error ? sock->error : native;
		if (sock->state == SOCK_FAILED && !sock->error)
			error = 0;
		sock->error = 0;
	} else {
		error = soft_error(sock);
	}
	return give_int(call, error);
}

static int buffer(const struct sock *sock, enum tern_tcp_option option)
{
	bool receive = option == TERN_TCP_RCVBUF;
	int64_t value = 0;
	if (sock->wishes.set & 1u << option)
		return sock->wishes.value[option];
	if (!open_now(sock) ||
		tern_tcp_option_get(run_stack(sock->run), sock->conn, option, &value) != 0)
		tern_get(run_stack(sock->run), receive ? "tcp_rmem_default" : "tcp_wmem_default",
			&value);
	return (int)value;
}

static struct verdict get_socket(struct call *call, int name)
{
	static const struct ucred nobody = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
	struct sock *sock = call->sock;
	switch (name) {
	case SO_ERROR:
		return give_error(call);
	case SO_DOMAIN:
		return give_int(call, AF_INET);
	case SO_PROTOCOL:
		return give_int(call, IPPROTO_TCP);
	case SO_ACCEPTCONN:
		return give_int(call, sock->group != NULL);
	case SO_RCVBUF:
		return give_int(call, buffer(sock, TERN_TCP_RCVBUF));
	case SO_SNDBUF:
		return give_int(call, buffer(sock, TERN_TCP_SNDBUF));
	case SO_REUSEPORT:
		return give_int(call, sock->wishes.reuse_port);
	case SO_PEERCRED:
		return give(call, &nobody, sizeof nobody);
	case SO_OOBINLINE:
		return give_int(call, sock->wishes.oob_inline);
	case SO_PASSCRED:
		return give_int(call, 0);
	case SO_KEEPALIVE:
		return give_int(call, sock->wishes.value[TERN_TCP_KEEPALIVE]);
	case SO_LINGER:
		return leave_it();
	default:
		return refuse(ENOPROTOOPT);
	}
}

static struct verdict give_info(struct call *call)
{
	struct sock *sock = call->sock;
	struct tern_tcp_info info;
	struct tern_listen_info listening;
	struct tcp_info out;
	if (sock->group &&
		tern_tcp_listen_info(run_stack(sock->run), sock->group->listener, &listening) == 0)
		tern_linux_listen_info(&listening, &out);
	else if (!sock->group && tern_run_connection(sock, &info))
		tern_linux_tcp_info(&info, &out);
	else
		tern_linux_no_tcp_info(&out);
	return give(call, &out, sizeof out);
}

static int tcp_value(const struct sock *sock, const struct tcp_option *o)
{
	int64_t value = o->otherwise;
	bool live = o->option == TERN_TCP_MAXSEG && sock->relay;
	if (live && tern_tcp_option_get(run_stack(sock->run), sock->conn, o->option, &value) == 0)
		return (int)value;
	int wished = sock->wishes.value[o->option];
	if (sock->wishes.set & 1u << o->option && (wished || !o->setting))
		return wished;
	if (o->setting)
		tern_get(run_stack(sock->run), o->setting, &value);
	return (int)value;
}

static struct verdict give_congestion(const struct call *call)
{
	const struct sock *sock = call->sock;
	char name[CONGESTION_MAX] = "";
	int64_t number = sock->wishes.value[TERN_TCP_CONGESTION];
	bool wished = sock->wishes.set & 1u << TERN_TCP_CONGESTION;
	if (!wished && (!open_now(sock) || tern_tcp_option_get(run_stack(sock->run), sock->conn,
						   TERN_TCP_CONGESTION, &number) != 0))
		tern_get(run_stack(sock->run), "tcp_congestion_control", &number);
	strcpy(name, tern_congestion_name((unsigned)number));
	return give(call, name, sizeof name);
}

static struct verdict get_tcp(struct call *call, int name)
{
	const struct tcp_option *o = find(name);
	if (o)
		return give_int(call, tcp_value(call->sock, o));
	if (name == TCP_INFO)
		return give_info(call);
	if (name == TCP_CONGESTION)
		return give_congestion(call);
	return refuse(ENOPROTOOPT);
}

static struct verdict get_ip(const struct call *call, int name)
{
	int len, value = call->sock->wishes.value[TERN_TCP_TOS];
	if (name != IP_TOS)
		return refuse(ENOPROTOOPT);
	if (!tern_run_read(call->tid, call->arg[4], &len, sizeof len))
		return refuse(EFAULT);
	return give(call, &value, len < 0 ? 0 : tern_linux_ip_size(value, (size_t)len));
}

struct verdict tern_run_getsockopt(struct call *call)
{
	int level = (int)call->arg[1], name = (int)call->arg[2];
	if (level == SOL_SOCKET)
		return get_socket(call, name);
	if (level == IPPROTO_IP)
		return get_ip(call, name);
	return level == IPPROTO_TCP ? get_tcp(call, name) : refuse(ENOPROTOOPT);
}

/* --- ioctl ----------------------------------------------------------------------------- */

struct verdict tern_run_ioctl(struct call *call)
{
	struct sock *sock = call->sock;
	struct tern_tcp_info info = {0};
	unsigned request = (unsigned)call->arg[1];
	int value = 0;
	if (request == SIOCATMARK && !sock->group)
		return leave_it();
	if (request != SIOCATMARK && sock->group)
		return refuse(EINVAL);
	if (request == SIOCOUTQ || request == SIOCOUTQNSD) {
		if (sock->relay && tern_tcp_info(run_stack(sock->run), sock->conn, &info) == 0)
			value = (int)(info.unsent + tern_relay_waiting(sock->relay));
		if (request == SIOCOUTQ)
			value += (int)info.unacked;
	}
	return tern_run_write(call->tid, call->arg[2], &value, sizeof value) ? returns(0)
									     : refuse(EFAULT);
}
