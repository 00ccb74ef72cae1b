/*
 * IPv4 input: what RFC 1122 3.2.1 lets in, and nothing that could only be forged. An address
 * of ours as a source that comes from outside (LAND), loopback addresses from outside, and
 * sources that are not one station are dropped before any protocol sees them.
 */
#include "network/ipv4.h"

#define ALL_HOSTS 0xe0000001u /* 224.0.0.1: every host is a member (RFC 1112 4) */

/* Both forms of the directed broadcast, host part all ones or all zero (RFC 1122 3.2.1.3). */
bool tern_ipv4_is_broadcast(const struct ip *ip, int nif, uint32_t bits)
{
	if (bits == UINT32_MAX || bits == 0)
		return true;
	const struct nif *n = &ip->link->nif[nif];
	for (unsigned i = 0; i < n->addr_count; i++) {
		if (n->addr[i].prefix_len >= 31) /* RFC 3021 */
			continue;
		uint32_t mask = v4_mask(n->addr[i].prefix_len);
		uint32_t own = addr_v4_bits(&n->addr[i].addr);
		if (((own ^ bits) & mask) == 0 &&
			((bits & ~mask) == 0 || (bits | mask) == UINT32_MAX))
			return true;
	}
	return false;
}

static bool is_addr_of(const struct nif *n, const struct tern_addr *addr)
{
	for (unsigned i = 0; i < n->addr_count; i++)
		if (addr_same(&n->addr[i].addr, addr))
			return true;
	return false;
}

/* Sets in->group. A link broadcast of a packet to one station is a trick: RFC 1122 3.3.6. */
static enum tern_drop check_destination(const struct ip *ip, struct ip_in *in)
{
	bool link_group = in->group;
	const struct nif *n = &ip->link->nif[in->nif];
	if (__builtin_expect(!link_group && is_addr_of(n, &in->dst), 1))
		return TERN_DROP_NONE;
	uint32_t bits = addr_v4_bits(&in->dst);
	in->group = true;
	if (v4_is_multicast(bits))
		return bits == ALL_HOSTS ? TERN_DROP_NONE : TERN_DROP_IP_NOT_OURS;
	if (bits == 0 || (v4_is_loopback(bits) && in->nif != TERN_NIF_LOOPBACK))
		return TERN_DROP_IP_MARTIAN_DST;
	if (tern_ipv4_is_broadcast(ip, in->nif, bits))
		return in->nif == TERN_NIF_LOOPBACK ? TERN_DROP_IP_MARTIAN_DST : TERN_DROP_NONE;
	if (v4_is_reserved(bits) || v4_is_this_network(bits) || link_group)
		return TERN_DROP_IP_MARTIAN_DST;
	in->group = false;
	/* The weak host model: any address of ours, on any interface (RFC 1122 3.3.4.2). */
	return tern_ip_is_ours(ip, &in->dst) ? TERN_DROP_NONE : TERN_DROP_IP_NOT_OURS;
}

static enum tern_drop check_source(const struct ip *ip, const struct ip_in *in)
{
	bool ours = tern_ip_is_ours(ip, &in->src);
	if (in->nif == TERN_NIF_LOOPBACK)
		return ours ? TERN_DROP_NONE : TERN_DROP_IP_MARTIAN_SRC;
	uint32_t bits = addr_v4_bits(&in->src);
	/* DEVIATES: RFC 1122 3.2.1.3 allows 0.0.0.0 from a host that is being configured;
	 * nothing here serves such hosts. */
	if (ours || v4_is_this_network(bits) || v4_is_loopback(bits) || v4_is_multicast(bits) ||
		v4_is_reserved(bits) || tern_ipv4_is_broadcast(ip, in->nif, bits))
		return TERN_DROP_IP_MARTIAN_SRC;
	return TERN_DROP_NONE;
}

static void refuse(struct ip *ip, enum tern_drop why, enum tern_counter counter)
{
	core_count(ip->core, counter);
	tern_core_drop(ip->core, why);
}

/* A TTL of 0 or 1 is no reason to drop what has arrived: RFC 1122 3.2.1.7. */
void tern_ipv4_input(struct ip *ip, int nif, const struct tern_frame *frame, const uint8_t *data,
	uint32_t len, bool group)
{
	core_count(ip->core, TERN_COUNT_IpInReceives);
	core_add(ip->core, TERN_COUNT_IpExtInOctets, len);
	struct ipv4_packet p;
	struct reader r = reader(data, len);
	enum tern_drop why = tern_ipv4_parse(&r, ip->core->csum, &p.header);
	if (why) {
		refuse(ip, why, TERN_COUNT_IpInHdrErrors);
		return;
	}
	core_count(ip->core, TERN_COUNT_IpExtInNoECTPkts + (p.header.tos & ECN_MASK));
	p.raw = data;
	p.in = (struct ip_in){
		.nif = nif,
		.src = p.header.src,
		.dst = p.header.dst,
		.protocol = p.header.protocol,
		.ttl = p.header.ttl,
		.tos = p.header.tos,
		.group = group,
		.csum_valid = frame->csum_valid,
		.gso_size = frame->gso_size,
		.data = r.at,
		.len = (uint32_t)reader_left(&r),
	};
	if (nif == ip->link->guest && nif != TERN_NIF_LOOPBACK)
		why = tern_guest_check(ip, &p.in);
	else if ((why = check_destination(ip, &p.in)) == TERN_DROP_NONE)
		why = check_source(ip, &p.in);
	if (why)
		refuse(ip, why, TERN_COUNT_IpInAddrErrors);
	else if (__builtin_expect(p.header.more_fragments || p.header.fragment_offset, 0))
		tern_fragment_input(ip, &p);
	else
		tern_ipv4_deliver(ip, &p);
}

void tern_ipv4_deliver(struct ip *ip, const struct ipv4_packet *p)
{
	if (ip->link->guest && tern_guest_deal(ip, p))
		return;
	if (p->in.protocol == IPPROTO_ICMP_NUM) {
		core_count(ip->core, TERN_COUNT_IpInDelivers);
		tern_icmp_input(ip, p);
		return;
	}
	if (__builtin_expect(ip->ops->deliver(ip->context, &p->in), 1)) {
		core_count(ip->core, TERN_COUNT_IpInDelivers);
		return;
	}
	if (p->in.protocol == IPPROTO_UDP_NUM) { /* which has counted it */
		tern_icmp_error(ip, p, ICMP_UNREACHABLE, ICMP_CODE_PORT);
		return;
	}
	refuse(ip, TERN_DROP_IP_PROTOCOL, TERN_COUNT_IpInUnknownProtos);
	tern_icmp_error(ip, p, ICMP_UNREACHABLE, ICMP_CODE_PROTOCOL);
}
