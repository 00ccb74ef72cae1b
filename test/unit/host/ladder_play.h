/*
 * Plays connections as the core would tell them: each call is a frame's worth of events.
 * Times are in us. Sequence numbers are relative to ISNs of 1000 (client) and 9000 (server).
 */
#ifndef TEST_UNIT_HOST_LADDER_PLAY_H
#define TEST_UNIT_HOST_LADDER_PLAY_H

#include <stdio.h>

#include <tern/ladder.h>

#include "test/unit/support.h"

#define F 0x01
#define S 0x02
#define R 0x04
#define P 0x08
#define A 0x10

#define NOT (-1)

struct play {
	struct tern_trace_listener to;
	bool server;                  /* whose stack speaks now */
	enum tern_tcp_state state[2]; /* of the client's stack, of the server's */
	struct tern_frame frame;
};

static inline struct tern_endpoint play_end(bool server)
{
	return (struct tern_endpoint){tern_addr_v4(10, 77, 0, server ? 1 : 2), server ? 80 : 49152};
}

static inline void play_tell(struct play *p, unsigned us, struct tern_trace t)
{
	t.now = 5000000000ull + us * 1000ull;
	t.conn.local = play_end(p->server);
	t.conn.remote = play_end(!p->server);
	t.conn.state = p->state[p->server];
	if (t.kind == TERN_TRACE_FRAME_IN || t.kind == TERN_TRACE_FRAME_OUT ||
		t.kind == TERN_TRACE_FRAME_DONE)
		t.frame = &p->frame;
	p->to.see(p->to.context, &t);
}

static inline void play_state(struct play *p, unsigned us, enum tern_tcp_state to,
	enum tern_cause cause)
{
	struct tern_trace t = {.kind = TERN_TRACE_STATE, .nif = -1, .has_conn = true};
	t.state.from = p->state[p->server];
	t.state.to = to;
	t.state.cause = cause;
	p->state[p->server] = to;
	play_tell(p, us, t);
}

/* A segment as one side numbers it; a SYN brings the usual options. */
static inline struct tern_segment play_segment(bool server, int flags, uint32_t seq, uint32_t ack,
	uint32_t len)
{
	struct tern_segment s = {.flags = (uint16_t)flags,
		.len = len,
		.window = 65535,
		.wscale = -1};
	s.seq = (server ? 9000 : 1000) + seq;
	s.ack = flags & A ? (server ? 1000 : 9000) + ack : 0;
	if (flags & S) {
		s.mss = 1460;
		s.sack_ok = true;
		s.wscale = 7;
	}
	return s;
}

static inline void play_send(struct play *p, unsigned us, int flags, uint32_t seq, uint32_t ack,
	uint32_t len)
{
	struct tern_trace t = {.kind = TERN_TRACE_SEGMENT_OUT, .nif = 1, .has_conn = true};
	t.segment = play_segment(p->server, flags, seq, ack, len);
	play_tell(p, us, t);
	play_tell(p, us, (struct tern_trace){.kind = TERN_TRACE_FRAME_OUT, .nif = 1});
}

/* A segment arrives; the state changes, unless to is NOT. */
static inline void play_receive_as(struct play *p, unsigned us, int flags, uint32_t seq,
	uint32_t ack, uint32_t len, int to, enum tern_cause cause, enum tern_drop drop)
{
	struct tern_trace t = {.kind = TERN_TRACE_SEGMENT_IN, .nif = 1};
	t.has_conn = p->state[p->server] != TERN_TCP_LISTEN;
	t.segment = play_segment(!p->server, flags, seq, ack, len);
	play_tell(p, us, (struct tern_trace){.kind = TERN_TRACE_FRAME_IN, .nif = 1});
	play_tell(p, us, t);
	if (to != NOT)
		play_state(p, us, (enum tern_tcp_state)to, cause);
	if (drop != TERN_DROP_NONE)
		play_tell(p, us,
			(struct tern_trace){.kind = TERN_TRACE_DROP, .nif = 1, .drop = drop});
	play_tell(p, us, (struct tern_trace){.kind = TERN_TRACE_FRAME_DONE, .nif = 1});
}

static inline void play_receive(struct play *p, unsigned us, int flags, uint32_t seq, uint32_t ack,
	uint32_t len, int to, enum tern_cause cause)
{
	play_receive_as(p, us, flags, seq, ack, len, to, cause, TERN_DROP_NONE);
}

static inline void play_drop(struct play *p, unsigned us, int flags, uint32_t seq, uint32_t ack,
	uint32_t len, enum tern_drop drop)
{
	play_receive_as(p, us, flags, seq, ack, len, NOT, TERN_CAUSE_SYN, drop);
}

static inline void play_resend(struct play *p, unsigned us, enum tern_retransmit_reason reason,
	uint32_t seq, uint32_t count)
{
	struct tern_trace t = {.kind = TERN_TRACE_RETRANSMIT, .nif = -1, .has_conn = true};
	t.retransmit.reason = reason;
	t.retransmit.seq = (p->server ? 9000 : 1000) + seq;
	t.retransmit.count = count;
	play_tell(p, us, t);
}

/* tern as the client opens; three segments, 50 us apart. */
static inline void play_open(struct play *p)
{
	play_state(p, 0, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	play_send(p, 0, S, 0, 0, 0);
	play_receive(p, 50, S | A, 0, 1, 0, TERN_TCP_ESTABLISHED, TERN_CAUSE_SYN_ACK);
	play_send(p, 60, A, 1, 1, 0);
}

#endif
