/* tern-world: runs many worlds in a few processes, and says which failed and how to see it again.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/world/tally.h"

#define JOBS_MAX     64
#define FAILURES_MAX 200 /* told in words; all are counted */
#define AGAIN_EVERY  32  /* worlds of which one is run twice, to see that it is the same */
#define SEED_SECONDS 120 /* wall clock; then it hangs */

struct failure {
	uint64_t seed;
	char why[400];
};

/* What the worker processes share. */
struct shared {
	atomic_ulong next, done, failures;
	struct tally tally[JOBS_MAX];
	atomic_ulong current[JOBS_MAX]; /* index + 1 of the world a worker is in */
	struct failure failure[FAILURES_MAX];
	uint32_t segments[]; /* by index */
};

struct options {
	uint64_t first, count;
	unsigned jobs;
	struct world_opts world;
	bool single;
};

static const char usage[] =
	"usage: tern-world [--seeds N] [--first S] [--jobs N]\n"
	"       tern-world --seed S [--verbose | --trace] [--pcap FILE]\n"
	"Simulated stacks on impaired wires, one world a seed; see test/world/world.h.\n"
	"  --seeds N    worlds to run (default 1000), from --first S (default 1)\n"
	"  --jobs N     processes (default 2)\n"
	"  --seed S     one world alone; --verbose tells what applications do, --trace everything\n"
	"  --pcap FILE  what host 0 sends and receives\n";

static void *share(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return at;
}

/* --- a worker ------------------------------------------------------------------------ */

static void note_failure(struct shared *sh, uint64_t seed, const char *why)
{
	unsigned long at = atomic_fetch_add(&sh->failures, 1);
	if (at >= FAILURES_MAX)
		return;
	sh->failure[at].seed = seed;
	snprintf(sh->failure[at].why, sizeof sh->failure[at].why, "%s", why);
}

/* Runs it twice, the second time with every address elsewhere. */
static void run_again(const struct world_opts *opts, struct result *r)
{
	struct world_opts other = *opts;
	struct result again;
	other.skew = 48;
	world_run(&other, &again);
	if (again.hash == r->hash && again.segments == r->segments)
		return;
	r->failed = true;
	snprintf(r->why, sizeof r->why,
		"run twice, it sent other bytes: %lu segments (%016lx), then %lu (%016lx)",
		r->segments, r->hash, again.segments, again.hash);
}

static void work(struct shared *sh, const struct options *o, unsigned job)
{
	unsigned long index;
	while ((index = atomic_fetch_add(&sh->next, 1)) < o->count) {
		struct world_opts opts = o->world;
		struct result r;
		opts.seed = o->first + index;
		atomic_store(&sh->current[job], index + 1);
		alarm(SEED_SECONDS);
		world_run(&opts, &r);
		if (!r.failed && index % AGAIN_EVERY == 0)
			run_again(&opts, &r);
		if (r.failed)
			note_failure(sh, opts.seed, r.why);
		sh->segments[index] = (uint32_t)r.segments;
		tally_add(&sh->tally[job], &r);
		atomic_store(&sh->current[job], 0);
		atomic_fetch_add(&sh->done, 1);
	}
}

static pid_t start(struct shared *sh, const struct options *o, unsigned job)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		work(sh, o, job);
		exit(0);
	}
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	return pid;
}

/* --- the parent ---------------------------------------------------------------------- */

/* A worker died in a world: that world failed. Returns true if another should take its place. */
static bool bury(struct shared *sh, const struct options *o, unsigned job, int status)
{
	unsigned long at = atomic_load(&sh->current[job]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	char why[80];
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (sig == SIGALRM)
		snprintf(why, sizeof why, "still running after %d seconds", SEED_SECONDS);
	else if (sig)
		snprintf(why, sizeof why, "died: %s", strsignal(sig));
	else
		snprintf(why, sizeof why, "died: exit status %d", WEXITSTATUS(status));
	atomic_store(&sh->current[job], 0);
	if (at == 0)
		return false;
	note_failure(sh, o->first + at - 1, why);
	sh->tally[job].worlds++;
	sh->tally[job].failed++;
	atomic_fetch_add(&sh->done, 1);
	return true;
}

static void run_all(struct shared *sh, const struct options *o)
{
	pid_t pid[JOBS_MAX];
	unsigned running = 0, ticks = 0;
	for (unsigned j = 0; j < o->jobs; j++, running++)
		pid[j] = start(sh, o, j);
	while (running) {
		int status;
		pid_t gone = waitpid(-1, &status, WNOHANG);
		for (unsigned j = 0; gone > 0 && j < o->jobs; j++) {
			if (pid[j] != gone)
				continue;
			if (bury(sh, o, j, status))
				pid[j] = start(sh, o, j);
			else
				running--;
		}
		if (gone > 0)
			continue;
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		if (++ticks % 100 == 0) {
			printf("%lu of %lu seeds, %lu failed\n", atomic_load(&sh->done), o->count,
				atomic_load(&sh->failures));
			fflush(stdout);
		}
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int by_seed(const void *a, const void *b)
{
	uint64_t x = ((const struct failure *)a)->seed, y = ((const struct failure *)b)->seed;
	return x < y ? -1 : x > y;
}

static int report(struct shared *sh, const struct options *o, const char *program)
{
	struct tally sum = {0};
	for (unsigned j = 0; j < o->jobs; j++)
		tally_merge(&sum, &sh->tally[j]);
	qsort(sh->segments, o->count, sizeof sh->segments[0], by_value);
	uint32_t median = sh->segments[o->count / 2];
	tally_print(&sum, median);
	unsigned long told = atomic_load(&sh->failures);
	if (told > FAILURES_MAX)
		told = FAILURES_MAX;
	qsort(sh->failure, told, sizeof sh->failure[0], by_seed);
	for (unsigned long i = 0; i < told; i++)
		printf("%s --seed %lu  # %s\n", program, sh->failure[i].seed, sh->failure[i].why);
	bool poor = false;
	if (o->count >= EDGE_SEEDS) {
		poor = tally_rare_edges(&sum) > 0;
		if (median < SEGMENTS_MEDIAN) {
			printf("the median seed has only %u segments\n", median);
			poor = true;
		}
	}
	printf("%lu passed, %lu failed\n", sum.worlds - sum.failed, sum.failed + poor);
	return sum.failed || poor || sum.worlds != o->count;
}

static int run_single(const struct options *o)
{
	struct result r;
	world_run(&o->world, &r);
	if (!r.failed && !o->world.pcap)
		run_again(&o->world, &r);
	struct tally t = {0};
	tally_add(&t, &r);
	tally_print(&t, (uint32_t)r.segments);
	printf("seed %lu: hash %016lx, %.6f virtual seconds%s%s\n", o->world.seed, r.hash,
		(double)r.virtual_ns / 1e9, r.failed ? "\nFAILED " : "", r.failed ? r.why : "");
	printf("%d passed, %d failed\n", !r.failed, r.failed);
	return r.failed;
}

/* --- options ------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 0);
	if (errno || end == text || *end) {
		fprintf(stderr, "tern-world: %s is not a number\n%s", text, usage);
		exit(2);
	}
	return n;
}

static struct options parse(int argc, char **argv)
{
	static const struct option longs[] = {{"seeds", 1, 0, 'n'}, {"first", 1, 0, 'f'},
		{"seed", 1, 0, 's'}, {"jobs", 1, 0, 'j'}, {"verbose", 0, 0, 'v'},
		{"trace", 0, 0, 't'}, {"pcap", 1, 0, 'p'}, {"help", 0, 0, 'h'}, {0, 0, 0, 0}};
	struct options o = {.first = 1, .count = 1000, .jobs = 2};
	for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;)
		switch (c) {
		case 'n':
			o.count = number(optarg);
			break;
		case 'f':
			o.first = number(optarg);
			break;
		case 's':
			o.world.seed = number(optarg);
			o.single = true;
			break;
		case 'j':
			o.jobs = (unsigned)number(optarg);
			break;
		case 'v':
			o.world.verbose = 1;
			break;
		case 't':
			o.world.verbose = 2;
			break;
		case 'p':
			o.world.pcap = optarg;
			break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	if (optind < argc || o.count == 0 || o.count > 1u << 28 || o.jobs == 0 ||
		o.jobs > JOBS_MAX) {
		fputs(usage, stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	if (o.single)
		return run_single(&o);
	struct shared *sh = share(sizeof *sh + o.count * sizeof sh->segments[0]);
	run_all(sh, &o);
	return report(sh, &o, argv[0]);
}
