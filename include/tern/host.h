/*
 * A stack on this Linux machine: a device, a clock and an epoll loop around the core.
 *
 *	struct tern_host *host = tern_host_open("tap:tern0", "10.77.0.2/24", NULL);
 *	if (!host)
 *		return puts(tern_host_error());
 *	struct tern_stack *stack = tern_host_stack(host);
 *	tern_tcp_listen(stack, &(struct tern_listen_opts){.local.port = 7}, &listener);
 *	for (struct tern_event ev; tern_host_next(host, &ev) == 0;)
 *		handle(stack, &ev);
 *
 * A host and its stack belong to one thread; only tern_host_stop may be called from elsewhere.
 * Callbacks run inside tern_host_next and may call anything but it and tern_host_close.
 */
#ifndef TERN_HOST_H
#define TERN_HOST_H

#include <tern/device.h>
#include <tern/stack.h>
#include <tern/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_host;

/* All zero is good. */
struct tern_host_opts {
	const char *gateway;            /* default route, "10.77.0.1" */
	struct tern_device_opts device; /* mtu, the kernel's address, offload */
	const char *impair;             /* see impair.h; both ways */
	uint64_t impair_seed;
	struct tern_trace_listener trace; /* from the very first event; .see NULL: none */
	size_t budget;                    /* bytes the stack may hold; 0: its default */
	/* Called before anything is sent, e.g. for tern_set; nonzero fails the open. */
	int (*configure)(void *context, struct tern_stack *stack);
	void *configure_context;
};

/*
 * Opens a device (see tern_device_open; NULL: the stack's loopback alone) and puts a stack with
 * that address on it; cidr may be NULL without a device. NULL on failure: see tern_host_error().
 */
struct tern_host *tern_host_open(const char *device, const char *cidr,
	const struct tern_host_opts *opts);
/* The same with a device of one's own, which it takes, also when it fails. */
struct tern_host *tern_host_open_on(struct tern_device *device, const char *cidr,
	const struct tern_host_opts *opts);
/* Aborts its relays and closes all; nothing more is sent. NULL is allowed. */
void tern_host_close(struct tern_host *host);

/* Adds an interface for a guest: a kernel that goes by our address and leaves TCP to us
 * (tern_nif_opts.guest). Takes the device, a TUN, also when it fails: 0, or -1 with a text in
 * tern_host_error(). */
int tern_host_add_guest(struct tern_host *host, struct tern_device *device);

struct tern_stack *tern_host_stack(struct tern_host *host);
/* NULL if it has none. */
struct tern_device *tern_host_device(struct tern_host *host);
/* The interface's number in the stack. */
int tern_host_nif(const struct tern_host *host);
/* What went wrong last in this thread, as a sentence; "" if nothing. */
const char *tern_host_error(void);

/*
 * Runs the machine until the stack has an event for the application. Returns 0,
 * TERN_ECONNABORTED once tern_host_stop was called, or TERN_ENOENT when the device broke.
 */
int tern_host_next(struct tern_host *host, struct tern_event *event);
/* The same, for at most timeout ns: then TERN_ETIMEDOUT. */
int tern_host_wait(struct tern_host *host, struct tern_event *event, uint64_t timeout);
/* Runs tern_host_next for ever, handing each event over; returns what ended it. */
int tern_host_run(struct tern_host *host,
	void (*handle)(void *context, const struct tern_event *event), void *context);
/* Makes tern_host_next return, now and from then on. Safe in signal handlers and other threads. */
void tern_host_stop(struct tern_host *host);
/*
 * Runs on, forgetting events, until no connection is in a state between ESTABLISHED and TIME_WAIT:
 * all FINs are acknowledged. Returns 0, or TERN_ETIMEDOUT after ms milliseconds. Works after
 * tern_host_stop too.
 */
int tern_host_settle(struct tern_host *host, unsigned ms);
/* Nanoseconds on the loop's clock (CLOCK_MONOTONIC). */
uint64_t tern_host_now(void);

/* --- one's own descriptors ----------------------------------------------------------- */

struct tern_watch;

/* Calls ready with the EPOLL* bits that came up for fd; events may have EPOLLET. NULL on failure.
 * The descriptor stays the caller's. */
struct tern_watch *tern_host_watch(struct tern_host *host, int fd, uint32_t events,
	void (*ready)(void *context, uint32_t events), void *context);
/* Ends it; ready is not called again, even for what epoll has already reported. */
void tern_host_unwatch(struct tern_host *host, struct tern_watch *watch);

/* --- connections with an owner ------------------------------------------------------- */

/* From now on, events about conn go to see instead of tern_host_next, until it is given up (or
 * see is NULL). Returns 0 or TERN_ENOMEM. */
int tern_host_claim(struct tern_host *host, struct tern_conn conn,
	void (*see)(void *context, const struct tern_event *event), void *context);

#ifdef __cplusplus
}
#endif
#endif
