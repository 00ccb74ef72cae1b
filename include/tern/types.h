/*
 * Addresses, handles, spans and errors: the words every other header speaks.
 *
 *	struct tern_endpoint to;
 *	if (tern_endpoint_parse("10.77.0.1:80", &to) != 0)
 *		...
 */
#ifndef TERN_TYPES_H
#define TERN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An instant that never comes: what tern_deadline() returns when nothing is due. */
#define TERN_NEVER UINT64_MAX

/*
 * An IPv4 or IPv6 address in network byte order. An IPv4 address is held in its
 * IPv4-mapped form ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so one 16-byte value serves both
 * families and compares with one memcmp. Such an address never appears on the wire as IPv6.
 * All zero bytes is the unspecified address, of either family.
 */
struct tern_addr {
	uint8_t byte[16];
};

/* An address and a port; the port is in host byte order, 0 meaning "any". */
struct tern_endpoint {
	struct tern_addr addr;
	uint16_t port;
};

/* Builds an IPv4 address from its four octets, as written: tern_addr_v4(10, 77, 0, 1). */
struct tern_addr tern_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);

bool tern_addr_is_v4(const struct tern_addr *addr);
bool tern_addr_is_unspecified(const struct tern_addr *addr); /* :: or 0.0.0.0 */
bool tern_addr_equal(const struct tern_addr *a, const struct tern_addr *b);

/* The longest text the functions below write, with its terminator. */
#define TERN_ADDR_TEXT     48
#define TERN_ENDPOINT_TEXT 56

/* Writes "10.77.0.1" or "fd00::1"; returns text. */
char *tern_addr_format(const struct tern_addr *addr, char text[TERN_ADDR_TEXT]);
/* Writes "10.77.0.1:80" or "[fd00::1]:80"; returns text. */
char *tern_endpoint_format(const struct tern_endpoint *ep, char text[TERN_ENDPOINT_TEXT]);
/* Parse those texts. Return 0, or TERN_EINVAL leaving *out alone. */
int tern_addr_parse(const char *text, struct tern_addr *out);
int tern_endpoint_parse(const char *text, struct tern_endpoint *out);
/* Parses "10.77.0.2/24". prefix_len counts bits of the family's own width (0..32 or 0..128). */
int tern_cidr_parse(const char *text, struct tern_addr *addr, unsigned *prefix_len);

/*
 * Handles. A handle names an object by slot and generation, so one that outlived its object
 * is answered with TERN_ESTALE and never reaches a stranger's connection. The all-zero
 * handle names nothing.
 */
struct tern_conn {
	uint32_t slot, generation;
};
struct tern_listener {
	uint32_t slot, generation;
};
struct tern_udp {
	uint32_t slot, generation;
};

/* Contiguous bytes, lent: readable or writable as the lender says. */
struct tern_span {
	uint8_t *data;
	size_t len;
};

/* Every error of the API; calls return 0 or more on success and one of these otherwise. */
enum tern_err {
#define TERN_ERROR(name, value, text) name = -(value),
#include <tern/errors.def>
#undef TERN_ERROR
};

/* A short English text for an error (or for 0); never NULL. */
const char *tern_err_text(int err);
/* The error's name, "TERN_ECONNRESET"; "TERN_E?" for a number that is none. */
const char *tern_err_name(int err);

#ifdef __cplusplus
}
#endif
#endif
