/*
 * After a failed open Linux's TCP socket is as good as new; an AF_UNIX socket that was connected is
 * not. So a new one takes its place: under all numbers that the calling process has for it, and in
 * the epoll sets it has. An epoll set knows a file by the number it had when it was added, and the
 * program will name it so: it is added by a child of ours, where it gets that number.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/run/run.h"

#define PLACES_MAX 64 /* of each kind: more stay with the old socket */

struct entry {
	int set; /* our copy of the epoll descriptor */
	int fd;  /* the program's number */
	struct epoll_event event;
};

struct places {
	struct call *call;
	unsigned fd_count, entry_count;
	int fd[PLACES_MAX];
	struct entry entry[PLACES_MAX];
};

/* A line "tfd: 5 events: 19 data: 5 pos:0 ino:2f sdev:8" of an epoll descriptor's fdinfo. */
static void note_entry(struct places *places, int set, const char *line)
{
	struct entry *e = &places->entry[places->entry_count];
	uint32_t events;
	uint64_t data;
	unsigned long ino;
	if (places->entry_count == PLACES_MAX ||
		sscanf(line, "tfd: %d events: %" SCNx32 " data: %" SCNx64 " pos:%*d ino:%lx",
			&e->fd, &events, &data, &ino) != 4 ||
		ino != places->call->sock->inode)
		return;
	e->event = (struct epoll_event){.events = events, .data.u64 = data};
	e->set = fcntl(set, F_DUPFD_CLOEXEC, 0);
	places->entry_count += e->set >= 0;
}

static void note_entries(struct places *places, pid_t tid, int fd)
{
	char path[64], line[160];
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)tid, fd);
	int set = tern_run_dup(places->call->sandbox, places->call->id, tid, fd);
	FILE *file = set >= 0 ? fopen(path, "re") : NULL;
	while (file && fgets(line, sizeof line, file))
		note_entry(places, set, line);
	if (file)
		fclose(file);
	if (set >= 0)
		close(set);
}

static void note(void *context, uint32_t inode, pid_t tid, int fd)
{
	struct places *places = context;
	if (inode == 0)
		note_entries(places, tid, fd);
	else if (inode == places->call->sock->inode && places->fd_count < PLACES_MAX)
		places->fd[places->fd_count++] = fd;
}

struct places *tern_run_places(struct call *call)
{
	struct places *places = calloc(1, sizeof *places);
	if (!places)
		return NULL;
	places->call = call;
	tern_run_each_fd(call->tid, note, places);
	return places;
}

static void copy_settings(int from, int to)
{
	static const int options[] = {SO_RCVTIMEO, SO_SNDTIMEO, SO_LINGER, SO_REUSEADDR,
		SO_RCVLOWAT, SO_PRIORITY, SO_MARK};
	struct f_owner_ex owner;
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		struct timeval value; /* the longest of them */
		socklen_t len = sizeof value;
		if (getsockopt(from, SOL_SOCKET, options[i], &value, &len) == 0)
			setsockopt(to, SOL_SOCKET, options[i], &value, len);
	}
	if (fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		fcntl(to, F_SETOWN_EX, &owner);
	fcntl(to, F_SETFL, fcntl(from, F_GETFL) & (O_NONBLOCK | O_ASYNC));
}

/* 0, once it has the number that the call named. */
static int replace(struct call *call, const struct places *places, int fd)
{
	int error = tern_run_replace(call, (int)call->arg[0], fd);
	for (unsigned i = 0; i < places->fd_count && !error; i++)
		if (places->fd[i] != (int)call->arg[0])
			tern_run_replace(call, places->fd[i], fd);
	return error;
}

int tern_run_renew(struct call *call, const struct places *places)
{
	struct sock *old = call->sock;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	tern_run_widen(fd);
	copy_settings(call->fd, fd);
	struct sock *sock = tern_sock_new(call->sandbox, fd);
	int error = sock ? replace(call, places, fd) : ENOMEM;
	if (error) {
		if (sock)
			tern_sock_free(sock);
		close(fd);
		return error;
	}
	sock->wishes = old->wishes;
	tern_run_apply_to_end(sock, fd);
	tern_port_move(old, sock);
	close(call->fd);
	call->fd = fd;
	call->sock = sock;
	return 0;
}

/* In a child, whose table of descriptors is its own. */
static _Noreturn void add_entries(struct places *places, int fd)
{
	int above = 0;
	for (unsigned i = 0; i < places->entry_count; i++)
		if (places->entry[i].fd >= above)
			above = places->entry[i].fd + 1;
	fd = fcntl(fd, F_DUPFD, above);
	for (unsigned i = 0; i < places->entry_count; i++)
		places->entry[i].set = fcntl(places->entry[i].set, F_DUPFD, above);
	for (unsigned i = 0; i < places->entry_count; i++) {
		struct entry *e = &places->entry[i];
		if (dup2(fd, e->fd) == e->fd)
			epoll_ctl(e->set, EPOLL_CTL_ADD, e->fd, &e->event);
	}
	_exit(0);
}

void tern_run_places_end(struct places *places, int fd)
{
	pid_t child = places->entry_count && fd >= 0 ? fork() : -1;
	if (child == 0)
		add_entries(places, fd);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	for (unsigned i = 0; i < places->entry_count; i++)
		close(places->entry[i].set);
	free(places);
}
