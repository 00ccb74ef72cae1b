/* The stack that programs run on: its beginning, its turns, its end. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/run/run.h"

#define SETTLE_STEP_MS 100
#define SETTLE_TOLD_MS 2000
#define TURN_NS        10000000
#define LOOK_NS        100000000 /* how often parked calls are looked after */
#define KERNEL_ADDR    "10.77.0.1/24"
#define GATEWAY        "10.77.0.1"

/* --- the beginning --------------------------------------------------------------------- */

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

/* /proc must show the processes by the numbers they have here. */
static int check_proc(const struct run *run)
{
	char self[32] = "";
	if (readlink("/proc/self", self, sizeof self - 1) > 0 && atoi(self) == (int)getpid())
		return 0;
	fprintf(stderr,
		"%s: /proc is missing or another PID namespace's: mount one of this, as "
		"root: mount -t proc proc /proc (or unshare with --mount-proc)\n",
		run->options.command);
	return -1;
}

int tern_run_open(struct run *run)
{
	run->netns = run->rendezvous = run->diag = run->folder = run->inotify = -1;
	if (check_proc(run) != 0 || tern_run_become_root(run->options.command) != 0)
		return -1;
	tern_run_options_begin(run);
	default_addresses(&run->options);
	raise_limits();
	run->host = tern_options_open(&run->options);
	if (!run->host)
		return -1;
	if (run->options.control) {
		tern_control_method(run->options.control, "owners", tern_run_owners, run);
		tern_control_method(run->options.control, "udp", tern_run_udp, run);
		tern_control_amend(run->options.control, tern_run_amend, run);
	}
	tern_nif_addr(run_stack(run), tern_host_nif(run->host), &run->addr);
	tern_run_watch_begin(run);
	return tern_run_make_network(run) == 0 && tern_run_open_begin(run) == 0 &&
			       tern_run_calls_begin(run) == 0
		       ? 0
		       : -1;
}

/* --- turns ----------------------------------------------------------------------------- */

static void look_after(struct run *run, uint64_t now)
{
	tern_sock_expire(run);
	tern_run_seek(run);
	if (now >= run->sweep_at) {
		tern_sock_sweep(run);
		tern_run_forget_dead(run, false);
	}
	run->look_at = tern_host_now() + LOOK_NS;
}

int tern_run_turn(struct run *run)
{
	struct tern_event event;
	int rc = tern_host_wait(run->host, &event, TURN_NS);
	if (rc == 0 && event.kind == TERN_EV_ACCEPT && event.user)
		tern_run_arrived(event.user);
	if (rc == TERN_ECONNABORTED)
		return rc;
	if (rc != 0 && rc != TERN_ETIMEDOUT) {
		fprintf(stderr, "%s: %s\n", run->options.command, tern_host_error());
		return rc;
	}
	uint64_t now = tern_host_now();
	if (now >= run->look_at)
		look_after(run, now);
	return 0;
}

/* --- the end --------------------------------------------------------------------------- */

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

static void tell_unsettled(const struct run *run, const char *what, bool quiet)
{
	struct tern_tcp_info info;
	char peer[TERN_ENDPOINT_TEXT];
	unsigned n = unsettled(run, &info);
	if (n == 0 || quiet)
		return;
	fprintf(stderr,
		"%s: %s: %u connections, the first to %s in %s with %u bytes to send and %u "
		"unacknowledged\n",
		run->options.command, what, n, tern_endpoint_format(&info.remote, peer),
		tern_tcp_state_name(info.state), info.unsent, info.unacked);
}

void tern_run_settle(struct run *run, unsigned ms, bool quiet, const unsigned *interrupts)
{
	unsigned before = *interrupts;
	struct tern_tcp_info first;
	for (unsigned at = 0; at < ms && *interrupts == before; at += SETTLE_STEP_MS) {
		if (tern_host_settle(run->host, SETTLE_STEP_MS) != TERN_ETIMEDOUT)
			return;
		if (at < SETTLE_TOLD_MS)
			continue;
		if (unsettled(run, &first) == 0)
			return;
		if (at == SETTLE_TOLD_MS)
			tell_unsettled(run, "waiting for peers (Ctrl-C ends it)", quiet);
	}
	tell_unsettled(run, "given up on peers", quiet);
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

int tern_run_close(struct run *run)
{
	if (run->host) /* what ended while it settled */
		tern_sock_sweep(run);
	int rc = tern_options_close(&run->options, stderr);
	tern_run_calls_end(run);
	tern_run_forget_dead(run, true);
	close_if(run->rendezvous);
	close_if(run->diag);
	close_if(run->folder);
	close_if(run->inotify);
	close_if(run->netns);
	if (run->udp_list)
		fclose(run->udp_list);
	return rc;
}
