/* A program of ours: starting it in the programs' world, its signals, its end. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/run/join.h"
#include "tools/run/run.h"

#define EXIT_NOT_FOUND 127
#define EXIT_NO_EXEC   126

/* --- signals --------------------------------------------------------------------------- */

int tern_run_catch_signals(struct program *program)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	program->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return program->signals >= 0 ? 0 : -1;
}

/* Ctrl-C reaches the program too: it decides. A second one is for us. What was sent to us alone is
 * passed on. */
void tern_run_pass_signals(struct program *program)
{
	struct signalfd_siginfo info;
	while (read(program->signals, &info, sizeof info) == sizeof info) {
		int number = (int)info.ssi_signo;
		if (number == SIGCHLD)
			continue; /* somebody looks */
		bool typed = info.ssi_code == SI_KERNEL;
		if (typed)
			program->interrupts++;
		else if (program->status < 0)
			kill(program->child, number);
		else
			program->interrupts += 2;
	}
}

/* --- its side -------------------------------------------------------------------------- */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "run: %s: %s\n", what, strerror(errno));
	_exit(EXIT_FAILED);
}

/* It does not outlive who waits for it. A change of rights would undo this. */
static void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
}

static void enter(const struct program *program)
{
	if (program->userns >= 0 && setns(program->userns, CLONE_NEWUSER) != 0)
		fail("the stack's user namespace");
	if (setns(program->netns, CLONE_NEWNET) != 0)
		fail("the programs' network");
	if (program->dns && tern_run_set_up_dns(program->dns) != 0)
		fail("/etc/resolv.conf");
}

/* Hands the listener over, and waits until somebody looks after it. */
static void hand_over(const struct program *program, int stack, int listener)
{
	struct join_message message = {.kind = JOIN_LISTENER};
	int fds[JOIN_FDS_MAX];
	snprintf(message.text, sizeof message.text, "%s", program->command[0]);
	if (!tern_join_send(stack, &message, &listener, 1) || !tern_join_recv(stack, &message, fds))
		fail("the stack");
	if (message.kind != JOIN_GO) {
		fprintf(stderr, "run: the stack refuses: %s\n", message.text);
		_exit(EXIT_FAILED);
	}
}

static _Noreturn void become_program(const struct program *program, int stack, pid_t parent)
{
	sigset_t none;
	enter(program);
	die_with(parent);
	int listener = tern_run_filter();
	if (listener < 0 && errno == EBUSY)
		fprintf(stderr, "run: there is a supervisor already: `tern run` inside `tern run`, "
				"or inside a container that has one, cannot work\n");
	if (listener < 0)
		fail("seccomp");
	hand_over(program, stack, listener);
	close(listener);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(program->command[0], program->command);
	int error = errno;
	fprintf(stderr, "run: %s: %s\n", program->command[0], strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NO_EXEC);
}

/* --- our side -------------------------------------------------------------------------- */

int tern_run_start(struct program *program, int stack)
{
	pid_t self = getpid();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fflush(NULL);
	program->child = fork();
	if (program->child == 0)
		become_program(program, stack, self);
	if (program->child > 0)
		return 0;
	fprintf(stderr, "run: fork: %s\n", strerror(errno));
	return -1;
}

void tern_run_interrupt(const struct program *program)
{
	if (program->status < 0) /* its number is still its own */
		kill(program->child, SIGKILL);
	fprintf(stderr, "run: interrupted\n");
}

void tern_run_reap(struct program *program)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == program->child)
			program->status =
				WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	program->over = pid < 0 && errno == ECHILD;
}

void tern_run_tell_kernel_tcp(const struct program *program)
{
	struct kernel_tcp k;
	if (tern_run_kernel_tcp(program, &k) == 0)
		fprintf(stderr,
			"run: on the kernel: %" PRIu64 " connect, %" PRIu64 " accept; %" PRIu64
			" segments in, %" PRIu64 " out\n",
			k.active_opens, k.passive_opens, k.segments_in, k.segments_out);
	else
		fprintf(stderr, "run: on the kernel: unknown: its namespace cannot be entered\n");
}
