/* What Linux makes of the values of TCP's options. */
#ifndef TERN_TOOLS_TCPOPTION_H
#define TERN_TOOLS_TCPOPTION_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/tcp.h>

/* A value as getsockopt tells it after it was set, in *value: 0, or EINVAL. connected: the socket
 * is or was. */
int tern_linux_option_value(int name, bool connected, int *value);
/* The number that the core takes for it: what Linux has as unsigned comes as an int. */
int64_t tern_linux_option_number(enum tern_tcp_option option, int value);

#endif
