/* Which ports are bound: Linux's rules for SO_REUSEADDR and SO_REUSEPORT (socket(7)). */
#include <errno.h>
#include <string.h>

#include "tools/run/run.h"

#define TRIES 4096

static bool overlap(const struct tern_addr *a, const struct tern_addr *b)
{
	static const struct tern_addr any;
	struct tern_addr any4 = tern_addr_v4(0, 0, 0, 0);
	const struct tern_addr *both[] = {a, b};
	for (int i = 0; i < 2; i++)
		if (memcmp(both[i], &any, sizeof any) == 0 ||
			memcmp(both[i], &any4, sizeof any4) == 0)
			return true;
	return memcmp(a, b, sizeof *a) == 0;
}

static bool may_share(const struct port_hold *a, const struct port_hold *b)
{
	if (a->reuse_port && b->reuse_port && a->owner == b->owner)
		return true;
	return a->reuse_addr && b->reuse_addr && !a->listening && !b->listening;
}

static const struct port_hold *conflict(const struct run *run, const struct port_hold *hold)
{
	for (const struct port_hold *h = run->holds; h; h = h->next)
		if (h != hold && h->at.port == hold->at.port &&
			overlap(&h->at.addr, &hold->at.addr) && !may_share(h, hold))
			return h;
	return NULL;
}

/* Connections from that port, which may outlive the socket (TIME_WAIT). */
static bool in_use(struct run *run, const struct tern_endpoint *at)
{
	struct tern_tcp_info info;
	uint32_t cursor = 0;
	while (tern_tcp_each(run_stack(run), &cursor, &info))
		if (info.local.port == at->port && overlap(&info.local.addr, &at->addr))
			return true;
	return false;
}

static void hold_it(struct run *run, struct port_hold *hold)
{
	hold->held = true;
	hold->next = run->holds;
	hold->link = &run->holds;
	if (hold->next)
		hold->next->link = &hold->next;
	run->holds = hold;
}

void tern_port_release(struct port_hold *hold)
{
	if (!hold->held)
		return;
	*hold->link = hold->next;
	if (hold->next)
		hold->next->link = hold->link;
	hold->held = false;
}

void tern_port_move(struct sock *from, struct sock *to)
{
	if (!from->hold.held || !from->hold.asked_for)
		return;
	tern_port_release(&from->hold);
	to->hold = from->hold;
	to->hold.listening = false;
	to->local = from->local;
	hold_it(to->run, &to->hold);
}

static int pick(struct run *run, struct port_hold *hold)
{
	int64_t min = 32768, max = 60999;
	tern_get(run_stack(run), "ip_local_port_min", &min);
	tern_get(run_stack(run), "ip_local_port_max", &max);
	uint32_t span = (uint32_t)(max >= min ? max - min + 1 : 1);
	for (unsigned i = 0; i < TRIES; i++) {
		run->rng = run->rng * 1664525 + 1013904223;
		hold->at.port = (uint16_t)(min + (run->rng >> 8) % span);
		if (!conflict(run, hold) && (i < 64 ? !in_use(run, &hold->at) : true))
			return 0;
	}
	return EADDRINUSE;
}

bool tern_run_is_local(const struct run *run, const struct tern_addr *addr)
{
	const uint8_t *a = addr->byte + 12;
	return a[0] == 127 || (a[0] | a[1] | a[2] | a[3]) == 0 ||
	       memcmp(addr, &run->addr, sizeof *addr) == 0;
}

static bool flag(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof value;
	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value;
}

int tern_port_bind(struct sock *sock, const struct tern_endpoint *at, const struct call *call)
{
	struct run *run = sock->run;
	bool privileged;
	uid_t owner = tern_run_user(call->tid, &privileged);
	if (!tern_run_is_local(run, &at->addr))
		return EADDRNOTAVAIL;
	if (at->port != 0 && at->port < 1024 && !privileged)
		return EACCES;
	sock->hold = (struct port_hold){.at = *at,
		.owner = owner,
		.asked_for = at->port != 0,
		.reuse_addr = flag(call->fd, SO_REUSEADDR),
		.reuse_port = sock->wishes.reuse_port};
	if (at->port == 0 && pick(run, &sock->hold) != 0)
		return EADDRINUSE;
	if (conflict(run, &sock->hold)) {
		tern_sock_sweep(run); /* perhaps it was closed: nobody told us */
		if (conflict(run, &sock->hold))
			return EADDRINUSE;
	}
	if (at->port != 0 && !sock->hold.reuse_addr && !sock->hold.reuse_port && in_use(run, at))
		return EADDRINUSE;
	hold_it(run, &sock->hold);
	sock->local = sock->hold.at;
	return 0;
}
