/*
 * A guest: a kernel on an interface of its own that goes by our addresses and leaves TCP to us
 * (`tern run`: the programs' UDP, ICMP and raw sockets). What it sends goes out as if we had sent
 * it; of what comes for us, all that does not concern TCP is its business. TCP from a guest is
 * something that went round us: dropped, and counted.
 */
#include "network/ipv4.h"
#include "wire/udp.h"

#define UDP_CHECKSUM 6 /* where it is in the header */

enum tern_drop tern_guest_check(const struct ip *ip, const struct ip_in *in)
{
	if (!tern_ip_is_ours(ip, &in->src) || v4_is_loopback(addr_v4_bits(&in->src)))
		return TERN_DROP_IP_MARTIAN_SRC;
	if (tern_ip_is_ours(ip, &in->dst) || addr_v4_bits(&in->dst) == 0)
		return TERN_DROP_IP_MARTIAN_DST;
	return in->protocol == IPPROTO_TCP_NUM ? TERN_DROP_IP_GUEST_TCP : TERN_DROP_NONE;
}

/* Whether the packet is TCP, or an error about what TCP sent. */
static bool about_tcp(const struct ip *ip, const struct ip_in *in)
{
	if (in->protocol != IPPROTO_ICMP_NUM)
		return in->protocol == IPPROTO_TCP_NUM;
	struct reader r = reader(in->data, in->len), transport;
	struct icmpv4_message m;
	struct ipv4_header quoted;
	if (tern_icmpv4_parse(&r, ip->core->csum, &m) != TERN_DROP_NONE)
		return false;
	bool error = m.type == ICMP_UNREACHABLE || m.type == ICMP_TIME_EXCEEDED ||
		     m.type == ICMP_PARAMETER_PROBLEM;
	return error && tern_icmpv4_quoted(&m, &quoted, &transport) == TERN_DROP_NONE &&
	       quoted.protocol == IPPROTO_TCP_NUM;
}

/* A datagram that never left this machine may come with its checksum unfinished, and only its
 * device's word for it: the guest has nobody's. */
static void finish_checksum(const struct ip *ip, const struct ip_in *in, uint8_t *data)
{
	if (!in->csum_valid || in->protocol != IPPROTO_UDP_NUM || in->len < UDP_HEADER_LEN ||
		load_be16(data + UDP_CHECKSUM) == 0)
		return;
	store_be16(data + UDP_CHECKSUM, 0);
	uint64_t sum = tern_pseudo_sum(&in->src, &in->dst, IPPROTO_UDP_NUM, in->len);
	uint16_t csum = csum_finish(sum + ip->core->csum->sum(data, in->len));
	store_be16(data + UDP_CHECKSUM, csum ? csum : 0xffff);
}

static void give(struct ip *ip, const struct ipv4_packet *p)
{
	struct packet *copy =
		tern_link_packet(ip->link, ip->link->guest, IPV4_HEADER_LEN + p->in.len);
	if (!copy)
		return; /* counted */
	struct ipv4_header h = {
		.src = p->in.src,
		.dst = p->in.dst,
		.protocol = p->in.protocol,
		.ttl = p->in.ttl,
		.tos = p->in.tos,
		.id = p->header.id,
		.dont_fragment = p->header.dont_fragment,
		.header_len = IPV4_HEADER_LEN,
		.total_len = (uint16_t)(IPV4_HEADER_LEN + p->in.len),
	};
	struct writer w = {copy->data};
	tern_ipv4_emit(&w, &h);
	uint8_t *data = w.at;
	write_bytes(&w, p->in.data, p->in.len);
	finish_checksum(ip, &p->in, data);
	tern_link_send(ip->link, ip->link->guest, &p->in.dst, false, copy);
}

/* What it hears back when its packet has no way: as from a router. */
static void unreachable(struct ip *ip, const struct ipv4_packet *p, int err)
{
	struct tern_addr from = p->in.src;
	uint8_t body[IPV4_HEADER_LEN + 8 + ICMP_HEADER_LEN], message[sizeof body];
	struct writer w = {body}, m = {message};
	if (p->in.protocol == IPPROTO_ICMP_NUM &&
		(p->in.len == 0 || p->in.data[0] != ICMP_ECHO_REQUEST))
		return;
	struct ipv4_header h = p->header;
	h.header_len = IPV4_HEADER_LEN;
	h.more_fragments = false;
	tern_ipv4_emit(&w, &h);
	write_bytes(&w, p->in.data, p->in.len < 8 ? p->in.len : 8);
	struct icmpv4_message icmp = {
		.type = ICMP_UNREACHABLE,
		.code = err == TERN_ENETUNREACH ? ICMP_CODE_NET : ICMP_CODE_HOST,
		.body = body,
		.body_len = (uint32_t)(w.at - body),
	};
	tern_icmpv4_emit(&m, ip->core->csum, &icmp);
	struct ipv4_packet reply = {.in = {.src = from,
					    .dst = p->in.src,
					    .protocol = IPPROTO_ICMP_NUM,
					    .ttl = 64,
					    .data = message,
					    .len = (uint32_t)(m.at - message)}};
	give(ip, &reply);
}

static void pass_on(struct ip *ip, const struct ipv4_packet *p)
{
	struct ip_datagram d = {
		.src = p->in.src,
		.dst = p->in.dst,
		.out = {.protocol = p->in.protocol,
			.tos = p->in.tos,
			.ttl = p->in.ttl,
			.dont_fragment = p->header.dont_fragment},
		.allow_broadcast = true,
		.head = p->in.data,
		.head_len = p->in.len,
	};
	int err = tern_ip_send(ip, &d);
	if (err == TERN_ENETUNREACH || err == TERN_EHOSTUNREACH)
		unreachable(ip, p, err);
}

bool tern_guest_deal(struct ip *ip, const struct ipv4_packet *p)
{
	if (p->in.nif == ip->link->guest) {
		pass_on(ip, p);
		return true;
	}
	if (p->in.nif == TERN_NIF_LOOPBACK || about_tcp(ip, &p->in))
		return false;
	give(ip, p);
	return true;
}

bool tern_guest_undeliverable(struct ip *ip, const struct ipv4_header *h, const uint8_t *data,
	uint32_t len)
{
	if (!ip->link->guest || h->protocol == IPPROTO_TCP_NUM)
		return false;
	struct ipv4_packet p = {.in = {.src = h->src,
					.dst = h->dst,
					.protocol = h->protocol,
					.data = data,
					.len = len},
		.header = *h};
	unreachable(ip, &p, TERN_EHOSTUNREACH);
	return true;
}
