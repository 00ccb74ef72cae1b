/* The insides of a host, shared by host.c (opening and closing) and loop.c (running). */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdatomic.h>
#include <tern/host.h>

#define HOST_BATCH TERN_DEVICE_BATCH

struct tern_watch {
	void (*ready)(void *context, uint32_t events); /* NULL: ended, in the graveyard */
	void *context;
	int fd;
	struct tern_watch *next, **link; /* list of the living, or of the graveyard */
};

/* Whose events a connection's are; indexed by its handle's slot. */
struct claim {
	uint32_t generation;
	void (*see)(void *context, const struct tern_event *event);
	void *context;
};

struct tern_host {
	struct tern_stack *stack;
	struct tern_device *device; /* NULL: loopback only */
	int nif;
	int epoll;
	int stop_fd; /* eventfd; wakes the loop */
	atomic_bool stopped;
	bool broken; /* the device; tern_host_error() was set */
	/* Frames pulled from the stack, [out_first, out_count) not sent yet. */
	struct tern_frame out[HOST_BATCH];
	unsigned out_first, out_count;
	uint8_t *out_buffers;
	size_t out_room;
	bool device_full; /* EPOLLOUT is awaited */
	struct tern_watch device_watch, stop_watch;
	struct tern_watch *watches, *graveyard;
	struct tern_relay *relays; /* all there are */
	struct claim *claims;
	uint32_t claims_size;
};

/* Registers a watch; 0 or -1 with tern_host_error() set. */
int tern_loop_add(struct tern_host *host, struct tern_watch *watch, uint32_t events);

#endif
