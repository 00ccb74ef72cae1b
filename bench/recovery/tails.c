#include "tails.h"

#define MSS   1448u /* with timestamps */
#define REPLY 10u   /* segments */
#define HOUR  (3600 * SECOND)

static bool last(uint32_t n)
{
	return n == REPLY - 1;
}

static bool last_three(uint32_t n)
{
	return n >= REPLY - 3 && n < REPLY;
}

static bool all(uint32_t n)
{
	return n < REPLY;
}

static bool last_and_its_copy(uint32_t n)
{
	return n == REPLY - 1 || n == REPLY;
}

static bool first_and_its_copy(uint32_t n)
{
	return n == 0 || n == REPLY;
}

const char *const tail_names[TAILS] = {
	"nothing",
	"the last",
	"the last three",
	"all ten",
	"the last, and the next sent",
	"the first, and the next sent",
};

static bool (*const drops[TAILS])(
	uint32_t number) = {NULL, last, last_three, all, last_and_its_copy, first_and_its_copy};

/* After a few segments one by one, that the RTT may be known. */
uint64_t tail_run(unsigned tail, uint64_t rtt, const char *algorithm, bool no_sack)
{
	struct path p;
	struct path_opts opts = {
		.impair = "",
		.rtt = rtt,
		.rate = 100000000,
		.seed = 1,
		.queue = path_queue(100000000, rtt, 1, 50),
		.no_sack = no_sack,
		.algorithm = algorithm,
	};
	path_open(&p, &opts);
	for (unsigned i = 1; i <= 5; i++)
		path_run(&p, p.now + HOUR, i * (uint64_t)MSS);
	path_rest(&p, rtt);
	p.drop = drops[tail];
	uint64_t begin = p.now;
	path_run(&p, begin + HOUR, p.taken + REPLY * (uint64_t)MSS);
	uint64_t took = p.now - begin;
	path_close(&p);
	return took;
}
