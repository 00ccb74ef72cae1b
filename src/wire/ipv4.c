#include "wire/addr.h"
#include "wire/ipv4.h"

#define FLAG_DF     0x4000
#define FLAG_MF     0x2000
#define OFFSET_MASK 0x1fff

enum option_type {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_LOOSE_ROUTE = 131,
	OPTION_STRICT_ROUTE = 137,
	OPTION_ROUTER_ALERT = 148,
};

/* Every turn takes at least one byte of the options, so this ends after at most 40. */
static enum tern_drop parse_options(const uint8_t *options, size_t len, struct ipv4_header *out)
{
	struct reader r = reader(options, len);
	while (reader_left(&r) > 0) {
		uint8_t type = reader_u8(&r);
		if (type == OPTION_END)
			break;
		if (type == OPTION_NOP)
			continue;
		uint8_t option_len = reader_u8(&r);
		if (option_len < 2 || !reader_take(&r, option_len - 2u))
			return TERN_DROP_IP_OPTIONS;
		/* RFC 7126 4.3, 4.4: source routes are refused. */
		if (type == OPTION_LOOSE_ROUTE || type == OPTION_STRICT_ROUTE)
			return TERN_DROP_IP_OPTIONS;
		if (type == OPTION_ROUTER_ALERT && option_len == 4)
			out->router_alert = true;
	}
	return TERN_DROP_NONE;
}

static void load_header(const uint8_t *p, struct ipv4_header *out)
{
	uint16_t fragment = load_be16(p + 6);
	*out = (struct ipv4_header){
		.src = load_addr_v4(p + 12),
		.dst = load_addr_v4(p + 16),
		.tos = p[1],
		.ttl = p[8],
		.protocol = p[9],
		.header_len = (uint8_t)((p[0] & 15) * 4),
		.total_len = load_be16(p + 2),
		.id = load_be16(p + 4),
		.fragment_offset = (uint16_t)((fragment & OFFSET_MASK) * 8),
		.dont_fragment = fragment & FLAG_DF,
		.more_fragments = fragment & FLAG_MF,
	};
}

/* Takes the header, options included, and returns where it begins. */
static enum tern_drop take_header(struct reader *r, const uint8_t **start, struct ipv4_header *out)
{
	const uint8_t *p = reader_take(r, IPV4_HEADER_LEN);
	if (!p)
		return TERN_DROP_IP_SHORT;
	if (p[0] >> 4 != 4)
		return TERN_DROP_IP_VERSION;
	size_t header_len = (size_t)(p[0] & 15) * 4;
	if (header_len < IPV4_HEADER_LEN)
		return TERN_DROP_IP_HEADER_LEN;
	if (!reader_take(r, header_len - IPV4_HEADER_LEN))
		return TERN_DROP_IP_SHORT;
	load_header(p, out);
	if (out->total_len < header_len)
		return TERN_DROP_IP_TOTAL_LEN;
	*start = p;
	return TERN_DROP_NONE;
}

/* Of a header without options. */
static uint64_t sum_plain(const uint8_t *p)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < IPV4_HEADER_LEN; i += 4)
		sum += load_be32(p + i);
	return sum;
}

enum tern_drop tern_ipv4_parse(struct reader *r, const struct csum_ops *csum,
	struct ipv4_header *out)
{
	const uint8_t *p;
	enum tern_drop drop = take_header(r, &p, out);
	if (drop)
		return drop;
	size_t payload = (size_t)out->total_len - out->header_len;
	if (payload > reader_left(r))
		return TERN_DROP_IP_TOTAL_LEN;
	/* The field's own value included, a good header sums to all ones. */
	uint64_t sum =
		out->header_len == IPV4_HEADER_LEN ? sum_plain(p) : csum->sum(p, out->header_len);
	if (csum_finish(sum) != 0)
		return TERN_DROP_IP_CHECKSUM;
	if (out->header_len > IPV4_HEADER_LEN) {
		drop = parse_options(p + IPV4_HEADER_LEN, (size_t)out->header_len - IPV4_HEADER_LEN,
			out);
		if (drop)
			return drop;
	}
	r->end = r->at + payload;
	return TERN_DROP_NONE;
}

enum tern_drop tern_ipv4_parse_quoted(struct reader *r, struct ipv4_header *out)
{
	const uint8_t *p;
	enum tern_drop drop = take_header(r, &p, out);
	if (drop)
		return drop;
	size_t payload = (size_t)out->total_len - out->header_len;
	if (payload < reader_left(r))
		r->end = r->at + payload;
	return TERN_DROP_NONE;
}

static uint16_t fragment_field(const struct ipv4_header *h)
{
	unsigned f = (h->fragment_offset / 8u) & OFFSET_MASK;
	if (h->dont_fragment)
		f |= FLAG_DF;
	if (h->more_fragments)
		f |= FLAG_MF;
	return (uint16_t)f;
}

void tern_ipv4_emit(struct writer *w, const struct ipv4_header *h)
{
	uint8_t *start = w->at;
	write_u8(w, 4 << 4 | IPV4_HEADER_LEN / 4);
	write_u8(w, h->tos);
	write_u16(w, h->total_len);
	write_u16(w, h->id);
	write_u16(w, fragment_field(h));
	write_u8(w, h->ttl);
	write_u8(w, h->protocol);
	write_u16(w, 0);
	write_addr_v4(w, &h->src);
	write_addr_v4(w, &h->dst);

	store_be16(start + 10, csum_finish(sum_plain(start)));
}

/*
 * Both families at once: the ::ffff: that a mapped address carries adds 0xffff, which is zero
 * in ones' complement arithmetic; so is counting 32-bit words instead of 16-bit ones.
 */
uint64_t tern_pseudo_sum(const struct tern_addr *src, const struct tern_addr *dst, uint8_t protocol,
	uint32_t len)
{
	uint64_t sum = (uint64_t)protocol + len;
	for (size_t i = 0; i < sizeof src->byte; i += 4)
		sum += (uint64_t)load_be32(src->byte + i) + load_be32(dst->byte + i);
	return sum;
}
