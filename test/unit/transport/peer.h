/*
 * The other end of a connection, played by hand: segments as a test writes them, against one
 * stack on a bare IP interface. The stack is 10.0.0.1, the peer 10.0.0.2.
 */
#ifndef TEST_TRANSPORT_PEER_H
#define TEST_TRANSPORT_PEER_H

#include "../support.h"
#include <tern/tern.h>
#include "transport/tcp/tcp.h"
#include "wire/tcp.h"

#define PEER_PORT  40000
#define STACK_PORT 80
#define MSEC       UINT64_C(1000000)
#define SEC        UINT64_C(1000000000)

struct peer {
	struct test_heap heap;
	struct tern_stack *stack;
	int nif;
	uint64_t now;
	uint16_t port; /* the peer's own */
	uint16_t stack_port;
	struct tern_addr to; /* where its segments go; unspecified: the stack */
	uint32_t iss;        /* the peer's initial number */
	uint32_t seq, ack;   /* the peer's SND.NXT and RCV.NXT, for peer_say() */
	uint16_t window;     /* the peer's, as on the wire; 65535 at first */
	bool timestamps;     /* the peer's segments carry them */
	uint32_t tsval, tsecr;
	uint8_t tos; /* of the peer's packets */
	struct tern_listener listener;
	struct tern_conn conn;
	uint8_t frame[65536]; /* the last frame taken */
	uint32_t frame_len;
	struct tcp_segment last; /* as parsed; data points into frame */
	uint8_t last_tos;
	struct tern_addr last_src; /* the stack's address, in it */
};

/* How a stack may differ from the usual one; zero parts are the defaults. */
struct peer_setup {
	uint64_t now;
	uint8_t seed;
	size_t budget;
	uint32_t mtu;
};

void peer_open(struct peer *p);
void peer_open_as(struct peer *p, const struct peer_setup *setup);
/* Changes one of the stack's settings. */
void peer_set(struct peer *p, const char *name, int64_t value);
/* Frees the stack and asserts that nothing leaked. */
void peer_close(struct peer *p);
/* Sends exactly that segment (ports are filled in). */
void peer_send(struct peer *p, const struct tcp_segment *s);
/* Sends flags and n bytes of data at offset `off` of the peer's stream, acknowledging p->ack. */
void peer_say(struct peer *p, uint16_t flags, uint32_t off, const void *data, uint32_t n);
/* Takes the next frame the stack has for the peer, checking its checksum; false if none. */
bool peer_take(struct peer *p);
/* Takes and counts everything waiting. */
unsigned peer_drain(struct peer *p);
/* Lets time pass. */
void peer_wait(struct peer *p, uint64_t ns);
/* Lets it pass until the stack sends, and takes that; false if it stays silent for ns. */
bool peer_expect(struct peer *p, uint64_t ns);
/* Lets it pass, dropping all that the stack sends; returns how many segments that were. */
unsigned peer_ignore(struct peer *p, uint64_t ns);
/* The stack listens; the peer opens with these options (flags of TCP_OPT_*), and it is accepted. */
void peer_listen(struct peer *p);
void peer_connect(struct peer *p, uint32_t iss, const struct tcp_options *options);
void peer_listen_backlog(struct peer *p, unsigned backlog);
/* A SYN from that port, with these options (NULL: none). */
void peer_syn(struct peer *p, uint16_t port, const struct tcp_options *options);
/* And its SYN-ACK: what peer_say() says next is the third segment. */
void peer_half(struct peer *p, uint16_t port, const struct tcp_options *options);
/* All that a SYN may offer. */
extern const struct tcp_options peer_everything;
/* The stack opens; the peer answers with these options. */
void peer_answer(struct peer *p, uint32_t iss, const struct tcp_options *options);
/* Only the first half of that: p->last is the stack's SYN. */
void peer_dial(struct peer *p);
/* The peer sends its FIN, at p->seq, and counts it. */
void peer_fin(struct peer *p);
/* A connection, on a stack just opened, in that state: the handle stays with the test. The
 * stack's FIN, where it was sent, is counted in p->ack if it is acknowledged in that state. */
void peer_bring(struct peer *p, enum tern_tcp_state state);
/* Whether the last frame taken has just these flags; PSH and URG do not matter. */
bool peer_last_is(const struct peer *p, uint16_t flags);
/* An ICMP error from the peer about the segment at seq. */
void peer_icmp(struct peer *p, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq);
enum tern_tcp_state peer_state(const struct peer *p);
struct tern_tcp_info peer_info(const struct peer *p);
/* The connection's block, for what STATUS does not tell. */
struct tcb *peer_tcb(const struct peer *p);
/* Connections of the stack, in whatever state, those without a handle too. */
uint32_t peer_connections(const struct peer *p);
uint64_t peer_drops(const struct peer *p, enum tern_drop why);

#endif
