#include "wire/udp.h"

/*
 * The pseudo-header carries the datagram's own length (RFC 768), but the caller could only
 * count what IP brought. Subtracting is adding the complement.
 */
static uint64_t replace_len(uint64_t pseudo, size_t counted, uint16_t len)
{
	return pseudo + csum_finish(counted) + len;
}

enum tern_drop tern_udp_parse(struct reader *r, const struct csum_ops *csum, const uint64_t *pseudo,
	struct udp_header *out)
{
	size_t counted = reader_left(r);
	const uint8_t *p = reader_take(r, UDP_HEADER_LEN);
	if (!p)
		return TERN_DROP_UDP_MALFORMED;
	uint16_t len = load_be16(p + 4);
	if (len < UDP_HEADER_LEN || len > counted)
		return TERN_DROP_UDP_MALFORMED;
	*out = (struct udp_header){
		.src_port = load_be16(p),
		.dst_port = load_be16(p + 2),
		.len = len,
		.has_checksum = load_be16(p + 6) != 0,
	};
	if (pseudo && out->has_checksum) {
		uint64_t sum = replace_len(*pseudo, counted, len);
		if (csum_finish(csum_join(sum, 0, csum->sum(p, len))) != 0)
			return TERN_DROP_UDP_CHECKSUM;
	}
	r->end = p + len;
	return TERN_DROP_NONE;
}

void tern_udp_emit(struct writer *w, const struct udp_header *h, uint64_t pseudo, uint64_t data_sum)
{
	uint64_t header = (uint64_t)h->src_port + h->dst_port + h->len;
	uint16_t checksum = csum_finish(header + csum_fold(pseudo) + csum_fold(data_sum));
	write_u16(w, h->src_port);
	write_u16(w, h->dst_port);
	write_u16(w, h->len);
	write_u16(w, checksum ? checksum : 0xffff);
}
