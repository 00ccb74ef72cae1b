/* IPv4 output: headers onto segments that connections pull, and datagrams sent whole. */
#include <assert.h>
#include "network/ipv4.h"

#define FLAG_DF      0x4000u
#define DATAGRAM_MAX (65535 - IPV4_HEADER_LEN)

uint16_t tern_ipv4_id(struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst,
	uint8_t protocol)
{
	uint8_t key[33];
	memcpy(key, src->byte, 16);
	memcpy(key + 16, dst->byte, 16);
	key[32] = protocol;
	uint64_t h = tern_siphash24(&ip->id_key, key, sizeof key);
	uint16_t *counter = &ip->id_counter[h >> 32 & (IP_ID_COUNTERS - 1)];
	return (uint16_t)(h + (*counter)++);
}

/* One that cannot be fragmented needs no number (RFC 6864 4.1). */
void tern_path_emit(struct ip *ip, struct path *path, struct tern_frame *frame,
	const struct ip_out *out)
{
	assert(path->mac_known && out->len <= DATAGRAM_MAX);
	uint32_t total = IPV4_HEADER_LEN + out->len;
	memcpy(frame->data, path->header, path->header_len);
	uint8_t *p = frame->data + path->header_len - IPV4_HEADER_LEN;
	uint32_t ttl = out->ttl ? out->ttl : (uint32_t)ip->core->set.ip_default_ttl;
	uint32_t id = 0, flags = FLAG_DF;
	if (!out->dont_fragment) {
		id = tern_ipv4_id(ip, &path->src, &path->dst, out->protocol);
		flags = 0;
	}
	uint32_t ttl_protocol = ttl << 8 | out->protocol;
	uint64_t sum = (uint64_t)path->header_sum + out->tos + total + id + flags + ttl_protocol;
	p[1] = out->tos;
	store_be16(p + 2, (uint16_t)total);
	store_be32(p + 4, id << 16 | flags);
	store_be16(p + 8, (uint16_t)ttl_protocol);
	store_be16(p + 10, csum_finish(sum));
	frame->len = path->header_len + out->len;
	core_count(ip->core, TERN_COUNT_IpOutRequests);
	core_add(ip->core, TERN_COUNT_IpExtOutOctets, total);
}

/* A stretch of the datagram's head and body, as if they were one. */
static void copy_range(const struct ip_datagram *d, uint32_t from, uint8_t *to, uint32_t n)
{
	if (from < d->head_len) {
		uint32_t part = d->head_len - from < n ? d->head_len - from : n;
		memcpy(to, (const uint8_t *)d->head + from, part);
		from += part;
		to += part;
		n -= part;
	}
	if (n > 0)
		memcpy(to, (const uint8_t *)d->body + (from - d->head_len), n);
}

/* Bytes [from, from + n) of the datagram behind a header; NULL when memory is short. */
static struct packet *make_packet(struct ip *ip, int nif, const struct ip_datagram *d,
	struct ipv4_header *h, uint32_t from, uint32_t n)
{
	struct packet *p = tern_link_packet(ip->link, nif, IPV4_HEADER_LEN + n);
	if (!p)
		return NULL;
	h->total_len = (uint16_t)(IPV4_HEADER_LEN + n);
	h->fragment_offset = (uint16_t)from;
	h->more_fragments = from + n < d->head_len + d->body_len;
	struct writer w = {p->data};
	tern_ipv4_emit(&w, h);
	copy_range(d, from, w.at, n);
	return p;
}

static int send_packet(struct ip *ip, const struct hop *hop, struct packet *p)
{
	uint32_t len = p->len;
	int err = tern_link_send(ip->link, hop->nif, &hop->next_hop, hop->broadcast, p);
	if (err == 0)
		core_add(ip->core, TERN_COUNT_IpExtOutOctets, len);
	return err;
}

/* All fragments or none: half a datagram is of use to nobody. */
static int send_fragments(struct ip *ip, const struct hop *hop, const struct ip_datagram *d,
	struct ipv4_header *h, uint32_t len)
{
	uint32_t step = (ip->link->nif[hop->nif].opts.mtu - IPV4_HEADER_LEN) & ~7u;
	uint32_t count = (len + step - 1) / step;
	uint32_t size = (uint32_t)sizeof(struct packet) + step + 64;
	struct packet *first = NULL, **tail = &first;
	int err = 0;
	if (!tern_link_room(ip->link, hop->nif, count, size)) {
		tern_core_drop(ip->core, TERN_DROP_REPLY_RING_FULL);
		err = TERN_EAGAIN;
	}
	for (uint32_t from = 0; err == 0 && from < len; from += step) {
		uint32_t n = len - from < step ? len - from : step;
		struct packet *p = make_packet(ip, hop->nif, d, h, from, n);
		if (!p) {
			err = TERN_ENOMEM;
			break;
		}
		*tail = p;
		tail = &p->next;
	}
	if (err == 0) {
		core_count(ip->core, TERN_COUNT_IpFragOKs);
		core_add(ip->core, TERN_COUNT_IpFragCreates, count);
	} else {
		core_count(ip->core, TERN_COUNT_IpFragFails);
	}
	bool keep = err == 0;
	while (first) {
		struct packet *p = first;
		first = p->next;
		if (!keep)
			tern_link_packet_free(ip->link, p);
		else if (err == 0)
			err = send_packet(ip, hop, p);
		else
			tern_link_packet_free(ip->link, p);
	}
	return err;
}

static int find_way(struct ip *ip, const struct ip_datagram *d, struct hop *hop,
	struct tern_addr *src)
{
	if (!addr_is_mapped_v4(&d->dst) || !tern_route_find(ip, &d->dst, hop)) {
		core_count(ip->core, TERN_COUNT_IpOutNoRoutes);
		tern_core_drop(ip->core, TERN_DROP_IP_NO_ROUTE);
		return TERN_ENETUNREACH;
	}
	if (hop->broadcast && !d->allow_broadcast)
		return TERN_EACCES;
	if (addr_is_none(&d->src))
		return tern_route_source(ip, hop, &d->dst, src) ? 0 : TERN_EADDRNOTAVAIL;
	int nif = tern_link_nif_of(ip->link, &d->src);
	if (nif < 0 || (nif == TERN_NIF_LOOPBACK && !hop->loopback))
		return TERN_EADDRNOTAVAIL;
	*src = d->src;
	/* To everybody on a link: on that of the source. */
	if (addr_v4_bits(&d->dst) == UINT32_MAX)
		hop->nif = nif;
	return 0;
}

int tern_ip_send(struct ip *ip, const struct ip_datagram *d)
{
	struct hop hop;
	struct ipv4_header h = {
		.dst = d->dst,
		.tos = d->out.tos,
		.ttl = d->out.ttl ? d->out.ttl : (uint8_t)ip->core->set.ip_default_ttl,
		.protocol = d->out.protocol,
		.dont_fragment = d->out.dont_fragment,
	};
	if (d->head_len > DATAGRAM_MAX || d->body_len > DATAGRAM_MAX - d->head_len)
		return TERN_EMSGSIZE;
	int err = find_way(ip, d, &hop, &h.src);
	if (err != 0)
		return err;
	core_count(ip->core, TERN_COUNT_IpOutRequests);
	uint32_t len = d->head_len + d->body_len;
	if (!h.dont_fragment)
		h.id = tern_ipv4_id(ip, &h.src, &h.dst, h.protocol);
	if (IPV4_HEADER_LEN + len > ip->link->nif[hop.nif].opts.mtu) {
		if (!h.dont_fragment)
			return send_fragments(ip, &hop, d, &h, len);
		core_count(ip->core, TERN_COUNT_IpFragFails);
		tern_core_drop(ip->core, TERN_DROP_IP_TOO_BIG);
		return TERN_EMSGSIZE;
	}
	struct packet *p = make_packet(ip, hop.nif, d, &h, 0, len);
	if (!p)
		return tern_link_room(ip->link, hop.nif, 1, len) ? TERN_ENOMEM : TERN_EAGAIN;
	return send_packet(ip, &hop, p);
}

enum link_answer tern_ip_ready(struct ip *ip, const struct tern_addr *dst)
{
	struct hop hop;
	struct mac mac;
	if (!addr_is_mapped_v4(dst) || !tern_route_find(ip, dst, &hop))
		return LINK_FAILED;
	if (hop.loopback)
		return LINK_READY;
	return tern_link_resolve(ip->link, hop.nif, &hop.next_hop, &mac);
}

int tern_ip_nif(struct ip *ip, const struct tern_addr *dst)
{
	struct hop hop;
	return addr_is_mapped_v4(dst) && tern_route_find(ip, dst, &hop) ? hop.nif : -1;
}

int tern_ip_source(struct ip *ip, const struct tern_addr *dst, struct tern_addr *src)
{
	struct hop hop;
	if (!addr_is_mapped_v4(dst) || !tern_route_find(ip, dst, &hop))
		return TERN_ENETUNREACH;
	return tern_route_source(ip, &hop, dst, src) ? 0 : TERN_ENETUNREACH;
}
