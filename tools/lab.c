/* `tern lab`: experiments on the stack in virtual time, told as stories. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/lab/lab.h"

static const struct experiment *const parts[] = {lab_layers, lab_door, lab_data, lab_close};
#define PARTS (sizeof parts / sizeof *parts)

static int usage(FILE *to)
{
	fputs("usage: tern lab list | NAME... | all [OPTION...]\n\n"
	      "Plays experiments on the stack itself, in virtual time, and tells what happens.\n"
	      "Exits with 1 if something was not as it should be.\n\n"
	      "  --set NAME=VALUE  a setting of both hosts, under Linux's name: what if?\n"
	      "  --lang en|zh      the language of the story (en)\n"
	      "  --pcap FILE       write the packets of the (one) experiment, as the server saw "
	      "them\n"
	      "  --realtime        tell it no faster than it happens\n"
	      "  --speed X         X times as fast as that\n"
	      "  --json            a line for each experiment, instead of the story\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

static const struct experiment *find(const char *name)
{
	for (size_t i = 0; i < PARTS; i++)
		for (const struct experiment *e = parts[i]; e->name; e++)
			if (strcmp(e->name, name) == 0)
				return e;
	return NULL;
}

static void list(bool zh)
{
	for (size_t i = 0; i < PARTS; i++)
		for (const struct experiment *e = parts[i]; e->name; e++)
			printf("%-22s %s\n", e->name, zh ? e->title.zh : e->title.en);
}

/* 0, 1 if it was not as it should be, 2 if it could not be set up. */
static int play(const struct experiment *e, const struct lab_opts *opts)
{
	static struct lab lab;
	int rc = EXIT_USAGE;
	if (lab_open(&lab, e, opts) == 0) {
		lab_title(&lab, e);
		e->play(&lab);
		rc = lab_verdict(&lab, e) ? 0 : 1;
	}
	lab_shut(&lab);
	return rc;
}

static int play_all(const struct lab_opts *opts)
{
	unsigned passed = 0, failed = 0;
	for (size_t i = 0; i < PARTS; i++)
		for (const struct experiment *e = parts[i]; e->name; e++) {
			int rc = play(e, opts);
			if (rc == EXIT_USAGE)
				return rc;
			rc ? failed++ : passed++;
		}
	if (!opts->json)
		printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

static int take_speed(struct lab_opts *opts, const char *text)
{
	char *end;
	opts->speed = strtod(text, &end);
	if (end != text && *end == '\0' && opts->speed >= 0.001 && opts->speed <= 1e6)
		return 0;
	return fprintf(stderr, "lab: --speed: wants a factor from 0.001 to 1000000\n"), -1;
}

static int parse(int argc, char **argv, struct lab_opts *opts)
{
	static const struct option options[] = {{"set", required_argument, NULL, 's'},
		{"lang", required_argument, NULL, 'l'}, {"pcap", required_argument, NULL, 'p'},
		{"json", no_argument, NULL, 'j'}, {"realtime", no_argument, NULL, 'r'},
		{"speed", required_argument, NULL, 'x'}, {"help", no_argument, NULL, 'h'}, {0}};
	int opt;
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (opt) {
		case 's':
			if (opts->setting_count == LAB_SETTINGS)
				return fprintf(stderr, "lab: too many settings\n"), -1;
			opts->settings[opts->setting_count++] = optarg;
			break;
		case 'l':
			opts->zh = strcmp(optarg, "zh") == 0;
			if (!opts->zh && strcmp(optarg, "en") != 0)
				return fprintf(stderr, "lab: --lang: en or zh\n"), -1;
			break;
		case 'p':
			opts->pcap = optarg;
			break;
		case 'j':
			opts->json = true;
			break;
		case 'r':
			opts->speed = opts->speed == 0 ? 1 : opts->speed;
			break;
		case 'x':
			if (take_speed(opts, optarg) != 0)
				return -1;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return -1;
		}
	if (optind == argc)
		return usage(stderr), -1;
	if (opts->json && opts->speed != 0)
		return fprintf(stderr, "lab: --json tells no story that could have a pace\n"), -1;
	return 1;
}

int tern_command_lab(int argc, char **argv)
{
	struct lab_opts opts = {0};
	int worst = 0, rc = parse(argc, argv, &opts);
	if (rc <= 0)
		return rc < 0 ? EXIT_USAGE : 0;
	char **names = argv + optind;
	bool all = strcmp(names[0], "all") == 0, listed = strcmp(names[0], "list") == 0;
	if ((all || listed) && names[1])
		return fprintf(stderr, "lab: \"%s\" goes with no other name\n", names[0]),
		       EXIT_USAGE;
	if (opts.pcap && (all || names[1]))
		return fprintf(stderr, "lab: --pcap takes one experiment\n"), EXIT_USAGE;
	if (listed)
		return list(opts.zh), 0;
	if (all)
		return play_all(&opts);
	for (; *names; names++) {
		const struct experiment *e = find(*names);
		if (!e)
			return fprintf(stderr, "lab: no experiment \"%s\"; see `tern lab list`\n",
				       *names),
			       EXIT_USAGE;
		rc = play(e, &opts);
		worst = rc > worst ? rc : worst;
	}
	return worst;
}
