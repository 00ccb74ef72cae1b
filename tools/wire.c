/* `tern wire`: two TAPs, in two network namespaces perhaps, joined by an impaired wire each way. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "tools/commands.h"
#include "tools/options.h"

/* What carries frames from one device to the other. */
struct direction {
	struct tern_device *from, *to;
	struct tern_wire *wire;
	struct tern_frame held; /* came out of the wire, and `to` is full */
	bool holding;
};

struct setup {
	struct options common; /* for messages and numbers only */
	const char *tap[2];
	const char *impair[2]; /* A to B, B to A */
	uint64_t seed, duration_ns;
	struct tern_device_opts device[2];
};

enum {
	OPTION_BACK = OPTION_OWN,
	OPTION_DURATION,
	OPTION_ADDR_A,
	OPTION_ADDR_B,
};

static void help(void)
{
	printf("usage: tern wire TAP_A TAP_B [--impair SPEC] [--impair-back SPEC] [OPTION...]\n\n"
	       "Joins two TAPs by a wire that impairs what it carries. A TAP is NAME, or "
	       "NAME@NETNS\n"
	       "where NETNS is a process id, a path or a name that `ip netns` knows. Ends at "
	       "SIGINT,\n"
	       "SIGTERM or after --duration, and then prints what it did.\n\n"
	       "  --impair SPEC       both directions, or A to B with --impair-back\n"
	       "  --impair-back SPEC  B to A\n"
	       "  --seed N            the same seed does the same to the same frames (1)\n"
	       "  --duration S        seconds\n"
	       "  --mtu N             MTU of both (as they have it)\n"
	       "  --addr-a A/P        address to give to A's kernel; --addr-b likewise\n"
	       "  --no-offload        the kernels finish checksums and segments themselves\n\n"
	       "SPEC is a comma-separated list:\n%s",
		tern_impair_help);
}

static int take_number(struct setup *s, int opt, const char *value)
{
	uint64_t n = 0;
	int rc;
	switch (opt) {
	case OPTION_SEED:
		return tern_options_number(&s->common, "--seed", value, 0, UINT64_MAX, &s->seed);
	case OPTION_DURATION:
		rc = tern_options_number(&s->common, "--duration", value, 1, 1000000, &n);
		s->duration_ns = n * 1000000000;
		return rc;
	default:
		rc = tern_options_number(&s->common, "--mtu", value, 68, 65535, &n);
		s->device[0].mtu = s->device[1].mtu = (uint32_t)n;
		return rc;
	}
}

/* 1 to go on, 0 when all is said, -1 for bad usage. */
static int take(struct setup *s, int opt, const char *value)
{
	switch (opt) {
	case OPTION_IMPAIR:
		s->impair[0] = value;
		return 1;
	case OPTION_BACK:
		s->impair[1] = value;
		return 1;
	case OPTION_SEED:
	case OPTION_DURATION:
	case OPTION_MTU:
		return take_number(s, opt, value);
	case OPTION_ADDR_A:
	case OPTION_ADDR_B:
		s->device[opt - OPTION_ADDR_A].kernel_addr = value;
		return tern_options_cidr("wire", opt == OPTION_ADDR_A ? "--addr-a" : "--addr-b",
			value);
	case OPTION_NO_OFFLOAD:
		s->device[0].no_offload = s->device[1].no_offload = true;
		return 1;
	case 'h':
		help();
		return 0;
	default:
		return -1;
	}
}

static int parse(struct setup *s, int argc, char **argv)
{
	static const struct option options[] = {{"impair", required_argument, NULL, OPTION_IMPAIR},
		{"impair-back", required_argument, NULL, OPTION_BACK},
		{"seed", required_argument, NULL, OPTION_SEED},
		{"duration", required_argument, NULL, OPTION_DURATION},
		{"mtu", required_argument, NULL, OPTION_MTU},
		{"addr-a", required_argument, NULL, OPTION_ADDR_A},
		{"addr-b", required_argument, NULL, OPTION_ADDR_B},
		{"no-offload", no_argument, NULL, OPTION_NO_OFFLOAD},
		{"help", no_argument, NULL, 'h'}, {0}};
	int opt, rc;
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if ((rc = take(s, opt, optarg)) <= 0)
			return rc;
	if (argc - optind != 2) {
		fprintf(stderr, "wire: wants two TAPs; see `tern wire --help`\n");
		return -1;
	}
	s->tap[0] = argv[optind];
	s->tap[1] = argv[optind + 1];
	if (!s->impair[0])
		s->impair[0] = "";
	if (!s->impair[1])
		s->impair[1] = s->impair[0];
	return 1;
}

static struct tern_device *open_tap(const char *name, const struct tern_device_opts *opts)
{
	char spec[300];
	bool whole = strncmp(name, "tap:", 4) == 0 || strncmp(name, "tun:", 4) == 0;
	snprintf(spec, sizeof spec, "%s%s", whole ? "" : "tap:", name);
	struct tern_device *device = tern_device_open(spec, opts);
	if (!device)
		fprintf(stderr, "wire: %s\n", tern_host_error());
	return device;
}

/* 0, or the exit status after saying what is wrong. */
static int build(const struct setup *s, struct direction way[2])
{
	struct tern_impair_spec spec[2];
	char why[160];
	for (int i = 0; i < 2; i++) {
		if (tern_impair_parse(s->impair[i], &spec[i], why, sizeof why) == 0)
			continue;
		fprintf(stderr, "wire: %s\n", why);
		return EXIT_USAGE;
	}
	for (int i = 0; i < 2; i++) {
		struct tern_device *device = open_tap(s->tap[i], &s->device[i]);
		way[i].from = way[1 - i].to = device;
		way[i].wire = device ? tern_wire_new(&spec[i], s->seed + (uint64_t)i) : NULL;
		if (!way[i].wire)
			return 1;
	}
	return 0;
}

/* Moves one direction along. 1 if more may wait, 0, or a negative errno. */
static int carry(struct direction *way)
{
	struct tern_frame frames[TERN_DEVICE_BATCH];
	uint64_t now = tern_host_now();
	int n = tern_device_recv(way->from, frames, TERN_DEVICE_BATCH, now);
	for (int i = 0; i < n; i++)
		tern_wire_push(way->wire, &frames[i], now);
	while (n >= 0 && (way->holding || tern_wire_pop(way->wire, &way->held, now))) {
		int sent = tern_device_send(way->to, &way->held, 1, now);
		way->holding = sent == 0;
		if (sent < 0)
			return sent;
		if (sent == 0)
			break;
	}
	return n < 0 ? n : n == TERN_DEVICE_BATCH;
}

static uint64_t deadline(const struct direction *way)
{
	/* A TAP that is full has no edge to wait for that would come sooner than a look. */
	return way->holding ? tern_host_now() + 100000 : tern_wire_deadline(way->wire);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

/* Signals arrive only inside epoll_pwait2, so that none is missed between look and sleep. */
static void catch_signals(sigset_t *during_wait)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, during_wait);
	sigdelset(during_wait, SIGINT);
	sigdelset(during_wait, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void sleep_until(int epoll, uint64_t until, const sigset_t *mask)
{
	struct epoll_event events[2];
	uint64_t now = tern_host_now(), left = until > now ? until - now : 0;
	struct timespec ts = {.tv_sec = (time_t)(left / 1000000000u),
		.tv_nsec = (long)(left % 1000000000u)};
	epoll_pwait2(epoll, events, 2, until == TERN_NEVER ? NULL : &ts, mask);
}

static int run(struct direction way[2], uint64_t end)
{
	sigset_t mask;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		struct epoll_event ev = {.events = EPOLLIN};
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, way[i].from->fd, &ev) != 0)
			return fprintf(stderr, "wire: epoll: %s\n", strerror(errno)), 1;
	}
	catch_signals(&mask);
	while (!stopped && tern_host_now() < end) {
		uint64_t until = end;
		for (int i = 0; i < 2; i++) {
			int rc = carry(&way[i]);
			if (rc < 0)
				return fprintf(stderr, "wire: %s or %s: %s\n", way[i].from->name,
					       way[i].to->name, strerror(-rc)),
				       1;
			uint64_t next = rc > 0 ? 0 : deadline(&way[i]);
			until = next < until ? next : until;
		}
		sleep_until(epoll, until, &mask);
	}
	return 0;
}

static void print_stats(const char *from, const char *to, const struct tern_wire *wire)
{
	struct tern_wire_stats s;
	tern_wire_stats(wire, &s);
	printf("%s -> %s: pushed=%" PRIu64 " delivered=%" PRIu64 " lost=%" PRIu64
	       " overflowed=%" PRIu64 " duplicated=%" PRIu64 " corrupted=%" PRIu64
	       " reordered=%" PRIu64 " marked=%" PRIu64 "\n",
		from, to, s.pushed, s.delivered, s.lost, s.overflowed, s.duplicated, s.corrupted,
		s.reordered, s.marked);
}

int tern_command_wire(int argc, char **argv)
{
	struct setup s = {.seed = 1};
	struct direction way[2] = {0};
	tern_options_init(&s.common, "wire");
	int rc = parse(&s, argc, argv);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	rc = build(&s, way);
	if (rc == 0) {
		printf("wire: %s <-> %s\n", s.tap[0], s.tap[1]);
		fflush(stdout); /* scripts wait for this line */
		rc = run(way, s.duration_ns ? tern_host_now() + s.duration_ns : TERN_NEVER);
		print_stats(s.tap[0], s.tap[1], way[0].wire);
		print_stats(s.tap[1], s.tap[0], way[1].wire);
	}
	for (int i = 0; i < 2; i++) {
		tern_wire_free(way[i].wire);
		tern_device_close(way[i].from);
	}
	return rc;
}
