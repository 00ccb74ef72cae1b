/*
 * One script under way: a stack of its own behind a wire in memory, and a clock that jumps from
 * one due moment to the next. All times are ns since the script's start.
 */
#ifndef TERN_TOOLS_SCRIPT_RUN_H
#define TERN_TOOLS_SCRIPT_RUN_H

#include <tern/tern.h>

#include "tools/script/ast.h"
#include "tools/script/packet.h"

#define FLOWS_MAX 64
#define FDS_MAX   128
#define CALLS_MAX 16 /* blocking at once */

struct script_opts {
	bool verbose;
	int64_t tolerance; /* ns; -1: the script's, or 4 ms */
	const char *pcap;  /* file to write, or NULL */
};

/* What the lines --name=value set. */
struct script_settings {
	int64_t tolerance; /* ns */
	int64_t tick;      /* ns per unit of TS val; 0: TS vals are not compared */
	struct tern_addr local, remote;
	struct script_addresses addresses;
	uint32_t mtu;
	uint16_t bind_port, connect_port;
	uint32_t seed;
};

struct script_frame {
	struct script_frame *next;
	int64_t time;
	uint32_t len;
	uint8_t data[];
};

enum script_fd_kind {
	FD_FREE,
	FD_SOCKET, /* TCP, neither listening nor connected */
	FD_LISTENER,
	FD_CONN,
	FD_UDP,
};

#define FD_OPTIONS_MAX 8

struct script_fd {
	enum script_fd_kind kind;
	bool datagram; /* made with SOCK_DGRAM */
	bool nonblock, bound, open;
	bool connect_reported; /* connect() or SO_ERROR told how the open ended */
	bool error_taken;      /* the connection's error was returned once */
	bool read_shut, linger_reset;
	bool accept_ready;
	struct tern_endpoint local, remote;
	struct tern_conn conn;
	struct tern_listener listener;
	struct tern_udp udp;
	uint32_t rcvbuf, sndbuf; /* 0: not set */
	uint32_t written, read;  /* places in the two streams */
	unsigned options;
	struct {
		enum tern_tcp_option option;
		int64_t value;
	} option[FD_OPTIONS_MAX]; /* for when there is a connection */
};

/* A call that has begun; tries itself again until it is through. */
struct script_pending {
	const struct script_event *event;
	int64_t from, to;
	int64_t alarm; /* when it gives up by itself; INT64_MAX: never */
	int64_t done;  /* bytes so far, of a write */
};

struct run {
	const struct script *script;
	const struct script_opts *opts;
	struct script_settings set;
	struct tern_stack *stack;
	int nif;
	int64_t now;
	int64_t last; /* when the event before took place, by the script */
	struct script_flow flow[FLOWS_MAX];
	unsigned flows;
	struct script_flow *current;            /* NULL before the first */
	struct script_frame *sent, **sent_tail; /* by tern, and not yet expected */
	struct script_fd fd[FDS_MAX];
	struct script_pending pending[CALLS_MAX];
	unsigned calls;
	uint8_t *buffer; /* SCRIPT_PACKET_MAX */
	FILE *pcap;
	size_t allocated; /* bytes the stack holds */
	int line;         /* of the event under way */
	bool failed;
};

/* 0: the script passed; 1: it did not, and said why on stderr; 2: it cannot be run. */
int tern_script_run(const struct script *script, const struct script_opts *opts);

/* Says what is wrong with the script's line on stderr; the first time only. */
void tern_script_fail(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* As that, of the line under way, with -v only, and no failure. */
void tern_script_tell(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* options.c: false after tern_script_fail(). */
bool tern_script_settings(struct run *run);
/* Tunables in a command: each word NAME=VALUE whose last part tern knows. */
void tern_script_command(struct run *run, const char *command);

/* driver.c: the stack, the wire and the clock. */
bool tern_script_open(struct run *run);
/* Checks that nothing is left behind. */
void tern_script_close(struct run *run);
/* Lets tern send all it has to send now, and retries blocked calls. */
void tern_script_pump(struct run *run);
/* Moves the clock to the next thing due, at most to limit; false if that is where it now stands
 * and nothing was due before. */
bool tern_script_step(struct run *run, int64_t limit);
void tern_script_advance(struct run *run, int64_t to);
void tern_script_inject(struct run *run, const uint8_t *data, uint32_t len);
struct script_frame *tern_script_take(struct run *run);

/* flows */
/* Finds or adds the pair of ports, and makes it the current one. */
struct script_flow *tern_script_flow(struct run *run, uint16_t local_port, uint16_t remote_port);

/* socket.c */
void tern_script_call(struct run *run, const struct script_event *event, int64_t from, int64_t to);
/* Tries the blocked calls again; whether one went through. */
bool tern_script_retry(struct run *run);
/* Sets accept_ready and the like. */
void tern_script_events(struct run *run);
/* What Linux would set errno to; 0 for 0 and above. */

/* pcap.c: classic pcap of bare IP packets, ns. */
FILE *tern_script_pcap_open(const char *path);
void tern_script_pcap_write(FILE *pcap, int64_t time, const uint8_t *data, uint32_t len);

#endif
