/* Lines --name=value, by packetdrill's names, and tunables in `commands`. */
#include <stdlib.h>
#include <string.h>

#include "tools/script/run.h"

static bool number(const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long value = strtoll(text, &end, 0);
	*out = value;
	return *text && !*end && value >= min && value <= max;
}

static bool address(const char *text, struct tern_addr *out)
{
	return tern_addr_parse(text, out) == 0 && tern_addr_is_v4(out);
}

/* NULL if it was taken. */
static const char *set(struct script_settings *s, const char *name, const char *value)
{
	static const char *const ignored[] = {"ip_version", "gateway_ip", "netmask_ip", "dry_run",
		"verbose", "non_fatal", "init_scripts", "tcp_ts_ecr_scaled", "code_sockopt",
		"code_format", "code_command", "speed", "bpf"};
	int64_t n;
	for (size_t k = 0; k < sizeof ignored / sizeof *ignored; k++)
		if (strcmp(name, ignored[k]) == 0)
			return NULL;
	if (strcmp(name, "strict_segments") == 0) {
		s->strict_segments = true;
		return NULL;
	}
	if (strcmp(name, "local_ip") == 0)
		return address(value, &s->local) ? NULL : "not an IPv4 address";
	if (strcmp(name, "remote_ip") == 0)
		return address(value, &s->remote) ? NULL : "not an IPv4 address";
	bool good = number(value, 0, UINT32_MAX, &n);
	if (good && strcmp(name, "tolerance_usecs") == 0)
		s->tolerance = n * 1000;
	else if (good && strcmp(name, "tcp_ts_tick_usecs") == 0)
		s->tick = n * 1000;
	else if (good && strcmp(name, "seed") == 0)
		s->seed = (uint32_t)n;
	else if (good && n >= 68 && n <= 65535 && strcmp(name, "mtu") == 0)
		s->mtu = (uint32_t)n;
	else if (good && n >= 0 && n <= 65535 && strcmp(name, "mss") == 0)
		s->mss = (uint16_t)n;
	else if (good && n >= 1 && n <= 65535 && strcmp(name, "bind_port") == 0)
		s->bind_port = (uint16_t)n;
	else if (good && n >= 1 && n <= 65535 && strcmp(name, "connect_port") == 0)
		s->connect_port = (uint16_t)n;
	else
		return "no such option, or a value it cannot have";
	return NULL;
}

bool tern_script_settings(struct run *run)
{
	struct script_settings *s = &run->set;
	*s = (struct script_settings){.tolerance = 4 * SCRIPT_MS,
		.mtu = 1500,
		.bind_port = 8080,
		.connect_port = 8080,
		.local = tern_addr_v4(192, 168, 0, 1),
		.remote = tern_addr_v4(192, 0, 2, 1)};
	for (const struct script_option_line *o = run->script->options; o; o = o->next) {
		const char *wrong = set(s, o->name, o->value);
		run->line = o->line;
		if (wrong) {
			tern_script_fail(run, "--%s=%s: %s", o->name, o->value, wrong);
			return false;
		}
	}
	if (run->opts->tolerance >= 0)
		s->tolerance = run->opts->tolerance;
	memcpy(s->addresses.local, s->local.byte + 12, 4);
	memcpy(s->addresses.remote, s->remote.byte + 12, 4);
	return true;
}

/* --- tunables in commands ------------------------------------------------------------------ */

/* "net.ipv4.tcp_sack" and "/proc/sys/net/ipv4/tcp_sack" are both tcp_sack. */
static const char *last_part(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c == '.' || *c == '/')
			name = c + 1;
	return name;
}

static void leave_out(struct run *run, const char *what)
{
	size_t len = strlen(run->left_out);
	size_t part = strcspn(what, " \t\r\n;");
	if (strstr(run->left_out, what) == NULL)
		snprintf(run->left_out + len, sizeof run->left_out - len, "%s%.*s", len ? ", " : "",
			(int)part, what);
}

/* "0x10", "262144", "$((256*1024))": a product at most. */
static bool value_of(const char *text, int64_t *out)
{
	int64_t product = 1, factor;
	char *end;
	bool sum = strncmp(text, "$((", 3) == 0;
	for (text += sum ? 3 : 0;; text = end + 1) {
		factor = strtoll(text, &end, 0);
		if (end == text)
			return false;
		product *= factor;
		if (!sum || *end != '*')
			break;
	}
	*out = product;
	return sum ? strcmp(end, "))") == 0 : !*end;
}

static void set_one(struct run *run, const char *name, const char *text)
{
	int64_t n = -1;
	bool good = value_of(text, &n);
	if (!good && strcmp(name, "tcp_congestion_control") == 0) {
		n = tern_congestion_number(text);
		good = n >= 0;
	}
	if (n == UINT32_MAX) /* Linux's "no limit" */
		n = INT32_MAX;
	int err = good ? run->target->set(run, name, n) : TERN_ENOENT;
	if (err == TERN_ENOENT) {
		char both[64];
		snprintf(both, sizeof both, "%s%s%s", name, good ? "" : "=", good ? "" : text);
		run->settings_left_out++;
		leave_out(run, both);
	} else if (err) {
		tern_script_refuse(run, "%s=%s: %s", name, text, tern_err_text(err));
	}
}

/* Linux's three numbers are the least, the first and the most. */
static void set_three(struct run *run, const char *name, char *text)
{
	static const char *const suffix[] = {"default", "max"};
	char full[32];
	(void)strsep(&text, " \t"); /* the least: tern has none */
	for (unsigned k = 0; k < 2 && text; k++) {
		snprintf(full, sizeof full, "%s_%s", name, suffix[k]);
		set_one(run, full, strsep(&text, " \t"));
	}
}

static void set_sysctl(struct run *run, const char *word, char *value)
{
	const char *name = last_part(word);
	if (strcmp(name, "tcp_rmem") == 0 || strcmp(name, "tcp_wmem") == 0)
		set_three(run, name, value);
	else
		set_one(run, name, value);
}

/* The next word, its quotes taken off; NULL at the end. *ends: it is the last of its command. */
static char *next_word(char **text, bool *ends)
{
	char *from = *text + strspn(*text, " \t\r\\"), *to = from, quote = 0;
	char *out = from;
	if (!*from)
		return NULL;
	if (*from == '\n' || *from == ';') {
		*text = from + 1;
		*ends = true;
		*from = 0;
		return from;
	}
	for (; *to && (quote || !strchr(" \t\r\n;\\", *to)); to++) {
		if (!quote && *to == '(' && to > from && to[-1] == '(')
			quote = ')';
		if (quote ? *to == quote && quote != ')' : *to == '"' || *to == '\'')
			quote = quote ? 0 : *to;
		else
			*out++ = *to;
		if (quote == ')' && *to == ')' && to[-1] == ')')
			quote = 0;
	}
	*ends = *to == '\n' || *to == ';' || !*to;
	*text = *to ? to + 1 : to;
	*out = 0;
	return from;
}

static bool is_sysctl(const char *word)
{
	return strncmp(word, "net.", 4) == 0 || strncmp(word, "net/", 4) == 0 ||
	       strncmp(word, "/proc/sys/net/", 14) == 0;
}

static void run_text(struct run *run, char *text, unsigned depth);

/* Beside the script, or in a folder above it. */
static FILE *find_shell_script(const struct run *run, const char *name)
{
	char path[4096];
	const char *slash = strrchr(run->script->path, '/');
	int folder = *name == '/' || !slash ? 0 : (int)(slash + 1 - run->script->path);
	int len = snprintf(path, sizeof path, "%.*s", folder, run->script->path);
	for (unsigned up = 0; up < 5 && len + 3 < (int)sizeof path; up++) {
		snprintf(path + len, sizeof path - (size_t)len, "%s", name);
		FILE *file = fopen(path, "re");
		if (file || !folder)
			return file;
		len += snprintf(path + len, sizeof path - (size_t)len, "../");
	}
	return NULL;
}

/* A shell script of sysctls, such as the suites' defaults.sh: read, never run. */
static bool read_shell_script(struct run *run, const char *name, unsigned depth)
{
	size_t len = strlen(name);
	char *text = NULL;
	size_t room = 0;
	if (len < 4 || strcmp(name + len - 3, ".sh") != 0 || depth > 2)
		return false;
	FILE *file = find_shell_script(run, name);
	if (!file)
		return false;
	while (getline(&text, &room, file) >= 0)
		if (text[strspn(text, " \t")] != '#')
			run_text(run, text, depth + 1);
	free(text);
	fclose(file);
	return true;
}

/* Commands of a shell's text: sysctls and shell scripts are read, others left out. */
static void run_text(struct run *run, char *text, unsigned depth)
{
	bool first = true, ends, known = false;
	for (char *word; !run->failed && (word = next_word(&text, &ends)); first = ends) {
		char *value = strchr(word, '=');
		if (first)
			known = strstr(word, "sysctl") || (value && is_sysctl(word)) ||
				read_shell_script(run, word, depth);
		else if (!known && strstr(word, ".sh"))
			read_shell_script(run, word, depth);
		if (value && is_sysctl(word)) {
			*value++ = 0;
			set_sysctl(run, word, value);
		} else if (first && !known && *word && depth == 0) {
			run->commands_left_out++;
			leave_out(run, word);
		}
	}
}

void tern_script_command(struct run *run, const char *command)
{
	char *copy = strdup(command);
	if (!copy)
		abort();
	run_text(run, copy, 0);
	free(copy);
}

void tern_script_tell_left_out(const struct run *run)
{
	unsigned settings = run->settings_left_out, commands = run->commands_left_out;
	char first[64] = "", second[32] = "";
	if (!settings && !commands)
		return;
	if (settings)
		snprintf(first, sizeof first, "%u setting%s tern has not, or not so", settings,
			settings == 1 ? "" : "s");
	if (commands)
		snprintf(second, sizeof second, "%u command%s", commands, commands == 1 ? "" : "s");
	fprintf(stderr, "%s: note: left out: %s%s%s (%s)\n", run->script->path, first,
		settings && commands ? ", " : "", second, run->left_out);
}
