/*
 * The event stream: everything the stack does that a person may want to see, typed, in order.
 * Ladders, captures and explanations are readers of it.
 *
 *	static void see(void *context, const struct tern_trace *t)
 *	{
 *		if (t->kind == TERN_TRACE_STATE)
 *			printf("%s -> %s: %s\n", ...);
 *	}
 *	tern_trace_set(stack, &(struct tern_trace_listener){see, context});
 *
 * A frame's life: FRAME_IN (its bytes as they came), then what was made of it (SEGMENT_IN,
 * STATE, DROP, ...), then FRAME_DONE. Outgoing: the reasons (RETRANSMIT, STATE, ...), then
 * SEGMENT_OUT, then FRAME_OUT (its finished bytes). Frames of the loopback interface nest within
 * nothing else: they come between other frames.
 */
#ifndef TERN_TRACE_H
#define TERN_TRACE_H

#include <tern/tcp.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tern_drop {
#define TERN_DROP(name, text) TERN_DROP_##name,
#include <tern/drops.def>
#undef TERN_DROP
	TERN_DROPS
};
/* "accept queue full"; "?" when out of range. */
const char *tern_drop_text(enum tern_drop drop);
/* "TCP_LISTEN_OVERFLOW" */
const char *tern_drop_name(enum tern_drop drop);
uint64_t tern_drop_count(const struct tern_stack *stack, enum tern_drop drop);

enum tern_trace_kind {
	TERN_TRACE_FRAME_IN,
	TERN_TRACE_FRAME_DONE,
	TERN_TRACE_FRAME_OUT,
	TERN_TRACE_SEGMENT_IN,
	TERN_TRACE_SEGMENT_OUT,
	TERN_TRACE_STATE,
	TERN_TRACE_RETRANSMIT,
	TERN_TRACE_WINDOW,
	TERN_TRACE_QUEUE,
	TERN_TRACE_DROP,
	TERN_TRACE_RTT,
	TERN_TRACE_CONGESTION,
	TERN_TRACE_TIMER,
	TERN_TRACE_SEGMENT_SIZE,
};

/* Why a state changed. */
enum tern_cause {
	TERN_CAUSE_OPEN_ACTIVE,      /* the program connects */
	TERN_CAUSE_OPEN_PASSIVE,     /* the program listens */
	TERN_CAUSE_SYN,              /* SYN arrived */
	TERN_CAUSE_SYN_ACK,          /* SYN-ACK arrived */
	TERN_CAUSE_COOKIE,           /* an ACK brought a SYN cookie of ours back */
	TERN_CAUSE_ACK,              /* the handshake's ACK, or our FIN's, arrived */
	TERN_CAUSE_FIN,              /* FIN arrived */
	TERN_CAUSE_FIN_ACK,          /* FIN that also acknowledges ours */
	TERN_CAUSE_CLOSE,            /* the program closes or shuts down */
	TERN_CAUSE_ABORT,            /* the program aborts, or closes with unread data */
	TERN_CAUSE_RST,              /* RST arrived */
	TERN_CAUSE_TIMEOUT,          /* retransmissions were in vain */
	TERN_CAUSE_2MSL,             /* TIME_WAIT is over */
	TERN_CAUSE_FIN_TIMEOUT,      /* no FIN came in FIN_WAIT_2 */
	TERN_CAUSE_UNREACHABLE,      /* ICMP or ARP said so during the open */
	TERN_CAUSE_REUSED,           /* a new SYN took over a TIME_WAIT pair (RFC 6191) */
	TERN_CAUSE_DATA_AFTER_CLOSE, /* data for a program that has gone */
	TERN_CAUSES
};
const char *tern_cause_text(enum tern_cause cause);

/* Why a segment is sent again. */
enum tern_retransmit_reason {
	TERN_RTX_TIMEOUT, /* RTO (RFC 6298) */
	TERN_RTX_FAST,    /* three duplicate ACKs, or as much reported by SACK (RFC 5681 3.2, RFC
			     6675) */
	TERN_RTX_PARTIAL_ACK,   /* NewReno (RFC 6582) */
	TERN_RTX_AFTER_TIMEOUT, /* going on after a timeout */
	TERN_RTX_SYN,
	TERN_RTX_SYN_ACK,
	TERN_RTX_PMTU,  /* cut smaller for a smaller path */
	TERN_RTX_RACK,  /* what was sent later has arrived (RFC 8985 6) */
	TERN_RTX_PROBE, /* tail loss probe (RFC 8985 7) */
	TERN_RTX_REASONS
};
const char *tern_retransmit_text(enum tern_retransmit_reason reason);
/* Whether ACKs were the reason, and no timer. */
bool tern_retransmit_fast(enum tern_retransmit_reason reason);

enum tern_timer {
	TERN_TIMER_RETRANSMIT,
	TERN_TIMER_PERSIST,
	TERN_TIMER_DELAYED_ACK,
	TERN_TIMER_TIME_WAIT,
	TERN_TIMER_FIN_WAIT_2,
	TERN_TIMER_REORDERING, /* RFC 8985 6.2: what is missing may only be late */
	TERN_TIMER_LOSS_PROBE, /* RFC 8985 7.2 */
	TERN_TIMERS
};
const char *tern_timer_text(enum tern_timer timer);

/* A TCP segment in host order, its options unpacked. */
struct tern_segment {
	uint32_t seq, ack;
	uint32_t len;    /* data bytes; SYN and FIN not counted */
	uint32_t window; /* bytes, scaled where a scale is in force */
	uint16_t flags;  /* RFC 9293 3.1: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR
			    128, AE 256 */
	uint16_t window_field; /* as on the wire */
	uint16_t urgent;
	uint16_t mss;  /* 0: no such option */
	int8_t wscale; /* -1: no such option */
	bool sack_ok, timestamps;
	uint32_t tsval, tsecr;
	uint8_t sack_count;
	struct {
		uint32_t lo, hi;
	} sack[4];
};

/* Which connection, and where it stands: valid unless has_conn is false. */
struct tern_trace_conn {
	struct tern_conn handle; /* slot UINT32_MAX: none, half-open or in TIME_WAIT */
	struct tern_endpoint local, remote;
	enum tern_tcp_state state;
	uint32_t iss, irs; /* 0 before they are known */
	uint32_t snd_una, snd_nxt, rcv_nxt;
};

struct tern_trace {
	enum tern_trace_kind kind;
	uint64_t now; /* ns */
	int nif;      /* FRAME_*, SEGMENT_*, DROP: interface; else -1 */
	bool has_conn;
	uint32_t captured; /* FRAME_*: bytes there are of the frame, where not all are (only what a
			      recorder tells again is cut short); 0: all */
	struct tern_trace_conn conn; /* as it stands after the event; local and remote also for
					segments of no connection */
	union {
		const struct tern_frame *frame; /* FRAME_*: lent; FRAME_IN's until FRAME_DONE */
		struct tern_segment segment;    /* SEGMENT_* */
		struct {
			enum tern_tcp_state from, to;
			enum tern_cause cause;
		} state;
		struct {
			enum tern_retransmit_reason reason;
			uint32_t seq, len;
			uint32_t count; /* timeouts in a row, this one included; 0 if it is not
					   for one */
			uint64_t rto;   /* ns */
		} retransmit;
		struct {
			uint32_t peer; /* what we may send now, bytes; 0: closed */
			uint32_t ours; /* what we offer now */
		} window;
		struct {
			uint32_t length, limit; /* accept queue */
			uint32_t half_open, half_open_limit;
		} queue;
		enum tern_drop drop;
		struct {
			uint64_t sample, srtt, rttvar, rto; /* ns */
		} rtt;
		struct {
			uint32_t cwnd, ssthresh, in_flight; /* bytes */
			const char *why; /* "recovery", "timeout", "loss probe", "recovered",
					    "undone", "ecn" */
		} congestion;
		struct {
			enum tern_timer which;
			bool fired; /* else armed */
			uint64_t deadline;
		} timer;
		struct {
			uint32_t from, to; /* bytes of data, options included */
			const char *why;   /* "path MTU" (ICMP), "black hole" (timeouts), "black
					    hole known" (to the path), "larger again" */
		} segment_size;
	};
};

struct tern_trace_listener {
	void (*see)(void *context, const struct tern_trace *trace);
	void *context;
};

#ifdef __cplusplus
}
#endif
#endif
