/* Two stacks on one core, joined by handing frames over: what every row measures on. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include <tern/recorder.h>
#include <tern/tern.h>

#define PAIR_BATCH 64

struct pair_opts {
	uint32_t mtu;
	bool checksums; /* in software, both ways; else offloaded to nobody */
	bool recorded;  /* a flight recorder on either stack */
	bool tso;       /* frames of up to 64 KiB, cut by nobody; not with checksums */
	size_t budget;
};

struct pair {
	struct tern_stack *client, *server;
	struct tern_recorder *recorder[2]; /* NULL: not recorded */
	int nif;                           /* the same number on both */
	uint64_t now;
	uint32_t mtu;
	bool checksums;
	uint64_t frames; /* handed over so far */
	uint8_t *buffers;
	uint32_t room;
	struct tern_frame batch[PAIR_BATCH];
};

/* Exits with a sentence on failure, as all of these do: a benchmark that limps measures nothing. */
void pair_open(struct pair *pair, const struct pair_opts *opts);
void pair_close(struct pair *pair);
/* Hands over what either side has, until both are silent or `rounds` exchanges are done. */
void pair_run(struct pair *pair, unsigned rounds);
/* Lets virtual time pass, ns. */
void pair_wait(struct pair *pair, uint64_t ns);
struct tern_listener pair_listen(struct pair *pair, uint16_t port);
/* Opens one connection: both ends. */
void pair_connect(struct pair *pair, struct tern_listener l, uint16_t port,
	struct tern_conn *client, struct tern_conn *server);

void bench_fail(const char *what, int err);

#endif
