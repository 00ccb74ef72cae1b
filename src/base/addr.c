/* Addresses as text: RFC 4291 2.2 in, RFC 5952 out, and dotted quads without leading zeros. */
#include <tern/types.h>

#include <string.h>

#include "base/bytes.h"

#define GROUPS 8

static const uint8_t v4_prefix[12] = {[10] = 0xff, 0xff};

struct tern_addr tern_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct tern_addr){{[10] = 0xff, 0xff, a, b, c, d}};
}

bool tern_addr_is_v4(const struct tern_addr *addr)
{
	return memcmp(addr->byte, v4_prefix, sizeof v4_prefix) == 0;
}

bool tern_addr_is_unspecified(const struct tern_addr *addr)
{
	static const struct tern_addr none;
	return tern_addr_equal(addr, &none) ||
	       (tern_addr_is_v4(addr) && load_be32(addr->byte + 12) == 0);
}

bool tern_addr_equal(const struct tern_addr *a, const struct tern_addr *b)
{
	return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

/* The writers below return where the text goes on; none writes a terminator. */
static char *put_number(char *at, unsigned value, unsigned base)
{
	unsigned weight = 1;
	while (value / weight >= base)
		weight *= base;
	for (; weight > 0; weight /= base)
		*at++ = "0123456789abcdef"[value / weight % base];
	return at;
}

static char *put_v4(char *at, const uint8_t *byte)
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*at++ = '.';
		at = put_number(at, byte[i], 10);
	}
	return at;
}

struct zeros {
	int at, len;
};

/* The groups "::" stands for: the longest run of zeros, the first of equals, never a single
 * group (RFC 5952 4.2). */
static struct zeros longest_zeros(const struct tern_addr *addr)
{
	struct zeros best = {-1, 1};
	for (int i = 0; i < GROUPS; i++) {
		struct zeros run = {i, 0};
		while (i < GROUPS && load_be16(addr->byte + 2 * i) == 0)
			i++, run.len++;
		if (run.len > best.len)
			best = run;
	}
	return best;
}

static char *put_v6(char *at, const struct tern_addr *addr)
{
	const struct zeros zeros = longest_zeros(addr);
	for (int i = 0; i < GROUPS; i++) {
		if (i == zeros.at) {
			*at++ = ':';
			i += zeros.len - 1;
			if (i == GROUPS - 1)
				*at++ = ':';
			continue;
		}
		if (i > 0)
			*at++ = ':';
		at = put_number(at, load_be16(addr->byte + 2 * i), 16);
	}
	return at;
}

static char *put_addr(char *at, const struct tern_addr *addr)
{
	return tern_addr_is_v4(addr) ? put_v4(at, addr->byte + 12) : put_v6(at, addr);
}

char *tern_addr_format(const struct tern_addr *addr, char text[TERN_ADDR_TEXT])
{
	*put_addr(text, addr) = '\0';
	return text;
}

char *tern_endpoint_format(const struct tern_endpoint *ep, char text[TERN_ENDPOINT_TEXT])
{
	const bool brackets = !tern_addr_is_v4(&ep->addr);
	char *at = text;
	if (brackets)
		*at++ = '[';
	at = put_addr(at, &ep->addr);
	if (brackets)
		*at++ = ']';
	*at++ = ':';
	at = put_number(at, ep->port, 10);
	*at = '\0';
	return text;
}

/* The takers below read at *at and step over what they took, if they took it. */
static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

/* A decimal number of at most max, without leading zeros. */
static bool take_decimal(const char **at, unsigned max, unsigned *value)
{
	const char *p = *at;
	unsigned v = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (p > *at && v == 0)
			return false;
		v = 10 * v + (unsigned)(*p - '0');
		if (v > max)
			return false;
	}
	if (p == *at)
		return false;
	*at = p;
	*value = v;
	return true;
}

static bool take_v4(const char **at, uint8_t *byte)
{
	const char *p = *at;
	uint8_t octets[4];
	for (int i = 0; i < 4; i++) {
		unsigned octet;
		if (i > 0 && !take_char(&p, '.'))
			return false;
		if (!take_decimal(&p, 255, &octet))
			return false;
		octets[i] = (uint8_t)octet;
	}
	memcpy(byte, octets, 4);
	*at = p;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One to four hexadecimal digits. */
static bool take_group(const char **at, uint8_t *byte)
{
	const char *p = *at;
	unsigned v = 0;
	for (; hex_digit(*p) >= 0 && p < *at + 4; p++)
		v = v << 4 | (unsigned)hex_digit(*p);
	if (p == *at || hex_digit(*p) >= 0)
		return false;
	store_be16(byte, (uint16_t)v);
	*at = p;
	return true;
}

/* Groups with colons between; the last two may be a dotted quad. Returns the bytes filled,
 * at most room, or -1. `room` is even. */
static int take_groups(const char **at, uint8_t *byte, int room)
{
	int n = 0;
	const char *p = *at;
	do {
		if (room - n >= 4 && take_v4(&p, byte + n)) {
			n += 4;
			break;
		}
		if (n == room || !take_group(&p, byte + n))
			return -1;
		n += 2;
	} while (p[0] == ':' && p[1] != ':' && take_char(&p, ':'));
	*at = p;
	return n;
}

static bool take_v6(const char **at, struct tern_addr *out)
{
	struct tern_addr addr = {{0}};
	uint8_t tail[16];
	const char *p = *at;
	int head_len = 0, tail_len = 0;

	if (p[0] != ':')
		head_len = take_groups(&p, addr.byte, 16);
	if (head_len < 0)
		return false;
	if (head_len < 16) {
		/* A quad ends an address, so "1.2.3.4::" has its "::" in the wrong place. */
		if (p > *at && memchr(*at, '.', (size_t)(p - *at)))
			return false;
		if (!take_char(&p, ':') || !take_char(&p, ':'))
			return false;
		/* "::" stands for at least one group. */
		if (hex_digit(*p) >= 0)
			tail_len = take_groups(&p, tail, 14 - head_len);
		if (tail_len < 0)
			return false;
		memcpy(addr.byte + 16 - tail_len, tail, (size_t)tail_len);
	}
	*out = addr;
	*at = p;
	return true;
}

static bool take_addr(const char **at, struct tern_addr *out)
{
	struct tern_addr addr = tern_addr_v4(0, 0, 0, 0);
	if (!take_v4(at, addr.byte + 12))
		return take_v6(at, out);
	*out = addr;
	return true;
}

int tern_addr_parse(const char *text, struct tern_addr *out)
{
	struct tern_addr addr;
	if (!take_addr(&text, &addr) || *text != '\0')
		return TERN_EINVAL;
	*out = addr;
	return 0;
}

int tern_endpoint_parse(const char *text, struct tern_endpoint *out)
{
	struct tern_addr addr = tern_addr_v4(0, 0, 0, 0);
	unsigned port;
	if (take_char(&text, '[')) {
		if (!take_v6(&text, &addr) || !take_char(&text, ']'))
			return TERN_EINVAL;
	} else if (!take_v4(&text, addr.byte + 12)) {
		return TERN_EINVAL;
	}
	if (!take_char(&text, ':') || !take_decimal(&text, UINT16_MAX, &port) || *text != '\0')
		return TERN_EINVAL;
	*out = (struct tern_endpoint){addr, (uint16_t)port};
	return 0;
}

int tern_cidr_parse(const char *text, struct tern_addr *addr, unsigned *prefix_len)
{
	struct tern_addr a;
	unsigned len;
	if (!take_addr(&text, &a) || !take_char(&text, '/'))
		return TERN_EINVAL;
	if (!take_decimal(&text, tern_addr_is_v4(&a) ? 32 : 128, &len) || *text != '\0')
		return TERN_EINVAL;
	*addr = a;
	*prefix_len = len;
	return 0;
}
