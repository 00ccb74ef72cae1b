/*
 * UDP for applications (RFC 768, RFC 1122 4.1).
 *
 *	struct tern_udp u;
 *	tern_udp_open(stack, &(struct tern_udp_opts){.local.port = 53}, &u);
 *	while ((n = tern_udp_recv(stack, u, buf, sizeof buf, &from, NULL)) >= 0)
 *		tern_udp_send(stack, u, reply, m, &from);
 */
#ifndef TERN_UDP_H
#define TERN_UDP_H

#include <tern/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tern_udp_opts {
	struct tern_endpoint local;  /* port 0: one is chosen; unspecified address: any */
	struct tern_endpoint remote; /* zero, or the only peer (a connected socket) */
	void *user;
	uint32_t rcvbuf; /* bytes queued at most; 0: udp_rmem_default */
	uint8_t ttl;     /* 0: ip_default_ttl */
	bool broadcast;  /* may send to a broadcast address */
};

/* TERN_EADDRINUSE, TERN_EADDRNOTAVAIL, TERN_ENETUNREACH, TERN_EINVAL, TERN_ENOMEM. */
int tern_udp_open(struct tern_stack *stack, const struct tern_udp_opts *opts, struct tern_udp *out);
/*
 * Sends one datagram, fragmented if it must be; to is NULL on a connected socket. Returns 0,
 * TERN_EMSGSIZE over 65,507 bytes, TERN_EAGAIN when the interface's queue is full,
 * TERN_ENETUNREACH, TERN_EHOSTUNREACH when the neighbour does not answer, TERN_EACCES for a
 * broadcast not asked for, TERN_EINVAL without a destination, TERN_EISCONN with one on a connected
 * socket, TERN_ENOMEM, or a pending error of the socket.
 */
int tern_udp_send(struct tern_stack *stack, struct tern_udp udp, const void *data, size_t len,
	const struct tern_endpoint *to);
/*
 * Takes the oldest datagram: copies what fits and returns its full length (more than size means
 * it was cut), TERN_EAGAIN when none waits, or a pending error, once: TERN_ECONNREFUSED
 * after a port unreachable on a connected socket. from and at (the local address it was sent
 * to) may be NULL.
 */
ptrdiff_t tern_udp_recv(struct tern_stack *stack, struct tern_udp udp, void *data, size_t size,
	struct tern_endpoint *from, struct tern_endpoint *at);
int tern_udp_endpoint(const struct tern_stack *stack, struct tern_udp udp,
	struct tern_endpoint *local);
int tern_udp_close(struct tern_stack *stack, struct tern_udp udp);

struct tern_udp_info {
	struct tern_endpoint local;
	struct tern_endpoint remote; /* all zero unless it is connected */
	uint32_t queued;             /* bytes waiting to be read, bookkeeping included */
	uint32_t rcvbuf;             /* and how many may */
	void *user;
};
/* Walks all sockets: start with *cursor 0; false at the end. Opening and closing meanwhile is
 * allowed. */
bool tern_udp_each(const struct tern_stack *stack, uint32_t *cursor, struct tern_udp_info *out);

#ifdef __cplusplus
}
#endif
#endif
