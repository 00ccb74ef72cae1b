#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"

#ifndef TERN_VERSION
#define TERN_VERSION "0.1.0"
#endif

static const struct command {
	const char *name, *text;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", "run a program on tern's TCP", tern_command_run},
	{"up", "keep a stack running that programs share", tern_command_up},
	{"down", "end one that is up", tern_command_down},
	{"ls", "list the stacks that run", tern_command_ls},
	{"fetch", "download a URL over tern's TCP", tern_command_fetch},
	{"serve", "serve a directory over tern's TCP", tern_command_serve},
	{"lab", "experiments, told as stories, in virtual time", tern_command_lab},
	{"nstat", "show the counters of a stack that runs", tern_command_nstat},
	{"settings", "list what --set may set", tern_command_settings},
	{"ss", "show the connections of a stack that runs", tern_command_ss},
	{"why", "why a connection of a stack that runs does not move", tern_command_why},
	{"wire", "join two TAPs by an impaired wire", tern_command_wire},
	{"script", "run a packetdrill script in virtual time", tern_command_script},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *out)
{
	fprintf(out, "usage: tern COMMAND [ARGUMENT...]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].text);
	fprintf(out, "\n`tern COMMAND --help` says more; the man pages are tern(1) and "
		     "tern-COMMAND(1).\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	static char help[] = "--help";
	const char *name = argv[1];
	if (argc == 3 && strcmp(name, "help") == 0) { /* tern help COMMAND */
		name = argv[1] = argv[2];
		argv[2] = help;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("tern " TERN_VERSION);
		return 0;
	}
	/* The stack takes memory in slabs of 64 KiB and gives them back: not to the kernel each
	 * time. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of a write, no more */
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "tern: no command \"%s\"; see `tern --help`\n", name);
	return EXIT_USAGE;
}
