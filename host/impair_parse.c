#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/impair.h>

/* Overtaking needs something to overtake: the default when frames are not delayed anyway. */
#define REORDER_GAP_DEFAULT 1000000
#define REORDER_DEFAULT     0.05
#define KEY_MAX             16
#define QUEUE_MAX           1000000

const char tern_impair_help[] =
	"  loss=P                   each frame is lost with probability P (1%, 0.01)\n"
	"  burst=ENTER/LEAVE[/LOSS] bursts of loss: chance per frame to enter and to leave the\n"
	"                           bad state, and the loss in it (100%)\n"
	"  delay=T                  each frame takes T (20ms, 500us, 1s)\n"
	"  jitter=T                 the delay varies by up to T either way; order is kept\n"
	"  reorder[=P[/GAP]]        with probability P (5%) a frame skips the delay, or arrives "
	"GAP\n"
	"                           late (1ms when there is neither delay nor GAP)\n"
	"  duplicate=P              a frame arrives twice\n"
	"  corrupt=P                one random bit of a frame is flipped\n"
	"  rate=R                   bits a second (100mbit, 1gbit)\n"
	"  queue=N                  frames that may wait for the rate; more are dropped (1000)\n"
	"  ecn=P, ecn=N             ECN-capable packets are marked with probability P, or "
	"while\n"
	"                           more than N frames wait for the rate\n"
	"  after=N                  chance spares the first N frames; delay and rate do not\n";

struct parse {
	struct tern_impair_spec *spec;
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct parse *p, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(p->err, p->err_size, format, args);
	va_end(args);
	return false;
}

/* A plain decimal number at the front of text; what follows is left in *rest. */
static bool number(const char *text, double *out, const char **rest)
{
	if (!(text[0] >= '0' && text[0] <= '9') && text[0] != '.')
		return false;
	if (text[strspn(text, "0123456789.")] == 'x' || text[0] == '\0')
		return false;
	char *end;
	errno = 0;
	*out = strtod(text, &end);
	*rest = end;
	return errno == 0 && end != text;
}

static bool probability(struct parse *p, const char *key, const char *text, double *out)
{
	const char *rest;
	double v;
	if (number(text, &v, &rest)) {
		if (strcmp(rest, "%") == 0)
			v /= 100, rest = "";
		if (*rest == '\0' && v >= 0 && v <= 1) {
			*out = v;
			return true;
		}
	}
	return fail(p, "%s: \"%s\" is not a probability such as 1%% or 0.01", key, text);
}

struct unit {
	const char *name;
	double scale;
};

static bool scaled(const char *text, const struct unit *units, double max, uint64_t *out)
{
	const char *rest;
	double v;
	if (!number(text, &v, &rest))
		return false;
	for (const struct unit *u = units; u->name; u++) {
		if (strcmp(rest, u->name) != 0 || v * u->scale > max)
			continue;
		*out = (uint64_t)(v * u->scale + 0.5);
		return true;
	}
	return false;
}

static bool duration(struct parse *p, const char *key, const char *text, uint64_t *out)
{
	static const struct unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {0}};
	return scaled(text, units, 1e12, out) ||
	       fail(p, "%s: \"%s\" is not a time such as 20ms, of at most 1000s", key, text);
}

static bool rate(struct parse *p, const char *key, const char *text, uint64_t *out)
{
	static const struct unit units[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9},
		{0}};
	return (scaled(text, units, 1e12, out) && *out >= 1000) ||
	       fail(p, "%s: \"%s\" is not a rate such as 100mbit, of 1kbit to 1000gbit", key, text);
}

static bool count(struct parse *p, const char *key, const char *text, uint64_t max, uint64_t *out)
{
	static const struct unit plain[] = {{"", 1}, {0}};
	return (!strchr(text, '.') && scaled(text, plain, (double)max, out)) ||
	       fail(p, "%s: \"%s\" is not a number of at most %llu", key, text,
		       (unsigned long long)max);
}

/* Cuts text at its first slash; the rest, or NULL. */
static char *cut_slash(char *text)
{
	char *slash = strchr(text, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

static bool burst(struct parse *p, char *value)
{
	struct tern_impair_spec *s = p->spec;
	char *leave = cut_slash(value), *loss = leave ? cut_slash(leave) : NULL;
	if (!leave)
		return fail(p, "burst: wants ENTER/LEAVE[/LOSS], such as 1%%/30%%");
	s->burst_loss = 1;
	return probability(p, "burst", value, &s->burst_enter) &&
	       probability(p, "burst", leave, &s->burst_leave) &&
	       (!loss || probability(p, "burst", loss, &s->burst_loss));
}

static bool reorder(struct parse *p, char *value)
{
	struct tern_impair_spec *s = p->spec;
	s->reorder = REORDER_DEFAULT;
	if (!value)
		return true;
	char *gap = cut_slash(value);
	return probability(p, "reorder", value, &s->reorder) &&
	       (!gap || duration(p, "reorder", gap, &s->reorder_gap));
}

static bool queue(struct parse *p, const char *value)
{
	uint64_t n;
	if (!count(p, "queue", value, QUEUE_MAX, &n))
		return false;
	if (n == 0)
		return fail(p, "queue: must hold at least 1 frame");
	p->spec->queue = (uint32_t)n;
	return true;
}

static bool ecn(struct parse *p, const char *value)
{
	uint64_t n;
	if (strpbrk(value, "%."))
		return probability(p, "ecn", value, &p->spec->mark);
	if (!count(p, "ecn", value, QUEUE_MAX, &n))
		return false;
	if (n == 0)
		return fail(p, "ecn: wants a probability such as 1%%, or at least 1 frame");
	p->spec->mark_above = (uint32_t)n;
	return true;
}

static const char *const keys[] = {"loss", "burst", "delay", "jitter", "reorder", "duplicate",
	"corrupt", "rate", "queue", "ecn", "after"};
#define KEYS (sizeof keys / sizeof keys[0])

static bool assign(struct parse *p, unsigned key, char *value)
{
	struct tern_impair_spec *s = p->spec;
	const char *name = keys[key];
	if (!value && strcmp(name, "reorder") != 0)
		return fail(p, "%s: wants a value: %s=...", name, name);
	switch (key) {
	case 0:
		return probability(p, name, value, &s->loss);
	case 1:
		return burst(p, value);
	case 2:
		return duration(p, name, value, &s->delay);
	case 3:
		return duration(p, name, value, &s->jitter);
	case 4:
		return reorder(p, value);
	case 5:
		return probability(p, name, value, &s->duplicate);
	case 6:
		return probability(p, name, value, &s->corrupt);
	case 7:
		return rate(p, name, value, &s->rate);
	case 8:
		return queue(p, value);
	case 9:
		return ecn(p, value);
	default:
		return count(p, name, value, UINT32_MAX, &s->after);
	}
}

static bool item(struct parse *p, char *text, unsigned *seen)
{
	char *value = strchr(text, '=');
	if (value)
		*value++ = '\0';
	for (unsigned k = 0; k < KEYS; k++) {
		if (strcmp(text, keys[k]) != 0)
			continue;
		if (*seen & 1u << k)
			return fail(p, "%s: given twice", text);
		*seen |= 1u << k;
		return assign(p, k, value);
	}
	return fail(p,
		"\"%s\": no such impairment; there are loss, burst, delay, jitter, reorder, "
		"duplicate, "
		"corrupt, rate, queue, ecn and after",
		text);
}

static bool whole(struct parse *p)
{
	struct tern_impair_spec *s = p->spec;
	if (s->jitter > s->delay)
		return fail(p, "jitter: larger than the delay");
	if (s->queue && !s->rate)
		return fail(p, "queue: means nothing without a rate");
	if (s->mark_above && !s->rate)
		return fail(p, "ecn: a number of frames means nothing without a rate");
	if (s->reorder > 0 && s->delay == 0 && s->reorder_gap == 0)
		s->reorder_gap = REORDER_GAP_DEFAULT;
	return true;
}

int tern_impair_parse(const char *text, struct tern_impair_spec *out, char *err, size_t err_size)
{
	struct tern_impair_spec spec = {0};
	struct parse p = {&spec, err, err_size};
	char copy[512];
	unsigned seen = 0;
	bool good = strlen(text) < sizeof copy || fail(&p, "impairment too long");
	if (good && *text) {
		strcpy(copy, text);
		for (char *at = copy, *next; good && at; at = next) {
			next = strchr(at, ',');
			if (next)
				*next++ = '\0';
			good = item(&p, at, &seen);
		}
	}
	if (!good || !whole(&p))
		return TERN_EINVAL;
	*out = spec;
	return 0;
}
