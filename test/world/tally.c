#include <stdio.h>

#include "test/world/tally.h"

static void add(uint64_t *to, const uint64_t *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] += from[i];
}

void tally_add(struct tally *t, const struct result *r)
{
	t->worlds++;
	t->failed += r->failed;
	t->segments += r->segments;
	t->frames += r->frames;
	t->bytes_sent += r->bytes_sent;
	t->bytes_read += r->bytes_read;
	t->connections += r->connections;
	t->completed += r->completed;
	t->virtual_s += r->virtual_ns / SECOND;
	add(t->edges[0], r->edges[0], TERN_TCP_STATES * TERN_TCP_STATES);
	add(t->events, r->events, EVENT_KINDS);
	add(t->errors, r->errors, ERRORS_MAX);
	add(t->drops, r->drops, TERN_DROPS);
	add(t->resent, r->resent, TERN_RTX_REASONS);
}

void tally_merge(struct tally *t, const struct tally *other)
{
	const uint64_t *from = (const uint64_t *)other;
	add((uint64_t *)t, from, sizeof *t / sizeof(uint64_t));
}

static void print_edges(const struct tally *t)
{
	printf("state edges:\n");
	for (unsigned from = 0; from < TERN_TCP_STATES; from++)
		for (unsigned to = 0; to < TERN_TCP_STATES; to++)
			if (tern_tcp_edge_legal((enum tern_tcp_state)from, (enum tern_tcp_state)to))
				printf("  %-12s -> %-12s %10lu\n",
					tern_tcp_state_name((enum tern_tcp_state)from),
					tern_tcp_state_name((enum tern_tcp_state)to),
					t->edges[from][to]);
}

void tally_print(const struct tally *t, uint32_t median)
{
	static const char *const event[EVENT_KINDS] = {"none", "accept", "connected", "readable",
		"writable", "eof", "urgent", "sent", "error", "udp"};
	print_edges(t);
	printf("drops:\n");
	for (unsigned d = 1; d < TERN_DROPS; d++)
		if (t->drops[d])
			printf("  %10lu  %s\n", t->drops[d], tern_drop_text((enum tern_drop)d));
	printf("retransmissions:\n");
	for (unsigned k = 0; k < TERN_RTX_REASONS; k++)
		printf("  %10lu  %s\n", t->resent[k],
			tern_retransmit_text((enum tern_retransmit_reason)k));
	printf("events:");
	for (unsigned k = 1; k < EVENT_KINDS; k++)
		printf(" %s %lu", event[k], t->events[k]);
	printf("\nerrors applications were told:\n");
	for (int e = 1; e < ERRORS_MAX; e++)
		if (t->errors[e])
			printf("  %10lu  %s\n", t->errors[e], tern_err_text(-e));
	printf("%lu seeds, %lu segments (median %u a seed), %lu frames, %lu connection ends (%lu "
	       "read to "
	       "the end), %lu MiB sent, %lu MiB read, %lu virtual hours\n",
		t->worlds, t->segments, median, t->frames, t->connections, t->completed,
		t->bytes_sent >> 20, t->bytes_read >> 20, t->virtual_s / 3600);
}

unsigned tally_rare_edges(const struct tally *t)
{
	unsigned rare = 0;
	for (unsigned from = 0; from < TERN_TCP_STATES; from++)
		for (unsigned to = 0; to < TERN_TCP_STATES; to++) {
			if (!tern_tcp_edge_legal((enum tern_tcp_state)from,
				    (enum tern_tcp_state)to) ||
				t->edges[from][to] >= EDGE_COUNT)
				continue;
			rare++;
			printf("edge %s -> %s only %lu times\n",
				tern_tcp_state_name((enum tern_tcp_state)from),
				tern_tcp_state_name((enum tern_tcp_state)to), t->edges[from][to]);
		}
	return rare;
}
