/*
 * The relay: bytes between a connection and a descriptor, straight from and to the rings.
 *
 *	int ends[2];
 *	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
 *	tern_relay_start(host, conn, ends[0], &(struct tern_relay_opts){.done = forget});
 *	give_to_program(ends[1]);
 *
 * Back-pressure goes both ways: a descriptor that takes no more closes the window, a connection
 * that takes no more stops the reading. The two directions end on their own: the descriptor's
 * end of file becomes our FIN, the peer's FIN becomes shutdown(SHUT_WR).
 * A program that is gone while the peer still sends costs the peer a reset, as with the kernel; a
 * reset by the peer closes the descriptor (a TCP socket is reset, too).
 */
#ifndef TERN_RELAY_H
#define TERN_RELAY_H

#include <tern/host.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_relay;

struct tern_relay_result {
	int error;               /* 0, or the tern_err that ended the connection */
	bool connected;          /* it was ESTABLISHED at some time */
	bool gone;               /* the other end of the descriptor was closed first */
	uint64_t to_fd, from_fd; /* bytes */
	struct tern_endpoint local, remote;
};

struct tern_relay_opts {
	/* The open succeeded; may be NULL. Not called for a connection that was accepted. */
	void (*connected)(void *context);
	/* The connection is over; its handle is good for the last time, to ask what it did. Nothing
	 * may be done to it or to the relay. May be NULL. */
	void (*ending)(void *context);
	/* All is over, descriptor and handle are closed, the relay is gone; called once. May be
	 * NULL. */
	void (*done)(void *context, const struct tern_relay_result *result);
	void *context;
	/* The descriptor is an AF_UNIX stream with one byte in it that is nobody's. The relay
	 * always leaves the last byte unread, passed on or not: so closing on an error looks like a
	 * reset to the other end, whatever was read before, and never like an end of file. A byte
	 * that the other end sends with MSG_OOB becomes urgent data, and urgent data such a byte.
	 */
	bool keep_last;
};

/*
 * Takes a connection, open or still opening, and a non-blocking stream socket; both are
 * the relay's from now on. NULL when memory is short: then both are still the caller's. done is not
 * called from within it.
 */
struct tern_relay *tern_relay_start(struct tern_host *host, struct tern_conn conn, int fd,
	const struct tern_relay_opts *opts);
/* Ends it at once: the peer is reset, the descriptor closed, done called. */
void tern_relay_abort(struct tern_relay *relay);
/* Whether the end of the program resets the peer (SO_LINGER of 0 s). */
void tern_relay_reset_on_close(struct tern_relay *relay, bool reset);
/* Passes on what the descriptor holds now, as far as there is room: what the program wrote before
 * it asked something about the connection. The relay may be over afterwards: true if it lives. */
bool tern_relay_flush(struct tern_relay *relay);
/* Bytes written to the descriptor that were not passed on yet. */
size_t tern_relay_waiting(const struct tern_relay *relay);
/* What it did so far. */
void tern_relay_status(const struct tern_relay *relay, struct tern_relay_result *out);

#ifdef __cplusplus
}
#endif
#endif
