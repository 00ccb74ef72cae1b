/*
 * Noticing at once that a listening socket was closed. Its name is a file in a file system of ours,
 * and that file is unlinked: it lives as long as the socket does, and inotify tells of its end. The
 * tokens connect to it by another link, of which we hold the descriptor: an inode has one socket,
 * whatever its links, but tells of the end of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/run/run.h"

/* A tmpfs that is mounted nowhere: its descriptor. */
static int new_folder(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), folder = -1;
	if (fs < 0)
		return -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		folder = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return folder;
}

static void ready(void *context, uint32_t events)
{
	(void)events;
	tern_run_hear_closed(context);
}

void tern_run_watch_begin(struct run *run)
{
	run->folder = new_folder();
	/* A user namespace may mount in a mount namespace of its own only. */
	if (run->folder < 0 && errno == EPERM && unshare(CLONE_NEWNS) == 0)
		run->folder = new_folder();
	if (run->folder < 0)
		return;
	run->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (run->inotify >= 0 && tern_host_watch(run->host, run->inotify, EPOLLIN, ready, run))
		return;
	close(run->folder);
	run->folder = -1;
}

static int path_of(int folder, char *path, size_t size, const char *name)
{
	return snprintf(path, size, "/proc/self/fd/%d%s", folder, name);
}

/* Keeps another link to the file than the socket's own, and watches it. */
static int keep_link(struct sock *sock, const char *path)
{
	struct run *run = sock->run;
	char link[SOCK_NAME_MAX];
	path_of(run->folder, link, sizeof link, "/link");
	if (linkat(AT_FDCWD, path, AT_FDCWD, link, 0) != 0)
		return errno;
	sock->link = open(link, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int error = errno;
	unlink(link);
	if (sock->link < 0)
		return error;
	sock->name_len = (unsigned)path_of(sock->link, sock->name, sizeof sock->name, "");
	sock->watch = inotify_add_watch(run->inotify, path, IN_DELETE_SELF);
	if (sock->watch >= 0) /* else the sweep will find out */
		HASH_ADD(by_watch, run->watched, watch, sizeof sock->watch, sock);
	return 0;
}

int tern_run_watch(struct sock *sock, int fd)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	path_of(sock->run->folder, to.sun_path, sizeof to.sun_path, "/socket");
	if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return errno;
	int error = keep_link(sock, to.sun_path);
	unlink(to.sun_path);
	return error;
}

void tern_run_unwatch(struct sock *sock)
{
	if (sock->watch >= 0) {
		HASH_DELETE(by_watch, sock->run->watched, sock);
		inotify_rm_watch(sock->run->inotify, sock->watch);
	}
	if (sock->link >= 0)
		close(sock->link);
	sock->watch = sock->link = -1;
}

static void heard(struct run *run, const struct inotify_event *event)
{
	struct sock *sock = NULL;
	if (event->mask & IN_DELETE_SELF)
		HASH_FIND(by_watch, run->watched, &event->wd, sizeof event->wd, sock);
	if (sock)
		tern_sock_free(sock);
	if (event->mask & IN_Q_OVERFLOW)
		run->sweep_at = 0;
}

void tern_run_hear_closed(struct run *run)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t n;
	while (run->folder >= 0 && (n = read(run->inotify, events, sizeof events)) > 0)
		for (const char *at = events; at < events + n;) {
			const struct inotify_event *event = (const void *)at;
			at += sizeof *event + event->len;
			heard(run, event);
		}
}
