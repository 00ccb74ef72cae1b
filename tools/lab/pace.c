/* The pace of --realtime: a story that is known already is told no faster than it happens. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/lab/lab.h"

#define LONG_NS (2 * LAB_SEC) /* a wait of which the user is told */

static volatile sig_atomic_t interrupted;

static uint64_t clock_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * LAB_SEC + (uint64_t)ts.tv_nsec;
}

static void on_signal(int number)
{
	interrupted = number;
}

void lab_pace_begin(struct lab *lab)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: it ends the wait */
	lab->wall_began = clock_now();
	if (lab->opts->speed == 0)
		return;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* On a terminal one line, written anew; elsewhere a line for each wait. */
static void tell(const struct lab *lab, uint64_t at, uint64_t left, bool again)
{
	bool terminal = isatty(STDERR_FILENO);
	if (again && !terminal)
		return;
	fputs(terminal ? "\r" : "", stderr);
	fprintf(stderr,
		lab->opts->zh ? "[下一步在 %.1f 秒：还要等 %" PRIu64 " 秒]"
			      : "[next at %.1f s: %" PRIu64 " s to wait]",
		(double)at / 1e9, (left + LAB_SEC - 1) / LAB_SEC);
	fputs(terminal ? "\033[K" : "\n", stderr);
}

/* The capture is whole as far as it goes. */
static _Noreturn void stop(const struct lab *lab)
{
	if (lab->pcap)
		tern_pcapng_close(lab->pcap);
	fflush(stdout);
	exit(128 + interrupted);
}

void lab_pace(const struct lab *lab, uint64_t at)
{
	if (lab->opts->speed == 0)
		return;
	fflush(stdout);
	uint64_t due = lab->wall_began + (uint64_t)((double)at / lab->opts->speed);
	uint64_t now = clock_now();
	bool told = false, is_long = due > now + LONG_NS;
	for (; now < due && !interrupted; now = clock_now()) {
		uint64_t left = due - now;
		if (is_long)
			tell(lab, at, left, told);
		told = is_long;
		if (is_long && left > LAB_SEC)
			left = LAB_SEC;
		nanosleep(&(struct timespec){.tv_sec = (time_t)(left / LAB_SEC),
				  .tv_nsec = (long)(left % LAB_SEC)},
			NULL);
	}
	if (told && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (interrupted)
		stop(lab);
}
