/* Segments that no connection pulls; resets: to segments that belong nowhere, and to a peer whose
 * connection we end. */
#include "transport/tcp/tcp.h"

static bool tokens(struct tcp *tcp)
{
	uint64_t rate = (uint64_t)tcp->core->set.tcp_out_rst_per_sec;
	uint64_t earned = (tcp->core->now - tcp->rst_at) * rate / 1000000000;
	if (earned) {
		uint64_t have = tcp->rst_tokens + earned;
		tcp->rst_tokens = (uint32_t)(have < rate ? have : rate);
		tcp->rst_at = tcp->core->now;
	}
	if (tcp->rst_tokens == 0)
		return false;
	tcp->rst_tokens--;
	return true;
}

/* No address gets more than its share of them, whoever sends in its name; nor can one see in its
 * own what another drew. */
static bool share(struct tcp *tcp, const struct tern_addr *to)
{
	uint64_t hash = tern_siphash13(&tcp->table_key, to, sizeof *to);
	struct rst_source *s = &tcp->rst_source[hash % RST_SOURCES];
	uint16_t second = (uint16_t)now_s(tcp);
	if (s->second != second)
		*s = (struct rst_source){.second = second};
	if (s->sent >= tcp->core->set.tcp_out_rst_source)
		return false;
	s->sent++;
	return true;
}

int tern_segment_alone(struct tcp *tcp, const struct tern_addr *src, const struct tern_addr *dst,
	const struct tcp_segment *s, struct alone how)
{
	uint8_t header[TCP_HEADER_LEN_MAX];
	uint32_t len = tern_tcp_emit(header, s);
	uint64_t sum = tern_pseudo_sum(src, dst, IPPROTO_TCP_NUM, len);
	store_be16(header + 16, csum_finish(sum + tcp->core->csum->sum(header, len)));
	struct ip_datagram d = {
		.src = *src,
		.dst = *dst,
		.out = {.protocol = IPPROTO_TCP_NUM,
			.tos = tos_of(how.dscp),
			.dont_fragment = true},
		.head = header,
		.head_len = len,
	};
	int err = tern_ip_send(tcp->ip, &d);
	if (err != 0)
		return err;
	core_count(tcp->core, how.again ? TERN_COUNT_TcpRetransSegs : TERN_COUNT_TcpOutSegs);
	if (s->flags & TCP_RST)
		core_count(tcp->core, TERN_COUNT_TcpOutRsts);
	return 0;
}

void tern_reset_reply(struct tcp *tcp, const struct ip_in *in, const struct tcp_segment *seg)
{
	if (seg->flags & TCP_RST || in->group)
		return;
	if (!share(tcp, &in->src) || !tokens(tcp)) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_RESET_RATE);
		return;
	}
	struct tcp_segment s = {.src_port = seg->dst_port,
		.dst_port = seg->src_port,
		.flags = TCP_RST};
	if (seg->flags & TCP_ACK) {
		s.seq = seg->ack;
	} else {
		s.flags |= TCP_ACK;
		s.ack = seq_add(seg->seq, seg->len);
	}
	tern_trace_segment(tcp, TERN_TRACE_SEGMENT_OUT, NULL, in, &s, 0);
	/* As Linux: the answer is worth as much as what asked for it. */
	tern_segment_alone(tcp, &in->dst, &in->src, &s, (struct alone){.dscp = dscp_of(in->tos)});
}

void tern_reset_send(struct tcp *tcp, struct tcb *tcb)
{
	struct tcp_segment s = {
		.src_port = tcb->local_port,
		.dst_port = tcb->remote_port,
		.seq = tcb->snd.nxt,
		.ack = tcb->rcv.nxt,
		.flags = TCP_RST | TCP_ACK,
	};
	if (tcb->flags & TCB_TIMESTAMPS) { /* RFC 7323 3.2: a reset should, too */
		s.options.has = TCP_OPT_TIMESTAMP;
		s.options.tsval = tern_timestamp_now(tcp, tcb);
		s.options.tsecr = tcb->ts_recent;
	}
	tern_trace_segment(tcp, TERN_TRACE_SEGMENT_OUT, tcb, NULL, &s, 0);
	tern_segment_alone(tcp, &tcb->path->src, &tcb->path->dst, &s,
		(struct alone){.dscp = tcb->dscp});
}
