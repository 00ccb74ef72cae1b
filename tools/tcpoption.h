/* What Linux makes of the values of TCP's options. */
#ifndef TERN_TOOLS_TCPOPTION_H
#define TERN_TOOLS_TCPOPTION_H

#include <stdbool.h>

/* A value as getsockopt tells it after it was set, in *value: 0, or EINVAL. connected: the socket
 * is or was. */
int tern_linux_option_value(int name, bool connected, int *value);

#endif
