/*
 * The neighbour table. It is bounded by neigh_gc_thresh: for a new address the least useful
 * entry goes, first those that failed, then those that never answered, then the stale. What a
 * stranger sends makes room for itself only among the first and the stale, so a flood of
 * requests can neither crowd out who is in use nor who is being asked.
 */
#include <assert.h>
#include "link/neighbour.h"

static uint64_t now(const struct link *link)
{
	return link->core->now;
}

static uint32_t hash(const struct link *link, int nif, const struct tern_addr *addr)
{
	uint8_t key[sizeof addr->byte + 1];
	memcpy(key, addr->byte, sizeof addr->byte);
	key[sizeof addr->byte] = (uint8_t)nif;
	return (uint32_t)tern_siphash13(&link->key, key, sizeof key);
}

static struct neighbour *find(const struct link *link, int nif, const struct tern_addr *addr)
{
	struct htab_probe probe = tern_htab_probe(&link->table, hash(link, nif, addr));
	for (uint32_t slot; tern_htab_next(&probe, &slot);) {
		struct neighbour *n = tern_pool_at(&link->neighbours, slot);
		if (n->nif == nif && addr_same(&n->addr, addr))
			return n;
	}
	return NULL;
}

static void list_remove(struct link *link, struct neighbour *n)
{
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	else
		link->list[n->list].tail = n->link;
}

static void list_append(struct link *link, struct neighbour *n, enum neigh_list list)
{
	n->list = (uint8_t)list;
	n->next = NULL;
	n->link = link->list[list].tail;
	*n->link = n;
	link->list[list].tail = &n->next;
}

static enum neigh_list list_of(enum neigh_state state)
{
	switch (state) {
	case NEIGH_FAILED:
		return NEIGH_LIST_FAILED;
	case NEIGH_INCOMPLETE:
		return NEIGH_LIST_ASKED;
	case NEIGH_STALE:
		return NEIGH_LIST_STALE;
	case NEIGH_REACHABLE:
	case NEIGH_DELAY:
	case NEIGH_PROBE:
		break;
	}
	return NEIGH_LIST_KNOWN;
}

static bool has_mac(const struct neighbour *n)
{
	return n->state != NEIGH_INCOMPLETE && n->state != NEIGH_FAILED;
}

/* Enters a state; its timer fires after ns, or never if that is 0. */
static void enter(struct link *link, struct neighbour *n, enum neigh_state state, uint64_t ns)
{
	list_remove(link, n);
	list_append(link, n, list_of(state));
	n->state = (uint8_t)state;
	n->asked = 0;
	if (ns > 0)
		tern_wheel_arm(&link->wheel, &n->timer, now(link) + ns);
	else
		tern_wheel_disarm(&link->wheel, &n->timer);
}

static struct packet *take_queue(struct link *link, struct neighbour *n)
{
	struct packet *first = n->queue;
	for (const struct packet *p = first; p; p = p->next)
		link->held_bytes -= p->size;
	n->queue = NULL;
	n->queue_tail = &n->queue;
	n->queued = 0;
	return first;
}

static void drop_queue(struct link *link, struct neighbour *n, enum tern_drop why)
{
	for (struct packet *p = take_queue(link, n); p;) {
		struct packet *next = p->next;
		tern_core_drop(link->core, why);
		tern_link_packet_free(link, p);
		p = next;
	}
}

static void forget(struct link *link, struct neighbour *n)
{
	if (has_mac(n))
		link->epoch++; /* whoever holds the MAC must come by again */
	drop_queue(link, n, TERN_DROP_NEIGH_TABLE_FULL);
	tern_wheel_disarm(&link->wheel, &n->timer);
	list_remove(link, n);
	tern_htab_remove(&link->table, hash(link, n->nif, &n->addr),
		tern_pool_slot(&link->neighbours, n));
	tern_pool_put(&link->neighbours, n);
}

/* Makes room for one more; stranger: on behalf of somebody who talks to us unasked. */
static bool make_room(struct link *link, bool stranger)
{
	if (link->neighbours.live < (uint32_t)link->core->set.neigh_gc_thresh)
		return true;
	for (unsigned list = 0; list < NEIGH_LISTS; list++) {
		struct neighbour *n = link->list[list].head;
		if (!n || (stranger && (list == NEIGH_LIST_ASKED || list == NEIGH_LIST_KNOWN)))
			continue;
		/* Not at once: who waits for this one might evict another by asking again. */
		if (list == NEIGH_LIST_ASKED && !wheel_armed(&link->wake))
			tern_wheel_arm(&link->wheel, &link->wake, now(link) + NEIGH_WAKE_NS);
		forget(link, n);
		return true;
	}
	return false;
}

static struct neighbour *create(struct link *link, int nif, const struct tern_addr *addr,
	bool stranger)
{
	if (!make_room(link, stranger))
		return NULL;
	struct neighbour *n = tern_pool_get(&link->neighbours);
	if (!n)
		return NULL;
	*n = (struct neighbour){.addr = *addr, .nif = (uint8_t)nif, .state = NEIGH_INCOMPLETE};
	n->queue_tail = &n->queue;
	if (tern_htab_insert(&link->table, hash(link, nif, addr),
		    tern_pool_slot(&link->neighbours, n)) != 0) {
		tern_pool_put(&link->neighbours, n);
		return NULL;
	}
	list_append(link, n, NEIGH_LIST_ASKED);
	return n;
}

static void ask(struct link *link, struct neighbour *n)
{
	n->asked++;
	tern_arp_ask(link, n->nif, &n->addr, n->state == NEIGH_PROBE ? &n->mac : NULL);
	tern_wheel_arm(&link->wheel, &n->timer, now(link) + NEIGH_RETRY_NS);
}

static void begin_asking(struct link *link, struct neighbour *n, enum neigh_state state)
{
	enter(link, n, state, 0);
	ask(link, n);
}

enum link_answer tern_neigh_resolve(struct link *link, int nif, const struct tern_addr *addr,
	struct mac *out)
{
	struct neighbour *n = find(link, nif, addr);
	if (!n) {
		n = create(link, nif, addr, false);
		if (!n) {
			tern_core_drop(link->core, TERN_DROP_NEIGH_TABLE_FULL);
			return LINK_FAILED;
		}
		begin_asking(link, n, NEIGH_INCOMPLETE);
		return LINK_PENDING;
	}
	if (n->state == NEIGH_INCOMPLETE)
		return LINK_PENDING;
	if (n->state == NEIGH_FAILED)
		return LINK_FAILED;
	if (n->state == NEIGH_STALE)
		enter(link, n, NEIGH_DELAY, NEIGH_DELAY_NS);
	*out = n->mac;
	return LINK_READY;
}

int tern_neigh_hold(struct link *link, int nif, const struct tern_addr *addr, struct packet *packet)
{
	struct neighbour *n = find(link, nif, addr);
	assert(n && n->state == NEIGH_INCOMPLETE);
	if (link->held_bytes + packet->size > tern_link_queue_limit(link)) {
		tern_core_drop(link->core, TERN_DROP_NEIGH_QUEUE_FULL);
		tern_link_packet_free(link, packet);
		return TERN_EAGAIN;
	}
	if (n->queued >= (uint32_t)link->core->set.neigh_unres_qlen) {
		/* The newest stay: RFC 1122 2.3.2.2. */
		struct packet *oldest = n->queue;
		n->queue = oldest->next;
		if (!n->queue)
			n->queue_tail = &n->queue;
		n->queued--;
		link->held_bytes -= oldest->size;
		tern_core_drop(link->core, TERN_DROP_NEIGH_QUEUE_FULL);
		tern_link_packet_free(link, oldest);
	}
	packet->next = NULL;
	*n->queue_tail = packet;
	n->queue_tail = &packet->next;
	n->queued++;
	link->held_bytes += packet->size;
	return 0;
}

/* RFC 4861 6.3.2: between half and one and a half of the base, so that neighbours heard
 * together are not probed together. */
static uint64_t trust_ns(struct link *link)
{
	uint32_t base_ms = (uint32_t)link->core->set.neigh_base_reachable_s * 1000;
	return (base_ms / 2 + tern_rng_below(&link->core->rng, base_ms)) * (SECOND_NS / 1000);
}

static void trust(struct link *link, struct neighbour *n)
{
	uint64_t ns = trust_ns(link);
	enter(link, n, NEIGH_REACHABLE, ns);
	n->trusted_until = now(link) + ns;
}

/* The MAC has just become known: what waited goes. */
static void resolved(struct link *link, struct neighbour *n)
{
	int nif = n->nif;
	for (struct packet *p = take_queue(link, n); p;) {
		struct packet *next = p->next;
		p->dst = n->mac;
		tern_link_enqueue(link, nif, p);
		p = next;
	}
	link->ops->neighbour_changed(link->context, nif);
}

void tern_neigh_confirm(struct link *link, int nif, const struct tern_addr *addr)
{
	struct neighbour *n = find(link, nif, addr);
	if (!n || !has_mac(n))
		return;
	if (n->state == NEIGH_REACHABLE) /* the timer goes on by itself when it fires */
		n->trusted_until = now(link) + trust_ns(link);
	else
		trust(link, n);
}

static void doubt(struct link *link, struct neighbour *n)
{
	if (has_mac(n) && n->state != NEIGH_PROBE)
		begin_asking(link, n, NEIGH_PROBE);
}

void tern_neigh_doubt(struct link *link, int nif, const struct tern_addr *addr)
{
	struct neighbour *n = find(link, nif, addr);
	if (n)
		doubt(link, n);
}

bool tern_neigh_answered(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac)
{
	struct neighbour *n = find(link, nif, addr);
	if (!n)
		return false;
	if (n->state == NEIGH_INCOMPLETE) {
		n->mac = *mac;
		trust(link, n);
		resolved(link, n);
		return true;
	}
	/* Only the station that was probed can answer for itself; of another we hear when
	 * the probes have been in vain. */
	if (n->state != NEIGH_PROBE || !mac_equal(&n->mac, mac))
		return false;
	trust(link, n);
	return true;
}

void tern_neigh_heard(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac)
{
	struct neighbour *n = find(link, nif, addr);
	if (!n)
		n = create(link, nif, addr, true);
	if (!n)
		return; /* it can still ask us, and is answered */
	if (!has_mac(n)) {
		n->mac = *mac;
		enter(link, n, NEIGH_STALE, 0);
		resolved(link, n);
	} else if (!mac_equal(&n->mac, mac)) {
		if (n->state != NEIGH_STALE) {
			tern_neigh_announced(link, nif, addr, mac);
			return;
		}
		n->mac = *mac;
		link->epoch++;
	}
}

void tern_neigh_announced(struct link *link, int nif, const struct tern_addr *addr,
	const struct mac *mac)
{
	struct neighbour *n = find(link, nif, addr);
	/* Whether the old MAC still answers decides, so that an announcement alone
	 * diverts nothing. */
	if (n && !mac_equal(&n->mac, mac))
		doubt(link, n);
}

static void give_up(struct link *link, struct neighbour *n)
{
	int nif = n->nif;
	struct packet *waiting = take_queue(link, n);
	enter(link, n, NEIGH_FAILED, NEIGH_FAILED_NS);
	/* From here on n may be gone: the upcalls may send. */
	while (waiting) {
		struct packet *p = waiting;
		waiting = p->next;
		tern_core_drop(link->core, TERN_DROP_NEIGH_UNREACHABLE);
		link->ops->undeliverable(link->context, nif, p);
		tern_link_packet_free(link, p);
	}
	link->ops->neighbour_changed(link->context, nif);
}

static void trust_is_over(struct link *link, struct neighbour *n)
{
	if (n->trusted_until > now(link)) {
		tern_wheel_arm(&link->wheel, &n->timer, n->trusted_until);
		return;
	}
	enter(link, n, NEIGH_STALE, 0);
	link->epoch++; /* the next use must come by, to begin DELAY */
}

void tern_neigh_expired(struct link *link, struct neighbour *n)
{
	assert(n->state != NEIGH_STALE); /* which has no timer */
	switch ((enum neigh_state)n->state) {
	case NEIGH_INCOMPLETE:
		if (n->asked < link->core->set.neigh_mcast_solicit)
			ask(link, n);
		else
			give_up(link, n);
		break;
	case NEIGH_REACHABLE:
		trust_is_over(link, n);
		break;
	case NEIGH_DELAY:
		begin_asking(link, n, NEIGH_PROBE);
		break;
	case NEIGH_PROBE:
		if (n->asked < NEIGH_UNICAST_MAX) {
			ask(link, n);
			break;
		}
		/* Perhaps another station has the address now: everybody is asked. */
		link->epoch++;
		begin_asking(link, n, NEIGH_INCOMPLETE);
		break;
	case NEIGH_FAILED:
		forget(link, n);
		break;
	case NEIGH_STALE:
		break; /* asserted above */
	}
}

void tern_neigh_init(struct link *link)
{
	tern_pool_init(&link->neighbours, &link->core->mem, sizeof(struct neighbour), 12,
		UINT32_MAX);
	tern_htab_init(&link->table, &link->core->mem);
	for (unsigned i = 0; i < NEIGH_LISTS; i++)
		link->list[i].tail = &link->list[i].head;
	link->key = tern_rng_key(&link->core->rng);
}

void tern_neigh_fini(struct link *link)
{
	uint32_t slot = 0;
	for (struct neighbour *n; (n = tern_pool_next(&link->neighbours, &slot)) != NULL; slot++) {
		for (struct packet *p = take_queue(link, n); p;) {
			struct packet *next = p->next;
			tern_link_packet_free(link, p);
			p = next;
		}
		tern_wheel_disarm(&link->wheel, &n->timer);
		tern_pool_put(&link->neighbours, n);
	}
	for (unsigned i = 0; i < NEIGH_LISTS; i++) {
		link->list[i].head = NULL;
		link->list[i].tail = &link->list[i].head;
	}
	tern_htab_fini(&link->table);
	tern_pool_fini(&link->neighbours);
}
