#include "bench/workers/workers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("workers: mmap");
		exit(1);
	}
	return p;
}

unsigned workers_default(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return processors > 0 && processors <= WORKERS_MAX ? (unsigned)processors : 1;
}

void *workers_run(unsigned jobs, size_t count, size_t size,
	void (*work)(void *context, size_t i, void *result), void *context)
{
	char *results = shared(count * size + 1);
	atomic_size_t *next = shared(sizeof *next);
	fflush(stdout);
	for (unsigned k = 0; k < jobs; k++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("workers: fork");
			exit(1);
		}
		if (pid > 0)
			continue;
		for (size_t i; (i = atomic_fetch_add(next, 1)) < count;)
			work(context, i, results + i * size);
		fflush(stdout);
		_exit(0);
	}
	for (int status; wait(&status) > 0;)
		if (status != 0)
			exit(1);
	munmap(next, sizeof *next);
	return results;
}
