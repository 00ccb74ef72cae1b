/* `tern why`: why a connection does not move. See tools/why.h. */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/why.h"

#define TOLD_ALONE 3 /* of a kind; more are one sentence */
#define NOTHING    1 /* exit status */

struct why {
	struct why_record record; /* its stack is the one that was found */
	const char *stack;        /* NULL: the only one */
	const char *what[2];      /* CONN or PID; LOCAL and REMOTE; or nothing */
	int64_t pid;              /* 0: it is not about a process */
	json_t *rows, *owners, *json;
	struct why_case *cases; /* of the connections it is about */
	size_t count;
};

static int usage(FILE *to)
{
	fputs("usage: tern why [OPTION...] [CONN | LOCAL REMOTE | PID]\n\n"
	      "Why a connection of a stack that runs (tern run, up, serve, fetch) does not move, "
	      "in\n"
	      "plain words, with the numbers it is known from. Without an argument: every one\n"
	      "that is stuck.\n\n"
	      "  CONN             LOCAL-REMOTE, a port (8080 or :8080), or any part of "
	      "LOCAL-REMOTE as\n"
	      "                   tern ss shows them; each that fits is explained\n"
	      "  PID              all that this process holds, under tern run and up\n\n"
	      "  --stack NAME     which stack; without it, the only one that runs\n"
	      "  --pcap FILE      write what the flight recorder has of the connection, as pcapng\n"
	      "  --ladder         draw it\n"
	      "  -j, --json       one object of JSON\n\n"
	      "Exit status: 0 explained, 1 nothing such, 2 bad usage.\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

/* --- which --------------------------------------------------------------------------------------
 */

static bool listens(json_t *row)
{
	return strcmp(row_text(row, "state"), "LISTEN") == 0;
}

static const char *remote_of(json_t *row)
{
	return listens(row) ? "*:*" : row_text(row, "remote");
}

static const char *port_in(const char *endpoint)
{
	const char *colon = strrchr(endpoint, ':');
	return colon ? colon + 1 : "";
}

static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 10;
}

/* Whether a part stands in the text, not as a piece of a longer number. */
static bool contains(const char *text, const char *part)
{
	size_t n = strlen(part);
	if (n == 0)
		return false;
	for (const char *at = text; (at = strstr(at, part)); at++) {
		bool before = at > text && isdigit((unsigned char)at[-1]);
		bool after = isdigit((unsigned char)at[n]);
		if (!(before && isdigit((unsigned char)part[0])) &&
			!(after && isdigit((unsigned char)part[n - 1])))
			return true;
	}
	return false;
}

static bool fits(const struct why *w, json_t *row)
{
	char room[ROW_LOCAL], both[160];
	const char *local = row_local(row, room), *remote = remote_of(row), *what = w->what[0];
	if (w->what[1])
		return strcmp(local, what) == 0 && strcmp(remote, w->what[1]) == 0;
	const char *port = *what == ':' ? what + 1 : what;
	if (is_number(port))
		return strcmp(port_in(local), port) == 0 || strcmp(port_in(remote), port) == 0;
	snprintf(both, sizeof both, "%s-%s", local, remote);
	return contains(both, what);
}

static bool holds(json_t *owners, int64_t pid)
{
	json_t *owner;
	size_t i;
	json_array_foreach(owners, i, owner)
	{
		if (row_number(owner, "pid") == pid)
			return true;
	}
	return false;
}

/* The listener a connection came through, if it is one that counts. */
static json_t *listener_of(const struct why *w, json_t *row)
{
	json_t *other;
	size_t i;
	if (strcmp(row_text(row, "state"), "SYN_RECEIVED") != 0)
		return NULL;
	json_array_foreach(w->rows, i, other)
	{
		if (listens(other) && strcmp(port_in(row_text(other, "local")),
					      port_in(row_text(row, "local"))) == 0)
			return other;
	}
	return NULL;
}

/* A number is a process if that holds something, else a port. */
static void find_process(struct why *w)
{
	const char *key;
	json_t *owners;
	if (!w->what[0] || w->what[1] || !is_number(w->what[0]))
		return;
	int64_t pid = strtoll(w->what[0], NULL, 10);
	json_object_foreach(w->owners, key, owners)
	{
		if (holds(owners, pid))
			w->pid = pid;
	}
}

static int choose(struct why *w)
{
	json_t *row;
	size_t i;
	w->cases = calloc(json_array_size(w->rows) + 1, sizeof *w->cases);
	if (!w->cases)
		return fprintf(stderr, "why: out of memory\n"), -1;
	find_process(w);
	json_array_foreach(w->rows, i, row)
	{
		struct why_case *c = &w->cases[w->count];
		c->row = row;
		c->owners = row_owners(w->owners, row);
		if (w->pid ? !holds(c->owners, w->pid) : w->what[0] && !fits(w, row))
			continue;
		tern_why_explain(row, listener_of(w, row), &c->facts);
		if (w->what[0] || c->facts.fact[0].stuck)
			w->count++;
	}
	return 0;
}

/* --- telling ------------------------------------------------------------------------------------
 */

static void print_evidence(json_t *row, const struct why_fact *f)
{
	const char *gap = "    ";
	for (const char *const *name = f->evidence; *name; name++) {
		json_t *value = json_object_get(row, *name);
		if (json_is_integer(value))
			printf("%s%s=%" PRId64, gap, *name, (int64_t)json_integer_value(value));
		else if (json_is_string(value))
			printf("%s%s=%s", gap, *name, json_string_value(value));
		else if (json_is_boolean(value))
			printf("%s%s=%s", gap, *name, json_is_true(value) ? "yes" : "no");
		else if (json_is_object(value))
			printf("%s%s=%s,%" PRId64 "us", gap, *name, row_text(value, "for"),
				row_number(value, "left_us"));
		else
			continue;
		gap = " ";
	}
	printf("\n");
}

static void print_one(const struct why_case *c)
{
	char room[ROW_LOCAL], who[WHY_TEXT];
	printf("%s %s - %s", row_text(c->row, "state"), row_local(c->row, room), remote_of(c->row));
	if (*tern_why_holder(c->owners, who))
		printf(", held by %s", who);
	else if (row_flag(c->row, "orphan"))
		printf(", held by nobody");
	printf("\n");
	for (unsigned i = 0; i < c->facts.count; i++) {
		printf("  %s\n", c->facts.fact[i].says);
		print_evidence(c->row, &c->facts.fact[i]);
	}
}

/* Those alike from `from` on, up to `end`. */
static void print_many(const struct why_case *from, size_t n)
{
	char says[WHY_TEXT], room[ROW_LOCAL];
	const struct why_case *oldest = from;
	int64_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (from[i].facts.fact[0].age_us > oldest->facts.fact[0].age_us)
			oldest = &from[i];
		bytes += from[i].facts.fact[0].bytes;
	}
	tern_why_many(oldest, n, bytes, says);
	printf("%s\n  the oldest: %s %s - %s\n", says, row_text(oldest->row, "state"),
		row_local(oldest->row, room), remote_of(oldest->row));
	print_evidence(oldest->row, &oldest->facts.fact[0]);
}

static int by_kind(const void *a, const void *b)
{
	const struct why_case *x = a, *y = b;
	const struct why_fact *f = &x->facts.fact[0], *g = &y->facts.fact[0];
	char one[WHY_TEXT], other[WHY_TEXT];
	if (f->stuck != g->stuck)
		return f->stuck ? -1 : 1;
	if (f->cause != g->cause)
		return f->cause < g->cause ? -1 : 1;
	int order = strcmp(tern_why_holder(x->owners, one), tern_why_holder(y->owners, other));
	return order ? order : (f->age_us < g->age_us) - (f->age_us > g->age_us);
}

static void print_all(const struct why *w)
{
	for (size_t i = 0, n; i < w->count; i += n) {
		for (n = 1; i + n < w->count && tern_why_alike(&w->cases[i], &w->cases[i + n]); n++)
			;
		if (n > TOLD_ALONE)
			print_many(&w->cases[i], n);
		for (size_t k = 0; n <= TOLD_ALONE && k < n; k++)
			print_one(&w->cases[i + k]);
	}
}

static json_t *to_json(const struct why_case *c)
{
	json_t *all = json_deep_copy(c->row), *why = json_array();
	if (c->owners)
		json_object_set(all, "owners", c->owners);
	for (unsigned i = 0; i < c->facts.count; i++) {
		const struct why_fact *f = &c->facts.fact[i];
		json_t *evidence = json_object();
		for (const char *const *name = f->evidence; *name; name++)
			if (row_has(c->row, *name))
				json_object_set(evidence, *name, json_object_get(c->row, *name));
		json_array_append_new(why,
			json_pack("{s:s, s:b, s:s, s:o}", "cause", tern_why_name(f->cause), "stuck",
				(int)f->stuck, "says", f->says, "evidence", evidence));
	}
	json_object_set_new(all, "why", why);
	return all;
}

static void tell(struct why *w)
{
	qsort(w->cases, w->count, sizeof *w->cases, by_kind);
	if (!w->record.json) {
		print_all(w);
		return;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < w->count; i++)
		json_array_append_new(list, to_json(&w->cases[i]));
	json_object_set_new(w->json, "connections", list);
}

/* --- what is not there, or no more
 * ---------------------------------------------------------------- */

/* LOCAL-REMOTE of a connection that has ended: the recorder may know it. */
static int tell_gone(struct why *w)
{
	char local[80], remote[80];
	struct tern_endpoint end;
	const char *what = w->what[0], *dash = what ? strchr(what, '-') : NULL;
	if (w->what[1]) {
		snprintf(local, sizeof local, "%s", what);
		snprintf(remote, sizeof remote, "%s", w->what[1]);
	} else if (dash && dash - what < (ptrdiff_t)sizeof local) {
		snprintf(local, sizeof local, "%.*s", (int)(dash - what), what);
		snprintf(remote, sizeof remote, "%s", dash + 1);
	} else {
		return NOTHING;
	}
	if (tern_endpoint_parse(local, &end) != 0 || tern_endpoint_parse(remote, &end) != 0)
		return NOTHING;
	return tern_why_record(&w->record, local, remote, true, w->json);
}

static int tell_nothing(struct why *w)
{
	int rc = tell_gone(w);
	if (rc != NOTHING)
		return rc < 0 ? NOTHING : 0;
	if (!w->what[0] && !w->record.json)
		printf("nothing is stuck (connections and listeners: %zu)\n",
			json_array_size(w->rows));
	else if (w->what[0])
		fprintf(stderr,
			"why: stack \"%s\": no connection %s%s%s, and no process that has one\n",
			w->record.stack, w->what[0], w->what[1] ? " " : "",
			w->what[1] ? w->what[1] : "");
	return NOTHING;
}

/* The recorder is asked about one connection. */
static int tell_record(struct why *w)
{
	const struct why_case *one = NULL;
	size_t n = 0;
	if (!w->record.pcap && !w->record.ladder)
		return 0;
	for (size_t i = 0; i < w->count; i++)
		if (!listens(w->cases[i].row)) {
			one = &w->cases[i];
			n++;
		}
	if (n != 1) {
		fprintf(stderr, "why: --pcap and --ladder are about one connection; here are %zu\n",
			n);
		return NOTHING;
	}
	return tern_why_record(&w->record, row_text(one->row, "local"),
		       row_text(one->row, "remote"), false, w->json)
		       ? NOTHING
		       : 0;
}

static int run(struct why *w)
{
	char stack[CONTROL_PATH_MAX];
	int rc = NOTHING;
	w->rows = json_array();
	w->json = json_object();
	if (tern_rows_collect("why", w->stack, w->rows, stack) == 0) {
		w->record.stack = stack;
		w->owners = tern_rows_owners("why", stack);
		json_object_set_new(w->json, "stack", json_string(stack));
		if (choose(w) == 0) {
			tell(w);
			rc = w->count ? tell_record(w) : tell_nothing(w);
			if (w->record.json) {
				json_dumpf(w->json, stdout, JSON_COMPACT);
				printf("\n");
			}
		}
	}
	free(w->cases);
	json_decref(w->owners);
	json_decref(w->rows);
	json_decref(w->json);
	return fflush(stdout) == 0 ? rc : NOTHING;
}

int tern_command_why(int argc, char **argv)
{
	static const struct option options[] = {{"stack", required_argument, NULL, 'S'},
		{"pcap", required_argument, NULL, 'w'}, {"ladder", no_argument, NULL, 'L'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct why w = {0};
	int opt;
	while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1)
		switch (opt) {
		case 'S':
			w.stack = optarg;
			break;
		case 'w':
			w.record.pcap = optarg;
			break;
		case 'L':
			w.record.ladder = true;
			break;
		case 'j':
			w.record.json = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	if (argc - optind > 2)
		return usage(stderr);
	for (int i = optind; i < argc; i++) {
		w.what[i - optind] = argv[i];
		if (*argv[i] == '\0')
			return usage(stderr);
	}
	if (!w.what[0] && (w.record.pcap || w.record.ladder)) {
		fprintf(stderr, "why: --pcap and --ladder want a connection\n");
		return EXIT_USAGE;
	}
	return run(&w);
}
