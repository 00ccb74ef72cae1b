/*
 * Taking a reduction back when it turns out that nothing was lost: by timestamps, an ACK that
 * answers something sent before we sent it again (Eifel: RFC 3522, 4015); by D-SACK, when all that
 * was sent again is reported as a duplicate (RFC 3708); or because nothing had to be sent again.
 */
#include "transport/tcp/tcp.h"

/* Before ssthresh and cwnd are lowered. */
void tern_undo_begin(struct tcb *tcb)
{
	struct undo *u = &tcb->side->rec.undo;
	const struct tlp *t = &tcb->side->rec.tlp;
	bool probed = t->out && t->resent;
	*u = (struct undo){
		.on = true,
		.any = probed,
		.resent = probed ? t->len : 0,
		.from = tcb->snd.una,
		.cwnd = tcb->cwnd,
		.ssthresh = tcb->ssthresh,
	};
}

void tern_undo_resent(const struct tcp *tcp, struct tcb *tcb, uint32_t bytes)
{
	struct undo *u = &tcb->side->rec.undo;
	if (!u->on)
		return;
	u->any = true;
	u->resent += bytes;
	if (u->stamped)
		return;
	u->stamped = true;
	u->stamp = tern_timestamp_now(tcp, tcb);
}

/* A duplicate may still be reported for a round trip after the recovery is over. */
void tern_undo_leave(struct tcb *tcb)
{
	struct undo *u = &tcb->side->rec.undo;
	u->left = true;
	u->until = tcb->snd.nxt;
}

void tern_undo_expire(struct tcb *tcb)
{
	struct undo *u = &tcb->side->rec.undo;
	if (u->on && u->left && seq_gt(tcb->snd.una, u->until))
		u->on = false;
}

/* What was sent again and arrived twice. False: it cannot have been in this recovery. */
bool tern_undo_duplicate(struct tcb *tcb, struct range r)
{
	struct undo *u = &tcb->side->rec.undo;
	if (!u->on || !u->any || seq_lt(r.lo, u->from) || seq_gt(r.hi, tcb->snd.nxt))
		return false;
	uint32_t n = seq_diff(r.hi, r.lo);
	u->resent = n < u->resent ? u->resent - n : 0;
	return true;
}

/* RFC 3522 3.2 step 5: the ACK answers what was sent before anything was sent again. */
bool tern_undo_by_echo(const struct tcb *tcb, const struct delivery *d)
{
	const struct undo *u = &tcb->side->rec.undo;
	return u->on && u->stamped && d->echoed && (int32_t)(d->tsecr - u->stamp) < 0;
}

bool tern_undo_by_duplicates(const struct tcb *tcb)
{
	const struct undo *u = &tcb->side->rec.undo;
	return u->on && u->any && u->resent == 0;
}

/* All that was thought lost has arrived before any of it could be sent again. */
bool tern_undo_by_arrival(const struct tcb *tcb)
{
	const struct undo *u = &tcb->side->rec.undo;
	return u->on && !u->any && tcb->side->rec.board.lost == 0;
}

void tern_undo_forbid(struct tcb_side *side)
{
	side->rec.undo.cwnd = side->rec.undo.ssthresh = 0;
}

/* RFC 4015 3: windows as they were. In fast recovery cwnd is PRR's, and says nothing. */
static void put_back(struct tcb *tcb)
{
	const struct undo *u = &tcb->side->rec.undo;
	if (tcb->side->mode == RECOVERY_FAST || tcb->cwnd < u->cwnd)
		tcb->cwnd = u->cwnd;
	if (tcb->ssthresh < u->ssthresh)
		tcb->ssthresh = u->ssthresh;
	tcb->side->use.reducing = false;
	tcb->side->rec.prr.cwr = false;
	if (tern_cc_of(tcb)->undone)
		tern_cc_of(tcb)->undone(tcb);
}

void tern_undo(struct tcp *tcp, struct tcb *tcb, const char *why)
{
	struct undo *u = &tcb->side->rec.undo;
	if (u->cwnd)
		put_back(tcb);
	else if (tcb->side->mode == RECOVERY_FAST)
		tcb->cwnd = tcb->ssthresh;
	u->on = false;
	tern_board_unlose(&tcb->side->rec.board);
	tern_trace_congestion(tcp, tcb, why);
}
