/*
 * Drives a whole stack: the input is a list of actions, each a byte that names it and what it
 * takes. Strangers' segments are aimed at live connections (the stack's own blocks are looked
 * into), so that they get past the checks that keep strangers out; checksums are right. What comes
 * out is parsed, and text both ways is a function of its sequence number. After each action
 * the stack checks itself; in the end all memory is back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>
#include "transport/tcp/tcp.h"
#include "wire/addr.h"
#include "wire/arp.h"
#include "wire/icmpv4.h"
#include "wire/udp.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define MS      UINT64_C(1000000)
#define SEC     (1000 * MS)
#define HOUR    (3600 * SEC)
#define CONNS   8
#define ACTIONS 200
#define PULLS   64

struct input {
	const uint8_t *at, *end;
};

struct game {
	struct input in;
	struct tern_stack *stack;
	struct tcp *tcp;
	uint64_t now;
	size_t held;
	uint64_t asked, refuse_from, refuse_to;
	int tun, tap;
	struct mac tap_mac;
	uint8_t *frame[TERN_NIF_MAX];
	size_t room[TERN_NIF_MAX];
	struct tern_conn conn[CONNS]; /* some stale */
	struct tern_listener listener[2];
	struct tern_udp udp[2];
	uint16_t next_port;
	uint8_t packet[66000];
	uint8_t tos; /* of the next */
};

static uint8_t u8(struct game *g)
{
	return g->in.at < g->in.end ? *g->in.at++ : 0;
}

static uint16_t u16(struct game *g)
{
	uint16_t high = u8(g);
	return (uint16_t)(high << 8 | u8(g));
}

static uint32_t u32(struct game *g)
{
	uint32_t high = u16(g);
	return high << 16 | u16(g);
}

static bool done(const struct game *g)
{
	return g->in.at == g->in.end;
}

/* --- memory: counted, and refused on demand ------------------------------------------- */

static void *take(void *context, size_t size, size_t align)
{
	struct game *g = context;
	void *block;
	g->asked++;
	if (g->asked >= g->refuse_from && g->asked < g->refuse_to)
		return NULL;
	CHECK(posix_memalign(&block, align < sizeof block ? sizeof block : align, size) == 0);
	memset(block, 0xa5, size);
	g->held += size;
	return block;
}

static void give(void *context, void *block, size_t size)
{
	struct game *g = context;
	if (!block)
		return;
	CHECK(g->held >= size);
	g->held -= size;
	free(block);
}

/* --- text that tells where it belongs ---------------------------------------------------- */

static uint8_t text_at(uint32_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

static void fill_text(uint8_t *to, uint32_t offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = text_at(offset + (uint32_t)i);
}

static void check_text(const uint8_t *text, uint32_t offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK(text[i] == text_at(offset + (uint32_t)i));
}

/* --- frames out ------------------------------------------------------------------------- */

/* RFC 3168: only new text is marked as capable, and says CWR; the SYN's CWR is an offer. */
static void check_ecn(const struct ipv4_header *h, const struct tcp_segment *s)
{
	if (h->tos & 3)
		CHECK(s->data_len > 0 && (h->tos & 3) == 2);
	if (s->flags & TCP_CWR)
		CHECK(s->flags & TCP_SYN || s->data_len > 0);
}

/* The window's edge is rcv.adv, as near as its scale can say. */
static void check_window(const struct tcb *tcb, const struct tcp_segment *s)
{
	tern_seq edge = seq_add(s->ack, (uint32_t)s->window << tcb->rcv_wscale);
	CHECK(seq_leq(edge, tcb->rcv.adv));
	if (s->window != UINT16_MAX)
		CHECK(seq_diff(tcb->rcv.adv, edge) < 1u << tcb->rcv_wscale);
}

static void check_segment(struct game *g, const struct ipv4_header *h, struct reader r,
	const struct tern_frame *f)
{
	struct tcp_segment s;
	uint64_t sum =
		tern_pseudo_sum(&h->src, &h->dst, IPPROTO_TCP_NUM, (uint32_t)reader_left(&r));
	if (!f->csum_start)
		CHECK(csum_fold(sum + tern_csum_portable()->sum(r.at, reader_left(&r))) == 0xffff);
	CHECK(tern_tcp_parse(&r, &s) == TERN_DROP_NONE);
	if (f->gso_size)
		CHECK(s.data_len > f->gso_size && f->gso_size > 0);
	struct tcp_pair pair = tern_pair(g->tcp, &h->src, s.src_port, &h->dst, s.dst_port);
	const struct tcb *tcb = tern_demux_find(g->tcp, &pair);
	if (tcb)
		check_text(s.data, s.seq.v - tcb->snd.iss.v, s.data_len);
	check_ecn(h, &s);
	if (!tcb || !tcb_in(tcb, SYNCHRONIZED) || s.flags & (TCP_RST | TCP_SYN))
		return;
	/* A reply that waited in the link's queue may be of a connection that was there before. */
	if (seq_lt(s.seq, tcb->snd.iss) || seq_gt(s.seq, tcb->snd.nxt) ||
		seq_lt(s.ack, tcb->rcv.irs) || seq_gt(s.ack, tcb->rcv.nxt))
		return;
	CHECK(h->tos >> 2 == tcb->dscp);
	check_window(tcb, &s);
}

static void send_frame(struct game *g, int nif, uint32_t len);

static void answer_arp(struct game *g, struct reader r)
{
	struct arp_packet a, b;
	CHECK(tern_arp_parse(&r, &a) == TERN_DROP_NONE);
	if (a.op != ARP_REQUEST || a.target.byte[15] > 200 || addr_same(&a.sender, &a.target))
		return;
	b = (struct arp_packet){ARP_REPLY, {{2, 0, 0, 0, 0, a.target.byte[15]}}, a.sender_mac,
		a.target, a.sender};
	struct eth_header eth = {g->tap_mac, b.sender_mac, ETHERTYPE_ARP};
	struct writer w = {g->packet};
	tern_eth_emit(&w, &eth);
	tern_arp_emit(&w, &b);
	send_frame(g, g->tap, ETH_HEADER_LEN + ARP_LEN);
}

static void check_frame(struct game *g, int nif, const struct tern_frame *f, bool answer)
{
	struct reader r = reader(f->data, f->len);
	struct ipv4_header h;
	struct tern_nif_opts opts;
	CHECK(f->len <= g->room[nif]);
	CHECK(tern_nif_info(g->stack, nif, &opts) == 0);
	if (!opts.raw_ip) {
		struct eth_header eth;
		CHECK(tern_eth_parse(&r, &eth) == TERN_DROP_NONE);
		if (eth.type == ETHERTYPE_ARP) {
			if (answer)
				answer_arp(g, r);
			return;
		}
	}
	CHECK(f->gso_size || reader_left(&r) <= opts.mtu);
	CHECK(tern_ipv4_parse(&r, tern_csum_portable(), &h) == TERN_DROP_NONE);
	if (h.protocol == IPPROTO_TCP_NUM)
		check_segment(g, &h, r, f);
}

static unsigned pull(struct game *g, unsigned most, bool answer)
{
	unsigned n = 0;
	for (int nif = 1; nif <= g->tap; nif++)
		for (unsigned i = 0; i < most; i++, n++) {
			struct tern_frame f = {.data = g->frame[nif],
				.capacity = (uint32_t)g->room[nif]};
			if (tern_output(g->stack, nif, &f, 1, g->now) == 0)
				break;
			check_frame(g, nif, &f, answer);
		}
	return n;
}

/* --- frames in ---------------------------------------------------------------------------- */

/* From an allocation of its own: reads beyond are seen. */
static void send_frame(struct game *g, int nif, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	CHECK(copy);
	memcpy(copy, g->packet, len);
	struct tern_frame f = {.data = copy, .len = len};
	tern_input(g->stack, nif, &f, 1, g->now);
	free(copy);
}

/* Puts the headers of a packet in front and sends it; cut says which fragment of it. */
struct cut {
	uint16_t id;
	uint32_t from;
	bool more;
};

static void send_ip(struct game *g, const struct tern_addr *src, const struct tern_addr *dst,
	uint8_t protocol, const uint8_t *data, uint32_t len, struct cut cut)
{
	bool tap = dst->byte[13] == 1;
	struct ipv4_header h = {
		.src = *src,
		.dst = *dst,
		.ttl = 64,
		.tos = g->tos,
		.protocol = protocol,
		.id = cut.id,
		.fragment_offset = (uint16_t)(cut.from & 0xfff8),
		.more_fragments = cut.more,
		.header_len = IPV4_HEADER_LEN,
		.total_len = (uint16_t)(IPV4_HEADER_LEN + len),
	};
	struct writer w = {g->packet};
	if (tap) {
		struct eth_header eth = {g->tap_mac, {{2, 0, 0, 0, 0, src->byte[15]}},
			ETHERTYPE_IPV4};
		tern_eth_emit(&w, &eth);
	}
	tern_ipv4_emit(&w, &h);
	if (len)
		memmove(w.at, data, len);
	send_frame(g, tap ? g->tap : g->tun, (uint32_t)(w.at - g->packet) + len);
}

/* Whole, or in pieces that may overlap, be missing or come in any order. */
static void send_datagram(struct game *g, const struct tern_addr *src, const struct tern_addr *dst,
	uint8_t protocol, const uint8_t *data, uint32_t len)
{
	uint8_t how = u8(g);
	struct cut cut = {.id = how};
	if ((how & 7) != 7) {
		send_ip(g, src, dst, protocol, data, len, cut);
		return;
	}
	uint32_t step = 8u * (1 + u8(g));
	if (len / step > 64)
		step = (len / 64 + 8) & ~7u;
	for (uint32_t i = 0; i * step < len; i++) {
		uint8_t twist = i < 8 ? u8(g) : 0;
		uint32_t from = i * step, n = len - from < step ? len - from : step;
		cut.from = from + (twist & 1 ? 8 : 0);
		cut.more = from + n < len || twist & 2;
		if (!(twist & 4))
			send_ip(g, src, dst, protocol, data + from, n, cut);
	}
}

static struct tern_addr own(bool tap)
{
	return tern_addr_v4(10, tap, 0, 1);
}

static struct tern_addr stranger(bool tap, uint8_t k)
{
	return tern_addr_v4(10, tap, 0, (uint8_t)(2 + k % 6));
}

/* Sends s with its text and checksum. */
static void send_segment(struct game *g, const struct tern_addr *src, const struct tern_addr *dst,
	const struct tcp_segment *s, uint32_t text_from)
{
	static uint8_t bytes[66000];
	uint32_t len = tern_tcp_emit(bytes, s);
	fill_text(bytes + len, text_from, s->data_len);
	len += s->data_len;
	uint64_t sum = tern_pseudo_sum(src, dst, IPPROTO_TCP_NUM, len);
	store_be16(bytes + 16, csum_finish(sum + tern_csum_portable()->sum(bytes, len)));
	send_datagram(g, src, dst, IPPROTO_TCP_NUM, bytes, len);
}

static const struct tcb *pick(struct game *g)
{
	uint32_t slot = 0, skip = u8(g) & 15;
	const struct tcb *tcb = tern_pool_next(&g->tcp->tcbs, &slot), *first = tcb;
	for (; tcb && skip; skip--) {
		slot++;
		tcb = tern_pool_next(&g->tcp->tcbs, &slot);
	}
	return tcb ? tcb : first;
}

static void syn_options(struct game *g, struct tcp_options *o)
{
	o->has = u8(g) & (TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK | TCP_OPT_TIMESTAMP);
	o->mss = (o->has & TCP_OPT_MSS) ? u16(g) : 0;
	o->wscale = u8(g) % 15;
	o->tsval = (uint32_t)(g->now / MS);
}

static void act_syn(struct game *g)
{
	uint8_t how = u8(g);
	struct tern_addr src = stranger(how & 1, how >> 1 & 3), dst = own(how & 1);
	struct tcp_segment s = {
		.src_port = how & 8 ? (uint16_t)(1000 + u8(g) % 8) : g->next_port++,
		.dst_port = how & 16 ? 81 : 80,
		.seq = seq(how & 32 ? 0xffffff00u : u32(g)),
		.flags = TCP_SYN | (u8(g) & 1 ? TCP_ECE | TCP_CWR : 0),
		.window = how & 64 ? u16(g) : 65535,
	};
	syn_options(g, &s.options);
	send_segment(g, &src, &dst, &s, 0);
}

/* A number near one that matters. */
static uint32_t near(struct game *g, const struct tcb *tcb, uint32_t usual)
{
	uint8_t how = u8(g);
	switch (how & 15) {
	case 8:
		return usual + 1;
	case 9:
		return usual - 1;
	case 10:
		return usual + u8(g);
	case 11:
		return usual + u16(g);
	case 12:
		return tcb->rcv.adv.v - (how >> 4);
	case 13:
		return usual - u16(g);
	case 14:
		return usual + 0x80000000u - (how >> 4);
	case 15:
		return u32(g);
	default:
		return usual;
	}
}

static uint32_t text_len(struct game *g)
{
	static const uint16_t usual[] = {0, 0, 0, 1, 8, 536, 1448, 4096, 20000};
	uint8_t how = u8(g);
	return how < 16 ? usual[how % 9] : how < 240 ? how : u16(g) % 60000;
}

/* Whole segments, as peers have them, in flight or acknowledged long ago; or anything. */
static struct tcp_sack_block some_block(struct game *g, const struct tcb *tcb)
{
	uint8_t how = u8(g);
	uint32_t mss = tern_tcb_effective_mss(tcb), len = mss * (1 + (how >> 2 & 3));
	tern_seq lo = seq_add(tcb->snd.una, mss * (how >> 4));
	if (how & 1) {
		lo = seq_add(tcb->snd.una, u16(g));
		len = u16(g);
	} else if (how & 2) {
		lo = seq_sub(tcb->snd.una, mss * (how >> 6));
	}
	return (struct tcp_sack_block){lo, seq_add(lo, len)};
}

static void segment_options(struct game *g, const struct tcb *tcb, struct tcp_options *o)
{
	uint8_t how = u8(g);
	if (tcb->flags & TCB_TIMESTAMPS && how != 255) {
		o->has |= TCP_OPT_TIMESTAMP;
		o->tsval = tcb->ts_recent + (how & 1) - (how == 254 ? 1000 : 0);
		o->tsecr = tern_timestamp_now(g->tcp, tcb) - (how & 64 ? u16(g) : how & 6);
	}
	if (!(how & 8))
		return;
	o->has |= TCP_OPT_SACK;
	o->sack_count = 1 + (how >> 4) % 3;
	for (unsigned i = 0; i < o->sack_count; i++)
		o->sack[i] = some_block(g, tcb);
}

/* The path's marks, and the peer's word of ours. */
static uint16_t ecn_flags(struct game *g)
{
	uint8_t how = u8(g);
	g->tos = how >> 2;
	return (uint16_t)((how & 1 ? TCP_ECE : 0) | (how & 2 ? TCP_CWR : 0));
}

static void act_segment(struct game *g)
{
	static const uint16_t flags[] = {TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK,
		TCP_ACK, TCP_ACK | TCP_FIN, TCP_RST, TCP_RST | TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK,
		TCP_ACK | TCP_URG, TCP_FIN, 0, TCP_SYN | TCP_FIN | TCP_ACK, TCP_ACK | TCP_FIN};
	static const uint16_t windows[] = {65535, 65535, 65535, 0, 1, 100, 2000, 65535};
	const struct tcb *tcb = pick(g);
	if (!tcb) {
		act_syn(g);
		return;
	}
	struct tcp_segment s = {.src_port = tcb->remote_port, .dst_port = tcb->local_port};
	uint8_t how = u8(g);
	s.flags = flags[how & 15] | ecn_flags(g);
	s.window = windows[how >> 4 & 7];
	s.urgent = s.flags & TCP_URG ? u16(g) : 0;
	bool syn_sent = tcb->state == TERN_TCP_SYN_SENT;
	s.seq = seq(near(g, tcb, syn_sent ? 7 : tcb->rcv.nxt.v));
	s.ack = seq(near(g, tcb, how & 128 ? tcb->snd.una.v + 1 : tcb->snd.nxt.v));
	s.data_len = text_len(g);
	if (s.flags & TCP_SYN)
		syn_options(g, &s.options);
	else
		segment_options(g, tcb, &s.options);
	uint32_t irs = syn_sent ? s.seq.v : tcb->rcv.irs.v;
	uint32_t from = s.seq.v - irs + (s.flags & TCP_SYN ? 1 : 0);
	struct tern_addr src = tcb->path->dst, dst = tcb->path->src;
	if (!tcb->path->loopback)
		send_segment(g, &src, &dst, &s, from);
}

/* The third segment of a handshake. */
static void complete(struct game *g)
{
	uint32_t place = 0;
	const struct syn *e = tern_syncache_next(g->tcp, &place);
	if (!e)
		return;
	struct tern_addr src = e->remote, dst = e->local;
	struct tcp_segment s = {
		.src_port = e->remote_port,
		.dst_port = e->local_port,
		.seq = seq_add(e->irs, 1),
		.ack = seq_add(e->iss, 1),
		.flags = TCP_ACK,
		.window = u16(g),
		.data_len = text_len(g),
	};
	if (e->timestamps)
		s.options = (struct tcp_options){.has = TCP_OPT_TIMESTAMP, .tsval = e->ts_recent};
	send_segment(g, &src, &dst, &s, 1);
}

/* What a peer that behaves would say now. */
static void act_acknowledge(struct game *g)
{
	const struct tcb *tcb = pick(g);
	if (!tcb || !(u8(g) & 3)) {
		complete(g);
		return;
	}
	if (tcb->path->loopback)
		return;
	struct tcp_segment s = {
		.src_port = tcb->remote_port,
		.dst_port = tcb->local_port,
		.seq = tcb->rcv.nxt,
		.ack = u8(g) & 1 ? seq_add(tcb->snd.una, tcb_flight(tcb) / 2) : tcb->snd.nxt,
		.flags = TCP_ACK | ecn_flags(g),
		.window = 65535,
	};
	if (tcb->state == TERN_TCP_SYN_SENT)
		s.flags = TCP_SYN | TCP_ACK | (s.flags & TCP_ECE);
	if (tcb->flags & TCB_TIMESTAMPS)
		s.options = (struct tcp_options){.has = TCP_OPT_TIMESTAMP,
			.tsval = tcb->ts_recent,
			.tsecr = tern_timestamp_now(g->tcp, tcb)};
	struct tern_addr src = tcb->path->dst, dst = tcb->path->src;
	send_segment(g, &src, &dst, &s, 0);
}

static void act_icmp(struct game *g)
{
	const struct tcb *tcb = pick(g);
	uint8_t body[64] = {0}, bytes[80], how = u8(g);
	struct icmpv4_message m = {.type = how & 1 ? ICMP_UNREACHABLE : u8(g) % 20,
		.code = u8(g) % 17,
		.body = body,
		.body_len = sizeof body};
	struct tern_addr src = stranger(how & 2, how >> 2), dst = own(how & 2);
	if (m.type == ICMP_UNREACHABLE && m.code == ICMP_CODE_FRAG_NEEDED)
		m.mtu = u16(g);
	struct writer q = {body}, w = {bytes};
	struct ipv4_header h = {.src = tcb ? tcb->path->src : dst,
		.dst = tcb ? tcb->path->dst : src,
		.protocol = how & 16 ? IPPROTO_UDP_NUM : IPPROTO_TCP_NUM,
		.ttl = 1,
		.header_len = IPV4_HEADER_LEN,
		.total_len = 1500};
	tern_ipv4_emit(&q, &h);
	write_u16(&q, tcb && !(how & 16) ? tcb->local_port : 53);
	write_u16(&q, tcb && !(how & 16) ? tcb->remote_port : 54);
	write_u32(&q, tcb ? near(g, tcb, tcb->snd.una.v) : 0);
	tern_icmpv4_emit(&w, tern_csum_portable(), &m);
	dst = h.src; /* the connection may be gone by the second fragment */
	send_datagram(g, &src, &dst, IPPROTO_ICMP_NUM, bytes, (uint32_t)(w.at - bytes));
}

static void act_udp_in(struct game *g)
{
	static uint8_t bytes[66000];
	uint8_t how = u8(g);
	uint32_t len = text_len(g);
	struct tern_addr src = stranger(how & 1, how >> 1 & 7), dst = own(how & 1);
	struct udp_header h = {.src_port = 54,
		.dst_port = how & 64 ? 9 : 53,
		.len = (uint16_t)(UDP_HEADER_LEN + len)};
	struct writer w = {bytes};
	fill_text(bytes + UDP_HEADER_LEN, 0, len);
	tern_udp_emit(&w, &h, tern_pseudo_sum(&src, &dst, IPPROTO_UDP_NUM, h.len),
		tern_csum_portable()->sum(bytes + UDP_HEADER_LEN, len));
	send_datagram(g, &src, &dst, IPPROTO_UDP_NUM, bytes, h.len);
}

static void act_arp(struct game *g)
{
	uint8_t how = u8(g);
	struct arp_packet a = {
		.op = how & 1 ? ARP_REPLY : ARP_REQUEST,
		.sender_mac = {{2, 0, 0, 0, how & 2, u8(g)}},
		.sender = tern_addr_v4(10, 1, 0, u8(g)),
		.target = how & 4 ? tern_addr_v4(10, 1, 0, u8(g)) : own(true),
	};
	struct eth_header eth = {g->tap_mac, a.sender_mac, ETHERTYPE_ARP};
	if (how & 8)
		memset(eth.dst.byte, 0xff, 6);
	struct writer w = {g->packet};
	tern_eth_emit(&w, &eth);
	tern_arp_emit(&w, &a);
	send_frame(g, g->tap, ETH_HEADER_LEN + ARP_LEN);
}

/* Bytes as they come. */
static void act_noise(struct game *g)
{
	uint8_t len = u8(g);
	for (unsigned i = 0; i < len; i++)
		g->packet[i] = u8(g);
	send_frame(g, len & 1 ? g->tun : g->tap, len);
}

/* --- the application -------------------------------------------------------------------- */

static struct tern_conn *slot_of(struct game *g, uint8_t how)
{
	return &g->conn[how % CONNS];
}

static void act_connect(struct game *g)
{
	uint8_t how = u8(g);
	struct tern_connect_opts o = {.remote = {stranger(how & 1, how >> 1 & 3), 1000}};
	if (how & 8)
		o.remote = (struct tern_endpoint){own(how & 1), 80};
	if (how & 16)
		o.local.port = (uint16_t)(2000 + u8(g) % 4);
	if (how & 32)
		o.rcvbuf = u32(g);
	if (how & 64)
		o.sndbuf = u16(g);
	tern_tcp_connect(g->stack, &o, slot_of(g, u8(g)));
}

static void act_accept(struct game *g)
{
	uint8_t how = u8(g);
	tern_tcp_accept(g->stack, g->listener[how & 1], slot_of(g, how >> 1));
}

static void act_listen(struct game *g)
{
	uint8_t how = u8(g);
	unsigned k = how & 1;
	struct tern_listen_opts o = {.local.port = (uint16_t)(80 + k), .backlog = how >> 1 & 3};
	if (how & 8)
		tern_tcp_listen_close(g->stack, g->listener[k]);
	else
		tern_tcp_listen(g->stack, &o, &g->listener[k]);
}

static void act_write(struct game *g)
{
	static uint8_t text[60000];
	uint8_t how = u8(g);
	struct tern_conn conn = *slot_of(g, how);
	const struct tcb *tcb = tern_tcb_of(g->tcp, conn);
	size_t n = text_len(g);
	uint32_t from = tcb ? tcb_data_end(tcb).v - tcb->snd.iss.v : 0;
	fill_text(text, from, n);
	if (how & 8) {
		struct tern_span spans[4];
		int count = tern_tcp_room(g->stack, conn, n, spans, 4);
		size_t got = 0;
		for (int i = 0; i < count; i++) {
			fill_text(spans[i].data, from + (uint32_t)got, spans[i].len);
			got += spans[i].len;
		}
		tern_tcp_commit(g->stack, conn, how & 16 ? got / (1 + (how >> 5 & 1)) : 0);
	} else if (how & 16) {
		tern_tcp_write_urgent(g->stack, conn, text, n);
	} else {
		tern_tcp_send(g->stack, conn, text, n, how >> 5 & 3);
	}
}

static void act_read(struct game *g)
{
	static uint8_t text[60000];
	uint8_t how = u8(g);
	struct tern_conn conn = *slot_of(g, how);
	const struct tcb *tcb = tern_tcb_of(g->tcp, conn);
	uint32_t from = 0;
	if (tcb && tcb->state != TERN_TCP_SYN_SENT)
		from = tcb->rcv.nxt.v - tcb->rcv.irs.v - tcb->receive.len -
		       !!(tcb->flags & TCB_FIN_RECEIVED);
	if (how & 8) {
		struct tern_span spans[3];
		int count = tern_tcp_peek(g->stack, conn, spans, 3);
		size_t got = 0;
		for (int i = 0; i < count; i++) {
			check_text(spans[i].data, from + (uint32_t)got, spans[i].len);
			got += spans[i].len;
		}
		if (how & 16)
			tern_tcp_consume(g->stack, conn, how & 32 ? got / 2 : got);
		return;
	}
	ptrdiff_t n = tern_tcp_read(g->stack, conn, text, how & 16 ? sizeof text : u8(g));
	if (n > 0)
		check_text(text, from, (size_t)n);
}

static void act_end(struct game *g)
{
	uint8_t how = u8(g);
	struct tern_conn conn = *slot_of(g, how);
	switch (how >> 4 & 3) {
	case 0:
		tern_tcp_close(g->stack, conn);
		break;
	case 1:
		tern_tcp_abort(g->stack, conn);
		break;
	default:
		tern_tcp_shutdown(g->stack, conn);
		break;
	}
}

static void act_option(struct game *g)
{
	uint8_t how = u8(g);
	struct tern_conn conn = *slot_of(g, how);
	int64_t value = how & 128 ? (int64_t)u32(g) - 1 : u8(g);
	struct tern_tcp_info info;
	tern_tcp_option_set(g->stack, conn, how >> 3, value);
	tern_tcp_option_get(g->stack, conn, how >> 3, &value);
	tern_tcp_info(g->stack, conn, &info);
	tern_tcp_take_soft_error(g->stack, conn);
}

static void act_listen_option(struct game *g)
{
	uint8_t how = u8(g);
	int64_t value = how & 128 ? (int64_t)u32(g) - 1 : u8(g);
	tern_tcp_listen_option_set(g->stack, g->listener[how & 1],
		(enum tern_tcp_option)(how >> 1 & 31), value);
}

static void act_setting(struct game *g)
{
	const char *name = tern_setting_name(u8(g) % 64);
	if (name)
		tern_set(g->stack, name, u16(g));
}

static void act_udp(struct game *g)
{
	static uint8_t text[60000];
	uint8_t how = u8(g);
	unsigned k = how & 1;
	struct tern_endpoint to = {stranger(how & 2, how >> 2 & 7), 54};
	struct tern_udp_opts o = {.local.port = 53};
	if (k)
		o = (struct tern_udp_opts){.remote = {stranger(how & 2, 0), 54}};
	switch (how >> 6) {
	case 0:
		tern_udp_open(g->stack, &o, &g->udp[k]);
		break;
	case 1:
		tern_udp_recv(g->stack, g->udp[k], text, sizeof text, NULL, NULL);
		break;
	case 2:
		tern_udp_send(g->stack, g->udp[k], text, text_len(g), how & 32 ? &to : NULL);
		break;
	default:
		tern_udp_close(g->stack, g->udp[k]);
		break;
	}
}

/* --- time --------------------------------------------------------------------------------- */

static void act_time(struct game *g)
{
	static const uint64_t jumps[] = {1000, 65536, MS, 41 * MS, 201 * MS, SEC, 3 * SEC, 61 * SEC,
		121 * SEC, 600 * SEC, HOUR, 24 * HOUR, 30 * HOUR, 45 * HOUR, 80 * HOUR,
		30 * 24 * HOUR};
	uint8_t how = u8(g);
	g->now += jumps[how & 15] + how;
	if (how & 16) /* else the next action finds it */
		tern_input(g->stack, g->tun, NULL, 0, g->now);
}

static void act_refuse(struct game *g)
{
	uint8_t how = u8(g);
	g->refuse_from = g->asked + 1 + how % 16;
	g->refuse_to = how & 16 ? UINT64_MAX : g->refuse_from + (how >> 5);
	if (how == 255)
		g->refuse_to = 0;
}

static void act_events(struct game *g)
{
	struct tern_event ev;
	for (unsigned i = 0; tern_event_next(g->stack, &ev); i++) {
		CHECK(ev.kind != TERN_EV_NONE && i < 10000);
		if (ev.kind == TERN_EV_ERROR)
			CHECK(ev.error < 0);
	}
}

/* A device with all the room it wants comes to rest: nothing is due for ever. */
static void act_rest(struct game *g)
{
	for (unsigned i = 0; i < 5000; i++) {
		unsigned n = pull(g, PULLS, true);
		if (n == 0 && tern_deadline(g->stack) > g->now)
			return;
		tern_input(g->stack, g->tun, NULL, 0, g->now);
	}
	bool comes_to_rest = false;
	CHECK(comes_to_rest);
}

static void act_pull(struct game *g)
{
	uint8_t how = u8(g);
	pull(g, 1 + how % PULLS, how & 64);
}

/* --- the game ------------------------------------------------------------------------------- */

typedef void action(struct game *g);

static action *const actions[] = {act_segment, act_segment, act_segment, act_segment, act_segment,
	act_acknowledge, act_acknowledge, act_acknowledge, act_syn, act_syn, act_pull, act_pull,
	act_rest, act_accept, act_accept, act_write, act_write, act_read, act_read, act_end,
	act_time, act_time, act_icmp, act_udp_in, act_udp, act_arp, act_connect, act_connect,
	act_option, act_listen_option, act_listen, act_events, act_noise, act_refuse, act_setting};

static int add_nif(struct game *g, const char *name, bool raw)
{
	static const uint16_t mtus[] = {1500, 1500, 576, 68, 100, 128, 9000, 65535};
	uint8_t how = u8(g);
	struct tern_nif_opts o = {.mtu = mtus[how & 7], .raw_ip = raw, .offload = how >> 3 & 3};
	snprintf(o.name, sizeof o.name, "%s", name);
	struct tern_addr addr = own(!raw);
	int nif = tern_nif_add(g->stack, &o);
	CHECK(nif > 0);
	CHECK(tern_nif_addr_add(g->stack, nif, &addr, 24) == 0);
	CHECK(tern_nif_info(g->stack, nif, &o) == 0);
	memcpy(g->tap_mac.byte, o.mac, 6);
	g->room[nif] = tern_nif_frame_room(g->stack, nif);
	g->frame[nif] = malloc(g->room[nif]);
	CHECK(g->frame[nif]);
	return nif;
}

static void trace(void *context, const struct tern_trace *t)
{
	(void)context;
	(void)t;
}

static bool begin(struct game *g)
{
	struct tern_config cfg;
	uint8_t how = u8(g);
	tern_config_init(&cfg);
	cfg.allocator = (struct tern_allocator){take, give, g};
	cfg.budget = ((size_t)256 << 10) + ((size_t)u8(g) << (how & 1 ? 18 : 10));
	cfg.seed[0] = how;
	if (how & 2)
		cfg.loopback_mtu = 576 + u8(g);
	if (how & 4)
		cfg.max_connections = 4;
	g->now = how & 8 ? (UINT64_C(1) << 48) - 10 * SEC : 1000 * SEC;
	g->next_port = 1100;
	g->stack = tern_stack_new(&cfg, g->now);
	if (!g->stack)
		return false;
	g->tcp = tern_stack_tcp(g->stack);
	if (how & 16)
		tern_trace_set(g->stack, &(struct tern_trace_listener){trace, g});
	g->tun = add_nif(g, "tun", true);
	g->tap = add_nif(g, "tap", false);
	return true;
}

static void open_ports(struct game *g)
{
	struct tern_listen_opts o = {.local.port = 80, .backlog = u8(g) & 7};
	tern_tcp_listen(g->stack, &o, &g->listener[0]);
	tern_udp_open(g->stack, &(struct tern_udp_opts){.local.port = 53}, &g->udp[0]);
	if (u8(g) & 1) {
		tern_set(g->stack, "tcp_keep_tally", 1);
		tern_set(g->stack, "tcp_ecn", 1);
		tern_set_text(g->stack, "tcp_congestion_control", "reno");
	}
}

static bool adds_up(const struct tally *t)
{
	return t->resent <= t->sent && t->resent_segments <= t->segments_out &&
	       t->resent_text_segments <= t->text_segments_out &&
	       t->text_segments_out <= t->segments_out && t->text_segments_in <= t->segments_in;
}

/* What no stack need look at itself. */
static const char *look_closer(struct game *g)
{
	uint32_t slot = 0;
	for (const struct tcb *tcb; (tcb = tern_pool_next(&g->tcp->tcbs, &slot)); slot++) {
		const struct tcb_side *side = tcb->side;
		if (tcb->cwnd == 0 || tcb->ssthresh == 0)
			return "a window of congestion control is 0";
		if (!side || tcb->state == TERN_TCP_CLOSED)
			continue;
		const struct scoreboard *b = &side->rec.board;
		if (b->sacked + b->lost > tcb_flight(tcb))
			return "less than nothing is in flight";
		if (side->rec.prr.cwr && (side->mode != RECOVERY_OPEN || b->off))
			return "PRR after an echo, in a recovery";
		if (!adds_up(&side->tally))
			return "the tally does not add up";
		if (side->tally.acked > seq_diff(tcb->snd.nxt, tcb->snd.iss))
			return "more is acknowledged than was sent";
	}
	return NULL;
}

static void play(struct game *g)
{
	open_ports(g);
	for (unsigned i = 0; i < ACTIONS && !done(g); i++) {
		actions[u8(g) % (sizeof actions / sizeof *actions)](g);
		const char *wrong = tern_stack_check(g->stack);
		if (!wrong)
			wrong = look_closer(g);
		if (wrong) {
			fprintf(stderr, "%s\n", wrong);
			abort();
		}
	}
	g->refuse_to = 0;
	act_rest(g);
	act_events(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static struct game g;
	memset(&g, 0, sizeof g);
	g.in = (struct input){input, input + size};
	if (begin(&g))
		play(&g);
	tern_stack_free(g.stack);
	for (unsigned i = 0; i < TERN_NIF_MAX; i++)
		free(g.frame[i]);
	CHECK(g.held == 0);
	return 0;
}
