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

/* --- Markdown --------------------------------------------------------------------------------- */

enum figure {
	FIGURE_GOODPUT,
	FIGURE_AGAIN,
};

static void mark_cell(const struct cell *c, const struct result *r, enum figure figure)
{
	double mbit = r->goodput / 1e6;
	if (figure == FIGURE_AGAIN)
		printf(" %" PRIu64 ", %" PRIu64 ", %" PRIu64 " |", r->resent * MSS / 1000,
			r->spurious_most, r->timeouts_most);
	else
		printf(" %.*f (%.0f%%) |",
			mbit < 10     ? 2
			: mbit < 1000 ? 1
				      : 0,
			mbit, 100 * mbit / rate_of(c));
}

static bool same_row(const struct cell *a, const struct cell *b)
{
	return a->algorithm == b->algorithm && a->depth == b->depth && a->path == b->path;
}

/* One algorithm and depth, [*i, ...): a row a path. */
static void mark_table(const struct cell *cells, const struct result *results, size_t count,
	size_t from, enum figure figure)
{
	const struct cell *first = &cells[from];
	printf("\n| %s, %s queues |", algorithm_names[first->algorithm], depth_names[first->depth]);
	size_t width = 0;
	for (; from + width < count && same_row(first, &cells[from + width]); width++)
		printf(" %s |", impairment_names[cells[from + width].impairment]);
	printf("\n|---|");
	for (size_t i = 0; i < width; i++)
		printf("---:|");
	for (size_t i = from; i < count && cells[i].algorithm == first->algorithm &&
			      cells[i].depth == first->depth;
		i++) {
		if (i == from || !same_row(&cells[i], &cells[i - 1]))
			printf("\n| %.0f ms, %.0f Mb/s, %" PRIu32 " |", rtt_of(&cells[i]),
				rate_of(&cells[i]), cell_queue(&cells[i]));
		mark_cell(&cells[i], &results[i], figure);
	}
	printf("\n");
}

static void mark_tables(const struct cell *cells, const struct result *results, size_t count,
	enum figure figure)
{
	for (size_t i = 0; i < count; i++)
		if (i == 0 || cells[i].algorithm != cells[i - 1].algorithm ||
			cells[i].depth != cells[i - 1].depth)
			mark_table(cells, results, count, i, figure);
}

static void show_markdown(const struct cell *cells, const struct result *results, size_t count,
	unsigned seeds)
{
	printf("## Goodput\nMb/s of text read, and its part of the rate: medians of %u seeds. A "
	       "row a path: RTT, rate, frames that its queue holds.\n",
		seeds);
	mark_tables(cells, results, count, FIGURE_GOODPUT);
	printf("\n## Sent again\nkB sent again (the median); segments sent again for nothing, and "
	       "timeouts, in the seed that had most of them.\n");
	mark_tables(cells, results, count, FIGURE_AGAIN);
}

/* --- all -------------------------------------------------------------------------------------- */

void show_transfers(enum format format, const struct cell *cells, const struct result *results,
	size_t count, unsigned seeds)
{
	if (format == FORMAT_MARKDOWN) {
		show_markdown(cells, results, count, seeds);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (format == FORMAT_JSON)
			show_json(&cells[i], &results[i], seeds);
		else
			show_text(&cells[i], &results[i]);
}

void show_tails_begin(enum format format)
{
	if (format != FORMAT_MARKDOWN)
		return;
	printf("\n## A lost tail\nA reply of ten segments into an empty path of 100 Mb/s: ms until "
	       "all of it has been read, and how many RTTs later that is than without loss.\n\n"
	       "| dropped |");
	for (unsigned i = 0; i < TAILS; i++)
		printf(" %s |", tail_names[i]);
	printf("\n|---|");
	for (unsigned i = 0; i < TAILS; i++)
		printf("---:|");
	printf("\n");
}

static void show_tail(enum format format, const char *algorithm, uint64_t rtt, const char *what,
	uint64_t took, uint64_t clean)
{
	double late = (double)(took - clean), ms = (double)took / 1e6;
	if (format == FORMAT_MARKDOWN)
		printf(" %.1f (+%.2f) |", ms, late / (double)rtt);
	else if (format == FORMAT_JSON)
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
	if (format == FORMAT_MARKDOWN)
		printf("| %s, %.0f ms |", algorithm, (double)rtt / 1e6);
	for (unsigned i = 0; i < TAILS; i++)
		show_tail(format, algorithm, rtt, tail_names[i], took[i], took[0]);
	if (format == FORMAT_MARKDOWN)
		printf("\n");
}
