#include "tools/info.h"

#include <inttypes.h>
#include <tern/tcp.h>

static void print_one(FILE *out, const struct tern_tcp_info *info)
{
	char local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT];
	uint32_t mss = info->mss ? info->mss : 1;
	fprintf(out, "%s %" PRIu32 " %" PRIu32 " %s %s\n", tern_tcp_state_name(info->state),
		info->unread, info->unacked + info->unsent,
		tern_endpoint_format(&info->local, local),
		tern_endpoint_format(&info->remote, remote));
	fprintf(out, "\t %s%s%s%s", info->timestamps ? "ts " : "", info->sack ? "sack " : "",
		info->ecn ? "ecn " : "", info->congestion);
	if (info->wscale_ok)
		fprintf(out, " wscale:%u,%u", info->snd_wscale, info->rcv_wscale);
	fprintf(out, " rto:%" PRIu32 " rtt:%.3g/%.3g mss:%" PRIu32 " advmss:%" PRIu32,
		info->rto_us / 1000, (double)info->rtt_us / 1000, (double)info->rttvar_us / 1000,
		info->mss, info->advertised_mss);
	fprintf(out, " cwnd:%" PRIu32, info->cwnd / mss);
	if (info->ssthresh != UINT32_MAX)
		fprintf(out, " ssthresh:%" PRIu32, info->ssthresh / mss);
	fprintf(out, " bytes_acked:%" PRIu64 " bytes_received:%" PRIu64, info->bytes_acked,
		info->bytes_received);
	if (info->retransmits)
		fprintf(out, " retrans:%" PRIu32 "/%" PRIu64, (info->resending + mss - 1) / mss,
			info->retransmits);
	fprintf(out, " snd_wnd:%" PRIu32 " rcv_wnd:%" PRIu32 "\n", info->snd_wnd, info->rcv_wnd);
}

void tern_info_print(FILE *out, const struct tern_stack *stack)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	while (tern_tcp_each(stack, &cursor, &info))
		if (info.state >= TERN_TCP_ESTABLISHED && info.state < TERN_TCP_TIME_WAIT)
			print_one(out, &info);
}
