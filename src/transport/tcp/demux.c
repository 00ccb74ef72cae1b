/* From addresses and ports to a connection or a listener. */
#include <string.h>
#include "transport/tcp/tcp.h"

/* IPv4 pairs hash 12 bytes, others 36. */
struct tcp_pair tern_pair(const struct tcp *tcp, const struct tern_addr *local, uint16_t local_port,
	const struct tern_addr *remote, uint16_t remote_port)
{
	uint8_t key[36];
	size_t n = 4;
	store_be16(key, local_port);
	store_be16(key + 2, remote_port);
	if (tern_addr_is_v4(local)) {
		memcpy(key + n, local->byte + 12, 4);
		memcpy(key + n + 4, remote->byte + 12, 4);
		n += 8;
	} else {
		memcpy(key + n, local->byte, 16);
		memcpy(key + n + 16, remote->byte, 16);
		n += 32;
	}
	return (struct tcp_pair){local, remote, local_port, remote_port,
		tern_siphash13(&tcp->table_key, key, n)};
}

static uint32_t tcb_hash(const struct tcp *tcp, const struct tcb *tcb)
{
	return (uint32_t)tern_pair(tcp, &tcb->path->src, tcb->local_port, &tcb->path->dst,
		tcb->remote_port)
		.hash;
}

int tern_demux_insert(struct tcp *tcp, struct tcb *tcb)
{
	int err =
		tern_htab_insert(&tcp->table, tcb_hash(tcp, tcb), tern_pool_slot(&tcp->tcbs, tcb));
	if (err == 0)
		tcb->flags |= TCB_HASHED;
	return err;
}

void tern_demux_remove(struct tcp *tcp, struct tcb *tcb)
{
	if (!(tcb->flags & TCB_HASHED))
		return;
	tern_htab_remove(&tcp->table, tcb_hash(tcp, tcb), tern_pool_slot(&tcp->tcbs, tcb));
	tcb->flags &= ~TCB_HASHED;
}

struct tcb *tern_demux_find(const struct tcp *tcp, const struct tcp_pair *pair)
{
	struct htab_probe probe = tern_htab_probe(&tcp->table, (uint32_t)pair->hash);
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct tcb *tcb = tern_pool_at(&tcp->tcbs, slot);
		if (tcb->remote_port == pair->remote_port && tcb->local_port == pair->local_port &&
			memcmp(&tcb->path->dst, pair->remote, sizeof *pair->remote) == 0 &&
			memcmp(&tcb->path->src, pair->local, sizeof *pair->local) == 0)
			return tcb;
	}
	return NULL;
}

bool tern_demux_used(const struct tcp *tcp, const struct tcp_pair *pair)
{
	return tern_demux_find(tcp, pair) || tern_timewait_find(tcp, pair) ||
	       tern_syncache_find(tcp, pair);
}

struct listener *tern_demux_listener(const struct tcp *tcp, const struct tern_addr *local,
	uint16_t port)
{
	struct listener *wildcard = NULL;
	struct htab_probe probe = tern_htab_probe(&tcp->listening, tern_listening_hash(tcp, port));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct listener *l = tern_pool_at(&tcp->listeners, slot);
		if (l->port != port)
			continue;
		if (tern_addr_equal(&l->addr, local))
			return l;
		if (tern_addr_is_unspecified(&l->addr))
			wildcard = l;
	}
	return wildcard;
}

/* Nobody outside chooses which ports are listened on: a multiplication is enough. */
uint32_t tern_listening_hash(const struct tcp *tcp, uint16_t port)
{
	uint32_t mixed = (port ^ (uint32_t)tcp->port_key.k0) * UINT32_C(0x9e3779b1);
	return mixed ^ mixed >> 16;
}
