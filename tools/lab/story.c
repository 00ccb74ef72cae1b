#include "tools/lab/lab.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define WIDTH 92
#define BAR   50
#define DRAWN 24 /* lines of a drawing */

static const char *in(const struct lab *lab, struct text text)
{
	return lab->opts->zh ? text.zh : text.en;
}

void lab_title(const struct lab *lab, const struct experiment *e)
{
	if (!lab->opts->json)
		printf("=== %s: %s\n\n", e->name, in(lab, e->title));
}

/* Where a line may end before its column WIDTH: a blank, or between two Chinese characters. */
static size_t line_end(const char *text)
{
	size_t column = 0, fits = 0, i = 0;
	while (text[i] && column < WIDTH) {
		bool wide = (unsigned char)text[i] >= 0xe0;
		size_t n = wide ? 3 : (unsigned char)text[i] >= 0xc0 ? 2 : 1;
		if (text[i] == ' ' || wide)
			fits = i;
		i += n;
		column += wide ? 2 : 1;
	}
	return text[i] == '\0' || fits == 0 ? i : fits;
}

void lab_tell(const struct lab *lab, struct text text, ...)
{
	char line[2000];
	va_list args;
	if (lab->opts->json)
		return;
	lab_pace(lab, lab_now(lab));
	va_start(args, text);
	vsnprintf(line, sizeof line, in(lab, text), args);
	va_end(args);
	for (const char *p = line; *p;) {
		size_t n = line_end(p);
		printf("%.*s\n", (int)n, p);
		p += n + (p[n] == ' ');
	}
	printf("\n");
}

void lab_expect(struct lab *lab, bool ok, struct text text)
{
	if (lab->expectations == LAB_EXPECTATIONS) {
		lab->broken = true;
		return;
	}
	lab->expected[lab->expectations].ok = ok;
	snprintf(lab->expected[lab->expectations].text, sizeof lab->expected[0].text, "%s",
		in(lab, text));
	lab->expectations++;
}

void lab_draw(const struct lab *lab, struct text title, const struct lab_sample *samples,
	unsigned n, uint32_t limit)
{
	uint32_t most = limit ? limit : 1;
	if (lab->opts->json || n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		most = samples[i].value > most ? samples[i].value : most;
	printf("%s\n", in(lab, title));
	for (unsigned k = 0; k < DRAWN && k < n; k++) {
		unsigned i = n <= DRAWN ? k : (unsigned)((uint64_t)k * (n - 1) / (DRAWN - 1));
		lab_pace(lab, samples[i].at);
		unsigned bar = (unsigned)((uint64_t)samples[i].value * BAR / most);
		printf("%8.1f s |", (double)samples[i].at / 1e9);
		for (unsigned b = 0; b < bar; b++)
			putchar('#');
		printf("%*s| %" PRIu32 "%s\n", (int)(BAR - bar), "", samples[i].value,
			limit && samples[i].value >= limit ? " (full)" : "");
	}
	printf("\n");
}

static void pace_row(void *context, uint64_t at)
{
	const struct lab *lab = context;
	lab_pace(lab, at - lab->began);
}

void lab_show_ladder(struct lab *lab)
{
	struct tern_ladder_style style = {.width = 100,
		.utf8 = TERN_LADDER_YES,
		.pace = pace_row,
		.pace_context = lab};
	if (lab->opts->json)
		return;
	tern_ladder_print(lab->ladder, stdout, &style);
	printf("\n");
}

static void print_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json(const struct lab *lab, const struct experiment *e, bool all)
{
	printf("{\"experiment\":\"%s\",\"ok\":%s,\"virtual_seconds\":%.3f,\"expected\":[", e->name,
		all ? "true" : "false", (double)lab_now(lab) / 1e9);
	for (unsigned i = 0; i < lab->expectations; i++) {
		printf("%s{\"ok\":%s,\"text\":", i ? "," : "",
			lab->expected[i].ok ? "true" : "false");
		print_json_text(lab->expected[i].text);
		putchar('}');
	}
	printf("]}\n");
}

bool lab_verdict(const struct lab *lab, const struct experiment *e)
{
	bool all = lab->expectations > 0 && !lab->broken;
	for (unsigned i = 0; i < lab->expectations; i++)
		all &= lab->expected[i].ok;
	if (lab->opts->json) {
		print_json(lab, e, all);
		return all;
	}
	lab_pace(lab, lab_now(lab));
	for (unsigned i = 0; i < lab->expectations; i++)
		printf("%s %s\n",
			lab->expected[i].ok ? "  seen:" : "  NOT SEEN:", lab->expected[i].text);
	if (lab->broken)
		printf("  the experiment could not be played to its end\n");
	printf("\n");
	return all;
}
