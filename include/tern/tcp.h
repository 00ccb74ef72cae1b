/*
 * TCP for applications: the user calls of RFC 9293 3.9.1 without blocking.
 *
 *	struct tern_listener l;
 *	tern_tcp_listen(stack, &(struct tern_listen_opts){.local.port = 7, .backlog = 128}, &l);
 *	...
 *	case TERN_EV_ACCEPT:
 *		while (tern_tcp_accept(stack, ev.listener, &conn) == 0)
 *			serve(conn);
 *
 * Every call returns 0 (or a count) or a negative enum tern_err. TERN_ESTALE answers a handle
 * whose object is gone. A connection is the application's until it calls tern_tcp_close or
 * tern_tcp_abort, even after TERN_EV_ERROR.
 */
#ifndef TERN_TCP_H
#define TERN_TCP_H

#include <tern/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 9293 3.3.2. */
enum tern_tcp_state {
	TERN_TCP_CLOSED,
	TERN_TCP_LISTEN,
	TERN_TCP_SYN_SENT,
	TERN_TCP_SYN_RECEIVED,
	TERN_TCP_ESTABLISHED,
	TERN_TCP_FIN_WAIT_1,
	TERN_TCP_FIN_WAIT_2,
	TERN_TCP_CLOSE_WAIT,
	TERN_TCP_CLOSING,
	TERN_TCP_LAST_ACK,
	TERN_TCP_TIME_WAIT,
};
#define TERN_TCP_STATES (TERN_TCP_TIME_WAIT + 1)

/* "SYN_SENT"; "?" when out of range. */
const char *tern_tcp_state_name(enum tern_tcp_state state);
/* Whether RFC 9293 figure 5 and 3.10 know that edge. */
bool tern_tcp_edge_legal(enum tern_tcp_state from, enum tern_tcp_state to);

struct tern_listen_opts {
	struct tern_endpoint local; /* unspecified address: any of ours */
	unsigned backlog;        /* accept queue holds backlog + 1, as Linux; capped by somaxconn */
	void *user;              /* comes back in events */
	uint32_t rcvbuf, sndbuf; /* for connections accepted; 0: auto-tuned */
};

/* Passive OPEN; port 0 picks one. TERN_EADDRINUSE, TERN_EADDRNOTAVAIL, TERN_ENOMEM. */
int tern_tcp_listen(struct tern_stack *stack, const struct tern_listen_opts *opts,
	struct tern_listener *out);
/* Takes the oldest established connection; TERN_EAGAIN when none waits. */
int tern_tcp_accept(struct tern_stack *stack, struct tern_listener listener, struct tern_conn *out);
/* Another backlog, for what comes from now on: nothing that waits already is lost. 0 or
 * TERN_ESTALE. */
int tern_tcp_listen_backlog(struct tern_stack *stack, struct tern_listener listener,
	uint32_t backlog);
/* Stops listening; connections not yet accepted are reset. */
int tern_tcp_listen_close(struct tern_stack *stack, struct tern_listener listener);
/*
 * What SYN cookies (RFC 4987 3.6; tcp_syncookies) are made with: by default a key of the stack's
 * own. Stacks that share a key and a clock answer for each other's, behind one address. clock: ns
 * to add to the stack's time so that all of them count from the same moment, 1970 say. Returns 0.
 */
int tern_tcp_cookie_key(struct tern_stack *stack, const uint8_t key[16], uint64_t clock);

int tern_tcp_listen_endpoint(const struct tern_stack *stack, struct tern_listener listener,
	struct tern_endpoint *out);

/* STATUS of a listener. */
struct tern_listen_info {
	struct tern_endpoint local;
	uint32_t backlog;        /* as in force: the accept queue holds one more */
	uint32_t queued;         /* established and not accepted */
	uint32_t half_open;      /* SYN received */
	uint32_t rcvbuf, sndbuf; /* 0: auto-tuned */
};
/* 0 or TERN_ESTALE. */
int tern_tcp_listen_info(const struct tern_stack *stack, struct tern_listener listener,
	struct tern_listen_info *out);

struct tern_connect_opts {
	struct tern_endpoint local;  /* zero parts are chosen */
	struct tern_endpoint remote; /* both parts required */
	void *user;
	uint32_t rcvbuf, sndbuf; /* bytes; 0: auto-tuned */
};

/*
 * Active OPEN. TERN_EV_CONNECTED or TERN_EV_ERROR follows. TERN_ENETUNREACH, TERN_EADDRINUSE (that
 * very pair of endpoints exists), TERN_EADDRNOTAVAIL, TERN_EINVAL, TERN_ENOMEM. Two sides that
 * connect to each other's bound ports at once meet in one connection (simultaneous open).
 */
int tern_tcp_connect(struct tern_stack *stack, const struct tern_connect_opts *opts,
	struct tern_conn *out);

/*
 * SEND. Copies up to len bytes into the send buffer; returns how many, TERN_EAGAIN for none
 * (TERN_EV_WRITABLE follows a short count), TERN_EPIPE after shutdown, or the connection's
 * error. Before CONNECTED the bytes wait for it (RFC 9293 3.10.2).
 */
ptrdiff_t tern_tcp_write(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len);
/* As tern_tcp_write; the last byte taken is marked urgent (RFC 9293 3.8.5, discouraged by RFC
 * 6093). */
ptrdiff_t tern_tcp_write_urgent(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len);
/* For tern_tcp_send; may be or'ed. */
enum tern_send_flag {
	TERN_SEND_EOR = 1,  /* if all of it is taken, its last byte ends a record: no segment goes
			       on beyond that, sent again or not (Linux's MSG_EOR) */
	TERN_SEND_MORE = 2, /* more is to come: a tail that fills no segment waits for that, for
			       the next ACK or for a retransmission timeout (Linux's MSG_MORE) */
};
/*
 * As tern_tcp_write, with flags of enum tern_send_flag; 0: exactly that. TERN_EINVAL for others;
 * TERN_EAGAIN also when tcp_max_ranges records wait to be acknowledged. To the peer it is a stream
 * like any other.
 */
ptrdiff_t tern_tcp_send(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len, unsigned flags);
/*
 * RECEIVE. Copies up to len bytes out; returns how many, 0 at the end of the stream (the
 * peer's FIN), TERN_EAGAIN for none yet, or the connection's error. Bytes received before an error
 * are still read first, except after a reset.
 */
ptrdiff_t tern_tcp_read(struct tern_stack *stack, struct tern_conn conn, void *data, size_t len);

/* Bytes to be read up to and including the peer's last urgent one, which stays in line (RFC 6093);
 * 0 if none is still to come. */
uint32_t tern_tcp_urgent(const struct tern_stack *stack, struct tern_conn conn);

/*
 * The same without copying. peek lends the readable bytes as at most max spans and returns how
 * many spans (0 when there are none); consume takes n of the bytes away. room lends up to len bytes
 * of the send buffer's room as spans (0 when full); commit sends the first n bytes of it, or none
 * and TERN_EINVAL when less was lent; what was lent and not sent is memory held until then, so a
 * loan of which nothing came is ended by a commit of 0. Spans are lent until the next call on this
 * connection or into the stack.
 */
int tern_tcp_peek(const struct tern_stack *stack, struct tern_conn conn, struct tern_span *spans,
	unsigned max);
int tern_tcp_consume(struct tern_stack *stack, struct tern_conn conn, size_t n);
int tern_tcp_room(struct tern_stack *stack, struct tern_conn conn, size_t len,
	struct tern_span *spans, unsigned max);
int tern_tcp_commit(struct tern_stack *stack, struct tern_conn conn, size_t n);

/* Sends FIN after what is queued; reading goes on (half-close). Harmless when done before.
 * TERN_ENOTCONN before CONNECTED; a dead connection's error. */
int tern_tcp_shutdown(struct tern_stack *stack, struct tern_conn conn);
/*
 * CLOSE. The handle is gone; what is queued is still delivered, then FIN. With unread data the
 * connection is reset instead (RFC 1122 4.2.2.13, RFC 2525 2.17). An open still in SYN_SENT ends
 * at once, with what was written (RFC 9293 3.10.4).
 */
int tern_tcp_close(struct tern_stack *stack, struct tern_conn conn);
/* ABORT. The handle is gone and the peer is reset. */
int tern_tcp_abort(struct tern_stack *stack, struct tern_conn conn);

/*
 * What ICMP, or a next hop that does not answer, last said of what is in flight, and forgets it
 * (ERROR_REPORT of RFC 9293 3.9.1.8, as Linux's SO_ERROR): TERN_EHOSTUNREACH, TERN_ENETUNREACH,
 * TERN_ECONNREFUSED, ...; 0: nothing since the peer was last heard. The connection goes on; if it
 * times out meanwhile, that is its error and not TERN_ETIMEDOUT. TERN_ESTALE.
 */
int tern_tcp_take_soft_error(struct tern_stack *stack, struct tern_conn conn);

enum tern_tcp_option {
	TERN_TCP_NODELAY,  /* 1: no Nagle */
	TERN_TCP_CORK,     /* 1: only full segments, for at most 200 ms */
	TERN_TCP_QUICKACK, /* 1: acknowledge at once until further notice; 0: delay */
	TERN_TCP_MAXSEG,   /* most data in a segment, sent or announced: before our SYN goes out */
	TERN_TCP_RCVBUF,   /* bytes; turns auto-tuning off; set before our SYN, or of a listener, it
			      decides the window scale, which limits what a larger one later offers */
	TERN_TCP_SNDBUF,
	TERN_TCP_KEEPALIVE,    /* 1: probe a peer that is silent (RFC 1122 4.2.3.6) */
	TERN_TCP_KEEPIDLE,     /* s before the first probe, 1..32767; tcp_keepalive_time */
	TERN_TCP_KEEPINTVL,    /* s between probes, 1..32767; tcp_keepalive_intvl */
	TERN_TCP_KEEPCNT,      /* probes before giving up, 1..127; tcp_keepalive_probes */
	TERN_TCP_USER_TIMEOUT, /* ms that data may stay unacknowledged (RFC 5482); 0: no limit but
				  that of retransmissions */
	TERN_TCP_CONGESTION,   /* tern_congestion_number(); at first tcp_congestion_control */
	TERN_TCP_LINGER2, /* s in FIN_WAIT_2 once closed, 1..120; 0: tcp_fin_timeout; -1: none */
	TERN_TCP_SYNCNT,  /* SYNs sent again before an open fails, 1..127; of a listener, SYN-ACKs;
			     0: tcp_syn_retries, tcp_synack_retries */
	TERN_TCP_WINDOW_CLAMP,  /* bytes, the most to offer, at least 1152; 0: what rcvbuf allows;
				   set before our SYN, or on a listener, it lowers the window
				   scale, too */
	TERN_TCP_NOTSENT_LOWAT, /* bytes not sent yet beyond which there is no room to write, up to
				   UINT32_MAX, which is no limit; 0: tcp_notsent_lowat */
	TERN_TCP_DEFER_ACCEPT,  /* of a listener: s to wait for data after the handshake, rounded up
				   to when a SYN-ACK would be sent again; 0: accept at once. Of a
				   connection that we open, not 0: the ACK that completes the
				   handshake waits for data to go with, 200 ms at most; and so
				   does TERN_TCP_QUICKACK 0, set before that */
	TERN_TCP_TOS, /* the DS field of every packet from now on (RFC 2474), 0..255; the two lowest
			 bits are congestion notification's and stay so (RFC 3168) */
};
#define TERN_TCP_OPTIONS (TERN_TCP_TOS + 1)
/* TERN_EINVAL for an option unknown or not a connection's, TERN_ERANGE for a value out of range,
 * TERN_EISCONN when it is too late for TERN_TCP_MAXSEG, TERN_ENOMEM. */
int tern_tcp_option_set(struct tern_stack *stack, struct tern_conn conn,
	enum tern_tcp_option option, int64_t value);
int tern_tcp_option_get(const struct tern_stack *stack, struct tern_conn conn,
	enum tern_tcp_option option, int64_t *value);
/*
 * Of a listener, for connections whose SYN is yet to come: TERN_TCP_MAXSEG, TERN_TCP_SYNCNT,
 * TERN_TCP_RCVBUF, TERN_TCP_SNDBUF, TERN_TCP_WINDOW_CLAMP, TERN_TCP_DEFER_ACCEPT and, for half-open
 * ones as well, TERN_TCP_TOS and the buffers (a window that was offered is kept); 0 is none of it.
 * TERN_ESTALE, TERN_EINVAL for others, TERN_ERANGE.
 */
int tern_tcp_listen_option_set(struct tern_stack *stack, struct tern_listener listener,
	enum tern_tcp_option option, int64_t value);
int tern_tcp_listen_option_get(const struct tern_stack *stack, struct tern_listener listener,
	enum tern_tcp_option option, int64_t *value);
/* Congestion controls by number, as TERN_TCP_CONGESTION and the setting tcp_congestion_control have
 * them: Linux's name, or NULL past the last; and back, or TERN_ENOENT. */
const char *tern_congestion_name(unsigned number);
int tern_congestion_number(const char *name);
/* The pointer that events about this connection carry. */
int tern_tcp_set_user(struct tern_stack *stack, struct tern_conn conn, void *user);

/* Where loss recovery stands; Linux's tcp_ca_state and its order. */
enum tern_tcp_recovery {
	TERN_TCP_RECOVERY_OPEN,     /* nothing is amiss */
	TERN_TCP_RECOVERY_DISORDER, /* the peer holds what came after a hole */
	TERN_TCP_RECOVERY_CWR,      /* congestion was echoed (RFC 3168), and is being answered */
	TERN_TCP_RECOVERY_FAST,     /* fast recovery (RFC 6675) */
	TERN_TCP_RECOVERY_LOSS,     /* after a retransmission timeout */
};

/* STATUS. Times in us; sizes in bytes. */
struct tern_tcp_info {
	enum tern_tcp_state state;
	uint32_t state_age; /* s, since it came into it: of CLOSE_WAIT, how long the program has not
			       closed; of LISTEN, since its accept queue is full, 0 if it is not */
	int error;          /* 0, or why it died */
	int soft_error;     /* 0, or what ICMP said of what is in flight, and may pass: why it died,
			       should it time out */
	struct tern_endpoint local, remote;
	uint32_t iss, irs;                  /* initial sequence numbers */
	uint32_t snd_una, snd_nxt, snd_wnd; /* RFC 9293 3.3.1 */
	uint32_t rcv_nxt, rcv_wnd;
	uint32_t unsent;       /* queued and never sent */
	uint32_t unacked;      /* sent and not acknowledged */
	uint32_t unread;       /* received in order and not read */
	uint32_t out_of_order; /* received beyond a hole */
	uint32_t sndbuf, rcvbuf, send_room;
	uint32_t mss, advertised_mss; /* sending limit in force; what our SYN said */
	uint32_t path_mtu;            /* bytes: the interface's, or what routers have said since */
	uint32_t mss_before;          /* mss before larger segments vanished; 0: none have */
	uint32_t rcv_mss;             /* largest segment received */
	uint8_t snd_wscale, rcv_wscale;
	bool wscale_ok, timestamps, sack, ecn;
	bool peer_closed;                   /* FIN received in order */
	bool shut;                          /* we sent or queued FIN */
	bool urgent_pending;                /* urgent data not read yet */
	uint32_t urgent_left;               /* bytes up to and including the last urgent one */
	uint32_t rtt_us, rttvar_us, rto_us; /* rtt 0: no sample yet */
	uint32_t cwnd, ssthresh;            /* bytes; ssthresh UINT32_MAX: none yet */
	const char *congestion;             /* "cubic", "reno" */
	uint32_t backoff;                   /* timeouts in a row */
	uint64_t retransmits;               /* segments */
	bool recovering;                    /* recovery is FAST or LOSS */
	enum tern_tcp_recovery recovery;
	/* What is in flight, by SACK and RACK, bytes: held by the peer, believed lost, sent again
	 * and not heard of since. */
	uint32_t sacked, lost, resending;
	uint32_t reordering; /* segments: the farthest that one was seen to overtake; at least 3 */
	uint32_t reordered;  /* ACKs that showed reordering; 65535: at least as many */
	uint32_t min_rtt_us; /* smallest of late; 0: no sample yet */
	uint32_t duplicates; /* D-SACKs heard: what the peer got twice */
	/* What it has done since it began, or since nothing had happened on it for a while (the
	 * setting tcp_keep_tally, with which it stays when the connection dies; else 0 then). As in
	 * Linux's TCP_INFO a FIN counts as a byte, and so does the SYN of an open of ours. */
	uint64_t bytes_acked, bytes_received; /* that the peer acknowledged; that came in order */
	uint64_t bytes_sent, bytes_resent;    /* of text; the first has the second in it */
	uint32_t segments_in, segments_out, text_segments_in, text_segments_out;
	uint32_t text_segments_resent; /* of the last */
	uint32_t beyond_holes;         /* segments that came out of order */
	uint32_t marked; /* segments that came to the peer marked (RFC 3168), as it says */
	/* Time in which there was something to send or unacknowledged; of that, in which the peer's
	 * window held it back; in which the send buffer was full and all of it sent. */
	uint64_t busy_us, window_limited_us, buffer_limited_us;
	uint64_t sent_age, text_age; /* ns since new text was sent, and since text came in order,
					last, or it was opened; TERN_NEVER: not known */
	uint64_t pacing_rate;        /* bytes a second at which new data may leave; 0: any */
	/* Bytes a second that lately came to the peer, by one segment of a round trip; 0: not
	 * known. app_limited: the program had no more to give, and the path may carry more. */
	uint64_t delivery_rate;
	bool app_limited;
	uint32_t rcv_rtt_us; /* RTT by what the peer echoes; 0: no sample yet */
	uint32_t rcv_space;  /* most bytes that came in one RTT; 10 segments to begin with */
	/* What it waits for next, and ns until then: "retransmit", "persist", "keepalive",
	 * "time-wait" or "fin-wait-2"; NULL: nothing of these. */
	const char *timer;
	uint64_t timer_left;
	/* Why it stands still. */
	bool orphan;     /* the application has closed it */
	bool unaccepted; /* a listener's still: half-open, or in its accept queue */
	bool nodelay, cork;
	/* What keeps unsent bytes back: "window" (the peer's), "cwnd", "nagle", "cork",
	 * "pacing" (the next burst has still to come), "neighbour" (its address is not known yet)
	 * or "device" (to be pulled); NULL: nothing. */
	const char *held_by;
	uint32_t retries_max; /* backoff at which it is given up; 0: never */
	uint32_t unanswered;  /* timeouts and probes since the peer was last heard */
	uint32_t keepalive_probes, keepalive_probes_max; /* unanswered; given up at */
	/* ns since the oldest unacknowledged byte was sent, or the peer's window was found shut;
	 * known from the first timeout or probe on, else 0. */
	uint64_t stalled_age;
	uint64_t heard_age;  /* ns since the last acceptable segment; TERN_NEVER: not known */
	uint64_t unread_age; /* ns since the application last took bytes, or those there are
				came; 0: it has taken all, TERN_NEVER: not known */
	uint32_t queue_age;  /* LISTEN: s that the first in its accept queue has waited */
	uint32_t half_open, half_open_limit; /* LISTEN: in the SYN cache, and how many may be */
	uint32_t cookies_left; /* LISTEN: s that cookies sent are still good for, at most; 0: none
				  are out */
	void *user;
};
int tern_tcp_info(const struct tern_stack *stack, struct tern_conn conn, struct tern_tcp_info *out);
/* Walks all connections, the closed and TIME_WAIT ones the application let go included: start with
 * *cursor 0; false at the end. The connection may be told apart by its endpoints; TERN_TCP_LISTEN
 * entries are listeners: unread connections wait to be accepted, of rcvbuf (the backlog). */
bool tern_tcp_each(const struct tern_stack *stack, uint32_t *cursor, struct tern_tcp_info *out);

#ifdef __cplusplus
}
#endif
#endif
