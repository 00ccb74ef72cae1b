/* When a call is through, and what it should have returned. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/script/call.h"

void *tern_script_lend(struct script_pending *p, size_t size)
{
	void *memory = calloc(1, size ? size : 1);
	if (!memory || p->memories == sizeof p->memory / sizeof *p->memory)
		abort();
	return p->memory[p->memories++] = memory;
}

static void drop(struct script_pending *p)
{
	for (unsigned k = 0; k < p->memories; k++)
		free(p->memory[k]);
	free(p);
}

struct script_expr *tern_script_arg(const struct script_pending *p, unsigned n)
{
	struct script_expr *arg = p->event->call->args;
	while (arg && n--)
		arg = arg->next;
	return arg;
}

int64_t tern_script_arg_int(struct run *run, const struct script_pending *p, unsigned n)
{
	const struct script_expr *arg = tern_script_arg(p, n);
	if (arg && arg->kind == EXPR_INTEGER)
		return arg->value;
	if (arg && arg->kind != EXPR_ANY)
		tern_script_refuse(run, "argument %u of %s() is no integer", n + 1,
			p->event->call->name);
	return 0;
}

const struct script_expr *tern_script_item(const struct script_expr *expr, const char *name)
{
	for (const struct script_expr *item = expr ? expr->items : NULL; item; item = item->next)
		if (name ? item->name && strcmp(item->name, name) == 0 : !item->name)
			return item;
	return NULL;
}

bool tern_script_item_int(const struct script_expr *expr, const char *name, int64_t *value)
{
	const struct script_expr *item = tern_script_item(expr, name);
	if (!item || item->kind != EXPR_INTEGER)
		return false;
	*value = item->value;
	return true;
}

int tern_script_live_fd(const struct run *run, int64_t number)
{
	if (number < 0 || number >= FDS_MAX || !run->fd[number].used)
		return -1;
	return run->fd[number].live;
}

void tern_script_new_fd(struct run *run, const struct script_pending *p, int64_t number, int live)
{
	if (number < 0 || number >= FDS_MAX) {
		tern_script_fail(run,
			"%s() succeeded; the script gives no descriptor below %d for it",
			p->event->call->name, FDS_MAX);
		return;
	}
	run->fd[number] = (struct script_fd){.used = true, .live = live};
}

/* --- outcome ----------------------------------------------------------------------------- */

static char *result_text(const struct script_spec *spec, int64_t value, int error, char text[128])
{
	if (spec->op == DRILL_OPS && value >= 0 && value < TERN_TCP_STATES)
		snprintf(text, 128, "%s", tern_tcp_state_name((enum tern_tcp_state)value));
	else if (value < 0 && error)
		snprintf(text, 128, "%jd %s (%s)", (intmax_t)value, strerrorname_np(error),
			strerror(error));
	else
		snprintf(text, 128, "%jd", (intmax_t)value);
	return text;
}

/* A descriptor that the script does not care about gets the first number free. */
static int64_t number_for(const struct run *run, const struct script_expr *result)
{
	if (result->kind == EXPR_INTEGER)
		return result->value;
	for (int64_t k = FDS_MAX - 1; k >= 0; k--)
		if (!run->fd[k].used)
			return k;
	return -1;
}

static void take_fd(struct run *run, const struct script_pending *p)
{
	int64_t number = number_for(run, p->event->call->result);
	if (number >= 0 && number < FDS_MAX && run->fd[number].used)
		tern_script_fail(run, "%s() succeeded; descriptor %jd is open already",
			p->spec->name, (intmax_t)number);
	tern_script_new_fd(run, p, number, (int)p->call.result);
	if (!run->failed && p->spec->op == DRILL_ACCEPT)
		run->code_fd = run->fd[number].live;
}

/* Its result is a number the target chose; the script's own is compared with it by name only. */
static bool as_said(const struct script_pending *p)
{
	const struct script_call *call = p->event->call;
	int64_t want = call->result->value, got = p->call.result;
	if (call->result->kind != EXPR_INTEGER)
		return true;
	if (p->spec->makes_fd && want >= 0)
		return got >= 0;
	return want == got && (!call->error || call->error == p->call.error);
}

static void check_time(struct run *run, const struct script_pending *p)
{
	int64_t time = p->call.time;
	if (time + run->set.tolerance < p->to || time > p->to + run->set.tolerance)
		tern_script_fail(run, "%s() returned at %.6f, not at %.6f", p->spec->name,
			(double)time / 1e9, (double)p->to / 1e9);
}

/* Compares what a call returned, and when, with what the script says. */
static void check_outcome(struct run *run, struct script_pending *p)
{
	const struct script_call *call = p->event->call;
	char want[128], got[128];
	int line = run->line;
	if (run->failed)
		return;
	run->line = p->event->line;
	result_text(p->spec, p->call.result, p->call.error, got);
	tern_script_note_call(run, p->call.time, "%s() = %s", call->name, got);
	if (!as_said(p))
		tern_script_fail(run, "%s() returned %s\n    want  %s\n    got   %s", call->name,
			p->call.result < 0 ? "an error" : "another value",
			result_text(p->spec, call->result->value, call->error, want), got);
	check_time(run, p);
	if (!run->failed && p->spec->makes_fd && p->call.result >= 0)
		take_fd(run, p);
	if (!run->failed && p->spec->verify)
		p->spec->verify(run, p);
	if (!run->failed)
		run->line = line;
}

/* --- under way --------------------------------------------------------------------------- */

static void prepare(struct run *run, struct script_pending *p)
{
	const struct script_expr *first = tern_script_arg(p, 0);
	for (unsigned k = 0; !p->spec->prepare && k < p->spec->max && k < 6; k++)
		p->call.arg[k] = (intptr_t)tern_script_arg_int(run, p, k);
	if (p->spec->prepare)
		p->spec->prepare(run, p);
	if (first && first->kind == EXPR_INTEGER && p->spec->op != DRILL_SOCKET &&
		p->spec->op != DRILL_EPOLL_CREATE) {
		int64_t number = first->value;
		p->call.arg[0] = tern_script_live_fd(run, number);
		p->fd = number >= 0 && number < FDS_MAX ? &run->fd[number] : NULL;
	}
}

static void keep(struct run *run, struct script_pending *p)
{
	struct script_pending **tail = &run->pending;
	while (*tail)
		tail = &(*tail)->next;
	*tail = p;
}

static const struct script_spec *spec_of(struct run *run, const struct script_call *call)
{
	const struct script_spec *spec = tern_script_spec(call->name);
	unsigned args = 0;
	for (const struct script_expr *arg = call->args; arg; arg = arg->next)
		args++;
	if (!spec)
		tern_script_refuse(run, "%s() is not known here", call->name);
	else if (args < spec->min || args > spec->max)
		tern_script_refuse(run, "%s() takes %u argument%s", call->name, spec->min,
			spec->min == 1 ? "" : "s");
	return spec;
}

bool tern_script_call_known(struct run *run, const struct script_call *call)
{
	(void)spec_of(run, call);
	return !run->failed;
}

#define SHORTLY 50   /* ms: a call that may be over, and another that may need its descriptor */
#define AT_LAST 2000 /* ms: a call that must be over */

static void look_at(struct run *run, struct script_pending *p, int patience)
{
	int64_t now = run->target->now(run);
	bool late = now > p->to + run->set.tolerance;
	if (!p->call.finished)
		run->target->await(run, p, late ? AT_LAST : now >= p->to ? patience : 0);
	if (p->call.finished || !late)
		return;
	run->line = p->event->line;
	tern_script_fail(run, "%s() still blocks at %.6f", p->spec->name, (double)now / 1e9);
}

static void settle(struct run *run, int patience)
{
	for (struct script_pending **link = &run->pending, *p; (p = *link) && !run->failed;) {
		look_at(run, p, patience);
		if (run->failed || !p->call.finished) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		check_outcome(run, p);
		drop(p);
	}
}

/* tern's own: the state of a connection, of one closed too. */
static bool tell_state(struct run *run, struct script_pending *p)
{
	int64_t number = tern_script_arg_int(run, p, 0);
	bool known =
		number >= 0 && number < FDS_MAX && (run->fd[number].used || run->fd[number].live);
	p->call.result = known ? run->target->state(run, run->fd[number].live) : -1;
	p->call.finished = true;
	p->call.time = run->target->now(run);
	return p->call.result >= 0 || !known; /* else the target cannot tell */
}

void tern_script_call(struct run *run, const struct script_event *event, int64_t from, int64_t to)
{
	const struct script_spec *spec = spec_of(run, event->call);
	if (!run->failed)
		settle(run, SHORTLY);
	if (run->failed)
		return;
	struct script_pending *p = calloc(1, sizeof *p);
	if (!p)
		abort();
	*p = (struct script_pending){.event = event,
		.spec = spec,
		.from = from,
		.to = to,
		.run = run,
		.call.op = spec->op};
	if (spec->op == DRILL_OPS) {
		if (tell_state(run, p))
			check_outcome(run, p);
		drop(p);
		return;
	}
	prepare(run, p);
	if (!run->failed)
		run->target->call(run, p);
	if (run->failed)
		drop(p);
	else if (p->call.finished) {
		check_outcome(run, p);
		drop(p);
	} else {
		keep(run, p);
		if (!event->time.range)
			tern_script_fail(run,
				"%s() blocks; one that may is given a range of times, such as "
				"+0...0.1",
				spec->name);
	}
	tern_script_settle(run);
}

void tern_script_settle(struct run *run)
{
	settle(run, 0);
}

void tern_script_drop_calls(struct run *run)
{
	for (struct script_pending *p; (p = run->pending);) {
		run->pending = p->next;
		if (run->drill)
			tern_drill_interrupt(run->drill, &p->call);
		if (p->threaded) {
			pthread_cancel(p->thread);
			pthread_join(p->thread, NULL);
		}
		drop(p);
	}
}
