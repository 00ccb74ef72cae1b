/*
 * Routes and paths. The table is short and kept longest prefix first, so the first match is
 * the right one; a path remembers the outcome, and looks again only when the epoch moves.
 */
#include <assert.h>
#include "network/ipv4.h"

#define MAPPED_BITS   96                /* ::ffff:0:0/96 */
#define MTU_LEARNT_NS (600 * SECOND_NS) /* RFC 1191 6.3 */

static uint32_t epoch(const struct ip *ip)
{
	return ip->link->epoch + ip->route_epoch;
}

static bool holds(const struct route *r, const struct tern_addr *addr)
{
	unsigned bytes = r->prefix_len / 8, bits = r->prefix_len % 8;
	if (memcmp(r->prefix.byte, addr->byte, bytes) != 0)
		return false;
	return bits == 0 || (r->prefix.byte[bytes] ^ addr->byte[bytes]) >> (8 - bits) == 0;
}

static struct tern_addr network_of(const struct tern_addr *addr, unsigned prefix_len)
{
	struct tern_addr net = {{0}};
	unsigned bytes = prefix_len / 8, bits = prefix_len % 8;
	memcpy(net.byte, addr->byte, bytes);
	if (bits)
		net.byte[bytes] = (uint8_t)(addr->byte[bytes] & 0xff << (8 - bits));
	return net;
}

int tern_ip_route_add(struct ip *ip, const struct tern_addr *prefix, unsigned prefix_len,
	const struct tern_addr *gateway, int nif)
{
	bool on_link = addr_is_none(gateway);
	if (prefix_len > 32 || nif <= 0 || (uint32_t)nif >= ip->link->nif_count)
		return TERN_EINVAL;
	if (!addr_is_mapped_v4(prefix) && !(prefix_len == 0 && addr_is_none(prefix)))
		return TERN_EINVAL;
	if (!on_link && (!addr_is_mapped_v4(gateway) || tern_ip_is_group(ip, gateway) ||
				tern_ip_is_ours(ip, gateway)))
		return TERN_EINVAL;
	struct route r = {.prefix_len = (uint8_t)(MAPPED_BITS + prefix_len), .nif = (uint8_t)nif};
	struct tern_addr base = addr_is_none(prefix) ? tern_addr_v4(0, 0, 0, 0) : *prefix;
	r.prefix = network_of(&base, r.prefix_len);
	if (!on_link)
		r.gateway = *gateway;
	uint32_t at = 0;
	while (at < ip->route_count && ip->route[at].prefix_len >= r.prefix_len) {
		if (ip->route[at].prefix_len == r.prefix_len &&
			addr_same(&ip->route[at].prefix, &r.prefix))
			return TERN_EEXIST;
		at++;
	}
	if (ip->route_count == ROUTES_MAX)
		return TERN_ENOSPC;
	memmove(&ip->route[at + 1], &ip->route[at], (ip->route_count - at) * sizeof r);
	ip->route[at] = r;
	ip->route_count++;
	ip->route_epoch++;
	return 0;
}

/* Without a route, what is for everybody on a link goes to the first link there is. */
static bool find_group(const struct ip *ip, const struct tern_addr *dst, struct hop *out)
{
	uint32_t bits = addr_v4_bits(dst);
	if (!v4_is_multicast(bits) && bits != UINT32_MAX)
		return false;
	for (uint32_t i = 1; i < ip->link->nif_count; i++) {
		if (ip->link->nif[i].addr_count == 0)
			continue;
		*out = (struct hop){.next_hop = *dst, .nif = (int)i};
		out->broadcast = bits == UINT32_MAX;
		return true;
	}
	return false;
}

bool tern_route_find(const struct ip *ip, const struct tern_addr *dst, struct hop *out)
{
	if (addr_is_none(dst))
		return false;
	if (tern_ip_is_ours(ip, dst)) {
		*out = (struct hop){.next_hop = *dst, .nif = TERN_NIF_LOOPBACK, .loopback = true};
		return true;
	}
	for (uint32_t i = 0; i < ip->route_count; i++) {
		const struct route *r = &ip->route[i];
		if (!holds(r, dst))
			continue;
		uint32_t bits = addr_v4_bits(dst);
		*out = (struct hop){.nif = r->nif};
		out->broadcast = tern_ipv4_is_broadcast(ip, r->nif, bits);
		/* What is for this link only is not for a gateway. */
		bool direct = addr_is_none(&r->gateway) || out->broadcast || v4_is_multicast(bits);
		out->next_hop = direct ? *dst : r->gateway;
		return true;
	}
	return find_group(ip, dst, out);
}

/* RFC 1122 3.3.4.3: an address of the interface, at best one that the next hop shares a
 * network with. */
bool tern_route_source(const struct ip *ip, const struct hop *hop, const struct tern_addr *dst,
	struct tern_addr *src)
{
	if (hop->loopback) {
		*src = v4_is_loopback(addr_v4_bits(dst)) ? tern_addr_v4(127, 0, 0, 1) : *dst;
		return true;
	}
	const struct nif_addr *a = tern_link_source(ip->link, hop->nif, &hop->next_hop);
	for (uint32_t i = 1; !a && i < ip->link->nif_count; i++)
		a = tern_link_source(ip->link, (int)i, &hop->next_hop);
	if (!a)
		return false;
	*src = a->addr;
	return true;
}

/* --- paths */

static uint32_t hash(const struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst)
{
	uint8_t key[32];
	memcpy(key, src->byte, 16);
	memcpy(key + 16, dst->byte, 16);
	return (uint32_t)tern_siphash13(&ip->key, key, sizeof key);
}

static struct path *find(struct ip *ip, uint32_t h, const struct tern_addr *src,
	const struct tern_addr *dst)
{
	struct htab_probe probe = tern_htab_probe(&ip->path_table, h);
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct path *path = tern_pool_at(&ip->paths, slot);
		if (addr_same(&path->dst, dst) && addr_same(&path->src, src))
			return path;
	}
	return NULL;
}

static void forget_mtu(struct ip *ip, struct path *path)
{
	path->mtu = ip->link->nif[path->nif].opts.mtu;
	path->mtu_expires = TERN_NEVER;
}

/* Finds the way anew. What a router has said of the MTU stays true meanwhile. */
static void look_up(struct ip *ip, struct path *path)
{
	struct hop hop;
	path->epoch = epoch(ip);
	path->mac_known = false;
	path->routed = tern_ip_is_ours(ip, &path->src) && tern_route_find(ip, &path->dst, &hop);
	if (!path->routed)
		return;
	if (path->nif != hop.nif || !addr_same(&path->next_hop, &hop.next_hop))
		path->black_hole_mtu = 0;
	path->nif = (uint8_t)hop.nif;
	path->loopback = hop.loopback;
	path->next_hop = hop.next_hop;
	path->header_len = ip->link->nif[hop.nif].header_len + IPV4_HEADER_LEN;
	if (path->mtu_expires == TERN_NEVER || path->mtu > ip->link->nif[hop.nif].opts.mtu)
		forget_mtu(ip, path);
}

/* Which source, checked or chosen; dst must be one station. 0 or an error. */
static int choose(struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst,
	struct tern_addr *out)
{
	struct hop hop;
	if (!addr_is_mapped_v4(dst) || tern_ip_is_group(ip, dst) ||
		!tern_route_find(ip, dst, &hop)) {
		core_count(ip->core, TERN_COUNT_IpOutNoRoutes);
		return TERN_ENETUNREACH;
	}
	if (addr_is_none(src))
		return tern_route_source(ip, &hop, dst, out) ? 0 : TERN_EADDRNOTAVAIL;
	int nif = tern_link_nif_of(ip->link, src);
	if (nif < 0 || (nif == TERN_NIF_LOOPBACK && !hop.loopback))
		return TERN_EADDRNOTAVAIL;
	*out = *src;
	return 0;
}

struct path *tern_path_get(struct ip *ip, const struct tern_addr *src, const struct tern_addr *dst,
	int *err)
{
	struct tern_addr from;
	*err = choose(ip, src, dst, &from);
	if (*err != 0)
		return NULL;
	uint32_t h = hash(ip, &from, dst);
	struct path *path = find(ip, h, &from, dst);
	if (path) {
		path->refs++;
		return path;
	}
	*err = TERN_ENOMEM;
	path = tern_pool_get(&ip->paths);
	if (!path)
		return NULL;
	if (tern_htab_insert(&ip->path_table, h, tern_pool_slot(&ip->paths, path)) != 0) {
		tern_pool_put(&ip->paths, path);
		return NULL;
	}
	*path = (struct path){.refs = 1, .src = from, .dst = *dst, .mtu_expires = TERN_NEVER};
	look_up(ip, path);
	*err = 0;
	return path;
}

void tern_path_put(struct ip *ip, struct path *path)
{
	assert(path->refs > 0);
	if (--path->refs > 0)
		return;
	tern_htab_remove(&ip->path_table, hash(ip, &path->src, &path->dst),
		tern_pool_slot(&ip->paths, path));
	tern_pool_put(&ip->paths, path);
}

/* All of the headers that does not change from packet to packet. */
static void make_template(struct ip *ip, struct path *path)
{
	const struct nif *n = &ip->link->nif[path->nif];
	struct writer w = {path->header};
	if (n->header_len > 0) {
		struct eth_header eth = {.dst = path->mac, .type = ETHERTYPE_IPV4};
		memcpy(eth.src.byte, n->opts.mac, sizeof eth.src.byte);
		tern_eth_emit(&w, &eth);
	}
	uint8_t *p = w.at;
	memset(p, 0, IPV4_HEADER_LEN);
	p[0] = 4 << 4 | IPV4_HEADER_LEN / 4;
	memcpy(p + 12, path->src.byte + 12, 4);
	memcpy(p + 16, path->dst.byte + 12, 4);
	uint64_t sum = 0;
	for (unsigned i = 0; i < IPV4_HEADER_LEN; i += 4)
		sum += load_be32(p + i);
	path->header_sum = csum_fold(sum);
}

static enum link_answer ask_link(struct ip *ip, struct path *path)
{
	if (path->epoch != epoch(ip))
		look_up(ip, path);
	if (!path->routed)
		return LINK_FAILED;
	enum link_answer answer =
		tern_link_resolve(ip->link, path->nif, &path->next_hop, &path->mac);
	path->mac_known = answer == LINK_READY;
	if (path->mac_known)
		make_template(ip, path);
	return answer;
}

enum link_answer tern_path_ready(struct ip *ip, struct path *path)
{
	if (__builtin_expect(path->mac_known && path->epoch == epoch(ip), 1))
		return LINK_READY;
	return ask_link(ip, path);
}

uint32_t tern_path_mtu(struct ip *ip, struct path *path)
{
	if (path->epoch != epoch(ip))
		look_up(ip, path);
	if (path->mtu_expires <= ip->core->now)
		forget_mtu(ip, path);
	return path->mtu;
}

void tern_path_too_big(struct ip *ip, struct path *path, uint32_t mtu)
{
	uint32_t floor = mtu < IP_PMTU_MIN ? IP_PMTU_MIN : mtu;
	if (floor >= tern_path_mtu(ip, path))
		return;
	path->mtu = floor;
	path->mtu_expires = ip->core->now + MTU_LEARNT_NS;
}

static void keep(struct ip *ip, struct path *path)
{
	struct path **place = &ip->black_hole[ip->black_hole_next++ % BLACK_HOLES_MAX];
	if (*place) {
		(*place)->kept = false;
		tern_path_put(ip, *place);
	}
	*place = path;
	path->kept = true;
	path->refs++;
}

void tern_path_black_hole(struct ip *ip, struct path *path, uint32_t mtu, uint64_t wait)
{
	path->black_hole_mtu = mtu < IP_PMTU_MIN ? IP_PMTU_MIN : mtu;
	path->grow_at = ip->core->now + wait;
	if (!path->kept)
		keep(ip, path);
}

void tern_path_black_hole_passed(struct ip *ip, struct path *path, uint32_t mtu)
{
	if (path->black_hole_mtu == 0 || mtu <= path->black_hole_mtu)
		return;
	path->black_hole_mtu = mtu < path->mtu ? mtu : 0;
	path->grow_at = ip->core->now;
}

uint32_t tern_path_black_hole_mtu(const struct path *path)
{
	return path->black_hole_mtu;
}

bool tern_path_may_grow(const struct ip *ip, const struct path *path)
{
	return path->black_hole_mtu == 0 || path->grow_at <= ip->core->now;
}

void tern_route_fini(struct ip *ip)
{
	uint32_t slot = 0;
	for (struct path *p; (p = tern_pool_next(&ip->paths, &slot)) != NULL; slot++)
		tern_pool_put(&ip->paths, p);
	tern_htab_fini(&ip->path_table);
	tern_pool_fini(&ip->paths);
}

#define CONFIRM_EVERY UINT64_C(5000000000) /* ns */

void tern_path_confirm(struct ip *ip, struct path *path)
{
	uint64_t now = ip->core->now;
	if (path->loopback || !path->routed || now - path->confirmed_at < CONFIRM_EVERY)
		return;
	path->confirmed_at = now;
	tern_link_confirm(ip->link, path->nif, &path->next_hop);
}

void tern_path_doubt(struct ip *ip, struct path *path)
{
	if (path->loopback || !path->routed)
		return;
	path->confirmed_at = 0; /* the next answer counts at once */
	tern_link_doubt(ip->link, path->nif, &path->next_hop);
}
