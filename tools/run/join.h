/*
 * How a program comes to a stack: what is said between the process that starts it and the one that
 * has the stack, a packet each (SOCK_SEQPACKET), over a pair of sockets or over NAME.join.
 *
 *	WELCOME   up -> run      who is there, and the programs' user and network namespaces
 *	LISTENER  program -> up  the listener of its filter, before it becomes what was asked for
 *	GO        up -> program  it is looked after: the program may begin
 *	REFUSED   up -> both     instead of WELCOME or GO, and why
 *	ENDED     run -> up      none of its processes is left
 *	COUNTS    up -> run      what it did; the last word
 *
 * Whoever closes without a last word has died: the program's connections are reset, or the stack's
 * programs have none any more.
 */
#ifndef TOOLS_RUN_JOIN_H
#define TOOLS_RUN_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#define JOIN_PROTOCOL 1
#define JOIN_FDS_MAX  2

enum join_kind {
	JOIN_WELCOME = 1,
	JOIN_LISTENER,
	JOIN_GO,
	JOIN_REFUSED,
	JOIN_ENDED,
	JOIN_COUNTS,
};

struct join_message {
	uint32_t protocol, kind;
	uint64_t calls, connects, accepts; /* COUNTS */
	char text[104];                    /* LISTENER: the command; REFUSED: why. Ended by a 0 */
};

/* Sends one, with descriptors; false with errno. Never waits. */
bool tern_join_send(int fd, const struct join_message *message, const int *fds, unsigned fd_count);
/* Receives one: true, and fds has as many descriptors as came, the caller's from then on, -1 in the
 * places of those that did not. False at the end, on an error, and for what is no message; errno is
 * 0 at the end. */
bool tern_join_recv(int fd, struct join_message *message, int fds[JOIN_FDS_MAX]);

#endif
