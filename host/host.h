/* The insides of a host, shared by host.c (opening and closing) and loop.c (running). */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdatomic.h>
#include <tern/host.h>

#include "host/heap.h"

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

/* An interface of the stack and the device it is on. */
struct port {
	struct tern_device *device; /* NULL: the loopback */
	int nif;
	/* Frames pulled from the stack, [first, count) not sent yet. */
	struct tern_frame out[HOST_BATCH];
	unsigned first, count;
	uint8_t *buffers;
	size_t room;
	bool full; /* EPOLLOUT is awaited */
	struct tern_watch watch;
};

#define HOST_PORTS 2 /* its own, and a guest's */

struct tern_host {
	struct heap heap; /* the stack's */
	struct tern_stack *stack;
	struct port port[HOST_PORTS];
	unsigned ports;
	int epoll;
	int stop_fd; /* eventfd; wakes the loop */
	atomic_bool stopped;
	bool broken; /* a device; tern_host_error() was set */
	struct tern_watch stop_watch;
	struct tern_watch *watches, *graveyard;
	struct tern_relay *relays; /* all there are */
	struct claim *claims;
	uint32_t claims_size;
};

/* Registers a watch; 0 or -1 with tern_host_error() set. */
int tern_loop_add(struct tern_host *host, struct tern_watch *watch, uint32_t events);

#endif
