/*
 * The stack: three calls, time as an argument, nothing hidden.
 *
 *	struct tern_config cfg;
 *	tern_config_init(&cfg);
 *	cfg.allocator = my_allocator;
 *	memcpy(cfg.seed, entropy, sizeof cfg.seed);
 *	struct tern_stack *stack = tern_stack_new(&cfg, now);
 *	int nif = tern_nif_add(stack, &(struct tern_nif_opts){.name = "tap0", .mtu = 1500});
 *	tern_nif_addr_add(stack, nif, &addr, 24);
 *	for (;;) {
 *		n = read_from_device(frames);
 *		tern_input(stack, nif, frames, n, now());
 *		while (tern_event_next(stack, &ev)) ...
 *		n = tern_output(stack, nif, frames, max, now());
 *		write_to_device(frames, n);
 *		wait_until(tern_deadline(stack));
 *	}
 *
 * A stack and all its handles belong to one thread at a time. No call blocks, no call is made
 * back into the application except the trace listener's, which must not call the stack.
 * Times are nanoseconds on any clock that does not go back; the first is given to
 * tern_stack_new. Between two of the three calls, time stands still for the stack.
 */
#ifndef TERN_STACK_H
#define TERN_STACK_H

#include <tern/frame.h>
#include <tern/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_stack;
struct tern_trace_listener; /* trace.h */

/* Where the stack's memory comes from. alloc may return NULL; align is a power of two. */
struct tern_allocator {
	void *(*alloc)(void *context, size_t size, size_t align);
	void (*free)(void *context, void *ptr, size_t size);
	void *context;
};

struct tern_config {
	struct tern_allocator allocator; /* required */
	size_t budget;            /* bytes the stack may hold; default 64 MiB, at least 256 KiB */
	uint8_t seed[32];         /* unpredictable bytes: ISNs, ports and hash keys come from it */
	uint32_t max_connections; /* default 1,048,576 */
	uint32_t loopback_mtu;    /* 576..65535, default 65535; a buffer of that size is held */
};

/* Fills in the defaults; the allocator and the seed are left zero. */
void tern_config_init(struct tern_config *config);
/* A new stack with a loopback interface (number 0, 127.0.0.1/8); NULL if memory is short or the
 * config is invalid. now: ns. */
struct tern_stack *tern_stack_new(const struct tern_config *config, uint64_t now);
/* Frees everything at once; nothing is sent. */
void tern_stack_free(struct tern_stack *stack);

/* --- interfaces, addresses, routes ------------------------------------------------- */

#define TERN_NIF_LOOPBACK 0
#define TERN_NIF_MAX      8

/* What a device can do (tern_nif_opts.offload). */
#define TERN_OFFLOAD_TX_CSUM 0x1 /* it completes partial checksums (tern_frame.csum_start) */
#define TERN_OFFLOAD_TSO     0x2 /* it cuts frames larger than the MTU (tern_frame.gso_size) */

struct tern_nif_opts {
	char name[16];
	uint8_t mac[6]; /* unicast; all zero: one is made from the seed (locally administered) */
	uint32_t mtu;   /* IP bytes a frame may carry, 68..65535; 0 means 1500 */
	uint32_t offload;
	bool raw_ip; /* frames are bare IP packets (a TUN): no Ethernet, no ARP */
	/* Beyond it is a kernel that goes by our addresses and leaves TCP to us. What it sends goes
	 * out by our routes; what comes for us and does not concern TCP goes to it, and not to
	 * sockets of ours. With raw_ip only, one at most, and without an address of its own. */
	bool guest;
};

/* Adds an interface, up. Returns its number (1..7), TERN_EINVAL, TERN_ENOSPC or TERN_ENOMEM. */
int tern_nif_add(struct tern_stack *stack, const struct tern_nif_opts *opts);
/* Gives the interface an address and the route to its prefix; announces it (RFC 5227 2.3).
 * At most 4 an interface. 0, TERN_EINVAL, TERN_EEXIST, TERN_ENOSPC. */
int tern_nif_addr_add(struct tern_stack *stack, int nif, const struct tern_addr *addr,
	unsigned prefix_len);
/* The interface's first address, or TERN_EADDRNOTAVAIL. */
int tern_nif_addr(const struct tern_stack *stack, int nif, struct tern_addr *addr);
/* The interface's settings, as in force. 0 or TERN_EINVAL. */
int tern_nif_info(const struct tern_stack *stack, int nif, struct tern_nif_opts *out);
/* Adds a route; an unspecified gateway means on-link. prefix_len 0 is the default route.
 * At most 64. 0, TERN_EINVAL, TERN_EEXIST, TERN_ENOSPC. */
int tern_route_add(struct tern_stack *stack, const struct tern_addr *prefix, unsigned prefix_len,
	const struct tern_addr *gateway, int nif);

/* --- the three calls ---------------------------------------------------------------- */

/* Takes n frames that arrived on an interface; borrows them. n may be 0: time passes. */
void tern_input(struct tern_stack *stack, int nif, const struct tern_frame *frames, unsigned n,
	uint64_t now);
/*
 * Fills up to max frames for a device and returns how many; fewer than max means nothing more is
 * ready now. Each frame comes with data, capacity (at least tern_nif_frame_room() bytes)
 * and everything else zero.
 */
unsigned tern_output(struct tern_stack *stack, int nif, struct tern_frame *frames, unsigned max,
	uint64_t now);
/* The time by which to make one of the two calls above even if nothing arrives; TERN_NEVER if none.
 * It may lie in the past: then call at once. */
uint64_t tern_deadline(const struct tern_stack *stack);
/* Bytes an output frame's buffer must hold: link header and MTU, or 65,550 with TSO. */
size_t tern_nif_frame_room(const struct tern_stack *stack, int nif);
/* The time last given, ns. */
uint64_t tern_now(const struct tern_stack *stack);

/* --- events for the application ----------------------------------------------------- */

enum tern_event_kind {
	TERN_EV_NONE,
	TERN_EV_ACCEPT,    /* listener: a connection waits to be accepted */
	TERN_EV_CONNECTED, /* conn: our open succeeded; writable */
	TERN_EV_READABLE,  /* conn: bytes arrived since the last read came up short */
	TERN_EV_WRITABLE,  /* conn: room again after a write came up short */
	TERN_EV_EOF,       /* conn: the peer's FIN is next to be read */
	TERN_EV_URGENT,    /* conn: urgent data is on its way (RFC 6093) */
	TERN_EV_SENT,      /* conn: all we sent, our FIN included, is acknowledged */
	TERN_EV_ERROR,     /* conn: dead, for the reason in error; close it */
	TERN_EV_UDP,       /* udp: a datagram or an error waits */
};

struct tern_event {
	enum tern_event_kind kind;
	int error;  /* TERN_EV_ERROR: a tern_err */
	void *user; /* what tern_*_set_user gave, or NULL */
	struct tern_conn conn;
	struct tern_listener listener;
	struct tern_udp udp;
};

/*
 * Takes the next event; false if there is none. An event is told once and means "look": act until
 * TERN_EAGAIN, then wait for the next. None is told for a handle already closed.
 */
bool tern_event_next(struct tern_stack *stack, struct tern_event *event);

/* --- settings and counters ---------------------------------------------------------- */

/*
 * Tunables by Linux's names (see settings.def for names, ranges and defaults). Return 0,
 * TERN_ENOENT for an unknown name, TERN_ERANGE for a value out of range.
 */
int tern_set(struct tern_stack *stack, const char *name, int64_t value);
/* The same for a value as people write it: a number, or the name of a congestion control.
 * TERN_EINVAL if it is neither. */
int tern_set_text(struct tern_stack *stack, const char *name, const char *value);
/* The same for "NAME=VALUE", also with sysctl's net.ipv4. or net.core. before it; TERN_EINVAL
 * without the sign. stack NULL: only what it would return. */
int tern_set_pair(struct tern_stack *stack, const char *pair);
/* A name, or "NAME=VALUE", without sysctl's net.ipv4. or net.core. before it. */
const char *tern_setting_bare(const char *name);
int tern_get(const struct tern_stack *stack, const char *name, int64_t *value);
/* The k-th setting's name, or NULL past the last. */
const char *tern_setting_name(unsigned k);

enum tern_counter {
#define TERN_COUNTER(name, text) TERN_COUNT_##name,
#include <tern/counters.def>
#undef TERN_COUNTER
	TERN_COUNTERS
};

uint64_t tern_counter(const struct tern_stack *stack, enum tern_counter which);
/* Linux's nstat name, "TcpRetransSegs"; NULL when out of range. */
const char *tern_counter_name(enum tern_counter which);
const char *tern_counter_text(enum tern_counter which);

struct tern_memory_info {
	size_t budget, used, peak; /* bytes */
	uint64_t refused;          /* requests turned down */
	size_t connection_bytes;   /* of one idle established connection */
	uint32_t connections;      /* in any state but LISTEN */
	uint32_t half_open;        /* of them: 64 bytes each, in a table, and no TCB */
	uint32_t time_waits;       /* of them: in TIME_WAIT, 48 bytes each, and no TCB */
	uint32_t chunks;           /* ring chunks held */
	uint32_t listeners, udp_sockets;
	uint32_t timers; /* timers armed on behalf of connections */
};
void tern_memory_info(const struct tern_stack *stack, struct tern_memory_info *out);
/* Checks what must hold between calls (budget, sequence numbers, ranges, tables, timers: no
 * unacknowledged data without one). NULL, or what is wrong. O(everything): for tests. */
const char *tern_stack_check(const struct tern_stack *stack);

/* --- seeing through ------------------------------------------------------------------ */

/* Sets the one listener of the trace stream (trace.h), or NULL; costs nothing while NULL. */
void tern_trace_set(struct tern_stack *stack, const struct tern_trace_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
