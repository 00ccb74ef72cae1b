/* `tern settings`: what --set may set, from the one list there is (settings.def). */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tern/setting.h>
#include <tern/stack.h>

#include "tools/commands.h"

static const struct setting {
	const char *name;
	int64_t otherwise, least, most;
	const char *text;
} settings[] = {
#define TERN_SETTING(name, otherwise, least, most, text) {#name, otherwise, least, most, text},
#include <tern/settings.def>
#undef TERN_SETTING
};
#define SETTINGS (sizeof settings / sizeof *settings)

static int usage(FILE *to)
{
	fputs("usage: tern settings [OPTION...] [WORD|NAME=VALUE...]\n\n"
	      "The settings that --set takes, with their defaults, their ranges and what they are; "
	      "with\n"
	      "WORDs, those whose names contain one of them. NAME=VALUE asks whether that may be "
	      "set.\n\n"
	      "  -H, --no-header  no header line\n"
	      "  -j, --json       an array of JSON\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

/* Whether each NAME=VALUE could be set; says which could not. */
static bool all_could_be_set(char **words)
{
	char why[TERN_SETTING_WHY];
	for (; *words; words++) {
		int err = strchr(*words, '=') ? tern_set_pair(NULL, *words) : 0;
		if (err != 0) {
			tern_setting_why(*words, err, why, sizeof why);
			fprintf(stderr, "settings: %s: %s\n", *words, why);
			return false;
		}
	}
	return true;
}

static bool asked_for(const struct setting *s, char **words)
{
	if (!*words)
		return true;
	for (; *words; words++) {
		const char *word = tern_setting_bare(*words);
		size_t len = strcspn(word, "=");
		if (word[len] ? strlen(s->name) == len && !memcmp(s->name, word, len)
			      : strstr(s->name, word) != NULL)
			return true;
	}
	return false;
}

static void show(const struct setting *s)
{
	char range[48];
	snprintf(range, sizeof range, "%" PRId64 "..%" PRId64, s->least, s->most);
	printf("%-25s %10" PRId64 "  %-17s  %s\n", s->name, s->otherwise, range, s->text);
}

static json_t *row(const struct setting *s)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:s}", "name", s->name, "default",
		(json_int_t)s->otherwise, "min", (json_int_t)s->least, "max", (json_int_t)s->most,
		"text", s->text);
}

/* How many there were. */
static unsigned list(char **words, bool header, json_t *rows)
{
	unsigned found = 0;
	for (size_t i = 0; i < SETTINGS; i++) {
		if (!asked_for(&settings[i], words))
			continue;
		if (rows)
			json_array_append_new(rows, row(&settings[i]));
		else if (found == 0 && header)
			printf("%-25s %10s  %-17s  %s\n", "Name", "Default", "Range", "What");
		if (!rows)
			show(&settings[i]);
		found++;
	}
	return found;
}

int tern_command_settings(int argc, char **argv)
{
	static const struct option options[] = {{"no-header", no_argument, NULL, 'H'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool header = true, as_json = false;
	for (int opt; (opt = getopt_long(argc, argv, "Hjh", options, NULL)) != -1;) {
		if (opt == 'h')
			return usage(stdout);
		if (opt != 'H' && opt != 'j')
			return usage(stderr);
		header &= opt != 'H';
		as_json |= opt == 'j';
	}
	if (!all_could_be_set(argv + optind))
		return EXIT_USAGE;
	json_t *rows = as_json ? json_array() : NULL;
	unsigned found = list(argv + optind, header, rows);
	if (rows) {
		json_dumpf(rows, stdout, JSON_COMPACT);
		printf("\n");
		json_decref(rows);
	}
	if (!found)
		fprintf(stderr, "settings: no name contains %s\n", argv[optind]);
	return found && fflush(stdout) == 0 ? 0 : 1;
}
