/*
 * Congestion control: a const table of functions an algorithm, fed what an ACK did.
 * Recovery decides when loss has happened; the algorithm only sets windows.
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
	uint64_t rtt; /* ns; 0: no sample */
};

struct congestion_control {
	const char *name;
	/* The handshake is done: cwnd is the initial window; set up private state. */
	void (*init)(struct tcb *tcb);
	/* New data was acknowledged outside fast recovery: grow. */
	void (*acked)(struct tcb *tcb, const struct ack_info *ack);
	/* Loss: the new slow-start threshold, bytes, at least 2 segments. */
	uint32_t (*ssthresh)(struct tcb *tcb, uint32_t flight);
	/* The last reduction was for nothing: cwnd and ssthresh are what they were again; put
	 * private state back, too. May be NULL. */
	void (*undone)(struct tcb *tcb);
};

extern const struct congestion_control tern_cc_newreno;

const struct congestion_control *tern_cc_of(const struct tcb *tcb);

#endif
