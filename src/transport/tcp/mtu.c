/*
 * Black holes: paths that drop packets above some size and tell nobody, so that RFC 1191 cannot
 * work (RFC 2923 2.1). Theory of operation, after RFC 4821 7.7 and Linux's tcp_mtu_probing=1: what
 * goes unanswered through tcp_retries1 timeouts, and is larger than it need be, is sent in smaller
 * segments: tcp_base_mss first, half as much at each further timeout. When that has got through,
 * larger ones are tried, one segment at a time, twice the size up to tcp_base_mss and from there
 * what the path is said to carry: so a peer who was only away costs a few small segments. When
 * one has vanished twice it is a black hole indeed; the path remembers what got through, for
 * connections to come too, and a larger segment is tried once in tcp_probe_interval.
 *
 * Only our own timer sets this off, so only who keeps our segments or their ACKs from arriving
 * can; the peer could by its MSS option have asked for as little. A path, which others may share
 * with it, is not remembered below IP_PMTU_MIN.
 */
#include "transport/tcp/tcp.h"

/* Vanished in a row, to be believed: one may have been lost like any other. */
#define FAILURES 2
/* Segments of the size in use that must fit behind a trial, so that they tell its loss. */
#define BEHIND (DUPACK_THRESHOLD)

/* Sizes are as tcb.mss has them; settings mean data beside timestamps, as Linux's do. */
static uint32_t base_size(const struct tcp *tcp, const struct tcb *tcb)
{
	return (uint32_t)tcp->core->set.tcp_base_mss + tcb_timestamp_len(tcb);
}

static uint32_t smaller(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct settings *set = &tcp->core->set;
	uint32_t base = base_size(tcp, tcb), stamp = tcb_timestamp_len(tcb);
	uint32_t floor = (uint32_t)(set->tcp_mtu_probe_floor > set->tcp_min_snd_mss
					    ? set->tcp_mtu_probe_floor
					    : set->tcp_min_snd_mss) +
			 TCP_OPTIONS_LEN_MAX;
	uint32_t size = tcb->mss > base ? base : (tcb->mss - stamp) / 2 + stamp;
	return size > floor ? size : floor;
}

/* What is to be tried next; 0: there is nothing larger. */
static uint32_t larger(const struct tcp *tcp, const struct tcb *tcb)
{
	uint32_t base = base_size(tcp, tcb), stamp = tcb_timestamp_len(tcb);
	uint32_t most = at_most(tcb->side->mtu.full, tern_tcb_path_mss(tcp, tcb));
	uint32_t size = tcb->mss < base ? at_most(base, (tcb->mss - stamp) * 2 + stamp) : most;
	size = at_most(size, most);
	return size > tcb->mss ? size : 0;
}

static void change(struct tcp *tcp, struct tcb *tcb, uint32_t mss, const char *why)
{
	uint32_t from = tcb->mss;
	tcb->mss = (uint16_t)mss;
	tern_trace_segment_size(tcp, tcb, from, why);
}

/* What would go again in one segment, bytes. */
static uint32_t first_again(const struct tcb *tcb)
{
	const struct scoreboard *b = &tcb->side->rec.board;
	uint32_t run = b->count ? seq_diff(board_end(b, 0), tcb->snd.una) : tcb_flight(tcb);
	return tern_record_limit(tcb, tcb->snd.una, at_most(run, tern_tcb_effective_mss(tcb)));
}

/* What is small already may take one more timeout, as Linux. */
static bool believable(const struct tcp *tcp, const struct tcb *tcb)
{
	return tcb->mss > base_size(tcp, tcb) || tcb->side->mtu.full ||
	       tcb->backoff > tcp->core->set.tcp_retries1;
}

void tern_mtu_doubt(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_mtu *m = &tcb->side->mtu;
	uint32_t size = smaller(tcp, tcb), less = tcb->mss - size;
	if (!tcp->core->set.tcp_mtu_probing || tcb->path->loopback || size >= tcb->mss ||
		!believable(tcp, tcb) || first_again(tcb) <= tern_tcb_effective_mss(tcb) - less)
		return;
	if (m->full == 0)
		*m = (struct tcb_mtu){.full = tcb->mss};
	m->out = m->passed = false;
	m->failed = 0;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPMTUPBlackHole);
	change(tcp, tcb, size, "black hole");
	tcb->cwnd -=
		less; /* RFC 5681 3.1: the loss window, beside what is in flight, is one segment */
}

static bool may_try(const struct tcp *tcp, const struct tcb *tcb)
{
	const struct tcb_mtu *m = &tcb->side->mtu;
	return !m->out && m->passed && tern_path_may_grow(tcp->ip, tcb->path);
}

uint32_t tern_mtu_would_try(const struct tcp *tcp, const struct tcb *tcb, uint32_t run,
	uint32_t all)
{
	uint32_t size = may_try(tcp, tcb) ? larger(tcp, tcb) : 0;
	uint32_t now = tern_tcb_effective_mss(tcb);
	if (size == 0)
		return 0;
	size = now + (size - tcb->mss);
	uint32_t enough = size + BEHIND * now;
	return run >= size && all >= enough && tcb->cwnd >= enough ? size : 0;
}

uint32_t tern_mtu_trial(struct tcp *tcp, struct tcb *tcb, uint32_t run, uint32_t all)
{
	if (may_try(tcp, tcb) && larger(tcp, tcb) == 0)
		tcb->side->mtu.full = 0;
	return tern_mtu_would_try(tcp, tcb, run, all);
}

void tern_mtu_trial_sent(struct tcb *tcb, struct range r)
{
	struct tcb_mtu *m = &tcb->side->mtu;
	m->out = true;
	m->trial = r;
	m->size = (uint16_t)(tcb->mss + seq_diff(r.hi, r.lo) - tern_tcb_effective_mss(tcb));
}

/* A trial's numbers go again: it has vanished, while smaller ones got through. */
void tern_mtu_resent(struct tcp *tcp, struct tcb *tcb, struct range r)
{
	struct tcb_mtu *m = &tcb->side->mtu;
	if (!m->out || seq_geq(r.lo, m->trial.hi) || seq_leq(r.hi, m->trial.lo))
		return;
	m->out = false;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPMTUPFail);
	if (++m->failed < FAILURES)
		return;
	m->failed = 0;
	tern_path_black_hole(tcp->ip, tcb->path, tcb->mss + IPV4_HEADER_LEN + TCP_HEADER_LEN,
		(uint64_t)tcp->core->set.tcp_probe_interval * 1000 * MS);
}

void tern_mtu_acked(struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_mtu *m = &tcb->side->mtu;
	m->passed = true;
	if (!m->out || seq_lt(tcb->snd.una, m->trial.hi))
		return;
	/* The path, and with it what is larger, may have become another meanwhile. */
	uint32_t size = at_most(m->size, tern_tcb_path_mss(tcp, tcb));
	m->out = false;
	m->failed = 0;
	if (size <= tcb->mss)
		return;
	core_count(tcp->core, TERN_COUNT_TcpExtTCPMTUPSuccess);
	change(tcp, tcb, size, "larger again");
	if (tcb->cwnd < size) /* RFC 5681 3.1: the loss window is a full segment */
		tcb->cwnd = size;
	tern_path_black_hole_passed(tcp->ip, tcb->path, size + IPV4_HEADER_LEN + TCP_HEADER_LEN);
	if (larger(tcp, tcb) == 0)
		m->full = 0;
}

/* A connection opens: what the path is known to carry. */
void tern_mtu_open(struct tcp *tcp, struct tcb *tcb)
{
	uint32_t mtu = tcp->core->set.tcp_mtu_probing ? tern_path_black_hole_mtu(tcb->path) : 0;
	if (!tcb->side)
		return;
	tcb->side->mtu.full = 0;
	if (mtu == 0)
		return;
	uint32_t mss = mtu - IPV4_HEADER_LEN - TCP_HEADER_LEN;
	if (mss >= tcb->mss)
		return;
	tcb->side->mtu = (struct tcb_mtu){.full = tcb->mss, .passed = true};
	change(tcp, tcb, mss, "black hole known");
}
