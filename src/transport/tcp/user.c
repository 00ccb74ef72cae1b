/* The user calls of RFC 9293 3.10.1 to 3.10.6: OPEN, SEND, RECEIVE, CLOSE, ABORT, STATUS. */
#include <string.h>
#include "transport/tcp/tcp.h"

struct tcb *tern_tcb_of(const struct tcp *tcp, struct tern_conn conn)
{
	struct tcb *tcb = tern_pool_at(&tcp->tcbs, conn.slot);
	if (!tcb || tcb->generation != conn.generation ||
		tcb->flags & (TCB_ORPHAN | TCB_UNACCEPTED))
		return NULL;
	return tcb;
}

static struct tern_conn handle(const struct tcp *tcp, const struct tcb *tcb)
{
	return (struct tern_conn){tern_pool_slot(&tcp->tcbs, tcb), tcb->generation};
}

/* --- active OPEN ------------------------------------------------------------------------- */

static int choose_local(struct tcp *tcp, const struct tern_connect_opts *opts,
	struct tcb_endpoints *ends)
{
	*ends = (struct tcb_endpoints){opts->local, opts->remote};
	if (tern_addr_is_unspecified(&ends->local.addr)) {
		int err = tern_ip_source(tcp->ip, &opts->remote.addr, &ends->local.addr);
		if (err != 0)
			return err;
	}
	struct tcp_pair pair = tern_pair(tcp, &ends->local.addr, ends->local.port,
		&ends->remote.addr, ends->remote.port);
	if (ends->local.port == 0)
		ends->local.port = tern_port_pick(tcp, &ends->local.addr, &opts->remote);
	else if (tern_demux_used(tcp, &pair))
		return TERN_EADDRINUSE;
	return ends->local.port ? 0 : TERN_EADDRNOTAVAIL;
}

int tern_tcp_connect(struct tern_stack *stack, const struct tern_connect_opts *opts,
	struct tern_conn *out)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb_endpoints ends;
	if (opts->remote.port == 0 || tern_addr_is_unspecified(&opts->remote.addr))
		return TERN_EINVAL;
	if (tern_ip_is_group(tcp->ip, &opts->remote.addr))
		return TERN_ENETUNREACH;
	int err = choose_local(tcp, opts, &ends);
	if (err != 0)
		return err;
	struct tcb *tcb = tern_tcb_new(tcp, &ends, &err);
	if (!tcb)
		return err;
	if (opts->rcvbuf)
		tern_tcb_fix_rcvbuf(tcb, opts->rcvbuf);
	if (opts->sndbuf)
		tern_tcb_fix_sndbuf(tcb, opts->sndbuf);
	tern_tcb_offer(tcp, tcb);
	tcb->user = opts->user;
	tcb->flags |= TCB_SYN_DUE | TCB_WANT_WRITE;
	tcb->snd.iss =
		tern_isn(tcp, &tcb->path->src, tcb->local_port, &tcb->path->dst, tcb->remote_port);
	tcb->snd.una = tcb->snd.nxt = tcb->snd.iss;
	tern_tcb_enter(tcp, tcb, TERN_TCP_SYN_SENT, TERN_CAUSE_OPEN_ACTIVE);
	tern_want_send(tcp, tcb);
	*out = handle(tcp, tcb);
	return 0;
}

/* --- SEND ------------------------------------------------------------------------------------ */

#define MAY_SEND (STATE(SYN_SENT) | STATE(SYN_RECEIVED) | STATE(ESTABLISHED) | STATE(CLOSE_WAIT))

static int may_send(const struct tcb *tcb)
{
	if (tcb->error)
		return tcb->error;
	if (tcb->flags & TCB_FIN_QUEUED)
		return TERN_EPIPE;
	return tcb_in(tcb, MAY_SEND) ? 0 : TERN_EPIPE;
}

/* The connection of a handle, if it takes data; else why not. */
static int sender(const struct tcp *tcp, struct tern_conn conn, struct tcb **tcb)
{
	*tcb = tern_tcb_of(tcp, conn);
	return *tcb ? may_send(*tcb) : TERN_ESTALE;
}

/* Memory is short and nothing of ours is in flight that would free some: look again later. */
static void wait_for_memory(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->send.len == 0)
		tern_timer_starved(tcp, tcb);
}

static void sent(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb_in(tcb, STATE(ESTABLISHED) | STATE(CLOSE_WAIT)))
		tern_want_send(tcp, tcb);
}

/* Without memory for a side block, what is only a hint is not heeded. */
static void note_more(struct tcp *tcp, struct tcb *tcb, bool more)
{
	struct tcb_side *side = more ? tern_tcb_side(tcp, tcb) : tcb->side;
	if (side)
		side->more = side->hold = more;
}

static ptrdiff_t append(struct tcp *tcp, struct tcb *tcb, const void *data, size_t len,
	unsigned flags)
{
	size_t room = tern_send_room(tcp, tcb), want = len < room ? len : room;
	bool record = flags & TERN_SEND_EOR && want && want == len;
	tern_seq begin = tcb_data_end(tcb);
	if (record && !tern_record_mark(tcp, tcb, len)) {
		tcb->flags |= TCB_WANT_WRITE;
		wait_for_memory(tcp, tcb);
		return TERN_EAGAIN;
	}
	size_t n = tern_ring_append(&tcb->send, &tcp->core->chunks, data, want);
	if (record && n < len)
		tern_record_unmark(tcp, tcb, begin, len);
	if (n < len)
		tcb->flags |= TCB_WANT_WRITE;
	if (n < want)
		wait_for_memory(tcp, tcb);
	if (n == 0)
		return len ? TERN_EAGAIN : 0;
	note_more(tcp, tcb, flags & TERN_SEND_MORE);
	sent(tcp, tcb);
	return (ptrdiff_t)n;
}

ptrdiff_t tern_tcp_send(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len, unsigned flags)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb;
	if (flags & ~(unsigned)(TERN_SEND_EOR | TERN_SEND_MORE))
		return TERN_EINVAL;
	int err = sender(tcp, conn, &tcb);
	return err ? err : append(tcp, tcb, data, len, flags);
}

ptrdiff_t tern_tcp_write(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len)
{
	return tern_tcp_send(stack, conn, data, len, 0);
}

ptrdiff_t tern_tcp_write_urgent(struct tern_stack *stack, struct tern_conn conn, const void *data,
	size_t len)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	ptrdiff_t n = tern_tcp_write(stack, conn, data, len);
	if (n <= 0)
		return n;
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	struct tcb_side *side = tern_tcb_side(tcp, tcb);
	if (side) {
		side->snd_up = tcb_data_end(tcb);
		tcb->flags |= TCB_URGENT_OUT;
	}
	return n;
}

int tern_tcp_room(struct tern_stack *stack, struct tern_conn conn, size_t len,
	struct tern_span *spans, unsigned max)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb;
	int err = sender(tcp, conn, &tcb);
	if (err != 0)
		return err;
	size_t room = tern_send_room(tcp, tcb), want = len < room ? len : room;
	if (want < len)
		tcb->flags |= TCB_WANT_WRITE;
	if (want == 0)
		return 0;
	unsigned n =
		tern_ring_room(&tcb->send, &tcp->core->chunks, tcb->send.len, want, spans, max);
	if (n == 0) {
		tcb->flags |= TCB_WANT_WRITE;
		wait_for_memory(tcp, tcb);
	}
	return (int)n;
}

int tern_tcp_commit(struct tern_stack *stack, struct tern_conn conn, size_t n)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb;
	int err = sender(tcp, conn, &tcb);
	if (err != 0)
		return err;
	if (n > tern_send_room(tcp, tcb) || n > tern_ring_lent(&tcb->send))
		return TERN_EINVAL;
	tern_ring_extend(&tcb->send, (uint32_t)n);
	if (tcb->send.len)
		tern_ring_forget(&tcb->send, &tcp->core->chunks, tcb->send.len);
	else
		tern_ring_clear(&tcb->send, &tcp->core->chunks);
	if (n) {
		note_more(tcp, tcb, false);
		sent(tcp, tcb);
	}
	return 0;
}

/* --- RECEIVE ------------------------------------------------------------------------- */

/* What an empty receive ring means. */
static int nothing_to_read(struct tcb *tcb)
{
	/* A reset took away what was not read yet: it must not look like the end of the stream. */
	if (tcb->error == TERN_ECONNRESET)
		return tcb->error;
	if (tcb->flags & TCB_FIN_RECEIVED)
		return 0;
	if (tcb->error)
		return tcb->error;
	if (tcb->state == TERN_TCP_CLOSED)
		return 0;
	tcb->flags |= TCB_WANT_READ;
	return TERN_EAGAIN;
}

static void taken(struct tcp *tcp, struct tcb *tcb, uint32_t n)
{
	tern_ring_consume(&tcb->receive, &tcp->core->chunks, n);
	if (tcb->receive.len == 0) {
		tcb->flags |= TCB_WANT_READ;
		if (!tcb->side || !tcb->side->ranges.count)
			tern_ring_clear(&tcb->receive, &tcp->core->chunks);
	}
	if (tcb->flags & TCB_URGENT_IN && tcb->side &&
		seq_leq(tcb->side->rcv_up, tcb_read_next(tcb)))
		tcb->flags &= ~TCB_URGENT_IN;
	tern_window_taken(tcp, tcb, n);
}

ptrdiff_t tern_tcp_read(struct tern_stack *stack, struct tern_conn conn, void *data, size_t len)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	if (tcb->receive.len == 0)
		return nothing_to_read(tcb);
	uint32_t n = (uint32_t)(len < tcb->receive.len ? len : tcb->receive.len);
	tern_ring_copy(&tcb->receive, 0, data, n);
	taken(tcp, tcb, n);
	return (ptrdiff_t)n;
}

int tern_tcp_peek(const struct tern_stack *stack, struct tern_conn conn, struct tern_span *spans,
	unsigned max)
{
	const struct tcp *tcp = tern_stack_tcp_const(stack);
	const struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	return (int)tern_ring_spans(&tcb->receive, 0, tcb->receive.len, spans, max);
}

int tern_tcp_consume(struct tern_stack *stack, struct tern_conn conn, size_t n)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	if (n > tcb->receive.len)
		return TERN_EINVAL;
	taken(tcp, tcb, (uint32_t)n);
	return 0;
}

/* --- CLOSE and ABORT ----------------------------------------------------------------- */

/* RFC 9293 3.10.4, by state. */
static void queue_fin(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->flags & TCB_FIN_QUEUED)
		return;
	tcb->flags |= TCB_FIN_QUEUED;
	switch ((enum tern_tcp_state)tcb->state) {
	case TERN_TCP_SYN_RECEIVED:
	case TERN_TCP_ESTABLISHED:
		tern_tcb_enter(tcp, tcb, TERN_TCP_FIN_WAIT_1, TERN_CAUSE_CLOSE);
		break;
	case TERN_TCP_CLOSE_WAIT:
		tern_tcb_enter(tcp, tcb, TERN_TCP_LAST_ACK, TERN_CAUSE_CLOSE);
		break;
	case TERN_TCP_CLOSED:
	case TERN_TCP_LISTEN:
	case TERN_TCP_SYN_SENT:
	case TERN_TCP_FIN_WAIT_1:
	case TERN_TCP_FIN_WAIT_2:
	case TERN_TCP_CLOSING:
	case TERN_TCP_LAST_ACK:
	case TERN_TCP_TIME_WAIT:
		return;
	}
	tern_want_send(tcp, tcb);
}

int tern_tcp_shutdown(struct tern_stack *stack, struct tern_conn conn)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	if (tcb->state == TERN_TCP_CLOSED)
		return tcb->error ? tcb->error : 0;
	if (tcb->state == TERN_TCP_SYN_SENT)
		return TERN_ENOTCONN;
	queue_fin(tcp, tcb);
	return 0;
}

static void reset_and_free(struct tcp *tcp, struct tcb *tcb)
{
	tcb->flags |= TCB_ORPHAN;
	if (tcb->state == TERN_TCP_CLOSED) {
		tern_tcb_free(tcp, tcb);
		return;
	}
	/* RFC 9293 3.10.5: in CLOSING, LAST_ACK and TIME_WAIT there is nothing left to reset. */
	if (tcb_in(tcb, STATE(SYN_RECEIVED) | STATE(ESTABLISHED) | STATE(FIN_WAIT_1) |
				STATE(FIN_WAIT_2) | STATE(CLOSE_WAIT)))
		tern_reset_send(tcp, tcb);
	tern_tcb_die(tcp, tcb, TERN_ECONNABORTED, TERN_CAUSE_ABORT);
}

int tern_tcp_abort(struct tern_stack *stack, struct tern_conn conn)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	reset_and_free(tcp, tcb);
	return 0;
}

int tern_tcp_close(struct tern_stack *stack, struct tern_conn conn)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	bool unread = tcb->receive.len || (tcb->side && tcb->side->ranges.count);
	if (unread && tcb_in(tcb, SYNCHRONIZED))
		core_count(tcp->core, TERN_COUNT_TcpExtTCPAbortOnData);
	if (unread || tcb_in(tcb, STATE(CLOSED) | STATE(SYN_SENT))) {
		reset_and_free(tcp, tcb);
		return 0;
	}
	if (tcb->state == TERN_TCP_FIN_WAIT_2 && tcb->side && tcb->side->choice.linger2 < 0) {
		core_count(tcp->core, TERN_COUNT_TcpExtTCPAbortOnLinger);
		reset_and_free(tcp, tcb);
		return 0;
	}
	tcb->flags |= TCB_ORPHAN;
	tern_orphan_count(tcp, tcb);
	tern_notice_cancel(tcp->core, &tcb->notice);
	if (tcb->flags & TCB_ORPHAN_COUNTED &&
		tcp->orphans > (uint32_t)tcp->core->set.tcp_max_orphans) {
		core_count(tcp->core, TERN_COUNT_TcpExtTCPAbortOnMemory);
		reset_and_free(tcp, tcb);
		return 0;
	}
	tern_timer_fin_wait_2(tcp, tcb);
	queue_fin(tcp, tcb);
	tern_timewait_settle(tcp, tcb);
	return 0;
}

int tern_tcp_set_user(struct tern_stack *stack, struct tern_conn conn, void *user)
{
	struct tcb *tcb = tern_tcb_of(tern_stack_tcp(stack), conn);
	if (!tcb)
		return TERN_ESTALE;
	tcb->user = user;
	return 0;
}

/* --- events -------------------------------------------------------------------------- */

bool tern_tcp_event(struct tcp *tcp, struct notice *notice, struct tern_event *event)
{
	struct tcb *tcb = tcb_of_notice(notice);
	/* In the order of life: CONNECTED first, ERROR last. */
	unsigned kind = (unsigned)__builtin_ctz(notice->pending);
	notice->pending &= (uint16_t)~NOTICE(kind);
	*event = (struct tern_event){
		.kind = kind,
		.error = kind == TERN_EV_ERROR ? tcb->error : 0,
		.user = tcb->user,
		.conn = handle(tcp, tcb),
	};
	return true;
}
