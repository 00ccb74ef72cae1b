/* The life of a connection's block: birth, side block, death. */
#include <assert.h>
#include <string.h>
#include "transport/tcp/tcp.h"

_Static_assert(sizeof(struct tcb) <= 256, "an idle connection is at most 256 bytes");

void tern_tcp_init(struct tcp *tcp, struct core *core, struct ip *ip)
{
	*tcp = (struct tcp){.core = core, .ip = ip};
	tern_pool_init(&tcp->tcbs, &core->mem, sizeof(struct tcb), 14, UINT32_MAX);
	tern_pool_init(&tcp->sides, &core->mem, sizeof(struct tcb_side), 14, UINT32_MAX);
	tern_pool_init(&tcp->listeners, &core->mem, sizeof(struct listener), 13, UINT32_MAX);
	tern_pool_init(&tcp->range_nodes, &core->mem, tern_range_node_size, 13, UINT32_MAX);
	tern_board_init_pools(tcp);
	tern_htab_init(&tcp->table, &core->mem);
	tern_htab_init(&tcp->listening, &core->mem);
	tern_timewait_init(tcp);
	tern_wheel_init(&tcp->wheel, core->now);
	tcp->table_key = tern_rng_key(&core->rng);
	tcp->isn_key = tern_rng_key(&core->rng);
	tcp->port_key = tern_rng_key(&core->rng);
	tcp->ts_key = tern_rng_key(&core->rng);
	tcp->cookie_key = tern_rng_key(&core->rng);
	for (unsigned i = 0; i < PORT_COUNTERS; i++)
		tcp->port_counter[i] = (uint16_t)tern_rng_u32(&core->rng);
	tern_ready_init(tcp);
	tcp->holes.tail = &tcp->holes.head;
	tcp->rst_at = tcp->moved_at = core->now;
	tcp->rst_tokens = (uint32_t)core->set.tcp_out_rst_per_sec;
}

void tern_tcp_fini(struct tcp *tcp)
{
	uint32_t slot = 0;
	for (struct tcb *tcb; (tcb = tern_pool_next(&tcp->tcbs, &slot)); slot++)
		tern_tcb_free(tcp, tcb);
	slot = 0;
	for (struct listener *l; (l = tern_pool_next(&tcp->listeners, &slot)); slot++) {
		tern_notice_cancel(tcp->core, &l->notice);
		tern_pool_put(&tcp->listeners, l);
	}
	tern_timewait_fini(tcp);
	tern_syncache_fini(tcp);
	tern_htab_fini(&tcp->table);
	tern_htab_fini(&tcp->listening);
	tern_pool_fini(&tcp->tcbs);
	tern_pool_fini(&tcp->sides);
	tern_pool_fini(&tcp->listeners);
	tern_pool_fini(&tcp->range_nodes);
	for (unsigned i = 0; i < BOARD_TIERS; i++)
		tern_pool_fini(&tcp->boards[i]);
}

uint32_t tern_tcb_path_mss(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_path_mtu(tcp->ip, tcb->path) - IPV4_HEADER_LEN - TCP_HEADER_LEN;
}

static void set_initial(struct tcp *tcp, struct tcb *tcb)
{
	const struct settings *set = &tcp->core->set;
	tcb->state = TERN_TCP_CLOSED;
	tcb->generation = tern_pool_generation(&tcp->tcbs);
	tcb->notice.owner = NOTICE_CONN;
	tcb->rcvbuf = (uint32_t)set->tcp_rmem_default;
	tcb->sndbuf = (uint32_t)set->tcp_wmem_default;
	tcb->flags = TCB_WANT_READ;
	tcb->ssthresh = UINT32_MAX;
	tcb->cc = (uint32_t)set->tcp_congestion_control & 3u;
	tcb->path->ts_offset = tern_timestamp_offset(tcp, &tcb->path->src, &tcb->path->dst);
	tern_ring_init(&tcb->send);
	tern_ring_init(&tcb->receive);
	tcb->adv_mss = (uint16_t)tern_tcb_path_mss(tcp, tcb);
	tcb->rcv_mss = (uint16_t)set->tcp_default_mss;
	tern_tcb_set_mss(tcp, tcb, 0);
	tcb->cwnd = (uint32_t)set->tcp_init_cwnd * tcb->mss;
}

struct tcb *tern_tcb_new(struct tcp *tcp, const struct tcb_endpoints *ends, int *err)
{
	struct path *path = tern_path_get(tcp->ip, &ends->local.addr, &ends->remote.addr, err);
	if (!path)
		return NULL;
	*err = TERN_ENOMEM;
	struct tcb *tcb = tern_pool_get(&tcp->tcbs);
	if (!tcb)
		goto no_tcb;
	memset(tcb, 0, sizeof *tcb);
	tcb->path = path;
	tcb->local_port = ends->local.port;
	tcb->remote_port = ends->remote.port;
	if (!tern_tcb_side(tcp, tcb) || tern_demux_insert(tcp, tcb) != 0)
		goto no_room;
	set_initial(tcp, tcb);
	tcb->flags |= TCB_HASHED;
	return tcb;
no_room:
	if (tcb->side)
		tern_pool_put(&tcp->sides, tcb->side);
	tern_pool_put(&tcp->tcbs, tcb);
no_tcb:
	tern_path_put(tcp->ip, path);
	return NULL;
}

static void begin(const struct tcp *tcp, const struct tcb *tcb, struct tcb_side *side)
{
	memset(side, 0, sizeof *side);
	side->recover = side->small_end = tcb->snd.una;
	side->drs_at = tcp->core->now;
	side->use.round = tcb->snd.una;
	side->use.sent_at = side->use.full_at = side->use.pipe.valid_at = now_ms(tcp);
	tern_keepalive_heard(tcp, side);
}

struct tcb_side *tern_tcb_side(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->side)
		return tcb->side;
	struct tcb_side *side = tern_pool_get(&tcp->sides);
	if (!side)
		return NULL;
	begin(tcp, tcb, side);
	tcb->side = side;
	return side;
}

static void side_empty(struct tcp *tcp, struct tcb *tcb)
{
	tern_rangeset_clear(&tcb->side->ranges, &tcp->range_nodes);
	tern_rangeset_clear(&tcb->side->records, &tcp->range_nodes);
	tern_holes_changed(tcp, tcb);
	tern_board_clear(tcp, &tcb->side->rec.board);
}

static void side_free(struct tcp *tcp, struct tcb *tcb)
{
	if (!tcb->side)
		return;
	side_empty(tcp, tcb);
	tern_pool_put(&tcp->sides, tcb->side);
	tcb->side = NULL;
}

/* It is dead, or nothing has happened for a while and what was known of the path is old. The counts
 * stay, and when the peer was heard, and something was sent, last. */
static void renew(const struct tcp *tcp, struct tcb *tcb)
{
	struct tcb_side *side = tcb->side, old = *side;
	begin(tcp, tcb, side);
	side->tally = old.tally;
	side->heard_at = old.heard_at;
	side->unread_at = old.unread_at;
	side->use.sent_at = old.use.sent_at;
}

/* It knows what a new one would not. */
static bool needed(const struct tcp *tcp, const struct tcb *tcb)
{
	return tern_option_in_use(tcb->side) || tcb->side->mtu.full || tern_cwv_remembers(tcp, tcb);
}

bool tern_tcb_side_kept(const struct tcp *tcp, const struct tcb *tcb)
{
	return tcp->core->set.tcp_keep_tally || needed(tcp, tcb);
}

void tern_tcb_side_release(struct tcp *tcp, struct tcb *tcb)
{
	const struct tcb_side *side = tcb->side;
	if (!side || tcb_flight(tcb) || side->ranges.count || side->mode != RECOVERY_OPEN ||
		side->fin_early || side->dup_in_due || side->unanswered || side->records.count ||
		tcb_stands_still(tcb) || needed(tcp, tcb) || tern_reply_paced(tcp, side) ||
		tcb->flags & (TCB_URGENT_IN | TCB_URGENT_OUT | TCB_RETRANSMIT_DUE))
		return;
	if (tcp->core->set.tcp_keep_tally)
		renew(tcp, tcb);
	else
		side_free(tcp, tcb);
}

static void let_go(struct tcp *tcp, struct tcb *tcb)
{
	tern_timer_stop_all(tcp, tcb);
	tern_unqueue(tcp, tcb);
	tern_demux_remove(tcp, tcb);
	if (tcb->flags & TCB_UNACCEPTED)
		tern_listen_forget(tcp, tcb);
	tern_ring_clear(&tcb->send, &tcp->core->chunks);
	if (tcb->side) /* bytes beyond a hole will never be read */
		tern_ring_forget(&tcb->receive, &tcp->core->chunks, tcb->receive.len);
}

/* What a dead connection has done can be asked for until its program lets go of it. */
static void side_retire(struct tcp *tcp, struct tcb *tcb)
{
	if (!tcb->side || !tcp->core->set.tcp_keep_tally) {
		side_free(tcp, tcb);
		return;
	}
	tern_tally_turn(tcp, tcb, STANDING_IDLE);
	side_empty(tcp, tcb);
	renew(tcp, tcb);
}

void tern_orphan_count(struct tcp *tcp, struct tcb *tcb)
{
	bool is = tcb->flags & TCB_ORPHAN && !tcb_in(tcb, STATE(CLOSED) | STATE(TIME_WAIT));
	bool was = tcb->flags & TCB_ORPHAN_COUNTED;
	tcp->orphans = tcp->orphans + is - was;
	tcb->flags = is ? tcb->flags | TCB_ORPHAN_COUNTED : tcb->flags & ~TCB_ORPHAN_COUNTED;
}

void tern_tcb_free(struct tcp *tcp, struct tcb *tcb)
{
	let_go(tcp, tcb);
	side_free(tcp, tcb);
	tern_notice_cancel(tcp->core, &tcb->notice);
	tern_ring_clear(&tcb->receive, &tcp->core->chunks);
	tern_path_put(tcp->ip, tcb->path);
	tern_pool_put(&tcp->tcbs, tcb);
}

void tern_tcb_die(struct tcp *tcp, struct tcb *tcb, int err, enum tern_cause cause)
{
	bool unclaimed = tcb->flags & (TCB_ORPHAN | TCB_UNACCEPTED);
	tern_tcb_enter(tcp, tcb, TERN_TCP_CLOSED, cause);
	if (unclaimed) {
		tern_tcb_free(tcp, tcb);
		return;
	}
	let_go(tcp, tcb);
	tcb->error = (int8_t)err;
	tcb->snd.una = tcb->snd.nxt;
	tcb->flags &= ~(TCB_URGENT_IN | TCB_URGENT_OUT);
	side_retire(tcp, tcb);
	if (err == TERN_ECONNRESET)
		tern_ring_clear(&tcb->receive, &tcp->core->chunks);
	if (err)
		tern_notice_raise(tcp->core, &tcb->notice, NOTICE(TERN_EV_ERROR));
}

uint32_t tern_tcb_effective_mss(const struct tcb *tcb)
{
	return tcb->mss - tcb_timestamp_len(tcb) - tern_sack_len(tcb);
}

/* RFC 9293 3.7.1: Eff.snd.MSS = min(SendMSS, path) less what options take, which
 * tern_tcb_effective_mss() deducts. A peer may not ask for absurdly small segments. */
void tern_tcb_set_mss(struct tcp *tcp, struct tcb *tcb, uint16_t option)
{
	const struct settings *set = &tcp->core->set;
	uint32_t mss = option ? option : (uint32_t)set->tcp_default_mss;
	uint32_t path = tern_tcb_path_mss(tcp, tcb);
	if (mss > path)
		mss = path;
	if (mss > tcb->adv_mss) /* TERN_TCP_MAXSEG */
		mss = tcb->adv_mss;
	/* What remains must hold data beside timestamps and SACK blocks. */
	uint32_t floor = (uint32_t)set->tcp_min_snd_mss + TCP_OPTIONS_LEN_MAX;
	if (mss < floor)
		mss = floor < path ? floor : path;
	tcb->mss = (uint16_t)mss;
	tern_mtu_open(tcp, tcb);
}

void tern_tcb_offer(const struct tcp *tcp, struct tcb *tcb)
{
	const struct settings *set = &tcp->core->set;
	if (set->tcp_window_scaling)
		tcb->flags |= TCB_WSCALE;
	tern_window_rescale(tcp, tcb);
	if (set->tcp_timestamps)
		tcb->flags |= TCB_TIMESTAMPS;
	if (set->tcp_sack)
		tcb->flags |= TCB_SACK;
	tern_ecn_offer(tcp, tcb);
}

#define BUFFER_MAX (1u << 30) /* what a ring holds and a window can say */

uint32_t tern_buffer_size(uint32_t bytes)
{
	return bytes < TCB_BUFFER_MIN ? TCB_BUFFER_MIN : at_most(bytes, BUFFER_MAX);
}

void tern_tcb_fix_rcvbuf(struct tcb *tcb, uint32_t bytes)
{
	tcb->rcvbuf = tern_buffer_size(bytes);
	tcb->flags |= TCB_RCVBUF_FIXED;
}

void tern_tcb_fix_sndbuf(struct tcb *tcb, uint32_t bytes)
{
	tcb->sndbuf = tern_buffer_size(bytes);
	tcb->flags |= TCB_SNDBUF_FIXED;
}
