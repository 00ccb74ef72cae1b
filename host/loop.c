/*
 * One turn of the loop: hand the events out, let the device pull what the stack wants to send,
 * sleep until something can happen, take what arrived. Each step is bounded by a batch, so that
 * none starves the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "host/error.h"
#include "host/host.h"

uint64_t tern_host_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- descriptors --------------------------------------------------------------------- */

static int control(struct tern_host *host, int op, struct tern_watch *watch, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = watch};
	if (epoll_ctl(host->epoll, op, watch->fd, &ev) == 0)
		return 0;
	return tern_error_set("epoll: descriptor %d: %s", watch->fd, strerror(errno));
}

int tern_loop_add(struct tern_host *host, struct tern_watch *watch, uint32_t events)
{
	return control(host, EPOLL_CTL_ADD, watch, events);
}

static void link_watch(struct tern_watch **list, struct tern_watch *watch)
{
	watch->next = *list;
	watch->link = list;
	if (watch->next)
		watch->next->link = &watch->next;
	*list = watch;
}

struct tern_watch *tern_host_watch(struct tern_host *host, int fd, uint32_t events,
	void (*ready)(void *context, uint32_t events), void *context)
{
	struct tern_watch *watch = malloc(sizeof *watch);
	if (!watch) {
		tern_error_set("out of memory");
		return NULL;
	}
	*watch = (struct tern_watch){.ready = ready, .context = context, .fd = fd};
	if (tern_loop_add(host, watch, events) != 0) {
		free(watch);
		return NULL;
	}
	link_watch(&host->watches, watch);
	return watch;
}

/* What epoll_wait has already reported may still name it, so it is freed after that batch. */
void tern_host_unwatch(struct tern_host *host, struct tern_watch *watch)
{
	epoll_ctl(host->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->ready = NULL;
	*watch->link = watch->next;
	if (watch->next)
		watch->next->link = watch->link;
	link_watch(&host->graveyard, watch);
}

static void bury(struct tern_host *host)
{
	while (host->graveyard) {
		struct tern_watch *next = host->graveyard->next;
		free(host->graveyard);
		host->graveyard = next;
	}
}

/* --- frames -------------------------------------------------------------------------- */

static int device_broke(struct tern_host *host, const struct port *port, int error)
{
	host->broken = true;
	return tern_error_set("%s: %s", port->device->name, strerror(-error));
}

static void await_room(struct tern_host *host, struct port *port, bool full)
{
	if (full != port->full)
		control(host, EPOLL_CTL_MOD, &port->watch, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
	port->full = full;
}

/* In place of those that are gone. */
static void lend_buffers(struct port *port)
{
	for (unsigned i = 0; i < port->count; i++)
		port->out[i] = (struct tern_frame){.data = port->buffers + i * port->room,
			.capacity = (uint32_t)port->room};
}

/* Pulls a batch if the last one is gone, and sends what it can. True if there may be more at once.
 */
static bool transmit_port(struct tern_host *host, struct port *port)
{
	uint64_t now = tern_host_now();
	if (port->first == port->count) {
		lend_buffers(port);
		port->first = 0;
		port->count = tern_output(host->stack, port->nif, port->out, HOST_BATCH, now);
	}
	unsigned n = port->count - port->first;
	if (n == 0)
		return false;
	if (!port->device) {
		tern_input(host->stack, port->nif, port->out, n, now);
		port->first = port->count;
		return true;
	}
	int sent = tern_device_send(port->device, port->out + port->first, n, now);
	if (sent < 0) {
		device_broke(host, port, sent);
		return false;
	}
	port->first += (unsigned)sent;
	await_room(host, port, port->first < port->count);
	return !port->full && port->count == HOST_BATCH;
}

static bool transmit(struct tern_host *host)
{
	bool more = false;
	for (unsigned i = 0; i < host->ports; i++)
		more |= transmit_port(host, &host->port[i]);
	return more;
}

static void receive(struct tern_host *host, struct port *port)
{
	struct tern_frame frames[HOST_BATCH];
	int n = 0;
	if (port->device)
		n = tern_device_recv(port->device, frames, HOST_BATCH, tern_host_now());
	if (n < 0)
		device_broke(host, port, n);
	else
		tern_input(host->stack, port->nif, frames, (unsigned)n, tern_host_now());
}

/* Claimed events handed out before frames have their turn. */
#define EVENTS 512

/* --- turning ------------------------------------------------------------------------- */

/* A stack whose output waits for a full device is asked again after this, or the device's POLLOUT.
 */
#define FULL_NS 1000000

/* When any of stack and devices wants to be called. */
static uint64_t due(const struct tern_host *host)
{
	uint64_t soonest = tern_deadline(host->stack);
	for (unsigned i = 0; i < host->ports; i++) {
		const struct port *port = &host->port[i];
		if (port->full && soonest < tern_now(host->stack) + FULL_NS)
			soonest = tern_now(host->stack) + FULL_NS;
	}
	for (unsigned i = 0; i < host->ports; i++) {
		const struct port *port = &host->port[i];
		uint64_t device = port->device ? tern_device_deadline(port->device) : TERN_NEVER;
		if (device < soonest)
			soonest = device;
	}
	return soonest;
}

static int sleep_until(struct tern_host *host, uint64_t until, struct epoll_event *ready)
{
	uint64_t now = tern_host_now();
	uint64_t left = until <= now ? 0 : until - now;
	struct timespec ts = {.tv_sec = (time_t)(left / 1000000000u),
		.tv_nsec = (long)(left % 1000000000u)};
	return epoll_pwait2(host->epoll, ready, HOST_BATCH, until == TERN_NEVER ? NULL : &ts, NULL);
}

static void clear_stop(struct tern_host *host)
{
	uint64_t count;
	ssize_t n = read(host->stop_fd, &count, sizeof count);
	(void)n; /* it only had to wake us */
}

/* The port whose watch that is, or NULL. */
static struct port *port_of(struct tern_host *host, const struct tern_watch *watch)
{
	for (unsigned i = 0; i < host->ports; i++)
		if (watch == &host->port[i].watch)
			return &host->port[i];
	return NULL;
}

/* Sleeps until `until` or until something happens, and lets it happen. */
static void turn(struct tern_host *host, uint64_t until)
{
	struct epoll_event ready[HOST_BATCH];
	uint64_t wake = due(host);
	int n = sleep_until(host, until < wake ? until : wake, ready);
	struct port *readable[HOST_PORTS] = {NULL}, *port;
	for (int i = 0; i < n; i++) {
		struct tern_watch *watch = ready[i].data.ptr;
		if ((port = port_of(host, watch)))
			readable[port - host->port] = port;
		else if (watch == &host->stop_watch)
			clear_stop(host);
		else if (watch->ready)
			watch->ready(watch->context, ready[i].events);
	}
	bury(host);
	bool overdue = due(host) <= tern_host_now();
	for (unsigned i = 0; i < host->ports; i++)
		if (readable[i] || (i == 0 && overdue))
			receive(host, &host->port[i]);
}

/* Takes the next event that nobody has claimed. Events beget events (room again, memory still
 * short), so frames get their turn after EVENTS of the claimed: *more says that some may be left.
 */
static bool next_event(struct tern_host *host, struct tern_event *event, bool *more)
{
	*more = false;
	for (unsigned n = 0; tern_event_next(host->stack, event); n++) {
		uint32_t slot = event->conn.slot;
		bool about_conn = event->kind != TERN_EV_ACCEPT && event->kind != TERN_EV_UDP;
		if (!about_conn || slot >= host->claims_size || !host->claims[slot].see ||
			host->claims[slot].generation != event->conn.generation)
			return true;
		host->claims[slot].see(host->claims[slot].context, event);
		if (n == EVENTS) {
			*more = true;
			break;
		}
	}
	return false;
}

static int run_until(struct tern_host *host, struct tern_event *event, uint64_t until,
	bool heed_stop)
{
	for (;;) {
		if (heed_stop && atomic_load(&host->stopped))
			return TERN_ECONNABORTED;
		if (host->broken)
			return TERN_ENOENT;
		bool more;
		if (next_event(host, event, &more))
			return 0;
		more |= transmit(host);
		if (until != TERN_NEVER && tern_host_now() >= until)
			return TERN_ETIMEDOUT;
		turn(host, more ? 0 : until);
	}
}

int tern_host_next(struct tern_host *host, struct tern_event *event)
{
	return run_until(host, event, TERN_NEVER, true);
}

int tern_host_wait(struct tern_host *host, struct tern_event *event, uint64_t timeout)
{
	uint64_t now = tern_host_now();
	return run_until(host, event, timeout < TERN_NEVER - now ? now + timeout : TERN_NEVER,
		true);
}

int tern_host_run(struct tern_host *host,
	void (*handle)(void *context, const struct tern_event *event), void *context)
{
	struct tern_event event;
	int rc;
	while ((rc = tern_host_next(host, &event)) == 0)
		handle(context, &event);
	return rc;
}

void tern_host_stop(struct tern_host *host)
{
	static const uint64_t one = 1;
	int saved = errno;
	atomic_store(&host->stopped, true);
	ssize_t n = write(host->stop_fd, &one, sizeof one);
	(void)n; /* full means it is awake already */
	errno = saved;
}

static bool closing(const struct tern_stack *stack)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	while (tern_tcp_each(stack, &cursor, &info))
		if (info.state >= TERN_TCP_ESTABLISHED && info.state < TERN_TCP_TIME_WAIT)
			return true;
	return false;
}

/* Whether frames are on their way that closing the device would lose. */
static bool sending(struct tern_host *host)
{
	bool waiting = transmit(host);
	for (unsigned i = 0; i < host->ports; i++) {
		const struct port *port = &host->port[i];
		waiting |= port->first != port->count ||
			   (port->device && tern_device_deadline(port->device) != TERN_NEVER);
	}
	return waiting;
}

/* How often the table of connections is looked through while it settles, ns. */
#define SETTLE_LOOK 2000000

int tern_host_settle(struct tern_host *host, unsigned ms)
{
	uint64_t until = tern_host_now() + (uint64_t)ms * 1000000;
	struct tern_event event;
	for (uint64_t look = 0;; look = tern_host_now() + SETTLE_LOOK) {
		int rc;
		do /* at least one turn: the last ACKs may not have been pulled yet */
			rc = run_until(host, &event, look < until ? look : until, false);
		while (rc == 0);
		if (rc != TERN_ETIMEDOUT)
			return rc;
		if (!closing(host->stack) && !sending(host))
			return 0;
		if (tern_host_now() >= until)
			return closing(host->stack) ? TERN_ETIMEDOUT : 0;
	}
}
