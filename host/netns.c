#include "host/netns.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/error.h"

static bool all_digits(const char *s)
{
	while (isdigit((unsigned char)*s))
		s++;
	return *s == '\0';
}

static void name_to_path(const char *name, char path[PATH_MAX])
{
	if (strchr(name, '/'))
		snprintf(path, PATH_MAX, "%s", name);
	else if (all_digits(name))
		snprintf(path, PATH_MAX, "/proc/%s/ns/net", name);
	else
		snprintf(path, PATH_MAX, "/run/netns/%s", name);
}

int tern_netns_enter(const char *name)
{
	char path[PATH_MAX];
	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return tern_error_set("/proc/thread-self/ns/net: %s", strerror(errno));
	name_to_path(name, path);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	if (there >= 0 && setns(there, CLONE_NEWNET) == 0) {
		close(there);
		return back;
	}
	tern_error_set("network namespace %s: %s", path, strerror(errno));
	if (there >= 0)
		close(there);
	close(back);
	return -1;
}

void tern_netns_leave(int back)
{
	if (setns(back, CLONE_NEWNET) != 0) {
		perror("tern: cannot return to my own network namespace");
		abort();
	}
	close(back);
}
