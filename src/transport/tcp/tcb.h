/*
 * The transmission control block (RFC 9293 3.3.1) and what a stack's TCP shares.
 *
 * Theory of operation. A connection is one struct tcb of at most 256 bytes while it is idle; what
 * only a busy one needs (ranges out of order, RTT timing, the scoreboard and recovery, congestion
 * control, pacing) is a side block, taken on use and given back when the connection has been quiet
 * for a second. What is half-open or in TIME_WAIT has no TCB (syncache.h, timewait.h). Arriving
 * segments change state and put the connection on its interface's ready queue; output.c is asked
 * for one frame at a time when the device has room, and decides only then what to send. Timers are
 * deadlines in the TCB; the wheel holds one entry, at the soonest.
 */
#ifndef TERN_TCP_TCB_H
#define TERN_TCP_TCB_H

#include <tern/tcp.h>
#include "base/core.h"
#include "base/htab.h"
#include "base/rangeset.h"
#include "base/ring.h"
#include "base/seq.h"
#include "base/wheel.h"
#include "network/ip.h"
#include "transport/tcp/recovery.h"
#include "transport/tcp/cc_state.h"
#include "transport/tcp/syncache.h"
#include "transport/tcp/tally.h"
#include "transport/tcp/timewait.h"
#include "wire/tcp.h"

/* tcb.flags */
#define TCB_TIMESTAMPS     (1u << 0) /* negotiated (RFC 7323) */
#define TCB_SACK           (1u << 1) /* negotiated (RFC 2018) */
#define TCB_WSCALE         (1u << 2) /* negotiated; else both scales are 0 */
#define TCB_NODELAY        (1u << 3)
#define TCB_CORK           (1u << 4)
#define TCB_PASSIVE        (1u << 5)  /* came through a listener */
#define TCB_UNACCEPTED     (1u << 6)  /* on its way to, or in, a listener's accept queue */
#define TCB_ORPHAN         (1u << 7)  /* the application has let go: freed when it dies */
#define TCB_FIN_QUEUED     (1u << 8)  /* nothing more will be written */
#define TCB_FIN_SENT       (1u << 9)  /* our FIN is the last number before snd.nxt */
#define TCB_FIN_RECEIVED   (1u << 10) /* the peer's FIN is the last number before rcv.nxt */
#define TCB_SYN_DUE        (1u << 11) /* SYN or SYN-ACK to be sent */
#define TCB_ACK_NOW        (1u << 12)
#define TCB_ACK_DELAYED    (1u << 13) /* in-order data not acknowledged; the timer runs */
#define TCB_RETRANSMIT_DUE (1u << 14) /* the segment at snd.una is to be sent again */
#define TCB_PROBE_DUE      (1u << 15) /* zero-window probe */
#define TCB_PERSIST        (1u << 16) /* the retransmission deadline is the persist timer's */
#define TCB_FORCE          (1u << 17) /* silly-window, Nagle and cork are overridden once */
#define TCB_WANT_READ      (1u << 18) /* tell READABLE when bytes come */
#define TCB_WANT_WRITE     (1u << 19) /* tell WRITABLE when room comes */
#define TCB_RCVBUF_FIXED   (1u << 20)
#define TCB_SNDBUF_FIXED   (1u << 21)
#define TCB_QUICKACK       (1u << 22) /* the user wants every segment acknowledged at once */
#define TCB_URGENT_IN      (1u << 23) /* side->rcv_up is valid and not read past */
#define TCB_URGENT_OUT     (1u << 24) /* side->snd_up is valid and not acknowledged */
#define TCB_HASHED         (1u << 25) /* in the demultiplexing table */
#define TCB_PARKED         (1u << 26) /* waits for its neighbour, on the parked queue */
#define TCB_SENT_TOLD      (1u << 27) /* TERN_EV_SENT was raised */
#define TCB_SYN_ACKED      (1u << 28) /* our SYN is acknowledged: snd.una may meet snd.iss again */
#define TCB_ORPHAN_COUNTED (1u << 29) /* in tcp.orphans */

enum recovery_mode {
	RECOVERY_OPEN,
	RECOVERY_FAST,    /* fast recovery (RFC 6675; without SACK RFC 6582) until `recover` is
			     acknowledged */
	RECOVERY_TIMEOUT, /* slow start through what is lost after an RTO, until `recover` */
};

/* How old the timestamp of text may be that a retransmission has overtaken: see late.c. */
struct late {
	bool on;
	tern_seq until;       /* good while rcv.nxt is before it */
	uint32_t floor, next; /* TS.Recent when the time before this began, and when this did */
};

/* Options that few set: 0 is the setting, or none. */
struct tcb_choice {
	uint32_t window_clamp, notsent_lowat; /* bytes */
	int16_t linger2;                      /* s; -1: no FIN_WAIT_2 */
	uint8_t syn_retries;
	uint8_t defer;  /* TERN_TCP_DEFER_ACCEPT, as a listener's */
	bool ack_later; /* TERN_TCP_QUICKACK 0 before the handshake was done */
};

/* Segments made smaller, as larger ones vanish: see mtu.c. */
struct tcb_mtu {
	uint16_t full;      /* what mss was; 0: it is that still */
	uint16_t size;      /* mss with which the segment that is tried is whole */
	bool passed;        /* something was acknowledged since it is smaller */
	bool out;           /* a larger segment is being tried: */
	uint8_t failed;     /* such that vanished, in a row */
	struct range trial; /* the numbers in it */
};

/* What a busy connection needs besides. */
struct tcb_side {
	struct rangeset ranges;                    /* received out of order, all beyond rcv.nxt */
	tern_seq sack_recent[TCP_SACK_BLOCKS_MAX]; /* a number in each range, last touched first
						      (RFC 2018 4) */
	uint8_t sack_recent_count;
	bool dup_in_due;     /* dup_in is to be reported */
	struct range dup_in; /* what last came twice (RFC 2883) */
	struct recovery rec;
	struct late late;
	uint8_t mode;            /* enum recovery_mode */
	uint8_t rtx_reason;      /* enum tern_retransmit_reason, of what is sent again now */
	bool timing;             /* a segment is being timed (RFC 6298 3, Karn) */
	bool fin_early;          /* FIN arrived out of order, at fin_seq */
	bool recover_ahead;      /* a recovery ended at `recover` and snd.una has not passed it */
	uint8_t unanswered;      /* timeouts and probes since the peer was last heard */
	uint8_t unmoved;         /* and since snd.una last moved */
	int8_t soft_error;       /* tern_err: what ICMP last said of it since then; 0: nothing */
	tern_seq timed_end;      /* an ACK of this number ends the timing */
	tern_seq rtx_next;       /* RECOVERY_TIMEOUT without a scoreboard: next to send again */
	tern_seq recover;        /* RFC 6582; RECOVERY_TIMEOUT: snd.nxt at the timeout */
	tern_seq rcv_up, snd_up; /* last urgent number (RFC 6093: the byte before the pointer's) */
	tern_seq fin_seq;
	uint32_t drs_rtt;        /* us: the receiver's own idea of the RTT; 0 none */
	uint32_t drs_copied;     /* most bytes that a round brought */
	uint32_t drs_taken;      /* that the application took in this one */
	uint32_t drs_held;       /* beyond a hole when it began */
	tern_seq small_end;      /* after the last segment of new data that was not full */
	uint32_t flight_sent;    /* in flight after we last sent new data */
	uint32_t dup_window;     /* flight_sent when the first duplicate ACK came */
	uint32_t dup_flight;     /* in flight when the first duplicate ACK came */
	uint32_t dup_room;       /* RECOVERY_FAST: of what was in flight, not yet reported gone */
	uint32_t last_challenge; /* ms; 0 never */
	uint32_t last_oow_ack;   /* ms; 0 never: dataless reply to an invalid segment */
	uint16_t keep_idle, keep_interval; /* s; 0: the setting */
	bool keepalive;
	bool more; /* the last write said that more is to come: its tail is not pushed, ... */
	bool hold; /* ... and waits */
	uint8_t keep_count, keep_probes; /* 0: the setting; probes unanswered */
	uint32_t user_timeout;           /* ms; 0: none (RFC 5482) */
	struct tcb_choice choice;
	struct tcb_mtu mtu;
	struct rangeset records; /* the last byte of each record not acknowledged */
	uint64_t heard_at, probed_at, stalled_at; /* ns: last acceptable segment, last probe, what
						     is not acknowledged was sent */
	uint64_t timed_at;                        /* ns */
	uint64_t unread_at; /* ns: the application took bytes, or the oldest it has not taken
			       came */
	struct tcb *holes_next, **holes_link; /* on tcp.holes; link NULL when not */
	uint64_t drs_at; /* ns: receive-buffer tuning's measuring round began */
	struct tally tally;
	struct cwnd_use use;
	struct pacing pacing;
	union cc_state cc; /* the algorithm's own */
};

/* Deadlines are in wheel ticks mod 2^32, 0 meaning none. */
struct tcb {
	struct wheel_entry timer;
	struct path *path; /* holds both addresses */
	uint16_t local_port, remote_port;
	uint32_t generation;
	struct tcb *send_next, **send_link; /* on a ready or parked queue; link NULL when on none */
	struct tcb_side *side;              /* NULL while idle; see tcp_keep_tally */
	uint32_t flags;
	uint8_t state : 4;
	uint8_t send_nif : 3; /* whose ready or parked queue it is on */
	bool ecn : 1;         /* offered, then agreed upon (RFC 3168) */
	uint8_t cc : 2;       /* number of the congestion control */
	uint8_t dscp : 6;     /* the DS field's upper bits (RFC 2474), of every segment */
	uint8_t snd_wscale : 4, rcv_wscale : 4;
	int8_t error; /* tern_err that killed it */
	struct {
		tern_seq una, nxt;
		uint32_t wnd;
		tern_seq wl1, wl2;
		tern_seq iss;
	} snd;
	struct {
		tern_seq nxt;
		tern_seq adv; /* right edge offered: never goes back */
		tern_seq irs;
		tern_seq acked; /* last ACK sent (RFC 7323 Last.ACK.sent) */
	} rcv;
	uint32_t ts_recent, ts_recent_at; /* the latter in ms */
	uint32_t state_at;                /* s: when it came into its state */
	uint32_t srtt, rttvar;            /* us; srtt 0: no sample */
	uint32_t cwnd, ssthresh;          /* bytes */
	struct ring send, receive;
	uint32_t rexmt_at, delack_at;
	uint32_t linger_at; /* the end of TIME_WAIT or an orphan's FIN_WAIT_2; else when the side
			       may go */
	uint32_t sndbuf, rcvbuf;
	uint16_t mss;     /* most data a segment may carry, options not yet deducted */
	uint16_t adv_mss; /* what our SYN said */
	uint16_t max_wnd; /* largest window the peer ever offered, >> snd_wscale */
	uint16_t rcv_mss; /* largest segment seen (RFC 1122 4.2.3.2: "full-sized") */
	uint8_t backoff;  /* timeouts, or unanswered probes, in a row */
	uint8_t dupacks;
	uint8_t quickacks : 5; /* segments to acknowledge at once, at the start */
	bool ecn_echo : 1;     /* ECE until the peer says CWR */
	bool ecn_cwr : 1;      /* CWR is due on the next new text */
	uint8_t acks_owed;     /* duplicate ACKs to be sent one by one */
	void *user;
	struct notice notice; /* before accept: the place in the listener's list */
};

struct listener {
	uint32_t generation;
	uint16_t port;
	struct tern_addr addr; /* unspecified: any */
	uint8_t dscp;          /* as its connections' */
	uint32_t backlog;
	uint32_t queued, half_open;
	struct notice *queue, **queue_tail; /* established, oldest first: TCBs by their notice */
	uint32_t rcvbuf, sndbuf;
	uint32_t window_clamp; /* bytes; 0: none */
	uint32_t says;         /* window of its SYN-ACKs, bytes */
	uint32_t told;       /* the largest that any said that is outdated: larger than that, ... */
	uint32_t outdated;   /* ... of so many half-open connections, ... */
	uint64_t told_until; /* ... and of cookies that are good until then, ns */
	uint16_t maxseg;     /* bytes; 0: what the link allows */
	uint8_t syn_retries; /* SYN-ACKs sent again; 0: the setting */
	uint8_t defer;       /* SYN-ACKs that would be, until an ACK without data is enough */
	void *user;
	uint64_t cookies_until; /* ns: cookies sent for it are good until then at the latest */
	struct notice notice;
};

struct send_queue {
	struct tcb *head, **tail;
};

#define TCB_BUFFER_MIN 2304u /* Linux's SOCK_MIN_RCVBUF, about */

#define PORT_COUNTERS 64
#define SYN_SOURCES   1024
#define RST_SOURCES   256
#define MS            UINT64_C(1000000) /* in ns */
#define RTO_INITIAL   (1000 * MS)       /* RFC 6298 2.1 */

/* Resets sent in one second. */
struct rst_source {
	uint16_t second, sent;
};

struct tcp {
	struct core *core;
	struct ip *ip;
	struct wheel wheel;
	struct pool tcbs, sides, listeners, range_nodes;
	struct pool boards[BOARD_TIERS];
	struct htab table;       /* TCBs by addresses and ports */
	struct htab listening;   /* listeners by port */
	struct syncache syns;    /* half-open connections */
	struct time_waits waits; /* those in TIME_WAIT that nobody holds */
	struct siphash_key table_key, isn_key, port_key, ts_key, cookie_key;
	uint64_t cookie_clock; /* ns to add to the stack's time: epochs count from there */
	bool cookie_shared;    /* others make cookies with that key, too */
	struct send_queue ready[TERN_NIF_MAX], parked[TERN_NIF_MAX];
	uint32_t time_waits, orphans; /* connections, with and without a TCB; not in TIME_WAIT */
	/* Half-open connections by a hash of their source: those that share a place share a limit.
	 */
	uint16_t syn_source[SYN_SOURCES];
	struct send_queue holes; /* connections that hold text out of order, longest first */
	uint16_t port_counter[PORT_COUNTERS];      /* RFC 6056 3.3.4 */
	struct rst_source rst_source[RST_SOURCES]; /* resets to those that share a place */
	uint64_t rst_at;
	uint32_t rst_tokens;
	uint64_t moved_at, skipped; /* ns: for short times, see us_at() */
};

/* How many segments of that size, or one without text, so many bytes are. */
static inline uint32_t segments_of(uint32_t len, uint32_t size)
{
	return len > size ? (len + size - 1) / size : 1;
}

/* The time in ms, wrapping. */
static inline uint32_t now_ms(const struct tcp *tcp)
{
	return (uint32_t)(tcp->core->now / MS);
}

static inline uint32_t now_s(const struct tcp *tcp)
{
	return (uint32_t)(tcp->core->now / (1000 * MS));
}

/*
 * Moments in us mod 2^32, rounded up, good for half an hour either way; and back, in ns. That they
 * stay good over a pause of any length, what is longer than PAUSE_MAX does not count.
 */
#define PAUSE_MAX (600 * 1000 * MS) /* longer than anything waits */

static inline uint32_t us_at(const struct tcp *tcp, uint64_t ns)
{
	return (uint32_t)((ns - tcp->skipped + 999) / 1000);
}

static inline uint64_t us_to_ns(const struct tcp *tcp, uint32_t at)
{
	uint64_t now = (tcp->core->now - tcp->skipped) / 1000;
	return (now + (uint64_t)(int64_t)(int32_t)(at - (uint32_t)now)) * 1000 + tcp->skipped;
}

/* Addresses and ports, as a segment for us has them, and their keyed hash: tern_pair(). */
struct tcp_pair {
	const struct tern_addr *local, *remote;
	uint16_t local_port, remote_port;
	uint64_t hash;
};

/* Enough of a connection to answer for it without a TCB. */
struct stub {
	struct tern_trace_conn conn;
	uint32_t window;       /* bytes offered beyond rcv_nxt */
	uint16_t window_field; /* as its ACKs say it */
	bool timestamps;
	uint8_t dscp;
	uint32_t ts_recent;
	uint32_t replied; /* stub.c's clock at the last reply that is rationed; 0: never */
};

/* The handle of a connection that has no TCB yet: in traces. */
#define TERN_NO_CONN ((struct tern_conn){UINT32_MAX, 0})

/* One arriving segment on its way through the steps. */
struct arrival {
	struct tcp *tcp;
	struct tcp_pair pair;
	struct tcb *tcb; /* NULL once it has died and is gone */
	struct tcp_segment *seg;
	const struct ip_in *in;
	uint32_t window; /* scaled */
	bool trimmed;    /* part of the segment was old */
};

/* How a step ends: one epilogue acts on it. */
enum verdict_kind {
	VERDICT_CONTINUE,
	VERDICT_DROP,
	VERDICT_ACK,       /* drop, and acknowledge at once */
	VERDICT_ACK_PACED, /* the same, rate-limited: the segment carries no data */
	VERDICT_CHALLENGE, /* drop, and challenge ACK (RFC 5961) */
	VERDICT_RESET,     /* drop, and answer with RST */
};

struct verdict {
	enum verdict_kind kind;
	enum tern_drop why;
};

static inline struct verdict verdict(enum verdict_kind kind, enum tern_drop why)
{
	return (struct verdict){kind, why};
}

#define CONTINUE verdict(VERDICT_CONTINUE, TERN_DROP_NONE)

static inline uint32_t ticks(uint64_t ns)
{
	return (uint32_t)(ns >> WHEEL_TICK_LOG2);
}

static inline uint32_t at_most(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline bool tcb_in(const struct tcb *tcb, unsigned states)
{
	return states >> tcb->state & 1;
}

#define STATE(name) (1u << TERN_TCP_##name)
/* States in which both SYNs have been seen (RFC 9293 3.3.2 "synchronized"). */
#define SYNCHRONIZED                                                                               \
	(STATE(ESTABLISHED) | STATE(FIN_WAIT_1) | STATE(FIN_WAIT_2) | STATE(CLOSE_WAIT) |          \
		STATE(CLOSING) | STATE(LAST_ACK) | STATE(TIME_WAIT))
/* States in which our data (or FIN) may still be on its way. */
#define SENDING                                                                                    \
	(STATE(ESTABLISHED) | STATE(CLOSE_WAIT) | STATE(FIN_WAIT_1) | STATE(CLOSING) |             \
		STATE(LAST_ACK))

/* Numbers sent and not acknowledged, FIN and SYN included. */
static inline uint32_t tcb_flight(const struct tcb *tcb)
{
	return seq_diff(tcb->snd.nxt, tcb->snd.una);
}

static inline bool tcb_syn_unacked(const struct tcb *tcb)
{
	return !(tcb->flags & TCB_SYN_ACKED);
}

static inline bool tcb_syn_unsent(const struct tcb *tcb)
{
	return tcb_syn_unacked(tcb) && seq_eq(tcb->snd.nxt, tcb->snd.iss);
}

/* Waits for one of the programs to read: since when, the side block knows. */
static inline bool tcb_stands_still(const struct tcb *tcb)
{
	return tcb->receive.len || (tcb->backoff && tcb->flags & TCB_PERSIST);
}

/* What linger_at is for: the end of the connection (TIME_WAIT, an orphan's FIN_WAIT_2); else it is
 * a look at keepalive and at whether the side block is in use. */
static inline bool tcb_linger_is_close(const struct tcb *tcb)
{
	return tcb->state == TERN_TCP_TIME_WAIT ||
	       (tcb->state == TERN_TCP_FIN_WAIT_2 && tcb->flags & TCB_ORPHAN);
}

/* What the timestamps option takes of a segment, padding included. */
static inline uint32_t tcb_timestamp_len(const struct tcb *tcb)
{
	return tcb->flags & TCB_TIMESTAMPS ? 12 : 0;
}

/* The sequence number of the first byte in the send ring. */
static inline tern_seq tcb_data_start(const struct tcb *tcb)
{
	return seq_add(tcb->snd.una, tcb_syn_unacked(tcb) ? 1 : 0);
}

/* The sequence number after the last byte written: our FIN's, if there is one. */
static inline tern_seq tcb_data_end(const struct tcb *tcb)
{
	return seq_add(tcb_data_start(tcb), tcb->send.len);
}

/* Bytes written and never sent. */
static inline uint32_t tcb_unsent(const struct tcb *tcb)
{
	if (tcb->flags & TCB_FIN_SENT)
		return 0;
	return tcb_syn_unsent(tcb) ? tcb->send.len : seq_diff(tcb_data_end(tcb), tcb->snd.nxt);
}

/* The number of the byte that is read next: a FIN has one, too, and is not read. */
static inline tern_seq tcb_read_next(const struct tcb *tcb)
{
	return seq_sub(tcb->rcv.nxt, tcb->receive.len + !!(tcb->flags & TCB_FIN_RECEIVED));
}

/* What we still offer: bytes beyond rcv.nxt. */
static inline uint32_t tcb_offered(const struct tcb *tcb)
{
	return seq_lt(tcb->rcv.nxt, tcb->rcv.adv) ? seq_diff(tcb->rcv.adv, tcb->rcv.nxt) : 0;
}

#define tcb_of_timer(entry)   ((struct tcb *)((char *)(entry)-offsetof(struct tcb, timer)))
#define tcb_of_notice(entry)  ((struct tcb *)((char *)(entry)-offsetof(struct tcb, notice)))
#define listener_of_notice(n) ((struct listener *)((char *)(n)-offsetof(struct listener, notice)))

#endif
