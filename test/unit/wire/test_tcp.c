#include "packets.h"
#include "wire/tcp.h"

#define IP_OF_REAL (ETH + 20) /* bytes before the TCP header */

static enum tern_drop parse(const uint8_t *data, size_t len, struct tcp_segment *s)
{
	struct reader r = reader(data, len);
	memset(s, 0xa5, sizeof *s); /* nothing may count on a zeroed struct */
	return tern_tcp_parse(&r, s);
}

/* Parses a segment made of a plain header with these flags and options, and no data. */
static enum tern_drop parse_options(uint16_t flags, const uint8_t *options, size_t len,
	struct tcp_segment *s)
{
	assert_int_equal(len % 4, 0);
	uint8_t p[TCP_HEADER_LEN_MAX] = {0};
	store_be16(p + 12, (uint16_t)((TCP_HEADER_LEN + len) / 4 << 12 | flags));
	memcpy(p + TCP_HEADER_LEN, options, len);
	struct bytes b = bytes_of(p, TCP_HEADER_LEN + len);
	enum tern_drop drop = parse(b.data, b.len, s);
	bytes_free(&b);
	return drop;
}

#define PARSE_OPTIONS(flags, s, ...)                                                               \
	parse_options(flags, (const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__}, s)

static void assert_options_equal(const struct tcp_options *a, const struct tcp_options *b)
{
	assert_int_equal(a->has, b->has);
	if (a->has & TCP_OPT_MSS)
		assert_int_equal(a->mss, b->mss);
	if (a->has & TCP_OPT_WSCALE)
		assert_int_equal(a->wscale, b->wscale);
	if (a->has & TCP_OPT_TIMESTAMP) {
		assert_int_equal(a->tsval, b->tsval);
		assert_int_equal(a->tsecr, b->tsecr);
	}
	if (a->has & TCP_OPT_USER_TIMEOUT)
		assert_int_equal(a->user_timeout, b->user_timeout);
	if (a->has & TCP_OPT_FASTOPEN) {
		assert_int_equal(a->fastopen_len, b->fastopen_len);
		assert_memory_equal(a->fastopen, b->fastopen, a->fastopen_len);
	}
	assert_int_equal(a->sack_count, b->sack_count);
	for (unsigned i = 0; i < a->sack_count; i++) {
		assert_true(seq_eq(a->sack[i].lo, b->sack[i].lo));
		assert_true(seq_eq(a->sack[i].hi, b->sack[i].hi));
	}
}

static void assert_segments_equal(const struct tcp_segment *a, const struct tcp_segment *b)
{
	assert_int_equal(a->src_port, b->src_port);
	assert_int_equal(a->dst_port, b->dst_port);
	assert_true(seq_eq(a->seq, b->seq));
	assert_true(seq_eq(a->ack, b->ack));
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->window, b->window);
	assert_int_equal(a->urgent, b->urgent);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->data_len, b->data_len);
	assert_options_equal(&a->options, &b->options);
}

static void random_syn_options(struct test_rand *c, struct tcp_options *o)
{
	o->has = (uint8_t)((uint8_t)test_rand_u32(c) & ~(TCP_OPT_UNKNOWN | TCP_OPT_SACK));
	o->mss = (uint16_t)test_rand_u32(c);
	o->wscale = (uint8_t)test_rand_u32(c) % (TCP_WSCALE_MAX + 1);
	unsigned pairs = (uint8_t)test_rand_u32(c) % 8; /* 0, or 4..16 */
	o->fastopen_len = (uint8_t)(pairs ? 2 * pairs + 2 : 0);
	test_rand_fill(c, o->fastopen, sizeof o->fastopen);
	if (o->has & TCP_OPT_FASTOPEN) /* with all the others a long cookie would not fit */
		o->has &= (uint8_t)~TCP_OPT_USER_TIMEOUT;
}

static void random_sack(struct test_rand *c, struct tcp_options *o, unsigned most)
{
	o->sack_count = (uint8_t)(1 + (uint8_t)test_rand_u32(c) % most);
	o->has |= TCP_OPT_SACK;
	for (unsigned i = 0; i < o->sack_count; i++) {
		o->sack[i].lo = seq(test_rand_u32(c));
		o->sack[i].hi = seq_add(o->sack[i].lo, 1 + test_rand_u32(c) % 0x7fffffff);
	}
}

static void random_segment(struct test_rand *c, struct tcp_segment *s)
{
	*s = (struct tcp_segment){.src_port = (uint16_t)test_rand_u32(c),
		.dst_port = (uint16_t)test_rand_u32(c),
		.seq = seq(test_rand_u32(c)),
		.ack = seq(test_rand_u32(c)),
		.flags = (uint16_t)test_rand_u32(c) & 0x1ff,
		.window = (uint16_t)test_rand_u32(c),
		.urgent = (uint16_t)test_rand_u32(c),
		.data_len = (uint8_t)test_rand_u32(c)};
	struct tcp_options *o = &s->options;
	o->tsval = test_rand_u32(c);
	o->tsecr = test_rand_u32(c);
	o->user_timeout = (uint16_t)test_rand_u32(c);
	if (s->flags & TCP_SYN)
		random_syn_options(c, o);
	else
		o->has = (uint8_t)test_rand_u32(c) & (TCP_OPT_TIMESTAMP | TCP_OPT_USER_TIMEOUT);
	if (!(s->flags & TCP_SYN) && (uint8_t)test_rand_u32(c) % 2)
		random_sack(c, o, o->has == (TCP_OPT_TIMESTAMP | TCP_OPT_USER_TIMEOUT) ? 2 : 3);
	s->len = s->data_len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}

/* MUST-4, MUST-69. */
static void a_segment_survives_emit_and_parse(void **state)
{
	(void)state;
	struct test_rand c = {7};
	for (int i = 0; i < 50000; i++) {
		struct tcp_segment in, out;
		random_segment(&c, &in);
		uint8_t buf[TCP_HEADER_LEN_MAX + 256];
		memset(buf, 0, sizeof buf);
		uint32_t header_len = tern_tcp_emit(buf, &in);
		assert_int_equal(header_len,
			TCP_HEADER_LEN + tern_tcp_options_len(&in.options, in.flags));
		struct bytes b = bytes_of(buf, header_len + in.data_len);
		assert_int_equal(parse(b.data, b.len, &out), TERN_DROP_NONE);
		assert_segments_equal(&in, &out);
		assert_ptr_equal(out.data, b.data + header_len);
		bytes_free(&b);
	}
}

static void segments_of_linux_are_read_and_written_alike(void **state)
{
	(void)state;
	const char *real[] = {REAL_SYN, REAL_DATA, REAL_UNFINISHED_TCP};
	for (size_t i = 0; i < 3; i++) {
		struct bytes b = bytes_hex(real[i], IP_OF_REAL);
		struct tcp_segment s;
		assert_int_equal(parse(b.data, b.len, &s), TERN_DROP_NONE);
		uint8_t buf[TCP_HEADER_LEN_MAX];
		uint32_t header_len = tern_tcp_emit(buf, &s);
		store_be16(b.data + 16, 0);
		assert_int_equal(header_len + s.data_len, b.len);
		assert_memory_equal(buf, b.data, header_len);
		bytes_free(&b);
	}
}

/* MUST-14. */
static void a_syn_of_linux_shows_its_options(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_SYN, IP_OF_REAL);
	struct tcp_segment s;
	assert_int_equal(parse(b.data, b.len, &s), TERN_DROP_NONE);
	assert_int_equal(s.flags, TCP_SYN);
	assert_int_equal(s.len, 1);
	assert_int_equal(s.data_len, 0);
	assert_int_equal(s.dst_port, 8080);
	assert_int_equal(s.options.has,
		TCP_OPT_MSS | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP | TCP_OPT_WSCALE);
	assert_int_equal(s.options.mss, 1460);
	assert_int_equal(s.options.wscale, 10);
	assert_int_equal(s.options.tsval, 0x665af0f6);
	bytes_free(&b);
}

static void data_of_linux_is_lent_from_the_frame(void **state)
{
	(void)state;
	struct bytes b = bytes_hex(REAL_DATA, IP_OF_REAL);
	struct tcp_segment s;
	assert_int_equal(parse(b.data, b.len, &s), TERN_DROP_NONE);
	assert_int_equal(s.flags, TCP_PSH | TCP_ACK);
	assert_int_equal(s.len, 9);
	assert_memory_equal(s.data, "GET / odd", 9);
	assert_ptr_equal(s.data, b.data + 32);
	bytes_free(&b);
}

static void every_truncated_header_is_refused_and_truncated_data_is_not(void **state)
{
	(void)state;
	const char *real[] = {REAL_SYN, REAL_DATA};
	const size_t header_len[] = {40, 32};
	for (size_t i = 0; i < 2; i++) {
		struct bytes whole = bytes_hex(real[i], IP_OF_REAL);
		for (size_t len = 0; len <= whole.len; len++) {
			struct bytes b = bytes_of(whole.data, len);
			struct tcp_segment s;
			bool fine = len >= header_len[i];
			assert_int_equal(parse(b.data, len, &s),
				fine ? TERN_DROP_NONE : TERN_DROP_TCP_SHORT);
			if (fine)
				assert_int_equal(s.data_len, len - header_len[i]);
			bytes_free(&b);
		}
		bytes_free(&whole);
	}
}

/* What a lone option at `at`, among NOPs in `room` bytes of options, must come to. */
static enum tern_drop expected_drop(size_t room, size_t at, unsigned kind, unsigned len)
{
	if (room == 0 || kind < 2)
		return TERN_DROP_NONE;
	if (at + 1 == room || len < 2 || at + len > room)
		return TERN_DROP_TCP_OPTIONS;
	return TERN_DROP_NONE;
}

static void sweep(uint8_t *segment, size_t header_len, size_t at)
{
	size_t room = header_len - TCP_HEADER_LEN;
	memset(segment + TCP_HEADER_LEN, 1, room);
	for (unsigned kind = 0; kind < 256; kind++) {
		if (kind == 1)
			continue; /* what follows a NOP is an option of its own */
		for (unsigned len = 0; len < 256; len++) {
			if (at < room)
				segment[TCP_HEADER_LEN + at] = (uint8_t)kind;
			if (at + 1 < room)
				segment[TCP_HEADER_LEN + at + 1] = (uint8_t)len;
			struct tcp_segment s;
			struct reader r = reader(segment, header_len);
			if (tern_tcp_parse(&r, &s) != expected_drop(room, at, kind, len))
				fail_msg("room %zu at %zu kind %u len %u", room, at, kind, len);
		}
	}
}

/* MUST-7, MUST-68. */
static void every_data_offset_kind_length_and_place_is_judged_without_reading_past_it(void **state)
{
	(void)state;
	for (unsigned words = 5; words < 16; words++) {
		struct bytes b = bytes_of((uint8_t[60]){0}, words * 4);
		for (size_t at = 0; at == 0 || at < b.len - TCP_HEADER_LEN; at++)
			for (unsigned syn = 0; syn < 2; syn++) {
				store_be16(b.data + 12,
					(uint16_t)(words << 12 | (syn ? TCP_SYN : TCP_ACK)));
				sweep(b.data, b.len, at);
			}
		bytes_free(&b);
	}
}

static void every_data_offset_is_held_against_every_length(void **state)
{
	(void)state;
	for (unsigned words = 0; words < 16; words++)
		for (size_t len = 0; len <= 64; len++) {
			uint8_t p[64] = {0};
			p[12] = (uint8_t)(words << 4);
			struct bytes b = bytes_of(p, len);
			struct tcp_segment s;
			enum tern_drop expected = TERN_DROP_NONE;
			if (len < TCP_HEADER_LEN)
				expected = TERN_DROP_TCP_SHORT;
			else if (words < 5)
				expected = TERN_DROP_TCP_HEADER_LEN;
			else if (len < words * 4)
				expected = TERN_DROP_TCP_SHORT;
			assert_int_equal(parse(b.data, len, &s), expected);
			bytes_free(&b);
		}
}

/* MUST-7. */
static void an_option_of_length_zero_or_one_ends_the_segment(void **state)
{
	(void)state;
	struct tcp_segment s;
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 8, 0, 1, 1), TERN_DROP_TCP_OPTIONS);
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 77, 1, 1, 1), TERN_DROP_TCP_OPTIONS);
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 1, 1, 1, 77), TERN_DROP_TCP_OPTIONS);
}

/* MUST-4. */
static void nothing_after_the_end_option_is_looked_at(void **state)
{
	(void)state;
	struct tcp_segment s;
	assert_int_equal(PARSE_OPTIONS(TCP_SYN, &s, 1, 0, 2, 4, 5, 0xb4, 9, 0), TERN_DROP_NONE);
	assert_int_equal(s.options.has, 0);
}

static void all_nine_flags_are_read_and_reserved_bits_are_not(void **state)
{
	(void)state;
	for (unsigned low = 0; low < 0x1000; low++) {
		uint8_t p[TCP_HEADER_LEN] = {0};
		store_be16(p + 12, (uint16_t)(5 << 12 | low));
		struct tcp_segment s;
		assert_int_equal(parse(p, sizeof p, &s), TERN_DROP_NONE);
		assert_int_equal(s.flags, low & 0x1ff);
		assert_int_equal(s.len, !!(low & TCP_SYN) + !!(low & TCP_FIN));
		assert_int_equal(s.options.has, 0);
		assert_int_equal(s.options.sack_count, 0);
	}
}

/* MUST-64. */
static void timestamps_read_the_same_wherever_they_stand(void **state)
{
	(void)state;
	struct tcp_segment quick, walked;
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &quick, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), 0);
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &walked, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1), 0);
	assert_int_equal(quick.options.has, TCP_OPT_TIMESTAMP);
	assert_int_equal(quick.options.tsval, 0x01020304);
	assert_int_equal(quick.options.tsecr, 0x05060708);
	assert_options_equal(&quick.options, &walked.options);
}

static void options_of_the_handshake_count_only_with_syn(void **state)
{
	(void)state;
	const uint8_t options[] = {2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 34, 6, 1, 2, 3, 4, 0};
	struct tcp_segment s;
	assert_int_equal(parse_options(TCP_SYN, options, sizeof options, &s), TERN_DROP_NONE);
	assert_int_equal(s.options.has,
		TCP_OPT_MSS | TCP_OPT_SACK_OK | TCP_OPT_WSCALE | TCP_OPT_FASTOPEN);
	assert_int_equal(parse_options(TCP_ACK, options, sizeof options, &s), TERN_DROP_NONE);
	assert_int_equal(s.options.has, 0);
}

static void a_window_scale_above_14_is_read_as_14(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 256; shift++) {
		struct tcp_segment s;
		assert_int_equal(PARSE_OPTIONS(TCP_SYN, &s, 1, 3, 3, (uint8_t)shift),
			TERN_DROP_NONE);
		assert_int_equal(s.options.wscale, shift < 14 ? shift : 14);
	}
}

/* The lengths, kind and length bytes included, at which each option is read. */
static bool is_right_len(unsigned kind, unsigned len)
{
	switch (kind) {
	case 2:
	case 28:
		return len == 4;
	case 3:
		return len == 3;
	case 4:
		return len == 2;
	case 5:
		return len == 10 || len == 18 || len == 26 || len == 34;
	case 8:
		return len == 10;
	default:
		return len == 2 || len == 6 || len == 8 || len == 10 || len == 12 || len == 14 ||
		       len == 16 || len == 18;
	}
}

static void a_known_kind_with_a_wrong_length_is_skipped_as_unknown(void **state)
{
	(void)state;
	const struct {
		uint8_t kind, bit;
	} known[] = {{2, TCP_OPT_MSS}, {3, TCP_OPT_WSCALE}, {4, TCP_OPT_SACK_OK}, {5, TCP_OPT_SACK},
		{8, TCP_OPT_TIMESTAMP}, {34, TCP_OPT_FASTOPEN}, {28, TCP_OPT_USER_TIMEOUT}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		for (unsigned len = 2; len <= 40; len++) {
			uint8_t options[40];
			for (uint8_t at = 0; at < 40; at++)
				options[at] = at < len ? at : 1; /* SACK blocks ascend */
			options[0] = known[i].kind;
			options[1] = (uint8_t)len;
			struct tcp_segment s;
			assert_int_equal(parse_options(TCP_SYN, options, 40, &s), TERN_DROP_NONE);
			bool right = is_right_len(known[i].kind, len);
			assert_int_equal(s.options.has, right ? known[i].bit : TCP_OPT_UNKNOWN);
		}
}

/* MUST-6. */
static void an_unknown_option_is_skipped_and_told_of(void **state)
{
	(void)state;
	struct tcp_segment s;
	assert_int_equal(PARSE_OPTIONS(TCP_SYN, &s, 253, 4, 9, 9, 2, 4, 5, 0xb4), TERN_DROP_NONE);
	assert_int_equal(s.options.has, TCP_OPT_UNKNOWN | TCP_OPT_MSS);
	assert_int_equal(s.options.mss, 1460);
}

static void of_a_repeated_option_the_last_wins(void **state)
{
	(void)state;
	struct tcp_segment s;
	assert_int_equal(PARSE_OPTIONS(TCP_SYN, &s, 2, 4, 0, 1, 2, 4, 0, 2), TERN_DROP_NONE);
	assert_int_equal(s.options.mss, 2);
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0,
				 5, 0, 0, 0, 9),
		TERN_DROP_NONE);
	assert_int_equal(s.options.sack_count, 1);
	assert_int_equal(s.options.sack[0].lo.v, 5);
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0,
				 5, 0, 0, 0, 5),
		TERN_DROP_NONE);
	assert_int_equal(s.options.sack_count, 0);
	assert_int_equal(s.options.has, 0);
}

static void every_count_of_sack_blocks_is_read(void **state)
{
	(void)state;
	for (unsigned count = 1; count <= 4; count++) {
		uint8_t options[40];
		memset(options, 1, sizeof options);
		options[2] = 5;
		options[3] = (uint8_t)(2 + 8 * count);
		for (unsigned i = 0; i < count; i++) {
			store_be32(options + 4 + 8 * i, 100 * i);
			store_be32(options + 8 + 8 * i, 100 * i + 50);
		}
		struct tcp_segment s;
		assert_int_equal(parse_options(TCP_ACK, options, 4 + 8 * count, &s),
			TERN_DROP_NONE);
		assert_int_equal(s.options.has, TCP_OPT_SACK);
		assert_int_equal(s.options.sack_count, count);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(s.options.sack[i].lo.v, 100 * i);
			assert_int_equal(s.options.sack[i].hi.v, 100 * i + 50);
		}
	}
}

static void every_count_of_sack_blocks_is_written_as_far_as_it_fits(void **state)
{
	(void)state;
	for (unsigned has = 0; has < 4; has++)
		for (uint8_t count = 0; count <= 4; count++) {
			struct tcp_segment in = {.flags = TCP_ACK}, out;
			struct test_rand c = {8};
			random_sack(&c, &in.options, 1);
			for (unsigned i = 0; i < 4; i++)
				in.options.sack[i] = (struct tcp_sack_block){seq(i), seq(i + 10)};
			in.options.sack_count = count;
			unsigned used = (has & 1 ? 12u : 0) + (has & 2 ? 4u : 0);
			in.options.has |= (uint8_t)((has & 1 ? TCP_OPT_TIMESTAMP : 0) |
						    (has & 2 ? TCP_OPT_USER_TIMEOUT : 0));
			unsigned fit = (40 - used - 4) / 8;
			unsigned expected = count < fit ? count : fit;

			uint8_t buf[TCP_HEADER_LEN_MAX];
			uint32_t len = tern_tcp_emit(buf, &in);
			assert_int_equal(len, 20 + used + (expected ? 4 + 8 * expected : 0));
			assert_int_equal(parse(buf, len, &out), TERN_DROP_NONE);
			assert_int_equal(out.options.sack_count, expected);
		}
}

static void a_sack_block_that_is_empty_or_turned_round_is_left_out(void **state)
{
	(void)state;
	struct tcp_segment s;
	assert_int_equal(PARSE_OPTIONS(TCP_ACK, &s, 1, 1, 5, 26,        /* three blocks */
				 0, 0, 0, 7, 0, 0, 0, 7,                /* empty */
				 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0x10, /* across the wrap */
				 0, 0, 0, 9, 0, 0, 0, 8),               /* backwards */
		TERN_DROP_NONE);
	assert_int_equal(s.options.sack_count, 1);
	assert_int_equal(s.options.sack[0].lo.v, 0xfffffff0);
	assert_int_equal(s.options.sack[0].hi.v, 0x10);
}

static void a_cookie_request_and_every_cookie_length_survive(void **state)
{
	(void)state;
	for (uint8_t len = 0; len <= 16; len = (uint8_t)(len ? len + 2 : 4)) {
		struct tcp_segment in = {.flags = TCP_SYN}, out;
		in.len = 1;
		in.options.has = TCP_OPT_FASTOPEN | TCP_OPT_MSS | TCP_OPT_TIMESTAMP |
				 TCP_OPT_SACK_OK | TCP_OPT_WSCALE;
		in.options.fastopen_len = len;
		memset(in.options.fastopen, 0xc0 + len, len);
		uint8_t buf[TCP_HEADER_LEN_MAX];
		uint32_t header_len = tern_tcp_emit(buf, &in);
		assert_int_equal(parse(buf, header_len, &out), TERN_DROP_NONE);
		assert_segments_equal(&in, &out);
	}
}

static void options_that_do_not_go_with_the_flags_are_not_written(void **state)
{
	(void)state;
	struct tcp_options o = {.has = 0xff, .sack_count = 3};
	o.has &= (uint8_t)~TCP_OPT_FASTOPEN;
	/* MSS 4, SACK-permitted and timestamps 12, window scale 4, user timeout 4 */
	assert_int_equal(tern_tcp_options_len(&o, TCP_SYN), 24);
	/* timestamps 12, user timeout 4, two SACK blocks 20 */
	assert_int_equal(tern_tcp_options_len(&o, TCP_ACK), 36);
	/* Beside timestamps it would take the place of padding. */
	o.has = TCP_OPT_SACK_OK;
	assert_int_equal(tern_tcp_options_len(&o, TCP_ACK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_survives_emit_and_parse),
		cmocka_unit_test(segments_of_linux_are_read_and_written_alike),
		cmocka_unit_test(a_syn_of_linux_shows_its_options),
		cmocka_unit_test(data_of_linux_is_lent_from_the_frame),
		cmocka_unit_test(every_truncated_header_is_refused_and_truncated_data_is_not),
		cmocka_unit_test(
			every_data_offset_kind_length_and_place_is_judged_without_reading_past_it),
		cmocka_unit_test(every_data_offset_is_held_against_every_length),
		cmocka_unit_test(an_option_of_length_zero_or_one_ends_the_segment),
		cmocka_unit_test(nothing_after_the_end_option_is_looked_at),
		cmocka_unit_test(all_nine_flags_are_read_and_reserved_bits_are_not),
		cmocka_unit_test(timestamps_read_the_same_wherever_they_stand),
		cmocka_unit_test(options_of_the_handshake_count_only_with_syn),
		cmocka_unit_test(a_window_scale_above_14_is_read_as_14),
		cmocka_unit_test(a_known_kind_with_a_wrong_length_is_skipped_as_unknown),
		cmocka_unit_test(an_unknown_option_is_skipped_and_told_of),
		cmocka_unit_test(of_a_repeated_option_the_last_wins),
		cmocka_unit_test(every_count_of_sack_blocks_is_read),
		cmocka_unit_test(every_count_of_sack_blocks_is_written_as_far_as_it_fits),
		cmocka_unit_test(a_sack_block_that_is_empty_or_turned_round_is_left_out),
		cmocka_unit_test(a_cookie_request_and_every_cookie_length_survive),
		cmocka_unit_test(options_that_do_not_go_with_the_flags_are_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
