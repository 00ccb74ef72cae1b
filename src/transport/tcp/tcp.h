/*
 * TCP between its own files, and for stack.c. One section a file, in the order a segment meets
 * them; those of loss recovery are in loss_recovery.h.
 */
#ifndef TERN_TCP_TCP_H
#define TERN_TCP_TCP_H

#include "transport/tcp/cc.h"
#include "transport/tcp/loss_recovery.h"
#include "transport/tcp/tcb.h"

/* --- for stack.c -------------------------------------------------------------------- */

void tern_tcp_init(struct tcp *tcp, struct core *core, struct ip *ip);
void tern_tcp_fini(struct tcp *tcp);
/* stack.c lends a stack's TCP to the public functions. */
struct tcp *tern_stack_tcp(struct tern_stack *stack);
const struct tcp *tern_stack_tcp_const(const struct tern_stack *stack);

/* input.c: a segment. */
void tern_tcp_input(struct tcp *tcp, const struct ip_in *in);
/* timeout.c: the time has moved. */
void tern_tcp_time(struct tcp *tcp);
/* icmp.c: an ICMP error about a segment (RFC 5927). */
void tern_tcp_icmp(struct tcp *tcp, const struct ip_error *error);
/* output.c: fills one frame for an interface; false when no connection has anything to send. */
bool tern_tcp_pull(struct tcp *tcp, int nif, struct tern_frame *frame);
/* ready.c: something about neighbours changed: parked connections try again. */
void tern_tcp_path_changed(struct tcp *tcp, int nif);
/* timeout.c: does what is due, bounded; and when to be called next. */
void tern_tcp_advance(struct tcp *tcp);
uint64_t tern_tcp_deadline(const struct tcp *tcp);
/* user.c: takes the next pending event off a notice; false when it had none. */
bool tern_tcp_event(struct tcp *tcp, struct notice *notice, struct tern_event *event);
bool tern_tcp_listener_event(struct tcp *tcp, struct notice *notice, struct tern_event *event);
/* check.c */
const char *tern_tcp_check(const struct tcp *tcp);

/* --- tcb.c: life and death of a connection --------------------------------------------- */

struct tcb_endpoints {
	struct tern_endpoint local, remote;
};
/* A TCB in CLOSED (or, for a listener's child, LISTEN), in the table, with its path. NULL and *err
 * when refused. */
struct tcb *tern_tcb_new(struct tcp *tcp, const struct tcb_endpoints *ends, int *err);
/* The connection an application's handle names, or NULL for a stale one. */
struct tcb *tern_tcb_of(const struct tcp *tcp, struct tern_conn conn);
/* The side block, taken if there is none; NULL when memory is short. */
struct tcb_side *tern_tcb_side(struct tcp *tcp, struct tcb *tcb);
/* Whether it must stay, however long the connection rests. */
bool tern_tcb_side_kept(const struct tcp *tcp, const struct tcb *tcb);
/* Gives the side block back if nothing in it is needed. */
void tern_tcb_side_release(struct tcp *tcp, struct tcb *tcb);
/*
 * The connection is over: state CLOSED, out of the table, timers and buffers gone; err says why
 * (0: in good order) and the application is told. Frees the TCB if the application let it go: do
 * not touch it afterwards.
 */
void tern_tcb_die(struct tcp *tcp, struct tcb *tcb, int err, enum tern_cause cause);
/* After its state or its owner changed: keeps count of those that nobody owns. */
void tern_orphan_count(struct tcp *tcp, struct tcb *tcb);
/* Frees a TCB outright, whatever it is linked to; no event. */
void tern_tcb_free(struct tcp *tcp, struct tcb *tcb);
/* Flags for the options our SYN will offer, by the settings. */
void tern_tcb_offer(const struct tcp *tcp, struct tcb *tcb);
/* A buffer of the user's size: no auto-tuning. */
void tern_tcb_fix_rcvbuf(struct tcb *tcb, uint32_t bytes);
void tern_tcb_fix_sndbuf(struct tcb *tcb, uint32_t bytes);
/* What a buffer of so many bytes comes to. */
uint32_t tern_buffer_size(uint32_t bytes);
/* The largest segment's data when all options of a data segment are on (RFC 9293 3.7.1). */
uint32_t tern_tcb_effective_mss(const struct tcb *tcb);
/* What the path lets a segment carry: the MTU less fixed headers (RFC 9293 3.7.1). */
uint32_t tern_tcb_path_mss(const struct tcp *tcp, const struct tcb *tcb);
/* Sets mss from the peer's MSS option (0: none) and the path. */
void tern_tcb_set_mss(struct tcp *tcp, struct tcb *tcb, uint16_t option);

/* --- demux.c -------------------------------------------------------------------------- */

struct tcp_pair tern_pair(const struct tcp *tcp, const struct tern_addr *local, uint16_t local_port,
	const struct tern_addr *remote, uint16_t remote_port);
int tern_demux_insert(struct tcp *tcp, struct tcb *tcb);
void tern_demux_remove(struct tcp *tcp, struct tcb *tcb);
struct tcb *tern_demux_find(const struct tcp *tcp, const struct tcp_pair *pair);
/* Whether there is a connection of that pair, with a TCB or without. */
bool tern_demux_used(const struct tcp *tcp, const struct tcp_pair *pair);
/* The listener for a local address and port: an exact address beats the wildcard. */
struct listener *tern_demux_listener(const struct tcp *tcp, const struct tern_addr *local,
	uint16_t port);

uint32_t tern_listening_hash(const struct tcp *tcp, uint16_t port);

/* --- isn.c: numbers a stranger must not guess ------------------------------------------- */

/* RFC 6528. */
tern_seq tern_isn(const struct tcp *tcp, const struct tern_addr *local, uint16_t local_port,
	const struct tern_addr *remote, uint16_t remote_port);
/* RFC 7323 5.4. */
uint32_t tern_timestamp_offset(const struct tcp *tcp, const struct tern_addr *local,
	const struct tern_addr *remote);
/* RFC 6056 3.3.4; 0 when no port is free. */
uint16_t tern_port_pick(struct tcp *tcp, const struct tern_addr *local,
	const struct tern_endpoint *remote);
uint32_t tern_timestamp_now(const struct tcp *tcp, const struct tcb *tcb);
/* What it was at that time, ns. */
uint32_t tern_timestamp_at(const struct tcb *tcb, uint64_t at);

/* --- state.c -------------------------------------------------------------------------- */

/* The only writer of tcb->state: checks the edge, acts on entry, tells the listener. */
void tern_tcb_enter(struct tcp *tcp, struct tcb *tcb, enum tern_tcp_state to,
	enum tern_cause cause);

/* The same for a connection without a TCB: from where to where conn.state says. */
void tern_state_stub(struct tcp *tcp, const struct tern_trace_conn *conn, enum tern_tcp_state from,
	enum tern_cause cause);

/* --- stub.c: what connections without a TCB share ---------------------------------------- */

/* Steps one to four of 3.10.7.4, and whether there is an ACK. A reset that holds continues. */
struct verdict tern_stub_check(struct tcp *tcp, const struct stub *s,
	const struct tcp_segment *seg);
/* Whether a reply that is rationed may go now; then s->replied moves, else it is counted. */
bool tern_stub_may_reply(const struct tcp *tcp, struct stub *s, enum tern_counter skipped);
/* Acts on a verdict; s->replied may have moved. */
void tern_stub_conclude(struct arrival *a, struct stub *s, struct verdict v);
/* ACK, or RST and ACK, with its numbers. */
void tern_stub_send(struct tcp *tcp, const struct stub *s, uint16_t flags);

/* --- input.c: steps that opening shares ------------------------------------------------- */

/* The acceptability test of RFC 9293 3.4; cuts the segment down to the window. */
struct verdict tern_window_step(struct arrival *a);
/* Leaves the text and FIN that follow a SYN. */
void tern_take_syn_off(struct tcp_segment *seg);
/* Whether a reply to an invalid segment would come too soon after the last: the side block, which
 * knows when that was, must stay. */
bool tern_reply_paced(const struct tcp *tcp, const struct tcb_side *side);

/* --- listen.c ------------------------------------------------------------------------- */

/* passive.c: the listener of a handle, or NULL. */
struct listener *tern_listen_of(const struct tcp *tcp, struct tern_listener listener);
/* What a listener's SYN-ACK offers, bytes: never scaled. */
uint32_t tern_listen_window(const struct tcp *tcp, const struct listener *l);
/* And the window scale beside it. */
uint8_t tern_listen_scale(const struct tcp *tcp, const struct listener *l);
/* Before a SYN-ACK goes or a handshake is completed: options and settings may have made the window
 * smaller than what was offered before. */
void tern_listen_settle_window(struct tcp *tcp, struct listener *l);
/* What the SYN-ACK of a half-open connection offered, bytes, or more; NULL: of a cookie. */
uint32_t tern_listen_told(const struct tcp *tcp, const struct listener *l, const struct syn *e);
/* A SYN-ACK for that SYN, over that interface: ports, acknowledgement, MSS, and the options that
 * the SYN has. */
void tern_listen_answer(const struct tcp *tcp, const struct listener *l, int nif,
	const struct tcp_segment *syn, uint32_t tsval, unsigned wscale, struct tcp_segment *answer);
/* One half-open connection more, or less. */
void tern_listen_half_open(struct tcp *tcp, struct listener *l, const struct tern_addr *source,
	int change);
/* How many it may have. */
uint32_t tern_listen_half_open_limit(const struct tcp *tcp, const struct listener *l);
/* Whether the accept queue has no room: counted if so. */
bool tern_listen_overflows(struct tcp *tcp, const struct listener *l);
/* The TCB of a half-open connection whose ACK has come; NULL, counted, when memory is short. */
struct tcb *tern_listen_promote(struct tcp *tcp, struct listener *l, const struct syn *e,
	const struct arrival *a);
/* Why a listener would not keep another half-open connection from there; TERN_DROP_NONE if it
 * would. */
enum tern_drop tern_listen_refuses(struct tcp *tcp, const struct listener *l,
	const struct tern_addr *source);
/* A segment to a listener. Returns the connection that it has just made, for the segment to go on
 * to, or NULL: dealt with. */
struct tcb *tern_listen_input(struct listener *l, struct arrival *a, uint32_t iss_floor);
/* A child's handshake is complete: into the accept queue. */
void tern_listen_established(struct tcp *tcp, struct tcb *tcb);
/* The oldest connection of the accept queue becomes the application's; NULL when none waits. */
struct tcb *tern_listen_take(struct tcp *tcp, struct listener *l);
/* Resets every child that was not accepted. */
void tern_listen_reset_all(struct tcp *tcp, struct listener *l);
/* Takes a child out of its listener's queue. */
void tern_listen_forget(struct tcp *tcp, struct tcb *tcb);

/* --- cookie.c: SYN cookies -------------------------------------------------------------- */

/* Answers a SYN without keeping anything of it. */
void tern_cookie_send(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *syn);
/* Whether an ACK brings a cookie of ours back; then *syn is the SYN it was baked from, as far as
 * the cookie tells. */
bool tern_cookie_accept(struct tcp *tcp, struct listener *l, const struct ip_in *in,
	const struct tcp_segment *ack, struct tcp_segment *syn);

/* --- syncache.c: the table of half-open connections, and its clock ------------------------- */

struct syn *tern_syncache_find(const struct tcp *tcp, const struct tcp_pair *pair);
/* Whether tcp_max_syn_backlog, or what memory allows, is reached. */
bool tern_syncache_full(const struct tcp *tcp);
/* A new entry, its SYN-ACK due; NULL: no room, or no memory. */
struct syn *tern_syncache_add(struct tcp *tcp, const struct tcp_pair *pair);
void tern_syncache_remove(struct tcp *tcp, struct syn *e);
/* The first entry at or after *place, which is set to its place; NULL at the end. */
struct syn *tern_syncache_next(const struct tcp *tcp, uint32_t *place);
/* us between the SYN-ACK, said `tries` times again, and the next. */
uint32_t tern_syncache_wait(const struct tcp *tcp, unsigned tries);
/* ns until an entry's next SYN-ACK, or its end. */
uint64_t tern_syncache_left(const struct tcp *tcp, const struct syn *e);
/* Whether SYN-ACKs wait for a device. */
bool tern_syncache_pending(const struct tcp *tcp);
/* Hands one to that device's queue; false if none waits, or it has no room. */
bool tern_syncache_pull(struct tcp *tcp, int nif);
/* Whether there is a place for that pair. */
bool tern_syncache_room(struct tcp *tcp, const struct tcp_pair *pair);
/* Something about neighbours changed: SYN-ACKs that waited for that try again. */
void tern_syncache_path_changed(struct tcp *tcp, int nif);
void tern_syncache_advance(struct tcp *tcp);
uint64_t tern_syncache_deadline(const struct tcp *tcp);
const char *tern_syncache_check(const struct tcp *tcp);
void tern_syncache_fini(struct tcp *tcp);

/* --- half_open.c ------------------------------------------------------------------------ */

/* A half-open connection of this SYN; false if there is no room or no memory. */
bool tern_half_open_begin(const struct arrival *a, struct listener *l, uint32_t iss_floor);
/* A segment for one. Returns the connection it has just become, for the segment to go on to, or
 * NULL: dealt with. */
struct tcb *tern_half_open_input(struct arrival *a, struct syn *e);
/* Says its SYN-ACK: 0; TERN_EAGAIN: the device has no room; else it is lost. */
int tern_half_open_send(struct tcp *tcp, const struct syn *e, int nif);
/* The SYN it came from, as far as it is remembered. */
void tern_half_open_syn(const struct syn *e, struct tcp_segment *syn);
struct listener *tern_half_open_listener(const struct tcp *tcp, const struct syn *e);
/* How often its SYN-ACK is sent again. */
uint32_t tern_half_open_retries(const struct tcp *tcp, const struct listener *l);
/* Whether time is up for it; else whether its SYN-ACK is to be sent again. */
bool tern_half_open_over(const struct tcp *tcp, const struct syn *e);
bool tern_half_open_repeats(const struct tcp *tcp, const struct syn *e);
struct stub tern_half_open_stub(const struct tcp *tcp, const struct listener *l,
	const struct syn *e);
void tern_half_open_end(struct tcp *tcp, struct listener *l, struct syn *e, enum tern_cause cause);
/* Resets the peer, and ends it. */
void tern_half_open_reset(struct tcp *tcp, struct listener *l, struct syn *e);
/* An ICMP error about its SYN-ACK; false if it is about nothing of ours. */
bool tern_half_open_icmp(struct tcp *tcp, const struct tcp_pair *pair, tern_seq quoted, bool hard);

/* --- open.c: what both SYNs' options mean, and SYN_SENT ------------------------------------ */

void tern_open_learn(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *syn);
struct verdict tern_open_syn_sent(struct arrival *a);
/* The handshake is done: initial cwnd, events. */
void tern_open_done(struct tcp *tcp, struct tcb *tcb, enum tern_cause cause);

/* --- ack.c --------------------------------------------------------------------------------- */

struct verdict tern_ack_step(struct arrival *a);
/* Raises WRITABLE if the application waits for room and there is some. */
void tern_tell_room(struct tcp *tcp, struct tcb *tcb);

/* --- rtt.c ------------------------------------------------------------------------------------ */

void tern_rtt_start(struct tcp *tcp, struct tcb *tcb, tern_seq end);
void tern_rtt_cancel(struct tcb *tcb);
/* Takes the sample this ACK yields, if any; ns or 0. */
uint64_t tern_rtt_sample(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg);
/* Another, in ns, of something sent once. */
void tern_rtt_take(struct tcp *tcp, struct tcb *tcb, uint64_t sample);
/* There is one, though no measure: a backoff is over. */
void tern_rtt_heard(struct tcb *tcb);
/* What the timestamp it echoes says (RFC 7323 4), us, half a ms either way; 0: nothing. */
uint32_t tern_rtt_echo(const struct tcp *tcp, const struct tcb *tcb, const struct tcp_segment *seg);
/* The RTO without backoff, ns (RFC 6298 2). */
uint64_t tern_rto(const struct tcp *tcp, const struct tcb *tcb);
/* As backed off after that many timeouts, with the upper bound. */
uint64_t tern_rto_after(const struct tcp *tcp, const struct tcb *tcb, unsigned tries);
/* And after those there were. */
uint64_t tern_rto_backed_off(const struct tcp *tcp, const struct tcb *tcb);
/* What is left of it, counted from when the first in flight was sent (if it is lost, from now, when
 * it will be): needs a scoreboard. */
uint64_t tern_rto_left(const struct tcp *tcp, const struct tcb *tcb);

/* --- option.c: what a program asked for ------------------------------------------------ */

/* Whether an option is set that is kept in the side block, which must stay. */
bool tern_option_in_use(const struct tcb_side *side);
/* Whether the ACK of the peer's SYN-ACK is to wait for data. */
bool tern_option_ack_waits(const struct tcb *tcb);
/* Bytes that may be written now. */
uint32_t tern_send_room(const struct tcp *tcp, const struct tcb *tcb);
/* Bytes were sent for the first time. */
void tern_lowat_sent(struct tcp *tcp, struct tcb *tcb);
/* Whether so little is unsent that a writer is to be woken. */
bool tern_lowat_reached(const struct tcp *tcp, const struct tcb *tcb);

/* --- keepalive.c: TCP_KEEP*, and the user timeout (RFC 5482) ----------------------------- */

/* Whether an option of these is set that is kept in the side block. */
bool tern_keepalive_in_use(const struct tcb_side *side);
/* After how many unanswered probes it is given up. */
uint32_t tern_keepalive_probes_max(const struct tcp *tcp, const struct tcb_side *side);
/* An acceptable segment came. */
void tern_keepalive_heard(const struct tcp *tcp, struct tcb_side *side);
/* Does what is due; returns in how many ns to look again, 0 if never. The connection may be dead.
 */
uint64_t tern_keepalive_turn(struct tcp *tcp, struct tcb *tcb);
/* In how many ns a keepalive probe is due; TERN_NEVER if none is to be. */
uint64_t tern_keepalive_left(const struct tcp *tcp, const struct tcb *tcb);
/* The first timeout of a series: what is unacknowledged was sent `waited` ns ago. */
void tern_user_timeout_begin(const struct tcp *tcp, struct tcb *tcb, uint64_t waited);
/* How long ago, in ns, that was; 0 if nothing has timed out, or memory was short. */
uint64_t tern_stalled_age(const struct tcp *tcp, const struct tcb *tcb);
/* How long, in ns, the user is still willing to wait: TERN_NEVER if for ever. */
uint64_t tern_user_timeout_left(const struct tcp *tcp, const struct tcb *tcb);
int tern_keepalive_set(struct tcp *tcp, struct tcb *tcb, enum tern_tcp_option option,
	int64_t value);
int64_t tern_keepalive_get(const struct tcp *tcp, const struct tcb *tcb,
	enum tern_tcp_option option);

/* --- reassembly.c, late.c, sack.c, window.c: the receiving side ----------------------- */

/* After the ranges of text out of order changed: who has some gives it back when memory is short.
 */
void tern_holes_changed(struct tcp *tcp, struct tcb *tcb);
/* late.c: text came out of order. */
void tern_late_hole(struct tcb *tcb);
/* Whether text with that timestamp, older than TS.Recent, may be just late. */
bool tern_late_allowed(const struct tcb *tcb, uint32_t tsval);
/* Takes the segment's text and FIN (steps seven and eight). */
struct verdict tern_text_step(struct arrival *a);
struct verdict tern_fin_step(struct arrival *a);
/* Writes the SACK blocks of a segment going out now (RFC 2018 4): as many as there are to report
 * and find room beside timestamps and some text. Returns how many. */
uint8_t tern_sack_blocks(const struct tcb *tcb, struct tcp_sack_block *blocks);
/* The bytes that option takes, padding included; 0 if there is none. */
uint32_t tern_sack_len(const struct tcb *tcb);
/* Text that was held already came again: to be reported at once (RFC 2883). */
void tern_sack_duplicate(struct tcp *tcp, struct tcb *tcb, struct range r);
/* What the peer's SACK option says it holds, and has got twice. */
void tern_sack_hear(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	struct delivery *d);
/* Notes that a range was touched by an arrival. */
void tern_sack_touched(struct tcb_side *side, tern_seq at);
/* The window field for a segment going out now; moves rcv.adv. */
uint16_t tern_window_field(struct tcp *tcp, struct tcb *tcb, bool syn);
/* The application took bytes: tune the buffer, and offer the room if that is worth an ACK. */
void tern_window_taken(struct tcp *tcp, struct tcb *tcb, uint32_t n);
/* Bytes came that lie beyond a hole: tune the buffer. */
void tern_window_held(struct tcp *tcp, struct tcb *tcb);
/* What our SYN offers, bytes: never scaled. */
uint32_t tern_window_in_syn(const struct tcb *tcb);
/* The smallest window scale with which a buffer of that size, bytes, can be offered (0: not fixed,
 * auto-tuned up to tcp_rmem_max), or TCP_WINDOW_CLAMP (0: none) if that is less. */
uint8_t tern_window_scale(const struct tcp *tcp, uint32_t fixed, uint32_t clamp);
/* The same for a connection whose SYN is yet to come: what it will say. */
void tern_window_rescale(const struct tcp *tcp, struct tcb *tcb);
void tern_window_measure_rtt(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg);

/* --- ready.c: connections that want to send ------------------------------------------- */

void tern_ready_init(struct tcp *tcp);
/* The connection may have something to send: queue it on its interface, if it is not yet. */
void tern_want_send(struct tcp *tcp, struct tcb *tcb);
/* It waits for its neighbour, and is on no queue now. */
void tern_park(struct tcp *tcp, struct tcb *tcb);
/* Takes it from whichever queue it is on. */
void tern_unqueue(struct tcp *tcp, struct tcb *tcb);
/* Takes the first of those ready on an interface; NULL: there is none. */
struct tcb *tern_ready_next(struct tcp *tcp, int nif);

/* --- output.c, segment.c ------------------------------------------------------------- */

/* What keeps bytes back that were never sent, as tern_tcp_info says it; NULL: nothing. */
const char *tern_output_held_by(const struct tcp *tcp, const struct tcb *tcb);
/* What output.c decided to send. */
struct plan {
	tern_seq seq;
	uint32_t len;   /* data bytes */
	uint16_t flags; /* TCP_* */
	bool retransmit;
	bool trial;     /* larger than mss, in one segment: mtu.c */
	uint8_t reason; /* enum tern_retransmit_reason */
};
/* Builds it in the frame, moves snd.nxt, tells timers and listener. */
void tern_segment_build(struct tcp *tcp, struct tcb *tcb, const struct plan *plan,
	struct tern_frame *frame);

/* --- tally.c: what TCP_INFO counts; there is a side block ------------------------------------ */

/* A segment came, with so many bytes of text. */
void tern_tally_heard(struct tcb *tcb, const struct ip_in *in, uint32_t text);
/* A frame went, of segments of mss. */
void tern_tally_sent(struct tcb *tcb, const struct plan *plan, uint32_t mss);
/* From now on it is that. */
void tern_tally_turn(const struct tcp *tcp, struct tcb *tcb, enum standing to);
void tern_tally_describe(const struct tcp *tcp, const struct tcb *tcb, struct tern_tcp_info *out);

/* --- rate.c: how fast text is delivered; there is a side block ------------------------------- */

/* New text went. */
void tern_rate_sent(const struct tcp *tcp, struct tcb *tcb, struct range r);
/* An ACK: what it says was delivered is counted, and marked in the scoreboard. */
void tern_rate_heard(const struct tcp *tcp, struct tcb *tcb);
/* All that the program has written is sent. */
void tern_rate_drained(struct tcb *tcb);

/* --- record.c: records that a program marks (MSG_EOR) ------------------------------------- */

/* n more bytes are a record, or the end of one. False: it cannot be marked for now. */
bool tern_record_mark(struct tcp *tcp, struct tcb *tcb, size_t n);
/* Of those n bytes, which are not all in the send ring: the record has not ended yet. */
void tern_record_unmark(struct tcp *tcp, struct tcb *tcb, tern_seq begin, size_t n);
/* Of n bytes from `from` on, those up to the end of a record. */
uint32_t tern_record_limit(const struct tcb *tcb, tern_seq from, uint32_t n);
/* Whether a record ends before seq. */
bool tern_record_ends(const struct tcb *tcb, tern_seq end);
/* snd.una has moved. */
void tern_record_acked(struct tcp *tcp, struct tcb *tcb);

/* --- mtu.c: paths that drop large packets and do not say so ----------------------------- */

/* R1 (RFC 9293 3.8.3) is reached; there is a side block. mss may become smaller. */
void tern_mtu_doubt(struct tcp *tcp, struct tcb *tcb);
/* The connection opens, its mss is set. */
void tern_mtu_open(struct tcp *tcp, struct tcb *tcb);
/* While side->mtu.full, and a segment may go: bytes of data for a larger one that is to be tried in
 * its place; 0: none is. What is in flight may leave no room for it yet. run: bytes that there are
 * for it; all: those, and what may be sent behind it. Forgets that mss was ever larger when nothing
 * larger is left. */
uint32_t tern_mtu_trial(struct tcp *tcp, struct tcb *tcb, uint32_t run, uint32_t all);
/* What that would return. */
uint32_t tern_mtu_would_try(const struct tcp *tcp, const struct tcb *tcb, uint32_t run,
	uint32_t all);
/* It went out. */
void tern_mtu_trial_sent(struct tcb *tcb, struct range r);
/* The numbers in r went out again. */
void tern_mtu_resent(struct tcp *tcp, struct tcb *tcb, struct range r);
/* snd.una has moved. */
void tern_mtu_acked(struct tcp *tcp, struct tcb *tcb);

/* --- pacing.c ------------------------------------------------------------------------- */

#define PACING_RTT_MIN 2000 /* us: below, a ms' worth is a window anyway */

/* With at least that RTT: how many of the bytes that may be sent may go now; if none, it is listed
 * again in time. */
uint32_t tern_pacing_allowance(struct tcp *tcp, struct tcb *tcb, uint32_t want);
/* Bytes a second; 0: any. */
uint64_t tern_pacing_rate(const struct tcp *tcp, const struct tcb *tcb);
/* Whether that would be none now. */
bool tern_pacing_waits(const struct tcp *tcp, const struct tcb *tcb, uint32_t want);
void tern_pacing_sent(struct tcb *tcb, uint32_t n);
/* Data is about to be sent, and nothing is in flight. */
void tern_pacing_resume(const struct tcp *tcp, struct tcb *tcb);

/* --- ecn.c (RFC 3168) -------------------------------------------------------------------- */

/* What our SYN is to offer, or our SYN-ACK to accept. */
void tern_ecn_offer(const struct tcp *tcp, struct tcb *tcb);
/* Whether a SYN or SYN-ACK with these flags is an ECN-setup one (6.1.1). */
bool tern_ecn_setup(uint16_t flags);
/* The peer's SYN or SYN-ACK: every one of them must agree. */
void tern_ecn_learn(struct tcb *tcb, uint16_t flags);
/* The flags of our SYN or SYN-ACK, sent again or not. */
uint16_t tern_ecn_syn_flags(struct tcb *tcb, uint16_t flags, bool again);
/* On a connection that has agreed: acceptable text came, with these flags, in a packet with that
 * TOS. */
void tern_ecn_text(struct tcb *tcb, uint16_t flags, uint8_t tos);
/* An ACK with ECE came. */
void tern_ecn_echoed(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack);
/* And a segment goes out: completes its flags; returns its packet's ECN bits. */
uint8_t tern_ecn_sent(struct tcb *tcb, struct tcp_segment *s, bool again);

/* --- icmp.c -------------------------------------------------------------------------- */

/* An error that may pass: remembered until the peer is heard, and why it timed out if it does. */
void tern_soft_error(struct tcp *tcp, struct tcb *tcb, int err);

/* --- reset.c: segments of no connection ---------------------------------------------- */

/* How a segment goes out that no connection pulls. */
struct alone {
	uint8_t dscp;
	bool again; /* not for the first time */
};
/* Sends one, without text. 0, or why tern_ip_send() could not. */
int tern_segment_alone(struct tcp *tcp, const struct tern_addr *src, const struct tern_addr *dst,
	const struct tcp_segment *s, struct alone how);
/* RFC 9293 3.10.7.1: answers a segment that belongs nowhere. */
void tern_reset_reply(struct tcp *tcp, const struct ip_in *in, const struct tcp_segment *seg);
/* Resets a connection's peer: <SEQ=SND.NXT><CTL=RST,ACK> (RFC 9293 3.10.5). */
void tern_reset_send(struct tcp *tcp, struct tcb *tcb);

/* --- timer.c: policy, named by what happened ----------------------------------------- */

void tern_timer_data_sent(struct tcp *tcp, struct tcb *tcb);
void tern_timer_ack_advanced(struct tcp *tcp, struct tcb *tcb);
void tern_timer_first_resent(struct tcp *tcp, struct tcb *tcb); /* what is at snd.una */
/* An ACK that moved nothing may have told of something missing, or settled it. */
void tern_timer_reordering(struct tcp *tcp, struct tcb *tcb);
void tern_timer_reneged(struct tcp *tcp, struct tcb *tcb); /* the peer, on what it held */
void tern_timer_nothing_in_flight(struct tcp *tcp, struct tcb *tcb);
/* Data waits and nothing is in flight: look again after wait ns, or, if 0, an RTO. */
void tern_timer_blocked(struct tcp *tcp, struct tcb *tcb, uint64_t wait);
void tern_timer_starved(struct tcp *tcp, struct tcb *tcb);       /* a write found no memory */
void tern_timer_data_received(struct tcp *tcp, struct tcb *tcb); /* an ACK may wait */
void tern_timer_ack_waits(struct tcp *tcp, struct tcb *tcb);     /* the handshake's, for data */
void tern_timer_ack_sent(struct tcb *tcb);
/* ns: how long TIME_WAIT lasts, entered or restarted now. */
uint64_t tern_timer_wait_2msl(const struct tcp *tcp);
void tern_timer_paced(struct tcp *tcp, struct tcb *tcb); /* the next burst is waited for */
void tern_timer_time_wait(struct tcp *tcp, struct tcb *tcb);
/* ns until TIME_WAIT, or an orphan's FIN_WAIT_2, ends. */
uint64_t tern_timer_linger_left(const struct tcp *tcp, const struct tcb *tcb);
void tern_timer_fin_wait_2(struct tcp *tcp, struct tcb *tcb);
void tern_timer_busy(struct tcp *tcp, struct tcb *tcb); /* the side block is in use */
/* What it waits for next, in how many ns, as tern_tcp_info says it; NULL: nothing. */
const char *tern_timer_next(const struct tcp *tcp, const struct tcb *tcb, uint64_t *left);
void tern_timer_stop_all(struct tcp *tcp, struct tcb *tcb);

/* For timeout.c. Whether a deadline of a connection whose wheel entry is due has come. */
bool tern_timer_due(const struct tcp *tcp, const struct tcb *tcb, uint32_t at);
/* Puts the wheel's entry at the soonest deadline, or disarms it. */
void tern_timer_rearm(struct tcp *tcp, struct tcb *tcb);
/* ns: the RTO as backed off, but no later than the user timeout ends. */
uint64_t tern_timer_patience(const struct tcp *tcp, const struct tcb *tcb);
void tern_timer_backed_off(struct tcp *tcp, struct tcb *tcb);
void tern_timer_losses_marked(struct tcp *tcp, struct tcb *tcb); /* by the reordering timer */
void tern_timer_probe_due(struct tcp *tcp, struct tcb *tcb);     /* RFC 8985 7.3 */
void tern_timer_probe_dropped(struct tcp *tcp, struct tcb *tcb); /* there is no cause any more */
void tern_timer_keepalive(struct tcp *tcp, struct tcb *tcb, uint64_t wait); /* next turn, ns */

/* --- timeout.c: what happens at a deadline -------------------------------------------- */

/* After how many timeouts in a row it is given up (R2 of RFC 9293 3.8.3); for closed windows see
 * tern_tcp_info. */
uint32_t tern_timeout_retries_max(const struct tcp *tcp, const struct tcb *tcb);
/* It has timed out: ends with the soft error, if there was one. */
void tern_timeout_give_up(struct tcp *tcp, struct tcb *tcb);

/* --- timewait.c ---------------------------------------------------------------------- */

/* More connections are in TIME_WAIT than may be: those that enter it leave at once. */
bool tern_timewait_overflow(const struct tcp *tcp);
/* A SYN for a pair in TIME_WAIT: true if it may replace it (RFC 6191); then the TCB is gone and
 * *iss_floor is where the new connection's ISN must lie beyond. */
bool tern_timewait_reuse(struct arrival *a, uint32_t *iss_floor);
/* A TCB in TIME_WAIT that nobody holds and that has nothing to say becomes an entry: true if so,
 * and then it is gone. */
bool tern_timewait_settle(struct tcp *tcp, struct tcb *tcb);
struct time_wait *tern_timewait_find(const struct tcp *tcp, const struct tcp_pair *pair);
/* A segment for an entry: true if it was dealt with; false if it is a SYN that has replaced it, as
 * above. */
bool tern_timewait_input(struct arrival *a, struct time_wait *w, uint32_t *iss_floor);
struct stub tern_timewait_stub(const struct time_wait *w);
/* ns until its end. */
uint64_t tern_timewait_left(const struct tcp *tcp, const struct time_wait *w);
void tern_timewait_advance(struct tcp *tcp);
uint64_t tern_timewait_deadline(const struct tcp *tcp);
const char *tern_timewait_check(const struct tcp *tcp);
void tern_timewait_init(struct tcp *tcp);
void tern_timewait_fini(struct tcp *tcp);

/* --- trace.c ------------------------------------------------------------------------- */

void tern_tcp_drop(struct tcp *tcp, const struct tcb *tcb, enum tern_drop why);
void tern_trace_segment(struct tcp *tcp, enum tern_trace_kind kind, const struct tcb *tcb,
	const struct ip_in *in, const struct tcp_segment *seg, uint32_t window);
void tern_trace_state(struct tcp *tcp, const struct tcb *tcb, enum tern_tcp_state from,
	enum tern_cause cause);
void tern_trace_listener_state(struct tcp *tcp, const struct listener *l, enum tern_tcp_state from,
	enum tern_tcp_state to, enum tern_cause cause);
void tern_trace_retransmit(struct tcp *tcp, const struct tcb *tcb, const struct plan *plan);
void tern_trace_window(struct tcp *tcp, const struct tcb *tcb);
void tern_trace_queue(struct tcp *tcp, const struct listener *l);
void tern_trace_rtt(struct tcp *tcp, const struct tcb *tcb, uint64_t sample);
void tern_trace_congestion(struct tcp *tcp, const struct tcb *tcb, const char *why);
/* mss was `from`; why: for the trace. */
void tern_trace_segment_size(struct tcp *tcp, const struct tcb *tcb, uint32_t from,
	const char *why);
void tern_trace_timer(struct tcp *tcp, const struct tcb *tcb, enum tern_timer which, bool fired,
	uint64_t deadline);
/* The same for connections without a TCB. */
void tern_stub_drop(struct tcp *tcp, const struct tern_trace_conn *conn, enum tern_drop why);
void tern_trace_stub_segment(struct tcp *tcp, enum tern_trace_kind kind,
	const struct tern_trace_conn *conn, const struct tcp_segment *seg, uint32_t window);
void tern_trace_stub_state(struct tcp *tcp, const struct tern_trace_conn *conn,
	enum tern_tcp_state from, enum tern_cause cause);
/* rto in ns. */
void tern_trace_stub_retransmit(struct tcp *tcp, const struct tern_trace_conn *conn, uint32_t count,
	uint64_t rto);
void tern_trace_stub_timer(struct tcp *tcp, const struct tern_trace_conn *conn,
	enum tern_timer which, bool fired, uint64_t deadline);

#endif
