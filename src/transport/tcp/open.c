/* Opening: what the SYNs agree on, and SYN_SENT (RFC 9293 3.10.7.3). */
#include "transport/tcp/tcp.h"

/* The options of the peer's SYN or SYN-ACK; tcb->flags say what we offered. */
void tern_open_learn(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *syn)
{
	const struct tcp_options *o = &syn->options;
	tern_tcb_set_mss(tcp, tcb, o->has & TCP_OPT_MSS ? o->mss : 0);
	if (tcb->flags & TCB_WSCALE && o->has & TCP_OPT_WSCALE) {
		tcb->snd_wscale = o->wscale & 0xfu;
	} else {
		tcb->flags &= ~TCB_WSCALE;
		tcb->rcv_wscale = 0;
	}
	if (!(o->has & TCP_OPT_SACK_OK))
		tcb->flags &= ~TCB_SACK;
	tern_ecn_learn(tcb, syn->flags);
	if (tcb->flags & TCB_TIMESTAMPS && o->has & TCP_OPT_TIMESTAMP) {
		tcb->ts_recent = o->tsval;
		tcb->ts_recent_at = now_ms(tcp);
	} else {
		tcb->flags &= ~TCB_TIMESTAMPS;
	}
	tcb->rcv.irs = syn->seq;
	tcb->rcv.nxt = seq_add(syn->seq, 1);
	/* What our own SYN offered, if it went out before the peer's was known, was a size. */
	tcb->rcv.adv = seq_add(tcb->rcv.nxt,
		tcb->state == TERN_TCP_SYN_SENT ? tern_window_in_syn(tcb) : 0);
	tcb->rcv.acked = tcb->rcv.nxt;
	tcb->snd.wnd = syn->window; /* RFC 7323 2.2: never scaled in a SYN */
	tcb->snd.wl1 = syn->seq;
	tcb->snd.wl2 = syn->ack;
	uint32_t field = (uint32_t)syn->window >> tcb->snd_wscale;
	tcb->max_wnd = (uint16_t)(field ? field : 1);
}

/* Linux's initial budget of immediate ACKs: slow start at the sender needs them. */
#define QUICKACKS 16

void tern_open_done(struct tcp *tcp, struct tcb *tcb, enum tern_cause cause)
{
	uint32_t syn_lost = tcb->backoff;
	tcb->quickacks = QUICKACKS;
	/* RFC 6928 2; RFC 5681 3.1: one segment if the SYN was lost. */
	uint32_t mss = tern_tcb_effective_mss(tcb);
	tcb->cwnd = syn_lost ? mss : (uint32_t)tcp->core->set.tcp_init_cwnd * mss;
	if (syn_lost && tcb->srtt == 0)
		tcb->rttvar =
			3000000 / 4; /* RFC 6298 5.7: without a sample, an RTO of 3 s (MUST) */
	tcb->backoff = 0;
	if (tcb->side) {
		/* Timeouts of the SYN are over, or the side block would never go. */
		tcb->side->unanswered = tcb->side->unmoved = 0;
		tcb->side->tally.text_at = tcb->side->tally.sent_at = tcp->core->now;
	}
	tern_tcb_enter(tcp, tcb, TERN_TCP_ESTABLISHED, cause);
	if (!(tcb->flags & (TCB_PASSIVE | TCB_ORPHAN)))
		tern_notice_raise(tcp->core, &tcb->notice, NOTICE(TERN_EV_CONNECTED));
	tern_want_send(tcp, tcb);
}

static bool ack_acceptable(const struct arrival *a)
{
	return seq_lt(a->tcb->snd.iss, a->seg->ack) && seq_leq(a->seg->ack, a->tcb->snd.nxt);
}

/* Our SYN is acknowledged by a SYN-ACK. */
static void established(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	uint8_t lost = tcb->backoff;
	tern_rtt_sample(a->tcp, tcb, a->seg);
	tcb->snd.una = a->seg->ack;
	if (tcb->side)
		tcb->side->tally.acked++;
	tern_timer_nothing_in_flight(a->tcp, tcb);
	bool wait = tern_option_ack_waits(tcb);
	tcb->flags = (tcb->flags & ~TCB_SYN_DUE) | TCB_SYN_ACKED;
	tcb->flags |= wait ? TCB_ACK_DELAYED : TCB_ACK_NOW;
	if (wait) /* as Linux: the request will be there in a moment, and acknowledge as well */
		tern_timer_ack_waits(a->tcp, tcb);
	tcb->backoff = lost;
	tern_open_done(a->tcp, tcb, TERN_CAUSE_SYN_ACK);
	/* Text or FIN on a SYN-ACK is queued as if it had come alone (3.10.7.3, "return"). */
	tern_take_syn_off(a->seg);
	if (a->seg->len && tern_window_step(a).kind == VERDICT_CONTINUE &&
		tern_text_step(a).kind == VERDICT_CONTINUE && a->tcb)
		tern_fin_step(a);
}

/* Both sides opened at once (RFC 9293 figure 8). */
static void simultaneous(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	tern_tcb_enter(a->tcp, tcb, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	tcb->flags |= TCB_SYN_DUE;
	tern_rtt_cancel(tcb);
	tern_want_send(a->tcp, tcb);
}

struct verdict tern_open_syn_sent(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	uint16_t flags = a->seg->flags;
	/* First: ACK. */
	if (flags & TCP_ACK && !ack_acceptable(a))
		return flags & TCP_RST ? verdict(VERDICT_DROP, TERN_DROP_TCP_SYN_SENT_RST)
				       : verdict(VERDICT_RESET, TERN_DROP_TCP_BAD_ACK);
	/* Second: RST, believed only with an acceptable ACK. */
	if (flags & TCP_RST) {
		if (!(flags & TCP_ACK))
			return verdict(VERDICT_DROP, TERN_DROP_TCP_SYN_SENT_RST);
		tern_tcb_die(a->tcp, tcb, TERN_ECONNREFUSED, TERN_CAUSE_RST);
		a->tcb = NULL;
		return CONTINUE;
	}
	/* Fourth: SYN. Fifth: neither SYN nor RST: drop. */
	if (!(flags & TCP_SYN))
		return verdict(VERDICT_DROP, TERN_DROP_TCP_FLAGS);
	tern_open_learn(a->tcp, tcb, a->seg);
	if (flags & TCP_ACK)
		established(a);
	else
		simultaneous(a);
	return CONTINUE;
}
