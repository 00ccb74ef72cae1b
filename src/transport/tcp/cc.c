/*
 * What all congestion controls share: the table of them, slow start, one reduction a window, and
 * the congestion window that is not used: it does not grow, and what has not been used for a
 * while is no longer believed (RFC 5681 4.1, RFC 2861 as Linux has it; else RFC 7661: cwv.c).
 */
#include <string.h>
#include "transport/tcp/tcp.h"

/* By the number that tcp_congestion_control and TERN_TCP_CONGESTION give. */
static const struct congestion_control *const algorithms[] = {&tern_cc_cubic, &tern_cc_newreno};

#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

const struct congestion_control *tern_cc_of(const struct tcb *tcb)
{
	return algorithms[tcb->cc];
}

const struct congestion_control *tern_cc_at(unsigned number)
{
	return number < ALGORITHMS ? algorithms[number] : NULL;
}

void tern_cc_choose(struct tcb *tcb, unsigned number)
{
	if (tcb->cc == number)
		return;
	tcb->cc = number & 3u;
	if (tcb->side)
		memset(&tcb->side->cc, 0, sizeof tcb->side->cc);
}

const char *tern_congestion_name(unsigned number)
{
	const struct congestion_control *cc = tern_cc_at(number);
	return cc ? cc->name : NULL;
}

int tern_congestion_number(const char *name)
{
	for (unsigned i = 0; i < ALGORITHMS; i++)
		if (strcmp(algorithms[i]->name, name) == 0)
			return (int)i;
	return TERN_ENOENT;
}

/* --- growth ---------------------------------------------------------------------------- */

/* In slow start the window may grow to twice what was used of it, as in Linux. */
static bool fills_window(const struct tcb *tcb, uint32_t flight)
{
	return tcb->cwnd < 2 * (uint64_t)flight;
}

bool tern_cwnd_may_grow(const struct tcb *tcb, const struct ack_info *ack)
{
	const struct cwnd_use *use = &tcb->side->use;
	if (use->reducing && tcb->side->mode == RECOVERY_OPEN)
		return false;
	if (use->limited || tcb->cwnd >= tcb->ssthresh)
		return use->limited;
	return fills_window(tcb, ack->flight);
}

/*
 * RFC 3465 2.2, 2.3. After a timeout an ACK may cover what arrived long ago, unless SACK says what
 * is new: one segment each. DEVIATES: else L is not 2 segments but none (RFC 9406 4.2 foresees it).
 * Devices that join segments make one ACK stand for many, and would be starved; counting bytes is
 * as safe against ACK division.
 */
uint32_t tern_slow_start(struct tcb *tcb, const struct ack_info *ack)
{
	bool after_timeout = tcb->side->mode == RECOVERY_TIMEOUT && !(tcb->flags & TCB_SACK);
	uint32_t room = tcb->ssthresh - tcb->cwnd;
	uint32_t grow = at_most(ack->acked, room);
	uint32_t left = ack->acked - grow;
	if (after_timeout) {
		grow = at_most(grow, tcb->mss);
		left = 0;
	}
	tcb->cwnd += grow;
	return left;
}

/* --- congestion ------------------------------------------------------------------------ */

/* RFC 7661 4.4.1: of a window that was not used, half of what was, whatever the algorithm. */
static uint32_t less_than_used(const struct tcb *tcb, uint32_t ssthresh, uint32_t used)
{
	uint32_t two = 2u * tcb->mss;
	return tcb->side->use.pipe.lost ? at_most(ssthresh, used / 2 > two ? used / 2 : two)
					: ssthresh;
}

uint32_t tern_cc_reduced(struct tcb *tcb, uint32_t flight)
{
	struct cwnd_use *use = &tcb->side->use;
	if (use->reducing && seq_leq(tcb->snd.una, use->reduced))
		return tcb->ssthresh;
	uint32_t used = tern_cwv_lost(tcb, flight);
	uint32_t ssthresh = less_than_used(tcb, tern_cc_of(tcb)->ssthresh(tcb, used), used);
	if (tcb->ecn) {
		tcb->ecn_cwr = true;
		use->reducing = true;
		use->reduced = tcb->snd.nxt;
	}
	return ssthresh;
}

/* --- a window that is not used --------------------------------------------------------------- */

/* Linux's tcp_current_ssthresh: that there once was a larger window is not forgotten. */
static void remember(struct tcb *tcb)
{
	uint32_t most = tcb->cwnd / 4 * 3;
	if (tcb->ssthresh < most)
		tcb->ssthresh = most;
}

uint32_t tern_cwnd_restart(const struct tcp *tcp, const struct tcb *tcb)
{
	uint32_t initial = (uint32_t)tcp->core->set.tcp_init_cwnd * tern_tcb_effective_mss(tcb);
	return at_most(initial, tcb->cwnd);
}

static bool longer_than_rto(const struct tcp *tcp, const struct tcb *tcb, uint32_t since)
{
	uint32_t ms = now_ms(tcp) - since;
	/* Which no RTO is shorter than: the usual case, cheaply. */
	if (ms < (uint32_t)tcp->core->set.tcp_rto_min_ms)
		return false;
	return ms * MS > tern_rto(tcp, tcb);
}

/* The side block's absence is the memory of having been idle for long. */
void tern_cwnd_resume(const struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side;
	bool forget = tcp->core->set.tcp_slow_start_after_idle;
	if (forget && (!side || longer_than_rto(tcp, tcb, side->use.sent_at))) {
		uint32_t window = tern_cwnd_restart(tcp, tcb);
		if (window < tcb->cwnd) {
			remember(tcb);
			tcb->cwnd = window;
		}
	}
	if (!side)
		return;
	side->use.round = tcb->snd.una;
	tern_cwv_resume(tcp, tcb);
	tern_pacing_resume(tcp, tcb);
	if (tern_cc_of(tcb)->resumed)
		tern_cc_of(tcb)->resumed(tcb, tcp->core->now);
}

/* Half of what was not needed for an RTO goes (RFC 2861 3.2). */
static void decay(const struct tcp *tcp, struct tcb *tcb)
{
	struct cwnd_use *use = &tcb->side->use;
	uint32_t used = tern_cwnd_restart(tcp, tcb);
	if (used < use->used)
		used = use->used;
	if (used < tcb->cwnd && tcb->side->mode == RECOVERY_OPEN) {
		remember(tcb);
		tcb->cwnd -= (tcb->cwnd - used) / 2;
	}
	use->used = 0;
	use->full_at = now_ms(tcp);
}

void tern_cwnd_sent(const struct tcp *tcp, struct tcb *tcb)
{
	struct cwnd_use *use = &tcb->side->use;
	uint32_t flight = tcb_flight(tcb), now = now_ms(tcp);
	bool full = flight + tcb->mss > tcb->cwnd;
	bool filling = tcb->cwnd < tcb->ssthresh && fills_window(tcb, flight);
	if (!seq_lt(tcb->snd.una, use->round)) {
		use->round = tcb->snd.nxt;
		use->limited = false;
	}
	use->limited |= full;
	use->sent_at = now;
	tern_cwv_sent(tcp, tcb);
	if (use->limited || filling) {
		use->used = 0;
		use->full_at = now;
		return;
	}
	if (flight > use->used)
		use->used = flight;
	if (tcp->core->set.tcp_slow_start_after_idle && longer_than_rto(tcp, tcb, use->full_at))
		decay(tcp, tcb);
}
