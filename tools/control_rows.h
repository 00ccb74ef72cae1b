/* A connection or listener as docs/control.md has it. */
#ifndef TOOLS_CONTROL_ROWS_H
#define TOOLS_CONTROL_ROWS_H

#include <jansson.h>
#include <tern/tcp.h>

/* The caller's to free. */
json_t *tern_control_row(const struct tern_tcp_info *info);

#endif
