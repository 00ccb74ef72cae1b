/* A connection's STATUS in Linux's struct tcp_info, as getsockopt(TCP_INFO) gives it. */
#ifndef TOOLS_TCPINFO_H
#define TOOLS_TCPINFO_H

#include <linux/tcp.h>

#include <tern/tcp.h>

/* Linux's numbers are those of RFC 9293 3.3.2 in another order. */
unsigned char tern_linux_state(enum tern_tcp_state state);
void tern_linux_tcp_info(const struct tern_tcp_info *info, struct tcp_info *out);
/* Of a socket that has had no connection. */
void tern_linux_no_tcp_info(struct tcp_info *out);
void tern_linux_listen_info(const struct tern_listen_info *info, struct tcp_info *out);

#endif
