/*
 * Explicit congestion notification (RFC 3168): routers mark packets instead of dropping them (CE);
 * the receiver says so in every ACK (ECE) until the sender answers (CWR) that it has reduced its
 * window, which it does as for a loss, with nothing to be sent again.
 */
#include "transport/tcp/tcp.h"

#define BOTH (TCP_ECE | TCP_CWR)

void tern_ecn_offer(const struct tcp *tcp, struct tcb *tcb)
{
	int32_t set = tcp->core->set.tcp_ecn;
	bool offers = set == 1 || (set == 2 && tcb->flags & TCB_PASSIVE);
	tcb->ecn = offers;
}

bool tern_ecn_setup(uint16_t flags)
{
	return flags & TCP_ACK ? (flags & BOTH) == TCP_ECE : (flags & BOTH) == BOTH;
}

void tern_ecn_learn(struct tcb *tcb, uint16_t flags)
{
	if (!tern_ecn_setup(flags))
		tcb->ecn = false;
}

uint16_t tern_ecn_syn_flags(struct tcb *tcb, uint16_t flags, bool again)
{
	/* RFC 3168 6.1.1.1: perhaps it is these bits that do not get through. */
	if (again && !(flags & TCP_ACK))
		tcb->ecn = false;
	if (!tcb->ecn)
		return flags;
	return (uint16_t)(flags | (flags & TCP_ACK ? TCP_ECE : BOTH));
}

/* RFC 3168 6.1.3; step seven, for text that is acceptable. */
void tern_ecn_text(struct tcb *tcb, uint16_t flags, uint8_t tos)
{
	if (flags & TCP_CWR)
		tcb->ecn_echo = false;
	if ((tos & ECN_MASK) != ECN_CE)
		return;
	/* Bad news travels fast. */
	if (!tcb->ecn_echo)
		tcb->flags |= TCB_ACK_NOW;
	tcb->ecn_echo = true;
}

/* RFC 3168 6.1.2: as for a loss, once for all that was in flight together. */
void tern_ecn_echoed(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack)
{
	struct tcb_side *side = tcb->side;
	uint32_t marked = ack->acked ? segments_of(ack->acked, tcb->mss) : 0;
	core_add(tcp->core, TERN_COUNT_TcpExtTCPDeliveredCE, marked);
	if (!side)
		return;
	side->tally.marked += marked;
	tern_undo_forbid(side);
	if (side->mode != RECOVERY_OPEN || ack->flight == 0)
		return;
	if (side->use.reducing && seq_leq(tcb->snd.una, side->use.reduced))
		return;
	tern_recovery_cwr_end(tcb);
	tcb->ssthresh = tern_cc_reduced(tcb, ack->flight);
	tern_recovery_cwr(tcb, ack->acked);
	tern_trace_congestion(tcp, tcb, "ecn");
}

uint8_t tern_ecn_sent(struct tcb *tcb, struct tcp_segment *s, bool again)
{
	if (s->flags & (TCP_SYN | TCP_RST))
		return 0;
	if (tcb->ecn_echo)
		s->flags |= TCP_ECE;
	/* RFC 3168 6.1.4 to 6.1.6: neither what is sent again, nor probes, nor ACKs alone. */
	if (s->data_len == 0 || again)
		return 0;
	if (tcb->ecn_cwr)
		s->flags |= TCP_CWR;
	tcb->ecn_cwr = false;
	return ECN_ECT0;
}
