/*
 * tern-recovery: what loss and reordering cost, in virtual time: the same figures on any machine.
 * A row a cell: a transfer over a path of that rate and RTT, its queue one bandwidth-delay product;
 * then how long a lost tail takes to be mended.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "path.h"

#define MSS  1448u /* with timestamps */
#define HOUR (3600 * SECOND)

struct impairment {
	const char *name, *spec;
};

static const struct impairment impairments[] = {
	{"none", ""},
	{"loss 0.1%", "loss=0.1%"},
	{"loss 1%", "loss=1%"},
	{"loss 5%", "loss=5%"},
	{"loss 10%", "loss=10%"},
	{"bursts", "burst=0.1%/20%/100%"},
	{"reorder 5%, 1/4 RTT late", "reorder=5%"},
	{"reorder 5%, 1/2 RTT early", "reorder=5%"},
};

static const char *const algorithms[] = {"cubic", "reno"};

static const struct {
	uint64_t rtt, rate;
	unsigned seconds;
} paths[] = {
	{10 * MS, 10000000, 60},
	{10 * MS, 1000000000, 5},
	{40 * MS, 100000000, 20},
	{200 * MS, 10000000, 120},
	{200 * MS, 100000000, 60},
};

#define COUNT(table) (sizeof table / sizeof *table)

/* --- transfers ---------------------------------------------------------------------------- */

struct outcome {
	double goodput;                  /* bit/s */
	uint64_t resent, lost, spurious; /* segments */
	uint64_t timeouts, probes, undone;
};

/* The gap of "late" depends on the RTT, so the spec is finished here. */
static void spec_of(const struct impairment *i, uint64_t rtt, char *out, size_t size)
{
	if (strstr(i->name, "late"))
		snprintf(out, size, "%s/%luus", i->spec, (unsigned long)(rtt / 4000));
	else
		snprintf(out, size, "%s", i->spec);
}

/* Until all is read, so that every loss was mended, and what was resent beyond was spurious. */
static struct outcome transfer(const struct path_opts *opts, uint64_t time)
{
	struct path p;
	struct tern_tcp_info info;
	path_open(&p, opts);
	uint64_t begin = p.now, bytes = UINT64_MAX;
	path_run(&p, begin + time, bytes);
	struct outcome o = {.goodput = (double)p.taken * 8e9 / (double)(p.now - begin)};
	path_run(&p, p.now + HOUR, p.written);
	tern_tcp_info(p.sender, p.from, &info);
	o.resent = info.retransmits;
	o.lost = path_lost(&p);
	o.spurious = o.resent > o.lost ? o.resent - o.lost : 0;
	o.timeouts = path_counter(&p, "TcpExtTCPTimeouts");
	o.probes = path_counter(&p, "TcpExtTCPLossProbes");
	o.undone = path_counter(&p, "TcpExtTCPFullUndo") +
		   path_counter(&p, "TcpExtTCPPartialUndo") +
		   path_counter(&p, "TcpExtTCPDSACKUndo") + path_counter(&p, "TcpExtTCPLossUndo");
	path_close(&p);
	return o;
}

static void add(struct outcome *sum, const struct outcome *o)
{
	sum->goodput += o->goodput;
	sum->resent += o->resent;
	sum->lost += o->lost;
	sum->spurious += o->spurious;
	sum->timeouts += o->timeouts;
	sum->probes += o->probes;
	sum->undone += o->undone;
}

static void print_transfer(const char *name, const struct path_opts *opts, const struct outcome *o,
	unsigned runs, bool json)
{
	double mbit = o->goodput / runs / 1e6, share = o->goodput / runs / (double)opts->rate;
	const char *form =
		json ? "{\"algorithm\":\"%s\",\"rtt_ms\":%.0f,\"rate_mbit\":%.0f,\"impairment\":\"%"
		       "s\","
		       "\"goodput_mbit\":"
		       "%.2f,\"share\":%.3f,\"resent\":%lu,\"resent_bytes\":%lu,\"lost\":%lu,"
		       "\"spurious\":%lu,\"timeouts\":%lu,\"probes\":%lu,\"undone\":%lu}\n"
		     : "%-5s %4.0f ms %5.0f Mb/s  %-26s %8.2f Mb/s (%.3f)  resent %7lu (%lu "
		       "bytes), "
		       "lost "
		       "%7lu, spurious %6lu, timeouts %5lu, probes %4lu, undone %4lu\n";
	printf(form, opts->algorithm, (double)opts->rtt / 1e6, (double)opts->rate / 1e6, name, mbit,
		share, (unsigned long)o->resent, (unsigned long)(o->resent * MSS),
		(unsigned long)o->lost, (unsigned long)o->spurious, (unsigned long)o->timeouts,
		(unsigned long)o->probes, (unsigned long)o->undone);
	fflush(stdout);
}

/* --- tails ------------------------------------------------------------------------------------ */

#define BURST 10u /* segments in a reply, sent into an empty path */

static bool last(uint32_t n)
{
	return n == BURST - 1;
}

static bool last_three(uint32_t n)
{
	return n >= BURST - 3 && n < BURST;
}

static bool all(uint32_t n)
{
	return n < BURST;
}

static bool last_and_its_copy(uint32_t n)
{
	return n == BURST - 1 || n == BURST;
}

static bool first_and_its_copy(uint32_t n)
{
	return n == 0 || n == BURST;
}

static bool none(uint32_t n)
{
	(void)n;
	return false;
}

static const struct {
	const char *name;
	bool (*drop)(uint32_t number);
} tails[] = {
	{"nothing", none},
	{"the last", last},
	{"the last three", last_three},
	{"all ten", all},
	{"the last, and the next sent", last_and_its_copy},
	{"the first, and the next sent", first_and_its_copy},
};

/* A reply of ten segments after some that warm the RTT up: ns until all of it has been read. */
static uint64_t reply_time(const struct path_opts *opts, bool (*drop)(uint32_t))
{
	struct path p;
	path_open(&p, opts);
	for (unsigned i = 1; i <= 5; i++)
		path_run(&p, p.now + HOUR, i * (uint64_t)MSS);
	path_rest(&p, opts->rtt);
	p.drop = drop;
	uint64_t begin = p.now;
	path_run(&p, begin + HOUR, p.taken + BURST * (uint64_t)MSS);
	uint64_t took = p.now - begin;
	path_close(&p);
	return took;
}

static void print_tail(const struct path_opts *opts, const char *what, uint64_t took,
	uint64_t clean, bool json)
{
	const char *form =
		json ? "{\"algorithm\":\"%s\",\"rtt_ms\":%.0f,\"rate_mbit\":%.0f,\"dropped\":\"%"
		       "s\","
		       "\"reply_ms\":%.1f,\"later_ms\":%.1f,\"later_rtts\":%.2f}\n"
		     : "%-5s %4.0f ms %5.0f Mb/s  a reply of ten, dropped: %-30s %8.1f ms, "
		       "%8.1f ms late: %5.2f RTT\n";
	double late = (double)(took - clean);
	printf(form, opts->algorithm, (double)opts->rtt / 1e6, (double)opts->rate / 1e6, what,
		(double)took / 1e6, late / 1e6, late / (double)opts->rtt);
}

/* --- running ---------------------------------------------------------------------------------- */

struct choice {
	const char *only; /* rows whose name contains this */
	unsigned runs;
	bool json, no_sack;
	bool algorithm[COUNT(algorithms)];
};

static void run_transfers(const struct choice *c, const char *algorithm)
{
	for (size_t k = 0; k < COUNT(paths); k++)
		for (size_t i = 0; i < COUNT(impairments); i++) {
			char spec[100];
			struct outcome sum = {0};
			struct path_opts opts = {spec, paths[k].rtt, paths[k].rate, 0, c->no_sack,
				algorithm};
			if (c->only && !strstr(impairments[i].name, c->only))
				continue;
			spec_of(&impairments[i], opts.rtt, spec, sizeof spec);
			for (opts.seed = 1; opts.seed <= c->runs; opts.seed++) {
				struct outcome o = transfer(&opts, paths[k].seconds * SECOND);
				add(&sum, &o);
			}
			print_transfer(impairments[i].name, &opts, &sum, c->runs, c->json);
		}
}

static void run_tails(const struct choice *c, const char *algorithm)
{
	static const uint64_t rtts[] = {10 * MS, 50 * MS, 200 * MS};
	if (c->only && !strstr("tail", c->only))
		return;
	for (size_t k = 0; k < COUNT(rtts); k++) {
		struct path_opts opts = {"", rtts[k], 100000000, 1, c->no_sack, algorithm};
		uint64_t clean = reply_time(&opts, none);
		for (size_t i = 0; i < COUNT(tails); i++)
			print_tail(&opts, tails[i].name, reply_time(&opts, tails[i].drop), clean,
				c->json);
	}
}

static int usage(FILE *to, int status)
{
	fprintf(to,
		"usage: tern-recovery [--json] [--no-sack] [--runs N] [--only WORD]\n"
		"                     [--algorithms NAMES]\n"
		"What loss and reordering cost a transfer, and a lost tail a reply, in virtual "
		"time.\n"
		"  --json     a JSON object a line\n"
		"  --no-sack  the sender does not offer SACK: NewReno\n"
		"  --runs N   seeds a cell, 1 to 100 (3); figures of segments are sums\n"
		"  --only W   impairments whose name contains it; \"tail\": only those\n"
		"  --algorithms NAMES  the sender's congestion control: cubic (the default), reno, "
		"or\n"
		"             both with a comma between them\n");
	return status;
}

/* Names with commas between them. */
static bool choose_algorithms(struct choice *c, char *text)
{
	memset(c->algorithm, 0, sizeof c->algorithm);
	for (char *save, *name = strtok_r(text, ",", &save); name;
		name = strtok_r(NULL, ",", &save)) {
		size_t i = 0;
		while (i < COUNT(algorithms) && strcmp(algorithms[i], name) != 0)
			i++;
		if (i == COUNT(algorithms))
			return false;
		c->algorithm[i] = true;
	}
	return c->algorithm[0] || c->algorithm[1];
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, 0, 'j'},
		{"no-sack", no_argument, 0, 's'}, {"runs", required_argument, 0, 'n'},
		{"only", required_argument, 0, 'o'}, {"algorithms", required_argument, 0, 'a'},
		{"help", no_argument, 0, 'h'}, {0}};
	struct choice c = {.runs = 3, .algorithm = {true}};
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		char *end = "";
		if (o == 'j')
			c.json = true;
		else if (o == 's')
			c.no_sack = true;
		else if (o == 'n')
			c.runs = (unsigned)strtoul(optarg, &end, 10);
		else if (o == 'o')
			c.only = optarg;
		else if (o != 'a' || !choose_algorithms(&c, optarg))
			return usage(o == 'h' ? stdout : stderr, o == 'h' ? 0 : 2);
		if (*end || c.runs < 1 || c.runs > 100)
			return usage(stderr, 2);
	}
	if (optind < argc)
		return usage(stderr, 2);
	for (size_t i = 0; i < COUNT(algorithms); i++) {
		if (!c.algorithm[i])
			continue;
		run_transfers(&c, algorithms[i]);
		run_tails(&c, algorithms[i]);
	}
	return 0;
}
