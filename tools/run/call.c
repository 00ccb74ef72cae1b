/*
 * A call from notification to answer. Its arguments are in registers and cannot change; what they
 * point to is copied once, by whoever needs it. An answer to a call that was interrupted meanwhile
 * goes nowhere, and the call may come again: answers are given such that this does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tools/run/run.h"

#define CALLS_A_TURN 64
#define PATIENCE_US  20000 /* with a call that is there already */

typedef struct verdict handler(struct call *call);

static const struct {
	int nr;
	handler *handle;
} handlers[] = {
	{SYS_bind, tern_run_bind},
	{SYS_connect, tern_run_connect},
	{SYS_listen, tern_run_listen},
	{SYS_accept, tern_run_accept},
	{SYS_accept4, tern_run_accept},
	{SYS_getsockname, tern_run_getsockname},
	{SYS_getpeername, tern_run_getpeername},
	{SYS_shutdown, tern_run_shutdown},
	{SYS_setsockopt, tern_run_setsockopt},
	{SYS_getsockopt, tern_run_getsockopt},
	{SYS_ioctl, tern_run_ioctl},
};

static handler *handler_of(int nr)
{
	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].nr == nr)
			return handlers[i].handle;
	return NULL;
}

bool tern_run_waits(const struct sandbox *sandbox, uint64_t id)
{
	return ioctl(sandbox->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool tern_run_answer(struct sandbox *sandbox, uint64_t id, struct verdict v)
{
	struct seccomp_notif_resp *r = sandbox->run->resp;
	memset(r, 0, sandbox->run->resp_size);
	r->id = id;
	switch (v.answer) {
	case ANSWER_ERROR:
		r->error = -v.value;
		break;
	case ANSWER_VALUE:
		r->val = v.value;
		break;
	case ANSWER_CONTINUE:
		r->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		break;
	case ANSWER_PARKED:
	case ANSWER_DONE:
		return true;
	}
	return ioctl(sandbox->notify, SECCOMP_IOCTL_NOTIF_SEND, r) == 0;
}

int tern_run_give(struct sandbox *sandbox, uint64_t id, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {
		.id = id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	return ioctl(sandbox->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0 ? 0 : errno;
}

/* A line "flags:\t0NNN" of the descriptor's fdinfo. */
static bool closes_on_exec(pid_t tid, int fd)
{
	char path[64], line[128];
	unsigned flags = 0;
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)tid, fd);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file) && sscanf(line, "flags: %o", &flags) != 1)
		;
	if (file)
		fclose(file);
	return flags & O_CLOEXEC;
}

int tern_run_replace(const struct call *call, int at, int fd)
{
	struct seccomp_notif_addfd add = {
		.id = call->id,
		.flags = SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (uint32_t)fd,
		.newfd = (uint32_t)at,
		.newfd_flags = closes_on_exec(call->tid, at) ? O_CLOEXEC : 0,
	};
	return ioctl(call->sandbox->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0 ? 0 : errno;
}

/* All calls but socket() are about a descriptor: the kernel's business if it is none of ours. */
static struct verdict handle_socket_call(struct call *call, handler *handle)
{
	call->fd = tern_run_dup(call->sandbox, call->id, call->tid, (int)call->arg[0]);
	if (call->fd < 0)
		return leave_it();
	call->sock = tern_sock_find(call->run, tern_run_cookie(call->fd));
	if (call->sock && call->sock->sought)
		tern_run_established(call->sock, call->fd);
	struct verdict v = call->sock ? handle(call) : leave_it();
	close(call->fd);
	return v;
}

static void handle(struct sandbox *sandbox, const struct seccomp_notif *n)
{
	struct call call = {.run = sandbox->run,
		.sandbox = sandbox,
		.id = n->id,
		.tid = (pid_t)n->pid,
		.nr = n->data.nr,
		.arg = (const uint64_t *)n->data.args,
		.fd = -1};
	struct verdict v = leave_it();
	handler *h = handler_of(call.nr);
	sandbox->calls++;
	if (call.nr == SYS_socket)
		v = tern_run_socket(&call);
	else if (h)
		v = handle_socket_call(&call, h);
	tern_run_answer(sandbox, call.id, v);
}

static void set_alarm(suseconds_t us)
{
	struct itimerval timer = {{0, us}, {0, us}}; /* again, should one come too early */
	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * Receives the call that was told of. The kernel waits for another if it is gone: one that was
 * given up can still be received, one that somebody else has received cannot. 0 or errno; EINTR:
 * the latter.
 */
static int receive(struct sandbox *sandbox)
{
	struct run *run = sandbox->run;
	memset(run->notif, 0, run->notif_size);
	if (sandbox->shared)
		set_alarm(PATIENCE_US);
	int error = ioctl(sandbox->notify, SECCOMP_IOCTL_NOTIF_RECV, run->notif) ? errno : 0;
	if (sandbox->shared)
		set_alarm(0);
	return error;
}

bool tern_run_take_calls(struct sandbox *sandbox)
{
	struct pollfd p = {.fd = sandbox->notify, .events = POLLIN};
	for (int i = 0; i < CALLS_A_TURN; i++) {
		int error = receive(sandbox);
		if (error == 0)
			handle(sandbox, sandbox->run->notif);
		if (error == EINTR && sandbox->shared)
			return false;
		if (poll(&p, 1, 0) != 1 || !(p.revents & POLLIN))
			break;
	}
	return true;
}

int tern_run_calls_begin(struct run *run)
{
	struct seccomp_notif_sizes sizes;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
		fprintf(stderr, "%s: seccomp: %s\n", run->options.command, strerror(errno));
		return -1;
	}
	run->notif_size =
		sizes.seccomp_notif > sizeof *run->notif ? sizes.seccomp_notif : sizeof *run->notif;
	run->resp_size = sizes.seccomp_notif_resp > sizeof *run->resp ? sizes.seccomp_notif_resp
								      : sizeof *run->resp;
	run->notif = calloc(1, run->notif_size);
	run->resp = calloc(1, run->resp_size);
	if (run->notif && run->resp)
		return 0;
	fprintf(stderr, "%s: out of memory\n", run->options.command);
	return -1;
}

void tern_run_calls_end(struct run *run)
{
	free(run->notif);
	free(run->resp);
}
