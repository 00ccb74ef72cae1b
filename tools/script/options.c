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
		"verbose", "non_fatal", "init_scripts"};
	int64_t n;
	for (size_t k = 0; k < sizeof ignored / sizeof *ignored; k++)
		if (strcmp(name, ignored[k]) == 0)
			return NULL;
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

/* "net.ipv4.tcp_sack" and "/proc/sys/net/ipv4/tcp_sack" are both tcp_sack. */
static const char *last_part(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c == '.' || *c == '/')
			name = c + 1;
	return name;
}

static void tune(struct run *run, char *word)
{
	char *value = strchr(word, '=');
	if (!value)
		return;
	*value++ = 0;
	value += *value == '"' || *value == '\'';
	value[strcspn(value, "\"'")] = 0;
	const char *name = last_part(word);
	int err = tern_set_text(run->stack, name, value);
	if (err == TERN_ENOENT)
		fprintf(stderr, "%s:%d: warning: tern has no tunable %s=%s\n", run->script->path,
			run->line, name, value);
	else if (err)
		tern_script_fail(run, "%s=%s: %s", name, value, tern_err_text(err));
}

void tern_script_command(struct run *run, const char *command)
{
	char *copy = strdup(command), *rest = copy, *word;
	while (copy && (word = strsep(&rest, " \t\r\n;")))
		tune(run, word);
	free(copy);
}
