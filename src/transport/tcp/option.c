/*
 * The options of connections and listeners. What few set is kept in the side block, which a
 * connection that has set it keeps.
 */
#include "transport/tcp/tcp.h"

static const struct tcb_choice no_choice;

static const struct tcb_choice *choice_of(const struct tcb *tcb)
{
	return tcb->side ? &tcb->side->choice : &no_choice;
}

bool tern_option_in_use(const struct tcb_side *side)
{
	const struct tcb_choice *c = &side->choice;
	return tern_keepalive_in_use(side) || c->window_clamp || c->notsent_lowat || c->linger2 ||
	       c->syn_retries || c->defer;
}

bool tern_option_ack_waits(const struct tcb *tcb)
{
	return choice_of(tcb)->defer || choice_of(tcb)->ack_later;
}

/* --- TCP_NOTSENT_LOWAT ------------------------------------------------------------------- */

static uint32_t lowat(const struct tcp *tcp, const struct tcb *tcb)
{
	uint32_t chosen = choice_of(tcb)->notsent_lowat;
	return chosen ? chosen : (uint32_t)tcp->core->set.tcp_notsent_lowat;
}

/* A segment may be filled, however low it is. */
uint32_t tern_send_room(const struct tcp *tcp, const struct tcb *tcb)
{
	uint32_t room = tcb->sndbuf > tcb->send.len ? tcb->sndbuf - tcb->send.len : 0;
	uint32_t most = lowat(tcp, tcb), unsent = tcb_unsent(tcb);
	if (unsent >= most)
		return 0;
	return at_most(room, most - unsent > tcb->mss ? most - unsent : tcb->mss);
}

/* As Linux: half of it must have gone before a writer is woken. */
bool tern_lowat_reached(const struct tcp *tcp, const struct tcb *tcb)
{
	return tcb_unsent(tcb) * UINT64_C(2) < lowat(tcp, tcb);
}

/* What makes room is usually an ACK. */
void tern_lowat_sent(struct tcp *tcp, struct tcb *tcb)
{
	if (lowat(tcp, tcb) < tcb->sndbuf)
		tern_tell_room(tcp, tcb);
}

/* --- what is kept in the side block ------------------------------------------------------ */

#define LINGER2_MAX     120 /* s, Linux's */
#define SYN_RETRIES_MAX 127

static int check(enum tern_tcp_option option, int64_t value)
{
	int64_t least = option == TERN_TCP_LINGER2 ? -1 : 0, most = INT32_MAX;
	if (option == TERN_TCP_LINGER2)
		most = LINGER2_MAX;
	else if (option == TERN_TCP_SYNCNT)
		most = SYN_RETRIES_MAX;
	else if (option == TERN_TCP_TOS)
		most = UINT8_MAX;
	else if (option == TERN_TCP_NOTSENT_LOWAT)
		most = UINT32_MAX;
	return value < least || value > most ? TERN_ERANGE : 0;
}

static uint32_t clamp(int64_t value)
{
	uint32_t least = TCB_BUFFER_MIN / 2;
	return value && value < least ? least : (uint32_t)value;
}

/* Linux's rounding: up to the moment a SYN-ACK would be sent again. */
static uint8_t deferred_retries(const struct tcp *tcp, int64_t seconds)
{
	uint64_t wait = 0, want = (uint64_t)seconds * 1000000;
	uint8_t tries = 0;
	while (wait < want && tries < UINT8_MAX)
		wait += tern_syncache_wait(tcp, tries++);
	return tries;
}

static int64_t deferred_seconds(const struct tcp *tcp, unsigned tries)
{
	uint64_t wait = 0;
	for (unsigned k = 0; k < tries; k++)
		wait += tern_syncache_wait(tcp, k);
	return (int64_t)(wait / 1000000);
}

/* What is ever to be offered has changed: the scale follows, until our SYN has said it. */
static void most_changed(struct tcp *tcp, struct tcb *tcb)
{
	if (tcb->state == TERN_TCP_SYN_SENT && tcb_syn_unsent(tcb))
		tern_window_rescale(tcp, tcb);
	tern_window_taken(tcp, tcb, 0);
}

static int choose(struct tcp *tcp, struct tcb *tcb, enum tern_tcp_option option, int64_t value)
{
	struct tcb_side *side = tern_tcb_side(tcp, tcb);
	if (!side)
		return TERN_ENOMEM;
	struct tcb_choice *c = &side->choice;
	if (option == TERN_TCP_LINGER2)
		c->linger2 = (int16_t)value;
	else if (option == TERN_TCP_SYNCNT)
		c->syn_retries = (uint8_t)value;
	else if (option == TERN_TCP_WINDOW_CLAMP)
		c->window_clamp = clamp(value);
	else if (option == TERN_TCP_DEFER_ACCEPT)
		c->defer = deferred_retries(tcp, value);
	else
		c->notsent_lowat = (uint32_t)value;
	tern_timer_busy(tcp, tcb);
	if (option == TERN_TCP_NOTSENT_LOWAT)
		tern_tell_room(tcp, tcb);
	if (option == TERN_TCP_WINDOW_CLAMP)
		most_changed(tcp, tcb);
	return 0;
}

static int64_t chosen(const struct tcp *tcp, const struct tcb *tcb, enum tern_tcp_option option)
{
	const struct settings *set = &tcp->core->set;
	const struct tcb_choice *c = choice_of(tcb);
	if (option == TERN_TCP_LINGER2)
		return c->linger2 ? c->linger2 : set->tcp_fin_timeout;
	if (option == TERN_TCP_SYNCNT)
		return c->syn_retries ? c->syn_retries : set->tcp_syn_retries;
	if (option == TERN_TCP_DEFER_ACCEPT)
		return deferred_seconds(tcp, c->defer);
	return option == TERN_TCP_WINDOW_CLAMP ? c->window_clamp : c->notsent_lowat;
}

/* --- of a connection --------------------------------------------------------------------- */

static void set_flag(struct tcb *tcb, uint32_t flag, int64_t value)
{
	if (value)
		tcb->flags |= flag;
	else
		tcb->flags &= ~flag;
}

#define MAXSEG_MIN 88 /* Linux's */

/* Only before the peer has been told another. */
static int set_maxseg(struct tcb *tcb, int64_t value)
{
	if (value < MAXSEG_MIN || value > UINT16_MAX)
		return TERN_ERANGE;
	if (!(tcb->flags & TCB_SYN_DUE) || tcb->state != TERN_TCP_SYN_SENT)
		return TERN_EISCONN;
	if (value < tcb->adv_mss)
		tcb->adv_mss = (uint16_t)value;
	return 0;
}

static void set_nodelay(struct tcb *tcb, int64_t value)
{
	set_flag(tcb, TCB_NODELAY, value);
	if (!value)
		return;
	/* As Linux: what a cork held back until now goes, and the cork stays. */
	if (tcb->side)
		tcb->side->hold = false;
	if (tcb->flags & TCB_CORK && seq_lt(tcb->snd.nxt, tcb_data_end(tcb)))
		tcb->flags |= TCB_FORCE;
}

static void set_quickack(struct tcb *tcb, int64_t value)
{
	set_flag(tcb, TCB_QUICKACK, value);
	tcb->quickacks = 0;
	if (tcb->side && tcb->state == TERN_TCP_SYN_SENT)
		tcb->side->choice.ack_later = !value;
	if (value && tcb->flags & TCB_ACK_DELAYED)
		tcb->flags |= TCB_ACK_NOW;
}

int tern_tcp_option_set(struct tern_stack *stack, struct tern_conn conn,
	enum tern_tcp_option option, int64_t value)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tcb *tcb = tern_tcb_of(tcp, conn);
	if (!tcb)
		return TERN_ESTALE;
	int err = check(option, value);
	if (err != 0)
		return err;
	switch (option) {
	case TERN_TCP_NODELAY:
		set_nodelay(tcb, value);
		break;
	case TERN_TCP_CORK:
		set_flag(tcb, TCB_CORK, value);
		break;
	case TERN_TCP_QUICKACK:
		set_quickack(tcb, value);
		break;
	case TERN_TCP_MAXSEG:
		return set_maxseg(tcb, value);
	case TERN_TCP_RCVBUF:
		tern_tcb_fix_rcvbuf(tcb, (uint32_t)value);
		most_changed(tcp, tcb);
		break;
	case TERN_TCP_SNDBUF:
		tern_tcb_fix_sndbuf(tcb, (uint32_t)value);
		tern_tell_room(tcp, tcb);
		break;
	case TERN_TCP_TOS:
		tcb->dscp = dscp_of(value) & 0x3fu;
		return 0;
	case TERN_TCP_CONGESTION:
		if (!tern_cc_at((unsigned)value))
			return TERN_ERANGE;
		tern_cc_choose(tcb, (unsigned)value);
		break;
	case TERN_TCP_KEEPALIVE:
	case TERN_TCP_KEEPIDLE:
	case TERN_TCP_KEEPINTVL:
	case TERN_TCP_KEEPCNT:
	case TERN_TCP_USER_TIMEOUT:
		return tern_keepalive_set(tcp, tcb, option, value);
	case TERN_TCP_LINGER2:
	case TERN_TCP_SYNCNT:
	case TERN_TCP_WINDOW_CLAMP:
	case TERN_TCP_NOTSENT_LOWAT:
	case TERN_TCP_DEFER_ACCEPT:
		return choose(tcp, tcb, option, value);
	default:
		return TERN_EINVAL;
	}
	if (tcb_in(tcb, SYNCHRONIZED))
		tern_want_send(tcp, tcb);
	return 0;
}

int tern_tcp_option_get(const struct tern_stack *stack, struct tern_conn conn,
	enum tern_tcp_option option, int64_t *value)
{
	const struct tcb *tcb = tern_tcb_of(tern_stack_tcp_const(stack), conn);
	if (!tcb)
		return TERN_ESTALE;
	switch (option) {
	case TERN_TCP_NODELAY:
		*value = !!(tcb->flags & TCB_NODELAY);
		return 0;
	case TERN_TCP_CORK:
		*value = !!(tcb->flags & TCB_CORK);
		return 0;
	case TERN_TCP_QUICKACK:
		*value = !!(tcb->flags & TCB_QUICKACK);
		return 0;
	case TERN_TCP_MAXSEG:
		*value = tern_tcb_effective_mss(tcb);
		return 0;
	case TERN_TCP_RCVBUF:
		*value = tcb->rcvbuf;
		return 0;
	case TERN_TCP_SNDBUF:
		*value = tcb->sndbuf;
		return 0;
	case TERN_TCP_TOS:
		*value = tos_of(tcb->dscp);
		return 0;
	case TERN_TCP_CONGESTION:
		*value = tcb->cc;
		return 0;
	case TERN_TCP_KEEPALIVE:
	case TERN_TCP_KEEPIDLE:
	case TERN_TCP_KEEPINTVL:
	case TERN_TCP_KEEPCNT:
	case TERN_TCP_USER_TIMEOUT:
		*value = tern_keepalive_get(tern_stack_tcp_const(stack), tcb, option);
		return 0;
	case TERN_TCP_LINGER2:
	case TERN_TCP_SYNCNT:
	case TERN_TCP_WINDOW_CLAMP:
	case TERN_TCP_NOTSENT_LOWAT:
	case TERN_TCP_DEFER_ACCEPT:
		*value = chosen(tern_stack_tcp_const(stack), tcb, option);
		return 0;
	default:
		return TERN_EINVAL;
	}
}

/* --- of a listener ----------------------------------------------------------------------- */

int tern_tcp_listen_option_set(struct tern_stack *stack, struct tern_listener listener,
	enum tern_tcp_option option, int64_t value)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct listener *l = tern_listen_of(tcp, listener);
	if (!l)
		return TERN_ESTALE;
	if (option == TERN_TCP_MAXSEG) {
		if (value && (value < MAXSEG_MIN || value > UINT16_MAX))
			return TERN_ERANGE;
		l->maxseg = (uint16_t)value;
		return 0;
	}
	int err = check(option, value);
	if (err != 0)
		return err;
	if (option == TERN_TCP_SYNCNT)
		l->syn_retries = (uint8_t)value;
	else if (option == TERN_TCP_WINDOW_CLAMP)
		l->window_clamp = clamp(value);
	else if (option == TERN_TCP_DEFER_ACCEPT)
		l->defer = deferred_retries(tcp, value);
	else if (option == TERN_TCP_TOS)
		l->dscp = dscp_of(value);
	else if (option == TERN_TCP_RCVBUF)
		l->rcvbuf = (uint32_t)value;
	else if (option == TERN_TCP_SNDBUF)
		l->sndbuf = (uint32_t)value;
	else
		return TERN_EINVAL;
	return 0;
}

int tern_tcp_listen_option_get(const struct tern_stack *stack, struct tern_listener listener,
	enum tern_tcp_option option, int64_t *value)
{
	const struct tcp *tcp = tern_stack_tcp_const(stack);
	const struct listener *l = tern_listen_of(tcp, listener);
	if (!l)
		return TERN_ESTALE;
	if (option == TERN_TCP_MAXSEG)
		*value = l->maxseg;
	else if (option == TERN_TCP_SYNCNT)
		*value = tern_half_open_retries(tcp, l);
	else if (option == TERN_TCP_WINDOW_CLAMP)
		*value = l->window_clamp;
	else if (option == TERN_TCP_DEFER_ACCEPT)
		*value = deferred_seconds(tcp, l->defer);
	else if (option == TERN_TCP_TOS)
		*value = tos_of(l->dscp);
	else if (option == TERN_TCP_RCVBUF)
		*value = l->rcvbuf;
	else if (option == TERN_TCP_SNDBUF)
		*value = l->sndbuf;
	else
		return TERN_EINVAL;
	return 0;
}
