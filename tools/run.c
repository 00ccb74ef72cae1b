/* `tern run`: any program, unmodified, on tern. See tools/run/run.h for how. */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/run/run.h"

#define SETTLE_MS      120000
#define SETTLE_STEP_MS 100
#define SETTLE_TOLD_MS 2000
#define LOOK_NS        100000000 /* how often parked calls and signals are looked after */
#define KERNEL_ADDR    "10.77.0.1/24"
#define GATEWAY        "10.77.0.1"
#define EXIT_FAILED    125

enum {
	OPTION_DNS = OPTION_OWN,
	OPTION_HELP,
};

static void help(void)
{
	printf("usage: tern run [OPTION...] [--] COMMAND [ARGUMENT...]\n\n"
	       "Runs COMMAND, and all it starts, with tern's TCP in place of the kernel's.\n"
	       "Ends when the last of them has, with COMMAND's exit status.\n\n"
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
		tern_options_help);
}

static int take_dns(struct run *run, const char *value)
{
	struct tern_addr addr;
	run->dns = value;
	if (tern_addr_parse(value, &addr) == 0)
		return 1;
	fprintf(stderr, "run: --dns: \"%s\" is not an address\n", value);
	return -1;
}

static int take(struct run *run, int opt, const char *value)
{
	int rc = tern_options_take(&run->options, opt, value);
	if (rc != 0)
		return rc;
	switch (opt) {
	case 'q':
		run->quiet = true;
		return 1;
	case 'v':
		run->verbose = true;
		return 1;
	case OPTION_DNS:
		return take_dns(run, value);
	case OPTION_HELP:
		help();
		return 0;
	default:
		return -1;
	}
}

static int parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_LONG,
		{"dns", required_argument, NULL, OPTION_DNS}, {"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, OPTION_HELP}, {0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "+qv", options, NULL)) != -1)
		if ((rc = take(run, opt, optarg)) <= 0)
			return rc;
	if (optind == argc) {
		fprintf(stderr, "run: wants a command; see `tern run --help`\n");
		return -1;
	}
	run->command = argv + optind;
	return 1;
}

/* A TAP that is not there yet gets the addresses this manual speaks of. */
static void default_addresses(struct options *o)
{
	const char *name = strchr(o->device, ':') + 1;
	bool ours = strcmp(o->addr, "10.77.0.2/24") == 0;
	if (ours && !o->host.gateway)
		o->host.gateway = GATEWAY;
	if (ours && !o->host.device.kernel_addr && !strchr(name, '@') && if_nametoindex(name) == 0)
		o->host.device.kernel_addr = KERNEL_ADDR;
}

static void raise_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* --- signals --------------------------------------------------------------------------- */

/* Ctrl-C reaches the program too: it decides. A second one is for us. What was sent to us alone is
 * passed on. */
static void signalled(void *context, uint32_t events)
{
	struct run *run = context;
	struct signalfd_siginfo info;
	(void)events;
	while (read(run->signals, &info, sizeof info) == sizeof info) {
		int number = (int)info.ssi_signo;
		if (number == SIGCHLD)
			continue; /* the loop looks */
		bool typed = info.ssi_code == SI_KERNEL;
		if (typed)
			run->interrupts++;
		else if (run->status < 0)
			kill(run->child, number);
		else
			run->interrupts += 2;
		if (run->interrupts >= 2 || (run->interrupts && run->status >= 0))
			tern_host_stop(run->host);
	}
}

static int catch_signals(struct run *run)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return run->signals >= 0 &&
			       tern_host_watch(run->host, run->signals, EPOLLIN, signalled, run)
		       ? 0
		       : -1;
}

/* --- running --------------------------------------------------------------------------- */

static void look_after(struct run *run)
{
	uint64_t now = tern_host_now();
	tern_run_reap(run);
	tern_sock_expire(run);
	tern_run_seek(run);
	if (now < run->sweep_at)
		return;
	tern_sock_sweep(run);
	tern_run_forget_dead(run, false);
}

static int serve(struct run *run)
{
	struct tern_event event;
	uint64_t look = 0;
	while (!run->over) {
		int rc = tern_host_wait(run->host, &event, LOOK_NS / 10);
		if (rc == 0 && event.kind == TERN_EV_ACCEPT && event.user)
			tern_run_arrived(event.user);
		if (rc == TERN_ECONNABORTED)
			return rc;
		if (rc != 0 && rc != TERN_ETIMEDOUT) {
			fprintf(stderr, "run: %s\n", tern_host_error());
			return rc;
		}
		if (tern_host_now() >= look) {
			look_after(run);
			look = tern_host_now() + LOOK_NS;
		}
	}
	return 0;
}

static void kill_all(struct run *run)
{
	kill(run->child, SIGKILL);
	fprintf(stderr, "run: interrupted\n");
}

/* Of the connections that have still something to say, the first. In FIN_WAIT_2 all is said and
 * acknowledged: that the peer says goodbye, too, is worth a moment only. */
static unsigned unsettled(const struct run *run, struct tern_tcp_info *first)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	unsigned n = 0;
	while (tern_tcp_each(tern_host_stack(run->host), &cursor, &info))
		if (info.state >= TERN_TCP_ESTABLISHED && info.state < TERN_TCP_TIME_WAIT &&
			info.state != TERN_TCP_FIN_WAIT_2 && n++ == 0)
			*first = info;
	return n;
}

static void tell_unsettled(const struct run *run, const char *what)
{
	struct tern_tcp_info info;
	char peer[TERN_ENDPOINT_TEXT];
	unsigned n = unsettled(run, &info);
	if (n == 0 || run->quiet)
		return;
	fprintf(stderr,
		"run: %s: %u connections, the first to %s in %s with %u bytes to send and %u "
		"unacknowledged\n",
		what, n, tern_endpoint_format(&info.remote, peer), tern_tcp_state_name(info.state),
		info.unsent, info.unacked);
}

/* Until data and FINs are acknowledged, the time is up, or the user has had enough. */
static void settle(struct run *run)
{
	unsigned before = run->interrupts;
	struct tern_tcp_info first;
	for (unsigned ms = 0; ms < SETTLE_MS && run->interrupts == before; ms += SETTLE_STEP_MS) {
		if (tern_host_settle(run->host, SETTLE_STEP_MS) != TERN_ETIMEDOUT)
			return;
		if (ms < SETTLE_TOLD_MS)
			continue;
		if (unsettled(run, &first) == 0)
			return;
		if (ms == SETTLE_TOLD_MS)
			tell_unsettled(run, "waiting for peers (Ctrl-C ends it)");
	}
	tell_unsettled(run, "given up on peers");
}

static void free_what_is_over(struct run *run)
{
	struct sock *sock, *next;
	HASH_ITER(hh, run->socks, sock, next)
	if (!sock->relay)
		tern_sock_free(sock);
}

static void finish(struct run *run)
{
	free_what_is_over(run);
	settle(run);
	free_what_is_over(run);
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

static void summary(struct run *run)
{
	struct kernel_tcp k;
	struct tern_stack *stack = run_stack(run);
	fprintf(stderr,
		"run: on tern: %" PRIu64 " connect, %" PRIu64 " accept; %" PRIu64
		" segments in, %" PRIu64 " out; %" PRIu64 " calls answered\n",
		run->connects, run->accepts, tern_counter(stack, TERN_COUNT_TcpInSegs),
		tern_counter(stack, TERN_COUNT_TcpOutSegs), run->calls);
	if (tern_run_kernel_tcp(run, &k) == 0)
		fprintf(stderr,
			"run: on the kernel: %" PRIu64 " connect, %" PRIu64 " accept; %" PRIu64
			" segments in, %" PRIu64 " out\n",
			k.active_opens, k.passive_opens, k.segments_in, k.segments_out);
	else
		fprintf(stderr, "run: on the kernel: unknown: its namespace cannot be entered\n");
}

static int run_program(struct run *run)
{
	int rc = EXIT_FAILED;
	tern_nif_addr(run_stack(run), tern_host_nif(run->host), &run->addr);
	if (catch_signals(run) != 0 || tern_run_spawn(run) != 0)
		return rc;
	if (serve(run) == 0) {
		finish(run);
		rc = run->status;
	} else {
		kill_all(run);
	}
	tell_missed(run);
	if (run->verbose)
		summary(run);
	return rc;
}

int tern_command_run(int argc, char **argv)
{
	struct run run = {.status = -1,
		.netns = -1,
		.notify = -1,
		.rendezvous = -1,
		.diag = -1,
		.folder = -1,
		.signals = -1};
	tern_options_init(&run.options, "run");
	int rc = parse(&run, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	if (tern_run_become_root() != 0)
		return EXIT_FAILED;
	tern_run_options_begin(&run);
	default_addresses(&run.options);
	raise_limits();
	rc = EXIT_FAILED;
	if ((run.host = tern_options_open(&run.options))) {
		if (run.options.control)
			tern_control_owners(run.options.control, tern_run_owners, &run);
		rc = run_program(&run);
	}
	if (tern_options_close(&run.options, stderr) != 0 && rc == 0)
		rc = EXIT_FAILED;
	tern_run_calls_end(&run);
	tern_run_forget_dead(&run, true);
	return rc;
}
