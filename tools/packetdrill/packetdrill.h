/*
 * packetdrill's shared-object interface, as packetdrill documents it and written down anew: a
 * library exports packetdrill_interface_init(), which fills in this table. Every entry must be
 * there, in this order. Calls are as in section 2 of the manual, with userdata before their own
 * arguments, and set errno.
 */
#ifndef TERN_TOOLS_PACKETDRILL_PACKETDRILL_H
#define TERN_TOOLS_PACKETDRILL_PACKETDRILL_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct packetdrill_interface {
	void *userdata;
	void (*free)(void *userdata);
	int (*socket)(void *userdata, int family, int type, int protocol);
	int (*bind)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
	int (*listen)(void *userdata, int fd, int backlog);
	int (*accept)(void *userdata, int fd, struct sockaddr *address, socklen_t *len);
	int (*connect)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
	ssize_t (*read)(void *userdata, int fd, void *bytes, size_t len);
	ssize_t (*readv)(void *userdata, int fd, const struct iovec *vector, int count);
	ssize_t (*recv)(void *userdata, int fd, void *bytes, size_t len, int flags);
	ssize_t (*recvfrom)(void *userdata, int fd, void *bytes, size_t len, int flags,
		struct sockaddr *address, socklen_t *address_len);
	ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *msg, int flags);
	ssize_t (*write)(void *userdata, int fd, const void *bytes, size_t len);
	ssize_t (*writev)(void *userdata, int fd, const struct iovec *vector, int count);
	ssize_t (*send)(void *userdata, int fd, const void *bytes, size_t len, int flags);
	ssize_t (*sendto)(void *userdata, int fd, const void *bytes, size_t len, int flags,
		const struct sockaddr *address, socklen_t address_len);
	ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *msg, int flags);
	int (*fcntl)(void *userdata, int fd, int command, ...);
	int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
	int (*close)(void *userdata, int fd);
	int (*shutdown)(void *userdata, int fd, int how);
	int (*getsockopt)(void *userdata, int fd, int level, int name, void *value, socklen_t *len);
	int (*setsockopt)(void *userdata, int fd, int level, int name, const void *value,
		socklen_t len);
	int (*poll)(void *userdata, struct pollfd *fds, nfds_t count, int timeout);
	/* An IP packet for the stack: 0, or -1. */
	int (*netdev_send)(void *userdata, const void *bytes, size_t len);
	/* The next packet the stack sends: *len is the room, then its length; *time when it was
	 * sent, us of gettimeofday()'s clock. 0, or -1. */
	int (*netdev_receive)(void *userdata, void *bytes, size_t *len, long long *time);
	int (*usleep)(void *userdata, useconds_t us);
	int (*gettimeofday)(void *userdata, struct timeval *now, struct timezone *zone);
	int (*epoll_create)(void *userdata, int size);
	int (*epoll_ctl)(void *userdata, int epoll, int op, int fd, struct epoll_event *event);
	int (*epoll_wait)(void *userdata, int epoll, struct epoll_event *events, int max,
		int timeout);
	int (*pipe)(void *userdata, int pair[2]);
	int (*splice)(void *userdata, int in, loff_t *in_offset, int out, loff_t *out_offset,
		size_t len, unsigned flags);
};

typedef void packetdrill_interface_init_t(const char *flags, struct packetdrill_interface *ifc);

#endif
