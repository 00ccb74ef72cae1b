/* The user calls about listeners: passive OPEN, accept, and their end. */
#include <string.h>
#include "transport/tcp/tcp.h"

struct listener *tern_listen_of(const struct tcp *tcp, struct tern_listener listener)
{
	struct listener *l = tern_pool_at(&tcp->listeners, listener.slot);
	return l && l->generation == listener.generation ? l : NULL;
}

/* A port is taken by a listener on the same address, or when either means "any". */
static bool taken(const struct tcp *tcp, const struct tern_endpoint *local)
{
	struct htab_probe probe =
		tern_htab_probe(&tcp->listening, tern_listening_hash(tcp, local->port));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		const struct listener *l = tern_pool_at(&tcp->listeners, slot);
		bool any = tern_addr_is_unspecified(&l->addr) ||
			   tern_addr_is_unspecified(&local->addr);
		if (l->port == local->port && (any || tern_addr_equal(&l->addr, &local->addr)))
			return true;
	}
	return false;
}

static uint16_t pick_port(struct tcp *tcp, const struct tern_addr *addr)
{
	uint32_t low = (uint32_t)tcp->core->set.ip_local_port_min;
	uint32_t high = (uint32_t)tcp->core->set.ip_local_port_max;
	if (high < low)
		return 0;
	uint32_t range = high - low + 1, start = tern_rng_below(&tcp->core->rng, range);
	for (uint32_t i = 0; i < range; i++) {
		struct tern_endpoint local = {*addr, (uint16_t)(low + (start + i) % range)};
		if (!taken(tcp, &local))
			return local.port;
	}
	return 0;
}

static int check_local(struct tcp *tcp, struct tern_endpoint *local)
{
	if (!tern_addr_is_unspecified(&local->addr) && !tern_ip_is_ours(tcp->ip, &local->addr))
		return TERN_EADDRNOTAVAIL;
	if (local->port == 0) {
		local->port = pick_port(tcp, &local->addr);
		return local->port ? 0 : TERN_EADDRNOTAVAIL;
	}
	return taken(tcp, local) ? TERN_EADDRINUSE : 0;
}

static void set_up(struct tcp *tcp, struct listener *l, const struct tern_listen_opts *opts,
	const struct tern_endpoint *local)
{
	memset(l, 0, sizeof *l);
	l->generation = tern_pool_generation(&tcp->listeners);
	l->addr = local->addr;
	l->port = local->port;
	l->backlog = at_most(opts->backlog, (uint32_t)tcp->core->set.somaxconn);
	l->user = opts->user;
	l->rcvbuf = opts->rcvbuf;
	l->sndbuf = opts->sndbuf;
	l->queue_tail = &l->queue;
	l->notice.owner = NOTICE_LISTENER;
}

int tern_tcp_listen(struct tern_stack *stack, const struct tern_listen_opts *opts,
	struct tern_listener *out)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct tern_endpoint local = opts->local;
	int err = check_local(tcp, &local);
	if (err != 0)
		return err;
	struct listener *l = tern_pool_get(&tcp->listeners);
	if (!l)
		return TERN_ENOMEM;
	set_up(tcp, l, opts, &local);
	uint32_t slot = tern_pool_slot(&tcp->listeners, l);
	err = tern_htab_insert(&tcp->listening, tern_listening_hash(tcp, l->port), slot);
	if (err != 0) {
		tern_pool_put(&tcp->listeners, l);
		return err;
	}
	tern_trace_listener_state(tcp, l, TERN_TCP_CLOSED, TERN_TCP_LISTEN,
		TERN_CAUSE_OPEN_PASSIVE);
	*out = (struct tern_listener){slot, l->generation};
	return 0;
}

int tern_tcp_accept(struct tern_stack *stack, struct tern_listener listener, struct tern_conn *out)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct listener *l = tern_listen_of(tcp, listener);
	if (!l)
		return TERN_ESTALE;
	struct tcb *tcb = tern_listen_take(tcp, l);
	if (!tcb)
		return TERN_EAGAIN;
	*out = (struct tern_conn){tern_pool_slot(&tcp->tcbs, tcb), tcb->generation};
	return 0;
}

int tern_tcp_listen_backlog(struct tern_stack *stack, struct tern_listener listener,
	uint32_t backlog)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct listener *l = tern_listen_of(tcp, listener);
	if (!l)
		return TERN_ESTALE;
	l->backlog = at_most(backlog, (uint32_t)tcp->core->set.somaxconn);
	return 0;
}

int tern_tcp_listen_close(struct tern_stack *stack, struct tern_listener listener)
{
	struct tcp *tcp = tern_stack_tcp(stack);
	struct listener *l = tern_listen_of(tcp, listener);
	if (!l)
		return TERN_ESTALE;
	tern_listen_reset_all(tcp, l);
	tern_notice_cancel(tcp->core, &l->notice);
	tern_htab_remove(&tcp->listening, tern_listening_hash(tcp, l->port),
		tern_pool_slot(&tcp->listeners, l));
	tern_trace_listener_state(tcp, l, TERN_TCP_LISTEN, TERN_TCP_CLOSED, TERN_CAUSE_CLOSE);
	tern_pool_put(&tcp->listeners, l);
	if (tcp->listeners.live == 0)
		tern_syncache_fini(tcp);
	return 0;
}

int tern_tcp_listen_endpoint(const struct tern_stack *stack, struct tern_listener listener,
	struct tern_endpoint *out)
{
	const struct listener *l = tern_listen_of(tern_stack_tcp_const(stack), listener);
	if (!l)
		return TERN_ESTALE;
	*out = (struct tern_endpoint){l->addr, l->port};
	return 0;
}

int tern_tcp_listen_info(const struct tern_stack *stack, struct tern_listener listener,
	struct tern_listen_info *out)
{
	const struct listener *l = tern_listen_of(tern_stack_tcp_const(stack), listener);
	if (!l)
		return TERN_ESTALE;
	*out = (struct tern_listen_info){.local = {l->addr, l->port},
		.backlog = l->backlog,
		.queued = l->queued,
		.half_open = l->half_open,
		.rcvbuf = l->rcvbuf,
		.sndbuf = l->sndbuf};
	return 0;
}

bool tern_tcp_listener_event(struct tcp *tcp, struct notice *notice, struct tern_event *event)
{
	struct listener *l = listener_of_notice(notice);
	notice->pending = 0;
	if (!l->queue) /* reset before anyone looked */
		return false;
	*event = (struct tern_event){
		.kind = TERN_EV_ACCEPT,
		.user = l->user,
		.listener = {tern_pool_slot(&tcp->listeners, l), l->generation},
	};
	return true;
}
