#include "show.h"

#include <inttypes.h>
#include <stdio.h>

#define MSS 1448u /* with timestamps */

static double rtt_of(const struct cell *c)
{
	return (double)cell_paths[c->path].rtt / 1e6;
}

static double rate_of(const struct cell *c)
{
	return (double)cell_paths[c->path].rate / 1e6;
}

void cell_name(const struct cell *c, char *out, size_t size)
{
	snprintf(out, size, "%s, %.0f ms, %.0f Mb/s, %s, %s", algorithm_names[c->algorithm],
		rtt_of(c), rate_of(c), depth_names[c->depth], impairment_names[c->impairment]);
}

static void show_text(const struct cell *c, const struct result *r)
{
	printf("%-5s %4.0f ms %5.0f Mb/s  %-7s  %-9s %8.2f Mb/s (%5.1f%%)  again %6" PRIu64
	       " (%" PRIu64 " kB), spurious %4" PRIu64 " (%" PRIu64 "), timeouts %4" PRIu64
	       ", probes %4" PRIu64 ", undone %3" PRIu64 "\n",
		algorithm_names[c->algorithm], rtt_of(c), rate_of(c), depth_names[c->depth],
		impairment_names[c->impairment], r->goodput / 1e6,
		100 * r->goodput / 1e6 / rate_of(c), r->resent, r->resent * MSS / 1000, r->spurious,
		r->spurious_most, r->timeouts, r->probes, r->undone);
}

static void show_json(const struct cell *c, const struct result *r, unsigned seeds)
{
	printf("{\"algorithm\":\"%s\",\"rtt_ms\":%.0f,\"rate_mbit\":%.0f,\"depth\":\"%s\","
	       "\"queue\":%" PRIu32 ",\"impairment\":\"%s\",\"seeds\":%u,\"goodput_mbit\":%.3f,"
	       "\"least_mbit\":%.3f,\"most_mbit\":%.3f,\"resent\":%" PRIu64
	       ",\"resent_bytes\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"spurious\":%" PRIu64
	       ",\"spurious_most\":%" PRIu64 ",\"timeouts\":%" PRIu64 ",\"timeouts_most\":%" PRIu64
	       ",\"probes\":%" PRIu64 ",\"undone\":%" PRIu64 "}\n",
		algorithm_names[c->algorithm], rtt_of(c), rate_of(c), depth_names[c->depth],
		cell_queue(c), impairment_names[c->impairment], seeds, r->goodput / 1e6,
		r->goodput_least / 1e6, r->goodput_most / 1e6, r->resent, r->resent * MSS, r->lost,
		r->spurious, r->spurious_most, r->timeouts, r->timeouts_most, r->probes, r->undone);
}

/* --- all -------------------------------------------------------------------------------------- */

void show_transfers(enum format format, const struct cell *cells, const struct result *results,
	size_t count, unsigned seeds)
{
	for (size_t i = 0; i < count; i++)
		if (format == FORMAT_JSON)
			show_json(&cells[i], &results[i], seeds);
		else
			show_text(&cells[i], &results[i]);
}

static void show_tail(enum format format, const char *algorithm, uint64_t rtt, const char *what,
	uint64_t took, uint64_t clean)
{
	double late = (double)(took - clean), ms = (double)took / 1e6;
	if (format == FORMAT_JSON)
		printf("{\"algorithm\":\"%s\",\"rtt_ms\":%.0f,\"dropped\":\"%s\",\"reply_ms\":%.1f,"
		       "\"later_ms\":%.1f,\"later_rtts\":%.2f}\n",
			algorithm, (double)rtt / 1e6, what, ms, late / 1e6, late / (double)rtt);
	else
		printf("%-5s %4.0f ms  a reply of ten, dropped: %-28s %8.1f ms, %8.1f ms late: "
		       "%6.2f RTT\n",
			algorithm, (double)rtt / 1e6, what, ms, late / 1e6, late / (double)rtt);
}

void show_tails(enum format format, const char *algorithm, uint64_t rtt, const uint64_t took[TAILS])
{
	for (unsigned i = 0; i < TAILS; i++)
		show_tail(format, algorithm, rtt, tail_names[i], took[i], took[0]);
}
