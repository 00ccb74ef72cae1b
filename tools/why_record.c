/* What the flight recorder has of a connection: the method "record" of docs/control.md. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/base64.h"
#include "tools/why.h"

static int width(void)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 100;
	return size.ws_col < 80 ? 80 : size.ws_col > 200 ? 200 : size.ws_col;
}

static bool utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value = NULL;
	for (size_t i = 0; i < sizeof names / sizeof *names && (!value || !*value); i++)
		value = getenv(names[i]);
	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

static bool colour(void)
{
	const char *no = getenv("NO_COLOR");
	return !(no && *no) && isatty(STDOUT_FILENO);
}

static json_t *ask(const struct why_record *want, const char *local, const char *remote,
	const char *as)
{
	char params[400];
	bool plain = want->json;
	snprintf(params, sizeof params,
		"{\"local\":\"%s\",\"remote\":\"%s\",\"as\":\"%s\",\"width\":%d,\"utf8\":%s,"
		"\"colour\":%s}",
		local, remote, as, width(), utf8() ? "true" : "false",
		!plain && colour() ? "true" : "false");
	return tern_control_ask("why", want->stack, "record", params, NULL);
}

/* --- what is done with it ----------------------------------------------------------------------
 */

static int write_file(const char *path, const char *text)
{
	size_t n;
	uint8_t *bytes = tern_base64_decode(text, &n);
	FILE *file = bytes ? fopen(path, "we") : NULL;
	bool whole = file && fwrite(bytes, 1, n, file) == n;
	if (file && fclose(file) != 0)
		whole = false;
	if (!whole)
		fprintf(stderr, "why: --pcap %s: %s\n", path,
			bytes ? strerror(errno) : "what the stack sent is no capture");
	free(bytes);
	return whole ? 0 : -1;
}

static void tell_end(const struct why_record *want, json_t *end, const char *local,
	const char *remote, json_t *out)
{
	char when[WHY_WORD];
	if (want->json) {
		json_object_set(out, "ended", end);
		return;
	}
	printf("%s - %s is no more: it ended %s ago in %s (%s).\n", local, remote,
		tern_why_time(row_number(end, "age_us"), when), row_text(end, "from"),
		row_text(end, "why"));
}

static int tell_ladder(const struct why_record *want, const char *local, const char *remote,
	json_t *out)
{
	json_t *result = ask(want, local, remote, "ladder");
	if (!result)
		return -1;
	if (want->json)
		json_object_set(out, "ladder", json_object_get(result, "ladder"));
	else
		printf("\n%s", row_text(result, "ladder"));
	json_decref(result);
	return 0;
}

static int save(const struct why_record *want, const char *local, const char *remote)
{
	json_t *result = ask(want, local, remote, "pcapng");
	int rc = result ? write_file(want->pcap, row_text(result, "pcapng")) : -1;
	json_decref(result);
	return rc;
}

int tern_why_record(const struct why_record *want, const char *local, const char *remote, bool gone,
	json_t *out)
{
	json_t *known = ask(want, local, remote, "summary");
	if (!known)
		return -1;
	json_t *end = json_object_get(known, "ended");
	bool wanted = want->pcap || want->ladder;
	int rc = row_number(known, "events") ? 0 : 1;
	if (rc == 1 && wanted && !gone)
		fprintf(stderr, "why: nothing of it is recorded%s\n",
			row_number(known, "bytes") ? " any more" : " (--recorder 0)");
	if (rc == 0 && gone && !end)
		rc = 1;
	if (rc == 0 && gone)
		tell_end(want, end, local, remote, out);
	if (rc == 0 && want->ladder)
		rc = tell_ladder(want, local, remote, out);
	if (rc == 0 && want->pcap)
		rc = save(want, local, remote);
	json_decref(known);
	return rc;
}
