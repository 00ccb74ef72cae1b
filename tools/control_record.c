/* The method "record": what the flight recorder has about a connection, as a capture or a ladder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tern/ladder.h>
#include <tern/tee.h>
#include <unistd.h>

#include "tools/base64.h"
#include "tools/control.h"
#include "tools/options.h"

#define SHORT 300 /* events */

struct request {
	struct tern_endpoint ends[2];
	const char *as;
	int width, utf8, colour;
};

static bool understand(json_t *params, struct request *r)
{
	const char *local = "", *remote = "";
	*r = (struct request){.as = "pcapng", .width = 100};
	return params &&
	       json_unpack(params, "{s:s, s:s, s?s, s?i, s?b, s?b}", "local", &local, "remote",
		       &remote, "as", &r->as, "width", &r->width, "utf8", &r->utf8, "colour",
		       &r->colour) == 0 &&
	       tern_endpoint_parse(local, &r->ends[0]) == 0 &&
	       tern_endpoint_parse(remote, &r->ends[1]) == 0 && r->width >= 80 && r->width <= 200;
}

/* How it ended, if it has: the last change of state. */
struct end {
	bool over;
	enum tern_tcp_state from;
	enum tern_cause cause;
	uint64_t at;
};

static void see_end(void *context, const struct tern_trace *t)
{
	struct end *end = context;
	if (t->kind == TERN_TRACE_STATE)
		*end = (struct end){t->state.to == TERN_TCP_CLOSED, t->state.from, t->state.cause,
			t->now};
}

static json_t *summary(const struct tern_recorder *recorder, const struct request *r)
{
	struct tern_recorder_info info = {0};
	struct end end = {0};
	size_t events = 0;
	if (recorder) {
		tern_recorder_info(recorder, &info);
		events = tern_recorder_replay(recorder, r->ends,
			(struct tern_trace_listener){see_end, &end});
	}
	json_t *all = json_pack("{s:I, s:I}", "bytes", (json_int_t)info.bytes, "events",
		(json_int_t)events);
	if (end.over)
		json_object_set_new(all, "ended",
			json_pack("{s:s, s:s, s:I}", "from", tern_tcp_state_name(end.from), "why",
				tern_cause_text(end.cause), "age_us",
				(json_int_t)((tern_host_now() - end.at) / 1000)));
	return all;
}

/* All of a file as a JSON string; NULL if it cannot be. */
static json_t *base64_of(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	size_t n = size > 0 ? (size_t)size : 0;
	uint8_t *bytes = malloc(n + 1);
	char *text = malloc(BASE64_ROOM(n));
	json_t *string = NULL;
	if (bytes && text && n && pread(fd, bytes, n, 0) == (ssize_t)n) {
		tern_base64_encode(bytes, n, text);
		string = json_string_nocheck(text);
	}
	free(bytes);
	free(text);
	return string;
}

static json_t *capture(const struct tern_recorder *recorder, const struct request *r)
{
	struct tern_pcapng_opts opts = {.epoch = tern_options_epoch()};
	int fd = memfd_create("record", MFD_CLOEXEC), other = fd >= 0 ? dup(fd) : -1;
	json_t *string = NULL;
	if (other >= 0 && tern_recorder_save(recorder, r->ends, other, &opts) >= 0)
		string = base64_of(fd);
	if (fd >= 0)
		close(fd);
	return string;
}

/* A short story is told whole: the end of a long exchange is what one looks for. */
static json_t *ladder(const struct tern_recorder *recorder, const struct request *r, size_t events)
{
	struct tern_ladder *l = tern_ladder_new(&(struct tern_ladder_opts){.connections = 8,
		.fold = events <= SHORT ? TERN_LADDER_FULL : 0});
	char *text = NULL;
	size_t n = 0;
	FILE *out = l ? open_memstream(&text, &n) : NULL;
	if (out) {
		struct tern_ladder_style style = {.width = (unsigned)r->width,
			.utf8 = r->utf8 ? TERN_LADDER_YES : TERN_LADDER_NO,
			.colour = r->colour ? TERN_LADDER_YES : TERN_LADDER_NO};
		tern_recorder_replay(recorder, r->ends, tern_ladder_listener(l));
		tern_ladder_print(l, out, &style);
		fclose(out);
	}
	json_t *string = text ? json_string(text) : NULL;
	free(text);
	tern_ladder_free(l);
	return string;
}

json_t *tern_control_record(void *context, json_t *params)
{
	const struct tern_recorder *recorder = context;
	struct request r;
	if (!understand(params, &r))
		return NULL;
	bool drawn = strcmp(r.as, "ladder") == 0, captured = strcmp(r.as, "pcapng") == 0;
	if (!drawn && !captured && strcmp(r.as, "summary") != 0)
		return NULL;
	json_t *all = summary(recorder, &r);
	size_t events = (size_t)json_integer_value(json_object_get(all, "events"));
	if (events == 0)
		return all;
	if (drawn)
		json_object_set_new(all, "ladder", ladder(recorder, &r, events));
	if (captured)
		json_object_set_new(all, "pcapng", capture(recorder, &r));
	return all;
}
