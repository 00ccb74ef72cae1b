/*
 * libtern-packetdrill.so: tern behind packetdrill's shared-object interface.
 *
 * The machine is a drill: its clock moves when packetdrill sleeps, receives, or asks what time it
 * is (by 1 us, or it would ask for ever). A call that blocks waits in the thread that made it,
 * while another thread moves the clock and finishes the call at the moment it goes through; that
 * moment is what its thread is told when it next asks for the time, however late it wakes.
 * Descriptors are eventfds, so that libc's close() has something to close.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tools/drill/drill.h"
#include "tools/packetdrill/packetdrill.h"

#define US          INT64_C(1000)
#define EPOCH       INT64_C(1000000000) /* us: the clock at the start */
#define THREADS_MAX 16
#define SILENCE     (3 * 3600 * INT64_C(1000000000)) /* ns: longer than any timer of TCP's is */

struct machine {
	struct drill *drill;
	pthread_mutex_t lock;
	pthread_cond_t news; /* a call may have finished */
	char sysctls[200];   /* a folder as /proc/sys/net; "": none */
	bool refused;        /* the flags were wrong: no sockets */
	bool told_fault;
	struct stamp {
		pthread_t thread;
		bool set;
		int64_t time; /* when its last call ended */
	} stamp[THREADS_MAX];
};

/* --- settings ---------------------------------------------------------------------------- */

static bool read_line(const struct machine *m, const char *folder, const char *name, char *line,
	size_t size)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s/%s", m->sysctls, folder, name);
	FILE *file = fopen(path, "re");
	bool read = file && fgets(line, (int)size, file);
	if (file)
		fclose(file);
	return read;
}

static void read_setting(struct machine *m, const char *name)
{
	char line[128];
	if (!read_line(m, "ipv4", name, line, sizeof line) &&
		!read_line(m, "core", name, line, sizeof line))
		return;
	line[strcspn(line, "\n")] = 0;
	(void)tern_set_text(tern_drill_stack(m->drill), name,
		line); /* out of our range: ours stays */
}

/* tcp_rmem and tcp_wmem: least, first, most. */
static void read_three(struct machine *m, const char *name, const char *first, const char *most)
{
	char line[128];
	long long number[3];
	if (!read_line(m, "ipv4", name, line, sizeof line) ||
		sscanf(line, "%lld %lld %lld", &number[0], &number[1], &number[2]) != 3)
		return;
	(void)tern_set(tern_drill_stack(m->drill), first, number[1]);
	(void)tern_set(tern_drill_stack(m->drill), most, number[2]);
}

/* A script's init line runs after the library was loaded: so as late as can be, at socket(). */
static void read_sysctls(struct machine *m)
{
	const char *name;
	if (!m->sysctls[0])
		return;
	for (unsigned k = 0; (name = tern_setting_name(k)); k++)
		read_setting(m, name);
	read_three(m, "tcp_rmem", "tcp_rmem_default", "tcp_rmem_max");
	read_three(m, "tcp_wmem", "tcp_wmem_default", "tcp_wmem_max");
}

/* --- the clock --------------------------------------------------------------------------- */

static void tell(struct machine *m)
{
	const char *wrong = tern_drill_fault(m->drill);
	if (wrong && !m->told_fault)
		fprintf(stderr, "libtern-packetdrill: the stack finds fault with itself: %s\n",
			wrong);
	m->told_fault |= wrong != NULL;
	pthread_cond_broadcast(&m->news);
}

static struct stamp *stamp_of(struct machine *m, bool make)
{
	for (unsigned k = 0; k < THREADS_MAX; k++)
		if (m->stamp[k].set && pthread_equal(m->stamp[k].thread, pthread_self()))
			return &m->stamp[k];
	for (unsigned k = 0; make && k < THREADS_MAX; k++)
		if (!m->stamp[k].set)
			return &m->stamp[k];
	return NULL;
}

static int do_gettimeofday(void *userdata, struct timeval *tv, struct timezone *zone)
{
	struct machine *m = userdata;
	(void)zone;
	pthread_mutex_lock(&m->lock);
	struct stamp *stamp = stamp_of(m, false);
	if (!stamp)
		tern_drill_advance(m->drill, tern_drill_now(m->drill) + US);
	int64_t us = EPOCH + (stamp ? stamp->time : tern_drill_now(m->drill)) / US;
	if (stamp)
		stamp->set = false;
	tell(m);
	pthread_mutex_unlock(&m->lock);
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}

static int do_usleep(void *userdata, useconds_t us)
{
	struct machine *m = userdata;
	pthread_mutex_lock(&m->lock);
	tern_drill_advance(m->drill, tern_drill_now(m->drill) + us * US);
	tell(m);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* --- the wire ---------------------------------------------------------------------------- */

static int do_netdev_send(void *userdata, const void *bytes, size_t len)
{
	struct machine *m = userdata;
	pthread_mutex_lock(&m->lock);
	tern_drill_inject(m->drill, bytes, (uint32_t)len, 0);
	tell(m);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* *len 0: nothing will come, however long one waits. */
static int do_netdev_receive(void *userdata, void *bytes, size_t *len, long long *time)
{
	struct machine *m = userdata;
	pthread_mutex_lock(&m->lock);
	int64_t due, end = tern_drill_now(m->drill) + SILENCE;
	while (!tern_drill_peek(m->drill) && !tern_drill_fault(m->drill) &&
		(due = tern_drill_due(m->drill)) <= end)
		tern_drill_step(m->drill, due);
	struct drill_frame *f = tern_drill_take(m->drill);
	tell(m);
	pthread_mutex_unlock(&m->lock);
	*time = f ? EPOCH + f->time / US : 0;
	*len = f && f->len <= *len ? f->len : 0;
	if (*len)
		memcpy(bytes, f->data, *len);
	free(f);
	return 0;
}

/* --- calls ------------------------------------------------------------------------------- */

struct waiting {
	struct machine *m;
	struct drill_call *call;
};

/* A thread that waits is cancelled. */
static void give_up(void *context)
{
	struct waiting *w = context;
	tern_drill_interrupt(w->m->drill, w->call);
	pthread_mutex_unlock(&w->m->lock);
}

static void wait_for(struct machine *m, struct drill_call *call)
{
	struct waiting w = {m, call};
	pthread_cleanup_push(give_up, &w);
	while (!call->finished)
		pthread_cond_wait(&m->news, &m->lock);
	pthread_cleanup_pop(0);
	struct stamp *stamp = stamp_of(m, true);
	if (stamp)
		*stamp = (struct stamp){pthread_self(), true, call->time};
}

static int64_t make(void *userdata, struct drill_call call)
{
	struct machine *m = userdata;
	pthread_mutex_lock(&m->lock);
	if (call.op == DRILL_SOCKET)
		read_sysctls(m);
	tern_drill_call(m->drill, &call);
	tern_drill_step(m->drill, tern_drill_now(m->drill));
	tell(m);
	if (!call.finished)
		wait_for(m, &call);
	if (call.op == DRILL_SOCKET && m->refused)
		call = (struct drill_call){.result = -1, .error = EAFNOSUPPORT};
	pthread_mutex_unlock(&m->lock);
	if (call.result < 0)
		errno = call.error;
	return call.result;
}

#define CALL(which, ...) make(userdata, (struct drill_call){.op = (which), .arg = {__VA_ARGS__}})
#define A(value)         ((intptr_t)(value))

static int do_socket(void *userdata, int family, int type, int protocol)
{
	return (int)CALL(DRILL_SOCKET, family, type, protocol);
}

static int do_bind(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
	return (int)CALL(DRILL_BIND, fd, A(address), (intptr_t)len);
}

static int do_listen(void *userdata, int fd, int backlog)
{
	return (int)CALL(DRILL_LISTEN, fd, backlog);
}

static int do_accept(void *userdata, int fd, struct sockaddr *address, socklen_t *len)
{
	return (int)CALL(DRILL_ACCEPT, fd, A(address), A(len));
}

static int do_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
	return (int)CALL(DRILL_CONNECT, fd, A(address), (intptr_t)len);
}

static ssize_t do_read(void *userdata, int fd, void *bytes, size_t len)
{
	return CALL(DRILL_READ, fd, A(bytes), (intptr_t)len);
}

static ssize_t do_readv(void *userdata, int fd, const struct iovec *vector, int count)
{
	return CALL(DRILL_READV, fd, A(vector), count);
}

static ssize_t do_recv(void *userdata, int fd, void *bytes, size_t len, int flags)
{
	return CALL(DRILL_RECV, fd, A(bytes), (intptr_t)len, flags);
}

static ssize_t do_recvfrom(void *userdata, int fd, void *bytes, size_t len, int flags,
	struct sockaddr *address, socklen_t *address_len)
{
	return CALL(DRILL_RECVFROM, fd, A(bytes), (intptr_t)len, flags, A(address), A(address_len));
}

static ssize_t do_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags)
{
	return CALL(DRILL_RECVMSG, fd, A(msg), flags);
}

static ssize_t do_write(void *userdata, int fd, const void *bytes, size_t len)
{
	return CALL(DRILL_WRITE, fd, A(bytes), (intptr_t)len);
}

static ssize_t do_writev(void *userdata, int fd, const struct iovec *vector, int count)
{
	return CALL(DRILL_WRITEV, fd, A(vector), count);
}

static ssize_t do_send(void *userdata, int fd, const void *bytes, size_t len, int flags)
{
	return CALL(DRILL_SEND, fd, A(bytes), (intptr_t)len, flags);
}

static ssize_t do_sendto(void *userdata, int fd, const void *bytes, size_t len, int flags,
	const struct sockaddr *address, socklen_t address_len)
{
	return CALL(DRILL_SENDTO, fd, A(bytes), (intptr_t)len, flags, A(address),
		(intptr_t)address_len);
}

static ssize_t do_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags)
{
	return CALL(DRILL_SENDMSG, fd, A(msg), flags);
}

static int do_fcntl(void *userdata, int fd, int command, ...)
{
	va_list args;
	va_start(args, command);
	int value = va_arg(args, int);
	va_end(args);
	return (int)CALL(DRILL_FCNTL, fd, command, value);
}

static int do_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *value = va_arg(args, void *);
	va_end(args);
	return (int)CALL(DRILL_IOCTL, fd, (intptr_t)request, A(value));
}

static int do_close(void *userdata, int fd)
{
	return (int)CALL(DRILL_CLOSE, fd);
}

static int do_shutdown(void *userdata, int fd, int how)
{
	return (int)CALL(DRILL_SHUTDOWN, fd, how);
}

static int do_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len)
{
	return (int)CALL(DRILL_GETSOCKOPT, fd, level, name, A(value), A(len));
}

static int do_setsockopt(void *userdata, int fd, int level, int name, const void *value,
	socklen_t len)
{
	return (int)CALL(DRILL_SETSOCKOPT, fd, level, name, A(value), (intptr_t)len);
}

static int do_poll(void *userdata, struct pollfd *fds, nfds_t count, int timeout)
{
	return (int)CALL(DRILL_POLL, A(fds), (intptr_t)count, timeout);
}

static int do_epoll_create(void *userdata, int size)
{
	return (int)CALL(DRILL_EPOLL_CREATE, size);
}

static int do_epoll_ctl(void *userdata, int epoll, int op, int fd, struct epoll_event *event)
{
	return (int)CALL(DRILL_EPOLL_CTL, epoll, op, fd, A(event));
}

static int do_epoll_wait(void *userdata, int epoll, struct epoll_event *events, int max,
	int timeout)
{
	return (int)CALL(DRILL_EPOLL_WAIT, epoll, A(events), max, timeout);
}

static int do_pipe(void *userdata, int pair[2])
{
	return (int)CALL(DRILL_PIPE, A(pair));
}

static int do_splice(void *userdata, int in, loff_t *in_offset, int out, loff_t *out_offset,
	size_t len, unsigned flags)
{
	return (int)CALL(DRILL_SPLICE, in, A(in_offset), out, A(out_offset), (intptr_t)len,
		(intptr_t)flags);
}

/* --- begin and end ----------------------------------------------------------------------- */

static void do_free(void *userdata)
{
	struct machine *m = userdata;
	if (!m)
		return;
	size_t leaked = m->drill ? tern_drill_close(m->drill) : 0;
	if (leaked)
		fprintf(stderr, "libtern-packetdrill: the stack leaked %zu bytes\n", leaked);
	pthread_cond_destroy(&m->news);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int open_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

static void close_eventfd(int fd)
{
	close(fd);
}

/* A flag of the machine itself; false: none of these, or no value for it. */
static bool take_flag(struct machine *m, struct drill_opts *opts, const char *name,
	const char *value)
{
	char *end;
	unsigned long number = strtoul(value, &end, 0);
	bool whole = *value && !*end;
	if (strcmp(name, "local") == 0)
		return tern_addr_parse(value, &opts->local) == 0 && tern_addr_is_v4(&opts->local);
	if (strcmp(name, "ip_version") == 0)
		return strcmp(value, "ipv4") == 0;
	if (strcmp(name, "sysctl") == 0)
		return snprintf(m->sysctls, sizeof m->sysctls, "%s",
			       strcmp(value, "none") == 0 ? "" : value) < (int)sizeof m->sysctls;
	if (strcmp(name, "mtu") == 0 && whole && number >= 68 && number <= 65535)
		opts->mtu = (uint32_t)number;
	else if (strcmp(name, "seed") == 0 && whole)
		opts->seed = (uint32_t)number;
	else
		return false;
	return true;
}

static bool is_setting(const char *name)
{
	const char *known;
	for (unsigned k = 0; (known = tern_setting_name(k)); k++)
		if (strcmp(known, name) == 0)
			return true;
	return false;
}

/* "local=192.168.0.1,mtu=1500,tcp_sack=0": what concerns the machine before it is there, what
 * concerns its stack once it is. */
static void take_flags(struct machine *m, struct drill_opts *opts, const char *flags)
{
	char *copy = strdup(flags ? flags : ""), *rest = copy, *word;
	while (copy && (word = strsep(&rest, ", "))) {
		char *value = strchr(word, '=');
		bool good = !*word;
		if (value)
			*value++ = 0;
		if (value && is_setting(word))
			good = !m->drill || tern_set(tern_drill_stack(m->drill), word,
						    strtoll(value, NULL, 0)) == 0;
		else if (value)
			good = m->drill || take_flag(m, opts, word, value);
		if (!good)
			fprintf(stderr,
				"libtern-packetdrill: flag %s%s%s: not known, or no such "
				"value\n",
				word, value ? "=" : "", value ? value : "");
		m->refused |= !good;
	}
	free(copy);
}

__attribute__((visibility("default"))) void packetdrill_interface_init(const char *flags,
	struct packetdrill_interface *ifc);
__attribute__((visibility("default"))) int tern_packetdrill_state(void *userdata, int fd);

/* tern's own, for `tern script`: the state of a connection, also of one that was closed. */
int tern_packetdrill_state(void *userdata, int fd)
{
	struct machine *m = userdata;
	pthread_mutex_lock(&m->lock);
	int state = (int)tern_drill_state(m->drill, fd);
	pthread_mutex_unlock(&m->lock);
	return state;
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
	const char *wrong = NULL;
	struct drill_opts opts = {.local = tern_addr_v4(192, 168, 0, 1),
		.mtu = 1500,
		.open_fd = open_eventfd,
		.close_fd = close_eventfd};
	struct machine *m = calloc(1, sizeof *m);
	if (!m)
		abort();
	snprintf(m->sysctls, sizeof m->sysctls, "/proc/sys/net");
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->news, NULL);
	take_flags(m, &opts, flags);
	m->drill = tern_drill_open(&opts, &wrong);
	if (!m->drill) {
		fprintf(stderr, "libtern-packetdrill: no stack: %s\n", wrong);
		abort();
	}
	take_flags(m, &opts, flags);
	*ifc = (struct packetdrill_interface){m, do_free, do_socket, do_bind, do_listen, do_accept,
		do_connect, do_read, do_readv, do_recv, do_recvfrom, do_recvmsg, do_write,
		do_writev, do_send, do_sendto, do_sendmsg, do_fcntl, do_ioctl, do_close,
		do_shutdown, do_getsockopt, do_setsockopt, do_poll, do_netdev_send,
		do_netdev_receive, do_usleep, do_gettimeofday, do_epoll_create, do_epoll_ctl,
		do_epoll_wait, do_pipe, do_splice};
}
