#include <string.h>

#include "tools/script/names.h"
#include "tools/script/packet.h"

#define IP_HEADER 20
#define TTL       64

uint8_t tern_script_byte(bool inbound, uint32_t place)
{
	return (uint8_t)((place + 1) * 2654435761u >> 24 ^ (inbound ? 0x5a : 0));
}

uint32_t tern_script_place(const struct script_packet *p)
{
	if (p->protocol != PROTOCOL_TCP || p->flags & FLAG_SYN)
		return 0;
	return p->seq - 1;
}

static uint8_t *put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	return put16(put16(at, value >> 16), value);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* RFC 1071, byte by byte. */
static uint32_t sum(uint32_t start, const uint8_t *data, uint32_t len)
{
	uint64_t total = start;
	for (uint32_t k = 0; k < len; k++)
		total += k & 1 ? data[k] : (uint32_t)data[k] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

static uint32_t pseudo_sum(const uint8_t *ip, uint32_t len)
{
	uint32_t addresses = sum(0, ip + 12, 8);
	return addresses + ip[9] + len;
}

static uint8_t *put_ip(uint8_t *at, const uint8_t src[4], const uint8_t dst[4],
	const struct script_packet *p, uint32_t len)
{
	memset(at, 0, IP_HEADER);
	at[0] = 0x45;
	at[1] = (uint8_t)(p->tos | (p->ecn > 0 ? p->ecn : 0));
	put16(at + 2, IP_HEADER + len);
	put16(at + 6, 0x4000); /* DF */
	at[8] = p->ttl ? p->ttl : TTL;
	at[9] = (uint8_t)p->protocol;
	memcpy(at + 12, src, 4);
	memcpy(at + 16, dst, 4);
	put16(at + 10, 0xffff ^ sum(0, at, IP_HEADER));
	return at + IP_HEADER;
}

static uint8_t *put_option(uint8_t *at, const struct script_option *option)
{
	*at++ = option->kind;
	if (option->kind == OPTION_EOL || option->kind == OPTION_NOP)
		return at;
	*at++ = (uint8_t)tern_script_option_len(option);
	switch (option->kind) {
	case OPTION_SACK_OK:
		return at;
	case OPTION_WSCALE:
		*at++ = (uint8_t)option->value;
		return at;
	case OPTION_MSS:
	case OPTION_USER_TIMEOUT:
		return put16(at, option->value);
	case OPTION_TIMESTAMP:
		return put32(put32(at, option->value), option->ecr);
	case OPTION_SACK:
		for (unsigned k = 0; k < option->blocks; k++)
			at = put32(put32(at, option->sack[k].lo), option->sack[k].hi);
		return at;
	default:
		memcpy(at, option->raw, option->raw_len);
		return at + option->raw_len;
	}
}

static uint8_t *put_tcp(uint8_t *at, const struct script_packet *p)
{
	uint8_t *header = at;
	at = put32(put16(put16(at, p->remote_port), p->local_port), p->seq);
	at = put32(at, p->ack);
	at = put16(at, p->flags);
	at = put16(put16(put16(at, p->window), 0), p->urgent);
	for (unsigned k = 0; k < p->options; k++)
		at = put_option(at, &p->option[k]);
	while ((at - header) % 4)
		*at++ = OPTION_EOL;
	header[12] = (uint8_t)(header[12] | (at - header) / 4 << 4);
	return at;
}

/* The packet of tern's that an ICMP error returns: enough of it to be recognised. */
static uint8_t *put_quote(uint8_t *at, const struct script_addresses *addresses,
	const struct script_packet *p)
{
	struct script_packet ip = {.protocol = PROTOCOL_TCP};
	at = put_ip(at, addresses->local, addresses->remote, &ip, 20 + p->quote_len);
	at = put32(put16(put16(at, p->local_port), p->remote_port), p->quote_seq);
	memset(at, 0, 12);
	at[4] = 0x50;
	at[5] = FLAG_ACK;
	return at + 12;
}

static uint8_t *put_icmp(uint8_t *at, const struct script_addresses *addresses,
	const struct script_packet *p)
{
	uint8_t *header = at;
	at[0] = p->icmp_type;
	at[1] = p->icmp_code;
	put32(at + 2, 0);
	put16(at + 6, p->mtu);
	at = put_quote(at + 8, addresses, p);
	put16(header + 2, 0xffff ^ sum(0, header, (uint32_t)(at - header)));
	return at;
}

static uint8_t *put_payload(uint8_t *at, uint32_t len, uint32_t place)
{
	for (uint32_t k = 0; k < len; k++)
		*at++ = tern_script_byte(true, place + k);
	return at;
}

uint32_t tern_script_build(const struct script_addresses *addresses, const struct script_packet *p,
	uint32_t place, uint8_t *out)
{
	uint8_t *transport = out + IP_HEADER, *end;
	uint8_t *checksum = NULL;
	if (p->protocol == PROTOCOL_ICMP) {
		end = put_icmp(transport, addresses, p);
	} else if (p->protocol == PROTOCOL_UDP) {
		put16(put16(put16(transport, p->remote_port), p->local_port), 8 + p->len);
		checksum = transport + 6;
		put16(checksum, 0);
		end = put_payload(transport + 8, p->len, place);
	} else {
		checksum = transport + 16;
		end = put_payload(put_tcp(transport, p), p->len, place);
	}
	uint32_t len = (uint32_t)(end - transport);
	put_ip(out, addresses->remote, addresses->local, p, len);
	if (checksum)
		put16(checksum, 0xffff ^ sum(pseudo_sum(out, len), transport, len));
	if (checksum && p->bad_checksum)
		checksum[0] ^= 0xff;
	return IP_HEADER + len;
}

static const char *get_option(struct script_packet *p, const uint8_t *at, uint8_t len)
{
	struct script_option *option = &p->option[p->options++];
	option->kind = at[0];
	at += 2;
	uint8_t body = (uint8_t)(len - 2);
	switch (option->kind) {
	case OPTION_WSCALE:
		option->value = at[0];
		break;
	case OPTION_MSS:
	case OPTION_USER_TIMEOUT:
		option->value = body == 2 ? get16(at) : 0;
		break;
	case OPTION_TIMESTAMP:
		option->value = body == 8 ? get32(at) : 0;
		option->ecr = body == 8 ? get32(at + 4) : 0;
		break;
	case OPTION_SACK:
		option->blocks = body / 8;
		for (unsigned k = 0; k < option->blocks; k++) {
			option->sack[k].lo = get32(at + 8 * k);
			option->sack[k].hi = get32(at + 8 * k + 4);
		}
		break;
	default:
		option->raw_len = option->kind == OPTION_SACK_OK ? 0 : body;
		memcpy(option->raw, at, option->raw_len);
	}
	return tern_script_option_len(option) == len ? NULL : "a TCP option of a wrong length";
}

static const char *get_options(struct script_packet *p, const uint8_t *at, uint32_t left)
{
	while (left && *at != OPTION_EOL) {
		uint8_t len = 1;
		if (*at == OPTION_NOP) {
			p->option[p->options++].kind = OPTION_NOP;
		} else {
			if (left < 2 || at[1] < 2 || at[1] > left)
				return "a TCP option beyond the header";
			len = at[1];
			const char *wrong = get_option(p, at, len);
			if (wrong)
				return wrong;
		}
		at += len;
		left -= len;
	}
	for (; left; at++, left--)
		if (*at)
			return "bytes after the end of the TCP options";
	return NULL;
}

static const char *get_tcp(struct script_packet *p, const uint8_t *at, uint32_t len,
	const uint8_t **payload)
{
	uint32_t header = len >= 20 ? 4u * (at[12] >> 4) : 0;
	if (header < 20 || header > len)
		return "the TCP header is cut short";
	if (at[12] & 0x0e)
		return "reserved bits of the TCP header are set";
	p->local_port = get16(at);
	p->remote_port = get16(at + 2);
	p->seq = get32(at + 4);
	p->ack = get32(at + 8);
	p->flags = get16(at + 12) & 0x1ff;
	p->has_ack = p->flags & FLAG_ACK;
	p->has_window = true;
	p->window = get16(at + 14);
	p->urgent = get16(at + 18);
	p->has_urgent = p->flags & FLAG_URG;
	if (!p->has_ack && p->ack)
		return "an acknowledgement number without ACK";
	if (!p->has_urgent && p->urgent)
		return "an urgent pointer without URG";
	p->len = len - header;
	*payload = at + header;
	return get_options(p, at + 20, header - 20);
}

static const char *get_udp(struct script_packet *p, const uint8_t *at, uint32_t len,
	const uint8_t **payload)
{
	if (len < 8 || get16(at + 4) != len)
		return "the UDP length is wrong";
	p->local_port = get16(at);
	p->remote_port = get16(at + 2);
	p->len = len - 8;
	*payload = at + 8;
	return NULL;
}

static const char *get_icmp(struct script_packet *p, const uint8_t *at, uint32_t len)
{
	if (len < 8 || sum(0, at, len) != 0xffff)
		return "the ICMP checksum is wrong";
	p->icmp_type = at[0];
	p->icmp_code = at[1];
	p->mtu = get16(at + 6);
	p->has_mtu = p->icmp_type == 3 && p->icmp_code == 4;
	const uint8_t *quote = at + 8;
	if (len >= 8 + 28) { /* of a packet from the remote to us */
		p->remote_port = get16(quote + 20);
		p->local_port = get16(quote + 22);
	}
	return NULL;
}

static const char *get_ip(const struct script_addresses *addresses, const uint8_t *data,
	uint32_t len)
{
	if (len < IP_HEADER || data[0] != 0x45)
		return "not an IPv4 packet with a header of 20 bytes";
	if (get16(data + 2) != len)
		return "the IP total length is wrong";
	if (sum(0, data, IP_HEADER) != 0xffff)
		return "the IP header checksum is wrong";
	if (get16(data + 6) & 0xbfff)
		return "a fragment";
	if (!data[8])
		return "the TTL is 0";
	if (memcmp(data + 12, addresses->local, 4) != 0)
		return "the source is not tern's address";
	if (memcmp(data + 16, addresses->remote, 4) != 0)
		return "the destination is not the remote address";
	return NULL;
}

const char *tern_script_decode(const struct script_addresses *addresses, const uint8_t *data,
	uint32_t len, struct script_packet *out, const uint8_t **payload)
{
	*out = (struct script_packet){.has_tos = true, .tos = len > 1 ? data[1] : 0};
	out->ecn = out->tos & 3;
	*payload = NULL;
	const char *wrong = get_ip(addresses, data, len);
	if (wrong)
		return wrong;
	out->ttl = data[8];
	const uint8_t *transport = data + IP_HEADER;
	len -= IP_HEADER;
	switch (data[9]) {
	case PROTOCOL_TCP:
		out->protocol = PROTOCOL_TCP;
		if (sum(pseudo_sum(data, len), transport, len) != 0xffff)
			return "the TCP checksum is wrong";
		return get_tcp(out, transport, len, payload);
	case PROTOCOL_UDP:
		out->protocol = PROTOCOL_UDP;
		if (len >= 8 && get16(transport + 6) &&
			sum(pseudo_sum(data, len), transport, len) != 0xffff)
			return "the UDP checksum is wrong";
		return get_udp(out, transport, len, payload);
	case PROTOCOL_ICMP:
		out->protocol = PROTOCOL_ICMP;
		return get_icmp(out, transport, len);
	default:
		return "neither TCP, UDP nor ICMP";
	}
}
