/* The side of `tern run --stack`: a program on a stack that another process has. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run/join.h"
#include "tools/run/run.h"

#define PATIENCE 30 /* seconds */

/* --- coming ---------------------------------------------------------------------------- */

static int find_stack(const char *name)
{
	char path[CONTROL_PATH_MAX], why[200];
	if (tern_control_path(path, name, "join", why, sizeof why) != 0) {
		fprintf(stderr, "run: --stack: %s\n", why);
		return -1;
	}
	int fd = tern_control_dial(path, SOCK_SEQPACKET, PATIENCE);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT && errno != ECONNREFUSED)
		fprintf(stderr, "run: --stack: %s: %s\n", path, strerror(errno));
	else
		fprintf(stderr,
			"run: --stack: no stack \"%s\" is up for others to join; `tern up %s` "
			"makes "
			"one, `tern ls` lists them\n",
			name, name);
	return -1;
}

static bool same_file(int a, const char *path)
{
	struct stat one, other;
	return fstat(a, &one) == 0 && stat(path, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Takes the namespaces that the program is to be in. 0, or -1 after saying why. */
static int be_welcomed(struct program *program, int stack, const char *name)
{
	struct join_message message = {.kind = 0};
	int fds[JOIN_FDS_MAX];
	if (!tern_join_recv(stack, &message, fds)) {
		fprintf(stderr, "run: stack \"%s\": %s\n", name,
			errno == EPROTO   ? "it is another version's of tern"
			: errno == EAGAIN ? "it does not answer"
			: errno           ? strerror(errno)
					  : "it has just ended");
		return -1;
	}
	if (message.kind != JOIN_WELCOME || fds[0] < 0 || fds[1] < 0) {
		fprintf(stderr, "run: stack \"%s\" refuses: %s\n", name, message.text);
		return -1;
	}
	program->netns = fds[1];
	if (same_file(fds[0], "/proc/self/ns/user"))
		close(fds[0]);
	else
		program->userns = fds[0];
	return 0;
}

/* --- while it runs --------------------------------------------------------------------- */

static void stack_ended(const struct program *program, const char *name)
{
	if (!program->quiet)
		fprintf(stderr,
			"run: stack \"%s\" has ended: %s has lost its connections and can open no "
			"others\n",
			name, program->command[0]);
}

/* Until none of its processes is left; false if somebody wants an end to that. */
static bool wait_for(struct program *program, int stack, const char *name)
{
	struct pollfd p[2] = {{.fd = program->signals, .events = POLLIN},
		{.fd = stack, .events = POLLRDHUP}};
	for (;;) {
		tern_run_reap(program);
		if (program->over)
			return true;
		if (poll(p, 2, -1) < 0) /* a process's end is a signal, too */
			return false;
		if (p[0].revents)
			tern_run_pass_signals(program);
		if (program->interrupts >= 2 || (program->interrupts && program->status >= 0))
			return false;
		if (p[1].fd >= 0 && p[1].revents) {
			stack_ended(program, name);
			p[1].fd = -1;
		}
	}
}

/* --- going ----------------------------------------------------------------------------- */

/* Once it is answered, the program's ports are free. */
static void say_goodbye(const struct program *program, int stack, const char *name)
{
	struct join_message counts;
	int fds[JOIN_FDS_MAX];
	if (!tern_join_send(stack, &(struct join_message){.kind = JOIN_ENDED}, NULL, 0) ||
		!tern_join_recv(stack, &counts, fds) || counts.kind != JOIN_COUNTS)
		return;
	if (program->verbose)
		fprintf(stderr,
			"run: on stack \"%s\": %" PRIu64 " connect, %" PRIu64 " accept; %" PRIu64
			" calls answered\n",
			name, counts.connects, counts.accepts, counts.calls);
}

int tern_run_join_stack(struct program *program, const char *name)
{
	int stack = find_stack(name);
	if (stack < 0 || be_welcomed(program, stack, name) != 0)
		return EXIT_FAILED;
	if (tern_run_catch_signals(program) != 0 || tern_run_start(program, stack) != 0)
		return EXIT_FAILED;
	if (!wait_for(program, stack, name)) {
		tern_run_interrupt(program);
		return EXIT_FAILED;
	}
	say_goodbye(program, stack, name);
	if (program->verbose)
		tern_run_tell_kernel_tcp(program);
	return program->status;
}
