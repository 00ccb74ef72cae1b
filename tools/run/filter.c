/*
 * Which calls of the program are told to us. Everything about bytes is left to the kernel; of
 * options only those whose answer an AF_UNIX socket would give away. Calls that would go round all
 * this are refused, as if the kernel had been built without them, so that programs fall back.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/run/run.h"

#define SOCK_TYPE_MASK 0xf

static const int told[] = {SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(accept),
	SCMP_SYS(accept4), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(shutdown)};

/* Options of SOL_SOCKET: those that say what a socket is, and those that tern keeps. */
static const int options[] = {SO_ERROR, SO_DOMAIN, SO_PROTOCOL, SO_PEERCRED, SO_RCVBUF, SO_SNDBUF,
	SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_REUSEPORT, SO_LINGER, SO_PEERNAME, SO_PASSCRED,
	SO_BINDTODEVICE, SO_OOBINLINE, SO_KEEPALIVE, SO_ACCEPTCONN};

static const unsigned long ioctls[] = {SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK};

static int tell_options(scmp_filter_ctx filter, int call)
{
	int rc = 0;
	for (size_t i = 0; i < sizeof options / sizeof *options && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call, 2,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, SOL_SOCKET),
			SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffff, (scmp_datum_t)options[i]));
	static const int levels[] = {IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6};
	for (size_t i = 0; i < sizeof levels / sizeof *levels && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call, 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, (scmp_datum_t)levels[i]));
	return rc;
}

static int tell(scmp_filter_ctx filter)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(socket), 2,
		SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, AF_INET),
		SCMP_A1(SCMP_CMP_MASKED_EQ, SOCK_TYPE_MASK, SOCK_STREAM));
	for (size_t i = 0; i < sizeof told / sizeof *told && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, told[i], 0);
	for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, ioctls[i]));
	if (rc == 0)
		rc = tell_options(filter, SCMP_SYS(setsockopt));
	if (rc == 0)
		rc = tell_options(filter, SCMP_SYS(getsockopt));
	return rc;
}

/* tern has no IPv6 yet; SMC would open TCP connections of the kernel's own. */
static int refuse_others(scmp_filter_ctx filter)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, AF_INET6));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, AF_SMC));
	/* Memory that a fault handler of the program's own guards would make us wait for it. */
	static const int gone[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd)};
	for (size_t i = 0; i < sizeof gone / sizeof *gone && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), gone[i], 0);
	return rc;
}

static int load(const struct sock_fprog *program)
{
	/* Without privileges over this namespace it takes a promise to gain none. */
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		program);
	if (fd < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			program);
	return (int)fd;
}

/* libseccomp writes a filter to a descriptor only. */
static int load_from(int file)
{
	off_t size = lseek(file, 0, SEEK_END);
	size_t n = (size_t)size / sizeof(struct sock_filter);
	struct sock_filter *code = malloc(n * sizeof *code);
	int fd = -1;
	if (code && pread(file, code, n * sizeof *code, 0) == (ssize_t)(n * sizeof *code))
		fd = load(&(struct sock_fprog){.len = (unsigned short)n, .filter = code});
	int error = errno;
	free(code);
	errno = error;
	return fd;
}

int tern_run_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int file = memfd_create("filter", MFD_CLOEXEC), fd = -1;
	if (!filter || file < 0)
		return -1;
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (rc == 0)
		rc = tell(filter);
	if (rc == 0)
		rc = refuse_others(filter);
	if (rc == 0)
		rc = seccomp_export_bpf(filter, file);
	if (rc == 0)
		fd = load_from(file);
	else
		errno = -rc;
	int error = errno;
	seccomp_release(filter);
	close(file);
	errno = error;
	return fd;
}
