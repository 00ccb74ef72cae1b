/*
 * One trace listener that tells several: a stack takes one.
 *
 *	struct tern_tee tee = {0};
 *	tern_tee_add(&tee, ladder_listener);
 *	tern_tee_add(&tee, pcapng_listener);
 *	opts.trace = tern_tee_listener(&tee);
 */
#ifndef TERN_TEE_H
#define TERN_TEE_H

#include <tern/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TERN_TEE_MAX 8

struct tern_tee {
	struct tern_trace_listener to[TERN_TEE_MAX];
	unsigned count;
};

/* Adds a listener, told after those before it. 0, or TERN_ENOSPC past TERN_TEE_MAX. */
int tern_tee_add(struct tern_tee *tee, struct tern_trace_listener listener);
/* What to give to tern_trace_set; the tee must stay where it is meanwhile. With no listener it is
 * none itself, with one it is that one. */
struct tern_trace_listener tern_tee_listener(struct tern_tee *tee);

#ifdef __cplusplus
}
#endif
#endif
