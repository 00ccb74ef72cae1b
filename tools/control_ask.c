#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/control.h"

#define PATIENCE 5 /* seconds */

/* --- which ------------------------------------------------------------------------------------ */

#define SUFFIX ".sock"

/* What a stack that was killed has left. */
static void clear_away(const char *name)
{
	static const char *const suffixes[] = {"sock", "join", "pid", "counters", "drops"};
	char path[CONTROL_PATH_MAX], why[200];
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (tern_control_path(path, name, suffixes[i], why, sizeof why) == 0)
			unlink(path);
}

/* The name in a directory entry, if a stack answers there. */
static bool live(const char *directory, const char *entry, char name[CONTROL_PATH_MAX])
{
	char path[CONTROL_PATH_MAX];
	size_t n = strlen(entry);
	if (n <= strlen(SUFFIX) || strcmp(entry + n - strlen(SUFFIX), SUFFIX) != 0 ||
		snprintf(path, sizeof path, "%s/%s", directory, entry) >= (int)sizeof path)
		return false;
	snprintf(name, CONTROL_PATH_MAX, "%.*s", (int)(n - strlen(SUFFIX)), entry);
	int fd = tern_control_dial(path, SOCK_STREAM, PATIENCE);
	if (fd >= 0)
		close(fd);
	else if (errno == ECONNREFUSED)
		clear_away(name);
	return fd >= 0;
}

bool tern_control_answers(const char *name)
{
	char path[CONTROL_PATH_MAX], why[200];
	if (tern_control_path(path, name, "sock", why, sizeof why) != 0)
		return false;
	int fd = tern_control_dial(path, SOCK_STREAM, PATIENCE);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(json_string_value(*(json_t *const *)a),
		json_string_value(*(json_t *const *)b));
}

static json_t *sorted(json_t *names)
{
	size_t n = json_array_size(names);
	json_t **all = calloc(n + 1, sizeof *all), *out = json_array();
	for (size_t i = 0; all && i < n; i++)
		all[i] = json_array_get(names, i);
	if (all)
		qsort(all, n, sizeof *all, by_name);
	for (size_t i = 0; all && i < n; i++)
		json_array_append(out, all[i]);
	free(all);
	json_decref(names);
	return out;
}

json_t *tern_control_stacks(const char *command)
{
	char path[CONTROL_PATH_MAX], why[200], name[CONTROL_PATH_MAX];
	if (tern_control_directory(path, why, sizeof why) != 0) {
		fprintf(stderr, "%s: %s\n", command, why);
		return NULL;
	}
	json_t *names = json_array();
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));)
		if (live(path, d->d_name, name))
			json_array_append_new(names, json_string(name));
	if (dir)
		closedir(dir);
	return sorted(names);
}

/* The only stack that runs; else -1, after saying what there is. */
static int find_one(const char *command, char name[CONTROL_PATH_MAX])
{
	json_t *names = tern_control_stacks(command), *each;
	size_t i, found = json_array_size(names);
	if (!names)
		return -1;
	if (found == 0)
		fprintf(stderr, "%s: no stack of this user's runs (tern up, run, serve, fetch)\n",
			command);
	if (found > 1)
		fprintf(stderr, "%s: several stacks run; --stack says which:\n", command);
	json_array_foreach(names, i, each)
	{
		snprintf(name, CONTROL_PATH_MAX, "%s", json_string_value(each));
		if (found > 1)
			fprintf(stderr, "  %s\n", name);
	}
	json_decref(names);
	return found == 1 ? 0 : -1;
}

/* --- the question ------------------------------------------------------------------------------
 */

static json_t *converse(int fd, const char *method, const char *params)
{
	char request[600];
	int n = snprintf(request, sizeof request,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method,
		params ? params : "{}");
	FILE *in = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? fdopen(fd, "r") : NULL;
	json_t *reply = in ? json_loadf(in, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	if (in)
		fclose(in);
	else
		close(fd);
	return reply;
}

json_t *tern_control_ask(const char *command, const char *name, const char *method,
	const char *params, char found[CONTROL_PATH_MAX])
{
	char path[CONTROL_PATH_MAX], why[200], only[CONTROL_PATH_MAX];
	if (!name) {
		if (find_one(command, only) != 0)
			return NULL;
		name = only;
	}
	if (tern_control_path(path, name, "sock", why, sizeof why) != 0) {
		fprintf(stderr, "%s: %s\n", command, why);
		return NULL;
	}
	int fd = tern_control_dial(path, SOCK_STREAM, PATIENCE);
	if (fd < 0) {
		fprintf(stderr, "%s: no stack \"%s\" runs (%s: %s)\n", command, name, path,
			strerror(errno));
		return NULL;
	}
	json_t *reply = converse(fd, method, params), *result = NULL;
	const char *message = "no answer";
	if (reply && json_unpack(reply, "{s:o}", "result", &result) != 0)
		json_unpack(reply, "{s:{s:s}}", "error", "message", &message);
	if (!result)
		fprintf(stderr, "%s: stack \"%s\": %s\n", command, name, message);
	json_incref(result);
	json_decref(reply);
	if (found && result && found != name)
		snprintf(found, CONTROL_PATH_MAX, "%s", name);
	return result;
}
