/* Tunables by name, checked against the ranges of settings.def. */
#include <string.h>
#include "base/core.h"

struct setting {
	const char *name;
	size_t offset; /* in struct settings */
	int32_t min, max;
};

static const struct setting table[] = {
#define TERN_SETTING(name, initial, min, max, text)                                                \
	{#name, offsetof(struct settings, name), min, max},
#include <tern/settings.def>
#undef TERN_SETTING
};

#define SETTINGS (sizeof table / sizeof *table)

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

int tern_settings_set(struct settings *set, const char *name, int64_t value)
{
	const struct setting *s = find(name);
	if (!s)
		return TERN_ENOENT;
	if (value < s->min || value > s->max)
		return TERN_ERANGE;
	int32_t v = (int32_t)value;
	memcpy((char *)set + s->offset, &v, sizeof v);
	return 0;
}

int tern_settings_get(const struct settings *set, const char *name, int64_t *value)
{
	const struct setting *s = find(name);
	if (!s)
		return TERN_ENOENT;
	int32_t v;
	memcpy(&v, (const char *)set + s->offset, sizeof v);
	*value = v;
	return 0;
}

const char *tern_setting_name(unsigned k)
{
	return k < SETTINGS ? table[k].name : NULL;
}
