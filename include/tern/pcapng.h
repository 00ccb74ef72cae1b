/*
 * A capture of everything a stack sends and receives, as a pcapng file, with a comment on each
 * packet that says in plain words what the stack made of it or why it was sent.
 *
 *	struct tern_pcapng_opts opts = {.epoch = epoch};
 *	struct tern_pcapng *capture = tern_pcapng_open("demo.pcapng", &opts);
 *	tern_pcapng_interface(capture, nif, &nif_opts);
 *	struct tern_trace_listener listener = tern_pcapng_listener(capture);
 *	tern_trace_set(stack, &listener);
 *	...
 *	if (tern_pcapng_close(capture) != 0)
 *		fprintf(stderr, "demo.pcapng: %s\n", tern_host_error());
 *
 * The file is pcapng 1.0 (draft-ietf-opsawg-pcapng): one section, nanosecond timestamps, direction
 * flags. A loopback frame is one packet, written when it arrives. Unfinished checksums are finished
 * in the captured copy. What is larger than the MTU is written as it is. One capture serves one
 * stack.
 */
#ifndef TERN_PCAPNG_H
#define TERN_PCAPNG_H

#include <tern/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_pcapng;

struct tern_pcapng_opts {
	uint32_t snaplen; /* most bytes kept of a frame; 0: all */
	uint64_t epoch;   /* ns from 1970 to the stack's time 0; added to every event's time */
	bool no_comments;
	/* Told once, when writing first fails (a full disk, say); nothing more is written then. The
	 * file ends after a whole block. May be NULL: tern_pcapng_close tells too. */
	void (*failed)(void *context, const char *text);
	void *context;
};

/* Creates or truncates a file. NULL, with a text in tern_host_error(). opts may be NULL. */
struct tern_pcapng *tern_pcapng_open(const char *path, const struct tern_pcapng_opts *opts);
/* The same into a descriptor open for writing, which need not be seekable. It is owned, and closed
 * by tern_pcapng_close; on failure it stays the caller's. */
struct tern_pcapng *tern_pcapng_open_fd(int fd, const struct tern_pcapng_opts *opts);

/*
 * Describes an interface; opts are what tern_nif_info gives. Only the first call for a number
 * counts, and it must come before that interface's first frame: one not described by then is
 * written as "nifN", Ethernet (number 0: "lo", raw IP).
 */
void tern_pcapng_interface(struct tern_pcapng *capture, int nif, const struct tern_nif_opts *opts);

/* What to give to tern_trace_set; valid until the capture is closed. */
struct tern_trace_listener tern_pcapng_listener(struct tern_pcapng *capture);

/* Writes out what is buffered, so that another program can read it. 0, or -1 after a failure. */
int tern_pcapng_flush(struct tern_pcapng *capture);
/* Packets captured so far. */
uint64_t tern_pcapng_packets(const struct tern_pcapng *capture);
/* Flushes, closes and frees. 0, or -1 with the first failure in tern_host_error(). NULL is
 * harmless. */
int tern_pcapng_close(struct tern_pcapng *capture);

#ifdef __cplusplus
}
#endif
#endif
