/*
 * Layout. A line is: 14 columns of the left side, a space, the left rail, the body, the right rail,
 * a space, 14 columns of the right side. Times stand level with the arrow, states below.
 */
#include <tern/ladder.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/ladder_rows.h"
#include "host/ladder_set.h"

#define SIDE   14
#define LINE   1024
#define FRAMES (2 * (SIDE + 1 + 1))

enum tint {
	PLAIN,
	DIM,
	BOLD,
	OPENING,
	CLOSING,
	WRONG,
	TINTS
};

struct canvas {
	FILE *out;
	unsigned width, inner;
	bool colour;
	struct speech speech;
	void (*pace)(void *context, uint64_t at);
	void *pace_context;
};

struct margin {
	char text[2][24]; /* time, state */
	bool inferred;
};

static const char *rail(const struct canvas *v)
{
	return v->speech.utf8 ? "│" : "|";
}

/* Columns: every character used here is one wide. */
static unsigned columns(const char *text)
{
	unsigned n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void put_tinted(const struct canvas *v, enum tint tint, const char *text)
{
	static const char *const code[TINTS] = {"", "2", "1;36", "32", "33", "1;31"};
	if (v->colour && tint != PLAIN && *text)
		fprintf(v->out, "\033[%sm%s\033[0m", code[tint], text);
	else
		fputs(text, v->out);
}

static void put_spaces(const struct canvas *v, unsigned n)
{
	fprintf(v->out, "%*s", (int)n, "");
}

/* One line; margins and rails may be NULL. body has at most inner columns. */
static void put_line(const struct canvas *v, const struct margin margin[2], unsigned which,
	const char *const rails[2], const char *body, enum tint tint)
{
	const char *left = margin ? margin[0].text[which] : "";
	const char *right = margin ? margin[1].text[which] : "";
	put_spaces(v, SIDE - columns(left));
	put_tinted(v, margin && margin[0].inferred ? DIM : PLAIN, left);
	fprintf(v->out, " %s", rails ? rails[0] : rail(v));
	put_tinted(v, tint, body);
	put_spaces(v, v->inner - columns(body));
	fputs(rails ? rails[1] : rail(v), v->out);
	if (*right)
		fputc(' ', v->out);
	put_tinted(v, margin && margin[1].inferred ? DIM : PLAIN, right);
	fputc('\n', v->out);
}

/* Takes as many words as fit; the first is taken anyway, cut. Returns the columns used. */
static unsigned take_words(const struct words *w, unsigned *next, unsigned room, const char *gap,
	char line[LINE])
{
	size_t n = 0;
	unsigned used = 0;
	line[0] = '\0';
	while (*next < w->count) {
		const char *word = w->text[*next];
		unsigned need = columns(word) + (used ? (unsigned)strlen(gap) : 0);
		if (used && used + need > room)
			break;
		n += (size_t)snprintf(line + n, LINE - n, "%s%.*s", used ? gap : "", (int)room,
			word);
		used += need;
		++*next;
	}
	return used < room ? used : room;
}

static void split(const char *text, struct words *w)
{
	w->count = 0;
	while (*text && w->count < sizeof w->text / sizeof w->text[0]) {
		size_t n = strcspn(text, " ");
		snprintf(w->text[w->count++], sizeof w->text[0], "%.*s", (int)n, text);
		text += n + (text[n] == ' ');
	}
}

/* A sentence, as many lines as it needs; *level is the margin's next line, past 1 none. */
static void put_sentence(const struct canvas *v, const struct margin *margin, unsigned *level,
	unsigned indent, const char *text, enum tint tint)
{
	struct words w;
	unsigned next = 0;
	split(text, &w);
	while (next < w.count) {
		char line[LINE], body[LINE + 16];
		take_words(&w, &next, v->inner - indent - 1, " ", line);
		snprintf(body, sizeof body, "%*s%s", (int)indent, "", line);
		bool with = margin && *level < 2;
		put_line(v, with ? margin : NULL, with ? *level : 0, NULL, body, tint);
		++*level;
	}
}

static enum tint tint_of(const struct row *row)
{
	if (row->segment.flags & RST)
		return WRONG;
	if (row->segment.flags & SYN)
		return OPENING;
	return row->segment.flags & FIN ? CLOSING : PLAIN;
}

/* The arrow, with as much of head as fits on it. */
static void put_arrow(const struct canvas *v, const struct row *row, const struct margin *margin,
	const struct words *head, unsigned *next)
{
	bool utf8 = v->speech.utf8, lost = tern_ladder_lost(v->speech.conn, row);
	const char *dash = utf8 ? "─" : "-";
	const char *tip = row->from == 0 ? (utf8 ? "►" : ">") : (utf8 ? "◄" : "<");
	const char *start = row->from == 0 ? (utf8 ? "├" : "|") : (utf8 ? "┤" : "|");
	char line[LINE], body[4 * LINE];
	unsigned used = take_words(head, next, v->inner - 8, "  ", line);
	unsigned fill = v->inner - used - 5;
	size_t n = 0;
	if (lost)
		tip = utf8 ? "✗" : "x";
	n += (size_t)snprintf(body + n, sizeof body - n, "%s%s %s ", row->from ? tip : dash, dash,
		line);
	for (unsigned i = 0; i < fill; i++)
		n += (size_t)snprintf(body + n, sizeof body - n, "%s", dash);
	snprintf(body + n, sizeof body - n, "%s", row->from ? dash : tip);
	const char *rails[2] = {row->from ? rail(v) : start, row->from ? start : rail(v)};
	put_line(v, margin, 0, rails, body, tint_of(row));
}

static void put_segment(const struct canvas *v, const struct row *row, const struct margin *margin)
{
	struct words head = {0}, below = {0};
	struct lines step = {0}, notes = {0};
	unsigned level = 2, next = 0;
	tern_ladder_say_step(&v->speech, row, &step);
	tern_ladder_say_segment(&v->speech, row, &head, &below);
	tern_ladder_say_notes(&v->speech, row, &notes);
	if (row->moved && row->step == STEP_NONE)
		tern_ladder_say_move(&v->speech, row, &notes);
	for (unsigned i = 0; i < step.count; i++)
		put_sentence(v, NULL, &level, 1, step.text[i], BOLD);
	put_arrow(v, row, margin, &head, &next);
	level = 1;
	for (unsigned i = 0; i < below.count && next < head.count; i++)
		memcpy(head.text[head.count++], below.text[i], sizeof below.text[i]);
	const struct words *w = next < head.count ? &head : &below;
	for (next = w == &head ? next : 0; next < w->count; level++) {
		char line[LINE], body[LINE + 16];
		take_words(w, &next, v->inner - 4, "  ", line);
		snprintf(body, sizeof body, "   %s", line);
		put_line(v, level < 2 ? margin : NULL, level < 2, NULL, body, DIM);
	}
	for (unsigned i = 0; i < notes.count; i++)
		put_sentence(v, margin, &level, 3, notes.text[i], WRONG);
}

static void put_lines(const struct canvas *v, const struct row *row, const struct margin *margin)
{
	struct lines text = {0};
	unsigned level = 0;
	if (row->kind == ROW_FOLD)
		tern_ladder_say_fold(&v->speech, row, &text);
	else
		tern_ladder_say_move(&v->speech, row, &text);
	for (unsigned i = 0; i < text.count; i++)
		put_sentence(v, margin, &level, i ? 5 : 1, text.text[i],
			row->kind == ROW_FOLD ? PLAIN : BOLD);
	if (level < 2)
		put_line(v, margin, 1, NULL, "", PLAIN);
}

static double milliseconds(const struct ladder_conn *c, uint64_t at)
{
	return (double)(int64_t)(at - c->origin) / 1e6;
}

static void fill_time(const struct ladder_conn *c, const struct row *row, unsigned s, char text[24])
{
	uint64_t at = row->at[s];
	if (row->kind == ROW_FOLD && c->side[s].seen && (s == row->fold.first || !c->side[!s].seen))
		at = row->fold.from;
	if (at != TERN_NEVER) {
		snprintf(text, 24, "%.3f", milliseconds(c, at));
		return;
	}
	if (row->kind != ROW_SEGMENT || c->side[s].seen || c->rtt == TERN_NEVER)
		return;
	at = row->at[!s];
	double half = (double)c->rtt / 2e6;
	snprintf(text, 24, "(%.3f)", milliseconds(c, at) + (row->from == s ? -half : half));
}

static void fill_margin(const struct ladder_conn *c, const struct row *row, unsigned s,
	struct margin *margin)
{
	bool inferred = !c->side[s].seen;
	*margin = (struct margin){.inferred = inferred};
	fill_time(c, row, s, margin->text[0]);
	if (row->known[s])
		snprintf(margin->text[1], sizeof margin->text[1], inferred ? "(%s)" : "%s",
			tern_tcp_state_name(row->state[s]));
}

static void put_pair(const struct canvas *v, enum tint tint, const char *left, const char *right)
{
	unsigned used = columns(left) + columns(right);
	put_tinted(v, tint, left);
	put_spaces(v, used < v->width ? v->width - used : 1);
	put_tinted(v, tint, right);
	fputc('\n', v->out);
}

static void put_header(const struct canvas *v, const struct ladder_conn *c)
{
	char name[2][128], at[TERN_ENDPOINT_TEXT];
	const char *how[2];
	for (unsigned s = 0; s < 2; s++) {
		snprintf(name[s], sizeof name[s], "%s %s", tern_ladder_role(c, s),
			tern_endpoint_format(&c->side[s].endpoint, at));
		how[s] = c->side[s].seen ? "tern (its own states)" : "(inferred from its segments)";
	}
	put_pair(v, BOLD, name[0], name[1]);
	put_pair(v, DIM, how[0], how[1]);
	char text[160] = "ms since the first segment";
	if (c->rtt != TERN_NEVER && !(c->side[0].seen && c->side[1].seen))
		snprintf(text, sizeof text,
			"ms since the first segment; (inferred): half the least RTT of %.3f ms "
			"away",
			(double)c->rtt / 1e6);
	unsigned used = columns(text);
	put_spaces(v, used < v->width ? (v->width - used) / 2 : 0);
	put_tinted(v, DIM, text);
	fputc('\n', v->out);
}

/* The later of the times that are known. */
static void keep_pace(const struct canvas *v, const struct row *row)
{
	uint64_t at = row->at[0];
	if (at == TERN_NEVER || (row->at[1] != TERN_NEVER && row->at[1] > at))
		at = row->at[1];
	if (v->pace && at != TERN_NEVER)
		v->pace(v->pace_context, at);
}

static void put_connection(const struct canvas *v, const struct ladder_conn *c)
{
	put_header(v, c);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct row *row = &c->rows[i];
		struct margin margin[2];
		keep_pace(v, row);
		fill_margin(c, row, 0, &margin[0]);
		fill_margin(c, row, 1, &margin[1]);
		if (row->kind != ROW_SEGMENT || row->step != STEP_NONE || i == 0)
			put_line(v, NULL, 0, NULL, "", PLAIN);
		if (row->kind == ROW_SEGMENT)
			put_segment(v, row, margin);
		else
			put_lines(v, row, margin);
	}
	put_line(v, NULL, 0, NULL, "", PLAIN);
	if (c->lost_rows)
		fprintf(v->out, "%llu more rows were not kept\n", (unsigned long long)c->lost_rows);
}

static unsigned pick_width(FILE *out, unsigned wanted)
{
	struct winsize size;
	if (wanted == 0 && isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
		wanted = size.ws_col;
	if (wanted == 0)
		wanted = 100;
	return wanted < 80 ? 80 : wanted > 200 ? 200 : wanted;
}

static bool pick_utf8(enum tern_ladder_choice choice)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value = NULL;
	for (unsigned i = 0; i < 3 && !(value && *value); i++)
		value = getenv(names[i]);
	if (choice != TERN_LADDER_AUTO)
		return choice == TERN_LADDER_YES;
	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

static bool pick_colour(FILE *out, enum tern_ladder_choice choice)
{
	const char *no = getenv("NO_COLOR");
	if (choice != TERN_LADDER_AUTO)
		return choice == TERN_LADDER_YES;
	return !(no && *no) && isatty(fileno(out));
}

unsigned tern_ladder_print(struct tern_ladder *l, FILE *out, const struct tern_ladder_style *style)
{
	static const struct tern_ladder_style automatic;
	if (!style)
		style = &automatic;
	struct canvas v = {.out = out,
		.width = pick_width(out, style->width),
		.pace = style->pace,
		.pace_context = style->pace_context};
	v.inner = v.width - FRAMES;
	v.speech.utf8 = pick_utf8(style->utf8);
	v.colour = pick_colour(out, style->colour);
	tern_ladder_settle(l);
	for (unsigned i = 0; i < l->count; i++) {
		if (i)
			fputc('\n', out);
		v.speech.conn = l->conn[i];
		put_connection(&v, l->conn[i]);
	}
	return l->count;
}
