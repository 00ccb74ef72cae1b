#include "wire/icmpv4.h"

static bool is_echo(uint8_t type)
{
	return type == ICMP_ECHO_REQUEST || type == ICMP_ECHO_REPLY;
}

static bool has_mtu(uint8_t type, uint8_t code)
{
	return type == ICMP_UNREACHABLE && code == ICMP_CODE_FRAG_NEEDED;
}

enum tern_drop tern_icmpv4_parse(struct reader *r, const struct csum_ops *csum,
	struct icmpv4_message *out)
{
	size_t len = reader_left(r);
	const uint8_t *p = reader_take(r, ICMP_HEADER_LEN);
	if (!p)
		return TERN_DROP_ICMP_MALFORMED;
	if (csum_finish(csum->sum(p, len)) != 0)
		return TERN_DROP_ICMP_CHECKSUM;
	*out = (struct icmpv4_message){.type = p[0], .code = p[1]};
	if (is_echo(out->type)) {
		out->id = load_be16(p + 4);
		out->sequence = load_be16(p + 6);
	} else if (has_mtu(out->type, out->code)) {
		out->mtu = load_be16(p + 6); /* RFC 1191 4 */
	}
	out->body_len = (uint32_t)reader_left(r);
	out->body = reader_take(r, out->body_len);
	return TERN_DROP_NONE;
}

void tern_icmpv4_emit(struct writer *w, const struct csum_ops *csum, const struct icmpv4_message *m)
{
	uint8_t *start = w->at;
	write_u8(w, m->type);
	write_u8(w, m->code);
	write_u16(w, 0);
	write_u16(w, is_echo(m->type) ? m->id : 0);
	if (is_echo(m->type))
		write_u16(w, m->sequence);
	else
		write_u16(w, has_mtu(m->type, m->code) ? m->mtu : 0);

	uint64_t sum = csum->sum(start, ICMP_HEADER_LEN);
	if (m->body_len > 0)
		sum = csum_join(sum, ICMP_HEADER_LEN, csum->copy(w->at, m->body, m->body_len));
	w->at += m->body_len;
	store_be16(start + 2, csum_finish(sum));
}

enum tern_drop tern_icmpv4_quoted(const struct icmpv4_message *m, struct ipv4_header *out,
	struct reader *transport)
{
	*transport = reader(m->body, m->body_len);
	if (tern_ipv4_parse_quoted(transport, out) != TERN_DROP_NONE)
		return TERN_DROP_ICMP_MALFORMED;
	return TERN_DROP_NONE;
}
