/* Apart from semantics.c: Linux's own struct tcp_info, and glibc's short one, share their name. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include "tally.h"

/* What a connection has counted; of segments, those with text: how many ACKs go is nobody's word.
 */
void tally(const char *who, int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof i;
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len);
	printf("%s: acked %llu received %llu sent %llu again %llu, segments %u out %u in, "
	       "delivered %u; "
	       "rates %d %d, app-limited %d, idle since %d %d %d\n",
		who, (unsigned long long)i.tcpi_bytes_acked,
		(unsigned long long)i.tcpi_bytes_received, (unsigned long long)i.tcpi_bytes_sent,
		(unsigned long long)i.tcpi_bytes_retrans, i.tcpi_data_segs_out, i.tcpi_data_segs_in,
		i.tcpi_delivered, i.tcpi_max_pacing_rate == UINT64_MAX, i.tcpi_delivery_rate > 0,
		i.tcpi_delivery_rate_app_limited, i.tcpi_last_data_sent < 5000,
		i.tcpi_last_data_recv < 5000, i.tcpi_last_ack_recv < 5000);
}
