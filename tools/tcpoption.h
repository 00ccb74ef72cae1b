/* What Linux makes of the values of TCP's options, and of IP's. */
#ifndef TERN_TOOLS_TCPOPTION_H
#define TERN_TOOLS_TCPOPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/tcp.h>

/* A value as getsockopt tells it after it was set, in *value: 0, or EINVAL. connected: the socket
 * is or was. */
int tern_linux_option_value(int name, bool connected, int *value);
/* The number that the core takes for it: what Linux has as unsigned comes as an int. */
int64_t tern_linux_option_number(enum tern_tcp_option option, int value);

/* IP's: setsockopt takes an int, or a byte for one, or nothing for 0; len: the bytes at value, of
 * which no more than an int's are read. */
int tern_linux_ip_value(const void *value, size_t len);
/* And getsockopt gives one byte, at the int's beginning, where there is room for no more: how many
 * bytes of it go into room for len. */
size_t tern_linux_ip_size(int value, size_t len);
/* IP_TOS as getsockopt tells it once it was set: a stream's ECN bits are not the program's. */
int tern_linux_tos(int value);

#endif
