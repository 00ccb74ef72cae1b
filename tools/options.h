/*
 * What run, up, fetch and serve have in common: where the stack lives and what is recorded of it.
 *
 *	struct options o;
 *	tern_options_init(&o, "fetch");
 *	while ((opt = getopt_long(argc, argv, "...", (struct option[]){OPTIONS_LONG, ...})) != -1)
 *		if (tern_options_take(&o, opt, optarg) < 0)
 *			return EXIT_USAGE;
 *	struct tern_host *host = tern_options_open(&o);
 *	...
 *	rc = tern_options_close(&o, stdout);
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <getopt.h>
#include <stdio.h>
#include <tern/host.h>
#include <tern/ladder.h>
#include <tern/pcapng.h>
#include <tern/recorder.h>
#include <tern/tee.h>

#include "tools/control.h"
#include "tools/record.h"

/* Values of getopt_long for options without a letter. */
enum {
	OPTION_TAP = 256,
	OPTION_TUN,
	OPTION_ADDR,
	OPTION_KERNEL_ADDR,
	OPTION_GATEWAY,
	OPTION_MTU,
	OPTION_NO_OFFLOAD,
	OPTION_IMPAIR,
	OPTION_SEED,
	OPTION_SET,
	OPTION_BUDGET,
	OPTION_COOKIE_KEY,
	OPTION_NAME,
	OPTION_PCAP,
	OPTION_LADDER,
	OPTION_RECORDER,
	OPTION_RECORD,
	OPTION_OWN, /* the commands' own begin here */
};

#define OPTIONS_LONG                                                                               \
	{"tap", required_argument, NULL, OPTION_TAP},                                              \
		{"tun", required_argument, NULL, OPTION_TUN},                                      \
		{"addr", required_argument, NULL, OPTION_ADDR},                                    \
		{"kernel-addr", required_argument, NULL, OPTION_KERNEL_ADDR},                      \
		{"gateway", required_argument, NULL, OPTION_GATEWAY},                              \
		{"mtu", required_argument, NULL, OPTION_MTU},                                      \
		{"no-offload", no_argument, NULL, OPTION_NO_OFFLOAD},                              \
		{"impair", required_argument, NULL, OPTION_IMPAIR},                                \
		{"seed", required_argument, NULL, OPTION_SEED},                                    \
		{"set", required_argument, NULL, OPTION_SET},                                      \
		{"budget", required_argument, NULL, OPTION_BUDGET},                                \
		{"name", required_argument, NULL, OPTION_NAME},                                    \
		{"cookie-key", required_argument, NULL, OPTION_COOKIE_KEY},                        \
		{"pcap", required_argument, NULL, OPTION_PCAP},                                    \
		{"recorder", required_argument, NULL, OPTION_RECORDER},                            \
		{"record", required_argument, NULL, OPTION_RECORD},                                \
	{                                                                                          \
		"ladder", optional_argument, NULL, OPTION_LADDER                                   \
	}

/* Their lines for --help; of tern run, and of tern up, which has its name without --name. */
extern const char tern_options_help[], tern_options_help_run[], tern_options_help_up[];

/* What is no address, no address and length of a prefix, or cannot be a stack's name is told at
 * once on stderr, as "command: what: ...": 1, or -1 for bad usage. */
int tern_options_address(const char *command, const char *what, const char *value);
int tern_options_cidr(const char *command, const char *what, const char *value);
int tern_options_name(const char *command, const char *what, const char *name);

#define OPTIONS_SETTINGS_MAX 32

struct options {
	const char *command; /* for messages */
	char device[300];
	const char *addr;
	struct tern_host_opts host;
	const char *settings[OPTIONS_SETTINGS_MAX]; /* "name=value" */
	unsigned settings_count;
	bool cookie_shared;
	uint8_t cookie_key[16];
	const char *name;    /* what others call the stack; NULL: command and pid */
	char given_name[64]; /* that */
	const char *pcap_path;
	uint32_t ladder_connections; /* 0: no ladder */
	uint64_t recorder_bytes;     /* 0: no flight recorder */
	const char *record_dir;      /* NULL: none */
	bool complained;             /* about a setting, while opening */
	/* What is open. */
	struct tern_host *tern;
	struct tern_control *control;
	struct tern_pcapng *pcap;
	struct tern_ladder *ladder;
	struct tern_recorder *recorder;
	struct record *record;
	struct tern_tee tee;
};

void tern_options_init(struct options *o, const char *command);
/* Takes an option: 1, 0 if it is none of the common ones, -1 after saying what is wrong with it. */
int tern_options_take(struct options *o, int option, const char *value);
/* Opens the host and the recorders; NULL after saying why. */
struct tern_host *tern_options_open(struct options *o);
/* Tells who records of the stack's interfaces: again when one was added, before its first frame,
 * which is not before the next turn of the loop. */
void tern_options_describe(struct options *o);
/* Ends the recording: writes the capture, prints the ladder, says what failed. 0, or -1 if the
 * capture is incomplete. */
int tern_options_record(struct options *o, FILE *ladder_out);
/* The same, and closes the host. */
int tern_options_close(struct options *o, FILE *ladder_out);

/* Nanoseconds from 1970 to the zero of the loop's clock. */
uint64_t tern_options_epoch(void);
/* A whole number from min to max; -1 after saying that it is none. */
int tern_options_number(const struct options *o, const char *name, const char *text, uint64_t min,
	uint64_t max, uint64_t *out);

/* Makes SIGINT and SIGTERM stop the host; a second one ends the program at once. */
void tern_options_stop_on_signal(struct tern_host *host);
/* The signal that did, or 0. */
int tern_options_signal(void);

#endif
