/*
 * RACK (RFC 8985 6): what was sent before something that has been delivered, and enough earlier, is
 * lost. How much earlier is enough, the reordering window, follows what the path does: a quarter of
 * the smallest RTT, more when D-SACK says that we sent again for nothing, none at all while there
 * is no sign of reordering and three segments are held beyond the hole.
 */
#include "transport/tcp/tcp.h"

#define MIN_RTT_WINDOW (300 * 1000 * MS) /* Linux's tcp_min_rtt_wlen */
#define PERSIST        16                /* recoveries (6.2 step 4) */

static bool sent_after(uint64_t at1, tern_seq end1, uint64_t at2, tern_seq end2)
{
	return at1 > at2 || (at1 == at2 && seq_gt(end1, end2));
}

static void note_min_rtt(const struct tcp *tcp, struct rack *r, uint64_t rtt)
{
	uint64_t now = tcp->core->now;
	if (r->min_rtt == 0 || rtt <= r->min_rtt || now - r->min_rtt_at > MIN_RTT_WINDOW) {
		r->min_rtt = rtt;
		r->min_rtt_at = now;
	}
}

/*
 * The fastest an ACK of something sent again may come. On a path that reorders the first copy may
 * just be late, and when queues make the RTT much longer than the smallest, that says little.
 */
static uint64_t least_rtt(const struct tcb *tcb)
{
	const struct rack *r = &tcb->side->rec.rack;
	uint64_t most = (uint64_t)tcb->srtt * 1000 / 4 * 3;
	return r->reordered && most > r->min_rtt ? most : r->min_rtt;
}

/*
 * 6.2 step 2: whether an ACK of something sent twice may be for its first copy.
 * DEVIATES: the echoed timestamp is only asked about what the ACK acknowledges: beyond a hole it is
 * that of what came before the hole (RFC 7323 4.3), so no retransmission would ever count there.
 * And a 16th too fast is not too fast to be true: a lone retransmission meets no queue of ours.
 */
static bool ambiguous(const struct tcp *tcp, const struct tcb *tcb, const struct xmit *x,
	const struct delivery *d)
{
	if (!(x->flags & XMIT_RESENT))
		return false;
	if (d->acknowledged && d->echoed && (int32_t)(d->tsecr - tern_timestamp_at(tcb, x->at)) < 0)
		return true;
	uint64_t least = least_rtt(tcb);
	return tcp->core->now - x->at < least - least / 16;
}

void tern_rack_delivered(const struct tcp *tcp, struct tcb *tcb, const struct xmit *x, tern_seq hi,
	const struct delivery *d)
{
	struct rack *r = &tcb->side->rec.rack;
	uint64_t rtt = tcp->core->now - x->at;
	if (rtt == 0)
		rtt = 1;
	if (!(x->flags & XMIT_RESENT))
		note_min_rtt(tcp, r, rtt);
	if (ambiguous(tcp, tcb, x, d) || !sent_after(x->at, hi, r->xmit_at, r->end))
		return;
	r->rtt = rtt;
	r->xmit_at = x->at;
	r->end = hi;
}

/*
 * 6.2 step 3. DEVIATES: a recovery that was for nothing, too, shows that the path reorders, as in
 * Linux: while the window is nothing, all that is late has been sent again by the time it arrives,
 * and would never show. How far things overtake each other is for the user to see.
 */
void tern_rack_reordered(struct tcb *tcb, tern_seq lowest)
{
	struct rack *r = &tcb->side->rec.rack;
	tern_seq high = seq_max(tcb->side->rec.board.high, tcb->snd.una);
	uint32_t bytes = seq_lt(lowest, high) ? seq_diff(high, lowest) : 0;
	uint32_t segments = bytes / tcb->mss + (bytes % tcb->mss != 0);
	r->reordered = true;
	if (r->seen < UINT16_MAX)
		r->seen++;
	if (segments > r->distance)
		r->distance = (uint16_t)at_most(segments, UINT16_MAX);
}

/* By more than three segments: Linux's tcp_reordering. */
bool tern_rack_reorders(const struct tcb *tcb)
{
	const struct rack *r = &tcb->side->rec.rack;
	return r->reordered && r->distance > DUPACK_THRESHOLD;
}

/* 6.2 step 4, once a round trip: something was sent again for nothing. */
void tern_rack_widen(struct tcb *tcb)
{
	struct rack *r = &tcb->side->rec.rack;
	if (r->in_round && seq_lt(tcb->snd.una, r->dsack_round))
		return;
	r->in_round = true;
	r->dsack_round = tcb->snd.nxt;
	r->persist = PERSIST;
	if (r->multiplier < UINT8_MAX)
		r->multiplier++;
}

void tern_rack_recovered(struct tcb *tcb)
{
	struct rack *r = &tcb->side->rec.rack;
	if (r->persist && --r->persist == 0)
		r->multiplier = 0;
}

/* RFC 6675 4, IsLost: as many bytes as more than two segments are held. */
bool tern_rack_threshold(const struct tcb *tcb)
{
	return tcb->side->rec.board.sacked > (DUPACK_THRESHOLD - 1) * (uint32_t)tcb->mss;
}

/*
 * 6.2 step 4: RACK_update_reo_wnd().
 * DEVIATES: on a path that reorders, half the smoothed RTT if that is more than the smallest: a
 * segment and an ACK that both overtook all others may have made that next to nothing.
 */
static uint64_t reordering_window(const struct tcb *tcb)
{
	const struct rack *r = &tcb->side->rec.rack;
	if (!r->reordered && (tcb->side->mode != RECOVERY_OPEN || tern_rack_threshold(tcb)))
		return 0;
	uint64_t most = (uint64_t)tcb->srtt * 1000, base = r->min_rtt;
	if (r->reordered && base < most / 2)
		base = most / 2;
	uint64_t window = base / 4 * (r->multiplier + 1u);
	return window < most ? window : most;
}

/* Whether anything in flight may have been sent before what is delivered. */
static bool worth_looking(const struct tcb *tcb)
{
	const struct recovery *rec = &tcb->side->rec;
	return rec->board.count && (rec->board.sacked || tcb->side->mode != RECOVERY_OPEN ||
					   rec->rack.xmit_at > board_at_const(&rec->board, 0)->at);
}

/* 6.2 step 5. */
bool tern_rack_detect(struct tcp *tcp, struct tcb *tcb)
{
	struct rack *r = &tcb->side->rec.rack;
	struct scoreboard *b = &tcb->side->rec.board;
	uint64_t now = tcp->core->now, patience;
	bool found = false;
	r->due = 0;
	if (!worth_looking(tcb))
		return false;
	patience = r->rtt + reordering_window(tcb);
	for (uint32_t i = 0; i < b->count; i++) {
		const struct xmit *x = board_at_const(b, i);
		if (x->flags & (XMIT_SACKED | XMIT_LOST) ||
			!sent_after(r->xmit_at, r->end, x->at, board_end(b, i)))
			continue;
		if (now - x->at >= patience) {
			tern_board_lose(tcp, b, i);
			found = true;
		} else if (x->at + patience > r->due) {
			r->due = x->at + patience;
		}
	}
	return found;
}

/* 6.3: on a timeout the first is lost, and what has been under way as long as RACK allows. */
void tern_rack_timeout(struct tcp *tcp, struct tcb *tcb)
{
	struct rack *r = &tcb->side->rec.rack;
	struct scoreboard *b = &tcb->side->rec.board;
	uint64_t patience = r->rtt + reordering_window(tcb);
	r->due = 0;
	for (uint32_t i = 0; i < b->count; i++) {
		const struct xmit *x = board_at_const(b, i);
		if (x->flags & (XMIT_SACKED | XMIT_LOST))
			continue;
		if (i == 0 || tcp->core->now - x->at >= patience)
			tern_board_lose(tcp, b, i);
	}
}
