/*
 * Loss recovery between its own files, and for ACKs, timers and output: what is lost, and how much
 * may be sent. Theory of operation in recovery.c; what a connection remembers for it in recovery.h.
 */
#ifndef TERN_TCP_LOSS_RECOVERY_H
#define TERN_TCP_LOSS_RECOVERY_H

#include "transport/tcp/cc.h"
#include "transport/tcp/tcb.h"

struct plan;
struct tcp;

/* --- recovery.c ------------------------------------------------------------------------------ */

/* An acceptable ACK, after snd.una and the window have moved: loss recovery, growth, timers. */
void tern_recovery_ack(struct tcp *tcp, struct tcb *tcb, const struct tcp_segment *seg,
	const struct ack_info *ack);
/* The RTO is over (RFC 6298 5.4). */
void tern_recovery_timeout(struct tcp *tcp, struct tcb *tcb);
/* RACK's reordering timer is over (RFC 8985 6.2 step 5). */
void tern_recovery_reorder_expired(struct tcp *tcp, struct tcb *tcb);
/* What is in flight was cut for a path with a larger MTU: it goes out again, no congestion implied.
 */
void tern_recovery_too_big(struct tcp *tcp, struct tcb *tcb);
/* The numbers in r went out, for the first time or again. */
void tern_recovery_sent(struct tcp *tcp, struct tcb *tcb, struct range r, bool again);
/* Bytes of cwnd beyond what is in flight. */
uint32_t tern_recovery_allowance(const struct tcb *tcb);
/* Bytes in flight, as far as SACK and RACK tell (RFC 6675 4). */
uint32_t tern_recovery_pipe(const struct tcb *tcb);
/* What congestion control wants ssthresh to be after a loss now. */
uint32_t tern_recovery_ssthresh(struct tcb *tcb);
/* Lets congestion control grow cwnd by what an ACK delivered, if it is of a kind that opens it. */
void tern_recovery_grow(struct tcb *tcb, const struct ack_info *ack, const struct delivery *d);
/* Congestion was echoed, ssthresh is lowered, and nothing lost: so much was delivered with the
 * echo. */
void tern_recovery_cwr(struct tcb *tcb, uint32_t delivered);
/* What that led to is over, or something else begins: cwnd is ssthresh. */
void tern_recovery_cwr_end(struct tcb *tcb);
/* A recovery, fast or after a timeout, is over; windows are the caller's. */
void tern_recovery_leave(struct tcp *tcp, struct tcb *tcb);
/* The scoreboard was given up for want of memory: on without it. */
void tern_recovery_blind(struct tcb *tcb);

/* newreno.c: the same without a scoreboard. */
void tern_newreno_ack(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack);
void tern_newreno_timeout(struct tcp *tcp, struct tcb *tcb);
/* All that is in flight is to be sent again, from snd.una. */
void tern_newreno_go_back(struct tcb *tcb, enum tern_retransmit_reason why);
uint32_t tern_newreno_allowance(const struct tcb *tcb);

/* loss.c: after a timeout, with one: at its beginning (tern_loss_too_big: for a smaller path), and
 * at each ACK that follows. */
void tern_loss_timeout(struct tcp *tcp, struct tcb *tcb);
void tern_loss_too_big(struct tcp *tcp, struct tcb *tcb);
void tern_loss_progress(struct tcp *tcp, struct tcb *tcb, const struct ack_info *ack,
	const struct delivery *d);

/* scoreboard.c. Those that return bool return false when there is no memory: then the scoreboard is
 * empty and off. */
void tern_board_init_pools(struct tcp *tcp);
void tern_board_clear(struct tcp *tcp, struct scoreboard *b);
bool tern_board_sent(struct tcp *tcp, struct tcb *tcb, struct range r);
bool tern_board_resent(struct tcp *tcp, struct tcb *tcb, struct range r);
/* snd.una has moved: what lies below is delivered. */
void tern_board_acked(struct tcp *tcp, struct tcb *tcb, struct delivery *d);
/* The peer holds r, which lies within the board; afterwards it may be off, and empty. */
void tern_board_sack(struct tcp *tcp, struct tcb *tcb, struct range r, struct delivery *d);
/* Record i, which is in flight, is lost. */
void tern_board_lose(struct tcp *tcp, struct scoreboard *b, uint32_t i);
/* All that is in flight is. */
void tern_board_lose_all(struct tcp *tcp, struct scoreboard *b);
/* Nothing is lost. */
void tern_board_unlose(struct scoreboard *b);
/* Nothing is held. */
void tern_board_forget_sacks(struct scoreboard *b);
/* The lowest range that is lost, or false. */
bool tern_board_first_lost(const struct scoreboard *b, struct range *out);
/* Bytes sent again and not heard of since. */
uint32_t tern_board_resending(const struct scoreboard *b);
/* check.c */
const char *tern_board_check(const struct tcb *tcb);

/* rack.c */
/* Record x, up to hi, is delivered. */
void tern_rack_delivered(const struct tcp *tcp, struct tcb *tcb, const struct xmit *x, tern_seq hi,
	const struct delivery *d);
/* What begins at lowest was overtaken, by the highest number delivered (RFC 8985 6.2 step 3). */
void tern_rack_reordered(struct tcb *tcb, tern_seq lowest);
/* Whether segments were overtaken by more than DUPACK_THRESHOLD others. */
bool tern_rack_reorders(const struct tcb *tcb);
/* Something was sent again for nothing: a wider reordering window, once a round trip (step 4). */
void tern_rack_widen(struct tcb *tcb);
/* A recovery is over: after 16 of them the window is what it was. */
void tern_rack_recovered(struct tcb *tcb);
/* Whether so much is held beyond the hole that without reordering it is lost (RFC 6675 4). */
bool tern_rack_threshold(const struct tcb *tcb);
/* Marks what is lost now, and says in rack.due when to look again; true if anything is. */
bool tern_rack_detect(struct tcp *tcp, struct tcb *tcb);
/* Marks what is lost when the RTO is over (RFC 8985 6.3). */
void tern_rack_timeout(struct tcp *tcp, struct tcb *tcb);

/* tlp.c */
/* In how many ns a probe is to be sent if nothing is heard and no RTO is over before; false: none
 * is. */
bool tern_tlp_wait(const struct tcp *tcp, struct tcb *tcb, uint64_t *wait);
/* That time has passed; false: there is no cause for a probe any more. */
bool tern_tlp_expired(struct tcp *tcp, struct tcb *tcb);
/* The probe goes out. */
void tern_tlp_sent(struct tcp *tcp, struct tcb *tcb, const struct plan *plan);
/* What an acceptable ACK of `ack` says of it (RFC 8985 7.4.2). */
void tern_tlp_ack(struct tcp *tcp, struct tcb *tcb, const struct delivery *d, tern_seq ack);

/* prr.c (RFC 9937 6.2): fast recovery begins with an ACK that delivered so many bytes; each further
 * ACK sets cwnd (safe: snd.una advanced and nothing more was found lost); so many bytes went out.
 */
void tern_prr_begin(struct tcb *tcb, uint32_t delivered);
void tern_prr_ack(struct tcb *tcb, uint32_t delivered, bool safe);
void tern_prr_sent(struct tcb *tcb, uint32_t bytes);

/* undo.c: a reduction remembers what it reduced, ... */
void tern_undo_begin(struct tcb *tcb);
/* ... what was sent again since, bytes, ... */
void tern_undo_resent(const struct tcp *tcp, struct tcb *tcb, uint32_t bytes);
/* ... and for a round trip longer than the recovery; snd.una has moved: it may be over. */
void tern_undo_leave(struct tcb *tcb);
void tern_undo_expire(struct tcb *tcb);
/* A D-SACK reports r; false: it cannot be of this recovery. */
bool tern_undo_duplicate(struct tcb *tcb, struct range r);
/* Whether the reduction was for nothing, by the timestamp echoed (RFC 3522), by D-SACKs (RFC 3708),
 * or as all arrived that was thought lost. */
bool tern_undo_by_echo(const struct tcb *tcb, const struct delivery *d);
bool tern_undo_by_duplicates(const struct tcb *tcb);
bool tern_undo_by_arrival(const struct tcb *tcb);
/* Congestion was echoed: whatever else turns out, windows stay as low as they are. */
void tern_undo_forbid(struct tcb_side *side);
/* Takes it back (RFC 4015 3); why: for the trace. */
void tern_undo(struct tcp *tcp, struct tcb *tcb, const char *why);

#endif
