/* TIME_WAIT: who may take the pair over before 2MSL have passed (RFC 6191, RFC 9293 3.10.7.4). */
#include "transport/tcp/tcp.h"

/* RFC 6191 2: a newer timestamp, or without timestamps a higher sequence number. */
static bool syn_is_newer(const struct arrival *a)
{
	const struct tcb *tcb = a->tcb;
	const struct tcp_options *o = &a->seg->options;
	bool stamped = o->has & TCP_OPT_TIMESTAMP;
	if (tcb->flags & TCB_TIMESTAMPS && stamped) {
		int32_t newer = (int32_t)(o->tsval - tcb->ts_recent);
		if (newer != 0)
			return newer > 0;
	}
	return seq_gt(a->seg->seq, tcb->rcv.nxt);
}

bool tern_timewait_overflow(const struct tcp *tcp)
{
	return tcp->time_waits > (uint32_t)tcp->core->set.tcp_max_tw_buckets;
}

bool tern_timewait_reuse(struct arrival *a, uint32_t *iss_floor)
{
	uint16_t flags = a->seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);
	if (flags != TCP_SYN || !syn_is_newer(a))
		return false;
	const struct listener *l = tern_demux_listener(a->tcp, &a->in->dst, a->seg->dst_port);
	if (!l || tern_listen_refuses(a->tcp, l, &a->in->src) != TERN_DROP_NONE)
		return false;
	/* Beyond anything the old connection sent, as its peer could still hold it (MUST: larger
	 * ISN). */
	*iss_floor = a->tcb->snd.nxt.v + UINT16_MAX + 2;
	core_count(a->tcp->core, TERN_COUNT_TcpExtTWRecycled);
	tern_tcb_die(a->tcp, a->tcb, 0, TERN_CAUSE_REUSED);
	a->tcb = NULL;
	return true;
}
