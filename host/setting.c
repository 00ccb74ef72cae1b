/* Why a setting was refused, in words, and what was perhaps meant. */
#include <tern/setting.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tern/stack.h>
#include <tern/tcp.h>

#define NAME_MAX_LEN 63
#define NEAR         2 /* edits that a slip of the fingers takes */
#define FAMILY       3 /* as of tcp_rmem: more are no answer */

static const struct setting {
	const char *name;
	long least, most;
} settings[] = {
#define TERN_SETTING(name, otherwise, least, most, text) {#name, least, most},
#include <tern/settings.def>
#undef TERN_SETTING
};
#define SETTINGS (sizeof settings / sizeof *settings)

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Characters to insert, remove or replace to make one of the other (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LEN + 1];
	size_t len = strlen(b);
	for (unsigned j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned i = 0; a[i]; i++) {
		unsigned corner = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			unsigned replace = corner + (a[i] != b[j]);
			corner = row[j + 1];
			row[j + 1] = least_of(replace, 1 + least_of(row[j], row[j + 1]));
		}
	}
	return row[len];
}

static const struct setting *nearest(const char *name)
{
	const struct setting *best = NULL;
	unsigned least = NEAR + 1;
	for (size_t i = 0; i < SETTINGS; i++) {
		unsigned d = distance(name, settings[i].name);
		if (d < least) {
			least = d;
			best = &settings[i];
		}
	}
	return best;
}

/* Linux has several values in one setting, tcp_rmem or ip_local_port_range, where tern has several
 * settings: writes their names, or nothing. */
static void family(const char *name, char *out, size_t size)
{
	size_t stem = strlen(name), used = 0;
	unsigned count = 0;
	if (stem > 6 && strcmp(name + stem - 6, "_range") == 0)
		stem -= 6;
	*out = '\0';
	for (size_t i = 0; i < SETTINGS && used < size; i++)
		if (strncmp(settings[i].name, name, stem) == 0 && settings[i].name[stem] == '_')
			used += (size_t)snprintf(out + used, size - used, "%s%s",
				count++ ? " and " : "", settings[i].name);
	if (count > FAMILY)
		*out = '\0';
}

static void unknown(const char *name, char *why, size_t size)
{
	char members[TERN_SETTING_WHY / 2];
	family(name, members, sizeof members);
	const struct setting *near = *members ? NULL : nearest(name);
	snprintf(why, size, "no such setting%s%s (`tern settings` lists all)",
		*members ? "; there are "
		: near   ? "; there is "
			 : "",
		near ? near->name : members);
}

/* The congestion controls there are. */
static void choice(char *why, size_t size)
{
	size_t used = (size_t)snprintf(why, size, "there are ");
	const char *name;
	for (unsigned i = 0; (name = tern_congestion_name(i)) && used < size; i++)
		used += (size_t)snprintf(why + used, size - used, "%s%s", i ? " and " : "", name);
}

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

void tern_setting_why(const char *pair, int err, char *why, size_t size)
{
	char name[NAME_MAX_LEN + 1];
	pair = tern_setting_bare(pair);
	snprintf(name, sizeof name, "%.*s", (int)strcspn(pair, "="), pair);
	const struct setting *s = find(name);
	if (!strchr(pair, '='))
		snprintf(why, size, "wants NAME=VALUE");
	else if (err == TERN_ENOENT)
		unknown(name, why, size);
	else if (s && strcmp(name, "tcp_congestion_control") == 0)
		choice(why, size);
	else if (s && err == TERN_ERANGE)
		snprintf(why, size, "value out of range: %ld to %ld", s->least, s->most);
	else if (s && err == TERN_EINVAL)
		snprintf(why, size, "not a number from %ld to %ld", s->least, s->most);
	else
		snprintf(why, size, "%s", tern_err_text(err));
}
