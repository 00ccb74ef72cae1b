#include "wire/addr.h"
#include "wire/arp.h"

#define HARDWARE_ETHERNET 1
#define LENGTHS           0x0604 /* of a MAC and of an IPv4 address */

enum tern_drop tern_arp_parse(struct reader *r, struct arp_packet *out)
{
	const uint8_t *p = reader_take(r, ARP_LEN);
	if (!p)
		return TERN_DROP_ARP_MALFORMED;
	if (load_be16(p) != HARDWARE_ETHERNET || load_be16(p + 2) != ETHERTYPE_IPV4 ||
		load_be16(p + 4) != LENGTHS)
		return TERN_DROP_ARP_MALFORMED;
	uint16_t op = load_be16(p + 6);
	if (op != ARP_REQUEST && op != ARP_REPLY)
		return TERN_DROP_ARP_MALFORMED;

	out->op = op;
	memcpy(out->sender_mac.byte, p + 8, 6);
	out->sender = load_addr_v4(p + 14);
	memcpy(out->target_mac.byte, p + 18, 6);
	out->target = load_addr_v4(p + 24);
	return TERN_DROP_NONE;
}

void tern_arp_emit(struct writer *w, const struct arp_packet *p)
{
	write_u16(w, HARDWARE_ETHERNET);
	write_u16(w, ETHERTYPE_IPV4);
	write_u16(w, LENGTHS);
	write_u16(w, p->op);
	write_bytes(w, p->sender_mac.byte, 6);
	write_addr_v4(w, &p->sender);
	write_bytes(w, p->target_mac.byte, 6);
	write_addr_v4(w, &p->target);
}
