/* `tern nstat`: the counters of a stack that runs, as nstat(8) shows the kernel's. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/control.h"

struct nstat {
	const char *stack; /* NULL: the only one */
	bool absolute, zeros, drops, json, reset, keep;
	char **patterns; /* what names must begin with or contain; ended by NULL */
};

static int usage(FILE *to)
{
	fputs("usage: tern nstat [OPTION...] [WORD...]\n\n"
	      "Counters of a stack that runs (tern run, up, serve, fetch), under Linux's names, "
	      "and "
	      "what\n"
	      "they gained since they were last looked at. WORD: only names that contain one.\n\n"
	      "  --stack NAME    which stack; without it, the only one that runs\n"
	      "  -a, --absolute  since the stack began\n"
	      "  -z, --zeros     also those that are 0\n"
	      "  -d, --drops     why segments and packets were dropped\n"
	      "  -r, --reset     look at all of it, and forget what was seen before\n"
	      "  -s, --noupdate  do not remember that this was looked at\n"
	      "  -j, --json      one object of JSON\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

static bool wanted(const struct nstat *n, const char *name)
{
	for (char **p = n->patterns; *p; p++)
		if (strstr(name, *p))
			return true;
	return !*n->patterns;
}

/* --- what was seen before ------------------------------------------------------------------ */

/* Kept beside the stack's socket, with the pid of the stack it was about. */
static json_t *history(const char *path, json_int_t pid)
{
	json_int_t of = 0;
	json_t *all = json_load_file(path, 0, NULL), *values = NULL;
	if (all && json_unpack(all, "{s:I, s:o}", "pid", &of, "values", &values) == 0 && of == pid)
		json_incref(values);
	else
		values = json_object();
	json_decref(all);
	return values;
}

static int remember(const char *path, json_int_t pid, json_t *values)
{
	json_t *all = json_pack("{s:I, s:O}", "pid", pid, "values", values);
	int rc = all ? json_dump_file(all, path, JSON_COMPACT) : -1;
	json_decref(all);
	if (rc != 0)
		fprintf(stderr, "nstat: %s: %s\n", path, strerror(errno));
	return rc;
}

/* --- showing --------------------------------------------------------------------------------- */

static void show(const struct nstat *n, const char *stack, json_t *now, json_t *before)
{
	json_t *shown = json_object(), *value;
	const char *name;
	json_object_foreach(now, name, value)
	{
		json_int_t gained = json_integer_value(value);
		if (!n->absolute)
			gained -= json_integer_value(json_object_get(before, name));
		if (wanted(n, name) && (gained || n->zeros))
			json_object_set_new(shown, name, json_integer(gained));
	}
	if (n->json) {
		json_t *all = json_pack("{s:O}", stack, shown);
		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(all);
	} else {
		printf("#tern.%s\n", stack);
		json_object_foreach(shown, name, value)
			printf("%-32s%" PRId64 "\n", name, (int64_t)json_integer_value(value));
	}
	json_decref(shown);
}

static int run(const struct nstat *n)
{
	char stack[CONTROL_PATH_MAX], path[CONTROL_PATH_MAX], why[200];
	const char *method = n->drops ? "drops" : "counters";
	json_int_t pid = 0;
	int rc = 1;
	json_t *version = tern_control_ask("nstat", n->stack, "version", NULL, stack);
	if (!version)
		return 1;
	json_unpack(version, "{s:I}", "pid", &pid);
	json_t *now = tern_control_ask("nstat", stack, method, NULL, NULL);
	if (now && tern_control_path(path, stack, method, why, sizeof why) != 0)
		fprintf(stderr, "nstat: %s\n", why);
	else if (now) {
		json_t *before = n->reset ? json_object() : history(path, pid);
		show(n, stack, now, before);
		rc = n->keep ? 0 : remember(path, pid, now) != 0;
		json_decref(before);
	}
	json_decref(now);
	json_decref(version);
	return fflush(stdout) == 0 ? rc : 1;
}

int tern_command_nstat(int argc, char **argv)
{
	static const struct option options[] = {{"stack", required_argument, NULL, 'S'},
		{"absolute", no_argument, NULL, 'a'}, {"zeros", no_argument, NULL, 'z'},
		{"drops", no_argument, NULL, 'd'}, {"reset", no_argument, NULL, 'r'},
		{"noupdate", no_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct nstat n = {0};
	int opt;
	while ((opt = getopt_long(argc, argv, "azdrsjh", options, NULL)) != -1)
		switch (opt) {
		case 'S':
			n.stack = optarg;
			break;
		case 'a':
			n.absolute = true;
			break;
		case 'z':
			n.zeros = true;
			break;
		case 'd':
			n.drops = true;
			break;
		case 'r':
			n.reset = true;
			break;
		case 's':
			n.keep = true;
			break;
		case 'j':
			n.json = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	n.patterns = argv + optind;
	return run(&n);
}
