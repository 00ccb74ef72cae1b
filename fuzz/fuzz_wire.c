/*
 * Feeds the input to every parser of src/wire, each over a copy without a byte to spare, and
 * sends what parsed through its emitter and back: parse(emit(x)) must be x.
 *
 *	clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc fuzz/fuzz_wire.c ...
 */
#include <stdlib.h>

#include "base/csum.h"
#include "wire/arp.h"
#include "wire/icmpv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static bool same_sack(const struct tcp_options *a, const struct tcp_options *b)
{
	for (unsigned i = 0; i < b->sack_count; i++)
		if (!seq_eq(a->sack[i].lo, b->sack[i].lo) || !seq_eq(a->sack[i].hi, b->sack[i].hi))
			return false;
	return true;
}

/* b is what came back of a; blocks that did not fit may be missing. */
static bool same_options(const struct tcp_options *a, const struct tcp_options *b)
{
	uint8_t has = a->has;
	if ((has & TCP_OPT_MSS && a->mss != b->mss) ||
		(has & TCP_OPT_WSCALE && a->wscale != b->wscale) ||
		(has & TCP_OPT_USER_TIMEOUT && a->user_timeout != b->user_timeout))
		return false;
	if (has & TCP_OPT_TIMESTAMP && (a->tsval != b->tsval || a->tsecr != b->tsecr))
		return false;
	if (has & TCP_OPT_FASTOPEN &&
		(a->fastopen_len != b->fastopen_len ||
			memcmp(a->fastopen, b->fastopen, a->fastopen_len) != 0))
		return false;
	return has == b->has && same_sack(a, b);
}

/* Leaves out what the emitter does not write, or could not fit beside the rest. */
static void keep_what_is_written(struct tcp_segment *s)
{
	struct tcp_options *o = &s->options;
	o->has &= (uint8_t)~TCP_OPT_UNKNOWN;
	if (s->flags & TCP_SYN) {
		o->has &= (uint8_t)~TCP_OPT_SACK;
		o->sack_count = 0;
	}
	if (o->has & TCP_OPT_FASTOPEN && o->fastopen_len > 12)
		o->has &= (uint8_t)~TCP_OPT_USER_TIMEOUT;
}

static void try_tcp(const uint8_t *data, size_t size)
{
	struct reader r = reader(data, size);
	struct tcp_segment a, b;
	if (tern_tcp_parse(&r, &a) != TERN_DROP_NONE)
		return;
	CHECK(a.data_len <= size && (a.data_len == 0 || a.data + a.data_len == data + size));
	keep_what_is_written(&a);

	uint8_t header[TCP_HEADER_LEN_MAX];
	uint32_t len = tern_tcp_emit(header, &a);
	CHECK(len <= sizeof header);
	uint8_t *again = malloc(len + a.data_len);
	CHECK(again);
	memcpy(again, header, len);
	memcpy(again + len, a.data, a.data_len);
	r = reader(again, len + a.data_len);
	CHECK(tern_tcp_parse(&r, &b) == TERN_DROP_NONE);
	CHECK(a.src_port == b.src_port && a.dst_port == b.dst_port);
	CHECK(seq_eq(a.seq, b.seq) && seq_eq(a.ack, b.ack));
	CHECK(a.flags == b.flags && a.window == b.window && a.urgent == b.urgent);
	CHECK(a.len == b.len && a.data_len == b.data_len);
	CHECK(same_options(&a.options, &b.options));
	unsigned written = (len - TCP_HEADER_LEN) / 8; /* at most this many blocks */
	CHECK(a.options.sack_count == b.options.sack_count ||
		(a.options.sack_count > b.options.sack_count && written >= 4));
	free(again);
}

static void try_link(const uint8_t *data, size_t size)
{
	struct reader r = reader(data, size);
	struct eth_header h;
	struct arp_packet p;
	uint8_t again[ARP_LEN];
	struct writer w = {again};
	if (tern_eth_parse(&r, &h) == TERN_DROP_NONE) {
		tern_eth_emit(&w, &h);
		CHECK(memcmp(again, data, ETH_HEADER_LEN) == 0);
	}
	r = reader(data, size);
	w.at = again;
	if (tern_arp_parse(&r, &p) == TERN_DROP_NONE) {
		tern_arp_emit(&w, &p);
		CHECK(memcmp(again, data, ARP_LEN) == 0);
	}
}

/* The input cannot guess checksums: with this one every sum is right. */
static uint32_t all_ones(const void *data, size_t len)
{
	const uint8_t *p = data;
	volatile uint8_t touched = 0;
	for (size_t i = 0; i < len; i++)
		touched = p[i];
	(void)touched;
	return 0xffff;
}

static uint32_t copy_all_ones(void *restrict dst, const void *restrict src, size_t len)
{
	memcpy(dst, src, len);
	return all_ones(src, len);
}

static const struct csum_ops lenient = {"lenient", all_ones, copy_all_ones};

static void try_ipv4(const uint8_t *data, size_t size, const struct csum_ops *csum)
{
	struct reader r = reader(data, size);
	struct ipv4_header a, b;
	if (tern_ipv4_parse(&r, csum, &a) != TERN_DROP_NONE)
		return;
	CHECK(r.at == data + a.header_len && r.end == data + a.total_len);
	uint8_t *again = malloc(size);
	CHECK(again);
	struct writer w = {again};
	memcpy(again, data, size);
	tern_ipv4_emit(&w, &a);
	r = reader(again, size);
	CHECK(tern_ipv4_parse(&r, tern_csum_portable(), &b) == TERN_DROP_NONE);
	CHECK(memcmp(&a.src, &b.src, sizeof a.src) == 0);
	CHECK(memcmp(&a.dst, &b.dst, sizeof a.dst) == 0);
	CHECK(a.tos == b.tos && a.ttl == b.ttl && a.protocol == b.protocol && a.id == b.id);
	CHECK(a.total_len == b.total_len && a.fragment_offset == b.fragment_offset);
	CHECK(a.dont_fragment == b.dont_fragment && a.more_fragments == b.more_fragments);
	free(again);
}

static void try_icmp(const uint8_t *data, size_t size, const struct csum_ops *csum)
{
	struct reader r = reader(data, size);
	struct icmpv4_message a, b;
	if (tern_icmpv4_parse(&r, csum, &a) != TERN_DROP_NONE)
		return;
	struct ipv4_header h;
	if (tern_icmpv4_quoted(&a, &h, &r) == TERN_DROP_NONE)
		CHECK(r.at >= a.body && r.at <= r.end && r.end <= a.body + a.body_len);
	uint8_t *again = malloc(size);
	CHECK(again);
	struct writer w = {again};
	tern_icmpv4_emit(&w, tern_csum_portable(), &a);
	CHECK(w.at == again + size);
	r = reader(again, size);
	CHECK(tern_icmpv4_parse(&r, tern_csum_portable(), &b) == TERN_DROP_NONE);
	CHECK(a.type == b.type && a.code == b.code && a.body_len == b.body_len);
	CHECK(a.id == b.id && a.sequence == b.sequence && a.mtu == b.mtu);
	CHECK(memcmp(a.body, b.body, a.body_len) == 0);
	free(again);
}

static void try_udp(const uint8_t *data, size_t size)
{
	struct reader r = reader(data, size);
	struct udp_header a, b;
	if (tern_udp_parse(&r, tern_csum_portable(), NULL, &a) != TERN_DROP_NONE)
		return;
	CHECK(r.at == data + UDP_HEADER_LEN && r.end == data + a.len);
	uint8_t *again = malloc(a.len);
	CHECK(again);
	memcpy(again, data, a.len);
	struct writer w = {again};
	uint64_t pseudo = size ^ 0x1234;
	pseudo += a.len;
	tern_udp_emit(&w, &a, pseudo, tern_csum_portable()->sum(r.at, reader_left(&r)));
	r = reader(again, a.len);
	CHECK(tern_udp_parse(&r, tern_csum_portable(), &pseudo, &b) == TERN_DROP_NONE);
	CHECK(a.src_port == b.src_port && a.dst_port == b.dst_port && a.len == b.len);
	CHECK(b.has_checksum);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	CHECK(data);
	if (size > 0)
		memcpy(data, input, size);
	try_link(data, size);
	try_ipv4(data, size, tern_csum_portable());
	try_ipv4(data, size, &lenient);
	try_icmp(data, size, tern_csum_portable());
	try_icmp(data, size, &lenient);
	try_udp(data, size);
	try_tcp(data, size);
	free(data);
	return 0;
}
