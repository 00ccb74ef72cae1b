#include "tools/options.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <tern/setting.h>
#include <time.h>
#include <unistd.h>

#define RECORDER_BYTES (4u << 20)

#define GIVEN                                                                                      \
	"  --kernel-addr A/P      address to give to the kernel's end (10.77.0.1/24 with tern's "  \
	"own\n"                                                                                    \
	"                         address and a TAP that is made; else left as it is)\n"
#define WHERE                                                                                      \
	"  --tap NAME[@NETNS]     the TAP tern lives on; made if it is not there (tern0)\n"        \
	"  --tun NAME[@NETNS]     a TUN instead: bare IP packets\n"                                \
	"  --addr ADDRESS/PREFIX  tern's address (10.77.0.2/24)\n"
#define KIND                                                                                       \
	"  --gateway ADDRESS      default route\n"                                                 \
	"  --mtu N                bytes of IP in a frame (as the interface has it)\n"              \
	"  --no-offload           no checksum and segmentation offload\n"                          \
	"  --impair SPEC          impair both directions; see tern-wire(1)\n"                      \
	"  --seed N               seed of the impairment (1)\n"                                    \
	"  --set NAME=VALUE       a setting under Linux's name, e.g. tcp_fin_timeout=10\n"         \
	"  --budget MIB           memory the stack may hold (64)\n"
#define RECORDED                                                                                   \
	"  --cookie-key FILE      make SYN cookies with this key (32 hex digits): stacks that "    \
	"share\n"                                                                                  \
	"                         it and the time answer for each other\n"                         \
	"  --pcap FILE            write a pcapng capture with comments\n"                          \
	"  --ladder[=N]           print the first N connections (1) as ladders at the end\n"       \
	"  --recorder BYTES       memory of what happened lately, for tern why (4M; 0: none)\n"    \
	"  --record DIR           a capture there of each connection that is reset or times out\n"

#define NAMED "  --name NAME            what tern ss, nstat and why call the stack (command.pid)\n"
#define LEFT  "  --kernel-addr A/P      address to give to the kernel's end (left as it is)\n"

const char tern_options_help[] = WHERE LEFT KIND NAMED RECORDED;
const char tern_options_help_run[] = WHERE GIVEN KIND NAMED RECORDED;
const char tern_options_help_up[] = WHERE GIVEN KIND RECORDED;

void tern_options_init(struct options *o, const char *command)
{
	memset(o, 0, sizeof *o);
	o->command = command;
	o->addr = "10.77.0.2/24";
	o->host.impair_seed = 1;
	o->recorder_bytes = RECORDER_BYTES;
	strcpy(o->device, "tap:tern0");
}

int tern_options_number(const struct options *o, const char *name, const char *text, uint64_t min,
	uint64_t max, uint64_t *out)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && v >= min && v <= max) {
		*out = v;
		return 1;
	}
	fprintf(stderr, "%s: %s: \"%s\" is not a number from %" PRIu64 " to %" PRIu64 "\n",
		o->command, name, text, min, max);
	return -1;
}

static int take_device(struct options *o, const char *kind, const char *name)
{
	int n = snprintf(o->device, sizeof o->device, "%s:%s", kind, name);
	if (n < (int)sizeof o->device)
		return 1;
	fprintf(stderr, "%s: --%s: name too long\n", o->command, kind);
	return -1;
}

int tern_options_address(const char *command, const char *what, const char *value)
{
	struct tern_addr addr;
	if (tern_addr_parse(value, &addr) == 0)
		return 1;
	fprintf(stderr, "%s: %s: \"%s\" is not an address\n", command, what, value);
	return -1;
}

int tern_options_cidr(const char *command, const char *what, const char *value)
{
	struct tern_addr addr;
	unsigned prefix_len;
	if (tern_cidr_parse(value, &addr, &prefix_len) == 0)
		return 1;
	fprintf(stderr, "%s: %s: \"%s\" is not an address and the length of its prefix\n", command,
		what, value);
	return -1;
}

int tern_options_name(const char *command, const char *what, const char *name)
{
	char why[200];
	if (tern_control_name_check(name, why, sizeof why) == 0)
		return 1;
	fprintf(stderr, "%s: %s: %s\n", command, what, why);
	return -1;
}

static int take_impair(struct options *o, const char *value)
{
	struct tern_impair_spec spec;
	char why[160];
	o->host.impair = value;
	if (tern_impair_parse(value, &spec, why, sizeof why) == 0)
		return 1;
	fprintf(stderr, "%s: --impair: %s\n", o->command, why);
	return -1;
}

/* stack NULL: only says what would be wrong. */
static int set_one(const struct options *o, struct tern_stack *stack, const char *setting)
{
	char why[TERN_SETTING_WHY];
	int rc = tern_set_pair(stack, setting);
	if (rc != 0) {
		tern_setting_why(setting, rc, why, sizeof why);
		fprintf(stderr, "%s: --set %s: %s\n", o->command, setting, why);
	}
	return rc;
}

static int take_setting(struct options *o, const char *value)
{
	if (strchr(value, '=') && o->settings_count < OPTIONS_SETTINGS_MAX) {
		o->settings[o->settings_count++] = value;
		return set_one(o, NULL, value) == 0 ? 1 : -1; /* before anything is opened */
	}
	fprintf(stderr, "%s: --set: wants NAME=VALUE, at most %d times\n", o->command,
		OPTIONS_SETTINGS_MAX);
	return -1;
}

/* 32 hexadecimal digits, and nothing else but blanks around them. */
static int take_cookie_key(struct options *o, const char *path)
{
	char text[80] = "", digits[33], more;
	FILE *file = fopen(path, "re");
	if (!file) {
		fprintf(stderr, "%s: --cookie-key %s: %s\n", o->command, path, strerror(errno));
		return -1;
	}
	size_t n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	if (n == sizeof text - 1 || sscanf(text, " %32[0-9a-fA-F] %c", digits, &more) != 1 ||
		strlen(digits) != 32) {
		fprintf(stderr, "%s: --cookie-key %s: wants 32 hexadecimal digits\n", o->command,
			path);
		return -1;
	}
	for (unsigned i = 0; i < 16; i++)
		sscanf(digits + 2 * i, "%2hhx", &o->cookie_key[i]);
	o->cookie_shared = true;
	return 1;
}

/* Bytes, or with K, M or G so many times more; 0 is none. */
static int take_recorder(struct options *o, const char *value)
{
	static const char units[] = "KMG";
	char *end;
	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (unit && end[1] == '\0' && n <= TERN_RECORDER_BYTES_MAX) {
		n <<= 10 * (unit - units + 1);
		end++;
	}
	o->recorder_bytes = n;
	if (errno == 0 && *value >= '0' && *value <= '9' && *end == '\0' &&
		(n == 0 || (n >= TERN_RECORDER_BYTES_MIN && n <= TERN_RECORDER_BYTES_MAX)))
		return 1;
	fprintf(stderr, "%s: --recorder: \"%s\" is not 0, nor a size from 64K to 1G\n", o->command,
		value);
	return -1;
}

static int check_record(const struct options *o)
{
	if (!o->record_dir || o->recorder_bytes)
		return 1;
	fprintf(stderr, "%s: --record: not with --recorder 0: it writes what the recorder has\n",
		o->command);
	return -1;
}

int tern_options_take(struct options *o, int option, const char *value)
{
	uint64_t n = 1;
	int rc;
	switch (option) {
	case OPTION_TAP:
		return take_device(o, "tap", value);
	case OPTION_TUN:
		return take_device(o, "tun", value);
	case OPTION_ADDR:
		o->addr = value;
		return tern_options_cidr(o->command, "--addr", value);
	case OPTION_KERNEL_ADDR:
		o->host.device.kernel_addr = value;
		return tern_options_cidr(o->command, "--kernel-addr", value);
	case OPTION_GATEWAY:
		o->host.gateway = value;
		return tern_options_address(o->command, "--gateway", value);
	case OPTION_MTU:
		rc = tern_options_number(o, "--mtu", value, 68, 65535, &n);
		o->host.device.mtu = (uint32_t)n;
		return rc;
	case OPTION_NO_OFFLOAD:
		o->host.device.no_offload = true;
		return 1;
	case OPTION_IMPAIR:
		return take_impair(o, value);
	case OPTION_SEED:
		return tern_options_number(o, "--seed", value, 0, UINT64_MAX, &o->host.impair_seed);
	case OPTION_SET:
		return take_setting(o, value);
	case OPTION_BUDGET:
		rc = tern_options_number(o, "--budget", value, 1, 1u << 20, &n);
		o->host.budget = (size_t)n << 20;
		return rc;
	case OPTION_NAME:
		o->name = value;
		return tern_options_name(o->command, "--name", value);
	case OPTION_COOKIE_KEY:
		return take_cookie_key(o, value);
	case OPTION_PCAP:
		o->pcap_path = value;
		return 1;
	case OPTION_LADDER:
		rc = value ? tern_options_number(o, "--ladder", value, 1, 1024, &n) : 1;
		o->ladder_connections = (uint32_t)n;
		return rc;
	case OPTION_RECORDER:
		rc = take_recorder(o, value);
		return rc > 0 ? check_record(o) : rc;
	case OPTION_RECORD:
		o->record_dir = value;
		return check_record(o);
	default:
		return 0;
	}
}

uint64_t tern_options_epoch(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec - tern_host_now();
}

static int configure(void *context, struct tern_stack *stack)
{
	struct options *o = context;
	tern_set(stack, "tcp_keep_tally", 1); /* what people ask for is worth the memory here */
	for (unsigned i = 0; i < o->settings_count && !o->complained; i++)
		o->complained = set_one(o, stack, o->settings[i]) != 0;
	if (o->cookie_shared)
		tern_tcp_cookie_key(stack, o->cookie_key, tern_options_epoch());
	return o->complained ? -1 : 0;
}

static int open_flight_recorder(struct options *o)
{
	char why[300];
	if (!o->recorder_bytes)
		return 0;
	o->recorder =
		tern_recorder_new(&(struct tern_recorder_opts){.bytes = (size_t)o->recorder_bytes});
	if (!o->recorder)
		return fprintf(stderr, "%s: %s\n", o->command, tern_host_error()), -1;
	tern_tee_add(&o->tee, tern_recorder_listener(o->recorder));
	if (!o->record_dir)
		return 0;
	o->record = tern_record_open(o->record_dir, o->given_name, o->recorder, why, sizeof why);
	if (!o->record)
		return fprintf(stderr, "%s: --record: %s\n", o->command, why), -1;
	tern_tee_add(&o->tee, tern_record_listener(o->record));
	return 0;
}

static int open_recorders(struct options *o)
{
	if (open_flight_recorder(o) != 0)
		return -1;
	if (o->ladder_connections) {
		o->ladder = tern_ladder_new(
			&(struct tern_ladder_opts){.connections = o->ladder_connections});
		if (!o->ladder)
			return fprintf(stderr, "%s: out of memory\n", o->command), -1;
		tern_tee_add(&o->tee, tern_ladder_listener(o->ladder));
	}
	if (o->pcap_path) {
		o->pcap = tern_pcapng_open(o->pcap_path,
			&(struct tern_pcapng_opts){.epoch = tern_options_epoch()});
		if (!o->pcap)
			return fprintf(stderr, "%s: %s\n", o->command, tern_host_error()), -1;
		tern_tee_add(&o->tee, tern_pcapng_listener(o->pcap));
	}
	o->host.trace = tern_tee_listener(&o->tee);
	return 0;
}

void tern_options_describe(struct options *o)
{
	struct tern_nif_opts nif;
	for (int i = 0; i < TERN_NIF_MAX; i++)
		if (tern_nif_info(tern_host_stack(o->tern), i, &nif) == 0) {
			if (o->pcap)
				tern_pcapng_interface(o->pcap, i, &nif);
			if (o->recorder)
				tern_recorder_interface(o->recorder, i, &nif);
		}
}

/* What tern ls shows. */
static json_t *about(void *context, json_t *params)
{
	struct options *o = context;
	struct tern_nif_opts nif = {.name = ""};
	(void)params;
	tern_nif_info(tern_host_stack(o->tern), tern_host_nif(o->tern), &nif);
	return json_pack("{s:s, s:i, s:s, s:s}", "command", o->command, "pid", (int)getpid(),
		"address", o->addr, "device", nif.name);
}

/* Without a name that was asked for, a stack that nobody can look at is better than none. */
static int open_control(struct options *o)
{
	char why[200];
	o->control = tern_control_open(o->tern, o->name ? o->name : o->given_name, why, sizeof why);
	if (o->control) {
		tern_control_method(o->control, "stack", about, o);
		tern_control_method(o->control, "record", tern_control_record, o->recorder);
	}
	if (o->control || !o->name)
		return 0;
	fprintf(stderr, "%s: %s\n", o->command, why);
	return -1;
}

static int attach(struct options *o)
{
	if (!o->record || tern_record_attach(o->record, o->tern) == 0)
		return 0;
	fprintf(stderr, "%s: --record: %s\n", o->command, tern_host_error());
	return -1;
}

/* What files are called after it; a name that is none is told when it is used. */
static void name_it(struct options *o)
{
	if (o->name)
		snprintf(o->given_name, sizeof o->given_name, "%s", o->name);
	else
		snprintf(o->given_name, sizeof o->given_name, "%s.%d", o->command, (int)getpid());
}

static void tell_not_opened(const struct options *o, int error)
{
	fprintf(stderr, "%s: %s\n", o->command, tern_host_error());
	if (error == EBUSY)
		fprintf(stderr,
			"     (programs on one stack: tern up NAME, then tern run --stack NAME -- "
			"COMMAND;\n"
			"     a TAP of its own: --tap tern1 --addr 10.78.0.2/24 --kernel-addr "
			"10.78.0.1/24)\n");
}

struct tern_host *tern_options_open(struct options *o)
{
	o->host.configure = configure;
	o->host.configure_context = o;
	name_it(o);
	if (open_recorders(o) != 0) {
		tern_options_close(o, stdout);
		return NULL;
	}
	o->tern = tern_host_open(o->device, o->addr, &o->host);
	if (!o->tern && !o->complained)
		tell_not_opened(o, errno);
	else if (o->tern)
		tern_options_describe(o);
	if (o->tern && (attach(o) != 0 || open_control(o) != 0)) {
		tern_options_close(o, stdout);
		return NULL;
	}
	return o->tern;
}

int tern_options_record(struct options *o, FILE *ladder_out)
{
	char why[300];
	int rc;
	if (o->tern)
		tern_trace_set(tern_host_stack(o->tern), NULL);
	rc = tern_record_close(o->record, why, sizeof why);
	if (*why)
		fprintf(stderr, "%s: --record: %s\n", o->command, why);
	o->record = NULL;
	if (o->pcap && tern_pcapng_close(o->pcap) != 0) {
		fprintf(stderr, "%s: %s: %s\n", o->command, o->pcap_path, tern_host_error());
		rc = -1;
	}
	if (o->ladder) {
		tern_ladder_print(o->ladder, ladder_out, NULL);
		fflush(ladder_out);
		tern_ladder_free(o->ladder);
	}
	o->pcap = NULL;
	o->ladder = NULL;
	return rc;
}

int tern_options_close(struct options *o, FILE *ladder_out)
{
	int rc = tern_options_record(o, ladder_out);
	if (o->control)
		tern_control_close(o->control);
	o->control = NULL;
	tern_host_close(o->tern);
	o->tern = NULL;
	tern_recorder_free(o->recorder);
	o->recorder = NULL;
	return rc;
}

static struct tern_host *stopping;
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	if (signalled)
		_exit(128 + number);
	signalled = number;
	tern_host_stop(stopping);
}

void tern_options_stop_on_signal(struct tern_host *host)
{
	struct sigaction action = {.sa_handler = on_signal};
	stopping = host;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int tern_options_signal(void)
{
	return signalled;
}
