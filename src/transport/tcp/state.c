/* The state machine's one writer (RFC 9293 3.3.2, figure 5). */
#include <assert.h>
#include "transport/tcp/tcp.h"

/*
 * The legal edges. Beyond figure 5: any state may fall to CLOSED (reset, timeout, abort); SYN_SENT
 * may pass to ESTABLISHED directly. A listener's child is born in LISTEN.
 * DEVIATES: LISTEN to SYN_SENT (SEND on a passive socket, 3.10.2) is left out: listeners here
 * have no peer to send to, as in every sockets API.
 */
static const uint16_t edges[TERN_TCP_STATES] = {
	[TERN_TCP_CLOSED] = STATE(LISTEN) | STATE(SYN_SENT),
	[TERN_TCP_LISTEN] = STATE(CLOSED) | STATE(SYN_RECEIVED),
	[TERN_TCP_SYN_SENT] = STATE(CLOSED) | STATE(SYN_RECEIVED) | STATE(ESTABLISHED),
	[TERN_TCP_SYN_RECEIVED] = STATE(CLOSED) | STATE(ESTABLISHED) | STATE(FIN_WAIT_1),
	[TERN_TCP_ESTABLISHED] = STATE(CLOSED) | STATE(FIN_WAIT_1) | STATE(CLOSE_WAIT),
	[TERN_TCP_FIN_WAIT_1] =
		STATE(CLOSED) | STATE(FIN_WAIT_2) | STATE(CLOSING) | STATE(TIME_WAIT),
	[TERN_TCP_FIN_WAIT_2] = STATE(CLOSED) | STATE(TIME_WAIT),
	[TERN_TCP_CLOSE_WAIT] = STATE(CLOSED) | STATE(LAST_ACK),
	[TERN_TCP_CLOSING] = STATE(CLOSED) | STATE(TIME_WAIT),
	[TERN_TCP_LAST_ACK] = STATE(CLOSED),
	[TERN_TCP_TIME_WAIT] = STATE(CLOSED),
};

static const char *const names[TERN_TCP_STATES] = {
	"CLOSED",
	"LISTEN",
	"SYN_SENT",
	"SYN_RECEIVED",
	"ESTABLISHED",
	"FIN_WAIT_1",
	"FIN_WAIT_2",
	"CLOSE_WAIT",
	"CLOSING",
	"LAST_ACK",
	"TIME_WAIT",
};

const char *tern_tcp_state_name(enum tern_tcp_state state)
{
	return state < TERN_TCP_STATES ? names[state] : "?";
}

bool tern_tcp_edge_legal(enum tern_tcp_state from, enum tern_tcp_state to)
{
	return from < TERN_TCP_STATES && to < TERN_TCP_STATES && edges[from] >> to & 1;
}

static void count_edge(struct core *core, enum tern_tcp_state from, enum tern_tcp_state to)
{
	if (from == TERN_TCP_CLOSED && to == TERN_TCP_SYN_SENT)
		core_count(core, TERN_COUNT_TcpActiveOpens);
	if (from == TERN_TCP_LISTEN && to == TERN_TCP_SYN_RECEIVED)
		core_count(core, TERN_COUNT_TcpPassiveOpens);
	if (to == TERN_TCP_TIME_WAIT)
		core_count(core, TERN_COUNT_TcpExtTW);
	if (to != TERN_TCP_CLOSED)
		return;
	if (from == TERN_TCP_SYN_SENT || from == TERN_TCP_SYN_RECEIVED)
		core_count(core, TERN_COUNT_TcpAttemptFails);
	if (from == TERN_TCP_ESTABLISHED || from == TERN_TCP_CLOSE_WAIT)
		core_count(core, TERN_COUNT_TcpEstabResets);
}

void tern_state_stub(struct tcp *tcp, const struct tern_trace_conn *conn, enum tern_tcp_state from,
	enum tern_cause cause)
{
	assert(tern_tcp_edge_legal(from, conn->state));
	count_edge(tcp->core, from, conn->state);
	tern_trace_stub_state(tcp, conn, from, cause);
}

void tern_tcb_enter(struct tcp *tcp, struct tcb *tcb, enum tern_tcp_state to, enum tern_cause cause)
{
	enum tern_tcp_state from = tcb->state;
	assert(tern_tcp_edge_legal(from, to));
	tcb->state = to & 0xfu;
	tcb->state_at = now_s(tcp);
	count_edge(tcp->core, from, to);
	tcp->time_waits += to == TERN_TCP_TIME_WAIT;
	tcp->time_waits -= from == TERN_TCP_TIME_WAIT;
	if (to == TERN_TCP_TIME_WAIT && tern_timewait_overflow(tcp))
		core_count(tcp->core, TERN_COUNT_TcpExtTCPTimeWaitOverflow);
	tern_orphan_count(tcp, tcb);
	tern_trace_state(tcp, tcb, from, cause);
	if (to == TERN_TCP_TIME_WAIT)
		tern_timer_time_wait(tcp, tcb);
	if (to == TERN_TCP_FIN_WAIT_2)
		tern_timer_fin_wait_2(tcp, tcb);
}
