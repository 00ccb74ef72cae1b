/*
 * tern-fairness: flows that share a bottleneck, in virtual time. One JSON object a line, or a
 * table; --check is for tests: two flows of one algorithm must share well.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/setting.h>
#include "bench/number.h"
#include "bench/workers/workers.h"
#include "dumbbell.h"

#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

static const uint64_t rates[] = {10000000, 100000000};
static const uint64_t rtts[] = {10, 50, 200}; /* ms */
static const double depths[] = {0.2, 1, 4};   /* of rate * RTT */

struct choice {
	const char *algorithm[2];
	const char *settings[16];
	unsigned settings_count;
	double ecn;       /* of the queue; 0: no marks */
	uint64_t seconds; /* 0: as many as the cell is worth */
	unsigned seeds, jobs;
	uint32_t cell[3]; /* Mbit/s, RTT in ms, frames; zeroes: all of them */
	bool table, check;
};

/* One row: two flows, of which neither ends. */
struct cell {
	const char *algorithm[2];
	uint64_t rate, rtt_ms;
	uint32_t queue;
	double ecn;
	uint64_t seconds;
};

static uint32_t frames_of(uint64_t rate, uint64_t rtt_ms, double depth)
{
	double frames = (double)rate * (double)rtt_ms / 1000 / 8 / 1500 * depth;
	return frames < 5 ? 5 : (uint32_t)frames;
}

/*
 * Flows meet over many losses, and between two losses CUBIC takes the longer the larger the window:
 * K = cbrt(0.3 W / 0.4) s (RFC 9438 figure 2). Two minutes, or 25 of these.
 */
static uint64_t seconds_worth(const struct choice *c, uint64_t rate, uint64_t rtt_ms,
	uint32_t queue)
{
	uint64_t window = frames_of(rate, rtt_ms, 1) + queue, k = 1;
	while (k * k * k < window * 3 / 4)
		k++;
	uint64_t enough = 25 * k;
	if (c->seconds)
		return c->seconds;
	return enough > 120 ? enough : 120;
}

static struct dumbbell_result run_once(const struct choice *c, const struct cell *cell,
	uint64_t seed)
{
	const char *settings[20] = {0};
	memcpy(settings, c->settings, sizeof c->settings);
	if (cell->ecn > 0)
		settings[c->settings_count] = "tcp_ecn=1";
	struct dumbbell_opts o = {
		.flows = 2,
		.algorithm = {cell->algorithm[0], cell->algorithm[1]},
		.rtt = {cell->rtt_ms * MS, cell->rtt_ms * MS},
		.rate = cell->rate,
		.queue = cell->queue,
		.ecn = (uint32_t)(cell->ecn * cell->queue),
		.start = SEC + seed * 137 * MS, /* of the second, after the first */
		.warm_up = cell->seconds * SEC / 5,
		.end = cell->seconds * SEC,
		.seed = seed,
		.settings = settings,
	};
	return dumbbell_run(&o);
}

/* --- medians ---------------------------------------------------------------------------------- */

static int by_jain(const void *a, const void *b)
{
	double x = ((const struct dumbbell_result *)a)->jain;
	double y = ((const struct dumbbell_result *)b)->jain;
	return (x > y) - (x < y);
}

/* Sorts a cell's results, worst first: the median is that of the run in the middle. */
static const struct dumbbell_result *median(struct dumbbell_result *r, unsigned seeds)
{
	qsort(r, seeds, sizeof *r, by_jain);
	return &r[seeds / 2];
}

static void show(const struct choice *c, const struct cell *cell, struct dumbbell_result *results)
{
	const struct dumbbell_result *r = median(results, c->seeds);
	const char *a = cell->algorithm[0], *b = cell->algorithm[1];
	double worst = results[0].jain;
	if (c->table) {
		printf("| %s, %s | %" PRIu64 " | %" PRIu64 " | %u | %" PRIu64
		       " | %.1f + %.1f | %.3f | %.3f | %.1f | %.2f | %" PRIu64 " | %.1f |\n",
			a, b, cell->rate / 1000000, cell->rtt_ms, cell->queue, cell->seconds,
			r->share[0] / 1e6, r->share[1] / 1e6, r->jain, worst, 100 * r->used,
			100 * r->again, r->timeouts, r->queued);
		return;
	}
	printf("{\"algorithms\":[\"%s\",\"%s\"],\"rate\":%" PRIu64 ",\"rtt_ms\":%" PRIu64
	       ",\"queue\":%u,\"seconds\":%" PRIu64
	       ",\"seeds\":%u,\"shares\":[%.0f,%.0f],\"jain\":%.4f,\"jain_worst\":%.4f,"
	       "\"used\":%.4f,\"dropped\":%.5f,\"retransmitted\":%.5f,\"timeouts\":%" PRIu64
	       ",\"queued_ms\":%.2f,\"marked\":%.5f}\n",
		a, b, cell->rate, cell->rtt_ms, cell->queue, cell->seconds, c->seeds, r->share[0],
		r->share[1], r->jain, worst, r->used, r->dropped, r->again, r->timeouts, r->queued,
		r->marked);
}

/* --- running ---------------------------------------------------------------------------------- */

#define CELLS_MAX 100

struct work {
	const struct choice *choice;
	struct cell cells[CELLS_MAX];
	size_t count;
};

static void run_item(void *context, size_t i, void *result)
{
	const struct work *w = context;
	const struct cell *cell = &w->cells[i / w->choice->seeds];
	uint64_t seed = i % w->choice->seeds + 1;
	*(struct dumbbell_result *)result = run_once(w->choice, cell, seed);
	fprintf(stderr,
		"[%zu/%zu] %s, %s: %" PRIu64 " Mb/s, %" PRIu64 " ms, %u frames, seed %" PRIu64 "\n",
		i + 1, w->count * w->choice->seeds, cell->algorithm[0], cell->algorithm[1],
		cell->rate / 1000000, cell->rtt_ms, cell->queue, seed);
}

static struct dumbbell_result *run_all(struct work *w)
{
	const struct choice *c = w->choice;
	return workers_run(c->jobs, w->count * c->seeds, sizeof(struct dumbbell_result), run_item,
		w);
}

static void add_cell(struct work *w, uint64_t rate, uint64_t rtt_ms, uint32_t queue)
{
	const struct choice *c = w->choice;
	w->cells[w->count++] = (struct cell){
		.algorithm = {c->algorithm[0], c->algorithm[1]},
		.rate = rate,
		.rtt_ms = rtt_ms,
		.queue = queue,
		.ecn = c->ecn,
		.seconds = seconds_worth(c, rate, rtt_ms, queue),
	};
}

static void add_cells(struct work *w)
{
	const struct choice *c = w->choice;
	if (c->cell[0]) {
		add_cell(w, c->cell[0] * UINT64_C(1000000), c->cell[1], c->cell[2]);
		return;
	}
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
		for (size_t j = 0; j < sizeof rtts / sizeof *rtts; j++)
			for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
				add_cell(w, rates[i], rtts[j],
					frames_of(rates[i], rtts[j], depths[k]));
}

static void run(struct choice *c)
{
	static struct work w;
	w.choice = c;
	bool chosen = c->algorithm[0];
	for (unsigned k = 0; chosen ? k == 0 : tern_congestion_name(k) != NULL; k++) {
		if (!chosen)
			c->algorithm[0] = c->algorithm[1] = tern_congestion_name(k);
		add_cells(&w);
	}
	struct dumbbell_result *r = run_all(&w);
	if (c->table)
		printf("| algorithms | Mbit/s | RTT, ms | queue | s | Mbit/s each | Jain | worst | "
		       "used, %% | sent again, %% | timeouts | queued, ms |\n"
		       "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < w.count; i++)
		show(c, &w.cells[i], r + i * c->seeds);
}

/* Where both have long had time to meet; told as the Test Anything Protocol has it. */
static int check(struct choice *c)
{
	static const struct {
		const char *algorithm;
		uint64_t rate, rtt_ms;
		double depth, ecn;
	} cells[] = {{"reno", 10000000, 50, 1, 0}, {"cubic", 10000000, 50, 1, 0},
		{"cubic", 50000000, 20, 1, 0}, {"cubic", 20000000, 100, 0.5, 0},
		{"cubic", 20000000, 50, 1, 0.3}};
	size_t count = sizeof cells / sizeof *cells;
	static struct work w;
	int rc = 0;
	w.choice = c;
	for (size_t i = 0; i < count; i++) {
		c->algorithm[0] = c->algorithm[1] = cells[i].algorithm;
		c->ecn = cells[i].ecn;
		add_cell(&w, cells[i].rate, cells[i].rtt_ms,
			frames_of(cells[i].rate, cells[i].rtt_ms, cells[i].depth));
	}
	struct dumbbell_result *all = run_all(&w);
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		struct dumbbell_result *r = all + i * c->seeds, *m = r + c->seeds / 2;
		median(r, c->seeds);
		bool good =
			m->jain >= 0.95 && m->used >= 0.85 && (m->marked > 0) == (cells[i].ecn > 0);
		printf("%sok %zu - ", good ? "" : "not ", i + 1);
		show(c, &w.cells[i], r);
		rc |= !good;
	}
	return rc;
}

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: tern-fairness [--cell R,T,Q] [--algorithms A[,B]] [--seconds N] "
		    "[--seeds N]\n"
		    "                     [--jobs N] [--ecn] [--table] [--set NAME=VALUE]... | "
		    "--check\n\n"
		    "Two flows share one queue, in virtual time, for each rate, RTT and depth.\n\n"
		    "  --cell R,T,Q      one cell only: Mbit/s, RTT in ms, frames that may wait\n"
		    "  --algorithms A,B  congestion control of each; without it cubic, then reno\n"
		    "  --seconds N       length of a run, the first fifth of which does not count "
		    "(120,\n"
		    "                    more where windows are large)\n"
		    "  --seeds N         of each cell, 1 to 25 (5): medians, and the worst\n"
		    "  --jobs N          processes (one a processor)\n"
		    "  --ecn             the queue marks when it is 30%% full, and both ends agree "
		    "to ECN\n"
		    "  --set NAME=VALUE  a setting of every stack (`tern settings`)\n"
		    "  --table           Markdown instead of JSON\n"
		    "  --check           a few cells, as TAP; exit status 1 unless Jain's index is "
		    "0.95\n"
		    "                    (the median of the seeds) and the path is 85%% used in "
		    "each\n");
	return status;
}

static bool take_algorithms(struct choice *c, char *text)
{
	char *comma = strchr(text, ',');
	if (comma)
		*comma = '\0';
	c->algorithm[0] = text;
	c->algorithm[1] = comma ? comma + 1 : text;
	return tern_congestion_number(c->algorithm[0]) >= 0 &&
	       tern_congestion_number(c->algorithm[1]) >= 0;
}

/* Says what is wrong with a setting, and ends: the usage after it would hide that. */
static void refuse(const char *setting, const char *why)
{
	fprintf(stderr, "tern-fairness: --set %s: %s\n", setting, why);
	exit(2);
}

static bool take_setting(struct choice *c, const char *setting)
{
	if (!strchr(setting, '='))
		return false;
	char why[TERN_SETTING_WHY];
	int err = tern_set_pair(NULL, setting);
	if (err != 0) {
		tern_setting_why(setting, err, why, sizeof why);
		refuse(setting, why);
	}
	if (c->settings_count == sizeof c->settings / sizeof *c->settings)
		refuse(setting, "one too many");
	c->settings[c->settings_count++] = setting;
	return true;
}

static bool take(struct choice *c, int option, char *value)
{
	switch (option) {
	case 'a':
		return take_algorithms(c, value);
	case 'n':
		return number_take(value, 25, &c->seeds);
	case 'j':
		return number_take(value, WORKERS_MAX, &c->jobs);
	case 's':
		c->seconds = strtoul(value, NULL, 10);
		return c->seconds >= 5 && c->seconds <= 100000;
	case 'e':
		c->ecn = 0.3;
		return true;
	case 'S':
		return take_setting(c, value);
	case 't':
		c->table = true;
		return true;
	case 'C':
		return sscanf(value, "%" SCNu32 ",%" SCNu32 ",%" SCNu32 "%c", &c->cell[0],
			       &c->cell[1], &c->cell[2], &(char){0}) == 3 &&
		       c->cell[0] && c->cell[1] && c->cell[2];
	case 'c':
		c->check = true;
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"algorithms", required_argument, 0, 'a'},
		{"seconds", required_argument, 0, 's'}, {"seeds", required_argument, 0, 'n'},
		{"jobs", required_argument, 0, 'j'}, {"ecn", no_argument, 0, 'e'},
		{"set", required_argument, 0, 'S'}, {"table", no_argument, 0, 't'},
		{"check", no_argument, 0, 'c'}, {"cell", required_argument, 0, 'C'},
		{"help", no_argument, 0, 'h'}, {0}};
	struct choice c = {.seeds = 5};
	c.jobs = workers_default();
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 'h')
			return usage(stdout, 0);
		if (!take(&c, o, optarg))
			return usage(stderr, 2);
	}
	if (optind < argc)
		return usage(stderr, 2);
	if (c.check)
		return check(&c);
	run(&c);
	return 0;
}
