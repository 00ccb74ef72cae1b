/*
 * LISTEN (RFC 9293 3.10.7.2) and the two queues behind it: half-open children, and established
 * ones that wait to be accepted. Children hang in both by their notices, which nobody needs before
 * accept. (syncache.c and cookie.c will take half-open connections out of TCBs.)
 */
#include "transport/tcp/tcp.h"

struct list {
	struct notice **head, ***tail;
	uint32_t *count;
};

static struct list half(struct listener *l)
{
	return (struct list){&l->half, &l->half_tail, &l->half_open};
}

static struct list queue(struct listener *l)
{
	return (struct list){&l->queue, &l->queue_tail, &l->queued};
}

static void append(struct list list, struct notice *n)
{
	n->next = NULL;
	n->link = *list.tail;
	**list.tail = n;
	*list.tail = &n->next;
	(*list.count)++;
}

static void take(struct list list, struct notice *n)
{
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	else
		*list.tail = n->link;
	n->link = NULL;
	(*list.count)--;
}

static uint16_t *from_source(struct tcp *tcp, const struct tern_addr *source)
{
	uint64_t hash = tern_siphash13(&tcp->table_key, source, sizeof *source);
	return &tcp->syn_source[hash % SYN_SOURCES];
}

static void enter_half(struct tcp *tcp, struct listener *l, struct tcb *tcb)
{
	append(half(l), &tcb->notice);
	++*from_source(tcp, &tcb->path->dst);
}

static void leave_half(struct tcp *tcp, struct listener *l, struct tcb *tcb)
{
	take(half(l), &tcb->notice);
	--*from_source(tcp, &tcb->path->dst);
}

static struct listener *parent(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_demux_listener(tcp, &tcb->path->src, tcb->local_port);
}

static bool half_open(const struct tcb *tcb)
{
	return tcb_syn_unacked(tcb);
}

void tern_listen_forget(struct tcp *tcp, struct tcb *tcb)
{
	struct listener *l = parent(tcp, tcb);
	tcb->flags &= ~TCB_UNACCEPTED;
	if (half_open(tcb))
		leave_half(tcp, l, tcb);
	else
		take(queue(l), &tcb->notice);
	tern_trace_queue(tcp, l);
}

/* Linux's capacity: backlog + 1. */
static bool accept_queue_full(const struct listener *l)
{
	return l->queued > l->backlog;
}

bool tern_listen_established(struct tcp *tcp, struct tcb *tcb)
{
	struct listener *l = parent(tcp, tcb);
	if (accept_queue_full(l)) {
		core_count(tcp->core, TERN_COUNT_TcpExtListenOverflows);
		core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
		return false;
	}
	leave_half(tcp, l, tcb);
	append(queue(l), &tcb->notice);
	tern_trace_queue(tcp, l);
	tern_notice_raise(tcp->core, &l->notice, NOTICE(TERN_EV_ACCEPT));
	return true;
}

/* The accept queue's head, handed to the application. */
struct tcb *tern_listen_take(struct tcp *tcp, struct listener *l)
{
	if (!l->queue)
		return NULL;
	struct tcb *tcb = tcb_of_notice(l->queue);
	uint16_t pending = tcb->notice.pending;
	tcb->flags &= ~TCB_UNACCEPTED;
	take(queue(l), &tcb->notice);
	tern_trace_queue(tcp, l);
	tcb->notice.pending = 0;
	if (pending)
		tern_notice_raise(tcp->core, &tcb->notice, pending);
	return tcb;
}

void tern_listen_reset_all(struct tcp *tcp, struct listener *l)
{
	while (l->half || l->queue) {
		struct tcb *tcb = tcb_of_notice(l->half ? l->half : l->queue);
		tern_reset_send(tcp, tcb);
		tern_tcb_die(tcp, tcb, TERN_ECONNABORTED, TERN_CAUSE_ABORT);
	}
}

/* The child of a SYN, in SYN_RECEIVED; NULL when memory is short. */
static struct tcb *child(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *seg)
{
	int err;
	struct tcb_endpoints ends = {{in->dst, seg->dst_port}, {in->src, seg->src_port}};
	struct tcb *tcb = tern_tcb_new(tcp, &ends, &err);
	if (!tcb)
		return NULL;
	tcb->flags |= TCB_PASSIVE | TCB_UNACCEPTED | TCB_SYN_DUE;
	tern_tcb_offer(tcp, tcb);
	tcb->user = l->user;
	if (l->rcvbuf)
		tern_tcb_fix_rcvbuf(tcb, l->rcvbuf);
	if (l->sndbuf)
		tern_tcb_fix_sndbuf(tcb, l->sndbuf);
	return tcb;
}

/* A half-open child of this SYN, with our ISN; NULL, counted, when memory is short. */
static struct tcb *half_open_child(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *syn)
{
	struct tcb *tcb = child(tcp, l, in, syn);
	if (!tcb) {
		core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_MEMORY);
		return NULL;
	}
	tern_open_learn(tcp, tcb, syn);
	enter_half(tcp, l, tcb);
	tcb->state = TERN_TCP_LISTEN; /* a child is born where its parent is */
	return tcb;
}

static void accept_syn(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *seg, uint32_t iss_floor)
{
	struct tcb *tcb = half_open_child(tcp, l, in, seg);
	if (!tcb)
		return;
	tern_seq isn = tern_isn(tcp, tcb);
	tcb->snd.iss = iss_floor && seq_lt(isn, seq(iss_floor)) ? seq(iss_floor) : isn;
	tcb->snd.una = tcb->snd.nxt = tcb->snd.iss;
	tern_tcb_enter(tcp, tcb, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_SYN);
	tern_trace_queue(tcp, l);
	tern_want_send(tcp, tcb);
}

/* The connection of a SYN that only the cookie in its ACK remembers; our SYN-ACK has gone out. */
static struct tcb *accept_cookie(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *ack)
{
	struct tcp_segment syn;
	if (!tern_cookie_accept(tcp, l, in, ack, &syn)) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_ACK);
		tern_reset_reply(tcp, in, ack);
		return NULL;
	}
	if (accept_queue_full(l)) { /* it will be said again */
		core_count(tcp->core, TERN_COUNT_TcpExtListenOverflows);
		core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_OVERFLOW);
		return NULL;
	}
	struct tcb *tcb = half_open_child(tcp, l, in, &syn);
	if (!tcb)
		return NULL;
	tcb->flags &= ~TCB_SYN_DUE;
	tcb->snd.iss = tcb->snd.una = seq_sub(ack->ack, 1);
	tcb->snd.nxt = ack->ack;
	tcb->rcv.adv = seq_add(tcb->rcv.nxt, tern_window_in_syn(tcb));
	tern_tcb_enter(tcp, tcb, TERN_TCP_SYN_RECEIVED, TERN_CAUSE_COOKIE);
	return tcb;
}

enum tern_drop tern_listen_refuses(struct tcp *tcp, const struct listener *l,
	const struct tern_addr *source)
{
	if (accept_queue_full(l))
		return TERN_DROP_TCP_LISTEN_OVERFLOW;
	if (l->half_open >= (uint32_t)tcp->core->set.tcp_max_syn_backlog)
		return TERN_DROP_TCP_SYN_BACKLOG;
	/* Whoever forges one address gets no more than so many SYN-ACKs again and again sent there.
	 */
	if (*from_source(tcp, source) >= tcp->core->set.tcp_max_syn_source)
		return TERN_DROP_TCP_SYN_SOURCE;
	return TERN_DROP_NONE;
}

/* A SYN: a half-open connection, a cookie, or nothing. */
static void syn_input(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *seg, uint32_t iss_floor)
{
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
		accept_syn(tcp, l, in, seg, iss_floor);
		return;
	}
	if (full)
		core_count(tcp->core, TERN_COUNT_TcpExtTCPReqQFullDrop);
	if (why == TERN_DROP_TCP_LISTEN_OVERFLOW)
		core_count(tcp->core, TERN_COUNT_TcpExtListenOverflows);
	core_count(tcp->core, TERN_COUNT_TcpExtListenDrops);
	tern_tcp_drop(tcp, NULL, why);
}

struct tcb *tern_listen_input(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	struct tcp_segment *seg, uint32_t iss_floor)
{
	if (seg->flags & TCP_RST) { /* first */
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_RST);
		return NULL;
	}
	if (seg->flags & TCP_ACK && !(seg->flags & TCP_SYN)) /* second: nothing we remember */
		return accept_cookie(tcp, l, in, seg);
	if (seg->flags & TCP_ACK) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_ACK);
		tern_reset_reply(tcp, in, seg);
		return NULL;
	}
	if (seg->flags & TCP_SYN)
		syn_input(tcp, l, in, seg, iss_floor);
	else /* fourth */
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_LISTEN_NO_SYN);
	return NULL;
}
