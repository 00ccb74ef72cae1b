#include <assert.h>
#include "transport/udp.h"
#include "wire/addr.h"
#include "wire/udp.h"

#define DATA_MAX 65507u /* 65535 less both headers */

/* A datagram waiting to be read; its bytes follow. */
struct waiting {
	struct waiting *next;
	struct tern_endpoint from;
	struct tern_addr at;
	uint32_t len;
};

struct udp_socket {
	struct notice notice; /* first: stack.c hands it back */
	uint32_t generation;
	bool is_connected, broadcast;
	uint8_t ttl;
	int error; /* told once, by the next send or receive */
	struct tern_endpoint local, remote;
	void *user;
	uint32_t rcvbuf, queued; /* bytes, bookkeeping included */
	struct waiting *queue, **queue_tail;
};

void tern_udp_init(struct udp *udp, struct core *core, struct ip *ip)
{
	*udp = (struct udp){.core = core, .ip = ip};
	tern_pool_init(&udp->sockets, &core->mem, sizeof(struct udp_socket), 12, UINT32_MAX);
	tern_htab_init(&udp->connected, &core->mem);
	tern_htab_init(&udp->bound, &core->mem);
	udp->key = tern_rng_key(&core->rng);
}

/* --- finding */

static uint32_t hash_port(const struct udp *udp, uint16_t port)
{
	uint8_t key[2];
	store_be16(key, port);
	return (uint32_t)tern_siphash13(&udp->key, key, sizeof key);
}

static uint32_t hash_pair(const struct udp *udp, const struct tern_endpoint *local,
	const struct tern_endpoint *remote)
{
	uint8_t key[36];
	memcpy(key, local->addr.byte, 16);
	memcpy(key + 16, remote->addr.byte, 16);
	store_be16(key + 32, local->port);
	store_be16(key + 34, remote->port);
	return (uint32_t)tern_siphash13(&udp->key, key, sizeof key);
}

static bool same_endpoint(const struct tern_endpoint *a, const struct tern_endpoint *b)
{
	return a->port == b->port && addr_same(&a->addr, &b->addr);
}

static struct udp_socket *find_connected(const struct udp *udp, const struct tern_endpoint *local,
	const struct tern_endpoint *remote)
{
	struct htab_probe probe = tern_htab_probe(&udp->connected, hash_pair(udp, local, remote));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct udp_socket *s = tern_pool_at(&udp->sockets, slot);
		if (same_endpoint(&s->local, local) && same_endpoint(&s->remote, remote))
			return s;
	}
	return NULL;
}

/*
 * The socket bound to that very address, else one bound to any. With `clash`, whether a socket
 * with this local endpoint would get in the way: any address is in the way of all.
 */
static struct udp_socket *find_bound(const struct udp *udp, const struct tern_endpoint *local,
	bool clash)
{
	struct udp_socket *any = NULL;
	bool wants_any = addr_is_none(&local->addr);
	struct htab_probe probe = tern_htab_probe(&udp->bound, hash_port(udp, local->port));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct udp_socket *s = tern_pool_at(&udp->sockets, slot);
		if (s->local.port != local->port)
			continue;
		if (addr_same(&s->local.addr, &local->addr) || (clash && wants_any))
			return s;
		if (addr_is_none(&s->local.addr))
			any = s;
	}
	return any;
}

static struct udp_socket *socket_of(const struct udp *udp, struct tern_udp handle)
{
	struct udp_socket *s = tern_pool_at(&udp->sockets, handle.slot);
	return s && s->generation == handle.generation ? s : NULL;
}

/* --- opening and closing */

static bool taken(const struct udp *udp, const struct udp_socket *s)
{
	if (s->is_connected)
		return find_connected(udp, &s->local, &s->remote) != NULL;
	return find_bound(udp, &s->local, true) != NULL;
}

/* RFC 6056 3.3.1: from a random place in the range on, the first that is free. A connected
 * socket also keeps clear of ports that somebody listens on. */
static int choose_port(struct udp *udp, struct udp_socket *s)
{
	uint32_t min = (uint32_t)udp->core->set.ip_local_port_min;
	uint32_t max = (uint32_t)udp->core->set.ip_local_port_max;
	if (max < min)
		return TERN_EADDRNOTAVAIL;
	uint32_t range = max - min + 1, start = tern_rng_below(&udp->core->rng, range);
	for (uint32_t i = 0; i < range; i++) {
		s->local.port = (uint16_t)(min + (start + i) % range);
		if (!taken(udp, s) && !find_bound(udp, &s->local, true))
			return 0;
	}
	return TERN_EADDRNOTAVAIL;
}

static int settle_endpoints(struct udp *udp, const struct tern_udp_opts *opts, struct udp_socket *s)
{
	s->local = opts->local;
	s->remote = opts->remote;
	s->is_connected = opts->remote.port != 0 || !addr_is_none(&opts->remote.addr);
	if (s->is_connected && (opts->remote.port == 0 || addr_is_none(&opts->remote.addr)))
		return TERN_EINVAL;
	if (addr_is_none(&s->local.addr))
		memset(&s->local.addr, 0, sizeof s->local.addr);
	else if (!tern_ip_is_ours(udp->ip, &s->local.addr))
		return TERN_EADDRNOTAVAIL;
	if (s->is_connected) {
		struct tern_addr src;
		int err = tern_ip_source(udp->ip, &s->remote.addr, &src);
		if (err != 0)
			return err;
		if (addr_is_none(&s->local.addr))
			s->local.addr = src;
	}
	if (s->local.port == 0)
		return choose_port(udp, s);
	return taken(udp, s) ? TERN_EADDRINUSE : 0;
}

static struct htab *table_of(struct udp *udp, const struct udp_socket *s, uint32_t *hash)
{
	*hash = s->is_connected ? hash_pair(udp, &s->local, &s->remote)
				: hash_port(udp, s->local.port);
	return s->is_connected ? &udp->connected : &udp->bound;
}

int tern_udp_open(struct tern_stack *stack, const struct tern_udp_opts *opts, struct tern_udp *out)
{
	struct udp *udp = tern_stack_udp(stack);
	struct udp_socket s = {
		.notice.owner = NOTICE_UDP,
		.user = opts->user,
		.ttl = opts->ttl,
		.broadcast = opts->broadcast,
		.rcvbuf = opts->rcvbuf ? opts->rcvbuf : (uint32_t)udp->core->set.udp_rmem_default,
	};
	int err = settle_endpoints(udp, opts, &s);
	if (err != 0)
		return err;
	struct udp_socket *socket = tern_pool_get(&udp->sockets);
	if (!socket)
		return TERN_ENOMEM;
	uint32_t hash, slot = tern_pool_slot(&udp->sockets, socket);
	struct htab *table = table_of(udp, &s, &hash);
	if (tern_htab_insert(table, hash, slot) != 0) {
		tern_pool_put(&udp->sockets, socket);
		return TERN_ENOMEM;
	}
	*socket = s;
	socket->queue_tail = &socket->queue;
	socket->generation = tern_pool_generation(&udp->sockets);
	*out = (struct tern_udp){slot, socket->generation};
	return 0;
}

static struct waiting *take(struct udp_socket *s)
{
	struct waiting *w = s->queue;
	if (!w)
		return NULL;
	s->queue = w->next;
	if (!s->queue)
		s->queue_tail = &s->queue;
	s->queued -= (uint32_t)sizeof *w + w->len;
	return w;
}

static void free_waiting(struct udp *udp, struct waiting *w)
{
	tern_mem_free(&udp->core->mem, w, sizeof *w + w->len);
}

static void close_socket(struct udp *udp, struct udp_socket *s)
{
	tern_notice_cancel(udp->core, &s->notice);
	for (struct waiting *w; (w = take(s)) != NULL;)
		free_waiting(udp, w);
	uint32_t hash;
	struct htab *table = table_of(udp, s, &hash);
	tern_htab_remove(table, hash, tern_pool_slot(&udp->sockets, s));
	tern_pool_put(&udp->sockets, s);
}

int tern_udp_close(struct tern_stack *stack, struct tern_udp handle)
{
	struct udp *udp = tern_stack_udp(stack);
	struct udp_socket *s = socket_of(udp, handle);
	if (!s)
		return TERN_ESTALE;
	close_socket(udp, s);
	return 0;
}

void tern_udp_fini(struct udp *udp)
{
	uint32_t slot = 0;
	for (struct udp_socket *s; (s = tern_pool_next(&udp->sockets, &slot)) != NULL; slot++)
		close_socket(udp, s);
	tern_htab_fini(&udp->connected);
	tern_htab_fini(&udp->bound);
	tern_pool_fini(&udp->sockets);
}

int tern_udp_endpoint(const struct tern_stack *stack, struct tern_udp handle,
	struct tern_endpoint *local)
{
	const struct udp_socket *s = socket_of(tern_stack_udp_const(stack), handle);
	if (!s)
		return TERN_ESTALE;
	*local = s->local;
	return 0;
}

bool tern_udp_each(const struct tern_stack *stack, uint32_t *cursor, struct tern_udp_info *out)
{
	const struct udp_socket *s = tern_pool_next(&tern_stack_udp_const(stack)->sockets, cursor);
	if (!s)
		return false;
	*out = (struct tern_udp_info){.local = s->local,
		.remote = s->remote,
		.queued = s->queued,
		.rcvbuf = s->rcvbuf,
		.user = s->user};
	++*cursor;
	return true;
}

/* --- sending */

static int take_error(struct udp_socket *s)
{
	int err = s->error;
	s->error = 0;
	return err;
}

static int send_to(struct udp *udp, const struct udp_socket *s, const void *data, uint32_t len,
	const struct tern_endpoint *to)
{
	struct ip_datagram d = {
		.src = s->local.addr,
		.dst = to->addr,
		.out = {.protocol = IPPROTO_UDP_NUM, .ttl = s->ttl},
		.allow_broadcast = s->broadcast,
		.head_len = UDP_HEADER_LEN,
		.body = data,
		.body_len = len,
	};
	/* The checksum covers the source, so it is chosen here. */
	if (addr_is_none(&d.src)) {
		int err = tern_ip_source(udp->ip, &to->addr, &d.src);
		if (err != 0)
			return err;
	}
	struct udp_header h = {
		.src_port = s->local.port,
		.dst_port = to->port,
		.len = (uint16_t)(UDP_HEADER_LEN + len),
	};
	uint8_t head[UDP_HEADER_LEN];
	struct writer w = {head};
	uint64_t data_sum = len > 0 ? udp->core->csum->sum(data, len) : 0;
	tern_udp_emit(&w, &h, tern_pseudo_sum(&d.src, &d.dst, IPPROTO_UDP_NUM, h.len), data_sum);
	d.head = head;
	int err = tern_ip_send(udp->ip, &d);
	if (err == 0)
		core_count(udp->core, TERN_COUNT_UdpOutDatagrams);
	else if (err == TERN_EAGAIN || err == TERN_ENOMEM)
		core_count(udp->core, TERN_COUNT_UdpSndbufErrors);
	return err;
}

int tern_udp_send(struct tern_stack *stack, struct tern_udp handle, const void *data, size_t len,
	const struct tern_endpoint *to)
{
	struct udp *udp = tern_stack_udp(stack);
	struct udp_socket *s = socket_of(udp, handle);
	if (!s)
		return TERN_ESTALE;
	if (s->error != 0)
		return take_error(s);
	if (s->is_connected && to)
		return TERN_EISCONN;
	if (s->is_connected)
		to = &s->remote;
	if (!to || to->port == 0 || addr_is_none(&to->addr))
		return TERN_EINVAL;
	if (len > DATA_MAX)
		return TERN_EMSGSIZE;
	return send_to(udp, s, data, (uint32_t)len, to);
}

/* --- receiving */

static void enqueue(struct udp *udp, struct udp_socket *s, const struct ip_in *in,
	const struct tern_endpoint *from, const uint8_t *data, uint32_t len)
{
	struct waiting *w = NULL;
	uint32_t size = (uint32_t)sizeof *w + len;
	/* An empty queue takes one datagram of any size. */
	if (!s->queue || (s->queued < s->rcvbuf && size <= s->rcvbuf - s->queued))
		w = tern_mem_alloc(&udp->core->mem, size, _Alignof(struct waiting));
	if (!w) {
		core_count(udp->core, TERN_COUNT_UdpInErrors);
		core_count(udp->core, TERN_COUNT_UdpRcvbufErrors);
		tern_core_drop(udp->core, TERN_DROP_UDP_QUEUE_FULL);
		return;
	}
	*w = (struct waiting){.from = *from, .at = in->dst, .len = len};
	memcpy(w + 1, data, len);
	*s->queue_tail = w;
	s->queue_tail = &w->next;
	s->queued += size;
	core_count(udp->core, TERN_COUNT_UdpInDatagrams);
	tern_notice_raise(udp->core, &s->notice, NOTICE(TERN_EV_UDP));
}

static enum tern_drop parse(struct udp *udp, const struct ip_in *in, struct reader *r,
	struct udp_header *h)
{
	uint64_t pseudo = tern_pseudo_sum(&in->src, &in->dst, IPPROTO_UDP_NUM, in->len);
	enum tern_drop why = tern_udp_parse(r, udp->core->csum, in->csum_valid ? NULL : &pseudo, h);
	if (why == TERN_DROP_NONE)
		return why;
	core_count(udp->core, TERN_COUNT_UdpInErrors);
	if (why == TERN_DROP_UDP_CHECKSUM)
		core_count(udp->core, TERN_COUNT_UdpInCsumErrors);
	return why;
}

bool tern_udp_deliver(struct udp *udp, const struct ip_in *in)
{
	struct reader r = reader(in->data, in->len);
	struct udp_header h;
	enum tern_drop why = parse(udp, in, &r, &h);
	if (why) {
		tern_core_drop(udp->core, why);
		return true;
	}
	struct tern_endpoint from = {in->src, h.src_port}, to = {in->dst, h.dst_port};
	struct udp_socket *s = in->group ? NULL : find_connected(udp, &to, &from);
	if (!s)
		s = find_bound(udp, &to, false);
	if (!s) {
		core_count(udp->core, TERN_COUNT_UdpNoPorts);
		tern_core_drop(udp->core, TERN_DROP_UDP_NO_PORT);
		return false;
	}
	enqueue(udp, s, in, &from, r.at, (uint32_t)reader_left(&r));
	return true;
}

ptrdiff_t tern_udp_recv(struct tern_stack *stack, struct tern_udp handle, void *data, size_t size,
	struct tern_endpoint *from, struct tern_endpoint *at)
{
	struct udp *udp = tern_stack_udp(stack);
	struct udp_socket *s = socket_of(udp, handle);
	if (!s)
		return TERN_ESTALE;
	if (s->error != 0)
		return take_error(s);
	struct waiting *w = take(s);
	if (!w)
		return TERN_EAGAIN;
	size_t n = w->len < size ? w->len : size;
	if (n > 0)
		memcpy(data, w + 1, n);
	if (from)
		*from = w->from;
	if (at)
		*at = (struct tern_endpoint){w->at, s->local.port};
	ptrdiff_t len = (ptrdiff_t)w->len;
	free_waiting(udp, w);
	return len;
}

/*
 * Only a connected socket is told, since only its peer is known to be the one meant, and only
 * what is hard: a route that flaps is not the datagram's end (RFC 1122 4.1.3.3, as Linux).
 */
void tern_udp_error(struct udp *udp, const struct ip_error *error)
{
	assert(error->len >= 4);
	struct tern_endpoint local = {error->src, load_be16(error->data)};
	struct tern_endpoint remote = {error->dst, load_be16(error->data + 2)};
	struct udp_socket *s = find_connected(udp, &local, &remote);
	if (!s) {
		if (!find_bound(udp, &local, false))
			tern_core_drop(udp->core, TERN_DROP_ICMP_UNRELATED);
		return;
	}
	if (!error->hard)
		return;
	s->error = error->err;
	tern_notice_raise(udp->core, &s->notice, NOTICE(TERN_EV_UDP));
}

void tern_udp_notice_owner(const struct udp *udp, const struct notice *notice,
	struct tern_udp *handle, void **user)
{
	assert(notice->owner == NOTICE_UDP);
	const struct udp_socket *s = (const struct udp_socket *)notice;
	*handle = (struct tern_udp){tern_pool_slot(&udp->sockets, s), s->generation};
	*user = s->user;
}

uint32_t tern_udp_count(const struct udp *udp)
{
	return udp->sockets.live;
}
