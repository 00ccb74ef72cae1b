/* The calls a script may make: their arguments, and what they give back besides their result. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tools/script/call.h"

#define OPTION_ROOM 512

static void numbers(struct run *run, struct script_pending *p, unsigned from, unsigned to)
{
	for (unsigned k = from; k <= to; k++)
		p->call.arg[k] = (intptr_t)tern_script_arg_int(run, p, k);
}

static void prepare_socket(struct run *run, struct script_pending *p)
{
	numbers(run, p, 0, 2);
	if (tern_script_arg(p, 0)->kind == EXPR_ANY)
		p->call.arg[0] = AF_INET;
}

static void verify_socket(struct run *run, struct script_pending *p)
{
	int64_t type = tern_script_arg_int(run, p, 1) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	const struct script_expr *result = p->event->call->result;
	if (p->call.result >= 0 && result->kind == EXPR_INTEGER)
		run->fd[result->value].datagram = type == SOCK_DGRAM;
}

static void prepare_bind(struct run *run, struct script_pending *p)
{
	struct tern_endpoint here = {run->set.local, run->set.bind_port};
	tern_script_address(run, p, 1, &here);
}

static void prepare_connect(struct run *run, struct script_pending *p)
{
	struct tern_endpoint there = {run->set.remote, run->set.connect_port};
	int64_t number = tern_script_arg_int(run, p, 0);
	tern_script_address(run, p, 1, &there);
	struct script_fd *fd = tern_script_live_fd(run, number) < 0 ? NULL : &run->fd[number];
	if (!fd || fd->datagram)
		return;
	run->code_fd = fd->live;
	p->opens = !fd->connecting;
	run->opening += p->opens;
	fd->connecting = true;
}

/* A connect() that was refused at once sends no SYN. */
static void verify_connect(struct run *run, struct script_pending *p)
{
	bool refused = p->call.result < 0 && p->call.error != EINPROGRESS;
	if (!p->opens || !refused || p->call.time > p->from)
		return;
	p->fd->connecting = false;
	if (run->opening)
		run->opening--;
}

static void prepare_accept(struct run *run, struct script_pending *p)
{
	socklen_t *room = tern_script_lend(p, sizeof *room);
	*room = sizeof(struct sockaddr_in);
	p->call.arg[1] = (intptr_t)tern_script_lend(p, *room);
	p->call.arg[2] = (intptr_t)room;
	p->call.arg[3] = (intptr_t)tern_script_arg_int(run, p, 3);
}

static void verify_close(struct run *run, struct script_pending *p)
{
	int64_t number = tern_script_arg_int(run, p, 0);
	if (p->call.result == 0 && number >= 0 && number < FDS_MAX)
		run->fd[number].used = false;
}

static bool compare_int(struct run *run, const struct script_pending *p,
	const struct script_expr *list, int got)
{
	int64_t want;
	if (!tern_script_item_int(list, NULL, &want) || (int)want == got)
		return true;
	tern_script_fail(run, "%s() found another value\n    want  [%jd]\n    got   [%d]",
		p->spec->name, (intmax_t)want, got);
	return false;
}

static void prepare_ioctl(struct run *run, struct script_pending *p)
{
	int64_t value = 0;
	int *cell = tern_script_lend(p, sizeof *cell);
	tern_script_item_int(tern_script_arg(p, 2), NULL, &value);
	*cell = (int)value;
	p->call.arg[1] = (intptr_t)tern_script_arg_int(run, p, 1);
	p->call.arg[2] = (intptr_t)cell;
}

static void verify_ioctl(struct run *run, struct script_pending *p)
{
	if (p->call.result == 0 && p->call.arg[1] != FIONBIO)
		compare_int(run, p, tern_script_arg(p, 2), *(int *)p->call.arg[2]);
}

static void prepare_getsockopt(struct run *run, struct script_pending *p)
{
	socklen_t *len = tern_script_lend(p, sizeof *len);
	int64_t room = OPTION_ROOM;
	tern_script_item_int(tern_script_arg(p, 4), NULL, &room);
	*len = (socklen_t)(room < 0 || room > OPTION_ROOM ? OPTION_ROOM : room);
	numbers(run, p, 1, 2);
	p->call.arg[3] = (intptr_t)tern_script_lend(p, OPTION_ROOM);
	p->call.arg[4] = (intptr_t)len;
}

static void verify_getsockopt(struct run *run, struct script_pending *p)
{
	const struct script_expr *want = tern_script_arg(p, 3);
	const char *got = (const char *)p->call.arg[3];
	int number;
	if (p->call.result != 0)
		return;
	memcpy(&number, got, sizeof number);
	const struct script_expr *text = want->kind == EXPR_LIST ? want->items : want;
	if (text && text->kind == EXPR_STRING && strcmp(text->text, got) != 0)
		tern_script_fail(run,
			"%s() found another value\n    want  \"%s\"\n    got   \"%s\"",
			p->spec->name, text->text, got);
	else if (want->kind == EXPR_LIST)
		compare_int(run, p, want, number);
}

static void prepare_setsockopt(struct run *run, struct script_pending *p)
{
	const struct script_expr *value = tern_script_arg(p, 3), *said = tern_script_arg(p, 4);
	char *cell = tern_script_lend(p, OPTION_ROOM);
	int64_t number = 0, len = sizeof(int);
	numbers(run, p, 1, 2);
	p->call.arg[3] = (intptr_t)cell;
	const struct script_expr *text = value->kind == EXPR_LIST ? value->items : value;
	if (text && text->kind == EXPR_STRING) {
		snprintf(cell, OPTION_ROOM, "%s", text->text);
		len = (int64_t)strlen(text->text);
	} else if (value->kind == EXPR_STRUCT) {
		struct linger linger = {0};
		if (tern_script_item_int(value, "onoff", &number))
			linger.l_onoff = (int)number;
		if (tern_script_item_int(value, "linger", &number))
			linger.l_linger = (int)number;
		memcpy(cell, &linger, sizeof linger);
		len = sizeof linger;
	} else if (tern_script_item_int(value, NULL, &number)) {
		int whole = (int)number;
		memcpy(cell, &whole, sizeof whole);
	}
	/* A struct linger is as long as it is, whatever scripts say. */
	bool asked = said->kind == EXPR_INTEGER && value->kind != EXPR_STRUCT;
	p->call.arg[4] = (intptr_t)(asked ? said->value : len);
}

static void prepare_poll(struct run *run, struct script_pending *p)
{
	const struct script_expr *list = tern_script_arg(p, 0);
	size_t count = 0;
	for (const struct script_expr *item = list->items; item; item = item->next)
		count++;
	struct pollfd *fds = tern_script_lend(p, count * sizeof *fds);
	p->call.arg[0] = (intptr_t)fds;
	numbers(run, p, 1, 2);
	for (const struct script_expr *item = list->items; item; item = item->next, fds++) {
		int64_t fd = -1, events = 0;
		tern_script_item_int(item, "fd", &fd);
		tern_script_item_int(item, "events", &events);
		fds->fd = tern_script_live_fd(run, fd);
		if (fds->fd < 0 && fd >= 0)
			fds->fd = DRILL_FDS; /* closed: POLLNVAL */
		fds->events = (short)events;
	}
}

static void verify_poll(struct run *run, struct script_pending *p)
{
	const struct pollfd *fds = (const struct pollfd *)p->call.arg[0];
	int64_t want, fd = -1;
	for (const struct script_expr *item = tern_script_arg(p, 0)->items; item;
		item = item->next, fds++) {
		tern_script_item_int(item, "fd", &fd);
		if (tern_script_item_int(item, "revents", &want) && want != fds->revents)
			tern_script_fail(run,
				"poll() of %jd\n    want  revents=0x%jx\n    got   revents=0x%x",
				(intmax_t)fd, (intmax_t)want, (unsigned)fds->revents);
	}
}

/* What it is told comes back in epoll_wait: the script's own number of a descriptor will do. */
static void data_of(const struct script_expr *expr, struct epoll_event *event)
{
	static const char *const names[] = {"fd", "ptr", "u32", "u64"};
	int64_t value = 0;
	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		if (tern_script_item_int(expr, names[k], &value))
			event->data.u64 = (uint64_t)value;
	if (tern_script_item_int(expr, "events", &value))
		event->events = (uint32_t)value;
}

static void prepare_epoll_ctl(struct run *run, struct script_pending *p)
{
	struct epoll_event *event = tern_script_lend(p, sizeof *event);
	data_of(tern_script_arg(p, 3), event);
	p->call.arg[1] = (intptr_t)tern_script_arg_int(run, p, 1);
	p->call.arg[2] = tern_script_live_fd(run, tern_script_arg_int(run, p, 2));
	p->call.arg[3] = (intptr_t)event;
}

static void prepare_epoll_wait(struct run *run, struct script_pending *p)
{
	numbers(run, p, 2, 3);
	int64_t max = p->call.arg[2] > 0 && p->call.arg[2] < 1024 ? p->call.arg[2] : 1;
	p->call.arg[1] = (intptr_t)tern_script_lend(p, (size_t)max * sizeof(struct epoll_event));
}

static void verify_epoll_wait(struct run *run, struct script_pending *p)
{
	const struct script_expr *first = tern_script_arg(p, 1);
	const struct epoll_event *got = (const struct epoll_event *)p->call.arg[1];
	if (first->kind == EXPR_LIST)
		first = first->items;
	for (int64_t k = 0; first && k < p->call.result; k++, first = first->next, got++) {
		struct epoll_event want = {0};
		data_of(first, &want);
		if (got->events != want.events || got->data.u64 != want.data.u64)
			tern_script_fail(run,
				"epoll_wait()\n    want  events=0x%x of %ju\n    got   events=0x%x "
				"of %ju",
				want.events, (uintmax_t)want.data.u64, got->events,
				(uintmax_t)got->data.u64);
		if (tern_script_arg(p, 1)->kind != EXPR_LIST)
			break;
	}
}

static void prepare_pipe(struct run *run, struct script_pending *p)
{
	(void)run;
	p->call.arg[0] = (intptr_t)tern_script_lend(p, 2 * sizeof(int));
}

static void verify_pipe(struct run *run, struct script_pending *p)
{
	const int *pair = (const int *)p->call.arg[0];
	const struct script_expr *item = tern_script_arg(p, 0)->items;
	for (int k = 0; k < 2 && p->call.result == 0; k++, item = item ? item->next : NULL)
		tern_script_new_fd(run, p, item && item->kind == EXPR_INTEGER ? item->value : -1,
			pair[k]);
}

static void prepare_splice(struct run *run, struct script_pending *p)
{
	numbers(run, p, 4, 5);
	p->call.arg[1] = p->call.arg[3] = 0;
	p->call.arg[2] = tern_script_live_fd(run, tern_script_arg_int(run, p, 2));
}

/* From here on the stream carries another's bytes. */
static void verify_splice(struct run *run, struct script_pending *p)
{
	for (unsigned arg = 0; arg <= 2; arg += 2) {
		int64_t number = tern_script_arg_int(run, p, arg);
		if (number >= 0 && number < FDS_MAX)
			run->fd[number].foreign = true;
	}
}

static const struct script_spec specs[] = {
	{"socket", 3, 3, DRILL_SOCKET, prepare_socket, verify_socket, true},
	{"bind", 3, 3, DRILL_BIND, prepare_bind, NULL, false},
	{"listen", 2, 2, DRILL_LISTEN, NULL, NULL, false},
	{"accept", 3, 3, DRILL_ACCEPT, prepare_accept, NULL, true},
	{"accept4", 4, 4, DRILL_ACCEPT, prepare_accept, NULL, true},
	{"connect", 3, 3, DRILL_CONNECT, prepare_connect, verify_connect, false},
	{"read", 3, 3, DRILL_READ, tern_script_prepare_read, tern_script_verify_read, false},
	{"readv", 3, 3, DRILL_READV, tern_script_prepare_vector, tern_script_verify_read, false},
	{"recv", 4, 4, DRILL_RECV, tern_script_prepare_read, tern_script_verify_read, false},
	{"recvfrom", 6, 6, DRILL_RECVFROM, tern_script_prepare_read, tern_script_verify_read,
		false},
	{"recvmsg", 3, 3, DRILL_RECVMSG, tern_script_prepare_message, tern_script_verify_message,
		false},
	{"write", 3, 3, DRILL_WRITE, tern_script_prepare_write, tern_script_verify_write, false},
	{"writev", 3, 3, DRILL_WRITEV, tern_script_prepare_vector, tern_script_verify_write, false},
	{"send", 4, 4, DRILL_SEND, tern_script_prepare_write, tern_script_verify_write, false},
	{"sendto", 6, 6, DRILL_SENDTO, tern_script_prepare_write, tern_script_verify_write, false},
	{"sendmsg", 3, 3, DRILL_SENDMSG, tern_script_prepare_message, tern_script_verify_write,
		false},
	{"fcntl", 2, 3, DRILL_FCNTL, NULL, NULL, false},
	{"ioctl", 3, 3, DRILL_IOCTL, prepare_ioctl, verify_ioctl, false},
	{"close", 1, 1, DRILL_CLOSE, NULL, verify_close, false},
	{"shutdown", 2, 2, DRILL_SHUTDOWN, NULL, NULL, false},
	{"getsockopt", 5, 5, DRILL_GETSOCKOPT, prepare_getsockopt, verify_getsockopt, false},
	{"setsockopt", 5, 5, DRILL_SETSOCKOPT, prepare_setsockopt, NULL, false},
	{"poll", 3, 3, DRILL_POLL, prepare_poll, verify_poll, false},
	{"epoll_create", 1, 1, DRILL_EPOLL_CREATE, NULL, NULL, true},
	{"epoll_ctl", 4, 4, DRILL_EPOLL_CTL, prepare_epoll_ctl, NULL, false},
	{"epoll_wait", 4, 4, DRILL_EPOLL_WAIT, prepare_epoll_wait, verify_epoll_wait, false},
	{"pipe", 1, 1, DRILL_PIPE, prepare_pipe, verify_pipe, false},
	{"splice", 6, 6, DRILL_SPLICE, prepare_splice, verify_splice, false},
	{"tern_state", 1, 1, DRILL_OPS, NULL, NULL, false},
};

const struct script_spec *tern_script_spec(const char *name)
{
	for (size_t k = 0; k < sizeof specs / sizeof *specs; k++)
		if (strcmp(specs[k].name, name) == 0)
			return &specs[k];
	return NULL;
}
