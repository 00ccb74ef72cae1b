/*
 * Devices: where frames come from and go to. A device may wrap another one.
 *
 *	struct tern_device *tap = tern_device_open("tap:tern0", NULL);
 *	struct tern_device *bad = tern_impaired_open(tap, &spec, &spec, seed);
 *	n = tern_device_recv(bad, frames, 64, now);
 *
 * No call blocks. Times are ns of the caller's clock, the same for every call on a device. A
 * device belongs to one thread. Functions that return a device return NULL on failure, and
 * tern_host_error() (host.h) then has the reason.
 */
#ifndef TERN_DEVICE_H
#define TERN_DEVICE_H

#include <tern/impair.h>
#include <tern/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most frames one call of recv or send handles. */
#define TERN_DEVICE_BATCH 64

struct tern_device;

/* What a kind of device implements. Errors are negative errno values and mean it is broken. */
struct tern_device_ops {
	int (*recv)(struct tern_device *device, struct tern_frame *frames, unsigned max,
		uint64_t now);
	int (*send)(struct tern_device *device, struct tern_frame *frames, unsigned n,
		uint64_t now);
	uint64_t (*deadline)(const struct tern_device *device); /* NULL: never */
	void (*close)(struct tern_device *device);
};

/* The public part, first in every device. */
struct tern_device {
	const struct tern_device_ops *ops;
	char name[16];
	int fd;           /* to poll: POLLIN for recv, POLLOUT after a short send */
	uint8_t mac[6];   /* for the stack on it; all zero: any will do */
	uint32_t mtu;     /* IP bytes a frame may carry */
	uint32_t offload; /* TERN_OFFLOAD_*: what send completes */
	bool raw_ip;      /* frames are bare IP packets */
};

/* Takes up to max frames; their data is lent until the next recv. Returns how many; fewer than max
 * means no more now. Also moves along what a wrapping device holds back: call it when its
 * deadline passes. */
static inline int tern_device_recv(struct tern_device *device, struct tern_frame *frames,
	unsigned max, uint64_t now)
{
	return device->ops->recv(device, frames, max, now);
}

/* Sends n frames, which it borrows and may scribble on; returns how many. Fewer means it is full:
 * give it the others after POLLOUT. */
static inline int tern_device_send(struct tern_device *device, struct tern_frame *frames,
	unsigned n, uint64_t now)
{
	return device->ops->send(device, frames, n, now);
}

/* When recv must be called although nothing is readable, ns, or TERN_NEVER. */
static inline uint64_t tern_device_deadline(const struct tern_device *device)
{
	return device->ops->deadline ? device->ops->deadline(device) : TERN_NEVER;
}

/* Closes it, and what it wraps. NULL is allowed. */
static inline void tern_device_close(struct tern_device *device)
{
	if (device)
		device->ops->close(device);
}

struct tern_device_opts {
	uint32_t mtu;            /* 0: as the device has it */
	const char *kernel_addr; /* "10.77.0.1/24" for the kernel's end; NULL: leave it alone */
	bool no_offload;         /* whole checksums and MTU-sized frames both ways */
};

/*
 * Opens "tap:NAME" or "tun:NAME": an existing interface, or one that is made now and goes away with
 * the device. "tap:NAME@NETNS" looks in another network namespace: a process id, a path, or a name
 * that `ip netns` knows. Needs CAP_NET_ADMIN there, unless the interface exists, is up and was made
 * for this user. opts may be NULL. errno is EBUSY if another program has it.
 */
struct tern_device *tern_device_open(const char *spec, const struct tern_device_opts *opts);

/* Two devices joined back to back, in this process or (after fork) in two; frames keep their
 * checksum and gso marks. Returns 0 or -1. */
int tern_pair_open(struct tern_device *ends[2], uint32_t mtu);

/* Wraps a device in an impaired wire each way: in impairs what is received. Takes the inner device,
 * also when it fails. */
struct tern_device *tern_impaired_open(struct tern_device *inner, const struct tern_impair_spec *in,
	const struct tern_impair_spec *out, uint64_t seed);
/* What the wires of such a device did; false for any other device. in and out may be NULL. */
bool tern_impaired_stats(const struct tern_device *device, struct tern_wire_stats *in,
	struct tern_wire_stats *out);

#ifdef __cplusplus
}
#endif
#endif
