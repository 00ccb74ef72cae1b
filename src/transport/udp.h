/*
 * UDP sockets. Connected ones are found by both endpoints, the others by local port; of those
 * the most specific address wins. The functions of <tern/udp.h> are implemented here on what
 * tern_stack_udp() yields.
 */
#ifndef TERN_TRANSPORT_UDP_H
#define TERN_TRANSPORT_UDP_H

#include <tern/udp.h>
#include "base/htab.h"
#include "network/ip.h"

struct udp_socket;

struct udp {
	struct core *core;
	struct ip *ip;
	struct pool sockets;
	struct htab connected; /* by local and remote endpoint */
	struct htab bound;     /* all others, by local port */
	struct siphash_key key;
};

void tern_udp_init(struct udp *udp, struct core *core, struct ip *ip);
void tern_udp_fini(struct udp *udp);
/* A datagram for us; false if no socket wants it (the IP layer then says port unreachable). */
bool tern_udp_deliver(struct udp *udp, const struct ip_in *in);
/* An ICMP error about a datagram that claims to be ours. */
void tern_udp_error(struct udp *udp, const struct ip_error *error);
/* Whose notice, of owner NOTICE_UDP, that is. */
void tern_udp_notice_owner(const struct udp *udp, const struct notice *notice,
	struct tern_udp *handle, void **user);
uint32_t tern_udp_count(const struct udp *udp);

/* Provided by stack.c. */
struct udp *tern_stack_udp(struct tern_stack *stack);
const struct udp *tern_stack_udp_const(const struct tern_stack *stack);

#endif
