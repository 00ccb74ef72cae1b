/* `tern ss`: the connections of a stack that runs, in the columns and with the letters of ss(8). */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/rows.h"

struct ss {
	const char *stack;
	bool tcp, udp, all, listening, options, processes, info, memory, header, json;
	json_t *owners; /* by connection: what stands in the last column */
};

static int usage(FILE *to)
{
	fputs("usage: tern ss [OPTION...]\n\n"
	      "TCP connections of a stack that runs (tern run, up, serve, fetch), as ss shows the\n"
	      "kernel's: all but listeners and those in TIME-WAIT, unless asked for.\n\n"
	      "  --stack NAME     which stack; without it, the only one that runs\n"
	      "  -a, --all        listeners, and connections in every state\n"
	      "  -l, --listening  listeners only: Recv-Q is what waits to be accepted, Send-Q the "
	      "backlog\n"
	      "  -o, --options    what each waits for, how long still, and since when it is\n"
	      "                   in its state\n"
	      "  -p, --processes  who has it, under tern run\n"
	      "  -i, --info       TCP's own view: round-trip time, congestion window, ...\n"
	      "  -m, --memory     buffers\n"
	      "  -H, --no-header  no header line\n"
	      "  -j, --json       an array of JSON, with all there is\n"
	      "  -u, --udp        UDP sockets; under tern run and up, those of the programs\n"
	      "  -t, --tcp        TCP, as without -u\n"
	      "  -n, --numeric    numbers: it is so anyway\n",
		to);
	return to == stdout ? 0 : EXIT_USAGE;
}

/* --- one of them -------------------------------------------------------------------------------
 */

static const char *const states[][2] = {{"ESTABLISHED", "ESTAB"}, {"SYN_RECEIVED", "SYN-RECV"},
	{"SYN_SENT", "SYN-SENT"}, {"FIN_WAIT_1", "FIN-WAIT-1"}, {"FIN_WAIT_2", "FIN-WAIT-2"},
	{"TIME_WAIT", "TIME-WAIT"}, {"CLOSE_WAIT", "CLOSE-WAIT"}, {"LAST_ACK", "LAST-ACK"},
	{"CLOSED", "UNCONN"}};

/* As ss writes it. */
static const char *state(json_t *c)
{
	const char *name = row_text(c, "state");
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(name, states[i][0]) == 0)
			return states[i][1];
	return name;
}

static bool is_udp(json_t *c)
{
	return strcmp(row_text(c, "netid"), "udp") == 0;
}

static bool wanted(const struct ss *s, json_t *c)
{
	const char *name = row_text(c, "state");
	bool listens = strcmp(name, "LISTEN") == 0 || strcmp(name, "UNCONN") == 0;
	if (s->all)
		return true;
	if (s->listening || listens)
		return s->listening && listens;
	return strcmp(name, "TIME_WAIT") != 0 && strcmp(name, "CLOSED") != 0;
}

static void show_time(int64_t us)
{
	int64_t ms = us / 1000;
	if (ms >= 60000)
		printf("%" PRId64 "min%" PRId64 "sec", ms / 60000, ms / 1000 % 60);
	else if (ms >= 1000)
		printf("%" PRId64 ".%03" PRId64 "sec", ms / 1000, ms % 1000);
	else
		printf("%" PRId64 "ms", ms);
}

static void show_timer(json_t *c)
{
	static const char *const names[][2] = {{"retransmit", "on"}, {"time-wait", "timewait"},
		{"fin-wait-2", "timewait"}};
	json_t *timer = json_object_get(c, "timer");
	const char *name = row_text(timer, "for");
	if (!timer)
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i][0]) == 0)
			name = names[i][1];
	printf(" timer:(%s,", name);
	show_time(row_number(timer, "left_us"));
	printf(",%" PRId64 ")", row_number(c, "timeouts"));
}

/* How long it has been where it is: of CLOSE-WAIT, how long its program has not closed it. */
static void show_age(json_t *c)
{
	printf(" since:");
	show_time(row_number(c, "state_s") * 1000000);
}

static void show_memory(json_t *c)
{
	printf(" mem:(r%" PRId64 ",rb%" PRId64 ",o%" PRId64 ",t%" PRId64 ",tb%" PRId64 ")",
		row_number(c, "unread"), row_number(c, "rcvbuf"), row_number(c, "out_of_order"),
		row_number(c, "unsent") + row_number(c, "unacked"), row_number(c, "sndbuf"));
}

/* As ss, segments, and only what there is of it. */
static void print_recovery(json_t *c, int64_t mss)
{
	static const char *const bytes[] = {"lost", "sacked"};
	for (unsigned i = 0; i < 2; i++)
		if (row_number(c, bytes[i]))
			printf(" %s:%" PRId64, bytes[i], (row_number(c, bytes[i]) + mss - 1) / mss);
	if (row_number(c, "duplicates"))
		printf(" dsack_dups:%" PRId64, row_number(c, "duplicates"));
	if (row_number(c, "reordering") > 3)
		printf(" reordering:%" PRId64, row_number(c, "reordering"));
	if (row_number(c, "min_rtt_us"))
		printf(" minrtt:%.3f", (double)row_number(c, "min_rtt_us") / 1000);
}

static void show_count(json_t *c, const char *name, const char *key)
{
	if (row_number(c, key))
		printf(" %s:%" PRId64, name, row_number(c, key));
}

static void show_ms(json_t *c, const char *name, const char *key)
{
	if (json_object_get(c, key))
		printf(" %s:%" PRId64, name, row_number(c, key) / 1000);
}

/* Of the time in which it was busy, a part, as ss shows it. */
static void show_limited(json_t *c, const char *name, const char *key)
{
	int64_t part = row_number(c, key), busy = row_number(c, "busy_us");
	if (part && busy)
		printf(" %s:%" PRId64 "ms(%.1f%%)", name, part / 1000,
			100.0 * (double)part / (double)busy);
}

/* What it has done so far: ss's words, in its order. */
static void show_tally(json_t *c)
{
	show_count(c, "bytes_sent", "bytes_sent");
	show_count(c, "bytes_retrans", "bytes_resent");
	show_count(c, "bytes_acked", "bytes_acked");
	show_count(c, "bytes_received", "bytes_received");
	show_count(c, "segs_out", "segments_out");
	show_count(c, "segs_in", "segments_in");
	show_count(c, "data_segs_out", "text_segments_out");
	show_count(c, "data_segs_in", "text_segments_in");
	show_ms(c, "lastsnd", "sent_us");
	show_ms(c, "lastrcv", "text_us");
	show_ms(c, "lastack", "heard_us");
	if (row_number(c, "pacing_rate"))
		printf(" pacing_rate %" PRId64 "bps", 8 * row_number(c, "pacing_rate"));
	if (row_number(c, "delivery_rate"))
		printf(" delivery_rate %" PRId64 "bps", 8 * row_number(c, "delivery_rate"));
	if (row_flag(c, "app_limited"))
		printf(" app_limited");
	if (row_number(c, "busy_us"))
		printf(" busy:%" PRId64 "ms", row_number(c, "busy_us") / 1000);
	show_limited(c, "rwnd_limited", "window_limited_us");
	show_limited(c, "sndbuf_limited", "buffer_limited_us");
	show_count(c, "rcv_ooopack", "beyond_holes");
}

static void show_info(json_t *c)
{
	int64_t mss = row_number(c, "mss"), cwnd = row_number(c, "cwnd");
	if (row_flag(c, "timestamps"))
		printf(" ts");
	if (row_flag(c, "sack"))
		printf(" sack");
	if (row_flag(c, "ecn"))
		printf(" ecn");
	printf(" %s", row_text(c, "congestion"));
	if (row_flag(c, "wscale"))
		printf(" wscale:%" PRId64 ",%" PRId64, row_number(c, "snd_wscale"),
			row_number(c, "rcv_wscale"));
	printf(" rto:%" PRId64, row_number(c, "rto_us") / 1000);
	if (row_number(c, "rtt_us"))
		printf(" rtt:%.3f/%.3f", (double)row_number(c, "rtt_us") / 1000,
			(double)row_number(c, "rttvar_us") / 1000);
	printf(" mss:%" PRId64, mss);
	if (row_number(c, "mss_before"))
		printf(" mss_before:%" PRId64, row_number(c, "mss_before"));
	if (row_number(c, "path_mtu"))
		printf(" pmtu:%" PRId64, row_number(c, "path_mtu"));
	printf(" cwnd:%" PRId64, mss ? cwnd / mss : 0);
	if (json_object_get(c, "ssthresh") && mss)
		printf(" ssthresh:%" PRId64, row_number(c, "ssthresh") / mss);
	if (row_number(c, "timeouts"))
		printf(" backoff:%" PRId64, row_number(c, "timeouts"));
	print_recovery(c, mss ? mss : 1);
	printf(" unacked:%" PRId64 " notsent:%" PRId64 " retrans:%" PRId64 " snd_wnd:%" PRId64
	       " rcv_wnd:%" PRId64,
		row_number(c, "unacked"), row_number(c, "unsent"), row_number(c, "retransmits"),
		row_number(c, "snd_wnd"), row_number(c, "rcv_wnd"));
	show_tally(c);
}

/* What is half-open, of how many, and for how long cookies that were sent are still good. */
static void show_door(json_t *c)
{
	printf("\tsyn:%" PRId64 "/%" PRId64, row_number(c, "half_open"),
		row_number(c, "half_open_limit"));
	if (row_number(c, "cookies_s"))
		printf(" cookies:%" PRId64 "s", row_number(c, "cookies_s"));
	printf("\n");
}

static const char *peer(json_t *c)
{
	const char *at = row_text(c, "remote");
	return *at == '\0' || strcmp(at, "*") == 0 ? "*:*" : at;
}

static void show_owners(const struct ss *s, json_t *c)
{
	json_t *owner, *all = row_owners(s->owners, c);
	size_t i;
	if (!all)
		return;
	printf(" users:(");
	json_array_foreach(all, i, owner)
	{
		printf("%s(\"%s\",pid=%" PRId64 ",fd=%" PRId64 ")", i ? "," : "",
			row_text(owner, "program"), row_number(owner, "pid"),
			row_number(owner, "fd"));
	}
	printf(")");
}

static void show(const struct ss *s, json_t *c)
{
	char room[ROW_LOCAL];
	bool listens = strcmp(row_text(c, "state"), "LISTEN") == 0;
	int64_t receive = listens ? row_number(c, "waiting") : row_unread(c);
	int64_t send =
		listens ? row_number(c, "backlog") : row_unsent(c) + row_number(c, "unacked");
	if (s->tcp && s->udp)
		printf("%-5s ", is_udp(c) ? "udp" : "tcp");
	printf("%-10s %-6" PRId64 " %-6" PRId64 " %21s %21s", state(c), receive, send,
		row_local(c, room), peer(c));
	if (s->processes)
		show_owners(s, c);
	if (s->options)
		show_timer(c);
	if (s->options && !listens && !is_udp(c))
		show_age(c);
	printf("\n");
	if (listens && s->info)
		show_door(c);
	if (listens || is_udp(c) || !(s->info || s->memory))
		return;
	printf("\t");
	if (s->memory)
		show_memory(c);
	if (s->info)
		show_info(c);
	printf("\n");
}

static int run(struct ss *s)
{
	json_t *all = json_array(), *shown = json_array(), *c;
	size_t i;
	char stack[CONTROL_PATH_MAX];
	int rc = s->tcp ? tern_rows_collect("ss", s->stack, all, stack) : 0;
	if (rc == 0 && s->udp)
		rc = tern_rows_collect_udp("ss", s->tcp ? stack : s->stack, all, stack);
	s->owners = rc == 0 && s->processes ? tern_rows_owners("ss", stack) : NULL;
	if (rc == 0 && s->header && !s->json)
		printf("%s%-10s %-6s %-6s %21s %21s\n", s->tcp && s->udp ? "Netid " : "", "State",
			"Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port");
	json_array_foreach(all, i, c)
	{
		if (rc != 0 || !wanted(s, c))
			continue;
		if (!s->json)
			show(s, c);
		else if (json_array_append(shown, c) == 0 && row_owners(s->owners, c))
			json_object_set(c, "owners", row_owners(s->owners, c));
	}
	if (rc == 0 && s->json) {
		json_dumpf(shown, stdout, JSON_COMPACT);
		printf("\n");
	}
	json_decref(s->owners);
	json_decref(shown);
	json_decref(all);
	return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int tern_command_ss(int argc, char **argv)
{
	static const struct option options[] = {{"stack", required_argument, NULL, 'S'},
		{"all", no_argument, NULL, 'a'}, {"listening", no_argument, NULL, 'l'},
		{"options", no_argument, NULL, 'o'}, {"processes", no_argument, NULL, 'p'},
		{"info", no_argument, NULL, 'i'}, {"memory", no_argument, NULL, 'm'},
		{"no-header", no_argument, NULL, 'H'}, {"json", no_argument, NULL, 'j'},
		{"tcp", no_argument, NULL, 't'}, {"udp", no_argument, NULL, 'u'},
		{"numeric", no_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct ss s = {.header = true};
	int opt;
	while ((opt = getopt_long(argc, argv, "alopimHjtunh", options, NULL)) != -1)
		switch (opt) {
		case 'S':
			s.stack = optarg;
			break;
		case 'a':
			s.all = true;
			break;
		case 'l':
			s.listening = true;
			break;
		case 'o':
			s.options = true;
			break;
		case 'p':
			s.processes = true;
			break;
		case 'i':
			s.info = true;
			break;
		case 'm':
			s.memory = true;
			break;
		case 'H':
			s.header = false;
			break;
		case 'j':
			s.json = true;
			break;
		case 't':
			s.tcp = true;
			break;
		case 'u':
			s.udp = true;
			break;
		case 'n':
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	if (optind < argc)
		return usage(stderr);
	s.tcp |= !s.udp;
	return run(&s);
}
