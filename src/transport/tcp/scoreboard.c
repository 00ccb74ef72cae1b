/*
 * The scoreboard: for everything in flight, when it was sent, and what has become of it. Records
 * tile [snd.una, snd.nxt) in order. What is sent within a 64th of an RTT shares one, neighbours
 * that are held share one, so a bulk flow without loss needs some tens, and one with loss two more
 * a hole. The first few live in the side block; beyond, a block from a pool, until nothing is in
 * flight. Bounded: when the largest block is full, the two neighbours of like fate closest in
 * time are joined, and count as sent when the later was; where there are none such, a report that
 * would split a record is not believed.
 */
#include <string.h>
#include "transport/tcp/tcp.h"

/* A queue that overflows at the end of slow start loses every other segment of a window, and what
 * has no record is sent again for nothing. */
static const uint16_t sizes[BOARD_TIERS] = {64, 768, 5376, 21760, 65280};
static const uint8_t slab_logs[BOARD_TIERS] = {13, 16, 18, 20, 22};

#define TIER_LARGE   2u   /* the first of those that are had only for a large flight */
#define RECORD_LEAST 512u /* bytes in flight for each of their records */

void tern_board_init_pools(struct tcp *tcp)
{
	for (unsigned i = 0; i < BOARD_TIERS; i++)
		tern_pool_init(&tcp->boards[i], &tcp->core->mem, sizes[i] * sizeof(struct xmit),
			slab_logs[i], UINT32_MAX);
}

static uint32_t room(const struct scoreboard *b)
{
	return b->block ? sizes[b->tier] : BOARD_INLINE;
}

static uint32_t length(const struct scoreboard *b, uint32_t i)
{
	return seq_diff(board_end(b, i), board_at_const(b, i)->lo);
}

/*
 * Records that a flight of large blocks is worth: about twice its segments. A peer that reports
 * bytes makes no board much longer, nor an ACK dearer, than one that reports segments.
 */
static uint32_t worth(const struct scoreboard *b)
{
	return b->count ? seq_diff(b->end, board_at_const(b, 0)->lo) / RECORD_LEAST : 0;
}

/* A quarter is kept free, so that making room at the end by moving to the front is rare. */
static uint32_t limit(const struct scoreboard *b)
{
	uint32_t most = b->block ? sizes[b->tier] - sizes[b->tier] / 4u : BOARD_INLINE;
	if (b->block && b->tier >= TIER_LARGE) {
		uint32_t small = sizes[TIER_LARGE - 1] / 4u * 3u, n = worth(b);
		most = at_most(most, n > small ? n : small);
	}
	return most;
}

/* The large are rare: no slab of them is kept in case. */
static void give_back(struct tcp *tcp, struct scoreboard *b)
{
	struct pool *pool = &tcp->boards[b->tier];
	if (!b->block)
		return;
	tern_pool_put(pool, b->block);
	if (b->tier && pool->live == 0)
		tern_pool_trim(pool);
	b->block = NULL;
}

void tern_board_clear(struct tcp *tcp, struct scoreboard *b)
{
	give_back(tcp, b);
	b->first = b->count = 0;
	b->sacked = b->lost = 0;
}

/* --- room ------------------------------------------------------------------------------- */

static bool grow(struct tcp *tcp, struct scoreboard *b)
{
	unsigned tier = b->block ? b->tier + 1u : 0;
	if (tier == BOARD_TIERS || (tier >= TIER_LARGE && worth(b) <= b->count))
		return false;
	struct xmit *block = tern_pool_get(&tcp->boards[tier]);
	if (!block)
		return false;
	memcpy(block, board_at_const(b, 0), b->count * sizeof *block);
	give_back(tcp, b);
	b->block = block;
	b->tier = (uint8_t)tier;
	b->first = 0;
	return true;
}

static void take_out(struct scoreboard *b, uint32_t i, uint32_t n)
{
	struct xmit *at = board_at(b, i);
	memmove(at, at + n, (b->count - i - n) * sizeof *at);
	b->count = (uint16_t)(b->count - n);
}

static uint64_t apart(const struct xmit *a, const struct xmit *b)
{
	return a->at < b->at ? b->at - a->at : a->at - b->at;
}

/* Joins two neighbours of like fate; the record that `*keep` names stays the one it names. */
static bool squeeze(struct scoreboard *b, uint32_t *keep)
{
	uint32_t best = 0;
	uint64_t least = UINT64_MAX;
	for (uint32_t i = 1; i < b->count; i++) {
		const struct xmit *x = board_at(b, i);
		/* What is about to be split must keep its beginning. */
		if (i != *keep && x[-1].flags == x->flags && apart(x - 1, x) < least) {
			least = apart(x - 1, x);
			best = i;
		}
	}
	if (best == 0)
		return false;
	struct xmit *x = board_at(b, best);
	if (x[-1].at < x->at)
		x[-1].at = x->at;
	take_out(b, best, 1);
	*keep -= best < *keep;
	return true;
}

/* Room for one more record; *keep is an index that moves if need be. False: there is none, and
 * b->off if that is for want of memory for the smaller blocks. */
static bool make_room(struct tcp *tcp, struct scoreboard *b, uint32_t *keep)
{
	if (b->count >= limit(b) && !grow(tcp, b)) {
		if (!b->block || b->tier + 1u < TIER_LARGE)
			b->off = true;
		if (b->off || !squeeze(b, keep))
			return false;
	}
	if (b->first + b->count == room(b) && b->first) {
		memmove(board_at(b, 0) - b->first, board_at(b, 0), b->count * sizeof(struct xmit));
		b->first = 0;
	}
	return true;
}

/* --- finding and splitting ---------------------------------------------------------------- */

/* The record that holds s, which lies within the board. */
static uint32_t find(const struct scoreboard *b, tern_seq s)
{
	uint32_t lo = 0, hi = b->count;
	while (hi - lo > 1) {
		uint32_t mid = (lo + hi) / 2;
		if (seq_leq(board_at_const(b, mid)->lo, s))
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Makes s a boundary; *i is the record that holds it, and becomes the one that begins there. */
static bool split(struct tcp *tcp, struct scoreboard *b, uint32_t *i, tern_seq s)
{
	if (seq_eq(board_at(b, *i)->lo, s))
		return true;
	if (!make_room(tcp, b, i))
		return false;
	struct xmit *x = board_at(b, *i);
	memmove(x + 1, x, (b->count - *i) * sizeof *x);
	b->count++;
	x[1].lo = s;
	(*i)++;
	return true;
}

static bool alike(const struct xmit *a, const struct xmit *b, uint64_t slack)
{
	if (a->flags != b->flags)
		return false;
	return a->flags & (XMIT_SACKED | XMIT_LOST) || apart(a, b) <= slack;
}

/* Joins those of [from, to) that have become alike with what precedes them. */
static void join(struct scoreboard *b, uint32_t from, uint32_t to, uint64_t slack)
{
	uint32_t into = from ? from - 1 : 0;
	if (to > b->count)
		to = b->count;
	for (uint32_t i = into + 1; i < to; i++) {
		struct xmit *x = board_at(b, i), *last = board_at(b, into);
		if (alike(last, x, slack))
			continue;
		*board_at(b, ++into) = *x;
	}
	if (to > into + 1)
		take_out(b, into + 1, to - into - 1);
}

/* --- marks --------------------------------------------------------------------------------- */

static void unmark_lost(struct scoreboard *b, uint32_t i)
{
	struct xmit *x = board_at(b, i);
	if (x->flags & XMIT_LOST)
		b->lost -= length(b, i);
	x->flags &= ~XMIT_LOST;
}

void tern_board_lose(struct tcp *tcp, struct scoreboard *b, uint32_t i)
{
	struct xmit *x = board_at(b, i);
	if (x->flags & XMIT_RESENT)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPLostRetransmit);
	x->flags |= XMIT_LOST;
	b->lost += length(b, i);
}

void tern_board_lose_all(struct tcp *tcp, struct scoreboard *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (!(board_at(b, i)->flags & (XMIT_SACKED | XMIT_LOST)))
			tern_board_lose(tcp, b, i);
}

void tern_board_unlose(struct scoreboard *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		unmark_lost(b, i);
}

/* Which of them were sent twice is not remembered: all were, to be safe (Karn). */
void tern_board_forget_sacks(struct scoreboard *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (board_at(b, i)->flags & XMIT_SACKED)
			board_at(b, i)->flags = XMIT_RESENT;
	b->sacked = 0;
}

/* --- what is sent -------------------------------------------------------------------------- */

static void give_up(struct tcp *tcp, struct scoreboard *b)
{
	core_count(tcp->core, TERN_COUNT_TcpExtTCPSackNoMemory);
	tern_board_clear(tcp, b);
	b->off = true;
}

/* Full: the last record takes it on, as what may have been sent last and is not held. */
static void extend_last(struct scoreboard *b, tern_seq hi, uint64_t now)
{
	struct xmit *x = board_at(b, b->count - 1);
	if (x->flags & XMIT_SACKED)
		b->sacked -= length(b, b->count - 1);
	unmark_lost(b, b->count - 1);
	x->flags &= ~XMIT_SACKED;
	x->at = now;
	b->end = hi;
}

static bool append(struct tcp *tcp, struct scoreboard *b, struct range r)
{
	uint64_t now = tcp->core->now;
	uint32_t keep = 0;
	if (!make_room(tcp, b, &keep)) {
		if (!b->off)
			extend_last(b, r.hi, now);
		return !b->off;
	}
	if (b->count == 0)
		b->high = r.lo;
	b->count++;
	*board_at(b, b->count - 1) = (struct xmit){r.lo, 0, now};
	b->closed = false;
	b->end = r.hi;
	return true;
}

/* Sent within a 64th of an RTT: as good as at once, for a window of a quarter of one. */
static uint64_t slack_of(const struct tcb *tcb)
{
	return (uint64_t)tcb->srtt * 1000 / 64;
}

bool tern_board_sent(struct tcp *tcp, struct tcb *tcb, struct range r)
{
	struct scoreboard *b = &tcb->side->rec.board;
	if (b->off)
		return true;
	if (b->count == 0 && !seq_eq(r.lo, tcb->snd.una)) /* begun without one */
		return true;
	struct xmit *last = b->count ? board_at(b, b->count - 1) : NULL;
	/* Not across a retransmission: its arrival would find lost what was sent after it. */
	if (last && last->flags == 0 && !b->closed && tcp->core->now - last->at <= slack_of(tcb)) {
		b->end = r.hi;
		return true;
	}
	if (append(tcp, b, r))
		return true;
	give_up(tcp, b);
	return false;
}

bool tern_board_resent(struct tcp *tcp, struct tcb *tcb, struct range r)
{
	struct scoreboard *b = &tcb->side->rec.board;
	if (b->count == 0)
		return true;
	uint32_t i = find(b, r.lo), after;
	b->closed = true;
	/* Without room for a boundary, the whole of a record counts as sent again: what was not
	 * will be found lost later. */
	split(tcp, b, &i, r.lo);
	for (after = i; !b->off && after < b->count; after++) {
		if (!seq_lt(board_at(b, after)->lo, r.hi))
			break;
		uint32_t cut = after;
		if (seq_lt(r.hi, board_end(b, after)) && split(tcp, b, &cut, r.hi))
			after = cut - 1;
		i = i < after ? i : after;
		if (board_at(b, after)->flags & XMIT_SACKED)
			continue;
		unmark_lost(b, after);
		struct xmit *x = board_at(b, after);
		x->flags |= XMIT_RESENT;
		x->at = tcp->core->now;
	}
	if (b->off) {
		give_up(tcp, b);
		return false;
	}
	join(b, i, after + 1, slack_of(tcb));
	return true;
}

bool tern_board_first_lost(const struct scoreboard *b, struct range *out)
{
	for (uint32_t i = 0; b->lost && i < b->count; i++)
		if (board_at_const(b, i)->flags & XMIT_LOST) {
			*out = (struct range){board_at_const(b, i)->lo, board_end(b, i)};
			return true;
		}
	return false;
}

uint32_t tern_board_resending(const struct scoreboard *b)
{
	uint32_t bytes = 0;
	for (uint32_t i = 0; i < b->count; i++)
		if (board_at_const(b, i)->flags == XMIT_RESENT)
			bytes += length(b, i);
	return bytes;
}

/* --- what is delivered ---------------------------------------------------------------------- */

/* Part or all of record i, up to hi, is at the peer, as we now hear. */
static void deliver(struct tcp *tcp, struct tcb *tcb, uint32_t i, tern_seq hi, struct delivery *d)
{
	const struct xmit *x = board_at_const(&tcb->side->rec.board, i);
	if (x->flags & XMIT_SACKED)
		return;
	d->bytes += seq_diff(hi, x->lo);
	if (!(x->flags & XMIT_RESENT)) {
		d->rtt = tcp->core->now - x->at;
		d->original |= seq_leq(hi, tcb->side->recover);
		if (seq_lt(hi, d->high)) {
			d->lowest = d->reordered ? seq_min(d->lowest, x->lo) : x->lo;
			d->reordered = true;
		}
	}
	tern_rack_delivered(tcp, tcb, x, hi, d);
}

static void forget(struct scoreboard *b, uint32_t i, uint32_t n)
{
	const struct xmit *x = board_at_const(b, i);
	b->sacked -= x->flags & XMIT_SACKED ? n : 0;
	b->lost -= x->flags & XMIT_LOST ? n : 0;
}

void tern_board_acked(struct tcp *tcp, struct tcb *tcb, struct delivery *d)
{
	struct scoreboard *b = &tcb->side->rec.board;
	tern_seq una = tcb->snd.una;
	d->acknowledged = true;
	while (b->count && seq_lt(board_at(b, 0)->lo, una)) {
		tern_seq hi = seq_min(board_end(b, 0), una);
		deliver(tcp, tcb, 0, hi, d);
		forget(b, 0, seq_diff(hi, board_at(b, 0)->lo));
		if (seq_lt(hi, board_end(b, 0))) {
			board_at(b, 0)->lo = hi;
			break;
		}
		b->first++;
		b->count--;
	}
	d->acknowledged = false;
	if (seq_lt(b->high, una))
		b->high = una;
	if (b->count == 0)
		tern_board_clear(tcp, b);
}

/* Bounded: each step passes a record, and what it marks becomes one with its neighbours. */
void tern_board_sack(struct tcp *tcp, struct tcb *tcb, struct range r, struct delivery *d)
{
	struct scoreboard *b = &tcb->side->rec.board;
	uint32_t i = find(b, r.lo);
	bool held = board_at(b, i)->flags & XMIT_SACKED;
	if (held && seq_leq(r.hi, board_end(b, i)))
		return;
	if (!held && !split(tcp, b, &i, r.lo))
		i++;
	uint32_t from = i;
	for (; i < b->count && seq_lt(board_at(b, i)->lo, r.hi); i++) {
		if (board_at(b, i)->flags & XMIT_SACKED)
			continue;
		uint32_t cut = i;
		if (seq_lt(r.hi, board_end(b, i))) {
			if (!split(tcp, b, &cut, r.hi))
				break;
			from -= cut == i && from; /* a record before was joined to make room */
			i = cut - 1;
		}
		uint32_t n = length(b, i);
		deliver(tcp, tcb, i, board_end(b, i), d);
		unmark_lost(b, i);
		board_at(b, i)->flags = XMIT_SACKED;
		b->sacked += n;
		d->sacked += n;
		if (seq_lt(b->high, board_end(b, i)))
			b->high = board_end(b, i);
	}
	join(b, from, i + 1, 0);
	if (b->off)
		give_up(tcp, b);
}
