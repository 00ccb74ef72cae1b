/*
 * The dumbbell: senders, each with a stack of its own, behind one queue of a given rate and length;
 * one receiver; the way back as long as the way there, and never full. All in virtual time.
 *
 * A frame takes up to as long to the queue as the queue takes for one, by chance: without that, in
 * a world without noise, it is the phase of their ACKs that decides which flow finds a drop-tail
 * queue full (Floyd and Jacobson, "On Traffic Phase Effects in Packet-Switched Gateways", 1992).
 */
#ifndef BENCH_DUMBBELL_H
#define BENCH_DUMBBELL_H

#include <tern/impair.h>
#include <tern/tern.h>

#define FLOWS_MAX 16

struct dumbbell_opts {
	unsigned flows;
	const char *algorithm[FLOWS_MAX]; /* of each */
	uint64_t rtt[FLOWS_MAX];          /* ns, without any queue, of each */
	uint64_t rate;                    /* bits a second */
	uint32_t queue, ecn;              /* frames; frames from which on it marks, 0: never */
	double loss;
	uint64_t start, warm_up,
		end; /* ns: flow k starts at k * start; what counts is in between */
	uint64_t seed;
	const char *const *settings; /* "NAME=VALUE", ended by NULL; may be NULL */
};

struct dumbbell_result {
	double share[FLOWS_MAX]; /* bits a second, of text read */
	double jain;             /* (sum x)^2 / (n * sum x^2): 1 is fair, 1/n the worst */
	double used;             /* of the rate, headers counted */
	double again;            /* segments retransmitted, of all */
	double dropped;          /* frames that found the queue full, of all */
	double queued;           /* ms a frame waits, on average */
	uint64_t timeouts;
	double marked; /* of all frames */
};

/* Exits with a sentence when a setting or memory is not to be had. */
struct dumbbell_result dumbbell_run(const struct dumbbell_opts *opts);

#endif
