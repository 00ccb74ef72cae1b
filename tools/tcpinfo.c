#include <string.h>
#include "tools/tcpinfo.h"

#define TIMESTAMPS_LEN 12 /* of each segment, with padding */

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

static uint32_t ms_of(uint64_t ns)
{
	uint64_t ms = ns / 1000000;
	return ns == TERN_NEVER ? 0 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* What it has counted. Linux's limits are of no limit at first: ~0. */
static void put_tally(const struct tern_tcp_info *i, struct tcp_info *out)
{
	out->tcpi_last_data_sent = ms_of(i->sent_age);
	out->tcpi_last_data_recv = ms_of(i->text_age);
	out->tcpi_last_ack_recv = ms_of(i->heard_age);
	out->tcpi_total_retrans = (uint32_t)i->retransmits;
	out->tcpi_pacing_rate = i->pacing_rate ? i->pacing_rate : UINT64_MAX;
	out->tcpi_max_pacing_rate = UINT64_MAX;
	out->tcpi_delivery_rate = i->delivery_rate;
	out->tcpi_delivery_rate_app_limited = i->app_limited;
	out->tcpi_bytes_acked = i->bytes_acked;
	out->tcpi_bytes_received = i->bytes_received;
	out->tcpi_bytes_sent = i->bytes_sent;
	out->tcpi_bytes_retrans = i->bytes_resent;
	out->tcpi_segs_in = i->segments_in;
	out->tcpi_segs_out = i->segments_out;
	out->tcpi_data_segs_in = i->text_segments_in;
	out->tcpi_data_segs_out = i->text_segments_out;
	out->tcpi_busy_time = i->busy_us;
	out->tcpi_rwnd_limited = i->window_limited_us;
	out->tcpi_sndbuf_limited = i->buffer_limited_us;
	out->tcpi_rcv_ooopack = i->beyond_holes;
	out->tcpi_delivered_ce = i->marked;
}

/* Segments the peer has, the handshake's counted as one: those sent once less those under way. */
static uint32_t delivered(const struct tern_tcp_info *i, const struct tcp_info *t)
{
	uint32_t under_way = t->tcpi_unacked - t->tcpi_sacked;
	uint32_t once = i->text_segments_out - i->text_segments_resent;
	return once > under_way ? once - under_way + 1 : 1;
}

/* Text is not timed before there is some: the handshake is. ~0: nothing was. */
static uint32_t min_rtt(const struct tern_tcp_info *i)
{
	uint32_t found = i->min_rtt_us ? i->min_rtt_us : i->rtt_us;
	return found ? found : UINT32_MAX;
}

void tern_linux_no_tcp_info(struct tcp_info *out)
{
	*out = (struct tcp_info){.tcpi_state = tern_linux_state(TERN_TCP_CLOSED),
		.tcpi_rto = 1000000,
		.tcpi_rttvar = 250000,
		.tcpi_min_rtt = UINT32_MAX,
		.tcpi_snd_mss = 536,
		.tcpi_snd_cwnd = 10,
		.tcpi_snd_ssthresh = INT32_MAX,
		.tcpi_reordering = 3,
		.tcpi_pacing_rate = UINT64_MAX,
		.tcpi_max_pacing_rate = UINT64_MAX,
		.tcpi_delivery_rate_app_limited = 1};
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
	if (i->timestamps && i->state > TERN_TCP_SYN_RECEIVED)
		out->tcpi_advmss -= TIMESTAMPS_LEN;
	out->tcpi_pmtu = i->path_mtu;
	out->tcpi_unacked = (i->unacked + mss - 1) / mss;
	out->tcpi_sacked = (i->sacked + mss - 1) / mss;
	/* Linux counts as lost what it has sent again until that is heard of; but for a probe. */
	uint32_t lost = i->lost + (i->recovering ? i->resending : 0);
	out->tcpi_lost = (lost + mss - 1) / mss;
	out->tcpi_retrans = (i->resending + mss - 1) / mss;
	out->tcpi_reordering = i->reordering;
	out->tcpi_reord_seen = i->reordered;
	out->tcpi_min_rtt = min_rtt(i);
	out->tcpi_dsack_dups = i->duplicates;
	out->tcpi_rtt = i->rtt_us;
	out->tcpi_rttvar = i->rttvar_us;
	out->tcpi_snd_ssthresh = i->ssthresh == UINT32_MAX ? INT32_MAX : i->ssthresh / mss;
	out->tcpi_snd_cwnd = i->cwnd / mss;
	out->tcpi_rcv_rtt = i->rcv_rtt_us;
	out->tcpi_rcv_space = i->rcv_space;
	out->tcpi_rcv_ssthresh = i->rcv_wnd;
	bool shut = i->timer && strcmp(i->timer, "persist") == 0;
	out->tcpi_probes = (uint8_t)(shut ? i->unanswered : i->keepalive_probes);
	out->tcpi_notsent_bytes = i->unsent;
	out->tcpi_snd_wnd = i->snd_wnd;
	put_tally(i, out);
	out->tcpi_delivered = delivered(i, out);
}
