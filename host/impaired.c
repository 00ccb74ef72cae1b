#include <stdlib.h>
#include <string.h>
#include <tern/device.h>

#include "host/error.h"

/* Frames arrived on the incoming wire, copied out for the caller; kept until the next recv. */
#define COPY_ROOM 65600

struct impaired {
	struct tern_device device; /* first */
	struct tern_device *inner;
	struct tern_wire *in, *out;
	struct tern_frame held; /* popped from out, and the inner device had no room */
	bool holding;
	uint64_t retry;  /* when to try that again, ns */
	uint8_t *copies; /* TERN_DEVICE_BATCH of COPY_ROOM */
};

/* How long a frame waits for an inner device that is full; its POLLOUT is not asked for. */
#define RETRY_NS 100000

/* Hands on what has come through the outgoing wire. 0 or a negative errno. */
static int flush(struct impaired *d, uint64_t now)
{
	while (d->holding || tern_wire_pop(d->out, &d->held, now)) {
		d->holding = true;
		int n = tern_device_send(d->inner, &d->held, 1, now);
		if (n < 0)
			return n;
		if (n == 0) {
			d->retry = now + RETRY_NS;
			return 0;
		}
		d->holding = false;
	}
	return 0;
}

static int impaired_recv(struct tern_device *device, struct tern_frame *frames, unsigned max,
	uint64_t now)
{
	struct impaired *d = (struct impaired *)device;
	int rc = flush(d, now);
	if (rc < 0)
		return rc;
	if (max > TERN_DEVICE_BATCH)
		max = TERN_DEVICE_BATCH;
	rc = tern_device_recv(d->inner, frames, max, now);
	if (rc < 0)
		return rc;
	for (int i = 0; i < rc; i++)
		tern_wire_push(d->in, &frames[i], now);
	unsigned n = 0;
	struct tern_frame frame;
	while (n < max && tern_wire_pop(d->in, &frame, now)) {
		uint8_t *copy = d->copies + (size_t)n * COPY_ROOM;
		memcpy(copy, frame.data, frame.len < COPY_ROOM ? frame.len : COPY_ROOM);
		frames[n] = frame;
		frames[n++].data = copy;
	}
	return (int)n;
}

static int impaired_send(struct tern_device *device, struct tern_frame *frames, unsigned n,
	uint64_t now)
{
	struct impaired *d = (struct impaired *)device;
	for (unsigned i = 0; i < n; i++)
		tern_wire_push(d->out, &frames[i], now);
	int rc = flush(d, now);
	return rc < 0 ? rc : (int)n;
}

static uint64_t impaired_deadline(const struct tern_device *device)
{
	const struct impaired *d = (const struct impaired *)device;
	uint64_t in = tern_wire_deadline(d->in), inner = tern_device_deadline(d->inner);
	uint64_t out = d->holding ? d->retry : tern_wire_deadline(d->out);
	uint64_t first = in < out ? in : out;
	return first < inner ? first : inner;
}

static void impaired_close(struct tern_device *device)
{
	struct impaired *d = (struct impaired *)device;
	tern_device_close(d->inner);
	tern_wire_free(d->in);
	tern_wire_free(d->out);
	free(d->copies);
	free(d);
}

static const struct tern_device_ops impaired_ops = {
	.recv = impaired_recv,
	.send = impaired_send,
	.deadline = impaired_deadline,
	.close = impaired_close,
};

struct tern_device *tern_impaired_open(struct tern_device *inner, const struct tern_impair_spec *in,
	const struct tern_impair_spec *out, uint64_t seed)
{
	struct impaired *d = calloc(1, sizeof *d);
	if (!d) {
		tern_device_close(inner);
		tern_error_set("impaired wire: out of memory");
		return NULL;
	}
	d->device = *inner;
	d->device.ops = &impaired_ops;
	d->inner = inner;
	d->in = tern_wire_new(in, seed);
	d->out = tern_wire_new(out, seed + 1);
	d->copies = malloc((size_t)TERN_DEVICE_BATCH * COPY_ROOM);
	if (d->in && d->out && d->copies)
		return &d->device;
	impaired_close(&d->device);
	tern_error_set("impaired wire: out of memory");
	return NULL;
}

bool tern_impaired_stats(const struct tern_device *device, struct tern_wire_stats *in,
	struct tern_wire_stats *out)
{
	const struct impaired *d = (const struct impaired *)device;
	if (device->ops != &impaired_ops)
		return false;
	if (in)
		tern_wire_stats(d->in, in);
	if (out)
		tern_wire_stats(d->out, out);
	return true;
}
