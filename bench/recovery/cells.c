#include "cells.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR (3600 * SECOND)

#define KBIT UINT64_C(1000)
#define MBIT (1000 * KBIT)
#define GBIT (1000 * MBIT)

/* As long as gives some hundred round trips, or a few hundred thousand segments. */
const struct cell_path cell_paths[CELL_PATHS] = {
	{1 * MS, 1 * MBIT, 30, false},
	{1 * MS, 100 * MBIT, 4, false},
	{1 * MS, 1 * GBIT, 1, false},
	{1 * MS, 10 * GBIT, 0.2, false},
	{10 * MS, 10 * MBIT, 30, true},
	{10 * MS, 1 * GBIT, 1.5, false},
	{10 * MS, 10 * GBIT, 0.3, false},
	{40 * MS, 100 * MBIT, 20, true},
	{100 * MS, 1 * MBIT, 120, false},
	{100 * MS, 10 * MBIT, 60, false},
	{100 * MS, 100 * MBIT, 20, false},
	{100 * MS, 1 * GBIT, 4, false},
	{1000 * MS, 1 * MBIT, 600, false},
	{1000 * MS, 10 * MBIT, 150, false},
	{1000 * MS, 100 * MBIT, 40, false},
};

const char *const impairment_names[IMPAIRMENTS] = {
	[IMPAIR_NONE] = "none",
	[IMPAIR_LOSS_01] = "loss 0.1%",
	[IMPAIR_LOSS_1] = "loss 1%",
	[IMPAIR_LOSS_5] = "loss 5%",
	[IMPAIR_LOSS_10] = "loss 10%",
	[IMPAIR_BURSTS] = "bursts",
	[IMPAIR_LATE] = "5% late",
	[IMPAIR_EARLY] = "5% early",
};

const char *const depth_names[DEPTHS] = {"shallow", "deep"};
const char *const algorithm_names[ALGORITHMS] = {"reno", "cubic"};

uint32_t cell_queue(const struct cell *cell)
{
	const struct cell_path *p = &cell_paths[cell->path];
	return cell->depth == DEPTH_DEEP ? path_queue(p->rate, p->rtt, 2, 100)
					 : path_queue(p->rate, p->rtt, 0.25, 10);
}

static void spec_of(const struct cell *cell, uint64_t rtt, char *out, size_t size)
{
	static const char *const specs[IMPAIRMENTS] = {
		[IMPAIR_NONE] = "",
		[IMPAIR_LOSS_01] = "loss=0.1%",
		[IMPAIR_LOSS_1] = "loss=1%",
		[IMPAIR_LOSS_5] = "loss=5%",
		[IMPAIR_LOSS_10] = "loss=10%",
		[IMPAIR_BURSTS] = "burst=0.1%/20%/100%",
		[IMPAIR_LATE] = "reorder=5%",
		[IMPAIR_EARLY] = "reorder=5%",
	};
	const char *spec = specs[cell->impairment];
	unsigned long rtt_us = (unsigned long)(rtt / 1000);
	if (cell->impairment == IMPAIR_LATE) /* by a quarter of the RTT */
		snprintf(out, size, "%s/%luus", spec, rtt_us / 4);
	else if (cell->impairment == IMPAIR_EARLY) /* by half of it, the whole way */
		snprintf(out, size, "delay=%luus,%s", rtt_us / 2, spec);
	else
		snprintf(out, size, "%s", spec);
}

/* Until all is read, so that every loss was mended, and what was sent again beyond was spurious. */
static struct transfer transfer(const struct path_opts *opts, uint64_t time)
{
	struct path p;
	struct tern_tcp_info info;
	path_open(&p, opts);
	uint64_t begin = p.now;
	path_run(&p, begin + time, UINT64_MAX);
	struct transfer t = {.goodput = (double)p.taken * 8e9 / (double)(p.now - begin)};
	path_run(&p, p.now + HOUR, p.written);
	tern_tcp_info(p.sender, p.from, &info);
	t.resent = info.retransmits;
	t.lost = path_lost(&p);
	t.spurious = t.resent > t.lost ? t.resent - t.lost : 0;
	t.timeouts = path_counter(&p, "TcpExtTCPTimeouts");
	t.probes = path_counter(&p, "TcpExtTCPLossProbes");
	t.undone = path_counter(&p, "TcpExtTCPFullUndo") +
		   path_counter(&p, "TcpExtTCPPartialUndo") +
		   path_counter(&p, "TcpExtTCPDSACKUndo") + path_counter(&p, "TcpExtTCPLossUndo");
	path_close(&p);
	return t;
}

/* --- medians ---------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static uint64_t middle(const struct transfer *t, unsigned n, size_t field, uint64_t *most)
{
	double values[SEEDS_MAX];
	for (unsigned i = 0; i < n; i++)
		values[i] = (double)*(const uint64_t *)((const char *)&t[i] + field);
	qsort(values, n, sizeof *values, by_size);
	if (most)
		*most = (uint64_t)values[n - 1];
	return (uint64_t)values[n / 2];
}

static struct result sum_up(const struct transfer *t, unsigned n, bool means)
{
	double goodput[SEEDS_MAX], mean = 0;
	struct result r = {0};
	for (unsigned i = 0; i < n; i++)
		mean += (goodput[i] = t[i].goodput) / n;
	qsort(goodput, n, sizeof *goodput, by_size);
	r.goodput = means ? mean : goodput[n / 2];
	r.goodput_least = goodput[0];
	r.goodput_most = goodput[n - 1];
	r.resent = middle(t, n, offsetof(struct transfer, resent), NULL);
	r.lost = middle(t, n, offsetof(struct transfer, lost), NULL);
	r.spurious = middle(t, n, offsetof(struct transfer, spurious), &r.spurious_most);
	r.timeouts = middle(t, n, offsetof(struct transfer, timeouts), &r.timeouts_most);
	r.probes = middle(t, n, offsetof(struct transfer, probes), NULL);
	r.undone = middle(t, n, offsetof(struct transfer, undone), NULL);
	return r;
}

/* How large a window is at its first loss is luck: it doubles until then. RTTs, and queues with
 * them, evenly over a doubling leave none of it. */
static double spread_of(const struct cell_opts *how, unsigned i)
{
	return how->spread ? exp2((i + 0.5) / how->seeds - 0.5) : 1;
}

struct result cell_run(const struct cell *cell, const struct cell_opts *how)
{
	const struct cell_path *path = &cell_paths[cell->path];
	struct transfer t[SEEDS_MAX] = {0};
	char spec[100];
	for (unsigned i = 0; i < how->seeds; i++) {
		double factor = spread_of(how, i);
		uint64_t rtt = (uint64_t)(factor * (double)path->rtt);
		spec_of(cell, rtt, spec, sizeof spec);
		struct path_opts opts = {
			.impair = spec,
			.rtt = rtt,
			.rate = path->rate,
			.seed = i + 1,
			.queue = (uint32_t)(factor * cell_queue(cell)),
			.no_sack = how->no_sack,
			.algorithm = algorithm_names[cell->algorithm],
			.see = how->see,
		};
		t[i] = transfer(&opts, (uint64_t)(how->longer * path->seconds * 1e9));
	}
	return sum_up(t, how->seeds, how->spread);
}
