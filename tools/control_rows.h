/* A connection, listener or socket as docs/control.md has it. */
#ifndef TOOLS_CONTROL_ROWS_H
#define TOOLS_CONTROL_ROWS_H

#include <jansson.h>
#include <tern/tcp.h>
#include <tern/udp.h>

/* The caller's to free. */
json_t *tern_control_row(const struct tern_tcp_info *info);
/* A UDP socket of tern's own; likewise. */
json_t *tern_control_udp_row(const struct tern_udp_info *info);

#endif
