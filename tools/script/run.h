/*
 * One script under way against a target: a stack of our own in virtual time (target.c), or a
 * library with packetdrill's interface (so.c). All times are ns since the script's start.
 */
#ifndef TERN_TOOLS_SCRIPT_RUN_H
#define TERN_TOOLS_SCRIPT_RUN_H

#include <pthread.h>

#include <tern/tern.h>

#include "tools/drill/drill.h"
#include "tools/script/ast.h"
#include "tools/script/packet.h"

#define FLOWS_MAX          64
#define FDS_MAX            128
#define SCRIPT_DEFINES_MAX 16
#define HISTORY_MAX        16 /* lines shown before a mismatch */

struct script_opts {
	bool verbose, parse_only;
	bool lenient;         /* packets that no line expects are no error, as packetdrill has it */
	int64_t tolerance;    /* ns; -1: the script's, or 4 ms */
	const char *pcap;     /* file to write, or NULL */
	const char *so;       /* library to test, or NULL: tern itself */
	const char *so_flags; /* for it; "" for none */
	/* NAME=VALUE, and NULL after the last */
	const char *define[SCRIPT_DEFINES_MAX + 1];
	unsigned defines;
};

/* What the lines --name=value set. */
struct script_settings {
	int64_t tolerance; /* ns */
	int64_t tick;      /* ns per unit of TS val; 0: TS vals are not compared */
	struct tern_addr local, remote;
	struct script_addresses addresses;
	uint32_t mtu;
	uint16_t mss; /* an injected segment with more was joined by the device; 0: none was */
	uint16_t bind_port, connect_port;
	uint32_t seed;
	bool strict_segments; /* one packet sent for each expected, as in the line */
};

/* A descriptor by the script's number. */
struct script_fd {
	bool used, datagram, connecting;
	bool foreign;           /* carries bytes of another stream (splice) */
	int live;               /* the target's number; also after it was closed */
	uint32_t written, read; /* places in the two streams */
};

struct run;
struct script_spec;

/* A call that has begun, with all that its arguments point to. */
struct script_pending {
	struct script_pending *next;
	const struct script_event *event;
	const struct script_spec *spec;
	struct script_fd *fd; /* that the first argument names, or NULL */
	int64_t from, to;
	struct drill_call call;
	bool opens;     /* a connect() that should send a SYN */
	uint8_t *bytes; /* read into, or written from */
	size_t len;
	void *memory[12]; /* to be freed with it */
	unsigned memories;
	/* a library's: */
	struct run *run;
	pthread_t thread;
	bool threaded;
	bool started, over; /* under the target's lock */
	struct drill_call outcome;
	int tid;
};

/* Who is tested. */
struct script_target {
	bool (*open)(struct run *run);
	void (*close)(struct run *run);
	int64_t (*now)(struct run *run);
	void (*advance)(struct run *run, int64_t to);
	/* The next packet sent, at most by limit; NULL: there is none. The caller frees it. */
	struct drill_frame *(*receive)(struct run *run, int64_t limit);
	/* The next packet if it is known already: without moving the clock. */
	const struct drill_frame *(*held)(struct run *run);
	/* gso_size: of the segments a device has joined in it, 0 for an ordinary packet. */
	void (*inject)(struct run *run, const uint8_t *data, uint32_t len, uint16_t gso_size);
	/* Begins a call; it may block only if the script says so. */
	void (*call)(struct run *run, struct script_pending *p);
	/* Whether a call has finished by now; a thread of its own may take so many ms, of real
	 * time, to notice. */
	void (*await)(struct run *run, struct script_pending *p, int patience);
	/* The state of a connection, also of one closed; -1: it cannot tell. */
	int (*state)(struct run *run, int live);
	/* A tunable: 0, TERN_ENOENT, TERN_ERANGE. */
	int (*set)(struct run *run, const char *name, int64_t value);
	/* What it did wrong besides, or NULL. */
	const char *(*fault)(struct run *run);
};

extern const struct script_target tern_script_builtin, tern_script_library;

struct variable {
	char name[32];
	int64_t value;
};
#define VARIABLES_MAX 32

struct run {
	const struct script *script;
	const struct script_opts *opts;
	const struct script_target *target;
	struct script_settings set;
	struct drill *drill; /* target.c's */
	struct library *lib; /* so.c's */
	int64_t last;        /* when the event before took place, by the script */
	struct script_flow flow[FLOWS_MAX];
	unsigned flows;
	unsigned opening;            /* connects whose SYN was not seen yet */
	struct script_flow *current; /* NULL before the first */
	struct script_fd fd[FDS_MAX];
	int code_fd; /* whose tcp_info %{ }% sees; -1: none */
	struct script_pending *pending;
	struct variable variable[VARIABLES_MAX];
	unsigned variables;
	FILE *pcap;
	unsigned commands_left_out, settings_left_out;
	char left_out[160]; /* their names */
	char history[HISTORY_MAX][SCRIPT_TEXT + 64];
	unsigned lines; /* of history, ever */
	int line;       /* of the event under way */
	bool failed;
	bool unfit;   /* failed as what cannot be run */
	bool reading; /* only: no target, no call made, no assertion kept */
};

/* 0: the script passed; 1: it did not, and said why on stderr; 2: it cannot be run. */
int tern_script_run(const struct script *script, const struct script_opts *opts);
/* Finds what cannot be run without running it: 0, or 2 after saying what. */
int tern_script_review(const struct script *script, const struct script_opts *opts);

/* Says what is wrong with the script's line on stderr; the first time only. */
void tern_script_fail(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Likewise, of a line that cannot be run: the script's fault, not the stack's. */
void tern_script_refuse(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* history.c: what happened, as a ladder. */
enum ladder_mark {
	LADDER_PLAIN,
	LADDER_WANT,
	LADDER_GOT
};
/* "0.100000  |--------->|  . 1:1(0) ack 1"; returns text. */
char *tern_script_ladder(enum ladder_mark mark, int64_t time, const char *packet, char *text,
	size_t size);
/* Remembers a line of it, and prints it with -v. */
void tern_script_note_packet(struct run *run, int64_t time, const char *packet);
void tern_script_note_call(struct run *run, int64_t time, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As tern_script_fail(), with the last lines of the ladder between the first line and the rest. */
void tern_script_fail_ladder(struct run *run, const char *what, const char *rest);

/* options.c: false after tern_script_fail(). */
bool tern_script_settings(struct run *run);
/* Tunables in a command: each word NAME=VALUE whose last part tern knows; also of a shell script it
 * names. */
void tern_script_command(struct run *run, const char *command);
/* What commands asked for and did not get, in one line. */
void tern_script_tell_left_out(const struct run *run);

/* Finds or adds the pair of ports, and makes it the current one. */
struct script_flow *tern_script_flow(struct run *run, uint16_t local_port, uint16_t remote_port);

/* call.c */
/* Whether a call is one that can be made; a refusal if not. */
bool tern_script_call_known(struct run *run, const struct script_call *call);
void tern_script_call(struct run *run, const struct script_event *event, int64_t from, int64_t to);
/* Looks at blocked calls that have finished, and at those that should have by now. */
void tern_script_settle(struct run *run);
/* At the end. */
void tern_script_drop_calls(struct run *run);

/* code.c: the statements of %{ }%. */
void tern_script_code(struct run *run, const char *code);

/* pcap.c: classic pcap of bare IP packets, ns. */
FILE *tern_script_pcap_open(const char *path);
void tern_script_pcap_write(FILE *pcap, int64_t time, const uint8_t *data, uint32_t len);

#endif
