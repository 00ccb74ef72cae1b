/*
 * tern-bench: in-memory rows, one JSON object a line. Two stacks, one core, no device: what is
 * measured is the stack. Each row is the median of --reps runs, after one that does not count.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "pair.h"

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a row is told, and what one run of it yields. */
struct scale {
	uint64_t bytes;    /* bulk */
	uint32_t trips;    /* echo */
	uint32_t connects; /* open and close */
	uint32_t idle;     /* idle connections */
	bool once;         /* no run to warm up: instructions are being counted */
};

struct result {
	double value, other; /* the row's figure, and a second one where it has two */
};

struct row {
	const char *name, *unit, *other_unit;
	struct result (*run)(const struct scale *scale, uint32_t parameter);
	uint32_t parameter;
};

/* --- bulk --------------------------------------------------------------------------------- */

/* Writes and reads in place: the application's own copies are not what is measured. */
static size_t fill(struct pair *p, struct tern_conn conn, uint64_t left)
{
	struct tern_span spans[8];
	size_t n = 0;
	int count = tern_tcp_room(p->client, conn, left < 262144 ? (size_t)left : 262144, spans, 8);
	for (int i = 0; i < count; i++)
		n += spans[i].len;
	if (count >= 0)
		tern_tcp_commit(p->client, conn, n);
	return n;
}

static size_t drain(struct pair *p, struct tern_conn conn)
{
	struct tern_span spans[64];
	size_t n = 0;
	int count = tern_tcp_peek(p->server, conn, spans, 64);
	for (int i = 0; i < count; i++)
		n += spans[i].len;
	if (n)
		tern_tcp_consume(p->server, conn, n);
	return n;
}

/* The same through the calls that copy, as most applications will. */
static size_t write_copy(struct pair *p, struct tern_conn conn, uint64_t left)
{
	static char data[65536];
	size_t n = 0;
	ptrdiff_t took = 0;
	for (; n < left; n += (size_t)took) {
		took = tern_tcp_write(p->client, conn, data,
			left - n < sizeof data ? left - n : sizeof data);
		if (took < 0)
			break;
	}
	return n;
}

static size_t read_copy(struct pair *p, struct tern_conn conn)
{
	static char data[65536];
	size_t n = 0;
	for (ptrdiff_t got; (got = tern_tcp_read(p->server, conn, data, sizeof data)) > 0;)
		n += (size_t)got;
	return n;
}

#define CHECKSUMS 1u
#define COPIES    2u
#define TSO       4u
#define RECORDED  8u
#define SEGMENT   1448u /* bytes, at MTU 1500 with timestamps */

static struct result bulk(const struct scale *scale, uint32_t how)
{
	struct pair p;
	struct tern_conn c, s;
	pair_open(&p, &(struct pair_opts){.mtu = 1500,
			      .checksums = how & CHECKSUMS,
			      .recorded = how & RECORDED,
			      .tso = how & TSO});
	pair_connect(&p, pair_listen(&p, 7), 7, &c, &s);
	uint64_t sent = 0, got = 0;
	double begin = seconds();
	while (got < scale->bytes) {
		if (sent < scale->bytes)
			sent += (how & COPIES ? write_copy : fill)(&p, c, scale->bytes - sent);
		pair_run(&p, 1);
		size_t n = (how & COPIES ? read_copy : drain)(&p, s);
		if (n == 0)
			pair_wait(&p, 100000);
		got += n;
	}
	double took = seconds() - begin;
	pair_close(&p);
	return (struct result){(double)got * 8 / took / 1e9, took * 1e9 / ((double)got / SEGMENT)};
}

/* --- echo ----------------------------------------------------------------------------------- */

static void echo_once(struct pair *p, struct tern_conn c, struct tern_conn s)
{
	char byte = 'x', back = 0;
	if (tern_tcp_write(p->client, c, &byte, 1) != 1)
		bench_fail("echo write", TERN_EAGAIN);
	pair_run(p, 1);
	if (tern_tcp_read(p->server, s, &back, 1) != 1 ||
		tern_tcp_write(p->server, s, &back, 1) != 1)
		bench_fail("echo at the server", TERN_EAGAIN);
	pair_run(p, 1);
	pair_run(p, 1);
	if (tern_tcp_read(p->client, c, &back, 1) != 1)
		bench_fail("echo read", TERN_EAGAIN);
}

static struct result echo(const struct scale *scale, uint32_t connections)
{
	struct pair p;
	pair_open(&p, &(struct pair_opts){.mtu = 1500, .checksums = true});
	struct tern_conn *c = calloc(connections, sizeof *c), *s = calloc(connections, sizeof *s);
	if (!c || !s)
		bench_fail("connections", TERN_ENOMEM);
	struct tern_listener l = pair_listen(&p, 7);
	for (uint32_t i = 0; i < connections; i++)
		pair_connect(&p, l, 7, &c[i], &s[i]);
	double begin = seconds();
	for (uint32_t i = 0; i < scale->trips; i++)
		echo_once(&p, c[i % connections], s[i % connections]);
	double took = seconds() - begin;
	pair_close(&p);
	free(c);
	free(s);
	return (struct result){took * 1e6 / scale->trips, 0};
}

/* --- connect and close -------------------------------------------------------------------------
 */

static void open_and_close(struct pair *p, struct tern_listener l)
{
	struct tern_conn c, s;
	struct tern_event ev;
	pair_connect(p, l, 7, &c, &s);
	tern_tcp_close(p->client, c);
	pair_run(p, 4);
	tern_tcp_close(p->server, s);
	pair_run(p, 4);
	while (tern_event_next(p->client, &ev) || tern_event_next(p->server, &ev))
		;
}

/* Time passes so that `waiting` connections are in TIME_WAIT at any moment. */
static struct result churn(const struct scale *scale, uint32_t waiting)
{
	struct pair p;
	pair_open(&p, &(struct pair_opts){.mtu = 1500, .checksums = true});
	struct tern_listener l = pair_listen(&p, 7);
	uint64_t pause = UINT64_C(60000000000) / waiting;
	for (uint32_t i = 0; i < waiting; i++) {
		open_and_close(&p, l);
		pair_wait(&p, pause);
	}
	struct tern_memory_info info;
	tern_memory_info(p.client, &info);
	double begin = seconds();
	for (uint32_t i = 0; i < scale->connects; i++) {
		open_and_close(&p, l);
		pair_wait(&p, pause);
	}
	double took = seconds() - begin;
	pair_close(&p);
	return (struct result){scale->connects / took, info.connections};
}

/* --- memory --------------------------------------------------------------------------------------
 */

static struct result idle(const struct scale *scale, uint32_t unused)
{
	(void)unused;
	struct pair p;
	struct tern_memory_info before, after;
	struct tern_conn c, s;
	pair_open(&p, &(struct pair_opts){.mtu = 1500, .checksums = true});
	struct tern_listener l = pair_listen(&p, 7);
	pair_connect(&p, l, 7, &c, &s); /* with it comes the table of half-open connections */
	pair_wait(&p, 2000000000);
	tern_memory_info(p.server, &before);
	for (uint32_t i = 0; i < scale->idle; i++)
		pair_connect(&p, l, 7, &c, &s);
	for (unsigned i = 0; i < 100; i++)
		pair_wait(&p, 100000000);
	tern_memory_info(p.server, &after);
	pair_close(&p);
	return (struct result){(double)(after.used - before.used) / scale->idle,
		(double)after.connection_bytes};
}

/* --- running
 * --------------------------------------------------------------------------------------- */

static const struct row rows[] = {
	{"bulk_checksums", "Gb/s", "ns/segment", bulk, CHECKSUMS},
	{"bulk_offloaded", "Gb/s", "ns/segment", bulk, 0},
	{"bulk_checksums_copied", "Gb/s", "ns/segment", bulk, CHECKSUMS | COPIES},
	{"bulk_offloaded_copied", "Gb/s", "ns/segment", bulk, COPIES},
	{"bulk_tso", "Gb/s", "ns/1448 bytes", bulk, TSO},
	{"bulk_checksums_recorded", "Gb/s", "ns/segment", bulk, CHECKSUMS | RECORDED},
	{"bulk_tso_recorded", "Gb/s", "ns/1448 bytes", bulk, TSO | RECORDED},
	{"echo_1", "us", NULL, echo, 1},
	{"echo_10000", "us", NULL, echo, 10000},
	{"connect_close_100_time_wait", "1/s", "connections held", churn, 100},
	{"connect_close_10000_time_wait", "1/s", "connections held", churn, 10000},
	{"idle_connection", "bytes", "bytes of TCB", idle, 0},
};

#define ROWS (sizeof rows / sizeof *rows)

static int by_value(const void *a, const void *b)
{
	double x = ((const struct result *)a)->value, y = ((const struct result *)b)->value;
	return (x > y) - (x < y);
}

static void run(const struct row *row, const struct scale *scale, unsigned reps)
{
	struct result results[99];
	if (!scale->once)
		row->run(scale, row->parameter);
	for (unsigned i = 0; i < reps; i++)
		results[i] = row->run(scale, row->parameter);
	qsort(results, reps, sizeof *results, by_value);
	struct result median = results[reps / 2];
	printf("{\"row\":\"%s\",\"median\":%.3f,\"unit\":\"%s\",\"lowest\":%.3f,\"highest\":%.3f,"
	       "\"reps\":%u",
		row->name, median.value, row->unit, results[0].value, results[reps - 1].value,
		reps);
	if (row->other_unit)
		printf(",\"also\":%.1f,\"also_unit\":\"%s\"", median.other, row->other_unit);
	printf("}\n");
	fflush(stdout);
}

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: tern-bench [--reps N] [--quick] [--row NAME]... [--count N]\n"
		    "--count: one run of N segments, round trips or connections, for callgrind; "
		    "the difference of two counts is what N cost\nrows:");
	for (size_t i = 0; i < ROWS; i++)
		fprintf(to, " %s", rows[i].name);
	fprintf(to, "\n");
	return status;
}

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"reps", required_argument, 0, 'n'},
		{"quick", no_argument, 0, 'q'}, {"row", required_argument, 0, 'r'},
		{"count", required_argument, 0, 'c'}, {"help", no_argument, 0, 'h'}, {0}};
	struct scale scale = {.bytes = UINT64_C(1) << 31,
		.trips = 500000,
		.connects = 100000,
		.idle = 10000};
	const struct row *chosen[ROWS];
	size_t count = 0;
	long reps = 5;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 'n')
			reps = strtol(optarg, NULL, 10);
		else if (o == 'q')
			scale = (struct scale){.bytes = 1 << 28,
				.trips = 50000,
				.connects = 10000,
				.idle = 10000};
		else if (o == 'c') {
			uint32_t n = (uint32_t)strtoul(optarg, NULL, 10);
			scale = (struct scale){(uint64_t)n * SEGMENT, n, n, n, true};
			reps = 1;
		} else if (o == 'r' && count < ROWS && find(optarg))
			chosen[count++] = find(optarg);
		else
			return usage(o == 'h' ? stdout : stderr, o == 'h' ? 0 : 2);
	}
	if (reps < 1 || reps > 99 || optind < argc)
		return usage(stderr, 2);
	/* glibc would ask the kernel for every slab of 64 KiB anew: much slower where bytes are
	 * touched, and not the stack's doing. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	size_t n = count ? count : ROWS;
	for (size_t i = 0; i < n; i++) {
		const struct row *row = count ? chosen[i] : &rows[i];
		fprintf(stderr, "[%zu/%zu] %s\n", i + 1, n, row->name);
		run(row, &scale, (unsigned)reps);
	}
	return 0;
}
