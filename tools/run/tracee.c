#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/run/run.h"

#define CAP_NET_BIND_SERVICE 10

bool tern_run_read(pid_t tid, uint64_t from, void *to, size_t n)
{
	struct iovec here = {to, n}, there = {(void *)(uintptr_t)from, n};
	return n == 0 || process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

bool tern_run_write(pid_t tid, uint64_t to, const void *from, size_t n)
{
	struct iovec here = {(void *)(uintptr_t)from, n}, there = {(void *)(uintptr_t)to, n};
	return n == 0 || process_vm_writev(tid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* --- processes ------------------------------------------------------------------------- */

static void forget(struct run *run, struct proc *proc)
{
	HASH_DEL(run->procs, proc);
	close(proc->pidfd);
	free(proc);
}

static bool alive(const struct proc *proc)
{
	struct pollfd p = {.fd = proc->pidfd, .events = POLLIN};
	return poll(&p, 1, 0) == 0;
}

void tern_run_forget_dead(struct run *run, bool all)
{
	struct proc *proc, *next;
	HASH_ITER(hh, run->procs, proc, next)
	if (all || !alive(proc))
		forget(run, proc);
}

/* The process with that number, which must be a thread group's leader; NULL if it is not. While a
 * process lives its number is nobody else's; when it is new to us, the call that named it, if one
 * did, must still wait after we have a hold of it. */
static struct proc *process(struct run *run, const struct sandbox *caller, uint64_t id, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return NULL;
	struct proc *proc = !caller || tern_run_waits(caller, id) ? calloc(1, sizeof *proc) : NULL;
	if (!proc) {
		close(pidfd);
		return NULL;
	}
	*proc = (struct proc){.pid = pid, .pidfd = pidfd};
	HASH_ADD_INT(run->procs, pid, proc);
	return proc;
}

/* A line "Name:\tvalue" of /proc/TID/status, parsed by the format; false if there is none. */
static bool status_line(pid_t tid, const char *format, unsigned long long *value)
{
	char path[40], line[256];
	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	FILE *file = fopen(path, "re");
	bool found = false;
	while (file && !found && fgets(line, sizeof line, file))
		found = sscanf(line, format, value) == 1;
	if (file)
		fclose(file);
	return found;
}

static int dup_from(struct run *run, pid_t pid, int fd)
{
	struct proc *proc;
	HASH_FIND_INT(run->procs, &pid, proc);
	if (!proc) {
		errno = ESRCH;
		return -1;
	}
	int copy = (int)syscall(SYS_pidfd_getfd, proc->pidfd, fd, 0);
	int error = errno;
	if (copy < 0 && error == ESRCH)
		forget(run, proc);
	errno = error;
	return copy;
}

/* The caller is whose call that is; NULL: nobody's. */
static int copy_of(struct run *run, const struct sandbox *caller, uint64_t id, pid_t tid, int fd)
{
	unsigned long long leader = (unsigned long long)tid;
	int copy = dup_from(run, tid, fd);
	if (copy >= 0 || errno != ESRCH)
		return copy;
	if (process(run, caller, id, tid))
		return dup_from(run, tid, fd);
	if (!status_line(tid, "Tgid: %llu", &leader))
		return -1;
	copy = dup_from(run, (pid_t)leader, fd);
	if (copy < 0 && errno == ESRCH && process(run, caller, id, (pid_t)leader))
		copy = dup_from(run, (pid_t)leader, fd);
	return copy;
}

int tern_run_dup(struct sandbox *sandbox, uint64_t id, pid_t tid, int fd)
{
	return copy_of(sandbox->run, sandbox, id, tid, fd);
}

int tern_run_find_copy(struct sock *sock, pid_t tid, int fd)
{
	int copy = copy_of(sock->run, NULL, 0, tid, fd);
	if (copy < 0 || tern_run_cookie(copy) == sock->cookie)
		return copy;
	close(copy);
	return -1;
}

uint64_t tern_run_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof cookie;
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

uid_t tern_run_user(pid_t tid, bool *privileged)
{
	unsigned long long uid = 0, caps = 0;
	status_line(tid, "Uid: %*u %llu", &uid);
	status_line(tid, "CapEff: %llx", &caps);
	*privileged = caps >> CAP_NET_BIND_SERVICE & 1;
	return (uid_t)uid;
}

/* --- addresses ------------------------------------------------------------------------- */

int tern_run_read_addr(const struct call *call, uint64_t addr, uint64_t len,
	struct tern_endpoint *out)
{
	struct sockaddr_in sin = {0};
	if ((int)len < 0 || (int)len > (int)sizeof(struct sockaddr_storage))
		return EINVAL;
	size_t n = (size_t)(int)len < sizeof sin ? (size_t)(int)len : sizeof sin;
	if (n < sizeof sin.sin_family)
		return EINVAL;
	if (!tern_run_read(call->tid, addr, &sin, n) || !tern_run_waits(call->sandbox, call->id))
		return EFAULT;
	if (sin.sin_family != AF_INET)
		return EAFNOSUPPORT;
	if (n < sizeof sin)
		return EINVAL;
	const uint8_t *a = (const uint8_t *)&sin.sin_addr;
	*out = (struct tern_endpoint){tern_addr_v4(a[0], a[1], a[2], a[3]), ntohs(sin.sin_port)};
	return 0;
}

int tern_run_write_addr(pid_t tid, const struct tern_endpoint *at, uint64_t addr, uint64_t addr_len)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(at->port)};
	memcpy(&sin.sin_addr, at->addr.byte + 12, 4);
	int len, full = sizeof sin;
	if (!tern_run_read(tid, addr_len, &len, sizeof len))
		return EFAULT;
	if (len < 0)
		return EINVAL;
	if (!tern_run_write(tid, addr, &sin, len < full ? (size_t)len : sizeof sin) ||
		!tern_run_write(tid, addr_len, &full, sizeof full))
		return EFAULT;
	return 0;
}
