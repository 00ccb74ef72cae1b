/*
 * The lab: two stacks joined by a wire in virtual time, and a story told about what they do. An
 * experiment plays it, says what should be seen, and looks whether it was:
 *
 *	world.c     the two hosts, the wire, time; what may be lost on purpose
 *	pace.c      how fast it is told (--realtime)
 *	story.c     paragraphs in two languages, queues drawn over time, ladders, verdicts
 *	layers.c    experiments on what goes over the wire: every header, field by field
 *	door.c      experiments on opening: handshake, SYN timeout, floods, the accept queue
 *	data.c      on carrying: retransmission, windows, keepalive
 *	close.c     on ending: four ways of closing, TIME_WAIT, CLOSE_WAIT, resets
 *
 * Nothing in it but pace.c knows the time or the machine: the same experiment prints the same,
 * always.
 */
#ifndef TOOLS_LAB_LAB_H
#define TOOLS_LAB_LAB_H

#include <stdbool.h>
#include <stdio.h>
#include <tern/impair.h>
#include <tern/ladder.h>
#include <tern/pcapng.h>
#include <tern/setting.h>
#include <tern/tee.h>
#include <tern/tern.h>

#define LAB_MS  UINT64_C(1000000)
#define LAB_SEC UINT64_C(1000000000)

enum {
	CLIENT,
	SERVER,
	LAB_HOSTS
};

#define LAB_EXPECTATIONS 24
#define LAB_SAMPLES      2048
#define LAB_SETTINGS     32

/* In both languages. */
struct text {
	const char *en, *zh;
};

struct lab_host {
	struct tern_stack *stack;
	int nif;
	struct tern_wire *out; /* what it sends */
	uint64_t sent;         /* frames */
	size_t memory, memory_peak;
};

struct lab_sample {
	uint64_t at;
	uint32_t value;
};

struct lab {
	const struct lab_opts *opts;
	struct lab_host host[LAB_HOSTS];
	uint64_t now, began;
	uint64_t wall_began; /* on the machine's clock */
	/* Whether the wire eats this frame, from that host; NULL: it eats none. */
	bool (*eat)(struct lab *lab, unsigned from, const struct tern_frame *frame);
	int counter; /* for eat */
	/* What a program does at once when something has arrived at its host; NULL: nothing. */
	void (*react)(struct lab *lab, unsigned host);
	struct tern_listener listener; /* the server's, on port 80 */
	struct tern_conn conn[LAB_HOSTS];
	struct tern_ladder *ladder;
	struct tern_pcapng *pcap;
	struct tern_tee tee[LAB_HOSTS];
	struct {
		bool ok;
		char text[160];
	} expected[LAB_EXPECTATIONS];
	unsigned expectations;
	bool broken; /* the experiment could not be set up */
};

struct lab_opts {
	bool json, zh;
	double speed; /* virtual seconds a second; 0: at once */
	const char *pcap;
	const char *settings[LAB_SETTINGS]; /* "name=value", both hosts */
	unsigned setting_count;
};

struct experiment {
	const char *name;
	struct text title;
	void (*play)(struct lab *lab);
	bool ethernet; /* the wire carries frames; else bare IP packets */
};

extern const struct experiment lab_layers[], lab_door[], lab_data[],
	lab_close[]; /* ended by a NULL name */

/* --- world.c: times are since the beginning of the experiment */
int lab_open(struct lab *lab, const struct experiment *e, const struct lab_opts *opts);
void lab_shut(struct lab *lab);
/* A setting, unless the user gave another value for it. */
void lab_set(struct lab *lab, unsigned host, const char *name, int64_t value);
/* What is in force. */
int64_t lab_get(const struct lab *lab, unsigned host, const char *name);
/* Lets time pass; what happens, happens. */
void lab_run(struct lab *lab, uint64_t ns);
uint64_t lab_now(const struct lab *lab);
void lab_listen(struct lab *lab, unsigned backlog);
/* The client opens a connection to port 80; the call, not the handshake. */
struct tern_conn lab_connect(struct lab *lab);
/* A whole connection: lab->conn, accepted. */
void lab_establish(struct lab *lab);
void lab_write(struct lab *lab, unsigned host, size_t n);
/* Reads all there is; returns how much. */
size_t lab_read(struct lab *lab, unsigned host);
enum tern_tcp_state lab_state(const struct lab *lab, unsigned host);
struct tern_tcp_info lab_info(const struct lab *lab, unsigned host);
/* Half-open connections and those that wait to be accepted, at the server. */
uint32_t lab_half_open(const struct lab *lab);
uint32_t lab_queued(const struct lab *lab);
uint64_t lab_count(const struct lab *lab, unsigned host, enum tern_counter which);
uint64_t lab_drops(const struct lab *lab, unsigned host, enum tern_drop why);
/* The tern_err that ended a connection; 0: none. */
int lab_error(struct lab *lab, unsigned host);
/* A SYN with the address of somebody who is not there, straight into the server. */
void lab_spoof_syn(struct lab *lab, uint32_t number);
/* The flags of the TCP segment in a frame; -1 if it is none. */
int lab_flags(const struct tern_frame *frame);
#define LAB_FIN 1
#define LAB_SYN 2
#define LAB_RST 4
#define LAB_ACK 16

/* --- pace.c */
void lab_pace_begin(struct lab *lab);
/* Waits until the story may tell what happened then (ns, since the beginning). May end the process,
 * in order: the user has had enough. */
void lab_pace(const struct lab *lab, uint64_t at);

/* --- story.c */
void lab_title(const struct lab *lab, const struct experiment *e);
/* A paragraph, with printf's formats (the same in both languages). */
void lab_tell(const struct lab *lab, struct text text, ...);
/* What should be so. */
void lab_expect(struct lab *lab, bool ok, struct text text);
/* A line of # over time for each sample. */
void lab_draw(const struct lab *lab, struct text title, const struct lab_sample *samples,
	unsigned n, uint32_t limit);
/* The connections seen so far. */
void lab_show_ladder(struct lab *lab);
/* The expectations, and whether all were met. */
bool lab_verdict(const struct lab *lab, const struct experiment *e);

#endif
