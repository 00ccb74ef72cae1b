#include "network/ipv4.h"

static void upcall_input(void *context, int nif, const struct tern_frame *frame,
	const uint8_t *data, uint32_t len, bool group)
{
	tern_ip_input(context, nif, frame, data, len, group);
}

static void upcall_neighbour_changed(void *context, int nif)
{
	struct ip *ip = context;
	ip->ops->path_changed(ip->context, nif);
}

static void upcall_undeliverable(void *context, int nif, const struct packet *packet)
{
	if (packet->type == ETHERTYPE_IPV4)
		tern_icmp_undeliverable(context, nif, packet->data, packet->len);
}

const struct link_ops tern_ip_link_ops = {
	.ip_input = upcall_input,
	.neighbour_changed = upcall_neighbour_changed,
	.undeliverable = upcall_undeliverable,
};

void tern_ip_init(struct ip *ip, struct core *core, struct link *link, const struct ip_ops *ops,
	void *context)
{
	*ip = (struct ip){.core = core, .link = link, .ops = ops, .context = context};
	tern_pool_init(&ip->paths, &core->mem, sizeof(struct path), 12, UINT32_MAX);
	tern_htab_init(&ip->path_table, &core->mem);
	ip->key = tern_rng_key(&core->rng);
	ip->id_key = tern_rng_key(&core->rng);
	ip->icmp.tokens_at = core->now;
	ip->icmp.tokens = UINT32_MAX; /* cut to a full bucket on first use */
}

void tern_ip_fini(struct ip *ip)
{
	tern_fragment_fini(ip);
	tern_route_fini(ip);
}

void tern_ip_input(struct ip *ip, int nif, const struct tern_frame *frame, const uint8_t *data,
	uint32_t len, bool group)
{
	tern_ipv4_input(ip, nif, frame, data, len, group);
}

void tern_ip_advance(struct ip *ip)
{
	tern_fragment_expire(ip);
}

uint64_t tern_ip_deadline(const struct ip *ip)
{
	return tern_fragment_deadline(ip);
}

bool tern_ip_is_ours(const struct ip *ip, const struct tern_addr *addr)
{
	return tern_link_nif_of(ip->link, addr) >= 0;
}

bool tern_ip_is_group(const struct ip *ip, const struct tern_addr *addr)
{
	if (!addr_is_mapped_v4(addr))
		return addr_is_none(addr) || addr->byte[0] == 0xff;
	uint32_t bits = addr_v4_bits(addr);
	if (v4_is_multicast(bits) || bits == 0 || bits == UINT32_MAX)
		return true;
	for (uint32_t i = 0; i < ip->link->nif_count; i++)
		if (tern_ipv4_is_broadcast(ip, (int)i, bits))
			return true;
	return false;
}
