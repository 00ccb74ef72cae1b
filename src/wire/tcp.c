#include <assert.h>

#include "wire/tcp.h"

enum option_kind {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_OK = 4,
	KIND_SACK = 5,
	KIND_TIMESTAMP = 8,
	KIND_USER_TIMEOUT = 28,
	KIND_FASTOPEN = 34,
};

#define FLAGS_ALL (TCP_AE | 0xff)

#define SENT_WITH_SYN                                                                              \
	(TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP | TCP_OPT_FASTOPEN |   \
		TCP_OPT_USER_TIMEOUT)
#define SENT_WITHOUT_SYN (TCP_OPT_TIMESTAMP | TCP_OPT_USER_TIMEOUT | TCP_OPT_SACK)

/* "NOP NOP timestamps", as four bytes: what nearly every segment of a connection begins with. */
#define NOP_NOP_TIMESTAMP 0x0101080au
#define ALIGNED_TIMESTAMP 12

/* Whether an option whose value takes n bytes is one we read; any other is skipped. */
static bool is_known(uint8_t kind, size_t n)
{
	switch (kind) {
	case KIND_MSS:
	case KIND_USER_TIMEOUT:
		return n == 2;
	case KIND_WSCALE:
		return n == 1;
	case KIND_SACK_OK:
		return n == 0;
	case KIND_SACK:
		return n > 0 && n % 8 == 0 && n / 8 <= TCP_SACK_BLOCKS_MAX;
	case KIND_TIMESTAMP:
		return n == 8;
	case KIND_FASTOPEN: /* RFC 7413 4.1.1 */
		return n == 0 || (n >= 4 && n <= 16 && n % 2 == 0);
	default:
		return false;
	}
}

static void store_timestamp(struct tcp_options *o, const uint8_t *value)
{
	o->has |= TCP_OPT_TIMESTAMP;
	o->tsval = load_be32(value);
	o->tsecr = load_be32(value + 4);
}

/* The last SACK option wins whole, also when none of its blocks is sound. */
static void store_sack(struct tcp_options *o, const uint8_t *value, size_t n)
{
	uint8_t count = 0;
	for (size_t i = 0; i < n; i += 8) {
		struct tcp_sack_block b = {seq(load_be32(value + i)),
			seq(load_be32(value + i + 4))};
		if (seq_lt(b.lo, b.hi))
			o->sack[count++] = b;
	}
	o->sack_count = count;
	o->has = (uint8_t)(count > 0 ? o->has | TCP_OPT_SACK : o->has & ~TCP_OPT_SACK);
}

static void store_syn_option(struct tcp_options *o, uint8_t kind, const uint8_t *value, size_t n)
{
	switch (kind) {
	case KIND_MSS:
		o->has |= TCP_OPT_MSS;
		o->mss = load_be16(value);
		break;
	case KIND_WSCALE:
		o->has |= TCP_OPT_WSCALE;
		o->wscale = value[0] < TCP_WSCALE_MAX ? value[0] : TCP_WSCALE_MAX;
		break;
	case KIND_SACK_OK:
		o->has |= TCP_OPT_SACK_OK;
		break;
	case KIND_FASTOPEN:
		o->has |= TCP_OPT_FASTOPEN;
		o->fastopen_len = (uint8_t)n;
		memcpy(o->fastopen, value, n);
		break;
	}
}

/* value has n bytes, as is_known() wants them. */
static void store_option(struct tcp_options *o, uint8_t kind, const uint8_t *value, size_t n,
	bool syn)
{
	switch (kind) {
	case KIND_TIMESTAMP:
		store_timestamp(o, value);
		break;
	case KIND_SACK:
		store_sack(o, value, n);
		break;
	case KIND_USER_TIMEOUT:
		o->has |= TCP_OPT_USER_TIMEOUT;
		o->user_timeout = load_be16(value);
		break;
	default:
		if (syn)
			store_syn_option(o, kind, value, n);
		break;
	}
}

/* Every turn takes at least one byte of r, so this ends after at most 40. */
static enum tern_drop parse_options(struct reader *r, bool syn, struct tcp_options *o)
{
	while (reader_left(r) > 0) {
		uint8_t kind = reader_u8(r);
		if (kind == KIND_END)
			break;
		if (kind == KIND_NOP)
			continue;
		uint8_t len = reader_u8(r);
		if (len < 2)
			return TERN_DROP_TCP_OPTIONS;
		size_t n = len - 2u;
		const uint8_t *value = reader_take(r, n);
		if (!value)
			return TERN_DROP_TCP_OPTIONS;
		if (is_known(kind, n))
			store_option(o, kind, value, n, syn);
		else
			o->has |= TCP_OPT_UNKNOWN;
	}
	return TERN_DROP_NONE;
}

static void load_header(const uint8_t *p, struct tcp_segment *out)
{
	out->src_port = load_be16(p);
	out->dst_port = load_be16(p + 2);
	out->seq = seq(load_be32(p + 4));
	out->ack = seq(load_be32(p + 8));
	out->flags = load_be16(p + 12) & FLAGS_ALL;
	out->window = load_be16(p + 14);
	out->urgent = load_be16(p + 18);
	out->options.has = 0;
	out->options.sack_count = 0;
}

enum tern_drop tern_tcp_parse(struct reader *r, struct tcp_segment *out)
{
	const uint8_t *p = reader_take(r, TCP_HEADER_LEN);
	if (!p)
		return TERN_DROP_TCP_SHORT;
	size_t header_len = (size_t)(p[12] >> 4) * 4;
	if (header_len < TCP_HEADER_LEN)
		return TERN_DROP_TCP_HEADER_LEN;
	size_t options_len = header_len - TCP_HEADER_LEN;
	const uint8_t *options = reader_take(r, options_len);
	if (!options)
		return TERN_DROP_TCP_SHORT;

	load_header(p, out);
	if (options_len == ALIGNED_TIMESTAMP && load_be32(options) == NOP_NOP_TIMESTAMP) {
		store_timestamp(&out->options, options + 4);
	} else if (options_len > 0) {
		struct reader walk = reader(options, options_len);
		enum tern_drop drop = parse_options(&walk, out->flags & TCP_SYN, &out->options);
		if (drop)
			return drop;
	}

	out->data_len = (uint32_t)reader_left(r);
	out->data = reader_take(r, out->data_len);
	out->len = out->data_len + !!(out->flags & TCP_SYN) + !!(out->flags & TCP_FIN);
	return TERN_DROP_NONE;
}

static unsigned sendable(const struct tcp_options *o, uint16_t flags)
{
	return o->has & (flags & TCP_SYN ? SENT_WITH_SYN : SENT_WITHOUT_SYN);
}

/* A fast open option with the NOPs behind it. */
static uint32_t fastopen_room(const struct tcp_options *o)
{
	return (2u + o->fastopen_len + 3u) & ~3u;
}

/* Bytes of everything but SACK, which takes what is left. */
static uint32_t fixed_len(const struct tcp_options *o, unsigned has)
{
	uint32_t n = 0;
	if (has & TCP_OPT_MSS)
		n += 4;
	if (has & TCP_OPT_TIMESTAMP)
		n += ALIGNED_TIMESTAMP; /* SACK-permitted takes the place of the NOPs */
	else if (has & TCP_OPT_SACK_OK)
		n += 4;
	if (has & TCP_OPT_WSCALE)
		n += 4;
	if (has & TCP_OPT_USER_TIMEOUT)
		n += 4;
	if (has & TCP_OPT_FASTOPEN)
		n += fastopen_room(o);
	assert(n <= TCP_OPTIONS_LEN_MAX);
	return n;
}

static uint32_t sack_fitting(const struct tcp_options *o, unsigned has, uint32_t used)
{
	uint32_t room = TCP_OPTIONS_LEN_MAX - used;
	if (!(has & TCP_OPT_SACK) || room < 4)
		return 0;
	uint32_t fit = (room - 4) / 8;
	return o->sack_count < fit ? o->sack_count : fit;
}

uint32_t tern_tcp_options_len(const struct tcp_options *o, uint16_t flags)
{
	unsigned has = sendable(o, flags);
	uint32_t fixed = fixed_len(o, has);
	uint32_t blocks = sack_fitting(o, has, fixed);
	return fixed + (blocks ? 4 + 8 * blocks : 0);
}

static void write_option(struct writer *w, enum option_kind kind, uint8_t len)
{
	write_u8(w, (uint8_t)kind);
	write_u8(w, len);
}

static void write_nops(struct writer *w, unsigned n)
{
	while (n-- > 0)
		write_u8(w, KIND_NOP);
}

static void emit_fastopen(struct writer *w, const struct tcp_options *o)
{
	uint8_t len = (uint8_t)(2 + o->fastopen_len);
	write_option(w, KIND_FASTOPEN, len);
	write_bytes(w, o->fastopen, o->fastopen_len);
	write_nops(w, fastopen_room(o) - len);
}

static void emit_sack(struct writer *w, const struct tcp_options *o, uint32_t blocks)
{
	write_nops(w, 2);
	write_option(w, KIND_SACK, (uint8_t)(2 + 8 * blocks));
	for (uint32_t i = 0; i < blocks; i++) {
		write_u32(w, o->sack[i].lo.v);
		write_u32(w, o->sack[i].hi.v);
	}
}

static void emit_timestamp_and_sack_ok(struct writer *w, const struct tcp_options *o, unsigned has)
{
	if (has & TCP_OPT_SACK_OK) {
		if (!(has & TCP_OPT_TIMESTAMP))
			write_nops(w, 2);
		write_option(w, KIND_SACK_OK, 2);
	}
	if (has & TCP_OPT_TIMESTAMP) {
		if (!(has & TCP_OPT_SACK_OK))
			write_nops(w, 2);
		write_option(w, KIND_TIMESTAMP, 10);
		write_u32(w, o->tsval);
		write_u32(w, o->tsecr);
	}
}

static void emit_options(struct writer *w, const struct tcp_options *o, unsigned has)
{
	if (has & TCP_OPT_MSS) {
		write_option(w, KIND_MSS, 4);
		write_u16(w, o->mss);
	}
	emit_timestamp_and_sack_ok(w, o, has);
	if (has & TCP_OPT_WSCALE) {
		write_nops(w, 1);
		write_option(w, KIND_WSCALE, 3);
		write_u8(w, o->wscale);
	}
	if (has & TCP_OPT_USER_TIMEOUT) {
		write_option(w, KIND_USER_TIMEOUT, 4);
		write_u16(w, o->user_timeout);
	}
	if (has & TCP_OPT_FASTOPEN)
		emit_fastopen(w, o);
	uint32_t blocks = sack_fitting(o, has, fixed_len(o, has));
	if (blocks > 0)
		emit_sack(w, o, blocks);
}

uint32_t tern_tcp_emit(uint8_t *buf, const struct tcp_segment *s)
{
	uint32_t header_len = TCP_HEADER_LEN + tern_tcp_options_len(&s->options, s->flags);
	struct writer w = {buf};
	write_u16(&w, s->src_port);
	write_u16(&w, s->dst_port);
	write_u32(&w, s->seq.v);
	write_u32(&w, s->ack.v);
	write_u16(&w, (uint16_t)(header_len / 4 << 12 | (s->flags & FLAGS_ALL)));
	write_u16(&w, s->window);
	write_u16(&w, 0);
	write_u16(&w, s->urgent);
	emit_options(&w, &s->options, sendable(&s->options, s->flags));
	assert(w.at == buf + header_len);
	return header_len;
}
