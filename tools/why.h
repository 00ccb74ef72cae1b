/*
 * `tern why`: why a connection does not move.
 *
 *	why.c          the command: which connections, what is printed of each
 *	why_causes.c   what a row of "connections" (docs/control.md) says, in words
 *	why_groups.c   many connections that wait for the same thing, in one sentence
 *	why_record.c   what the flight recorder has of one
 */
#ifndef TOOLS_WHY_H
#define TOOLS_WHY_H

#include "tools/rows.h"

#define WHY_TEXT     512
#define WHY_FACTS    8
#define WHY_EVIDENCE 10

/* In the order in which they are told. */
enum why_cause {
	WHY_DEAD,
	WHY_QUEUE_FULL,   /* listener */
	WHY_QUEUE_WAITS,  /* listener */
	WHY_UNACCEPTED,   /* in an accept queue */
	WHY_SYN,          /* unanswered */
	WHY_SYN_ACK,      /* unanswered */
	WHY_HANDSHAKE,    /* its listener's accept queue is full */
	WHY_NEIGHBOUR,    /* does not answer ARP */
	WHY_RETRANSMIT,   /* unacknowledged */
	WHY_PEER_WINDOW,  /* closed */
	WHY_SMALL_WINDOW, /* not worth a segment */
	WHY_KEEPALIVE,    /* unanswered */
	WHY_NOT_READ,     /* the program does not read, and our window is closed */
	WHY_UNREAD,       /* and it is open */
	WHY_HOLE,         /* a segment is missing */
	WHY_CLOSE_WAIT,
	WHY_FIN_WAIT_2,
	WHY_FIN_UNACKED,
	WHY_RECOVERING,
	WHY_IN_WINDOW, /* all of the peer's window is in flight */
	WHY_IN_CWND,
	WHY_NAGLE,
	WHY_CORK,
	WHY_PACING,
	WHY_DEVICE,
	WHY_IN_FLIGHT,
	WHY_BLACK_HOLE, /* larger segments vanish */
	WHY_TIME_WAIT,
	WHY_LISTENING,
	WHY_IDLE,
	WHY_CAUSES
};

/* "close-wait": what --json calls it. */
const char *tern_why_name(enum why_cause cause);

struct why_fact {
	enum why_cause cause;
	bool stuck;     /* it does not move by itself, for a second or longer */
	int64_t age_us; /* since when; -1: not known */
	int64_t bytes;  /* that it is about */
	char says[WHY_TEXT];
	const char *evidence[WHY_EVIDENCE]; /* members of the row, ended by NULL */
};

struct why_facts {
	unsigned count; /* at least 1 */
	struct why_fact fact[WHY_FACTS];
};

/* What there is to say about a row, most telling first. listener: the row of the listener it came
 * through, or NULL. */
void tern_why_explain(json_t *row, json_t *listener, struct why_facts *out);

/* "12 s", "2 min 5 s"; "1,834"; "5,000 bytes", "64 KiB". */
#define WHY_WORD 32
const char *tern_why_time(int64_t us, char text[WHY_WORD]);
const char *tern_why_count(int64_t n, char text[WHY_WORD]);
const char *tern_why_bytes(int64_t n, char text[WHY_WORD]);

/* --- why_groups.c */

/* A connection, what it waits for and who holds it. */
struct why_case {
	json_t *row, *owners; /* lent; owners may be NULL */
	struct why_facts facts;
};

/* "pid 4242 (python3)", "pids 7, 8 (nginx)"; "" if nobody is known. */
const char *tern_why_holder(json_t *owners, char text[WHY_TEXT]);
/* What all of these have in common: their first fact, and who holds them. */
bool tern_why_alike(const struct why_case *a, const struct why_case *b);
/* One sentence about n of a kind, the oldest of which is given. */
void tern_why_many(const struct why_case *oldest, size_t n, int64_t bytes, char says[WHY_TEXT]);

/* --- why_record.c */

struct why_record {
	const char *stack;
	const char *pcap; /* a file to write; NULL: none */
	bool ladder, json;
};
/* What the recorder has of a connection: writes and prints what is wanted, and says how it ended if
 * it is no more. With json, adds to `out` instead of printing. 0, 1 if nothing is recorded, -1
 * after saying what went wrong. */
int tern_why_record(const struct why_record *want, const char *local, const char *remote, bool gone,
	json_t *out);

#endif
