/* tern script: runs packetdrill scripts against the stack, in virtual time. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/commands.h"
#include "tools/script/run.h"

static int usage(FILE *to)
{
	fputs("usage: tern script [-v] [--parse] [--lenient] [-D NAME=VALUE] [--tolerance US]\n"
	      "                   [--pcap FILE] [--so FILE [--so-flags FLAGS]] SCRIPT.pkt...\n"
	      "  -v              print each packet and call as it happens\n"
	      "  --parse         only read the scripts: says what could not be run\n"
	      "  --lenient       as packetdrill: packets that no line expects are no error, nor "
	      "is\n"
	      "                  PSH within a write\n"
	      "  -D NAME=VALUE   what a name in the scripts stands for; also --define\n"
	      "  --tolerance US  how far a packet may be off its time (default: the script's, or "
	      "4000)\n"
	      "  --pcap FILE     write the packets of the (one) script\n"
	      "  --so FILE       test a library with packetdrill's interface instead of tern\n"
	      "  --so-flags F    for the library\n",
		to);
	return 2;
}

/* A folder opens, and is found to be none only when it is read. */
static FILE *open_file(const char *path)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return stdin;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return NULL;
	}
	return fopen(path, "r");
}

static int run_file(const char *path, const struct script_opts *opts)
{
	FILE *file = open_file(path);
	if (!file) {
		fprintf(stderr, "script: %s: %s\n", path, strerror(errno));
		return 2;
	}
	struct script script;
	int status = 2;
	if (tern_script_parse(&script, path, file, opts->define) != 0)
		fprintf(stderr, "%s:%d: %s\n", path, script.error_line, script.error);
	else if (!script.events)
		fprintf(stderr, "script: %s: nothing in it to run\n", path);
	else
		status = opts->parse_only ? tern_script_review(&script, opts)
					  : tern_script_run(&script, opts);
	tern_script_free(&script);
	if (file != stdin)
		fclose(file);
	return status;
}

static bool parse_options(int argc, char **argv, struct script_opts *opts)
{
	static const struct option longs[] = {
		{"verbose", no_argument, NULL, 'v'},
		{"tolerance", required_argument, NULL, 't'},
		{"pcap", required_argument, NULL, 'p'},
		{"parse", no_argument, NULL, 'P'},
		{"lenient", no_argument, NULL, 'l'},
		{"define", required_argument, NULL, 'D'},
		{"so", required_argument, NULL, 's'},
		{"so-flags", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char *end;
	optind = 1;
	for (int c; (c = getopt_long(argc, argv, "vhD:", longs, NULL)) != -1;) {
		switch (c) {
		case 'v':
			opts->verbose = true;
			break;
		case 'p':
			opts->pcap = optarg;
			break;
		case 'l':
			opts->lenient = true;
			break;
		case 'D':
			if (!strchr(optarg, '=') || opts->defines == SCRIPT_DEFINES_MAX)
				return fprintf(stderr,
					       "script: -D: wants NAME=VALUE, at most %d times\n",
					       SCRIPT_DEFINES_MAX),
				       false;
			opts->define[opts->defines++] = optarg;
			break;
		case 'P':
			opts->parse_only = true;
			break;
		case 's':
			opts->so = optarg;
			break;
		case 'f':
			opts->so_flags = optarg;
			break;
		case 't':
			opts->tolerance = strtoll(optarg, &end, 10) * 1000;
			if (end == optarg || *end || opts->tolerance < 0)
				return fprintf(stderr, "script: --tolerance: wants microseconds\n"),
				       false;
			break;
		default:
			return false;
		}
	}
	if (*opts->so_flags && !opts->so)
		return fprintf(stderr, "script: --so-flags goes with --so\n"), false;
	if (opts->pcap && argc - optind > 1)
		return fprintf(stderr, "script: --pcap takes one script\n"), false;
	return optind < argc;
}

int tern_command_script(int argc, char **argv)
{
	struct script_opts opts = {.tolerance = -1, .so_flags = ""};
	unsigned passed = 0, failed = 0;
	int worst = 0;
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return 0;
	}
	if (argc == 1)
		fputs("script: wants a script\n", stderr);
	if (!parse_options(argc, argv, &opts))
		return usage(stderr);
	int files = argc - optind;
	for (char **path = argv + optind; *path; path++) {
		int status = run_file(*path, &opts);
		if (status > worst)
			worst = status;
		status ? failed++ : passed++;
	}
	if (files > 1)
		printf("%u passed, %u failed\n", passed, failed);
	return worst;
}
