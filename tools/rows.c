#include "tools/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t row_number(json_t *row, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(row, name));
}

const char *row_text(json_t *row, const char *name)
{
	const char *s = json_string_value(json_object_get(row, name));
	return s ? s : "";
}

bool row_flag(json_t *row, const char *name)
{
	return json_is_true(json_object_get(row, name));
}

bool row_has(json_t *row, const char *name)
{
	return json_object_get(row, name);
}

const char *row_local(json_t *row, char room[ROW_LOCAL])
{
	static const char *const every[] = {"[::]:", "0.0.0.0:"}; /* tern's, the kernel's */
	const char *at = row_text(row, "local");
	for (size_t i = 0; i < sizeof every / sizeof *every; i++)
		if (strncmp(at, every[i], strlen(every[i])) == 0) {
			snprintf(room, ROW_LOCAL, "*:%s", at + strlen(every[i]));
			return room;
		}
	return at;
}

int64_t row_unread(json_t *row)
{
	return row_number(row, "unread") + row_number(row, "program_unread");
}

int64_t row_unsent(json_t *row)
{
	return row_number(row, "unsent") + row_number(row, "program_unsent");
}

json_t *row_owners(json_t *owners, json_t *row)
{
	char key[160];
	const char *remote = row_text(row, "remote");
	snprintf(key, sizeof key, "%s%s %s",
		strcmp(row_text(row, "netid"), "udp") == 0 ? "udp " : "", row_text(row, "local"),
		*remote ? remote : "*");
	return json_object_get(owners, key);
}

/* Asks for the next page; *next is where it begins, and then where the one after it does, or NULL:
 * it was the last. NULL after saying why there is none. */
static json_t *page(const char *command, const char *stack, const char *method, json_t **next,
	char found[CONTROL_PATH_MAX])
{
	char params[40];
	snprintf(params, sizeof params, "{\"from\":%" PRId64 "}",
		(int64_t)json_integer_value(*next));
	json_t *result = tern_control_ask(command, stack, method, params, found);
	json_decref(*next);
	*next = json_incref(json_object_get(result, "next"));
	return result;
}

static int collect(const char *command, const char *stack, const char *method, const char *list,
	json_t *all, char found[CONTROL_PATH_MAX])
{
	for (json_t *next = json_integer(0); next;) {
		json_t *result = page(command, stack, method, &next, found);
		if (!result)
			return -1;
		json_array_extend(all, json_object_get(result, list));
		json_decref(result);
		stack = found;
	}
	return 0;
}

int tern_rows_collect(const char *command, const char *stack, json_t *all,
	char found[CONTROL_PATH_MAX])
{
	return collect(command, stack, "connections", "connections", all, found);
}

int tern_rows_collect_udp(const char *command, const char *stack, json_t *all,
	char found[CONTROL_PATH_MAX])
{
	return collect(command, stack, "udp", "sockets", all, found);
}

json_t *tern_rows_owners(const char *command, const char *stack)
{
	json_t *by = json_object(), *owner;
	size_t i;
	for (json_t *next = json_integer(0); next;) {
		json_t *result = page(command, stack, "owners", &next, NULL);
		if (!result)
			break;
		json_array_foreach(json_object_get(result, "owners"), i, owner)
		{
			const char *key = row_text(owner, "connection");
			if (!json_object_get(by, key))
				json_object_set_new(by, key, json_array());
			json_array_append(json_object_get(by, key), owner);
		}
		json_decref(result);
	}
	return by;
}
