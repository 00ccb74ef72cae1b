/* The table of half-open connections, and its clock; half_open.c says what happens to one. */
#include <string.h>
#include "transport/tcp/tcp.h"

#define BUDGET_SHARE 16   /* of all memory, the most that the table takes */
#define EXPIRE_MAX   1024 /* a call */

/* --- the table ----------------------------------------------------------------------------- */

static uint32_t power_of_two(size_t at_least)
{
	uint32_t n = 2 * SYN_WAYS;
	while (n < at_least)
		n *= 2;
	return n;
}

static uint32_t wanted_size(const struct tcp *tcp)
{
	uint32_t size = power_of_two(2 * (size_t)tcp->core->set.tcp_max_syn_backlog);
	while (size > 2 * SYN_WAYS &&
		size * sizeof(struct syn) > tcp->core->mem.budget / BUDGET_SHARE)
		size /= 2;
	return size;
}

static void let_go(struct tcp *tcp, struct syncache *c)
{
	tern_mem_free(&tcp->core->mem, c->entry, c->size * sizeof *c->entry);
	*c = (struct syncache){0};
}

void tern_syncache_fini(struct tcp *tcp)
{
	let_go(tcp, &tcp->syns);
}

bool tern_syncache_full(const struct tcp *tcp)
{
	const struct syncache *c = &tcp->syns;
	return c->count >= (uint32_t)tcp->core->set.tcp_max_syn_backlog ||
	       (c->count && c->count >= c->size / 2);
}

/* The two buckets a pair may be in. */
struct buckets {
	struct syn *place[2];
};

static struct buckets buckets_of(const struct syncache *c, const struct tcp_pair *pair)
{
	uint32_t mask = c->size / SYN_WAYS - 1;
	uint32_t one = (uint32_t)pair->hash & mask, other = (uint32_t)(pair->hash >> 32) & mask;
	return (struct buckets){{c->entry + one * SYN_WAYS, c->entry + other * SYN_WAYS}};
}

static bool is(const struct syn *e, const struct tcp_pair *pair)
{
	return e->local_port == pair->local_port && e->remote_port == pair->remote_port &&
	       memcmp(&e->remote, pair->remote, sizeof e->remote) == 0 &&
	       memcmp(&e->local, pair->local, sizeof e->local) == 0;
}

struct syn *tern_syncache_find(const struct tcp *tcp, const struct tcp_pair *pair)
{
	if (tcp->syns.count == 0)
		return NULL;
	struct buckets b = buckets_of(&tcp->syns, pair);
	for (unsigned i = 0; i < 2 * SYN_WAYS; i++) {
		struct syn *e = &b.place[i / SYN_WAYS][i % SYN_WAYS];
		if (is(e, pair))
			return e;
	}
	return NULL;
}

/* A vacant place in the emptier bucket. */
static struct syn *vacancy(const struct syncache *c, const struct tcp_pair *pair)
{
	struct buckets b = buckets_of(c, pair);
	struct syn *free[2] = {NULL, NULL};
	unsigned room[2] = {0, 0};
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < SYN_WAYS; i++)
			if (b.place[k][i].local_port == 0) {
				free[k] = &b.place[k][i];
				room[k]++;
			}
	return free[room[1] > room[0]];
}

/* --- the queues ---------------------------------------------------------------------------- */

static struct syn_links *links(struct syncache *c, uint32_t place)
{
	return place < c->size ? &c->entry[place].link : &c->list[place - c->size];
}

static uint32_t place_of(const struct syncache *c, const struct syn *e)
{
	return (uint32_t)(e - c->entry);
}

static struct syn *head(struct syncache *c, unsigned list)
{
	uint32_t place = c->list[list].next;
	return place < c->size ? &c->entry[place] : NULL;
}

static void leave(struct syncache *c, const struct syn *e)
{
	links(c, e->link.prev)->next = e->link.next;
	links(c, e->link.next)->prev = e->link.prev;
}

static void join(struct syncache *c, struct syn *e, unsigned list)
{
	struct syn_links *end = &c->list[list];
	e->link.next = (c->size + list) & SYN_PLACE_MASK;
	e->link.prev = end->prev;
	links(c, end->prev)->next = place_of(c, e) & SYN_PLACE_MASK;
	end->prev = place_of(c, e) & SYN_PLACE_MASK;
}

/* --- its size ------------------------------------------------------------------------------ */

static bool make(struct tcp *tcp, struct syncache *c, uint32_t size)
{
	*c = (struct syncache){
		.entry = tern_mem_alloc(&tcp->core->mem, size * sizeof *c->entry, 64)};
	if (!c->entry)
		return false;
	memset(c->entry, 0, size * sizeof *c->entry);
	c->size = size;
	for (uint32_t k = 0; k < SYN_LISTS; k++)
		c->list[k].next = c->list[k].prev = (size + k) & SYN_PLACE_MASK;
	return true;
}

/* Every entry of one table into a larger, in the same order; false if one finds no place. */
static bool move_all(struct tcp *tcp, struct syncache *from, struct syncache *to)
{
	for (unsigned list = 0; list < SYN_LISTS && from->count; list++)
		for (uint32_t at = from->list[list].next; at < from->size;
			at = from->entry[at].link.next) {
			const struct syn *e = &from->entry[at];
			struct tcp_pair pair = tern_pair(tcp, &e->local, e->local_port, &e->remote,
				e->remote_port);
			struct syn *place = vacancy(to, &pair);
			if (!place)
				return false;
			*place = *e;
			join(to, place, list);
			to->count++;
		}
	return true;
}

/* A table of the size that the settings ask for; one that is in use grows only. Whether there is
 * one. */
static bool prepare(struct tcp *tcp)
{
	struct syncache *c = &tcp->syns, other;
	uint32_t size = wanted_size(tcp);
	if (c->size == size || (c->count && size < c->size) || !make(tcp, &other, size))
		return c->entry;
	bool moved = move_all(tcp, c, &other);
	let_go(tcp, moved ? c : &other);
	if (moved)
		*c = other;
	return true;
}

void tern_syncache_remove(struct tcp *tcp, struct syn *e)
{
	leave(&tcp->syns, e);
	tcp->syns.count--;
	e->local_port = 0;
}

struct syn *tern_syncache_next(const struct tcp *tcp, uint32_t *place)
{
	for (; *place < tcp->syns.size; ++*place)
		if (tcp->syns.entry[*place].local_port)
			return &tcp->syns.entry[*place];
	return NULL;
}

/* --- time ---------------------------------------------------------------------------------- */

uint32_t tern_syncache_wait(const struct tcp *tcp, unsigned tries)
{
	uint32_t wait = (uint32_t)(RTO_INITIAL / 1000);
	uint32_t most = (uint32_t)tcp->core->set.tcp_rto_max_ms * 1000;
	for (unsigned i = 0; i < tries && wait < most; i++)
		wait *= 2;
	return at_most(wait, most);
}

uint64_t tern_syncache_left(const struct tcp *tcp, const struct syn *e)
{
	uint64_t at = us_to_ns(tcp, e->due);
	return at > tcp->core->now ? at - tcp->core->now : 0;
}

/* The device has it, or it is lost: to be looked at again in time. */
static void sent(struct tcp *tcp, struct syn *e, bool lost)
{
	unsigned stage = e->link.tries < SYN_STAGES ? e->link.tries : SYN_STAGES - 1;
	join(&tcp->syns, e, stage);
	e->due = us_at(tcp, tcp->core->now) + tern_syncache_wait(tcp, e->link.tries);
	if (lost)
		return;
	e->resent = e->sent;
	e->sent = true;
}

bool tern_syncache_pending(const struct tcp *tcp)
{
	const struct syncache *c = &tcp->syns;
	for (unsigned nif = 0; nif < TERN_NIF_MAX && c->count; nif++)
		if (c->list[SYN_STAGES + nif].next < c->size)
			return true;
	return false;
}

bool tern_syncache_pull(struct tcp *tcp, int nif)
{
	struct syncache *c = &tcp->syns;
	for (struct syn *e; c->count && (e = head(c, SYN_STAGES + (unsigned)nif)) != NULL;) {
		enum link_answer answer = tern_ip_ready(tcp->ip, &e->remote);
		int err =
			answer == LINK_READY ? tern_half_open_send(tcp, e, nif) : TERN_EHOSTUNREACH;
		if (err == TERN_EAGAIN)
			return false;
		leave(c, e);
		if (answer == LINK_PENDING)
			join(c, e, SYN_PARKED + (unsigned)nif);
		else
			sent(tcp, e, err != 0);
		if (err == 0)
			return true;
	}
	return false;
}

void tern_syncache_path_changed(struct tcp *tcp, int nif)
{
	struct syncache *c = &tcp->syns;
	for (struct syn *e; c->count && (e = head(c, SYN_PARKED + (unsigned)nif)) != NULL;) {
		leave(c, e);
		join(c, e, SYN_STAGES + (unsigned)nif);
	}
}

/* Its SYN-ACK is due, on the device that leads there; without one it is as good as lost. */
static void say(struct tcp *tcp, struct syn *e)
{
	int nif = tern_ip_nif(tcp->ip, &e->remote);
	if (nif < 0)
		sent(tcp, e, true);
	else
		join(&tcp->syns, e, SYN_STAGES + (unsigned)nif);
}

static struct syn *place_for(struct tcp *tcp, const struct tcp_pair *pair)
{
	return prepare(tcp) && !tern_syncache_full(tcp) ? vacancy(&tcp->syns, pair) : NULL;
}

bool tern_syncache_room(struct tcp *tcp, const struct tcp_pair *pair)
{
	return place_for(tcp, pair);
}

struct syn *tern_syncache_add(struct tcp *tcp, const struct tcp_pair *pair)
{
	struct syncache *c = &tcp->syns;
	struct syn *e = place_for(tcp, pair);
	if (!e)
		return NULL;
	*e = (struct syn){.local = *pair->local,
		.remote = *pair->remote,
		.local_port = pair->local_port,
		.remote_port = pair->remote_port};
	c->count++;
	say(tcp, e);
	return e;
}

static void expire(struct tcp *tcp, struct syn *e)
{
	bool again = tern_half_open_repeats(tcp, e);
	if (tern_half_open_over(tcp, e)) {
		tern_half_open_end(tcp, tern_half_open_listener(tcp, e), e, TERN_CAUSE_TIMEOUT);
		return;
	}
	e->link.tries = (e->link.tries + 1u) & 0xff;
	leave(&tcp->syns, e);
	if (again)
		say(tcp, e);
	else
		sent(tcp, e, true);
}

void tern_syncache_advance(struct tcp *tcp)
{
	unsigned left = EXPIRE_MAX;
	for (unsigned list = 0; list < SYN_STAGES && tcp->syns.count; list++)
		for (struct syn *e; left && (e = head(&tcp->syns, list)) != NULL; left--) {
			if (tern_syncache_left(tcp, e))
				break;
			expire(tcp, e);
		}
}

uint64_t tern_syncache_deadline(const struct tcp *tcp)
{
	const struct syncache *c = &tcp->syns;
	uint64_t soonest = TERN_NEVER;
	for (unsigned list = 0; list < SYN_STAGES && c->count; list++) {
		uint32_t place = c->list[list].next;
		if (place >= c->size)
			continue;
		uint64_t at = us_to_ns(tcp, c->entry[place].due);
		soonest = at < soonest ? at : soonest;
	}
	return soonest;
}

const char *tern_syncache_check(const struct tcp *tcp)
{
	const struct syncache *c = &tcp->syns;
	uint32_t queued = 0, used = 0, place = 0;
	for (unsigned list = 0; list < SYN_LISTS && c->entry; list++)
		for (uint32_t at = c->list[list].next; at < c->size; at = c->entry[at].link.next)
			if (++queued > c->count || c->entry[at].local_port == 0)
				return "a queue of half-open connections holds something else";
	for (; tern_syncache_next(tcp, &place); place++)
		used++;
	if (queued != c->count || used != c->count)
		return "half-open connections are not where they should be";
	return NULL;
}
