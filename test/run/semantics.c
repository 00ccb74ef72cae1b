/*
 * What man 7 tcp promises, as a program sees it: each test prints what happened, and must print the
 * same on the kernel and under `tern run`. Both ends are in the program, over the loopback.
 *
 * usage: semantics --list | semantics NAME
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tally.h"

/* Prints a call, and its result or its error. */
#define R(call) report(#call, (long)(call))
/* The same for one whose result is a descriptor, which may be any. */
#define FD(call) report_fd(#call, (call))

static long report(const char *what, long result)
{
	int error = errno;
	if (result == -1)
		printf("%s: %s\n", what, strerrorname_np(error));
	else
		printf("%s = %ld\n", what, result);
	errno = error;
	return result;
}

static int report_fd(const char *what, int fd)
{
	int error = errno;
	printf("%s: %s\n", what, fd >= 0 ? "a descriptor" : strerrorname_np(error));
	errno = error;
	return fd;
}

static struct sockaddr_in at(const char *host, int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, host, &sin.sin_addr);
	return sin;
}

static void settle(void)
{
	fflush(stdout);
	usleep(60000);
}

static int port_of(int fd)
{
	struct sockaddr_in sin = {0};
	socklen_t len = sizeof sin;
	getsockname(fd, (struct sockaddr *)&sin, &len);
	return ntohs(sin.sin_port);
}

static int dial_from(int fd, const char *host, int port)
{
	struct sockaddr_in sin = at(host, port);
	return connect(fd, (struct sockaddr *)&sin, sizeof sin);
}

static int bind_to(int fd, const char *host, int port)
{
	struct sockaddr_in sin = at(host, port);
	return bind(fd, (struct sockaddr *)&sin, sizeof sin);
}

static int tcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static int get(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;
	int rc = getsockopt(fd, level, name, &value, &len);
	return rc == 0 ? value : -1;
}

static int listener(void)
{
	int fd = tcp();
	if (bind_to(fd, "127.0.0.1", 0) != 0 || listen(fd, 16) != 0) {
		perror("listener");
		exit(1);
	}
	return fd;
}

/* A listener that has no room for the next connection. */
static int full_listener(void)
{
	int l = tcp();
	bind_to(l, "127.0.0.1", 0);
	listen(l, 0);
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		dial_from(fd, "127.0.0.1", port_of(l));
		settle();
	}
	return l;
}

struct pair {
	int l, c, s;
};

static struct pair pair(void)
{
	struct pair p = {.l = listener(), .c = tcp()};
	if (dial_from(p.c, "127.0.0.1", port_of(p.l)) != 0) {
		perror("connect");
		exit(1);
	}
	p.s = accept(p.l, NULL, NULL);
	return p;
}

static void nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void show_events(const char *what, int events)
{
	static const struct {
		int bit;
		const char *name;
	} bits[] = {{POLLIN, "IN"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"},
		{POLLRDHUP, "RDHUP"}, {POLLNVAL, "NVAL"}, {POLLPRI, "PRI"}};
	printf("%s:", what);
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (events & bits[i].bit)
			printf(" %s", bits[i].name);
	printf("\n");
}

static int poll_for(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

#define P(fd) show_events("poll " #fd, poll_for(fd, 0))

static int wait_for(int ep, int ms, uint32_t *events)
{
	struct epoll_event ev = {0};
	int n = epoll_wait(ep, &ev, 1, ms);
	*events = ev.events;
	return n;
}

static void e(const char *what, int ep)
{
	uint32_t events;
	int n = wait_for(ep, 60, &events);
	printf("%s %d", what, n);
	show_events("", n > 0 ? (int)events : 0);
}

static void fill(int fd)
{
	static char block[65536];
	nonblock(fd);
	for (int quiet = 0; quiet < 3;) {
		ssize_t n = write(fd, block, sizeof block);
		if (n > 0)
			quiet = 0;
		else {
			quiet++;
			usleep(30000);
		}
	}
}

static char buf[1 << 20];

/* --- opening ------------------------------------------------------------------------------- */

static void t_fresh(void)
{
	int fd = FD(tcp());
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	R(getsockname(fd, (struct sockaddr *)&sin, &len));
	printf("%d %s %d\n", (int)len, inet_ntoa(sin.sin_addr), ntohs(sin.sin_port));
	R(getpeername(fd, (struct sockaddr *)&sin, &len));
	P(fd);
	R(shutdown(fd, SHUT_WR));
	R(accept(fd, NULL, NULL));
	R(close(fd));
}

static void t_names(void)
{
	struct pair p = pair();
	struct sockaddr_in a, b;
	socklen_t len = sizeof a;
	R(getsockname(p.c, (struct sockaddr *)&a, &len));
	R(getpeername(p.s, (struct sockaddr *)&b, &len));
	printf("%d\n", memcmp(&a, &b, 8));
	R(getpeername(p.c, (struct sockaddr *)&a, &len));
	R(getsockname(p.s, (struct sockaddr *)&b, &len));
	printf("%d\n", memcmp(&a, &b, 8));
	printf("%s %d\n", inet_ntoa(a.sin_addr), ntohs(a.sin_port) == port_of(p.l));
	len = 4;
	R(getsockname(p.c, (struct sockaddr *)&a, &len));
	printf("%d\n", (int)len);
	len = (socklen_t)-1;
	R(getsockname(p.c, (struct sockaddr *)&a, &len));
	R(getsockname(p.c, (struct sockaddr *)&a, NULL));
	R(getpeername(p.l, (struct sockaddr *)&a, &len));
}

static void t_connect_refused(void)
{
	int l = listener(), port = port_of(l), fd = tcp();
	close(l);
	R(dial_from(fd, "127.0.0.1", port));
	R(get(fd, SOL_SOCKET, SO_ERROR));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(dial_from(fd, "127.0.0.1", port));
	show_events("poll", poll_for(fd, 1000));
	R(get(fd, SOL_SOCKET, SO_ERROR));
	R(get(fd, SOL_SOCKET, SO_ERROR));
}

static void t_connect_nonblocking(void)
{
	int l = listener(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	show_events("poll", poll_for(fd, 1000));
	R(get(fd, SOL_SOCKET, SO_ERROR));
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	int s = FD(accept(l, NULL, NULL));
	R(write(s, "hello", 5));
	settle();
	R(read(fd, buf, 10));
	R(read(fd, buf, 10));
}

static void on_alarm(int number)
{
	(void)number;
}

static void alarm_in(long us, int flags)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval timer = {.it_value = {us / 1000000, us % 1000000}};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void t_connect_again(void)
{
	int l = listener(), port = port_of(l), fd = tcp();
	close(l);
	R(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	R(fcntl(fd, F_SETFD, FD_CLOEXEC));
	R(dial_from(fd, "127.0.0.1", port));
	R(dial_from(fd, "127.0.0.1", port));
	l = tcp();
	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind_to(l, "127.0.0.1", port));
	R(listen(l, 5));
	R(dial_from(fd, "127.0.0.1", port));
	R(get(fd, IPPROTO_TCP, TCP_NODELAY));
	R(fcntl(fd, F_GETFD));
	FD(accept(l, NULL, NULL));
	R(dial_from(fd, "127.0.0.1", port));
	close(l);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(bind_to(fd, "127.0.0.1", 0));
	int own = port_of(fd);
	R(dial_from(fd, "127.0.0.1", port));
	poll_for(fd, 1000);
	R(dial_from(fd, "127.0.0.1", port));
	l = listener();
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	show_events("poll", poll_for(fd, 1000));
	R(get(fd, SOL_SOCKET, SO_ERROR));
	printf("%d\n", port_of(fd) == own);
}

/* The second open is the same socket's: behind its duplicates and in epoll sets, too. */
static void t_connect_again_elsewhere(void)
{
	int l = listener(), port = port_of(l), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int d = dup(fd), level = epoll_create1(0), edge = epoll_create1(0), once = epoll_create1(0);
	int other = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.u64 = 0x123456789abcdef};
	close(l);
	R(dial_from(fd, "127.0.0.1", port));
	poll_for(fd, 1000);
	R(dial_from(fd, "127.0.0.1", port));
	R(epoll_ctl(level, EPOLL_CTL_ADD, d, &ev));
	ev.events |= EPOLLET;
	R(epoll_ctl(edge, EPOLL_CTL_ADD, fd, &ev));
	ev.events = EPOLLIN | EPOLLONESHOT;
	R(epoll_ctl(once, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(other, EPOLL_CTL_ADD, 0, &ev));
	epoll_wait(edge, &ev, 1, 0);
	epoll_wait(once, &ev, 1, 0);
	ev.events = EPOLLIN | EPOLLONESHOT;
	R(epoll_ctl(once, EPOLL_CTL_MOD, fd, &ev));
	l = listener();
	R(dial_from(d, "127.0.0.1", port_of(l)));
	settle();
	e("level", level);
	e("level", level);
	e("edge", edge);
	e("edge", edge);
	int s = FD(accept(l, NULL, NULL));
	P(fd);
	P(d);
	R(write(fd, "fd", 2));
	R(read(s, buf, 100));
	R(write(d, "d", 1));
	R(read(s, buf, 100));
	R(write(s, "back", 4));
	settle();
	R(epoll_wait(once, &ev, 1, 0));
	printf("%llx\n", (unsigned long long)ev.data.u64);
	ev.events = EPOLLIN;
	R(epoll_ctl(level, EPOLL_CTL_MOD, d, &ev));
	R(epoll_ctl(level, EPOLL_CTL_DEL, fd, &ev));
	R(epoll_ctl(edge, EPOLL_CTL_DEL, fd, &ev));
	R(read(d, buf, 100));
	R(close(fd));
	R(write(d, "still", 5));
	R(read(s, buf, 100));
	e("level", level);
	R(close(d));
	e("level", level);
	R(read(s, buf, 100));
}

static int disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int rc = connect(fd, &none, sizeof none);
	settle();
	return rc;
}

static void t_disconnect(void)
{
	struct pair p = pair();
	int ep = epoll_create1(0), fd = tcp();
	struct epoll_event ev = {.events = EPOLLIN};
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;
	R(disconnect(fd));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, p.c, &ev));
	R(write(p.c, "lost?", 5));
	R(disconnect(p.c));
	R(!!(poll_for(p.c, 0) & POLLHUP));
	R(getpeername(p.c, (struct sockaddr *)&sin, &len));
	P(p.s);
	R(dial_from(p.c, "127.0.0.1", port_of(p.l)));
	R(dial_from(p.c, "127.0.0.1", port_of(p.l)));
	int s = FD(accept(p.l, NULL, NULL));
	R(write(s, "again", 5));
	e("again", ep);
	R(read(p.c, buf, 100));
	int port = port_of(p.l), waits = tcp();
	R(dial_from(waits, "127.0.0.1", port));
	R(disconnect(p.l));
	P(waits);
	R(dial_from(fd, "127.0.0.1", port));
	R(accept(p.l, NULL, NULL));
	R(bind_to(p.l, "127.0.0.1", port));
	R(listen(p.l, 1));
	R(dial_from(fd, "127.0.0.1", port));
	int l = full_listener(), slow = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(dial_from(slow, "127.0.0.1", port_of(l)));
	R(disconnect(slow));
	R(!!(poll_for(slow, 0) & POLLHUP));
	fcntl(slow, F_SETFL, 0);
	R(dial_from(slow, "127.0.0.1", port));
}

static void t_connect_interrupted(void)
{
	int l = tcp(), first = tcp(), second = tcp(), fd = tcp();
	R(bind_to(l, "127.0.0.1", 0));
	R(listen(l, 0));
	R(dial_from(first, "127.0.0.1", port_of(l)));
	settle();
	nonblock(second);
	dial_from(second, "127.0.0.1", port_of(l)); /* the queue may hold one or two */
	settle();
	alarm_in(100000, 0);
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	show_events("poll", poll_for(fd, 0));
	nonblock(fd);
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	FD(accept(l, NULL, NULL));
	nonblock(l);
	for (int i = 0; i < 40 && !(poll_for(fd, 0) & POLLOUT); i++) {
		accept(l, NULL, NULL);
		usleep(100000);
	}
	show_events("poll", poll_for(fd, 0));
	R(get(fd, SOL_SOCKET, SO_ERROR));
	R(dial_from(fd, "127.0.0.1", port_of(l)));
}

static void t_connect_timeout(void)
{
	int l = full_listener(), fd = tcp();
	struct timeval tv = {0, 200000};
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	R(dial_from(fd, "127.0.0.1", port_of(l)));
}

/* The connection that came from that port, when its SYN was sent again. */
static int accept_from(int l, int port)
{
	struct sockaddr_in from;
	nonblock(l);
	for (int i = 0; i < 100; i++) {
		socklen_t len = sizeof from;
		int s = accept(l, (struct sockaddr *)&from, &len);
		if (s >= 0 && ntohs(from.sin_port) == port)
			return s;
		usleep(s < 0 ? 50000 : 0);
	}
	return -1;
}

static void t_connect_write_early(void)
{
	int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct timeval tv = {0, 50000};
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	R(write(fd, "early", 5));
	R(send(fd, "e", 1, MSG_NOSIGNAL));
	P(fd);
	R(recv(fd, buf, 10, 0));
	fcntl(fd, F_SETFL, 0);
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	R(write(fd, "early", 5));
	tv.tv_usec = 0;
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	alarm_in(50000, 0);
	R(write(fd, "early", 5));
	P(fd);
	pid_t pid = fork();
	if (pid == 0)
		_exit(write(fd, "waited", 6) == 6 ? 0 : 1);
	int s = FD(accept_from(l, port_of(fd))), status;
	R(read(s, buf, 100));
	waitpid(pid, &status, 0);
	printf("%d\n", status);
	P(fd);
	R(write(fd, "on", 2));
	R(read(s, buf, 100));
	fill(fd);
	printf("%d\n", (int)read(s, buf, sizeof buf) > 60000);
}

static void t_connect_addresses(void)
{
	int fd = tcp();
	struct sockaddr_in sin = at("127.0.0.1", 9);
	R(connect(fd, (struct sockaddr *)&sin, 4));
	R(connect(fd, (struct sockaddr *)&sin, (socklen_t)-1));
	R(connect(fd, (struct sockaddr *)1, sizeof sin));
	sin.sin_family = AF_INET6;
	R(connect(fd, (struct sockaddr *)&sin, sizeof sin));
	R(bind_to(fd, "203.0.113.7", 0));
	R(connect(-1, (struct sockaddr *)&sin, sizeof sin));
	R(connect(0, (struct sockaddr *)&sin, sizeof sin));
}

/* How many of n opens at once get through. */
static int get_through(int l, int n)
{
	int through = 0;
	for (int i = 0; i < n; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		dial_from(c, "127.0.0.1", port_of(l));
		settle();
		struct pollfd p = {.fd = c, .events = POLLOUT};
		through += poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
	}
	return through;
}

static void t_listen_again(void)
{
	int l = tcp();
	bind_to(l, "127.0.0.1", 0);
	R(listen(l, 0));
	R(get_through(l, 2));
	R(listen(l, 2));
	R(get_through(l, 3));
	R(listen(l, 0));
	for (int i = 0; i < 3; i++)
		FD(accept(l, NULL, NULL));
	R(get_through(l, 2));
}

static void t_accept_waits(void)
{
	int l = listener();
	struct timeval tv = {0, 50000};
	R(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	R(accept(l, NULL, NULL));
	tv.tv_usec = 0;
	R(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	alarm_in(50000, 0);
	R(accept(l, NULL, NULL));
	alarm_in(50000, SA_RESTART);
	pid_t pid = fork();
	if (pid == 0) {
		usleep(200000);
		int fd = tcp();
		dial_from(fd, "127.0.0.1", port_of(l));
		_exit(0);
	}
	FD(accept(l, NULL, NULL));
	waitpid(pid, NULL, 0);
	nonblock(l);
	R(accept(l, NULL, NULL));
	R(accept4(l, NULL, NULL, 0x4000));
	P(l);
	int fd = tcp();
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	settle();
	P(l);
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	int s = FD(accept4(l, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	printf("%d %s %d\n", (int)len, inet_ntoa(from.sin_addr),
		ntohs(from.sin_port) == port_of(fd));
	printf("%d %d\n", !!(fcntl(s, F_GETFL) & O_NONBLOCK), fcntl(s, F_GETFD));
	P(l);
}

static void t_accept_bad_address(void)
{
	int l = listener(), c = tcp();
	socklen_t len = (socklen_t)-5;
	struct sockaddr_in from;
	R(dial_from(c, "127.0.0.1", port_of(l)));
	settle();
	R(accept(l, (struct sockaddr *)&from, &len));
	R(accept(c, NULL, NULL));
}

static void t_listen_states(void)
{
	int l = tcp();
	R(listen(l, 5));
	printf("%d\n", port_of(l) > 0);
	R(listen(l, 50));
	R(get(l, SOL_SOCKET, SO_ACCEPTCONN));
	R(bind_to(l, "127.0.0.1", 0));
	R(dial_from(l, "127.0.0.1", port_of(l)));
	struct pair p = pair();
	R(listen(p.c, 5));
	R(get(p.c, SOL_SOCKET, SO_ACCEPTCONN));
}

static void t_bind_rules(void)
{
	int a = tcp(), b = tcp(), c = tcp(), d = tcp();
	R(bind_to(a, "127.0.0.1", 0));
	printf("%d\n", port_of(a) > 0);
	R(bind_to(a, "127.0.0.1", 0));
	R(bind_to(b, "127.0.0.1", port_of(a)));
	R(bind_to(b, "0.0.0.0", port_of(a)));
	R(set(a, SOL_SOCKET, SO_REUSEADDR, 1));
	R(set(c, SOL_SOCKET, SO_REUSEADDR, 1));
	R(listen(a, 1));
	R(bind_to(c, "127.0.0.1", port_of(a)));
	R(bind_to(d, "127.0.0.2", port_of(a)));
	R(close(a));
	settle();
	R(bind_to(b, "127.0.0.1", port_of(d)));
	R(listen(b, 1));
}

static void t_reuseport(void)
{
	int a = tcp(), b = tcp(), got[2] = {0, 0};
	R(set(a, SOL_SOCKET, SO_REUSEPORT, 1));
	R(set(b, SOL_SOCKET, SO_REUSEPORT, 1));
	R(get(a, SOL_SOCKET, SO_REUSEPORT));
	R(bind_to(a, "127.0.0.1", 0));
	R(bind_to(b, "127.0.0.1", port_of(a)));
	R(listen(a, 64));
	R(listen(b, 64));
	nonblock(a);
	nonblock(b);
	for (int i = 0; i < 40; i++)
		dial_from(tcp(), "127.0.0.1", port_of(a));
	settle();
	while (accept(a, NULL, NULL) >= 0)
		got[0]++;
	while (accept(b, NULL, NULL) >= 0)
		got[1]++;
	printf("%d in all\n", got[0] + got[1]);
}

static void t_reuseport_two_processes(void)
{
	int a = tcp();
	set(a, SOL_SOCKET, SO_REUSEPORT, 1);
	R(bind_to(a, "127.0.0.1", 0));
	int port = port_of(a), report_to[2], n = 0;
	char byte;
	R(listen(a, 64));
	pipe(report_to);
	for (int k = 0; k < 2; k++)
		if (fork() == 0) {
			int b = tcp();
			set(b, SOL_SOCKET, SO_REUSEPORT, 1);
			bind_to(b, "127.0.0.1", port);
			listen(b, 64);
			close(a);
			struct timeval tv = {0, 700000};
			setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
			while (accept(b, NULL, NULL) >= 0)
				write(report_to[1], "x", 1);
			_exit(0);
		}
	usleep(300000);
	close(a);
	usleep(1200000 > 0 ? 100000 : 0);
	for (int i = 0; i < 20; i++)
		n += dial_from(tcp(), "127.0.0.1", port) == 0;
	printf("connected %d\n", n);
	close(report_to[1]);
	n = 0;
	while (read(report_to[0], &byte, 1) == 1)
		n++;
	printf("accepted %d\n", n);
	while (wait(NULL) > 0)
		;
}

/* --- bytes ------------------------------------------------------------------------------- */

static void t_read_write(void)
{
	struct pair p = pair();
	R(write(p.c, "hello", 5));
	settle();
	int n;
	R(ioctl(p.s, FIONREAD, &n));
	printf("%d\n", n);
	R(recv(p.s, buf, 3, MSG_PEEK));
	R(recv(p.s, buf, 100, MSG_DONTWAIT));
	printf("%.5s\n", buf);
	R(recv(p.s, buf, 100, MSG_DONTWAIT));
	R(write(p.c, "abcdef", 6));
	settle();
	R(recv(p.s, buf, 2, MSG_TRUNC) == 2);
	R(recv(p.s, buf, 4, MSG_WAITALL));
	R(ioctl(p.s, FIONREAD, &n));
	printf("%d\n", n);
	R(send(p.s, "x", 1, MSG_NOSIGNAL));
	R(sendto(p.s, "y", 1, 0, NULL, 0));
	struct iovec iov[2] = {{(char[]){"12"}, 2}, {(char[]){"345"}, 3}};
	R(writev(p.s, iov, 2));
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	R(sendmsg(p.s, &msg, 0));
	struct mmsghdr many[3] = {{.msg_hdr = msg}, {.msg_hdr = msg}, {.msg_hdr = msg}};
	R(sendmmsg(p.s, many, 3, 0));
	settle();
	char a[4], b[100];
	struct iovec in[2] = {{a, 4}, {b, 100}};
	R(readv(p.c, in, 2));
	printf("%.4s\n", a);
	memset(&msg, 0, sizeof msg);
	R(write(p.s, "zz", 2));
	settle();
	msg.msg_iov = in;
	msg.msg_iovlen = 2;
	R(recvmsg(p.c, &msg, 0));
	printf("flags %d, control %d\n", msg.msg_flags, (int)msg.msg_controllen);
}

static void t_waitall(void)
{
	struct pair p = pair();
	if (fork() == 0) {
		for (int i = 0; i < 5; i++) {
			write(p.c, "0123456789", 10);
			usleep(20000);
		}
		_exit(0);
	}
	R(recv(p.s, buf, 50, MSG_WAITALL));
	wait(NULL);
}

static void t_timeouts(void)
{
	struct pair p = pair();
	struct timeval tv = {0, 50000};
	R(setsockopt(p.c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	R(setsockopt(p.c, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	R(read(p.c, buf, 1));
	fill(p.c);
	fcntl(p.c, F_SETFL, 0);
	R(write(p.c, buf, sizeof buf) == (ssize_t)sizeof buf ? 1 : -1);
	alarm_in(50000, 0);
	tv.tv_usec = 0;
	setsockopt(p.s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	while (recv(p.s, buf, sizeof buf, MSG_DONTWAIT) > 0)
		usleep(20000);
	alarm_in(50000, 0);
	R(read(p.s, buf, 1));
}

static void t_bulk(void)
{
	struct pair p = pair();
	size_t total = 50 << 20, got = 0;
	unsigned long sum = 0, want = 0;
	pid_t pid = fork();
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = (char)(i * 31 + (i >> 8));
	if (pid == 0) {
		for (size_t put = 0; put < total;) {
			size_t off = put % sizeof buf;
			ssize_t n = write(p.c, buf + off, sizeof buf - off);
			if (n <= 0)
				_exit(1);
			put += (size_t)n;
		}
		_exit(0);
	}
	close(p.c);
	static char in[65536];
	ssize_t n;
	while ((n = read(p.s, in, sizeof in)) > 0)
		for (ssize_t i = 0; i < n; i++, got++) {
			sum = sum * 31 + (unsigned char)in[i];
			want = want * 31 + (unsigned char)buf[got % sizeof buf];
		}
	printf("%zu bytes, %s, end %zd\n", got, sum == want ? "right" : "wrong", n);
	waitpid(pid, NULL, 0);
}

/* --- urgent data --------------------------------------------------------------------------- */

static int urgent(int fd, const char *text)
{
	int n = (int)send(fd, text, strlen(text), MSG_OOB);
	settle();
	return n;
}

static int mark(int fd)
{
	int at = -1;
	return ioctl(fd, SIOCATMARK, &at) == 0 ? at : -1;
}

static void show(const char *what, int fd, int flags)
{
	memset(buf, 0, 100);
	ssize_t n = recv(fd, buf, 100, flags | MSG_DONTWAIT);
	if (n < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %d \"%s\"\n", what, (int)n, buf);
}

static void t_urgent(void)
{
	struct pair p = pair();
	int ends[2][2] = {{p.c, p.s}, {p.s, p.c}};
	for (int i = 0; i < 2; i++) {
		int from = ends[i][0], to = ends[i][1];
		R(mark(to));
		R(recv(to, buf, 1, MSG_OOB));
		R(write(from, "before", 6));
		R(urgent(from, "!"));
		R(write(from, "after", 5));
		settle();
		P(to);
		R(mark(to));
		show("peek", to, MSG_PEEK);
		show("read", to, 0);
		R(mark(to));
		show("urgent, looked at", to, MSG_OOB | MSG_PEEK);
		show("urgent", to, MSG_OOB);
		R(recv(to, buf, 1, MSG_OOB));
		P(to);
		R(mark(to));
		show("read", to, 0);
		R(mark(to));
		P(to);
		R(urgent(from, "abc!"));
		show("urgent first", to, MSG_OOB);
		show("read", to, 0);
		show("read", to, 0);
		R(urgent(from, "a?"));
		R(urgent(from, "b!"));
		show("the first of two", to, 0);
		R(mark(to));
		show("the second", to, MSG_OOB);
		R(write(from, "on", 2));
		settle();
		show("read", to, 0);
		R(urgent(from, "unread"));
		show("read", to, 0);
		R(write(from, "on", 2));
		settle();
		show("past it", to, 0);
		R(recv(to, buf, 1, MSG_OOB));
		P(to);
	}
	R(urgent(p.c, "last!"));
	R(shutdown(p.c, SHUT_WR));
	settle();
	show("read", p.s, 0);
	show("urgent", p.s, MSG_OOB);
	show("the end", p.s, 0);
}

static void t_urgent_inline(void)
{
	int l = listener(), c = tcp();
	R(get(c, SOL_SOCKET, SO_OOBINLINE));
	R(set(l, SOL_SOCKET, SO_OOBINLINE, 1));
	R(dial_from(c, "127.0.0.1", port_of(l)));
	int s = accept(l, NULL, NULL);
	R(get(s, SOL_SOCKET, SO_OOBINLINE));
	R(set(c, SOL_SOCKET, SO_OOBINLINE, 7));
	R(get(c, SOL_SOCKET, SO_OOBINLINE));
	int ends[2][2] = {{c, s}, {s, c}};
	for (int i = 0; i < 2; i++) {
		int from = ends[i][0], to = ends[i][1], n;
		R(write(from, "before", 6));
		R(urgent(from, "!"));
		R(write(from, "after", 5));
		settle();
		P(to);
		R(ioctl(to, FIONREAD, &n));
		printf("%d\n", n);
		show("urgent", to, MSG_OOB);
		show("read", to, 0);
		R(mark(to));
		P(to);
		show("read", to, 0);
		R(mark(to));
		P(to);
		R(urgent(from, "abc!"));
		show("read", to, 0);
		show("read", to, 0);
		P(to);
	}
	R(mark(l));
	dial_from(tcp(), "127.0.0.1", port_of(l));
	settle();
	R(mark(l));
}

static volatile sig_atomic_t urgent_signals;

static void on_urgent(int number)
{
	(void)number;
	urgent_signals++;
}

static void t_urgent_signal(void)
{
	struct pair p = pair();
	signal(SIGURG, on_urgent);
	R(fcntl(p.s, F_SETOWN, getpid()));
	R(write(p.c, "a", 1));
	settle();
	printf("%d\n", (int)urgent_signals);
	R(urgent(p.c, "!"));
	printf("%d\n", (int)urgent_signals);
	fd_set except;
	struct timeval tv = {0, 0};
	FD_ZERO(&except);
	FD_SET(p.s, &except);
	R(select(p.s + 1, NULL, NULL, &except, &tv));
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLPRI};
	R(epoll_ctl(ep, EPOLL_CTL_ADD, p.s, &ev));
	e("except", ep);
	show("urgent", p.s, MSG_OOB);
	e("except", ep);
	R(urgent(p.c, "!"));
	printf("%d\n", (int)urgent_signals);
	e("except", ep);
}

/* Urgent bytes in the midst of many, at whatever rate each end goes: none is lost, and each is
 * where it was sent. */
static void t_urgent_in_bulk(void)
{
	struct pair p = pair();
	enum {
		ROUNDS = 400
	};
	set(p.s, SOL_SOCKET, SO_OOBINLINE, 1);
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < ROUNDS; i++) {
			memset(buf, '.', sizeof buf);
			for (int left = i * 97 % 50000; left > 0;)
				left -= (int)write(p.c, buf, (size_t)left);
			send(p.c, "!", 1, MSG_OOB);
		}
		_exit(0);
	}
	close(p.c);
	long at = 0, next = 0, urgents = 0, wrong = 0;
	ssize_t n;
	int round = 0;
	next = 0;
	while ((n = read(p.s, buf, 20000)) > 0)
		for (ssize_t i = 0; i < n; i++, at++) {
			bool expected = at == next;
			if (expected)
				next = at + 1 + ++round * 97 % 50000;
			urgents += buf[i] == '!';
			wrong += (buf[i] == '!') != expected;
		}
	printf("%ld bytes, %ld urgent, %ld wrong, end %d\n", at, urgents, wrong, (int)n);
	waitpid(pid, NULL, 0);
}

static void t_sendfile_splice_tee(void)
{
	struct pair p = pair();
	char name[] = "/tmp/semantics.XXXXXX";
	int file = mkstemp(name), pipes[2], pipes2[2];
	unlink(name);
	write(file, "0123456789abcdef", 16);
	off_t off = 4;
	R(sendfile(p.c, file, &off, 8));
	settle();
	R(read(p.s, buf, 100));
	printf("%.8s\n", buf);
	pipe(pipes);
	pipe(pipes2);
	write(pipes[1], "through a pipe", 14);
	R(tee(pipes[0], pipes2[1], 100, 0));
	R(splice(pipes[0], NULL, p.s, NULL, 100, 0));
	settle();
	R(splice(p.c, NULL, pipes[1], NULL, 100, 0));
	R(read(pipes[0], buf, 100));
	printf("%.14s\n", buf);
	ftruncate(file, 3 << 20);
	off = 0;
	if (fork() == 0) {
		size_t left = 3 << 20;
		ssize_t n;
		while (left && (n = sendfile(p.c, file, &off, left)) > 0)
			left -= (size_t)n;
		_exit(0);
	}
	close(p.c);
	size_t got = 0;
	ssize_t n;
	while ((n = read(p.s, buf, sizeof buf)) > 0)
		got += (size_t)n;
	printf("%zu\n", got);
	wait(NULL);
}

static void t_outq(void)
{
	struct pair p = pair();
	int n;
	R(ioctl(p.c, SIOCOUTQ, &n));
	printf("%d\n", n);
	R(write(p.c, "hello", 5));
	settle();
	R(ioctl(p.c, SIOCOUTQ, &n));
	printf("%d\n", n);
	R(ioctl(p.c, SIOCATMARK, &n));
	printf("%d\n", n);
	R(ioctl(p.l, SIOCOUTQ, &n));
}

static void t_backpressure(void)
{
	struct pair p = pair();
	fill(p.c);
	P(p.c);
	size_t got = 0;
	ssize_t n;
	nonblock(p.s);
	for (int quiet = 0; quiet < 5;) {
		n = read(p.s, buf, sizeof buf);
		got += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		if (n <= 0)
			usleep(20000);
	}
	printf("%d\n", got > 65536);
	P(p.c);
}

/* --- readiness -------------------------------------------------------------------------- */

static void t_epoll(void)
{
	struct pair p = pair();
	int level = epoll_create1(0), edge = epoll_create1(0), once = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	R(epoll_ctl(level, EPOLL_CTL_ADD, p.s, &ev));
	ev.events = EPOLLIN | EPOLLET;
	R(epoll_ctl(edge, EPOLL_CTL_ADD, p.s, &ev));
	ev.events = EPOLLIN | EPOLLONESHOT;
	R(epoll_ctl(once, EPOLL_CTL_ADD, p.s, &ev));
	e("level", level);
	write(p.c, "ab", 2);
	settle();
	e("level", level);
	e("level", level);
	e("edge", edge);
	e("edge", edge);
	e("once", once);
	write(p.c, "cd", 2);
	settle();
	e("edge", edge);
	e("once", once);
	ev.events = EPOLLIN | EPOLLONESHOT;
	R(epoll_ctl(once, EPOLL_CTL_MOD, p.s, &ev));
	e("once", once);
	R(read(p.s, buf, 100));
	e("level", level);
	e("edge", edge);
	close(p.c);
	settle();
	e("level", level);
	e("edge", edge);
	R(read(p.s, buf, 100));
}

static void t_epoll_connect_and_listen(void)
{
	int l = listener(), ep = epoll_create1(0),
	    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	nonblock(l);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	e("listening", ep);
	int ep2 = epoll_create1(0);
	ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	R(epoll_ctl(ep2, EPOLL_CTL_ADD, c, &ev));
	uint32_t events;
	wait_for(ep2, 0, &events);
	R(dial_from(c, "127.0.0.1", port_of(l)));
	settle();
	e("connected", ep2);
	e("listening", ep);
	e("listening", ep);
	int s = FD(accept(l, NULL, NULL));
	R(accept(l, NULL, NULL));
	e("listening", ep);
	dial_from(tcp(), "127.0.0.1", port_of(l));
	dial_from(tcp(), "127.0.0.1", port_of(l));
	settle();
	e("listening", ep);
	FD(accept(l, NULL, NULL));
	FD(accept(l, NULL, NULL));
	R(accept(l, NULL, NULL));
	write(s, "x", 1);
	settle();
	e("connected", ep2);
	shutdown(s, SHUT_WR);
	settle();
	e("connected", ep2);
}

static void t_select(void)
{
	struct pair p = pair();
	fd_set in, out;
	struct timeval tv = {0, 0};
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(p.s, &in);
	FD_SET(p.s, &out);
	R(select(p.s + 1, &in, &out, NULL, &tv));
	printf("%d %d\n", !!FD_ISSET(p.s, &in), !!FD_ISSET(p.s, &out));
	write(p.c, "x", 1);
	settle();
	FD_SET(p.s, &in);
	tv.tv_usec = 0;
	R(select(p.s + 1, &in, &out, NULL, &tv));
	printf("%d %d\n", !!FD_ISSET(p.s, &in), !!FD_ISSET(p.s, &out));
}

/* --- ending -------------------------------------------------------------------------------- */

static void t_half_close(void)
{
	struct pair p = pair();
	signal(SIGPIPE, SIG_IGN);
	R(write(p.c, "last", 4));
	R(shutdown(p.c, SHUT_WR));
	R(write(p.c, "x", 1));
	settle();
	P(p.s);
	P(p.c);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
	R(write(p.s, "still", 5));
	settle();
	R(read(p.c, buf, 100));
	R(shutdown(p.s, SHUT_WR));
	settle();
	P(p.c);
	R(read(p.c, buf, 100));
	R(shutdown(p.c, SHUT_WR) == 0 || errno == ENOTCONN);
}

static void t_half_close_server_first(void)
{
	struct pair p = pair();
	R(shutdown(p.s, SHUT_WR));
	settle();
	P(p.c);
	R(read(p.c, buf, 1));
	R(write(p.c, "more", 4));
	settle();
	R(read(p.s, buf, 100));
	R(close(p.c));
	settle();
	P(p.s);
	R(read(p.s, buf, 100));
}

static void t_shutdown_read(void)
{
	struct pair p = pair();
	R(shutdown(p.c, SHUT_RD));
	P(p.c);
	R(read(p.c, buf, 10));
	R(write(p.s, "hello", 5));
	settle();
	R(write(p.s, "hello", 5));
	R(write(p.c, "on", 2));
	settle();
	R(read(p.s, buf, 10));
	R(shutdown(p.c, 7));
}

static void t_close_clean(void)
{
	struct pair p = pair();
	R(write(p.c, "bye", 3));
	R(close(p.c));
	settle();
	P(p.s);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
	R(get(p.s, SOL_SOCKET, SO_ERROR));
}

static void t_close_unread(void)
{
	struct pair p = pair();
	R(write(p.s, "never read", 10));
	settle();
	R(close(p.c));
	settle();
	P(p.s);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
}

static void reset_by(int fd)
{
	struct linger linger = {1, 0};
	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	R(close(fd));
	settle();
}

static void t_reset_before_data(void)
{
	struct pair p = pair();
	reset_by(p.c);
	P(p.s);
	R(get(p.s, SOL_SOCKET, SO_ERROR));
	R(get(p.s, SOL_SOCKET, SO_ERROR));
	R(read(p.s, buf, 100));
}

static void t_reset_read(void)
{
	struct pair p = pair();
	reset_by(p.c);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
	R(get(p.s, SOL_SOCKET, SO_ERROR));
	signal(SIGPIPE, SIG_IGN);
	R(write(p.s, "x", 1));
}

static void t_reset_after_data(void)
{
	struct pair p = pair();
	R(write(p.c, "data", 4));
	R(write(p.s, "data", 4));
	settle();
	R(read(p.s, buf, 100));
	R(read(p.c, buf, 100));
	reset_by(p.c);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
}

static void t_reset_after_shut(void)
{
	struct pair p = pair();
	R(write(p.s, "data", 4));
	R(shutdown(p.s, SHUT_WR));
	settle();
	R(read(p.c, buf, 100));
	R(read(p.c, buf, 100));
	reset_by(p.c);
	R(read(p.s, buf, 100));
	R(read(p.s, buf, 100));
}

static volatile sig_atomic_t pipes_broken;

static void on_pipe(int number)
{
	(void)number;
	pipes_broken++;
}

static void t_epipe(void)
{
	struct pair p = pair();
	signal(SIGPIPE, on_pipe);
	R(close(p.c));
	settle();
	R(write(p.s, "x", 1));
	settle();
	R(write(p.s, "x", 1));
	R(send(p.s, "x", 1, MSG_NOSIGNAL));
	printf("%d\n", (int)pipes_broken);
}

static void t_killed(void)
{
	struct pair p = pair();
	pid_t pid = fork();
	if (pid == 0) {
		close(p.s);
		pause();
	}
	close(p.c);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	settle();
	P(p.s);
	R(read(p.s, buf, 1));
}

static void t_listener_closed(void)
{
	int l = listener(), port = port_of(l), c = tcp();
	R(dial_from(c, "127.0.0.1", port));
	R(close(l));
	settle();
	P(c);
	R(read(c, buf, 1));
	int d = tcp();
	R(dial_from(d, "127.0.0.1", port));
}

/* --- descriptors ----------------------------------------------------------------------------- */

static void t_dup_fork_exec(void)
{
	struct pair p = pair();
	int d = dup(p.c);
	R(close(p.c));
	R(write(d, "dup", 3));
	settle();
	R(read(p.s, buf, 100));
	if (fork() == 0) {
		dup2(d, 1);
		execlp("echo", "echo", "from exec", NULL);
		_exit(1);
	}
	wait(NULL);
	settle();
	R(read(p.s, buf, 100));
	int cloexec = fcntl(d, F_GETFD);
	printf("%d\n", cloexec);
	int e2 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	printf("%d\n", fcntl(e2, F_GETFD));
	R(close(d));
	settle();
	R(read(p.s, buf, 100));
}

static void send_fd(int via, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	R(sendmsg(via, &msg, 0));
}

static int receive_fd(int via)
{
	int fd = -1;
	char control[CMSG_SPACE(sizeof fd)], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	recvmsg(via, &msg, 0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	return fd;
}

static void t_scm_rights(void)
{
	struct pair p = pair();
	int way[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, way);
	pid_t pid = fork();
	if (pid == 0) {
		int s = receive_fd(way[1]), l = receive_fd(way[1]);
		write(s, "handed over", 11);
		close(s);
		int t = accept(l, NULL, NULL);
		write(t, "accepted there", 14);
		_exit(0);
	}
	send_fd(way[0], p.s);
	send_fd(way[0], p.l);
	int port = port_of(p.l);
	close(p.s);
	close(p.l);
	settle();
	R(read(p.c, buf, 100));
	int d = tcp();
	R(dial_from(d, "127.0.0.1", port));
	R(read(d, buf, 100));
	waitpid(pid, NULL, 0);
	R(read(d, buf, 100));
}

/* TCP carries no descriptors: the bytes go alone. */
static void t_rights_ignored(void)
{
	struct pair p = pair();
	R(write(p.c, "before", 6));
	send_fd(p.c, p.l);
	R(write(p.c, "after", 5));
	settle();
	R(read(p.s, buf, 100));
}

/* While it opens, the descriptor that was connected goes away: another stays, or a copy is on its
 * way to another process. */
static void t_connect_moves(void)
{
	int l = full_listener(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	int moved = fcntl(fd, F_DUPFD, 200), way[2], go[2];
	R(close(fd));
	int s = FD(accept_from(l, port_of(moved)));
	settle();
	P(moved);
	R(write(moved, "moved", 5));
	R(read(s, buf, 100));
	l = full_listener();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	R(dial_from(fd, "127.0.0.1", port_of(l)));
	int port = port_of(fd);
	socketpair(AF_UNIX, SOCK_STREAM, 0, way);
	pipe(go);
	send_fd(way[0], fd);
	R(close(fd));
	pid_t pid = fork();
	if (pid == 0) {
		read(go[0], buf, 1);
		int got = receive_fd(way[1]);
		struct pollfd p = {.fd = got, .events = POLLOUT};
		poll(&p, 1, 5000);
		_exit(write(got, "passed on", 9) == 9 ? 0 : 1);
	}
	s = FD(accept_from(l, port));
	settle();
	write(go[1], "x", 1);
	fcntl(s, F_SETFL, 0);
	R(read(s, buf, 100));
	waitpid(pid, NULL, 0);
}

static void *accept_in_thread(void *arg)
{
	int s = accept(*(int *)arg, NULL, NULL);
	write(s, "thread", 6);
	close(s);
	return NULL;
}

static void t_threads(void)
{
	int l = listener(), c = tcp();
	pthread_t thread;
	pthread_create(&thread, NULL, accept_in_thread, &l);
	settle();
	R(dial_from(c, "127.0.0.1", port_of(l)));
	R(read(c, buf, 100));
	pthread_join(thread, NULL);
	R(read(c, buf, 100));
}

/* --- options ---------------------------------------------------------------------------------- */

static void t_what_it_is(void)
{
	struct pair p = pair();
	R(get(p.c, SOL_SOCKET, SO_DOMAIN));
	R(get(p.c, SOL_SOCKET, SO_TYPE));
	R(get(p.c, SOL_SOCKET, SO_PROTOCOL));
	R(get(p.c, SOL_SOCKET, SO_ERROR));
	R(get(p.c, SOL_SOCKET, SO_REUSEADDR));
	struct ucred cred = {1, 1, 1};
	socklen_t len = sizeof cred;
	R(getsockopt(p.c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	printf("%d %d %d\n", (int)cred.pid, (int)cred.uid, (int)cred.gid);
	len = 2;
	short small = 0;
	R(getsockopt(p.c, SOL_SOCKET, SO_DOMAIN, &small, &len));
	printf("%d %d\n", small, (int)len);
	R(getsockopt(p.c, SOL_SOCKET, SO_DOMAIN, NULL, &len));
	R(getsockopt(p.c, SOL_SOCKET, 9999, &small, &len));
	R(getsockopt(p.c, IPPROTO_TCP, 9999, &small, &len));
	R(set(p.c, IPPROTO_TCP, 9999, 1));
	R(set(p.c, SOL_SOCKET, SO_ERROR, 1));
	R(setsockopt(p.c, IPPROTO_TCP, TCP_NODELAY, &small, 2));
	R(setsockopt(p.c, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
}

static void show_congestion(int fd)
{
	char name[17] = "";
	socklen_t len = 16;
	R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	printf("%s, %u bytes\n", name, len);
}

/* Which it is at first is the machine's affair. */
static void congestion(int fd)
{
	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	show_congestion(fd);
	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 0));
	show_congestion(fd);
}

static void t_tcp_options(void)
{
	struct pair p = pair();
	R(get(p.c, IPPROTO_TCP, TCP_NODELAY));
	R(set(p.c, IPPROTO_TCP, TCP_NODELAY, 1));
	R(get(p.c, IPPROTO_TCP, TCP_NODELAY));
	R(get(p.c, IPPROTO_TCP, TCP_CORK));
	R(set(p.c, IPPROTO_TCP, TCP_CORK, 1));
	R(get(p.c, IPPROTO_TCP, TCP_CORK));
	R(write(p.c, "held back", 9));
	R(set(p.c, IPPROTO_TCP, TCP_CORK, 0));
	settle();
	R(recv(p.s, buf, 100, MSG_DONTWAIT));
	R(set(p.c, IPPROTO_TCP, TCP_QUICKACK, 1));
	R(set(p.c, IPPROTO_TCP, TCP_MAXSEG, 5));
	int fd = tcp();
	R(set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000));
	R(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	R(get(fd, IPPROTO_TCP, TCP_NODELAY));
	R(dial_from(fd, "127.0.0.1", port_of(p.l)));
	R(get(fd, IPPROTO_TCP, TCP_NODELAY));
	R(get(fd, IPPROTO_TCP, TCP_MAXSEG) <= 1000);
	congestion(fd);
	congestion(p.c);
}

static void names_of(int fd, int l)
{
	struct sockaddr_in a = {0};
	struct tcp_info info = {0};
	socklen_t len = sizeof a;
	R(getsockname(fd, (struct sockaddr *)&a, &len));
	printf("%s %d\n", inet_ntoa(a.sin_addr), ntohs(a.sin_port) > 0);
	a = (struct sockaddr_in){0};
	R(getpeername(fd, (struct sockaddr *)&a, &len));
	printf("%s %d\n", inet_ntoa(a.sin_addr), ntohs(a.sin_port) == port_of(l));
	R(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	R(get(fd, IPPROTO_TCP, TCP_NODELAY));
	len = sizeof info;
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	printf("state %d\n", info.tcpi_state);
}

/* It is a TCP socket still, with all that can be asked of one. */
static void t_shut_both(void)
{
	struct pair p = pair();
	write(p.c, buf, 100);
	R(shutdown(p.c, SHUT_RDWR));
	settle();
	names_of(p.c, p.l);
	R(read(p.c, buf, 100));
	close(p.s);
	settle();
	names_of(p.c, p.l);
	struct pair q = pair();
	reset_by(q.s);
	names_of(q.c, q.l);
}

/* The peer reset it, and connects once more from the same port: that is another's connection. */
static void t_reset_and_again(void)
{
	struct pair p = pair();
	int port = port_of(p.c), again = tcp();
	reset_by(p.c);
	R(set(again, SOL_SOCKET, SO_REUSEADDR, 1));
	R(bind_to(again, "127.0.0.1", port) != 0);
	R(dial_from(again, "127.0.0.1", port_of(p.l)));
	FD(accept(p.l, NULL, NULL));
	names_of(p.s, p.l);
}

static void t_tcp_info(void)
{
	struct pair p = pair();
	struct tcp_info info;
	char text[1000] = {0};
	tally("client", p.c);
	tally("server", p.s);
	write(p.c, text, 700);
	settle();
	read(p.s, text, sizeof text);
	write(p.s, text, 1000);
	settle();
	tally("client", p.c);
	tally("server", p.s);
	socklen_t len = sizeof info;
	R(getsockopt(p.c, IPPROTO_TCP, TCP_INFO, &info, &len));
	printf("state %d wscale %d timestamps %d sack %d mss %d cwnd %d advmss less %d\n",
		info.tcpi_state, !!(info.tcpi_options & TCPI_OPT_WSCALE),
		!!(info.tcpi_options & TCPI_OPT_TIMESTAMPS), !!(info.tcpi_options & TCPI_OPT_SACK),
		info.tcpi_snd_mss > 500, info.tcpi_snd_cwnd >= 10, 65536 - (int)info.tcpi_advmss);
	close(p.s);
	settle();
	getsockopt(p.c, IPPROTO_TCP, TCP_INFO, &info, &len);
	printf("state %d\n", info.tcpi_state);
	tally("client", p.c); /* a FIN is a byte received */
	struct pair q = pair();
	write(q.c, text, 300);
	settle();
	reset_by(q.s);
	tally("reset", q.c);
	int l = listener(), c = tcp();
	dial_from(c, "127.0.0.1", port_of(l));
	settle();
	len = sizeof info;
	getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len);
	printf("state %d queue %d of %d\n", info.tcpi_state, info.tcpi_unacked, info.tcpi_sacked);
	int f = tcp();
	getsockopt(f, IPPROTO_TCP, TCP_INFO, &info, &len);
	printf("state %d rto %u mss %u %u cwnd %u ssthresh %u reordering %u rtt %u %u advmss %u\n",
		info.tcpi_state, info.tcpi_rto, info.tcpi_snd_mss, info.tcpi_rcv_mss,
		info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh, info.tcpi_reordering, info.tcpi_rtt,
		info.tcpi_rttvar, info.tcpi_advmss);
}

static void t_keepalive(void)
{
	struct pair p = pair();
	R(get(p.c, SOL_SOCKET, SO_KEEPALIVE));
	R(set(p.c, SOL_SOCKET, SO_KEEPALIVE, 1));
	R(get(p.c, SOL_SOCKET, SO_KEEPALIVE));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPIDLE));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPINTVL));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPCNT));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPIDLE, 30));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPINTVL, 5));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPCNT, 3));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPIDLE));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPINTVL));
	R(get(p.c, IPPROTO_TCP, TCP_KEEPCNT));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPIDLE, 0));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPCNT, 128));
	R(set(p.c, IPPROTO_TCP, TCP_KEEPINTVL, 32768));
	R(set(p.c, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000));
	R(get(p.c, IPPROTO_TCP, TCP_USER_TIMEOUT));
	R(set(p.c, IPPROTO_TCP, TCP_USER_TIMEOUT, -1));
}

/* Set before there is a connection, told all the same; a listener's are its connections'. */
static void t_rare_options(void)
{
	struct pair p = {.l = listener(), .c = tcp()};
	static const int names[] = {TCP_LINGER2, TCP_SYNCNT, TCP_NOTSENT_LOWAT, TCP_DEFER_ACCEPT,
		TCP_WINDOW_CLAMP};
	static const int values[] = {0, 1, 5, 500, 5000, -1};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		int fd = tcp();
		printf("%d at first\n", names[i]);
		R(get(fd, IPPROTO_TCP, names[i]));
		for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
			if (values[k] == -1 &&
				(names[i] == TCP_DEFER_ACCEPT || names[i] == TCP_WINDOW_CLAMP))
				continue;
			if (values[k] == 500 && names[i] == TCP_LINGER2) /* a matter of versions */
				continue;
			R(set(fd, IPPROTO_TCP, names[i], values[k]));
			R(get(fd, IPPROTO_TCP, names[i]));
		}
	}
	R(set(p.l, IPPROTO_TCP, TCP_LINGER2, 9));
	R(set(p.l, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20000));
	R(set(p.l, IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000));
	R(set(p.c, IPPROTO_TCP, TCP_SYNCNT, 2));
	R(dial_from(p.c, "127.0.0.1", port_of(p.l)));
	p.s = FD(accept(p.l, NULL, NULL));
	R(get(p.s, IPPROTO_TCP, TCP_LINGER2));
	R(get(p.s, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
	R(get(p.s, IPPROTO_TCP, TCP_WINDOW_CLAMP));
	R(get(p.c, IPPROTO_TCP, TCP_SYNCNT));
	R(set(p.s, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0));
	R(set(p.s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1)); /* unsigned: no mark at all */
	R(get(p.s, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
	R(set(p.s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1));
	P(p.s);
	R(write(p.s, "low", 3));
	settle();
	R(read(p.c, buf, 100));
	P(p.s);
	fill(p.s);
	P(p.s);
}

static void t_defer_accept(void)
{
	int l = listener(), c = tcp();
	R(set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
	R(get(l, IPPROTO_TCP, TCP_DEFER_ACCEPT));
	R(dial_from(c, "127.0.0.1", port_of(l)));
	settle();
	P(l);
	P(c);
	R(write(c, "data", 4));
	settle();
	P(l);
	int s = FD(accept(l, NULL, NULL));
	R(read(s, buf, 100));
	R(set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0));
	c = tcp();
	R(dial_from(c, "127.0.0.1", port_of(l)));
	settle();
	P(l);
}

static void t_maxseg_listener(void)
{
	int l = tcp();
	R(set(l, IPPROTO_TCP, TCP_MAXSEG, 87));
	R(set(l, IPPROTO_TCP, TCP_MAXSEG, 700));
	bind_to(l, "127.0.0.1", 0);
	R(listen(l, 5));
	R(get(l, IPPROTO_TCP, TCP_MAXSEG));
	int c = tcp();
	R(dial_from(c, "127.0.0.1", port_of(l)));
	int s = FD(accept(l, NULL, NULL));
	R(get(c, IPPROTO_TCP, TCP_MAXSEG) <= 700);
	R(get(s, IPPROTO_TCP, TCP_MAXSEG) <= 700);
}

/* Of an int, of a byte, and of no bytes at all; and what does not fit. */
static void t_tos(void)
{
	struct pair p = {.l = listener(), .c = tcp()};
	static const int values[] = {0, 8, 184, 187, 255, 256, 300, -1};
	unsigned char byte = 40, room[2] = {0};
	socklen_t len = 1;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		R(set(p.c, IPPROTO_IP, IP_TOS, values[i]));
		R(get(p.c, IPPROTO_IP, IP_TOS));
	}
	R(setsockopt(p.c, IPPROTO_IP, IP_TOS, &byte, 1));
	R(getsockopt(p.c, IPPROTO_IP, IP_TOS, room, &len));
	printf("%d, %d\n", room[0], (int)len);
	R(setsockopt(p.c, IPPROTO_IP, IP_TOS, &byte, 0));
	R(get(p.c, IPPROTO_IP, IP_TOS));
	R(set(p.l, IPPROTO_IP, IP_TOS, 72));
	R(dial_from(p.c, "127.0.0.1", port_of(p.l)));
	p.s = FD(accept(p.l, NULL, NULL));
	R(get(p.s, IPPROTO_IP, IP_TOS));
	R(set(p.s, IPPROTO_IP, IP_TOS, 32));
	R(get(p.s, IPPROTO_IP, IP_TOS));
	R(get(p.l, IPPROTO_IP, IP_TOS));
}

static void t_buffers(void)
{
	int fd = tcp();
	R(set(fd, SOL_SOCKET, SO_RCVBUF, 50000));
	R(get(fd, SOL_SOCKET, SO_RCVBUF));
	R(set(fd, SOL_SOCKET, SO_SNDBUF, 50000));
	R(get(fd, SOL_SOCKET, SO_SNDBUF));
	R(set(fd, SOL_SOCKET, SO_RCVBUF, 1));
	R(get(fd, SOL_SOCKET, SO_RCVBUF));
	R(set(fd, SOL_SOCKET, SO_SNDBUF, 1));
	R(get(fd, SOL_SOCKET, SO_SNDBUF));
	R(set(fd, SOL_SOCKET, SO_SNDBUF, 0x7fffffff));
	R(get(fd, SOL_SOCKET, SO_SNDBUF));
}

static void t_linger(void)
{
	struct pair p = pair();
	struct linger linger = {9, 9};
	socklen_t len = sizeof linger;
	R(getsockopt(p.c, SOL_SOCKET, SO_LINGER, &linger, &len));
	printf("%d %d\n", linger.l_onoff, linger.l_linger);
	linger = (struct linger){1, 5};
	R(setsockopt(p.c, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	R(getsockopt(p.c, SOL_SOCKET, SO_LINGER, &linger, &len));
	printf("%d %d\n", linger.l_onoff, linger.l_linger);
	R(setsockopt(p.c, SOL_SOCKET, SO_LINGER, &linger, 3));
	R(write(p.c, "x", 1));
	R(close(p.c));
	settle();
	R(read(p.s, buf, 10));
	R(read(p.s, buf, 10));
}

static void t_socket_arguments(void)
{
	FD(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	FD(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	FD(socket(AF_INET, SOCK_STREAM, 255));
	FD(socket(AF_INET, SOCK_STREAM | 0x40000000, 0));
	FD(socket(AF_INET, SOCK_DGRAM, 0));
	FD(socket(AF_UNIX, SOCK_STREAM, 0));
	int fds[2];
	R(socketpair(AF_INET, SOCK_STREAM, 0, fds));
	R(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	R(write(fds[0], "ok", 2));
	R(read(fds[1], buf, 10));
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
#define T(name)                                                                                    \
	{                                                                                          \
#name, t_##name                                                                    \
	}
	T(fresh),
	T(names),
	T(connect_refused),
	T(connect_nonblocking),
	T(connect_again),
	T(connect_again_elsewhere),
	T(disconnect),
	T(connect_interrupted),
	T(connect_timeout),
	T(connect_write_early),
	T(connect_addresses),
	T(listen_again),
	T(accept_waits),
	T(accept_bad_address),
	T(listen_states),
	T(bind_rules),
	T(reuseport),
	T(reuseport_two_processes),
	T(read_write),
	T(waitall),
	T(timeouts),
	T(bulk),
	T(urgent),
	T(urgent_inline),
	T(urgent_signal),
	T(urgent_in_bulk),
	T(sendfile_splice_tee),
	T(outq),
	T(backpressure),
	T(epoll),
	T(epoll_connect_and_listen),
	T(select),
	T(half_close),
	T(half_close_server_first),
	T(shutdown_read),
	T(close_clean),
	T(close_unread),
	T(reset_before_data),
	T(reset_read),
	T(reset_after_data),
	T(reset_after_shut),
	T(epipe),
	T(killed),
	T(listener_closed),
	T(dup_fork_exec),
	T(scm_rights),
	T(rights_ignored),
	T(connect_moves),
	T(threads),
	T(what_it_is),
	T(tcp_options),
	T(shut_both),
	T(reset_and_again),
	T(tcp_info),
	T(keepalive),
	T(rare_options),
	T(defer_accept),
	T(maxseg_listener),
	T(tos),
	T(buffers),
	T(linger),
	T(socket_arguments),
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: semantics --list | semantics NAME\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (strcmp(argv[1], "--list") == 0)
			puts(tests[i].name);
		if (strcmp(argv[1], tests[i].name) == 0) {
			setvbuf(stdout, NULL, _IONBF, 0);
			tests[i].run();
			return 0;
		}
	}
	return strcmp(argv[1], "--list") != 0;
}
