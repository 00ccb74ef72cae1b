#include "host/segment.h"

#include <string.h>

#define ETHERNET_LEN   14
#define TCP_CSUM_FIELD 16
#define TCP_FIN        0x01
#define TCP_PSH        0x08
#define TCP_CWR        0x80

static uint32_t load_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void store_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t load_be32(const uint8_t *p)
{
	return load_be16(p) << 16 | load_be16(p + 2);
}

static void store_be32(uint8_t *p, uint32_t v)
{
	store_be16(p, v >> 16);
	store_be16(p + 2, v & 0xffff);
}

static uint32_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t sum_words(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += load_be16(p + i);
	return sum;
}

/* Whether an IPv4 header at offset ip leads to a TCP header and payload; fills in the offsets. */
static bool layout(struct tern_cut *cut, uint32_t ip)
{
	const struct tern_frame *f = cut->frame;
	const uint8_t *h = f->data + ip;
	if (f->len < ip + 40 || h[0] >> 4 != 4 || h[9] != 6 || load_be16(h + 2) != f->len - ip)
		return false;
	uint32_t ip_len = (h[0] & 15u) * 4;
	cut->ip = ip;
	cut->tcp = ip + ip_len;
	if (ip_len < 20 || f->len < cut->tcp + 20 || (f->csum_start && f->csum_start != cut->tcp))
		return false;
	cut->payload = cut->tcp + (f->data[cut->tcp + 12] >> 4) * 4u;
	return cut->payload >= cut->tcp + 20 && cut->payload < f->len;
}

/*
 * The frame does not say whether it has an Ethernet header. A bare packet passes for one only if
 * its source is 8.0.x.y and its addresses look like a header with a fitting length.
 */
bool tern_cut_begin(struct tern_cut *cut, const struct tern_frame *frame)
{
	*cut = (struct tern_cut){.frame = frame};
	if (frame->gso_size == 0)
		return false;
	if (frame->len > ETHERNET_LEN && load_be16(frame->data + 12) == 0x0800 &&
		layout(cut, ETHERNET_LEN))
		return true;
	return layout(cut, 0);
}

static uint32_t next_payload(const struct tern_cut *cut)
{
	uint32_t left = cut->frame->len - cut->payload - cut->at;
	return left < cut->frame->gso_size ? left : cut->frame->gso_size;
}

uint32_t tern_cut_next_len(const struct tern_cut *cut)
{
	uint32_t n = next_payload(cut);
	return n ? cut->payload + n : 0;
}

/* Total length and identification (one up per segment, as hardware does), and the checksum. */
static void patch_ip(const struct tern_cut *cut, struct tern_frame *out)
{
	uint8_t *ip = out->data + cut->ip;
	store_be16(ip + 2, out->len - cut->ip);
	store_be16(ip + 4, (load_be16(ip + 4) + cut->index) & 0xffff);
	store_be16(ip + 10, 0);
	store_be16(ip + 10, ~fold(sum_words(ip, cut->tcp - cut->ip)) & 0xffff);
}

/* FIN and PSH belong to the last segment, CWR to the first (RFC 3168 6.1.2). */
static void patch_tcp(const struct tern_cut *cut, struct tern_frame *out, bool last)
{
	uint8_t *tcp = out->data + cut->tcp;
	store_be32(tcp + 4, load_be32(tcp + 4) + cut->at);
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (cut->index)
		tcp[13] &= (uint8_t)~TCP_CWR;
	const uint8_t *ip = out->data + cut->ip;
	store_be16(tcp + TCP_CSUM_FIELD, fold(sum_words(ip + 12, 8) + 6 + out->len - cut->tcp));
	out->csum_start = (uint16_t)cut->tcp;
	out->csum_offset = TCP_CSUM_FIELD;
}

void tern_cut_next(struct tern_cut *cut, struct tern_frame *out)
{
	const struct tern_frame *f = cut->frame;
	uint32_t n = next_payload(cut);
	bool last = cut->payload + cut->at + n == f->len;
	memcpy(out->data, f->data, cut->payload);
	memcpy(out->data + cut->payload, f->data + cut->payload + cut->at, n);
	*out = (struct tern_frame){.data = out->data,
		.len = cut->payload + n,
		.capacity = out->capacity,
		.csum_valid = f->csum_valid};
	patch_ip(cut, out);
	patch_tcp(cut, out, last);
	if (f->csum_start == 0)
		tern_frame_finish_csum(out);
	cut->at += n;
	cut->index++;
}
