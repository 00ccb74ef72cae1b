/*
 * tern-fairness: flows that share a bottleneck, in virtual time. One JSON object a line, or a
 * table; --check is for tests: two flows of one algorithm must share well.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	double ecn; /* of the queue; 0: no marks */
	uint64_t seconds;
	uint32_t cell[3]; /* Mbit/s, RTT in ms, frames; zeroes: all of them */
	bool table, check;
};

static uint32_t frames_of(uint64_t rate, uint64_t rtt_ms, double depth)
{
	double frames = (double)rate * (double)rtt_ms / 1000 / 8 / 1500 * depth;
	return frames < 5 ? 5 : (uint32_t)frames;
}

static struct dumbbell_result cell(const struct choice *c, uint64_t rate, uint64_t rtt_ms,
	uint32_t queue)
{
	struct dumbbell_opts o = {
		.flows = 2,
		.algorithm = {c->algorithm[0], c->algorithm[1]},
		.rtt = {rtt_ms * MS, rtt_ms * MS},
		.rate = rate,
		.queue = queue,
		.ecn = (uint32_t)(c->ecn * queue),
		.start = SEC + 137 * MS,
		.warm_up = c->seconds * SEC / 5,
		.end = c->seconds * SEC,
		.seed = 1,
		.settings = c->settings,
	};
	return dumbbell_run(&o);
}

static void show(const struct choice *c, uint64_t rate, uint64_t rtt_ms, uint32_t queue,
	const struct dumbbell_result *r)
{
	const char *a = c->algorithm[0], *b = c->algorithm[1];
	if (c->table) {
		printf("| %s, %s | %" PRIu64 " | %" PRIu64
		       " | %u | %.1f + %.1f | %.3f | %.1f | %.2f | "
		       "%" PRIu64 " | %.1f |\n",
			a, b, rate / 1000000, rtt_ms, queue, r->share[0] / 1e6, r->share[1] / 1e6,
			r->jain, 100 * r->used, 100 * r->again, r->timeouts, r->queued);
		return;
	}
	printf("{\"algorithms\":[\"%s\",\"%s\"],\"rate\":%" PRIu64 ",\"rtt_ms\":%" PRIu64
	       ",\"queue\":%u,\"shares\":[%.0f,%.0f],\"jain\":%.4f,\"used\":%.4f,"
	       "\"dropped\":%.5f,\"retransmitted\":%.5f,\"timeouts\":%" PRIu64
	       ",\"queued_ms\":%.2f,\"marked\":%.5f}\n",
		a, b, rate, rtt_ms, queue, r->share[0], r->share[1], r->jain, r->used, r->dropped,
		r->again, r->timeouts, r->queued, r->marked);
}

static void one_cell(const struct choice *c, uint64_t rate, uint64_t rtt_ms, uint32_t queue)
{
	struct dumbbell_result r = cell(c, rate, rtt_ms, queue);
	show(c, rate, rtt_ms, queue, &r);
	fflush(stdout);
}

static void all_cells(const struct choice *c)
{
	if (c->table)
		printf("| algorithms | Mbit/s | RTT, ms | queue | Mbit/s each | Jain | used, %% | "
		       "sent again, %% | timeouts | queued, ms |\n"
		       "|---|---|---|---|---|---|---|---|---|---|\n");
	if (c->cell[0]) {
		one_cell(c, c->cell[0] * UINT64_C(1000000), c->cell[1], c->cell[2]);
		return;
	}
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
		for (size_t j = 0; j < sizeof rtts / sizeof *rtts; j++)
			for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
				one_cell(c, rates[i], rtts[j],
					frames_of(rates[i], rtts[j], depths[k]));
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
	int rc = 0;
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		c->algorithm[0] = c->algorithm[1] = cells[i].algorithm;
		c->ecn = cells[i].ecn;
		c->settings[c->settings_count] = c->ecn > 0 ? "tcp_ecn=1" : NULL;
		uint32_t queue = frames_of(cells[i].rate, cells[i].rtt_ms, cells[i].depth);
		struct dumbbell_result r = cell(c, cells[i].rate, cells[i].rtt_ms, queue);
		bool good = r.jain >= 0.95 && r.used >= 0.85 && (r.marked > 0) == (c->ecn > 0);
		printf("%sok %zu - ", good ? "" : "not ", i + 1);
		show(c, cells[i].rate, cells[i].rtt_ms, queue, &r);
		fflush(stdout);
		rc |= !good;
	}
	return rc;
}

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: tern-fairness [--cell R,T,Q] [--algorithms A[,B]] [--seconds N] "
		    "[--ecn] [--table] "
		    "[--set NAME=VALUE]... | --check\n\n"
		    "Two flows share one queue, in virtual time, for each rate, RTT and depth.\n\n"
		    "  --cell R,T,Q      one cell only: Mbit/s, RTT in ms, frames that may wait\n"
		    "  --algorithms A,B  congestion control of each; without it cubic, then reno\n"
		    "  --seconds N       length of a run (120), the first fifth of which does not "
		    "count\n"
		    "  --ecn             the queue marks when it is 30%% full, and both ends agree "
		    "to ECN\n"
		    "  --set NAME=VALUE  a setting of every stack\n"
		    "  --table           Markdown instead of JSON\n"
		    "  --check           a few cells, as TAP; exit status 1 unless Jain's index is "
		    "0.95\n"
		    "                    and the path is 85%% used in each\n");
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

static bool take(struct choice *c, int option, char *value)
{
	switch (option) {
	case 'a':
		return take_algorithms(c, value);
	case 's':
		c->seconds = strtoul(value, NULL, 10);
		return c->seconds >= 5 && c->seconds <= 100000;
	case 'e':
		c->ecn = 0.3;
		c->settings[c->settings_count++] = "tcp_ecn=1";
		return true;
	case 'S':
		if (c->settings_count < 12)
			c->settings[c->settings_count++] = value;
		return strchr(value, '=') != NULL;
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
		{"seconds", required_argument, 0, 's'}, {"ecn", no_argument, 0, 'e'},
		{"set", required_argument, 0, 'S'}, {"table", no_argument, 0, 't'},
		{"check", no_argument, 0, 'c'}, {"cell", required_argument, 0, 'C'},
		{"help", no_argument, 0, 'h'}, {0}};
	struct choice c = {.seconds = 120};
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
	for (unsigned k = 0; c.algorithm[0] || tern_congestion_name(k); k++) {
		bool chosen = c.algorithm[0];
		if (!chosen)
			c.algorithm[0] = c.algorithm[1] = tern_congestion_name(k);
		all_cells(&c);
		if (chosen)
			break;
		c.algorithm[0] = NULL;
	}
	return 0;
}
