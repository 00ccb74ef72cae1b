#include "tools/tcpinfo.h"

unsigned char tern_linux_state(enum tern_tcp_state state)
{
	static const unsigned char number[TERN_TCP_STATES] = {
		[TERN_TCP_CLOSED] = 7,
		[TERN_TCP_LISTEN] = 10,
		[TERN_TCP_SYN_SENT] = 2,
		[TERN_TCP_SYN_RECEIVED] = 3,
		[TERN_TCP_ESTABLISHED] = 1,
		[TERN_TCP_FIN_WAIT_1] = 4,
		[TERN_TCP_FIN_WAIT_2] = 5,
		[TERN_TCP_CLOSE_WAIT] = 8,
		[TERN_TCP_CLOSING] = 11,
		[TERN_TCP_LAST_ACK] = 9,
		[TERN_TCP_TIME_WAIT] = 6,
	};
	return number[state];
}

void tern_linux_listen_info(const struct tern_listen_info *info, struct tcp_info *out)
{
	*out = (struct tcp_info){.tcpi_state = tern_linux_state(TERN_TCP_LISTEN),
		.tcpi_unacked = info->queued, /* as Linux: the accept queue, and its limit */
		.tcpi_sacked = info->backlog};
}

void tern_linux_tcp_info(const struct tern_tcp_info *i, struct tcp_info *out)
{
	uint32_t mss = i->mss ? i->mss : 1;
	*out = (struct tcp_info){.tcpi_state = tern_linux_state(i->state)};
	out->tcpi_ca_state = (uint8_t)i->recovery;
	out->tcpi_retransmits = (uint8_t)(i->backoff < 255 ? i->backoff : 255);
	out->tcpi_backoff = out->tcpi_retransmits;
	out->tcpi_options =
		(uint8_t)((i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
			  (i->sack ? TCPI_OPT_SACK : 0) | (i->wscale_ok ? TCPI_OPT_WSCALE : 0) |
			  (i->ecn ? TCPI_OPT_ECN : 0));
	out->tcpi_snd_wscale = (unsigned)i->snd_wscale & 15u;
	out->tcpi_rcv_wscale = (unsigned)i->rcv_wscale & 15u;
	out->tcpi_rto = i->rto_us;
	out->tcpi_ato = 40000;
	out->tcpi_snd_mss = i->mss;
	out->tcpi_rcv_mss = i->rcv_mss;
	out->tcpi_advmss = i->advertised_mss;
	out->tcpi_pmtu = i->path_mtu;
	out->tcpi_unacked = (i->unacked + mss - 1) / mss;
	out->tcpi_sacked = (i->sacked + mss - 1) / mss;
	/* Linux counts as lost what it has sent again until that is heard of; but for a probe. */
	uint32_t lost = i->lost + (i->recovering ? i->resending : 0);
	out->tcpi_lost = (lost + mss - 1) / mss;
	out->tcpi_retrans = (i->resending + mss - 1) / mss;
	out->tcpi_reordering = i->reordering;
	out->tcpi_reord_seen = i->reordered;
	out->tcpi_min_rtt = i->min_rtt_us;
	out->tcpi_dsack_dups = i->duplicates;
	out->tcpi_rtt = i->rtt_us;
	out->tcpi_rttvar = i->rttvar_us;
	out->tcpi_snd_ssthresh = i->ssthresh == UINT32_MAX ? INT32_MAX : i->ssthresh / mss;
	out->tcpi_snd_cwnd = i->cwnd / mss;
	out->tcpi_rcv_space = i->rcvbuf;
	out->tcpi_total_retrans = (uint32_t)i->retransmits;
	out->tcpi_notsent_bytes = i->unsent;
	out->tcpi_snd_wnd = i->snd_wnd;
}
