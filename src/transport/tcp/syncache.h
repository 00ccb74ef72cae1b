/*
 * Half-open connections of all listeners (RFC 4987 3.4): 64 bytes each in a table of fixed size,
 * where a keyed hash names two buckets of SYN_WAYS places for each pair; no more than half of the
 * table is used. SYN-ACKs are said again after 1, 2, 4 ... s: the same for all, so those that wait
 * equally long stand in one queue, and time looks at the heads only.
 *
 *	list[k]                SYN-ACK said k times again (or more, for the last): an answer is due
 *	list[SYN_STAGES + nif] SYN-ACK waits for that device
 *	list[SYN_PARKED + nif] and for the MAC of its next hop
 */
#ifndef TERN_TCP_SYNCACHE_H
#define TERN_TCP_SYNCACHE_H

#include <tern/stack.h>
#include "base/mem.h"
#include "base/seq.h"

#define SYN_WAYS        8u
#define SYN_STAGES      8 /* beyond, the interval is tcp_rto_max */
#define SYN_PARKED      (SYN_STAGES + TERN_NIF_MAX)
#define SYN_LISTS       (SYN_PARKED + TERN_NIF_MAX)
#define SYN_NO_WSCALE   15u
#define STUB_CLOCK_BITS 11

/* Places in the table; those from syncache.size on are the lists' ends. */
#define SYN_PLACE_BITS 23
#define SYN_PLACE_MASK ((1u << SYN_PLACE_BITS) - 1)

struct syn_links {
	uint32_t next : SYN_PLACE_BITS;
	uint32_t acked : 1; /* the handshake is complete, data is waited for (TCP_DEFER_ACCEPT) */
	uint32_t tries : 8; /* SYN-ACKs sent again, by time */
	uint32_t prev : SYN_PLACE_BITS;
	uint32_t snd_wscale : 4; /* SYN_NO_WSCALE: none was agreed on */
	uint32_t rcv_wscale : 4;
	uint32_t outdated : 1; /* its SYN-ACK said a window larger than the listener's is now */
};

struct syn {
	struct tern_addr local, remote;
	uint16_t local_port, remote_port; /* local_port 0: a vacant place */
	tern_seq iss, irs;
	uint32_t ts_recent;
	uint32_t due; /* us: when to look again; not while the SYN-ACK is due */
	struct syn_links link;
	uint16_t mss;                               /* of the SYN's option; 0: none */
	uint16_t sent : 1, resent : 1;              /* the SYN-ACK: at all, more than once */
	uint16_t sack : 1, timestamps : 1, ecn : 1; /* agreed on */
	uint16_t replied : STUB_CLOCK_BITS;         /* see stub.c */
};

_Static_assert(sizeof(struct syn) == 64, "a half-open connection is 64 bytes");

struct syncache {
	struct syn *entry; /* NULL: there is no listener with one */
	uint32_t size;     /* places */
	uint32_t count;    /* of them in use */
	struct syn_links list[SYN_LISTS];
};

#endif
