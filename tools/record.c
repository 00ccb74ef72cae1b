/*
 * The trace tells of a death in the middle of what leads to it, so that is only noted; the file is
 * written from the loop, with the reset that followed in it.
 */
#include "tools/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/options.h"

#define DEAD_MAX 64 /* between two turns of the loop */

struct dead {
	struct tern_endpoint ends[2];
	const char *of;
};

struct record {
	const char *dir, *stack;
	const struct tern_recorder *recorder;
	struct tern_host *host;
	struct tern_watch *watch;
	int wake; /* eventfd */
	struct dead dead[DEAD_MAX];
	unsigned count;
	unsigned files, number; /* written; the last one's number */
	uint64_t missed;        /* more than there may be */
	int error;              /* errno of the first that could not be written */
};

static const char *death(const struct tern_trace *t)
{
	bool half_open = t->state.from == TERN_TCP_SYN_RECEIVED || t->state.from == TERN_TCP_LISTEN;
	if (t->kind != TERN_TRACE_STATE || t->state.to != TERN_TCP_CLOSED || half_open ||
		t->state.from == TERN_TCP_TIME_WAIT)
		return NULL;
	if (t->state.cause == TERN_CAUSE_RST)
		return "reset";
	return t->state.cause == TERN_CAUSE_TIMEOUT ? "timeout" : NULL;
}

static void see(void *context, const struct tern_trace *t)
{
	struct record *r = context;
	const char *of = death(t);
	static const uint64_t one = 1;
	if (!of)
		return;
	if (r->count == DEAD_MAX || r->files + r->count >= RECORD_FILES_MAX) {
		r->missed++;
		return;
	}
	r->dead[r->count++] = (struct dead){{t->conn.local, t->conn.remote}, of};
	ssize_t n = write(r->wake, &one, sizeof one);
	(void)n; /* full means it is awake already */
}

/* A file that was not there before; -1 with errno. */
static int create(struct record *r, const struct dead *d)
{
	char path[4096], local[TERN_ENDPOINT_TEXT], remote[TERN_ENDPOINT_TEXT];
	int fd;
	do {
		int n = snprintf(path, sizeof path, "%s/%s-%04u-%s-%s-%s.pcapng", r->dir, r->stack,
			++r->number, d->of, tern_endpoint_format(&d->ends[0], local),
			tern_endpoint_format(&d->ends[1], remote));
		if (n >= (int)sizeof path) {
			errno = ENAMETOOLONG;
			return -1;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	} while (fd < 0 && errno == EEXIST && r->number < UINT16_MAX);
	return fd;
}

static void write_file(struct record *r, const struct dead *d)
{
	struct tern_pcapng_opts opts = {.epoch = tern_options_epoch()};
	int fd = r->error ? -1 : create(r, d);
	if (fd >= 0 && tern_recorder_save(r->recorder, d->ends, fd, &opts) >= 0)
		r->files++;
	else if (!r->error)
		r->error = errno ? errno : EIO;
}

static void write_all(struct record *r)
{
	for (unsigned i = 0; i < r->count; i++)
		write_file(r, &r->dead[i]);
	r->count = 0;
}

static void woken(void *context, uint32_t events)
{
	struct record *r = context;
	uint64_t count;
	ssize_t n = read(r->wake, &count, sizeof count);
	(void)n;
	(void)events;
	write_all(r);
}

int tern_record_attach(struct record *r, struct tern_host *host)
{
	r->host = host;
	r->watch = tern_host_watch(host, r->wake, EPOLLIN, woken, r);
	return r->watch ? 0 : -1;
}

struct record *tern_record_open(const char *dir, const char *stack,
	const struct tern_recorder *recorder, char *why, size_t why_size)
{
	struct stat st;
	struct record *r = calloc(1, sizeof *r);
	if (!r) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	*r = (struct record){.dir = dir, .stack = stack, .recorder = recorder};
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake >= 0 && (mkdir(dir, 0755) == 0 || errno == EEXIST) && stat(dir, &st) == 0) {
		errno = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
		if (errno == 0 && access(dir, W_OK | X_OK) == 0)
			return r;
	}
	snprintf(why, why_size, "%s: %s", dir, strerror(errno));
	if (r->wake >= 0)
		close(r->wake);
	free(r);
	return NULL;
}

struct tern_trace_listener tern_record_listener(struct record *r)
{
	return (struct tern_trace_listener){see, r};
}

int tern_record_close(struct record *r, char *why, size_t why_size)
{
	int rc = 0;
	*why = '\0';
	if (!r)
		return 0;
	write_all(r);
	if (r->error) {
		snprintf(why, why_size, "%s: %s", r->dir, strerror(r->error));
		rc = -1;
	} else if (r->missed) {
		snprintf(why, why_size, "%s: %u files, none for %" PRIu64 " more that died", r->dir,
			r->files, r->missed);
	}
	if (r->watch)
		tern_host_unwatch(r->host, r->watch);
	close(r->wake);
	free(r);
	return rc;
}
