/* What a filter tells us: one for each program that runs on the stack. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/run/run.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* Whether that is a filter's listener. */
static bool listens(int fd)
{
	uint64_t none = 0;
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &none) == 0 || errno == ENOENT;
}

static void ready(void *context, uint32_t events)
{
	struct sandbox *sandbox = context;
	bool robbed = events & EPOLLIN && !tern_run_take_calls(sandbox);
	if (robbed)
		fprintf(stderr, "%s: somebody else takes a program's calls: it gets no answers\n",
			sandbox->run->options.command);
	if (events & EPOLLHUP) /* it would say so for ever */
		sandbox->empty = true;
	if (robbed || sandbox->empty) {
		tern_host_unwatch(sandbox->run->host, sandbox->watch);
		sandbox->watch = NULL;
	}
}

static void wake(int number)
{
	(void)number;
}

void tern_sandbox_share(void)
{
	struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART */
	sigset_t set;
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

struct sandbox *tern_sandbox_new(struct run *run, int listener)
{
	struct sandbox *sandbox = listens(listener) ? calloc(1, sizeof *sandbox) : NULL;
	if (sandbox)
		sandbox->watch = tern_host_watch(run->host, listener, EPOLLIN, ready, sandbox);
	if (!sandbox || !sandbox->watch) {
		int error = errno;
		close(listener);
		free(sandbox);
		errno = error;
		return NULL;
	}
	/* Asks the kernel to run the other side on this CPU at once; older ones cannot. */
	if (!getenv("TERN_RUN_NO_SYNC"))
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	sandbox->run = run;
	sandbox->notify = listener;
	return sandbox;
}

void tern_sandbox_free(struct sandbox *sandbox, bool in_order)
{
	struct run *run = sandbox->run;
	tern_sock_leave(sandbox, !in_order && !sandbox->empty);
	if (sandbox->watch)
		tern_host_unwatch(run->host, sandbox->watch);
	close(sandbox->notify); /* who still calls gets ENOSYS */
	free(sandbox);
	tern_sock_sweep(run);
	tern_run_forget_dead(run, false);
}
