#include "test/unit/support.h"

#include "host/segment.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

#define ETH     14
#define PAYLOAD 10000

/* A TSO frame as a stack hands it over: checksum unfinished, length in the pseudo-header's sum. */
struct big {
	uint8_t data[ETH + 60 + 60 + PAYLOAD];
	struct tern_frame frame;
	uint32_t link, header_len;
	const uint8_t *payload;
};

static const struct ipv4_header ip_like = {.ttl = 64,
	.protocol = IPPROTO_TCP_NUM,
	.id = 0xfffe,
	.tos = 2,
	.dont_fragment = true};

static void build(struct big *b, uint32_t link, uint32_t payload, uint16_t flags, uint16_t gso_size)
{
	struct test_rand rand = {payload};
	struct tcp_segment s = {.src_port = 80,
		.dst_port = 40000,
		.seq = seq(0xfffff000),
		.ack = seq(77),
		.flags = flags,
		.window = 500};
	struct ipv4_header ip = ip_like;
	s.options.has = TCP_OPT_TIMESTAMP;
	s.options.tsval = 0x01020304;
	memset(b, 0, sizeof *b);
	b->link = link;
	if (link) {
		memcpy(b->data, "\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0", ETH);
	}
	uint32_t tcp_len = tern_tcp_emit(b->data + link + IPV4_HEADER_LEN, &s);
	ip.src = tern_addr_v4(10, 77, 0, 1);
	ip.dst = tern_addr_v4(10, 77, 0, 2);
	ip.total_len = (uint16_t)(IPV4_HEADER_LEN + tcp_len + payload);
	struct writer w = {b->data + link};
	tern_ipv4_emit(&w, &ip);
	b->header_len = link + IPV4_HEADER_LEN + tcp_len;
	test_rand_fill(&rand, b->data + b->header_len, payload);
	b->payload = b->data + b->header_len;
	uint8_t *check = b->data + link + IPV4_HEADER_LEN + 16;
	store_be16(check,
		csum_fold(tern_pseudo_sum(&ip.src, &ip.dst, IPPROTO_TCP_NUM, tcp_len + payload)));
	b->frame = (struct tern_frame){.data = b->data,
		.len = b->header_len + payload,
		.csum_start = (uint16_t)(link + IPV4_HEADER_LEN),
		.csum_offset = 16,
		.gso_size = gso_size,
		.header_len = (uint16_t)b->header_len,
		.csum_valid = true};
}

static void check_segment(const struct big *b, struct tern_frame *f, uint32_t at, uint32_t index,
	uint16_t flags)
{
	struct reader r = reader(f->data + b->link, f->len - b->link);
	struct ipv4_header ip;
	struct tcp_segment s;
	assert_memory_equal(f->data, b->data, b->link);
	assert_true(tern_frame_finish_csum(f));
	assert_int_equal(tern_ipv4_parse(&r, tern_csum_portable(), &ip), TERN_DROP_NONE);
	assert_int_equal(ip.id, (uint16_t)(ip_like.id + index));
	assert_int_equal(ip.tos, ip_like.tos);
	assert_true(ip.dont_fragment);
	uint32_t len = (uint32_t)reader_left(&r);
	uint64_t sum = tern_pseudo_sum(&ip.src, &ip.dst, ip.protocol, len);
	assert_int_equal(csum_finish(sum + tern_csum_portable()->sum(r.at, len)), 0);
	assert_int_equal(tern_tcp_parse(&r, &s), TERN_DROP_NONE);
	assert_int_equal(s.seq.v, (uint32_t)(0xfffff000 + at)); /* wraps on the way */
	assert_int_equal(s.flags, flags);
	assert_int_equal(s.options.tsval, 0x01020304);
	assert_memory_equal(s.data, b->payload + at, s.data_len);
}

/* Cuts b and checks all; returns how many segments. */
static uint32_t cut_all(struct big *b, uint16_t first, uint16_t middle, uint16_t last)
{
	uint8_t data[2048];
	struct tern_cut cut;
	uint32_t at = 0, index = 0, n;
	uint32_t payload = b->frame.len - b->header_len;
	assert_true(tern_cut_begin(&cut, &b->frame));
	while ((n = tern_cut_next_len(&cut)) != 0) {
		struct tern_frame f = {.data = data, .capacity = sizeof data};
		tern_cut_next(&cut, &f);
		assert_int_equal(f.len, n);
		assert_int_equal(f.gso_size, 0);
		assert_true(f.csum_valid);
		uint32_t took = n - b->header_len;
		assert_true(took == b->frame.gso_size || at + took == payload);
		check_segment(b, &f, at, index,
			at + took == payload ? last
			: index              ? middle
					     : first);
		at += took;
		index++;
	}
	assert_int_equal(at, payload);
	return index;
}

static struct big big;

static void a_frame_is_cut_into_whole_valid_segments(void **state)
{
	(void)state;
	build(&big, ETH, 10000, TCP_ACK, 1448);
	assert_int_equal(cut_all(&big, TCP_ACK, TCP_ACK, TCP_ACK), 7);
}

static void an_exact_multiple_leaves_no_empty_segment(void **state)
{
	(void)state;
	build(&big, ETH, 4 * 1448, TCP_ACK, 1448);
	assert_int_equal(cut_all(&big, TCP_ACK, TCP_ACK, TCP_ACK), 4);
}

static void fin_and_push_go_with_the_last_and_cwr_with_the_first(void **state)
{
	(void)state;
	build(&big, ETH, 5000, TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR | TCP_ECE, 1000);
	cut_all(&big, TCP_ACK | TCP_CWR | TCP_ECE, TCP_ACK | TCP_ECE,
		TCP_ACK | TCP_ECE | TCP_PSH | TCP_FIN);
}

static void a_frame_of_one_segment_comes_out_as_it_was(void **state)
{
	(void)state;
	build(&big, ETH, 700, TCP_ACK | TCP_PSH, 1448);
	uint16_t all = TCP_ACK | TCP_PSH;
	assert_int_equal(cut_all(&big, all, all, all), 1);
}

static void bare_ip_packets_are_cut_too(void **state)
{
	(void)state;
	build(&big, 0, 10000, TCP_ACK, 1000);
	assert_int_equal(cut_all(&big, TCP_ACK, TCP_ACK, TCP_ACK), 10);
}

static void a_finished_checksum_stays_finished_and_right(void **state)
{
	(void)state;
	uint8_t data[2048];
	struct tern_cut cut;
	struct tern_frame f = {.data = data, .capacity = sizeof data};
	build(&big, ETH, 3000, TCP_ACK, 1000);
	assert_true(tern_frame_finish_csum(&big.frame));
	assert_true(tern_cut_begin(&cut, &big.frame));
	tern_cut_next(&cut, &f);
	assert_int_equal(f.csum_start, 0);
	check_segment(&big, &f, 0, 0, TCP_ACK);
}

static void what_is_no_tso_frame_is_not_cut(void **state)
{
	(void)state;
	struct tern_cut cut;
	build(&big, ETH, 3000, TCP_ACK, 0);
	assert_false(tern_cut_begin(&cut, &big.frame));
	for (uint32_t len = 0; len <= big.header_len;
		len++) { /* no prefix of it reads out of bounds */
		uint8_t *exact = malloc(len ? len : 1);
		memcpy(exact, big.data, len);
		struct tern_frame f = {.data = exact, .len = len, .gso_size = 1000};
		assert_false(tern_cut_begin(&cut, &f));
		free(exact);
	}
	static const uint32_t spoil[] = {ETH, ETH + 9, ETH + 2, ETH + IPV4_HEADER_LEN + 12};
	for (size_t i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
		build(&big, ETH, 3000, TCP_ACK, 1000);
		big.data[spoil[i]] = 0;
		assert_false(tern_cut_begin(&cut, &big.frame));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_cut_into_whole_valid_segments),
		cmocka_unit_test(an_exact_multiple_leaves_no_empty_segment),
		cmocka_unit_test(fin_and_push_go_with_the_last_and_cwr_with_the_first),
		cmocka_unit_test(a_frame_of_one_segment_comes_out_as_it_was),
		cmocka_unit_test(bare_ip_packets_are_cut_too),
		cmocka_unit_test(a_finished_checksum_stays_finished_and_right),
		cmocka_unit_test(what_is_no_tso_frame_is_not_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
