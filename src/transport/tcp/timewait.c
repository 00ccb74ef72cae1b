/*
 * TIME_WAIT (RFC 9293 3.3.2, 3.10.7.4): how a TCB shrinks to an entry, what segments do to it, and
 * who may take the pair over before 2MSL have passed (RFC 6191).
 */
#include <string.h>
#include "transport/tcp/tcp.h"

#define EXPIRE_MAX   1024          /* a call */
#define NEAR         (1000 * 1000) /* us: so much longer than it should one may wait */
#define BUDGET_SHARE 5             /* of all memory, the most that entries take */

void tern_timewait_init(struct tcp *tcp)
{
	struct time_waits *w = &tcp->waits;
	tern_pool_init(&w->pool, &tcp->core->mem, sizeof(struct time_wait), 14, TIME_WAIT_NONE);
	tern_htab_init(&w->table, &tcp->core->mem);
	w->oldest = w->youngest = TIME_WAIT_NONE;
}

bool tern_timewait_overflow(const struct tcp *tcp)
{
	size_t share = tcp->core->mem.budget / BUDGET_SHARE;
	return tcp->time_waits > (uint32_t)tcp->core->set.tcp_max_tw_buckets ||
	       tcp->time_waits * sizeof(struct time_wait) > share;
}

/* --- the queue and the table ---------------------------------------------------------------- */

static struct time_wait *at(const struct tcp *tcp, uint32_t slot)
{
	return slot == TIME_WAIT_NONE ? NULL : tern_pool_at(&tcp->waits.pool, slot);
}

static void leave(struct tcp *tcp, const struct time_wait *w)
{
	struct time_wait *before = at(tcp, w->prev), *after = at(tcp, w->next);
	if (before)
		before->next = w->next;
	else
		tcp->waits.oldest = w->next;
	if (after)
		after->prev = w->prev;
	else
		tcp->waits.youngest = w->prev;
}

static void join(struct tcp *tcp, struct time_wait *w)
{
	uint32_t slot = tern_pool_slot(&tcp->waits.pool, w);
	struct time_wait *last = at(tcp, tcp->waits.youngest);
	w->prev = tcp->waits.youngest & TIME_WAIT_NONE;
	w->next = TIME_WAIT_NONE;
	if (last)
		last->next = slot & TIME_WAIT_NONE;
	else
		tcp->waits.oldest = slot;
	tcp->waits.youngest = slot;
}

static uint32_t hash_of(const struct tcp *tcp, const struct time_wait *w)
{
	return (uint32_t)tern_pair(tcp, &w->path->src, w->local_port, &w->path->dst, w->remote_port)
		.hash;
}

struct time_wait *tern_timewait_find(const struct tcp *tcp, const struct tcp_pair *pair)
{
	if (tcp->waits.oldest == TIME_WAIT_NONE)
		return NULL;
	struct htab_probe probe = tern_htab_probe(&tcp->waits.table, (uint32_t)pair->hash);
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct time_wait *w = at(tcp, slot);
		if (w->remote_port == pair->remote_port && w->local_port == pair->local_port &&
			memcmp(&w->path->dst, pair->remote, sizeof *pair->remote) == 0 &&
			memcmp(&w->path->src, pair->local, sizeof *pair->local) == 0)
			return w;
	}
	return NULL;
}

struct stub tern_timewait_stub(const struct time_wait *w)
{
	return (struct stub){
		.conn = {.handle = TERN_NO_CONN,
			.local = {w->path->src, w->local_port},
			.remote = {w->path->dst, w->remote_port},
			.state = TERN_TCP_TIME_WAIT,
			.iss = w->iss.v,
			.irs = w->irs.v,
			.snd_una = w->snd_nxt.v,
			.snd_nxt = w->snd_nxt.v,
			.rcv_nxt = w->rcv_nxt.v},
		.window = (uint32_t)w->window << w->rcv_wscale,
		.window_field = w->window,
		.timestamps = w->timestamps,
		.dscp = w->dscp,
		.ts_recent = w->ts_recent,
		.replied = w->replied,
	};
}

/* --- from TCB to entry ----------------------------------------------------------------------- */

static void trace_timer(struct tcp *tcp, const struct time_wait *w, bool fired)
{
	struct stub s = tern_timewait_stub(w);
	tern_trace_stub_timer(tcp, &s.conn, TERN_TIMER_TIME_WAIT, fired,
		fired ? tcp->core->now : us_to_ns(tcp, w->due));
}

/* When it may go: no sooner than the last in the queue. False if that would be much too late: its
 * program kept it long after the wait began. */
static bool fit_in(struct tcp *tcp, struct tcb *tcb, uint32_t *due)
{
	const struct time_wait *last = at(tcp, tcp->waits.youngest);
	*due = us_at(tcp, tcp->core->now + tern_timer_linger_left(tcp, tcb));
	int32_t late = last ? (int32_t)(last->due - *due) : 0;
	if (late > NEAR)
		return false;
	if (late > 0)
		*due = last->due;
	return true;
}

static void fill(struct time_wait *w, const struct tcb *tcb, uint32_t due)
{
	*w = (struct time_wait){
		.path = tcb->path,
		.local_port = tcb->local_port,
		.remote_port = tcb->remote_port,
		.iss = tcb->snd.iss,
		.irs = tcb->rcv.irs,
		.snd_nxt = tcb->snd.nxt,
		.rcv_nxt = tcb->rcv.nxt,
		.ts_recent = tcb->ts_recent,
		.due = due,
		.dscp = tcb->dscp,
		.window = (uint16_t)at_most(tcb_offered(tcb) >> tcb->rcv_wscale, UINT16_MAX),
		.rcv_wscale = tcb->rcv_wscale,
		.timestamps = !!(tcb->flags & TCB_TIMESTAMPS),
	};
}

bool tern_timewait_settle(struct tcp *tcp, struct tcb *tcb)
{
	uint32_t due;
	if (tcb->state != TERN_TCP_TIME_WAIT || !(tcb->flags & TCB_ORPHAN) || tcb->send_link ||
		!fit_in(tcp, tcb, &due))
		return false;
	struct time_wait *w = tern_pool_get(&tcp->waits.pool);
	if (!w)
		return false;
	fill(w, tcb, due);
	uint32_t slot = tern_pool_slot(&tcp->waits.pool, w);
	if (tern_htab_insert(&tcp->waits.table, hash_of(tcp, w), slot) != 0) {
		tern_pool_put(&tcp->waits.pool, w);
		return false;
	}
	join(tcp, w);
	w->path->refs++;
	tern_tcb_free(tcp, tcb);
	trace_timer(tcp, w, false);
	return true;
}

/* --- its end -------------------------------------------------------------------------------- */

static void end(struct tcp *tcp, struct time_wait *w, enum tern_cause cause)
{
	struct stub s = tern_timewait_stub(w);
	leave(tcp, w);
	tern_htab_remove(&tcp->waits.table, hash_of(tcp, w), tern_pool_slot(&tcp->waits.pool, w));
	tern_path_put(tcp->ip, w->path);
	tern_pool_put(&tcp->waits.pool, w);
	tcp->time_waits--;
	s.conn.state = TERN_TCP_CLOSED;
	tern_state_stub(tcp, &s.conn, TERN_TCP_TIME_WAIT, cause);
}

void tern_timewait_fini(struct tcp *tcp)
{
	struct time_waits *waits = &tcp->waits;
	for (struct time_wait *w; (w = at(tcp, waits->oldest)) != NULL;)
		end(tcp, w, TERN_CAUSE_ABORT);
	tern_htab_fini(&waits->table);
	tern_pool_fini(&waits->pool);
}

uint64_t tern_timewait_left(const struct tcp *tcp, const struct time_wait *w)
{
	uint64_t at = us_to_ns(tcp, w->due);
	return at > tcp->core->now ? at - tcp->core->now : 0;
}

void tern_timewait_advance(struct tcp *tcp)
{
	for (unsigned i = 0; i < EXPIRE_MAX; i++) {
		struct time_wait *w = at(tcp, tcp->waits.oldest);
		if (!w || tern_timewait_left(tcp, w))
			return;
		trace_timer(tcp, w, true);
		end(tcp, w, TERN_CAUSE_2MSL);
	}
}

uint64_t tern_timewait_deadline(const struct tcp *tcp)
{
	const struct time_wait *w = at(tcp, tcp->waits.oldest);
	return w ? us_to_ns(tcp, w->due) : TERN_NEVER;
}

/* --- reuse ---------------------------------------------------------------------------------- */

/* What the old connection left, wherever it is kept. */
struct remains {
	bool timestamps;
	uint32_t ts_recent;
	tern_seq snd_nxt, rcv_nxt;
};

/* RFC 6191 2: a newer timestamp, or without timestamps a higher sequence number. */
static bool syn_is_newer(const struct tcp_segment *syn, const struct remains *old)
{
	bool stamped = syn->options.has & TCP_OPT_TIMESTAMP;
	if (old->timestamps && stamped) {
		int32_t newer = (int32_t)(syn->options.tsval - old->ts_recent);
		if (newer != 0)
			return newer > 0;
	}
	return seq_gt(syn->seq, old->rcv_nxt);
}

/* Where the new connection's ISN must lie beyond; 0 if the SYN may not replace the old one. */
static uint32_t floor_for(const struct arrival *a, const struct remains *old)
{
	uint16_t flags = a->seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);
	if (flags != TCP_SYN || !syn_is_newer(a->seg, old))
		return 0;
	const struct listener *l = tern_demux_listener(a->tcp, &a->in->dst, a->seg->dst_port);
	if (!l || tern_listen_refuses(a->tcp, l, &a->in->src) != TERN_DROP_NONE ||
		!tern_syncache_room(a->tcp, &a->pair))
		return 0;
	/* Beyond anything the old connection sent, as its peer could still hold it (MUST: larger
	 * ISN). */
	uint32_t floor = old->snd_nxt.v + UINT16_MAX + 2;
	core_count(a->tcp->core, TERN_COUNT_TcpExtTWRecycled);
	return floor ? floor : 1;
}

bool tern_timewait_reuse(struct arrival *a, uint32_t *iss_floor)
{
	const struct tcb *tcb = a->tcb;
	struct remains old = {tcb->flags & TCB_TIMESTAMPS, tcb->ts_recent, tcb->snd.nxt,
		tcb->rcv.nxt};
	*iss_floor = floor_for(a, &old);
	if (*iss_floor == 0)
		return false;
	tern_tcb_die(a->tcp, a->tcb, 0, TERN_CAUSE_REUSED);
	a->tcb = NULL;
	return true;
}

/* --- a segment for it ------------------------------------------------------------------------ */

/* "Acknowledge it, and restart the 2 MSL timeout." */
static void restart(struct tcp *tcp, struct time_wait *w)
{
	leave(tcp, w);
	w->due = us_at(tcp, tcp->core->now + tern_timer_wait_2msl(tcp));
	const struct time_wait *last = at(tcp, tcp->waits.youngest);
	if (last && (int32_t)(last->due - w->due) > 0)
		w->due = last->due;
	join(tcp, w);
	trace_timer(tcp, w, false);
}

/* What is acceptable by its numbers: only its timestamp counts (RFC 7323 4.3). */
static struct verdict acceptable(struct time_wait *w, const struct tcp_segment *seg)
{
	if (seq_gt(seg->ack, w->snd_nxt))
		return verdict(VERDICT_ACK_PACED, TERN_DROP_TCP_BAD_ACK);
	if (w->timestamps && seq_leq(seg->seq, w->rcv_nxt) && seq_eq(seg->ack, w->snd_nxt))
		w->ts_recent = seg->options.tsval;
	return seg->data_len ? verdict(VERDICT_DROP, TERN_DROP_TCP_AFTER_FIN) : CONTINUE;
}

static struct verdict judge(struct tcp *tcp, struct time_wait *w, const struct stub *s,
	const struct tcp_segment *seg)
{
	struct verdict v = tern_stub_check(tcp, s, seg);
	bool last = seq_eq(seq_add(seg->seq, seg->len), w->rcv_nxt);
	if (v.why == TERN_DROP_TCP_OLD_DUPLICATE && seg->flags & TCP_FIN && last)
		restart(tcp, w);
	if (v.why == TERN_DROP_TCP_OLD_DUPLICATE && v.kind == VERDICT_ACK)
		core_count(tcp->core, TERN_COUNT_TcpExtDelayedACKLost);
	/* DEVIATES: 3.10.7.4 closes; RFC 1337 3 (fix F1): an old reset must not end the wait. */
	if (v.kind == VERDICT_CONTINUE && seg->flags & TCP_RST && tcp->core->set.tcp_rfc1337)
		return verdict(VERDICT_DROP, TERN_DROP_TCP_TIME_WAIT);
	if (v.kind == VERDICT_CONTINUE && !(seg->flags & TCP_RST))
		return acceptable(w, seg);
	return v;
}

bool tern_timewait_input(struct arrival *a, struct time_wait *w, uint32_t *iss_floor)
{
	struct tcp *tcp = a->tcp;
	struct remains old = {w->timestamps, w->ts_recent, w->snd_nxt, w->rcv_nxt};
	*iss_floor = floor_for(a, &old);
	if (*iss_floor) {
		end(tcp, w, TERN_CAUSE_REUSED);
		return false;
	}
	struct stub s = tern_timewait_stub(w);
	tern_trace_stub_segment(tcp, TERN_TRACE_SEGMENT_IN, &s.conn, a->seg, a->seg->window);
	struct verdict v = judge(tcp, w, &s, a->seg);
	if (v.kind == VERDICT_CONTINUE && a->seg->flags & TCP_RST) {
		end(tcp, w, TERN_CAUSE_RST);
		return true;
	}
	s.ts_recent = w->ts_recent;
	tern_stub_conclude(a, &s, v);
	w->replied = s.replied & ((1u << STUB_CLOCK_BITS) - 1);
	return true;
}

const char *tern_timewait_check(const struct tcp *tcp)
{
	uint32_t queued = 0, last = 0;
	for (const struct time_wait *w = at(tcp, tcp->waits.oldest); w; w = at(tcp, w->next)) {
		if (queued++ && (int32_t)(w->due - last) < 0)
			return "the queue of TIME_WAIT is out of order";
		last = w->due;
	}
	if (queued != tcp->waits.pool.live || queued != tern_htab_count(&tcp->waits.table))
		return "connections in TIME_WAIT are not where they should be";
	return NULL;
}
