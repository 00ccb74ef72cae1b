/*
 * SYN cookies (RFC 4987 3.6): when there is no room for another half-open connection, what we would
 * remember of a SYN travels in the numbers of our SYN-ACK and comes back with the peer's ACK.
 *
 *	ISN        24 bits of a keyed hash over addresses, ports, the peer's ISN, the epoch and the
 *	           MSS class; then 5 bits of epoch and 3 of MSS class, masked
 *	timestamp  its lowest 6 bits, if the SYN had one: window scale, SACK and ECN
 *
 * An epoch is 64 seconds; its number is part of what is hashed, so a cookie is good for one to two
 *of them, whoever holds the key: several stacks that share key and clock answer for each other.
 */
#include <string.h>
#include "transport/tcp/tcp.h"

#define EPOCH_NS    (64 * 1000 * MS)
#define EPOCH_BITS  5
#define CLASS_BITS  3
#define HASH_SHIFT  (EPOCH_BITS + CLASS_BITS)
#define OPTION_BITS 6
#define NO_WSCALE   15u
#define SACK_BIT    16u
#define ECN_BIT     32u

/* RFC 9293's default, and what links are made of. */
static const uint16_t classes[1 << CLASS_BITS] = {88, 536, 1220, 1360, 1440, 1460, 8960, 65495};

static uint8_t class_of(uint32_t mss)
{
	uint8_t c = (1 << CLASS_BITS) - 1;
	while (c > 0 && classes[c] > mss)
		c--;
	return c;
}

static uint64_t epoch(const struct tcp *tcp)
{
	return (tcp->core->now + tcp->cookie_clock) / EPOCH_NS;
}

static uint64_t hash(const struct tcp *tcp, const struct ip_in *in, const struct tcp_segment *seg,
	tern_seq irs, uint64_t extra)
{
	uint8_t text[48];
	memcpy(text, in->dst.byte, 16);
	memcpy(text + 16, in->src.byte, 16);
	store_be16(text + 32, seg->dst_port);
	store_be16(text + 34, seg->src_port);
	store_be32(text + 36, irs.v);
	store_be32(text + 40, (uint32_t)(extra >> 32));
	store_be32(text + 44, (uint32_t)extra);
	return tern_siphash24(&tcp->cookie_key, text, sizeof text);
}

/* The cookie of that epoch and class. */
static uint32_t bake(const struct tcp *tcp, const struct listener *l, const struct ip_in *in,
	const struct tcp_segment *seg, tern_seq irs, uint64_t when, uint8_t class)
{
	/* The scale we told goes in too: should it be another when the ACK comes, the cookie is
	 * void. */
	uint64_t scale = (uint64_t)tern_listen_scale(tcp, l) << 56;
	uint32_t proof = (uint32_t)hash(tcp, in, seg, irs, scale | when << CLASS_BITS | class);
	uint32_t mask = (uint32_t)hash(tcp, in, seg, irs, UINT64_MAX);
	uint32_t low = (uint32_t)(when & ((1 << EPOCH_BITS) - 1)) << CLASS_BITS | class;
	return proof << HASH_SHIFT | ((low ^ mask) & ((1 << HASH_SHIFT) - 1));
}

/* What a SYN offers and our settings agree to, in OPTION_BITS. */
static uint32_t pack(const struct tcp *tcp, const struct tcp_segment *syn)
{
	const struct tcp_options *o = &syn->options;
	const struct settings *set = &tcp->core->set;
	bool wscale = set->tcp_window_scaling && o->has & TCP_OPT_WSCALE;
	bool sack = set->tcp_sack && o->has & TCP_OPT_SACK_OK;
	bool ecn = set->tcp_ecn && tern_ecn_setup(syn->flags);
	return (wscale ? (uint32_t)o->wscale : NO_WSCALE) | (sack ? SACK_BIT : 0) |
	       (ecn ? ECN_BIT : 0);
}

/* The newest timestamp with these lowest bits that is not in the future: later ones are higher. */
static uint32_t stamp(uint32_t now, uint32_t bits)
{
	uint32_t mask = (1 << OPTION_BITS) - 1;
	uint32_t ts = (now & ~mask) | bits;
	return (int32_t)(ts - now) > 0 ? ts - mask - 1 : ts;
}

/* Takes out of a SYN what the cookie cannot carry; returns the timestamp that carries the rest. */
static uint32_t reduce(const struct tcp *tcp, const struct ip_in *in, struct tcp_segment *syn)
{
	struct tcp_options *o = &syn->options;
	uint32_t bits = pack(tcp, syn);
	if ((bits & NO_WSCALE) == NO_WSCALE)
		o->has &= (uint8_t)~TCP_OPT_WSCALE;
	if (!(bits & SACK_BIT))
		o->has &= (uint8_t)~TCP_OPT_SACK_OK;
	bool kept = tcp->core->set.tcp_timestamps && o->has & TCP_OPT_TIMESTAMP;
	if (!kept)
		o->has &= TCP_OPT_MSS; /* nowhere to keep the rest */
	if (!kept || !(bits & ECN_BIT))
		syn->flags = TCP_SYN;
	return stamp(now_ms(tcp) + tern_timestamp_offset(tcp, &in->dst, &in->src), bits);
}

void tern_cookie_send(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *syn)
{
	const struct settings *set = &tcp->core->set;
	uint32_t mss =
		syn->options.has & TCP_OPT_MSS ? syn->options.mss : (uint32_t)set->tcp_default_mss;
	struct tcp_segment reduced = *syn, s;
	uint32_t tsval = reduce(tcp, in, &reduced);
	tern_listen_answer(tcp, l, in->nif, &reduced, tsval, tern_listen_scale(tcp, l), &s);
	s.seq = seq(bake(tcp, l, in, syn, syn->seq, epoch(tcp), class_of(mss)));
	s.window = (uint16_t)tern_listen_window(tcp, l);
	l->cookies_until = tcp->core->now + 2 * EPOCH_NS;
	core_count(tcp->core, TERN_COUNT_TcpExtSyncookiesSent);
	tern_trace_segment(tcp, TERN_TRACE_SEGMENT_OUT, NULL, in, &s, s.window);
	tern_segment_alone(tcp, &in->dst, &in->src, &s, (struct alone){.dscp = l->dscp});
}

/* The MSS class of a cookie that we made in this epoch or the last; -1 if we did not. */
static int check(const struct tcp *tcp, const struct listener *l, const struct ip_in *in,
	const struct tcp_segment *seg, tern_seq irs, uint32_t cookie)
{
	uint32_t mask = (uint32_t)hash(tcp, in, seg, irs, UINT64_MAX);
	uint32_t low = (cookie ^ mask) & ((1 << HASH_SHIFT) - 1);
	uint8_t class = low & ((1 << CLASS_BITS) - 1);
	uint64_t now = epoch(tcp);
	uint32_t age = (uint32_t)(now - (low >> CLASS_BITS)) & ((1 << EPOCH_BITS) - 1);
	if (age > 1 || age > now || bake(tcp, l, in, seg, irs, now - age, class) != cookie)
		return -1;
	return class;
}

bool tern_cookie_accept(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *ack, struct tcp_segment *syn)
{
	bool asked = tcp->cookie_shared || tcp->core->now < l->cookies_until;
	if (tcp->core->set.tcp_syncookies == 0 || !asked)
		return false;
	int class = check(tcp, l, in, ack, seq_sub(ack->seq, 1), ack->ack.v - 1);
	if (class < 0) {
		core_count(tcp->core, TERN_COUNT_TcpExtSyncookiesFailed);
		return false;
	}
	core_count(tcp->core, TERN_COUNT_TcpExtSyncookiesRecv);
	*syn = (struct tcp_segment){.src_port = ack->src_port,
		.dst_port = ack->dst_port,
		.seq = seq_sub(ack->seq, 1),
		.flags = TCP_SYN,
		.window = ack->window,
		.options = {.has = TCP_OPT_MSS, .mss = classes[class]}};
	if (!(ack->options.has & TCP_OPT_TIMESTAMP) || !tcp->core->set.tcp_timestamps)
		return true;
	struct tcp_options *o = &syn->options;
	uint32_t bits = ack->options.tsecr;
	o->has |= TCP_OPT_TIMESTAMP;
	o->tsval = ack->options.tsval;
	if ((bits & NO_WSCALE) != NO_WSCALE) {
		o->has |= TCP_OPT_WSCALE;
		o->wscale = (uint8_t)(bits & NO_WSCALE);
	}
	if (bits & SACK_BIT)
		o->has |= TCP_OPT_SACK_OK;
	if (bits & ECN_BIT)
		syn->flags |= TCP_ECE | TCP_CWR;
	return true;
}

int tern_tcp_cookie_key(struct tern_stack *stack, const uint8_t key[16], uint64_t clock)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	tcp->cookie_key.k0 = (uint64_t)load_be32(key) << 32 | load_be32(key + 4);
	tcp->cookie_key.k1 = (uint64_t)load_be32(key + 8) << 32 | load_be32(key + 12);
	tcp->cookie_clock = clock;
	tcp->cookie_shared = true;
	return 0;
}
