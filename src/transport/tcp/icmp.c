/* ICMP errors about our segments, believed as far as RFC 5927 allows. */
#include "transport/tcp/tcp.h"

/* RFC 5927 4.1: the quoted sequence number must be one that is in flight. */
static bool in_flight(const struct tcb *tcb, tern_seq quoted)
{
	return seq_leq(tcb->snd.una, quoted) && seq_lt(quoted, tcb->snd.nxt);
}

/* Sends what no longer fits again in smaller segments (RFC 1191 6.5). */
static void path_smaller(struct tcp *tcp, struct tcb *tcb, uint32_t mtu)
{
	tern_path_too_big(tcp->ip, tcb->path, mtu);
	uint32_t mss = tern_tcb_path_mss(tcp, tcb);
	if (tcb->mss <= mss) /* old news; of the path alone it may be another connection's */
		return;
	uint32_t from = tcb->mss;
	tcb->mss = (uint16_t)mss;
	tern_trace_segment_size(tcp, tcb, from, "path MTU");
	if (!tcb->side || tcb_syn_unacked(tcb))
		return;
	tern_recovery_too_big(tcp, tcb);
	tern_want_send(tcp, tcb);
}

void tern_soft_error(struct tcp *tcp, struct tcb *tcb, int err)
{
	struct tcb_side *side = tern_tcb_side(tcp, tcb);
	if (side)
		side->soft_error = (int8_t)err;
}

int tern_tcp_take_soft_error(struct tern_stack *stack, struct tern_conn conn)
{
	struct tcb *tcb = tern_tcb_of(tern_stack_tcp(stack), conn);
	if (!tcb)
		return TERN_ESTALE;
	int err = tcb->side ? tcb->side->soft_error : 0;
	if (err)
		tcb->side->soft_error = 0;
	return err;
}

/* RFC 5927 5.2: while nothing of the peer has come an error ends the open, as users expect; from
 * then on it is soft, whatever its code: retransmission goes on and decides. */
void tern_tcp_icmp(struct tcp *tcp, const struct ip_error *e)
{
	if (e->len < 8)
		return;
	struct tcp_pair pair =
		tern_pair(tcp, &e->src, load_be16(e->data), &e->dst, load_be16(e->data + 2));
	tern_seq quoted = seq(load_be32(e->data + 4));
	struct tcb *tcb = tern_demux_find(tcp, &pair);
	if (!tcb && tern_half_open_icmp(tcp, &pair, quoted, e->hard))
		return;
	if (!tcb || !in_flight(tcb, quoted)) {
		tern_tcp_drop(tcp, tcb, TERN_DROP_ICMP_UNRELATED);
		return;
	}
	if (e->mtu) {
		path_smaller(tcp, tcb, e->mtu);
		return;
	}
	if (tcb->state == TERN_TCP_SYN_SENT && e->err)
		tern_tcb_die(tcp, tcb, e->err, TERN_CAUSE_UNREACHABLE);
	else if (e->err) /* RFC 1122 4.2.4.1 */
		tern_soft_error(tcp, tcb, e->err);
}
