/*
 * The flight recorder: what happened lately to each connection of a stack, in bounded memory, so
 * that one can look back when something went wrong.
 *
 *	struct tern_recorder *recorder = tern_recorder_new(NULL);
 *	tern_recorder_interface(recorder, nif, &nif_opts);
 *	struct tern_trace_listener listener = tern_recorder_listener(recorder);
 *	tern_trace_set(stack, &listener);
 *	...
 *	struct tern_endpoint ends[2] = {info.local, info.remote};
 *	tern_recorder_save(recorder, ends, fd, NULL);                          as pcapng
 *	tern_recorder_replay(recorder, ends, tern_ladder_listener(ladder));    or to any listener
 *
 * It is a listener of the trace stream and keeps its events in a ring, the oldest giving way, with
 * the first bytes of each frame. A quarter of the ring is for SYNs, half-open connections and what
 * belongs to no connection: a flood of those washes away nothing else. A quarter is for what tells
 * most: changes of state, and of each connection ten FINs and RSTs and ten other events a second.
 * So a transfer at full speed, or a flood, which has the other half, does not wash away how the
 * others began and stand. Of plain data it keeps the segments, and not what they did to round-trip
 * time and window; timers only when they fire. One recorder serves one stack.
 */
#ifndef TERN_RECORDER_H
#define TERN_RECORDER_H

#include <tern/pcapng.h>
#include <tern/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_recorder;

#define TERN_RECORDER_BYTES_MIN (64u << 10)
#define TERN_RECORDER_BYTES_MAX (1u << 30)

/* Zero means the default everywhere. */
struct tern_recorder_opts {
	size_t bytes;     /* the ring: default 4 MiB; TERN_RECORDER_BYTES_MIN to _MAX */
	uint32_t snaplen; /* bytes kept of a frame: default 160, which holds all headers; 64..1024
			   */
	uint64_t seed;    /* of a hash that peers must not foresee: default a random one */
};

/* NULL if memory is short or an option out of range. opts may be NULL. */
struct tern_recorder *tern_recorder_new(const struct tern_recorder_opts *opts);
/* NULL is harmless. */
void tern_recorder_free(struct tern_recorder *recorder);
/* What to give to tern_trace_set; valid until the recorder is freed. */
struct tern_trace_listener tern_recorder_listener(struct tern_recorder *recorder);
/* Describes an interface, as tern_nif_info does, before its first frame; one not described is
 * taken for Ethernet (number 0: raw IP). */
void tern_recorder_interface(struct tern_recorder *recorder, int nif,
	const struct tern_nif_opts *opts);

/*
 * Tells a listener again, oldest first, what is kept of the connections between these two
 * endpoints, whichever end is ours. Frames may be cut short (tern_trace.captured). Returns how many
 * records that were; 0 also when memory is short. The recorder must not be told anything meanwhile.
 */
size_t tern_recorder_replay(const struct tern_recorder *recorder,
	const struct tern_endpoint between[2], struct tern_trace_listener to);
/* The same as a capture, into a descriptor as tern_pcapng_open_fd takes it: closed also on failure.
 * Returns the number of packets, or -1 with a text in tern_host_error(). opts may be NULL. */
int64_t tern_recorder_save(const struct tern_recorder *recorder,
	const struct tern_endpoint between[2], int fd, const struct tern_pcapng_opts *opts);

struct tern_recorder_info {
	size_t bytes;      /* of the ring */
	uint64_t recorded; /* records there ever were */
	uint64_t lost;     /* of them, those that gave way */
};
void tern_recorder_info(const struct tern_recorder *recorder, struct tern_recorder_info *out);

#ifdef __cplusplus
}
#endif
#endif
