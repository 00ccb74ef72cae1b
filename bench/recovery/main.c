/*
 * tern-recovery: what loss and reordering cost, in virtual time: the same figures on any machine.
 * A cell a congestion control, path, queue and impairment; then how late a lost tail makes a reply.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells.h"
#include "show.h"
#include "tails.h"
#include "bench/number.h"
#include "bench/workers/workers.h"

#define LONGER_MAX 100
#define CELLS_MAX  (ALGORITHMS * DEPTHS * CELL_PATHS * IMPAIRMENTS)

struct choice {
	const char *only; /* cells whose name contains this */
	unsigned jobs;
	enum format format;
	bool slice, events;
	struct cell_opts how;
	bool algorithm[ALGORITHMS];
	bool transfers, tails;
	struct cell cells[CELLS_MAX];
	size_t count;
};

static void choose_cells(struct choice *c)
{
	for (unsigned a = 0; a < ALGORITHMS; a++)
		for (unsigned d = 0; d < DEPTHS; d++)
			for (unsigned p = 0; p < CELL_PATHS; p++)
				for (unsigned i = 0; i < IMPAIRMENTS; i++) {
					struct cell cell = {a, d, p, i};
					char name[100];
					cell_name(&cell, name, sizeof name);
					if (c->algorithm[a] && (!c->slice || cell_paths[p].slice) &&
						(!c->only || strstr(name, c->only)))
						c->cells[c->count++] = cell;
				}
}

/* --- running ---------------------------------------------------------------------------------- */

static void run_cell(void *context, size_t i, void *result)
{
	const struct choice *c = context;
	char name[100];
	*(struct result *)result = cell_run(&c->cells[i], &c->how);
	cell_name(&c->cells[i], name, sizeof name);
	fprintf(stderr, "[%zu/%zu] %s\n", i + 1, c->count, name);
}

static void run_transfers(struct choice *c)
{
	const struct result *r = workers_run(c->jobs, c->count, sizeof *r, run_cell, c);
	show_transfers(c->format, c->cells, r, c->count, c->how.seeds);
}

static void run_tails(const struct choice *c)
{
	for (unsigned a = 0; a < ALGORITHMS; a++)
		for (unsigned k = 0; c->algorithm[a] && k < TAIL_RTTS; k++) {
			uint64_t took[TAILS];
			for (unsigned i = 0; i < TAILS; i++)
				took[i] = tail_run(i, tail_rtts[k], algorithm_names[a],
					c->how.no_sack);
			show_tails(c->format, algorithm_names[a], tail_rtts[k], took);
		}
}

/* What congestion control and recovery did, in the first cell chosen. */
static void see(void *context, const struct tern_trace *t)
{
	(void)context;
	double at = (double)t->now / 1e9;
	if (t->kind == TERN_TRACE_CONGESTION)
		printf("%10.6f  %-12s cwnd %9u  ssthresh %10u  in flight %9u  una %u\n", at,
			t->congestion.why, t->congestion.cwnd, t->congestion.ssthresh,
			t->congestion.in_flight, t->conn.snd_una - t->conn.iss);
	else if (t->kind == TERN_TRACE_RETRANSMIT)
		printf("%10.6f  again: %-20s %u + %u\n", at,
			tern_retransmit_text(t->retransmit.reason), t->retransmit.seq - t->conn.iss,
			t->retransmit.len);
}

static void run_events(const struct choice *c)
{
	struct cell_opts how = c->how;
	how.seeds = 1;
	how.see = (struct tern_trace_listener){see, NULL};
	cell_run(&c->cells[0], &how);
}

/* --- options ---------------------------------------------------------------------------------- */

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: tern-recovery [--json] [--slice] [--only TEXT] [--seeds N]\n"
		    "                     [--longer N] [--spread] [--jobs N] [--algorithms NAMES]\n"
		    "                     [--no-sack] [--events]\n"
		    "What loss and reordering cost a transfer, and a lost tail a reply, in virtual "
		    "time.\n"
		    "  --json        a JSON object a line\n"
		    "  --slice       the paths that ./check repeats\n"
		    "  --only TEXT   cells whose name contains it, such as \"deep, 5%% late\"; "
		    "\"tail\": "
		    "the\n"
		    "                tails alone\n"
		    "  --seeds N     of each cell, 1 to 25 (3); figures are medians\n"
		    "  --longer N    transfers of N times their duration, 1 to 100 (1)\n"
		    "  --spread      the RTTs of the seeds evenly over an octave around the "
		    "path's, and\n"
		    "                goodput their mean: how large a window is at its first "
		    "loss is luck\n"
		    "  --jobs N      processes (one a processor)\n"
		    "  --algorithms NAMES  reno, cubic, or both with a comma between them (both)\n"
		    "  --no-sack     the sender does not offer SACK: NewReno's recovery\n"
		    "  --events      the congestion events of the first of the cells, seed 1\n");
	return status;
}

/* Names with commas between them. */
static bool choose_algorithms(struct choice *c, char *text)
{
	memset(c->algorithm, 0, sizeof c->algorithm);
	for (char *save, *name = strtok_r(text, ",", &save); name;
		name = strtok_r(NULL, ",", &save)) {
		size_t i = 0;
		while (i < ALGORITHMS && strcmp(algorithm_names[i], name) != 0)
			i++;
		if (i == ALGORITHMS)
			return false;
		c->algorithm[i] = true;
	}
	return c->algorithm[0] || c->algorithm[1];
}

static bool take(struct choice *c, int option, char *value)
{
	switch (option) {
	case 'j':
		c->format = FORMAT_JSON;
		return true;
	case 'l':
		c->slice = true;
		return true;
	case 's':
		c->how.no_sack = true;
		return true;
	case 'r':
		c->how.spread = true;
		return true;
	case 'e':
		c->events = true;
		return true;
	case 'o':
		c->only = value;
		c->transfers = strcmp(value, "tail") != 0;
		c->tails = !c->transfers;
		return true;
	case 'n':
		return number_take(value, SEEDS_MAX, &c->how.seeds);
	case 'L':
		return number_take(value, LONGER_MAX, &c->how.longer);
	case 'J':
		return number_take(value, WORKERS_MAX, &c->jobs);
	case 'a':
		return choose_algorithms(c, value);
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, 0, 'j'},
		{"slice", no_argument, 0, 'l'}, {"no-sack", no_argument, 0, 's'},
		{"spread", no_argument, 0, 'r'}, {"events", no_argument, 0, 'e'},
		{"only", required_argument, 0, 'o'}, {"seeds", required_argument, 0, 'n'},
		{"longer", required_argument, 0, 'L'}, {"jobs", required_argument, 0, 'J'},
		{"algorithms", required_argument, 0, 'a'}, {"help", no_argument, 0, 'h'}, {0}};
	static struct choice c = {.how = {.seeds = 3, .longer = 1},
		.algorithm = {true, true},
		.transfers = true,
		.tails = true};
	c.jobs = workers_default();
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 'h')
			return usage(stdout, 0);
		if (!take(&c, o, optarg))
			return usage(stderr, 2);
	}
	if (optind < argc)
		return usage(stderr, 2);
	choose_cells(&c);
	if ((c.transfers || c.events) && c.count == 0) {
		fprintf(stderr, "tern-recovery: --only %s: no cell has that in its name\n", c.only);
		return 2;
	}
	if (c.events) {
		run_events(&c);
		return 0;
	}
	if (c.transfers)
		run_transfers(&c);
	if (c.tails)
		run_tails(&c);
	return 0;
}
