/*
 * TIME_WAIT without a TCB: once nobody holds its handle and its last ACK is out, what a connection
 * needs to wait out 2MSL is 48 bytes. All wait equally long, so they stand in one queue.
 */
#ifndef TERN_TCP_TIMEWAIT_H
#define TERN_TCP_TIMEWAIT_H

#include <tern/stack.h>
#include "base/htab.h"
#include "base/pool.h"
#include "base/seq.h"
#include "transport/tcp/syncache.h"

#define TIME_WAIT_SLOT_BITS 29
#define TIME_WAIT_NONE      ((1u << TIME_WAIT_SLOT_BITS) - 1)

struct time_wait {
	struct path *path; /* holds both addresses */
	/* Slots, or TIME_WAIT_NONE; and the DSCP of its ACKs. */
	uint64_t next : TIME_WAIT_SLOT_BITS, prev : TIME_WAIT_SLOT_BITS, dscp : 6;
	uint16_t local_port, remote_port;
	tern_seq iss, irs, snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t due;    /* us: the end */
	uint16_t window; /* the field of its ACKs */
	uint16_t rcv_wscale : 4, timestamps : 1;
	uint16_t replied : STUB_CLOCK_BITS; /* see stub.c */
};

_Static_assert(sizeof(struct time_wait) == 48, "a connection in TIME_WAIT is 48 bytes");

struct time_waits {
	struct pool pool;
	struct htab table;         /* by addresses and ports */
	uint32_t oldest, youngest; /* slots, or TIME_WAIT_NONE */
};

#endif
