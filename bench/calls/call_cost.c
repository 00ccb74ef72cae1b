/* What one call that `tern run` answers costs: prints the median of five rounds, in us. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define ROUNDS 5
#define CALLS  20000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

int main(void)
{
	double us[ROUNDS];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	for (int r = 0; r < ROUNDS; r++) {
		double began = now();
		for (int i = 0; i < CALLS; i++) {
			int value = i & 1;
			if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) != 0) {
				perror("setsockopt");
				return 1;
			}
		}
		us[r] = (now() - began) / CALLS;
	}
	qsort(us, ROUNDS, sizeof *us, compare);
	printf("%.1f\n", us[ROUNDS / 2]);
	return 0;
}
