#include "host/mark.h"

#include <stdint.h>

#define ETHERNET_LEN 14
#define IP_LEN       20
#define ECN          3u

static uint32_t load_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t sum(const uint8_t *p, uint32_t len)
{
	uint32_t total = 0;
	for (uint32_t i = 0; i < len; i += 2)
		total += load_be16(p + i);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

/* The frame does not say whether it has an Ethernet header; a good checksum does. */
static uint8_t *ipv4_at(const struct tern_frame *frame, uint32_t at)
{
	uint8_t *ip = frame->data + at;
	if (frame->len < at + IP_LEN || ip[0] >> 4 != 4)
		return NULL;
	uint32_t len = (ip[0] & 15u) * 4;
	if (len < IP_LEN || frame->len < at + len || load_be16(ip + 2) > frame->len - at)
		return NULL;
	return sum(ip, len) == 0xffff ? ip : NULL;
}

bool tern_mark_ce(struct tern_frame *frame)
{
	uint8_t *ip = ipv4_at(frame, 0);
	if (!ip && frame->len > ETHERNET_LEN && load_be16(frame->data + 12) == 0x0800)
		ip = ipv4_at(frame, ETHERNET_LEN);
	if (!ip || (ip[1] & ECN) == 0)
		return false;
	ip[1] |= ECN;
	ip[10] = ip[11] = 0;
	uint32_t checksum = ~sum(ip, (ip[0] & 15u) * 4);
	ip[10] = (uint8_t)(checksum >> 8);
	ip[11] = (uint8_t)checksum;
	return true;
}
