/* Calls by name: their arguments, when they are through, and what they should have returned. */
#include <errno.h>
#include <string.h>

#include "tools/script/calls.h"

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
		tern_script_fail(run, "argument %u of %s() is no integer", n + 1,
			p->event->call->name);
	return 0;
}

bool tern_script_item(const struct script_expr *expr, const char *name, int64_t *value)
{
	for (const struct script_expr *item = expr ? expr->items : NULL; item; item = item->next)
		if (item->kind == EXPR_INTEGER &&
			(!name || (item->name && strcmp(item->name, name) == 0))) {
			*value = item->value;
			return true;
		}
	return false;
}

struct script_fd *tern_script_fd(struct run *run, const struct script_pending *p)
{
	int64_t number = tern_script_arg_int(run, p, 0);
	if (number < 0 || number >= FDS_MAX || !run->fd[number].open)
		return NULL;
	return &run->fd[number];
}

void tern_script_endpoint(struct run *run, const struct script_expr *expr, struct tern_endpoint *ep)
{
	int64_t port;
	if (!expr || expr->kind != EXPR_STRUCT)
		return;
	if (tern_script_item(expr, "sin_port", &port))
		ep->port = (uint16_t)port;
	for (const struct script_expr *item = expr->items; item; item = item->next) {
		if (!item->name || strcmp(item->name, "sin_addr") != 0)
			continue;
		if (item->kind == EXPR_STRING && tern_addr_parse(item->text, &ep->addr) != 0)
			tern_script_fail(run, "no address: %s", item->text);
		else if (item->kind == EXPR_INTEGER) /* INADDR_ANY */
			ep->addr = tern_addr_v4(0, 0, 0, 0);
	}
}

int tern_script_take_error(struct script_fd *fd, int err)
{
	if (fd->error_taken)
		return 0;
	fd->error_taken = true;
	return err;
}

static const struct {
	const char *name;
	unsigned min, max;
	struct outcome (*call)(struct run *run, struct script_pending *p);
} calls[] = {
	{"socket", 3, 3, tern_script_call_socket},
	{"bind", 3, 3, tern_script_call_bind},
	{"listen", 2, 2, tern_script_call_listen},
	{"accept", 3, 3, tern_script_call_accept},
	{"accept4", 4, 4, tern_script_call_accept},
	{"connect", 3, 3, tern_script_call_connect},
	{"shutdown", 2, 2, tern_script_call_shutdown},
	{"close", 1, 1, tern_script_call_close},
	{"read", 3, 3, tern_script_call_read},
	{"recv", 4, 4, tern_script_call_read},
	{"recvfrom", 6, 6, tern_script_call_read},
	{"write", 3, 3, tern_script_call_write},
	{"send", 4, 4, tern_script_call_write},
	{"sendto", 6, 6, tern_script_call_write},
	{"setsockopt", 5, 5, tern_script_call_setsockopt},
	{"getsockopt", 5, 5, tern_script_call_getsockopt},
	{"fcntl", 2, 3, tern_script_call_fcntl},
	{"ioctl", 3, 3, tern_script_call_ioctl},
	{"poll", 3, 3, tern_script_call_poll},
	{"tern_state", 1, 1, tern_script_call_state},
};

static struct outcome attempt(struct run *run, struct script_pending *p)
{
	const struct script_call *call = p->event->call;
	unsigned args = 0;
	for (const struct script_expr *arg = call->args; arg; arg = arg->next)
		args++;
	for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
		if (strcmp(calls[k].name, call->name) != 0)
			continue;
		if (args >= calls[k].min && args <= calls[k].max)
			return calls[k].call(run, p);
		tern_script_fail(run, "%s() takes %u arguments", call->name, calls[k].min);
		return refused(EINVAL);
	}
	tern_script_fail(run, "%s() is not known here", call->name);
	return refused(ENOSYS);
}

static char *result_text(int64_t value, int error, char text[128])
{
	if (value < 0 && error)
		snprintf(text, 128, "%jd %s (%s)", (intmax_t)value, strerrorname_np(error),
			strerror(error));
	else
		snprintf(text, 128, "%jd", (intmax_t)value);
	return text;
}

/* Compares what a call returned, and when, with what the script says. */
static void check_outcome(struct run *run, const struct script_pending *p, struct outcome o)
{
	const struct script_call *call = p->event->call;
	char want[128], got[128];
	if (run->failed)
		return;
	result_text(o.value, o.error, got);
	tern_script_tell(run, "%s() = %s", call->name, got);
	if (call->result->kind == EXPR_INTEGER &&
		(call->result->value != o.value || (call->error && call->error != o.error)))
		tern_script_fail(run, "%s() returned %s\n    want  %s\n    got   %s", call->name,
			o.value < 0 ? "an error" : "another value",
			result_text(call->result->value, call->error, want), got);
	else if (run->now + run->set.tolerance < p->to || run->now > p->to + run->set.tolerance)
		tern_script_fail(run, "%s() returned at %.6f, not at %.6f", call->name,
			(double)run->now / 1e9, (double)p->to / 1e9);
}

void tern_script_call(struct run *run, const struct script_event *event, int64_t from, int64_t to)
{
	struct script_pending p = {.event = event, .from = from, .to = to, .alarm = INT64_MAX};
	struct outcome o = attempt(run, &p);
	if (!o.blocked)
		check_outcome(run, &p, o);
	else if (!event->time.range)
		tern_script_fail(run, "%s() blocks", event->call->name);
	else if (run->calls == CALLS_MAX)
		tern_script_fail(run, "more than %d calls blocked at once", CALLS_MAX);
	else
		run->pending[run->calls++] = p;
	if (!run->failed)
		tern_script_pump(run);
}

static bool retry(struct run *run, unsigned k)
{
	struct script_pending *p = &run->pending[k];
	int line = run->line;
	run->line = p->event->line;
	struct outcome o = attempt(run, p);
	if (!o.blocked) {
		check_outcome(run, p, o);
		run->calls--;
		memmove(p, p + 1, (run->calls - k) * sizeof *p);
	} else if (run->now > p->to + run->set.tolerance) {
		tern_script_fail(run, "%s() still blocks at %.6f", p->event->call->name,
			(double)run->now / 1e9);
	}
	if (!run->failed)
		run->line = line;
	return !o.blocked;
}

bool tern_script_retry(struct run *run)
{
	bool progress = false;
	for (unsigned k = 0; k < run->calls && !run->failed;) {
		bool through = retry(run, k);
		progress |= through;
		k += !through;
	}
	return progress;
}
