/*
 * Interfaces and their queues. A packet waits here only if no connection can be asked for it
 * again later: replies, datagrams, fragments, ARP. What waits is bounded, in number and in bytes,
 * per interface; what does not fit is dropped and counted, never waited for.
 */
#include <assert.h>
#include "link/neighbour.h"

#define TIMERS_PER_CALL 64
#define HEADER_ROOM     16 /* in front of the IP header, which is then 4-byte aligned */

static void add_loopback(struct link *link)
{
	struct nif *n = &link->nif[TERN_NIF_LOOPBACK];
	n->opts = (struct tern_nif_opts){.name = "lo",
		.mtu = 65535,
		.raw_ip = true,
		.offload = TERN_OFFLOAD_TX_CSUM};
	n->up = true;
	n->addr[0].addr = tern_addr_v4(127, 0, 0, 1);
	n->addr[0].prefix_len = 8;
	n->addr_count = 1;
	n->queue_tail = &n->queue;
	link->nif_count = 1;
}

void tern_link_init(struct link *link, struct core *core, const struct link_ops *ops, void *context)
{
	*link = (struct link){.core = core, .ops = ops, .context = context, .epoch = 1};
	tern_wheel_init(&link->wheel, core->now);
	tern_neigh_init(link);
	add_loopback(link);
}

void tern_link_fini(struct link *link)
{
	tern_neigh_fini(link);
	tern_wheel_disarm(&link->wheel, &link->announce);
	tern_wheel_disarm(&link->wheel, &link->wake);
	for (uint32_t i = 0; i < link->nif_count; i++) {
		struct nif *n = &link->nif[i];
		for (struct packet *p; (p = n->queue) != NULL;) {
			n->queue = p->next;
			tern_link_packet_free(link, p);
		}
		n->queue_tail = &n->queue;
		n->queued = 0;
		n->queued_bytes = 0;
	}
}

static void make_mac(struct core *core, uint8_t mac[6])
{
	uint64_t random = tern_rng_u64(&core->rng);
	memcpy(mac, &random, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* unicast, locally administered */
}

int tern_link_nif_add(struct link *link, const struct tern_nif_opts *opts)
{
	static const uint8_t no_mac[6];
	uint32_t mtu = opts->mtu ? opts->mtu : 1500;
	if (mtu < 68 || mtu > 65535 || opts->mac[0] & 1)
		return TERN_EINVAL;
	if (opts->offload & ~(uint32_t)(TERN_OFFLOAD_TX_CSUM | TERN_OFFLOAD_TSO))
		return TERN_EINVAL;
	if (opts->guest && (!opts->raw_ip || link->guest))
		return TERN_EINVAL;
	if (link->nif_count == TERN_NIF_MAX)
		return TERN_ENOSPC;
	struct nif *n = &link->nif[link->nif_count];
	*n = (struct nif){.opts = *opts, .up = true, .queue_tail = &n->queue};
	n->opts.mtu = mtu;
	n->opts.name[sizeof n->opts.name - 1] = '\0';
	if (!n->opts.raw_ip) {
		n->header_len = ETH_HEADER_LEN;
		if (memcmp(n->opts.mac, no_mac, 6) == 0)
			make_mac(link->core, n->opts.mac);
	}
	if (opts->guest)
		link->guest = (int)link->nif_count;
	link->epoch++;
	return (int)link->nif_count++;
}

/* Neither a class of its own nor, within its prefix, the network or its broadcast. */
static bool usable(int nif, uint32_t bits, unsigned prefix_len)
{
	if (v4_is_this_network(bits) || v4_is_multicast(bits) || v4_is_reserved(bits))
		return false;
	if (v4_is_loopback(bits))
		return nif == TERN_NIF_LOOPBACK;
	uint32_t host = ~v4_mask(prefix_len);
	return prefix_len >= 31 || ((bits & host) != 0 && (bits & host) != host);
}

int tern_link_addr_add(struct link *link, int nif, const struct tern_addr *addr,
	unsigned prefix_len)
{
	if (nif < 0 || (uint32_t)nif >= link->nif_count || prefix_len > 32)
		return TERN_EINVAL;
	if (!addr_is_mapped_v4(addr) || !usable(nif, addr_v4_bits(addr), prefix_len))
		return TERN_EINVAL;
	if (tern_link_nif_of(link, addr) >= 0)
		return TERN_EEXIST;
	struct nif *n = &link->nif[nif];
	if (n->addr_count == NIF_ADDRS_MAX)
		return TERN_ENOSPC;
	struct nif_addr *a = &n->addr[n->addr_count++];
	*a = (struct nif_addr){.addr = *addr, .prefix_len = (uint8_t)prefix_len};
	link->epoch++;
	if (n->header_len > 0)
		tern_arp_announce_begin(link, nif, a);
	return 0;
}

static enum tern_drop ethernet_input(struct link *link, int nif, const struct tern_frame *frame)
{
	struct reader r = reader(frame->data, frame->len);
	struct eth_header h;
	enum tern_drop why = tern_eth_parse(&r, &h);
	if (why)
		return why;
	bool group = mac_is_group(&h.dst);
	if (!group && memcmp(h.dst.byte, link->nif[nif].opts.mac, 6) != 0)
		return TERN_DROP_ETH_NOT_OURS;
	if (__builtin_expect(h.type == ETHERTYPE_IPV4, 1)) {
		link->ops->ip_input(link->context, nif, frame, r.at, (uint32_t)reader_left(&r),
			group);
		return TERN_DROP_NONE;
	}
	if (h.type != ETHERTYPE_ARP)
		return TERN_DROP_ETH_TYPE;
	tern_arp_input(link, nif, &r, &h.dst);
	return TERN_DROP_NONE;
}

void tern_link_input(struct link *link, int nif, const struct tern_frame *frame)
{
	if (link->nif[nif].header_len == 0) {
		link->ops->ip_input(link->context, nif, frame, frame->data, frame->len, false);
		return;
	}
	enum tern_drop why = ethernet_input(link, nif, frame);
	if (why)
		tern_core_drop(link->core, why);
}

static void wake_all(struct link *link)
{
	for (uint32_t i = 1; i < link->nif_count; i++)
		link->ops->neighbour_changed(link->context, (int)i);
}

void tern_link_advance(struct link *link)
{
	bool more = true;
	for (unsigned i = 0; i < TIMERS_PER_CALL; i++) {
		struct wheel_entry *e = tern_wheel_expire(&link->wheel, link->core->now, &more);
		if (e == &link->announce)
			tern_arp_announce_again(link);
		else if (e == &link->wake)
			wake_all(link);
		else if (e)
			tern_neigh_expired(link, (struct neighbour *)e);
		else if (!more)
			break;
	}
}

uint64_t tern_link_deadline(const struct link *link)
{
	return tern_wheel_next(&link->wheel);
}

/* RFC 1112 6.4: the low 23 bits of the group, behind a fixed prefix. */
static struct mac multicast_mac(uint32_t bits)
{
	return (struct mac){{0x01, 0x00, 0x5e, (uint8_t)(bits >> 16 & 0x7f), (uint8_t)(bits >> 8),
		(uint8_t)bits}};
}

enum link_answer tern_link_resolve(struct link *link, int nif, const struct tern_addr *next_hop,
	struct mac *out)
{
	if (link->nif[nif].header_len == 0) {
		*out = (struct mac){{0}};
		return LINK_READY;
	}
	if (v4_is_multicast(addr_v4_bits(next_hop))) {
		*out = multicast_mac(addr_v4_bits(next_hop));
		return LINK_READY;
	}
	return tern_neigh_resolve(link, nif, next_hop, out);
}

void tern_link_confirm(struct link *link, int nif, const struct tern_addr *next_hop)
{
	if (link->nif[nif].header_len > 0)
		tern_neigh_confirm(link, nif, next_hop);
}

void tern_link_doubt(struct link *link, int nif, const struct tern_addr *next_hop)
{
	if (link->nif[nif].header_len > 0)
		tern_neigh_doubt(link, nif, next_hop);
}

size_t tern_link_queue_limit(const struct link *link)
{
	size_t share = link->core->mem.budget / 4;
	return share < NIF_QUEUE_BYTES ? share : NIF_QUEUE_BYTES;
}

bool tern_link_room(const struct link *link, int nif, uint32_t n, uint32_t size)
{
	const struct nif *i = &link->nif[nif];
	if (i->queued + n > NIF_QUEUE_PACKETS)
		return false;
	/* An empty queue takes one packet of any size. */
	return i->queued + n == 1 ||
	       i->queued_bytes + (size_t)n * size <= tern_link_queue_limit(link);
}

struct packet *tern_link_packet(struct link *link, int nif, uint32_t len)
{
	uint32_t size = (uint32_t)sizeof(struct packet) + HEADER_ROOM + len;
	if (!tern_link_room(link, nif, 1, size)) {
		tern_core_drop(link->core, TERN_DROP_REPLY_RING_FULL);
		return NULL;
	}
	struct packet *p = tern_mem_alloc(&link->core->mem, size, _Alignof(struct packet));
	if (!p)
		return NULL;
	*p = (struct packet){.size = size, .len = len, .type = ETHERTYPE_IPV4};
	p->data = (uint8_t *)(p + 1) + HEADER_ROOM;
	return p;
}

void tern_link_packet_free(struct link *link, struct packet *packet)
{
	tern_mem_free(&link->core->mem, packet, packet->size);
}

int tern_link_enqueue(struct link *link, int nif, struct packet *packet)
{
	struct nif *n = &link->nif[nif];
	if (!tern_link_room(link, nif, 1, packet->size)) {
		tern_core_drop(link->core, TERN_DROP_REPLY_RING_FULL);
		tern_link_packet_free(link, packet);
		return TERN_EAGAIN;
	}
	packet->next = NULL;
	*n->queue_tail = packet;
	n->queue_tail = &packet->next;
	n->queued++;
	n->queued_bytes += packet->size;
	return 0;
}

int tern_link_send(struct link *link, int nif, const struct tern_addr *next_hop, bool broadcast,
	struct packet *packet)
{
	if (broadcast) {
		memset(packet->dst.byte, 0xff, sizeof packet->dst.byte);
		return tern_link_enqueue(link, nif, packet);
	}
	switch (tern_link_resolve(link, nif, next_hop, &packet->dst)) {
	case LINK_READY:
		return tern_link_enqueue(link, nif, packet);
	case LINK_PENDING:
		return tern_neigh_hold(link, nif, next_hop, packet);
	case LINK_FAILED:
		break;
	}
	tern_core_drop(link->core, TERN_DROP_NEIGH_UNREACHABLE);
	tern_link_packet_free(link, packet);
	return TERN_EHOSTUNREACH;
}

static struct packet *take(struct nif *n)
{
	struct packet *p = n->queue;
	if (!p)
		return NULL;
	n->queue = p->next;
	if (!n->queue)
		n->queue_tail = &n->queue;
	n->queued--;
	n->queued_bytes -= p->size;
	return p;
}

bool tern_link_pull(struct link *link, int nif, struct tern_frame *frame)
{
	struct nif *n = &link->nif[nif];
	struct packet *p = take(n);
	if (!p)
		return false;
	assert(frame->capacity >= n->header_len + p->len);
	struct writer w = {frame->data};
	if (n->header_len > 0) {
		struct eth_header h = {.dst = p->dst, .type = p->type};
		memcpy(h.src.byte, n->opts.mac, sizeof h.src.byte);
		tern_eth_emit(&w, &h);
	}
	write_bytes(&w, p->data, p->len);
	frame->len = n->header_len + p->len;
	tern_link_packet_free(link, p);
	return true;
}

const struct nif_addr *tern_link_source(const struct link *link, int nif,
	const struct tern_addr *next_hop)
{
	const struct nif *n = &link->nif[nif];
	uint32_t bits = addr_v4_bits(next_hop);
	for (unsigned i = 0; i < n->addr_count; i++)
		if (nif_addr_holds(&n->addr[i], bits))
			return &n->addr[i];
	return n->addr_count > 0 ? &n->addr[0] : NULL;
}

int tern_link_nif_of(const struct link *link, const struct tern_addr *addr)
{
	for (uint32_t i = link->nif_count; i-- > 0;) {
		const struct nif *n = &link->nif[i];
		for (unsigned k = 0; k < n->addr_count; k++)
			if (addr_same(&n->addr[k].addr, addr))
				return (int)i;
	}
	if (addr_is_mapped_v4(addr) && v4_is_loopback(addr_v4_bits(addr)))
		return TERN_NIF_LOOPBACK;
	return -1;
}
