/* What the files of the network layer share among themselves. */
#ifndef TERN_NETWORK_IPV4_H
#define TERN_NETWORK_IPV4_H

#include "network/ip.h"
#include "wire/addr.h"
#include "wire/icmpv4.h"

#define SECOND_NS 1000000000ull

/* A datagram on its way up, or a fragment of one. */
struct ipv4_packet {
	struct ip_in in;
	struct ipv4_header header;
	const uint8_t *raw; /* the header's bytes as they came; NULL for one that was reassembled */
};

/* Where a packet goes first. */
struct hop {
	struct tern_addr next_hop;
	int nif;
	bool loopback;
	bool broadcast; /* to everybody on that link */
};

/* --- ipv4.c */
void tern_ipv4_input(struct ip *ip, int nif, const struct tern_frame *frame, const uint8_t *data,
	uint32_t len, bool group);
/* Up: ICMP here, all else to the transports. */
void tern_ipv4_deliver(struct ip *ip, const struct ipv4_packet *p);
/* Limited or directed broadcast, of either form, on that interface. */
bool tern_ipv4_is_broadcast(const struct ip *ip, int nif, uint32_t bits);

/* --- route.c */
bool tern_route_find(const struct ip *ip, const struct tern_addr *dst, struct hop *out);
/* The address to use towards a hop. */
bool tern_route_source(const struct ip *ip, const struct hop *hop, const struct tern_addr *dst,
	struct tern_addr *src);
void tern_route_fini(struct ip *ip);

/* --- output.c */
uint16_t tern_ipv4_id(struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst,
	uint8_t protocol);

/* --- guest.c */
/* Whether a packet from the guest may go on. */
enum tern_drop tern_guest_check(const struct ip *ip, const struct ip_in *in);
/* Takes a whole packet that is from the guest or for it; false: it is neither. */
bool tern_guest_deal(struct ip *ip, const struct ipv4_packet *p);
/* A packet that did not leave: false if it was not the guest's. data: behind its header. */
bool tern_guest_undeliverable(struct ip *ip, const struct ipv4_header *h, const uint8_t *data,
	uint32_t len);

/* --- fragment.c */
void tern_fragment_input(struct ip *ip, const struct ipv4_packet *p);
void tern_fragment_expire(struct ip *ip);
uint64_t tern_fragment_deadline(const struct ip *ip);
void tern_fragment_fini(struct ip *ip);

/* --- icmp.c */
void tern_icmp_input(struct ip *ip, const struct ipv4_packet *p);
/* Answers a packet with an error, where RFC 1122 3.2.2 allows one and the rate does. */
void tern_icmp_error(struct ip *ip, const struct ipv4_packet *about, uint8_t type, uint8_t code);
/* A packet of ours did not leave: tells its sender as a router's message would. */
void tern_icmp_undeliverable(struct ip *ip, int nif, const uint8_t *data, uint32_t len);

#endif
