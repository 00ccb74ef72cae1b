/*
 * The statements of %{ }%: the part of Python that the suites use, on 64-bit integers. Names are
 * Linux's tcp_info fields and constants, sk_meminfo's, and variables of the script's own, which
 * last until its end.
 *
 *	assert EXPRESSION [, MESSAGE]     print(EXPRESSION, ...)
 *	NAME = EXPRESSION                 NAME += EXPRESSION (also -= *=)
 *
 * or, and, not, comparisons (also chained), | ^ & << >> + - * // / % unary - ~, parentheses,
 * min, max, abs, "strings" with % for messages.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tools/script/code.h"

static int64_t expression(struct script_reader *r);

void tern_script_code_wrong(struct script_reader *r, const char *what)
{
	tern_script_refuse(r->run, "%%{ }%%: %s at \"%.24s\"", what, r->at);
	r->at = ""; /* nothing more to read */
}

/* --- words ------------------------------------------------------------------------------- */

/* Lines go on within parentheses and after a backslash. */
static void skip(struct script_reader *r)
{
	for (;; r->at++) {
		if (*r->at == '\\' && (r->at[1] == '\n' || r->at[1] == '\r'))
			r->at++;
		else if (*r->at == '#')
			r->at += strcspn(r->at, "\n") - 1;
		else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r' &&
			 !(*r->at == '\n' && r->depth))
			return;
	}
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Takes a symbol or a word if it is next. */
static bool take(struct script_reader *r, const char *text)
{
	size_t len = strlen(text);
	skip(r);
	if (strncmp(r->at, text, len) != 0 || (word_char(*text) && word_char(r->at[len])))
		return false;
	r->at += len;
	return true;
}

static bool take_operator(struct script_reader *r, const char *text, const char *not_before)
{
	skip(r);
	size_t len = strlen(text);
	if (strncmp(r->at, text, len) != 0 || (r->at[len] && strchr(not_before, r->at[len])))
		return false;
	r->at += len;
	return true;
}

static void name_of(struct script_reader *r, char name[32])
{
	size_t len = 0;
	for (; word_char(r->at[len]); len++)
		;
	snprintf(name, 32, "%.*s", (int)len, r->at);
	r->at += len;
}

static void skip_string(struct script_reader *r)
{
	char quote = *r->at++;
	while (*r->at && *r->at != quote)
		r->at += *r->at == '\\' && r->at[1] ? 2 : 1;
	if (*r->at)
		r->at++;
	else
		tern_script_code_wrong(r, "a string without its end");
}

/* --- expressions, from the tightest ------------------------------------------------------ */

/* (a, b, ...): how many there are; the first two values. */
static unsigned list(struct script_reader *r, int64_t *a, int64_t *b)
{
	unsigned n = 0;
	r->depth++;
	while (!take(r, ")") && *r->at) {
		int64_t value = expression(r);
		if (n == 0)
			*a = value;
		else if (n == 1)
			*b = value;
		n++;
		if (!take(r, ",") && *r->at != ')') {
			tern_script_code_wrong(r, "no , or )");
			break;
		}
	}
	r->depth--;
	return n;
}

static int64_t function(struct script_reader *r, const char *name)
{
	int64_t a = 0, b = 0;
	unsigned n = list(r, &a, &b);
	if (n == 2 && strcmp(name, "min") == 0)
		return a < b ? a : b;
	if (n == 2 && strcmp(name, "max") == 0)
		return a > b ? a : b;
	if (n == 1 && strcmp(name, "abs") == 0)
		return a < 0 ? -a : a;
	if (n == 1 && strcmp(name, "int") == 0)
		return a;
	tern_script_refuse(r->run, "%%{ }%%: no such function: %s() of %u", name, n);
	return 0;
}

static int64_t atom(struct script_reader *r)
{
	int64_t value = 0, ignored;
	char name[32], *end;
	skip(r);
	if (*r->at == '"' || *r->at == '\'') {
		skip_string(r);
	} else if (isdigit((unsigned char)*r->at)) {
		value = strtoll(r->at, &end, 0);
		r->at = end;
		if (*r->at == '.')
			tern_script_code_wrong(r, "only whole numbers");
	} else if (take(r, "(")) {
		list(r, &value, &ignored);
	} else if (word_char(*r->at)) {
		name_of(r, name);
		value = take(r, "(") ? function(r, name) : tern_script_value(r, name);
	} else {
		tern_script_code_wrong(r, "no value");
	}
	return value;
}

static int64_t unary(struct script_reader *r)
{
	if (take(r, "-"))
		return -unary(r);
	if (take(r, "+"))
		return unary(r);
	return take(r, "~") ? ~unary(r) : atom(r);
}

static int64_t divide(struct script_reader *r, int64_t a, int64_t b, bool remainder)
{
	if (b == 0 && r->run->reading)
		return 0;
	if (b == 0) {
		tern_script_code_wrong(r, "division by zero");
		return 0;
	}
	int64_t down = a / b - (a % b != 0 && (a < 0) != (b < 0)); /* as Python's */
	return remainder ? a - down * b : down;
}

static int64_t product(struct script_reader *r)
{
	skip(r);
	bool text = *r->at == '"' || *r->at == '\'';
	int64_t value = unary(r);
	for (;;) {
		if (take_operator(r, "*", "*="))
			value *= unary(r);
		else if (take(r, "//") || take_operator(r, "/", "="))
			value = divide(r, value, unary(r), false);
		else if (text && take_operator(r, "%", "="))
			(void)unary(r); /* a message's parts */
		else if (take_operator(r, "%", "="))
			value = divide(r, value, unary(r), true);
		else
			return value;
	}
}

static int64_t sum(struct script_reader *r)
{
	int64_t value = product(r);
	for (;;) {
		if (take_operator(r, "+", "="))
			value += product(r);
		else if (take_operator(r, "-", "="))
			value -= product(r);
		else
			return value;
	}
}

static int64_t shift(struct script_reader *r)
{
	int64_t value = sum(r);
	for (;;) {
		if (take(r, "<<"))
			value = (int64_t)((uint64_t)value << (sum(r) & 63));
		else if (take(r, ">>"))
			value >>= sum(r) & 63;
		else
			return value;
	}
}

static int64_t bit_and(struct script_reader *r)
{
	int64_t value = shift(r);
	while (take_operator(r, "&", "="))
		value &= shift(r);
	return value;
}

static int64_t bit_xor(struct script_reader *r)
{
	int64_t value = bit_and(r);
	while (take_operator(r, "^", "="))
		value ^= bit_and(r);
	return value;
}

static int64_t bit_or(struct script_reader *r)
{
	int64_t value = bit_xor(r);
	while (take_operator(r, "|", "="))
		value |= bit_xor(r);
	return value;
}

/* One comparison's operator; NULL if none is next. */
static const char *comparison(struct script_reader *r)
{
	static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
	for (size_t k = 0; k < sizeof operators / sizeof *operators; k++)
		if (take(r, operators[k]))
			return operators[k];
	return NULL;
}

static bool compare(const char *operator, int64_t a, int64_t b)
{
	switch (*operator) {
	case '=':
		return a == b;
	case '!':
		return a != b;
	case '<':
		return operator[1] ? a <= b : a<b;
	default:
		return operator[1] ? a >= b : a> b;
	}
}

/* a <= b <= c is both. */
static int64_t chain(struct script_reader *r)
{
	int64_t left = bit_or(r);
	const char *operator= comparison(r);
	if (!operator)
		return left;
	bool all = true;
	for (; operator; operator= comparison(r)) {
		int64_t right = bit_or(r);
		all &= compare(operator, left, right);
		left = right;
	}
	return all;
}

static int64_t negation(struct script_reader *r)
{
	return take(r, "not") ? !negation(r) : chain(r);
}

static int64_t conjunction(struct script_reader *r)
{
	int64_t value = negation(r);
	while (take(r, "and")) {
		int64_t right = negation(r);
		value = value && right;
	}
	return value;
}

static int64_t expression(struct script_reader *r)
{
	int64_t value = conjunction(r);
	while (take(r, "or")) {
		int64_t right = conjunction(r);
		value = value || right;
	}
	return value;
}

/* --- statements -------------------------------------------------------------------------- */

/* The value of the first name in the text, for who reads the failure. */
static void fail_assertion(struct script_reader *r, const char *from, const char *to)
{
	char found[512] = "", name[32];
	for (const char *at = from; at < to; at++) {
		struct script_reader word = *r;
		word.at = at;
		if (strncmp(at, "tcpi_", 5) != 0 || (at > from && word_char(at[-1])))
			continue;
		name_of(&word, name);
		size_t len = strlen(found);
		if (!strstr(found, name))
			snprintf(found + len, sizeof found - len, "\n    %s is %jd", name,
				(intmax_t)tern_script_value(&word, name));
	}
	tern_script_fail(r->run, "assertion is false: %.*s%s", (int)(to - from), from, found);
}

static void assertion(struct script_reader *r)
{
	skip(r);
	const char *from = r->at;
	int64_t value = expression(r);
	const char *to = r->at;
	if (take(r, ",")) {
		skip(r);
		(void)expression(r);
	}
	if (!value && !r->run->failed && !r->run->reading)
		fail_assertion(r, from, to);
}

/* An argument of print(): a string as it stands, else the value of an expression. */
static int print_one(struct script_reader *r, char *out, size_t size)
{
	skip(r);
	const char *from = r->at;
	if (*from == '"' || *from == '\'') {
		skip_string(r);
		const char *to = r->at;
		skip(r);
		if (*r->at == ',' || *r->at == ')')
			return snprintf(out, size, "%.*s", (int)(to - from - 2), from + 1);
		r->at = from;
	}
	return snprintf(out, size, "%jd", (intmax_t)expression(r));
}

/* To the ladder, and to stdout if that is not being printed there. */
static void print(struct script_reader *r)
{
	char text[SCRIPT_TEXT] = "";
	size_t len = 0;
	if (!take(r, "(")) {
		tern_script_code_wrong(r, "print is written print(...):");
		return;
	}
	r->depth++;
	while (!take(r, ")") && *r->at) {
		if (len && len < sizeof text - 1)
			text[len++] = ' ';
		len += (size_t)print_one(r, text + len, sizeof text - len);
		if (len >= sizeof text)
			len = sizeof text - 1;
		if (!take(r, ",") && *r->at != ')')
			tern_script_code_wrong(r, "no , or )");
	}
	r->depth--;
	if (r->run->failed || r->run->reading)
		return;
	tern_script_note_call(r->run, r->run->last, "%s", text);
	if (!r->run->opts->verbose)
		puts(text);
}

static void assign(struct script_reader *r, const char *name)
{
	static const char *const operators[] = {"+=", "-=", "*=", "="};
	struct variable *v = tern_script_variable(r->run, name);
	size_t k = 0;
	while (k < 4 && !take_operator(r, operators[k], k == 3 ? "=" : ""))
		k++;
	if (k == 4 || (k < 3 && !v)) {
		tern_script_code_wrong(r, "a statement is assert, print() or NAME = EXPRESSION:");
		return;
	}
	int64_t value = expression(r);
	if (!v && r->run->variables < VARIABLES_MAX)
		v = &r->run->variable[r->run->variables++];
	if (!v) {
		tern_script_code_wrong(r, "too many variables");
		return;
	}
	snprintf(v->name, sizeof v->name, "%s", name);
	v->value = k == 0   ? v->value + value
		   : k == 1 ? v->value - value
		   : k == 2 ? v->value * value
			    : value;
}

static void statement(struct script_reader *r)
{
	char name[32];
	if (take(r, "assert")) {
		assertion(r);
	} else if (take(r, "print")) {
		print(r);
	} else if (word_char(*r->at) && !isdigit((unsigned char)*r->at)) {
		name_of(r, name);
		assign(r, name);
	} else {
		tern_script_code_wrong(r, "no statement");
	}
}

void tern_script_code(struct run *run, const char *code)
{
	struct script_reader r = {.run = run, .at = code};
	while (!run->failed) {
		skip(&r);
		if (*r.at == '\n' || *r.at == ';') {
			r.at++;
			continue;
		}
		if (!*r.at)
			break;
		statement(&r);
		skip(&r);
		if (*r.at && *r.at != '\n' && *r.at != ';')
			tern_script_code_wrong(&r, "more than a statement");
	}
}
