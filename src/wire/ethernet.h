/* Ethernet II frames (RFC 894). */
#ifndef TERN_WIRE_ETHERNET_H
#define TERN_WIRE_ETHERNET_H

#include <stdbool.h>
#include <tern/trace.h>
#include "base/bytes.h"

#define ETH_HEADER_LEN 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV6 0x86dd

struct mac {
	uint8_t byte[6];
};

struct eth_header {
	struct mac dst, src;
	uint16_t type;
};

/* Reads the header, leaving r at the payload. */
enum tern_drop tern_eth_parse(struct reader *r, struct eth_header *out);
/* Writes ETH_HEADER_LEN bytes. */
void tern_eth_emit(struct writer *w, const struct eth_header *h);

static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
	return memcmp(a->byte, b->byte, 6) == 0;
}

/* Group bit: multicast and broadcast. */
static inline bool mac_is_group(const struct mac *m)
{
	return m->byte[0] & 1;
}

static inline bool mac_is_broadcast(const struct mac *m)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	return memcmp(m->byte, all, 6) == 0;
}

#endif
