/*
 * The virtual world: a few stacks, wires that impair, applications that misbehave, and an
 * observer that believes nobody. One process, one 64-bit seed, no clock.
 *
 * Theory of operation. A world is drawn from its seed (plan.c): hosts with their settings, devices
 * and wires, listeners, and openings (connections to be tried, each at its moment). Time then jumps
 * from one due thing to the next (world.c): frames reach hosts over the hub (net.c), applications
 * act on events and by the clock (app.c), stacks are asked for frames. What one side writes is a
 * function of the connection and the offset (stream.c), so every byte read is compared. Each
 * stack's event stream passes an observer (watch.c) that keeps its own idea of sequence numbers,
 * windows and states. The first thing that is wrong ends the world.
 */
#ifndef WORLD_H
#define WORLD_H

#include <tern/impair.h>
#include <tern/pcapng.h>
#include <tern/tern.h>

#include "test/world/rng.h"

#define US     UINT64_C(1000)
#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

#define HOSTS_MAX     4
#define LISTENERS_MAX 3
#define OPENINGS_MAX  256
#define CONNS_MAX     1024
#define STREAMS_MAX   4096 /* a power of two */
#define FRAMES_MAX    16   /* a call of tern_input or tern_output */
#define EVENT_KINDS   (TERN_EV_UDP + 1)
#define ERRORS_MAX    32

struct world;
struct conn;

/* --- results ----------------------------------------------------------------------- */

struct result {
	bool failed;
	char why[400];
	uint64_t hash;     /* of all frames sent, with their times */
	uint64_t segments; /* sent by stacks */
	uint64_t frames, bytes_sent, bytes_read;
	uint64_t connections, completed; /* by applications; both directions read to their end */
	uint64_t virtual_ns;
	uint64_t edges[TERN_TCP_STATES][TERN_TCP_STATES];
	uint64_t events[EVENT_KINDS];
	uint64_t errors[ERRORS_MAX]; /* by -tern_err, as told to applications */
	uint64_t drops[TERN_DROPS];
	uint64_t resent[TERN_RTX_REASONS];
};

/* --- heap.c: the stack's memory, counted and at times refused ----------------------- */

struct heap {
	size_t bytes; /* out now */
	uint64_t blocks;
	size_t skew;            /* moves every address, to catch behaviour that depends on them */
	uint32_t refuse_one_in; /* 0: never */
	struct rng rng;
	const char *broken; /* what the stack did wrong with it */
};

struct tern_allocator heap_allocator(struct heap *heap);

/* --- stream.c: what is sent ----------------------------------------------------------- */

/* One direction of one connection, known to both ends by addresses, ports and ISN. */
struct stream {
	uint64_t key;
	struct conn *writer, *reader;
};

uint64_t stream_key(const struct tern_endpoint *from, const struct tern_endpoint *to, uint32_t isn);
void stream_fill(uint64_t key, uint64_t offset, uint8_t *data, size_t n);
/* The offset of the first byte that is not as written, or n. */
size_t stream_verify(uint64_t key, uint64_t offset, const uint8_t *data, size_t n);
/* Finds or makes the stream; NULL when the table is full. */
struct stream *stream_find(struct world *w, uint64_t key);

/* --- applications ----------------------------------------------------------------------- */

/* How an application ends a connection. */
enum ending {
	END_BOTH,        /* shuts down when all is written, closes when all is read */
	END_AFTER_EOF,   /* shuts down only when the peer has, or when the time is up */
	END_AFTER_WRITE, /* closes as soon as all is written, whatever comes in */
	END_CLOSE,       /* closes at a moment, whatever was done */
	END_SHUTDOWN,    /* shuts down at a moment, then reads on */
	END_ABORT,
};

struct character {
	uint32_t to_send;
	uint32_t write_chunk, read_chunk;
	uint64_t write_gap, read_gap; /* ns between two calls; 0: as events tell */
	uint32_t stop_at;             /* bytes read, after which it stops reading... */
	uint64_t stop_for;            /* ...for so long; 0: it does not */
	enum ending ending;
	uint64_t ends_after;         /* ns after opening: the moment */
	enum tern_tcp_state ends_in; /* not CLOSED: the moment is the entry of this state */
	uint64_t hold;               /* ns between reading EOF and answering it */
	uint64_t patience;           /* ns without progress before it aborts */
	bool lends;                  /* peek and consume, room and commit */
	bool urgent, early;          /* marks some writes; writes before CONNECTED */
	bool nodelay, cork, quickack;
	uint32_t rcvbuf, sndbuf, maxseg; /* 0: the default */
};

struct conn {
	uint32_t id;
	struct host *host;
	struct tern_conn handle;
	struct character like;
	bool open; /* the handle is ours */
	bool active, connected;
	bool shut, closed, aborted, eof;
	bool state_seen; /* ends_in was entered */
	bool overruled;  /* its listener, or the stack's limits, may have turned it away */
	int error;
	uint64_t opened_at, closed_at, progress_at;
	uint64_t written, taken; /* bytes */
	uint64_t wake, read_at, write_at, stopped_until, eof_at;
	struct stream *out, *in;
};

struct listening {
	struct tern_listener handle;
	uint16_t port;
	bool open;
	unsigned backlog;
	uint64_t close_at;   /* TERN_NEVER: at the end */
	uint64_t accept_gap; /* ns between two accepts; 0: at once */
	uint64_t accept_at;
};

/* A connection to be tried. */
struct opening {
	uint64_t at;
	uint8_t from, to; /* hosts; the same: over the loopback */
	uint16_t local_port, remote_port;
	bool loopback_addr; /* to 127.0.0.1 */
	bool simultaneous;
	struct character like;
};

/* --- hosts ------------------------------------------------------------------------------- */

/* What the observer knows of one TCB, from its segments alone. */
struct sight {
	uint32_t generation; /* 0: none */
	struct tern_endpoint local, remote;
	enum tern_tcp_state state;
	bool by_cookie; /* and no segment since */
	bool sent, edged, offered, fin_sent;
	uint32_t snd_max;   /* next number never sent */
	uint32_t fin_at;    /* our FIN's number */
	uint32_t peer_edge; /* largest ACK + window heard */
	uint32_t our_edge;  /* largest ACK + window said */
	uint32_t last_ack;
	uint32_t slack;              /* window granularity: (1 << our scale) - 1 */
	uint64_t timer[TERN_TIMERS]; /* when it was last armed for; 0: not, or it has fired */
	struct conn *app;
};

struct inbox {
	struct tern_frame frames[FRAMES_MAX];
	uint8_t *data[FRAMES_MAX];
	uint32_t room[FRAMES_MAX];
	unsigned count, batch;
};

struct host {
	struct world *world;
	unsigned index;
	struct tern_stack *stack;
	int nif;
	struct tern_addr addr;
	struct tern_nif_opts opts; /* as in force */
	struct tern_config config;
	struct heap heap;
	size_t baseline;           /* bytes held before any connection */
	struct tern_segment stray; /* the last that came for no connection: it may make one */
	struct tern_wire *wire;
	struct tern_impair_spec spec;
	uint64_t cut_from, cut_to;       /* its link is dead */
	uint64_t refuse_from, refuse_to; /* its allocator refuses some */
	uint32_t refuse_one_in;
	struct inbox inbox;
	struct tern_frame out[FRAMES_MAX];
	uint8_t *out_data;
	size_t room;
	unsigned pull_max; /* frames its device takes at a time... */
	uint64_t pull_gap; /* ...and how long that takes */
	uint64_t busy_until;
	struct listening listening[LISTENERS_MAX];
	unsigned listeners;
	struct sight *sights;
	uint32_t sights_size;
	struct sight *without; /* connections that have no handle; generation 0: vacant */
	uint32_t without_size;
	struct tern_trace_listener watcher, capture;
};

enum theme {
	THEME_BULK,
	THEME_MANY,
	THEME_STORM,
	THEME_CLOSE_RACES,
	THEME_SIMULTANEOUS,
	THEME_ZERO_WINDOW,
	THEME_REUSE,
	THEME_MIXED,
	THEMES
};

struct world {
	uint64_t seed, start, now;
	enum theme theme;
	bool gentle;        /* nothing here excuses a connection that fails by itself */
	bool raw_ip, clean; /* clean: no wire corrupts */
	bool finishes_csum; /* the hub completes checksums; else it vouches for them */
	struct rng rng;     /* decisions while it runs */
	struct host host[HOSTS_MAX];
	unsigned hosts;
	struct opening openings[OPENINGS_MAX];
	unsigned opening_count, opening_next;
	struct conn *conns;
	unsigned conn_count, conns_open;
	struct stream *streams;
	uint64_t steps, still; /* steps in all, and at this instant */
	bool closing;          /* nothing more will be opened */
	int verbose;           /* 1: applications; 2: everything */
	struct tern_pcapng *pcap;
	struct result result;
	uint8_t *buffer; /* BUFFER bytes for anyone, for a moment */
	uint8_t *mirror; /* the same */
};

#define BUFFER 65536

/* The first failure is kept; the world then ends. */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints at --verbose, with the virtual time. */
void world_say(const struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct world_opts {
	uint64_t seed;
	int verbose;
	size_t skew;      /* see struct heap */
	const char *pcap; /* host 0's capture, or NULL */
};
/* Runs one world to its end. */
void world_run(const struct world_opts *opts, struct result *result);

/* --- plan.c, build.c ---------------------------------------------------------------------- */

void plan_world(struct world *w);
void plan_character(struct world *w, struct rng *r, struct character *c);
void plan_openings(struct world *w, struct rng *r);
/* Makes the stacks and wires a plan asks for. */
void build_world(struct world *w, const struct world_opts *opts);
void build_free(struct world *w);

/* --- net.c ----------------------------------------------------------------------------------- */

/* Hands over what has arrived by now; asks every stack for frames. */
void net_deliver(struct world *w);
void net_collect(struct world *w);
uint64_t net_deadline(const struct world *w);
bool net_idle(const struct world *w);

/* --- app.c, open.c ---------------------------------------------------------------------------- */

struct conn *app_adopt(struct world *w, struct host *h, struct tern_conn handle,
	const struct character *like);
void app_event(struct world *w, struct host *h, const struct tern_event *ev);
/* Both ISNs are known: from here on it is known who writes to whom. */
void app_connected(struct world *w, struct conn *c);
struct stream *app_claim(struct world *w, const struct tern_endpoint *from,
	const struct tern_endpoint *to, uint32_t isn);
void app_act(struct world *w, struct conn *c);
void app_close(struct world *w, struct conn *c);
void app_abort(struct world *w, struct conn *c);
void open_due(struct world *w);
void open_accept(struct world *w, struct host *h, struct listening *l);
void open_close_listeners(struct world *w, struct host *h);
uint64_t open_deadline(const struct world *w);

/* --- excuse.c: whether a connection may fail ----------------------------------------- */

/* Whether it may have waited in vain for the other end. */
bool excuse_silence(const struct world *w, const struct conn *c);
/* Fails the world if nothing excuses the error the application was told. */
void excuse_error(struct world *w, struct conn *c, int error);

/* --- watch.c, show.c ----------------------------------------------------------------- */

void watch_see(void *context, const struct tern_trace *t);
void watch_adopt(struct host *h, struct conn *c);
void watch_forget(struct host *h, struct conn *c);
void show_trace(const struct host *h, const struct tern_trace *t);

#endif
