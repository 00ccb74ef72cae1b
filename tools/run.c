/* `tern run`: any program, unmodified, on tern. See tools/run/run.h for how. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/run/join.h"
#include "tools/run/run.h"

#define SETTLE_MS 120000

enum {
	OPTION_DNS = OPTION_OWN,
	OPTION_STACK,
};

struct command {
	struct program program;
	struct run run;
	struct sandbox *sandbox;
	const char *stack; /* of tern up; NULL: one of its own */
	bool own;          /* an option was about a stack of its own */
};

static void help(void)
{
	printf("usage: tern run [OPTION...] [--] COMMAND [ARGUMENT...]\n\n"
	       "Runs COMMAND, and all it starts, with tern's TCP in place of the kernel's.\n"
	       "Ends when the last of them has, with COMMAND's exit status.\n\n"
	       "  --stack NAME           on the stack that `tern up NAME` keeps, with others; "
	       "without\n"
	       "                         it, on one of its own, which the options from --tap on "
	       "are "
	       "about\n"
	       "  --dns ADDRESS          the programs' name server (the machine's)\n"
	       "  -v, --verbose          at the end, what was done on tern, and what on the "
	       "kernel\n"
	       "  -q, --quiet            no word of its own\n%s\n"
	       "As root the TAP is made on this machine's network, with 10.77.0.1 at the kernel's\n"
	       "end. From there to the world takes, as root, once:\n"
	       "  sysctl -w net.ipv4.ip_forward=1\n"
	       "  iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -j MASQUERADE\n"
	       "  tern run --dns 9.9.9.9 -- curl https://example.org/\n\n"
	       "As an ordinary user the TAP is in a user namespace of its own: COMMAND and what "
	       "it\n"
	       "starts reach each other at 127.0.0.1 and 10.77.0.2, and nothing outside.\n",
		tern_options_help_run);
}

static int take_dns(struct command *c, const char *value)
{
	struct tern_addr addr;
	c->program.dns = value;
	if (tern_addr_parse(value, &addr) == 0)
		return 1;
	fprintf(stderr, "run: --dns: \"%s\" is not an address\n", value);
	return -1;
}

static int take(struct command *c, int opt, const char *value)
{
	int rc = tern_options_take(&c->run.options, opt, value);
	c->own |= rc > 0;
	if (rc != 0)
		return rc;
	switch (opt) {
	case 'q':
		c->program.quiet = true;
		return 1;
	case 'v':
		c->program.verbose = true;
		return 1;
	case OPTION_DNS:
		return take_dns(c, value);
	case OPTION_STACK:
		c->stack = value;
		return tern_options_name("run", "--stack", value);
	case 'h':
		help();
		return 0;
	default:
		return -1;
	}
}

static int parse(struct command *c, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG,
		{"dns", required_argument, NULL, OPTION_DNS},
		{"stack", required_argument, NULL, OPTION_STACK}, {"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'}, {0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "+hqv", options, NULL)) != -1)
		if ((rc = take(c, opt, optarg)) <= 0)
			return rc;
	if (optind == argc) {
		fprintf(stderr, "run: wants a command; see `tern run --help`\n");
		return -1;
	}
	if (c->stack && c->own) {
		fprintf(stderr, "run: --stack: the stack is there already: its options are for "
				"`tern up`\n");
		return -1;
	}
	c->program.command = argv + optind;
	return 1;
}

/* --- on a stack of its own ------------------------------------------------------------- */

static void signalled(void *context, uint32_t events)
{
	struct command *c = context;
	struct program *p = &c->program;
	(void)events;
	tern_run_pass_signals(p);
	if (p->interrupts >= 2 || (p->interrupts && p->status >= 0))
		tern_host_stop(c->run.host);
}

static int catch_signals(struct command *c)
{
	if (tern_run_catch_signals(&c->program) == 0 &&
		tern_host_watch(c->run.host, c->program.signals, EPOLLIN, signalled, c))
		return 0;
	fprintf(stderr, "run: signals: %s\n", strerror(errno));
	return -1;
}

/* Takes the filter's listener; the program has said itself what went wrong, if nothing comes. */
static int take_in(struct command *c, int end)
{
	struct join_message message;
	int fds[JOIN_FDS_MAX];
	if (!tern_join_recv(end, &message, fds) || fds[0] < 0)
		return -1;
	c->sandbox = tern_sandbox_new(&c->run, fds[0]);
	if (c->sandbox)
		return tern_join_send(end, &(struct join_message){.kind = JOIN_GO}, NULL, 0) ? 0
											     : -1;
	fprintf(stderr, "run: the filter's listener: %s\n", strerror(errno));
	return -1;
}

static int spawn(struct command *c)
{
	int ends[2], rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		fprintf(stderr, "run: %s\n", strerror(errno));
		return -1;
	}
	rc = tern_run_start(&c->program, ends[1]);
	close(ends[1]);
	if (rc == 0 && (rc = take_in(c, ends[0])) != 0) {
		kill(c->program.child, SIGKILL);
		waitpid(c->program.child, NULL, 0);
	}
	close(ends[0]);
	return rc;
}

static int serve(struct command *c)
{
	int rc = 0;
	while (rc == 0 && !c->program.over) {
		rc = tern_run_turn(&c->run);
		tern_run_reap(&c->program);
	}
	return rc;
}

static void tell_missed(struct run *run)
{
	uint64_t missed = tern_drop_count(run_stack(run), TERN_DROP_IP_GUEST_TCP);
	if (missed)
		fprintf(stderr,
			"run: %" PRIu64 " TCP packets of the kernel's came from the program's "
			"namespace and were dropped\n",
			missed);
}

static void summary(const struct command *c)
{
	struct tern_stack *stack = tern_host_stack(c->run.host);
	fprintf(stderr,
		"run: on tern: %" PRIu64 " connect, %" PRIu64 " accept; %" PRIu64
		" segments in, %" PRIu64 " out; %" PRIu64 " calls answered\n",
		c->sandbox->connects, c->sandbox->accepts,
		tern_counter(stack, TERN_COUNT_TcpInSegs),
		tern_counter(stack, TERN_COUNT_TcpOutSegs), c->sandbox->calls);
	tern_run_tell_kernel_tcp(&c->program);
}

static int run_program(struct command *c)
{
	int rc = EXIT_FAILED;
	c->program.netns = c->run.netns;
	if (catch_signals(c) != 0 || spawn(c) != 0)
		return rc;
	if (serve(c) == 0) {
		tern_sock_leave(c->sandbox, false);
		tern_sock_sweep(&c->run);
		tern_run_settle(&c->run, SETTLE_MS, c->program.quiet, &c->program.interrupts);
		rc = c->program.status;
	} else {
		tern_run_interrupt(&c->program);
	}
	tell_missed(&c->run);
	if (c->program.verbose)
		summary(c);
	tern_sandbox_free(c->sandbox, false);
	return rc;
}

int tern_command_run(int argc, char **argv)
{
	struct command c = {.program = {.status = -1, .userns = -1}};
	tern_options_init(&c.run.options, "run");
	int rc = parse(&c, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	if (c.stack)
		return tern_run_join_stack(&c.program, c.stack);
	rc = tern_run_open(&c.run) == 0 ? run_program(&c) : EXIT_FAILED;
	if (tern_run_close(&c.run) != 0 && rc == 0)
		rc = EXIT_FAILED;
	return rc;
}
