/* ARP for IPv4 over Ethernet (RFC 826). */
#ifndef TERN_WIRE_ARP_H
#define TERN_WIRE_ARP_H

#include <tern/types.h>
#include "wire/ethernet.h"

#define ARP_LEN     28
#define ARP_REQUEST 1
#define ARP_REPLY   2

struct arp_packet {
	uint16_t op;
	struct mac sender_mac, target_mac;
	struct tern_addr sender, target; /* IPv4, mapped */
};

/* Hardware must be Ethernet/6, protocol IPv4/4, op 1 or 2: else ARP_MALFORMED. */
enum tern_drop tern_arp_parse(struct reader *r, struct arp_packet *out);
/* Writes ARP_LEN bytes. */
void tern_arp_emit(struct writer *w, const struct arp_packet *p);

#endif
