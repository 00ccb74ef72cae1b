#include "host/framefd.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/error.h"

/* A link header and the largest IP packet, rounded up to whole cache lines. */
#define FRAME_ROOM 65600

#define TCP_FLAGS 13 /* where they are in the header */
#define TCP_CWR   0x80

struct framefd {
	struct tern_device device; /* first */
	uint8_t *buffers; /* TERN_DEVICE_BATCH of FRAME_ROOM; touched only as far as used */
};

/* What the header of a received frame says. A frame that never left this machine comes with its
 * checksum unfinished, and is as good as verified. */
static bool read_header(const struct virtio_net_hdr *h, struct tern_frame *frame)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (h->csum_start + h->csum_offset + 2u > frame->len)
			return false;
		frame->csum_start = h->csum_start;
		frame->csum_offset = h->csum_offset;
		frame->csum_valid = true;
	} else if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		frame->csum_valid = true;
	}
	if ((h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4) {
		frame->gso_size = h->gso_size;
		frame->header_len = h->hdr_len;
	}
	return true;
}

/* One message: 1 a frame, 0 nothing there, -1 skip it, else a negative errno below -1. */
static int recv_one(struct framefd *f, struct tern_frame *frame, uint8_t *buffer)
{
	struct virtio_net_hdr h;
	struct iovec iov[2] = {{&h, sizeof h}, {buffer, FRAME_ROOM}};
	ssize_t n = readv(f->device.fd, iov, 2);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return errno == EINTR || errno == EIO ? -1 : -errno;
	if (n == 0)
		return -EPIPE; /* the other end of a pair is gone */
	if ((size_t)n <= sizeof h)
		return -1;
	*frame = (struct tern_frame){.data = buffer,
		.len = (uint32_t)n - (uint32_t)sizeof h,
		.capacity = FRAME_ROOM};
	return read_header(&h, frame) ? 1 : -1;
}

static int framefd_recv(struct tern_device *device, struct tern_frame *frames, unsigned max,
	uint64_t now)
{
	struct framefd *f = (struct framefd *)device;
	unsigned n = 0;
	(void)now;
	if (max > TERN_DEVICE_BATCH)
		max = TERN_DEVICE_BATCH;
	/* Skipped messages count as tries, so that this ends. */
	for (unsigned tries = 0; tries < max; tries++) {
		int rc = recv_one(f, &frames[n], f->buffers + (size_t)n * FRAME_ROOM);
		if (rc == 0)
			break;
		if (rc < -1)
			return n ? (int)n : rc;
		if (rc == 1)
			n++;
	}
	return (int)n;
}

static void write_header(const struct tern_frame *frame, struct virtio_net_hdr *h)
{
	memset(h, 0, sizeof *h);
	if (frame->csum_start) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = frame->csum_start;
		h->csum_offset = frame->csum_offset;
	} else if (frame->csum_valid) {
		h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (frame->gso_size) {
		h->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		/* CWR is to stay on the first segment only: not every device that cuts knows. */
		if (frame->csum_start && frame->data[frame->csum_start + TCP_FLAGS] & TCP_CWR)
			h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		h->gso_size = frame->gso_size;
		h->hdr_len = frame->header_len;
	}
}

static int framefd_send(struct tern_device *device, struct tern_frame *frames, unsigned n,
	uint64_t now)
{
	unsigned done = 0;
	(void)now;
	while (done < n) {
		struct tern_frame *frame = &frames[done];
		struct virtio_net_hdr h;
		write_header(frame, &h);
		struct iovec iov[2] = {{&h, sizeof h}, {frame->data, frame->len}};
		if (writev(device->fd, iov, 2) >= 0) {
			done++;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno == EBADFD || errno == EBADF || errno == EPIPE ||
			   errno == ECONNRESET) {
			return -errno;
		} else if (errno != EINTR) {
			done++; /* an interface that is down, or short of memory: lost, as on a
				   cable */
		}
	}
	return (int)done;
}

static void framefd_close(struct tern_device *device)
{
	struct framefd *f = (struct framefd *)device;
	close(device->fd);
	free(f->buffers);
	free(f);
}

static const struct tern_device_ops framefd_ops = {
	.recv = framefd_recv,
	.send = framefd_send,
	.close = framefd_close,
};

struct tern_device *tern_framefd_open(int fd, const struct tern_device *like)
{
	struct framefd *f = malloc(sizeof *f);
	uint8_t *buffers = malloc((size_t)TERN_DEVICE_BATCH * FRAME_ROOM);
	if (!f || !buffers) {
		free(f);
		free(buffers);
		close(fd);
		tern_error_set("%s: out of memory", like->name);
		return NULL;
	}
	f->device = *like;
	f->device.ops = &framefd_ops;
	f->device.fd = fd;
	f->buffers = buffers;
	return &f->device;
}
