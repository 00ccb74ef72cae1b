/*
 * Composition: the only file that sees every layer. It owns them, registers each one's upcalls with
 * the one below, and turns the three calls into theirs.
 */
#include <string.h>
#include <tern/tern.h>
#include "base/ring.h"
#include "link/link.h"
#include "network/ip.h"
#include "transport/tcp/tcp.h"
#include "transport/udp.h"

#define LOOPBACK_BATCH      256                 /* frames fed back a call */
#define LOOPBACK_RETRY      UINT64_C(100000000) /* ns until memory is asked for again */
#define BUDGET_DEFAULT      ((size_t)64 << 20)
#define BUDGET_MIN          ((size_t)256 << 10)
#define CONNECTIONS_DEFAULT (1u << 20)

struct tern_stack {
	struct core core;
	struct link link;
	struct ip ip;
	struct udp udp;
	struct tcp tcp;
	bool syn_turn;     /* of a SYN-ACK, before connections */
	uint8_t *loopback; /* buffer for one frame of the loopback's MTU */
};

struct tcp *tern_stack_tcp(struct tern_stack *stack)
{
	return &stack->tcp;
}

const struct tcp *tern_stack_tcp_const(const struct tern_stack *stack)
{
	return &stack->tcp;
}

struct udp *tern_stack_udp(struct tern_stack *stack)
{
	return &stack->udp;
}

const struct udp *tern_stack_udp_const(const struct tern_stack *stack)
{
	return &stack->udp;
}

/* --- upcalls ---------------------------------------------------------------------------- */

static bool deliver(void *context, const struct ip_in *in)
{
	struct tern_stack *stack = context;
	switch (in->protocol) {
	case IPPROTO_TCP_NUM:
		tern_tcp_input(&stack->tcp, in);
		return true;
	case IPPROTO_UDP_NUM:
		return tern_udp_deliver(&stack->udp, in);
	default:
		return false;
	}
}

static void error(void *context, const struct ip_error *e)
{
	struct tern_stack *stack = context;
	if (e->protocol == IPPROTO_TCP_NUM)
		tern_tcp_icmp(&stack->tcp, e);
	else if (e->protocol == IPPROTO_UDP_NUM)
		tern_udp_error(&stack->udp, e);
}

static void path_changed(void *context, int nif)
{
	struct tern_stack *stack = context;
	tern_tcp_path_changed(&stack->tcp, nif);
}

static const struct ip_ops ip_ops = {deliver, error, path_changed};

/* --- life ------------------------------------------------------------------------------- */

void tern_config_init(struct tern_config *config)
{
	*config = (struct tern_config){
		.budget = BUDGET_DEFAULT,
		.max_connections = CONNECTIONS_DEFAULT,
		.loopback_mtu = UINT16_MAX,
	};
}

static void default_settings(struct settings *set)
{
#define TERN_SETTING(name, initial, min, max, text) set->name = (initial);
#include <tern/settings.def>
#undef TERN_SETTING
}

static bool config_valid(const struct tern_config *config)
{
	return config->allocator.alloc && config->allocator.free && config->budget >= BUDGET_MIN &&
	       config->max_connections > 0 && config->loopback_mtu >= 576 &&
	       config->loopback_mtu <= UINT16_MAX;
}

struct tern_stack *tern_stack_new(const struct tern_config *config, uint64_t now)
{
	struct mem mem;
	if (!config_valid(config))
		return NULL;
	tern_mem_init(&mem, &config->allocator, config->budget);
	struct tern_stack *stack = tern_mem_alloc(&mem, sizeof *stack, 64);
	if (!stack)
		return NULL;
	memset(stack, 0, sizeof *stack);
	struct core *core = &stack->core;
	core->mem = mem;
	core->now = now;
	core->nif = -1;
	core->csum = tern_csum_pick();
	core->notices_tail = &core->notices;
	default_settings(&core->set);
	tern_rng_init(&core->rng, config->seed);
	tern_pool_init(&core->chunks, &core->mem, RING_CHUNK, 16, UINT32_MAX);
	tern_link_init(&stack->link, core, &tern_ip_link_ops, &stack->ip);
	tern_ip_init(&stack->ip, core, &stack->link, &ip_ops, stack);
	tern_udp_init(&stack->udp, core, &stack->ip);
	tern_tcp_init(&stack->tcp, core, &stack->ip);
	stack->tcp.tcbs.max_live = config->max_connections;
	stack->link.nif[TERN_NIF_LOOPBACK].opts.mtu = config->loopback_mtu;
	stack->loopback = tern_mem_alloc(&core->mem, config->loopback_mtu, 64);
	if (!stack->loopback) {
		tern_stack_free(stack);
		return NULL;
	}
	return stack;
}

void tern_stack_free(struct tern_stack *stack)
{
	if (!stack)
		return;
	stack->core.listener.see = NULL;
	tern_tcp_fini(&stack->tcp);
	tern_udp_fini(&stack->udp);
	tern_ip_fini(&stack->ip);
	tern_link_fini(&stack->link);
	tern_pool_fini(&stack->core.chunks);
	tern_mem_free(&stack->core.mem, stack->loopback,
		stack->link.nif[TERN_NIF_LOOPBACK].opts.mtu);
	struct mem mem = stack->core.mem;
	tern_mem_free(&mem, stack, sizeof *stack);
}

/* --- interfaces --------------------------------------------------------------------------- */

static bool nif_valid(const struct tern_stack *stack, int nif)
{
	return nif >= 0 && (uint32_t)nif < stack->link.nif_count;
}

static bool nif_external(const struct tern_stack *stack, int nif)
{
	return nif_valid(stack, nif) && nif != TERN_NIF_LOOPBACK;
}

int tern_nif_add(struct tern_stack *stack, const struct tern_nif_opts *opts)
{
	return tern_link_nif_add(&stack->link, opts);
}

int tern_nif_addr_add(struct tern_stack *stack, int nif, const struct tern_addr *addr,
	unsigned prefix_len)
{
	static const struct tern_addr on_link;
	if (!nif_valid(stack, nif))
		return TERN_EINVAL;
	int err = tern_link_addr_add(&stack->link, nif, addr, prefix_len);
	if (err != 0 || nif == TERN_NIF_LOOPBACK)
		return err;
	err = tern_ip_route_add(&stack->ip, addr, prefix_len, &on_link, nif);
	return err == TERN_EEXIST ? 0 : err;
}

int tern_nif_addr(const struct tern_stack *stack, int nif, struct tern_addr *addr)
{
	if (!nif_valid(stack, nif) || stack->link.nif[nif].addr_count == 0)
		return TERN_EADDRNOTAVAIL;
	*addr = stack->link.nif[nif].addr[0].addr;
	return 0;
}

int tern_nif_info(const struct tern_stack *stack, int nif, struct tern_nif_opts *out)
{
	if (!nif_valid(stack, nif))
		return TERN_EINVAL;
	*out = stack->link.nif[nif].opts;
	return 0;
}

int tern_route_add(struct tern_stack *stack, const struct tern_addr *prefix, unsigned prefix_len,
	const struct tern_addr *gateway, int nif)
{
	if (!nif_valid(stack, nif))
		return TERN_EINVAL;
	return tern_ip_route_add(&stack->ip, prefix, prefix_len, gateway, nif);
}

size_t tern_nif_frame_room(const struct tern_stack *stack, int nif)
{
	if (!nif_valid(stack, nif))
		return 0;
	const struct nif *n = &stack->link.nif[nif];
	if (n->opts.offload & TERN_OFFLOAD_TSO)
		return UINT16_MAX + (size_t)ETH_HEADER_LEN + 1;
	return n->header_len + (size_t)n->opts.mtu;
}

/* --- the three calls ------------------------------------------------------------------------ */

static void trace_frame(struct tern_stack *stack, enum tern_trace_kind kind, int nif,
	const struct tern_frame *frame)
{
	if (!core_traced(&stack->core))
		return;
	struct tern_trace t = {.kind = kind, .nif = nif, .frame = frame};
	tern_core_trace(&stack->core, &t);
}

/* Time does not go back. */
static void set_time(struct tern_stack *stack, uint64_t now)
{
	if (now > stack->core.now)
		stack->core.now = now;
	tern_tcp_time(&stack->tcp);
}

static void advance(struct tern_stack *stack)
{
	tern_link_advance(&stack->link);
	tern_ip_advance(&stack->ip);
	tern_tcp_advance(&stack->tcp);
}

/* SYN-ACKs go to the queue only when it is empty: others' replies must find room there. */
static bool pull_syn_ack(struct tern_stack *stack, int nif, struct tern_frame *frame)
{
	while (tern_syncache_pull(&stack->tcp, nif))
		if (tern_link_pull(&stack->link, nif, frame))
			return true;
	return tern_link_pull(&stack->link, nif, frame); /* an ARP request, perhaps */
}

/* Nobody has anything for the interface: the usual answer, cheaply. */
static bool idle(const struct tern_stack *stack, int nif)
{
	return !stack->link.nif[nif].queued && !stack->tcp.ready[nif].head &&
	       !stack->tcp.syns.count;
}

/* Asking a connection may queue an ARP request: hence the second look at the queue. */
static bool pull(struct tern_stack *stack, int nif, struct tern_frame *frame)
{
	if (idle(stack, nif))
		return false;
	stack->core.nif = nif;
	bool half_open = stack->tcp.syns.count;
	stack->syn_turn = half_open && !stack->syn_turn; /* connections and SYN-ACKs take turns */
	bool filled = tern_link_pull(&stack->link, nif, frame) ||
		      (stack->syn_turn && pull_syn_ack(stack, nif, frame)) ||
		      tern_tcp_pull(&stack->tcp, nif, frame) ||
		      tern_link_pull(&stack->link, nif, frame) ||
		      (half_open && pull_syn_ack(stack, nif, frame));
	if (filled)
		trace_frame(stack, TERN_TRACE_FRAME_OUT, nif, frame);
	stack->core.nif = -1;
	return filled;
}

static void input_one(struct tern_stack *stack, int nif, const struct tern_frame *frame)
{
	stack->core.nif = nif;
	trace_frame(stack, TERN_TRACE_FRAME_IN, nif, frame);
	tern_link_input(&stack->link, nif, frame);
	trace_frame(stack, TERN_TRACE_FRAME_DONE, nif, frame);
	stack->core.nif = -1;
}

/* What was sent to ourselves arrives, a bounded batch at a time. Nothing could damage it on the
 * way, so its checksum counts as verified. */
static void pump_loopback(struct tern_stack *stack)
{
	uint32_t room = stack->link.nif[TERN_NIF_LOOPBACK].opts.mtu;
	for (unsigned i = 0; i < LOOPBACK_BATCH && !idle(stack, TERN_NIF_LOOPBACK); i++) {
		struct tern_frame frame = {.data = stack->loopback, .capacity = room};
		if (!pull(stack, TERN_NIF_LOOPBACK, &frame))
			return;
		frame.csum_valid = true;
		input_one(stack, TERN_NIF_LOOPBACK, &frame);
	}
}

void tern_input(struct tern_stack *stack, int nif, const struct tern_frame *frames, unsigned n,
	uint64_t now)
{
	set_time(stack, now);
	if (nif_external(stack, nif))
		for (unsigned i = 0; i < n; i++)
			input_one(stack, nif, &frames[i]);
	advance(stack);
	pump_loopback(stack);
}

unsigned tern_output(struct tern_stack *stack, int nif, struct tern_frame *frames, unsigned max,
	uint64_t now)
{
	unsigned n = 0;
	set_time(stack, now);
	advance(stack);
	pump_loopback(stack);
	if (nif_external(stack, nif))
		while (n < max && pull(stack, nif, &frames[n]))
			n++;
	return n;
}

static uint64_t soonest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t tern_deadline(const struct tern_stack *stack)
{
	for (uint32_t i = 0; i < stack->link.nif_count; i++)
		if (stack->link.nif[i].queued || stack->tcp.ready[i].head)
			return stack->core.now;
	if (stack->tcp.syns.count && tern_syncache_pending(&stack->tcp))
		return stack->core.now;
	return soonest(tern_link_deadline(&stack->link),
		soonest(tern_ip_deadline(&stack->ip), tern_tcp_deadline(&stack->tcp)));
}

uint64_t tern_now(const struct tern_stack *stack)
{
	return stack->core.now;
}

/* --- events ---------------------------------------------------------------------------------- */

static bool udp_event(struct tern_stack *stack, struct notice *notice, struct tern_event *event)
{
	*event = (struct tern_event){.kind = TERN_EV_UDP};
	tern_udp_notice_owner(&stack->udp, notice, &event->udp, &event->user);
	notice->pending = 0;
	return true;
}

static bool take_event(struct tern_stack *stack, struct notice *notice, struct tern_event *event)
{
	switch ((enum notice_owner)notice->owner) {
	case NOTICE_CONN:
		return tern_tcp_event(&stack->tcp, notice, event);
	case NOTICE_LISTENER:
		return tern_tcp_listener_event(&stack->tcp, notice, event);
	case NOTICE_UDP:
		return udp_event(stack, notice, event);
	}
	return false;
}

bool tern_event_next(struct tern_stack *stack, struct tern_event *event)
{
	for (struct notice *notice; (notice = stack->core.notices);) {
		bool told = notice->pending && take_event(stack, notice, event);
		if (notice->pending == 0)
			tern_notice_cancel(&stack->core, notice);
		if (told)
			return true;
	}
	return false;
}

/* --- status -------------------------------------------------------------------------- */

uint64_t tern_counter(const struct tern_stack *stack, enum tern_counter which)
{
	return which < TERN_COUNTERS ? stack->core.counter[which] : 0;
}

uint64_t tern_drop_count(const struct tern_stack *stack, enum tern_drop drop)
{
	return drop < TERN_DROPS ? stack->core.drop[drop] : 0;
}

void tern_memory_info(const struct tern_stack *stack, struct tern_memory_info *out)
{
	const struct mem *mem = &stack->core.mem;
	*out = (struct tern_memory_info){
		.budget = mem->budget,
		.used = mem->used,
		.peak = mem->peak,
		.refused = mem->refused,
		.connection_bytes = sizeof(struct tcb),
		.connections =
			stack->tcp.tcbs.live + stack->tcp.syns.count + stack->tcp.waits.pool.live,
		.half_open = stack->tcp.syns.count,
		.time_waits = stack->tcp.waits.pool.live,
		.chunks = stack->core.chunks.live,
		.listeners = stack->tcp.listeners.live,
		.udp_sockets = tern_udp_count(&stack->udp),
		.timers = stack->tcp.wheel.armed,
	};
}

const char *tern_stack_check(const struct tern_stack *stack)
{
	if (stack->core.mem.used > stack->core.mem.budget)
		return "more memory is held than the budget allows";
	return tern_tcp_check(&stack->tcp);
}

void tern_trace_set(struct tern_stack *stack, const struct tern_trace_listener *listener)
{
	stack->core.listener = listener ? *listener : (struct tern_trace_listener){0};
}

int tern_set(struct tern_stack *stack, const char *name, int64_t value)
{
	return tern_settings_set(&stack->core.set, name, value);
}

/* Decimal digits and nothing else. */
static bool parse_number(const char *text, int64_t *out)
{
	int64_t n = 0;
	const char *c = text;
	for (; *c >= '0' && *c <= '9' && n <= INT32_MAX; c++)
		n = 10 * n + (*c - '0');
	*out = n;
	return c != text && (*c == '\0' || n > INT32_MAX);
}

static int set_text(struct settings *set, const char *name, const char *value)
{
	int64_t n;
	int err = tern_settings_get(set, name, &n);
	if (err != 0)
		return err;
	int algorithm = strcmp(name, "tcp_congestion_control") == 0 ? tern_congestion_number(value)
								    : TERN_ENOENT;
	if (algorithm >= 0)
		n = algorithm;
	else if (!parse_number(value, &n))
		return TERN_EINVAL;
	return tern_settings_set(set, name, n);
}

int tern_set_text(struct tern_stack *stack, const char *name, const char *value)
{
	return set_text(&stack->core.set, name, value);
}

/* What follows that beginning, or NULL. */
static const char *after(const char *text, const char *beginning)
{
	for (; *beginning; text++, beginning++)
		if (*text != *beginning)
			return NULL;
	return text;
}

const char *tern_setting_bare(const char *name)
{
	const char *rest = after(name, "net.ipv4.");
	rest = rest ? rest : after(name, "net.core.");
	return rest ? rest : name;
}

int tern_set_pair(struct tern_stack *stack, const char *pair)
{
	struct settings nobodys = {0};
	char name[64];
	size_t len = 0;
	pair = tern_setting_bare(pair);
	while (pair[len] && pair[len] != '=')
		len++;
	if (!pair[len])
		return TERN_EINVAL;
	if (len >= sizeof name) /* no setting's is so long */
		return TERN_ENOENT;
	memcpy(name, pair, len);
	name[len] = '\0';
	return set_text(stack ? &stack->core.set : &nobodys, name, pair + len + 1);
}

int tern_get(const struct tern_stack *stack, const char *name, int64_t *value)
{
	return tern_settings_get(&stack->core.set, name, value);
}
