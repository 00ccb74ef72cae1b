/* `tern ls`: the stacks of this user's that run. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/control.h"

static int usage(FILE *to)
{
	fputs("usage: tern ls [OPTION...]\n\n"
	      "The stacks of this user's that run (tern up, run, serve, fetch): what tern ss and "
	      "nstat\n"
	      "take as --stack, and, of those that are up, tern run too.\n\n"
	      "  -v, --verbose    of those that are up, the programs on them\n"
	      "  -H, --no-header  no header line\n"
	      "  -j, --json       an array of JSON\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

static int64_t number(json_t *of, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(of, name));
}

static const char *text(json_t *of, const char *name)
{
	const char *s = json_string_value(json_object_get(of, name));
	return s ? s : "";
}

static void show(json_t *stack, bool verbose)
{
	json_t *programs = json_object_get(stack, "programs"), *p;
	char count[24] = "-";
	size_t i;
	if (programs)
		snprintf(count, sizeof count, "%zu", json_array_size(programs));
	printf("%-20s %-7s %8" PRId64 "  %-18s %-15s %8s %11" PRId64 "\n", text(stack, "name"),
		text(stack, "command"), number(stack, "pid"), text(stack, "address"),
		text(stack, "device"), count, number(stack, "connections"));
	if (!verbose)
		return;
	json_array_foreach(programs, i, p)
	{
		printf("  %s (pid %" PRId64 "): %" PRId64 " connect, %" PRId64 " accept, %" PRId64
		       " calls\n",
			text(p, "command"), number(p, "pid"), number(p, "connects"),
			number(p, "accepts"), number(p, "calls"));
	}
}

/* All about one stack, or NULL if it has just ended. */
static json_t *look_at(const char *name)
{
	json_t *about = tern_control_ask("ls", name, "stack", NULL, NULL);
	json_t *memory = about ? tern_control_ask("ls", name, "memory", NULL, NULL) : NULL;
	if (!memory) {
		json_decref(about);
		return NULL;
	}
	json_object_set_new(about, "name", json_string(name));
	json_object_set(about, "connections", json_object_get(memory, "connections"));
	json_decref(memory);
	if (strcmp(text(about, "command"), "up") != 0)
		return about;
	json_t *programs = tern_control_ask("ls", name, "programs", NULL, NULL);
	json_object_update(about, programs);
	json_decref(programs);
	return about;
}

int tern_command_ls(int argc, char **argv)
{
	static const struct option options[] = {{"verbose", no_argument, NULL, 'v'},
		{"no-header", no_argument, NULL, 'H'}, {"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'}, {0}};
	bool verbose = false, header = true, as_json = false;
	int opt;
	while ((opt = getopt_long(argc, argv, "vHjh", options, NULL)) != -1)
		switch (opt) {
		case 'v':
			verbose = true;
			break;
		case 'H':
			header = false;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	if (optind < argc)
		return usage(stderr);
	json_t *names = tern_control_stacks("ls"), *shown = json_array(), *name, *stack;
	size_t i;
	if (!names)
		return 1;
	json_array_foreach(names, i, name)
	{
		json_array_append_new(shown, look_at(json_string_value(name)));
	}
	if (as_json) {
		json_dumpf(shown, stdout, JSON_COMPACT);
		printf("\n");
	} else if (header) {
		printf("%-20s %-7s %8s  %-18s %-15s %8s %11s\n", "Name", "Command", "Pid",
			"Address", "Device", "Programs", "Connections");
	}
	json_array_foreach(shown, i, stack)
	{
		if (!as_json)
			show(stack, verbose);
	}
	json_decref(shown);
	json_decref(names);
	return fflush(stdout) == 0 ? 0 : 1;
}
