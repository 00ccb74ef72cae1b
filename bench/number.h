/* Numbers as options of the benches have them. */
#ifndef BENCH_NUMBER_H
#define BENCH_NUMBER_H

#include <stdbool.h>
#include <stdlib.h>

/* 1 to most, in decimal, and nothing behind it; false: it is none. */
static inline bool number_take(const char *text, unsigned most, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	*out = (unsigned)n;
	return *text && *end == '\0' && n >= 1 && n <= most;
}

#endif
