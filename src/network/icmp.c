/*
 * ICMPv4 (RFC 792, 1122 3.2.2). Queries are answered, errors go up with what they quote; the
 * transports judge whether to believe them (RFC 5927). Errors of our own are few: never about
 * an error, a broadcast, or any fragment but the first, and no more a second than
 * icmp_msgs_per_sec, in a bucket whose fill nobody outside can count on.
 */
#include "network/ipv4.h"

#define ERROR_BYTES_MAX 576 /* of the whole error message: RFC 1812 4.3.2.3 */

static uint32_t bucket_size(uint32_t rate)
{
	return rate / 20 > 0 ? rate / 20 : 1;
}

/*
 * Refills by the time gone by. Now and then it keeps a little back: a stranger who counts our
 * errors to tell who else provoked some (CVE-2020-25705) counts wrong.
 */
static void refill(struct ip *ip, uint32_t rate)
{
	uint64_t ns = ip->core->now - ip->icmp.tokens_at;
	uint64_t due = ns >= SECOND_NS ? rate : ns * rate / SECOND_NS;
	if (due > 0) {
		uint64_t tokens = ip->icmp.tokens + due;
		ip->icmp.tokens = tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
		/* What made no whole token counts on. */
		ip->icmp.tokens_at = ns >= SECOND_NS ? ip->core->now
						     : ip->icmp.tokens_at + due * SECOND_NS / rate;
	}
	uint32_t size = bucket_size(rate);
	if (ip->icmp.tokens >= size)
		ip->icmp.tokens = size - (size > 4 ? tern_rng_below(&ip->core->rng, 3) : 0);
}

static bool may_send_error(struct ip *ip)
{
	uint32_t rate = (uint32_t)ip->core->set.icmp_msgs_per_sec;
	if (rate > 0)
		refill(ip, rate);
	if (rate > 0 && ip->icmp.tokens > 0) {
		ip->icmp.tokens--;
		return true;
	}
	core_count(ip->core, TERN_COUNT_IcmpOutRateLimitGlobal);
	tern_core_drop(ip->core, TERN_DROP_ICMP_RATE);
	return false;
}

/* RFC 1122 3.2.2: about what an error may be sent. Unknown ICMP types may be errors. */
static bool may_answer(const struct ipv4_packet *about)
{
	if (about->in.group || about->header.fragment_offset > 0)
		return false;
	if (about->in.protocol != IPPROTO_ICMP_NUM)
		return true;
	return about->in.len > 0 && about->in.data[0] == ICMP_ECHO_REQUEST;
}

/* The packet's header and the beginning of its data; returns how long. */
static uint32_t quote(const struct ipv4_packet *about, uint8_t *to, uint32_t room)
{
	struct writer w = {to};
	if (about->raw)
		write_bytes(&w, about->raw, about->header.header_len);
	else
		tern_ipv4_emit(&w, &about->header);
	uint32_t left = room - (uint32_t)(w.at - to);
	write_bytes(&w, about->in.data, about->in.len < left ? about->in.len : left);
	return (uint32_t)(w.at - to);
}

void tern_icmp_error(struct ip *ip, const struct ipv4_packet *about, uint8_t type, uint8_t code)
{
	uint8_t body[ERROR_BYTES_MAX - IPV4_HEADER_LEN - ICMP_HEADER_LEN];
	uint8_t message[ICMP_HEADER_LEN + sizeof body];
	if (!may_answer(about) || !may_send_error(ip))
		return;
	struct icmpv4_message m = {.type = type, .code = code, .body = body};
	m.body_len = quote(about, body, sizeof body);
	struct writer w = {message};
	tern_icmpv4_emit(&w, ip->core->csum, &m);
	struct ip_datagram d = {
		.src = about->in.dst,
		.dst = about->in.src,
		.out = {.protocol = IPPROTO_ICMP_NUM, .tos = 0xc0}, /* RFC 1812 4.3.2.5 */
		.head = message,
		.head_len = ICMP_HEADER_LEN + m.body_len,
	};
	if (tern_ip_send(ip, &d) != 0)
		return;
	core_count(ip->core, TERN_COUNT_IcmpOutMsgs);
	core_count(ip->core, type == ICMP_UNREACHABLE ? TERN_COUNT_IcmpOutDestUnreachs
						      : TERN_COUNT_IcmpOutTimeExcds);
}

/* One byte out for one byte in, to where it came from. */
static enum tern_drop echo(struct ip *ip, const struct ip_in *in, const struct icmpv4_message *m)
{
	core_count(ip->core, TERN_COUNT_IcmpInEchos);
	if (in->group) /* RFC 1122 3.2.2.6 */
		return TERN_DROP_ICMP_BROADCAST;
	if (ip->core->set.icmp_echo_ignore_all)
		return TERN_DROP_ICMP_TYPE;
	uint8_t head[ICMP_HEADER_LEN] = {ICMP_ECHO_REPLY};
	store_be16(head + 4, m->id);
	store_be16(head + 6, m->sequence);
	uint64_t sum = (uint64_t)m->id + m->sequence;
	sum += csum_fold(ip->core->csum->sum(m->body, m->body_len));
	store_be16(head + 2, csum_finish(sum));
	struct ip_datagram d = {
		.src = in->dst,
		.dst = in->src,
		.out = {.protocol = IPPROTO_ICMP_NUM, .tos = in->tos},
		.head = head,
		.head_len = sizeof head,
		.body = m->body,
		.body_len = m->body_len,
	};
	if (tern_ip_send(ip, &d) == 0) {
		core_count(ip->core, TERN_COUNT_IcmpOutMsgs);
		core_count(ip->core, TERN_COUNT_IcmpOutEchoReps);
	}
	return TERN_DROP_NONE;
}

/* RFC 1191 5: from a router that does not say, the next likely MTU below the packet's size. */
static uint32_t guess_mtu(uint32_t total_len)
{
	static const uint16_t plateau[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296,
		68};
	for (unsigned i = 0; i < sizeof plateau / sizeof plateau[0]; i++)
		if (plateau[i] < total_len)
			return plateau[i];
	return 68;
}

/* RFC 1122 4.2.3.9 and 3.2.2.1: which errors are hard; and, of the usual ones, what Linux's
 * programs are told. */
static void judge(struct ip_error *e)
{
	e->err = TERN_EHOSTUNREACH;
	e->hard = false;
	if (e->type == ICMP_PARAMETER_PROBLEM)
		e->err = TERN_EPROTO;
	if (e->type != ICMP_UNREACHABLE)
		return;
	switch (e->code) {
	case ICMP_CODE_NET:
	case 6:  /* network unknown */
	case 9:  /* network prohibited */
	case 11: /* network, for that type of service */
		e->err = TERN_ENETUNREACH;
		break;
	case ICMP_CODE_PROTOCOL:
		e->err = TERN_ENOPROTOOPT;
		e->hard = true;
		break;
	case ICMP_CODE_PORT:
		e->err = TERN_ECONNREFUSED;
		e->hard = true;
		break;
	case ICMP_CODE_FRAG_NEEDED:
		e->err = TERN_EMSGSIZE;
		break;
	default:
		break;
	}
}

/* The quoted packet must be one that we could have sent and that came back to us. */
static enum tern_drop error_input(struct ip *ip, const struct ip_in *in,
	const struct icmpv4_message *m)
{
	struct ipv4_header quoted;
	struct reader transport;
	enum tern_drop why = tern_icmpv4_quoted(m, &quoted, &transport);
	if (why || reader_left(&transport) < 8) {
		core_count(ip->core, TERN_COUNT_IcmpInErrors);
		return TERN_DROP_ICMP_MALFORMED;
	}
	if (in->group || quoted.fragment_offset > 0 || !addr_same(&quoted.src, &in->dst) ||
		tern_ip_is_group(ip, &quoted.dst))
		return TERN_DROP_ICMP_UNRELATED;
	struct ip_error e = {
		.nif = in->nif,
		.src = quoted.src,
		.dst = quoted.dst,
		.from = in->src,
		.protocol = quoted.protocol,
		.type = m->type,
		.code = m->code,
		.data = transport.at,
		.len = (uint32_t)reader_left(&transport),
	};
	if (m->type == ICMP_UNREACHABLE && m->code == ICMP_CODE_FRAG_NEEDED)
		e.mtu = m->mtu ? m->mtu : guess_mtu(quoted.total_len);
	judge(&e);
	ip->ops->error(ip->context, &e);
	return TERN_DROP_NONE;
}

static enum tern_drop dispatch(struct ip *ip, const struct ip_in *in,
	const struct icmpv4_message *m)
{
	switch (m->type) {
	case ICMP_ECHO_REQUEST:
		return echo(ip, in, m);
	case ICMP_UNREACHABLE:
		core_count(ip->core, TERN_COUNT_IcmpInDestUnreachs);
		return error_input(ip, in, m);
	case ICMP_TIME_EXCEEDED:
		core_count(ip->core, TERN_COUNT_IcmpInTimeExcds);
		return error_input(ip, in, m);
	case ICMP_PARAMETER_PROBLEM:
		return error_input(ip, in, m);
	case ICMP_ECHO_REPLY:
		core_count(ip->core, TERN_COUNT_IcmpInEchoReps);
		return TERN_DROP_ICMP_TYPE;
	default: /* source quench among them: RFC 6633 */
		return TERN_DROP_ICMP_TYPE;
	}
}

void tern_icmp_input(struct ip *ip, const struct ipv4_packet *p)
{
	core_count(ip->core, TERN_COUNT_IcmpInMsgs);
	struct reader r = reader(p->in.data, p->in.len);
	struct icmpv4_message m;
	enum tern_drop why = tern_icmpv4_parse(&r, ip->core->csum, &m);
	if (why)
		core_count(ip->core, TERN_COUNT_IcmpInErrors);
	if (why == TERN_DROP_ICMP_CHECKSUM)
		core_count(ip->core, TERN_COUNT_IcmpInCsumErrors);
	if (!why)
		why = dispatch(ip, &p->in, &m);
	if (why)
		tern_core_drop(ip->core, why);
}

void tern_icmp_undeliverable(struct ip *ip, int nif, const uint8_t *data, uint32_t len)
{
	struct reader r = reader(data, len);
	struct ipv4_header h;
	if (tern_ipv4_parse_quoted(&r, &h) || h.fragment_offset > 0 || reader_left(&r) < 8)
		return;
	if (tern_guest_undeliverable(ip, &h, r.at, (uint32_t)reader_left(&r)))
		return;
	struct ip_error e = {
		.nif = nif,
		.src = h.src,
		.dst = h.dst,
		.from = h.src,
		.protocol = h.protocol,
		.type = ICMP_UNREACHABLE,
		.code = ICMP_CODE_HOST,
		.data = r.at,
		.len = (uint32_t)reader_left(&r),
	};
	judge(&e);
	ip->ops->error(ip->context, &e);
}
