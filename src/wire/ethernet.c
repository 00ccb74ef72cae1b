#include "wire/ethernet.h"

enum tern_drop tern_eth_parse(struct reader *r, struct eth_header *out)
{
	const uint8_t *p = reader_take(r, ETH_HEADER_LEN);
	if (!p)
		return TERN_DROP_ETH_SHORT;
	memcpy(out->dst.byte, p, 6);
	memcpy(out->src.byte, p + 6, 6);
	out->type = load_be16(p + 12);
	return TERN_DROP_NONE;
}

void tern_eth_emit(struct writer *w, const struct eth_header *h)
{
	write_bytes(w, h->dst.byte, 6);
	write_bytes(w, h->src.byte, 6);
	write_u16(w, h->type);
}
