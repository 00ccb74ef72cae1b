/*
 * A Linux machine in virtual time: one stack of tern's behind a wire in memory, a clock that jumps
 * from one due moment to the next, and the socket calls a program makes, with Linux's arguments and
 * errors. A call that would block is tried again by whoever moves the clock, at the very moment it
 * can go through. `tern script` and libtern-packetdrill.so are two users of it.
 *
 * No locks: callers take turns. Times are ns since it was opened.
 */
#ifndef TERN_TOOLS_DRILL_DRILL_H
#define TERN_TOOLS_DRILL_DRILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/tern.h>

#define DRILL_FDS 1024 /* descriptors are below */

struct drill;

struct drill_opts {
	struct tern_addr local; /* with a prefix of 16 bits, and a route to everywhere */
	uint32_t mtu;
	uint32_t seed;
	/* A new descriptor's number, and its end; NULL: 3, 4, 5 and on, none used twice. */
	int (*open_fd)(void);
	void (*close_fd)(int number);
	/* Each packet as it passes, out or in; may be NULL. */
	void (*see)(void *context, int64_t now, const uint8_t *data, uint32_t len);
	void *context;
};

struct drill_frame {
	struct drill_frame *next;
	int64_t time; /* when it was sent */
	uint32_t len;
	uint8_t data[];
};

/* packetdrill's calls. accept takes accept4's flags as its fourth argument. */
enum drill_op {
	DRILL_SOCKET,
	DRILL_BIND,
	DRILL_LISTEN,
	DRILL_ACCEPT,
	DRILL_CONNECT,
	DRILL_READ,
	DRILL_READV,
	DRILL_RECV,
	DRILL_RECVFROM,
	DRILL_RECVMSG,
	DRILL_WRITE,
	DRILL_WRITEV,
	DRILL_SEND,
	DRILL_SENDTO,
	DRILL_SENDMSG,
	DRILL_FCNTL,
	DRILL_IOCTL,
	DRILL_CLOSE,
	DRILL_SHUTDOWN,
	DRILL_GETSOCKOPT,
	DRILL_SETSOCKOPT,
	DRILL_POLL,
	DRILL_EPOLL_CREATE,
	DRILL_EPOLL_CTL,
	DRILL_EPOLL_WAIT,
	DRILL_PIPE,
	DRILL_SPLICE,
	DRILL_OPS
};

/* A call under way. What its arguments point to is lent until it is finished. */
struct drill_call {
	enum drill_op op;
	intptr_t arg[6];
	bool finished;
	int64_t result; /* or -1 */
	int error;      /* errno, with result -1 */
	int64_t time;   /* when it finished */
	/* the world's */
	int64_t done;  /* bytes so far */
	int64_t alarm; /* when it gives up by itself; INT64_MAX: never */
	struct drill_call *next;
};

/* NULL after telling why in *wrong. */
struct drill *tern_drill_open(const struct drill_opts *opts, const char **wrong);
/* Closes what is open; returns the bytes the stack did not give back. */
size_t tern_drill_close(struct drill *drill);
/* What the stack was seen to do wrong (its own invariants, a clock that stands still), or NULL. */
const char *tern_drill_fault(const struct drill *drill);
int64_t tern_drill_now(const struct drill *drill);
struct tern_stack *tern_drill_stack(struct drill *drill);

/* Moves the clock to the next thing due, at most to limit; false if that is where it now stands and
 * nothing was due before. */
bool tern_drill_step(struct drill *drill, int64_t limit);
void tern_drill_advance(struct drill *drill, int64_t to);
/* When the next thing is due; INT64_MAX: nothing is. */
int64_t tern_drill_due(const struct drill *drill);
/* An IP packet arrives; gso_size: of the segments that the device has joined in it, or 0. */
void tern_drill_inject(struct drill *drill, const uint8_t *data, uint32_t len, uint16_t gso_size);
/* The oldest packet tern sent and nobody took: to look at, or to keep (then free() it). */
const struct drill_frame *tern_drill_peek(const struct drill *drill);
struct drill_frame *tern_drill_take(struct drill *drill);

/* Makes a call: finished at once, or as the clock moves and packets come. */
void tern_drill_call(struct drill *drill, struct drill_call *call);
/* Ends a call as a signal would: EINTR. */
void tern_drill_interrupt(struct drill *drill, struct drill_call *call);
/* The state of a connection, also of one that was closed; CLOSED for what is none. */
enum tern_tcp_state tern_drill_state(const struct drill *drill, int fd);
/* Where a socket is bound to, and its peer; false if it is none. */
bool tern_drill_endpoints(const struct drill *drill, int fd, struct tern_endpoint *local,
	struct tern_endpoint *remote);

#endif
