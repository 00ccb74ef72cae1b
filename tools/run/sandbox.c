/* The program's world: its namespaces, the TUN that is its only way out, the filter. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/route.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/run/run.h"

#define TUN_NAME       "tern"
#define EXIT_NOT_FOUND 127
#define EXIT_NO_EXEC   126

/* --- namespaces ------------------------------------------------------------------------ */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The same user inside as outside. */
static int map_user(uid_t uid, gid_t gid)
{
	char text[64];
	snprintf(text, sizeof text, "%u %u 1", uid, uid);
	if (!write_file("/proc/self/uid_map", text))
		return -1;
	write_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof text, "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", text) ? 0 : -1;
}

int tern_run_become_root(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (uid == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && map_user(uid, gid) == 0)
		return 0;
	fprintf(stderr,
		"run: neither root nor allowed a user namespace: %s\n"
		"     (as root: sysctl kernel.unprivileged_userns_clone=1, or run it as root)\n",
		strerror(errno));
	return -1;
}

int tern_run_hide(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	fprintf(stderr, "run: a network namespace: %s\n", strerror(errno));
	return -1;
}

/* --- the program's side ---------------------------------------------------------------- */

static struct sockaddr inet(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr sa;
	inet_pton(AF_INET, text, &sin.sin_addr);
	memcpy(&sa, &sin, sizeof sa);
	return sa;
}

/* In the program's namespace: its loopback, and a default route to the TUN. */
static int set_up_network(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char *)(uintptr_t)TUN_NAME};
	route.rt_dst = route.rt_genmask = inet("0.0.0.0");
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"); /* tern has none yet */
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	int rc = sock < 0 || ioctl(sock, SIOCGIFFLAGS, &lo) != 0;
	lo.ifr_flags |= IFF_UP;
	rc = rc || ioctl(sock, SIOCSIFFLAGS, &lo) != 0 || ioctl(sock, SIOCADDRT, &route) != 0;
	if (sock >= 0)
		close(sock);
	return rc ? -1 : 0;
}

/* A resolv.conf of the program's own, over the machine's, in a mount namespace of its own. */
static int set_up_dns(const char *server)
{
	char path[] = "/tmp/tern-resolv.XXXXXX", text[64];
	int fd = mkstemp(path);
	snprintf(text, sizeof text, "nameserver %s\n", server);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
		  fchmod(fd, 0644) == 0 && unshare(CLONE_NEWNS) == 0 &&
		  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
	int error = errno;
	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	errno = error;
	return ok ? 0 : -1;
}

static bool tell(int fd, int value)
{
	return write(fd, &value, sizeof value) == sizeof value;
}

static bool hear(int fd, int *value)
{
	ssize_t n;
	do
		n = read(fd, value, sizeof *value);
	while (n < 0 && errno == EINTR);
	return n == sizeof *value;
}

static _Noreturn void fail(int up, const char *what)
{
	int error = errno;
	fprintf(stderr, "run: %s: %s\n", what, strerror(error));
	tell(up, -1);
	_exit(EXIT_NO_EXEC);
}

/*
 * The conversation with the supervisor: "I am in my namespace" (0), "your TUN is there" (0), the
 * number of the filter's listener, "I have it" (0). Then the program.
 */
static _Noreturn void become_program(const struct run *run, int up, int down)
{
	int ok;
	sigset_t none;
	if (unshare(CLONE_NEWNET) != 0)
		fail(up, "a network namespace");
	if (!tell(up, 0) || !hear(down, &ok))
		_exit(EXIT_NO_EXEC);
	if (set_up_network() != 0)
		fail(up, "the program's network");
	if (run->dns && set_up_dns(run->dns) != 0)
		fail(up, "/etc/resolv.conf");
	int listener = tern_run_filter();
	if (listener < 0 && errno == EBUSY)
		fprintf(stderr, "run: there is a supervisor already: `tern run` inside `tern run`, "
				"or inside a container that has one, cannot work\n");
	if (listener < 0)
		fail(up, "seccomp");
	if (!tell(up, listener) || !hear(down, &ok))
		_exit(EXIT_NO_EXEC);
	close(listener);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(run->command[0], run->command);
	int error = errno;
	fprintf(stderr, "run: %s: %s\n", run->command[0], strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NO_EXEC);
}

/* --- the supervisor's side ------------------------------------------------------------- */

static int give_tun(struct run *run)
{
	char spec[48];
	struct tern_nif_opts nif;
	tern_nif_info(run_stack(run), tern_host_nif(run->host), &nif);
	struct tern_device_opts opts = {.mtu = nif.mtu,
		.kernel_addr = run->options.addr,
		.no_offload = true};
	snprintf(spec, sizeof spec, "tun:" TUN_NAME "@%d", (int)run->child);
	struct tern_device *tun = tern_device_open(spec, &opts);
	if (tun && tern_host_add_guest(run->host, tun) == 0)
		return 0;
	fprintf(stderr, "run: the program's TUN: %s\n", tern_host_error());
	return -1;
}

static int take_listener(struct run *run, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, run->child, 0);
	run->notify = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (run->notify < 0)
		fprintf(stderr, "run: the filter's listener: %s\n", strerror(errno));
	if (pidfd >= 0)
		close(pidfd);
	return run->notify < 0 ? -1 : 0;
}

static int converse(struct run *run, int up, int down)
{
	int value;
	char path[40];
	if (!hear(up, &value) || value != 0 || give_tun(run) != 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)run->child);
	run->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (!tell(down, 0) || !hear(up, &value) || value < 0 || take_listener(run, value) != 0)
		return -1;
	tern_run_watch_begin(run);
	return tern_run_hide() == 0 && tern_run_open_begin(run) == 0 &&
			       tern_run_calls_begin(run) == 0 && tell(down, 0)
		       ? 0
		       : -1;
}

/* /proc must show the processes by the numbers they have here. */
static int check_proc(void)
{
	char self[32] = "";
	if (readlink("/proc/self", self, sizeof self - 1) > 0 && atoi(self) == (int)getpid())
		return 0;
	fprintf(stderr, "run: /proc is missing or another PID namespace's: mount one of this, as "
			"root: mount -t proc proc /proc (or unshare with --mount-proc)\n");
	return -1;
}

int tern_run_spawn(struct run *run)
{
	int up[2], down[2], rc = -1;
	if (check_proc() != 0)
		return -1;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (pipe2(up, O_CLOEXEC) != 0)
		return -1;
	if (pipe2(down, O_CLOEXEC) == 0) {
		fflush(NULL);
		run->child = fork();
		if (run->child == 0)
			become_program(run, up[1], down[0]);
		close(up[1]);
		close(down[0]);
		rc = run->child > 0 ? converse(run, up[0], down[1]) : -1;
		close(down[1]);
	}
	close(up[0]);
	if (rc != 0 && run->child > 0) {
		kill(run->child, SIGKILL);
		waitpid(run->child, NULL, 0);
	}
	return rc;
}

int tern_run_kernel_tcp(const struct run *run, struct kernel_tcp *out)
{
	char names[1024], line[1024];
	bool found = false;
	if (run->netns < 0 || setns(run->netns, CLONE_NEWNET) != 0)
		return -1;
	FILE *file = fopen("/proc/thread-self/net/snmp", "re");
	while (file && !found && fgets(names, sizeof names, file) && fgets(line, sizeof line, file))
		found = sscanf(line,
				"Tcp: %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %*u %*u %*u %" SCNu64
				" %" SCNu64,
				&out->active_opens, &out->passive_opens, &out->segments_in,
				&out->segments_out) == 4;
	if (file)
		fclose(file);
	return found ? 0 : -1;
}

void tern_run_reap(struct run *run)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == run->child)
			run->status =
				WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	run->over = pid < 0 && errno == ECHILD;
}
