/*
 * ARP: RFC 826 made wary. Addresses are learnt from answers to our own questions and from
 * questions put to us; nothing else that passes by is believed. Our own addresses are
 * announced and defended (RFC 5227).
 *
 * DEVIATES: RFC 5227 2.1.1, addresses are not probed before use: they are the operator's word,
 * and a connection must not wait seven seconds for it. Conflicts are found when they show.
 */
#include "link/neighbour.h"
#include "wire/arp.h"

static void send_arp(struct link *link, int nif, const struct arp_packet *arp, const struct mac *to)
{
	struct packet *p = tern_link_packet(link, nif, ARP_LEN);
	if (!p)
		return;
	struct writer w = {p->data};
	tern_arp_emit(&w, arp);
	p->type = ETHERTYPE_ARP;
	if (to)
		p->dst = *to;
	else
		memset(p->dst.byte, 0xff, sizeof p->dst.byte);
	tern_link_enqueue(link, nif, p);
}

static struct mac own_mac(const struct link *link, int nif)
{
	struct mac mac;
	memcpy(mac.byte, link->nif[nif].opts.mac, sizeof mac.byte);
	return mac;
}

void tern_arp_ask(struct link *link, int nif, const struct tern_addr *target,
	const struct mac *whom)
{
	const struct nif_addr *own = tern_link_source(link, nif, target);
	struct arp_packet arp = {
		.op = ARP_REQUEST,
		.sender_mac = own_mac(link, nif),
		.sender = own ? own->addr : tern_addr_v4(0, 0, 0, 0),
		.target = *target,
	};
	send_arp(link, nif, &arp, whom);
}

static void announce(struct link *link, int nif, const struct tern_addr *addr)
{
	struct arp_packet arp = {
		.op = ARP_REQUEST,
		.sender_mac = own_mac(link, nif),
		.sender = *addr,
		.target = *addr,
	};
	send_arp(link, nif, &arp, NULL);
}

void tern_arp_announce_begin(struct link *link, int nif, struct nif_addr *a)
{
	announce(link, nif, &a->addr);
	a->announcements = ARP_ANNOUNCE_NUM - 1;
	if (!wheel_armed(&link->announce))
		tern_wheel_arm(&link->wheel, &link->announce, link->core->now + ARP_ANNOUNCE_NS);
}

/* One timer for all: an address added meanwhile is announced again a little early. */
void tern_arp_announce_again(struct link *link)
{
	bool more = false;
	for (uint32_t i = 0; i < link->nif_count; i++) {
		struct nif *n = &link->nif[i];
		for (unsigned k = 0; k < n->addr_count; k++) {
			if (n->addr[k].announcements == 0)
				continue;
			announce(link, (int)i, &n->addr[k].addr);
			more |= --n->addr[k].announcements > 0;
		}
	}
	if (more)
		tern_wheel_arm(&link->wheel, &link->announce, link->core->now + ARP_ANNOUNCE_NS);
}

static struct nif_addr *own_addr(struct link *link, int nif, const struct tern_addr *addr)
{
	struct nif *n = &link->nif[nif];
	for (unsigned i = 0; i < n->addr_count; i++)
		if (addr_same(&n->addr[i].addr, addr))
			return &n->addr[i];
	return NULL;
}

/* RFC 5227 2.4 (c): we keep the address, but answer at most every ten seconds, lest two
 * who both keep it shout at each other for ever. */
static enum tern_drop defend(struct link *link, int nif, struct nif_addr *a)
{
	uint64_t now = link->core->now;
	if (!a->defended || now - a->defended_at >= ARP_DEFEND_NS) {
		a->defended = true;
		a->defended_at = now;
		announce(link, nif, &a->addr);
	}
	return TERN_DROP_ARP_CONFLICT;
}

static void answer(struct link *link, int nif, const struct arp_packet *in)
{
	struct arp_packet arp = {
		.op = ARP_REPLY,
		.sender_mac = own_mac(link, nif),
		.sender = in->target,
		.target_mac = in->sender_mac,
		.target = in->sender,
	};
	send_arp(link, nif, &arp, &in->sender_mac);
}

static bool impossible(const struct arp_packet *in)
{
	static const struct mac none;
	if (mac_is_group(&in->sender_mac) || mac_equal(&in->sender_mac, &none))
		return true;
	uint32_t bits = addr_v4_bits(&in->sender);
	if (bits == 0) /* a probe (RFC 5227 2.1) */
		return in->op != ARP_REQUEST;
	return v4_is_this_network(bits) || v4_is_loopback(bits) || v4_is_multicast(bits) ||
	       v4_is_reserved(bits);
}

/* Whether the address is a neighbour's, not a stranger's from beyond or a broadcast address. */
static bool on_link(const struct link *link, int nif, const struct tern_addr *addr)
{
	const struct nif *n = &link->nif[nif];
	uint32_t bits = addr_v4_bits(addr);
	for (unsigned i = 0; i < n->addr_count; i++) {
		uint32_t host = ~v4_mask(n->addr[i].prefix_len);
		if (!nif_addr_holds(&n->addr[i], bits))
			continue;
		if (n->addr[i].prefix_len >= 31 || ((bits & host) != 0 && (bits & host) != host))
			return true;
	}
	return false;
}

static enum tern_drop input(struct link *link, int nif, const struct arp_packet *in,
	const struct mac *dst)
{
	struct mac own = own_mac(link, nif);
	if (impossible(in))
		return TERN_DROP_ARP_MARTIAN;
	if (mac_equal(&in->sender_mac, &own))
		return TERN_DROP_ARP_NOT_OURS; /* an echo of our own */
	struct nif_addr *claimed = own_addr(link, nif, &in->sender);
	if (claimed)
		return defend(link, nif, claimed);
	if (!own_addr(link, nif, &in->target)) {
		if (!addr_same(&in->sender, &in->target))
			return TERN_DROP_ARP_NOT_OURS;
		tern_neigh_announced(link, nif, &in->sender, &in->sender_mac);
		return TERN_DROP_NONE;
	}
	if (in->op == ARP_REPLY) {
		if (mac_is_group(dst) ||
			!tern_neigh_answered(link, nif, &in->sender, &in->sender_mac))
			return TERN_DROP_ARP_NOT_OURS;
		return TERN_DROP_NONE;
	}
	answer(link, nif, in);
	if (on_link(link, nif, &in->sender))
		tern_neigh_heard(link, nif, &in->sender, &in->sender_mac);
	return TERN_DROP_NONE;
}

void tern_arp_input(struct link *link, int nif, struct reader *r, const struct mac *dst)
{
	struct arp_packet in;
	enum tern_drop why = tern_arp_parse(r, &in);
	if (!why)
		why = input(link, nif, &in, dst);
	if (why)
		tern_core_drop(link->core, why);
}
