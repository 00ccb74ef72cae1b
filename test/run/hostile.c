/*
 * A program that means harm to its supervisor: wild arguments, descriptors and memory that change
 * under a call, sockets by the hundred thousand, no descriptors left. What it gets is its own
 * business; afterwards the supervisor must serve the honest as before.
 *
 * usage: hostile wild SECONDS | many COUNT | full | race SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int listen_on(int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 || listen(fd, 100) != 0)
		die("listen");
	return fd;
}

static int dial(int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The honest: a connection that carries bytes both ways. */
static void still_served(int port)
{
	char byte = 0;
	int l = listen_on(port), c = dial(port);
	if (c < 0)
		die("connect");
	int s = accept(l, NULL, NULL);
	if (s < 0 || write(c, "x", 1) != 1 || read(s, &byte, 1) != 1 || byte != 'x' ||
		write(s, "y", 1) != 1 || read(c, &byte, 1) != 1 || byte != 'y')
		die("a byte there and back");
	close(l);
	close(c);
	close(s);
}

/* --- wild: calls with arguments of any kind ------------------------------------------------- */

static const int calls[] = {SYS_socket, SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_accept4,
	SYS_getsockname, SYS_getpeername, SYS_shutdown, SYS_setsockopt, SYS_getsockopt, SYS_ioctl,
	SYS_close, SYS_dup, SYS_read, SYS_write, SYS_sendto, SYS_recvfrom, SYS_epoll_create1,
	SYS_epoll_ctl};

static uint8_t *page; /* readable and writable; the one after it is not there */

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint64_t argument(uint64_t *seed)
{
	uint64_t r = rnd(seed);
	switch (r % 12) {
	case 0:
		return 0;
	case 1:
		return (uint64_t)-1;
	case 2:
		return (uint64_t)(uintptr_t)page + 4096 - r / 12 % 32; /* runs into nothing */
	case 3:
	case 4:
	case 5:
		return (uint64_t)(uintptr_t)page + r / 12 % 4000;
	case 6:
		return r;
	case 7:
		return 16;
	default:
		return r / 12 % 40;
	}
}

static bool over;

static void *wild(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 1;
	while (!over) {
		uint64_t a[5];
		for (int i = 0; i < 5; i++)
			a[i] = argument(&seed);
		int nr = calls[rnd(&seed) % (sizeof calls / sizeof *calls)];
		if (nr == SYS_socket) {
			a[0] = rnd(&seed) % 4 ? AF_INET : a[0];
			a[1] = rnd(&seed) % 4 ? SOCK_STREAM | SOCK_NONBLOCK : a[1] % 8;
			a[2] = rnd(&seed) % 4 ? 0 : a[2];
			/* What is sent past the kernel's TCP, by headers of one's own, its TCP
			 * would count. */
			if (a[0] == AF_PACKET)
				a[0] = AF_UNIX;
			if ((a[1] & 15) == SOCK_RAW)
				a[1] = SOCK_DGRAM;
		} else {
			a[0] = rnd(&seed) % 16 ? 3 + rnd(&seed) % 60 : a[0];
		}
		if ((nr == SYS_bind || nr == SYS_connect) && rnd(&seed) % 2) {
			struct sockaddr_in sin = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)(2000 + rnd(&seed) % 8))};
			sin.sin_addr.s_addr = htonl(rnd(&seed) % 2 ? INADDR_LOOPBACK : INADDR_ANY);
			memcpy(page + 64, &sin, sizeof sin);
			a[1] = (uint64_t)(uintptr_t)page + 64;
			a[2] = sizeof sin;
		}
		if (nr == SYS_setsockopt || nr == SYS_getsockopt)
			a[1] = rnd(&seed) % 3 ? (rnd(&seed) % 2 ? SOL_SOCKET : IPPROTO_TCP) : a[1];
		bool bytes =
			nr == SYS_read || nr == SYS_write || nr == SYS_sendto || nr == SYS_recvfrom;
		if (bytes && a[2] > 4096)
			a[2] = 4096;
		if (bytes || nr == SYS_accept || nr == SYS_accept4 || nr == SYS_connect)
			fcntl((int)a[0], F_SETFL, O_NONBLOCK);
		if (nr == SYS_epoll_create1)
			a[0] = 0;
		if (nr == SYS_epoll_ctl) {
			a[1] = EPOLL_CTL_ADD + rnd(&seed) % 3;
			a[2] = 3 + rnd(&seed) % 60;
		}
		memset(page + rnd(&seed) % 4000, (int)rnd(&seed), 16);
		syscall(nr, a[0], a[1], a[2], a[3], a[4]);
	}
	return NULL;
}

static void run_wild(double seconds)
{
	pthread_t threads[3];
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, wild, (void *)(i + 1));
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	usleep(200000);
	_exit(0); /* with whatever is in the middle of something */
}

/* --- race: a descriptor that becomes another one, an address that changes ----------------------
 */

static struct sockaddr_in moving = {.sin_family = AF_INET};
static int slot;

static void *flip(void *arg)
{
	int ours = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int others = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)arg;
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		moving.sin_port = htons(9999);
		moving.sin_family = AF_UNIX;
		dup2(others, slot);
		moving.sin_family = AF_INET;
		dup2(ours, slot);
	}
	return NULL;
}

static void run_race(double seconds)
{
	pthread_t thread;
	double end = now() + seconds;
	slot = dup(0);
	pthread_create(&thread, NULL, flip, NULL);
	while (now() < end) {
		connect(slot, (struct sockaddr *)&moving, sizeof moving);
		bind(slot, (struct sockaddr *)&moving, sizeof moving);
		listen(slot, 1);
		accept(slot, NULL, NULL);
		int fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fresh >= 0 && dup2(fresh, slot) >= 0)
			close(fresh);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* --- many and full --------------------------------------------------------------------------- */

static void run_many(int count)
{
	for (int i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			die("socket");
		if (i % 16 == 0) {
			struct sockaddr_in sin = {.sin_family = AF_INET};
			bind(fd, (struct sockaddr *)&sin, sizeof sin);
			if (i % 32 == 0)
				listen(fd, 1);
		}
		close(fd);
	}
}

/* With no descriptor left, accept fails and the connection waits until there is one. */
static void run_full(void)
{
	int l = listen_on(3000), c = dial(3000), taken[64], n = 0;
	struct rlimit limit = {40, 40};
	setrlimit(RLIMIT_NOFILE, &limit);
	while (n < 64 && (taken[n] = dup(0)) >= 0)
		n++;
	if (accept(l, NULL, NULL) >= 0 || errno != EMFILE)
		die("accept without a descriptor left");
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EMFILE)
		die("socket without a descriptor left");
	struct pollfd p = {.fd = l, .events = POLLIN};
	if (poll(&p, 1, 1000) != 1)
		die("poll: the connection is gone");
	close(taken[--n]);
	int s = accept(l, NULL, NULL);
	char byte;
	if (s < 0 || write(c, "x", 1) != 1 || read(s, &byte, 1) != 1)
		die("accept");
	while (n > 0)
		close(taken[--n]);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	double value = argc > 2 ? atof(argv[2]) : 0;
	signal(SIGPIPE, SIG_IGN);
	pid_t pid = fork();
	if (pid == 0) {
		if (strcmp(argv[1], "wild") == 0)
			run_wild(value);
		if (strcmp(argv[1], "race") == 0)
			run_race(value);
		if (strcmp(argv[1], "many") == 0)
			run_many((int)value);
		if (strcmp(argv[1], "full") == 0)
			run_full();
		exit(0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	usleep(1200000); /* the sweep */
	still_served(3001);
	printf("still served\n");
	return strcmp(argv[1], "wild") && status ? 1 : 0;
}
