/*
 * SEGMENT ARRIVES (RFC 9293 3.10.7). For a connection in a synchronised state, and in
 * SYN_RECEIVED, the eight steps of 3.10.7.4 are a list, each in its own function; each says
 * how it ends, and one epilogue acts on that.
 */
#include "transport/tcp/tcp.h"

#define PAWS_IDLE_MS (24u * 24 * 3600 * 1000) /* RFC 7323 5.5 */

/* --- first: sequence number ------------------------------------------------------------- */

/* RFC 7323 5.2 R1. A reset is exempt and does not come here; a timestamp older than 24 days proves
 * nothing. */
static bool paws_rejects(const struct arrival *a)
{
	const struct tcb *tcb = a->tcb;
	if ((int32_t)(a->seg->options.tsval - tcb->ts_recent) >= 0)
		return false;
	if (a->seg->data_len && tern_late_allowed(tcb, a->seg->options.tsval))
		return false;
	return now_ms(a->tcp) - tcb->ts_recent_at < PAWS_IDLE_MS;
}

static struct verdict check_timestamps(const struct arrival *a)
{
	if (!(a->tcb->flags & TCB_TIMESTAMPS))
		return CONTINUE;
	/* RFC 7323 3.2: SHOULD silently drop. */
	if (!(a->seg->options.has & TCP_OPT_TIMESTAMP))
		return verdict(VERDICT_DROP, TERN_DROP_TCP_NO_TIMESTAMP);
	if (!paws_rejects(a))
		return CONTINUE;
	core_count(a->tcp->core, TERN_COUNT_TcpExtPAWSEstab);
	return verdict(a->seg->data_len ? VERDICT_ACK : VERDICT_ACK_PACED, TERN_DROP_TCP_PAWS);
}

void tern_take_syn_off(struct tcp_segment *seg)
{
	seg->flags &= (uint16_t)~TCP_SYN;
	seg->seq = seq_add(seg->seq, 1);
	seg->len--;
}

/* Cuts off what lies before rcv.nxt (step one: "may be tailored"). */
static void trim_front(struct arrival *a, uint32_t cut)
{
	struct tcp_segment *seg = a->seg;
	a->trimmed = true;
	if (cut > seg->data_len)
		cut = seg->data_len;
	if (seg->urgent > cut)
		seg->urgent = (uint16_t)(seg->urgent - cut);
	else
		seg->flags &= (uint16_t)~TCP_URG;
	seg->data += cut;
	seg->data_len -= cut;
	seg->len -= cut;
	seg->seq = seq_add(seg->seq, cut);
}

/* Cuts off what lies beyond the window, FIN first. */
static void trim_back(struct arrival *a, uint32_t excess)
{
	struct tcp_segment *seg = a->seg;
	if (seg->flags & TCP_FIN) {
		seg->flags &= (uint16_t)~TCP_FIN;
		seg->len--;
		excess--;
	}
	seg->data_len -= excess;
	seg->len -= excess;
}

/* "If an incoming segment is not acceptable, an acknowledgment should be sent in reply." */
static struct verdict unacceptable(struct arrival *a, enum tern_drop why)
{
	const struct tcp_segment *seg = a->seg;
	bool last = seq_eq(seq_add(seg->seq, seg->len), a->tcb->rcv.nxt);
	if (why == TERN_DROP_TCP_OLD_DUPLICATE)
		tern_sack_duplicate(a->tcp, a->tcb,
			(struct range){seg->seq, seq_add(seg->seq, seg->data_len)});
	/* TIME-WAIT: the peer's FIN again, not any: acknowledge it and restart the 2 MSL timeout.
	 */
	if (a->tcb->state == TERN_TCP_TIME_WAIT && seg->flags & TCP_FIN && last)
		tern_timer_time_wait(a->tcp, a->tcb);
	return verdict(seg->len ? VERDICT_ACK : VERDICT_ACK_PACED, why);
}

/* The acceptability test of RFC 9293 3.4 (table 6) and the trimming after it. */
struct verdict tern_window_step(struct arrival *a)
{
	struct tcp_segment *seg = a->seg;
	const struct tcb *tcb = a->tcb;
	uint32_t wnd = tcb_offered(tcb);
	tern_seq end = seq_add(seg->seq, seg->len), edge = seq_add(tcb->rcv.nxt, wnd);
	if (seq_lt(seg->seq, tcb->rcv.nxt) && seq_leq(end, tcb->rcv.nxt))
		return unacceptable(a, TERN_DROP_TCP_OLD_DUPLICATE);
	/* DEVIATES: a segment without text exactly at the right edge is let through: it is what a
	 * sender that has filled the window acknowledges with (3.8.6: "special allowance"). */
	if (seq_gt(seg->seq, edge) ||
		(seq_eq(seg->seq, edge) && seg->len && seq_gt(seg->seq, tcb->rcv.nxt)))
		return unacceptable(a, TERN_DROP_TCP_OUT_OF_WINDOW);
	if (seq_lt(seg->seq, tcb->rcv.nxt)) {
		tern_sack_duplicate(a->tcp, a->tcb, (struct range){seg->seq, tcb->rcv.nxt});
		trim_front(a, seq_diff(tcb->rcv.nxt, seg->seq));
	}
	if (seq_gt(end, edge) && seg->len) {
		/* With a closed window the acknowledgement and the window still count (MUST-66). */
		if (wnd == 0 && seg->data_len)
			tern_tcp_drop(a->tcp, tcb, TERN_DROP_TCP_ZERO_WINDOW);
		if (wnd == 0)
			a->tcb->flags |= TCB_ACK_NOW;
		trim_back(a, seq_diff(end, edge));
	}
	return CONTINUE;
}

/* RFC 5961 3.2: a reset counts by its own number, whatever text it carries. */
static struct verdict check_reset(const struct arrival *a)
{
	uint32_t ahead = seq_diff(a->seg->seq, a->tcb->rcv.nxt);
	return ahead <= tcb_offered(a->tcb)
		       ? CONTINUE
		       : verdict(VERDICT_DROP, TERN_DROP_TCP_RST_OUT_OF_WINDOW);
}

static struct verdict sequence_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	struct tcp_segment *seg = a->seg;
	if (seg->flags & TCP_RST)
		return check_reset(a);
	/* The peer's SYN again, in SYN_RECEIVED: our SYN-ACK was lost; or, in a simultaneous open,
	 * it is the peer's SYN-ACK (figure 8), whose ACK counts. */
	if (tcb_syn_unacked(tcb) && seg->flags & TCP_SYN && seq_eq(seg->seq, tcb->rcv.irs)) {
		if (!(seg->flags & TCP_ACK)) {
			tern_ecn_learn(tcb, seg->flags);
			tcb->flags |= TCB_SYN_DUE;
			tern_rtt_cancel(tcb);
			tern_want_send(a->tcp, tcb);
			return verdict(VERDICT_DROP, TERN_DROP_TCP_OLD_DUPLICATE);
		}
		tern_take_syn_off(seg);
	}
	if (seg->flags & TCP_SYN) /* step four challenges it, whatever its number */
		return CONTINUE;
	struct verdict v = check_timestamps(a);
	return v.kind == VERDICT_CONTINUE ? tern_window_step(a) : v;
}

/* --- second: RST; third, security and compartment, is obsolete -------------------------------- */

static struct verdict reset_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	if (!(a->seg->flags & TCP_RST))
		return CONTINUE;
	/* RFC 5961 3.2: only the exact number resets. */
	if (!seq_eq(a->seg->seq, tcb->rcv.nxt))
		return verdict(VERDICT_CHALLENGE, TERN_DROP_TCP_RST_CHALLENGED);
	/* DEVIATES: 3.10.7.4 closes; RFC 1337 3 (fix F1): an old reset must not end the wait. */
	if (tcb->state == TERN_TCP_TIME_WAIT && a->tcp->core->set.tcp_rfc1337)
		return verdict(VERDICT_DROP, TERN_DROP_TCP_TIME_WAIT);
	bool quiet = tcb_in(tcb, STATE(CLOSING) | STATE(LAST_ACK) | STATE(TIME_WAIT));
	int err = tcb->state == TERN_TCP_SYN_RECEIVED ? TERN_ECONNREFUSED : TERN_ECONNRESET;
	tern_tcb_die(a->tcp, tcb, quiet ? 0 : err, TERN_CAUSE_RST);
	a->tcb = NULL;
	return CONTINUE;
}

/* --- fourth: SYN ------------------------------------------------------------------------------ */

/* RFC 5961 4.2, whatever the sequence number. */
static struct verdict syn_step(struct arrival *a)
{
	if (!(a->seg->flags & TCP_SYN))
		return CONTINUE;
	core_count(a->tcp->core, TERN_COUNT_TcpExtTCPSYNChallenge);
	return verdict(VERDICT_CHALLENGE, TERN_DROP_TCP_SYN_CHALLENGED);
}

/*
 * RFC 7323 4.3: TS.Recent moves only for a segment that covers Last.ACK.sent.
 * DEVIATES: and, as in RFC 5961 5, only when step five believed its acknowledgement: a number
 * guessed alone must not freeze the connection.
 */
static struct verdict timestamp_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	const struct tcp_options *o = &a->seg->options;
	if (!(o->has & TCP_OPT_TIMESTAMP) || !(tcb->flags & TCB_TIMESTAMPS))
		return CONTINUE;
	if (seq_gt(a->seg->seq, tcb->rcv.acked))
		return CONTINUE;
	/* Else no older than TS.Recent, or that has expired (5.5): check_timestamps() saw to it. */
	if ((int32_t)(o->tsval - tcb->ts_recent) < 0 && tcb->side &&
		tern_late_allowed(tcb, o->tsval))
		return CONTINUE;
	tcb->ts_recent = o->tsval;
	tcb->ts_recent_at = now_ms(a->tcp);
	return CONTINUE;
}

/* --- sixth: URG ---------------------------------------------------------------------- */

/* RFC 6093: the pointer names the byte after the urgent ones; the data stays in line. */
static struct verdict urgent_step(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	const struct tcp_segment *seg = a->seg;
	if (!(seg->flags & TCP_URG) || seg->urgent == 0)
		return CONTINUE;
	if (!tcb_in(tcb, STATE(ESTABLISHED) | STATE(FIN_WAIT_1) | STATE(FIN_WAIT_2)))
		return CONTINUE;
	struct tcb_side *side = tern_tcb_side(a->tcp, tcb);
	tern_seq up = seq_add(seg->seq, seg->urgent);
	if (!side || !seq_lt(tcb->rcv.nxt, up) ||
		(tcb->flags & TCB_URGENT_IN && seq_leq(up, side->rcv_up)))
		return CONTINUE;
	side->rcv_up = up;
	tcb->flags |= TCB_URGENT_IN;
	if (!(tcb->flags & TCB_ORPHAN))
		tern_notice_raise(a->tcp->core, &tcb->notice, NOTICE(TERN_EV_URGENT));
	return CONTINUE;
}

/* --- the epilogue -------------------------------------------------------------------- */

/* At most one such reply in tcp_invalid_ratelimit, counted per connection: a counter that all
 * share would tell a stranger about others (CVE-2016-5696), and two desynchronised peers would
 * answer each other for ever. */
static bool too_soon(const struct tcp *tcp, uint32_t last)
{
	return last && now_ms(tcp) - last < (uint32_t)tcp->core->set.tcp_invalid_ratelimit;
}

bool tern_reply_paced(const struct tcp *tcp, const struct tcb_side *side)
{
	return too_soon(tcp, side->last_challenge) || too_soon(tcp, side->last_oow_ack);
}

static bool may_reply(struct arrival *a, uint32_t *last, enum tern_counter skipped)
{
	uint32_t now = now_ms(a->tcp);
	if (too_soon(a->tcp, *last)) {
		core_count(a->tcp->core, skipped);
		return false;
	}
	*last = now ? now : 1;
	return true;
}

static void acknowledge(struct arrival *a)
{
	a->tcb->flags |= TCB_ACK_NOW;
	tern_want_send(a->tcp, a->tcb);
}

static void challenge(struct arrival *a)
{
	struct tcb_side *side = tern_tcb_side(a->tcp, a->tcb);
	tern_timer_busy(a->tcp, a->tcb);
	if (!side || !may_reply(a, &side->last_challenge, TERN_COUNT_TcpExtTCPACKSkippedChallenge))
		return;
	core_count(a->tcp->core, TERN_COUNT_TcpExtTCPChallengeACK);
	acknowledge(a);
}

static void acknowledge_paced(struct arrival *a, enum tern_drop why)
{
	struct tcb_side *side = tern_tcb_side(a->tcp, a->tcb);
	enum tern_counter skipped = why == TERN_DROP_TCP_PAWS ? TERN_COUNT_TcpExtTCPACKSkippedPAWS
							      : TERN_COUNT_TcpExtTCPACKSkippedSeq;
	tern_timer_busy(a->tcp, a->tcb);
	if (side && may_reply(a, &side->last_oow_ack, skipped))
		acknowledge(a);
}

static void conclude(struct arrival *a, struct verdict v)
{
	if (v.kind == VERDICT_CONTINUE)
		return;
	tern_tcp_drop(a->tcp, a->tcb, v.why);
	switch (v.kind) {
	case VERDICT_CONTINUE:
	case VERDICT_DROP:
		break;
	case VERDICT_ACK:
		if (v.why == TERN_DROP_TCP_OLD_DUPLICATE)
			core_count(a->tcp->core, TERN_COUNT_TcpExtDelayedACKLost);
		acknowledge(a);
		break;
	case VERDICT_ACK_PACED:
		acknowledge_paced(a, v.why);
		break;
	case VERDICT_CHALLENGE:
		challenge(a);
		break;
	case VERDICT_RESET:
		tern_reset_reply(a->tcp, a->in, a->seg);
		break;
	}
}

typedef struct verdict step(struct arrival *a);

/* RFC 9293 3.10.7.4, in its order. */
static step *const steps[] = {
	sequence_step,
	reset_step,
	syn_step,
	tern_ack_step,
	timestamp_step,
	urgent_step,
	tern_text_step,
	tern_fin_step,
};

static void run_steps(struct arrival *a)
{
	uint32_t text = a->seg->data_len;
	for (unsigned i = 0; i < sizeof steps / sizeof *steps && a->tcb; i++) {
		struct verdict v = steps[i](a);
		if (v.kind != VERDICT_CONTINUE) {
			conclude(a, v);
			break;
		}
	}
	if (a->tcb && a->tcb->side)
		tern_tally_heard(a->tcb, a->in, text);
	if (a->tcb && a->tcb->flags & TCB_ACK_NOW)
		tern_want_send(a->tcp, a->tcb);
}

static void to_connection(struct arrival *a)
{
	struct tcb *tcb = a->tcb;
	uint8_t shift = a->seg->flags & TCP_SYN ? 0 : tcb->snd_wscale;
	a->window = (uint32_t)a->seg->window << shift;
	tern_trace_segment(a->tcp, TERN_TRACE_SEGMENT_IN, tcb, a->in, a->seg, a->window);
	if (tcb->state == TERN_TCP_SYN_SENT) {
		if (tcb->side)
			tern_tally_heard(tcb, a->in, a->seg->data_len);
		conclude(a, tern_open_syn_sent(a));
	} else {
		run_steps(a);
	}
}

/* The segment has made a connection, and goes on to it. */
static void to_child(struct arrival *a)
{
	a->window = (uint32_t)a->seg->window << a->tcb->snd_wscale;
	run_steps(a);
}

static void to_listener(struct arrival *a, uint32_t iss_floor)
{
	struct tcp *tcp = a->tcp;
	struct listener *l = tern_demux_listener(tcp, &a->in->dst, a->seg->dst_port);
	tern_trace_segment(tcp, TERN_TRACE_SEGMENT_IN, NULL, a->in, a->seg, a->seg->window);
	if (!l) {
		tern_tcp_drop(tcp, NULL, TERN_DROP_TCP_NO_CONNECTION);
		tern_reset_reply(tcp, a->in, a->seg);
		return;
	}
	a->tcb = tern_listen_input(l, a, iss_floor);
	if (a->tcb)
		to_child(a);
}

/* A segment for a pair that has no TCB: perhaps there is less than that. */
static void to_others(struct arrival *a)
{
	struct tcp *tcp = a->tcp;
	struct time_wait *w = tern_timewait_find(tcp, &a->pair);
	uint32_t iss_floor = 0;
	if (w && tern_timewait_input(a, w, &iss_floor))
		return;
	struct syn *e = tern_syncache_find(tcp, &a->pair);
	if (!e) {
		to_listener(a, iss_floor);
		return;
	}
	a->tcb = tern_half_open_input(a, e);
	if (a->tcb)
		to_child(a);
}

static bool checksum_good(const struct tcp *tcp, const struct ip_in *in)
{
	if (in->csum_valid)
		return true;
	uint64_t sum = tern_pseudo_sum(&in->src, &in->dst, IPPROTO_TCP_NUM, in->len);
	return csum_fold(sum + tcp->core->csum->sum(in->data, in->len)) == 0xffff;
}

static enum tern_drop examine(const struct tcp *tcp, const struct ip_in *in,
	struct tcp_segment *seg)
{
	if (in->group)
		return TERN_DROP_TCP_BROADCAST;
	if (!checksum_good(tcp, in))
		return TERN_DROP_TCP_CHECKSUM;
	struct reader r = reader(in->data, in->len);
	return tern_tcp_parse(&r, seg);
}

void tern_tcp_input(struct tcp *tcp, const struct ip_in *in)
{
	struct tcp_segment seg;
	core_count(tcp->core, TERN_COUNT_TcpInSegs);
	enum tern_drop why = examine(tcp, in, &seg);
	if (why) {
		core_count(tcp->core, TERN_COUNT_TcpInErrs);
		if (why == TERN_DROP_TCP_CHECKSUM)
			core_count(tcp->core, TERN_COUNT_TcpInCsumErrors);
		tern_tcp_drop(tcp, NULL, why);
		return;
	}
	struct arrival a = {.tcp = tcp, .seg = &seg, .in = in};
	a.pair = tern_pair(tcp, &in->dst, seg.dst_port, &in->src, seg.src_port);
	a.tcb = tern_demux_find(tcp, &a.pair);
	uint32_t iss_floor = 0;
	if (!a.tcb)
		to_others(&a);
	else if (a.tcb->state == TERN_TCP_TIME_WAIT && tern_timewait_reuse(&a, &iss_floor))
		to_listener(&a, iss_floor);
	else
		to_connection(&a);
}
