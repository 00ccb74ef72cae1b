/*
 * Serial numbers (RFC 9293 3.4): 32-bit sequence numbers that wrap. A one-member struct, so
 * that a raw `<` does not compile. Comparisons hold while the two are less than 2^31 apart; at just
 * 2^31 each is less than the other and neither is less or equal, so that no number, whoever chose
 * it, lies between a number and itself.
 */
#ifndef TERN_BASE_SEQ_H
#define TERN_BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint32_t v;
} tern_seq;

static inline tern_seq seq(uint32_t v)
{
	return (tern_seq){v};
}

static inline tern_seq seq_add(tern_seq a, uint32_t n)
{
	return (tern_seq){a.v + n};
}

static inline tern_seq seq_sub(tern_seq a, uint32_t n)
{
	return (tern_seq){a.v - n};
}

/* How far b lies after a; meaningful when seq_leq(a, b). */
static inline uint32_t seq_diff(tern_seq b, tern_seq a)
{
	return b.v - a.v;
}

static inline bool seq_eq(tern_seq a, tern_seq b)
{
	return a.v == b.v;
}

static inline bool seq_lt(tern_seq a, tern_seq b)
{
	return (int32_t)(a.v - b.v) < 0;
}

static inline bool seq_leq(tern_seq a, tern_seq b)
{
	return !seq_lt(b, a);
}

static inline bool seq_gt(tern_seq a, tern_seq b)
{
	return seq_lt(b, a);
}

static inline bool seq_geq(tern_seq a, tern_seq b)
{
	return seq_leq(b, a);
}

static inline tern_seq seq_max(tern_seq a, tern_seq b)
{
	return seq_lt(a, b) ? b : a;
}

static inline tern_seq seq_min(tern_seq a, tern_seq b)
{
	return seq_lt(a, b) ? a : b;
}

/* Whether s is in the half-open window [lo, lo + len). */
static inline bool seq_in_window(tern_seq s, tern_seq lo, uint32_t len)
{
	return s.v - lo.v < len;
}

#endif
