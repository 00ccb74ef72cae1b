#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tern/device.h>
#include <unistd.h>

#include "host/error.h"
#include "host/framefd.h"

/* A 64 KiB frame must fit; the kernel doubles it for its own bookkeeping. */
#define SOCKET_BUFFER (1 << 20)

int tern_pair_open(struct tern_device *ends[2], uint32_t mtu)
{
	int fd[2], size = SOCKET_BUFFER;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
		return tern_error_set("pair: %s", strerror(errno));
	struct tern_device like = {
		.mtu = mtu ? mtu : 1500,
		.offload = TERN_OFFLOAD_TX_CSUM | TERN_OFFLOAD_TSO,
	};
	for (int i = 0; i < 2; i++) {
		/* Capped by net.core.wmem_max; what is granted holds at least one frame. */
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		snprintf(like.name, sizeof like.name, "pair%d", i);
		ends[i] = tern_framefd_open(fd[i], &like);
	}
	if (ends[0] && ends[1])
		return 0;
	for (int i = 0; i < 2; i++)
		tern_device_close(ends[i]);
	return -1;
}
