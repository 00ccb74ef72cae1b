/* The ladder of what happened so far, shown when something does not match. */
#include <stdarg.h>
#include <string.h>

#include "tools/script/run.h"

char *tern_script_ladder(enum ladder_mark mark, int64_t time, const char *packet, char *text,
	size_t size)
{
	static const char marks[] = {' ', '-', '+'};
	static const char *const words[] = {"", "  (want)", "  (got)"};
	bool inbound = *packet == '<';
	snprintf(text, size, "  %c %11.6f  |%s|  %s%s", marks[mark], (double)time / 1e9,
		inbound ? "-------->" : "<--------", packet + 2, words[mark]);
	return text;
}

static char *next_line(struct run *run)
{
	return run->history[run->lines++ % HISTORY_MAX];
}

static void show(const struct run *run, const char *line)
{
	if (run->opts->verbose)
		puts(line);
}

void tern_script_note_packet(struct run *run, int64_t time, const char *packet)
{
	char *line = next_line(run);
	tern_script_ladder(LADDER_PLAIN, time, packet, line, sizeof *run->history);
	show(run, line);
}

void tern_script_note_call(struct run *run, int64_t time, const char *format, ...)
{
	char *line = next_line(run);
	int n = snprintf(line, sizeof *run->history, "    %11.6f  |         |  ",
		(double)time / 1e9);
	va_list args;
	va_start(args, format);
	vsnprintf(line + n, sizeof *run->history - (size_t)n, format, args);
	va_end(args);
	show(run, line);
}

void tern_script_fail_ladder(struct run *run, const char *what, const char *rest)
{
	char text[(HISTORY_MAX + 4) * (SCRIPT_TEXT + 64)];
	size_t len = 0;
	unsigned first = run->lines > HISTORY_MAX ? run->lines - HISTORY_MAX : 0;
	for (unsigned k = first; k < run->lines && len < sizeof text; k++)
		len += (size_t)snprintf(text + len, sizeof text - len, "\n%s",
			run->history[k % HISTORY_MAX]);
	if (len < sizeof text)
		snprintf(text + len, sizeof text - len, "\n%s", rest);
	tern_script_fail(run, "%s\n                 remote     tern%s", what, text);
}
