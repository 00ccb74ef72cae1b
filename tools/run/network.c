/* The programs' world: the namespace they are in, and the TUN that is its only way out. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/route.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run/run.h"

#define TUN_NAME "tern"

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

int tern_run_become_root(const char *command)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (uid == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && map_user(uid, gid) == 0)
		return 0;
	fprintf(stderr,
		"%s: neither root nor allowed a user namespace: %s\n"
		"     (as root: sysctl kernel.unprivileged_userns_clone=1, or run it as root)\n",
		command, strerror(errno));
	return -1;
}

/* --- the network ----------------------------------------------------------------------- */

static struct sockaddr inet(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr sa;
	inet_pton(AF_INET, text, &sin.sin_addr);
	memcpy(&sa, &sin, sizeof sa);
	return sa;
}

/* tern has none yet. Before there is the TUN: the kernel looks for routers as soon as it is up. */
static void forbid_ipv6(void)
{
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

/* In the programs' namespace: its loopback, and a default route to the TUN. */
static int set_up_network(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char *)(uintptr_t)TUN_NAME};
	route.rt_dst = route.rt_genmask = inet("0.0.0.0");
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = sock < 0 || ioctl(sock, SIOCGIFFLAGS, &lo) != 0;
	lo.ifr_flags |= IFF_UP;
	rc = rc || ioctl(sock, SIOCSIFFLAGS, &lo) != 0 || ioctl(sock, SIOCADDRT, &route) != 0;
	if (sock >= 0)
		close(sock);
	return rc ? -1 : 0;
}

static int give_tun(struct run *run)
{
	struct tern_nif_opts nif;
	tern_nif_info(run_stack(run), tern_host_nif(run->host), &nif);
	struct tern_device_opts opts = {.mtu = nif.mtu,
		.kernel_addr = run->options.addr,
		.no_offload = true};
	struct tern_device *tun = tern_device_open("tun:" TUN_NAME, &opts);
	if (tun && tern_host_add_guest(run->host, tun) == 0) {
		tern_options_describe(&run->options);
		return 0;
	}
	fprintf(stderr, "%s: the programs' TUN: %s\n", run->options.command, tern_host_error());
	return -1;
}

int tern_run_make_network(struct run *run)
{
	if (unshare(CLONE_NEWNET) != 0)
		goto failed;
	run->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (run->netns < 0)
		goto failed;
	run->udp_list = fopen("/proc/thread-self/net/udp", "re");
	forbid_ipv6();
	if (give_tun(run) != 0)
		return -1;
	if (set_up_network() == 0 && unshare(CLONE_NEWNET) == 0)
		return 0;
failed:
	fprintf(stderr, "%s: the programs' network: %s\n", run->options.command, strerror(errno));
	return -1;
}

int tern_run_set_up_dns(const char *server)
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

/* --- the kernel's TCP in there --------------------------------------------------------- */

int tern_run_kernel_tcp(const struct program *program, struct kernel_tcp *out)
{
	char names[1024], line[1024];
	bool found = false;
	if (program->userns >= 0 && setns(program->userns, CLONE_NEWUSER) != 0)
		return -1;
	if (setns(program->netns, CLONE_NEWNET) != 0)
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
