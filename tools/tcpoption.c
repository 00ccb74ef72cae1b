#include <errno.h>
#include <linux/tcp.h>
#include <stdint.h>
#include <string.h>

#include "tools/tcpoption.h"

#define LINGER2_MAX      120        /* s: TCP_FIN_TIMEOUT_MAX */
#define WINDOW_CLAMP_MIN (2304 / 2) /* SOCK_MIN_RCVBUF / 2 */
#define DEFER_TRIES_MAX  255
#define RTO_MAX          120 /* s */

/* Rounded up to when a SYN-ACK would be sent again. */
static int deferred(int seconds)
{
	int wait = 0, step = 1;
	for (int tries = 0; wait < seconds && tries < DEFER_TRIES_MAX; tries++) {
		wait += step;
		step = step * 2 < RTO_MAX ? step * 2 : RTO_MAX;
	}
	return wait;
}

int tern_linux_option_value(int name, bool connected, int *value)
{
	switch (name) {
	case TCP_LINGER2:
		*value = *value < 0 ? -1 : *value < LINGER2_MAX ? *value : LINGER2_MAX;
		return 0;
	case TCP_WINDOW_CLAMP:
		if (*value == 0)
			return connected ? EINVAL : 0;
		*value = *value < WINDOW_CLAMP_MIN ? WINDOW_CLAMP_MIN : *value;
		return 0;
	case TCP_DEFER_ACCEPT:
		*value = deferred(*value);
		return 0;
	default:
		return 0;
	}
}

int tern_linux_ip_value(const void *value, size_t len)
{
	uint8_t byte = 0;
	int number;
	if (len >= sizeof number) {
		memcpy(&number, value, sizeof number);
		return number;
	}
	if (len > 0)
		memcpy(&byte, value, sizeof byte);
	return byte;
}

size_t tern_linux_ip_size(int value, size_t len)
{
	if (len >= sizeof value)
		return sizeof value;
	return len > 0 && value >= 0 && value <= UINT8_MAX ? 1 : len;
}

int tern_linux_tos(int value)
{
	return value & 0xfc;
}

int64_t tern_linux_option_number(enum tern_tcp_option option, int value)
{
	return option == TERN_TCP_NOTSENT_LOWAT ? (int64_t)(uint32_t)value : value;
}
