/*
 * `tern up`: a stack that stays, for programs that `tern run --stack` brings; `tern down` ends it.
 * See tools/run/run.h for how programs come to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/run/run.h"

#define SETTLE_MS    5000
#define DOWN_NS      UINT64_C(20000000000)
#define DOWN_TOLD_NS UINT64_C(2000000000)

struct up {
	struct run run;
	struct admission *admission;
	bool detach, quiet, verbose;
	int signals;
	unsigned interrupts;
};

static void help(void)
{
	printf("usage: tern up NAME [OPTION...]\n\n"
	       "Keeps a stack running that programs share: each `tern run --stack NAME -- "
	       "COMMAND`\n"
	       "brings one. Ends on Ctrl-C or `tern down NAME`; `tern ls` lists what is up.\n\n"
	       "  -d, --detach           once it is up, go on in the background\n"
	       "  -v, --verbose          tell of each program that comes and goes\n"
	       "  -q, --quiet            no word of its own\n%s\n"
	       "As root the TAP is made on this machine's network, with 10.77.0.1 at the kernel's\n"
	       "end. As an ordinary user it is in a user namespace: the programs reach each other\n"
	       "at 127.0.0.1 and 10.77.0.2, and nothing outside.\n",
		tern_options_help_up);
}

static int take(struct up *up, int opt, const char *value)
{
	if (opt == OPTION_NAME) {
		fprintf(stderr,
			"up: --name: the name is the word without an option: tern up NAME\n");
		return -1;
	}
	int rc = tern_options_take(&up->run.options, opt, value);
	if (rc != 0)
		return rc;
	switch (opt) {
	case 'd':
		up->detach = true;
		return 1;
	case 'q':
		up->quiet = true;
		return 1;
	case 'v':
		up->verbose = true;
		return 1;
	case 'h':
		help();
		return 0;
	default:
		return -1;
	}
}

static int parse(struct up *up, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG, {"detach", no_argument, NULL, 'd'},
		{"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "dhqv", options, NULL)) != -1)
		if ((rc = take(up, opt, optarg)) <= 0)
			return rc;
	if (optind + 1 == argc) {
		up->run.options.name = argv[optind];
		return tern_options_name("up", "NAME", up->run.options.name);
	}
	fprintf(stderr, "up: wants one name for the stack; see `tern up --help`\n");
	return -1;
}

/* --- files beside its socket ----------------------------------------------------------- */

/* NAME.SUFFIX, as the name has been found good already. */
static const char *beside(const struct up *up, const char *suffix)
{
	static char path[CONTROL_PATH_MAX];
	char why[200];
	return tern_control_path(path, up->run.options.name, suffix, why, sizeof why) == 0 ? path
											   : NULL;
}

static int write_pid(const struct up *up, pid_t pid)
{
	const char *path = beside(up, "pid");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && dprintf(fd, "%d\n", (int)pid) > 0)
		return close(fd);
	fprintf(stderr, "up: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static void remove_files(const struct up *up)
{
	struct stat st;
	unlink(beside(up, "pid"));
	if (up->detach && stat(beside(up, "log"), &st) == 0 && st.st_size == 0)
		unlink(beside(up, "log"));
}

/* --- signals, methods ------------------------------------------------------------------ */

static void signalled(void *context, uint32_t events)
{
	struct up *up = context;
	struct signalfd_siginfo info;
	(void)events;
	while (read(up->signals, &info, sizeof info) == sizeof info)
		up->interrupts++;
	tern_host_stop(up->run.host);
}

static int catch_signals(struct up *up)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	up->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (up->signals >= 0 && tern_host_watch(up->run.host, up->signals, EPOLLIN, signalled, up))
		return 0;
	fprintf(stderr, "up: signals: %s\n", strerror(errno));
	return -1;
}

static json_t *go_down(void *context, json_t *params)
{
	struct up *up = context;
	(void)params;
	tern_host_stop(up->run.host);
	return json_pack("{s:i}", "programs", (int)tern_admission_count(up->admission));
}

/* --- running --------------------------------------------------------------------------- */

static int open_all(struct up *up)
{
	if (tern_run_open(&up->run) != 0 || catch_signals(up) != 0)
		return -1;
	up->admission = tern_admission_open(&up->run, up->verbose);
	if (!up->admission)
		return -1;
	tern_control_method(up->run.options.control, "programs", tern_admission_list,
		up->admission);
	tern_control_method(up->run.options.control, "down", go_down, up);
	return 0;
}

/* What it has to say in the background. */
static int open_log(const struct up *up)
{
	const char *path = beside(up, "log");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		fprintf(stderr, "up: %s: %s\n", path, strerror(errno));
	return fd;
}

static void let_go_of_terminal(int log)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	setsid();
	if (nothing >= 0)
		dup2(nothing, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close(nothing);
	close(log);
}

static void say_up(const struct up *up, pid_t pid)
{
	char addr[TERN_ENDPOINT_TEXT];
	struct tern_nif_opts nif;
	tern_nif_info(tern_host_stack(up->run.host), tern_host_nif(up->run.host), &nif);
	if (!up->quiet)
		fprintf(stderr, "up: %s is %s on %s (pid %d)\n", up->run.options.name,
			tern_addr_format(&up->run.addr, addr), nif.name, (int)pid);
}

/* The process that the user waits for ends, once all is well, and another goes on. */
static int begin(struct up *up)
{
	int log = up->detach ? open_log(up) : -1;
	if (up->detach && log < 0)
		return -1;
	fflush(NULL);
	pid_t pid = up->detach ? fork() : getpid();
	if (pid < 0) {
		fprintf(stderr, "up: fork: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		let_go_of_terminal(log);
		return 0;
	}
	if (write_pid(up, pid) != 0) {
		if (up->detach)
			kill(pid, SIGTERM);
		return -1;
	}
	say_up(up, pid);
	if (up->detach)
		_exit(0);
	return 0;
}

static int keep(struct up *up)
{
	int rc;
	do {
		rc = tern_run_turn(&up->run);
		tern_admission_expire(up->admission);
	} while (rc == 0);
	return rc == TERN_ECONNABORTED ? 0 : -1;
}

int tern_command_up(int argc, char **argv)
{
	struct up up = {.signals = -1};
	tern_options_init(&up.run.options, "up");
	int rc = parse(&up, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	if (tern_control_answers(up.run.options.name)) {
		fprintf(stderr, "up: a stack \"%s\" runs already; see `tern ls`\n",
			up.run.options.name);
		return 1;
	}
	rc = open_all(&up);
	if (rc == 0 && (rc = begin(&up)) == 0)
		rc = keep(&up);
	if (up.admission) {
		tern_admission_close(up.admission);
		tern_run_settle(&up.run, SETTLE_MS, up.quiet, &up.interrupts);
		remove_files(&up);
	}
	if (tern_run_close(&up.run) != 0)
		rc = -1;
	return rc == 0 ? 0 : 1;
}

/* --- tern down ------------------------------------------------------------------------- */

/* The process that has the stack, to wait for, -1 if it cannot be seen from here. False after
 * saying that there is none, or that it is not one of `tern up`. */
static bool find_process(const char *name, int *process)
{
	json_int_t pid = -1;
	const char *command = "";
	json_t *stack = tern_control_ask("down", name, "stack", NULL, NULL);
	if (!stack)
		return false;
	json_unpack(stack, "{s:I, s:s}", "pid", &pid, "command", &command);
	bool up = strcmp(command, "up") == 0;
	if (up)
		*process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	else
		fprintf(stderr, "down: \"%s\" is a `tern %s` (pid %d), and ends with it\n", name,
			command, (int)pid);
	json_decref(stack);
	return up;
}

/* Its TAP, too, is free once its process is gone. */
static bool gone(const char *name, int process)
{
	struct pollfd p = {.fd = process, .events = POLLIN}; /* -1 only waits */
	int n = poll(&p, 1, 20);
	return process >= 0 ? n == 1 : !tern_control_answers(name);
}

static int await_end(const char *name, int process)
{
	uint64_t began = tern_host_now(), told = began + DOWN_TOLD_NS;
	while (!gone(name, process)) {
		uint64_t now = tern_host_now();
		if (now > began + DOWN_NS) {
			fprintf(stderr, "down: stack \"%s\" is still there\n", name);
			return 1;
		}
		if (now > told) {
			fprintf(stderr, "down: waiting for the peers of \"%s\"\n", name);
			told = TERN_NEVER;
		}
	}
	return 0;
}

int tern_command_down(int argc, char **argv)
{
	json_int_t programs = 0;
	if (argc != 2 || argv[1][0] == '-') {
		bool asked =
			argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
		fprintf(asked ? stdout : stderr, "usage: tern down NAME\n\nEnds the stack that "
						 "`tern up NAME` keeps. Programs "
						 "on it lose their connections.\n");
		return asked ? 0 : EXIT_USAGE;
	}
	int process;
	if (tern_options_name("down", "NAME", argv[1]) < 0)
		return EXIT_USAGE;
	json_t *result = find_process(argv[1], &process)
				 ? tern_control_ask("down", argv[1], "down", NULL, NULL)
				 : NULL;
	if (!result)
		return 1;
	json_unpack(result, "{s:I}", "programs", &programs);
	json_decref(result);
	if (programs > 0)
		fprintf(stderr, "down: %" PRId64 " program%s lost %s connections\n",
			(int64_t)programs, programs == 1 ? "" : "s",
			programs == 1 ? "its" : "their");
	return await_end(argv[1], process);
}
