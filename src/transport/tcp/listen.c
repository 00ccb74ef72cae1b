/*
 * LISTEN (RFC 9293 3.10.7.2), and the accept queue: connections that are established and wait to be
 * accepted hang in it by their notices, which nobody needs before. What is half-open is in
 * half_open.c's care, or in a cookie's.
 */
#include "transport/tcp/tcp.h"

#define HALF_OPEN_MIN 8u /* whatever the backlog */

/* --- the accept queue ------------------------------------------------------------------------ */

static void append(struct listener *l, struct notice *n)
{
	n->next = NULL;
	n->link = l->queue_tail;
	*l->queue_tail = n;
	l->queue_tail = &n->next;
	l->queued++;
}

static void take(struct listener *l, struct notice *n)
{
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	else
		l->queue_tail = n->link;
	n->link = NULL;
	l->queued--;
}

static struct listener *parent(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_demux_listener(tcp, &tcb->path->src, tcb->local_port);
}

void tern_listen_forget(struct tcp *tcp, struct tcb *tcb)
{
	struct listener *l = parent(tcp, tcb);
	tcb->flags &= ~TCB_UNACCEPTED;
	if (!tcb->notice.link) /* its handshake was not complete */
		return;
	take(l, &tcb->notice);
	tern_trace_queue(tcp, l);
}

/* Linux's capacity: backlog + 1. */
static bool accept_queue_full(const struct listener *l)
{
	return l->queued > l->backlog;
}

bool tern_listen_overflows(struct tcp *tcp, const struct listener *l)
{
	if (!accept_queue_full(l))
		return false;
	core_count(tcp->core, TERN_COUNT_TcpExtListenOverflows);
	core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
	return true;
}

void tern_listen_established(struct tcp *tcp, struct tcb *tcb)
{
	struct listener *l = parent(tcp, tcb);
	append(l, &tcb->notice);
	tern_trace_queue(tcp, l);
	tern_notice_raise(tcp->core, &l->notice, NOTICE(TERN_EV_ACCEPT));
}

/* The accept queue's head, handed to the application. */
struct tcb *tern_listen_take(struct tcp *tcp, struct listener *l)
{
	if (!l->queue)
		return NULL;
	struct tcb *tcb = tcb_of_notice(l->queue);
	uint16_t pending = tcb->notice.pending;
	tcb->flags &= ~TCB_UNACCEPTED;
	take(l, &tcb->notice);
	tern_trace_queue(tcp, l);
	tcb->notice.pending = 0;
	if (pending)
		tern_notice_raise(tcp->core, &tcb->notice, pending);
	return tcb;
}

void tern_listen_reset_all(struct tcp *tcp, struct listener *l)
{
	uint32_t place = 0;
	for (struct syn *e; l->half_open && (e = tern_syncache_next(tcp, &place)); place++)
		if (tern_half_open_listener(tcp, e) == l)
			tern_half_open_reset(tcp, l, e);
	while (l->queue) {
		struct tcb *tcb = tcb_of_notice(l->queue);
		tern_reset_send(tcp, tcb);
		tern_tcb_die(tcp, tcb, TERN_ECONNABORTED, TERN_CAUSE_ABORT);
	}
}

/* --- half-open connections ------------------------------------------------------------------ */

static uint16_t *from_source(struct tcp *tcp, const struct tern_addr *source)
{
	uint64_t hash = tern_siphash13(&tcp->table_key, source, sizeof *source);
	return &tcp->syn_source[hash % SYN_SOURCES];
}

void tern_listen_half_open(struct tcp *tcp, struct listener *l, const struct tern_addr *source,
	int change)
{
	uint16_t *from = from_source(tcp, source);
	l->half_open += (uint32_t)change;
	*from = (uint16_t)(*from + change);
}

uint32_t tern_listen_half_open_limit(const struct tcp *tcp, const struct listener *l)
{
	uint32_t limit = l->backlog + 1 < HALF_OPEN_MIN ? HALF_OPEN_MIN : l->backlog + 1;
	return at_most(limit, (uint32_t)tcp->core->set.tcp_max_syn_backlog);
}

enum tern_drop tern_listen_refuses(struct tcp *tcp, const struct listener *l,
	const struct tern_addr *source)
{
	if (accept_queue_full(l))
		return TERN_DROP_TCP_LISTEN_OVERFLOW;
	if (l->half_open >= tern_listen_half_open_limit(tcp, l) || tern_syncache_full(tcp))
		return TERN_DROP_TCP_SYN_BACKLOG;
	/* Whoever forges one address gets no more than so many SYN-ACKs again and again sent there.
	 */
	if (*from_source(tcp, source) >= tcp->core->set.tcp_max_syn_source)
		return TERN_DROP_TCP_SYN_SOURCE;
	return TERN_DROP_NONE;
}

uint8_t tern_listen_scale(const struct tcp *tcp, const struct listener *l)
{
	uint32_t fixed = l->rcvbuf ? tern_buffer_size(l->rcvbuf) : 0;
	return tern_window_scale(tcp, fixed, l->window_clamp);
}

uint32_t tern_listen_window(const struct tcp *tcp, const struct listener *l)
{
	uint32_t rcvbuf =
		l->rcvbuf ? tern_buffer_size(l->rcvbuf) : (uint32_t)tcp->core->set.tcp_rmem_default;
	rcvbuf = at_most(rcvbuf, l->window_clamp ? l->window_clamp : rcvbuf);
	return at_most(rcvbuf, UINT16_MAX);
}

static uint16_t own_mss(const struct listener *l, uint32_t mss)
{
	return (uint16_t)(l->maxseg ? at_most(l->maxseg, mss) : mss);
}

void tern_listen_answer(const struct tcp *tcp, const struct listener *l, int nif,
	const struct tcp_segment *syn, uint32_t tsval, unsigned wscale, struct tcp_segment *answer)
{
	uint32_t mtu = tcp->ip->link->nif[nif].opts.mtu;
	*answer = (struct tcp_segment){
		.src_port = syn->dst_port,
		.dst_port = syn->src_port,
		.ack = seq_add(syn->seq, 1),
		.flags = (uint16_t)(TCP_SYN | TCP_ACK | (tern_ecn_setup(syn->flags) ? TCP_ECE : 0)),
		.options = {.has = (uint8_t)(TCP_OPT_MSS |
					     (syn->options.has & (TCP_OPT_WSCALE | TCP_OPT_SACK_OK |
									 TCP_OPT_TIMESTAMP))),
			.mss = own_mss(l, mtu - IPV4_HEADER_LEN - TCP_HEADER_LEN),
			.wscale = (uint8_t)wscale,
			.tsval = tsval,
			.tsecr = syn->options.tsval},
	};
}

/* --- from half-open to a connection ----------------------------------------------------------- */

static void outdate_all(struct tcp *tcp, struct listener *l)
{
	uint32_t place = 0;
	for (struct syn *e; (e = tern_syncache_next(tcp, &place)); place++) {
		if (e->link.outdated || tern_half_open_listener(tcp, e) != l)
			continue;
		e->link.outdated = 1;
		l->outdated++;
	}
}

/* What a SYN-ACK offered is never taken back (RFC 9293 3.8.6), though no half-open connection has
 * room to remember what its own did: those there are when the window becomes smaller may have what
 * any of them was told. */
void tern_listen_settle_window(struct tcp *tcp, struct listener *l)
{
	uint32_t before = l->says;
	bool cookies = l->cookies_until > tcp->core->now;
	bool others = l->outdated || l->told_until > tcp->core->now;
	l->says = tern_listen_window(tcp, l);
	if (l->says >= before || !(l->half_open || cookies))
		return;
	if (!others || l->told < before)
		l->told = before;
	if (l->half_open > l->outdated)
		outdate_all(tcp, l);
	if (cookies)
		l->told_until = l->cookies_until;
}

uint32_t tern_listen_told(const struct tcp *tcp, const struct listener *l, const struct syn *e)
{
	uint32_t now = tern_listen_window(tcp, l);
	bool outdated = e ? e->link.outdated : l->told_until > tcp->core->now;
	return outdated && l->told > now ? l->told : now;
}

/* The child of a SYN that was answered with number iss, and of its half-open entry (NULL: of a
 * cookie); NULL, counted, when memory is short. */
static struct tcb *child(struct tcp *tcp, struct listener *l, const struct arrival *a,
	const struct tcp_segment *syn, tern_seq iss, const struct syn *e)
{
	int err;
	struct tcb_endpoints ends = {{a->in->dst, syn->dst_port}, {a->in->src, syn->src_port}};
	struct tcb *tcb = tern_tcb_new(tcp, &ends, &err);
	if (!tcb) {
		core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_MEMORY);
		return NULL;
	}
	tcb->flags |= TCB_PASSIVE | TCB_UNACCEPTED;
	tcb->user = l->user;
	if (l->rcvbuf)
		tern_tcb_fix_rcvbuf(tcb, l->rcvbuf);
	if (l->sndbuf)
		tern_tcb_fix_sndbuf(tcb, l->sndbuf);
	tcb->dscp = l->dscp & 0x3fu;
	tcb->adv_mss = own_mss(l, tcb->adv_mss);
	tcb->side->choice.window_clamp = l->window_clamp;
	tern_tcb_offer(tcp, tcb);
	tern_open_learn(tcp, tcb, syn);
	tcb->snd.iss = tcb->snd.una = iss;
	tcb->snd.nxt = seq_add(iss, 1);
	tcb->rcv.adv = seq_add(tcb->rcv.nxt, tern_listen_told(tcp, l, e));
	return tcb;
}

/* What was agreed on when the SYN came, whatever the settings say meanwhile. */
static void as_agreed(struct tcb *tcb, const struct syn *e)
{
	bool scaled = e->link.snd_wscale != SYN_NO_WSCALE;
	tcb->flags &= ~(TCB_WSCALE | TCB_SACK | TCB_TIMESTAMPS);
	tcb->flags |= (scaled ? TCB_WSCALE : 0) | (e->sack ? TCB_SACK : 0) |
		      (e->timestamps ? TCB_TIMESTAMPS : 0);
	tcb->ecn = e->ecn;
	tcb->ts_recent = e->ts_recent;
	tcb->snd_wscale = scaled ? e->link.snd_wscale : 0;
	tcb->rcv_wscale = e->link.rcv_wscale;
	tcb->backoff = e->resent ? (uint8_t)e->link.tries : 0;
}

/* The SYN-ACK's round trip counts if it was said once (RFC 6298 3). */
static void time_syn_ack(const struct tcp *tcp, struct tcb *tcb, const struct syn *e)
{
	uint64_t sent = us_to_ns(tcp, e->due - tern_syncache_wait(tcp, e->link.tries));
	tcb->side->timing = !e->resent && !e->link.acked;
	tcb->side->timed_end = tcb->snd.nxt;
	tcb->side->timed_at = sent < tcp->core->now ? sent : tcp->core->now;
}

struct tcb *tern_listen_promote(struct tcp *tcp, struct listener *l, const struct syn *e,
	const struct arrival *a)
{
	struct tcp_segment syn;
	tern_half_open_syn(e, &syn);
	syn.window = a->seg->window;
	struct tcb *tcb = child(tcp, l, a, &syn, e->iss, e);
	if (!tcb)
		return NULL;
	as_agreed(tcb, e);
	time_syn_ack(tcp, tcb, e);
	tcb->state = TERN_TCP_SYN_RECEIVED; /* born where its half-open entry is */
	return tcb;
}

/* The connection of a SYN that only the cookie in its ACK remembers; our SYN-ACK has gone out. */
static struct tcb *accept_cookie(struct listener *l, struct arrival *a)
{
	struct tcp *tcp = a->tcp;
	struct tcp_segment syn;
	if (!tern_cookie_accept(tcp, l, a->in, a->seg, &syn)) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_ACK);
		tern_reset_reply(tcp, a->in, a->seg);
		return NULL;
	}
	if (tern_listen_overflows(tcp, l)) { /* it will be said again */
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_OVERFLOW);
		return NULL;
	}
	struct tcb *tcb = child(tcp, l, a, &syn, seq_sub(a->seg->ack, 1), NULL);
	if (!tcb)
		return NULL;
	tcb->state = TERN_TCP_LISTEN; /* born where its parent is */
	tern_tcb_enter(tcp, tcb, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_COOKIE);
	return tcb;
}

/* --- segments for a listener ------------------------------------------------------------------ */

/* A SYN: a half-open connection, a cookie, or nothing. */
static void syn_input(struct listener *l, const struct arrival *a, uint32_t iss_floor)
{
	struct tcp *tcp = a->tcp;
	const struct ip_in *in = a->in;
	const struct tcp_segment *seg = a->seg;
	/* A cookie's ISN lies where it must, which may be among a former connection's numbers. */
	int32_t cookies = iss_floor ? 0 : tcp->core->set.tcp_syncookies;
	enum tern_drop why = seg->flags & TCP_FIN
				     ? TERN_DROP_TCP_FLAGS
				     : tern_listen_refuses(tcp, l, &in->src); /* third */
	bool full = why == TERN_DROP_TCP_SYN_BACKLOG || why == TERN_DROP_TCP_SYN_SOURCE;
	if (full && cookies)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPReqQFullDoCookies);
	if ((full && cookies == 1) || (cookies == 2 && (full || !why))) {
		tern_cookie_send(tcp, l, in, seg);
		return;
	}
	if (!why) {
		if (tern_half_open_begin(a, l, iss_floor))
			return;
		why = TERN_DROP_TCP_MEMORY;
	}
	if (full)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPReqQFullDrop);
	if (why == TERN_DROP_TCP_LISTEN_OVERFLOW)
		core_count(tcp->core, TERN_COUNT_TcpExtListenOverflows);
	core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
	tern_tcp_drop(tcp, NULL, why);
}

struct tcb *tern_listen_input(struct listener *l, struct arrival *a, uint32_t iss_floor)
{
	struct tcp *tcp = a->tcp;
	const struct tcp_segment *seg = a->seg;
	tern_listen_settle_window(tcp, l);
	if (seg->flags & TCP_RST) { /* first */
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_RST);
		return NULL;
	}
	if (seg->flags & TCP_ACK && !(seg->flags & TCP_SYN)) /* second: nothing we remember */
		return accept_cookie(l, a);
	if (seg->flags & TCP_ACK) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_ACK);
		tern_reset_reply(tcp, a->in, seg);
		return NULL;
	}
	if (seg->flags & TCP_SYN)
		syn_input(l, a, iss_floor);
	else /* fourth */
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_NO_SYN);
	return NULL;
}
