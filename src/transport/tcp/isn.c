/* Numbers that a stranger must not be able to guess: ISNs, ports, timestamp offsets. */
#include <string.h>
#include "transport/tcp/tcp.h"

static uint64_t pair_secret(const struct siphash_key *key, const struct tern_addr *local,
	uint16_t local_port, const struct tern_addr *remote, uint16_t remote_port)
{
	uint8_t text[36];
	memcpy(text, local->byte, 16);
	memcpy(text + 16, remote->byte, 16);
	store_be16(text + 32, local_port);
	store_be16(text + 34, remote_port);
	return tern_siphash24(key, text, sizeof text);
}

/* RFC 6528 3: ISN = M + F(local, remote, secret); M ticks every 4 us (RFC 9293 3.4.1, MUST-8). */
tern_seq tern_isn(const struct tcp *tcp, const struct tern_addr *local, uint16_t local_port,
	const struct tern_addr *remote, uint16_t remote_port)
{
	uint64_t f = pair_secret(&tcp->isn_key, local, local_port, remote, remote_port);
	return seq((uint32_t)(tcp->core->now / 4000) + (uint32_t)f);
}

/*
 * Per pair of addresses, so that a later connection between the same hosts continues the
 * same clock and TIME_WAIT reuse works (RFC 6191), yet no two peers see the same one.
 */
uint32_t tern_timestamp_offset(const struct tcp *tcp, const struct tern_addr *local,
	const struct tern_addr *remote)
{
	return (uint32_t)pair_secret(&tcp->ts_key, local, 0, remote, 0);
}

uint32_t tern_timestamp_now(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_timestamp_at(tcb, tcp->core->now);
}

uint32_t tern_timestamp_at(const struct tcb *tcb, uint64_t at)
{
	return (uint32_t)(at / MS) + tcb->path->ts_offset;
}

static bool port_usable(const struct tcp *tcp, const struct tern_addr *local, uint16_t port,
	const struct tern_endpoint *remote)
{
	/* A connection from a port to itself would meet itself. */
	if (port == remote->port && tern_addr_equal(local, &remote->addr))
		return false;
	struct tcp_pair pair = tern_pair(tcp, local, port, &remote->addr, remote->port);
	return !tern_demux_used(tcp, &pair) && !tern_demux_listener(tcp, local, port);
}

/*
 * Algorithm 4 of RFC 6056 (double hash): the start depends on the peer by one key, the
 * counter walked on is one of many, chosen by another part of the hash.
 */
uint16_t tern_port_pick(struct tcp *tcp, const struct tern_addr *local,
	const struct tern_endpoint *remote)
{
	int32_t low = tcp->core->set.ip_local_port_min, high = tcp->core->set.ip_local_port_max;
	if (high < low)
		return 0;
	uint32_t range = (uint32_t)(high - low) + 1;
	uint64_t hash = pair_secret(&tcp->port_key, local, 0, &remote->addr, remote->port);
	uint16_t *counter = &tcp->port_counter[hash >> 32 & (PORT_COUNTERS - 1)];
	for (uint32_t tries = 0; tries < range; tries++) {
		uint16_t port = (uint16_t)((uint32_t)low + ((uint32_t)hash + *counter) % range);
		(*counter)++;
		if (port_usable(tcp, local, port, remote))
			return port;
	}
	return 0;
}
