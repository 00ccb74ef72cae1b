/*
 * Congestion control: a const table of functions an algorithm, fed what an ACK did. Recovery
 * decides when loss has happened; the algorithm only sets windows. What all of them share is in
 * cc.c: slow start, and when a window may not grow; ecn.c tells of congestion without loss.
 */
#ifndef TERN_TCP_CC_H
#define TERN_TCP_CC_H

#include "transport/tcp/tcb.h"

/* What one acceptable ACK did, by value to everyone who cares. */
struct ack_info {
	uint32_t acked;  /* sequence numbers newly acknowledged */
	uint32_t flight; /* in flight when we last sent: what the window let out, which the ACKs of
			  * a batch, handled one after another, would not show */
	bool duplicate;  /* RFC 5681 2 */
	uint32_t sacked; /* a duplicate's bytes reported beyond the hole (RFC 2018) */
	bool window_changed;
	bool fin_acked, syn_acked;
	uint64_t rtt;      /* ns; 0: no sample */
	uint32_t echo_rtt; /* us, if rtt is 0: by the timestamp it echoes, a ms coarse; 0: none */
	uint64_t now;      /* ns */
};

struct congestion_control {
	const char *name; /* Linux's */
	/* New data was acknowledged outside fast recovery: grow. There is a side block. */
	void (*acked)(struct tcb *tcb, const struct ack_info *ack);
	/* Loss or its announcement: the new slow-start threshold, bytes, at least 2 segments. Call
	 * it through tern_cc_reduced(). */
	uint32_t (*ssthresh)(struct tcb *tcb, uint32_t flight);
	/* A retransmission timeout, after that: everything begins anew. */
	void (*timed_out)(struct tcb *tcb);
	/* The last reduction was for nothing: cwnd and ssthresh are what they were again; put
	 * private state back, too. NULL if there is none. */
	void (*undone)(struct tcb *tcb);
	/* By what slow start's growth is divided now; NULL: 1 (RFC 9406). */
	uint32_t (*slowed)(const struct tcb *tcb);
	/* Data is about to be sent, and nothing has been in flight; NULL if that is nothing to it.
	 */
	void (*resumed)(struct tcb *tcb, uint64_t now);
};

extern const struct congestion_control tern_cc_newreno, tern_cc_cubic;

const struct congestion_control *tern_cc_of(const struct tcb *tcb);
/* The algorithm of a number, as the setting tcp_congestion_control has it; NULL: none. */
const struct congestion_control *tern_cc_at(unsigned number);
/* From now on that one, from the windows as they are. */
void tern_cc_choose(struct tcb *tcb, unsigned number);

static inline uint32_t tern_cc_slowed(const struct tcb *tcb)
{
	const struct congestion_control *cc = tern_cc_of(tcb);
	return cc->slowed ? cc->slowed(tcb) : 1;
}

/* --- for recovery.c and ecn.c ---------------------------------------------------------- */

/*
 * Congestion: the new ssthresh. Once for what was in flight together: for a loss that an echo has
 * announced, or the other way round, the same again (RFC 3168 6.1.2). flight: bytes, the most there
 * were when it happened.
 */
uint32_t tern_cc_reduced(struct tcb *tcb, uint32_t flight);

/* snd.una has moved. */
static inline void tern_cc_advanced(struct tcb *tcb)
{
	struct cwnd_use *use = &tcb->side->use;
	if (use->reducing && seq_gt(tcb->snd.una, use->reduced))
		use->reducing = false;
}

/* --- for the algorithms ------------------------------------------------------------------ */

/* Whether this ACK says that the path carries more than the window: it was full, and nothing spoke
 * against it. A window that is not used says nothing (RFC 7661 4.3). */
bool tern_cwnd_may_grow(const struct tcb *tcb, const struct ack_info *ack);
/* Grows cwnd toward ssthresh by what was acknowledged (RFC 3465); returns the bytes left over. */
uint32_t tern_slow_start(struct tcb *tcb, const struct ack_info *ack);

/* --- for output.c: a window that is not used (RFC 5681 4.1, RFC 7661) ---------------------- */

/* Data is about to be sent, and nothing is in flight. */
void tern_cwnd_resume(const struct tcp *tcp, struct tcb *tcb);
/* New data went out. */
void tern_cwnd_sent(const struct tcp *tcp, struct tcb *tcb);

/* The restart window (RFC 5681 4.1): tcp_init_cwnd segments, or cwnd if that is less, bytes. */
uint32_t tern_cwnd_restart(const struct tcp *tcp, const struct tcb *tcb);

/* --- cwv.c: congestion window validation (RFC 7661) ------------------------------------------ */

/* Data is about to be sent, and nothing is in flight; there is a side block. */
void tern_cwv_resume(const struct tcp *tcp, struct tcb *tcb);
/* New data went out. */
void tern_cwv_sent(const struct tcp *tcp, struct tcb *tcb);
/* snd.una has moved by acked bytes. */
void tern_cwv_acked(const struct tcp *tcp, struct tcb *tcb, uint32_t acked);
/* The RTO is over: what was measured says nothing of the path as it is now. */
void tern_cwv_timed_out(struct tcb *tcb);
/* Congestion, with flight bytes on their way: of how many bytes ssthresh is to be a part (4.4.1).
 */
uint32_t tern_cwv_lost(struct tcb *tcb, uint32_t flight);
/* Fast recovery is over, in which resent bytes were sent again; cwnd is what it led to (4.4.1). */
void tern_cwv_recovered(struct tcb *tcb, uint32_t resent);
/* Whether the side block must stay: it has how long the window has not been used. */
bool tern_cwv_remembers(const struct tcp *tcp, const struct tcb *tcb);

/* --- hystart.c: the end of the first slow start, before queues overflow (RFC 9406) ---------- */

/* An ACK in slow start: by what to divide its growth, 1 or CSS_GROWTH_DIVISOR. Sets ssthresh when
 * slow start is over. */
uint32_t tern_hystart_acked(struct tcb *tcb, struct hystart *h, const struct ack_info *ack);
/* The same, of no ACK. */
uint32_t tern_hystart_divisor(const struct hystart *h);

#endif
